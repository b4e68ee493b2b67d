/** One word, one thing: the table of docs/architecture.md, held over the names that shipped files export. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { run } from "../helpers.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

interface Exported {
  readonly name: string;
  /** Path of the file that declares it. */
  readonly file: string;
}

/** The part of `deno doc --json` that is read. */
interface Documented {
  readonly nodes: Readonly<
    Record<string, {
      readonly symbols: readonly {
        readonly name: string;
        readonly declarations: readonly { readonly kind: string; readonly declarationKind: string }[];
      }[];
    }>
  >;
}

/** The names that files export by declaring them: what they hand on of another file is that one's. */
async function exportsOf(files: readonly string[]): Promise<Exported[]> {
  const options = { cwd: ROOT, maxBuffer: 2 ** 28 };
  const { stdout } = await run(process.execPath, ["doc", "--json", ...files], options);
  const { nodes } = JSON.parse(stdout) as Documented;
  return Object.entries(nodes).flatMap(([url, { symbols }]) =>
    symbols.filter(({ name, declarations }) =>
      name !== "default" && declarations.some((one) => one.declarationKind === "export" && one.kind !== "reference")
    ).map(({ name }) => ({ name, file: url.slice(pathToFileURL(ROOT).href.length) }))
  );
}

/** A provider's own files have its vendor's words: its kind and vendor; `undefined`: the file is for all. */
function vendorOf(file: string): string | undefined {
  const [, vendor] = /^providers\/(?!_shared\/)(\w+\/(?:runtime\/)?[a-z0-9-]+)/.exec(file) ?? [];
  return vendor;
}

/** Names that two files export, unless all are vendors': each with its files. */
function clashesIn(all: readonly Exported[]): Map<string, string[]> {
  const clashes = new Map<string, string[]>();
  for (const [name, same] of Map.groupBy(all.filter((one) => !isContract(one)), ({ name }) => name)) {
    if (same.length > 1 && same.some(({ file }) => vendorOf(file) === undefined)) {
      clashes.set(name, same.map(({ file }) => file).sort());
    }
  }
  return clashes;
}

/** Returns true if each file of a folder exports this name: one thing, as a default export is. */
function isContract({ name, file }: Exported): boolean {
  return name === "command" && file.startsWith("core/cli/commands/");
}

/** One row of the table of words. */
interface Word {
  readonly word: string;
  /** Names that carry it. */
  readonly code: readonly string[];
  /** Names that are not to be used. */
  readonly not: readonly string[];
}

function wordsIn(page: string): Word[] {
  const section = page.slice(page.indexOf("\n## Words\n")).split(/\n## (?!Words)/)[0]!;
  const codeIn = (cell: string) => Array.from(cell.matchAll(/`(\w+)`/g), ([, name]) => name!);
  return section.split("\n").filter((line) => line.startsWith("| ")).slice(2).map((line) => {
    const [word, , code, not] = line.split("|").slice(1, -1).map((cell) => cell.trim());
    return { word: word!, code: codeIn(code!), not: codeIn(not!) };
  });
}

/** Lists the exported names that break the table. */
function problemsOf(words: readonly Word[], all: readonly Exported[]): string[] {
  const declared = Map.groupBy(all, ({ name }) => name);
  return [
    ...words.flatMap(({ word, code }) =>
      code.filter((name) => declared.get(name)?.length !== 1)
        .map((name) => `${word}: ${declared.get(name)?.length ?? 0} files export ${name}`)
    ),
    ...words.flatMap(({ word, not }) =>
      not.filter((name) => declared.has(name)).map((name) =>
        `${word}: ${name} is exported by ${declared.get(name)!.map(({ file }) => file).join(", ")}`
      )
    ),
    ...Array.from(clashesIn(all), ([name, files]) => `${name} is exported by ${files.join(", ")}`),
  ];
}

const SHIPPED = [
  "mod.ts",
  "cli.ts",
  ...["core", "providers"].flatMap((room) =>
    readdirSync(join(ROOT, room), { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"))
      .map((name) => `${room}/${name.replaceAll("\\", "/")}`)
  ),
];

Deno.test("no exported name stands for two things, and none is one that docs/architecture.md refuses", async () => {
  const all = await exportsOf(SHIPPED);
  assert(all.length > 500, "deno doc tells them");
  const words = wordsIn(readFileSync(join(ROOT, "docs/architecture.md"), "utf8"));
  assert(words.length >= 20);
  assert.deepEqual(problemsOf(words, all), []);
});

Deno.test("the test of words finds a clash, a refused name, and a word without its name", () => {
  const words: Word[] = [{ word: "checkout", code: ["Checkout"], not: ["Place"] }];
  const whole: Exported[] = [
    { name: "Checkout", file: "core/state/records.ts" },
    { name: "Branch", file: "providers/database/neon_api.ts" },
    { name: "Branch", file: "providers/database/supabase_api.ts" }, // vendors' words
  ];
  assert.deepEqual(problemsOf(words, whole), []);
  const flawed: readonly Exported[][] = [
    whole.slice(1),
    [...whole, { name: "Checkout", file: "providers/_shared/embedded.ts" }],
    [...whole, { name: "Place", file: "core/workspace/workspace.ts" }],
    [...whole, { name: "Branch", file: "core/text/duration.ts" }],
    [...whole, { name: "Page", file: "core/s3/list.ts" }, { name: "Page", file: "core/cli/help_pages.ts" }],
    [...whole, { name: "Row", file: "providers/_shared/postgres.ts" }, {
      name: "Row",
      file: "providers/queue/inngest.ts",
    }],
  ];
  for (const all of flawed) assert.notDeepEqual(problemsOf(words, all), [], JSON.stringify(all.at(-1)));
});
