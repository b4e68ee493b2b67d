/**
 * AWS Secrets Manager: an environment is the secrets named `{project}/{environment}/…`, copied one by one and tagged.
 * Lists lag by up to five minutes, so a mark beside the secrets holds their names.
 *
 * - API: https://docs.aws.amazon.com/secretsmanager/latest/apireference/
 * - Quotas: https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html
 */
import { present } from "../_shared/fields.ts";
import * as v from "npm:valibot@1.5.0";
import { formatMarker } from "../../core/marker.ts";
import type { Context, Fork, Held, Marker, Provider, Question, Scope } from "../../core/provider.ts";
import { ForkstackError } from "../../mod.ts";
import { poll } from "../../core/system/poll.ts";
import { forEach } from "../../core/system/concurrency.ts";
import { endpointOption, reaches } from "../_shared/json_api.ts";
import { isSameHolder } from "../_shared/ownership.ts";
import {
  type AwsCall,
  callerOf,
  contentOf,
  entriesOf,
  type Input,
  knownPaths,
  MARK,
  namesAt,
  Refused,
  told,
  valuesAt,
} from "./runtime/aws-secrets.ts";
import {
  copies,
  type EntryStore,
  foreignEntries,
  type Mark,
  ours,
  pathMark,
  STRANGE,
} from "../_shared/secret_entries.ts";
import { policyOptions } from "../_shared/secret_policy.ts";

const options = v.strictObject({
  /** The region, e.g. `"eu-central-1"`. */
  region: v.pipe(v.string(), v.regex(/^[a-z]{2}(-[a-z]+)+-\d$/, 'must be a region like "eu-central-1"')),
  ...policyOptions,
  /** URL of another endpoint of the API, e.g. a VPC endpoint's. Without TLS only on this machine. */
  endpoint: v.optional(endpointOption("", /^secretsmanager(-fips)?\.[a-z0-9-]+\.amazonaws\.com(\.cn)?$/).wrapped),
});
type Options = v.InferOutput<typeof options>;

const TAGS = v.array(v.object({ Key: v.string(), Value: v.string() }));
const DESCRIBED = v.looseObject({ ARN: v.string(), Tags: v.optional(TAGS), DeletedDate: v.optional(v.unknown()) });

const MAX_VALUE_BYTES = 65_536;
const MAX_NAME = 512;
/** Days in which a kept secret can be restored. */
const RECOVERY_DAYS = 30;
/** Longest time, in milliseconds, that a name is taken after its secret was deleted at once. */
const NAME_FREE_MS = 120_000;

const shelf: EntryStore<Options> = {
  provider: "aws-secrets",
  place: ({ project }, name) => `${project}/${name}/`,
  mark: look,
  addMark: (context, scope, name, mark) =>
    make(context, scope, name, {
      path: MARK,
      content: { SecretString: notesOf(mark) },
      tags: tagsOf(mark),
      marker: mark.marker,
    }),
  async setMark(context, scope, name, mark, changed) {
    const call = await to(context, scope, `mark secrets "${shelf.place(scope, name)}"`);
    const SecretId = nameOf(scope, name, MARK);
    if (changed === "state") return void await call("TagResource", { SecretId, Tags: tagsOf(mark) });
    checkSize(scope, SecretId, notesOf(mark));
    await call("PutSecretValue", { SecretId, SecretString: notesOf(mark), ClientRequestToken: crypto.randomUUID() });
  },
  async dropMark(context, scope, name) {
    const call = await to(context, scope, `delete the mark of "${name}"`);
    await call("DeleteSecret", { SecretId: nameOf(scope, name, MARK), ForceDeleteWithoutRecovery: true });
  },
  async *marked(context, scope) {
    const filters = [{ Key: "name", Values: [`${scope.project}/`] }, { Key: "tag-key", Values: ["forkstack:state"] }];
    for (const name of await names(context, scope, filters, "list environments")) {
      const [, env] = /^([^/]+)\/\.forkstack$/.exec(name.slice(scope.project.length + 1)) ?? [];
      if (env !== undefined) yield env;
    }
  },
  async entries(context, scope, name, known) {
    const prefix = shelf.place(scope, name);
    const call = await to(context, scope, `read secrets "${prefix}"`);
    return entriesOf(await valuesAt(call, [prefix], known?.map((path) => prefix + path)), prefix);
  },
  copied: (context, scope, name, known) => shelf.entries(context, scope, name, known),
  async paths(context, scope, name) {
    const prefix = shelf.place(scope, name);
    const all = await names(context, scope, [{ Key: "name", Values: [prefix] }], `list secrets "${prefix}"`);
    return all.map((one) => one.slice(prefix.length)).filter((path) => path !== MARK);
  },
  /** Reads both in one request: a fork of 1,000 secrets takes 50 reads. */
  async survey(context, target, known = []) {
    const own = shelf.place(target, target.name);
    if (target.parent === undefined) return [[], await shelf.paths(context, target, target.name)];
    const parents = shelf.place(target, target.parent);
    const call = await to(context, target, `read secrets "${parents}"`);
    const values = await valuesAt(call, [parents, own], known.map((path) => parents + path));
    return [entriesOf(values, parents), entriesOf(values, own).map(({ path }) => path)];
  },
  async add(context, scope, name, entry, mark) {
    const secret = nameOf(scope, name, entry.path);
    const tags = tagsOf(mark, entry.path, ["id", "path", "stack", "env", "resource", "name", "registry"]);
    const made = { path: entry.path, content: contentOf(entry), tags, marker: mark.marker };
    if (await make(context, scope, name, made)) return;
    const there = await describe(context, scope, secret);
    if (there && isMarked(there.tags, mark.id, entry.path)) return;
    throw foreignEntries(shelf, scope, `write secret "${secret}": somebody else put one there`);
  },
  async replace(context, scope, name, entry) {
    const SecretId = nameOf(scope, name, entry.path);
    const call = await to(context, scope, `write secret "${SecretId}"`);
    await call("PutSecretValue", { SecretId, ...contentOf(entry), ClientRequestToken: crypto.randomUUID() });
  },
  drop: (context, scope, name, path, mark) =>
    take(context, scope, name, path, mark, { ForceDeleteWithoutRecovery: true }),
  check(scope, name, { path, values, form }) {
    const secret = nameOf(scope, name, path);
    const isLegal = secret.length <= MAX_NAME && /^[\w/+=.@-]+$/.test(secret) && !/-[A-Za-z0-9]{6}$/.test(secret);
    if (!isLegal) {
      throw new ForkstackError("NAME_INVALID", `Cannot set secret "${secret}": AWS takes no such name`, {
        hint: `Up to ${MAX_NAME} letters, digits and /_+=.@-, not ending in a hyphen and six characters`,
        details: { provider: "aws-secrets", resource: scope.resource },
      });
    }
    if (form !== "binary") { for (const value of Object.values(values)) checkSize(scope, secret, value.reveal()); }
  },
  async write(context, scope, name, mark, changes) {
    const call = await to(context, scope, `change secrets "${shelf.place(scope, name)}"`);
    const added = Object.keys(changes).filter((key) => changes[key] !== null && mark && !mark.paths.includes(key));
    if (mark && added.length > 0) {
      await shelf.setMark(context, scope, name, { ...mark, paths: [...mark.paths, ...added] }, "paths");
    }
    await forEach(Object.entries(changes), async ([key, value]) => {
      const SecretId = nameOf(scope, name, key);
      if (value === null) {
        if (mark !== undefined) await shelf.drop(context, scope, name, key, mark);
        else await call("DeleteSecret", { SecretId, RecoveryWindowInDays: RECOVERY_DAYS });
        return;
      }
      const content = { SecretString: value.reveal(), ClientRequestToken: crypto.randomUUID() };
      const put = await call("PutSecretValue", { SecretId, ...content }).catch((error) => {
        if (isScheduled(error)) return undefined;
        throw error;
      });
      if (put !== undefined) return;
      const entry = { path: key, values: { [key]: value } };
      if (mark !== undefined) await shelf.add(context, scope, name, entry, mark);
      else await call("CreateSecret", { Name: SecretId, ...content });
    });
  },
};

const lifecycle = copies(shelf);

const CREDENTIALS_HINT = "`aws configure export-credentials --format env` gives those of a profile";

const provider: Provider<Options> = {
  name: "aws-secrets",
  kind: "secrets",
  title: "AWS Secrets Manager",
  page: "secrets.md#aws-secrets-manager",
  capabilities: {
    copy: "full-copy",
    ownership: "marked",
    outputs: "rereadable",
    nativeExpiry: false,
    usage: "none",
    pointInTime: false,
    outputsExpire: false,
    parentMayBeAbsent: false,
    name: { maxLength: 100, pattern: /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/ },
  },
  credentials: [
    { variable: "AWS_ACCESS_KEY_ID", required: true },
    { variable: "AWS_SECRET_ACCESS_KEY", required: true },
    { variable: "AWS_SESSION_TOKEN", required: false },
  ],
  variables: {
    SECRETS_PREFIX: { isSecret: false, isIdentity: true },
    SECRETS_REGION: { isSecret: false, isIdentity: false },
  },
  credentialsHint: CREDENTIALS_HINT,
  requestIdHeaders: ["x-amzn-requestid"],
  options,
  permissions: ({ endpoint, region }) =>
    reaches([endpoint ?? `https://secretsmanager.${region}.amazonaws.com${region.startsWith("cn-") ? ".cn" : ""}`]),
  ...lifecycle,
  async delete(context, fork, scope) {
    await revive(context, fork, scope);
    return await lifecycle.delete(context, fork, scope);
  },
  keep,
  outputs: (_context, { name }, scope) =>
    Promise.resolve({ SECRETS_PREFIX: shelf.place(scope, name), SECRETS_REGION: scope.options.region }),
};
export default provider;

/** The questions that `init` asks, by option. */
export const questions: Readonly<Record<string, Question>> = {
  region: { ask: "Secrets Manager: the region", example: "eu-central-1", variable: "AWS_REGION" },
};

/** Deletes everything with a recovery window, the mark last. */
async function keep(context: Context, fork: Fork, scope: Scope<Options>): Promise<Held | "absent"> {
  const kept = { id: fork.id, name: fork.name };
  const mark = await ours(shelf, context, fork, scope, "keep");
  if (mark === undefined) {
    const there = await describe(context, scope, nameOf(scope, fork.name, MARK));
    return there?.tags.id === fork.id && there.isScheduled ? kept : "absent";
  }
  const window = { RecoveryWindowInDays: RECOVERY_DAYS };
  const paths = new Set([...mark.paths, ...await shelf.paths(context, scope, fork.name)]);
  await forEach(paths, async (path) => {
    await take(context, scope, fork.name, path, mark, window);
  }, { signal: context.signal });
  context.signal.throwIfAborted();
  await take(context, scope, fork.name, MARK, mark, window);
  return kept;
}

/** Restores the mark of a kept fork, so that the names in it can be read and each secret be deleted at once. */
async function revive(context: Context, fork: Fork, scope: Scope<Options>): Promise<void> {
  const SecretId = nameOf(scope, fork.name, MARK);
  const there = await describe(context, scope, SecretId);
  if (!there?.isScheduled || there.tags.id !== fork.id) return;
  const marker = markerIn(context, fork.name, there.tags);
  if (marker === undefined || !isSameHolder(marker, fork.marker)) return;
  await (await to(context, scope, `delete secrets "${shelf.place(scope, fork.name)}"`))("RestoreSecret", { SecretId });
}

/** Deletes a secret if it bears the mark. One that waits for its deletion is left, or ended at once. */
async function take(
  context: Context,
  scope: Scope<Options>,
  name: string,
  path: string,
  mark: Mark,
  how: Input,
) {
  const secret = nameOf(scope, name, path);
  const there = await describe(context, scope, secret);
  if (there === undefined) return "absent";
  if (!isMarked(there.tags, mark.id, path)) return "foreign";
  if (there.isScheduled && !how.ForceDeleteWithoutRecovery) return "deleted";
  context.signal.throwIfAborted();
  const call = await to(context, scope, `delete secret "${secret}"`);
  await call("DeleteSecret", { SecretId: there.ARN, ...how });
  return "deleted";
}

/**
 * Creates a secret; returns `false` if it exists. One of this environment that waits for its deletion is restored: its
 * name is not free, and its old value stays a version of it.
 */
async function make(
  context: Context,
  scope: Scope<Options>,
  name: string,
  { path, content, tags, marker }: {
    readonly path: string;
    readonly content: Input;
    readonly tags: v.InferOutput<typeof TAGS>;
    readonly marker: Marker;
  },
): Promise<boolean> {
  const secret = nameOf(scope, name, path);
  if (typeof content.SecretString === "string") checkSize(scope, secret, content.SecretString);
  const what = `make secret "${secret}"`;
  const call = await to(context, scope, what);
  const ClientRequestToken = crypto.randomUUID();
  let busy: unknown;
  const late = () => {
    throw told(busy, what, scope.resource);
  };
  return await poll<boolean>(
    context,
    { what, deadlineMs: NAME_FREE_MS, firstMs: 500, mostMs: 10_000, late },
    async () => {
      try {
        await call("CreateSecret", { Name: secret, ...content, Tags: tags, ClientRequestToken });
        return true;
      } catch (error) {
        if (error instanceof Refused && error.code === "ResourceExistsException") return false;
        if (!isScheduled(error)) throw told(error, what, scope.resource);
        busy = error;
      }
      const there = await describe(context, scope, secret);
      if (!there?.isScheduled) return undefined; // it was deleted at once, which takes a while
      const its = isMarked(there.tags, there.tags.id ?? "", path) ? markerIn(context, name, there.tags) : undefined;
      if (its === undefined || !isSameHolder(its, marker)) {
        throw foreignEntries(shelf, scope, `${what}: one that is not ours waits for its deletion`);
      }
      await call("RestoreSecret", { SecretId: there.ARN });
      await call("PutSecretValue", { SecretId: there.ARN, ...content, ClientRequestToken });
      await call("TagResource", { SecretId: there.ARN, Tags: tags });
      return true;
    },
  );
}

function isScheduled(error: unknown): boolean {
  return error instanceof Refused && error.code === "InvalidRequestException";
}

// ---- The mark ----

/** Returns the mark, unless it waits for its deletion. */
async function look(
  context: Context,
  scope: Scope<Options>,
  name: string,
): Promise<Mark | typeof STRANGE | undefined> {
  const there = await describe(context, scope, nameOf(scope, name, MARK));
  if (there === undefined || there.isScheduled) return undefined;
  const call = await to(context, scope, `look at secrets "${shelf.place(scope, name)}"`);
  const known = await knownPaths(call, shelf.place(scope, name));
  if (known === undefined) return undefined; // it went meanwhile
  const { id, parent, createdAt, state } = there.tags;
  const marker = storedMarker(there.tags);
  if (
    !id || marker === undefined || !createdAt || !/^(copying|ready)$/.test(state ?? "") || known.paths === undefined
  ) {
    return STRANGE;
  }
  const lineage = parent ? { parentId: parent } : {};
  return { id, marker, ...lineage, createdAt, state: state as Mark["state"], paths: known.paths };
}

type Tags = Readonly<Partial<Record<string, string>>>;

/** Returns the marker in tags; entries have no operation. */
function storedMarker({ stack, env, resource, operation, name, registry, made }: Tags): Marker | undefined {
  if (!stack || !env || !resource || !operation) return undefined;
  const more = { name: name || undefined, registry: registry || undefined, made: made || undefined };
  return { stack, env, resource, operation, ...present(more) };
}

/** Returns the owner that tags name for an environment of this name; `undefined` for tags copied from another one's. */
function markerIn(context: Context, name: string, tags: Tags): Marker | undefined {
  const marker = storedMarker({ operation: "-", ...tags });
  return marker && context.markerOf(name, formatMarker(marker));
}

/** Returns true if tags have this mark and this path; those of 0.1.0 have no path. */
function isMarked(tags: Tags, markId: string, path: string): boolean {
  return tags.id === markId && (tags.path ?? pathMark(path)) === pathMark(path);
}

function notesOf({ id, paths }: Mark): string {
  return JSON.stringify({ id, paths });
}

/** Formats tags. They may have letters, digits, space and `_.:/=+-@`; anything else is written `@2a@`. */
function tagsOf({ id, marker, parentId, createdAt, state }: Mark, path = MARK, only?: readonly string[]) {
  const lineage = parentId === undefined ? [] : [["parent", parentId] as const];
  const whole = [...Object.entries({ id, path: pathMark(path), ...marker, createdAt, state }), ...lineage];
  const escaped = (text: string) =>
    text.replace(/[^\p{L}\p{N} _.:/=+-]/gu, (one) => `@${one.codePointAt(0)!.toString(16)}@`);
  return whole.filter(([key]) => only?.includes(key) ?? true)
    .map(([key, value]) => ({ Key: `forkstack:${key}`, Value: escaped(value) }));
}

async function describe(context: Context, scope: Scope<Options>, SecretId: string) {
  const found = await (await to(context, scope, `look at secret "${SecretId}"`))("DescribeSecret", { SecretId });
  if (found === undefined) return undefined;
  const { ARN, Tags = [], DeletedDate } = v.parse(DESCRIBED, found);
  const plain = (text: string) => text.replace(/@([0-9a-f]+)@/g, (_, code) => String.fromCodePoint(parseInt(code, 16)));
  const own = Tags.filter(({ Key }) => Key.startsWith("forkstack:"));
  const tags: Partial<Record<string, string>> = Object.fromEntries(
    own.map(({ Key, Value }) => [Key.slice("forkstack:".length), plain(Value)]),
  );
  return { ARN, tags, isScheduled: DeletedDate !== undefined };
}

// ---- The API ----

function nameOf(scope: Scope<Options>, name: string, path: string): string {
  return shelf.place(scope, name) + path;
}

function checkSize({ resource }: Scope<Options>, secret: string, value: string): void {
  const bytes = new TextEncoder().encode(value).length;
  if (bytes <= MAX_VALUE_BYTES) return;
  throw new ForkstackError("VALUE_TOO_LARGE", `Cannot set secret "${secret}": it has ${bytes} bytes`, {
    hint: `AWS takes ${MAX_VALUE_BYTES} bytes at most; keep it in a file or a bucket, and its name here`,
    details: { provider: "aws-secrets", resource },
  });
}

/** Lists the names in a list, from all pages. */
async function names(context: Context, scope: Scope<Options>, Filters: unknown, what: string): Promise<string[]> {
  return await namesAt(await to(context, scope, what), Filters);
}

/** Returns a function that sends commands, and explains refusals that its caller does not know. */
async function to(context: Context, scope: Scope<Options>, what: string): Promise<AwsCall> {
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
