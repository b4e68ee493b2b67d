/**
 * The commands: what each takes, and the file that runs it, loaded when it does. They give data and text; `cli.ts` prints.
 *
 * @module
 */
import type { Answer, Call, OptionName } from "./commands/_call.ts";

/** One command. */
export interface Command {
  readonly summary: string;
  readonly arguments?: readonly string[];
  readonly example: string;
  readonly options: readonly OptionName[];
  /** It runs what follows `--`, word for word. */
  readonly runsProgram?: true | undefined;
  readonly run: (call: Call) => Promise<Answer>;
}

/** Every command, in the order of the help. */
export const COMMANDS: Readonly<Record<string, Command>> = {
  new: {
    summary: "make an environment with a copy of the whole stack, and switch to it",
    arguments: ["[name]"],
    example: "new alice",
    options: ["from", "at", "ttl", "empty", "no-switch", "dry-run"],
    run: async (call) => await (await import("./commands/new.ts")).runNew(call),
  },
  switch: {
    summary: "point this directory at another environment",
    arguments: ["<env>"],
    example: "switch alice",
    options: ["dry-run"],
    run: async (call) => await (await import("./commands/switch.ts")).runSwitch(call),
  },
  delete: {
    summary: "take an environment away, with everything it holds",
    arguments: ["<env>"],
    example: "delete alice --yes",
    options: ["purge", "dry-run"],
    run: async (call) => await (await import("./commands/delete.ts")).runDelete(call),
  },
  run: {
    summary: "run a program with an environment's variables, without switching to it",
    arguments: ["[env]"],
    example: "run alice -- npm start",
    options: ["secrets", "resource"],
    runsProgram: true,
    run: async (call) => await (await import("./commands/run.ts")).runRun(call),
  },
  reset: {
    summary: "fork an environment again from its parent, under the same names",
    arguments: ["<env>"],
    example: "reset alice",
    options: ["dry-run"],
    run: async (call) => await (await import("./commands/reset.ts")).runReset(call),
  },
  extend: {
    summary: "let an environment live longer",
    arguments: ["<env>", "<time>"],
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
  secrets: {
    summary: "list, get, set, unset, diff, copy or edit the secrets of an environment",
    arguments: ["<action>", "[key]", "[env]", "[env]"],
    example: "secrets diff alice prod",
    options: ["reveal", "resource", "dry-run"],
    run: async (call) => await (await import("./commands/secrets.ts")).runSecrets(call),
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
    arguments: ["[env]"],
    example: "status alice",
    options: [],
    run: async (call) => await (await import("./commands/show.ts")).runStatus(call),
  },
  serve: {
    summary: "serve the local buckets over S3 until Ctrl-C",
    example: "serve",
    options: ["port"],
    run: async (call) => await (await import("./commands/serve.ts")).runServe(call),
  },
  completions: {
    summary: "print the script that completes commands on Tab: bash, zsh or fish",
    arguments: ["<shell>"],
    example: "completions bash",
    options: [],
    run: async (call) => await (await import("./commands/completions.ts")).runCompletions(call),
  },
};

/** Options of every command. */
export const COMMON: readonly OptionName[] = ["yes", "json", "no-color", "help"];
