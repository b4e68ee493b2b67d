import { deepStrictEqual as equal, match, strictEqual as is } from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createEnvironment } from "../../../core/lifecycle/create.ts";
import { examine } from "../../../core/lifecycle/doctor.ts";
import { rebuild } from "../../../core/lifecycle/rebuild.ts";
import type { Engine } from "../../../core/engine/engine.ts";
import { removeVariables } from "../../../core/workspace/env_files.ts";
import { ForkstackError, type Kind } from "../../../mod.ts";
import { type Bench, bench, write } from "../_engine.ts";
import { statements } from "../../../core/state/statements.ts";
import type { Finding } from "../../../core/lifecycle/finding.ts";

async function withAlice(): Promise<Bench> {
  const made = await bench();
  await createEnvironment(made.engine, "alice", {});
  return made;
}

/** Findings in few words: how bad, where, the beginning of what, and `mends` if `--fix` would. */
function told(findings: readonly Finding[]): string[] {
  return findings.map(({ severity, environment, resource, problem, mend }) =>
    [severity, environment, resource, problem.split(/[:,]/)[0], mend && "mends"].filter(Boolean).join(" ")
  );
}

async function fix(engine: Engine): Promise<void> {
  for (const { mend } of await examine(engine)) await mend?.();
}

Deno.test("examine() finds nothing where all is well, and changes nothing", async () => {
  await using one = await withAlice();
  const before = one.vendor.held.size;
  equal(told(await examine(one.engine)), []);
  is(one.vendor.held.size, before);
});

Deno.test("examine() finds what is unfinished, with the command that finishes it; --fix finishes removals only", async () => {
  await using one = await withAlice();
  const alice = (await one.engine.registry.environment("alice"))!;
  for (
    const [status, command, mends] of [
      ["creating", "new", false],
      ["deleting", "delete", true],
      ["undoing", "delete", true],
      ["resetting", "reset", false],
    ] as const
  ) {
    await write(one.engine, "alice", statements.putEnvironment({ ...alice, status }));
    const [finding] = await examine(one.engine);
    is(finding.severity, "error");
    match(finding.problem, /^unfinished: (creating|deleting|broken)/);
    is(finding.fix, `\`forkstack ${command} alice\``);
    is(finding.mend !== undefined, mends, status);
  }
  await write(one.engine, "alice", statements.putEnvironment({ ...alice, status: "deleting" }));
  await fix(one.engine);
  equal(one.vendor.held.size, 0);
  equal(await one.engine.registry.environments(), []);
});

Deno.test("examine() finds what is gone, another's or pending, and mends none of it by itself", async () => {
  await using one = await withAlice();
  const { held } = one.vendor;
  const mine = held.get("shop-alice")!;
  held.delete("shop-alice");
  held.get("shop-bucket-alice")!.state = "pending";
  equal(told(await examine(one.engine)), ["error alice database gone", "error alice storage drifted"]);
  one.vendor.put({ ...mine.fork, id: "other", marker: { ...mine.fork.marker, stack: "another" } }, "theirs");
  const [database] = await examine(one.engine);
  match(database.problem, /"shop-alice" is foreign: it is of stack "another"/);
  match(database.fix, /`forkstack delete alice`, then `forkstack new alice`/);
  await fix(one.engine);
  is(held.get("shop-alice")!.data, "theirs");
});

Deno.test("examine() finds expired leases, missing files and a pointer to nobody", async () => {
  await using one = await bench();
  await createEnvironment(one.engine, "alice", { expiresAt: new Date(one.nowMs).toISOString(), switch: false });
  await createEnvironment(one.engine, "bob", {});
  await removeVariables(one.engine, "alice");
  await write(one.engine, "bob", statements.dropEnvironment("bob"));
  const findings = await examine(one.engine);
  equal(told(findings).filter((line) => !line.includes("orphaned")), [
    "error bob current by .current-env mends",
    "warning alice expired at 2026-05-01T12",
    "info alice this machine has no file of its variables",
  ]);
  equal(findings.filter(({ environment }) => environment === "alice").map(({ fix }) => fix), [
    "`forkstack prune`",
    "`forkstack switch alice`",
  ]);
  await fix(one.engine);
  const after = told(await examine(one.engine));
  equal(after, ["warning alice expired at 2026-05-01T12", "info alice this machine has no file of its variables"]);
});

Deno.test("--fix removes orphans of runs that the journal knows, and nothing that is unmarked, another's or unknown", async () => {
  await using one = await withAlice();
  const { vendor, engine } = one;
  const rows = await engine.registry.resources("alice");
  await write(
    engine,
    "alice",
    ...rows.map(({ key }) => statements.dropResource("alice", key)),
    statements.dropEnvironment("alice"),
  );
  vendor.parents.set("shop-look-alike", "unmarked");
  const marker = { stack: "shop", env: "carol", resource: "database", operation: "unknown-run" };
  vendor.put({ name: "shop-carol", marker }, "of a registry that was lost");
  vendor.put({ name: "other-x", marker: { ...marker, stack: "other" } }, "of another stack");
  const found = told(await examine(engine)).filter((line) => !line.includes("current by"));
  equal(found, [
    "error alice database orphaned mends",
    "error alice storage orphaned mends",
    "warning carol database unknown",
  ]);
  await fix(engine);
  equal([...vendor.held.keys()], ["shop-carol", "other-x"]);
  is(vendor.parents.get("shop-look-alike"), "unmarked");
  equal(told(await examine(engine)), ["warning carol database unknown"]);
});

Deno.test("--fix finishes the removal of an orphan that an earlier one had begun", async () => {
  await using one = await withAlice();
  const [database] = await one.engine.registry.resources("alice");
  await write(
    one.engine,
    "alice",
    statements.putResource({ ...database, state: "deleting" }), // as a mend leaves it that is killed
    statements.dropResource("alice", "storage"),
    statements.dropEnvironment("alice"),
  );
  await fix(one.engine);
  equal(one.vendor.held.size, 0);
  equal(await one.engine.registry.resources("alice"), []);
});

Deno.test("a second fork of a run that has a home is removed, its home's is not", async () => {
  await using one = await withAlice();
  const { marker } = one.vendor.held.get("shop-alice")!.fork;
  const second = { ...marker, operation: "an-earlier-run", name: "shop-alice-2" };
  await write(
    one.engine,
    "alice",
    statements.journal({
      ...{ operation: "an-earlier-run", env: "alice", resource: "database", step: "create", phase: "intent" },
      at: new Date(one.nowMs).toISOString(),
    }),
  );
  one.vendor.put({ name: "shop-alice-2", marker: second }, "left by it");
  equal(told(await examine(one.engine)), ["error alice database orphaned mends"]);
  await fix(one.engine);
  equal([...one.vendor.held.keys()].sort(), ["shop-alice", "shop-bucket-alice"]);
});

Deno.test("a protected environment is never mended by --fix: what is left of it is told, with what comes first", async () => {
  await using one = await bench();
  await createEnvironment(one.engine, "staging", { switch: false });
  const engine = {
    ...one.engine,
    project: { ...one.engine.project, config: { project: "shop", protected: ["staging"] } },
  };
  const staging = (await engine.registry.environment("staging"))!;
  const held = [...one.vendor.held.keys()];
  for (const status of ["deleting", "undoing", "creating", "resetting"] as const) { // a row alone says nothing
    await write(engine, "staging", statements.putEnvironment({ ...staging, status }));
    await fix(engine);
    equal([...one.vendor.held.keys()], held, status);
    const findings = await examine(engine);
    equal(told(findings), [`error staging unfinished`], status);
    if (status === "deleting" || status === "undoing") {
      match(findings[0]!.fix, /^take it out of "protected" in forkstack.json, then `forkstack delete staging`/);
    }
  }
  const rows = await engine.registry.resources("staging");
  await write(
    engine,
    "staging",
    ...rows.map(({ key }) => statements.dropResource("staging", key)),
    statements.dropEnvironment("staging"),
  );
  equal(told(await examine(engine)), ["error staging database orphaned", "error staging storage orphaned"]);
  await fix(engine);
  equal([...one.vendor.held.keys()], held, "orphans of it, too");
  await fix(one.engine); // whose forkstack.json no longer protects it
  equal(one.vendor.held.size, 0);
});

Deno.test("rebuild() finds environments, parents and completeness again, and leaves the known alone", async () => {
  await using one = await withAlice();
  await createEnvironment(one.engine, "bob", { from: "alice", switch: false });
  await createEnvironment(one.engine, "half", { switch: false });
  one.vendor.held.delete("shop-bucket-half");
  const marker = { stack: "other", env: "eve", resource: "database", operation: "x" };
  one.vendor.put({ name: "other-eve", marker }, "of another stack");
  const before = await Promise.all(["alice", "bob"].map((env) => one.engine.registry.resources(env)));

  const engine = await one.lostRegistry();
  equal((await rebuild(engine)).map(({ resources }) => resources.length), [2, 2, 1]);
  const environments = await engine.registry.environments();
  equal(environments.map(({ name, parent, status }) => [name, parent, status]), [
    ["alice", "dev", "ready"],
    ["bob", "alice", "ready"],
    ["half", "dev", "creating"],
  ]);
  const after = await Promise.all(["alice", "bob"].map((env) => engine.registry.resources(env)));
  equal(after.map((rows) => rows.map(({ id }) => id)), before.map((rows) => rows.map(({ id }) => id)));
  equal(await rebuild(engine), [], "what is known stays as it is");
  await createEnvironment(engine, "half", { switch: false });
  is((await engine.registry.environment("half"))!.status, "ready");
  equal(told(await examine(engine)), []);
});

Deno.test("examine() tells which provider could not be asked, and all that the others say", async () => {
  await using one = await withAlice();
  const [first, ...others] = one.engine.resources;
  const silent = () => Promise.reject(new ForkstackError("PROVIDER_UNAVAILABLE", "no answer", { hint: "try later" }));
  const broken = { ...first, provider: { ...first.provider, inspect: silent } };
  const provider = (kind: string, name: string) =>
    kind === first.kind ? Promise.resolve(broken.provider) : one.engine.world.provider(kind as Kind, name);
  const engine = { ...one.engine, resources: [broken, ...others], world: { ...one.engine.world, provider } };
  const findings = await examine(engine);
  equal(told(findings), [`error alice ${first.key} not examined`]);
  is(findings[0].fix, "try later");
});

Deno.test("examine() finds a block of another environment than the pointer's, and a block without a pointer", async () => {
  await using one = await withAlice();
  await createEnvironment(one.engine, "bob", {});
  const pointer = join(one.root, ".current-env");
  equal(told(await examine(one.engine)), []);
  writeFileSync(pointer, "alice\n");
  equal(told(await examine(one.engine)), ["warning alice two answers"]);
  rmSync(pointer);
  const [doubt, ...rest] = await examine(one.engine);
  equal([doubt.severity, rest], ["error", []]);
  match(doubt.problem, /^in doubt: .*\.env\.local has a block of "bob", and there is no \.current-env/);
  match(doubt.fix, /forkstack switch/);
});
