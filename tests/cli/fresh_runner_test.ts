/** Environments that the registry of a machine does not know: it was lost, or is another machine's. */
import assert from "node:assert/strict";
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { main } from "../../core/cli/main.ts";
import { startNeon } from "../emulators/neon.ts";
import { startTurso } from "../emulators/turso.ts";
import { startVault } from "../emulators/vault.ts";
import { baseVariables, testIf } from "../helpers.ts";
import { NOTES, server, whyNot } from "../providers/_neon.ts";
import { debian, make, namesOf, old, wipe } from "../providers/_postgres.ts";
import { NET, Place, run } from "./run.ts";
import { CATALOG } from "../../providers/mod.ts";

/** Runs the command line here, in this process, off a terminal. */
async function cli(place: Place, ...args: string[]) {
  const said = { stdout: "", stderr: "" };
  const variables = { ...baseVariables(), USER: "tester", XDG_STATE_HOME: join(dirname(place.root), ".state") };
  const write = (stream: "stdout" | "stderr", text: string) => void (said[stream] += text);
  const code = await main([...args], CATALOG, { cwd: place.root, variables, write });
  return { code, ...said };
}

async function json(place: Place, ...args: string[]) {
  const { code, stdout } = await cli(place, ...args, "--json");
  return { ...JSON.parse(stdout), code };
}

/** Loses the registry; with `id` its id beside it, too, as a fresh runner has none. */
async function lose(place: Place, id = false): Promise<void> {
  for (const name of ["registry.db", "registry.db-wal", "registry.db-shm", ...(id ? ["registry-id"] : [])]) {
    await rm(place.path(".forkstack", name), { force: true });
  }
}

/** A project with environments on the embedded stack, whose registry was lost. */
async function lost({ id = false, config = {}, envs = ["pr-42"] } = {}): Promise<Place> {
  const place = await Place.make(config);
  for (const env of envs) assert.equal((await cli(place, "new", env, "--no-switch")).code, 0);
  await lose(place, id);
  return place;
}

const ownerFile = (place: Place, of: string) => place.path(".forkstack", "owners", `${of}.json`);

/** Changes the mark of one resource. */
async function remark(place: Place, of: string, changed: object): Promise<void> {
  const owner = JSON.parse(await readFile(ownerFile(place, of), "utf8"));
  await writeFile(ownerFile(place, of), JSON.stringify({ ...owner, marker: { ...owner.marker, ...changed } }));
}

/** Paths that are left of an environment on the embedded stack. */
async function leftOf(place: Place, env: string): Promise<string[]> {
  const all = await readdir(place.root, { recursive: true });
  return all.filter((path) => path.includes(env) && !path.startsWith(".forkstack/locks")).sort();
}

Deno.test("delete without a row acts on this registry's own marks: it asks, tells, and does it whole", async () => {
  await using place = await lost();
  const before = await place.digest();
  const asked = await cli(place, "delete", "pr-42");
  assert.equal(asked.code, 2);
  assert.match(asked.stderr, /no terminal.*--yes/s);
  const dry = await json(place, "delete", "pr-42", "--dry-run");
  assert.deepEqual(
    [dry.code, dry.data.dryRun, dry.data.resources.map(({ key, state }: Record<string, string>) => `${key} ${state}`)],
    [0, true, ["database ready", "local ready", "secrets ready", "storage ready"]],
  );
  assert.match((await cli(place, "delete", "pr-42", "--dry-run")).stdout, /^Would delete pr-42, which this registry/);
  assert.equal(await place.digest(), before, "asking and --dry-run change nothing");
  const { code, data } = await json(place, "delete", "pr-42", "--yes");
  assert.equal(code, 0);
  assert.deepEqual(new Set(data.resources.map(({ state }: { state: string }) => state)), new Set(["deleted"]));
  assert.equal(data.environment.name, "pr-42");
  assert.deepEqual(await leftOf(place, "pr-42"), []);
  assert.equal((await json(place, "delete", "pr-42", "--yes")).error.code, "ENV_NOT_FOUND");
});

Deno.test("delete without a row leaves the directory without a pointer, and says so before and after", async () => {
  await using place = await Place.make();
  assert.equal((await cli(place, "new", "pr-42")).code, 0);
  await lose(place);
  const leaves = /This directory is on pr-42 and would then be on dev/;
  assert.match((await cli(place, "delete", "pr-42", "--dry-run")).stdout, leaves);
  const { stdout } = await cli(place, "delete", "pr-42", "--yes");
  assert.match(stdout, /This directory is now on dev/);
  assert.deepEqual([await place.read(".current-env"), await place.read(".env.local")], [undefined, undefined]);
});

Deno.test("what another registry made is left by delete, prune and new, and told with the two ways on", async () => {
  await using place = await lost({ id: true, envs: ["pr-42", "pr-43"], config: { ttl: "1h" } });
  const [before, before42] = [await place.digest(), await leftOf(place, "pr-42")];
  for (const args of [["delete", "pr-42", "--yes"], ["delete", "pr-42", "--if-exists", "--yes"]]) {
    const { code, error } = await json(place, ...args);
    assert.deepEqual([code, error.code], [5, "FOREIGN"]);
    assert.match(error.message, /another registry \([0-9a-f]{16}\) made database "shop-pr-42"/);
    assert.match(error.hint, /Share one registry.*delete pr-42 --adopt/);
  }
  assert.equal(await place.digest(), before, "not even a registry was made");
  const { data } = await json(place, "prune", "--yes");
  assert.deepEqual(data.environments, []);
  assert.deepEqual(data.unregistered.map((one: { environment: string }) => one.environment), ["pr-42", "pr-43"]);
  assert.match(
    (await cli(place, "prune")).stdout,
    /share that registry, or if it is lost run `.*doctor --rebuild --adopt`/,
  );
  const made = await json(place, "new", "pr-42", "--no-switch");
  assert.deepEqual([made.code, made.error.code], [5, "FOREIGN"]);
  assert.match(made.error.hint, /Share one registry.*new pr-42 --adopt/);
  assert.deepEqual((await json(place, "list")).data.environments, []);
  assert.deepEqual(await leftOf(place, "pr-42"), before42, "its variables on this machine, too");
});

Deno.test("--adopt takes up one environment of a registry that was lost, to delete it or to go on with it", async () => {
  await using place = await lost({ id: true, envs: ["pr-42", "pr-43", "pr-44"], config: { ttl: "3d" } });
  const one = await json(place, "delete", "pr-42", "--adopt", "--yes");
  assert.deepEqual([one.code, one.data.resources.length], [0, 4]);
  assert.deepEqual(await leftOf(place, "pr-42"), []);
  const two = await json(place, "new", "pr-43", "--adopt");
  assert.equal(two.code, 0, JSON.stringify(two));
  assert.deepEqual([two.data.unchanged, two.data.environment.status, two.data.environment.current], [
    true,
    "ready",
    true,
  ]);
  assert.ok(Date.parse(two.data.environment.expiresAt) > Date.now(), "with its lease");
  assert.equal(
    (await json(place, "delete", "pr-44", "--yes")).error.code,
    "FOREIGN",
    "the others stay that registry's",
  );
  assert.equal((await json(place, "extend", "pr-43", "1d")).code, 0);
  assert.equal((await json(place, "delete", "pr-43", "--yes")).code, 0, "it is this registry's by now");
  assert.deepEqual(await leftOf(place, "pr-43"), []);
});

Deno.test("of an environment that is ours in part, the rest is left and told: another registry's is an error", async () => {
  const others: [changed: object, code: number][] = [
    [{ registry: "fedcba9876543210" }, 5],
    [{ stack: "other" }, 0],
    [{ env: "pr-43" }, 0],
    [{ resource: "database.other" }, 0],
    [{ name: "shop-pr-43" }, 0], // copied from another
  ];
  for (const [changed, code] of others) {
    await using place = await lost();
    await remark(place, "database.shop-pr-42", changed);
    const database = await readFile(place.path(".forkstack/sqlite/shop-pr-42.db"));
    const { code: ended, data, error } = await json(place, "delete", "pr-42", "--yes");
    assert.equal(ended, code, JSON.stringify(changed));
    if (code !== 0) assert.match(error.message, /Cannot delete all of environment "pr-42": another registry/);
    const states = Object.fromEntries(data.resources.map(({ key, state }: Record<string, string>) => [key, state]));
    assert.deepEqual(states, { database: "kept", local: "deleted", secrets: "deleted", storage: "deleted" });
    assert.deepEqual(await readFile(place.path(".forkstack/sqlite/shop-pr-42.db")), database);
  }
});

Deno.test("what bears no mark of an environment is never deleted, with --adopt neither", async () => {
  await using place = await lost({ id: true });
  const { registry: _, name: __, made: ___, ...whose } = JSON.parse(
    await readFile(ownerFile(place, "database.shop-pr-42"), "utf8"),
  ).marker;
  await rm(ownerFile(place, "database.shop-pr-42"));
  const { code, data } = await json(place, "delete", "pr-42", "--adopt", "--yes");
  assert.equal(code, 0);
  assert.equal(data.resources.find(({ key }: { key: string }) => key === "database").state, "kept");
  assert.ok((await leftOf(place, "pr-42")).includes(".forkstack/sqlite/shop-pr-42.db"));
  const again = await cli(place, "delete", "pr-42", "--adopt", "--yes");
  assert.equal(again.code, 4, "nothing bears its mark");
  assert.match(again.stderr, /Not touched: sqlite "shop-pr-42"/);
  // A mark of 0.1.0 names neither registry nor thing.
  const fork = { id: "old", name: "shop-pr-42", marker: whose, createdAt: "2026-01-01T00:00:00.000Z", copy: "empty" };
  await writeFile(ownerFile(place, "database.shop-pr-42"), JSON.stringify(fork));
  assert.equal((await cli(place, "delete", "pr-42", "--yes")).code, 0);
  assert.deepEqual(await leftOf(place, "pr-42"), []);
});

Deno.test("protected names and bases are never looked for by marks", async () => {
  await using place = await lost({ config: { protected: ["dev", "prod"] } });
  await place.write("forkstack.json", JSON.stringify({ project: "shop", protected: ["dev", "prod", "pr-42"] }));
  const before = await place.digest(/registry|locks|checked/);
  for (const env of ["pr-42", "dev", "prod", "production"]) {
    for (const flags of [["--yes"], ["--yes", "--if-exists"], ["--adopt", "--yes"], ["--dry-run"]]) {
      const { code, error } = await json(place, "delete", env, ...flags);
      assert.deepEqual([code, error.code], [2, "ENV_PROTECTED"], `${env} ${flags}`);
    }
  }
  assert.equal(await place.digest(/registry|locks|checked/), before);
});

Deno.test("delete --if-exists exits 0 where there is none, and leaves no registry behind", async () => {
  await using place = await Place.make();
  for (const flags of [[], ["--yes"], ["--dry-run"], ["--adopt", "--yes"], ["--purge", "--yes"]]) {
    const { code, data, ok } = await json(place, "delete", "pr-42", "--if-exists", ...flags);
    assert.deepEqual([code, ok, data], [0, true, { environment: { name: "pr-42" }, resources: [] }], `${flags}`);
  }
  assert.equal(await place.read(".forkstack/registry.db"), undefined);
  assert.equal((await cli(place, "delete", "pr-42", "--yes")).code, 4, "without it, it is an error");
  assert.equal((await cli(place, "new", "pr-42")).code, 0);
  for (const _ of [1, 2]) assert.equal((await cli(place, "delete", "pr-42", "--if-exists", "--yes")).code, 0);
});

Deno.test("prune lists what marks alone tell of, deletes none of it, and doctor --rebuild has it go by its lease", async () => {
  await using place = await lost({ envs: ["pr-42", "pr-43"], config: { ttl: "1h" } });
  for (const name of ["database.shop-pr-42", "local.shop.pr-42.db", "secrets.pr-42", "storage.shop-bucket-pr-42"]) {
    await remark(place, name, { made: "dev__2026-01-01T00:00:00.000Z" });
  }
  const before = await leftOf(place, "pr-4");
  for (const args of [["prune", "--dry-run"], ["prune", "--yes"], ["prune", "--idle", "1m", "--yes"]]) {
    const { stdout, code } = await cli(place, ...args);
    assert.equal(code, 0);
    assert.match(stdout, /^Nothing to prune\nNot in this registry, not deleted: pr-42 \(database, local, secrets, /);
    assert.match(stdout, /doctor --rebuild` records them here/);
  }
  assert.deepEqual(await leftOf(place, "pr-4"), before);
  const { data } = await json(place, "doctor", "--rebuild");
  assert.deepEqual(
    data.environments.map(({ name, parent, unknown }: Record<string, unknown>) => [name, parent, unknown]),
    [
      ["pr-42", "dev", undefined],
      ["pr-43", "dev", undefined],
    ],
  );
  const pruned = await json(place, "prune", "--yes");
  assert.deepEqual(pruned.data.environments.map(({ name }: { name: string }) => name), ["pr-42"]);
  assert.deepEqual(await leftOf(place, "pr-42"), []);
});

Deno.test("two runners that delete at once, by marks: both succeed, and nothing is left", async () => {
  await using place = await lost();
  const ended = await Promise.all([1, 2, 3].map(() => run(place.root, ["delete", "pr-42", "--if-exists", "--yes"])));
  assert.deepEqual(ended.map(({ code }) => code), [0, 0, 0], JSON.stringify(ended));
  assert.deepEqual(await leftOf(place, "pr-42"), []);
});

Deno.test("vault and turso: marks are found at the vendor that keeps them; what none proves stays, and is told", async () => {
  const token = "header.platform-canary.token";
  await using vault = await startVault({ tokens: { token: Infinity } });
  await using turso = await startTurso({ organization: "acme", tokens: { [token]: undefined } });
  vault.put("shop/prod/A", { value: "live" });
  turso.add("shop", undefined);
  await using place = await Place.make({
    database: { provider: "turso", organization: "acme", endpoint: turso.url },
    secrets: { provider: "vault", endpoint: vault.url },
  });
  const env = { VAULT_TOKEN: "token", TURSO_API_TOKEN: token };
  const at = async (...args: string[]) =>
    await run(place.root, [...args, "--json"], { env, allow: NET })
      .then(({ code, stdout }) => ({ ...JSON.parse(stdout), code }));
  assert.equal((await at("new", "pr-42", "--from", "prod", "--ttl", "2d")).code, 0);
  await lose(place, true);
  assert.equal((await at("delete", "pr-42", "--yes")).error.code, "FOREIGN");
  assert.deepEqual(vault.dataOf("shop/pr-42/A"), { value: "live" });
  const { code, data } = await at("delete", "pr-42", "--adopt", "--yes");
  assert.equal(code, 0, JSON.stringify(data));
  const states = Object.fromEntries(data.resources.map(({ key, state }: Record<string, string>) => [key, state]));
  assert.deepEqual(states, { secrets: "deleted", database: "kept" });
  assert.equal(vault.dataOf("shop/pr-42/A"), undefined);
  assert.deepEqual([...turso.databases.keys()], ["shop", "shop-pr-42"], "Turso keeps no mark: nothing proves it ours");
  const without = await cli(place, "delete", "pr-42", "--yes");
  assert.equal(without.code, 3, "a vendor that can't be asked does not say that there is none");
  assert.match(without.stderr, /Cannot tell whether environment "pr-42" exists/);
});

testIf(whyNot, "neon: a registry that was lost; the lease is Neon's, and unknown to the mark", async () => {
  await using neon = await startNeon(server!, { keys: { key: {} } });
  await neon.add("production", { isDefault: true, databases: { neondb: NOTES }, createdAt: Date.now() - 3_600_000 });
  const database = { provider: "neon", projectId: neon.project, endpoint: neon.url };
  await using place = await Place.make({ database });
  const at = async (...args: string[]) =>
    await run(place.root, [...args, "--json"], { env: { NEON_API_KEY: "key" }, allow: NET }).then((
      { code, stdout },
    ) => ({ ...JSON.parse(stdout), code }));
  for (const env of ["pr-42", "pr-43"]) assert.equal((await at("new", env, "--from", "prod", "--ttl", "2d")).code, 0);
  await lose(place);
  const { data } = await at("doctor", "--rebuild");
  assert.deepEqual(data.environments, [
    { name: "pr-42", parent: "prod", unknown: ["lease"] },
    { name: "pr-43", parent: "prod", unknown: ["lease"] },
  ]);
  await lose(place);
  const deleted = await at("delete", "pr-42", "--yes");
  assert.equal(deleted.code, 0, JSON.stringify(deleted));
  assert.equal(deleted.data.resources.find(({ key }: { key: string }) => key === "database").state, "deleted");
  assert.throws(() => neon.branch("shop-pr-42"));
  assert.ok(neon.branch("shop-pr-43"));
});

testIf(
  "reason" in debian ? debian.reason : undefined,
  "postgres: a registry that was lost brings back an extended lease, deletes by marks, and touches no one else's",
  async () => {
    await wipe(old!);
    await make(old!, "shop", "CREATE TABLE t (x int)");
    await make(old!, "shop-pr-44", "CREATE TABLE mine (x int)"); // a person's
    const database = { provider: "postgres", strategy: "template" };
    await using place = await Place.make({ database });
    const url = old!.url();
    const host = new URL(url).host;
    const at = async (...args: string[]) =>
      await run(place.root, [...args, "--json"], { env: { POSTGRES_URL: url }, allow: [`--allow-net=${host}`] })
        .then(({ code, stdout }) => ({ ...JSON.parse(stdout), code }));
    for (const env of ["pr-42", "pr-43"]) {
      const made = await at("new", env, "--from", "prod", "--ttl", "2d", "--no-switch");
      assert.equal(made.code, 0, JSON.stringify(made));
    }
    const { data: { environment: extended } } = await at("extend", "pr-42", "3d");
    await lose(place);
    const { data } = await at("doctor", "--rebuild");
    assert.deepEqual([data.environments[0].expiresAt, data.environments[0].parent], [extended.expiresAt, "prod"]);
    await lose(place, true);
    assert.equal((await at("delete", "pr-42", "--yes")).error.code, "FOREIGN");
    const deleted = await at("delete", "pr-42", "--adopt", "--yes");
    assert.equal(deleted.code, 0, JSON.stringify(deleted));
    assert.equal((await at("delete", "pr-44", "--adopt", "--yes")).error.code, "ENV_NOT_FOUND");
    const names = (await namesOf(old!)).filter((name) => /^shop[a-z0-9-]*$/.test(name)); // but for logins
    assert.deepEqual(names, ["shop", "shop-pr-43", "shop-pr-43", "shop-pr-44"]);
    await wipe(old!);
  },
);
