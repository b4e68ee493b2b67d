/**
 * PostgreSQL on any server, from version 13: a fork is a database of its own, owned by a role of its own.
 *
 * The role comes first, in one transaction with its mark, and goes last: it is the claim, and its OID is the fork's id.
 * A database is filled under a name that carries that OID, and only then renamed: one that bears the fork's name is
 * whole. It is ours if that role owns it, as the server itself tells, and it bears our mark: a comment can be copied. All of it happens under an advisory lock, which ends with the session that holds it.
 *
 * - https://www.postgresql.org/docs/18/sql-createdatabase.html, .../manage-ag-templatedbs.html, .../app-pgdump.html
 * - SQLSTATEs: https://www.postgresql.org/docs/18/errcodes-appendix.html
 */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import * as v from "npm:valibot@1.5.0";
import { load } from "../../core/system/lazy.ts";
import { formatMarker } from "../../core/marker.ts";
import type { Context, Copy, Fork, Held, Inspection, Verified } from "../../core/provider.ts";
import { type Provider, type Replacement, Secret, type Target } from "../../core/provider.ts";
import { ForkstackError } from "../../mod.ts";
import { givenLogin, hostAndPort } from "../_shared/connection_url.ts";
import { present } from "../_shared/fields.ts";
import { foreignError, holder, isOthers, isSameHolder, others, unmarked } from "../_shared/ownership.ts";
import * as pg from "../_shared/postgres.ts";
import { literal, type Query, quotedIdentifier } from "../_shared/postgres.ts";
import { copied } from "./postgres_copy.ts";
import {
  DATABASES,
  lostMark,
  roleFork,
  roleMarker,
  type RoleNote,
  type RoleRow,
  ROLES,
  VARIABLE,
} from "./postgres_marks.ts";
import {
  allowDatabases,
  aside,
  databaseSettings,
  dropDatabases,
  dropFork,
  hasShadow,
  settle,
  sizeOf,
} from "./postgres_databases.ts";
import { handOver } from "./postgres_handover.ts";
import { assertFit } from "./postgres_parent.ts";
import { allowRoles, dropLogin, mintLogin } from "./postgres_roles.ts";
import { runPostgresScript } from "../_shared/postgres_script.ts";
import { noneOfThisId, waitForLock } from "../_shared/server_database.ts";

const FOR_WHOM = "for a role with CREATEDB and CREATEROLE";
const MAX_NAME_BYTES = 63; // longer ones are cut off by the server with a notice, so that two could become one

const options = v.strictObject({
  /**
   * The way of copying. `"template"`: the server copies a parent without connections; `"clone"`: the same by
   * `file_copy_method = clone`, from version 18; `"dump"`: `pg_dump | pg_restore`, of a parent in use. @default
   * {template, or dump if somebody is connected}
   */
  strategy: v.optional(v.picklist(["template", "clone", "dump"])),
  /** Fork a parent to which every role may connect, including those of its forks. @default {false} */
  allowOpenParent: v.optional(v.boolean()),
  /**
   * Let forks reach what the parent reaches: foreign servers, user mappings with their passwords, and functions that
   * connect to other servers, such as dblink's. @default {false}
   */
  allowOutbound: v.optional(v.boolean()),
  /**
   * Let the logins of a fork make databases, as the test runner of Django and Prisma's `migrate dev` do, and give them
   * an empty one as `SHADOW_DATABASE_URL`. All are deleted with the fork. @default {false}
   */
  createDatabases: v.optional(v.boolean()),
  /**
   * Roles that the logins of a fork may become by `SET ROLE`, e.g. `["anon", "authenticated"]`. None may log in or have
   * rights outside of its databases, since roles are the whole server's. @default {none}
   */
  setRoles: v.optional(v.array(v.pipe(v.string(), v.minLength(1)))),
});
type Options = v.InferOutput<typeof options>;

const provider: Provider<Options> = {
  name: "postgres",
  kind: "database",
  title: "PostgreSQL on any server",
  page: "databases.md#postgresql-on-any-server",
  capabilities: {
    copy: "copy-on-write",
    ownership: "marked",
    outputs: "minted",
    nativeExpiry: false,
    usage: "bytes",
    pointInTime: false,
    outputsExpire: false,
    parentMayBeAbsent: false,
    name: { maxLength: MAX_NAME_BYTES, pattern: /^[a-z0-9][a-z0-9-]*$/ },
  },
  credentials: [{ variable: VARIABLE, required: true }],
  variables: {
    DATABASE_URL: { isSecret: true, isIdentity: true },
    SHADOW_DATABASE_URL: { isSecret: true, isIdentity: true },
  },
  credentialsHint: `a URL of the server, ${FOR_WHOM}`,
  options,
  permissions({ strategy = "dump" }, credentials) {
    const login = pg.postgresLoginOf(credentials[VARIABLE]?.reveal() ?? "");
    const run = strategy === "dump" ? { run: ["pg_dump", "pg_restore"] } : {};
    if (login === undefined || login.host.startsWith("/")) return run; // a socket is a file
    return { ...run, net: [hostAndPort(login)] };
  },
  inspect: (context, target) =>
    connected(context, `inspect database "${target.name}"`, (query) => inspect(context, query, target)),
  async create(context, target) {
    assertName(target.name);
    return await locked(context, "make", target.name, (query) => create(context, query, target));
  },
  delete: (context, fork) => locked(context, "delete", fork.name, (query) => remove(context, query, fork)),
  remark: (context, fork) => locked(context, "extend", fork.name, (query) => remark(context, query, fork)),
  execute: (context, fork, _scope, sql) => execute(context, fork, fork.name, sql),
  reset,
  import: async (context, target, source) => {
    const purpose = purposeOf(`import into database "${target.name}"`);
    assertName(target.name);
    return await locked(context, "import into", target.name, async (query) => {
      const { importDatabase } = await load<typeof import("./postgres_import.ts")>(
        "providers/database/postgres_import.ts",
      );
      await importDatabase(context, query, { target, source, admin: adminOf(context), purpose });
    });
  },
  sources: ["file", "directory", "postgresql:", "postgres:"],
  async *list(context, scope) {
    const found = await connected(context, `list the forks of "${scope.project}"`, async (query) => {
      const roles = await query(
        `${ROLES} WHERE shobj_description(oid, 'pg_authid') LIKE 'forkstack:v_:%'`,
      ) as RoleRow[];
      const databases = new Map((await query(DATABASES) as RoleRow[]).map((row) => [row.name, row]));
      return roles.map((role) => roleFork(context, role, databases.get(role.name)));
    });
    for (const fork of found) {
      if (fork?.marker.stack === scope.stack && fork.marker.resource === scope.resource) yield fork;
    }
  },
  async probe(context, held) {
    const what = `use database "${held.name}"`;
    const isFork = await connected(context, what, (query) => isForkHeld(context, query, held));
    await connected(context, what, async (query) => {
      if (isFork) await query(`SET ROLE ${quotedIdentifier(held.name)}`);
      await query(pg.PROBE);
    }, held.name);
  },
  async outputs(context, held) {
    const what = `use database "${held.name}"`;
    const { login, shadow } = await connected(context, what, async (query) => {
      const isFork = await isForkHeld(context, query, held);
      const minted = isFork ? await mintLogin(query, held) : {};
      const login = { ...adminOf(context), ...minted, database: held.name };
      return { login, shadow: isFork && await hasShadow(query, held) ? aside("shadow", held) : undefined };
    });
    await pg.answers(context, login, purposeOf(what));
    return present({
      DATABASE_URL: new Secret(pg.postgresUrl(login)),
      SHADOW_DATABASE_URL: shadow && new Secret(pg.postgresUrl({ ...login, database: shadow })),
    });
  },
  async usage(context, held) {
    const sizeBytes = await connected(
      context,
      `measure database "${held.name}"`,
      async (query) => await sizeOf(query, held, await isForkHeld(context, query, held)),
    );
    return { sizeBytes };
  },
};
export default provider;

/** Servers and clients of its tests, beside its emulator. */
export const verified: Verified = { servers: ["PostgreSQL"] };

/** Example of a credential that is a URL, by its variable. */
export const examples: Readonly<Record<string, string>> = {
  POSTGRES_URL: "postgresql://admin@db.example:5432/postgres",
};

/**
 * Connects as the role of POSTGRES_URL, to the database in it or to another one. Awaits the fence before each statement
 * that changes something: the one before it may have taken long.
 */
function connected<T>(
  context: Context,
  what: string,
  work: (query: Query, told: () => number | null) => Promise<T>,
  database?: string,
): Promise<T> {
  const login = adminOf(context);
  return pg.withPostgres(
    context,
    { ...login, database: database ?? login.database },
    purposeOf(what),
    (query, told) =>
      work(async (text, values) => {
        if (!READS.test(text)) await context.fence();
        return await query(text, values);
      }, told),
  );
}

/** Pattern for statements that only read, or set something for this connection. */
const READS = /^\s*(SELECT (?!pg_terminate_backend)|SET )/;

function adminOf(context: Context): pg.PostgresLogin {
  const example = "postgresql://admin:...@host:5432/postgres";
  return givenLogin(
    context,
    { what: "postgres", variables: [VARIABLE], forWhom: FOR_WHOM, example },
    pg.postgresLoginOf,
  );
}

function purposeOf(what: string): pg.Purpose {
  const denied =
    "The role needs CREATEDB and CREATEROLE (`ALTER ROLE ... CREATEDB CREATEROLE`), and must own what it " +
    "copies; or use a superuser";
  return { provider: "postgres", what, source: VARIABLE, denied };
}

/** Looks for the role and the database of a name: the role must have our mark, and own the database. */
async function inspect(context: Context, query: Query, target: Target<Options>): Promise<Inspection> {
  const [role] = await query(`${ROLES} WHERE rolname = $1`, [target.name]) as RoleRow[];
  const [database] = await query(`${DATABASES} WHERE datname = $1`, [target.name]) as RoleRow[];
  if (role === undefined && database === undefined) return { state: "absent" };
  const id = (database ?? role)!.oid;
  const marked = database && roleMarker(context, database);
  const fork = role && roleFork(context, role, database);
  if (fork === undefined) {
    if (marked !== undefined && !isSameHolder(marked, target.marker)) return others(id, marked);
    const marker = role && roleMarker(context, role);
    if (marker !== undefined) { // so it is the database, which the role owns, that has lost its mark
      const isOwn = isSameHolder(marker, target.marker);
      return isOwn ? { state: "foreign", id, reason: lostMark(role!, database!) } : others(id, marker);
    }
    const what = `${database === undefined ? "the role" : "the database"} "${target.name}"`;
    return { state: "foreign", id, reason: await unmarked(context, target.name, what) };
  }
  const isOwned = database?.owner === role!.oid;
  const other = [fork.marker, isOwned ? marked : undefined].find((one) => one && !isSameHolder(one, target.marker));
  if (other) return others(id, other);
  if (database === undefined || isOwned) return { state: database === undefined ? "pending" : "ready", fork };
  // The claim of a run that was cut off is ours, though somebody else's database has its name by now.
  if (target.isResumed) return { state: "pending", fork };
  return { state: "foreign", id, reason: `the role "${target.name}" does not own the database of this name` };
}

async function create(context: Context, query: Query, target: Target<Options>): Promise<Fork> {
  const seen = await inspect(context, query, target);
  if (seen.state === "foreign") throw foreign("make", target.name, seen.reason);
  const reason = seen.state === "absent" ? undefined : isOthers(seen.fork.marker, target.marker, "");
  if (reason !== undefined) throw foreign("make", target.name, reason);
  if (seen.state === "ready") return seen.fork;
  await assertFit(query, target);
  const claim = seen.state === "absent" ? await claimed(context, query, target) : seen.fork;
  await context.record("claim", claim.id);
  context.signal.throwIfAborted();
  await assertFree(query, claim);
  const copy = await fill(context, query, claim, target);
  try {
    await query(`ALTER DATABASE ${quotedIdentifier(aside("new", claim))} RENAME TO ${quotedIdentifier(claim.name)}`);
  } catch (error) {
    if (pg.sqlStateOf(error) === "42P04") await assertFree(query, claim);
    throw error;
  }
  return { ...claim, copy: copy ?? claim.copy };
}

async function claimed(context: Context, query: Query, target: Target<Options>): Promise<Fork> {
  const note: RoleNote = {
    createdAt: context.now().toISOString(),
    parent: target.parent,
  };
  const name = quotedIdentifier(target.name);
  try {
    await query(`CREATE ROLE ${name} NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE;
      COMMENT ON ROLE ${name} IS ${literal(`${formatMarker(target.marker)} ${JSON.stringify(note)}`)}`);
  } catch (error) {
    if (pg.sqlStateOf(error) !== "42710") throw error;
    throw foreign("make", target.name, `somebody else made the role "${target.name}" meanwhile`);
  }
  const [role] = await query(`${ROLES} WHERE rolname = $1`, [target.name]) as RoleRow[];
  return roleFork(context, role!, undefined)!;
}

/** Withdraws a claim if somebody else's database got its name meanwhile. */
async function assertFree(query: Query, claim: Fork): Promise<void> {
  const [taken] = await query("SELECT 1 FROM pg_database WHERE datname = $1", [claim.name]);
  if (taken === undefined) return;
  await dropFork(query, claim);
  throw foreign("make", claim.name, "somebody else made a database of this name meanwhile");
}

/** Creates a marked copy of the parent under another name, from the start: an earlier run's may be incomplete. */
async function fill(
  context: Context,
  query: Query,
  claim: Fork,
  target: Target<Options>,
): Promise<Copy | undefined> {
  await dropDatabases(query, claim, [aside("new", claim), aside("old", claim)]);
  // Who is no superuser must be a member of the role to which a database is given, and may make itself one.
  await query(`DO $$ BEGIN IF NOT pg_has_role(${literal(claim.name)}, 'USAGE') THEN
    EXECUTE 'GRANT ' || quote_ident(${literal(claim.name)}) || ' TO CURRENT_USER'; END IF; END $$`);
  const { parent, options: { strategy, allowOutbound, createDatabases, setRoles } } = target;
  const to = aside("new", claim);
  const settings = await databaseSettings(query, parent);
  const spec = { parent, to, owner: claim.name, strategy, limit: settings.limitMeanwhile };
  const copy = await copied(context, query, adminOf(context), spec);
  context.signal.throwIfAborted();
  await connected(
    context,
    `make database "${claim.name}"`,
    (own) => handOver(own, { parent, role: claim.name, allowOutbound }),
    to,
  );
  const note = {
    createdAt: claim.createdAt,
    parent,
    copy,
  };
  const comment = `${formatMarker(claim.marker)} ${JSON.stringify(note)}`;
  await settle(query, to, settings, comment);
  if (createDatabases) await allowDatabases(query, claim);
  if (setRoles !== undefined) await allowRoles(query, claim, setRoles);
  return copy;
}

/** Writes the marks of the role and of its database in one step; further text in the comments stays. */
async function remark(context: Context, query: Query, fork: Fork): Promise<void> {
  const [role] = await query(`${ROLES} WHERE oid::text = $1 AND rolname = $2`, [fork.id, fork.name]) as RoleRow[];
  const [database] = await query(`${DATABASES} WHERE datname = $1 AND datdba::text = $2`, [
    fork.name,
    fork.id,
  ]) as RoleRow[];
  const held = role && roleFork(context, role, database);
  if (held === undefined || !isSameHolder(held.marker, fork.marker)) {
    throw foreign("extend", fork.name, held === undefined ? "it bears no mark of ours" : holder(held.marker));
  }
  const comment = ({ note }: RoleRow) => literal([formatMarker(fork.marker), ...note!.split(" ").slice(1)].join(" "));
  const name = quotedIdentifier(fork.name);
  await query(`COMMENT ON ROLE ${name} IS ${comment(role!)};
    ${database === undefined ? "" : `COMMENT ON DATABASE ${name} IS ${comment(database)}`}`);
}

async function remove(context: Context, query: Query, fork: Fork): Promise<"deleted" | "absent"> {
  const [role] = await query(`${ROLES} WHERE oid::text = $1 AND rolname = $2`, [fork.id, fork.name]) as RoleRow[];
  if (role === undefined) return "absent";
  const [database] = await query(`${DATABASES} WHERE datname = $1`, [fork.name]) as RoleRow[];
  const isOwned = database?.owner === role.oid; // else it is somebody else's, and stays
  const held = roleFork(context, role, database);
  if (held === undefined) {
    const marker = roleMarker(context, role);
    if (marker === undefined) {
      throw foreign("delete", fork.name, await unmarked(context, fork.name, `the role "${fork.name}"`));
    }
    const reason = isSameHolder(marker, fork.marker) ? lostMark(role, database!) : holder(marker);
    throw foreign("delete", fork.name, reason);
  }
  const other = [held.marker, isOwned ? roleMarker(context, database!) : undefined]
    .find((one) => one && !isSameHolder(one, fork.marker));
  if (other) throw foreign("delete", fork.name, holder(other));
  try {
    await dropFork(query, fork);
  } catch (error) {
    if (database === undefined || isOwned || pg.sqlStateOf(error) !== "2BP01") throw error;
    throw foreign("delete", fork.name, "another role owns it by now, and what is in it is still the fork's role's");
  }
  return database === undefined || isOwned ? "deleted" : "absent";
}

/** Fills a new database under another name; `commit` exchanges the names in one transaction. The logins stay. */
async function reset(context: Context, fork: Fork, target: Target<Options>): Promise<Replacement> {
  const whileOurs = <T>(work: (query: Query) => Promise<T>) =>
    locked(context, "reset", fork.name, async (query) => {
      const seen = await inspect(context, query, target);
      if (seen.state === "ready" && seen.fork.id === fork.id) return await work(query);
      throw foreign("reset", fork.name, seen.state === "foreign" ? seen.reason : "it is not the fork that was made");
    });
  const copy = await whileOurs(async (query) => {
    await assertFit(query, target);
    return await fill(context, query, fork, target);
  });
  const [own, fresh, old] = [fork.name, aside("new", fork), aside("old", fork)].map(quotedIdentifier);
  return {
    execute: (sql) => execute(context, fork, aside("new", fork), sql),
    commit: () =>
      whileOurs(async (query) => {
        for (let attempt = 1;; attempt++) {
          await query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", [fork.name]);
          try {
            await query(`ALTER DATABASE ${own} RENAME TO ${old}; ALTER DATABASE ${fresh} RENAME TO ${own}`);
            break;
          } catch (error) {
            if (pg.sqlStateOf(error) !== "55006" || attempt === 3) throw error; // the application was back already
          }
        }
        await dropDatabases(query, fork, [aside("old", fork)]);
        const { copy: _, ...rest } = fork;
        return { ...rest, copy };
      }),
    discard: () => whileOurs((query) => dropDatabases(query, fork, [aside("new", fork)])),
  };
}

/** Runs a script as a login of the fork: no statement of it can become the role of POSTGRES_URL. */
async function execute(context: Context, fork: Held, database: string, sql: string): Promise<void> {
  const what = `change database "${fork.name}"`;
  await connected(context, what, async (query) => {
    if (!await isForkHeld(context, query, fork)) throw foreign("change", fork.name, "it is not a fork");
    const minted = await mintLogin(query, fork);
    try {
      await runPostgresScript(context, { ...adminOf(context), ...minted, database }, purposeOf(what), sql);
    } finally {
      await dropLogin(query, minted.user);
    }
  });
}

/** Returns true for a fork, by its role's OID; false for a base environment's database, by its own. */
async function isForkHeld(context: Context, query: Query, held: Held): Promise<boolean> {
  const own = [held.id, held.name];
  const [role] = await query(`${ROLES} WHERE oid::text = $1 AND rolname = $2`, own) as RoleRow[];
  if (role !== undefined && roleMarker(context, role) !== undefined) {
    const owned = "SELECT 1 FROM pg_database WHERE datdba::text = $1 AND datname = $2";
    if ((await query(owned, own)).length > 0) return true;
  }
  if ((await query("SELECT 1 FROM pg_database WHERE oid::text = $1 AND datname = $2", own)).length > 0) return false;
  throw noneOfThisId(held);
}

/**
 * Connects and holds the lock of a name meanwhile, which ends with the session, even if its process dies. It is in the
 * database of POSTGRES_URL.
 */
async function locked<T>(
  context: Context,
  verb: string,
  name: string,
  work: (query: Query) => Promise<T>,
): Promise<T> {
  const what = `${verb} database "${name}"`;
  const key = createHash("sha256").update(`forkstack ${name}`).digest().readBigInt64BE().toString();
  return await connected(context, what, async (query, told) => {
    const [{ pid }] = await query("SELECT pg_backend_pid() AS pid");
    if (pid !== told()) throw pooled(what);
    await waitForLock(context, name, async () => {
      const [{ mine }] = await query( // without limits of time: a copy may take an hour
        `SELECT pg_try_advisory_lock($1::text::bigint) AS mine, (SELECT count(set_config(name, '0', false)) FROM pg_settings
          WHERE name IN ('statement_timeout', 'lock_timeout', 'idle_session_timeout', 'transaction_timeout'))`,
        [key],
      );
      return mine;
    });
    return await work(query);
  });
}

/** A pooler hands the statements of one session to several of the server's, and the lock stays with one of them. */
function pooled(what: string): ForkstackError {
  return new ForkstackError("CONFIG_POOLER", `Cannot ${what}: ${VARIABLE} leads through a pooler, such as PgBouncer`, {
    hint: `Put the address of the server itself in ${VARIABLE}; applications may go through the pooler`,
    details: { provider: "postgres" },
  });
}

function assertName(name: string): void {
  if (Buffer.byteLength(name) <= MAX_NAME_BYTES) return;
  throw new ForkstackError("NAME_INVALID", `Cannot make database "${name}": its name has more than 63 bytes`, {
    hint: "Choose a shorter name for the environment or the project: PostgreSQL holds 63 bytes",
  });
}

function foreign(verb: string, name: string, reason: string): ForkstackError {
  return foreignError({ provider: "postgres", resource: "database" }, `${verb} database "${name}": ${reason}`);
}
