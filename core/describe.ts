/**
 * What `status` tells of an environment, and what a command that made or changed one gives.
 *
 * @module
 */
import { declaredResources, resourceTitle } from "../mod.ts";
import { BASE_ENVS, keyOf, type Project } from "./config.ts";
import { currentEnv } from "./current.ts";
import type { Engine } from "./engine.ts";
import { madeEnvironment } from "./lookup.ts";
import { mendingCommand } from "./plan.ts";
import { elapsed, environmentReport, type EnvironmentResult, reportOf, type ResourceReport } from "./report.ts";
import { type Place, readVariables } from "./workspace.ts";

/** One environment with its resources. */
export async function describe(
  engine: Engine,
  env: string,
  began: number,
  current: string = currentEnv(engine.project).env,
): Promise<EnvironmentResult> {
  const isBase = BASE_ENVS.includes(env);
  const environment = isBase
    ? await engine.registry.environment(env)
    : await madeEnvironment(engine.registry, env, "show");
  const rows = await engine.registry.resources(env);
  const variables = await readVariables(engine, env) ?? {};
  return {
    environment: environment === undefined
      ? { name: env, status: "ready", current: current === env }
      : environmentReport(engine, environment, current),
    resources: environment === undefined
      ? namedReports(engine.project, env, "base")
      : rows.map((row) => reportOf(row, row.state)),
    variables: Object.keys(variables),
    durationMs: elapsed(began),
    ...(environment === undefined || environment.status === "ready"
      ? {}
      : { finishWith: mendingCommand(environment, await engine.registry.environments()) }),
  };
}

/** One environment as this machine's files tell of it, where the registry can't be asked; `undefined` if none does. */
export async function describeFromFiles(
  place: Place,
  env: string,
  began: number,
): Promise<EnvironmentResult | undefined> {
  const variables = await readVariables(place, env);
  if (variables === undefined && !BASE_ENVS.includes(env)) return undefined;
  return {
    environment: { name: env, status: "unknown", current: currentEnv(place.project).env === env },
    resources: namedReports(place.project, env, "unknown"),
    variables: Object.keys(variables ?? {}),
    durationMs: elapsed(began),
  };
}

/** The resources of an environment of which nothing is recorded, as forkstack.json has them: no provider is loaded. */
function namedReports(project: Project, env: string, state: string): ResourceReport[] {
  const reports = declaredResources(project.config).map(({ kind, name, provider }) => ({
    key: keyOf(kind, name),
    kind,
    ...(name === undefined ? {} : { name }),
    provider,
    title: resourceTitle(kind, project.name, env, name),
    state,
  }));
  return reports.sort((a, b) => a.key.localeCompare(b.key));
}
