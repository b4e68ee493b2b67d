/**
 * Text of others on its way to a terminal: what would move the cursor, turn the reading direction or show as nothing is
 * shown as its code.
 *
 * @module
 */

/** Controls, line ends, marks of direction, invisible characters, halves of surrogate pairs, noncharacters. */
const UNSHOWN =
  /[\p{Cc}\p{Cs}\p{Noncharacter_Code_Point}\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e0fff}]/u;
const EVERY_UNSHOWN = new RegExp(UNSHOWN.source, "gu");
const SHORT: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** Whether a text shows as it is, on one line. */
export function isPlain(text: string): boolean {
  return !UNSHOWN.test(text);
}

/** A text on one line, with every character that would not show as its code: `\n`, `\x1b`, `\u202e`. */
export function shown(text: string): string {
  return text.replace(EVERY_UNSHOWN, escaped);
}

/** A value of others in quotes, at most 60 characters of it; what is no text, by its type. */
export function quoted(value: unknown): string {
  if (typeof value === "string") return `"${shown(value.length > 60 ? `${value.slice(0, 57)}...` : value)}"`;
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  return value === null || value === undefined ? "missing" : `of type ${typeof value}`;
}

function escaped(character: string): string {
  const code = character.codePointAt(0)!;
  const digits = code.toString(16);
  return SHORT[character] ??
    (code < 0x100
      ? `\\x${digits.padStart(2, "0")}`
      : code < 0x10000
      ? `\\u${digits.padStart(4, "0")}`
      : `\\u{${digits}}`);
}
