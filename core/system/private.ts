/**
 * A secret of this machine in a file: read only where it can be nobody else's. What came with a repository, or what
 * others may read or have put there, is refused.
 *
 * @module
 */
import * as fs from "node:fs";
import { ForkstackError, isOwned } from "../../mod.ts";
import { temporaryPath } from "./files.ts";
import { cwd, system } from "./host.ts";

const MAX_BYTES = 4096;

/**
 * The text of a file that is this user's alone; `undefined` where there is none.
 *
 * @throws {ForkstackError} NOT_PERMITTED if it is a link or another user's, or others may read or write it
 */
export function readPrivate(path: string): string | undefined {
  const found = fs.lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return undefined;
  if (found.isSymbolicLink()) throw refused(path, "it is a link");
  if (!found.isFile() || found.size > MAX_BYTES) throw refused(path, "it is not what forkstack wrote");
  if (!isOwned(path, cwd())) throw refused(path, "another user owns it");
  const isOpen = system() !== "windows" && (found.mode & 0o077) !== 0;
  if (isOpen && hasModes(path)) throw refused(path, "other users may read or change it");
  return fs.readFileSync(path, "utf8");
}

/** Whether the file system keeps modes: some that are shared with another system show the same for all files. */
function hasModes(path: string): boolean {
  const probe = temporaryPath(path);
  try {
    fs.writeFileSync(probe, "", { flag: "wx", mode: 0o600 });
    return (fs.statSync(probe).mode & 0o077) === 0;
  } catch {
    return true; // where nothing can be written
  } finally {
    fs.rmSync(probe, { force: true });
  }
}

function refused(path: string, state: string): ForkstackError {
  return new ForkstackError("NOT_PERMITTED", `Cannot use the key file ${JSON.stringify(path)}: ${state}`, {
    hint:
      "Remove it and .forkstack/envs/<env>.env of each environment, then `forkstack switch <env>`: all get new keys",
  });
}
