/**
 * The common part of Vault and AWS Secrets Manager. Neither copies secrets, so a fork is its parent's entries, read and
 * written one by one. A mark beside them names their owner. It is written first and removed last, lists the paths of
 * all entries to be created, and says when the fork is complete; every entry also bears the mark's id and its own path.
 */
import { formatMarker, nameHash } from "../../core/marker.ts";
import { forEach } from "../../core/system/concurrency.ts";
import { globMatcher } from "../../core/system/glob.ts";
import { type Context, type Fork, type Held, type Inspection, type Marker, Secret } from "../../core/provider.ts";
import type { Provider, Replacement, Scope, Target } from "../../core/provider.ts";
import { ForkstackError } from "../../mod.ts";
import { foreignError, holder, isOthers, isSameHolder, MARK_GONE, others } from "./ownership.ts";
import { type Policy, policyChanges } from "./secret_policy.ts";

/** One of the vendor's secrets: a value, or several by key. */
export interface SecretEntry {
  /** Its path, relative to the environment's place. */
  readonly path: string;
  readonly values: Readonly<Record<string, Secret>>;
  /** Data that the vendor needs to write the entry in its original form. */
  readonly form?: unknown;
  /** True if it has no value at all; no vendor can make that of an entry that has one. @default {false} */
  readonly isBare?: boolean;
  /** Other data that the vendor keeps and a fork gets, e.g. a description, as JSON; only `copied` reads it. */
  readonly settings?: unknown;
}

/** The mark of a fork's entries. */
export interface Mark {
  /** Random id, created with the fork. */
  readonly id: string;
  readonly marker: Marker;
  readonly parentId?: string;
  /** Instant of creation, RFC 3339, UTC. */
  readonly createdAt: string;
  readonly state: "copying" | "ready";
  /** Paths of all entries that were begun. */
  readonly paths: readonly string[];
}

/** Returns the part of an entry's mark that names its path: a copy at another path is not ours. */
export function pathMark(path: string): string {
  return nameHash(path);
}

/** Result for something at the mark's place that forkstack did not write. */
export const STRANGE = "strange";

/** Calls of a vendor. */
export interface EntryStore<Options extends Policy> {
  /** The provider's name. */
  readonly provider: string;
  /** Returns the place of an environment's entries, e.g. `"secret/shop/alice/"`. */
  place(scope: Scope<Options>, name: string): string;
  /** Reads the stored mark, unchecked; `markOf` checks its owner. */
  mark(context: Context, scope: Scope<Options>, name: string): Promise<Mark | typeof STRANGE | undefined>;
  /** Writes a new mark; returns `false` if there is one already. */
  addMark(context: Context, scope: Scope<Options>, name: string, mark: Mark): Promise<boolean>;
  /** Changes the mark; `changed` names the changed part. The owner never changes. */
  setMark(
    context: Context,
    scope: Scope<Options>,
    name: string,
    mark: Mark,
    changed: "paths" | "state",
  ): Promise<void>;
  dropMark(context: Context, scope: Scope<Options>, name: string, mark: Mark): Promise<void>;
  /** Lists the names of environments with a mark. */
  marked(context: Context, scope: Scope<Options>): AsyncIterable<string>;
  /** Reads all entries of an environment, those of `known` in any case, without the mark. */
  entries(context: Context, scope: Scope<Options>, name: string, known?: readonly string[]): Promise<SecretEntry[]>;
  /** Reads all entries as a copy gets them: with settings, and including those without a value. */
  copied(context: Context, scope: Scope<Options>, name: string, known?: readonly string[]): Promise<SecretEntry[]>;
  /** Reads the parent's `copied` entries, if there is a parent, and lists the paths that exist at the fork's place. */
  survey(context: Context, target: Target<Options>, known?: readonly string[]): Promise<[SecretEntry[], string[]]>;
  /** Lists the paths of an environment's entries. */
  paths(context: Context, scope: Scope<Options>, name: string): Promise<string[]>;
  /** Creates an entry; an existing one with this mark is success. */
  add(context: Context, scope: Scope<Options>, name: string, entry: SecretEntry, mark: Mark): Promise<void>;
  /** Writes the values and the settings that differ from `was`, the former entry. */
  replace(context: Context, scope: Scope<Options>, name: string, entry: SecretEntry, was: SecretEntry): Promise<void>;
  /** Removes an entry if it bears this mark. */
  drop(
    context: Context,
    scope: Scope<Options>,
    name: string,
    path: string,
    mark: Mark,
  ): Promise<"deleted" | "absent" | "foreign">;
  /** Throws if an entry could not be written; called before anything is written. */
  check(scope: Scope<Options>, name: string, entry: SecretEntry): void;
  /** Sets and removes values; new entries bear the mark, if there is one. */
  write(
    context: Context,
    scope: Scope<Options>,
    name: string,
    mark: Mark | undefined,
    changes: Readonly<Record<string, Secret | null>>,
  ): Promise<void>;
}

type Lifecycle<Options> = Pick<
  Provider<Options>,
  "inspect" | "create" | "delete" | "list" | "probe" | "remark" | "reset" | "secrets"
>;

/** Returns the methods of a provider whose forks are copies of entries. */
export function copies<Options extends Policy>(shelf: EntryStore<Options>): Lifecycle<Options> {
  const access: Provider<Options>["secrets"] = {
    async read(context, held, scope) {
      const mark = await standing(shelf, context, held, scope);
      return valuesOf(shelf, scope, held.name, await shelf.entries(context, scope, held.name, mark?.paths));
    },
    async write(context, held, scope, changes) {
      for (const [key, value] of Object.entries(changes)) {
        if (value !== null) shelf.check(scope, held.name, { path: key, values: { [key]: value } });
      }
      const mark = await standing(shelf, context, held, scope);
      await shelf.write(context, scope, held.name, mark, changes);
    },
  };
  return {
    inspect: (context, target) => inspect(shelf, context, target),
    create: (context, target) => create(shelf, context, target),
    delete: (context, fork, scope) => remove(shelf, context, fork, scope),
    list: (context, scope) => list(shelf, context, scope),
    async remark(context, fork, scope) {
      const mark = await ours(shelf, context, fork, scope, "extend");
      if (mark !== undefined) await shelf.setMark(context, scope, fork.name, { ...mark, marker: fork.marker }, "state");
    },
    async probe(context, held, scope) {
      await standing(shelf, context, held, scope);
    },
    secrets: access,
    reset: (context, fork, target) => reset(shelf, context, fork, target),
  };
}

async function inspect<Options extends Policy>(
  shelf: EntryStore<Options>,
  context: Context,
  target: Target<Options>,
): Promise<Inspection> {
  const mark = await markOf(shelf, context, target, target.name);
  const id = shelf.place(target, target.name);
  if (mark === STRANGE) return { state: "foreign", id, reason: NOT_ITS_MARK };
  if (mark !== undefined) {
    if (!isSameHolder(mark.marker, target.marker)) return others(mark.id, mark.marker);
    return { state: mark.state === "ready" ? "ready" : "pending", fork: forkOf(mark, target.name) };
  }
  const found = await shelf.paths(context, target, target.name);
  if (found.length === 0) return { state: "absent" };
  const isGone = (await context.recorded(target.name)).length > 0;
  const reason = `${isGone ? `${MARK_GONE}: ` : ""}${unmarked(found.length)}${
    isGone ? ", or whose mark was removed" : ""
  }`;
  return { state: "foreign", id, reason };
}

const NOT_ITS_MARK = "its mark is not what forkstack wrote for it: it was copied there, or changed";

/** Returns the mark of an environment, if forkstack wrote it for this very environment. */
async function markOf<Options extends Policy>(
  shelf: EntryStore<Options>,
  context: Context,
  scope: Scope<Options>,
  name: string,
): Promise<Mark | typeof STRANGE | undefined> {
  const stored = await shelf.mark(context, scope, name);
  if (stored === undefined || stored === STRANGE) return stored;
  const marker = context.markerOf(name, formatMarker(stored.marker));
  return marker === undefined ? STRANGE : { ...stored, marker };
}

/** Returns the mark of an environment; `undefined` also for a foreign one. */
async function ownMark<Options extends Policy>(
  shelf: EntryStore<Options>,
  context: Context,
  scope: Scope<Options>,
  name: string,
): Promise<Mark | undefined> {
  const mark = await markOf(shelf, context, scope, name);
  return mark === STRANGE ? undefined : mark;
}

function unmarked(count: number): string {
  return `${count} ${count === 1 ? "secret is" : "secrets are"} there that forkstack did not make`;
}

async function create<Options extends Policy>(
  shelf: EntryStore<Options>,
  context: Context,
  target: Target<Options>,
): Promise<Fork> {
  const { name, parent, marker } = target;
  const what = `make secrets "${shelf.place(target, name)}"`;
  const source = parent === undefined || BASE.has(parent) ? undefined : await ownMark(shelf, context, target, parent);
  const [parents, found] = await shelf.survey(context, target, source?.paths);
  if (parent !== undefined && parents.length === 0 && source === undefined) throw missing(shelf, target, parent);
  const entries = withPolicy(shelf, target, parents);
  for (const entry of entries) shelf.check(target, name, entry);
  const paths = entries.map(({ path }) => path);
  let mark: Mark = {
    id: crypto.randomUUID(),
    marker,
    parentId: parent === undefined ? undefined : shelf.place(target, parent),
    createdAt: context.now().toISOString(),
    state: "copying",
    paths,
  };
  context.signal.throwIfAborted();
  // What is there may be of an earlier attempt, and then has its mark.
  const isFree = found.length === 0 && await shelf.addMark(context, target, name, mark);
  if (!isFree) {
    const there = await markOf(shelf, context, target, name);
    const reason = there === STRANGE ? NOT_ITS_MARK : isOthers(there?.marker, marker, unmarked(found.length));
    if (reason !== undefined) throw foreignEntries(shelf, target, `${what}: ${reason}`);
    mark = there as Mark;
    if (mark.state === "ready") return forkOf(mark, name);
    const all = [...new Set([...mark.paths, ...paths])];
    if (all.length > mark.paths.length) {
      await shelf.setMark(context, target, name, mark = { ...mark, paths: all }, "paths");
    }
  }
  await context.record("mark", mark.id);
  // Somebody else may have come between the look and the mark; who comes later sees the mark.
  const strangers = (await shelf.paths(context, target, name)).filter((path) => !mark.paths.includes(path));
  if (strangers.length > 0) {
    if (isFree) await shelf.dropMark(context, target, name, mark);
    throw foreignEntries(shelf, target, `${what}: ${unmarked(strangers.length)}`);
  }
  context.signal.throwIfAborted();
  await forEach(entries, (entry) => shelf.add(context, target, name, entry, mark), { signal: context.signal });
  context.signal.throwIfAborted();
  await shelf.setMark(context, target, name, mark = { ...mark, state: "ready" }, "state");
  return forkOf(mark, name);
}

/** Environments that never have a mark, so that no request is needed. */
const BASE: ReadonlySet<string> = new Set(["prod", "dev"]);

/** Prepares a reset. Nothing is written before `commit`, which has the same result however often it is begun. */
async function reset<Options extends Policy>(
  shelf: EntryStore<Options>,
  context: Context,
  fork: Fork,
  target: Target<Options>,
): Promise<Replacement> {
  const { name, parent } = target;
  await standing(shelf, context, fork, target);
  const parents = parent === undefined ? [] : await entriesOf(shelf, context, target, parent);
  const wanted = withPolicy(shelf, target, parents);
  for (const entry of wanted) shelf.check(target, name, entry);
  const paths = wanted.map(({ path }) => path);
  return {
    discard: () => Promise.resolve(),
    async commit() {
      const mark = await ours(shelf, context, fork, target, "reset");
      if (mark === undefined) throw missing(shelf, target, name);
      const now = await shelf.copied(context, target, name, mark.paths);
      const all = { ...mark, paths: [...new Set([...mark.paths, ...paths])] };
      if (all.paths.length > mark.paths.length) await shelf.setMark(context, target, name, all, "paths");
      await forEach(wanted, async (entry) => {
        const was = now.find(({ path }) => path === entry.path);
        if (was === undefined) await shelf.add(context, target, name, entry, mark);
        else if (entry.isBare && !was.isBare) {
          await shelf.drop(context, target, name, entry.path, mark);
          await shelf.add(context, target, name, entry, mark);
        } else if (!isSameValue(was, entry) || !isSameSettings(was, entry)) {
          await shelf.replace(context, target, name, entry, was);
        }
      }, { signal: context.signal });
      const more = now.filter(({ path }) => !paths.includes(path));
      await forEach(more, ({ path }) => shelf.drop(context, target, name, path, mark).then(() => {}), {
        signal: context.signal,
      });
      return { ...fork, copy: parent === undefined ? "empty" : "full-copy" };
    },
  };
}

/** Returns true if two entries hold the same values. */
export function isSameValue(one: SecretEntry, other: SecretEntry): boolean {
  return textOf(one) === textOf(other);
}

/** Returns true if two entries have the same settings at the vendor, beside their values. */
export function isSameSettings(one: SecretEntry, other: SecretEntry): boolean {
  return JSON.stringify(one.settings) === JSON.stringify(other.settings);
}

function textOf({ values }: SecretEntry): string {
  return JSON.stringify(Object.entries(values).map(([key, value]) => [key, value.reveal()]).sort());
}

/** Reads the entries of an environment; throws if a parent without a mark holds none. */
async function entriesOf<Options extends Policy>(
  shelf: EntryStore<Options>,
  context: Context,
  scope: Scope<Options>,
  name: string,
): Promise<SecretEntry[]> {
  const known = BASE.has(name) ? undefined : await ownMark(shelf, context, scope, name);
  const entries = await shelf.copied(context, scope, name, known?.paths);
  if (entries.length === 0 && known === undefined) throw missing(shelf, scope, name);
  return entries;
}

/** Applies the policy to the parent's entries: removes some, and adds others. */
function withPolicy<Options extends Policy>(
  shelf: EntryStore<Options>,
  target: Target<Options>,
  parents: readonly SecretEntry[],
): SecretEntry[] {
  const all = valuesOf(shelf, target, target.parent ?? "", parents);
  const override = Object.entries(target.options.override ?? {});
  const policy = target.parent === undefined
    ? { override: Object.fromEntries(override.filter(([, by]) => typeof by === "string")) }
    : target.options;
  const scope = { provider: shelf.provider, resource: target.resource };
  const changes = policyChanges(policy, all, (text) => new Secret(text), scope);
  const isExcluded = globMatcher(...target.options.exclude ?? []);
  const added = new Map(
    Object.entries(changes).filter((one): one is [string, Secret] => one[1] !== null && !Object.hasOwn(all, one[0])),
  );
  const kept = parents.flatMap((entry): SecretEntry[] => {
    const { path } = entry;
    const isEmpty = Object.keys(entry.values).length === 0;
    const values = Object.fromEntries(
      Object.entries(entry.values).flatMap(([key, value]): [string, Secret][] => {
        const by = Object.hasOwn(changes, key) ? changes[key]! : value;
        return by === null ? [] : [[key, by]];
      }),
    );
    const own = added.get(path);
    added.delete(path);
    if (own !== undefined && isEmpty) return [{ path, values: { [path]: own }, settings: entry.settings }];
    if (own !== undefined) return [{ ...entry, values: { ...values, [path]: own } }];
    const isLeftOut = isEmpty ? isExcluded(path) : Object.keys(values).length === 0;
    return isLeftOut ? [] : [{ ...entry, values }];
  });
  return [...kept, ...Array.from(added, ([key, value]) => ({ path: key, values: { [key]: value } }))];
}

/** Returns all values by key; throws if a key is in two entries. */
export function valuesOf<Options extends Policy>(
  { provider, place }: Pick<EntryStore<Options>, "provider" | "place">,
  scope: Scope<Options>,
  name: string,
  entries: readonly SecretEntry[],
): Record<string, Secret> {
  const from = new Map<string, string>();
  const values: Record<string, Secret> = {};
  for (const entry of entries) {
    for (const [key, value] of Object.entries(entry.values)) {
      const other = from.get(key);
      if (other !== undefined) {
        const state = `it is in "${other}" and in "${entry.path}"`;
        throw new ForkstackError("CONFLICT", `Cannot read secret "${key}" of "${place(scope, name)}": ${state}`, {
          hint: "Rename one of the two",
          details: { provider, resource: scope.resource },
        });
      }
      from.set(key, entry.path);
      values[key] = value;
    }
  }
  return values;
}

/** Removes the entries, then the mark: while it exists, a second attempt knows the remaining work. */
async function remove<Options extends Policy>(
  shelf: EntryStore<Options>,
  context: Context,
  fork: Fork,
  scope: Scope<Options>,
): Promise<"deleted" | "absent"> {
  const { name } = fork;
  const mark = await ours(shelf, context, fork, scope, "delete");
  if (mark === undefined) return "absent";
  const paths = new Set([...mark.paths, ...await shelf.paths(context, scope, name)]);
  let left = 0;
  await forEach(paths, async (path) => {
    if (await shelf.drop(context, scope, name, path, mark) === "foreign") left++;
  }, { signal: context.signal });
  if (left > 0) context.warn(`Left in "${shelf.place(scope, name)}": ${unmarked(left)}`);
  context.signal.throwIfAborted();
  await shelf.dropMark(context, scope, name, mark);
  return "deleted";
}

/** Returns the fork's mark; throws if the fork must not be deleted. */
export async function ours<Options extends Policy>(
  shelf: EntryStore<Options>,
  context: Context,
  fork: Fork,
  scope: Scope<Options>,
  verb: string,
): Promise<Mark | undefined> {
  const mark = await ownMark(shelf, context, scope, fork.name);
  if (mark?.id !== fork.id) return undefined;
  if (isSameHolder(mark.marker, fork.marker)) return mark;
  throw foreignEntries(shelf, scope, `${verb} secrets "${shelf.place(scope, fork.name)}": ${holder(mark.marker)}`);
}

async function* list<Options extends Policy>(
  shelf: EntryStore<Options>,
  context: Context,
  scope: Scope<Options>,
): AsyncIterable<Fork> {
  for await (const name of shelf.marked(context, scope)) {
    const mark = await ownMark(shelf, context, scope, name);
    if (mark?.marker.stack === scope.stack && mark.marker.resource === scope.resource) yield forkOf(mark, name);
  }
}

/** Returns the mark of existing entries, if they have one; throws if there are none, or foreign ones. */
async function standing<Options extends Policy>(
  shelf: EntryStore<Options>,
  context: Context,
  held: Held,
  scope: Scope<Options>,
): Promise<Mark | undefined> {
  const isBase = held.id === shelf.place(scope, held.name);
  const mark = await ownMark(shelf, context, scope, held.name);
  if (mark !== undefined && mark.id === held.id) return mark;
  if (isBase && (await shelf.paths(context, scope, held.name)).length > 0) return undefined;
  throw missing(shelf, scope, held.name);
}

function forkOf({ id, marker, parentId, createdAt }: Mark, name: string): Fork {
  const lineage = parentId === undefined ? {} : { parentId };
  return { id, name, ...lineage, marker, createdAt, copy: parentId === undefined ? "empty" : "full-copy" };
}

function missing<Options extends Policy>(
  shelf: EntryStore<Options>,
  scope: Scope<Options>,
  name: string,
): ForkstackError {
  const { provider } = shelf;
  return new ForkstackError("NOT_FOUND", `Cannot use secrets "${shelf.place(scope, name)}": there are none`, {
    hint: "Put secrets there, name another parent with --from, or start without any by --empty",
    details: { provider, resource: scope.resource },
  });
}

/** The error for entries of another owner. */
export function foreignEntries<Options extends Policy>(
  { provider }: Pick<EntryStore<Options>, "provider">,
  { resource }: Scope<Options>,
  what: string,
): ForkstackError {
  return foreignError({ provider, resource }, what);
}
