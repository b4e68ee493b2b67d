/**
 * Findings on other directories: those on an environment that is gone, and the original of a registry that
 * came along with a copy.
 *
 * @module
 */
import { lookAtCheckouts } from "../workspace/checkouts.ts";
import { originalName } from "../engine/copied.ts";
import type { Engine } from "../engine/engine.ts";
import { disk } from "../system/disk.ts";
import { whyGone } from "./find_environment.ts";
import type { Environment } from "../state/records.ts";
import { BASE_ENVS } from "../project/project.ts";
import type { Finding } from "./finding.ts";

/** Looks at them, as far as somebody can from here. */
export async function examineOthers(engine: Engine, environments: readonly Environment[]): Promise<Finding[]> {
  const names = new Set([...BASE_ENVS, ...environments.map(({ name }) => name)]);
  const isLimited = engine.resources.some(({ provider }) => !provider.capabilities.embedded);
  const copied = (isLimited ? engine.registry.originals : []).map((original): Finding => {
    const name = originalName(original);
    return {
      severity: "warning",
      problem: `this directory is a copy of "${name}": what that made at a vendor is not deleted or reset from here`,
      fix: `delete and reset it in "${name}"; if that is no longer a project, remove its .forkstack`,
    };
  });
  return [...copied, ...await examineCheckouts(engine, names)];
}

async function examineCheckouts(engine: Engine, names: ReadonlySet<string>): Promise<Finding[]> {
  const { standing, stale } = await lookAtCheckouts(engine);
  if (standing.length + stale.length === 0) return [];
  const here = await disk.realPath(engine.project.root);
  const isThere = await Promise.all(stale.map(({ path }) => engine.world.files.stat(path)));
  const gone = stale.filter((_, at) => isThere[at] === undefined);
  const lost = standing.filter(({ env, path }) => !names.has(env) && path !== here);
  return [
    ...await Promise.all(lost.map(async ({ env, path }): Promise<Finding> => ({
      severity: "warning",
      environment: env,
      problem: `current in "${path}", but ${await whyGone(engine, env) ?? "it was removed outside forkstack"}`,
      fix: `\`forkstack switch dev\` there, or make it again with \`forkstack new ${env}\``,
    }))),
    ...gone.map((one): Finding => ({
      severity: "info",
      environment: one.env,
      problem: `"${one.path}" used it and no longer exists`,
      fix: "`forkstack doctor --fix` forgets it",
      mend: () => engine.registry.forgetCheckouts([one]),
    })),
  ];
}
