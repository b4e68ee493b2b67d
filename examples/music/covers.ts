/**
 * The bucket: one object for each cover, `covers/<album id>`, in the current environment's directory of objects.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { ForkstackError, getCurrentEnv, getStorageConfig } from "../../mod.ts";

export interface Cover {
  readonly type: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

// The type is kept in the bytes themselves; there is no second object with metadata that could disagree. SVG is not in
// the list: it can hold scripts.
const SIGNATURES: readonly (readonly [type: string, start: RegExp])[] = [
  ["image/png", /^\x89PNG\r\n.\n/],
  ["image/jpeg", /^\xff\xd8\xff/],
  ["image/gif", /^GIF8[79]a/],
  ["image/webp", /^RIFF[^]{4}WEBP/],
];

/** The types that a cover may have. */
export const COVER_TYPES: readonly string[] = SIGNATURES.map(([type]) => type);

/** What the first bytes say an image is. */
export function imageTypeOf(bytes: Uint8Array): string | undefined {
  const start = String.fromCharCode(...bytes.subarray(0, 12));
  return SIGNATURES.find(([, signature]) => signature.test(start))?.[0];
}

/** The environment's directory of objects, e.g. `"/app/.forkstack/buckets/music-bucket-alice"`. */
export function bucketPath(): string {
  const { path } = getStorageConfig();
  if (path !== undefined) return path;
  throw new ForkstackError("CONFIG_INVALID", 'Cannot open the bucket: this example needs provider "local"');
}

/** What the app asks of the bucket. */
export class Covers {
  readonly #bucket: string;

  constructor() {
    this.#bucket = bucketPath();
    if (existsSync(this.#bucket)) return;
    const env = getCurrentEnv();
    throw new ForkstackError("NOT_FOUND", `Cannot open the bucket of environment "${env}": there is no directory`, {
      hint: env === "dev" ? "Run `deno task setup`" : `Run \`deno task envs:new ${env}\``,
      details: { env, resource: "storage" },
    });
  }

  /** The albums that have a cover. */
  albumIds(): Set<number> {
    const folder = dirname(this.#pathOf(1));
    if (!existsSync(folder)) return new Set();
    return new Set(readdirSync(folder).filter((name) => /^\d+$/.test(name)).map(Number));
  }

  get(albumId: number): Cover | undefined {
    const path = this.#pathOf(albumId);
    if (!existsSync(path)) return undefined;
    const bytes = new Uint8Array(readFileSync(path));
    return { bytes, type: imageTypeOf(bytes) ?? "application/octet-stream" };
  }

  /** Puts a cover in place whole: a reader, or a fork made meanwhile, sees the old one or the new one. */
  put(albumId: number, bytes: Uint8Array): "created" | "replaced" {
    const path = this.#pathOf(albumId);
    const done = existsSync(path) ? "replaced" : "created";
    const temporary = `${path}.${process.pid}.tmp`;
    mkdirSync(dirname(path), { recursive: true });
    try {
      writeFileSync(temporary, bytes);
      renameSync(temporary, path);
    } catch (error) {
      rmSync(temporary, { force: true });
      throw error;
    }
    return done;
  }

  /** A key is made of a number and nothing else, so that no request can name a file outside the bucket. */
  #pathOf(albumId: number): string {
    if (!Number.isSafeInteger(albumId) || albumId < 1) throw new RangeError(`${albumId} is not an album's id`);
    return join(this.#bucket, "covers", String(albumId));
  }
}
