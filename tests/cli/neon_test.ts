/**
 * An environment at Neon, from the command line to the application's client, against the emulator.
 */
import assert from "node:assert/strict";
import { parseEnv } from "node:util";
import { type Given, type Neon, startNeon } from "../emulators/neon.ts";
import { testIf } from "../helpers.ts";
import { ask, NOTES, server, whyNot } from "../providers/_neon.ts";
import { type Ended, NET, Place, run } from "./run.ts";

const KEY = "napi_canary_of_the_command_line";

/** A directory whose stack is one database at Neon, with `shop-dev` and the default branch there. */
async function openProject(more: object = {}, given: Given = {}) {
  const neon = await startNeon(server!, { keys: { [KEY]: {} } });
  const createdAt = Date.now() - 3_600_000;
  const main = await neon.add("production", { isDefault: true, databases: { neondb: NOTES }, createdAt, ...given });
  await neon.add("shop-dev", { parent: main, createdAt });
  const database = { provider: "neon", projectId: neon.project, endpoint: neon.url, ...more };
  const place = await Place.make({ project: "shop", database });
  return {
    neon,
    main,
    place,
    async [Symbol.asyncDispose]() {
      await place[Symbol.asyncDispose]();
      await neon[Symbol.asyncDispose]();
    },
  };
}

/** The command line with the network that Neon needs. */
async function cli(place: Place, ...args: string[]): Promise<Ended> {
  return await run(place.root, args, { env: { NEON_API_KEY: KEY }, allow: NET });
}

async function ok(place: Place, ...args: string[]): Promise<Ended> {
  const ended = await cli(place, ...args);
  assert.equal(ended.code, 0, ended.stdout + ended.stderr);
  return ended;
}

async function variables(place: Place): Promise<Record<string, string>> {
  return parseEnv((await place.read(".env.local"))!) as Record<string, string>;
}

/** Besides polling. */
function callsOf(neon: Neon): string[] {
  return neon.requests.map(({ method, path }) => `${method} ${path.split("/").slice(5).join("/")}`)
    .filter((call) => !call.startsWith("GET operations/"));
}

const count = async (url: string) => (await ask(url, "SELECT count(*)::int AS n FROM notes"))[0].n;

testIf(
  whyNot,
  "neon: new, switch, extend, status, doctor and delete; new looks at the parent, then makes the branch",
  async () => {
    await using project = await openProject();
    const { neon, place, main } = project;
    const made = await ok(place, "new", "alice", "--ttl", "2d", "--json");
    assert.deepEqual(callsOf(neon), ["GET branches", "POST branches"]);
    const { data } = JSON.parse(made.stdout);
    const branch = neon.branch("shop-alice");
    assert.deepEqual([data.resources[0].title, data.resources[0].id], ["shop-alice", branch.id]);
    const ends = Date.parse(data.environment.expiresAt);
    assert(branch.expiresAt! >= ends && branch.expiresAt! < ends + 1_000, "the lease is Neon's as well");
    assert.match(branch.annotation.forkstack!, /^forkstack:v2:shop:alice:database:/);

    const mine = await variables(place);
    await ask(mine.DATABASE_URL!, "INSERT INTO notes (text) VALUES ('alice was here')");
    assert.equal(await count(mine.DATABASE_URL_UNPOOLED!), 2);

    const switched = await ok(place, "switch", "prod", "--json");
    const url = neon.uriOf(main, { pooled: true }).replace("postgres:", "postgresql:");
    assert.equal((await variables(place)).DATABASE_URL, url);
    assert.equal(await count((await variables(place)).DATABASE_URL!), 1);
    const back = await ok(place, "switch", "alice");
    assert.deepEqual(await variables(place), mine);
    const extended = await ok(place, "extend", "alice", "1d", "--json");
    assert(branch.expiresAt! >= ends + 86_400_000);
    const status = await ok(place, "status", "--json");
    assert.equal(JSON.parse(status.stdout).data.environment.status, "ready", status.stdout);
    const doctor = await ok(place, "doctor", "--json");
    assert.deepEqual(JSON.parse(doctor.stdout).data.findings, [], doctor.stdout);

    const deleted = await ok(place, "delete", "alice", "--yes", "--json");
    assert.equal(JSON.parse(deleted.stdout).data.resources[0].state, "deleted");
    assert.deepEqual([...neon.branches.values()].map(({ name }) => name), ["production", "shop-dev"]);
    await assert.rejects(ask(mine.DATABASE_URL!, "SELECT 1"));
    for (const { stdout, stderr } of [made, switched, back, extended, status, doctor, deleted]) {
      for (const secret of [KEY, ...neon.passwords]) assert(!(stdout + stderr).includes(secret), "a secret shows");
    }
  },
);

testIf(whyNot, "neon: new makes at most four calls besides polling, from whichever parent", async () => {
  const databases = { neondb: NOTES, second: "" };
  for (const [more, given] of [[{}, {}], [{ database: "neondb", role: "neondb_owner" }, { databases }]] as const) {
    await using project = await openProject(more, given);
    for (const from of ["prod", "dev"]) {
      project.neon.requests.length = 0;
      await ok(project.place, "new", `of-${from}`, "--from", from);
      const calls = callsOf(project.neon);
      assert(calls.length <= 4, JSON.stringify(calls));
      assert.equal(await count((await variables(project.place)).DATABASE_URL!), 1);
    }
  }
});

testIf(
  whyNot,
  "neon: new --at an instant or a place in the log, and a script that cleans each fork first",
  async () => {
    await using project = await openProject({ sanitize: "clean.sql" });
    const { neon, place, main } = project;
    await place.write("clean.sql", "UPDATE notes SET text = 'nobody';\n");
    await place.trust();
    const dev = neon.branch("shop-dev");
    const lsn = await neon.keep(dev, Date.now() - 600_000);
    await ask(neon.uriOf(dev), "INSERT INTO notes (text) VALUES ('later')");
    for (const [env, at, expected] of [["a", ["--at", "5m"], 1], ["b", ["--at", lsn], 1], ["c", [], 2]] as const) {
      await ok(place, "new", env, "--from", "dev", ...at);
      const { DATABASE_URL } = await variables(place);
      assert.equal(await count(DATABASE_URL!), expected, `with ${at}`);
      assert.deepEqual(await ask(DATABASE_URL!, "SELECT DISTINCT text FROM notes"), [{ text: "nobody" }]);
    }
    const late = await cli(place, "new", "d", "--from", "dev", "--at", "8h");
    assert.equal(late.code, 2, late.stderr);
    assert.match(late.stderr, /no data from that time/);
    assert.equal(await count(neon.uriOf(main)), 1);
    assert.throws(() => neon.branch("shop-d"));
  },
);

testIf(whyNot, "neon: new with schemaOnly, and --empty", async () => {
  await using project = await openProject({ schemaOnly: true });
  const { place } = project;
  const bare = JSON.parse((await ok(place, "new", "alice", "--json")).stdout).data.resources[0];
  assert.equal(bare.fork, "schema-only");
  assert.equal(await count((await variables(place)).DATABASE_URL!), 0);
  const empty = JSON.parse((await ok(place, "new", "bob", "--empty", "--json")).stdout).data.resources[0];
  assert.equal(empty.fork, "empty");
  await assert.rejects(count((await variables(place)).DATABASE_URL!), /does not exist/);
});

testIf(
  whyNot,
  "neon: new refuses what is somebody else's, a parent that is not there, and a key that is missing",
  async () => {
    await using project = await openProject();
    const { neon, place, main } = project;
    const missing = await cli(place, "new", "bob", "--from", "nobody");
    assert.equal(missing.code, 4, missing.stderr);
    await neon.add("shop-bob", { parent: main });
    const before = [...neon.branches.keys()];
    const foreign = await cli(place, "new", "bob");
    assert.equal(foreign.code, 5, foreign.stderr);
    const keyless = await run(place.root, ["new", "carol"]);
    assert.equal(keyless.code, 3, keyless.stderr);
    assert.match(keyless.stderr, /NEON_API_KEY/);
    assert.deepEqual([...neon.branches.keys()], before);
  },
);
