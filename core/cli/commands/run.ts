/**
 * `run [env] -- …`. This process stays the program's parent, to serve its local buckets, and is otherwise as
 * little there as it can be: the terminal is the program's, and so are the signals and the exit code.
 *
 * A signal goes on to the program each time that it comes; what the program makes of it is its own affair. One that
 * ignores SIGTERM goes on living, and this process with it, until it ends or somebody kills it: a timer that killed it
 * would take what it had not written yet, and nobody would know why.
 */
import {
  type ErrorCode,
  ForkstackError,
  isForkstackError,
  openStack,
  parseEnvName,
  variablePrefix,
} from "../../../mod.ts";
import { accountOf, localBuckets, openBuckets, originsOf } from "../local_buckets.ts";
import { type CommandResult, type Invocation, type Io, usage } from "../command_line.ts";
import { makeBaseDirectories } from "../../workspace/base_directories.ts";
import { recordUse } from "../../workspace/checkouts.ts";
import { openProject } from "../../project/open_project.ts";
import type { Engine } from "../../engine/engine.ts";
import { files } from "../../system/files.ts";
import * as host from "../../system/host.ts";
import { load } from "../../system/lazy.ts";
import { usableEnvironment } from "../../lifecycle/find_environment.ts";
import { othersVariables, programVariables, type Values } from "../../workspace/program_env.ts";
import { type OnTerminal, type ProcessStanding, processStanding, runOnTerminal } from "../../system/subprocess.ts";
import { Secret, type Secrets, type Variables } from "../../secret.ts";
import { shown } from "../../text/printable.ts";
import { isCurrent, needsNoProvider } from "../../lifecycle/switch.ts";
import { meantEnv } from "../../workspace/current.ts";
import { changeFiles, checkPointers, readVariables } from "../../workspace/env_files.ts";
import { text, withEngine } from "../session.ts";
import { BASE_ENVS, type Project } from "../../project/project.ts";
import type { CommandFile } from "../command_file.ts";

/** `run [env]` */
export const command: CommandFile = {
  order: 4,
  group: "environments",
  summary: "run a program with an environment's variables",
  arguments: { labels: ["[env]"], min: 0, max: 1 },
  meanings: {
    "[env]": "the environment. Default: the current one",
  },
  example: "run alice -- npm start",
  without: ["yes", "json"],
  options: {
    secrets: "shared",
    resource: "shared",
    cors: "shared",
  },
  runsProgram: true,
  about: [
    "Runs a program with the variables of an environment; variables of another environment in the shell are " +
    "removed. Write the program and its arguments after --. This directory does not switch. With --secrets " +
    "the program also gets the secrets as variables.",
    "Local buckets are served on a free port while the program runs. The program has the terminal and " +
    "receives every signal; if it ignores a signal, it keeps running. The exit code is that of the program, " +
    "or 128 plus the signal number.",
    "There is no --json: the output belongs to the program.",
  ],
  examples: [
    ["run alice -- uvicorn app:app", "runs a Python server in alice"],
    ["run -- sh -c 'echo $DATABASE_URL'", "in the current environment; sh expands the variable"],
    ["run alice --secrets -- npm start", "with the secrets of alice"],
  ],
  exits: {
    3: "",
    4: "the environment does not exist",
    5: "the environment is incomplete or expired, or its file belongs to another environment",
    6: "",
    126: "",
    127: "",
  },
  files: {
    ".forkstack/envs/<env>.env": "the variables of the environment; only you can read them (mode 0600)",
    FORKSTACK_ENV: "set for the program; mod.ts checks it",
    FORKSTACK_RUN: "set for the program: names of the variables that no file has",
  },
  seeAlso: ["switch", "serve", "secrets", "docs/variables.md"],
  task: { set: "run" },
  run: runRun,
};

async function runRun(call: Invocation): Promise<CommandResult> {
  if (call.flags.json) throw usage("Cannot run with --json: the output belongs to the program", "Leave --json out");
  return { data: {}, text: () => "", exitCode: await runProgram(call) };
}

/** A program of forkstack's own choice, with the only variables that it gets besides the shell's. */
export interface ClientCommand {
  readonly program: readonly string[];
  readonly env: Values;
  /** The variables of the shell that it must not get. */
  readonly withheld: RegExp;
}

/**
 * Runs the program of a command line with an environment's variables; returns its exit code. `clientFor` returns another
 * program in its place, by the environment's variables.
 */
export async function runProgram(
  call: Pick<Invocation, "name" | "flags" | "io" | "program">,
  clientFor?: (variables: Values) => Promise<ClientCommand>,
): Promise<number> {
  const { flags, io } = call;
  const origins = originsOf(flags.cors);
  const seen = processStanding(); // before anything listens to a signal
  const { project, env, written, told, secrets } = await settingsOf(call);
  const variables = told ?? written!;
  const client = await clientFor?.(variables);
  const served = client === undefined ? await serveBuckets(project, env, variables, { io, origins }) : {};
  const place = { project, world: { files } };
  const vars = programVariables(host.variables(), await othersVariables(place, env), {
    project,
    env,
    variables,
    unwritten: { ...told, ...served },
    client,
    secrets,
    identities: await io.catalog.identities(),
  });
  const [command, ...args] = client?.program ?? call.program;
  const stands = await seen;
  const { ignored } = stands;
  return await withSignals(
    stands,
    io.atEnd,
    (onStart) => start(command!, args, { env: vars, ignored, onStart }),
  );
}

/** The facts about the environment, read before anything starts. */
interface Settings {
  readonly project: Project;
  readonly env: string;
  /** The variables as its file has them. */
  readonly written?: Values;
  /** As its providers tell them, where no file does. */
  readonly told?: Values;
  readonly secrets: Secrets;
}

/** Reads an environment's variables: from its file, or else from its providers; and its secrets with --secrets. */
export async function settingsOf({ name, flags, io }: Pick<Invocation, "name" | "flags" | "io">): Promise<Settings> {
  const envOf = (project: Project) => name === undefined ? meantEnv(project) : parseEnvName(name);
  const writtenOf = async (project: Project, env: string) => {
    const cwd = project.root;
    const read = (name: string) => /^FORKSTACK_(ENV|RUN)$/.test(name) ? env : undefined; // `run` itself vouches for it
    openStack({ cwd, read }).current(); // is its file of this environment?
    return await readVariables({ project, world: { files } }, env);
  };
  const load = async (engine: Engine): Promise<Settings> => {
    const { project } = engine;
    const env = envOf(project);
    if (!BASE_ENVS.includes(env)) await usableEnvironment(engine, env, "run in");
    await makeBaseDirectories(engine, env);
    const written = await writtenOf(project, env);
    const isTold = written !== undefined && (BASE_ENVS.includes(env) || await isCurrent(engine, env));
    const asked = isTold ? { written } : await ask(engine, env);
    const { openKeyring } = await import("../../lifecycle/secrets.ts");
    const secrets = flags.secrets ? await (await openKeyring(engine, env, text(flags.resource))).read() : {};
    await recordUse(engine, env).catch(() => {}); // what may only be read can be run, too
    return { project, env, ...asked, secrets };
  };
  try {
    return await withEngine(
      io,
      "use",
      load,
      {
        isLight: async (project) =>
          !flags.secrets && await needsNoProvider({ project, world: { files } }, envOf(project)),
      },
    );
  } catch (error) {
    if (!isForkstackError(error) || !UNASKED.test(error.code) || flags.secrets) throw error;
    const project = await openProject(host.cwd(), { init: false, catalog: io.catalog });
    if (error.code === "ENV_NOT_FOUND" && !await lacksRegistry(project)) throw error;
    const env = envOf(project);
    const written = await writtenOf(project, env);
    if (written === undefined) throw error;
    const why = error.code === "ENV_NOT_FOUND" ? "There is no registry here" : shown(error.message);
    io.say(`${why}. The program gets what this machine's files say`);
    return { project, env, written, secrets: {} };
  }
}

/** The registry could not be asked, or, with `ENV_NOT_FOUND`, may not be here: the environment's own file is enough. */
const UNASKED = /^(REGISTRY_UNREACHABLE|NETWORK_DENIED|NOT_PERMITTED|FILE_UNREADABLE|ENV_NOT_FOUND)$/;

/** Returns true if the project's own registry is not here, as in a container that has the environment's file alone. */
async function lacksRegistry(project: Project): Promise<boolean> {
  if (project.config.registry !== undefined) return false;
  return await files.stat(host.join(project.stateRoot, ".forkstack", "registry.db")) === undefined;
}

/** Asks the providers; what is minted anew each time is written down, or each run would leave another login behind. */
async function ask(engine: Engine, env: string): Promise<Pick<Settings, "written" | "told">> {
  const isMinted = engine.resources.some(({ provider }) => provider.capabilities.outputs !== "rereadable");
  if (isMinted) await checkPointers(engine, { activates: false });
  const variables = await (await load<typeof import("../../lifecycle/variables.ts")>("core/lifecycle/variables.ts"))
    .askVariables(engine, env);
  if (!isMinted) return { told: plain(variables) };
  await changeFiles(engine, { env, variables, activate: false });
  return { written: plain(variables) };
}

function plain(variables: Variables): Values {
  return Object.fromEntries(
    Object.entries(variables).map(([name, value]) => [name, value instanceof Secret ? value.reveal() : value]),
  );
}

/** Serves the environment's local buckets for this program alone; the variables that say where. */
async function serveBuckets(
  project: Project,
  env: string,
  variables: Values,
  { io, origins }: { io: Io; origins: readonly string[] },
): Promise<Values> {
  const prefixes = localBuckets(project).map(variablePrefix)
    .filter((prefix) => variables[`${prefix}AWS_SECRET_ACCESS_KEY`] !== undefined);
  if (prefixes.length === 0) return {};
  const secrets = new Map(
    prefixes.map((prefix) => [variables[`${prefix}AWS_ACCESS_KEY_ID`], variables[`${prefix}AWS_SECRET_ACCESS_KEY`]!]),
  );
  const { port } = await openBuckets(project, io, {
    region: variables[`${prefixes[0]}AWS_REGION`] ?? "us-east-1",
    account: async (key) => secrets.has(key) ? await accountOf(project, env, secrets.get(key)!) : undefined,
    origins,
    command: "run",
  }, 0); // it ends with this process
  return Object.fromEntries(prefixes.map((prefix) => [`${prefix}AWS_ENDPOINT_URL_S3`, `http://127.0.0.1:${port}`]));
}

/** Hands signals on to a program for as long as it runs. */
async function withSignals(
  { isForeground, ignored }: ProcessStanding,
  atEnd: Io["atEnd"],
  run: (onStart: OnTerminal["onStart"]) => Promise<number>,
): Promise<number> {
  let kill: ((signal: host.Signal) => void) | undefined;
  const early: host.Signal[] = []; // came before the program was there
  // The terminal sends these to the program as well, and to many a second one means "at once".
  const unpassed = isForeground ? [...ignored, "SIGINT", "SIGQUIT"] : ignored;
  // All are listened to: once Deno listens to one, it ends on others.
  const pass = (signal: host.Signal) => {
    if (unpassed.includes(signal)) return;
    try {
      if (kill === undefined) early.push(signal);
      else kill(signal);
    } catch { /* it has ended */ }
  };
  // For as long as this process lives: Deno ends on a signal that it has received and nobody listens to any more, and the
  // program may have ended by the same one.
  atEnd(host.onSignals(host.SIGNALS, pass));
  return await run((how) => {
    kill = how;
    early.splice(0).forEach(pass);
  });
}

async function start(command: string, args: readonly string[], how: OnTerminal): Promise<number> {
  try {
    return await runOnTerminal(command, args, how);
  } catch (error) {
    throw startError(command, error as Error & { code?: string });
  }
}

/** Returns the error for a program that did not start, with a shell's exit code. */
function startError(command: string, cause: Error & { code?: string }): Error {
  const shown = command.slice(0, 200).replace(/[\s=].+/s, "…"); // what follows may be a secret
  const known = (code: ErrorCode, state: string, hint: string) =>
    new ForkstackError(code, `Cannot run "${shown}": ${state}`, { hint });
  if (cause.name === "NotCapable") {
    const hint = "Use `deno task envs:run`, which has the permission set run";
    return known("NOT_PERMITTED", "Deno was not allowed to", hint);
  }
  if (cause.code === "E2BIG") {
    const hint = "The system limits their size: on Linux each may have 128 KiB";
    return known("VALUE_TOO_LONG", "its arguments or variables are longer than the system takes", hint);
  }
  if (cause.code === "EACCES" || cause.code === "ENOEXEC") {
    const hint = /[\\/]/.test(command) ? "Make it executable with chmod +x" : "Look at what PATH finds by that name";
    return known("COMMAND_NOT_EXECUTABLE", "it is not executable", hint);
  }
  if (cause.code !== "ENOENT") return cause;
  if (/[\s=|&;<>$]/.test(command)) {
    return known("COMMAND_NOT_FOUND", "there is no such program", "Shell syntax needs a shell: -- sh -c '…'");
  }
  return known(
    "COMMAND_NOT_FOUND",
    "there is no such program",
    /[\\/]/.test(command)
      ? `It was looked for in "${host.cwd()}"; if it exists, the interpreter in its first line does not`
      : "It was looked for in PATH",
  );
}
