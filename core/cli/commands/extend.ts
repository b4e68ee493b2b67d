import { parseEnvName } from "../../../mod.ts";
import { type Answer, type Call, usage } from "../command_line.ts";
import { extendLease } from "../../lifecycle/lease.ts";
import * as output from "../output.ts";
import { required, withEngine } from "../session.ts";
import { parseDuration } from "../../text/duration.ts";

/** `extend <name> <time>` */
export async function runExtend({ name, more, io }: Call): Promise<Answer> {
  const env = parseEnvName(required(name, "extend"));
  if (more === undefined) throw usage("Cannot extend: no time was given", `For example \`forkstack extend ${env} 2d\``);
  const ms = parseDuration(more, "the time to extend by");
  return await withEngine(io, "work", async (engine) => {
    const result = await extendLease(engine, env, ms);
    return { data: result, text: (style) => output.statusText(result, io.now(), style) };
  });
}
