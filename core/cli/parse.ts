/**
 * Parses a command line.
 *
 * @module
 */
import * as host from "../system/host.ts";
import type { Command } from "./command.ts";
import { actionsText, type Flags, type Invocation, usage } from "./command_line.ts";
import { COMMANDS, COMMON, type OptionName, OPTIONS } from "./command_table.ts";
import { load } from "../system/lazy.ts";

export async function parse(
  args: string[],
  program: readonly string[],
): Promise<Omit<Invocation, "io"> & { command: string }> {
  const [command, ...rest] = args;
  const known = Object.hasOwn(COMMANDS, command) ? COMMANDS[command] : undefined;
  if (known === undefined) {
    throw await (await load<typeof import("./help.ts")>("core/cli/help.ts")).unknownCommand(command, rest);
  }
  if (known.runsProgram && program.length === 0 && !rest.some((arg) => /^(-h|--help)$/.test(arg))) {
    throw usage(
      `Cannot ${command}: no program was named`,
      `Write it after --${lostDashes(known)}; ${pageHint(command)}`,
    );
  }
  const { positionals, flags } = rest.some((arg) => arg.startsWith("-"))
    ? await parseOptions(command, known, rest)
    : { positionals: rest, flags: {} };
  assertCount(command, known, positionals, flags.help === true);
  return { command, name: positionals[0], more: positionals[1], rest: positionals.slice(2), program, flags };
}

/** The runner of tasks, where one may have taken the `--` that a user wrote. */
function lostDashes({ example }: Command<OptionName>): string {
  if (host.variable("npm_command") !== undefined) return " (npm takes the first -- for itself)";
  return host.variable("MAKELEVEL") === undefined ? "" : `, as in \`forkstack ${example}\``;
}

/** Returns the hint that names a command's page: a line that works in every project, as an example's environment may not. */
export function pageHint(command: string): string {
  return `\`forkstack ${command} --help\` shows examples`;
}

/** Help is given also where an argument is lacking. */
function assertCount(
  command: string,
  known: Command<OptionName>,
  positionals: readonly string[],
  isHelp: boolean,
): void {
  const { labels, min, max, choices } = known.arguments ?? { labels: [], min: 0, max: 0 };
  if (positionals.length > max) {
    throw usage(`Cannot run "${command}": "${positionals[max]}" is one argument too many`, pageHint(command));
  }
  if (positionals.length >= min || isHelp) return;
  const lacking = labels[positionals.length].slice(1, -1);
  let hint = pageHint(command);
  if (known.actions !== undefined) hint = actionsText(known.actions);
  else if (choices !== undefined) hint = `One of ${Object.keys(choices).join(", ")}`;
  else if (lacking === "env") hint = "`forkstack list` shows the environments";
  throw usage(`Cannot run "${command}": no ${lacking === "env" ? "environment" : lacking} was named`, hint);
}

/** Splits a command line into our own words and, after `--`, those of the program that it runs. */
export function splitProgram(args: string[]): [own: string[], program: string[]] {
  const at = Object.hasOwn(COMMANDS, args[0] ?? "") && COMMANDS[args[0]].runsProgram ? args.indexOf("--") : -1;
  return at < 0 ? [args, []] : [args.slice(0, at), args.slice(at + 1)];
}

async function parseOptions(
  command: string,
  known: Command<OptionName>,
  args: string[],
): Promise<{ positionals: string[]; flags: Flags }> {
  const options = Object.fromEntries([...known.options, ...COMMON].map((name) => [name, OPTIONS[name]]));
  const { parseArgs } = await import("node:util"); // 4 ms that a command without options is spared
  const { values, positionals, tokens } = parseArgs({
    args,
    options,
    allowPositionals: true,
    strict: false,
    tokens: true,
  });
  for (const token of tokens) {
    if (token.kind !== "option") continue;
    const option = Object.hasOwn(options, token.name) ? options[token.name as OptionName] : undefined;
    if (option === undefined) {
      const { nearest } = await load<typeof import("../text/did_you_mean.ts")>("core/text/did_you_mean.ts");
      const near = await nearest(token.name, Object.keys(options));
      throw usage(
        `Cannot run "${command}": it has no option ${token.rawName}`,
        near.length > 0 ? `Did you mean --${near[0]}?` : `\`forkstack ${command} --help\` lists its options`,
      );
    }
    if (option.type === "string" && (!token.value || (!token.inlineValue && token.value.startsWith("-")))) {
      throw usage(
        `Cannot run "${command}": --${token.name} needs a value`,
        `Write --${token.name} ${option.value ?? "<value>"}; ${pageHint(command)}`,
      );
    }
    if (option.type === "boolean" && token.value !== undefined) {
      throw usage(`Cannot run "${command}": --${token.name} takes no value`, `Write --${token.name} alone`);
    }
  }
  return { positionals, flags: values as Flags };
}
