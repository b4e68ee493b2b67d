/**
 * A base environment's directories are there before anything writes to them: a new project's first migration, upload or
 * export works.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { chmod } from "node:fs/promises";
import { DatabaseSync } from "node:sqlite";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { Place, run } from "./run.ts";

/** Makes a table at the URL that the command line gives, as a migration tool does. */
async function migrate(place: Place, env: string, resource = "database"): Promise<void> {
  const { stdout } = await place.ok("url", resource, env);
  using database = new DatabaseSync(fileURLToPath(stdout.trim()));
  database.exec("CREATE TABLE posts (id INTEGER PRIMARY KEY)");
}

const STACK = {
  database: { main: { provider: "sqlite" }, log: { provider: "sqlite" } },
  storage: { provider: "local" },
  secrets: { provider: "env-file" },
  local: { notes: { provider: "directory" }, graph: { provider: "directory", make: "first use" } },
};

Deno.test("after init alone, dev takes its first migration, and a fork has its tables", async () => {
  await using place = await Place.make(null);
  await place.ok("init", "--yes");
  await migrate(place, "dev");
  await place.ok("new", "alice");
  using fork = new DatabaseSync(place.path(".forkstack/sqlite/shop-alice.db"));
  assert.equal(fork.prepare("SELECT count(*) AS n FROM sqlite_schema").get()!.n, 1);
  assert.equal(await place.read(".forkstack/.gitignore"), "*\n");
});

Deno.test("in a clone without state, run and switch make the directories of each kind, of the base that is meant alone", async () => {
  for (
    const [args, env, other] of [
      [["run", "dev", "--", "true"], "dev", "prod"],
      [["run", "production", "--", "true"], "prod", "dev"],
      [["switch", "dev"], "dev", "prod"],
    ] as const
  ) {
    await using place = await Place.make(STACK);
    await place.ok(...args);
    const title = env === "prod" ? "" : `-${env}`;
    await migrate(place, env, "database.main");
    await migrate(place, env, "database.log");
    assert(existsSync(place.path(`.forkstack/buckets/shop-bucket-${env}`)), args.join(" "));
    assert(existsSync(place.path(".forkstack/secrets")));
    assert(existsSync(place.path(`shop.notes.${env}.db`)));
    assert(!existsSync(place.path(`shop.graph.${env}.db`)), "made at first use, by the application");
    assert(!existsSync(place.path(`.forkstack/buckets/shop-bucket-${other}`)));
    assert(!existsSync(place.path(`.forkstack/sqlite/shop${title}.log.db`)));
  }
});

Deno.test("nothing is made of a path that `bases` names, nor by what only looks, nor by --dry-run", async () => {
  await using place = await Place.make({ storage: { provider: "local", bases: { dev: "./uploads" } } });
  await place.ok("run", "dev", "--", "true");
  assert(!existsSync(place.path("uploads")));
  for (const args of [["list"], ["status"], ["init", "--dry-run"], ["switch", "dev", "--dry-run"]]) {
    await using other = await Place.make(STACK);
    const before = await other.digest();
    await other.run(...args);
    assert.equal(await other.digest(), before, args.join(" "));
  }
});

Deno.test("where the directories can't be made, run runs the program all the same", async () => {
  await using place = await Place.make({ database: { provider: "sqlite" }, envFile: false });
  await chmod(place.root, 0o500);
  try {
    const isRoot = process.getuid?.() === 0;
    const within = isRoot ? ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"] : [];
    const { code, stderr } = await run(place.root, ["run", "dev", "--", "true"], { within });
    assert.equal(code, 0, stderr);
    assert(!existsSync(place.path(".forkstack")));
  } finally {
    await chmod(place.root, 0o700);
  }
});
