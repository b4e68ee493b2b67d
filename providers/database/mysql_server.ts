/**
 * MySQL's protocol as the provider `mysql` needs it: a connection by URL, errors by number, locks, scripts.
 *
 * - Errors: https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html,
 * https://mariadb.com/docs/server/reference/error-codes/mariadb-error-code-reference
 */
import { createHash } from "node:crypto";
import type { Context } from "../../core/provider.ts";
import { allowHint } from "../../core/system/deno_permissions.ts";
import { loadPackage } from "../../core/system/lazy.ts";
import { type ErrorCode, ForkstackError, isForkstackError } from "../../mod.ts";
import { givenUrl, hostAndPort, urlOf } from "../_shared/connection_url.ts";
import { mysqlStatements } from "../_shared/mysql_statements.ts";
import { waitForLock } from "../_shared/server_database.ts";

/** Sends a statement; several at once, divided by semicolons, give no rows. */
// deno-lint-ignore no-explicit-any -- a row is what the statement asks for
export type MysqlQuery = (text: string, values?: readonly unknown[]) => Promise<any[]>;

/** The address, user, password and TLS settings of a connection. */
export interface Login {
  /** The scheme of the URL: `"mysql"` or `"mariadb"`. */
  readonly scheme: string;
  readonly host: string;
  readonly port: string;
  /** Path of a Unix socket, instead of host and port. */
  readonly socket?: string;
  readonly user: string;
  readonly password: string;
  readonly tls: "disable" | "prefer" | "require" | "verify-ca" | "verify-identity";
  /** Path of a file with the authorities to trust. */
  readonly ca?: string;
  /** The URL's own query, for the application's client: each names its settings differently. */
  readonly search: string;
}

/** The purpose of a connection, for its errors. */
export interface MysqlPurpose {
  /** The action, as in `make database "x"`. */
  readonly what: string;
  /** The source of the address, e.g. `"MYSQL_URL"`. */
  readonly source: string;
}

/** The name of the event with a fork's mark; never copied. */
export const MARK = "forkstack_mark";

/** Settings of our sessions: no setting of the server may change what is copied, and every wait ends. */
export const SETTINGS = "SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO', foreign_key_checks = 0, unique_checks = 0, " +
  "time_zone = '+00:00', sql_quote_show_create = 1, lock_wait_timeout = 30, " +
  "wait_timeout = 86400 /*!80000 , information_schema_stats_expiry = 0 */"; // MariaDB skips that

/** Parses a URL; `undefined` if it is not MySQL's. */
export function loginOf(text: string): Login | undefined {
  const given = givenUrl(text, /^(mysql|mariadb):$/);
  if (given === undefined) return undefined;
  const { url, user, password } = given;
  const settings = url.searchParams;
  const socket = settings.get("socket") || settings.get("socketPath") || undefined;
  const ca = settings.get("ssl-ca") || settings.get("sslcert") || undefined;
  return {
    scheme: url.protocol.slice(0, -1),
    host: url.hostname.replace(/^\[|\]$/g, "") || "localhost",
    port: url.port || "3306",
    user: user || "root",
    password,
    tls: tlsOf(settings),
    search: url.search,
    socket,
    ca,
  };
}

/** Returns the TLS mode, as MySQL's own programs, Prisma, or mysql2 spell it; without one, TLS if the server has it. */
function tlsOf(settings: URLSearchParams): Login["tls"] {
  const accept = settings.get("sslaccept");
  if (accept !== null) return accept === "strict" ? "verify-identity" : "require";
  const ssl = settings.get("ssl");
  if (ssl !== null) return /"rejectUnauthorized"\s*:\s*false/.test(ssl) ? "require" : "verify-ca";
  const mode = settings.get("ssl-mode") ?? settings.get("sslmode") ?? "";
  const modes: Readonly<Record<string, Login["tls"]>> = {
    DISABLE: "disable",
    DISABLED: "disable",
    REQUIRE: "require",
    REQUIRED: "require",
    VERIFY_CA: "verify-ca",
    VERIFY_FULL: "verify-identity",
    VERIFY_IDENTITY: "verify-identity",
  };
  return modes[mode.toUpperCase().replace("-", "_")] ?? "prefer";
}

/** Formats the URL for an application, with the query of ours. */
export function appUrlOf({ scheme, host, port, user, password, search }: Login, database: string): string {
  return urlOf({ scheme, host, port, user, password, database }) + search;
}

/** Returns the address as Deno's permissions name it. */
export function placeOf({ host, port, socket }: Pick<Login, "host" | "port" | "socket">): string {
  if (socket !== undefined) return `unix:${socket}`;
  return hostAndPort({ host, port });
}

/** Works on one connection. It never reconnects, because its locks would be lost. */
export async function connected<T>(
  { signal, files }: Pick<Context, "signal" | "files">,
  login: Login,
  purpose: MysqlPurpose,
  work: (query: MysqlQuery) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted();
  const { createConnection } = await loadPackage<typeof import("npm:mysql2@3.24.5/promise")>(
    "npm:mysql2@3.24.5/promise",
  );
  const { host, port, user, password, socket } = login;
  const ca = login.ca === undefined ? undefined : await files.read(login.ca);
  const ssl = {
    rejectUnauthorized: login.tls.startsWith("verify"),
    verifyIdentity: login.tls === "verify-identity",
    ca,
  };
  const open = (isPlain: boolean) =>
    createConnection({
      host,
      port: Number(port),
      socketPath: socket, // goes before both
      ssl: isPlain ? undefined : ssl,
      user,
      password,
      connectTimeout: 10_000,
      charset: "utf8mb4",
      dateStrings: true,
      multipleStatements: true,
    });
  try {
    const connection = await open(login.tls === "disable" || socket !== undefined).catch((error) => {
      if (login.tls !== "prefer" || codeOf(error) !== "HANDSHAKE_NO_SSL_SUPPORT") throw error;
      return open(true);
    });
    connection.on("error", () => {}); // a loss is told by the statement that meets it
    try {
      return await work(async (text, values) => {
        const [rows] = values === undefined ? await connection.query(text) : await connection.query(text, [...values]);
        return Array.isArray(rows) ? rows : []; // else it counts what changed
      });
    } finally {
      await connection.end().catch(() => connection.destroy()); // it may have been lost
    }
  } catch (error) {
    throw mysqlError(error, login, purpose);
  }
}

/** Returns true for a server of MariaDB, false for MySQL. */
export async function isMariaDb(query: MysqlQuery): Promise<boolean> {
  const [{ version }] = await query("SELECT VERSION() AS version");
  return /mariadb/i.test(version);
}

// ---- Refusals ----

/** Meanings by the server's number or the connection's code: our code, whether it may pass by itself, and the hint. */
const MEANINGS: readonly (readonly [RegExp, ErrorCode, boolean, string])[] = [
  [
    /^(1045|1130|1251|1698|3118|3955|4151)$/,
    "CREDENTIALS_REJECTED",
    false,
    "Drop accounts without a name, which come before others (`DROP USER ''@'localhost'`), or check user and password in ",
  ],
  [
    /^(1044|1142|1143|1227|1370|1410|1419)$/,
    "CREDENTIALS_DENIED",
    false,
    "Grant what docs/databases.md lists for MySQL to the user in ",
  ],
  [/^1049$/, "NOT_FOUND", false, "`forkstack doctor` shows what is there; the server is in "],
  [/^(1205|1213|3572)$/, "RESOURCE_LOCKED", true, "End what holds it, then run the same command again; see "],
  [/^(1040|1203|1226)$/, "PLAN_LIMIT", true, "Close connections, or raise the limit of the server in "],
  [
    /^(1021|1030|1114)$/,
    "DISK_FULL",
    false,
    "Make room on the disk, then run the same command again; the server is in ",
  ],
  [/^(1290|1792|1836)$/, "CONFIG_REPLICA", false, "It takes no changes; name the primary in "],
  [/^(1007|1050|1304|1359|1396|1537)$/, "CONFLICT", false, "Move away what has that name on the server in "],
  [/^3159$/, "TLS_REQUIRED", false, "The server takes no connection without TLS: change `ssl-mode` in "],
  [/^(EPERM|EACCES|NotCapable)$/, "NETWORK_DENIED", false, ""],
  [/CERT|SELF_SIGNED|UNABLE_TO_|^ERR_TLS|SSL|^InvalidData$/, "TLS_FAILED", false, "Check `ssl-mode` and `ssl-ca` in "],
  [
    /^(1053|1129|1152|115[89]|116[01]|1317|1927|1969|2013|4031)$|^(E[A-Z_]+|PROTOCOL_.*)$/,
    "PROVIDER_UNAVAILABLE",
    true,
    "Check that the server runs, and host and port in ",
  ],
];

/** Returns the number of the server's error, or the code of the connection's. */
export function codeOf(error: unknown): string {
  const { errno, code } = (error ?? {}) as { errno?: number; code?: unknown };
  const isSystem = /^E(?!R_)/.test(String(code)); // Bun numbers a failed look-up of a host too
  return typeof errno === "number" && errno > 0 && !isSystem ? String(errno) : String(code ?? "");
}

/** Returns our error for a known one, without the statement, which may hold a password. */
function mysqlError(error: unknown, login: Login, { what, source }: MysqlPurpose): unknown {
  if (isForkstackError(error) || !(error instanceof Error) || error.name === "AbortError") return error;
  const place = placeOf(login);
  const state = codeOf(error) || (/closed state/.test(error.message) ? "ECONNRESET" : error.name);
  const [, code, retryable, hint] = MEANINGS.find(([pattern]) => pattern.test(state)) ??
    [, "PROVIDER_REFUSED" as const, false, "Fix what it says at "];
  const { sqlState } = error as { sqlState?: string };
  const told = error.message.replace(/\.$/, "");
  return new ForkstackError(code, `Cannot ${what} at ${place}: ${told}`, {
    hint: code === "NETWORK_DENIED" ? allowHint("net", place) : `${hint}${source}`,
    retryable,
    details: { provider: "mysql" },
    cause: new Error(`${sqlState === undefined ? state : `${state}, SQLSTATE ${sqlState}`}: ${told}`),
  });
}

// ---- Locks ----

/** Takes the lock of a name; it ends with the session. Asks repeatedly, so that the wait can be aborted. */
export async function lockDatabase(context: Context, query: MysqlQuery, name: string): Promise<void> {
  const key = `forkstack ${createHash("sha256").update(name).digest("hex").slice(0, 40)}`;
  await waitForLock(context, name, async () => {
    const [{ mine, events }] = await query("SELECT GET_LOCK(?, 0) AS mine, @@event_scheduler AS events", [key]);
    if (events === "DISABLED") throw withoutEvents(name);
    return Number(mine) === 1;
  });
}

/** So the server takes no events, which marks are. */
function withoutEvents(name: string): ForkstackError {
  return new ForkstackError("CONFIG_INVALID", `Cannot change database "${name}": the server takes no events`, {
    hint: "Start it with event_scheduler=OFF in place of DISABLED: the mark of a fork is an event that never runs",
    details: { provider: "mysql" },
  });
}

// ---- Scripts ----

/** Texts for the commonest errors of data; the server's own would quote values. */
export const SQL_REASONS: Readonly<Record<string, string>> = {
  1048: "a NULL where none may be",
  1062: "a unique constraint is violated",
  1064: "it is no SQL that the server knows",
  1142: "the fork's login may not do that",
  1264: "a number is out of range",
  1292: "a value does not fit its type",
  1366: "a value does not fit its type",
  1406: "a value is too long",
  1451: "a foreign key is violated",
  1452: "a foreign key is violated",
  3819: "a check constraint is violated",
  4025: "a check constraint is violated",
};

/** Runs a script as a login of the fork. A change of the schema commits all before it: MySQL ends the transaction. */
export async function runScript(
  context: Pick<Context, "signal" | "fence">,
  query: MysqlQuery,
  sql: string,
): Promise<void> {
  await context.fence();
  await query("START TRANSACTION");
  for (const { text, line } of mysqlStatements(sql)) {
    context.signal.throwIfAborted();
    await context.fence();
    await query(text).catch((error) => {
      const code = codeOf(error);
      if (!/^\d+$/.test(code) || MEANINGS.some(([pattern, , mayPass]) => mayPass && pattern.test(code))) throw error;
      const why = SQL_REASONS[code] ?? "the server refused it";
      throw new ForkstackError("SQL_FAILED", `line ${line}: ${why} (error ${code})`, {
        hint: "Fix the script, then run the same command again",
        details: { provider: "mysql" },
      });
    });
  }
  await context.fence();
  await query("COMMIT");
}

// ---- Texts ----

/** Quotes a name as an identifier. */
export function backquoted(name: string): string {
  return `\`${name.replaceAll("`", "``")}\``;
}

/** Formats an account of ours for statements; its name needs no escape. */
export function mysqlAccount(user: string): string {
  return `'${user}'@'%'`;
}
