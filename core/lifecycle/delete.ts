/**
 * Taking environments away, whole or after a failed `new`, from whatever state they are in.
 *
 * @module
 */
import { ForkstackError, isForkstackError } from "../../mod.ts";
import { type CheckoutReport, checkoutReports, checkoutsToForget } from "../workspace/checkouts.ts";
import { assertNotOriginals } from "../engine/copied.ts";
import { type Current, currentEnv, leftText, withoutPointer } from "../workspace/current.ts";
import type { Engine } from "../engine/engine.ts";
import { type Removed, removeResource } from "../engine/resource.ts";
import { leave } from "../workspace/leave.ts";
import type { Worker } from "../state/lock.ts";
import { assertUnprotected, madeEnvironment, type RecordedEnvironment } from "./find_environment.ts";
import { type EnvironmentReport, environmentReport } from "./report.ts";
import { freeRoom } from "./disk_reserve.ts";
import { type Outcome, runSteps } from "../system/concurrency.ts";
import * as workspace from "../workspace/env_files.ts";
import { reasonOf } from "../text/printable.ts";
import type { Environment, KeptFork, ResourceRow } from "../state/records.ts";
import { statements } from "../state/statements.ts";
import { titleOf } from "../project/project.ts";
import { elapsed, reportOf, type ResourceReport } from "../engine/resource_report.ts";
import { contextOf, journalOf, markerOf, scopeOf } from "../engine/context.ts";
import { underLock } from "../engine/under_lock.ts";

/** The result of `delete`. */
export interface DeleteResult {
  readonly environment: EnvironmentReport;
  readonly resources: readonly ResourceReport[];
  readonly durationMs: number;
  /** This directory pointed to it, and has no pointer now. */
  readonly left?: true;
  /** The environment of this directory after the deletion. */
  readonly current?: Current;
}

/** An environment that is to go, with what goes with it. */
export interface PlannedDeletion {
  readonly environment: Environment;
  readonly rows: readonly ResourceRow[];
  /** Directories that are on it. */
  readonly checkouts: readonly CheckoutReport[];
}

/** Lists the resources that `delete` would remove. */
export async function planDeletion(engine: Engine, env: string): Promise<PlannedDeletion> {
  assertDeletable(engine, env);
  return await deletionOf(engine, await madeEnvironment(engine, env, "delete"));
}

function assertDeletable({ project }: Engine, env: string): void {
  currentEnv(project); // throws where nobody can tell it
  assertUnprotected(project, env, `delete environment "${env}"`);
}

async function deletionOf(engine: Engine, environment: Environment): Promise<PlannedDeletion> {
  const rows = await engine.registry.resources(environment.name);
  await assertNotOriginals(engine, rows, "delete");
  return { environment, rows, checkouts: (await checkoutReports(engine))(environment.name) };
}

/** Options of `delete`. */
export interface DeleteOptions {
  /** Keep no backup, and take earlier ones away. @default {false} */
  readonly purge?: boolean;
}

/** Takes an environment away, from whatever state it is in. */
export async function deleteEnvironment(
  engine: Engine,
  env: string,
  { purge = false }: DeleteOptions = {},
): Promise<DeleteResult> {
  const began = performance.now();
  await planDeletion(engine, env);
  return await underLock(engine, env, "delete", async (worker) => {
    await freeRoom(engine, env);
    const result = await deleted(engine, worker, await planDeletion(engine, env), { keep: !purge, began });
    if (purge) {
      await purgeAll(engine, worker, env).catch((error) => {
        throw notPurged(env, error);
      });
    }
    return result;
  });
}

/** Takes an environment away if it is meant as it stands under its lock; gives `undefined` if not, or if it is gone. */
export async function deleteEnvironmentIf(
  engine: Engine,
  env: string,
  isMeant: (environment: Environment) => boolean,
): Promise<DeleteResult | undefined> {
  const began = performance.now();
  return await underLock(engine, env, "delete", async (worker) => {
    const environment = await engine.registry.environment(env);
    if (environment === undefined || !isMeant(environment)) return undefined;
    await freeRoom(engine, env);
    assertDeletable(engine, env);
    return await deleted(engine, worker, await deletionOf(engine, environment), { keep: true, began });
  });
}

async function deleted(
  engine: Engine,
  worker: Worker,
  { environment, rows, checkouts }: PlannedDeletion,
  { keep, began }: { readonly keep: boolean; readonly began: number },
): Promise<DeleteResult> {
  const { outcomes, failures, isLeft } = await removeAll(engine, worker, { environment, rows }, keep);
  if (failures.length > 0) throw partlyDeleted(engine, environment.name, { failures, tried: outcomes.length, isLeft });
  const removed = new Map(outcomes.flatMap((one) => one.ok ? [[one.item.key, one.value]] : []));
  const others = checkouts.filter(({ current }) => !current);
  return {
    environment: { ...environmentReport(engine, environment, others), status: "deleting", current: false },
    resources: rows.map((row) => ({ ...reportOf(row, "absent"), ...removed.get(row.key) })),
    durationMs: elapsed(began),
    left: isLeft ? true : undefined,
    current: isLeft ? withoutPointer(engine.project) : undefined,
  };
}

/** Lists the backups of a deleted environment, which `delete --purge` removes. */
export async function keptForks(engine: Engine, env: string): Promise<KeptFork[]> {
  return (await engine.registry.kept()).filter((one) => one.env === env);
}

/** Takes away what was kept of an environment; gives what that was. */
export async function purgeKept(engine: Engine, env: string): Promise<KeptFork[]> {
  return await underLock(engine, env, "purge", (worker) => purgeAll(engine, worker, env));
}

async function purgeAll(engine: Engine, worker: Worker, env: string): Promise<KeptFork[]> {
  const kept = await keptForks(engine, env);
  for (const { resource: key, operation, id, at } of kept) {
    const resource = engine.resources.find((one) => one.key === key);
    if (resource === undefined) {
      throw new ForkstackError("CONFIG_INVALID", `Cannot purge ${key} of "${env}": forkstack.json declares no ${key}`, {
        hint: `Declare it as it was, or delete "${id}" at the vendor`,
        details: { env, resource: key },
      });
    }
    const title = titleOf(engine.project, resource, env);
    const { kind, provider, options } = resource;
    const row = { env, key, kind, provider: provider.name, options, operation, title };
    await assertNotOriginals(engine, [row], "delete");
    const marker = markerOf(engine, row);
    const line = { ...journalOf(engine, marker, "purge"), id };
    await worker.write([statements.journal({ ...line, phase: "intent" })]);
    const fork = { id, name: title, marker, createdAt: at };
    const context = contextOf(engine, resource.provider, { worker, marker });
    await resource.provider.delete(context, fork, scopeOf(engine, resource));
    await worker.write([statements.journal({ ...line, phase: "done" })]);
  }
  return kept;
}

function notPurged(env: string, error: unknown): ForkstackError {
  return new ForkstackError(
    "DELETE_INCOMPLETE",
    `Cannot delete all backups of environment "${env}"; the environment itself is deleted: ${reasonOf(error)}`,
    {
      hint: `Fix the cause and run \`forkstack delete ${env} --purge\` again`,
      retryable: true,
      details: { env },
      cause: error,
    },
  );
}

async function removeAll(
  engine: Engine,
  worker: Worker,
  { environment, rows }: Pick<PlannedDeletion, "environment" | "rows">,
  keep = true,
) {
  const env = environment.name;
  await worker.write([statements.putEnvironment({ ...environment, status: "deleting" })]); // before `leave`: see switch
  const isLeft = await leave(engine, env); // before anything goes: the app never meets a half-deleted environment
  const outcomes = await runSteps(
    rows.toReversed(),
    (row) => removeResource(engine, worker, row, { environment, keep }),
    {
      goOn: true,
      signal: worker.signal,
    },
  );
  if (worker.signal.aborted && outcomes.length < rows.length) {
    throw interrupted(engine, worker, { env, isNot: "deleted" });
  }
  const failures = outcomes.filter((outcome) => !outcome.ok);
  if (failures.length === 0) {
    await workspace.removeVariables(engine, env);
    const forgotten = await checkoutsToForget(engine, env);
    await worker.write([
      statements.dropEnvironment(env),
      statements.dropAdoption(env),
      ...forgotten.map(statements.dropCheckout),
    ]);
  }
  return { outcomes, failures, isLeft };
}

/** A deletion that failed for some of its resources, or for all. */
interface PartlyDeleted {
  readonly failures: readonly (Outcome<ResourceRow, unknown> & { ok: false })[];
  /** The number of resources that were to be deleted. */
  readonly tried: number;
  /** True if this directory used the environment and does no longer. */
  readonly isLeft?: boolean;
}

function partlyDeleted(engine: Engine, env: string, { failures, tried, isLeft }: PartlyDeleted): ForkstackError {
  const reasons = failures.map(({ item, error }) => reasonOf(error, item.key));
  const hints = new Set(failures.flatMap(({ error }) => isForkstackError(error) && error.hint ? [error.hint] : []));
  const rest = failures.length < tried ? "The rest is deleted. " : "";
  hints.add(`${rest}Fix the cause and run \`forkstack delete ${env}\` again`);
  if (isLeft) hints.add(leftText(engine.project, env));
  return new ForkstackError("DELETE_INCOMPLETE", `Cannot delete all of environment "${env}": ${reasons.join("; ")}`, {
    hint: [...hints].join(". "),
    retryable: true,
    details: { env },
    cause: new AggregateError(failures.map(({ error }) => error)),
  });
}

/** Removes those of an environment's resources that its run made, and the environment if it has no others. */
export async function removeRun(
  engine: Engine,
  worker: Worker,
  environment: Environment,
  rows: readonly ResourceRow[],
) {
  const { name: env, operation } = environment;
  const ours = rows.filter((row) => row.operation === operation).toReversed();
  const others = rows.filter((row) => row.operation !== operation);
  const outcomes = await runSteps(ours, (row) => removeResource(engine, worker, row, { environment, isUndo: true }), {
    goOn: true,
    signal: worker.signal,
  });
  const failures = outcomes.filter((outcome) => !outcome.ok);
  const keysOf = (state: Removed["state"]) =>
    outcomes.flatMap((one) => one.ok && one.value.state === state ? [one.item.key] : []);
  if (worker.signal.aborted && outcomes.length < ours.length) {
    throw interrupted(engine, worker, { env, isNot: "undone" });
  }
  const report = { rows: ours, undone: keysOf("deleted"), left: keysOf("kept"), failures };
  if (failures.length > 0) return { ...report, isOff: false, rest: { environment, rows } };
  if (others.length > 0) {
    const ready: Environment = { ...environment, status: "ready" };
    await worker.write([statements.putEnvironment(ready)]);
    return { ...report, isOff: false, rest: { environment: ready, rows: others } };
  }
  return { ...report, isOff: await dropEmpty(engine, worker, env), rest: NOTHING };
}

/** The recorded facts on an environment that is gone. */
const NOTHING: RecordedEnvironment = { environment: undefined, rows: [] };

/** Drops an environment that has nothing left; tells whether this directory pointed to it until now. */
async function dropEmpty(engine: Engine, worker: Worker, env: string): Promise<boolean> {
  const isLeft = await leave(engine, env);
  await workspace.removeVariables(engine, env);
  await worker.write([statements.dropEnvironment(env), statements.dropAdoption(env)]);
  return isLeft;
}

/** Finishes what an earlier `delete`, or the undoing of a `new`, had begun; gives what is recorded from then on. */
export async function finishRemoval(
  engine: Engine,
  worker: Worker,
  known: RecordedEnvironment,
): Promise<RecordedEnvironment> {
  const { environment, rows } = known;
  if (environment?.status === "undoing") {
    const { rows: ours, failures, rest } = await removeRun(engine, worker, environment, rows);
    if (failures.length > 0) throw partlyDeleted(engine, environment.name, { failures, tried: ours.length });
    return rest;
  }
  if (environment?.status !== "deleting") return known; // finished by another, and perhaps made again
  const { failures } = await removeAll(engine, worker, { environment, rows });
  if (failures.length > 0) throw partlyDeleted(engine, environment.name, { failures, tried: rows.length });
  return NOTHING;
}

/**
 * Returns the reason why a command stops before its end: an abort, or another worker that took over the environment.
 */
export function interrupted(
  engine: Engine,
  worker: Worker,
  { env, isNot, cause }: {
    readonly env: string;
    readonly isNot: "complete" | "deleted" | "undone";
    readonly cause?: unknown;
  },
): unknown {
  if (!engine.signal.aborted) return worker.signal.reason;
  const goOn = isNot === "complete" ? `Continue with \`forkstack new ${env}\`, or remove it` : "Continue";
  return new ForkstackError("INTERRUPTED", `Stopped: environment "${env}" is not ${isNot} yet`, {
    hint: `${goOn} with \`forkstack delete ${env}\``,
    details: { env },
    cause,
  });
}
