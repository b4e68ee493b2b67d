/**
 * Forking an environment again from its parent, under the same names. The old data stays until the new stands ready.
 *
 * @module
 */
import { ForkstackError, isForkstackError } from "../../mod.ts";
import { type CheckoutReport, checkoutReports } from "../workspace/checkouts.ts";
import { assertNotOriginals } from "../engine/copied.ts";
import type { Engine } from "../engine/engine.ts";
import { assertParent, targetOf } from "../engine/resource.ts";
import { fileError } from "../system/files.ts";
import type { Worker } from "../state/lock.ts";
import { assertUnprotected, madeEnvironment, readyEnvironment } from "./find_environment.ts";
import { notReady, pointOf } from "./plan.ts";
import type { Provider, Replacement } from "../provider.ts";
import { resultOf } from "./describe.ts";
import type { EnvironmentResult } from "./report.ts";
import { runSteps } from "../system/concurrency.ts";
import { sanitize, scriptsOf } from "../engine/sanitize.ts";
import { quoted, reasonOf } from "../text/printable.ts";
import { listed } from "../text/phrases.ts";
import { type Environment, forkOf, type ResourceRow } from "../state/records.ts";
import { statements } from "../state/statements.ts";
import { BASE_ENVS, titleOf } from "../project/project.ts";
import { reportOf } from "../engine/resource_report.ts";
import { contextOf, journalOf, markerOf, recordedResource } from "../engine/context.ts";
import { underLock } from "../engine/under_lock.ts";

/** One resource that is about to be replaced. */
interface Prepared {
  readonly row: ResourceRow;
  readonly replacement: Replacement;
  readonly durationMs: number;
}

/** The resources that a reset forks again. */
export interface ResetOptions {
  /** Keys of the resources: `"database"`, `"storage.uploads"`. @default {all} */
  readonly only?: readonly string[] | undefined;
}

/** Lists the resources that `reset` would fork again; `others` are those that it leaves alone. */
export async function planReset(
  engine: Engine,
  env: string,
  { only }: ResetOptions = {},
): Promise<
  { environment: Environment; rows: ResourceRow[]; others: ResourceRow[]; checkouts: readonly CheckoutReport[] }
> {
  assertUnprotected(engine.project, env, `reset environment "${env}"`);
  const environment = await madeEnvironment(engine, env, "reset");
  if (environment.status !== "ready" && environment.status !== "resetting") throw notReady(environment, "reset");
  if (!BASE_ENVS.includes(environment.parent)) await readyEnvironment(engine, environment.parent, "fork from");
  const all = await engine.registry.resources(env);
  for (const key of only ?? []) if (!all.some((row) => row.key === key)) throw noSuchResource(env, key, all);
  const rows = all.filter(({ key }) => only === undefined || only.includes(key));
  await assertNotOriginals(engine, rows, "reset");
  await assertResettable(engine, env, rows);
  const others = all.filter((row) => !rows.includes(row));
  return { environment, rows, others, checkouts: (await checkoutReports(engine))(env) };
}

/** Puts new forks in the place of all of an environment's resources, or of those that are named, or of none. */
export async function resetEnvironment(
  engine: Engine,
  env: string,
  options: ResetOptions = {},
): Promise<EnvironmentResult> {
  const began = performance.now();
  await planReset(engine, env, options);
  const again = commandOf(env, options.only);
  return await underLock(engine, env, "reset", async (worker) => {
    const { environment, rows, others } = await planReset(engine, env, options);
    const scripts = scriptsOf(engine.resources);
    const outcomes = await runSteps(
      rows,
      (row) => prepare(engine, worker, { environment, row, script: scripts[row.key] }),
      {
        signal: worker.signal,
      },
    );
    const prepared = outcomes.flatMap((one) => one.ok ? [one.value] : []);
    if (prepared.length < rows.length) {
      const discarded = await runSteps(prepared, (one) => discard(engine, worker, one), { goOn: true });
      const failures = [...outcomes, ...discarded].flatMap((one) => one.ok ? [] : [one.error]);
      throw worker.signal.aborted ? stopped(engine, worker, env) : notReset(env, failures);
    }
    // From here on it goes forward only: what is cut off is finished by the next `reset`.
    await worker.write([statements.putEnvironment({ ...environment, status: "resetting" })]);
    const replaced: string[] = [];
    const committed = await runSteps(prepared, (one) => commit(engine, worker, one, replaced), { goOn: true });
    const failures = committed.flatMap((one) => one.ok ? [] : [one.error]);
    if (failures.length > 0) throw incomplete(env, again, replaced, failures);
    const ready = { ...environment, status: "ready" as const };
    await worker.write([statements.putEnvironment(ready)]).catch((error) => {
      throw incomplete(env, again, replaced, [error]);
    });
    const fresh = committed.flatMap((one) => one.ok ? [one.value] : []);
    return await resultOf(engine, env, { environment: ready, rows: [...fresh, ...others] }, { began });
  });
}

async function prepare(
  engine: Engine,
  worker: Worker,
  { environment, row, script }: {
    readonly environment: Environment;
    readonly row: ResourceRow;
    readonly script: string | undefined;
  },
): Promise<Prepared> {
  const began = engine.world.monotonicMs();
  const { resource, reset } = await resetting(engine, row);
  const { provider } = resource;
  const { origin } = environment;
  const parent = origin === "empty"
    ? undefined
    : { env: environment.parent, title: titleOf(engine.project, resource, environment.parent) };
  await assertParent(engine, resource, parent);
  const target = targetOf(engine, {
    env: row.env,
    operation: row.operation,
    resource,
    title: row.title,
    making: environment,
    parent,
    at: pointOf(resource, origin),
    begunAt: row.createdAt,
    expiresAt: environment.expiresAt,
  });
  const fork = forkOf(row, target.marker);
  if (fork === undefined) throw notReady(environment, "reset");
  await worker.write([
    statements.journal({ ...journalOf(engine, target.marker, "reset"), phase: "intent", id: fork.id }),
  ]);
  try {
    const context = contextOf(engine, provider, { worker, marker: target.marker, rows: [row] });
    const replacement = await reset(context, fork, target);
    if (script !== undefined) await sanitizeReplacement(row, provider, replacement, script);
    return { row, replacement, durationMs: engine.world.monotonicMs() - began };
  } catch (error) {
    throw fileError(error, `reset ${row.key} "${row.title}"`);
  }
}

async function sanitizeReplacement(row: ResourceRow, provider: Provider, replacement: Replacement, script: string) {
  try {
    await sanitize({ key: row.key, provider }, row.title, () => replacement.execute!(script));
  } catch (error) {
    await replacement.discard();
    throw error;
  }
}

/** Takes a replacement away: under the lock alone, since with another at work it may no longer be this run's. */
async function discard(engine: Engine, worker: Worker, { row, replacement }: Prepared): Promise<void> {
  const marker = markerOf(engine, row);
  await worker.write([statements.journal({ ...journalOf(engine, marker, "reset"), phase: "failed" })]);
  await replacement.discard();
}

/** Puts a new fork in the old one's place, which from then on is among what was `replaced`; gives its row. */
async function commit(
  engine: Engine,
  worker: Worker,
  { row, replacement, durationMs }: Prepared,
  replaced: string[],
): Promise<ResourceRow> {
  const began = engine.world.monotonicMs();
  const fork = await replacement.commit();
  replaced.push(row.key);
  const fresh: ResourceRow = { ...row, id: fork.id, fork: fork.copy ?? row.fork };
  await worker.write([
    statements.putResource(fresh),
    statements.journal({ ...journalOf(engine, fork.marker, "reset"), phase: "done", id: fork.id }),
  ]);
  engine.onProgress?.(reportOf(fresh, "ready", durationMs + engine.world.monotonicMs() - began));
  return fresh;
}

/** Throws if a resource can't be reset, and names those that can. */
async function assertResettable(engine: Engine, env: string, rows: readonly ResourceRow[]): Promise<void> {
  const able: ResourceRow[] = [];
  let failure: unknown;
  for (const row of rows) await resetting(engine, row).then(() => able.push(row), (error) => failure ??= error);
  if (failure === undefined) return;
  if (!isForkstackError(failure) || failure.code !== "RESET_UNSUPPORTED" || able.length === 0) throw failure;
  const { code, message, hint, details } = failure;
  const others = commandOf(env, able.map(({ key }) => key).sort());
  throw new ForkstackError(code, message, { hint: `Reset the others by \`${others}\`; or: ${hint}`, details });
}

/** The provider of a resource, if it can reset. */
async function resetting(engine: Engine, row: ResourceRow) {
  const resource = await recordedResource(engine, row);
  const provider: Provider = resource.provider;
  if (provider.reset !== undefined) return { resource, reset: provider.reset.bind(provider) };
  throw new ForkstackError(
    "RESET_UNSUPPORTED",
    `Cannot reset ${row.key}: ${row.provider} has no way to keep the old data meanwhile`,
    {
      hint:
        `Delete environment "${row.env}" and make it again: \`forkstack delete ${row.env}\`, then \`forkstack new ${row.env}\``,
      details: { env: row.env, resource: row.key, provider: row.provider },
    },
  );
}

/** The command that resets these resources of an environment, or all. */
function commandOf(env: string, only?: readonly string[]): string {
  return `forkstack reset ${env}${only === undefined ? "" : ` --resource ${only.join(",")}`}`;
}

function noSuchResource(env: string, key: string, rows: readonly ResourceRow[]): ForkstackError {
  return new ForkstackError("USAGE", `Cannot reset ${quoted(key)}: environment "${env}" has no such resource`, {
    hint: `It has ${listed(rows.map((row) => row.key).sort())}`,
    details: { env },
  });
}

/** The error of a reset that had begun to replace data: that stays replaced, whoever works on it now. */
function incomplete(
  env: string,
  again: string,
  replaced: readonly string[],
  failures: readonly unknown[],
): ForkstackError {
  const done = replaced.length === 0 ? "" : `; already replaced: ${[...replaced].sort().join(", ")}`;
  return new ForkstackError(
    "RESET_INCOMPLETE",
    `Cannot reset all of environment "${env}": ${messages(failures)}${done}`,
    {
      hint: `Run \`${again}\` again`,
      retryable: true,
      details: { env },
      cause: new AggregateError(failures),
    },
  );
}

function notReset(env: string, failures: readonly unknown[]): ForkstackError {
  const known = failures.find((error) => error instanceof ForkstackError) as ForkstackError | undefined;
  return new ForkstackError(known?.code ?? "UNEXPECTED", `Cannot reset environment "${env}": ${messages(failures)}`, {
    hint: [known?.hint, "Nothing changed"].filter(Boolean).join(". "),
    retryable: known?.retryable ?? false,
    details: { ...known?.details, env },
    cause: failures.length === 1 ? failures[0] : new AggregateError(failures),
  });
}

function stopped(engine: Engine, worker: Worker, env: string): unknown {
  if (!engine.signal.aborted) return worker.signal.reason;
  return new ForkstackError("INTERRUPTED", `Stopped: environment "${env}" was not reset, and nothing changed`, {
    hint: `Run \`forkstack reset ${env}\` again`,
    details: { env },
  });
}

function messages(failures: readonly unknown[]): string {
  return failures.map((error) => reasonOf(error)).join("; ");
}
