/** The table of providers in docs/verification.md names what the tests use, all of it and nothing else. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { PROVIDERS } from "../../providers/mod.ts";
import { readProviders } from "../../tools/gen/providers.ts";

const ROOT = new URL("../../", import.meta.url);
const read = (path: string) => readFileSync(new URL(path, ROOT), "utf8");
const filesOf = (directory: string) => readdirSync(new URL(directory, ROOT)).map((name) => `${directory}${name}`);

/** Cells of each provider: specification, clients, real server, live. */
const ROWS = new Map(
  [...read("docs/verification.md").matchAll(/^\| `([a-z0-9-]+)` +\|(.+)\|(.+)\|(.+)\|(.+)\|$/gm)]
    .map(([, name, ...cells]) => [name!, cells.map((cell) => cell.trim())] as const),
);

const NAMES = Object.values(PROVIDERS).flatMap((all) => Object.keys(all));
const TESTS = filesOf("tests/providers/").filter((path) => /\.ts$/.test(path));
const textOf = (paths: readonly string[]) => paths.map(read).join("\n");
const codesIn = (cell: string) => [...cell.matchAll(/`([^`]+)`/g)].map(([, code]) => code!);

Deno.test("verification.md has a row for each provider, with a date for each thing that was run", () => {
  assert.deepEqual([...ROWS.keys()].sort(), NAMES.toSorted());
  for (const [name, cells] of ROWS) {
    assert.equal(cells.length, 4, name);
    for (const cell of cells) assert.match(cell, /^(none|never|same|.+, \d{4}-\d\d-\d\d)$/, name);
  }
});

Deno.test("verification.md names the specification that each provider's own test reads", () => {
  for (const [name, [cell]] of ROWS) {
    const path = `tests/providers/${name}_test.ts`;
    const text = TESTS.includes(path) ? read(path) : "";
    const files = [...text.matchAll(/Specification\.read\("([^"]+)"/g)].map(([, file]) => file!);
    assert.deepEqual(codesIn(cell!), files, name);
  }
});

Deno.test("verification.md names every client that is tried beside forkstack, and none that no test uses", async () => {
  const beside = new Map<string, string[]>();
  for (const path of filesOf("tests/clients/vendors/")) {
    const { clients } = await import(new URL(path, ROOT).href) as { clients: readonly { client: string }[] };
    beside.set(/([^/]+)\.ts$/.exec(path)![1]!, clients.map(({ client }) => client));
  }
  for (const [name, [, cell]] of ROWS) {
    const told = codesIn(cell!);
    for (const client of beside.get(name) ?? []) assert(told.includes(client), `${name} lacks ${client}`);
    const own = TESTS.filter((path) => new RegExp(`/_?(${name}|s3|secrets|redis)[_.]`).test(path));
    const used = textOf([...own, ...beside.has(name) ? [`tests/clients/vendors/${name}.ts`] : []]);
    for (const client of told) assert(used.includes(client), `no test of ${name} uses ${client}`);
  }
  assert([...beside.keys()].every((name) => ROWS.has(name)), "a client of no provider");
  assert(beside.size >= 9, `${beside.size} vendors`);
});

Deno.test("verification.md names the servers and clients that the providers' own files name", async () => {
  const files = [...(await readProviders(fileURLToPath(ROOT))).values()].flatMap((all) => [...all]);
  for (const [name, { verified: { servers = [], clients = [] } = {} }] of files) {
    const [, told, real] = ROWS.get(name)!;
    for (const one of servers) assert(real!.includes(one), `${name}: ${one}`);
    for (const one of clients) assert(codesIn(told!).some((code) => code.startsWith(`${one}@`)), `${name}: ${one}`);
  }
});

Deno.test("verification.md names the file that runs each provider on a real server", () => {
  for (const [name, [, , cell, live]] of ROWS) {
    const paths = Array.from(cell!.matchAll(/\]\(\.\.\/([^)]+)\)/g), ([, path]) => path!);
    assert.equal(paths.length === 0, cell === "none", name);
    for (const path of paths) assert(TESTS.includes(path), `there is no ${path}`);
    if (live === "same") assert.notEqual(cell, "none", name);
  }
});
