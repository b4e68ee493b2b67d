/**
 * Runs git in a repository that a stranger may have set up: none of that repository's settings runs a program.
 *
 * @module
 */
import { ForkstackError, isForkstackError } from "../../mod.ts";
import { disk } from "./disk.ts";
import { dirname, join, rawVariable, variable } from "./host.ts";
import { run } from "./subprocess.ts";

/**
 * Settings that would run a program, overridden: `-c` wins over every file (https://git-scm.com/docs/git-config,
 * FILES). An alias never replaces a command of git's own.
 */
const SETTINGS = [
  "core.fsmonitor=false",
  "core.hooksPath=/dev/null",
  "core.pager=cat",
  "core.askPass=",
  "core.sshCommand=false",
  "credential.helper=",
  "diff.external=",
  "safe.bareRepository=explicit",
  "submodule.recurse=false",
];

/** Variables that forkstack sets for git; without them a transport would fetch objects that a partial clone lacks. */
const OWN = {
  GIT_ALLOW_PROTOCOL: "none",
  GIT_NO_LAZY_FETCH: "1",
  GIT_OPTIONAL_LOCKS: "0",
  GIT_TERMINAL_PROMPT: "0",
};

/** Names of the variables that say where the user's own settings are. */
const PERSONS = [
  ...["XDG_CONFIG_HOME", "USERPROFILE", "HOMEDRIVE", "HOMEPATH", "SYSTEMROOT"],
  ...["GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT"],
];

/**
 * Returns the variables that git gets: the user's own settings, `safe.directory` included. Left out are those that lead
 * to another repository or index, as in a hook that runs forkstack: `GIT_DIR`, `GIT_WORK_TREE`, `GIT_INDEX_FILE`; and
 * those that run a program: `GIT_EXTERNAL_DIFF`, `GIT_PAGER`, `GIT_SSH`.
 */
function variablesFor(directory: string): Record<string, string> {
  const passed: Record<string, string> = {};
  for (const name of PERSONS) {
    const value = variable(name);
    if (value !== undefined) passed[name] = value;
  }
  const count = Math.min(Number(passed.GIT_CONFIG_COUNT ?? 0), 1_000); // git itself refuses what is no number
  for (let at = 0; at < count; at++) {
    for (const name of [`GIT_CONFIG_KEY_${at}`, `GIT_CONFIG_VALUE_${at}`]) passed[name] = rawVariable(name) ?? "";
  }
  return { ...passed, ...OWN, GIT_CEILING_DIRECTORIES: dirname(directory) };
}

/** Exit statuses of a program that SIGHUP, SIGINT or SIGTERM ended. */
const STOPPED = [129, 130, 143];

/**
 * Longest time for git, in milliseconds. Git reads a repository's files as they are: a pipe would block it for ever.
 */
const MOST_MS = 20_000;

/**
 * Runs git in the directory that holds `.git`, without searching further up; `undefined` if git is not installed. The
 * status is 0 or 1, the latter with no output where there is no repository.
 *
 * @throws {ForkstackError} GIT_FAILED with git's own advice, e.g. how to trust a directory of another user's; or after
 * 20 seconds, or `mostMs`, without an answer.
 */
export async function git(
  directory: string,
  args: readonly string[],
  mostMs: number = MOST_MS,
): Promise<{ readonly status: number; readonly stdout: string } | undefined> {
  const settings = SETTINGS.flatMap((one) => ["-c", one]);
  const line = ["--no-pager", ...settings, "-C", directory, ...args];
  const ended = await run("git", line, { env: variablesFor(directory), mostMs });
  if (ended === undefined) return undefined;
  if (ended.isLate) {
    throw new ForkstackError(
      "GIT_FAILED",
      `Cannot ask git about "${directory}": no answer within ${mostMs / 1_000} s`,
      {
        hint: "Look for a pipe or a device among git's files and those that .git/config includes: " +
          "`find .git -not -type f -not -type d` lists them; then look whether the disk answers",
      },
    );
  }
  if (STOPPED.includes(ended.status)) { // a terminal's Ctrl-C reaches git too
    throw new ForkstackError("INTERRUPTED", `Stopped while git was asked about "${directory}"`, {
      hint: "Run the same command again",
    });
  }
  const problem = /^(?:fatal|error): .*$/m.exec(ended.stderr)?.[0]; // an answer that lacks a part ends with 0
  if (ended.status <= 1 && problem === undefined) return ended;
  if (/^fatal: not (a git repository|in a git directory)/m.test(ended.stderr)) return { status: 1, stdout: "" };
  const said = (problem ?? ended.stderr.split("\n")[0]!).slice(0, 200);
  const complaint = said !== "" ? said : `it said nothing and ended with ${ended.status}`;
  const advice = /^\s*(git config --global --add safe\.directory .+)$/m.exec(ended.stderr)?.[1];
  throw new ForkstackError("GIT_FAILED", `Cannot ask git about "${directory}": ${complaint}`, {
    hint: advice === undefined
      ? `See what \`git -C ${JSON.stringify(directory)} status\` says`
      : `If you trust it, run \`${advice}\`; in a container or CI, set safe.directory by GIT_CONFIG_COUNT`,
  });
}

/**
 * Returns true if git ignores a path below the directory that holds `.git`, tracked or not.
 *
 * @throws {ForkstackError} GIT_FAILED as `git()`, NOT_PERMITTED if a file that git would read for it is a pipe or a
 * device.
 */
export async function isIgnored(repository: string, path: string): Promise<boolean> {
  const parts = path.split(/[\\/]/);
  const above = parts.map((_, at) => join(repository, ...parts.slice(0, at), ".gitignore"));
  for (const file of [...above, join(await commonDirectory(repository), "info", "exclude")]) {
    await textAt(file);
  }
  return (await git(repository, ["check-ignore", "-q", "--no-index", "--", `./${path}`]))?.status === 0;
}

/** Returns the common directory as named in the files of a linked worktree; git itself checks more closely. */
async function commonDirectory(repository: string): Promise<string> {
  const from = (directory: string, path: string) => /^([\\/]|[a-z]:)/i.test(path) ? path : join(directory, path);
  const linked = /^gitdir: (.+)$/m.exec(await textAt(join(repository, ".git")))?.[1];
  const own = linked === undefined ? join(repository, ".git") : from(repository, linked);
  const common = (await textAt(join(own, "commondir"))).trim();
  return common === "" ? own : from(own, common);
}

/** Returns a file's text; an empty one if it cannot be read, which git will report; a pipe is refused. */
async function textAt(path: string): Promise<string> {
  try {
    return await disk.readText(path);
  } catch (error) {
    if (isForkstackError(error)) throw error;
    return "";
  }
}
