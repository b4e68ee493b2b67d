/** `env`: an environment's variables for other programs; nothing secret without --reveal. */
import assert from "node:assert/strict";
import { commandOf, Place, run } from "./run.ts";
import { onTerminal, terminalTest } from "./terminal.ts";

const CANARY = "canary-0123456789";

async function withCache(): Promise<Place> {
  const place = await Place.make({
    database: { provider: "sqlite" },
    cache: { provider: "valkey" },
    secrets: { provider: "env-file" },
  });
  await place.ok("switch", "dev").catch(() => {});
  for (const env of ["alice", "bob"]) {
    const values = {
      FORKSTACK_ENV: env,
      FORKSTACK_PROJECT: "shop",
      DATABASE_URL: `file:${place.path(`.forkstack/sqlite/shop-${env}.db`)}`,
      CACHE_URL: `redis://${env}:${CANARY}-${env}@cache.example/1`,
    };
    await place.write(
      `.forkstack/envs/${env}.env`,
      Object.entries(values).map(([name, value]) => `${name}=${value}\n`).join(""),
    );
  }
  await place.write(".current-env", "alice\n");
  return place;
}

Deno.test("env leaves out what is secret and names it; --reveal prints it; a shell gets the very values", async () => {
  await using place = await withCache();
  for (const [args, env] of [[[], "alice"], [["bob"], "bob"]] as const) {
    const { stdout, stderr } = await place.ok("env", ...args);
    assert.match(stdout, new RegExp(`^export FORKSTACK_ENV='${env}'$`, "m"));
    assert.match(stdout, /^export DATABASE_URL='file:/m);
    assert.match(stderr, /Left out, as they may hold passwords: CACHE_URL\. --reveal prints them/);
    assert(!`${stdout}${stderr}`.includes(CANARY));
    const shown = await place.ok("env", ...args, "--reveal", "--format", "docker");
    assert.match(shown.stdout, new RegExp(`^CACHE_URL=redis://${env}:${CANARY}-${env}@`, "m"));
    const { data } = await place.json("env", ...args);
    assert.deepEqual(data.hidden, ["CACHE_URL"]);
    assert(!JSON.stringify(data).includes(CANARY));
  }
  assert.equal(
    (await place.json("env", "--reveal")).data.variables.CACHE_URL,
    `redis://alice:${CANARY}-alice@cache.example/1`,
  );
});

Deno.test("env prints one value as it is, of the current environment or another; a secret one with --reveal alone", async () => {
  await using place = await withCache();
  for (
    const [args, stdout] of [
      [["FORKSTACK_ENV"], "alice\n"],
      [["bob", "FORKSTACK_ENV"], "bob\n"],
      [["CACHE_URL", "--reveal"], `redis://alice:${CANARY}-alice@cache.example/1\n`],
      [["bob", "CACHE_URL", "--reveal"], `redis://bob:${CANARY}-bob@cache.example/1\n`],
    ] as const
  ) assert.equal((await place.ok("env", ...args)).stdout, stdout, args.join(" "));
  for (
    const [args, code, said] of [
      [["CACHE_URL"], 2, /may hold a password\n {2}hint: Pass --reveal/],
      [["CACHE_URLS", "--reveal"], 2, /did you mean "CACHE_URL"\?/],
      [["toString"], 2, /"toString"/],
      [["alice", "constructor"], 2, /it has none/],
      [["carol"], 4, /"carol"/],
      [["--format", "yaml"], 2, /there is no such format/],
      [["--format", "dockr"], 2, /did you mean "docker"\?/],
    ] as const
  ) {
    const ended = await place.run("env", ...args);
    assert.deepEqual([ended.code, ended.stdout], [code, ""], `${args.join(" ")}: ${ended.stderr}`);
    assert.match(ended.stderr, said);
    assert(!ended.stderr.includes(CANARY));
  }
});

Deno.test("env --format github has the runner hide what is secret, on stderr, and there alone", async () => {
  await using place = await withCache();
  const on = (env: Record<string, string>, ...args: string[]) =>
    run(place.root, ["env", "--format", "github", ...args], { env });
  const masked = await on({ GITHUB_ACTIONS: "true" }, "--reveal");
  assert.match(masked.stderr, new RegExp(`^::add-mask::redis://alice:${CANARY}-alice@`, "m"));
  assert.doesNotMatch(masked.stdout, /add-mask/);
  assert.match(masked.stdout, /^CACHE_URL<<ghadelimiter_[0-9a-f-]{36}$/m);
  assert(!(await on({ GITHUB_ACTIONS: "true" })).stderr.includes(CANARY));
  assert(!(await on({}, "--reveal")).stderr.includes(CANARY), "on a person's machine it would only show them");
});

Deno.test("env --secrets adds the secrets, with --reveal alone", async () => {
  await using place = await Place.make({ database: { provider: "sqlite" }, secrets: { provider: "env-file" } });
  await place.ok("new", "alice", "--empty");
  await place.write(".forkstack/secrets/alice.env", `API_KEY="${CANARY} $x"\n`);
  assert(!(await place.ok("env", "--secrets")).stdout.includes(CANARY));
  assert((await place.ok("env", "--secrets", "--reveal")).stdout.includes(`export API_KEY='${CANARY} $x'\n`));
  assert(!(await place.ok("env", "--reveal")).stdout.includes(CANARY));
});

terminalTest("env on a terminal shows nothing secret either", async () => {
  await using place = await withCache();
  const { shown } = await onTerminal(place.root, commandOf(["env"]), []);
  assert(shown.includes("FORKSTACK_ENV") && !shown.includes(CANARY), shown);
});
