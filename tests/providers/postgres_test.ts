import assert from "node:assert/strict";
import * as fs from "node:fs";
import { dirname } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import postgres from "postgres";
import { formatMarker, parseMarker } from "../../core/engine.ts";
import type { Context, Fork, Target } from "../../core/provider.ts";
import { Secret } from "../../core/secret.ts";
import provider from "../../providers/database/postgres.ts";
import { commandOf, Place, runCommand } from "../cli/run.ts";
import { type Emulator, testProvider, type World } from "../conformance.ts";
import { mountImage, realContext, testIf, whyNoMount } from "../helpers.ts";
import { debianBinaries, npmBinaries, Proxy, type Server, startServer } from "../emulators/postgres_server.ts";
import { hasCode } from "./_special.ts";

type Options = Target<Parameters<typeof provider.create>[1]["options"]>["options"];

const CHINOOK = new URL("../../../shared/data/chinook/Chinook_PostgreSql.sql", import.meta.url);
const CANARY = "canary-in-the-parent-0123456789";
const debian = debianBinaries();
const npm = await npmBinaries();
const old = "bin" in debian ? await startServer(debian.bin) : undefined;
const current = "bin" in npm ? await startServer(npm.bin) : undefined;
const whyNoOld = "reason" in debian ? debian.reason : undefined;
const whyNoCurrent = "reason" in npm ? npm.reason : undefined;

/** Makes a database that only its owner and superusers reach. */
async function make(server: Server, name: string, sql = ""): Promise<void> {
  await server.query(`CREATE DATABASE "${name}"`);
  await server.query(`REVOKE CONNECT ON DATABASE "${name}" FROM PUBLIC`);
  if (sql !== "") await server.query(sql, name);
}

const NOTES = `CREATE TABLE notes (id serial PRIMARY KEY, text text NOT NULL);
  INSERT INTO notes (text) SELECT '${CANARY} ' || n FROM generate_series(1, 20) n`;

async function contentOf(server: Server, name: string): Promise<string> {
  const tables = await server.query("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 2200", name);
  const all = tables.map(({ relname }) => `SELECT '${relname}' AS t, to_jsonb(x)::text AS r FROM "${relname}" x`);
  if (all.length === 0) return "[]";
  return JSON.stringify(await server.query(`${all.join(" UNION ALL ")} ORDER BY 1, 2`, name));
}

/** Drops all that a test made; the rest of the server's is as `initdb` left it. */
async function wipe(server: Server, kept: (name: string) => boolean = () => false): Promise<void> {
  const databases = await server.query(
    "SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'",
  );
  for (const { datname } of databases) {
    if (!kept(datname)) await server.query(`DROP DATABASE "${datname}" WITH (FORCE)`);
  }
  for (const { rolname } of await server.query("SELECT rolname FROM pg_roles WHERE oid >= 16384")) {
    if (!kept(rolname)) await server.query(`DROP ROLE "${rolname}"`);
  }
}

async function thingsOf(server: Server): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const databases = await server.query(`SELECT oid, datname, datdba, datacl::text, shobj_description(oid, 'pg_database')
    AS note FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'`);
  for (const row of databases) {
    found.set(
      `database ${row.oid} of ${row.datdba} ${row.datname}`,
      `${row.datacl} ${row.note} ${await contentOf(server, row.datname)}`,
    );
  }
  const roles = await server.query(`SELECT a.oid, rolname, shobj_description(a.oid, 'pg_authid') AS note, rolpassword,
    (SELECT array_agg(roleid)::text FROM pg_auth_members WHERE member = a.oid) AS groups FROM pg_authid a WHERE a.oid >= 16384`);
  for (const row of roles) found.set(`role ${row.oid} ${row.rolname}`, JSON.stringify(row));
  return found;
}

function contextOf(url: string, changed: Partial<Context> = {}): Context {
  return realContext({
    credentials: { POSTGRES_URL: new Secret(url) },
    markerOf: (_name, note) => note === undefined ? undefined : parseMarker(note),
    ...changed,
  });
}

function targetOf(env: string, changed: Partial<Target<Options>> = {}): Target<Options> {
  const marker = { stack: "shop", env, resource: "database", operation: `operation-of-${env}` };
  const shared = { options: {}, project: "shop", stack: "shop", resource: "database", root: "/" };
  return { ...shared, name: `shop-${env}`, parent: "shop-dev", marker, ...changed };
}

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
        placeForeign: (name) => make(server, name, "CREATE TABLE theirs (x int)"),
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

for (const [server, options] of [[old, {}], [current, { strategy: "template" }]] as const) {
  if (server !== undefined) testProvider({ provider, emulator: emulator(server), options });
}

/** Runs a test on a server that holds `shop-dev` alone. */
function onServer(
  server: Server | undefined,
  reason: string | undefined,
  name: string,
  fn: (server: Server, context: Context) => Promise<void>,
): void {
  testIf(reason, `postgres: ${name}`, async () => {
    await wipe(server!);
    await make(server!, "shop-dev", NOTES);
    await fn(server!, contextOf(server!.url()));
    await wipe(server!);
  });
}

async function urlOf(context: Context, fork: Fork): Promise<string> {
  const { DATABASE_URL } = await provider.outputs(context, fork, targetOf("alice"));
  return (DATABASE_URL as Secret).reveal();
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

onServer(old, whyNoOld, "a new password leaves the sessions, and ends the old password", async (server, context) => {
  const fork = await provider.create(context, targetOf("alice"));
  const first = await urlOf(context, fork);
  const sql = postgres(first, { max: 1 });
  await sql`SELECT 1`;
  const second = await urlOf(context, fork);
  assert.equal((await sql`SELECT count(*)::int AS n FROM notes`)[0]!.n, 20);
  await sql.end();
  assert.equal((await server.query("SELECT 1 AS one", fork.name, second))[0].one, 1);
  await assert.rejects(server.query("SELECT 1", fork.name, first), { code: "28P01" });
});

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

onServer(
  old,
  whyNoOld,
  "broken at statements all along the way, create() and delete() can be run again",
  async (server) => {
    const earlier = await thingsOf(server);
    const names = [...earlier.keys()].sort();
    for (const [strategy, breaks] of [["template", 6], ["dump", 2]] as const) { // pg_dump alone sends hundreds
      const target = targetOf("alice", { options: { strategy } });
      const work = async (context: Context) =>
        await provider.delete(context, await provider.create(context, target), target);
      await using proxy = new Proxy(server);
      const context = contextOf(server.url("postgres", proxy.port));
      await work(context);
      const count = proxy.statements;
      assert(count > 15, `${count} statements`);
      const step = Math.max(1, Math.floor(count / breaks));
      for (const when of ["before", "after"] as const) {
        for (let at = when === "before" ? 0 : Math.floor(step / 2); at < count; at += step) {
          proxy.statements = 0;
          proxy.plan = { at, when };
          await assert.rejects(work(context), (error: { code?: string }) => {
            assert.match(error.code ?? "", /^(PROVIDER_UNAVAILABLE|DUMP_FAILED)$/, `${strategy} ${when} ${at}`);
            return true;
          });
          proxy.plan = undefined;
          const fork = await provider.create(context, target);
          assert.equal((await provider.inspect(context, target)).state, "ready");
          assert.equal(await contentOf(server, fork.name), await contentOf(server, "shop-dev"));
          await provider.delete(context, fork, target);
          assert.deepEqual([...(await thingsOf(server)).keys()].sort(), names, `${strategy} ${when} ${at}`);
        }
      }
    }
    assert.deepEqual(await thingsOf(server), earlier);
  },
);

onServer(
  old,
  whyNoOld,
  "a database filled half by a run that died is filled again, and one not ours is left",
  async (server, context) => {
    const control = new AbortController();
    const record = () => Promise.resolve(control.abort(new Error("died")));
    await assert.rejects(
      provider.create(contextOf(server.url(), { record, signal: control.signal }), targetOf("alice")),
    );
    const pending = await provider.inspect(context, targetOf("alice"));
    assert.equal(pending.state, "pending");
    const half = `forkstack_new_${(pending as { fork: Fork }).fork.id}`;
    await server.query(`CREATE DATABASE "${half}" OWNER "shop-alice"`);
    await server.query("CREATE TABLE half (x int)", half);
    const fork = await provider.create(context, targetOf("alice"));
    assert.equal(await contentOf(server, fork.name), await contentOf(server, "shop-dev"));
    await server.query(`COMMENT ON DATABASE "shop-alice" IS 'mine now'`);
    await assert.rejects(provider.delete(context, fork, targetOf("alice")), hasCode("FOREIGN"));
  },
);

onServer(old, whyNoOld, "what the server refuses is told by its code", async (server, context) => {
  await server.query("CREATE ROLE weak LOGIN PASSWORD 'weak'");
  const as = (url: string) => provider.create(contextOf(url), targetOf("alice"));
  const url = server.url();
  await assert.rejects(as(url.replace(/\/\/.*@/, "//weak:weak@")), hasCode("CREDENTIALS_DENIED"));
  await assert.rejects(as(url.replace(/:[^:@]*@/, ":wrong@")), hasCode("CREDENTIALS_REJECTED"));
  await assert.rejects(as(url.replace(/:\d+\//, ":1/")), hasCode("PROVIDER_UNAVAILABLE"));
  await assert.rejects(as(`${url}-no-such`), hasCode("NOT_FOUND"));
  await assert.rejects(as("no url"), hasCode("CREDENTIALS_MISSING"));
  await assert.rejects(provider.create(context, targetOf("alice", { name: "a".repeat(64) })), hasCode("NAME_INVALID"));
  const clone = targetOf("alice", { options: { strategy: "clone" } });
  await assert.rejects(provider.create(context, clone), hasCode("CONFIG_INVALID"));
  await provider.delete(context, (await provider.inspect(context, clone) as { fork: Fork }).fork, clone);
});

onServer(
  old,
  whyNoOld,
  "a role that may make databases and roles, and owns the parent, needs no more",
  async (server) => {
    await server.query(
      `CREATE ROLE maker LOGIN CREATEDB CREATEROLE PASSWORD 'maker'; ALTER DATABASE "shop-dev" OWNER TO maker`,
    );
    await server.query("ALTER TABLE notes OWNER TO maker", "shop-dev");
    const context = contextOf(server.url().replace(/\/\/.*@/, "//maker:maker@"));
    const fork = await provider.create(context, targetOf("alice"));
    await server.query("ALTER TABLE notes ADD COLUMN more int", fork.name, await urlOf(context, fork));
    await provider.probe(context, fork, targetOf("alice"));
    assert.equal(await provider.delete(context, fork, targetOf("alice")), "deleted");
  },
);

const whyNoBtrfs = whyNoCurrent ?? await whyNoMount("btrfs", 512);
testIf(whyNoBtrfs, "postgres: a clone on btrfs shares its blocks with the parent", async () => {
  await using mount = await mountImage("btrfs", 1024);
  fs.chmodSync(dirname(mount.path), 0o755);
  await using server = await startServer((npm as { bin: string }).bin, mount.path);
  const big =
    "CREATE TABLE big AS SELECT n, repeat(md5(n::text), 20) AS t FROM generate_series(1, 200000) n; CHECKPOINT";
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
  assert(sizeBytes > 100 * 2 ** 20, `${sizeBytes}`);
  assert(await used() - before < sizeBytes / 3, `${await used() - before} of ${sizeBytes} bytes`);
  const [{ n }] = await server.query("SELECT count(*)::int AS n FROM big", fork.name, await urlOf(context, fork));
  assert.equal(n, 200_000);
});

/** The permission set `cli`, with the server's host in `net`, as docs/databases.md has it. */
function withNet(command: readonly string[]): string[] {
  const run = "--allow-run=cp,git,pg_dump,pg_restore";
  const flags = ["--allow-read", "--allow-write", "--allow-env", run, "--allow-sys=hostname", "--allow-net=127.0.0.1"];
  return command.flatMap((word) => word === "-P=cli" ? flags : [word]);
}

const whyNoChinook = whyNoOld ?? (fs.existsSync(CHINOOK) ? undefined : "../shared/data/chinook is not there");
for (const strategy of ["template", "dump", undefined] as const) {
  testIf(whyNoChinook, `postgres: the command line forks Chinook by ${strategy ?? "default"}`, async () => {
    const server = old!;
    await wipe(server);
    const text = fs.readFileSync(fileURLToPath(CHINOOK), "utf8");
    await make(server, "shop-dev", text.slice(text.search(/^CREATE TABLE/m)));
    const database = { provider: "postgres", ...(strategy === undefined ? {} : { strategy }) };
    await using place = await Place.make({ project: "shop", parent: "dev", database });
    const env = { POSTGRES_URL: server.url(), PATH: process.env.PATH! };
    const on = async (...args: string[]) => {
      const ended = await runCommand(place.root, withNet(commandOf(args)), { env });
      assert.equal(ended.code, 0, ended.stderr);
      assert(!`${ended.stdout}${ended.stderr}`.includes(server.password));
      return ended;
    };
    await on("new", "alice");
    const urlIn = async () => /^DATABASE_URL='(.*)'$/m.exec((await place.read(".env.local"))!)![1]!;
    const url = await urlIn();
    assert(url.startsWith("postgres://shop-alice:") && url.endsWith("/shop-alice"), "the fork's own role");
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
