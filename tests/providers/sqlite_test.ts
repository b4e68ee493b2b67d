import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import * as fs from "node:fs";
import { once } from "node:events";
import { dirname, join, relative } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { files } from "../../core/system/files.ts";
import provider from "../../providers/database/sqlite.ts";
import { testProvider } from "../conformance.ts";
import { mountImage, realContext, run, temporaryDirectory, testIf, treeOf, whyNoMount } from "../helpers.ts";
import { dump, embeddedEmulator } from "./_embedded.ts";
import { hasCode, Place, type Seed, testCopyOnWrite, testEmbedded } from "./_special.ts";

const ROWS = 5;

function open(path: string): DatabaseSync & Disposable {
  const database = new DatabaseSync(path, { timeout: 5_000 });
  return Object.assign(database, { [Symbol.dispose]: () => database.close() });
}

/** A database with transactions 1 to `count` of five rows each, and a row that says how many rows there are. */
function seedRows(path: string, count: number, mode = "WAL"): void {
  using database = open(path);
  database.exec(`PRAGMA journal_mode = ${mode}; PRAGMA synchronous = OFF; BEGIN;
    CREATE TABLE rows (tx INTEGER, i INTEGER, text TEXT, PRIMARY KEY (tx, i)); CREATE TABLE total (count INTEGER)`);
  const insert = database.prepare("INSERT INTO rows VALUES (?, ?, ?)");
  for (let tx = 1; tx <= count; tx++) for (let i = 0; i < ROWS; i++) insert.run(tx, i, `${tx} `.repeat(40));
  database.exec(`INSERT INTO total VALUES (${count * ROWS}); COMMIT`);
}

const seed: Seed = (path, sizeBytes) => {
  using database = open(path);
  database.exec("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; CREATE TABLE blobs (data BLOB)");
  database.prepare("INSERT INTO blobs VALUES (zeroblob(?))").run(sizeBytes);
  database.exec("PRAGMA journal_mode = WAL"); // only now, so that it never takes twice its size
};

function lastOf(path: string): number {
  using database = open(path);
  return database.prepare("SELECT max(tx) AS last FROM rows").get()!.last as number;
}

/** Whole transactions only, without a gap; the number of the last. */
function assertSound(path: string): number {
  using database = open(path);
  assert.deepEqual(database.prepare("PRAGMA integrity_check").all().map((row) => row.integrity_check), ["ok"]);
  const one = (sql: string) => Object.values(database.prepare(sql).get()!)[0] as number;
  assert.equal(one(`SELECT count(*) FROM (SELECT 1 FROM rows GROUP BY tx HAVING count(*) <> ${ROWS})`), 0, "torn");
  assert.equal(one("SELECT count(*) FROM rows"), one("SELECT count FROM total"), "torn");
  assert.equal(one("SELECT count(*) FROM rows WHERE text = 'torn'"), 0, "uncommitted");
  assert.equal(one("SELECT count(DISTINCT tx) FROM rows"), one("SELECT max(tx) FROM rows"), "a gap");
  return one("SELECT max(tx) FROM rows");
}

/** Another process at a database, see _sqlite_child.ts; `await using` ends it when a test fails. */
class Child implements AsyncDisposable {
  readonly process: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #closed: Promise<unknown>;

  private constructor(args: string[]) {
    const script = fileURLToPath(new URL("./_sqlite_child.ts", import.meta.url));
    const runArgs = ["run", "--quiet", "--no-check", "--allow-read", "--allow-write", script, ...args];
    this.process = spawn(process.execPath, runArgs, { stdio: ["pipe", "pipe", "inherit"] });
    this.#closed = once(this.process, "close");
    this.#lines = createInterface({ input: this.process.stdout! })[Symbol.asyncIterator]();
  }

  static async start(...args: string[]): Promise<Child> {
    const child = new Child(args);
    assert.equal((await child.#lines.next()).value, "ready");
    return child;
  }

  /** Lets it end; the last line that it says. */
  async stop(): Promise<string | undefined> {
    this.process.stdin!.end();
    const { value } = await this.#lines.next();
    await this.#closed;
    assert.equal(this.process.exitCode, 0);
    return value;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.process.kill("SIGKILL");
    await this.#closed;
  }
}

function inPlace(name: string, fn: (place: Place) => Promise<void>): void {
  Deno.test(name, async () => {
    using directory = temporaryDirectory();
    await fn(new Place(provider, directory.path));
  });
}

testProvider({ provider, emulator: embeddedEmulator(provider) });
await testEmbedded(provider, seed);
await testCopyOnWrite(provider, seed);

for (const pages of [1000, 10]) {
  inPlace(`sqlite: 50 forks of a parent that is written to, checkpoint each ${pages} pages`, async (place) => {
    const parent = place.pathOf("dev");
    seedRows(parent, 4_000);
    await using writer = await Child.start("write", parent, String(pages));
    const began: number[] = [];
    for (let i = 0; i < 50; i++) {
      began.push(lastOf(parent));
      await place.create(`pr-${i}`);
    }
    const { committed, busy } = JSON.parse((await writer.stop())!);
    assert.equal(busy, 0, "the writer saw SQLITE_BUSY");
    assert(committed > began[0]! + 50, `the writer must have been at work, not from ${began[0]} to ${committed}`);
    for (const [i, last] of began.entries()) {
      const held = assertSound(place.pathOf(`pr-${i}`));
      assert(held >= last && held <= committed, `fork ${i} holds ${held}; ${last} were committed before it began`);
    }
    assert.equal(assertSound(parent), committed);
  });
}

inPlace("sqlite: a parent whose log a reader holds back is copied by the backup API", async (place) => {
  const parent = place.pathOf("dev");
  seedRows(parent, 1_000);
  await using reader = await Child.start("read", parent, "");
  await using writer = await Child.start("write", parent, "1000");
  while (lastOf(parent) <= 1_010) await new Promise((resolve) => setTimeout(resolve, 1));
  for (const env of ["one", "two", "three"]) {
    const last = lastOf(parent);
    const copy = () => assert.fail("it must not copy the file");
    const sleep = () => new Promise<void>((resolve) => setTimeout(resolve, 1));
    const fork = await place.create(env, realContext({ files: { ...files, copy }, sleep }));
    assert.equal(fork.copy, "full-copy");
    assert(assertSound(place.pathOf(env)) >= last);
  }
  assert.equal(JSON.parse((await writer.stop())!).busy, 0);
  await reader.stop();
});

/** Leaves a transaction in the log that no checkpoint may write back while the reader is there. */
function holdBack(parent: string): DatabaseSync & Disposable {
  const reader = open(parent);
  reader.exec("BEGIN");
  reader.prepare("SELECT count(*) FROM rows").get();
  using writer = open(parent);
  const next = lastOf(parent) + 1;
  writer.exec(`BEGIN; UPDATE total SET count = count + ${ROWS}`);
  for (let i = 0; i < ROWS; i++) writer.exec(`INSERT INTO rows VALUES (${next}, ${i}, 'held back')`);
  writer.exec("COMMIT");
  return reader;
}

inPlace("sqlite: a checkpoint that another process is at is not taken for one that is done", async (place) => {
  const parent = place.pathOf("dev");
  seedRows(parent, 100);
  using reader = holdBack(parent);
  await using _child = await Child.start("checkpoint", parent, "");
  {
    using other = open(parent);
    const checkpoint = other.prepare("PRAGMA wal_checkpoint(PASSIVE)");
    while (checkpoint.get()!.busy !== 1) await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await place.create("alice", realContext({ sleep: () => Promise.resolve() }));
  assert.equal(assertSound(place.pathOf("alice")), 101);
  reader.exec("ROLLBACK");
});

testIf(
  await whyNoMount("tmpfs", 1),
  "sqlite: a disk that is full for the backup API leaves nothing behind",
  async () => {
    await using mount = await mountImage("tmpfs", 1);
    const place = new Place(provider, mount.path);
    seedRows(place.pathOf("dev"), 800, "MEMORY");
    {
      using parent = open(place.pathOf("dev"));
      parent.exec("PRAGMA journal_mode = WAL"); // only now, so that it never takes twice its size
    }
    using _reader = holdBack(place.pathOf("dev"));
    const context = realContext({ sleep: () => Promise.resolve() });
    await assert.rejects(place.create("alice", context), hasCode("DISK_FULL"));
    await place.undo();
    assert.deepEqual(fs.readdirSync(join(place.pathOf("dev"), "..")).sort(), [
      "myapp-dev.db",
      "myapp-dev.db-shm",
      "myapp-dev.db-wal",
    ]);
  },
);

inPlace("sqlite: a parent in journal mode DELETE, written to", async (place) => {
  const parent = place.pathOf("dev");
  seedRows(parent, 4_000, "DELETE");
  await using writer = await Child.start("write", parent, "1000");
  for (let i = 0; i < 10; i++) {
    const last = lastOf(parent);
    await place.create(`pr-${i}`);
    assert(assertSound(place.pathOf(`pr-${i}`)) >= last);
  }
  const { committed } = JSON.parse((await writer.stop())!); // a reader's lock makes writers wait in this mode
  assert.equal(assertSound(parent), committed);
});

for (const mode of ["PERSIST", "TRUNCATE", "DELETE", "WAL"]) {
  inPlace(`sqlite: a parent under three hot writers, journal mode ${mode}`, async (place) => {
    const parent = place.pathOf("dev");
    seedRows(parent, 100, mode);
    const writers = await Promise.all([1, 2, 3].map(() => Child.start("hot", parent, mode)));
    await using stack = new AsyncDisposableStack();
    for (const writer of writers) stack.use(writer);
    const held: number[] = [];
    for (const env of ["one", "two", "three"]) {
      await place.create(env);
      held.push(assertSound(place.pathOf(env)));
    }
    const committed = (await Promise.all(writers.map((writer) => writer.stop()))).map((text) =>
      JSON.parse(text!).committed as number
    );
    assert(committed.some((count) => count > 0), "they must have been at work");
    assert.equal(assertSound(parent), 100 + committed.reduce((sum, count) => sum + count, 0));
    assert.deepEqual(held, held.toSorted((a, b) => a - b));
    assert(held[0]! >= 100 && held[2]! <= assertSound(parent));
  });
}

for (const [mode, suffix] of [["WAL", "-wal"], ["DELETE", "-journal"]] as const) {
  inPlace(`sqlite: a parent whose process was killed amid a transaction, journal mode ${mode}`, async (place) => {
    const parent = place.pathOf("dev");
    seedRows(parent, 100, mode);
    await using child = await Child.start("die", parent, "");
    await child[Symbol.asyncDispose]();
    assert(fs.statSync(parent + suffix).size > 0, "it must have left its log");
    await place.create();
    assert.equal(assertSound(place.pathOf("alice")), 110);
    assert.equal(assertSound(parent), 110);
  });
}

inPlace("sqlite: a parent that another process holds for itself is PARENT_BUSY", async (place) => {
  seedRows(place.pathOf("dev"), 10, "DELETE");
  await using holder = await Child.start("lock", place.pathOf("dev"), "");
  const context = realContext({ sleep: () => Promise.resolve() });
  await assert.rejects(place.create("alice", context), hasCode("PARENT_BUSY"));
  await holder.stop();
  await place.create();
  assert.equal(assertSound(place.pathOf("alice")), 10);
});

inPlace("sqlite: a parent that is not SQLite is PARENT_UNUSABLE, and stays as it is", async (place) => {
  fs.writeFileSync(place.pathOf("dev"), "this is no database, though it is as long as one may be\n".repeat(100));
  const earlier = treeOf(place.root);
  await assert.rejects(place.create(), hasCode("PARENT_UNUSABLE"));
  await place.undo();
  for (const [path, digest] of earlier) assert.equal(treeOf(place.root).get(path), digest);
  assert.deepEqual(fs.readdirSync(join(place.pathOf("dev"), "..")), ["myapp-dev.db"]);
});

inPlace("sqlite: an empty file is a parent that holds nothing", async (place) => {
  fs.writeFileSync(place.pathOf("dev"), "");
  const fork = await place.create();
  assert.equal(fork.copy, "empty");
  assert.equal(dump(place.pathOf("alice")), "[]");
});

inPlace("sqlite: a parent that was closed is not changed by a byte", async (place) => {
  for (const mode of ["WAL", "DELETE"]) {
    fs.rmSync(place.pathOf("dev"), { force: true });
    seedRows(place.pathOf("dev"), 100, mode);
    const earlier = fs.readFileSync(place.pathOf("dev"));
    await place.create(mode.toLowerCase());
    assert.deepEqual(fs.readFileSync(place.pathOf("dev")), earlier);
    assert.deepEqual(fs.readFileSync(place.pathOf(mode.toLowerCase())), earlier, "so is its fork");
  }
  const names = fs.readdirSync(join(place.pathOf("dev"), ".."));
  assert.deepEqual(names, ["myapp-delete.db", "myapp-dev.db", "myapp-wal.db"]);
});

inPlace("sqlite: a log that nobody marked is not played into a fork", async (place) => {
  seedRows(place.pathOf("dev"), 10);
  fs.writeFileSync(`${place.pathOf("alice")}-wal`, "of a database that was removed by hand");
  const earlier = treeOf(place.root);
  await assert.rejects(place.create(), hasCode("FOREIGN"));
  assert.deepEqual(treeOf(place.root), earlier);
});

inPlace("sqlite: a log that turns up while the fork is made is not played into it either", async (place) => {
  seedRows(place.pathOf("dev"), 10);
  const copy: typeof files.copy = async (from, to) => {
    fs.writeFileSync(`${place.pathOf("alice")}-wal`, "somebody else's");
    return await files.copy(from, to);
  };
  await assert.rejects(place.create("alice", realContext({ files: { ...files, copy } })), hasCode("FOREIGN"));
  await place.undo();
  assert(fs.existsSync(`${place.pathOf("alice")}-wal`), "it is not ours to delete");
  assert(!fs.existsSync(place.pathOf("alice")));
});

inPlace("sqlite: delete() takes the logs of a fork in use along", async (place) => {
  seedRows(place.pathOf("dev"), 10);
  const fork = await place.create();
  const application = open(place.pathOf("alice"));
  application.exec("INSERT INTO total VALUES (1)");
  assert(fs.existsSync(`${place.pathOf("alice")}-wal`));
  assert.equal(await place.delete(fork), "deleted");
  application.close();
  assert.deepEqual(fs.readdirSync(join(place.pathOf("dev"), "..")), ["myapp-dev.db"]);
});

Deno.test("sqlite: a fork under a path with spaces and signs opens in node:sqlite and @libsql/client", async () => {
  using directory = temporaryDirectory("forkstack test ünï#%41?'✓ ");
  const place = new Place(provider, directory.path);
  seedRows(place.pathOf("dev"), 10);
  const fork = await place.create();
  await provider.probe(realContext(), fork, place.scope);
  const { DATABASE_URL: url } = await provider.outputs(realContext(), fork, place.scope);
  {
    using database = open(fileURLToPath(url as string));
    assert.equal(database.prepare("SELECT count FROM total").get()!.count, 50);
  }
  const script = fileURLToPath(new URL("./_libsql_child.ts", import.meta.url));
  const { stdout } = await run(process.execPath, ["run", "-A", "-q", script, url as string, "SELECT count FROM total"]);
  assert.deepEqual(JSON.parse(stdout), { count: 50 });
  assert.deepEqual(fs.readdirSync(join(place.pathOf("dev"), "..")).filter((name) => name.endsWith(".db")), [
    "myapp-alice.db",
    "myapp-dev.db",
  ]);
});

Deno.test("sqlite: a parent or its log that is a link out of the project, or a pipe, is PARENT_UNUSABLE and never opened", async () => {
  using directory = temporaryDirectory();
  using beside = temporaryDirectory();
  const place = new Place(provider, directory.path);
  const parent = place.pathOf("dev");
  fs.mkdirSync(dirname(parent), { recursive: true });
  const secret = join(beside.path, "secret.db");
  seedRows(secret, 1);
  const earlier = treeOf(beside.path);
  const standing: Record<string, () => unknown> = {
    "a link to a database outside": () => fs.symlinkSync(secret, parent),
    "a relative link that leads out": () => fs.symlinkSync(relative(dirname(parent), secret), parent),
    "a link that leads nowhere": () => fs.symlinkSync("nowhere.db", parent),
    "a pipe": () => run("mkfifo", [parent]),
    "a log that is a link": () => (seedRows(parent, 1), fs.symlinkSync(secret, `${parent}-wal`)),
    "a journal that is a link": () => (seedRows(parent, 1), fs.symlinkSync(secret, `${parent}-journal`)),
  };
  for (const [what, put] of Object.entries(standing)) {
    await put();
    await assert.rejects(place.create(), hasCode("PARENT_UNUSABLE"), what);
    await place.undo();
    for (const suffix of ["", "-wal", "-shm", "-journal"]) fs.rmSync(parent + suffix, { force: true });
  }
  assert.deepEqual(treeOf(beside.path), earlier);
  seedRows(join(directory.path, "mine.db"), 3);
  fs.symlinkSync(join(directory.path, "mine.db"), parent); // within the project
  await place.create();
  assert.equal(assertSound(place.pathOf("alice")), 3);
  assert(fs.lstatSync(place.pathOf("alice")).isFile());
});
