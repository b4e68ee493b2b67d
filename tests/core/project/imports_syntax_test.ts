/** All syntax that a provider may be written in is read, and code is seen wherever TypeScript lets it stand. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { importsOf } from "../../../core/project/imports.ts";
import { sized } from "../../sizes.ts";

const REPO = fileURLToPath(new URL("../../../", import.meta.url));

const EACH = sized({ quick: 16, gate: 1, full: 1 });

Deno.test(`every ${EACH === 1 ? "" : `${EACH}th `}file of this repository is read`, () => {
  const failed: string[] = [];
  let count = 0;
  for (const folder of [".", "core", "docs", "examples", "providers", "tests", "tools"]) {
    for (const name of readdirSync(join(REPO, folder), { recursive: folder !== "." }) as string[]) {
      if (!/\.m?[jt]s$/.test(name) || /(^|\/)node_modules\//.test(name)) continue;
      if (count++ % EACH !== 0) continue;
      try {
        importsOf(readFileSync(join(REPO, folder, name), "utf8"), name.endsWith("ts"));
      } catch (error) {
        failed.push(`${folder}/${name}: ${(error as Error).message}`);
      }
    }
  }
  assert.deepEqual(failed, []);
});

/** Lines that import `./x.ts`, and nothing that is refused. */
const IMPORTING = [
  'import defer * as x from "./x.ts";',
  'const x = await import.defer("./x.ts");',
  'import x from "./x.ts" with { type: "json" };',
  'const x = await import("./x.ts", { with: { type: "json" } },);',
  'import { "a b" as x } from "./x.ts";',
  'export * as "x y" from "./x.ts";',
  '#!/usr/bin/env -S deno run\nimport "./x.ts";',
  '@sealed class A { @logged accessor x = 1; @logged m() {} } export { A }; import "./x.ts";',
  'using a = open(); await using b = open(); for (using c of all) use(c); import "./x.ts";',
  'import "./x.ts"; export default class { static { start(); } #a = 1; has(b) { return #a in b; } }',
];

/** The same in TypeScript alone. */
const IMPORTING_IN_TYPESCRIPT = [
  'const f = async <T>(x: T): Promise<T> => { await wait(); return x; }; import "./x.ts";',
  'const f = async <const T extends readonly string[] = []>(...x: T): Promise<T[number]> => x[0]!; import "./x.ts";',
  'const o = { m: async <T,>(x: T): Promise<T> => x, n: <T>(x: T) => x } satisfies O; import "./x.ts";',
  'const f = test ? <T>(a: T): T => a : async <T>(a: T): Promise<T> => a; import "./x.ts";',
  'const f = (x: unknown): x is string => typeof x === "string"; import "./x.ts";',
  'enum Size { S = "s", L = `${"l"}` } const enum Mode { A = 1 << 2 } import "./x.ts";',
  'abstract class A<in out T> { abstract x: T; abstract accessor y: T; declare z: T; private w?: T } import "./x.ts";',
  'export default abstract class A { constructor(public readonly a = 1) {} } import "./x.ts";',
  'import { type A, type B as C, x } from "./x.ts"; type X = typeof import("./y.ts"); declare global { var g: X }',
  'import type { X } from "./y.ts"; export type * from "./z.ts"; const X = 1; import "./x.ts";',
  'function f(this: X, a: string): asserts a is "b"; function f(this: X, a: string) {} import "./x.ts";',
  'const a = b<string>, c = new (d<string>)(), e = f<string>`g`; a!.h<X>?.(); import "./x.ts";',
  'namespace N.M { export const x = 1; } declare module "y" { export const y: X; } import "./x.ts";',
];

for (const [lines, isTypeScript] of [[IMPORTING, false], [[...IMPORTING, ...IMPORTING_IN_TYPESCRIPT], true]] as const) {
  for (const line of lines) {
    Deno.test(`read as ${isTypeScript ? "TypeScript" : "JavaScript"}: ${line.replaceAll("\n", " ")}`, () => {
      const { imports, refused } = importsOf(line, isTypeScript);
      assert.deepEqual(refused, []);
      const [found, ...more] = imports;
      assert.deepEqual([found?.specifier, more.length], ["./x.ts", 0]);
      assert.equal(line.slice(found!.start, found!.end), '"./x.ts"');
    });
  }
}

/** `CODE` stands where it would run. */
const WITH_CODE = [
  ...["enum E { A = CODE }", "const enum E { A = CODE }", "export enum E { A = (() => CODE)() }"],
  ...["namespace N { CODE; }", "namespace N.M { CODE; }", "export namespace N { export const x = CODE; }"],
  ...["class A { constructor(private x = CODE) {} }", "class A { constructor(readonly x: X = CODE) {} }"],
  ...["abstract class A { abstract [CODE]: X }", "abstract class A { abstract [CODE](): X }"],
  ...["abstract class A { abstract get [CODE](): X }", "abstract class A { abstract accessor [CODE]: X }"],
  ...["class A { accessor x = CODE }", "class A { static accessor [CODE] = 1 }", "class A { [CODE]!: X }"],
  ...["class A extends (CODE as any)<X> {}", "class A extends f<X>(CODE) implements B<X> {}"],
  ...["@CODE class A {}", "@(CODE) class A {}", "@a.b(CODE) export class A {}", "export default @CODE class {}"],
  ...["class A { @CODE x = 1 }", "class A { @CODE accessor x = 1 }", "const A = @CODE class {}"],
  ...["const x = <X>CODE", "const x = CODE!", "const x = CODE as X", "const x = CODE satisfies X"],
  ...["const x = <T,>(a = CODE): T => a", "const x = async <T>(a = CODE): Promise<T> => a", "export = CODE"],
  ...["const x = async <T>(a: T): Promise<T> => CODE", "const x = a ? (b) : c => CODE", "(x as any) = CODE"],
  ...["const x = a ? (b): c => d : CODE", "(<any> x) = CODE", "for (x as any of CODE) {}", "a!.b<X>?.(CODE)"],
  ...["using x = CODE", "for (await using x of CODE) {}", "a?.<X>(CODE)", "f<X>`${CODE}`", "new (f<X>)(CODE)"],
  ...['import("./x.ts", CODE)', 'import("./x.ts", { with: { type: CODE } })', "import.defer(CODE)"],
  ...["type\nX = CODE", "declare\nfunction f(a = CODE) {}", "namespace\nN\n{ CODE }"],
  ...["class A { in; out; get; set; static; async = CODE }", "let x: typeof y = CODE"],
];

for (const line of WITH_CODE) {
  Deno.test(`seen: ${line.replaceAll("\n", " ")}`, () => {
    assert.notDeepEqual(importsOf(line.replace("CODE", 'eval("1")'), true).refused, []);
  });
}

Deno.test("an argument cannot be decorated", () => {
  assert.throws(() => importsOf("class A { m(@eval('1') x) {} }", true), SyntaxError);
});

Deno.test("types hold no code", () => {
  for (
    const line of [
      "type X = typeof eval;",
      "let x!: typeof process;",
      "const x = f<typeof globalThis>;",
      "interface X { y: typeof require; new (w: Worker): WebAssembly.Module }",
      "class A<T = typeof eval> extends B<typeof Reflect> implements C<Worker> { [k: string]: Function; declare x: Deno }",
      "declare enum E { A = 1 } declare namespace N { const x: typeof Deno; }",
      "export declare function f(a?: typeof eval): asserts a is typeof Bun;",
    ]
  ) assert.deepEqual(importsOf(line, true), { imports: [], refused: [] }, line);
});
