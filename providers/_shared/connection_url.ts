/** URLs by which clients connect to a database or a cache. */

/** The parts of a connection URL, not encoded. */
export interface Address {
  /** The scheme: `"postgres"`, `"rediss"`. */
  readonly scheme: string;
  readonly host: string;
  /** The port. @default {none in the URL} */
  readonly port?: number | string;
  readonly user?: string;
  readonly password?: string;
  /** The database's name or number. @default {none in the URL} */
  readonly database?: string | number;
  readonly query?: Readonly<Record<string, string>>;
}

/** Formats and encodes the URL of an address. */
export function urlOf({ scheme, host, port = "", user = "", password = "", database, query = {} }: Address): string {
  const [first, second] = [user, password].map(encodeURIComponent);
  const who = first || second ? `${first}${second && `:${second}`}@` : "";
  const at = host.includes(":") ? `[${host}]` : host;
  const path = database === undefined ? "" : `/${encodeURIComponent(database)}`;
  const search = new URLSearchParams(query).toString();
  return `${scheme}://${who}${at}${port === "" ? "" : `:${port}`}${path}${search && `?${search}`}`;
}
