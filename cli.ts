/**
 * The command line: `deno task envs:new alice`, `deno run cli.ts new alice` and `forkstack new alice` are the same.
 *
 * @module
 */
import * as host from "./core/host.ts";
import { load } from "./core/load.ts";
import { main } from "./core/main.ts";

if (host.isRunByBun()) {
  await (await load<typeof import("./core/loaded_env.ts")>("core/loaded_env.ts")).forgetLoaded();
}
host.exit(await main(host.args())); // open timers and signal handlers must not keep it
