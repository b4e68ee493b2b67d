/** `"envFile"` of forkstack.json: another file in the place of `.env.local`, or none. */
import assert from "node:assert/strict";
import { chmod, mkdir, readdir, stat, symlink } from "node:fs/promises";
import { join } from "node:path";
import { openStack } from "../../mod.ts";
import { testIf } from "../helpers.ts";
import { whyMissing } from "../tools.ts";
import { refused } from "./refused.ts";
import { Place } from "./run.ts";

const MINE = "# mine\r\nexport PORT=3000\nTOKEN='a b'";
const stackOf = (place: Place, variables: Record<string, string> = {}) =>
  openStack({ cwd: place.root, read: (name) => variables[name] });

for (const envFile of [".env", "config/.env.production", "shop.env"]) {
  Deno.test(`"envFile": "${envFile}" holds the block, and a person's lines stay byte for byte`, async () => {
    await using place = await Place.make({ envFile });
    await place.write(envFile, MINE);
    await chmod(place.path(envFile), 0o644);
    const { stderr } = await place.ok("new", "alice");
    assert.match(stderr, /mode 600, was 644/);
    const text = (await place.read(envFile))!;
    assert.match(text, /^# >>> forkstack .*\n.*\nFORKSTACK_ENV=alice\n[^]*\n# <<< forkstack\n/);
    assert(text.endsWith(MINE), text);
    assert.equal((await stat(place.path(envFile))).mode & 0o777, 0o600);
    assert.equal(await place.read(".env.local"), undefined);
    const stack = stackOf(place);
    assert.equal(stack.current(), "alice");
    assert.equal(await stack.secret("TOKEN"), "a b", "its own lines are read as those of .env.local are");
    await place.ok("switch", "dev");
    assert.match((await place.read(envFile))!, /\nFORKSTACK_ENV=dev\n/);
    await place.ok("switch", "alice");
    await place.ok("delete", "alice", "--yes");
    assert.equal(await place.read(envFile), MINE);
    const left = await readdir(place.root, { recursive: true });
    assert.deepEqual(left.filter((name) => name.includes(".forkstack-")), []);
  });
}

Deno.test('"envFile": false writes no env file, and .current-env alone decides', async () => {
  await using place = await Place.make({ envFile: false });
  await place.write(".env.local", `DATABASE_URL=mine\nFORKSTACK_ENV=bob\n${MINE}`);
  const before = await place.read(".env.local");
  await place.ok("new", "alice");
  await place.ok("new", "bob");
  await place.ok("switch", "alice");
  assert.equal(await place.read(".env.local"), before, "a person's own, and none of forkstack's");
  assert.deepEqual((await readdir(place.root)).filter((name) => name.startsWith(".env")), [".env.local"]);
  const stack = stackOf(place);
  assert.deepEqual([stack.current(), stack.decidedBy], ["alice", ".current-env"]);
  assert.match(stack.of("database", "DATABASE_URL"), /shop-alice\.db$/);
  assert.equal((await place.json("status")).data.environment.name, "alice");
  assert.deepEqual((await place.json("doctor")).data.findings, []);
  await place.ok("delete", "alice", "--yes");
  assert.deepEqual([await place.read(".current-env"), await place.read(".env.local")], [undefined, before]);
  assert.doesNotMatch((await place.read(".gitignore"))!, /env\.local/);
});

Deno.test("a block of .env.local from before goes when forkstack.json names another file, or none", async () => {
  for (const envFile of [".env", false]) {
    await using place = await Place.make();
    await place.write(".env.local", MINE);
    await place.ok("new", "alice");
    await place.write("forkstack.json", JSON.stringify({ project: "shop", envFile }));
    await place.ok("new", "bob");
    assert.equal(await place.read(".env.local"), MINE);
    assert.equal(stackOf(place).current(), "bob");
  }
});

Deno.test("a variable of a resource outside the block stops new and switch before anything is made, in any file", async () => {
  await using place = await Place.make({ envFile: ".env" });
  await place.write(".env", "A=1\n\nexport DATABASE_URL='postgres://mine'\n");
  const before = await place.digest();
  await refused(place, ["new", "alice"], {
    code: 5,
    error: "ENV_CONFLICT",
    says: /Cannot write ".*\/shop\/\.env": line 3 sets DATABASE_URL, as forkstack does/,
    hint: /Remove that line/,
  });
  assert.equal(await place.digest(), before);
  await place.ok("new", "alice", "--no-switch");
  await refused(place, ["switch", "alice"], {
    code: 5,
    error: "ENV_CONFLICT",
    says: /line 3 sets DATABASE_URL/,
    hint: /Remove that line/,
  });
  assert.equal(await place.read(".env"), "A=1\n\nexport DATABASE_URL='postgres://mine'\n");
});

Deno.test('"envFile" names an env file inside the project and nothing else', async () => {
  await using place = await Place.make();
  const wrong = [
    ...[
      "../.env",
      "/etc/shop.env",
      "a/../../.env",
      ".git/hooks/.env",
      ".forkstack/x.env",
      "package.json",
      ".envrc",
      "",
    ],
    ...[".current-env", "forkstack.json", ".env/", "a\\.env", "-rf.env", ".bashrc", true, 5, null],
  ];
  for (const envFile of wrong) {
    await place.write("forkstack.json", JSON.stringify({ project: "shop", envFile }));
    const { error, code } = await place.json("list");
    assert.deepEqual([error?.code, code], ["CONFIG_INVALID", 2], JSON.stringify(envFile));
    assert.match(error.message, /"envFile" must name an env file of the project, like "\.env", or be false/);
    assert.throws(() => stackOf(place).current(), /"envFile" names no env file/, JSON.stringify(envFile));
  }
});

Deno.test("an env file that is a link, or lies behind one, is FOREIGN, and nothing is made", async () => {
  const links: readonly (readonly [envFile: string, lay: (place: Place) => Promise<void>])[] = [
    [".env", async (place) => await symlink(join(place.above, "elsewhere"), place.path(".env"))],
    ["config/.env", async (place) => {
      await mkdir(join(place.above, "elsewhere"));
      await symlink(join(place.above, "elsewhere"), place.path("config"));
    }],
    [".env", async (place) => void await mkdir(place.path(".env"))],
  ];
  for (const [envFile, lay] of links) {
    await using place = await Place.make({ envFile });
    await lay(place);
    const { error, code } = await place.json("new", "alice");
    assert.deepEqual([error.code, code], ["FOREIGN", 5], envFile);
    assert.deepEqual((await place.json("list")).data.environments, []);
  }
  await using place = await Place.make({ envFile: "config/.env" });
  assert.match((await place.json("new", "alice")).error.message, /directory ".*\/config" does not exist/);
});

testIf(
  whyMissing("git"),
  "an env file that git tracks is refused by every command, and a new one is ignored",
  async () => {
    for (const envFile of [".env", "config/.env"]) {
      await using place = await Place.make({ envFile });
      await place.git("init", "-q");
      await place.write(envFile, "A=1\n");
      await place.write(".env.example", "A=\n");
      await place.git("add", envFile, "forkstack.json");
      await place.git("commit", "-q", "-m", "begin");
      for (const args of [["new", "alice"], ["list"], ["switch", "dev"]]) {
        const { error, code } = await place.json(...args);
        assert.deepEqual([error?.code, code], ["GIT_TRACKED", 5], args.join(" "));
        assert.match(error.message, new RegExp(`"${envFile}"`));
        assert.match(error.hint, new RegExp(`git rm -r --cached ${envFile}\``));
      }
      await place.git("rm", "-q", "--cached", envFile);
      await place.ok("new", "alice");
      const { stdout } = await place.ok("run", "--", "git", "status", "--porcelain", "-uall", "--", ".");
      const untracked = stdout.split("\n").filter((line) => /^\?\?.*env/.test(line));
      assert.deepEqual(untracked, ["?? .env.example"]);
    }
  },
);
