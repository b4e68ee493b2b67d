/**
 * Damage that a few pages of a SQLite file tell: its size, the roots of its tables and indexes, and its free list. The
 * rest of the file is not read: `PRAGMA integrity_check` does that.
 *
 * - https://sqlite.org/fileformat2.html (read in November 2026)
 *
 * @module
 */

/** An open file; `using` closes it. */
export interface PageReader extends Disposable {
  readonly sizeBytes: number;
  /** Reads bytes; fewer at the end of the file. */
  read(position: number, length: number): Uint8Array;
}

/**
 * Opens a file for reading. It must stay open as long as SQLite holds a lock on it in this process: closing any
 * descriptor of a file drops all of the process's locks on it (https://sqlite.org/howtocorrupt.html, section 2.2).
 */
export async function openPages(path: string): Promise<PageReader> {
  const { closeSync, fstatSync, openSync, readSync } = await import("node:fs");
  const descriptor = openSync(path, "r");
  return {
    get sizeBytes() {
      return fstatSync(descriptor).size;
    },
    read(position, length) {
      const bytes = new Uint8Array(length);
      return bytes.subarray(0, readSync(descriptor, bytes, 0, length, position));
    },
    [Symbol.dispose]: () => closeSync(descriptor),
  };
}

/** A row of `sqlite_schema` with a tree of its own. */
export interface Root {
  readonly type: string;
  readonly name: string;
  readonly rootpage: number;
}

/** Most trunk pages of the free list that are looked at: those of some million pages that are free. */
const MAX_TRUNKS = 1_000;
/** Types of a page of a table's tree, and of an index's, which a table without row ids has too. */
const TABLE_PAGES = [5, 13];
const INDEX_PAGES = [2, 10];

/** Returns the damage that is seen, e.g. `'the root of table "users" is page 7, which is no page of a tree'`. */
export function damageIn(file: PageReader, roots: readonly Root[]): string | undefined {
  const header = viewOf(file.read(0, 100));
  const size = header.getUint16(16);
  const pageBytes = size === 1 ? 65_536 : size; // 65,536 does not fit
  const isCounted = header.getUint32(24) === header.getUint32(92); // else an old version wrote it, without a count
  const pages = isCounted ? header.getUint32(28) : Math.floor(file.sizeBytes / pageBytes);
  if (file.sizeBytes < pages * pageBytes) {
    return `it should have ${pages} pages of ${pageBytes} bytes, but the file has ${file.sizeBytes} bytes`;
  }
  const pageAt = (page: number) => viewOf(file.read((page - 1) * pageBytes, pageBytes));
  return damagedRoot(roots, pages, pageAt) ??
    damagedFreeList({ first: header.getUint32(32), count: header.getUint32(36) }, pages, pageAt);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function damagedRoot(
  roots: readonly Root[],
  pages: number,
  pageAt: (page: number) => DataView,
): string | undefined {
  const seen = new Map<number, string>();
  for (const { type, name, rootpage } of roots) {
    const what = `the root of ${type} "${name}" is page ${rootpage}`;
    if (rootpage < 2 || rootpage > pages) return `${what} of ${pages}`;
    const other = seen.get(rootpage);
    if (other !== undefined) return `${what}, and so is that of "${other}"`;
    seen.set(rootpage, name);
    const pageType = pageAt(rootpage).getUint8(0);
    const isTree = INDEX_PAGES.includes(pageType) || (type !== "index" && TABLE_PAGES.includes(pageType));
    if (!isTree) return `${what}, which is no page of a tree`;
  }
  return undefined;
}

function damagedFreeList(
  { first, count }: { readonly first: number; readonly count: number },
  pages: number,
  pageAt: (page: number) => DataView,
): string | undefined {
  const trunks = new Set<number>();
  let found = 0;
  for (let trunk = first; trunk !== 0;) {
    if (trunk < 2 || trunk > pages) return `its free list leads to page ${trunk} of ${pages}`;
    if (trunks.has(trunk)) return `its free list leads back to page ${trunk}`;
    if (trunks.size === MAX_TRUNKS) return undefined;
    trunks.add(trunk);
    const page = pageAt(trunk);
    const leaves = page.getUint32(4);
    if (leaves > page.byteLength / 4 - 2) return `its free list has a page ${trunk} with ${leaves} entries`;
    for (let at = 0; at < leaves; at++) {
      const leaf = page.getUint32(8 + 4 * at);
      if (leaf < 2 || leaf > pages) return `its free list has page ${leaf} of ${pages}`;
    }
    found += 1 + leaves;
    if (found > count) break;
    trunk = page.getUint32(0);
  }
  return found === count
    ? undefined
    : `its free list has ${found}${found > count ? " or more" : ""} pages, not ${count}`;
}
