/** Names of databases at Upstash, and their owners: see upstash-redis.ts. */
import { createHash } from "node:crypto";
import * as v from "npm:valibot@1.5.0";
import type { Context, Marker } from "../../core/provider.ts";

/** A database in a list, as far as it is read. */
export const DATABASE = v.object({
  database_id: v.pipe(v.string(), v.minLength(8)),
  database_name: v.string(),
  creation_time: v.number(), // seconds
  state: v.string(), // "active", "suspended" or "passive"
  modifying_state: v.optional(v.string()),
  primary_region: v.optional(v.string()),
  type: v.optional(v.string()),
});
/** A database. */
export type Database = v.InferOutput<typeof DATABASE>;

const FORKING = "--forking-";
const KEY_DIGITS = 8;
/** Longest name in characters. No limit is documented; the longest temporary name has 64. */
export const NAME_LENGTH = 64 - FORKING.length - KEY_DIGITS;

/** Returns true for a database that is not complete yet. */
export const isForking = (one: Database) => nameOf(one) !== one.database_name;

/** Returns the name that a database has, or will have. */
export const nameOf = ({ database_name }: Database) =>
  database_name.replace(new RegExp(`${FORKING}[0-9a-f]{${KEY_DIGITS}}$`), "");

/** Returns the name of a database while a run forks it, the same at each of its attempts. */
export function forkingName(
  name: string,
  { stack, env, resource, operation, registry }: Marker,
  parentId = "",
): string {
  const run = JSON.stringify([stack, env, resource, operation, registry, parentId]);
  return name + FORKING + createHash("sha256").update(run).digest("hex").slice(0, KEY_DIGITS);
}

/** A database with a certain name. */
export interface Bearer {
  readonly database: Database;
  /** Its owner, if anything proves one. */
  readonly owner: Marker | undefined;
}

/** Returns the owner of a database: its id is on record, or it has the name that our run recorded before the create. */
export async function nameOwner(context: Context, name: string, found: Database): Promise<Marker | undefined> {
  const known = await context.recorded(name);
  return known.find(({ id }) => id === found.database_id || (isForking(found) && id === found.database_name))?.marker;
}

/** Lists the databases that have this name, or will have it; complete ones first, then the oldest. */
export async function bearersOf(context: Context, name: string, all: readonly Database[]): Promise<Bearer[]> {
  const rank = (one: Database) => [isForking(one) ? 1 : 0, one.creation_time, one.database_id] as const;
  const found = all.filter((one) => nameOf(one) === name).sort((a, b) => {
    const [x, y] = [rank(a), rank(b)];
    return x[0] - y[0] || x[1] - y[1] || (x[2] < y[2] ? -1 : 1);
  });
  return await Promise.all(
    found.map(async (database) => ({ database, owner: await nameOwner(context, name, database) })),
  );
}
