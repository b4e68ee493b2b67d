/** Names in README and docs are forkstack's: commands with their options, variables, error codes, messages. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ERROR_CODES } from "../../core/cli/error_codes.ts";
import { COMMANDS, OPTIONS } from "../../core/cli/command_table.ts";
import { parse } from "../../core/cli/parse.ts";
import { PAGES, readPage } from "../../tools/docs/pages.ts";
import { errorTexts } from "../../tools/gen/error_texts.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** Pages for users; CHANGELOG.md names what was once. */
const OF_USERS = PAGES.filter((page) => page !== "CHANGELOG.md");

/** A piece of code in a page, and whether it stands in a line of text. */
interface Code {
  readonly text: string;
  readonly page: string;
}

/** Code spans, lines of indented and of fenced code. */
function codesIn(page: string, text: string): Code[] {
  const lines = [...text.matchAll(/^ *```\S*\n([^]*?)^ *```$/gm)].flatMap(([, code]) => code!.split("\n"));
  const indented = Array.from(text.matchAll(/^ {4,}(\S.*)$/gm), ([, line]) => line!);
  const prose = text.replace(/^ *```[^]*?^ *```$/gm, "");
  const spans = Array.from(prose.matchAll(/`([^`]+)`/g), ([, code]) => code!.replace(/\s+/g, " "));
  return [...lines, ...indented, ...spans].map((one) => ({ text: one, page }));
}

const CODES = OF_USERS.flatMap((page) => codesIn(page, readPage(page)));

/** Files of the sources that may name a variable: what is shipped, and what tests and CI set. */
const SOURCES = ["mod.ts", "cli.ts", "core", "providers", "languages", "tests", "tools", ".ci", "examples"].flatMap(
  (room) =>
    room.endsWith(".ts") ? [room] : readdirSync(join(ROOT, room), { recursive: true, encoding: "utf8" })
      .filter((name) =>
        /(\.(ts|py|go|sh)|^vectors.*\.json|^(run|full))$/.test(name) && !/node_modules|docs\/names_test/.test(name)
      )
      .map((name) => `${room}/${name}`),
).map((path) => readFileSync(join(ROOT, path), "utf8")).join("\n");

/** Names of a reader's own, in examples, and privileges of MySQL. */
const OF_OTHERS =
  /^(SET_ANY_DEFINER|SET_USER_ID|CONNECTION_ADMIN|STRIPE_\w*|LOG_LEVEL|OLD_URL|MINE_TOKEN|API_KEY|NUMBER|EVENTS_DATABASE_PATH|(VITE|NEXT_PUBLIC)_DATABASE_URL|PROJECT_NAME|PROTECTED_ENVS|TEST_DATABASE_URL)$/;

/** Names in capitals that nothing has. */
function unknownNames(codes: readonly Code[]): string[] {
  const names = codes.flatMap(({ text, page }) =>
    Array.from(text.matchAll(/(?<![\w$*{-])[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+(?![\w*])/g), ([name]) => ({ name, page }))
  );
  return names.filter(({ name }) =>
    !Object.hasOwn(ERROR_CODES, name) && !OF_OTHERS.test(name) && !new RegExp(`\\b${name}\\b`).test(SOURCES)
  ).map(({ name, page }) => `${page}: ${name}`);
}

Deno.test("each variable and error code that a page names is there", () => {
  assert.deepEqual(unknownNames(CODES), []);
  assert.equal(unknownNames([{ text: "echo $A `NO_SUCH_CODE` ENV_UNSET", page: "a" }]).length, 1);
});

/** Options of Deno and of pg_dump that no test gives. */
const OPTIONS_OF_OTHERS = ["--watch", "--create"];

Deno.test("each option that a page names by itself is forkstack's or another program's", () => {
  const unknown = (codes: readonly Code[]) =>
    codes.flatMap(({ text, page }) => {
      const [option] = /^--[a-z][a-z-]+/.exec(text) ?? [];
      if (option === undefined || Object.hasOwn(OPTIONS, option.slice(2))) return [];
      return SOURCES.includes(option) || OPTIONS_OF_OTHERS.includes(option) ? [] : [`${page}: ${option}`];
    });
  assert.deepEqual(unknown(CODES), []);
  const found = unknown([{ text: `--nowhere-to-be-found`, page: "a" }, { text: "--ttl 3d", page: "a" }]);
  assert.equal(found.length, 1);
});

/** Text that may stand before a command line: the beginning, a sign of a shell, another program that starts it. */
const BEFORE = /(?:^|[|;&(!`"] *|(?:^|\s)(?:run:|-|\w+=\S*|then|deno task|npm run) +)$/;

/** The command lines in a piece of code, each as its words, with an environment in place of each placeholder. */
function linesIn(text: string): string[][] {
  const found = [...text.matchAll(/(?<![\w./-])(?:forkstack +|envs:(?=\w))((?:<\w[^>]*>|[^|#;&)"`…>\\])*)/g)];
  return found.filter(({ index }) => BEFORE.test(text.slice(0, index))).map(([, line]) =>
    line!.replace(/<\w[^>]*>/g, " alice ").replace(/<.*$/, "").replace(/\[[^\]]*\]/g, "").replaceAll("'", "").replace(
      /\$\w+/g,
      "alice",
    )
      .split(/\s+/).filter(Boolean)
  ).filter(([first]) => /^[a-z-]/.test(first ?? ""));
}

async function problemIn(words: string[]): Promise<string | undefined> {
  const at = words.indexOf("--");
  const [args, program] = at < 0 ? [words, []] : [words.slice(0, at), words.slice(at + 1)];
  const [command, ...rest] = args as [string, ...string[]];
  if (!Object.hasOwn(COMMANDS, command) && !command.startsWith("--")) return `there is no command ${command}`;
  for (const option of args.filter((word) => word.startsWith("--"))) {
    if (!Object.hasOwn(OPTIONS, option.slice(2).split("=")[0]!)) return `there is no option ${option}`;
  }
  if (rest.length === 0 || at >= 0 && program.length === 0) return undefined; // its name, or its beginning
  return await parse(args, program).then(() => undefined, (error) => (error as Error).message);
}

Deno.test("each command line that a page names is understood", async () => {
  const problems: string[] = [];
  let count = 0;
  for (const { text, page } of CODES) {
    for (const words of linesIn(text)) {
      count++;
      const problem = await problemIn(words);
      if (problem !== undefined) problems.push(`${page}: forkstack ${words.join(" ")}: ${problem}`);
    }
  }
  assert.deepEqual([...new Set(problems)], []);
  assert(count > 150, `${count} command lines`);
});

Deno.test("a command line that is wrong is found, and prose is none", async () => {
  const wrong = [
    "forkstack fly",
    "npm run envs:land",
    "x && forkstack new --fro dev",
    "forkstack switch a b",
    "forkstack list now",
  ];
  for (const one of wrong) {
    const lines = linesIn(one);
    assert.equal(lines.length, 1, one);
    assert.notEqual(await problemIn(lines[0]!), undefined, one);
  }
  const right = [
    "forkstack new [name] --ttl 3d # x",
    "deno task envs:run alice -- x --y",
    'eval "$(forkstack env --reveal)"',
  ];
  for (const one of [...right, "- run: forkstack secrets set A < a.txt", "forkstack delete <name> --purge; true"]) {
    assert.equal(await problemIn(linesIn(one)[0]!), undefined, one);
  }
  for (const one of ["from forkstack import x", "# forkstack writes", "-P=forkstack new"]) {
    assert.deepEqual(linesIn(one), []);
  }
});

/** A pattern of an error's text: `{…}` stands for anything, `[a | b]` for one of these. */
function patternOf(text: string): RegExp {
  const pieces = text.split(/(\{[^{}]*\}|\[| \| |\])/).map((piece) => {
    if (piece.startsWith("{")) return "[^]+";
    if (piece === "[") return "(?:";
    if (piece === " | ") return "|";
    return piece === "]" ? ")" : piece.replace(/[.*+?^${}()|\\/]/g, "\\$&");
  });
  return new RegExp(`^${pieces.join("")}$`);
}

Deno.test("docs/troubleshooting.md has errors as they are told, by their codes", async () => {
  const texts = (await errorTexts(ROOT)).flatMap(({ code, message }) => {
    if (!/^Cannot .*\w/.test(message.replace(/\{[^}]*\}/g, ""))) return [];
    return [{ code, pattern: patternOf(message) }];
  });
  const rows = [...readPage("docs/troubleshooting.md").matchAll(/^\| (Cannot [^|]+?) +\| `(\w+)` +\|/gm)];
  assert(rows.length > 30, `${rows.length} rows`);
  const isTold = (text: string, code: string) =>
    texts.some((one) => one.pattern.test(text) && (one.code === code || !Object.hasOwn(ERROR_CODES, one.code)));
  assert.deepEqual(
    rows.filter(([, text, code]) => !isTold(text!, code!)).map(([, text, code]) => `${code}: ${text}`),
    [],
  );
  assert(!isTold("Cannot find the way home", "ENV_NOT_FOUND"));
  assert(!isTold("Cannot ask for confirmation: there is no terminal", "USAGE"));
});
