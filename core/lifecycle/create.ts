/**
 * Making environments: whole or not at all.
 *
 * @module
 */
import { ForkstackError, isForkstackError } from "../../mod.ts";
import { askVariables } from "./variables.ts";
import { pointedHere } from "../workspace/checkouts.ts";
import { currentEnv, leftText } from "../workspace/current.ts";
import { finishRemoval, interrupted, removeRun } from "./delete.ts";
import type { Engine } from "../engine/engine.ts";
import { type Made, makeResource, removeResource, type ResourceSpec } from "../engine/resource.ts";
import { fileError } from "../system/files.ts";
import type { Worker } from "../state/lock.ts";
import { resultOf } from "./describe.ts";
import { assertStanding, lookAt, type Looked } from "../engine/look.ts";
import { assertLeased, assertUnprotected, type RecordedEnvironment, recordedEnvironment } from "./find_environment.ts";
import { isPointInTime, type Plan, planNew, pointOf, type Step } from "./plan.ts";
import type { Held } from "../provider.ts";
import type { Statement } from "../state/sql.ts";
import type { EnvironmentResult } from "./report.ts";
import { freeRoom, keepRoom, type Room } from "./disk_reserve.ts";
import { runSteps } from "../system/concurrency.ts";
import { assertRunnable, scriptsOf } from "../engine/sanitize.ts";
import { isCurrent } from "./switch.ts";
import * as workspace from "../workspace/env_files.ts";
import { messageOf, reasonOf } from "../text/printable.ts";
import type { Environment, ResourceRow } from "../state/records.ts";
import { statements } from "../state/statements.ts";
import { parentOf, type Resource, titleOf } from "../project/project.ts";
import type { Variables } from "../secret.ts";
import { allOutputs, outputsOf } from "../engine/outputs.ts";
import { contextOf, journalOf, markerOf, scopeOf } from "../engine/context.ts";
import { underLock } from "../engine/under_lock.ts";

/** Options of `new`. */
export interface NewOptions {
  readonly from?: string;
  /** Start without the parent's data (`"empty"`), or with that of a point in its past: see `parsePoint`. */
  readonly origin?: string;
  /** Make it current. @default {true} */
  readonly switch?: boolean;
  readonly expiresAt?: string;
}

/** Plans a `new` without doing it, before anything is written, so that wrong input leaves no trace. */
export async function planEnvironment(engine: Engine, env: string, options: NewOptions): Promise<Plan> {
  currentEnv(engine.project); // throws where nobody can tell it
  await workspace.checkPointers(engine, { activates: options.switch !== false });
  const known = await recordedEnvironment(engine, env);
  const plan = await planFrom(engine, env, options, known);
  assertRunnable(resourcesToMake(plan));
  return plan;
}

function resourcesToMake({ steps }: Plan): Resource[] {
  return steps.filter(({ action }) => action === "create").map(({ resource }) => resource);
}

async function planFrom(
  engine: Engine,
  env: string,
  options: NewOptions,
  { environment, rows }: RecordedEnvironment,
): Promise<Plan> {
  const { project, registry, resources } = engine;
  // Of this one what was read before counts: a process that stood still in between may have lost its lock.
  const others = (await registry.environments()).filter(({ name }) => name !== env);
  return planNew({
    env,
    parent: parentOf(project, resources, options.from),
    parentIsExplicit: options.from !== undefined,
    origin: options.origin,
    resources,
    titles: Object.fromEntries(resources.map((resource) => [resource.key, titleOf(project, resource, env)])),
    environments: environment === undefined ? others : [...others, environment],
    rows,
    newOperation: engine.world.newId(),
  });
}

/** A run of `new`, with the recorded facts on its environment, which are read once under the lock. */
interface Run {
  readonly engine: Engine;
  readonly worker: Worker;
  readonly plan: Plan;
  /** The environment as this run records it: `creating`. */
  readonly environment: Environment;
  /** The rows before this run made any. */
  readonly rows: readonly ResourceRow[];
  /** The resources that stand already, by key. */
  readonly held: ReadonlyMap<string, Held>;
  readonly scripts: Readonly<Record<string, string>>;
  readonly room: Room;
  /** Make it current. */
  readonly activate: boolean;
}

/**
 * Makes an environment whole, or leaves nothing behind. What an earlier run left unfinished is finished. The caller has
 * asked `planEnvironment` first.
 */
export async function createEnvironment(engine: Engine, env: string, options: NewOptions): Promise<EnvironmentResult> {
  const began = performance.now();
  const activate = options.switch !== false;
  return await underLock(engine, env, "create", async (worker) => {
    await freeRoom(engine, env);
    let known = await recordedEnvironment(engine, env);
    let plan = await planFrom(engine, env, options, known);
    if (plan.cleanUpFirst) {
      known = await finishRemoval(engine, worker, known);
      plan = await planFrom(engine, env, options, known);
    }
    const { held, gone } = await lookAtKept(engine, plan);
    if (gone.length > 0) {
      const isGone = ({ key }: ResourceRow) => gone.some(({ row }) => row.key === key);
      known = { ...known, rows: known.rows.filter((row) => !isGone(row)) };
      plan = await planFrom(engine, env, options, known);
      assertRunnable(resourcesToMake(plan));
      await forget(engine, worker, plan, { environment: known.environment, gone });
    }
    if (plan.isDone) {
      const changedFiles = await takeAsItIs(engine, worker, known, { held, activate });
      return { ...await resultOf(engine, env, known, { began }), unchanged: true, changedFiles };
    }
    const scripts = scriptsOf(resourcesToMake(plan));
    const room = await keepRoom(engine, env);
    try {
      const environment = creating(engine, plan, known.environment, options);
      await worker.write([statements.putEnvironment(environment)]);
      const { rows } = known;
      const made = await build({ engine, worker, plan, environment, rows, held, scripts, room, activate });
      const { changedFiles } = made;
      return { ...await resultOf(engine, env, made.known, { began }), unchanged: false, changedFiles };
    } finally {
      await room.free();
    }
  });
}

/** Points this directory at an environment that is whole already, if that is asked for; gives the files that changed. */
async function takeAsItIs(
  engine: Engine,
  worker: Worker,
  known: RecordedEnvironment,
  { held, activate }: Pick<Run, "held" | "activate">,
): Promise<readonly string[]> {
  const environment = known.environment!;
  const env = environment.name;
  if (!activate) return await workspace.changeFiles(engine, { env, activate });
  assertLeased(environment, engine.world.now(), "switch to");
  await worker.write(await switching(engine, env));
  const isKnown = await isCurrent(engine, env, environment);
  const variables = isKnown ? undefined : await askVariables(engine, env, { held, known });
  return await workspace.changeFiles(engine, { env, activate, variables });
}

/** Longest wait, in milliseconds, for a vendor's answer about a resource that is recorded as ready. */
const LOOK_MS = 20_000;

/** Looks at the resources that a plan keeps, before anything is made: those that stand, and those that are gone. */
async function lookAtKept(
  engine: Engine,
  { env, steps }: Plan,
): Promise<{ readonly held: ReadonlyMap<string, Held>; readonly gone: readonly Looked[] }> {
  const rows = steps.flatMap(({ action, row }) => action === "keep" && row !== undefined ? [row] : []);
  const looked = await lookAt(engine, rows, LOOK_MS);
  const gone = looked.filter(({ standing }) => standing?.state === "gone");
  await assertStanding(engine, env, looked.filter((one) => !gone.includes(one)), "use");
  const silent = looked.flatMap(({ row, error }) => error === undefined ? [] : [{ item: row, error }]);
  if (silent.length > 0) throw allFailed(`Cannot look at environment "${env}"`, env, silent);
  const held = looked.flatMap(({ row, standing }) =>
    standing !== undefined && "held" in standing ? [[row.key, standing.held] as const] : []
  );
  return { held: new Map(held), gone };
}

/**
 * Forgets what is gone, once a person said that it may be forked again. Nothing is deleted that may still be there: where
 * a vendor told something wrong, it keeps its mark, and `doctor` shows it.
 */
async function forget(
  engine: Engine,
  worker: Worker,
  { env, parent }: Plan,
  { environment, gone }: { readonly environment: Environment | undefined; readonly gone: readonly Looked[] },
): Promise<void> {
  const what = gone.map(({ row }) => `${row.key} "${row.title}"`).join(", ");
  assertUnprotected(engine.project, env, `fork ${what} of environment "${env}" again`);
  try {
    await engine.world.confirm(`${what} of ${env} is gone. Fork it again from ${parent}?`);
  } catch (error) {
    if (isForkstackError(error) && error.code === "CONFIRM_REQUIRED") await assertStanding(engine, env, gone, "use");
    throw error;
  }
  for (const { row, standing } of gone) {
    if (standing?.state === "gone" && standing.hasRemains) {
      await removeResource(engine, worker, row, { environment });
    } else {
      await worker.write([
        statements.dropResource(env, row.key),
        statements.journal({ ...journalOf(engine, markerOf(engine, row), "forget"), phase: "done", id: row.id }),
      ]);
    }
  }
}

function creating(
  engine: Engine,
  plan: Plan,
  existing: Environment | undefined,
  options: NewOptions,
): Environment {
  return {
    name: plan.env,
    parent: plan.parent,
    owner: existing?.owner ?? engine.owner,
    createdAt: existing?.createdAt ?? engine.world.now().toISOString(),
    expiresAt: existing?.expiresAt ?? options.expiresAt,
    status: "creating",
    operation: plan.operation,
    origin: plan.origin,
  };
}

async function switching(engine: Engine, env: string): Promise<Statement[]> {
  return [statements.touch(env, engine.world.now().toISOString()), ...await pointedHere(engine, env)];
}

/** Makes what the plan lacks; when one resource fails, what this run made is removed again. */
async function build(
  run: Run,
): Promise<{ readonly known: RecordedEnvironment; readonly changedFiles: readonly string[] }> {
  const { engine, worker, plan, room, activate } = run;
  const { env, operation, origin } = plan;
  const steps = plan.steps.filter(({ action }) => action === "create");
  if (origin !== undefined && origin !== "empty") tellWithoutPast(engine, plan);
  const outcomes = await runSteps(steps, (step) => makeResource(engine, worker, specOf(run, step)), {
    signal: worker.signal,
  });
  const isComplete = outcomes.length === steps.length && outcomes.every(({ ok }) => ok);
  if (worker.signal.aborted && !isComplete) throw interrupted(engine, worker, { env, isNot: "complete" });
  let change: workspace.Change | undefined;
  try {
    const failures = outcomes.flatMap((one) =>
      one.ok
        ? []
        : [{ item: { key: one.item.resource.key, provider: one.item.resource.provider.name }, error: one.error }]
    );
    if (failures.length > 0) throw allFailed(`Cannot create environment "${env}"`, env, failures);
    const made = outcomes.flatMap((one) => one.ok ? [one.value] : []);
    change = await workspace.prepareFiles(engine, { env, variables: await allVariables(run, made), activate });
    await change.commit();
    return { known: await finish(run, made), changedFiles: change.changedFiles };
  } catch (error) {
    const reason = worker.signal.reason ?? error;
    if (isForkstackError(reason) && reason.code === "LOCK_LOST") {
      if (!await isContinued(engine, env, operation)) await change?.undo();
      throw reason;
    }
    await room.free();
    const stuck = await change?.undo() ?? [];
    if (worker.signal.aborted) throw interrupted(engine, worker, { env, isNot: "complete", cause: error });
    throw await undo(run, fileError(error, `make environment "${env}"`), stuck);
  }
}

/** Everything that `makeResource` needs to know of a step. */
function specOf({ engine, plan, environment, scripts }: Run, { resource, title, row }: Step): ResourceSpec {
  const { env, operation, origin } = plan;
  const parent = { env: plan.parent, title: titleOf(engine.project, resource, plan.parent) };
  return {
    env,
    operation,
    resource,
    title,
    making: environment,
    begunAt: row?.operation === operation ? row.createdAt : undefined,
    parent: origin === "empty" ? undefined : parent,
    at: pointOf(resource, origin),
    expiresAt: environment.expiresAt,
    script: scripts[resource.key],
  };
}

/** Records that the environment is whole; gives it with its rows: those of before, and those that this run made. */
async function finish(
  { engine, worker, environment, rows, activate }: Run,
  made: readonly Made[],
): Promise<RecordedEnvironment> {
  const ready: Environment = {
    ...environment,
    status: "ready",
    usedAt: activate ? engine.world.now().toISOString() : undefined,
  };
  const last = [statements.putEnvironment(ready)];
  if (activate) last.push(...await switching(engine, environment.name));
  await worker.write(last);
  const fresh = made.map(({ row }) => row);
  const others = rows.filter(({ key }) => !fresh.some((row) => row.key === key));
  return { environment: ready, rows: [...others, ...fresh] };
}

/** Says which resources are forked as they are now though a point in the past was asked for. */
function tellWithoutPast(engine: Engine, { origin, steps }: Plan): void {
  const keys = steps.filter(({ resource }) => !isPointInTime(resource)).map(({ resource }) => resource.key);
  if (keys.length > 0) engine.world.warn(`Forked as they are now, not as of ${origin}: ${keys.join(", ")}`);
}

/**
 * Returns true if the worker that took over continues this run: then the files are right, otherwise they name forks
 * that are gone.
 */
async function isContinued(engine: Engine, env: string, operation: string): Promise<boolean> {
  const now = await engine.registry.environment(env);
  return now?.operation === operation && (now.status === "creating" || now.status === "ready");
}

/** The variables of all resources: of those just made, and, asked again, of those that stood there. */
async function allVariables({ engine, plan, environment, held }: Run, made: readonly Made[]): Promise<Variables> {
  const { expiresAt } = environment;
  const all = await Promise.all(plan.steps.map(async ({ resource }) => {
    const fresh = made.find((one) => one.row.key === resource.key);
    if (fresh !== undefined) return fresh.variables;
    return await outputsOf(engine, {
      context: contextOf(engine, resource.provider),
      resource,
      held: held.get(resource.key)!,
      scope: scopeOf(engine, resource, expiresAt),
    });
  }));
  const resources = plan.steps.map(({ resource }) => resource);
  return allOutputs(engine, environment.name, { resources, expiresAt, outputs: all });
}

/** Removes what the run made, in reverse, and tells what failed, what was undone, and what could not be. */
async function undo(run: Run, cause: unknown, stuck: readonly unknown[]): Promise<unknown> {
  const { engine, worker, environment } = run;
  const env = environment.name;
  const going: Environment = { ...environment, status: "undoing" };
  await worker.write([statements.putEnvironment(going)]);
  const written = await engine.registry.resources(env); // by the steps, as far as they came
  const { rows, undone, left, failures, isOff } = await removeRun(engine, worker, going, written);
  const reason = isForkstackError(cause) ? cause : undefined;
  const message = messageOf(cause);
  if (failures.length + stuck.length > 0) {
    const left = stuck.map((error) => reasonOf(error));
    if (failures.length > 0) {
      left.unshift(`for ${failures.map(({ item }) => `${item.key} "${item.title}"`).join(", ")}`);
    }
    return new ForkstackError(
      "UNDO_INCOMPLETE",
      `${message}. Undoing failed: ${left.join("; ")}`,
      {
        hint: `Remove the rest with \`forkstack delete ${env}\`, or try again with \`forkstack new ${env}\``,
        details: { env },
        cause: new AggregateError([cause, ...failures.map(({ error }) => error), ...stuck]),
      },
    );
  }
  const what = undone.length === 0 ? "Nothing was created" : `Undone: ${undone.join(", ")}`;
  return new ForkstackError(reason?.code ?? "UNEXPECTED", message, {
    hint: [
      reason?.hint,
      [what, ...await leftTexts(engine, rows, left)].join("; "),
      isOff ? leftText(engine.project, env) : undefined,
    ].filter(
      Boolean,
    ).join(". "),
    retryable: reason?.retryable ?? false,
    details: { ...reason?.details, env },
    cause,
  });
}

/** Tells what an undo left, after a look at each place where this run may have made something. */
async function leftTexts(engine: Engine, rows: readonly ResourceRow[], left: readonly string[]): Promise<string[]> {
  const gone = rows.filter(({ key }) => !left.includes(key));
  const looked = await lookAt(engine, gone, LOOK_MS).catch((error) => gone.map((row): Looked => ({ row, error })));
  const unseen = looked.filter(({ standing }) => standing === undefined).map(({ row, error }) =>
    `${row.key} (${messageOf(error)})`
  );
  const there = looked.filter(({ standing }) => standing !== undefined && standing.state !== "gone")
    .map(({ row }) => `${row.key} "${row.title}"`);
  const texts: string[] = [];
  if (left.length > 0) texts.push(`not touched, since nothing proves that this run made it: ${left.join(", ")}`);
  if (there.length > 0) texts.push(`still shown by its vendor: ${there.join(", ")}; see \`forkstack doctor\``);
  if (unseen.length > 0) texts.push(`not looked at again: ${unseen.join(", ")}`);
  return texts.length === 0 && rows.length > 0 ? ["nothing was left behind"] : texts;
}

/** Returns one error for failures of several resources. */
function allFailed(
  message: string,
  env: string,
  failures: readonly { readonly item: Pick<ResourceRow, "key" | "provider">; readonly error: unknown }[],
): ForkstackError {
  const errors = failures.map(({ error }) => error);
  const first = errors.find(isForkstackError);
  const { key: resource, provider } = failures[0]!.item;
  return new ForkstackError(
    first?.code ?? "UNEXPECTED",
    `${message}: ${failures.map(({ item, error }) => reasonOf(error, item.key)).join("; ")}`,
    {
      hint: first?.hint,
      retryable: first?.retryable ?? false,
      details: { ...first?.details, env, resource, provider },
      cause: errors.length === 1 ? errors[0] : new AggregateError(errors),
    },
  );
}
