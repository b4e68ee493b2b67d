/**
 * Git, asked about a repository that a stranger may have set up: none of that repository's own settings runs anything.
 *
 * @module
 */
import { ForkstackError } from "../mod.ts";
import { dirname, rawVariable, variable } from "./host.ts";
import { run } from "./run.ts";

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

/** Variables that forkstack sets; transports would fetch an object that a partial clone lacks. */
const OWN = {
  GIT_ALLOW_PROTOCOL: "none",
  GIT_NO_LAZY_FETCH: "1",
  GIT_OPTIONAL_LOCKS: "0",
  GIT_TERMINAL_PROMPT: "0",
};

/** Where the person's own settings are. */
const PERSONS = [
  ...["XDG_CONFIG_HOME", "USERPROFILE", "HOMEDRIVE", "HOMEPATH", "SYSTEMROOT"],
  ...["GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT"],
];

/**
 * The variables that git gets: a person's own settings, `safe.directory` among them. Left out is what would lead to
 * another repository or index, as in a hook that runs forkstack: `GIT_DIR`, `GIT_WORK_TREE`, `GIT_INDEX_FILE`; and what
 * would run a program: `GIT_EXTERNAL_DIFF`, `GIT_PAGER`, `GIT_SSH`.
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

/** So long git may take. It reads a repository's files as they are: a pipe among them would hold it up for ever. */
const MOST_MS = 20_000;

/**
 * What git answers in the directory that holds `.git`, without looking further up; `undefined` where there is no program
 * git. The status is 0 or 1, the latter with no output where there is no repository.
 *
 * @throws {ForkstackError} GIT_FAILED with git's own advice, e.g. how to trust a directory of another user's; or if it does
 * not answer in time, which is 20 seconds unless `mostMs` says otherwise.
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
        hint:
          "Look for a pipe or a device among git's files, such as .git/HEAD, .git/index and .git/config and what it " +
          "includes: `find .git -not -type f -not -type d`; and whether the disk answers",
      },
    );
  }
  const problem = /^(?:fatal|error): .*$/m.exec(ended.stderr)?.[0]; // an answer that lacks a part ends with 0
  if (ended.status <= 1 && problem === undefined) return ended;
  if (/^fatal: not (a git repository|in a git directory)/m.test(ended.stderr)) return { status: 1, stdout: "" };
  const complaint = (problem ?? ended.stderr.split("\n")[0]!).slice(0, 200);
  const advice = /^\s*(git config --global --add safe\.directory .+)$/m.exec(ended.stderr)?.[1];
  throw new ForkstackError("GIT_FAILED", `Cannot ask git about "${directory}": ${complaint}`, {
    hint: advice === undefined
      ? `See what \`git -C ${JSON.stringify(directory)} status\` says`
      : `If you trust it, run \`${advice}\`; in a container or CI, set safe.directory by GIT_CONFIG_COUNT`,
  });
}
