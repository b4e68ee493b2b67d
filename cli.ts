/**
 * The command line: `deno task envs:new alice`, `deno run cli.ts new alice` and `forkstack new alice` are the same.
 *
 * @module
 */
import { hostname } from "node:os";
import process from "node:process";
import { parseArgs } from "node:util";
import { didYouMean, loadResources, nearest, openProject } from "./core/config.ts";
import { type Engine, reportOf, type ResourceReport, type World } from "./core/engine.ts";
import { fileError, files } from "./core/files.ts";
import { createEnvironment, planEnvironment } from "./core/create.ts";
import { deleteEnvironment, planDeletion } from "./core/delete.ts";
import { randomName } from "./core/names.ts";
import * as output from "./core/output.ts";
import { openRegistry, type Registry } from "./core/registry.ts";
import { describe, listEnvironments } from "./core/report.ts";
import { switchEnvironment } from "./core/switch.ts";
import { currentEnv } from "./core/workspace.ts";
import { ForkstackError, parseEnvName } from "./mod.ts";

const VERSION = "0.1.0";

/** What each option means; a command names those that it takes. */
const OPTIONS = {
  "from": { type: "string", help: "fork this environment instead of the default parent", value: "<env>" },
  "empty": { type: "boolean", help: "start without the parent's data" },
  "no-switch": { type: "boolean", help: "leave the current environment as it is" },
  "dry-run": { type: "boolean", help: "print what would be done, and change nothing" },
  "yes": { type: "boolean", short: "y", help: "do not ask" },
  "json": { type: "boolean", help: "one JSON document on stdout" },
  "no-color": { type: "boolean", help: "plain text" },
  "help": { type: "boolean", short: "h", help: "this text" },
} as const;

type OptionName = keyof typeof OPTIONS;
type Flags = Readonly<Partial<Record<OptionName, string | boolean>>>;

/** What a command gives back: data for `--json`, text for people. */
interface Answer {
  readonly data: unknown;
  readonly text: (style: output.Style) => string;
}

interface Call {
  readonly name: string | undefined;
  readonly flags: Flags;
  readonly io: Io;
}

interface Command {
  readonly summary: string;
  readonly argument?: string;
  readonly example: string;
  readonly options: readonly OptionName[];
  readonly run: (call: Call) => Promise<Answer>;
}

const COMMANDS: Readonly<Record<string, Command>> = {
  new: {
    summary: "make an environment with a copy of the whole stack, and switch to it",
    argument: "[name]",
    example: "new alice",
    options: ["from", "empty", "no-switch", "dry-run"],
    run: runNew,
  },
  switch: {
    summary: "point this directory at another environment",
    argument: "<name>",
    example: "switch alice",
    options: ["dry-run"],
    run: runSwitch,
  },
  delete: {
    summary: "take an environment away, with everything it holds",
    argument: "<name>",
    example: "delete alice --yes",
    options: ["dry-run", "yes"],
    run: runDelete,
  },
  list: { summary: "show the environments", example: "list", options: [], run: runList },
  status: {
    summary: "show one environment with its resources",
    argument: "[name]",
    example: "status alice",
    options: [],
    run: runStatus,
  },
};

const COMMON: readonly OptionName[] = ["json", "no-color", "help"];

// ----------------------------------------------------------------------------------------------------------- commands

async function runNew({ name, flags, io }: Call): Promise<Answer> {
  let env = name === undefined ? undefined : parseEnvName(name);
  const options = { from: text(flags.from), empty: flags.empty === true, switch: flags["no-switch"] !== true };
  const plan = await withEngine(io, "look", async (engine) => {
    env ??= randomName((await engine.registry.environments()).map((one) => one.name));
    return await planEnvironment(engine, env, options);
  });
  if (flags["dry-run"]) {
    const resources = plan.steps.map(({ resource, title, action }) => ({
      ...output.named(resource),
      provider: resource.provider.name,
      title,
      state: action,
    }));
    return {
      data: { environment: { name: plan.env, parent: plan.parent }, resources, dryRun: true },
      text: (style) => output.planText(plan, style),
    };
  }
  const result = await withEngine(io, "begin", (engine) => createEnvironment(engine, plan.env, options));
  return { data: result, text: (style) => output.readyText(result, "new", style) };
}

async function runSwitch({ name, flags, io }: Call): Promise<Answer> {
  const env = parseEnvName(required(name, "switch"));
  return await withEngine(io, "work", async (engine) => {
    if (flags["dry-run"]) {
      const result = await describe(engine, env, performance.now());
      return { data: { ...result, dryRun: true }, text: () => `Would switch to ${env}` };
    }
    const result = await switchEnvironment(engine, env);
    return { data: result, text: (style) => output.readyText(result, "switch", style) };
  });
}

async function runDelete({ name, flags, io }: Call): Promise<Answer> {
  const env = parseEnvName(required(name, "delete"));
  return await withEngine(io, "work", async (engine) => {
    const { environment, rows } = await planDeletion(engine, env);
    const what = rows.map((row) => `${row.key} "${row.title}" (${row.provider})`).join(", ") || "no resources";
    if (flags["dry-run"]) {
      return {
        data: {
          environment: { name: env, parent: environment.parent },
          resources: rows.map((row) => reportOf(row, row.state)),
          dryRun: true,
        },
        text: () => `Would delete ${env}: ${what}`,
      };
    }
    if (!flags.yes) await confirm(io, `Delete ${env} with ${what}?`);
    const result = await deleteEnvironment(engine, env);
    return { data: result, text: (style) => output.deletedText(result, style) };
  });
}

async function runList({ io }: Call): Promise<Answer> {
  const project = await openProject(process.cwd(), { init: false });
  const registry = await openRegistry(project, "empty");
  try {
    const environments = await listEnvironments({ project, registry });
    const base = environments.some((one) => one.current) ? undefined : currentEnv(project).env;
    return { data: { environments }, text: (style) => output.listText(environments, base, io.now(), style) };
  } finally {
    registry.close();
  }
}

async function runStatus({ name, io }: Call): Promise<Answer> {
  return await withEngine(io, "work", async (engine) => {
    const env = name === undefined ? currentEnv(engine.project).env : parseEnvName(name);
    const result = await describe(engine, env, performance.now());
    return { data: result, text: (style) => output.statusText(result, io.now(), style) };
  });
}

/** Opens what a command works with, and closes it. Only `new` begins a project (or looks at how it would). */
async function withEngine<T>(
  io: Io,
  mode: "begin" | "look" | "work",
  work: (engine: Engine) => Promise<T>,
): Promise<T> {
  const project = await openProject(process.cwd(), { init: mode !== "work" });
  const resources = await loadResources(project);
  let registry: Registry | undefined;
  try {
    registry = await openRegistry(project, mode === "begin" ? "create" : "empty");
    return await work({
      project,
      registry,
      resources,
      world: realWorld(io),
      owner: ownerName(),
      signal: io.signal,
      onProgress: io.onProgress,
      onWait: (holder, purpose) => io.say(`Waiting for ${holder}, who is at work on this environment (${purpose})`),
    });
  } catch (error) {
    throw fileError(error, `work in "${project.root}"`);
  } finally {
    registry?.close();
  }
}

function realWorld(io: Io): World {
  let client: ((request: Request) => Promise<Response>) | undefined;
  return {
    async fetch(request) {
      client ??= (await import("./core/http.ts")).httpClient({ signal: io.signal });
      return await client(request);
    },
    files,
    now: io.now,
    sleep: async (ms, signal) => {
      const { setTimeout: delay } = await import("node:timers/promises");
      await delay(ms, undefined, { signal });
    },
    read: (variable) => process.env[variable],
    newId: () => crypto.randomUUID(),
  };
}

function ownerName(): string {
  const user = process.env.USER || process.env.LOGNAME || process.env.USERNAME || "someone";
  return `${user}@${hostname()}`;
}

function required(name: string | undefined, command: string): string {
  if (name !== undefined) return name;
  throw usage(`Cannot ${command}: no environment was named`, `For example \`forkstack ${command} alice\``);
}

function text(flag: string | boolean | undefined): string | undefined {
  return typeof flag === "string" ? flag : undefined;
}

function usage(message: string, hint: string): ForkstackError {
  return new ForkstackError("USAGE", message, { hint });
}

async function confirm(io: Io, question: string): Promise<void> {
  if (!io.isInteractive) {
    throw new ForkstackError("CONFIRM_REQUIRED", "Cannot ask for confirmation: there is no terminal", {
      hint: "Say yes beforehand with --yes, or look first with --dry-run",
    });
  }
  const prompts = await import("@clack/prompts");
  const answer = await prompts.confirm({ message: question, initialValue: false, output: process.stderr });
  if (answer !== true) throw new ForkstackError("CANCELLED", "Nothing was deleted", { hint: "Nothing was changed" });
}

// --------------------------------------------------------------------------------------------------- argv to answer

/** Where text goes, and what interrupts. */
interface Io {
  readonly say: (line: string) => void;
  readonly onProgress: (resource: ResourceReport) => void;
  readonly signal: AbortSignal;
  readonly now: () => Date;
  readonly isInteractive: boolean;
}

async function parse(args: string[]): Promise<{ command: string; name: string | undefined; flags: Flags }> {
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
  const most = known.argument === undefined ? 0 : 1;
  if (positionals.length > most) {
    throw usage(
      `Cannot run "${command}": "${positionals[most]}" is one argument too many`,
      `For example \`forkstack ${known.example}\``,
    );
  }
  return { command, name: positionals[0], flags: values as Flags };
}

function helpText(command: string | undefined, style: output.Style): string {
  const known = command === undefined ? undefined : COMMANDS[command];
  if (known === undefined) {
    const lines = Object.entries(COMMANDS).map(([name, one]) =>
      `  ${`${name} ${one.argument ?? ""}`.padEnd(16)} ${one.summary}`
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
    `${command} ${known.argument ?? ""}`.trim() + `: ${known.summary}.`,
    "",
    "Options:",
    ...options,
  ].join("\n");
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
    isInteractive: process.stdin.isTTY === true && process.stderr.isTTY === true && !isJson,
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
