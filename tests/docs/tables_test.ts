/** What the pages on providers say in their tables is what the providers say of themselves. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { STACKS } from "../../providers/presets.ts";

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
