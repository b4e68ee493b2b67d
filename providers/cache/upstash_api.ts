/**
 * The names of databases at Upstash, and whose one is: see upstash-redis.ts.
 */
import { createHash } from "node:crypto";
import * as v from "npm:valibot@1.5.0";
import type { Context, Marker } from "../../core/provider.ts";

/** A database, as far as it is read in lists. */
export const DATABASE = v.object({
  database_id: v.pipe(v.string(), v.minLength(8)),
  database_name: v.string(),
  creation_time: v.number(), // seconds
  state: v.string(), // "active", "suspended" or "passive"
  modifying_state: v.optional(v.string()),
  primary_region: v.optional(v.string()),
  type: v.optional(v.string()),
});
/** One of them. */
export type Database = v.InferOutput<typeof DATABASE>;

const FORKING = "--forking-";
const KEY_DIGITS = 8;
/** No limit is documented; the longest name that is used while forking has 64. */
export const NAME_LENGTH = 64 - FORKING.length - KEY_DIGITS;

/** Whether it is not whole yet. */
export const isForking = (one: Database) => nameOf(one) !== one.database_name;

/** The name that a database is to have, or has. */
export const nameOf = ({ database_name }: Database) =>
  database_name.replace(new RegExp(`${FORKING}[0-9a-f]{${KEY_DIGITS}}$`), "");

/** The name of a database while a run forks it, the same at each of its attempts. */
export function forkingName(
  name: string,
  { stack, env, resource, operation, registry }: Marker,
  parentId = "",
): string {
  const run = JSON.stringify([stack, env, resource, operation, registry, parentId]);
  return name + FORKING + createHash("sha256").update(run).digest("hex").slice(0, KEY_DIGITS);
}

/** What bears a name. */
export interface Bearer {
  readonly database: Database;
  /** Whose it is, as far as anything proves it. */
  readonly owner: Marker | undefined;
}

/** Whose a database is: its id is on record, or it bears the name that our run put on record before it sent it. */
export async function nameOwner(context: Context, name: string, found: Database): Promise<Marker | undefined> {
  const known = await context.recorded(name);
  return known.find(({ id }) => id === found.database_id || (isForking(found) && id === found.database_name))?.marker;
}

/** Everything of this name, or that had it while it was made; first what is done, then the oldest. */
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
