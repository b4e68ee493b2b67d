/**
 * An environment at Turso, from the command line to the application's client, against the emulator.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { parseEnv } from "node:util";
import { createClient } from "npm:@libsql/client@0.18.0/web";
import { startTurso } from "../emulators/turso.ts";
import { seedFile } from "../providers/_turso.ts";
import { type Ended, NET, Place, run } from "./run.ts";

const TOKEN = "header.platform-canary.token";

/** The command line with the network that Turso needs. */
async function cli(place: Place, ...args: string[]): Promise<Ended> {
  return await run(place.root, args, { env: { TURSO_API_TOKEN: TOKEN }, allow: NET });
}

async function variables(place: Place): Promise<Record<string, string | undefined>> {
  return parseEnv((await place.read(".env.local"))!);
}

Deno.test("turso: new, switch, status and delete, with four calls besides polling", async () => {
  await using turso = await startTurso({ organization: "acme", tokens: { [TOKEN]: undefined } });
  const database = { provider: "turso", organization: "acme", endpoint: turso.url };
  await using place = await Place.make({ project: "shop", database });
  const seed = join(place.above, "seed.db");
  seedFile(seed);
  turso.add("shop", seed);
  turso.add("shop-alice2", seed);

  const made = await cli(place, "new", "alice", "--ttl", "2d", "--json");
  assert.equal(made.code, 0, made.stdout + made.stderr);
  const calls = turso.requests.filter(({ path }) => path.startsWith("/v1/")).map(({ method, path }) => [method, path]);
  assert(calls.length <= 4, JSON.stringify(calls));
  const { data } = JSON.parse(made.stdout);
  const [resource] = data.resources;
  assert.deepEqual([resource.title, resource.id], ["shop-alice", turso.databases.get("shop-alice")!.id]);
  assert.deepEqual(data.variables.filter((name: string) => name.startsWith("DATABASE")).sort(), [
    "DATABASE_AUTH_TOKEN",
    "DATABASE_URL",
  ]);

  const { DATABASE_URL: url, DATABASE_AUTH_TOKEN: authToken } = await variables(place);
  assert.match(url!, /^libsql:\/\/127\.0\.0\.1:\d+\/shop-alice\/\?tls=0$/);
  const client = createClient({ url: url!, authToken: authToken! });
  await client.execute("INSERT INTO notes (text) VALUES ('alice was here')");
  assert.equal((await client.execute("SELECT count(*) AS n FROM notes")).rows[0]!.n, 2);

  const switched = await cli(place, "switch", "prod", "--json");
  assert.equal(switched.code, 0, switched.stdout + switched.stderr);
  const prod = await variables(place);
  assert.match(prod.DATABASE_URL!, /\/shop\/\?tls=0$/);
  const parents = createClient({ url: prod.DATABASE_URL!, authToken: prod.DATABASE_AUTH_TOKEN! });
  assert.equal((await parents.execute("SELECT count(*) AS n FROM notes")).rows[0]!.n, 1);
  parents.close();

  const back = await cli(place, "switch", "alice");
  assert.equal(back.code, 0, back.stderr);
  assert.equal((await variables(place)).DATABASE_AUTH_TOKEN, authToken);
  const status = await cli(place, "status", "--json");
  assert.equal(JSON.parse(status.stdout).data.environment.status, "ready", status.stdout);
  const doctor = await cli(place, "doctor", "--json");
  assert.deepEqual(JSON.parse(doctor.stdout).data.findings, [], doctor.stdout);

  const deleted = await cli(place, "delete", "alice", "--yes", "--json");
  assert.equal(deleted.code, 0, deleted.stdout + deleted.stderr);
  assert.equal(JSON.parse(deleted.stdout).data.resources[0].state, "deleted");
  assert.deepEqual([...turso.databases.keys()], ["shop", "shop-alice2"]);
  await assert.rejects(client.execute("SELECT 1"));
  client.close();

  const secrets = [TOKEN, ...turso.dataTokens.keys()];
  for (const { stdout, stderr } of [made, switched, back, status, doctor, deleted]) {
    for (const secret of secrets) assert(!(stdout + stderr).includes(secret), "a secret shows");
  }
});

Deno.test("turso: new refuses a name that somebody else has, a parent that is not there, and a token that is missing", async () => {
  await using turso = await startTurso({ organization: "acme", tokens: { [TOKEN]: undefined } });
  const database = { provider: "turso", organization: "acme", endpoint: turso.url };
  await using place = await Place.make({ project: "shop", database });
  const missing = await cli(place, "new", "bob");
  assert.equal(missing.code, 4, missing.stderr);
  turso.add("shop", undefined);
  turso.add("shop-bob", undefined);
  const before = [...turso.databases.values()];
  const foreign = await cli(place, "new", "bob");
  assert.equal(foreign.code, 5, foreign.stderr);
  const tokenless = await run(place.root, ["new", "carol"]);
  assert.equal(tokenless.code, 3, tokenless.stderr);
  assert.match(tokenless.stderr, /TURSO_API_TOKEN/);
  assert.deepEqual([...turso.databases.values()], before);
});
