/** One use of a database by a tool, as the tool's users write it. */

/** The outcome of a form that many write. */
export type Outcome = "an error" | "another file";

/** A tool that opens the database of an environment. */
export interface Use {
  readonly tool: string;
  readonly database: "SQLite" | "PostgreSQL";
  /** The line that users write, in one of `files`. */
  readonly line: string;
  /** The template in `variables` of forkstack.json that the line needs. */
  readonly variable?: readonly [name: string, template: string];
  /** Forms in place of `line` that many write, each with what comes of it. @default {none} */
  readonly wrong?: readonly (readonly [line: string, outcome: Outcome])[];
  /** Files of the program, by path. */
  readonly files: Readonly<Record<string, string>>;
  /** The program that adds a note with the text `"added"`. */
  readonly command: readonly string[];
  /** A key of the language's packages. @default {none} */
  readonly packages?: string;
  /** Packages are many, or something is compiled: it runs at full size only. @default {false} */
  readonly isLong?: boolean;
}
