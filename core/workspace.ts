/**
 * The files that point a working directory at an environment: `.current-env`, `.env.local`, `.forkstack/envs/<env>.env`.
 *
 * @module
 */
import {
  derivedVariables,
  envFileOf,
  findUpwards,
  ForkstackError,
  formatEnvLine,
  isForkstackError,
  NAME_PATTERN,
  parseEnvFile,
} from "../mod.ts";
import type { Project, Resource } from "./config.ts";
import type { World } from "./engine.ts";
import * as block from "./env_block.ts";
import { fileError, type Files, sweepTemporary, temporaryPath } from "./files.ts";
import { disk, sameBytes } from "./disk.ts";
import { isIgnored } from "./git.ts";
import { basename, dirname, join, system } from "./host.ts";
import { ignoreLines, lackingExclude, lackingIn, withLines } from "./ignore.ts";
import { checkUntracked, pointersOf } from "./ownership.ts";
import { variableNames } from "./program.ts";
import { Secret } from "./secret.ts";
import { messageOf } from "./shown.ts";

/** The variables of an environment, in the order in which they are written. */
export type Variables = Readonly<Record<string, string | Secret>>;

/** The variable that remembers which lease the credentials beside it are for, where some end with the lease. */
export const LEASE_VARIABLE = "FORKSTACK_EXPIRES_AT";

/** A project, and what reaches its files. */
export interface Place {
  readonly project: Project;
  readonly world: Pick<World, "files"> & Partial<Pick<World, "warn">>;
  /** The stack's resources, where they are loaded. */
  readonly resources?: readonly Resource[];
}

/** Where an environment's variables are kept. */
export function variablesPath(project: Project, env: string): string {
  return join(project.stateRoot, ".forkstack", "envs", `${env}.env`);
}

/**
 * The variables of an environment's own file, or `undefined` if there is none. Paths of embedded providers are those of
 * today: the file may have been written in another directory.
 */
export async function readVariables(place: Place, env: string): Promise<Record<string, string> | undefined> {
  const written = await writtenVariables(place, env);
  return written && { ...written, ...staleVariables(place.project, env, written) };
}

/** The variables of embedded providers that differ from what forkstack.json and the place of the state give now. */
export function staleVariables(
  { config, stateRoot }: Project,
  env: string,
  written: Readonly<Record<string, string>>,
): Record<string, string> {
  const derived = Object.entries(derivedVariables(config, stateRoot, env));
  return Object.fromEntries(derived.filter(([name, value]) => Object.hasOwn(written, name) && written[name] !== value));
}

/** The variables as an environment's own file has them, stale ones too. */
export async function writtenVariables(place: Place, env: string): Promise<Record<string, string> | undefined> {
  const path = variablesPath(place.project, env);
  const text = await place.world.files.read(path);
  if (text?.includes("\0")) {
    throw new ForkstackError("STATE_DAMAGED", `Cannot read "${path}": it is not what forkstack wrote`, {
      hint: "Remove it; `forkstack switch <env>` writes it again",
      details: { env },
    });
  }
  return text === undefined ? undefined : parseEnvFile(text, `"${path}"`);
}

/** Removes an environment's own file. */
export async function removeVariables(place: Place, env: string): Promise<void> {
  await place.world.files.remove(variablesPath(place.project, env));
  await sweep(place);
}

/** Removes what runs that died left of the files here; some hold credentials. */
async function sweep({ project, world: { files } }: Place): Promise<void> {
  for (const name of [...pointersOf(project), ".gitignore", "forkstack.json"]) {
    await sweepTemporary(files, join(project.root, name));
  }
  await sweepTemporary(files, join(project.stateRoot, ".forkstack", "registry-id"));
  const envs = join(project.stateRoot, ".forkstack", "envs");
  for (const name of await files.list(envs)) {
    if (/\.forkstack-[0-9a-f]{8}$/.test(name)) await files.remove(join(envs, name));
  }
}

/**
 * Refuses to go on where git tracks a pointer file, since a credential would be committed, and unless `activates` is
 * false, where the env file can't take a block: see `checkLocal`.
 */
export async function checkPointers(
  place: Place,
  { activates = true, anyway = false }: { activates?: boolean; anyway?: boolean } = {},
): Promise<void> {
  await checkUntracked(place.project, true);
  const ignored = await place.world.files.stat(join(place.project.root, ".gitignore"));
  if (ignored !== undefined && ignored.type !== "file") await changedProjectFiles(place); // before anything is made
  if (activates) await checkLocal(place, anyway);
}

/**
 * Refuses an env file that is a link or lies behind one, has damaged markers, or, unless `anyway`, a person's line of our
 * variables.
 */
async function checkLocal(place: Place, anyway: boolean): Promise<void> {
  const { project, world: { files } } = place;
  const path = localPath(project);
  if (path === undefined) return;
  const [found, directory] = [await files.stat(path), dirname(path)];
  if (found !== undefined && found.type !== "file") throw foreignFile(path, "it is no regular file");
  const isDeeper = directory !== project.root;
  const real = isDeeper ? await disk.realPath(directory) : directory;
  const straight = isDeeper ? join(await disk.realPath(project.root), directory.slice(project.root.length)) : directory;
  if (real !== straight) throw foreignFile(path, `"${directory}" is a link, or behind one`);
  if (isDeeper && await files.stat(directory) === undefined) {
    throw new ForkstackError("CONFIG_INVALID", `Cannot write "${path}": there is no directory "${directory}"`, {
      hint: 'Make it, or name another file in "envFile" of forkstack.json',
    });
  }
  const text = textOf(await files.readBytes(path));
  const names = new Set(anyway ? [] : variableNames(place.resources ?? []));
  block.refuseDoubles(text, names, await knownOf(place, text));
}

function foreignFile(path: string, state: string): ForkstackError {
  return new ForkstackError("FOREIGN", `Cannot write "${path}": ${state}`, {
    hint: "Move it away, then run the same command again; a link may lead to another checkout's file",
  });
}

/** A file as `env_block.ts` has it. */
export function textOf(bytes: Uint8Array | undefined): string {
  return block.textOfBytes(bytes ?? new Uint8Array());
}

/** Path of the file that holds the block; `undefined` where none does. */
export function localPath({ root, config }: Project): string | undefined {
  const file = envFileOf(config);
  return file === undefined ? undefined : join(root, file);
}

/** What tells forkstack's lines in a file that 0.1.0 wrote. */
export async function knownOf(place: Place, text: string): Promise<block.Known> {
  const name = `"${localPath(place.project) ?? ""}"`;
  const env = block.blockVariables(text, name).FORKSTACK_ENV;
  const isName = env !== undefined && env.length <= 63 && NAME_PATTERN.test(env);
  const variables = isName ? await readVariables(place, env) : undefined;
  return { name, given: new Set(variableNames(place.resources ?? [])), of: () => variables };
}

/** Files written beside their places, with all their bytes on the disk, so that `commit` has only names to change. */
export interface Change {
  /** Those of the project's own files that it changes: `forkstack.json`, `.gitignore`. */
  readonly changedFiles: readonly string[];
  commit(): Promise<void>;
  /** Puts everything back as it was, before `commit`, after it, or after it failed; says what it could not. */
  undo(): Promise<unknown[]>;
}

/** What files are to say. */
export interface Wanted {
  readonly env: string;
  /** The environment's own file; absent if it is there. */
  readonly variables?: Variables;
  /** Point this directory at the environment. */
  readonly activate: boolean;
  /** A person's line that sets what the environment sets does not stop it. @default {false} */
  readonly anyway?: boolean;
}

interface Staged {
  readonly path: string;
  readonly temporary: string;
  readonly mode: number;
  content: Uint8Array;
  before: Uint8Array | undefined;
  /** Permission bits of what was there. */
  readonly modeBefore: number;
  /** The content made anew of what a person has saved meanwhile, in a file that is a person's too. */
  readonly remake?: Remake;
}

/** A file's content made of what the file says now. */
type Remake = (now: Uint8Array | undefined) => Promise<Uint8Array>;

/** Prepares all files that change with an environment. The caller has asked `checkPointers` first. */
export async function prepareFiles(place: Place, wanted: Wanted): Promise<Change> {
  const { project, world: { files } } = place;
  const projectFiles = await changedProjectFiles(place);
  // .gitignore first: never is there a credential that git does not ignore. The env file before .current-env: in
  // between, the runtime stops rather than mix the two.
  const staged = await stageAll(place, async () => [...projectFiles, ...await environmentFiles(place, wanted)]);
  return {
    changedFiles: projectFiles.map(([path]) => basename(path)),
    async commit() {
      await exclude(place);
      for (const one of staged) await put(files, one);
      tellClosed(place, staged);
      // Others may point this directory elsewhere at the same time. Whoever writes last looks last: it makes them agree.
      for (let attempt = 1; wanted.activate && attempt <= 100 && !await pointersAgree(place); attempt++) {
        for (const one of staged) if (isPointer(project, one.path)) await put(files, one);
      }
    },
    undo: () => putBack(files, staged),
  };
}

/** Writes what is wanted beside its places; nothing is left of it where that fails. */
async function stageAll(place: Place, wanted: () => Promise<readonly Planned[]>): Promise<Staged[]> {
  const { project, world: { files } } = place;
  const staged: Staged[] = [];
  let doing = `read the files of "${project.root}"`;
  try {
    await sweep(place);
    for (const [path, content, mode] of await wanted()) {
      doing = `write "${path}"`;
      const before = await files.readBytes(path);
      const one = {
        path,
        temporary: temporaryPath(path),
        mode,
        content: typeof content === "string" ? new TextEncoder().encode(content) : await content(before),
        before,
        modeBefore: (await disk.mode(path) ?? mode) & 0o777,
        ...(typeof content === "string" ? {} : { remake: content }),
      };
      staged.push(one);
      await stage(files, one);
    }
    return staged;
  } catch (error) {
    await putBack(files, staged);
    throw fileError(error, doing);
  }
}

/** Writes files of the project itself, all or none. */
export async function writeProjectFiles(place: Place, written: readonly Written[]): Promise<void> {
  const { files } = place.world;
  for (const [path] of written) await sweepTemporary(files, path);
  const staged = await stageAll(place, () => Promise.resolve(written));
  const commit = async () => {
    for (const one of staged) await put(files, one);
  };
  await allOrNone(
    commit,
    () => putBack(files, staged),
    "Look at the files of the project, and run the same command again",
  );
}

/** Has git ignore what we write on every branch and in every worktree, where its directory may be written. */
async function exclude(place: Place): Promise<void> {
  try {
    const lacking = await lackingExclude(place.project, place.world.files);
    if (lacking === undefined) return;
    const remake = (now: Uint8Array | undefined) => Promise.resolve(block.bytesOfText(lacking.complete(textOf(now))));
    await rewriteShared(place, lacking.path, remake, 0o644);
  } catch (error) {
    const known = fileError(error, "have git ignore what forkstack writes");
    if (!isForkstackError(known) || known.code !== "NOT_PERMITTED") throw known;
  }
}

/** Writes a file that is a person's too as it is made of what it says; its mode stays. */
export async function rewriteShared(place: Place, path: string, remake: Remake, modeOfNew = 0o600): Promise<void> {
  const mode = (await disk.mode(path) ?? modeOfNew) & 0o777;
  const [one] = await stageAll(place, () => Promise.resolve([[path, remake, mode]]));
  try {
    await put(place.world.files, one);
  } finally {
    await place.world.files.remove(one.temporary);
  }
}

async function stage(files: Files, { temporary, content, mode }: Staged): Promise<void> {
  await files.remove(temporary);
  await files.write(temporary, content, { mode, direct: true });
}

/** Says that others could read a file until now. */
function tellClosed({ world }: Place, staged: readonly Staged[]): void {
  if (system() === "windows") return;
  for (const { path, before, mode, modeBefore, remake } of staged) {
    if (remake === undefined || before === undefined || mode === modeBefore || (modeBefore & 0o077) === 0) continue;
    world.warn?.(
      `"${path}" holds credentials now, so that only you can read it: mode 600, was ${modeBefore.toString(8)}`,
    );
  }
}

/** Gives a staged file its name; staged anew where another command, at work here too, took it for left behind. */
async function put(files: Files, one: Staged): Promise<void> {
  try {
    for (let attempt = 1;; attempt++) {
      try {
        if (one.remake === undefined) return await files.replace(one.temporary, one.path);
        return await merge(files, one, one.remake);
      } catch (error) {
        if ((error as { code?: string }).code !== "ENOENT" || attempt === 20) throw error;
        await stage(files, one);
      }
    }
  } catch (error) {
    throw fileError(error, `write "${one.path}"`);
  }
}

const MOST_SAVES = 100;

/** Puts a file that others write too in its place: whatever they save meanwhile is taken into it. */
async function merge(files: Files, one: Staged, remake: Remake): Promise<void> {
  const remakeOf = async (now: Uint8Array | undefined) => {
    one.before = now;
    one.content = await remake(now);
    await stage(files, one);
  };
  let expected = await files.readBytes(one.path);
  if (sameBytes(expected, one.content)) return await files.remove(one.temporary);
  if (!sameBytes(expected, one.before)) await remakeOf(expected);
  let late: readonly [from: string, to: string] | undefined; // what was saved as the file was replaced
  for (let attempt = 1; attempt <= MOST_SAVES; attempt++) {
    const { isDone, seen } = await files.swap(one.temporary, one.path, expected);
    if (isDone && sameBytes(seen, expected)) return;
    if (isDone) late = [textOf(expected), textOf(seen)];
    expected = isDone ? await files.readBytes(one.path) : seen;
    const isAlone = sameBytes(expected, one.content);
    const merged = late === undefined ? undefined : isAlone ? late[1] : block.withEdit(textOf(expected), ...late);
    await remakeOf(merged === undefined ? expected : block.bytesOfText(merged));
  }
  throw new ForkstackError("CONFLICT", `Cannot write "${one.path}": another program changes it all the time`, {
    hint: "Close what writes it, and run the same command again",
    retryable: true,
  });
}

function isPointer(project: Project, path: string): boolean {
  return pointersOf(project).some((name) => join(project.root, name) === path);
}

async function pointersAgree({ project, world: { files } }: Place): Promise<boolean> {
  const path = localPath(project);
  if (path === undefined) return true;
  const current = await files.read(join(project.root, ".current-env"));
  const local = await files.readBytes(path);
  return current?.trim() === block.blockVariables(textOf(local)).FORKSTACK_ENV;
}

/** Changes all files that change with an environment, or none; none too if `verify` rejects afterwards. */
export async function changeFiles(
  place: Place,
  wanted: Wanted,
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

async function allOrNone(
  commit: () => Promise<void>,
  undo: () => Promise<unknown[]>,
  hint: string,
  env?: string,
): Promise<void> {
  try {
    await commit();
  } catch (error) {
    const failures = await undo();
    if (failures.length === 0) throw error;
    throw new ForkstackError(
      "UNDO_INCOMPLETE",
      `${messageOf(error)}. Undoing failed: ${failures.map(messageOf).join("; ")}`,
      {
        hint,
        ...(env === undefined ? {} : { details: { env } }),
        cause: new AggregateError([error, ...failures]),
      },
    );
  }
}

async function putBack(files: Files, staged: readonly Staged[]): Promise<unknown[]> {
  const failures: unknown[] = [];
  for (const one of staged.toReversed()) {
    const { path, temporary, content, before, mode, modeBefore, remake } = one;
    try {
      await files.remove(temporary);
      if (sameBytes(content, before) && mode === modeBefore) continue;
      if (remake !== undefined) {
        await takeBack(files, one);
        continue;
      }
      if (!sameBytes(await files.readBytes(path), content)) continue; // not ours, or another's by now
      if (before === undefined) await files.remove(path);
      else await files.write(path, before, { mode: modeBefore });
    } catch (error) {
      failures.push(fileError(error, `put "${path}" back`));
    }
  }
  return failures;
}

/** Takes forkstack's lines out of a file again, or the earlier ones in; a person's stay as they are by now. */
async function takeBack(files: Files, { path, temporary, content, before, modeBefore }: Staged): Promise<void> {
  for (let attempt = 1; attempt <= MOST_SAVES; attempt++) {
    const now = await files.readBytes(path);
    if (now === undefined) return;
    const earlier = textOf(before);
    const restored = block.withoutChange(textOf(now), textOf(content), earlier);
    if (restored === undefined) return; // another's by now
    if (before === undefined && restored === "") return await files.remove(path);
    await files.write(temporary, block.bytesOfText(restored), { mode: modeBefore, direct: true });
    const { isDone, seen } = await files.swap(temporary, path, now);
    if (isDone && sameBytes(seen, now)) return;
    await files.remove(temporary);
  }
  throw new ForkstackError("CONFLICT", "another program changes it all the time");
}

/** A file, what it is to say or how that is made of what it says, and its mode. */
type Planned = readonly [path: string, content: string | Remake, mode: number];

/** A file, what it is to say, and its mode. */
export type Written = readonly [path: string, text: string, mode: number];

async function environmentFiles(place: Place, { env, variables, activate, anyway }: Wanted): Promise<Planned[]> {
  const { project } = place;
  const path = variablesPath(project, env);
  const local = localPath(project);
  const written = variables === undefined ? await writtenVariables(place, env) : tellable(project, env, variables);
  const stale = staleVariables(project, env, written ?? {});
  const told = { ...written, ...stale };
  const isNew = variables !== undefined || Object.keys(stale).length > 0;
  return [
    ...(isNew ? [[path, linesOf(told), 0o600] as const] : []),
    ...(activate
      ? [
        ...await formerFile(place),
        ...(local === undefined ? [] : [[local, await localFile(place, told, anyway === true), 0o600] as const]),
        [join(project.root, ".current-env"), `${env}\n`, 0o600] as const,
      ]
      : []),
  ];
}

/** The env file with these variables in forkstack's block, and every other byte as it is. */
async function localFile(place: Place, told: Readonly<Record<string, string>>, anyway: boolean): Promise<Remake> {
  const lines = block.formatBlock(told, await disk.realPath(place.project.root));
  return async (now) => {
    const text = textOf(now);
    const known = await knownOf(place, text);
    if (!anyway) block.refuseDoubles(text, new Set(Object.keys(told)), known);
    return block.bytesOfText(block.withBlock(text, lines, known));
  };
}

/** `.env.local` without the block that it has from before forkstack.json named another file, or none. */
async function formerFile(place: Place): Promise<Planned[]> {
  const { project, world: { files } } = place;
  const path = join(project.root, ".env.local");
  if (path === localPath(project) || (await files.stat(path))?.type !== "file") return [];
  const before = textOf(await files.readBytes(path));
  if (Object.keys(block.blockVariables(before, `"${path}"`)).length === 0) return [];
  const without = async (now: Uint8Array | undefined) => {
    const text = textOf(now);
    return block.bytesOfText(block.withoutBlock(text, await knownOf(place, text)));
  };
  return [[path, without, (await disk.mode(path) ?? 0o600) & 0o777]];
}

function tellable(project: Project, env: string, variables: Variables): Record<string, string> {
  const all: Variables = { FORKSTACK_ENV: env, FORKSTACK_PROJECT: project.name, ...variables };
  const plain = Object.entries(all).map(([name, value]) => [name, value instanceof Secret ? value.reveal() : value]);
  return Object.fromEntries(plain);
}

function linesOf(variables: Readonly<Record<string, string>>): string {
  return Object.entries(variables).map(([name, value]) => `${formatEnvLine(name, value)}\n`).join("");
}

/** The lines that .gitignore lacks: neither written there, nor is what they are for ignored by any other. */
async function lackingLines(project: Project, text: string): Promise<string[]> {
  const all = ignoreLines(project);
  const unwritten = lackingIn(text, all.map(([line]) => line));
  const lacking = all.filter(([line]) => unwritten.includes(line));
  const root = lacking.length === 0 ? project.root : await disk.realPath(project.root);
  const repository = lacking.length === 0 ? undefined : findUpwards(root, ".git");
  if (repository === undefined) return lacking.map(([line]) => line);
  const ignored = await Promise.all(
    lacking.map(([, example]) =>
      isIgnored(repository, join(root, example).slice(repository.length).replace(/^[\\/]/, ""))
    ),
  );
  return lacking.filter((_, at) => !ignored[at]).map(([line]) => line);
}

/** The first forkstack.json, and .gitignore with the lines that it lacks. */
export async function changedProjectFiles({ project, world: { files } }: Place): Promise<Written[]> {
  const changed: Written[] = [];
  const path = join(project.root, ".gitignore");
  const found = await files.stat(path);
  const text = found?.type === "file" ? await files.read(path) ?? "" : ""; // git, too, follows no link there
  const lacking = await lackingLines(project, text);
  if (lacking.length > 0 && found !== undefined && found.type !== "file") {
    throw new ForkstackError("FOREIGN", `Cannot write ${JSON.stringify(path)}: it is no regular file`, {
      hint: `Put a file in its place: git follows no link there, so that ${lacking[0]} would not be ignored`,
    });
  }
  if (lacking.length > 0) {
    changed.push([path, withLines(text, lacking), (await disk.mode(path) ?? 0o644) & 0o777]);
  }
  if (project.isNew) {
    changed.push([join(project.root, "forkstack.json"), `${JSON.stringify(project.config, null, 2)}\n`, 0o644]);
  }
  return changed;
}
