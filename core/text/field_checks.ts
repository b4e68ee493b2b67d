/**
 * Checks of single values that strangers may have written: names, instants, paths.
 *
 * @module
 */
import { parseEnvName } from "../../mod.ts";
import type { Copy } from "../provider.ts";
import { isPlain } from "./printable.ts";

export type Check = (value: unknown) => boolean;

const COPIES: readonly string[] = ["copy-on-write", "full-copy", "schema-only", "empty", "namespace"] satisfies Copy[];

const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/;

const LSN = /^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/;

const WORD = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

const OPERATION = /^[\w.:-]{1,100}$/;

/** An instant in RFC 3339. */
export function isInstant(value: unknown): boolean {
  return typeof value === "string" && INSTANT.test(value) && !Number.isNaN(Date.parse(value));
}

/** The id of a run. */
export function isOperation(value: unknown): boolean {
  return typeof value === "string" && OPERATION.test(value);
}

/** An environment's legal name, as it is stored: no alias. */
export function isEnvName(value: unknown): value is string {
  if (typeof value !== "string" || value.length > 63) return false;
  try {
    return parseEnvName(value) === value;
  } catch {
    return false;
  }
}

/** A text on one line of up to `most` characters that shows as it is. */
export function isLine(value: unknown, most = 1_024): value is string {
  return typeof value === "string" && value !== "" && value.length <= most && isPlain(value);
}

/** An absolute path, without steps upwards. */
export function isPath(value: unknown): value is string {
  return isLine(value, 4_096) && /^([\\/]|[A-Za-z]:[\\/])/.test(value) && !/(^|[\\/])\.\.?([\\/]|$)/.test(value);
}

/** A way in which data reaches a fork. */
export function isCopy(value: unknown): boolean {
  return COPIES.includes(value as string);
}

export const optional = (check: Check): Check => (value) => value === null || value === undefined || check(value);

export const isOrigin: Check = (value) => value === "empty" || isInstant(value) || LSN.test(value as string);

export const isWord: Check = (value) => typeof value === "string" && WORD.test(value);

/** A resource's key: `"database"`, `"storage.uploads"`. */
export function isKey(value: unknown): boolean {
  return typeof value === "string" && value.split(".", 3).every(isWord) && value.split(".").length <= 2;
}
