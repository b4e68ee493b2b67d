/** Conditions of writes, copies and deletions, and who owns what, by the real SDK. */
import assert from "node:assert/strict";
import * as s3 from "npm:@aws-sdk/client-s3@3.1162.0";
import { clientOf } from "../../emulators/s3_checks.ts";
import { serveS3 } from "../../emulators/s3_local.ts";

const At = { Bucket: "shop", Key: "k" } as const;

async function status(work: Promise<{ readonly $metadata: { readonly httpStatusCode?: number } }>): Promise<unknown> {
  try {
    return (await work).$metadata.httpStatusCode;
  } catch (error) {
    return (error as s3.S3ServiceException).name;
  }
}

Deno.test("a write or a copy with If-Match or If-None-Match depends on what its key holds", async () => {
  await using server = await serveS3({ buckets: ["shop"] });
  const client = clientOf(server);
  const put = (Body: string, more: Partial<s3.PutObjectCommandInput> = {}) =>
    client.send(new s3.PutObjectCommand({ ...At, Body, ...more }));
  const copy = (more: Partial<s3.CopyObjectCommandInput>) =>
    client.send(new s3.CopyObjectCommand({ ...At, CopySource: "shop/source", ...more }));
  await client.send(new s3.PutObjectCommand({ ...At, Key: "source", Body: "source" }));
  for (const write of [(more: object) => put("new", more), copy]) {
    const { ETag } = await put("old");
    const cases: readonly (readonly [condition: object, there: unknown, absent: unknown])[] = [
      [{ IfNoneMatch: "*" }, "PreconditionFailed", 200],
      [{ IfNoneMatch: ETag }, "PreconditionFailed", 200],
      [{ IfNoneMatch: `"other", ${ETag}` }, "PreconditionFailed", 200],
      [{ IfNoneMatch: '"other"' }, 200, 200],
      [{ IfMatch: "*" }, 200, "NoSuchKey"],
      [{ IfMatch: ETag }, 200, "NoSuchKey"],
      [{ IfMatch: '"other"' }, "PreconditionFailed", "NoSuchKey"],
    ];
    for (const [condition, there, absent] of cases) {
      await put("old");
      assert.equal(await status(write(condition)), there, `${JSON.stringify(condition)}, there`);
      await client.send(new s3.DeleteObjectCommand(At));
      assert.equal(await status(write(condition)), absent, `${JSON.stringify(condition)}, absent`);
    }
  }
  client.destroy();
});

Deno.test("a deletion, alone or in a batch, may expect an ETag, a time and a size; what is gone breaks none", async () => {
  await using server = await serveS3({ buckets: ["shop"] });
  const client = clientOf(server);
  const put = async () => {
    const { ETag } = await client.send(new s3.PutObjectCommand({ ...At, Body: "four" }));
    const { LastModified } = await client.send(new s3.HeadObjectCommand(At));
    return { ETag: ETag!, LastModified: LastModified! };
  };
  const { ETag, LastModified } = await put();
  const old = new Date(LastModified.getTime() - 3_600_000);
  const cases = [
    [{ IfMatch: ETag }, { ETag }, true],
    [{ IfMatch: "*" }, { ETag: "*" }, true],
    [{ IfMatch: '"other"' }, { ETag: '"other"' }, false],
    [{ IfMatchSize: 4 }, { Size: 4 }, true],
    [{ IfMatchSize: 5 }, { Size: 5 }, false],
    [{ IfMatchLastModifiedTime: old }, { LastModifiedTime: old }, false],
    [{ IfMatch: ETag, IfMatchSize: 5 }, { ETag, Size: 5 }, false],
  ] as const;
  const batch = async (object: Partial<s3.ObjectIdentifier>) => {
    const Delete = { Objects: [{ Key: "k", ...object }] };
    const { Deleted, Errors } = await client.send(new s3.DeleteObjectsCommand({ Bucket: "shop", Delete }));
    return Errors?.[0]?.Code ?? Deleted?.length;
  };
  for (const [alone, among, holds] of cases) {
    const what = JSON.stringify(alone);
    await put();
    const remove = () => status(client.send(new s3.DeleteObjectCommand({ ...At, ...alone })));
    assert.equal(await remove(), holds ? 204 : "PreconditionFailed", what);
    await put();
    assert.equal(await batch(among), holds ? 1 : "PreconditionFailed", what);
    await client.send(new s3.DeleteObjectCommand(At));
    assert.deepEqual([await remove(), await batch(among)], [204, 1], `${what}, gone`);
  }
  const { LastModified: now } = await put();
  assert.equal(await batch({ LastModifiedTime: now }), 1);
  client.destroy();
});

Deno.test("a copy onto itself that changes nothing is refused", async () => {
  await using server = await serveS3({ buckets: ["shop", "other"] });
  const client = clientOf(server);
  await client.send(new s3.PutObjectCommand({ ...At, Body: "x" }));
  await client.send(new s3.PutObjectCommand({ Bucket: "other", Key: "k", Body: "y" }));
  const copy = (more: Partial<s3.CopyObjectCommandInput> = {}) =>
    status(client.send(new s3.CopyObjectCommand({ ...At, CopySource: "/shop/k", ...more })));
  assert.equal(await copy(), "InvalidRequest");
  assert.equal(await copy({ CopySource: "shop/%6B" }), "InvalidRequest");
  assert.equal(await copy({ MetadataDirective: "COPY" }), "InvalidRequest");
  assert.equal(await copy({ MetadataDirective: "REPLACE" }), 200);
  assert.equal(await copy({ TaggingDirective: "REPLACE", Tagging: "a=1" }), 200);
  assert.equal(await copy({ CopySource: "other/k" }), 200);
  client.destroy();
});

Deno.test("lists name the owner where S3 does: always in version 1, on request in version 2", async () => {
  await using server = await serveS3({ buckets: ["shop"] });
  const client = clientOf(server);
  await client.send(new s3.PutObjectCommand({ ...At, Body: "x" }));
  await client.send(new s3.CreateMultipartUploadCommand(At));
  const { Bucket } = At;
  const { Owner } = await client.send(new s3.ListBucketsCommand({}));
  assert.equal(typeof Owner?.ID, "string");
  const owners = await Promise.all([
    client.send(new s3.ListObjectsCommand({ Bucket })).then(({ Contents }) => Contents![0]!.Owner),
    client.send(new s3.ListObjectsV2Command({ Bucket, FetchOwner: true })).then(({ Contents }) => Contents![0]!.Owner),
    client.send(new s3.ListObjectVersionsCommand({ Bucket })).then(({ Versions }) => Versions![0]!.Owner),
    client.send(new s3.ListMultipartUploadsCommand({ Bucket })).then(({ Uploads }) => Uploads![0]!.Owner),
  ]);
  assert.deepEqual(owners, [Owner, Owner, Owner, Owner]);
  for (const FetchOwner of [false, undefined]) {
    const { Contents } = await client.send(new s3.ListObjectsV2Command({ Bucket, FetchOwner }));
    assert.equal(Contents![0]!.Owner, undefined);
  }
  client.destroy();
});

Deno.test("the list of buckets comes in pages, and by prefix", async () => {
  const buckets = ["alpha-1", "alpha-2", "alpha-3", "beta"];
  await using server = await serveS3({ buckets });
  const client = clientOf(server);
  const list = (more: s3.ListBucketsCommandInput) => client.send(new s3.ListBucketsCommand(more));
  for (const MaxBuckets of [1, 2, 3, 4, 5]) {
    const names: string[] = [];
    for (
      let ContinuationToken: string | undefined, pages = 0;
      pages === 0 || ContinuationToken !== undefined;
      pages++
    ) {
      const page = await list({ MaxBuckets, ContinuationToken });
      assert(page.Buckets!.length <= MaxBuckets && pages < 5);
      names.push(...page.Buckets!.map(({ Name }) => Name!));
      ContinuationToken = page.ContinuationToken;
    }
    assert.deepEqual(names, buckets);
  }
  assert.deepEqual((await list({ Prefix: "alpha-" })).Buckets!.map(({ Name }) => Name), buckets.slice(0, 3));
  assert.deepEqual((await list({ BucketRegion: "eu-west-1" })).Buckets ?? [], []);
  client.destroy();
});
