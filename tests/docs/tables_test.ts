/** What the pages on providers say in their tables is what the providers say of themselves. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import type { Kind, Provider } from "../../core/provider.ts";
import { PROVIDERS } from "../../providers/mod.ts";
import { STACKS } from "../../providers/presets.ts";

const yes = (is: boolean) => is ? "yes" : "no";

/** What a column says of a provider. */
const COLUMNS: Readonly<Record<string, (provider: Provider) => string>> = {
  "data comes": ({ capabilities }) => capabilities.copy,
  "as of the past": ({ capabilities }) => yes(capabilities.pointInTime),
  "whose it is": ({ capabilities }) => capabilities.ownership,
  "ends with its lease": ({ capabilities }) => yes(capabilities.nativeExpiry),
  "login ends with it": ({ capabilities }) => yes(capabilities.outputsExpire),
  "usage": ({ capabilities }) => capabilities.usage,
  "`reset`": ({ reset }) => yes(reset !== undefined),
  "`sanitize`": ({ execute }) => yes(execute !== undefined),
};

const PAGES: Readonly<Partial<Record<Kind, string>>> = { database: "databases.md" };

for (const [kind, page] of Object.entries(PAGES)) {
  Deno.test(`docs/${page} says of each ${kind} provider what it can do`, async () => {
    const text = readFileSync(new URL(`../../docs/${page}`, import.meta.url), "utf8");
    const [header, , ...rows] = tableOf(text, "provider");
    for (const [name, load] of Object.entries(PROVIDERS[kind as Kind])) {
      const { default: provider } = await load();
      const told = rows.find(([first]) => first === `\`${name}\``);
      const expected = header!.slice(1).map((column) => COLUMNS[column]!(provider));
      assert.deepEqual(told?.slice(1), expected, name);
    }
    assert.equal(rows.length, Object.keys(PROVIDERS[kind as Kind]).length);
  });
}

Deno.test("docs/init.md has each stack, with its providers", () => {
  const [, , ...rows] = tableOf(readFileSync(new URL("../../docs/init.md", import.meta.url), "utf8"), "`--stack`");
  const told = Object.fromEntries(rows.map(([stack, ...providers]) => [stack, providers.slice(0, 3)]));
  const expected = Object.entries(STACKS).map(([stack, { providers }]) => {
    const { database = "sqlite", storage = "local", secrets = "env-file" } = providers;
    return [`\`${stack}\``, [database, storage, secrets].map((one) => `\`${one}\``)];
  });
  assert.deepEqual(told, Object.fromEntries(expected));
});

/** The cells of the first table whose first column is called so. */
function tableOf(text: string, first: string): string[][] {
  const lines = text.split("\n");
  const at = lines.findIndex((line) => line.startsWith("| ") && line.split("|")[1]!.trim() === first);
  const end = lines.findIndex((line, i) => i > at && !line.startsWith("|"));
  return lines.slice(at, end).map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));
}

Deno.test("README has figures as tools/bench/RESULTS.md has them, those of the S3 server among them", () => {
  const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
  const measured = tableOf(read("tools/bench/RESULTS.md"), "claim");
  const [, , ...told] = tableOf(read("README.md"), "claim");
  assert(told.length >= 8, `${told.length} rows`);
  for (const [claim, ...figures] of told) {
    assert.deepEqual(measured.find(([name]) => name === claim)?.slice(1, 4), figures, claim);
  }
  assert.equal(told.filter(([claim]) => claim!.startsWith("S3 server")).length, 4);
});
