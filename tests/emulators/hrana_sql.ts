/**
 * What the emulated libSQL server knows of SQL text, values, conditions and errors: all of it without state.
 */
import { Buffer } from "node:buffer";
import type { DatabaseSync, SQLInputValue, SQLOutputValue } from "node:sqlite";

export type Value =
  | { type: "null" }
  | { type: "integer" | "text"; value: string }
  | { type: "float"; value: number }
  | { type: "blob"; base64: string };
export type Condition =
  | { type: "ok" | "error"; step: number }
  | { type: "not"; cond: Condition }
  | { type: "and" | "or"; conds: Condition[] }
  | { type: "is_autocommit" };

/** Neither: the step was skipped. */
export interface Outcome {
  readonly result?: object;
  readonly error?: StatementError;
}

/** Fails one stream request; the stream goes on. */
export class StatementError extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** Fails the HTTP request and closes the stream. Text is a broken protocol, an object anything else. */
export class RequestError extends Error {
  readonly response: Response;
  constructor(status: number, body: string | object) {
    super("request refused");
    const headers = { "content-type": typeof body === "string" ? "text/plain" : "application/json" };
    this.response = new Response(typeof body === "string" ? body : JSON.stringify(body), { status, headers });
  }
}

// ---- SQL text ----

export interface Statement {
  readonly sql: string;
  readonly verb: string;
  readonly needs: "read" | "write" | "attach" | "unsupported";
  /** Starts by taking the write lock. */
  readonly locks: boolean;
  /** Names by SQLite's numbering, from 0; `undefined` for a plain `?`. */
  readonly params: readonly (string | undefined)[];
}

const TOKEN =
  /--[^\n]*|\/\*[^]*?(?:\*\/|$)|'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|\?\d*|[:@$]?[\p{L}\p{N}_$]+|\S/gu;
const READ = /^(SELECT|VALUES|EXPLAIN|BEGIN|COMMIT|END|ROLLBACK|SAVEPOINT|RELEASE|DETACH)$/;
export const CHANGE = /^(INSERT|REPLACE|UPDATE|DELETE)$/;
const SCHEMA = /^(CREATE|DROP|ALTER)$/;
const TEMPORARY = /^CREATE (TEMP|TEMPORARY|(\S+ )+TEMP \.)/;
const TRIGGER = /^(EXPLAIN )?(QUERY PLAN )?CREATE ((TEMP|TEMPORARY) )?TRIGGER /;
const READ_PRAGMA = /^((table|index)_(list|x?info)|(pragma|database|function|module)_list|compile_options|encoding)$/i;
const WRITE_PRAGMA =
  /^(defer_foreign_keys|foreign_key(s|_list|_check)|(integrity|quick)_check|collation_list|stats|user_version)$/i;
const REFUSED_PRAGMA =
  /^(case_sensitive_like|ignore_check_constraints|incremental_vacuum|optimize|parser_trace|shrink_memory|wal_checkpoint)$/i;

/** Cuts SQL at its semicolons; those inside a trigger's body do not count. */
export function splitSql(sql: string): Statement[] {
  const statements: Statement[] = [];
  let tokens: string[] = [];
  let start = 0;
  for (const { 0: token, index } of [...sql.matchAll(TOKEN), { 0: ";", index: sql.length }]) {
    if (token.startsWith("--") || token.startsWith("/*")) continue;
    const isInBody = token === ";" && index < sql.length && TRIGGER.test(tokens.slice(0, 6).join(" ").toUpperCase()) &&
      !(tokens.at(-2) === ";" && tokens.at(-1)?.toUpperCase() === "END");
    if (token !== ";" || isInBody) tokens.push(token);
    else {
      if (tokens.length > 0) statements.push(classify(sql.slice(start, index).trim(), tokens));
      tokens = [];
      start = index + 1;
    }
  }
  return statements;
}

/** What libsql-server/src/query_analysis.rs allows: not VACUUM, ANALYZE, temporary tables or a file's ATTACH. */
function classify(sql: string, tokens: string[]): Statement {
  const upper = tokens.map((token) => token.toUpperCase());
  const [first, second = "", third] = upper;
  const verb = first === "WITH" ? mainVerb(upper) : first;
  let needs: Statement["needs"] = "unsupported";
  if (CHANGE.test(verb) || (SCHEMA.test(verb) && !TEMPORARY.test(upper.slice(0, 9).join(" ")))) needs = "write";
  else if (READ.test(verb) && !(verb === "EXPLAIN" && upper.includes("PRAGMA"))) needs = "read";
  else if (verb === "ATTACH") {
    needs = [second, third].some((token) => token?.startsWith("'")) ? "unsupported" : "attach";
  } else if (verb === "PRAGMA") {
    if (READ_PRAGMA.test(second)) needs = "read";
    else if (WRITE_PRAGMA.test(second) || (third === undefined && !REFUSED_PRAGMA.test(second))) needs = "write";
  }
  const locks = (needs === "write" && verb !== "PRAGMA") || /^BEGIN (IMMEDIATE|EXCLUSIVE)$/.test(`${verb} ${second}`);
  return { sql, verb, needs, locks, params: numberParams(tokens) };
}

function mainVerb(upper: string[]): string {
  let depth = 0;
  for (const token of upper) {
    if (token === "(") depth++;
    else if (token === ")") depth--;
    else if (depth === 0 && (CHANGE.test(token) || /^(SELECT|VALUES)$/.test(token))) return token;
  }
  return "WITH";
}

function numberParams(tokens: string[]): (string | undefined)[] {
  const params: (string | undefined)[] = [];
  for (const token of tokens) {
    if (/^\?\d+$/.test(token)) {
      const index = Number(token.slice(1)) - 1;
      while (params.length <= index) params.push(undefined);
      params[index] = token;
    } else if (token === "?") params.push(undefined);
    else if (/^[:@$]./.test(token) && !params.includes(token)) params.push(token);
  }
  return params;
}

/** sqld parses a whole program before it runs any of it. */
export function parseSql(connection: DatabaseSync, sql: string): Statement[] {
  const statements = splitSql(sql);
  for (const statement of statements) {
    try {
      if (statement.verb !== "PRAGMA") connection.prepare(statement.sql); // preparing a PRAGMA can execute it
    } catch (error) {
      if (SYNTAX.test((error as Error).message)) throw fromSqlite(error, statement.sql);
    }
    if (statement.needs === "unsupported") {
      const reason = `unsupported statement: ${sql}`;
      throw new StatementError("SQL_PARSE_ERROR", `SQL string could not be parsed: ${reason}`);
    }
  }
  return statements;
}

// ---- Values, conditions, errors ----

export function decodeValue(value: Value): SQLInputValue {
  if (value?.type === "null") return null;
  if (value?.type === "float" && typeof value.value === "number") return value.value;
  if (value?.type === "text" && typeof value.value === "string") return value.value;
  if (value?.type === "blob" && /^[A-Za-z0-9+/]*=*$/.test(value.base64)) {
    return new Uint8Array(Buffer.from(value.base64, "base64"));
  }
  if (value?.type === "integer" && typeof value.value === "string" && /^[+-]?\d+$/.test(value.value)) {
    const integer = BigInt(value.value);
    if (BigInt.asIntN(64, integer) === integer) return integer;
  }
  throw malformed(`invalid value ${JSON.stringify(value)}`);
}

export function encodeValue(value: SQLOutputValue): Value {
  if (value === null) return { type: "null" };
  if (typeof value === "bigint") return { type: "integer", value: value.toString() };
  if (typeof value === "number") return { type: "float", value };
  if (typeof value === "string") return { type: "text", value };
  return { type: "blob", base64: Buffer.from(value).toString("base64").replace(/=+$/, "") };
}

/** As in sqld, a step that was skipped counts as failed. */
export function holds(condition: Condition, outcomes: readonly Outcome[], isAutocommit: boolean): boolean {
  switch (condition.type) {
    case "ok":
    case "error":
      return (outcomes[condition.step].result !== undefined) === (condition.type === "ok");
    case "not":
      return !holds(condition.cond, outcomes, isAutocommit);
    case "and":
      return condition.conds.every((inner) => holds(inner, outcomes, isAutocommit));
    case "or":
      return condition.conds.some((inner) => holds(inner, outcomes, isAutocommit));
    case "is_autocommit":
      return isAutocommit;
  }
}

export function checkCondition(condition: Condition, steps: number, version: number): void {
  switch (condition.type) {
    case "ok":
    case "error":
      if (condition.step >= 0 && condition.step < steps) return;
      throw new RequestError(400, "Invalid reference to step in a batch condition");
    case "not":
      return checkCondition(condition.cond, steps, version);
    case "and":
    case "or":
      return condition.conds.forEach((inner) => checkCondition(inner, steps, version));
    case "is_autocommit":
      if (version >= 3) return;
      throw onlyInVersion3("BatchCond of type `is_autocommit`");
    default:
      throw new RequestError(400, "BatchCond type not recognized");
  }
}

export function onlyInVersion3(what: string): RequestError {
  return new RequestError(400, `${what} is only supported in protocol version hrana3 and higher`);
}

export function malformed(what: string): RequestError {
  return new RequestError(400, `Cannot deserialize client message from JSON: ${what}`);
}

const SQLITE_CODES = Object.fromEntries(
  ("2 INTERNAL 3 PERM 4 ABORT 5 BUSY 6 LOCKED 7 NOMEM 8 READONLY 9 INTERRUPT 10 IOERR 11 CORRUPT 12 NOTFOUND 13 FULL " +
    "14 CANTOPEN 15 PROTOCOL 17 SCHEMA 18 TOOBIG 19 CONSTRAINT 20 MISMATCH 21 MISUSE 23 AUTH 25 RANGE 26 NOTADB")
    .match(/\d+ \w+/g)!.map((pair) => pair.split(" ")),
);
const SYNTAX = /syntax error$|^incomplete input$|^unrecognized token/;
const IN_EXPRESSION = /^(?:no such column|ambiguous column name|no such function): "?([^"\s]+)/;

export function fromSqlite(error: unknown, sql: string): StatementError {
  const { message, errcode = 1 } = error as Error & { errcode?: number };
  if (SYNTAX.test(message)) return new StatementError("SQL_PARSE_ERROR", `SQL string could not be parsed: ${message}`);
  const name = IN_EXPRESSION.exec(message)?.[1];
  if (name) { // node:sqlite does not tell the offset: the first mention is near enough
    return new StatementError("SQL_INPUT_ERROR", `SQL input error: ${message} (at offset ${sql.indexOf(name)})`);
  }
  return new StatementError(`SQLITE_${SQLITE_CODES[errcode & 0xff] ?? "UNKNOWN"}`, `SQLite error: ${message}`);
}
