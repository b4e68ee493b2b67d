/** Costs of a switch that can be counted: programs that it starts, commits to the registry, modules. No clock is read. */
import assert from "node:assert/strict";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { run as exec } from "../helpers.ts";
import { Place, repository, run, runCommand, useProcesses } from "./run.ts";

// A process ends with its registry open, so that the log can be read; and its PATH is its own.
useProcesses();

/** Counts the times that a command line starts git. */
async function gitsOf(place: Place, directory: string, ...args: string[]): Promise<number> {
  const bin = join(place.above, "bin");
  const log = join(place.above, "git.log");
  const { stdout: git } = await runCommand(place.above, ["sh", "-c", "command -v git"]);
  await mkdir(bin, { recursive: true });
  await writeFile(join(bin, "git"), `#!/bin/sh\necho x >> "${log}"\nexec ${git.trim()} "$@"\n`);
  await chmod(join(bin, "git"), 0o755);
  await writeFile(log, "");
  const { code, stderr } = await run(directory, args, { env: { PATH: `${bin}:${process.env.PATH}` } });
  assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
  return (await readFile(log, "utf8")).length / 2;
}

async function made(directory: string): Promise<void> {
  const { code, stderr } = await run(directory, ["new", "alice"]);
  assert.equal(code, 0, stderr);
}

Deno.test("switch, list and status start no git where git's index and info/exclude tell by themselves", async (t) => {
  const counted = async (place: Place, directory: string) => {
    await made(directory);
    for (const args of [["switch", "dev"], ["switch", "alice"], ["switch", "alice"], ["list"], ["status"]]) {
      assert.equal(await gitsOf(place, directory, ...args), 0, args.join(" "));
    }
  };
  await t.step("a repository", async () => {
    await using place = await repository();
    await counted(place, place.root);
  });
  await t.step("a project in a subdirectory, whose name holds what patterns mean", async () => {
    await using place = await repository("apps/we[b]*/");
    await counted(place, place.path("apps", "we[b]*"));
  });
  await t.step("a linked worktree", async () => {
    await using place = await repository();
    const linked = join(place.above, "linked");
    await place.git("worktree", "add", "-q", linked, "-b", "topic");
    await counted(place, linked);
  });
  await t.step("a branch without our .gitignore, where a person's file has CRLF", async () => {
    await using place = await repository();
    await made(place.root);
    await place.write(".gitignore", "*.log\r\nnode_modules\r\n");
    assert.equal(await gitsOf(place, place.root, "switch", "dev"), 0);
    assert.equal(await place.read(".gitignore"), "*.log\r\nnode_modules\r\n");
  });
  await t.step("no repository", async () => {
    await using place = await Place.make();
    await counted(place, place.root);
  });
});

Deno.test("switch asks git where they do not tell, and writes the lines that are not ignored", async (t) => {
  const doubts: Readonly<Record<string, (place: Place) => Promise<unknown>>> = {
    "an index with shortened paths": (place) => runCommand(place.root, ["git", "update-index", "--index-version", "4"]),
    "a split index": (place) => runCommand(place.root, ["git", "update-index", "--split-index"]),
    "a line that takes ours back": (place) => place.write(".gitignore", "!/.env.local*\n"),
    "one that may, behind a byte order mark": (place) => place.write(".gitignore", "\uFEFF!*\r\n"),
    "one in info/exclude itself, above ours": async (place) =>
      await place.write(".git/info/exclude", `!.forkstack/\n${await place.read(".git/info/exclude")}`)
        .then(() => place.write(".gitignore", "")),
    "no info/exclude of ours": async (place) => {
      await place.write(".git/info/exclude", "");
      await place.write(".gitignore", "");
    },
  };
  for (const [doubt, make] of Object.entries(doubts)) {
    await t.step(doubt, async () => {
      await using place = await repository();
      await made(place.root);
      await make(place);
      assert.ok(await gitsOf(place, place.root, "switch", "dev") > 0);
      const names = [".forkstack/registry.db", ".current-env", ".env.local", ".env.local.forkstack-0"];
      const { stdout } = await runCommand(place.root, ["git", "check-ignore", "--no-index", ...names]);
      assert.deepEqual(stdout.trim().split("\n"), names);
    });
  }
});

Deno.test("switch refuses what git tracks, though it starts no git", async () => {
  for (const name of [".env.local", ".current-env", ".forkstack/envs/alice.env"]) {
    await using place = await repository();
    await made(place.root);
    await place.git("add", "-f", name);
    const { code, stderr } = await place.run("switch", "dev");
    assert.equal(code, 5, stderr);
    assert.match(stderr, /git tracks it/);
    assert.equal(await place.read(".current-env"), "alice\n");
  }
});

/** Counts the commits in the log of a registry: frames that say how large the database is by then. */
async function commitsOf(place: Place): Promise<number> {
  const log = await readFile(place.path(".forkstack", "registry.db-wal"));
  const pageBytes = log.readUInt32BE(8);
  let commits = 0;
  for (let at = 32; at < log.length && log.readUInt32BE(at + 8) === log.readUInt32BE(16); at += 24 + pageBytes) {
    if (log.readUInt32BE(at + 4) > 0) commits++;
  }
  return commits;
}

Deno.test("switch writes to the registry once, and what it notes is whole", async () => {
  await using place = await Place.make();
  await made(place.root);
  for (const env of ["dev", "alice", "alice", "prod", "alice"]) {
    const before = await commitsOf(place);
    const since = new Date().toISOString();
    const { stdout } = await place.ok("switch", env, "--json");
    assert.equal(await commitsOf(place), before + 1, env);
    const { usedAt, checkouts } = JSON.parse(stdout).data.environment;
    assert.deepEqual(checkouts.map((one: { path: string }) => one.path), [place.root]);
    if (env === "alice") assert.ok(usedAt === undefined || usedAt <= new Date().toISOString());
    assert.ok(checkouts[0].usedAt >= since);
  }
});

const REPO = fileURLToPath(new URL("../../", import.meta.url));

/** Modules that load before a command ends its common way, by their paths; imports of types and lazy ones are none. */
async function modulesOf(...roots: readonly string[]): Promise<string[]> {
  const found = new Set<string>();
  for (const root of roots) {
    const { stdout } = await exec(process.execPath, ["info", "--json", root], { cwd: REPO, maxBuffer: 2 ** 26 });
    const { modules } = JSON.parse(stdout) as {
      modules: { specifier: string; dependencies?: { isDynamic?: boolean; code?: { specifier?: string } }[] }[];
    };
    const known = new Map(modules.map((one) => [one.specifier, one.dependencies ?? []]));
    const visit = (specifier: string) => {
      const path = specifier.startsWith("file:") ? fileURLToPath(specifier).slice(REPO.length) : specifier;
      if (specifier.startsWith("node:") || found.has(path)) return;
      found.add(path);
      for (const { isDynamic, code } of known.get(specifier) ?? []) {
        if (!isDynamic && code?.specifier !== undefined) visit(code.specifier);
      }
    };
    visit(new URL(root, new URL("../../", import.meta.url)).href);
  }
  return [...found].sort();
}

Deno.test("list and switch load no package, and nothing that only another command or a rare way needs", async () => {
  const rare =
    /^(npm|jsr):|core\/(http|setup|s3)\/|\/(schema|lock|under_lock|subprocess|program_env|trust_store|trust_items|trusted|custom_provider|checked_provider|provider_lookup|error_codes|help|prompts)\.ts$|providers\/(?!mod\.ts|_shared\/)/;
  const commands = {
    list: { roots: ["cli.ts", "core/cli/commands/list.ts"], most: 42 },
    switch: {
      roots: ["cli.ts", "core/cli/commands/switch.ts", "providers/_shared/embedded_look.ts"],
      most: 59,
    },
  };
  for (const [command, { roots, most }] of Object.entries(commands)) {
    const modules = await modulesOf(...roots);
    assert.ok(modules.includes("mod.ts") && modules.includes("core/state/registry.ts"), "the graph is read");
    assert.deepEqual(modules.filter((path) => rare.test(path)), [], command);
    assert.ok(modules.length <= most, `${command} loads ${modules.length} modules, of which one may be merged or lazy`);
  }
});
