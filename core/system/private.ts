/**
 * Reading a secret of this machine from a file that only this user can read and write. A file that came with a
 * repository, or that others may read or have written, is refused.
 *
 * @module
 */
import { ForkstackError, isOwned } from "../../mod.ts";
import { disk } from "./disk.ts";
import { temporaryPath } from "./files.ts";
import { basename, cwd, dirname, system } from "./host.ts";

const MAX_BYTES = 4096;

/**
 * Reads a file that belongs to this user alone; `undefined` if there is none.
 *
 * @throws {ForkstackError} NOT_PERMITTED if it is a link or another user's, or others may read or write it
 */
export async function readPrivate(path: string): Promise<string | undefined> {
  const found = await disk.look(path);
  if (found === undefined) return undefined;
  if (found.type === "other" && await isLink(path)) throw refused(path, "it is a link");
  if (found.type !== "file" || found.sizeBytes > MAX_BYTES) throw refused(path, "it is not what forkstack wrote");
  if (!isOwned(path, cwd())) throw refused(path, "another user owns it");
  const isOpen = system() !== "windows" && ((await disk.mode(path) ?? 0) & 0o077) !== 0;
  if (isOpen && await hasModes(path)) throw refused(path, "other users may read or change it");
  return await disk.readText(path);
}

async function isLink(path: string): Promise<boolean> {
  const entries = await disk.entries(dirname(path));
  return entries.some(({ name, type }) => name === basename(path) && type === "link");
}

/**
 * Returns true if the file system keeps modes: some that are shared with another system show one mode for all files.
 */
async function hasModes(path: string): Promise<boolean> {
  const probe = temporaryPath(path);
  try {
    await disk.writeNew(probe, "", 0o600);
    return ((await disk.mode(probe) ?? 0) & 0o077) === 0;
  } catch {
    return true; // where nothing can be written
  } finally {
    await disk.remove(probe);
  }
}

function refused(path: string, state: string): ForkstackError {
  return new ForkstackError("NOT_PERMITTED", `Cannot use the key file ${JSON.stringify(path)}: ${state}`, {
    hint: "Remove it and the files in .forkstack/envs/, then switch to the environment again: all get new keys",
  });
}
