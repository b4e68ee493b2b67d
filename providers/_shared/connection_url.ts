/** URLs by which clients connect to a database or a cache. */

/** Parts of a connection URL, as they are: encoding is done here. */
export interface Address {
  /** `"postgres"`, `"rediss"` */
  readonly scheme: string;
  readonly host: string;
  /** @default {none in the URL} */
  readonly port?: number | string;
  readonly user?: string;
  readonly password?: string;
  /** @default {none in the URL} */
  readonly database?: string | number;
  readonly query?: Readonly<Record<string, string>>;
}

/** The URL of an address. */
export function urlOf({ scheme, host, port = "", user = "", password = "", database, query = {} }: Address): string {
  const [first, second] = [user, password].map(encodeURIComponent);
  const who = first || second ? `${first}${second && `:${second}`}@` : "";
  const at = host.includes(":") ? `[${host}]` : host;
  const path = database === undefined ? "" : `/${encodeURIComponent(database)}`;
  const search = new URLSearchParams(query).toString();
  return `${scheme}://${who}${at}${port === "" ? "" : `:${port}`}${path}${search && `?${search}`}`;
}
