/** Where `new` and `init` begin a project, and where they do not. */
import assert from "node:assert/strict";
import { execSync } from "node:child_process";
import { readFileSync, symlinkSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { checkBeginning } from "../../core/project/begin.ts";
import { IS_OTHER_PROGRAM, Place, run } from "./run.ts";

/** Deno's cache is under HOME where nothing says otherwise. */
const CACHE = { DENO_DIR: process.env.DENO_DIR ?? join(process.env.HOME!, ".cache", "deno") };

const refusedWith = (code: string) => (error: { code?: string }) => error.code === code;

for (
  const [what, files] of Object.entries({
    "a Python project": { "pyproject.toml": "" },
    "a Ruby project": { Gemfile: "" },
    "a .NET project": { "Shop.Web.csproj": "" },
    "a Rust crate": { "Cargo.toml": "[package]\n" },
    "a Deno project with comments": { "deno.jsonc": "{}" },
    "a linked worktree or submodule": { ".git": "gitdir: ../elsewhere\n" },
  })
) {
  Deno.test(`a project begins in ${what}`, async () => {
    await using place = await Place.make(null);
    await assert.rejects(checkBeginning(place.root, { mustBeProject: true }), refusedWith("CONFIG_MISSING"));
    for (const [name, text] of Object.entries(files)) await place.write(name, text);
    await checkBeginning(place.root, { mustBeProject: true });
  });
}

Deno.test("new begins no project beside one: in a subdirectory, among documents, at a directory called package.json", async () => {
  await using place = await Place.make(null);
  await place.git("init", "-q");
  await checkBeginning(place.root, { mustBeProject: true });
  await place.write("src/index.ts", "");
  await place.write("notes/thesis.tex", "");
  await place.write("notes/package.json.bak", "");
  await mkdir(place.path("odd", "package.json"), { recursive: true });
  await mkdir(place.path("linked"));
  symlinkSync("nowhere.json", place.path("linked", "package.json"));
  for (const directory of ["src", "notes", "odd", "linked"]) {
    await assert.rejects(
      checkBeginning(place.path(directory), { mustBeProject: true }),
      refusedWith("CONFIG_MISSING"),
      directory,
    );
    await checkBeginning(place.path(directory), { mustBeProject: false });
  }
  await place.write("packages/web/package.json", "{}");
  await checkBeginning(place.path("packages", "web"), { mustBeProject: true });
});

Deno.test("new outside of any project points to init, writes nothing, and works after it", async () => {
  await using place = await Place.make(null);
  let line = "";
  for (const args of [["new", "alice"], ["new"], ["new", "alice", "--dry-run"]]) {
    const { code, stderr } = await place.run(...args);
    assert.equal(code, 2, stderr);
    assert.match(stderr, /^error: Cannot start a project in ".*shop": it has no forkstack\.json/);
    assert.match(stderr, /hint: .*`.*init`/);
    line = /hint: .*`(.*init)`/.exec(stderr)![1];
  }
  assert.equal(await place.digest(), "");
  if (IS_OTHER_PROGRAM) await place.ok("init");
  else execSync(line, { cwd: place.root, stdio: "ignore" }); // as pasted
  assert.match(readFileSync(place.path("forkstack.json"), "utf8"), /"project": "shop"/);
  await place.ok("new", "alice");
});

Deno.test("neither new nor init begins a project in a home directory, in the root or among everybody's files", async () => {
  await using place = await Place.make(null);
  await place.write("package.json", "{}\n");
  const before = await place.digest();
  symlinkSync(place.root, `${place.above}/home`);
  const homes: Record<string, string>[] = [{ HOME: place.root }, { HOME: `${place.root}/` }, {
    HOME: `${place.above}/home`,
  }, {
    TMPDIR: place.root,
  }];
  for (const variables of homes) {
    for (const command of ["new", "init"]) {
      const { code, stderr } = await run(place.root, [command], { env: { ...CACHE, ...variables } });
      assert.equal(code, 2, stderr);
      assert.match(
        stderr,
        /Cannot start a project in ".*shop": it is a (home directory|directory that other users and programs share)/,
      );
    }
  }
  assert.equal(await place.digest(), before);
  for (const directory of ["/", "/tmp", "/home"]) {
    await assert.rejects(checkBeginning(directory, { mustBeProject: false }), refusedWith("NOT_PERMITTED"), directory);
  }
});

Deno.test("a home directory that has its forkstack.json already is a project as any other", async () => {
  await using place = await Place.make();
  const { code, stderr } = await run(place.root, ["new", "alice"], { env: { ...CACHE, HOME: place.root } });
  assert.equal(code, 0, stderr);
});

Deno.test("a stray forkstack.json in a home directory or among everybody's files makes no project of it", async () => {
  await using place = await Place.make();
  for (const path of ["code/app/package.json", "plain/a"]) await place.write(path, "{}\n");
  symlinkSync(place.root, `${place.above}/home`);
  const before = await place.digest();
  const all: Record<string, string>[] = [
    { HOME: place.root },
    { HOME: `${place.above}/home` },
    { TMPDIR: `${place.root}/` },
    { USERPROFILE: place.root },
  ];
  for (const variables of all) {
    for (const [directory, ...args] of [["code/app", "new", "alice"], ["plain", "init", "--yes"], ["code", "status"]]) {
      const { code, stderr } = await run(place.path(directory!), args, { env: { ...CACHE, ...variables } });
      assert.equal(code, 2, stderr);
      assert.match(stderr, /^error: Cannot use ".*shop\/forkstack\.json": it makes a project of a (home d|d)irectory/m);
    }
  }
  assert.equal(await place.digest(), before);
  const { code, stderr } = await run(place.path("code/app"), ["new", "alice"], {
    env: { ...CACHE, HOME: place.above },
  });
  assert.equal(code, 0, stderr); // of a project, a directory is as ever
});
