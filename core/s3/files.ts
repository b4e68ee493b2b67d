/**
 * An object as one file: its bytes, then its metadata, then their length. One file, so that an object and its metadata
 * change and are forked in one step. It is written once, under a temporary name, mode 0444; after that it is only
 * renamed, linked and removed.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import * as fs from "node:fs";
import { promisify } from "node:util";
import { type Checksum, CHECKSUMS } from "./checksums.ts";
import { S3Error } from "./error.ts";
import { isKept } from "./headers.ts";
import { openReal } from "./paths.ts";

/** The metadata of an object. */
export interface Meta {
  /** The ETag without its quotes. */
  readonly etag: string;
  /** Time of the last change, in milliseconds since 1970. */
  readonly modifiedAt: number;
  /** Headers of the upload that are returned with the object. */
  readonly headers: Readonly<Record<string, string>>;
  readonly tags?: readonly (readonly [key: string, value: string])[];
  readonly checksum?: Checksum;
  /** Sizes of the parts in bytes, for an object that was uploaded in parts. */
  readonly parts?: readonly number[];
  /** Checksums of the parts, of the object's own algorithm. */
  readonly partChecksums?: readonly string[];
  /** Id of the upload in parts: the request that completed it may come once more. */
  readonly uploadId?: string;
  /** The place of a part's bytes in another file, if they are in one. */
  readonly place?: { readonly offset: number; readonly sizeBytes: number };
}

/** An open object. */
export interface Opened extends Disposable {
  readonly meta: Meta;
  readonly sizeBytes: number;
  /** Reads the bytes from `start` to `end` (exclusive); closes the object afterwards. */
  read(start: number, end: number): Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array>;
  /** Reads the same piece by piece; without a range all of it. */
  bytes(start?: number, end?: number): AsyncIterable<Uint8Array>;
}

const MAGIC = Buffer.from("fks3obj1"); // an upload of the same bytes is no danger: only what this server wrote is read so
const TRAILER_BYTES = MAGIC.length + 4;
const TAIL_BYTES = 16 * 1024; // a small object comes with its metadata in one read
const PIECE_BYTES = 2 ** 20;
const MAX_META_BYTES = 2 ** 20; // 10,000 parts

const readAsync = promisify(fs.read);
const { O_WRONLY, O_NOFOLLOW = 0 } = fs.constants; // Windows has but the first

/** Opens an object's file; `undefined` if there is none, or if it is not a regular file. Throws if it is damaged. */
export function openObject(path: string): Opened | undefined {
  return opened(path, (fd, { size }) => {
    const tail = readTail(fd, size, TAIL_BYTES);
    const length = trailerOf(tail);
    if (length === undefined || length > MAX_META_BYTES || length + TRAILER_BYTES > size) throw damaged();
    const whole = length + TRAILER_BYTES <= tail.length ? tail : readTail(fd, size, length + TRAILER_BYTES);
    const end = whole.length - TRAILER_BYTES;
    const meta = metaOfText(whole.subarray(end - length, end).toString());
    const sizeBytes = size - length - TRAILER_BYTES;
    return { meta, sizeBytes, bytes: size <= tail.length ? tail.subarray(0, sizeBytes) : undefined };
  });
}

/** The error for a file that this server did not write. */
function damaged(): S3Error {
  return new S3Error("InvalidRequest", "The object's file is damaged: it is not what this server wrote");
}

/** Parses the metadata of an object. The file may come from anywhere, so everything is checked. */
function metaOfText(text: string): Meta {
  try {
    const meta = JSON.parse(text) as Meta;
    const { etag, modifiedAt, parts = [], checksum, partChecksums, place } = meta;
    const isWell = /^[0-9a-f]{32}(-\d{1,5})?$/.test(etag) && isEpochMs(modifiedAt) && isDescription(meta) &&
      isChecksum(checksum) && parts.every((size) => Number.isSafeInteger(size) && size >= 0) &&
      (partChecksums === undefined || partChecksums.length === parts.length && partChecksums.every(isDigest)) &&
      (place === undefined || [place.offset, place.sizeBytes].every((one) => Number.isSafeInteger(one) && one >= 0));
    if (isWell) return meta;
  } catch {
    // said below
  }
  throw damaged();
}

/** Returns true if an upload could have these headers and tags. */
export function isDescription({ headers, tags = [] }: Pick<Meta, "headers" | "tags">): boolean {
  return Object.entries(headers).every(([name, value]) => isKept(name, value)) &&
    tags.every((tag) => tag.length === 2 && tag.every((one) => typeof one === "string"));
}

function isChecksum(checksum: Checksum | undefined): boolean {
  if (checksum === undefined) return true;
  const { algorithm, value, type } = checksum;
  return Object.hasOwn(CHECKSUMS, algorithm) && isDigest(value) && /^(FULL_OBJECT|COMPOSITE)$/.test(type);
}

function isDigest(value: unknown): boolean {
  return typeof value === "string" && /^[A-Za-z0-9+/]{1,86}={0,2}(-\d{1,5})?$/.test(value);
}

const LAST_INSTANT = Date.UTC(9999, 11, 31); // beyond, dates are written in another way

/** Returns true if a value is a valid time in milliseconds. */
export function isEpochMs(at: unknown): at is number {
  return Number.isInteger(at) && at as number >= 0 && at as number <= LAST_INSTANT;
}

/** Opens a part of a file as an object; `undefined` if there is no such file. Throws if it is shorter. */
export function openRange(
  path: string,
  meta: Meta,
  { offset, sizeBytes }: { readonly offset: number; readonly sizeBytes: number },
): Opened | undefined {
  return opened(path, (_fd, { size }) => {
    if (offset + sizeBytes > size) throw damaged();
    return { meta, sizeBytes, bytes: undefined, offset };
  });
}

/** Opens a file that an application wrote. Its ETag contains a `-`, since it is no MD5. */
export function openPlain(path: string): Opened | undefined {
  return opened(path, (_fd, { size, mtimeMs, ino }) => {
    const etag = `${Math.floor(mtimeMs).toString(16).padStart(16, "0")}${
      (ino ^ size).toString(16).padStart(16, "0")
    }-1`;
    const modifiedAt = Math.min(Math.max(Math.floor(mtimeMs), 0), LAST_INSTANT);
    return { meta: { etag, modifiedAt, headers: {} }, sizeBytes: size, bytes: undefined };
  });
}

interface Parsed {
  readonly meta: Meta;
  readonly sizeBytes: number;
  readonly bytes: Buffer<ArrayBuffer> | undefined;
  /** The object's first byte in its file. @default {0} */
  readonly offset?: number;
}

function opened(path: string, parse: (fd: number, stat: fs.Stats) => Parsed): Opened | undefined {
  const file = openReal(path);
  if (file === undefined) return undefined;
  const { fd, stat } = file;
  let isOpen = true;
  const close = () => {
    if (isOpen) fs.closeSync(fd);
    isOpen = false;
  };
  try {
    const { meta, sizeBytes, bytes, offset = 0 } = parse(fd, stat);
    if (bytes !== undefined) close();
    const read = (start: number, end: number) =>
      bytes?.subarray(start, end) ?? streamOf(fd, offset + start, offset + end, close);
    return {
      meta,
      sizeBytes,
      read,
      async *bytes(start = 0, end = sizeBytes) {
        const piece = read(start, end);
        yield* piece instanceof Uint8Array ? [piece] : piece;
      },
      [Symbol.dispose]: close,
    };
  } catch (error) {
    close();
    throw error;
  }
}

function readTail(fd: number, size: number, wanted: number): Buffer<ArrayBuffer> {
  const tail = Buffer.allocUnsafeSlow(Math.min(size, wanted));
  for (let at = 0; at < tail.length;) {
    const count = fs.readSync(fd, tail, at, tail.length - at, size - tail.length + at);
    if (count === 0) throw new Error("The file became shorter while it was read");
    at += count;
  }
  return tail;
}

function trailerOf(tail: Buffer): number | undefined {
  if (tail.length < TRAILER_BYTES || !tail.subarray(-MAGIC.length).equals(MAGIC)) return undefined;
  return tail.readUInt32BE(tail.length - TRAILER_BYTES);
}

/** Streams a part of an open file; closes it at the end, or when the reader stops. */
function streamOf(fd: number, start: number, end: number, close: () => void): ReadableStream<Uint8Array> {
  let at = start;
  return new ReadableStream({
    async pull(controller) {
      try {
        const buffer = new Uint8Array(Math.min(PIECE_BYTES, end - at));
        const { bytesRead } = buffer.length === 0
          ? { bytesRead: 0 }
          : await readAsync(fd, buffer, 0, buffer.length, at);
        if (bytesRead === 0 && at < end) throw new Error("The file became shorter while it was read");
        at += bytesRead;
        if (bytesRead > 0) controller.enqueue(buffer.subarray(0, bytesRead));
        if (at < end) return;
        close();
        controller.close();
      } catch (error) {
        close();
        controller.error(error);
      }
    },
    cancel: close,
  }, { highWaterMark: 0 });
}

/** Writes an object under a temporary name, and removes it on any failure. Returns the number of bytes. */
export async function writeObject(
  path: string,
  bytes: AsyncIterable<Uint8Array>,
  metaOf: (sizeBytes: number) => Meta,
): Promise<{ meta: Meta; sizeBytes: number }> {
  const fd = fs.openSync(path, "wx", 0o444);
  let isOpen = true;
  try {
    const { sizeBytes, rest } = await writePieces(fd, bytes, 0);
    const meta = metaOf(sizeBytes); // a small object is one write with it
    const last = Buffer.concat([...rest, footerOf(meta)]);
    writeAll(fd, last, sizeBytes - rest.reduce((sum, { length }) => sum + length, 0));
    fs.closeSync(fd);
    isOpen = false;
    return { meta, sizeBytes };
  } catch (error) {
    if (isOpen) fs.closeSync(fd);
    fs.rmSync(path, { force: true });
    throw error;
  }
}

/** Writes bytes to a place in a file that exists; what is around them stays. */
export async function writeRange(path: string, offset: number, bytes: AsyncIterable<Uint8Array>): Promise<void> {
  const fd = fs.openSync(path, O_WRONLY | O_NOFOLLOW);
  try {
    const { sizeBytes, rest } = await writePieces(fd, bytes, offset);
    const left = Buffer.concat(rest);
    writeAll(fd, left, offset + sizeBytes - left.length);
  } finally {
    fs.closeSync(fd);
  }
}

/** Makes an object of a file with its bytes, in place. */
export function finishObject(path: string, sizeBytes: number, meta: Meta): void {
  const fd = fs.openSync(path, O_WRONLY | O_NOFOLLOW);
  try {
    fs.ftruncateSync(fd, sizeBytes);
    writeAll(fd, footerOf(meta), sizeBytes);
    fs.fchmodSync(fd, 0o444);
  } finally {
    fs.closeSync(fd);
  }
}

/** Writes bytes in few calls, from `offset` on; returns how many came, and the last of them, still to be written. */
async function writePieces(
  fd: number,
  bytes: AsyncIterable<Uint8Array>,
  offset: number,
): Promise<{ sizeBytes: number; rest: Uint8Array[] }> {
  let sizeBytes = 0;
  let rest: Uint8Array[] = [], restBytes = 0;
  for await (const piece of bytes) {
    sizeBytes += piece.length;
    rest.push(piece);
    restBytes += piece.length;
    if (restBytes < PIECE_BYTES) continue;
    let at = offset + sizeBytes - restBytes;
    for (const one of rest) {
      writeAll(fd, one, at);
      at += one.length;
    }
    [rest, restBytes] = [[], 0];
  }
  return { sizeBytes, rest };
}

/** Writes synchronously: a switch to another thread would cost more than the call for so few bytes. */
function writeAll(fd: number, bytes: Uint8Array, position: number): void {
  for (let at = 0; at < bytes.length;) at += fs.writeSync(fd, bytes, at, bytes.length - at, position + at);
}

function footerOf(meta: Meta): Buffer {
  const json = Buffer.from(JSON.stringify(meta));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(json.length);
  return Buffer.concat([json, length, MAGIC]);
}
