/** `variables` of forkstack.json, and the path of a database: in the block, in `run`, `env`, `doctor` and `status`. */
import assert from "node:assert/strict";
import { stat } from "node:fs/promises";
import { openStack } from "../../mod.ts";
import { Place, run } from "./run.ts";

const SHAPES = {
  SQLALCHEMY_URL: "sqlite:///{DATABASE_PATH}",
  DJANGO_URL: "sqlite:///{DATABASE_PATH|url}",
  JOBS_NAME: "jobs.{FORKSTACK_ENV}",
};
const print = ["--", "sh", "-c", 'echo "$SQLALCHEMY_URL $DJANGO_URL $JOBS_NAME $DATABASE_PATH"'];

Deno.test("new writes DATABASE_PATH and shaped variables into the block; the environment's own file keeps none of the latter", async () => {
  await using place = await Place.make({ variables: SHAPES });
  await place.ok("new", "alice");
  const path = place.path(".forkstack/sqlite/shop-alice.db");
  const block = (await place.read(".env.local"))!;
  for (const line of [`DATABASE_PATH=${path}`, `SQLALCHEMY_URL=sqlite:///${path}`, "JOBS_NAME=jobs.alice"]) {
    assert(block.includes(`\n${line}\n`), block);
  }
  assert.doesNotMatch((await place.read(".forkstack/envs/alice.env"))!, /SQLALCHEMY|DJANGO|JOBS/);
  assert.equal((await place.ok("env", "SQLALCHEMY_URL")).stdout, `sqlite:///${path}\n`);
  assert.equal((await place.ok("run", ...print)).stdout, `sqlite:///${path} sqlite:///${path} jobs.alice ${path}\n`);
  assert((await place.json("status")).data.variables.includes("DJANGO_URL"));
  assert.deepEqual((await place.json("doctor")).data.findings, []);
  const read = (name: string) => name === "PATH" ? "x" : undefined;
  const stack = openStack({ cwd: place.root, read });
  for (const name of ["SQLALCHEMY_URL", "DJANGO_URL"]) assert.equal(stack.variable(name), `sqlite:///${path}`, name);
});

Deno.test("a changed template counts at once in run, env and mod.ts; doctor names the block, and mends it", async () => {
  await using place = await Place.make({ variables: SHAPES });
  await place.ok("new", "alice");
  for (
    const variables of [{ ...SHAPES, DJANGO_URL: "file:{DATABASE_PATH}?cache=shared" }, {
      ...SHAPES,
      A_NAME: "{BUCKET_NAME}",
    }]
  ) {
    await place.write("forkstack.json", JSON.stringify({ project: "shop", variables }));
    const [name] = Object.entries(variables).find(([one, text]) => (SHAPES as Record<string, string>)[one] !== text)!;
    const { stdout } = await place.ok("env", name);
    assert.equal(openStack({ cwd: place.root, read: () => undefined }).variable(name), stdout.trim());
    const { data: { findings } } = await place.json("doctor");
    assert.equal(findings.length, 1);
    assert.match(findings[0].problem, new RegExp(`^stale: .*\\b${name}\\b.* in ".*\\.env\\.local"`));
    await place.ok("switch", "alice");
    assert.deepEqual((await place.json("doctor")).data.findings, []);
    assert((await place.read(".env.local"))!.includes(`\n${name}=`));
  }
});

Deno.test("doctor names and mends what the block has left over from an earlier forkstack.json, and no line of a person", async () => {
  for (
    const [left, config] of [
      [["JOBS_NAME"], { variables: { SQLALCHEMY_URL: SHAPES.SQLALCHEMY_URL, DJANGO_URL: SHAPES.DJANGO_URL } }],
      [Object.keys(SHAPES), {}],
      [["SQLALCHEMY_URL", "JOBS_NAME"], { variables: { DJANGO_URL: "file:{DATABASE_PATH}" } }],
    ] as const
  ) {
    await using place = await Place.make({ variables: SHAPES });
    await place.ok("new", "alice");
    await place.write(".env.local", `${await place.read(".env.local")}MINE_URL=x\n`);
    await place.write("forkstack.json", JSON.stringify({ project: "shop", ...config }));
    const told = (await place.json("doctor")).data.findings.map((one: { problem: string }) => one.problem);
    assert(told.some((one: string) => one.startsWith(`left over: ${left.join(", ")} in "`)), told.join("\n"));
    assert(!told.join().includes("MINE_URL"));
    await place.ok("doctor", "--fix", "--yes");
    assert.deepEqual((await place.json("doctor")).data.findings, []);
    const file = (await place.read(".env.local"))!;
    assert(file.includes("\nMINE_URL=x\n") && !left.some((name) => file.includes(`\n${name}=`)), file);
  }
});

Deno.test("where the files name another directory, as after a move, shaped variables have the present one's path", async () => {
  await using place = await Place.make({ variables: SHAPES });
  await place.ok("new", "alice");
  await place.write(".env.local", (await place.read(".env.local"))!.replaceAll(place.root, "/nowhere"));
  await place.write(
    ".forkstack/envs/alice.env",
    (await place.read(".forkstack/envs/alice.env"))!.replaceAll(place.root, "/nowhere"),
  );
  const path = place.path(".forkstack/sqlite/shop-alice.db");
  assert.equal((await place.ok("run", ...print)).stdout, `sqlite:///${path} sqlite:///${path} jobs.alice ${path}\n`);
  const block = Object.fromEntries(
    (await place.read(".env.local"))!.split("\n").map((line) => line.split(/=(.*)/s).slice(0, 2)),
  );
  assert.match(block.SQLALCHEMY_URL, /nowhere/);
  assert.equal(
    openStack({ cwd: place.root, read: (name) => block[name] }).variable("SQLALCHEMY_URL"),
    `sqlite:///${path}`,
  );
  await place.ok("doctor", "--fix", "--yes");
  assert.doesNotMatch(`${await place.read(".env.local")}${await place.read(".forkstack/envs/alice.env")}`, /nowhere/);
});

Deno.test("a shaped variable with a secret in it is one: env leaves it out, and no other one", async () => {
  await using place = await Place.make({
    database: { provider: "sqlite" },
    cache: { provider: "valkey" },
    variables: { ...SHAPES, CELERY_BROKER_URL: "{CACHE_URL}", KEYS: "{CACHE_PREFIX}" },
  });
  const values = {
    DATABASE_URL: "file:/x.db",
    CACHE_URL: "redis://alice:canary-01@cache.example/1",
    CACHE_PREFIX: "a:",
  };
  const lines = Object.entries({ FORKSTACK_ENV: "alice", FORKSTACK_PROJECT: "shop", ...values });
  await place.write(".forkstack/envs/alice.env", lines.map(([name, value]) => `${name}=${value}\n`).join(""));
  await place.write(".current-env", "alice\n");
  const { stdout, stderr } = await place.ok("env");
  assert.match(stderr, /Left out, as they may hold passwords: CACHE_URL, CELERY_BROKER_URL\./);
  assert.doesNotMatch(stdout + stderr, /canary/);
  assert.match(stdout, /KEYS='a:'/);
  assert.match((await place.ok("env", "--reveal")).stdout, /CELERY_BROKER_URL='redis:\/\/alice:canary-01@/);
});

Deno.test("a line of a person's own that sets a shaped variable stops new before anything is made", async () => {
  await using place = await Place.make({ variables: SHAPES });
  await place.write(".env.local", "SQLALCHEMY_URL=sqlite:///mine.db\n");
  const { error } = await place.json("new", "alice");
  assert.equal(error.code, "ENV_CONFLICT");
  assert.match(error.message, /line 1 sets SQLALCHEMY_URL/);
  await assert.rejects(stat(place.path(".forkstack/sqlite/shop-alice.db")));
});

Deno.test("run takes a shaped variable that has no value out of what the shell has", async () => {
  await using place = await Place.make({
    database: { provider: "turso", organization: "acme" },
    variables: { TOKEN_OF_DB: "{DATABASE_AUTH_TOKEN}", NAME_OF_DB: "{DATABASE_URL|rest}" },
  });
  const own = "FORKSTACK_ENV=alice\nFORKSTACK_PROJECT=shop\nDATABASE_URL=libsql://shop-alice.example\n";
  await place.write(".forkstack/envs/alice.env", own);
  await place.write(".current-env", "alice\n");
  const { stdout, stderr } = await run(place.root, ["run", "--", "sh", "-c", 'echo "$TOKEN_OF_DB,$NAME_OF_DB"'], {
    env: { TOKEN_OF_DB: "bob's", NAME_OF_DB: "bob's" },
  });
  assert.equal(stdout, ",shop-alice.example\n", stderr);
});
