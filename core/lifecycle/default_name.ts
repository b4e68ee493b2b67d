/**
 * A name for an environment that nobody named: of the git branch that is checked out, else one that is easy to say.
 *
 * @module
 */
import { envNameOf, findUpwards, ForkstackError, parseEnvName } from "../../mod.ts";
import { git } from "../system/git.ts";
import { basename } from "../system/host.ts";
import { randomName } from "../text/friendly_name.ts";
import { BASE_ENVS } from "../project/project.ts";

/** Branches that everybody shares: an environment of that name would be taken for one of them. */
const SHARED = ["main", "master", "trunk"];

/**
 * The name of an environment for a directory: that of its git branch, `feature-login` of `feature/Login`; where none is
 * checked out, that of the worktree's directory. Where that is none, or means a base or a shared branch, or there is no
 * repository, a random one that is not among those taken.
 *
 * @throws {ForkstackError} NAME_INVALID if two branches would have the same.
 */
export async function unnamed(root: string, taken: () => Promise<readonly string[]>): Promise<string> {
  const top = findUpwards(root, ".git");
  const head = top === undefined ? undefined : await git(top, ["symbolic-ref", "-q", "HEAD"]);
  if (top === undefined || head === undefined) return randomName(await taken());
  const branch = head.status === 0 ? head.stdout.trim().replace(/^refs\/heads\//, "") : undefined;
  const name = envNameOf(branch ?? basename(top));
  if (name === "" || [...BASE_ENVS, ...SHARED].includes(parseEnvName(name))) return randomName(await taken());
  if (branch !== undefined) await assertAlone(top, branch, name);
  return name;
}

/** Refuses a branch if another one of the repository gives the same name. */
async function assertAlone(top: string, branch: string, name: string): Promise<void> {
  const all = await git(top, ["for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads"]);
  const other = all?.stdout.split("\n").find((one) => one !== branch && envNameOf(one) === name);
  if (other === undefined) return;
  const [ours, theirs] = [branch, other].map((one) => JSON.stringify(one.slice(0, 80)));
  throw new ForkstackError(
    "NAME_INVALID",
    `Cannot name an environment after git branch ${ours}: branch ${theirs} would give the same name, "${name}"`,
    { hint: `Choose another: \`forkstack new ${name}-2\`` },
  );
}
