import { RedisCloud } from "../../emulators/redis-cloud.ts";
import { Databases } from "../../emulators/redis_databases.ts";
import { WHY_NO_SERVER } from "../../emulators/redis_server.ts";
import { seed as seedCache } from "../../providers/_redis_seed.ts";
import { type Case, vendor } from "./_case.ts";

export const cases: readonly Case[] = [
  {
    kind: "cache",
    name: "redis-cloud",
    missing: WHY_NO_SERVER,
    async open(defer) {
      const real = await Databases.start();
      defer({ [Symbol.asyncDispose]: () => real.close() });
      const cloud = new RedisCloud(real, { accessKey: "canary-access", secretKey: "canary-secret" });
      await seedCache(real, cloud.add("shop"));
      const env = { REDISCLOUD_ACCESS_KEY: "canary-access", REDISCLOUD_SECRET_KEY: "canary-secret" };
      return { options: { subscription: 1206, endpoint: await vendor(defer, cloud) }, env };
    },
  },
];
