/**
 * Connections to a Redis or Valkey server: the URL, one client that never reconnects, errors by their codes, and
 * scripts that walk the keys page by page, so that neither names nor values leave the server.
 *
 * - Error codes are the first word of a reply: https://valkey.io/topics/protocol/#simple-errors
 * - SCAN and its guarantees: https://valkey.io/commands/scan/
 */
import type { Buffer } from "node:buffer";
import { loadPackage } from "../../core/system/lazy.ts";
import type { Context } from "../../core/provider.ts";
import { type ErrorCode, ForkstackError, isForkstackError } from "../../mod.ts";
import { givenLogin, givenUrl, urlOf } from "./connection_url.ts";

/** The address of the server, and an administrator's login. */
export interface RedisLogin {
  /** The variable that it was read from. */
  readonly variable: string;
  readonly isTls: boolean;
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  /** The number of the logical database in the URL's path. */
  readonly database: number;
}

/** Sends commands on one connection; it changes its logical database by `SELECT` only. */
export interface Connection {
  // deno-lint-ignore no-explicit-any -- a reply is what the command is documented to give
  send(...command: readonly (string | number)[]): Promise<any>;
  /** As `send`, for keys and values that are no text. */
  // deno-lint-ignore no-explicit-any -- a reply is what the command is documented to give
  sendBytes(...command: readonly (string | number | Uint8Array)[]): Promise<any>;
  /** Runs all commands or none, in one step: https://valkey.io/topics/transactions/ */
  atomically(...commands: readonly (readonly (string | number)[])[]): Promise<void>;
  /** The id of this start of the server. */
  readonly runId: string;
}

/** The oldest version of a server that keeps functions, which hold our marks. */
const OLDEST_VERSION = 7;
/** Longest time without an answer, in milliseconds; then the connection is closed. */
const SILENCE_MS = 60_000;

/** The user whose login the server's URL must hold, for errors. */
export const FOR_WHOM = "for a user that may do everything";

/** Returns the login from the first of these variables that is set. */
export function redisLoginOf(context: Pick<Context, "credentials">, variables: readonly string[]): RedisLogin {
  const source = { what: "the server", variables, forWhom: FOR_WHOM, example: "redis://admin:...@host:6379/0" };
  return givenLogin(context, source, parseRedisUrl);
}

function parseRedisUrl(text: string, variable: string): RedisLogin | undefined {
  const given = givenUrl(text, /^rediss?:$/);
  if (given === undefined || !/^\d*$/.test(given.path) || given.url.hostname === "") return undefined;
  const { url, user, password, path } = given;
  return {
    variable,
    isTls: url.protocol === "rediss:",
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: Number(url.port || 6379),
    user,
    password,
    database: Number(path || 0),
  };
}

/** Formats the URL of a login, as applications get it. */
export function redisUrl({ isTls, ...login }: Partial<RedisLogin> & Pick<RedisLogin, "isTls" | "host">): string {
  return urlOf({ ...login, scheme: isTls ? "rediss" : "redis" });
}

/** Returns the server's pattern for keys with a prefix. */
export function keysUnder(prefix = ""): string {
  return `${prefix.replace(/[\\*?[\]]/g, "\\$&")}*`;
}

/** The present action, for errors. */
export interface RedisTask {
  readonly provider: string;
  readonly what: string;
}

/** Works on one connection, and closes it at the end; rejects if the connection breaks. */
export async function withRedis<T>(
  context: Context,
  login: RedisLogin,
  task: RedisTask,
  work: (connection: Connection) => Promise<T>,
): Promise<T> {
  context.signal.throwIfAborted();
  const { Redis } = await loadPackage<typeof import("npm:ioredis@6.0.0")>("npm:ioredis@6.0.0");
  const { isTls, host, port, user, password } = login;
  const redis = new Redis({
    host,
    port,
    username: user || undefined,
    password: password || undefined,
    tls: isTls ? {} : undefined,
    protocol: 2,
    lazyConnect: true,
    retryStrategy: () => null, // a lock of ours is held by the connection
    maxRetriesPerRequest: 0,
    enableReadyCheck: false,
    enableOfflineQueue: false,
    disableClientInfo: true,
    connectTimeout: 5_000,
    socketTimeout: SILENCE_MS,
  });
  let broken: unknown;
  redis.on("error", (error) => {
    broken ??= error;
  });
  const closed = new Promise((resolve) => redis.once("end", resolve));
  const send: Connection["send"] = (name, ...args) => {
    context.signal.throwIfAborted();
    return redis.call(String(name), ...args);
  };
  try {
    await redis.connect();
    const server = fieldsOf(await send("INFO", "server"));
    assertFit(server, login, task);
    return await work({
      send,
      sendBytes(name, ...args) {
        context.signal.throwIfAborted();
        return redis.callBuffer(String(name), ...args as (string | number | Buffer)[]);
      },
      runId: server.get("run_id") ?? "",
      async atomically(...commands) {
        context.signal.throwIfAborted();
        if (commands.length === 1) {
          await send(...commands[0]!);
          return;
        }
        const multi = redis.multi();
        for (const [name, ...args] of commands) multi.call(String(name), ...args);
        for (const [error] of await multi.exec() ?? []) if (error) throw error;
      },
    });
  } catch (error) {
    const isLost = !isReply(error) && !isForkstackError(error) && error !== context.signal.reason;
    throw await known(isLost ? broken ?? error : error, login, task);
  } finally {
    const isOver = redis.status === "end";
    if (!isOver) redis.disconnect();
    if (!isOver) await closed;
  }
}

/** Parses the fields of an INFO section: https://valkey.io/commands/info/ */
export function fieldsOf(info: string): Map<string, string> {
  return new Map(
    info.split("\r\n").filter((line) => line.includes(":")).map((line) => {
      const at = line.indexOf(":");
      return [line.slice(0, at), line.slice(at + 1)];
    }),
  );
}

function assertFit(server: Map<string, string>, { host, port }: RedisLogin, { provider, what }: RedisTask): void {
  const mode = server.get("server_mode") ?? server.get("redis_mode") ?? "";
  const version = server.get("redis_version") ?? ""; // Valkey tells 7.2.4 here, for clients of Redis
  const unfit = (code: ErrorCode, state: string) =>
    new ForkstackError(code, `Cannot ${what}: the server at ${host}:${port} ${state}`, {
      hint: "Use a server of its own for environments: Valkey, or Redis 7 or newer, without cluster mode",
      details: { provider },
    });
  if (mode !== "standalone") {
    throw unfit("CONFIG_CLUSTER", `runs as "${mode}", where one connection does not reach all keys`);
  }
  if (Number.parseInt(version) < OLDEST_VERSION) {
    throw unfit("CONFIG_SERVER_OLD", `is of version ${version}, and must be of ${OLDEST_VERSION}.0`);
  }
}

/** The meaning of an error: our code, whether it may pass by itself, and the hint. */
type Meaning = readonly [code: ErrorCode, mayPass: boolean, hint: string];

/** Meanings by the start of a reply, or by the connection's error code. */
const MEANING: readonly (readonly [RegExp, ...Meaning])[] = [
  [
    /^(WRONGPASS|NOAUTH|DENIED|ERR AUTH|ERR invalid password)/,
    "CREDENTIALS_REJECTED",
    false,
    "Check user and password in ",
  ],
  [/^NOPERM/, "CREDENTIALS_DENIED", false, "The user may not do that; an administrator (+@all ~* &*) must be in "],
  [/^OOM/, "PLAN_LIMIT_MEMORY", false, "Raise maxmemory, `forkstack prune`, or fork with --empty, on the server in "],
  [/^READONLY/, "CONFIG_REPLICA", false, "It is a replica: name the primary in "],
  [
    /^(LOADING|BUSY|MASTERDOWN|MISCONF|NOREPLICAS|ERR max number of clients)/,
    "PROVIDER_UNAVAILABLE",
    true,
    "Fix what it says, then run the same command again; the server is in ",
  ],
  [
    /CERT|SELF_SIGNED|UNABLE_TO_|^ERR_TLS/,
    "CREDENTIALS_TLS",
    false,
    "Trust its authority by DENO_CERT, or correct the host in ",
  ],
  [/^ERR_SSL|^EPROTO/, "CREDENTIALS_TLS", false, "It does not speak TLS there: write redis:// in "],
  [/^(E[A-Z_]+|connection)$/, "PROVIDER_UNAVAILABLE", true, "Check that the server runs, and host and port in "],
];

function meaningOf(key: string): Meaning {
  const found = MEANING.find(([pattern]) => pattern.test(key));
  return found === undefined ? ["PROVIDER_REFUSED", false, "Fix what it says at "] : [found[1], found[2], found[3]];
}

function deaf({ isTls }: RedisLogin): Meaning {
  const hint = `It ${isTls ? "does not speak TLS: write redis" : "speaks TLS: write rediss"}:// in `;
  return ["CREDENTIALS_TLS", false, hint];
}

/** Returns our error for a known one, without the command, which may hold a password. */
async function known(error: unknown, login: RedisLogin, { provider, what }: RedisTask): Promise<unknown> {
  if (isForkstackError(error) || !(error instanceof Error)) return error;
  if (/^(NotCapable|PermissionDenied|AbortError)$/.test(error.name)) return error;
  const { host, port, variable } = login;
  const key = isReply(error) ? error.message : (error as { code?: string }).code ?? "connection";
  const isDeaf = /^(ECONNRESET|EPIPE|ETIMEDOUT|connection)$/.test(key) && await speaks(host, port, !login.isTls);
  const [code, retryable, hint] = isDeaf ? deaf(login) : meaningOf(key);
  const state = isDeaf ? "it does not speak the Redis protocol" : error.message || key;
  return new ForkstackError(code, `Cannot ${what} at ${host}:${port}: ${state}`, {
    hint: `${hint}${variable}`,
    retryable,
    details: { provider },
    cause: new Error(`${key === error.message ? "" : `${key}: `}${error.message}`),
  });
}

function isReply(error: unknown): error is Error {
  return error instanceof Error && error.name === "ReplyError";
}

/** Returns true if a server that closed the connection, or was silent, answers the other way: with TLS, or without. */
async function speaks(host: string, port: number, withTls: boolean): Promise<boolean> {
  const socket = withTls
    ? (await import("node:tls")).connect({ host, port, rejectUnauthorized: false }) // no secret is sent on it
    : (await import("node:net")).connect({ host, port });
  return await new Promise((resolve) => {
    let isAnswered = false;
    const answered = () => {
      isAnswered = true;
      socket.destroy();
    };
    socket.once("close", () => resolve(isAnswered)).once("error", () => socket.destroy());
    socket.setTimeout(2_000, () => socket.destroy());
    if (withTls) socket.once("secureConnect", answered);
    else socket.once("connect", () => socket.write("PING\r\n")).once("data", answered);
  });
}

// ---- Keys ----

/** The keys of one environment: a whole logical database, or the keys with a prefix in one. */
export interface Keyspace {
  readonly database: number;
  readonly prefix?: string;
}

/** Keys per call of a script: more block the server longer, fewer need more calls. */
const PAGE = 500;

/** Options of a walk. */
interface Walk {
  /** Returns further arguments for the action on each page, ARGV[3] and on. @default {none} */
  readonly args?: () => Promise<readonly (string | number)[]>;
  /** Returns true to end the walk after a page with this sum. @default {never} */
  readonly isEnough?: (sum: number) => boolean;
}

/** Walks all keys of a place; runs `action` for each `key`, and returns the sum of its results. */
async function walk(
  connection: Connection,
  place: Keyspace,
  action: string,
  { args = () => Promise.resolve([]), isEnough = () => false }: Walk = {},
): Promise<number> {
  const script = `local page = redis.call('SCAN', ARGV[1], 'MATCH', ARGV[2], 'COUNT', ${PAGE})
local sum = 0
for _, key in ipairs(page[2]) do ${action} end
return {page[1], sum}`;
  const match = keysUnder(place.prefix);
  await connection.send("SELECT", place.database);
  let total = 0;
  for (let cursor = "0";;) {
    const [next, sum]: [string, number] = await connection.send("EVAL", script, 0, cursor, match, ...await args());
    total += sum;
    cursor = next;
    if (cursor === "0" || isEnough(sum)) return total;
  }
}

/**
 * Copies all keys with value and expiry, except those with one of the prefixes. `room`, called before each page,
 * returns the bytes that are free; returns false if not all keys had room. Without `room` nothing is measured.
 */
export async function copyKeys(
  connection: Connection,
  { from, to, except }: { readonly from: Keyspace; readonly to: Keyspace; readonly except: readonly string[] },
  room: () => Promise<number>,
): Promise<boolean> {
  const rest = from.prefix === to.prefix ? "key" : "ARGV[5] .. string.sub(key, #ARGV[6] + 1)";
  // https://valkey.io/commands/copy/; 0: it expired just now, or SCAN told it twice
  const action = `local isOthers = false
for i = 7, #ARGV do isOthers = isOthers or string.sub(key, 1, #ARGV[i]) == ARGV[i] end
if ARGV[3] ~= 'Infinity' then
  sum = sum + (redis.call('MEMORY', 'USAGE', key) or 0)
  if sum > tonumber(ARGV[3]) then return {page[1], -1} end
end
if not isOthers then redis.call('COPY', key, ${rest}, 'DB', ARGV[4]) end`;
  let hasRoom = true;
  const args = async () => [String(await room()), to.database, to.prefix ?? "", from.prefix ?? "", ...except];
  const isEnough = (sum: number) => {
    hasRoom = sum >= 0;
    return !hasRoom;
  };
  await walk(connection, from, action, { args, isEnough });
  return hasRoom;
}

/** Removes all keys of a place. */
export async function removeKeys(connection: Connection, place: Keyspace): Promise<void> {
  if (place.prefix !== undefined) {
    await walk(connection, place, "sum = sum + redis.call('UNLINK', key)");
    return;
  }
  await connection.send("SELECT", place.database);
  await connection.send("FLUSHDB", "ASYNC");
}

/** Returns true if a place holds any key. */
export async function hasKeys(connection: Connection, place: Keyspace): Promise<boolean> {
  if (place.prefix !== undefined) {
    return await walk(connection, place, "sum = sum + 1", { isEnough: (sum) => sum > 0 }) > 0;
  }
  await connection.send("SELECT", place.database);
  return await connection.send("DBSIZE") > 0;
}

/** Returns the approximate size of a place in bytes: https://valkey.io/commands/memory-usage/ */
export async function keyspaceBytes(connection: Connection, place: Keyspace): Promise<number> {
  return await walk(connection, place, "sum = sum + (redis.call('MEMORY', 'USAGE', key) or 0)");
}

/** Keys in flight between two servers. */
const ACROSS = 250;

/** Copies all keys of a server to another through this process, with value and expiry, page by page. */
export async function copyAcross(from: Connection, to: Connection, progress: (text: string) => void): Promise<void> {
  let count = 0;
  for (let cursor = "0";;) {
    const [next, keys]: [Uint8Array, Uint8Array[]] = await from.sendBytes("SCAN", cursor, "COUNT", ACROSS);
    // https://valkey.io/commands/restore/; no dump: it expired since. The instant stays the same, however long this takes.
    await Promise.all(keys.map(async (key) => {
      const [dump, expiresAt] = await Promise.all([from.sendBytes("DUMP", key), from.sendBytes("PEXPIRETIME", key)]);
      if (dump !== null) await to.sendBytes("RESTORE", key, Math.max(0, expiresAt), dump, "REPLACE", "ABSTTL");
    }));
    count += keys.length;
    progress(`${count} keys`);
    cursor = new TextDecoder().decode(next);
    if (cursor === "0") return;
  }
}
