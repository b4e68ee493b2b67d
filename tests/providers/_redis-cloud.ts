/** Redis Cloud's emulator as the conformance suite wants it: full. */
import { createHash } from "node:crypto";
import { resourceTitle } from "../../mod.ts";
import type { Emulator, World } from "../conformance.ts";
import { RedisCloud, type RedisCloudOptions } from "../emulators/redis-cloud.ts";
import type { Databases } from "../emulators/redis_databases.ts";
import { serve } from "../emulators/serve.ts";
import type { Specification } from "../emulators/specification.ts";
import { CANARY, seed } from "./_redis_seed.ts";
import { apiWorld } from "./_vendor.ts";

const titleOf = (env: string) => resourceTitle("cache", "myapp", env);

export function redisCloudEmulator(
  real: Databases,
  changed: Partial<RedisCloudOptions> = {},
  specification?: Specification,
): Emulator {
  return {
    async open(given) {
      const { credentials } = given;
      const { REDISCLOUD_ACCESS_KEY: accessKey = "", REDISCLOUD_SECRET_KEY: secretKey = "" } = credentials;
      const cloud = new RedisCloud(real, { accessKey, secretKey, ...changed });
      const server = await serve(() => cloud);
      const parent = cloud.add("myapp");
      await seed(real, parent);
      for (const near of ["alic", "alice2", "alice-2"]) cloud.add(titleOf(near));
      const digestOf = (one: unknown) => createHash("sha256").update(JSON.stringify(one)).digest("hex");
      const world: World = {
        ...apiWorld(server, given, specification),
        titleOf,
        async things() {
          const databases = [...cloud.databases.values()];
          const digests = await real.digests(databases.map(({ place }) => place));
          return new Map(
            databases.map(({ id, name, status, tags, settings }, at) =>
              [`${name} ${id}`, digestOf([status, [...tags], settings, digests[at]])] as const
            ),
          );
        },
        contentOf: async (name) => (await real.digests([cloud.named(name).place]))[0]!,
        change: async (name) => void await real.send(cloud.named(name).place, "SET", "mine", "1"),
        async placeForeign(name, as) {
          const { place } = cloud.add(name);
          if (!as?.isEmpty) await real.send(place, "SET", "theirs", "1");
        },
        pageSize: 100,
        canaries: () => [CANARY, ...[...cloud.databases.values()].map(({ place }) => place.password)],
        async close() {
          await server.close();
          await cloud.close();
        },
      };
      return world;
    },
  };
}
