import {
  type Declared,
  declaredResources,
  ForkstackError,
  KINDS,
  openStack,
  parseEnvName,
  type Stack,
  variablePrefix,
} from "../../../mod.ts";
import { type CommandResult, type Invocation, usage } from "../command_line.ts";
import { openProject } from "../../project/open_project.ts";
import { BASE_ENVS, keyOf, type Project } from "../../project/project.ts";
import { files } from "../../system/files.ts";
import { cwd, isTerminal, rawVariable } from "../../system/host.ts";
import { didYouMean } from "../../text/did_you_mean.ts";
import { isEnvName } from "../../text/field_checks.ts";
import { readVariables } from "../../workspace/env_files.ts";
import type { CommandFile } from "../command_file.ts";

/** `url [resource] [env]` */
export const command: CommandFile = {
  order: 17,
  group: "data",
  summary: "print the URL of a database, cache or queue",
  row: { with: ["env", "connect"], summary: "print a URL or all variables; open a client" },
  arguments: { labels: ["[resource]", "[env]"], min: 0, max: 2 },
  meanings: {
    "[resource]": "a kind or a name, e.g. cache or cache.sessions. Default: database",
    "[env]": "an environment. Default: the current one",
  },
  example: "url database alice",
  without: ["yes"],
  options: { reveal: "shared" },
  about: [
    "Prints the URL that the app gets: the value of DATABASE_URL, CACHE_URL or QUEUE_URL, as `getDatabaseUrl()` and " +
    "its like return it. It is read from the files on this machine. No vendor and no registry is asked.",
    "A URL may hold a password. On a terminal and with --json it is printed only with --reveal; a pipe always gets " +
    "it. The URL of a SQLite file holds none, and is always printed. A Turso database also needs DATABASE_AUTH_TOKEN.",
  ],
  examples: [
    ["url", "prints the URL of the current environment's database"],
    ["url cache.sessions alice --reveal", "prints the URL of one cache of alice on a terminal"],
    ["url --json --reveal", "for a program"],
  ],
  exits: { 4: "this machine has no such environment", 5: "" },
  files: {
    ".forkstack/envs/<env>.env": "the variables of one environment, mode 0600",
    ".current-env": "",
  },
  seeAlso: ["env", "connect", "run", "docs/variables.md"],
  run: runUrl,
};

async function runUrl({ name, more, flags, io }: Invocation): Promise<CommandResult> {
  const project = await openProject(cwd(), { init: false, catalog: io.catalog });
  const { kind, name: resourceName } = await resourceWithUrl(project, "url", name, more);
  const variable = KINDS[kind].variables.url!;
  const stack = await stackOf(project, more === undefined ? undefined : parseEnvName(more));
  const environment = stack.current();
  const full = `${variablePrefix(resourceName)}${variable}`;
  const url = stack.optionalOf(kind, variable, resourceName);
  if (url === undefined) {
    const what = `Cannot print ${full} of environment "${environment}": nothing on this machine gives a value`;
    throw new ForkstackError("VALUE_MISSING", what, { hint: `\`forkstack switch ${environment}\` asks for it` });
  }
  const isOpen = flags.reveal === true || url.startsWith("file:");
  const isShown = isOpen || (!isTerminal("stdout") && !flags.json);
  return {
    data: {
      environment,
      kind,
      name: resourceName,
      variable: full,
      url: isOpen ? url : undefined,
    },
    isValue: isShown,
    text: () => isShown ? url : `${full} is set in ${environment}; --reveal shows it`,
  };
}

/** Reads a named environment from its own file alone: the process holds the current one's values. */
async function stackOf(project: Project, env: string | undefined): Promise<Stack> {
  if (env === undefined) return openStack({ cwd: project.root, read: rawVariable });
  if (!await isKnownHere(project, env)) {
    const state = `Cannot print a URL of environment "${env}": this machine has no file of it`;
    throw new ForkstackError("ENV_UNKNOWN", state, {
      hint: `\`forkstack list\` shows the environments, and \`forkstack switch ${env}\` writes its file`,
    });
  }
  return openStack({ cwd: project.root, read: (name) => name === "FORKSTACK_ENV" ? env : undefined });
}

/** Returns true if this machine has an environment's file; that of a base environment is written at first use. */
async function isKnownHere(project: Project, env: string): Promise<boolean> {
  return BASE_ENVS.includes(env) || await readVariables({ project, world: { files } }, env) !== undefined;
}

/** The purpose of a command that takes a resource with a URL, by its name, as errors tell it. */
const PURPOSES = { url: "print the URL of", connect: "connect to" } as const;

/** The resource that is meant; a kind means the only one of it. An environment in its place is told, where none follows. */
export async function resourceWithUrl(
  project: Project,
  command: keyof typeof PURPOSES,
  wanted = "database",
  env?: string,
): Promise<Declared> {
  const { config } = project;
  const all = declaredResources(config).filter(({ kind }) => KINDS[kind].variables.url !== undefined);
  const found = all.filter(({ kind, name }) => kind === wanted || keyOf(kind, name) === wanted);
  if (found.length === 1) return found[0]!;
  const [state, choices] = found.length === 0
    ? ["no database, cache or queue of this stack has that name", all]
    : ["there are several", found];
  const keys = choices.map(({ kind, name }) => keyOf(kind, name));
  const what = `Cannot ${PURPOSES[command]} "${wanted}"`;
  if (
    found.length === 0 && keys.length > 0 && env === undefined && isEnvName(wanted) &&
    await isKnownHere(project, wanted)
  ) {
    throw usage(`${what}: it is an environment`, `\`forkstack ${command} ${keys[0]} ${wanted}\``);
  }
  const near = found.length === 0 ? await didYouMean(wanted, keys) : "";
  const hint = keys.map((key) => `\`forkstack ${command} ${key}\``).join(", ") ||
    "`forkstack status` lists the variables";
  throw usage(`${what}: ${state}${near}`, hint);
}
