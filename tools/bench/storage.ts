/** Cost of a local bucket's fork compared with `cp -al`, and speed of the S3 server compared with s3rver. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { GetObjectCommand, PutObjectCommand, type S3Client } from "npm:@aws-sdk/client-s3@3.1162.0";
import { Bucket } from "../../core/s3/bucket.ts";
import { clientOf, someBytes } from "../../tests/emulators/s3_checks.ts";
import type { S3Server } from "../../tests/emulators/s3rver.ts";
import { type Benchmark, forkstack, inTurns, median, REPO, type Result, run, shown } from "./measure.ts";

const OBJECTS = 100_000;

async function bucketWith(root: string, count: number): Promise<string> {
  const directory = join(root, ".forkstack", "buckets", "bench-bucket-dev");
  mkdirSync(directory, { recursive: true });
  const bucket = new Bucket("bench-bucket-dev", directory);
  async function* body() {
    yield new Uint8Array(100);
  }
  for (let at = 0; at < count; at++) {
    const meta = { etag: "0".repeat(32), modifiedAt: 0, headers: {} };
    await bucket.put(`covers/${Math.floor(at / 1000)}/${at}.jpg`, body(), () => meta);
  }
  return directory;
}

/** Returns the bytes on disk; a file with two names counts once. */
const blocks = (...paths: string[]) =>
  Number(run("du", ["-sc", "--block-size=1", ...paths], "/").trim().split("\n").at(-1)!.split("\t")[0]);
const directoryBlocks = (path: string) =>
  run("find", [path, "-type", "d", "-printf", "%b\n"], "/").trim().split("\n").reduce(
    (sum, n) => sum + Number(n) * 512,
    0,
  );

export const storageBenchmarks: readonly Benchmark[] = [
  {
    name: "storage: fork of 100,000 objects",
    async run(work) {
      const root = mkdtempSync(join(work, "bucket-"));
      const config = { project: "bench", storage: { provider: "local" } };
      writeFileSync(join(root, "forkstack.json"), JSON.stringify(config));
      const parent = await bucketWith(root, OBJECTS);
      const copy = join(root, "copy");
      const plain: number[] = [], ours: number[] = [];
      let added = 0;
      for (let round = -1; round < 5; round++) {
        run("sync", [], "/");
        const began = performance.now();
        run("cp", ["-al", parent, copy], root);
        const took = performance.now() - began;
        rmSync(copy, { recursive: true });
        run("sync", [], "/");
        const answer = JSON.parse(forkstack(root, "new", "alice", "--no-switch", "--json"));
        if (round >= 0) {
          plain.push(took);
          ours.push(answer.data.durationMs);
        }
        const fork = join(root, ".forkstack", "buckets", "bench-bucket-alice");
        added = blocks(parent, fork) - blocks(parent) - directoryBlocks(fork);
        forkstack(root, "delete", "alice", "--yes");
      }
      rmSync(root, { recursive: true });
      const [one, other] = [median(ours), median(plain)];
      return [{
        name: "fork: `new` with a local bucket of 100,000 objects, beyond process start",
        ours: `${shown(one)}, ${added} bytes of data added`,
        against: `cp -al ${shown(other)}`,
        ratio: added === 0 ? one / other : Number.NaN,
        limit: { atMost: 1.2 },
      }];
    },
  },
  {
    name: "storage: S3 server against s3rver",
    async run() {
      run("sync", [], "/"); // what other benchmarks wrote would be in the way
      const ours = await served("serveS3({ buckets: ['bench'] })", "s3_local.ts");
      const theirs = await served("startS3rver(['bench'], { asItIs: true })", "s3rver.ts");
      const clients = [ours, theirs].map(({ server }) => clientOf(server));
      const results: Result[] = [];
      for (const [what, size, count, rounds] of [["1 KiB", 1024, 200, 9], ["100 MiB", 100 * 2 ** 20, 1, 41]] as const) {
        const Body = someBytes(size);
        for (const verb of ["put", "get"] as const) {
          const [one, other] = await inTurns(rounds, clients.map((client) => () => times(client, verb, Body, count)));
          results.push({
            name: `S3 server: ${verb} of ${what} through the AWS SDK`,
            ours: shown(one / count),
            against: `s3rver ${shown(other / count)}`,
            ratio: one / other,
            limit: { atMost: 1 },
          });
        }
      }
      for (const client of clients) client.destroy();
      for (const { child } of [ours, theirs]) child.kill();
      return results;
    },
  },
];

/** Starts a server in its own process, as in real use; both by the same runtime. */
export async function served(start: string, file: string): Promise<{ server: S3Server; child: ChildProcess }> {
  const url = new URL(`../../tests/emulators/${file}`, import.meta.url);
  const code = `import * as m from "${url}"; const { endpoint, region, credentials } = await m.${start};
    console.log(JSON.stringify({ endpoint, region, credentials }))`;
  const args = ["run", "-q", "-c", join(REPO, "deno.json"), "-A", "--ext=ts", "-"];
  const child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"], cwd: REPO });
  child.stdin!.end(code);
  const [line] = await once(child.stdout!, "data");
  return { server: JSON.parse(String(line)), child };
}

async function times(client: S3Client, verb: "put" | "get", Body: Uint8Array, count: number): Promise<void> {
  for (let at = 0; at < count; at++) {
    const at1 = { Bucket: "bench", Key: `objects/${at}` };
    if (verb === "put") await client.send(new PutObjectCommand({ ...at1, Body }));
    else await (await client.send(new GetObjectCommand(at1))).Body!.transformToByteArray();
  }
}
