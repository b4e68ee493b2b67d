/**
 * The one database that all processes of a run share: real SQLite in memory, wiped between runs, its statements kept
 * prepared. What was read is remembered until a table that it was read from is written to.
 */
import { DatabaseSync, type StatementSync } from "node:sqlite";
import type { SqlRow, Statement } from "../../core/state/sql.ts";

const TABLES = ["environments", "resources", "journal", "locks", "fence", "checkouts", "sqlite_sequence"];
const ALL = ["meta", "sqlite_schema", ...TABLES];

/** A statement, prepared. */
interface Prepared {
  readonly statement: StatementSync;
  /** Tables that a read names, or that a write changes. */
  readonly tables: readonly string[];
  readonly isRead: boolean;
  readonly hasRows: boolean;
  /** Results of reads by their arguments, each with the count of writes before it. */
  readonly known: Map<string, { readonly at: number; readonly rows: SqlRow[] }>;
}

/** The database of this thread. */
export class Database {
  readonly #database = new DatabaseSync(":memory:");
  readonly #prepared = new Map<string, Prepared>();
  /** The last write to each table, by number. */
  readonly #written = new Map(ALL.map((table) => [table, 0]));
  #writes = 0;

  /** Runs the statements as one transaction, or reads. */
  run(statements: readonly Statement[], writes: boolean): SqlRow[][] {
    if (!writes || statements.length === 1) return statements.map((statement) => this.rows(statement));
    this.rows(["BEGIN IMMEDIATE"]);
    try {
      const rows = statements.map((statement) => this.rows(statement));
      this.rows(["COMMIT"]);
      return rows;
    } catch (error) {
      if (this.#database.isTransaction) this.rows(["ROLLBACK"]);
      throw error;
    }
  }

  /** The rows of one statement. */
  rows([sql, ...args]: Statement): SqlRow[] {
    const prepared = this.#prepared.get(sql) ?? this.#prepare(sql);
    if (prepared.isRead) return this.#read(prepared, args);
    const { statement, tables, hasRows } = prepared;
    if (tables.length > 0) this.#writes++;
    for (const table of tables) this.#written.set(table, this.#writes);
    if (hasRows) return statement.all(...args) as unknown as SqlRow[];
    statement.run(...args);
    return [];
  }

  #read({ statement, tables, known }: Prepared, args: Statement[number][]): SqlRow[] {
    const key = args.join("\0");
    const seen = known.get(key);
    if (seen !== undefined && tables.every((table) => this.#written.get(table)! <= seen.at)) return seen.rows;
    const rows = statement.all(...args) as unknown as SqlRow[];
    known.set(key, { at: this.#writes, rows });
    return rows;
  }

  #prepare(sql: string): Prepared {
    const prepared = {
      statement: this.#database.prepare(sql),
      tables: tablesOf(sql),
      isRead: sql.startsWith("SELECT"),
      hasRows: sql.includes("RETURNING"),
      known: new Map(),
    };
    this.#prepared.set(sql, prepared);
    return prepared;
  }

  /** Forgets everything but the schema. */
  wipe(): void {
    for (const { known } of this.#prepared.values()) known.clear();
    const there = new Set(this.rows(["SELECT name FROM sqlite_schema"]).map(({ name }) => name));
    for (const table of TABLES) if (there.has(table)) this.rows([`DELETE FROM ${table}`]);
  }
}

/** Tables that a read names, or that a write changes: all where it does not say, as for what takes writes back. */
function tablesOf(sql: string): readonly string[] {
  if (sql.startsWith("SELECT")) return ALL.filter((table) => new RegExp(`\\b${table}\\b`).test(sql));
  if (/^(BEGIN|COMMIT)/.test(sql)) return [];
  const [, changed] = /^(?:INSERT(?: OR REPLACE)? INTO|UPDATE|DELETE FROM) (\w+)/.exec(sql) ?? [];
  return changed === undefined ? ALL : [changed];
}
