/**
 * Importing into a database of MySQL or MariaDB: another database by its URL, or a dump of `mysqldump`. No change of a
 * schema can be undone there, so the dump is read into a marked database aside, by a login that can access nothing else,
 * and the tables change places in one statement.
 *
 * - https://dev.mysql.com/doc/refman/8.4/en/mysqldump.html, .../rename-table.html, .../mysql-command-options.html
 */
import { createHash, randomBytes } from "node:crypto";
import type { Context, ImportSource, Marker, Target } from "../../core/provider.ts";
import { feed, outputOf } from "../../core/system/subprocess.ts";
import { ForkstackError } from "../../mod.ts";
import { holdsData, refused } from "../_shared/import_errors.ts";
import { foreignError, isSameHolder } from "../_shared/ownership.ts";
import { textLines } from "../_shared/text_lines.ts";
import { asOwner, dropAccounts } from "./mysql_accounts.ts";
import {
  define,
  type Definition,
  definitionsOf,
  placeOptions,
  type Programs,
  programsOf,
  rebaseDefaults,
  restoring,
  toldReason,
} from "./mysql_copy.ts";
import { dumpTextCheck } from "./mysql_dump_text.ts";
import { databaseMarker, eventOf, look, type Note, noteOf } from "./mysql_marks.ts";
import { backquoted, type Login, loginOf, type MysqlQuery } from "./mysql_server.ts";

/** Options of `importDatabase`. */
export interface ImportInto {
  readonly target: Target<unknown>;
  readonly source: ImportSource;
  /** The login of MYSQL_URL. */
  readonly admin: Login;
}

/** Fills a database, which is created if the server has none of its name. `query` holds the lock of that name. */
export async function importDatabase(
  context: Context,
  query: MysqlQuery,
  { target, source, admin }: ImportInto,
): Promise<void> {
  const { name, marker } = target;
  const [fresh, old] = asideNames(name);
  const all: Three = { name, fresh, old };
  const dropAsides = async () => {
    for (const aside of [fresh, old]) await dropAside(context, query, aside, marker);
  };
  const isFilled = await mended(context, query, all, marker) && !source.replace;
  await dropAsides(); // of an import that died
  if (isFilled) return;
  const isThere = await look(query, name) !== undefined;
  if (isThere && !source.replace && !await isEmpty(query, name)) throw holdsData(target, name);
  const note: Note = { id: randomBytes(8).toString("hex"), createdAt: context.now().toISOString() };
  try {
    await query(`CREATE DATABASE ${backquoted(fresh)}; ${eventOf("CREATE", fresh, marker, note)}`);
    const programs = await programsOf(query, name);
    await asOwner(
      query,
      admin,
      { fork: { id: note.id, name: fresh }, database: fresh },
      (owner) => restore(context, programs, { target, source, admin, owner, to: fresh }),
    );
    context.signal.throwIfAborted();
    if (!isThere) await query(`CREATE DATABASE ${backquoted(name)}`);
    await query(`CREATE DATABASE ${backquoted(old)}; ${eventOf("CREATE", old, marker, note)}`);
    await exchange(context, query, all).catch(async (error) => {
      if (!isThere) await query(`DROP DATABASE ${backquoted(name)}`); // it was made above
      throw error;
    });
  } finally {
    // One that could not be put back stays aside, for the next import.
    if (await planOf(context, query, old, marker) === undefined) await dropAsides();
  }
}

/** Names of the databases with the new and the old contents; a `$` is in no name of ours. */
function asideNames(name: string): [fresh: string, old: string] {
  const digest = createHash("sha256").update(name).digest("hex").slice(0, 16);
  return [`forkstack$import$${digest}`, `forkstack$replaced$${digest}`];
}

/** Drops a database aside, with its account, if its mark says that it is one. */
async function dropAside(context: Context, query: MysqlQuery, name: string, marker: Marker): Promise<void> {
  const row = await asideOf(context, query, name, marker);
  if (row === undefined) return;
  await dropAccounts(query, noteOf(row)!.id);
  await query(`DROP DATABASE ${backquoted(name)}`);
}

/** Looks for a database aside; throws if one of its name is not ours. */
async function asideOf(context: Context, query: MysqlQuery, name: string, marker: Marker) {
  const row = await look(query, name);
  if (row === undefined) return undefined;
  const found = databaseMarker(context, row);
  if (found !== undefined && isSameHolder(found, marker)) return row;
  throw foreignError({ provider: "mysql", resource: "database" }, `use database "${name}": it bears no mark of ours`);
}

async function isEmpty(query: MysqlQuery, name: string): Promise<boolean> {
  return (await tablesOf(query, name)).length === 0 && (await definitionsOf(query, name)).length === 0;
}

async function tablesOf(query: MysqlQuery, name: string): Promise<string[]> {
  const rows = await query(
    `SELECT TABLE_NAME AS one FROM information_schema.TABLES
      WHERE TABLE_SCHEMA = ? AND TABLE_TYPE NOT LIKE '%VIEW' AND TABLE_NAME <> ?`,
    [name, PLAN],
  );
  return rows.map(({ one }) => one);
}

/** The databases of an import. */
interface Three {
  readonly name: string;
  readonly fresh: string;
  readonly old: string;
}

/** The table of the plan, in the database with the old contents. */
const PLAN = "forkstack$plan";

function planIn(old: string): string {
  return `${backquoted(old)}.${backquoted(PLAN)}`;
}

/** All that an exchange has to know to be completed, or put back, whenever it was broken off. */
interface Plan {
  /** Views, routines, triggers and events of both contents. */
  readonly before: readonly Definition[];
  readonly after: readonly Definition[];
  /** Tables of both. */
  readonly olds: readonly string[];
  readonly news: readonly string[];
}

/** Reads the plan of an exchange that was begun and has not ended. */
async function planOf(context: Context, query: MysqlQuery, old: string, marker: Marker): Promise<Plan | undefined> {
  if (await asideOf(context, query, old, marker) === undefined) return undefined;
  const [row] = await query(
    "SELECT 1 AS one FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?",
    [
      old,
      PLAN,
    ],
  );
  if (row === undefined) return undefined;
  const [plan] = await query(`SELECT text FROM ${planIn(old)}`);
  return plan && JSON.parse(plan.text);
}

/**
 * Puts the new contents in the place of the old ones. The tables move in one statement; views, routines, triggers and
 * events, which cannot be moved, are made again. On a failure the old ones are put back.
 */
async function exchange(context: Context, query: MysqlQuery, all: Three): Promise<void> {
  const { name, fresh, old } = all;
  const [before, after] = [await definitionsOf(query, name), await definitionsOf(query, fresh)];
  const plan: Plan = { before, after, olds: await tablesOf(query, name), news: await tablesOf(query, fresh) };
  const table = planIn(old);
  await query(`CREATE TABLE ${table} (text LONGTEXT CHARACTER SET utf8mb4)`);
  await context.fence();
  await query(`INSERT INTO ${table} VALUES (?)`, [JSON.stringify(plan)]);
  try {
    for (const [database, definitions] of [[fresh, after], [name, before]] as const) {
      await drop(query, database, definitions.filter(({ kind }) => kind === "TRIGGER")); // else no table moves
    }
    await move(query, [[name, old, plan.olds], [fresh, name, plan.news]]);
    await redefine(context, query, all, plan);
  } catch (error) {
    await drop(query, name, [...before, ...after]);
    if (await isMoved(query, all, plan)) await move(query, [[name, fresh, plan.news], [old, name, plan.olds]]);
    await redefine(context, query, all, plan);
    await query(`DROP TABLE ${table}`);
    throw error;
  }
  await query(`DROP TABLE ${table}`);
}

/**
 * Mends what an import left that died within its exchange: definitions are made again for the tables that stand there
 * now. Returns true if these are the new ones, so that the contents are whole.
 */
async function mended(context: Context, query: MysqlQuery, all: Three, marker: Marker): Promise<boolean> {
  const plan = await planOf(context, query, all.old, marker);
  if (plan === undefined) return false;
  await redefine(context, query, all, plan);
  if (await isMoved(query, all, plan)) return true;
  await query(`DROP TABLE ${planIn(all.old)}`); // before the new tables go, by which it says that nothing moved
  return false;
}

/** Makes the views, routines, triggers and events of the tables that stand there: the new ones, or the old ones. */
async function redefine(context: Context, query: MysqlQuery, all: Three, plan: Plan): Promise<void> {
  const { name, fresh } = all;
  await drop(query, name, [...plan.before, ...plan.after]);
  if (!await isMoved(query, all, plan)) return await define(context, query, { to: name }, plan.before);
  await rebaseDefaults(query, name, fresh);
  await define(context, query, { to: name }, plan.after);
}

async function isMoved(query: MysqlQuery, { name, fresh }: Three, { olds, news }: Plan): Promise<boolean> {
  const [standing, waiting] = [await tablesOf(query, name), await tablesOf(query, fresh)];
  return news.length > 0 ? !news.every((one) => waiting.includes(one)) : !olds.every((one) => standing.includes(one));
}

/** Moves tables between databases, all at once. */
async function move(
  query: MysqlQuery,
  all: readonly (readonly [from: string, to: string, tables: readonly string[]])[],
): Promise<void> {
  const moves = all.flatMap(([from, to, tables]) =>
    tables.map((table) => `${backquoted(from)}.${backquoted(table)} TO ${backquoted(to)}.${backquoted(table)}`)
  );
  if (moves.length > 0) await query(`RENAME TABLE ${moves.join(", ")}`);
}

async function drop(query: MysqlQuery, database: string, definitions: readonly Definition[]): Promise<void> {
  for (const { kind, name } of definitions) {
    await query(`DROP ${kind} IF EXISTS ${backquoted(database)}.${backquoted(name)}`);
  }
}

/** Names of other accounts, which the login of the import may not act for: where a dump's own line begins with them. */
const DEFINER =
  /^((?:\/\*!\d+ )?(?:CREATE *(?:\*\/ \/\*!\d+ )?(?:OR REPLACE )?(?:ALGORITHM ?= ?\w+ )?)?)DEFINER ?= ?(?:`(?:[^`]|``)*`|'[^']*'|\w+)@(?:`(?:[^`]|``)*`|'[^']*'|[\w.%]+)/;
/** Settings of a whole server that dumps begin with, and MariaDB's sandbox, which clients of MySQL do not know. */
const LEFT_OUT =
  /^(?:SET @@(?:GLOBAL\.GTID_PURGED|SESSION\.SQL_LOG_BIN)|SET @MYSQLDUMP_TEMP_LOG_BIN|\/\*M?!999999\\- )/i;

/**
 * Leaves the names of other accounts out of a dump; the rows of tables stay as they are. Text that is not in the dump's
 * encoding is IMPORT_REFUSED.
 */
async function* importable(pieces: AsyncIterable<string>): AsyncGenerator<string, void> {
  const check = dumpTextCheck();
  for await (const lines of textLines(pieces)) {
    lines.forEach(check);
    yield lines.map((line) => LEFT_OUT.test(line) ? "\n" : line.replace(DEFINER, "$1")).join("");
  }
}

/**
 * Runs a dump in the database aside. `--binary-mode` keeps the client from obeying commands in it; another database
 * that it names is closed to this login.
 */
async function restore(
  context: Context,
  programs: Programs,
  { target, source, admin, owner, to }: ImportInto & { readonly owner: Login; readonly to: string },
): Promise<void> {
  await context.fence();
  const failed = await feed(
    restoring(programs, owner, to),
    importable(dumpOf(context, programs, { target, source, admin })),
    context.signal,
  );
  context.signal.throwIfAborted();
  if (failed === undefined) return;
  const said = toldReason(failed.stderr, [owner.password]);
  throw new ForkstackError("IMPORT_REFUSED", `Cannot restore the data: ${said}`, {
    hint: "Dump one database, without --databases, and without what needs more rights than its own",
    details: { provider: "mysql" },
  });
}

/** Yields a dump, one character a byte. */
async function* dumpOf(
  context: Context,
  programs: Programs,
  { target, source: { path, url }, admin }: ImportInto,
): AsyncGenerator<string, void> {
  if (url === undefined) {
    const { createReadStream } = await import("node:fs");
    return yield* createReadStream(path!, { encoding: "latin1" });
  }
  const login = loginOf(url.reveal());
  const database = decodeURIComponent(new URL(url.reveal()).pathname.slice(1));
  if (login === undefined || database === "") {
    throw refused(target, "it is no URL like mysql://user:…@host:3306/database");
  }
  if (login.host === admin.host && login.port === admin.port && database === target.name) {
    throw refused(target, "the URL leads to dev itself");
  }
  const failed = yield* outputOf(
    {
      command: programs.dump,
      args: [...placeOptions(programs, login), ...WHOLE, "--", database],
      env: { MYSQL_PWD: login.password },
    },
    context.signal,
  );
  if (failed === undefined) return;
  context.signal.throwIfAborted();
  const said = toldReason(failed.stderr, [login.password]);
  throw new ForkstackError("DUMP_FAILED", `Cannot read the data: ${programs.dump} failed: ${said}`, {
    hint: "Fix what it says, then run the same command again",
    details: { provider: "mysql" },
  });
}

/** Options for one snapshot of a whole database. */
const WHOLE = [
  "--single-transaction",
  "--quick",
  "--routines",
  "--triggers",
  "--events",
  "--hex-blob",
  "--skip-comments",
  "--skip-add-locks",
  "--no-tablespaces",
  "--loose-set-gtid-purged=OFF",
  "--loose-column-statistics=0",
];
