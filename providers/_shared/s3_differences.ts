/** Comparison of two listings of one store, whatever order it lists in. */
import { Buffer } from "node:buffer";
import type { StoredObject } from "./s3_listing.ts";
import { BATCH } from "./s3_removal.ts";

/** A difference between the source of a copy and its target. */
export type Difference =
  /** An object of the source that the target lacks, or has with other contents. */
  | { readonly lacking: StoredObject }
  /** Keys of the target that the source does not have. */
  | { readonly extra: readonly string[] };

/** Two listings, and how to compare their objects. */
export interface Listings {
  readonly source: AsyncGenerator<StoredObject>;
  readonly target: AsyncGenerator<StoredObject>;
  /** Returns true if an object and its copy have the same contents. */
  isSame(source: StoredObject, copy: StoredObject): boolean;
}

/** The order of a store's lists, as far as it is known: SeaweedFS lists by directories, Amazon's directory buckets in no order. */
export interface Order {
  /** False once a listing was seen that is not in the order of its keys' bytes. */
  isByBytes: boolean;
}

/**
 * Yields the differences of two listings. In the order of bytes one object of each is held. Where a listing turns out
 * to be in another order, the walk ends there, `order` says so, and the next one holds the keys by which the two are
 * apart.
 */
export async function* differences(listings: Listings, order: Order): AsyncGenerator<Difference> {
  const { isByBytes } = order;
  let extra: string[] = [];
  try {
    for await (const one of isByBytes ? sideBySide(listings, order) : byKey(listings)) {
      if (typeof one !== "string") yield { lacking: one };
      else if (extra.push(one) === BATCH) {
        yield { extra };
        extra = [];
      }
    }
    if (extra.length > 0 && order.isByBytes === isByBytes) yield { extra };
  } finally {
    await listings.source.return(undefined);
    await listings.target.return(undefined);
  }
}

/** Yields objects that lack, and keys that are extra, from two listings in the order of bytes. */
async function* sideBySide({ source, target, isSame }: Listings, order: Order): AsyncGenerator<StoredObject | string> {
  const [sources, targets] = [inOrder(source, order), inOrder(target, order)];
  let [one, other] = [await sources.next(), await targets.next()];
  while (order.isByBytes && !(one.done && other.done)) {
    const way = compareKeys(one.value?.key, other.value?.key);
    if (way < 0 || (way === 0 && !isSame(one.value!, other.value!))) yield one.value!;
    if (way > 0) yield other.value!.key;
    if (way <= 0) one = await sources.next();
    if (way >= 0) other = await targets.next();
  }
}

/** Yields a listing until it leaves the order of bytes, which it notes. */
async function* inOrder(listing: AsyncGenerator<StoredObject>, order: Order): AsyncGenerator<StoredObject> {
  let last: string | undefined;
  for await (const object of listing) {
    if (last !== undefined && compareKeys(last, object.key) >= 0) {
      order.isByBytes = false;
      return;
    }
    last = object.key;
    yield object;
  }
}

/** Yields objects that lack, and keys that are extra, from two listings in any order. */
async function* byKey({ source, target, isSame }: Listings): AsyncGenerator<StoredObject | string> {
  const [sources, targets] = [new Map<string, StoredObject>(), new Map<string, StoredObject>()];
  for (let [one, other] = [await source.next(), await target.next()]; !(one.done && other.done);) {
    if (!one.done) sources.set(one.value.key, one.value);
    if (!other.done) targets.set(other.value.key, other.value);
    for (const key of [one.value?.key, other.value?.key]) {
      const [object, copy] = [sources.get(key ?? ""), targets.get(key ?? "")];
      if (object === undefined || copy === undefined) continue;
      sources.delete(object.key);
      targets.delete(object.key);
      if (!isSame(object, copy)) yield object;
    }
    if (other.done) { // nothing of the source waits for a copy any more
      yield* sources.values();
      sources.clear();
    }
    [one, other] = [one.done ? one : await source.next(), other.done ? other : await target.next()];
  }
  yield* sources.values();
  yield* targets.keys();
}

/**
 * Compares keys in the order of UTF-8, as Amazon lists them, which is not the order of JavaScript's strings; the end of a
 * listing comes after all.
 */
function compareKeys(a: string | undefined, b: string | undefined): number {
  if (a === undefined || b === undefined) return Number(a === undefined) - Number(b === undefined);
  return a === b ? 0 : Buffer.compare(Buffer.from(a), Buffer.from(b));
}
