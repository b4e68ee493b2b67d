/**
 * The files that point a working directory at an environment: `.current-env`, `.env.local`, `.forkstack/envs/<env>.env`.
 *
 * @module
 */
import {
  derivedVariables,
  ForkstackError,
  formatEnvLine,
  isForkstackError,
  NAME_PATTERN,
  parseEnvFile,
  templatesOf,
} from "../../mod.ts";
import * as block from "./env_block.ts";
import { fileError } from "../system/files.ts";
import { disk } from "../system/disk.ts";
import { basename, dirname, join } from "../system/host.ts";
import { lackingExclude, lackingLines, linesText, withLines } from "./ignore.ts";
import { checkUntracked, pointersOf } from "../project/state_ownership.ts";
import { variableNames } from "./variable_names.ts";
import { shapedVariables } from "../engine/outputs.ts";
import { Secret, type Variables } from "../secret.ts";
import type { Project } from "../project/project.ts";
import { fileText, localPath, variablesPath, type Workspace } from "./workspace.ts";
import {
  allOrNone,
  type Planned,
  putBack,
  putStaged,
  type Remake,
  rewriteShared,
  stageAll,
  sweep,
  tellClosed,
  type Written,
} from "./staged_files.ts";

/**
 * Reads the variables of an environment: those in its own file, and those that forkstack.json shapes from them;
 * `undefined` if there is no file. Paths of embedded providers are updated, since the file may have been written in
 * another directory.
 */
export async function readVariables(place: Workspace, env: string): Promise<Record<string, string> | undefined> {
  const written = await writtenVariables(place, env);
  return written && updatedVariables(place.project, env, written);
}

/**
 * Returns the variables of embedded providers that differ from the values which forkstack.json and the state directory
 * give now; the path of a database also where only its URL is written, as earlier versions did.
 */
export function staleVariables(
  { config, root, stateRoot }: Project,
  env: string,
  written: Readonly<Record<string, string>>,
): Record<string, string> {
  const isWritten = (name: string) =>
    Object.hasOwn(written, name) || Object.hasOwn(written, name.replace(/DATABASE_PATH$/, "DATABASE_URL"));
  const derived = Object.entries(derivedVariables(config, stateRoot, env, root));
  return Object.fromEntries(derived.filter(([name, value]) => isWritten(name) && written[name] !== value));
}

/** Returns written variables as they are now: paths updated, with those that forkstack.json shapes. */
export function updatedVariables(
  project: Project,
  env: string,
  written: Readonly<Record<string, string>>,
): Record<string, string> {
  const stored = { ...written, ...staleVariables(project, env, written) };
  return { ...stored, ...shapedVariables(project, env, stored) };
}

/** Reads the variables in an environment's own file, including outdated ones. */
export async function writtenVariables(place: Workspace, env: string): Promise<Record<string, string> | undefined> {
  const path = variablesPath(place.project, env);
  const text = await place.world.files.read(path);
  if (text?.includes("\0")) {
    throw new ForkstackError("STATE_DAMAGED", `Cannot read "${path}": it is not what forkstack wrote`, {
      hint: `Remove it; \`forkstack switch ${env}\` writes it again`,
      details: { env },
    });
  }
  return text === undefined ? undefined : parseEnvFile(text, `"${path}"`);
}

/** Removes an environment's own file. */
export async function removeVariables(place: Workspace, env: string): Promise<void> {
  await place.world.files.remove(variablesPath(place.project, env));
  await sweep(place);
}

/**
 * Refuses to continue if git tracks a pointer file, because a credential would be committed, and unless `activates` is
 * false, if the env file cannot take a block (see `checkLocal`). Without `asksGit` it uses git's index as read when the
 * project was opened.
 */
export async function checkPointers(
  place: Workspace,
  { activates = true, anyway = false, asksGit = true }: { activates?: boolean; anyway?: boolean; asksGit?: boolean } =
    {},
): Promise<void> {
  if (asksGit) await checkUntracked(place.project, true);
  const path = join(place.project.root, ".gitignore");
  const ignored = await place.world.files.stat(path);
  if (ignored?.type === "file") linesText(path, await place.world.files.readBytes(path));
  else if (ignored !== undefined) await changedProjectFiles(place); // before anything is made
  if (activates) await checkLocal(place, anyway);
}

/**
 * Refuses an env file that is a link or behind one, has damaged markers, or, unless `anyway`, has a line of the user
 * for one of our variables.
 */
async function checkLocal(place: Workspace, anyway: boolean): Promise<void> {
  const { project, world: { files } } = place;
  const path = localPath(project);
  if (path === undefined) return;
  const [found, directory] = [await files.stat(path), dirname(path)];
  if (found !== undefined && found.type !== "file") throw foreignFile(path, "it is not a regular file");
  const isDeeper = directory !== project.root;
  const real = isDeeper ? await disk.realPath(directory) : directory;
  const straight = isDeeper ? join(await disk.realPath(project.root), directory.slice(project.root.length)) : directory;
  if (real !== straight) throw foreignFile(path, `"${directory}" is a link, or behind one`);
  if (isDeeper && await files.stat(directory) === undefined) {
    throw new ForkstackError("CONFIG_INVALID", `Cannot write "${path}": directory "${directory}" does not exist`, {
      hint: 'Make it, or name another file in "envFile" of forkstack.json',
    });
  }
  const text = fileText(await files.readBytes(path));
  const names = new Set(anyway ? [] : [...variableNames(place.resources ?? []), ...templatesOf(project.config).keys()]);
  block.refuseDoubles(text, names, await knownOf(place, text));
}

function foreignFile(path: string, state: string): ForkstackError {
  return new ForkstackError("FOREIGN", `Cannot write "${path}": ${state}`, {
    hint: "Move it away, then run the same command again; a link may lead to another checkout's file",
  });
}

/** Returns the data for finding forkstack's lines in a file of 0.1.0. */
export async function knownOf(place: Workspace, text: string): Promise<block.UnmarkedFormat> {
  const name = `"${localPath(place.project) ?? ""}"`;
  const env = block.blockVariables(text, name).FORKSTACK_ENV;
  const isName = env !== undefined && env.length <= 63 && NAME_PATTERN.test(env);
  const variables = isName ? await readVariables(place, env) : undefined;
  return { name, given: new Set(variableNames(place.resources ?? [])), of: () => variables };
}

/** Files that were written to disk under temporary names, so that `commit` only has to rename them. */
export interface Change {
  /** Names of the project's own files that it changes: `forkstack.json`, `.gitignore`. */
  readonly changedFiles: readonly string[];
  commit(): Promise<void>;
  /**
   * Restores the files, before `commit`, after it, or after its failure; returns the errors of those it could not
   * restore.
   */
  undo(): Promise<unknown[]>;
}

/** The requested contents of the files. */
export interface FilesSpec {
  readonly env: string;
  /** Variables for the environment's own file; absent if it exists already. */
  readonly variables?: Variables;
  /** Point this directory to the environment. */
  readonly activate: boolean;
  /** Continue although a line of the user sets one of the variables. @default {false} */
  readonly anyway?: boolean;
}

/** Prepares all files that change with an environment. Call `checkPointers` first. */
export async function prepareFiles(place: Workspace, wanted: FilesSpec): Promise<Change> {
  const { project, world: { files } } = place;
  const projectFiles = await changedProjectFiles(place);
  // .gitignore first: never is there a credential that git does not ignore. The env file before .current-env: in
  // between, the runtime stops rather than mix the two.
  const staged = await stageAll(place, async () => [...projectFiles, ...await environmentFiles(place, wanted)]);
  return {
    changedFiles: projectFiles.map(([path]) => basename(path)),
    async commit() {
      await exclude(place);
      for (const one of staged) await putStaged(files, one);
      tellClosed(place, staged);
      // Others may point this directory elsewhere at the same time. Whoever writes last looks last: it makes them agree.
      for (let attempt = 1; wanted.activate && attempt <= 100 && !await pointersAgree(place); attempt++) {
        for (const one of staged) if (isPointer(project, one.path)) await putStaged(files, one);
      }
    },
    undo: () => putBack(files, staged),
  };
}

/**
 * Adds forkstack's files to git's `info/exclude`, which is valid for all git branches and worktrees, if this user may
 * write it.
 */
async function exclude(place: Workspace): Promise<void> {
  try {
    const lacking = await lackingExclude(place.project, place.world.files);
    if (lacking === undefined) return;
    await rewriteShared(place, lacking.path, (now) => Promise.resolve(lacking.complete(now)), 0o644);
  } catch (error) {
    const known = fileError(error, "have git ignore what forkstack writes");
    if (!isForkstackError(known) || known.code !== "NOT_PERMITTED") throw known;
  }
}

function isPointer(project: Project, path: string): boolean {
  return pointersOf(project).some((name) => join(project.root, name) === path);
}

async function pointersAgree({ project, world: { files } }: Workspace): Promise<boolean> {
  const path = localPath(project);
  if (path === undefined) return true;
  const current = await files.read(join(project.root, ".current-env"));
  const local = await files.readBytes(path);
  return current?.trim() === block.blockVariables(fileText(local)).FORKSTACK_ENV;
}

/** Changes all files of an environment, or none; also none if `verify` rejects afterwards. */
export async function changeFiles(
  place: Workspace,
  wanted: FilesSpec,
  verify: () => Promise<unknown> = () => Promise.resolve(),
): Promise<readonly string[]> {
  const change = await prepareFiles(place, wanted);
  const commit = async () => {
    await change.commit();
    await verify();
  };
  await allOrNone(commit, change.undo, "Run the same command again", wanted.env);
  return change.changedFiles;
}

async function environmentFiles(place: Workspace, { env, variables, activate, anyway }: FilesSpec): Promise<Planned[]> {
  const { project } = place;
  const path = variablesPath(project, env);
  const local = localPath(project);
  const written = variables === undefined ? await writtenVariables(place, env) : tellable(project, env, variables);
  const stale = staleVariables(project, env, written ?? {});
  const stored = { ...written, ...stale };
  const isNew = variables !== undefined || Object.keys(stale).length > 0;
  const planned: Planned[] = [];
  if (isNew) planned.push([path, linesOf(stored), 0o600]);
  if (!activate) return planned;
  planned.push(...await formerFile(place));
  const told = { ...stored, ...shapedVariables(project, env, stored) };
  if (local !== undefined) planned.push([local, await localFile(place, told, anyway === true), 0o600]);
  planned.push([join(project.root, ".current-env"), `${env}\n`, 0o600]);
  return planned;
}

/** Returns the env file with these variables in forkstack's block, every other byte unchanged. */
async function localFile(place: Workspace, told: Readonly<Record<string, string>>, anyway: boolean): Promise<Remake> {
  const lines = block.formatBlock(told, await disk.realPath(place.project.root));
  return async (now) => {
    const text = fileText(now);
    const known = await knownOf(place, text);
    if (!anyway) block.refuseDoubles(text, new Set(Object.keys(told)), known);
    return block.bytesOfText(block.withBlock(text, lines, known));
  };
}

/** Returns `.env.local` without its block, if forkstack.json has named another env file, or none, since. */
async function formerFile(place: Workspace): Promise<Planned[]> {
  const { project, world: { files } } = place;
  const path = join(project.root, ".env.local");
  if (path === localPath(project) || (await files.stat(path))?.type !== "file") return [];
  const before = fileText(await files.readBytes(path));
  if (Object.keys(block.blockVariables(before, `"${path}"`)).length === 0) return [];
  const without = async (now: Uint8Array | undefined) => {
    const text = fileText(now);
    return block.bytesOfText(block.withoutBlock(text, await knownOf(place, text)));
  };
  return [[path, without, (await disk.mode(path) ?? 0o600) & 0o777]];
}

/** Returns variables as an environment's own file has them: without shaped ones, which are derived each time. */
function tellable(project: Project, env: string, variables: Variables): Record<string, string> {
  const templates = templatesOf(project.config);
  const all: Variables = { FORKSTACK_ENV: env, FORKSTACK_PROJECT: project.name, ...variables };
  const plain = Object.entries(all).filter(([name]) => !templates.has(name)).map((
    [name, value],
  ) => [name, value instanceof Secret ? value.reveal() : value]);
  return Object.fromEntries(plain);
}

function linesOf(variables: Readonly<Record<string, string>>): string {
  return Object.entries(variables).map(([name, value]) => `${formatEnvLine(name, value)}\n`).join("");
}

/** Returns forkstack.json if it is new, and .gitignore if it lacks lines. */
export async function changedProjectFiles({ project, world: { files } }: Workspace): Promise<Written[]> {
  const changed: Written[] = [];
  const path = join(project.root, ".gitignore");
  const found = await files.stat(path);
  const before = found?.type === "file" ? await files.readBytes(path) : undefined; // git, too, follows no link there
  const lacking = await lackingLines(project, files, linesText(path, before));
  if (lacking.length > 0 && found !== undefined && found.type !== "file") {
    throw new ForkstackError("FOREIGN", `Cannot write ${JSON.stringify(path)}: it is not a regular file`, {
      hint: `Put a regular file in its place: git does not follow a link there, so that ${
        lacking[0]
      } would not be ignored`,
    });
  }
  if (lacking.length > 0) {
    changed.push([path, withLines(before, lacking), (await disk.mode(path) ?? 0o644) & 0o777]);
  }
  if (project.isNew) {
    changed.push([join(project.root, "forkstack.json"), `${JSON.stringify(project.config, null, 2)}\n`, 0o644]);
  }
  return changed;
}
