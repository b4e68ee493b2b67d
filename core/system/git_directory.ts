/**
 * Git's directories of a checkout, by its files alone: no program git is needed, and none of the repository's settings
 * is read. See https://git-scm.com/docs/gitrepository-layout.
 *
 * @module
 */
import { readGitFile } from "../../mod.ts";
import { absent, disk } from "./disk.ts";
import { join } from "./host.ts";

/** The checkout's own git directory: `.git` in the directory at its top, or what the file `.git` there names. */
export async function gitDirectory(top: string): Promise<string> {
  const path = join(top, ".git");
  return (await disk.look(path))?.type === "file" ? readGitFile(top).gitDir : path;
}

/**
 * Git's common directory of a checkout: of a linked worktree that of its repository, of a submodule its own. `undefined`
 * for a link, and for a `.git` file that leads to a repository which does not know this checkout: anybody can write one.
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
