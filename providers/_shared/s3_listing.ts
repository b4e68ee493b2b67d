/** Listings of a bucket's objects, page by page. Memory stays bounded for any number. */
import { ForkstackError } from "../../mod.ts";
import { decodedKey, textIn } from "./s3_answers.ts";
import type { Store } from "./s3_client.ts";

/** An object in a listing. */
export interface StoredObject {
  readonly key: string;
  readonly sizeBytes: number;
  readonly etag: string;
}

/** The number and size of objects. */
export interface Amount {
  readonly objects: number;
  readonly sizeBytes: number;
}

/** Yields the objects of a bucket in the store's order; the next page is requested while one is processed. */
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

/** Returns true if a bucket holds nothing, as far as a listing shows. */
export async function isEmptyBucket(store: Store, bucket: string): Promise<boolean> {
  for await (const _ of objectsOf(store, bucket)) return false;
  return true;
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

/** The error of a listing that can't be used. */
export function unreadable(bucket: string, state: string): ForkstackError {
  return new ForkstackError("PROVIDER_UNAVAILABLE", `Cannot list bucket "${bucket}": ${state}`, {
    hint: "Run the same command again",
    retryable: true,
  });
}
