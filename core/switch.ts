/**
 * Pointing a directory at an environment.
 *
 * @module
 */
import { ForkstackError } from "../mod.ts";
import { BASE_ENVS, type Resource, titleOf } from "./config.ts";
import { nearest } from "./words.ts";
import { contextOf, type Engine, inspectResource, lockOptions, outputsOf, scopeOf } from "./engine.ts";
import { withLock } from "./lock.ts";
import { noSuchEnvironment, notReady } from "./plan.ts";
import type { Environment } from "./registry.ts";
import { describe, type EnvironmentResult } from "./report.ts";
import * as workspace from "./workspace.ts";
import type { Variables } from "./workspace.ts";

/** Points this directory at an environment. */
export async function switchEnvironment(engine: Engine, env: string): Promise<EnvironmentResult> {
  const began = performance.now();
  if (workspace.isNamedByProcess()) workspace.currentEnv(engine.project); // else this command mends it
  await workspace.checkPointers(engine);
  await usableEnvironment(engine, env, "switch to");
  const changedFiles = BASE_ENVS.includes(env)
    ? await activate(engine, env)
    : await withLock(engine.registry, env, "switch", lockOptions(engine), async () => {
      await usableEnvironment(engine, env, "switch to"); // a `delete` may have come between
      return await activate(engine, env);
    });
  await engine.registry.touch(env, engine.world.now().toISOString());
  return { ...await describe(engine, env, began), changedFiles };
}

/** An environment that can be used: ready, or one that always counts as there. */
async function usableEnvironment(engine: Engine, env: string, verb: string): Promise<Environment | undefined> {
  if (BASE_ENVS.includes(env)) return undefined;
  const environments = await engine.registry.environments();
  const found = environments.find(({ name }) => name === env);
  if (found === undefined) {
    throw noSuchEnvironment(env, verb, await nearest(env, [...BASE_ENVS, ...environments.map(({ name }) => name)]));
  }
  if (found.status !== "ready") throw notReady(found, verb);
  return found;
}

/** The variables of an environment as its providers tell them, on a machine that has no file of them. */
async function askVariables(engine: Engine, env: string): Promise<Variables> {
  const rows = await engine.registry.resources(env);
  const all = await Promise.all(engine.resources.map(async (resource) => {
    const title = titleOf(engine.project, resource, env);
    const row = rows.find(({ key }) => key === resource.key);
    if (row === undefined && !BASE_ENVS.includes(env)) {
      throw new ForkstackError("CONFLICT", `Cannot switch to environment "${env}": it has no ${resource.key}`, {
        hint: `Complete it with \`forkstack new ${env}\``,
        details: { env, resource: resource.key },
      });
    }
    const held = row?.id === undefined ? await baseResource(engine, resource, title, env) : { id: row.id, name: title };
    return await outputsOf(contextOf(engine, resource.provider), resource, held, scopeOf(engine, resource));
  }));
  return Object.assign({}, ...all);
}

async function baseResource(engine: Engine, resource: Resource, title: string, env: string) {
  const seen = await inspectResource(engine, resource, title, env);
  if (seen.state === "foreign") return { id: seen.id, name: title };
  if (seen.state !== "absent") return seen.fork;
  if (resource.provider.capabilities.parentMayBeAbsent) return { id: title, name: title };
  throw new ForkstackError(
    "NOT_FOUND",
    `Cannot use ${resource.key} of environment "${env}": ${resource.provider.name} has no "${title}"`,
    {
      hint: "Make it at the vendor, under this name",
      details: { env, resource: resource.key, provider: resource.provider.name },
    },
  );
}

/** Points this directory at an environment that can be used; a base one's variables are asked for each time. */
export async function activate(engine: Engine, env: string): Promise<readonly string[]> {
  const isKept = !BASE_ENVS.includes(env) && await workspace.readVariables(engine, env) !== undefined;
  const variables = isKept ? undefined : await askVariables(engine, env);
  return await workspace.changeFiles(engine, {
    env,
    activate: true,
    ...(variables === undefined ? {} : { variables }),
  });
}
