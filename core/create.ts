/**
 * Making environments: whole or not at all.
 *
 * @module
 */
import { ForkstackError, isForkstackError } from "../mod.ts";
import { pointedHere } from "./checkouts.ts";
import { parentOf, type Resource, titleOf } from "./config.ts";
import { currentEnv } from "./current.ts";
import { finishRemoval, interrupted, OFF, removeRun } from "./delete.ts";
import { contextOf, type Engine, lockOptions, outputsOf, scopeOf, withLease } from "./engine.ts";
import { type Made, makeResource, standing } from "./resource.ts";
import { fileError } from "./files.ts";
import { withLock, type Worker } from "./lock.ts";
import { isPointInTime, type Plan, planNew, pointOf, type Step } from "./plan.ts";
import { type Environment, statements } from "./registry.ts";
import type { Statement } from "./sql.ts";
import { type Known, lookUp, resultOf } from "./describe.ts";
import type { EnvironmentResult } from "./report.ts";
import { freeRoom, keepRoom, type Room } from "./room.ts";
import { type Outcome, runSteps } from "./saga.ts";
import { assertRunnable, scriptsOf } from "./sanitize.ts";
import { activate } from "./switch.ts";
import * as workspace from "./workspace.ts";
import type { Variables } from "./workspace.ts";

/** What `new` is asked for. */
export interface NewOptions {
  readonly from?: string;
  /** Start without the parent's data (`"empty"`), or with that of a point in its past: see `parsePoint`. */
  readonly origin?: string;
  /** Make it current. @default {true} */
  readonly switch?: boolean;
  readonly expiresAt?: string;
}

/** What `new` would do, without doing it; asked before anything is written, so that wrong input leaves no trace. */
export async function planEnvironment(engine: Engine, env: string, options: NewOptions): Promise<Plan> {
  currentEnv(engine.project); // throws where nobody can tell it
  await workspace.checkPointers(engine, { activates: options.switch !== false });
  const plan = await planFromRegistry(engine, env, options);
  assertRunnable(resourcesToMake(plan));
  return plan;
}

function resourcesToMake({ steps }: Plan): Resource[] {
  return steps.filter(({ action }) => action === "create").map(({ resource }) => resource);
}

async function planFromRegistry(engine: Engine, env: string, options: NewOptions): Promise<Plan> {
  const { project, registry, resources } = engine;
  await registry.environment(env); // rejects where its row is damaged: it is none that is not there
  return planNew({
    env,
    parent: parentOf(project, resources, options.from),
    parentIsExplicit: options.from !== undefined,
    ...(options.origin === undefined ? {} : { origin: options.origin }),
    resources,
    titles: Object.fromEntries(resources.map((resource) => [resource.key, titleOf(project, resource, env)])),
    environments: await registry.environments(),
    rows: await registry.resources(env),
    newOperation: engine.world.newId(),
  });
}

/**
 * Makes an environment whole, or leaves nothing behind. What an earlier run left unfinished is finished. The caller has
 * asked `planEnvironment` first.
 */
export async function createEnvironment(engine: Engine, env: string, options: NewOptions): Promise<EnvironmentResult> {
  const began = performance.now();
  return await withLock(engine.registry, env, "create", lockOptions(engine), async (worker) => {
    await freeRoom(engine, env);
    let plan = await planFromRegistry(engine, env, options);
    if (plan.cleanUpFirst) {
      await finishRemoval(engine, worker, env);
      plan = await planFromRegistry(engine, env, options);
    }
    if (plan.isDone) {
      const known = await lookUp(engine, env);
      const isSwitch = options.switch !== false;
      if (isSwitch) await worker.write(await switching(engine, env));
      const changedFiles = isSwitch
        ? await activate(engine, env)
        : await workspace.changeFiles(engine, { env, activate: false });
      return { ...await resultOf(engine, env, known, began), unchanged: true, changedFiles };
    }
    const scripts = scriptsOf(resourcesToMake(plan));
    const room = await keepRoom(engine, env);
    try {
      await worker.write([statements.putEnvironment(await creating(engine, plan, options))]);
      const { known, changedFiles } = await build(engine, worker, plan, options, { room, scripts });
      return { ...await resultOf(engine, env, known, began), unchanged: false, changedFiles };
    } finally {
      await room.free();
    }
  });
}

async function creating(engine: Engine, plan: Plan, options: NewOptions): Promise<Environment> {
  const existing = await engine.registry.environment(plan.env);
  return {
    name: plan.env,
    parent: plan.parent,
    owner: existing?.owner ?? engine.owner,
    createdAt: existing?.createdAt ?? engine.world.now().toISOString(),
    ...(existing?.expiresAt ?? options.expiresAt ? { expiresAt: existing?.expiresAt ?? options.expiresAt } : {}),
    status: "creating",
    operation: plan.operation,
    ...(plan.origin === undefined ? {} : { origin: plan.origin }),
  };
}

async function switching(engine: Engine, env: string): Promise<Statement[]> {
  return [statements.touch(env, engine.world.now().toISOString()), ...await pointedHere(engine, env)];
}

/** Makes what the plan lacks; when one resource fails, what this run made is removed again. */
async function build(
  engine: Engine,
  worker: Worker,
  plan: Plan,
  options: NewOptions,
  { room, scripts }: { room: Room; scripts: Readonly<Record<string, string>> },
): Promise<{ readonly known: Known; readonly changedFiles: readonly string[] }> {
  const { env, operation, origin } = plan;
  const steps = plan.steps.filter(({ action }) => action === "create");
  const { expiresAt } = await creating(engine, plan, options);
  if (origin !== undefined && origin !== "empty") tellWithoutPast(engine, plan);
  const outcomes = await runSteps(steps, (step) =>
    makeResource(engine, worker, {
      env,
      operation,
      resource: step.resource,
      title: step.title,
      ...(step.row?.operation === operation ? { begunAt: step.row.createdAt } : {}),
      ...(origin === "empty"
        ? {}
        : { parent: { env: plan.parent, title: titleOf(engine.project, step.resource, plan.parent) } }),
      ...pointOf(step.resource, origin),
      ...(expiresAt === undefined ? {} : { expiresAt }),
      ...(scripts[step.resource.key] === undefined ? {} : { script: scripts[step.resource.key] }),
    }), { signal: worker.signal });
  const isComplete = outcomes.length === steps.length && outcomes.every(({ ok }) => ok);
  if (worker.signal.aborted && !isComplete) throw interrupted(engine, env, worker, "complete");
  let change: workspace.Change | undefined;
  try {
    const failures = outcomes.filter((outcome) => !outcome.ok);
    if (failures.length > 0) throw allFailed(env, failures);
    const variables = await allVariables(engine, plan, expiresAt, outcomes.flatMap((one) => one.ok ? [one.value] : []));
    change = await workspace.prepareFiles(engine, { env, variables, activate: options.switch !== false });
    await change.commit();
    const usedAt = options.switch === false ? {} : { usedAt: engine.world.now().toISOString() };
    const environment = { ...await creating(engine, plan, options), ...usedAt, status: "ready" as const };
    const rows = await engine.registry.resources(env);
    await worker.write([
      statements.putEnvironment(environment),
      ...(options.switch === false ? [] : await switching(engine, env)),
    ]);
    return { known: { environment, rows }, changedFiles: change.changedFiles };
  } catch (error) {
    const reason = worker.signal.reason ?? error;
    if (isForkstackError(reason) && reason.code === "LOCK_LOST") {
      if (!await isContinued(engine, env, operation)) await change?.undo();
      throw reason;
    }
    await room.free();
    const stuck = await change?.undo() ?? [];
    if (worker.signal.aborted) throw interrupted(engine, env, worker, "complete", error);
    throw await undo(engine, worker, plan, fileError(error, `make environment "${env}"`), stuck);
  }
}

/** Says which resources are forked as they are now though a point in the past was asked for. */
function tellWithoutPast(engine: Engine, { origin, steps }: Plan): void {
  const keys = steps.filter(({ resource }) => !isPointInTime(resource)).map(({ resource }) => resource.key);
  if (keys.length > 0) engine.world.warn(`As of ${origin} where that can be; as they are now: ${keys.join(", ")}`);
}

/** Whether who took over goes on with this run: then the files are right, else they name what is gone. */
async function isContinued(engine: Engine, env: string, operation: string): Promise<boolean> {
  const now = await engine.registry.environment(env);
  return now?.operation === operation && (now.status === "creating" || now.status === "ready");
}

/** The variables of all resources: of those just made, and, asked again, of those that were there. */
async function allVariables(
  engine: Engine,
  plan: Plan,
  expiresAt: string | undefined,
  made: readonly Made[],
): Promise<Variables> {
  const all = await Promise.all(plan.steps.map(async ({ resource, row }) => {
    const fresh = made.find((one) => one.row.key === resource.key);
    if (fresh !== undefined) return fresh.variables;
    const context = contextOf(engine, resource.provider);
    const held = await standing(engine, resource, row!, "use");
    return await outputsOf(context, resource, held, scopeOf(engine, resource, expiresAt));
  }));
  return withLease(plan.steps.map(({ resource }) => resource), expiresAt, all);
}

/** Removes what the run made, in reverse, and tells what failed, what was undone, and what could not be. */
async function undo(
  engine: Engine,
  worker: Worker,
  plan: Plan,
  cause: unknown,
  stuck: readonly unknown[],
): Promise<unknown> {
  const { env, operation } = plan;
  const before = await engine.registry.environment(env);
  if (before !== undefined) await worker.write([statements.putEnvironment({ ...before, status: "undoing" })]);
  const { undone, left, failures, isOff } = await removeRun(engine, worker, env, operation);
  const reason = isForkstackError(cause) ? cause : undefined;
  const message = messageOf(cause);
  if (failures.length + stuck.length > 0) {
    const left = [...failures.map(({ item }) => `${item.key} "${item.title}"`), ...stuck.map(messageOf)];
    return new ForkstackError(
      "UNDO_INCOMPLETE",
      `${message}. Undoing failed for ${left.join(", ")}`,
      {
        hint: `Remove the rest with \`forkstack delete ${env}\`, or try again with \`forkstack new ${env}\``,
        details: { env },
        cause: new AggregateError([cause, ...failures.map(({ error }) => error), ...stuck]),
      },
    );
  }
  const what = undone.length === 0 ? "Nothing had been made" : `Undone: ${undone.join(", ")}`;
  return new ForkstackError(reason?.code ?? "UNEXPECTED", message, {
    hint: [reason?.hint, `${what}; ${leftText(left)}`, isOff ? OFF : undefined].filter(Boolean).join(". "),
    retryable: reason?.retryable ?? false,
    details: { ...reason?.details, env },
    cause,
  });
}

/** What an undo left: never what nothing proves to be this run's. */
function leftText(left: readonly string[]): string {
  if (left.length === 0) return "nothing was left behind";
  return `not touched, since nothing proves that this run made it: ${left.join(", ")}`;
}

function allFailed(env: string, failures: readonly (Outcome<Step, Made> & { ok: false })[]): ForkstackError {
  const reasons = failures.map(({ item, error }) => ({
    key: item.resource.key,
    provider: item.resource.provider.name,
    error,
    message: messageOf(error),
  }));
  const first = reasons.find(({ error }) => isForkstackError(error))?.error as ForkstackError | undefined;
  return new ForkstackError(
    first?.code ?? "UNEXPECTED",
    `Cannot create environment "${env}": ${reasons.map(({ key, message }) => `${key}: ${message}`).join("; ")}`,
    {
      ...(first?.hint === undefined ? {} : { hint: first.hint }),
      retryable: first?.retryable ?? false,
      details: { ...first?.details, env, resource: reasons[0].key, provider: reasons[0].provider },
      cause: failures.length === 1 ? failures[0].error : new AggregateError(failures.map(({ error }) => error)),
    },
  );
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
