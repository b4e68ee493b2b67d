/**
 * Tables of the documentation that the code knows. A page holds each between two comments:
 *
 *     <!-- generated: errors -->
 *     <!-- end -->
 */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { ERROR_CODES, EXIT_CODES } from "../../core/cli/error_codes.ts";
import type { CommandFile } from "../../core/cli/command_file.ts";
import { COMMON_OPTIONS } from "../../core/cli/shared.ts";
import { USES } from "../../tests/frameworks/languages.ts";
import type { Use } from "../../tests/frameworks/use.ts";
import { providerTables } from "./provider_tables.ts";
import type { Providers } from "./providers.ts";
import type { Generated, Table } from "./text.ts";

const TABLES: Readonly<Record<string, () => Table>> = {
  "exit codes": () => [["exit code", "meaning"], ...Object.entries(EXIT_CODES)],
  "errors": () => [
    ["code", "exit code", "may pass by itself", "meaning"],
    ...Object.entries(ERROR_CODES).map(([code, { exit, meaning, retryable }]) => [
      `\`${code}\``,
      String(exit),
      passing(retryable),
      meaning,
    ]),
  ],
  ...Object.fromEntries(
    Object.entries(USES).flatMap(([language, uses]) =>
      (["SQLite", "PostgreSQL"] as const).map((database) => [
        `${database} by ${language}`,
        () => toolsTable(uses, database),
      ])
    ),
  ),
};

/** Returns the table of a language's tools on a database, as the test of tools runs them. */
function toolsTable(all: readonly Use[], database: Use["database"]): Table {
  const uses = all.filter((use) => use.database === database);
  const code = (text: string) => `\`${text}\``;
  return [
    ["tool", "line", "in `variables`", "not"],
    ...uses.map(({ tool, line, variable, wrong = [] }) => [
      tool,
      code(line),
      variable === undefined ? "" : code(variable.map((one) => JSON.stringify(one)).join(": ")),
      wrong.map(([form, outcome]) => `${code(form)}: ${outcome}`).join("; "),
    ]),
  ];
}

/** Returns one word on whether the same call may succeed later. */
function passing(retryable: boolean | string): string {
  if (typeof retryable === "string") return retryable;
  return retryable ? "yes" : "";
}

const REGION = /(<!-- generated: ([\w -]+) -->\n)[^]*?(<!-- end -->)/g;

/** Lists the commands with what they take. */
function commandTable(commands: ReadonlyMap<string, CommandFile>): Table {
  const code = (text: string) => `\`${text}\``;
  const isCommon = (option: string) => (COMMON_OPTIONS as readonly string[]).includes(option);
  return [
    ["command", "what it does", "options of its own"],
    ...[...commands].map(([name, { arguments: takes, summary, options, runsProgram }]) => [
      code([name, ...takes?.labels ?? [], runsProgram ? "-- command" : ""].join(" ").trim()),
      summary,
      Object.keys(options).filter((option) => !isCommon(option)).map((option) => code(`--${option}`)).join(", "),
    ]),
  ];
}

/** Generates the pages that hold a generated table. */
export async function pages(
  root: string,
  providers: Providers,
  commands: ReadonlyMap<string, CommandFile>,
): Promise<Generated[]> {
  const all: typeof TABLES = { ...TABLES, ...providerTables(providers), commands: () => commandTable(commands) };
  const files = (await readdir(join(root, "docs"))).filter((name) => name.endsWith(".md"));
  const names = ["README.md", ...files.map((name) => `docs/${name}`)];
  const found: Generated[] = [];
  for (const path of names) {
    const text = await readFile(join(root, path), "utf8");
    const tables = new Map<string, string>();
    for (const [, , name] of text.matchAll(REGION)) {
      const table = all[name];
      if (table === undefined) throw new Error(`${path}: there is no table "${name}"`);
      tables.set(name, markdown(table()));
    }
    if (tables.size === 0) continue;
    found.push({
      path,
      text: text.replace(REGION, (_, open, name, close) => `${open}\n${tables.get(name)}\n${close}`),
    });
  }
  return found;
}

function markdown([header, ...rows]: Table): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |\n`;
  return line(header) + line(header.map(() => "---")) + rows.map(line).join("");
}
