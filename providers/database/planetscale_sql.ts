/**
 * Access to a branch of PlanetScale by SQL: by MySQL's protocol for Vitess, by PostgreSQL's otherwise. A query, its
 * size, a script, dropping all tables.
 *
 * - Connecting to Vitess: https://planetscale.com/docs/vitess/connecting/connection-strings
 * - Errors of MySQL's protocol: https://dev.mysql.com/doc/mysql-errors/8.0/en/server-error-reference.html
 */
import { loadPackage } from "../../core/system/lazy.ts";
import type { Context, Secret } from "../../core/provider.ts";
import { type ErrorCode, ForkstackError, isForkstackError } from "../../mod.ts";
import {
  answers,
  type PostgresLogin,
  postgresLoginOf,
  type Purpose,
  sqlStateOf,
  withPostgres,
} from "../_shared/postgres.ts";
import { mysqlStatements } from "../_shared/mysql_statements.ts";
import { runPostgresScript } from "../_shared/postgres_script.ts";
import { urlOf } from "../_shared/connection_url.ts";

/** The access to one branch. */
export interface Access {
  readonly engine: "vitess" | "postgres";
  /** The id of the password or role, by which it is revoked. */
  readonly id: string;
  readonly url: Secret;
}

type Signal = Pick<Context, "signal">;
/** The parts of a context that a changing statement needs. */
type Changing = Pick<Context, "signal" | "fence">;
// deno-lint-ignore no-explicit-any -- a row is what the statement asks for
type Query = (text: string) => Promise<any[]>;

/** Ports of Vitess and PostgreSQL, if the API returns a host only; an emulator's has its port. */
const PORTS = { vitess: 3306, postgres: 5432 } as const;

/** Formats the URL for an application; without TLS only if the API has none, as an emulator's. */
export function loginUrl(
  engine: Access["engine"],
  { username: user, password, database, host: at }: Readonly<
    Record<"host" | "username" | "password" | "database", string>
  >,
  isPlain: boolean,
): string {
  const [, host = at, port = PORTS[engine]] = /^(.+):(\d+)$/.exec(at) ?? [];
  const login = { user, password, host, port, database };
  if (engine === "postgres") {
    return urlOf({ ...login, scheme: "postgresql", query: { sslmode: isPlain ? "disable" : "verify-full" } });
  }
  const query: Record<string, string> = isPlain ? {} : { ssl: '{"rejectUnauthorized":true}' }; // as mysql2 reads it
  return urlOf({ ...login, scheme: "mysql", query });
}

/** Runs a query that no proxy in front of the database can answer. */
export async function pingBranch(context: Signal, access: Access, what: string): Promise<void> {
  if (access.engine === "postgres") return await answers(context, postgresOf(access), purposeOf(what));
  await onVitess(context, access, what, (query) => query("SHOW TABLES"));
}

/** Returns the bytes of all tables with their indexes; for a sharded keyspace, of one shard. */
export async function sizeOf(context: Signal, access: Access, what: string): Promise<number> {
  const rows = access.engine === "postgres"
    ? await withPostgres(
      context,
      postgresOf(access),
      purposeOf(what),
      (query) => query("SELECT pg_database_size(current_database())::text AS size"),
    )
    : await onVitess(context, access, what, (query) =>
      query(
        "SELECT CAST(COALESCE(SUM(data_length + index_length), 0) AS CHAR) AS size " +
          "FROM information_schema.tables WHERE table_schema = DATABASE()",
      ));
  return Number(rows[0].size);
}

/** Runs a script; the error of a statement names its line, without text that may be data. */
export async function runSql(context: Changing, access: Access, what: string, sql: string): Promise<void> {
  if (access.engine === "postgres") return await runPostgresScript(context, postgresOf(access), purposeOf(what), sql);
  await onVitess(context, access, what, async (query) => {
    for (const { text, line } of mysqlStatements(sql)) {
      context.signal.throwIfAborted();
      await context.fence();
      await query(text).catch((error) => {
        throw scriptError(error, line);
      });
    }
  });
}

/** Drops the tables that a branch of Vitess got with its parent's schema. */
export async function dropTables(context: Changing, access: Access, what: string): Promise<void> {
  await onVitess(context, access, what, async (query) => {
    await query("SET foreign_key_checks = 0");
    for (const row of await query("SHOW FULL TABLES")) {
      const [name, type] = Object.values(row) as [string, string];
      await context.fence();
      await query(`DROP ${type === "VIEW" ? "VIEW" : "TABLE"} \`${name.replaceAll("`", "``")}\``);
    }
  });
}

function postgresOf({ url }: Access): PostgresLogin {
  return postgresLoginOf(url.reveal())!; // `loginUrl` made it
}

function purposeOf(what: string): Purpose {
  return { provider: "planetscale", what, source: "the role that PlanetScale made" };
}

async function onVitess<T>(
  { signal }: Signal,
  { url }: Access,
  what: string,
  work: (query: Query) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted();
  const { createConnection } = await loadPackage<typeof import("npm:mysql2@3.24.5/promise")>(
    "npm:mysql2@3.24.5/promise",
  );
  try {
    const connection = await createConnection({ uri: url.reveal(), connectTimeout: 10_000 });
    try {
      return await work(async (text) => {
        const [rows] = await connection.query(text);
        return Array.isArray(rows) ? rows : []; // else it counts what changed
      });
    } finally {
      await connection.end().catch(() => connection.destroy()); // it may have been lost
    }
  } catch (error) {
    throw vitessError(error, what, new URL(url.reveal()).host);
  }
}

/** Returns the meaning of a code of the server or of the connection. */
function meaningOf(code: string, message: string): readonly [ErrorCode, state: string, mayPass: boolean, hint: string] {
  if (/^(E[A-Z]+|PROTOCOL_|ENOTFOUND)/.test(code) && !code.startsWith("ER_")) {
    const hint = "Check the network; port 3306 must be open outwards. Then run the same command again";
    return ["PROVIDER_UNAVAILABLE", `no connection (${code})`, true, hint];
  }
  if (code === "ER_ACCESS_DENIED_ERROR") {
    return ["NOT_READY", "its password is not known there", true, "Wait a minute, then run the same command again"];
  }
  if (/SSL|TLS|CERT/.test(code)) {
    return ["TLS_FAILED", "no TLS that can be trusted", false, "See whether something between here and there cuts TLS"];
  }
  return ["PROVIDER_REFUSED", message, false, "Fix what it says, then run the same command again"];
}

/** Returns our error for a known one, without the statement and the user: names of users are half of a credential. */
function vitessError(error: unknown, what: string, host: string): unknown {
  if (isForkstackError(error) || !(error instanceof Error)) return error;
  if (/^(NotCapable|PermissionDenied)$/.test(error.name) || error.name === "AbortError") return error;
  const code = sqlStateOf(error) || error.name;
  const [ours, state, retryable, hint] = meaningOf(code, error.message);
  return new ForkstackError(ours, `Cannot ${what} at ${host}: ${state}`, {
    hint,
    retryable,
    details: { provider: "planetscale" },
    cause: new Error(`${code}${ours === "NOT_READY" ? "" : `: ${error.message}`}`),
  });
}

/** Returns the error of a statement that the server refused, without the server's text, which quotes values. */
function scriptError(error: unknown, line: number): unknown {
  const code = sqlStateOf(error);
  if (!code.startsWith("ER_") || code === "ER_ACCESS_DENIED_ERROR") return error; // the connection
  const why = code === "ER_PARSE_ERROR" ? "it is no SQL that the server knows" : "the server refused it";
  return new ForkstackError("SQL_FAILED", `line ${line}: ${why} (${code})`, {
    hint: "Fix the script, then run the same command again",
    details: { provider: "planetscale" },
  });
}
