/**
 * What an application uses of S3, asked of a server by the real SDK. The same checks run on our own server and on one
 * that nobody here wrote, so that the checks themselves are held against something.
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import * as s3 from "npm:@aws-sdk/client-s3@3.1162.0";
import { Upload } from "npm:@aws-sdk/lib-storage@3.1162.0";
import { getSignedUrl } from "npm:@aws-sdk/s3-request-presigner@3.1162.0";
import type { S3Server } from "./s3rver.ts";

/** Who is asked. */
export interface Asked {
  readonly server: S3Server;
  readonly client: s3.S3Client;
  /** An empty bucket of the check's own. */
  readonly Bucket: string;
}

/** One check. */
export interface S3Check {
  readonly name: string;
  readonly run: (asked: Asked) => Promise<void>;
  /** What s3rver 3.7.1 lacks, where it can't pass. */
  readonly s3rver?: string;
}

/** Keys that a server is likely to get wrong. */
export const HOSTILE_KEYS: readonly string[] = [
  "plain.txt",
  "a b/c d",
  "a+b",
  "100%",
  "a%2Fb",
  "%2e%2e/x",
  "ünï/✓/😀",
  "\u{ffff}after\u{10000}",
  "/leading",
  "//two",
  "trailing/",
  "a//b",
  "../up",
  "../../../../tmp/up",
  "x/../y",
  "..",
  "./here",
  "x/.",
  ".forkstack-s3/objects/x",
  "-rf",
  "quote'\"`$\\",
  "a?b=c&d#e;f=g",
  "*:<>|~",
  "tab\tnew\nline",
  "both",
  "both/inner",
  "k".repeat(1024),
  "é".repeat(512),
  `${"deep/".repeat(200)}end`,
];

/** A client of a server. */
export function clientOf(server: S3Server, config: s3.S3ClientConfig = {}): s3.S3Client {
  const { endpoint, region, credentials } = server;
  return new s3.S3Client({ endpoint, region, credentials, forcePathStyle: true, maxAttempts: 1, ...config });
}

const md5 = (bytes: Uint8Array | string) => `"${createHash("md5").update(bytes).digest("hex")}"`;

/** Bytes of which each piece is another. */
export function someBytes(size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at += 1) bytes[at] = (at * 31 + (at >>> 8) * 7 + (at >>> 16)) & 0xff;
  return bytes;
}

async function read({ client, Bucket }: Asked, Key: string): Promise<Uint8Array> {
  const { Body } = await client.send(new s3.GetObjectCommand({ Bucket, Key }));
  return await Body!.transformToByteArray();
}

/** Fails without showing a difference, which of megabytes takes minutes. */
function assertSame(found: Uint8Array, expected: Uint8Array, what = "the bytes"): void {
  assert.equal(found.length, expected.length, `${what}: the length`);
  assert(Buffer.compare(found, expected) === 0, `${what} differ`);
}

async function keysIn({ client, Bucket }: Asked): Promise<string[]> {
  const keys = [];
  for await (const page of s3.paginateListObjectsV2({ client, pageSize: 7 }, { Bucket })) {
    keys.push(...(page.Contents ?? []).map(({ Key }) => Key!));
  }
  return keys;
}

async function fails(work: Promise<unknown>, status: number, name?: string): Promise<void> {
  await assert.rejects(work, (error: s3.S3ServiceException) => {
    assert.equal(error.$metadata?.httpStatusCode, status, String(error));
    if (name !== undefined) assert.equal(error.name, name);
    return true;
  });
}

async function checkRanges(asked: Asked, ranges: readonly [text: string, start: number, end: number][]): Promise<void> {
  const { client, Bucket } = asked;
  const bytes = someBytes(200_000);
  await put(asked, "r", bytes);
  for (const [text, start, end] of ranges) {
    const answer = await client.send(new s3.GetObjectCommand({ Bucket, Key: "r", Range: `bytes=${text}` }));
    assertSame(await answer.Body!.transformToByteArray(), bytes.subarray(start, end), text);
    assert.equal(answer.ContentRange, `bytes ${start}-${end - 1}/200000`);
  }
}

/** A whole list, page by page, by both versions, which must say the same; a common prefix ends in `*`. */
async function listBoth(
  { client, Bucket }: Asked,
  input: { Prefix?: string; Delimiter?: string; pageSize: number },
): Promise<string[]> {
  const { pageSize: MaxKeys, ...rest } = input;
  const found: string[][] = [];
  for (const version of [1, 2]) {
    const names: string[] = [];
    let from: string | undefined, isTruncated = true;
    for (let pages = 0; isTruncated; pages++) {
      assert(pages < 100, "it never ends");
      const answer = version === 1
        ? await client.send(new s3.ListObjectsCommand({ Bucket, MaxKeys, ...rest, Marker: from }))
        : await client.send(new s3.ListObjectsV2Command({ Bucket, MaxKeys, ...rest, ContinuationToken: from }));
      const page = [
        ...(answer.Contents ?? []).map(({ Key }) => Key!),
        ...(answer.CommonPrefixes ?? []).map(({ Prefix }) => `${Prefix}*`),
      ];
      assert((answer.Contents ?? []).length <= MaxKeys);
      names.push(...page);
      from = "NextContinuationToken" in answer
        ? answer.NextContinuationToken
        : (answer as s3.ListObjectsCommandOutput).NextMarker ?? answer.Contents?.at(-1)?.Key;
      isTruncated = answer.IsTruncated === true;
    }
    found.push(inOrder(names));
  }
  assert.deepEqual(found[0], found[1]);
  return found[0];
}

async function checkLists(asked: Asked, pageSizes: readonly number[]): Promise<string[]> {
  const keys = inOrder([
    ...Array.from({ length: 12 }, (_, i) => `photos/2026/${i}.jpg`),
    ...["photos/a", "photos2/b", "photosx", "music/1", "music/2", "z", "a/b/c/d"],
  ]);
  for (const key of keys) await put(asked, key);
  assert.deepEqual(await keysIn(asked), keys);
  for (const pageSize of pageSizes) {
    assert.deepEqual(await listBoth(asked, { pageSize }), keys);
    assert.deepEqual(
      await listBoth(asked, { pageSize, Delimiter: "/" }),
      inOrder(["a/*", "music/*", "photos2/*", "photosx", "photos/*", "z"]),
    );
    assert.deepEqual(
      await listBoth(asked, { pageSize, Prefix: "photos", Delimiter: "/" }),
      inOrder(["photos2/*", "photosx", "photos/*"]),
    );
    assert.deepEqual(await listBoth(asked, { pageSize, Prefix: "photos/", Delimiter: "/" }), [
      "photos/2026/*",
      "photos/a",
    ]);
    assert.deepEqual(await listBoth(asked, { pageSize, Prefix: "m" }), ["music/1", "music/2"]);
    assert.deepEqual(await listBoth(asked, { pageSize, Prefix: "none" }), []);
  }
  return keys;
}

async function put({ client, Bucket }: Asked, Key: string, Body: string | Uint8Array = Key): Promise<string> {
  return (await client.send(new s3.PutObjectCommand({ Bucket, Key, Body }))).ETag!;
}

/** Keys in the order of S3. */
export function inOrder(keys: readonly string[]): string[] {
  return [...keys].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

export const S3_CHECKS: readonly S3Check[] = [
  {
    name: "put, get, head, delete",
    async run(asked) {
      const { client, Bucket } = asked;
      assert.equal(await put(asked, "a/b.txt", "hello"), md5("hello"));
      const got = await client.send(new s3.GetObjectCommand({ Bucket, Key: "a/b.txt" }));
      assert.equal(await got.Body!.transformToString(), "hello");
      assert.equal(got.ETag, md5("hello"));
      assert(Math.abs(got.LastModified!.getTime() - Date.now()) < 60_000);
      assert.equal(await put(asked, "a/b.txt", "changed"), md5("changed"));
      const head = await client.send(new s3.HeadObjectCommand({ Bucket, Key: "a/b.txt" }));
      assert.deepEqual([head.ContentLength, head.ETag], [7, md5("changed")]);
      for (const _ of [1, 2]) await client.send(new s3.DeleteObjectCommand({ Bucket, Key: "a/b.txt" }));
      await fails(read(asked, "a/b.txt"), 404, "NoSuchKey");
      await fails(client.send(new s3.HeadObjectCommand({ Bucket, Key: "a/b.txt" })), 404, "NotFound");
      await fails(read({ ...asked, Bucket: "no-such-bucket" }, "x"), 404, "NoSuchBucket");
    },
  },
  {
    name: "an empty object",
    async run(asked) {
      assert.equal(await put(asked, "empty", ""), md5(""));
      assert.equal((await read(asked, "empty")).length, 0);
      const { Contents } = await asked.client.send(new s3.ListObjectsV2Command({ Bucket: asked.Bucket }));
      assert.deepEqual(Contents!.map(({ Key, Size }) => [Key, Size]), [["empty", 0]]);
    },
  },
  {
    name: "a large object in one piece",
    async run(asked) {
      const bytes = someBytes(17 * 2 ** 20 + 5);
      assert.equal(await put(asked, "large", bytes), md5(bytes));
      assertSame(await read(asked, "large"), bytes);
    },
  },
  {
    name: "headers and metadata come back",
    async run({ client, Bucket }) {
      const Expires = new Date("2030-01-01T00:00:00Z");
      const given = {
        ContentType: "text/plain; charset=utf-8",
        CacheControl: "max-age=60",
        ContentDisposition: 'attachment; filename="a b.txt"',
        ContentEncoding: "identity",
        ContentLanguage: "de",
        Metadata: { "first-name": "a value", other: "%20" },
      };
      await client.send(new s3.PutObjectCommand({ Bucket, Key: "k", Body: "x", Expires, ...given }));
      for (const Command of [s3.GetObjectCommand, s3.HeadObjectCommand]) {
        const answer = await client.send(new Command({ Bucket, Key: "k" }) as s3.HeadObjectCommand);
        for (const [name, value] of Object.entries(given)) assert.deepEqual(answer[name as "ETag"], value, name);
        assert.equal(answer.ExpiresString, Expires.toUTCString());
        await (answer as s3.GetObjectCommandOutput).Body?.transformToString();
      }
      const type = await client.send(
        new s3.GetObjectCommand({
          Bucket,
          Key: "k",
          ResponseContentType: "image/png",
          ResponseCacheControl: "no-store",
        }),
      );
      await type.Body!.transformToString();
      assert.deepEqual([type.ContentType, type.CacheControl], ["image/png", "no-store"]);
    },
  },
  {
    name: "ranges",
    async run(asked) {
      await checkRanges(asked, [["100000-100099", 100_000, 100_100], ["199990-", 199_990, 200_000]]);
      const beyond = { Bucket: asked.Bucket, Key: "r", Range: "bytes=200000-" };
      await fails(asked.client.send(new s3.GetObjectCommand(beyond)), 416, "InvalidRange");
      assertSame(await read(asked, "r"), someBytes(200_000));
    },
  },
  {
    name: "ranges at both ends",
    s3rver: "bytes=0-0 is all of it, bytes=-5 are the first 6",
    async run(asked) {
      await checkRanges(asked, [["0-0", 0, 1], ["-5", 199_995, 200_000], ["199999-400000", 199_999, 200_000]]);
    },
  },
  {
    name: "conditional reads",
    s3rver: "it ignores If-Match and If-Unmodified-Since of a read",
    async run(asked) {
      const { client, Bucket } = asked;
      const etag = await put(asked, "c", "1");
      const get = (condition: Partial<s3.GetObjectCommandInput>) =>
        client.send(new s3.GetObjectCommand({ Bucket, Key: "c", ...condition }))
          .then(({ Body }) => Body!.transformToString());
      const [past, future] = [new Date(Date.now() - 3_600_000), new Date(Date.now() + 3_600_000)];
      assert.equal(await get({ IfMatch: etag }), "1");
      assert.equal(await get({ IfNoneMatch: '"other"' }), "1");
      assert.equal(await get({ IfModifiedSince: past }), "1");
      assert.equal(await get({ IfUnmodifiedSince: future }), "1");
      await fails(get({ IfMatch: '"other"' }), 412);
      await fails(get({ IfUnmodifiedSince: past }), 412);
      await fails(get({ IfNoneMatch: etag }), 304);
      await fails(get({ IfModifiedSince: future }), 304);
    },
  },
  {
    name: "conditional writes",
    s3rver: "it ignores If-None-Match and If-Match of a write",
    async run(asked) {
      const { client, Bucket } = asked;
      const write = (Body: string, condition: Partial<s3.PutObjectCommandInput>) =>
        client.send(new s3.PutObjectCommand({ Bucket, Key: "c", Body, ...condition }));
      await fails(write("0", { IfMatch: '"x"' }), 404, "NoSuchKey");
      const { ETag } = await write("1", { IfNoneMatch: "*" });
      await fails(write("2", { IfNoneMatch: "*" }), 412, "PreconditionFailed");
      await fails(write("2", { IfMatch: md5("0") }), 412, "PreconditionFailed");
      assert.equal(new TextDecoder().decode(await read(asked, "c")), "1");
      await write("2", { IfMatch: ETag });
      const racers = await Promise.allSettled([3, 4, 5, 6].map((n) => write(String(n), { IfMatch: md5("2") })));
      assert.equal(racers.filter(({ status }) => status === "fulfilled").length, 1, "one of them was first");
      await fails(client.send(new s3.DeleteObjectCommand({ Bucket, Key: "c", IfMatch: '"x"' })), 412);
      const { UploadId } = await client.send(new s3.CreateMultipartUploadCommand({ Bucket, Key: "c" }));
      const part = { Bucket, Key: "c", UploadId, PartNumber: 1 };
      const done = await client.send(new s3.UploadPartCommand({ ...part, Body: "x" }));
      const MultipartUpload = { Parts: [{ PartNumber: 1, ETag: done.ETag }] };
      const complete = { Bucket, Key: "c", UploadId, MultipartUpload, IfNoneMatch: "*" };
      await fails(client.send(new s3.CompleteMultipartUploadCommand(complete)), 412, "PreconditionFailed");
    },
  },
  {
    name: "hostile keys",
    s3rver: "it keeps keys as paths: long ones, `..`, `//` and `a` beside `a/b` fail",
    async run(asked) {
      for (const key of HOSTILE_KEYS) await put(asked, key, `of ${key}`);
      for (const key of HOSTILE_KEYS) assert.equal(new TextDecoder().decode(await read(asked, key)), `of ${key}`, key);
      assert.deepEqual(await keysIn(asked), inOrder(HOSTILE_KEYS));
      const { client, Bucket } = asked;
      const encoded = await client.send(new s3.ListObjectsCommand({ Bucket, EncodingType: "url" }));
      const decoded = encoded.Contents!.map(({ Key }) => decodeURIComponent(Key!.replaceAll("+", "%20")));
      assert.deepEqual(decoded, inOrder(HOSTILE_KEYS));
      await fails(put(asked, "k".repeat(1025)), 400, "KeyTooLongError");
      for (const key of HOSTILE_KEYS) {
        const CopySource = encodeURIComponent(`${Bucket}/${key}`);
        await client.send(new s3.CopyObjectCommand({ Bucket, Key: "copy", CopySource }));
        assert.equal(new TextDecoder().decode(await read(asked, "copy")), `of ${key}`);
      }
      const Objects = [...HOSTILE_KEYS, "copy", "not there"].map((Key) => ({ Key }));
      const { Deleted, Errors } = await client.send(new s3.DeleteObjectsCommand({ Bucket, Delete: { Objects } }));
      assert.deepEqual([Deleted?.length, Errors], [Objects.length, undefined]);
      assert.deepEqual(await keysIn(asked), []);
    },
  },
  {
    name: "keys with spaces, signs and unicode",
    async run(asked) {
      const keys = ["a b/c d", "a+b", "100%", "a%2Fb", "ünï/✓/😀", "a=b&c", "(x)!*'"];
      for (const key of keys) await put(asked, key, `of ${key}`);
      for (const key of keys) assert.equal(new TextDecoder().decode(await read(asked, key)), `of ${key}`);
      assert.deepEqual(await keysIn(asked), inOrder(keys));
    },
  },
  {
    name: "lists in pages, v1 and v2",
    async run(asked) {
      const { client, Bucket } = asked;
      const keys = await checkLists(asked, []);
      for (const pageSize of [1, 2, 5, 1000]) assert.deepEqual(await listBoth(asked, { pageSize }), keys);
      const after = await client.send(
        new s3.ListObjectsV2Command({ Bucket, StartAfter: "photos/2026/7.jpg", MaxKeys: 3 }),
      );
      assert.deepEqual(
        after.Contents!.map(({ Key }) => Key),
        keys.slice(keys.indexOf("photos/2026/7.jpg") + 1).slice(0, 3),
      );
    },
  },
  {
    name: "pages of a list with a delimiter",
    s3rver: "it loses the first prefix, and others between pages",
    async run(asked) {
      await checkLists(asked, [1, 2, 3, 5, 1000]);
    },
  },
  {
    name: "a list is in the order of the keys' bytes",
    s3rver: "its order is that of paths: a/b before a-b",
    async run(asked) {
      const keys = ["a", "a-b", "a.b", "a/b", "a/b/c", "a/b-c", "a0", "a\u{ffff}", "a\u{10000}", "A"];
      for (const key of keys) await put(asked, key);
      assert.deepEqual(await keysIn(asked), inOrder(keys));
      const { Bucket, client } = asked;
      const page = await client.send(
        new s3.ListObjectsV2Command({ Bucket, Delimiter: "/", StartAfter: "a-b", MaxKeys: 2 }),
      );
      assert.deepEqual([page.Contents!.map(({ Key }) => Key), page.KeyCount, page.IsTruncated], [["a.b"], 2, true]);
      assert.deepEqual(page.CommonPrefixes, [{ Prefix: "a/" }], "a prefix counts like a key");
    },
  },
  {
    name: "copies, with their metadata or other",
    async run(asked) {
      const { client, Bucket } = asked;
      const bytes = someBytes(300_000);
      const source = { Bucket, Key: "from ü", Body: bytes, ContentType: "image/png", Metadata: { a: "1" } };
      await client.send(new s3.PutObjectCommand(source));
      const CopySource = `${Bucket}/${encodeURIComponent("from ü")}`;
      const copied = await client.send(new s3.CopyObjectCommand({ Bucket, Key: "same", CopySource }));
      assert.equal(copied.CopyObjectResult!.ETag, md5(bytes));
      const head = async (Key: string) => {
        const { ContentType, Metadata } = await client.send(new s3.HeadObjectCommand({ Bucket, Key }));
        return [ContentType, Metadata];
      };
      assert.deepEqual(await head("same"), ["image/png", { a: "1" }]);
      assertSame(await read(asked, "same"), bytes);
      const other = { MetadataDirective: "REPLACE", ContentType: "text/plain", Metadata: { b: "2" } } as const;
      await client.send(new s3.CopyObjectCommand({ Bucket, Key: "from ü", CopySource, ...other })); // onto itself
      assert.deepEqual(await head("from ü"), ["text/plain", { b: "2" }]);
      assert.deepEqual(await head("same"), ["image/png", { a: "1" }]);
      const none = `${Bucket}/none`;
      await fails(client.send(new s3.CopyObjectCommand({ Bucket, Key: "x", CopySource: none })), 404, "NoSuchKey");
    },
  },
  {
    name: "conditional copies",
    s3rver: "it ignores x-amz-copy-source-if-match",
    async run(asked) {
      const { client, Bucket } = asked;
      const etag = await put(asked, "s", "1");
      const copy = (condition: Partial<s3.CopyObjectCommandInput>) =>
        client.send(new s3.CopyObjectCommand({ Bucket, Key: "t", CopySource: `${Bucket}/s`, ...condition }));
      await copy({ CopySourceIfMatch: etag });
      await fails(copy({ CopySourceIfMatch: '"x"' }), 412, "PreconditionFailed");
      await fails(copy({ CopySourceIfNoneMatch: etag }), 412, "PreconditionFailed");
    },
  },
  {
    name: "batch delete",
    async run(asked) {
      const { client, Bucket } = asked;
      const keys = Array.from({ length: 30 }, (_, i) => `d/${i}`);
      for (const key of keys) await put(asked, key);
      const Objects = [...keys.slice(0, 20), "not there"].map((Key) => ({ Key }));
      const { Deleted } = await client.send(new s3.DeleteObjectsCommand({ Bucket, Delete: { Objects } }));
      assert.deepEqual(Deleted!.map(({ Key }) => Key), Objects.map(({ Key }) => Key));
      assert.deepEqual(await keysIn(asked), inOrder(keys.slice(20)));
    },
  },
  {
    name: "an upload in parts",
    async run(asked) {
      const { client, Bucket } = asked;
      const whole = someBytes(12 * 2 ** 20 + 17);
      const parts = [
        whole.subarray(0, 5 * 2 ** 20),
        whole.subarray(5 * 2 ** 20, 10 * 2 ** 20),
        whole.subarray(10 * 2 ** 20),
      ];
      const start = { Bucket, Key: "m ü", ContentType: "image/png", Metadata: { a: "1" } };
      const { UploadId } = await client.send(new s3.CreateMultipartUploadCommand(start));
      const done: s3.CompletedPart[] = [];
      for (const [at, Body] of [...parts.entries()].reverse()) {
        const PartNumber = at + 1;
        const { ETag } = await client.send(
          new s3.UploadPartCommand({ Bucket, Key: "m ü", UploadId, PartNumber, Body }),
        );
        assert.equal(ETag, md5(Body));
        done.unshift({ PartNumber, ETag });
      }
      assert.deepEqual(await keysIn(asked), [], "nothing is there before it is complete");
      const complete = { Bucket, Key: "m ü", UploadId, MultipartUpload: { Parts: done } };
      const { ETag } = await client.send(new s3.CompleteMultipartUploadCommand(complete));
      assert.match(ETag!, /^"[0-9a-f]{32}/);
      assertSame(await read(asked, "m ü"), whole);
      const head = await client.send(new s3.HeadObjectCommand({ Bucket, Key: "m ü" }));
      assert.deepEqual([head.ContentType, head.Metadata, head.ETag], ["image/png", { a: "1" }, ETag]);
    },
  },
  {
    name: "the ETag of an upload in parts",
    s3rver: "its ETag is another",
    async run({ client, Bucket }) {
      const { UploadId } = await client.send(new s3.CreateMultipartUploadCommand({ Bucket, Key: "e" }));
      const one = { Bucket, Key: "e", UploadId, PartNumber: 1, Body: "only" };
      const { ETag } = await client.send(new s3.UploadPartCommand(one));
      const MultipartUpload = { Parts: [{ PartNumber: 1, ETag }] };
      const complete = { Bucket, Key: "e", UploadId, MultipartUpload };
      const done = await client.send(new s3.CompleteMultipartUploadCommand(complete));
      assert.equal(done.ETag, md5(createHash("md5").update("only").digest()).replace(/"$/, '-1"'));
    },
  },
  {
    name: "an upload in parts: listed, copied from, refused, aborted",
    s3rver: "it knows neither ListParts nor ListMultipartUploads, and does not check parts",
    async run(asked) {
      const { client, Bucket } = asked;
      const source = someBytes(7 * 2 ** 20);
      await put(asked, "source", source);
      const begin = async (Key: string) =>
        (await client.send(new s3.CreateMultipartUploadCommand({ Bucket, Key }))).UploadId!;
      const [first, second] = [await begin("m"), await begin("n")];
      const of = { Bucket, Key: "m", UploadId: first };
      const CopySource = `${Bucket}/source`;
      const ranged = { ...of, CopySource, CopySourceRange: `bytes=100-${5 * 2 ** 20 + 99}`, PartNumber: 1 };
      const copied = await client.send(new s3.UploadPartCopyCommand(ranged));
      const tail = await client.send(new s3.UploadPartCommand({ ...of, PartNumber: 7, Body: "tail" }));
      const listed = await client.send(new s3.ListPartsCommand(of));
      assert.deepEqual(listed.Parts!.map(({ PartNumber, Size }) => [PartNumber, Size]), [[1, 5 * 2 ** 20], [7, 4]]);
      const page = await client.send(new s3.ListPartsCommand({ ...of, MaxParts: 1 }));
      assert.deepEqual([page.IsTruncated, page.NextPartNumberMarker, page.Parts!.length], [true, "1", 1]);
      const uploads = await client.send(new s3.ListMultipartUploadsCommand({ Bucket }));
      assert.deepEqual(uploads.Uploads!.map(({ Key, UploadId }) => [Key, UploadId]), [["m", first], ["n", second]]);
      const complete = (...Parts: s3.CompletedPart[]) =>
        client.send(new s3.CompleteMultipartUploadCommand({ ...of, MultipartUpload: { Parts } }));
      const [one, seven] = [{ PartNumber: 1, ETag: copied.CopyPartResult!.ETag }, { PartNumber: 7, ETag: tail.ETag }];
      await fails(complete(seven, one), 400, "InvalidPartOrder");
      await fails(complete(one, { ...seven, ETag: '"x"' }), 400, "InvalidPart");
      await fails(complete(one, { ...seven, PartNumber: 8 }), 400, "InvalidPart");
      const small = await client.send(new s3.UploadPartCommand({ ...of, PartNumber: 3, Body: "small" }));
      await fails(complete(one, { PartNumber: 3, ETag: small.ETag }, seven), 400, "EntityTooSmall");
      const elsewhere = { ...of, Key: "other", MultipartUpload: { Parts: [one] } };
      await fails(client.send(new s3.CompleteMultipartUploadCommand(elsewhere)), 404, "NoSuchUpload");
      await complete(one, seven);
      const expected = Buffer.concat([source.subarray(100, 5 * 2 ** 20 + 100), Buffer.from("tail")]);
      assertSame(await read(asked, "m"), expected);
      const part = await client.send(new s3.GetObjectCommand({ Bucket, Key: "m", PartNumber: 2 }));
      assert.equal(await part.Body!.transformToString(), "tail");
      await client.send(new s3.AbortMultipartUploadCommand({ Bucket, Key: "n", UploadId: second }));
      const gone = { Bucket, Key: "n", UploadId: second, PartNumber: 1, Body: "x" };
      await fails(client.send(new s3.UploadPartCommand(gone)), 404, "NoSuchUpload");
      assert.equal((await client.send(new s3.ListMultipartUploadsCommand({ Bucket }))).Uploads, undefined);
    },
  },
  {
    name: "a stream of unknown length, by lib-storage",
    async run(asked) {
      const { client, Bucket } = asked;
      const bytes = someBytes(11 * 2 ** 20 + 3);
      const Body = Readable.from((function* () {
        for (let at = 0; at < bytes.length; at += 100_000) yield bytes.subarray(at, at + 100_000);
      })());
      await new Upload({ client, params: { Bucket, Key: "s", Body } }).done();
      assertSame(await read(asked, "s"), bytes);
    },
  },
  ...(["CRC32", "CRC32C", "SHA1", "SHA256"] as const).map((ChecksumAlgorithm): S3Check => ({
    name: `checksums before and after the body: ${ChecksumAlgorithm}`,
    s3rver: "it knows no checksums",
    async run({ client, Bucket }) {
      const bytes = someBytes(150_000);
      const name = `Checksum${ChecksumAlgorithm}` as const;
      const before = await client.send(new s3.PutObjectCommand({ Bucket, Key: "b", Body: bytes, ChecksumAlgorithm }));
      const Body = Readable.from([bytes.subarray(0, 70_000), bytes.subarray(70_000)]);
      const streamed = { Bucket, Key: "a", Body, ContentLength: bytes.length, ChecksumAlgorithm };
      const after = await client.send(new s3.PutObjectCommand(streamed));
      assert(before[name], "the answer tells it");
      assert.equal(after[name], before[name]);
      for (const Key of ["a", "b"]) {
        const head = await client.send(new s3.HeadObjectCommand({ Bucket, Key, ChecksumMode: "ENABLED" }));
        assert.deepEqual([head[name], head.ChecksumType, head.ContentLength], [before[name], "FULL_OBJECT", 150_000]);
        const got = await client.send(new s3.GetObjectCommand({ Bucket, Key, ChecksumMode: "ENABLED" }));
        assertSame(await got.Body!.transformToByteArray(), bytes); // the SDK checks it too
      }
      const wrong = { Bucket, Key: "b", Body: "other bytes", [name]: before[name] };
      await fails(client.send(new s3.PutObjectCommand(wrong)), 400, "BadDigest");
      const head = await client.send(new s3.HeadObjectCommand({ Bucket, Key: "b" }));
      assert.equal(head.ContentLength, 150_000, "what was refused changed nothing");
    },
  })),
  {
    name: "presigned URLs",
    async run({ client, Bucket }) {
      const Key = "p/ü +%.txt";
      const up = await getSignedUrl(client, new s3.PutObjectCommand({ Bucket, Key }), { expiresIn: 60 });
      const sent = await fetch(up, { method: "PUT", body: "presigned" });
      assert.equal(sent.status, 200, await sent.text());
      const down = await getSignedUrl(client, new s3.GetObjectCommand({ Bucket, Key }), { expiresIn: 60 });
      const got = await fetch(down);
      assert.equal(await got.text(), "presigned");
    },
  },
  {
    name: "presigned URLs that are changed",
    s3rver: "it lets them pass",
    async run(asked) {
      const { client, Bucket } = asked;
      for (const Key of ["mine", "other"]) await put(asked, Key);
      const url = await getSignedUrl(client, new s3.GetObjectCommand({ Bucket, Key: "mine" }), { expiresIn: 60 });
      const changes: [from: RegExp, to: string][] = [
        [/X-Amz-Signature=[0-9a-f]{8}/, "X-Amz-Signature=00000000"],
        [/\/mine\?/, "/other?"],
        [/X-Amz-Expires=60/, "X-Amz-Expires=6000"],
        [/$/, "&response-content-type=text/html"],
      ];
      for (const [from, to] of changes) {
        const forged = await fetch(url.replace(from, to));
        assert.equal(forged.status, 403);
        assert.match(await forged.text(), /<Code>SignatureDoesNotMatch<\/Code>/);
      }
      const written = await fetch(url, { method: "PUT", body: "x" });
      assert.equal(written.status, 403, await written.text());
    },
  },
  {
    name: "a wrong secret, an unknown key",
    s3rver: "it lets a wrong signature pass",
    async run({ server, Bucket }) {
      const { accessKeyId, secretAccessKey } = server.credentials;
      for (
        const [credentials, name] of [
          [{ accessKeyId, secretAccessKey: "wrong" }, "SignatureDoesNotMatch"],
          [{ accessKeyId: "nobody", secretAccessKey }, "InvalidAccessKeyId"],
        ] as const
      ) {
        const client = clientOf({ ...server, credentials } as S3Server);
        await fails(client.send(new s3.PutObjectCommand({ Bucket, Key: "x", Body: "x" })), 403, name);
        await fails(client.send(new s3.GetObjectCommand({ Bucket, Key: "x" })), 403, name);
        client.destroy();
      }
    },
  },
  {
    name: "tags of objects",
    s3rver: "it forgets the tags that come with an upload",
    async run(asked) {
      const { client, Bucket } = asked;
      await client.send(new s3.PutObjectCommand({ Bucket, Key: "t", Body: "x", Tagging: "a=1&b=%C3%BC" }));
      const tags = async (Key: string) =>
        (await client.send(new s3.GetObjectTaggingCommand({ Bucket, Key }))).TagSet!.map((
          { Key, Value },
        ) => [Key, Value]);
      assert.deepEqual(await tags("t"), [["a", "1"], ["b", "ü"]]);
      const Tagging = { TagSet: [{ Key: "c", Value: "<3>" }] };
      await client.send(new s3.PutObjectTaggingCommand({ Bucket, Key: "t", Tagging }));
      assert.deepEqual(await tags("t"), [["c", "<3>"]]);
      assert.equal(new TextDecoder().decode(await read(asked, "t")), "x");
    },
  },
  {
    name: "buckets: made, found, listed, removed when empty",
    async run({ client, Bucket }) {
      const other = `${Bucket}-other`;
      await client.send(new s3.CreateBucketCommand({ Bucket: other }));
      await client.send(new s3.HeadBucketCommand({ Bucket: other }));
      const { Buckets } = await client.send(new s3.ListBucketsCommand({}));
      assert([Bucket, other].every((name) => Buckets!.some(({ Name }) => Name === name)));
      await client.send(new s3.PutObjectCommand({ Bucket: other, Key: "a/b", Body: "x" }));
      await fails(client.send(new s3.DeleteBucketCommand({ Bucket: other })), 409, "BucketNotEmpty");
      await client.send(new s3.DeleteObjectCommand({ Bucket: other, Key: "a/b" }));
      await client.send(new s3.DeleteBucketCommand({ Bucket: other }));
      await fails(client.send(new s3.HeadBucketCommand({ Bucket: other })), 404, "NotFound");
    },
  },
];

/** Runs every check on a server, each in a bucket of its own. */
export async function runChecks(
  server: S3Server,
  step: (name: string, run: () => Promise<void>, check: S3Check) => Promise<unknown>,
): Promise<void> {
  const client = clientOf(server);
  for (const [at, check] of S3_CHECKS.entries()) {
    await step(check.name, async () => {
      const Bucket = `check-${at}`;
      await client.send(new s3.CreateBucketCommand({ Bucket }));
      await check.run({ server, client, Bucket });
    }, check);
  }
  client.destroy();
}
