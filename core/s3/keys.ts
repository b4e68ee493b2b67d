/**
 * Keys as paths, and paths as keys. A key is any text of up to 1,024 bytes; a path here has only names that every file
 * system accepts and that stay inside the store: `covers/1.jpg` is `covers%/1.jpg`, `../x` is `..%/x`.
 *
 * - A directory's name ends in `%`, so that `a` and `a/b` can both be objects.
 * - Characters that file systems refuse or treat specially are percent-encoded, `%` included, so that a bare `%` is
 * always ours.
 * - A part of more than 200 bytes is split; its rest is in a directory whose name ends in `%+`.
 *
 * @module
 */
import { sep } from "node:path";

/** Longest key in bytes: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html */
export const MAX_KEY_BYTES = 1024;

const MAX_NAME_BYTES = 200; // file systems take 255
const NOTHING = "%-"; // the name of a file whose last part is empty: of the key "a/"
const encoder = new TextEncoder();

function hex(char: string): string {
  return `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`;
}

// deno-lint-ignore no-control-regex -- they are what is meant
const ODD = /[%\x00-\x1f\x7f\\:*?"<>|]/g;

/** Splits a part of a key into pieces that are short enough for a name. */
function pieces(part: string): string[] {
  const safe = part.replace(ODD, hex);
  if (safe.length * 3 <= MAX_NAME_BYTES || encoder.encode(safe).length <= MAX_NAME_BYTES) return [safe];
  const found: string[] = [];
  let piece = "", size = 0;
  for (const char of part) { // by code points: none is torn
    const encoded = char.replace(ODD, hex);
    const bytes = encoder.encode(encoded).length;
    if (size + bytes > MAX_NAME_BYTES) {
      found.push(piece);
      piece = "";
      size = 0;
    }
    piece += encoded;
    size += bytes;
  }
  return [...found, piece];
}

/** Returns the path of a key's object, relative to its bucket's store. */
export function pathOfKey(key: string): string {
  const parts = key.split("/");
  const names: string[] = [];
  for (const [at, part] of parts.entries()) {
    const all = pieces(part);
    const last = all.pop()!;
    names.push(...all.map((piece) => `${piece}%+`));
    if (at < parts.length - 1) names.push(`${last}%`);
    else if (last === "") names.push(NOTHING);
    else names.push(/^\.\.?$/.test(last) ? `%2E${last.slice(1)}` : last);
  }
  return names.join("/");
}

/** The meaning of a name in the store. */
export interface KeyEntry {
  /** A part of the key, or a piece of one. */
  readonly text: string;
  /** An object, the objects below `text/`, or those whose part continues after `text`. */
  readonly type: "object" | "directory" | "continued";
}

/** Parses a name in the store; `undefined` if this server never makes such a name. */
export function entryOfName(name: string): KeyEntry | undefined {
  const [, part, sign] = /^(.*?)(%\+?)?$/s.exec(name)!;
  const bare = name === NOTHING ? "" : part!;
  try {
    return { text: bare.includes("%") ? decodeURIComponent(bare) : bare, type: typeOfSign(sign) };
  } catch {
    return undefined;
  }
}

/** Returns the type for the end of a name. */
function typeOfSign(sign: string | undefined): KeyEntry["type"] {
  if (sign === undefined) return "object";
  return sign === "%" ? "directory" : "continued";
}

/** Names that Windows treats as a separator, a stream, a device or another name. */
const ODD_ON_WINDOWS = /[\\:*?"<>|]|[. ]$|^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i;

/** Returns the path at which an application would have written the object itself; `undefined` if there is none. */
export function plainPathOfKey(key: string, hidden: string): string | undefined {
  const parts = key.split("/");
  const isPath = parts.every((part) => part !== "" && part !== "." && part !== ".." && part.length <= 255);
  if (sep === "\\" && parts.some((part) => ODD_ON_WINDOWS.test(part))) return undefined;
  return isPath && parts[0] !== hidden && !key.includes("\0") ? key : undefined;
}

/** Compares keys by their bytes in UTF-8, which is not the order of JavaScript's strings. */
export function compareKeys(one: string, other: string): number {
  const length = Math.min(one.length, other.length);
  for (let at = 0; at < length; at++) {
    const [a, b] = [one.charCodeAt(at), other.charCodeAt(at)];
    if (a !== b) return rank(a) - rank(b);
  }
  return one.length - other.length;
}

/** Ranks a surrogate after all other characters. */
function rank(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}
