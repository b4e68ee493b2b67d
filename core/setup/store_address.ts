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
  /** True if `shellValue` reads its URL out of the file. @default {false} */
  readonly isPlain?: boolean;
  /** The reason for which nothing of its URL is used or shown: its parts are empty. */
  readonly fault?: "socket" | "unreadable";
}

/** A SQLite file that a setting names. */
export interface FileAddress {
  /** The file that names it: `".env"`. */
  readonly file: string;
  /** The variable with its URL there. */
  readonly variable?: string;
  /** Its path, from the project's directory or absolute, without `.` and `..` inside: `"prisma/dev.db"`. */
  readonly path: string;
  /** The same URL for each environment's file: `"sqlite:///{DATABASE_PATH}"`. */
  readonly template?: string;
  /** True if nothing but a database has such a URL: by its scheme, or by the ending of its path. */
  readonly isDatabase?: boolean;
}

/** Pattern for addresses of databases, caches and similar. */
export const STORES =
  /^(jdbc:)?(postgres(ql)?|mysql|mariadb|libsql|mongodb(\+srv)?|rediss?|valkeys?|amqps?|sqlserver)(\+\w+)?:/i;

/** Names of variables that lead to a database for tests or for migrations, never to the environment's own. */
export const FOR_TESTS = /TEST|SHADOW/i;

/** `sqlite:`, or `file:` with an ending or under a name that databases have: other files have such URLs too. */
const FILE_URL = /^(?:jdbc:)?(file|sqlite3?)(\+\w+)?:([^?#]*)/i;
const FILE_NAMES = /(^|_)(DATABASE|DB|SQLITE3?|LIBSQL|TURSO)(_|$)/i;
const FILE_ENDINGS = /\.(db3?|sqlite3?)$/i;

/**
 * Returns the SQLite file that a URL leads to; `undefined` for any other text. Of `sqlite:` three slashes begin a
 * relative path and four an absolute one; of `file:` three an absolute one.
 */
export function fileAddress(
  { file, variable, directory = "" }: Pick<FileAddress, "file" | "variable"> & { readonly directory?: string },
  value: string,
): FileAddress | undefined {
  const [, scheme, driver = "", rest] = FILE_URL.exec(value.trim()) ?? [];
  if (scheme === undefined || rest === undefined || /[?&]mode=memory\b/.test(value)) return undefined;
  const isFile = scheme.toLowerCase() === "file";
  const text = decoded(isFile ? rest.replace(/^\/\/(localhost)?(?=\/|\.)/, "") : rest.replace(/^\/\/\/?/, ""));
  if (text === "" || text.endsWith("/") || text.startsWith(":") || text.includes("\0")) return undefined;
  if (isFile && variable !== undefined && !FILE_NAMES.test(variable) && !FILE_ENDINGS.test(text)) return undefined;
  const path = plainPath(text.startsWith("/") ? text : `${directory}${text}`);
  const template = isFile ? "file:{DATABASE_PATH}" : `${scheme}${driver}:///{DATABASE_PATH}`;
  return { file, variable, path, template, isDatabase: !isFile || FILE_ENDINGS.test(path) };
}

/** Takes `.`, `..` and empty parts out of a path where they lead nowhere else: `"./a/../b.db"` is `"b.db"`. */
export function plainPath(text: string): string {
  const parts: string[] = [];
  for (const part of text.split("/")) {
    if (part === ".." && parts.length > 0 && parts.at(-1) !== "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return `${text.startsWith("/") ? "/" : ""}${parts.join("/")}`;
}

/** Returns a URL as clients of servers take it: without `jdbc:` and the driver of SQLAlchemy's. */
function clientUrl(value: string): string {
  return value.trim().replace(/^jdbc:/i, "").replace(/^(\w+)\+\w+:/, "$1:");
}

/** A password that is not encoded: a part of it would be taken for the host, the port or the database. */
const UNENCODED = /#|^[^/]*\/\/[^/?]*[/?].*@/s;
/** `postgresql:///shop`, `postgresql://me@/shop?host=/run/postgresql`, `postgresql://%2Frun%2Fpostgresql/shop` */
const SOCKET = /^\w+:(\/\/([^@/?#]*@)?(:\d*)?([/?]|$)|\/\/([^@/?#]*@)?%2f|\/\/[^/?#]*[^#]*[?&]host=(\/|%2f))/i;

/** Returns the address that a URL is; `undefined` for any other text. */
export function storeAddress(
  file: string,
  variable: string | undefined,
  value: string,
  isPlain = false,
): StoreAddress | undefined {
  if (!STORES.test(value)) return undefined;
  const [, driver] = /^\w+\+(\w+):/.exec(value) ?? [];
  const text = clientUrl(value);
  const scheme = /^\w+/.exec(text)![0].toLowerCase();
  const hidden = { file, variable, scheme, driver, host: "", user: "", path: "" };
  const isDatabase = /^(postgres|mysql|mariadb)/.test(scheme);
  const [, named] = isDatabase && /[?&]host=([^&#]+)/.exec(text) || [];
  const isServer = named !== undefined && !/^(\/|%2f)/i.test(named);
  if (isDatabase && !isServer && SOCKET.test(text)) return { ...hidden, isHere: true, fault: "socket" };
  const host = isServer ? decoded(named) : hostOf(text);
  const url = URL.canParse(text) && !UNENCODED.test(text) ? new URL(text) : undefined;
  const parts = url && [url.username, url.password, url.pathname.slice(1)].map(encodedPart);
  if (url === undefined || parts!.includes(undefined)) {
    return { ...hidden, isHere: !isElsewhere(host), fault: "unreadable" };
  }
  if (host === "") return undefined;
  const [user, , path] = parts as string[];
  return {
    ...hidden,
    host,
    port: url.port === "" ? undefined : Number(url.port),
    user: user!,
    path: path!,
    isHere: !isElsewhere(host),
    isPlain,
  };
}

/**
 * Returns the words of a shell that read a variable's URL out of an env file, as `isPlainIn` foretells; the texts must
 * be a variable's name and a shell's word. The last line counts; quotes, `export`, a driver, a comment, and the
 * signs that Windows' editors leave are taken off.
 */
export function shellValue(variable: string, file: string): string {
  const script = `s/^[^#A-Za-z0-9_]*(export +)?${variable} *= *[\\"']?([a-z]+)(\\+[a-z0-9]+)?` +
    `(:[^\\"'[:space:]]*).*/\\2\\4/p`;
  return `"$(sed -nE "${script}" ${file} | tail -n 1)"`;
}

/** Tells whether `shellValue` gives the URL that a program gets from the text of an env file. */
export function isPlainIn(text: string, variable: string, value: string): boolean {
  return !/[$"'`\\\s]/.test(value) && lineValue(text, variable) === clientUrl(value);
}

/** Returns what `shellValue` gives of the text of an env file; an empty text if nothing. */
export function lineValue(text: string, variable: string): string {
  if (!/^\w+$/.test(variable)) return "";
  const line = new RegExp(
    `^[^#A-Za-z0-9_]*(?:export +)?${variable} *= *["']?([a-z]+)(?:\\+[a-z0-9]+)?(:[^"'\\s]*)`,
  );
  const [, scheme = "", rest = ""] = text.split("\n").map((one) => line.exec(one)).findLast((one) => one !== null) ??
    [];
  return scheme + rest;
}

/** Decodes a part of a URL; `undefined` if it is wrongly encoded. */
function encodedPart(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

function decoded(text: string): string {
  return encodedPart(text) ?? text;
}

/** Returns the host of a URL, even with a password that should have been encoded; `""` if it is no URL. */
export function hostOf(value: string): string {
  const url = value.replace(/^jdbc:/i, "");
  const rest = /^[a-z][a-z0-9+.-]*:\/\/(.*)$/is.exec(url)?.[1];
  const last = rest === undefined
    ? ""
    : /^(\[[^\]]*\]|[^:/?#,]*)/.exec(rest.slice(rest.lastIndexOf("@") + 1))![0].toLowerCase();
  const first = URL.canParse(url) ? new URL(url).hostname : last;
  const isDoubtful = STORES.test(url) && UNENCODED.test(url) && !/^[^/]*\/\/[^/?#]*@/.test(url);
  return isDoubtful && !isElsewhere(first) ? last : first;
}

/** Returns true for the host of another machine; a name without a dot is a container's. */
export function isElsewhere(host: string): boolean {
  const isHere = !host.includes(".") && !host.includes(":") ||
    /^(127\.[\d.]+|0\.0\.0\.0|\[::1?\]|.*\.(localhost|local|internal|test))$/.test(host);
  return host !== "" && !isHere;
}
