/**
 * AWS Secrets Manager: an environment is the secrets named `{project}/{environment}/…`, copied one by one and tagged.
 * Lists lag by up to five minutes, so a mark beside the secrets holds their names.
 *
 * - API: https://docs.aws.amazon.com/secretsmanager/latest/apireference/
 * - Quotas: https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html
 */
import { formatMarker } from "../../core/marker.ts";
import type { Context, Fork, Held, Marker, Provider, Question, Scope, Verified } from "../../core/provider.ts";
import { poll } from "../../core/system/poll.ts";
import { forEach } from "../../core/system/concurrency.ts";
import { present } from "../_shared/fields.ts";
import { reaches } from "../_shared/json_api.ts";
import { isSameHolder } from "../_shared/ownership.ts";
import {
  copies,
  type EntryStore,
  foreignEntries,
  isSameSettings,
  isSameValue,
  type Mark,
  ours,
  pathMark,
  type SecretEntry,
  STRANGE,
} from "../_shared/secret_entries.ts";
import {
  checkName,
  checkSize,
  checkTags,
  CREDENTIALS_HINT,
  type Described,
  describeSecret,
  nameOf,
  type Options,
  options,
  placeOf,
  type Settings,
  settingsIn,
  settle,
  tagsOf,
  to,
} from "./aws_secrets_api.ts";
import {
  type AwsCall,
  contentOf,
  entriesOf,
  type Input,
  knownPaths,
  listAt,
  MARK,
  Refused,
  singly,
  told,
  valuesAt,
} from "./runtime/aws-secrets.ts";

/** Ways of deleting a secret: one that can be restored for 30 days, and one that is gone. */
const RECOVERABLE = { RecoveryWindowInDays: 30 };
const AT_ONCE = { ForceDeleteWithoutRecovery: true };
/** The step of an operation that takes a waiting secret back, recorded with its ARN before its first call. */
const RESTORE = "restore";
/** Longest time, in milliseconds, that a name is taken after its secret was deleted at once. */
const NAME_FREE_MS = 120_000;

const shelf: EntryStore<Options> = {
  provider: "aws-secrets",
  place: placeOf,
  mark: look,
  addMark: (context, scope, name, mark) =>
    make(context, scope, name, {
      path: MARK,
      content: { SecretString: notesOf(mark) },
      tags: markTags(mark),
      settings: NO_SETTINGS,
      marker: mark.marker,
    }),
  async setMark(context, scope, name, mark, changed) {
    const call = await to(context, scope, `mark secrets "${shelf.place(scope, name)}"`);
    const SecretId = nameOf(scope, name, MARK);
    if (changed === "state") return void await call("TagResource", { SecretId, Tags: tagsOf(markTags(mark)) });
    checkSize(scope, SecretId, notesOf(mark));
    await call("PutSecretValue", { SecretId, SecretString: notesOf(mark), ClientRequestToken: crypto.randomUUID() });
  },
  async dropMark(context, scope, name) {
    const SecretId = nameOf(scope, name, MARK);
    const there = await describeSecret(context, scope, SecretId);
    if (there === undefined) return;
    const how = await restorerOf(context, name, there) ? RECOVERABLE : AT_ONCE;
    await (await to(context, scope, `delete the mark of "${name}"`))("DeleteSecret", { SecretId, ...how });
  },
  async *marked(context, scope) {
    const filters = [{ Key: "name", Values: [`${scope.project}/`] }, { Key: "tag-key", Values: ["forkstack:state"] }];
    for (const { Name } of await listAt(await to(context, scope, "list environments"), filters)) {
      const [, env] = /^([^/]+)\/\.forkstack$/.exec(Name.slice(scope.project.length + 1)) ?? [];
      if (env !== undefined) yield env;
    }
  },
  async entries(context, scope, name, known) {
    const prefix = shelf.place(scope, name);
    const call = await to(context, scope, `read secrets "${prefix}"`);
    return entriesOf(await valuesAt(call, [prefix], known?.map((path) => prefix + path)), prefix);
  },
  copied: async (context, scope, name, known) => (await copiedFrom(context, scope, [name], known)).entries,
  async paths(context, scope, name) {
    const prefix = shelf.place(scope, name);
    const call = await to(context, scope, `list secrets "${prefix}"`);
    return pathsIn(await listAt(call, [{ Key: "name", Values: [prefix] }]), prefix);
  },
  /** Reads both in the same requests: a fork of 1,000 secrets takes 50 reads, and 10 for descriptions and tags. */
  async survey(context, target, known) {
    if (target.parent === undefined) return [[], await shelf.paths(context, target, target.name)];
    const { entries, found } = await copiedFrom(context, target, [target.parent, target.name], known);
    return [entries, pathsIn(found, shelf.place(target, target.name))];
  },
  async add(context, scope, name, entry, mark) {
    const secret = nameOf(scope, name, entry.path);
    const made = {
      path: entry.path,
      content: contentOf(entry),
      tags: entryTags(mark, entry.path),
      settings: settingsOf(entry),
      marker: mark.marker,
    };
    if (await make(context, scope, name, made)) return;
    const there = await describeSecret(context, scope, secret);
    if (there && isMarked(there.tags, mark.id, entry.path)) return;
    throw foreignEntries(shelf, scope, `write secret "${secret}": somebody else put one there`);
  },
  async replace(context, scope, name, entry, was) {
    const SecretId = nameOf(scope, name, entry.path);
    const call = await to(context, scope, `write secret "${SecretId}"`);
    if (!isSameSettings(was, entry)) await settle(call, SecretId, settingsOf(was), settingsOf(entry));
    if (isSameValue(was, entry)) return;
    await call("PutSecretValue", { SecretId, ...contentOf(entry), ClientRequestToken: crypto.randomUUID() });
  },
  drop: (context, scope, name, path, mark) => take(context, scope, name, path, mark, AT_ONCE),
  check(scope, name, entry) {
    const secret = nameOf(scope, name, entry.path);
    checkName(scope, secret);
    checkTags(scope, secret, settingsOf(entry), ENTRY_TAGS.length);
    if (entry.form === "binary") return;
    for (const value of Object.values(entry.values)) checkSize(scope, secret, value.reveal());
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
        else await call("DeleteSecret", { SecretId, ...RECOVERABLE });
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

/** Servers and clients of its tests, beside its emulator. */
export const verified: Verified = { servers: ["moto"], clients: ["@aws-sdk/client-secrets-manager"] };

/** The questions that `init` asks, by option. */
export const questions: Readonly<Record<string, Question>> = {
  region: { ask: "Secrets Manager: the region", example: "eu-central-1", variable: "AWS_REGION" },
};

/** Deletes everything with a recovery window, the mark last. */
async function keep(context: Context, fork: Fork, scope: Scope<Options>): Promise<Held | "absent"> {
  const kept = { id: fork.id, name: fork.name };
  const mark = await ours(shelf, context, fork, scope, "keep");
  if (mark === undefined) {
    const there = await describeSecret(context, scope, nameOf(scope, fork.name, MARK));
    return there?.tags.id === fork.id && there.isScheduled ? kept : "absent";
  }
  const paths = new Set([...mark.paths, ...await shelf.paths(context, scope, fork.name)]);
  await forEach(paths, async (path) => {
    await take(context, scope, fork.name, path, mark, RECOVERABLE);
  }, { signal: context.signal });
  context.signal.throwIfAborted();
  await take(context, scope, fork.name, MARK, mark, RECOVERABLE);
  return kept;
}

/** Restores the mark of a kept fork, so that the names in it can be read and each secret be deleted at once. */
async function revive(context: Context, fork: Fork, scope: Scope<Options>): Promise<void> {
  const SecretId = nameOf(scope, fork.name, MARK);
  const there = await describeSecret(context, scope, SecretId);
  if (!there?.isScheduled || there.tags.id !== fork.id) return;
  const marker = markerIn(context, fork.name, there.tags);
  if (marker === undefined || !isSameHolder(marker, fork.marker)) return;
  await (await to(context, scope, `delete secrets "${shelf.place(scope, fork.name)}"`))("RestoreSecret", { SecretId });
}

/**
 * Deletes a secret if it bears the mark. One that waits for its deletion is left, or ended at once; the backup that a
 * broken attempt restored waits for it again.
 */
async function take(
  context: Context,
  scope: Scope<Options>,
  name: string,
  path: string,
  mark: Mark,
  how: Input,
) {
  const secret = nameOf(scope, name, path);
  const there = await describeSecret(context, scope, secret);
  if (there === undefined) return "absent";
  const isOurs = isMarked(there.tags, mark.id, path);
  if (!isOurs && (there.isScheduled || !await restorerOf(context, name, there))) return "foreign";
  if (there.isScheduled && how === RECOVERABLE) return "deleted";
  context.signal.throwIfAborted();
  const call = await to(context, scope, `delete secret "${secret}"`);
  const wanted = isOurs ? how : RECOVERABLE;
  await call("DeleteSecret", { SecretId: there.arn, ...wanted });
  return "deleted";
}

/** A secret that is to be made. */
interface Wanted {
  readonly path: string;
  readonly content: Input;
  /** Its mark, by tag without forkstack's prefix. */
  readonly tags: Readonly<Record<string, string>>;
  readonly settings: Settings;
  readonly marker: Marker;
}

/** Creates a secret; returns `false` if it exists. One of this environment that waits for its deletion is taken back. */
async function make(context: Context, scope: Scope<Options>, name: string, wanted: Wanted): Promise<boolean> {
  const { path, content, marker, settings } = wanted;
  const secret = nameOf(scope, name, path);
  if (typeof content.SecretString === "string") checkSize(scope, secret, content.SecretString);
  const what = `make secret "${secret}"`;
  const call = await to(context, scope, what);
  const ClientRequestToken = crypto.randomUUID();
  const Description = settings.description || undefined;
  let busy: unknown;
  const late = () => {
    throw told(busy, what, scope.resource);
  };
  return await poll<boolean>(
    context,
    { what, deadlineMs: NAME_FREE_MS, firstMs: 500, mostMs: 10_000, late },
    async () => {
      try {
        const Tags = tagsOf(wanted.tags, settings.tags);
        await call("CreateSecret", { Name: secret, ...content, Description, Tags, ClientRequestToken });
        return true;
      } catch (error) {
        if (!isTaken(error)) throw told(error, what, scope.resource);
        busy = error;
      }
      const there = await describeSecret(context, scope, secret);
      if (!there) return undefined; // it was deleted at once, which takes a while
      const isBegun = there.tags.id !== wanted.tags.id && await restorerOf(context, name, there) !== undefined;
      if (!there.isScheduled && !isBegun) return false;
      const its = isMarked(there.tags, there.tags.id ?? "", path) ? markerIn(context, name, there.tags) : undefined;
      if (its === undefined || !isSameHolder(its, marker)) {
        throw foreignEntries(shelf, scope, `${what}: one that is not ours waits for its deletion`);
      }
      return await takeBack(context, scope, wanted, there);
    },
  );
}

/**
 * Takes back a secret that waits for its deletion: its name is not free. Its old value stays a version of it. AWS can't
 * take a value away, so where none is wanted the secret is ended; `undefined`: its name is not free yet.
 */
async function takeBack(
  context: Context,
  scope: Scope<Options>,
  { path, content, tags, settings }: Wanted,
  there: Described,
): Promise<true | undefined> {
  const SecretId = there.arn;
  const call = await to(context, scope, `take back secret "${path}"`);
  const isBare = Object.keys(content).length === 0;
  if (isBare && there.hasValue) {
    context.warn(`The backup of secret "${path}" is deleted: its parent has no value, and AWS can't take one away`);
    await call("DeleteSecret", { SecretId, ...AT_ONCE });
    return undefined;
  }
  // Tags come last, because AWS takes none while a secret waits: until then the record says whose attempt restored it.
  await context.record(RESTORE, there.arn);
  if (there.isScheduled) await call("RestoreSecret", { SecretId });
  if (!isBare) await call("PutSecretValue", { SecretId, ...content, ClientRequestToken: crypto.randomUUID() });
  await settle(call, SecretId, there.settings, settings);
  await call("TagResource", { SecretId, Tags: tagsOf(tags) });
  return true;
}

/**
 * Returns the marker of the operation that restored a secret and was broken before it tagged that as its own: until then
 * the secret bears the tags of a former fork.
 */
async function restorerOf(context: Context, name: string, { arn, tags }: Described): Promise<Marker | undefined> {
  const record = (await context.recorded(name)).find(({ step, id }) => step === RESTORE && id === arn);
  return record?.marker.operation === tags.operation ? undefined : record?.marker;
}

function isScheduled(error: unknown): boolean {
  return error instanceof Refused && error.code === "InvalidRequestException";
}

/** Returns true if a name is taken, also by a secret that waits for its deletion, which moto tells as one that exists. */
function isTaken(error: unknown): boolean {
  return isScheduled(error) || (error instanceof Refused && error.code === "ResourceExistsException");
}

// ---- The mark ----

/** Returns the mark, unless it waits for its deletion. */
async function look(
  context: Context,
  scope: Scope<Options>,
  name: string,
): Promise<Mark | typeof STRANGE | undefined> {
  const there = await describeSecret(context, scope, nameOf(scope, name, MARK));
  if (there === undefined || there.isScheduled) return undefined;
  const restorer = await restorerOf(context, name, there);
  if (restorer !== undefined && there.tags.id) {
    const { id, createdAt = context.now().toISOString() } = there.tags;
    return { id, marker: restorer, createdAt, state: "copying", paths: [] };
  }
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

/** Returns the tags of the mark. */
function markTags({ id, marker, parentId, createdAt, state }: Mark, path = MARK): Record<string, string> {
  return present({ id, path: pathMark(path), ...marker, createdAt, state, parent: parentId });
}

const ENTRY_TAGS = ["id", "path", "stack", "env", "resource", "name", "registry"];

/** Returns the tags of an entry. */
function entryTags(mark: Mark, path: string): Record<string, string> {
  return Object.fromEntries(Object.entries(markTags(mark, path)).filter(([key]) => ENTRY_TAGS.includes(key)));
}

// ---- The entries ----

const NO_SETTINGS: Settings = { description: "", tags: {} };

function settingsOf({ settings = NO_SETTINGS }: SecretEntry): Settings {
  return settings as Settings;
}

function pathsIn(found: readonly { readonly Name: string }[], prefix: string): string[] {
  const inside = found.filter(({ Name }) => Name.startsWith(prefix)).map(({ Name }) => Name.slice(prefix.length));
  return [...new Set(inside)].filter((path) => path !== MARK);
}

/**
 * Reads the secrets of the first of these environments as a copy gets them; `found` names those of all of them. What is
 * not in both, the list and the values, is described: a list lags, and one without a value may be gone by now.
 */
async function copiedFrom(
  context: Context,
  scope: Scope<Options>,
  [name, ...others]: readonly [string, ...string[]],
  known: readonly string[] = [],
): Promise<{ readonly entries: SecretEntry[]; readonly found: readonly { readonly Name: string }[] }> {
  const prefix = placeOf(scope, name);
  const prefixes = [prefix, ...others.map((other) => placeOf(scope, other))];
  const call = await to(context, scope, `read secrets "${prefix}"`);
  const listed = await listAt(call, [{ Key: "name", Values: prefixes }]);
  const paths = [...pathsIn(listed, prefix), ...known];
  const values = await valuesAt(call, prefixes, paths.map((path) => prefix + path));
  const settings = new Map(listed.map((one) => [one.Name, settingsIn(one)]));
  const entries = new Map(
    entriesOf(values, prefix).map((entry) => [entry.path, { ...entry, settings: settings.get(prefix + entry.path) }]),
  );
  const rest = new Set([...paths, ...entries.keys()].filter((path) => entries.get(path)?.settings === undefined));
  await forEach(rest, async (path) => {
    const there = await describeSecret(context, scope, prefix + path);
    if (there === undefined || there.isScheduled) return void entries.delete(path);
    const value = entries.get(path) ?? await laterValue(call, prefix, path, there);
    entries.set(path, { ...value, settings: there.settings });
  }, { signal: context.signal });
  const sorted = [...entries.values()].sort((a, b) => a.path < b.path ? -1 : 1);
  return { entries: sorted, found: [...listed, ...values] };
}

/** Reads a secret that had no value a moment ago. */
async function laterValue(call: AwsCall, prefix: string, path: string, { hasValue }: Described): Promise<SecretEntry> {
  const [entry] = hasValue ? entriesOf(await singly(call, [prefix + path]), prefix) : [];
  return entry ?? { path, values: {}, isBare: true };
}
