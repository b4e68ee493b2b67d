import assert from "node:assert/strict";
import { randomName } from "../../../core/text/friendly_name.ts";
import { didYouMean, nearest } from "../../../core/text/did_you_mean.ts";
import { parseEnvName } from "../../../mod.ts";

Deno.test("randomName() gives legal names that nobody has", () => {
  const taken: string[] = [];
  for (let n = 0; n < 500; n++) {
    const name = randomName(taken);
    assert.equal(parseEnvName(name), name);
    assert(!taken.includes(name), name);
    taken.push(name);
  }
});

Deno.test("randomName() finds one also where the words give none any more", () => {
  let calls = 0;
  const stuck = () => calls++ < 102 ? 0 : 0.5;
  const first = randomName([], () => 0);
  assert.match(first, /^[a-z]+-[a-z]+$/);
  assert.match(randomName([first], stuck), /^[a-z]+-[a-z]+(-\d+)?$/);
  assert.notEqual(randomName([first], () => 0), first);
});

const NEAR: [word: string, known: string[], near: string[]][] = [
  ["alcie", ["alice", "bob"], ["alice"]],
  ["al", ["alice", "bob"], ["alice"]],
  ["nwe", ["new", "list", "delete"], ["new"]],
  ["lst", ["list", "status"], ["list"]],
  ["pr-43", ["pr-42", "pr-1", "main"], ["pr-42", "pr-1"]],
  ["zebra", ["alice", "bob"], []],
  ["x", ["a", "b"], ["a", "b"]],
  ["provdier", ["provider", "project"], ["provider"]],
  ["alica", ["alice", "alina", "alicia", "alida"], ["alice", "alicia", "alida"]],
  ["", [], []],
];

for (const [word, known, near] of NEAR) {
  Deno.test(`nearest() of "${word}" among ${known.join(", ") || "none"} is ${near.join(", ") || "none"}`, async () => {
    assert.deepEqual(await nearest(word, known), near);
  });
}

Deno.test("didYouMean() is a clause, or nothing", async () => {
  assert.equal(await didYouMean("lisst", ["list"]), '; did you mean "list"?');
  assert.equal(await didYouMean("alina", ["alice", "alida"]), '; did you mean "alida" or "alice"?');
  assert.equal(await didYouMean("zzz", ["list"]), "");
});
