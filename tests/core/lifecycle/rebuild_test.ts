import { deepStrictEqual as equal, match, ok, strictEqual as is } from "node:assert/strict";
import { createEnvironment } from "../../../core/lifecycle/create.ts";
import { deleteEnvironment } from "../../../core/lifecycle/delete.ts";
import type { Engine } from "../../../core/engine/engine.ts";
import { extendLease } from "../../../core/lifecycle/lease.ts";
import { openRegistry } from "../../../core/state/open_registry.ts";
import { explained, lookFor, rebuild, takeUp, unregistered } from "../../../core/lifecycle/rebuild.ts";
import { ForkstackError } from "../../../mod.ts";
import { type Bench, bench, failure, Vendor } from "../_engine.ts";

const END = "2026-05-04T12:00:00.000Z";

async function facts(engine: Engine): Promise<unknown[]> {
  return (await engine.registry.environments()).map(({ name, parent, origin, expiresAt }) =>
    [name, parent, origin, expiresAt].filter((one) => one !== undefined)
  );
}

/** Marks on how environments were made; `undefined`: none, as those of an older forkstack. */
function rewriteMarks({ vendor }: Bench, made: (name: string, old: string | undefined) => string | undefined): void {
  for (const [name, held] of vendor.held) {
    const { made: old, ...marker } = held.fork.marker;
    const now = made(name, old);
    vendor.held.set(name, {
      ...held,
      fork: { ...held.fork, marker: { ...marker, ...(now === undefined ? {} : { made: now }) } },
    });
  }
}

Deno.test("rebuild() brings back parents, origins and leases, as they were extended", async () => {
  await using one = await bench();
  const { engine } = one;
  await createEnvironment(engine, "alice", { switch: false });
  await createEnvironment(engine, "bob", { from: "alice", expiresAt: END, switch: false });
  await createEnvironment(engine, "carol", { from: "bob", origin: "empty", switch: false });
  await createEnvironment(engine, "dave", { from: "prod", expiresAt: END, switch: false });
  await extendLease(engine, "dave", 3_600_000);
  await extendLease(engine, "carol", 60_000);
  const before = await facts(engine);
  equal(before, [
    ["alice", "dev"],
    ["bob", "alice", END],
    ["carol", "bob", "empty", "2026-05-01T12:01:00.000Z"],
    ["dave", "prod", "2026-05-04T13:00:00.000Z"],
  ]);
  const fresh = await one.lostRegistry();
  equal((await rebuild(fresh)).map(({ unknown }) => unknown), [[], [], [], []]);
  equal(await facts(fresh), before);
});

Deno.test("rebuild() says what the marks do not tell, and guesses no lease", async () => {
  await using one = await bench({ config: { parent: "prod" } });
  for (const env of ["alice", "bob"]) await createEnvironment(one.engine, env, { expiresAt: END, switch: false });
  await createEnvironment(one.engine, "carol", { from: "bob", switch: false });
  const cases: readonly [(name: string, old: string | undefined) => string | undefined, unknown][] = [
    // Older marks: the parent is known where a fork names it.
    [() => undefined, [["origin", "lease"], ["origin", "lease"], ["origin", "lease"]]],
    // Of a stranger: it could stand in no row.
    [() => "prod_yesterday_never", [["origin", "lease"], ["origin", "lease"], ["origin", "lease"]]],
    // A vendor that can't change a mark tells no lease; another resource of the environment does.
    [(name, old) => name.includes("bucket") ? old : old!.replace(/[^_]*$/, "unknown"), [[], [], []]],
    [(name) => name.endsWith("carol") ? "bob__unknown" : "prod__unknown", [["lease"], ["lease"], ["lease"]]],
  ];
  for (const [made, unknown] of cases) {
    rewriteMarks(one, made);
    const fresh = await one.lostRegistry();
    equal((await rebuild(fresh)).map((found) => found.unknown), unknown);
    const environments = await fresh.registry.environments();
    equal(environments.map(({ parent }) => parent), ["prod", "prod", "bob"]);
    const isKnown = JSON.stringify(unknown) === "[[],[],[]]";
    if (!isKnown) equal(environments.map(({ expiresAt }) => expiresAt), [undefined, undefined, undefined]);
    rewriteMarks(one, (name) => name.endsWith("carol") ? "bob__" : `prod__${END}`);
  }
});

Deno.test("rebuild() after an extend() that was cut off takes the later end, and none where one mark names none", async () => {
  await using one = await bench();
  const later = "2026-06-01T00:00:00.000Z";
  await createEnvironment(one.engine, "alice", { switch: false });
  for (const [first, second, wanted] of [[END, later, later], [later, END, later], ["", END, undefined]]) {
    rewriteMarks(one, (name) => `dev__${name.includes("bucket") ? first : second}`);
    const fresh = await one.lostRegistry();
    equal((await rebuild(fresh))[0]!.unknown, []);
    is((await fresh.registry.environment("alice"))!.expiresAt, wanted);
  }
});

Deno.test("a lease is in the mark only where extend() can change it there", async () => {
  await using one = await bench({ changed: { remark: undefined as never } });
  await createEnvironment(one.engine, "alice", { expiresAt: END, switch: false });
  equal([...one.vendor.held.values()].map(({ fork }) => fork.marker.made), ["dev__unknown", "dev__unknown"]);
  await extendLease(one.engine, "alice", 60_000);
  const fresh = await one.lostRegistry();
  equal((await rebuild(fresh))[0]!.unknown, ["lease"]);
  is((await fresh.registry.environment("alice"))!.expiresAt, undefined);
});

Deno.test("lookFor() tells ours, another registry's, another stack's and nobody's apart, and changes nothing", async () => {
  const vendor = new Vendor();
  await using one = await bench({ vendor });
  await using two = await bench({ vendor });
  await createEnvironment(one.engine, "alice", { switch: false });
  const shape = async (engine: Engine, env: string) => {
    const { ours, others, foreign } = await lookFor(engine, env);
    return [ours, others, foreign].map((all) => all.map(({ resource }) => resource.key));
  };
  const both = ["database", "storage"];
  const before = structuredClone([...vendor.held]);
  equal(await shape(one.engine, "alice"), [both, [], []]);
  equal(await shape(two.engine, "alice"), [[], both, []]);
  equal(await shape(two.engine, "nobody"), [[], [], []]);
  equal([...vendor.held], before);

  const { fork } = vendor.held.get("shop-alice")!;
  const marked = (changed: Partial<typeof fork.marker>) =>
    vendor.put({ name: fork.name, marker: { ...fork.marker, ...changed } }, "another's");
  for (const changed of [{ stack: "other" }, { env: "bob" }, { resource: "database.other" }, { name: "shop-bob" }]) {
    marked(changed);
    equal(await shape(one.engine, "alice"), [["storage"], [], ["database"]], JSON.stringify(changed));
  }
  const { registry: _, name: __, ...old } = fork.marker;
  vendor.put({ name: fork.name, marker: old }, "of 0.1.0");
  equal(await shape(two.engine, "alice"), [["database"], ["storage"], []], "a mark of 0.1.0 names no registry");
  vendor.held.delete("shop-alice");
  vendor.parents.set("shop-alice", "a person's, without a mark");
  equal(await shape(one.engine, "alice"), [["storage"], [], ["database"]]);
});

Deno.test("lookFor() that a vendor does not answer is that error: what it holds is not known to be absent", async () => {
  await using one = await bench();
  one.vendor.fail = (call) => {
    if (call === "inspect shop-bucket-alice") {
      throw new ForkstackError("PROVIDER_UNAVAILABLE", "no answer", { hint: "try later", retryable: true });
    }
  };
  const error = await failure(lookFor(one.engine, "alice"));
  equal([error.code, error.hint, error.retryable], ["PROVIDER_UNAVAILABLE", "try later", true]);
  match(error.message, /Cannot tell whether environment "alice" exists: no answer/);
});

Deno.test("takeUp() adopts one environment, and no other of that registry; it ends with the environment", async () => {
  const vendor = new Vendor();
  await using one = await bench({ vendor });
  await using two = await bench({ vendor });
  for (const env of ["alice", "bob"]) await createEnvironment(one.engine, env, { expiresAt: END, switch: false });
  const { others } = await lookFor(two.engine, "alice");
  await takeUp(two.engine, "alice", { adopt: others });
  equal(await facts(two.engine), [["alice", "dev", END]]);
  equal((await lookFor(two.engine, "bob")).ours, []);
  equal(await rebuild(two.engine), [], "rebuild() without adopt takes bob no more than before");
  // Another process on the same registry knows it, too.
  const again = await openRegistry(two.engine.project, "empty");
  const marker = { registry: one.engine.registry.id };
  equal([again.owns({ ...marker, env: "alice" }), again.owns({ ...marker, env: "bob" })], [true, false]);
  again.close();
  await deleteEnvironment(two.engine, "alice");
  equal([...vendor.held.keys()].sort(), ["shop-bob", "shop-bucket-bob"]);
  const after = await openRegistry(two.engine.project, "empty");
  ok(!after.owns({ ...marker, env: "alice" }), "an environment of this name that the other makes next is its own");
  after.close();
});

Deno.test("takeUp() of what is to go is finished by delete, whenever it was cut off", async () => {
  const vendor = new Vendor();
  await using one = await bench({ vendor });
  await using two = await bench({ vendor });
  await createEnvironment(one.engine, "alice", { switch: false });
  const { others } = await lookFor(two.engine, "alice");
  await takeUp(two.engine, "alice", { adopt: others, isGoing: true });
  is((await two.engine.registry.environment("alice"))!.status, "deleting");
  vendor.fail = (call) => {
    if (call === "delete shop-alice") throw new ForkstackError("PROVIDER_UNAVAILABLE", "no answer", { hint: "" });
  };
  is((await failure(deleteEnvironment(two.engine, "alice"))).code, "DELETE_INCOMPLETE");
  equal([...vendor.held.keys()], ["shop-alice"]);
  vendor.fail = () => {};
  await takeUp(two.engine, "alice", { isGoing: true }); // a second run: the row is there already
  await deleteEnvironment(two.engine, "alice");
  equal([...vendor.held.keys()], []);
});

Deno.test("explained() says of a name that is taken which registry made it, and leaves every other error", async () => {
  const vendor = new Vendor();
  await using one = await bench({ vendor });
  await using two = await bench({ vendor });
  await createEnvironment(one.engine, "alice", { switch: false });
  const told = async (engine: Engine, env: string) => {
    const error = await failure(createEnvironment(engine, env, { switch: false }));
    return await explained(engine, env, error) as ForkstackError;
  };
  const others = await told(two.engine, "alice");
  is(others.code, "FOREIGN");
  match(others.message, new RegExp(`another registry \\(${one.engine.registry.id}\\) made database "shop-alice"`));
  match(others.hint!, /Share one registry.*`forkstack delete alice --adopt`.*`forkstack new alice --adopt`/);
  const lost = await told(await one.lostRegistry(), "alice");
  match(lost.message, /this registry has lost it: database "shop-alice"/);
  match(lost.hint!, /`forkstack doctor --rebuild` brings it back/);
  vendor.parents.set("shop-bob", "a person's");
  const persons = await failure(createEnvironment(two.engine, "bob", { switch: false }));
  is(await explained(two.engine, "bob", persons), persons);
  const plain = new Error("no");
  is(await explained(two.engine, "alice", plain), plain);
});

Deno.test("unregistered() lists what marks alone tell of, by environment and registry", async () => {
  const vendor = new Vendor();
  await using one = await bench({ vendor });
  await using two = await bench({ vendor });
  for (const env of ["alice", "bob"]) await createEnvironment(one.engine, env, { switch: false });
  await createEnvironment(two.engine, "carol", { switch: false });
  const errors: unknown[] = [];
  const list = async (engine: Engine) => await unregistered(engine, (error) => errors.push(error));
  const resources = ["database", "storage"];
  equal(await list(one.engine), [{ environment: "carol", resources, registry: two.engine.registry.id }]);
  equal(await list(await one.lostRegistry()), [
    { environment: "alice", resources },
    { environment: "bob", resources },
    { environment: "carol", resources, registry: two.engine.registry.id },
  ]);
  equal(errors, []);
  const [database, storage] = one.engine.resources;
  const silent = {
    ...database!,
    provider: {
      ...database!.provider,
      list(): never {
        throw new ForkstackError("CREDENTIALS_MISSING", "no key", { hint: "" });
      },
    },
  };
  const half = { ...await one.lostRegistry(), resources: [silent, storage!] };
  equal((await list(half)).map((found) => found.resources), [["storage"], ["storage"], ["storage"]]);
  equal(errors.map((error) => (error as ForkstackError).code), ["CREDENTIALS_MISSING"]);
});
