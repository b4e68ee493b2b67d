import { parseEnvName } from "../../../mod.ts";
import type { Answer, Call } from "../command_line.ts";
import * as output from "../output.ts";
import { planReset, resetEnvironment } from "../../lifecycle/reset.ts";
import { required, withEngine } from "../session.ts";
import { reportOf } from "../../engine/resource_report.ts";

/** `reset <name>` */
export async function runReset({ name, flags, io }: Call): Promise<Answer> {
  const env = parseEnvName(required(name, "reset"));
  return await withEngine(io, flags["dry-run"] ? "look" : "work", async (engine) => {
    const { environment, rows, checkouts } = await planReset(engine, env);
    const others = output.othersText(checkouts);
    const what = rows.map((row) => `${row.key} "${row.title}"`).join(", ");
    if (flags["dry-run"]) {
      const resources = rows.map((row) => reportOf(row, row.state));
      return {
        data: { environment: { name: env, parent: environment.parent, checkouts }, resources, dryRun: true },
        text: () =>
          `Would fork ${what} again from ${environment.parent}${others === "" ? "" : `\nOn ${env}, too: ${others}`}`,
      };
    }
    if (others !== "") io.say(`On ${env}, too: ${others}`);
    await io.confirm(`Replace ${what} of ${env} with new forks of ${environment.parent}?`);
    const result = await resetEnvironment(engine, env);
    return { data: result, text: (style) => output.readyText(result, "reset", style) };
  }, { reach: flags["dry-run"] ? "registry" : "all" });
}
