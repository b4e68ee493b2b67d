/**
 * The calls of `node:fs/promises` that a short command makes, as Deno has them loaded already; elsewhere they are
 * `node:fs/promises` itself. See host.ts.
 *
 * @module
 */

const deno = (globalThis as { Deno?: typeof Deno }).Deno;

/** The file system, call by call; errors carry the system's `code`, e.g. `"ENOENT"`. */
export interface Disk {
  readText(path: string): Promise<string>;
  names(path: string): Promise<string[]>;
  makeDirectory(path: string, mode: number): Promise<void>;
  /** A new file with this text; `EEXIST` where one is. With `sync` its bytes are on the disk afterwards. */
  writeNew(path: string, text: string, mode: number, sync: boolean): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  link(from: string, to: string): Promise<void>;
  /** Removes a file or a tree; absent is success. */
  remove(path: string): Promise<void>;
  /** Permission bits, or `undefined` where there is nothing. */
  mode(path: string): Promise<number | undefined>;
}

const ofDeno = (on: typeof Deno): Disk => ({
  readText: (path) => on.readTextFile(path),
  async names(path) {
    const names: string[] = [];
    for await (const { name } of on.readDir(path)) names.push(name);
    return names;
  },
  makeDirectory: (path, mode) => on.mkdir(path, { recursive: true, mode }),
  async writeNew(path, text, mode, sync) {
    using file = await on.open(path, { write: true, createNew: true, mode });
    const bytes = new TextEncoder().encode(text);
    for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
    if (sync) await file.sync();
  },
  rename: (from, to) => on.rename(from, to),
  link: (from, to) => on.link(from, to),
  async remove(path) {
    await on.remove(path, { recursive: true }).catch(absent);
  },
  mode: async (path) => (await on.stat(path).catch(absent))?.mode ?? undefined,
});

const fs = () => import("node:fs/promises");

const ofNode: Disk = {
  readText: async (path) => await (await fs()).readFile(path, "utf8"),
  names: async (path) => await (await fs()).readdir(path),
  async makeDirectory(path, mode) {
    await (await fs()).mkdir(path, { recursive: true, mode });
  },
  async writeNew(path, text, mode, sync) {
    const file = await (await fs()).open(path, "wx", mode);
    try {
      await file.writeFile(text);
      if (sync) await file.sync();
    } finally {
      await file.close();
    }
  },
  rename: async (from, to) => await (await fs()).rename(from, to),
  link: async (from, to) => await (await fs()).link(from, to),
  remove: async (path) => await (await fs()).rm(path, { recursive: true, force: true }),
  mode: async (path) => (await (await fs()).stat(path).catch(absent))?.mode,
};

/** The file system of this runtime. */
export const disk: Disk = deno === undefined ? ofNode : ofDeno(deno);

/** Nothing being there is no error. */
export function absent(error: { code?: string }): undefined {
  if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
  throw error;
}
