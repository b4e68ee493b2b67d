/**
 * One SQL database behind the registry: a local file by `node:sqlite`, or a libSQL server for a team. Both take the
 * same statements.
 *
 * @module
 */
import type { DatabaseSync as Database, SQLInputValue } from "node:sqlite";
import { chmodSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { ForkstackError } from "../mod.ts";

/** A value that a statement binds. */
export type SqlValue = string | number | null;
/** A statement with its arguments. */
export type Statement = readonly [sql: string, ...args: SqlValue[]];
/** A row, by column name. */
export type Row = Readonly<Record<string, string | number | null>>;

/** A database that the registry can live in. */
export interface Sql {
  /** Runs the statements as one write transaction: all or none. Gives the rows of each. */
  write(statements: readonly Statement[]): Promise<Row[][]>;
  /** Runs one statement that reads. */
  read(statement: Statement): Promise<Row[]>;
  /** Closes the connection. */
  close(): void;
}

/** A file, made if it is not there, or `:memory:`. */
export async function openFile(path: string): Promise<Sql> {
  const { DatabaseSync } = await import("node:sqlite");
  if (path !== ":memory:") mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const database = new DatabaseSync(path, { timeout: 15_000 });
  try {
    // FULL: a commit is on the disk before the call that it announces is made, so it survives a power cut too.
    database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
    if (path !== ":memory:") chmodSync(path, 0o600);
  } catch (error) {
    database.close();
    throw error;
  }
  return {
    write(statements) {
      return Promise.resolve(transaction(database, statements));
    },
    read([sql, ...args]) {
      return Promise.resolve(all(database, sql, args));
    },
    close: () => database.close(),
  };
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
  const { createClient } = await import("@libsql/client/web");
  const client = createClient({ url, authToken, intMode: "number" });
  type Result = { columns: string[]; rows: ArrayLike<unknown>[] };
  const named = (result: Result) =>
    result.rows.map((row) => Object.fromEntries(result.columns.map((column, at) => [column, row[at]])) as Row);
  const statement = ([sql, ...args]: Statement) => ({ sql, args });
  return {
    async write(statements) {
      const results = await client.batch(statements.map(statement), "write").catch((error) => unreachable(url, error));
      return results.map((result) => named(result as unknown as Result));
    },
    async read(one) {
      return named(await client.execute(statement(one)).catch((error) => unreachable(url, error)) as unknown as Result);
    },
    close: () => client.close(),
  };
}

/** Errors of SQL go on as they are; what kept the server from answering gets a hint. */
function unreachable(url: string, error: unknown): never {
  const code = (error as { code?: string }).code ?? "";
  if (code.startsWith("SQLITE_") || code === "SQL_PARSE_ERROR") throw error;
  const host = new URL(url).host;
  const isRefused = /401|403|UNAUTHORIZED|auth/i.test(`${code} ${(error as Error).message}`);
  throw new ForkstackError(
    isRefused ? "CREDENTIALS_REJECTED" : "REGISTRY_UNREACHABLE",
    `Cannot reach the registry at "${host}": ${isRefused ? "the token was refused" : "no answer"}`,
    {
      hint: isRefused
        ? "Set FORKSTACK_REGISTRY_TOKEN to a token of this database"
        : "Check the network and `registry.url` in forkstack.json; `forkstack status` works without it",
      retryable: !isRefused,
      cause: error,
    },
  );
}
