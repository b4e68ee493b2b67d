/** Our notes on buckets: as tags, or as an object where a store keeps no tags. */
import { present } from "./fields.ts";
import * as v from "npm:valibot@1.5.0";
import { formatMarker } from "../../core/marker.ts";
import type { Context, Fork, Marker } from "../../core/provider.ts";
import { ForkstackError } from "../../mod.ts";
import { isRefusal, isUnknownRequest, type Store, vendorCode } from "./s3_client.ts";

/** The note on a bucket, by names that are valid in tags and in JSON. */
export type StoreNote = Readonly<Record<string, string>>;

/** A way to store our note on a bucket. */
export interface Marks {
  read(store: Store, bucket: string): Promise<StoreNote | undefined>;
  /** Writes the note; returns the stored one, if it waited for it to be visible. */
  write(store: Store, bucket: string, note: StoreNote): Promise<StoreNote | void>;
  /** The key of the object that may hold the note; without one the note is stored in the call that makes the bucket. */
  readonly key?: string;
}

/** Formats the note of a fork. */
export function storeNote({ id, marker, parentId, createdAt, copy }: Fork): StoreNote {
  return present({
    forkstack: formatMarker(marker).replace(/[%!'()*~]/g, (sign) => sign === "%" ? "=" : `=${hex(sign)}`),
    "forkstack-id": id,
    "forkstack-created": createdAt,
    "forkstack-parent": parentId,
    "forkstack-copy": copy,
  });
}

function hex(sign: string): string {
  return sign.charCodeAt(0).toString(16).toUpperCase();
}

const NOTE = v.object({
  forkstack: v.string(),
  "forkstack-id": v.string(),
  "forkstack-created": v.string(),
  "forkstack-parent": v.optional(v.string()),
  "forkstack-copy": v.optional(v.picklist(["copy-on-write", "full-copy", "empty"])),
});

/** Parses a note into its fork; `undefined` if the note is not ours. */
export function bucketOwner(context: Context, name: string, note: StoreNote): Fork | undefined {
  const parsed = v.safeParse(NOTE, note);
  if (!parsed.success) return undefined;
  const known = parsed.output;
  const marker: Marker | undefined = context.markerOf(name, known.forkstack.replaceAll("=", "%"));
  if (marker === undefined) return undefined;
  return {
    id: known["forkstack-id"],
    name,
    parentId: known["forkstack-parent"],
    marker,
    createdAt: known["forkstack-created"],
    copy: known["forkstack-copy"],
  };
}

/** Stores the note as tags of the bucket; other tags stay. */
export const TAGS: Marks = {
  async read(store, bucket) {
    try {
      const command = new store.sdk.GetBucketTaggingCommand({ Bucket: bucket });
      const { TagSet = [] } = await store.send(command, `read the tags of bucket "${bucket}"`);
      return Object.fromEntries(TagSet.map(({ Key = "", Value = "" }) => [Key, Value]));
    } catch (error) {
      if (vendorCode(error) === "NoSuchTagSet") return undefined;
      throw error;
    }
  },
  async write(store, bucket, note) {
    const all = { ...await TAGS.read(store, bucket), ...note };
    const command = new store.sdk.PutBucketTaggingCommand({ Bucket: bucket, Tagging: { TagSet: tagSetOf(all) } });
    await store.send(command, `tag bucket "${bucket}"`);
  },
};

/** Returns a note as the API's list of tags. */
export function tagSetOf(note: StoreNote): { Key: string; Value: string }[] {
  return Object.entries(note).map(([Key, Value]) => ({ Key, Value }));
}

/** Stores the note as an object in the bucket, for stores without tags. */
export const MARK_OBJECT: Marks = {
  key: ".forkstack.json",
  async read(store, bucket) {
    try {
      const command = new store.sdk.GetObjectCommand({ Bucket: bucket, Key: MARK_OBJECT.key });
      const { Body } = await store.send(command, `read the mark of bucket "${bucket}"`);
      return v.parse(v.record(v.string(), v.string()), JSON.parse(await Body?.transformToString() ?? ""));
    } catch (error) {
      if (vendorCode(error) === "NoSuchKey") return undefined;
      if (!(error instanceof SyntaxError || error instanceof v.ValiError)) throw error;
      throw new ForkstackError("PROVIDER_UNAVAILABLE", `Cannot read the mark of bucket "${bucket}": it is not whole`, {
        hint: `Run the same command again; the mark is its object ".forkstack.json"`,
        retryable: true,
      });
    }
  },
  async write(store, bucket, note) {
    const Body = `${JSON.stringify(note, null, 2)}\n`;
    const command = new store.sdk.PutObjectCommand({
      Bucket: bucket,
      Key: MARK_OBJECT.key,
      Body,
      ContentType: "application/json",
    });
    await store.send(command, `mark bucket "${bucket}"`);
  },
};

/**
 * Stores the note as tags; where the store ignores or refuses these, as an object. Once a bucket has a note, it stays
 * where it is. SeaweedFS and moto ignore tags at a bucket's creation, rclone takes a request for tags for a creation.
 */
export const TAGS_OR_OBJECT: Marks = {
  key: MARK_OBJECT.key!,
  async read(store, bucket) {
    const { tags, refusal } = await tagsOf(store, bucket);
    if (tags?.forkstack !== undefined) return tags;
    const note = await MARK_OBJECT.read(store, bucket);
    if (note === undefined && refusal !== undefined && !isUnknownRequest(refusal)) throw refusal;
    return note;
  },
  async write(store, bucket, note) {
    const isTagged = async () => (await tagsOf(store, bucket)).tags?.forkstack !== undefined;
    if (await isTagged()) return await TAGS.write(store, bucket, note);
    if (await MARK_OBJECT.read(store, bucket) === undefined) {
      try {
        await TAGS.write(store, bucket, note);
      } catch (error) {
        if (!isRefusal(error)) throw error;
      }
      if (await isTagged()) return;
    }
    await MARK_OBJECT.write(store, bucket, note);
  },
};

async function tagsOf(store: Store, bucket: string): Promise<{ tags?: StoreNote | undefined; refusal?: unknown }> {
  try {
    return { tags: await TAGS.read(store, bucket) };
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return { refusal: error };
  }
}
