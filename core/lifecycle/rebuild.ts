/**
 * Environments of which this registry has no row, found by the marks on their resources: those of a registry that was
 * lost, and those that another one made, e.g. on another machine.
 *
 * @module
 */
import { ForkstackError, isForkstackError } from "../../mod.ts";
import type { Engine } from "../engine/engine.ts";
import type { Worker } from "../state/lock.ts";
import { isRegistryId, makingOf } from "../marker.ts";
import type { Fork } from "../provider.ts";
import type { Environment, ResourceRow } from "../state/records.ts";
import { statements } from "../state/statements.ts";
import { BASE_ENVS, type Project, type Resource, titleOf, uncheckedTitle } from "../project/project.ts";
import { reportOf, type ResourceReport } from "../engine/resource_report.ts";
import { recordedEnvironment } from "./find_environment.ts";
import { contextOf, inspectResource, scopeOf } from "../engine/context.ts";
import { underLock } from "../engine/under_lock.ts";
import { reasonOf } from "../text/printable.ts";

/** A fork that bears our mark, with its resource. */
export interface MarkedFork {
  readonly resource: Resource;
  readonly fork: Fork;
}

/** One thing that stands at the name of an environment's resource, and is not this registry's. */
export interface Other {
  readonly resource: Resource;
  readonly title: string;
  /** The id of the registry that its mark names; absent if it bears no mark of this environment. */
  readonly registry?: string;
  readonly reason: string;
}

/** The things that exist under the names of an environment's resources. */
export interface Traces {
  /** Marked by this registry, by one that it adopted, or by 0.1.0. */
  readonly ours: readonly MarkedFork[];
  /** Marked by another registry as this environment's. */
  readonly others: readonly Other[];
  /** Marked by nobody, or as something else's. */
  readonly foreign: readonly Other[];
}

/**
 * Looks at the names of an environment's resources; changes nothing. A vendor that can't be asked is an error: what it
 * holds is not known to be absent.
 */
export async function lookFor(engine: Engine, env: string): Promise<Traces> {
  const traces = { ours: [] as MarkedFork[], others: [] as Other[], foreign: [] as Other[] };
  const seen = await Promise.all(engine.resources.map(async (resource) => {
    const title = titleOf(engine.project, resource, env);
    return { resource, title, found: await inspectResource(engine, resource, { env, title }) };
  })).catch((error) => {
    if (!isForkstackError(error) || engine.signal.aborted) throw error;
    const { code, hint, retryable, details } = error;
    throw new ForkstackError(code, `Cannot tell whether environment "${env}" exists: ${reasonOf(error)}`, {
      hint,
      retryable,
      details: { ...details, env },
      cause: error,
    });
  });
  for (const { resource, title, found } of seen) {
    if (found.state === "absent") continue;
    if (found.state !== "foreign") {
      traces.ours.push({ resource, fork: found.fork });
      continue;
    }
    const { reason, holder } = found;
    const isOfEnv = holder?.stack === engine.project.stack && holder.env === env && holder.resource === resource.key;
    if (isOfEnv && isRegistryId(holder.registry)) {
      traces.others.push({ resource, title, registry: holder.registry, reason });
    } else traces.foreign.push({ resource, title, reason });
  }
  return traces;
}

/** The error for an environment that another registry made. */
export function otherRegistrys(env: string, others: readonly Other[], verb: string): ForkstackError {
  const what = others.map(({ resource, title }) => `${resource.key} "${title}"`).join(", ");
  const ids = [...new Set(others.map(({ registry }) => registry))].join(", ");
  return new ForkstackError("FOREIGN", `Cannot ${verb} environment "${env}": another registry (${ids}) made ${what}`, {
    hint:
      "Share one registry between machines: set `registry` in forkstack.json, see docs/ci.md. If that registry is " +
      `lost, \`forkstack delete ${env} --adopt\` deletes its resources, \`forkstack new ${env} --adopt\` takes them over`,
    details: { env },
  });
}

/** The error for `new` of an environment that bears marks already; `undefined` where none does. */
export function notMineToMake(env: string, { ours, others }: Traces): ForkstackError | undefined {
  if (others.length > 0) return otherRegistrys(env, others, "make");
  if (ours.length === 0) return undefined;
  const what = ours.map(({ resource, fork }) => `${resource.key} "${fork.name}"`).join(", ");
  return new ForkstackError(
    "FOREIGN",
    `Cannot make environment "${env}": it exists, but this registry has lost it: ${what}`,
    {
      hint: `\`forkstack doctor --rebuild\` brings it back; \`forkstack delete ${env}\` deletes it`,
      details: { env },
    },
  );
}

/**
 * Returns an explained error if the foreign thing that `new` met is of the environment itself, made under another
 * registry or a lost one.
 */
export async function explained(engine: Engine, env: string, error: unknown): Promise<unknown> {
  if (!isForkstackError(error) || error.code !== "FOREIGN" || engine.signal.aborted) return error;
  if (await engine.registry.environment(env) !== undefined) return error;
  const why = await lookFor(engine, env).then((traces) => notMineToMake(env, traces), () => undefined);
  if (why === undefined) return error;
  const undone = error.hint?.match(/(Nothing was created|Undone: ).*$/s)?.[0];
  return new ForkstackError("FOREIGN", why.message, {
    hint: [why.hint, undone].filter(Boolean).join(". "),
    details: { ...error.details, env },
    cause: error.cause,
  });
}

/** An environment that was found again. */
export interface Recovered {
  readonly environment: Environment;
  /** Facts that its marks do not tell. */
  readonly unknown: readonly ("parent" | "origin" | "lease")[];
  readonly resources: readonly ResourceReport[];
}

/**
 * Puts what was found of an environment into the registry, under its lock: where it has no row, or lacks a resource since
 * it was never finished. With `isGoing` it is to be deleted. Gives nothing where there is nothing to put.
 */
async function recover(
  engine: Engine,
  worker: Worker,
  env: string,
  { own, envs, isGoing = false }: {
    readonly own: readonly MarkedFork[];
    readonly envs: readonly string[];
    readonly isGoing?: boolean;
  },
): Promise<Recovered | undefined> {
  const { environment: before, rows: kept } = await recordedEnvironment(engine, env);
  const lacking = own.filter(({ resource }) => !kept.some(({ key }) => key === resource.key));
  const isNew = before === undefined && own.length + kept.length > 0;
  if (!isNew && (before?.status !== "creating" || lacking.length === 0)) return undefined;
  const found = await Promise.all(
    lacking.map(({ resource, fork }) => isGoing ? rowOf(resource, fork) : inspectedRow(engine, resource, fork)),
  );
  const rows = [...kept, ...found];
  const isWhole = engine.resources.every(({ key }) => rows.some((row) => row.key === key && row.state === "ready"));
  const built = isWhole ? "ready" : "creating";
  const told = lineage(lacking.map(({ fork }) => fork));
  const parent = told.parent ?? parentBy(rows, envs, engine.project);
  const { origin, expiresAt } = told;
  const environment: Environment = {
    ...before ?? {
      name: env,
      parent: parent ?? engine.project.config.parent ?? "dev",
      owner: engine.owner,
      operation: rows[0]!.operation,
      createdAt: rows.map(({ createdAt }) => createdAt).sort()[0]!,
      origin,
      expiresAt: expiresAt ?? undefined,
    },
    status: isGoing ? "deleting" : built,
  };
  await worker.write([
    statements.putEnvironment(environment),
    ...found.map((row) => statements.putResource(row)),
  ]);
  const unknown: ("parent" | "origin" | "lease")[] = [];
  if (before === undefined) {
    if (parent === undefined) unknown.push("parent");
    if (!told.isKnown) unknown.push("origin");
    if (expiresAt === undefined) unknown.push("lease");
  }
  return { environment, unknown, resources: found.map((row) => reportOf(row, row.state)) };
}

/** Returns parent, origin and lease of an environment, as the marks on its resources say together. */
function lineage(forks: readonly Fork[]) {
  const all = forks.map(({ marker }) => makingOf(marker)).filter((one) => one !== undefined);
  const ends = all.map(({ expiresAt }) => expiresAt).filter((one) => one !== undefined);
  // Where an `extend` was cut off, marks differ: none is deleted before the latest end that one of them says.
  const expiresAt = ends.includes(null)
    ? null
    : (ends as string[]).sort((a, b) => Date.parse(a) - Date.parse(b)).at(-1);
  return { isKnown: all.length > 0, parent: all[0]?.parent, origin: all[0]?.origin, expiresAt };
}

/**
 * Puts an environment that has no row into the registry, for a command that goes on with it; those of other registries
 * too where `adopt` says so, each from now on this one's as long as the environment is there.
 */
export async function takeUp(
  engine: Engine,
  env: string,
  { adopt = [], isGoing = false }: { readonly adopt?: readonly Other[]; readonly isGoing?: boolean },
): Promise<void> {
  await underLock(engine, env, isGoing ? "delete" : "adopt", async (worker) => {
    if (await engine.registry.environment(env) !== undefined) return; // another command was quicker
    for (const { registry } of adopt) await engine.registry.adopt(registry!, env);
    const { ours } = await lookFor(engine, env);
    await recover(engine, worker, env, { own: ours, envs: await knownNames(engine), isGoing });
  });
}

async function knownNames(engine: Engine): Promise<string[]> {
  return [...BASE_ENVS, ...(await engine.registry.environments()).map(({ name }) => name)];
}

/** Options of `rebuild`. */
export interface RebuildOptions {
  /** Take the forks of other registries of this stack, too: they were lost. @default {false} */
  readonly adopt?: boolean;
}

/**
 * Finds the environments again by the marks on their resources, where the registry was lost. What the registry knows
 * stays as it is. An environment that lacks a resource is left `creating`: `new` completes it.
 */
export async function rebuild(engine: Engine, { adopt = false }: RebuildOptions = {}): Promise<Recovered[]> {
  const { registry } = engine;
  const forks: MarkedFork[] = [];
  for (const resource of engine.resources) {
    const context = contextOf(engine, resource.provider);
    for await (const fork of resource.provider.list(context, scopeOf(engine, resource))) {
      const id = fork.marker.registry;
      if (adopt && id !== undefined && isRegistryId(id)) await registry.adopt(id);
      if (registry.owns(fork.marker)) forks.push({ resource, fork });
    }
  }
  const known = await engine.registry.environments();
  const settled = new Set([
    ...BASE_ENVS,
    ...known.filter(({ status }) => status !== "creating").map(({ name }) => name),
  ]);
  const named = [
    ...forks.map(({ fork }) => fork.marker.env),
    ...(await engine.registry.allResources()).map(({ env }) => env),
  ];
  const lost = [...new Set(named)].filter((env) => !settled.has(env)).sort();
  const envs = [...await knownNames(engine), ...lost];
  const recovered: Recovered[] = [];
  for (const env of lost) {
    const own = forks.filter(({ resource, fork }) =>
      fork.marker.env === env && fork.name === titleOf(engine.project, resource, env)
    );
    const one = await underLock(engine, env, "rebuild", (worker) => recover(engine, worker, env, { own, envs }));
    if (one !== undefined) recovered.push(one);
  }
  return recovered;
}

/** One environment that marks name and this registry does not know. */
export interface Unregistered {
  readonly environment: string;
  /** Keys, e.g. `["database", "storage.uploads"]`. */
  readonly resources: readonly string[];
  /** The registry that made it, where that is another. */
  readonly registry?: string;
}

/** Environments that marks name and this registry does not know; a vendor that can't be asked is told by `onError`. */
export async function unregistered(engine: Engine, onError: (error: unknown) => void): Promise<Unregistered[]> {
  const known = new Set(await knownNames(engine));
  const kept = new Set((await engine.registry.kept()).map(({ id }) => id));
  const found = await Promise.all(
    engine.resources.filter(({ isUnread }) => !isUnread).map(async ({ key, provider, options }) => {
      const forks: Fork[] = [];
      try {
        const context = contextOf(engine, provider);
        for await (const fork of provider.list(context, scopeOf(engine, { key, options }))) forks.push(fork);
      } catch (error) {
        if (engine.signal.aborted) throw error;
        onError(error);
      }
      return forks.filter(({ id, marker }) => !known.has(marker.env) && !kept.has(id)).map(({ marker }) => marker);
    }),
  );
  const groups = Map.groupBy(
    found.flat(),
    (marker) => `${marker.env} ${engine.registry.owns(marker) ? "" : marker.registry}`,
  );
  return [...groups.entries()].sort(([a], [b]) => a < b ? -1 : 1).map(([key, markers]) => {
    const [environment, registry] = key.split(" ");
    const found = {
      environment: environment!,
      resources: [...new Set(markers.map(({ resource }) => resource))].sort(),
    };
    return registry === "" ? found : { ...found, registry };
  });
}

function rowOf(resource: Resource, fork: Fork): ResourceRow {
  return {
    env: fork.marker.env,
    key: resource.key,
    kind: resource.kind,
    name: resource.name,
    provider: resource.provider.name,
    title: fork.name,
    state: "ready",
    operation: fork.marker.operation,
    id: fork.id,
    parentId: fork.parentId,
    fork: fork.copy,
    createdAt: fork.createdAt,
    options: resource.options,
  };
}

async function inspectedRow(engine: Engine, resource: Resource, fork: Fork): Promise<ResourceRow> {
  const seen = await inspectResource(engine, resource, { env: fork.marker.env, title: fork.name });
  const row = rowOf(resource, fork);
  // Where the journal knows of the run, `new` looks there whether the script has run too.
  const mayLack = resource.sanitize !== undefined && await engine.registry.knowsOperation(fork.marker.operation);
  return seen.state === "ready" && !mayLack ? row : { ...row, state: "creating" };
}

/** The environment whose resources the forks name as their parents. */
function parentBy(rows: readonly ResourceRow[], envs: readonly string[], project: Project): string | undefined {
  return envs.find((env) => rows.some((row) => row.parentId === uncheckedTitle(project, row, env)));
}
