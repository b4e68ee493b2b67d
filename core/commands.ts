/**
 * The commands: what each takes, and what it does with the engine. They give data and text; `cli.ts` prints.
 *
 * @module
 */
import { hostname } from "node:os";
import process from "node:process";
import { ForkstackError, parseEnvName } from "../mod.ts";
import { PROVIDERS } from "../providers/mod.ts";
import { loadResources, openProject } from "./config.ts";
import { createEnvironment, type NewOptions, planEnvironment } from "./create.ts";
import { deleteEnvironment, type DeleteResult, planDeletion } from "./delete.ts";
import { type Engine, reportOf, type ResourceReport, type World } from "./engine.ts";
import { examine, rebuild } from "./doctor.ts";
import { fileError, files } from "./files.ts";
import { extendLease, leaseEnd, parseDuration, prunable } from "./lease.ts";
import { randomName } from "./names.ts";
import * as output from "./output.ts";
import { openRegistry, type Registry } from "./registry.ts";
import { describe, environmentReport, listEnvironments } from "./report.ts";
import { planReset, resetEnvironment } from "./reset.ts";
import type { Secret } from "./secret.ts";
import { switchEnvironment } from "./switch.ts";
import { currentEnv } from "./workspace.ts";

/** Where text goes, and what interrupts. */
export interface Io {
  readonly say: (line: string) => void;
  readonly onProgress: (resource: ResourceReport) => void;
  readonly signal: AbortSignal;
  readonly now: () => Date;
  /** Asks on the terminal; rejects with `CONFIRM_REQUIRED` where there is none, `CANCELLED` if the answer is no. */
  readonly confirm: (question: string) => Promise<void>;
}

/** What each option means; a command names those that it takes. */
export const OPTIONS = {
  "from": { type: "string", help: "fork this environment instead of the default parent", value: "<env>" },
  "ttl": { type: "string", help: "how long it may live: 90m, 12h, 3d or 2w", value: "<time>" },
  "idle": { type: "string", help: "those not switched to for this long, not the expired ones", value: "<time>" },
  "fix": { type: "boolean", help: "mend what is safe to mend" },
  "rebuild": { type: "boolean", help: "find the environments again by their marks, where the registry was lost" },
  "empty": { type: "boolean", help: "start without the parent's data" },
  "no-switch": { type: "boolean", help: "leave the current environment as it is" },
  "dry-run": { type: "boolean", help: "print what would be done, and change nothing" },
  "yes": { type: "boolean", short: "y", help: "do not ask" },
  "json": { type: "boolean", help: "one JSON document on stdout" },
  "no-color": { type: "boolean", help: "plain text" },
  "help": { type: "boolean", short: "h", help: "this text" },
} as const;

/** An option's name without its dashes. */
export type OptionName = keyof typeof OPTIONS;
/** The options of a call. */
export type Flags = Readonly<Partial<Record<OptionName, string | boolean>>>;

/** What a command gives back: data for `--json`, text for people. */
export interface Answer {
  readonly data: unknown;
  readonly text: (style: output.Style) => string;
}

/** One command line, parsed. */
export interface Call {
  readonly name: string | undefined;
  /** What follows the name. */
  readonly more: string | undefined;
  readonly flags: Flags;
  readonly io: Io;
}

/** One command. */
export interface Command {
  readonly summary: string;
  readonly arguments?: readonly string[];
  readonly example: string;
  readonly options: readonly OptionName[];
  readonly run: (call: Call) => Promise<Answer>;
}

/** Every command, in the order of the help. */
export const COMMANDS: Readonly<Record<string, Command>> = {
  new: {
    summary: "make an environment with a copy of the whole stack, and switch to it",
    arguments: ["[name]"],
    example: "new alice",
    options: ["from", "ttl", "empty", "no-switch", "dry-run"],
    run: runNew,
  },
  switch: {
    summary: "point this directory at another environment",
    arguments: ["<name>"],
    example: "switch alice",
    options: ["dry-run"],
    run: runSwitch,
  },
  delete: {
    summary: "take an environment away, with everything it holds",
    arguments: ["<name>"],
    example: "delete alice --yes",
    options: ["dry-run"],
    run: runDelete,
  },
  reset: {
    summary: "fork an environment again from its parent, under the same names",
    arguments: ["<name>"],
    example: "reset alice",
    options: ["dry-run"],
    run: runReset,
  },
  extend: {
    summary: "let an environment live longer",
    arguments: ["<name>", "<time>"],
    example: "extend alice 2d",
    options: [],
    run: runExtend,
  },
  prune: {
    summary: "delete the environments whose lease has ended",
    example: "prune --dry-run",
    options: ["idle", "dry-run"],
    run: runPrune,
  },
  doctor: {
    summary: "show what is unfinished, orphaned, drifted, expired or foreign, and how to mend it",
    example: "doctor",
    options: ["fix", "rebuild", "dry-run"],
    run: runDoctor,
  },
  list: { summary: "show the environments", example: "list", options: [], run: runList },
  status: {
    summary: "show one environment with its resources",
    arguments: ["[name]"],
    example: "status alice",
    options: [],
    run: runStatus,
  },
};

/** Options of every command. */
export const COMMON: readonly OptionName[] = ["yes", "json", "no-color", "help"];

async function runNew({ name, flags, io }: Call): Promise<Answer> {
  let env = name === undefined ? undefined : parseEnvName(name);
  const common = { from: text(flags.from), empty: flags.empty === true, switch: flags["no-switch"] !== true };
  const optionsOf = ({ project }: Engine, env: string): NewOptions => {
    const expiresAt = leaseEnd(project, env, text(flags.ttl), io.now());
    return expiresAt === undefined ? common : { ...common, expiresAt };
  };
  const plan = await withEngine(io, "look", async (engine) => {
    env ??= randomName((await engine.registry.environments()).map((one) => one.name));
    return await planEnvironment(engine, env, optionsOf(engine, env));
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
  const result = await withEngine(
    io,
    "begin",
    (engine) => createEnvironment(engine, plan.env, optionsOf(engine, plan.env)),
  );
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
    if (!flags.yes) await io.confirm(`Delete ${env} with ${what}?`);
    const result = await deleteEnvironment(engine, env);
    return { data: result, text: (style) => output.deletedText(result, style) };
  });
}

async function runReset({ name, flags, io }: Call): Promise<Answer> {
  const env = parseEnvName(required(name, "reset"));
  return await withEngine(io, "work", async (engine) => {
    const { environment, rows } = await planReset(engine, env);
    const what = rows.map((row) => `${row.key} "${row.title}"`).join(", ");
    if (flags["dry-run"]) {
      const resources = rows.map((row) => reportOf(row, row.state));
      return {
        data: { environment: { name: env, parent: environment.parent }, resources, dryRun: true },
        text: () => `Would fork ${what} again from ${environment.parent}`,
      };
    }
    if (!flags.yes) await io.confirm(`Replace ${what} of ${env} with new forks of ${environment.parent}?`);
    const result = await resetEnvironment(engine, env);
    return { data: result, text: (style) => output.readyText(result, "reset", style) };
  });
}

async function runExtend({ name, more, io }: Call): Promise<Answer> {
  const env = parseEnvName(required(name, "extend"));
  if (more === undefined) throw usage("Cannot extend: no time was given", `For example \`forkstack extend ${env} 2d\``);
  const ms = parseDuration(more, "the time to extend by");
  return await withEngine(io, "work", async (engine) => {
    const result = await extendLease(engine, env, ms);
    return { data: result, text: (style) => output.statusText(result, io.now(), style) };
  });
}

async function runPrune({ flags, io }: Call): Promise<Answer> {
  const idleMs = text(flags.idle) === undefined ? undefined : parseDuration(text(flags.idle)!, "--idle");
  return await withEngine(io, "work", async (engine) => {
    const environments = await prunable(engine, idleMs);
    const names = environments.map(({ name }) => name);
    if (names.length === 0 || flags["dry-run"]) {
      const data = {
        environments: environments.map((one) => environmentReport(engine, one)),
        ...(flags["dry-run"] ? { dryRun: true } : {}),
      };
      return { data, text: () => names.length === 0 ? "Nothing to prune" : `Would delete ${names.join(", ")}` };
    }
    if (!flags.yes) await io.confirm(`Delete ${names.join(", ")}?`);
    const deleted: DeleteResult[] = [];
    const failures: unknown[] = [];
    for (const name of names) {
      try {
        deleted.push(await deleteEnvironment(engine, name));
      } catch (error) {
        if (io.signal.aborted) throw error;
        failures.push(error);
      }
    }
    if (failures.length > 0) throw pruneIncomplete(failures);
    return {
      data: { environments: deleted.map(({ environment }) => environment) },
      text: (style) => deleted.map((one) => output.deletedText(one, style)).join("\n"),
    };
  });
}

function pruneIncomplete(failures: readonly unknown[]): ForkstackError {
  const messages = failures.map((error) => error instanceof Error ? error.message : String(error));
  return new ForkstackError("PRUNE_INCOMPLETE", messages.join("; "), {
    hint: "Run `forkstack prune` again, or look with `forkstack doctor`",
    retryable: true,
    cause: failures.length === 1 ? failures[0] : new AggregateError(failures),
  });
}

async function runDoctor({ flags, io }: Call): Promise<Answer> {
  return await withEngine(io, flags.rebuild && !flags["dry-run"] ? "restore" : "work", async (engine) => {
    const rebuilt = flags.rebuild && !flags["dry-run"] ? await rebuild(engine) : [];
    let findings = await examine(engine);
    const mendable = findings.filter(({ mend }) => mend !== undefined);
    if (flags.fix && !flags["dry-run"] && mendable.length > 0) {
      if (!flags.yes) await io.confirm(`Mend ${mendable.map(output.findingTitle).join("; ")}?`);
      for (const { mend } of mendable) await mend!();
      findings = await examine(engine);
    }
    const data = {
      findings: findings.map(({ mend: _, ...finding }) => finding),
      ...(flags.rebuild ? { resources: rebuilt } : {}),
    };
    return { data, text: (style) => output.doctorText(findings, rebuilt, style) };
  });
}

async function runList({ io }: Call): Promise<Answer> {
  const project = await openProject(process.cwd(), { init: false });
  const registry = await openRegistry(project, "empty");
  try {
    await noticeExpired(registry, io);
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

/** Opens what a command works with, and closes it. Only `new` begins a project (`look`: how it would), and `doctor --rebuild` a registry. */
async function withEngine<T>(
  io: Io,
  mode: "begin" | "look" | "work" | "restore",
  work: (engine: Engine) => Promise<T>,
): Promise<T> {
  const project = await openProject(process.cwd(), { init: mode === "begin" || mode === "look" });
  const resources = await loadResources(project);
  let registry: Registry | undefined;
  try {
    registry = await openRegistry(project, mode === "begin" || mode === "restore" ? "create" : "empty");
    if (mode !== "begin") await noticeExpired(registry, io);
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

/** One line, on any command, when a lease has ended. */
async function noticeExpired(registry: Registry, io: Io): Promise<void> {
  const names = (await registry.expired(io.now().toISOString())).map(({ name }) => name);
  if (names.length > 0) {
    io.say(`Expired: ${names.join(", ")}. \`forkstack prune\` deletes ${names.length === 1 ? "it" : "them"}`);
  }
}

function realWorld(io: Io): World {
  let client: ((request: Request) => Promise<Response>) | undefined;
  const secrets: Secret[] = [];
  return {
    secrets,
    async fetch(request) {
      client ??= (await import("./http.ts")).httpClient({ signal: io.signal, secrets, log: io.say });
      return await client(request);
    },
    files,
    now: io.now,
    monotonicMs: () => performance.now(),
    sleep: async (ms, signal) => {
      const { setTimeout: delay } = await import("node:timers/promises");
      await delay(ms, undefined, { signal });
    },
    read: (variable) => process.env[variable],
    newId: () => crypto.randomUUID(),
    provider: async (kind, name) => (await PROVIDERS[kind]?.[name]?.())?.default,
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

/** The error for a command line that can't be understood. */
export function usage(message: string, hint: string): ForkstackError {
  return new ForkstackError("USAGE", message, { hint });
}
