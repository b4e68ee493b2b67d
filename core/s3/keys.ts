/**
 * Keys as paths, and back. A key is any text of up to 1,024 bytes; a path here is made of names that every file system
 * takes, and that can't lead anywhere else: `covers/1.jpg` is `covers%/1.jpg`, `../x` is `..%/x`.
 *
 * - A directory's name ends in `%`, so that `a` and `a/b` can both be objects.
 * - What file systems refuse or give a meaning is percent-encoded; `%` itself too, so that a bare `%` is always ours.
 * - A part of more than 200 bytes is cut; what goes on is in a directory whose name ends in `%+`.
 *
 * @module
 */
import { sep } from "node:path";

/** The bytes of a key, at most: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html */
export const MAX_KEY_BYTES = 1024;

const MAX_NAME_BYTES = 200; // file systems take 255
const NOTHING = "%-"; // the name of a file whose last part is empty: of the key "a/"
const encoder = new TextEncoder();

function hex(char: string): string {
  return `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`;
}

// deno-lint-ignore no-control-regex -- they are what is meant
const ODD = /[%\x00-\x1f\x7f\\:*?"<>|]/g;

/** One part of a key, in pieces that are short enough for a name. */
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

/** The path of a key's object, relative to its bucket's store. */
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

/** What a name in the store stands for. */
export interface KeyEntry {
  /** The part of the key, or a piece of it. */
  readonly text: string;
  /** An object, the objects below `text/`, or those whose part goes on after `text`. */
  readonly type: "object" | "directory" | "continued";
}

/** What a name in the store stands for; `undefined` for one that this server never makes. */
export function entryOfName(name: string): KeyEntry | undefined {
  const [, part, sign] = /^(.*?)(%\+?)?$/s.exec(name)!;
  const bare = name === NOTHING ? "" : part!;
  try {
    return { text: bare.includes("%") ? decodeURIComponent(bare) : bare, type: typeOfSign(sign) };
  } catch {
    return undefined;
  }
}

/** The type that the end of a name stands for. */
function typeOfSign(sign: string | undefined): KeyEntry["type"] {
  if (sign === undefined) return "object";
  return sign === "%" ? "directory" : "continued";
}

/** What Windows takes for a separator, a stream, a device or another name. */
const ODD_ON_WINDOWS = /[\\:*?"<>|]|[. ]$|^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i;

/** The path at which an application that writes files itself would have put the object, if there is one. */
export function plainPathOfKey(key: string, hidden: string): string | undefined {
  const parts = key.split("/");
  const isPath = parts.every((part) => part !== "" && part !== "." && part !== ".." && part.length <= 255);
  if (sep === "\\" && parts.some((part) => ODD_ON_WINDOWS.test(part))) return undefined;
  return isPath && parts[0] !== hidden && !key.includes("\0") ? key : undefined;
}

/** The order of keys: by their bytes in UTF-8, which is not that of JavaScript's strings. */
export function compareKeys(one: string, other: string): number {
  const length = Math.min(one.length, other.length);
  for (let at = 0; at < length; at++) {
    const [a, b] = [one.charCodeAt(at), other.charCodeAt(at)];
    if (a !== b) return rank(a) - rank(b);
  }
  return one.length - other.length;
}

/** A surrogate stands for what comes after all other characters. */
function rank(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}
