/** Which code a provider's hash covers: all that it could load by name is found by a parser, or it is refused. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { loadCustom, readCode } from "../../../core/project/custom_provider.ts";
import { CATALOG } from "../../../providers/mod.ts";
import { temporaryDirectory } from "../../helpers.ts";

function hashOf(text: string): string {
  return createHash("sha256").update(text).digest("base64");
}

function projectIn(root: string) {
  return { root, stateRoot: root, name: "shop", stack: "shop", config: { project: "shop" }, isNew: false };
}

async function read(files: Record<string, string>, hash = "") {
  using directory = temporaryDirectory();
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(directory.path, name, ".."), { recursive: true });
    writeFileSync(join(directory.path, name), text);
  }
  return await readCode(projectIn(directory.path), "database", `./${Object.keys(files)[0]}${hash}`);
}

const UNCOVERED: Readonly<Record<string, RegExp>> = {
  'import { x } from "./x.ts";': /it imports ".*\/x\.ts", which its hash does not cover/,
  'import "../x.ts";': /it imports/,
  'export * from "/x.ts";': /it imports/,
  'const x = await import("./x.ts");': /it imports/,
  'import "file:///x.ts";': /it imports/,
  'import * as x from "http://x.example/x.ts";': /it imports/,
  'import {\n  x,\n  y,\n} from "./x.ts";': /it imports/,
  'import/* here */"./x.ts";': /it imports/,
  "const x = await import(/* here */ `./x.ts`);": /it imports/,
  'import "data:text/javascript,1";': /it imports "data:text\/javascript,1", which its hash does not cover/,
  'import "https://x.example/x.ts";': /it imports "https:\/\/x.example\/x.ts", which its hash does not cover/,
  'import "lodash";': /it imports "lodash"/,
  'import "npm:lodash@4";': /it imports "npm:lodash@4", which needs an exact version/,
  'const at = "./x.ts"; await import(at);': /line 1: an import whose name is made as it runs/,
  'await import(`./${"x"}.ts`);': /line 1: an import whose name is made as it runs/,
  'await import("./x" + ".ts");': /line 1: an import whose name is made as it runs/,
  'import { createRequire } from "node:module";': /line 1: createRequire/,
  'import * as m from "node:module";': /it imports "node:module", which loads other code/,
  'import * as m from "node:vm";': /it imports "node:vm", which loads other code/,
  'process.getBuiltinModule("node:module").createRequire("/")("./x.cjs");': /line 1: createRequire/,
  'const load = process.getBuiltinModule; load("module");': /line 1: getBuiltinModule/,
  'import { getBuiltinModule as load } from "node:process"; load("module");': /line 1: getBuiltinModule/,
  'export { getBuiltinModule } from "node:process";': /line 1: getBuiltinModule/,
  'import p from "node:process"; p.getBuiltinModule("module");': /line 1: module/,
  'const { constructor: Run } = () => {}; Run("1");': /line 1: constructor/,
  'process["getBuiltin" + "Module"]("module");': /line 1: module/,
  'eval("1");': /line 1: eval/,
  'const run = (0, eval); run("1");': /line 1: eval/,
  'globalThis["ev" + "al"]("1");': /line 1: globalThis\.eval/,
  "const { eval: run } = globalThis;": /line 1: eval/,
  'new Function("return 1")();': /line 1: Function/,
  '(async () => {}).constructor("return 1")();': /line 1: constructor/,
  'setTimeout("1");': /line 1: setTimeout with what could be a text/,
  'new Worker("./x.ts");': /line 1: Worker/,
  "import.meta.url;": /line 1: import\.meta/,
  'import x = require("./x.ts");': /line 1: import … = require/,
};

for (const [line, message] of Object.entries(UNCOVERED)) {
  Deno.test(`a hash does not cover ${line.replaceAll("\n", " ")}`, async () => {
    const refused = { code: "PROVIDER_INVALID", message };
    await assert.rejects(
      read({ "mine.ts": `${line}\nexport default 1;\n` }, `#sha256-${hashOf(`${line}\nexport default 1;\n`)}`),
      refused,
    );
  });
}

Deno.test("without a hash, the files that are imported are covered, those that they import too", async () => {
  const code = await read({
    "providers/mine.ts":
      'import { a } from "../lib/a.ts"; export { default } from "./b.js"; await import(`./c.json`); export { a };',
    "lib/a.ts": 'import type { X } from "./none.ts"; export * from "./deep/d.ts"; export const a: X | 1 = 1;',
    "lib/deep/d.ts": "export const d = 1;",
    "providers/b.js": 'import { d } from "../lib/deep/d.ts"; export default d;',
    "providers/c.json": "{}",
  });
  assert.deepEqual(Object.keys(code.files).sort(), [
    "./lib/a.ts",
    "./lib/deep/d.ts",
    "./providers/b.js",
    "./providers/c.json",
    "./providers/mine.ts",
  ]);
});

Deno.test("without a hash, what no file of the project can be is refused all the same", async () => {
  for (
    const [line, more, message] of [
      ['import "./a.ts?x=1";', {}, /no \.ts, \.js or \.json file/],
      ['import "./a";', {}, /no \.ts, \.js or \.json file/],
      ['import "./a.wasm";', {}, /no \.ts, \.js or \.json file/],
      ['import "./a.ts";', { "a.ts": 'import "./mine.ts";' }, /"\.\/mine\.ts", which imports it in turn/],
      ['import "./a.ts";', { "a.ts": "eval(1);" }, /a\.ts, line 1: eval/],
      ['import "./a.ts";', { "a.ts": 'import "lodash";' }, /it imports "lodash"/],
      ['import "./a.ts";', {}, /"\.\/a\.ts" can't be read/],
      ["await import(process.argv[2]);", {}, /made as it runs/],
    ] as const
  ) {
    await assert.rejects(read({ "mine.ts": line, ...more }), { code: "PROVIDER_INVALID", message }, line);
  }
});

Deno.test("what runs is what was read, whatever the files hold by then", async () => {
  using directory = temporaryDirectory();
  const [mine, inner] = [join(directory.path, "mine.ts"), join(directory.path, "inner.ts")];
  const mark = join(directory.path, "ran");
  const writing = (text: string) =>
    `process.getBuiltinModule("node:fs").writeFileSync(${JSON.stringify(mark)}, ${JSON.stringify(text)});`;
  writeFileSync(mine, 'import "./inner.ts"; export default 1;');
  writeFileSync(inner, writing("as read"));
  const project = projectIn(directory.path);
  const code = await readCode(project, "database", "./mine.ts");
  writeFileSync(mine, writing("changed"));
  writeFileSync(inner, writing("changed"));
  await assert.rejects(loadCustom(project, { kind: "database", key: "database", code, catalog: CATALOG }), {
    code: "PROVIDER_INVALID",
  });
  assert.equal(process.getBuiltinModule("node:fs").readFileSync(mark, "utf8"), "as read");
});

Deno.test("what runs is a module in each runtime, also where a file could pass for CommonJS", async () => {
  for (
    const text of [
      "module.exports = 1;",
      "// @bun @bun-cjs\n(function (exports, load) { load('x'); })",
      "#!/usr/bin/env bun\n// @bun @bun-cjs\n(function () {})",
      "#!/usr/bin/env node",
      "globalThis.at = __dirname;",
    ]
  ) {
    const { specifier } = await read({ "mine.js": text });
    const run = Buffer.from(specifier!.split(",")[1]!, "base64").toString();
    assert.match(run, /^(#!.*\n?)?export \{\};/, text);
    assert.equal(run.replace("export {};", ""), text);
  }
});
