/**
 * Pointing a directory at an environment.
 *
 * @module
 */
import { declaredResources, isForkstackError } from "../../mod.ts";
import { recordSwitch } from "../workspace/checkouts.ts";
import { currentEnv, isNamedByProcess } from "../workspace/current.ts";
import type { Engine, Inspectable, Tellable } from "../engine/engine.ts";
import { assertStanding, before, lookAt } from "../engine/look.ts";
import { type RecordedEnvironment, usableEnvironment } from "./find_environment.ts";
import { resultOf } from "./describe.ts";
import { askVariables, heldResources } from "./variables.ts";
import type { EnvironmentResult } from "./report.ts";
import * as workspace from "../workspace/env_files.ts";
import { byKey, messageOf } from "../text/printable.ts";
import type { Environment, ResourceRow } from "../state/records.ts";
import { BASE_ENVS, isEmbedded, keyOf } from "../project/project.ts";
import { load } from "../system/lazy.ts";
import { recordedResource } from "../engine/context.ts";
import { LEASE_VARIABLE } from "../engine/outputs.ts";
import type { Variables } from "../secret.ts";
import type { Workspace } from "../workspace/workspace.ts";

/** Longest wait for a vendor's answer about a resource, in milliseconds: a switch works without a network, too. */
const LOOK_MS = 3_000;

/**
 * Points this directory at an environment whose resources were looked at. A vendor that does not answer is a warning,
 * where this machine has the environment's variables.
 */
export async function switchEnvironment(engine: Engine, env: string): Promise<EnvironmentResult> {
  const began = performance.now();
  if (isNamedByProcess()) currentEnv(engine.project); // else this command mends it
  const resources = await tellable(engine);
  await workspace.checkPointers({ ...engine, resources }, { asksGit: false });
  let known = await usable(engine, env);
  const isKept = !BASE_ENVS.includes(env) && await isCurrent(engine, env, known.environment);
  const { variables, unseen = [] } = isKept
    ? { unseen: await lookAtKept(engine, env, known.rows) }
    : await asked(engine, env, known, resources);
  // No lock: a `delete` at the same time marks the environment before it looks at the pointers, so that it is seen here.
  const changedFiles = await workspace.changeFiles(engine, { env, activate: true, variables }, async () => {
    known = await usable(engine, env);
  });
  if (BASE_ENVS.includes(env)) {
    const { makeBaseDirectories } = await load<typeof import("../workspace/base_directories.ts")>(
      "core/workspace/base_directories.ts",
    );
    await makeBaseDirectories(engine, env);
  }
  await recordSwitch(engine, env).catch((error) =>
    engine.world.warn(`Not noted that this directory is on ${env}: ${messageOf(error)}`)
  );
  const { env: current, decidedBy } = currentEnv(engine.project);
  const result = await resultOf(engine, env, known, { began, current });
  const reports = result.resources.map((one) => unseen.includes(one.key) ? { ...one, state: "unknown" } : one);
  return { ...result, resources: reports, changedFiles, decidedBy: current === env ? undefined : decidedBy };
}

/**
 * The environment to switch to, or the error that says why it can't be used: it is not ready, its lease has ended, or
 * what is recorded of it is damaged. A base one is always there.
 */
export async function usable(engine: Engine, env: string): Promise<RecordedEnvironment> {
  const environment = BASE_ENVS.includes(env)
    ? await engine.registry.environment(env)
    : await usableEnvironment(engine, env, "switch to");
  return { environment, rows: await engine.registry.resources(env) }; // rejects where one is damaged
}

/** The stack's resources; where no provider was loaded, what tells of those on this machine without one. */
async function tellable({ project, resources, world }: Engine): Promise<readonly Tellable[]> {
  if (resources.length > 0 || !isEmbedded(project.config) || world.teller === undefined) return resources;
  const tellers = declaredResources(project.config).map(async ({ kind, name, provider: by, options }) => {
    const { provider: _, ...given } = options;
    const provider = (await world.teller!(kind, by))!;
    return { key: keyOf(kind, name), kind, name, options: given, provider };
  });
  return (await Promise.all(tellers)).sort(byKey);
}

/** Looks at an environment whose variables this machine has; gives the keys of the resources that nobody told about. */
async function lookAtKept(engine: Engine, env: string, rows: readonly ResourceRow[]): Promise<string[]> {
  const ready = rows.filter(({ state }) => state === "ready");
  const alone = await Promise.all(ready.map(({ kind, provider }) => engine.world.teller?.(kind, provider)));
  // No deadline for what is on this machine: a timer alone takes Deno longer to start than the whole look.
  const waitMs = alone.every((one) => one !== undefined) ? undefined : LOOK_MS;
  const looked = await lookAt(engine, ready, waitMs, inspectable);
  if (looked.some(({ standing }) => standing !== undefined && !("held" in standing))) {
    await usable(engine, env); // else another command is working on it meanwhile
  }
  await assertStanding(engine, env, looked, "switch to");
  const unseen = looked.filter(({ error }) => error !== undefined);
  for (const { row, error } of unseen) {
    engine.world.warn(`Not looked at: ${row.key} "${row.title}": ${messageOf(error)}`);
  }
  const lacking = declaredResources(engine.project.config).map(({ kind, name }) => keyOf(kind, name))
    .filter((key) => !rows.some((row) => row.key === key)).join(", ");
  if (lacking !== "") {
    engine.world.warn(`Environment "${env}" has no ${lacking} yet: \`forkstack new ${env}\` makes it`);
  }
  return unseen.map(({ row }) => row.key);
}

/** Finds what looks at a resource by itself, if there is such a thing, and else its provider. */
async function inspectable(engine: Engine, row: ResourceRow): Promise<Inspectable> {
  const alone = await engine.world.teller?.(row.kind, row.provider);
  return alone === undefined
    ? await recordedResource(engine, row)
    : { key: row.key, options: row.options, provider: alone };
}

/**
 * Asks for the variables, of a base environment each time. Where no vendor answers and this machine has a file of
 * earlier ones, those are kept.
 */
async function asked(
  engine: Engine,
  env: string,
  known: RecordedEnvironment,
  resources: readonly Tellable[],
): Promise<{ readonly variables?: Variables; readonly unseen?: readonly string[] }> {
  const isHere = isEmbedded(engine.project.config); // what is on this machine answers at once
  if (isHere || await workspace.readVariables(engine, env) === undefined) {
    return { variables: await askVariables(engine, env, { known, resources }) };
  }
  let held;
  try {
    held = await before(
      engine,
      LOOK_MS,
      (bounded, deadline) => Promise.race([heldResources(bounded, env, { rows: known.rows, resources }), deadline]),
    );
  } catch (error) {
    if (engine.signal.aborted || !isForkstackError(error) || !error.retryable) throw error;
    engine.world.warn(`Not looked at: ${env}: ${error.message}. Its variables are those of the last time`);
    return { unseen: resources.map(({ key }) => key) };
  }
  return { variables: await askVariables(engine, env, { known, held, resources }) };
}

/** Returns true if this machine's file has an environment's variables, and none of them ends with a lease. */
export async function needsNoProvider(place: Workspace, env: string): Promise<boolean> {
  const kept = await workspace.readVariables(place, env);
  return kept !== undefined && kept[LEASE_VARIABLE] === undefined;
}

/**
 * Returns true if this machine has the variables, and none of them ended with a lease that was extended elsewhere.
 * `known`: the recorded environment, if it was read already.
 */
export async function isCurrent(engine: Engine, env: string, known?: Environment): Promise<boolean> {
  const kept = await workspace.readVariables(engine, env);
  if (kept?.[LEASE_VARIABLE] === undefined) return kept !== undefined;
  const environment = known ?? await engine.registry.environment(env);
  return environment?.expiresAt === kept[LEASE_VARIABLE];
}
