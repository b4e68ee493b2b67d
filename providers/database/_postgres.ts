/**
 * The connection to a PostgreSQL server: POSTGRES_URL, passwords, errors by SQLSTATE, names as identifiers.
 */
import { createHash, createHmac, pbkdf2Sync, randomBytes } from "node:crypto";
import type { Context } from "../../core/provider.ts";
import { ForkstackError, isForkstackError } from "../../mod.ts";

/** Holds the URL of a role that may make databases and roles. */
export const VARIABLE = "POSTGRES_URL";

/** Sends a statement; without values it may be several at once. */
// deno-lint-ignore no-explicit-any -- a row is what the statement asks for
export type Query = (text: string, values?: string[]) => Promise<any[]>;
/** Where to connect, and as whom. */
export type Login = Readonly<Record<"host" | "port" | "user" | "password" | "database" | "sslmode", string>>;

/** Works on one connection, which is never made anew: the lock is gone with it. */
export async function connected<T>(
  context: Context,
  verb: string,
  name: string,
  work: (query: Query) => Promise<T>,
  changed: Partial<Login> = {},
): Promise<T> {
  context.signal.throwIfAborted();
  const login = { ...loginOf(context), ...changed };
  const { default: postgres } = await import("postgres");
  let closed = 0;
  const sql = postgres({
    host: login.host,
    port: Number(login.port),
    username: login.user,
    password: login.password,
    database: login.database,
    ssl: ({ disable: false, allow: "allow", prefer: "prefer", require: "require" } as const)[login.sslmode] ??
      "verify-full",
    max: 1,
    connect_timeout: 10,
    prepare: false,
    fetch_types: false,
    onnotice: () => {},
    onclose: () => void closed++,
    connection: { application_name: "forkstack", TimeZone: "UTC" },
  });
  try {
    return await work(async (text, values) => {
      if (closed > 0) throw Object.assign(new Error("the connection was lost"), { code: "CONNECTION_CLOSED" });
      return [...await (values === undefined ? sql.unsafe(text) : sql.unsafe(text, values))];
    });
  } catch (error) {
    throw postgresError(error, verb, name, login);
  } finally {
    await sql.end({ timeout: closed > 0 ? 0 : 1 }); // after a loss postgres.js waits for an answer that never comes
  }
}

/** The parts of POSTGRES_URL. */
export function loginOf(context: Context): Login {
  const text = context.credentials[VARIABLE]?.reveal();
  const url = text === undefined || !URL.canParse(text) ? undefined : new URL(text);
  if (url === undefined || !/^postgres(ql)?:$/.test(url.protocol)) {
    const state = text === undefined ? "not set" : "not a URL like postgres://admin:...@host:5432/postgres";
    throw new ForkstackError("CREDENTIALS_MISSING", `Cannot use postgres: ${VARIABLE} is ${state}`, {
      hint: `Set ${VARIABLE} in the environment of this command, for a role with CREATEDB and CREATEROLE`,
    });
  }
  return {
    host: url.searchParams.get("host") ?? (url.hostname.replace(/^\[|\]$/g, "") || "localhost"),
    port: url.port || "5432",
    user: decodeURIComponent(url.username) || "postgres",
    password: decodeURIComponent(url.password),
    database: decodeURIComponent(url.pathname.slice(1)) || "postgres",
    sslmode: url.searchParams.get("sslmode") ?? "prefer",
  };
}

/** The URL that an application gets. */
export function urlOf({ host, port, user, password, database, sslmode }: Login): string {
  const [first, second, last] = [user, password, database].map(encodeURIComponent);
  const url = new URL(
    `postgres://${first}${second && `:${second}`}@${host.includes(":") ? `[${host}]` : host}/${last}`,
  );
  url.port = port;
  if (sslmode !== "prefer") url.searchParams.set("sslmode", sslmode);
  return url.href;
}

/** What SCRAM stores of a password: https://www.rfc-editor.org/rfc/rfc5803 */
export function verifierOf(password: string): string {
  const salt = randomBytes(16);
  const salted = pbkdf2Sync(password, salt, 4096, 32, "sha256");
  const keyed = (text: string) => createHmac("sha256", salted).update(text).digest();
  const stored = createHash("sha256").update(keyed("Client Key")).digest("base64");
  return `SCRAM-SHA-256$4096:${salt.toString("base64")}$${stored}:${keyed("Server Key").toString("base64")}`;
}

/** SQLSTATE, or the connection's code -> our code, whether it may pass, and what to do next. */
const MEANING: readonly (readonly [RegExp, string, boolean, string])[] = [
  [/^28/, "CREDENTIALS_REJECTED", false, `Check user and password in ${VARIABLE}, and the server's pg_hba.conf`],
  [/^42501$/, "CREDENTIALS_DENIED", false, "The role needs CREATEDB and CREATEROLE, and must own what it copies"],
  [/^3D000$/, "NOT_FOUND", false, "Check the name; `forkstack doctor` tells what is there"],
  [/^55006$/, "RESOURCE_LOCKED", true, "Somebody is connected: end that, then run the same command again"],
  [/^55P03$/, "RESOURCE_LOCKED", true, "Another run works on it: run the same command again once it is done"],
  [/^(53100|58030)$/, "DISK_FULL", false, "Make room on the server's disk, then run the same command again"],
  [/^2BP01$/, "CONFLICT", false, "Something else depends on it; remove what its message names, then run it again"],
  [
    /^(53|57|08)/,
    "PROVIDER_UNAVAILABLE",
    true,
    "Wait until the server takes connections, then run the same command again",
  ],
  [/^(E[A-Z]+|CONN.*)$/, "PROVIDER_UNAVAILABLE", true, `Check host and port in ${VARIABLE}, and that the server runs`],
];

/** A known error, without the statement: it holds the verifier of a password. */
function postgresError(error: unknown, verb: string, name: string, { host, port }: Login): unknown {
  if (isForkstackError(error) || !(error instanceof Error)) return error;
  if (/^(NotCapable|PermissionDenied)$/.test(error.name) || error.name === "AbortError") return error;
  const found = MEANING.find(([pattern]) => pattern.test(codeOf(error)));
  const { detail } = error as { detail?: string };
  const [, code, retryable, hint] = found ?? [, "PROVIDER_REFUSED", false, "Mend what it says, then run it again"];
  return new ForkstackError(code, `Cannot ${verb} database "${name}" at ${host}:${port}: ${error.message}`, {
    hint: hint!,
    retryable: retryable!,
    details: { provider: "postgres" },
    cause: new Error([`SQLSTATE ${codeOf(error)}: ${error.message}`, detail].filter(Boolean).join("; ")),
  });
}

/** The SQLSTATE, or the code of the connection. */
export function codeOf(error: unknown): string {
  return String((error as { code?: unknown } | null)?.code ?? "");
}

/** A name as an identifier. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** A text as a literal. */
export function literal(text: string): string {
  return text.includes("\\")
    ? ` E'${text.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`
    : `'${text.replaceAll("'", "''")}'`;
}
