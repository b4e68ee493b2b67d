/**
 * MySQL 8 or MariaDB on any server: a fork is a database of its own, with accounts of its own.
 *
 * Neither has owners of databases, and MySQL no comments on them. The mark is a disabled event in the database, which
 * its application is not let at: it comes in the same request as the database, holds the fork's random id, and says whether
 * the fork is whole. All accounts of a fork bear that id: `fs_<id>`, which nobody can log in as, is in whose name the
 * fork's views, triggers, routines and events act; `fs_<id>_<random>` are the logins.
 *
 * - https://dev.mysql.com/doc/refman/8.4/en/create-event.html, .../grant.html, .../locking-functions.html
 * - https://mariadb.com/docs/server/reference/sql-statements/account-management-sql-statements
 */
import { randomBytes } from "node:crypto";
import * as v from "npm:valibot@1.5.0";
import { load } from "../../core/system/lazy.ts";
import type { Context, Fork, Held, Inspection, Marker, Verified } from "../../core/provider.ts";
import { type Provider, type Replacement, Secret, type Target } from "../../core/provider.ts";
import { ForkstackError } from "../../mod.ts";
import { givenLogin } from "../_shared/connection_url.ts";
import { foreignError, holder, isOthers, isSameHolder, others } from "../_shared/ownership.ts";
import { noneOfThisId } from "../_shared/server_database.ts";
import { asOwner, dropAccounts, dropEarlierAccounts, forget, mint, ownerOf } from "./mysql_accounts.ts";
import { copied, define, definitionsOf, PROGRAMS, rebaseDefaults } from "./mysql_copy.ts";
import {
  databaseFork,
  databaseMarker,
  eventOf,
  ID,
  look,
  lostMark,
  type Note,
  noteOf,
  type Row,
} from "./mysql_marks.ts";
import * as server from "./mysql_server.ts";
import { backquoted, codeOf, type Login, MARK, type MysqlQuery } from "./mysql_server.ts";

/** The variable with the URL of a user that may create databases and users. */
const VARIABLE = "MYSQL_URL";
const FOR_WHOM = "for a user that may make databases and users";
const MAX_NAME_LENGTH = 64;

const options = v.strictObject({
  /**
   * The way of copying. `"copy"`: the server copies the rows, while others read the parent and writers wait; `"dump"`:
   * `mysqldump | mysql`, one snapshot of a parent in use. @default {copy, or dump if somebody is connected to the
   * parent}
   */
  strategy: v.optional(v.picklist(["copy", "dump"])),
  /** Fork a parent that every user may see, including those of its forks. @default {false} */
  allowOpenParent: v.optional(v.boolean()),
});
type Options = v.InferOutput<typeof options>;

const provider: Provider<Options> = {
  name: "mysql",
  kind: "database",
  title: "MySQL or MariaDB on any server",
  page: "databases.md#mysql-and-mariadb-on-any-server",
  capabilities: {
    copy: "full-copy",
    ownership: "marked-after", // by the second statement of one request: only the server's own end comes between
    outputs: "minted",
    nativeExpiry: false,
    usage: "bytes",
    pointInTime: false,
    outputsExpire: false,
    parentMayBeAbsent: false,
    name: { maxLength: MAX_NAME_LENGTH, pattern: /^[a-z0-9][a-z0-9-]*$/ },
  },
  credentials: [{ variable: VARIABLE, required: true }],
  variables: { DATABASE_URL: { isSecret: true, isIdentity: true } },
  credentialsHint: `a URL of the server, ${FOR_WHOM}`,
  options,
  permissions({ strategy = "dump" }, credentials) {
    const login = server.loginOf(credentials[VARIABLE]?.reveal() ?? "");
    return {
      run: strategy === "dump" ? PROGRAMS.flat().sort() : [],
      net: login === undefined ? [] : [server.placeOf(login)],
    };
  },
  inspect: (context, target) =>
    session(context, `inspect database "${target.name}"`, (query) => inspect(context, query, target)),
  create: (context, target) =>
    session(context, `make database "${target.name}"`, async (query) => {
      assertName(target.name);
      await server.lockDatabase(context, query, target.name);
      return await create(context, query, target);
    }),
  delete: (context, fork) =>
    session(context, `delete database "${fork.name}"`, async (query) => {
      await server.lockDatabase(context, query, fork.name);
      return await remove(context, query, fork);
    }),
  remark: (context, fork) =>
    session(context, `extend database "${fork.name}"`, async (query) => {
      await server.lockDatabase(context, query, fork.name);
      const note = await ownOf(context, query, fork, "extend");
      await query(eventOf("ALTER", fork.name, fork.marker, note));
    }),
  execute: (context, fork, _scope, sql) => execute(context, fork, fork.name, sql),
  reset,
  import: (context, target, source) =>
    session(context, `import into database "${target.name}"`, async (query) => {
      assertName(target.name);
      await server.lockDatabase(context, query, target.name);
      const { importDatabase } = await load<typeof import("./mysql_import.ts")>("providers/database/mysql_import.ts");
      await importDatabase(context, query, { target, source, admin: adminOf(context) });
    }),
  sources: ["file", "mysql:", "mariadb:"],
  async *list(context, scope) {
    const found = await session(context, `list the forks of "${scope.project}"`, async (query) =>
      await query(
        `SELECT EVENT_SCHEMA AS name, EVENT_DEFINITION AS body FROM information_schema.EVENTS WHERE EVENT_NAME = ?
          AND EVENT_SCHEMA NOT LIKE 'forkstack$%'`,
        [MARK],
      ) as Row[]);
    for (const row of found) {
      const marker = databaseMarker(context, row);
      if (marker?.stack === scope.stack && marker.resource === scope.resource) {
        yield databaseFork(row.name, marker, noteOf(row)!);
      }
    }
  },
  async probe(context, held) {
    await session(context, `use database "${held.name}"`, async (query) => {
      await isForkHeld(context, query, held);
      await query(`SHOW FULL TABLES FROM ${backquoted(held.name)}`);
    });
  },
  async outputs(context, held) {
    const what = `use database "${held.name}"`;
    const login = await session(context, what, async (query) => {
      const minted = await isForkHeld(context, query, held) ? await mint(query, held) : {};
      return { ...adminOf(context), ...minted };
    });
    await server.connected(
      context,
      login,
      { what, source: VARIABLE },
      (query) => query(`USE ${backquoted(held.name)}`),
    );
    return { DATABASE_URL: new Secret(server.appUrlOf(login, held.name)) };
  },
  async usage(context, held) {
    const [row] = await session(context, `measure database "${held.name}"`, async (query) => {
      await isForkHeld(context, query, held);
      return await query(
        `SELECT CAST(COALESCE(SUM(DATA_LENGTH + INDEX_LENGTH), 0) AS CHAR) AS size FROM information_schema.TABLES
          WHERE TABLE_SCHEMA = ?`,
        [held.name],
      );
    });
    return { sizeBytes: Number(row.size) };
  },
};
export default provider;

/** Servers and clients of its tests, beside its emulator. */
export const verified: Verified = { servers: ["MariaDB"] };

/** Example of a credential that is a URL, by its variable. */
export const examples: Readonly<Record<string, string>> = { MYSQL_URL: "mysql://admin@db.example:3306" };

/** Connects as the user of MYSQL_URL. Awaits the fence before each statement that changes something. */
async function session<T>(context: Context, what: string, work: (query: MysqlQuery) => Promise<T>): Promise<T> {
  return await server.connected(context, adminOf(context), { what, source: VARIABLE }, async (query) => {
    await query(server.SETTINGS);
    return await work(async (text, values) => {
      if (!READS.test(text)) await context.fence();
      return await query(text, values);
    });
  });
}

/** Pattern for statements that only read, or set something for this connection. */
const READS = /^\s*(SELECT|SET|SHOW|USE|PREPARE)\b/;

function adminOf(context: Context): Login {
  const example = "mysql://admin:...@host:3306";
  return givenLogin(context, { what: "mysql", variables: [VARIABLE], forWhom: FOR_WHOM, example }, server.loginOf);
}

// ---- Looking ----

async function inspect(context: Context, query: MysqlQuery, target: Target<Options>): Promise<Inspection> {
  const { name } = target;
  const row = await look(query, name);
  if (row === undefined) return { state: "absent" };
  const marker = databaseMarker(context, row);
  if (marker === undefined) {
    return { state: "foreign", id: name, reason: await lostMark(context, name, target.marker) };
  }
  const fork = databaseFork(row.name, marker, noteOf(row)!);
  if (!isSameHolder(marker, target.marker)) return others(fork.id, marker);
  return { state: fork.copy === undefined ? "pending" : "ready", fork };
}

/** Returns the fork as it is now; throws if it is somebody else's by now. */
async function ownOf(context: Context, query: MysqlQuery, fork: Fork, verb: string): Promise<Note> {
  const row = await look(query, fork.name);
  const marker = row && databaseMarker(context, row);
  if (row === undefined || marker === undefined) {
    throw foreign(verb, fork.name, await lostMark(context, fork.name, fork.marker));
  }
  const note = noteOf(row)!;
  if (!isSameHolder(marker, fork.marker)) throw foreign(verb, fork.name, holder(marker));
  if (note.id !== fork.id) throw foreign(verb, fork.name, "it is not the fork that was made");
  return note;
}

/** Returns true for a fork; false for a base environment's database, whose id is its name. */
async function isForkHeld(context: Context, query: MysqlQuery, held: Held): Promise<boolean> {
  const row = await look(query, held.name);
  const marker = row && databaseMarker(context, row);
  if (marker !== undefined && noteOf(row!)!.id === held.id) return true;
  if (row !== undefined && marker === undefined && held.id === held.name) return false;
  throw noneOfThisId(held);
}

// ---- Making ----

async function create(context: Context, query: MysqlQuery, target: Target<Options>): Promise<Fork> {
  const { name, marker } = target;
  const seen = await inspect(context, query, target);
  if (seen.state === "foreign" && !await isTakenOver(context, query, target)) throw foreign("make", name, seen.reason);
  const reason = "fork" in seen ? isOthers(seen.fork.marker, marker, "") : undefined;
  if (reason !== undefined) throw foreign("make", name, reason);
  if (seen.state === "ready") return seen.fork;
  const like = await likeParent(query, target);
  const known = "fork" in seen ? seen.fork : undefined;
  const note: Note = {
    id: known?.id ?? randomBytes(8).toString("hex"),
    createdAt: known?.createdAt ?? context.now().toISOString(),
    parent: target.parent,
  };
  if (seen.state === "foreign") await query(eventOf("CREATE", name, marker, note));
  await make(context, query, { name, marker, note, like, isThere: seen.state !== "absent" });
  await context.record("claim", note.id);
  await dropEarlierAccounts(query, { id: note.id, name });
  context.signal.throwIfAborted();
  const whole = await fill(context, query, { target, fork: { id: note.id, name }, made: { name, marker, note } });
  return databaseFork(name, marker, whole);
}

/** Returns true if an empty database without a mark was taken over, since an answer of this run may have been lost. */
async function isTakenOver(
  context: Context,
  query: MysqlQuery,
  { name, isResumed }: Target<Options>,
): Promise<boolean> {
  const row = await look(query, name);
  if (!isResumed || row === undefined || row.body !== null) return false;
  return await context.takeOver(name, name, async () => {
    const [{ n }] = await query(
      `SELECT (SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = ?)
        + (SELECT COUNT(*) FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = ?)
        + (SELECT COUNT(*) FROM information_schema.EVENTS WHERE EVENT_SCHEMA = ?) AS n`,
      [name, name, name],
    );
    return Number(n) === 0;
  });
}

/** Returns the clauses that create a database with its parent's character set; none without a parent. */
async function likeParent(query: MysqlQuery, target: Target<Options>): Promise<string> {
  const { parent } = target;
  if (parent === undefined) return "";
  const [found] = await query(
    `SELECT CONCAT(' CHARACTER SET ', DEFAULT_CHARACTER_SET_NAME, ' COLLATE ', DEFAULT_COLLATION_NAME) AS clauses
      FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ?`,
    [parent],
  );
  if (found !== undefined) return found.clauses;
  throw new ForkstackError("NOT_FOUND", `Cannot fork database "${parent}": the server has none of this name`, {
    hint: `Make it, fork another with --from, or use --empty; or the user in ${VARIABLE} may not see it`,
  });
}

/** A marked database: the fork itself, or one that will replace it. */
interface Made {
  readonly name: string;
  readonly marker: Marker;
  readonly note: Note;
}

/** Creates a database with its mark in one request; drops one of ours that exists. */
async function make(
  context: Context,
  query: MysqlQuery,
  { name, marker, note, like, isThere }: Made & { readonly like: string; readonly isThere: boolean },
): Promise<void> {
  const drop = isThere ? `DROP DATABASE IF EXISTS ${backquoted(name)}; ` : "";
  try {
    await query(
      `${drop}CREATE DATABASE ${backquoted(name)}${like}; ${eventOf("CREATE", name, marker, note)}`,
    );
  } catch (error) {
    if (codeOf(error) !== "1007") throw error;
    await context.refused(name);
    throw foreign("make", name, "somebody else made a database of this name meanwhile");
  }
}

/** Fills a marked database from the target's parent, and marks it as complete. */
async function fill(
  context: Context,
  query: MysqlQuery,
  { target, fork, made: { name, marker, note } }: {
    readonly target: Target<Options>;
    readonly fork: Held;
    readonly made: Made;
  },
): Promise<Note> {
  const { strategy, allowOpenParent } = target.options;
  const admin = adminOf(context);
  const copy = await asOwner(query, admin, { fork, database: name }, async (owner) => {
    const { parent } = target;
    if (parent === undefined) return "empty";
    if (!allowOpenParent) await assertClosed(context, owner, parent);
    return await copied(context, query, admin, { parent, to: name, owner, strategy });
  });
  context.signal.throwIfAborted();
  await query(eventOf("ALTER", name, marker, { ...note, copy }));
  return { ...note, copy };
}

/** Throws if a fork's account can see the parent: somebody gave that right to everybody. */
async function assertClosed(context: Context, login: Login, parent: string): Promise<void> {
  const seen = await server.connected(
    context,
    login,
    { what: `look at database "${parent}"`, source: VARIABLE },
    (query) => query("SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ?", [parent]),
  );
  if (seen.length === 0) return;
  throw new ForkstackError("PARENT_OPEN", `Cannot fork database "${parent}": every user may see it`, {
    hint:
      "Its forks' logins could too. Take the right from everybody: see `SELECT * FROM mysql.db WHERE User IN ('', " +
      "'PUBLIC')`, and `mandatory_roles` of MySQL; or set \"allowOpenParent\": true in forkstack.json",
    details: { provider: "mysql" },
  });
}

// ---- Scripts, removing and resetting ----

/** Runs a script as the fork's own account, which can access nothing else. */
async function execute(context: Context, fork: Fork, database: string, sql: string): Promise<void> {
  const what = `change database "${fork.name}"`;
  await session(context, what, async (query) => {
    await server.lockDatabase(context, query, fork.name);
    await ownOf(context, query, fork, "change");
    await asOwner(
      query,
      adminOf(context),
      { fork, database },
      (owner) =>
        server.connected(context, owner, { what, source: VARIABLE }, async (own) => {
          await own(`USE ${backquoted(database)}`);
          await server.runScript(context, own, sql);
        }),
    );
  });
}

async function remove(context: Context, query: MysqlQuery, fork: Fork): Promise<"deleted" | "absent"> {
  const row = await look(query, fork.name);
  const marker = row && databaseMarker(context, row);
  if (row !== undefined && marker === undefined) {
    throw foreign("delete", fork.name, await lostMark(context, fork.name, fork.marker));
  }
  if (marker !== undefined && !isSameHolder(marker, fork.marker)) throw foreign("delete", fork.name, holder(marker));
  const isThere = row !== undefined && noteOf(row)!.id === fork.id;
  if (ID.test(fork.id)) await dropAside(context, query, fork);
  if (ID.test(fork.id)) await dropAccounts(query, fork.id); // the database is last: as long as it is there, a rerun finds them
  if (!isThere) return "absent";
  await query(`DROP DATABASE IF EXISTS ${backquoted(fork.name)}`);
  return "deleted";
}

/** Returns the name of the database with a fork's next contents; a `$` is in no name of ours. */
function aside({ id }: Pick<Held, "id">): string {
  return `forkstack$new$${id}`;
}

async function dropAside(context: Context, query: MysqlQuery, fork: Held): Promise<void> {
  const row = await look(query, aside(fork));
  if (row === undefined || databaseMarker(context, row) === undefined) return;
  await query(`DROP DATABASE ${backquoted(aside(fork))}`);
  await forget(query, fork, aside(fork));
}

/**
 * Fills another database; `commit` moves its tables into the fork. A fork with an unfinished commit is incomplete until
 * a later one.
 */
async function reset(context: Context, fork: Fork, target: Target<Options>): Promise<Replacement> {
  const locked = <T>(work: (query: MysqlQuery, note: Note) => Promise<T>) =>
    session(context, `reset database "${fork.name}"`, async (query) => {
      await server.lockDatabase(context, query, fork.name);
      return await work(query, await ownOf(context, query, fork, "reset"));
    });
  const fresh = await locked(async (query, { id, createdAt }) => {
    const like = await likeParent(query, target);
    await dropAside(context, query, fork);
    const note: Note = { id, createdAt, parent: target.parent };
    const made = { name: aside(fork), marker: fork.marker, note };
    await make(context, query, { ...made, like, isThere: false });
    return await fill(context, query, { target, fork, made });
  });
  return {
    execute: (sql) => execute(context, fork, aside(fork), sql),
    commit: () =>
      locked(async (query) => await commit(context, query, fork, { fresh, like: await likeParent(query, target) })),
    discard: () => locked((query) => dropAside(context, query, fork)),
  };
}

async function commit(
  context: Context,
  query: MysqlQuery,
  { name, ...fork }: Fork,
  { fresh, like }: { readonly fresh: Note; readonly like: string },
): Promise<Fork> {
  const from = aside(fork);
  const definitions = await definitionsOf(query, from);
  for (const one of definitions) {
    if (one.kind === "TRIGGER") await query(`DROP TRIGGER ${backquoted(from)}.${backquoted(one.name)}`); // else no table moves
  }
  const { copy: _, ...note } = fresh;
  await make(context, query, { name, marker: fork.marker, note, like, isThere: true });
  const tables = await query(
    "SELECT TABLE_NAME AS one FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_TYPE NOT LIKE '%VIEW'",
    [from],
  );
  const moves = tables.map(({ one }) =>
    `${backquoted(from)}.${backquoted(one)} TO ${backquoted(name)}.${backquoted(one)}`
  );
  if (moves.length > 0) await query(`RENAME TABLE ${moves.join(", ")}`);
  await rebaseDefaults(query, name, from);
  await define(context, query, { to: name, owner: ownerOf(fork.id) }, definitions);
  await query(eventOf("ALTER", name, fork.marker, fresh));
  await dropAside(context, query, { ...fork, name });
  return databaseFork(name, fork.marker, fresh);
}

function assertName(name: string): void {
  if (name.length <= MAX_NAME_LENGTH) return;
  throw new ForkstackError("NAME_INVALID", `Cannot make database "${name}": its name has more than 64 characters`, {
    hint: "Choose a shorter name for the environment or the project: MySQL takes 64 characters",
  });
}

function foreign(verb: string, name: string, reason: string): ForkstackError {
  return foreignError({ provider: "mysql", resource: "database" }, `${verb} database "${name}": ${reason}`);
}
