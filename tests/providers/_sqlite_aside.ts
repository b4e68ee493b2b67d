/** Runs scripts aside, in whichever runtime starts this file, and tells what came of them. */
import { join } from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { runAside } from "../../providers/database/sqlite_thread.ts";

/** A statement that takes a minute, and one that takes hours. */
export const LONG = [
  "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 600000000) SELECT count(*) FROM c",
  "DELETE FROM t; WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) INSERT INTO t SELECT max(x) FROM c",
  "UPDATE t SET a = (WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT -x FROM c) SELECT sum(x) FROM c)",
];

export interface Told {
  /** How often the clock ticked amid each long script. */
  readonly ticks: readonly number[];
  readonly errors: readonly string[];
  readonly rows: readonly unknown[];
}

/** Runs them on a new file in a directory. */
export async function runAll(directory: string): Promise<Told> {
  const path = join(directory, "aside.db");
  const errors: string[] = [];
  const attempt = async (sql: string, signal: AbortSignal) => {
    await runAside(path, sql, signal).catch((error) => errors.push(`${error.code}: ${error.message}`));
  };
  const never = new AbortController().signal;
  await attempt("CREATE TABLE t (a); INSERT INTO t VALUES ('kept ä😀\u2028')", never);
  await attempt("DELETE FROM t;\nSELECT * FROM nowhere", never);
  await attempt(`ATTACH '${join(directory, "other.db")}' AS other`, never);
  const ticks: number[] = [];
  for (const sql of LONG) {
    const control = new AbortController();
    let count = 0;
    const timer = setInterval(() => {
      if (++count === 10) control.abort(Object.assign(new Error("stopped"), { code: "INTERRUPTED" }));
    }, 30);
    await attempt(sql, control.signal);
    clearInterval(timer);
    ticks.push(count);
  }
  await attempt("SELECT 1", AbortSignal.abort(Object.assign(new Error("before"), { code: "INTERRUPTED" })));
  const database = new DatabaseSync(path, { readOnly: true });
  const rows = database.prepare("SELECT a FROM t").all().map(({ a }) => a);
  database.close();
  return { ticks, errors, rows };
}

if (process.env.FORKSTACK_SQLITE_ASIDE === "1") {
  console.log(JSON.stringify(await runAll(process.argv[2]!)));
  process.exit(0); // as the command line does
}
