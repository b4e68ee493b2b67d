/**
 * The commands: what each takes, and the file that runs it, loaded when it does. They give data and text; `cli.ts` prints.
 *
 * @module
 */
import { ForkstackError } from "../mod.ts";
import type * as output from "./output.ts";
import type { ResourceReport } from "./report.ts";

/** Where text goes, and what interrupts. */
export interface Io {
  readonly say: (line: string) => void;
  readonly onProgress: (resource: ResourceReport) => void;
  readonly signal: AbortSignal;
  readonly now: () => Date;
  /** Asks on the terminal; rejects with `CONFIRM_REQUIRED` where there is none, `CANCELLED` if the answer is no. */
  readonly confirm: (question: string) => Promise<void>;
}

/** What each option means; a command names those that it takes. */
export const OPTIONS = {
  "from": { type: "string", help: "fork this environment instead of the default parent", value: "<env>" },
  "ttl": { type: "string", help: "how long it may live: 90m, 12h, 3d or 2w", value: "<time>" },
  "idle": { type: "string", help: "those not switched to for this long, not the expired ones", value: "<time>" },
  "fix": { type: "boolean", help: "mend what is safe to mend" },
  "rebuild": { type: "boolean", help: "find the environments again by their marks, where the registry was lost" },
  "empty": { type: "boolean", help: "start without the parent's data" },
  "no-switch": { type: "boolean", help: "leave the current environment as it is" },
  "dry-run": { type: "boolean", help: "print what would be done, and change nothing" },
  "yes": { type: "boolean", short: "y", help: "do not ask" },
  "json": { type: "boolean", help: "one JSON document on stdout" },
  "no-color": { type: "boolean", help: "plain text" },
  "help": { type: "boolean", short: "h", help: "this text" },
} as const;

/** An option's name without its dashes. */
export type OptionName = keyof typeof OPTIONS;
/** The options of a call. */
export type Flags = Readonly<Partial<Record<OptionName, string | boolean>>>;

/** What a command gives back: data for `--json`, text for people. */
export interface Answer {
  readonly data: unknown;
  readonly text: (style: output.Style) => string;
}

/** One command line, parsed. */
export interface Call {
  readonly name: string | undefined;
  /** What follows the name. */
  readonly more: string | undefined;
  readonly flags: Flags;
  readonly io: Io;
}

/** One command. */
export interface Command {
  readonly summary: string;
  readonly arguments?: readonly string[];
  readonly example: string;
  readonly options: readonly OptionName[];
  readonly run: (call: Call) => Promise<Answer>;
}

/** Every command, in the order of the help. */
export const COMMANDS: Readonly<Record<string, Command>> = {
  new: {
    summary: "make an environment with a copy of the whole stack, and switch to it",
    arguments: ["[name]"],
    example: "new alice",
    options: ["from", "ttl", "empty", "no-switch", "dry-run"],
    run: async (call) => await (await import("./commands/new.ts")).runNew(call),
  },
  switch: {
    summary: "point this directory at another environment",
    arguments: ["<name>"],
    example: "switch alice",
    options: ["dry-run"],
    run: async (call) => await (await import("./commands/switch.ts")).runSwitch(call),
  },
  delete: {
    summary: "take an environment away, with everything it holds",
    arguments: ["<name>"],
    example: "delete alice --yes",
    options: ["dry-run"],
    run: async (call) => await (await import("./commands/delete.ts")).runDelete(call),
  },
  reset: {
    summary: "fork an environment again from its parent, under the same names",
    arguments: ["<name>"],
    example: "reset alice",
    options: ["dry-run"],
    run: async (call) => await (await import("./commands/reset.ts")).runReset(call),
  },
  extend: {
    summary: "let an environment live longer",
    arguments: ["<name>", "<time>"],
    example: "extend alice 2d",
    options: [],
    run: async (call) => await (await import("./commands/lease.ts")).runExtend(call),
  },
  prune: {
    summary: "delete the environments whose lease has ended",
    example: "prune --dry-run",
    options: ["idle", "dry-run"],
    run: async (call) => await (await import("./commands/lease.ts")).runPrune(call),
  },
  doctor: {
    summary: "show what is unfinished, orphaned, drifted, expired or foreign, and how to mend it",
    example: "doctor",
    options: ["fix", "rebuild", "dry-run"],
    run: async (call) => await (await import("./commands/doctor.ts")).runDoctor(call),
  },
  list: {
    summary: "show the environments",
    example: "list",
    options: [],
    run: async (call) => await (await import("./commands/show.ts")).runList(call),
  },
  status: {
    summary: "show one environment with its resources",
    arguments: ["[name]"],
    example: "status alice",
    options: [],
    run: async (call) => await (await import("./commands/show.ts")).runStatus(call),
  },
};

/** Options of every command. */
export const COMMON: readonly OptionName[] = ["yes", "json", "no-color", "help"];

/** The error for a command line that can't be understood. */
export function usage(message: string, hint: string): ForkstackError {
  return new ForkstackError("USAGE", message, { hint });
}
