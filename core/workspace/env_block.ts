/**
 * The env file that forkstack shares with the user, as text: forkstack owns the lines between its two markers, and
 * every other byte stays. A text has one character per byte, so that bytes which are not UTF-8 are kept.
 *
 * @module
 */
import { ENV_ASSIGNMENT, findEnvBlock, ForkstackError, formatEnvLine, readEnvFile } from "../../mod.ts";

/** Lines of the user, and their offset in the file. */
interface Lines {
  readonly at: number;
  readonly text: string;
}

/** The parts of a file before, between and after the markers. */
interface Parts {
  readonly mark: string;
  readonly before: readonly Lines[];
  /** The lines between the markers; absent where the file has no block. */
  readonly own?: string;
  readonly after: readonly Lines[];
}

/** Data for finding forkstack's lines in a file of 0.1.0, which has no markers. */
export interface UnmarkedFormat {
  /** The name of the file in errors. */
  readonly name: string;
  /** Names of the variables that resources give. */
  readonly given: ReadonlySet<string>;
  /** Returns the variables in an environment's own file; `undefined` if there is none. */
  readonly of: (env: string) => Readonly<Record<string, string>> | undefined;
}

const MARK = "\xEF\xBB\xBF"; // a byte order mark in UTF-8

/** Returns the bytes of a file as a text with one character per byte. */
export function textOfBytes(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 8_192) text += String.fromCharCode(...bytes.subarray(at, at + 8_192));
  return text;
}

/** Returns the bytes of a text that `textOfBytes` made. */
export function bytesOfText(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/**
 * Formats a block: the markers with the variables between them. The first marker names the directory it was written
 * for.
 */
export function formatBlock(variables: Readonly<Record<string, string>>, directory: string): string {
  const escaped = JSON.stringify({ directory }).replace(
    /[^ -~]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  const lines = Object.entries(variables).map(([name, value]) => formatEnvLine(name, value));
  const text = [
    `# >>> forkstack ${escaped}`,
    "# forkstack writes the lines up to the next marker; your own lines go above or below them",
    ...lines,
    "# <<< forkstack",
    "",
  ].join("\n");
  return textOfBytes(new TextEncoder().encode(text));
}

/**
 * Returns the file with this block in place of its own, or before the user's lines.
 *
 * @throws {ForkstackError} ENV_CONFLICT if the markers are damaged, or lines of 0.1.0 cannot be told from the user's.
 */
export function withBlock(file: string, block: string, known: UnmarkedFormat): string {
  const { mark, before, after } = partsOf(file, known);
  const written = [mark, joined(before), block, joined(after)].join("");
  if (partsOf(written, known).own !== undefined) return written;
  throw new TypeError("This should not happen: the block is not found again");
}

/**
 * Returns the file without its block.
 *
 * @throws {ForkstackError} ENV_CONFLICT as `withBlock` does.
 */
export function withoutBlock(file: string, known: UnmarkedFormat): string {
  const { mark, before, after } = partsOf(file, known);
  return mark + joined(before) + joined(after);
}

/** Returns the variables in the block of a file; none if it has no block. */
export function blockVariables(file: string, name?: string): Record<string, string> {
  const { text } = unmarked(file);
  return variablesOf(findEnvBlock(text, name)?.own ?? "");
}

/** Returns true if a file has a block between markers, in which all lines are forkstack's; in one of 0.1.0 they may not be. */
export function hasMarkers(file: string): boolean {
  return found(file)?.directory !== undefined;
}

function variablesOf(lines: string): Record<string, string> {
  const all = Array.from(readEnvFile(decoded(lines)));
  return Object.fromEntries(all.filter((one): one is [string, string] => typeof one[1] === "string"));
}

/**
 * Returns the file as it was before `written`, with the user's later changes; `undefined` if its block is a different
 * one by now.
 */
export function withoutChange(now: string, written: string, before: string): string | undefined {
  if (now === written) return before;
  const [current, ours] = [now, written].map((file) => ({ ...unmarked(file), block: found(file) }));
  if (current.block === undefined || ours.block === undefined) return undefined;
  const lines = ({ text, block }: typeof current) => text.slice(block!.begin, block!.end);
  if (lines(current) !== lines(ours)) return undefined;
  const earlier = unmarked(before);
  const block = found(before);
  const restored = block === undefined ? "" : earlier.text.slice(block.begin, block.end);
  const { mark, text } = current;
  return mark + text.slice(0, current.block.begin) + restored + text.slice(current.block.end);
}

/**
 * Applies to a file the edit of the user's lines that turns one text into another; returns it unchanged where the edit
 * does not fit.
 */
export function withEdit(file: string, from: string, to: string): string {
  const [base, edited] = [from, to].map((one) => personsText(one));
  let begin = 0;
  while (begin < Math.min(base.length, edited.length) && base[begin] === edited[begin]) begin++;
  let rest = 0;
  while (rest < Math.min(base.length, edited.length) - begin && base.at(-1 - rest) === edited.at(-1 - rest)) rest++;
  const end = base.length - rest;
  const inserted = edited.slice(begin, edited.length - rest);
  const { mark, text } = unmarked(file);
  const block = found(file);
  const shift = block === undefined || begin < block.begin ? 0 : block.end - block.begin;
  const isBefore = block !== undefined && begin < block.begin;
  if ((isBefore && end > block.begin) || !personsText(file).startsWith(base.slice(0, end))) return file;
  return mark + text.slice(0, begin + shift) + inserted + text.slice(end + shift);
}

function personsText(file: string): string {
  const { text } = unmarked(file);
  const block = found(file);
  return block === undefined ? text : text.slice(0, block.begin) + text.slice(block.end);
}

function found(file: string) {
  try {
    return findEnvBlock(unmarked(file).text);
  } catch {
    return undefined; // a person is at work on the markers
  }
}

/**
 * Refuses a file in which a line of the user sets a variable of the block: readers disagree on which of two lines
 * counts.
 */
export function refuseDoubles(file: string, names: ReadonlySet<string>, known: UnmarkedFormat): void {
  const { mark, before, after } = partsOf(file, known);
  const text = file.slice(mark.length);
  const doubles = [...before, ...after].flatMap((lines) => assigned(lines).filter(({ name }) => names.has(name)));
  if (doubles.length === 0) return;
  const lines = doubles.map(({ name, at }) => `line ${lineOf(text, at)} sets ${name}`);
  const it = doubles.length === 1 ? ["that line", "its variable"] : ["those lines", "their variables"];
  throw new ForkstackError("ENV_CONFLICT", `Cannot write ${known.name}: ${lines.join(", ")}, as forkstack does`, {
    hint: `Remove ${it[0]} or rename ${it[1]}: of two lines some programs take the first and others the last`,
  });
}

/** Lists the assignments in the user's lines, including `name: value`, which some readers take for one. */
function assigned({ at, text }: Lines): { name: string; at: number }[] {
  const first = (match: RegExpExecArray) => at + match.index + /^\s*/.exec(match[0])![0].length;
  return [
    ...Array.from(text.matchAll(ENV_ASSIGNMENT), (match) => ({ name: match[1], at: first(match) })),
    ...Array.from(
      text.matchAll(/^[ \t]*(?:export[ \t]+)?([\w.-]+)[ \t]*:[ \t]/gm),
      (match) => ({ name: match[1], at: first(match) }),
    ),
  ].sort((a, b) => a.at - b.at);
}

function partsOf(file: string, known: UnmarkedFormat): Parts {
  const { mark, text } = unmarked(file);
  const block = findEnvBlock(text, known.name);
  if (block === undefined) return { mark, before: [], after: [{ at: 0, text }] };
  const { begin, end, own, directory } = block;
  const after = { at: end, text: text.slice(end) };
  if (directory === undefined) return { mark, before: [], own, after: [...personsLines(text, own, known), after] };
  return { mark, before: [{ at: 0, text: text.slice(0, begin) }], own, after: [after] };
}

/**
 * Lists the user's lines among those of 0.1.0, which had no markers. Forkstack's own is the first line of each variable
 * that the environment's own file or a resource has, if it is in the format of 0.1.0.
 */
function personsLines(text: string, own: string, known: UnmarkedFormat): Lines[] {
  const variables = variablesOf(own);
  const kept = known.of(variables.FORKSTACK_ENV ?? "");
  const seen = new Set<string>();
  const lines: Lines[] = [];
  let end = 0;
  for (const match of own.matchAll(ENV_ASSIGNMENT)) {
    const [whole, name] = match;
    if (seen.has(name) || !WRITTEN_BY_0_1_0.test(whole)) continue;
    seen.add(name);
    if (kept === undefined ? !known.given.has(name) : !Object.hasOwn(kept, name) && !known.given.has(name)) {
      if (kept !== undefined) continue;
      throw new ForkstackError(
        "ENV_CONFLICT",
        `Cannot write ${known.name}: line ${lineOf(text, match.index)} sets ${name}, and may be yours or forkstack's`,
        { hint: 'Put a line "# yours, kept" above your own lines, or delete this one' },
      );
    }
    lines.push({ at: end, text: own.slice(end, match.index) });
    end = match.index + whole.length;
  }
  return [...lines, { at: end, text: own.slice(end) }].filter(({ text }) => text !== "");
}

/**
 * A line in the format of 0.1.0: nothing before the name or after the quotes, unquoted only what no quotes could hold.
 */
const WRITTEN_BY_0_1_0 = /^[\w.-]+=(?:'[^']*'|"[^"]*"|`[^`]*`|[^'"`\s][^\n]*(?:'[^\n]*|\\))\r?\n?$/;

function joined(lines: readonly Lines[]): string {
  return lines.map(({ text }) => text).join("");
}

function unmarked(file: string): { mark: string; text: string } {
  return file.startsWith(MARK) ? { mark: MARK, text: file.slice(MARK.length) } : { mark: "", text: file };
}

function decoded(text: string): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytesOfText(text));
}

function lineOf(text: string, at: number): number {
  return text.slice(0, at).split("\n").length;
}
