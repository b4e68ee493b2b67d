import { parseEnvName } from "../../mod.ts";
import type { Answer, Call } from "./_call.ts";
import { deleteEnvironment, planDeletion } from "../delete.ts";
import * as output from "../output.ts";
import { reportOf } from "../report.ts";
import { required, withEngine } from "./_open.ts";

/** `delete <name>` */
export async function runDelete({ name, flags, io }: Call): Promise<Answer> {
  const env = parseEnvName(required(name, "delete"));
  return await withEngine(io, "work", async (engine) => {
    const { environment, rows } = await planDeletion(engine, env);
    const what = rows.map((row) => `${row.key} "${row.title}" (${row.provider})`).join(", ") || "no resources";
    if (flags["dry-run"]) {
      return {
        data: {
          environment: { name: env, parent: environment.parent },
          resources: rows.map((row) => reportOf(row, row.state)),
          dryRun: true,
        },
        text: () => `Would delete ${env}: ${what}`,
      };
    }
    await io.confirm(`Delete ${env} with ${what}?`);
    const result = await deleteEnvironment(engine, env);
    return { data: result, text: (style) => output.deletedText(result, style) };
  });
}
