/**
 * A script run on one SQLite file, and on nothing else: it attaches no other file, writes none, loads no code and ends
 * no transaction. The engine decides where the runtime gives its authorizer (Deno, Bun, Node from 24). Node 22 gives none:
 * there each statement, as the engine cuts them, is admitted by the word that it begins with.
 *
 * - Authorizer: https://sqlite.org/c3ref/set_authorizer.html, https://sqlite.org/c3ref/c_alter_table.html
 * - Pragmas: https://sqlite.org/pragma.html
 */
import type { DatabaseSync } from "node:sqlite";
import { ForkstackError } from "../../mod.ts";

type Authorizer = (code: number, first: string | null, second: string | null) => number;
type Authorizing = DatabaseSync & { setAuthorizer?(authorizer: Authorizer | null): void };

/** The reason why a script failed, with its line. */
export interface Failure {
  readonly message: string;
  readonly hint?: string;
}

/** Runs a script; if a statement fails, all its changes are undone. */
export function runSqliteScript(database: Authorizing, sql: string, hasAuthorizer = "setAuthorizer" in database): void {
  const failure = scriptFailure(database, sql, hasAuthorizer);
  if (failure !== undefined) throw scriptError(failure);
}

/** The error of a failed script. */
export function scriptError({ message, hint }: Failure): ForkstackError {
  return new ForkstackError("SQL_FAILED", message, hint === undefined ? {} : { hint });
}

/**
 * Runs a script; returns the reason of a failure, after which all changes are undone. The engine itself splits the
 * script: so each statement has its line, and Deno's `exec`, whose time grows with the square of a script's length,
 * gets only one at a time.
 *
 * Everything that it needs is inside, because it is run elsewhere by its own text: see `sqlite_thread.ts`.
 */
export function scriptFailure(database: Authorizing, sql: string, hasAuthorizer: boolean): Failure | undefined {
  /** Pragmas that the script may read or set: all affect only the open file, or this connection. */
  const PRAGMAS = new Set(
    ("analysis_limit application_id auto_vacuum cache_size case_sensitive_like collation_list compile_options " +
      "data_version database_list defer_foreign_keys encoding foreign_key_check foreign_key_list foreign_keys " +
      "freelist_count function_list ignore_check_constraints incremental_vacuum index_info index_list index_xinfo " +
      "integrity_check legacy_alter_table max_page_count module_list optimize page_count page_size pragma_list " +
      "quick_check recursive_triggers reverse_unordered_selects secure_delete table_info table_list table_xinfo " +
      "trusted_schema user_version").split(" "),
  );

  /** First words of statements that work on the file only. */
  const ADMITTED = new Set(
    ("ALTER ANALYZE CREATE DELETE DROP INSERT PRAGMA REINDEX RELEASE REPLACE ROLLBACK SAVEPOINT SELECT UPDATE VALUES WITH")
      .split(" "),
  );

  /** The authorizer's codes, which are missing in some runtimes' `constants`. */
  const [PRAGMA, TRANSACTION, ATTACH, DETACH, FUNCTION] = [19, 22, 24, 25, 31];
  const [OK, DENY] = [0, 1];

  const WINDOW = 4_096;

  let refused: string | undefined;
  const authorize: Authorizer = (code, first, second) => {
    refused ??= refusalBy(code, first?.toLowerCase() ?? "", second?.toLowerCase() ?? "");
    return refused === undefined ? OK : DENY;
  };
  const end = sql.indexOf("\0"); // the engine would end there, and say nothing of the rest
  if (end >= 0) {
    return { message: `line ${sql.slice(0, end).split("\n").length}: a NUL is no part of SQL` };
  }
  // No log is left beside a fork that is to be moved.
  database.exec("PRAGMA journal_mode = DELETE; BEGIN IMMEDIATE");
  if (hasAuthorizer) database.setAuthorizer!(authorize);
  let [at, line, counted] = [beginning(sql, 0), 1, 0];
  try {
    while (at < sql.length) {
      for (; counted < at; counted++) if (sql[counted] === "\n") line++;
      refused = hasAuthorizer ? undefined : refusalOf(sql, at);
      if (refused !== undefined) throw new Error(refused);
      const statement = statementAt(database, sql, at, hasAuthorizer);
      database.exec(statement);
      at = beginning(sql, at + statement.length);
    }
  } catch (error) {
    return failureOf(error as Error, sql.slice(at), line, refused);
  } finally {
    if (hasAuthorizer) database.setAuthorizer!(null);
  }
  database.exec("COMMIT");
  return undefined;

  /** Returns what would leave the file, for the engine's next action. `VACUUM`, with or without `INTO`, attaches. */
  function refusalBy(code: number, first: string, second: string): string | undefined {
    if (code === ATTACH) return "ATTACH or VACUUM";
    if (code === DETACH) return "DETACH";
    if (code === TRANSACTION) return first.toUpperCase();
    if (code === FUNCTION && second === "load_extension") return "load_extension()";
    return code === PRAGMA && !PRAGMAS.has(first) ? `PRAGMA ${first}` : undefined;
  }

  /** Returns what may leave the file, by the start of a statement. */
  function refusalOf(sql: string, at: number): string | undefined {
    const word = wordAt(/\w+/y, sql, at)?.[0].toUpperCase() ?? "no verb";
    if (!ADMITTED.has(word)) return word;
    if (word === "ROLLBACK") {
      return wordAt(/ROLLBACK(\s+TRANSACTION(\s+\w+)?)?\s+TO\b/iy, sql, at) === undefined ? word : undefined;
    }
    if (word !== "PRAGMA") return undefined;
    const name = wordAt(/PRAGMA\s+(?:main\s*\.\s*)?(\w+)\b(?!\s*\.)/iy, sql, at)?.[1].toLowerCase() ?? "";
    return PRAGMAS.has(name) ? undefined : `PRAGMA ${name}`.trim();
  }

  function wordAt(pattern: RegExp, sql: string, at: number): RegExpExecArray | undefined {
    pattern.lastIndex = at;
    return pattern.exec(sql) ?? undefined;
  }

  /** Returns the offset of the next statement: after SQLite's white space, comments and empty statements. */
  function beginning(sql: string, from: number): number {
    const idle = /[ \t\n\f\r\uFEFF;]+|--[^\n]*|\/\*[^]*?(?:\*\/|$)/y;
    let at = from;
    for (let match = wordAt(idle, sql, at); match !== undefined; match = wordAt(idle, sql, at)) at += match[0].length;
    return at;
  }

  /**
   * Returns one statement, as the engine splits it. It gets only a part at first, because it would read all of a long
   * script for each statement; a statement that ends before that part does is complete.
   */
  function statementAt(database: DatabaseSync, sql: string, at: number, hasAuthorizer: boolean): string {
    for (let length = WINDOW;; length *= 4) {
      const shown = sql.slice(at, at + length);
      const isRest = at + length >= sql.length;
      try {
        const { sourceSQL } = database.prepare(shown);
        if (isRest || sourceSQL.length < shown.length) return sourceSQL;
      } catch (error) {
        if (!isRest) continue;
        if (hasAuthorizer) return shown; // Deno's `exec` tells where in its first statement the fault is
        throw error;
      }
    }
  }

  /** Returns the failure of a statement. Deno adds the byte offset in the statement to SQLite's own text. */
  function failureOf({ message }: Error, statement: string, line: number, refused: string | undefined): Failure {
    if (refused !== undefined) {
      return {
        message: `line ${line}: ${refused} is refused: a script changes its fork alone`,
        hint: "Take it out. The file is one transaction on one database; docs/databases.md lists what is refused",
      };
    }
    const [, text, offset] = /^(.*?) in [^]* at offset (\d+)$/.exec(message) ?? [, message, "0"];
    const before = new TextDecoder().decode(new TextEncoder().encode(statement).subarray(0, Number(offset)));
    return { message: `line ${line + before.split("\n").length - 1}: ${text}` };
  }
}
