/**
 * The variables of an environment, asked of its providers.
 *
 * @module
 */
import { ForkstackError } from "../mod.ts";
import { BASE_ENVS, type Resource, titleOf } from "./config.ts";
import { contextOf, type Engine, inspectResource, outputsOf, scopeOf, withLease } from "./engine.ts";
import { assertOwn, standing } from "./resource.ts";
import type { Variables } from "./workspace.ts";

/** The variables of an environment as its providers tell them, on a machine that has no file of them. */
export async function askVariables(engine: Engine, env: string): Promise<Variables> {
  const rows = await engine.registry.resources(env);
  const expiresAt = (await engine.registry.environment(env))?.expiresAt;
  const all = await Promise.all(engine.resources.map(async (resource) => {
    const title = titleOf(engine.project, resource, env);
    const row = rows.find(({ key }) => key === resource.key);
    if (row === undefined && !BASE_ENVS.includes(env)) {
      throw new ForkstackError("CONFLICT", `Cannot use environment "${env}": it has no ${resource.key}`, {
        hint: `Complete it with \`forkstack new ${env}\``,
        details: { env, resource: resource.key },
      });
    }
    const held = row?.id === undefined
      ? await baseResource(engine, resource, title, env)
      : await standing(engine, resource, row, "use");
    return await outputsOf(contextOf(engine, resource.provider), resource, held, scopeOf(engine, resource, expiresAt));
  }));
  return withLease(engine.resources, expiresAt, all);
}

/** A resource of a base environment, as the vendor has it. */
export async function baseResource(engine: Engine, resource: Resource, title: string, env: string) {
  const seen = await inspectResource(engine, resource, title, env);
  assertOwn(resource, title, seen, "use");
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
