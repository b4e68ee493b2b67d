/** Uploads in parts, by the real SDK: their checksums, their parts afterwards, and a last request that comes twice. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import * as s3 from "npm:@aws-sdk/client-s3@3.1162.0";
import { CHECKSUMS } from "../../../core/s3/checksums.ts";
import { joinedChecksum } from "../../../core/s3/joined_checksum.ts";
import { clientOf, someBytes } from "../../emulators/s3_checks.ts";
import { serveS3 } from "../../emulators/s3_local.ts";

type Algorithm = "CRC32" | "CRC32C" | "CRC64NVME" | "SHA1" | "SHA256";
type Type = "FULL_OBJECT" | "COMPOSITE";

const PART = 5 * 2 ** 20;
const WHOLE = someBytes(2 * PART + 12_345);
const PARTS = [WHOLE.subarray(0, PART), WHOLE.subarray(PART, 2 * PART), WHOLE.subarray(2 * PART)];

function checksum(algorithm: string, bytes: Uint8Array): string {
  const digest = CHECKSUMS[algorithm]!();
  digest.update(bytes);
  return digest.digest("base64");
}

/** The checksum of an object in parts, computed from its definition. */
function expectedOf(algorithm: string, type: Type, parts: readonly Uint8Array[]): string {
  if (type === "FULL_OBJECT") return checksum(algorithm, Buffer.concat(parts));
  const all = Buffer.concat(parts.map((part) => Buffer.from(checksum(algorithm, part), "base64")));
  return `${checksum(algorithm, all)}-${parts.length}`;
}

function s3Test(name: string, body: (client: s3.S3Client) => Promise<void>): void {
  Deno.test(name, async () => {
    await using server = await serveS3({ buckets: ["shop"] });
    const client = clientOf(server, { requestChecksumCalculation: "WHEN_REQUIRED" });
    try {
      await body(client);
    } finally {
      client.destroy();
    }
  });
}

async function refused(work: Promise<unknown>, status: number, name: string): Promise<void> {
  await assert.rejects(work, (error: s3.S3ServiceException) => {
    assert.deepEqual([error.$metadata?.httpStatusCode, error.name], [status, name], String(error));
    return true;
  });
}

/** An upload whose parts are there, and the request that completes it. */
async function uploaded(
  client: s3.S3Client,
  Key: string,
  begin: Partial<s3.CreateMultipartUploadCommandInput> = {},
  partOf: (bytes: Uint8Array) => Partial<s3.UploadPartCommandInput> = () => ({}),
): Promise<s3.CompleteMultipartUploadCommandInput> {
  const at = { Bucket: "shop", Key };
  const { UploadId } = await client.send(new s3.CreateMultipartUploadCommand({ ...at, ...begin }));
  const Parts: s3.CompletedPart[] = [];
  for (const [index, Body] of PARTS.entries()) {
    const PartNumber = index + 1;
    const sent = { ...at, UploadId, PartNumber, Body, ...partOf(Body) };
    const { $metadata: _, ...part } = await client.send(new s3.UploadPartCommand(sent));
    Parts.push({ PartNumber, ...part });
  }
  return { ...at, UploadId, MultipartUpload: { Parts } };
}

Deno.test("joinedChecksum() is the checksum of all bytes, whatever the sizes of the parts", () => {
  const bytes = someBytes(70_000);
  for (const sizes of [[70_000], [1, 69_999], [0, 70_000], [65_536, 0, 4_464], [7, 7, 7, 69_979], [35_000, 35_000]]) {
    let at = 0;
    const parts = sizes.map((size) => bytes.subarray(at, at += size));
    for (const algorithm of ["CRC32", "CRC32C", "CRC64NVME"]) {
      const given = parts.map((part) => ({ value: checksum(algorithm, part), sizeBytes: part.length }));
      const { value } = joinedChecksum({ algorithm, type: "FULL_OBJECT" }, given);
      assert.equal(value, checksum(algorithm, bytes), `${algorithm} of ${sizes}`);
    }
  }
});

const FORMS: readonly (readonly [Algorithm, Type])[] = [
  ["CRC32", "FULL_OBJECT"],
  ["CRC32", "COMPOSITE"],
  ["CRC32C", "FULL_OBJECT"],
  ["CRC32C", "COMPOSITE"],
  ["CRC64NVME", "FULL_OBJECT"],
  ["SHA1", "COMPOSITE"],
  ["SHA256", "COMPOSITE"],
];

for (const [ChecksumAlgorithm, ChecksumType] of FORMS) {
  s3Test(`an upload in parts is checked by ${ChecksumAlgorithm}, ${ChecksumType}`, async (client) => {
    const name = `Checksum${ChecksumAlgorithm}` as const;
    const value = expectedOf(ChecksumAlgorithm, ChecksumType, PARTS);
    const begin = { ChecksumAlgorithm, ChecksumType };
    for (const hasOwn of [true, false]) { // a part's checksum of the client's, or computed here
      const complete = await uploaded(
        client,
        "k",
        begin,
        (bytes) => hasOwn ? { [name]: checksum(ChecksumAlgorithm, bytes) } : {},
      );
      const send = (more: Partial<s3.CompleteMultipartUploadCommandInput>) =>
        client.send(new s3.CompleteMultipartUploadCommand({ ...complete, ...more }));
      const listed = await client.send(new s3.ListPartsCommand(complete));
      assert.deepEqual([listed.ChecksumAlgorithm, listed.ChecksumType], [ChecksumAlgorithm, ChecksumType]);
      await refused(send({ [name]: expectedOf(ChecksumAlgorithm, ChecksumType, PARTS.slice(1)) }), 400, "BadDigest");
      await refused(send({ [name]: "bad" }), 400, "BadDigest");
      const other = ChecksumType === "COMPOSITE" ? "FULL_OBJECT" : "COMPOSITE";
      await refused(send({ [name]: value, ChecksumType: other }), 400, "InvalidRequest");
      const otherName = ChecksumAlgorithm === "SHA1" ? "ChecksumSHA256" : "ChecksumSHA1";
      await refused(send({ [otherName]: checksum("SHA1", WHOLE) }), 400, "InvalidRequest");
      await refused(send({ MpuObjectSize: WHOLE.length + 1 }), 400, "InvalidRequest");
      const [first, ...rest] = complete.MultipartUpload!.Parts!;
      const wrong = [{ ...first, [name]: checksum(ChecksumAlgorithm, PARTS[1]!) }, ...rest];
      await refused(send({ MultipartUpload: { Parts: wrong } }), 400, "InvalidPart");
      const done = await send({ [name]: value, ChecksumType, MpuObjectSize: WHOLE.length });
      assert.deepEqual([done[name], done.ChecksumType], [value, ChecksumType]);
      const head = await client.send(new s3.HeadObjectCommand({ Bucket: "shop", Key: "k", ChecksumMode: "ENABLED" }));
      assert.deepEqual([head[name], head.ChecksumType], [value, ChecksumType]);
    }
    const part = { Bucket: "shop", Key: "k", PartNumber: 2, ChecksumMode: "ENABLED" } as const;
    const got = await client.send(new s3.GetObjectCommand(part));
    assert.equal(Buffer.compare(await got.Body!.transformToByteArray(), PARTS[1]!), 0);
    assert.deepEqual([got[name], got.PartsCount], [checksum(ChecksumAlgorithm, PARTS[1]!), 3]);
  });
}

s3Test("the last request of an upload may state a checksum that the first did not ask for", async (client) => {
  const sums = (bytes: Uint8Array) => ({ ChecksumCRC32C: checksum("CRC32C", bytes) });
  const send = (complete: s3.CompleteMultipartUploadCommandInput) =>
    client.send(new s3.CompleteMultipartUploadCommand(complete));
  const composite = expectedOf("CRC32C", "COMPOSITE", PARTS);
  const stated: Partial<s3.CompleteMultipartUploadCommandInput>[] = [
    { ChecksumCRC32C: checksum("CRC32C", WHOLE) },
    { ChecksumCRC32C: composite },
    { ChecksumCRC32C: composite.replace("-3", ""), ChecksumType: "COMPOSITE" },
  ];
  for (const more of stated) {
    const done = await send({ ...await uploaded(client, "k", {}, sums), ...more });
    assert.equal(done.ChecksumCRC32C?.replace("-3", ""), more.ChecksumCRC32C?.replace("-3", ""));
  }
  const none = { ...await uploaded(client, "k"), ...stated[0] };
  await refused(send(none), 400, "InvalidRequest");
});

s3Test("checksums that no upload can have are refused before any part", async (client) => {
  const begin = (more: Partial<s3.CreateMultipartUploadCommandInput>) =>
    client.send(new s3.CreateMultipartUploadCommand({ Bucket: "shop", Key: "k", ...more }));
  const impossible: readonly (readonly [Algorithm, Type])[] = [
    ["SHA1", "FULL_OBJECT"],
    ["SHA256", "FULL_OBJECT"],
    ["CRC64NVME", "COMPOSITE"],
  ];
  for (const [ChecksumAlgorithm, ChecksumType] of impossible) {
    await refused(begin({ ChecksumAlgorithm, ChecksumType }), 400, "InvalidRequest");
  }
  await refused(begin({ ChecksumType: "FULL_OBJECT" }), 400, "InvalidRequest");
  const { UploadId } = await begin({ ChecksumAlgorithm: "SHA256" });
  const part = { Bucket: "shop", Key: "k", UploadId, PartNumber: 1, Body: "x" };
  const other = { ...part, ChecksumCRC32: checksum("CRC32", Buffer.from("x")) };
  await refused(client.send(new s3.UploadPartCommand(other)), 400, "InvalidRequest");
});

s3Test("the request that completes an upload may come again, and answers the same", async (client) => {
  const complete = await uploaded(client, "k", { ChecksumAlgorithm: "SHA256" });
  const send = (more: Partial<s3.CompleteMultipartUploadCommandInput> = {}) =>
    client.send(new s3.CompleteMultipartUploadCommand({ ...complete, ...more }));
  const first = await send({ IfNoneMatch: "*" });
  for (const more of [{ IfNoneMatch: "*" }, {}]) {
    const { $metadata, ...again } = await send(more);
    assert.deepEqual([$metadata.httpStatusCode, { ...first, $metadata: 0 }], [200, { ...again, $metadata: 0 }]);
  }
  const { Parts } = complete.MultipartUpload!;
  await refused(send({ MultipartUpload: { Parts: Parts!.slice(0, 2) } }), 404, "NoSuchUpload");
  await refused(send({ UploadId: "0".repeat(32) }), 404, "NoSuchUpload");
  await refused(send({ Key: "other" }), 404, "NoSuchUpload");
  await client.send(new s3.PutObjectCommand({ Bucket: "shop", Key: "k", Body: "newer" }));
  await refused(send(), 404, "NoSuchUpload");
  await client.send(new s3.DeleteObjectCommand({ Bucket: "shop", Key: "k" }));
  await refused(send(), 404, "NoSuchUpload");
});

s3Test("two requests at once that complete an upload both answer so", async (client) => {
  for (const IfNoneMatch of [undefined, "*"]) {
    await client.send(new s3.DeleteObjectCommand({ Bucket: "shop", Key: "k" }));
    const complete = new s3.CompleteMultipartUploadCommand({ ...await uploaded(client, "k"), IfNoneMatch });
    const [one, other] = await Promise.all([client.send(complete), client.send(complete)]);
    assert.equal(one.ETag, other.ETag);
    const { Body } = await client.send(new s3.GetObjectCommand({ Bucket: "shop", Key: "k" }));
    assert.equal(Buffer.compare(await Body!.transformToByteArray(), WHOLE), 0);
  }
});

s3Test("GetObjectAttributes tells the size, the checksum and the parts, page by page", async (client) => {
  const all = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"] as const;
  const attributes = (Key: string, more: Partial<s3.GetObjectAttributesCommandInput> = {}) =>
    client.send(new s3.GetObjectAttributesCommand({ Bucket: "shop", Key, ObjectAttributes: [...all], ...more }));
  const complete = await uploaded(client, "parts", { ChecksumAlgorithm: "CRC32C" });
  const { ETag } = await client.send(new s3.CompleteMultipartUploadCommand(complete));
  const found = await attributes("parts");
  assert.deepEqual(
    [found.ETag, found.ObjectSize, found.StorageClass, found.Checksum],
    [
      ETag!.replaceAll('"', ""),
      WHOLE.length,
      "STANDARD",
      { ChecksumCRC32C: expectedOf("CRC32C", "COMPOSITE", PARTS), ChecksumType: "COMPOSITE" },
    ],
  );
  const parts = PARTS.map((bytes, at) => ({
    PartNumber: at + 1,
    Size: bytes.length,
    ChecksumCRC32C: checksum("CRC32C", bytes),
  }));
  assert.deepEqual([found.ObjectParts?.TotalPartsCount, found.ObjectParts?.Parts], [3, parts]);
  const page = (await attributes("parts", { MaxParts: 1, PartNumberMarker: "1" })).ObjectParts!;
  assert.deepEqual([page.Parts, page.IsTruncated, page.NextPartNumberMarker], [[parts[1]], true, "2"]);
  const last = (await attributes("parts", { MaxParts: 5, PartNumberMarker: "2" })).ObjectParts!;
  assert.deepEqual([last.Parts, last.IsTruncated], [[parts[2]], false]);

  await client.send(new s3.PutObjectCommand({ Bucket: "shop", Key: "one", Body: "one" }));
  const one = await attributes("one");
  assert.deepEqual([one.ObjectSize, one.ObjectParts, one.Checksum], [3, undefined, undefined]);
  const asked = await attributes("one", { ObjectAttributes: ["ObjectSize"] });
  assert.deepEqual([asked.ObjectSize, asked.ETag, asked.StorageClass], [3, undefined, undefined]);
  await refused(attributes("one", { ObjectAttributes: ["Size" as "ETag"] }), 400, "InvalidArgument");
  await refused(attributes("one", { ObjectAttributes: [] }), 400, "InvalidArgument");
  await refused(attributes("none"), 404, "NoSuchKey");
});

s3Test("a part that an object does not have is InvalidPartNumber", async (client) => {
  const complete = await uploaded(client, "parts");
  await client.send(new s3.CompleteMultipartUploadCommand(complete));
  await client.send(new s3.PutObjectCommand({ Bucket: "shop", Key: "one", Body: "one" }));
  const get = (Key: string, PartNumber: number) =>
    client.send(new s3.GetObjectCommand({ Bucket: "shop", Key, PartNumber }));
  await refused(get("parts", 4), 416, "InvalidPartNumber");
  await refused(get("one", 2), 416, "InvalidPartNumber");
  const whole = await get("one", 1);
  assert.deepEqual([await whole.Body!.transformToString(), whole.PartsCount], ["one", undefined]);
});
