import assert from "node:assert/strict";
import { formatMarker } from "../../core/marker.ts";
import { postgresStatements } from "../../providers/_shared/postgres_script.ts";
import provider from "../../providers/database/postgres.ts";
import { hasCode } from "./_special.ts";
import { CANARY, contentOf, current, make, onServer, targetOf, thingsOf, whyNoCurrent } from "./_postgres.ts";

Deno.test("postgresStatements() splits as psql does", () => {
  const table: readonly (readonly [script: string, statements: readonly (readonly [number, string])[]])[] = [
    ["", []],
    ["-- a; comment\n/* an; /* inner; */ one */ ;;\n", []],
    ["SELECT 1;\nSELECT 2", [[1, "SELECT 1"], [2, "SELECT 2"]]],
    ["\uFEFF\n\nSELECT ';''', \"a;\"\"b\", E'\\';';\nSELECT 2;", [[3, "SELECT ';''', \"a;\"\"b\", E'\\';'"], [
      4,
      "SELECT 2",
    ]]],
    ["DO $$ BEGIN; END $$; SELECT $a$;$$;$a$, a$b$;", [[1, "DO $$ BEGIN; END $$"], [1, "SELECT $a$;$$;$a$, a$b$"]]],
    ["CREATE RULE r AS ON DELETE TO t DO (UPDATE a SET b = 1; DELETE FROM c);\nSELECT 1", [
      [1, "CREATE RULE r AS ON DELETE TO t DO (UPDATE a SET b = 1; DELETE FROM c)"],
      [2, "SELECT 1"],
    ]],
    [
      "CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END;\nSELECT 3",
      [
        [1, "CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END"],
        [2, "SELECT 3"],
      ],
    ],
    ["SELECT 1 /* ; */ -- ;\r\n + 2;", [[1, "SELECT 1 /* ; */ -- ;\r\n + 2"]]],
    ["SELECT 'never ended; SELECT 2", [[1, "SELECT 'never ended"], [1, "SELECT 2"]]],
  ];
  for (const [script, expected] of table) {
    assert.deepEqual(postgresStatements(script).map(({ line, text }) => [line, text]), expected, script);
  }
  const long = `INSERT INTO t VALUES ('${"x''y".repeat(500_000)}');\n`.repeat(3);
  assert.deepEqual(postgresStatements(long).map(({ line }) => line), [1, 2, 3]);
});

onServer(
  current,
  whyNoCurrent,
  "a script that fails is told by its line, without values, and leaves nothing",
  async (server, context) => {
    const target = targetOf("alice", { options: { strategy: "template" } });
    const fork = await provider.create(context, target);
    const earlier = await contentOf(server, fork.name);
    const roles = (await server.query("SELECT count(*)::int AS n FROM pg_roles"))[0].n;
    const failing: readonly (readonly [last: string, line: number, says: RegExp])[] = [
      ["UPDATE nowhere SET x = 1", 4, /relation "nowhere" does not exist/],
      ["SELECT 1,\n  2,\n  FROM notes", 6, /syntax error at or near "FROM"/],
      ["SELECT 'ä😀',\n nothing FROM notes", 5, /column "nothing" does not exist/],
      ["UPDATE notes SET text = NULL", 4, /a NULL where none may be \(SQLSTATE 23502, table "notes", column "text"\)/],
      [
        "UPDATE notes SET id = 1",
        4,
        /unique constraint is violated \(SQLSTATE 23505, table "notes", constraint "notes_pkey"/,
      ],
      ["SELECT text::int FROM notes", 4, /a value does not fit its type/],
      ["SELECT 1 / (id - id) FROM notes", 4, /a division by zero/],
      ["DO $$ BEGIN RAISE '%', (SELECT text FROM notes LIMIT 1); END $$", 4, /it raised an exception/],
      ["DO $$ BEGIN EXECUTE (SELECT text FROM notes LIMIT 1); END $$", 4, /the server refused it \(SQLSTATE 42601\)/],
      ["CREATE TABLE late (x int UNIQUE DEFERRABLE INITIALLY DEFERRED); INSERT INTO late VALUES (1), (1)", 4, /23505/],
      ["VACUUM notes", 4, /can't run in a transaction|25001/],
      ["COMMIT", 4, /begins or ends a transaction/],
      ["\\copy notes FROM 'x'", 4, /command of psql/],
      ["COPY notes FROM STDIN", 4, /rows that follow/],
    ];
    for (const [last, line, says] of failing) {
      const script =
        `-- first\nUPDATE notes SET text = 'masked ' || text;\nSAVEPOINT one; ROLLBACK TO one;\n${last};\n`;
      await assert.rejects(provider.execute!(context, fork, target, script), (error: Error) => {
        assert.match(error.message, says);
        assert(error.message.startsWith(`line ${line}: `), error.message);
        assert(!`${error.message} ${error.stack} ${error.cause}`.includes(CANARY), error.message);
        return hasCode("SQL_FAILED")(error);
      });
      assert.equal(await contentOf(server, fork.name), earlier, last);
    }
    assert.equal((await server.query("SELECT count(*)::int AS n FROM pg_roles"))[0].n, roles, "no login is left");
  },
);

onServer(current, whyNoCurrent, "a script can't become another role, nor reach the parent", async (server, context) => {
  await make(server, "shop-prod");
  const target = targetOf("alice", { options: { strategy: "template" } });
  const fork = await provider.create(context, target);
  const earlier = await thingsOf(server);
  for (
    const attempt of [
      "SET SESSION AUTHORIZATION postgres",
      "RESET ROLE; SET ROLE postgres",
      "RESET SESSION AUTHORIZATION; CREATE ROLE mine SUPERUSER",
      'DROP DATABASE "shop-dev"',
      'ALTER DATABASE "shop-prod" RENAME TO taken',
      "COPY notes TO PROGRAM 'cat'",
      "SELECT pg_read_file('/etc/passwd')",
      "CREATE EXTENSION dblink; SELECT dblink_connect('dbname=shop-dev')",
      `DO $$ BEGIN EXECUTE 'ALTER ROLE "shop-alice" CREATEDB'; END $$`,
    ]
  ) {
    await assert.rejects(provider.execute!(context, fork, target, attempt), hasCode("SQL_FAILED"), attempt);
  }
  assert.deepEqual(await thingsOf(server), earlier);
  await provider.execute!(context, fork, target, "SELECT 1 / (current_user = 'shop-alice')::int");
});

onServer(
  current,
  whyNoCurrent,
  "a reset runs the script on the new database before it stands there",
  async (server, context) => {
    const target = targetOf("alice", { options: { strategy: "template" } });
    const fork = await provider.create(context, target);
    const before = await contentOf(server, fork.name);
    const replacement = await provider.reset!(context, fork, target);
    await replacement.execute!("UPDATE notes SET text = 'masked'; CREATE TABLE made (x int)");
    assert.equal(await contentOf(server, fork.name), before);
    await replacement.commit();
    const rows = await server.query(
      "SELECT DISTINCT text, pg_get_userbyid(relowner) AS owner FROM notes, pg_class " +
        "WHERE relname = 'made'",
      fork.name,
    );
    assert.deepEqual(rows, [{ text: "masked", owner: "shop-alice" }]);
  },
);

onServer(
  current,
  whyNoCurrent,
  "a mark that the application took away is told as that, with the statement that puts it back",
  async (server, context) => {
    const target = targetOf("alice", { options: { strategy: "template" } });
    const fork = await provider.create(context, target);
    for (const taken of ["NULL", "''"]) {
      await provider.execute!(context, fork, target, `COMMENT ON DATABASE "shop-alice" IS ${taken}`);
      const seen = await provider.inspect(context, target);
      assert(seen.state === "foreign" && seen.holder === undefined);
      assert.match(seen.reason, /^its mark is gone: .*`COMMENT ON DATABASE "shop-alice" IS '.*'`/);
      await assert.rejects(provider.delete(context, fork, target), { code: "FOREIGN", message: /its mark is gone/ });
      await server.query(/`(.*)`/.exec(seen.reason)![1]!);
      assert.equal((await provider.inspect(context, target)).state, "ready");
    }
    // A comment of the application's own is not ours to replace unasked: what it is is told, and no statement advised.
    const damaged =
      /^its mark is gone: the comment of database "shop-alice" is a mark of another thing, or a damaged one/;
    const copied = formatMarker({ ...target.marker, stack: "other", name: "other-alice" });
    for (
      const [comment, told] of [
        [
          "my notes",
          /^its mark is gone: the comment of database "shop-alice" is no mark, though the role of this name/,
        ],
        ["forkstack", /is no mark, though/],
        ["forkstack:v2:garbled", damaged],
        [copied, damaged],
        [formatMarker({ ...target.marker, name: "shop-alice" }).slice(0, -3), damaged],
        [formatMarker(target.marker), damaged], // without what stands behind it
        [`${formatMarker(target.marker)} {"createdAt"`, damaged],
        [`${formatMarker(target.marker)} null`, damaged],
        [
          `${formatMarker({ ...target.marker, stack: "other" })} {"createdAt":"2026-01-01T00:00:00Z"}`,
          /^it belongs to database of environment "alice" of stack "other"/,
        ],
      ] as const
    ) {
      await server.query(`COMMENT ON DATABASE "shop-alice" IS '${comment}'`);
      const seen = await provider.inspect(context, target);
      assert(seen.state === "foreign");
      assert.match(seen.reason, told);
      assert(!/COMMENT ON|bears none/.test(seen.reason), seen.reason);
      const listed = await Array.fromAsync(provider.list(context, target));
      assert.equal(listed.length, seen.holder === undefined ? 0 : 1);
      await assert.rejects(provider.delete(context, fork, target), (error: Error) => {
        assert.equal(error.message, `Cannot delete database "shop-alice": ${seen.reason}`);
        return true;
      });
    }
    await server.query(`COMMENT ON DATABASE "shop-alice" IS 'x'; COMMENT ON ROLE "shop-alice" IS NULL`);
    await assert.rejects(provider.delete(context, fork, target), {
      message: /the role "shop-alice" (bears none|is not)/,
    });
  },
);
