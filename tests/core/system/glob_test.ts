/** Patterns in which a `*` stands for any text. */
import assert from "node:assert/strict";
import { globMatcher } from "../../../core/system/glob.ts";

const TEXTS = ["", "a", "ab", "a.b", "a\nb", "STRIPE_KEY", "img/1.png", "img/1.png.bak", "(x|y)", "a*b", "$1"];
const MATCHES: readonly (readonly [readonly string[], readonly string[]])[] = [
  [[], []],
  [["*"], TEXTS],
  [[""], [""]],
  [["a*"], ["a", "ab", "a.b", "a\nb", "a*b"]],
  [["a.b"], ["a.b"]],
  [["a*b"], ["ab", "a.b", "a\nb", "a*b"]],
  [["STRIPE_*", "*.png"], ["STRIPE_KEY", "img/1.png"]],
  [["(x|y)"], ["(x|y)"]],
  [["$1", "^a$"], ["$1"]],
  [["*/*"], ["img/1.png", "img/1.png.bak"]],
];

for (const [patterns, matches] of MATCHES) {
  Deno.test(`globMatcher(${JSON.stringify(patterns).slice(1, -1)})`, () => {
    assert.deepEqual(TEXTS.filter(globMatcher(...patterns)), matches);
  });
}
