/**
 * One command line, from its words to its exit code. Nothing here ends the process: `cli.ts` does.
 *
 * @module
 */
import { allowError } from "../system/deno_permissions.ts";
import type { CommandFile } from "./command_file.ts";
import type { Io } from "./command_line.ts";
import { load } from "../system/lazy.ts";
import * as host from "../system/host.ts";
import * as output from "./output.ts";
import { byKey, shown } from "../text/printable.ts";
import { VERSION } from "../system/version.ts";
import { ForkstackError } from "../../mod.ts";
import type { Catalog } from "../catalog.ts";
import type { ResourceReport } from "../engine/resource_report.ts";
import { parse, splitProgram } from "./parse.ts";
import { commandPrefix, dressed, localCommands, type Style } from "./style.ts";
import { errorText, exitCodeOf, jsonDocument } from "./errors.ts";

/** Help, where it is asked for: of all commands, or in short or in full of one. */
async function helpText(name: string | undefined, form: "short" | "page", called: string): Promise<string> {
  const help = await load<typeof import("./help.ts")>("core/cli/help.ts");
  const isLong = called.includes("/"); // the way to this program would fill the lines
  const command = isLong ? "forkstack " : called;
  const text = name === undefined || name.startsWith("-")
    ? help.overview({ command })
    : await help[form](name, { command, columns: host.columns() });
  return isLong ? `${text}\n"forkstack" stands for: ${called.trimEnd()}` : text;
}

async function confirm(question: string, isJson: boolean): Promise<void> {
  if (isJson || !host.isTerminal("stdin") || !host.isTerminal("stderr")) {
    throw new ForkstackError("CONFIRM_REQUIRED", "Cannot ask for confirmation: there is no terminal", {
      hint: "Pass --yes to confirm, or look first with --dry-run",
    });
  }
  await (await load<typeof import("../system/prompts.ts")>("core/system/prompts.ts")).ask.agree(question, false);
}

/** One newline at the end is the shell's, not the value's. */
async function readSecret(question: string): Promise<string> {
  if (!host.isTerminal("stdin")) return (await host.readInput()).replace(/\r?\n$/, "");
  return await (await load<typeof import("../system/prompts.ts")>("core/system/prompts.ts")).askSecret(question);
}

function styleOf(stream: "stdout" | "stderr", args: readonly string[]): Style {
  const color = host.isTerminal(stream) && host.variable("NO_COLOR") === undefined && !args.includes("--no-color");
  let command: string | undefined; // a few files are looked at, where a text names a command
  return {
    color,
    columns: host.columns(),
    get command() {
      return command ??= commandPrefix();
    },
  };
}

/**
 * Runs one command line with the providers of a catalog and gives its exit code. With a stand-in for the process it
 * reads and writes through it, closes what it opened, and takes back its signal handlers.
 */
export async function main(line: string[], catalog: Catalog, standIn?: host.StandIn): Promise<number> {
  if (standIn === undefined) return await runLine(line, catalog, () => {}).catch((caught) => refuse(line, caught));
  const closing: (() => unknown)[] = [];
  return await host.within(standIn, async () => {
    try {
      return await runLine(line, catalog, (close) => closing.push(close)).catch((caught) => refuse(line, caught));
    } finally {
      for (const close of closing.reverse()) await close();
    }
  });
}

/** `atEnd` is told what a process that goes on must close; one that ends with its command does not wait for that. */
async function runLine(line: string[], catalog: Catalog, atEnd: Io["atEnd"]): Promise<number> {
  const [args, program] = splitProgram(line);
  const [out, err] = [styleOf("stdout", args), styleOf("stderr", args)];
  const isJson = args.includes("--json");
  if (/^(--version|-V|version)$/.test(args[0] ?? "")) return print(VERSION);
  if (args[0] === "completions" && args[1] === "--") { // before any option is looked at: they are another's words
    return print(
      await (await load<typeof import("./complete.ts")>("core/cli/complete.ts")).completions(args.slice(2), catalog),
    );
  }
  const interrupt = new AbortController();
  if (program.length === 0) atEnd(onInterrupt(interrupt, err)); // else signals are the program's
  const seen = new Map<string, ResourceReport>();
  const io: Io = {
    catalog,
    say: tell,
    onProgress(resource) {
      seen.set(resource.key, resource);
      if (!isJson) tell(output.resourceLine(resource, err));
    },
    signal: interrupt.signal,
    now: () => new Date(),
    confirm: (question) =>
      args.some((one) => one === "--yes" || one === "-y") ? Promise.resolve() : confirm(shown(question), isJson),
    readSecret,
    mayAsk: () => !isJson && host.isTerminal("stdin") && host.isTerminal("stderr"),
    atEnd,
  };
  let command = args[0];
  try {
    if (/^(help|--help|-h)$/.test(command ?? "help")) return print(await helpText(args[1], "page", out.command));
    const parsed = await parse(args, program);
    command = parsed.command;
    if (parsed.flags.help) return print(await helpText(command, args.includes("-h") ? "short" : "page", out.command));
    const { run } = (await load<{ command: CommandFile }>(`core/cli/commands/${command}.ts`)).command;
    const answer = await run({ ...parsed, io });
    if (answer.exitCode !== undefined) return answer.exitCode;
    if (isJson) print(jsonDocument(command, answer.data, answer.error, out));
    else if (answer.isValue && !host.isTerminal("stdout")) host.write("stdout", `${answer.text(out)}\n`);
    else print(answer.text(out));
    if (answer.error === undefined) return answer.hasFound ? 1 : 0;
    if (!isJson) tell(errorText(answer.error, err));
    return await exitCodeOf(answer.error);
  } catch (caught) {
    const error = (await import("../system/files.ts")).fileError(caught, command ?? "begin"); // not `load`: it may not read
    const data = seen.size === 0 ? {} : { resources: [...seen.values()].sort(byKey) };
    if (isJson) print(jsonDocument(command, data, error, out));
    else tell(errorText(error, err));
    return await exitCodeOf(error);
  }
}

/** A result goes to stdout; what is shown of others' text moves no cursor. */
function print(text: string): number {
  host.write("stdout", `${dressed(text)}\n`);
  return 0;
}

/** Everything else goes to stderr. */
function tell(text: string): void {
  host.write("stderr", `${dressed(text)}\n`);
}

/**
 * The first Ctrl-C stops after the calls in flight; the second leaves at once: the journal is enough. Gives what takes
 * the handlers back.
 */
function onInterrupt(interrupt: AbortController, style: Style): () => void {
  const stop = () => {
    if (interrupt.signal.aborted) host.exit(130);
    tell(localCommands("Stopping after the current step; press Ctrl-C again to quit at once", style));
    interrupt.abort(new ForkstackError("INTERRUPTED", "Stopped", { hint: "Run the same command again to continue" }));
  };
  return host.onSignals(["SIGINT", "SIGTERM"], stop);
}

/** An error that is met before it is known how text is dressed here: a variable that Deno does not let us read. */
async function refuse(line: readonly string[], caught: unknown): Promise<number> {
  const error = allowError(caught, "begin");
  const style = { color: false, command: "forkstack " };
  if (line.includes("--json")) print(jsonDocument("help", {}, error, style));
  else tell(errorText(error, style));
  return await exitCodeOf(error);
}
