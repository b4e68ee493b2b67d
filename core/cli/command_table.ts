/**
 * The commands: what each takes, and the file that runs it, loaded when it does. They give data and text; `main.ts` prints.
 *
 * @module
 */
import type { Answer, Call } from "./command_line.ts";
import { load } from "../system/lazy.ts";
import type { OptionName } from "./options.ts";

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

/** What runs a command: a function of a file in commands/. */
function by(file: string, name: string): Command["run"] {
  return async (call) => await (await load<Record<string, Command["run"]>>(`core/cli/commands/${file}.ts`))[name](call);
}

/** Every command, in the order of the help. */
export const COMMANDS: Readonly<Record<string, Command>> = {
  new: {
    summary: "make an environment with a copy of the whole stack, and switch to it",
    arguments: ["[name]"],
    example: "new alice",
    options: ["from", "at", "ttl", "empty", "adopt", "no-switch", "dry-run"],
    run: by("new", "runNew"),
  },
  switch: {
    summary: "point this directory at another environment",
    arguments: ["<env>"],
    example: "switch alice",
    options: ["dry-run"],
    run: by("switch", "runSwitch"),
  },
  delete: {
    summary: "take an environment away, with everything it holds",
    arguments: ["<env>"],
    example: "delete alice --yes",
    options: ["purge", "if-exists", "adopt", "dry-run"],
    run: by("delete", "runDelete"),
  },
  run: {
    summary: "run a program with an environment's variables, without switching to it",
    arguments: ["[env]"],
    example: "run alice -- npm start",
    options: ["secrets", "resource", "cors"],
    runsProgram: true,
    run: by("run", "runRun"),
  },
  reset: {
    summary: "fork an environment again from its parent, under the same names",
    arguments: ["<env>"],
    example: "reset alice",
    options: ["dry-run"],
    run: by("reset", "runReset"),
  },
  extend: {
    summary: "let an environment live longer",
    arguments: ["<env>", "<time>"],
    example: "extend alice 2d",
    options: [],
    run: by("extend", "runExtend"),
  },
  prune: {
    summary: "delete the environments whose lease has ended",
    example: "prune --dry-run",
    options: ["idle", "dry-run"],
    run: by("prune", "runPrune"),
  },
  secrets: {
    summary: "list, get, set, unset, diff, copy or edit the secrets of an environment",
    arguments: ["<action>", "[key]", "[env]", "[env]"],
    example: "secrets diff alice prod",
    options: ["reveal", "resource", "dry-run"],
    run: by("secrets", "runSecrets"),
  },
  doctor: {
    summary: "show what is unfinished, orphaned, drifted, expired or foreign, and how to mend it",
    example: "doctor",
    options: ["fix", "rebuild", "adopt", "dry-run"],
    run: by("doctor", "runDoctor"),
  },
  list: {
    summary: "show the environments",
    example: "list",
    options: [],
    run: by("list", "runList"),
  },
  status: {
    summary: "show one environment with its resources",
    arguments: ["[env]"],
    example: "status alice",
    options: [],
    run: by("status", "runStatus"),
  },
  trust: {
    summary: "show the code, hosts and files that this repository names, and let forkstack use them",
    example: "trust",
    options: ["revoke", "dry-run"],
    run: by("trust", "runTrust"),
  },
  permissions: {
    summary: "print the set of Deno's permissions that this stack needs, for deno.json",
    example: "permissions",
    options: [],
    run: by("permissions", "runPermissions"),
  },
  init: {
    summary: "make an existing project ready: forkstack.json, tasks, .gitignore, a look at the credentials",
    example: "init --stack sqlite-local",
    options: ["stack", "project", "set", "dry-run"],
    run: by("init", "runInit"),
  },
  serve: {
    summary: "serve the local buckets over S3 until Ctrl-C",
    example: "serve",
    options: ["cors", "port"],
    run: by("serve", "runServe"),
  },
  completions: {
    summary: "print the script that completes commands on Tab: bash, zsh or fish",
    arguments: ["<shell>"],
    example: "completions bash",
    options: [],
    run: by("completions", "runCompletions"),
  },
};

/** Options of every command. */
export const COMMON: readonly OptionName[] = ["yes", "json", "no-color", "help"];
