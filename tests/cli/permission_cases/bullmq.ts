import { WHY_NO_SERVER } from "../../emulators/redis_server.ts";
import type { Case } from "./_case.ts";
import { redis } from "./_redis.ts";

export const cases: readonly Case[] = [
  { kind: "queue", name: "bullmq", missing: WHY_NO_SERVER, open: redis("BULLMQ_URL") },
];
