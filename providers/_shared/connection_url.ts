/** URLs by which clients connect to a database or a cache. */
import type { Context } from "../../core/provider.ts";
import { ForkstackError } from "../../mod.ts";

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
const ENCODED = "; in its password write / ? # @ % as %2F %3F %23 %40 %25";

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

/** The variables that may hold the URL of a server, and what errors say of it. */
export interface UrlSource {
  /** The user of the URL, as in `Cannot use postgres`. */
  readonly what: string;
  /** The variables: the first one that is set counts. */
  readonly variables: readonly string[];
  /** The rights of the user in the URL, as in `for a role with CREATEDB and CREATEROLE`. */
  readonly forWhom: string;
  /** An example: `"mysql://admin:...@host:3306"`. */
  readonly example: string;
}

/** Returns what `parse` makes of the URL of a server; throws CREDENTIALS_MISSING where there is none, or a wrong one. */
export function givenLogin<T>(
  { credentials }: Pick<Context, "credentials">,
  { what, variables, forWhom, example }: UrlSource,
  parse: (text: string, variable: string) => T | undefined,
): T {
  const variable = variables.find((name) => credentials[name] !== undefined) ?? variables[0]!;
  const text = credentials[variable]?.reveal();
  const login = text === undefined ? undefined : parse(text, variable);
  if (login !== undefined) return login;
  const state = text === undefined ? "not set" : `not a URL like ${example}`;
  throw new ForkstackError("CREDENTIALS_MISSING", `Cannot use ${what}: ${variable} is ${state}`, {
    hint: `Set ${variables.join(" or ")} in the environment of this command, ${forWhom}${
      text === undefined ? "" : ENCODED
    }`,
  });
}

/** Returns host and port as Deno's permissions name them. */
export function hostAndPort({ host, port }: { readonly host: string; readonly port: string | number }): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
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
