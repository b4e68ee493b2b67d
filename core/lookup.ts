/**
 * Finding the environment that a command names, or saying well why not.
 *
 * @module
 */
import { ForkstackError } from "../mod.ts";
import { BASE_ENVS, type Project, protectedEnvs } from "./config.ts";
import { load } from "./load.ts";
import type { Environment, Registry } from "./registry.ts";

/** An environment that forkstack made; `ENV_NOT_FOUND` with the nearest names if it did not. */
export async function madeEnvironment(registry: Registry, env: string, verb: string): Promise<Environment> {
  const environment = await registry.environment(env);
  if (environment !== undefined) return environment;
  const names = (await registry.environments()).map(({ name }) => name);
  const { nearest } = await load<typeof import("./words.ts")>("core/words.ts");
  throw (await plan()).noSuchEnvironment(env, verb, await nearest(env, [...BASE_ENVS, ...names]));
}

/** The words for what is not as it should be: most commands need none. */
async function plan(): Promise<typeof import("./plan.ts")> {
  return await load("core/plan.ts");
}

/** One that is complete as well. */
export async function readyEnvironment(registry: Registry, env: string, verb: string): Promise<Environment> {
  const environment = await madeEnvironment(registry, env, verb);
  if (environment.status !== "ready") throw (await plan()).notReady(environment, verb);
  return environment;
}

/** `ENV_PROTECTED` for an environment that a command may not change; `what` is what it would do to it. */
export function assertUnprotected(project: Project, env: string, what: string): void {
  if (!protectedEnvs(project).includes(env)) return;
  throw new ForkstackError("ENV_PROTECTED", `Cannot ${what}: it is protected`, {
    hint: BASE_ENVS.includes(env)
      ? "dev and prod are never deleted or changed by forkstack"
      : 'Take it out of "protected" in forkstack.json first',
    details: { env },
  });
}
