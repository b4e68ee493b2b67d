/**
 * An environment at Supabase, from the command line to the application's client, against the emulator.
 */
import assert from "node:assert/strict";
import { parseEnv } from "node:util";
import postgres from "npm:postgres@3.4.9";
import { startSupabase } from "../emulators/supabase.ts";
import { testIf } from "../helpers.ts";
import { PROJECT, SEED, server, whyNoServer } from "../providers/_supabase.ts";
import { type Ended, NET, Place, run } from "./run.ts";

const TOKEN = "sbp_0123456789abcdef0123456789abcdef01234567";
const PASSWORD = "canary-project-password";

/** The command line with the network that Supabase needs. */
async function cli(place: Place, ...args: string[]): Promise<Ended> {
  const env = { SUPABASE_ACCESS_TOKEN: TOKEN, SUPABASE_DB_PASSWORD: PASSWORD };
  return await run(place.root, args, { env, allow: NET });
}

async function openProject() {
  const tokens = { [TOKEN]: undefined };
  const supabase = await startSupabase({ server, projectRef: PROJECT, tokens, password: PASSWORD });
  await supabase.fill(SEED);
  return supabase;
}

const configOf = (endpoint: string, more: object = {}) => ({
  database: { provider: "supabase", projectRef: PROJECT, withData: true, endpoint, ...more },
});

async function variables(place: Place): Promise<Record<string, string | undefined>> {
  return parseEnv((await place.read(".env.local"))!);
}

testIf(whyNoServer, "supabase: new with a script, switch, status, doctor and delete", async () => {
  await using supabase = await openProject();
  supabase.add("shop-alice2");
  await using place = await Place.make(configOf(supabase.url, { sanitize: "clean.sql" }));
  await place.write("clean.sql", "UPDATE notes SET text = 'clean';");
  await place.trust();
  const made = await cli(place, "new", "alice", "--ttl", "2d", "--json");
  assert.equal(made.code, 0, made.stdout + made.stderr);
  const { data } = JSON.parse(made.stdout);
  const alice = supabase.find("shop-alice")!;
  const [resource] = data.resources;
  assert.deepEqual([resource.title, resource.id, resource.fork], ["shop-alice", alice.ref, "full-copy"]);
  const names = [
    "DATABASE_URL",
    "DATABASE_URL_UNPOOLED",
    "SUPABASE_ANON_KEY",
    "SUPABASE_JWT_SECRET",
    "SUPABASE_PUBLISHABLE_KEY",
    "SUPABASE_SECRET_KEY",
    "SUPABASE_SERVICE_ROLE_KEY",
  ];
  assert.deepEqual(data.variables.filter((name: string) => /^(DATABASE|SUPABASE)/.test(name)).sort(), names);

  const outputs = await variables(place);
  assert.equal(outputs.SUPABASE_ANON_KEY, alice.keys.anon);
  const client = postgres(outputs.DATABASE_URL!, { max: 1, onnotice: () => {} });
  assert.deepEqual([...await client`SELECT text FROM notes`], [{ text: "clean" }]);
  await client`INSERT INTO notes (text) VALUES ('alice was here')`;
  await client.end();

  const switched = await cli(place, "switch", "prod", "--json");
  assert.equal(switched.code, 0, switched.stdout + switched.stderr);
  const parents = postgres((await variables(place)).DATABASE_URL!, { max: 1 });
  const rows = [...await parents`SELECT text FROM notes`];
  await parents.end();
  assert.equal(rows.length, 1);
  assert.match(rows[0]!.text, /^canary-in-the-parent/);

  const back = await cli(place, "switch", "alice");
  assert.equal(back.code, 0, back.stderr);
  assert.equal((await variables(place)).DATABASE_URL, outputs.DATABASE_URL);
  const status = await cli(place, "status", "--json");
  assert.equal(JSON.parse(status.stdout).data.environment.status, "ready", status.stdout);
  const doctor = await cli(place, "doctor", "--json");
  assert.deepEqual(JSON.parse(doctor.stdout).data.findings, [], doctor.stdout);

  const again = await cli(place, "new", "bob", "--from", "alice");
  assert.equal(again.code, 5, again.stderr);
  assert.match(again.stderr, /"shop-alice" is itself a branch/);

  const deleted = await cli(place, "delete", "alice", "--yes", "--json");
  assert.equal(deleted.code, 0, deleted.stdout + deleted.stderr);
  assert.equal(JSON.parse(deleted.stdout).data.resources[0].state, "deleted");
  assert.deepEqual([...supabase.branches.values()].map(({ name }) => name), ["shop-alice2"]);

  const secrets = [TOKEN, PASSWORD, ...supabase.canaries(), outputs.DATABASE_URL!];
  for (const { stdout, stderr } of [made, switched, back, status, doctor, again, deleted]) {
    for (const secret of secrets) assert(!(stdout + stderr).includes(secret), "a secret shows");
  }
});

testIf(whyNoServer, "supabase: new that is refused says why by its exit code, and leaves nothing", async () => {
  await using supabase = await openProject();
  await using place = await Place.make(configOf(supabase.url, { sanitize: "clean.sql" }));
  await place.write("clean.sql", "UPDATE nowhere SET text = 'clean';");
  await place.trust();
  const unclean = await cli(place, "new", "alice");
  assert.notEqual(unclean.code, 0);
  assert.match(unclean.stderr, /database "shop-alice" cannot be sanitized \(line 1/);
  assert.equal(supabase.branches.size, 0);
  await place.write("clean.sql", "SELECT 1");
  await place.trust();
  supabase.add("shop-bob");
  const before = [...supabase.branches.values()];
  const expected: [number, RegExp, ...string[]][] = [
    [5, /has one already/, "new", "bob"],
    [4, /"shop-dev": project "[a-z]{20}" has no branch/, "new", "carol", "--from", "dev"],
    [5, /a branch has its project's migrations/, "new", "carol", "--empty"],
  ];
  for (const [code, says, ...args] of expected) {
    const ended = await cli(place, ...args);
    assert.equal(ended.code, code, ended.stderr);
    assert.match(ended.stderr, says);
  }
  const tokenless = await run(place.root, ["new", "carol"]);
  assert.equal(tokenless.code, 3, tokenless.stderr);
  assert.match(tokenless.stderr, /SUPABASE_ACCESS_TOKEN/);
  assert.deepEqual([...supabase.branches.values()], before);
});
