/** Further rights of the logins of a fork: databases of their own, and what they reach; limits of connections. */
import assert from "node:assert/strict";
import type { Context, Fork } from "../../core/provider.ts";
import type { Secret } from "../../core/secret.ts";
import provider from "../../providers/database/postgres.ts";
import { Proxy } from "../emulators/postgres_server.ts";
import {
  byMaker,
  contextOf,
  current,
  make,
  namesOf,
  NOTES,
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

const MAKES: Options = { strategy: "template", createDatabases: true };

async function urlsOf(context: Context, fork: Fork): Promise<Record<string, string>> {
  const outputs = Object.entries(await provider.outputs(context, fork, targetOf("alice")));
  return Object.fromEntries(outputs.map(([name, value]) => [name, (value as Secret).reveal()]));
}

/** The same login at another database. */
const at = (url: string, database: string) => url.replace(/\/[^/]*$/, `/${encodeURIComponent(database)}`);

for (const [server, reason] of [[old, whyNoOld], [current, whyNoCurrent]] as const) {
  for (const who of ["a superuser", "a role without superuser"]) {
    onServer(server, reason, `logins make databases, deleted with their fork, for ${who}`, async (server, root) => {
      const context = who === "a superuser" ? root : await byMaker(server);
      const before = await namesOf(server);
      const target = targetOf("alice", { options: MAKES });
      const fork = await provider.create(context, target);
      const { DATABASE_URL: url, SHADOW_DATABASE_URL: shadow } = await urlsOf(context, fork);
      // Django's runner: https://docs.djangoproject.com/en/5.2/topics/testing/overview/#the-test-database
      await server.query('CREATE DATABASE "test_shop-alice"', "", at(url!, "postgres"));
      await server.query("CREATE TABLE made (x int)", "", at(url!, "test_shop-alice"));
      await server.query('DROP DATABASE "test_shop-alice"', "", at(url!, "postgres"));
      await server.query('CREATE DATABASE "test_shop-alice"', "", at(url!, "postgres"));
      // Prisma: https://www.prisma.io/docs/orm/prisma-migrate/understanding-prisma-migrate/shadow-database
      await server.query("CREATE TABLE migrated (x int); DROP SCHEMA public CASCADE; CREATE SCHEMA public", "", shadow);
      await server.query('CREATE DATABASE "prisma_migrate_shadow_db_1"', "", url);
      await server.query(`CREATE DATABASE made TEMPLATE "prisma_migrate_shadow_db_1"; `, "", url);
      await server.query("ALTER DATABASE made IS_TEMPLATE true", "", url);
      const { sizeBytes } = await provider.usage!(context, fork, target);
      assert(sizeBytes > 5 * 5_000_000, `${sizeBytes} bytes of five databases`);
      await (await provider.reset!(context, fork, target)).commit();
      await server.query("SELECT 1", "", shadow);
      assert.equal(await provider.delete(context, fork, target), "deleted");
      assert.deepEqual(await namesOf(server), before);
      assert.equal(await provider.delete(context, fork, target), "absent");
    });
  }
}

onServer(old, whyNoOld, "a login that may make databases reaches no other environment's", async (server, context) => {
  await make(server, "shop", NOTES);
  const [alice, bob] = [
    await provider.create(context, targetOf("alice", { options: MAKES })),
    await provider.create(context, targetOf("bob", { options: MAKES })),
  ];
  const [{ DATABASE_URL: url }, { SHADOW_DATABASE_URL: shadow }] = [
    await urlsOf(context, alice),
    await urlsOf(context, bob),
  ];
  const shadowOfBob = decodeURIComponent(new URL(shadow!).pathname.slice(1));
  for (const other of ["shop", "shop-dev", "shop-bob", shadowOfBob]) {
    await assert.rejects(server.query("SELECT 1", "", at(url!, other)), /permission denied for database/, other);
    for (
      const statement of [
        `CREATE DATABASE stolen TEMPLATE "${other}"`,
        `DROP DATABASE "${other}"`,
        `ALTER DATABASE "${other}" RENAME TO gone`,
        `ALTER DATABASE "${other}" OWNER TO "shop-alice"`,
      ]
    ) await assert.rejects(server.query(statement, "", url), /permission denied|must be owner/, statement);
  }
  for (
    const statement of ["CREATE ROLE more", 'ALTER ROLE "shop-bob" CREATEDB', 'CREATE DATABASE x OWNER "shop-bob"']
  ) {
    await assert.rejects(server.query(statement, "", url), /permission denied|must/, statement);
  }
  // What bob's logins made, PostgreSQL opens to every role: rows and schemas stay his.
  await server.query("CREATE DATABASE of_bob", "", shadow);
  await server.query("CREATE TABLE held AS SELECT 1 AS x", "", at(shadow!, "of_bob"));
  const there = at(url!, "of_bob");
  await assert.rejects(server.query("SELECT * FROM held", "", there), /permission denied/);
  await assert.rejects(server.query("CREATE TABLE mine (x int)", "", there), /permission denied/);
  await provider.delete(context, alice, targetOf("alice"));
  assert.deepEqual(await server.query("SELECT x FROM held", "of_bob"), [{ x: 1 }], "another fork's stays");
});

onServer(old, whyNoOld, "without createDatabases a login makes none, and has no shadow", async (server, context) => {
  const fork = await provider.create(context, targetOf("alice"));
  const urls = await urlsOf(context, fork);
  assert.deepEqual(Object.keys(urls), ["DATABASE_URL"]);
  await assert.rejects(server.query("CREATE DATABASE made", "", urls.DATABASE_URL), /permission denied/);
  const [dev] = await server.query(
    "SELECT oid::text AS id, datname AS name FROM pg_database WHERE datname = 'shop-dev'",
  );
  assert.deepEqual(Object.keys(await urlsOf(context, dev)), ["DATABASE_URL"], "of a base environment");
});

for (
  const [which, bases] of [["shop-dev", undefined], ["shop", undefined], ["old_prod", { prod: "old_prod" }]] as const
) {
  onServer(old, whyNoOld, `a template that logins could copy is PARENT_OPEN: ${which}`, async (server, context) => {
    if (which !== "shop-dev") await make(server, which);
    await server.query(`ALTER DATABASE "${which}" IS_TEMPLATE true`);
    const before = await thingsOf(server);
    try {
      const target = targetOf("alice", { options: MAKES, bases });
      await assert.rejects(provider.create(context, target), hasCode("PARENT_OPEN"));
      assert.deepEqual(await thingsOf(server), before);
      await provider.create(context, targetOf("alice", { bases }));
    } finally {
      await server.query(`ALTER DATABASE "${which}" IS_TEMPLATE false`);
    }
  });
}

for (const strategy of ["template", "dump"] as const) {
  for (const [limit, kept] of [[7, 7], [-1, -1], [0, -1]]) {
    onServer(old, whyNoOld, `CONNECTION LIMIT ${limit} by ${strategy} is ${kept}`, async (server, context) => {
      await server.query(`ALTER DATABASE "shop-dev" CONNECTION LIMIT ${limit}`);
      const target = targetOf("alice", { options: { strategy } });
      const fork = await provider.create(context, target);
      const limitOf = async () =>
        (await server.query(`SELECT datconnlimit AS n FROM pg_database WHERE datname = '${fork.name}'`))[0].n;
      assert.equal(await limitOf(), kept);
      await (await provider.reset!(context, fork, target)).commit();
      assert.equal(await limitOf(), kept);
      await server.query("SELECT 1", "", await urlOf(context, fork));
    });
  }
}

onServer(old, whyNoOld, "no login gets into a copy before it is whole", async (server, direct) => {
  const target = targetOf("alice", { options: { strategy: "template" } });
  const fork = await provider.create(direct, target);
  const url = at(await urlOf(direct, fork), `forkstack_new_${fork.id}`);
  await using proxy = new Proxy(server);
  const context = contextOf(server.url("postgres", proxy.port));
  const met = new Set<string>();
  proxy.onStatement = async () => {
    const found = await server.query(`SELECT 1 FROM pg_database WHERE datname = 'forkstack_new_${fork.id}'
      AND datconnlimit = 0`);
    if (found.length === 0) return;
    met.add(await server.query("SELECT 1", "", url).then(() => "let in", ({ message }) => message));
  };
  await (await provider.reset!(context, fork, target)).commit();
  assert.match([...met].join(), /^too many connections for database "forkstack_new_\d+"$/);
});
