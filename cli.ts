/**
 * The command line: `deno task envs:new alice`, `deno run cli.ts new alice` and `forkstack new alice` are the same.
 *
 * @module
 */
import process from "node:process";
import { parseArgs } from "node:util";
import { COMMANDS, COMMON, type Flags, type Io, type OptionName, OPTIONS, usage } from "./core/commands.ts";
import { didYouMean, nearest } from "./core/config.ts";
import type { ResourceReport } from "./core/engine.ts";
import * as output from "./core/output.ts";
import { ForkstackError } from "./mod.ts";

const VERSION = "0.1.0";

async function parse(
  args: string[],
): Promise<{ command: string; name: string | undefined; more: string | undefined; flags: Flags }> {
  const [command = "help", ...rest] = args;
  const known = COMMANDS[command];
  if (known === undefined) {
    const near = await didYouMean(command, Object.keys(COMMANDS));
    throw usage(`Cannot run "${command}": there is no such command${near}`, "`forkstack --help` lists the commands");
  }
  const options = Object.fromEntries([...known.options, ...COMMON].map((name) => [name, OPTIONS[name]]));
  const { values, positionals, tokens } = parseArgs({
    args: rest,
    options,
    allowPositionals: true,
    strict: false,
    tokens: true,
  });
  for (const token of tokens) {
    if (token.kind !== "option") continue;
    const option = options[token.name as OptionName];
    if (option === undefined) {
      const near = await nearest(token.name, Object.keys(options));
      throw usage(
        `Cannot run "${command}": it has no option ${token.rawName}`,
        near.length > 0 ? `Did you mean --${near[0]}?` : `\`forkstack ${command} --help\` lists its options`,
      );
    }
    if (option.type === "string" && !token.value) {
      throw usage(`Cannot run "${command}": --${token.name} needs a value`, `For example --${token.name} dev`);
    }
    if (option.type === "boolean" && token.value !== undefined) {
      throw usage(`Cannot run "${command}": --${token.name} takes no value`, `Write --${token.name} alone`);
    }
  }
  const most = known.arguments?.length ?? 0;
  if (positionals.length > most) {
    throw usage(
      `Cannot run "${command}": "${positionals[most]}" is one argument too many`,
      `For example \`forkstack ${known.example}\``,
    );
  }
  return { command, name: positionals[0], more: positionals[1], flags: values as Flags };
}

function helpText(command: string | undefined, style: output.Style): string {
  const known = command === undefined ? undefined : COMMANDS[command];
  if (known === undefined) {
    const lines = Object.entries(COMMANDS).map(([name, one]) =>
      `  ${`${[name, ...one.arguments ?? []].join(" ")}`.padEnd(22)} ${one.summary}`
    );
    return [
      `Example:  ${style.command}new alice`,
      "",
      "An isolated copy of the whole stack for each environment: database, bucket, secrets, local state.",
      "",
      "Commands:",
      ...lines,
      "",
      `${style.command}<command> --help shows its options; --version the version.`,
    ].join("\n");
  }
  const options = [...known.options, ...COMMON].map((name) => {
    const option = OPTIONS[name];
    const left = `${"short" in option ? `-${option.short}, ` : ""}--${name}${
      "value" in option ? ` ${option.value}` : ""
    }`;
    return `  ${left.padEnd(16)} ${option.help}`;
  });
  return [
    `Example:  ${style.command}${known.example}`,
    "",
    [command, ...known.arguments ?? []].join(" ") + `: ${known.summary}.`,
    "",
    "Options:",
    ...options,
  ].join("\n");
}

async function confirm(question: string, isJson: boolean): Promise<void> {
  if (isJson || process.stdin.isTTY !== true || process.stderr.isTTY !== true) {
    throw new ForkstackError("CONFIRM_REQUIRED", "Cannot ask for confirmation: there is no terminal", {
      hint: "Say yes beforehand with --yes, or look first with --dry-run",
    });
  }
  const prompts = await import("@clack/prompts");
  const answer = await prompts.confirm({ message: question, initialValue: false, output: process.stderr });
  if (answer !== true) throw new ForkstackError("CANCELLED", "Nothing was deleted", { hint: "Nothing was changed" });
}

/** What commands are called where this one was started. */
function commandPrefix(): string {
  return process.env.INIT_CWD !== undefined && process.versions.deno !== undefined ? "deno task envs:" : "forkstack ";
}

function styleOf(stream: { isTTY?: boolean }, args: readonly string[]): output.Style {
  const color = stream.isTTY === true && !process.env.NO_COLOR && !args.includes("--no-color");
  return { color, command: commandPrefix() };
}

/** Runs one command line and gives its exit code. */
async function main(args: string[]): Promise<number> {
  const [out, err] = [styleOf(process.stdout, args), styleOf(process.stderr, args)];
  const isJson = args.includes("--json");
  if (args[0] === "--version" || args[0] === "-V") return print(VERSION);
  if (args.length === 0 || args[0] === "help" || args[0] === "--help" || args[0] === "-h") {
    return print(helpText(args[1], out));
  }
  const interrupt = new AbortController();
  onInterrupt(interrupt, err);
  const seen = new Map<string, ResourceReport>();
  const io: Io = {
    say: (line) => process.stderr.write(`${line}\n`),
    onProgress(resource) {
      seen.set(resource.key, resource);
      if (!isJson) process.stderr.write(`${output.resourceLine(resource, err)}\n`);
    },
    signal: interrupt.signal,
    now: () => new Date(),
    confirm: (question) => confirm(question, isJson),
  };
  let command = args[0];
  try {
    const parsed = await parse(args);
    command = parsed.command;
    if (parsed.flags.help) return print(helpText(command, out));
    const answer = await COMMANDS[command].run({ ...parsed, io });
    return print(isJson ? output.jsonDocument(command, answer.data, undefined, out) : answer.text(out));
  } catch (error) {
    const data = seen.size === 0 ? {} : { resources: [...seen.values()].sort((a, b) => a.key.localeCompare(b.key)) };
    if (isJson) print(output.jsonDocument(command, data, error, out));
    else process.stderr.write(`${output.errorText(error, err)}\n`);
    return output.exitCodeOf(error);
  }
}

function print(text: string): number {
  process.stdout.write(`${text}\n`);
  return 0;
}

/** The first Ctrl-C stops after the calls in flight; the second leaves at once: the journal is enough. */
function onInterrupt(interrupt: AbortController, style: output.Style): void {
  const stop = () => {
    if (interrupt.signal.aborted) process.exit(130);
    process.stderr.write(
      `${output.localCommands("Stopping after what is under way; once more leaves at once", style)}\n`,
    );
    interrupt.abort(new ForkstackError("INTERRUPTED", "Stopped", { hint: "Run the same command again to go on" }));
  };
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
}

process.exitCode = await main(process.argv.slice(2));
process.exit(process.exitCode); // open timers and signal handlers must not keep it
