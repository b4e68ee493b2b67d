/** State that is not this checkout's and this user's is refused by every command, before anything of it is read. */
import assert from "node:assert/strict";
import { chmod, link, mkdir, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { main } from "../../core/cli/main.ts";
import { baseVariables, temporaryDirectory, testIf, treeOf } from "../helpers.ts";
import { readableByAll } from "../tools.ts";
import { commandOf, IS_OTHER_PROGRAM, Place, runCommand, useProcesses } from "./run.ts";
import { CATALOG } from "../../providers/mod.ts";

useProcesses();

const COMMANDS: readonly (readonly string[])[] = [
  ["list"],
  ["status"],
  ["status", "alice"],
  ["switch", "dev"],
  ["new", "bob"],
  ["new", "bob", "--dry-run"],
  ["run", "dev", "--", "true"],
  ["serve", "--port", "0"],
  ["secrets", "list"],
  ["secrets", "diff", "alice", "dev"],
  ["doctor"],
  ["doctor", "--fix", "--yes"],
  ["doctor", "--rebuild"],
  ["extend", "alice", "2d"],
  ["reset", "alice", "--yes"],
  ["prune", "--dry-run"],
  ["delete", "alice", "--yes"],
  ["permissions"],
];

/** Runs the command line here, in this process. */
async function cli(cwd: string, ...args: string[]) {
  const said = { stdout: "", stderr: "" };
  const variables = { ...baseVariables(), USER: "tester" };
  const write = (stream: "stdout" | "stderr", text: string) => void (said[stream] += text);
  const code = await main([...args], CATALOG, { cwd, variables, write });
  return { code, ...said };
}

/** Every command is refused with this code and says this; nothing changes, completions tell no name. */
async function allRefused(cwd: string, above: string, code: "GIT_TRACKED" | "NOT_PERMITTED", says: RegExp) {
  const before = treeOf(above);
  for (const args of COMMANDS) {
    const own = args.indexOf("--") < 0 ? [...args, "--json"] : [...args];
    const ended = await cli(cwd, ...own);
    assert.equal(ended.code, code === "GIT_TRACKED" ? 5 : 2, `${args.join(" ")}: ${ended.stdout}${ended.stderr}`);
    if (own.at(-1) !== "--json") assert.match(ended.stderr, says);
    else {
      const { error } = JSON.parse(ended.stdout);
      assert.equal(error.code, code, args.join(" "));
      assert.match(error.message, says);
      assert(error.hint);
    }
  }
  assert.equal((await cli(cwd, "completions", "--", "switch", "")).stdout.trim(), "");
  assert.deepEqual(treeOf(above), before);
}

/** A repository with an environment, as somebody could have shipped it. */
async function shipped(): Promise<Place> {
  const place = await Place.make();
  await place.git("init", "-q");
  assert.equal((await cli(place.root, "new", "alice")).code, 0);
  await place.git("add", ".");
  await place.git("commit", "-q", "-m", "begin");
  return place;
}

/** How git may come to track state: what is done, and which file is told. */
const TRACKED: Readonly<Record<string, (place: Place) => Promise<string>>> = {
  "a key": async (place) => await added(place, ".forkstack/buckets.key"),
  "a registry": async (place) => await added(place, ".forkstack/registry.db"),
  "a file that forkstack does not know": async (place) => {
    await place.write(".forkstack/a/b/c", "x");
    return await added(place, ".forkstack/a/b/c");
  },
  "a pointer that is skipped in the working tree": async (place) => {
    await added(place, ".current-env");
    await place.git("update-index", "--skip-worktree", ".current-env");
    return ".current-env";
  },
  ".env.local that is assumed unchanged": async (place) => {
    await added(place, ".env.local");
    await place.git("update-index", "--assume-unchanged", ".env.local");
    return ".env.local";
  },
  "a file that is only intended to be added": async (place) => await added(place, ".forkstack/buckets.key", "-N"),
  "a file in an index of version 4": async (place) => {
    await added(place, ".forkstack/buckets.key");
    await place.git("update-index", "--index-version", "4");
    return ".forkstack/buckets.key";
  },
  "a file in a split index": async (place) => {
    await added(place, ".forkstack/buckets.key");
    await place.git("update-index", "--split-index");
    return ".forkstack/buckets.key";
  },
  "a file in a sparse index": async (place) => {
    await place.write("app/forkstack.json", '{"project": "shop"}');
    await place.write("app/.env.local", "FORKSTACK_ENV=dev\n");
    await place.git("add", "-f", "app");
    await place.git("commit", "-q", "-m", "more");
    await place.git("sparse-checkout", "set", "--sparse-index", "elsewhere");
    await place.write("app/forkstack.json", '{"project": "shop"}');
    return "app:.env.local";
  },
  "a directory that is a submodule": async (place) => {
    await place.git("update-index", "--add", "--cacheinfo", `160000,${"1".repeat(40)},.forkstack/envs`);
    return ".forkstack/envs";
  },
  "a name that would steer a terminal or a shell": async (place) => {
    await place.write(".forkstack/\x1b[2J$(id)", "x");
    await added(place, ".forkstack/\x1b[2J$(id)");
    return ".forkstack/\\u001b[2J$(id)";
  },
  "two files in a conflict": async (place) => {
    const hash = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391";
    const lines = [1, 2, 3].map((stage) => `100644 ${hash} ${stage}\t.current-env\n`).join("");
    await runCommand(place.root, ["git", "update-index", "--index-info"], { stdin: lines });
    return ".current-env";
  },
  "a name that the file system takes for ours": async (place) => {
    await link(place.path(".env.local"), place.path(".ENV.LOCAL")); // as on a disk where case does not matter
    await added(place, ".ENV.LOCAL");
    return ".env.local";
  },
  "a file of a repository around this one": async (place) => {
    await added(place, ".current-env");
    await rename(place.path(".git"), join(place.above, ".git"));
    await runCommand(place.above, ["git", "rm", "-q", "-r", "--cached", "."]);
    await runCommand(place.above, ["git", "add", "-f", "shop/.current-env"]);
    await place.git("init", "-q");
    return ".current-env";
  },
};

async function added(place: Place, file: string, ...options: string[]): Promise<string> {
  await place.git("add", ...options, "-f", file);
  return file;
}

for (const [name, make] of Object.entries(TRACKED)) {
  Deno.test(`git tracks ${name}: every command refuses, and names it`, async () => {
    await using place = await shipped();
    const [file, directory = "."] = (await make(place)).split(":").reverse();
    const says = new RegExp(`^(error: )?Cannot use "${RegExp.escape(file)}": git tracks it`, "m");
    await allRefused(place.path(directory), place.above, "GIT_TRACKED", says);
  });
}

Deno.test("git tracks much: three names are told, and the hint is two commands that name only ours", async () => {
  await using place = await shipped();
  for (let n = 0; n < 9; n++) await place.write(`.forkstack/many/${n}`, "");
  await place.git("add", "-f", ".forkstack/many", ".env.local");
  const { error } = JSON.parse((await cli(place.root, "list", "--json")).stdout);
  assert.match(
    error.message,
    /^Cannot use "\.env\.local", "\.forkstack\/many\/0", "\.forkstack\/many\/1", 7 more: git/,
  );
  assert.match(error.hint, /`git rm -r --cached \.env\.local \.forkstack` and commit; .*`git rm -r \.env\.local \.fo/);
  await place.git(..."rm -r -q --cached .env.local .forkstack".split(" "));
  assert.equal((await cli(place.root, "list")).code, 0);
});

Deno.test("the main worktree's state is tracked there: commands of a linked worktree refuse it", async () => {
  await using place = await shipped();
  await place.git("worktree", "add", "-q", join(place.above, "linked"));
  assert.equal((await cli(join(place.above, "linked"), "list")).code, 0);
  await place.git("add", "-f", ".forkstack/buckets.key");
  await allRefused(
    join(place.above, "linked"),
    place.above,
    "GIT_TRACKED",
    /"\.forkstack\/buckets\.key": git tracks it/,
  );
});

Deno.test("what only looks like ours may be tracked", async () => {
  await using place = await shipped();
  const files = [".env.local.example", "x.forkstack/a", "docs/.current-env", ".current-envs/a", ".ForkStack/a"];
  for (const file of files) {
    await place.write(file, "x");
    await place.git("add", "-f", file);
  }
  for (const version of ["2", "4"]) {
    await place.git("update-index", "--index-version", version);
    for (const args of [["list"], ["switch", "dev"], ["switch", "alice"]]) {
      const { code, stderr } = await cli(place.root, ...args);
      assert.equal(code, 0, stderr);
    }
  }
});

Deno.test({
  name: "without a program git: looking goes on where the index plainly names nothing of ours, else it is told",
  ignore: IS_OTHER_PROGRAM, // another program may need what PATH finds
  async fn() {
    await using place = await shipped();
    const only = { env: { PATH: place.above } };
    const list = () => runCommand(place.root, commandOf(["list"]), only);
    assert.equal((await list()).code, 0);
    await place.git("update-index", "--index-version", "4");
    const { code, stderr } = await list();
    assert.equal(code, 2);
    assert.match(stderr, /Cannot tell what git tracks .*: there is no program git\n.*hint: Install git/);
  },
});

Deno.test("init: what git tracks is a warning, and nothing of it is read", async () => {
  await using place = await shipped();
  await place.git("add", "-f", ".forkstack/checked.json");
  await place.write(".forkstack/checked.json", "not ours");
  const { code, stdout } = await cli(place.root, "init", "--yes");
  assert.equal(code, 0);
  assert.match(
    stdout,
    /warning: Cannot use "\.forkstack\/checked\.json": git tracks it; `.*new` will stop on it/,
  );
});

// ---- links

/** Where a link may stand. */
const LINKS = [
  ...[".forkstack", ".forkstack/registry.db", ".forkstack/registry.db-wal", ".forkstack/buckets.key"],
  ...[".forkstack/envs", ".forkstack/envs/alice.env", ".forkstack/secrets", ".forkstack/secrets/dev.env"],
  ...[".forkstack/buckets", ".forkstack/buckets/shop-bucket-dev", ".forkstack/sqlite/shop-alice.db"],
  ...[".forkstack/owners/database.shop-alice.json", ".forkstack/locks", ".forkstack/checked.json"],
  ...[".forkstack/providers", ".forkstack/edit", ".forkstack/.gitignore", ".current-env"],
];

Deno.test("a link at or inside of .forkstack, or for .current-env: every command refuses, and names it", async (t) => {
  for (const name of LINKS) {
    await t.step(name, async () => {
      await using place = await Place.make();
      assert.equal((await cli(place.root, "new", "alice")).code, 0);
      const there = join(place.above, "elsewhere");
      await mkdir(dirname(place.path(name)), { recursive: true });
      await rename(place.path(name), there).catch(() => writeFile(there, "SECRET=1\n"));
      await symlink(there, place.path(name));
      const says = new RegExp(`"${RegExp.escape(place.path(name))}": it is a link`);
      await allRefused(place.root, place.above, "NOT_PERMITTED", says);
    });
  }
});

Deno.test("a link that leads nowhere, and one to itself, are links too", async () => {
  for (const to of ["nowhere", "envs"]) {
    await using place = await Place.make();
    await mkdir(place.path(".forkstack"));
    await symlink(to, place.path(".forkstack/envs"));
    await allRefused(place.root, place.above, "NOT_PERMITTED", /\.forkstack\/envs": it is a link/);
  }
});

Deno.test("a link above the project, and to the project itself, is ordinary; so is .env.local that is read", async () => {
  await using place = await Place.make();
  await symlink(place.root, join(place.above, "link"));
  for (const args of [["new", "alice"], ["list"], ["switch", "dev"], ["doctor"], ["delete", "alice", "--yes"]]) {
    const { code, stderr } = await cli(join(place.above, "link"), ...args);
    assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
  }
  await rename(place.path(".env.local"), join(place.above, "mine"));
  await symlink("../mine", place.path(".env.local"));
  assert.equal((await cli(place.root, "list")).code, 0);
});

Deno.test("the sign of a lock's holder is no path that the registry chose", async () => {
  await using place = await Place.make();
  assert.equal((await cli(place.root, "new", "alice")).code, 0);
  const path = place.path("places.sqlite");
  using other = new DatabaseSync(path);
  other.exec("CREATE TABLE places (url)");
  const before = await readFile(path);
  using registry = new DatabaseSync(place.path(".forkstack/registry.db"));
  registry.prepare("INSERT OR REPLACE INTO locks VALUES ('alice', ?, 'new', 99, 0)").run("x#../../places.sqlite");
  await cli(place.root, "extend", "alice", "2d");
  assert.deepEqual(await readFile(path), before);
});

// ---- owners

const notRoot = process.getuid?.() === 0 ? undefined : "needs root, to give files to another user";
const noSetpriv = notRoot ?? await runCommand(".", ["setpriv", "--version"]).then(() => undefined, () => "no setpriv");

/** Copies of what another user may not read where it lies. */
const FOR_ALL = temporaryDirectory("forkstack-for-all-");
globalThis.addEventListener("unload", () => FOR_ALL[Symbol.dispose]());
await chmod(FOR_ALL.path, 0o755);

function inRepository(name: string): string {
  return fileURLToPath(new URL(`../../${name}`, import.meta.url));
}

/** A command line of another user, whom a directory of packages and the like is no obstacle. */
async function as(uid: number, cwd: string, args: readonly string[], sets: string[] = []) {
  const command = ["setpriv", `--reuid=${uid}`, "--clear-groups", ...readableCommand(commandOf(args, ...sets))];
  const { code, stdout, stderr } = await runCommand(cwd, command, {
    env: { HOME: "/nonexistent", DENO_DIR: cacheOf() },
  });
  return { code, stdout, stderr };
}

/** A command whose program, and this clone's shipped code, lie where every user may read them. */
function readableCommand(command: readonly string[]): string[] {
  const named = [command[0], ...["deno.json", "deno.lock", "cli.ts", "mod.ts", "core", "providers"].map(inRepository)];
  const read = new Map(named.map((path) => [path, readableByAll(path, join(FOR_ALL.path, basename(path)))]));
  return command.map((part) => read.get(part) ?? part.replace(/^--lock=(.*)/, (_, path) => `--lock=${read.get(path)}`));
}

function cacheOf(): string {
  return process.env.DENO_DIR ?? join(process.env.HOME ?? "/root", ".cache", "deno");
}

async function given(path: string, uid: number): Promise<void> {
  await runCommand("/", ["chown", "-R", "-h", `${uid}:${uid}`, path]);
}

testIf(notRoot, "root in a container over the mount of another's checkout: every command works", async () => {
  await using place = await shipped();
  await given(place.root, 4711);
  for (
    const args of [["list"], ["status", "alice"], ["doctor"], ["secrets", "list", "dev"], ["run", "dev", "--", "true"]]
  ) {
    const { code, stderr } = await cli(place.root, ...args);
    assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
  }
  await mkdir(place.path("app", "src"), { recursive: true });
  await given(place.path("app"), 4711);
  assert.equal((await cli(place.path("app", "src"), "list")).code, 0);
});

testIf(notRoot, "a .forkstack of a third user's: every command refuses", async () => {
  await using place = await shipped();
  await given(place.path(".forkstack"), 4711);
  await allRefused(place.root, place.above, "NOT_PERMITTED", /\.forkstack": another user owns it/);
});

testIf(notRoot, "pointers of a third user's: every command refuses", async () => {
  for (const name of [".current-env", ".env.local"]) {
    await using place = await shipped();
    await given(place.path(name), 4711);
    const says = new RegExp(`${RegExp.escape(name)}": another user owns it`);
    await allRefused(place.root, place.above, "NOT_PERMITTED", says);
  }
});

testIf(
  notRoot,
  "a forkstack.json above of a third user's: every command refuses; in the directory itself it counts",
  async () => {
    await using place = await Place.make(null);
    await writeFile(join(place.above, "forkstack.json"), '{"project": "planted"}');
    await given(join(place.above, "forkstack.json"), 4711);
    await allRefused(place.root, place.above, "NOT_PERMITTED", /forkstack\.json": another user owns it/);
    await given(place.root, 4711);
    assert.equal((await cli(place.root, "list")).code, 0, "the owner of the working directory's");
    await given(place.root, 0);
    assert.equal((await cli(place.above, "list")).code, 0, "in the working directory");
  },
);

testIf(
  noSetpriv,
  "an image that runs USER node over root's files: looking works, and state of its own in a volume",
  async () => {
    await using place = await Place.make();
    await place.git("init", "-q");
    await cli(place.root, "new", "alice");
    await chmod(place.above, 0o755);
    await runCommand(place.root, ["chmod", "-R", "a+rX", ".forkstack", ".current-env", ".env.local"]);
    // No `run`: it loads packages, from a cache that is another user's.
    for (const args of [["list"], ["status", "alice"]]) {
      const { code, stderr } = await as(1000, place.root, args);
      assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
    }
    await given(place.path(".forkstack"), 1000);
    const unknown = await as(1000, place.root, ["list"]);
    assert.equal(unknown.code, IS_OTHER_PROGRAM ? 0 : 2, "Deno may not say who this is");
    if (!IS_OTHER_PROGRAM) assert.match(unknown.stderr, /hint: .*or if it is yours grant --allow-sys=uid/);
    const known = await as(1000, place.root, ["list"], ["--allow-sys=uid,hostname"]);
    assert.equal(known.code, 0, known.stderr);
  },
);

for (
  const [file, code] of Object.entries({
    "forkstack.json": /^(NOT_PERMITTED|FILE_UNREADABLE)$/,
    ".current-env": /^(NOT_PERMITTED|FILE_UNREADABLE)$/,
    ".git/index": /^NOT_PERMITTED$/,
    ".forkstack/registry.db": /^REGISTRY_FOREIGN$/,
    ".forkstack/registry-id": /^NOT_PERMITTED$/,
    ".forkstack/envs/alice.env": /^NOT_PERMITTED$/,
  })
) {
  Deno.test(`a pipe or a device at ${file} is refused, and waited for by nobody`, async () => {
    await using place = await Place.make();
    await place.git("init", "-q");
    await place.ok("new", "alice");
    for (const make of [["mkfifo"], ["ln", "-s", "/dev/zero"]]) {
      if (make[0] === "ln" && file.startsWith(".forkstack/")) continue; // a link is refused there, whatever it leads to
      if (make[0] === "ln" && file === ".current-env") continue;
      await rm(place.path(file), { force: true });
      const made = await runCommand(place.root, [...make, place.path(file)]);
      assert.equal(made.code, 0, made.stderr);
      const { ok, exitCode, error } = await place.json("switch", "alice");
      assert.equal(ok ?? false, false);
      assert.match(error.code, code, make.join(" "));
      assert([2, 5].includes(exitCode ?? 2), String(exitCode));
    }
  });
}
