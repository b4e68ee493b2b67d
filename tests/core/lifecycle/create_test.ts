import { deepStrictEqual as equal, match, strictEqual as is } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createEnvironment } from "../../../core/lifecycle/create.ts";
import { deleteEnvironment } from "../../../core/lifecycle/delete.ts";
import { type Provider, Secret } from "../../../core/provider.ts";
import { type ErrorCode, ForkstackError } from "../../../mod.ts";
import { bench, failure, fakeProvider, Vendor, write } from "../_engine.ts";
import { statements } from "../../../core/state/statements.ts";

const refused = (code: ErrorCode) => () => Promise.reject(new ForkstackError(code, `Cannot use fake: ${code}`));

const REFUSALS: readonly ErrorCode[] = [
  "CREDENTIALS_REJECTED",
  "CREDENTIALS_DENIED",
  "CREDENTIALS_MISSING",
  "NETWORK_DENIED",
  "NETWORK_UNREACHABLE",
  "CONFIG_INVALID",
  "PROVIDER_REFUSED",
  "PROVIDER_UNAVAILABLE",
  "NOT_READY",
  "TOOL_OUTDATED",
  "NOT_FOUND",
];
const OWNERSHIPS = ["marked", "marked-after", "recorded"] as const;

for (const code of REFUSALS) {
  Deno.test(`a provider that refuses to look as ${code} fails new with that, and leaves no environment`, async () => {
    for (const ownership of OWNERSHIPS) {
      for (const origin of [undefined, "empty"]) {
        const vendor = new Vendor();
        const { capabilities } = fakeProvider(vendor, "database");
        const changed = {
          capabilities: { ...capabilities, ownership },
          create: refused(code),
          inspect: refused(code),
          delete: refused(code),
        };
        await using one = await bench({ vendor, changed });
        const error = await failure(createEnvironment(one.engine, "alice", origin === undefined ? {} : { origin }));
        is(error.code, code, `${ownership}, ${origin}`);
        match(error.hint!, /^Nothing was created$/, "nobody could look whether something was left");
        equal(await one.engine.registry.environments(), []);
        equal(await one.engine.registry.resources("alice"), []);
        is((await failure(deleteEnvironment(one.engine, "alice"))).code, "ENV_NOT_FOUND");
      }
    }
  });
}

Deno.test("one of two that refuses to look leaves no environment, and what the other made is undone and looked for", async () => {
  const vendor = new Vendor();
  await using one = await bench({ vendor });
  const [database, storage] = one.engine.resources;
  const provider = { ...storage!.provider, inspect: refused("PROVIDER_UNAVAILABLE") };
  const engine = { ...one.engine, resources: [database!, { ...storage!, provider }] };
  const error = await failure(createEnvironment(engine, "alice", {}));
  is(error.code, "PROVIDER_UNAVAILABLE");
  match(error.hint!, /Undone: database; nothing was left behind$/);
  is(vendor.calls.at(-1), "inspect shop-alice", "it is said after looking");
  equal(await one.engine.registry.environments(), []);
  is(vendor.held.size, 0);
});

Deno.test('"nothing was left behind" is not said of what a vendor still shows, or of what nobody could look at', async () => {
  for (
    const [inspect, told] of [
      [undefined, /Undone: database; still shown by its vendor: database "shop-alice"; see `forkstack doctor`$/],
      [refused("PROVIDER_UNAVAILABLE"), /Undone: database; not looked at again: database \(Cannot use fake: .*\)$/],
    ] as const
  ) {
    const vendor = new Vendor();
    let isUndone = false;
    const fake = fakeProvider(vendor, "database");
    await using one = await bench({
      vendor,
      kinds: ["database"],
      changed: {
        outputs: refused("PROVIDER_REFUSED"),
        delete() {
          isUndone = true;
          return Promise.resolve("deleted"); // a lie
        },
        inspect: (context, target) => isUndone && inspect !== undefined ? inspect() : fake.inspect(context, target),
      },
    });
    match((await failure(createEnvironment(one.engine, "alice", {}))).hint!, told);
  }
});

Deno.test("an unfinished environment at a place that can hold none goes, told; one that cannot be asked stays", async () => {
  for (
    const [code, isGone] of [
      ["CONFIG_INVALID", true],
      ["PROVIDER_REFUSED", true],
      ["NOT_FOUND", true],
      ["CREDENTIALS_REJECTED", false],
      ["PROVIDER_UNAVAILABLE", false],
      ["NETWORK_UNREACHABLE", false],
    ] as const
  ) {
    for (const isRecorded of [false, true]) {
      const vendor = new Vendor();
      await using one = await bench({ vendor, kinds: ["database"], changed: { inspect: refused(code) } });
      const at = new Date(one.nowMs).toISOString();
      const run = { operation: "a-run-that-was-killed", env: "alice", resource: "database", step: "create", at };
      await write(
        one.engine,
        "alice",
        statements.putEnvironment({
          name: "alice",
          parent: "dev",
          owner: "tester@here",
          operation: run.operation,
          createdAt: at,
          status: "creating",
        }),
        statements.putResource({
          env: "alice",
          key: "database",
          kind: "database",
          provider: "fake",
          title: "shop-alice",
          state: "creating",
          operation: run.operation,
          createdAt: at,
          options: {},
        }),
        statements.journal({ ...run, phase: "intent" }),
        ...(isRecorded ? [statements.journal({ ...run, phase: "record", id: "id-1" })] : []),
      );
      if (isGone && !isRecorded) {
        await deleteEnvironment(one.engine, "alice");
        match(one.warnings[0]!, /^Not looked at: database "shop-alice": .*No answer is on record/);
        equal(await one.engine.registry.environments(), []);
      } else {
        is((await failure(deleteEnvironment(one.engine, "alice"))).code, "DELETE_INCOMPLETE", `${code} ${isRecorded}`);
      }
    }
  }
});

for (
  const [ending, isBegun] of [["NETWORK_UNREACHABLE", false], ["PROVIDER_UNAVAILABLE", true], [401, false], [
    500,
    true,
  ]] as const
) {
  Deno.test(`a create whose POST ends with ${ending} ${isBegun ? "is" : "needs not be"} undone`, async () => {
    const vendor = new Vendor();
    const isDown = { inspect: false };
    const fake = fakeProvider(vendor, "database");
    await using one = await bench({
      vendor,
      kinds: ["database"],
      changed: {
        inspect: (context, target) =>
          isDown.inspect ? refused("PROVIDER_UNAVAILABLE")() : fake.inspect(context, target),
        async create(context) {
          isDown.inspect = true; // from here on nobody answers
          await context.fetch(new Request("https://vendor.example/forks", { method: "POST", body: "{}" }));
          return await refused("CREDENTIALS_REJECTED")();
        },
      },
    });
    const fetch = () =>
      typeof ending === "number"
        ? Promise.resolve(new Response("", { status: ending }))
        : Promise.reject(new ForkstackError(ending, `Cannot reach it: ${ending}`, { retryable: true }));
    const engine = { ...one.engine, world: { ...one.engine.world, fetch } };
    const { code } = await failure(createEnvironment(engine, "alice", {}));
    is(code, isBegun ? "UNDO_INCOMPLETE" : typeof ending === "number" ? "CREDENTIALS_REJECTED" : ending);
    equal((await engine.registry.environments()).length, isBegun ? 1 : 0);
  });
}

Deno.test("what was refused after something was made is undone", async () => {
  const vendor = new Vendor();
  const { create } = fakeProvider(vendor, "database");
  await using one = await bench({
    vendor,
    kinds: ["database"],
    changed: {
      async create(context, target) {
        await context.record("fork", (await create(context, target)).id);
        return await refused("CREDENTIALS_DENIED")();
      },
    },
  });
  const error = await failure(createEnvironment(one.engine, "alice", {}));
  match(error.hint!, /Undone: database; nothing was left behind/);
  is(vendor.held.size, 0);
  vendor.fail = (call) => {
    if (call.startsWith("delete")) throw new ForkstackError("CREDENTIALS_DENIED", "Cannot delete");
  };
  is((await failure(createEnvironment(one.engine, "alice", {}))).code, "UNDO_INCOMPLETE");
});

Deno.test("what create() hands back is handed out, and outputs() is not asked", async () => {
  const vendor = new Vendor();
  const told: string[] = [];
  const create: Provider["create"] = async (context, target) => {
    const fork = await fakeProvider(vendor, "database").create(context, target);
    const url = `fake://${fork.name}/canary-${told.length}`;
    told.push(url);
    return { ...fork, outputs: { DATABASE_URL: new Secret(url) } };
  };
  await using one = await bench({ vendor, changed: { create } });
  const database = one.engine.resources.find(({ kind }) => kind === "database")!;
  const engine = { ...one.engine, resources: [database] };
  for (const [at, env] of ["alice", "bob"].entries()) {
    await createEnvironment(engine, env, {});
    const file = readFileSync(join(one.root, ".forkstack", "envs", `${env}.env`), "utf8");
    match(file, new RegExp(`^DATABASE_URL="?fake://[^ ]+/canary-${at}`, "m"));
  }
  equal(vendor.calls.filter((call) => call.startsWith("outputs")), []);
  const rows = [...await one.engine.registry.resources("alice"), ...await one.engine.registry.journal("alice")];
  is(JSON.stringify([rows, one.progress]).includes("canary"), false);
});
