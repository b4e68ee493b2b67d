/** Values that are made once. */
import assert from "node:assert/strict";
import { memory } from "../../../core/system/memory.ts";

Deno.test("memory() makes the value of a key once, for all that ask at once or later; each memory its own", async () => {
  const [one, other] = [memory(), memory()];
  let count = 0;
  const make = () => new Promise<number>((resolve) => setTimeout(() => resolve(++count), 1));
  assert.deepEqual(await Promise.all(["a", "a", "b", "a"].map((key) => one(key, make))), [1, 1, 2, 1]);
  assert.deepEqual([await one("b", make), await other("b", make), count], [2, 3, 3]);
  assert.equal(await one("none", () => undefined), undefined);
  assert.equal(await one<string | undefined>("none", () => "again"), undefined, "nothing is a value, too");
});

Deno.test("memory() makes a value anew whose making failed, whether it threw or rejected", async () => {
  const once = memory();
  for (const fails of [() => Promise.reject(new Error("lost")), () => assert.fail("lost")]) {
    const failed = [once("key", fails), once("key", fails)];
    for (const one of failed) await assert.rejects(one, /lost/);
  }
  assert.equal(await once("key", () => 1), 1);
  assert.equal(await once("key", () => 2), 1);
});
