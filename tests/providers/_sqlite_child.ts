/**
 * Another process at a database, for sqlite_test.ts: `deno run _sqlite_child.ts <what> <path> <argument>`. It says
 * `ready` once it is at work, and stops when its standard input ends.
 */
import process from "node:process";
import { DatabaseSync } from "node:sqlite";

const [what, path, argument] = process.argv.slice(2) as [string, string, string];
const ROWS = 5; // of one transaction
const database = new DatabaseSync(path, { timeout: what === "hot" ? 2_000 : 0 }); // 0: each SQLITE_BUSY is seen
const stopped = new Promise<void>((resolve) => process.stdin.on("end", resolve).resume());

function commit(tx: number): void {
  const insert = database.prepare("INSERT INTO rows (tx, i, text) VALUES (?, ?, ?)");
  if (!database.isTransaction) database.exec("BEGIN IMMEDIATE");
  for (let i = 0; i < ROWS; i++) insert.run(tx, i, `${tx} `.repeat(40));
  database.exec(`UPDATE total SET count = count + ${ROWS}; COMMIT`);
}

const works: Record<string, () => unknown> = {
  /** Commits a transaction every 5 ms; at the end tells how many there were and how often the database was locked. */
  async write() {
    database.exec(`PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = ${Number(argument)}`);
    let committed = database.prepare("SELECT max(tx) AS last FROM rows").get()!.last as number;
    let isStopped = false;
    let busy = 0;
    void stopped.then(() => isStopped = true);
    console.log("ready");
    while (!isStopped) {
      try {
        commit(committed + 1);
        committed++;
      } catch (error) {
        if (!/locked/.test(String(error))) throw error;
        busy++;
        if (database.isTransaction) database.exec("ROLLBACK");
      }
      await new Promise((resolve) => setTimeout(resolve, 4));
    }
    console.log(JSON.stringify({ committed, busy }));
  },
  /** Commits one transaction after the other, of which each waits for the disk, among others that do so too. */
  async hot() {
    database.exec(`PRAGMA journal_mode = ${argument}; PRAGMA synchronous = FULL`);
    let [committed, isStopped] = [0, false];
    void stopped.then(() => isStopped = true);
    console.log("ready");
    for (let tries = 0; !isStopped; tries++) {
      try {
        database.exec("BEGIN IMMEDIATE");
        commit(database.prepare("SELECT max(tx) + 1 AS next FROM rows").get()!.next as number);
        committed++;
      } catch (error) {
        if (!/locked/.test(String(error))) throw error;
        if (database.isTransaction) database.exec("ROLLBACK");
      }
      if (tries % 100 === 0) await new Promise((resolve) => setTimeout(resolve, 0)); // hears that it is to stop
    }
    console.log(JSON.stringify({ committed }));
  },
  /** Holds a read transaction open. */
  async read() {
    database.exec("BEGIN");
    database.prepare("SELECT count(*) FROM rows").get();
    console.log("ready");
    await stopped;
  },
  /** Holds the database for itself. */
  async lock() {
    database.exec("BEGIN EXCLUSIVE");
    console.log("ready");
    await stopped;
  },
  /** Is at a checkpoint for as long as an older reader lets it wait. */
  checkpoint() {
    database.exec("PRAGMA busy_timeout = 60000");
    console.log("ready");
    database.exec("PRAGMA wal_checkpoint(FULL)");
  },
  /** Commits ten transactions, spills a further one to the disk without a commit, and waits to be killed. */
  async die() {
    database.exec(`PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = 5; PRAGMA synchronous = FULL`);
    const last = database.prepare("SELECT max(tx) AS last FROM rows").get()!.last as number;
    for (let tx = last + 1; tx <= last + 10; tx++) commit(tx);
    database.exec("BEGIN IMMEDIATE; UPDATE rows SET text = 'torn'");
    database.exec("INSERT INTO rows SELECT tx + 1000000, i, text FROM rows");
    console.log("ready");
    await stopped;
  },
};

await works[what]!();
database.close();
