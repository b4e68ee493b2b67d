/**
 * Paths that no link redirects: each is checked against its real place before an operation and again after it. No
 * runtime has `openat`; between two calls another process may still add a link, which is then detected.
 *
 * @module
 */
import * as fs from "node:fs";
import { join, relative, sep } from "node:path";
import { S3Error } from "./error.ts";

/** Returns true for an error which means that the file does not exist. */
export function isAbsent(error: unknown): boolean {
  return /^(ENOENT|ENOTDIR|ENAMETOOLONG)$/.test((error as { code?: string }).code ?? "");
}

/** Returns true if something is at the path, and neither it nor a directory above it is a link. */
export function isReal(path: string): boolean {
  return fs.existsSync(path) && isUnlinked(path); // where there may be nothing, without an error being made
}

/** Returns the same as `isReal`, sooner where something mostly is at the path. */
export function isUnlinked(path: string): boolean {
  try {
    return fs.realpathSync.native(path) === path;
  } catch (error) {
    if (isAbsent(error) || (error as { code?: string }).code === "ELOOP") return false;
    throw error;
  }
}

/** Returns facts about the path itself: a link is not followed. */
export function statOf(path: string): fs.Stats | undefined {
  return fs.lstatSync(path, { throwIfNoEntry: false });
}

/** Returns the path below `root`, with only the links above `root` resolved. */
export function realBelow(root: string, path: string): string {
  return join(fs.realpathSync.native(root), relative(root, path));
}

/** Creates missing directories one by one, below `root`, which must exist without links. */
export function makeReal(root: string, directory: string): void {
  if (isUnlinked(directory) && statOf(directory)?.isDirectory()) return;
  let at = root;
  for (const name of relative(root, directory).split(sep)) {
    at = join(at, name);
    try {
      fs.mkdirSync(at, 0o700);
    } catch (error) {
      if ((error as { code?: string }).code !== "EEXIST") throw error;
    }
    if (statOf(at)?.isDirectory() !== true) throw linked(relative(root, at));
  }
  if (!isUnlinked(directory)) throw linked(relative(root, directory));
}

/** The error for a path that a link redirects. */
export function linked(path: string): S3Error {
  return new S3Error("AccessDenied", `Access Denied: "${path}" is a link, or no directory; links are not followed`);
}

const { O_RDONLY, O_NOFOLLOW = 0, O_NONBLOCK = 0 } = fs.constants; // Windows has but the first
const TRIES = 5;

/**
 * Opens a file; `undefined` if there is none, if a link is on the way, or if it is not a regular file: a pipe would block
 * everything.
 */
export function openReal(path: string): { readonly fd: number; readonly stat: fs.Stats } | undefined {
  if (!fs.existsSync(path)) return undefined;
  for (let attempt = 1; attempt <= TRIES; attempt++) {
    const seen = statOf(path);
    if (seen?.isFile() !== true) return undefined;
    let fd: number;
    try {
      fd = fs.openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    } catch (error) {
      if (isAbsent(error) || (error as { code?: string }).code === "ELOOP") return undefined;
      throw error;
    }
    const stat = fs.fstatSync(fd);
    const isSame = stat.isFile() && stat.ino === seen.ino && stat.dev === seen.dev;
    if (isSame && isUnlinked(path)) return { fd, stat };
    fs.closeSync(fd);
    if (isSame) return undefined; // else it was replaced meanwhile
  }
  return undefined;
}
