/**
 * Plan of `init` for an existing project: what is there, and what is missing in forkstack.json, .gitignore and tasks.
 * It only reads; the caller writes.
 *
 * @module
 */
import { findUpwards, isForkstackError } from "../../mod.ts";
import { disk } from "../system/disk.ts";
import { files } from "../system/files.ts";
import { basename, variable } from "../system/host.ts";
import { lackingForImages, linesText, withLines } from "../workspace/ignore.ts";
import { isDenos, type Origin, taskLine } from "../project/task_line.ts";
import { projectFile } from "../project/state_ownership.ts";
import { permissionsOf } from "../project/permissions.ts";
import { guardedNames } from "../workspace/variable_names.ts";
import { changedProjectFiles, checkPointers } from "../workspace/env_files.ts";
import { lackingCredentials, type Project, type Resource } from "../project/project.ts";
import { type FileReport, planTasks } from "./task_files.ts";
import type { EnvFile, Survey } from "./survey.ts";
import { hostOf, isElsewhere, STORES } from "./store_address.ts";
import { storeUrl } from "./next_step.ts";
import type { FoundStore, Warning } from "./propose.ts";
import type { Written } from "../workspace/staged_files.ts";

/** The changes of `init`, and the facts that it found. */
export interface InitPlan {
  /** Files with their new texts; none if nothing is missing. */
  readonly written: readonly Written[];
  readonly files: readonly FileReport[];
  /** Names of the user's own tasks that have our names; they stay. */
  readonly kept: readonly string[];
  /** The start of a command in this project: `"npm run envs:"`. */
  readonly command: string;
  readonly credentials: readonly CredentialReport[];
  readonly warnings: readonly Warning[];
}

/** The credentials of one provider. */
export interface CredentialReport {
  readonly provider: string;
  readonly state: "set" | "missing";
  readonly variables: readonly { readonly variable: string; readonly state: "set" | "missing" | "optional" }[];
  /** The hint on how to get the missing ones. */
  readonly hint?: string;
}

/** Finds everything that is missing in a project with these resources. */
export async function planInit(
  { project, manifests, makefile, envFiles, clues }: Survey,
  resources: readonly Resource[],
  { stores = [], ...tasks }: {
    readonly origin: Origin;
    readonly commands: readonly string[];
    /** Summaries of commands, for `make help`. @default {none} */
    readonly summaries?: Readonly<Record<string, string>>;
    /** Servers whose hosts the tasks may reach before their credentials are set. @default {none} */
    readonly stores?: readonly FoundStore[];
  },
): Promise<InitPlan> {
  const { root } = project;
  const place = { project, world: { files }, resources };
  const written: Written[] = [...await changedProjectFiles(place), ...await imageLines(project)];
  const reports: FileReport[] = [];
  for (const [path, content] of written) {
    const before = await files.read(path);
    const text = typeof content === "string" ? content : linesText(path, content);
    const known = new Set(before?.split(/\r?\n/));
    const added = text.split(/\r?\n/).filter((line) => line !== "" && !known.has(line));
    reports.push({ name: basename(path), state: before === undefined ? "created" : "changed", added });
  }
  const known = new Map(stores.map((one) => [one.server.credential, storeUrl(one)]));
  const { set, unset } = permissionsOf(project, resources, (name) => variable(name) ?? known.get(name));
  const hosts = set.net ?? [];
  const planned = await planTasks({ root, manifests, makefile, isWanted: clues.needsMakefile }, { ...tasks, hosts });
  written.push(...planned.written);
  reports.push(...planned.reports);
  const warnings = await pointerWarnings(place);
  if (planned.manifest === "package.json" && isStranger(tasks.origin, root)) warnings.push(STRANGER);
  if (isDenos(tasks.origin) && unset.length > 0 && planned.reports.length > 0) warnings.push(hostless(unset));
  warnings.push(...envFiles.flatMap((file) => envWarnings(file, { resources, stores, clues })));
  return {
    written,
    files: reports,
    kept: planned.kept,
    command: planned.command ?? taskLine(tasks.origin, "", root, hosts),
    credentials: credentialsOf(resources, envFiles),
    warnings,
  };
}

/** Returns `.dockerignore` with its missing lines, which keep credentials out of images. */
async function imageLines(project: Project): Promise<Written[]> {
  const path = await projectFile(project.root, ".dockerignore");
  const before = await files.readBytes(path);
  const lacking = lackingForImages(project, await files.list(project.root), linesText(path, before));
  return lacking.length === 0 ? [] : [[path, withLines(before, lacking), (await disk.mode(path) ?? 0o644) & 0o777]];
}

function credentialsOf(resources: readonly Resource[], envFiles: readonly EnvFile[]): CredentialReport[] {
  const providers = new Map(resources.map(({ provider }) => [provider.name, provider]));
  return [...providers.values()].filter(({ credentials }) => credentials.length > 0).map((provider) => {
    const isSet = (name: string) => variable(name) !== undefined;
    const { credentials, credentialsHint } = provider;
    const lacking = lackingCredentials(credentials, isSet);
    const isReady = lacking.length === 0;
    const stateOf = (name: string): CredentialReport["variables"][number]["state"] => {
      if (isSet(name)) return "set";
      return lacking.includes(name) ? "missing" : "optional";
    };
    const variables = credentials.map((one) => ({ variable: one.variable, state: stateOf(one.variable) }));
    const file = envFiles.find(({ values }) => lacking.some((name) => values[name]))?.name;
    const unread = file === undefined ? undefined : `${file} has it, which forkstack does not read: export it`;
    const hint = [unread, credentialsHint].filter(Boolean).join("; or ");
    return {
      provider: provider.name,
      state: isReady ? "set" as const : "missing" as const,
      variables,
      hint: isReady || hint === "" ? undefined : hint,
    };
  });
}

/** Returns true for a package that was started by `npx` or similar, so that scripts here would not find it. */
function isStranger({ kind }: Origin, root: string): boolean {
  return kind === "package" && findUpwards(root, "node_modules/.bin/forkstack") === undefined;
}

const STRANGER: Warning = {
  problem: "forkstack is not installed here: the scripts will not find it",
  fix: "Add the package forkstack to devDependencies, and install",
};

function hostless(unset: readonly string[]): Warning {
  return {
    problem: `${unset.join(", ")} ${unset.length === 1 ? "is" : "are"} not set: the tasks do not allow the host in it`,
    fix: "Set it, take the tasks out, and run init again; or add --allow-net=<host> to them",
  };
}

/** Lists the problems on which `new` would stop. */
async function pointerWarnings(place: Parameters<typeof checkPointers>[0]): Promise<Warning[]> {
  try {
    await checkPointers(place);
    return [];
  } catch (error) {
    if (!isForkstackError(error)) throw error;
    return [{ problem: `${error.message}; \`forkstack new\` will stop on it`, fix: error.hint ?? "" }];
  }
}

/** Lists warnings about values in an env file that belong to no environment. Shows neither values nor their hosts. */
function envWarnings(
  { name, values }: EnvFile,
  { resources, stores, clues }: {
    readonly resources: readonly Resource[];
    readonly stores: readonly FoundStore[];
    readonly clues: Survey["clues"];
  },
): Warning[] {
  const guarded = new Set(resources.flatMap(guardedNames));
  const set = Object.keys(values).filter((one) => values[one] !== "");
  const told = (one: string) => isElsewhere(hostOf(values[one]!)) ? `${one} (another machine's)` : one;
  const known = set.filter((one) => guarded.has(one));
  const unknown = set.filter((one) =>
    !guarded.has(one) && STORES.test(values[one]!) && isElsewhere(hostOf(values[one]!))
  );
  const warnings: Warning[] = [];
  if (known.length > 0) {
    const names = known.map(told).join(", ");
    const them = known.length === 1 ? "it" : "them";
    const used = stores.filter(({ server }) => resources.some(({ provider }) => provider.name === server.provider));
    // The next commands read the data's place there.
    const later = clues.addresses.filter(({ fault, isHere }) => fault !== undefined && isHere); // once they are mended
    const isRead = [...used, ...later, ...clues.fileAddresses].some(({ file, variable = "" }) =>
      file === name && known.includes(variable)
    );
    const fix = isRead ? `Once dev has its data, take ${them} out` : `Take ${them} out`;
    warnings.push({
      problem: `${name} sets ${names}: a program that loads it uses that in every environment, and the getters of ` +
        "mod.ts stop with ENV_CONFLICT",
      fix: `${fix}: forkstack gives each environment its own. ` +
        "What is production's belongs where production runs, beside FORKSTACK_ENV=prod",
    });
  }
  if (unknown.length > 0) {
    const names = unknown.map(told).join(", ");
    const them = unknown.length === 1 ? "it" : "them";
    warnings.push({
      problem: `${name} sets ${names}, which the guard does not know: ` +
        `a program that reads ${them} uses that machine in every environment`,
      fix: "Read the database and the like through mod.ts, e.g. getDatabaseUrl()",
    });
  }
  return warnings;
}
