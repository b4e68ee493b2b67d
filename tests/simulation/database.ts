/**
 * The one database that all processes of a run share: real SQLite in memory, wiped between runs, its statements kept
 * prepared.
 */
import { DatabaseSync, type StatementSync } from "node:sqlite";
import type { SqlRow, Statement } from "../../core/state/sql.ts";

const TABLES = ["environments", "resources", "journal", "locks", "fence", "checkouts", "sqlite_sequence"];

/** The database of this thread. */
export class Database {
  readonly #database = new DatabaseSync(":memory:");
  readonly #prepared = new Map<string, StatementSync>();

  /** Runs the statements as one transaction, or reads. */
  run(statements: readonly Statement[], writes: boolean): SqlRow[][] {
    if (!writes) return statements.map((statement) => this.rows(statement));
    this.#database.exec("BEGIN IMMEDIATE");
    try {
      const rows = statements.map((statement) => this.rows(statement));
      this.#database.exec("COMMIT");
      return rows;
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      throw error;
    }
  }

  /** The rows of one statement. */
  rows([sql, ...args]: Statement): SqlRow[] {
    let prepared = this.#prepared.get(sql);
    if (prepared === undefined) this.#prepared.set(sql, prepared = this.#database.prepare(sql));
    return prepared.all(...args) as unknown as SqlRow[];
  }

  /** Forgets everything but the schema. */
  wipe(): void {
    for (const table of TABLES) {
      if (this.rows(["SELECT 1 FROM sqlite_schema WHERE name = ?", table]).length > 0) {
        this.rows([`DELETE FROM ${table}`]);
      }
    }
  }
}
