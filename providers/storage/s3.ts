/**
 * S3: Amazon's, or any store with its API. A fork is a bucket of its own, filled by the store itself.
 *
 * - API: https://docs.aws.amazon.com/AmazonS3/latest/API/Welcome.html
 * - Names: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
 */
import { present } from "../_shared/fields.ts";
import * as v from "npm:valibot@1.5.0";
import type { BucketLocationConstraint } from "npm:@aws-sdk/client-s3@3.1162.0";
import { type Context, type Provider, type Question, type Scope, Secret, type Verified } from "../../core/provider.ts";
import { endpointOption, reaches } from "../_shared/json_api.ts";
import { accessKeysOf, isRefusal, standardEndpoint, type Store, type StoreAccount } from "../_shared/s3_client.ts";
import { createdAtOf, isTaken, lookByHead, namesOf, removeBucket } from "../_shared/s3_bucket_calls.ts";
import { BUCKET_VARIABLES, bucketProvider, type Buckets } from "../_shared/s3_buckets.ts";
import { COPY_OPTIONS, prepareCopy } from "../_shared/s3_fill.ts";
import { MARK_OBJECT, type Marks, type StoreNote, TAGS, TAGS_OR_OBJECT, tagSetOf } from "../_shared/s3_marks.ts";

const AMAZON = /^s3(-fips)?\.(dualstack\.)?[a-z0-9-]+\.amazonaws\.com(\.cn)?$/;

const options = v.strictObject({
  /** The region of all buckets of the resource, e.g. `"eu-west-1"`. */
  region: v.optional(v.pipe(v.string(), v.regex(/^[a-z0-9-]+$/, 'must be a region like "eu-west-1"')), "us-east-1"),
  /** URL of another store with an S3 API. Without TLS only on this machine. */
  endpoint: endpointOption(undefined, AMAZON),
  ...COPY_OPTIONS,
  /**
   * The storage of the mark: `"tags"` of the bucket, or where a store keeps none, and with `"object"` at once, its object
   * `.forkstack.json`. @default {"tags"}
   */
  mark: v.optional(v.picklist(["tags", "object"]), "tags"),
  /**
   * Give the application the keys that forkstack uses. They open every bucket that forkstack can reach, so it is safer
   * to let the application find its own. @default {false}
   */
  shareKeys: v.optional(v.boolean(), false),
});
type Options = v.InferOutput<typeof options>;

const buckets: Buckets<Options> = {
  look: (store, name) => lookByHead(store, name),
  createdAt: createdAtOf,
  async make(store, { name, options }, note) {
    const isTagged = options.mark === "tags";
    try {
      return await makeBucket(store, name, options, isTagged ? note : undefined);
    } catch (error) {
      // Other stores may not know tags at creation; Amazon refuses them where the key may not give any.
      if (!isTagged || isAmazons(options) || !isRefusal(error)) throw error;
      return await makeBucket(store, name, options);
    }
  },
  remove: removeBucket,
  names: namesOf,
};

/** Makes a bucket; returns false if it exists already. */
async function makeBucket(store: Store, name: string, { region }: Options, note?: StoreNote): Promise<boolean> {
  const isStandard = region === "us-east-1" && note === undefined; // an empty configuration is refused
  const command = new store.sdk.CreateBucketCommand({
    Bucket: name,
    CreateBucketConfiguration: isStandard ? undefined : {
      LocationConstraint: region === "us-east-1" ? undefined : region as BucketLocationConstraint,
      Tags: note && tagSetOf(note),
    },
  });
  try {
    await store.send(command, `make bucket "${name}"`);
    return true;
  } catch (error) {
    if (isTaken(error)) return false;
    throw error;
  }
}

function marks(options: Options): Marks {
  if (options.mark === "object") return MARK_OBJECT;
  return isAmazons(options) ? TAGS : TAGS_OR_OBJECT;
}

/** Returns true for Amazon's own S3, which keeps tags at creation, and answers 200 for a bucket of ours that exists. */
function isAmazons({ endpoint }: Options): boolean {
  return endpoint === undefined || AMAZON.test(new URL(endpoint).hostname);
}

const CREDENTIALS_HINT = "`aws configure export-credentials --format env` prints them";

const provider: Provider<Options> = {
  name: "s3",
  kind: "storage",
  title: "Amazon S3, or a store that speaks it",
  page: "storage.md#s3",
  capabilities: {
    copy: "full-copy",
    ownership: "marked-after",
    outputs: "rereadable",
    nativeExpiry: false,
    usage: "bytes",
    pointInTime: false,
    outputsExpire: false,
    parentMayBeAbsent: false,
    name: {
      maxLength: 63,
      pattern:
        /^(?!xn--|sthree-|amzn-s3-demo-)[a-z0-9][a-z0-9-]{1,61}[a-z0-9](?<!-s3alias|--ol-s3|--x-s3|--table-s3|-an)$/,
    },
  },
  credentials: [
    { variable: "AWS_ACCESS_KEY_ID", required: true },
    { variable: "AWS_SECRET_ACCESS_KEY", required: true },
    { variable: "AWS_SESSION_TOKEN", required: false },
  ],
  variables: { ...BUCKET_VARIABLES, AWS_SESSION_TOKEN: { isSecret: true, isIdentity: true } },
  credentialsHint: CREDENTIALS_HINT,
  importHint: "`forkstack run dev -- sh -c 'aws s3 sync ./uploads s3://$BUCKET_NAME'` copies a directory to it",
  requestIdHeaders: ["x-amz-request-id"],
  options,
  permissions({ endpoint, region }) {
    if (endpoint !== undefined) return reaches([endpoint]);
    const { host } = new URL(standardEndpoint(region));
    return reaches([standardEndpoint(region)], `*.${host}`); // the SDK puts the bucket before it
  },
  ...bucketProvider<Options>({
    name: "s3",
    account,
    marks,
    buckets,
    prepare: prepareCopy,
  }),
  outputs(context, held, scope) {
    const { region, endpoint, shareKeys } = scope.options;
    const { credentials } = account(context, scope);
    const { accessKeyId, secretAccessKey, sessionToken } = credentials;
    const shared = (value: string | undefined) => shareKeys && value !== undefined ? new Secret(value) : undefined;
    return Promise.resolve(present<string | Secret>({
      BUCKET_NAME: held.name,
      AWS_REGION: region,
      AWS_ENDPOINT_URL_S3: endpoint,
      AWS_ACCESS_KEY_ID: shared(accessKeyId),
      AWS_SECRET_ACCESS_KEY: shared(secretAccessKey),
      AWS_SESSION_TOKEN: shared(sessionToken),
    }));
  },
};
export default provider;

/** Servers and clients of its tests, beside its emulator. */
export const verified: Verified = {
  servers: ["s3rver", "SeaweedFS", "moto", "rclone"],
  clients: ["@aws-sdk/client-s3"],
};

/** The questions that `init` asks, by option. */
export const questions: Readonly<Record<string, Question>> = {
  region: { ask: "S3: the region of the buckets", example: "eu-west-1", variable: "AWS_REGION", value: "us-east-1" },
};

function account(context: Context, { options: { region, endpoint }, resource }: Scope<Options>): StoreAccount {
  return {
    provider: "s3",
    resource,
    region,
    endpoint,
    credentials: accessKeysOf(context, "s3", resource, CREDENTIALS_HINT),
    hints: {
      rejected: "Set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, for a session, AWS_SESSION_TOKEN anew",
      denied: "docs/storage.md lists what the key must be allowed to do",
    },
  };
}
