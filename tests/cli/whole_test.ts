/**
 * Whole or not at all: whatever breaks while an environment is made, nothing of it stays, the message says what failed
 * and what was undone, and a plain second run succeeds.
 */
import assert from "node:assert/strict";
import { mkdir, open, rm, truncate, writeFile } from "node:fs/promises";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { loadResources, openProject } from "../../core/project/open_project.ts";
import { createEnvironment, planEnvironment } from "../../core/lifecycle/create.ts";
import { deleteEnvironment } from "../../core/lifecycle/delete.ts";
import type { Engine, World } from "../../core/engine/engine.ts";
import { type Files, files } from "../../core/system/files.ts";
import { openRegistry } from "../../core/state/open_registry.ts";
import { recordedOptions } from "../../core/project/schema.ts";
import { describe } from "../../core/lifecycle/describe.ts";
import { switchEnvironment } from "../../core/lifecycle/switch.ts";
import { isForkstackError } from "../../mod.ts";
import { CATALOG, PROVIDERS } from "../../providers/mod.ts";
import { type Fault, FAULTS, faultsOf, watched } from "../faults.ts";
import { sized } from "../sizes.ts";
import { Place, run, runCommand, SCAFFOLD } from "./run.ts";
import { errorText, exitCodeOf, jsonDocument } from "../../core/cli/errors.ts";

const PLAIN = { command: "forkstack ", color: false };

/** What an engine needs besides its files. */
function worldOf(on: Files): World {
  return {
    fetch: () => Promise.reject(new TypeError("an embedded stack asks nobody")),
    files: on,
    now: () => new Date(),
    monotonicMs: () => performance.now(),
    sleep: (ms) => new Promise((resolve) => setTimeout(resolve, Math.min(ms, 5))),
    read: () => undefined,
    newId: () => crypto.randomUUID(),
    warn: () => {},
    progress: () => {},
    confirm: () => Promise.resolve(),
    secrets: [],
    recordedOptions: (...given) => Promise.resolve(recordedOptions(...given)),
    provider: async (kind, name) => (await PROVIDERS[kind]?.[name]?.())?.default,
  };
}

/** A project whose `dev` holds something of every kind, with an engine whose files can be exchanged. */
async function engineOf(place: Place): Promise<(on?: Files) => Engine> {
  await fillDev(place, 20);
  const project = await openProject(place.root, { init: false, catalog: CATALOG });
  const resources = (await loadResources(project, { catalog: CATALOG, reach: "nothing" })).resources;
  const registry = await openRegistry(project, "create");
  return (on = files) => ({
    project,
    registry,
    resources,
    world: worldOf(on),
    owner: "tester@host",
    signal: new AbortController().signal,
  });
}

async function fillDev(place: Place, rows: number): Promise<void> {
  await mkdir(place.path(".forkstack/sqlite"), { recursive: true });
  const database = new DatabaseSync(place.path(".forkstack/sqlite/shop-dev.db"));
  database.exec("PRAGMA journal_mode = WAL; CREATE TABLE track (id INTEGER PRIMARY KEY, name TEXT NOT NULL)");
  const insert = database.prepare("INSERT INTO track (name) VALUES (?)");
  for (let n = 0; n < rows; n++) insert.run(`track ${n} ${"x".repeat(1_000)}`);
  database.close();
  await place.write(".forkstack/buckets/shop-bucket-dev/covers/1.jpg", "jpg".repeat(rows * 100));
  await place.write(".forkstack/secrets/dev.env", "API_KEY='dev'\n");
  await place.write("shop.dev.db/graph.bin", "bin".repeat(rows * 100));
}

async function make(engine: Engine, env: string): Promise<void> {
  await planEnvironment(engine, env, {});
  await createEnvironment(engine, env, {});
}

async function failureOf(work: Promise<unknown>): Promise<Error | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    assert(error instanceof Error);
    return error;
  }
}

async function assertWhole(engine: Engine, env: string): Promise<void> {
  const { environment, resources } = await describe(engine, env, 0);
  assert.deepEqual([environment.status, environment.current], ["ready", true]);
  assert.deepEqual(resources.map(({ state }) => state), ["ready", "ready", "ready", "ready"]);
  for (const resource of engine.resources) {
    const row = resources.find(({ key }) => key === resource.key)!;
    const scope = { options: {}, project: "shop", stack: "shop", resource: row.key, root: engine.project.stateRoot };
    const context = { files } as unknown as Parameters<typeof resource.provider.probe>[0];
    await resource.provider.probe(context, { id: row.id!, name: row.title }, scope);
  }
}

const CLEAN_FAULTS = FAULTS.filter(({ channel, isCrash }) => channel === "files" && !isCrash);
const CRASHES = FAULTS.filter(({ channel, isCrash }) => channel !== "fetch" && isCrash);

/** Few of the faults are worth the time at calls that change nothing. */
const ON_READS = ["EACCES"];

/** At each so many calls a run is broken, at others by another fault: at every call at full size. */
const STEP = sized({ gate: 3, full: 1 });

async function atEveryCall(faults: readonly Fault[], check: (of: Broken) => Promise<void>): Promise<number> {
  await using place = await Place.make(null);
  // Hundreds of runs, each with dozens of writes that wait for the disk: where it can be, in memory.
  const mounted = await runCommand(place.above, ["mount", "-t", "tmpfs", "tmpfs", place.root]).catch(() => undefined);
  await place.write("forkstack.json", '{"project": "shop"}');
  const engine = await engineOf(place);
  let failed = 0;
  try {
    await make(engine(), "alice"); // so that .current-env and .env.local hold something to lose
    const before = await place.digest(SCAFFOLD);
    const usual = watched({ fetch: engine().world.fetch, files });
    await make(engine(usual.files), "bob");
    await backToAlice(engine(), place);
    for (const fault of faults) {
      let isPast = false;
      for (let at = faults.indexOf(fault) % STEP; !isPast; at += STEP) {
        if (usual.calls[at]?.isChange === false && !ON_READS.includes(fault.name)) continue;
        const broken = watched({ fetch: engine().world.fetch, files }, { at, fault });
        const what = () => `${fault.name} at call ${at}, ${broken.calls[at]?.what}`;
        const error = await failureOf(make(engine(broken.files), "bob"));
        isPast = broken.calls.length <= at;
        const struck = !isPast && (fault.isCrash || faultsOf(broken.calls[at]).includes(fault));
        if (!struck) assert.equal(error, undefined, what());
        if (error !== undefined) failed++;
        await check({ engine, place, before, error, what });
        await backToAlice(engine(), place);
        assert.equal(await place.digest(SCAFFOLD), before, `${what()}: delete left something`);
      }
    }
  } finally {
    engine().registry.close();
    if (mounted?.code === 0) await runCommand(place.above, ["umount", place.root]);
  }
  return failed;
}

async function backToAlice(engine: Engine, place: Place): Promise<void> {
  await deleteEnvironment(engine, "bob");
  await switchEnvironment(engine, "alice");
  await rm(place.path(".forkstack/envs/dev.env"), { force: true }); // where deleting bob led to
}

interface Broken {
  readonly engine: (on?: Files) => Engine;
  readonly place: Place;
  readonly before: string;
  readonly error: Error | undefined;
  readonly what: () => string;
}

Deno.test("a file operation that fails, whichever, leaves nothing behind, and the next run succeeds", async () => {
  const failed = await atEveryCall(CLEAN_FAULTS, async ({ engine, place, before, error, what }) => {
    const plain = engine();
    const isMade = (await plain.registry.environment("bob"))?.status === "ready";
    if (error !== undefined && !(isMade && what().endsWith("files.read"))) { // read to say what was made
      assert.equal(await plain.registry.environment("bob"), undefined, what());
      assert.deepEqual(await plain.registry.resources("bob"), [], what());
      assert.equal(await plain.registry.lock("bob"), undefined, what());
      assert.equal(await place.digest(SCAFFOLD), before, `${what()}: ${errorText(error, PLAIN)}`);
      if (isForkstackError(error)) {
        assert.match(
          error.message,
          /database|storage|secrets|local|\.env|\.current-env|environment "bob"|the files of/,
          what(),
        );
        assert.match(
          error.hint ?? "",
          /((Undone: [a-z, ]+|Nothing was created); nothing was left behind|Nothing was created)$/,
          what(),
        );
      } else assert.match(error.message, /broken on purpose/, what());
      assert.match(errorText(error, PLAIN), /broken on purpose|disk is full|denied/, what());
    }
    await make(plain, "bob");
    await assertWhole(plain, "bob");
  });
  assert(failed > 60 / STEP, `only ${failed} runs failed`);
});

Deno.test("a run that dies at any file operation is finished by the next", async () => {
  const failed = await atEveryCall(CRASHES, async ({ engine, place, what }) => {
    const plain = engine();
    const pointers = async () => [await place.read(".current-env"), (await place.read(".env.local"))?.split("\n")[2]];
    const [current, local] = await pointers();
    assert(["alice\n", "bob\n"].includes(current!), what());
    assert(["FORKSTACK_ENV=alice", "FORKSTACK_ENV=bob"].includes(local!), what());
    await make(plain, "bob");
    await assertWhole(plain, "bob");
    assert.deepEqual(await pointers(), ["bob\n", "FORKSTACK_ENV=bob"]);
    const left = (await place.digest(SCAFFOLD)).split("\n").filter((line) => /\.forkstack-[0-9a-f]{8}/.test(line));
    assert.deepEqual(left, [], `${what()}: the next run sweeps what the dead one left`);
  });
  assert(failed > 40 / STEP, `only ${failed} runs died`);
});

/** The real files, but for some operations on some paths. */
function broken(rules: Partial<Record<keyof Files, readonly [path: RegExp, code: string][]>>): Files {
  const all = Object.entries(files).map(([name, operation]) => [
    name,
    (...args: string[]) => {
      const paths = args.filter((arg) => typeof arg === "string");
      const rule = rules[name as keyof Files]?.find(([path]) => paths.some((one) => path.test(one)));
      if (rule !== undefined) return Promise.reject(Object.assign(new Error(`${rule[1]}: broken`), { code: rule[1] }));
      return (operation as (...args: string[]) => Promise<unknown>).apply(files, args);
    },
  ]);
  return Object.fromEntries(all) as Files;
}

Deno.test("when several resources fail at once, each is named with its reason", async () => {
  await using place = await Place.make();
  const engine = await engineOf(place);
  try {
    const before = await place.digest(SCAFFOLD);
    const bad = broken({ copy: [[/shop-dev\.db/, "ENOSPC"], [/shop-bucket-dev/, "EACCES"]] });
    const error = await failureOf(make(engine(bad), "bob"));
    assert(isForkstackError(error));
    assert.match(error.message, /^Cannot create environment "bob": .*: the disk is full/);
    assert.match(error.message, /storage "shop-bucket-bob": permission denied/);
    assert.match(error.hint!, /Undone: .*; nothing was left behind$/);
    for (const key of ["local", "secrets"]) assert(error.hint!.includes(key), "what had been made is named as undone");
    assert.equal(await place.digest(SCAFFOLD), before);
    const document = JSON.parse(jsonDocument("new", {}, error, PLAIN));
    assert.deepEqual([document.ok, document.error.message], [false, error.message]);
  } finally {
    engine().registry.close();
  }
});

Deno.test("an undo that fails too is told, seen as broken, and finished by delete or by new", async () => {
  for (const finish of ["delete", "new"]) {
    await using place = await Place.make();
    const engine = await engineOf(place);
    const before = await place.digest(SCAFFOLD);
    try {
      const bad = broken({ copy: [[/shop-dev\.db/, "ENOSPC"]], remove: [[/bucket-bob|shop\.bob\.db/, "EIO"]] });
      const error = await failureOf(make(engine(bad), "bob"));
      assert(isForkstackError(error));
      assert.deepEqual([error.code, await exitCodeOf(error)], ["UNDO_INCOMPLETE", 7]);
      assert.match(error.message, /disk is full.*Undoing failed: for (local|storage) .*, (local|storage) /);
      assert.match(error.hint!, /`forkstack delete bob`.*`forkstack new bob`/);
      assert.equal(await place.read(".current-env"), undefined);
    } finally {
      engine().registry.close();
    }
    const { stdout } = await place.ok("status", "bob");
    assert.match(stdout, /^bob {2}broken\n/);
    assert.match(stdout, /\n {2}(local|storage) /);
    assert.equal((await place.json("list")).data.environments[0].status, "broken");
    const refused = await place.run("switch", "bob");
    assert.deepEqual([refused.code, /it is broken/.test(refused.stderr)], [5, true]);
    if (finish === "new") {
      await place.ok("new", "bob");
      assert.equal((await place.json("status", "bob")).data.environment.status, "ready");
      await place.ok("switch", "dev");
    }
    await place.ok("delete", "bob", "--yes");
    const written = /^(\.current-env|\.env\.local|\.gitignore|\.forkstack\/envs\/dev\.env) /;
    assert.equal(await place.digest(new RegExp(`${SCAFFOLD.source}|${written.source}`)), before);
  }
});

Deno.test("when putting the files back fails too, the message names the file", async () => {
  await using place = await Place.make();
  const engine = await engineOf(place);
  try {
    await make(engine(), "alice");
    const refusal = Object.assign(new Error("EROFS: broken"), { code: "EROFS" });
    let swaps = 0;
    const swap: Files["swap"] = async (...args) =>
      ++swaps === 1 ? await files.swap(...args) : await Promise.reject(refusal);
    const bad = { ...broken({ replace: [[/\.current-env$/, "EIO"]] }), swap };
    const error = await failureOf(make(engine(bad), "bob"));
    assert(isForkstackError(error));
    assert.equal(error.code, "UNDO_INCOMPLETE");
    assert.match(error.message, /Undoing failed: ".*\.env\.local" cannot be restored \(the file system is read-only\)/);
    await make(engine(), "bob");
    await assertWhole(engine(), "bob");
  } finally {
    engine().registry.close();
  }
});

Deno.test("a resource added later that fails leaves the environment as it was", async () => {
  await using place = await Place.make();
  await fillDev(place, 2);
  await place.ok("new", "alice");
  await place.write(
    "forkstack.json",
    JSON.stringify({
      project: "shop",
      database: { provider: "sqlite" },
      storage: { provider: "local" },
      secrets: { provider: "env-file" },
      local: { graph: { provider: "directory" } },
    }),
  );
  await place.write("shop.graph.dev.db", "a file where a directory must be");
  const before = await place.digest(SCAFFOLD);
  const { stderr, code } = await place.run("new", "alice");
  assert.equal(code, 5, stderr);
  assert.match(stderr, /local\.graph: local ".*shop\.graph\.dev\.db": it is a file/);
  assert.match(stderr, /nothing was left behind/);
  assert.equal(await place.digest(SCAFFOLD), before);
  assert.equal((await place.json("status", "alice")).data.environment.status, "ready");
});

// ------------------------------------------------------------------------------------------------------- a full disk

/** A file system of its own, mounted from a file. */
class SmallDisk implements AsyncDisposable {
  readonly place: Place;

  constructor(place: Place) {
    this.place = place;
  }

  static async mount(megabytes: number): Promise<SmallDisk> {
    const place = await Place.make(null);
    const image = `${place.above}/image`;
    try {
      await writeFile(image, "");
      await truncate(image, megabytes * 2 ** 20);
      for (
        const command of [
          // Blocks of a page: SQLite's shared memory asks the disk for room by one byte of each page.
          ["mkfs.ext4", "-q", "-b", "4096", "-m", "0", "-O", "^has_journal", image],
          ["mount", "-o", "loop", image, place.root],
        ]
      ) {
        const { code, stderr } = await runCommand(place.above, command);
        if (code !== 0) throw new Error(`${command[0]}: ${stderr.trim()}`);
      }
    } catch (error) {
      await place[Symbol.asyncDispose]();
      throw error;
    }
    return new SmallDisk(place);
  }

  /** Leaves that many bytes free. */
  async fill(leave: number): Promise<void> {
    const file = await open(this.place.path("filler"), "w");
    const [block, small] = [new Uint8Array(2 ** 16).fill(1), new Uint8Array(1024).fill(1)];
    let size = 0;
    try {
      for (const piece of [block, small]) {
        for (;;) size += (await file.write(piece)).bytesWritten;
      }
    } catch (error) {
      if ((error as { code?: string }).code !== "ENOSPC") throw error;
    }
    try {
      for (;;) size += (await file.write(small)).bytesWritten;
    } catch { /* now it is full */ }
    await file.truncate(Math.max(0, size - leave));
    await file.sync();
    await file.close();
  }

  async free(): Promise<void> {
    await rm(this.place.path("filler"), { force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await runCommand(this.place.above, ["umount", this.place.root]);
    await this.place[Symbol.asyncDispose]();
  }
}

const whyNoMount = await (async () => {
  try {
    await (await SmallDisk.mount(4))[Symbol.asyncDispose]();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
})();

Deno.test({
  name: `a full disk leaves nothing behind${
    whyNoMount ? ` (skipped: no file system can be mounted: ${whyNoMount})` : ""
  }`,
  ignore: whyNoMount !== undefined && !process.env.FORKSTACK_TEST_FULL,
  async fn() {
    await using small = await SmallDisk.mount(6);
    const { place } = small;
    await place.write("forkstack.json", '{"project": "shop"}');
    await fillDev(place, 300); // about 500 KiB
    const keep = /^(filler|lost\+found\/?|forkstack\.json|.*shop-dev\.db-(wal|shm)) /; // the last are SQLite's own
    const except = new RegExp(`${SCAFFOLD.source}|${keep.source}`);
    const before = await place.digest(except);
    let [failed, level] = [0, 0];
    for (let leave = 0; leave < 2 ** 20; leave += leave < 160 * 1024 ? 8 * 1024 : 96 * 1024) {
      await small.fill(leave);
      const { code, stderr } = await run(place.root, ["new", "alice"]);
      level = leave;
      if (code === 0) break;
      failed++;
      assert.match(stderr, /disk is full|disk I\/O error/, `${leave} bytes free: ${stderr}`);
      assert.match(stderr, /hint: (Free some space|Check the disk: it may be full)/, `${leave} bytes free: ${stderr}`);
      assert.doesNotMatch(stderr, /This should not happen/, `${leave} bytes free`);
      await small.free();
      assert.equal(await place.digest(except), before, `${leave} bytes free: ${stderr}`);
      assert.deepEqual((await place.json("list")).data, { environments: [] }, `${leave} bytes free: ${stderr}`);
    }
    await small.free();
    assert(failed > 10 && level > 200 * 1024, `${failed} runs failed, the last with less than ${level} bytes free`);
    await place.ok("new", "alice");
    const { data } = await place.json("status", "alice");
    assert.equal(data.environment.status, "ready");
    await place.ok("delete", "alice", "--yes");
  },
});
