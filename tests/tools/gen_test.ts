/** What `deno task gen` writes is what is there. */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { generate, outdated } from "../../tools/gen/main.ts";
import { pages } from "../../tools/gen/pages.ts";
import { temporaryDirectory } from "../helpers.ts";

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

Deno.test("pages() replaces what stands between two marks, keeps the rest, and refuses a table that nobody makes", async () => {
  using at = temporaryDirectory();
  mkdirSync(join(at.path, "docs"));
  const page = (name: string, body: string) =>
    `# A page\n\n<!-- generated: ${name} -->\n${body}<!-- end -->\n\nEnd | .\n`;
  writeFileSync(join(at.path, "docs", "a.md"), page("exit codes", "| stale |\n"));
  writeFileSync(join(at.path, "docs", "b.md"), "no table\n");
  const [written, ...others] = await pages(at.path);
  assert.deepEqual([written?.path, others.length], ["docs/a.md", 0]);
  assert.match(
    written!.text,
    /^# A page\n\n<!-- generated: exit codes -->\n\n\| exit code \| meaning \|\n[^]*\| 70 \| unexp/,
  );
  assert.match(written!.text, /\n<!-- end -->\n\nEnd \| \.\n$/);
  assert.doesNotMatch(written!.text, /stale/);
  for (const name of ["exit codes", "errors"]) {
    writeFileSync(join(at.path, "docs", "a.md"), page(name, ""));
    const [first] = await pages(at.path);
    writeFileSync(join(at.path, "docs", "a.md"), first!.text);
    assert.equal(
      (await pages(at.path))[0]!.text,
      readFileSync(join(at.path, "docs", "a.md"), "utf8"),
      "twice the same",
    );
  }
  writeFileSync(join(at.path, "docs", "a.md"), page("recipes", ""));
  await assert.rejects(pages(at.path), /docs\/a\.md: there is no table "recipes"/);
});
