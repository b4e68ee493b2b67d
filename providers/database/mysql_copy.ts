/**
 * Copying a database into another of the same server: rows by the server itself, or by its two programs; tables, views,
 * routines, triggers and events are created again from the server's own statements.
 *
 * - https://dev.mysql.com/doc/refman/8.4/en/lock-tables.html, .../mysqldump.html, .../stored-objects-security.html
 * - https://mariadb.com/docs/server/clients-and-utilities/backup-restore-and-import-clients/mariadb-dump
 */
import type { Context, Copy } from "../../core/provider.ts";
import { pipe, run } from "../../core/system/subprocess.ts";
import { ForkstackError } from "../../mod.ts";
import {
  backquoted,
  codeOf,
  connected,
  isMariaDb,
  type Login,
  MARK,
  mysqlAccount,
  type MysqlQuery,
} from "./mysql_server.ts";
import { SETTINGS, SQL_REASONS } from "./mysql_server.ts";

/** Engines whose tables keep their rows elsewhere: a copy would share them with its parent. */
const ELSEWHERE = ["CONNECT", "FEDERATED", "MRG_MYISAM", "SPIDER"];

/** The way of copying; without one: copy, or dump if somebody is connected to the parent. */
export type Strategy = "copy" | "dump";

/** The source and target of a copy. */
export interface CopySpec {
  readonly parent: string;
  /** The name of an empty database. */
  readonly to: string;
  /** The fork's own account, which becomes the definer of everything that has one. */
  readonly owner: Login;
  readonly strategy: Strategy | undefined;
}

/** Fills a database: creates its tables, and has the server or its two programs copy the rows. */
export async function copied(context: Context, query: MysqlQuery, admin: Login, wanted: CopySpec): Promise<Copy> {
  const { parent, to, owner } = wanted;
  await assertUsable(context, query, parent);
  const strategy = wanted.strategy ?? (await isInUse(query, parent) ? "dump" : "copy");
  if (strategy === "copy") {
    await whileLocked(context, query, { admin, parent }, async (tables) => {
      await makeTables(query, { parent, to, tables });
      await copyRows(context, query, { parent, to, tables });
    });
  } else {
    const programs = await programsOf(query, parent);
    const tables = await tablesOf(query, parent);
    await makeTables(query, { parent, to, tables });
    const [sequences, others] = [tables.filter((one) => one.isSequence), tables.filter((one) => !one.isSequence)];
    if (others.length > 0) await dumped(context, programs, { parent, to, tables: others, admin, owner });
    await copyRows(context, query, { parent, to, tables: sequences }); // none is behind its rows
  }
  await define(context, query, { to, owner: owner.user }, await definitionsOf(query, parent));
  return "full-copy";
}

/** A table, or a sequence of MariaDB. */
interface Table {
  readonly name: string;
  readonly isSequence: boolean;
}

async function tablesOf(query: MysqlQuery, database: string): Promise<Table[]> {
  const rows = await query(
    `SELECT TABLE_NAME AS name, TABLE_TYPE AS type FROM information_schema.TABLES WHERE TABLE_SCHEMA = ?
      AND TABLE_TYPE NOT LIKE '%VIEW' AND COALESCE(ENGINE, '') NOT IN (?) ORDER BY TABLE_NAME`,
    [database, ELSEWHERE],
  );
  return rows.map(({ name, type }) => ({ name, isSequence: type === "SEQUENCE" }));
}

/** Refuses a parent, or warns, if the fork would depend on something outside of it. */
async function assertUsable(context: Context, query: MysqlQuery, parent: string): Promise<void> {
  const found = await query(
    `SELECT TABLE_NAME AS name, UNIQUE_CONSTRAINT_SCHEMA AS other, NULL AS engine
      FROM information_schema.REFERENTIAL_CONSTRAINTS
      WHERE CONSTRAINT_SCHEMA = ? AND UNIQUE_CONSTRAINT_SCHEMA <> CONSTRAINT_SCHEMA
    UNION ALL SELECT TABLE_NAME, NULL, ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND ENGINE IN (?)`,
    [parent, parent, ELSEWHERE],
  );
  for (const { name, other, engine } of found) {
    if (other === null) context.warn(`table "${name}" is not copied: ${engine} keeps its rows elsewhere`);
    else throw unusable(parent, `a foreign key of table "${name}" leads to database "${other}"`);
  }
}

function unusable(parent: string, why: string): ForkstackError {
  return new ForkstackError("PARENT_UNUSABLE", `Cannot fork database "${parent}": ${why}`, {
    hint: "Drop that foreign key, or fork with --empty",
    details: { provider: "mysql" },
  });
}

/**
 * Returns true if somebody is connected to a database, or if that is unknown: other sessions are visible only with
 * PROCESS.
 */
async function isInUse(query: MysqlQuery, database: string): Promise<boolean> {
  try {
    await query("SELECT 1 FROM information_schema.INNODB_TRX LIMIT 1");
  } catch (error) {
    if (codeOf(error) !== "1227") throw error;
    return true;
  }
  return (await query("SHOW PROCESSLIST")).some(({ db }) => db === database);
}

/** Works while nothing in a database changes: others can read, and writers wait. */
async function whileLocked(
  context: Context,
  query: MysqlQuery,
  { admin, parent }: { readonly admin: Login; readonly parent: string },
  work: (tables: readonly Table[]) => Promise<void>,
): Promise<void> {
  const purpose = { what: `lock the tables of database "${parent}"`, source: "MYSQL_URL" };
  await connected(context, admin, purpose, async (holder) => {
    await holder(`${SETTINGS}, lock_wait_timeout = 5`); // writers that come later wait behind us
    for (let attempt = 1;; attempt++) {
      const tables = await tablesOf(query, parent);
      const all = tables.map(({ name }) => `${backquoted(parent)}.${backquoted(name)} READ`);
      try {
        if (all.length > 0) await holder(`LOCK TABLES ${all.join(", ")}`);
      } catch (error) {
        if (!/^(1146|1205)$/.test(codeOf(error))) throw error;
        if (codeOf(error) === "1205") throw busy(parent, "a transaction writes to it");
      }
      if (JSON.stringify(await tablesOf(query, parent)) === JSON.stringify(tables)) return await work(tables);
      if (attempt === 3) throw busy(parent, "its tables change all the time");
      await holder("UNLOCK TABLES");
    }
  });
}

function busy(parent: string, why: string): ForkstackError {
  return new ForkstackError("PARENT_BUSY", `Cannot fork database "${parent}" by copy: ${why}`, {
    hint: 'Wait until that is over, or set "strategy": "dump" in forkstack.json',
    retryable: true,
    details: { provider: "mysql" },
  });
}

/** A copy of tables: their database, and the database that gets them. */
interface TableCopy {
  readonly parent: string;
  readonly to: string;
  readonly tables: readonly Table[];
}

async function makeTables(query: MysqlQuery, { parent, to, tables }: TableCopy): Promise<void> {
  await query(`USE ${backquoted(to)}`);
  for (const { name } of [...tables].sort((a, b) => Number(b.isSequence) - Number(a.isSequence))) {
    const [row] = await query(`SHOW CREATE TABLE ${backquoted(parent)}.${backquoted(name)}`);
    await query(rebased(Object.values(row as Record<string, string>)[1]!, parent, to));
  }
}

/** Replaces the database in a statement of the server, which names it with functions and sequences, by the fork's. */
function rebased(text: string, parent: string, to: string): string {
  const database = escaped(backquoted(parent));
  const called = new RegExp(
    `${database}\\.(?=\`(?:[^\`]|\`\`)*\`\\()|(?<=\\b(?:next|last|set)val\\()${database}\\.`,
    "gi",
  );
  return text.replace(called, () => `${backquoted(to)}.`);
}

async function copyRows(
  context: Context,
  query: MysqlQuery,
  { parent, to, tables }: TableCopy,
): Promise<void> {
  const columns = await query(
    `SELECT TABLE_NAME AS name, COLUMN_NAME AS field FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ?
      AND EXTRA NOT LIKE '%VIRTUAL GENERATED%' AND EXTRA NOT LIKE '%STORED GENERATED%' ORDER BY ORDINAL_POSITION`,
    [parent],
  );
  for (const [n, { name }] of tables.entries()) {
    context.signal.throwIfAborted();
    context.progress(`${n + 1} of ${tables.length} tables`);
    const list = columns.filter((column) => column.name === name).map(({ field }) => backquoted(field)).join(", ");
    const from = `${backquoted(parent)}.${backquoted(name)}`;
    await query(`INSERT INTO ${backquoted(to)}.${backquoted(name)} (${list}) SELECT ${list} FROM ${from}`);
  }
}

/** A view, routine, trigger or event. */
export interface Definition {
  readonly kind: string;
  readonly name: string;
  readonly text: string;
  /** Settings under which it was created. */
  readonly settings: Readonly<Record<string, string>>;
  readonly database: string;
}

/** Lists everything in a database that has a definer, except the mark. */
export async function definitionsOf(query: MysqlQuery, database: string): Promise<Definition[]> {
  await query(`USE ${backquoted(database)}`); // else views are told with the database's name
  const found = await query(
    `SELECT 1 AS n, ROUTINE_TYPE AS kind, ROUTINE_NAME AS name, '' AS place FROM information_schema.ROUTINES
      WHERE ROUTINE_SCHEMA = ?
    UNION ALL SELECT 2, 'VIEW', TABLE_NAME, '' FROM information_schema.VIEWS WHERE TABLE_SCHEMA = ?
    UNION ALL SELECT 3, 'TRIGGER', TRIGGER_NAME, CONCAT(EVENT_OBJECT_TABLE, ' ', LPAD(ACTION_ORDER, 9, '0'))
      FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = ?
    UNION ALL SELECT 4, 'EVENT', EVENT_NAME, '' FROM information_schema.EVENTS
      WHERE EVENT_SCHEMA = ? AND EVENT_NAME <> ?
    ORDER BY n, place, kind, name`,
    [database, database, database, database, MARK],
  );
  const all: Definition[] = [];
  for (const { kind, name } of found) {
    const [row] = await query(`SHOW CREATE ${kind} ${backquoted(name)}`) as Record<string, string | null>[];
    const entries = Object.entries(row!);
    const text = entries.find(([key]) => /^(Create .*|SQL Original Statement)$/.test(key))?.[1];
    if (text == null) throw unseen(kind, name, database);
    const settings = entries.filter(([key]) => /^(sql_mode|collation_connection|time_zone)$/.test(key));
    all.push({ kind, name, text, settings: Object.fromEntries(settings) as Record<string, string>, database });
  }
  return all;
}

function unseen(kind: string, name: string, database: string): ForkstackError {
  const what = `${kind.toLowerCase()} "${name}"`;
  return new ForkstackError("CREDENTIALS_DENIED", `Cannot fork database "${database}": ${what} may not be read`, {
    hint: "Grant SHOW_ROUTINE (MySQL), or SELECT on *.*, to the user in MYSQL_URL",
    details: { provider: "mysql" },
  });
}

/** Codes for a view that refers to something that does not exist (yet), or that its definer may not use. */
const MISSING = /^(1054|1142|1143|1146|1305|1356|1370|4091)$/;

/**
 * Creates definitions in another database with the fork's account as definer, which can access nothing else; in a base
 * environment's, without an owner, with the user of the connection.
 */
export async function define(
  context: Pick<Context, "warn">,
  query: MysqlQuery,
  { to, owner }: { readonly to: string; readonly owner?: string },
  definitions: readonly Definition[],
): Promise<void> {
  if (definitions.length === 0) return;
  await query(`USE ${backquoted(to)}`);
  const make = async (one: Definition) => {
    const settings = Object.entries(one.settings).map(([key, value]) => `${key} = '${value}'`);
    if (settings.length > 0) await query(`SET ${settings.join(", ")}`);
    await query(inNameOf(owner, one, to));
  };
  const of = (kinds: RegExp) => definitions.filter(({ kind }) => kinds.test(kind));
  for (const one of of(/^(FUNCTION|PROCEDURE|PACKAGE.*)$/)) await make(one);
  let left = of(/^VIEW$/);
  for (let count = left.length + 1; left.length < count;) { // views on views
    count = left.length;
    const again: Definition[] = [];
    for (const one of left) if (!await isMade(query, one.name, () => make(one))) again.push(one);
    left = again;
  }
  for (const { name } of left) {
    context.warn(`view "${name}" is not copied: it needs what is not there, or another database`);
  }
  for (const one of of(/^(TRIGGER|EVENT)$/)) await make(one);
  for (const { kind, name, text, database } of definitions) {
    if (kind === "VIEW" || !named(database).test(bodyOf(kind, text))) continue;
    context.warn(`${kind.toLowerCase()} "${name}" names database "${database}", which the fork's login may not use`);
  }
  await query(SETTINGS);
}

/**
 * Creates a view, and has the server check it without running it; a view that cannot be read is dropped. Returns true
 * if it stays.
 */
async function isMade(query: MysqlQuery, name: string, make: () => Promise<void>): Promise<boolean> {
  try {
    await make();
    await query("SET @forkstack_view = ?", [`SELECT 1 FROM ${backquoted(name)}`]);
    await query("PREPARE forkstack_view FROM @forkstack_view");
    return true;
  } catch (error) {
    if (!MISSING.test(codeOf(error))) throw error;
    await query(`DROP VIEW IF EXISTS ${backquoted(name)}`);
    return false;
  }
}

/** Returns a pattern for a database's name before another name, in quotes or without. */
function named(database: string): RegExp {
  const name = escaped(database);
  return new RegExp(`\`${name}\`\\s*\\.|\\b${name}\\.`);
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

/** Pattern for a trigger's head: it may have been created with its database before its names. */
const HEAD = /^[^]*?\bFOR\s+EACH\s+ROW\b/i;

function bodyOf(kind: string, text: string): string {
  return kind === "TRIGGER" ? text.replace(HEAD, "") : text;
}

const IDENTIFIER = '(?:`(?:[^`]|``)*`|"(?:[^"]|"")*"|[^\\s@`"]+)';
const DEFINER = new RegExp(
  `^(CREATE (?:OR REPLACE )?(?:ALGORITHM=\\w+ )?)(?:DEFINER=${IDENTIFIER}(?:@${IDENTIFIER})? )?`,
);

function inNameOf(owner: string | undefined, { kind, text, database }: Definition, to: string): string {
  const own = text.replace(
    DEFINER,
    (_, create) => `${create}DEFINER=${owner === undefined ? "CURRENT_USER" : mysqlAccount(owner)} `,
  );
  if (kind === "VIEW") return rebased(own, database, to);
  if (kind !== "TRIGGER") return own;
  return own.replace(HEAD, (head) => head.replaceAll(`${backquoted(database)}.`, "").replaceAll(` ${database}.`, " "));
}

/** Updates defaults that draw from a sequence of MariaDB: they name it with its former database. */
export async function rebaseDefaults(query: MysqlQuery, database: string, earlier: string): Promise<void> {
  const columns = await query(
    `SELECT TABLE_NAME AS name, COLUMN_NAME AS field, COLUMN_DEFAULT AS text FROM information_schema.COLUMNS
      WHERE TABLE_SCHEMA = ? AND COLUMN_DEFAULT LIKE 'nextval(%'`,
    [database],
  );
  for (const { name, field, text } of columns) {
    const own = text.replace(`${backquoted(earlier)}.`, `${backquoted(database)}.`);
    await query(
      `ALTER TABLE ${backquoted(database)}.${backquoted(name)} ALTER COLUMN ${backquoted(field)} SET DEFAULT ${own}`,
    );
  }
}

// ---- Programs ----

/** The dump program and the client of one maker. */
export interface Programs {
  readonly dump: string;
  readonly client: string;
  readonly isMariaDb: boolean;
}

/** Names of all these programs, for Deno's permissions. */
export const PROGRAMS = [["mysqldump", "mysql"], ["mariadb-dump", "mariadb"]] as const;

/** Returns the programs of the server's own maker, or else the other's. */
export async function programsOf(query: MysqlQuery, parent: string): Promise<Programs> {
  let denied: unknown;
  for (const [dump, client] of await isMariaDb(query) ? [...PROGRAMS].reverse() : PROGRAMS) {
    try {
      const [first, second] = [await run(dump, ["--version"]), await run(client, ["--version"])];
      if (first?.status !== 0 || second?.status !== 0) continue;
      return { dump, client, isMariaDb: /mariadb/i.test(first.stdout) };
    } catch (error) {
      denied ??= error; // Deno may not run it; perhaps the other
    }
  }
  if (denied !== undefined) throw denied;
  throw new ForkstackError("TOOL_MISSING", `Cannot dump database "${parent}": there is no mysqldump with mysql`, {
    hint: 'Install the client programs of MariaDB or MySQL; or set "strategy": "copy" in forkstack.json, by which ' +
      "writers to the parent wait until the copy is done",
    details: { provider: "mysql" },
  });
}

/** Returns the options by which a program reaches the server; both take the same. */
export function placeOptions({ isMariaDb }: Programs, { user, host, port, socket, tls, ca }: Login): string[] {
  const options = ["--no-defaults", `--user=${user}`, "--default-character-set=utf8mb4", "--max-allowed-packet=1G"];
  if (socket === undefined) options.push("--protocol=tcp", `--host=${host}`, `--port=${port}`);
  else options.push("--protocol=socket", `--socket=${socket}`);
  if (isMariaDb) options.push(...MARIADB_TLS[tls]);
  else options.push(`--ssl-mode=${MYSQL_TLS[tls]}`);
  if (ca !== undefined) options.push(`--ssl-ca=${ca}`);
  return options;
}

/** Options for one snapshot, of rows only, as statements that any server accepts. */
const ROWS = [
  "--single-transaction",
  "--quick",
  "--no-create-info",
  "--skip-triggers",
  "--complete-insert",
  "--hex-blob",
  "--skip-comments",
  "--skip-add-locks",
  "--no-tablespaces",
  "--loose-set-gtid-purged=OFF",
  "--loose-column-statistics=0",
];

/**
 * Copies one snapshot of the rows of a parent in use into existing tables. The second program runs as the fork's own
 * login, and `--binary-mode` keeps it from taking anything as a command of its own. Passwords are passed by the
 * environment. https://dev.mysql.com/doc/refman/8.4/en/mysqldump.html#option_mysqldump_single-transaction
 */
async function dumped(
  context: Context,
  programs: Programs,
  { parent, to, tables, admin, owner }: TableCopy & { readonly admin: Login; readonly owner: Login },
): Promise<void> {
  await context.fence();
  const failed = await pipe([
    {
      command: programs.dump,
      args: [...placeOptions(programs, admin), ...ROWS, "--", parent, ...tables.map(({ name }) => name)],
      env: { MYSQL_PWD: admin.password },
    },
    restoring(programs, owner, to),
  ], context.signal);
  if (failed === undefined) return;
  context.signal.throwIfAborted();
  const said = toldReason(failed.stderr, [admin.password, owner.password]);
  throw new ForkstackError("DUMP_FAILED", `Cannot dump database "${parent}": ${failed.command} failed: ${said}`, {
    hint: "Fix what it says, then run the same command again",
    details: { provider: "mysql" },
  });
}

/** Returns the line with the error, without passwords; of a refused statement only the number: the rest quotes rows. */
export function toldReason(stderr: string, secrets: readonly string[]): string {
  const [line = ""] = /^(ERROR \d+|mysql|mariadb).*$/m.exec(stderr) ?? [];
  const [, code] = /^ERROR (\d+)/.exec(line) ?? [];
  if (code !== undefined) return `error ${code}${SQL_REASONS[code] === undefined ? "" : `, ${SQL_REASONS[code]}`}`;
  return secrets.filter(Boolean).reduce((text, one) => text.replaceAll(one, "…"), line.slice(0, 300));
}

const MARIADB_TLS: Readonly<Record<Login["tls"], readonly string[]>> = {
  disable: ["--skip-ssl"],
  prefer: ["--skip-ssl-verify-server-cert"],
  require: ["--ssl", "--skip-ssl-verify-server-cert"],
  "verify-ca": ["--ssl", "--ssl-verify-server-cert"],
  "verify-identity": ["--ssl", "--ssl-verify-server-cert"],
};

const MYSQL_TLS: Readonly<Record<Login["tls"], string>> = {
  disable: "DISABLED",
  prefer: "PREFERRED",
  require: "REQUIRED",
  "verify-ca": "VERIFY_CA",
  "verify-identity": "VERIFY_IDENTITY",
};

/** The client that runs a dump in a database as the login that owns it; nothing in the dump is a command to the client. */
export function restoring(programs: Programs, owner: Login, to: string) {
  return {
    command: programs.client,
    args: [...placeOptions(programs, owner), "--binary-mode", "--batch", `--database=${to}`],
    env: { MYSQL_PWD: owner.password },
  };
}
