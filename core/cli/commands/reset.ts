import { parseEnvName } from "../../../mod.ts";
import type { CommandResult, Invocation } from "../command_line.ts";
import * as output from "../output.ts";
import { planReset, resetEnvironment } from "../../lifecycle/reset.ts";
import { text, withEngine } from "../session.ts";
import { reportOf } from "../../engine/resource_report.ts";
import type { CommandFile } from "../command_file.ts";

/** `reset <env>` */
export const command: CommandFile = {
  order: 5,
  group: "environments",
  summary: "fork an environment again from its parent",
  arguments: { labels: ["<env>"], min: 1, max: 1, withoutBases: true },
  meanings: {
    "<env>": "a name from `forkstack list`",
  },
  example: "reset alice",
  options: {
    resource: "shared",
    "dry-run": "shared",
  },
  about: [
    "Forks the parent again and swaps the new forks in when all are ready (asks first). If something fails " +
    "before that, the old data stays. Names and most variables do not change. A program that has the database " +
    "open keeps the old data until it restarts.",
    "--resource takes the resources to reset, with commas between, where not all are to be or one can't be.",
  ],
  examples: [
    ["reset alice", "asks, then starts again from the parent's data"],
    ["reset alice --resource database,queue", "leaves the others as they are"],
    ["reset alice --yes --json", "for scripts"],
    ["reset alice --dry-run", "shows what would be replaced"],
  ],
  exits: { 3: "", 4: "", 5: "", 6: "", 7: "" },
  files: {
    ".forkstack/registry.db": "",
    credentials: "",
  },
  seeAlso: ["new", "docs/reliability.md"],
  run: runReset,
};

async function runReset({ name, flags, io }: Invocation): Promise<CommandResult> {
  const env = parseEnvName(name!);
  const only = text(flags.resource)?.split(",");
  return await withEngine(io, flags["dry-run"] ? "look" : "work", async (engine) => {
    const { environment, rows, checkouts } = await planReset(engine, env, { only });
    const others = output.othersText(checkouts);
    const what = rows.map((row) => `${row.key} "${row.title}"`).join(", ");
    if (flags["dry-run"]) {
      const resources = rows.map((row) => reportOf(row, row.state));
      return {
        data: { environment: { name: env, parent: environment.parent, checkouts }, resources, dryRun: true },
        text: () =>
          `Would fork ${what} again from ${environment.parent}${
            others === "" ? "" : `\n${env} is also used in: ${others}`
          }`,
      };
    }
    if (others !== "") io.say(`${env} is also used in: ${others}`);
    await io.confirm(`Replace ${what} of ${env} with new forks of ${environment.parent}?`);
    const result = await resetEnvironment(engine, env, { only });
    return { data: result, text: (style) => output.readyText(result, "reset", style) };
  }, { reach: flags["dry-run"] ? "registry" : "all" });
}
