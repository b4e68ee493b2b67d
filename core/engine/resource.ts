/**
 * Steps on one resource: create, inspect and remove, each with its intent in the journal before it and its outcome
 * after; and checks of ownership.
 *
 * @module
 */
import { ForkstackError, isForkstackError } from "../../mod.ts";
import { assertNotOriginals } from "./copied.ts";
import type { Engine } from "./engine.ts";
import { fileError } from "../system/files.ts";
import { isRead } from "../system/repeat.ts";
import type { Worker } from "../state/lock.ts";
import { assertOwn, standing } from "./look.ts";
import { formatMaking } from "../marker.ts";
import type { Context, Created, Fork, Held, Inspection, Marker, Provider, Scope, Target } from "../provider.ts";
import { poll } from "../system/poll.ts";
import { sanitize } from "./sanitize.ts";
import { messageOf } from "../text/printable.ts";
import { type Environment, forkOf, type ResourceRow } from "../state/records.ts";
import { statements } from "../state/statements.ts";
import { type Resource, uncheckedTitle } from "../project/project.ts";
import type { Variables } from "../secret.ts";
import { reportOf } from "./resource_report.ts";
import { outputsOf } from "./outputs.ts";
import { contextOf, inspectResource, journalOf, markerOf, recordedResource, scopeOf } from "./context.ts";

/** The parent of a new fork. */
export interface ParentSpec {
  readonly env: string;
  readonly title: string;
}

/** The request for one resource of a new environment. */
export interface ResourceSpec {
  readonly env: string;
  readonly operation: string;
  readonly resource: Resource;
  readonly title: string;
  /** Absent: the fork starts empty. */
  readonly parent?: ParentSpec;
  /** The point in the parent's past, for a provider with `pointInTime`. */
  readonly at?: string;
  readonly expiresAt?: string;
  /** Parent, origin and lease of its environment, for the marker. */
  readonly making: Pick<Environment, "parent" | "origin" | "expiresAt">;
  /** The instant at which an earlier attempt of the operation wrote its intent; absent if there was none. */
  readonly begunAt?: string;
  /** The text of the `sanitize` script that runs before anyone gets the fork. */
  readonly script?: string;
}

/** A new resource that answers, with its variables. */
export interface Made {
  readonly row: ResourceRow;
  readonly variables: Variables;
}

/** Returns the target of a requested resource. */
export function targetOf(engine: Engine, wanted: ResourceSpec): Target<unknown> {
  const { env, operation, resource, title, parent, at, expiresAt } = wanted;
  return {
    ...scopeOf(engine, resource),
    name: title,
    parent: parent?.title,
    at,
    marker: {
      ...markerOf(engine, { env, key: resource.key, title, operation }),
      made: madeFor(resource, wanted.making),
    },
    begunAt: wanted.begunAt ?? engine.world.now().toISOString(),
    isResumed: wanted.begunAt !== undefined,
    expiresAt,
  };
}

/**
 * Returns the text for a marker on how its environment was made; with the lease only if `remark` can change the marker.
 */
export function madeFor({ provider }: Pick<Resource, "provider">, making: ResourceSpec["making"]): string {
  const { parent, origin, expiresAt = null } = making;
  return formatMaking({
    parent,
    origin,
    expiresAt: provider.remark === undefined ? undefined : expiresAt,
  });
}

/** Codes of calls that were never sent, or were refused before they changed anything. */
const NOTHING_DONE = /^(CREDENTIALS_|NETWORK_(DENIED|UNREACHABLE)$)/;

function isNothingDone(error: unknown): boolean {
  return isForkstackError(error) && NOTHING_DONE.test(error.code);
}

/** Creates one resource, or completes an earlier attempt of the operation, and waits until it answers. */
export async function makeResource(engine: Engine, worker: Worker, wanted: ResourceSpec): Promise<Made> {
  const { resource, title } = wanted;
  const { provider } = resource;
  const began = engine.world.monotonicMs();
  const target = targetOf(engine, wanted);
  const row: ResourceRow = {
    env: wanted.env,
    key: resource.key,
    kind: resource.kind,
    name: resource.name,
    provider: provider.name,
    title,
    state: "creating",
    operation: wanted.operation,
    createdAt: target.begunAt,
    options: resource.options,
  };
  const context = contextOf(engine, provider, { worker, marker: target.marker, rows: [row] });
  let isBegun = wanted.begunAt !== undefined;
  const recording: Context = {
    ...context,
    async fetch(request) {
      const mayChange = !isRead(request);
      try {
        const response = await context.fetch(request);
        isBegun ||= mayChange && response.status !== 401 && response.status !== 403;
        return response;
      } catch (error) {
        isBegun ||= mayChange && !isNothingDone(error);
        throw error;
      }
    },
    async record(step, id) {
      isBegun = true;
      await context.record(step, id);
    },
  };
  try {
    if (wanted.begunAt === undefined) {
      // A provider that refuses does so here, before an intent that would have to be undone. With a parent and a mark that
      // comes with the thing, the look at the parent is enough.
      const isMarked = provider.capabilities.ownership === "marked";
      const seen = isMarked && wanted.parent !== undefined ? undefined : await provider.inspect(context, target);
      if (seen !== undefined && !isMarked) assertAbsent(provider, target, seen);
      await assertParent(engine, resource, wanted.parent);
    }
    await worker.write([
      statements.putResource(row),
      statements.journal({ ...journalOf(engine, target.marker, "create"), phase: "intent" }),
    ]);
    const created = await createUsable(engine, recording, provider, target);
    isBegun = true;
    const { outputs, ...fork } = wanted.script === undefined
      ? created
      : await sanitized({ engine, worker, context: recording, wanted, target }, created);
    const variables = await outputsOf(engine, {
      context: recording,
      resource,
      held: fork,
      scope: target,
      given: outputs,
    });
    const made: ResourceRow = {
      ...row,
      state: "ready",
      id: fork.id,
      parentId: fork.parentId,
      fork: fork.copy,
      createdAt: fork.createdAt,
    };
    await worker.write([
      statements.putResource(made),
      statements.journal({ ...journalOf(engine, target.marker, "create"), phase: "done", id: fork.id }),
    ]);
    engine.onProgress?.(reportOf(made, "ready", engine.world.monotonicMs() - began));
    return { row: made, variables };
  } catch (error) {
    const known = fileError(error, `make ${resource.key} "${title}"`);
    if (!isBegun && isNothingDone(known)) {
      // Undoing would only meet the same refusal.
      await worker.write([
        statements.dropResource(wanted.env, resource.key),
        statements.journal({ ...journalOf(engine, target.marker, "create"), phase: "failed" }),
      ]);
    }
    if (!worker.signal.aborted) {
      engine.onProgress?.({ ...reportOf(row, "failed", engine.world.monotonicMs() - began), error: shownError(known) });
    }
    throw known;
  }
}

const PROBE_DEADLINE_MS = 120_000;

/** Creates a fork and waits until it answers. */
async function createUsable(
  engine: Engine,
  context: Context,
  provider: Provider,
  target: Target<unknown>,
): Promise<Created> {
  const created = await provider.create(context, target);
  const isPassing = (error: unknown) => isForkstackError(error) && error.retryable;
  const clock = () => engine.world.monotonicMs();
  const pace = { what: `use "${created.name}"`, deadlineMs: PROBE_DEADLINE_MS, firstMs: 50, mostMs: 2_000 };
  await poll<true>(context, { ...pace, clock, isPassing }, async () => {
    await provider.probe(context, created, target);
    return true;
  });
  return created;
}

/** The arguments of the steps that create one resource. */
interface Making {
  readonly engine: Engine;
  readonly worker: Worker;
  readonly context: Context;
  readonly wanted: ResourceSpec;
  readonly target: Target<unknown>;
}

/**
 * Runs the script on a new fork, once. If an earlier attempt began it and recorded no end, how far it came is unknown:
 * that fork is deleted, and the script runs on a new one.
 */
async function sanitized({ engine, worker, context, wanted, target }: Making, made: Created): Promise<Created> {
  const { resource, title, script } = wanted;
  const { env, operation } = target.marker;
  const line = journalOf(engine, target.marker, "sanitize");
  const earlier = (await engine.registry.journal(env)).filter((one) =>
    one.operation === operation && one.resource === resource.key && one.step === "sanitize" && one.id === made.id
  );
  if (earlier.some(({ phase }) => phase === "done")) return made;
  let fork = made;
  if (earlier.length > 0) {
    await resource.provider.delete(context, made, target);
    fork = await createUsable(engine, context, resource.provider, target);
  }
  await worker.write([statements.journal({ ...line, phase: "intent", id: fork.id })]);
  await sanitize(resource, title, () => resource.provider.execute!(context, fork, target, script!));
  await worker.write([statements.journal({ ...line, phase: "done", id: fork.id })]);
  return fork;
}

/**
 * Refuses a place that is not empty, for providers that mark late or never: the place must be empty before the intent
 * is written, so that a thing which appears later may be this run's work.
 */
function assertAbsent(provider: Provider, target: Target<unknown>, seen: Inspection): void {
  if (seen.state === "absent") return;
  const { env, resource } = target.marker;
  const why = seen.state === "foreign" ? seen.reason : `operation ${seen.fork.marker.operation} made it`;
  throw new ForkstackError(
    "FOREIGN",
    `Cannot make ${resource} "${target.name}": ${provider.name} has one already: ${why}`,
    {
      hint: "Rename it at the vendor, or choose another environment name",
      details: { env, resource, provider: provider.name },
    },
  );
}

/** Refuses a parent that belongs to another stack: derived names of two projects can be equal. */
export async function assertParent(
  engine: Engine,
  resource: Resource,
  parent: ParentSpec | undefined,
): Promise<void> {
  if (parent === undefined) return;
  const row = (await engine.registry.resources(parent.env)).find(({ key }) => key === resource.key);
  if (row !== undefined) {
    await standing(engine, resource, row, "fork");
    return;
  }
  if (resource.provider.capabilities.ownership === "recorded") return; // which bears no mark
  assertOwn(resource, parent.title, await inspectResource(engine, resource, parent), "fork");
}

/** Options of `removeResource`. */
export interface RemovalOptions {
  /** The recorded environment; `undefined` if no row is left. */
  readonly environment: Environment | undefined;
  /** Keep the fork as a backup if its provider can. @default {false} */
  readonly keep?: boolean;
  /** Undo a failed run: things that it took over stay. @default {false} */
  readonly isUndo?: boolean;
}

/**
 * Removes one recorded resource, if it bears our marker. The state is `"kept"` if the thing is not ours, or if with
 * `keep` its provider has made it a backup.
 */
export async function removeResource(
  engine: Engine,
  worker: Worker,
  row: ResourceRow,
  { environment, keep = false, isUndo = false }: RemovalOptions,
): Promise<Removed> {
  const began = engine.world.monotonicMs();
  const marker = markerOf(engine, row);
  const line = journalOf(engine, marker, "delete");
  await worker.write([
    statements.putResource({ ...row, state: "deleting" }),
    statements.journal({ ...line, phase: "intent", id: row.id }),
  ]);
  try {
    await assertNotOriginals(engine, [row], "delete");
    const resource = await recordedResource(engine, row);
    const { provider } = resource;
    const scope = scopeOf(engine, resource);
    const context = contextOf(engine, provider, { worker, marker, rows: [row] });
    const isTaken = isUndo && await engine.registry.isTakenOver(row.key, row.operation);
    let held: Fork | "foreign" | undefined = isTaken ? "foreign" : forkOf(row, marker);
    if (held === undefined) {
      const target = unansweredTarget(engine, row, environment, scope);
      held = await unansweredFork(engine, context, provider, target);
    }
    const isKept = keep && row.id !== undefined;
    const { found, backup } = await takeAway(context, provider, scope, { held, keep: isKept });
    const state = found === "absent" && row.id !== undefined ? await leftUnmarked(engine, resource, row) : found;
    const last = [statements.journal({ ...line, phase: "done", id: row.id })];
    if (backup !== undefined) {
      last.unshift(statements.journal({ ...journalOf(engine, marker, "keep"), phase: "done", id: backup.id }));
    }
    await worker.write([statements.dropResource(row.env, row.key), ...last]);
    const removed: Removed = { state, backup: backup?.name };
    engine.onProgress?.({ ...reportOf(row, state, engine.world.monotonicMs() - began), ...removed });
    return removed;
  } catch (error) {
    const known = fileError(error, `delete ${row.key} "${row.title}"`);
    if (!worker.signal.aborted) {
      engine.onProgress?.({ ...reportOf(row, "failed", engine.world.monotonicMs() - began), error: shownError(known) });
    }
    throw known;
  }
}

/** Deletes a fork, or with `keep` makes it a backup if its provider can. */
async function takeAway(
  context: Context,
  provider: Provider,
  scope: Scope<unknown>,
  { held, keep }: { readonly held: Fork | "foreign" | undefined; readonly keep: boolean },
): Promise<{ readonly found: Removed["state"]; readonly backup?: Held }> {
  if (held === "foreign") return { found: "kept" };
  if (held === undefined) return { found: "absent" };
  if (!keep || provider.keep === undefined) return { found: await provider.delete(context, held, scope) };
  const backup = await provider.keep(context, held, scope);
  return backup === "absent" ? { found: "absent" } : { found: "kept", backup };
}

/** Looks for an unmarked thing at the place of a fork that was not found; leaves it unchanged and warns. */
async function leftUnmarked(engine: Engine, resource: Resource, row: ResourceRow): Promise<"absent" | "kept"> {
  if (resource.provider.capabilities.ownership === "recorded") return "absent";
  const seen = await inspectResource(engine, resource, row, [row]);
  if (seen.state !== "foreign" || seen.holder !== undefined) return "absent";
  engine.world.warn(`Not touched: ${resource.provider.name} "${row.title}": ${seen.reason}`);
  return "kept";
}

/** The result of `removeResource`. */
export interface Removed {
  readonly state: "deleted" | "absent" | "kept";
  /** Name of the backup, if one was made. */
  readonly backup?: string;
}

/** Rebuilds the target of a create whose answer never came. Its parent lets the vendor prove what that call created. */
function unansweredTarget(
  engine: Engine,
  row: ResourceRow,
  environment: Environment | undefined,
  scope: Scope<unknown>,
): Target<unknown> {
  const parent = environment === undefined || environment.origin === "empty"
    ? undefined
    : uncheckedTitle(engine.project, row, environment.parent);
  return {
    ...scope,
    name: row.title,
    parent,
    marker: markerOf(engine, row),
    begunAt: row.createdAt,
    isResumed: true,
  };
}

/** Asks the vendor for the fork of a create whose answer never came. */
async function unansweredFork(
  engine: Engine,
  context: Context,
  provider: Provider,
  target: Target<unknown>,
): Promise<Fork | undefined | "foreign"> {
  const { marker } = target;
  let seen: Inspection;
  try {
    seen = await provider.inspect(context, target);
  } catch (error) {
    if (!await isRefusedForGood(engine, marker, error)) throw error;
    engine.world.warn(
      `Not looked at: ${marker.resource} "${target.name}": ${
        (error as Error).message
      }. No answer is on record that it was made`,
    );
    return undefined;
  }
  if (seen.state === "absent") return undefined;
  if (seen.state === "foreign" || seen.fork.marker.operation !== marker.operation) return "foreign";
  await context.record("proven", seen.fork.id);
  return seen.fork;
}

/** Codes of errors about a place that can hold no fork: an old server, a cluster, a missing mount or project. */
const NO_PLACE = /^(CONFIG_|PROVIDER_REFUSED$|TOOL_OUTDATED$)|NOT_FOUND$/;

/**
 * Returns true if `inspect` failed with an error with which `create` would have failed too, and no answer of the vendor
 * is on record. If a fork was made all the same, it bears a marker, and `doctor` shows it.
 */
async function isRefusedForGood(
  engine: Engine,
  { env, resource, operation }: Marker,
  error: unknown,
): Promise<boolean> {
  if (!isForkstackError(error) || error.retryable || !NO_PLACE.test(error.code)) return false;
  return (await engine.registry.recorded(env, resource, operation)).length === 0;
}

function shownError(error: unknown): { code: string; message: string } {
  if (isForkstackError(error)) return { code: error.code, message: error.message };
  return { code: "UNEXPECTED", message: messageOf(error) };
}
