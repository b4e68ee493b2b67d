/**
 * PostgreSQL on any server, from version 13: a fork is a database of its own, owned by a role of its own.
 *
 * The role comes first, in one transaction with its mark, and goes last: it is the claim, and its OID is the fork's id.
 * A database is filled under a name that carries that OID, marked, and only then renamed: one that bears the fork's
 * name is whole. All of it happens under an advisory lock, which ends with the session that holds it.
 *
 * - https://www.postgresql.org/docs/18/sql-createdatabase.html, .../manage-ag-templatedbs.html, .../app-pgdump.html
 * - SQLSTATEs: https://www.postgresql.org/docs/18/errcodes-appendix.html
 */
import { Buffer } from "node:buffer";
import { createHash, randomBytes } from "node:crypto";
import * as v from "valibot";
import { formatMarker } from "../../core/engine.ts";
import type { Context, Copy, Fork, Held, Inspection, Marker } from "../../core/provider.ts";
import { type Provider, type Replacement, Secret, type Target } from "../../core/provider.ts";
import { pipe } from "../../core/run.ts";
import { ForkstackError } from "../../mod.ts";
import { codeOf, connected, literal, loginOf, type Query, quoted, urlOf, VARIABLE, verifierOf } from "./_postgres.ts";
import { ADOPT } from "./_postgres_adopt.ts";

const MAX_NAME_BYTES = 63; // longer ones are cut off by the server with a notice, so that two could become one

const options = v.strictObject({
  /**
   * `"template"`: the server copies a parent that nobody is connected to; `"clone"`: the same by `file_copy_method =
   * clone`, from version 18; `"dump"`: `pg_dump | pg_restore`, of a parent in use. Without it: template, or dump if
   * somebody is connected.
   */
  strategy: v.optional(v.picklist(["template", "clone", "dump"])),
  /** Fork a parent to which every role may connect, those of its forks too. @default {false} */
  allowOpenParent: v.optional(v.boolean()),
});
type Options = v.InferOutput<typeof options>;

/** A role or a database, with the comment on it. */
interface Row {
  readonly oid: string;
  readonly name: string;
  readonly owner: string | null;
  readonly note: string | null;
}

/** What a comment tells beside the marker. */
interface Note {
  readonly createdAt: string;
  readonly parent?: string;
  readonly copy?: Copy;
}

const provider: Provider<Options> = {
  name: "postgres",
  kind: "database",
  capabilities: {
    copy: "copy-on-write",
    ownership: "marked",
    outputs: "minted",
    nativeExpiry: false,
    usage: "bytes",
    parentMayBeAbsent: false,
    name: { maxLength: MAX_NAME_BYTES, pattern: /^[a-z0-9][a-z0-9-]*$/ },
  },
  credentials: [{ variable: VARIABLE, required: true }],
  options,
  inspect: (context, target) => connected(context, "inspect", target.name, (query) => inspect(context, query, target)),
  create: (context, target) =>
    connected(context, "make", target.name, async (query) => {
      assertName(target.name);
      await lock(query, target.name);
      return await create(context, query, target);
    }),
  delete: (context, fork) =>
    connected(context, "delete", fork.name, async (query) => {
      await lock(query, fork.name);
      return await remove(context, query, fork);
    }),
  reset,
  async *list(context, scope) {
    const found = await connected(context, "list", scope.project, async (query) => {
      const roles = await query(`${ROLES} WHERE shobj_description(oid, 'pg_authid') LIKE 'forkstack:v1:%'`) as Row[];
      const databases = new Map((await query(DATABASES) as Row[]).map((row) => [row.name, row]));
      return roles.map((role) => forkOf(context, role, databases.get(role.name)));
    });
    for (const fork of found) {
      if (fork?.marker.stack === scope.stack && fork.marker.resource === scope.resource) yield fork;
    }
  },
  async probe(context, held) {
    const isFork = await connected(context, "use", held.name, (query) => isForkHeld(query, held));
    await connected(context, "use", held.name, async (query) => {
      if (isFork) await query(`SET ROLE ${quoted(held.name)}`);
      await query("SELECT count(*) FROM pg_catalog.pg_class");
    }, { database: held.name });
  },
  async outputs(context, held) {
    const login = loginOf(context);
    const password = randomBytes(24).toString("base64url");
    const isFork = await connected(context, "use", held.name, async (query) => {
      if (!await isForkHeld(query, held)) return false;
      // Its verifier alone, so that no log of the server's shows the password.
      await query(`ALTER ROLE ${quoted(held.name)} PASSWORD '${verifierOf(password)}'`);
      return true;
    });
    const own = { ...login, database: held.name, ...(isFork ? { user: held.name, password } : {}) };
    await connected(context, "use", held.name, (query) => query("SELECT 1"), own);
    return { DATABASE_URL: new Secret(urlOf(own)) };
  },
  async usage(context, held) {
    const [row] = await connected(context, "measure", held.name, async (query) => {
      await isForkHeld(query, held);
      return await query("SELECT pg_database_size(oid)::text AS size FROM pg_database WHERE datname = $1", [held.name]);
    });
    return { sizeBytes: Number(row?.size ?? 0) };
  },
};
export default provider;

const ROLES =
  "SELECT oid::text, rolname AS name, NULL AS owner, shobj_description(oid, 'pg_authid') AS note FROM pg_roles";
const DATABASES =
  `SELECT oid::text, datname AS name, datdba::text AS owner, shobj_description(oid, 'pg_database') AS note
  FROM pg_database`;

/** The role and the database of a name; the role's mark counts, and the database's says that it is whole. */
async function inspect(context: Context, query: Query, target: Target<Options>): Promise<Inspection> {
  const [role] = await query(`${ROLES} WHERE rolname = $1`, [target.name]) as Row[];
  const [database] = await query(`${DATABASES} WHERE datname = $1`, [target.name]) as Row[];
  if (role === undefined && database === undefined) return { state: "absent" };
  const id = (database ?? role)!.oid;
  const fork = role && forkOf(context, role, database);
  if (fork === undefined) {
    const what = database === undefined ? "the role" : "the database";
    return { state: "foreign", id, reason: `${what} "${target.name}" is not marked as ours` };
  }
  const other = [fork.marker, database && markerOf(context, database)]
    .find((marker) => marker && !isSameHolder(marker, target.marker));
  if (other) return { state: "foreign", id, reason: holder(other) };
  return { state: database === undefined ? "pending" : "ready", fork };
}

/** The fork of a role; `undefined` if the role, or the database of its name, is not ours. */
function forkOf(context: Context, role: Row, database: Row | undefined): Fork | undefined {
  const marker = markerOf(context, role);
  if (marker === undefined) return undefined;
  if (database !== undefined && (database.owner !== role.oid || !markerOf(context, database))) return undefined;
  const { createdAt, parent, copy } = JSON.parse((database ?? role).note!.split(" ").slice(1).join(" ")) as Note;
  return {
    id: role.oid,
    name: role.name,
    marker,
    createdAt,
    ...(parent === undefined ? {} : { parentId: parent }),
    ...(copy === undefined ? {} : { copy }),
  };
}

async function create(context: Context, query: Query, target: Target<Options>): Promise<Fork> {
  const seen = await inspect(context, query, target);
  if (seen.state === "foreign") throw foreign("make", target.name, seen.reason);
  if (seen.state !== "absent" && seen.fork.marker.operation !== target.marker.operation) {
    throw foreign("make", target.name, `operation ${seen.fork.marker.operation} of the same environment made it`);
  }
  if (seen.state === "ready") return seen.fork;
  await assertParent(query, target);
  const claim = seen.state === "absent" ? await claimed(context, query, target) : seen.fork;
  await context.record("claim", claim.id);
  context.signal.throwIfAborted();
  const copy = await fill(context, query, claim, target);
  await query(`ALTER DATABASE ${quoted(aside("new", claim))} RENAME TO ${quoted(claim.name)}`);
  return { ...claim, ...(copy === undefined ? {} : { copy }) };
}

async function claimed(context: Context, query: Query, target: Target<Options>): Promise<Fork> {
  const note: Note = {
    createdAt: context.now().toISOString(),
    ...(target.parent === undefined ? {} : { parent: target.parent }),
  };
  const name = quoted(target.name);
  await query(`BEGIN; CREATE ROLE ${name} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
    COMMENT ON ROLE ${name} IS ${literal(`${formatMarker(target.marker)} ${JSON.stringify(note)}`)}; COMMIT`);
  const [role] = await query(`${ROLES} WHERE rolname = $1`, [target.name]) as Row[];
  return forkOf(context, role!, undefined)!;
}

/** The parent is there, and a fork's role could not connect to it. */
async function assertParent(query: Query, target: Target<Options>): Promise<void> {
  if (target.parent === undefined) return;
  const sql = "SELECT has_database_privilege('public', oid, 'CONNECT') AS open FROM pg_database WHERE datname = $1";
  const [parent] = await query(sql, [target.parent]);
  if (parent === undefined) {
    throw new ForkstackError("NOT_FOUND", `Cannot fork database "${target.parent}": the server has none of this name`, {
      hint: `Make it, fork another environment with --from, or ask for an empty database with --empty`,
    });
  }
  if (!parent.open || target.options.allowOpenParent) return;
  throw new ForkstackError("PARENT_OPEN", `Cannot fork database "${target.parent}": every role may connect to it`, {
    hint: `Its forks' roles could too. Run \`REVOKE CONNECT ON DATABASE ${quoted(target.parent)} FROM PUBLIC\` and ` +
      `grant it to the roles that need it; or set "allowOpenParent": true in forkstack.json`,
  });
}

/** Makes a marked copy of the parent aside, from the beginning: what an earlier run left there may not be whole. */
async function fill(
  context: Context,
  query: Query,
  claim: Fork,
  target: Target<Options>,
): Promise<Copy | undefined> {
  for (const purpose of ["new", "old"] as const) await drop(query, claim, aside(purpose, claim));
  // A role that is no superuser must be a member of the role to which it gives a database; it may make itself one.
  await query(`DO $$ BEGIN IF NOT pg_has_role(${literal(claim.name)}, 'MEMBER') THEN
    EXECUTE 'GRANT ' || quote_ident(${literal(claim.name)}) || ' TO CURRENT_USER'; END IF; END $$`);
  const copy = await copied(context, query, claim, target);
  context.signal.throwIfAborted();
  const name = quoted(aside("new", claim));
  await connected(context, "make", claim.name, (own) => own(ADOPT(literal(claim.name))), {
    database: aside("new", claim),
  });
  const note = {
    createdAt: claim.createdAt,
    ...(target.parent === undefined ? {} : { parent: target.parent }),
    ...(copy === undefined ? {} : { copy }),
  };
  const comment = literal(`${formatMarker(claim.marker)} ${JSON.stringify(note)}`);
  await settle(query, name, target.parent, comment);
  return copy;
}

/** The settings that go with a parent (`search_path`, ...), closed to all but the role, and marked; in one go. */
async function settle(query: Query, name: string, parent: string | undefined, comment: string): Promise<void> {
  const sql = `SELECT unnest(setconfig) AS line FROM pg_db_role_setting
    WHERE setrole = 0 AND setdatabase = (SELECT oid FROM pg_database WHERE datname = $1)`;
  const settings = parent === undefined ? [] : await query(sql, [parent]) as { line: string }[];
  const statements = settings.map(({ line }) => {
    const [key, value] = [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)];
    const setting = key.split(".").map(quoted).join(".");
    return `SELECT set_config(${literal(key)}, ${
      literal(value)
    }, true); ALTER DATABASE ${name} SET ${setting} FROM CURRENT;`;
  });
  await query(`BEGIN; REVOKE ALL ON DATABASE ${name} FROM PUBLIC; ${statements.join(" ")}
    COMMENT ON DATABASE ${name} IS ${comment}; COMMIT`);
}

async function copied(
  context: Context,
  query: Query,
  claim: Fork,
  { parent, options: { strategy } }: Target<Options>,
): Promise<Copy | undefined> {
  const make = `CREATE DATABASE ${quoted(aside("new", claim))} OWNER ${quoted(claim.name)} TEMPLATE`;
  if (parent === undefined) {
    await query(`${make} template0`);
    return "empty";
  }
  if (strategy === "clone") {
    const [{ version }] = await query("SELECT current_setting('server_version_num')::int AS version");
    if (version < 180000) {
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
      await query(`${make} ${quoted(parent)}${strategy === "clone" ? " STRATEGY FILE_COPY" : ""}`);
      return strategy === "clone" ? undefined : "full-copy"; // whether blocks are shared, the server doesn't tell
    } catch (error) {
      if (codeOf(error) !== "55006") throw error;
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
  const [of] = await query(
    "SELECT to_jsonb(d) AS it, pg_encoding_to_char(encoding) AS encoding FROM pg_database d " +
      "WHERE datname = $1",
    [parent],
  );
  const clauses = { i: ["icu", "ICU_LOCALE"], b: ["builtin", "BUILTIN_LOCALE"] }[of.it.datlocprovider as "i" | "b"];
  const locale = of.it.datlocale ?? of.it.daticulocale;
  await query(
    `${make} template0 ENCODING ${literal(of.encoding)} LC_COLLATE ${literal(of.it.datcollate)} ` +
      `LC_CTYPE ${literal(of.it.datctype)}` +
      (clauses ? ` LOCALE_PROVIDER ${clauses[0]} ${clauses[1]} ${literal(locale)}` : ""),
  );
  await dumped(context, parent, aside("new", claim));
  return "full-copy";
}

/** `pg_dump | pg_restore`: one snapshot of a parent that is in use. Secrets go by the environment, never as arguments. */
async function dumped(context: Context, parent: string, to: string): Promise<void> {
  const { host, port, user, password, sslmode } = loginOf(context);
  const shared = { PGHOST: host, PGPORT: port, PGUSER: user, PGPASSWORD: password, PGSSLMODE: sslmode };
  const env = { ...shared, PGAPPNAME: "forkstack", PGCONNECT_TIMEOUT: "10" };
  const failed = await pipe([
    {
      command: "pg_dump",
      args: ["--format=custom", "--compress=0", "--no-subscriptions", "--no-password"],
      env: { ...env, PGDATABASE: parent },
    },
    { command: "pg_restore", args: ["--no-owner", "--exit-on-error", "--no-password", `--dbname=${to}`], env },
  ], context.signal);
  if (failed === undefined) return;
  context.signal.throwIfAborted();
  if (failed.status === undefined) {
    throw new ForkstackError("TOOL_MISSING", `Cannot dump database "${parent}": there is no ${failed.command}`, {
      hint: "Install PostgreSQL's client programs, of the server's version or later",
    });
  }
  const said = failed.stderr.trim().split("\n").slice(0, 3).join("; ").slice(0, 300).replaceAll(password || "\0", "…");
  throw new ForkstackError("DUMP_FAILED", `Cannot dump database "${parent}": ${failed.command} failed: ${said}`, {
    hint: /version mismatch|unsupported version/.test(failed.stderr)
      ? "Install PostgreSQL's client programs of the server's version or later, and put them first in PATH"
      : "Mend what it says, then run the same command again",
  });
}

/** Who is connected to a database; empty if nobody is. */
async function connectionsTo(query: Query, name: string): Promise<string> {
  const found = await query(
    `SELECT usename, application_name AS program, host(client_addr) AS host FROM pg_stat_activity
      WHERE datname = $1 AND pid <> pg_backend_pid() AND backend_type = 'client backend' ORDER BY backend_start`,
    [name],
  );
  const each = found.slice(0, 5).map(({ usename, program, host }) =>
    [`role "${usename}"`, program && `by "${program}"`, host && `from ${host}`].filter(Boolean).join(" ")
  );
  if (found.length === 0) return "";
  return `${found.length} connected: ${each.join(", ")}${found.length > 5 ? ", ..." : ""}`;
}

async function remove(context: Context, query: Query, fork: Fork): Promise<"deleted" | "absent"> {
  const [role] = await query(`${ROLES} WHERE oid::text = $1 AND rolname = $2`, [fork.id, fork.name]) as Row[];
  if (role === undefined) return "absent";
  const [database] = await query(`${DATABASES} WHERE datname = $1`, [fork.name]) as Row[];
  const held = forkOf(context, role, database);
  if (held === undefined) throw foreign("delete", fork.name, "it is not marked as ours");
  const other = [held.marker, database && markerOf(context, database)]
    .find((marker) => marker && !isSameHolder(marker, fork.marker));
  if (other) throw foreign("delete", fork.name, holder(other));
  for (const name of [fork.name, aside("new", fork), aside("old", fork)]) await drop(query, fork, name);
  await query(`DROP ROLE ${quoted(fork.name)}`);
  return "deleted";
}

/** Fills a new database aside; `commit` lets the two change names in one transaction. The role keeps its password. */
async function reset(context: Context, fork: Fork, target: Target<Options>): Promise<Replacement> {
  const locked = <T>(work: (query: Query) => Promise<T>) =>
    connected(context, "reset", fork.name, async (query) => {
      await lock(query, fork.name);
      const seen = await inspect(context, query, target);
      if (seen.state === "ready" && seen.fork.id === fork.id) return await work(query);
      throw foreign("reset", fork.name, seen.state === "foreign" ? seen.reason : "it is not the fork that was made");
    });
  const copy = await locked(async (query) => {
    await assertParent(query, target);
    return await fill(context, query, fork, target);
  });
  const [own, fresh, old] = [fork.name, aside("new", fork), aside("old", fork)].map(quoted);
  return {
    commit: () =>
      locked(async (query) => {
        for (let attempt = 1;; attempt++) {
          await query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", [fork.name]);
          try {
            await query(
              `BEGIN; ALTER DATABASE ${own} RENAME TO ${old}; ALTER DATABASE ${fresh} RENAME TO ${own}; COMMIT`,
            );
            break;
          } catch (error) {
            if (codeOf(error) !== "55006" || attempt === 3) throw error; // the application was back already
            await query("ROLLBACK");
          }
        }
        await drop(query, fork, aside("old", fork));
        const { copy: _, ...rest } = fork;
        return { ...rest, ...(copy === undefined ? {} : { copy }) };
      }),
    discard: () => locked((query) => drop(query, fork, aside("new", fork))),
  };
}

/** Drops a database if the fork's role owns it. */
async function drop(query: Query, fork: Held, name: string): Promise<void> {
  const [found] = await query(`${DATABASES} WHERE datname = $1`, [name]) as Row[];
  if (found?.owner === fork.id) await query(`DROP DATABASE IF EXISTS ${quoted(name)} WITH (FORCE)`);
}

/** Where a fork's next or last database stands; an underscore is in no name of ours. */
function aside(purpose: "new" | "old", fork: Held): string {
  return `forkstack_${purpose}_${fork.id}`;
}

/** Whether it is a fork, by its role's OID; else it is a base environment's database, by its own. */
async function isForkHeld(query: Query, held: Held): Promise<boolean> {
  const own = [held.id, held.name];
  const sql = "SELECT 1 FROM pg_roles r JOIN pg_database d ON d.datdba = r.oid AND d.datname = r.rolname " +
    "WHERE r.oid::text = $1 AND r.rolname = $2 AND shobj_description(r.oid, 'pg_authid') LIKE 'forkstack:v1:%'";
  if ((await query(sql, own)).length > 0) return true;
  if ((await query("SELECT 1 FROM pg_database WHERE oid::text = $1 AND datname = $2", own)).length > 0) return false;
  throw new ForkstackError("NOT_FOUND", `Cannot use database "${held.name}": the server has none of this id`, {
    hint: "`forkstack doctor` tells what is there",
  });
}

/** One attempt at a time; the lock ends with the session, also with that of a process that died. */
async function lock(query: Query, name: string): Promise<void> {
  const key = createHash("sha256").update(`forkstack ${name}`).digest().readBigInt64BE().toString();
  await query("SET lock_timeout = '10min'");
  await query("SELECT pg_advisory_lock($1::text::bigint)", [key]);
}

function assertName(name: string): void {
  if (Buffer.byteLength(name) <= MAX_NAME_BYTES) return;
  throw new ForkstackError("NAME_INVALID", `Cannot make database "${name}": its name has more than 63 bytes`, {
    hint: "Choose a shorter name for the environment or the project: PostgreSQL holds 63 bytes",
  });
}

function markerOf(context: Context, row: Row): Marker | undefined {
  return row.note === null ? undefined : context.markerOf(row.name, row.note.split(" ")[0]);
}

function isSameHolder(one: Marker, other: Marker): boolean {
  return one.stack === other.stack && one.env === other.env && one.resource === other.resource;
}

function holder({ stack, env, resource }: Marker): string {
  return `it belongs to ${resource} of environment "${env}" of stack "${stack}"`;
}

function foreign(verb: string, name: string, reason: string): ForkstackError {
  return new ForkstackError("FOREIGN", `Cannot ${verb} database "${name}": ${reason}`, {
    hint: "Move it away, or choose another environment name; forkstack touches nothing that it did not make",
  });
}
