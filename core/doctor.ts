/**
 * What is unfinished, orphaned, drifted, expired or foreign, each with the command that mends it; and the way back when
 * the registry is gone.
 *
 * @module
 */
import { isForkstackError, resourceTitle } from "../mod.ts";
import { BASE_ENVS, protectedEnvs, type Resource, titleOf } from "./config.ts";
import { finishRemoval } from "./delete.ts";
import { contextOf, type Engine, inspectResource, journalOf, lockOptions, providerOf, scopeOf } from "./engine.ts";
import { withLock } from "./lock.ts";
import { mendingCommand, shownStatus } from "./plan.ts";
import type { Fork } from "./provider.ts";
import { type Environment, type KeptFork, type ResourceRow, statements } from "./registry.ts";
import { reportOf, type ResourceReport } from "./report.ts";
import { activate } from "./switch.ts";
import * as workspace from "./workspace.ts";

/** One thing that is not as it should be. */
export interface Finding {
  readonly severity: "error" | "warning" | "info";
  readonly environment?: string;
  readonly resource?: string;
  readonly problem: string;
  /** The command that mends it, or what to look at. */
  readonly fix: string;
  /** Mends it, where that is safe without being asked. */
  readonly mend?: () => Promise<void>;
}

/** Looks at everything; changes nothing. */
export async function examine(engine: Engine): Promise<Finding[]> {
  const environments = await engine.registry.environments();
  const rows = new Map(
    await Promise.all(environments.map(async ({ name }) => [name, await engine.registry.resources(name)] as const)),
  );
  const found = await Promise.all([
    ...environments.map((one) => examineEnvironment(engine, one, environments, rows.get(one.name)!)),
    ...engine.resources.map((resource) =>
      examineForks(engine, resource, rows).catch((error) => [unasked(engine, error, { resource: resource.key })])
    ),
    examinePointer(engine, environments),
    engine.registry.kept().then((kept) => kept.map(keptFinding)),
  ]);
  const order = { error: 0, warning: 1, info: 2 };
  return found.flat().sort((a, b) =>
    order[a.severity] - order[b.severity] || (a.environment ?? "").localeCompare(b.environment ?? "") ||
    (a.resource ?? "").localeCompare(b.resource ?? "")
  );
}

function keptFinding({ env, resource, id, at }: KeptFork): Finding {
  return {
    severity: "info",
    environment: env,
    resource,
    problem: `kept: "${id}" is a backup since ${at}`,
    fix: `\`forkstack delete ${env} --purge\` takes it away`,
  };
}

async function examineEnvironment(
  engine: Engine,
  environment: Environment,
  environments: readonly Environment[],
  rows: readonly ResourceRow[],
): Promise<Finding[]> {
  const { name, status, expiresAt } = environment;
  const found: Finding[] = [];
  if (status !== "ready") {
    const holder = await engine.registry.lock(name);
    found.push({
      severity: "error",
      environment: name,
      problem: `unfinished: ${shownStatus(environment)}${holder === undefined ? "" : ", somebody is at work on it"}`,
      fix: mendingCommand(environment, environments),
      ...(status === "deleting" || status === "undoing" ? { mend: () => finish(engine, name) } : {}),
    });
  }
  if (
    expiresAt !== undefined && expiresAt <= engine.world.now().toISOString() &&
    !protectedEnvs(engine.project).includes(name)
  ) {
    found.push({
      severity: "warning",
      environment: name,
      problem: `expired at ${expiresAt}`,
      fix: "`forkstack prune`",
    });
  }
  const drifted = await Promise.all(
    rows.filter((row) => row.state === "ready").map((row) =>
      examineResource(engine, row).catch((
        error,
      ) => [unasked(engine, error, { environment: row.env, resource: row.key })])
    ),
  );
  if (status === "ready" && await workspace.readVariables(engine, name) === undefined) {
    found.push({
      severity: "info",
      environment: name,
      problem: "this machine has no file of its variables",
      fix: `\`forkstack switch ${name}\``,
    });
  }
  return [...found, ...drifted.flat()];
}

async function finish(engine: Engine, env: string): Promise<void> {
  await withLock(engine.registry, env, "finish", lockOptions(engine), (worker) => finishRemoval(engine, worker, env));
}

/** A provider that can't be asked hides nothing of what the others say. */
function unasked(engine: Engine, error: unknown, about: Pick<Finding, "environment" | "resource">): Finding {
  if (engine.signal.aborted) throw error;
  const message = error instanceof Error ? error.message : String(error);
  const hint = isForkstackError(error) ? error.hint : undefined;
  return {
    severity: "error",
    ...about,
    problem: `not examined: ${message}`,
    fix: hint ?? "Mend the cause, then run `forkstack doctor`",
  };
}

async function examineResource(engine: Engine, row: ResourceRow): Promise<Finding[]> {
  const provider = await providerOf(engine, row);
  const resource = { key: row.key, kind: row.kind, name: row.name, provider, options: row.options };
  const seen = await inspectResource(engine, resource, row.title, row.env, [row]);
  if (seen.state === "ready" && seen.fork.id === row.id) return [];
  const what = seen.state === "foreign"
    ? `foreign: ${seen.reason}`
    : seen.state === "ready"
    ? "another fork has its name"
    : seen.state;
  return [{
    severity: "error",
    environment: row.env,
    resource: row.key,
    problem: `drifted: ${row.provider} "${row.title}" is ${what}`,
    fix: `\`forkstack delete ${row.env}\`, then \`forkstack new ${row.env}\``,
  }];
}

/** Forks that bear our mark but are of no environment that the registry knows. */
async function examineForks(
  engine: Engine,
  resource: Resource,
  rows: ReadonlyMap<string, readonly ResourceRow[]>,
): Promise<Finding[]> {
  const found: Finding[] = [];
  const isRecorded = resource.provider.capabilities.ownership === "recorded";
  const unanswered = isRecorded ? await unansweredRows(engine, resource) : [];
  const context = contextOf(engine, resource.provider, { rows: [...rows.values()].flat().concat(unanswered) });
  for await (const fork of resource.provider.list(context, scopeOf(engine, resource))) {
    const { env, operation } = fork.marker;
    const row = rows.get(env)?.find(({ key }) => key === resource.key);
    if (row !== undefined && isHome(row, fork)) continue;
    if (isRecorded) {
      found.push({
        severity: "warning",
        environment: env,
        resource: resource.key,
        problem: `unanswered: ${resource.provider.name} "${fork.name}" may be of a run that got no answer`,
        fix: `look at it: if nobody else made it, delete it at ${resource.provider.name}, which stores no mark of ours`,
      });
      continue;
    }
    const isKnown = await engine.registry.knowsOperation(operation);
    found.push({
      severity: isKnown ? "error" : "warning",
      environment: env,
      resource: resource.key,
      problem: isKnown
        ? `orphaned: ${resource.provider.name} "${fork.name}" was made by a run that ended without it`
        : `unknown: ${resource.provider.name} "${fork.name}" bears our mark, but this registry never knew of its run`,
      fix: isKnown ? "`forkstack doctor --fix`" : "`forkstack doctor --rebuild`, if this registry is new",
      ...(isKnown ? { mend: () => removeOrphan(engine, resource, fork) } : {}),
    });
  }
  return found;
}

/** Whether a fork is the one that a row stands for; while no answer has come, that of the row's run may be. */
function isHome(row: ResourceRow, fork: Fork): boolean {
  return row.id === undefined ? row.operation === fork.marker.operation : row.id === fork.id;
}

/** What runs began at a vendor that stores no marks, whose answer never came, as far as the journal tells. */
async function unansweredRows(engine: Engine, resource: Resource): Promise<ResourceRow[]> {
  return (await engine.registry.unanswered(resource.key)).map(({ env, operation, at }) => ({
    env,
    key: resource.key,
    kind: resource.kind,
    provider: resource.provider.name,
    title: titleOf(engine.project, resource, env),
    state: "creating",
    operation,
    createdAt: at,
    options: resource.options,
  }));
}

async function removeOrphan(engine: Engine, resource: Resource, fork: Fork): Promise<void> {
  const { env } = fork.marker;
  await withLock(engine.registry, env, "mend", lockOptions(engine), async (worker) => {
    const environment = await engine.registry.environment(env);
    if (environment?.status === "resetting") return; // what waits to take an old one's place: `reset` finishes it
    const row = environment && (await engine.registry.resources(env)).find(({ key }) => key === resource.key);
    if (row !== undefined && isHome(row, fork)) return;
    const line = { ...journalOf(engine, fork.marker, "delete"), id: fork.id };
    // No row of it: the list may be behind, and once the fork is gone nothing would lead here again.
    await worker.write([statements.journal({ ...line, phase: "intent" })]);
    const context = contextOf(engine, resource.provider, { worker, marker: fork.marker });
    await resource.provider.delete(context, fork, scopeOf(engine, resource));
    await worker.write([
      ...(environment === undefined ? [statements.dropResource(env, resource.key)] : []),
      statements.journal({ ...line, phase: "done" }),
    ]);
  });
}

function rowOf(resource: Resource, fork: Fork): ResourceRow {
  return {
    env: fork.marker.env,
    key: resource.key,
    kind: resource.kind,
    ...(resource.name === undefined ? {} : { name: resource.name }),
    provider: resource.provider.name,
    title: fork.name,
    state: "ready",
    operation: fork.marker.operation,
    id: fork.id,
    ...(fork.parentId === undefined ? {} : { parentId: fork.parentId }),
    ...(fork.copy === undefined ? {} : { fork: fork.copy }),
    createdAt: fork.createdAt,
    options: resource.options,
  };
}

function examinePointer(engine: Engine, environments: readonly Environment[]): Finding[] {
  const { env, decidedBy } = workspace.currentEnv(engine.project);
  if (BASE_ENVS.includes(env) || environments.some(({ name }) => name === env)) return [];
  return [{
    severity: "error",
    environment: env,
    problem: `current by ${decidedBy}, but nobody made it`,
    fix: `\`forkstack new ${env}\`, or \`forkstack switch dev\``,
    ...(decidedBy === ".current-env" ? { mend: async () => void await activate(engine, "dev") } : {}),
  }];
}

/**
 * Finds the environments again by the marks on their resources, where the registry was lost. What the registry knows
 * stays as it is. An environment that lacks a resource is left `creating`: `new` completes it.
 */
export async function rebuild(engine: Engine): Promise<ResourceReport[]> {
  const forks: { resource: Resource; fork: Fork }[] = [];
  for (const resource of engine.resources) {
    const context = contextOf(engine, resource.provider);
    for await (const fork of resource.provider.list(context, scopeOf(engine, resource))) forks.push({ resource, fork });
  }
  const known = new Set((await engine.registry.environments()).map(({ name }) => name));
  const lost = [...new Set(forks.map(({ fork }) => fork.marker.env))].filter((env) => !known.has(env)).sort();
  const envs = [...BASE_ENVS, ...known, ...lost];
  const reports: ResourceReport[] = [];
  for (const env of lost) {
    const own = forks.filter(({ fork }) => fork.marker.env === env && titlesMatch(engine, fork, env));
    await withLock(engine.registry, env, "rebuild", lockOptions(engine), async (worker) => {
      if (own.length === 0 || await engine.registry.environment(env) !== undefined) return;
      const rows = await Promise.all(own.map(({ resource, fork }) => inspectedRow(engine, resource, fork)));
      const isWhole = engine.resources.every(({ key }) => rows.some((row) => row.key === key && row.state === "ready"));
      await worker.write([
        statements.putEnvironment({
          name: env,
          parent: parentBy(own, envs, engine.project.name) ?? engine.project.config.parent ?? "dev",
          status: isWhole ? "ready" : "creating",
          owner: engine.owner,
          operation: own[0].fork.marker.operation,
          createdAt: own.map(({ fork }) => fork.createdAt).sort()[0],
        }),
        ...rows.map((row) => statements.putResource(row)),
      ]);
      reports.push(...rows.map((row) => reportOf(row, row.state)));
    });
  }
  return reports;
}

function titlesMatch(engine: Engine, fork: Fork, env: string): boolean {
  return engine.resources.some((resource) => titleOf(engine.project, resource, env) === fork.name);
}

async function inspectedRow(engine: Engine, resource: Resource, fork: Fork): Promise<ResourceRow> {
  const seen = await inspectResource(engine, resource, fork.name, fork.marker.env);
  const row = rowOf(resource, fork);
  return seen.state === "ready" ? row : { ...row, state: "creating" };
}

/** The environment whose resources the forks name as their parents. */
function parentBy(
  own: readonly { resource: Resource; fork: Fork }[],
  envs: readonly string[],
  project: string,
): string | undefined {
  return envs.find((env) =>
    own.some(({ resource, fork }) => fork.parentId === resourceTitle(resource.kind, project, env, resource.name))
  );
}
