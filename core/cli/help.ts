/**
 * Help: all commands (`--help`), one in short (`new -h`), one in full (`new --help`, `help new`).
 *
 * @module
 */
import type { ForkstackError } from "../../mod.ts";
import { EXIT_CODES, type ExitCode } from "./error_codes.ts";
import { type Command, GROUPS, type Option } from "./command.ts";
import { COMMANDS, COMMON, listedOptions, type OptionName, OPTIONS } from "./command_table.ts";
import { usage } from "./command_line.ts";
import { DEFAULTS, PAGES } from "./help_pages.ts";
import { didYouMean } from "../text/did_you_mean.ts";
import { commandLine, localCommands, type Style } from "./style.ts";
import { wrapped } from "../text/phrases.ts";
import { shellWord } from "../text/shell_word.ts";

/** The style of help: `columns` is the terminal's width. */
export type HelpStyle = Pick<Style, "command" | "columns">;

/** Wider lines read badly. */
const WIDEST = 80;

/** Other tools' words for a command, and ours. */
const SYNONYMS: Readonly<Record<string, readonly string[]>> = {
  new: ["create", "add", "make", "fork", "branch", "clone", "start"],
  switch: ["use", "checkout", "select", "activate", "change"],
  delete: ["rm", "remove", "del", "destroy", "drop"],
  list: ["ls", "envs", "environments", "branches", "all"],
  status: ["show", "info", "describe", "current", "whoami"],
  run: ["exec", "shell"],
  reset: ["refresh", "restore"],
  extend: ["renew", "keep", "ttl"],
  prune: ["clean", "cleanup", "gc"],
  secrets: ["secret"],
  env: ["vars", "variables", "export"],
  connect: ["psql", "sqlite3", "mysql", "redis-cli", "console"],
  trust: ["allow"],
  doctor: ["check", "fix", "diagnose", "repair"],
  init: ["setup", "configure", "install"],
  completions: ["completion", "complete", "autocomplete"],
};

/** The error for a word that is no command; it names the one that was meant, and `args`, what followed, stays in it. */
export async function unknownCommand(name: string, args: readonly string[] = []): Promise<ForkstackError> {
  if (name.startsWith("-")) return lackingCommand(name, args);
  const [meant] = Object.entries(SYNONYMS).find(([, words]) => words.includes(name)) ?? [];
  if (meant !== undefined) {
    const { arguments: takes, runsProgram } = COMMANDS[meant];
    const isWhole = args.length > 0 || !runsProgram && (takes?.min ?? 0) === 0; // else what to add is on its page
    const rest = isWhole ? args.map(shellWord) : ["--help"];
    const line = [meant, ...rest].join(" ");
    return usage(`Cannot run "${name}": the command is called "${meant}"`, `\`forkstack ${line}\``);
  }
  const near = await didYouMean(name, Object.keys(COMMANDS));
  return usage(`Cannot run "${name}": unknown command${near}`, `Commands: ${Object.keys(COMMANDS).join(", ")}`);
}

/** The error for an option where the command belongs; a command that follows it comes first in the hint. */
function lackingCommand(option: string, args: readonly string[]): ForkstackError {
  const at = args.findIndex((arg) => Object.hasOwn(COMMANDS, arg));
  if (at < 0) {
    return usage(`Cannot run "${option}": no command was named`, "Begin with a command, e.g. `forkstack list`");
  }
  const line = [...args.slice(at), option, ...args.slice(0, at)].map(shellWord).join(" ");
  return usage(`Cannot run "${option}": options come after the command`, `\`forkstack ${line}\``);
}

async function commandOf(name: string): Promise<Command<OptionName>> {
  if (Object.hasOwn(COMMANDS, name)) return COMMANDS[name];
  throw await unknownCommand(name, ["--help"]);
}

/** All commands, one or a few related ones a line: with what is around them they fit a terminal of 24 lines and 80 columns. */
export function overview({ command }: HelpStyle): string {
  const besides = Object.values(COMMANDS).flatMap(({ row }) => row?.with ?? []);
  const groups = GROUPS.flatMap((group) => {
    const own = Object.entries(COMMANDS).filter(([name, one]) => one.group === group && !besides.includes(name));
    return own.map(([name, one], at) => {
      const left = one.row === undefined ? brief(name, one) : [name, ...one.row.with].join(", ");
      return `${(at === 0 ? capitalized(group) : "").padEnd(14)}${left.padEnd(19)} ${(one.row ?? one).summary}`;
    });
  });
  return [
    `Example:  ${command}new alice`,
    "Creates, switches and deletes environments, each with its own copy of the stack.",
    "",
    ...groups,
    "",
    `Options of every command: ${COMMON.map((option) => signature(option).replace(", ", "/")).join(", ")}`,
    `Help on a command: ${commandLine("new --help", { command })}; short: -h. Version: --version`,
  ].join("\n");
}

function capitalized(word: string): string {
  return word[0]!.toUpperCase() + word.slice(1);
}

/** The synopsis, cut after the first argument where it is long. */
function brief(name: string, one: Command): string {
  const whole = synopsis(name, one);
  return whole.length <= 19 ? whole : [name, one.arguments?.labels[0]].join(" ");
}

/** One command in short. */
export async function short(name: string, { command }: HelpStyle): Promise<string> {
  const known = await commandOf(name);
  const options = listedOptions(known).map((option) => `  ${signature(option).padEnd(16)} ${OPTIONS[option].help}`);
  return [
    `Example:  ${commandLine(known.example, { command })}`,
    "",
    `${synopsis(name, known)}: ${known.summary}.`,
    "",
    "Options:",
    ...options,
    "",
    `More: ${commandLine(`${name} --help`, { command })}`,
  ].join("\n");
}

/** The whole page of one command. */
export async function page(name: string, style: HelpStyle): Promise<string> {
  const known = await commandOf(name);
  const { about, meanings = {}, examples, exits = {}, files = {}, seeAlso } = PAGES[name];
  const width = Math.max(40, Math.min(style.columns ?? WIDEST, WIDEST));
  const lines: string[] = [];
  const section = (title: string, entries: readonly (readonly [string, string])[]) => {
    if (entries.length > 0) {
      lines.push(
        "",
        `${title}:`,
        ...entries.flatMap(([left, right]) => entry(left, right, width)),
      );
    }
  };
  const options = listedOptions(known);
  const own = known.options.map((option) => `[${signature(option)}]`);
  if (known.runsProgram) own.push("-- …");
  const start = synopsis(name, { arguments: known.arguments });
  const usageLine = own.length === 0 ? commandLine(start, style) : commandLine(`${start} -`, style).slice(0, -2);
  lines.push(
    `Example:  ${commandLine(known.example, style)}`,
    "",
    ...wrapped(`${synopsis(name, known)}: ${known.summary}.`, width),
    "",
    "Usage:",
    ...wrapped([usageLine, ...own].map((part) => part.replaceAll(" ", "\u00a0")).join(" "), width - 2, "    ")
      .map((line) => `  ${line.replaceAll("\u00a0", " ")}`),
  );
  for (const paragraph of about) {
    const isCode = paragraph.startsWith(" "); // to be copied as it is
    const told = isCode ? [paragraph] : wrapped(localCommands(paragraph, style), width);
    lines.push("", ...told);
  }
  section("Arguments", Object.entries(meanings));
  section(
    "Options",
    options.map((option) => {
      const told = Object.hasOwn(DEFAULTS, option) ? `. Default: ${DEFAULTS[option]}` : "";
      return [signature(option), localCommands(`${OPTIONS[option].help}${told}`, style)];
    }),
  );
  section("Examples", examples.map(([line, what]) => [commandLine(line, style), localCommands(what, style)]));
  section(
    "Exit codes",
    Object.entries({ 0: "", 2: "", ...exits, 130: "" })
      .map(([code, what]) => [code, localCommands(what || EXIT_CODES[Number(code) as ExitCode], style)]),
  );
  section("Files and variables", Object.entries(files));
  const related = seeAlso.map((one) => Object.hasOwn(COMMANDS, one) ? `${style.command}${one}` : one);
  lines.push("", "See also:", ...wrapped(related.join(", "), width - 2).map((line) => `  ${line}`));
  return lines.join("\n");
}

function synopsis(name: string, { arguments: takes, runsProgram }: Pick<Command, "arguments" | "runsProgram">): string {
  const words = [name, ...takes?.labels ?? []];
  return (runsProgram ? [...words, "-- …"] : words).join(" ");
}

function signature(name: OptionName): string {
  const { short, value }: Option = OPTIONS[name];
  return `${short === undefined ? "" : `-${short}, `}--${name}${value === undefined ? "" : ` ${value}`}`;
}

/** Two columns; what is too long for the left one stands on a line of its own. */
function entry(left: string, right: string, width: number): string[] {
  const indent = 19;
  const lines = wrapped(right, width - indent).map((line) => " ".repeat(indent) + line);
  if (left.length > indent - 4) return [`  ${left}`, ...lines];
  return [`  ${left.padEnd(indent - 2)}${lines[0]?.trimStart() ?? ""}`, ...lines.slice(1)];
}
