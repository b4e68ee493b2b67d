import { Databases } from "../../emulators/redis_databases.ts";
import { WHY_NO_SERVER } from "../../emulators/redis_server.ts";
import { Upstash } from "../../emulators/upstash-redis.ts";
import { seed as seedCache } from "../../providers/_redis_seed.ts";
import { type Case, vendor } from "./_case.ts";

export const cases: readonly Case[] = [
  {
    kind: "cache",
    name: "upstash-redis",
    missing: WHY_NO_SERVER,
    async open(defer) {
      const real = await Databases.start();
      defer({ [Symbol.asyncDispose]: () => real.close() });
      const upstash = new Upstash(real, { email: "ada@shop.example", keys: { "canary-key": true } });
      await seedCache(real, upstash.add("shop"));
      const env = { UPSTASH_EMAIL: "ada@shop.example", UPSTASH_API_KEY: "canary-key" };
      return { options: { endpoint: await vendor(defer, upstash) }, env };
    },
  },
];
