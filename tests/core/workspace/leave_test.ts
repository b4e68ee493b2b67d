/** A directory whose environment goes away is left without a pointer: nothing takes its place, and nothing stops it. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, renameSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createEnvironment, planEnvironment } from "../../../core/lifecycle/create.ts";
import { deleteEnvironment } from "../../../core/lifecycle/delete.ts";
import { examine } from "../../../core/lifecycle/doctor.ts";
import type { Engine } from "../../../core/engine/engine.ts";
import { blockVariables } from "../../../core/workspace/env_block.ts";
import { files } from "../../../core/system/files.ts";
import { pointsTo } from "../../../core/workspace/leave.ts";
import { switchEnvironment } from "../../../core/lifecycle/switch.ts";
import { openStack } from "../../../mod.ts";
import { type Bench, bench, failure, write } from "../_engine.ts";
import { statements } from "../../../core/state/statements.ts";

const at = (one: Bench, name: string) => join(one.root, name);
const read = (one: Bench, name: string) =>
  existsSync(at(one, name)) ? readFileSync(at(one, name), "latin1") : undefined;
const pointers = (one: Bench) => [read(one, ".current-env"), read(one, ".env.local")];

async function make(engine: Engine, env: string, from?: string): Promise<void> {
  const options = from === undefined ? {} : { from };
  await planEnvironment(engine, env, options);
  await createEnvironment(engine, env, options);
}

/** The engine with what it warns of. */
function listening(engine: Engine): { engine: Engine; warnings: string[] } {
  const warnings: string[] = [];
  return { engine: { ...engine, world: { ...engine.world, warn: (text) => void warnings.push(text) } }, warnings };
}

Deno.test("delete() of the current environment asks nothing of its parent, whatever became of that", async () => {
  for (const gone of ["no credentials", "deleted", "base"]) {
    await using one = await bench({ config: { parent: "prod" } });
    await make(one.engine, "parent");
    await make(one.engine, "alice", gone === "base" ? undefined : "parent");
    if (gone === "deleted") await deleteEnvironment(one.engine, "parent");
    one.vendor.calls.length = 0;
    one.vendor.fail = (call) => {
      if (!/^\w+ shop-(bucket-)?alice$/.test(call) || /^outputs/.test(call)) throw new Error(`asked: ${call}`);
    };
    const result = await deleteEnvironment(one.engine, "alice");
    assert.equal(result.left, true, gone);
    assert.deepEqual(pointers(one), [undefined, undefined], gone);
    assert.deepEqual(one.vendor.calls.filter((call) => !call.includes("alice")), [], gone);
    assert.equal(openStack({ cwd: one.root, read: () => undefined }).env, "dev");
  }
});

Deno.test("leaving takes the block alone: every other byte and the mode stay, and a file that was ours goes", async () => {
  const persons = ["MINE=1", "\xEF\xBB\xBF# \xE9\r\nMINE='1'\r\n", "\n", "\xEF\xBB\xBF", "export A=1 # mine\n\n"];
  for (const text of persons) {
    await using one = await bench();
    writeFileSync(at(one, ".env.local"), text, "latin1");
    await make(one.engine, "alice");
    writeFileSync(at(one, ".current-env"), "\uFEFFalice \r\n"); // as an editor on Windows saves it
    await deleteEnvironment(one.engine, "alice");
    assert.deepEqual(pointers(one), [undefined, text]);
    assert.equal(statSync(at(one, ".env.local")).mode & 0o777, 0o600);
  }
  await using old = await bench();
  await make(old.engine, "alice");
  const quoted = read(old, ".forkstack/envs/alice.env")!.replace(/=(.*)$/gm, "='$1'"); // as 0.1.0 wrote all values
  writeFileSync(at(old, ".env.local"), `${quoted}# yours, kept\nMINE='1'\n`);
  await deleteEnvironment(old.engine, "alice");
  assert.deepEqual(pointers(old), [undefined, "MINE='1'\n"], "a file of 0.1.0");
});

Deno.test("the block with CRLF, as an editor saved it, goes whole", async () => {
  await using one = await bench();
  await make(one.engine, "alice");
  const crlf = `A=1\n${read(one, ".env.local")}B=2\n`.replaceAll("\n", "\r\n");
  writeFileSync(at(one, ".env.local"), crlf);
  await deleteEnvironment(one.engine, "alice");
  assert.deepEqual(pointers(one), [undefined, "A=1\r\nB=2\r\n"]);
});

Deno.test("damaged markers, a link, a directory: told, and the environment and its pointer go", async () => {
  const spoils: Readonly<Record<string, [spoil: (one: Bench) => void, told: RegExp]>> = {
    markers: [
      (one) => writeFileSync(at(one, ".env.local"), `${read(one, ".env.local")}# <<< forkstack\n`),
      /\.env\.local".*marker/,
    ],
    link: [
      (one) => {
        renameSync(at(one, ".env.local"), at(one, "other"));
        symlinkSync("other", at(one, ".env.local"));
      },
      /not a regular file/,
    ],
    directory: [
      (one) => {
        renameSync(at(one, ".env.local"), at(one, "other"));
        mkdirSync(at(one, ".env.local"));
      },
      /not a regular file/,
    ],
  };
  for (const [what, [spoil, told]] of Object.entries(spoils)) {
    await using one = await bench();
    await make(one.engine, "alice");
    spoil(one);
    const before = read(one, what === "markers" ? ".env.local" : "other");
    const { engine, warnings } = listening(one.engine);
    assert.equal((await deleteEnvironment(engine, "alice")).left, true, what);
    assert.equal(warnings.length, 1, warnings.join("\n"));
    assert.match(warnings[0], told);
    assert.equal(read(one, what === "markers" ? ".env.local" : "other"), before, what);
    assert.equal(existsSync(at(one, ".current-env")), false, what);
    assert.equal(await one.engine.registry.environment("alice"), undefined, what);
  }
});

Deno.test("a disk that refuses to change the two files stops no deletion, and each is told once", async () => {
  await using one = await bench();
  await make(one.engine, "alice");
  const refuse = (path: string) => {
    if (/\.(current-env|env\.local)$/.test(path)) throw Object.assign(new Error("EROFS"), { code: "EROFS" });
  };
  const on: typeof files = {
    ...files,
    // deno-lint-ignore require-await -- what it throws is a rejection
    replace: async (from, to) => (refuse(from), files.replace(from, to)),
    // deno-lint-ignore require-await
    swap: async (from, to, expected) => (refuse(to), files.swap(from, to, expected)),
  };
  const { engine, warnings } = listening({ ...one.engine, world: { ...one.engine.world, files: on } });
  await deleteEnvironment(engine, "alice");
  assert.equal(warnings.length, 2, warnings.join("\n"));
  for (const name of [".env.local", ".current-env"]) {
    assert(warnings.some((text) => text.includes(name) && text.includes("read-only")), name);
  }
});

Deno.test("killed between the two files, delete() goes on from there, whichever of them is left", async () => {
  for (const left of [".current-env", ".env.local"]) {
    await using one = await bench();
    writeFileSync(at(one, ".env.local"), "MINE=1\n");
    await make(one.engine, "alice");
    await write(
      one.engine,
      "alice",
      statements.putEnvironment({
        ...(await one.engine.registry.environment("alice"))!,
        status: "deleting",
      }),
    );
    if (left === ".env.local") await files.remove(at(one, ".current-env"));
    else writeFileSync(at(one, ".env.local"), "MINE=1\n");
    assert.equal(await pointsTo(one.engine, "alice"), true, left);
    assert.equal((await deleteEnvironment(one.engine, "alice")).left, true, left);
    assert.deepEqual(pointers(one), [undefined, "MINE=1\n"], left);
  }
});

Deno.test("a directory that is on another environment stays on it, and a stale block of the deleted one goes", async () => {
  await using one = await bench();
  await make(one.engine, "bob");
  await make(one.engine, "alice");
  const stale = read(one, ".env.local")!;
  await switchEnvironment(one.engine, "bob");
  const block = read(one, ".env.local")!;
  writeFileSync(at(one, ".env.local"), stale);
  assert.equal((await deleteEnvironment(one.engine, "alice")).left, undefined);
  assert.deepEqual(pointers(one), ["bob\n", block]);
});

Deno.test("a switch to another environment at the same moment wins, and its files agree", async () => {
  for (const moment of [".env.local", ".current-env"]) {
    await using one = await bench();
    await make(one.engine, "bob");
    await make(one.engine, "alice");
    let isDone = false;
    const race = async (path: string) => {
      if (isDone || !path.endsWith(moment)) return;
      isDone = true;
      await switchEnvironment(one.engine, "bob");
    };
    const on: typeof files = {
      ...files,
      swap: async (from, to, expected) => (await race(to), await files.swap(from, to, expected)),
      replace: async (from, to) => (await race(from), await files.replace(from, to)),
    };
    await deleteEnvironment({ ...one.engine, world: { ...one.engine.world, files: on } }, "alice");
    assert(isDone, moment);
    assert.equal(read(one, ".current-env"), "bob\n", moment);
    assert.equal(blockVariables(read(one, ".env.local") ?? "").FORKSTACK_ENV, "bob", moment);
  }
});

Deno.test("a failed new() of the environment that the directory is on leaves no pointer; of another, the one that was", async () => {
  await using one = await bench();
  await make(one.engine, "bob");
  const before = pointers(one);
  one.vendor.fail = (call) => {
    if (call === "create shop-bucket-alice") throw new Error("refused");
  };
  assert.doesNotMatch((await failure(make(one.engine, "alice"))).hint!, /This directory/);
  assert.deepEqual(pointers(one), before);
  writeFileSync(at(one, ".current-env"), "alice\n"); // as after a deletion on another machine
  writeFileSync(at(one, ".env.local"), read(one, ".env.local")!.replaceAll("bob", "alice"));
  const { hint } = await failure(make(one.engine, "alice"));
  assert.match(hint!, /This directory is now on dev$/);
  assert.deepEqual(pointers(one), [undefined, undefined]);
});

Deno.test("a delete() that a vendor stops has left the directory, and says so", async () => {
  await using one = await bench();
  await make(one.engine, "alice");
  one.vendor.fail = (call) => {
    if (call === "delete shop-alice") throw new Error("refused");
  };
  assert.match((await failure(deleteEnvironment(one.engine, "alice"))).hint!, /again\. This directory is now on dev$/);
  assert.deepEqual(pointers(one), [undefined, undefined]);
});

Deno.test("doctor --fix removes a pointer to nobody, and points to nothing else", async () => {
  await using one = await bench({ config: { parent: "prod" } });
  await make(one.engine, "alice");
  await write(one.engine, "alice", statements.dropEnvironment("alice"));
  writeFileSync(at(one, ".env.local"), `${read(one, ".env.local")}MINE=1\n`);
  const finding = (await examine(one.engine)).find(({ problem }) => problem.startsWith("current by"))!;
  assert.match(finding.fix, /`forkstack doctor --fix`: it removes the pointer/);
  assert.equal(finding.effect, "this directory will be on dev");
  one.vendor.calls.length = 0;
  await finding.mend!();
  assert.deepEqual([pointers(one), one.vendor.calls], [[undefined, "MINE=1\n"], []]);
});
