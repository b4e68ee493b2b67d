/** Parts at their place in the object: whatever comes in whatever order, the object is what was sent. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { endAssembly } from "../../../core/s3/assembly.ts";
import { Bucket } from "../../../core/s3/bucket.ts";
import { S3Error } from "../../../core/s3/error.ts";
import { beginUpload, completeUpload, needUpload, putPart, uploadParts } from "../../../core/s3/multipart.ts";
import { someBytes } from "../../emulators/s3_checks.ts";
import { temporaryDirectory } from "../../helpers.ts";

const MIB = 2 ** 20;
const FULL = 5 * MIB;
const SOURCE = someBytes(16 * MIB);

/** Bytes of their own for each part and try. */
function bytesOf(number: number, size: number, attempt = 0): Uint8Array {
  return SOURCE.subarray(number * 1_237 + attempt * 311, number * 1_237 + attempt * 311 + size);
}

/** An upload of the key `k`, in a directory that is removed at the end. */
class Uploading {
  readonly root = temporaryDirectory("forkstack-s3-");
  readonly bucket = new Bucket("shop", this.root.path);
  readonly upload = needUpload(this.bucket, "k", beginUpload(this.bucket, { key: "k", startedAt: 0, headers: {} }));
  readonly sent = new Map<number, Uint8Array>();

  /** Sends a part, which waits for `until` half-way. */
  async part(number: number, size = FULL, attempt = 0, until?: Promise<unknown>): Promise<void> {
    const bytes = bytesOf(number, size, attempt);
    async function* pieces() {
      yield bytes.subarray(0, size >> 1);
      await until;
      yield bytes.subarray(size >> 1);
    }
    const md5 = () => createHash("md5").update(bytes).digest("hex");
    const body = { bytes: pieces(), expectedBytes: size, md5, checksum: () => undefined };
    await putPart(this.bucket, { directory: this.upload.directory, number }, body, new Date(0));
    this.sent.set(number, bytes);
  }

  async complete(numbers: readonly number[], condition: () => void = () => {}): Promise<void> {
    const etag = (bytes: Uint8Array) => createHash("md5").update(bytes).digest("hex");
    const named = numbers.map((number) => ({ number, etag: etag(this.sent.get(number)!), checksums: [] }));
    const last = { named, now: new Date(0), condition, stated: undefined, statedBytes: undefined };
    await completeUpload(this.bucket, this.upload, last);
  }

  /** The object is of these parts, and nothing is left of the upload. */
  async check(numbers: readonly number[]): Promise<void> {
    using found = this.bucket.need("k");
    const expected = Buffer.concat(numbers.map((number) => this.sent.get(number)!));
    assert.equal(found.sizeBytes, expected.length);
    const got = Buffer.concat(await Array.fromAsync(found.bytes()));
    assert.equal(Buffer.compare(got, expected), 0);
    assert.deepEqual(found.meta.parts, numbers.map((number) => this.sent.get(number)!.length));
    assert.deepEqual(readdirSync(this.bucket.path("uploads")), []);
    assert.deepEqual(readdirSync(this.bucket.path("tmp")), []);
    assert.equal(statSync(join(this.bucket.objects, "k")).mode & 0o777, 0o444);
  }

  /** The file of the parts; the same number afterwards means that nothing was copied. */
  get inode(): number {
    return statSync(join(this.upload.directory, "whole")).ino;
  }

  get objectInode(): number {
    return statSync(join(this.bucket.objects, "k")).ino;
  }

  [Symbol.dispose](): void {
    this.root[Symbol.dispose]();
  }
}

for (
  const { what, order, numbers, isInPlace } of [
    { what: "in order", order: [[1], [2], [3, 100]], numbers: [1, 2, 3], isInPlace: true },
    { what: "in any order", order: [[2], [3, 2 * MIB], [1]], numbers: [1, 2, 3], isInPlace: true },
    { what: "with one twice", order: [[1], [2], [1, FULL, 1], [3, 100]], numbers: [1, 2, 3], isInPlace: true },
    { what: "the last of them first", order: [[3, 2 * MIB], [1], [2]], numbers: [1, 2, 3], isInPlace: false },
    { what: "of several sizes", order: [[1], [2, 6 * MIB], [3, 7 * MIB]], numbers: [1, 2, 3], isInPlace: true },
    { what: "of which one is shorter", order: [[1, 7 * MIB], [2, FULL], [3]], numbers: [1, 2, 3], isInPlace: false },
    { what: "of which one is not named", order: [[1], [2], [3, MIB]], numbers: [1, 3], isInPlace: false },
    { what: "of which the last is not named", order: [[1], [2], [3]], numbers: [1, 2], isInPlace: true },
    { what: "with gaps in their numbers", order: [[10], [70], [9_999, 3]], numbers: [10, 70, 9_999], isInPlace: false },
    { what: "one small part", order: [[1, 3]], numbers: [1], isInPlace: undefined },
  ] as const
) {
  Deno.test(`parts ${what} make the object${isInPlace === true ? ", without a copy of it" : ""}`, async () => {
    using uploading = new Uploading();
    for (const [number, size, attempt] of order) await uploading.part(number, size, attempt);
    assert.deepEqual(
      uploadParts(uploading.upload.directory).map(({ number, sizeBytes }) => [number, sizeBytes]),
      [...uploading.sent].map(([number, { length }]) => [number, length]).sort(([a], [b]) => a! - b!),
    );
    const inode = isInPlace === undefined ? undefined : uploading.inode;
    await uploading.complete(numbers);
    await uploading.check(numbers);
    if (inode !== undefined) assert.equal(uploading.objectInode === inode, isInPlace);
  });
}

Deno.test("a part that fails half-way may come again, to the same place", async () => {
  using uploading = new Uploading();
  await uploading.part(1);
  const gone = new S3Error("IncompleteBody", "gone");
  await assert.rejects(uploading.part(2, FULL, 1, Promise.reject(gone)), /gone/);
  await uploading.part(2, FULL, 2);
  const { inode } = uploading;
  await uploading.complete([1, 2]);
  await uploading.check([1, 2]);
  assert.equal(uploading.objectInode, inode);
});

Deno.test("a part that is still being sent never changes the object that was made meanwhile", async () => {
  using uploading = new Uploading();
  await uploading.part(1);
  await uploading.part(2);
  const { promise, resolve } = Promise.withResolvers<void>();
  const late = uploading.part(3, FULL, 0, promise);
  await uploading.complete([1, 2]);
  resolve();
  await assert.rejects(late, (error: S3Error) => error.code === "NoSuchUpload");
  await uploading.check([1, 2]);
});

Deno.test("a condition that does not hold leaves the parts, and the next request makes the object", async () => {
  using uploading = new Uploading();
  await uploading.part(1);
  await uploading.part(2);
  const refused = () => {
    throw new S3Error("PreconditionFailed", "not now");
  };
  await assert.rejects(uploading.complete([1, 2], refused), /not now/);
  let asked = 0;
  await assert.rejects(uploading.complete([1, 2], () => ++asked > 1 && refused()), /not now/);
  assert(!existsSync(join(uploading.bucket.objects, "k")));
  await uploading.part(3, 7);
  await uploading.complete([1, 2, 3]);
  await uploading.check([1, 2, 3]);
});

Deno.test("what another process, or this one before, has begun is copied and never written to", async () => {
  using uploading = new Uploading();
  await uploading.part(1);
  endAssembly(uploading.upload.directory); // as after a restart
  await uploading.part(2);
  await uploading.part(1, FULL, 1);
  const { inode } = uploading;
  await uploading.complete([1, 2]);
  await uploading.check([1, 2]);
  assert.notEqual(uploading.objectInode, inode);
});
