/**
 * Uploads in parts: https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html
 *
 * An upload is a directory of the store with a note about the future object; each part is a file like an object's.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { join } from "node:path";
import type { Body, Checksum } from "./body.ts";
import { type Bucket, checkKey, type Condition } from "./bucket.ts";
import { CHECKSUMS } from "./checksums.ts";
import { S3Error } from "./error.ts";
import { isDescription, isEpochMs, type Meta, type Opened, openObject, writeObject } from "./files.ts";
import { compareKeys } from "./keys.ts";
import { isAbsent, isReal, linked, openReal } from "./paths.ts";

/** The future object of an upload, as the first request described it. */
export interface Upload {
  readonly key: string;
  readonly startedAt: number;
  readonly headers: Meta["headers"];
  readonly tags?: Meta["tags"];
  readonly checksum?: Pick<Checksum, "algorithm" | "type">;
}

/** A part that was uploaded. */
export interface Part {
  readonly number: number;
  readonly sizeBytes: number;
  readonly meta: Meta;
}

/** A part that the last request names. */
export interface NamedPart {
  readonly number: number;
  readonly etag: string;
  readonly checksum?: string;
}

const MIN_PART_BYTES = 5 * 2 ** 20; // but for the last: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
const MAX_PARTS = 10_000;
const NOTE = "upload.json";
const ID = /^[0-9a-f]{32}$/;
const MAX_NOTE_BYTES = 2 ** 17; // headers, tags and a key

/** Begins an upload; returns its id. */
export function beginUpload(bucket: Bucket, upload: Upload): string {
  checkKey(upload.key);
  const id = crypto.randomUUID().replaceAll("-", "");
  const directory = join(bucket.workshop("uploads"), id);
  fs.mkdirSync(directory, 0o700);
  try {
    fs.writeFileSync(join(directory, NOTE), JSON.stringify(upload), { flag: "wx", mode: 0o600 });
  } catch (error) {
    fs.rmSync(directory, { recursive: true, force: true });
    throw error;
  }
  return id;
}

/** Returns an upload; throws `NoSuchUpload` if it does not exist or has another key. */
export function needUpload(bucket: Bucket, key: string, id: string): Upload & { readonly directory: string } {
  const directory = join(bucket.path("uploads"), id);
  const upload = ID.test(id) ? readNote(directory) : undefined;
  if (upload?.key === key) return { ...upload, directory };
  throw new S3Error(
    "NoSuchUpload",
    "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.",
    { UploadId: id },
  );
}

/** Reads the note of an upload; `undefined` if there is none that this server could have written. */
function readNote(directory: string): Upload | undefined {
  const file = openReal(join(directory, NOTE));
  if (file === undefined) return undefined;
  try {
    if (file.stat.size > MAX_NOTE_BYTES) return undefined;
    const upload = JSON.parse(fs.readFileSync(file.fd, "utf8")) as Upload;
    const { algorithm = "CRC32", type = "COMPOSITE" } = upload.checksum ?? {};
    const isWell = typeof upload.key === "string" && isEpochMs(upload.startedAt) && isDescription(upload) &&
      Object.hasOwn(CHECKSUMS, algorithm) && /^(FULL_OBJECT|COMPOSITE)$/.test(type);
    return isWell ? upload : undefined;
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return undefined;
    throw error;
  } finally {
    fs.closeSync(file.fd);
  }
}

/** Writes a part; replaces an earlier one with its number. */
export async function putPart(
  bucket: Bucket,
  { directory, number }: { readonly directory: string; readonly number: number },
  body: Pick<Body, "bytes" | "md5" | "checksum">,
  now: Date,
): Promise<Meta> {
  const temporary = bucket.temporary();
  const { meta } = await writeObject(temporary, body.bytes, () => ({
    etag: body.md5(),
    modifiedAt: now.getTime(),
    headers: {},
    checksum: body.checksum(),
  }));
  try {
    if (fs.existsSync(directory) && !isReal(directory)) throw linked("uploads");
    fs.renameSync(temporary, join(directory, String(number)));
  } catch (error) {
    fs.rmSync(temporary, { force: true });
    if (isAbsent(error)) throw new S3Error("NoSuchUpload", "The upload was aborted or completed meanwhile");
    throw error;
  }
  return meta;
}

/** Lists the uploaded parts, in order. */
export function uploadParts(directory: string): Part[] {
  const names = isReal(directory) ? fs.readdirSync(directory) : [];
  const numbers = names.filter((name) => partNumberOf(name) !== undefined).map(Number).sort((a, b) => a - b);
  return numbers.flatMap((number) => {
    using part = openObject(join(directory, String(number)));
    return part === undefined ? [] : [{ number, sizeBytes: part.sizeBytes, meta: part.meta }];
  });
}

/** Lists the unfinished uploads of a bucket, in the order of keys, then ids. */
export function uploadsOf(bucket: Bucket): { readonly id: string; readonly upload: Upload }[] {
  const directory = bucket.path("uploads");
  const ids = isReal(directory) ? fs.readdirSync(directory).filter((name) => ID.test(name)) : [];
  return ids.flatMap((id) => {
    const upload = readNote(join(directory, id));
    return upload === undefined ? [] : [{ id, upload }];
  }).sort((a, b) => compareKeys(a.upload.key, b.upload.key) || compareKeys(a.id, b.id));
}

/** Removes an upload with its parts. */
export function abortUpload(directory: string): void {
  if (isReal(directory)) fs.rmSync(directory, { recursive: true, force: true });
}

/** Parses a part's number, from 1 to 10,000; `undefined` if the text is none. */
export function partNumberOf(text: string | undefined): number | undefined {
  return /^[1-9]\d{0,4}$/.test(text ?? "") && Number(text) <= MAX_PARTS ? Number(text) : undefined;
}

/** Parses a part's number; throws if the text is none. */
export function needPartNumber(text: string | undefined): number {
  const number = partNumberOf(text);
  if (number !== undefined) return number;
  throw new S3Error("InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive");
}

/** Creates the object from its parts, and ends the upload. */
export async function completeUpload(
  bucket: Bucket,
  upload: Upload & { readonly directory: string },
  { named, now, condition }: {
    readonly named: readonly NamedPart[];
    readonly now: Date;
    readonly condition: Condition;
  },
): Promise<Meta> {
  const paths = checkParts(upload, named);
  const { algorithm, type } = upload.checksum ?? {};
  const whole = algorithm !== undefined && type === "FULL_OBJECT" ? CHECKSUMS[algorithm]() : undefined;
  async function* bytes(): AsyncGenerator<Uint8Array> {
    for (const path of paths) {
      using part = needPart(path);
      const piece = part.read(0, part.sizeBytes);
      for await (const bytes of piece instanceof Uint8Array ? [piece] : piece) {
        whole?.update(bytes);
        yield bytes;
      }
    }
  }
  const metas = paths.map((path) => {
    using part = needPart(path);
    return { ...part.meta, sizeBytes: part.sizeBytes };
  });
  const { meta } = await bucket.put(upload.key, bytes(), () => {
    const etags = Buffer.concat(metas.map(({ etag }) => Buffer.from(etag, "hex")));
    const value = whole?.digest("base64") ?? compositeOf(algorithm, metas.map(({ checksum }) => checksum?.value));
    return {
      etag: `${createHash("md5").update(etags).digest("hex")}-${metas.length}`,
      modifiedAt: now.getTime(),
      headers: upload.headers,
      parts: metas.map(({ sizeBytes }) => sizeBytes),
      tags: upload.tags,
      checksum: value ? { algorithm: algorithm!, value, type: type! } : undefined,
    };
  }, condition);
  abortUpload(upload.directory);
  return meta;
}

/** Returns the checksum of the parts' checksums. */
function compositeOf(algorithm: string | undefined, values: readonly (string | undefined)[]): string | undefined {
  if (algorithm === undefined || values.includes(undefined)) return undefined;
  const digest = CHECKSUMS[algorithm]();
  for (const value of values) digest.update(Buffer.from(value!, "base64"));
  return `${digest.digest("base64")}-${values.length}`;
}

function needPart(path: string): Opened {
  const part = openObject(path);
  if (part === undefined) throw new S3Error("InvalidPart", "One or more of the specified parts could not be found.");
  return part;
}

/** Returns the paths of the named parts; throws if one is missing, differs from the request, or is too small. */
function checkParts(upload: { readonly directory: string }, named: readonly NamedPart[]): string[] {
  if (named.length === 0) throw new S3Error("MalformedXML", "You must specify at least one part");
  if (named.some(({ number }, at) => at > 0 && number <= named[at - 1].number)) {
    throw new S3Error("InvalidPartOrder", "The list of parts was not in ascending order.");
  }
  return named.map(({ number, etag, checksum }, at) => {
    const path = join(upload.directory, String(number));
    using part = needPart(path);
    if (part.meta.etag !== etag.replace(/^"|"$/g, "")) {
      throw new S3Error("InvalidPart", "The part's entity tag might not have matched.", { PartNumber: String(number) });
    }
    if (checksum !== undefined && part.meta.checksum !== undefined && checksum !== part.meta.checksum.value) {
      throw new S3Error("InvalidPart", "The part's checksum did not match.", { PartNumber: String(number) });
    }
    if (at < named.length - 1 && part.sizeBytes < MIN_PART_BYTES) {
      throw new S3Error("EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size", {
        PartNumber: String(number),
        MinSizeAllowed: String(MIN_PART_BYTES),
      });
    }
    return path;
  });
}
