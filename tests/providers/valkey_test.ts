import * as v from "npm:valibot@1.5.0";
import provider from "../../providers/cache/valkey.ts";
import { testProvider } from "../conformance.ts";
import { Server, WHY_NO_SERVER } from "../emulators/redis_server.ts";
import { CANARY, emulator } from "./_redis.ts";

const server = WHY_NO_SERVER === undefined ? await Server.start() : undefined;

async function seed({ admin }: Server, database: number, prefix: string): Promise<void> {
  await admin.select(database);
  await admin.set(`${prefix}plain`, CANARY);
  await admin.set(`${prefix}timed`, "x", "PX", 3_600_000);
  await admin.hset(`${prefix}hash`, "a", "1", "b", "2");
  await admin.rpush(`${prefix}list`, "a", "b");
  await admin.select(0);
}

for (const isolation of ["database", "prefix"] as const) {
  const options = v.parse(provider.options as v.GenericSchema<unknown, never>, { isolation });
  const prefix = (name: string) => `${name}.cache:`;
  const its = isolation === "prefix" ? { seed, prefix } : { seed };
  if (server !== undefined) {
    testProvider({ provider, emulator: emulator(server, provider, options, its), options: { isolation } }, {
      isVariant: isolation === "prefix",
    });
  }
}
