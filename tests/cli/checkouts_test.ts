/** Which directories are on an environment: linked, nested and bare worktrees, submodules, subdirectories, other machines. */
import assert from "node:assert/strict";
import { cp, mkdir, readFile, rm, symlink, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Place, repository, run, runCommand } from "./run.ts";

/** The checkouts that `list` tells, a line each. */
async function listed(directory: string, env = "alice"): Promise<string[]> {
  const { stdout } = await run(directory, ["list", "--json"]);
  const { data } = JSON.parse(stdout);
  const one = data.environments.find(({ name }: { name: string }) => name === env);
  return (one?.checkouts ?? []).map(({ path, branch, current }: Record<string, unknown>) =>
    [path, branch, current ? "here" : ""].filter(Boolean).join(" ")
  );
}

async function ok(directory: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(directory, args);
  assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
  return stdout;
}

Deno.test("list, status and delete say which other worktrees are on an environment", async () => {
  await using place = await repository();
  const [linked, nested] = [join(place.above, "linked"), place.path("trees", "nested")];
  await place.git("worktree", "add", "-q", linked, "-b", "topic");
  await place.git("worktree", "add", "-q", nested, "-b", "feature/x");
  await place.ok("new", "alice");
  assert.doesNotMatch((await place.ok("list")).stdout, /CHECKOUTS/);
  await ok(linked, "switch", "alice");
  await ok(nested, "switch", "alice");
  assert.deepEqual(await listed(place.root), [`${linked} topic`, `${place.root} main here`, `${nested} feature/x`]);
  assert.deepEqual(await listed(linked), [`${linked} topic here`, `${place.root} main`, `${nested} feature/x`]);
  assert.match((await place.ok("list")).stdout, /OTHER CHECKOUTS\n.*linked" \(git branch "topic"\), ".*nested"/);
  assert.match((await place.ok("status")).stdout, /also used in: ".*linked"/);
  const { data } = await place.json("status", "alice");
  assert.equal(data.environment.checkouts.length, 3);
  assert.match(data.environment.usedAt, /^\d{4}-/);
  assert.match(
    (await place.ok("delete", "alice", "--dry-run")).stdout,
    /alice is also used in: ".*linked".*".*nested"/,
  );
  assert.match((await place.ok("reset", "alice", "--dry-run")).stdout, /alice is also used in: ".*linked".*".*nested"/);
  assert.match((await place.ok("prune", "--idle", "1m", "--dry-run")).stdout, /Nothing to prune/);
  await ok(nested, "switch", "dev");
  assert.deepEqual(await listed(place.root), [`${linked} topic`, `${place.root} main here`]);
  await place.git("worktree", "remove", "--force", nested);
  for (const command of ["delete", "reset"]) {
    const { code, stderr } = await place.run(command, "alice"); // nobody can be asked
    assert.equal(code, 2);
    assert.match(stderr, /alice is also used in: ".*linked" \(git branch "topic"\)\n/);
  }
  const told = (await place.ok("delete", "alice", "--yes")).stdout;
  assert.match(told, /Still used in: ".*linked" \(git branch "topic"\); run /);
  assert.doesNotMatch(told, /nested/);
  assert.match(await ok(linked, "list"), /^\* {2}alice +gone$/m, "no base, whatever its pointer says");
  const { stdout } = await run(place.root, ["doctor"]);
  assert.match(stdout, /alice: current in ".*linked", but it was deleted/);
  await place.ok("new", "alice", "--no-switch");
  assert.deepEqual(await listed(place.root), [`${linked} topic`], "its pointer leads to what was made again");
});

Deno.test("a directory that is gone, or points elsewhere, is on nothing, and is forgotten", async () => {
  await using place = await repository();
  const names = ["removed", "elsewhere", "left", "pipe", "link"];
  for (const name of names) {
    await place.git("worktree", "add", "-q", join(place.above, name), "-b", name);
    await (name === "removed"
      ? ok(join(place.above, name), "new", "alice")
      : ok(join(place.above, name), "switch", "alice"));
  }
  assert.equal((await listed(place.root)).length, names.length);
  const at = (name: string) => join(place.above, name, ".current-env");
  await rm(join(place.above, "removed"), { recursive: true });
  await writeFile(at("elsewhere"), "bob\n");
  await unlink(at("left"));
  await unlink(at("pipe"));
  await runCommand(place.above, ["mkfifo", at("pipe")]);
  await unlink(at("link"));
  await symlink(join(place.above, "nowhere"), at("link"));
  // What can't be read may still be on it.
  assert.deepEqual(await listed(place.root), [`${join(place.above, "pipe")} pipe`]);
  assert.match((await run(place.root, ["doctor"])).stdout, /alice: ".*removed" used it and no longer exists/);
  await place.ok("doctor", "--fix", "--yes");
  assert.doesNotMatch((await run(place.root, ["doctor"])).stdout, /removed/);
  await place.ok("delete", "alice", "--yes");
  using database = new DatabaseSync(place.path(".forkstack", "registry.db"), { readOnly: true });
  const rows = database.prepare("SELECT path FROM checkouts").all().map(({ path }) => path);
  assert.deepEqual(rows, [join(place.above, "pipe")]);
});

Deno.test("projects in subdirectories, submodules and bare layouts are checkouts of their own", async () => {
  await using sub = await repository("apps/web/");
  await ok(sub.path("apps", "web"), "new", "alice");
  assert.deepEqual(await listed(sub.path("apps", "web")), [`${sub.path("apps", "web")} main here`]);
  await using plain = await Place.make();
  await plain.ok("new", "alice");
  assert.deepEqual(await listed(plain.root), [`${plain.root} here`], "without git");
  await using inner = await repository();
  await using outer = await Place.make(null);
  await outer.git("init", "-q");
  await outer.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", inner.root, "lib/shop");
  const module = outer.path("lib", "shop");
  await ok(module, "new", "alice");
  const { environments } = JSON.parse(await ok(module, "list", "--json")).data;
  const [{ path, gitDir }] = environments[0].checkouts;
  assert.deepEqual([path, gitDir], [module, outer.path(".git", "modules", "lib", "shop")]);
  const bare = join(inner.above, "bare");
  await runCommand(inner.above, ["git", "clone", "-q", "--bare", inner.root, join(bare, ".bare")]);
  await runCommand(bare, ["git", "--git-dir=.bare", "worktree", "add", "-q", "--detach", join(bare, "tree"), "main"]);
  await ok(join(bare, "tree"), "new", "alice");
  assert.deepEqual(await listed(join(bare, "tree")), [`${join(bare, "tree")} here`], "a detached HEAD is no branch");
});

Deno.test("delete and prune say where the directory is afterwards: the main worktree and a copy on dev, a linked one on none", async () => {
  await using place = await repository();
  const [linked, copy] = [join(place.above, "linked"), join(place.above, "copy")];
  await place.git("worktree", "add", "-q", linked, "-b", "topic");
  await place.ok("new", "base");
  await cp(place.root, copy, { recursive: true });
  const dev = { env: "dev", decidedBy: "default" };
  const places: [directory: string, says: string, current: object][] = [
    [place.root, "dev", dev],
    [copy, "dev", dev],
    [linked, "no environment", { decidedBy: "nothing" }],
  ];
  for (const [directory, says, current] of places) {
    await ok(directory, "new", "alice");
    assert.match(
      await ok(directory, "delete", "alice", "--dry-run"),
      new RegExp(`^This directory is on alice and would then be on ${says}$`, "m"),
    );
    const { data } = JSON.parse(await ok(directory, "delete", "alice", "--yes", "--json"));
    assert.deepEqual([data.left, data.current], [true, current], directory);
    await ok(directory, "new", "alice", "--ttl", "1h");
    expire(directory === copy ? copy : place.root);
    const told = await ok(directory, "prune", "--yes");
    assert.match(told, new RegExp(`^This directory is now on ${says}$`, "m"));
    assert.match(told, says === "dev" ? /^Next: `forkstack list`$/m : /^Next: `forkstack switch dev` or/m);
    const { stdout } = await run(directory, ["status"]);
    assert.match(stdout, says === "dev" ? /^dev .*current/ : /^$/, "as the next command sees it");
  }
  const env = { FORKSTACK_ENV: "alice" };
  await place.ok("new", "alice");
  const { stdout } = await run(place.root, ["delete", "alice", "--yes"], { env });
  assert.match(stdout, /^This directory is now on no environment until FORKSTACK_ENV is unset$/m);
});

/** Lets the lease of every environment end. */
function expire(root: string): void {
  using database = new DatabaseSync(join(root, ".forkstack", "registry.db"));
  database.exec("UPDATE environments SET expires_at = '2020-01-01T00:00:00.000Z'");
}

Deno.test("prune names the other directories", async () => {
  await using place = await repository();
  const linked = join(place.above, "linked");
  await place.git("worktree", "add", "-q", linked, "-b", "topic");
  await place.ok("new", "alice");
  await place.ok("new", "bob", "--no-switch");
  await ok(linked, "switch", "alice");
  expire(place.root);
  const { stdout } = await place.ok("prune", "--dry-run");
  assert.match(stdout, /Would delete alice, bob\n.*\nalice is also used in: ".*linked" \(git branch "topic"\)\n$/);
  const { code, stdout: told, stderr } = await place.run("prune", "--yes");
  assert.equal(code, 0, stderr);
  assert.match(stderr, /alice is also used in: ".*linked"/);
  assert.match(told, /Still used in: ".*linked"/);
});

Deno.test("a copied directory deletes, resets and prunes nothing that is not in it", async () => {
  await using place = await Place.make({ database: { provider: "./json-file.ts" }, secrets: { provider: "env-file" } });
  const example = new URL("../../examples/custom-provider/json-file.ts", import.meta.url);
  await place.write("json-file.ts", await readFile(example, "utf8"));
  await place.trust();
  await place.ok("new", "alice");
  const copied = join(place.above, "copied");
  await runCommand(place.above, ["cp", "-a", place.root, copied]);
  await ok(copied, "trust", "--yes");
  expire(copied);
  for (const args of [["delete", "alice", "--yes"], ["delete", "alice", "--dry-run"], ["reset", "alice", "--yes"]]) {
    const { code, stderr } = await run(copied, args);
    assert.equal(code, 5, stderr);
    assert.match(stderr, /database "shop-alice" of environment "alice": this directory is a copy of ".*\/shop"/);
  }
  const { code, stdout, stderr } = await run(copied, ["prune", "--yes"]);
  assert.deepEqual([code, stdout], [5, "Nothing to prune\n"]);
  assert.match(stderr, /Cannot delete database "shop-alice"/);
  assert.match((await run(copied, ["doctor"])).stdout, /warning: this directory is a copy of ".*\/shop"/);
  assert.match(await ok(copied, "status"), /json-file +empty +shop-alice/);
  await rm(place.path(".forkstack"), { recursive: true });
  await ok(copied, "prune", "--yes");
});

Deno.test("run notes the last use, and only of the directory that is on the environment", async () => {
  await using place = await Place.make();
  await place.ok("new", "alice");
  await place.ok("new", "bob");
  const usedAt = async (env: string) => {
    const { data } = await place.json("status", env);
    return data.environment.checkouts.map((one: { usedAt: string }) => one.usedAt);
  };
  const [before] = await usedAt("bob");
  await place.ok("run", "alice", "--", "true");
  assert.deepEqual([await usedAt("alice"), await usedAt("bob")], [[], [before]]);
  await place.ok("run", "--", "true");
  const [after] = await usedAt("bob");
  assert.ok(after > before);
});

Deno.test("rows of checkouts that no forkstack wrote become no path, and are forgotten", async () => {
  await using place = await Place.make();
  await place.ok("new", "alice");
  await mkdir(join(place.above, "target"));
  await writeFile(join(place.above, "target", ".current-env"), "alice\n");
  const rows: readonly (readonly [host: unknown, path: unknown, env: unknown, usedAt: unknown])[] = [
    ["", "../target", "alice", "2026-01-01T00:00:00Z"],
    ["", `${place.root}/../target`, "alice", "2026-01-01T00:00:00Z"],
    ["", "/\u001b[2Jx", "alice", "2026-01-01T00:00:00Z"],
    ["\u202e", "/a", "alice", "2026-01-01T00:00:00Z"],
    ["", "/b", "../alice", "2026-01-01T00:00:00Z"],
    ["", "/c", "alice", "yesterday"],
    ["", new Uint8Array([47]), "alice", "2026-01-01T00:00:00Z"],
  ];
  {
    using database = new DatabaseSync(place.path(".forkstack", "registry.db"));
    const insert = database.prepare("INSERT INTO checkouts (host, path, env, used_at) VALUES (?, ?, ?, ?)");
    for (const row of rows) insert.run(...row as unknown as string[]);
  }
  assert.deepEqual(await listed(place.root), [`${place.root} here`]);
  const { stdout } = await run(place.root, ["doctor"]);
  assert.equal(stdout.match(/Cannot read the checkout/g)?.length, rows.length);
  await place.ok("doctor", "--rebuild", "--yes");
  assert.doesNotMatch((await run(place.root, ["doctor"])).stdout, /Cannot read the checkout/);
  assert.deepEqual(await listed(place.root), [`${place.root} here`]);
});
