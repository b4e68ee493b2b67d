import { deepStrictEqual as equal, match, ok, strictEqual as is } from "node:assert/strict";
import { createEnvironment } from "../../../core/lifecycle/create.ts";
import { planReset, resetEnvironment } from "../../../core/lifecycle/reset.ts";
import { type Bench, bench, type BenchOptions, failure } from "../_engine.ts";

async function withAlice(options: BenchOptions = {}): Promise<Bench> {
  const made = await bench(options);
  made.vendor.parents.set("shop-dev", "rows").set("shop-bucket-dev", "objects");
  await createEnvironment(made.engine, "alice", {});
  for (const held of made.vendor.held.values()) held.data = "changed by alice";
  made.vendor.calls.length = 0;
  return made;
}

const dataOf = ({ vendor }: Bench) => ["shop-alice", "shop-bucket-alice"].map((name) => vendor.held.get(name)?.data);

Deno.test("resetEnvironment() puts new forks in the place of the old, under the same ids", async () => {
  await using one = await withAlice();
  const before = await one.engine.registry.resources("alice");
  const result = await resetEnvironment(one.engine, "alice");
  equal(dataOf(one), ["rows", "objects"]);
  is(result.environment.status, "ready");
  equal(result.resources.map(({ id }) => id), before.map(({ id }) => id));
  const [last] = one.vendor.calls.filter((call) => call.startsWith("prepare")).slice(-1);
  const firstCommit = one.vendor.calls.findIndex((call) => call.startsWith("commit"));
  ok(one.vendor.calls.indexOf(last) < firstCommit, "all are prepared before one is put in place");
});

Deno.test("resetEnvironment() leaves all as it was when one can't be prepared", async () => {
  await using one = await withAlice();
  one.vendor.fail = (call) => {
    if (call === "prepare shop-bucket-alice") throw new Error("no room");
  };
  const error = await failure(resetEnvironment(one.engine, "alice"));
  match(error.message, /Cannot reset environment "alice": no room/);
  match(error.hint!, /Nothing changed/);
  equal(dataOf(one), ["changed by alice", "changed by alice"]);
  is(one.vendor.prepared, 0, "what was prepared is discarded");
  is((await one.engine.registry.environment("alice"))!.status, "ready");
  one.vendor.fail = () => {};
  await resetEnvironment(one.engine, "alice");
  equal(dataOf(one), ["rows", "objects"]);
});

Deno.test("resetEnvironment() that could not put all in place is completed by the next", async () => {
  await using one = await withAlice();
  one.vendor.fail = (call) => {
    if (call === "commit shop-alice") throw new Error("it hung up");
  };
  const error = await failure(resetEnvironment(one.engine, "alice"));
  is(error.code, "RESET_INCOMPLETE");
  ok(error.retryable);
  match(error.hint!, /`forkstack reset alice` again/);
  equal(dataOf(one), ["changed by alice", "objects"]);
  is((await one.engine.registry.environment("alice"))!.status, "resetting");
  const refused = await failure(createEnvironment(one.engine, "alice", {}));
  match(refused.hint!, /`forkstack reset alice`/);
  one.vendor.fail = () => {};
  const result = await resetEnvironment(one.engine, "alice");
  equal(dataOf(one), ["rows", "objects"]);
  is(result.environment.status, "ready");
});

Deno.test("planReset() changes nothing, and refuses the protected and the unknown", async () => {
  await using one = await withAlice({ config: { protected: ["staging"] } });
  const { rows } = await planReset(one.engine, "alice");
  equal(rows.map(({ title }) => title), ["shop-alice", "shop-bucket-alice"]);
  equal(one.vendor.calls, []);
  for (const env of ["dev", "prod", "staging"]) {
    is((await failure(planReset(one.engine, env))).code, "ENV_PROTECTED");
  }
  const unknown = await failure(resetEnvironment(one.engine, "alcie"));
  is(unknown.code, "ENV_NOT_FOUND");
  match(unknown.hint!, /Did you mean "alice"/);
});

Deno.test("a provider that can't keep the old data meanwhile is RESET_UNSUPPORTED, and says what to do", async () => {
  await using one = await withAlice({ changed: { reset: undefined } });
  const error = await failure(resetEnvironment(one.engine, "alice"));
  is(error.code, "RESET_UNSUPPORTED");
  match(error.hint!, /`forkstack delete alice`, then `forkstack new alice`/);
  equal(dataOf(one), ["changed by alice", "changed by alice"]);
});

Deno.test("resetEnvironment() resets the resources that are named, and leaves the others", async () => {
  const rows: Record<string, string> = { database: "rows", storage: "objects" };
  for (const only of [["database"], ["storage"], ["storage", "database"]]) {
    await using one = await withAlice();
    const { rows: planned, others } = await planReset(one.engine, "alice", { only });
    equal([planned.length, others.length], [only.length, 2 - only.length]);
    const result = await resetEnvironment(one.engine, "alice", { only });
    equal(dataOf(one), Object.keys(rows).map((key) => only.includes(key) ? rows[key] : "changed by alice"));
    equal(result.resources.map(({ key }) => key).sort(), ["database", "storage"]);
    is(result.environment.status, "ready");
    equal((await one.engine.registry.resources("alice")).map(({ state }) => state), ["ready", "ready"]);
  }
});

Deno.test("resetEnvironment() of a resource that the environment does not have changes nothing", async () => {
  await using one = await withAlice();
  for (const only of [["storag"], ["database", ""], ["queue"]]) {
    const error = await failure(resetEnvironment(one.engine, "alice", { only }));
    is(error.code, "USAGE");
    match(error.hint!, /It has database and storage/);
  }
  equal(dataOf(one), ["changed by alice", "changed by alice"]);
});

Deno.test("where one resource can't be reset, the hint resets the others, and what is cut off names them", async () => {
  await using one = await withAlice();
  const { provider } = one.engine.world;
  const world: typeof one.engine.world = {
    ...one.engine.world,
    async provider(kind, name) {
      const found = await provider(kind, name);
      return kind === "storage" && found !== undefined ? { ...found, reset: undefined } as never : found;
    },
  };
  const engine = { ...one.engine, world };
  const error = await failure(resetEnvironment(engine, "alice"));
  is(error.code, "RESET_UNSUPPORTED");
  match(error.hint!, /`forkstack reset alice --resource database`.*`forkstack delete alice`/);
  one.vendor.fail = (call) => {
    if (call === "commit shop-alice") throw new Error("it hung up");
  };
  match((await failure(resetEnvironment(engine, "alice", { only: ["database"] }))).hint!, /--resource database` again/);
  one.vendor.fail = () => {};
  is((await resetEnvironment(engine, "alice", { only: ["database"] })).environment.status, "ready");
  equal(dataOf(one), ["rows", "changed by alice"]);
});
