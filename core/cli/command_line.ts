/** One command line, on its way from argv to an answer. */
import { ForkstackError } from "../../mod.ts";
import type { Registry } from "../state/registry.ts";
import type { ResourceReport } from "../engine/resource_report.ts";
import type { Catalog } from "../catalog.ts";
import type { Arguments } from "./command.ts";
import type { OptionName } from "./command_table.ts";
import type { Style } from "./style.ts";

/** The program around a command: its providers, where text goes, and what interrupts. */
export interface Io {
  readonly catalog: Catalog;
  readonly say: (line: string) => void;
  readonly onProgress: (resource: ResourceReport) => void;
  readonly signal: AbortSignal;
  readonly now: () => Date;
  /** Asks on the terminal; rejects with `CONFIRM_REQUIRED` where there is none, `CANCELLED` if the answer is no. */
  readonly confirm: (question: string) => Promise<void>;
  /** A value from stdin; on a terminal it is asked for, unseen. */
  readonly readSecret: (question: string) => Promise<string>;
  /** Returns true if there is a terminal to ask questions on. */
  readonly mayAsk: () => boolean;
  /** Told how to close what the command opened, for a process that goes on after it. */
  readonly atEnd: (close: () => unknown) => void;
}

/** The result of a command: data for `--json`, text for people. */
export interface CommandResult {
  readonly data: unknown;
  readonly text: (style: Style) => string;
  /** The text is a value as it is: a program gets it byte for byte, where no terminal does. */
  readonly isValue?: boolean;
  /** The error that left the data incomplete: printed after it, and decides the exit code. */
  readonly error?: ForkstackError | undefined;
  /** A check found something: the command ends with 1, though it did what it was to do. @default {false} */
  readonly hasFound?: boolean;
  /** The exit code of a program that ran. It printed its own result, so that nothing more is printed. */
  readonly exitCode?: number;
}

/** The options of a call. */
export type Flags = Readonly<Partial<Record<OptionName, string | boolean | string[]>>>;

/** One command line, parsed. */
export interface Invocation {
  readonly name: string | undefined;
  /** The argument after the name. */
  readonly more: string | undefined;
  /** The arguments after that. */
  readonly rest: readonly string[];
  /** The words after `--`, for a command that runs a program. */
  readonly program: readonly string[];
  readonly flags: Flags;
  readonly io: Io;
}

/** The error for a command line that can't be understood. */
export function usage(message: string, hint: string): ForkstackError {
  return new ForkstackError("USAGE", message, { hint });
}

/** The arguments as help shows them: `<key> [env] < value`. */
export function argumentsText({ labels, input }: Arguments): string {
  return (input === undefined ? labels : [...labels, `< ${input}`]).join(" ");
}

/** Every action with what follows it, in a line. */
export function actionsText(actions: Readonly<Record<string, Arguments>>): string {
  return Object.entries(actions).map(([name, one]) => `${name} ${argumentsText(one)}`).join(", ");
}

/** One line, on any command, when a lease has ended. */
export async function noticeExpired(registry: Registry, io: Io): Promise<void> {
  const names = (await registry.expired(io.now().toISOString())).map(({ name }) => name);
  if (names.length > 0) {
    io.say(`Expired: ${names.join(", ")}. \`forkstack prune\` deletes ${names.length === 1 ? "it" : "them"}`);
  }
}
