/** The place of the state, and what works where it can't be written or read. */
import assert from "node:assert/strict";
import { chmod, copyFile, mkdir, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { isForkstackError, openStack } from "../../mod.ts";
import { run as exec, testIf } from "../helpers.ts";
import { bun, deno, node22, runtimeTest } from "../runtime_helpers.ts";
import { WHY_ROOT, WITHOUT_RIGHTS } from "../tools.ts";
import { type Ended, Place, run, runCommand } from "./run.ts";

const MOD = fileURLToPath(new URL("../../mod.ts", import.meta.url));

/** Runs the command line with the state elsewhere. */
async function runAt(place: Place, state: string, ...args: string[]): Promise<Ended> {
  return await run(place.root, args, { env: { FORKSTACK_STATE: state } });
}

function codeOf(call: () => unknown): string | undefined {
  try {
    call();
    return undefined;
  } catch (error) {
    assert(isForkstackError(error) && error.hint, String(error));
    return error.code;
  }
}

Deno.test("FORKSTACK_STATE puts registry, data and local directories elsewhere, for every command and the getters", async () => {
  await using place = await Place.make();
  const state = join(place.above, "elsewhere", "shop");
  const at = async (...args: string[]) => {
    const ended = await runAt(place, state, ...args);
    assert.equal(ended.code, 0, `${args.join(" ")}: ${ended.stderr}`);
    return ended.stdout;
  };
  await at("new", "alice");
  assert.deepEqual((await readdir(place.root)).sort(), [".current-env", ".env.local", ".gitignore", "forkstack.json"]);
  assert.match(await at("list"), /\* {2}alice {2}ready/);
  const read = (name: string) => name === "FORKSTACK_STATE" ? `${state}/` : undefined;
  const stack = openStack({ cwd: place.root, read });
  assert.equal(stack.of("database", "DATABASE_URL"), `file://${state}/.forkstack/sqlite/shop-alice.db`);
  assert.equal(stack.localPath(), `${state}/shop.alice.db`);
  assert.deepEqual((await readdir(state)).sort(), [".forkstack", "shop.alice.db"]);
  await stack.setSecret("KEY", "v");
  assert.match(await at("secrets", "list"), /^KEY$/m);
  assert.match(await at("run", "--", "printenv", "LOCAL_PATH"), new RegExp(`^${state}/shop\\.alice\\.db$`, "m"));
  await at("reset", "alice", "--yes");
  assert.match(await at("doctor"), /No problems found/);
  await at("delete", "alice", "--yes");
  assert.deepEqual(await readdir(join(state, ".forkstack", "envs")), []);
  assert.match((await place.ok("list")).stdout, /No environments yet/, "without it the project's own counts");
});

Deno.test("FORKSTACK_STATE holds what is trusted, too", async () => {
  await using place = await Place.make({ registry: { url: "libsql://registry.example" } });
  const state = join(place.above, "elsewhere");
  await mkdir(state, { mode: 0o700 });
  assert.equal((await runAt(place, state, "trust", "--yes")).code, 0);
  assert.deepEqual(await readdir(state), ["forkstack"]);
  const error = async (env: Record<string, string>) =>
    JSON.parse((await run(place.root, ["list", "--json"], { env })).stdout).error.code;
  assert.notEqual(await error({ FORKSTACK_STATE: state }), "NOT_TRUSTED");
  assert.equal(await error({}), "NOT_TRUSTED");
});

Deno.test("FORKSTACK_STATE is an absolute path of the user's, and no file of the project sets it", async () => {
  await using place = await Place.make();
  for (const wrong of ["state", "./state", "~/state", "../x"]) {
    const ended = await runAt(place, wrong, "list", "--json");
    assert.deepEqual([JSON.parse(ended.stdout).error.code, ended.code], ["VALUE_INVALID", 2], wrong);
    const stack = openStack({ cwd: place.root, read: (name) => name === "FORKSTACK_STATE" ? wrong : undefined });
    assert.equal(codeOf(() => stack.stateRoot), "VALUE_INVALID");
  }
  const state = join(place.above, "elsewhere");
  for (
    const [file, line] of [[".env", "FORKSTACK_STATE"], [".env.local", " export FORKSTACK_STATE "], [
      ".env.development",
      "A=1\r\nFORKSTACK_STATE",
    ]]
  ) {
    await place.write(file!, `${line}=${state}\n`);
    const ended = await runAt(place, state, "list", "--json");
    assert.deepEqual([JSON.parse(ended.stdout).error.code, ended.code], ["NOT_PERMITTED", 2], file);
    const stack = openStack({ cwd: place.root, read: (name) => name === "FORKSTACK_STATE" ? state : undefined });
    assert.equal(codeOf(() => stack.of("local", "LOCAL_PATH")), "NOT_PERMITTED");
    await place.ok("list"); // unset, a line of a file means nothing
    await rm(place.path(file!));
  }
  await place.write(".env", "# FORKSTACK_STATE=x\nMY_FORKSTACK_STATE=y\n");
  assert.equal((await runAt(place, state, "list")).code, 0);
  await place.ok("new", "alice");
  assert.equal((await runAt(place, "", "status")).code, 0, "an empty one is unset");
});

Deno.test("two projects in one FORKSTACK_STATE are refused, not mixed", async () => {
  await using one = await Place.make();
  await using other = await Place.make({ project: "other" });
  const state = join(one.above, "elsewhere");
  assert.equal((await runAt(one, state, "new", "alice")).code, 0);
  const { code, stderr } = await runAt(other, state, "new", "alice");
  assert.equal(code, 5);
  assert.match(stderr, /it is of project "shop", not "other"/);
});

const APP = `import { getDatabaseUrl } from "./mod.ts";
  try { console.log(getDatabaseUrl()); } catch (error) { console.log(error.code); }`;
const RUNTIMES = {
  deno: [deno(), "run", "-q", "-A"],
  bun: [bun(), "run"],
  "node 22": [node22(), "--no-warnings"],
} as const;
for (const [name, [runtime, ...args]] of Object.entries(RUNTIMES)) {
  runtimeTest(
    `FORKSTACK_STATE: an app in ${name} finds its database there, and no env file leads it away`,
    runtime,
    async ([program]) => {
      await using place = await Place.make();
      const state = join(place.above, "elsewhere");
      assert.equal((await runAt(place, state, "new", "alice")).code, 0);
      await copyFile(MOD, place.path("mod.ts"));
      await writeFile(place.path("app.ts"), APP);
      const strip = name === "node 22" ? ["--experimental-strip-types"] : [];
      const app = async (env: Record<string, string>) =>
        (await runCommand(place.root, [program, ...args, ...strip, "app.ts"], { env })).stdout.trim();
      assert.equal(await app({ FORKSTACK_STATE: state }), `${pathToFileURL(state)}/.forkstack/sqlite/shop-alice.db`);
      await place.write(".env", `FORKSTACK_STATE=${join(place.above, "evil")}\n`);
      assert.notEqual(await app({}), `${pathToFileURL(place.above)}/evil/.forkstack/sqlite/shop-alice.db`);
      assert.equal(await app({ FORKSTACK_STATE: state }), "NOT_PERMITTED");
    },
  );
}

// ---- where nothing can be written, or read

const LOOKS = [
  ["list"],
  ["status"],
  ["doctor"],
  ["secrets", "list"],
  ["secrets", "diff", "alice", "dev"],
  ["switch", "dev", "--dry-run"],
  ["delete", "alice", "--dry-run"],
  ["prune", "--dry-run"],
  ["reset", "alice", "--dry-run"],
  ["new", "bob", "--dry-run"],
  ["completions", "--", "switch", ""],
  ["run", "--", "true"],
  ["run", "alice", "--", "true"],
];

/** A place whose directory can't be written: mounted so, at the same path. */
async function readOnly(place: Place, work: () => Promise<void>): Promise<void> {
  await exec("mount", ["--bind", place.root, place.root]);
  try {
    await exec("mount", ["-o", "remount,ro,bind", place.root]);
    await work();
  } finally {
    await exec("umount", [place.root]);
  }
}

async function whyNoBind(): Promise<string | undefined> {
  await using place = await Place.make();
  return await readOnly(place, () => Promise.resolve()).then(
    () => undefined,
    () => "cannot mount a directory read-only",
  );
}

testIf(
  await whyNoBind(),
  "in a read-only directory all that only looks works, with and without the log's shared memory",
  async () => {
    await using place = await Place.make();
    await place.ok("new", "alice");
    for (const isShared of [true, false]) {
      if (!isShared) await rm(place.path(".forkstack", "registry.db-shm"), { force: true });
      await readOnly(place, async () => {
        for (const args of LOOKS) {
          const { code, stderr } = await run(place.root, args);
          assert(code === 0 || (args.includes("diff") && code === 1), `${args.join(" ")}: ${stderr}`);
        }
        assert.match((await run(place.root, ["list"])).stdout, /\* {2}alice {2}ready/);
        for (
          const args of [["new", "bob"], ["switch", "dev"], ["delete", "alice", "--yes"], ["extend", "alice", "2d"]]
        ) {
          const { code, stderr } = await run(place.root, args);
          assert.equal(code, 2, `${args.join(" ")}: ${stderr}`);
          assert.match(stderr, /^error: Cannot .*(read-only|unable to open)[^]*\n {2}hint: /m);
          assert.doesNotMatch(stderr, /should not happen/);
        }
      });
    }
  },
);

testIf(WHY_ROOT, "what may not be read is a documented error that names it, with a hint", async () => {
  await using place = await Place.make();
  await place.ok("new", "alice");
  const shut = [
    ".forkstack",
    ".forkstack/registry.db",
    ".forkstack/checked.json",
    ".env.local",
    ".forkstack/envs/alice.env",
  ];
  for (const name of shut) {
    await chmod(place.path(name), 0);
    for (const args of [["list"], ["status"], ["switch", "alice"], ["run", "--", "true"], ["new", "bob"]]) {
      const { code, stderr } = await run(place.root, args, { within: WITHOUT_RIGHTS });
      assert.doesNotMatch(stderr, /should not happen| {4}at /, `${name}, ${args.join(" ")}: ${stderr}`);
      assert(code === 0 || code === 2, `${name}, ${args.join(" ")} ends with ${code}: ${stderr}`);
      if (code === 2) {
        assert.match(
          stderr,
          /^error: Cannot .*(permission denied|EACCES|unable to open|not permitted)[^]*\n {2}hint: /,
        );
      }
    }
    await chmod(place.path(name), name === ".forkstack" ? 0o700 : 0o600);
  }
  const { stderr } = await (async () => {
    await chmod(place.path(".forkstack"), 0);
    return await run(place.root, ["list"], { within: WITHOUT_RIGHTS });
  })();
  assert.match(stderr, /Cannot read ".*\/\.forkstack": permission denied[^]*FORKSTACK_STATE/);
  await chmod(place.path(".forkstack"), 0o700);
});

Deno.test("run needs nothing but the environment's own file, and none that a registry says is gone", async () => {
  await using place = await Place.make();
  await place.ok("new", "alice");
  await place.ok("new", "bob");
  const file = place.path(".forkstack", "envs", "alice.env");
  await copyFile(file, join(place.above, "alice.env"));
  await place.ok("delete", "alice", "--yes");
  await copyFile(join(place.above, "alice.env"), file);
  assert.equal((await place.run("run", "alice", "--", "true")).code, 4, "the registry knows better");
  await rename(place.path(".forkstack"), join(place.above, "away"));
  await mkdir(place.path(".forkstack", "envs"), { recursive: true });
  await copyFile(join(place.above, "alice.env"), file);
  const ended = await place.run("run", "alice", "--", "printenv", "FORKSTACK_ENV");
  assert.deepEqual([ended.code, ended.stdout], [0, "alice\n"], ended.stderr);
  assert.equal((await place.run("run", "carol", "--", "true")).code, 4);
  assert.deepEqual(await readdir(place.path(".forkstack")), ["envs"], "and it leaves nothing there");
});
