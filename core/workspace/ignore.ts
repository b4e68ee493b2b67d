/**
 * Ignore lines that keep forkstack's files out of commits and images: in `.gitignore`, in `info/exclude` of git's
 * common directory, and in `.dockerignore`.
 *
 * @module
 */
import { envFileOf, findUpwards, ForkstackError, isOwned } from "../../mod.ts";
import { disk } from "../system/disk.ts";
import { type Files, sweepTemporary } from "../system/files.ts";
import { commonDirectory } from "../system/git_directory.ts";
import { cwd, join } from "../system/host.ts";
import { load } from "../system/lazy.ts";
import type { Project } from "../project/project.ts";

/** Returns the lines for the directory of forkstack.json, each with an example of a path that it ignores. */
export function ignoreLines(
  { name, config }: Pick<Project, "name" | "config">,
): readonly (readonly [line: string, example: string])[] {
  return [
    ["/.forkstack/", ".forkstack/registry.db"],
    ["/.current-env", ".current-env"],
    ...envFileLines(envFileOf(config)),
    [`/${name}.*.db*`, `${name}.dev.db/x`],
  ];
}

/** Returns the lines for the env file, and for its temporary file, which holds the same credentials. */
function envFileLines(file: string | undefined): [line: string, example: string][] {
  if (file === undefined) return [];
  if (file === ".env.local") return [[`/${file}*`, `${file}.forkstack-0`]];
  return [[`/${file}`, file], [`/${file}.forkstack-*`, `${file}.forkstack-0`]]; // .env.example is for git
}

/** Lists the lines that a text lacks in any spelling. */
export function lackingIn(text: string, lines: readonly string[]): string[] {
  const bare = (line: string) => line.trim().replace(/^(\*\*)?\/|\/$/g, "");
  const written = new Set(text.split(/\r?\n/).map(bare));
  return lines.filter((line) => !written.has(bare(line)));
}

/** Names of files that show that a project is built into images. */
const CONTAINERS = /^(.*\.)?(Dockerfile|Containerfile)(\..*)?$|^(docker-)?compose(\..+)?\.ya?ml$|^\.dockerignore$/;

/** Lists the lines that `.dockerignore` lacks, if files in the directory show that images are built from it. */
export function lackingForImages(project: Project, names: readonly string[], text: string): string[] {
  if (!names.some((name) => CONTAINERS.test(name))) return [];
  return lackingIn(text, ignoreLines(project).map(([line]) => line.slice(1)));
}

/** A repository's `info/exclude`, for all its git branches and worktrees, that lacks lines of ours. */
export interface Exclude {
  readonly path: string;
  /** Returns the file's present content with the missing lines added. */
  readonly complete: (now: Uint8Array | undefined) => Uint8Array;
}

/**
 * Returns `info/exclude` of the repository around a project, if it lacks lines. `undefined` if there is none, or if it
 * is not safe to write: a link, another user's file, in UTF-16, or of a repository that does not know this checkout.
 */
export async function lackingExclude(project: Project, files: Files): Promise<Exclude | undefined> {
  const place = await excludeOf(project, files);
  if (place === undefined) return undefined;
  const { path, below } = place;
  const lines = [...ignoreLines(project).map(([line]) => line), "/*.forkstack-????????"].map((line) => below + line);
  const lackingOf = (now: Uint8Array | undefined) => {
    const written = new Set(linesText(path, now).split(/\r?\n/));
    return lines.filter((line) => !written.has(line));
  };
  const complete = (now: Uint8Array | undefined) => withLines(now, lackingOf(now));
  const present = await files.readBytes(path);
  if (!takesLines(present) || lackingOf(present).length === 0) return undefined;
  await sweepTemporary(files, path);
  return { path, complete };
}

/**
 * Returns true if `info/exclude` has these lines and no line with `!` revokes them, there or in a `.gitignore`, which
 * takes precedence (https://git-scm.com/docs/gitignore). Returns `false` in doubt; the caller then asks git itself.
 */
async function isPlainlyExcluded(project: Project, files: Files, lines: readonly string[]): Promise<boolean> {
  const place = await excludeOf(project, files);
  if (place === undefined) return false;
  const { path, top, below } = place;
  const text = await files.read(path) ?? "";
  const written = new Set(text.split(/\r?\n/));
  if (!lines.every((line) => written.has(below + line))) return false;
  const above = place.root.slice(top.length).split(/[\\/]/).filter(Boolean);
  const directories = [top, ...above.map((_, at) => join(top, ...above.slice(0, at + 1)))];
  const texts = await Promise.all(directories.map((one) => files.read(join(one, ".gitignore")).catch(() => "!")));
  return ![text, ...texts].some((one) => /^\uFEFF?!/m.test(one ?? ""));
}

interface ExcludePlace {
  readonly path: string;
  /** Real paths of the project and of the checkout's top. */
  readonly root: string;
  readonly top: string;
  /** The project's directory as the start of a line. */
  readonly below: string;
}

async function excludeOf(project: Project, files: Files): Promise<ExcludePlace | undefined> {
  const root = await disk.realPath(project.root);
  const top = repositoryOf(root);
  const common = top && await commonDirectory(top);
  if (top === undefined || common === undefined || !isOwned(common, cwd())) return undefined;
  const path = join(common, "info", "exclude");
  const [info, file] = await Promise.all([join(common, "info"), path].map((one) => files.stat(one)));
  if ((info?.type ?? "directory") !== "directory" || (file?.type ?? "file") !== "file") return undefined;
  const below = root.slice(top.length).replaceAll("\\", "/").replace(/[*?[\]\\]/g, "\\$&").replace(/\/$/, "");
  return { path, root, top, below };
}

function repositoryOf(directory: string): string | undefined {
  try {
    return findUpwards(directory, ".git");
  } catch {
    return undefined; // what may not be read above is none of this project's
  }
}

/** Lists the lines that .gitignore lacks: those that it does not have, and whose paths no other line ignores. */
export async function lackingLines(project: Project, files: Files, text: string): Promise<string[]> {
  const all = ignoreLines(project);
  const unwritten = lackingIn(text, all.map(([line]) => line));
  if (unwritten.length === 0 || await isPlainlyExcluded(project, files, unwritten)) return [];
  const root = await disk.realPath(project.root);
  const repository = findUpwards(root, ".git");
  if (repository === undefined) return unwritten;
  const lacking = all.filter(([line]) => unwritten.includes(line));
  const { isIgnored } = await load<typeof import("../system/git.ts")>("core/system/git.ts");
  const ignored = await Promise.all(
    lacking.map(([, example]) =>
      isIgnored(repository, join(root, example).slice(repository.length).replace(/^[\\/]/, ""))
    ),
  );
  return lacking.filter((_, at) => !ignored[at]).map(([line]) => line);
}

// ---- files of a person that get lines of ours at their end, in any encoding that holds ASCII as it is

/** Returns true unless a content is UTF-16 or the like, where lines of ours would be noise. */
export function takesLines(bytes: Uint8Array = new Uint8Array()): boolean {
  const [first, second] = bytes;
  return !bytes.includes(0) && !(first === 0xff && second === 0xfe) && !(first === 0xfe && second === 0xff);
}

/**
 * Returns the content of such a file as a text to look for lines in, never to be written.
 *
 * @throws {ForkstackError} CONFIG_INVALID if it takes no lines.
 */
export function linesText(path: string, bytes: Uint8Array | undefined): string {
  if (takesLines(bytes)) return new TextDecoder().decode(bytes);
  throw fileRefusal(path, "it must be text in UTF-8");
}

/** The error for a file of a person's that is not in the form that it must be in. */
export function fileRefusal(path: string, problem: string, advice?: string): ForkstackError {
  return new ForkstackError("CONFIG_INVALID", `Cannot read ${path}: ${problem}`, {
    hint: advice ?? "Fix it and run the same command again; nothing was changed",
  });
}

/** Returns a content with these lines added at its end, in its own style. */
export function withLines(bytes: Uint8Array = new Uint8Array(), lines: readonly string[]): Uint8Array {
  const [LF, CR] = [10, 13];
  const isCrlf = bytes.some((byte, at) => byte === LF && bytes[at - 1] === CR);
  const end = isCrlf ? "\r\n" : "\n";
  const open = bytes.length > 0 && bytes.at(-1) !== LF ? end : "";
  const added = new TextEncoder().encode(open + lines.map((line) => line + end).join(""));
  const whole = new Uint8Array(bytes.length + added.length);
  whole.set(bytes);
  whole.set(added, bytes.length);
  return whole;
}
