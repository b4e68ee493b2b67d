/** Runs command lines that must succeed, one after the other in this process, with its own permissions and variables. */
import { main } from "../../core/cli/main.ts";
import { CATALOG } from "../../providers/mod.ts";

for (const line of JSON.parse(Deno.args[0]!) as string[][]) {
  const code = await main(line, CATALOG);
  if (code === 0) continue;
  console.error(`${line.join(" ")} ended with ${code}`);
  Deno.exit(code);
}
Deno.exit(0); // open timers and signal handlers must not keep it
