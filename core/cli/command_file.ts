/**
 * The description of a command, in its file in commands/. `deno task gen` writes from all of them the table that start-up reads,
 * the pages of help, the tasks, and the list that compilers need; nothing of a command is said in another place.
 *
 * @module
 */
import type { Task } from "../project/task.ts";
import type { Command, Option, Page } from "./command.ts";
import type { CommandResult, Invocation } from "./command_line.ts";
import type { SHARED_OPTIONS } from "./shared.ts";

/** One command: everything that is said of it, and what runs it. */
export interface CommandFile extends Page, Omit<Command, "options"> {
  /** Its place in the list of commands. */
  readonly order: number;
  /** Its own options, and those that it shares. */
  readonly options: Readonly<
    { [Name in keyof typeof SHARED_OPTIONS]?: "shared" } & Record<string, Option | "shared">
  >;
  readonly task?: Task;
  readonly run: (call: Invocation) => Promise<CommandResult>;
}
