/** A registry that came along with a copy of its project, and one that was moved. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { createEnvironment } from "../../../core/lifecycle/create.ts";
import { deleteEnvironment } from "../../../core/lifecycle/delete.ts";
import { examineOthers } from "../../../core/lifecycle/examine_others.ts";
import type { Engine } from "../../../core/engine/engine.ts";
import { openRegistry } from "../../../core/state/open_registry.ts";
import type { Registry } from "../../../core/state/registry.ts";
import { resetEnvironment } from "../../../core/lifecycle/reset.ts";
import { type Bench, bench, failure, write } from "../_engine.ts";
import { statements } from "../../../core/state/statements.ts";

const opened: Registry[] = [];

/** The engine of another directory, which works with the same vendor. */
async function at(made: Bench, root: string, access: "work" | "look" = "work"): Promise<Engine> {
  const project = { ...made.engine.project, root, stateRoot: root };
  const registry = await openRegistry(project, "empty", access);
  opened.push(registry);
  return { ...made.engine, project, registry };
}

async function inBench(options: Parameters<typeof bench>[0], work: (made: Bench, above: string) => Promise<void>) {
  await using made = await bench(options);
  try {
    await work(made, join(made.root, ".."));
  } finally {
    for (const one of opened.splice(0)) one.close();
  }
}

const copy = (from: string, to: string) => void execFileSync("cp", ["-a", from, to]);

Deno.test("a copy neither deletes nor resets what its original made at a vendor, and says where that stands", async () => {
  await inBench({}, async (made, above) => {
    await createEnvironment(made.engine, "alice", {});
    copy(made.root, join(above, "copy"));
    copy(join(above, "copy"), join(above, "twice"));
    const held = [...made.vendor.held.keys()].sort();
    assert.equal((await made.engine.registry.checkouts()).length, 1);
    for (const name of ["copy", "twice"]) {
      for (const access of ["look", "work", "work", "look"] as const) {
        const engine = await at(made, join(above, name), access);
        for (const work of [deleteEnvironment, resetEnvironment]) {
          const error = await failure(work(engine, "alice"));
          assert.equal(error.code, "FOREIGN");
          assert.match(error.message, /is a copy of ".*\/(shop|copy)", which made it/);
          assert.match(error.hint!, /Run the command in ".*"; /);
        }
        assert.deepEqual(await engine.registry.checkouts(), [], "the original's are not on the copy's environment");
        const findings = await examineOthers(engine, await engine.registry.environments());
        assert.ok(findings.some(({ problem }) => /this directory is a copy of ".*\/shop"/.test(problem)));
      }
    }
    assert.deepEqual([...made.vendor.held.keys()].sort(), held);
    await deleteEnvironment(made.engine, "alice");
    assert.equal(made.vendor.held.size, 0, "the original may");
  });
});

Deno.test("a copy deletes what it made itself, and undoes its own failed new", async () => {
  await inBench({}, async (made, above) => {
    await createEnvironment(made.engine, "alice", {});
    copy(made.root, join(above, "copy"));
    const engine = await at(made, join(above, "copy"));
    await createEnvironment(engine, "bob", {});
    await deleteEnvironment(engine, "bob");
    made.vendor.fail = (call) => {
      if (call === "create shop-carol") throw new Error("no more room");
    };
    const error = await failure(createEnvironment(engine, "carol", {}));
    assert.match(error.hint!, /nothing was left behind/);
    assert.equal((await failure(deleteEnvironment(engine, "alice"))).code, "FOREIGN");
    copy(join(above, "copy"), join(above, "twice"));
    await createEnvironment(engine, "dora", {});
    const twice = await at(made, join(above, "twice"));
    rmSync(join(made.root, ".forkstack"), { recursive: true });
    const second = await at(made, join(above, "twice"));
    assert.match((await failure(deleteEnvironment(second, "alice"))).message, /a copy of ".*\/copy"/);
    assert.ok(twice.registry.originals.length > second.registry.originals.length);
  });
});

Deno.test("a copy deletes and resets what lives in its own directory", async () => {
  await inBench({}, async (made, above) => {
    for (const resource of made.engine.resources) {
      Object.assign(resource.provider, { capabilities: { ...resource.provider.capabilities, embedded: true } });
    }
    await createEnvironment(made.engine, "alice", {});
    copy(made.root, join(above, "copy"));
    const engine = await at(made, join(above, "copy"));
    await resetEnvironment(engine, "alice");
    await deleteEnvironment(engine, "alice");
    assert.ok(await made.engine.registry.environment("alice"), "the original's registry knows nothing of it");
  });
});

Deno.test("a moved directory simply works, and so does a copy once its original is gone, or was another's", async () => {
  const gone: Readonly<Record<string, (root: string) => void>> = {
    moved: (root) => renameSync(root, `${root}.elsewhere`),
    "without state": (root) => rmSync(join(root, ".forkstack"), { recursive: true }),
    "begun anew": (root) => writeFileSync(join(root, ".forkstack", "registry-id"), "0123456789abcdef\n"),
    "a directory in the place of its registry": (root) => {
      rmSync(join(root, ".forkstack", "registry.db"));
      mkdirSync(join(root, ".forkstack", "registry.db"));
    },
  };
  for (const [what, end] of Object.entries(gone)) {
    for (const isSeen of [false, true]) {
      await inBench({}, async (made, above) => {
        await createEnvironment(made.engine, "alice", {});
        copy(made.root, join(above, "copy"));
        if (isSeen) await at(made, join(above, "copy"));
        end(made.root);
        const engine = await at(made, join(above, "copy"));
        await deleteEnvironment(engine, "alice");
        assert.equal(made.vendor.held.size, 0, what);
        assert.deepEqual((await at(made, join(above, "copy"))).registry.originals, []);
      });
    }
  }
});

Deno.test("what no forkstack wrote about homes is REGISTRY_DAMAGED", async () => {
  const hostile: readonly [key: string, value: string][] = [
    ["home", "relative"],
    ["home", "/a/../etc"],
    ["home", `/${"x".repeat(5_000)}`],
    ["home", "/a\u001b[2J"],
    ["original:etc", "1"],
    ["original:/srv/shop", "-1"],
    ["original:/srv/shop", "1e9"],
  ];
  for (const [key, value] of hostile) {
    await inBench({}, async (made, above) => {
      await createEnvironment(made.engine, "alice", {});
      copy(made.root, join(above, "copy"));
      {
        using database = new DatabaseSync(join(above, "copy", ".forkstack", "registry.db"));
        database.prepare("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)").run(key, value);
      }
      for (const access of ["look", "work"] as const) {
        assert.equal(
          (await failure(at(made, join(above, "copy"), access))).code,
          "REGISTRY_DAMAGED",
          `${key} ${value}`,
        );
      }
    });
  }
});

Deno.test("an unfinished removal that was copied is not finished from the copy", async () => {
  await inBench({}, async (made, above) => {
    await createEnvironment(made.engine, "alice", {});
    const environment = (await made.engine.registry.environment("alice"))!;
    await write(made.engine, "alice", statements.putEnvironment({ ...environment, status: "deleting" }));
    copy(made.root, join(above, "copy"));
    const engine = await at(made, join(above, "copy"));
    const held = made.vendor.held.size;
    await failure(createEnvironment(engine, "alice", {}));
    assert.equal(made.vendor.held.size, held);
  });
});
