/**
 * The description of an environment, for `status` and the results of commands that made or changed it.
 *
 * @module
 */
import { baseOf, declaredResources, resourceTitle } from "../../mod.ts";
import { checkoutReports } from "../workspace/checkouts.ts";
import { currentEnv } from "../workspace/current.ts";
import type { Engine } from "../engine/engine.ts";
import { madeEnvironment, type RecordedEnvironment } from "./find_environment.ts";
import { environmentReport, type EnvironmentResult } from "./report.ts";
import { byKey } from "../text/printable.ts";
import { readVariables } from "../workspace/env_files.ts";
import type { Environment } from "../state/records.ts";
import { BASE_ENVS, keyOf, type Project } from "../project/project.ts";
import { elapsed, mendingCommand, reportOf, type ResourceReport } from "../engine/resource_report.ts";
import type { Workspace } from "../workspace/workspace.ts";

/** One environment with its resources. */
export async function describe(
  engine: Engine,
  env: string,
  began: number,
  current?: string,
): Promise<EnvironmentResult> {
  const known = await lookUp(engine, env);
  const { environment } = known;
  const result = await resultOf(engine, env, known, { began, current });
  if (environment === undefined || environment.status === "ready") return result;
  return { ...result, finishWith: await mending(engine, environment) };
}

async function mending({ registry }: Engine, environment: Environment): Promise<string> {
  return mendingCommand(environment, await registry.environments());
}

/** Asks the registry; `ENV_NOT_FOUND` for an environment that is neither there nor a base one. */
async function lookUp(engine: Engine, env: string): Promise<RecordedEnvironment> {
  const { registry } = engine;
  const environment = BASE_ENVS.includes(env)
    ? await registry.environment(env)
    : await madeEnvironment(engine, env, "show");
  return { environment, rows: await registry.resources(env) };
}

/**
 * The result of a command that made or changed an environment, by what it knows itself: the registry is not asked
 * again, for by then it may be out of reach, or the environment deleted, and what was done is done.
 */
export async function resultOf(
  engine: Engine,
  env: string,
  { environment, rows }: RecordedEnvironment,
  { began, current = currentEnv(engine.project).env }: { readonly began: number; readonly current?: string },
): Promise<EnvironmentResult> {
  const checkouts = await checkoutReports(engine).then((on) => on(env), () => undefined);
  return {
    environment: environment === undefined
      ? { name: env, status: "ready", checkouts, current: current === env }
      : environmentReport(engine, environment, checkouts, current),
    resources: environment === undefined
      ? namedReports(engine.project, env, "base")
      : rows.map((row) => reportOf(row, row.state)).sort(byKey),
    variables: Object.keys(await readVariables(engine, env) ?? {}),
    durationMs: elapsed(began),
  };
}

/**
 * Describes an environment by this machine's files, if the registry cannot be reached; `undefined` if there are none.
 */
export async function describeFromFiles(
  place: Workspace,
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
  const reports = declaredResources(project.config).map((one) => {
    const { kind, name, provider } = one;
    return {
      key: keyOf(kind, name),
      kind,
      name,
      provider,
      title: baseOf(one, env) ?? resourceTitle(kind, project.name, env, name),
      state,
    };
  });
  return reports.sort(byKey);
}
