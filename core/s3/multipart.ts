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
import { assemble, endAssembly, type NumberedPart, openPart, placePart } from "./assembly.ts";
import type { Body } from "./body.ts";
import { type Bucket, checkKey, type Condition } from "./bucket.ts";
import { type Checksum, CHECKSUMS, type StatedChecksum } from "./checksums.ts";
import { S3Error } from "./error.ts";
import { isDescription, isEpochMs, type Meta, type Opened, writeObject } from "./files.ts";
import { joinedChecksum } from "./joined_checksum.ts";
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

/** A part that the last request names. */
export interface NamedPart {
  readonly number: number;
  /** Without its quotes. */
  readonly etag: string;
  readonly checksums: readonly Pick<Checksum, "algorithm" | "value">[];
}

/** An upload with the directory of its parts. */
export type FoundUpload = Upload & { readonly id: string; readonly directory: string };

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
export function needUpload(bucket: Bucket, key: string, id: string): FoundUpload {
  const directory = join(bucket.path("uploads"), id);
  const upload = ID.test(id) ? readNote(directory) : undefined;
  if (upload?.key === key) return { ...upload, id, directory };
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
  body: Pick<Body, "bytes" | "md5" | "checksum"> & Partial<Pick<Body, "expectedBytes">>,
  now: Date,
): Promise<Meta> {
  const place = await placePart(directory, number, body);
  const temporary = bucket.temporary();
  const { meta } = await writeObject(temporary, place === undefined ? body.bytes : nothing(), () => ({
    etag: body.md5(),
    modifiedAt: now.getTime(),
    headers: {},
    checksum: body.checksum(),
    place,
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

async function* nothing(): AsyncGenerator<Uint8Array> {}

/** Lists the uploaded parts, in order. */
export function uploadParts(directory: string): NumberedPart[] {
  const names = isReal(directory) ? fs.readdirSync(directory) : [];
  const numbers = names.filter((name) => partNumberOf(name) !== undefined).map(Number).sort((a, b) => a - b);
  return numbers.flatMap((number) => {
    using part = openPart(directory, number);
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
  endAssembly(directory);
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

/** The last request of an upload in parts. */
export interface Completion {
  readonly named: readonly NamedPart[];
  readonly now: Date;
  readonly condition: Condition;
  /** The object's checksum, as the request states it. */
  readonly stated: StatedChecksum | undefined;
  /** The object's size in bytes, as the request states it. */
  readonly statedBytes: number | undefined;
}

/** Creates the object from its parts, and ends the upload. */
export async function completeUpload(bucket: Bucket, upload: FoundUpload, completion: Completion): Promise<Meta> {
  const { named, now, condition, statedBytes } = completion;
  const parts = checkParts(upload, named);
  const sizes = parts.map(({ sizeBytes }) => sizeBytes);
  if (statedBytes !== undefined && statedBytes !== sizes.reduce((sum, size) => sum + size, 0)) {
    throw new S3Error(
      "InvalidRequest",
      "The provided 'x-amz-mp-object-size' header value does not match what was computed",
    );
  }
  const checksum = checksumOf(upload, parts, completion.stated);
  const meta: Meta = {
    etag: etagOfParts(named),
    modifiedAt: now.getTime(),
    headers: upload.headers,
    parts: sizes,
    tags: upload.tags,
    checksum,
    partChecksums: checksum && parts.map(({ meta }) => meta.checksum!.value),
    uploadId: upload.id,
  };
  bucket.check(upload.key, condition); // before anything is copied, and once more afterwards
  if (!await assemble(bucket, upload, { parts, meta, condition })) {
    await bucket.put(upload.key, bytesOfParts(upload.directory, parts), () => meta, condition);
  }
  abortUpload(upload.directory);
  return meta;
}

async function* bytesOfParts(directory: string, parts: readonly NumberedPart[]): AsyncGenerator<Uint8Array> {
  for (const { number } of parts) {
    using part = needPart(directory, number);
    yield* part.bytes();
  }
}

/** Returns the object that this request has made before, if the key still holds it: the answer may have been lost. */
export function completedBefore(
  bucket: Bucket,
  key: string,
  id: string,
  named: readonly NamedPart[],
): Meta | undefined {
  using found = bucket.openWhole(key);
  return found?.meta.uploadId === id && found.meta.etag === etagOfParts(named) ? found.meta : undefined;
}

function etagOfParts(named: readonly NamedPart[]): string {
  const etags = Buffer.concat(named.map(({ etag }) => Buffer.from(etag, "hex")));
  return `${createHash("md5").update(etags).digest("hex")}-${named.length}`;
}

/**
 * Returns the object's checksum: of the kind that the first request asked for, else of the kind that the last one
 * states. Throws if what it states is another.
 */
function checksumOf(
  upload: Upload,
  parts: readonly NumberedPart[],
  stated: StatedChecksum | undefined,
): Checksum | undefined {
  const { algorithm, type = stated?.value.includes("-") ? "COMPOSITE" : "FULL_OBJECT" } = upload.checksum ?? stated ??
    {};
  if (algorithm === undefined) return undefined;
  if (stated !== undefined && (stated.algorithm !== algorithm || (stated.type ?? type) !== type)) {
    throw new S3Error("InvalidRequest", `The upload was created for a checksum ${algorithm} of type ${type}`);
  }
  const lacking = parts.find(({ meta }) => meta.checksum?.algorithm !== algorithm);
  if (lacking !== undefined) {
    const message = `The upload has no checksum ${algorithm} for part ${lacking.number}`;
    throw new S3Error("InvalidRequest", message);
  }
  const joined = joinedChecksum(
    { algorithm, type },
    parts.map(({ sizeBytes, meta }) => ({ value: meta.checksum!.value, sizeBytes })),
  );
  // Some clients leave out how many parts a composite one is of.
  if (stated === undefined || [joined.value, joined.value.split("-")[0]].includes(stated.value)) return joined;
  throw new S3Error("BadDigest", `The ${algorithm} you specified did not match the calculated checksum.`);
}

function needPart(directory: string, number: number): Opened {
  const part = openPart(directory, number);
  if (part === undefined) throw new S3Error("InvalidPart", "One or more of the specified parts could not be found.");
  return part;
}

/** Returns the named parts; throws if one is missing, differs from the request, or is too small. */
function checkParts({ directory }: FoundUpload, named: readonly NamedPart[]): NumberedPart[] {
  if (named.length === 0) throw new S3Error("MalformedXML", "You must specify at least one part");
  if (named.some(({ number }, at) => at > 0 && number <= named[at - 1]!.number)) {
    throw new S3Error("InvalidPartOrder", "The list of parts was not in ascending order.");
  }
  return named.map(({ number, etag, checksums }, at) => {
    using part = needPart(directory, number);
    const { meta, sizeBytes } = part;
    if (meta.etag !== etag) {
      throw new S3Error("InvalidPart", "The part's entity tag might not have matched.", { PartNumber: String(number) });
    }
    if (
      checksums.some(({ algorithm, value }) => meta.checksum?.algorithm !== algorithm || meta.checksum.value !== value)
    ) {
      throw new S3Error("InvalidPart", "The part's checksum did not match.", { PartNumber: String(number) });
    }
    if (at < named.length - 1 && sizeBytes < MIN_PART_BYTES) {
      throw new S3Error("EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size", {
        PartNumber: String(number),
        MinSizeAllowed: String(MIN_PART_BYTES),
      });
    }
    return { number, sizeBytes, meta };
  });
}
