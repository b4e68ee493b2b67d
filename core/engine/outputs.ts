/**
 * Variables that an environment's resources give to the application.
 *
 * @module
 */
import { variablePrefix } from "../../mod.ts";
import type { Context, Held, Lease, Outputs, Scope } from "../provider.ts";
import { Secret, type Variables } from "../secret.ts";
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

/** Returns outputs of several resources as one object, with the end of the lease if some of them expire with it. */
export function withLease(
  resources: readonly Pick<Tellable, "provider">[],
  expiresAt: string | undefined,
  outputs: readonly Variables[],
): Variables {
  const all: Record<string, string | Secret> = {};
  const end = resources.some(({ provider }) => provider.capabilities.outputsExpire) ? expiresAt : undefined;
  if (end !== undefined) all[LEASE_VARIABLE] = end;
  for (const one of outputs) Object.assign(all, one);
  return all;
}
