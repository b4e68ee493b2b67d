/**
 * An environment at PlanetScale, from the command line to the application's client, against the emulator.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseEnv } from "node:util";
import { createConnection } from "npm:mysql2@3.24.5/promise";
import { startMariaDb, whyNoMariaDb } from "../emulators/mariadb_server.ts";
import { startPlanetScale } from "../emulators/planetscale.ts";
import { VitessData } from "../emulators/planetscale_data.ts";
import { testIf } from "../helpers.ts";
import { seed } from "../providers/_planetscale.ts";
import { type Ended, NET, Place, run } from "./run.ts";

const TOKEN = "pscale_tkn_canary";
const CREDENTIALS = { PLANETSCALE_SERVICE_TOKEN_ID: "canary-id", PLANETSCALE_SERVICE_TOKEN: TOKEN };
const OPTIONS = { organization: "acme", database: "store", tokens: { [`canary-id:${TOKEN}`]: undefined } };

/** The command line with the network that PlanetScale needs. */
async function cli(place: Place, args: readonly string[], env: Record<string, string> = CREDENTIALS): Promise<Ended> {
  return await run(place.root, args, { env, allow: NET });
}

async function query(url: string, text: string): Promise<Record<string, unknown>[]> {
  const connection = await createConnection(url);
  try {
    return (await connection.query(text))[0] as Record<string, unknown>[];
  } finally {
    await connection.end();
  }
}

testIf(
  whyNoMariaDb(),
  "planetscale: new, switch, status and delete, with a script that takes the names away",
  async () => {
    await using server = await startMariaDb();
    await using data = await VitessData.open(server, "store");
    await using planetscale = await startPlanetScale({ ...OPTIONS, data });
    const main = await planetscale.add("main", {}, false);
    planetscale.made.add(main.id);
    await seed(data, main.id);
    await planetscale.add("shop-alice2");
    const database = {
      provider: "planetscale",
      organization: "acme",
      database: "store",
      withData: true,
      sanitize: "clean.sql",
      endpoint: planetscale.url,
    };
    await using place = await Place.make({ project: "shop", database });
    writeFileSync(join(place.root, "clean.sql"), "UPDATE notes SET text = 'nobody';\n");
    await place.trust();

    const made = await cli(place, ["new", "alice", "--ttl", "2d", "--json"]);
    assert.equal(made.code, 0, made.stdout + made.stderr);
    const { data: { resources: [resource], variables } } = JSON.parse(made.stdout);
    const branch = planetscale.branches.get("shop-alice")!;
    assert.deepEqual([resource.title, resource.id, resource.fork], ["shop-alice", branch.id, "full-copy"]);
    assert.deepEqual(variables.filter((name: string) => name.startsWith("DATABASE")), ["DATABASE_URL"]);
    const url = parseEnv((await place.read(".env.local"))!).DATABASE_URL!;
    assert.deepEqual(await query(url, "SELECT text FROM notes"), [{ text: "nobody" }]);
    await query(url, "INSERT INTO notes VALUES (2, 'alice was here')");

    const switched = await cli(place, ["switch", "prod", "--json"]);
    assert.equal(switched.code, 0, switched.stdout + switched.stderr);
    const prod = parseEnv((await place.read(".env.local"))!).DATABASE_URL!;
    assert.equal((await query(prod, "SELECT * FROM notes")).length, 1);
    const back = await cli(place, ["switch", "alice"]);
    assert.equal(back.code, 0, back.stderr);
    assert.equal(parseEnv((await place.read(".env.local"))!).DATABASE_URL, url);
    const status = await cli(place, ["status", "--json"]);
    assert.equal(JSON.parse(status.stdout).data.environment.status, "ready", status.stdout);
    const doctor = await cli(place, ["doctor", "--json"]);
    assert.deepEqual(JSON.parse(doctor.stdout).data.findings, [], doctor.stdout);

    const deleted = await cli(place, ["delete", "alice", "--yes", "--json"]);
    assert.equal(deleted.code, 0, deleted.stdout + deleted.stderr);
    assert.equal(JSON.parse(deleted.stdout).data.resources[0].state, "deleted");
    assert.deepEqual([...planetscale.branches.keys()], ["main", "shop-alice2"]);
    await assert.rejects(query(url, "SELECT 1"), /denied/);

    for (const { stdout, stderr } of [made, switched, back, status, doctor, deleted]) {
      for (const secret of [TOKEN, ...planetscale.secrets]) {
        assert(!(stdout + stderr).includes(secret), "a secret shows");
      }
    }
  },
);

testIf(
  whyNoMariaDb(),
  "planetscale: new takes a branch away again on which the script fails, and names its line",
  async () => {
    await using server = await startMariaDb();
    await using data = await VitessData.open(server, "store");
    await using planetscale = await startPlanetScale({ ...OPTIONS, data });
    await planetscale.add("main");
    const database = { provider: "planetscale", organization: "acme", database: "store", sanitize: "clean.sql" };
    await using place = await Place.make({ project: "shop", database: { ...database, endpoint: planetscale.url } });
    writeFileSync(join(place.root, "clean.sql"), "CREATE TABLE made (x INTEGER);\nINSERT INTO nowhere VALUES (1);\n");
    await place.trust();
    const failed = await cli(place, ["new", "alice"]);
    assert.equal(failed.code, 2, failed.stderr);
    assert.match(failed.stderr, /line 2: the server refused it \(ER_NO_SUCH_TABLE\)/);
    assert.deepEqual([...planetscale.branches.keys()], ["main"]);
  },
);

Deno.test("planetscale: new refuses a name that somebody else has, a parent that is not there, and missing credentials", async () => {
  await using planetscale = await startPlanetScale(OPTIONS);
  const database = { provider: "planetscale", organization: "acme", database: "store", endpoint: planetscale.url };
  await using place = await Place.make({ project: "shop", database });
  await planetscale.add("main");
  await planetscale.add("shop-bob");
  const before = [...planetscale.branches.values()];
  const missing = await cli(place, ["new", "bob", "--from", "dev"]);
  assert.equal(missing.code, 5, missing.stderr);
  const absent = await cli(place, ["new", "carol", "--from", "dev"]);
  assert.equal(absent.code, 4, absent.stderr);
  assert.match(absent.stderr, /"shop-dev": database "store" has none/);
  const foreign = await cli(place, ["new", "bob"]);
  assert.equal(foreign.code, 5, foreign.stderr);
  const unknown = await cli(place, ["new", "carol"], { ...CREDENTIALS, PLANETSCALE_SERVICE_TOKEN: "old" });
  assert.equal(unknown.code, 3, unknown.stderr);
  const tokenless = await cli(place, ["new", "carol"], {});
  assert.equal(tokenless.code, 3, tokenless.stderr);
  assert.match(tokenless.stderr, /PLANETSCALE_SERVICE_TOKEN_ID and PLANETSCALE_SERVICE_TOKEN/);
  assert.deepEqual([...planetscale.branches.values()], before);
});
