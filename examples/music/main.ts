/**
 * The server: `deno task start`, with `PORT` or `--port` to choose a port; 0 takes a free one.
 */
import { parseArgs } from "node:util";
import { isForkstackError } from "../../mod.ts";
import { createApp } from "./app.ts";

try {
  const { values } = parseArgs({ options: { port: { type: "string" } } });
  const port = Number(values.port ?? (Deno.env.get("PORT") || "8000"));
  if (!Number.isInteger(port) || port < 0 || port > 65535) throw new RangeError("The port must be from 0 to 65535");
  const app = createApp();
  Deno.serve({
    hostname: "127.0.0.1",
    port,
    onListen: (address) => console.log(`music [${app.env}] http://127.0.0.1:${address.port}/`),
  }, app.fetch);
} catch (error) {
  console.error(`error: ${(error as Error).message}`);
  if (isForkstackError(error) && error.hint !== undefined) console.error(`  hint: ${error.hint}`);
  Deno.exit(1);
}
