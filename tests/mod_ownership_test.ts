/** The getters read state of this checkout and this user alone. */
import assert from "node:assert/strict";
import {
  chmodSync,
  chownSync,
  cpSync,
  lchownSync,
  mkdirSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { isForkstackError, stateRoot } from "../mod.ts";
import { onTerminal, terminalTest } from "./cli/terminal.ts";
import { testIf } from "./helpers.ts";
import {
  bun,
  deno,
  envFile,
  linkedRepository,
  localFile,
  node22,
  type Project,
  type Repository,
  run,
  temporaryProject,
} from "./runtime_helpers.ts";
import { readableByAll } from "./tools.ts";

const MOD = new URL("../mod.ts", import.meta.url).href;
const ALICE = { FORKSTACK_ENV: "alice", FORKSTACK_PROJECT: "myapp", DATABASE_URL: "postgres://alice" };

/** A project on alice, whose database is a vendor's. */
function project(): Project {
  return temporaryProject({
    "forkstack.json": JSON.stringify({
      project: "myapp",
      database: { provider: "postgres" },
      secrets: { provider: "env-file" },
    }),
    ".current-env": "alice\n",
    ".forkstack/envs/alice.env": envFile(ALICE),
    ".forkstack/secrets/alice.env": "KEY=1\n",
  });
}

function codeOf(call: () => unknown): string {
  try {
    call();
    return "none";
  } catch (error) {
    assert(isForkstackError(error), String(error));
    assert(error.hint);
    return error.code;
  }
}

const url = (at: Project, cwd = ".") => at.open({}, cwd).of("database", "DATABASE_URL");

// ---- links

for (const name of [".forkstack", ".forkstack/envs", ".forkstack/envs/alice.env", ".current-env"]) {
  Deno.test(`getters: ${name} that is a link is NOT_PERMITTED`, () => {
    using at = project();
    assert.equal(url(at), ALICE.DATABASE_URL);
    renameSync(join(at.path, name), join(at.path, "elsewhere"));
    symlinkSync(join(at.path, "elsewhere"), join(at.path, name));
    assert.equal(codeOf(() => url(at)), "NOT_PERMITTED");
  });
}

Deno.test("getters: a path in .forkstack that is handed out is no link, nor is the file of secrets", async () => {
  using at = temporaryProject({ "forkstack.json": '{"project": "myapp"}' });
  const stack = () => at.open();
  for (
    const [name, get] of Object.entries({
      ".forkstack/sqlite/myapp-dev.db": () => stack().of("database", "DATABASE_URL"),
      ".forkstack/buckets/myapp-bucket-dev": () => stack().storage(),
      ".forkstack/secrets/dev.env": () => stack().of("secrets", "SECRETS_FILE"),
      ".forkstack/buckets": () => stack().storage(),
    })
  ) {
    get();
    mkdirSync(dirname(join(at.path, name)), { recursive: true });
    symlinkSync("/etc/passwd", join(at.path, name));
    assert.equal(codeOf(get), "NOT_PERMITTED", name);
    rmSync(join(at.path, ".forkstack"), { recursive: true });
  }
  mkdirSync(join(at.path, ".forkstack/secrets"), { recursive: true });
  symlinkSync("/etc", join(at.path, ".forkstack/secrets/dev.env"));
  await assert.rejects(stack().secret("KEY"), { code: "NOT_PERMITTED" });
  await assert.rejects(stack().setSecret("KEY", "1"), { code: "NOT_PERMITTED" });
});

Deno.test("getters: another environment's file that is a link is no file that they read", () => {
  using at = project();
  symlinkSync("/etc/passwd", join(at.path, ".forkstack/envs/bob.env"));
  assert.equal(url(at), ALICE.DATABASE_URL);
  const given = at.open({ FORKSTACK_ENV: "alice", DATABASE_URL: "postgres://other" });
  assert.equal(codeOf(() => given.of("database", "DATABASE_URL")), "ENV_CONFLICT");
});

Deno.test("getters: links above the project, to it, and as .env.local are ordinary", () => {
  using at = project();
  mkdirSync(join(at.path, "app"));
  using beside = temporaryProject({ mine: "A=1\n" });
  symlinkSync(at.path, join(beside.path, "link"));
  symlinkSync(join(beside.path, "mine"), join(at.path, ".env.local"));
  assert.equal(url(beside, "link"), ALICE.DATABASE_URL);
  assert.equal(url(beside, "link/app"), ALICE.DATABASE_URL);
});

// ---- owners

const notRoot = process.getuid?.() === 0 ? undefined : "needs root, to give files to another user";
const noSetpriv = notRoot ?? (run(["setpriv", "--version"]).code === 0 ? undefined : "no setpriv");
const THIRD = 4711;

testIf(notRoot, "getters: what a third user owns is NOT_PERMITTED", () => {
  const planted: Readonly<Record<string, string>> = {
    ".forkstack": "app",
    ".current-env": ".",
    ".env.local": ".",
    "forkstack.json": "app/src",
  };
  for (const [name, cwd] of Object.entries(planted)) {
    using at = project();
    at.write(".env.local", localFile(ALICE));
    mkdirSync(join(at.path, "app/src"), { recursive: true });
    assert.equal(url(at, cwd), ALICE.DATABASE_URL);
    chownSync(join(at.path, name), THIRD, THIRD);
    assert.equal(codeOf(() => url(at, cwd)), "NOT_PERMITTED", name);
    chownSync(join(at.path, cwd), THIRD, THIRD);
    assert.equal(url(at, cwd), ALICE.DATABASE_URL, `${name} of the owner of the working directory`);
  }
});

testIf(
  notRoot,
  "getters: a link above that a third user made to this user's own forkstack.json is NOT_PERMITTED",
  () => {
    using mine = project();
    using at = temporaryProject({ "app/x": "" });
    symlinkSync(join(mine.path, "forkstack.json"), join(at.path, "forkstack.json"));
    lchownSync(join(at.path, "forkstack.json"), THIRD, THIRD);
    assert.equal(codeOf(() => at.open({}, "app")), "NOT_PERMITTED");
  },
);

const GRANTED = ["--allow-env=FORKSTACK_*,ENV,DATABASE_URL"];

/** What a getter says to another user, in a directory with a copy of mod.ts. */
function getterAs(
  uid: number,
  cwd: string,
  runtime: string,
  { isDeno, permissions }: { readonly isDeno: boolean; readonly permissions: readonly string[] },
): string {
  const own = isDeno ? ["run", "-q", "--no-config", "--no-lock", "--allow-read", ...permissions] : [];
  const env = { HOME: "/nonexistent", DENO_DIR: join(cwd, "cache"), DENO_NO_UPDATE_CHECK: "1" };
  const as = ["setpriv", `--reuid=${uid}`, "--clear-groups"] as const;
  const { stdout, stderr } = run([...as, runtime, ...own, join(cwd, "main.ts")], { cwd, env });
  return (stdout + stderr).trim();
}

testIf(
  noSetpriv,
  "getters of another user over root's files, and of root over another's mount, in every runtime",
  () => {
    using programs = temporaryProject();
    chmodSync(programs.path, 0o755);
    for (const [name, one] of Object.entries({ deno: deno(), node22: node22(), bun: bun() })) {
      if ("missing" in one) continue;
      const runtime = readableByAll(one.command[0], join(programs.path, name));
      const isDeno = name === "deno";
      using at = project();
      const { path } = at;
      cpSync(new URL(MOD), join(path, "mod.ts"));
      at.write("package.json", '{"type": "module"}');
      at.write(
        "main.ts",
        `import { getDatabaseUrl } from "./mod.ts";
       try { console.log(getDatabaseUrl()); } catch (error) { console.log(error.code, error.hint); }`,
      );
      mkdirSync(join(path, "cache"));
      chmodSync(path, 0o755);
      chmodSync(join(path, "cache"), 0o777);
      const said = (uid: number, ...more: string[]) =>
        getterAs(uid, path, runtime, { isDeno, permissions: [...GRANTED, ...more] });
      assert.equal(said(1000), ALICE.DATABASE_URL, `${runtime}: USER node over root's files`);
      for (const name of [".", ".forkstack", ".current-env", "forkstack.json"]) {
        chownSync(
          join(path, name),
          THIRD,
          THIRD,
        );
      }
      assert.equal(said(0), ALICE.DATABASE_URL, `${runtime}: root over another's mount`);
      chownSync(join(path, ".forkstack"), 4712, 4712);
      assert.match(said(0), /^NOT_PERMITTED/, `${runtime}: a third user's state`);
      for (const name of [".", ".current-env"]) chownSync(join(path, name), 0, 0);
      chownSync(join(path, ".forkstack"), 1000, 1000);
      assert.equal(said(1000, "--allow-sys=uid"), ALICE.DATABASE_URL, `${runtime}: a volume of one's own`);
      if (!isDeno) continue;
      assert.match(said(1000), /^NOT_PERMITTED .*--allow-sys=uid/, "Deno may not say who this is");
    }
  },
);

terminalTest("getters: on a terminal Deno asks for no permission beside read and env", async () => {
  using at = project();
  at.write("main.ts", `import { getDatabaseUrl } from ${JSON.stringify(MOD)}; console.log(getDatabaseUrl());`);
  const command = [process.execPath, "run", "-q", "--no-config", "--no-lock", "--allow-read", ...GRANTED, "main.ts"];
  const { shown, code } = await onTerminal(at.path, command, []);
  assert.equal(code, 0, shown);
  assert.equal(shown.trim(), ALICE.DATABASE_URL);
});

// ---- worktrees

/** Which directory a worktree's state is in, relative to the test's own. */
function stateOf(at: Project, name: string): string {
  const root = stateRoot(join(at.path, name, "app"));
  return root.slice((root.startsWith(at.path) ? at.path : realpathSync(at.path)).length + 1);
}

Deno.test("stateRoot(): a worktree that the main one lists has the main one's state, wherever it lies", () => {
  using at = linkedRepository();
  assert.equal(stateOf(at, "linked"), "main/app");
  at.git("linked", "worktree", "move", "../linked", "../moved");
  assert.equal(stateOf(at, "moved"), "main/app");
  at.git("main", "worktree", "add", "-q", "nested");
  assert.equal(stateOf(at, "main/nested"), "main/app");
  symlinkSync("moved", join(at.path, "by-link"));
  assert.equal(stateOf(at, "by-link"), "main/app");
  at.write("moved/.git", "gitdir: ../main/.git/worktrees/linked\n");
  at.write("main/.git/worktrees/linked/gitdir", "../../../../moved/.git\n"); // worktree.useRelativePaths of git 2.48
  assert.equal(stateOf(at, "moved"), "main/app");
});

Deno.test("stateRoot(): where the project is the whole repository, nothing stands behind the directory's name", () => {
  using at = linkedRepository();
  assert.equal(stateRoot(join(at.path, "linked")), realpathSync(join(at.path, "main")));
});

Deno.test("stateRoot(): after the main worktree was moved by hand, once it is repaired", () => {
  using at = linkedRepository();
  renameSync(join(at.path, "main"), join(at.path, "other"));
  assert.equal(stateOf(at, "linked"), "linked/app");
  at.git("other", "worktree", "repair");
  assert.equal(stateOf(at, "linked"), "other/app");
});

/** `.git` files that no main worktree knows of. */
const UNLISTED: Readonly<Record<string, (at: Repository) => void>> = {
  "a copy of a worktree": (at) => cpSync(join(at.path, "linked"), join(at.path, "x"), { recursive: true }),
  "a `.git` file that names the worktree of another": (at) => {
    at.write("x/.git", `gitdir: ${at.path}/main/.git/worktrees/linked\n`);
  },
  "a link to the `.git` file of another": (at) => {
    mkdirSync(join(at.path, "x"));
    symlinkSync("../linked/.git", join(at.path, "x/.git"));
  },
  "a `.git` file with an entry that it brought along": (at) => {
    at.write("x/.git", "gitdir: worktrees/x\n");
    at.write("x/worktrees/x/commondir", `${at.path}/main/.git\n`);
    at.write("x/worktrees/x/gitdir", `${at.path}/x/.git\n`);
  },
  "a `.git` file whose entry is a link among the main one's own": (at) => {
    at.write("x/entry/commondir", `${at.path}/main/.git\n`);
    at.write("x/entry/gitdir", `${at.path}/x/.git\n`);
    at.write("x/.git", "gitdir: entry\n");
    mkdirSync(join(at.path, "x/worktrees"));
    symlinkSync("../entry", join(at.path, "x/worktrees/entry"));
  },
  "a worktree that was moved by hand": (at) => renameSync(join(at.path, "linked"), join(at.path, "x")),
  "a worktree that the main one forgot": (at) => {
    renameSync(join(at.path, "linked"), join(at.path, "x"));
    at.git("main", "worktree", "prune");
  },
  "an entry without the file that leads back": (at) => {
    at.write("x/.git", `gitdir: ${at.path}/main/.git/worktrees/new\n`);
    at.write("main/.git/worktrees/new/commondir", "../..\n");
  },
  "a `.git` file that leads in a circle": (at) => at.write("x/.git", "gitdir: .git\n"),
  "an empty `.git` file": (at) => at.write("x/.git", ""),
  "a submodule": (at) => {
    at.git("main", "clone", "-q", "../main", "../sub");
    at.git("main", "clone", "-q", "../main", "../x");
    at.git("x", "submodule", "--quiet", "add", "../sub", "sub");
    renameSync(join(at.path, "x"), join(at.path, "super"));
    symlinkSync("super/sub", join(at.path, "x"));
  },
  "a repository with its own directory elsewhere": (at) => {
    at.git("main", "clone", "-q", "--separate-git-dir", "../elsewhere.git", "../main", "../x");
  },
  "a worktree of a repository with its own directory elsewhere": (at) => {
    at.git("main", "clone", "-q", "--separate-git-dir", "../elsewhere.git", "../main", "../y");
    at.git("y", "worktree", "add", "-q", "../x");
  },
};

for (const [name, make] of Object.entries(UNLISTED)) {
  Deno.test(`stateRoot(): ${name} has state of its own`, () => {
    using at = linkedRepository();
    make(at);
    mkdirSync(join(at.path, "x/app"), { recursive: true });
    assert.equal(stateOf(at, "x"), "x/app");
  });
}

Deno.test("stateRoot(): in a bare layout the state is in the common git directory, whatever that is called", () => {
  for (const bare of ["bare.git", "shop/.bare", "shop/.git"]) {
    using at = linkedRepository();
    at.git("main", "clone", "-q", "--bare", "../main", join(at.path, bare));
    at.git(bare, "worktree", "add", "-q", join(at.path, "shop/one"));
    at.git(bare, "worktree", "add", "-q", join(at.path, "two"));
    for (const tree of ["shop/one", "two"]) {
      assert.equal(stateOf(at, tree), `${bare}/.forkstack/projects/app`);
      assert.equal(realpathSync(stateRoot(join(at.path, tree))), realpathSync(join(at.path, bare)));
    }
    cpSync(join(at.path, "two"), join(at.path, "x"), { recursive: true });
    assert.equal(stateOf(at, "x"), "x/app", "a copy of a worktree");
    at.git(bare, "config", "extensions.worktreeConfig", "true");
    at.git(bare, "config", "--unset", "core.bare");
    at.git(bare, "config", "--worktree", "core.bare", "true");
    assert.equal(stateOf(at, "two"), `${bare}/.forkstack/projects/app`);
  }
});

testIf(notRoot, "stateRoot(): a third user's `.git` file above the project leads nowhere", () => {
  using at = linkedRepository();
  mkdirSync(join(at.path, "linked/app"), { recursive: true });
  chownSync(join(at.path, "linked/.git"), THIRD, THIRD);
  assert.equal(stateOf(at, "linked"), "linked/app");
});
