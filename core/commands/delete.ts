import { parseEnvName } from "../../mod.ts";
import type { Answer, Call } from "./_call.ts";
import { deleteEnvironment, keptOf, planDeletion, purgeKept } from "../delete.ts";
import { pointsTo } from "../leave.ts";
import * as output from "../output.ts";
import { reportOf } from "../report.ts";
import { required, withEngine } from "./_open.ts";

/** What becomes of the pointer. */
const leaves = (verb: "will" | "would") => `This directory is on it, and ${verb} be on no environment afterwards`;

/** `delete <name>` */
export async function runDelete({ name, flags, io }: Call): Promise<Answer> {
  const env = parseEnvName(required(name, "delete"));
  const purge = flags.purge === true;
  return await withEngine(io, flags["dry-run"] ? "look" : "work", async (engine) => {
    const kept = purge ? await keptOf(engine, env) : [];
    if (kept.length > 0 && await engine.registry.environment(env) === undefined) {
      const what = kept.map((one) => `${one.resource} "${one.id}"`).join(", ");
      const resources = kept.map(({ resource: key, id }) => ({
        key,
        id,
        state: flags["dry-run"] ? "kept" : "deleted",
      }));
      if (!flags["dry-run"]) {
        await io.confirm(`Delete what was kept of ${env}: ${what}?`);
        await purgeKept(engine, env);
      }
      return {
        data: { environment: { name: env }, resources, ...(flags["dry-run"] ? { dryRun: true } : {}) },
        text: () => `${flags["dry-run"] ? "Would delete" : "Deleted"} what was kept of ${env}: ${what}`,
      };
    }
    const { environment, rows, checkouts } = await planDeletion(engine, env);
    const what = rows.map((row) => `${row.key} "${row.title}" (${row.provider})`).join(", ") || "no resources";
    const isOn = await pointsTo(engine, env);
    const others = output.othersText(checkouts);
    if (flags["dry-run"]) {
      return {
        data: {
          environment: { name: env, parent: environment.parent, checkouts },
          resources: rows.map((row) => reportOf(row, row.state)),
          ...(isOn ? { left: true } : {}),
          dryRun: true,
        },
        text: () =>
          [
            `Would delete ${env}: ${what}`,
            ...(isOn ? [leaves("would")] : []),
            ...(others === "" ? [] : [`On ${env}, too: ${others}`]),
          ].join("\n"),
      };
    }
    if (others !== "") io.say(`On ${env}, too: ${others}`); // also to whoever passed --yes, or can't be asked
    await io.confirm(`${isOn ? `${leaves("will")}. ` : ""}Delete ${env} with ${what}?`);
    const result = await deleteEnvironment(engine, env, { purge });
    return { data: result, text: (style) => output.deletedText(result, style) };
  }, { reach: flags["dry-run"] ? "registry" : "all" });
}
