/**
 * An object as one file: its bytes, then what is known of it, then how long that is. One file, so that an object and its
 * metadata change in one step, and are forked in one. It is written once, under a temporary name, mode 0444; from then on
 * it is only renamed, linked and removed.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import * as fs from "node:fs";
import { promisify } from "node:util";
import type { Checksum } from "./body.ts";

/** What is known of an object beside its bytes. */
export interface Meta {
  /** Without its quotes. */
  readonly etag: string;
  /** Milliseconds since 1970. */
  readonly modifiedAt: number;
  /** Those of the headers of the upload that come back with the object. */
  readonly headers: Readonly<Record<string, string>>;
  readonly tags?: readonly (readonly [key: string, value: string])[];
  readonly checksum?: Checksum;
  /** The parts' sizes, of an object that came in parts. */
  readonly parts?: readonly number[];
}

/** An object that was opened. */
export interface Opened extends Disposable {
  readonly meta: Meta;
  readonly sizeBytes: number;
  /** Its bytes from `start` up to, not including, `end`; closes it once they are read. */
  read(start: number, end: number): Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array>;
  /** As `read`, for a response whose `content-length` says how many they are: what comes after `end` is not sent. */
  send(start: number, end: number): Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array>;
}

const MAGIC = Buffer.from("fks3obj1"); // an upload of the same bytes is no danger: only what this server wrote is read so
const TRAILER_BYTES = MAGIC.length + 4;
const TAIL_BYTES = 16 * 1024; // a small object comes with its metadata in one read
const PIECE_BYTES = 2 ** 20;

const readAsync = promisify(fs.read);
const deno = (globalThis as { Deno?: typeof Deno }).Deno;

/** Opens an object's file; `undefined` if there is none, or something else than a file. */
export function openObject(path: string): Opened | undefined {
  return opened(path, (fd, { size }) => {
    const tail = readTail(fd, size, TAIL_BYTES);
    const length = trailerOf(tail);
    if (length === undefined || length + TRAILER_BYTES > size) {
      throw new Error(`"${path}" is not an object of this server`);
    }
    const whole = length + TRAILER_BYTES <= tail.length ? tail : readTail(fd, size, length + TRAILER_BYTES);
    const end = whole.length - TRAILER_BYTES;
    const meta = JSON.parse(whole.subarray(end - length, end).toString()) as Meta;
    const sizeBytes = size - length - TRAILER_BYTES;
    return { meta, sizeBytes, bytes: size <= tail.length ? tail.subarray(0, sizeBytes) : undefined };
  });
}

/** Opens a file that an application wrote by itself. Its ETag is no MD5, which the `-` says. */
export function openPlain(path: string): Opened | undefined {
  return opened(path, (_fd, { size, mtimeMs, ino }) => {
    const etag = `${Math.floor(mtimeMs).toString(16).padStart(16, "0")}${
      (ino ^ size).toString(16).padStart(16, "0")
    }-1`;
    return { meta: { etag, modifiedAt: Math.floor(mtimeMs), headers: {} }, sizeBytes: size, bytes: undefined };
  });
}

interface Parsed {
  readonly meta: Meta;
  readonly sizeBytes: number;
  readonly bytes: Buffer<ArrayBuffer> | undefined;
}

function opened(path: string, parse: (fd: number, stat: fs.Stats) => Parsed): Opened | undefined {
  let fd: number;
  try {
    fd = fs.openSync(path, "r");
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
  let isOpen = true;
  const close = () => {
    if (isOpen) fs.closeSync(fd);
    isOpen = false;
  };
  try {
    const stat = fs.fstatSync(fd);
    if (!stat.isFile()) {
      close();
      return undefined;
    }
    const { meta, sizeBytes, bytes } = parse(fd, stat);
    if (bytes !== undefined) close();
    const read: Opened["read"] = (start, end) => bytes?.subarray(start, end) ?? streamOf(fd, start, end, close);
    return {
      meta,
      sizeBytes,
      read,
      send(start, end) {
        const file = bytes === undefined && end - start > PIECE_BYTES ? denoFile(path, stat) : undefined;
        if (file === undefined) return read(start, end);
        close();
        file.seekSync(start, 0);
        return file.readable;
      },
      [Symbol.dispose]: close,
    };
  } catch (error) {
    close();
    throw error;
  }
}

/**
 * The same file as Deno's server sends it by itself, up to the response's length, in three quarters of the time; if it is
 * still the same that is at the path.
 */
function denoFile(path: string, { dev, ino }: fs.Stats): Deno.FsFile | undefined {
  if (deno === undefined || !fs.existsSync(path)) return undefined; // it may be deleted by now
  const file = deno.openSync(path);
  const now = file.statSync();
  if (now.ino === ino && now.dev === dev) return file;
  file.close();
  return undefined;
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

/** A part of an open file; closes it at the end, or when nobody wants more. */
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

/** Writes an object under a temporary name; on any failure nothing stays there. Gives the bytes' number. */
export async function writeObject(
  path: string,
  bytes: AsyncIterable<Uint8Array>,
  metaOf: (sizeBytes: number) => Meta,
): Promise<{ meta: Meta; sizeBytes: number }> {
  const fd = fs.openSync(path, "wx", 0o444);
  let isOpen = true;
  try {
    let sizeBytes = 0;
    let held: Uint8Array[] = [], heldBytes = 0; // a small object is one write with its metadata
    for await (const piece of bytes) {
      sizeBytes += piece.length;
      held.push(piece);
      heldBytes += piece.length;
      if (heldBytes < PIECE_BYTES) continue;
      for (const one of held) writeAll(fd, one);
      [held, heldBytes] = [[], 0];
    }
    const meta = metaOf(sizeBytes);
    writeAll(fd, Buffer.concat([...held, footerOf(meta)]));
    fs.closeSync(fd);
    isOpen = false;
    return { meta, sizeBytes };
  } catch (error) {
    if (isOpen) fs.closeSync(fd);
    fs.rmSync(path, { force: true });
    throw error;
  }
}

/** A hop to another thread would cost more than a call for so few bytes. */
function writeAll(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += fs.writeSync(fd, bytes, at, bytes.length - at);
}

function footerOf(meta: Meta): Buffer {
  const json = Buffer.from(JSON.stringify(meta));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(json.length);
  return Buffer.concat([json, length, MAGIC]);
}

/** Nothing is there. */
export function isAbsent(error: unknown): boolean {
  return /^(ENOENT|ENOTDIR|ENAMETOOLONG)$/.test((error as { code?: string }).code ?? "");
}
