/**
 * Pointing a directory at an environment.
 *
 * @module
 */
import { recordSwitch } from "./checkouts.ts";
import { BASE_ENVS } from "./config.ts";
import { currentEnv, isNamedByProcess } from "./current.ts";
import type { Engine } from "./engine.ts";
import { load } from "./load.ts";
import { readyEnvironment } from "./lookup.ts";
import { type Known, resultOf } from "./describe.ts";
import type { EnvironmentResult } from "./report.ts";
import * as workspace from "./workspace.ts";

/** Points this directory at an environment. */
export async function switchEnvironment(engine: Engine, env: string): Promise<EnvironmentResult> {
  const began = performance.now();
  if (isNamedByProcess()) currentEnv(engine.project); // else this command mends it
  await workspace.checkPointers(engine);
  let known = await usable(engine, env);
  await engine.registry.touch(env, engine.world.now().toISOString());
  // No lock: a `delete` at the same time marks the environment before it looks at the pointers, so that it is seen here.
  const changedFiles = await activate(engine, env, { verify: async () => void (known = await usable(engine, env)) });
  await recordSwitch(engine, env).catch((error) =>
    engine.world.warn(
      `Not noted that this directory is on ${env}: ${error instanceof Error ? error.message : String(error)}`,
    )
  );
  const { env: current, decidedBy } = currentEnv(engine.project);
  const result = await resultOf(engine, env, known, began, current);
  return { ...result, changedFiles, ...(current === env ? {} : { decidedBy }) };
}

/** Rejects unless the environment can be used: it is ready, or always counts as there, and what is recorded of it is sound. */
async function usable(engine: Engine, env: string): Promise<Known> {
  const environment = BASE_ENVS.includes(env)
    ? await engine.registry.environment(env)
    : await readyEnvironment(engine, env, "switch to");
  return { environment, rows: await engine.registry.resources(env) }; // rejects where one is damaged
}

/** Points this directory at an environment that can be used; a base one's variables are asked for each time. */
export async function activate(
  engine: Engine,
  env: string,
  { verify, anyway = false }: { readonly verify?: () => Promise<unknown>; readonly anyway?: boolean } = {},
): Promise<readonly string[]> {
  const isKept = !BASE_ENVS.includes(env) && await isCurrent(engine, env);
  const variables = isKept
    ? undefined
    : await (await load<typeof import("./ask.ts")>("core/ask.ts")).askVariables(engine, env);
  const wanted = { env, activate: true, anyway, ...(variables === undefined ? {} : { variables }) };
  return await workspace.changeFiles(engine, wanted, verify);
}

/** Whether this machine's file tells an environment's variables, and none of them ends with a lease. */
export async function needsNoProvider(place: workspace.Place, env: string): Promise<boolean> {
  const kept = await workspace.readVariables(place, env);
  return kept !== undefined && kept[workspace.LEASE_VARIABLE] === undefined;
}

/** Whether this machine has the variables, and none of them ended with a lease that was extended elsewhere. */
export async function isCurrent(engine: Engine, env: string): Promise<boolean> {
  const kept = await workspace.readVariables(engine, env);
  if (kept?.[workspace.LEASE_VARIABLE] === undefined) return kept !== undefined;
  return (await engine.registry.environment(env))?.expiresAt === kept[workspace.LEASE_VARIABLE];
}
