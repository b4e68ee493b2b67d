/** What the providers share on whose a fork is. */
import type { Context, Inspection, Marker } from "../../core/provider.ts";
import { ForkstackError } from "../../mod.ts";

/**
 * Whether two marks are of the same resource of the same environment, whichever run made them. Two registries of one
 * stack are two holders; marks of 0.1.0 name no registry.
 */
export function isSameHolder(one: Marker, other: Marker): boolean {
  const isOneRegistry = one.registry === undefined || other.registry === undefined || one.registry === other.registry;
  return one.stack === other.stack && one.env === other.env && one.resource === other.resource && isOneRegistry;
}

/** Whose it is, in words. */
export function holder({ stack, env, resource, registry }: Marker): string {
  const of = registry === undefined ? "" : `, in registry ${registry}`;
  return `it belongs to ${resource} of environment "${env}" of stack "${stack}"${of}`;
}

/** What `inspect` says of a thing that bears the mark of another. */
export function others(id: string, marker: Marker): Inspection {
  return { state: "foreign", id, reason: holder(marker), holder: marker };
}

/** Why a fork that is there is not what this run is to make or finish; `undefined` if it is. */
export function isOthers(found: Marker | undefined, wanted: Marker, unmarked: string): string | undefined {
  if (found === undefined) return unmarked;
  if (!isSameHolder(found, wanted)) return holder(found);
  if (found.operation === wanted.operation) return undefined;
  return `operation ${found.operation} of the same environment made it`;
}

/** Whose a thing is whose id the vendor's own answer is on record to have given; its name alone proves nothing. */
export async function recordedOwner(context: Context, name: string, id: string): Promise<Marker | undefined> {
  return (await context.recorded(name)).find((one) => one.id === id)?.marker;
}

/** Begins the reason where what is on record as ours stands, and bears no mark any more. */
export const MARK_GONE = "its mark is gone";

/** Why a thing without a mark is foreign: our own answer is on record for its name, so that it lost its mark, or none is. */
export async function unmarked(context: Context, name: string, what: string): Promise<string> {
  if ((await context.recorded(name)).length === 0) return `${what} is not marked as ours`;
  return `${MARK_GONE}: ${what} bears none, though one of this name was made for this environment. If it is that one, ` +
    "remove it by hand, or put the mark back";
}

/** The error for what forkstack did not make, or made for another; `what` as in `make database "x": why`. */
export function foreignError(
  { provider, resource }: { readonly provider: string; readonly resource: string },
  what: string,
  cause?: unknown,
): ForkstackError {
  return new ForkstackError("FOREIGN", `Cannot ${what}`, {
    hint: "Choose another environment name, or move away what is there; forkstack touches nothing that it did not make",
    details: { provider, resource },
    cause,
  });
}
