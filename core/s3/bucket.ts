/**
 * A bucket: a directory of files that an application writes as it likes, and beside them, hidden, what came through S3.
 * Docs: docs/storage.md, "How a local bucket looks".
 *
 * @module
 */
import * as fs from "node:fs";
import { dirname, join } from "node:path";
import { S3Error } from "./error.ts";
import { isAbsent, type Meta, type Opened, openObject, openPlain, writeObject } from "./files.ts";
import { OBJECTS, STORE } from "./layout.ts";
import { MAX_KEY_BYTES, pathOfKey, plainPathOfKey } from "./keys.ts";

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

  /** Opens an object, which must be there. */
  need(key: string): Opened {
    const found = this.open(key);
    if (found !== undefined) return found;
    throw new S3Error("NoSuchKey", "The specified key does not exist.", { Key: key });
  }

  #openStored(key: string): Opened | undefined {
    const path = join(this.objects, pathOfKey(key));
    return isFree(path) ? openObject(path) : undefined;
  }

  #plain(key: string): string | undefined {
    const relative = plainPathOfKey(key, STORE);
    if (relative === undefined) return undefined;
    const path = join(this.root, relative);
    return isFree(path) ? path : undefined;
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
          fs.renameSync(temporary, path);
          break;
        } catch (error) {
          if (!isAbsent(error) || attempt === 3 || !fs.existsSync(this.root)) throw error;
          fs.mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
        }
      }
    } catch (error) {
      fs.rmSync(temporary, { force: true });
      throw error;
    }
    const plain = this.#plain(key);
    if (plain !== undefined) fs.rmSync(plain); // it would hide the new object
  }

  /** Removes an object, however it came; gone already is success. */
  delete(key: string, condition?: Condition): void {
    checkKey(key);
    this.#check(key, condition);
    const path = join(this.objects, pathOfKey(key));
    fs.rmSync(path, { force: true });
    this.#prune(dirname(path));
    const plain = this.#plain(key);
    if (plain !== undefined && fs.lstatSync(plain).isFile()) fs.rmSync(plain);
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
    if (!fs.existsSync(directory)) {
      try {
        for (const path of [dirname(directory), directory]) fs.existsSync(path) || fs.mkdirSync(path, 0o700);
      } catch (error) {
        if (!isAbsent(error)) throw error;
        throw new S3Error("NoSuchBucket", "The specified bucket does not exist", { BucketName: this.name });
      }
    }
    if (name === "tmp" && !swept.has(directory)) {
      swept.add(directory);
      sweep(directory);
    }
    return directory;
  }
}

const swept = new Set<string>();

/** Removes what servers that died left behind; another one may be at work. */
function sweep(directory: string): void {
  for (const name of fs.readdirSync(directory)) {
    const path = join(directory, name);
    if (Date.now() - fs.statSync(path).mtimeMs > LEFTOVER_MS) fs.rmSync(path, { recursive: true, force: true });
  }
}

/** Whether something is at the path, and no link on the way to it: none may lead out of the bucket. */
function isFree(path: string): boolean {
  if (!fs.existsSync(path)) return false; // mostly: without an error being made
  try {
    return fs.realpathSync.native(path) === path;
  } catch (error) {
    if (isAbsent(error) || (error as { code?: string }).code === "ELOOP") return false;
    throw error;
  }
}

/** Refuses a key that S3 refuses. */
export function checkKey(key: string): void {
  if (key.length * 3 <= MAX_KEY_BYTES) return;
  const size = new TextEncoder().encode(key).length;
  if (size <= MAX_KEY_BYTES) return;
  throw new S3Error("KeyTooLongError", "Your key is too long", {
    Size: String(size),
    MaxSizeAllowed: String(MAX_KEY_BYTES),
  });
}
