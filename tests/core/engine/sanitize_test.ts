import { deepStrictEqual as equal, match, ok, rejects, strictEqual as is } from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { createEnvironment, planEnvironment } from "../../../core/lifecycle/create.ts";
import { resetEnvironment } from "../../../core/lifecycle/reset.ts";
import { ForkstackError } from "../../../mod.ts";
import { Place } from "../../cli/run.ts";
import { type Bench, bench, type BenchOptions, failure } from "../_engine.ts";

const SCRIPT = "; names removed";

async function shop(options: BenchOptions = {}): Promise<Bench> {
  const made = await bench({ sanitize: SCRIPT, ...options });
  made.vendor.parents.set("shop-dev", "rows").set("shop-bucket-dev", "objects");
  return made;
}

const dataOf = ({ vendor }: Bench, name = "shop-alice") => vendor.held.get(name)?.data;

Deno.test("a script runs on the fork alone, before anyone is given its URL", async () => {
  await using one = await shop();
  await createEnvironment(one.engine, "alice", {});
  is(dataOf(one), `rows${SCRIPT}`);
  equal([one.vendor.parents.get("shop-dev"), dataOf(one, "shop-bucket-alice")], ["rows", "objects"]);
  const calls = one.vendor.calls.filter((call) => call.endsWith("shop-alice"));
  ok(calls.indexOf("execute shop-alice") < calls.indexOf("outputs shop-alice"), String(calls));
  await createEnvironment(one.engine, "alice", {});
  is(dataOf(one), `rows${SCRIPT}`, "once");
});

Deno.test("a script that fails leaves no fork behind", async () => {
  await using one = await shop();
  one.vendor.fail = (call) => {
    if (call === "execute shop-alice") throw new ForkstackError("SQL_FAILED", "line 3: no such table: users");
  };
  const error = await failure(createEnvironment(one.engine, "alice", {}));
  is(error.code, "SANITIZE_FAILED");
  match(error.message, /: database "shop-alice" cannot be sanitized \(line 3: no such table: users\)$/);
  match(error.hint!, /nothing was left behind/);
  is(one.vendor.held.size, 0);
});

Deno.test("a script that may have run in part is run on another fork", async () => {
  await using one = await shop();
  one.vendor.fail = (call) => {
    if (call !== "execute shop-alice") return;
    one.vendor.held.get("shop-alice")!.data += "; half of it";
    throw new ForkstackError("PROVIDER_UNAVAILABLE", "the reply was lost", { retryable: true });
  };
  const control = new AbortController();
  const stopped = { ...one.engine, signal: control.signal };
  const { fail } = one.vendor;
  one.vendor.fail = (call) => {
    if (call === "execute shop-alice") control.abort(new Error("stop")); // so that nothing is undone
    fail(call);
  };
  is((await failure(createEnvironment(stopped, "alice", {}))).code, "INTERRUPTED");
  const half = one.vendor.held.get("shop-alice")!;
  is(half.data, "rows; half of it");
  one.vendor.fail = () => {};
  await createEnvironment(one.engine, "alice", {});
  is(dataOf(one), `rows${SCRIPT}`);
  ok(one.vendor.held.get("shop-alice")!.fork.id !== half.fork.id);
});

Deno.test("a reset runs the script on the new data before it takes the old one's place", async () => {
  await using one = await shop();
  await createEnvironment(one.engine, "alice", {});
  one.vendor.parents.set("shop-dev", "new rows");
  one.vendor.fail = (call) => {
    if (call === "execute aside shop-alice") throw new ForkstackError("SQL_FAILED", "line 1: syntax error");
  };
  is((await failure(resetEnvironment(one.engine, "alice"))).code, "SANITIZE_FAILED");
  equal([dataOf(one), one.vendor.prepared], [`rows${SCRIPT}`, 0], "as it was");
  one.vendor.fail = () => {};
  await resetEnvironment(one.engine, "alice");
  is(dataOf(one), `new rows${SCRIPT}`);
});

Deno.test("a script of a provider that runs none stops before anything is made", async () => {
  await using unable = await shop({ changed: { execute: undefined } });
  for (const work of [planEnvironment, createEnvironment]) {
    const error = await failure(work(unable.engine, "alice", {}) as Promise<unknown>);
    is(error.code, "CONFIG_INVALID");
  }
  is(unable.vendor.held.size, 0);
});

Deno.test("a script that was not read is never left out", async () => {
  await using one = await shop();
  const resources = one.engine.resources.map((resource) =>
    resource.sanitize === undefined ? resource : { ...resource, sanitize: { place: "clean.sql" } }
  );
  await rejects(createEnvironment({ ...one.engine, resources }, "alice", {}), /was not read/);
  is(one.vendor.held.size, 0);
  is(await one.engine.registry.environment("alice"), undefined);
});

Deno.test("sqlite: new and reset sanitize; a statement that fails leaves no environment", async () => {
  const place = await Place.make({ database: { provider: "sqlite", sanitize: "clean.sql" } });
  await using _ = place;
  await place.write(".forkstack/sqlite/.keep", "");
  const on = <T>(env: string, work: (database: DatabaseSync) => T): T => {
    const database = new DatabaseSync(place.path(`.forkstack/sqlite/shop-${env}.db`));
    try {
      return work(database);
    } finally {
      database.close();
    }
  };
  on("dev", (dev) => dev.exec("CREATE TABLE users (email TEXT); INSERT INTO users VALUES ('ada@example.com')"));
  const emails = (env: string) =>
    on(env, (database) => database.prepare("SELECT email FROM users").all().map(({ email }) => email));
  const broken = [["UPDATE nowhere SET x = 'private'", / \(line 2: no such table: nowhere\)$/], [
    "UPDATE users\nSETT email = 'private'",
    / \(line 3: near "SETT": syntax error\)$/,
  ]] as const;
  for (const [statement, message] of broken) {
    await place.write("clean.sql", `UPDATE users SET email = 'x';\n${statement};\n`);
    await place.trust();
    const failed = await place.json("new", "alice");
    equal([failed.error.code, failed.ok], ["SANITIZE_FAILED", false]);
    match(failed.error.message, message);
    equal((await place.json("list")).data.environments, []);
  }
  await place.write("clean.sql", "UPDATE users SET email = 'user' || rowid || '@example.invalid'; -- all of them\n");
  await place.trust();
  await place.ok("new", "alice");
  equal([emails("alice"), emails("dev")], [["user1@example.invalid"], ["ada@example.com"]]);
  on("dev", (dev) => dev.exec("INSERT INTO users VALUES ('bob@example.com')"));
  await place.ok("reset", "alice", "--yes");
  equal(emails("alice"), ["user1@example.invalid", "user2@example.invalid"]);
});

Deno.test("sqlite: a script that reaches for another database leaves no environment, and that database as it is", async () => {
  const place = await Place.make({ database: { provider: "sqlite", sanitize: "clean.sql" } });
  await using _ = place;
  await place.write(".forkstack/sqlite/.keep", "");
  const [dev, out] = [place.path(".forkstack/sqlite/shop-dev.db"), place.path("out.db")];
  {
    using database = new DatabaseSync(dev);
    database.exec("CREATE TABLE users (email TEXT); INSERT INTO users VALUES ('ada@example.com')");
  }
  const before = readFileSync(dev);
  for (const reaching of [`ATTACH '${dev}' AS dev; DELETE FROM dev.users`, `VACUUM INTO '${out}'`, "COMMIT"]) {
    await place.write("clean.sql", `DELETE FROM users;\n${reaching};\n`);
    await place.trust();
    const { error } = await place.json("new", "alice");
    equal([error.code, (await place.json("list")).data.environments], ["SANITIZE_FAILED", []]);
    match(
      error.message,
      /line 2: (.* is refused: a script changes its fork alone|cannot VACUUM from within a transaction)/,
    );
  }
  equal([readFileSync(dev).equals(before), existsSync(out)], [true, false]);
});
