/** Ways out of a parent, which its forks don't get unless asked: each is tried from a fork, towards a second server. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import provider from "../../providers/database/postgres.ts";
import { type Server, startServer } from "../emulators/postgres_server.ts";
import {
  byMaker,
  debian,
  old,
  onServer,
  type Options,
  targetOf,
  thingsOf,
  urlOf,
  whyNoOld,
  whyWithout,
} from "./_postgres.ts";
import { hasCode } from "./_special.ts";

const whyNot = await whyWithout("dblink", old, whyNoOld);
/** The server that parents reach: a database with one table, and the role that may write to it. */
const second: Server | undefined = "bin" in debian && whyNot === undefined ? await startServer(debian.bin) : undefined;
const PASSWORD = "canary-of-the-second-server";
await second?.query(
  `CREATE ROLE far LOGIN PASSWORD '${PASSWORD}'; CREATE TABLE far (x int); ALTER TABLE far OWNER TO far`,
);
const port = second?.port;
if (second !== undefined) writeFileSync(join(old!.directory, "rows"), "7\n", { mode: 0o644 });

const SERVER = `CREATE EXTENSION postgres_fdw;
  CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '${port}', dbname 'postgres');
  CREATE USER MAPPING FOR PUBLIC SERVER elsewhere OPTIONS (user 'far', password '${PASSWORD}')`;
const FAR =
  `${SERVER}; CREATE FOREIGN TABLE far (x int OPTIONS (column_name 'x')) SERVER elsewhere OPTIONS (table_name 'far')`;
const CALL = `host=127.0.0.1 port=${port} dbname=postgres user=far password=${PASSWORD}`;

/** Ways out by their names: what makes one in a parent, and what uses it in a fork. */
const WAYS: Readonly<Record<string, readonly [made: string, used: string]>> = {
  "a foreign table": [FAR, "INSERT INTO far VALUES (1)"],
  "a view of a foreign table": [`${FAR}; CREATE VIEW seen AS SELECT * FROM far`, "SELECT * FROM seen"],
  "a materialized view of a foreign table": [
    `${FAR}; CREATE MATERIALIZED VIEW held AS SELECT * FROM far`,
    "REFRESH MATERIALIZED VIEW held",
  ],
  "a foreign partition": [
    `${SERVER}; CREATE TABLE parts (x int) PARTITION BY RANGE (x);
      CREATE FOREIGN TABLE far PARTITION OF parts FOR VALUES FROM (0) TO (9) SERVER elsewhere`,
    "INSERT INTO parts VALUES (1)",
  ],
  "a function that is its definer's": [
    `${FAR}; CREATE FUNCTION go() RETURNS void LANGUAGE sql SECURITY DEFINER AS 'INSERT INTO far VALUES (1)'`,
    "SELECT go()",
  ],
  "a foreign schema to import": [
    `${SERVER}; GRANT USAGE ON FOREIGN SERVER elsewhere TO PUBLIC`,
    `CREATE SCHEMA got;
    IMPORT FOREIGN SCHEMA public FROM SERVER elsewhere INTO got`,
  ],
  "dblink to a server": [
    `CREATE EXTENSION dblink; ${SERVER}; GRANT USAGE ON FOREIGN SERVER elsewhere TO PUBLIC`,
    "SELECT dblink_exec('elsewhere', 'INSERT INTO far VALUES (1)')",
  ],
  "dblink in a function": [
    `CREATE EXTENSION dblink; CREATE FUNCTION go() RETURNS text LANGUAGE sql
      AS $$SELECT dblink_exec('${CALL}', 'INSERT INTO far VALUES (1)')$$`,
    "SELECT go()",
  ],
  "dblink in a view": [
    `CREATE EXTENSION dblink; CREATE VIEW far AS SELECT * FROM dblink('${CALL}', 'SELECT x FROM far') AS t(x int)`,
    "SELECT * FROM far",
  ],
  "dblink granted to everybody by name": [
    `CREATE EXTENSION dblink; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO PUBLIC, pg_monitor`,
    `SELECT dblink_connect('${CALL}')`,
  ],
  "a file of the server": [
    `CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
      CREATE FOREIGN TABLE rows (x int) SERVER files OPTIONS (filename '${old?.directory}/rows')`,
    "SELECT * FROM rows",
  ],
  "a program of the server": [
    `CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
      CREATE FOREIGN TABLE rows (x int) SERVER files OPTIONS (program 'echo 7')`,
    "SELECT * FROM rows",
  ],
};

/** Everything in which a catalog holds how to reach another server. */
async function optionsIn(server: Server, database: string): Promise<string> {
  const [{ found }] = await server.query(
    `SELECT (SELECT json_agg(m) FROM pg_user_mapping m)::text || (SELECT json_agg(srvoptions) FROM pg_foreign_server)::text
      || coalesce((SELECT json_agg(ftoptions) FROM pg_foreign_table)::text, '') AS found`,
    database,
  );
  return found ?? "";
}

for (const strategy of ["template", "dump"] as const) {
  for (const [name, [made, used]] of Object.entries(WAYS)) {
    onServer(old, whyNot, `${name}, by ${strategy}: a fork gets it only if asked`, async (server, context) => {
      await server.query(made, "shop-dev");
      const before = await optionsIn(server, "shop-dev");
      for (const allowOutbound of [undefined, true]) {
        await second!.query("TRUNCATE far");
        const options: Options = { strategy, ...(allowOutbound && { allowOutbound }) };
        const fork = await provider.create(context, targetOf("alice", { options }));
        const run = server.query(used, "", await urlOf(context, fork));
        if (allowOutbound) await run;
        else {
          await assert.rejects(run, /permission denied|has no handler|user mapping not found/);
          assert.deepEqual(await second!.query("SELECT * FROM far"), []);
          assert(!(await optionsIn(server, fork.name)).includes(PASSWORD));
        }
        await provider.delete(context, fork, targetOf("alice"));
      }
      assert.equal(await optionsIn(server, "shop-dev"), before, "the parent keeps its own");
    });
  }

  onServer(old, whyNot, `a subscription, by ${strategy}, is never a fork's`, async (server, context) => {
    await server.query(
      `CREATE SUBSCRIPTION to_far CONNECTION '${CALL}' PUBLICATION none WITH (connect = false)`,
      "shop-dev",
    );
    try {
      const options: Options = { strategy, allowOutbound: true };
      const fork = await provider.create(context, targetOf("alice", { options }));
      const found = await server.query("SELECT datname FROM pg_subscription JOIN pg_database d ON d.oid = subdbid");
      assert.deepEqual(found, [{ datname: "shop-dev" }]);
      await provider.delete(context, fork, targetOf("alice"));
    } finally {
      await server.query("ALTER SUBSCRIPTION to_far SET (slot_name = NONE)", "shop-dev");
      await server.query("DROP SUBSCRIPTION to_far", "shop-dev");
    }
  });
}

onServer(old, whyNot, "a role without superuser closes what it owns", async (server) => {
  await server.query("CREATE EXTENSION postgres_fdw; CREATE EXTENSION dblink", "shop-dev");
  await server.query("GRANT USAGE ON FOREIGN DATA WRAPPER postgres_fdw TO PUBLIC", "shop-dev");
  const context = await byMaker(server, FAR.replace("CREATE EXTENSION postgres_fdw;", ""));
  const fork = await provider.create(context, targetOf("alice", { options: { strategy: "template" } }));
  const url = await urlOf(context, fork);
  await assert.rejects(server.query("SELECT * FROM far", "", url), /user mapping not found/);
  assert(!(await optionsIn(server, fork.name)).includes("127.0.0.1"));
  assert((await optionsIn(server, "shop-dev")).includes(PASSWORD));
});

const KEPT: Readonly<Record<string, readonly [made: string, named: RegExp]>> = {
  "another's server": [FAR, /user mapping of server elsewhere/],
  "another's wrapper of files": [WAYS["a file of the server"]![0], /foreign-data wrapper file_fdw/],
  "a function that calls dblink": [WAYS["dblink in a function"]![0], /function .*go\(\)/],
  "a view that calls dblink": [WAYS["dblink in a view"]![0], /view .*far/],
  "a function of another schema that calls it": [
    "CREATE EXTENSION dblink; CREATE SCHEMA inner_one; CREATE FUNCTION inner_one.go() RETURNS void LANGUAGE plpgsql " +
    "AS 'BEGIN PERFORM public.dblink_connect (''x''); END'",
    /function inner_one\.go\(\)/,
  ],
};
for (const [name, [made, named]] of Object.entries(KEPT)) {
  onServer(old, whyNot, `a role without superuser is told of ${name}`, async (server) => {
    await server.query(made, "shop-dev");
    const context = await byMaker(server);
    const before = await thingsOf(server);
    const target = targetOf("alice", { options: { strategy: "template" } });
    await assert.rejects(provider.create(context, target), (error: Error) => {
      assert.match(error.message, named);
      assert(!error.message.includes(PASSWORD));
      return hasCode("PARENT_OUTBOUND")(error);
    });
    const seen = await provider.inspect(context, target);
    assert(seen.state === "pending");
    await provider.delete(context, seen.fork, target);
    assert.deepEqual(await thingsOf(server), before);
  });
}
