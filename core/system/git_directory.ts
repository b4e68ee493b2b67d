/**
 * Git's directories of a checkout, found by its files: without the program git, and without the repository's settings.
 * See https://git-scm.com/docs/gitrepository-layout.
 *
 * @module
 */
import { readGitFile } from "../../mod.ts";
import { absent, disk } from "./disk.ts";
import { join } from "./host.ts";

/** Returns the checkout's own git directory: `.git` at its top, or the directory that the file `.git` names. */
export async function gitDirectory(top: string): Promise<string> {
  const path = join(top, ".git");
  return (await disk.look(path))?.type === "file" ? readGitFile(top).gitDir : path;
}

/**
 * Returns git's common directory of a checkout: the repository's for a linked worktree, its own for a submodule.
 * `undefined` for a link, and for a `.git` file whose repository does not know this checkout: anybody can write one.
 */
export async function commonDirectory(top: string): Promise<string | undefined> {
  const path = join(top, ".git");
  const { type } = await disk.look(path) ?? {};
  if (type !== "file") return type === "directory" ? path : undefined;
  const { gitDir, isLinked, common } = readGitFile(top);
  if (isLinked) return common && await disk.realPath(common);
  const own = await disk.realPath(gitDir);
  const said = /^[ \t]*worktree[ \t]*=[ \t]*(.+?)[ \t]*$/m.exec(await textOf(join(own, "config")) ?? "")?.[1];
  const back = said?.replace(/^"(.*)"$/, "$1").replace(/\\(["\\])/g, "$1");
  if (back === undefined) return undefined;
  const { resolve } = process.getBuiltinModule("node:path");
  return await disk.realPath(resolve(own, back)) === await disk.realPath(top) ? own : undefined;
}

async function textOf(path: string): Promise<string | undefined> {
  return await disk.readText(path).catch(absent);
}
