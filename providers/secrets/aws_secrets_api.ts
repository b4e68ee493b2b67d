/**
 * The API of AWS Secrets Manager: the options, the credentials, commands, and a secret as it is described.
 *
 * @module
 */
import * as v from "npm:valibot@1.5.0";
import type { Context, Scope } from "../../core/provider.ts";
import { ForkstackError } from "../../mod.ts";
import { endpointOption } from "../_shared/json_api.ts";
import { policyOptions } from "../_shared/secret_policy.ts";
import { type AwsCall, callerOf, Refused, type Summary, told } from "./runtime/aws-secrets.ts";

/** Options of the provider `aws-secrets`. */
export const options = v.strictObject({
  /** The region, e.g. `"eu-central-1"`. */
  region: v.pipe(v.string(), v.regex(/^[a-z]{2}(-[a-z]+)+-\d$/, 'must be a region like "eu-central-1"')),
  ...policyOptions,
  /** URL of another endpoint of the API, e.g. a VPC endpoint's. Without TLS only on this machine. */
  endpoint: v.optional(endpointOption("", /^secretsmanager(-fips)?\.[a-z0-9-]+\.amazonaws\.com(\.cn)?$/).wrapped),
});
export type Options = v.InferOutput<typeof options>;

const TAGS = v.array(v.object({ Key: v.string(), Value: v.string() }));
const DESCRIBED = v.looseObject({
  ARN: v.string(),
  Name: v.string(),
  Description: v.optional(v.string()),
  Tags: v.optional(TAGS),
  DeletedDate: v.optional(v.unknown()),
  VersionIdsToStages: v.optional(v.record(v.string(), v.array(v.string()))),
});

/** The way to credentials. */
export const CREDENTIALS_HINT = "`aws configure export-credentials --format env` gives those of a profile";

/** Tags whose keys begin so are forkstack's mark. */
const OWN = "forkstack:";
/** Tags whose keys begin so are AWS's, e.g. those of CloudFormation; nobody else may set them. */
const AWS_OWN = /^aws:/i;

/** The description and the tags of a secret, without those of forkstack and AWS. */
export interface Settings {
  readonly description: string;
  /** Sorted by key. */
  readonly tags: Readonly<Record<string, string>>;
}

/** A secret, without its value. */
export interface Described {
  readonly arn: string;
  /** The tags of forkstack's mark, without its prefix. */
  readonly tags: Readonly<Partial<Record<string, string>>>;
  readonly settings: Settings;
  /** True if it waits for its deletion. */
  readonly isScheduled: boolean;
  /** True if it has a current value. */
  readonly hasValue: boolean;
}

/** Returns the place of an environment's secrets, e.g. `"shop/alice/"`. */
export function placeOf({ project }: Scope<Options>, name: string): string {
  return `${project}/${name}/`;
}

/** Returns the name of a secret. */
export function nameOf(scope: Scope<Options>, name: string, path: string): string {
  return placeOf(scope, name) + path;
}

const MAX_NAME = 512;
const MAX_VALUE_BYTES = 65_536;
const MAX_TAGS = 50;

/** Throws if AWS does not take a name. An ARN ends in a hyphen and six characters, which AWS mistakes a name for. */
export function checkName({ resource }: Scope<Options>, secret: string): void {
  if (secret.length <= MAX_NAME && /^[\w/+=.@-]+$/.test(secret) && !/-[A-Za-z0-9]{6}$/.test(secret)) return;
  throw new ForkstackError("NAME_INVALID", `Cannot set secret "${secret}": AWS takes no such name`, {
    hint: `Up to ${MAX_NAME} letters, digits and /_+=.@-, not ending in a hyphen and six characters`,
    details: { provider: "aws-secrets", resource },
  });
}

/** Throws if a value is too large. */
export function checkSize({ resource }: Scope<Options>, secret: string, value: string): void {
  const bytes = new TextEncoder().encode(value).length;
  if (bytes <= MAX_VALUE_BYTES) return;
  throw new ForkstackError("VALUE_TOO_LARGE", `Cannot set secret "${secret}": it has ${bytes} bytes`, {
    hint: `AWS takes ${MAX_VALUE_BYTES} bytes at most; keep it in a file or a bucket, and its name here`,
    details: { provider: "aws-secrets", resource },
  });
}

/** Throws if the tags of a copy would be too many, `own` of them forkstack's. */
export function checkTags({ resource }: Scope<Options>, secret: string, { tags }: Settings, own: number): void {
  const count = Object.keys(tags).length;
  if (count + own <= MAX_TAGS) return;
  throw new ForkstackError("CONFLICT", `Cannot tag secret "${secret}": its parent has ${count} tags`, {
    hint: `AWS takes ${MAX_TAGS}, ${own} of which are forkstack's: remove some of the parent's, or "exclude" it`,
    details: { provider: "aws-secrets", resource },
  });
}

/** Reads a secret without its value; `undefined` if there is none. */
export async function describeSecret(
  context: Context,
  scope: Scope<Options>,
  SecretId: string,
): Promise<Described | undefined> {
  const found = await (await to(context, scope, `look at secret "${SecretId}"`))("DescribeSecret", { SecretId });
  if (found === undefined) return undefined;
  const { ARN, DeletedDate, VersionIdsToStages = {}, ...rest } = v.parse(DESCRIBED, found);
  const plain = (text: string) => text.replace(/@([0-9a-f]+)@/g, (_, code) => String.fromCodePoint(parseInt(code, 16)));
  const own = (rest.Tags ?? []).filter(({ Key }) => Key.startsWith(OWN));
  return {
    arn: ARN,
    tags: Object.fromEntries(own.map(({ Key, Value }) => [Key.slice(OWN.length), plain(Value)])),
    settings: settingsIn(rest),
    isScheduled: DeletedDate !== undefined,
    hasValue: Object.values(VersionIdsToStages).flat().includes("AWSCURRENT"),
  };
}

/** Returns the description and the tags in an answer of AWS. */
export function settingsIn({ Description = "", Tags = [] }: Summary): Settings {
  const others = Tags.filter(({ Key }) => !Key.startsWith(OWN) && !AWS_OWN.test(Key));
  const tags = others.map(({ Key, Value }) => [Key, Value] as const).sort(([a], [b]) => a < b ? -1 : 1);
  return { description: Description, tags: Object.fromEntries(tags) };
}

/** Returns tags as AWS takes them: the mark's with forkstack's prefix, others as they are. */
export function tagsOf(mark: Readonly<Record<string, string>>, others: Settings["tags"] = {}) {
  // Values may have letters, digits, space and `_.:/=+-@`; anything else is written `@2a@`.
  const escaped = (text: string) =>
    text.replace(/[^\p{L}\p{N} _.:/=+-]/gu, (one) => `@${one.codePointAt(0)!.toString(16)}@`);
  const own = Object.entries(mark).map(([key, value]) => ({ Key: OWN + key, Value: escaped(value) }));
  return [...own, ...Object.entries(others).map(([Key, Value]) => ({ Key, Value }))];
}

/** Turns the settings of a secret into others. */
export async function settle(call: AwsCall, SecretId: string, was: Settings, wanted: Settings): Promise<void> {
  const removed = Object.keys(was.tags).filter((key) => !Object.hasOwn(wanted.tags, key));
  const set = Object.entries(wanted.tags).filter(([key, value]) => was.tags[key] !== value);
  if (was.description !== wanted.description) {
    const ClientRequestToken = crypto.randomUUID();
    await call("UpdateSecret", { SecretId, Description: wanted.description, ClientRequestToken });
  }
  if (removed.length > 0) await call("UntagResource", { SecretId, TagKeys: removed });
  if (set.length > 0) await call("TagResource", { SecretId, Tags: tagsOf({}, Object.fromEntries(set)) });
}

/** Returns a function that sends commands, and explains refusals that its caller does not know. */
export async function to(context: Context, scope: Scope<Options>, what: string): Promise<AwsCall> {
  const { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret, AWS_SESSION_TOKEN: session } = context.credentials;
  if (id === undefined || secret === undefined) {
    const variable = id === undefined ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY";
    throw new ForkstackError("CREDENTIALS_MISSING", `Cannot use aws-secrets: ${variable} is not set`, {
      hint: CREDENTIALS_HINT,
      details: { provider: "aws-secrets" },
    });
  }
  const { region, endpoint } = scope.options;
  const credentials = {
    accessKeyId: id.reveal(),
    secretAccessKey: secret.reveal(),
    sessionToken: session?.reveal(),
  };
  const { fetch, signal, sleep } = context;
  const call = await context.once(
    `caller ${region} ${endpoint}`,
    () => callerOf({ region, endpoint, credentials, fetch, signal, sleep }),
  );
  return async (operation, input) => {
    try {
      return await call(operation, input);
    } catch (error) {
      // What they mean depends on what is there: their callers look.
      const isAsked = /^(CreateSecret|PutSecretValue|(Batch)?GetSecretValue)$/.test(operation);
      const isKnown = error instanceof Refused && /^(ResourceExists|InvalidRequest)Exception$/.test(error.code);
      throw isAsked && isKnown ? error : told(error, what, scope.resource);
    }
  };
}
