/**
 * What `list` and `status` tell of environments.
 *
 * @module
 */
import { declaredResources, resourceTitle } from "../mod.ts";
import { BASE_ENVS, keyOf, type Project } from "./config.ts";
import type { Engine } from "./engine.ts";
import { madeEnvironment } from "./lookup.ts";
import { mendingCommand, shownStatus } from "./plan.ts";
import type { Copy } from "./provider.ts";
import type { Environment, ResourceRow } from "./registry.ts";
import * as workspace from "./workspace.ts";

/** What a command says of one resource. */
export interface ResourceReport {
  readonly key: string;
  readonly kind: string;
  readonly name?: string;
  readonly provider: string;
  readonly id?: string;
  readonly title: string;
  readonly fork?: Copy;
  readonly state: string;
  /** What it is called now, where a deletion kept it as a backup. */
  readonly backup?: string;
  readonly durationMs?: number;
  /** Why it failed. */
  readonly error?: { readonly code: string; readonly message: string };
}

/** One environment in the words of `--json`. */
export interface EnvironmentReport {
  readonly name: string;
  readonly parent?: string;
  /** `unknown`: the registry could not be asked. */
  readonly status: "creating" | "ready" | "deleting" | "broken" | "unknown";
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
  /** What names another environment than this directory now points to: `"FORKSTACK_ENV"` or `"ENV"`. */
  readonly decidedBy?: string;
  /** It was there already and complete. */
  readonly unchanged?: boolean;
}

/** Every environment that forkstack made, by name. */
export async function listEnvironments(engine: Pick<Engine, "project" | "registry">): Promise<EnvironmentReport[]> {
  const current = workspace.currentEnv(engine.project).env;
  return (await engine.registry.environments()).map((one) => environmentReport(engine, one, current));
}

/** One environment with its resources. */
export async function describe(
  engine: Engine,
  env: string,
  began: number,
  current: string = workspace.currentEnv(engine.project).env,
): Promise<EnvironmentResult> {
  const isBase = BASE_ENVS.includes(env);
  const environment = isBase
    ? await engine.registry.environment(env)
    : await madeEnvironment(engine.registry, env, "show");
  const rows = await engine.registry.resources(env);
  const variables = await workspace.readVariables(engine, env) ?? {};
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
  place: workspace.Place,
  env: string,
  began: number,
): Promise<EnvironmentResult | undefined> {
  const variables = await workspace.readVariables(place, env);
  if (variables === undefined && !BASE_ENVS.includes(env)) return undefined;
  return {
    environment: { name: env, status: "unknown", current: workspace.currentEnv(place.project).env === env },
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

/** An environment in the words of `--json`. */
export function environmentReport(
  engine: Pick<Engine, "project">,
  environment: Environment,
  current: string = workspace.currentEnv(engine.project).env,
): EnvironmentReport {
  return {
    name: environment.name,
    parent: environment.parent,
    status: shownStatus(environment),
    owner: environment.owner,
    createdAt: environment.createdAt,
    ...(environment.expiresAt === undefined ? {} : { expiresAt: environment.expiresAt }),
    current: current === environment.name,
  };
}

/** Milliseconds since `began`, a reading of `performance.now()`. */
export function elapsed(began: number): number {
  return Math.round((performance.now() - began) * 10) / 10;
}

/** What a command says of a recorded resource. */
export function reportOf(row: ResourceRow, state: string, durationMs?: number): ResourceReport {
  return {
    key: row.key,
    kind: row.kind,
    ...(row.name === undefined ? {} : { name: row.name }),
    provider: row.provider,
    ...(row.id === undefined ? {} : { id: row.id }),
    title: row.title,
    ...(row.fork === undefined ? {} : { fork: row.fork }),
    state,
    ...(durationMs === undefined ? {} : { durationMs: Math.round(durationMs * 10) / 10 }),
  };
}
