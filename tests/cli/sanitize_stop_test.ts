/** Ctrl-C amid a `sanitize` script whose one statement takes hours. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { DatabaseSync } from "node:sqlite";
import { type Ended, Place, run } from "./run.ts";

const SCRIPT = "UPDATE users SET email = 'masked'; WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) " +
  "INSERT INTO users SELECT max(x) FROM c";

/** A project whose `dev` holds a row, with a script that never ends. */
async function endless(): Promise<Place> {
  const place = await Place.make({ database: { provider: "sqlite", sanitize: "./mask.sql" } });
  await mkdir(place.path(".forkstack", "sqlite"), { recursive: true, mode: 0o700 });
  using database = new DatabaseSync(place.path(".forkstack", "sqlite", "shop-dev.db"));
  database.exec("CREATE TABLE users (email); INSERT INTO users VALUES ('ada@example.com')");
  await place.write("mask.sql", SCRIPT);
  await place.trust();
  return place;
}

const journalOf = (place: Place) => place.path(".forkstack", "sqlite", "shop-alice.db-journal");

/** Sends a signal to `new alice` amid the script: its journal is there once a statement has written. */
async function stopped(place: Place, signal: Deno.Signal): Promise<Ended> {
  let kill = (_: Deno.Signal) => {};
  let hasEnded = false;
  const ended = run(place.root, ["new", "alice"], { onStart: (its) => kill = its }).finally(() => hasEnded = true);
  while (!hasEnded && !existsSync(journalOf(place))) await new Promise((resolve) => setTimeout(resolve, 50));
  await new Promise((resolve) => setTimeout(resolve, 300)); // amid the statement that follows
  const began = performance.now();
  kill(signal);
  const { code, stderr, stdout } = await ended;
  assert(performance.now() - began < 30_000, stderr); // the script itself never ends
  return { code, stderr, stdout };
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.test(`${signal} ends new amid a statement of a sanitize script; delete removes what was begun`, async () => {
    await using place = await endless();
    const { code, stderr } = await stopped(place, signal);
    assert.equal(code, 130, stderr);
    assert.match(stderr, /^error: Stopped: environment "alice" is not complete yet/m);
    assert.equal(await place.read(".env.local"), undefined, "nobody gets a fork whose script did not end");
    assert.deepEqual((await place.json("delete", "alice", "--yes")).data.resources[0].state, "deleted");
    assert(!existsSync(journalOf(place)) && !existsSync(place.path(".forkstack", "sqlite", "shop-alice.db")));
  });
}

Deno.test("a run that was stopped amid a sanitize script is gone on with, on a new fork, once the script is mended", async () => {
  await using place = await endless();
  assert.equal((await stopped(place, "SIGTERM")).code, 130);
  await place.write("mask.sql", "UPDATE users SET email = email || ' masked'");
  await place.trust();
  await place.ok("new", "alice");
  using database = new DatabaseSync(place.path(".forkstack", "sqlite", "shop-alice.db"));
  assert.deepEqual(database.prepare("SELECT email FROM users").all().map(({ email }) => email), [
    "ada@example.com masked",
  ]);
});
