/**
 * Variables that the resources of an environment give to the application.
 *
 * @module
 */
import { variablePrefix } from "../../mod.ts";
import type { Context, Held, Lease, Outputs, Scope } from "../provider.ts";
import type { Secret, Variables } from "../secret.ts";
import type { Tellable } from "./engine.ts";

/** The variable that remembers which lease the credentials beside it are for, where some end with the lease. */
export const LEASE_VARIABLE = "FORKSTACK_EXPIRES_AT";

/** The variables of a resource that is there, as its provider tells them, with its name's prefix. */
export async function outputsOf(
  context: Context,
  resource: Pick<Tellable, "name" | "provider">,
  held: Held,
  scope: Scope<unknown> & Lease,
): Promise<Variables> {
  return prefixedOutputs(resource, await resource.provider.outputs(context, held, scope));
}

/** Outputs of a resource as variables: with its name's prefix. */
export function prefixedOutputs(resource: Pick<Tellable, "name">, outputs: Outputs): Variables {
  const prefix = variablePrefix(resource.name);
  return Object.fromEntries(Object.entries(outputs).map(([name, value]) => [prefix + name, value]));
}

/** Joins outputs, and adds the end of the lease if some of them end with it. */
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
