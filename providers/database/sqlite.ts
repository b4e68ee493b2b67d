/**
 * SQLite in a file: no server, no account. A fork is a snapshot of a parent that may be in use.
 *
 * - Locks and WAL: https://sqlite.org/wal.html, https://sqlite.org/walformat.html (locks)
 * - What breaks a copy: https://sqlite.org/howtocorrupt.html
 */
import type { Context, Copy } from "../../core/provider.ts";
import { load } from "../../core/system/lazy.ts";
import { ForkstackError } from "../../mod.ts";
import { embeddedProvider } from "../_shared/embedded.ts";

const SNAPSHOT_ATTEMPTS = 50;

export default embeddedProvider({
  name: "sqlite",
  kind: "database",
  title: "SQLite",
  page: "databases.md#sqlite",
  type: "file",
  companions: ["-wal", "-shm", "-journal"],
  async fill(context, partial, parent) {
    const sizeBytes = parent === undefined ? 0 : (await context.files.stat(parent))?.sizeBytes ?? 0;
    if (sizeBytes > 0) return await snapshot(context, parent!, partial);
    await context.files.write(partial, "");
    return "empty";
  },
  async open(path) {
    using database = await open(path);
    database.prepare("SELECT count(*) FROM sqlite_schema").get();
  },
  async execute(path, sql, signal) {
    const { runAside } = await load<typeof import("./sqlite_thread.ts")>("providers/database/sqlite_thread.ts");
    await runAside(path, sql, signal);
  },
});

/**
 * Copies the main file while a read transaction keeps it unchanged. In WAL mode writers continue: once a checkpoint has
 * written back all of the log while our reader is there, the main file is exactly what the reader sees, and no later
 * checkpoint may write past the reader's mark. In the other journal modes the reader's lock makes writers wait.
 */
async function snapshot(context: Context, from: string, to: string): Promise<Copy> {
  try {
    using reader = await open(from);
    using checkpointer = await open(from);
    for (let attempt = 1; attempt <= SNAPSHOT_ATTEMPTS; attempt++) {
      reader.exec("BEGIN; SELECT count(*) FROM sqlite_schema;");
      const seen = checkpointer.prepare("PRAGMA wal_checkpoint(PASSIVE)").get() as unknown as Checkpoint;
      // Busy: another connection is at a checkpoint, and the two counts say nothing. Both -1: there is no log.
      if (seen.busy === 0 && seen.log === seen.checkpointed) return await context.files.copy(from, to);
      reader.exec("ROLLBACK"); // a commit came between the two; or a long reader holds the log back
      await context.sleep(attempt);
    }
    const { backup } = await import("node:sqlite");
    await backup(reader, to, { rate: 2 ** 30 }); // one step, so in one read transaction
    return "full-copy";
  } catch (error) {
    throw sqliteError(error, from);
  }
}

interface Checkpoint {
  readonly busy: number;
  readonly log: number;
  readonly checkpointed: number;
}

/**
 * Returns our error for one of SQLite's, by its fixed texts, as Deno gives no number: https://sqlite.org/rescode.html
 */
function sqliteError(error: unknown, path: string): unknown {
  if ((error as { code?: string }).code !== "ERR_SQLITE_ERROR") return error;
  const { message } = error as Error;
  if (/disk is full/.test(message)) return Object.assign(error as Error, { code: "ENOSPC" });
  if (/disk I\/O error/.test(message)) { // also of a full disk, where the shared memory of the log finds no room
    return new ForkstackError("DISK_FAILED", `Cannot fork database "${path}": ${message}`, {
      hint: "Check the disk: it may be full",
      cause: error,
    });
  }
  const isBusy = /is locked/.test(message);
  return new ForkstackError(
    isBusy ? "PARENT_BUSY" : "PARENT_UNUSABLE",
    `Cannot fork database "${path}": ${message}`,
    {
      hint: isBusy
        ? "Something holds it locked; end that, then run the same command again"
        : "Check that it is a SQLite file and that its directory can be written",
      retryable: isBusy,
      cause: error,
    },
  );
}

async function open(path: string) {
  const { DatabaseSync } = await import("node:sqlite");
  const database = new DatabaseSync(path, { timeout: 5_000 });
  return Object.assign(database, { [Symbol.dispose]: () => database.close() });
}
