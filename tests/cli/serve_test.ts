/** `serve`, as a process of its own, with the variables that an application gets. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";
import process from "node:process";
import * as s3 from "npm:@aws-sdk/client-s3@3.1162.0";
import { parseEnvFile } from "../../mod.ts";
import { commandOf, Place } from "./run.ts";

/** Starts `serve`; gives what it says first, and ends it with Ctrl-C. */
async function serve(root: string, ...args: string[]) {
  const [program, ...options] = commandOf(["serve", ...args]);
  const child = spawn(program, options, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
  const closed = once(child, "close");
  let said = "", out = "";
  child.stdout.on("data", (data) => out += data);
  child.stderr.on("data", (data) => said += data);
  for (let at = 0; !/Ctrl-C ends it\n/.test(said) && child.exitCode === null; at++) {
    assert(at < 60, `it never began: ${said}`);
    await Promise.race([once(child.stderr, "data"), closed]);
  }
  return {
    said: () => said,
    endpoint: /at (http:\S+?)[;,]/.exec(said)?.[1],
    async stop() {
      if (child.exitCode === null) process.kill(child.pid!, "SIGINT");
      const [code] = await closed;
      return { code, out };
    },
  };
}

Deno.test("serve opens an environment's buckets to its own key, and to no other", async () => {
  const config = { project: "shop", storage: { uploads: { provider: "local" }, assets: { provider: "local" } } };
  await using place = await Place.make(config);
  for (const env of ["alice", "bob"]) assert.equal((await place.run("new", env)).code, 0);
  const server = await serve(place.path("."), "--port", "0");
  assert.match(server.said(), /The environments' variables name another port: the app needs AWS_ENDPOINT_URL_S3=/);
  const variablesOf = async (env: string) => parseEnvFile((await place.read(`.forkstack/envs/${env}.env`))!);
  const clientOf = (variables: Record<string, string>, changed = {}) =>
    new s3.S3Client({
      endpoint: server.endpoint,
      region: variables.UPLOADS_AWS_REGION,
      maxAttempts: 1,
      credentials: {
        accessKeyId: variables.UPLOADS_AWS_ACCESS_KEY_ID,
        secretAccessKey: variables.UPLOADS_AWS_SECRET_ACCESS_KEY,
        ...changed,
      },
    });
  const alice = await variablesOf("alice");
  assert.deepEqual(
    [alice.UPLOADS_BUCKET_NAME, alice.UPLOADS_AWS_ENDPOINT_URL_S3, alice.UPLOADS_AWS_REGION],
    ["shop-uploads-bucket-alice", "http://127.0.0.1:7833", "us-east-1"],
  );
  const client = clientOf(alice);
  const put = (client: s3.S3Client, Bucket: string) =>
    client.send(new s3.PutObjectCommand({ Bucket, Key: "k", Body: "of alice" }));
  for (const name of ["uploads", "assets"]) await put(client, `shop-${name}-bucket-alice`);
  const { Buckets } = await client.send(new s3.ListBucketsCommand({}));
  assert.deepEqual(Buckets!.map(({ Name }) => Name), ["shop-assets-bucket-alice", "shop-uploads-bucket-alice"]);
  for (const other of ["shop-uploads-bucket-bob", "shop-uploads-bucket-dev", "nothing", ".."]) {
    await assert.rejects(put(client, other), { name: "AccessDenied" }, other);
  }
  const CopySource = "shop-uploads-bucket-bob/k";
  const copy = new s3.CopyObjectCommand({ Bucket: "shop-uploads-bucket-alice", Key: "x", CopySource });
  await assert.rejects(client.send(copy), { name: "AccessDenied" });
  const make = new s3.CreateBucketCommand({ Bucket: "shop-uploads-bucket-alice" });
  await assert.rejects(client.send(make), { name: "BucketAlreadyOwnedByYou" });
  const forged = clientOf(alice, { accessKeyId: "shop-uploads-bucket-bob" });
  await assert.rejects(put(forged, "shop-uploads-bucket-bob"), { name: "SignatureDoesNotMatch" });
  const unknown = clientOf(alice, { accessKeyId: "nobody" });
  await assert.rejects(put(unknown, "shop-uploads-bucket-bob"), { name: "InvalidAccessKeyId" });

  assert.equal((await place.run("new", "carol", "--from", "alice")).code, 0);
  const carol = await variablesOf("carol");
  const inCarol = clientOf(carol);
  const { Body } = await inCarol.send(new s3.GetObjectCommand({ Bucket: carol.UPLOADS_BUCKET_NAME, Key: "k" }));
  assert.equal(await Body!.transformToString(), "of alice", "a fork that was made while it is served");

  assert.equal((await place.run("delete", "alice", "--yes")).code, 0);
  const gone = { name: /^(NoSuchBucket|SignatureDoesNotMatch)$/ }; // the latter once the server no longer remembers it
  await assert.rejects(put(client, "shop-uploads-bucket-alice"), gone);
  assert.equal((await place.run("new", "alice")).code, 0);
  assert.notEqual((await variablesOf("alice")).UPLOADS_AWS_SECRET_ACCESS_KEY, alice.UPLOADS_AWS_SECRET_ACCESS_KEY);
  for (const one of [client, forged, unknown, inCarol]) one.destroy();
  assert.deepEqual(await server.stop(), { code: 0, out: "Stopped serving\n" });
});

Deno.test("serve makes a base environment's bucket, which nobody else makes, and takes large objects", async () => {
  await using place = await Place.make({ project: "shop" });
  assert.equal((await place.run("switch", "dev")).code, 0);
  const server = await serve(place.path("."), "--port=0");
  const variables = parseEnvFile((await place.read(".env.local"))!);
  const client = new s3.S3Client({
    endpoint: server.endpoint,
    region: variables.AWS_REGION,
    credentials: { accessKeyId: variables.AWS_ACCESS_KEY_ID, secretAccessKey: variables.AWS_SECRET_ACCESS_KEY },
  });
  await client.send(new s3.PutObjectCommand({ Bucket: variables.BUCKET_NAME, Key: "k", Body: "x" }));
  const large = new Uint8Array(20 * 2 ** 20); // its MD5 is computed in a thread of its own, which every runtime must find
  const { ETag } = await client.send(new s3.PutObjectCommand({ Bucket: variables.BUCKET_NAME, Key: "l", Body: large }));
  assert.equal(ETag, `"${createHash("md5").update(large).digest("hex")}"`);
  client.destroy();
  assert.equal((await server.stop()).code, 0);
});

Deno.test("serve says what keeps it from serving", async () => {
  await using place = await Place.make({ project: "shop" });
  const holder = createServer().listen(0, "127.0.0.1");
  await once(holder, "listening");
  const { port } = holder.address() as { port: number };
  const taken = await serve(place.path("."), "--port", String(port));
  assert.equal((await taken.stop()).code, 5);
  assert.match(taken.said(), new RegExp(`error: Cannot serve the buckets at 127.0.0.1:${port}: the port is in use`));
  assert.match(taken.said(), /hint: .*--port/);
  holder.close();
  const wrong = await serve(place.path("."), "--port", "http");
  assert.equal((await wrong.stop()).code, 2);
  assert.match(wrong.said(), /"http" is not a port/);
  for (const origin of ["*", "null", "localhost:5173", "http://localhost:5173/", "ftp://a", "http://A.example"]) {
    const refused = await serve(place.path("."), "--port", "0", "--cors", "http://localhost:5173", "--cors", origin);
    assert.equal((await refused.stop()).code, 2, origin);
    assert.match(refused.said(), /hint: For example `.*serve --cors http:\/\/localhost:5173`/);
  }
});

Deno.test("serve --cors lets pages of the origins that it names ask, and no others", async () => {
  await using place = await Place.make({ project: "shop" });
  const [named, other] = ["http://localhost:5173", "https://app.test"];
  const server = await serve(place.path("."), "--port", "0", "--cors", named, "--cors", other);
  for (const [origin, status] of [[named, 204], [other, 204], ["http://localhost:3000", 403]] as const) {
    const headers = { origin, "access-control-request-method": "PUT" };
    const answer = await fetch(`${server.endpoint}/shop-bucket-dev/k`, { method: "OPTIONS", headers });
    await answer.body?.cancel();
    assert.deepEqual(
      [answer.status, answer.headers.get("access-control-allow-origin")],
      [status, status === 204 ? origin : null],
    );
  }
  assert.equal((await server.stop()).code, 0);
});
