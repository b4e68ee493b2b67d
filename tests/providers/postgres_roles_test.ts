/** Row-level security, grants and `SET ROLE` in a fork. */
import assert from "node:assert/strict";
import provider from "../../providers/database/postgres.ts";
import {
  byMaker,
  current,
  old,
  onServer,
  type Options,
  targetOf,
  thingsOf,
  urlOf,
  whyNoCurrent,
  whyNoOld,
} from "./_postgres.ts";
import { hasCode } from "./_special.ts";

const TENANTS = `CREATE TABLE rows (tenant text, x int); INSERT INTO rows VALUES ('a', 1), ('a', 2), ('b', 3);
  ALTER TABLE rows ENABLE ROW LEVEL SECURITY; GRANT SELECT ON rows TO reader;
  CREATE POLICY own ON rows TO reader USING (tenant = current_setting('app.tenant', true));
  CREATE TABLE forced AS SELECT * FROM rows; ALTER TABLE forced ENABLE ROW LEVEL SECURITY;
  ALTER TABLE forced FORCE ROW LEVEL SECURITY; CREATE POLICY odd ON forced USING (x % 2 = 1)`;

const CASES = [[old, whyNoOld, "template"], [old, whyNoOld, "dump"], [current, whyNoCurrent, "template"]] as const;
for (const [server, reason, strategy] of CASES) {
  onServer(
    server,
    reason,
    `row-level security and SET ROLE are the parent's, by ${strategy}`,
    async (server, context) => {
      await server.query('CREATE ROLE reader; GRANT CONNECT ON DATABASE "shop-dev" TO reader');
      await server.query(TENANTS, "shop-dev");
      const options: Options = { strategy, setRoles: ["reader"] };
      const fork = await provider.create(context, targetOf("alice", { options }));
      const url = await urlOf(context, fork);
      const seen = await server.session(url, async (query) => {
        const count = async (table: string) => (await query(`SELECT count(*)::int AS n FROM ${table}`))[0].n;
        const asOwner = [await count("rows"), await count("forced")];
        await query("BEGIN; SET LOCAL ROLE reader; SET LOCAL app.tenant = 'a'");
        const asReader = [await count("rows")];
        await query("COMMIT");
        await query("SET ROLE reader");
        return [...asOwner, ...asReader, await count("rows")];
      });
      assert.deepEqual(seen, [3, 2, 2, 0], "its owner sees all, unless they are forced; a reader sees a tenant's");
      const parent = url.replace(/\/[^/]*$/, "/shop-dev");
      await assert.rejects(
        server.query("SELECT 1", "", parent),
        /permission denied for database/,
        "though a reader may",
      );
      await assert.rejects(server.query("SET ROLE postgres", "", url), /permission denied/);
      await (await provider.reset!(context, fork, targetOf("alice", { options }))).commit();
      await server.query("SET ROLE reader", "", url);
      assert.equal(await provider.delete(context, fork, targetOf("alice")), "deleted");
      assert.deepEqual(await server.query("SELECT rolinherit FROM pg_roles WHERE rolname = 'reader'"), [{
        rolinherit: true,
      }]);
    },
  );
}

onServer(old, whyNoOld, "SET ROLE for a role without superuser, and without setRoles", async (server) => {
  await server.query("CREATE ROLE reader");
  const context = await byMaker(server);
  const options: Options = { strategy: "template", setRoles: ["reader"] };
  const fork = await provider.create(context, targetOf("alice", { options }));
  await server.query("SET ROLE reader", "", await urlOf(context, fork));
  const other = await provider.create(context, targetOf("bob", { options: { strategy: "template" } }));
  await assert.rejects(server.query("SET ROLE reader", "", await urlOf(context, other)), /permission denied/);
});

const HARMFUL: Readonly<Record<string, readonly [sql: string, reason: RegExp]>> = {
  "is not there": ["SELECT 1", /none of this name/],
  "may log in": ["CREATE ROLE reader LOGIN", /it may log in/],
  "is a superuser": ["CREATE ROLE reader SUPERUSER", /it is a superuser/],
  "may make roles": ["CREATE ROLE reader CREATEROLE", /it may make databases or roles/],
  "owns a database": ['CREATE ROLE reader; ALTER DATABASE "shop-dev" OWNER TO reader', /it owns a database/],
  "may read the server's files": [
    "CREATE ROLE reader IN ROLE pg_read_server_files",
    /pg_read_server_files.*rights on the server/,
  ],
  "is a member of a login": ["CREATE ROLE login LOGIN; CREATE ROLE reader IN ROLE login", /role "login".*may log in/],
  "is a member of a member of an owner": [
    'CREATE ROLE own; ALTER DATABASE "shop-dev" OWNER TO own; CREATE ROLE mid IN ROLE own; CREATE ROLE reader IN ROLE mid',
    /role "own".*owns a database/,
  ],
  "is another fork's": ["SELECT 1", /it owns a database/],
};
for (const [what, [sql, reason]] of Object.entries(HARMFUL)) {
  onServer(old, whyNoOld, `setRoles refuses a role that ${what}`, async (server, context) => {
    await server.query(sql);
    const isOther = what === "is another fork's";
    if (isOther) await provider.create(context, targetOf("bob"));
    const before = await thingsOf(server);
    const options: Options = { setRoles: [isOther ? "shop-bob" : "reader"] };
    await assert.rejects(provider.create(context, targetOf("alice", { options })), (error: Error) => {
      assert.match(error.message, reason);
      return hasCode("CONFIG_INVALID")(error);
    });
    assert.deepEqual(await thingsOf(server), before);
  });
}
