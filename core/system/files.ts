/**
 * The file system as embedded providers see it: few operations, each of them whole or not at all, so that a test can
 * stand in for it and break any one of them.
 *
 * @module
 */
import { type ErrorCode, ForkstackError, isForkstackError } from "../../mod.ts";
import { allowError } from "./deno_permissions.ts";
import { absent, disk, type Swapped } from "./disk.ts";
import { basename, dirname, join, system } from "./host.ts";
import { load } from "./lazy.ts";

/** What stands at a path. */
export interface FileInfo {
  /** A symbolic link is neither. */
  readonly type: "file" | "directory" | "other";
  /** Bytes of a file. */
  readonly sizeBytes: number;
  /** The same for as long as it is the same file or directory, whatever is written to it and however it is renamed. */
  readonly identity: string;
}

/** The operations. Paths are absolute; a missing directory above a written path is made, mode 0700. */
export interface Files {
  /** What is there, or `undefined`. */
  stat(path: string): Promise<FileInfo | undefined>;
  /** The text of a file, or `undefined` if there is none. */
  read(path: string): Promise<string | undefined>;
  /** The bytes of a file, or `undefined` if there is none. */
  readBytes(path: string): Promise<Uint8Array | undefined>;
  /** The names in a directory, sorted; none if it is not there. */
  list(path: string): Promise<string[]>;
  /** Where a path leads through every link, or `undefined` where nothing is. */
  real(path: string): Promise<string | undefined>;
  /** Changes whenever anything in a file or a tree does, a link itself too, but for the name `except` at its top. */
  fingerprint(path: string, except?: string): Promise<string>;
  /**
   * Writes a file at once and whole, by default mode 0600. With `exclusive` it fails with `EEXIST` where one is; so it
   * does with `direct`, which is for temporary files: one may be seen half written.
   */
  write(
    path: string,
    content: string | Uint8Array,
    options?: { exclusive?: boolean; direct?: boolean; mode?: number },
  ): Promise<void>;
  /** Makes an empty directory, mode 0700; there already is success. */
  makeDirectory(path: string): Promise<void>;
  /**
   * Copies a file or a tree to a path where nothing is. No link is followed: one inside the tree leads to the copy's own
   * file, and one that leads out is `PARENT_UNUSABLE`, as pipes, devices and sockets are.
   */
  copy(from: string, to: string, except?: string): Promise<"copy-on-write" | "full-copy">;
  /**
   * Gives a tree whose files are never written to, only replaced and removed, a second name to each of them: a hard
   * link, or where there are none a copy. What goes away meanwhile is left out; a link is `PARENT_UNUSABLE`.
   */
  share(from: string, to: string): Promise<"copy-on-write" | "full-copy">;
  /** Gives what is at `from` the name `to`; fails with `EEXIST` if something is there. */
  publish(from: string, to: string): Promise<void>;
  /** Gives a file the name `to`, in one step, in the place of a file that has it. */
  replace(from: string, to: string): Promise<void>;
  /**
   * Gives a file the name `to` if what has it still holds these bytes, or where none was expected if there is none.
   * `seen` tells what somebody else wrote instead; that may also be written just as the file takes the name.
   */
  swap(from: string, to: string, expected: Uint8Array | undefined): Promise<Swapped>;
  /** Removes a file or a tree; absent is success. */
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
      throw new ForkstackError("PARENT_UNUSABLE", `Cannot share "${join(from, link.path)}": it is a link`, {
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
 * `cp` copies, not this process, for two reasons. A POSIX lock falls when its process closes any descriptor of the
 * file, so that reading a database here would drop the lock that keeps it still (https://sqlite.org/howtocorrupt.html,
 * section 2.2). And `--reflink=always` fails where the file system can't clone, which tells the two kinds apart; Deno's
 * `copyFile` ignores `COPYFILE_FICLONE_FORCE`. `-P`: no link is followed, see links.ts. `-p`: a fork made by root stays its
 * owner's. Short options, because busybox has no others. What cp complains of ends with the C
 * library's own text, the same in glibc, musl and macOS.
 */
const COMPLAINTS: readonly (readonly [code: string, complaint: RegExp])[] = [
  ["ENOSPC", /No space left on device$/],
  ["EDQUOT", /quota exceeded$/i],
  ["EACCES", /Permission denied$/],
  ["EPERM", /Operation not permitted$/],
  ["EROFS", /Read-only file system$/],
  ["ENOENT", /No such file or directory$/],
];

/** Runs cp; what it complained of, or `undefined` when it succeeded. */
async function cp(args: string[]): Promise<string | undefined> {
  const { run } = await load<typeof import("./subprocess.ts")>("core/system/subprocess.ts");
  const ended = await run("cp", args);
  if (ended === undefined) throw Object.assign(new Error("there is no program cp"), { code: "ENOENT" });
  return ended.status === 0 ? undefined : ended.stderr.trim() || `cp ended with ${ended.status}`;
}

/** Copies a file or a tree, cloned where the file system can; links stay links. */
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

/** Copies a tree by cp, with the name `except` at its top left out: cp itself can't leave out anything. */
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

/** What `Files.fingerprint` is. */
async function fingerprint(path: string, except?: string): Promise<string> {
  const found = await (await fs()).lstat(path, { bigint: true }).catch(absent);
  if (found === undefined) return `${path}\0absent\n`;
  if (!found.isDirectory()) return `${path}\0${found.ino}:${found.size}:${found.mtimeNs}\n`;
  const names = (await disk.names(path).catch(absent) ?? []).filter((name) => name !== except).sort();
  const all = await Promise.all(names.map((name) => fingerprint(join(path, name))));
  return [`${path}\0directory\n`, ...all].join("");
}

/** A path beside another, for what is not whole yet; `.forkstack-` and eight hexadecimal digits tell whose it is. */
export function temporaryPath(path: string): string {
  const digits = Math.floor(Math.random() * 2 ** 32).toString(16).padStart(8, "0"); // made exclusively: need not be secret
  return `${path}.forkstack-${digits}`;
}

/** What runs that died left beside a path, and what goes with that, such as a database's journal. */
export async function temporariesOf(on: Files, path: string): Promise<string[]> {
  const own = basename(path);
  const names = (await on.list(dirname(path))).filter((name) => name.startsWith(own));
  return names.filter((name) => /^(\.forkstack-[0-9a-f]{8})+(-(wal|shm|journal))?$/.test(name.slice(own.length)))
    .map((name) => join(dirname(path), name));
}

/** Removes what runs that died left beside a path. */
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

/** An operating-system error as one of ours, with what to do next; any other error as it is. */
export function fileError(error: unknown, action: string): unknown {
  if (isForkstackError(error) || !(error instanceof Error)) return error;
  const code = (error as { code?: string }).code ?? "";
  const known = CAUSES[code];
  if (known === undefined) return allowError(error, action);
  return new ForkstackError(known[0], `Cannot ${action}: ${known[1]}`, { hint: known[2], cause: error });
}
