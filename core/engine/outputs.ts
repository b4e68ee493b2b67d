/**
 * Variables that the resources of an environment give to the application.
 *
 * @module
 */
import { variablePrefix } from "../../mod.ts";
import type { Context, Held, Lease, Outputs, Scope } from "../provider.ts";
import { Secret, type Variables } from "../secret.ts";
import type { Engine, Tellable } from "./engine.ts";

/** The variable that remembers which lease the credentials beside it are for, where some end with the lease. */
export const LEASE_VARIABLE = "FORKSTACK_EXPIRES_AT";

/** A resource that is there, and what its provider is asked with. */
export interface OutputsQuery {
  readonly context: Context;
  readonly resource: Pick<Tellable, "name" | "provider">;
  readonly held: Held;
  readonly scope: Scope<unknown> & Lease;
  /** Outputs that its `create` handed back. @default {those that the provider gives when it is asked} */
  readonly given?: Outputs | undefined;
}

/** The variables of a resource, with its name's prefix. From here on no error shows the secrets among them. */
export async function outputsOf(
  { world }: Pick<Engine, "world">,
  { context, resource, held, scope, given }: OutputsQuery,
): Promise<Variables> {
  const outputs = given ?? await resource.provider.outputs(context, held, scope);
  world.secrets.push(...Object.values(outputs).filter((value) => value instanceof Secret));
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
