/** `run`, with programs that behave in every way. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseEnvFile } from "../../mod.ts";
import { baseVariables, testIf } from "../helpers.ts";
import { whyMissing } from "../tools.ts";
import { commandOf, Place, run, runCommand, type RunOptions, whyNot } from "./run.ts";
import { beginRun, DETACHED, Running } from "./running.ts";

const PROGRAM = ["python3", fileURLToPath(new URL("program.py", import.meta.url))];
const whyNoProgram = whyMissing("python3") ?? await whyNot(...DETACHED, "true");
/** A shop with the environments alice and bob; bob is current. */
async function shop(config: object = {}): Promise<Place> {
  const place = await Place.make(config);
  await place.ok("new", "alice");
  await place.ok("new", "bob");
  return place;
}

async function valuesOf(place: Place, env: string): Promise<Record<string, string>> {
  return parseEnvFile((await place.read(`.forkstack/envs/${env}.env`))!);
}

/** The environment that a program got; `env -0` writes it. */
async function environmentOf(place: Place, args: string[], options: RunOptions = {}): Promise<Record<string, string>> {
  const { code, stdout, stderr } = await run(place.root, ["run", ...args, "--", "env", "-0"], options);
  assert.equal(code, 0, stderr);
  assert.equal(stderr, "");
  return Object.fromEntries(
    stdout.split("\0").slice(0, -1).map((
      line,
    ) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
  );
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

Deno.test("run gives a program the environment's variables, and changes nothing here", async () => {
  await using place = await shop();
  const [alice, bob] = [await valuesOf(place, "alice"), await valuesOf(place, "bob")];
  const before = await place.digest();
  const leftovers = {
    ...bob,
    DATABASE_URL: "libsql://somewhere-else",
    DATABASE_AUTH_TOKEN: "of somewhere else",
    AWS_PROFILE: "work",
    AWS_SESSION_TOKEN: "of work",
    ENV: "prod",
    FORKSTACK_EXPIRES_AT: "2020-01-01T00:00:00Z",
    MINE: "stays",
  };
  const { PATH: _, ...base } = baseVariables();
  const { PATH, USER, MINE, XDG_STATE_HOME: _state, AWS_ENDPOINT_URL_S3, FORKSTACK_RUN, ...rest } = await environmentOf(
    place,
    ["alice"],
    { env: leftovers },
  );
  assert.deepEqual([USER, MINE, FORKSTACK_RUN], ["tester", "stays", "alice AWS_ENDPOINT_URL_S3"]);
  assert(PATH.includes(process.env.PATH!), PATH);
  assert.match(AWS_ENDPOINT_URL_S3, /^http:\/\/127\.0\.0\.1:\d+$/);
  const { AWS_ENDPOINT_URL_S3: written, ...expected } = alice;
  assert.notEqual(AWS_ENDPOINT_URL_S3, written);
  assert.deepEqual(rest, { ...base, ...expected });
  assert.equal(await place.digest(), before);
  assert.equal((await environmentOf(place, [])).FORKSTACK_ENV, "bob");
  assert.equal((await environmentOf(place, [], { env: { FORKSTACK_ENV: "alice" } })).FORKSTACK_ENV, "alice");
});

Deno.test("run hands on arguments word for word, whatever they look like", async () => {
  await using place = await shop();
  const words = ["--json", "--yes", "--", "-h", "a b", "$HOME", "*", "it's", '"', "", "--no-such-option", "é\n"];
  const { stdout, code } = await place.run("run", "alice", "--", "printf", "%s\\0", ...words);
  assert.deepEqual([stdout.split("\0").slice(0, -1), code], [words, 0]);
});

Deno.test("run ends as the program ends", async () => {
  await using place = await shop();
  const ends = [["exit 0", 0], ["exit 7", 7], ["exit 255", 255], ["kill -SEGV $$", 139], ["kill -9 $$", 137], [
    "kill -INT $$",
    130,
  ]] as const;
  for (const [how, code] of ends) {
    const ended = await place.run("run", "alice", "--", "sh", "-c", `${how}; sleep 60`);
    assert.deepEqual(ended, { code, stdout: "", stderr: "" }, how);
  }
});

testIf(whyNoProgram, "run hands on 100 MB of output and what comes on stdin, to the byte", async () => {
  await using place = await shop();
  const shown = async (args: string[]) => {
    const script = '"$@" | sha256sum';
    return (await runCommand(place.root, ["sh", "-c", script, "sh", ...commandOf(["run", "alice", "--", ...args])]))
      .stdout;
  };
  const size = 1600 * 65536;
  const expected = createHash("sha256");
  for (let n = 0; n < 1600; n++) expected.update("x".repeat(65535) + "\n");
  assert.equal((await shown([...PROGRAM, "print", String(size)])).slice(0, 64), expected.digest("hex"));
  const stdin = "0123456789abcde\n".repeat(65536);
  const echoed = await run(place.root, ["run", "alice", "--", "cat"], { stdin });
  assert.deepEqual([echoed.code, echoed.stdout === stdin], [0, true]);
  const cut = await runCommand(place.root, ["sh", "-c", '"$@" | head -c 5', "sh", ...commandOf(["run", "--", "yes"])]);
  assert.equal(cut.stdout, "y\ny\ny", "a closed pipe ends the program, and run with it");
});

testIf(whyNoProgram, "run hands on every signal, each time that it comes", async () => {
  await using place = await shop();
  const heard = ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1"] as const;
  const running = beginRun(place, "alice", "--", ...PROGRAM, "hear", ...heard);
  const [, pid, parent] = await running.line();
  assert.equal(Number(parent), running.pid, "forkstack is its parent");
  for (const signal of [...heard, ...heard]) {
    running.kill(signal);
    assert.deepEqual(await running.line(), ["heard", signal]);
  }
  running.kill("SIGUSR2");
  assert.equal(await running.ended(), 5);
  assert(!isAlive(Number(pid)));
});

testIf(whyNoProgram, "run goes on with a program that ignores SIGTERM, until it ends or is killed", async () => {
  await using place = await shop();
  const running = beginRun(place, "alice", "--", ...PROGRAM, "ignore", "SIGTERM", "SIGINT", "SIGHUP");
  await running.line();
  for (const signal of ["SIGTERM", "SIGINT", "SIGTERM", "SIGINT", "SIGHUP"] as const) running.kill(signal);
  running.kill("SIGUSR2"); // comes after them, for they are handed on in order
  assert.equal(await running.ended(), 5);

  const stubborn = beginRun(place, "alice", "--", ...PROGRAM, "ignore", "SIGTERM");
  const [, pid] = await stubborn.line();
  stubborn.kill("SIGTERM");
  process.kill(Number(pid), "SIGKILL");
  assert.equal(await stubborn.ended(), 137);
});

testIf(whyNoProgram, "run leaves ignored what it was begun to ignore, as nohup does", async () => {
  await using place = await shop();
  const deaf = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh"];
  const command = [...DETACHED, ...deaf, ...commandOf(["run", "alice", "--", ...PROGRAM, "hear"])];
  const running = new Running(place.root, command);
  await running.line();
  running.kill("SIGHUP");
  running.kill("SIGUSR2");
  assert.equal(await running.ended(), 5);
});

testIf(whyNoProgram, "run does not wait for grandchildren", async () => {
  await using place = await shop();
  const running = beginRun(place, "alice", "--", ...PROGRAM, "fork");
  const [, pid] = await running.line();
  assert.equal(await running.ended(), 3);
  assert(isAlive(Number(pid)));
  process.kill(Number(pid), "SIGKILL");
});

testIf(whyNoProgram, "run, killed, leaves the program running and nothing behind", async () => {
  await using place = await shop();
  await place.ok("run", "alice", "--", "true");
  const before = await place.digest();
  const running = beginRun(place, "alice", "--", ...PROGRAM, "hear", "SIGTERM");
  const [, pid] = await running.line();
  running.kill("SIGKILL");
  assert.equal(await running.ended(), -137);
  assert(isAlive(Number(pid)));
  process.kill(Number(pid), "SIGKILL");
  assert.equal(await place.digest(), before);
});
