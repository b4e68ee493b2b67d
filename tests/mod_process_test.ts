/** Things of the process that are none of forkstack's: a shell's ENV, a working directory at the root of a disk, an old Node. */
import assert from "node:assert/strict";
import { mkdirSync, realpathSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { assertState, findUpwards, isForkstackError, openStack } from "../mod.ts";
import { envFile, type Project, temporaryProject } from "./runtime_helpers.ts";

function codeOf(call: () => unknown): string | undefined {
  try {
    call();
    return undefined;
  } catch (error) {
    assert(isForkstackError(error), String(error));
    return error.code;
  }
}

function project(): Project {
  const alice = { FORKSTACK_ENV: "alice", FORKSTACK_PROJECT: "shop" };
  return temporaryProject({
    "forkstack.json": '{"project": "shop"}',
    ".current-env": "alice\n",
    ".forkstack/envs/alice.env": envFile(alice),
  });
}

for (const ENV of ["/root/.shrc", "~/.kshrc", "./shinit", "/", "alice/", "feature/login"]) {
  Deno.test(`ENV=${ENV} names no environment: it is a shell's, as if it were unset`, () => {
    using at = project();
    const stack = at.open({ ENV });
    assert.deepEqual([stack.current(), stack.decidedBy], ["alice", ".current-env"]);
    assert.equal(stack.of("storage", "BUCKET_NAME"), "shop-bucket-alice");
    const loaded = { ENV, FORKSTACK_ENV: "alice", FORKSTACK_PROJECT: "shop" }; // by whoever loads an env file at the start
    assert.equal(at.open(loaded).current(), "alice");
  });
}

Deno.test("ENV without a slash still names the environment, and FORKSTACK_ENV is a name whatever it holds", () => {
  using at = project();
  assert.deepEqual([at.open({ ENV: "prod" }).env, at.open({ ENV: "prod" }).decidedBy], ["prod", "ENV"]);
  for (const ENV of ["C:shinit", "a b", ".shrc"]) assert.equal(codeOf(() => at.open({ ENV })), "NAME_INVALID");
  assert.equal(codeOf(() => at.open({ FORKSTACK_ENV: "/root/.shrc" })), "NAME_INVALID");
});

Deno.test("no path has two slashes in a row, however the directory is written", () => {
  using at = project();
  const [root, double] = [realpathSync(at.path), realpathSync(at.path).replaceAll("/", "//")];
  mkdirSync(join(root, "a"));
  for (const cwd of [`${root}/`, `${root}//`, double, `${double}//a`, `${root}/a///`]) {
    const stack = openStack({ cwd, read: () => undefined });
    assert.equal(stack.root, root);
    assert.equal(stack.of("local", "LOCAL_PATH"), `${root}/shop.alice.db`);
    assert.equal(stack.of("database", "DATABASE_URL"), `file://${root}/.forkstack/sqlite/shop-alice.db`);
  }
  assert.equal(findUpwards("//", "no-such-file"), undefined);
});

Deno.test("assertState() looks at the state of a project that is written with a slash behind it, as the root of a disk is", () => {
  using at = project();
  const root = realpathSync(at.path);
  symlinkSync("envs", join(root, ".forkstack", "other"));
  for (const written of [root, `${root}/`]) {
    const look = () => assertState(written, join(root, ".forkstack", "other"), root);
    assert.equal(codeOf(look), "NOT_PERMITTED", "a link in .forkstack is refused");
  }
});
