/**
 * The variables of an environment, asked of its providers.
 *
 * @module
 */
import { ForkstackError, isForkstackError } from "../../mod.ts";
import type { Engine, Tellable } from "../engine/engine.ts";
import { assertOwn, standing } from "../engine/look.ts";
import type { Held } from "../provider.ts";
import { type RecordedEnvironment, recordedEnvironment } from "./find_environment.ts";
import type { ResourceRow } from "../state/records.ts";
import { BASE_ENVS, titleOf } from "../project/project.ts";
import type { Variables } from "../secret.ts";
import { allOutputs, outputsOf } from "../engine/outputs.ts";
import { contextOf, inspectResource, scopeOf } from "../engine/context.ts";

/**
 * Each resource of an environment as it stands at its vendor, by key, with one call each.
 *
 * @throws {ForkstackError} NOT_FOUND for one that is gone; FOREIGN for another's; or else what kept a vendor from answering.
 */
export async function heldResources(
  engine: Engine,
  env: string,
  { rows, resources = engine.resources }: {
    readonly rows: readonly ResourceRow[];
    readonly resources?: readonly Tellable[];
  },
): Promise<ReadonlyMap<string, Held>> {
  const held = await Promise.allSettled(resources.map(async (resource) => {
    const title = titleOf(engine.project, resource, env);
    const row = rows.find(({ key }) => key === resource.key);
    if (row === undefined && !BASE_ENVS.includes(env)) {
      throw new ForkstackError("CONFLICT", `Cannot use environment "${env}": it has no ${resource.key}`, {
        hint: `Complete it with \`forkstack new ${env}\``,
        details: { env, resource: resource.key },
      });
    }
    return row?.id === undefined
      ? await baseResource(engine, resource, title, env)
      : await standing(engine, resource, row, "use");
  }));
  const errors = held.flatMap((one) => one.status === "rejected" ? [one.reason] : []);
  if (errors.length > 0) throw errors.find((error) => !isForkstackError(error) || !error.retryable) ?? errors[0];
  return new Map(held.map((one, at) => [resources[at]!.key, (one as PromiseFulfilledResult<Held>).value]));
}

/**
 * The variables of an environment as its providers tell them. `known` is what the registry has of it, and `held` what
 * `heldResources` gave, where they were asked already.
 */
export async function askVariables(
  engine: Engine,
  env: string,
  { known, held, resources = engine.resources }: {
    readonly known?: RecordedEnvironment;
    readonly held?: ReadonlyMap<string, Held>;
    readonly resources?: readonly Tellable[];
  } = {},
): Promise<Variables> {
  const { environment, rows } = known ?? await recordedEnvironment(engine, env);
  const told = held ?? await heldResources(engine, env, { rows, resources });
  const expiresAt = environment?.expiresAt;
  const all = await Promise.all(
    resources.map((resource) =>
      outputsOf(engine, {
        context: contextOf(engine, resource.provider),
        resource,
        held: told.get(resource.key)!,
        scope: scopeOf(engine, resource, expiresAt),
      })
    ),
  );
  return allOutputs(engine, env, { resources, expiresAt, outputs: all });
}

/** A resource of a base environment, as the vendor has it. */
export async function baseResource(engine: Engine, resource: Tellable, title: string, env: string) {
  const seen = await inspectResource(engine, resource, { env, title });
  assertOwn(resource, title, seen, "use");
  if (seen.state === "foreign") return { id: seen.id, name: title };
  if (seen.state !== "absent") return seen.fork;
  if (resource.provider.capabilities.parentMayBeAbsent) return { id: title, name: title };
  throw new ForkstackError(
    "NOT_FOUND",
    `Cannot use ${resource.key} of environment "${env}": ${resource.provider.name} has no "${title}"`,
    {
      hint: "Create it at the vendor with this name",
      details: { env, resource: resource.key, provider: resource.provider.name },
    },
  );
}
