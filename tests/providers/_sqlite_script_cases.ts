/** Scripts that would leave their fork, and scripts that only work on it, run in whichever runtime starts this file. */
import * as fs from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { runSqliteScript } from "../../providers/database/sqlite_script.ts";

/** By what is refused; `@OUT` is a path where nothing may appear, `@IN` another database, which may not change. */
const LEAVING: readonly (readonly [refused: RegExp, script: string])[] = [
  [/ATTACH/, "ATTACH '@OUT' AS other; CREATE TABLE other.t (a)"],
  [/ATTACH/, "aTTaCh/* a comment */DATABASE\n'@IN' AS [other]; DELETE FROM other.users"],
  [/ATTACH/, "-- ; first\n/* ; */ ;;\t\f attach 'file:@OUT?mode=rwc' as other"],
  [/ATTACH/, "\uFEFFATTACH (SELECT '@OUT') AS other"],
  [/ATTACH/, "INSERT INTO users VALUES ('; '); ATTACH char(47) || 'tmp' AS \"other\""],
  [/ATTACH/, "CREATE TRIGGER t AFTER INSERT ON users BEGIN SELECT 1; SELECT ';'; END; ATTACH '@OUT' AS other"],
  [/ATTACH/, "SELECT '--'; ATTACH '@OUT' AS other --"],
  [/near "ATTACH"/, "CREATE TRIGGER t AFTER INSERT ON users BEGIN ATTACH '@OUT' AS other; END"],
  [/near "ATTACH"/, "WITH one AS (SELECT 1) ATTACH '@OUT' AS other"],
  [/ATTACH|EXPLAIN/, "EXPLAIN ATTACH '@OUT' AS other"],
  [/DETACH/, "Detach main"],
  [/VACUUM|transaction/, "VACUUM INTO '@OUT'"],
  [/VACUUM|transaction/, "vacuum main into '@OUT'"],
  [/VACUUM|transaction/, "VACUUM \"main\" /* to */ INTO ('@O' || 'UT')"],
  [/COMMIT/, "COMMIT; VACUUM INTO '@OUT'"],
  [/END|COMMIT/, "END TRANSACTION; ATTACH '@OUT' AS other"],
  [/ROLLBACK/, "ROLLBACK; VACUUM INTO '@OUT'"],
  [/ROLLBACK/, "Rollback Transaction"],
  [/BEGIN/, "BEGIN; DELETE FROM users; COMMIT"],
  [/load_extension|not authorized/, "SELECT load_extension('@OUT')"],
  [/load_extension|not authorized/, "UPDATE users SET email = Load_Extension('@OUT', 'x')"],
  [
    /load_extension/,
    "CREATE TRIGGER t AFTER UPDATE ON users BEGIN SELECT load_extension('x'); END; UPDATE users SET email = 1",
  ],
  [/no such function/, "SELECT writefile('@OUT', 'x')"],
  [/no such function/, "SELECT readfile('@IN')"],
  [/no such function/, "SELECT edit('x', 'touch @OUT')"],
  [/no such function|unsafe|disabled/, "SELECT fts3_tokenizer('simple', x'4141414141414141')"],
  [/no such module/, "CREATE VIRTUAL TABLE t USING csv(filename = '@IN')"],
  [/no such module/, "CREATE VIRTUAL TABLE temp.t USING fsdir('/')"],
  [/no such table/, "SELECT * FROM fsdir('/')"],
  [/PRAGMA temp_store_directory/, "PRAGMA temp_store_directory = '@DIR'"],
  [/PRAGMA/, "PRAGMA main.temp_store_directory('@DIR')"],
  [/PRAGMA/, "PRAGMA \"temp_store_directory\" = '@DIR'"],
  [/PRAGMA/, "pragma/**/data_store_directory='@DIR'"],
  [/PRAGMA/, "PRAGMA temp_store_directory -- now\n = '@DIR'"],
  [/PRAGMA lock_proxy_file/, "PRAGMA lock_proxy_file = '@OUT'"],
  [/PRAGMA writable_schema/, "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = 'x'"],
  [/PRAGMA journal_mode/, "PRAGMA journal_mode = WAL"],
  [/no such table/, "SELECT * FROM pragma_temp_store_directory('@DIR')"],
  [/NUL/, "SELECT 1;\0ATTACH '@OUT' AS other"],
  [/NUL/, "\0"],
  [/NUL/, "DELETE FROM users -- \0\n; VACUUM INTO '@OUT'"],
];

/** What a script may do, and what the table `users` then says. */
const STAYING: readonly (readonly [script: string, emails: readonly unknown[]])[] = [
  ["UPDATE users SET email = 'attach; vacuum into' WHERE rowid = 1", ["attach; vacuum into"]],
  [
    '-- ATTACH \'x\' AS y;\n/* VACUUM; */ DELETE FROM users; SELECT "a;b", [;], `;` FROM (SELECT 1 AS "a;b", 2 AS [;]) --',
    [],
  ],
  [
    "CREATE TABLE attach (vacuum); INSERT INTO attach VALUES ('commit'); UPDATE users SET email = (SELECT vacuum FROM attach)",
    ["commit"],
  ],
  [
    "CREATE TRIGGER t AFTER UPDATE ON users BEGIN DELETE FROM users WHERE email = 'x;'; INSERT INTO users VALUES (CASE WHEN 1 THEN 'y' END); END; UPDATE users SET email = 'x;'",
    ["y"],
  ],
  ["SAVEPOINT one; DELETE FROM users; ROLLBACK TO one; RELEASE one; UPDATE users SET email = 'kept'", ["kept"]],
  ["SAVEPOINT one; DELETE FROM users; rollback  transaction to savepoint one", ["ada@example.com"]],
  [
    "PRAGMA foreign_keys = OFF; PRAGMA main.user_version = 7; PRAGMA secure_delete(1); PRAGMA table_info(users); REPLACE INTO users SELECT user_version FROM pragma_user_version",
    ["ada@example.com", 7],
  ],
  [
    "CREATE VIRTUAL TABLE words USING fts5(w); INSERT INTO words VALUES ('one two'); UPDATE users SET email = (SELECT w FROM words WHERE words MATCH 'two')",
    ["one two"],
  ],
  [
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3) UPDATE users SET email = (SELECT max(i) FROM n); REINDEX; ANALYZE; DROP TABLE IF EXISTS none; VALUES (1)",
    [3],
  ],
  [`UPDATE users SET email = '${"é;😀".repeat(3_000)}';\r\nUPDATE users SET email = length(email);`, [9_000]],
  ["UPDATE users SET email = 'ü' ; ; /* never ended", ["ü"]],
];

/** Runs all of them in a directory; throws at the first that is not as it must be. */
export function runCases(directory: string, hasAuthorizer?: boolean): number {
  const [out, other, path] = ["out", "other.db", "fork.db"].map((name) => join(directory, name));
  const fresh = (at: string) => {
    fs.rmSync(at, { force: true });
    const database = new DatabaseSync(at);
    database.exec("CREATE TABLE users (email); INSERT INTO users VALUES ('ada@example.com')");
    return database;
  };
  fresh(other).close();
  const before = fs.readFileSync(other);
  const emails = (database: DatabaseSync) => database.prepare("SELECT email FROM users").all().map((row) => row.email);
  for (const [refused, text] of LEAVING) {
    const script = text.startsWith("\uFEFF") ? text : `UPDATE users SET email = 'half';\n${text}`;
    const filled = script.replaceAll("@OUT", out).replaceAll("@IN", other).replaceAll("@DIR", directory);
    const database = fresh(path);
    const said = messageOf(() => runSqliteScript(database, filled, hasAuthorizer));
    expect(said !== undefined && refused.test(said), `${text}: ${said}`);
    database.close();
    const again = new DatabaseSync(path);
    expect(emails(again).join() === "ada@example.com", `${text} left something: ${emails(again)}`);
    again.close();
    const names = fs.readdirSync(directory).sort();
    expect(
      names.join() === "fork.db,other.db" && fs.readFileSync(other).equals(before),
      `${text} left its fork: ${names}`,
    );
  }
  for (const [script, expected] of STAYING) {
    const database = fresh(path);
    const said = messageOf(() => runSqliteScript(database, script, hasAuthorizer));
    expect(said === undefined, `${script.slice(0, 200)}: ${said}`);
    expect(
      JSON.stringify(emails(database)) === JSON.stringify(expected),
      `${script.slice(0, 200)}: ${emails(database)}`,
    );
    database.close();
  }
  return LEAVING.length + STAYING.length;
}

function messageOf(work: () => void): string | undefined {
  try {
    work();
  } catch (error) {
    return (error as Error).message;
  }
}

function expect(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(otherwise);
}

const directory = process.argv[2];
if (import.meta.main !== false && directory !== undefined && process.env.FORKSTACK_SQLITE_CASES === "1") {
  console.log(runCases(directory));
}
