/** Anybody can write a `.git` file: the command line and mod.ts believe the same ones. */
import assert from "node:assert/strict";
import { cpSync, mkdirSync, realpathSync, renameSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { commonDirectory, gitDirectory } from "../../../core/system/git_directory.ts";
import { stateRoot } from "../../../mod.ts";
import { linkedRepository, type Project, type Repository } from "../../runtime_helpers.ts";

const entry = (at: Project) => `${at.path}/main/.git/worktrees/new`;

/** `.git` files in `x` that the repository in `main` does not list. */
const UNLISTED: Readonly<Record<string, (at: Repository) => void>> = {
  "a copy of a worktree": (at) => cpSync(join(at.path, "linked"), join(at.path, "x"), { recursive: true }),
  "a worktree that was moved by hand": (at) => renameSync(join(at.path, "linked"), join(at.path, "x")),
  "one that names the entry of another": (at) => at.write("x/.git", `gitdir: ${at.path}/main/.git/worktrees/linked\n`),
  "one with an entry that it brought along": (at) => {
    at.write("x/.git", "gitdir: worktrees/x\n");
    at.write("x/worktrees/x/commondir", `${at.path}/main/.git\n`);
    at.write("x/worktrees/x/gitdir", `${at.path}/x/.git\n`);
  },
  "one whose entry is a link out of the repository": (at) => {
    at.write("x/.git", `gitdir: ${entry(at)}\n`);
    at.write("x/entry/commondir", `${at.path}/main/.git\n`);
    at.write("x/entry/gitdir", `${at.path}/x/.git\n`);
    symlinkSync("../../../x/entry", entry(at));
  },
  "one whose entry does not lead back": (at) => {
    at.write("x/.git", `gitdir: ${entry(at)}\n`);
    at.write("main/.git/worktrees/new/commondir", "../..\n");
  },
  "one that leads in a circle": (at) => at.write("x/.git", "gitdir: .git\n"),
  "one that leads nowhere": (at) => at.write("x/.git", "gitdir: /no/such/worktrees/x\n"),
  "an empty one": (at) => at.write("x/.git", ""),
};

for (const [name, make] of Object.entries(UNLISTED)) {
  Deno.test(`commonDirectory() and stateRoot() believe no \`.git\` file of this kind: ${name}`, async () => {
    using at = linkedRepository();
    make(at);
    mkdirSync(join(at.path, "x/app"), { recursive: true });
    assert.equal(await commonDirectory(join(at.path, "x")), undefined);
    assert.equal(stateRoot(join(at.path, "x/app")), join(at.path, "x/app"));
  });
}

Deno.test("commonDirectory() is the repository's for each worktree that it lists, by links and relative paths too", async () => {
  using at = linkedRepository();
  const common = realpathSync(join(at.path, "main/.git"));
  symlinkSync("linked", join(at.path, "by-link"));
  for (const top of ["main", "linked", "by-link"]) assert.equal(await commonDirectory(join(at.path, top)), common, top);
  at.write("linked/.git", "gitdir: ../main/.git/worktrees/linked\n");
  at.write("main/.git/worktrees/linked/gitdir", "../../../../linked/.git\n");
  assert.equal(await commonDirectory(join(at.path, "linked")), common);
  assert.equal(realpathSync(await gitDirectory(join(at.path, "linked"))), join(common, "worktrees/linked"));
  at.git("main", "clone", "-q", "--bare", "../main", "../bare.git");
  at.git("bare.git", "worktree", "add", "-q", "../one");
  assert.equal(await commonDirectory(join(at.path, "one")), realpathSync(join(at.path, "bare.git")));
});

Deno.test("commonDirectory() of a submodule is its own, and of a copy or a link of its `.git` file none", async () => {
  using at = linkedRepository();
  at.git("main", "clone", "-q", "../main", "../sub");
  at.git("main", "submodule", "--quiet", "add", "../sub", "sub");
  assert.equal(await commonDirectory(join(at.path, "main/sub")), realpathSync(join(at.path, "main/.git/modules/sub")));
  at.write("x/.git", `gitdir: ${at.path}/main/.git/modules/sub\n`);
  assert.equal(await commonDirectory(join(at.path, "x")), undefined);
  mkdirSync(join(at.path, "y"));
  symlinkSync("../linked/.git", join(at.path, "y/.git"));
  assert.equal(await commonDirectory(join(at.path, "y")), undefined);
});
