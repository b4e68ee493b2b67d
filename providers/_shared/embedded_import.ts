/**
 * New contents for a file or directory of an embedded provider: prepared under a temporary name beside the old ones, and
 * put in their place at the end, or not at all.
 */
import type { Context, ImportSource, Scope, Target } from "../../core/provider.ts";
import { sweepTemporary, temporaryPath } from "../../core/system/files.ts";
import { isWithin } from "../../core/system/links.ts";
import { ForkstackError } from "../../mod.ts";
import { companionsOf, embeddedPlace, type Shape } from "./embedded_look.ts";
import { holdsData, refused } from "./import_errors.ts";

/** The parts of an embedded provider that importing needs. */
export interface Importing<Options> extends Shape {
  readonly type: "file" | "directory";
  /** Copies existing data to `partial`. */
  readonly take: (context: Context, partial: string, from: string, scope: Scope<Options>) => Promise<unknown>;
  /** Returns true if there is nothing to lose at a path where something stands. */
  readonly isEmpty: (context: Context, path: string) => Promise<boolean>;
}

/** The files that stood in the place of new contents, under temporary names. */
export type Replaced = readonly string[];

/**
 * Puts new contents in the place of the old ones, or on failure the old ones back. Without new contents it only takes
 * the old ones away.
 */
export async function putInPlace(
  its: Shape & { readonly type: "file" | "directory" },
  context: Context,
  { partial, path }: { readonly partial: string | undefined; readonly path: string },
): Promise<Replaced> {
  const aside: [from: string, to: string][] = [];
  await context.fence();
  try {
    // A file is replaced in one step, but a log beside it would be played into the new one; a directory can't be.
    const olds = companionsOf(its, path);
    for (const old of its.type === "directory" ? [...olds, path] : olds) {
      if (await context.files.stat(old) === undefined) continue;
      const to = temporaryPath(old);
      await context.files.replace(old, to);
      aside.push([old, to]);
    }
    if (partial !== undefined) await context.files.replace(partial, path);
  } catch (error) {
    for (const [old, to] of aside.reverse()) await context.files.replace(to, old);
    throw error;
  }
  return aside.map(([, to]) => to);
}

/** Implements `Provider.import`. */
export async function importFiles<Options>(
  its: Importing<Options>,
  context: Context,
  target: Target<Options>,
  { path: from, replace }: ImportSource,
): Promise<void> {
  const place = embeddedPlace(its.kind, target, target.name);
  const path = await context.files.real(place) ?? place; // a link of a person's stays one
  const found = await context.files.stat(path);
  assertApart(its, path, from!);
  if (found !== undefined && !replace && !await its.isEmpty(context, path)) throw holdsData(target, path);
  if (found !== undefined && found.type !== its.type) throw refused(target, `"${path}" is no ${its.type}`);
  await context.fence();
  await sweepTemporary(context.files, path); // of an import that died
  const partial = temporaryPath(path);
  let replaced: Replaced = [];
  try {
    await its.take(context, partial, from!, target);
    context.signal.throwIfAborted();
    replaced = await putInPlace(its, context, { partial, path });
  } catch (error) {
    for (const leftover of [...companionsOf(its, partial), partial]) await context.files.remove(leftover);
    // A link that leads nowhere, or a file that went away meanwhile.
    throw (error as { code?: string }).code === "ENOENT" ? refused(target, (error as Error).message) : error;
  }
  for (const old of replaced) await context.files.remove(old);
}

/** Refuses data of which the place where it would go is a part, or the other way round. */
function assertApart({ kind }: Shape, path: string, from: string): void {
  if (!isWithin(path, from) && !isWithin(from, path)) return;
  throw new ForkstackError("IMPORT_REFUSED", `Cannot import "${from}": the ${kind} of dev is "${path}"`, {
    hint: "Name data that lies elsewhere",
  });
}
