/**
 * The files that point a working directory at an environment: `.current-env`, `.env.local`, `.forkstack/envs/<env>.env`.
 *
 * @module
 */
import { findUpwards, ForkstackError, formatEnvLine, isForkstackError, openStack, parseEnvFile } from "../mod.ts";
import type { Project } from "./config.ts";
import type { World } from "./engine.ts";
import { fileError, type Files, sweepTemporary, temporaryPath } from "./files.ts";
import { disk } from "./disk.ts";
import { git } from "./git.ts";
import { basename, join, rawVariable, variable } from "./host.ts";
import { checkUntracked, POINTERS } from "./ownership.ts";
import { Secret } from "./secret.ts";

/** The variables of an environment, in the order in which they are written. */
export type Variables = Readonly<Record<string, string | Secret>>;

/** A project, and what reaches its files. */
export interface Place {
  readonly project: Project;
  readonly world: Pick<World, "files">;
}

/** The environment that this directory points to, and what decided it. */
export function currentEnv(project: Project): { env: string; decidedBy: string } {
  try {
    const { env, decidedBy } = openStack({ cwd: project.root, read: rawVariable });
    return { env, decidedBy };
  } catch (error) {
    if (isNamedByProcess() || !isForkstackError(error) || error.code !== "NAME_INVALID") throw error;
    const hint = "Point to an environment with `forkstack switch dev`";
    throw new ForkstackError(error.code, error.message, { hint, cause: error });
  }
}

/** Whether the process environment says which environment is current, and not a file that could be mended. */
export function isNamedByProcess(): boolean {
  return [variable("FORKSTACK_ENV"), variable("ENV")].some((value) => value !== undefined);
}

/** Where an environment's variables are kept. */
export function variablesPath(project: Project, env: string): string {
  return join(project.stateRoot, ".forkstack", "envs", `${env}.env`);
}

/** The variables of an environment's own file, or `undefined` if there is none. */
export async function readVariables(place: Place, env: string): Promise<Record<string, string> | undefined> {
  const text = await place.world.files.read(variablesPath(place.project, env));
  return text === undefined ? undefined : parseEnvFile(text);
}

/** Removes an environment's own file. */
export async function removeVariables(place: Place, env: string): Promise<void> {
  await place.world.files.remove(variablesPath(place.project, env));
  await sweep(place);
}

/** Removes what runs that died left of the files here; some hold credentials. */
async function sweep({ project, world: { files } }: Place): Promise<void> {
  for (const name of [...POINTERS, ".gitignore", "forkstack.json"]) {
    await sweepTemporary(files, join(project.root, name));
  }
  const envs = join(project.stateRoot, ".forkstack", "envs");
  for (const name of await files.list(envs)) {
    if (/\.forkstack-[0-9a-f]{8}$/.test(name)) await files.remove(join(envs, name));
  }
}

/**
 * Refuses to go on where a pointer file is not ours to write: git tracks it (a credential would be committed), or a
 * person wrote `.env.local`.
 */
export async function checkPointers({ project, world: { files } }: Place): Promise<void> {
  const local = await files.read(join(project.root, ".env.local"));
  if (local !== undefined && parseEnvFile(local).FORKSTACK_ENV === undefined) {
    throw new ForkstackError(
      "FOREIGN",
      `Cannot write "${join(project.root, ".env.local")}": forkstack did not make it`,
      {
        hint: "Rename it to .env, which forkstack never writes, and run the same command again",
      },
    );
  }
  await checkUntracked(project, true);
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
}

interface Staged {
  readonly path: string;
  readonly temporary: string;
  readonly text: string;
  readonly before: string | undefined;
  readonly mode: number;
}

/** Prepares all files that change with an environment. The caller has asked `checkPointers` first. */
export async function prepareFiles(place: Place, wanted: Wanted): Promise<Change> {
  const { project, world: { files } } = place;
  const projectFiles = await changedProjectFiles(place);
  // .gitignore first: never is there a credential that git does not ignore. .env.local before .current-env: in
  // between, the runtime stops rather than mix the two.
  const staged = await stageAll(place, async () => [...projectFiles, ...await environmentFiles(place, wanted)]);
  return {
    changedFiles: projectFiles.map(([path]) => basename(path)),
    async commit() {
      for (const one of staged) await put(files, one);
      // Others may point this directory elsewhere at the same time. Whoever writes last looks last: it makes them agree.
      for (let attempt = 1; wanted.activate && attempt <= 100 && !await pointersAgree(place); attempt++) {
        for (const one of staged) if (isPointer(project, one.path)) await put(files, one);
      }
    },
    undo: () => putBack(files, staged),
  };
}

/** Writes what is wanted beside its places; nothing is left of it where that fails. */
async function stageAll(place: Place, wanted: () => Promise<readonly Written[]>): Promise<Staged[]> {
  const { project, world: { files } } = place;
  const staged: Staged[] = [];
  let doing = `read the files of "${project.root}"`;
  try {
    await sweep(place);
    for (const [path, text, mode] of await wanted()) {
      doing = `write "${path}"`;
      const one = { path, temporary: temporaryPath(path), text, before: await files.read(path), mode };
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

async function stage(files: Files, { temporary, text, mode }: Staged): Promise<void> {
  await files.write(temporary, text, { mode, direct: true });
}

/** Gives a staged file its name; staged anew where another command, at work here too, took it for left behind. */
async function put(files: Files, one: Staged): Promise<void> {
  try {
    for (let attempt = 1;; attempt++) {
      try {
        return await files.replace(one.temporary, one.path);
      } catch (error) {
        if ((error as { code?: string }).code !== "ENOENT" || attempt === 20) throw error;
        await stage(files, one);
      }
    }
  } catch (error) {
    throw fileError(error, `write "${one.path}"`);
  }
}

function isPointer(project: Project, path: string): boolean {
  return POINTERS.some((name) => join(project.root, name) === path);
}

async function pointersAgree({ project, world: { files } }: Place): Promise<boolean> {
  const [current, local] = await Promise.all(POINTERS.map((name) => files.read(join(project.root, name))));
  return current?.trim() === parseEnvFile(local ?? "").FORKSTACK_ENV;
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
  await allOrNone(commit, change.undo, `Run \`forkstack switch ${wanted.env}\` once more`, wanted.env);
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
  for (const { path, temporary, text, before, mode } of staged.toReversed()) {
    try {
      await files.remove(temporary);
      if (text === before || await files.read(path) !== text) continue; // not ours, or another's by now
      if (before === undefined) await files.remove(path);
      else await files.write(path, before, { mode });
    } catch (error) {
      failures.push(fileError(error, `put "${path}" back`));
    }
  }
  return failures;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** A file, what it is to say, and its mode. */
export type Written = readonly [path: string, text: string, mode: number];

async function environmentFiles(place: Place, { env, variables, activate }: Wanted): Promise<Written[]> {
  const { project, world: { files } } = place;
  const path = variablesPath(project, env);
  const text = variables === undefined ? await files.read(path) ?? "" : textOf(project, env, variables);
  return [
    ...(variables === undefined ? [] : [[path, text, 0o600] as const]),
    ...(activate
      ? [
        [join(project.root, ".env.local"), text + await keptLines(place), 0o600] as const,
        [join(project.root, ".current-env"), `${env}\n`, 0o600] as const,
      ]
      : []),
  ];
}

function textOf(project: Project, env: string, variables: Variables): string {
  const all: Variables = { FORKSTACK_ENV: env, FORKSTACK_PROJECT: project.name, ...variables };
  const lines = Object.entries(all)
    .map(([name, value]) => formatEnvLine(name, value instanceof Secret ? value.reveal() : value));
  return `${lines.join("\n")}\n`;
}

/** What a person added to `.env.local`: variables that are not of the environment it is of. */
async function keptLines(place: Place): Promise<string> {
  const local = parseEnvFile(await place.world.files.read(join(place.project.root, ".env.local")) ?? "");
  const own = local.FORKSTACK_ENV === undefined ? undefined : await readVariables(place, local.FORKSTACK_ENV);
  if (own === undefined) return "";
  const added = Object.entries(local).filter(([name]) => own[name] === undefined);
  return added.length === 0
    ? ""
    : `# yours, kept\n${added.map(([name, value]) => `${formatEnvLine(name, value)}\n`).join("")}`;
}

/** The lines that .gitignore lacks: neither written there, nor is what they are for ignored by any other. */
async function lackingLines(project: Project, text: string): Promise<string[]> {
  const wanted: readonly [line: string, example: string][] = [
    ["/.forkstack/", ".forkstack/registry.db"],
    ["/.current-env", ".current-env"],
    ["/.env.local*", ".env.local.forkstack-0"], // the temporary file beside it holds the same credentials
    [`/${project.name}.*.db*`, `${project.name}.dev.db/x`],
  ];
  const bare = (line: string) => line.trim().replace(/^\/|\/$/g, "");
  const written = new Set(text.split(/\r?\n/).map(bare));
  const lacking = wanted.filter(([line]) => !written.has(bare(line)));
  const root = lacking.length === 0 ? project.root : await disk.realPath(project.root);
  const repository = lacking.length === 0 ? undefined : findUpwards(root, ".git");
  if (repository === undefined) return lacking.map(([line]) => line);
  const isIgnored = await Promise.all(lacking.map(async ([, example]) => {
    const path = join(root, example).slice(repository.length).replace(/^[\\/]/, "");
    return (await git(repository, ["check-ignore", "-q", "--no-index", "--", `./${path}`]))?.status === 0;
  }));
  return lacking.filter((_, at) => !isIgnored[at]).map(([line]) => line);
}

/** The first forkstack.json, and .gitignore with the lines that it lacks. */
export async function changedProjectFiles({ project, world: { files } }: Place): Promise<Written[]> {
  const changed: Written[] = [];
  const path = join(project.root, ".gitignore");
  const text = await files.read(path) ?? "";
  const lacking = await lackingLines(project, text);
  if (lacking.length > 0) {
    const end = text.includes("\r\n") ? "\r\n" : "\n";
    const whole = text === "" || text.endsWith("\n") ? text : text + end;
    changed.push([path, whole + lacking.map((line) => line + end).join(""), (await disk.mode(path) ?? 0o644) & 0o777]);
  }
  if (project.isNew) {
    changed.push([join(project.root, "forkstack.json"), `${JSON.stringify(project.config, null, 2)}\n`, 0o644]);
  }
  return changed;
}
