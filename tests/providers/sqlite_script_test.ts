/** A script of `sanitize` stays in its fork: in each runtime, by the engine's authorizer and without one. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { runSqliteScript } from "../../providers/database/sqlite_script.ts";
import { temporaryDirectory } from "../helpers.ts";
import { bun, deno, node, node22, run, type Runtime, runtimeTest } from "../runtime_helpers.ts";
import { LONG, type Told } from "./_sqlite_aside.ts";
import { runCases } from "./_sqlite_script_cases.ts";

for (const hasAuthorizer of [true, false]) {
  Deno.test(`runSqliteScript() refuses what leaves the fork, and runs the rest, ${hasAuthorizer ? "by the authorizer" : "without one"}`, () => {
    using directory = temporaryDirectory();
    assert(runCases(directory.path, hasAuthorizer) > 40);
  });
}

for (const [name, runtime] of [["Bun", bun()], ["Node 22", node22()], ["Node 24", node(24)]] as const) {
  runtimeTest(`runSqliteScript() stays in its fork in ${name}`, runtime, (command) => {
    using directory = temporaryDirectory();
    const script = fileURLToPath(new URL("./_sqlite_script_cases.ts", import.meta.url));
    const { code, stdout, stderr } = run([...command, script, directory.path], {
      env: { FORKSTACK_SQLITE_CASES: "1", NODE_NO_WARNINGS: "1" },
    });
    assert.equal(code, 0, stderr);
    assert(Number(stdout) > 40, stdout);
  });
}

Deno.test("runSqliteScript() without an authorizer tells the line, and takes a long script in time that grows with it", () => {
  const database = new DatabaseSync(":memory:");
  database.exec("CREATE TABLE t (a)");
  assert.throws(() => runSqliteScript(database, "SELECT 1;\n\nSELECT 2;\n-- one\nATTACH 'x' AS y", false), {
    code: "SQL_FAILED",
    message: "line 5: ATTACH is refused: a script changes its fork alone",
  });
  database.exec("ROLLBACK");
  assert.throws(() => runSqliteScript(database, "SELECT 1;\n\n  SELECT\n* FROM nowhere", false), {
    message: /^line 3: no such table: nowhere/,
  });
  database.exec("ROLLBACK");
  const lines = 20_000;
  runSqliteScript(database, `INSERT INTO t VALUES ('${"x".repeat(200)}');\n`.repeat(lines), false);
  assert.equal(database.prepare("SELECT count(*) AS n FROM t").get()!.n, lines);
  database.close();
});

function assertTold({ ticks, errors, rows }: Told, directory: string): void {
  assert.deepEqual(rows, ["kept ä😀\u2028"]);
  // At the tenth it is told to stop: a machine under load lets the clock tick on until it has.
  assert(ticks.length === 3 && ticks.every((count) => count >= 10 && count < 1_000), `${ticks}`);
  assert.match(errors[0]!, /^SQL_FAILED: line 2: no such table: nowhere/);
  assert.match(errors[1]!, /^SQL_FAILED: line 1: ATTACH/);
  assert.deepEqual(errors.slice(2), [...LONG.map(() => "INTERRUPTED: stopped"), "INTERRUPTED: before"]);
  assert.deepEqual(readdirSync(directory).filter((name) => /other/.test(name)), []);
}

const ASIDE: readonly (readonly [name: string, runtime: Runtime, ...args: string[]])[] = [
  ["Deno, with the permissions of the command line", deno(), "run", "-q", "--no-lock", "-P=cli"],
  ["Bun", bun()],
  ["Node 22", node22()],
  ["Node 24", node(24)],
];

for (const [name, runtime, ...args] of ASIDE) {
  runtimeTest(`a script ends amid a long statement, and keeps nothing of it, in ${name}`, runtime, (command) => {
    using directory = temporaryDirectory();
    const script = fileURLToPath(new URL("./_sqlite_aside.ts", import.meta.url));
    const began = performance.now();
    const { code, stdout, stderr } = run([...command, ...args, script, directory.path], {
      env: { FORKSTACK_SQLITE_ASIDE: "1", NODE_NO_WARNINGS: "1" },
      cwd: fileURLToPath(new URL("../../", import.meta.url)),
    });
    assert.equal(code, 0, stderr);
    assertTold(JSON.parse(stdout), directory.path);
    assert(performance.now() - began < 30_000);
  });
}
