/** Real servers that speak S3 as the conformance suite wants them: each world fills a server anew, and empties it. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import * as s3 from "npm:@aws-sdk/client-s3@3.1162.0";
import { Secret } from "../../core/provider.ts";
import { copyObjects } from "../../providers/_shared/s3_copy.ts";
import { Store } from "../../providers/_shared/s3_client.ts";
import { httpClient } from "../../core/http/client.ts";
import provider from "../../providers/storage/s3.ts";
import { type Emulator, type Suite, testProvider, WITHOUT_FAULTS, type World } from "../conformance.ts";
import { S3_PROGRAMS, startS3Program } from "../emulators/s3_servers.ts";
import type { S3Server } from "../emulators/s3rver.ts";
import { FEW_FAULTS } from "../faults.ts";
import { testIf } from "../helpers.ts";
import { sized } from "../sizes.ts";
import { clientOf, isolation, noted, OBJECTS, PARENT, shopOf, titleOf } from "./_s3.ts";

/** Creates a bucket and puts objects into it. */
export async function fill(client: s3.S3Client, Bucket: string, objects: Readonly<Record<string, string>>) {
  await client.send(new s3.CreateBucketCommand({ Bucket }));
  for (const [Key, Body] of Object.entries(objects)) {
    await client.send(
      new s3.PutObjectCommand({ Bucket, Key, Body, ContentType: "text/plain", Metadata: { of: "us" } }),
    );
  }
}

/** The note on a bucket: in its tags, else in its object. */
async function noteOf(client: s3.S3Client, Bucket: string): Promise<Record<string, string>> {
  const { TagSet = [] } = await client.send(new s3.GetBucketTaggingCommand({ Bucket })).catch((error) => {
    if (/^(NoSuchTagSet|NotImplemented)$/.test((error as Error).name)) return { TagSet: [] };
    throw error;
  });
  if (TagSet.length > 0) return Object.fromEntries(TagSet.map(({ Key, Value }) => [Key, Value]));
  try {
    const { Body } = await client.send(new s3.GetObjectCommand({ Bucket, Key: MARK }));
    return JSON.parse(await Body!.transformToString());
  } catch (error) {
    if ((error as Error).name === "NoSuchKey") return {};
    throw error;
  }
}

/** Writes a note where the server keeps one, which is where the bucket has one. */
async function setNote(client: s3.S3Client, Bucket: string, note: Readonly<Record<string, string>>): Promise<void> {
  const object = { Bucket, Key: MARK };
  const write = () => client.send(new s3.PutObjectCommand({ ...object, Body: JSON.stringify(note) }));
  if (await client.send(new s3.HeadObjectCommand(object)).then(() => true, () => false)) return void await write();
  const TagSet = Object.entries(note).map(([Key, Value]) => ({ Key, Value }));
  await client.send(new s3.PutBucketTaggingCommand({ Bucket, Tagging: { TagSet } })).catch(() => {});
  const kept = await client.send(new s3.GetBucketTaggingCommand({ Bucket })).catch(() => ({ TagSet: [] }));
  if ((kept.TagSet ?? []).length > 0) return;
  await write();
}

const MARK = ".forkstack.json";

async function contentOf(client: s3.S3Client, Bucket: string): Promise<string> {
  const { Contents = [] } = await client.send(new s3.ListObjectsV2Command({ Bucket }));
  const lines = await Promise.all(
    Contents.filter(({ Key }) => Key !== MARK).map(async ({ Key, Size, ETag }) => {
      const { ContentType, Metadata } = await client.send(new s3.HeadObjectCommand({ Bucket, Key }));
      return JSON.stringify([Key, Size, ETag, ContentType, Metadata?.of]); // rclone adds a time of its own to copies
    }),
  );
  return createHash("sha256").update(lines.sort().join("\n")).digest("hex");
}

/** Removes every bucket, with all versions that are in it. */
async function clear(client: s3.S3Client): Promise<void> {
  const { Buckets = [] } = await client.send(new s3.ListBucketsCommand());
  for (const { Name: Bucket } of Buckets) {
    const { Contents = [] } = await client.send(new s3.ListObjectsV2Command({ Bucket }));
    const listed = await client.send(new s3.ListObjectVersionsCommand({ Bucket }))
      .then(({ Versions = [], DeleteMarkers = [] }) => [...Versions, ...DeleteMarkers], () => Contents);
    for (const one of listed) {
      const VersionId = "VersionId" in one ? one.VersionId : undefined;
      await client.send(new s3.DeleteObjectCommand({ Bucket, Key: one.Key, VersionId }));
    }
    const { Uploads = [] } = await client.send(new s3.ListMultipartUploadsCommand({ Bucket }))
      .catch(() => ({ Uploads: [] }));
    for (const { Key, UploadId } of Uploads) {
      await client.send(new s3.AbortMultipartUploadCommand({ Bucket, Key, UploadId }));
    }
    await client.send(new s3.DeleteBucketCommand({ Bucket }));
  }
}

/** A server as the suite opens it: one for each world, or one for all. */
export function serverEmulator(
  given: S3Server | (() => Promise<S3Server>),
  { held = OBJECTS }: { readonly held?: Readonly<Record<string, string>> } = {},
): Emulator {
  const isOneServer = typeof given !== "function";
  return {
    async open() {
      const server = isOneServer ? given : await given();
      const client = clientOf(server);
      const http = httpClient({ tries: 2 });
      await fill(client, PARENT, held);
      for (const near of ["alice2", "alice-2"]) await fill(client, titleOf(near), { "a": near });
      const { accessKeyId, secretAccessKey } = server.credentials;
      const world: World = {
        options: { endpoint: server.endpoint },
        project: "myapp",
        root: "/nowhere",
        context: {
          files: {} as World["context"]["files"],
          fetch: (request) => http(request), // as the engine's: an answer is whole or none
          credentials: {
            AWS_ACCESS_KEY_ID: new Secret(accessKeyId), // it takes no others
            AWS_SECRET_ACCESS_KEY: new Secret(secretAccessKey),
          },
        },
        parent: PARENT,
        absentParent: "myapp-bucket-nobody",
        titleOf,
        async things() {
          const { Buckets = [] } = await client.send(new s3.ListBucketsCommand());
          const all = Buckets.map(async ({ Name = "" }) => {
            const note = await noteOf(client, Name);
            const content = await contentOf(client, Name);
            return [`${Name} ${note["forkstack-id"] ?? ""}`, JSON.stringify([note, content])] as const;
          });
          return new Map(await Promise.all(all));
        },
        contentOf: (name) => contentOf(client, name),
        change: async (Bucket) =>
          void await client.send(new s3.PutObjectCommand({ Bucket, Key: "mine", Body: "mine" })),
        async placeForeign(name, { isEmpty, markOf } = {}) {
          // By a clock of seconds, what was ours a moment ago has another time.
          if (isOneServer) await new Promise((resolve) => setTimeout(resolve, 1_020 - Date.now() % 1_000));
          await fill(client, name, isEmpty ? {} : { theirs: "theirs" });
          if (markOf !== undefined) await setNote(client, name, await noteOf(client, markOf));
        },
        async rehand({ name }, marker) {
          await setNote(client, name, { ...await noteOf(client, name), forkstack: noted(marker) });
        },
        pageSize: 2,
        canaries: () => Object.values(OBJECTS).filter(Boolean),
        async close() {
          if (isOneServer) await clear(client);
          client.destroy();
          if (!isOneServer) await server[Symbol.asyncDispose]();
        },
      };
      return world;
    },
  };
}

/** Ways in which a program differs from Amazon's S3. */
interface Differences extends Pick<Suite<unknown>, "options" | "skip"> {
  readonly lacksVersions?: boolean;
  readonly lacksCopiesOfParts?: boolean;
}

/**
 * Runs the suite of `s3` on a program of others, and what is special to real servers. It starts before all tests, since
 * each of these may only end what it began.
 */
export async function testProgram(
  name: keyof typeof S3_PROGRAMS,
  { lacksVersions = false, lacksCopiesOfParts = false, ...given }: Differences = {},
): Promise<void> {
  const { why } = S3_PROGRAMS[name];
  if (why !== undefined) return testIf(why, `s3 on ${name}: the suite`, () => {});
  const server = await startS3Program(name);
  const suite = { provider, emulator: serverEmulator(server), faults: FEW_FAULTS, ...given };
  testProvider(suite, { as: `s3 on ${name}`, only: sized({ gate: WITHOUT_FAULTS, full: /^/ }) });

  const test = (what: string, work: (client: s3.S3Client, shop: ReturnType<typeof shopOf>) => Promise<void>) =>
    Deno.test(`s3 on ${name}: ${what}`, async () => {
      const client = clientOf(server);
      const { accessKeyId: AWS_ACCESS_KEY_ID, secretAccessKey: AWS_SECRET_ACCESS_KEY } = server.credentials;
      const options = { endpoint: server.endpoint, ...given.options };
      try {
        await fill(client, PARENT, OBJECTS);
        await work(client, shopOf(provider, { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY }, options));
      } finally {
        await clear(client);
        client.destroy();
      }
    });

  test("neither parent nor fork sees what is written to the other", (client, shop) => isolation(shop, client));

  test("what the store keeps of an object's headers and tags, its copy has, in parts too", async (client, shop) => {
    await upload(client, PARENT);
    await shop.create(shop.target("alice"));
    const fork = titleOf("alice");
    assert.deepEqual(await propertiesOf(client, fork), await propertiesOf(client, PARENT));
    if (lacksCopiesOfParts) return;
    await client.send(new s3.DeleteObjectCommand({ Bucket: fork, Key: LARGE }));
    const context = shop.context();
    const { endpoint, region, credentials } = server;
    const hints = { rejected: "", denied: "" };
    const account = { provider: "s3", resource: "storage", endpoint, region, credentials, hints };
    const takes = (key: string) => key === LARGE;
    const job = { from: PARENT, to: fork, takes, callBytes: 6 * 2 ** 20, partBytes: 5 * 2 ** 20 };
    await Store.with(context, account, (at) => copyObjects(context, at, job, { objects: 1, sizeBytes: 1 }));
    assert.deepEqual(await propertiesOf(client, fork), await propertiesOf(client, PARENT));
  });

  if (lacksVersions) return;
  test("a fork that its application versions goes with all versions, those of before too", async (client, shop) => {
    const fork = await shop.create(shop.target("alice"));
    const Bucket = fork.name;
    for (const Status of ["Enabled", "Suspended", "Enabled"] as const) {
      await client.send(new s3.PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status } }));
      for (const Key of ["empty", "new", Status]) {
        await client.send(new s3.PutObjectCommand({ Bucket, Key, Body: `${Status} ${Key}` }));
      }
      // While it is suspended moto can't.
      if (Status === "Enabled") await client.send(new s3.DeleteObjectCommand({ Bucket, Key: "covers/1.jpg" }));
    }
    assert.equal(await provider.delete(shop.context(), fork, shop.scope() as never), "deleted");
    const { Buckets = [] } = await client.send(new s3.ListBucketsCommand());
    assert.deepEqual(Buckets.map(({ Name }) => Name), [PARENT]);
  });
}

const LARGE = "large";

/** Puts a small and a large object, the latter in parts, with all that belongs to them. */
async function upload(client: s3.S3Client, Bucket: string): Promise<void> {
  const more = {
    Bucket,
    ContentType: "image/png",
    CacheControl: "max-age=60",
    ContentDisposition: "attachment",
    ContentLanguage: "tr",
    Expires: new Date(2_000_000_000_000),
    WebsiteRedirectLocation: "/elsewhere",
    Metadata: { colour: "blue" },
    Tagging: "team=a%20b&x=%40",
  };
  const Body = new Uint8Array(6 * 2 ** 20).map((_, i) => (i * 7919) % 251);
  await client.send(new s3.PutObjectCommand({ ...more, Key: "small", Body: "small" }));
  const target = { Bucket, Key: LARGE };
  const { UploadId } = await client.send(new s3.CreateMultipartUploadCommand({ ...more, ...target }));
  const Parts = [];
  for (const PartNumber of [1, 2]) {
    const { ETag } = await client.send(new s3.UploadPartCommand({ ...target, UploadId, PartNumber, Body }));
    Parts.push({ PartNumber, ETag });
  }
  await client.send(new s3.CompleteMultipartUploadCommand({ ...target, UploadId, MultipartUpload: { Parts } }));
}

/** The content of a bucket without what is of a copy alone: its time, and the ETag of one in parts. */
async function propertiesOf(client: s3.S3Client, Bucket: string): Promise<object> {
  const { Contents = [] } = await client.send(new s3.ListObjectsV2Command({ Bucket }));
  const keys = Contents.flatMap(({ Key = "" }) => Key === MARK ? [] : [Key]).sort();
  const all = keys.map(async (Key) => {
    const { $metadata: _, LastModified: __, ETag: ___, VersionId: ____, Metadata = {}, ...head } = await client.send(
      new s3.HeadObjectCommand({ Bucket, Key }),
    );
    const { mtime: _____, ...metadata } = Metadata; // of rclone's own
    const { TagSet = [] } = await client.send(new s3.GetObjectTaggingCommand({ Bucket, Key }))
      .catch(() => ({ TagSet: [] }));
    const { Body } = await client.send(new s3.GetObjectCommand({ Bucket, Key }));
    const digest = createHash("sha256").update(await Body!.transformToByteArray()).digest("hex");
    return [Key, { head, metadata, tags: TagSet.map(({ Key, Value }) => `${Key}=${Value}`).sort(), digest }] as const;
  });
  return Object.fromEntries(await Promise.all(all));
}
