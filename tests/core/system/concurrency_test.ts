import assert from "node:assert/strict";
import { runSteps } from "../../../core/system/concurrency.ts";

const tick = () => new Promise((resolve) => setTimeout(resolve, 0));

Deno.test("runSteps() runs at most `limit` at once, and all of them", async () => {
  for (const limit of [1, 3, 8, 100]) {
    let [now, most] = [0, 0];
    const outcomes = await runSteps(Array.from({ length: 20 }, (_, n) => n), async (n) => {
      most = Math.max(most, ++now);
      await tick();
      now--;
      return n * 2;
    }, { limit });
    assert.equal(most, Math.min(limit, 20));
    const values = outcomes.map((one) => one.ok ? one.value : assert.fail()).sort((a, b) => a - b);
    assert.deepEqual(values, Array.from({ length: 20 }, (_, n) => n * 2));
  }
  assert.deepEqual(await runSteps([], () => Promise.reject(new Error("never"))), []);
});

Deno.test("runSteps() begins none after a failure, and keeps every outcome of those in flight", async () => {
  const begun: number[] = [];
  const outcomes = await runSteps([0, 1, 2, 3, 4, 5], async (n) => {
    begun.push(n);
    for (let i = 0; i <= n; i++) await tick();
    if (n === 0 || n === 2) throw new Error(`no ${n}`);
    return n;
  }, { limit: 3 });
  assert.deepEqual(begun, [0, 1, 2]);
  assert.deepEqual(
    outcomes.map((one) => one.ok ? one.value : (one.error as Error).message),
    ["no 0", 1, "no 2"],
    "in the order in which they ended",
  );
  assert.deepEqual(outcomes.map(({ item }) => item), [0, 1, 2]);
});

Deno.test("runSteps() with goOn begins all, whatever fails", async () => {
  const outcomes = await runSteps([1, 2, 3, 4], (n) => n % 2 ? Promise.reject(n) : Promise.resolve(n), {
    limit: 1,
    goOn: true,
  });
  assert.deepEqual(outcomes.map(({ ok }) => ok), [false, true, false, true]);
});

Deno.test("runSteps() begins none once it is aborted, also with goOn, and a step that throws at once is an outcome", async () => {
  for (const goOn of [false, true]) {
    const stop = new AbortController();
    const outcomes = await runSteps([1, 2, 3], (n) => {
      stop.abort();
      if (goOn) throw new Error("at once");
      return Promise.resolve(n);
    }, { limit: 1, goOn, signal: stop.signal });
    assert.deepEqual(outcomes.map(({ item, ok }) => [item, ok]), [[1, !goOn]]);
  }
});
