/**
 * A request to a bucket, and helpers for its answer.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { type Body, requestBody } from "./body.ts";
import type { Bucket } from "./bucket.ts";
import { checksumHeader, CHECKSUMS } from "./checksums.ts";
import { S3Error } from "./error.ts";
import type { Meta, Opened } from "./files.ts";
import { isKept, KEPT, META } from "./headers.ts";
import { instantOfHeader, type Payload } from "./signature.ts";
import { parseXml, type Xml, xmlDocument } from "./xml.ts";

/** A request from a known sender to an existing bucket. */
export interface S3Request {
  readonly method: string;
  readonly bucket: Bucket;
  readonly key: string;
  readonly query: ReadonlyMap<string, string>;
  readonly headers: Headers;
  readonly stream: ReadableStream<Uint8Array> | null;
  readonly payload: Payload;
  readonly region: string;
  /** Origins whose pages may read answers. */
  readonly origins: readonly string[];
  readonly now: Date;
  /** Returns another bucket of the same sender; throws if it is not the sender's, or does not exist. */
  readonly bucketOf: (name: string) => Bucket;
}

/** Returns the body of a request. */
export function bodyOfCall({ headers, stream, payload }: S3Request): Body {
  return requestBody(headers, stream, payload);
}

const MAX_XML_BYTES = 4 * 2 ** 20; // a thousand keys to delete, each of a kilobyte that is escaped

/** Returns the root element of a body of XML. */
export async function xmlOfCall(call: S3Request, root: string): Promise<Record<string, unknown>> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of bodyOfCall(call).bytes) {
    size += piece.length;
    if (size > MAX_XML_BYTES) throw new S3Error("MalformedXML", "The XML you provided is too large");
    pieces.push(piece);
  }
  return parseXml(textOfBytes(Buffer.concat(pieces)), root);
}

function textOfBytes(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new S3Error("MalformedXML", "The XML you provided is not in UTF-8");
  }
}

/** Returns an answer of XML. */
export function xmlResponse(
  root: string,
  content: Xml,
  status = 200,
  headers: Readonly<Record<string, string>> = {},
): Response {
  const bytes = new TextEncoder().encode(xmlDocument(root, content));
  const own = { "content-type": "application/xml", "content-length": String(bytes.length) };
  return new Response(bytes, { status, headers: { ...own, ...headers } });
}

/** Returns an answer without a body. */
export function emptyResponse(status: number, headers: Record<string, string> = {}): Response {
  return new Response(null, { status, headers: status === 204 ? headers : { "content-length": "0", ...headers } });
}

const MAX_META_BYTES = 2048; // https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html

/** Returns the headers of an upload that are stored with the object. */
export function keptHeaders(headers: Headers): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const name of KEPT) {
    const value = headers.get(name);
    if (value !== null && name !== "content-encoding") kept[name] = value;
  }
  const encodings = (headers.get("content-encoding") ?? "").split(",").map((one) => one.trim())
    .filter((one) => one !== "" && one !== "aws-chunked"); // which is how it was sent, not what it is
  if (encodings.length > 0) kept["content-encoding"] = encodings.join(",");
  let size = 0;
  for (const [name, value] of headers) {
    if (!name.startsWith(META)) continue;
    if (!isKept(name, value)) throw new S3Error("InvalidArgument", "Metadata must be named", { ArgumentName: name });
    kept[name] = value;
    size += name.length - META.length + value.length;
  }
  if (size > MAX_META_BYTES) {
    throw new S3Error("MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size");
  }
  return kept;
}

/** Returns the headers that describe an object. */
export function objectHeaders({ meta, sizeBytes }: Pick<Opened, "meta" | "sizeBytes">): Record<string, string> {
  const headers: Record<string, string> = {
    "content-type": "binary/octet-stream",
    ...meta.headers,
    "accept-ranges": "bytes",
    "content-length": String(sizeBytes),
    "etag": `"${meta.etag}"`,
    "last-modified": new Date(meta.modifiedAt).toUTCString(),
  };
  if (meta.tags?.length) headers["x-amz-tagging-count"] = String(meta.tags.length);
  return headers;
}

/** Returns the header of an object's checksum. */
export function checksumHeaders({ checksum }: Pick<Meta, "checksum">): Record<string, string> {
  if (checksum === undefined) return {};
  return { [checksumHeader(checksum.algorithm)]: checksum.value, "x-amz-checksum-type": checksum.type };
}

/** Returns the element of an object's checksum. */
export function checksumElement({ checksum }: Pick<Meta, "checksum">): Record<string, string> {
  return checksum === undefined ? {} : { [`Checksum${checksum.algorithm}`]: checksum.value };
}

/** Returns the checksum that an upload in parts asks for. */
export function wantedChecksum(headers: Headers): { algorithm: string; type: "FULL_OBJECT" | "COMPOSITE" } | undefined {
  const algorithm = headers.get("x-amz-checksum-algorithm")?.toUpperCase();
  if (algorithm === undefined) return undefined;
  if (!Object.hasOwn(CHECKSUMS, algorithm)) throw new S3Error("InvalidRequest", "Checksum algorithm is not supported");
  const type = headers.get("x-amz-checksum-type") ?? (algorithm === "CRC64NVME" ? "FULL_OBJECT" : "COMPOSITE");
  if (type !== "FULL_OBJECT" && type !== "COMPOSITE") throw new S3Error("InvalidRequest", "Unknown checksum type");
  return { algorithm, type };
}

/** Throws for any version other than `null`, the only one that exists. */
export function checkVersion(version: string | undefined): void {
  if ((version ?? "null") === "null") return;
  throw new S3Error("InvalidArgument", "Invalid version id specified: the bucket has no versions");
}

/** Parses the tags in the header `x-amz-tagging`. */
export function tagsOfHeader(header: string | null): Meta["tags"] {
  return header === null ? undefined : checkedTags([...new URLSearchParams(header)]);
}

/**
 * Returns the tags; throws if S3 would not accept them:
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html
 */
export function checkedTags(tags: NonNullable<Meta["tags"]>): NonNullable<Meta["tags"]> {
  if (tags.length > 10) throw new S3Error("InvalidTag", "Object tags cannot be greater than 10");
  if (new Set(tags.map(([key]) => key)).size !== tags.length) {
    throw new S3Error("InvalidTag", "Cannot provide multiple Tags with the same key");
  }
  if (tags.some(([key, value]) => key === "" || key.length > 128 || value.length > 256)) {
    throw new S3Error("InvalidTag", "The tag provided was not a valid tag");
  }
  return tags;
}

/** Checks the conditions of a read: throws if one excludes it; returns true if the reader has this version already. */
export function isUnmodified(headers: Headers, meta: Meta, prefix = ""): boolean {
  const [match, noneMatch] = ["if-match", "if-none-match"].map((name) => headers.get(prefix + name));
  const [since, notSince] = ["if-modified-since", "if-unmodified-since"].map((name) =>
    instantOfHeader(headers.get(prefix + name) ?? "")
  );
  const modifiedAt = Math.floor(meta.modifiedAt / 1000) * 1000; // a header says no more
  if (match !== null ? !isNamed(match, meta) : notSince !== undefined && modifiedAt > notSince) {
    throw preconditionFailed(match !== null ? "If-Match" : "If-Unmodified-Since");
  }
  return noneMatch !== null ? isNamed(noneMatch, meta) : since !== undefined && modifiedAt <= since;
}

/** Returns a function that checks the condition of a write. */
export function writeCondition(headers: Headers): (current: Opened | undefined) => void {
  const [match, noneMatch] = ["if-match", "if-none-match"].map((name) => headers.get(name));
  if (noneMatch !== null && noneMatch !== "*") {
    throw new S3Error("NotImplemented", "A header you provided implies functionality that is not implemented", {
      Header: "If-None-Match",
    });
  }
  return (current) => {
    if (noneMatch !== null && current !== undefined) throw preconditionFailed("If-None-Match");
    if (match === null) return;
    if (current === undefined) throw new S3Error("NoSuchKey", "The specified key does not exist.");
    if (!isNamed(match, current.meta)) throw preconditionFailed("If-Match");
  };
}

/** The error for a condition that does not hold. */
export function preconditionFailed(condition: string): S3Error {
  return new S3Error("PreconditionFailed", "At least one of the pre-conditions you specified did not hold", {
    Condition: condition,
  });
}

function isNamed(header: string, { etag }: Meta): boolean {
  return header.split(",").map((one) => one.trim().replace(/^W\//, "").replace(/^"|"$/g, ""))
    .some((one) => one === "*" || one === etag);
}
