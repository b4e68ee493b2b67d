/** Directories that were moved, copied whole, or got another's pointer: each command works on this one's own data. */
import assert from "node:assert/strict";
import { cp, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { openStack } from "../../mod.ts";
import { Place, run } from "./run.ts";

/** A shop on alice, whose secret and row say which directory they are of. */
async function shop(): Promise<Place> {
  const place = await Place.make();
  await place.ok("new", "alice");
  await mark(place.root, "original");
  return place;
}

async function mark(root: string, whose: string): Promise<void> {
  const { stdout, stderr, code } = await run(root, ["secrets", "set", "WHOSE", "alice"], { stdin: whose });
  assert.equal(code, 0, stdout + stderr);
  using database = new DatabaseSync(join(root, ".forkstack/sqlite/shop-alice.db"));
  database.exec(
    `CREATE TABLE IF NOT EXISTS whose (name TEXT); DELETE FROM whose; INSERT INTO whose VALUES ('${whose}')`,
  );
}

function markOf(root: string): unknown {
  using database = new DatabaseSync(join(root, ".forkstack/sqlite/shop-alice.db"));
  return database.prepare("SELECT name FROM whose").get()?.name;
}

const getters = (cwd: string) => openStack({ cwd, read: () => undefined });

for (const how of ["copied", "moved"] as const) {
  for (const first of ["getters", "run", "secrets", "switch", "doctor"] as const) {
    Deno.test(`a project that was ${how} works on its own data from the first call, of ${first}`, async () => {
      await using place = await shop();
      const { root } = place;
      const here = join(place.above, "elsewhere");
      await (how === "moved" ? rename(root, here) : cp(root, here, { recursive: true }));
      const ok = async (...args: string[]) => {
        const { code, stdout, stderr } = await run(here, args);
        assert.equal(code, 0, `${args.join(" ")}: ${stdout}${stderr}`);
        return stdout;
      };
      const path = (name: string) => join(here, ".forkstack", name);
      const calls = {
        getters: () => Promise.resolve(assert.equal(getters(here).current(), "alice")),
        run: async () => {
          const print = 'printf "%s\\n" "$DATABASE_URL" "$BUCKET_PATH" "$SECRETS_FILE" "$LOCAL_PATH"';
          assert.deepEqual((await ok("run", "--", "sh", "-c", print)).trim().split("\n"), [
            `file://${path("sqlite/shop-alice.db")}`,
            path("buckets/shop-bucket-alice"),
            path("secrets/alice.env"),
            join(here, "shop.alice.db"),
          ]);
        },
        secrets: async () => {
          await ok("secrets", "get", "WHOSE", "--reveal");
          await run(here, ["secrets", "set", "WHOSE"], { stdin: "elsewhere" });
        },
        switch: async () => void await ok("switch", "alice"),
        doctor: async () => assert.match(await ok("doctor"), /stale: .*DATABASE_URL/),
      };
      await calls[first]();
      const stack = getters(here);
      assert.equal(stack.of("database", "DATABASE_URL"), `file://${path("sqlite/shop-alice.db")}`);
      assert.equal(stack.storage().path, path("buckets/shop-bucket-alice"));
      await calls.secrets();
      assert.equal(await getters(here).secret("WHOSE"), "elsewhere");
      assert.equal(markOf(here), "original", "the data came along");
      await mark(here, "elsewhere");
      if (how === "copied") {
        assert.equal(await getters(root).secret("WHOSE"), "original");
        assert.equal(markOf(root), "original");
      }
      await calls.run();
    });
  }
}

for (const mends of [["switch", "alice"], ["doctor", "--fix", "--yes"]]) {
  Deno.test(`\`${mends.join(" ")}\` rewrites paths of another directory, in the file and in the block`, async () => {
    await using place = await shop();
    const here = join(place.above, "elsewhere");
    await place.write(".env.local", `${await place.read(".env.local")}MINE=1\n`);
    await cp(place.root, here, { recursive: true });
    const before = await place.digest(/\.db/);
    const { code, stdout, stderr } = await run(here, mends);
    assert.equal(code, 0, stdout + stderr);
    for (const name of [".env.local", ".forkstack/envs/alice.env"]) {
      const text = await Deno.readTextFile(join(here, name));
      assert(!text.includes(`${place.root}/`) && text.includes(`${here}/`), text);
    }
    assert.match(await Deno.readTextFile(join(here, ".env.local")), /MINE=1\n$/);
    assert.doesNotMatch((await run(here, ["doctor"])).stdout, /stale/);
    assert.equal(await place.digest(/\.db/), before);
  });
}

Deno.test("a linked worktree: nothing is current before switch; a copied pointer is told, and switch binds it anew", async () => {
  await using place = await shop();
  await place.git("init", "-q");
  await place.git("add", "forkstack.json", ".gitignore");
  await place.git("commit", "-qm", "0");
  await place.git("worktree", "add", "-q", "../w");
  const w = join(place.above, "w");
  for (const args of [["status"], ["run", "--", "true"], ["secrets", "list"]]) {
    const { code, stderr } = await run(w, args);
    assert.equal(code, 2, stderr);
    assert.match(stderr, /this git worktree points to none\n {2}hint: .*(forkstack |envs:)switch dev/);
  }
  assert.equal(JSON.parse((await run(w, ["list", "--json"])).stdout).data.environments[0].current, false);
  assert.match((await run(w, ["doctor"])).stdout, /on no environment/);
  for (const name of [".current-env", ".env.local"]) await cp(place.path(name), join(w, name));
  for (const args of [["status"], ["run", "--", "true"], ["secrets", "list"]]) {
    const { code, stderr } = await run(w, args);
    assert.equal(code, 5, stderr);
    assert.match(stderr, /the pointer is of another directory/);
  }
  assert.equal((await run(w, ["run", "alice", "--", "true"])).code, 0, "a person named it");
  assert.match((await run(w, ["doctor"])).stdout, /in doubt: .*the pointer is of another directory/);
  assert.equal((await run(w, ["switch", "alice"])).code, 0);
  assert.equal(getters(w).current(), "alice");
  await rm(join(w, ".current-env"));
  assert.match((await run(w, ["doctor"])).stdout, /\.env\.local has a block of "alice", and there is no \.current-env/);
});

Deno.test("a linked worktree whose branch has no forkstack.json has the main one's, and a pointer of its own", async () => {
  await using place = await Place.make(null);
  await place.write("README", "x");
  await place.git("init", "-q");
  await place.git("add", "README");
  await place.git("commit", "-qm", "0");
  await place.write("forkstack.json", '{"project": "shop"}');
  await place.git("worktree", "add", "-q", "trees/w");
  await place.ok("new", "bob");
  const w = place.path("trees/w");
  assert.equal((await run(w, ["new", "alice"])).code, 0);
  assert.deepEqual([getters(w).current(), getters(place.root).current()], ["alice", "bob"]);
  assert.equal(await place.read("trees/w/forkstack.json"), undefined);
  assert.equal(getters(w).of("database", "DATABASE_URL"), `file://${place.path(".forkstack/sqlite/shop-alice.db")}`);
  const listed = JSON.parse((await run(w, ["list", "--json"])).stdout).data.environments;
  assert.deepEqual(listed.map((one: { name: string; current: boolean }) => [one.name, one.current]), [
    ["alice", true],
    ["bob", false],
  ]);
});

Deno.test("a bare layout: worktrees share the state in the common git directory", async () => {
  await using place = await Place.make();
  await place.git("init", "-q");
  await place.git("add", "forkstack.json");
  await place.git("commit", "-qm", "0");
  await place.git("clone", "-q", "--bare", ".", "../layout/.bare");
  for (const name of ["one", "two"]) {
    await place.git("-C", "../layout/.bare", "worktree", "add", "-q", "-b", name, join(place.above, "layout", name));
  }
  const [one, two] = ["one", "two"].map((name) => join(place.above, "layout", name));
  for (const [at, env] of [[one, "alice"], [two, "bob"]]) {
    const { code, stderr } = await run(at!, ["new", env!]);
    assert.equal(code, 0, stderr);
  }
  assert.deepEqual([getters(one!).current(), getters(two!).current()], ["alice", "bob"]);
  const state = join(place.above, "layout/.bare/.forkstack");
  assert.equal(getters(one!).of("database", "DATABASE_URL"), `file://${state}/sqlite/shop-alice.db`);
  assert.equal((await run(two!, ["delete", "alice", "--yes"])).code, 0);
  assert.throws(() => getters(one!).current(), { code: "ENV_UNKNOWN" });
});
