/**
 * The objects of a bucket: listed, copied into another bucket by the store itself, removed. Memory stays bounded for
 * any number.
 *
 * - Copying: https://docs.aws.amazon.com/AmazonS3/latest/userguide/copy-object.html (5 GiB in one call)
 * - In parts: https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPartCopy.html
 * - Removing: https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html (1,000 keys, 200 even when some
 * fail)
 */
import type { ListMultipartUploadsCommand } from "npm:@aws-sdk/client-s3@3.1162.0";
import { Buffer } from "node:buffer";
import { forEach } from "../../core/system/concurrency.ts";
import type { Context } from "../../core/provider.ts";
import { ForkstackError, isForkstackError } from "../../mod.ts";
import { copySource, type Store, vendorCode } from "./s3_client.ts";

/** An object in a listing. */
export interface StoredObject {
  readonly key: string;
  readonly sizeBytes: number;
  readonly etag: string;
  readonly modifiedMs: number;
}

/** The source and target of a copy. */
export interface CopyJob {
  readonly from: string;
  readonly to: string;
  /** Returns true for keys that the fork gets. */
  readonly takes: (key: string) => boolean;
  /** Largest object in bytes that one call copies. @default {5 GiB} */
  readonly callBytes?: number;
  /** Size of a part in bytes, for larger objects. @default {512 MiB} */
  readonly partBytes?: number;
}

/** The number and size of objects. */
export interface Amount {
  readonly objects: number;
  readonly sizeBytes: number;
}

const GIB = 2 ** 30;
const LANES = 8;
const ROUNDS = 4;
/** Most attempts at one object while the store asks to slow down. */
const TRIES = 8;

/**
 * Yields the objects of a bucket in the order of their keys' bytes; the next page is requested while one is processed.
 */
export async function* objectsOf(store: Store, bucket: string): AsyncGenerator<StoredObject> {
  let next: Promise<Page> | undefined = pageOf(store, bucket);
  let token: string | undefined;
  try {
    while (next !== undefined) {
      const page: Page = await next;
      if (page.next !== undefined && page.next === token) throw unreadable(bucket, "a page leads back to itself");
      token = page.next;
      next = token === undefined ? undefined : pageOf(store, bucket, token);
      yield* page.objects;
    }
  } finally {
    await next?.catch(() => {}); // nothing of ours stays under way
  }
}

interface Page {
  readonly objects: readonly StoredObject[];
  readonly next: string | undefined;
}

function pageOf(store: Store, bucket: string, token?: string): Promise<Page> {
  const query = {
    "encoding-type": "url", // XML can't hold every key
    "list-type": "2",
    "continuation-token": token,
  };
  const what = `list bucket "${bucket}"`;
  const page = store.ask({ method: "GET", path: bucket, query, root: "ListBucketResult" }, what).then((text) => {
    const isEncoded = textIn(text, "EncodingType") === "url";
    const objects = Array.from(text.matchAll(/<Contents>(.*?)<\/Contents>/gs), ([, one]) => {
      const key = textIn(one, "Key") ?? "";
      return {
        key: isEncoded ? decodedKey(key) : key,
        sizeBytes: Number(textIn(one, "Size") ?? 0),
        etag: textIn(one, "ETag") ?? "",
        modifiedMs: Date.parse(textIn(one, "LastModified") ?? "") || 0,
      };
    });
    if (Number(textIn(text, "KeyCount") ?? objects.length) !== objects.length) {
      throw unreadable(bucket, "it can't be read whole");
    }
    return {
      objects,
      next: textIn(text, "IsTruncated") === "true" ? textIn(text, "NextContinuationToken") : undefined,
    };
  });
  page.catch(() => {}); // told by who waits for it
  return page;
}

const ENTITIES: Readonly<Record<string, string>> = { quot: '"', amp: "&", lt: "<", gt: ">", apos: "'" };

/**
 * Returns the text of the first element of a name. An XML parser takes six times as long, and 60 MiB more, for a
 * million keys.
 */
function textIn(xml: string, name: string): string | undefined {
  const at = xml.indexOf(`<${name}>`);
  if (at < 0) return undefined;
  const text = xml.slice(at + name.length + 2, xml.indexOf("<", at + 1));
  return text.replace(/&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi, (all, hex?: string, decimal?: string, known = "") => {
    const code = hex === undefined ? Number(decimal) : parseInt(hex, 16);
    return Number.isNaN(code) ? ENTITIES[known] ?? all : String.fromCodePoint(code);
  });
}

/** Decodes a key of a listing. */
function decodedKey(key: string): string {
  return decodeURIComponent(key.replaceAll("+", " "));
}

/** Returns the number and size of a bucket's objects that a fork gets. */
export async function amountOf(store: Store, bucket: string, takes: (key: string) => boolean): Promise<Amount> {
  let [objects, sizeBytes] = [0, 0];
  for await (const one of objectsOf(store, bucket)) {
    if (!takes(one.key)) continue;
    objects++;
    sizeBytes += one.sizeBytes;
  }
  return { objects, sizeBytes };
}

/**
 * Copies the missing objects, and looks again until none is missing: the second look verifies the first. Objects that
 * an earlier attempt copied are not copied again. An object that changes or disappears meanwhile is copied in a state
 * that it had since the beginning.
 */
export async function copyObjects(context: Context, store: Store, job: CopyJob, amount: Amount): Promise<void> {
  const began = context.now().getTime();
  const done = { objects: 0, tellAfterMs: began + 1_000 };
  const lanes = new Lanes(context);
  let earlier = new Map<string, string>(); // what lacked in the round before, but for the first: the ETag by key
  for (let round = 1;; round++) {
    const lacking = new Map<string, string>();
    let [found, unmoved] = [0, 0];
    await lanes.each(lackingObjects(store, job), async (object) => {
      found++;
      if (earlier.get(object.key) === object.etag) unmoved++;
      if (round > ROUNDS) return;
      if (round > 1) lacking.set(object.key, object.etag);
      await copyObject(context, store, job, object);
      done.objects++;
      tell(context, done, amount.objects, began);
    });
    if (unmoved > 0 && round > ROUNDS) throw notWhole(store, job, unmoved);
    // Whatever still differs was copied, and changed since.
    if (found === 0 || (round > 2 && unmoved === 0)) return;
    earlier = lacking;
  }
}

/** Reports the progress at most once a second: number, speed, time left. */
function tell(context: Context, done: { objects: number; tellAfterMs: number }, all: number, began: number): void {
  const now = context.now().getTime();
  if (now < done.tellAfterMs) return;
  done.tellAfterMs = now + 1_000;
  const rate = done.objects / ((now - began) / 1_000);
  const left = Math.max(0, Math.round((all - done.objects) / rate));
  context.progress(
    `${done.objects.toLocaleString("en")} of ${all.toLocaleString("en")} objects, ${
      Math.round(rate)
    } a second, ${left} s left`,
  );
}

/** Yields the objects that the target lacks, by walking both listings side by side. */
async function* lackingObjects(store: Store, job: CopyJob): AsyncGenerator<StoredObject> {
  const there = objectsOf(store, job.to);
  let other = await there.next();
  try {
    for await (const object of objectsOf(store, job.from)) {
      if (!job.takes(object.key)) continue;
      while (!other.done && order(other.value.key, object.key) < 0) other = await there.next();
      if (other.done || other.value.key !== object.key || !isSame(object, other.value)) yield object;
    }
  } finally {
    await there.return(undefined);
  }
}

/**
 * Returns true if a copy is current. It has its source's ETag, except for objects that came in parts or that the store
 * encrypts: then it is newer. Only the job writes to the target, so a newer object there is a copy.
 */
function isSame(source: StoredObject, copy: StoredObject): boolean {
  return source.sizeBytes === copy.sizeBytes && (source.etag === copy.etag || copy.modifiedMs > source.modifiedMs);
}

/** Compares keys in the order of UTF-8, as listings do, which is not the order of JavaScript's strings. */
function order(a: string, b: string): number {
  return a === b ? 0 : Buffer.compare(Buffer.from(a), Buffer.from(b));
}

async function copyObject(context: Context, store: Store, job: CopyJob, object: StoredObject): Promise<void> {
  const { callBytes = 5 * GIB } = job;
  for (let seen: StoredObject | undefined = object; seen !== undefined;) {
    try {
      return seen.sizeBytes > callBytes
        ? await copyInParts(store, job, seen)
        : await store.copy(job.from, job.to, seen.key, seen.etag);
    } catch (error) {
      if (vendorCode(error) === "NoSuchKey") return; // it went away meanwhile
      if (!isForkstackError(error) || error.details.status !== 412) throw error; // of a HEAD there is no code
      context.signal.throwIfAborted();
      seen = await headOf(store, job.from, object.key); // it changed meanwhile
    }
  }
}

/** Copies a large object in parts. Metadata and tags are not copied by that, so they are read first and sent along. */
async function copyInParts(store: Store, job: CopyJob, { key, etag, sizeBytes }: StoredObject): Promise<void> {
  const { from, to, partBytes = GIB / 2 } = job;
  const { sdk } = store;
  const what = `copy object "${key}" to bucket "${to}"`;
  const head = await store.send(new sdk.HeadObjectCommand({ Bucket: from, Key: key, IfMatch: etag }), what);
  const tags = await tagsOf(store, from, key);
  const target = { Bucket: to, Key: key };
  const { UploadId } = await store.send(
    new sdk.CreateMultipartUploadCommand({
      ...target,
      Metadata: head.Metadata,
      ContentType: head.ContentType,
      ContentEncoding: head.ContentEncoding,
      ContentDisposition: head.ContentDisposition,
      ContentLanguage: head.ContentLanguage,
      CacheControl: head.CacheControl,
      Expires: head.ExpiresString === undefined ? undefined : new Date(head.ExpiresString),
      StorageClass: head.StorageClass,
      Tagging: tags,
    }),
    what,
  );
  try {
    const parts: { PartNumber: number; ETag: string | undefined }[] = [];
    for (let first = 0; first < sizeBytes; first += partBytes) {
      const number = parts.length + 1;
      const last = Math.min(first + partBytes, sizeBytes) - 1;
      const { CopyPartResult } = await store.send(
        new sdk.UploadPartCopyCommand({
          ...target,
          UploadId,
          PartNumber: number,
          CopySource: copySource(from, key),
          CopySourceRange: `bytes=${first}-${last}`,
        }),
        what,
      );
      parts.push({ PartNumber: number, ETag: CopyPartResult?.ETag });
    }
    // Not every store knows conditions on parts: what changed meanwhile is found here, and begun again.
    await store.send(new sdk.HeadObjectCommand({ Bucket: from, Key: key, IfMatch: etag }), what);
    await store.send(
      new sdk.CompleteMultipartUploadCommand({ ...target, UploadId, MultipartUpload: { Parts: parts } }),
      what,
    );
  } catch (error) {
    await store.send(new sdk.AbortMultipartUploadCommand({ ...target, UploadId }), what).catch(() => {}); // see endUploads
    throw error;
  }
}

async function tagsOf(store: Store, bucket: string, key: string): Promise<string | undefined> {
  try {
    const command = new store.sdk.GetObjectTaggingCommand({ Bucket: bucket, Key: key });
    const { TagSet = [] } = await store.send(command, `read the tags of object "${key}"`);
    if (TagSet.length === 0) return undefined;
    return new URLSearchParams(TagSet.map(({ Key = "", Value = "" }) => [Key, Value])).toString();
  } catch (error) {
    if (vendorCode(error) === "NotImplemented") return undefined; // this store has no tags
    throw error;
  }
}

async function headOf(store: Store, bucket: string, key: string): Promise<StoredObject | undefined> {
  try {
    const head = await store.send(
      new store.sdk.HeadObjectCommand({ Bucket: bucket, Key: key }),
      `read object "${key}"`,
    );
    const { ContentLength = 0, ETag = "", LastModified } = head;
    return { key, sizeBytes: ContentLength, etag: ETag, modifiedMs: LastModified?.getTime() ?? 0 };
  } catch (error) {
    if (isForkstackError(error) && error.details.status === 404) return undefined;
    throw error;
  }
}

/** Removes all objects with all their versions, except the one to keep, and all unfinished uploads. */
export async function emptyBucket(context: Context, store: Store, bucket: string, kept?: string): Promise<void> {
  const lanes = new Lanes(context, 4);
  await lanes.each(batches(versionsOf(store, bucket), kept), (batch) => removeBatch(store, bucket, batch));
  await endUploads(context, store, bucket);
}

/** Ends unfinished uploads: they cost as objects do, and no listing shows them. */
export async function endUploads(context: Context, store: Store, bucket: string): Promise<void> {
  await new Lanes(context, 4).each(uploadsOf(store, bucket), async ({ Key, UploadId }) => {
    const command = new store.sdk.AbortMultipartUploadCommand({ Bucket: bucket, Key, UploadId });
    await store.send(command, `end the upload of "${Key}"`).catch((error) => {
      if (vendorCode(error) !== "NoSuchUpload") throw error;
    });
  });
}

interface Version {
  readonly Key: string;
  readonly VersionId?: string;
}

async function* versionsOf(store: Store, bucket: string): AsyncGenerator<Version> {
  let marker: { KeyMarker?: string; VersionIdMarker?: string } = {};
  for (;;) {
    const command = new store.sdk.ListObjectVersionsCommand({ Bucket: bucket, EncodingType: "url", ...marker });
    let page;
    try {
      page = await store.send(command, `list the versions of bucket "${bucket}"`);
    } catch (error) {
      if (!/^(NotImplemented|MethodNotAllowed)$/.test(vendorCode(error) ?? "")) throw error;
      for await (const { key } of objectsOf(store, bucket)) yield { Key: key }; // this store has no versions
      return;
    }
    const decoded = (key = "") => page.EncodingType === "url" ? decodedKey(key) : key;
    for (const { Key, VersionId } of [...page.Versions ?? [], ...page.DeleteMarkers ?? []]) {
      yield { Key: decoded(Key), VersionId: VersionId === undefined || VersionId === "null" ? undefined : VersionId };
    }
    if (!page.IsTruncated) return;
    const next = { KeyMarker: decoded(page.NextKeyMarker), VersionIdMarker: page.NextVersionIdMarker };
    if (next.KeyMarker === marker.KeyMarker && next.VersionIdMarker === marker.VersionIdMarker) {
      throw unreadable(bucket, "a page leads back to itself");
    }
    marker = next;
  }
}

async function* batches(versions: AsyncIterable<Version>, kept: string | undefined): AsyncGenerator<Version[]> {
  let batch: Version[] = [];
  for await (const version of versions) {
    if (version.Key === kept) continue;
    batch.push(version);
    if (batch.length < 1_000) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

/** Characters that no XML document can hold, so that such keys are deleted one by one. */
// deno-lint-ignore no-control-regex
const NOT_IN_XML = /[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/;

async function removeBatch(store: Store, bucket: string, batch: Version[]): Promise<void> {
  const what = `empty bucket "${bucket}"`;
  for (const version of batch.filter(({ Key }) => NOT_IN_XML.test(Key))) {
    await store.send(new store.sdk.DeleteObjectCommand({ Bucket: bucket, ...version }), what);
  }
  const Objects = batch.filter(({ Key }) => !NOT_IN_XML.test(Key));
  if (Objects.length === 0) return;
  const command = new store.sdk.DeleteObjectsCommand({ Bucket: bucket, Delete: { Objects, Quiet: true } });
  const { Errors = [], $metadata: { requestId } } = await store.send(command, what);
  const [first] = Errors.filter(({ Code }) => Code !== "NoSuchKey" && Code !== "NoSuchVersion");
  if (first === undefined) return;
  const isLocked = first.Code === "AccessDenied" && /lock|retention|hold/i.test(first.Message ?? "");
  throw new ForkstackError(
    isLocked ? "RESOURCE_LOCKED" : "DELETE_INCOMPLETE",
    `Cannot ${what}: ${Errors.length} of its objects cannot be removed (${first.Code})`,
    {
      hint: isLocked
        ? "Object Lock keeps them until their retention ends; then run the same command again"
        : "Run the same command again",
      retryable: !isLocked,
      details: {
        provider: store.account.provider,
        resource: store.account.resource,
        requestId,
      },
    },
  );
}

async function* uploadsOf(store: Store, bucket: string): AsyncGenerator<{ Key?: string; UploadId?: string }> {
  let marker: { KeyMarker?: string; UploadIdMarker?: string } | undefined = {};
  while (marker !== undefined) {
    const command: ListMultipartUploadsCommand = new store.sdk.ListMultipartUploadsCommand({
      Bucket: bucket,
      EncodingType: "url",
      ...marker,
    });
    try {
      const page = await store.send(command, `list the uploads of bucket "${bucket}"`);
      const decoded = (key = "") => page.EncodingType === "url" ? decodedKey(key) : key;
      for (const { Key, UploadId } of page.Uploads ?? []) yield { Key: decoded(Key), UploadId };
      marker = page.IsTruncated
        ? { KeyMarker: decoded(page.NextKeyMarker), UploadIdMarker: page.NextUploadIdMarker }
        : undefined;
    } catch (error) {
      if (vendorCode(error) !== "NotImplemented") throw error;
      return; // this store lists none
    }
  }
}

/** Parallel work on many items, slower while the store asks for it. */
class Lanes {
  readonly #context: Context;
  readonly #count: number;
  #pause: Promise<void> = Promise.resolve();

  constructor(context: Context, count = LANES) {
    this.#context = context;
    this.#count = count;
  }

  /**
   * Works on each item; after the first failure no further item is begun, and it rejects once running ones have ended.
   */
  async each<T>(items: AsyncGenerator<T>, work: (item: T) => Promise<void>): Promise<void> {
    const { signal } = this.#context;
    await forEach(items, (item) => this.#patiently(() => work(item)), { limit: this.#count, signal });
  }

  async #patiently(work: () => Promise<void>): Promise<void> {
    for (let attempt = 1;; attempt++) {
      await this.#pause;
      this.#context.signal.throwIfAborted();
      try {
        return await work();
      } catch (error) {
        if (!isForkstackError(error) || !error.retryable || attempt === TRIES) throw error;
        const pause = this.#context.sleep(Math.min(100 * 2 ** attempt, 10_000));
        this.#pause = pause.catch(() => {}); // of all lanes: the store is one
        await pause;
      }
    }
  }
}

function notWhole({ account: { provider, resource } }: Store, { to }: CopyJob, lacking: number): ForkstackError {
  return new ForkstackError(
    "COPY_INCOMPLETE",
    `Cannot fill bucket "${to}": ${lacking} objects differ from the parent`,
    {
      hint: "Run the same command again: what is copied stays",
      retryable: true,
      details: { provider, resource },
    },
  );
}

function unreadable(bucket: string, state: string): ForkstackError {
  return new ForkstackError("PROVIDER_UNAVAILABLE", `Cannot list bucket "${bucket}": ${state}`, {
    hint: "Run the same command again",
    retryable: true,
  });
}
