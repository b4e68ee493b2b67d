/** Tables of the pages that say what another file says. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

/** The cells of the first table whose first column is called so. */
function tableOf(text: string, first: string): string[][] {
  const lines = text.split("\n");
  const at = lines.findIndex((line) => line.startsWith("| ") && line.split("|")[1]!.trim() === first);
  const end = lines.findIndex((line, i) => i > at && !line.startsWith("|"));
  return lines.slice(at, end).map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));
}

Deno.test("README has five figures, as tools/bench/RESULTS.md has them", () => {
  const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
  const measured = tableOf(read("tools/bench/RESULTS.md"), "claim");
  const [, , ...told] = tableOf(read("README.md"), "claim");
  assert.equal(told.length, 5);
  for (const [claim, ...figures] of told) {
    assert.deepEqual(measured.find(([name]) => name === claim)?.slice(1, 4), figures, claim);
  }
});
