import assert from "node:assert/strict";
import * as fs from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import postgres from "npm:postgres@3.4.9";
import { formatMarker } from "../../core/marker.ts";
import provider from "../../providers/database/postgres.ts";
import { NET, Place, run } from "../cli/run.ts";
import { type Emulator, testProvider, type World } from "../conformance.ts";
import { mountImage, testIf, whyNoMount } from "../helpers.ts";
import { type Server, startServer } from "../emulators/postgres_server.ts";
import {
  CANARY,
  contentOf,
  contextOf,
  current,
  make,
  namesOf,
  NOTES,
  npm,
  old,
  onServer,
  targetOf,
  thingsOf,
  urlOf,
  whyNoCurrent,
  whyNoOld,
  wipe,
} from "./_postgres.ts";
import { hasCode } from "./_special.ts";

const CHINOOK = new URL("../../../shared/data/chinook/Chinook_PostgreSql.sql", import.meta.url);

function emulator(server: Server): Emulator {
  const titleOf = (env: string) => `myapp-${env}`;
  let filled: Promise<void> | undefined;
  let kept: Set<string> | undefined;
  return {
    async open(given) {
      await (filled ??= (async () => {
        await wipe(server);
        await make(server, titleOf("dev"), NOTES);
        for (const near of ["alic", "alice2"]) await make(server, titleOf(near), "CREATE TABLE near (x int)");
        await server.query('CREATE ROLE "myapp-alice-2" LOGIN');
        const others = [
          { stack: "another-stack", env: "carol", resource: given.resource },
          { stack: given.stack, env: "dave", resource: "another.resource" },
        ];
        for (const { stack, env, resource } of others) {
          const marker = { stack, env, resource, operation: "long ago" };
          const target = targetOf(env, { stack, resource, name: titleOf(env), parent: titleOf("dev"), marker });
          await provider.create(contextOf(server.url()), target);
        }
        const names = "SELECT datname AS name FROM pg_database UNION SELECT rolname FROM pg_roles";
        kept = new Set((await server.query(names)).map(({ name }) => name));
      })());
      const world: World = {
        project: "myapp",
        root: "/",
        context: contextOf(server.url()),
        parent: titleOf("dev"),
        absentParent: titleOf("no-such"),
        titleOf,
        things: () => thingsOf(server),
        contentOf: (name) => contentOf(server, name),
        change: async (name) => void await server.query("CREATE TABLE mine (x int); INSERT INTO mine VALUES (1)", name),
        async placeForeign(name, as) {
          await make(server, name, as?.isEmpty ? "" : "CREATE TABLE theirs (x int)");
          if (as?.markOf === undefined) return;
          const [{ note }] = await server.query(`SELECT shobj_description(oid, 'pg_database') AS note FROM pg_database
            WHERE datname = '${as.markOf}'`);
          await server.query(`COMMENT ON DATABASE "${name}" IS '${note}'`);
        },
        async rehand(fork, marker) {
          for (const what of ["DATABASE", "ROLE"]) {
            const from = what === "ROLE" ? "pg_authid" : "pg_database";
            const [{ note }] = await server.query(`SELECT shobj_description(oid, '${from}') AS note FROM ${from}
              WHERE ${what === "ROLE" ? "rolname" : "datname"} = '${fork.name}'`);
            const rest = note.slice(note.indexOf(" "));
            await server.query(`COMMENT ON ${what} "${fork.name}" IS '${formatMarker(marker)}${rest}'`);
          }
        },
        canaries: () => [CANARY, server.password],
        close: () => wipe(server, (name) => kept!.has(name)),
      };
      return world;
    },
  };
}

for (const [server, options] of [[old, {}], [current, { strategy: "template", createDatabases: true }]] as const) {
  if (server !== undefined) {
    testProvider({ provider, emulator: emulator(server), options }, { isVariant: server === current });
  }
}

onServer(
  old,
  whyNoOld,
  "a fork's role owns all in its fork and reaches neither parent nor neighbour",
  async (server, context) => {
    await server.query(
      `CREATE SCHEMA inner_one; CREATE TYPE mood AS ENUM ('a'); CREATE DOMAIN small AS int CHECK (VALUE < 9);
     CREATE TABLE inner_one.t (id bigint GENERATED ALWAYS AS IDENTITY, m mood); CREATE VIEW v AS SELECT 1 AS one;
     CREATE MATERIALIZED VIEW mv AS SELECT 1 AS one; CREATE SEQUENCE free; CREATE EXTENSION pgcrypto;
     CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE TYPE pair AS (a int, b int);
     CREATE TYPE span AS RANGE (subtype = int); ALTER DATABASE "shop-dev" SET search_path = inner_one, public;
     SELECT lo_create(4711)`,
      "shop-dev",
    );
    const [alice, bob] = [
      await provider.create(context, targetOf("alice")),
      await provider.create(context, targetOf("bob")),
    ];
    const url = await urlOf(context, alice);
    const own = await server.query(
      `ALTER TABLE notes ADD COLUMN more int; ALTER TABLE t ADD COLUMN more int; ALTER TYPE mood ADD VALUE 'b';
     DROP VIEW v; REFRESH MATERIALIZED VIEW mv; DROP FUNCTION f(); DROP TYPE pair; DROP DOMAIN small; DROP TYPE span;
     SELECT lo_unlink(4711); ALTER SEQUENCE free RESTART; SHOW search_path`,
      alice.name,
      url,
    );
    assert.match(JSON.stringify(own), /inner_one, public/);
    for (const other of ["shop-dev", bob.name]) {
      const there = url.replace(/\/[^/]*$/, `/${other}`);
      await assert.rejects(server.query("SELECT 1", "postgres", there), /permission denied for database/);
    }
    await assert.rejects(server.query('SET ROLE "shop-bob"', alice.name, url), /permission denied/);
    await assert.rejects(server.query('DROP DATABASE "shop-dev"', alice.name, url), /must be owner/);
  },
);

onServer(old, whyNoOld, "a parent open to every role is PARENT_OPEN, unless it is allowed", async (server, context) => {
  await server.query('GRANT CONNECT ON DATABASE "shop-dev" TO PUBLIC');
  const earlier = await thingsOf(server);
  await assert.rejects(provider.create(context, targetOf("alice")), hasCode("PARENT_OPEN"));
  assert.deepEqual(await thingsOf(server), earlier);
  await provider.create(context, targetOf("alice", { options: { allowOpenParent: true } }));
});

for (const [server, reason] of [[old, whyNoOld], [current, whyNoCurrent]] as const) {
  onServer(
    server,
    reason,
    "each URL has a login of its own, which is the fork's role and ends no other",
    async (server, context) => {
      const fork = await provider.create(context, targetOf("alice"));
      const [first, second] = [await urlOf(context, fork), await urlOf(context, fork)];
      assert.notEqual(new URL(first).username, new URL(second).username);
      for (const url of [first, second]) {
        const who = await server.query("SELECT current_user AS one, count(*)::int AS n FROM notes", "", url);
        assert.deepEqual(who, [{ one: "shop-alice", n: 20 }]);
      }
      await server.query("CREATE TABLE of_first (x int)", "", first);
      await server.query("ALTER TABLE of_first ADD COLUMN y int", "", second);
      await (await provider.reset!(context, fork, targetOf("alice"))).commit();
      await server.query("SELECT 1", "", first);
      await provider.delete(context, fork, targetOf("alice"));
      assert.deepEqual(await server.query("SELECT rolname FROM pg_roles WHERE rolname LIKE 'shop-alice%'"), []);
    },
  );

  onServer(
    server,
    reason,
    "a role that may make databases and roles, and owns the parent, needs no more",
    async (server) => {
      await server.query(`CREATE ROLE maker LOGIN CREATEDB CREATEROLE PASSWORD 'maker';
      ALTER DATABASE "shop-dev" OWNER TO maker`);
      await server.query("ALTER TABLE notes OWNER TO maker", "shop-dev");
      const context = contextOf(server.url().replace(/\/\/.*@/, "//maker:maker@"));
      const target = targetOf("alice", { options: { strategy: "template" } });
      const fork = await provider.create(context, target);
      await provider.execute!(context, fork, target, "ALTER TABLE notes ADD COLUMN more int");
      await server.query("ALTER TABLE notes ADD COLUMN even_more int", "", await urlOf(context, fork));
      await provider.probe(context, fork, target);
      assert((await provider.usage!(context, fork, target)).sizeBytes > 1_000_000);
      const writer = postgres(server.url("shop-dev"), { max: 1 });
      await writer`SELECT 1`;
      await assert.rejects(
        provider.create(context, { ...target, ...targetOf("bob"), options: target.options }),
        (error: Error) => {
          assert.match(error.message, /1 connected: role "postgres"/, "who it may not see more of is named too");
          return hasCode("PARENT_BUSY")(error);
        },
      );
      await writer.end();
      await provider.delete(
        context,
        (await provider.inspect(context, targetOf("bob")) as { fork: typeof fork }).fork,
        target,
      );
      await (await provider.reset!(context, fork, target)).commit();
      assert.equal(await provider.delete(context, fork, target), "deleted");
      assert.deepEqual(await server.query("SELECT rolname FROM pg_roles WHERE rolname LIKE 'shop-%'"), []);
    },
  );
}

onServer(
  old,
  whyNoOld,
  "a parent in use: named by template, dumped whole by default, under write load",
  async (server, context) => {
    await server.query(
      "CREATE TABLE pairs (n int); CREATE TABLE total (n int); INSERT INTO total VALUES (0)",
      "shop-dev",
    );
    const writer = postgres(server.url("shop-dev"), { max: 1, connection: { application_name: "the writer" } });
    await writer`SELECT 1`;
    const template = targetOf("bob", { options: { strategy: "template" } });
    await assert.rejects(provider.create(context, template), (error: Error) => {
      assert.match(error.message, /1 connected: role "postgres" by "the writer" from 127.0.0.1/);
      return hasCode("PARENT_BUSY")(error);
    });
    let isOn = true;
    let written = 0;
    const load = (async () => {
      for (; isOn; written++) {
        await writer.begin((sql) => [sql`INSERT INTO pairs VALUES (1), (1)`, sql`UPDATE total SET n = n + 2`]);
      }
    })();
    const seen = [];
    for (const env of ["one", "two"]) {
      const before = written;
      const fork = await provider.create(context, targetOf(env));
      assert.equal(fork.copy, "full-copy");
      const [row] = await server.query(
        "SELECT (SELECT count(*)::int FROM pairs) AS pairs, (SELECT n FROM total) AS total, (SELECT count(*)::int FROM notes) AS notes",
        fork.name,
        await urlOf(context, fork),
      );
      assert.deepEqual([row.pairs, row.notes], [row.total, 20], "one snapshot");
      assert(row.pairs >= before * 2);
      seen.push(row.pairs);
    }
    isOn = false;
    await load;
    await writer.end();
    assert(written * 2 > seen[0]! && seen[1]! > seen[0]!, "the writer must have been at work");
  },
);

const whyNoBtrfs = whyNoCurrent ?? await whyNoMount("btrfs", 512);
testIf(whyNoBtrfs, "postgres: a clone on btrfs shares its blocks with the parent", async () => {
  await using mount = await mountImage("btrfs", 512);
  fs.chmodSync(dirname(mount.path), 0o755);
  await using server = await startServer((npm as { bin: string }).bin, { at: mount.path });
  const big =
    "CREATE TABLE big AS SELECT n, repeat(md5(n::text), 20) AS t FROM generate_series(1, 80000) n; CHECKPOINT";
  await make(server, "shop-dev", big);
  const used = async () => {
    await new Deno.Command("sync").output();
    const { bsize, blocks, bfree } = fs.statfsSync(mount.path);
    return bsize * (blocks - bfree);
  };
  const before = await used();
  const context = contextOf(server.url());
  const fork = await provider.create(context, targetOf("alice", { options: { strategy: "clone" } }));
  const { sizeBytes } = await provider.usage!(context, fork, targetOf("alice"));
  assert(sizeBytes > 40 * 2 ** 20, `${sizeBytes}`);
  assert(await used() - before < sizeBytes / 3, `${await used() - before} of ${sizeBytes} bytes`);
  const [{ n }] = await server.query("SELECT count(*)::int AS n FROM big", fork.name, await urlOf(context, fork));
  assert.equal(n, 80_000);
});

const whyNoChinook = whyNoOld ?? (fs.existsSync(CHINOOK) ? undefined : "../shared/data/chinook is not there");

/** Makes `shop-dev` with Chinook in it: a copy of a template, since its 15,000 rows are a statement each. */
async function makeChinook(server: Server): Promise<void> {
  if ((await server.query("SELECT 1 FROM pg_database WHERE datname = 'chinook'")).length === 0) {
    const text = fs.readFileSync(fileURLToPath(CHINOOK), "utf8");
    await make(server, "chinook", text.slice(text.search(/^CREATE TABLE/m)));
    await server.query("ALTER DATABASE chinook IS_TEMPLATE true"); // wipe() leaves those
  }
  await server.query('CREATE DATABASE "shop-dev" TEMPLATE chinook STRATEGY FILE_COPY');
  await server.query('REVOKE CONNECT ON DATABASE "shop-dev" FROM PUBLIC');
}

for (const strategy of ["template", "dump", undefined] as const) {
  testIf(whyNoChinook, `postgres: the command line forks Chinook by ${strategy ?? "default"}`, async () => {
    const server = old!;
    await wipe(server);
    await makeChinook(server);
    const database = { provider: "postgres", ...(strategy === undefined ? {} : { strategy }) };
    await using place = await Place.make({ project: "shop", parent: "dev", database });
    const env = { POSTGRES_URL: server.url(), PATH: process.env.PATH! };
    const on = async (...args: string[]) => {
      const ended = await run(place.root, args, { env, allow: NET });
      assert.equal(ended.code, 0, ended.stderr);
      assert(!`${ended.stdout}${ended.stderr}`.includes(server.password));
      return ended;
    };
    await on("new", "alice");
    const urlIn = async () => /^DATABASE_URL='?(.*?)'?$/m.exec((await place.read(".env.local"))!)![1]!;
    const url = await urlIn();
    assert.match(url, /^postgresql:\/\/shop-alice_[0-9a-f]{12}:.*\/shop-alice$/, "a login of the fork's");
    const [{ n }] = await server.query("SELECT count(*)::int AS n FROM track", "shop-alice", url);
    assert.equal(n, 3503);
    await server.query("DELETE FROM playlist_track", "shop-alice", url);
    await on("reset", "alice", "--yes");
    assert.equal((await server.query("SELECT count(*)::int AS n FROM playlist_track", "shop-alice", url))[0].n, 8715);
    await on("switch", "dev");
    assert((await urlIn()).endsWith("/shop-dev"));
    await on("switch", "alice");
    assert.equal(await urlIn(), url);
    await on("delete", "alice", "--yes");
    const left = await server.query("SELECT datname FROM pg_database WHERE datname LIKE '%alice%'");
    assert.deepEqual(left, []);
    await wipe(server);
  });
}

testIf(whyNoChinook, "postgres: the command line sanitizes Chinook, or makes nothing and tells the line", async () => {
  const server = old!;
  await wipe(server);
  await makeChinook(server);
  const database = { provider: "postgres", strategy: "template", sanitize: "clean.sql" };
  await using place = await Place.make({ project: "shop", parent: "dev", database });
  const env = { POSTGRES_URL: server.url(), PATH: process.env.PATH! };
  const on = (...args: string[]) => run(place.root, args, { env, allow: NET });
  const script = async (last: string) => {
    fs.writeFileSync(join(place.root, "clean.sql"), `UPDATE customer SET email = 'x@example.org';\n${last}`);
    await place.trust();
  };
  const earlier = await namesOf(server);
  await script("UPDATE customer SET customer_id = 1;\n");
  const failed = await on("new", "alice");
  assert.equal(failed.code, 2, failed.stderr);
  assert.match(failed.stderr, /line 2: a unique constraint is violated.*customer_pkey/);
  assert.deepEqual(await namesOf(server), earlier);
  await script("");
  for (const args of [["new", "alice"], ["reset", "alice", "--yes"]]) {
    const ended = await on(...args);
    assert.equal(ended.code, 0, ended.stderr);
    const emails = await server.query("SELECT DISTINCT email FROM customer", "shop-alice");
    assert.deepEqual(emails, [{ email: "x@example.org" }]);
  }
  assert.equal((await on("delete", "alice", "--yes")).code, 0);
  assert.deepEqual(await namesOf(server), earlier);
  await wipe(server);
});
