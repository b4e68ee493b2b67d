/**
 * Checks on the rows of a registry, as untrusted data: a file may have come with a repository, and a server is shared.
 * A row that fails is REGISTRY_DAMAGED; nothing of it becomes a path, a name at a vendor or a statement. Written by
 * hand, because loading valibot would slow down `list`.
 *
 * @module
 */
import { ForkstackError, type Kind, KINDS, resourceTitle } from "../../mod.ts";
import { quoted, shown } from "../text/printable.ts";
import type { SqlRow } from "./sql.ts";
import type { Checkout, Environment, JournalLine, KeptFork, Lock, ResourceRow } from "./records.ts";
import {
  type Check,
  isCopy,
  isEnvName,
  isInstant,
  isKey,
  isLine,
  isOperation,
  isOrigin,
  isPath,
  isWord,
  optional,
} from "../text/field_checks.ts";
import { BASE_ENVS, keyOf } from "../project/project.ts";

/** Returns the name of a row for an error: `environment "alice"`, `database of environment "alice"`. */
type Whose = (row: SqlRow) => string;
/** Checks by column, each with the text that says what a value must be. */
type Columns<Name extends string> = Readonly<Record<Name, readonly [check: Check, must: string]>>;

const oneOf = (list: readonly string[]): Check => (value) => list.includes(value as string);
const isMade: Check = (value) => isEnvName(value) && !BASE_ENVS.includes(value);
const isCount: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 0;

const MADE = [isMade, "the name of an environment that was made"] as const;
const NAMED = [isEnvName, "the name of an environment"] as const;
const TIME = [isInstant, "an instant in RFC 3339"] as const;
const RUN = [isOperation, "the id of a run"] as const;
const LINE = [(value: unknown) => isLine(value), "one line of text"] as const;
const KEY = [isKey, 'a resource such as "database" or "storage.uploads"'] as const;
const maybe = ([check, must]: readonly [Check, string]) => [optional(check), must] as const;

const ENVIRONMENT: Columns<string> = {
  name: MADE,
  parent: NAMED,
  status: [oneOf(["creating", "ready", "deleting", "undoing", "resetting"]), "a status that forkstack knows"],
  owner: LINE,
  operation: RUN,
  created_at: TIME,
  expires_at: maybe(TIME),
  used_at: maybe(TIME),
  origin: [optional(isOrigin), '"empty", an instant or a position in a log'],
};

const RESOURCE: Columns<string> = {
  env: MADE,
  kind: [oneOf(Object.keys(KINDS)), "a kind of resource"],
  name: [optional(isWord), "the name of a resource"],
  key: KEY,
  provider: [isWord, "the name of a provider"],
  title: LINE,
  state: [oneOf(["creating", "ready", "deleting"]), "a state that forkstack knows"],
  operation: RUN,
  id: maybe(LINE),
  parent_id: maybe(LINE),
  fork: [optional(isCopy), "a way of copying"],
  created_at: TIME,
  options: [(value) => optionsOf(value) !== undefined, "a JSON object"],
};

const JOURNAL: Columns<string> = {
  seq: [isCount, "a number"],
  operation: RUN,
  env: NAMED,
  resource: KEY,
  step: LINE,
  phase: [oneOf(["intent", "record", "done", "failed"]), "a phase that forkstack knows"],
  id: maybe(LINE),
  at: TIME,
};

const LOCK: Columns<string> = {
  env: NAMED,
  // What follows the "#" names a file beside the registry.
  owner: [(value) => isLine(value) && /#[\w-]{1,64}$/.test(value), "a holder of a lock"],
  purpose: [isWord, "a purpose"],
  token: [isCount, "a number"],
  beat: [isCount, "a number"],
};

const PATH = [isPath, "an absolute path"] as const;
const CHECKOUT: Columns<string> = {
  host: [(value) => value === "" || isLine(value, 255), "the name of a machine"],
  path: PATH,
  git_dir: maybe(PATH),
  git_branch: maybe(LINE),
  env: NAMED,
  used_at: TIME,
};

const environmentNamed: Whose = ({ name }) => `environment ${quoted(name)}`;
const resourceNamed: Whose = ({ key, env }) => `resource ${quoted(key)} of environment ${quoted(env)}`;
const journalNamed: Whose = ({ seq, env }) =>
  `a line of the journal${seq === undefined ? "" : ` (${seq})`}, of ${quoted(env)}`;
const checkoutNamed: Whose = ({ path }) => `the checkout ${quoted(path)}`;
const lockNamed: Whose = ({ env }) => `the lock of environment ${quoted(env)}`;

function check<Name extends string>(row: SqlRow, columns: Columns<Name>, whose: Whose): void {
  for (const name in columns) {
    const [isRight, must] = columns[name];
    if (!isRight(row[name])) throw damagedRow(row, whose, `its "${name}" is ${quoted(row[name])}, but must be ${must}`);
  }
}

function damagedRow(row: SqlRow, whose: Whose, state: string): ForkstackError {
  return new ForkstackError("REGISTRY_DAMAGED", `Cannot read ${whose(row)} in the registry: ${state}`, {
    hint: FORGET,
    details: { env: namedEnv(row) },
  });
}

/** Returns the environment that a row names, if it is a valid name. */
export function namedEnv(row: SqlRow): string | undefined {
  const env = row.env ?? row.name;
  return isEnvName(env) ? env : undefined;
}

/** The hint for a damaged row. */
export const FORGET =
  "`forkstack doctor --rebuild` forgets such rows and finds what is there by its marks; it touches nothing else";

/** The error for a registry that forkstack did not make, or that is damaged as a whole. */
export function damagedRegistry(state: string, cause?: unknown): ForkstackError {
  return new ForkstackError("REGISTRY_DAMAGED", `Cannot use the registry: ${shown(state)}`, {
    hint: "Move it away; `forkstack doctor --rebuild` finds the environments again from their marks",
    cause,
  });
}

/** Returns an environment from a row; throws REGISTRY_DAMAGED if a column is invalid. */
export function environmentOf(row: SqlRow): Environment {
  check(row, ENVIRONMENT, environmentNamed);
  if (row.parent === row.name) throw damagedRow(row, environmentNamed, "it is its own parent");
  return {
    name: row.name,
    parent: row.parent,
    status: row.status,
    owner: row.owner,
    operation: row.operation,
    createdAt: row.created_at,
    ...given("expiresAt", row.expires_at),
    ...given("usedAt", row.used_at),
    ...given("origin", row.origin),
  } as unknown as Environment;
}

/** Returns a resource from a row of a project; its key and title must follow from its other columns. */
export function resourceOf(row: SqlRow, project: string): ResourceRow {
  check(row, RESOURCE, resourceNamed);
  const [kind, name] = [row.kind as Kind, (row.name ?? undefined) as string | undefined];
  if (row.key !== keyOf(kind, name)) {
    throw damagedRow(row, resourceNamed, `its "key" must be "${keyOf(kind, name)}", as "kind" and "name" say`);
  }
  const title = resourceTitle(kind, project, row.env as string, name);
  if (row.title !== title) {
    throw damagedRow(row, resourceNamed, `its "title" is ${quoted(row.title)}, but must be "${title}"`);
  }
  return {
    env: row.env,
    key: row.key,
    kind,
    ...given("name", row.name),
    provider: row.provider,
    title,
    state: row.state,
    operation: row.operation,
    ...given("id", row.id),
    ...given("parentId", row.parent_id),
    ...given("fork", row.fork),
    createdAt: row.created_at,
    options: optionsOf(row.options),
  } as unknown as ResourceRow;
}

/** Returns a line of the journal from a row. */
export function journalLineOf(row: SqlRow): JournalLine {
  check(row, JOURNAL, journalNamed);
  const { seq, operation, env, resource, step, phase, id, at } = row;
  return { seq, operation, env, resource, step, phase, ...given("id", id), at } as unknown as JournalLine;
}

/** Returns a backup from a row. */
export function keptOf(row: SqlRow): KeptFork {
  const { env, resource, operation, id, at } = row;
  check({ ...row, seq: 0, step: "keep", phase: "done" }, { ...JOURNAL, id: LINE }, journalNamed);
  return { env, resource, operation, id, at } as unknown as KeptFork;
}

/** Returns a run from a row, one that began a resource without an answer. */
export function unansweredOf(row: SqlRow): Pick<JournalLine, "env" | "operation" | "at"> {
  const { env, operation, at } = row;
  check(row, { env: NAMED, operation: RUN, at: TIME }, journalNamed);
  return { env, operation, at } as unknown as Pick<JournalLine, "env" | "operation" | "at">;
}

/** Returns a lock and its holder from a row. */
export function lockOf(row: SqlRow): Lock {
  check(row, LOCK, lockNamed);
  const { env, owner, purpose, token, beat } = row;
  return { env, owner, purpose, token, beat } as unknown as Lock;
}

/** Returns a checkout from a row. */
export function checkoutOf(row: SqlRow): Checkout {
  check(row, CHECKOUT, checkoutNamed);
  const { host, path, git_dir, git_branch, env, used_at: usedAt } = row;
  const where = { ...given("gitDir", git_dir), ...given("gitBranch", git_branch) };
  return { host, path, ...where, env, usedAt } as unknown as Checkout;
}

/** Returns a column as a field; no field if the column is empty. */
function given(name: string, value: unknown): Record<string, unknown> {
  return value === null || value === undefined ? {} : { [name]: value };
}

/** Parses the options of a row; `undefined` if they are no JSON object, or too long. */
function optionsOf(value: unknown): Record<string, unknown> | undefined {
  if (typeof value !== "string" || value.length > 65_536) return undefined;
  try {
    const parsed: unknown = JSON.parse(value);
    return typeof parsed === "object" && parsed !== null && !Array.isArray(parsed)
      ? parsed as Record<string, unknown>
      : undefined;
  } catch {
    return undefined;
  }
}

/** Splits rows into those that pass their check, as objects, and those that fail. */
export function sound<T>(
  rows: readonly SqlRow[],
  check: (row: SqlRow) => T,
): { rows: T[]; damaged: { row: SqlRow; error: ForkstackError }[] } {
  const [passed, damaged]: [T[], { row: SqlRow; error: ForkstackError }[]] = [[], []];
  for (const row of rows) {
    try {
      passed.push(check(row));
    } catch (error) {
      damaged.push({ row, error: error as ForkstackError });
    }
  }
  return { rows: passed, damaged };
}

/** Names of the tables, each with the version of the schema that added it. */
const TABLES = { meta: 1, environments: 1, resources: 1, journal: 1, locks: 1, fence: 1, checkouts: 4 };

/** Rejects any other schema: a view or trigger of a stranger would run in each statement. */
export function checkSchema(schema: readonly SqlRow[], version: number): void {
  const names = schema.filter(({ type }) => type === "table").map(({ name }) => String(name));
  const lacking = Object.entries(TABLES).find(([name, since]) => since <= version && !names.includes(name));
  if (lacking !== undefined) throw damagedRegistry(`it has no table "${lacking[0]}"`);
  for (const { type, name, sql } of schema) {
    const isPlainTable = type === "table" && !/^\s*CREATE\s+VIRTUAL/i.test(String(sql));
    if (isPlainTable || type === "index") continue;
    throw damagedRegistry(
      `it has a ${type === "table" ? "virtual table" : quoted(type)} ${quoted(name)}, which forkstack never makes`,
    );
  }
}

/**
 * Pattern for SQLite's messages about a file that is no database, or has another schema:
 * https://sqlite.org/rescode.html
 */
export const UNREADABLE =
  /not a database|malformed|unsupported file format|no such (table|column)|has no column|is not in (GROUP BY|a table)|datatype mismatch|(NOT NULL|CHECK|UNIQUE|FOREIGN KEY) constraint failed|conflict clause does not match|may not be (modified|indexed)|cannot modify|too big to be represented|too large to be represented/i;

/** Returns REGISTRY_DAMAGED for an error that the registry's contents cause; any other error unchanged. */
export function statementError(error: unknown): unknown {
  const { message = "", code } = error as Error & { code?: string };
  const isSql = /^(ERR_SQLITE_ERROR|ERR_OUT_OF_RANGE|SQL_.*|SQLITE_.*)$/.test(code ?? "") ||
    error instanceof RangeError;
  return isSql && UNREADABLE.test(message) ? damagedRegistry(message, error) : error;
}

/** Returns the name of a lock's holder as shown to people. */
export function holderOf({ owner }: Pick<Lock, "owner">): string {
  return owner.replace(/#[^#]*$/, "");
}
