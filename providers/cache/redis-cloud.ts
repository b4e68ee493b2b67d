/**
 * Redis Cloud: each environment has a database of its own in one subscription, with a password of its own. Every change
 * is a task that is waited for, and then for the database to be active. The data of the parent is read and written key
 * by key through here: the vendor's import takes no database of its own kind, and a replica does not say when it is done.
 * A tag at the new database says that its data is whole. Tags can't be set by the create, so a database is ours if its id
 * is on record from Redis Cloud's own answer, or after a lost reply if it has the password that this run chose, of which
 * the hash is on record; names are unique in a subscription.
 *
 * - API: https://redis.io/docs/latest/operate/rc/api/
 * - Tasks: https://redis.io/docs/latest/operate/rc/api/get-started/process-lifecycle/
 */
import { createHash, randomBytes } from "node:crypto";
import * as v from "npm:valibot@1.5.0";
import { poll } from "../../core/system/poll.ts";
import {
  type Context,
  type Fork,
  type Held,
  type Marker,
  type Provider,
  type Question,
  Secret,
} from "../../core/provider.ts";
import type { Inspection, Scope, Target, Usage } from "../../core/provider.ts";
import { ForkstackError, isForkstackError } from "../../mod.ts";
import { reaches } from "../_shared/json_api.ts";
import { copyAcross, type RedisLogin, redisUrl, withRedis } from "../_shared/redis_connection.ts";
import { recorded, type RecordedThing } from "../_shared/recorded.ts";
import {
  api,
  CREDENTIALS_HINT,
  type Database,
  databases,
  details,
  done,
  find,
  isOver,
  type Options,
  options,
  TASK_LIST,
} from "./redis_cloud_api.ts";

const TAGS = v.object({ tags: v.optional(v.array(v.object({ key: v.string(), value: v.string() })), []) });

const WHOLE_TAG = { key: "forkstack-data", value: "whole" };

const provider: Provider<Options> = {
  name: "redis-cloud",
  kind: "cache",
  title: "Redis Cloud",
  page: "caches.md#redis-cloud",
  capabilities: {
    copy: "full-copy",
    ownership: "recorded",
    outputs: "rereadable",
    nativeExpiry: false,
    usage: "bytes",
    pointInTime: false,
    outputsExpire: false,
    parentMayBeAbsent: false,
    // https://redis.io/docs/latest/operate/rc/databases/create-database/create-essentials-database/, read November 2026
    name: { maxLength: 40, pattern: /^[a-z]([a-z0-9-]*[a-z0-9])?$/ },
  },
  credentials: [
    { variable: "REDISCLOUD_ACCESS_KEY", required: true },
    { variable: "REDISCLOUD_SECRET_KEY", required: true },
  ],
  variables: {
    CACHE_URL: { isSecret: true, isIdentity: true },
    REDIS_URL: { isSecret: true, isIdentity: true },
  },
  credentialsHint: CREDENTIALS_HINT,
  importHint:
    "The console imports a file of Redis (RDB): https://redis.io/docs/latest/operate/rc/databases/import-data/",
  options,
  permissions: ({ endpoint }) => reaches([endpoint], "*.redis-cloud.com", "*.redislabs.com"),
  inspect,
  create,
  delete: remove,
  list: (context, scope) => records.list(context, scope),
  probe,
  outputs,
  usage,
};
export default provider;

const records = recorded<Database, Options>({
  provider: "redis-cloud",
  label: "Redis Cloud",
  async *all(context, scope) {
    yield* await databases(context, scope);
  },
  idOf: ({ databaseId }) => String(databaseId),
  namesOf: ({ name }) => [name],
  forkOf,
  leavesRenamed: true,
});

/** The questions that `init` asks, by option. */
export const questions: Readonly<Record<string, Question>> = {
  subscription: {
    ask: "Redis Cloud: the number of the subscription, as in the console's address",
    example: "154714",
  },
};

async function inspect(context: Context, target: Target<Options>): Promise<Inspection> {
  const found = await standing(context, target, target.name);
  if (target.heldId !== undefined && String(found?.databaseId) !== target.heldId) {
    const held = await find(context, target, target.heldId);
    const left = held && records.renamed(target, held);
    if (left !== undefined) return left;
  }
  if (found === undefined) return { state: "absent" };
  const owner = await records.ownerOf(context, target.name, found) ??
    (target.isResumed ? await provenOwner(context, target, found) : undefined);
  const seen = records.inspection(target, found, owner, /delet/.test(found.status) ? "deleting" : "pending");
  if (seen.state !== "pending" || !isUsable(found) || !await isWhole(context, target, found)) return seen;
  return { ...seen, state: "ready" };
}

const keyOf = (password: string) => `password:${createHash("sha256").update(password).digest("hex")}`;

/**
 * Returns the owner of a database by its password, which an active database tells: only its run knows the one it chose.
 */
async function provenOwner(context: Context, scope: Scope<Options>, found: Database): Promise<Marker | undefined> {
  const known = (await context.recorded(found.name)).filter(({ step }) => step === KEY);
  if (known.length === 0) return undefined;
  const what = `look at database "${found.name}"`;
  const password = await poll(context, { ...details(scope), what }, async () => {
    const still = await find(context, scope, String(found.databaseId));
    if (still === undefined || !/pending|draft/.test(still.status)) return still?.security?.password ?? "";
    return still.security?.password;
  });
  return known.find(({ id }) => id === keyOf(password))?.marker;
}

/** The journal step with the hash of the chosen password. */
const KEY = "key";

async function create(context: Context, target: Target<Options>): Promise<Fork> {
  const { name } = target;
  const what = `make database "${name}"`;
  const parent = target.parent === undefined ? undefined : await parentOf(context, target, target.parent);
  let found = await standing(context, target, name);
  let problem: unknown;
  if (found === undefined) {
    context.signal.throwIfAborted();
    // https://redis.io/docs/latest/operate/rc/api/examples/create-database/
    // Where the plan fixes the size, the API takes none; where one pays as one goes, it wants one.
    const { sizeGb = parent?.planMemoryLimit === undefined ? parent?.datasetSizeInGb : undefined } = target.options;
    const password = randomBytes(24).toString("hex");
    await context.record(KEY, keyOf(password));
    const json = {
      name,
      password,
      datasetSizeInGb: sizeGb,
      dataEvictionPolicy: parent?.dataEvictionPolicy,
      enableTls: parent?.security?.enableTls ? true : undefined,
    };
    try {
      const id = await done(context, target, await api.send(context, target, "POST", ["databases"], { json }), what);
      if (id !== undefined) await context.record("database", String(id));
    } catch (error) {
      if (!isForkstackError(error) || error.code !== "CONFLICT") throw error;
      problem = error; // another has taken the name since
    }
    found = await standing(context, target, name);
    if (found === undefined) throw problem ?? missing(target, name);
  }
  const owner = await records.ownerOf(context, name, found) ?? await provenOwner(context, target, found);
  records.assertWanted(target, owner, what, problem);
  await context.record("database", String(found.databaseId));
  const ready = await settled(context, target, found.databaseId, what);
  if (!await isWhole(context, target, ready)) {
    if (parent !== undefined) await fill(context, target, parent, ready);
    // https://redis.io/docs/latest/operate/rc/databases/tag-database/
    const answer = await api.send(context, target, "POST", [...pathOf(ready), "tags"], { json: WHOLE_TAG });
    const problem = answer.response.ok ? undefined : await api.refusal(answer, target, what);
    if (answer.response.ok) await answer.response.text();
    if (problem !== undefined && !await isWhole(context, target, ready)) throw problem; // another may have set it since
  }
  const origin = parent === undefined
    ? { copy: "empty" } as const
    : { parentId: String(parent.databaseId), copy: "full-copy" } as const;
  return { ...forkOf(ready, { ...target, since: target.begunAt }), ...origin };
}

async function remove(context: Context, fork: Fork, scope: Scope<Options>): Promise<"deleted" | "absent"> {
  const what = `delete database "${fork.name}"`;
  const found = await find(context, scope, fork.id) ?? // a 404 says little
    (await databases(context, scope)).find(({ databaseId }) => String(databaseId) === fork.id);
  if (found === undefined) return "absent";
  await records.assertOurs(context, scope, fork, found, what);
  let isSent = /delet/.test(found.status);
  await poll(context, { ...details(scope), what }, async () => {
    const still = await find(context, scope, fork.id) ??
      (await databases(context, scope)).find(({ databaseId }) => String(databaseId) === fork.id);
    if (still === undefined) return true;
    if (isSent || !(isUsable(still) || /error/.test(still.status))) return undefined; // one that is busy can't be deleted
    context.signal.throwIfAborted();
    const answer = await api.send(context, scope, "DELETE", pathOf(still));
    if (answer.response.status !== 404) await done(context, scope, answer, what);
    else await answer.response.text();
    isSent = answer.response.ok;
    return undefined;
  });
  return "deleted";
}

async function probe(context: Context, held: Held, scope: Scope<Options>): Promise<void> {
  const login = await loginAt(context, scope, held);
  await withRedis(context, login, taskOf(`use database "${held.name}"`), ({ send }) => send("PING"));
}

async function outputs(context: Context, held: Held, scope: Scope<Options>): Promise<Record<string, string | Secret>> {
  const { database: _, ...login } = await loginAt(context, scope, held); // there is one logical database
  const url = new Secret(redisUrl(login));
  return { CACHE_URL: url, REDIS_URL: url };
}

async function usage(context: Context, held: Held, scope: Scope<Options>): Promise<Usage> {
  const { memoryUsedInMb = 0 } = await find(context, scope, held.id) ?? raise(missing(scope, held.name));
  return { sizeBytes: Math.round(memoryUsedInMb * 1024 * 1024) };
}

// ---- Data ----

async function fill(context: Context, target: Target<Options>, parent: Database, child: Database): Promise<void> {
  const task = taskOf(`copy database "${parent.name}" to "${child.name}"`);
  const from = await loginAt(context, target, { id: String(parent.databaseId), name: parent.name });
  const to = await loginAt(context, target, { id: String(child.databaseId), name: child.name });
  await withRedis(
    context,
    from,
    task,
    (source) =>
      withRedis(
        context,
        to,
        task,
        (sink) => copyAcross(source, sink, (text) => context.progress(`${child.name}: ${text}`)),
      ),
  );
}

async function loginAt(context: Context, scope: Scope<Options>, { id, name }: Held): Promise<RedisLogin> {
  const found = await find(context, scope, id) ?? raise(missing(scope, name));
  const at = found.dynamicEndpoints?.public ?? found.publicEndpoint;
  const { password, enableTls = false } = found.security ?? {};
  const [, host, port] = /^(.+):(\d+)$/.exec(at ?? "") ?? [];
  if (host === undefined || port === undefined || !password) {
    throw new ForkstackError(
      "NOT_READY",
      `Cannot use database "${name}": it is ${found.status}, without an endpoint or a password`,
      {
        hint: "Wait, then run the same command again. If its default user is off in Redis Cloud's console, turn it on",
        retryable: true,
        details: details(scope),
      },
    );
  }
  const variable = `Redis Cloud's console, at database "${name}"`;
  return { variable, isTls: enableTls, host, port: Number(port), user: "default", password, database: 0 };
}

const taskOf = (what: string) => ({ provider: "redis-cloud", what });

async function isWhole(context: Context, scope: Scope<Options>, database: Database): Promise<boolean> {
  const answer = await api.send(context, scope, "GET", [...pathOf(database), "tags"]);
  const { tags } = await api.read(TAGS, answer, scope, `read tags of database "${database.name}"`);
  return tags.some(({ key, value }) => key === WHOLE_TAG.key && value === WHOLE_TAG.value);
}

// ---- The API ----

const pathOf = ({ databaseId }: Database) => ["databases", String(databaseId)];

/** Returns the database of a name, after all running creates have ended: the answer to one may have been lost. */
async function standing(context: Context, scope: Scope<Options>, name: string): Promise<Database | undefined> {
  const look = async () => (await databases(context, scope)).find((one) => one.name === name);
  const found = await look();
  if (found !== undefined) return found;
  await poll(context, { ...details(scope), what: "wait for the creates of the account" }, async () => {
    const answer = await api.send(context, scope, "GET", ["tasks"], { root: true });
    const { tasks } = await api.read(TASK_LIST, answer, scope, "list tasks");
    const isMaking = tasks.some((task) =>
      !isOver(task) && /DatabaseCreate/i.test(task.commandType ?? "DatabaseCreate")
    );
    return isMaking ? undefined : true;
  });
  return await look();
}

/** Waits until a database is active: a completed task alone does not say so. */
async function settled(context: Context, scope: Scope<Options>, id: number, what: string): Promise<Database> {
  return await poll(context, { ...details(scope), what }, async () => {
    const found = await find(context, scope, String(id)) ?? raise(missing(scope, String(id)));
    if (/error/.test(found.status)) throw unusable(scope, found);
    return found.status === "active" ? found : undefined;
  });
}

async function parentOf(context: Context, scope: Scope<Options>, name: string): Promise<Database> {
  const found = (await databases(context, scope)).find((one) => one.name === name) ?? raise(missing(scope, name));
  if (isUsable(found)) return found;
  throw unusable(scope, found);
}

/** Returns true if a database answers, even while its settings change. */
const isUsable = ({ status }: Database) => /^active/.test(status);

function missing(scope: Scope<Options>, name: string): ForkstackError {
  const { subscription } = scope.options;
  return new ForkstackError("NOT_FOUND", `Cannot use database "${name}": subscription ${subscription} has none`, {
    hint: `Make "${name}" in Redis Cloud's console, name another parent with --from, or fork with --empty`,
    details: details(scope),
  });
}

function unusable(scope: Scope<Options>, { name, status }: Database): ForkstackError {
  return new ForkstackError("CONFLICT", `Cannot use database "${name}": it is "${status}", and must be "active"`, {
    hint: "See Redis Cloud's console. A fork that is in error can only be deleted, with its environment",
    details: details(scope),
  });
}

function raise(error: Error): never {
  throw error;
}

/** Returns the fork of a database; while that is created, it has no time of its own. */
function forkOf({ databaseId, name, activatedOn }: Database, { marker, since }: RecordedThing): Fork {
  return { id: String(databaseId), name, createdAt: new Date(activatedOn ?? since).toISOString(), marker };
}
