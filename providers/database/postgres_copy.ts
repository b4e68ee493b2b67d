/**
 * Copying a parent into a new database: by the server (template, clone), or by dump and restore.
 *
 * - https://www.postgresql.org/docs/18/sql-createdatabase.html, .../manage-ag-templatedbs.html, .../app-pgdump.html
 */
import type { Context, Copy } from "../../core/provider.ts";
import { pipe, run } from "../../core/system/subprocess.ts";
import { ForkstackError } from "../../mod.ts";
import { literal, type PostgresLogin, type Query, quotedIdentifier, sqlStateOf } from "../_shared/postgres.ts";

/** The way of copying; without one: template, or dump if somebody is connected. */
export type Strategy = "template" | "clone" | "dump";

/** The source and target of a copy. */
export interface CopySpec {
  /** The parent's name; `undefined`: an empty database. */
  readonly parent: string | undefined;
  readonly to: string;
  readonly owner: string;
  readonly strategy: Strategy | undefined;
  /** `CONNECTION LIMIT` of the new database. */
  readonly limit: number;
}

/** Creates the database; returns the way of copying. */
export async function copied(
  context: Context,
  query: Query,
  login: PostgresLogin,
  { parent, to, owner, strategy, limit }: CopySpec,
): Promise<Copy | undefined> {
  const make = `CREATE DATABASE ${quotedIdentifier(to)} OWNER ${
    quotedIdentifier(owner)
  } CONNECTION LIMIT ${limit} TEMPLATE`;
  if (parent === undefined) {
    await query(`${make} template0`);
    return "empty";
  }
  if (strategy === "clone") {
    if (await versionOf(query) < 18) {
      throw new ForkstackError("CONFIG_INVALID", `Cannot fork database "${parent}" by clone: the server is too old`, {
        hint: 'It must be PostgreSQL 18 or later; or set "strategy": "template" in forkstack.json',
      });
    }
    await query("SET file_copy_method = 'clone'");
  }
  let connections = strategy === undefined ? await connectionsTo(query, parent) : "";
  if (connections !== "") { // a session that has just been closed is seen for some milliseconds more
    await context.sleep(200);
    connections = await connectionsTo(query, parent);
  }
  if (strategy !== "dump" && connections === "") {
    try {
      await query(`${make} ${quotedIdentifier(parent)}${strategy === "clone" ? " STRATEGY FILE_COPY" : ""}`);
      return strategy === "clone" ? undefined : "full-copy"; // whether blocks are shared, the server doesn't tell
    } catch (error) {
      if (sqlStateOf(error) !== "55006") throw error;
      connections = await connectionsTo(query, parent); // after five seconds of waiting for them to end
    }
  }
  if (strategy === "template" || strategy === "clone") {
    const who = connections || "somebody was connected";
    throw new ForkstackError("PARENT_BUSY", `Cannot fork database "${parent}" by ${strategy}: ${who}`, {
      hint: 'End those connections, or set "strategy": "dump" in forkstack.json',
      retryable: true,
    });
  }
  await assertTools(query, parent);
  await query(`${make} template0 ${await localeOf(query, parent)}`);
  await dumped(context, login, parent, to);
  return "full-copy";
}

/**
 * Describes the connections to a database; empty if there are none. Without further rights only their roles are known.
 */
async function connectionsTo(query: Query, name: string): Promise<string> {
  const found = await query(
    `SELECT usename, application_name AS program, host(client_addr) AS host FROM pg_stat_activity
      WHERE datname = $1 AND pid <> pg_backend_pid() AND coalesce(backend_type, 'client backend') IN
        ('client backend', 'walsender') ORDER BY backend_start`,
    [name],
  );
  const each = found.slice(0, 5).map(({ usename, program, host }) =>
    [`role "${usename}"`, program && `by "${program}"`, host && `from ${host}`].filter(Boolean).join(" ")
  );
  if (found.length === 0) return "";
  return `${found.length} connected: ${each.join(", ")}${found.length > 5 ? ", ..." : ""}`;
}

async function versionOf(query: Query): Promise<number> {
  const [{ version }] = await query("SELECT current_setting('server_version_num')::int / 10000 AS version");
  return version;
}

/** Returns encoding and locale of a database, as clauses for creating another. */
async function localeOf(query: Query, name: string): Promise<string> {
  const sql = `SELECT to_jsonb(d) AS it, pg_encoding_to_char(encoding) AS encoding FROM pg_database d
    WHERE datname = $1`;
  const [{ it, encoding }] = await query(sql, [name]);
  const provider = { i: ["icu", "ICU_LOCALE"], b: ["builtin", "BUILTIN_LOCALE"] }[it.datlocprovider as "i" | "b"];
  return [
    `ENCODING ${literal(encoding)} LC_COLLATE ${literal(it.datcollate)} LC_CTYPE ${literal(it.datctype)}`,
    provider && `LOCALE_PROVIDER ${provider[0]} ${provider[1]} ${literal(it.datlocale ?? it.daticulocale)}`,
  ].filter(Boolean).join(" ");
}

/** Throws unless both programs exist and can read this server: an older one refuses to dump. */
async function assertTools(query: Query, parent: string): Promise<void> {
  const wanted = await versionOf(query);
  const hint = `Install PostgreSQL's client programs, version ${wanted} or later, and put them first in PATH`;
  for (const command of ["pg_dump", "pg_restore"]) {
    const ended = await run(command, ["--version"]);
    if (ended === undefined || ended.status !== 0) {
      throw new ForkstackError("TOOL_MISSING", `Cannot dump database "${parent}": there is no ${command}`, { hint });
    }
    const version = Number(/\d+/.exec(ended.stdout)?.[0]);
    if (version >= wanted) continue;
    const state = `${command} is of version ${version}, the server of version ${wanted}`;
    throw new ForkstackError("TOOL_OUTDATED", `Cannot dump database "${parent}": ${state}`, { hint });
  }
}

/**
 * Runs `pg_dump | pg_restore`: one snapshot of a parent in use. Secrets are passed by the environment, never as
 * arguments.
 */
async function dumped(context: Context, login: PostgresLogin, parent: string, to: string): Promise<void> {
  const { host, port, user, password, sslmode } = login;
  const shared = { PGHOST: host, PGPORT: port, PGUSER: user, PGPASSWORD: password, PGSSLMODE: sslmode };
  const env = { ...shared, PGAPPNAME: "forkstack", PGCONNECT_TIMEOUT: "10" };
  const failed = await pipe([
    {
      command: "pg_dump",
      args: ["--format=custom", "--compress=0", "--no-subscriptions", "--no-password"],
      env: { ...env, PGDATABASE: parent },
    },
    {
      command: "pg_restore",
      args: ["--no-owner", "--exit-on-error", "--no-password", `--dbname=${to}`],
      env: { ...env, PGOPTIONS: "-c synchronous_commit=off" }, // the renaming that follows writes out all before it
    },
  ], context.signal);
  if (failed === undefined) return;
  context.signal.throwIfAborted();
  const said = failed.stderr.trim().split("\n").slice(0, 3).join("; ").slice(0, 300).replaceAll(password || "\0", "…");
  throw new ForkstackError("DUMP_FAILED", `Cannot dump database "${parent}": ${failed.command} failed: ${said}`, {
    hint: "Fix what it says, then run the same command again",
  });
}
