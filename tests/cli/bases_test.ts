/** `bases` of what is on this machine: paths of dev's and prod's data that was there before forkstack. */
import assert from "node:assert/strict";
import { mkdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseEnv } from "node:util";
import { openStack } from "../../mod.ts";
import { Place, run } from "./run.ts";

const IGNORED = ".env.local\n.forkstack\n.current-env\n*.db\n";

/** Makes a database with one row. */
async function database(path: string, note: string): Promise<void> {
  await mkdir(join(path, ".."), { recursive: true });
  using made = new DatabaseSync(path);
  made.exec("CREATE TABLE notes (text TEXT)");
  made.prepare("INSERT INTO notes VALUES (?)").run(note);
}

function notes(path: string): unknown[] {
  using opened = new DatabaseSync(path, { readOnly: true });
  return opened.prepare("SELECT text FROM notes ORDER BY rowid").all().map(({ text }) => text);
}

async function variables(directory: string): Promise<Record<string, string | undefined>> {
  return parseEnv(await readFile(join(directory, ".env.local"), "utf8"));
}

/** Opens the stack as an app in a directory does, on the environment of its variables, else on its own. */
const appIn = (cwd: string, env?: string) =>
  openStack({ cwd, read: (name) => name === "FORKSTACK_ENV" ? env : undefined });

const ofDev = (path: string) => ({ database: { provider: "sqlite", bases: { dev: path } } });

Deno.test("a Prisma project forks ./prisma/dev.db as it lies there: new, switch, reset, status, run, doctor, delete", async () => {
  await using place = await Place.make(ofDev("./prisma/dev.db"));
  const dev = place.path("prisma", "dev.db");
  await database(dev, "of dev");
  const before = await readFile(dev);
  await place.ok("new", "alice");
  const alice = fileURLToPath((await variables(place.root)).DATABASE_URL!);
  assert.equal(alice, place.path(".forkstack", "sqlite", "shop-alice.db"));
  {
    using theirs = new DatabaseSync(alice);
    theirs.exec("INSERT INTO notes VALUES ('of alice')");
  }
  assert.deepEqual([notes(dev), notes(alice)], [["of dev"], ["of dev", "of alice"]]);
  await place.ok("reset", "alice", "--yes");
  assert.deepEqual(notes(alice), ["of dev"]);

  await place.ok("switch", "dev");
  const url = pathToFileURL(dev).href;
  assert.equal((await variables(place.root)).DATABASE_URL, url);
  assert.equal(appIn(place.root).of("database", "DATABASE_URL"), url);
  const { resources } = (await place.json("status", "dev")).data;
  assert.deepEqual(resources.map(({ title }: { title: string }) => title), ["./prisma/dev.db"]);
  assert.deepEqual((await place.json("list")).data.environments.map(({ name }: { name: string }) => name), ["alice"]);
  assert.deepEqual((await place.json("doctor")).data.findings, []);

  // A value of the process that is dev's own path is not alice's.
  const loaded: Record<string, string> = { FORKSTACK_ENV: "alice", DATABASE_URL: url };
  const asAlice = openStack({ cwd: place.root, read: (name) => loaded[name] });
  assert.throws(() => asAlice.of("database", "DATABASE_URL"), { code: "ENV_CONFLICT" });

  await place.ok("delete", "alice", "--yes");
  await rm(place.path(".forkstack"), { recursive: true });
  assert.deepEqual(await readFile(dev), before, "the base is as it was");
});

Deno.test("a directory is the base of a bucket, one of a directory's and a file of the secrets'; prod has one of its own", async () => {
  await using place = await Place.make({
    storage: { uploads: { provider: "local", bases: { dev: "public/uploads", prod: "./public/live" } } },
    secrets: { provider: "env-file", bases: { dev: ".secrets.env" } },
    local: { provider: "directory", bases: { dev: "./data" } },
  });
  for (const name of ["public/uploads/a.txt", "data/x/y"]) await place.write(name, "of dev");
  await place.write("public/live/a.txt", "of prod");
  await place.write(".secrets.env", "API_KEY=of-dev\n");
  await place.ok("new", "alice");
  const alice = await variables(place.root);
  assert.equal(alice.UPLOADS_BUCKET_NAME, "shop-uploads-bucket-alice");
  assert.equal(await readFile(join(alice.UPLOADS_BUCKET_PATH!, "a.txt"), "utf8"), "of dev");
  assert.equal(await readFile(join(alice.LOCAL_PATH!, "x", "y"), "utf8"), "of dev");
  assert.equal(await appIn(place.root).secret("API_KEY"), "of-dev");
  await place.ok("switch", "dev");
  const app = appIn(place.root);
  assert.equal(app.localPath(), place.path("data"));
  assert.deepEqual([app.storage("uploads").bucket, app.storage("uploads").path], [
    "shop-uploads-bucket-dev",
    place.path("public", "uploads"),
  ]);
  assert.equal(appIn(place.root, "prod").storage("uploads").path, place.path("public", "live"));
  await place.ok("delete", "alice", "--yes");
  assert.equal(await place.read("public/uploads/a.txt"), "of dev");
});

for (
  const [path, target] of [
    ["../other/project.db", "other/project.db"],
    ["./inside/../../other/project.db", "other/project.db"],
    ["{above}/other/project.db", "other/project.db"],
    ["./link.db", "other/project.db"],
    ["linked/project.db", "other/project.db"],
    ["./nowhere.db", "other/later.db"],
  ] as const
) {
  Deno.test(`without trust, bases.dev ${path} that leads out of the project is no environment's`, async () => {
    await using place = await Place.make();
    const other = join(place.above, "other");
    await database(join(other, "project.db"), "of another project");
    await symlink(join(other, "project.db"), place.path("link.db"));
    await symlink(other, place.path("linked"));
    await symlink(join(other, "later.db"), place.path("nowhere.db"));
    await place.ok("new", "bob"); // of an empty stack, without any question
    await place.ok("switch", "dev");
    await place.write(
      "forkstack.json",
      JSON.stringify({ project: "shop", ...ofDev(path.replace("{above}", place.above)) }),
    );
    const earlier = await place.read(".env.local");
    for (
      const args of [["new", "alice"], ["switch", "dev"], ["reset", "bob", "--yes"], ["run", "dev", "--", "env"]]
    ) {
      const { code, stderr, stdout } = await run(place.root, args);
      assert.equal(code, 2, args.join(" ") + stdout + stderr);
      assert(stderr.includes(`outside the project: "${join(place.above, target)}"`), stderr);
      assert(stderr.includes("FORKSTACK_TRUST="), stderr);
    }
    assert.equal(await place.read(".env.local"), earlier);
    assert.deepEqual((await place.json("list")).code, 0);
    await place.trust();
    await place.ok("switch", "dev");
    if (path === "./nowhere.db") return; // there is none to fork
    await place.ok("new", "alice", "--no-switch");
    assert.deepEqual(notes(place.path(".forkstack", "sqlite", "shop-alice.db")), ["of another project"]);
    await place.ok("delete", "alice", "--yes");
    assert.deepEqual(notes(join(other, "project.db")), ["of another project"]);
  });
}

Deno.test("a link that leads elsewhere since it was trusted is asked for again", async () => {
  await using place = await Place.make(ofDev("./link.db"));
  for (const name of ["one.db", "two.db"]) await database(join(place.above, name), name);
  await symlink(join(place.above, "one.db"), place.path("link.db"));
  await place.trust();
  await place.ok("switch", "dev");
  await rm(place.path("link.db"));
  await symlink(join(place.above, "two.db"), place.path("link.db"));
  assert.equal((await place.json("new", "alice")).error.code, "NOT_TRUSTED");
});

Deno.test("in a linked worktree a relative path starts at the main worktree's forkstack.json", async () => {
  await using place = await Place.make(ofDev("dev.db"));
  await place.write(".gitignore", IGNORED);
  await place.git("init", "-q");
  await place.git("add", "-A");
  await place.git("commit", "-qm", "one");
  const linked = join(place.above, "linked");
  await place.git("worktree", "add", "-q", linked);
  await database(place.path("dev.db"), "of the main worktree");
  for (const args of [["new", "bob"], ["switch", "dev"]]) {
    const { code, stderr } = await run(linked, args);
    assert.equal(code, 0, stderr);
  }
  assert.deepEqual(notes(place.path(".forkstack", "sqlite", "shop-bob.db")), ["of the main worktree"]);
  const url = pathToFileURL(place.path("dev.db")).href;
  assert.equal((await variables(linked)).DATABASE_URL, url);
  assert.equal(appIn(linked, "dev").of("database", "DATABASE_URL"), url);
  await rm(place.path("forkstack.json")); // the linked one has its own
  assert.equal(appIn(linked, "dev").of("database", "DATABASE_URL"), url);
});

Deno.test("a base that is not there is told, and nothing is made of it; --empty needs none", async () => {
  await using place = await Place.make(ofDev("./dve.db"));
  const { error } = await place.json("new", "alice");
  assert.equal(error.code, "NOT_FOUND");
  await place.ok("new", "alice", "--empty");
});

for (
  const [what, path, code] of [
    ["a fork's own place", "shop.alice.db", "FOREIGN"],
    ["a link to a fork", "./link", "FOREIGN"],
    ["a directory that the forks would lie in", "..", "PARENT_UNUSABLE"],
  ] as const
) {
  Deno.test(`a base at ${what} is ${code}`, async () => {
    await using place = await Place.make({ local: { provider: "directory" } });
    await place.ok("new", "alice");
    await place.write("shop.alice.db/x", "of alice");
    await symlink(place.path("shop.alice.db"), place.path("link"));
    const bases = { dev: path };
    await place.write("forkstack.json", JSON.stringify({ project: "shop", local: { provider: "directory", bases } }));
    if (path === "..") await place.trust();
    const { error } = await place.json("new", "bob");
    assert.equal(error.code, code, error.message);
    assert.equal(await place.read("shop.bob.db/x"), undefined);
    if (code === "FOREIGN") assert.equal((await place.json("switch", "dev")).error.code, code);
    assert.equal(await place.read("shop.alice.db/x"), "of alice");
  });
}

for (
  const [entry, says] of [
    [{ provider: "sqlite", bases: { dev: "~/x.db" } }, /"database.bases.dev" must be a path like/],
    [{ provider: "sqlite", bases: { dev: "file:./x.db" } }, /must be a path like/],
    [{ provider: "sqlite", bases: { dev: ".forkstack/sqlite/shop-alice.db" } }, /must be a path like/],
    [{ provider: "sqlite", bases: { dev: 1 } }, /"database.bases.dev"/],
    [{ provider: "sqlite", bases: { dev: "x.db", prod: "./x.db" } }, /gives dev and prod the same database/],
    [{ provider: "turso", organization: "o", bases: { prod: "shop-dev" } }, /gives dev and prod the same database/],
    [{ provider: "turso", organization: "o", bases: { prod: "../shop" } }, /"database.bases.prod" must be a name/],
    [
      { provider: "turso", organization: "o", bases: { alice: "shop" } },
      /"database.bases.alice" .* keys of "bases" are "prod" and "dev"/,
    ],
    [{ provider: "turso", organization: "o", bases: "shop" }, /"database.bases" must be Object/],
  ] as const
) {
  Deno.test(`forkstack.json with ${JSON.stringify(entry.bases)} of ${entry.provider} is refused`, async () => {
    await using place = await Place.make({ database: entry });
    const { error } = await place.json("switch", "dev");
    assert.equal(error.code, "CONFIG_INVALID");
    assert.match(error.message, says);
  });
}

Deno.test("the form of 0.1.0, by the cache's name, is told with what to write", async () => {
  await using place = await Place.make({ cache: { provider: "valkey", bases: { "shop-dev": 1 } } });
  const { error } = await place.json("new", "alice");
  assert.equal(error.code, "CONFIG_INVALID");
  assert(error.message.includes('"cache.bases.shop-dev"') && error.message.includes('{"dev":1}'), error.message);
  await writeFile(
    place.path("forkstack.json"),
    JSON.stringify({ project: "shop", queue: { provider: "bullmq", bases: { shop: "bull" } } }),
  );
  assert((await place.json("new", "alice")).error.message.includes('{"prod":"bull"}'));
});
