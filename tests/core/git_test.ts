/** Git that never answers: what a repository holds must not hold up a command for ever. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { git } from "../../core/git.ts";
import { run } from "../../core/run.ts";
import { checkUntracked } from "../../core/ownership.ts";
import { temporaryDirectory } from "../helpers.ts";

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
  const roots = { root: directory.path, stateRoot: directory.path };
  await assert.rejects(checkUntracked(roots), { code: "NOT_PERMITTED", message: /it is a pipe or a device/ });
});

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
