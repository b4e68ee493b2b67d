/** SECURITY.md points to mechanisms, tests and pages that are there. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, statSync } from "node:fs";
import { PROVIDERS } from "../../providers/mod.ts";

const ROOT = new URL("../../", import.meta.url);
const TEXT = readFileSync(new URL("SECURITY.md", ROOT), "utf8");

Deno.test("each mechanism, test and page that SECURITY.md names exists", () => {
  const files = [...TEXT.matchAll(/`((?:core|tests|providers|docs)\/[\w./-]+)`|\]\(([\w./-]+)\)/g)]
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

Deno.test("every provider passes the cases of tests/conformance_foreign.ts, as SECURITY.md says", () => {
  assert.match(readFileSync(new URL("tests/conformance.ts", ROOT), "utf8"), /conformance_foreign\.ts"/);
  for (const name of Object.values(PROVIDERS).flatMap((of) => Object.keys(of))) {
    const text = readFileSync(new URL(`tests/providers/${name}_test.ts`, ROOT), "utf8");
    const own = [...text.matchAll(/"\.\/(_[\w-]+\.ts)"/g)].map(([, file]) =>
      readFileSync(new URL(`tests/providers/${file}`, ROOT), "utf8")
    );
    assert([text, ...own].some((one) => /conformance\.ts"/.test(one)), name);
  }
});
