/**
 * What `list` and `status` tell of environments.
 *
 * @module
 */
import { BASE_ENVS, nearest, titleOf } from "./config.ts";
import { type Engine, reportOf, type ResourceReport } from "./engine.ts";
import { mendingCommand, noSuchEnvironment, shownStatus } from "./plan.ts";
import type { Environment } from "./registry.ts";
import * as workspace from "./workspace.ts";

/** One environment in the words of `--json`. */
export interface EnvironmentReport {
  readonly name: string;
  readonly parent?: string;
  readonly status: "creating" | "ready" | "deleting" | "broken";
  readonly owner?: string;
  readonly createdAt?: string;
  readonly expiresAt?: string;
  readonly current: boolean;
}

/** What `new`, `switch` and `status` give. */
export interface EnvironmentResult {
  readonly environment: EnvironmentReport;
  readonly resources: readonly ResourceReport[];
  /** Names only. */
  readonly variables: readonly string[];
  readonly durationMs: number;
  /** Files of the project that were written besides: `forkstack.json`, `.gitignore`. */
  readonly changedFiles?: readonly string[];
  /** The command that completes it, where an earlier one was cut off. */
  readonly finishWith?: string;
  /** It was there already and complete. */
  readonly unchanged?: boolean;
}

/** Every environment that forkstack made, by name. */
export async function listEnvironments(engine: Pick<Engine, "project" | "registry">): Promise<EnvironmentReport[]> {
  return (await engine.registry.environments()).map((one) => environmentReport(engine, one));
}

/** One environment with its resources. */
export async function describe(engine: Engine, env: string, began: number): Promise<EnvironmentResult> {
  const environment = await engine.registry.environment(env);
  const rows = await engine.registry.resources(env);
  if (environment === undefined && !BASE_ENVS.includes(env)) {
    const environments = await engine.registry.environments();
    throw noSuchEnvironment(env, "show", await nearest(env, environments.map(({ name }) => name)));
  }
  const variables = await workspace.readVariables(engine, env) ?? {};
  return {
    environment: environment === undefined
      ? { name: env, status: "ready", current: workspace.currentEnv(engine.project).env === env }
      : environmentReport(engine, environment),
    resources: environment === undefined ? baseReports(engine, env) : rows.map((row) => reportOf(row, row.state)),
    variables: Object.keys(variables),
    durationMs: elapsed(began),
    ...(environment === undefined || environment.status === "ready" ? {} : { finishWith: mendingCommand(environment) }),
  };
}

/** The resources of a base environment, which nobody recorded: what they are called. */
function baseReports(engine: Engine, env: string): ResourceReport[] {
  return engine.resources.map((resource) => ({
    key: resource.key,
    kind: resource.kind,
    ...(resource.name === undefined ? {} : { name: resource.name }),
    provider: resource.provider.name,
    title: titleOf(engine.project, resource, env),
    state: "base",
  }));
}

/** An environment in the words of `--json`. */
export function environmentReport(engine: Pick<Engine, "project">, environment: Environment): EnvironmentReport {
  return {
    name: environment.name,
    parent: environment.parent,
    status: shownStatus(environment),
    owner: environment.owner,
    createdAt: environment.createdAt,
    ...(environment.expiresAt === undefined ? {} : { expiresAt: environment.expiresAt }),
    current: workspace.currentEnv(engine.project).env === environment.name,
  };
}

/** Milliseconds since `began`, a reading of `performance.now()`. */
export function elapsed(began: number): number {
  return Math.round((performance.now() - began) * 10) / 10;
}
