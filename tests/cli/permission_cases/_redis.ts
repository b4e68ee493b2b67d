/** A real Redis, for whatever provider works on one. */
import { Server as Redis } from "../../emulators/redis_server.ts";
import type { Case } from "./_case.ts";

/** A Redis whose URL this variable holds. */
export const redis = (variable: string): Case["open"] => async (defer) => {
  const server = defer(await Redis.start());
  return { env: { [variable]: server.url() } };
};
