/**
 * The place of the registry: the project's own file, or the one that `registry.url` names. A file is opened only after
 * its first bytes show that forkstack made it, because SQLite would change another program's file.
 *
 * @module
 */
import { assertOwned, ForkstackError } from "../../mod.ts";
import { absent, disk } from "../system/disk.ts";
import { files, sweepTemporary, temporaryPath } from "../system/files.ts";
import { basename, cwd, dirname, join } from "../system/host.ts";
import { checkRegistryUntracked } from "../project/state_ownership.ts";
import { registryUrlProblem } from "../project/registry_url.ts";
import type { Project } from "../project/project.ts";

/** The error for a registry that belongs to another program. */
export function foreignRegistry(state: string): ForkstackError {
  return new ForkstackError("REGISTRY_FOREIGN", `Cannot use the registry: ${state}`, {
    hint: "Give each project a registry of its own, or set `project` of forkstack.json back",
  });
}

/** Returns true if the registry is the project's own file, not one that `registry.url` names. */
export function isOwnPlace({ config }: Pick<Project, "config">): boolean {
  return config.registry === undefined;
}

/** Returns the path of a registry that is a file; `undefined` for one on a server. */
export async function registryFile(project: Project): Promise<string | undefined> {
  const url = project.config.registry?.url;
  if (url === undefined) return join(project.stateRoot, ".forkstack", "registry.db");
  if (!url.startsWith("file:")) return undefined;
  const problem = registryUrlProblem(url);
  if (problem !== undefined) throw unusable(problem);
  return (await import("node:url")).fileURLToPath(url);
}

/** Returns the URL of a registry's server, after checking that a token may be sent there. */
export function serverUrl(url: string): string {
  const problem = registryUrlProblem(url);
  if (problem === undefined) return url;
  throw unusable(problem);
}

function unusable(problem: string): ForkstackError {
  return new ForkstackError("CONFIG_INVALID", `Cannot use the registry: "registry.url" ${problem}`, {
    hint: 'It is like "libsql://myapp-registry.example"',
  });
}

/**
 * Returns true if a registry exists at the path and forkstack made it. The project's own file always counts as made by
 * forkstack: opening it reports damage, and a killed run may have left it empty.
 *
 * @throws {ForkstackError} REGISTRY_FOREIGN, NOT_PERMITTED for a link and for another user's file, or GIT_TRACKED.
 */
export async function isRegistryThere(project: Project, path: string): Promise<boolean> {
  const found = await disk.look(path);
  if (isOwnPlace(project)) {
    if (found?.type === "other") throw foreignRegistry(`"${path}" is no file`); // opening a pipe would wait for ever
    return found !== undefined;
  }
  const own = ["", "-wal", "-shm", "-journal"].map((suffix) => basename(path) + suffix);
  const names = [...own, "locks", "registry-id"];
  for (const name of names) assertOwned(join(dirname(path), name), cwd(), false);
  await checkRegistryUntracked(dirname(path), names);
  if (found === undefined) return false;
  if (found.type !== "file") throw foreignRegistry(`"${path}" is no file`);
  // Read once: closing a file drops the locks that SQLite holds on it in this process.
  if (!made.has(path) && !(headOf(path).startsWith(MAGIC) && [path, `${path}-wal`].some(holdsSchema))) {
    throw foreignRegistry(`forkstack did not make "${path}"`);
  }
  made.add(path);
  return true;
}

/** Paths of the files that were read and found to be registries. */
const made = new Set<string>();
const MAGIC = "SQLite format 3\0"; // https://sqlite.org/fileformat2.html
const HEAD_BYTES = 65_536;

/**
 * Returns true if a database begins with the definitions of our tables, or its log does while its first pages are not
 * yet in the file.
 */
function holdsSchema(path: string): boolean {
  const head = headOf(path);
  return ["environments", "resources", "journal", "locks"].every((table) => head.includes(`CREATE TABLE ${table} (`));
}

/** Reads the beginning of a file, one character per byte; an empty text if there is no file. */
function headOf(path: string): string {
  const { closeSync, openSync, readSync } = process.getBuiltinModule("node:fs");
  let file;
  try {
    file = openSync(path, "r");
  } catch (error) {
    return absent(error as { code?: string }) ?? "";
  }
  try {
    const bytes = new Uint8Array(HEAD_BYTES);
    return new TextDecoder("latin1").decode(bytes.subarray(0, readSync(file, bytes)));
  } finally {
    closeSync(file);
  }
}

/** Creates a file under a temporary name beside its place, then renames it unless another process was first. */
export async function beginAside(path: string, make: (aside: string) => Promise<void>): Promise<void> {
  const aside = temporaryPath(path);
  await make(aside);
  try {
    await disk.link(aside, path);
  } catch (error) {
    const { code = "" } = error as { code?: string };
    if (!/^(EEXIST|ENOENT)$/.test(code) || await disk.look(path) === undefined) throw error;
  } finally {
    await disk.remove(aside);
  }
  await sweepTemporary(files, path);
}
