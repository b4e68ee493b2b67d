/**
 * A script of many statements, run in one transaction. The error of a statement names its line, without values: the
 * server's own message may quote the very data that the script is to remove.
 */
import type { Context } from "../../core/provider.ts";
import { ForkstackError } from "../../mod.ts";
import { type PostgresLogin, type Purpose, sqlStateOf, withPostgres } from "./postgres.ts";

/** A statement of a script. */
export interface ScriptStatement {
  readonly text: string;
  /** The line where it begins, from 1. */
  readonly line: number;
}

/** Runs a script; if a statement fails, all its changes are undone. */
export async function runPostgresScript(
  context: Pick<Context, "signal" | "fence">,
  login: PostgresLogin,
  purpose: Purpose,
  sql: string,
): Promise<void> {
  const statements = fitStatements(sql, 1, purpose);
  await withPostgres(context, login, purpose, async (query) => {
    await context.fence();
    await query("BEGIN");
    for (const one of statements) {
      context.signal.throwIfAborted();
      await query(one.text).catch((error) => {
        throw postgresScriptError(error, one, purpose);
      });
    }
    await context.fence();
    const end = { text: "", line: statements.at(-1)?.line ?? 1 };
    await query("COMMIT").catch((error) => { // what is deferred is checked here
      throw postgresScriptError(error, end, purpose);
    });
  });
}

/**
 * Splits a script that begins at a line of a file.
 *
 * @throws {ForkstackError} SQL_FAILED for a command of `psql`, or a statement that cannot run in a transaction of ours.
 */
export function fitStatements(sql: string, line: number, purpose: Purpose): ScriptStatement[] {
  const found = postgresStatements(sql).map((one) => ({ ...one, line: one.line + line - 1 }));
  for (const one of found) refuseUnfit(one, purpose);
  return found;
}

/** Throws for a statement that would end the transaction, or that is no SQL. */
function refuseUnfit({ text, line }: ScriptStatement, { provider }: Purpose): void {
  const plain = text.replace(/--[^\n]*|\/\*[^]*?\*\//g, " ").trim();
  const isCommand = plain.startsWith("\\");
  const isCopy = /^COPY\b/i.test(plain) && /\bFROM\s+STDIN\b/i.test(plain);
  const isEnd = /^(BEGIN|COMMIT|END|ABORT|START\s+TRANSACTION|PREPARE\s+TRANSACTION|ROLLBACK)\b/i.test(plain) &&
    !/^ROLLBACK\s+((WORK|TRANSACTION)\s+)?TO\b/i.test(plain);
  const refused = (why: string, hint: string) =>
    new ForkstackError("SQL_FAILED", `line ${line}: ${why}`, { hint, details: { provider } });
  if (isCommand) throw refused("it is a command of psql", "Keep only SQL in the file: psql does not run it");
  if (isCopy) throw refused("it reads rows that follow in the file", "Use INSERT in its place");
  if (!isEnd) return;
  const hint = "Take it out: the whole file is one transaction; savepoints may be set";
  throw refused("it begins or ends a transaction", hint);
}

/** Texts for the commonest errors of data. https://www.postgresql.org/docs/18/errcodes-appendix.html */
const STATES: Readonly<Record<string, string>> = {
  "22001": "a value is too long",
  "22003": "a number is out of range",
  "22012": "a division by zero",
  "22P02": "a value does not fit its type",
  "23502": "a NULL where none may be",
  "23503": "a foreign key is violated",
  "23505": "a unique constraint is violated",
  "23514": "a check constraint is violated",
  "25001": "it can't run in a transaction",
  P0001: "it raised an exception",
};

/** Returns the error of a statement that the server refused; any other error unchanged. */
export function postgresScriptError(error: unknown, { text, line }: ScriptStatement, { provider }: Purpose): unknown {
  const state = sqlStateOf(error);
  if (!/^[0-9A-Z]{5}$/.test(state) || /^(08|40|53|55|57|58)/.test(state)) return error;
  const said = error as Readonly<Record<string, string | undefined>>;
  // Class 42 quotes the script itself, unless a function put the statement together.
  const isOwnText = state.startsWith("42") && said.where === undefined;
  const why = isOwnText ? said.message : STATES[state] ?? "the server refused it";
  const places = ["table", "column", "constraint"].flatMap((kind) => {
    const name = said[`${kind}_name`];
    return name === undefined ? [] : [`${kind} "${name}"`];
  });
  const before = [...text].slice(0, Math.max(0, Number(said.position ?? 1) - 1));
  const at = line + before.filter((character) => character === "\n").length;
  const cause = [`SQLSTATE ${state}`, ...places].join(", ");
  return new ForkstackError("SQL_FAILED", `line ${at}: ${why} (${cause})`, {
    hint: "Fix the script, then run the same command again; nothing of it was kept",
    details: { provider },
  });
}

const TOKEN =
  /--[^\n]*|\/\*|[eE]'(?:[^'\\]+|\\[^]|'')*'|'[^']*'|"[^"]*"|\$([a-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$[^]*?\$\1\$|[a-z_\u0080-\uffff][\w$\u0080-\uffff]*|[^]/gi;

/** Splits a script as psql does: at each `;` outside of quotes, comments, parentheses and the body of a function. */
export function postgresStatements(sql: string): ScriptStatement[] {
  const script = sql.replace(/^\uFEFF/, "");
  const found: ScriptStatement[] = [];
  let began: number | undefined; // where the statement's first token stands
  let words: string[] = [];
  let parentheses = 0;
  let blocks = 0;
  let line = 1;
  let counted = 0;
  const end = (at: number) => {
    if (began !== undefined) {
      for (; counted < began; counted++) if (script[counted] === "\n") line++;
      found.push({ text: script.slice(began, at), line });
    }
    [began, words, parentheses, blocks] = [undefined, [], 0, 0];
  };
  TOKEN.lastIndex = 0;
  for (let match = TOKEN.exec(script); match !== null; match = TOKEN.exec(script)) {
    const [token] = match;
    if (token === "/*") {
      TOKEN.lastIndex = endOfComment(script, match.index);
      continue;
    }
    if (token.startsWith("--") || /^\s$/.test(token)) continue;
    if (token === ";" && parentheses === 0 && blocks === 0) {
      end(match.index);
      continue;
    }
    began ??= match.index;
    if (token === "(") parentheses++;
    else if (token === ")") parentheses = Math.max(0, parentheses - 1);
    else if (/^\w/.test(token)) {
      const word = token.toUpperCase();
      if (words.length < 4) words.push(word);
      if (!/^CREATE (OR REPLACE )?(FUNCTION|PROCEDURE)\b/.test(words.join(" ")) || parentheses > 0) continue;
      if (word === "BEGIN" || (word === "CASE" && blocks > 0)) blocks++;
      else if (word === "END" && blocks > 0) blocks--;
    }
  }
  end(script.length);
  return found;
}

/** Returns the end of a comment; comments can be nested. */
function endOfComment(script: string, at: number): number {
  const edge = /\/\*|\*\//g;
  edge.lastIndex = at;
  let depth = 0;
  for (let match = edge.exec(script); match !== null; match = edge.exec(script)) {
    depth += match[0] === "/*" ? 1 : -1;
    if (depth === 0) return edge.lastIndex;
  }
  return script.length;
}
