/**
 * One SQL database behind the registry: a local file by `node:sqlite`, or a libSQL server for a team. Both take the
 * same statements.
 *
 * @module
 */
import type { DatabaseSync as Database, SQLInputValue } from "node:sqlite";
import { ForkstackError, isForkstackError } from "../mod.ts";
import { disk } from "./disk.ts";
import { temporaryPath } from "./files.ts";
import { dirname } from "./host.ts";

/** A value that a statement binds. */
export type SqlValue = string | number | null;
/** A statement with its arguments. */
export type Statement = readonly [sql: string, ...args: SqlValue[]];
/** A row, by column name. */
export type Row = Readonly<Record<string, string | number | null>>;

/** A database that the registry can live in. */
export interface Sql {
  /**
   * Runs the statements as one write transaction: all or none. Gives the rows of each. A server may get them twice:
   * they must be such that the second time changes nothing.
   */
  write(statements: readonly Statement[]): Promise<Row[][]>;
  /** Runs one statement that reads. */
  read(statement: Statement): Promise<Row[]>;
  /** Closes the connection. */
  close(): void;
}

/**
 * A file, made if it is not there, or `:memory:`. What is committed survives the crash of any process; a power loss too
 * unless told otherwise, at the price of waiting for the disk.
 */
export async function openFile(path: string, survives: "power loss" | "process crash" = "power loss"): Promise<Sql> {
  const { DatabaseSync } = await import("node:sqlite");
  if (path !== ":memory:") {
    if (await disk.mode(path) === undefined) {
      await disk.makeDirectory(dirname(path), 0o700);
      await disk.writeNew(path, "", 0o600).catch(isThere); // SQLite would make it readable for all
    }
  }
  const database = new DatabaseSync(path, { timeout: 15_000 });
  try {
    // FULL: a commit is on the disk before the call that it announces is made.
    const synchronous = survives === "power loss" ? "FULL" : "NORMAL";
    database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = ${synchronous};`);
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
    write: (statements) => told(() => transaction(database, statements)),
    read: ([sql, ...args]) => told(() => all(database, sql, args)),
    close: () => database.close(),
  };
}

/**
 * SQLite tells of a full disk by its text alone, and where the shared memory of its log finds no room (32 KiB, see
 * https://sqlite.org/walformat.html), by that of any failure. Every other error as it is.
 */
async function fullDisk(path: string, error: unknown): Promise<unknown> {
  const { code, message } = error as Error & { code?: string };
  if (code !== "ERR_SQLITE_ERROR" || !/disk is full|disk I\/O error/.test(message)) return error;
  if (!/disk is full/.test(message) && await hasRoomBeside(path)) return error;
  return new ForkstackError("DISK_FULL", `Cannot write the registry "${path}": the disk is full`, {
    hint: "Free some space and run the same command again",
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

function transaction(database: Database, statements: readonly Statement[]): Row[][] {
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

function all(database: Database, sql: string, args: SQLInputValue[]): Row[] {
  return database.prepare(sql).all(...args).map((row) => ({ ...row })) as unknown as Row[];
}

/** A libSQL server or Turso database. */
export async function openServer(url: string, authToken: string | undefined): Promise<Sql> {
  const { createClient } = await import("npm:@libsql/client@0.18.0/web");
  const client = createClient({ url, authToken, intMode: "number", fetch: await serverFetch(url, authToken) });
  type Result = { columns: string[]; rows: ArrayLike<unknown>[] };
  const named = (result: Result) =>
    result.rows.map((row) => Object.fromEntries(result.columns.map((column, at) => [column, row[at]])) as Row);
  const statement = ([sql, ...args]: Statement) => ({ sql, args });
  return {
    async write(statements) {
      const results = await client.batch(statements.map(statement), "write").catch((error) => failed(url, error));
      return results.map((result) => named(result as unknown as Result));
    },
    async read(one) {
      return named(await client.execute(statement(one)).catch((error) => failed(url, error)) as unknown as Result);
    },
    close: () => client.close(),
  };
}

/**
 * What the client sends its requests with. Each may be sent again: the statements of the registry have no other effect
 * the second time (see `Registry.fenced`). So a lost reply costs a repetition, and it does no harm that Deno's fetch by
 * itself sends a request once more when a reused connection breaks.
 */
async function serverFetch(
  url: string,
  authToken: string | undefined,
): Promise<(request: Request) => Promise<Response>> {
  const [{ httpClient }, { Secret }] = await Promise.all([import("./http.ts"), import("./secret.ts")]);
  const send = httpClient({
    secrets: authToken === undefined ? [] : [new Secret(authToken)],
    tries: 3,
    timeoutMs: 15_000,
    totalMs: 45_000,
  });
  return async (request) => {
    request.headers.set("x-forkstack-repeat", "safe");
    const response = await send(request);
    if (response.status === 401 || response.status === 403) throw refused(url, response.status);
    if (!response.ok && response.status !== 400) throw unreachable(url, `it answers ${response.status}`);
    return response;
  };
}

/** Errors of SQL, and those that say already what to do, go on as they are. */
function failed(url: string, error: unknown): never {
  const code = (error as { code?: string }).code ?? "";
  if (/^(SQLITE_|SQL_PARSE_ERROR$)/.test(code)) throw error;
  if (isForkstackError(error) && error.code !== "PROVIDER_UNAVAILABLE") throw error;
  throw unreachable(url, "no answer", error);
}

function refused(url: string, status: number): ForkstackError {
  return new ForkstackError(
    "CREDENTIALS_REJECTED",
    `Cannot use the registry at "${new URL(url).host}": the token was refused (${status})`,
    { hint: "Set FORKSTACK_REGISTRY_TOKEN to a token of this database", details: { status } },
  );
}

function unreachable(url: string, state: string, cause?: unknown): ForkstackError {
  return new ForkstackError("REGISTRY_UNREACHABLE", `Cannot reach the registry at "${new URL(url).host}": ${state}`, {
    hint: "Check the network and `registry.url` in forkstack.json; `forkstack status` works without it",
    retryable: true,
    cause,
  });
}
