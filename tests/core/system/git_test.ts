/** Git that never answers: what a repository holds must not hold up a command for ever. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { git, isIgnored } from "../../../core/system/git.ts";
import { run } from "../../../core/system/subprocess.ts";
import { checkUntracked } from "../../../core/project/state_ownership.ts";
import { temporaryDirectory } from "../../helpers.ts";

function program(command: string, ...args: string[]): void {
  const { status, stderr } = spawnSync(command, args, { encoding: "utf8" });
  assert.equal(status, 0, stderr);
}

/** A repository with an index, in which a pipe that nobody writes to stands at a path. */
function repository(path: string) {
  const directory = temporaryDirectory();
  writeFileSync(join(directory.path, "a"), "");
  program("git", "init", "-q", directory.path);
  program("git", "-C", directory.path, "add", "a");
  const at = join(directory.path, path);
  mkdirSync(join(at, ".."), { recursive: true });
  rmSync(at, { force: true });
  program("mkfifo", at);
  return directory;
}

const LIST = ["ls-files", "-z"];
const IGNORED = ["check-ignore", "-q", "--no-index", "--", "./a"];

for (
  const [path, args] of [
    [".git/config", LIST],
    [".git/HEAD", LIST],
    [".git/index", LIST],
    [".git/commondir", LIST],
    [".git/info/exclude", IGNORED],
    [".gitignore", IGNORED],
  ] as const
) {
  Deno.test(`git() ends where ${path} is a pipe`, async () => {
    using directory = repository(path);
    const began = performance.now();
    const answer = await git(directory.path, args, 1_000).catch((error) => error);
    assert(performance.now() - began < 10_000);
    if (answer?.status !== undefined) return; // git passes over some by itself
    assert.equal(answer.code, "GIT_FAILED");
    assert.match(answer.message, /no answer within 1 s$|fatal|error/);
    assert(answer.hint, answer.message);
  });
}

Deno.test("git() says how long it waited, and for what to look", async () => {
  using directory = repository(".git/config");
  await assert.rejects(git(directory.path, LIST, 300), {
    code: "GIT_FAILED",
    message: `Cannot ask git about "${directory.path}": no answer within 0.3 s`,
    hint: /a pipe or a device among git's files/,
  });
});

Deno.test("git() ends where a file that a setting includes is a pipe", async () => {
  using directory = repository("settings");
  writeFileSync(join(directory.path, ".git", "config"), `[include]\n\tpath = ${join(directory.path, "settings")}\n`);
  await assert.rejects(git(directory.path, LIST, 300), { code: "GIT_FAILED", message: /no answer within/ });
});

Deno.test("a command that only looks is told of a pipe at once, without git", async () => {
  using directory = repository(".git/index");
  const roots = { root: directory.path, stateRoot: directory.path, config: { project: "shop" } };
  await assert.rejects(checkUntracked(roots), { code: "NOT_PERMITTED", message: /it is a pipe or a device/ });
});

for (const path of [".gitignore", "d/.gitignore", "d/e/.gitignore", ".git/info/exclude"]) {
  Deno.test(`isIgnored() refuses a pipe at ${path} at once, and a link to one`, async () => {
    using directory = repository("pipe");
    const at = join(directory.path, path);
    mkdirSync(join(at, ".."), { recursive: true });
    rmSync(at, { force: true });
    writeFileSync(at, "c.*\n");
    assert.equal(await isIgnored(directory.path, "d/e/c.db"), true);
    assert.equal(await isIgnored(directory.path, "d/e/d.db"), false);
    for (
      const plant of [["mkfifo", at], ["ln", "-s", join(directory.path, "pipe"), at], ["ln", "-s", "/dev/tty", at]]
    ) {
      rmSync(at);
      program(plant[0]!, ...plant.slice(1));
      await assert.rejects(isIgnored(directory.path, "d/e/c.db"), {
        code: "NOT_PERMITTED",
        message: /pipe or a device/,
      });
    }
    rmSync(at);
    mkdirSync(at); // is git's to tell
    if (path === ".gitignore") assert.equal(await isIgnored(directory.path, "d/e/c.db"), false);
  });
}

Deno.test("isIgnored() refuses a pipe at the main repository's info/exclude, in a linked worktree", async () => {
  using directory = repository("b/pipe");
  const [exclude, linked] = [join(directory.path, ".git", "info", "exclude"), join(directory.path, "linked")];
  const who = ["-c", "user.name=a", "-c", "user.email=a@example.com"];
  program("git", "-C", directory.path, ...who, "commit", "-qm", "a");
  program("git", "-C", directory.path, "worktree", "add", "-q", linked);
  writeFileSync(exclude, "c\n");
  assert.equal(await isIgnored(linked, "c"), true);
  rmSync(exclude);
  program("mkfifo", exclude);
  await assert.rejects(isIgnored(linked, "c"), { code: "NOT_PERMITTED", message: /info\/exclude/ });
});

Deno.test("git() that a signal ended is an interruption; one that says nothing is told with its status", async () => {
  using directory = repository("pipe");
  using path = directoryInPath();
  for (
    const [script, code, message] of [
      ["kill -TERM $$", "INTERRUPTED", /^Stopped while git was asked/],
      ["kill -INT $$", "INTERRUPTED", /^Stopped/],
      ["kill -HUP $$", "INTERRUPTED", /^Stopped/],
      ["kill -KILL $$", "GIT_FAILED", /: it said nothing and ended with 137$/],
      ["exit 9", "GIT_FAILED", /: it said nothing and ended with 9$/],
      ["echo fatal: no >&2; exit 128", "GIT_FAILED", /: fatal: no$/],
    ] as const
  ) {
    writeFileSync(join(path.path, "git"), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    await assert.rejects(git(directory.path, LIST), { code, message });
  }
});

/** A directory that comes first in PATH. */
function directoryInPath() {
  const directory = temporaryDirectory();
  const before = process.env.PATH!;
  process.env.PATH = `${directory.path}:${before}`;
  return {
    path: directory.path,
    [Symbol.dispose]() {
      process.env.PATH = before;
      directory[Symbol.dispose]();
    },
  };
}

Deno.test("run() ends a program that takes too long, and no other", async () => {
  const late = await run("sh", ["-c", "echo begun; exec sleep 60"], { mostMs: 200 });
  assert.deepEqual([late?.isLate, late?.stdout], [true, "begun\n"]);
  assert.equal((await run("sh", ["-c", "kill -9 $$"], { mostMs: 60_000 }))?.isLate, undefined);
  assert.deepEqual(await run("sh", ["-c", "echo $X; exit 3"], { mostMs: 60_000, env: { X: "x" } }), {
    status: 3,
    stdout: "x\n",
    stderr: "",
  });
  assert.equal(await run("no-such-program", [], { mostMs: 1 }), undefined);
});
