/** Files of forkstack are ignored by git on every branch and in every worktree, and kept out of images. */
import assert from "node:assert/strict";
import { chmod, mkdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { testIf } from "../helpers.ts";
import { WHY_ROOT, WITHOUT_RIGHTS } from "../tools.ts";
import { Place, repository, run, runCommand } from "./run.ts";

const EXCLUDE = ".git/info/exclude";
const LINES = ["/.forkstack/", "/.current-env", "/.env.local*", "/shop.*.db*", "/*.forkstack-????????"];

/** Lists what `git add -A` stages in a checkout, after `git stash -u` and `git checkout` of a branch where there is one. */
async function staged(place: Place, top: string, branch?: string): Promise<string> {
  const who = ["-c", "user.name=tester", "-c", "user.email=tester@example.com"];
  const git = async (...args: string[]) => await runCommand(top, ["git", ...who, ...args]);
  await git("stash", "-qu");
  if (branch !== undefined) assert.equal((await git("checkout", "-q", branch)).code, 0);
  await git("add", "-A");
  const { stdout } = await git("status", "--porcelain");
  await git("reset", "-q");
  return stdout.replaceAll(place.above, "");
}

async function made(directory: string, env = "alice"): Promise<void> {
  const { code, stderr } = await run(directory, ["new", env]);
  assert.equal(code, 0, stderr);
}

Deno.test("nothing of ours is staged after git stash -u, git checkout and git add -A", async (t) => {
  await t.step("main repository, and a branch without our .gitignore", async () => {
    await using place = await repository();
    await place.git("checkout", "-qb", "topic");
    await made(place.root);
    await place.git("add", ".gitignore");
    await place.git("commit", "-qm", "ignore");
    assert.equal(await staged(place, place.root, "main"), "");
    assert.equal(await place.read(".current-env"), "alice\n");
  });
  await t.step("linked worktree", async () => {
    await using place = await repository();
    const linked = join(place.above, "linked");
    await place.git("worktree", "add", "-q", linked, "-b", "topic");
    await made(linked);
    assert.equal(await staged(place, linked), "");
    assert.equal(await staged(place, place.root), "");
  });
  await t.step("project in a subdirectory, whose name holds what patterns mean", async () => {
    await using place = await repository("apps/we[b]*/");
    await made(place.path("apps", "we[b]*"));
    assert.equal(await staged(place, place.root), "");
    await place.write("apps/other/.current-env", "a person's");
    const { stdout } = await runCommand(place.root, ["git", "status", "--porcelain", "-uall"]);
    assert.equal(stdout, "?? apps/other/.current-env\n", "what is not ours is not ignored");
  });
  await t.step("submodule", async () => {
    await using place = await repository();
    await using outer = await Place.make(null);
    await outer.git("init", "-q");
    await outer.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", place.root, "lib/shop");
    await outer.git("commit", "-qm", "begin");
    await made(outer.path("lib", "shop"));
    assert.equal(await staged(outer, outer.path("lib", "shop")), "");
    assert.equal(await staged(outer, outer.root), "");
  });
  await t.step("bare layout", async () => {
    await using place = await repository();
    const bare = join(place.above, "bare");
    await runCommand(place.above, ["git", "clone", "-q", "--bare", place.root, join(bare, ".bare")]);
    await runCommand(bare, ["git", "--git-dir=.bare", "worktree", "add", "-q", join(bare, "main"), "main"]);
    await made(join(bare, "main"));
    assert.equal(await staged(place, join(bare, "main")), "");
    for (const line of LINES) {
      assert.ok((await readFile(join(bare, ".bare/info/exclude"), "utf8")).includes(`${line}\n`));
    }
  });
});

Deno.test("info/exclude gets our lines once, in its own style, and stays a person's", async () => {
  await using place = await repository();
  for (const [before, end] of [["*.log", "\n"], ["# mine\r\n*.log\r\n", "\r\n"], ["/.current-env\n", "\n"]] as const) {
    await place.write(EXCLUDE, before);
    await made(place.root);
    await place.ok("switch", "dev");
    const after = (await place.read(EXCLUDE))!;
    assert.ok(after.startsWith(before), JSON.stringify(after));
    assert.deepEqual(after.split(end).filter((line) => LINES.includes(line)).sort(), [...LINES].sort());
    assert.equal(after.includes("\r\n"), end === "\r\n");
  }
  await place.write(EXCLUDE, "");
  await rm(place.path(EXCLUDE));
  await rm(place.path(".git/info"), { recursive: true });
  await place.ok("switch", "alice");
  assert.equal(await place.read(EXCLUDE), `${LINES.join("\n")}\n`, "also where git's template had no such file");
});

Deno.test("info/exclude is not written through links, nor in a repository that does not know the checkout", async () => {
  for (const link of [EXCLUDE, ".git/info", ".git"]) {
    await using place = await repository();
    const aside = join(place.above, "aside");
    const isFile = link === EXCLUDE;
    if (isFile) await writeFile(aside, "theirs\n");
    else await mkdir(join(aside, "info"), { recursive: true });
    if (link === ".git") await runCommand(place.above, ["cp", "-R", `${place.root}/.git/.`, aside]);
    await rm(place.path(link), { recursive: true });
    await symlink(aside, place.path(link));
    const path = isFile ? aside : link === ".git" ? join(aside, "info/exclude") : join(aside, "exclude");
    const before = await readFile(path, "utf8").catch(() => "none");
    await made(place.root);
    assert.equal(await readFile(path, "utf8").catch(() => "none"), before, link);
  }
  await using other = await repository();
  await using place = await Place.make();
  const before = await other.read(EXCLUDE);
  for (const gitdir of [other.path(".git"), other.path(".git/worktrees/x"), "/"]) {
    await place.write(".git", `gitdir: ${gitdir}\n`);
    await run(place.root, ["new", "alice"]);
    assert.equal(await other.read(EXCLUDE), before);
  }
});

testIf(WHY_ROOT, "a .git that can't be written, and no .git, stop nothing", async () => {
  await using place = await repository();
  await chmod(place.path(".git/info"), 0o555);
  await chmod(place.path(EXCLUDE), 0o444);
  const before = await place.read(EXCLUDE);
  const { code, stderr } = await run(place.root, ["new", "alice"], { within: WITHOUT_RIGHTS });
  assert.equal(code, 0, stderr);
  assert.equal(await place.read(EXCLUDE), before);
  await using plain = await Place.make();
  await plain.ok("new", "alice");
  assert.equal(await plain.read(EXCLUDE), undefined);
});

Deno.test("after git clean -fdx what is left says that the environment was removed outside forkstack", async () => {
  await using place = await repository();
  const linked = join(place.above, "linked");
  await place.git("worktree", "add", "-q", linked, "-b", "topic");
  await made(place.root);
  assert.equal((await run(linked, ["switch", "alice"])).code, 0);
  await place.git("clean", "-fdxq", "-e", "/.current-env");
  for (const directory of [place.root, linked]) {
    for (const args of [["status"], ["run", "--", "true"], ["delete", "alice", "--yes"], ["extend", "alice", "1d"]]) {
      const { code, stderr } = await run(directory, args);
      assert.equal(code, 4, stderr);
      assert.match(stderr, /environment "alice": it was removed outside forkstack/);
    }
    assert.match((await run(directory, ["doctor"])).stdout, /current by .current-env, but it was removed outside/);
    assert.match((await run(directory, ["status", "bob"])).stderr, /it does not exist/);
  }
  await made(place.root);
  assert.equal((await run(linked, ["status"])).code, 0, "made again, it is there again");
});

Deno.test("init offers lines of .dockerignore to a project of which images are made", async () => {
  const lines = ".forkstack/\n.current-env\n.env.local*\nshop.*.db*\n";
  const cases: readonly [files: Record<string, string>, after: string | undefined][] = [
    [{}, undefined],
    [{ "Dockerfile.prod": "" }, lines],
    [{ Dockerfile: "FROM scratch\n" }, lines],
    [{ "compose.yaml": "" }, lines],
    [{ "api.Containerfile": "" }, lines],
    [{ ".dockerignore": "node_modules" }, `node_modules\n${lines}`],
    [
      { ".dockerignore": "**/.env.local*\r\n.forkstack\r\n" },
      "**/.env.local*\r\n.forkstack\r\n.current-env\r\nshop.*.db*\r\n",
    ],
    [{ ".dockerignore": lines }, lines],
  ];
  for (const [files, after] of cases) {
    await using place = await Place.make();
    for (const [name, text] of Object.entries(files)) await place.write(name, text);
    const { stdout } = await place.ok("init", "--dry-run");
    assert.equal(/\.dockerignore/.test(stdout), after !== files[".dockerignore"]);
    await place.ok("init");
    assert.equal(await place.read(".dockerignore"), after, JSON.stringify(files));
    await place.ok("init");
    assert.equal(await place.read(".dockerignore"), after);
  }
});
