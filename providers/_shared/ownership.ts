/** Ownership of forks, for all providers. */
import type { Context, Inspection, Marker } from "../../core/provider.ts";
import { ForkstackError } from "../../mod.ts";

/**
 * Returns true if two markers are of the same resource of the same environment, whichever run made them. Two registries
 * of one stack are two holders; markers of 0.1.0 name no registry.
 */
export function isSameHolder(one: Marker, other: Marker): boolean {
  const isOneRegistry = one.registry === undefined || other.registry === undefined || one.registry === other.registry;
  return one.stack === other.stack && one.env === other.env && one.resource === other.resource && isOneRegistry;
}

/** Returns a sentence that names the owner. */
export function holder({ stack, env, resource, registry }: Marker): string {
  const of = registry === undefined ? "" : `, in registry ${registry}`;
  return `it belongs to ${resource} of environment "${env}" of stack "${stack}"${of}`;
}

/** Returns the result of `inspect` for a thing with another's marker. */
export function others(id: string, marker: Marker): Inspection {
  return { state: "foreign", id, reason: holder(marker), holder: marker };
}

/** Returns the reason why an existing fork is not this run's; `undefined` if it is. */
export function isOthers(found: Marker | undefined, wanted: Marker, unmarked: string): string | undefined {
  if (found === undefined) return unmarked;
  if (!isSameHolder(found, wanted)) return holder(found);
  if (found.operation === wanted.operation) return undefined;
  return `operation ${found.operation} of the same environment made it`;
}

/** Returns the owner of a thing, if its id is on record from the vendor's own answer; its name alone proves nothing. */
export async function recordedOwner(context: Context, name: string, id: string): Promise<Marker | undefined> {
  return (await context.recorded(name)).find((one) => one.id === id)?.marker;
}

/** The start of the reason for a thing that is on record as ours, and has no marker any more. */
export const MARK_GONE = "its mark is gone";

/**
 * Returns the reason why a thing without a marker is foreign: either it lost its marker, if its name is on record, or
 * it was never ours.
 */
export async function unmarked(context: Context, name: string, what: string): Promise<string> {
  if ((await context.recorded(name)).length === 0) return `${what} is not marked as ours`;
  return `${MARK_GONE}: ${what} bears none, though one of this name was made for this environment. If it is that one, ` +
    "remove it by hand, or put the mark back";
}

/** The error for a thing that is not ours, or of another environment; `what` as in `make database "x": why`. */
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
