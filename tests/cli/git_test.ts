/** A repository whose own settings would run programs: no command of forkstack has git run one. */
import assert from "node:assert/strict";
import { chmod, mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { baseVariables, testIf } from "../helpers.ts";
import { Place, run, runCommand, type RunOptions } from "./run.ts";

const COMMANDS: readonly (readonly string[])[] = [
  ["init", "--yes"],
  ["new", "alice"],
  ["list"],
  ["status"],
  ["switch", "dev"],
  ["switch", "alice"],
  ["extend", "alice", "2d"],
  ["reset", "alice", "--yes"],
  ["run", "alice", "--", "true"],
  ["secrets", "set", "KEY", "alice"],
  ["secrets", "list", "alice"],
  ["doctor"],
  ["doctor", "--fix", "--yes"],
  ["prune", "--yes"],
  ["completions", "--", "switch", ""],
  ["permissions"],
  ["delete", "alice", "--yes"],
];

/** A project in a repository; what a setting would run puts its name into the directory `ran`. */
async function trapped(): Promise<{ place: Place; trap(name: string): Promise<string>; ran(): Promise<string[]> }> {
  const place = await Place.make();
  await mkdir(join(place.above, "ran"));
  await place.git("init", "-q");
  await place.git("add", ".");
  await place.git("commit", "-q", "-m", "begin");
  return {
    place,
    async trap(name) {
      const path = join(place.above, `${name}.sh`);
      await writeFile(path, `#!/bin/sh\ntouch "${place.above}/ran/${name}"\nexit 1\n`);
      await chmod(path, 0o755);
      return path;
    },
    ran: async () => await readdir(join(place.above, "ran")),
  };
}

async function runAll(place: Place, options?: RunOptions): Promise<void> {
  for (const args of COMMANDS) {
    const { code, stderr } = await run(place.root, args, { stdin: "value", ...options });
    assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
  }
}

Deno.test("no command runs what the repository's own settings name", async () => {
  const { place, trap, ran } = await trapped();
  await using _ = place;
  const hooks = join(place.above, "hooks");
  await mkdir(hooks);
  for (const hook of ["post-index-change", "fsmonitor-watchman", "reference-transaction", "pre-auto-gc"]) {
    await writeFile(join(hooks, hook), `#!/bin/sh\ntouch "${place.above}/ran/${hook}"\n`);
    await chmod(join(hooks, hook), 0o755);
    await writeFile(place.path(".git", "hooks", hook), `#!/bin/sh\ntouch "${place.above}/ran/${hook}-own"\n`);
    await chmod(place.path(".git", "hooks", hook), 0o755);
  }
  const settings: Record<string, string> = {
    "core.fsmonitor": await trap("fsmonitor"),
    "core.hooksPath": hooks,
    "core.pager": await trap("pager"),
    "pager.ls-files": await trap("pager-ls-files"),
    "pager.check-ignore": "true",
    "pager.config": await trap("pager-config"),
    "core.editor": await trap("editor"),
    "core.askPass": await trap("askpass"),
    "core.sshCommand": await trap("ssh"),
    "core.gitProxy": await trap("proxy"),
    "core.alternateRefsCommand": await trap("alternates"),
    "credential.helper": `!${await trap("credential")}`,
    "diff.external": await trap("diff"),
    "diff.x.textconv": await trap("textconv"),
    "filter.x.clean": await trap("clean"),
    "filter.x.smudge": await trap("smudge"),
    "filter.x.process": await trap("process"),
    "merge.x.driver": await trap("merge"),
    "gpg.program": await trap("gpg"),
    "interactive.diffFilter": await trap("interactive"),
    "uploadpack.packObjectsHook": await trap("pack"),
  };
  for (const name of ["ls-files", "check-ignore", "config", "status"]) {
    settings[`alias.${name}`] = `!${await trap(`alias-${name}`)}`;
  }
  await place.write(".gitattributes", "* filter=x diff=x merge=x\n");
  for (const [name, value] of Object.entries(settings)) await place.git("config", name, value);
  await writeFile(join(place.above, "included"), `[core]\n\tfsmonitor = ${await trap("included")}\n`);
  await place.git("config", "include.path", join(place.above, "included"));
  await runCommand(place.root, ["git", "update-index", "--index-version", "4"]); // git must be asked
  await runCommand(place.root, ["git", "status"]);
  assert.notDeepEqual(await ran(), [], "git by itself runs them");
  await rm(join(place.above, "ran"), { recursive: true });
  await mkdir(join(place.above, "ran"));
  await runAll(place);
  assert.deepEqual(await ran(), []);
});

Deno.test("a project inside of a tracked bare repository: its settings are not read, its files are looked for above", async () => {
  const { place, trap, ran } = await trapped();
  await using _ = place;
  await runCommand(place.root, ["git", "init", "-q", "--bare", "inner"]);
  const inner = ["git", "--git-dir", place.path("inner")];
  await runCommand(place.root, [...inner, "config", "core.bare", "false"]);
  await runCommand(place.root, [...inner, "config", "core.worktree", place.path("inner")]);
  await runCommand(place.root, [...inner, "config", "core.fsmonitor", await trap("fsmonitor")]);
  await place.write("inner/forkstack.json", '{"project": "shop"}');
  await runCommand(place.path("inner"), ["git", "status"]);
  assert.deepEqual(await ran(), ["fsmonitor"], "git by itself runs it");
  await rm(join(place.above, "ran", "fsmonitor"));
  for (const args of [["new", "alice"], ["switch", "dev"], ["list"], ["doctor"], ["init", "--yes"]]) {
    const { code, stderr } = await run(place.path("inner"), args);
    assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
  }
  await place.git("add", "-f", "inner/.env.local");
  const { stderr } = await run(place.path("inner"), ["list"]);
  assert.match(stderr, /Cannot use "\.env\.local": git tracks it/);
  assert.deepEqual(await ran(), []);
});

Deno.test("a partial clone fetches nothing: no transport is used to answer", async () => {
  const { place, trap, ran } = await trapped();
  await using _ = place;
  await place.write("far/away.txt", "x");
  await place.git("add", ".");
  await place.git("commit", "-q", "-m", "more");
  const { stdout } = await runCommand(place.root, ["git", "rev-parse", "HEAD:far"]);
  await place.git("sparse-checkout", "set", "--sparse-index", "near");
  const settings = {
    "extensions.partialClone": "origin",
    "remote.origin.url": place.above,
    "remote.origin.promisor": "true",
    "remote.origin.uploadpack": await trap("uploadpack"),
    "protocol.allow": "always",
  };
  for (const [name, value] of Object.entries(settings)) await place.git("config", name, value);
  await rm(place.path(".git/objects", stdout.slice(0, 2), stdout.trim().slice(2)));
  await runCommand(place.root, ["git", "ls-files"]);
  assert.deepEqual(await ran(), ["uploadpack"], "git by itself runs it");
  await rm(join(place.above, "ran", "uploadpack"));
  for (const args of [["list"], ["new", "alice"], ["doctor"]]) {
    const { code, stderr } = await run(place.root, args);
    assert.equal(code, 2, stderr);
    assert.match(stderr, /Cannot ask git about/);
  }
  assert.deepEqual(await ran(), []);
});

Deno.test("variables that lead git to another repository or index, as in a hook, are not heeded", async () => {
  await using other = await Place.make();
  await other.git("init", "-q");
  await other.write(".env.local", "FORKSTACK_ENV=dev\n");
  await other.git("add", "-f", ".env.local");
  await using place = await Place.make();
  await place.git("init", "-q");
  const env = {
    GIT_DIR: other.path(".git"),
    GIT_WORK_TREE: other.root,
    GIT_INDEX_FILE: other.path(".git/index"),
    GIT_COMMON_DIR: other.path(".git"),
    GIT_PREFIX: "x/",
    GIT_EXTERNAL_DIFF: "/nonexistent",
    GIT_PAGER: "/nonexistent",
  };
  await runAll(place, { env });
  assert.equal((await run(place.root, ["new", "bob"], { env })).code, 0);
  await place.git("add", "-f", ".env.local");
  assert.match((await run(place.root, ["new", "carol"], { env })).stderr, /git tracks it/);
});

Deno.test("run from a hook of the repository itself", async () => {
  await using place = await Place.make();
  await place.git("init", "-q");
  await place.ok("new", "alice");
  const { code, stderr } = await runCommand(place.root, [
    ...["git", "-c", "alias.x=!sh -c '\"$@\"' sh", "x"],
    ...["env", "GIT_INDEX_FILE=/nonexistent", process.execPath, "run", "-q", "-A"],
    ...["-c", new URL("../../deno.json", import.meta.url).pathname, new URL("../../cli.ts", import.meta.url).pathname],
    ...["switch", "dev"],
  ]);
  assert.equal(code, 0, stderr);
});

const notRoot = process.getuid?.() === 0 ? undefined : "needs root, to give files to another user";

testIf(
  notRoot,
  "a repository of another user's: git's own advice, and safe.directory by each way git heeds",
  async () => {
    await using place = await Place.make();
    await place.git("init", "-q");
    await place.git("add", ".");
    await runCommand(place.above, ["chown", "-R", "65534:65534", place.root]);
    const home = join(place.above, "home");
    await mkdir(join(home, "git"), { recursive: true });
    const nobody = { ...baseVariables(), HOME: home };
    const { code, stderr } = await run(place.root, ["new", "alice"], { env: nobody });
    assert.equal(code, 2, stderr);
    assert.match(stderr, /dubious ownership/);
    assert.match(stderr, /hint: .*`git config --global --add safe\.directory \//);
    assert.equal((await run(place.root, ["list"], { env: nobody })).code, 0, "looking needs no git");
    const settings = join(place.above, "settings");
    await writeFile(settings, "[safe]\n\tdirectory = *\n");
    await writeFile(join(home, "git", "config"), "[safe]\n\tdirectory = *\n");
    const ways = {
      GIT_CONFIG_COUNT: { GIT_CONFIG_COUNT: "2", GIT_CONFIG_KEY_0: "x.y", GIT_CONFIG_VALUE_0: "" },
      GIT_CONFIG_GLOBAL: { GIT_CONFIG_GLOBAL: settings },
      GIT_CONFIG_SYSTEM: { GIT_CONFIG_SYSTEM: settings },
      XDG_CONFIG_HOME: { XDG_CONFIG_HOME: home },
      GIT_CONFIG_PARAMETERS: { GIT_CONFIG_PARAMETERS: "'safe.directory'='*'" },
    };
    Object.assign(ways.GIT_CONFIG_COUNT, { GIT_CONFIG_KEY_1: "safe.directory", GIT_CONFIG_VALUE_1: "*" });
    for (const [name, env] of Object.entries(ways)) {
      const ended = await run(place.root, ["new", name.toLowerCase().replaceAll("_", "-")], {
        env: { ...nobody, ...env },
      });
      assert.equal(ended.code, 0, `${name}: ${ended.stderr}`);
    }
  },
);
