/**
 * The client program of a connection URL: `psql`, `sqlite3`, `mysql`, `redis-cli`. Passwords go by the environment, which
 * other users cannot read, and never by an argument.
 *
 * - https://www.postgresql.org/docs/18/libpq-envars.html
 * - https://dev.mysql.com/doc/refman/8.4/en/environment-variables.html
 * - https://valkey.io/topics/cli/
 */

/** A client with everything that it needs to connect. */
export interface ClientProgram {
  /** The names of the program, the usual one first. */
  readonly names: readonly string[];
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** How to get it. */
  readonly install: string;
}

/** Variables of libpq by a URL's setting. */
const LIBPQ: Readonly<Record<string, string>> = {
  sslmode: "PGSSLMODE",
  sslrootcert: "PGSSLROOTCERT",
  channel_binding: "PGCHANNELBINDING",
  options: "PGOPTIONS",
  connect_timeout: "PGCONNECT_TIMEOUT",
  target_session_attrs: "PGTARGETSESSIONATTRS",
};

/**
 * Variables by which the clients find a server, a login, settings or code. The URL says the former, and the person's own
 * files, such as `~/.psqlrc`, the latter: what a shell has of these may come from anywhere.
 */
export const CLIENT_VARIABLES = /^(?:PG|PSQL|MYSQL|MARIADB|LIBMYSQL|REDISCLI_|VALKEYCLI_|SQLITE)/i;

/** Returns the client of a URL; `undefined` if none is known. */
export async function clientOf(text: string): Promise<ClientProgram | undefined> {
  if (!URL.canParse(text)) return undefined;
  const url = new URL(text);
  const [user, password, path] = [url.username, url.password, url.pathname.slice(1)].map(decodeURIComponent);
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const { port, searchParams: settings } = url;
  switch (url.protocol) {
    case "file:": {
      const { fileURLToPath } = await import("node:url");
      return {
        names: ["sqlite3"],
        args: [fileURLToPath(url)],
        env: {},
        install: "`apt install sqlite3`, `brew install sqlite`, or https://sqlite.org/download.html",
      };
    }
    case "postgres:":
    case "postgresql:": {
      const further = Object.entries(LIBPQ).map(([setting, variable]) => [variable, settings.get(setting) ?? ""]);
      const all = [
        ["PGHOST", settings.get("host") ?? host],
        ["PGPORT", port],
        ["PGUSER", user],
        ["PGPASSWORD", password],
        ["PGDATABASE", path],
        ...further,
      ];
      return {
        names: ["psql"],
        args: [],
        env: given(all),
        install: "`apt install postgresql-client`, `brew install libpq`, or https://www.postgresql.org/download/",
      };
    }
    case "mysql:":
    case "mariadb:": {
      const isSecure = /^(require|verify)|^strict$|true/i.test(
        settings.get("ssl-mode") ?? settings.get("sslmode") ?? settings.get("sslaccept") ?? settings.get("ssl") ?? "",
      );
      const args = [`--host=${host}`, `--port=${port || 3306}`, "--protocol=tcp"];
      if (user) args.push(`--user=${user}`);
      if (path) args.push(`--database=${path}`);
      // Each maker's client knows one of the two, and leaves the other aside.
      if (isSecure) args.push("--loose-ssl-mode=REQUIRED", "--loose-ssl");
      return {
        names: url.protocol === "mariadb:" ? ["mariadb", "mysql"] : ["mysql", "mariadb"],
        args,
        env: given([["MYSQL_PWD", password]]),
        install: "`apt install default-mysql-client`, or `brew install mysql-client`",
      };
    }
    case "redis:":
    case "rediss:": {
      const args = ["-h", host, "-p", port || "6379"];
      if (user) args.push("--user", user);
      if (/^\d+$/.test(path!)) args.push("-n", path!);
      if (url.protocol === "rediss:") args.push("--tls");
      return {
        names: ["redis-cli", "valkey-cli"],
        args,
        env: given([["REDISCLI_AUTH", password], ["VALKEYCLI_AUTH", password]]),
        install: "`apt install redis-tools`, or `brew install redis`",
      };
    }
    default:
      return undefined;
  }
}

/** Returns the variables that have a value. */
function given(all: readonly (readonly (string | undefined)[])[]): Record<string, string> {
  return Object.fromEntries(all.filter(([, value]) => value)) as Record<string, string>;
}
