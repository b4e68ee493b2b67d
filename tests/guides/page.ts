/**
 * A page of docs/guides, cut into what its reader does. Its blocks and the notes above them are those of
 * `tools/docs/blocks.ts`, and each block is one of:
 *
 * - commands: ` ```sh `, run in order in one shell, or what stays up with the note `server`;
 * - output: with the note `prints`, of the commands right before it; a line `…` stands for lines left out;
 * - a file: any other language, named at the end of the line before it: "`src/db.ts`:".
 *
 * Any other block is an error, unless the note `not run` says why.
 */
import { blocksOf } from "../../tools/docs/blocks.ts";

/** One thing to do, with the line of its block in the page. */
export type Step =
  & { readonly line: number; readonly text: string }
  & (
    | { readonly kind: "commands"; readonly exit: number; readonly output?: string }
    | { readonly kind: "server"; readonly port: number }
    | { readonly kind: "file"; readonly path: string }
    | { readonly kind: "not run" }
  );

/** The steps of a page, in order. Throws `SyntaxError` at a block that nobody could run. */
export function stepsOf(text: string): Step[] {
  const lines = text.split("\n");
  const steps: Step[] = [];
  let lastEnd = 0;
  for (const { line, language, code, notes } of blocksOf("", text)) {
    const refuse = (why: string) => new SyntaxError(`line ${line}: ${why}`);
    const before = lines.slice(0, line - (language === "" ? 1 : 2))
      .findLastIndex((one) => !/^\s*(<!--.*)?$/.test(one));
    const [, path] = /`([^`\s]+)`:$/.exec(lines[before] ?? "") ?? [];
    const common = { line, text: `${code}\n` };
    const port = notes.get("server");
    if (notes.get("not run")) steps.push({ ...common, kind: "not run" });
    else if (notes.has("prints")) {
      const step = steps.at(-1);
      if (step?.kind !== "commands" || before !== lastEnd) throw refuse("no commands right before it print this");
      steps[steps.length - 1] = { ...step, output: common.text };
    } else if (language === "sh" && port !== undefined) steps.push({ ...common, kind: "server", port: Number(port) });
    else if (language === "sh") steps.push({ ...common, kind: "commands", exit: Number(notes.get("fails") ?? 0) });
    else if (path !== undefined) steps.push({ ...common, kind: "file", path });
    else throw refuse("it is not run, names no file, and does not say why");
    lastEnd = line - 1 + code.split("\n").length;
  }
  return steps;
}

const RESOURCE = /^[+-] /;

/** Text of commands without what differs each time: times, sizes, places, the way of copying, the widths of columns. */
function normalised(text: string): string[] {
  return text.split("\n").map((line) =>
    line.replace(/\b\d+(?:\.\d+)? (?:ms|s)\b/g, "# ms").replace(/\s+/g, " ").trim()
      .replace(/ (?:copy-on-write|full-copy) /, " copy ")
  ).filter((line) => line !== "" && !/^\((?:node:\d+|Use `node --trace-warnings)/.test(line)); // of Node's SQLite
}

/**
 * Tells whether commands printed what a page shows: those lines, and no others but where a line `…` stands; within a
 * line `…` is any text. The lines of resources, in whatever order, may be left out.
 */
export function isShown(expected: string, printed: string): boolean {
  const [wanted, lines] = [normalised(expected), normalised(printed)];
  const resources = (all: readonly string[]) => all.filter((line) => RESOURCE.test(line)).sort();
  const rest = (all: readonly string[]) => all.filter((line) => !RESOURCE.test(line));
  const shown = resources(wanted);
  if (shown.length > 0 && shown.join("\n") !== resources(lines).join("\n")) return false;
  const pattern = rest(wanted).map((line) =>
    line === "…" ? "(?:.*\n)*" : `${line.split("…").map((part) => RegExp.escape(part)).join(".*")}\n`
  ).join("");
  return new RegExp(`^${pattern}$`).test(rest(lines).map((line) => `${line}\n`).join(""));
}
