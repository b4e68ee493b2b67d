/** Whose a thing is, through the engine: two stacks, two registries, lost replies, what was taken over. */
import { deepStrictEqual as equal, match, ok, strictEqual as is } from "node:assert/strict";
import { askVariables } from "../../../core/lifecycle/variables.ts";
import { createEnvironment } from "../../../core/lifecycle/create.ts";
import { deleteEnvironment } from "../../../core/lifecycle/delete.ts";
import { examine } from "../../../core/lifecycle/doctor.ts";
import type { Engine } from "../../../core/engine/engine.ts";
import type { Capabilities, Context, Fork, Provider, Target } from "../../../core/provider.ts";
import { openRegistry } from "../../../core/state/open_registry.ts";
import { rebuild } from "../../../core/lifecycle/rebuild.ts";
import { resetEnvironment } from "../../../core/lifecycle/reset.ts";
import { extendLease } from "../../../core/lifecycle/lease.ts";
import { removeVariables } from "../../../core/workspace/env_files.ts";
import { switchEnvironment } from "../../../core/lifecycle/switch.ts";
import { ForkstackError } from "../../../mod.ts";
import { bench, failure, fakeProvider, Vendor } from "../_engine.ts";
import { statements } from "../../../core/state/statements.ts";
import { underLock } from "../../../core/engine/under_lock.ts";

async function write(engine: Engine, env: string, ...all: Parameters<Engine["registry"]["fenced"]>[2]): Promise<void> {
  await underLock(engine, env, "test", (worker) => worker.write(all));
}

function problems(findings: Awaited<ReturnType<typeof examine>>): string[] {
  return findings.map(({ environment, resource, problem, mend }) =>
    [environment, resource, problem.split(/[:,]/)[0], mend && "mends"].filter(Boolean).join(" ")
  );
}

for (const ownership of ["marked", "marked-after"] as const) {
  Deno.test(`the place of prod that bears another stack's mark is neither forked, nor switched to, nor asked for a login (${ownership})`, async () => {
    const vendor = new Vendor();
    const capabilities = { ...fakeProvider(vendor, "database").capabilities, ownership };
    const given = { vendor, kinds: ["database"] as const, changed: { capabilities } };
    await using one = await bench(given);
    await createEnvironment(one.engine, "alice", { switch: false });
    const theirs = structuredClone(vendor.held.get("shop-alice"));
    await using two = await bench({ ...given, config: { project: "shop-alice", parent: "prod" } });
    const engine: Engine = {
      ...two.engine,
      project: { ...two.engine.project, name: "shop-alice", stack: "shop-alice" },
    };
    const calls = vendor.calls.length;
    for (
      const use of [
        () => createEnvironment(engine, "bob", { from: "prod" }),
        () => switchEnvironment(engine, "prod"),
        () => askVariables(engine, "prod"),
      ]
    ) {
      const error = await failure(use());
      is(error.code, "FOREIGN");
      match(error.message, /"shop-alice": it is of stack "shop"/);
    }
    ok(!vendor.calls.slice(calls).some((call) => /^(create|outputs|delete)/.test(call)), String(vendor.calls));
    equal(vendor.held.get("shop-alice"), theirs);
    equal(await engine.registry.environments(), []);
  });
}

Deno.test("a row is no proof: what stands at its name by now is neither forked, nor used, nor given a login", async () => {
  const marker = { stack: "shop", env: "alice", resource: "database", operation: "another" };
  const others: [Partial<Fork> & { marker: Fork["marker"] }, RegExp][] = [
    [{ marker: { ...marker, stack: "other", name: "shop-alice" } }, /it is of stack "other"/],
    [{ marker: { ...marker, name: "shop-bob" } }, /no mark/], // copied
    [{ marker: { ...marker, name: "shop-alice", registry: "f".repeat(16) } }, /it is of stack "shop"/],
    [{ marker: { ...marker, name: "shop-alice" }, id: "another-id" }, /another fork has its name/],
  ];
  for (const [fork, why] of others) {
    const vendor = new Vendor();
    await using one = await bench({ vendor, kinds: ["database"] });
    await createEnvironment(one.engine, "alice", { switch: false });
    await removeVariables(one.engine, "alice");
    vendor.put({ name: "shop-alice", id: vendor.held.get("shop-alice")!.fork.id, ...fork }, "theirs");
    const calls = vendor.calls.length;
    for (
      const use of [
        () => switchEnvironment(one.engine, "alice"),
        () => createEnvironment(one.engine, "carol", { from: "alice", switch: false }),
        () => extendLease(one.engine, "alice", 60_000),
      ]
    ) {
      const error = await failure(use());
      is(error.code, "FOREIGN");
      match(error.message, why);
    }
    equal(vendor.calls.slice(calls).filter((call) => !call.startsWith("inspect")), []);
  }
});

Deno.test("reset() forks no parent that another stack's mark is on by now", async () => {
  const vendor = new Vendor();
  await using one = await bench({ vendor, kinds: ["database"], config: { parent: "prod" } });
  await createEnvironment(one.engine, "alice", { switch: false });
  const marker = { stack: "other", env: "x", resource: "database", operation: "1", name: "shop" };
  vendor.put({ name: "shop", marker }, "another's");
  is((await failure(resetEnvironment(one.engine, "alice"))).code, "FOREIGN");
  is(vendor.prepared, 0);
});

Deno.test("a fork of another registry of the same stack is refused, told, and deleted by nobody here", async () => {
  const vendor = new Vendor();
  await using one = await bench({ vendor });
  await using two = await bench({ vendor });
  await createEnvironment(one.engine, "alice", { switch: false });
  const before = structuredClone([...vendor.held]);
  is((await failure(createEnvironment(two.engine, "alice", { switch: false }))).code, "FOREIGN");
  const findings = (await examine(two.engine)).filter(({ environment }) => environment === "alice");
  equal(problems(findings), ["alice database of another registry", "alice storage of another registry"]);
  for (const { problem, fix } of findings) {
    match(problem, new RegExp(`under registry ${one.engine.registry.id}, not ${two.engine.registry.id}`));
    match(fix, /share that registry.*if it was lost, `forkstack doctor --rebuild --adopt`/);
  }
  equal(await rebuild(two.engine), [], "without --adopt it takes none of them");
  // A row that names them, as a registry that came along may have: the marks say otherwise.
  for (const row of await one.engine.registry.resources("alice")) {
    await write(two.engine, "alice", statements.putResource(row));
  }
  await write(two.engine, "alice", statements.putEnvironment((await one.engine.registry.environment("alice"))!));
  await failure(deleteEnvironment(two.engine, "alice"));
  equal([...vendor.held], before);
});

Deno.test("rebuild() with adopt takes the forks of a registry that was lost, and knows them from then on", async () => {
  const vendor = new Vendor();
  await using one = await bench({ vendor });
  await createEnvironment(one.engine, "alice", { switch: false });
  await using two = await bench({ vendor });
  const [alice] = await rebuild(two.engine, { adopt: true });
  equal(alice!.resources.map(({ key }) => key), ["database", "storage"]);
  equal(problems(await examine(two.engine)).filter((line) => !line.endsWith("of its variables")), []);
  const again = await openRegistry(two.engine.project, "empty");
  ok(again.owns({ registry: one.engine.registry.id, env: "bob" }), "it is remembered, and of each environment");
  again.close();
  await deleteEnvironment(two.engine, "alice");
  equal([...vendor.held.keys()], []);
});

Deno.test("the registry's id is kept beside its file, so that a lost registry still knows its own marks", async () => {
  await using one = await bench();
  const { id } = one.engine.registry;
  await createEnvironment(one.engine, "alice", { switch: false });
  for (const suffix of ["", "-wal", "-shm"]) {
    await one.engine.world.files.remove(`${one.root}/.forkstack/registry.db${suffix}`);
  }
  const registry = await openRegistry(one.engine.project, "create");
  is(registry.id, id);
  equal((await rebuild({ ...one.engine, registry }))[0]!.resources.length, 2);
  registry.close();
});

Deno.test("doctor removes neither what bears a copied mark, nor a backup, nor what was taken over", async () => {
  await using one = await bench();
  const { engine, vendor } = one;
  await createEnvironment(engine, "alice", { switch: false });
  const { fork } = vendor.held.get("shop-alice")!;
  const rows = await engine.registry.resources("alice");
  vendor.held.set("shop-copied", {
    fork: { ...fork, id: "theirs", name: "shop-copied" },
    data: "theirs",
    state: "ready",
  });
  const { name: _, registry: __, ...old } = fork.marker; // a mark of 0.1.0, copied
  vendor.held.set("shop-old", {
    fork: { ...fork, id: "old", name: "shop-old", marker: old },
    data: "theirs",
    state: "ready",
  });
  const line = { operation: rows[1].operation, env: "alice", at: new Date(one.nowMs).toISOString() };
  await write(
    engine,
    "alice",
    statements.journal({ ...line, resource: "database", step: "keep", phase: "done", id: fork.id }),
    statements.journal({ ...line, resource: "storage", step: "taken over", phase: "record", id: rows[1].id! }),
    ...rows.map(({ key }) => statements.dropResource("alice", key)),
    statements.dropEnvironment("alice"),
  );
  const before = [...vendor.held.keys()];
  const findings = await examine(engine);
  equal(problems(findings), ["alice database unproven", "alice storage unproven", "alice database kept"]);
  for (const { mend } of findings) await mend?.();
  equal([...vendor.held.keys()], before);
});

/** A vendor that takes no mark with the create, and whose answers get lost: what it made may be proven or not. */
function late(vendor: Vendor, how: { isProven: boolean; isTakenOver?: boolean }) {
  const base = fakeProvider(vendor, "database");
  const capabilities: Capabilities = { ...base.capabilities, ownership: "recorded" };
  const shown = async (context: Context, target: Target<unknown>) => {
    const held = vendor.held.get(target.name);
    if (held === undefined) return { state: "absent" } as const;
    const { id } = held.fork;
    const known = (await context.recorded(target.name)).find((one) => one.id === id)?.marker;
    if (known === undefined && !(target.isResumed && how.isProven && held.fork.parentId === target.parent)) {
      return { state: "foreign", id, reason: "nothing proves that it is ours" } as const;
    }
    return { state: "ready", fork: { ...held.fork, marker: target.marker } } as const;
  };
  const changed: Partial<Provider> = {
    capabilities,
    inspect: shown,
    async create(context, target): Promise<Fork> {
      const seen = await shown(context, target);
      if (seen.state === "ready") return seen.fork;
      const isSpare = seen.state === "foreign" && how.isTakenOver && target.isResumed;
      if (isSpare && await context.takeOver(target.name, seen.id, () => Promise.resolve(true))) {
        vendor.call("settle", target.name);
        return { ...vendor.held.get(target.name)!.fork, marker: target.marker };
      }
      if (seen.state === "foreign") throw new ForkstackError("FOREIGN", "Cannot make it: it is not ours");
      vendor.call("ask", target.name);
      if (vendor.held.has(target.name)) {
        await context.refused(target.name);
        vendor.call("exists", target.name);
        throw new ForkstackError("FOREIGN", "Cannot make it: it is there already");
      }
      const fork = vendor.put({ name: target.name, marker: target.marker, parentId: target.parent }, "");
      vendor.call("reply", target.name);
      await context.record("made", fork.id);
      return fork;
    },
    async delete(context, fork) {
      const told = await context.recorded(fork.name);
      if (!told.some(({ id }) => id === fork.id)) throw new ForkstackError("FOREIGN", "Cannot delete it");
      return await base.delete(context, fork, {} as never);
    },
    async *list(context) {
      for (const { fork } of vendor.held.values()) {
        const known = (await context.recorded(fork.name)).find(({ id }) => id === fork.id);
        if (known !== undefined) yield { ...fork, marker: known.marker };
      }
    },
  };
  return { vendor, kinds: ["database"] as const, changed };
}

function losingReplies(vendor: Vendor, of = /^reply /): void {
  vendor.fail = (call) => {
    if (of.test(call)) throw new ForkstackError("PROVIDER_UNAVAILABLE", "the answer was lost", { retryable: true });
  };
}

Deno.test("after a lost reply the undo deletes what the vendor proves, and leaves and tells what it does not", async () => {
  for (const isProven of [true, false]) {
    const vendor = new Vendor();
    await using one = await bench(late(vendor, { isProven }));
    losingReplies(vendor);
    const { hint } = await failure(createEnvironment(one.engine, "alice", { switch: false }));
    if (isProven) {
      match(hint!, /nothing was left behind/);
      equal([...vendor.held.keys()], []);
      continue;
    }
    match(hint!, /not touched, since nothing proves that this run made it: database/);
    equal([...vendor.held.keys()], ["shop-alice"]);
    const findings = await examine(one.engine);
    equal(problems(findings), ["alice database unproven"]);
    match(findings[0].fix, /if nobody else made it, delete it at fake/);
    vendor.fail = () => {};
    is((await failure(createEnvironment(one.engine, "alice", { switch: false }))).code, "FOREIGN");
    equal([...vendor.held.keys()], ["shop-alice"]);
  }
});

Deno.test("what a rerun took over is told, is not deleted by its undo, and goes with its environment", async () => {
  const vendor = new Vendor();
  await using one = await bench(late(vendor, { isProven: false, isTakenOver: true }));
  vendor.fail = (call) => {
    if (call.startsWith("reply ")) throw new Error("the process died"); // and undid nothing
  };
  await cut(one.engine, () => createEnvironment(one.engine, "alice", { switch: false }));
  losingReplies(vendor, /^settle /);
  const { hint } = await failure(createEnvironment(one.engine, "alice", { switch: false }));
  match(one.warnings.join(), /Taken over: fake "shop-alice" was empty/);
  match(hint!, /not touched/);
  equal([...vendor.held.keys()], ["shop-alice"]);
});

Deno.test("what a create was told is there is not taken over by a rerun, though the run was killed right after", async () => {
  const vendor = new Vendor();
  await using one = await bench(late(vendor, { isProven: false, isTakenOver: true }));
  const marker = { stack: "theirs", env: "alice", resource: "database", operation: "theirs", name: "shop-alice" };
  vendor.fail = (call) => {
    if (call.startsWith("ask ")) vendor.put({ name: "shop-alice", marker, parentId: undefined }, "");
    if (call.startsWith("exists ")) throw new Error("the process died"); // and undid nothing
  };
  await cut(one.engine, () => createEnvironment(one.engine, "alice", { switch: false }));
  const theirs = structuredClone(vendor.held.get("shop-alice"));
  vendor.fail = () => {};
  is((await failure(createEnvironment(one.engine, "alice", { switch: false }))).code, "FOREIGN");
  equal(one.warnings.filter((text) => text.includes("Taken over")), []);
  equal(vendor.held.get("shop-alice"), theirs);
});

Deno.test("what a create was told is there is a stranger's to doctor too: it is not said to be of a lost answer", async () => {
  const vendor = new Vendor();
  await using one = await bench(late(vendor, { isProven: false }));
  const marker = { stack: "theirs", env: "alice", resource: "database", operation: "theirs", name: "shop-alice" };
  vendor.fail = (call) => {
    if (call.startsWith("ask ")) vendor.put({ name: "shop-alice", marker, parentId: undefined }, "");
  };
  is((await failure(createEnvironment(one.engine, "alice", { switch: false }))).code, "FOREIGN");
  equal(problems(await examine(one.engine)), []);
  equal([...vendor.held.keys()], ["shop-alice"]);
});

/** Runs until a call fails, and writes nothing from then on, as a process that was killed. */
async function cut(engine: Engine, work: () => Promise<unknown>): Promise<void> {
  const { registry } = engine;
  const fenced = registry.fenced.bind(registry);
  let isDead = false;
  registry.fenced = (env, token, all) => {
    isDead ||= all.some((one) => String(one[0]).includes("environments") && one.includes("undoing"));
    return isDead ? Promise.reject(new Error("the process is dead")) : fenced(env, token, all);
  };
  await failure(work());
  registry.fenced = fenced;
}
