/**
 * Variables that the resources of an environment give to the application.
 *
 * @module
 */
import { variablePrefix } from "../../mod.ts";
import type { Context, Held, Lease, Outputs, Scope } from "../provider.ts";
import type { Variables } from "../secret.ts";
import type { Tellable } from "./engine.ts";

/** The variable that remembers which lease the credentials beside it are for, where some end with the lease. */
export const LEASE_VARIABLE = "FORKSTACK_EXPIRES_AT";

/** The variables of a resource that is there, with its name's prefix; `given`: what its `create` handed back. */
export async function outputsOf(
  context: Context,
  resource: Pick<Tellable, "name" | "provider">,
  held: Held,
  scope: Scope<unknown> & Lease,
  given?: Outputs,
): Promise<Variables> {
  const outputs = given ?? await resource.provider.outputs(context, held, scope);
  const prefix = variablePrefix(resource.name);
  return Object.fromEntries(Object.entries(outputs).map(([name, value]) => [prefix + name, value]));
}

/** Joins outputs, and adds the end of the lease if some of them end with it. */
export function withLease(
  resources: readonly Pick<Tellable, "provider">[],
  expiresAt: string | undefined,
  outputs: readonly Variables[],
): Variables {
  const ends = expiresAt !== undefined && resources.some(({ provider }) => provider.capabilities.outputsExpire);
  return Object.assign(ends ? { [LEASE_VARIABLE]: expiresAt } : {}, ...outputs);
}
