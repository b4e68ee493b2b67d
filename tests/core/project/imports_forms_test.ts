/** Ways to load code that hide its name, each refused; and what ordinary providers write, none of it refused. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { importsOf, problemOfImport } from "../../../core/project/imports.ts";

const REFUSED: Readonly<Record<string, RegExp>> = {
  // The name is put together, or kept elsewhere.
  'const p = process; p["getBuiltin" + "Module"]("child_process");': /process as a value/,
  '(() => {})["const" + "ructor"]("return import(\'x\')")();': /constructor/,
  "(() => {})[`const${`ructor`}`]('1')();": /constructor/,
  "(() => {})[`const${'ruc' + `t`}or`]('1')();": /constructor/,
  '(() => {})[("const" + "ructor") as const]("1")();': /constructor/,
  '(() => {})[(("construct" as string) + <string>"or")!]("1")();': /constructor/,
  'const key = "const" + "ructor"; f[key]("1")();': /constructor/,
  'const a = "con", b = `${a}structor`; f[b]("1")();': /constructor/,
  'const o = { key: "constructor" }; f[o.key]("1")();': /the text "constructor"/,
  '["constructor"].map((key) => f[key]("1"));': /the text "constructor"/,
  "g(f, String.raw`constructor`);": /the text "constructor"/,
  'const { ["const" + "ructor"]: F } = f; F("1");': /constructor/,
  "let F; ({ [`constructor`]: F } = f); F('1');": /constructor/,
  'const { a: { constructor: F } } = { a: f }; F("1");': /constructor/,
  "function g({ constructor: F }) { F('1'); }": /constructor/,
  // It goes another way to the same member.
  'Reflect.get(f, "constructor")("1");': /Reflect\.get/,
  'Reflect.get(f, key)("1");': /Reflect\.get/,
  "const { get } = Reflect;": /Reflect\.get/,
  "const r = Reflect;": /Reflect as a value/,
  'Object.getOwnPropertyDescriptor(f, "constructor").value("1");': /getOwnPropertyDescriptor/,
  "Object.values(Object.getOwnPropertyDescriptors(f))[0].value('1');": /getOwnPropertyDescriptors/,
  'f.__lookupGetter__("x");': /__lookupGetter__/,
  'f?.constructor("1");': /constructor/,
  'f?.["const" + `ructor`]?.("1");': /constructor/,
  "f.constructor`1`;": /constructor/,
  'function g() { arguments.callee.constructor("1"); }': /constructor/,
  "class A { static { this.constructor('1')(); } }": /constructor/,
  "class A extends (() => {}).constructor { }": /constructor/,
  "const o = { get x() { return (() => {}).constructor; } };": /constructor/,
  "f.c\\u006fnstructor('1');": /constructor/,
  // The name is known to nobody, and the thing is a function or is called.
  "(() => {})[key]('1')();": /a property of a function whose name is made as it runs/,
  "const f = () => {}; const F = f[key]; F('1');": /a property of a function/,
  "function f() {} f[key];": /a property of a function/,
  "class C {} (C as any)[atob('x')];": /a property of a function/,
  "[][a][b]('1')();": /a call of a property/,
  "''[a][b]('1')();": /a call of a property/,
  "const F = [][a][b]; F('1');": /a call of a property/,
  "let F; F = x[a] ?? y; new F('1');": /a call of a property/,
  "const { [a]: F } = x; F('1');": /a call of a property/,
  "x[a].call(null, '1');": /a call of a property/,
  "x[a]`1`;": /a call of a property/,
  "@(x[a]) class A {}": /a call of a property/,
  "const [F] = [x[a]]; F('1');": /a call of a property/,
  "class A extends x[a] {}": /a base/,
  "const table = { f() {} }; table[a][b]('1');": /a call of a property/,
  "const Symbol = { a: x + y }; x[Symbol.a]('1');": /a call of a property/,
  // A global object has another name.
  'Deno["dl" + "open"]("x");': /Deno\.dlopen|dlopen/,
  "const d = Deno;": /Deno as a value/,
  "Deno[Deno.internal].core;": /a property of Deno/,
  "const b = { Bun };": /Bun as a value/,
  "Bun.plugin({});": /Bun\.plugin/,
  "const g = globalThis;": /globalThis as a value/,
  "const { process: q } = globalThis;": /globalThis\.process/,
  "const { process: { getBuiltinModule: q } } = globalThis;": /getBuiltinModule/,
  "const { ...all } = process;": /a property of process/,
  "const { [k]: q } = process;": /a property of process/,
  "const q = globalThis.process;": /globalThis\.process/,
  "const q = globalThis['pro' + 'cess'];": /globalThis\.process/,
  "f(process);": /process as a value/,
  "import process from 'node:process'; export { process };": /process as a value/,
  "const q = (process as any) ?? {};": /process as a value/,
  'import p from "node:process"; const q = p;': /p as a value/,
  'import * as p from "node:process"; p[k]("module");': /a property of process/,
  'import { default as p } from "node:process"; f(p);': /p as a value/,
  'export { default } from "node:process";': /process as a value/,
  'export * from "node:process";': /process as a value/,
  'const { default: p } = await import("node:process");': /process as a value/,
  'process.getBuiltinModule("node:process");': /node:process/,
  'process.getBuiltinModule("mod" + "ule");': /module/,
  'process?.getBuiltinModule?.("vm");': /vm/,
  "process.binding('fs');": /process\.binding/,
  "function g(process) {} const q = process;": /process as a value/,
  "{ const process = 1; } f(process);": /process as a value/,
  "declare const process: any; f(process);": /process as a value/,
  "var process; f(process);": /process as a value/,
  "switch (f(process)) { case 1: let process; }": /process as a value/,
  "import type { process } from './x.ts'; f(process);": /process as a value/,
  "function g(a = process) { const process = a; }": /process as a value/,
  // A text or another file is run.
  '\\u0065val("1");': /eval/,
  'ev\\u{61}l/* here */("1");': /eval/,
  "a: eval('1');": /eval/,
  "eval`1`;": /eval/,
  "new Worker(new Blob(['1']));": /Worker/,
  "globalThis.Worker;": /globalThis\.Worker/,
  'import.meta.resolve("x");': /import\.meta/,
  'import.meta["re" + "quire"]("x");': /import\.meta/,
  "WebAssembly.compile(x);": /WebAssembly/,
  "setTimeout(`${x}`);": /setTimeout with what could be a text/,
  "import t from 'node:timers'; t.setTimeout('a' + 'b');": /setTimeout with a text/,
  "setTimeout(x + y);": /setTimeout with what could be a text/,
  "setTimeout(atob('MQ=='));": /setTimeout with what could be a text/,
  "const code = 'a' + b; setTimeout(code, 1);": /setTimeout with what could be a text/,
  "setTimeout(...['1']);": /setTimeout with what could be a text/,
  "globalThis.setInterval('1');": /setInterval with what could be a text/,
  "const t = setTimeout; t('1');": /setTimeout as a value/,
  "const { setTimeout: t } = globalThis;": /globalThis\.setTimeout/,
  "setTimeout.call(null, '1');": /setTimeout as a value/,
};

const ACCEPTED = [
  "request.setTimeout(5000); socket.setTimeout(ms + 1, () => {});",
  "const window = { days: 7 }; take(window); const read = (process: Job, require = true) => run(process, require);",
  "import { type Worker, withLock } from 'node:fs'; for (const self of rows) { use(self); }",
  "const at = (setTimeout: (ms: number) => void) => setTimeout(1 + later); try { at(x); } catch (global) { log(global); }",
  "const first = rows[0], last = rows[rows.length - 1], other = rows[i];",
  "const value = map[key], nested = grid[i][j], named = data['a-b'];",
  "for (let i = 0; i < handlers.length; i += 2) handlers[i](handlers[i + 1]);",
  "const verbs = { get() {}, put() {} } as const; verbs[verb](1);",
  "const text = ({ a: 'one', b: 'two' } as Record<string, string>)[key] ?? 'none';",
  "const { forkstack: _, [name]: gone, ...rest } = data; use(rest, gone);",
  "const { env, platform } = process; env[name] = process.env[name] ?? process.argv[2];",
  "const isDeno = typeof Deno !== 'undefined' && 'Deno' in globalThis && typeof process === 'object';",
  "const port = (globalThis as { Deno?: { env: { get(n: string): string } } }).Deno?.env.get('PORT');",
  "if (globalThis.Bun) log(Bun.version); const { fetch: ask, crypto } = globalThis;",
  "const hasWorkers = typeof Worker === 'function' && typeof require === 'undefined';",
  "await new Promise((resolve) => setTimeout(resolve, 2 ** tries * 100)); const t = setTimeout(() => {}, 1);",
  "const done = () => {}; setTimeout(done, 1); setTimeout(this.end.bind(this), 1); setInterval(context.tick, 5);",
  "import { setTimeout } from 'node:timers/promises'; await setTimeout(100 + jitter);",
  "class Client { #base: string; constructor(base: string) { this.#base = base; } get url() { return this.#base; } }",
  "const name = error.constructor.name; const own = Object.prototype.hasOwnProperty.call(data, key);",
  "if (key === 'constructor' || key === '__proto__') throw new TypeError(`no ${key}`);",
  "const stream = source[Symbol.asyncIterator](); const made = { *[Symbol.iterator]() {} };",
  "const fs = process.getBuiltinModule('node:fs') as typeof import('node:fs'); fs.statSync(path);",
  "import process from 'node:process'; import { env as all } from 'node:process'; log(process.pid, all.HOME);",
  "import { createHash } from 'node:crypto'; createHash('sha256').update(`${a}:${b}`).digest('hex');",
  "const total = rows.reduce((sum, row) => sum + row[column], 0); const keys = Reflect.ownKeys(data);",
  "const headers = { ...base, [name]: value, 'content-type': 'application/json' }; headers[name] += ';q=1';",
  "const url = `${api}/${kind}s/${encodeURIComponent(id)}?x=${'y' + 1}`; const sql = 'select ' + columns;",
  "enum Size { S, L } const label = Size[size]; export const sized = sizes[Size.S];",
  "for (const [name, make] of Object.entries(makers)) made[name] = await make(name);",
  "outer: for (const key in data) { switch (data[key]) { case 'a': continue outer; default: counts[key] ??= 0; } counts[key]++; }",
  "process.exitCode = 1; process.on('exit', () => process.stdout.write('x')); delete process.env.TOKEN;",
  "const { a = 1, b: [c] = [] } = options; let next = a; next = next + 1; use(list[next], c);",
  "export default ({ v }: Tools) => ({ options: v.object({ self: v.string() }), permissions: () => ({ net: [] }) });",
];

for (const [line, message] of Object.entries(REFUSED)) {
  Deno.test(`refused: ${line}`, () => {
    const { refused } = importsOf(`${line}\n`, true);
    assert.match(refused[0] ?? "nothing", /^line 1: /);
    assert.match(refused.join("\n"), message);
  });
}

for (const line of ACCEPTED) {
  Deno.test(`accepted: ${line}`, () => assert.deepEqual(importsOf(line, true).refused, []));
}

Deno.test("the example is accepted, and the names of one file do not hang the analysis", () => {
  const example = new URL("../../../examples/custom-provider/json-file.ts", import.meta.url);
  assert.deepEqual(importsOf(readFileSync(example, "utf8"), true).refused, []);
  const circular = "let a = b, b = a; a += b; const c = c + a; x[a]; x[c]; x[b](a); setTimeout(a);";
  assert.notDeepEqual(importsOf(circular, false).refused, []);
});

Deno.test("`with` and comments of HTML are no module", () => {
  for (const line of ["with (globalThis) { process; }", "<!-- x", "import source x from 'x';"]) {
    assert.throws(() => importsOf(line, false), SyntaxError, line);
  }
});

Deno.test("a file of a package stays in the package", () => {
  for (const path of ["", "/x", "/x.js", "/a/b-c/d.mjs"]) {
    assert.equal(problemOfImport(`npm:a@1.0.0${path}`), undefined);
    assert.equal(problemOfImport(`npm:@a/b.c@1.0.0-rc.1${path}`), undefined);
  }
  for (
    const specifier of [
      ...["npm:a@1.0.0/../../x", "npm:a@1.0.0/..", "npm:a@1.0.0/x/../../../y", "npm:a@1.0.0/./x", "npm:a@1.0.0//x"],
      ...[
        "npm:a@1.0.0/%2e%2e/x",
        "npm:a@1.0.0/..\\x",
        "npm:..@1.0.0",
        "npm:@../a@1.0.0",
        "npm:a@1.0.0/",
        "npm:/a@1.0.0",
      ],
      ...["npm:a@1.0.0/x?y", "npm:a@^1.0.0", "npm:a@1.0.0 ", "npm:a@1.0.0/.bin/x"],
    ]
  ) assert.match(problemOfImport(specifier) ?? "nothing", /exact version/, specifier);
});

Deno.test("a long file is read in a moment", () => {
  const chain = `const k = x + ${Array(1500).fill('"a"').join(" + ")}; f[k];\n`;
  const names = Array.from({ length: 3000 }, (_, i) => `v = v${i % 7}[v]; a.b.c[v];`).join("\n");
  const before = performance.now();
  assert.deepEqual(importsOf(`let v; ${names}\n${chain}`, false).refused, []);
  assert(performance.now() - before < 5000);
});
