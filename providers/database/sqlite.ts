/**
 * SQLite in a file: no server, no account. A fork is a snapshot of a parent that may be in use.
 *
 * - Locks and WAL: https://sqlite.org/wal.html, https://sqlite.org/walformat.html (locks)
 * - What breaks a copy: https://sqlite.org/howtocorrupt.html
 */
import type { DatabaseSync } from "node:sqlite";
import type { Context, Copy } from "../../core/provider.ts";
import { load } from "../../core/system/lazy.ts";
import { ForkstackError } from "../../mod.ts";
import { embeddedProvider } from "../_shared/embedded.ts";
import { damageIn, openPages, type PageReader, type Root } from "./sqlite_pages.ts";

const SNAPSHOT_ATTEMPTS = 50;
/** Most attempts at a lock that others hold, and the pause between two, in milliseconds. */
const BUSY_ATTEMPTS = 8_000;
const BUSY_MS = 2;

export default embeddedProvider({
  name: "sqlite",
  kind: "database",
  title: "SQLite",
  page: "databases.md#sqlite",
  type: "file",
  companions: ["-wal", "-shm", "-journal"],
  log: "-wal",
  async fill(context, partial, parent) {
    const sizeBytes = parent === undefined ? 0 : (await context.files.stat(parent))?.sizeBytes ?? 0;
    if (sizeBytes > 0) return await snapshot(context, parent!, partial);
    await context.files.write(partial, "");
    return "empty";
  },
  async take(context, partial, from) {
    if (!/\.sql$/i.test(from)) return await backedUp(context, from, partial);
    const { utf8Text } = await load<typeof import("../_shared/text_lines.ts")>("providers/_shared/text_lines.ts");
    const dump = DUMP.exec(utf8Text(await context.files.readBytes(from) ?? new Uint8Array()))!;
    await context.files.write(partial, "");
    await runScript(partial, dump[1] ?? dump[2]!, context.signal);
  },
  async isEmpty(_context, path) {
    using database = await open(path);
    return database.prepare("SELECT 1 FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'").get() ===
      undefined;
  },
  async open(path) {
    using database = await open(path);
    database.prepare("SELECT count(*) FROM sqlite_schema").get();
  },
  async damage(path, signal) {
    const { askAside } = await load<typeof import("./sqlite_thread.ts")>("providers/database/sqlite_thread.ts");
    const lines = await askAside(path, "PRAGMA integrity_check(5)", signal).catch((error: Error) => {
      if (/malformed|not a database/.test(error.message)) return [error.message];
      throw error;
    });
    return lines.flatMap((line) => String(line).split("\n")).filter((line) => line !== "ok");
  },
  execute: runScript,
});

/** A script as `sqlite3`'s `.dump` writes it, in a transaction of its own; or any other. */
const DUMP = /^\s*(?:PRAGMA foreign_keys=OFF;\s*)?BEGIN(?: TRANSACTION)?;([^]*?)COMMIT;\s*$|^([^]*)$/i;

async function runScript(path: string, sql: string, signal: AbortSignal): Promise<void> {
  const { runAside } = await load<typeof import("./sqlite_thread.ts")>("providers/database/sqlite_thread.ts");
  await runAside(path, sql, signal);
}

const PAGES_AT_ONCE = 16_384; // so that Ctrl-C is heard, and a lock's heartbeat

/**
 * Copies a database that may be in use, with what its log holds, and without writing to it.
 * https://sqlite.org/backup.html
 */
async function backedUp(context: Context, from: string, to: string): Promise<void> {
  await context.files.write(to, "");
  try {
    const { backup, DatabaseSync } = await import("node:sqlite");
    const source = new DatabaseSync(from, { readOnly: true, timeout: 5_000 });
    try {
      await backup(source, to, { rate: PAGES_AT_ONCE, progress: () => context.signal.throwIfAborted() });
    } finally {
      source.close();
    }
    using copy = await open(to);
    const { quick_check: found } = copy.prepare("PRAGMA quick_check(1)").get() as { quick_check: string };
    if (found !== "ok") throw Object.assign(new Error(found.replace(/\s+/g, " ")), { code: "ERR_SQLITE_ERROR" });
  } catch (error) {
    throw sqliteError(error, from);
  }
}

/**
 * Copies the main file while a read transaction keeps it unchanged. In WAL mode writers continue: once a checkpoint has
 * written back all of the log while our reader is there, the main file is exactly what the reader sees, and no later
 * checkpoint may write past the reader's mark. In the other journal modes the reader's lock makes writers wait, and
 * one that waits lets no second connection in: there must be none.
 */
async function snapshot(context: Context, from: string, to: string): Promise<Copy> {
  try {
    using pages = await openPages(from); // closed after the reader: see there
    using reader = await open(from, 0);
    using checkpointer = await open(from);
    for (let attempt = 1; attempt <= SNAPSHOT_ATTEMPTS; attempt++) {
      const roots = await beginReading(context, reader);
      const isLogged = reader.prepare("PRAGMA journal_mode").get()!.journal_mode === "wal";
      if (!isLogged || isWrittenBack(checkpointer)) {
        assertSound(pages, roots, from);
        return await context.files.copy(from, to);
      }
      reader.exec("ROLLBACK"); // a commit came between the two; or a long reader holds the log back
      await context.sleep(attempt);
    }
    const { backup } = await import("node:sqlite");
    await backup(reader, to, { rate: 2 ** 30 }); // one step, so in one read transaction
    using copied = await openPages(to);
    assertSound(copied, reader.prepare(ROOTS).all() as unknown as Root[], from);
    return "full-copy";
  } catch (error) {
    throw sqliteError(error, from);
  }
}

const ROOTS = "SELECT type, name, rootpage FROM sqlite_schema WHERE rootpage > 0";

/**
 * Begins a read transaction. Busy writers leave moments of microseconds for it, so it tries more often than SQLite's own
 * wait, whose pauses grow to 100 ms.
 */
async function beginReading(context: Context, reader: DatabaseSync): Promise<Root[]> {
  for (let attempt = 1;; attempt++) {
    reader.exec("BEGIN");
    try {
      return reader.prepare(ROOTS).all() as unknown as Root[];
    } catch (error) {
      reader.exec("ROLLBACK");
      if (attempt === BUSY_ATTEMPTS || !isLocked(error)) throw error;
    }
    await context.sleep(BUSY_MS);
  }
}

function isLocked(error: unknown): boolean {
  return /is locked/.test((error as Error).message);
}

/** Writes back the log; returns true if all of it is. */
function isWrittenBack(checkpointer: DatabaseSync): boolean {
  // Busy: another connection is at a checkpoint, and the two counts say nothing. Both -1: there is no log.
  const seen = checkpointer.prepare("PRAGMA wal_checkpoint(PASSIVE)").get() as unknown as Checkpoint;
  return seen.busy === 0 && seen.log === seen.checkpointed;
}

function assertSound(pages: PageReader, roots: readonly Root[], path: string): void {
  const damage = damageIn(pages, roots);
  if (damage === undefined) return;
  throw new ForkstackError("PARENT_UNUSABLE", `Cannot fork database "${path}": it is damaged: ${damage}`, {
    hint: `Restore it from a backup, or try \`sqlite3 ${path} .recover\`; \`forkstack doctor --deep\` reads all of it`,
  });
}

interface Checkpoint {
  readonly busy: number;
  readonly log: number;
  readonly checkpointed: number;
}

const HINTS: readonly (readonly [RegExp, string])[] = [
  [/not a database/, "Check that it is a SQLite file; an encrypted one can't be forked"],
  [/malformed/, "It is damaged: restore it from a backup, or try the command .recover of SQLite's own shell"],
];

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
  if (isLocked(error)) {
    return new ForkstackError("PARENT_BUSY", `Cannot fork database "${path}": ${message}`, {
      hint: "Something holds it locked; end that, then run the same command again",
      retryable: true,
      cause: error,
    });
  }
  const hint = HINTS.find(([pattern]) => pattern.test(message))?.[1] ??
    "Check that it is a SQLite file and that its directory can be written";
  return new ForkstackError("PARENT_UNUSABLE", `Cannot fork database "${path}": ${message}`, { hint, cause: error });
}

async function open(path: string, timeout = 5_000) {
  const { DatabaseSync } = await import("node:sqlite");
  const database = new DatabaseSync(path, { timeout });
  return Object.assign(database, { [Symbol.dispose]: () => database.close() });
}
