/**
 * Upstash Redis: each environment has a database of its own. A fork's data comes by a backup of the parent that is
 * restored into the new database; a backup reads, so the parent stays as it is. Until all is there the database bears
 * the name `<name>--forking-<digits>`, which only its run gives, from its own id and the parent's: a fork that was cut off
 * is known by it, and so is where its backup is. Upstash stores no note of ours and may hold two databases of one name:
 * one is ours if its id is on record from Upstash's own answer, or while it is forked by that name.
 *
 * - Developer API: https://upstash.com/docs/devops/developer-api/introduction
 * - Its specification: https://github.com/upstash/docs/blob/main/devops/developer-api/openapi.yml
 * - Backup and restore: https://upstash.com/docs/redis/features/backup
 * - REST API of a database: https://upstash.com/docs/redis/features/restapi
 */
import { Buffer } from "node:buffer";
import * as v from "npm:valibot@1.5.0";
import { poll } from "../../core/system/poll.ts";
import { readJson, vendorError } from "../../core/http/client.ts";
import { repeatable } from "../../core/system/repeat.ts";
import { type Context, type Fork, type Held, type Provider, Secret, type Verified } from "../../core/provider.ts";
import type { Inspection, Scope, Target, Usage } from "../../core/provider.ts";
import { ForkstackError } from "../../mod.ts";
import { Api, endpointOption, reaches, type VendorAnswer } from "../_shared/json_api.ts";
import { urlOf } from "../_shared/connection_url.ts";
import { isOthers, isSameHolder } from "../_shared/ownership.ts";
import { recorded } from "../_shared/recorded.ts";
import {
  bearersOf,
  DATABASE,
  type Database,
  forkingName,
  isForking,
  NAME_LENGTH,
  nameOf,
  nameOwner,
} from "./upstash_api.ts";

const options = v.strictObject({
  /** The primary region of new databases, e.g. `"eu-west-1"`. An empty one needs it. @default {the parent's} */
  region: v.optional(v.pipe(v.string(), v.regex(/^[a-z]+-[a-z]+-?\d$/, 'must be like "eu-west-1"'))),
  /** The plan of new databases. @default {as the account's type decides} */
  plan: v.optional(v.pipe(v.string(), v.regex(/^(free|payg|fixed_\d+[mg]b)$/, 'must be like "payg"'))),
  /** Let a full database drop keys instead of refusing writes. @default {false} */
  eviction: v.optional(v.boolean(), false),
  /** URL of the API, which gets the key. Without TLS only on this machine. */
  endpoint: endpointOption("https://api.upstash.com"),
});
type Options = v.InferOutput<typeof options>;

/** The credentials of a database. The specification leaves them out; the vendor's own clients read them. */
const ACCESS = v.object({
  ...DATABASE.entries,
  endpoint: v.pipe(v.string(), v.minLength(1)),
  port: v.number(),
  tls: v.boolean(),
  password: v.pipe(v.string(), v.minLength(1)),
  rest_token: v.pipe(v.string(), v.minLength(1)),
});
const BACKUP = v.object({ backup_id: v.string(), name: v.string(), state: v.string() });
type Backup = v.InferOutput<typeof BACKUP>;
const STATS = v.object({ current_storage: v.number(), total_monthly_billing: v.number() });
const PONG = v.object({ result: v.literal("PONG") });

const CREDENTIALS_HINT =
  "make a key at https://console.upstash.com/account/api, and set UPSTASH_EMAIL to its account or team";

const provider: Provider<Options> = {
  name: "upstash-redis",
  kind: "cache",
  title: "Upstash Redis",
  page: "caches.md#upstash-redis",
  capabilities: {
    copy: "full-copy",
    ownership: "recorded",
    outputs: "rereadable",
    nativeExpiry: false,
    usage: "bytes-and-cost",
    pointInTime: false,
    outputsExpire: false,
    parentMayBeAbsent: false,
    name: { maxLength: NAME_LENGTH, pattern: /^(?!.*--forking-)[a-z0-9]([a-z0-9-]*[a-z0-9])?$/ },
  },
  credentials: [{ variable: "UPSTASH_EMAIL", required: true }, { variable: "UPSTASH_API_KEY", required: true }],
  variables: {
    CACHE_URL: { isSecret: true, isIdentity: true },
    REDIS_URL: { isSecret: true, isIdentity: true },
    UPSTASH_REDIS_REST_URL: { isSecret: false, isIdentity: true },
    UPSTASH_REDIS_REST_TOKEN: { isSecret: true, isIdentity: true },
  },
  credentialsHint: CREDENTIALS_HINT,
  importHint: "The console imports a file of Redis (RDB): https://upstash.com/docs/redis/howto/importexport",
  options,
  permissions: ({ endpoint }) => reaches([endpoint], "*.upstash.io"),
  inspect,
  create,
  delete: remove,
  list: (context, scope) => records.list(context, scope),
  probe,
  outputs,
  usage,
};
export default provider;

/** Servers and clients of its tests, beside its emulator. */
export const verified: Verified = { clients: ["@upstash/redis"] };

const records = recorded<Database, Options>({
  provider: "upstash-redis",
  label: "Upstash",
  async *all(context, scope) {
    yield* await databases(context, scope);
  },
  idOf: ({ database_id }) => database_id,
  namesOf: (database) => [nameOf(database)],
  forkOf,
  leavesRenamed: true,
  ownerOf: nameOwner,
});

async function inspect(context: Context, target: Target<Options>): Promise<Inspection> {
  const all = await databases(context, target);
  const bearers = await bearersOf(context, target.name, all);
  const own = bearers.find(({ owner }) => owner && isSameHolder(owner, target.marker));
  const held = all.find(({ database_id }) => database_id === target.heldId);
  const left = held && records.renamed(target, held);
  if (left !== undefined) return left;
  const [first] = bearers;
  if (first === undefined) return { state: "absent" };
  const { database, owner } = own ?? bearers.find((one) => one.owner !== undefined) ?? first;
  return records.inspection(target, database, owner, isForking(database) ? "pending" : "ready");
}

/**
 * Creates a database. Names need not be unique, so it looks again afterwards: of several databases the first in the
 * order of `bearersOf` stays, and the others delete their own and wait for it. The engine's lock makes this rare.
 */
async function create(context: Context, target: Target<Options>): Promise<Fork> {
  const { name } = target;
  const before = await databases(context, target);
  const parent = target.parent === undefined ? undefined : parentOf(before, target, target.parent);
  let bearers = await oursOf(context, target, parent, before);
  const isResumed = bearers.length > 0;
  let made: Database | undefined;
  let problem: ForkstackError | undefined;
  if (!isResumed) {
    await context.record("key", forkingName(name, target.marker, parent?.database_id));
    const answer = await sendCreate(context, target, parent);
    if (answer.response.ok) {
      made = await api.read(DATABASE, answer, target, `make database "${name}"`);
      await context.record("database", made.database_id);
    } else {
      problem = await createRefusal(answer, target, before);
      if (problem.code === "CREDENTIALS_REJECTED" || answer.response.status >= 500) throw problem;
    }
    bearers = await oursOf(context, target, parent, await databases(context, target));
  }
  const [first, ...more] = bearers;
  if (first === undefined) throw problem ?? missing(target, name); // refused, or taken away by another
  if (!isResumed && first.database_id !== made?.database_id) return await yieldTo(context, target, first, parent, made);
  await context.record("database", first.database_id);
  if (isForking(first)) {
    if (parent !== undefined) await fill(context, target, parent, first);
    await settled(context, target, first.database_id);
    const [winner] = await oursOf(context, target, parent, await databases(context, target));
    if (winner?.database_id !== first.database_id) {
      if (winner === undefined) throw missing(target, name);
      return await yieldTo(context, target, winner, parent, first);
    }
    // https://upstash.com/docs/devops/developer-api/redis/rename_database
    const renamed = await api.send(context, target, "POST", ["rename", first.database_id], { json: { name } });
    await api.read(v.unknown(), renamed, target, `name database "${name}"`);
  }
  if (isResumed) { for (const { database_id } of more) await drop(context, target, database_id, name); }
  return madeFrom(parent, first, target);
}

/** Deletes this run's own database, and waits for the other one. */
async function yieldTo(
  context: Context,
  target: Target<Options>,
  winner: Database,
  parent: Database | undefined,
  own: Database | undefined,
): Promise<Fork> {
  if (own !== undefined) await drop(context, target, own.database_id, target.name);
  await poll(context, waiting(target, `make database "${target.name}"`), async () => {
    const found = await find(context, target, winner.database_id);
    if (found === undefined) throw missing(target, target.name);
    return isForking(found) ? undefined : found;
  });
  await context.record("database", winner.database_id);
  return madeFrom(parent, winner, target);
}

async function remove(context: Context, fork: Fork, scope: Scope<Options>): Promise<"deleted" | "absent"> {
  const found = await find(context, scope, fork.id) ??
    (await databases(context, scope)).find(({ database_id }) => database_id === fork.id); // a 404 says little
  if (found === undefined) return "absent";
  const owner = await records.assertOurs(context, scope, fork, found, `delete database "${fork.name}"`);
  if (isForking(found)) {
    const parent = (await databases(context, scope)).find(({ database_id }) =>
      found.database_name === forkingName(fork.name, owner, database_id)
    );
    if (parent !== undefined) await dropBackups(context, scope, parent, found);
  }
  return await drop(context, scope, found.database_id, fork.name);
}

/** Queries the database by its own REST API. */
async function probe(context: Context, held: Held, scope: Scope<Options>): Promise<void> {
  const what = `use database "${held.name}"`;
  const { database, restUrl } = await access(context, held, scope);
  const headers = { authorization: `Bearer ${database.rest_token}`, "content-type": "application/json" };
  const init = { method: "POST", headers, body: JSON.stringify(["PING"]), signal: context.signal };
  const request = repeatable(new Request(restUrl, init), true); // it only asks
  const response = await context.fetch(request);
  if (response.ok && v.is(PONG, await readJson(response))) return;
  await response.text().catch(() => {}); // it may have been read
  const cause = vendorError(request, response, { provider: "upstash-redis", message: `Cannot ${what}`, hint: "" });
  throw new ForkstackError("NOT_READY", `Cannot ${what}: its REST API answers ${response.status}, and no PONG`, {
    hint: "Wait, then run the same command again",
    retryable: true,
    details: { ...cause.details, resource: scope.resource },
    cause: cause.cause,
  });
}

async function outputs(context: Context, held: Held, scope: Scope<Options>): Promise<Record<string, string | Secret>> {
  const { database: { port, tls, password, rest_token }, host, restUrl } = await access(context, held, scope);
  const url = new Secret(urlOf({ scheme: tls ? "rediss" : "redis", user: "default", password, host, port }));
  return {
    CACHE_URL: url,
    REDIS_URL: url,
    UPSTASH_REDIS_REST_URL: restUrl,
    UPSTASH_REDIS_REST_TOKEN: new Secret(rest_token),
  };
}

/** Returns the size, and this month's cost so far, as the vendor tells them. */
async function usage(context: Context, held: Held, scope: Scope<Options>): Promise<Usage> {
  // https://upstash.com/docs/devops/developer-api/redis/get_database_stats
  const answer = await api.send(context, scope, "GET", ["stats", held.id]);
  if (await isGone(answer)) throw missing(scope, held.name);
  const stats = await api.read(STATS, answer, scope, `read usage of database "${held.name}"`);
  return { sizeBytes: stats.current_storage, costUsd: stats.total_monthly_billing };
}

// ---- Data of the parent ----

/**
 * Returns the name of a fork's backup: it contains the id of the database that it is made for, which proves ownership.
 */
const backupName = ({ database_id }: Database) => `forkstack-${database_id}`;

async function fill(context: Context, target: Target<Options>, parent: Database, child: Database): Promise<void> {
  const what = `copy "${parent.database_name}" to "${target.name}"`;
  await settled(context, target, child.database_id);
  const backup = await poll(context, waiting(target, what), async () => {
    const all = await backups(context, target, parent);
    const own = all.find(({ name }) => name === backupName(child));
    if (own?.state === "completed") return own;
    if (own?.state === "failed") {
      await dropBackups(context, target, parent, child);
      throw new ForkstackError("PARENT_BACKUP_FAILED", `Cannot ${what}: Upstash could not back it up`, {
        hint: "Run the same command again, or fork with --empty; see the backups of the parent in Upstash's console",
        details: details(target),
      });
    }
    if (own !== undefined || all.some(({ state }) => state === "pending")) return undefined; // one at a time
    // https://upstash.com/docs/devops/developer-api/redis/backup/create_backup
    const answer = await api.send(context, target, "POST", ["create-backup", parent.database_id], {
      json: { name: backupName(child) },
    });
    if (answer.response.ok) return void await answer.response.text();
    const problem = await api.refusal(answer, target, what);
    const isPassing = (await backups(context, target, parent)).some(({ state }) => state === "pending");
    if (!isPassing) throw problem; // else another's has begun in between
  });
  await context.record("backup", backup.backup_id);
  // https://upstash.com/docs/devops/developer-api/redis/backup/restore_backup; it empties the new database first
  const restored = await api.send(context, target, "POST", ["restore-backup", child.database_id], {
    json: { backup_id: backup.backup_id },
  });
  await api.read(v.unknown(), restored, target, what);
  await settled(context, target, child.database_id);
  await dropBackups(context, target, parent, child);
}

async function backups(context: Context, scope: Scope<Options>, { database_id }: Database): Promise<Backup[]> {
  // https://upstash.com/docs/devops/developer-api/redis/backup/list_backup
  const answer = await api.send(context, scope, "GET", ["list-backup", database_id]);
  return await api.read(v.array(BACKUP), answer, scope, "list backups");
}

/** Deletes the backups made for this child, until none is left; waits for one that is still being made. */
async function dropBackups(context: Context, scope: Scope<Options>, parent: Database, child: Database): Promise<void> {
  await poll(context, waiting(scope, "delete a backup"), async () => {
    const own = (await backups(context, scope, parent)).filter(({ name }) => name === backupName(child));
    if (own.length === 0) return true;
    if (own.some(({ state }) => state === "pending")) return undefined;
    for (const { backup_id } of own) {
      context.signal.throwIfAborted();
      // https://upstash.com/docs/devops/developer-api/redis/backup/delete_backup
      const answer = await api.send(context, scope, "DELETE", ["delete-backup", parent.database_id, backup_id]);
      if (!await isGone(answer)) await api.read(v.unknown(), answer, scope, "delete a backup");
    }
    return undefined;
  });
}

// ---- The API ----

/** Calls of the API. Statuses: https://upstash.com/docs/devops/developer-api/http_status_codes */
const api: Api<Options> = new Api<Options>({
  provider: "upstash-redis",
  label: "Upstash",
  statusPage: "https://status.upstash.com",
  credential: {
    variable: "UPSTASH_API_KEY",
    hint: CREDENTIALS_HINT,
  },
  scopes: () => "It must not be a read-only key, and of the account or team that has the database",
  base: ({ options: { endpoint } }) => `${endpoint.replace(/\/$/, "")}/v2/redis`,
  authorize({ headers }, context) {
    const [email, key] = [api.token(context, "UPSTASH_EMAIL"), api.token(context)];
    headers.set("authorization", `Basic ${Buffer.from(`${email}:${key}`).toString("base64")}`);
  },
  known: (status) =>
    status === 402
      ? { code: "PLAN_LIMIT", state: "the plan does not allow it", hint: "Remove unused envs with `forkstack prune`" }
      : undefined,
});

/** Lists all databases of the account: the API has no pages. */
async function databases(context: Context, scope: Scope<Options>): Promise<Database[]> {
  // https://upstash.com/docs/devops/developer-api/redis/list_databases
  const answer = await api.send(context, scope, "GET", ["databases"]);
  return await api.read(v.array(DATABASE), answer, scope, "list databases");
}

async function find(context: Context, scope: Scope<Options>, id: string): Promise<Database | undefined> {
  // https://upstash.com/docs/devops/developer-api/redis/get_database
  const answer = await api.send(context, scope, "GET", ["database", id], { query: { credentials: "hide" } });
  if (await isGone(answer)) return undefined;
  return await api.read(DATABASE, answer, scope, `look at database "${id}"`);
}

async function isGone({ response }: VendorAnswer): Promise<boolean> {
  if (response.status === 404) await response.text();
  return response.status === 404;
}

async function access(context: Context, held: Held, scope: Scope<Options>) {
  const answer = await api.send(context, scope, "GET", ["database", held.id]);
  if (await isGone(answer)) throw missing(scope, held.name);
  const database = await api.read(ACCESS, answer, scope, `read access to database "${held.name}"`);
  const { endpoint, port } = database; // a whole host, or its first label
  const isLocal = scope.options.endpoint.startsWith("http:"); // an API without TLS is an emulator, on one port
  const host = isLocal || endpoint.includes(".") ? endpoint : `${endpoint}.upstash.io`;
  return { database, host, restUrl: isLocal ? `http://${host}:${port}` : `https://${host}` };
}

async function sendCreate(
  context: Context,
  target: Target<Options>,
  parent: Database | undefined,
): Promise<VendorAnswer> {
  const { name, options: { plan, eviction } } = target;
  const region = target.options.region ?? parent?.primary_region;
  if (region === undefined) {
    throw new ForkstackError("CONFIG_REGION_MISSING", `Cannot make database "${name}": no region is known`, {
      hint: `Set "region" of the ${target.resource} in forkstack.json, e.g. "us-east-1"`,
      details: details(target),
    });
  }
  context.signal.throwIfAborted();
  // https://upstash.com/docs/devops/developer-api/redis/create_database_global
  return await api.send(context, target, "POST", ["database"], {
    json: {
      database_name: forkingName(name, target.marker, parent?.database_id),
      platform: /-\d$/.test(region) ? "aws" : "gcp", // us-east-1, us-east4
      primary_region: region,
      eviction,
      tls: true,
      plan,
    },
  });
}

/** Returns the error for a refused create. No code names the plan's limit, but a free account has one database. */
async function createRefusal(
  answer: VendorAnswer,
  target: Target<Options>,
  all: readonly Database[],
): Promise<ForkstackError> {
  const problem = await api.refusal(answer, target, `make database "${target.name}"`);
  const isFree = (target.options.plan ?? "free") === "free" && all.some(({ type }) => type === "free");
  if (problem.code === "PLAN_LIMIT" || problem.code === "RATE_LIMITED" || !(isFree || all.length >= 100)) {
    return problem;
  }
  const state = isFree ? "the free plan has one database" : `the account has ${all.length} databases`;
  return vendorError(answer.request, answer.response, {
    provider: "upstash-redis",
    resource: target.resource,
    code: "PLAN_LIMIT",
    message: `Cannot make database "${target.name}": ${state}`,
    hint: 'Remove unused envs with `forkstack prune`, or set "plan" to "payg": https://upstash.com/pricing',
  });
}

/** Waits until a database accepts changes: a restore on a busy one is refused. */
async function settled(context: Context, target: Target<Options>, id: string): Promise<void> {
  await poll(context, waiting(target, `make database "${target.name}"`), async () => {
    const found = await find(context, target, id);
    if (found === undefined) throw missing(target, target.name);
    if (found.state !== "active") throw unusable(target, target.name, found.state);
    return found.modifying_state ? undefined : found;
  });
}

async function drop(
  context: Context,
  scope: Scope<Options>,
  id: string,
  name: string,
): Promise<"deleted" | "absent"> {
  context.signal.throwIfAborted();
  // https://upstash.com/docs/devops/developer-api/redis/delete_database
  const answer = await api.send(context, scope, "DELETE", ["database", id]);
  if (await isGone(answer)) return "absent";
  await api.read(v.unknown(), answer, scope, `delete database "${name}"`);
  return "deleted";
}

// ---- What bears a name ----

/**
 * Returns the database of this operation, from this attempt or an earlier one; throws if another database has the name,
 * even beside ours: nobody could tell the two apart.
 */
async function oursOf(
  context: Context,
  target: Target<Options>,
  parent: Database | undefined,
  all: readonly Database[],
): Promise<Database[]> {
  const bearers = await bearersOf(context, target.name, all);
  const wanted = forkingName(target.name, target.marker, parent?.database_id);
  for (const { database, owner } of bearers) {
    const isOtherwise = isForking(database) && database.database_name !== wanted;
    const reason = isOthers(owner, target.marker, records.unknown) ??
      (isOtherwise ? "what is there has another parent" : undefined);
    if (reason !== undefined) throw records.foreign(target, `make database "${target.name}": ${reason}`);
  }
  return bearers.map(({ database }) => database);
}

function parentOf(all: readonly Database[], scope: Scope<Options>, name: string): Database {
  const [found, another] = all.filter(({ database_name }) => database_name === name);
  if (found === undefined) throw missing(scope, name);
  if (found.state !== "active") throw unusable(scope, name, found.state);
  if (another === undefined) return found;
  throw new ForkstackError("PARENT_AMBIGUOUS", `Cannot fork database "${name}": two have this name`, {
    hint: "Rename one of them in Upstash's console: https://console.upstash.com/redis",
    details: details(scope),
  });
}

function missing(scope: Scope<Options>, name: string): ForkstackError {
  return new ForkstackError("NOT_FOUND", `Cannot use database "${name}": the account has none`, {
    hint: `Make "${name}" in Upstash's console, name another parent with --from, or fork with --empty`,
    details: details(scope),
  });
}

function unusable(scope: Scope<Options>, name: string, state: string): ForkstackError {
  return new ForkstackError("CONFLICT", `Cannot use database "${name}": it is ${state}, and must be active`, {
    hint: "See https://console.upstash.com/redis: a budget that is spent suspends it, and idle ones are archived",
    details: details(scope),
  });
}

const timeOf = ({ creation_time }: Database) => new Date(creation_time * 1_000).toISOString();

const details = ({ resource }: Scope<Options>) => ({ provider: "upstash-redis", resource });

const waiting = (scope: Scope<Options>, what: string) => ({ ...details(scope), what });

function forkOf(database: Database, { name, marker }: Pick<Fork, "name" | "marker">): Fork {
  return { id: database.database_id, name, createdAt: timeOf(database), marker };
}

function madeFrom(parent: Database | undefined, database: Database, target: Target<Options>): Fork {
  const origin = parent === undefined
    ? { copy: "empty" } as const
    : { parentId: parent.database_id, copy: "full-copy" } as const;
  return { ...forkOf(database, target), ...origin };
}
