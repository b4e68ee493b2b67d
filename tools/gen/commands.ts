/** Generates the files about commands: the table for start-up, the pages of help, the tasks. */
import { applyEdits, modify } from "npm:jsonc-parser@3.3.1";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Arguments, Option } from "../../core/cli/command.ts";
import type { CommandFile } from "../../core/cli/command_file.ts";
import { COMMON_OPTIONS, SHARED_FILES, SHARED_OPTIONS } from "../../core/cli/shared.ts";
import { constant, type Generated, head } from "./text.ts";

const DIRECTORY = "core/cli/commands";

/** Reads every command by its name, which is its file's, in the order of help. */
export async function readCommands(root: string): Promise<Map<string, CommandFile>> {
  const files = (await readdir(join(root, DIRECTORY))).filter((file) => file.endsWith(".ts"));
  const found = await Promise.all(files.map(async (file) => {
    const { command } = await import(`../../${DIRECTORY}/${file}`) as { command?: CommandFile };
    if (command === undefined) throw new Error(`${DIRECTORY}/${file} exports no command`);
    return [file.slice(0, -".ts".length), command] as const;
  }));
  const sorted = found.sort(([, one], [, other]) => one.order - other.order);
  const twice = sorted.find(([, one], at) => one.order === sorted[at + 1]?.[1].order);
  if (twice !== undefined) throw new Error(`${DIRECTORY}/${twice[0]}.ts: order ${twice[1].order} is another's too`);
  return new Map(sorted);
}

/** Generates the files about commands; `programs` are those in the permission set of most commands. */
export async function commandFiles(root: string, programs: readonly string[]): Promise<Generated[]> {
  const commands = await readCommands(root);
  const config = denoJson(await readFile(join(root, "deno.json"), "utf8"), commands, programs);
  return [table(commands), pagesOfHelp(commands), taskTable(config.text, commands), config];
}

function each<T>(commands: Map<string, CommandFile>, of: (command: CommandFile) => T): Record<string, T> {
  return Object.fromEntries([...commands].map(([name, command]) => [name, of(command)]));
}

/** Collects all options, the shared ones last; throws if two commands use one name differently. */
function optionsOf(commands: Map<string, CommandFile>): Map<string, Option> {
  const shared = Object.entries(SHARED_OPTIONS) as [string, Option][];
  const found = new Map<string, Option>();
  for (const [command, { options }] of commands) {
    for (const [name, option] of Object.entries(options)) {
      const isShared = Object.hasOwn(SHARED_OPTIONS, name);
      if ((option === "shared") !== isShared || found.has(name)) {
        throw new Error(
          `${command}: --${name} is ${isShared || found.has(name) ? "another's too" : "in no shared list"}`,
        );
      }
      if (option !== "shared") found.set(name, option);
    }
  }
  return new Map([...found, ...shared]);
}

const argumentsOf = ({ labels, min, max, choices, withoutBases, input }: Arguments): Arguments => ({
  labels,
  min,
  max,
  choices,
  withoutBases,
  input,
});

function table(commands: Map<string, CommandFile>): Generated {
  const rows = each(
    commands,
    ({ group, summary, row, arguments: takes, actions, example, options, without, runsProgram }) => ({
      group,
      summary,
      row,
      arguments: takes && argumentsOf(takes),
      actions: actions && Object.fromEntries(Object.entries(actions).map(([name, one]) => [name, argumentsOf(one)])),
      example,
      options: Object.keys(options),
      without,
      runsProgram,
    }),
  );
  const options = Object.fromEntries(
    [...optionsOf(commands)].map(([name, { default: _, ...option }]) => [name, option]),
  );
  return {
    path: "core/cli/command_table.ts",
    text: head(
      `${DIRECTORY}/*.ts and core/cli/shared.ts`,
      "The commands and their options, as start-up and completion read them.",
    ) +
      `import type { Command } from "./command.ts";\n\n` +
      `/** Every option. */\nexport const OPTIONS = ${constant(options)} as const;\n\n` +
      `/** An option's name without its dashes. */\nexport type OptionName = keyof typeof OPTIONS;\n\n` +
      `/** Options of every command. */\nexport const COMMON: readonly OptionName[] = ${
        constant(COMMON_OPTIONS)
      };\n\n` +
      `/** The options of a command that do something, its own first. */\n` +
      `export function listedOptions({ options, without = [] }: Command<OptionName>): OptionName[] {\n` +
      `  return [...options, ...COMMON.filter((name) => !without.some((one) => one === name))];\n}\n\n` +
      `/** Every command, in the order of help. */\n` +
      `export const COMMANDS: Readonly<Record<string, Command<OptionName>>> = ${constant(rows)};\n`,
  };
}

function pagesOfHelp(commands: Map<string, CommandFile>): Generated {
  const shared: Readonly<Record<string, string>> = SHARED_FILES;
  const pages = each(commands, ({ about, meanings, examples, exits, files, seeAlso }) => ({
    about,
    meanings,
    examples,
    exits,
    files: files && Object.fromEntries(Object.entries(files).map(([name, text]) => [name, text || shared[name]])),
    seeAlso,
  }));
  const defaults = Object.fromEntries(
    [...optionsOf(commands)].flatMap(([name, option]) => option.default === undefined ? [] : [[name, option.default]]),
  );
  return {
    path: "core/cli/help_pages.ts",
    text: head(`${DIRECTORY}/*.ts and core/cli/shared.ts`, "The pages of help, read when somebody asks for one.") +
      `import type { Page } from "./command.ts";\nimport type { OptionName } from "./command_table.ts";\n\n` +
      `/** Defaults of options that take a value; an option without a value is off. */\n` +
      `export const DEFAULTS: Readonly<Partial<Record<OptionName, string>>> = ${constant(defaults)};\n\n` +
      `/** The page of each command. */\nexport const PAGES: Readonly<Record<string, Page>> = ${constant(pages)};\n`,
  };
}

/** A set of permissions, as deno.json has it. */
type PermissionSet = Readonly<Record<string, true | readonly string[]>>;

/** Returns a set as flags, without its hosts, of which a task may have more. */
function flagsOf(set: PermissionSet): string[] {
  const { net: _, ...others } = set;
  return Object.entries(others).map(([name, what]) =>
    what === true ? `--allow-${name}` : `--allow-${name}=${what.join(",")}`
  );
}

function taskTable(config: string, commands: Map<string, CommandFile>): Generated {
  const { permissions } = JSON.parse(config);
  const names = [...new Set([...commands.values()].map(({ task }) => task?.set ?? "cli"))].sort();
  const sets = Object.fromEntries(
    names.map((name) => [name, { flags: flagsOf(permissions[name]), net: permissions[name].net ?? [] }]),
  );
  return {
    path: "core/project/tasks.ts",
    text: head(`${DIRECTORY}/*.ts and deno.json`, "The tasks of a project, and the permissions of each.") +
      `import type { Task } from "./task.ts";\n\n` +
      `/** One set of deno.json, for a task that cannot name it. */\n` +
      `interface PermissionSet {\n  /** But for its hosts. */\n  readonly flags: readonly string[];\n` +
      `  /** Its hosts: a flag of a task replaces them. */\n  readonly net: readonly string[];\n}\n\n` +
      `/** The sets. */\n` +
      `export const SETS: Readonly<Record<NonNullable<Task["set"]>, PermissionSet>> = ${constant(sets)};\n\n` +
      `/** The task of each command. */\n` +
      `export const TASKS: Readonly<Record<string, Task>> = ${constant(each(commands, ({ task = {} }) => task))};\n`,
  };
}

/** Returns deno.json with a task for each command, and with the programs in the set of most. */
function denoJson(text: string, commands: Map<string, CommandFile>, programs: readonly string[]): Generated {
  const lines = [...commands].map(([name, { task: { set = "cli", flags = [] } = {} }]) => {
    const line = ["deno run -q", `-P=${set}`, ...flags, "--lock=deno.lock --unstable-npm-lazy-caching cli.ts", name];
    return `    ${JSON.stringify(`envs:${name}`)}: ${JSON.stringify(line.join(" "))},\n`;
  });
  const [first, ...others] = text.split(/(?:^ {4}"envs:.*\n)+/m);
  if (others.length !== 1) throw new Error("deno.json: the tasks envs:… must stand together");
  const withTasks = first + lines.join("") + others[0];
  return {
    path: "deno.json",
    text: applyEdits(withTasks, modify(withTasks, ["permissions", "cli", "run"], programs, {})),
  };
}
