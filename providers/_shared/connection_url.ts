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

/** The decoded parts of a URL that a person gave. */
export interface GivenUrl {
  readonly url: URL;
  readonly user: string;
  readonly password: string;
  /** The text after the first `/`, decoded; may be `""`. */
  readonly path: string;
}

/** The end of a hint: how to write a password in a URL. */
export const ENCODED = "; in its password write / ? # @ % as %2F %3F %23 %40 %25";

/**
 * Parses and decodes a URL of one of these protocols. Returns `undefined` for any other text, and for a URL whose password
 * is not encoded: the rest of such a password would be taken for the host, and be shown in errors.
 */
export function givenUrl(text: string, protocols: RegExp): GivenUrl | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !protocols.test(url.protocol)) return undefined;
  if (/#|^[^/]*\/\/[^/?]*[/?].*@/.test(text)) return undefined;
  try {
    const [user, password, path] = [url.username, url.password, url.pathname.slice(1)].map(decodeURIComponent);
    return { url, user: user!, password: password!, path: path! };
  } catch (error) {
    if (error instanceof URIError) return undefined; // a "%" that begins no encoded character
    throw error;
  }
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
