/** Waiting for what somebody else does. */
import assert from "node:assert/strict";
import { poll } from "../../../core/system/poll.ts";
import type { ForkstackError } from "../../../mod.ts";

/** A waiter whose pauses take no time, and what they were. */
function waiter(signal = new AbortController().signal) {
  const pauses: number[] = [];
  const sleep = (ms: number) => {
    pauses.push(ms);
    signal.throwIfAborted();
    return Promise.resolve();
  };
  return { signal, sleep, pauses };
}

Deno.test("poll() looks with ever longer pauses until there is something; false, 0 and an empty text are something", async () => {
  for (const value of [false, 0, "", "found"]) {
    const at = waiter();
    const looks: number[] = [];
    const found = await poll(at, { what: "find it" }, (waitedMs) => {
      looks.push(waitedMs);
      return Promise.resolve(looks.length > 6 ? value : undefined);
    });
    assert.equal(found, value);
    assert.deepEqual(at.pauses, [250, 500, 1_000, 2_000, 4_000, 5_000]);
    assert.deepEqual(looks, [0, 250, 750, 1_750, 3_750, 7_750, 12_750]);
  }
});

Deno.test("poll() ends at the deadline: with NOT_READY, what `late` gives, or the last error that might have passed", async () => {
  const never = () => Promise.resolve(undefined);
  const pace = { what: 'make database "x"', provider: "p", resource: "database", deadlineMs: 1_000 };
  await assert.rejects(poll(waiter(), pace, never), (error: ForkstackError) => {
    assert.deepEqual([error.code, error.retryable], ["NOT_READY", true]);
    assert.equal(error.message, 'Cannot make database "x": it is not done after 1 s');
    assert.deepEqual(error.details, { provider: "p", resource: "database" });
    return true;
  });
  assert.equal(await poll(waiter(), { ...pace, late: () => "late" }, never), "late");
  let count = 0;
  const fails = () => Promise.reject(new Error(`no ${++count}`));
  const at = waiter();
  await assert.rejects(poll(at, { ...pace, isPassing: () => true }, fails), /no 4/);
  assert.deepEqual(at.pauses, [250, 500, 1_000]);
  await assert.rejects(poll(waiter(), pace, fails), /no 5/, "an error that does not pass ends it at once");
});

Deno.test("poll() counts by the clock that it is given, and ends with an abort, with the error that is at hand", async () => {
  let now = 0;
  const at = waiter();
  const slow = () => Promise.resolve(void (now += 400));
  await assert.rejects(poll(at, { what: "wait", deadlineMs: 1_000, clock: () => now }, slow), /after 1 s/);
  assert.deepEqual(at.pauses, [250, 500]);
  const stop = new AbortController();
  const stopped = poll(waiter(stop.signal), { what: "wait", isPassing: () => true }, () => {
    stop.abort(new Error("stop"));
    return Promise.reject(new Error("met"));
  });
  await assert.rejects(stopped, /met/);
  await assert.rejects(poll(waiter(stop.signal), { what: "wait" }, () => assert.fail("no look")), /stop/);
});
