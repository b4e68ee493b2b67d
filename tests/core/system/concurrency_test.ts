import assert from "node:assert/strict";
import { forEach, Pool, runSteps } from "../../../core/system/concurrency.ts";

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

Deno.test("forEach() asks an endless list for no more than there are places, and closes it after a failure", async () => {
  let [asked, isClosed] = [0, false];
  async function* endless() {
    try {
      for (;;) {
        await tick();
        yield asked++;
      }
    } finally {
      isClosed = true;
    }
  }
  const done: number[] = [];
  const work = forEach(endless(), async (n) => {
    await tick();
    if (n === 5) throw new Error(`no ${n}`);
    done.push(n);
  }, { limit: 2 });
  await assert.rejects(work, /no 5/);
  assert.equal(isClosed, true);
  assert.ok(asked <= 8, `asked for ${asked}`);
  assert.deepEqual(done.slice(0, 5).sort(), [0, 1, 2, 3, 4]);
});

Deno.test("forEach() tells what a list throws once the work on what it gave has ended, and an abort", async () => {
  const done: number[] = [];
  const work = async (n: number) => {
    for (let i = 0; i < 3; i++) await tick();
    done.push(n);
  };
  async function* broken() {
    yield 1;
    yield 2;
    throw new Error("page 2 is gone");
  }
  await assert.rejects(forEach(broken(), work), /page 2/);
  assert.deepEqual(done, [1, 2]);
  const stop = new AbortController();
  const stopped = forEach([3, 4, 5], async (n) => {
    await work(n);
    stop.abort(new Error("stop"));
  }, { limit: 1, signal: stop.signal });
  await assert.rejects(stopped, /stop/);
  assert.deepEqual(done, [1, 2, 3]);
  await forEach([], () => Promise.reject(new Error("never")));
});

Deno.test("Pool gives places in the order of asking; who no longer waits is passed over", async () => {
  const [pool, stop, order] = [new Pool(1), new AbortController(), [] as string[]];
  await pool.take();
  const first = pool.run(() => Promise.resolve(order.push("first")));
  const given = pool.run(() => Promise.resolve(order.push("given up")), stop.signal);
  const last = pool.run(() => Promise.reject(new Error("fails")));
  stop.abort(new Error("stop"));
  await assert.rejects(given, /stop/);
  pool.free();
  await first;
  await assert.rejects(last, /fails/);
  await pool.run(() => Promise.resolve(order.push("after")));
  assert.deepEqual(order, ["first", "after"]);
});
