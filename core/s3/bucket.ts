/**
 * A bucket: a directory of files that an application writes as it likes, and beside them, hidden, what came through S3.
 * Docs: docs/storage.md, "How a local bucket looks".
 *
 * @module
 */
import * as fs from "node:fs";
import { dirname, join } from "node:path";
import { S3Error } from "./error.ts";
import { type Meta, type Opened, openObject, openPlain, writeObject } from "./files.ts";
import { OBJECTS, STORE } from "./layout.ts";
import { MAX_KEY_BYTES, pathOfKey, plainPathOfKey } from "./keys.ts";
import { isAbsent, isReal, linked, makeReal, statOf } from "./paths.ts";

const LEFTOVER_MS = 24 * 3_600_000;

/** What must be true of a key at the moment in which it changes. */
export type Condition = (current: Opened | undefined) => void;

/** One bucket. */
export class Bucket {
  /** Its directory, free of links. */
  readonly root: string;
  readonly name: string;

  constructor(name: string, root: string) {
    this.name = name;
    this.root = root;
  }

  /** A directory of the store, be it there or not. */
  path(name: typeof OBJECTS | "tmp" | "uploads"): string {
    return join(this.root, STORE, name);
  }

  get objects(): string {
    return this.path(OBJECTS);
  }

  /** Opens an object. A file that an application wrote itself is newer than what came through S3: see `commit`. */
  open(key: string): Opened | undefined {
    const plain = this.#plain(key);
    return (plain === undefined ? undefined : openPlain(plain)) ?? this.#openStored(key);
  }

  /** As `open`, without what is damaged. */
  openWhole(key: string): Opened | undefined {
    try {
      return this.open(key);
    } catch (error) {
      if (error instanceof S3Error) return undefined;
      throw error;
    }
  }

  /** Opens an object, which must be there. */
  need(key: string): Opened {
    const found = this.open(key);
    if (found !== undefined) return found;
    throw new S3Error("NoSuchKey", "The specified key does not exist.", { Key: key });
  }

  #openStored(key: string): Opened | undefined {
    return openObject(join(this.objects, pathOfKey(key)));
  }

  #plain(key: string): string | undefined {
    const relative = plainPathOfKey(key, STORE);
    return relative === undefined ? undefined : join(this.root, relative);
  }

  /** Removes the file that an application wrote by itself, which would hide the object; nothing else of its. */
  #removePlain(key: string): void {
    const plain = this.#plain(key);
    if (plain !== undefined && isReal(plain) && statOf(plain)?.isFile()) fs.rmSync(plain, { force: true });
  }

  /** Writes an object and gives it its key in one step, if `condition` still lets it then. */
  async put(
    key: string,
    bytes: AsyncIterable<Uint8Array>,
    metaOf: (sizeBytes: number) => Meta,
    condition?: Condition,
  ): Promise<{ meta: Meta; sizeBytes: number }> {
    checkKey(key);
    const temporary = this.temporary();
    const written = await writeObject(temporary, bytes, metaOf);
    this.commit(temporary, key, condition);
    return written;
  }

  /** Gives a file that was written the key. Nothing else of this process runs between its first and its last call. */
  commit(temporary: string, key: string, condition?: Condition): void {
    try {
      this.#check(key, condition);
      const path = join(this.objects, pathOfKey(key));
      for (let attempt = 1;; attempt++) {
        try {
          this.#make(dirname(path));
          fs.renameSync(temporary, path);
          break;
        } catch (error) {
          if (!isAbsent(error) || attempt === 3) throw error; // another process may remove an empty directory
        }
      }
      if (!isReal(path)) throw linked(key);
    } catch (error) {
      fs.rmSync(temporary, { force: true });
      throw error;
    }
    this.#removePlain(key);
  }

  /** Removes an object, however it came; gone already is success. */
  delete(key: string, condition?: Condition): void {
    checkKey(key);
    this.#check(key, condition);
    const path = join(this.objects, pathOfKey(key));
    if (isReal(path) && statOf(path)?.isFile()) {
      fs.rmSync(path, { force: true });
      this.#prune(dirname(path));
    }
    this.#removePlain(key);
  }

  /** Removes directories of the store that hold nothing more. */
  #prune(directory: string): void {
    for (let at = directory; at.startsWith(this.objects) && at !== this.objects; at = dirname(at)) {
      try {
        fs.rmdirSync(at);
      } catch (error) {
        if (isAbsent(error)) continue;
        return; // something is in it
      }
    }
  }

  #check(key: string, condition: Condition | undefined): void {
    if (condition === undefined) return;
    using current = this.open(key);
    condition(current);
  }

  /** A path for what is not whole yet, which no fork takes along. */
  temporary(): string {
    return join(this.workshop("tmp"), crypto.randomUUID());
  }

  /** A directory of the store, made where it is not there; never the bucket itself, which may be deleted by now. */
  workshop(name: "tmp" | "uploads"): string {
    const directory = this.path(name);
    this.#make(directory);
    if (name === "tmp" && !swept.has(directory)) {
      swept.add(directory);
      sweep(directory);
    }
    return directory;
  }

  #make(directory: string): void {
    try {
      makeReal(this.root, directory);
    } catch (error) {
      if (!isAbsent(error) || fs.existsSync(this.root)) throw error;
      throw new S3Error("NoSuchBucket", "The specified bucket does not exist", { BucketName: this.name });
    }
  }
}

const swept = new Set<string>();

/** Removes what servers that died left behind; another one may be at work. */
function sweep(directory: string): void {
  for (const name of fs.readdirSync(directory)) {
    const path = join(directory, name);
    if ((statOf(path)?.mtimeMs ?? Infinity) < Date.now() - LEFTOVER_MS) {
      fs.rmSync(path, { recursive: true, force: true });
    }
  }
}

/** Refuses a key that S3 refuses. */
export function checkKey(key: string): void {
  if (!key.isWellFormed()) throw new S3Error("InvalidArgument", "A key must be text in UTF-8");
  if (key.length * 3 <= MAX_KEY_BYTES) return;
  const size = new TextEncoder().encode(key).length;
  if (size <= MAX_KEY_BYTES) return;
  throw new S3Error("KeyTooLongError", "Your key is too long", {
    Size: String(size),
    MaxSizeAllowed: String(MAX_KEY_BYTES),
  });
}
