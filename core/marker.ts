/**
 * Marks: who a fork belongs to, as the note that a vendor stores with it.
 *
 * @module
 */
import type { Fork, Marker } from "./provider.ts";
import { isEnvName, isInstant, isKey, isLine, isOperation, isOrigin, optional } from "./text/field_checks.ts";

/** Hexadecimal digits of a registry's id, and of the hash of a name. */
const DIGITS = 16;
const ENV = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/;
/** Characters of a note that every vendor of marks takes: the value of a tag of AWS has the least room. */
const ROOM = 256;

/**
 * A marker as the note that vendors hold: `forkstack:v2:stack:env:resource:operation:registry:thing`. `thing` is a hash
 * of the thing's name, so that the note stays short: a tag of AWS takes 256 characters. A part of a fork that bears
 * another name than the fork, e.g. one that `reset` stages, is marked with its own. `made` follows where there is room for it.
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

/** How an environment was made, as far as it is known. */
export interface Making {
  readonly parent: string;
  /** `"empty"`, or a point in the parent's past. */
  readonly origin?: string;
  /** The end of its lease; `null`: it has none; absent: unknown. */
  readonly expiresAt?: string | null;
}

const UNKNOWN = "unknown";

/** How many parts a note has after its version; a later one of v2 tells how its environment was made. */
const PARTS: ReadonlyMap<string | undefined, readonly number[]> = new Map([["v1", [4]], ["v2", [6, 7]]]);

/** How an environment was made, as `Marker.made` holds it: `prod_empty_2026-12-01T00:00:00.000Z`. */
export function formatMaking({ parent, origin = "", expiresAt = UNKNOWN }: Making): string {
  return [parent, origin, expiresAt ?? ""].join("_");
}

/** Reads `Marker.made`; `undefined` if it is nothing that forkstack writes. */
export function parseMaking(made: string | undefined): Making | undefined {
  const [, parent, origin, expiresAt] = /^([a-z0-9-]+)_([^_]*)_([^_]*)$/.exec(made ?? "") ?? [];
  if (parent === undefined || !ENV.test(parent)) return undefined;
  const making = origin === "" ? { parent } : { parent, origin };
  return expiresAt === UNKNOWN ? making : { ...making, expiresAt: expiresAt || null };
}

/**
 * The marker of a note on the thing of this name; `undefined` if the note is not ours, or was copied from another thing.
 * A note that forkstack keeps in a file of its own is the marker itself.
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

/** Whether a mark can be one of ours: what it names are names. */
export function isMarker(marker: Marker | undefined): boolean {
  return marker !== undefined && isLine(marker.stack, 100) && isEnvName(marker.env) && isKey(marker.resource) &&
    isOperation(marker.operation) && (marker.registry === undefined || isRegistryId(marker.registry)) &&
    (marker.name === undefined || isLine(marker.name, 255)) && (marker.made === undefined || isLine(marker.made, 255));
}

/** Whether a value is a fork that bears a mark of ours, as a file of forkstack's own holds one. */
export function isFork(value: unknown): value is Fork {
  const { id, name, parentId, marker, createdAt } = (value ?? {}) as Partial<Fork>;
  return isLine(id) && isLine(name) && (parentId === undefined || isLine(parentId)) && isMarker(marker) &&
    isInstant(createdAt);
}

/** How the environment of a mark was made, checked as a row is; `undefined` if the mark does not tell. */
export function makingOf({ made }: Marker): Making | undefined {
  const making = parseMaking(made);
  const isSound = making !== undefined && isEnvName(making.parent) && optional(isOrigin)(making.origin) &&
    optional(isInstant)(making.expiresAt);
  return isSound ? making : undefined;
}

/** A random id for a registry. */
export function newRegistryId(): string {
  return crypto.randomUUID().replaceAll("-", "").slice(0, DIGITS);
}

/** Whether a text can be the id of a registry. */
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

/** A short hash of a name, by which a mark names its thing. */
export function nameHash(name: string): string {
  const { createHash } = process.getBuiltinModule("node:crypto");
  return createHash("sha256").update(name).digest("hex").slice(0, DIGITS);
}
