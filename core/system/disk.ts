/**
 * The functions of `node:fs/promises` that short commands need. In Deno they are its own functions, which are loaded
 * already; elsewhere they are `node:fs/promises`. See host.ts.
 *
 * @module
 */
import { ForkstackError } from "../../mod.ts";

const deno = (globalThis as { Deno?: typeof Deno }).Deno;

/** The file system, call by call; errors carry the system's `code`, e.g. `"ENOENT"`. */
export interface Disk {
  readText(path: string): Promise<string>;
  readBytes(path: string): Promise<Uint8Array>;
  names(path: string): Promise<string[]>;
  /** Lists a directory, without following links. */
  entries(path: string): Promise<DirectoryEntry[]>;
  makeDirectory(path: string, mode: number): Promise<void>;
  /** Writes a new file with this content; rejects with `EEXIST` if the file exists. */
  writeNew(path: string, content: string | Uint8Array, mode: number): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** Renames a file if its target is unchanged, as `Files.swap`; `undefined`: no file is expected. */
  swap(from: string, to: string, expected: Uint8Array | undefined): Promise<Swapped>;
  link(from: string, to: string): Promise<void>;
  /** Removes a file or a tree; a missing one is success. */
  remove(path: string): Promise<void>;
  /** Returns what is at the path, without following a link; `undefined` if there is nothing. */
  look(path: string): Promise<{ type: "file" | "directory" | "other"; sizeBytes: number; inode: string } | undefined>;
  /**
   * Returns an identity of a file with the time of its last change. Nobody can set it, so a file that was written
   * elsewhere, e.g. into a repository, cannot contain it. `undefined` if there is nothing.
   */
  stamp(path: string): Promise<string | undefined>;
  /** Returns the permission bits; `undefined` if there is nothing. */
  mode(path: string): Promise<number | undefined>;
  changeMode(path: string, mode: number): Promise<void>;
  /** Returns the path with its links resolved; the same path if there is nothing. */
  realPath(path: string): Promise<string>;
}

/** An entry of a directory. */
export interface DirectoryEntry {
  readonly name: string;
  readonly type: "file" | "directory" | "link" | "other";
}

/** The result of a swap. */
export interface Swapped {
  /** True if the file was renamed. */
  readonly isDone: boolean;
  /** The content of the target right before the swap, or right after it, if it was written to at that moment. */
  readonly seen: Uint8Array | undefined;
}

/** Returns true if two files have the same content; `undefined` is a missing file. */
export function sameBytes(one: Uint8Array | undefined, other: Uint8Array | undefined): boolean {
  if (one === undefined || other === undefined) return one === other;
  return one.length === other.length && one.every((byte, at) => byte === other[at]);
}

// Synchronous inside: a hop to another thread costs more than a call on a small file. Whole trees are removed aside.
const ofDeno = (on: typeof Deno): Disk => ({
  // deno-lint-ignore require-await -- what it throws is a rejection
  async readText(path) {
    assertEnds(path, on.statSync(path));
    return on.readTextFileSync(path);
  },
  // deno-lint-ignore require-await
  async readBytes(path) {
    assertEnds(path, on.statSync(path));
    return on.readFileSync(path);
  },
  // deno-lint-ignore require-await
  names: async (path) => Array.from(on.readDirSync(path), ({ name }) => name),
  // deno-lint-ignore require-await
  entries: async (path) =>
    Array.from(on.readDirSync(path), ({ name, isSymlink, isFile, isDirectory }) => (
      { name, type: isSymlink ? "link" : typeOf(isFile, isDirectory) }
    )),
  // deno-lint-ignore require-await
  makeDirectory: async (path, mode) => on.mkdirSync(path, { recursive: true, mode }),
  // deno-lint-ignore require-await
  async writeNew(path, content, mode) {
    using file = on.openSync(path, { write: true, createNew: true, mode });
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
  },
  // deno-lint-ignore require-await
  rename: async (from, to) => on.renameSync(from, to),
  async swap(from, to, expected) {
    if (expected === undefined) {
      try {
        on.linkSync(from, to);
      } catch (error) {
        if ((error as { code?: string }).code === "EEXIST") return { isDone: false, seen: on.readFileSync(to) };
        throw error;
      }
      on.removeSync(from);
      return { isDone: true, seen: undefined };
    }
    const content = (file: Deno.FsFile) => {
      file.seekSync(0, on.SeekMode.Start);
      const bytes = new Uint8Array(file.statSync().size);
      let length = 0;
      for (let read = 1; read > 0;) length += read = file.readSync(bytes.subarray(length)) ?? 0;
      return bytes.subarray(0, length);
    };
    let old: Deno.FsFile;
    try {
      old = on.openSync(to);
    } catch (error) {
      return { isDone: false, seen: absent(error as { code?: string }) };
    }
    using file = old;
    return await swapOpen(() => content(file), () => on.renameSync(from, to), expected);
  },
  // deno-lint-ignore require-await
  link: async (from, to) => on.linkSync(from, to),
  async remove(path) {
    try {
      on.removeSync(path);
    } catch (error) {
      if (/^(ENOENT|ENOTDIR)$/.test((error as { code?: string }).code ?? "")) return;
      await on.remove(path, { recursive: true }).catch(absent); // a directory that holds something
    }
  },
  // deno-lint-ignore require-await
  async look(path) {
    try {
      const found = on.lstatSync(path);
      return { type: typeOf(found.isFile, found.isDirectory), sizeBytes: found.size, inode: `${found.ino}` };
    } catch (error) {
      return absent(error as { code?: string });
    }
  },
  // deno-lint-ignore require-await
  async stamp(path) {
    try {
      const { dev, ino, ctime } = on.statSync(path);
      return `${dev}:${ino}:${ctime?.getTime()}`;
    } catch (error) {
      return absent(error as { code?: string });
    }
  },
  // deno-lint-ignore require-await
  async mode(path) {
    try {
      return on.statSync(path).mode ?? undefined;
    } catch (error) {
      return absent(error as { code?: string });
    }
  },
  // deno-lint-ignore require-await
  changeMode: async (path, mode) => on.chmodSync(path, mode),
  // deno-lint-ignore require-await
  async realPath(path) {
    try {
      return on.realPathSync(path);
    } catch (error) {
      return absent(error as { code?: string }) ?? path;
    }
  },
});

const fs = () => import("node:fs/promises");

async function assertEndsIn(path: string): Promise<void> {
  const found = await (await fs()).stat(path);
  assertEnds(path, { isFile: found.isFile(), isDirectory: found.isDirectory() });
}

/**
 * Refuses to read what may never end or block the reader: a pipe, a device, a socket. A repository may hold a link to
 * one.
 */
function assertEnds(path: string, { isFile, isDirectory }: { isFile: boolean; isDirectory: boolean }): void {
  if (isFile || isDirectory) return; // a directory has an error of its own
  throw new ForkstackError("NOT_PERMITTED", `Cannot read ${JSON.stringify(path)}: it is a pipe or a device`, {
    hint: "Remove it, or put a file in its place",
  });
}

const ofNode: Disk = {
  async readText(path) {
    await assertEndsIn(path);
    return await (await fs()).readFile(path, "utf8");
  },
  async readBytes(path) {
    await assertEndsIn(path);
    return new Uint8Array(await (await fs()).readFile(path));
  },
  names: async (path) => await (await fs()).readdir(path),
  entries: async (path) =>
    (await (await fs()).readdir(path, { withFileTypes: true })).map((one) => (
      { name: one.name, type: one.isSymbolicLink() ? "link" : typeOf(one.isFile(), one.isDirectory()) }
    )),
  async makeDirectory(path, mode) {
    await (await fs()).mkdir(path, { recursive: true, mode });
  },
  async writeNew(path, content, mode) {
    const file = await (await fs()).open(path, "wx", mode);
    try {
      await file.writeFile(content);
    } finally {
      await file.close();
    }
  },
  rename: async (from, to) => await (await fs()).rename(from, to),
  async swap(from, to, expected) {
    const { closeSync, fstatSync, linkSync, openSync, readFileSync, readSync, renameSync, rmSync } = await import(
      "node:fs"
    );
    const codeOf = (error: unknown) => (error as { code?: string }).code;
    if (expected === undefined) {
      try {
        linkSync(from, to);
      } catch (error) {
        if (codeOf(error) === "EEXIST") return { isDone: false, seen: new Uint8Array(readFileSync(to)) };
        throw error;
      }
      rmSync(from);
      return { isDone: true, seen: undefined };
    }
    let file: number;
    try {
      file = openSync(to, "r");
    } catch (error) {
      return { isDone: false, seen: absent(error as { code?: string }) };
    }
    const content = () => {
      const bytes = new Uint8Array(fstatSync(file).size);
      let length = 0;
      for (let read = 1; read > 0;) length += read = readSync(file, bytes, length, bytes.length - length, length);
      return bytes.subarray(0, length);
    };
    try {
      return await swapOpen(content, () => renameSync(from, to), expected);
    } finally {
      closeSync(file);
    }
  },
  link: async (from, to) => await (await fs()).link(from, to),
  remove: async (path) => await (await fs()).rm(path, { recursive: true, force: true }),
  async look(path) {
    const found = await (await fs()).lstat(path, { bigint: true }).catch(absent);
    if (found === undefined) return undefined;
    return { type: typeOf(found.isFile(), found.isDirectory()), sizeBytes: Number(found.size), inode: `${found.ino}` };
  },
  async stamp(path) {
    const found = await (await fs()).stat(path, { bigint: true }).catch(absent);
    return found && `${found.dev}:${found.ino}:${found.ctimeMs}`;
  },
  mode: async (path) => (await (await fs()).stat(path).catch(absent))?.mode,
  changeMode: async (path, mode) => await (await fs()).chmod(path, mode),
  realPath: async (path) => await (await fs()).realpath(path).catch(absent) ?? path,
};

/** The file system of this runtime. */
export const disk: Disk = deno === undefined ? ofNode : ofDeno(deno);

const SETTLED_MS = 20;
const WRITTEN_MS = 2; // from an open() to the write() after it

/** Waits shortly, then lets all other due work run. */
async function pause(ms: number): Promise<void> {
  if (deno === undefined) return await new Promise((resolve) => setTimeout(resolve, ms));
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms); // the first timer costs a Deno process 6 ms
  await deno.lstat("/").catch(() => {});
}

/**
 * Replaces an open file that still has the expected content. If an editor writes to the old file at that moment, all of
 * what it saves is read. An empty file may be in the middle of being saved, so it is read twice.
 */
async function swapOpen(content: () => Uint8Array, rename: () => void, expected: Uint8Array): Promise<Swapped> {
  if (expected.length === 0) await pause(SETTLED_MS);
  const seen = content();
  if (!sameBytes(seen, expected)) return { isDone: false, seen };
  rename();
  await pause(WRITTEN_MS);
  let late = content();
  for (let last = expected; !sameBytes(late, last); late = content()) {
    last = late;
    await pause(SETTLED_MS);
  }
  return { isDone: true, seen: late };
}

function typeOf(isFile: boolean, isDirectory: boolean): "file" | "directory" | "other" {
  if (isFile) return "file";
  return isDirectory ? "directory" : "other";
}

/** Returns `undefined` for ENOENT and ENOTDIR; throws any other error. */
export function absent(error: { code?: string }): undefined {
  if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
  throw error;
}

/** Returns true if a path leads to a pipe or a device, which may never end; a user may name one on purpose. */
export async function isEndless(path: string): Promise<boolean> {
  const found = await (await import("node:fs/promises")).stat(path).catch(() => undefined); // its reader tells why not
  return found !== undefined && !found.isFile();
}
