/**
 * The parts of a command that start-up, help and completion read.
 *
 * @module
 */
import type { ExitCode } from "./error_codes.ts";

/** One option. */
export interface Option {
  readonly type: "string" | "boolean";
  readonly help: string;
  /** The label of its value, e.g. `"<env>"`. */
  readonly value?: string;
  /** One letter. */
  readonly short?: string;
  /** It may be given several times. */
  readonly multiple?: true;
  /** The default of an option that takes a value. */
  readonly default?: string;
}

/** The arguments of a command. */
export interface Arguments {
  /** By place, as the synopsis shows them: `["<env>", "<time>"]`. */
  readonly labels: readonly string[];
  /** The least number of arguments. */
  readonly min: number;
  /** The largest number of arguments. */
  readonly max: number;
  /** The values that the last of them can have, each with a few words. */
  readonly choices?: Readonly<Record<string, string>>;
  /** Its environment is never `dev` or `prod`. */
  readonly withoutBases?: true;
  /** The name of what is read from stdin, e.g. `"value"`. */
  readonly input?: string;
}

/** The groups of the overview, in their order. */
export const GROUPS = ["environments", "data", "team", "project"] as const;

/** One command in short. */
export interface Command<OptionName extends string = string> {
  readonly group: typeof GROUPS[number];
  /** A clause without a full stop, at most 46 characters: it stands in the overview. */
  readonly summary: string;
  /** Further commands on its line of the overview, and a summary of them all. @default {a line of its own} */
  readonly row?: { readonly with: readonly string[]; readonly summary: string };
  readonly arguments?: Arguments;
  /** Actions that the first argument names, each with its own arguments. */
  readonly actions?: Readonly<Record<string, Arguments>>;
  /** A command line without the program's name. */
  readonly example: string;
  readonly options: readonly OptionName[];
  /** Common options that change nothing for it: accepted, and listed nowhere. */
  readonly without?: readonly ("yes" | "json")[];
  /** It runs what follows `--`, word for word. */
  readonly runsProgram?: true;
}

/** The page of one command. */
export interface Page {
  /** The meaning of each argument, by its label. */
  readonly meanings?: Readonly<Record<string, string>>;
  /** The description, in paragraphs; one that is indented is code. */
  readonly about: readonly string[];
  /** Command lines, each with what it does. */
  readonly examples: readonly (readonly [line: string, what: string])[];
  /** The exit codes that it can end with beside 0, 2 and 130; an empty text is that of `EXIT_CODES`. */
  readonly exits?: Readonly<{ [Code in ExitCode]?: string }>;
  /** Files and variables that it reads or writes; in a command's file an empty text is that of `SHARED_FILES`. */
  readonly files?: Readonly<Record<string, string>>;
  /** Other commands, and pages of the documentation. */
  readonly seeAlso: readonly string[];
}
