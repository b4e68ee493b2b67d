/** What `deno task gen` writes is what is there. */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as v from "npm:valibot@1.5.0";
import type { Provider, Verified } from "../../core/provider.ts";
import sqlite from "../../providers/database/sqlite.ts";
import { OWN_PROGRAMS } from "../../core/project/permissions.ts";
import config from "../../deno.json" with { type: "json" };
import { commandFiles } from "../../tools/gen/commands.ts";
import { generate, outdated } from "../../tools/gen/main.ts";
import { pages } from "../../tools/gen/pages.ts";
import { programsOf, providerTables } from "../../tools/gen/provider_tables.ts";
import { type ProviderFile, readProviders } from "../../tools/gen/providers.ts";
import { STACKS } from "../../providers/presets.ts";
import { readSource } from "../../tools/gen/sources.ts";
import { constant } from "../../tools/gen/text.ts";
import { temporaryDirectory } from "../helpers.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

Deno.test("deno task gen has nothing to write", async () => {
  const files = await generate();
  assert(files.length > 0);
  assert.deepEqual(await outdated(files), [], "run `deno task gen`");
});

Deno.test("outdated() names what was changed by hand, what is missing, and nothing else", async () => {
  using at = temporaryDirectory();
  writeFileSync(join(at.path, "same"), "x\n");
  writeFileSync(join(at.path, "changed"), "y\n");
  const files = ["same", "changed", "missing"].map((path) => ({ path, text: "x\n" }));
  assert.deepEqual(await outdated(files, at.path), ["changed", "missing"]);
});

Deno.test("the set of permissions of most commands has the programs of every provider, and so have tasks by URL", async () => {
  const programs = [...OWN_PROGRAMS, ...programsOf(await readProviders(ROOT))];
  for (const one of ["cp", "git", "pg_dump", "mysqldump"]) assert(programs.includes(one), one);
  for (const given of [programs, ["cp", "zz_dump"], ["cp"]]) {
    const files = new Map((await commandFiles(ROOT, given)).map(({ path, text }) => [path, text]));
    const { permissions, tasks } = JSON.parse(files.get("deno.json")!);
    assert.deepEqual(permissions.cli.run, given);
    assert.deepEqual(permissions, { ...config.permissions, cli: { ...config.permissions.cli, run: given } });
    assert.deepEqual(tasks, config.tasks);
    assert(files.get("core/project/tasks.ts")!.includes(`"--allow-run=${given.join(",")}"`));
  }
});

Deno.test("pages() replaces what stands between two marks, keeps the rest, and refuses a table that nobody makes", async () => {
  using at = temporaryDirectory();
  mkdirSync(join(at.path, "docs"));
  writeFileSync(join(at.path, "README.md"), "no table\n");
  const made = () => pages(at.path, new Map(), new Map());
  const page = (name: string, body: string) =>
    `# A page\n\n<!-- generated: ${name} -->\n${body}<!-- end -->\n\nEnd | .\n`;
  writeFileSync(join(at.path, "docs", "a.md"), page("exit codes", "| stale |\n"));
  writeFileSync(join(at.path, "docs", "b.md"), "no table\n");
  const [written, ...others] = await made();
  assert.deepEqual([written?.path, others.length], ["docs/a.md", 0]);
  assert.match(
    written!.text,
    /^# A page\n\n<!-- generated: exit codes -->\n\n\| exit code \| meaning \|\n[^]*\| 70 \| unexp/,
  );
  assert.match(written!.text, /\n<!-- end -->\n\nEnd \| \.\n$/);
  assert.doesNotMatch(written!.text, /stale/);
  for (const name of ["exit codes", "errors"]) {
    writeFileSync(join(at.path, "docs", "a.md"), page(name, ""));
    const [first] = await made();
    writeFileSync(join(at.path, "docs", "a.md"), first!.text);
    assert.equal(
      (await made())[0]!.text,
      readFileSync(join(at.path, "docs", "a.md"), "utf8"),
      "twice the same",
    );
  }
  writeFileSync(join(at.path, "docs", "a.md"), page("recipes", ""));
  await assert.rejects(made(), /docs\/a\.md: there is no table "recipes"/);
});

Deno.test("providerTables() has a row a provider, with hosts by the examples of its file, which must fit", () => {
  const made = (name: string, file: Partial<ProviderFile>, permissions: Provider["permissions"]): ProviderFile => ({
    default: { ...sqlite, name, options: v.strictObject({ size: v.optional(v.number()) }), permissions } as Provider,
    ...file,
  });
  const own = made("own", { examples: { OWN_URL: "own://ada@db.example:77/x" } }, (_options, { OWN_URL }) => ({
    net: [new URL(OWN_URL!.reveal()).host, "*.own.example"],
    run: ["own"],
  }));
  const question = (example: string) => ({ questions: { size: { ask: "how many", example } } });
  const sized = (example: string) =>
    made("sized", question(example), (options) => ({ net: [JSON.stringify(options)] }));
  const tables = providerTables(new Map([["database", new Map([["own", own], ["sized", sized("154714")]])]]));
  assert.deepEqual(tables.permissions!().slice(1), [
    ["`own`", "the host in `OWN_URL`, `*.own.example`", "`own`"],
    ["`sized`", '`{"size":154714}`', ""],
  ]);
  const [header, first, ...others] = tables["database providers"]!();
  assert.deepEqual([header![0], header!.length, first![0], first![1], others.length], [
    "provider",
    9,
    "`own`",
    sqlite.capabilities.copy,
    1,
  ]);
  for (const wrong of ["many", "1e5", ""]) {
    const { permissions } = providerTables(new Map([["cache", new Map([["sized", sized(wrong)]])]]));
    assert.throws(
      () => permissions!(),
      /^Error: providers\/cache\/sized\.ts: the examples of its questions do not fit$/,
    );
  }
});

Deno.test("providerTables() says who gives a variable, of whom it is a secret, and where a person may set it", () => {
  const giving = (name: string, variables: Provider["variables"]): [string, ProviderFile] => [
    name,
    { default: { ...sqlite, name, variables } as Provider },
  ];
  const [secret, shared] = [{ isSecret: true, isIdentity: true }, { isSecret: false, isIdentity: false }];
  const tables = providerTables(
    new Map([
      [
        "cache",
        new Map([giving("a", { URL: secret, REGION: shared }), giving("b", { URL: { ...shared, isIdentity: true } })]),
      ],
      ["queue", new Map([giving("c", { URL: shared, KEY: { ...secret, isPersonal: true } })])],
    ]),
  );
  assert.deepEqual(tables.variables!().slice(1), [
    ["cache", "`URL`", "each", "yes; of `b` no", "yes"],
    ["cache", "`REGION`", "`a`", "no", "no"],
    ["queue", "`URL`", "`c`", "no", "no"],
    ["queue", "`KEY`", "`c`, or you", "yes", "yes"],
  ]);
});

Deno.test("providerTables() names each provider by its title and page, with its credentials, and refuses one without", () => {
  const known = (name: string, changed: Partial<Provider>): [string, ProviderFile] => [
    name,
    { default: { ...sqlite, name, title: "A Thing", page: "things.md#a", ...changed } as Provider },
  ];
  const [must, may] = [{ variable: "A", required: true }, { variable: "B", required: false }];
  const rows = (...files: [string, ProviderFile][]) =>
    providerTables(new Map([["cache", new Map(files)]])).providers!();
  assert.deepEqual(
    rows(
      known("none", { credentials: [] }),
      known("both", { credentials: [must, may] }),
      known("either", { credentials: [{ ...must, required: false }, may] }),
    ).slice(1).map((row) => row.slice(1, 4)),
    [
      ["`none`", "[A Thing](things.md#a)", "none"],
      ["`both`", "[A Thing](things.md#a)", "`A`, `B` (optional)"],
      ["`either`", "[A Thing](things.md#a)", "some of `A`, `B`"],
    ],
  );
  for (const lacking of [{ title: undefined }, { page: undefined }]) {
    assert.throws(() => rows(known("x", lacking as Partial<Provider>)), /providers\/cache\/x\.ts has no title or page/);
  }
});

Deno.test("providerTables() says what each provider's tests run on, the best proof first", () => {
  const capabilities = { ...sqlite.capabilities, embedded: false };
  const cell = (verified?: Verified, changed: Partial<Provider> = { capabilities }) => {
    const file: ProviderFile = { default: { ...sqlite, title: "A", page: "a.md", ...changed } as Provider };
    const given = verified === undefined ? file : { ...file, verified };
    return providerTables(new Map([["cache", new Map([["x", given]])]])).providers!()[1]!.at(-1);
  };
  assert.equal(cell(undefined, {}), "real files");
  assert.equal(cell(), "emulator");
  assert.equal(cell({ clients: ["a", "@b/c"] }), "emulator, `a`, `@b/c`");
  assert.equal(cell({ servers: ["Redis", "Valkey"] }), "real Redis, Valkey");
  assert.equal(cell({ live: "2026-11", servers: ["moto"], clients: ["a"] }), "live (2026-11), real moto, `a`");
});

Deno.test("providerTables() has each stack of init, with the questions of its providers", async () => {
  const [header, ...rows] = providerTables(await readProviders(ROOT)).stacks!();
  assert.deepEqual(rows.map(([stack]) => stack), Object.keys(STACKS).map((stack) => `\`${stack}\``));
  assert.deepEqual(header, ["`--stack`", "database", "storage", "secrets", "to be told"]);
  assert.deepEqual(rows[0], ["`sqlite-local`", "`sqlite`", "`local`", "`env-file`", "nothing"]);
  const told = new Map(rows.map(([stack, , , , text]) => [stack, text]));
  assert.equal(told.get("`turso-tigris-doppler`"), "`database.organization`; `secrets.project`: the project's name");
});

Deno.test("readSource() finds what is loaded by name and every specifier, and nothing in comments or other texts", () => {
  const found = readSource(
    "core/cli/a.ts",
    `/** load<typeof import("./no.ts")>("core/cli/no.ts"), import x from "npm:no@1.0.0" */
import type { A } from "./types.ts";
import * as v from "npm:valibot@1.5.0";
export * from "./other.ts";
type Sdk = typeof import("npm:sdk@1.0.0");
const text = 'loadPackage("npm:no@1.0.0")';
const { b } = await load<typeof import("../text/b.ts")>(
  "core/text/b.ts", // a line of its own
);
await loadPackage<Sdk>("npm:sdk@1.0.0/web");
await load(\`core/cli/commands/\${text}.ts\`);
await import("./late.ts");
`,
  );
  assert.deepEqual(found.modules, ["core/text/b.ts"]);
  assert.deepEqual(found.packages, ["npm:sdk@1.0.0/web"]);
  const specifiers = ["./types.ts", "npm:valibot@1.5.0", "./other.ts", "npm:sdk@1.0.0", "../text/b.ts", "./late.ts"];
  assert.deepEqual(found.specifiers, specifiers);
});

Deno.test("readSource() refuses a load() whose type is that of another module, or none", () => {
  const wrong = [
    'load<typeof import("./b.ts")>("core/c.ts")',
    'load<typeof import("../b.ts")>("core/b.ts")',
    'load("core/b.ts")',
    'load<Module>("core/b.ts")',
  ];
  for (const call of wrong) {
    assert.throws(
      () => readSource("core/a.ts", `\n${call};\n`),
      /core\/a\.ts:2: load\("core\/[bc]\.ts"\) has not/,
      call,
    );
  }
  assert.deepEqual(readSource("core/a.ts", 'load<typeof import("./b.ts")>("core/b.ts")').modules, ["core/b.ts"]);
});

Deno.test("constant() writes plain data as an expression that gives it back", () => {
  const values = [
    { a: [1, "x", true], "b-c": null, 3: { "__x": 'quo"te\n\u2028' } },
    ["", {}, [[]]],
    { kept: 1, left: undefined },
  ];
  for (const value of values) {
    const back = new Function(`return (${constant(value)});`)();
    assert.deepEqual(back, JSON.parse(JSON.stringify(value)));
  }
});
