/**
 * The SQL database behind a registry: a local file by `node:sqlite`, or a libSQL server for a team (libsql.ts). Both
 * take the same statements.
 *
 * @module
 */
import type { DatabaseSync as Database, SQLInputValue } from "node:sqlite";
import { ForkstackError } from "../../mod.ts";
import { disk } from "../system/disk.ts";
import { temporaryPath } from "../system/files.ts";
import { dirname, join } from "../system/host.ts";

/** A value that a statement binds. */
export type SqlValue = string | number | null;
/** A statement with its arguments. */
export type Statement = readonly [sql: string, ...args: SqlValue[]];
/** A row, by column name. */
export type SqlRow = Readonly<Record<string, string | number | null>>;

/** A database that the registry can live in. */
export interface Sql {
  /**
   * Runs the statements as one write transaction, all or none. Returns the rows of each. A server may get them twice,
   * so a second run must change nothing.
   */
  write(statements: readonly Statement[]): Promise<SqlRow[][]>;
  /** Runs one statement that reads; returns its rows. */
  read(statement: Statement): Promise<SqlRow[]>;
  /** Closes the connection. */
  close(): void;
}

/**
 * Loads `node:sqlite`. Node has it since 22.5, and with a timeout and `backup` since 22.16:
 * https://nodejs.org/api/sqlite.html
 */
async function sqlite(): Promise<typeof import("node:sqlite")> {
  const found = await import("node:sqlite").catch((error: Error) => error);
  if ("backup" in found) return found;
  throw new ForkstackError("TOOL_OUTDATED", "Cannot open the registry: this runtime has no SQLite, or an old one", {
    hint: "Run forkstack with Node 22.16 or later, Deno, Bun, or as a binary; the app itself may run in Node 20",
    cause: found instanceof Error ? found : undefined,
  });
}

/** Options for opening a file. */
export interface OpenFile {
  /** Durability of a commit: a power loss is survived at the price of waiting for the disk. @default {"power loss"} */
  readonly survives?: "power loss" | "process crash";
  /** Open an existing file, and never write to it. @default {false} */
  readonly readOnly?: boolean;
}

/**
 * Pages that the log grows to before a commit brings them into the file. Each command opens the registry alone, and so
 * reads the whole log again: SQLite's own 1,000 pages, 4 MB, take it longer than all else that it does with the registry.
 */
const LOG_PAGES = 100;

/** Opens a database file, and creates it if it is missing; `:memory:` for one in memory. */
export async function openFile(path: string, options: OpenFile = {}): Promise<Sql> {
  const { survives = "power loss", readOnly = false } = options;
  const { DatabaseSync } = await sqlite();
  if (path !== ":memory:" && !readOnly) {
    if (await disk.mode(path) === undefined) {
      await disk.makeDirectory(dirname(path), 0o700);
      await disk.writeNew(path, "", 0o600).catch(isThere); // SQLite would make it readable for all
    }
  }
  const database = readOnly
    ? await openToLook(path).catch(async (error) => {
      throw await fullDisk(path, error);
    })
    : new DatabaseSync(path, { timeout: 15_000 });
  try {
    // FULL: a commit is on the disk before the call that it announces is made.
    const synchronous = survives === "power loss" ? "FULL" : "NORMAL";
    const pragmas = `PRAGMA synchronous = ${synchronous}; PRAGMA wal_autocheckpoint = ${LOG_PAGES};`;
    if (!readOnly) database.exec(`PRAGMA journal_mode = WAL; ${pragmas}`);
  } catch (error) {
    database.close();
    throw await fullDisk(path, error);
  }
  const told = async <T>(work: () => T): Promise<T> => {
    try {
      return work();
    } catch (error) {
      throw await fullDisk(path, error);
    }
  };
  return {
    write: (statements) =>
      told(() => transaction(database, statements)).catch((error) => {
        throw notWritable(path, error);
      }),
    read: ([sql, ...args]) => told(() => all(database, sql, args)),
    close: () => database.close(),
  };
}

/**
 * Opens a file for reading only. If SQLite cannot create the shared memory of its log, in another user's directory or
 * on a read-only disk, a copy is read (https://sqlite.org/wal.html, section 5). SQLite's own `immutable` needs a URL,
 * which Deno's permissions take for a path.
 */
async function openToLook(path: string): Promise<Database> {
  try {
    return await openReadOnly(path);
  } catch (error) {
    if (!/readonly database|unable to open/.test((error as Error).message)) throw error;
    return await openCopy(path).catch(() => {
      throw error;
    });
  }
}

const MOST_COPIES = 5;

/** Opens a copy of a file and its log, made while nobody wrote to them. */
async function openCopy(path: string): Promise<Database> {
  const { copyFile, mkdtemp, rm } = await import("node:fs/promises");
  const { tmpdir } = await import("node:os");
  const stamps = async () => (await Promise.all(["", "-wal"].map((suffix) => disk.stamp(path + suffix)))).join(" ");
  const directory = await mkdtemp(join(tmpdir(), "forkstack-"));
  try {
    const copy = join(directory, "registry.db");
    for (let attempt = 1; attempt <= MOST_COPIES; attempt++) {
      const before = await stamps();
      await copyFile(path, copy);
      const hasLog = await disk.look(`${path}-wal`) !== undefined;
      if (hasLog) await copyFile(`${path}-wal`, `${copy}-wal`);
      if (await stamps() !== before) continue;
      await disk.changeMode(copy, 0o600);
      if (hasLog) await disk.changeMode(`${copy}-wal`, 0o600);
      const { DatabaseSync } = await sqlite();
      const database = new DatabaseSync(copy); // its log is read with shared memory that is ours
      database.prepare("SELECT 1 FROM sqlite_schema").get();
      return database;
    }
    throw new Error("it is written to all the time");
  } finally {
    await rm(directory, { recursive: true }); // what is open stays until it is closed
  }
}

async function openReadOnly(path: string): Promise<Database> {
  const { DatabaseSync } = await sqlite();
  const database = new DatabaseSync(path, { timeout: 15_000, readOnly: true });
  try {
    database.prepare("SELECT 1 FROM sqlite_schema").get();
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/**
 * Returns DISK_FULL for SQLite's errors of a full disk, any other error unchanged. SQLite reports it only by its text,
 * and with a generic text if its log's shared memory finds no room (32 KiB, see https://sqlite.org/walformat.html).
 */
async function fullDisk(path: string, error: unknown): Promise<unknown> {
  const { message } = error as Error; // its code is another in each runtime
  if (!/disk is full|disk I\/O error/.test(message)) return error;
  if (!/disk is full/.test(message) && await hasRoomBeside(path)) return error;
  return new ForkstackError("DISK_FULL", `Cannot write the registry "${path}": the disk is full`, {
    hint: "Free some space and run the same command again",
    cause: error,
  });
}

/** Returns the error for a read-only file or disk; any other error unchanged. */
function notWritable(path: string, error: unknown): unknown {
  if (!/readonly database/.test((error as Error).message)) return error;
  return new ForkstackError("NOT_PERMITTED", `Cannot write the registry "${path}": it is read-only`, {
    hint: "Check its owner and its permissions; FORKSTACK_STATE names another place for the state",
    cause: error,
  });
}

async function hasRoomBeside(path: string): Promise<boolean> {
  const probe = temporaryPath(path);
  try {
    await disk.writeNew(probe, "x".repeat(65_536), 0o600);
    return true;
  } catch (error) {
    return (error as { code?: string }).code !== "ENOSPC";
  } finally {
    await disk.remove(probe);
  }
}

function isThere(error: { code?: string }): void {
  if (error.code !== "EEXIST") throw error;
}

function transaction(database: Database, statements: readonly Statement[]): SqlRow[][] {
  database.exec("BEGIN IMMEDIATE");
  try {
    const rows = statements.map(([sql, ...args]) => all(database, sql, args));
    database.exec("COMMIT");
    return rows;
  } catch (error) {
    if (database.isTransaction) database.exec("ROLLBACK");
    throw error;
  }
}

function all(database: Database, sql: string, args: SQLInputValue[]): SqlRow[] {
  return database.prepare(sql).all(...args).map((row) => ({ ...row })) as unknown as SqlRow[];
}
