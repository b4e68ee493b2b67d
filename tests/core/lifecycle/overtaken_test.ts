/** Commands that another one overtakes: what was done is told as done, and what was taken over is left alone. */
import { deepStrictEqual as equal, match, ok, strictEqual as is } from "node:assert/strict";
import { createEnvironment } from "../../../core/lifecycle/create.ts";
import { deleteEnvironment } from "../../../core/lifecycle/delete.ts";
import { examine } from "../../../core/lifecycle/doctor.ts";
import type { Engine } from "../../../core/engine/engine.ts";
import { httpClient } from "../../../core/http/client.ts";
import { repeatable } from "../../../core/system/repeat.ts";
import { pointsTo } from "../../../core/workspace/leave.ts";
import { extendLease, prunable, pruneEnvironment } from "../../../core/lifecycle/lease.ts";
import type { Context, Provider } from "../../../core/provider.ts";
import type { Registry } from "../../../core/state/registry.ts";
import { resetEnvironment } from "../../../core/lifecycle/reset.ts";
import { openKeyring } from "../../../core/lifecycle/secrets.ts";
import { Secret } from "../../../core/secret.ts";
import { switchEnvironment } from "../../../core/lifecycle/switch.ts";
import { ForkstackError, type Kind } from "../../../mod.ts";
import { type Bench, bench, type BenchOptions, failure, fakeProvider, Vendor, write } from "../_engine.ts";
import { statements } from "../../../core/state/statements.ts";
import { contextOf } from "../../../core/engine/context.ts";

const DAY = 86_400_000;
/** Nobody else shows up but when the test says so. */
const LOCK_TIMES = { beatMs: 60_000, staleMs: 120_000, waitMs: 1_000 };

/** A registry, some of whose methods are others. */
function changed(registry: Registry, methods: Partial<Registry>): Registry {
  return new Proxy(registry, {
    get(target, name) {
      const value = methods[name as keyof Registry] ?? Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

async function withAlice(options: BenchOptions = {}): Promise<Bench> {
  const made = await bench(options);
  made.vendor.parents.set("shop-dev", "rows").set("shop-bucket-dev", "objects");
  await createEnvironment(made.engine, "alice", {});
  return made;
}

// ---- What was done is told as done ----

const unreachable = () => Promise.reject(new ForkstackError("REGISTRY_UNREACHABLE", "no answer"));

/** Events that come once the command has let go of the lock. */
const AFTERWARDS: Readonly<Record<string, (engine: Engine, env: string) => Promise<Partial<Registry>>>> = {
  "a delete comes right after it": async (engine, env) => {
    await deleteEnvironment(engine, env);
    return {};
  },
  "a delete and a new come right after it": async (engine, env) => {
    await deleteEnvironment(engine, env);
    await createEnvironment(engine, env, { switch: false });
    return {};
  },
  "the registry is out of reach right after it": () =>
    Promise.resolve({
      environment: unreachable,
      environments: unreachable,
      resources: unreachable,
      touch: unreachable,
    }),
};

const COMMANDS: Readonly<Record<string, { env: string; run: (engine: Engine) => Promise<Told> }>> = {
  new: { env: "bob", run: (engine) => createEnvironment(engine, "bob", {}) },
  "new --no-switch": { env: "bob", run: (engine) => createEnvironment(engine, "bob", { switch: false }) },
  "new of what is there": { env: "alice", run: (engine) => createEnvironment(engine, "alice", {}) },
  reset: { env: "alice", run: (engine) => resetEnvironment(engine, "alice") },
  extend: { env: "alice", run: (engine) => extendLease(engine, "alice", DAY) },
};

type Told = Awaited<ReturnType<typeof createEnvironment>>;

for (const [command, { env, run }] of Object.entries(COMMANDS)) {
  for (const [what, happen] of Object.entries(AFTERWARDS)) {
    Deno.test(`${command} is told as done though ${what}`, async () => {
      await using one = await withAlice();
      let lies: Partial<Registry> = {};
      const registry = changed(one.engine.registry, {
        async release(name, token) {
          await one.engine.registry.release(name, token);
          lies = await happen(one.engine, env);
        },
        environment: (name) => lies.environment?.(name) ?? one.engine.registry.environment(name),
        environments: () => lies.environments?.() ?? one.engine.registry.environments(),
        resources: (name) => lies.resources?.(name) ?? one.engine.registry.resources(name),
        touch: (name, at) => lies.touch?.(name, at) ?? one.engine.registry.touch(name, at),
      });
      const result = await run({ ...one.engine, registry });
      equal([result.environment.name, result.environment.status], [env, "ready"]);
      equal(result.resources.map(({ key, state }) => [key, state]), [["database", "ready"], ["storage", "ready"]]);
      ok(result.resources.every(({ id }) => id !== undefined));
    });
  }
}

Deno.test("switch that a delete overtakes once it has looked is told as done, and one before that is not", async () => {
  for (const [looks, isDone] of [[1, false], [2, true]] as const) {
    await using one = await withAlice();
    let left = looks;
    const registry = changed(one.engine.registry, {
      async environment(name) {
        const found = await one.engine.registry.environment(name);
        if (--left === 0) await deleteEnvironment(one.engine, "alice");
        return found;
      },
    });
    const switched = switchEnvironment({ ...one.engine, registry }, "alice");
    if (isDone) is((await switched).environment.status, "ready");
    else match((await failure(switched)).code, /^(ENV_NOT_FOUND|CONFLICT)$/);
    is(await pointsTo(one.engine, "alice"), false);
  }
});

Deno.test("a reset says what it has replaced, whatever stops it then", async () => {
  for (
    const [stop, message] of [
      ["commit shop-bucket-alice", /no answer; already replaced: database$/],
      ["the last write", /no answer; already replaced: database, storage$/],
    ] as const
  ) {
    await using one = await withAlice();
    one.vendor.fail = (call) => {
      if (call === stop) throw new Error("no answer");
    };
    const registry = changed(one.engine.registry, {
      async fenced(env, token, all) {
        const isLast = all.some(([sql, ...args]) => /INTO environments/.test(sql) && args.includes("ready"));
        if (isLast && stop === "the last write") throw new Error("no answer");
        await one.engine.registry.fenced(env, token, all);
      },
    });
    const error = await failure(resetEnvironment({ ...one.engine, registry }, "alice"));
    is(error.code, "RESET_INCOMPLETE");
    match(error.message, message);
    one.vendor.fail = () => {};
    is((await resetEnvironment(one.engine, "alice")).environment.status, "ready");
  }
});

Deno.test("a deletion that fails says that the rest is deleted only where something is", async () => {
  const cases: [kinds: readonly Kind[], failing: RegExp, isPart: boolean][] = [
    [["database"], /^delete /, false],
    [["database", "storage"], /^delete /, false],
    [["database", "storage"], /^delete shop-alice$/, true],
    [["database", "storage"], /^delete .*bucket/, true],
  ];
  for (const [kinds, failing, isPart] of cases) {
    await using one = await withAlice({ kinds });
    one.vendor.fail = (call) => {
      if (failing.test(call)) throw new Error("no answer");
    };
    const { code, hint } = await failure(deleteEnvironment(one.engine, "alice"));
    is(code, "DELETE_INCOMPLETE");
    match(hint!, /Fix the cause and run `forkstack delete alice` again/);
    is(/The rest is deleted/.test(hint!), isPart, `${failing}: ${hint}`);
  }
});

Deno.test("delete --purge that can't purge says that the environment is deleted", async () => {
  const vendor = new Vendor();
  const keep: Provider["keep"] = (_context, fork) => {
    vendor.held.delete(fork.name); // it goes by another name now
    return Promise.resolve({ id: `${fork.id}-kept`, name: `${fork.name}-kept` });
  };
  await using one = await withAlice({ vendor, changed: { keep }, kinds: ["database"] });
  await deleteEnvironment(one.engine, "alice"); // leaves a backup
  await createEnvironment(one.engine, "alice", {});
  let deletions = 0;
  one.vendor.fail = (call) => {
    if (call.startsWith("delete") && ++deletions > 1) throw new Error("no answer");
  };
  const error = await failure(deleteEnvironment(one.engine, "alice", { purge: true }));
  equal([error.code, error.retryable], ["DELETE_INCOMPLETE", true]);
  match(error.message, /the environment itself is deleted: no answer$/);
  is(await one.engine.registry.environment("alice"), undefined);
});

// ---- What is not meant any more stays ----

const PRUNE_MEANWHILE: Readonly<Record<string, (one: Bench) => Promise<unknown>>> = {
  extended: (one) => extendLease(one.engine, "alice", DAY),
  "deleted and made again": async (one) => {
    await deleteEnvironment(one.engine, "alice");
    await createEnvironment(one.engine, "alice", { expiresAt: new Date(one.nowMs + DAY).toISOString() });
  },
  deleted: (one) => deleteEnvironment(one.engine, "alice"),
  protected: (one) => Promise.resolve(Object.assign(one.engine.project.config, { protected: ["alice"] })),
};

for (const [what, happen] of Object.entries(PRUNE_MEANWHILE)) {
  Deno.test(`prune leaves what was ${what} after it had looked`, async () => {
    await using one = await bench();
    await createEnvironment(one.engine, "alice", { expiresAt: new Date(one.nowMs + 1_000).toISOString() });
    one.nowMs += DAY;
    const [{ name }] = await prunable(one.engine, undefined);
    await happen(one);
    const before = await one.engine.registry.environment("alice");
    is(await pruneEnvironment(one.engine, name, undefined), undefined);
    equal(await one.engine.registry.environment("alice"), before);
    is(one.vendor.held.size, before === undefined ? 0 : 2);
  });
}

Deno.test("prune --idle leaves what was used after it had looked", async () => {
  await using one = await withAlice();
  one.nowMs += 2 * DAY;
  const [{ name }] = await prunable(one.engine, DAY);
  await switchEnvironment(one.engine, "alice");
  is(await pruneEnvironment(one.engine, name, DAY), undefined);
  one.nowMs += 2 * DAY;
  is((await pruneEnvironment(one.engine, name, DAY))?.environment.name, "alice");
});

for (const status of ["deleting", "undoing"] as const) {
  Deno.test(`doctor --fix leaves what was ${status} as it looked, and made again since`, async () => {
    await using one = await withAlice();
    const alice = (await one.engine.registry.environment("alice"))!;
    await write(one.engine, "alice", statements.putEnvironment({ ...alice, status }));
    const findings = await examine(one.engine);
    await createEnvironment(one.engine, "alice", {}); // finishes the removal, and makes it
    const before = [...one.vendor.held.keys()];
    for (const { mend } of findings) await mend?.();
    is((await one.engine.registry.environment("alice"))?.status, "ready");
    equal([...one.vendor.held.keys()], before);
  });
}

Deno.test("secrets of an environment that was made again meanwhile are not changed", async () => {
  const vendor = new Vendor();
  const written: string[] = [];
  const secrets: Provider["secrets"] = {
    read: () => Promise.resolve({}),
    write: (_context, { id }) => Promise.resolve(void written.push(id)),
  };
  await using one = await withAlice({ vendor, kinds: ["secrets"], changed: { secrets } });
  const changes = { TOKEN: new Secret("x") };
  const keyring = await openKeyring(one.engine, "alice");
  await keyring.write(changes);
  is(written.length, 1);
  await deleteEnvironment(one.engine, "alice");
  is((await failure(keyring.write(changes))).code, "ENV_NOT_FOUND");
  await createEnvironment(one.engine, "alice", {});
  is((await failure(keyring.write(changes))).code, "CONFLICT");
  is(written.length, 1);
});

// ---- Nothing is sent under a lock that is another's ----

/** A vendor by HTTP: its first change is answered 500 when another has taken the environment over meanwhile. */
function overtaking(one: Bench) {
  const sent: string[] = [];
  const state = { isArmed: false };
  const fetch = async (request: Request) => {
    if (request.method === "GET") return new Response("{}");
    sent.push(request.method);
    if (!state.isArmed) return new Response("{}");
    const { registry } = one.engine;
    const lock = await registry.lock("alice");
    is(typeof await registry.acquire("alice", "eve@there#0123abcd", "delete", lock), "number");
    return new Response("{}", { status: 500 });
  };
  const client = httpClient({ fetch, random: () => 0 });
  return { sent, state, world: { ...one.engine.world, fetch: client } };
}

/** As a provider by HTTP has it: it looks, then changes, then looks until that is done. */
async function change(context: Context, method: string): Promise<void> {
  const url = "http://vendor.example/thing";
  await context.fetch(new Request(url));
  const { status } = await context.fetch(repeatable(new Request(url, { method }), true));
  await context.fetch(new Request(url));
  if (status >= 400) throw new ForkstackError("PROVIDER_UNAVAILABLE", `the vendor answers ${status}`);
}

function overHttp(vendor: Vendor): Partial<Provider> {
  const { create, delete: remove, reset, extend } = fakeProvider(vendor, "database");
  return {
    create: async (context, target) => (await change(context, "POST"), await create(context, target)),
    delete: async (context, fork, scope) => (await change(context, "DELETE"), await remove(context, fork, scope)),
    extend: async (context, ...given) => (await change(context, "PATCH"), await extend!(context, ...given)),
    async reset(context, fork, target) {
      const replacement = await reset!(context, fork, target);
      return { ...replacement, commit: async () => (await change(context, "PUT"), await replacement.commit()) };
    },
  };
}

const SENDERS: Readonly<Record<string, (engine: Engine, one: Bench) => Promise<unknown>>> = {
  new: async (engine) => {
    await deleteEnvironment(engine, "alice");
    return () => createEnvironment(engine, "alice", {});
  },
  delete: (engine) => Promise.resolve(() => deleteEnvironment(engine, "alice")),
  reset: (engine) => Promise.resolve(() => resetEnvironment(engine, "alice")),
  extend: (engine) => Promise.resolve(() => extendLease(engine, "alice", DAY)),
  prune: async (engine, one) => {
    await extendLease(engine, "alice", 1_000);
    one.nowMs += DAY;
    return () => pruneEnvironment(engine, "alice", undefined);
  },
  "the undoing of a new": async (engine) => {
    const alice = (await engine.registry.environment("alice"))!;
    await write(engine, "alice", statements.putEnvironment({ ...alice, status: "undoing" }));
    return () => createEnvironment(engine, "alice", {});
  },
  "doctor --fix of a deletion": async (engine) => {
    const alice = (await engine.registry.environment("alice"))!;
    await write(engine, "alice", statements.putEnvironment({ ...alice, status: "deleting" }));
    const [{ mend }] = (await examine(engine)).filter((one) => one.mend !== undefined);
    return mend;
  },
  "doctor --fix of an orphan": async (engine) => {
    await write(engine, "alice", statements.dropResource("alice", "database"), statements.dropEnvironment("alice"));
    const [{ mend }] = (await examine(engine)).filter(({ problem }) => problem.startsWith("orphaned"));
    return mend;
  },
};

for (const [command, prepare] of Object.entries(SENDERS)) {
  Deno.test(`${command} repeats nothing at a vendor once another has taken over`, async () => {
    const vendor = new Vendor();
    await using one = await bench({ vendor, kinds: ["database"], changed: overHttp(vendor) });
    const { sent, state, world } = overtaking(one);
    const engine: Engine = { ...one.engine, world, lockTimes: LOCK_TIMES };
    await createEnvironment(engine, "alice", {});
    const run = await prepare(engine, one) as () => Promise<unknown>;
    sent.length = 0;
    state.isArmed = true;
    ok(await run().then(() => false, () => true), "it must not be told as done");
    equal(sent.length, 1, `${sent}`);
  });
}

Deno.test("new that another overtook between its two reads of the registry loses its lock, and says so", async () => {
  for (const isMade of [true, false]) {
    await using one = await withAlice();
    const { registry } = one.engine;
    let isFirst = true;
    const overtaken = changed(registry, {
      async environment(name) {
        const found = await registry.environment(name);
        if (!isFirst) return found;
        isFirst = false; // it stands still here, and its lock expires
        const token = await registry.acquire("bob", "eve@there#0123abcd", "create", await registry.lock("bob"));
        await registry.release("bob", token as number);
        if (isMade) await createEnvironment(one.engine, "bob", { switch: false });
        return found;
      },
    });
    const before = await registry.allResources();
    const { code } = await failure(createEnvironment({ ...one.engine, registry: overtaken }, "bob", {}));
    is(code, "LOCK_LOST");
    is((await registry.allResources()).length, before.length + (isMade ? 2 : 0));
  }
});

Deno.test("a look under no lock asks no fence", async () => {
  await using one = await bench();
  const { sent, world } = overtaking(one);
  const engine = { ...one.engine, world };
  const context = contextOf(engine, engine.resources[0].provider);
  await context.fence();
  await context.fetch(new Request("http://vendor.example/query", { method: "POST" }));
  equal(sent, ["POST"]);
});
