/** Records are not taken for fact: `switch`, `new` and `doctor` look at each resource. */
import { deepStrictEqual as equal, match, ok, strictEqual as is } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createEnvironment } from "../../../core/lifecycle/create.ts";
import { examine } from "../../../core/lifecycle/doctor.ts";
import type { Engine } from "../../../core/engine/engine.ts";
import { sleep } from "../../../core/system/host.ts";
import { switchEnvironment } from "../../../core/lifecycle/switch.ts";
import { ForkstackError } from "../../../mod.ts";
import { type Bench, bench, type BenchOptions, failure, fakeProvider, Vendor } from "../_engine.ts";

async function withAlice(options: BenchOptions = {}): Promise<Bench> {
  const made = await bench(options);
  await createEnvironment(made.engine, "alice", { switch: false });
  made.vendor.calls.length = 0;
  return made;
}

/** An engine off a terminal, without `--yes`. */
function unasked(engine: Engine): Engine {
  const refuse = () => Promise.reject(new ForkstackError("CONFIRM_REQUIRED", "Cannot ask for confirmation"));
  return { ...engine, world: { ...engine.world, confirm: refuse } };
}

/** An engine whose deadlines end as soon as nothing else happens. */
function hasty(engine: Engine): Engine {
  return { ...engine, world: { ...engine.world, sleep: (_ms, signal) => sleep(20, signal) } };
}

function pointer({ root }: Bench): string {
  try {
    return readFileSync(join(root, ".current-env"), "utf8").trim();
  } catch {
    return "";
  }
}

Deno.test("switch and new look at each resource, with one call each", async () => {
  await using one = await withAlice();
  await switchEnvironment(one.engine, "alice");
  equal(one.vendor.calls.toSorted(), ["inspect shop-alice", "inspect shop-bucket-alice"]);
  one.vendor.calls.length = 0;
  is((await createEnvironment(unasked(one.engine), "alice", {})).unchanged, true);
  equal(one.vendor.calls.toSorted(), ["inspect shop-alice", "inspect shop-bucket-alice"]);
});

Deno.test("a fork that somebody renamed at the vendor is found by its id on record: switch, new and doctor go on", async () => {
  await using one = await withAlice();
  const { held } = one.vendor;
  for (const name of ["shop-alice", "shop-bucket-alice"]) {
    held.set(`${name}-renamed`, held.get(name)!);
    held.delete(name);
  }
  await switchEnvironment(one.engine, "alice");
  is((await createEnvironment(unasked(one.engine), "alice", {})).unchanged, true);
  equal(await examine(one.engine), []);
  const renamed = held.get("shop-alice-renamed")!;
  held.set("shop-alice-renamed", { ...renamed, fork: { ...renamed.fork, id: "another" } });
  is((await failure(switchEnvironment(one.engine, "alice"))).code, "NOT_FOUND");
});

for (const name of ["shop-alice", "shop-bucket-alice"]) {
  Deno.test(`"${name}" that is gone stops switch, new and doctor, which name the command that mends it`, async () => {
    await using one = await withAlice();
    one.vendor.held.delete(name);
    const rows = await one.engine.registry.resources("alice");
    for (
      const command of [switchEnvironment(one.engine, "alice"), createEnvironment(unasked(one.engine), "alice", {})]
    ) {
      const error = await failure(command);
      is(error.code, "NOT_FOUND");
      match(error.message, new RegExp(`environment "alice": its \\w+ "${name}" is gone: fake has none$`));
      match(error.hint!, /^`forkstack new alice --yes` forks it again from dev, and keeps the rest$/);
    }
    is(pointer(one), "", "no directory is pointed to what is not whole");
    equal(await one.engine.registry.resources("alice"), rows, "what was not mended stays on record");
    const [finding, ...more] = await examine(one.engine);
    equal(more, []);
    is(finding!.severity, "error");
    match(finding!.problem, /^gone: fake "shop-.*alice" no longer exists$/);
    match(finding!.fix, /^`forkstack new alice --yes`/);
  });
}

Deno.test("new forks again what is gone once it was said, and leaves the rest as it is", async () => {
  await using one = await withAlice();
  one.vendor.parents.set("shop", "the parent's by now");
  one.vendor.held.get("shop-bucket-alice")!.data = "alice's own";
  const [database, storage] = await one.engine.registry.resources("alice");
  one.vendor.held.delete("shop-alice");
  const result = await createEnvironment(one.engine, "alice", {});
  is(result.environment.status, "ready");
  const [again, same] = await one.engine.registry.resources("alice");
  ok(again!.id !== database!.id);
  equal(same, storage);
  is(one.vendor.held.get("shop-bucket-alice")!.data, "alice's own");
  ok(!one.vendor.calls.some((call) => call.startsWith("delete")), "nothing is deleted");
  is(pointer(one), "alice");
  equal(await examine(one.engine), []);
});

Deno.test("new that fails to fork again what is gone leaves the rest, and the next one mends it", async () => {
  await using one = await withAlice();
  one.vendor.held.delete("shop-alice");
  one.vendor.fail = (call) => {
    if (call.startsWith("create")) throw new ForkstackError("PLAN_LIMIT", "Cannot make it: the plan is full");
  };
  is((await failure(createEnvironment(one.engine, "alice", {}))).code, "PLAN_LIMIT");
  equal([...one.vendor.held.keys()], ["shop-bucket-alice"]);
  is((await one.engine.registry.environment("alice"))!.status, "ready");
  equal((await examine(one.engine)).map(({ problem, fix }) => [problem.split(":")[0], fix]), [
    ["missing", "`forkstack new alice` adds it"],
  ]);
  one.vendor.fail = () => {};
  await createEnvironment(one.engine, "alice", {});
  equal(await examine(one.engine), []);
});

Deno.test("what is gone of a protected environment, or with its parent, is told with what comes first", async () => {
  await using one = await bench({ config: { protected: ["staging"] } });
  await createEnvironment(one.engine, "staging", { switch: false });
  await createEnvironment(one.engine, "child", { switch: false, from: "staging" });
  one.vendor.held.delete("shop-staging");
  match(
    (await failure(switchEnvironment(one.engine, "staging"))).hint!,
    /^take it out of "protected" .*new staging --yes/,
  );
  is((await failure(createEnvironment(one.engine, "staging", {}))).code, "ENV_PROTECTED");
  match((await failure(createEnvironment(one.engine, "grandchild", { from: "staging" }))).message, /has none/);
  one.vendor.held.delete("shop-child");
  const engine = {
    ...one.engine,
    project: { ...one.engine.project, config: { ...one.engine.project.config, protected: [] } },
  };
  const { deleteEnvironment } = await import("../../../core/lifecycle/delete.ts");
  await deleteEnvironment(engine, "staging");
  match(
    (await failure(switchEnvironment(engine, "child"))).hint!,
    /^`forkstack delete child`: its parent "staging" is gone/,
  );
});

Deno.test("what is another's by now stops switch and new, whoever says yes", async () => {
  for (
    const changed of [{ stack: "other" }, { env: "bob" }, { registry: "fedcba9876543210" }] as const
  ) {
    await using one = await withAlice();
    const { fork } = one.vendor.held.get("shop-alice")!;
    one.vendor.put({ ...fork, marker: { ...fork.marker, ...changed } }, "theirs");
    for (const command of [switchEnvironment(one.engine, "alice"), createEnvironment(one.engine, "alice", {})]) {
      is((await failure(command)).code, "FOREIGN", JSON.stringify(changed));
    }
    is(pointer(one), "");
    is(one.vendor.held.get("shop-alice")!.data, "theirs");
  }
});

const UNANSWERED: Readonly<Record<string, () => Promise<never>>> = {
  "never answers": () => new Promise(() => {}),
  "is not reached": () => Promise.reject(new ForkstackError("PROVIDER_UNAVAILABLE", "no route", { retryable: true })),
  "wants a credential": () => Promise.reject(new ForkstackError("CREDENTIALS_MISSING", "TOKEN is not set")),
  "breaks": () => Promise.reject(new TypeError("undefined is not a function")),
};

for (const [how, inspect] of Object.entries(UNANSWERED)) {
  Deno.test(`a vendor that ${how} is a warning in switch, an error in new, and hides nothing of the others`, async () => {
    const vendor = new Vendor();
    await using one = await withAlice({ vendor });
    const [first, ...others] = one.engine.resources;
    const silent = { ...first!, provider: { ...first!.provider, inspect } };
    const provider: Engine["world"]["provider"] = (kind) =>
      Promise.resolve(kind === first!.kind ? silent.provider : others[0]!.provider);
    const engine = hasty({
      ...one.engine,
      resources: [silent, ...others],
      world: { ...one.engine.world, provider },
    });
    const result = await switchEnvironment(engine, "alice");
    is(pointer(one), "alice");
    equal(result.resources.map(({ key, state }) => [key, state]), [["database", "unknown"], ["storage", "ready"]]);
    equal(one.warnings.length, 1, one.warnings.join("\n"));
    match(one.warnings[0]!, /^Not looked at: database "shop-alice": ./);
    const rows = await engine.registry.resources("alice");
    match(
      (await failure(createEnvironment(engine, "alice", {}))).message,
      /^Cannot look at environment "alice": database: ./,
    );
    equal(await engine.registry.resources("alice"), rows);
    is((await engine.registry.environment("alice"))!.status, "ready");
    vendor.held.delete("shop-bucket-alice");
    is((await failure(switchEnvironment(engine, "alice"))).code, "NOT_FOUND", "what is gone is told all the same");
  });
}

Deno.test("data that is not what it should be stops a switch", async () => {
  for (const code of ["ANSWER_INVALID", "STATE_DAMAGED", "REGISTRY_DAMAGED"] as const) {
    const inspect = () => Promise.reject(new ForkstackError(code, "Cannot use an answer"));
    await using one = await withAlice();
    const provider: Engine["world"]["provider"] = (kind) =>
      Promise.resolve(fakeProvider(one.vendor, kind, { inspect }));
    const engine = { ...one.engine, world: { ...one.engine.world, provider } };
    is((await failure(switchEnvironment(engine, "alice"))).code, code);
    is(pointer(one), "");
  }
});

Deno.test("a base environment is asked each time; without an answer the variables of the last time are kept, told", async () => {
  await using one = await bench();
  await switchEnvironment(one.engine, "dev");
  const file = join(one.root, ".forkstack", "envs", "dev.env");
  const before = readFileSync(file, "utf8");
  await switchEnvironment(one.engine, "dev");
  ok(readFileSync(file, "utf8") !== before, "what is minted is asked anew");
  const kept = readFileSync(file, "utf8");
  const changed = { inspect: UNANSWERED["never answers"]! };
  const resources = one.engine.resources.map((of) => ({ ...of, provider: fakeProvider(one.vendor, of.kind, changed) }));
  const engine = hasty({ ...one.engine, resources });
  const result = await switchEnvironment(engine, "dev");
  is(readFileSync(file, "utf8"), kept);
  is(result.environment.name, "dev");
  match(one.warnings.at(-1)!, /^Not looked at: dev: .*Its variables are those of the last time$/);
  await failure(switchEnvironment({
    ...engine,
    resources: resources.map((of) => ({
      ...of,
      provider: fakeProvider(one.vendor, of.kind, { inspect: UNANSWERED["is not reached"]! }),
    })),
  }, "prod"));
});

Deno.test("kinds that forkstack.json gained since are told by doctor and switch, and new adds them", async () => {
  const vendor = new Vendor();
  await using one = await withAlice({ vendor });
  const local = { key: "local", kind: "local", provider: fakeProvider(vendor, "local"), options: {} } as const;
  const engine = {
    ...one.engine,
    project: { ...one.engine.project, config: { ...one.engine.project.config, local: { provider: "fake" } } },
    resources: [...one.engine.resources, local],
    world: {
      ...one.engine.world,
      provider:
        ((kind, name) =>
          kind === "local" ? Promise.resolve(local.provider) : one.engine.world.provider(kind, name)) as Engine[
            "world"
          ][
            "provider"
          ],
    },
  };
  const [finding] = await examine(engine);
  equal([finding!.severity, finding!.environment, finding!.resource], ["error", "alice", "local"]);
  match(finding!.problem, /^missing: forkstack.json declares it/);
  is(finding!.fix, "`forkstack new alice` adds it");
  await switchEnvironment(engine, "alice");
  match(one.warnings[0]!, /"alice" has no local yet: `forkstack new alice`/);
  await createEnvironment(engine, "alice", {});
  equal(await examine(engine), []);
});
