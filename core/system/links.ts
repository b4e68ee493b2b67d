/**
 * Symbolic links in a tree that is copied. None is followed, because it may lead anywhere, e.g. to a home directory. A
 * link that stays inside is changed to the same place in the copy; any other stops the copy, as do pipes, devices and
 * sockets.
 *
 * @module
 */
import { ForkstackError } from "../../mod.ts";
import { absent } from "./disk.ts";

/** A link and its target; both paths are relative to the tree. */
export interface Link {
  readonly path: string;
  readonly target: string;
}

const fs = () => import("node:fs/promises");
const paths = () => import("node:path");

/** Returns true if a path is the directory itself or inside it; both are real paths. */
export function isWithin(path: string, directory: string): boolean {
  const rest = path.startsWith(directory) ? path.slice(directory.length) : undefined;
  return rest !== undefined && (/^$|^[\\/]/.test(rest) || /[\\/]$/.test(directory));
}

/**
 * Lists the links of a tree, except below the name `except` at its top; none for a file. Rejects with `ENOENT` for a
 * broken link.
 */
export async function linksIn(tree: string, except?: string): Promise<Link[]> {
  const { readdir, realpath } = await fs();
  const { join, relative } = await paths();
  const root = await realpath(tree);
  const links: Link[] = [];
  const walk = async (directory: string): Promise<void> => {
    for (const entry of await readdir(directory, { withFileTypes: true }).catch(absent) ?? []) {
      if (directory === root && entry.name === except) continue;
      const path = join(directory, entry.name);
      if (entry.isDirectory()) await walk(path);
      else if (entry.isSymbolicLink()) links.push({ path: relative(root, path), target: await targetOf(path) });
      else if (!entry.isFile()) throw unusable(path, "it is a pipe, a device or a socket", "Remove it");
    }
  };
  const targetOf = async (path: string): Promise<string> => {
    const target = await realpath(path).catch((error) => {
      throw Object.assign(new Error(`link "${path}" leads nowhere`), { code: "ENOENT", cause: error });
    });
    if (isWithin(target, root)) return relative(root, target);
    throw unusable(path, `it is a link that leads out of "${tree}"`, "Put what it leads to in its place, or remove it");
  };
  await walk(root);
  return links;
}

/** Changes the links of a copy to the copy's own files, where they led to files of the original tree. */
export async function relink(copy: string, links: readonly Link[]): Promise<void> {
  if (links.length === 0) return;
  const { realpath, symlink, unlink } = await fs();
  const { dirname, join, relative } = await paths();
  const root = await realpath(copy);
  for (const { path, target } of links) {
    const [at, to] = [join(root, path), join(root, target)];
    if (await realpath(at).catch(() => undefined) === to) continue;
    await unlink(at);
    await symlink(relative(dirname(at), to) || ".", at);
  }
}

function unusable(path: string, state: string, remedy: string): ForkstackError {
  return new ForkstackError("PARENT_UNUSABLE", `Cannot copy "${path}": ${state}`, {
    hint: `${remedy}, then run the same command again; a fork holds what is in the parent itself`,
  });
}
