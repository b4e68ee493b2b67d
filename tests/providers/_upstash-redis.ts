/** Upstash's emulator as the conformance suite wants it: full. */
import { createHash } from "node:crypto";
import { resourceTitle } from "../../mod.ts";
import type { Emulator, World } from "../conformance.ts";
import type { Databases } from "../emulators/redis_databases.ts";
import { serve } from "../emulators/serve.ts";
import type { Specification } from "../emulators/specification.ts";
import { CANARY, seed } from "./_redis_seed.ts";
import { Upstash, type UpstashOptions } from "../emulators/upstash-redis.ts";
import { apiWorld } from "./_vendor.ts";

const titleOf = (env: string) => resourceTitle("cache", "myapp", env);

export function upstashEmulator(
  real: Databases,
  changed: Partial<UpstashOptions> = {},
  specification?: Specification,
): Emulator {
  return {
    async open(given) {
      const { credentials } = given;
      const { UPSTASH_EMAIL: email = "", UPSTASH_API_KEY: key = "" } = credentials;
      const upstash = new Upstash(real, { email, keys: { [key]: true }, ...changed });
      const server = await serve(() => upstash);
      const parent = upstash.add("myapp", "eu-west-1");
      await seed(real, parent);
      for (const near of ["alic", "alice2", "alice-2", "alice--forking"]) upstash.add(titleOf(near));
      await upstash.handle(new Request("http://x/v2/redis/databases"));
      const digestOf = (one: unknown) => createHash("sha256").update(JSON.stringify(one)).digest("hex");
      const world: World = {
        ...apiWorld(server, given, specification),
        titleOf,
        async things() {
          const [databases, backups] = [[...upstash.databases.values()], [...upstash.backups.values()]];
          const digests = await real.digests(databases.map(({ place }) => place));
          return new Map([
            ...databases.map(({ id, name, region, state }, at) =>
              [`${name} ${id}`, digestOf([region, state, digests[at]])] as const
            ),
            ...backups.map(({ id, name, of }) => [`backup ${name} of ${of.name} ${id}`, ""] as const),
          ]);
        },
        contentOf: async (name) => (await real.digests([upstash.named(name).place]))[0]!,
        change: async (name) => void await real.send(upstash.named(name).place, "SET", "mine", "1"),
        async placeForeign(name, as) {
          const { place } = upstash.add(name);
          if (!as?.isEmpty) await real.send(place, "SET", "theirs", "1");
        },
        canaries:
          () => [CANARY, ...[...upstash.databases.values()].flatMap(({ place }) => [place.password, place.restToken])],
        async close() {
          await server.close();
          await upstash.close();
        },
      };
      return world;
    },
  };
}
