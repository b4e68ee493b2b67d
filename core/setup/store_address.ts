/**
 * Addresses of databases, caches and queues in a project's files.
 *
 * @module
 */

/** A server that a project names, without its password. */
export interface StoreAddress {
  /** The file that names it: `".env"`. */
  readonly file: string;
  /** The variable with its URL there: `"DATABASE_URL"`; absent in a compose file. */
  readonly variable?: string;
  /** The scheme of its URL, without a driver; of a container its image: `"pgvector"`. */
  readonly scheme: string;
  /** The driver that SQLAlchemy's URLs name: `"asyncpg"`. */
  readonly driver?: string;
  readonly host: string;
  /** @default {the scheme's} */
  readonly port?: number;
  readonly user: string;
  /** The path of its URL: the database. */
  readonly path: string;
  /** The name of its service in a compose file. */
  readonly service?: string;
  /** Variables of its container. */
  readonly environment?: Readonly<Record<string, string>>;
  /** True if the machine is this one; a name without a dot is a container's. */
  readonly isHere: boolean;
}

/** Pattern for addresses of databases, caches and similar. */
export const STORES =
  /^(jdbc:)?(postgres(ql)?|mysql|mariadb|libsql|mongodb(\+srv)?|rediss?|valkeys?|amqps?|sqlserver)(\+\w+)?:/i;

/** URLs of SQLite files, and the path in them: three slashes begin a relative one, four an absolute one. */
export const PATHLESS = /^(?:jdbc:)?(file|sqlite3?)(?:\+\w+)?:(?:\/\/\/?(?!\/))?(?:\.\/)?([^?#\s:]+)/i;

/** Returns the address that a URL is; `undefined` for any other text. */
export function storeAddress(file: string, variable: string | undefined, value: string): StoreAddress | undefined {
  if (!STORES.test(value)) return undefined;
  const [, driver] = /^\w+\+(\w+):/.exec(value) ?? [];
  const text = value.replace(/^jdbc:/i, "").replace(/^(\w+)\+\w+:/, "$1:");
  const host = hostOf(text);
  if (host === "") return undefined;
  const url = URL.canParse(text) ? new URL(text) : undefined; // a password may make it none
  const port = Number(url?.port || undefined);
  return {
    file,
    variable,
    scheme: /^\w+/.exec(text)![0].toLowerCase(),
    driver,
    host,
    port: Number.isNaN(port) ? undefined : port,
    user: decoded(url?.username ?? ""),
    path: decoded(url?.pathname.slice(1) ?? ""),
    isHere: !isElsewhere(host),
  };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Returns the host of a URL, even with a password that should have been encoded; `""` if it is no URL. */
export function hostOf(value: string): string {
  const url = value.replace(/^jdbc:/i, "");
  if (URL.canParse(url)) return new URL(url).hostname;
  const rest = /^[a-z][a-z0-9+.-]*:\/\/(.*)$/is.exec(url)?.[1];
  return rest === undefined
    ? ""
    : /^(\[[^\]]*\]|[^:/?#,]*)/.exec(rest.slice(rest.lastIndexOf("@") + 1))![0].toLowerCase();
}

/** Returns true for the host of another machine; a name without a dot is a container's. */
export function isElsewhere(host: string): boolean {
  const isHere = !host.includes(".") && !host.includes(":") ||
    /^(127\.[\d.]+|0\.0\.0\.0|\[::1?\]|.*\.(localhost|local|internal|test))$/.test(host);
  return host !== "" && !isHere;
}
