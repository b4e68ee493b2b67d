import { parseEnvName } from "../../../mod.ts";
import type { CommandResult, Invocation } from "../command_line.ts";
import { extendLease } from "../../lifecycle/lease.ts";
import * as output from "../output.ts";
import { withEngine } from "../session.ts";
import { parseDuration } from "../../text/duration.ts";
import type { CommandFile } from "../command_file.ts";

/** `extend <env> <time>` */
export const command: CommandFile = {
  order: 6,
  group: "environments",
  summary: "give an environment more time",
  row: { with: ["prune"], summary: "give more time, or delete what has expired" },
  arguments: { labels: ["<env>", "<time>"], min: 2, max: 2, withoutBases: true },
  meanings: {
    "<env>": "a name from `forkstack list`",
    "<time>": "90m, 12h, 3d or 2w; at most ten years",
  },
  example: "extend alice 2d",
  without: ["yes"],
  options: {},
  about: [
    "Adds the time to the end of the lease, or to now if the lease has ended or never existed. If the vendor " +
    "stores the lease too, or a credential expires with it, both are renewed.",
  ],
  examples: [
    ["extend alice 2d", "two more days"],
    ["extend pr-42 12h --json", "for scripts: `expiresAt` is the new end"],
  ],
  exits: { 3: "", 4: "", 5: "", 6: "" },
  files: {
    ".forkstack/registry.db": "",
    credentials: "",
  },
  seeAlso: ["prune", "status"],
  run: runExtend,
};

async function runExtend({ name, more, io }: Invocation): Promise<CommandResult> {
  const env = parseEnvName(name!);
  const ms = parseDuration(more!, "the time to extend by");
  return await withEngine(io, "work", async (engine) => {
    const result = await extendLease(engine, env, ms);
    return { data: result, text: (style) => output.statusText(result, io.now(), style) };
  });
}
