/**
 * Owners and locks of forks on a Redis or Valkey server.
 *
 * The mark of a fork is a function library on the server. Keys could be flushed or evicted with the cache that they
 * describe, and users are gone after a restart without `aclfile`; functions are neither, and are saved and lost
 * together with the data. A library is loaded as a whole, or refused if one of its function names is taken: so the
 * fork's library, named for its id, has a function named for its user and one for its logical database, and two
 * processes cannot both take either. A library of the same sort is the lock of a fork; it is valid while its connection
 * lives.
 *
 * - Functions: https://valkey.io/topics/functions-intro/, https://valkey.io/commands/function-load/
 */
import * as v from "npm:valibot@1.5.0";
import { formatMarker } from "../../core/marker.ts";
import type { Context, Fork, Marker } from "../../core/provider.ts";
import type { Connection, Keyspace } from "./redis_connection.ts";

/** A fork as the server holds it. */
export interface Holding {
  readonly fork: Fork;
  /** Its state. `"claimed"`: the name is taken, and its place may still hold keys of others. */
  readonly state: "claimed" | "pending" | "ready" | "deleting";
  readonly place: Keyspace;
  readonly user: string;
}

const LIBRARY = "forkstack_fork_";
const RECORD = v.object({
  note: v.string(),
  id: v.string(),
  name: v.string(),
  user: v.string(),
  state: v.picklist(["claimed", "pending", "ready", "deleting"]),
  database: v.number(),
  prefix: v.optional(v.pipe(v.string(), v.minLength(1))),
  createdAt: v.string(),
  parentId: v.optional(v.string()),
  copy: v.optional(v.picklist(["full-copy", "empty"])),
});

/** Returns the name of a fork's library. */
export function libraryOf(id: string): string {
  return LIBRARY + id.replaceAll("-", "_");
}

/**
 * Returns the name of a user's function. Different users have different ones, as names have small letters, digits and
 * dashes only.
 */
function functionOf(user: string): string {
  return `forkstack_user_${user.replaceAll("-", "_").replaceAll(".", "_OF_")}`;
}

/** Returns the text of a library: the record in a comment, and functions with its names. */
export function libraryCode({ fork, state, place, user }: Holding): string {
  const { id, name, marker, createdAt, parentId, copy } = fork;
  const record = { note: formatMarker(marker), id, name, user, state, ...place, createdAt, parentId, copy };
  const names = [functionOf(user)];
  if (place.prefix === undefined) names.push(`forkstack_database_${place.database}`);
  return libraryText(libraryOf(id), JSON.stringify(record), names);
}

function libraryText(library: string, comment: string, names: readonly string[]): string {
  const one = (name: string) =>
    `redis.register_function{function_name='${name}', callback=function() return 1 end, flags={'no-writes'}}`;
  return [`#!lua name=${library}`, `-- ${comment}`, ...names.map(one)].join("\n");
}

/** Loads a library; returns false if one of its names is taken. */
export async function loadLibrary(connection: Connection, code: string): Promise<boolean> {
  try {
    await connection.send("FUNCTION", "LOAD", code);
    return true;
  } catch (error) {
    if (/already exists/.test((error as Error).message)) return false; // it has no code but ERR
    throw error;
  }
}

/** Lists the libraries of a pattern: `[name, its functions, its text]`. */
async function libraries(connection: Connection, pattern: string): Promise<[string, string[], string][]> {
  const found: unknown[][] = await connection.send("FUNCTION", "LIST", "LIBRARYNAME", pattern, "WITHCODE");
  const field = (pairs: unknown[], name: string) => pairs[pairs.indexOf(name) + 1];
  return found.map((one) => [
    field(one, "library_name") as string,
    (field(one, "functions") as unknown[][]).map((entry) => field(entry, "name") as string),
    field(one, "library_code") as string,
  ]);
}

/** Lists all forks on the server, of all stacks. */
export async function holdings(context: Context, connection: Connection): Promise<Holding[]> {
  const found: Holding[] = [];
  for (const [library, , code] of await libraries(connection, `${LIBRARY}*`)) {
    const record = v.safeParse(RECORD, jsonOf(/^-- (.*)$/m.exec(code)?.[1] ?? ""));
    const marker: Marker | undefined = record.success
      ? context.markerOf(record.output.name, record.output.note)
      : undefined;
    if (!record.success || marker === undefined || library !== libraryOf(record.output.id)) continue; // not our text
    const { note: _, user, state, database, prefix, parentId, copy, ...rest } = record.output;
    found.push({
      fork: { ...rest, marker, parentId, copy },
      state,
      user,
      place: { database, prefix },
    });
  }
  return found;
}

/** Returns the name of the library that claims this user, whoever wrote it; one with a copied mark is no fork's. */
export async function claimantOf(connection: Connection, user: string): Promise<string | undefined> {
  return (await libraries(connection, "*")).find(([, names]) => names.includes(functionOf(user)))?.[0];
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // somebody else's text
  }
}

// ---- Who works on it ----

/**
 * Locks a fork for this connection. The lock's library names its connection, and is removed once that is gone.
 * `meanwhile` decides about a live holder; true: no lock is needed.
 */
export async function lockFork(
  context: Context,
  connection: Connection,
  id: string,
  meanwhile: (waitedMs: number, client: string) => Promise<boolean>,
): Promise<string | undefined> {
  const library = `forkstack_lock_${connection.runId}_${await connection.send("CLIENT", "ID")}`;
  const began = context.now().getTime();
  for (;;) {
    await context.fence(); // after each wait
    if (await loadLibrary(connection, libraryText(library, id, [workOf(id)]))) return library;
    const other = await forkLockHolder(connection, id);
    if (other?.client !== undefined) {
      if (await meanwhile(context.now().getTime() - began, other.client)) return undefined;
    } else if (other !== undefined) {
      await connection.send("FUNCTION", "DELETE", other.library).catch(() => {}); // another did it first
    }
  }
}

/** Returns the lock of a fork, with the id of its connection if that lives. */
export async function forkLockHolder(
  connection: Connection,
  id: string,
): Promise<{ library: string; client?: string } | undefined> {
  const all = await libraries(connection, "forkstack_lock_*");
  const library = all.find(([, names]) => names.includes(workOf(id)))?.[0];
  if (library === undefined) return undefined;
  const [runId, client] = library.split("_").slice(2);
  const isAlive = runId === connection.runId && await connection.send("CLIENT", "LIST", "ID", client!) !== "";
  return isAlive ? { library, client: client! } : { library };
}

function workOf(id: string): string {
  return `forkstack_work_${id.replaceAll("-", "_")}`;
}
