/**
 * Copies of a bucket's objects, made by the store itself. Memory stays bounded for any number.
 *
 * - https://docs.aws.amazon.com/AmazonS3/latest/userguide/copy-object.html (5 GiB in one call)
 * - https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPartCopy.html
 */
import { createHash } from "node:crypto";
import type { Context } from "../../core/provider.ts";
import { ForkstackError, isForkstackError } from "../../mod.ts";
import { bareEtag } from "./s3_answers.ts";
import { copySource, isUnknownRequest, type Store, vendorCode } from "./s3_client.ts";
import { differences, type Order } from "./s3_differences.ts";
import { Lanes } from "./s3_lanes.ts";
import { type Amount, objectsOf, type StoredObject } from "./s3_listing.ts";
import { removeBatch } from "./s3_removal.ts";

/** The source and target of a copy. */
export interface CopyJob {
  readonly from: string;
  readonly to: string;
  /** Returns true for keys that are copied; others are left alone in the target. */
  readonly takes: (key: string) => boolean;
  /** Largest object in bytes that one call copies. @default {5 GiB} */
  readonly callBytes?: number;
  /** Size of a part in bytes, for larger objects. @default {512 MiB} */
  readonly partBytes?: number;
}

const GIB = 2 ** 30;
const ROUNDS = 4;
/** Most attempts at one object that changes meanwhile. */
const TRIES = 4;

/**
 * Makes the target's objects those of the source, and looks again until nothing differs: the second look verifies the
 * first. Objects that an earlier attempt copied are not copied again, and what the source has lost since is removed. An
 * object that changes meanwhile is copied in a state that it had since the beginning.
 */
export async function copyObjects(context: Context, store: Store, job: CopyJob, amount: Amount): Promise<void> {
  const began = context.now().getTime();
  const done = { objects: 0, tellAfterMs: began + 1_000 };
  const lanes = new Lanes(context);
  const copies = await Copies.of(context, job.to);
  const order: Order = { isByBytes: true };
  let earlier = new Map<string, string>(); // what lacked in the round before, but for the first: the ETag by key
  for (let round = 1;; round++) {
    const lacking = new Map<string, string>();
    const { isByBytes } = order;
    let [found, unmoved] = [0, 0];
    const listings = {
      source: takenOf(store, job, job.from),
      target: takenOf(store, job, job.to),
      isSame: copies.isSame,
    };
    await lanes.each(differences(listings, order), async (one) => {
      found++;
      if ("extra" in one) return await removeBatch(store, job.to, one.extra.map((Key) => ({ Key })));
      const { lacking: object } = one;
      if (earlier.get(object.key) === object.etag) unmoved++;
      if (round > ROUNDS) return;
      if (round > 1) lacking.set(object.key, object.etag);
      await copyObject(context, store, job, object, copies);
      done.objects++;
      tell(context, done, amount.objects, began);
    });
    if (order.isByBytes !== isByBytes) { // it was cut off, and shows nothing
      round--;
      continue;
    }
    if (unmoved > 0 && round > ROUNDS) throw notWhole(store, job, unmoved);
    // Whatever still differs was copied, and changed since.
    if (found === 0 || (round > 2 && unmoved === 0)) return;
    earlier = lacking;
  }
}

async function* takenOf(store: Store, { takes }: CopyJob, bucket: string): AsyncGenerator<StoredObject> {
  for await (const object of objectsOf(store, bucket)) if (takes(object.key)) yield object;
}

/**
 * Copies with another ETag than their source: of what came in parts, or what the store encrypts. No clock is asked,
 * since those of many stores go by whole seconds: the store itself said which ETag it gave the copy of which.
 */
class Copies {
  readonly #context: Context;
  readonly #digests: Set<number>;

  private constructor(context: Context, digests: Iterable<number>) {
    this.#context = context;
    this.#digests = new Set(digests);
  }

  /** Those of earlier attempts, as far as they are on record, which large ones are. */
  static async of(context: Context, bucket: string): Promise<Copies> {
    const told = await context.recorded(bucket);
    return new Copies(context, told.filter(({ step }) => step === COPIED).map(({ id }) => Number(id)));
  }

  /** Returns true if a copy is current. */
  readonly isSame = (source: StoredObject, copy: StoredObject): boolean =>
    source.sizeBytes === copy.sizeBytes &&
    (bareEtag(source.etag) === bareEtag(copy.etag) || this.#digests.has(digestOf(source, copy.etag)));

  /** Notes a copy, with the ETag that the store gave it. */
  async add(source: StoredObject, etag: string, isLarge: boolean): Promise<void> {
    if (etag === "" || etag === bareEtag(source.etag)) return;
    const digest = digestOf(source, etag);
    this.#digests.add(digest);
    if (isLarge) await this.#context.record(COPIED, String(digest));
  }
}

/** The journal step of a large object's copy: the digest of its key and both ETags. */
const COPIED = "copied";

/** Returns 48 bits of a hash: a million of them take 40 MiB, and texts many times that. */
function digestOf({ key, etag }: StoredObject, copy: string): number {
  const text = [key, bareEtag(etag), bareEtag(copy)].join("\n");
  return createHash("sha256").update(text).digest().readUIntBE(0, 6);
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

/** Copies an object in a state that it has now; one that is gone meanwhile is left out. */
async function copyObject(
  context: Context,
  store: Store,
  job: CopyJob,
  object: StoredObject,
  copies: Copies,
): Promise<void> {
  const { from, to, callBytes = 5 * GIB } = job;
  const { key } = object;
  for (let [seen, tries] = [object, 1];; tries++) {
    const isLarge = seen.sizeBytes > callBytes;
    try {
      // One call copies one state in any case: where it always is another by then, any will do.
      if (!isLarge && tries === TRIES) return void await store.copy(from, to, key);
      const etag = isLarge ? await copyInParts(store, job, seen) : await store.copy(from, to, key, seen.etag);
      if (etag !== undefined) return await copies.add(seen, etag, isLarge);
    } catch (error) {
      if (vendorCode(error) === "NoSuchKey") return; // it went away meanwhile
      if (!isForkstackError(error) || error.details.status !== 412) throw error; // of a HEAD there is no code
    }
    context.signal.throwIfAborted();
    if (tries === TRIES) throw restless(store, job, key);
    const changed = await headOf(store, from, key);
    if (changed === undefined) return;
    seen = changed;
  }
}

/**
 * Copies a large object in parts, and returns the copy's ETag; `undefined` if the object changed meanwhile. Metadata and
 * tags are not copied by that, so they are read first and sent along.
 */
async function copyInParts(
  store: Store,
  job: CopyJob,
  { key, etag, sizeBytes }: StoredObject,
): Promise<string | undefined> {
  const { from, to, partBytes = GIB / 2 } = job;
  const { sdk } = store;
  const what = `copy object "${key}" to bucket "${to}"`;
  // Not every store knows conditions, least of all on parts: so the ETag is looked at before and after.
  const look = () => store.send(new sdk.HeadObjectCommand({ Bucket: from, Key: key, IfMatch: etag }), what);
  const head = await look();
  if (bareEtag(head.ETag) !== bareEtag(etag)) return undefined;
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
      WebsiteRedirectLocation: head.WebsiteRedirectLocation,
      StorageClass: head.StorageClass,
      Tagging: tags,
    }),
    what,
    head.ExpiresString === undefined ? {} : { sent: { expires: head.ExpiresString } }, // it need not be a date
  );
  const abandon = () => store.send(new sdk.AbortMultipartUploadCommand({ ...target, UploadId }), what).catch(() => {});
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
    if (bareEtag((await look()).ETag) !== bareEtag(etag)) {
      await abandon();
      return undefined;
    }
    const complete = { ...target, UploadId, MultipartUpload: { Parts: parts } };
    return (await store.send(new sdk.CompleteMultipartUploadCommand(complete), what)).ETag ?? "";
  } catch (error) {
    await abandon(); // what fails here too is ended by endUploads
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
    if (isUnknownRequest(error)) return undefined; // this store has no tags
    throw error;
  }
}

async function headOf(store: Store, bucket: string, key: string): Promise<StoredObject | undefined> {
  try {
    const head = await store.send(
      new store.sdk.HeadObjectCommand({ Bucket: bucket, Key: key }),
      `read object "${key}"`,
    );
    const { ContentLength = 0, ETag = "" } = head;
    return { key, sizeBytes: ContentLength, etag: ETag };
  } catch (error) {
    if (isForkstackError(error) && error.details.status === 404) return undefined;
    throw error;
  }
}

function restless({ account: { provider, resource } }: Store, { from }: CopyJob, key: string): ForkstackError {
  return new ForkstackError(
    "PARENT_BUSY",
    `Cannot copy object "${key}" of bucket "${from}": it changes more often than it can be copied`,
    {
      hint: "Stop what writes it, or leave it out with `exclude`; then run the same command again",
      retryable: true,
      details: { provider, resource },
    },
  );
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
