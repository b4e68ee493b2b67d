/**
 * Removal of a bucket's objects with all their versions, and of unfinished uploads. Memory stays bounded for any number.
 *
 * - https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html (1,000 keys, 200 even when some fail)
 */
import type { ListMultipartUploadsCommand } from "npm:@aws-sdk/client-s3@3.1162.0";
import type { Context } from "../../core/provider.ts";
import { type ErrorCode, ForkstackError } from "../../mod.ts";
import { decodedKey } from "./s3_answers.ts";
import { isUnknownRequest, type Store, vendorCode } from "./s3_client.ts";
import { Lanes } from "./s3_lanes.ts";
import { objectsOf, unreadable } from "./s3_listing.ts";

/** Most objects that one request removes. */
export const BATCH = 1_000;

/** An object to remove. */
export interface Version {
  readonly Key: string;
  /** `"null"` names the version that was written while versioning was off; absent: the current one. */
  readonly VersionId?: string | undefined;
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

async function* versionsOf(store: Store, bucket: string): AsyncGenerator<Version> {
  let marker: { KeyMarker?: string; VersionIdMarker?: string } = {};
  for (;;) {
    const command = new store.sdk.ListObjectVersionsCommand({ Bucket: bucket, EncodingType: "url", ...marker });
    let page;
    try {
      page = await store.send(command, `list the versions of bucket "${bucket}"`);
    } catch (error) {
      if (!isUnknownRequest(error)) throw error;
      for await (const { key } of objectsOf(store, bucket)) yield { Key: key }; // this store has no versions
      return;
    }
    const decoded = (key = "") => page.EncodingType === "url" ? decodedKey(key) : key;
    for (const { Key, VersionId } of [...page.Versions ?? [], ...page.DeleteMarkers ?? []]) {
      yield { Key: decoded(Key), VersionId };
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
    if (batch.length < BATCH) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

/** Characters that no XML document can hold, so that such keys are deleted one by one. */
// deno-lint-ignore no-control-regex
const NOT_IN_XML = /[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/;

/** Removes up to a thousand objects; what is gone already is no failure. */
export async function removeBatch(store: Store, bucket: string, batch: readonly Version[]): Promise<void> {
  const what = `empty bucket "${bucket}"`;
  for (const version of batch.filter(({ Key }) => NOT_IN_XML.test(Key))) {
    await store.send(new store.sdk.DeleteObjectCommand({ Bucket: bucket, ...version }), what);
  }
  const Objects = batch.filter(({ Key }) => !NOT_IN_XML.test(Key));
  if (Objects.length === 0) return;
  const command = new store.sdk.DeleteObjectsCommand({ Bucket: bucket, Delete: { Objects, Quiet: true } });
  const { Errors = [], $metadata: { requestId } } = await store.send(command, what);
  const failed = Errors.filter(({ Code }) => Code !== "NoSuchKey" && Code !== "NoSuchVersion");
  const [first] = failed;
  if (first === undefined) return;
  const { provider, resource, hints } = store.account;
  const { code, hint, isPassing } = refusalOf(first, hints.denied);
  throw new ForkstackError(code, `Cannot ${what}: ${failed.length} of its objects cannot be removed (${first.Code})`, {
    hint,
    retryable: isPassing,
    details: { provider, resource, requestId },
    cause: new Error(`${first.Code}: ${(first.Message ?? "").slice(0, 200)}`),
  });
}

/** Returns the meaning of an object's own error in the answer to a request about many. */
function refusalOf(
  { Code = "", Message = "" }: { readonly Code?: string; readonly Message?: string },
  denied: string,
): { readonly code: ErrorCode; readonly hint: string; readonly isPassing: boolean } {
  if (/^(InternalError|SlowDown|ServiceUnavailable|OperationAborted|RequestTimeout)$/.test(Code)) {
    return { code: "DELETE_INCOMPLETE", hint: "Run the same command again", isPassing: true };
  }
  if (Code !== "AccessDenied") return { code: "DELETE_INCOMPLETE", hint: "The cause says why", isPassing: false };
  if (!/lock|retention|hold|worm/i.test(Message)) return { code: "CREDENTIALS_DENIED", hint: denied, isPassing: false };
  const hint = "Object Lock keeps them until their retention ends; then run the same command again";
  return { code: "RESOURCE_LOCKED", hint, isPassing: false };
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
      // This store lists none, or has none: rclone says so by the code of a missing one.
      if (!isUnknownRequest(error) && vendorCode(error) !== "NoSuchUpload") throw error;
      return;
    }
  }
}
