/**
 * A bucket: a directory of files that an application may write directly, with a hidden store of the objects that came
 * through S3. Docs: docs/storage.md, "How a local bucket looks".
 *
 * @module
 */
import * as fs from "node:fs";
import { dirname, join } from "node:path";
import { S3Error } from "./error.ts";
import { type Meta, type Opened, openObject, openPlain, writeObject } from "./files.ts";
import { OBJECTS, STORE } from "./layout.ts";
import { MAX_KEY_BYTES, pathOfKey, plainPathOfKey } from "./keys.ts";
import { isAbsent, isReal, isUnlinked, linked, makeReal, statOf } from "./paths.ts";

const LEFTOVER_MS = 24 * 3_600_000;

/** Checks the present object of a key right before it changes; throws if the change is not allowed. */
export type Condition = (current: Opened | undefined) => void;

/** A bucket of this machine. */
export class Bucket {
  /** Path of its directory, without links. */
  readonly root: string;
  readonly name: string;

  constructor(name: string, root: string) {
    this.name = name;
    this.root = root;
  }

  /** Returns the path of a directory of the store, whether it exists or not. */
  path(name: typeof OBJECTS | "tmp" | "uploads"): string {
    return join(this.root, STORE, name);
  }

  get objects(): string {
    return this.path(OBJECTS);
  }

  /**
   * Opens an object; `undefined` if there is none. A file that an application wrote is newer than an object from S3:
   * see `commit`.
   */
  open(key: string): Opened | undefined {
    const plain = this.#plain(key);
    return (plain === undefined ? undefined : openPlain(plain)) ?? this.#openStored(key);
  }

  /** Opens an object like `open`; `undefined` also for a damaged one. */
  openWhole(key: string): Opened | undefined {
    try {
      return this.open(key);
    } catch (error) {
      if (error instanceof S3Error) return undefined;
      throw error;
    }
  }

  /** Opens an object; throws `NoSuchKey` if there is none. */
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

  /** Removes the file that an application wrote under this key, which would hide the object. */
  #removePlain(key: string): void {
    const plain = this.#plain(key);
    if (plain !== undefined && isReal(plain) && statOf(plain)?.isFile()) fs.rmSync(plain, { force: true });
  }

  /** Writes an object and makes it visible under its key in one step, if `condition` still allows it then. */
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

  /** Gives a temporary file its key. Synchronous, so that no other request of this process runs in between. */
  commit(temporary: string, key: string, condition?: Condition): void {
    try {
      this.check(key, condition);
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
      if (!isUnlinked(path)) throw linked(key);
    } catch (error) {
      fs.rmSync(temporary, { force: true });
      throw error;
    }
    this.#removePlain(key);
  }

  /** Removes an object and an application's file of this key; a missing one is success. */
  delete(key: string, condition?: Condition): void {
    checkKey(key);
    this.check(key, condition);
    const path = join(this.objects, pathOfKey(key));
    if (isReal(path) && statOf(path)?.isFile()) {
      fs.rmSync(path, { force: true });
      this.#prune(dirname(path));
    }
    this.#removePlain(key);
  }

  /** Removes empty directories of the store. */
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

  /** Throws if a condition does not allow the key's object to change. */
  check(key: string, condition: Condition | undefined): void {
    if (condition === undefined) return;
    using current = this.open(key);
    condition(current);
  }

  /** Returns the path for a temporary file, in a directory that no fork copies. */
  temporary(): string {
    return join(this.workshop("tmp"), crypto.randomUUID());
  }

  /**
   * Returns a directory of the store, created if missing; never creates the bucket itself, which may be deleted by now.
   */
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

/** Removes temporary files of servers that died; another server may be running. */
function sweep(directory: string): void {
  for (const name of fs.readdirSync(directory)) {
    const path = join(directory, name);
    if ((statOf(path)?.mtimeMs ?? Infinity) < Date.now() - LEFTOVER_MS) {
      fs.rmSync(path, { recursive: true, force: true });
    }
  }
}

/** Throws for a key that S3 does not accept. */
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
