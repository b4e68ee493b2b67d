/**
 * Parts at their place in the future object: the first part's size tells where the others belong, so that the last
 * request has nothing to copy. A part that does not fit, or comes a second time, is a file of its own as before.
 *
 * Only the process that began the file writes it, only while its upload is open, and each place once: what became an
 * object is never written again.
 *
 * @module
 */
import * as fs from "node:fs";
import { join } from "node:path";
import type { Bucket, Condition } from "./bucket.ts";
import { finishObject, type Meta, type Opened, openObject, openRange, writeRange } from "./files.ts";
import { isReal, linked } from "./paths.ts";

/** The place of a part's bytes. */
export type PartPlace = NonNullable<Meta["place"]>;

interface Assembly {
  /** Size of a part in bytes; the last may be smaller. */
  readonly partBytes: number;
  /** Numbers of the parts that were written here. */
  readonly taken: Set<number>;
  /** How many are being written. */
  writing: number;
}

const NAME = "whole";
const LEAST_BYTES = 2 ** 20; // smaller ones are copied as fast
const MOST_BYTES = 2 ** 40; // what a file system takes, holes included

/** Files of this process, by the directory of the upload. */
const assemblies = new Map<string, Assembly>();

/** Writes a part to its place in the object; `undefined` if it has none, and then nothing was read of it. */
export async function placePart(
  directory: string,
  number: number,
  body: { readonly bytes: AsyncIterable<Uint8Array>; readonly expectedBytes?: number | undefined },
): Promise<PartPlace | undefined> {
  const sizeBytes = body.expectedBytes ?? 0;
  if (sizeBytes < LEAST_BYTES) return undefined;
  const assembly = assemblies.get(directory) ?? begin(directory, sizeBytes);
  const offset = (number - 1) * (assembly?.partBytes ?? 0);
  const isFree = assembly !== undefined && !assembly.taken.has(number) && sizeBytes <= assembly.partBytes;
  if (!isFree || offset + sizeBytes > MOST_BYTES) return undefined;
  assembly.taken.add(number);
  assembly.writing++;
  try {
    await writeRange(join(directory, NAME), offset, body.bytes);
    return { offset, sizeBytes };
  } catch (error) {
    assembly.taken.delete(number);
    throw error;
  } finally {
    assembly.writing--;
  }
}

/** Begins the file of an upload, unless another process, or this one before a failure, has begun one. */
function begin(directory: string, partBytes: number): Assembly | undefined {
  if (!fs.existsSync(directory)) return undefined;
  if (!isReal(directory)) throw linked("uploads");
  try {
    fs.closeSync(fs.openSync(join(directory, NAME), "wx", 0o600));
  } catch (error) {
    if ((error as { code?: string }).code === "EEXIST") return undefined;
    throw error;
  }
  const assembly = { partBytes, taken: new Set<number>(), writing: 0 };
  assemblies.set(directory, assembly);
  return assembly;
}

/** Forgets the file of an upload: nothing is written to it any more. */
export function endAssembly(directory: string): void {
  assemblies.delete(directory);
}

/** Opens a part, wherever its bytes are. */
export function openPart(directory: string, number: number): Opened | undefined {
  const part = openObject(join(directory, String(number)));
  if (part?.meta.place === undefined) return part;
  part[Symbol.dispose]();
  return openRange(join(directory, NAME), part.meta, part.meta.place);
}

/** A part of the future object. */
export interface NumberedPart {
  readonly number: number;
  readonly sizeBytes: number;
  readonly meta: Meta;
}

/**
 * Makes the object of the file in which its parts lie, and copies only those that are elsewhere. Returns false, with
 * nothing changed, if one lies at another place than it should, or the file is not this process's to change.
 */
export async function assemble(
  bucket: Bucket,
  { directory, key }: { readonly directory: string; readonly key: string },
  { parts, meta, condition }: {
    readonly parts: readonly NumberedPart[];
    readonly meta: Meta;
    readonly condition: Condition;
  },
): Promise<boolean> {
  const assembly = assemblies.get(directory);
  if (assembly === undefined || assembly.writing > 0) return false;
  let sizeBytes = 0;
  const elsewhere: { readonly number: number; readonly offset: number }[] = [];
  for (const part of parts) {
    const { place } = part.meta;
    if (place === undefined) elsewhere.push({ number: part.number, offset: sizeBytes });
    else if (place.offset !== sizeBytes) return false;
    sizeBytes += part.sizeBytes;
  }
  if (elsewhere.length === parts.length) return false;
  endAssembly(directory); // from here on no other request writes to the file
  const path = join(directory, NAME);
  for (const { number, offset } of elsewhere) {
    using part = openPart(directory, number);
    if (part === undefined) return false;
    await writeRange(path, offset, part.bytes());
  }
  bucket.check(key, condition);
  finishObject(path, sizeBytes, meta);
  bucket.commit(path, key);
  return true;
}
