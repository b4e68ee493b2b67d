/**
 * The common part of the PostgreSQL providers: a connection, parsing and formatting of its URL, errors by SQLSTATE, a
 * probe by a real query.
 *
 * - SQLSTATEs: https://www.postgresql.org/docs/18/errcodes-appendix.html
 */
import { allowHint } from "../../core/system/deno_permissions.ts";
import { loadPackage } from "../../core/system/lazy.ts";
import type { Context } from "../../core/provider.ts";
import { type ErrorCode, ForkstackError, isForkstackError } from "../../mod.ts";
import { givenUrl, hostAndPort, urlOf } from "./connection_url.ts";

/** Sends a statement; without values it may be several at once, which are one transaction. */
// deno-lint-ignore no-explicit-any -- a row is what the statement asks for
export type Query = (text: string, values?: string[]) => Promise<any[]>;

/** Sends rows for a `COPY ... FROM stdin`, in its text format. */
export type CopyRows = (statement: string, rows: AsyncIterable<string>) => Promise<void>;

/** The address, the user and the password of a connection. */
export type PostgresLogin = Readonly<Record<"host" | "port" | "user" | "password" | "database" | "sslmode", string>>;

/** The purpose of a connection, for its errors. */
export interface Purpose {
  /** The provider's name in forkstack.json. */
  readonly provider: string;
  /** The action, as in `make database "x"`. */
  readonly what: string;
  /** The source of the address, e.g. `"POSTGRES_URL"` or `"the URL that Neon gave"`. */
  readonly source: string;
  /** The hint if the role lacks a right. */
  readonly denied?: string;
}

/**
 * Works on one connection. It never reconnects, because locks and transactions would be lost. `told` is the number of the
 * server's process as the server told it when the connection began; a pooler tells another.
 */
export async function withPostgres<T>(
  { signal }: Pick<Context, "signal">,
  login: PostgresLogin,
  purpose: Purpose,
  work: (query: Query, told: () => number | null, copyRows: CopyRows) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted();
  const { default: postgres } = await loadPackage<{ default: typeof import("npm:postgres@3.4.9") }>(
    "npm:postgres@3.4.9",
  );
  let closed = 0;
  let told: number | null = null;
  const sql = postgres({
    host: login.host,
    port: Number(login.port),
    username: login.user,
    password: login.password,
    database: login.database,
    ssl: ({ disable: false, allow: "prefer", prefer: "prefer", require: "require" } as const)[login.sslmode] ??
      "verify-full",
    max: 1,
    max_lifetime: null,
    connect_timeout: 10,
    prepare: false,
    fetch_types: false,
    onnotice: () => {},
    onclose: () => void closed++,
    connection: { application_name: "forkstack", TimeZone: "UTC" },
  });
  try {
    const query: Query = async (text, values) => {
      if (closed > 0) throw Object.assign(new Error("the connection was lost"), { code: "CONNECTION_CLOSED" });
      const rows = await (values === undefined ? sql.unsafe(text) : sql.unsafe(text, values));
      told = rows.state?.pid ?? told;
      return [...rows];
    };
    return await work(query, () => told, async (statement, rows) => {
      const [{ pipeline }, { Readable }] = await Promise.all([import("node:stream/promises"), import("node:stream")]);
      const copy = sql.unsafe(statement);
      // postgres.js keeps an error that comes after the last row to itself, and never ends the stream.
      const pending = copy as unknown as { reject: (error: unknown) => void };
      const failed = new Promise<never>((_, reject) => {
        const first = pending.reject;
        pending.reject = (error) => {
          first(error);
          reject(error);
        };
      });
      failed.catch(() => {}); // `copy` may have rejected already
      await Promise.race([pipeline(Readable.from(rows), await copy.writable()), failed]);
    });
  } catch (error) {
    throw postgresError(error, login, purpose);
  } finally {
    await sql.end({ timeout: closed > 0 ? 0 : 1 }); // after a loss postgres.js waits for an answer that never comes
  }
}

/** The query of a probe, on a table that every database has. */
export const PROBE = "SELECT count(*) FROM pg_catalog.pg_class";

/** Resolves once the database answers a query. */
export async function answers(context: Pick<Context, "signal">, login: PostgresLogin, purpose: Purpose): Promise<void> {
  await withPostgres(context, login, purpose, (query) => query(PROBE));
}

/** Parses a URL; `undefined` if it is not PostgreSQL's. */
export function postgresLoginOf(text: string): PostgresLogin | undefined {
  const given = givenUrl(text, /^postgres(ql)?:$/);
  if (given === undefined) return undefined;
  const { url, user, password, path } = given;
  return {
    host: url.searchParams.get("host") ?? (url.hostname.replace(/^\[|\]$/g, "") || "localhost"),
    port: url.port || "5432",
    user: user || "postgres",
    password,
    database: path || "postgres",
    sslmode: url.searchParams.get("sslmode") ?? "prefer",
  };
}

/** Returns a vendor's URL with the scheme that every client takes: SQLAlchemy refuses `postgres:`. */
export function postgresqlUrl(uri: string): string {
  return uri.replace(/^postgres:/, "postgresql:");
}

/** Formats the URL of a login, as applications get it. */
export function postgresUrl({ sslmode, ...login }: PostgresLogin): string {
  return urlOf({ ...login, scheme: "postgresql", query: sslmode === "prefer" ? undefined : { sslmode } });
}

/** The meaning of an error: our code, whether it may pass by itself, and the hint. */
type Meaning = readonly [code: ErrorCode, mayPass: boolean, hint: string];

/** Returns the meaning of a SQLSTATE, or of a connection's error code. */
function meaningOf(code: string, login: PostgresLogin, { source, denied }: Purpose): Meaning {
  const { sslmode } = login;
  // Without TLS and before any password was asked for: pg_hba.conf has no line for this connection.
  if (code === "28000" && sslmode === "disable") {
    return ["TLS_REQUIRED", false, `Take \`sslmode=disable\` out of ${source}, or set \`sslmode=require\``];
  }
  const known: readonly (readonly [RegExp, ...Meaning])[] = [
    [/^(EPERM|EACCES|NotCapable)$/, "NETWORK_DENIED", false, allowHint("net", hostAndPort(login))],
    [/^28/, "CREDENTIALS_REJECTED", false, `Check user and password in ${source}, and the server's pg_hba.conf`],
    [/^42501$/, "CREDENTIALS_DENIED", false, denied ?? "Grant the role what the message names"],
    [/^3D000$/, "NOT_FOUND", false, "Check the name; `forkstack doctor` shows what is there"],
    [/^55006$/, "RESOURCE_LOCKED", true, "Somebody is connected: end that, then run the same command again"],
    [/^55P03$/, "RESOURCE_LOCKED", true, "Another run works on it: run the same command again once it is done"],
    [/^53[34]00$/, "PLAN_LIMIT", true, "Close connections, or raise the limit of the server, the role or the database"],
    [/^(53100|58030)$/, "DISK_FULL", false, "Make room on the server's disk, then run the same command again"],
    [/^42(P04|710)$/, "CONFLICT", false, "Something of that name is there: move it away, then run it again"],
    [/^2BP01$/, "CONFLICT", false, "Something else depends on it; remove what its message names, then run it again"],
    [/^XX/, "PROVIDER_REFUSED", false, "The server's log says more; a full disk may show itself so amid a copy"],
    [
      /(CERT|TLS|SSL|EPROTO|^InvalidData$)/,
      "TLS_FAILED",
      false,
      `Check \`sslmode\` in ${source}: \`require\` trusts any certificate, \`disable\` asks for none`,
    ],
    [
      /^(53|57|08)/,
      "PROVIDER_UNAVAILABLE",
      true,
      "Wait until the server takes connections, then run the same command again",
    ],
    [
      /^(E[A-Z_]+|CONN.*)$/,
      "PROVIDER_UNAVAILABLE",
      true,
      `Check host and port in ${source}, and that the server runs${
        /^(disable|allow|prefer)$/.test(sslmode) ? "" : ` and speaks TLS, which \`sslmode=${sslmode}\` asks for`
      }`,
    ],
  ];
  const found = known.find(([pattern]) => pattern.test(code));
  return found === undefined
    ? ["PROVIDER_REFUSED", false, "Fix what it says, then run it again"]
    : [found[1], found[2], found[3]];
}

/** Returns our error for a known one, without the statement, which may hold the verifier of a password. */
function postgresError(error: unknown, login: PostgresLogin, purpose: Purpose): unknown {
  if (isForkstackError(error) || !(error instanceof Error)) return error;
  if (error.name === "AbortError") return error;
  const { detail } = error as { detail?: string };
  const state = sqlStateOf(error) || error.name;
  const [code, retryable, hint] = meaningOf(state, login, purpose);
  return new ForkstackError(code, `Cannot ${purpose.what} at ${hostAndPort(login)}: ${error.message}`, {
    hint,
    retryable,
    details: { provider: purpose.provider },
    // The SQLSTATE has five characters; what fails before there is a server to answer has none, and is told already.
    cause: /^[0-9A-Z]{5}$/.test(state)
      ? new Error([`SQLSTATE ${state}: ${error.message}`, detail].filter(Boolean).join("; "))
      : undefined,
  });
}

/** Returns the SQLSTATE, or the connection's error code. */
export function sqlStateOf(error: unknown): string {
  return String((error as { code?: unknown } | null)?.code ?? "");
}

/** Quotes a name as an identifier. */
export function quotedIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Quotes a text as a literal. */
export function literal(text: string): string {
  return text.includes("\\")
    ? ` E'${text.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`
    : `'${text.replaceAll("'", "''")}'`;
}
