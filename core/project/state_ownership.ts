/**
 * Checks that state is this checkout's and this user's: files that came with the repository, belong to another user, or
 * lead out of `.forkstack/` by a link are refused before they are read. See docs/security.md.
 *
 * @module
 */
import {
  assertOwned,
  assertState,
  envFileOf,
  findUpwards,
  ForkstackError,
  isForkstackError,
  isOwned,
} from "../../mod.ts";
import { absent, disk } from "../system/disk.ts";
import { gitDirectory } from "../system/git_directory.ts";
import { basename, cwd, dirname, join } from "../system/host.ts";
import { load } from "../system/lazy.ts";
import type { Project } from "./project.ts";

/** Lists the files that point a directory to an environment, as paths in the project. */
export function pointersOf({ config }: Pick<Project, "config">): string[] {
  const envFile = envFileOf(config);
  return envFile === undefined ? [".current-env"] : [".current-env", envFile];
}

const STATE = ".forkstack";

/** The directories of a project that hold state, and the configuration that names its files. */
type Roots = Pick<Project, "root" | "stateRoot" | "config">;

/**
 * Refuses state that is not this checkout's and this user's. The getters of `mod.ts` apply the same rules, except for
 * files that git tracks.
 *
 * @throws {ForkstackError} NOT_PERMITTED, GIT_TRACKED
 */
export async function checkState(roots: Roots): Promise<void> {
  const here = cwd();
  for (const name of pointersOf(roots)) assertOwned(join(roots.root, name), here, name !== ".current-env");
  const state = join(roots.stateRoot, STATE);
  assertState(roots.stateRoot, state, here);
  await refuseLinks(roots.stateRoot, state, 2);
  await checkUntracked(roots);
}

/**
 * Refuses links in a directory, down to some levels; deeper ones are an application's, or their readers refuse links.
 */
async function refuseLinks(root: string, directory: string, levels: number): Promise<void> {
  const entries = await disk.entries(directory).catch((error) => {
    if ((error as { code?: string }).code === "EACCES") return []; // whoever opens it is told
    return absent(error) ?? [];
  });
  for (const { name, type } of entries) {
    const path = join(directory, name);
    if (type === "link") assertState(root, path, cwd());
    if (type === "directory" && levels > 1) await refuseLinks(root, path, levels - 1);
  }
}

/**
 * Refuses files that git tracks: they came with a clone, or a credential would be committed. Without `asksGit` git is
 * not run if its index clearly has none of these files, so that the check is fast, needs no git, and works in another
 * user's checkout that is mounted into a container.
 *
 * @throws {ForkstackError} GIT_TRACKED, GIT_FAILED
 */
export async function checkUntracked(roots: Roots, asksGit = false): Promise<void> {
  const { root, stateRoot } = roots;
  const [inside, deeper] = [false, true].map((is) => pointersOf(roots).filter((name) => name.includes("/") === is));
  const tracked = await trackedIn(root, [...inside!, STATE], asksGit);
  for (const name of deeper!) {
    const found = await trackedIn(join(root, dirname(name)), [basename(name)], asksGit);
    if (found.length > 0) tracked.push(name);
  }
  if (stateRoot !== root) tracked.push(...await trackedIn(stateRoot, [STATE], asksGit));
  refuseTracked(tracked, (them) => {
    const own = [...pointersOf(roots), STATE]; // never a name that a stranger chose
    const tops = own.filter((name) => tracked.some((path) => path === name || path.startsWith(`${name}/`))).join(" ");
    return `If you made ${them}, run \`git rm -r --cached ${tops}\` and commit; ` +
      `what came with the repository is not yours: \`git rm -r ${tops}\``;
  });
}

/**
 * Refuses a registry in a file of its own if git tracks it or a file that belongs to it: somebody else's commit would
 * decide what forkstack owns.
 *
 * @throws {ForkstackError} GIT_TRACKED, GIT_FAILED
 */
export async function checkRegistryUntracked(directory: string, names: readonly string[]): Promise<void> {
  if (await disk.look(directory) === undefined) return;
  const tracked = await trackedIn(directory, names, false);
  refuseTracked(tracked, (them) => `Take ${them} out of the repository, or name another file in "registry.url"`);
}

function refuseTracked(tracked: readonly string[], hint: (them: string) => string): void {
  if (tracked.length === 0) return;
  const them = tracked.length === 1 ? "it" : "them";
  const shown = tracked.slice(0, 3).map((path) => JSON.stringify(path));
  if (tracked.length > shown.length) shown.push(`${tracked.length - shown.length} more`);
  throw new ForkstackError("GIT_TRACKED", `Cannot use ${shown.join(", ")}: git tracks ${them}`, { hint: hint(them) });
}

/**
 * Returns the path of a user's file in a project, through links that stay inside its checkout; a file outside is
 * neither shown nor changed for a repository. The file need not exist.
 *
 * @throws {ForkstackError} NOT_PERMITTED
 */
export async function projectFile(root: string, name: string): Promise<string> {
  const path = join(root, name);
  const found = await disk.look(path);
  if (found === undefined || found.type === "file") return path;
  const refuse = (state: string) =>
    new ForkstackError("NOT_PERMITTED", `Cannot use ${JSON.stringify(path)}: ${state}`, {
      hint: "Remove it, or put a file of the project in its place",
    });
  const { isWithin } = await load<typeof import("../system/links.ts")>("core/system/links.ts");
  const [real, top] = await Promise.all([path, root].map((one) => disk.realPath(one)));
  const isFile = found.type !== "directory" && (await disk.look(real))?.type === "file";
  if (!isFile) throw refuse("it is neither a file nor a link to one");
  if (isWithin(real, repositoriesAround(top)[0] ?? top)) return real;
  throw refuse("it is a link that leads out of the repository");
}

/**
 * Lists the given names in a directory that a repository around it tracks, or tracks files below, in our own spelling.
 */
async function trackedIn(directory: string, names: readonly string[], asksGit: boolean): Promise<string[]> {
  const real = await disk.realPath(directory);
  const spelled = await spellingsOf(real, names);
  const found = new Set<string>();
  for (const [order, repository] of repositoriesAround(real).entries()) {
    const isPlain = await isPlainlyUntracked(repository, spelled);
    if (isPlain && !(asksGit && order === 0)) continue;
    const paths = await listed(repository, real, spelled);
    for (const path of paths ?? []) found.add(path);
    if (paths !== undefined || isPlain) continue;
    throw new ForkstackError("GIT_FAILED", `Cannot tell what git tracks in "${repository}": there is no program git`, {
      hint: "Install git: the repository's index may name forkstack's own files",
    });
  }
  return [...found].sort();
}

/** Lists the repositories that a directory is in, the innermost first. */
function repositoriesAround(directory: string): string[] {
  const found: string[] = [];
  try {
    for (let from = directory;;) {
      const at = findUpwards(from, ".git");
      if (at === undefined) return found;
      // A stranger's above is heeded by nobody, git included.
      if (at === directory || isOwned(join(at, ".git"), directory)) found.push(at);
      if (dirname(at) === at) return found;
      from = dirname(at);
    }
  } catch {
    return found; // what may not be read above is none of this project's
  }
}

/** Returns our names as the directory spells them, where its file system treats other spellings as equal. */
async function spellingsOf(directory: string, names: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const spelled = new Map(names.map((name) => [name, name]));
  const inodeOf = async (name: string) => (await disk.look(join(directory, name)))?.inode;
  for (const name of names) {
    const own = await inodeOf(name);
    if (own === undefined || await inodeOf(name.toUpperCase()) !== own) continue; // case tells names apart here
    for (const other of await disk.names(directory)) if (await inodeOf(other) === own) spelled.set(other, name);
  }
  return spelled;
}

/**
 * Returns true if an index certainly has none of our names, by its bytes alone; in doubt `false`. In versions 2 and 3
 * each path is stored in one piece and ends with a NUL (https://git-scm.com/docs/index-format), except for parts of a
 * split or sparse index.
 */
async function isPlainlyUntracked(repository: string, names: ReadonlyMap<string, string>): Promise<boolean> {
  if ([...names].some(([spelling, name]) => spelling !== name)) return false;
  try {
    const own = await gitDirectory(repository);
    const index = await disk.readBytes(join(own, "index"));
    const version = index[7];
    if (version !== 2 && version !== 3) return false;
    if (await disk.mode(join(own, "info", "sparse-checkout")) !== undefined) return false;
    if ((await disk.names(own)).some((name) => name.startsWith("sharedindex."))) return false;
    return !holdsAny(index, [...names.keys()]);
  } catch (error) {
    if (isForkstackError(error)) throw error; // git itself would wait for a pipe's end
    return (error as { code?: string }).code === "ENOENT"; // nothing was ever added
  }
}

/** Returns true if a path in an index, or a directory in one, may have one of these names, in any case. */
function holdsAny(index: Uint8Array, names: readonly string[]): boolean {
  return names.some((name) => {
    if (/[^\x20-\x7e]/.test(name)) return true; // whose case is not told by a bit
    const wanted = new TextEncoder().encode(name.toLowerCase());
    const isWanted = (at: number) =>
      wanted.every((code, offset) => code === index[at + offset] || code === (index[at + offset]! | 0x20));
    for (const first of new Set([name[0]!.toLowerCase(), name[0]!.toUpperCase()])) {
      const code = first.charCodeAt(0);
      for (let at = index.indexOf(code); at >= 0; at = index.indexOf(code, at + 1)) {
        const end = index[at + wanted.length];
        if ((end === 0 || end === 47) && isWanted(at)) return true; // the end of the path, or of a directory's name
      }
    }
    return false;
  });
}

/** Lists the given names that git tracks in a directory of its repository; `undefined` if git is not installed. */
async function listed(
  repository: string,
  directory: string,
  names: ReadonlyMap<string, string>,
): Promise<string[] | undefined> {
  const above = directory === repository ? "" : `${directory.slice(repository.length).replace(/^[\\/]/, "")}/`;
  const paths = [...names.keys()].map((name) => `:(top,icase,literal)${above}${name}`);
  const { git } = await load<typeof import("../system/git.ts")>("core/system/git.ts");
  const answer = await git(repository, ["ls-files", "-z", "--", ...paths]);
  if (answer === undefined) return undefined;
  const found: string[] = [];
  for (const path of answer.stdout.split("\0").filter(Boolean)) {
    const own = path.slice(above.length);
    const top = own.split("/")[0];
    const name = names.get(top) ?? await sameName(directory, top, names);
    if (name !== undefined) found.push(name + own.slice(top.length));
  }
  return found;
}

/** Returns the name of ours that a directory treats as equal to another spelling. */
async function sameName(
  directory: string,
  spelling: string,
  names: ReadonlyMap<string, string>,
): Promise<string | undefined> {
  const name = [...names.values()].find((one) => one.toLowerCase() === spelling.toLowerCase());
  const [own, other] = await Promise.all([name, spelling].map((one) => one && disk.look(join(directory, one))));
  return own && other && own.inode === other.inode ? name : undefined;
}
