/**
 * Cloudflare R2: a bucket for each environment, made over the REST API, filled over S3.
 *
 * - REST: https://developers.cloudflare.com/api/resources/r2/
 * - What of S3 it knows: https://developers.cloudflare.com/r2/api/s3/api/ (no tags, no versions; read in November 2026)
 * - One token for both: https://developers.cloudflare.com/r2/api/tokens/
 */
import { present } from "../_shared/fields.ts";
import { createHash } from "node:crypto";
import * as v from "npm:valibot@1.5.0";
import {
  type Context,
  type Held,
  type Lease,
  type Provider,
  type Question,
  type Scope,
  Secret,
  type Verified,
} from "../../core/provider.ts";
import { ForkstackError } from "../../mod.ts";
import { Api, endpointOption, reaches, type VendorAnswer } from "../_shared/json_api.ts";
import type { StoreAccount } from "../_shared/s3_client.ts";
import { BUCKET_VARIABLES, bucketProvider, type Buckets } from "../_shared/s3_buckets.ts";
import { COPY_OPTIONS, prepareCopy } from "../_shared/s3_fill.ts";
import { MARK_OBJECT } from "../_shared/s3_marks.ts";

const options = v.strictObject({
  /** The account's id, 32 hexadecimal digits: the dashboard shows it beside "R2". */
  account: v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/, "must be an account's id: 32 hexadecimal digits")),
  /** The jurisdiction in which data must stay; the parent must be there too. */
  jurisdiction: v.optional(v.picklist(["eu", "fedramp"])),
  /** The preferred location of new buckets, e.g. `"weur"`. @default {near the caller} */
  location: v.optional(v.picklist(["apac", "eeur", "enam", "weur", "wnam", "oc"])),
  /**
   * The application's keys: `"temporary"` ones open its bucket only, until the lease ends but no longer than 7 days;
   * `"shared"` ones are forkstack's, which open every bucket. @default {"temporary"}
   */
  keys: v.optional(v.picklist(["temporary", "shared"]), "temporary"),
  endpoint: endpointOption("https://api.cloudflare.com"),
  /** URL of the S3 API. @default {that of the account and its jurisdiction} */
  s3Endpoint: endpointOption(undefined, /^[0-9a-f]{32}\.((eu|fedramp)\.)?r2\.cloudflarestorage\.com$/),
  ...COPY_OPTIONS,
});
type Options = v.InferOutput<typeof options>;

const BUCKET = v.object({ name: v.optional(v.string()), creation_date: v.optional(v.string()) });
const ONE = v.object({ result: BUCKET });
const PAGE = v.object({
  result: v.object({ buckets: v.optional(v.array(BUCKET)) }),
  result_info: v.optional(v.object({ cursor: v.optional(v.string()) })),
});
const KEYS = v.object({
  result: v.object({ accessKeyId: v.string(), secretAccessKey: v.string(), sessionToken: v.string() }),
});

const TOKENS = "https://dash.cloudflare.com/?to=/:account/r2/api-tokens makes one";
const MAX_TTL_S = 7 * 86_400;

const api = new Api<Options>({
  provider: "r2",
  label: "Cloudflare",
  statusPage: "https://www.cloudflarestatus.com",
  credential: { variable: "CLOUDFLARE_API_TOKEN", hint: TOKENS },
  scopes: ({ options: { account } }) => `The token needs "Admin Read & Write" of R2 in account ${account}`,
  base: ({ options: { endpoint, account } }) => `${endpoint.replace(/\/$/, "")}/client/v4/accounts/${account}/r2`,
  codeOf: ({ errors }) => {
    const [first] = Array.isArray(errors) ? errors : [];
    return (first as { code?: number } | undefined)?.code?.toString();
  },
  known: (_status, code) => {
    switch (code) {
      case "10005":
        return { code: "NAME_INVALID", state: "R2 refuses the name", hint: "Choose another environment name" };
      case "10006":
        return { code: "NOT_FOUND", state: "there is no such bucket", hint: "Name another parent with --from" };
      case "10008":
        return {
          code: "CONFLICT",
          state: "something was written to it during the run",
          hint: "Stop what writes there, then run the same command again",
        };
      case "10009":
        return {
          code: "PLAN_LIMIT",
          state: "the account has reached its limit of buckets",
          hint: "Remove unused envs with `forkstack prune`",
        };
      case "10042":
        return {
          code: "CREDENTIALS_DENIED",
          state: "R2 is not switched on for the account",
          hint: "Switch it on at https://dash.cloudflare.com/?to=/:account/r2",
        };
    }
    return undefined;
  },
});

/** Codes for a name that is taken; the documentation names both. */
const TAKEN = /^(10004|10073)$/;

const buckets: Buckets<Options> = {
  async look(_store, name, context, scope) {
    return await bucketOf(context, scope, name) === undefined ? "absent" : "there";
  },
  async createdAt(_store, name, context, scope) {
    return (await bucketOf(context, scope, name))?.creation_date;
  },
  async make(_store, target, _note, context) {
    const { name, options: { location } } = target;
    const json = { name, locationHint: location };
    const answer = await send(context, target, "POST", ["buckets"], { json });
    const code = await api.codeOf(answer);
    if (answer.response.status === 409 || TAKEN.test(code ?? "")) {
      await answer.response.text();
      return false;
    }
    await api.read(ONE, answer, target, `make bucket "${name}"`);
    return true;
  },
  async remove(_store, name, context, scope) {
    const answer = await send(context, scope, "DELETE", ["buckets", name]);
    if (await isGone(answer)) return;
    await api.read(v.object({ success: v.literal(true) }), answer, scope, `delete bucket "${name}"`);
  },
  async *names(_store, prefix, context, scope) {
    const list = (cursor: string | undefined) =>
      send(context, scope, "GET", ["buckets"], {
        query: { per_page: "1000", name_contains: prefix, cursor },
      });
    for await (const page of api.pages(PAGE, scope, "list buckets", list, (one) => one.result_info?.cursor)) {
      for (const { name } of page.result.buckets ?? []) if (name?.startsWith(prefix)) yield name;
    }
  },
};

async function bucketOf(context: Context, scope: Scope<Options>, name: string) {
  const answer = await send(context, scope, "GET", ["buckets", name]);
  if (await isGone(answer)) return undefined;
  return (await api.read(ONE, answer, scope, `look at bucket "${name}"`)).result;
}

/** Returns true if the bucket is gone; 404 without its code may be a proxy's, or an unknown account's. */
async function isGone(answer: VendorAnswer): Promise<boolean> {
  if (answer.response.status !== 404 || await api.codeOf(answer) !== "10006") return false;
  await answer.response.text();
  return true;
}

function send(
  context: Context,
  scope: Scope<Options>,
  method: "GET" | "POST" | "DELETE",
  path: readonly string[],
  sent: Parameters<typeof api.send>[4] = {},
): Promise<VendorAnswer> {
  const { jurisdiction } = scope.options;
  const headers: Record<string, string> = jurisdiction === undefined ? {} : { "cf-r2-jurisdiction": jurisdiction };
  return api.send(context, scope, method, path, { ...sent, headers });
}

const provider: Provider<Options> = {
  name: "r2",
  kind: "storage",
  title: "Cloudflare R2",
  page: "storage.md#r2",
  capabilities: {
    copy: "full-copy",
    ownership: "marked-after",
    outputs: "minted",
    nativeExpiry: false,
    usage: "bytes",
    pointInTime: false,
    outputsExpire: true,
    parentMayBeAbsent: false,
    name: { maxLength: 63, pattern: /^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/ },
  },
  credentials: [
    { variable: "CLOUDFLARE_API_TOKEN", required: true },
    { variable: "R2_ACCESS_KEY_ID", required: true },
  ],
  variables: { ...BUCKET_VARIABLES, AWS_SESSION_TOKEN: { isSecret: true, isIdentity: true } },
  credentialsHint: `${api.credentialHint}, with its id in R2_ACCESS_KEY_ID`,
  importHint: "`forkstack run dev -- sh -c 'aws s3 sync ./uploads s3://$BUCKET_NAME'` copies a directory to it",
  requestIdHeaders: ["cf-ray"],
  options,
  permissions: (options) => reaches([options.endpoint, s3EndpointOf(options)]),
  ...bucketProvider<Options>({ name: "r2", account, marks: () => MARK_OBJECT, buckets, prepare: prepareCopy }),
  async outputs(context, held, scope) {
    const own = account(context, scope);
    const keys = scope.options.keys === "shared" ? own.credentials : await temporaryKeys(context, own, held, scope);
    return present<string | Secret>({
      BUCKET_NAME: held.name,
      AWS_ENDPOINT_URL_S3: own.endpoint,
      AWS_REGION: "auto",
      AWS_ACCESS_KEY_ID: new Secret(keys.accessKeyId),
      AWS_SECRET_ACCESS_KEY: new Secret(keys.secretAccessKey),
      AWS_SESSION_TOKEN: keys.sessionToken === undefined ? undefined : new Secret(keys.sessionToken),
    });
  },
};
export default provider;

/** Servers and clients of its tests, beside its emulator. */
export const verified: Verified = { clients: ["@aws-sdk/client-s3"] };

/** The questions that `init` asks, by option. */
export const questions: Readonly<Record<string, Question>> = {
  account: { ask: "Cloudflare: the id of the account", example: "0123456789abcdef0123456789abcdef" },
};

/** Creates keys that open one bucket, and expire with the lease, or after 7 days. */
async function temporaryKeys(context: Context, own: StoreAccount, { name }: Held, scope: Scope<Options> & Lease) {
  const { expiresAt } = scope;
  const leftS = expiresAt === undefined
    ? Infinity
    : Math.ceil((Date.parse(expiresAt) - context.now().getTime()) / 1_000);
  if (leftS > MAX_TTL_S) {
    context.warn(
      `The keys of bucket "${name}" end in 7 days: R2 has none that last longer; switching to the environment renews them`,
    );
  }
  const json = {
    bucket: name,
    parentAccessKeyId: own.credentials.accessKeyId,
    permission: "object-read-write",
    ttlSeconds: Math.max(1, Math.min(leftS, MAX_TTL_S)),
  };
  const answer = await send(context, scope, "POST", ["temp-access-credentials"], { json, mayRepeat: true });
  return (await api.read(KEYS, answer, scope, `make keys for bucket "${name}"`)).result;
}

/** Returns the S3 account of a token: its id is the access key, its SHA-256 the secret. */
function account(context: Context, scope: Scope<Options>): StoreAccount {
  const token = api.token(context);
  const accessKeyId = context.credentials.R2_ACCESS_KEY_ID?.reveal();
  if (accessKeyId === undefined) {
    throw new ForkstackError("CREDENTIALS_MISSING", "Cannot use r2: R2_ACCESS_KEY_ID is not set", {
      hint: "Set it to the Access Key ID that Cloudflare shows with the token (it is the token's id)",
      details: { provider: "r2", resource: scope.resource },
    });
  }
  return {
    provider: "r2",
    resource: scope.resource,
    region: "auto",
    endpoint: s3EndpointOf(scope.options),
    credentials: { accessKeyId, secretAccessKey: createHash("sha256").update(token).digest("hex") },
    hints: {
      rejected: `R2_ACCESS_KEY_ID must be the id of CLOUDFLARE_API_TOKEN; ${TOKENS}`,
      denied: 'The token needs "Admin Read & Write" of R2',
    },
  };
}

/**
 * Returns the URL of the S3 API:
 * https://developers.cloudflare.com/r2/reference/data-location/#using-jurisdictions-with-the-s3-api
 */
function s3EndpointOf({ account, jurisdiction, s3Endpoint }: Options): string {
  return s3Endpoint ?? `https://${[account, jurisdiction, "r2.cloudflarestorage.com"].filter(Boolean).join(".")}`;
}
