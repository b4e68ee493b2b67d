/**
 * What a person does with environments from the first `new` to the last `delete`.
 */
import assert from "node:assert/strict";
import { readdir, rm } from "node:fs/promises";
import { DatabaseSync } from "node:sqlite";
import { parseEnv } from "node:util";
import { openStack } from "../../mod.ts";
import { Place, run, SCAFFOLD } from "./run.ts";

const values = async (place: Place) => parseEnv((await place.read(".env.local"))!) as Record<string, string>;

Deno.test("new without a name finds a readable one that is free", async () => {
  await using place = await Place.make();
  const names = new Set<string>();
  for (let n = 0; n < 3; n++) {
    const { data } = await place.json("new");
    assert.match(data.environment.name, /^[a-z]+-[a-z]+$/);
    assert.equal(await place.read(".current-env"), `${data.environment.name}\n`);
    names.add(data.environment.name);
  }
  assert.equal(names.size, 3);
});

Deno.test("the default stack leaves nothing in the root for each environment, until the app asks for its directory", async () => {
  await using place = await Place.make();
  const before = (await readdir(place.root)).length + 4; // .forkstack, .gitignore, .current-env, .env.local
  for (let n = 1; n <= 3; n++) await place.ok("new", `agent-${n}`);
  assert.equal((await readdir(place.root)).length, before, (await readdir(place.root)).join(" "));
  const used = (env: string) =>
    openStack({ cwd: place.root, read: (name) => name === "FORKSTACK_ENV" ? env : undefined });
  await place.write("shop.dev.db/graph.bin", "of dev");
  const path = used("agent-2").localPath();
  assert.deepEqual(await readdir(path), []);
  assert.equal(used("agent-2").localPath(), path, "once more");
  await place.ok("new", "agent-4", "--from", "agent-1");
  await place.ok("new", "agent-5");
  assert.deepEqual(await readdir(place.path("shop.agent-5.db")), ["graph.bin"], "a copy is there from the start");
  assert.equal((await place.json("doctor")).data.findings.length, 0);
  await place.ok("reset", "agent-4", "--yes");
  for (let n = 1; n <= 5; n++) await place.ok("delete", `agent-${n}`, "--yes");
  assert.deepEqual((await readdir(place.root)).filter((name) => name.endsWith(".db")), ["shop.dev.db"]);
});

Deno.test("new without a name takes the git branch's, and the same again when it is run again", async () => {
  await using place = await Place.make();
  await place.git("init", "-q", "-b", "feature/Login");
  for (const unchanged of [undefined, true]) {
    const { data } = await place.json("new");
    assert.deepEqual([data.environment.name, data.unchanged || undefined], ["feature-login", unchanged]);
  }
  const { error } = await place.json("new", "feature/Other");
  assert.deepEqual([error.code, error.hint], ["NAME_INVALID", 'Use "feature-other"']);
});

Deno.test("new of what is there is success and changes nothing", async () => {
  await using place = await Place.make();
  await place.ok("new", "alice");
  const before = await place.digest(/^\.forkstack\/registry\.db /); // it holds when the environment was last used
  const [{ resources }] = [(await place.json("status")).data];
  for (const more of [[], ["--from", "dev"], ["--no-switch"]]) await place.ok("new", "alice", ...more);
  const { error } = await place.json("new", "alice", "--empty"); // it holds data: to say "done" would be untrue
  assert.equal(error.code, "CONFLICT");
  assert.equal(await place.digest(/^\.forkstack\/registry\.db /), before);
  assert.deepEqual((await place.json("status")).data.resources, resources, "the same, by their ids");
});

Deno.test("new --no-switch leaves the current environment as it is", async () => {
  await using place = await Place.make();
  const { data, ok } = await place.json("new", "alice", "--no-switch");
  assert.deepEqual([ok, data.environment.current], [true, false]);
  assert.deepEqual([await place.read(".current-env"), await place.read(".env.local")], [undefined, undefined]);
  await place.ok("new", "bob");
  const before = [await place.read(".current-env"), await place.read(".env.local")];
  const { stdout } = await place.ok("new", "carol", "--no-switch");
  assert.match(stdout, /^Next: `forkstack switch carol`$/m);
  assert.deepEqual([await place.read(".current-env"), await place.read(".env.local")], before);
  assert.match((await place.read(".forkstack/envs/carol.env"))!, /^FORKSTACK_ENV=carol\n/);
});

async function fillDev(place: Place): Promise<void> {
  await place.write(".forkstack/sqlite/.keep", "");
  const database = new DatabaseSync(place.path(".forkstack/sqlite/shop-dev.db"));
  database.exec("CREATE TABLE track (name TEXT NOT NULL); INSERT INTO track VALUES ('of dev')");
  database.close();
  await place.write(".forkstack/buckets/shop-bucket-dev/covers/1.jpg", "cover of dev");
  await place.write(".forkstack/secrets/dev.env", "API_KEY='of dev'\n");
  await place.write("shop.dev.db/graph.bin", "graph of dev");
}

function tracks(place: Place, env: string): unknown[] {
  using database = Object.assign(new DatabaseSync(place.path(`.forkstack/sqlite/shop-${env}.db`)), {
    [Symbol.dispose]: () => database.close(),
  });
  return database.prepare("SELECT name FROM track").all().map(({ name }) => name);
}

Deno.test("a fork has its parent's data, of dev or of another environment, and its own from then on", async () => {
  await using place = await Place.make();
  await fillDev(place);
  await place.ok("new", "alice");
  const database = new DatabaseSync(place.path(".forkstack/sqlite/shop-alice.db"));
  database.exec("INSERT INTO track VALUES ('of alice')");
  database.close();
  await place.write(".forkstack/buckets/shop-bucket-alice/covers/1.jpg", "cover of alice");
  await place.write("shop.alice.db/graph.bin", "graph of alice");
  await place.ok("new", "bob", "--from", "alice");
  assert.deepEqual(tracks(place, "bob"), ["of dev", "of alice"]);
  assert.equal(await place.read(".forkstack/buckets/shop-bucket-bob/covers/1.jpg"), "cover of alice");
  assert.equal(await place.read("shop.bob.db/graph.bin"), "graph of alice");
  assert.equal(await place.read(".forkstack/secrets/bob.env"), "API_KEY='of dev'\n");
  assert.deepEqual(tracks(place, "dev"), ["of dev"]);
  assert.equal(await place.read(".forkstack/buckets/shop-bucket-dev/covers/1.jpg"), "cover of dev");
  assert.equal((await place.json("status", "bob")).data.environment.parent, "alice");
});

Deno.test("new --empty starts with nothing, and says so", async () => {
  await using place = await Place.make();
  await fillDev(place);
  const { data } = await place.json("new", "alice", "--empty");
  assert(data.resources.every((one: { fork: string }) => one.fork === "empty"));
  assert.equal((await readdir(place.root)).includes("shop.alice.db"), false, "whoever uses it makes it");
  assert.deepEqual(await readdir(place.path(".forkstack/buckets/shop-bucket-alice")), []);
  assert.equal(await place.read(".forkstack/sqlite/shop-alice.db"), "");
});

Deno.test("switch goes to an environment, to dev, to prod, and back, and the app follows", async () => {
  await using place = await Place.make();
  await place.ok("new", "alice");
  await place.ok("new", "bob");
  for (
    const [said, env] of [["dev", "dev"], ["alice", "alice"], ["production", "prod"], ["bob", "bob"], ["prod", "prod"]]
  ) {
    await place.ok("switch", said);
    assert.equal(await place.read(".current-env"), `${env}\n`);
    assert.equal((await values(place)).BUCKET_NAME, `shop-bucket-${env}`);
    const stack = openStack({ cwd: place.root, read: () => undefined });
    assert.equal(stack.current(), env);
    const title = env === "prod" ? "shop" : `shop-${env}`;
    assert(stack.of("database", "DATABASE_URL").endsWith(`/.forkstack/sqlite/${title}.db`));
    assert.equal(stack.of("local", "LOCAL_PATH"), place.path(`shop.${env}.db`));
    assert.equal((await place.json("status")).data.environment.name, env);
  }
});

Deno.test("a resource that forkstack.json gets later is made by new again, and the rest stays", async () => {
  await using place = await Place.make({ database: { provider: "sqlite" } });
  await place.ok("new", "alice");
  const [before] = (await place.json("status", "alice")).data.resources;
  const config = { project: "shop", database: { provider: "sqlite" }, storage: { uploads: { provider: "local" } } };
  await place.write("forkstack.json", JSON.stringify(config));
  assert.match(
    (await place.run("new", "alice", "--dry-run")).stdout,
    /keep {5}database .*\n {2}create {3}storage\.uploads/,
  );
  const { data } = await place.json("new", "alice");
  assert.deepEqual(data.resources.map((one: { key: string }) => one.key), ["database", "storage.uploads"]);
  assert.equal(data.resources[0].id, before.id);
  assert.equal((await values(place)).UPLOADS_BUCKET_NAME, "shop-uploads-bucket-alice");
  assert.equal((await place.json("list")).data.environments.length, 1);
});

Deno.test("a resource whose provider forkstack.json renames is a conflict", async () => {
  await using place = await Place.make();
  await place.ok("new", "alice");
  await place.ok("switch", "dev");
  // Another project name gives other titles, as another provider would; there is one provider of each kind today.
  const registry = new DatabaseSync(place.path(".forkstack/registry.db"));
  registry.exec("UPDATE resources SET provider = 'turso' WHERE env = 'alice' AND key = 'database'");
  registry.close();
  const before = await place.digest();
  const { code, stderr } = await place.run("new", "alice");
  assert.equal(code, 5, stderr);
  assert.match(stderr, /its database is turso "shop-alice", but forkstack\.json now says sqlite "shop-alice"/);
  assert.match(stderr, /hint: Delete the environment with `forkstack delete alice`/);
  assert.equal(await place.digest(), before);
});

Deno.test("named resources have their name before their variables", async () => {
  await using place = await Place.make({
    storage: { uploads: { provider: "local" }, "cover-art": { provider: "local" } },
    database: { main: { provider: "sqlite" } },
  });
  const { data } = await place.json("new", "alice");
  assert.deepEqual(
    data.resources.map((one: { key: string; name: string; title: string }) => [one.key, one.name, one.title]),
    [
      ["database.main", "main", "shop-main-alice"],
      ["storage.cover-art", "cover-art", "shop-cover-art-bucket-alice"],
      ["storage.uploads", "uploads", "shop-uploads-bucket-alice"],
    ],
  );
  const found = await values(place);
  assert.equal(found.UPLOADS_BUCKET_NAME, "shop-uploads-bucket-alice");
  assert.equal(found.COVER_ART_BUCKET_NAME, "shop-cover-art-bucket-alice");
  assert(found.MAIN_DATABASE_URL.endsWith("/shop-main-alice.db"));
  assert.equal(found.BUCKET_NAME, undefined);
});

Deno.test("delete leaves what was there before new, and the name can be used again", async () => {
  await using place = await Place.make();
  await fillDev(place);
  await place.ok("switch", "dev");
  await place.ok("new", "first", "--no-switch"); // makes what stays: the directories, the registry
  const besides = /^(\.forkstack\/registry\.db|\.current-env|\.env\.local) /; // a directory whose environment went is on none
  const before = await place.digest(besides);
  const ids = new Set<string>();
  for (let n = 0; n < 2; n++) {
    await place.ok("new", "alice");
    for (const { id } of (await place.json("status")).data.resources) ids.add(id);
    await place.ok("delete", "alice", "--yes");
    assert.equal(await place.digest(besides), before);
  }
  assert.equal(ids.size, 8, "made again, not found again");
  assert.equal((await place.run("status", "alice")).code, 4);
});

Deno.test("delete takes only what it made: an app's own files beside it stay", async () => {
  await using place = await Place.make();
  await place.ok("new", "alice");
  await place.ok("new", "alice-2");
  await place.write("shop.alicex.db/graph.bin", "mine");
  await place.write(".forkstack/buckets/shop-bucket-alice-old/1.jpg", "mine");
  await place.ok("delete", "alice", "--yes");
  assert.equal(await place.read("shop.alicex.db/graph.bin"), "mine");
  assert.equal(await place.read(".forkstack/buckets/shop-bucket-alice-old/1.jpg"), "mine");
  assert.equal((await place.json("status", "alice-2")).data.environment.status, "ready");
});

Deno.test("what stands in the place of a resource and is not ours stops new, and stays", async () => {
  await using place = await Place.make();
  await place.write("shop.alice.db/graph.bin", "mine");
  const before = await place.digest(SCAFFOLD);
  const { code, stderr } = await place.run("new", "alice");
  assert.equal(code, 5, stderr);
  assert.match(
    stderr,
    /error: Cannot create environment "alice": local "shop\.alice\.db": .* is not marked as ours\n {2}hint/,
  );
  assert.equal(await place.digest(SCAFFOLD), before);
});

Deno.test("a linked git worktree has its own current environment and shares all of them", async () => {
  await using place = await Place.make();
  await place.git("init", "-q");
  await place.ok("new", "alice");
  await place.git("add", ".");
  await place.git("commit", "-q", "-m", "begin");
  await place.git("worktree", "add", "-q", `${place.above}/linked`);
  const linked = (...args: string[]) => run(`${place.above}/linked`, args);
  assert.match((await linked("status")).stderr, /this git worktree points to none/);
  assert.equal((await linked("switch", "alice")).code, 0);
  assert.equal((await linked("new", "bob")).code, 0);
  assert.equal(await Deno.readTextFile(`${place.above}/linked/.current-env`), "bob\n");
  assert.equal(await place.read(".current-env"), "alice\n");
  const url = parseEnv(await Deno.readTextFile(`${place.above}/linked/.env.local`)).DATABASE_URL;
  assert(url?.endsWith("/shop/.forkstack/sqlite/shop-bob.db"), url ?? "nothing");
  assert.deepEqual(
    (await place.json("list")).data.environments.map((
      one: { name: string; current: boolean },
    ) => [one.name, one.current]),
    [["alice", true], ["bob", false]],
  );
  await place.ok("delete", "bob", "--yes");
  const { code, stderr } = await linked("status");
  assert.equal(code, 4, "its environment is gone, which it is told");
  assert.match(stderr, /Cannot show environment "bob": it was deleted/);
  assert.equal((await linked("switch", "dev")).code, 0);
  assert.deepEqual((await readdir(`${place.above}/linked`)).filter((name) => name === ".forkstack"), []);
});

Deno.test("a directory below the project's is in the project", async () => {
  await using place = await Place.make();
  await place.write("src/app/main.ts", "");
  const { code } = await run(place.path("src/app"), ["new", "alice"]);
  assert.equal(code, 0);
  assert.equal(await place.read(".current-env"), "alice\n");
  assert.deepEqual(await readdir(place.path("src/app")), ["main.ts"]);
});

Deno.test("two runs of new for one environment at once make it once, and both succeed", async () => {
  await using place = await Place.make();
  await fillDev(place);
  const all = await Promise.all([1, 2, 3].map(() => place.json("new", "alice")));
  assert.deepEqual(all.map(({ ok }) => ok), [true, true, true]);
  assert.equal(all.filter(({ data }) => data.unchanged === false).length, 1);
  assert.equal(new Set(all.map(({ data }) => JSON.stringify(data.resources))).size, 1);
});

Deno.test("a fork whose mark is gone is told as that, not as somebody else's", async () => {
  await using place = await Place.make();
  await place.ok("new", "alice");
  await place.write("shop.alice.db/graph.bin", "hers");
  await rm(place.path(".forkstack", "owners", "local.shop.alice.db.json"));
  await rm(place.path(".forkstack", "owners", "database.shop-alice.json"));
  const { data } = await place.json("doctor");
  const problems = data.findings.map(({ problem }: { problem: string }) => problem);
  for (const what of ["shop\\.alice\\.db", "shop-alice"]) {
    const told = new RegExp(`"${what}" is foreign: its mark is gone: ".*" bears none, .* put the mark back`);
    assert(problems.some((problem: string) => told.test(problem)), problems.join("\n"));
  }
  const gone = await place.json("delete", "alice", "--yes");
  const states = gone.data.resources.map(({ kind, state }: { kind: string; state: string }) => `${kind} ${state}`);
  assert.deepEqual(states.sort(), ["database kept", "local kept", "secrets deleted", "storage deleted"]);
  assert.equal((await readdir(place.root)).includes("shop.alice.db"), true);
  await place.write("shop.bob.db/theirs", "");
  const { error } = await place.json("new", "bob");
  assert.match(error.message, /is not marked as ours/);
});
