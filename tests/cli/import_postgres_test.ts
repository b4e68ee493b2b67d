/** `import` into PostgreSQL, on a real server: databases by URL, and every format of `pg_dump`. */
import assert from "node:assert/strict";
import { make, old, whyNoOld, wipe } from "../providers/_postgres.ts";
import { testIf } from "../helpers.ts";
import type { Server } from "../emulators/postgres_server.ts";
import { type Ended, Place, run, runCommand } from "./run.ts";

/** Everything that a dump can hold, with values that would end a row or a statement if they were taken for that. */
const SHOP = `
  CREATE EXTENSION IF NOT EXISTS plpgsql;
  CREATE SCHEMA "My Sales";
  CREATE TYPE mood AS ENUM ('sad', 'ok');
  CREATE TABLE posts (id serial PRIMARY KEY, title text NOT NULL, mood mood, at timestamptz DEFAULT now(), raw bytea);
  CREATE TABLE "My Sales"."Odd; name" (n int REFERENCES posts, "COPY x FROM stdin;" text);
  INSERT INTO posts (title, mood, raw) VALUES (E'a\\tb\\nc\\\\.\\n\\\\.', 'ok', '\\x00ff5c2e'), ('it''s; $$ \\! touch /tmp/x', NULL, NULL),
    ('-- Name: no; Type: head', 'sad', NULL);
  INSERT INTO "My Sales"."Odd; name" SELECT 1, repeat('x', 200000) FROM generate_series(1, 30);
  CREATE FUNCTION twice(i int) RETURNS int LANGUAGE plpgsql AS $fn$ BEGIN
    -- COPY posts FROM stdin;
    RETURN i * 2; END $fn$;
  CREATE VIEW titles AS SELECT title FROM posts;
  CREATE INDEX on posts (title);
  SELECT lo_from_bytea(0, 'large');
  CREATE ROLE app NOLOGIN; ALTER TABLE posts OWNER TO app; GRANT SELECT ON titles TO app;`;

/** Tables, rows, views, functions and large objects of a database, in words. */
async function contents(server: Server, database: string): Promise<string> {
  const tables = await server.query(
    "SELECT oid::regclass::text AS name FROM pg_class WHERE relkind IN ('r', 'v') AND relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname !~ '^pg_|^information') ORDER BY 1",
    database,
  );
  const rows = await Promise.all(tables.map(async ({ name }) => [
    name,
    await server.query(
      `SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) AS h, count(*)::int AS n FROM ${name} t`,
      database,
    ),
  ]));
  const more = await server.query(
    "SELECT (SELECT count(*)::int FROM pg_largeobject_metadata) AS blobs, (SELECT string_agg(proname, ',') FROM pg_proc WHERE pronamespace = 'public'::regnamespace) AS functions, (SELECT count(*)::int FROM pg_indexes WHERE schemaname = 'public') AS indexes",
    database,
  );
  return JSON.stringify([rows, more]);
}

interface Bench {
  readonly server: Server;
  readonly place: Place;
  readonly on: (...args: string[]) => Promise<Ended>;
  readonly dump: (...args: string[]) => Promise<void>;
}

function onShop(name: string, work: (bench: Bench) => Promise<void>): void {
  testIf(whyNoOld, `import into PostgreSQL: ${name}`, async () => {
    const server = old!;
    await wipe(server);
    try {
      await make(server, "existing", SHOP);
      await using place = await Place.make({ parent: "dev", database: { provider: "postgres" } });
      const env = { POSTGRES_URL: server.url(), OLD: server.url("existing"), PATH: Deno.env.get("PATH")! };
      const dump = async (...args: string[]) => {
        const login = {
          PGHOST: "127.0.0.1",
          PGPORT: `${server.port}`,
          PGUSER: "postgres",
          PGPASSWORD: server.password,
        };
        const { code, stderr } = await runCommand(place.root, ["pg_dump", ...args, "existing"], {
          env: { ...env, ...login },
        });
        assert.equal(code, 0, stderr);
      };
      await work({ server, place, dump, on: async (...args) => await run(place.root, args, { env }) });
    } finally {
      await wipe(server);
    }
  });
}

onShop("a database by its URL becomes dev, which was not there, and new forks it", async ({ server, place, on }) => {
  const wanted = await contents(server, "existing");
  const { code, stderr, stdout } = await on("import", "dev", "OLD");
  assert.equal(code, 0, stderr);
  assert.equal(await contents(server, "shop-dev"), wanted);
  assert(![stdout, stderr, await place.digest()].some((text) => text.includes(server.password)));
  const made = await on("new", "alice");
  assert.equal(made.code, 0, made.stderr);
  assert.equal(await contents(server, "shop-alice"), wanted);
});

onShop(
  "every format of pg_dump, with inserts or owners or without, gives the same",
  async ({ server, place, on, dump }) => {
    const wanted = await contents(server, "existing");
    for (
      const [name, ...args] of [
        ["plain.sql"],
        ["inserts.sql", "--inserts"],
        ["columns.sql", "--column-inserts", "--no-owner"],
        ["clean.sql", "--clean", "--if-exists"],
        ["custom.dump", "-Fc"],
        ["tar.dump", "-Ft"],
        ["directory.dump", "-Fd"],
      ] as const
    ) {
      await dump(...args, "-f", place.path(name));
      const { code, stderr } = await on("import", "dev", name, "database", "--replace", "--yes");
      assert.equal(code, 0, `${name}: ${stderr}`);
      assert.equal(await contents(server, "shop-dev"), wanted, name);
    }
  },
);

onShop(
  "what dev holds is kept without --replace, and stays as it was after any failure",
  async ({ server, place, on, dump }) => {
    await make(
      server,
      "shop-dev",
      "CREATE TABLE mine (a int); INSERT INTO mine VALUES (1); CREATE SCHEMA other; CREATE TABLE other.t (a int)",
    );
    await server.query('ALTER DATABASE "shop-dev" SET search_path = other, public');
    const before = await contents(server, "shop-dev");
    const databases = async () =>
      (await server.query("SELECT oid::int, datname, datacl::text FROM pg_database ORDER BY 1")).map((one) =>
        JSON.stringify(one)
      ).join();
    const all = await databases();
    const kept = await on("import", "dev", "OLD", "--json");
    assert.equal(JSON.parse(kept.stdout).error.code, "CONFLICT");
    await dump("-f", place.path("whole.sql"));
    await dump("-Fc", "-f", place.path("whole.dump"));
    const whole = (await place.read("whole.sql"))!;
    await place.write("cut.sql", whole.slice(0, whole.indexOf("it's; $$") + 4));
    await place.write("last.sql", `${whole}\nINSERT INTO nowhere VALUES ('canary-0123456789');`);
    await place.write("row.sql", whole.replace("\tsad\t", "\tcanary-0123456789\t"));
    await place.write("shell.sql", `${whole}\n\\! touch ${place.path("touched")}\n`);
    await place.write("inline.sql", `SELECT 1 \\! touch ${place.path("touched")}\n`);
    await place.write("connect.sql", `\\connect postgres\n${whole}`);
    await place.write("end.sql", `${whole}\nROLLBACK;`);
    await place.write("database.sql", "CREATE DATABASE elsewhere;");
    const archive = await Deno.readFile(place.path("whole.dump"));
    await place.write("cut.dump", archive.slice(0, archive.length - 3_000));
    for (
      const name of [
        "cut.sql",
        "last.sql",
        "row.sql",
        "shell.sql",
        "inline.sql",
        "connect.sql",
        "end.sql",
        "database.sql",
        "cut.dump",
      ]
    ) {
      const { code, stdout } = await on("import", "dev", name, "--replace", "--yes", "--json");
      const { error } = JSON.parse(stdout);
      assert(code !== 0 && error !== undefined && error.code !== "UNEXPECTED", `${name}: ${stdout}`);
      assert.match(error.hint, /dev is as it was$/, name);
      assert(!stdout.includes("canary"), stdout);
      assert.equal(await contents(server, "shop-dev"), before, name);
      assert.equal(await databases(), all, name);
    }
    assert.equal(await place.read("touched"), undefined);
    const { code, stderr } = await on("import", "dev", "OLD", "--replace", "--yes");
    assert.equal(code, 0, stderr);
    assert.equal(await contents(server, "shop-dev"), await contents(server, "existing"));
    assert.equal(await databases(), all, "the database itself stays, with its rights");
  },
);

onShop(
  "a source that cannot be read leaves no database behind, and no password in any text",
  async ({ server, place, on }) => {
    await place.write("nothing.sql", "SELECT 1/0;");
    const port = server.port;
    for (
      const [source, code] of [
        [`postgresql://postgres:${server.password}@127.0.0.1:${port}/absent`, "DUMP_FAILED"],
        [`postgresql://postgres:wrong@127.0.0.1:${port}/existing`, "DUMP_FAILED"],
        [`postgresql+psycopg://postgres:${server.password}@127.0.0.1:${port}/absent`, "DUMP_FAILED"],
        [`postgres://postgres:${server.password}@127.0.0.1:1/existing`, "DUMP_FAILED"],
        [`postgres://postgres:${server.password}@localhost:${port}/shop-dev`, "IMPORT_REFUSED"],
        ["postgres://a:b/c@h/d", "IMPORT_REFUSED"],
        [`mysql://root:${server.password}@127.0.0.1/x`, "IMPORT_UNSUPPORTED"],
        ["nothing.sql", "IMPORT_REFUSED"],
      ] as const
    ) {
      const { stdout, stderr } = await on("import", "dev", source, "--json");
      assert.equal(JSON.parse(stdout).error?.code, code, `${source}: ${stdout}`);
      assert(!`${stdout}${stderr}`.includes(server.password), source);
      assert.equal((await server.query("SELECT 1 FROM pg_database WHERE datname = 'shop-dev'")).length, 0, source);
    }
  },
);

onShop("a dump in another encoding is refused with its line, rows or statements", async ({ server, place, on }) => {
  await make(server, "shop-dev", "CREATE TABLE mine (a text); INSERT INTO mine VALUES ('é')");
  const before = await contents(server, "shop-dev");
  const bytes = (text: string) => Uint8Array.from(text, (one) => one.charCodeAt(0));
  const filler = `-- ${"x".repeat(997)}\n`.repeat(200); // more than one piece
  for (
    const [text, line] of [
      ["CREATE TABLE t (a text);\nINSERT INTO t VALUES ('caf\xE9');\n", 2],
      ["CREATE TABLE t (a text);\nCOPY t FROM stdin;\n\xC3\xA9\n\xB2\xE2\n\\.\n", 4],
      [`${filler}CREATE TABLE "na\xEFve" (a int);`, 201],
      [`${filler}CREATE TABLE t (a text);\nCOPY t FROM stdin;\n${"\xC3\xA9\n".repeat(70_000)}\xE9\n\\.\n`, 70_203],
    ] as const
  ) {
    await place.write("dump.sql", bytes(text));
    const { stdout } = await on("import", "dev", "dump.sql", "--replace", "--yes", "--json");
    const { error } = JSON.parse(stdout);
    assert.equal(error?.code, "IMPORT_REFUSED", stdout);
    assert.match(error.message, new RegExp(`line ${line} is not in UTF-8`));
    assert.equal(await contents(server, "shop-dev"), before);
  }
  await place.write(
    "dump.sql",
    bytes(`${filler}CREATE TABLE t (a text);\nCOPY t FROM stdin;\n\xC3\xA9\n\xF0\x9F\x98\x80\n\\.\n`),
  );
  const { code, stderr } = await on("import", "dev", "dump.sql", "--replace", "--yes");
  assert.equal(code, 0, stderr);
  assert.deepEqual(await server.query("SELECT a FROM t ORDER BY a", "shop-dev"), [{ a: "é" }, { a: "😀" }]);
});
