/**
 * Looking at an embedded resource: what `inspect` of every embedded provider is. It is a file of its own, and loads no
 * package, as `forkstack switch` waits for it each time.
 */
import type { Context, Copy, Fork, Inspection, Kind, Provider, Scope, Target } from "../../core/provider.ts";
import { isFork } from "../../core/marker.ts";
import { temporariesOf } from "../../core/system/files.ts";
import { join } from "../../core/system/host.ts";
import { embeddedPath, ForkstackError } from "../../mod.ts";
import { isSameHolder, others, unmarked } from "./ownership.ts";

/** As much of an embedded provider as tells where its forks lie. */
export interface Shape {
  readonly kind: Kind;
  /** Files beside the fork's own that go with it, by what their names add. */
  readonly companions?: readonly string[];
}

/** The state, where the owner's files lie. */
export type Place = Pick<Scope<unknown>, "root">;

/** As much of an embedded provider as looking needs. */
export function embeddedInspector(
  name: string,
  kind: Kind,
): Pick<Provider, "name" | "kind" | "credentials" | "inspect"> {
  return { name, kind, credentials: [], inspect: (context, target) => inspect({ kind }, context, target) };
}

/** Path of the file that says whose a fork is. */
export function ownerPath(kind: Kind, place: Place, name: string): string {
  return join(place.root, ".forkstack", "owners", `${kind}.${name}.json`);
}

/** Reads an owner's file of the fork of this name; one that was copied from another fork's says nothing. */
export async function readOwner(context: Context, kind: Kind, place: Place, name: string): Promise<Fork | undefined> {
  const path = ownerPath(kind, place, name);
  const text = await context.files.read(path);
  if (text === undefined) return undefined;
  try {
    const { id, name: named, parentId, marker: mark, createdAt, copy } = soundOwner(JSON.parse(text));
    const marker = named === name ? context.markerOf(name, mark) : undefined;
    return marker && {
      id,
      name,
      ...(parentId === undefined ? {} : { parentId }),
      marker,
      createdAt,
      ...(copy === undefined ? {} : { copy }),
    };
  } catch (error) {
    throw new ForkstackError("STATE_DAMAGED", `Cannot read the owner file "${path}": it is not what forkstack wrote`, {
      hint: "Compare it with its neighbours; without it the fork counts as foreign",
      cause: error,
    });
  }
}

const COPIES: readonly unknown[] = ["copy-on-write", "full-copy", "empty"] satisfies Copy[];

/** Checks the content of an owner's file by hand: valibot would make `switch` wait. */
function soundOwner(value: unknown): Fork {
  const isSound = isFork(value) && (value.copy === undefined || COPIES.includes(value.copy));
  if (!isSound) throw new TypeError("it does not say whose the fork is");
  return value;
}

/** Tells what stands at the fork's path. What was whole and is not there is `deleting`: its mark alone is left. */
export async function inspect(its: Shape, context: Context, target: Target<unknown>): Promise<Inspection> {
  const path = embeddedPath(its.kind, target.root, target.name);
  const ownerFile = ownerPath(its.kind, target, target.name);
  const fork = await readOwner(context, its.kind, target, target.name);
  if (fork === undefined) {
    for (const at of [path, ...companionsOf(its, path), ownerFile]) {
      if (await context.files.stat(at) === undefined) continue;
      return { state: "foreign", id: target.name, reason: await unmarked(context, target.name, `"${at}"`) };
    }
    return { state: "absent" };
  }
  if (!isSameHolder(fork.marker, target.marker)) return others(fork.id, fork.marker);
  const found = await context.files.stat(path);
  if (found === undefined && isEmptyLater(fork, target)) return { state: "ready", fork };
  if (found === undefined) return { state: fork.copy === undefined ? "pending" : "deleting", fork };
  if (fork.copy !== undefined) return { state: "ready", fork };
  const copy = await publishedCopy(context, ownerFile, found.identity);
  if (copy !== undefined) return { state: "ready", fork: { ...fork, copy } };
  const now = await readOwner(context, its.kind, target, target.name);
  if (now?.id !== fork.id || now.copy !== fork.copy) return await inspect(its, context, target); // it changed meanwhile
  return { state: "foreign", id: fork.id, reason: `something else made "${path}" before the fork was whole` };
}

/** Whether a fork is whole though nothing stands at its path: an application makes it at first use, and none has yet. */
export function isEmptyLater({ copy }: Fork, { options }: Scope<unknown>): boolean {
  return copy === "empty" && isMadeAtFirstUse(options);
}

/** Whether a resource's options leave it to the application to make what stands at its path. */
export function isMadeAtFirstUse(options: unknown): boolean {
  return (options as { make?: unknown } | null)?.make === "first use";
}

/** How a file that is about to be published was copied, by the notes beside the owner's file. */
export async function publishedCopy(context: Context, ownerFile: string, identity: string): Promise<Copy | undefined> {
  for (const note of await temporariesOf(context.files, ownerFile)) {
    const text = await context.files.read(note);
    for (const copy of ["copy-on-write", "full-copy", "empty"] as const) {
      if (text === noteOf(identity, copy)) return copy;
    }
  }
  return undefined;
}

/** Text of the note on a file that is whole, and is about to be published. */
export function noteOf(identity: string, copy: Copy): string {
  return `${identity} ${copy}\n`;
}

/** The paths of what goes with a fork. */
export function companionsOf(its: Shape, path: string): string[] {
  return (its.companions ?? []).map((suffix) => path + suffix);
}
