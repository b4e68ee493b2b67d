/** One command line, on its way from argv to an answer. */
import { ForkstackError } from "../../mod.ts";
import type * as output from "../output.ts";
import type { Registry } from "../registry.ts";
import type { ResourceReport } from "../report.ts";

/** Where text goes, and what interrupts. */
export interface Io {
  readonly say: (line: string) => void;
  readonly onProgress: (resource: ResourceReport) => void;
  readonly signal: AbortSignal;
  readonly now: () => Date;
  /** Asks on the terminal; rejects with `CONFIRM_REQUIRED` where there is none, `CANCELLED` if the answer is no. */
  readonly confirm: (question: string) => Promise<void>;
  /** A value from stdin; on a terminal it is asked for, unseen. */
  readonly readSecret: (question: string) => Promise<string>;
  /** Whether a person is there to be asked. */
  readonly mayAsk: () => boolean;
  /** Told how to close what the command opened, for a process that goes on after it. */
  readonly atEnd: (close: () => unknown) => void;
}

/** What each option means; a command names those that it takes. */
export const OPTIONS = {
  "from": { type: "string", help: "fork this environment instead of the default parent", value: "<env>" },
  "at": { type: "string", help: "as the parent was then: 2026-11-20T10:00:00Z, 2h (ago), or an LSN", value: "<point>" },
  "ttl": { type: "string", help: "how long it may live: 90m, 12h, 3d or 2w", value: "<time>" },
  "idle": { type: "string", help: "those not switched to for this long, not the expired ones", value: "<time>" },
  "fix": { type: "boolean", help: "mend what is safe to mend" },
  "rebuild": { type: "boolean", help: "find the environments again by their marks, where the registry was lost" },
  "adopt": { type: "boolean", help: "also what another registry made, which was lost" },
  "if-exists": { type: "boolean", help: "it is no error that there is no such environment" },
  "port": { type: "string", help: "listen there instead of the port of forkstack.json", value: "<port>" },
  "cors": {
    type: "string",
    multiple: true,
    help: "let pages of this origin read the buckets, in a browser; several times",
    value: "<origin>",
  },
  "stack": { type: "string", help: "what it is made of: sqlite-local, neon-s3-vault, ...", value: "<stack>" },
  "project": { type: "string", help: "what the project is called", value: "<project>" },
  "set": {
    type: "string",
    multiple: true,
    help: "an option of forkstack.json: database.organization=acme; several times",
    value: "<key=value>",
  },
  "empty": { type: "boolean", help: "start without the parent's data" },
  "no-switch": { type: "boolean", help: "leave the current environment as it is" },
  "dry-run": { type: "boolean", help: "print what would be done, and change nothing" },
  "purge": { type: "boolean", help: "keep no backup, and take earlier ones away" },
  "reveal": { type: "boolean", help: "show the values" },
  "resource": { type: "string", help: "which one, where the stack has several", value: "<resource>" },
  "secrets": { type: "boolean", help: "with the environment's secrets as variables, too" },
  "revoke": { type: "boolean", help: "take back all that was trusted of this project" },
  "yes": { type: "boolean", short: "y", help: "do not ask" },
  "json": { type: "boolean", help: "one JSON document on stdout" },
  "no-color": { type: "boolean", help: "plain text" },
  "help": { type: "boolean", short: "h", help: "this text" },
} as const;

/** An option's name without its dashes. */
export type OptionName = keyof typeof OPTIONS;
/** The options of a call. */
export type Flags = Readonly<Partial<Record<OptionName, string | boolean | string[]>>>;

/** What a command gives back: data for `--json`, text for people. */
export interface Answer {
  readonly data: unknown;
  readonly text: (style: output.Style) => string;
  /** The text is a value as it is: a program gets it byte for byte, where no terminal does. */
  readonly isValue?: boolean;
  /** Why the data is not all of it: told after it, and the exit code is its. */
  readonly error?: ForkstackError | undefined;
  /** A check found something: the command ends with 1, though it did what it was to do. @default {false} */
  readonly hasFound?: boolean;
  /** Of a program that has run: it has said what there was to say, and nothing is printed. */
  readonly exitCode?: number;
}

/** One command line, parsed. */
export interface Call {
  readonly name: string | undefined;
  /** What follows the name. */
  readonly more: string | undefined;
  /** What follows that. */
  readonly rest: readonly string[];
  /** What follows `--`, for a command that runs a program. */
  readonly program: readonly string[];
  readonly flags: Flags;
  readonly io: Io;
}

/** The error for a command line that can't be understood. */
export function usage(message: string, hint: string): ForkstackError {
  return new ForkstackError("USAGE", message, { hint });
}

/** One line, on any command, when a lease has ended. */
export async function noticeExpired(registry: Registry, io: Io): Promise<void> {
  const names = (await registry.expired(io.now().toISOString())).map(({ name }) => name);
  if (names.length > 0) {
    io.say(`Expired: ${names.join(", ")}. \`forkstack prune\` deletes ${names.length === 1 ? "it" : "them"}`);
  }
}
