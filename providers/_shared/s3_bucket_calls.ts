/** Calls about buckets by which most stores that speak S3 are asked. */
import type { Bucket } from "npm:@aws-sdk/client-s3@3.1162.0";
import { isForkstackError } from "../../mod.ts";
import { type Store, vendorCode, type VendorHeaders } from "./s3_client.ts";

/** Looks for a bucket by S3's `HeadBucket`. */
export async function lookByHead(
  store: Store,
  name: string,
  vendor?: VendorHeaders,
): Promise<"absent" | "others" | "there"> {
  for (let isSecond = false;; isSecond = true) {
    try {
      await store.send(new store.sdk.HeadBucketCommand({ Bucket: name }), `look at bucket "${name}"`, vendor);
      return "there";
    } catch (error) {
      if (!isForkstackError(error)) throw error;
      if (error.details.status === 404) return "absent";
      // 403 is said of others' buckets, of our own that the key may not look at, and of keys that are no good at all:
      // the list tells them apart. It may also have set the SDK's clock right, so that a second look counts.
      if (error.details.status !== 403 || await isListed(store, name)) throw error;
      if (isSecond) return "others";
    }
  }
}

/** Returns true if a bucket could not be created because it exists, ours or another's: not every store tells which. */
export function isTaken(error: unknown): boolean {
  return /^BucketAlready(OwnedByYou|Exists)$/.test(vendorCode(error) ?? "");
}

/** Removes an empty bucket by S3's `DeleteBucket`. */
export async function removeBucket(store: Store, name: string): Promise<void> {
  await store.send(new store.sdk.DeleteBucketCommand({ Bucket: name }), `delete bucket "${name}"`);
}

async function isListed(store: Store, name: string): Promise<boolean> {
  for await (const listed of namesOf(store, name)) if (listed === name) return true;
  return false;
}

/** Lists names of buckets with a prefix by S3's `ListBuckets`. */
export async function* namesOf(store: Store, prefix: string): AsyncGenerator<string> {
  for await (const { Name = "" } of listedBuckets(store, prefix)) yield Name;
}

/** Returns the instant of a bucket's creation, as S3 lists it. */
export async function createdAtOf(store: Store, name: string): Promise<string | undefined> {
  for await (const { Name, CreationDate } of listedBuckets(store, name)) {
    if (Name === name) return CreationDate?.toISOString();
  }
  return undefined;
}

async function* listedBuckets(store: Store, prefix: string): AsyncGenerator<Bucket> {
  let token: string | undefined;
  for (;;) {
    const command = new store.sdk.ListBucketsCommand({ MaxBuckets: 1_000, Prefix: prefix, ContinuationToken: token });
    const page = await store.send(command, "list buckets");
    for (const one of page.Buckets ?? []) if (one.Name?.startsWith(prefix)) yield one; // some know no prefix
    if (page.ContinuationToken === undefined || page.ContinuationToken === token) return;
    token = page.ContinuationToken;
  }
}
