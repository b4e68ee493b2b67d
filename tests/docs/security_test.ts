/** SECURITY.md points to mechanisms, tests and pages that are there. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, statSync } from "node:fs";
import { PROVIDERS } from "../../providers/mod.ts";
import { arrowsAmong, filesOf } from "../module_graph.ts";

const ROOT = new URL("../../", import.meta.url);
const TEXT = readFileSync(new URL("SECURITY.md", ROOT), "utf8");

Deno.test("each mechanism, test and page that SECURITY.md names exists", () => {
  const files = [...TEXT.matchAll(/`((?:core|tests|providers|docs)\/[\w./-]+)`|\]\(([\w./-]+)(?:#[\w-]+)?\)/g)]
    .map(([, named, linked]) => (named ?? linked)!);
  assert(files.filter((file) => file.startsWith("tests/")).length >= 12, files.join());
  for (const file of files) {
    assert(existsSync(new URL(file, ROOT)), `${file} is not there`);
    assert(statSync(new URL(file, ROOT)).isFile(), `${file} is no file`);
  }
});

Deno.test("SECURITY.md speaks of everybody who may be hostile, of what does not hold, and of reports", () => {
  for (
    const who of [
      "repository",
      "teammate",
      "registry server",
      "vendor",
      "web page",
      "user of the same machine",
      "dependency",
    ]
  ) {
    assert(TEXT.toLowerCase().includes(who), who);
  }
  for (const section of ["What does not hold", "How to report"]) assert.match(TEXT, new RegExp(`^## ${section}$`, "m"));
  assert(TEXT.split("\n").length < 130, "a page");
});

Deno.test("every provider passes the cases of tests/conformance_foreign.ts, as SECURITY.md says", async () => {
  const files = await filesOf("tests/providers/*.ts", "tests/conformance*.ts");
  const arrows = await arrowsAmong(files, { types: false });
  const targets = Map.groupBy(arrows, ([from]) => from);
  const reaches = (from: string, to: string, seen = new Set([from])): boolean =>
    (targets.get(from) ?? []).some(([, next]) => next === to || !seen.has(next) && reaches(next, to, seen.add(next)));
  assert(reaches("tests/conformance.ts", "tests/conformance_foreign.ts"));
  assert(!reaches("tests/providers/_aws_secrets.ts", "tests/conformance.ts"), "types alone register no case");
  for (const name of Object.values(PROVIDERS).flatMap((of) => Object.keys(of))) {
    const [tests, shared] = [`tests/providers/${name}_test.ts`, `tests/conformance.ts`];
    assert(reaches(tests, shared), `${tests} does not run the suite`);
  }
});
