/**
 * Text of others on its way to a terminal: what would move the cursor, turn the reading direction or show as nothing is
 * shown by its number.
 *
 * @module
 */

/** Controls, format characters such as marks of direction, halves of surrogate pairs, private use, line separators. */
const UNSHOWN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Noncharacter_Code_Point}\u2028\u2029]/u;
const EACH = new RegExp(UNSHOWN, "gu");
const SHORT: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** Returns true if a text needs no escapes to be printed on one line. */
export function isPlain(text: string): boolean {
  return !UNSHOWN.test(text);
}

/** A text on one line, each character of which shows: `\n`, `\u{1b}`, `\u{202e}`. */
export function shown(text: string): string {
  return text.replace(EACH, (one) => SHORT[one] ?? numbered(one));
}

/** A text of lines, each character of which shows; its line ends and tabs stay. */
export function shownLines(text: string): string {
  return text.replace(EACH, (one) => one === "\n" || one === "\t" ? one : numbered(one));
}

/** JSON, as it is for a program, whose strings a terminal shows. */
export function shownJson(json: string): string {
  const escaped = (one: string) =>
    one.split("").map((unit) => `\\u${hex(unit.charCodeAt(0)).padStart(4, "0")}`).join("");
  return json.replace(EACH, (one) => one === "\n" ? one : escaped(one));
}

/** A value of others in quotes, at most 60 characters of it; what is no text, by its type. */
export function quoted(value: unknown): string {
  if (typeof value === "string") return `"${shown(value.length > 60 ? `${value.slice(0, 57)}...` : value)}"`;
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  return value === null || value === undefined ? "missing" : `of type ${typeof value}`;
}

function numbered(character: string): string {
  return `\\u{${hex(character.codePointAt(0)!)}}`;
}

function hex(code: number): string {
  return code.toString(16);
}

/** Compares names as people sort them, numbers as numbers: `pr-2` comes before `pr-10`. */
export function compareNames(one: string, other: string): number {
  return compareCodes(sortKey(one), sortKey(other));
}

/** Compares texts by their code units, as `sort()` does. */
export function compareCodes(one: string, other: string): number {
  if (one === other) return 0;
  return one < other ? -1 : 1;
}

function sortKey(name: string): string {
  return `${name.replace(/\d+/g, (digits) => digits.padStart(80, "0"))} ${name}`;
}

/** Compares what has a key by it; see `compareNames`. */
export function byKey(one: { readonly key: string }, other: { readonly key: string }): number {
  return compareNames(one.key, other.key);
}

/** Rows sorted by name; see `compareNames`. */
export function byName<Named extends { readonly name: string }>(rows: readonly Named[]): Named[] {
  const keyed = rows.map((row) => [sortKey(row.name), row] as const);
  return keyed.sort(([a], [b]) => a < b ? -1 : 1).map(([, row]) => row);
}

/** The message of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Verbs whose object says more than the sentence around: a host, a file, a script. */
const PARTICIPLES = new Map([
  ["reach", "reached"],
  ["fetch", "fetched"],
  ["sanitize", "sanitized"],
  ["read", "read"],
  ["write", "written"],
  ["open", "opened"],
  ["copy", "copied"],
  ["dump", "dumped"],
  ["override", "overridden"],
  ["restore", "restored"],
]);

/**
 * The reason in an error's message, to stand behind another "Cannot …: "; the whole message is its cause. Of
 * `Cannot delete database "shop": it is locked` it is `database "shop": it is locked`, and of `Cannot reach "h": refused`
 * it is `"h" cannot be reached (refused)`. With a resource's key, that comes first where the reason doesn't begin with it.
 */
export function reasonOf(error: unknown, key?: string): string {
  const reason = innermost(messageOf(error));
  return key === undefined || reason.startsWith(`${key} `) ? reason : `${key}: ${reason}`;
}

function innermost(message: string): string {
  const [, verb, object, inner] = /^Cannot (\w+) (.+?): (.+)$/s.exec(message) ?? [];
  if (verb === undefined || object === undefined || inner === undefined) return message;
  const reason = innermost(inner);
  const participle = PARTICIPLES.get(verb);
  if (participle !== undefined) return `${object} cannot be ${participle} (${reason})`;
  const isNamed = object.includes('"') && !object.includes('environment "'); // that is named already
  return isNamed ? `${object}: ${reason}` : reason;
}
