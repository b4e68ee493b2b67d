/**
 * What the provider `local` promises of a bucket that is served: forks by links that nobody can tell from copies.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import * as s3 from "npm:@aws-sdk/client-s3@3.1162.0";
import { getSignedUrl } from "npm:@aws-sdk/s3-request-presigner@3.1162.0";
import { files } from "../../../core/system/files.ts";
import provider from "../../../providers/storage/local.ts";
import { clientOf, HOSTILE_KEYS, inOrder } from "../../emulators/s3_checks.ts";
import { type S3Local, serveS3 } from "../../emulators/s3_local.ts";
import { mountImage, run, temporaryDirectory, testIf, treeOf, whyNoMount } from "../../helpers.ts";
import { Place } from "../../providers/_special.ts";
import { Dice } from "../../simulation/random.ts";

const [DEV, ALICE] = ["myapp-bucket-dev", "myapp-bucket-alice"];

interface Served extends AsyncDisposable {
  readonly place: Place;
  readonly server: S3Local;
  readonly client: s3.S3Client;
}

/** A project with a served parent. */
async function serveProject(root: string): Promise<Served> {
  const place = new Place(provider as never, root);
  fs.mkdirSync(place.pathOf("dev"), { recursive: true });
  const server = await serveS3({ directory: join(root, ".forkstack", "buckets") });
  const client = clientOf(server);
  return {
    place,
    server,
    client,
    async [Symbol.asyncDispose]() {
      client.destroy();
      await server[Symbol.asyncDispose]();
    },
  };
}

function put(
  { client }: Served,
  Bucket: string,
  Key: string,
  Body: string,
  more: Partial<s3.PutObjectCommandInput> = {},
) {
  return client.send(new s3.PutObjectCommand({ Bucket, Key, Body, ...more }));
}

/** Every object with its bytes and what is known of it. */
async function contentOf({ client }: Served, Bucket: string): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for await (const { Contents = [] } of s3.paginateListObjectsV2({ client }, { Bucket })) {
    for (const { Key } of Contents) {
      const { Body, ETag, ContentType, Metadata, LastModified } = await client.send(
        new s3.GetObjectCommand({ Bucket, Key }),
      );
      found.set(Key!, JSON.stringify([await Body!.transformToString(), ETag, ContentType, Metadata, LastModified]));
    }
  }
  return found;
}

Deno.test("hostile keys and empty objects survive a fork unchanged, and nothing leaves the bucket", async () => {
  using directory = temporaryDirectory();
  await using served = await serveProject(directory.path);
  const beside = new Map([...treeOf(directory.path)]);
  for (const Key of HOSTILE_KEYS) {
    await put(served, DEV, Key, `of ${Key}`, { ContentType: "text/x-odd", Metadata: { a: "1" } });
  }
  await put(served, DEV, "empty", "");
  const outside = [...treeOf(directory.path).keys()].filter((path) => !beside.has(path) && !path.includes(DEV));
  assert.deepEqual(outside, []);
  const before = await contentOf(served, DEV);
  assert.deepEqual([...before.keys()], inOrder([...HOSTILE_KEYS, "empty"]));
  const fork = await served.place.create();
  assert.equal(fork.copy, "copy-on-write");
  assert.deepEqual(await contentOf(served, ALICE), before);
  assert.deepEqual(await contentOf(served, DEV), before);
  assert.equal(await served.place.delete(fork), "deleted");
  assert.deepEqual(await contentOf(served, DEV), before);
});

Deno.test("random puts, overwrites and deletes in parent and fork: neither sees the other's", async () => {
  for (let seed = 0; seed < 6; seed++) {
    const dice = new Dice(seed);
    using directory = temporaryDirectory();
    await using served = await serveProject(directory.path);
    const keys = ["a", "a/b", "a/b/c", "x y", "plain/1", "plain/2", "%"];
    const model = { [DEV]: new Map<string, string>(), [ALICE]: new Map<string, string>() };
    const step = async (at: number, bucket: string) => {
      const key = keys[dice.int(`key ${at}`, 0, keys.length - 1)];
      const value = `${seed}.${at}`;
      const path = join(directory.path, ".forkstack", "buckets", bucket, key);
      if (dice.chance(`delete ${at}`, 0.3)) {
        await served.client.send(new s3.DeleteObjectCommand({ Bucket: bucket, Key: key }));
        model[bucket].delete(key);
      } else if (key.startsWith("plain/") && dice.chance(`plain ${at}`, 0.5)) {
        fs.mkdirSync(join(path, ".."), { recursive: true }); // an application that knows nothing of S3, in place
        fs.writeFileSync(path, value);
        model[bucket].set(key, value);
      } else {
        await put(served, bucket, key, value);
        model[bucket].set(key, value);
      }
    };
    const check = async (bucket: string) => {
      const found = [...await contentOf(served, bucket)].map(([key, text]) => [key, JSON.parse(text)[0]]);
      assert.deepEqual(
        found,
        inOrder([...model[bucket].keys()]).map((key) => [key, model[bucket].get(key)]),
        `seed ${seed}`,
      );
    };
    for (let at = 0; at < 30; at++) await step(at, DEV);
    await served.place.create();
    model[ALICE] = new Map(model[DEV]);
    for (let at = 30; at < 90; at++) await step(at, dice.chance(`where ${at}`, 0.5) ? DEV : ALICE);
    await check(DEV);
    await check(ALICE);
  }
});

testIf(await whyNoMount("ext4", 64), "a fork on ext4 adds no data blocks, whatever the objects hold", async () => {
  await using mount = await mountImage("ext4", 64);
  await using served = await serveProject(mount.path);
  for (let at = 0; at < 5; at++) await put(served, DEV, `big/${at}`, "x".repeat(2 * 2 ** 20));
  const used = async () => Number((await run("du", ["-s", "--block-size=1", mount.path])).stdout.split("\t")[0]);
  const before = await used();
  await served.place.create();
  const directories = Number((await run("find", [mount.path, "-type", "d"])).stdout.split("\n").length);
  assert(await used() - before < directories * 4096 + 16_384, `${await used() - before} bytes were added`);
  await put(served, ALICE, "big/0", "mine");
  assert.equal(JSON.parse((await contentOf(served, DEV)).get("big/0")!)[0].length, 2 * 2 ** 20);
});

Deno.test("a fork that is made while the parent is written to has whole objects alone", async () => {
  using directory = temporaryDirectory();
  await using served = await serveProject(directory.path);
  const value = (n: number) => `${n}:`.repeat(20_000);
  for (let at = 0; at < 40; at++) await put(served, DEV, `k/${at}`, value(0), { ContentType: "text/0" });
  let isDone = false;
  const writer = (async () => {
    for (let n = 1; !isDone; n++) {
      await put(served, DEV, `k/${n % 40}`, value(n), { ContentType: `text/${n}` });
      if (n % 3 === 0) await served.client.send(new s3.DeleteObjectCommand({ Bucket: DEV, Key: `k/${(n * 7) % 40}` }));
    }
  })();
  for (const env of ["a", "b", "c", "d"]) {
    await served.place.create(env);
    for (const [key, text] of await contentOf(served, `myapp-bucket-${env}`)) {
      const [body, , type] = JSON.parse(text);
      assert.equal(body, value(Number(type.slice("text/".length))), `${key} and its metadata are of one writing`);
    }
  }
  isDone = true;
  await writer;
});

Deno.test("files that an application wrote itself are objects; a link is none, wherever it leads", async () => {
  using directory = temporaryDirectory();
  await using served = await serveProject(directory.path);
  const bucket = served.place.pathOf("dev");
  fs.mkdirSync(join(bucket, "covers"));
  fs.writeFileSync(join(bucket, "covers", "1.jpg"), "one");
  fs.writeFileSync(join(directory.path, "secret"), "secret");
  fs.mkdirSync(join(directory.path, "outside"));
  fs.writeFileSync(join(directory.path, "outside", "x"), "secret");
  fs.symlinkSync(join(directory.path, "secret"), join(bucket, "link"));
  fs.symlinkSync(join(directory.path, "outside"), join(bucket, "way"));
  await put(served, DEV, "covers/2.jpg", "two");
  const store = join(bucket, ".forkstack-s3", "objects");
  fs.symlinkSync(join(directory.path, "secret"), join(store, "stored"));
  fs.symlinkSync(join(directory.path, "outside"), join(store, "stored%"));
  assert.deepEqual([...(await contentOf(served, DEV)).keys()], ["covers/1.jpg", "covers/2.jpg"]);
  for (const Key of ["link", "way/x", "stored", "stored/x"]) {
    await assert.rejects(served.client.send(new s3.GetObjectCommand({ Bucket: DEV, Key })), { name: "NoSuchKey" });
  }
  await put(served, DEV, "covers/1.jpg", "through S3");
  assert.equal(JSON.parse((await contentOf(served, DEV)).get("covers/1.jpg")!)[0], "through S3");
  fs.writeFileSync(join(bucket, "covers", "1.jpg"), "by hand again");
  assert.equal(JSON.parse((await contentOf(served, DEV)).get("covers/1.jpg")!)[0], "by hand again");
  await served.client.send(new s3.DeleteObjectCommand({ Bucket: DEV, Key: "covers/1.jpg" }));
  assert.deepEqual([...(await contentOf(served, DEV)).keys()], ["covers/2.jpg"]);
  assert.equal(fs.readFileSync(join(directory.path, "secret"), "utf8"), "secret");
});

Deno.test("an upload that is cut off leaves no object, and the old one as it was", async () => {
  using directory = temporaryDirectory();
  await using served = await serveProject(directory.path);
  await put(served, DEV, "k", "old");
  const command = new s3.PutObjectCommand({ Bucket: DEV, Key: "k" });
  const url = new URL(await getSignedUrl(served.client, command, { unhoistableHeaders: new Set() }));
  const socket = connect(Number(url.port), "127.0.0.1");
  const head = `PUT ${url.pathname}${url.search} HTTP/1.1\r\nhost: ${url.host}\r\ncontent-length: 1000000\r\n\r\n`;
  socket.write(head + "x".repeat(500_000));
  const tmp = join(served.place.pathOf("dev"), ".forkstack-s3", "tmp");
  const until = async (count: number) => {
    for (let at = 0; fs.readdirSync(tmp).length !== count; at++) {
      assert(at < 5_000, `${fs.readdirSync(tmp).length} temporary files`);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  };
  await until(1);
  socket.destroy();
  await until(0);
  assert.equal(JSON.parse((await contentOf(served, DEV)).get("k")!)[0], "old");
});

testIf(await whyNoMount("tmpfs", 2), "a full disk is an error, and leaves no half object", async () => {
  await using mount = await mountImage("tmpfs", 2);
  await using served = await serveProject(mount.path);
  await put(served, DEV, "k", "old");
  const before = treeOf(mount.path);
  const large = { Bucket: DEV, Key: "k", Body: new Uint8Array(4 * 2 ** 20) };
  await assert.rejects(served.client.send(new s3.PutObjectCommand(large)), { name: "InsufficientStorage" });
  assert.deepEqual(treeOf(mount.path), before);
  assert.equal(JSON.parse((await contentOf(served, DEV)).get("k")!)[0], "old");
});

Deno.test("a stream of 200 MiB is taken and given in bounded memory", async () => {
  const script = fileURLToPath(new URL("./_memory_child.ts", import.meta.url));
  const child = spawn(process.execPath, ["run", "--quiet", "--no-check", "--allow-all", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [line] = await once(child.stdout, "data");
  const { endpoint, region, credentials, directory } = JSON.parse(String(line));
  const client = clientOf({ endpoint, region, credentials } as S3Local);
  const size = 200 * 2 ** 20;
  const at = { Bucket: "big", Key: "k" };
  const [up, down] = [
    await getSignedUrl(client, new s3.PutObjectCommand(at)),
    await getSignedUrl(client, new s3.GetObjectCommand(at)),
  ];
  let sent = 0;
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (sent === size) return controller.close();
      sent += 2 ** 20;
      controller.enqueue(new Uint8Array(2 ** 20));
    },
  });
  const stored = await fetch(up, { method: "PUT", body, headers: { "content-length": String(size) } });
  assert.equal(stored.status, 200, await stored.text());
  let received = 0;
  for await (const piece of (await fetch(down)).body!) received += piece.length;
  assert.equal(received, size);
  const { stdout } = await run("cat", [`/proc/${child.pid}/status`]);
  const peak = Number(/VmHWM:\s+(\d+)/.exec(stdout)![1]) / 1024;
  client.destroy();
  child.kill("SIGKILL");
  await once(child, "close");
  fs.rmSync(directory, { recursive: true });
  assert(peak < 256, `${peak} MiB at most`);
});

Deno.test("files.share() links, and leaves out what goes away meanwhile", async () => {
  using directory = temporaryDirectory();
  const [from, to] = ["from", "to"].map((name) => join(directory.path, name));
  fs.mkdirSync(join(from, "a%"), { recursive: true });
  fs.writeFileSync(join(from, "a%", "-b c"), "x", { mode: 0o444 });
  assert.equal(await files.share(from, to), "copy-on-write");
  assert.deepEqual(treeOf(to), treeOf(from));
  assert.equal(fs.statSync(join(to, "a%", "-b c")).ino, fs.statSync(join(from, "a%", "-b c")).ino);
  await assert.rejects(files.share(join(directory.path, "nothing"), join(directory.path, "other")), { code: "ENOENT" });
});
