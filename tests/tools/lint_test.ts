/** The rules of tools/lint: what they refuse in code that ships, and what they leave. */
import { deepStrictEqual as equal } from "node:assert/strict";
import plugin from "../../tools/lint/statements.ts";

const found = (source: string, file = "core/lifecycle/x.ts") =>
  Deno.lint.runPlugin(plugin, `/app/${file}`, source).map(({ id }) => id.replace("statements/", ""));

const REFUSED: Readonly<Record<string, readonly string[]>> = {
  "no-nested-ternary": ["x = a ? 1 : b ? 2 : 3;", "x = a ? b ? 1 : 2 : 3;", "f(a ? 1 : (b ? 2 : 3));"],
  "no-comma": ["return_(() => (f(), g()));", "for (;; i++, j++) f();", "const f = () => { return a(), b(); };"],
  "no-conditional-spread": [
    "x = { ...(a === undefined ? {} : { a }) };",
    "x = { ...(a && { a }) };",
    "x = [1, ...(a ? [2] : [])];",
  ],
  "most-parameters": [
    "function f(a, b, c, d, e) {}",
    "const f = (a, b, c, d, e = 1) => a;",
    "class A { f(context, a, b, c, { d }, [e]) {} }",
  ],
};

for (const [rule, sources] of Object.entries(REFUSED)) {
  Deno.test(`${rule} refuses it in shipped code alone`, () => {
    for (const source of sources) {
      for (const file of ["core/cli/x.ts", "providers/database/x.ts", "tools/gen/x.ts", "cli.ts"]) {
        equal(found(source, file), [rule], `${file}: ${source}`);
      }
      for (const file of ["tests/core/cli/x.ts", "examples/x.ts"]) equal(found(source, file), [], `${file}: ${source}`);
    }
  });
}

Deno.test("statements that do the same are left alone", () => {
  for (
    const source of [
      "x = a ? 1 : 2;",
      "x = { ...a, b: c ? 1 : 2, d: [e ? 1 : 2] };",
      "x = { ...(a ?? b) };",
      "for (let i = 0, j = 1; i < j; i++) f(i, j);",
      "function f(context, scope, a, b, c, d) {}",
      "function f({ a, b, c, d, e }) {}",
      "const f = (a, b, c, d) => a;",
    ]
  ) equal(found(source), [], source);
});
