/**
 * Help: all commands (`--help`), one in short (`new -h`), one in full (`new --help`, `help new`).
 *
 * @module
 */
import type { ForkstackError } from "../../mod.ts";
import { EXIT_CODES, type ExitCode } from "./error_codes.ts";
import type { Command, Option } from "./command.ts";
import { COMMANDS, COMMON, type OptionName, OPTIONS } from "./command_table.ts";
import { usage } from "./command_line.ts";
import { DEFAULTS, PAGES } from "./help_pages.ts";
import { didYouMean } from "../text/did_you_mean.ts";
import { commandLine, localCommands, type Style } from "./style.ts";

/** The style of help: `columns` is the terminal's width. */
export type HelpStyle = Pick<Style, "command"> & { readonly columns?: number };

/** Wider lines read badly. */
const WIDEST = 80;

/** The error for a command that there is not; it names the nearest. */
export async function unknownCommand(name: string): Promise<ForkstackError> {
  const near = await didYouMean(name, Object.keys(COMMANDS));
  return usage(`Cannot run "${name}": there is no such command${near}`, "`forkstack --help` lists the commands");
}

async function commandOf(name: string): Promise<Command<OptionName>> {
  if (Object.hasOwn(COMMANDS, name)) return COMMANDS[name];
  throw await unknownCommand(name);
}

/** What there is. */
export function overview({ command }: HelpStyle): string {
  const lines = Object.entries(COMMANDS).map(([name, one]) => `  ${synopsis(name, one).padEnd(22)} ${one.summary}`);
  return [
    `Example:  ${command}new alice`,
    "",
    "An isolated copy of the whole stack for each environment: database, bucket, secrets, local state.",
    "",
    "Commands:",
    ...lines,
    "",
    `${command}<command> -h shows its options, --help all about it; --version the version.`,
  ].join("\n");
}

/** One command in short. */
export async function short(name: string, { command }: HelpStyle): Promise<string> {
  const known = await commandOf(name);
  const options = optionsOf(known).map((option) => `  ${signature(option).padEnd(16)} ${OPTIONS[option].help}`);
  return [
    `Example:  ${command}${known.example}`,
    "",
    `${synopsis(name, known)}: ${known.summary}.`,
    "",
    "Options:",
    ...options,
    "",
    `${command}${name} --help tells more.`,
  ].join("\n");
}

/** All about one command. */
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
  const options = optionsOf(known);
  const usageLine = `${style.command}${synopsis(name, { arguments: known.arguments })}`;
  const own = known.options.map((option) => `[${signature(option)}]`);
  if (known.runsProgram) own.push("-- …");
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
    lines.push("", ...(isCode ? [paragraph] : wrapped(localCommands(paragraph, style), width)));
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

function optionsOf({ options }: Command<OptionName>): OptionName[] {
  return [...options, ...COMMON];
}

function synopsis(name: string, { arguments: takes, runsProgram }: Pick<Command, "arguments" | "runsProgram">): string {
  return [name, ...takes?.labels ?? [], ...(runsProgram ? ["-- …"] : [])].join(" ");
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

/** The text in lines of at most so many characters, but for words that are longer. */
function wrapped(text: string, width: number, hanging = ""): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = hanging + word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
