import assert from "node:assert/strict";
import { basename, join } from "node:path";
import { unnamed } from "../../../core/lifecycle/default_name.ts";
import { isForkstackError } from "../../../mod.ts";
import { run, temporaryDirectory, testIf } from "../../helpers.ts";
import { whyMissing } from "../../tools.ts";

const WITHOUT_GIT = whyMissing("git");

/** A repository with one commit, on `main`. */
async function repository() {
  const at = temporaryDirectory();
  const git = async (...args: string[]) =>
    void await run("git", ["-c", "user.name=t", "-c", "user.email=t@example", "-C", at.path, ...args]);
  await git("init", "-q", "-b", "main");
  await git("commit", "-q", "--allow-empty", "-m", "begin");
  return Object.assign(at, { git, name: (root = at.path) => unnamed(root, () => Promise.resolve([])) });
}

const FRIENDLY = /^[a-z]+-[a-z]+(-\d+)?$/;

testIf(WITHOUT_GIT, "an environment that nobody names is called as the git branch is", async () => {
  using at = await repository();
  const branches = {
    "feature/Login": "feature-login",
    "fix_42": "fix-42",
    "müller": "muller",
    "Größe/Ærø": "grosse-aero",
    "dependabot/npm_and_yarn/ws-8.17.1": "dependabot-npm-and-yarn-ws-8-17-1",
    "v2.0": "v2-0",
    "maintain": "maintain",
  };
  for (const [branch, name] of Object.entries(branches)) {
    await at.git("switch", "-q", "-c", branch);
    assert.equal(await at.name(), name);
    assert.equal(await at.name(join(at.path, ".")), name);
  }
});

testIf(
  WITHOUT_GIT,
  "a branch that everybody shares, or that means a base, gives an environment a name of its own",
  async () => {
    using at = await repository();
    assert.match(await at.name(), FRIENDLY); // main
    for (const branch of ["master", "trunk", "Main", "dev", "prod", "production", "Development", "日本"]) {
      await at.git("switch", "-q", "-c", branch);
      const name = await at.name();
      assert.match(name, FRIENDLY, branch);
      assert.doesNotMatch(name, /^(main|master|trunk|dev|prod)$/);
    }
    using bare = temporaryDirectory();
    assert.match(await unnamed(bare.path, () => Promise.resolve([])), FRIENDLY, "there is no repository");
  },
);

testIf(WITHOUT_GIT, "two branches that would name one environment are an error that names both", async () => {
  using at = await repository();
  for (const branch of ["feature-login", "Feature/Login"]) await at.git("branch", branch);
  await at.git("switch", "-q", "-c", "feature/login");
  await assert.rejects(() => at.name(), (error) => {
    assert(isForkstackError(error) && error.code === "NAME_INVALID");
    return /"feature\/login".*"(feature-login|Feature\/Login)".*"feature-login"/.test(error.message);
  });
  await at.git("branch", "-D", "feature-login", "Feature/Login");
  assert.equal(await at.name(), "feature-login");
});

testIf(
  WITHOUT_GIT,
  "where no branch is checked out, the worktree's directory gives the name; an unborn branch is one",
  async () => {
    using at = await repository();
    await at.git("worktree", "add", "-q", "--detach", join(at.path, "Agent_7"));
    assert.equal(await at.name(join(at.path, "Agent_7")), "agent-7");
    await at.git("checkout", "-q", "--detach");
    assert.equal(await at.name(), basename(at.path).toLowerCase().replace(/[^a-z0-9]+/g, "-"));
    await at.git("switch", "-q", "--orphan", "Brand/New");
    assert.equal(await at.name(), "brand-new");
  },
);
