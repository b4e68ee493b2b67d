/**
 * `deno task blocks`: lists each code block of the pages, with how it is run. `tests/docs/blocks_test.ts` runs them.
 *
 * A block is run or checked by its language (`DEFAULTS`). Comments right above it, which no reader sees, say otherwise:
 *
 *     <!-- first: forkstack new alice -->       what is run before it and not shown, once for the page's project
 *     <!-- prints -->                           it is what the block above it prints, or its own `first`
 *     <!-- run by: tests/docs/install_test.ts -->   the file that runs it, which names the page
 *     <!-- not run: it needs an account at Neon -->
 *     <!-- fails: 5 -->                         in a guide: it ends with this exit code
 *     <!-- server: 3000 -->                     in a guide: it stays, and that port answers before the next block
 */
import { PAGES, readPage } from "./pages.ts";

/** A code block. */
export interface Block {
  /** Path of its page. */
  readonly page: string;
  /** Number of its first line of code, from 1. */
  readonly line: number;
  /** The word after its fence, or the language that an indented one plainly is. */
  readonly language: string;
  /** Its code, without the indentation that all lines share. */
  readonly code: string;
  /** The comments above it, e.g. `["prints", ""]`. */
  readonly notes: ReadonlyMap<string, string>;
}

/** The treatment of a block. */
export interface Treatment {
  readonly kind: "run" | "printed" | "config" | "json" | "yaml" | "elsewhere" | "not run";
  /** Reason or file, for those who read the list. */
  readonly about: string;
}

/** Notes that a block may have. */
const NOTES = /^(first|prints|run by|not run|fails|server)(?:: +([^]+))?$/;

/** Treatments by language, where no note says otherwise. */
const DEFAULTS: Readonly<Record<string, Treatment>> = {
  sh: { kind: "run", about: "in order, in a project of the page's own" },
  ts: { kind: "run", about: "by Deno, in that project" },
  python: { kind: "run", about: "by Python, in that project" },
  json: { kind: "json", about: "read" },
  yaml: { kind: "yaml", about: "read" },
};

/** Lists the code blocks of a page. */
export function blocksOf(page: string, text: string): Block[] {
  const lines = text.split("\n");
  const blocks: Block[] = [];
  let notes = new Map<string, string>();
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at]!;
    const fence = /^( *)(`{3,})(\S*)/.exec(line);
    if (fence !== null) {
      const end = lines.findIndex((one, i) => i > at && one.trim() === fence[2]);
      blocks.push({ page, line: at + 2, language: fence[3]!, code: dedented(lines.slice(at + 1, end)), notes });
      at = end;
    } else if (/^ {4,}\S/.test(line) && lines[at - 1]?.trim() === "") {
      let end = at;
      for (let i = at; i < lines.length && (/^ {4}/.test(lines[i]!) || lines[i]!.trim() === ""); i++) {
        if (lines[i]!.trim() !== "") end = i + 1;
      }
      const code = dedented(lines.slice(at, end));
      blocks.push({ page, line: at + 1, language: languageOf(code), code, notes });
      at = end - 1;
    } else if (line.trim().startsWith("<!--")) {
      const end = lines.findIndex((one, i) => i >= at && one.includes("-->"));
      const [, name, about = ""] = NOTES.exec(lines.slice(at, end + 1).join("\n").trim().slice(4, -3).trim()) ?? [];
      if (name !== undefined) notes.set(name, about);
      at = end;
      continue;
    } else if (line.trim() === "") continue;
    notes = new Map();
  }
  return blocks;
}

function dedented(lines: readonly string[]): string {
  const indent = Math.min(...lines.filter((line) => line.trim() !== "").map((line) => /^ */.exec(line)![0].length));
  return lines.map((line) => line.slice(indent)).join("\n");
}

/** Returns the language of an indented block: most are lines of a shell. */
function languageOf(code: string): string {
  if (code.startsWith("{")) return "json";
  return code.startsWith("- ") ? "yaml" : "sh";
}

/** Returns what becomes of a block; `undefined` if nothing says so. */
export function treatmentOf({ page, language, code, notes }: Block): Treatment | undefined {
  const why = notes.get("not run");
  if (why) return { kind: "not run", about: why };
  if (page.startsWith("docs/guides/")) return { kind: "elsewhere", about: "tests/guides/guides_test.ts" };
  const file = notes.get("run by");
  if (file) return { kind: "elsewhere", about: file };
  if (notes.has("prints")) return { kind: "printed", about: "by the block above it" };
  if (language === "json" && isConfig(code)) return { kind: "config", about: "checked as forkstack.json" };
  return DEFAULTS[language];
}

/** Returns true for a forkstack.json, or a part of one. */
function isConfig(code: string): boolean {
  return /^\{\s*"(?:\$schema|project|parent|database|storage|secrets|cache|queue|local|registry)":/.test(code);
}

/** Lists the blocks of all pages but those of the examples, which have tests of their own. */
export function allBlocks(): Block[] {
  return PAGES.filter((page) => !page.startsWith("examples/")).flatMap((page) => blocksOf(page, readPage(page)));
}

if (import.meta.main) {
  const blocks = allBlocks();
  for (const block of blocks) {
    const { kind, about } = treatmentOf(block) ?? { kind: "UNEXPLAINED", about: "" };
    const place = `${block.page}:${block.line}`;
    console.log(`${place.padEnd(40)} ${(block.language || "text").padEnd(7)} ${kind.padEnd(10)} ${about}`);
  }
  const counts = Map.groupBy(blocks, (block) => treatmentOf(block)?.kind ?? "UNEXPLAINED");
  console.log([...counts].map(([kind, { length }]) => `${length} ${kind}`).join(", "));
}
