/** The record of an environment is read once under its lock, and carried. */
import { deepStrictEqual as equal, ok } from "node:assert/strict";
import { createEnvironment } from "../../../core/lifecycle/create.ts";
import { deleteEnvironment, deleteEnvironmentIf } from "../../../core/lifecycle/delete.ts";
import { resetEnvironment } from "../../../core/lifecycle/reset.ts";
import type { Registry } from "../../../core/state/registry.ts";
import { type Bench, bench, failure } from "../_engine.ts";

/** Counts the reads of one environment between taking and releasing its lock. */
function readsUnderLock(registry: Registry, env: string): { environment: number; rows: number } {
  const reads = { environment: 0, rows: 0 };
  let isHeld = false;
  const { acquire, release, environment, resources } = registry;
  registry.acquire = async (...given) => {
    const got = await acquire.apply(registry, given);
    if (typeof got === "number") isHeld = true;
    return got;
  };
  registry.release = async (...given) => {
    isHeld = false;
    await release.apply(registry, given);
  };
  registry.environment = async (name) => {
    if (isHeld && name === env) reads.environment++;
    return await environment.call(registry, name);
  };
  registry.resources = async (name) => {
    if (isHeld && name === env) reads.rows++;
    return await resources.call(registry, name);
  };
  return reads;
}

const make = (one: Bench) => createEnvironment(one.engine, "alice", {});
const breakStorage = (one: Bench) => {
  one.vendor.fail = (call) => {
    if (call === "create shop-bucket-alice") throw new Error("no room");
  };
};
const interrupt = async (one: Bench) => {
  breakStorage(one);
  one.vendor.fail = ((fail) => (call: string) => {
    fail(call);
    if (call.startsWith("delete")) throw new Error("it hung up");
  })(one.vendor.fail);
  await failure(make(one));
  one.vendor.fail = () => {};
};

type Run = (one: Bench) => Promise<unknown>;
const CASES: Readonly<Record<string, readonly [before: Run | undefined, command: Run]>> = {
  "new": [undefined, make],
  "new of one that is whole": [make, make],
  "new of one that lacks a resource": [async (one) => {
    await make(one);
    one.vendor.held.delete("shop-alice");
  }, make],
  "new of one whose undoing was cut off": [interrupt, make],
  "delete": [make, (one) => deleteEnvironment(one.engine, "alice")],
  "delete of one that is half there": [interrupt, (one) => deleteEnvironment(one.engine, "alice")],
  "prune": [make, (one) => deleteEnvironmentIf(one.engine, "alice", () => true)],
  "prune of one that is not meant": [make, (one) => deleteEnvironmentIf(one.engine, "alice", () => false)],
  "reset": [make, (one) => resetEnvironment(one.engine, "alice")],
};

for (const [name, [before, command]] of Object.entries(CASES)) {
  Deno.test(`${name} reads its environment once under the lock`, async () => {
    await using one = await bench();
    await before?.(one);
    const reads = readsUnderLock(one.engine.registry, "alice");
    await command(one);
    equal(reads, { environment: 1, rows: name === "prune of one that is not meant" ? 0 : 1 });
  });
}

Deno.test("new that fails reads the rows once more, for its steps wrote some", async () => {
  await using one = await bench();
  breakStorage(one);
  const reads = readsUnderLock(one.engine.registry, "alice");
  ok(await failure(make(one)));
  equal(reads, { environment: 1, rows: 2 });
  equal(await one.engine.registry.resources("alice"), []);
});
