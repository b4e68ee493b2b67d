/**
 * Git's directories of a checkout, by its files alone: no program git is needed, and none of the repository's settings
 * is read. See https://git-scm.com/docs/gitrepository-layout.
 *
 * @module
 */
import { absent, disk } from "./disk.ts";
import { basename, dirname, join } from "./host.ts";

/** The checkout's own git directory: `.git` in the directory at its top, or what the file `.git` there names. */
export async function gitDirectory(top: string): Promise<string> {
  const path = join(top, ".git");
  if ((await disk.look(path))?.type !== "file") return path;
  const to = /^gitdir: (.+)$/m.exec(await disk.readText(path))?.[1] ?? "";
  return resolve(top, to);
}

/**
 * Git's common directory of a checkout: of a linked worktree that of its repository, of a submodule its own. `undefined`
 * for a link, and for a `.git` file that leads to a repository which does not know this checkout: anybody can write one.
 */
export async function commonDirectory(top: string): Promise<string | undefined> {
  const path = join(top, ".git");
  const { type } = await disk.look(path) ?? {};
  if (type !== "file") return type === "directory" ? path : undefined;
  const linked = await disk.realPath(await gitDirectory(top));
  const real = await disk.realPath(top);
  const shared = await textOf(join(linked, "commondir"));
  if (shared === undefined) {
    const said = /^[ \t]*worktree[ \t]*=[ \t]*(.+?)[ \t]*$/m.exec(await textOf(join(linked, "config")) ?? "")?.[1];
    const back = said?.replace(/^"(.*)"$/, "$1").replace(/\\(["\\])/g, "$1");
    return back !== undefined && await disk.realPath(resolve(linked, back)) === real ? linked : undefined;
  }
  const common = await disk.realPath(resolve(linked, shared.trim()));
  const listed = resolve(linked, (await textOf(join(linked, "gitdir")))?.trim() ?? "");
  const isListed = basename(listed) === ".git" && await disk.realPath(dirname(listed)) === real &&
    dirname(linked) === join(common, "worktrees");
  return isListed ? common : undefined;
}

function resolve(from: string, to: string): string {
  return process.getBuiltinModule("node:path").resolve(from, to);
}

async function textOf(path: string): Promise<string | undefined> {
  return await disk.readText(path).catch(absent);
}
