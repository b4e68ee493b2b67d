/**
 * `doctor --deep`: resources whose data is read as a whole, where the provider can do that.
 *
 * @module
 */
import type { Engine } from "../engine/engine.ts";
import { contextOf, scopeOf } from "../engine/context.ts";
import { BASE_ENVS, protectedEnvs, titleOf } from "../project/project.ts";
import { isForkstackError } from "../../mod.ts";
import { messageOf, shown } from "../text/printable.ts";
import type { Finding } from "./finding.ts";

/** Reads the data of base environments and of recorded ones, one after the other; changes nothing. */
export async function examineData(engine: Engine): Promise<Finding[]> {
  const rows = (await engine.registry.allResources()).filter(({ state }) => state === "ready");
  const found: Finding[] = [];
  for (const resource of engine.resources) {
    const { provider, key } = resource;
    if (provider.damage === undefined) continue;
    const bases = BASE_ENVS.map((env) => ({ env, name: titleOf(engine.project, resource, env) }));
    const forks = rows.filter((row) => row.key === key && !BASE_ENVS.includes(row.env));
    const all = [
      ...bases.map(({ env, name }) => ({ env, held: { id: name, name } })),
      ...forks.map(({ env, id, title }) => ({ env, held: { id: id!, name: title } })),
    ];
    for (const { env, held } of all) {
      engine.signal.throwIfAborted();
      const about = { severity: "error", environment: env, resource: key } as const;
      try {
        const damage = await provider.damage(contextOf(engine, provider), held, scopeOf(engine, resource));
        if (damage.length === 0) continue;
        const problem = `damaged: the data of ${provider.name} "${held.name}": ${damage.map(shown).join("; ")}`;
        found.push({ ...about, problem, fix: fixOf(engine, env) });
      } catch (error) {
        if (engine.signal.aborted) throw error;
        const hint = isForkstackError(error) ? error.hint : undefined;
        found.push({
          ...about,
          problem: `not read: ${messageOf(error)}`,
          fix: hint ?? "Fix the cause, then run `forkstack doctor --deep`",
        });
      }
    }
  }
  return found;
}

function fixOf(engine: Engine, env: string): string {
  return protectedEnvs(engine.project).includes(env)
    ? "restore it from a backup; forkstack never changes it"
    : `\`forkstack reset ${env}\` forks its parent again; the changes in ${env} are lost`;
}
