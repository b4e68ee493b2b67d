/** Tests of the copy: the parts of a parent that reach a fork, those that do not, and the reach of a fork's logins. */
import assert from "node:assert/strict";
import process from "node:process";
import { createConnection } from "npm:mysql2@3.24.5/promise";
import type { Fork } from "../../core/provider.ts";
import provider from "../../providers/database/mysql.ts";
import { type MariaDb, startMariaDb } from "../emulators/mariadb_server.ts";
import { testIf } from "../helpers.ts";
import { whyMissing } from "../tools.ts";
import { hasCode } from "./_special.ts";
import {
  appUrl,
  asApp,
  contentOf,
  contextOf,
  databasesOf,
  make,
  NOTES,
  onServer,
  prepare,
  targetOf,
  thingsOf,
  urlOf,
  whyNone,
} from "./_mysql.ts";

const STRATEGIES = ["copy", "dump"] as const;
const whyNoDump = whyMissing("mariadb-dump", "mariadb");

/** Each line is something that a copy by hand forgets. */
const RICH = `
  ALTER DATABASE \`shop-dev\` CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
  CREATE SEQUENCE tickets START WITH 100 INCREMENT BY 5; SELECT NEXTVAL(tickets);
  CREATE TABLE people (id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, name VARCHAR(40) NOT NULL COMMENT 'it''s \\\\ a "name"',
    upper_name VARCHAR(40) AS (UPPER(name)) VIRTUAL, size INT AS (CHAR_LENGTH(name)) STORED, ticket INT DEFAULT NEXTVAL(tickets),
    extra JSON, mood ENUM('good', 'b\\'ad') DEFAULT 'good', raw VARBINARY(20), flags BIT(5), price DECIMAL(30, 10),
    born DATE, seen TIMESTAMP NULL, place POINT, secret INT INVISIBLE DEFAULT 7, old VARCHAR(9) CHARACTER SET latin1,
    UNIQUE KEY (name), FULLTEXT KEY (old), CHECK (size < 39)) AUTO_INCREMENT = 5000;
  SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO';
  INSERT INTO people (id, name, extra, mood, raw, flags, price, born, seen, place, secret, old) VALUES
    (0, 'zero', '{"a": [1, null]}', 'b\\'ad', X'00ff27220a5c', b'10101', 12345678901234567890.0123456789, '0000-00-00',
      '2026-03-29 01:30:00', POINT(1, 2), 9, 'caf\u00e9'), (7, 'Ren\u00e9e \u{1F600} \\0 ; -- \\'', NULL, 'good', '', b'0', -1, NULL, NULL, NULL, 0, '');
  SET sql_mode = DEFAULT;
  CREATE TABLE orders (id INT AUTO_INCREMENT PRIMARY KEY, person INT UNSIGNED, CONSTRAINT of_person FOREIGN KEY (person)
    REFERENCES people (id) ON DELETE CASCADE) ROW_FORMAT = DYNAMIC COMMENT = 'orders; of \`people\`';
  INSERT INTO orders (person) VALUES (7), (0), (7);
  CREATE TABLE ring (id INT PRIMARY KEY, next INT, FOREIGN KEY (next) REFERENCES ring (id)); SET foreign_key_checks = 0;
  INSERT INTO ring VALUES (1, 2), (2, 1); SET foreign_key_checks = 1;
  CREATE TABLE parts (id INT, y INT) PARTITION BY RANGE (y) (PARTITION a VALUES LESS THAN (10), PARTITION b VALUES LESS THAN MAXVALUE);
  INSERT INTO parts VALUES (1, 5), (2, 50);
  CREATE TABLE kept (x INT) WITH SYSTEM VERSIONING; INSERT INTO kept VALUES (1);
  CREATE TABLE plain (x INT) ENGINE = MyISAM; INSERT INTO plain VALUES (4);
  CREATE TABLE \`--odd \`\`name\`\`; drop\` (\`a\`\`b\` INT, \`select\` INT AS (1)); INSERT INTO \`--odd \`\`name\`\`; drop\` (\`a\`\`b\`) VALUES (3);
  CREATE TABLE \`%\` (x INT); INSERT INTO \`%\` VALUES (1);
  CREATE FUNCTION twice(n INT) RETURNS INT DETERMINISTIC RETURN 2 * n;
  CREATE VIEW zz_first AS SELECT id, twice(id) AS two, \`shop-dev\`.twice(1) AS one FROM people;
  CREATE SQL SECURITY INVOKER VIEW aa_second AS SELECT zz_first.two FROM zz_first WHERE two > 0 WITH CHECK OPTION;
  CREATE VIEW drawn AS SELECT LASTVAL(tickets) AS last;
  CREATE TABLE log (text VARCHAR(200));
  CREATE TRIGGER zz_one AFTER INSERT ON orders FOR EACH ROW INSERT INTO log VALUES (CONCAT('one by ', CURRENT_USER()));
  CREATE TRIGGER aa_two AFTER INSERT ON orders FOR EACH ROW FOLLOWS zz_one INSERT INTO log VALUES ('two');
  CREATE TRIGGER \`shop-dev\`.named BEFORE UPDATE ON \`shop-dev\`.orders FOR EACH ROW SET NEW.person = COALESCE(NEW.person, 7);
  SET sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT';
  CREATE PROCEDURE "quo ted"(OUT o VARCHAR(50)) COMMENT 'it''s' SET o = 'a' || (SELECT COUNT(*) FROM "people");
  SET sql_mode = 'ORACLE'; CREATE PACKAGE pack AS FUNCTION f RETURN INT; END;
  CREATE PACKAGE BODY pack AS FUNCTION f RETURN INT AS BEGIN RETURN 5; END; END; SET sql_mode = DEFAULT;
  CREATE EVENT tidy ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 03:00:00' DISABLE COMMENT 'x' DO DELETE FROM log;`;

/** The package has semicolons of its own: sent as they are, the server finds the statements' ends itself. */
async function rich(server: MariaDb): Promise<void> {
  await server.as(async (root) => {
    await root.query("USE `shop-dev`");
    await root.query(RICH);
  });
}

for (const strategy of STRATEGIES) {
  const options = { strategy };
  testIf(
    whyNone ?? whyNoDump,
    `mysql: by ${strategy}, all that a parent holds is in the fork, in its own name`,
    async () => {
      await using server = await startMariaDb(["--log-bin"]); // so that triggers and functions need a right of their own
      await prepare(server);
      await server.as((root) => make(root, "shop-dev"));
      await rich(server);
      const told: string[] = [];
      const context = contextOf(urlOf(server.port), { warn: (text) => void told.push(text) });
      const fork = await provider.create(context, targetOf("alice", { options }));
      const parents = await contentOf(server, "shop-dev");
      assert.equal(await contentOf(server, fork.name), parents);
      const url = await appUrl(context, fork);
      await worksAlone(url, fork);
      assert.deepEqual(await definersOf(server, fork.name), [`fs_${fork.id}@%`]);
      assert.equal(await contentOf(server, "shop-dev"), parents, "the parent stays as it was");
      await (await provider.reset!(context, fork, targetOf("alice", { options }))).commit();
      assert.equal(await contentOf(server, fork.name), parents, "a reset has all of it too");
      await worksAlone(url, fork);
      assert.deepEqual(await definersOf(server, fork.name), [`fs_${fork.id}@%`]);
      const again = await provider.create(context, targetOf("bob", { options, parent: fork.name }));
      assert.equal(await contentOf(server, again.name), await contentOf(server, fork.name), "a fork of a fork");
      assert.equal(await contentOf(server, "shop-dev"), parents);
      assert.deepEqual(told, []);
    },
  );
}

async function definersOf(server: MariaDb, name: string): Promise<string[]> {
  const [rows] = await server.as((root) =>
    root.query(
      `SELECT DISTINCT d FROM (SELECT DEFINER AS d, TABLE_SCHEMA AS s FROM information_schema.VIEWS
        UNION SELECT DEFINER, ROUTINE_SCHEMA FROM information_schema.ROUTINES
        UNION SELECT DEFINER, TRIGGER_SCHEMA FROM information_schema.TRIGGERS
        UNION SELECT DEFINER, EVENT_SCHEMA FROM information_schema.EVENTS WHERE EVENT_NAME <> 'forkstack_mark') x
        WHERE s = ?`,
      [name],
    )
  );
  return (rows as { d: string }[]).map(({ d }) => d);
}

/** Uses each object of the fork, and asserts that it acts in the fork alone. */
async function worksAlone(url: string, { id }: Fork): Promise<void> {
  const [person] = await asApp(
    url,
    "INSERT INTO people (name) VALUES ('new')",
    "SELECT id, upper_name, size, ticket FROM people WHERE name = 'new'",
  );
  assert.deepEqual([person!.id, person!.upper_name, person!.size], [5_000, "NEW", 3]);
  assert(Number(person!.ticket) >= 105 && Number(person!.ticket) % 5 === 0, `${person!.ticket}`);
  const logged = await asApp(url, "INSERT INTO orders (person) VALUES (7)", "SELECT text FROM log");
  assert.deepEqual(logged.map(({ text }) => text), [`one by fs_${id}@%`, "two"]);
  await asApp(url, "UPDATE orders SET person = NULL WHERE id = 1");
  assert.deepEqual(await asApp(url, "SELECT person FROM orders WHERE id = 1"), [{ person: 7 }]);
  assert.deepEqual(await asApp(url, "SELECT two FROM aa_second WHERE two = 14"), [{ two: 14 }]);
  assert.deepEqual(await asApp(url, "CALL `quo ted`(@o)", "SELECT @o AS o"), [{ o: "a3" }]);
  const called = await asApp(url, "SET sql_mode = ORACLE", "SELECT pack.f() AS five, twice(4) AS eight");
  assert.deepEqual(called, [{ five: 5, eight: 8 }]);
  await assert.rejects(asApp(url, "INSERT INTO orders (person) VALUES (99)"), { errno: 1452 });
  await assert.rejects(asApp(url, "INSERT INTO people (name) VALUES (REPEAT('x', 40))"), { errno: 4025 });
  await asApp(url, "DELETE FROM people WHERE id = 7");
  assert.deepEqual(await asApp(url, "SELECT COUNT(*) AS n FROM orders"), [{ n: 1 }]);
}

onServer("a fork's login reaches nothing but its fork, and may hand nothing on", async (server, context) => {
  const [alice, bob] = [
    await provider.create(context, targetOf("alice")),
    await provider.create(context, targetOf("bob")),
  ];
  await server.as((root) => make(root, "shop_alice", "CREATE TABLE secret (x INT)")); // what `_` as a pattern would match
  const url = await appUrl(context, alice);
  const seen = await asApp(url, "SHOW DATABASES");
  assert.deepEqual(seen.map(({ Database }) => Database), ["information_schema", "shop-alice"]);
  for (const other of ["shop-dev", bob.name, "shop_alice", "mysql"]) {
    await assert.rejects(asApp(url, `USE \`${other}\``), { errno: 1044 });
  }
  const denied = [
    "CREATE DATABASE `shop-x`",
    "SELECT * FROM `shop-dev`.notes",
    "CREATE USER x",
    "GRANT SELECT ON `shop-alice`.* TO `fs_" + bob.id + "`@`%`",
    "SET GLOBAL max_connections = 5",
    "SELECT * FROM notes INTO OUTFILE '/tmp/x'",
    "CREATE DEFINER = root@localhost PROCEDURE p() SELECT 1",
    "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO SELECT 1",
    "DROP EVENT forkstack_mark",
  ];
  for (const sql of denied) {
    await assert.rejects(
      asApp(url, sql),
      (error: { errno: number }) => /^(1044|1045|1142|1227)$/.test(`${error.errno}`),
      sql,
    );
  }
  await asApp(
    url,
    "CREATE TABLE t (x INT)",
    "CREATE VIEW v AS SELECT x FROM t",
    "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW SET NEW.x = 1",
    "CREATE PROCEDURE p() INSERT INTO t VALUES (5)",
    "CALL p()",
    "ALTER TABLE t ADD y INT",
    "CREATE TEMPORARY TABLE u (x INT)",
    "LOCK TABLES t WRITE",
    "UNLOCK TABLES",
    "DROP TABLE t",
  );
  const rights = [...await thingsOf(server)].filter(([thing]) => thing.startsWith("user fs_"));
  assert.equal(rights.length, 3, "alice's own, bob's own, and one login");
  for (const [, grants] of rights) {
    assert.doesNotMatch(grants, /GRANT OPTION|ALL PRIVILEGES| ON \*\.\* [^"]*(SELECT|SUPER)/);
  }
});

onServer("each URL has a login of its own; delete() ends all of them, and their sessions", async (server, context) => {
  const fork = await provider.create(context, targetOf("alice"));
  const [first, second] = [await appUrl(context, fork), await appUrl(context, fork)];
  assert.notEqual(new URL(first).username, new URL(second).username);
  for (const url of [first, second]) assert.deepEqual(await asApp(url, "SELECT COUNT(*) AS n FROM notes"), [{ n: 20 }]);
  await (await provider.reset!(context, fork, targetOf("alice"))).commit();
  await asApp(first, "SELECT 1 FROM notes");
  const connection = await createConnection({ uri: second });
  connection.on("error", () => {});
  await connection.query("START TRANSACTION");
  await connection.query("SELECT * FROM notes"); // it would keep the database from being dropped
  assert.equal(await provider.delete(context, fork, targetOf("alice")), "deleted");
  await assert.rejects(connection.query("SELECT 1"));
  connection.destroy();
  assert.deepEqual([...(await thingsOf(server)).keys()], ["database shop-dev", "user forks"]);
});

onServer(
  "logins have EVENT where their fork has events, so that no tool that clears a database drops the mark",
  async (server, context) => {
    await server.as((root) => root.query("CREATE EVENT `shop-dev`.e ON SCHEDULE EVERY 1 DAY DO DELETE FROM notes"));
    const fork = await provider.create(context, targetOf("alice"));
    await asApp(await appUrl(context, fork), "ALTER EVENT e DISABLE");
  },
);

onServer("what would tie a fork to something else is refused, or left out and told", async (server, context) => {
  await server.as(async (root) => {
    await make(root, "other", "CREATE TABLE far (id INT PRIMARY KEY)");
    await root.query("USE `shop-dev`; CREATE TABLE child (id INT, FOREIGN KEY (id) REFERENCES other.far (id))");
  });
  for (const strategy of STRATEGIES) {
    const target = targetOf("alice", { options: { strategy } });
    await assert.rejects(provider.create(context, target), hasCode("PARENT_UNUSABLE"));
    const seen = await provider.inspect(context, target);
    await provider.delete(context, (seen as { fork: Fork }).fork, target);
  }
  await server.as((root) =>
    root.query(`USE \`shop-dev\`; DROP TABLE child; CREATE TABLE a (x INT) ENGINE = MyISAM; CREATE TABLE gone (x INT);
      CREATE TABLE both_of (x INT) ENGINE = MERGE UNION = (a); CREATE VIEW broken AS SELECT x FROM gone; DROP TABLE gone;
      CREATE VIEW on_broken AS SELECT x FROM a WHERE x IN (SELECT x FROM a); CREATE VIEW far AS SELECT id FROM other.far;
      CREATE PROCEDURE reach() SELECT COUNT(*) FROM \`shop-dev\`.notes; CREATE FUNCTION fine() RETURNS INT RETURN 1`)
  );
  const told: string[] = [];
  const listening = { ...context, warn: (text: string) => void told.push(text) };
  const fork = await provider.create(listening, targetOf("alice"));
  assert.deepEqual(told.map((text) => text.replace(/: .*/, "")).sort(), [
    'procedure "reach" names database "shop-dev", which the fork\'s login may not use',
    'table "both_of" is not copied',
    'view "broken" is not copied',
    'view "far" is not copied',
  ]);
  const url = await appUrl(context, fork);
  await assert.rejects(asApp(url, "CALL reach()"), { errno: 1142 });
  assert.deepEqual(await asApp(url, "SELECT fine() AS one, (SELECT COUNT(*) FROM on_broken) AS n"), [{ one: 1, n: 0 }]);
});

for (const strategy of [undefined, "copy"] as const) {
  const how = strategy === undefined ? "dumped by default, and nobody waits" : "by copy, and the writer waits";
  onServer(`a parent under writes is forked as of one moment, ${how}`, async (server, context) => {
    await server.as((root) =>
      root.query("USE `shop-dev`; CREATE TABLE pairs (n INT); CREATE TABLE total (n INT); INSERT INTO total VALUES (0)")
    );
    const writer = await createConnection({ uri: `${urlOf(server.port)}/shop-dev` });
    let [isOn, written] = [true, 0];
    const load = (async () => {
      for (; isOn; written++) {
        await writer.query("START TRANSACTION");
        await writer.query("INSERT INTO pairs VALUES (1), (1)");
        await writer.query("UPDATE total SET n = n + 2");
        await writer.query("COMMIT");
      }
    })();
    const seen: number[] = [];
    for (const env of ["one", "two"]) {
      while (written < 10) await new Promise((resolve) => setTimeout(resolve, 1));
      const before = written;
      const fork = await provider.create(
        context,
        targetOf(env, strategy === undefined ? {} : { options: { strategy } }),
      );
      const [row] = await asApp(
        await appUrl(context, fork),
        "SELECT (SELECT COUNT(*) FROM pairs) AS pairs, (SELECT n FROM total) AS total, (SELECT COUNT(*) FROM notes) AS notes",
      );
      assert.deepEqual([row!.pairs, row!.notes], [row!.total, 20], "one moment");
      assert(Number(row!.pairs) >= before * 2);
      seen.push(Number(row!.pairs));
    }
    isOn = false;
    await load;
    await writer.end();
    assert(written * 2 >= seen[1]! && seen[1]! > seen[0]!, "the writer must have been at work");
  });
}

onServer(
  "a transaction that has written to the parent keeps a copy from it: told, and nothing is left locked",
  async (server, context) => {
    const writer = await createConnection({ uri: `${urlOf(server.port)}/shop-dev` });
    await writer.query("START TRANSACTION");
    await writer.query("INSERT INTO notes (text) VALUES ('not yet')");
    const target = targetOf("alice", { options: { strategy: "copy" } });
    await assert.rejects(provider.create(context, target), hasCode("PARENT_BUSY"));
    await writer.query("COMMIT");
    await writer.end();
    const fork = await provider.create(context, target);
    assert.equal(await contentOf(server, fork.name), await contentOf(server, "shop-dev"));
  },
);

onServer("without PROCESS nobody can tell who is connected: the parent is dumped", async (server, context) => {
  await server.as((root) => root.query("REVOKE PROCESS ON *.* FROM forks@'%'"));
  const { PATH } = process.env;
  try {
    process.env.PATH = "/nowhere";
    await assert.rejects(provider.create(context, targetOf("alice")), hasCode("TOOL_MISSING"));
  } finally {
    process.env.PATH = PATH;
    await server.as((root) => root.query("GRANT PROCESS ON *.* TO forks@'%'"));
  }
  const fork = await provider.create(context, targetOf("alice"));
  assert.equal(await contentOf(server, fork.name), await contentOf(server, "shop-dev"));
  assert.deepEqual(await databasesOf(server), ["shop-alice", "shop-dev"]);
});

testIf(
  whyNone,
  "mysql: a server that says it is a MySQL 8 is spoken to as one",
  async () => {
    await using server = await startMariaDb(["--version=8.0.44"]);
    await prepare(server);
    await server.as((root) => make(root, "shop-dev", NOTES));
    const context = contextOf(urlOf(server.port));
    for (const strategy of STRATEGIES) {
      const target = targetOf("alice", { options: { strategy } });
      const fork = await provider.create(context, target);
      assert.equal(await contentOf(server, fork.name), await contentOf(server, "shop-dev"));
      assert.deepEqual(await asApp(await appUrl(context, fork), "SELECT COUNT(*) AS n FROM notes"), [{ n: 20 }]);
      assert((await provider.usage!(context, fork, target)).sizeBytes > 0);
      assert.equal(await provider.delete(context, fork, target), "deleted");
    }
  },
);
