/**
 * Steps on one resource: it is made, looked at and removed, each with its intent in the journal before it and its outcome
 * after; and whose it is.
 *
 * @module
 */
import { ForkstackError, isForkstackError, resourceTitle } from "../../mod.ts";
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
import type { Resource } from "../project/project.ts";
import type { Variables } from "../secret.ts";
import { reportOf } from "./resource_report.ts";
import { outputsOf } from "./outputs.ts";
import { contextOf, inspectResource, journalOf, markerOf, recordedResource, scopeOf } from "./context.ts";

/** What a resource is to be forked from. */
export interface ParentSpec {
  readonly env: string;
  readonly title: string;
}

/** What is wanted of one resource of a new environment. */
export interface ResourceSpec {
  readonly env: string;
  readonly operation: string;
  readonly resource: Resource;
  readonly title: string;
  /** Absent if it is to start empty. */
  readonly parent?: ParentSpec;
  /** The point in the parent's past, for a provider that can go there. */
  readonly at?: string;
  readonly expiresAt?: string;
  /** How its environment comes to be, for the mark. */
  readonly making: Pick<Environment, "parent" | "origin" | "expiresAt">;
  /** When an earlier attempt of the operation put its intent on record; absent if there was none. */
  readonly begunAt?: string;
  /** The text of the script that makes the fork fit to be handed out. */
  readonly script?: string;
}

/** A resource that is there and answers, with its variables. */
export interface Made {
  readonly row: ResourceRow;
  readonly variables: Variables;
}

/** The target of a resource that is wanted. */
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

/** Text for a mark on how its environment came to be; its lease only where `extend` can change the mark. */
export function madeFor({ provider }: Pick<Resource, "provider">, making: ResourceSpec["making"]): string {
  const { parent, origin, expiresAt = null } = making;
  return formatMaking({
    parent,
    origin,
    expiresAt: provider.remark === undefined ? undefined : expiresAt,
  });
}

/** Codes of calls that were never sent, or refused before anything was done. */
const NOTHING_DONE = /^(CREDENTIALS_|NETWORK_(DENIED|UNREACHABLE)$)/;

function isNothingDone(error: unknown): boolean {
  return isForkstackError(error) && NOTHING_DONE.test(error.code);
}

/** Makes one resource, or finishes what an earlier attempt of the operation began, and waits until it answers. */
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

/** Makes a fork and waits until it answers. */
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

/** One resource that a run makes. */
interface Making {
  readonly engine: Engine;
  readonly worker: Worker;
  readonly context: Context;
  readonly wanted: ResourceSpec;
  readonly target: Target<unknown>;
}

/**
 * Runs the script on a new fork, once. Where an earlier attempt began it and never told that it ended, nobody knows how
 * far it came: that fork goes, and the script runs on another.
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
 * Where the mark comes after the thing, or nowhere, nothing may stand at the place before the intent: what appears there
 * later may then be this run's work.
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

/** A fork's parent must not be another stack's: derived names of two projects can be equal. */
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

/** How a resource is to go. */
export interface RemovalOptions {
  /** What is recorded of its environment, if anything is. */
  readonly environment: Environment | undefined;
  /** Let a provider that can put it aside, as a backup. @default {false} */
  readonly keep?: boolean;
  /** Take back what a run made: what it took over stays. @default {false} */
  readonly isUndo?: boolean;
}

/**
 * Removes one resource by what is recorded of it: only what bears our marker. `kept`: it is not ours, or with `keep` a
 * provider that can has put it aside.
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

/** Deletes a fork, or with `keep` puts it aside where its provider can. */
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

/** Where nothing of ours was found: whether something stands there without a mark, which is left alone and told. */
async function leftUnmarked(engine: Engine, resource: Resource, row: ResourceRow): Promise<"absent" | "kept"> {
  if (resource.provider.capabilities.ownership === "recorded") return "absent";
  const seen = await inspectResource(engine, resource, row, [row]);
  if (seen.state !== "foreign" || seen.holder !== undefined) return "absent";
  engine.world.warn(`Not touched: ${resource.provider.name} "${row.title}": ${seen.reason}`);
  return "kept";
}

/** What became of a resource that was to go. */
export interface Removed {
  readonly state: "deleted" | "absent" | "kept";
  /** What it is called now, where it was put aside. */
  readonly backup?: string;
}

/** What a create whose answer never came had asked for: its parent is the vendor's proof of what it made. */
function unansweredTarget(
  engine: Engine,
  row: ResourceRow,
  environment: Environment | undefined,
  scope: Scope<unknown>,
): Target<unknown> {
  const parent = environment === undefined || environment.origin === "empty"
    ? undefined
    : resourceTitle(row.kind, engine.project.name, environment.parent, row.name);
  return {
    ...scope,
    name: row.title,
    parent,
    marker: markerOf(engine, row),
    begunAt: row.createdAt,
    isResumed: true,
  };
}

/** A create whose answer never came: the vendor is asked what became of it. */
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

/** Errors of a place that can hold no fork: an old server, a cluster, a mount or a project that is not there. */
const NO_PLACE = /^(CONFIG_|PROVIDER_REFUSED$|TOOL_OUTDATED$)|NOT_FOUND$/;

/**
 * Whether a provider that can't look would have refused the create as well, which begins with the same look, and no
 * answer of the vendor is on record. What came to be all the same bears a mark, and `doctor` shows it.
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
