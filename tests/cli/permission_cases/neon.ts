import { startNeon } from "../../emulators/neon.ts";
import { npmBinaries, startServer } from "../../emulators/postgres_server.ts";
import { type Case, NOTES } from "./_case.ts";

const npm = await npmBinaries();
const whyNoNpm = "reason" in npm ? npm.reason : undefined;

export const cases: readonly Case[] = [
  {
    kind: "database",
    name: "neon",
    missing: whyNoNpm,
    async open(defer) {
      const server = defer(await startServer((npm as { bin: string }).bin));
      const neon = defer(await startNeon(server, { keys: { napi_canary: {} } }));
      await neon.add("production", {
        isDefault: true,
        databases: { neondb: NOTES },
        createdAt: Date.now() - 3_600_000,
      });
      return { options: { projectId: neon.project, endpoint: neon.url }, env: { NEON_API_KEY: "napi_canary" } };
    },
  },
];
