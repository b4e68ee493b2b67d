/** A copy between two buckets of one S3 server, beside rclone on the same server with the same parallelism. */
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import {
  DeleteBucketCommand,
  DeleteObjectsCommand,
  ListObjectsV2Command,
  type S3Client,
} from "npm:@aws-sdk/client-s3@3.1162.0";
import { httpClient } from "../../core/http/client.ts";
import { Bucket } from "../../core/s3/bucket.ts";
import provider from "../../providers/storage/s3.ts";
import { clientOf, PARENT, shopOf, titleOf } from "../../tests/providers/_s3.ts";
import { type Benchmark, inTurns, run, shown } from "./measure.ts";
import { served } from "./storage.ts";

const OBJECTS = Number(process.env.FORKSTACK_BENCH_OBJECTS ?? 20_000);
const LANES = "8";

async function fill(directory: string): Promise<void> {
  const root = join(directory, PARENT);
  mkdirSync(root, { recursive: true });
  const bucket = new Bucket(PARENT, root);
  for (let at = 0; at < OBJECTS; at++) {
    const meta = { etag: "6d0bb00954ceb7fbee436bb55a8397a9", modifiedAt: Date.now() - 60_000, headers: {} };
    await bucket.put(`covers/${Math.floor(at / 1000)}/${at}.jpg`, new Blob([new Uint8Array(100)]).stream(), () => meta);
  }
}

async function empty(client: S3Client, name: string): Promise<void> {
  for (;;) {
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: name }));
    if (Contents.length === 0) return void await client.send(new DeleteBucketCommand({ Bucket: name }));
    const Objects = Contents.map(({ Key }) => ({ Key }));
    await client.send(new DeleteObjectsCommand({ Bucket: name, Delete: { Objects, Quiet: true } }));
  }
}

export const copyBenchmarks: readonly Benchmark[] = [{
  name: "storage: copy of 20,000 objects beside rclone",
  async run(work) {
    const name = `storage: copy of ${OBJECTS.toLocaleString("en")} small objects between buckets of one S3 server`;
    if (spawnSync("rclone", ["version"]).status !== 0) return [{ name, reason: "there is no rclone" }];
    const directory = join(work, "copy");
    await fill(directory);
    const { server, child } = await served(`serveS3({ directory: ${JSON.stringify(directory)} })`, "s3_local.ts");
    const client = clientOf(server);
    const { endpoint, credentials: { accessKeyId, secretAccessKey } } = server;
    const keys = { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey };
    const shop = shopOf(provider, keys, { endpoint, fork: "copy", mark: "object" });
    delete process.env.AWS_CA_BUNDLE; // rclone can't load one, and needs none here
    Object.assign(process.env, {
      RCLONE_CONFIG_ONE_TYPE: "s3",
      RCLONE_CONFIG_ONE_PROVIDER: "Other",
      RCLONE_CONFIG_ONE_ENDPOINT: endpoint,
      RCLONE_CONFIG_ONE_ACCESS_KEY_ID: accessKeyId,
      RCLONE_CONFIG_ONE_SECRET_ACCESS_KEY: secretAccessKey,
    });
    const flags = ["--transfers", LANES, "--checkers", LANES, "--config", "/dev/null"];
    const timed = (copy: () => unknown) => async () => {
      const began = performance.now();
      await copy();
      const took = performance.now() - began;
      await empty(client, titleOf("alice"));
      return took;
    };
    const [one, other] = await inTurns(5, [
      timed(() => shop.create(shop.target("alice"), shop.context({ fetch: httpClient() }))),
      timed(() => run("rclone", ["sync", `one:${PARENT}`, `one:${titleOf("alice")}`, ...flags], work)),
    ]);
    client.destroy();
    child.kill();
    rmSync(directory, { recursive: true });
    return [{ name, ours: shown(one), against: `rclone ${shown(other)}`, ratio: one / other, limit: { atMost: 1 } }];
  },
}];
