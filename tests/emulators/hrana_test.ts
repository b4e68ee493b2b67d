import { deepStrictEqual as equal, ok, rejects, strictEqual as is } from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type Client, createClient, LibsqlError } from "npm:@libsql/client@0.18.0/web";
import { hranaHandler, type HranaOptions, type HranaServer, startHrana } from "./hrana.ts";

interface World {
  readonly server: HranaServer;
  readonly client: Client;
  connect(token?: string): Client;
}

async function withServer(options: Partial<HranaOptions>, run: (world: World) => Promise<void>): Promise<void> {
  const server = await startHrana({ path: ":memory:", ...options });
  const clients: Client[] = [];
  const connect = (authToken?: string) => {
    const client = createClient({ url: server.url, authToken, intMode: "bigint" });
    clients.push(client);
    return client;
  };
  try {
    await run({ server, client: connect(), connect });
  } finally {
    for (const client of clients) client.close();
    await server.close();
  }
}

function testServer(name: string, options: Partial<HranaOptions>, run: (world: World) => Promise<void>): void {
  Deno.test({ name, sanitizeOps: true, sanitizeResources: true, fn: () => withServer(options, run) });
}

/** Stands still until told otherwise, so that nothing times out on a slow machine. */
function stoppedClock() {
  let ms = 0;
  return { now: () => ms, advance: (by: number) => void (ms += by) };
}

function failsWith(code: string, message?: RegExp) {
  return (error: unknown) => {
    ok(error instanceof LibsqlError, `${error}`);
    is(error.code, code, error.message);
    if (message) ok(message.test(error.message), error.message);
    return true;
  };
}

async function send(url: string, body: unknown, version = 3) {
  const response = await fetch(`${url}/v${version}/pipeline`, { method: "POST", body: JSON.stringify(body) });
  const text = await response.text();
  const isJson = response.headers.get("content-type")?.startsWith("application/json");
  return { status: response.status, body: isJson ? JSON.parse(text) : text };
}

const sql = (text: string, more = {}) => ({ type: "execute", stmt: { sql: text, ...more } });

testServer("execute() carries every value type both ways", {}, async ({ client }) => {
  await client.execute("CREATE TABLE v (i INTEGER, f REAL, t TEXT, b BLOB, n ANY)");
  const args = [-9223372036854775808n, 0.1, "día 😀 'x'; --", new Uint8Array([0, 255, 1]), null];
  const inserted = await client.execute({ sql: "INSERT INTO v VALUES (?, ?, ?, ?, ?)", args });
  is(inserted.rowsAffected, 1);
  is(inserted.lastInsertRowid, 1n);
  const { columns, columnTypes, rows } = await client.execute("SELECT *, typeof(i) || typeof(b), 2 AS i FROM v");
  equal(columns.slice(0, 5), ["i", "f", "t", "b", "n"]);
  equal(columnTypes, ["INTEGER", "REAL", "TEXT", "BLOB", "ANY", "", ""]);
  const [row] = rows;
  equal([row[0], row[1], row[2], row[4], row[5], row[6]], [args[0], 0.1, args[2], null, "integerblob", 2n]);
  equal(new Uint8Array(row[3] as ArrayBuffer), args[3]);
});

testServer("execute() keeps integers and floats apart and int64 exact", {}, async ({ client }) => {
  const { rows } = await client.execute({
    sql: "SELECT ? + 1, typeof(?1), ?, typeof(?2), 1e300 * 1e3, x''",
    args: [9223372036854775806n, 3],
  });
  equal([...Array(5).keys()].map((i) => rows[0][i]), [9223372036854775807n, "integer", 3, "real", 1e303]);
  is((rows[0][5] as ArrayBuffer).byteLength, 0);
});

testServer("execute() binds positional, numbered and named arguments", {}, async ({ client }) => {
  const row = async (text: string, args: never) => Array.from((await client.execute({ sql: text, args })).rows[0]);
  equal(await row("SELECT ?2, ?1, ?, ':a', \"?\" -- ?", ["a", "b", "c"] as never), ["b", "a", "c", ":a", "?"]);
  equal(await row("SELECT :a, @b, $c, :a", { a: "1", "@b": "2", c: null } as never), ["1", "2", null, "1"]);
  const refused = (text: string, args: never) =>
    rejects(client.execute({ sql: text, args }), failsWith("ARGS_INVALID", /^ARGS_INVALID: Arguments do not match/));
  await refused("SELECT ?, ?", ["a"] as never);
  await refused("SELECT ?", ["a", "b"] as never);
  await refused("SELECT :a, :b", { a: 1 } as never);
});

testServer("execute() reports counts only for what changes rows", {}, async ({ client }) => {
  await client.executeMultiple("CREATE TABLE t (n); INSERT INTO t VALUES (1), (2), (3)");
  const updated = await client.execute("WITH x(m) AS (SELECT 2) UPDATE t SET n = 9 WHERE n >= (SELECT m FROM x)");
  equal([updated.rowsAffected, updated.lastInsertRowid], [2, undefined]);
  const selected = await client.execute("SELECT * FROM t");
  equal([selected.rowsAffected, selected.lastInsertRowid], [0, undefined]);
  const returned = await client.execute("INSERT INTO t VALUES (7) RETURNING n, rowid AS id");
  equal([returned.rowsAffected, returned.lastInsertRowid, { ...returned.rows[0] }], [1, 4n, { n: 7n, id: 4n }]);
});

testServer("execute() fails with the codes of sqld", {}, async ({ client }) => {
  await client.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, u TEXT NOT NULL UNIQUE, p REFERENCES t)");
  await client.execute("INSERT INTO t (u) VALUES ('a')");
  const cases: [string, string, RegExp?][] = [
    ["INSERT INTO t (u) VALUES ('a')", "SQLITE_CONSTRAINT", /SQLite error: UNIQUE constraint failed: t\.u$/],
    ["INSERT INTO t (u) VALUES (NULL)", "SQLITE_CONSTRAINT", /NOT NULL/],
    ["INSERT INTO t (u, p) VALUES ('b', 99)", "SQLITE_CONSTRAINT", /FOREIGN KEY/],
    ["SELEC 1", "SQL_PARSE_ERROR", /could not be parsed/],
    ["SELECT (", "SQL_PARSE_ERROR"],
    ["SELECT * FROM nope", "SQLITE_UNKNOWN", /SQLite error: no such table: nope/],
    ["SELECT nope FROM t", "SQL_INPUT_ERROR", /SQL input error: no such column: nope \(at offset 7\)/],
    ["COMMIT", "SQLITE_UNKNOWN", /cannot commit - no transaction is active/],
    ["", "SQL_NO_STATEMENT"],
    [" -- nothing\n;", "SQL_NO_STATEMENT"],
    ["SELECT 1; SELECT 2", "SQL_MANY_STATEMENTS"],
  ];
  for (const [text, code, message] of cases) await rejects(client.execute(text), failsWith(code, message), text);
  is((await client.execute("SELECT count(*) AS n FROM t;")).rows[0].n, 1n);
});

testServer("execute() refuses statements that leave the database", {}, async ({ client }) => {
  const file = join(tmpdir(), "hrana-escaped.db");
  const refused = [
    `ATTACH '${file}' AS x`,
    `/* */ ATTACH DATABASE '${file}' AS x`,
    `VACUUM INTO '${file}'`,
    "VACUUM",
    "PRAGMA journal_mode = DELETE",
    "PRAGMA wal_checkpoint",
    "EXPLAIN PRAGMA foreign_keys = off",
    "CREATE TEMP TABLE t (n)",
    "CREATE TABLE temp.t (n)",
    "ANALYZE",
  ];
  for (const text of refused) {
    await rejects(client.execute(text), failsWith("SQL_PARSE_ERROR", /unsupported statement/), text);
  }
  await rejects(client.execute("ATTACH other AS x"), failsWith("SERVER_ERROR", /status 401/));
  await rejects(client.execute("SELECT load_extension('x')"), failsWith("SQLITE_UNKNOWN", /not authorized/));
  ok(!existsSync(file));
  is((await client.execute("PRAGMA journal_mode")).rows[0].journal_mode, "wal");
});

testServer("batch() commits everything or nothing", {}, async ({ client }) => {
  const results = await client.batch(
    [
      "CREATE TABLE t (n INTEGER PRIMARY KEY)",
      { sql: "INSERT INTO t VALUES (?)", args: [1n] },
      { sql: "INSERT INTO t VALUES (:n)", args: { n: 2n } },
      "SELECT sum(n) AS total FROM t",
    ],
    "write",
  );
  equal(results.map(({ rowsAffected }) => rowsAffected), [0, 1, 1, 0]);
  is(results[3].rows[0].total, 3n);
  const clash = ["INSERT INTO t VALUES (3)", "INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (4)"];
  await rejects(client.batch(clash, "write"), failsWith("SQLITE_CONSTRAINT"));
  await rejects(client.batch(["INSERT INTO t VALUES (5)", "SELECT ("], "deferred"), failsWith("SQL_PARSE_ERROR"));
  equal((await client.batch(["SELECT n FROM t"], "read"))[0].rows.map(({ n }) => n), [1n, 2n]);
  await client.batch(["INSERT INTO t VALUES (6)"], "deferred");
  is((await client.execute("SELECT count(*) AS c FROM t")).rows[0].c, 3n);
});

testServer("transaction() is isolated until commit, gone after rollback", {}, async ({ client, connect }) => {
  await client.execute("CREATE TABLE t (n)");
  const count = async (of: Client) => (await of.execute("SELECT count(*) AS c FROM t")).rows[0].c;
  const first = await client.transaction("write");
  await first.execute("INSERT INTO t VALUES (1)");
  is((await first.execute("SELECT count(*) AS c FROM t")).rows[0].c, 1n);
  is(await count(connect()), 0n);
  await first.commit();
  is(await count(connect()), 1n);
  const second = await client.transaction("write");
  await second.batch(["INSERT INTO t VALUES (2)", "INSERT INTO t VALUES (3)"]);
  await second.executeMultiple("INSERT INTO t VALUES (4); INSERT INTO t VALUES (5);");
  await second.rollback();
  is(await count(client), 1n);
  await rejects(second.execute("SELECT 1"), failsWith("TRANSACTION_CLOSED"));
  const third = await client.transaction("deferred");
  await rejects(third.execute("INSERT INTO nope VALUES (1)"), failsWith("SQLITE_UNKNOWN"));
  await third.execute("INSERT INTO t VALUES (6)");
  third.close();
  await client.execute("INSERT INTO t VALUES (7)");
  is(await count(client), 2n);
});

testServer("a read transaction keeps its snapshot and cannot write after another's commit", {}, async (world) => {
  const { client, connect } = world;
  await client.execute("CREATE TABLE t (n)");
  const reader = await connect().transaction("deferred");
  is((await reader.execute("SELECT count(*) AS c FROM t")).rows[0].c, 0n);
  await client.execute("INSERT INTO t VALUES (1)");
  is((await reader.execute("SELECT count(*) AS c FROM t")).rows[0].c, 0n);
  await rejects(reader.execute("INSERT INTO t VALUES (2)"), failsWith("SQLITE_BUSY"));
  await reader.rollback();
});

testServer(
  "write transactions wait for each other in order of arrival",
  stoppedClock(),
  async ({ server, client, connect }) => {
    await client.executeMultiple("CREATE TABLE t (n); INSERT INTO t VALUES (1)");
    const first = await client.transaction("write");
    await first.execute("UPDATE t SET n = n + 1");
    const others: Promise<unknown>[] = [];
    for (const change of ["n * 3", "n + 4", "n * 5"]) {
      const arrived = server.requests.length + 1;
      others.push((async () => {
        const transaction = await connect().transaction("write");
        await transaction.execute(`UPDATE t SET n = ${change}`);
        await transaction.commit();
      })());
      while (server.requests.length < arrived) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    is((await connect().execute("SELECT n FROM t")).rows[0].n, 1n);
    await first.commit();
    await Promise.all(others);
    is((await client.execute("SELECT n FROM t")).rows[0].n, 50n);
  },
);

testServer("a lock that is held too long is SQLITE_BUSY for the other", { busyMs: 5 }, async ({ client, connect }) => {
  await client.execute("CREATE TABLE t (n)");
  const holder = await client.transaction("write");
  await holder.execute("INSERT INTO t VALUES (1)");
  const busy = failsWith("SQLITE_BUSY", /SQLite error: database is locked/);
  const other = await connect().transaction("write");
  await rejects(other.execute("SELECT 1"), busy);
  await rejects(connect().execute("INSERT INTO t VALUES (2)"), busy);
  await rejects(connect().batch(["INSERT INTO t VALUES (3)"], "write"), busy);
  await holder.commit();
  is((await client.execute("SELECT count(*) AS c FROM t")).rows[0].c, 1n);
});

const abandonment = stoppedClock();
testServer(
  "an abandoned transaction is rolled back when idle",
  { now: abandonment.now, transactionMs: 1e9 },
  async (world) => {
    const { client, connect } = world;
    await client.execute("CREATE TABLE t (n)");
    const abandoned = await client.transaction("write");
    await abandoned.execute("INSERT INTO t VALUES (1)");
    abandonment.advance(9_999);
    let isDone = false;
    const waiting = connect().execute("INSERT INTO t VALUES (2)").then(() => isDone = true);
    await connect().execute("SELECT 1");
    ok(!isDone);
    abandonment.advance(1);
    await waiting;
    await rejects(abandoned.execute("SELECT 1"), failsWith("STREAM_EXPIRED"));
    equal((await client.execute("SELECT n FROM t")).rows.map(({ n }) => n), [2n]);
  },
);

const theft = stoppedClock();
testServer("an old write transaction loses its lock to one that waits", { now: theft.now }, async (world) => {
  const { client, connect } = world;
  await client.execute("CREATE TABLE t (n)");
  const slow = await client.transaction("write");
  await slow.execute("INSERT INTO t VALUES (1)");
  theft.advance(4_999);
  await slow.execute("INSERT INTO t VALUES (2)");
  theft.advance(1);
  await slow.execute("INSERT INTO t VALUES (3)");
  await connect().execute("INSERT INTO t VALUES (4)");
  await rejects(slow.execute("INSERT INTO t VALUES (5)"), failsWith("TRANSACTION_TIMEOUT"));
  await rejects(slow.commit(), failsWith("SQLITE_UNKNOWN", /no transaction is active/));
  equal((await client.execute("SELECT n FROM t")).rows.map(({ n }) => n), [4n]);
});

testServer("20 clients increment one counter without losing any", stoppedClock(), async ({ client, connect }) => {
  await client.executeMultiple("CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (0)");
  await Promise.all(Array.from({ length: 20 }, async () => {
    const mine = connect();
    for (let i = 0; i < 3; i++) {
      const transaction = await mine.transaction("write");
      const { n } = (await transaction.execute("SELECT n FROM t")).rows[0];
      await transaction.execute({ sql: "UPDATE t SET n = ?", args: [n as bigint + 1n] });
      await transaction.commit();
    }
  }));
  is((await client.execute("SELECT n FROM t")).rows[0].n, 60n);
});

testServer("migrate() runs with foreign keys off", {}, async ({ client }) => {
  await client.migrate([
    "CREATE TABLE child (p REFERENCES parent)",
    "CREATE TABLE parent (id INTEGER PRIMARY KEY)",
    "INSERT INTO child VALUES (1)",
    "INSERT INTO parent VALUES (1)",
  ]);
  await rejects(client.execute("INSERT INTO child VALUES (2)"), failsWith("SQLITE_CONSTRAINT"));
});

testServer("executeMultiple() cuts scripts where SQLite would", {}, async ({ client }) => {
  await client.executeMultiple(`
    -- a comment; with a semicolon
    CREATE TABLE t (n INTEGER, "odd;name" TEXT DEFAULT 'a;b''c');
    CREATE TRIGGER twice AFTER INSERT ON t WHEN new.n < 10 BEGIN
      UPDATE t SET n = CASE WHEN n > 5 THEN 0 ELSE n END;
      INSERT INTO t (n) VALUES (new.n + 10);
    END;
    /* ; */ INSERT INTO t (n) VALUES (1)`);
  const { rows } = await client.execute("SELECT * FROM t");
  equal(rows.map((row) => [row.n, row["odd;name"]]), [[1n, "a;b'c"], [11n, "a;b'c"]]);
  await rejects(client.executeMultiple("INSERT INTO t (n) VALUES (50); SELECT FROM t"), failsWith("SQL_PARSE_ERROR"));
  is((await client.execute("SELECT count(*) AS c FROM t WHERE n = 50")).rows[0].c, 0n);
  const halfWay = "INSERT INTO t (n) VALUES (60); INSERT INTO nope VALUES (1); INSERT INTO t (n) VALUES (61)";
  await rejects(client.executeMultiple(halfWay), failsWith("SQLITE_UNKNOWN", /no such table/));
  equal((await client.execute("SELECT n FROM t WHERE n >= 60")).rows.map(({ n }) => n), [60n]);
});

testServer("execute() returns 10,000 rows", {}, async ({ client }) => {
  const { rows } = await client.execute(
    "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 10000) SELECT n, 'row ' || n AS t FROM c",
  );
  is(rows.length, 10_000);
  equal({ ...rows[9_999] }, { n: 10_000n, t: "row 10000" });
});

testServer("the path's file holds the data, other connections to it are waited for", {}, async () => {
  const directory = mkdtempSync(join(tmpdir(), "hrana-test-"));
  const path = join(directory, "some.db");
  try {
    await withServer({ path }, async ({ server, client }) => {
      await client.execute("CREATE TABLE t (n)");
      const outside = new DatabaseSync(path);
      outside.exec("BEGIN IMMEDIATE; INSERT INTO t VALUES (1)");
      const writing = client.execute("INSERT INTO t SELECT max(n) + 1 FROM t");
      while (server.requests.length < 2) await new Promise((resolve) => setTimeout(resolve, 1));
      outside.exec("COMMIT");
      outside.close();
      await writing;
      await client.transaction("write").then((open) => open.execute("INSERT INTO t VALUES (99)"));
    });
    equal(readdirSync(directory), ["some.db"]);
    await withServer({ path }, async ({ client }) => {
      equal((await client.execute("SELECT n FROM t")).rows.map(({ n }) => n), [1n, 2n]);
    });
  } finally {
    rmSync(directory, { recursive: true });
  }
});

testServer(
  "a token is required when one is configured",
  { authToken: "secret" },
  async ({ server, client, connect }) => {
    await connect("secret").execute("SELECT 1");
    await rejects(client.execute("SELECT 1"), failsWith("SERVER_ERROR", /HTTP status 401/));
    await rejects(connect("wrong").execute("SELECT 1"), failsWith("SERVER_ERROR", /HTTP status 401/));
    const { status, body } = await send(server.url, { requests: [] });
    equal([status, body], [401, { error: "Unauthorized: `Expected authorization header but none given`" }]);
  },
);

const byName = (token: string | undefined) => token === "full-access" || token === "read-only" ? token : undefined;
testServer("a read-only token reads and does not write", { authToken: byName }, async ({ connect }) => {
  const [writer, reader] = [connect("full-access"), connect("read-only")];
  await writer.executeMultiple("CREATE TABLE t (n); INSERT INTO t VALUES (1)");
  equal((await reader.batch(["SELECT n FROM t", "PRAGMA table_info(t)"], "read"))[0].rows.length, 1);
  for (const text of ["INSERT INTO t VALUES (2)", "WITH x AS (SELECT 1) DELETE FROM t", "DROP TABLE t"]) {
    await rejects(reader.execute(text), failsWith("SERVER_ERROR", /HTTP status 401/));
    await rejects(reader.batch(["SELECT 1", text], "write"), failsWith("SERVER_ERROR", /HTTP status 401/));
  }
  is((await writer.execute("SELECT count(*) AS c FROM t")).rows[0].c, 1n);
});

testServer("version endpoints answer as sqld without Protobuf", {}, async ({ server: { url } }) => {
  const status = async (path: string, method: string) => {
    const response = await fetch(url + path, { method });
    await response.body?.cancel();
    return response.status;
  };
  equal([await status("/v2", "GET"), await status("/v3", "GET")], [200, 200]);
  equal([await status("/v3-protobuf", "GET"), await status("/v3/cursor", "POST"), await status("/", "GET")], [
    404,
    404,
    404,
  ]);
  equal([await status("/v2/pipeline", "GET"), await status("/v3", "POST")], [405, 405]);
});

const batons = stoppedClock();
testServer("a baton continues its stream exactly once", { now: batons.now }, async ({ server: { url } }) => {
  const first = await send(url, { requests: [sql("CREATE TABLE t (n)"), sql("BEGIN"), { type: "get_autocommit" }] });
  equal([first.status, first.body.base_url, first.body.results[2].response.is_autocommit], [200, null, false]);
  const second = await send(url, { baton: first.body.baton, requests: [sql("INSERT INTO t VALUES (1)")] });
  is(second.status, 200);
  const text = async (baton: unknown) => await send(url, { baton, requests: [] });
  equal(await text(first.body.baton), { status: 400, body: "Received a baton that has already been used" });
  equal(await text("bm9uc2Vuc2U"), { status: 400, body: "Received an invalid baton" });
  const closed = await send(url, { baton: second.body.baton, requests: [sql("COMMIT"), { type: "close" }] });
  is(closed.body.baton, null);
  equal(await text(second.body.baton), { status: 400, body: "Received an invalid baton" });
  const idle = await text(undefined);
  batons.advance(10_000);
  const expired = { message: "The stream has expired due to inactivity", code: "STREAM_EXPIRED" };
  equal(await text(idle.body.baton), { status: 400, body: expired });
  const { results } = (await send(url, { requests: [sql("SELECT * FROM t")] })).body;
  const { query_duration_ms, ...result } = results[0].response.result;
  ok(query_duration_ms >= 0);
  equal(result, {
    cols: [{ name: "n", decltype: null }],
    rows: [[{ type: "integer", value: "1" }]],
    affected_row_count: 0,
    last_insert_rowid: null,
    replication_index: null,
    rows_read: 1,
    rows_written: 0,
  });
});

testServer("batch steps follow their conditions", {}, async ({ server: { url } }) => {
  const step = (text: string, condition?: unknown) => ({ stmt: { sql: text }, condition });
  const [fine, failed] = [{ type: "ok", step: 0 }, { type: "error", step: 1 }];
  const steps = [
    step("SELECT 1"),
    step("SELECT * FROM nope", fine),
    step("SELECT 2", { type: "not", cond: failed }),
    step("SELECT 3", { type: "and", conds: [fine, failed] }),
    step("SELECT 4", { type: "or", conds: [{ type: "not", cond: fine }, { type: "not", cond: failed }] }),
    step("BEGIN", { type: "is_autocommit" }),
    step("SELECT 5", { type: "is_autocommit" }),
    step("SELECT 6", { type: "error", step: 6 }),
  ];
  const { body } = await send(url, { requests: [{ type: "batch", batch: { steps } }] });
  const { step_results, step_errors, replication_index } = body.results[0].response.result;
  equal(step_results.map(Boolean), [true, false, false, true, false, true, false, true]);
  equal(step_errors[1], { message: "SQLite error: no such table: nope", code: "SQLITE_UNKNOWN" });
  equal([step_errors.filter(Boolean).length, replication_index], [1, null]);
  const bad = async (condition: unknown, version?: number) =>
    await send(url, { requests: [{ type: "batch", batch: { steps: [step("SELECT 1", condition)] } }] }, version);
  equal(await bad(fine), { status: 400, body: "Invalid reference to step in a batch condition" });
  const notIn2 = "BatchCond of type `is_autocommit` is only supported in protocol version hrana3 and higher";
  equal(await bad({ type: "is_autocommit" }, 2), { status: 400, body: notIn2 });
});

testServer("stored SQL, describe, want_rows and unpadded blobs", {}, async ({ server: { url } }) => {
  const { status, body } = await send(url, {
    requests: [
      { type: "store_sql", sql_id: 1, sql: "SELECT ? AS v, :n AS n" },
      { type: "describe", sql_id: 1 },
      sql("SELECT ?", { args: [{ type: "blob", base64: "AP8" }] }),
      sql("SELECT 1", { want_rows: false }),
      { type: "execute", stmt: { sql_id: 1, args: [{ type: "null" }] } },
      { type: "store_sql", sql_id: 2, sql: " ".repeat(5001) },
      { type: "describe", sql: "EXPLAIN SELECT nope" },
      { type: "close_sql", sql_id: 1 },
      { type: "close" },
    ],
  });
  is(status, 200);
  const [, described, blob, none, missing, tooLarge, wrong] = body.results;
  equal(described.response.result, {
    params: [{ name: null }, { name: ":n" }],
    cols: [{ name: "v", decltype: null }, { name: "n", decltype: null }],
    is_explain: false,
    is_readonly: true,
  });
  equal(blob.response.result.rows, [[{ type: "blob", base64: "AP8" }]]);
  equal([none.response.result.cols.length, none.response.result.rows], [1, []]);
  equal([missing, tooLarge, wrong].map(({ error }) => error.code), [
    "ARGS_INVALID",
    "SQL_STORE_TOO_LARGE",
    "SQL_INPUT_ERROR",
  ]);
  const gone = await send(url, {
    requests: [{ type: "close_sql", sql_id: 1 }, { type: "execute", stmt: { sql_id: 1 } }],
  });
  equal(gone, { status: 400, body: "SQL text 1 not found" });
  const big = { type: "integer", value: "9223372036854775808" };
  is((await send(url, { requests: [sql("SELECT ?", { args: [big] })] })).status, 400);
  const after = await send(url, { requests: [{ type: "close" }, sql("SELECT 1")] });
  equal(after, { status: 400, body: "Stream for this baton was closed" });
});

testServer("intercept() breaks a request before it acts, after it, or answers it", {}, async ({ server, client }) => {
  await client.execute("CREATE TABLE t (n)");
  const orders = [
    "drop-before",
    "drop-after",
    503,
    Response.json({ message: "later", code: "BLOCKED" }, { status: 400 }),
  ];
  server.intercept = () => orders.shift() as never;
  const insert = "INSERT INTO t VALUES (1)";
  const count = async () => (await client.execute("SELECT count(*) AS c FROM t")).rows[0].c;
  await rejects(client.execute(insert), TypeError);
  await rejects(client.execute(insert), TypeError);
  await rejects(client.execute(insert), failsWith("SERVER_ERROR", /503/));
  await rejects(client.execute(insert), failsWith("BLOCKED", /later/));
  is(await count(), 1n);
  equal(server.requests.slice(0, 2), [{ method: "POST", path: "/v2/pipeline" }, {
    method: "POST",
    path: "/v2/pipeline",
  }]);
});

Deno.test("hranaHandler() serves several databases in one place", async () => {
  const handlers = { a: hranaHandler({ path: ":memory:" }), b: hranaHandler({ path: ":memory:", authToken: "b" }) };
  const fetch = (request: Request) => handlers[new URL(request.url).hostname[0] as "a" | "b"].handle(request);
  const [a, b] = ["a", "b"].map((name) =>
    createClient({ url: `libsql://${name}.example`, authToken: name, fetch: fetch as typeof globalThis.fetch })
  );
  await a.execute("CREATE TABLE only_in_a (n)");
  await rejects(b.execute("SELECT * FROM only_in_a"), failsWith("SQLITE_UNKNOWN"));
  const mounted = new Request("http://host/dev/a/v2/pipeline", { method: "POST", body: '{"requests":[]}' });
  is((await handlers.a.handle(mounted)).status, 200);
  a.close();
  b.close();
  await Promise.all([handlers.a.close(), handlers.b.close()]);
  is((await handlers.a.handle(new Request("http://a.example/v3/pipeline", { method: "POST" }))).status, 503);
});
