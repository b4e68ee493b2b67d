/**
 * Keys in order, page by page. Objects from S3 and files of an application form one list. Memory grows with the largest
 * directory, not with the bucket.
 *
 * @module
 */
import * as fs from "node:fs";
import { join } from "node:path";
import type { Bucket } from "./bucket.ts";
import { STORE } from "./layout.ts";
import { compareKeys, entryOfName } from "./keys.ts";
import { isAbsent, isReal } from "./paths.ts";

/** The options of a list. */
export interface ListQuery {
  readonly prefix: string;
  readonly delimiter: string;
  /** The list begins after this key, or after all keys with this prefix. */
  readonly after: string;
  readonly limit: number;
}

/** A page of keys. */
export interface ListPage {
  readonly keys: readonly string[];
  readonly commonPrefixes: readonly string[];
  /** The last key or common prefix of the page, if more follow. */
  readonly next: string | undefined;
}

/** Lists one page of a bucket. */
export function listPage(bucket: Bucket, { prefix, delimiter, after, limit }: ListQuery): ListPage {
  const keys: string[] = [], commonPrefixes: string[] = [];
  const cursor: Cursor = { prefix, after, skip: delimiter !== "" && isCommon(after, prefix, delimiter) ? after : "" };
  let last = "";
  for (const key of walk({ stored: [bucket.objects], plain: bucket.root }, "", cursor)) {
    if (keys.length + commonPrefixes.length === limit) {
      return { keys, commonPrefixes, next: limit === 0 ? undefined : last };
    }
    const end = delimiter === "" ? -1 : key.indexOf(delimiter, prefix.length);
    if (end < 0) keys.push(last = key);
    else commonPrefixes.push(last = cursor.skip = key.slice(0, end + delimiter.length));
  }
  return { keys, commonPrefixes, next: undefined };
}

function isCommon(key: string, prefix: string, delimiter: string): boolean {
  return key.startsWith(prefix) && key.indexOf(delimiter, prefix.length) === key.length - delimiter.length &&
    key.length > prefix.length;
}

interface Cursor {
  readonly prefix: string;
  readonly after: string;
  /** Prefix of the keys that were listed already. */
  skip: string;
}

/** The directories with the keys of one prefix: several if parts of keys were split. */
interface Place {
  readonly stored: readonly string[];
  readonly plain: string | undefined;
}

interface Child {
  /** The text; for a directory it ends in `/`, so that it sorts as its keys do. */
  readonly text: string;
  readonly place: Place | undefined;
}

function* walk(place: Place, above: string, cursor: Cursor): Generator<string> {
  for (const { text, place: inner } of childrenOf(place, above, cursor)) {
    const key = above + text;
    if (cursor.skip !== "" && key.startsWith(cursor.skip)) continue;
    if (inner !== undefined) {
      if (cursor.after.startsWith(key) || compareKeys(key, cursor.after) > 0) yield* walk(inner, key, cursor);
    } else if (compareKeys(key, cursor.after) > 0) yield key;
  }
}

/** Lists the children of a place that may hold keys with the prefix, in order. */
function childrenOf(place: Place, above: string, cursor: Cursor): Child[] {
  const children = new Map<string, Child>();
  const isWanted = (key: string) =>
    key.startsWith(cursor.prefix) || (key.endsWith("/") && cursor.prefix.startsWith(key));
  const directories = (text: string) => children.get(text)?.place ?? { stored: [], plain: undefined };
  for (const directory of place.stored) {
    addStored(directory, "", (text, path) => {
      if (!isWanted(above + text) || (path === undefined && compareKeys(above + text, cursor.after) <= 0)) return;
      const { stored, plain } = directories(text);
      children.set(text, { text, place: path === undefined ? undefined : { stored: [...stored, path], plain } });
    });
  }
  for (const { name, isFile, isDirectory } of place.plain === undefined ? [] : entriesOf(place.plain)) {
    const text = isDirectory ? `${name}/` : name;
    if (!(isFile || isDirectory) || (above === "" && name === STORE) || !isWanted(above + text)) continue;
    const plain = isDirectory ? join(place.plain!, name) : undefined;
    children.set(text, { text, place: plain === undefined ? undefined : { stored: directories(text).stored, plain } });
  }
  return [...children.values()].sort((one, other) => compareKeys(one.text, other.text));
}

/** Adds the entries of a directory of the store; the rest of a split part counts as an entry of this directory. */
function addStored(directory: string, before: string, add: (text: string, path: string | undefined) => void): void {
  for (const { name, isFile, isDirectory } of entriesOf(directory)) {
    const entry = isFile || isDirectory ? entryOfName(name) : undefined;
    if (entry === undefined || (entry.type === "object") !== isFile) continue;
    const path = join(directory, name);
    if (entry.type === "continued") addStored(path, before + entry.text, add);
    else if (isFile) add(before + entry.text, undefined);
    else add(`${before}${entry.text}/`, path);
  }
}

interface Found {
  readonly name: string;
  readonly isFile: boolean;
  readonly isDirectory: boolean;
}

/** Lists a directory; a link is neither file nor directory, and so is never followed. */
function entriesOf(directory: string): Found[] {
  if (!isReal(directory)) return [];
  try {
    return fs.readdirSync(directory, { withFileTypes: true })
      .map((one) => ({ name: one.name, isFile: one.isFile(), isDirectory: one.isDirectory() }));
  } catch (error) {
    if (isAbsent(error)) return [];
    throw error;
  }
}

/** Returns true if a bucket holds no object. */
export function isEmpty(bucket: Bucket): boolean {
  return listPage(bucket, { prefix: "", delimiter: "", after: "", limit: 1 }).keys.length === 0;
}
