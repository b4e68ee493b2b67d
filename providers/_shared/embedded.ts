/**
 * The common part of the embedded providers: a fork is a file or a directory, and a small file under
 * `.forkstack/owners/` names its owner. The owner's file is written first and removed last, so that no fork is without
 * one. Until it says how the fork was copied, the fork is unfinished: what stands at its path is ours only if a note
 * beside the owner's file names that very file; otherwise an application that was started early made it.
 */
import { dirname, join } from "node:path";
import * as v from "npm:valibot@1.5.0";
import type {
  Context,
  Copy,
  Fork,
  Held,
  Kind,
  OptionsSchema,
  Provider,
  Replacement,
  Scope,
  SecretsAccess,
  Target,
} from "../../core/provider.ts";
import { sweepTemporary, temporaryPath } from "../../core/system/files.ts";
import { isWithin } from "../../core/system/links.ts";
import { embeddedPath, ForkstackError } from "../../mod.ts";
import {
  companionsOf,
  embeddedPlace,
  embeddedTeller,
  inspect,
  isEmptyLater,
  isMadeAtFirstUse,
  namedBase,
  ownerNote,
  ownerPath,
  publishedCopy,
  readOwner,
  type Shape,
  type StateRoot,
} from "./embedded_look.ts";
import { importFiles, type Importing, putInPlace } from "./embedded_import.ts";
import { holder, isSameHolder } from "./ownership.ts";

/** A path in `bases`: of what is there, and no part of the state. */
const BASE = v.pipe(
  v.string(),
  v.regex(
    /^(?![~\s]|[a-z]{2,}:|(?:.*[\\/])?\.forkstack(?:[\\/]|$))[^\p{C}]+$/iu,
    'must be a path like "./dev.db", and not in .forkstack',
  ),
);

const noOptions = v.strictObject({});
type NoOptions = v.InferOutput<typeof noOptions>;

/** The parts in which the embedded providers differ. */
interface Embedded<Options> extends Shape {
  readonly type: "file" | "directory";
  /** The one of the companions without which data is lost. @default {none} */
  readonly log?: string;
  /** Copies the parent, if there is one, to `partial`, or creates an empty one there; returns the way of copying. */
  readonly fill: (
    context: Context,
    partial: string,
    parent: string | undefined,
    scope: Scope<Options>,
  ) => Promise<Copy>;
  /** Opens the fork, if more must be checked than its existence. @default {nothing more} */
  readonly open?: (path: string) => void | Promise<void>;
  /** Reads all of it; returns what is wrong. @default {it is not looked at} */
  readonly damage?: (path: string, signal: AbortSignal) => Promise<readonly string[]>;
  /** Copies data that is imported. @default {as `fill` copies a parent} */
  readonly take?: Importing<Options>["take"];
  /** Returns true if there is nothing to lose at a path; without it nothing is imported. */
  readonly isEmpty?: Importing<Options>["isEmpty"];
  /** Runs a script on the fork; the signal aborts it. */
  readonly execute?: (path: string, sql: string, signal: AbortSignal) => Promise<void>;
}

interface Whole<Options> extends Embedded<Options> {
  readonly title: string;
  readonly page: string;
  readonly secrets?: SecretsAccess<Options>;
}

/** Creates a provider without options, whose forks are files or directories on this machine. */
export function embeddedProvider(its: Whole<NoOptions>): Provider<NoOptions> {
  return embeddedProviderWith(noOptions, its);
}

/** Creates a provider whose forks are files or directories on this machine. */
export function embeddedProviderWith<Options>(
  options: OptionsSchema<Options>,
  its: Whole<Options>,
): Provider<Options> {
  const at = (held: Held, scope: Scope<Options>) => embeddedPlace(its.kind, scope, held.name);
  const { take = its.fill, isEmpty } = its;
  return {
    ...embeddedTeller(its),
    title: its.title,
    page: its.page,
    options,
    baseSchema: BASE,
    secrets: its.secrets,
    create: (context, target) => create(its, context, target),
    delete: (context, fork, scope) => remove(its, context, fork, scope),
    reset: (context, fork, target) => reset(its, context, fork, target),
    list: (context, scope) => list(its.kind, context, scope),
    remark: (context, fork, scope) => remark(its.kind, context, fork, scope),
    async probe(context, held, scope) {
      const path = at(held, scope);
      const found = await context.files.stat(path);
      if (found?.type === its.type) return await its.open?.(path);
      const owner = found === undefined ? await readOwner(context, its.kind, scope, held.name) : undefined;
      if (owner !== undefined && isEmptyLater(owner, scope)) return;
      throw new ForkstackError("NOT_READY", `Cannot use ${its.kind} "${path}": there is no ${its.type}`, {
        retryable: true,
      });
    },
    damage: its.damage && (async (context, held, scope) => {
      const path = at(held, scope);
      const found = await context.files.stat(path);
      return found?.type === its.type ? await its.damage!(path, context.signal) : [];
    }),
    execute: its.execute && (async (context, fork, scope, sql) => {
      const path = at(fork, scope);
      const isHere = (await context.files.stat(path))?.type === its.type;
      if (isHere && (await readOwner(context, its.kind, scope, fork.name))?.id === fork.id) {
        return await its.execute!(path, sql, context.signal);
      }
      throw new ForkstackError("NOT_FOUND", `Cannot change ${its.kind} "${path}": it is not the fork that was made`);
    }),
    import: isEmpty && ((context, target, source) => importFiles({ ...its, take, isEmpty }, context, target, source)),
    sources: isEmpty && [its.type],
    async usage(context, held, scope) {
      const paths = ["", ...(its.companions ?? [])].map((suffix) => at(held, scope) + suffix);
      const sizes = await Promise.all(paths.map((path) => sizeOf(context, path)));
      return { sizeBytes: sizes.reduce((sum, size) => sum + size, 0) };
    },
  };
}

/** Creates the fork under a temporary name, then renames it. */
async function create<O>(its: Embedded<O>, context: Context, target: Target<O>): Promise<Fork> {
  const { kind } = its;
  const path = embeddedPath(kind, target.root, target.name);
  const ownerFile = ownerPath(kind, target, target.name);
  const seen = await inspect(its, context, target);
  if (seen.state === "foreign") throw foreign(kind, target, seen.reason);
  const earlier = seen.state === "absent" ? undefined : seen.fork;
  if (earlier !== undefined && earlier.marker.operation !== target.marker.operation) {
    throw foreign(kind, target, `operation ${earlier.marker.operation} of the same environment made it`);
  }
  if (seen.state === "ready") return await settled(its, context, target, seen.fork);

  const parent = await usableParent(its, context, target);
  const claim: Fork = {
    id: earlier?.id ?? crypto.randomUUID(),
    name: target.name,
    parentId: parent === undefined ? undefined : target.parent,
    marker: target.marker,
    createdAt: earlier?.createdAt ?? context.now().toISOString(),
  };
  await context.fence();
  if (earlier === undefined) {
    try {
      await context.files.write(ownerFile, textOf(claim), { exclusive: true });
    } catch (error) {
      if (codeOf(error) === "EEXIST") return await create(its, context, target); // another attempt was first
      throw error;
    }
  }
  await context.record("claim", claim.id);
  context.signal.throwIfAborted();

  if (parent === undefined && isMadeAtFirstUse(target.options)) {
    return await settled(its, context, target, { ...claim, copy: "empty" });
  }
  const partial = temporaryPath(path);
  const note = ownerFile + partial.slice(path.length);
  try {
    const copy = await its.fill(context, partial, parent, target);
    context.signal.throwIfAborted();
    const made = await context.files.stat(partial);
    if (made === undefined) throw missing(partial);
    await context.files.write(note, ownerNote(made.identity, copy));
    for (const companion of companionsOf(its, path)) { // a log that is not this database's would be played into it
      if (await context.files.stat(companion) !== undefined) throw existing(companion);
    }
    await context.fence(); // filling it may have taken long
    await context.files.publish(partial, path);
    return await settled(its, context, target, { ...claim, copy });
  } catch (error) {
    await discard(its, context, path, partial, note);
    return await madeByAnother(its, context, target, error);
  }
}

/**
 * Removes a failed attempt, the note first: the file's number may become somebody else's once it is free. If the file
 * was renamed already, the note stays, and the next run continues from there. A file that cannot be removed is left for
 * that run; the error of the attempt is more important.
 */
async function discard<O>(
  its: Embedded<O>,
  context: Context,
  path: string,
  partial: string,
  note: string,
): Promise<void> {
  const [found, text] = await Promise.allSettled([context.files.stat(path), context.files.read(note)]);
  if (found.status === "rejected" || text.status === "rejected") return;
  if (found.value !== undefined && text.value?.startsWith(`${found.value.identity} `)) return;
  const removal = [note, ...companionsOf(its, partial), partial]
    .reduce((earlier, at) => earlier.then(() => context.files.remove(at)), Promise.resolve());
  await Promise.allSettled([removal]);
}

/**
 * Returns the fork if this attempt failed because another attempt of the same operation was first; throws otherwise.
 */
async function madeByAnother<O>(
  its: Embedded<O>,
  context: Context,
  target: Target<O>,
  error: unknown,
): Promise<Fork> {
  // It had published its own, or swept ours away when it was done.
  if (!/^(EEXIST|ENOTEMPTY|ENOTDIR|ENOENT)$/.test(codeOf(error))) throw error;
  for (let attempt = 1;; attempt++) {
    const seen = await inspect(its, context, target);
    if (seen.state === "ready" && seen.fork.marker.operation === target.marker.operation) return seen.fork;
    if (codeOf(error) === "ENOENT") {
      throw new ForkstackError(
        "PARENT_UNUSABLE",
        `Cannot make ${its.kind} "${target.name}": ${(error as Error).message}`,
        {
          hint: "Remove the link that leads nowhere, then run the same command again",
          cause: error,
        },
      );
    }
    if (seen.state === "foreign") throw foreign(its.kind, target, seen.reason, error);
    if (attempt === 3) throw foreign(its.kind, target, (error as Error).message, error);
    await context.sleep(10 * attempt);
  }
}

/** Returns the real path of the parent, inside the project; `undefined` if it does not exist. */
async function usableParent<O>(its: Embedded<O>, context: Context, target: Target<O>): Promise<string | undefined> {
  if (target.parent === undefined) return undefined;
  const path = embeddedPlace(its.kind, target, target.parent);
  const unusable = (state: string, hint: string) =>
    new ForkstackError("PARENT_UNUSABLE", `Cannot fork ${its.kind} "${path}": ${state}`, { hint });
  const isNamed = namedBase(its.kind, target, target.parent) !== undefined;
  const found = await context.files.stat(path);
  const log = its.log === undefined || (found?.sizeBytes ?? 0) > 0
    ? undefined
    : await context.files.stat(path + its.log);
  if (log !== undefined && log.sizeBytes > 0) {
    throw unusable(
      `it is ${found === undefined ? "missing" : "empty"}, but its log "${path + its.log!}" is not`,
      "Put the file back beside its log, or remove the log if its data may go",
    );
  }
  if (found === undefined) {
    if (!isNamed) return undefined;
    throw new ForkstackError("NOT_FOUND", `Cannot fork ${its.kind} "${path}": there is none`, {
      hint: "Make it, correct `bases` in forkstack.json, or start without data by --empty",
      details: { resource: target.resource, provider: its.name },
    });
  }
  const [real, root] = await Promise.all([path, target.root].map((one) => context.files.real(one)));
  if (real === undefined || root === undefined) {
    throw unusable(
      "it is a link that leads nowhere",
      "Remove the link; a parent may be absent, the fork is empty then",
    );
  }
  // A base's path was looked at where forkstack.json was read: one that leads out of the project is a person's choice.
  if (!isNamed && !isWithin(real, root)) {
    throw unusable(
      `it is a link that leads out of "${target.root}"`,
      "Put what it leads to in its place; forkstack reads nothing outside of the project",
    );
  }
  if (isWithin(embeddedPlace(its.kind, target, target.name), real)) {
    throw unusable("its forks would lie in it", 'Name a directory of its own in `bases`, such as "./uploads"');
  }
  for (
    const [at, type] of [
      [real, its.type],
      ...companionsOf(its, real).map((one) => [one, "file"] as const),
    ] as const
  ) {
    const found = (await context.files.stat(at))?.type ?? type;
    if (found === type) continue;
    const what = found === "other" ? "a link, a pipe, a device or a socket" : `a ${found}`;
    throw unusable(`${at === real ? "it" : `"${at}"`} is ${what}`, `It must be a ${type}; move what stands there away`);
  }
  return real;
}

/** Deletes the fork with its companions, then its owner's file. */
async function remove<O>(
  its: Embedded<O>,
  context: Context,
  fork: Fork,
  place: StateRoot,
): Promise<"deleted" | "absent"> {
  const path = embeddedPath(its.kind, place.root, fork.name);
  const ownerFile = ownerPath(its.kind, place, fork.name);
  const held = await readOwner(context, its.kind, place, fork.name);
  if (held?.id !== fork.id) return "absent";
  if (!isSameHolder(held.marker, fork.marker)) {
    throw new ForkstackError("FOREIGN", `Cannot delete ${its.kind} "${fork.name}": ${holder(held.marker)}`, {
      hint: "Delete it from the environment that it belongs to",
    });
  }
  const found = await context.files.stat(path);
  await context.fence();
  const isOurs = held.copy !== undefined ||
    (found && await publishedCopy(context, ownerFile, found.identity)) !== undefined;
  if (isOurs) {
    for (const companion of companionsOf(its, path)) await context.files.remove(companion); // first: see `create`
    await context.files.remove(path);
  }
  await sweepTemporary(context.files, ownerFile); // the notes first: see `discard`
  await sweepTemporary(context.files, path);
  await context.files.remove(ownerFile);
  return isOurs || found === undefined ? "deleted" : "absent";
}

async function remark(kind: Kind, context: Context, fork: Fork, place: StateRoot): Promise<void> {
  const held = await readOwner(context, kind, place, fork.name);
  if (held?.id !== fork.id || !isSameHolder(held.marker, fork.marker)) return; // `extend` has looked; it went since
  await context.files.write(ownerPath(kind, place, fork.name), textOf({ ...held, marker: fork.marker }));
}

/** Lists the forks of a resource, by their owner files only. */
async function* list(kind: Kind, context: Context, scope: Scope<unknown>): AsyncIterable<Fork> {
  const directory = dirname(ownerPath(kind, scope, ""));
  for (const name of await context.files.list(directory)) {
    if (!name.startsWith(`${kind}.`) || !name.endsWith(".json")) continue;
    const fork = await readOwner(context, kind, scope, name.slice(kind.length + 1, -".json".length));
    if (fork?.marker.stack === scope.stack && fork.marker.resource === scope.resource) yield fork;
  }
}

/** Prepares a new fork; `commit` puts it in place of the old one, and restores the old one on failure. */
async function reset<O>(its: Embedded<O>, context: Context, fork: Fork, target: Target<O>): Promise<Replacement> {
  const path = embeddedPath(its.kind, target.root, fork.name);
  const ownerFile = ownerPath(its.kind, target, fork.name);
  const seen = await inspect(its, context, target);
  if (seen.state === "absent" || seen.state === "foreign" || seen.fork.id !== fork.id) {
    throw foreign(its.kind, target, seen.state === "foreign" ? seen.reason : "it is not the fork that was made");
  }
  await context.fence();
  await sweepTemporary(context.files, path);
  const partial = temporaryPath(path);
  const discard = async () => {
    for (const leftover of [partial, ...companionsOf(its, partial)]) await context.files.remove(leftover);
  };
  let copy: Copy = "empty";
  let isFilled = true;
  try {
    const parent = await usableParent(its, context, target);
    isFilled = parent !== undefined || !isMadeAtFirstUse(target.options);
    if (isFilled) copy = await its.fill(context, partial, parent, target);
  } catch (error) {
    await discard();
    throw error;
  }
  return {
    discard,
    execute: its.execute && ((sql) => its.execute!(partial, sql, context.signal)),
    async commit() {
      const replaced = await putInPlace(its, context, { partial: isFilled ? partial : undefined, path });
      await context.files.write(ownerFile, textOf({ ...seen.fork, copy }));
      for (const old of replaced) await context.files.remove(old);
      await sweepTemporary(context.files, ownerFile); // of a reset that was cut off
      return { ...seen.fork, copy };
    },
  };
}

/** Records the fork as complete, and removes temporary files. */
async function settled<O>({ kind }: Embedded<O>, context: Context, target: Target<O>, fork: Fork): Promise<Fork> {
  const path = embeddedPath(kind, target.root, fork.name);
  const ownerFile = ownerPath(kind, target, fork.name);
  if ((await readOwner(context, kind, target, fork.name))?.copy === undefined) {
    await context.files.write(ownerFile, textOf(fork));
  }
  await sweepTemporary(context.files, path);
  await sweepTemporary(context.files, ownerFile);
  return fork;
}

/** Returns the size of a file or a tree in bytes. */
async function sizeOf(context: Context, path: string): Promise<number> {
  const found = await context.files.stat(path);
  if (found?.type !== "directory") return found?.sizeBytes ?? 0;
  let total = 0;
  for (const name of await context.files.list(path)) total += await sizeOf(context, join(path, name));
  return total;
}

/** Returns true if no file is in a tree. */
export async function isEmptyTree(context: Context, path: string): Promise<boolean> {
  return !HOLDS_FILE.test(await context.files.fingerprint(path));
}

const HOLDS_FILE = /\0\d+:/; // in a fingerprint

/** An exception in a tree: a directory at its top of which one subdirectory is shared and the rest is left out. */
export interface Sealed {
  readonly directory: string;
  readonly shared: string;
}

/**
 * Fills a fork with a copy of a tree, or creates an empty one without a parent. A tree that changes during the copy is
 * copied again, at most three times. The sealed directory may change: each of its files is complete.
 */
export async function fillTree(
  context: Context,
  to: string,
  from: string | undefined,
  sealed?: Sealed,
): Promise<Copy> {
  if (from === undefined) {
    await context.files.makeDirectory(to);
    return "empty";
  }
  const hasSealed = sealed !== undefined && await context.files.stat(join(from, sealed.directory)) !== undefined;
  const except = hasSealed ? sealed.directory : undefined;
  for (let attempt = 1; attempt <= 3; attempt++) {
    const before = await context.files.fingerprint(from, except);
    const [copied] = await Promise.allSettled([context.files.copy(from, to, except)]);
    const isStill = await context.files.fingerprint(from, except) === before;
    if (isStill && copied.status === "fulfilled") {
      const shared = hasSealed ? await shareSealed(context, to, from, sealed) : "empty";
      return HOLDS_FILE.test(before) ? copied.value : shared;
    }
    if (isStill && copied.status === "rejected") throw copied.reason; // else it failed on what went away meanwhile
    await context.files.remove(to);
  }
  throw new ForkstackError("PARENT_BUSY", `Cannot copy directory "${from}": it changed during each of three copies`, {
    hint: "Stop what writes there, then run the same command again",
    retryable: true,
  });
}

async function shareSealed(context: Context, to: string, from: string, sealed: Sealed): Promise<Copy> {
  const [source, target] = [from, to].map((path) => join(path, sealed.directory, sealed.shared));
  if ((await context.files.list(source)).length === 0) return "empty";
  return await context.files.share(source, target);
}

function textOf(fork: Fork): string {
  return `${JSON.stringify(fork, null, 2)}\n`;
}

function codeOf(error: unknown): string {
  return (error as { code?: string } | null)?.code ?? "";
}

function existing(path: string): Error {
  return Object.assign(new Error(`"${path}" is there already`), { code: "EEXIST" });
}

function missing(path: string): Error {
  return Object.assign(new Error(`"${path}" went away`), { code: "ENOENT" });
}

function foreign(kind: Kind, target: Target<unknown>, reason: string, cause?: unknown): ForkstackError {
  return new ForkstackError("FOREIGN", `Cannot make ${kind} "${target.name}": ${reason}`, {
    hint: "Move it away, or choose another environment name; forkstack touches nothing that it did not make",
    details: { env: target.marker.env, resource: target.marker.resource },
    cause,
  });
}
