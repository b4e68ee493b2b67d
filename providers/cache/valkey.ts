/**
 * Valkey or Redis, any server from version 7: a fork is a logical database of its own, or keys under a prefix of its
 * own, with a user that reaches no more. The parent's keys are copied inside the server, with when they expire.
 *
 * - Logical databases: https://valkey.io/commands/select/, https://valkey.io/commands/copy/
 * - What a user may reach: https://valkey.io/topics/acl/
 * - Memory and eviction, which all logical databases share: https://valkey.io/topics/lru-cache/
 */
import { present } from "../_shared/fields.ts";
import * as v from "npm:valibot@1.5.0";
import { Secret, type Verified } from "../../core/provider.ts";
import type { Copy, Provider } from "../../core/provider.ts";
import { ForkstackError } from "../../mod.ts";
import { derivedProd } from "../_shared/base_names.ts";
import { copyKeys, fieldsOf } from "../_shared/redis_connection.ts";
import { type Filling, redisProvider } from "../_shared/redis_forks.ts";

const options = v.strictObject({
  /**
   * The boundary of a fork: `"database"`: a logical database, which the app uses as if it were alone; `"prefix"`: keys
   * that begin with CACHE_PREFIX, which the server enforces. See docs/caches.md. @default {"database"}
   */
  isolation: v.optional(v.picklist(["database", "prefix"]), "database"),
});
type Options = v.InferOutput<typeof options>;

/** Share of `maxmemory` beyond which a server would soon refuse writes, or evict keys of the parent. */
const FULL = 0.95;

const provider: Provider<Options> = redisProvider<Options>({
  name: "valkey",
  kind: "cache",
  title: "Valkey or Redis",
  page: "caches.md#valkey-redis",
  copy: "full-copy",
  parentMayBeAbsent: false,
  isCopied: () => true,
  variables: ["VALKEY_URL"],
  options,
  /** A logical database, or with `"isolation": "prefix"` what the keys begin with. */
  baseSchema: v.union([v.pipe(v.number(), v.integer(), v.minValue(0)), v.pipe(v.string(), v.minLength(1))]),
  place: (login, { options }, name) =>
    options.isolation === "database" ? {} : { database: login.database, prefix: prefixOf(name) },
  // Without `bases`, prod is in the logical database of the URL, or under "shop.cache:".
  base(login, scope, name) {
    const isNamed = Object.values(scope.bases ?? {}).includes(name);
    if (scope.options.isolation === "prefix") {
      return { database: login.database, prefix: isNamed ? name : prefixOf(name) };
    }
    if (isNamed) return /^\d+$/.test(name) ? { database: Number(name) } : undefined;
    const prod = derivedProd("cache", scope);
    return prod !== undefined && [scope.project, prod].includes(name) ? { database: login.database } : undefined;
  },
  rules: ({ prefix }) =>
    prefix === undefined
      ? ["+keys", "+flushdb", "+sort", "+sort_ro"] // they end at the logical database
      : ["-scan", "-randomkey", "-dbsize"], // they tell of keys whatever their prefix
  fill,
  gives: {
    CACHE_URL: { isSecret: true, isIdentity: true },
    REDIS_URL: { isSecret: true, isIdentity: true },
    CACHE_PREFIX: { isSecret: false, isIdentity: true },
  },
  outputs: (url, { prefix }) =>
    present({ CACHE_URL: new Secret(url), REDIS_URL: new Secret(url), CACHE_PREFIX: prefix }),
});
export default provider;

/** Servers and clients of its tests, beside its emulator. */
export const verified: Verified = { servers: ["Redis"] };

/** Example of a credential that is a URL, by its variable. */
export const examples: Readonly<Record<string, string>> = { VALKEY_URL: "redis://admin@cache.example:6379" };

function prefixOf(name: string): string {
  return `${name}.cache:`;
}

/** Copies all keys of the parent, except those of forks in its logical database. */
async function fill({ connection, target, from, to, all }: Filling<Options>): Promise<Copy> {
  if (from === undefined) return "empty";
  const guests = from.prefix === undefined ? all.filter(({ place }) => place.database === from.database) : [];
  let used = 0;
  let most = 0;
  const room = async () => {
    const memory = fieldsOf(await connection.send("INFO", "memory"));
    [used, most] = ["used_memory", "maxmemory"].map((field) => Number(memory.get(field))) as [number, number];
    return most === 0 ? Infinity : Math.round(FULL * most - used);
  };
  const except = guests.flatMap(({ place }) => place.prefix ?? []);
  if (await copyKeys(connection, { from, to, except }, room)) return "full-copy";
  throw new ForkstackError(
    "PLAN_LIMIT_MEMORY",
    `Cannot make cache "${target.name}": the server holds ${used} of ${most} bytes (maxmemory), and needs more`,
    {
      hint: "Raise maxmemory, remove unused envs with `forkstack prune`, or start without data by --empty",
      details: { provider: "valkey", resource: target.resource },
    },
  );
}
