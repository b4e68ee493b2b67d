/**
 * Deno's permissions: each command works under exactly the set that `permissions` prints, and with any one permission
 * less it says what to add.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { startDoppler } from "../emulators/doppler.ts";
import { Place, runCommand, useProcesses } from "./run.ts";
import { allUnder, printed, under } from "./sets.ts";

useProcesses();

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const COMMANDS: readonly (readonly string[])[] = [
  ["new", "alice", "--ttl", "2d"],
  ["list"],
  ["status"],
  ["extend", "alice", "2d"],
  ["secrets", "list"],
  ["doctor"],
  ["switch", "dev"],
  ["reset", "alice", "--yes"],
  ["prune", "--dry-run"],
  ["delete", "alice", "--yes"],
  ["new", "bob", "--dry-run"],
  ["permissions"],
];

Deno.test("the embedded stack: every command works under the set that `permissions` prints, which has no network", async () => {
  await using place = await Place.make();
  await place.git("init");
  const { set } = await printed(place);
  assert.deepEqual(set, { read: true, write: true, env: true, run: ["cp", "git"], sys: ["hostname"] });
  await allUnder(set, place, COMMANDS);
});

Deno.test("one permission less: the error names what to add, and where", async (t) => {
  const whole = { read: true, write: true, env: true, run: ["cp", "git"], sys: ["hostname"] };
  const less: Record<string, [object, RegExp, RegExp]> = {
    "write": [{ ...whole, write: false }, /^NOT_PERMITTED$/, /Add ".+" to "write" of the permission set in deno\.json/],
    "run git": [{ ...whole, run: ["cp"] }, /^NOT_PERMITTED$/, /Add "git" to "run".*--allow-run=git/],
    "run cp": [{ ...whole, run: ["git"] }, /./, /Add "cp" to "run"/],
    "sys": [{ ...whole, sys: false }, /^NOT_PERMITTED$/, /Add "hostname" to "sys".*`forkstack permissions`/],
    "env": [{ ...whole, env: ["FORKSTACK_*"] }, /^NOT_PERMITTED$/, /Add "\w+" to "env"/],
    "read": [{ ...whole, read: [] }, /^(NOT_PERMITTED|FILE_UNREADABLE)$/, /--allow-read/],
  };
  for (const [name, [set, code, hint]] of Object.entries(less)) {
    await t.step(name, async () => {
      await using place = await Place.make();
      await place.git("init");
      await place.write("shop.dev.db/data", "of dev"); // a directory is copied by cp
      const ended = await under(set, place, ["new", "alice", "--json"]);
      const { error } = JSON.parse(ended.stdout);
      assert(error, ended.stdout);
      assert.match(error.code, code);
      const said = JSON.stringify(JSON.parse(ended.stdout));
      assert.match(`${error.hint} ${error.message} ${said}`.replaceAll('\\"', '"'), hint);
      assert.notEqual(error.code, "UNEXPECTED");
    });
  }
});

Deno.test("what listens or runs a program says what it lacks, under a set that gives neither", async (t) => {
  const cli = { read: true, write: true, env: true, run: ["cp", "git"], sys: ["hostname"] };
  const net = ["127.0.0.1"];
  const program = [Deno.execPath(), "--version"];
  const lacking: Record<string, [set: object, args: string[], hint: string]> = {
    "serve without net": [cli, ["serve"], "`deno task envs:serve`"],
    "serve with another port alone": [{ ...cli, net: ["127.0.0.1:1"] }, ["serve", "--port", "0"], "envs:serve`"],
    "serve with another host alone": [{ ...cli, net: ["db.example"] }, ["serve", "--port", "0"], "envs:serve`"],
    "run without net": [cli, ["run", "alice", "--", ...program], "`deno task envs:run`"],
    "run without the program": [{ ...cli, net }, ["run", "alice", "--", ...program], "`deno task envs:run`"],
  };
  await using place = await Place.make();
  await under(cli, place, ["new", "alice"]);
  for (const [name, [set, args, hint]] of Object.entries(lacking)) {
    await t.step(name, async () => {
      const { code, stdout, stderr } = await under(set, place, args);
      assert.deepEqual([code, stdout], [2, ""], stderr);
      assert.match(stderr, /^error: Cannot /);
      assert.ok(stderr.split("\n  hint: ")[1]?.includes(hint), stderr);
      assert.doesNotMatch(stderr, /Uncaught| {4}at /);
    });
  }
  await t.step("run with the program alone, without `cat`", async () => {
    const { code, stdout, stderr } = await under({ ...cli, net, run: ["cp", "git", Deno.execPath()] }, place, [
      ...["run", "alice", "--", ...program],
    ]);
    assert.deepEqual([code, stderr], [0, ""]);
    assert.match(stdout, /^deno /);
  });
});

Deno.test("a vendor: its host is in the set, and without it the error names the host", async () => {
  const token = "dp.sa.canary-0123456789";
  await using doppler = await startDoppler({ project: "shop", tokens: [token] });
  await using place = await Place.make({ secrets: { provider: "doppler", project: "shop", endpoint: doppler.url } });
  const env = { DOPPLER_TOKEN: token };
  const { set } = await printed(place, env);
  assert.deepEqual(set.net, [new URL(doppler.url).host]);
  await allUnder(set, place, [["new", "alice"], ["doctor"], ["delete", "alice", "--yes"]], env);
  const { net, ...less } = set;
  for (const narrow of [less, { ...less, net: ["127.0.0.1:1"] }]) {
    const { code, stdout } = await under(narrow, place, ["new", "alice", "--json"], env);
    const { error } = JSON.parse(stdout);
    assert.equal(code, 2);
    assert.match(JSON.stringify(error), /NETWORK_DENIED|may not connect/);
    assert(error.hint.includes(`Add "${net[0]}" to "net"`), error.hint);
  }
});

for (
  const [stack, variable, url] of [
    [{ database: { provider: "postgres" } }, "POSTGRES_URL", "postgres://a:canary-pw@127.0.0.1:5999/postgres"],
    [{ cache: { provider: "valkey" } }, "VALKEY_URL", "redis://a:canary-pw@127.0.0.1:5999"],
    [{ queue: { provider: "bullmq" } }, "BULLMQ_URL", "redis://a:canary-pw@127.0.0.1:5999"],
  ] as const
) {
  Deno.test(`the host in ${variable}: without it the error names it`, async () => {
    await using place = await Place.make(stack);
    const { set } = await printed(place, { [variable]: url });
    assert.deepEqual(set.net, ["127.0.0.1:5999"]);
    const { net: _, ...less } = set;
    const { code, stdout, stderr } = await under(less, place, ["new", "alice"], { [variable]: url });
    assert.equal(code, 2, stdout + stderr);
    assert.match(stderr, /Add "127\.0\.0\.1:5999" to "net" of the permission set in deno\.json/);
    assert(!stderr.includes("canary"), stderr);
  });
}

Deno.test("the hosts of a whole stack; a URL in a variable that is not set is warned of", async () => {
  await using place = await Place.make({
    registry: { url: "libsql://registry.acme.example" },
    database: {
      main: { provider: "turso", organization: "acme" },
      old: { provider: "postgres", sanitize: "https://scripts.acme.example/clean.sql" },
    },
    storage: { provider: "s3", region: "eu-west-1" },
    cache: { provider: "valkey" },
    queue: { provider: "qstash" },
  });
  const unset = await printed(place);
  assert.equal(unset.stderr.trim().split("\n").length, 2);
  for (const name of ["POSTGRES_URL", "VALKEY_URL"]) {
    assert.match(unset.stderr, new RegExp(`warning: ${name} is not set`));
  }
  const env = {
    POSTGRES_URL: "postgres://a:canary-pw@db.acme.example/postgres",
    VALKEY_URL: "redis://a:canary-pw@[::1]:7000",
  };
  const { set, stderr } = await printed(place, env);
  assert.equal(stderr, "");
  assert(!JSON.stringify(set).includes("canary"));
  assert.deepEqual(set.net, [
    "*.s3.eu-west-1.amazonaws.com",
    "*.turso.io",
    "[::1]:7000",
    "api.turso.tech",
    "db.acme.example:5432",
    "qstash.upstash.io",
    "registry.acme.example",
    "s3.eu-west-1.amazonaws.com",
    "scripts.acme.example",
  ]);
  assert.deepEqual(set.run, ["cp", "git", "pg_dump", "pg_restore"]);
});

Deno.test("the runtime: mod.ts needs to read files and two variables, and says which", async () => {
  await using place = await Place.make();
  await place.write(
    "app.ts",
    `
    import { getBucketName } from ${JSON.stringify(new URL("../../mod.ts", import.meta.url).href)};
    try { console.log(getBucketName()); } catch (error) { console.log(error.code, error.hint); }
  `,
  );
  const { permissions } = JSON.parse(readFileSync(`${ROOT}deno.json`, "utf8"));
  const app = async (set: object) => {
    await place.write("deno.json", JSON.stringify({ permissions: { app: set } }));
    return (await runCommand(place.root, [Deno.execPath(), "run", "-q", "--no-prompt", "-P=app", "app.ts"])).stdout;
  };
  assert.equal(await app(permissions.runtime), "shop-bucket-dev\n");
  assert.match(await app({ ...permissions.runtime, env: [] }), /^ENV_UNREADABLE .*--allow-env=FORKSTACK_ENV,ENV/);
  assert.match(await app({ ...permissions.runtime, read: [] }), /^FILE_UNREADABLE .*--allow-read/);
});
