/**
 * The common part of storage providers with one bucket per environment: its owner, and the steps of its creation. A
 * bucket has no id from the store, so its mark carries one; the mark also says how it was filled, and until then the
 * bucket is unfinished.
 */
import { createHash } from "node:crypto";
import { forEach } from "../../core/system/concurrency.ts";
import type {
  Context,
  Copy,
  Fork,
  Inspection,
  Marker,
  Provider,
  Replacement,
  Scope,
  Target,
} from "../../core/provider.ts";
import { ForkstackError, isForkstackError } from "../../mod.ts";
import { foreignError, holder, isOthers, isSameHolder, others } from "./ownership.ts";
import { isRefusal, Store, type StoreAccount, vendorCode } from "./s3_client.ts";
import { type CopyJob, copyObjects } from "./s3_copy.ts";
import { type Aside, asideContext, asideOf } from "./s3_aside.ts";
import { amountOf, isEmptyBucket } from "./s3_listing.ts";
import { emptyBucket } from "./s3_removal.ts";
import { bucketOwner, MARK_OBJECT, type Marks, type StoreNote, storeNote } from "./s3_marks.ts";

/** Variables of a bucket at a store that speaks S3, reached with keys of the environment's own. */
export const BUCKET_VARIABLES: Provider["variables"] = {
  BUCKET_NAME: { isSecret: false, isIdentity: true },
  AWS_ENDPOINT_URL_S3: { isSecret: false, isIdentity: false },
  AWS_REGION: { isSecret: false, isIdentity: false },
  AWS_ACCESS_KEY_ID: { isSecret: true, isIdentity: true },
  AWS_SECRET_ACCESS_KEY: { isSecret: true, isIdentity: true },
};

/** Calls about buckets in which stores differ. */
export interface Buckets<Options> {
  /** Looks for a bucket; `"others"`: it exists, and this account may not look into it. */
  look(store: Store, name: string, context: Context, scope: Scope<Options>): Promise<"absent" | "others" | "there">;
  /** Returns the instant of a bucket's creation (RFC 3339), if the store tells it. */
  createdAt(store: Store, name: string, context: Context, scope: Scope<Options>): Promise<string | undefined>;
  /** Creates a bucket, with its note if the store takes it at once; returns false if it exists already. */
  make(store: Store, target: Target<Options>, note: StoreNote, context: Context): Promise<boolean>;
  remove(store: Store, name: string, context: Context, scope: Scope<Options>): Promise<void>;
  /** Lists the names of buckets with a prefix. */
  names(store: Store, prefix: string, context: Context, scope: Scope<Options>): AsyncIterable<string>;
}

/** The parts in which stores differ. */
export interface BucketVendor<Options> {
  readonly name: string;
  account(context: Context, scope: Scope<Options>): StoreAccount;
  marks(options: Options): Marks;
  readonly buckets: Buckets<Options>;
  /**
   * Returns true if the store itself proves that a bucket without a mark is the fork that this run asked for, after a
   * lost answer.
   */
  isProven?(context: Context, store: Store, target: Target<Options>): Promise<boolean>;
  /**
   * True if it forks and deletes whole buckets: the mark comes later, and no bucket is emptied first. @default {false}
   */
  readonly isForking?: boolean;
  /**
   * Looks at the parent, and asks the user if needed, before anything is created. Returns the function that fills the
   * bucket, and that returns the way of copying.
   */
  prepare(context: Context, store: Store, target: Target<Options>, isResumed: boolean): Promise<() => Promise<Copy>>;
}

/** Creates a provider for one store. */
export function bucketProvider<Options>(
  vendor: BucketVendor<Options>,
): Pick<Provider<Options>, "inspect" | "create" | "delete" | "list" | "probe" | "remark" | "reset" | "usage"> {
  const opened = <T>(context: Context, scope: Scope<Options>, work: (store: Store) => Promise<T>) =>
    Store.with(context, vendor.account(context, scope), work);
  return {
    inspect: (context, target) => opened(context, target, (store) => inspect(vendor, context, store, target)),
    create: (context, target) => opened(context, target, (store) => create(vendor, context, store, target)),
    delete: (context, fork, scope) => opened(context, scope, (store) => remove(vendor, context, store, fork, scope)),
    async *list(context, scope) {
      yield* await opened(context, scope, (store) => list(vendor, context, store, scope));
    },
    reset: (context, fork, target) => reset(vendor, context, fork, target),
    remark: (context, fork, scope) => opened(context, scope, (store) => remark(vendor, context, store, fork, scope)),
    probe: (context, held, scope) =>
      opened(context, scope, async (store) => {
        await store.send(new store.sdk.HeadBucketCommand({ Bucket: held.name }), `use bucket "${held.name}"`);
      }),
    usage: (context, held, scope) =>
      opened(context, scope, async (store) => {
        const { sizeBytes } = await amountOf(store, held.name, () => true);
        return { sizeBytes };
      }),
  };
}

async function inspect<Options>(
  vendor: BucketVendor<Options>,
  context: Context,
  store: Store,
  target: Target<Options>,
): Promise<Inspection> {
  const { name, marker } = target;
  const seen = await vendor.buckets.look(store, name, context, target);
  if (seen === "absent") return { state: "absent" };
  if (seen === "others") {
    return { state: "foreign", id: name, reason: "it is somebody else's, or the key may not look" };
  }
  for (const isLast of [false, true]) {
    const note = await vendor.marks(target.options).read(store, name);
    const owner = note && bucketOwner(context, name, note);
    if (owner !== undefined) {
      if (!isSameHolder(owner.marker, marker)) return others(owner.id, owner.marker);
      return { state: owner.copy === undefined ? "pending" : "ready", fork: owner };
    }
    if (isLast) break;
    const unmarked = await unmarkedFork(vendor, context, store, target, name) ??
      await provenFork(vendor, context, store, target);
    if (unmarked !== undefined) return { state: unmarked.copy === undefined ? "pending" : "ready", fork: unmarked };
    if (!target.isResumed) break; // else another attempt may have marked it meanwhile
  }
  return { state: "foreign", id: name, reason: UNMARKED };
}

const UNMARKED = "it is not marked as ours";

/** Returns the id of a bucket without one: its name with its time of creation at the store. */
function birthOf(name: string, createdAt: string): string {
  return `${name} made at ${createdAt}`;
}

/**
 * Returns the fork of a bucket without a mark whose creation is on record from the store's own answer: a run ended
 * before it marked the bucket, or an application deleted the mark.
 */
async function unmarkedFork<Options>(
  vendor: BucketVendor<Options>,
  context: Context,
  store: Store,
  scope: Scope<Options>,
  name: string,
): Promise<Fork | undefined> {
  const told = await context.recorded(name);
  if (told.length === 0) return undefined;
  const createdAt = await vendor.buckets.createdAt(store, name, context, scope);
  const birth = createdAt && birthOf(name, createdAt);
  const born = told.find(({ id }) => id === birth);
  if (born === undefined) return undefined;
  const copy = COPIES.find((one) => told.some(({ step, id }) => step === FILLED + one && id === born.id));
  const id = told.find(({ step }) => step === "bucket")?.id ?? born.id;
  return { id, name, marker: born.marker, createdAt: createdAt!, copy };
}

const FILLED = "filled: ";
const COPIES = ["copy-on-write", "full-copy", "empty"] as const;

/** Returns the fork of a bucket which, after a lost reply, the store itself proves to be this run's. */
async function provenFork<Options>(
  vendor: BucketVendor<Options>,
  context: Context,
  store: Store,
  target: Target<Options>,
): Promise<Fork | undefined> {
  if (!target.isResumed || !await vendor.isProven?.(context, store, target)) return undefined;
  const { name, marker } = target;
  const createdAt = await vendor.buckets.createdAt(store, name, context, target);
  return createdAt === undefined ? undefined : { id: birthOf(name, createdAt), name, marker, createdAt };
}

async function create<Options>(
  vendor: BucketVendor<Options>,
  context: Context,
  store: Store,
  target: Target<Options>,
): Promise<Fork> {
  const { name, marker, parent } = target;
  const marks = vendor.marks(target.options);
  const isLate = marks.key !== undefined || vendor.isForking;
  let there = await ours(vendor, context, store, target);
  if (there?.copy !== undefined) return there;
  if (parent !== undefined) { // not by HEAD: its refusals have no code
    await store.send(new store.sdk.ListObjectsV2Command({ Bucket: parent, MaxKeys: 1 }), `fork bucket "${parent}"`);
  }
  const fill = await vendor.prepare(context, store, target, there !== undefined);
  const fresh = freshFork(context, target);
  context.signal.throwIfAborted();
  if (there === undefined && !await vendor.buckets.make(store, target, storeNote(fresh), context)) {
    await context.refused(name);
    there = await ours(vendor, context, store, { ...target, isResumed: false }); // the store said that one is there
    if (there === undefined) throw vanished(vendor, target);
  }
  const isMade = there === undefined;
  let note = await marks.read(store, name);
  // Some stores answer a second creation as they did the first one: what is there then is looked at.
  let others = note && isOthers(bucketOwner(context, name, note)?.marker, marker, UNMARKED);
  const isNew = isMade && isLate && !vendor.isForking && note === undefined;
  if (isNew && !await isEmptyBucket(store, name)) others = UNMARKED;
  if (others !== undefined) {
    if (isMade) await context.refused(name);
    throw foreign(vendor, target, `make bucket "${name}": ${others}`);
  }
  const createdAt = await vendor.buckets.createdAt(store, name, context, target);
  const birth = createdAt && birthOf(name, createdAt);
  if (isMade && birth) await context.record("born", birth);
  if (isLate && note === undefined) {
    const wanted = storeNote(birth === undefined ? fresh : { ...fresh, id: idOf(marker, birth) });
    note = await mark(vendor, context, store, target, { note: wanted, isMade });
  }
  const owner = note && bucketOwner(context, name, note);
  const why = isOthers(owner?.marker, marker, UNMARKED);
  if (owner === undefined || why !== undefined) throw foreign(vendor, target, `make bucket "${name}": ${why}`);
  await context.record("bucket", owner.id);
  if (owner.copy !== undefined) return owner;
  const whole = { ...owner, copy: await fill() };
  await marks.write(store, name, storeNote(whole));
  if (birth) await context.record(FILLED + whole.copy, birth);
  return whole;
}

/**
 * Writes the mark of a bucket and reads it back: the one that is there counts, since another attempt may have been first.
 * Where the store keeps none, the empty bucket that this run made is removed.
 */
async function mark<Options>(
  vendor: BucketVendor<Options>,
  context: Context,
  store: Store,
  target: Target<Options>,
  { note, isMade }: { readonly note: StoreNote; readonly isMade: boolean },
): Promise<StoreNote> {
  const { name, options } = target;
  const marks = vendor.marks(options);
  let refusal: unknown;
  try {
    const kept = await marks.write(store, name, note) ?? await marks.read(store, name);
    if (kept !== undefined) return kept;
  } catch (error) {
    if (!isRefusal(error)) throw error;
    refusal = error;
  }
  const isRemoved = isMade && await isEmptyBucket(store, name);
  if (isRemoved) await vendor.buckets.remove(store, name, context, target);
  throw refusal ??
    new ForkstackError("PROVIDER_REFUSED", `Cannot mark bucket "${name}": the store did not keep the mark`, {
      hint: `A store must keep tags of buckets, or the object "${MARK_OBJECT.key}"` +
        (isRemoved ? "; nothing was left behind" : `; bucket "${name}" is left, without a mark`),
      details: { provider: vendor.name, resource: target.resource },
    });
}

function freshFork(context: Context, { name, marker, parent }: Target<unknown>): Fork {
  return {
    id: crypto.randomUUID(),
    name,
    parentId: parent,
    marker,
    createdAt: context.now().toISOString(),
  };
}

/** Returns the id of a bucket that is marked later: two attempts at the same moment write the same id. */
function idOf({ operation }: Marker, birth: string): string {
  return createHash("sha256").update(`${operation}\n${birth}`).digest("hex").slice(0, 32);
}

/**
 * Returns true if two forks are the same bucket, though one was seen by its creation only: its mark was not visible
 * yet, or is gone.
 */
function isSameBucket(one: Pick<Fork, "id" | "marker">, other: Pick<Fork, "id" | "marker">): boolean {
  return one.id === other.id || one.id === idOf(one.marker, other.id) || other.id === idOf(other.marker, one.id);
}

/** Returns the fork of an earlier attempt of the operation, if any; throws if the bucket is not its. */
async function ours<Options>(
  vendor: BucketVendor<Options>,
  context: Context,
  store: Store,
  target: Target<Options>,
): Promise<Fork | undefined> {
  const seen = await inspect(vendor, context, store, target);
  if (seen.state === "absent") return undefined;
  const reason = seen.state === "foreign" ? seen.reason : isOthers(seen.fork.marker, target.marker, "");
  if (seen.state !== "foreign" && reason === undefined) return seen.fork;
  const spare = seen.state === "foreign" && await spareFork(vendor, context, store, target);
  if (spare) return spare;
  throw foreign(vendor, target, `make bucket "${target.name}": ${reason}`);
}

/**
 * Returns an empty bucket without a mark that appeared at an empty place after a call whose answer was lost. Never for
 * a store that forks, which says what a bucket is a fork of.
 */
async function spareFork<Options>(
  vendor: BucketVendor<Options>,
  context: Context,
  store: Store,
  target: Target<Options>,
): Promise<Fork | undefined> {
  const { name, marker, isResumed, parent } = target;
  const marks = vendor.marks(target.options);
  const isMarkedLate = vendor.isForking ? parent === undefined : marks.key !== undefined;
  if (!isResumed || !isMarkedLate || await vendor.buckets.look(store, name, context, target) !== "there") {
    return undefined;
  }
  const note = await marks.read(store, name);
  if (note !== undefined && "forkstack" in note) return undefined; // another's mark, or a copied one
  const createdAt = await vendor.buckets.createdAt(store, name, context, target);
  if (createdAt === undefined) return undefined;
  const id = birthOf(name, createdAt);
  const isTaken = await context.takeOver(name, id, () => isEmptyBucket(store, name));
  return isTaken ? { id, name, marker, createdAt } : undefined;
}

async function remark<Options>(
  vendor: BucketVendor<Options>,
  context: Context,
  store: Store,
  fork: Fork,
  scope: Scope<Options>,
): Promise<void> {
  const marks = vendor.marks(scope.options);
  const note = await marks.read(store, fork.name);
  const owner = note && bucketOwner(context, fork.name, note);
  if (owner === undefined) return; // its application took the mark away, and it is known by its birth
  if (owner.id !== fork.id || !isSameHolder(owner.marker, fork.marker)) {
    throw foreign(vendor, scope, `extend bucket "${fork.name}": ${holder(owner.marker)}`);
  }
  await marks.write(store, fork.name, storeNote({ ...owner, marker: fork.marker }));
}

/** Most attempts at removing a bucket that something is put into meanwhile. */
const REMOVALS = 3;

/** Removes what a reset that was cut off left, then the bucket itself. */
async function remove<Options>(
  vendor: BucketVendor<Options>,
  context: Context,
  store: Store,
  fork: Fork,
  scope: Scope<Options>,
): Promise<"deleted" | "absent"> {
  const aside = asideOf(fork);
  await removeBucketOf(vendor, asideContext(context, fork, aside), store, aside, scope);
  return await removeBucketOf(vendor, context, store, fork, scope);
}

/**
 * Removes the bucket of this id, or where none is given that of the marker: all objects except the mark, then the mark,
 * then the bucket.
 */
async function removeBucketOf<Options>(
  vendor: BucketVendor<Options>,
  context: Context,
  store: Store,
  { id, name, marker }: Aside & { readonly id?: string },
  scope: Scope<Options>,
): Promise<"deleted" | "absent"> {
  const marks = vendor.marks(scope.options);
  const seen = await vendor.buckets.look(store, name, context, scope);
  if (seen === "absent" || seen === "others") return "absent"; // ours is gone; another's may bear its name
  const note = await marks.read(store, name);
  const owner = (note && bucketOwner(context, name, note)) ?? await unmarkedFork(vendor, context, store, scope, name);
  if (owner === undefined || (id !== undefined && !isSameBucket(owner, { id, marker }))) return "absent";
  if (!isSameHolder(owner.marker, marker)) {
    throw foreign(vendor, scope, `delete bucket "${name}": ${holder(owner.marker)}`);
  }
  context.signal.throwIfAborted();
  for (let tries = 1;; tries++) {
    if (!vendor.isForking) await emptyBucket(context, store, name, marks.key);
    if (marks.key !== undefined) await emptyBucket(context, store, name);
    try {
      await vendor.buckets.remove(store, name, context, scope);
      return "deleted";
    } catch (error) {
      if (vendorCode(error) === "NoSuchBucket") return "deleted"; // another run was as fast
      // What was written meanwhile, or shows only now, goes as well.
      if (!isForkstackError(error) || error.code !== "CONFLICT" || tries === REMOVALS) throw error;
    }
  }
}

/**
 * Fills a bucket aside from the parent. The commit makes the fork's objects those of the bucket aside, which it then
 * removes; until then the old ones stay.
 */
async function reset<Options>(
  vendor: BucketVendor<Options>,
  context: Context,
  fork: Fork,
  target: Target<Options>,
): Promise<Replacement> {
  const opened = <T>(work: (store: Store) => Promise<T>) => Store.with(context, vendor.account(context, target), work);
  const aside = asideOf({ ...fork, marker: target.marker });
  const within = asideContext(context, fork, aside);
  const discard = (store: Store) => removeBucketOf(vendor, within, store, aside, target);
  const marks = vendor.marks(target.options);
  const { copy } = await opened(async (store) => {
    const seen = await inspect(vendor, context, store, target);
    if (seen.state !== "pending" && seen.state !== "ready") throw missing(vendor, target, seen.state);
    if (!isSameBucket(seen.fork, fork)) throw foreign(vendor, target, `reset bucket "${fork.name}": it is another one`);
    await discard(store); // of an earlier attempt: the parent is another since
    try {
      return await create(vendor, within, store, { ...target, ...aside, isResumed: true });
    } catch (error) {
      if (!context.signal.aborted) await discard(store).catch(() => {}); // else a later reset or delete does it
      throw error;
    }
  });
  return {
    commit: () =>
      opened(async (store) => {
        const takes = (key: string) => key !== MARK_OBJECT.key;
        const job: CopyJob = { from: aside.name, to: fork.name, takes };
        await copyObjects(context, store, job, await amountOf(store, aside.name, takes));
        const { marker, parent: parentId } = target;
        const fresh = { ...fork, marker, parentId, copy };
        await marks.write(store, fork.name, storeNote(fresh));
        await discard(store);
        return fresh;
      }),
    discard: () => opened(async (store) => void await discard(store)),
  };
}

/** Lists the forks among all buckets whose name begins with the project's, a few at a time. */
async function list<Options>(
  vendor: BucketVendor<Options>,
  context: Context,
  store: Store,
  scope: Scope<Options>,
): Promise<Fork[]> {
  const forks: Fork[] = [];
  const marks = vendor.marks(scope.options);
  await forEach(vendor.buckets.names(store, `${scope.project}-`, context, scope), async (name) => {
    const note = await readIfOurs(marks, store, name);
    const owner = note && bucketOwner(context, name, note);
    if (owner?.marker.stack === scope.stack && owner.marker.resource === scope.resource) forks.push(owner);
  }, { signal: context.signal });
  const asides = new Set(forks.map((fork) => asideOf(fork).name)); // a part of their fork
  return forks.filter(({ name }) => !asides.has(name)).sort((a, b) => a.name < b.name ? -1 : 1);
}

/** Reads the note of a bucket; `undefined` for a bucket that is gone or that this account may not read. */
async function readIfOurs(marks: Marks, store: Store, name: string): Promise<StoreNote | undefined> {
  try {
    return await marks.read(store, name);
  } catch (error) {
    if (/^(NoSuchBucket|AccessDenied)$/.test(vendorCode(error) ?? "")) return undefined;
    throw error;
  }
}

function foreign<Options>(
  vendor: BucketVendor<Options>,
  { resource }: Pick<Scope<Options>, "resource">,
  what: string,
): ForkstackError {
  return foreignError({ provider: vendor.name, resource }, what);
}

function missing<Options>(
  vendor: BucketVendor<Options>,
  { name, resource }: Target<Options>,
  state: string,
): ForkstackError {
  if (state === "foreign") return foreign(vendor, { resource }, `reset bucket "${name}": ${UNMARKED}`);
  return new ForkstackError("NOT_FOUND", `Cannot reset bucket "${name}": it is gone`, {
    hint: "Delete the environment and make it again",
    details: { provider: vendor.name, resource },
  });
}

function vanished<Options>(vendor: BucketVendor<Options>, { name, resource }: Target<Options>): ForkstackError {
  return new ForkstackError(
    "PROVIDER_UNAVAILABLE",
    `Cannot make bucket "${name}": the store says that it exists, and also that it does not`,
    {
      hint: "A name that was deleted may stay taken for a while: wait, then run the same command again",
      retryable: true,
      details: { provider: vendor.name, resource },
    },
  );
}
