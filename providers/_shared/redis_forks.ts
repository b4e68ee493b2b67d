/**
 * Forks on a Redis or Valkey server. A claim (redis_marks.ts) is made first and removed last; the user is created after
 * the keys, and removed before them: https://valkey.io/topics/acl/, https://valkey.io/commands/acl-setuser/
 */
import { createHash, randomBytes } from "node:crypto";
import type { Context, Copy, Fork, Held, Inspection, Kind, Provider, Scope } from "../../core/provider.ts";
import type { OptionsSchema, Secret, Target } from "../../core/provider.ts";
import { ForkstackError } from "../../mod.ts";
import { hostAndPort } from "./connection_url.ts";
import { foreignError, holder, isOthers, isSameHolder, others, unmarked } from "./ownership.ts";
import { type Connection, hasKeys, type Keyspace, keyspaceBytes, removeKeys } from "./redis_connection.ts";
import {
  claimantOf,
  forkLockHolder,
  type Holding,
  holdings,
  libraryCode,
  libraryOf,
  loadLibrary,
  lockFork,
} from "./redis_marks.ts";
import { FOR_WHOM, keysUnder, type RedisLogin, redisLoginOf, redisUrl, withRedis } from "./redis_connection.ts";

/** The parts in which these providers differ. */
export interface OnRedis<Options> {
  readonly name: string;
  readonly kind: Kind;
  readonly title: string;
  readonly page: string;
  readonly copy: Copy;
  readonly parentMayBeAbsent: boolean;
  /** Returns true if a fork with these options gets its parent's data. */
  isCopied(options: Options): boolean;
  /** Variables with the administrator's URL; the first that is set counts. */
  readonly variables: readonly [string, ...string[]];
  readonly options: OptionsSchema<Options>;
  readonly baseSchema: OptionsSchema<unknown>;
  /** Returns the place of a fork's keys; without a database, a free one is chosen. */
  place(
    login: RedisLogin,
    scope: Scope<Options>,
    name: string,
  ): { readonly database?: number; readonly prefix?: string };
  /** Returns the place of a base environment's keys; `undefined` if unknown. */
  base(login: RedisLogin, scope: Scope<Options>, name: string): Keyspace | undefined;
  /** Returns rules of the fork's user in addition to those that all have: https://valkey.io/topics/acl/ */
  rules(place: Keyspace): readonly string[];
  /** Copies the parent's data into a fork's place, or nothing; returns the way of copying. */
  fill(work: Filling<Options>): Promise<Copy>;
  /** Declarations of the variables of `outputs`. */
  readonly gives: Provider<Options>["variables"];
  /** Returns the variables for the application. */
  outputs(url: string, place: Keyspace, name: string): Record<string, string | Secret>;
}

/** The arguments of `fill`. */
export interface Filling<Options> {
  readonly context: Context;
  readonly connection: Connection;
  readonly target: Target<Options>;
  /** The parent's keys; absent if the fork starts empty, or the parent holds nothing. */
  readonly from?: Keyspace;
  readonly to: Keyspace;
  /** All forks on the server, of all stacks. */
  readonly all: readonly Holding[];
}

/** Most passwords of one user: a new one does not end those that were handed out before. */
const PASSWORDS = 8;
/** The state of a fork without its user; `outputs` creates that again, and `switch` calls it without a file. */
const USER_GONE = "its user is gone, as after a restart without aclfile; remove its file in .forkstack/envs";
/** Longest wait, in milliseconds, for another create of the same run. */
const LOCK_WAIT_MS = 60_000;

/** Creates a provider whose forks are keys and a user on one server. */
export function redisProvider<Options>(its: OnRedis<Options>): Provider<Options> {
  const at = async <T>(
    context: Context,
    what: string,
    work: (connection: Connection, login: RedisLogin) => Promise<T>,
  ): Promise<T> => {
    const login = redisLoginOf(context, its.variables);
    return await withRedis(context, login, { provider: its.name, what }, (connection) => work(connection, login));
  };
  return {
    name: its.name,
    kind: its.kind,
    title: its.title,
    page: its.page,
    capabilities: {
      copy: its.copy,
      ownership: "marked",
      outputs: "minted",
      nativeExpiry: false,
      usage: "bytes",
      pointInTime: false,
      outputsExpire: false,
      parentMayBeAbsent: its.parentMayBeAbsent,
      name: { maxLength: 128, pattern: /^[a-z0-9][a-z0-9-]*$/ },
    },
    credentials: its.variables.map((variable) => ({ variable, required: its.variables.length === 1 })),
    credentialsHint: `a URL of the server, ${FOR_WHOM}`,
    variables: its.gives,
    options: its.options,
    baseSchema: its.baseSchema,
    permissions(_options, credentials) {
      if (!its.variables.some((name) => credentials[name] !== undefined)) return {};
      const { host, port } = redisLoginOf({ credentials }, its.variables);
      return { net: [hostAndPort({ host, port })] };
    },
    inspect: (context, target) =>
      at(
        context,
        `look at ${its.kind} "${target.name}"`,
        (connection, login) => inspect(its, context, connection, login, target),
      ),
    create: (context, target) =>
      at(
        context,
        `make ${its.kind} "${target.name}"`,
        (connection, login) => create(its, context, connection, login, target),
      ),
    delete: (context, fork) =>
      at(context, `delete ${its.kind} "${fork.name}"`, (connection) => remove(its, context, connection, fork)),
    async *list(context, scope) {
      const found = await at(context, `list each ${its.kind}`, (connection) => holdings(context, connection));
      for (const { fork: { marker }, fork } of found) {
        if (marker.stack === scope.stack && marker.resource === scope.resource) yield fork;
      }
    },
    probe: (context, held, scope) =>
      at(context, `use ${its.kind} "${held.name}"`, async (connection, login) => {
        const holding = await standing(its, context, connection, login, held, scope);
        await connection.send("SELECT", holding.place.database);
        if (holding.user === undefined || await userOf(connection, holding.user, held.id) !== undefined) return;
        throw notReady(its, held, USER_GONE, "switch to");
      }),
    outputs: (context, held, scope) =>
      at(context, `use ${its.kind} "${held.name}"`, async (connection, login) => {
        const { place, user } = await standing(its, context, connection, login, held, scope);
        const own = { ...login, database: place.database };
        if (user === undefined) return its.outputs(redisUrl(own), place, held.name);
        const password = randomBytes(24).toString("base64url");
        const known = await userOf(connection, user, held.id) ?? [];
        await context.fence();
        await putUser(its, connection, { id: held.id, user, place }, [...known.slice(1 - PASSWORDS), hashOf(password)]);
        return its.outputs(redisUrl({ ...own, user, password }), place, held.name);
      }),
    usage: (context, held, scope) =>
      at(context, `measure ${its.kind} "${held.name}"`, async (connection, login) => {
        const { place } = await standing(its, context, connection, login, held, scope);
        return { sizeBytes: await keyspaceBytes(connection, place) };
      }),
  };
}

/** Looks for the library of a fork, then for a user of its name, then for keys with its prefix. */
async function inspect<Options>(
  its: OnRedis<Options>,
  context: Context,
  connection: Connection,
  login: RedisLogin,
  target: Target<Options>,
): Promise<Inspection> {
  const user = userName(its, target.name);
  const held = (await holdings(context, connection)).find((one) => one.user === user);
  if (held !== undefined) {
    const { fork, state } = held;
    if (isSameHolder(fork.marker, target.marker)) return { state: state === "claimed" ? "pending" : state, fork };
    return others(fork.id, fork.marker);
  }
  const claimant = await claimantOf(connection, user);
  if (claimant !== undefined) {
    const reason = await unmarked(context, target.name, `the function library "${claimant}"`);
    return { state: "foreign", id: `library:${claimant}`, reason };
  }
  const base = its.base(login, target, target.name);
  const place = its.place(login, target, target.name);
  if (base !== undefined && (base.prefix === undefined || await hasKeys(connection, base))) {
    return { state: "foreign", id: baseId(base), reason: await unmarked(context, target.name, inWords(base)) };
  }
  if (await connection.send("ACL", "GETUSER", user) !== null) {
    return { state: "foreign", id: `user:${user}`, reason: await unmarked(context, target.name, `the user "${user}"`) };
  }
  if (place.database !== undefined && place.prefix !== base?.prefix && await hasKeys(connection, place as Keyspace)) {
    const reason = await unmarked(context, target.name, inWords(place as Keyspace));
    return { state: "foreign", id: baseId(place as Keyspace), reason };
  }
  return { state: "absent" };
}

/** Claims name and place, fills the place, creates the user, and marks the fork as ready. */
async function create<Options>(
  its: OnRedis<Options>,
  context: Context,
  connection: Connection,
  login: RedisLogin,
  target: Target<Options>,
): Promise<Fork> {
  const seen = await inspect(its, context, connection, login, target);
  const earlier = "fork" in seen ? seen.fork : undefined;
  const reason = seen.state === "foreign"
    ? seen.reason
    : earlier && isOthers(earlier.marker, target.marker, "it is not marked as ours");
  if (reason !== undefined) throw foreign(its, target, reason);
  if (seen.state === "ready") return seen.fork;
  const parent = await parentOf(its, context, connection, login, target);
  if (earlier === undefined && !await claim(its, context, connection, login, target, parent?.id)) {
    return await create(its, context, connection, login, target); // another attempt was first
  }
  const mine = (await holdings(context, connection)).find((one) => one.user === userName(its, target.name));
  if (mine === undefined) return await create(its, context, connection, login, target);
  const { id } = mine.fork;
  await context.record("claim", id);
  const lock = await lockFork(context, connection, id, async (waitedMs) => {
    if (waitedMs > LOCK_WAIT_MS) throw locked(its, target.name);
    await context.sleep(50);
    return (await holdings(context, connection)).some(({ fork, state }) => fork.id === id && state === "ready");
  });
  const all = await holdings(context, connection);
  const now = all.find(({ fork }) => fork.id === id);
  if (lock === undefined || now === undefined || now.state === "ready") {
    if (lock !== undefined) await connection.send("FUNCTION", "DELETE", lock);
    if (now === undefined) throw notReady(its, target, "it was deleted meanwhile", "complete");
    return now.fork;
  }
  const { place } = now;
  if (now.state !== "claimed") await removeKeys(connection, place); // what a run that was cut off brought
  else if (await hasKeys(connection, place)) throw foreign(its, target, `somebody made keys in ${inWords(place)}`);
  else await connection.send("FUNCTION", "LOAD", "REPLACE", libraryCode({ ...now, state: "pending" }));
  const from = parent === undefined ? {} : { from: parent.place };
  const copy = await its.fill({ context, connection, target, ...from, to: place, all });
  await context.fence(); // filling it may have taken long
  if (await userOf(connection, now.user, id) === undefined && await isUser(connection, now.user)) {
    throw foreign(its, target, `the user "${now.user}" is not marked as ours`);
  }
  await putUser(its, connection, { id, user: now.user, place }, []);
  const ready: Holding = { ...now, state: "ready", fork: { ...now.fork, copy } };
  await connection.atomically(["FUNCTION", "LOAD", "REPLACE", libraryCode(ready)], ["FUNCTION", "DELETE", lock]);
  return ready.fork;
}

/** Removes the user, so that nobody can write any more, then the keys, then the mark. */
async function remove<Options>(
  its: OnRedis<Options>,
  context: Context,
  connection: Connection,
  fork: Fork,
): Promise<"deleted" | "absent"> {
  const find = async () => (await holdings(context, connection)).find((one) => one.fork.id === fork.id);
  const held = await find();
  if (held === undefined) return "absent";
  if (!isSameHolder(held.fork.marker, fork.marker)) {
    throw foreignError(
      { provider: its.name, resource: fork.marker.resource },
      `delete ${its.kind} "${fork.name}": ${holder(held.fork.marker)}`,
    );
  }
  // Whoever else works on it lost the right to: the connection is closed, so that no command of it comes later.
  const kill = async (_waitedMs: number, client: string) => {
    await context.fence(); // else it may be this run that lost it
    await connection.send("CLIENT", "KILL", "ID", client);
    return false;
  };
  const lock = await lockFork(context, connection, fork.id, kill).catch(async (error) => {
    if (!/^OOM/.test((error as Error).message)) throw error;
    const other = await forkLockHolder(connection, fork.id); // a full server takes no library, but must be made room on
    if (other?.client !== undefined) await kill(0, other.client);
    if (other !== undefined) await connection.send("FUNCTION", "DELETE", other.library);
    return undefined;
  });
  const locks = lock === undefined ? [] : [["FUNCTION", "DELETE", lock]];
  const now = await find();
  if (now === undefined) {
    for (const command of locks) await connection.send(...command);
    return "absent";
  }
  if (now.state === "claimed") { // the keys that may be there are nobody's of ours
    await connection.atomically(["FUNCTION", "DELETE", libraryOf(fork.id)], ...locks);
    return "deleted";
  }
  if (lock !== undefined) {
    await connection.send("FUNCTION", "LOAD", "REPLACE", libraryCode({ ...held, state: "deleting" }));
  }
  if (await userOf(connection, held.user, fork.id) !== undefined) {
    await connection.send("ACL", "DELUSER", held.user); // which closes its connections
    await saveUsers(connection);
  }
  await removeKeys(connection, held.place);
  await connection.atomically(["FUNCTION", "DELETE", libraryOf(fork.id)], ...locks);
  return "deleted";
}

/** Returns the parent's id and keys; `undefined` if it holds nothing, or the fork starts empty. */
async function parentOf<Options>(
  its: OnRedis<Options>,
  context: Context,
  connection: Connection,
  login: RedisLogin,
  target: Target<Options>,
): Promise<{ id: string; place: Keyspace } | undefined> {
  const { parent: name, stack, resource } = target;
  if (name === undefined || !its.isCopied(target.options)) return undefined;
  const all = await holdings(context, connection);
  const fork = all.find((one) => one.user === userName(its, name));
  if (fork?.state === "ready" && fork.fork.marker.stack === stack && fork.fork.marker.resource === resource) {
    return { id: fork.fork.id, place: fork.place };
  }
  const base = fork === undefined ? its.base(login, target, name) : undefined;
  if (base !== undefined && (base.prefix === undefined || await hasKeys(connection, base))) {
    return { id: baseId(base), place: base };
  }
  if (fork === undefined && its.parentMayBeAbsent) return undefined;
  const state = base === undefined ? "nothing tells where it is" : `${inWords(base)} holds no key`;
  throw new ForkstackError("NOT_FOUND", `Cannot fork ${its.kind} "${name}": ${fork ? "it is not whole" : state}`, {
    hint:
      `Say where it is in \`bases\` of ${resource} in forkstack.json, name another parent with --from, or use --empty`,
    details: { provider: its.name, resource },
  });
}

// ---- The claim ----

/** Claims the name, and for a fork that is a whole logical database, the first free one. */
async function claim<Options>(
  its: OnRedis<Options>,
  context: Context,
  connection: Connection,
  login: RedisLogin,
  target: Target<Options>,
  parentId: string | undefined,
): Promise<boolean> {
  const wanted = its.place(login, target, target.name);
  const fork: Fork = {
    id: crypto.randomUUID(),
    name: target.name,
    parentId,
    marker: target.marker,
    createdAt: context.now().toISOString(),
  };
  const user = userName(its, target.name);
  const loaded = async (place: Keyspace) => {
    await context.fence();
    return await loadLibrary(connection, libraryCode({ fork, state: "claimed", user, place }));
  };
  if (wanted.database !== undefined) return await loaded(wanted as Keyspace);
  for (let database = 1;; database++) { // 0 is where a client lands that selects none
    const all = await holdings(context, connection);
    if (all.some((one) => one.user === user)) return false;
    if (isInUse(its, login, target, database) || all.some(({ place }) => place.database === database)) continue;
    try {
      await connection.send("SELECT", database);
    } catch (error) {
      throw exhausted(its, target, database, error);
    }
    if (await connection.send("DBSIZE") === 0 && await loaded({ database })) return true;
  }
}

function isInUse<Options>(
  its: OnRedis<Options>,
  login: RedisLogin,
  target: Target<Options>,
  database: number,
): boolean {
  const bases = Object.values(target.bases ?? {});
  return database === login.database || bases.some((name) => its.base(login, target, name)?.database === database);
}

// ---- The user ----

function userName(its: Pick<OnRedis<never>, "kind">, name: string): string {
  return `${name}.${its.kind}`; // a cache and a queue of one name may share a server
}

async function isUser(connection: Connection, user: string): Promise<boolean> {
  return await connection.send("ACL", "GETUSER", user) !== null;
}

/** Returns the hashes of a user's passwords; `undefined` if there is none with our channel, which nobody uses. */
async function userOf(connection: Connection, user: string, id: string): Promise<string[] | undefined> {
  const found: unknown[] | null = await connection.send("ACL", "GETUSER", user);
  const field = (name: string) => found?.[found.indexOf(name) + 1];
  if (!String(field("channels") ?? "").split(" ").includes(`&forkstack:${id}`)) return undefined;
  return field("passwords") as string[];
}

/** Creates or replaces a user. The server gets only the password's hash. */
async function putUser<Options>(
  its: OnRedis<Options>,
  connection: Connection,
  { id, user, place }: { id: string; user: string; place: Keyspace },
  hashes: readonly string[],
): Promise<void> {
  await connection.send("ACL", "SETUSER", user, "reset", "on", ...hashes.map((hash) => `#${hash}`), ...[
    `~${keysUnder(place.prefix)}`,
    "resetchannels", // pub/sub knows no logical databases
    `&${place.prefix ?? `${user}:`}*`,
    `&forkstack:${id}`,
    ...["+@all", "-@admin", "-@dangerous", "-select", `+select|${place.database}`, "-move", "-copy", "+info"],
    ...["-function", "-script|flush", "-script|kill", "-pubsub", "-client|tracking"], // they reach the whole server
    ...its.rules(place),
  ]);
  await saveUsers(connection);
}

/** Saves users beyond a restart, if the server has a file for them. */
async function saveUsers(connection: Connection): Promise<void> {
  try {
    await connection.send("ACL", "SAVE");
  } catch (error) {
    if (!/not configured to use an ACL file/.test((error as Error).message)) throw error; // it has no code but ERR
  }
}

function hashOf(password: string): string {
  return createHash("sha256").update(password).digest("hex");
}

// ---- What is told ----

/** Returns the place of a resource: of the fork with this id, or of a base environment. */
async function standing<Options>(
  its: OnRedis<Options>,
  context: Context,
  connection: Connection,
  login: RedisLogin,
  held: Held,
  scope: Scope<Options>,
): Promise<{ place: Keyspace; user?: string }> {
  const all = await holdings(context, connection);
  const fork = all.find((one) => one.fork.id === held.id);
  if (fork?.state === "ready") return fork;
  if (fork !== undefined) throw notReady(its, held, `it is ${fork.state}`, "complete");
  const base = all.some(({ user }) => user === userName(its, held.name))
    ? undefined
    : its.base(login, scope, held.name);
  const isBase = base !== undefined && (held.id === baseId(base) || its.parentMayBeAbsent && held.id === held.name);
  if (isBase) return { place: base };
  throw new ForkstackError("NOT_FOUND", `Cannot use ${its.kind} "${held.name}": the server has no mark of it`, {
    hint:
      "Delete its environment and create it again; without persistence (RDB or AOF) a restart of the server loses all data",
    details: { provider: its.name, resource: scope.resource },
  });
}

function baseId({ database, prefix }: Keyspace): string {
  return prefix === undefined ? `database:${database}` : `prefix:${database}:${prefix}`;
}

function inWords({ database, prefix }: Keyspace): string {
  return prefix === undefined
    ? `logical database ${database}`
    : `the prefix "${prefix}" in logical database ${database}`;
}

function foreign<Options>(its: OnRedis<Options>, target: Target<Options>, reason: string): ForkstackError {
  const where = { provider: its.name, resource: target.resource };
  return foreignError(where, `make ${its.kind} "${target.name}": ${reason}`);
}

function locked(its: { name: string; kind: Kind }, name: string): ForkstackError {
  return new ForkstackError("RESOURCE_LOCKED", `Cannot make ${its.kind} "${name}": another process works on it`, {
    hint: "Run the same command again once it is done",
    retryable: true,
    details: { provider: its.name },
  });
}

function notReady(
  its: { name: string; kind: Kind },
  { name }: Held | { name: string },
  state: string,
  remedy: "switch to" | "complete",
) {
  return new ForkstackError("NOT_READY", `Cannot use ${its.kind} "${name}": ${state}`, {
    hint: remedy === "complete"
      ? "Create its environment again, under the same name: that completes it"
      : "Switch to its environment again",
    details: { provider: its.name },
  });
}

function exhausted<Options>(
  its: OnRedis<Options>,
  target: Target<Options>,
  count: number,
  cause: unknown,
): ForkstackError {
  return new ForkstackError(
    "PLAN_LIMIT_DATABASES",
    `Cannot make ${its.kind} "${target.name}": none of the ${count} logical databases is free`,
    {
      hint:
        'Remove unused envs with `forkstack prune`, raise `databases` in the server\'s configuration, or set "isolation": "prefix"',
      details: { provider: its.name, resource: target.resource },
      cause: new Error((cause as Error).message),
    },
  );
}
