/** `url`: what the app gets, of the current environment or another, and no password where a person could see it. */
import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";
import { commandOf, Place } from "./run.ts";
import { onTerminal, terminalTest } from "./terminal.ts";

const CANARY = "canary-0123456789";
const urlOf = (env: string, name: string) => `rediss://${env}:${CANARY}-${env}@cache.example:6380/${name}`;

/** A project with two caches and a queue, of which this machine has the files of two environments; alice is current. */
async function withCaches(): Promise<Place> {
  const place = await Place.make({
    cache: { hot: { provider: "valkey" }, sessions: { provider: "valkey" } },
    queue: { provider: "bullmq" },
  });
  for (const env of ["alice", "bob"]) {
    const values = {
      FORKSTACK_ENV: env,
      FORKSTACK_PROJECT: "shop",
      HOT_CACHE_URL: urlOf(env, "hot"),
      SESSIONS_CACHE_URL: urlOf(env, "sessions"),
      QUEUE_URL: urlOf(env, "queue"),
    };
    const lines = Object.entries(values).map(([name, value]) => `${name}=${value}\n`);
    await place.write(`.forkstack/envs/${env}.env`, lines.join(""));
  }
  await place.write(".current-env", "alice\n");
  return place;
}

Deno.test("url prints what getDatabaseUrl() gives, of the current environment or another, and changes nothing", async () => {
  await using place = await Place.make();
  await place.ok("new", "alice", "--empty");
  const before = await place.digest();
  const fileOf = (env: string) =>
    pathToFileURL(place.path(`.forkstack/sqlite/${env === "prod" ? "shop" : `shop-${env}`}.db`)).href;
  const cases: [args: string[], env: string][] = [
    [[], "alice"],
    [["database"], "alice"],
    [["database", "dev"], "dev"],
    [["database", "production"], "prod"],
    [["database", "alice"], "alice"],
  ];
  for (const [args, env] of cases) {
    const { stdout, stderr } = await place.ok("url", ...args);
    assert.deepEqual([stdout, stderr], [`${fileOf(env)}\n`, ""], args.join(" "));
    const { data } = await place.json("url", ...args);
    assert.deepEqual(data, { environment: env, kind: "database", variable: "DATABASE_URL", url: fileOf(env) });
  }
  assert.equal(await place.digest(), before);
});

Deno.test("url finds a resource by its kind, where there is one of it, or by its name; else it tells those there are", async () => {
  await using place = await withCaches();
  for (
    const [args, url] of [
      [["cache.hot"], urlOf("alice", "hot")],
      [["cache.sessions", "bob"], urlOf("bob", "sessions")],
      [["queue"], urlOf("alice", "queue")],
      [["queue", "bob", "--reveal"], urlOf("bob", "queue")],
    ] as const
  ) assert.equal((await place.ok("url", ...args)).stdout, `${url}\n`, args.join(" "));
  for (
    const [args, code, said] of [
      [
        ["cache"],
        2,
        /"cache": there are several\n {2}hint: `forkstack url cache\.hot`, `forkstack url cache\.sessions`\n/,
      ],
      [
        ["cache.hto"],
        2,
        /"cache\.hto": no database, cache or queue of this stack has that name; did you mean "cache\.hot"\?/,
      ],
      [[], 2, /"database": no database, .*\n {2}hint: .*`forkstack url queue`\n/],
      [["storage"], 2, /"storage": no database/],
      [["constructor"], 2, /"constructor": no database/],
      [["../bob"], 2, /"\.\.\/bob": no database/],
      [["carol"], 2, /"carol": no database/],
      [["bob"], 2, /"bob": it is an environment\n {2}hint: `forkstack url cache\.hot bob`\n/],
      [["dev"], 2, /"dev": it is an environment\n {2}hint: `forkstack url cache\.hot dev`\n/],
      [["bob", "alice"], 2, /"bob": no database/],
      [["queue", "carol"], 4, /"carol"/],
      [["queue", "dev"], 2, /Cannot print QUEUE_URL of environment "dev": .*\n {2}hint: `forkstack switch dev` /],
      [["queue", "A b"], 2, /"A b"/],
    ] as const
  ) {
    const { code: was, stdout, stderr } = await place.run("url", ...args);
    assert.deepEqual([was, stdout], [code, ""], `${args.join(" ")}: ${stderr}`);
    assert.match(stderr, said);
    assert(!stderr.includes(CANARY), stderr);
  }
});

Deno.test("url of an environment that this machine has no file of is ENV_UNKNOWN, also where there is no state at all", async () => {
  await using place = await Place.make();
  for (const env of ["carol", "alice", "toString".toLowerCase()]) {
    const { code, stdout, stderr } = await place.run("url", "database", env);
    assert.deepEqual([code, stdout], [4, ""]);
    assert.match(stderr, new RegExp(`"${env}": this machine has no file of it`));
  }
  assert.equal((await place.run("url", "database", "dev")).code, 0);
});

Deno.test("url stops where the app would: a value of another environment in the process is ENV_CONFLICT", async () => {
  await using place = await withCaches();
  const { code, error } = await place.json("url", "queue");
  assert.deepEqual([code, error], [0, undefined]);
  await place.write(".forkstack/envs/alice.env", `FORKSTACK_ENV=bob\nQUEUE_URL=${urlOf("bob", "queue")}\n`);
  const conflict = await place.json("url", "queue");
  assert.equal(conflict.error.code, "ENV_CONFLICT");
  assert(!JSON.stringify(conflict).includes(CANARY));
});

Deno.test("url in --json tells a URL that may hold a password with --reveal alone", async () => {
  await using place = await withCaches();
  const told = { environment: "alice", kind: "cache", name: "hot", variable: "HOT_CACHE_URL" };
  assert.deepEqual((await place.json("url", "cache.hot")).data, told);
  const { data } = await place.json("url", "cache.hot", "--reveal");
  assert.deepEqual(data, { ...told, url: urlOf("alice", "hot") });
});

terminalTest("url on a terminal shows no password without --reveal", async () => {
  await using place = await withCaches();
  const on = async (...args: string[]) => (await onTerminal(place.root, commandOf(["url", ...args]), [])).shown;
  const hidden = await on("queue");
  assert.match(hidden, /QUEUE_URL is set in alice; --reveal shows it/);
  assert(!hidden.includes(CANARY));
  assert((await on("queue", "--reveal")).includes(urlOf("alice", "queue")));
});
