/**
 * The command line: `deno task envs:new alice`, `deno run cli.ts new alice` and `forkstack new alice` are the same.
 *
 * @module
 */
import * as host from "./core/system/host.ts";
import { load } from "./core/system/lazy.ts";
import { main } from "./core/cli/main.ts";
import { CATALOG } from "./providers/mod.ts";

if (host.isRunByBun()) {
  await (await load<typeof import("./core/workspace/loaded_env.ts")>("core/workspace/loaded_env.ts")).forgetLoaded();
}
host.exit(await main(host.args(), CATALOG)); // open timers and signal handlers must not keep it
