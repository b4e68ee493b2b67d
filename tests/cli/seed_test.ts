/** `seed`: a command of forkstack.json fills dev, or a fork without data; trusted first, never in prod. */
import assert from "node:assert/strict";
import { commandOf, IS_OTHER_PROGRAM, Place, runCommand, useProcesses } from "./run.ts";

useProcesses();

/** Writes the name of the environment and a value of it beside forkstack.json, and says something. */
const SEED = 'echo "$FORKSTACK_ENV $LOCAL_PATH" >> seeded.txt; echo told; echo "$DATABASE_URL" | grep -c sqlite';
const CONFIG = { seed: SEED, database: { provider: "sqlite" }, local: { provider: "directory" } };

async function seededIn(place: Place): Promise<string[]> {
  return (await place.read("seeded.txt") ?? "").split("\n").filter(Boolean).map((line) => line.split(" ")[0]!);
}

/** Runs under the set that `forkstack permissions` prints for a stack with a seed command: it names the shell. */
async function onSeeded(place: Place, ...args: string[]) {
  const command = commandOf(args).flatMap((word) => word === "-P=cli" ? FLAGS : [word]);
  return await runCommand(place.root, command);
}

const FLAGS = ["--allow-read", "--allow-write", "--allow-env", "--allow-run=cp,git,sh,cat", "--allow-sys=hostname"];

Deno.test("seed runs nothing that nobody trusted, and nothing that was changed since", async () => {
  await using place = await Place.make(CONFIG);
  for (const args of [["seed", "dev", "--yes"], ["new", "alice", "--empty"]]) {
    const { code, stderr } = await place.run(...args);
    assert.deepEqual([code, await seededIn(place)], [2, []], stderr);
    assert.match(stderr, /not trusted yet: command of seed/);
  }
  const shown = await place.ok("trust", "--dry-run");
  assert(shown.stdout.includes('command of seed, "echo'), shown.stdout);
  await place.trust();
  await place.ok("seed", "dev", "--yes");
  assert.deepEqual(await seededIn(place), ["dev"]);
  await place.write("forkstack.json", JSON.stringify({ project: "shop", ...CONFIG, seed: `${SEED}; true` }));
  assert.equal((await place.json("seed", "dev", "--yes")).error.code, "NOT_TRUSTED");
  assert.deepEqual(await seededIn(place), ["dev"]);
});

Deno.test("seed runs in the environment that is meant, asks for dev, never touches prod, and prints one document", async () => {
  await using place = await Place.make(CONFIG);
  await place.trust();
  await place.ok("new", "alice");
  const before = await seededIn(place);
  for (
    const [args, code] of [
      [["seed", "prod"], "ENV_PROTECTED"],
      [["seed", "production", "--yes"], "ENV_PROTECTED"],
      [["seed", "dev"], "CONFIRM_REQUIRED"],
      [["seed", "bob"], "ENV_NOT_FOUND"],
    ] as const
  ) assert.equal((await place.json(...args)).error.code, code, args.join(" "));
  assert.deepEqual(await seededIn(place), before);
  const { stdout, stderr } = await place.ok("seed");
  assert.deepEqual([stdout, stderr.includes("told")], ["alice is seeded\n", true]);
  const { data } = await place.json("seed", "alice");
  assert.deepEqual(data, { environment: { name: "alice" }, command: SEED });
  assert.deepEqual(await seededIn(place), [...before, "alice", "alice"]);
  assert.match((await place.read("seeded.txt"))!, new RegExp(`alice ${place.path("shop.alice.db")}\n`));
  const { stdout: would } = await place.ok("seed", "alice", "--dry-run");
  assert.match(would, /^Would run in alice: echo /);
});

Deno.test("new seeds what has no data, and only that: --empty, an empty parent, but no parent with data", async () => {
  await using place = await Place.make(CONFIG);
  await place.trust();
  await place.write("old.sql", "CREATE TABLE t (a); INSERT INTO t VALUES (1);");
  const on = (...args: string[]) => onSeeded(place, ...args);
  const first = await on("new", "empty", "--empty", "--json", "--no-switch");
  assert.equal(JSON.parse(first.stdout).ok, true, first.stderr);
  await on("new", "child", "--from", "dev", "--no-switch");
  assert.deepEqual(await seededIn(place), ["empty", "child"]);
  await on("import", "dev", "old.sql", "database");
  const count = (await seededIn(place)).length;
  await on("new", "full", "--from", "dev", "--no-switch");
  await on("new", "empty", "--no-switch");
  assert.equal((await seededIn(place)).length, count, "neither of data, nor of what stands already");
  const { code, stderr } = await place.run("new", "unseeded", "--empty");
  assert.equal(code, 0, stderr);
  assert.match(stderr, IS_OTHER_PROGRAM ? /told/ : /Not seeded: Deno may run no shell here\. `.*seed unseeded` does/);
  const { permissions } = JSON.parse((await place.ok("permissions")).stdout);
  assert.deepEqual(permissions.forkstack.run, ["cp", "git", "sh"]);
});

Deno.test("a seed that fails leaves the environment, and says how to go on", async () => {
  await using place = await Place.make({ ...CONFIG, seed: "echo out; echo err >&2; exit 3" });
  await place.trust();
  const made = await onSeeded(place, "new", "alice", "--no-switch", "--json");
  const { data, error: told } = JSON.parse(made.stdout);
  assert.deepEqual([made.code, told.code, data.environment.status], [7, "SEED_FAILED", "ready"]);
  assert(!made.stdout.includes("out\n") && made.stderr.includes("out\nerr\n"), made.stderr);
  const { error, code } = await place.json("seed", "alice");
  assert.deepEqual([error.code, code], ["SEED_FAILED", 7]);
  assert.match(error.message, /"alice": the seed command ended with 3$/);
  assert.match(error.hint, /`forkstack seed alice`/);
  assert.equal((await place.json("status", "alice")).data.environment.status, "ready");
});

Deno.test("without a seed command, or with one that is no line, the file is told", async () => {
  await using place = await Place.make();
  assert.equal((await place.json("seed", "dev", "--yes")).error.code, "CONFIG_MISSING");
  for (const seed of ["", "  ", 3, ["npm", "run", "seed"], "a\nb", "a\u001b[2Jb"]) {
    await place.write("forkstack.json", JSON.stringify({ project: "shop", seed }));
    assert.equal((await place.json("seed", "dev", "--yes")).error.code, "CONFIG_INVALID", JSON.stringify(seed));
  }
});
