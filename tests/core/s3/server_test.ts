import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import process from "node:process";
import { GetObjectCommand, PutObjectCommand } from "npm:@aws-sdk/client-s3@3.1162.0";
import { Bucket } from "../../../core/s3/bucket.ts";
import { clientOf, runChecks, someBytes } from "../../emulators/s3_checks.ts";
import { serveS3 } from "../../emulators/s3_local.ts";
import { startS3rver } from "../../emulators/s3rver.ts";
import { temporaryDirectory } from "../../helpers.ts";

Deno.test("S3, by the real SDK, on our own server", async (t) => {
  await using server = await serveS3();
  await runChecks(server, (name, fn) => t.step(name, fn));
});

Deno.test("the same checks on s3rver, which nobody here wrote", async (t) => {
  await using server = await startS3rver();
  await runChecks(server, (name, fn, { s3rver }) => {
    const reason = s3rver === undefined ? "" : ` (skipped: ${s3rver})`;
    return t.step({ name: name + reason, fn, ignore: s3rver !== undefined });
  });
});

Deno.test("of a large object exactly what is asked for is sent, and no file stays open", async () => {
  await using server = await serveS3({ buckets: ["shop"] });
  const client = clientOf(server);
  const at = { Bucket: "shop", Key: "large" };
  const Body = someBytes(5 * 2 ** 20 + 7);
  await client.send(new PutObjectCommand({ ...at, Body }));
  const got = async (Range?: string) =>
    await (await client.send(new GetObjectCommand({ ...at, Range }))).Body!.transformToByteArray();
  assert.deepEqual(await got(), Body);
  for (const [start, end] of [[0, 2 ** 20], [3, 3 * 2 ** 20], [2 ** 20, Body.length - 1], [9, 9]] as const) {
    assert.deepEqual(await got(`bytes=${start}-${end}`), Body.subarray(start, end + 1));
  }
  const { Body: half } = await client.send(new GetObjectCommand(at));
  (half as unknown as { destroy(): void }).destroy(); // the application goes away
  client.destroy();
  if (process.platform !== "linux") return;
  for (let tries = 0; hasOpen(server.directory) && tries < 100; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.equal(hasOpen(server.directory), false);
});

/** Whether this process has a file below a directory open; Deno shows it to no test, so that another program looks. */
function hasOpen(directory: string): boolean {
  const { stdout, error } = spawnSync("find", [`/proc/${process.pid}/fd`, "-lname", `${directory}/*`]);
  if (error !== undefined) throw error; // what it says on stderr: others were closed as it looked at them
  return stdout.length > 0;
}

Deno.test("an object that is replaced or deleted between its opening and its sending is sent as it was", async () => {
  using root = temporaryDirectory("forkstack-s3-");
  const bucket = new Bucket("shop", root.path);
  const put = (bytes: Uint8Array) =>
    bucket.put(
      "large",
      new Blob([bytes as BlobPart]).stream(),
      () => ({ etag: "0".repeat(32), modifiedAt: 0, headers: {} }),
    );
  const before = someBytes(3 * 2 ** 20);
  for (const change of [() => put(new Uint8Array(4 * 2 ** 20)), () => bucket.delete("large")]) {
    await put(before);
    const found = bucket.need("large");
    await change();
    assert.deepEqual(await new Response(found.read(0, before.length)).bytes(), before);
  }
});
