/** `run` and the environment: its buckets, its secrets, the guard, and what it refuses. */
import assert from "node:assert/strict";
import { chmod, rm } from "node:fs/promises";
import { connect } from "node:net";
import { DatabaseSync } from "node:sqlite";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { commandOf, type Ended, Place, run, runCommand, type RunOptions } from "./run.ts";
import { startDoppler } from "../emulators/doppler.ts";
import { startTurso } from "../emulators/turso.ts";
import { testIf } from "../helpers.ts";
import { bun, runtimeTest } from "../runtime_helpers.ts";
import { WHY_ROOT, WITHOUT_RIGHTS } from "../tools.ts";
import { beginRun, type Running } from "./running.ts";

const REPOSITORY = fileURLToPath(new URL("../../", import.meta.url));
const CANARY = "canary-0123456789";

/** A shop with the environments alice and bob; bob is current. */
async function shop(config: object = {}): Promise<Place> {
  const place = await Place.make(config);
  await place.ok("new", "alice");
  await place.ok("new", "bob");
  return place;
}

const DENO_RUN = [Deno.execPath(), "run", "-q", "-A", "--no-config", "--no-lock"];

/** An application in TypeScript, in the place, which a runtime runs under `run`. */
async function appOf(place: Place, code: string, runtime: readonly string[] = DENO_RUN) {
  await place.write("app.ts", `import * as stack from ${JSON.stringify(`${REPOSITORY}mod.ts`)};\n${code}`);
  return async (args: readonly string[], options?: RunOptions): Promise<Ended> =>
    await run(place.root, ["run", ...args, "--", ...runtime, "app.ts"], options);
}

Deno.test("run, twice at once: each opens its own bucket to the AWS SDK, and no other", async () => {
  await using place = await shop();
  const program = [Deno.execPath(), "run", "-q", "-A", "-c", `${REPOSITORY}deno.json`];
  const begin = (env: string) => beginRun(place, env, "--", ...program, `${REPOSITORY}tests/cli/program_s3.ts`);
  const runs: Record<string, Running> = { alice: begin("alice"), bob: begin("bob") };
  const told = { alice: await runs.alice!.line(), bob: await runs.bob!.line() };
  assert.notEqual(told.alice[0], told.bob[0], "each has a port of its own");
  await runs.alice!.type(`${told.bob.join(" ")}\n`);
  await runs.bob!.type(`${told.alice.join(" ")}\n`);
  for (const env of ["alice", "bob"]) {
    const said = JSON.parse((await runs[env]!.line()).join(" "));
    assert.deepEqual(said, {
      own: `of shop-bucket-${env}`,
      opens: [`shop-bucket-${env}`],
      othersBucket: "AccessDenied",
      othersServer: "InvalidAccessKeyId",
    });
  }
  for (const env of ["alice", "bob"]) {
    await runs[env]!.type("end\n");
    assert.equal(await runs[env]!.ended(), 0);
  }
  for (const [endpoint] of Object.values(told)) assert.equal(await isListening(endpoint!), false);
});

async function isListening(endpoint: string): Promise<boolean> {
  const socket = connect(Number(new URL(endpoint).port), "127.0.0.1");
  return await new Promise((resolve) => {
    socket.on("connect", () => resolve(true)).on("error", () => resolve(false)).on("close", () => socket.destroy());
  }).finally(() => socket.destroy()) as boolean;
}

Deno.test("run makes a base environment's buckets, with names and without a file of its variables", async () => {
  const storage = { uploads: { provider: "local" }, assets: { provider: "local" } };
  await using place = await Place.make({ storage });
  const script = 'printf "%s\\n" "$UPLOADS_AWS_ENDPOINT_URL_S3" "$ASSETS_AWS_ENDPOINT_URL_S3" "$FORKSTACK_ENV"';
  const { stdout } = await place.ok("run", "--", "sh", "-c", script);
  const [uploads, assets, env] = stdout.trim().split("\n");
  assert.deepEqual([uploads, env], [assets, "dev"], "one server");
  const put = `const { bucket, ...rest } = stack.getStorageConfig("uploads");
    const { S3Client, PutObjectCommand } = await import("npm:@aws-sdk/client-s3@3.1162.0");
    const credentials = { accessKeyId: rest.accessKeyId, secretAccessKey: rest.secretAccessKey };
    const client = new S3Client({ endpoint: rest.endpoint, region: rest.region, credentials });
    await client.send(new PutObjectCommand({ Bucket: bucket, Key: "k", Body: "x" }));
    console.log(rest.endpoint);`;
  const app = await appOf(place, put, [Deno.execPath(), "run", "-q", "-A", "-c", `${REPOSITORY}deno.json`]);
  const ended = await app(["dev"]);
  assert.match(ended.stdout, /^http:\/\/127\.0\.0\.1:(?!7833\b)\d+\n$/);
  assert.equal(await place.read(".current-env"), undefined, "nothing is switched");
  assert.equal(await place.read(".forkstack/envs/dev.env"), undefined, "and nothing written down");
});

Deno.test("run serves nothing where no bucket is local", async () => {
  await using place = await Place.make({ database: { provider: "sqlite" } });
  const { stdout } = await place.ok("run", "--", "sh", "-c", 'echo "${AWS_ENDPOINT_URL_S3-none}"');
  assert.match(stdout, /^none\n/);
});

const GETTERS = `
  const { endpoint, path } = stack.getStorageConfig();
  console.log(JSON.stringify([stack.getCurrentEnv(), stack.getProjectName(), stack.getDatabaseUrl(), path,
    stack.getDatabaseAuthToken() ?? null, stack.getLocalPath(), endpoint === process.env.AWS_ENDPOINT_URL_S3,
    await stack.getSecret("API_KEY")]));`;

for (const [name, runtime] of Object.entries({ Deno: { command: DENO_RUN as [string] }, Bun: bun() })) {
  runtimeTest(
    `run: the guard in a program of ${name} holds to the environment, whatever is said elsewhere`,
    runtime,
    async (command) => {
      await using place = await Place.make();
      await place.write(".forkstack/secrets/dev.env", `API_KEY='${CANARY}'\n`);
      for (const env of ["alice", "bob"]) await place.ok("new", env);
      const app = await appOf(place, GETTERS, command);
      const title = (file: string) => place.path(".forkstack", file);
      const expected = [
        ...["alice", "shop", `file://${title("sqlite/shop-alice.db")}`, title("buckets/shop-bucket-alice"), null],
        ...[place.path("shop.alice.db"), true, CANARY],
      ];
      const holds = async (env: Record<string, string> = {}) => {
        for (const args of [["alice"], ["alice", "--secrets"]]) {
          const { stdout, stderr } = await app(args, { env });
          assert.equal(stderr, "");
          assert.deepEqual(JSON.parse(stdout), expected);
        }
      };
      await holds(); // .env.local, which Bun loads, and .current-env are bob's
      await holds({ FORKSTACK_ENV: "bob", ENV: "prod", FORKSTACK_PROJECT: "elsewhere" });
      await holds({ DATABASE_URL: "libsql://left-over", DATABASE_AUTH_TOKEN: "left over", AWS_REGION: "eu-west-1" });
      await holds({ DATABASE_URL: `file://${title("sqlite/shop-bob.db")}`, BUCKET_NAME: "shop-bucket-bob" });
      const bobs = (await place.read(".env.local"))!;
      await place.ok("switch", "alice");
      await place.write(".current-env", "bob\n");
      await holds({ ENV: "prod" });
      await place.write(".current-env", "alice\n");
      await place.write(".env.local", bobs);
      await holds();
    },
  );
}

Deno.test("run: what the program itself puts in the place of a value is still a conflict", async () => {
  await using place = await shop();
  const app = await appOf(place, "console.log(stack.getDatabaseUrl());");
  const inShell = (line: string) =>
    place.run("run", "alice", "--", "sh", "-c", `${line} "$@"`, "sh", ...DENO_RUN, "app.ts");
  assert.equal((await app(["alice"])).code, 0);
  assert.match((await inShell("DATABASE_URL=file:///x")).stderr, /ENV_CONFLICT|holds a different value/);
  assert.match((await inShell("FORKSTACK_ENV=bob")).stderr, /holds a different value/);
});

Deno.test("run --secrets gives the secrets as variables, and shows them nowhere else", async () => {
  await using place = await Place.make();
  await place.write(".forkstack/secrets/dev.env", `API_KEY='of dev ${CANARY}'\nDATABASE_URL='not this'\nEMPTY=''\n`);
  await place.ok("new", "alice");
  await run(place.root, ["secrets", "set", "API_KEY", "alice"], { stdin: `of alice ${CANARY}` });
  const show = ["sh", "-c", 'echo "$API_KEY|$DATABASE_URL|$FORKSTACK_RUN"; tr "\\0" " " < /proc/$PPID/cmdline'];
  const { stdout, stderr } = await place.ok("run", "alice", "--secrets", "--", ...show);
  const [values, commandLine] = stdout.split("\n");
  assert.match(
    values!,
    /^of alice canary-0123456789\|file:\/\/.*shop-alice\.db\|alice AWS_ENDPOINT_URL_S3 API_KEY EMPTY$/,
  );
  assert(!`${commandLine}${stderr}`.includes(CANARY), "a process list shows what is in a command line");
  assert.equal((await place.run("run", "alice", "--", "sh", "-c", 'echo "${API_KEY-none}"')).stdout, "none\n");

  const app = await appOf(place, 'console.log(await stack.getSecret("API_KEY"));');
  const before = await place.read(".forkstack/secrets/alice.env");
  assert.equal((await app(["alice", "--secrets"])).stdout, `of alice ${CANARY}\n`);
  const leftOver = { env: { API_KEY: "of somebody else" } };
  assert.equal((await app(["alice", "--secrets"], leftOver)).stdout, `of alice ${CANARY}\n`);
  assert.match((await app(["alice"], leftOver)).stderr, /holds a different value/, "nobody vouches for it");
  assert.equal(await place.read(".forkstack/secrets/alice.env"), before);

  const inner = commandOf(["run", "dev", "--", "env"]);
  const nested = await place.ok("run", "alice", "--secrets", "--", ...inner);
  assert(!nested.stdout.includes(CANARY), "a run in a run takes nothing of the outer one along");
  assert(!nested.stdout.includes("alice"), nested.stdout);

  await place.write(".forkstack/secrets/alice.env", "API_KEY='forkstack-uri:a%00b'\n");
  const refused = await place.run("run", "alice", "--secrets", "--", "true");
  assert.equal(refused.code, 2);
  assert.match(refused.stderr, /^error: Cannot hand secret "API_KEY" to a program/);
});

Deno.test("run says what it cannot do, with a hint and an exit code of its own", async () => {
  await using place = await shop();
  await place.write("plain.sh", "echo hi\n");
  await place.write("lost.sh", "#!/no/such/interpreter\n");
  await chmod(place.path("lost.sh"), 0o755);
  const cases: [args: string[], code: number, says: RegExp, hint: RegExp][] = [
    [["alcie", "--", "true"], 4, /Cannot run in environment "alcie": it does not exist/, /Did you mean "alice"/],
    [["Alice", "--", "true"], 2, /Cannot use "Alice"/, /Use "alice"/],
    [["alice", "--", "no-such-program"], 127, /"no-such-program": there is no such program/, /PATH/],
    [["alice", "--", "./no-such"], 127, /there is no such program/, /looked for in ".*shop"/],
    [["alice", "--", "./lost.sh"], 127, /there is no such program/, /interpreter/],
    [["alice", "--", "echo hi && ls"], 127, /there is no such program/, /sh -c/],
    [["alice", "--", `A=${CANARY}`, "env"], 127, /"A…": there is no such program/, /sh -c/],
    [["alice", "--", "./plain.sh"], 126, /not executable/, /chmod \+x/],
    [["alice", "--", "./.forkstack"], 126, /not executable/, /./],
    [["alice", "true"], 2, /no program was named/, /after --/],
    [["alice", "true", "--verbose"], 2, /no program was named/, /after --/],
    [["alice", "--"], 2, /no program was named/, /after --/],
    [[], 2, /no program was named/, /after --/],
    [["alice", "bob", "--", "true"], 2, /"bob" is one argument too many/, /forkstack run --help/],
    [["--secret", "--", "true"], 2, /no option --secret/, /--secrets/],
    [["--resource", "x", "--secrets", "--", "true"], 2, /declares one without a name/, /--resource/],
  ];
  const before = await place.digest();
  for (const [args, code, says, hint] of cases) {
    const ended = await place.run("run", ...args);
    assert.equal(ended.code, code, `${args.join(" ")}: ${ended.stderr}`);
    assert.equal(ended.stdout, "");
    assert.match(ended.stderr, says);
    assert.match(/^ {2}hint: (.*)/m.exec(ended.stderr)?.[1] ?? "", hint, args.join(" "));
    assert.doesNotMatch(ended.stderr, /This should not happen| {4}at |canary/);
  }
  assert.equal(await place.digest(), before);
  const { stdout, code } = await place.run("run", "--json", "alice", "--", "true");
  assert.deepEqual([JSON.parse(stdout).error.code, code], ["USAGE", 2]);
  await using empty = await Place.make(null);
  assert.match((await empty.run("run", "--", "true")).stderr, /Cannot find forkstack\.json/);
});

/** Changes the registry behind the back of the command line. */
function inRegistry(place: Place, sql: string): void {
  using registry = new DatabaseSync(place.path(".forkstack/registry.db"));
  registry.exec(sql);
}

Deno.test("run and switch refuse an environment that is not complete, or whose lease has ended", async () => {
  await using place = await shop();
  await place.ok("new", "carol", "--ttl", "1h");
  assert.equal((await place.run("run", "carol", "--", "true")).code, 0);
  const sql = (text: string) => inRegistry(place, text);
  sql("UPDATE environments SET expires_at = '2026-01-01T00:00:00.000Z' WHERE name = 'carol'");
  sql("UPDATE environments SET status = 'deleting' WHERE name = 'bob'");
  const expired = await place.run("run", "carol", "--", "true");
  assert.equal(expired.code, 5);
  assert.match(
    expired.stderr,
    /Cannot run in environment "carol": its lease ended 2026-01-01.*\n.*forkstack extend carol/,
  );
  const pointer = await place.read(".current-env");
  for (const args of [["switch", "carol"], ["switch", "carol", "--dry-run"], ["new", "carol"]]) {
    const refused = await place.run(...args);
    assert.equal(refused.code, 5, args.join(" "));
    assert.match(refused.stderr, /Cannot switch to environment "carol": its lease ended.*\n.*forkstack extend carol/);
  }
  assert.equal(await place.read(".current-env"), pointer);
  await place.ok("extend", "carol", "2d");
  await place.ok("switch", "carol");
  const { data: { environments } } = await place.json("list");
  assert.deepEqual(environments.map(({ name }: { name: string }) => name), ["alice", "bob", "carol"]);
  const deleting = await place.run("run", "bob", "--", "true");
  assert.equal(deleting.code, 5);
  assert.match(deleting.stderr, /Cannot run in environment "bob": it is deleting\n {2}hint: Finish with/);
});

Deno.test("run --secrets asks the vendor for them", async () => {
  await using doppler = await startDoppler({ project: "shop", tokens: ["dp.sa.x"] });
  doppler.config("prd")!.secrets.set("API_KEY", `live ${CANARY}`);
  await using place = await Place.make({ secrets: { provider: "doppler", project: "shop", endpoint: doppler.url } });
  const token = { env: { DOPPLER_TOKEN: "dp.sa.x" } };
  const made = await runCommand(place.root, commandOf(["run", "prod", "--secrets", "--", "env"]), token);
  assert.match(made.stdout, new RegExp(`^API_KEY=live ${CANARY}$`, "m"), made.stderr);
  const app = await appOf(place, 'console.log(await stack.getSecret("API_KEY"), stack.getCurrentEnv());');
  const { stdout, stderr } = await app(["prod", "--secrets"], token);
  assert.equal(stdout, `live ${CANARY} prod\n`, stderr);
});

Deno.test("run asks the providers where this machine has no file of an environment", async () => {
  await using place = await shop();
  const expected = await environmentOf(place);
  await rm(place.path(".forkstack/envs/alice.env"));
  const told = await environmentOf(place);
  assert.match(told.FORKSTACK_RUN!, /^alice .*DATABASE_URL/);
  const { FORKSTACK_RUN: _, AWS_ENDPOINT_URL_S3: __, ...rest } = told;
  for (const [name, value] of Object.entries(rest)) assert.equal(value, expected[name], name);
  const app = await appOf(place, "console.log(stack.getDatabaseUrl() === process.env.DATABASE_URL);");
  assert.equal((await app(["alice"])).stdout, "true\n");
  assert.equal(await place.read(".forkstack/envs/alice.env"), undefined);
});

Deno.test("run has a login minted once, and then asks nobody", async () => {
  const token = { env: { TURSO_API_TOKEN: "header.platform.token" } };
  await using turso = await startTurso({ organization: "acme", tokens: { [token.env.TURSO_API_TOKEN]: undefined } });
  turso.add("shop", undefined);
  await using place = await Place.make({
    database: { provider: "turso", organization: "acme", endpoint: turso.url },
    storage: { provider: "local" },
  });
  const app = await appOf(place, "console.log(stack.getDatabaseAuthToken(), stack.getStorageConfig().endpoint);");
  const first = await app(["prod"], token);
  assert.match(first.stdout, /^\S+\.\S+ http:\/\/127\.0\.0\.1:\d+\n$/, first.stderr);
  const { length } = turso.requests;
  const second = await app(["prod"]);
  assert.deepEqual([second.stdout.split(" ")[0], turso.dataTokens.size, turso.requests.length], [
    first.stdout.split(" ")[0],
    1,
    length,
  ], second.stderr);
  assert.equal(await place.read(".current-env"), undefined, "nothing is switched");
});

async function environmentOf(place: Place): Promise<Record<string, string>> {
  const { stdout } = await place.ok("run", "alice", "--", "env");
  return Object.fromEntries(stdout.trim().split("\n").map((line) => line.split(/=(.*)/s).slice(0, 2)));
}

Deno.test("run needs neither network nor registry where this machine has the variables", async () => {
  await using place = await shop();
  await place.write("forkstack.json", JSON.stringify({ project: "shop", registry: { url: "http://127.0.0.1:1" } }));
  const { code, stdout, stderr } = await place.run("run", "alice", "--", "sh", "-c", 'echo "$DATABASE_URL"');
  assert.equal(code, 0, stderr);
  assert.match(stdout, /shop-alice\.db/);
  assert.match(stderr, /The program gets what this machine's files say\n$/);
  assert.equal((await place.run("run", "zoe", "--", "true")).code, 6, "this machine knows nothing of it");
});

Deno.test("run refuses a file of variables that is another environment's", async () => {
  await using place = await shop();
  await place.write(".forkstack/envs/alice.env", (await place.read(".forkstack/envs/bob.env"))!);
  const { code, stdout, stderr } = await place.run("run", "alice", "--", "env");
  assert.deepEqual([code, stdout], [5, ""], stderr);
  assert.match(stderr, /^error: Cannot use the variables of environment "alice".*their file says environment "bob"/);
});

Deno.test("run counts as use, so that `prune --idle` spares the environment", async () => {
  await using place = await shop();
  inRegistry(place, "UPDATE environments SET used_at = '2026-01-01T00:00:00.000Z'");
  await place.ok("run", "alice", "--", "true");
  const { stdout } = await place.ok("prune", "--idle", "1d", "--dry-run");
  assert.match(stdout, /bob/);
  assert.doesNotMatch(stdout, /alice/);
});

testIf(WHY_ROOT, "run runs in a directory that may only be read", async () => {
  await using place = await shop();
  const mode = (how: string) => runCommand(place.root, ["chmod", "-R", how, "."]);
  await mode("a-w");
  const before = await place.digest();
  const command = ["run", "alice", "--", "sh", "-c", "exit 4"];
  const { code, stderr } = await run(place.root, command, { within: WITHOUT_RIGHTS });
  assert.deepEqual([code, stderr], [4, ""]);
  assert.equal(await place.digest(), before);
  await mode("u+w");
});

Deno.test("run as a task of deno.json, as the README has it", async () => {
  await using place = await shop();
  const task = `deno run -q -P=run ${REPOSITORY}cli.ts run`;
  await place.write("deno.json", JSON.stringify({ tasks: { "envs:run": task } }));
  const words = ["a b", "$HOME", "*", "it's", "--json", "--"];
  const command = [
    Deno.execPath(),
    "task",
    "-q",
    "envs:run",
    "alice",
    "--",
    "printf",
    "%s\\n",
    "$FORKSTACK_ENV",
    ...words,
  ];
  const path = `${process.env.PATH}`;
  const { code, stdout, stderr } = await runCommand(place.root, command, { env: { PATH: path } });
  assert.deepEqual([code, stdout.split("\n").slice(0, -1)], [0, ["$FORKSTACK_ENV", ...words]], stderr);
});
