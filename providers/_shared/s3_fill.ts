/** Filling of a bucket from its parent's, as the options of providers that copy say. */
import * as v from "npm:valibot@1.5.0";
import { globMatcher } from "../../core/system/glob.ts";
import type { Context, Copy, Target } from "../../core/provider.ts";
import type { Store } from "./s3_client.ts";
import { type CopyJob, copyObjects } from "./s3_copy.ts";
import { amountOf } from "./s3_listing.ts";
import { MARK_OBJECT } from "./s3_marks.ts";
import { endUploads } from "./s3_removal.ts";

/** The options of providers that copy. */
export const COPY_OPTIONS = {
  /** `"copy"` or `"empty"`. @default {a copy, after a question above 10,000 objects or 1 GiB} */
  fork: v.optional(v.picklist(["copy", "empty"])),
  /** Keys that a fork gets; `*` stands for any characters. @default {all} */
  include: v.optional(v.array(v.string())),
  /** Keys that a fork does not get, even if they are included. */
  exclude: v.optional(v.array(v.string())),
};
type CopyOptions = v.InferOutput<v.StrictObjectSchema<typeof COPY_OPTIONS, undefined>>;

const ASK_ABOVE = { objects: 10_000, sizeBytes: 2 ** 30 };

/** Prepares a copy of the parent's objects as the options say; for stores that have no forks. */
export async function prepareCopy<Options extends CopyOptions>(
  context: Context,
  store: Store,
  { options, parent, name }: Target<Options>,
  isResumed: boolean,
): Promise<() => Promise<Copy>> {
  if (parent === undefined || options.fork === "empty") return () => Promise.resolve("empty");
  const job: CopyJob = { from: parent, to: name, takes: filterOf(options) };
  const amount = await amountOf(store, parent, job.takes);
  const isMuch = amount.objects > ASK_ABOVE.objects || amount.sizeBytes > ASK_ABOVE.sizeBytes;
  if (isMuch && options.fork === undefined && !isResumed) { // what is resumed was agreed to
    const size = `${amount.objects.toLocaleString("en")} objects, ${(amount.sizeBytes / 2 ** 30).toFixed(1)} GiB`;
    await context.confirm(`Copy ${size} from bucket "${parent}"? ("fork" in forkstack.json answers this)`);
  }
  return async () => {
    if (isResumed) await endUploads(context, store, name);
    await copyObjects(context, store, job, amount);
    return amount.objects === 0 ? "empty" : "full-copy";
  };
}

/** Returns a test for the keys of a fork; the parent's own mark is never one. */
export function filterOf({ include, exclude = [] }: CopyOptions): (key: string) => boolean {
  const [isIncluded, isExcluded] = [globMatcher(...include ?? ["*"]), globMatcher(...exclude)];
  return (key) => key !== MARK_OBJECT.key && isIncluded(key) && !isExcluded(key);
}
