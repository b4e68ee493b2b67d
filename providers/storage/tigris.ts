/**
 * Tigris: S3 with snapshots and forks of whole buckets, which copy nothing.
 *
 * - Snapshots: https://www.tigrisdata.com/docs/buckets/snapshots/
 * - Forks: https://www.tigrisdata.com/docs/buckets/forks/
 * - Consistency: https://www.tigrisdata.com/docs/concepts/consistency/
 * - Headers, and keys of one bucket: https://github.com/tigrisdata/storage (its own SDK; read in November 2026)
 */
import * as v from "npm:valibot@1.5.0";
import { readJson, vendorError } from "../../core/http/client.ts";
import { poll } from "../../core/system/poll.ts";
import { repeatable } from "../../core/system/repeat.ts";
import {
  type Context,
  type Copy,
  type Held,
  type Provider,
  type Scope,
  Secret,
  type Target,
  type Verified,
} from "../../core/provider.ts";
import { ForkstackError } from "../../mod.ts";
import { endpointOption, instantOf, outOfReach, reaches } from "../_shared/json_api.ts";
import { accessKeysOf, sign, type Store, type StoreAccount, vendorCode } from "../_shared/s3_client.ts";
import { createdAtOf, isTaken, lookByHead, namesOf } from "../_shared/s3_bucket_calls.ts";
import { BUCKET_VARIABLES, bucketProvider, type Buckets } from "../_shared/s3_buckets.ts";
import { type Marks, type StoreNote, TAGS } from "../_shared/s3_marks.ts";

const options = v.strictObject({
  /** URL of the S3 API. */
  endpoint: endpointOption("https://t3.storage.dev", /^fly\.storage\.tigris\.dev$/),
  /** URL of the API that creates access keys. */
  iamEndpoint: endpointOption("https://iam.storageapi.dev", /^(fly\.)?iam\.storage\.tigris\.dev$/),
  /**
   * The application's keys: `"scoped"` creates one that opens its own bucket only; `"shared"` gives it forkstack's,
   * which open every bucket. @default {"scoped"}
   */
  keys: v.optional(v.picklist(["scoped", "shared"]), "scoped"),
});
type Options = v.InferOutput<typeof options>;

const SOURCE = "x-tigris-fork-source-bucket";
const SOURCE_SNAPSHOT = "x-tigris-fork-source-bucket-snapshot";
const SNAPSHOTS = "x-tigris-enable-snapshot";
/**
 * The header that asks for the newest state everywhere: otherwise a write is visible at once only in the bucket's
 * region. It is needed on the write as well as on later reads. https://www.tigrisdata.com/docs/objects/consistency/
 */
const CONSISTENT = { "x-tigris-consistent": "true" };
/**
 * Waits for new forks, snapshots, tags, and buckets in lists, which are visible after some seconds even so: Tigris's
 * own tests wait 5 to 20 s. https://github.com/tigrisdata/storage/tree/main/packages/storage/src/test
 */
const SETTLING = { deadlineMs: 20_000, firstMs: 100, mostMs: 2_000, provider: "tigris" };

const buckets: Buckets<Options> = {
  look: (store, name) => lookByHead(store, name),
  createdAt: (store, name) =>
    settled(store, `look at bucket "${name}" in the list`, () => createdAtOf(store, name), () => undefined),
  async make(store, target, _note, context) {
    const { name, parent } = target;
    const snapshot = parent === undefined ? undefined : await snapshotOf(context, store, target, parent);
    if (snapshot !== undefined) await context.record(SNAPSHOT, snapshot);
    const sent: Record<string, string> = parent === undefined
      ? { [SNAPSHOTS]: "true" }
      : { [SOURCE]: parent, [SOURCE_SNAPSHOT]: snapshot! };
    const what = `make bucket "${name}"`;
    const isPassing = (error: unknown) => snapshot !== undefined && isUnseen(error);
    return await poll(context, { ...SETTLING, what, isPassing }, async () => {
      try {
        await store.send(new store.sdk.CreateBucketCommand({ Bucket: name }), what, { sent });
      } catch (error) {
        if (isTaken(error)) return false;
        throw error;
      }
      return true;
    });
  },
  async remove(store, name, context, scope) {
    await dropKeys(context, store, scope, name);
    const command = new store.sdk.DeleteBucketCommand({ Bucket: name });
    await store.send(command, `delete bucket "${name}"`, { sent: { "tigris-force-delete": "true" } });
  },
  names: namesOf,
};

/** Stores the note as tags, and waits until they are visible. */
const MARKS: Marks = {
  ...TAGS,
  async write(store, bucket, note) {
    await TAGS.write(store, bucket, note);
    let tags: StoreNote | undefined;
    return await settled(store, `tag bucket "${bucket}"`, async () => {
      tags = await TAGS.read(store, bucket);
      return Object.entries(note).every(([key, value]) => tags?.[key] === value) ? tags : undefined;
    }, () => tags); // another attempt's may be there in its place
  },
};

/** Waits until the store shows a change; `late` gives the result if it does not. */
function settled<T>(
  { waiter, account: { resource } }: Store,
  what: string,
  look: () => Promise<T | undefined>,
  late?: () => T,
): Promise<T> {
  return poll(waiter, { ...SETTLING, what, resource, late }, look);
}

/** Returns true if the store does not see yet what a request names. */
function isUnseen(error: unknown): boolean {
  return /^(NoSuch(Bucket|Snapshot)|Invalid(Argument|Request))$/.test(vendorCode(error) ?? "");
}

/** The journal step that names the snapshot: a bucket forked from it is this run's. */
const SNAPSHOT = "snapshot";

async function isProven(context: Context, store: Store, { name, parent }: Target<Options>): Promise<boolean> {
  if (parent === undefined) return false;
  const { [SOURCE]: source, [SOURCE_SNAPSHOT]: snapshot } = await originOf(store, name);
  const told = await context.recorded(name);
  return source === parent && told.some(({ step, id }) => step === SNAPSHOT && id === snapshot);
}

/** Returns the version of the snapshot to fork: a new one, or the newest of `Target.at`. */
async function snapshotOf(context: Context, store: Store, target: Target<Options>, parent: string): Promise<string> {
  const at = instantOf(target, "tigris");
  const what = `take a snapshot of bucket "${parent}"`;
  if (at === undefined) {
    const received: Record<string, string> = {};
    const sent = { "x-tigris-snapshot": `true; name=${target.name}` };
    context.signal.throwIfAborted();
    await store.send(new store.sdk.CreateBucketCommand({ Bucket: parent }), what, { sent, received });
    const version = received["x-tigris-snapshot-version"];
    if (version === undefined) throw noForks(store, `Cannot ${what}: the store took none`);
    return version;
  }
  const command = new store.sdk.ListBucketsCommand({});
  const { Buckets = [] } = await store.send(command, `list the snapshots of bucket "${parent}"`, {
    sent: { "x-tigris-snapshot": parent },
  });
  const until = BigInt(Date.parse(at)) * 1_000_000n; // versions are nanoseconds since 1970
  const versions = Buckets.map(({ Name = "" }) => /^\d+/.exec(Name)?.[0]).filter((one) => one !== undefined);
  const [newest] = versions.map(BigInt).filter((one) => one <= until).sort((a, b) => a > b ? -1 : 1);
  if (newest === undefined) {
    throw outOfReach(target, "tigris", new Error(`the parent has ${versions.length} snapshots`));
  }
  return String(newest);
}

/** Checks the parent; returns the check that the new bucket is a fork of it, and no empty bucket. */
async function prepare(
  _context: Context,
  store: Store,
  { parent, name }: Target<Options>,
): Promise<() => Promise<Copy>> {
  if (parent === undefined) return () => Promise.resolve("empty");
  const received = await headersOf(store, parent, `fork bucket "${parent}"`);
  if (received[SNAPSHOTS] !== "true") {
    throw new ForkstackError("PARENT_UNUSABLE", `Cannot fork bucket "${parent}": it is not a bucket with snapshots`, {
      hint:
        `Enable them once, by \`tigris buckets enable-snapshots ${parent}\` or at https://console.storage.dev, and wait ` +
        "20 s: forkstack changes no parent by itself",
      details: { provider: "tigris", resource: store.account.resource },
    });
  }
  return async () => {
    const { [SOURCE]: source } = await originOf(store, name);
    if (source === parent) return "copy-on-write";
    // It was made a moment ago by this operation, and holds nothing: a store that knows no forks made an empty bucket.
    await store.send(new store.sdk.DeleteBucketCommand({ Bucket: name }), `delete bucket "${name}"`);
    throw noForks(store, `Cannot fork bucket "${parent}": the store made a bucket, but not a fork`);
  };
}

/** Returns the headers of a bucket, once they name what it is a fork of; after the wait as they are. */
function originOf(store: Store, name: string): Promise<Record<string, string>> {
  const what = `look at bucket "${name}"`;
  let seen: Record<string, string> = {};
  return settled(store, what, async () => {
    seen = await headersOf(store, name, what);
    return seen[SOURCE] === undefined ? undefined : seen;
  }, () => seen);
}

async function headersOf(store: Store, bucket: string, what: string): Promise<Record<string, string>> {
  const received: Record<string, string> = {};
  await store.send(new store.sdk.HeadBucketCommand({ Bucket: bucket }), what, { received });
  return received;
}

function noForks({ account: { resource } }: Store, message: string): ForkstackError {
  return new ForkstackError("PROVIDER_REFUSED", message, {
    hint: "Check that `endpoint` in forkstack.json is Tigris's; for other stores there is the provider s3",
    details: { provider: "tigris", resource },
  });
}

const CREDENTIALS_HINT = "make a key at https://console.storage.dev";

const provider: Provider<Options> = {
  name: "tigris",
  kind: "storage",
  title: "Tigris",
  page: "storage.md#tigris",
  capabilities: {
    copy: "copy-on-write",
    ownership: "marked-after",
    outputs: "minted",
    nativeExpiry: false,
    usage: "bytes",
    pointInTime: true,
    outputsExpire: false,
    parentMayBeAbsent: false,
    name: { maxLength: 63, pattern: /^(?!xn--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9](?<!-s3alias)$/ },
  },
  credentials: [
    { variable: "AWS_ACCESS_KEY_ID", required: true },
    { variable: "AWS_SECRET_ACCESS_KEY", required: true },
  ],
  variables: BUCKET_VARIABLES,
  credentialsHint: CREDENTIALS_HINT,
  importHint: "`forkstack run dev -- sh -c 'aws s3 sync ./uploads s3://$BUCKET_NAME'` copies a directory to it",
  requestIdHeaders: ["x-amz-request-id", "fly-request-id"],
  options,
  permissions: ({ endpoint, iamEndpoint }) => reaches([endpoint, iamEndpoint]),
  ...bucketProvider<Options>({
    name: "tigris",
    account,
    marks: () => MARKS,
    isForking: true,
    isProven,
    buckets,
    prepare,
  }),
  async outputs(context, held, scope) {
    const { endpoint, keys } = scope.options;
    const own = account(context, scope);
    const pair = keys === "shared" ? own.credentials : await makeKey(context, own, scope, held);
    return {
      BUCKET_NAME: held.name,
      AWS_ENDPOINT_URL_S3: endpoint,
      AWS_REGION: "auto",
      AWS_ACCESS_KEY_ID: new Secret(pair.accessKeyId),
      AWS_SECRET_ACCESS_KEY: new Secret(pair.secretAccessKey),
    };
  },
};
export default provider;

/** Servers and clients of its tests, beside its emulator. */
export const verified: Verified = { clients: ["@aws-sdk/client-s3"] };

function account(context: Context, { options: { endpoint }, resource }: Scope<Options>): StoreAccount {
  return {
    provider: "tigris",
    resource,
    region: "auto",
    endpoint,
    headers: CONSISTENT,
    credentials: accessKeysOf(context, "tigris", resource, CREDENTIALS_HINT),
    hints: {
      rejected: "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY anew: https://console.storage.dev makes keys",
      denied: "The key must be an admin's or the owner's; a bucket that is not there may be answered so too",
    },
  };
}

// ---- Keys of one bucket ----

const MADE_KEY = v.object({
  CreateAccessKeyResult: v.object({
    AccessKey: v.object({ AccessKeyId: v.string(), SecretAccessKey: v.string() }),
  }),
});
const KEYS = v.object({
  IsTruncated: v.optional(v.boolean()),
  Marker: v.optional(v.string()),
  Keys: v.optional(
    v.array(
      v.object({
        access_key_id: v.string(),
        username: v.optional(v.string()),
        buckets_role: v.nullish(v.array(v.object({ bucket: v.string() }))),
      }),
    ),
  ),
});

async function makeKey(context: Context, own: StoreAccount, scope: Scope<Options>, { name }: Held) {
  const asked = {
    req_uuid: crypto.randomUUID(),
    name: `${name}-key-${crypto.randomUUID().slice(0, 8)}`,
    buckets_role: [{ bucket: name, role: "Editor" }],
  };
  const form = { Req: JSON.stringify(asked) };
  const what = `make a key for bucket "${name}"`;
  const made = v.safeParse(
    MADE_KEY,
    await iam(context, own, scope, { query: "Action=CreateAccessKeyWithBucketsRole", form, what }),
  );
  if (!made.success) throw strange(own, what);
  const { AccessKeyId, SecretAccessKey } = made.output.CreateAccessKeyResult.AccessKey;
  return { accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey };
}

/** Deletes the keys that were made for a bucket: those that have its name, and open only it. */
async function dropKeys(
  context: Context,
  { account: own }: Store,
  scope: Scope<Options>,
  bucket: string,
): Promise<void> {
  if (scope.options.keys === "shared") return;
  const what = `delete the keys of bucket "${bucket}"`;
  const ids: string[] = [];
  let marker: string | undefined = "";
  while (marker !== undefined) {
    const form: Record<string, string> = { Action: "ListAccessKeys", MaxItems: "1000" };
    if (marker !== "") form.Marker = marker;
    const page = v.safeParse(KEYS, await iam(context, own, scope, { query: "Detailed", form, what, mayRepeat: true }));
    if (!page.success) throw strange(own, what);
    const { Keys = [], IsTruncated, Marker } = page.output;
    for (const { access_key_id, username = "", buckets_role } of Keys) {
      const isNamed = username.startsWith(`${bucket}-key-`) && /^[0-9a-f]{8}$/.test(username.slice(bucket.length + 5));
      if (isNamed && buckets_role?.every((one) => one.bucket === bucket)) ids.push(access_key_id);
    }
    if (IsTruncated && Marker === marker) throw strange(own, what);
    marker = IsTruncated ? Marker : undefined;
  }
  for (const AccessKeyId of ids) {
    const form = { Action: "DeleteAccessKey", Version: "2010-05-08", AccessKeyId };
    await iam(context, own, scope, { query: "Action=DeleteAccessKey", form, what, mayRepeat: true });
  }
}

/** Sends a request to the IAM endpoint: a form, signed as S3's requests are. */
async function iam(
  context: Context,
  own: StoreAccount,
  { options: { iamEndpoint, keys }, resource }: Scope<Options>,
  { query, form, what, mayRepeat = false }: {
    readonly query: string;
    readonly form: Readonly<Record<string, string>>;
    readonly what: string;
    readonly mayRepeat?: boolean;
  },
): Promise<unknown> {
  const body = new URLSearchParams(form).toString();
  const url = new URL(`/?${query}`, iamEndpoint);
  const headers = new Headers({
    accept: "application/json",
    "content-type": "application/x-www-form-urlencoded",
  });
  sign(own, { method: "POST", url, headers }, { body });
  const request = repeatable(new Request(url, { method: "POST", headers, body, signal: context.signal }), mayRepeat);
  const response = await context.fetch(request);
  if (response.ok) return await readJson(response);
  await response.text();
  throw vendorError(request, response, {
    provider: "tigris",
    resource,
    message: `Cannot ${what}: Tigris answers ${response.status}`,
    hint: response.status === 403 && keys === "scoped"
      ? 'AWS_ACCESS_KEY_ID must be allowed to make keys; or let the application share it by "keys": "shared"'
      : "Run the same command again; see https://status.tigrisdata.com",
  });
}

function strange({ resource }: StoreAccount, what: string): ForkstackError {
  return new ForkstackError("PROVIDER_UNAVAILABLE", `Cannot ${what}: the answer is not as documented`, {
    hint: "Run the same command again; if `iamEndpoint` is set in forkstack.json, check that it is Tigris's",
    retryable: true,
    details: { provider: "tigris", resource },
  });
}
