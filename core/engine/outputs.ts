/**
 * Variables that an environment's resources give to the application.
 *
 * @module
 */
import { fillTemplate, templatesOf, variablePrefix } from "../../mod.ts";
import type { Context, Held, Lease, Outputs, Scope } from "../provider.ts";
import { Secret, type Variables } from "../secret.ts";
import type { Project } from "../project/project.ts";
import type { Engine, Tellable } from "./engine.ts";

/** The variable that holds the end of the lease for which credentials were issued, if some end with the lease. */
export const LEASE_VARIABLE = "FORKSTACK_EXPIRES_AT";

/** An existing resource, and the arguments for its provider's `outputs`. */
export interface OutputsQuery {
  readonly context: Context;
  readonly resource: Pick<Tellable, "name" | "provider">;
  readonly held: Held;
  readonly scope: Scope<unknown> & Lease;
  /** Outputs that `create` returned. @default {those of the provider's `outputs`} */
  readonly given?: Outputs | undefined;
}

/**
 * Returns the variables of a resource, with its name's prefix. From then on their secrets are redacted in every error.
 */
export async function outputsOf(
  { world }: Pick<Engine, "world">,
  { context, resource, held, scope, given }: OutputsQuery,
): Promise<Variables> {
  const outputs = given ?? await resource.provider.outputs(context, held, scope);
  world.secrets.push(...Object.values(outputs).filter((value) => value instanceof Secret));
  const prefix = variablePrefix(resource.name);
  return Object.fromEntries(Object.entries(outputs).map(([name, value]) => [prefix + name, value]));
}

/**
 * Returns outputs of several resources as one object, with the end of the lease if some of them expire with it, and the
 * variables that forkstack.json shapes from them.
 */
export function allOutputs(
  { project, world }: Pick<Engine, "project" | "world">,
  env: string,
  { resources, expiresAt, outputs }: {
    readonly resources: readonly Pick<Tellable, "provider">[];
    readonly expiresAt: string | undefined;
    readonly outputs: readonly Variables[];
  },
): Variables {
  const all: Record<string, string | Secret> = {};
  const end = resources.some(({ provider }) => provider.capabilities.outputsExpire) ? expiresAt : undefined;
  if (end !== undefined) all[LEASE_VARIABLE] = end;
  for (const one of outputs) Object.assign(all, one);
  const shaped = shapedVariables(project, env, all);
  world.secrets.push(...Object.values(shaped).filter((value) => value instanceof Secret));
  return { ...all, ...shaped };
}

/**
 * Returns the variables that `variables` of forkstack.json shapes from others; one with a secret in it is a secret. A
 * variable is absent if one of its placeholders has no value.
 */
export function shapedVariables<Value extends string | Secret>(
  { config, name: project }: Pick<Project, "config" | "name">,
  env: string,
  values: Readonly<Record<string, Value>>,
): Record<string, Value | string> {
  const all: Variables = { ...values, FORKSTACK_ENV: env, FORKSTACK_PROJECT: project };
  return Object.fromEntries(
    Array.from(templatesOf(config)).flatMap(([variable, template]) => {
      let isSecret = false;
      const text = fillTemplate(template, (name) => {
        const value = Object.hasOwn(all, name) ? all[name] : undefined;
        isSecret ||= value instanceof Secret;
        return value instanceof Secret ? value.reveal() : value;
      });
      return text === undefined ? [] : [[variable, isSecret ? new Secret(text) as Value : text]];
    }),
  );
}
