/**
 * The file system for embedded providers: few operations, each complete or without effect, so that a test can replace
 * it and make any of them fail.
 *
 * @module
 */
import { type ErrorCode, ForkstackError, isForkstackError } from "../../mod.ts";
import { allowError } from "./deno_permissions.ts";
import { absent, disk, type Swapped } from "./disk.ts";
import { basename, dirname, join, system } from "./host.ts";
import { load } from "./lazy.ts";

/** Facts about a path. */
export interface FileInfo {
  /** The type; a symbolic link is `"other"`. */
  readonly type: "file" | "directory" | "other";
  /** Size of a file in bytes. */
  readonly sizeBytes: number;
  /**
   * Identity that stays the same while the file or directory exists, whatever is written to it and however it is
   * renamed.
   */
  readonly identity: string;
}

/** Operations on files. Paths are absolute; missing directories above a written path are created, mode 0700. */
export interface Files {
  /** Returns facts about a path; `undefined` if there is nothing. */
  stat(path: string): Promise<FileInfo | undefined>;
  /** Reads a file as text; `undefined` if there is none. */
  read(path: string): Promise<string | undefined>;
  /** Reads a file as bytes; `undefined` if there is none. */
  readBytes(path: string): Promise<Uint8Array | undefined>;
  /** Lists the names in a directory, sorted; an empty list if it is missing. */
  list(path: string): Promise<string[]>;
  /** Resolves all links of a path; `undefined` if there is nothing. */
  real(path: string): Promise<string | undefined>;
  /**
   * Returns a text that changes with any change in a file or a tree, links included; the name `except` at its top is
   * ignored.
   */
  fingerprint(path: string, except?: string): Promise<string>;
  /**
   * Writes a file in one step, by default with mode 0600. With `exclusive` it rejects with `EEXIST` if the file exists.
   * `direct` does so too, and writes in place, for temporary files: a half written one may be seen.
   */
  write(
    path: string,
    content: string | Uint8Array,
    options?: { exclusive?: boolean; direct?: boolean; mode?: number },
  ): Promise<void>;
  /** Creates an empty directory, mode 0700; an existing one is success. */
  makeDirectory(path: string): Promise<void>;
  /**
   * Copies a file or a tree to a path where nothing is. Links are not followed: one inside the tree points to the
   * copy's own file, and one that leads outside is `PARENT_UNUSABLE`, as pipes, devices and sockets are.
   */
  copy(from: string, to: string, except?: string): Promise<"copy-on-write" | "full-copy">;
  /**
   * Gives each file of a tree a second name: a hard link, or a copy where there are none. Only for files that are never
   * written to, just replaced and removed. Files that are removed meanwhile are left out; a link is `PARENT_UNUSABLE`.
   */
  share(from: string, to: string): Promise<"copy-on-write" | "full-copy">;
  /** Renames `from` to `to`; rejects with `EEXIST` if `to` exists. */
  publish(from: string, to: string): Promise<void>;
  /** Renames a file to `to` in one step, and replaces an existing file. */
  replace(from: string, to: string): Promise<void>;
  /**
   * Renames a file to `to` if the file there has the expected content; with `undefined`, if there is none. `seen` is
   * the content that somebody else wrote instead, possibly at the moment of the rename.
   */
  swap(from: string, to: string, expected: Uint8Array | undefined): Promise<Swapped>;
  /** Removes a file or a tree; a missing one is success. */
  remove(path: string): Promise<void>;
}

// What is not in disk.ts a short command is spared.
const fs = () => import("node:fs/promises");
const links = () => load<typeof import("./links.ts")>("core/system/links.ts");

/** The real file system. */
export const files: Files = {
  async stat(path) {
    const found = await disk.look(path);
    return found && { type: found.type, sizeBytes: found.sizeBytes, identity: found.inode };
  },
  async read(path) {
    return await disk.readText(path).catch(absent);
  },
  async readBytes(path) {
    return await disk.readBytes(path).catch(absent);
  },
  async list(path) {
    return (await disk.names(path).catch(absent) ?? []).sort();
  },
  async real(path) {
    return await (await fs()).realpath(path).catch(absent);
  },
  async fingerprint(path, except) {
    return await fingerprint(path, except);
  },
  async write(path, content, { exclusive = false, direct = false, mode = 0o600 } = {}) {
    const temporary = temporaryPath(path);
    await disk.makeDirectory(dirname(path), 0o700);
    if (direct) return await disk.writeNew(path, content, mode);
    try {
      await disk.writeNew(temporary, content, mode);
      if (!exclusive) return await disk.rename(temporary, path);
      await disk.link(temporary, path);
      await disk.remove(temporary);
    } catch (error) {
      await disk.remove(temporary);
      throw error;
    }
  },
  async makeDirectory(path) {
    await disk.makeDirectory(path, 0o700);
  },
  async copy(from, to, except) {
    await disk.makeDirectory(dirname(to), 0o700);
    const { linksIn, relink } = await links();
    const found = await linksIn(from, except);
    const copied = await copyAll(from, to, except);
    await relink(to, found);
    return copied;
  },
  async share(from, to) {
    await disk.makeDirectory(dirname(to), 0o700);
    const [link] = await (await links()).linksIn(from);
    if (link !== undefined) {
      throw new ForkstackError("PARENT_UNUSABLE", `Cannot copy "${join(from, link.path)}": it is a link`, {
        hint: "Remove it, then run the same command again",
      });
    }
    if (system() !== "windows") {
      const failure = await cp([system() === "darwin" ? "-RPpc" : "-RPpl", "--", from, to]);
      const isWhole = failure === undefined ||
        failure.split("\n").every((line) => /No such file or directory$/.test(line));
      if (isWhole && await disk.look(from) !== undefined && await disk.look(to) !== undefined) return "copy-on-write";
      await disk.remove(to);
      if (failure !== undefined && complaintError(failure).code === "ENOSPC") throw complaintError(failure);
    }
    return await copyAll(from, to);
  },
  async publish(from, to) {
    const isDirectory = await files.stat(from).then((found) => found?.type) === "directory";
    if (!isDirectory) {
      await disk.link(from, to);
      return await disk.remove(from);
    }
    // One step, so that no crash leaves an empty directory that looks whole. Between the two calls, rename itself
    // refuses whatever else may turn up, but for an empty directory.
    if (await files.stat(to) !== undefined) {
      throw Object.assign(new Error(`EEXIST: "${to}" is there already`), { code: "EEXIST" });
    }
    await disk.rename(from, to);
  },
  async replace(from, to) {
    await disk.rename(from, to);
  },
  async swap(from, to, expected) {
    return await disk.swap(from, to, expected);
  },
  async remove(path) {
    await disk.remove(path);
  },
};

/**
 * Messages of `cp`, which does the copying, for two reasons. A POSIX lock ends when its process closes any descriptor
 * of the file, so that reading a database here would release the lock that keeps it still
 * (https://sqlite.org/howtocorrupt.html, section 2.2). And `--reflink=always` fails where the file system can't clone,
 * which tells the two kinds apart; Deno's `copyFile` ignores `COPYFILE_FICLONE_FORCE`. `-P`: no link is followed, see
 * links.ts. `-p`: a fork made by root stays its owner's. Short options, because busybox has no others. Each message
 * ends with the C library's own text, the same in glibc, musl and macOS.
 */
const COMPLAINTS: readonly (readonly [code: string, complaint: RegExp])[] = [
  ["ENOSPC", /No space left on device$/],
  ["EDQUOT", /quota exceeded$/i],
  ["EACCES", /Permission denied$/],
  ["EPERM", /Operation not permitted$/],
  ["EROFS", /Read-only file system$/],
  ["ENOENT", /No such file or directory$/],
];

/** Runs cp; returns its error message, or `undefined` on success. */
async function cp(args: string[]): Promise<string | undefined> {
  const { run } = await load<typeof import("./subprocess.ts")>("core/system/subprocess.ts");
  const ended = await run("cp", args);
  if (ended === undefined) throw Object.assign(new Error("there is no program cp"), { code: "ENOENT" });
  return ended.status === 0 ? undefined : ended.stderr.trim() || `cp ended with ${ended.status}`;
}

/** Copies a file or a tree, as a clone where the file system can; links stay links. */
async function copyAll(from: string, to: string, except?: string): Promise<"copy-on-write" | "full-copy"> {
  if (system() === "windows") {
    const filter = (path: string) => except === undefined || path !== join(from, except);
    const options = { recursive: true, verbatimSymlinks: true, errorOnExist: true, force: false, filter };
    await (await fs()).cp(from, to, options);
    return "full-copy";
  }
  const clone = system() === "darwin" ? "-c" : "--reflink=always";
  if (await copyTree(["-RPp", clone], from, to, except) === undefined) return "copy-on-write";
  await disk.remove(to);
  const failure = await copyTree(["-RPp"], from, to, except);
  if (failure === undefined) return "full-copy";
  await disk.remove(to);
  throw complaintError(failure);
}

const NAMES_AT_ONCE = 200; // of up to 255 bytes each: what a command line holds everywhere

/** Copies a tree by cp without the name `except` at its top; cp itself has no such option. */
async function copyTree(options: string[], from: string, to: string, except?: string): Promise<string | undefined> {
  if (except === undefined) return await cp([...options, "--", from, to]);
  await disk.makeDirectory(to, (await disk.mode(from) ?? 0o700) & 0o777);
  const names = (await disk.names(from)).filter((name) => name !== except).map((name) => join(from, name));
  for (let at = 0; at < names.length; at += NAMES_AT_ONCE) {
    const failure = await cp([...options, "--", ...names.slice(at, at + NAMES_AT_ONCE), to]);
    if (failure !== undefined) return failure;
  }
  return undefined;
}

function complaintError(failure: string): Error & { code: string } {
  const first = failure.split("\n")[0];
  const [code] = COMPLAINTS.find(([, complaint]) => complaint.test(first)) ?? ["EIO"];
  return Object.assign(new Error(first), { code });
}

/** Implements `Files.fingerprint`. */
async function fingerprint(path: string, except?: string): Promise<string> {
  const found = await (await fs()).lstat(path, { bigint: true }).catch(absent);
  if (found === undefined) return `${path}\0absent\n`;
  if (!found.isDirectory()) return `${path}\0${found.ino}:${found.size}:${found.mtimeNs}\n`;
  const names = (await disk.names(path).catch(absent) ?? []).filter((name) => name !== except).sort();
  const all = await Promise.all(names.map((name) => fingerprint(join(path, name))));
  return [`${path}\0directory\n`, ...all].join("");
}

/** Returns a temporary path beside another; `.forkstack-` and eight hexadecimal digits show that forkstack made it. */
export function temporaryPath(path: string): string {
  const digits = Math.floor(Math.random() * 2 ** 32).toString(16).padStart(8, "0"); // made exclusively: need not be secret
  return `${path}.forkstack-${digits}`;
}

/** Lists the temporary files beside a path that dead runs left, with related files such as a database's journal. */
export async function temporariesOf(on: Files, path: string): Promise<string[]> {
  const own = basename(path);
  const names = (await on.list(dirname(path))).filter((name) => name.startsWith(own));
  return names.filter((name) => /^(\.forkstack-[0-9a-f]{8})+(-(wal|shm|journal))?$/.test(name.slice(own.length)))
    .map((name) => join(dirname(path), name));
}

/** Removes the temporary files beside a path that dead runs left. */
export async function sweepTemporary(on: Files, path: string): Promise<void> {
  for (const temporary of await temporariesOf(on, path)) await on.remove(temporary);
}

const CAUSES: Readonly<Record<string, readonly [code: ErrorCode, state: string, hint: string]>> = {
  ENOSPC: ["DISK_FULL", "the disk is full", "Free some space and run the same command again"],
  EDQUOT: ["DISK_FULL", "the quota is used up", "Free some space and run the same command again"],
  EACCES: ["NOT_PERMITTED", "permission denied", "Check the owner and the permissions of the directory"],
  EPERM: ["NOT_PERMITTED", "operation not permitted", "Check the owner and the permissions of the directory"],
  EIO: ["DISK_FAILED", "input/output error", "Check the disk, then run the same command again"],
  EROFS: ["NOT_PERMITTED", "the file system is read-only", "Work in a directory that can be written"],
};

/** Returns a ForkstackError with a hint for an error of the operating system; any other error unchanged. */
export function fileError(error: unknown, action: string): unknown {
  if (isForkstackError(error) || !(error instanceof Error)) return error;
  const code = (error as { code?: string }).code ?? "";
  const known = CAUSES[code];
  if (known === undefined) return allowError(error, action);
  return new ForkstackError(known[0], `Cannot ${action}: ${known[1]}`, { hint: known[2], cause: error });
}
