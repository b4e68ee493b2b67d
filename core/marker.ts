/**
 * Markers: the owner of a fork, as a note that a vendor stores with it.
 *
 * @module
 */
import type { Fork, Marker } from "./provider.ts";
import { isEnvName, isInstant, isKey, isLine, isOperation, isOrigin, optional } from "./text/field_checks.ts";

/** Hexadecimal digits of a registry's id, and of the hash of a name. */
const DIGITS = 16;
const ENV = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/;
/** Longest note in characters that every vendor accepts: the value of a tag of AWS is the shortest. */
const ROOM = 256;

/**
 * Formats a marker as the note that vendors store: `forkstack:v2:stack:env:resource:operation:registry:thing`. `thing`
 * is a hash of the fork's name, to keep the note short: a tag of AWS takes 256 characters. A part of a fork with
 * another name than the fork, e.g. one that `reset` stages, is marked with its own name. `made` is added if there is
 * room.
 */
export function formatMarker(marker: Marker, name: string | undefined = marker.name): string {
  const { stack, env, resource, operation, registry = "" } = marker;
  const parts = name === undefined
    ? ["v1", stack, env, resource, operation]
    : ["v2", stack, env, resource, operation, registry, nameHash(name)];
  const note = textOf(["forkstack", ...parts]);
  const whole = name === undefined || marker.made === undefined ? note : `${note}:${textOf([marker.made])}`;
  return whole.length <= ROOM ? whole : note;
}

function textOf(parts: readonly string[]): string {
  return parts.map(encodeURIComponent).join(":");
}

/** The known facts on how an environment was made. */
export interface Making {
  readonly parent: string;
  /** `"empty"`, or a point in the parent's past. */
  readonly origin?: string;
  /** The end of its lease; `null`: no lease; absent: unknown. */
  readonly expiresAt?: string | null;
}

const UNKNOWN = "unknown";

/** Numbers of parts that a note may have after its version; a later one of v2 says how its environment was made. */
const PARTS: ReadonlyMap<string | undefined, readonly number[]> = new Map([["v1", [4]], ["v2", [6, 7]]]);

/** Formats how an environment was made, for `Marker.made`: `prod_empty_2026-12-01T00:00:00.000Z`. */
export function formatMaking({ parent, origin = "", expiresAt = UNKNOWN }: Making): string {
  return [parent, origin, expiresAt ?? ""].join("_");
}

/** Parses `Marker.made`; `undefined` if forkstack did not write it. */
export function parseMaking(made: string | undefined): Making | undefined {
  const [, parent, origin, expiresAt] = /^([a-z0-9-]+)_([^_]*)_([^_]*)$/.exec(made ?? "") ?? [];
  if (parent === undefined || !ENV.test(parent)) return undefined;
  const making = origin === "" ? { parent } : { parent, origin };
  return expiresAt === UNKNOWN ? making : { ...making, expiresAt: expiresAt || null };
}

/**
 * Parses the note on the thing of this name; `undefined` if it is not ours, or was copied from another thing. A note in
 * one of forkstack's own files is the marker itself.
 */
export function parseMarker(note: unknown, name: string): Marker | undefined {
  if (typeof note === "object" && note !== null) {
    const marker = note as Marker;
    return marker.name === undefined || marker.name === name ? marker : undefined;
  }
  if (typeof note !== "string") return undefined; // a vendor's answer may hold anything
  const [tool, version, ...parts] = note.split(":");
  if (tool !== "forkstack" || !PARTS.get(version)?.includes(parts.length)) return undefined;
  const decoded = parts.map(decode);
  const [stack, env, resource, operation, registry, thing, made] = decoded;
  if (decoded.includes(undefined) || !ENV.test(env!)) return undefined;
  const marker = { stack: stack!, env: env!, resource: resource!, operation: operation! };
  if (version === "v1") return marker; // of 0.1.0, which named neither
  if (thing !== nameHash(name) || (made !== undefined && parseMaking(made) === undefined)) return undefined;
  const named = registry === "" ? { ...marker, name } : { ...marker, name, registry };
  return made === undefined ? named : { ...named, made };
}

/** Returns true if all parts of a marker are valid names. */
export function isMarker(marker: Marker | undefined): boolean {
  return marker !== undefined && isLine(marker.stack, 100) && isEnvName(marker.env) && isKey(marker.resource) &&
    isOperation(marker.operation) && (marker.registry === undefined || isRegistryId(marker.registry)) &&
    (marker.name === undefined || isLine(marker.name, 255)) && (marker.made === undefined || isLine(marker.made, 255));
}

/** Returns true if a value, e.g. from one of forkstack's own files, is a fork with a valid marker. */
export function isFork(value: unknown): value is Fork {
  const { id, name, parentId, marker, createdAt } = (value ?? {}) as Partial<Fork>;
  return isLine(id) && isLine(name) && (parentId === undefined || isLine(parentId)) && isMarker(marker) &&
    isInstant(createdAt);
}

/** Returns how the environment of a marker was made, checked as a row is; `undefined` if the marker does not say. */
export function makingOf({ made }: Marker): Making | undefined {
  const making = parseMaking(made);
  const isSound = making !== undefined && isEnvName(making.parent) && optional(isOrigin)(making.origin) &&
    optional(isInstant)(making.expiresAt);
  return isSound ? making : undefined;
}

/** Returns a random id for a registry. */
export function newRegistryId(): string {
  return crypto.randomUUID().replaceAll("-", "").slice(0, DIGITS);
}

/** Returns true if a text is a valid id of a registry. */
export function isRegistryId(text: unknown): text is string {
  return typeof text === "string" && new RegExp(`^[0-9a-f]{${DIGITS}}$`).test(text);
}

function decode(part: string): string | undefined {
  try {
    return decodeURIComponent(part);
  } catch {
    return undefined;
  }
}

/** Returns a short hash of a name; a marker names its thing by it. */
export function nameHash(name: string): string {
  const { createHash } = process.getBuiltinModule("node:crypto");
  return createHash("sha256").update(name).digest("hex").slice(0, DIGITS);
}
