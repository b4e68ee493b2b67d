/**
 * A request to a bucket, and helpers for its answer.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { type Body, requestBody } from "./body.ts";
import type { Bucket } from "./bucket.ts";
import { type Checksum, checksumHeader } from "./checksums.ts";
import { S3Error } from "./error.ts";
import type { Meta, Opened } from "./files.ts";
import { isKept, KEPT, META } from "./headers.ts";
import { compareKeys } from "./keys.ts";
import type { Payload } from "./signature.ts";
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

/** The owner of everything, as lists name it. */
export const OWNER: Readonly<Record<string, string>> = { ID: "forkstack", DisplayName: "forkstack" };

/** Returns the body of a request; without a checksum that came along, that of `algorithm` is computed. */
export function bodyOfCall({ headers, stream, payload }: S3Request, algorithm?: string): Body {
  return requestBody(headers, stream, payload, algorithm);
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
  const encoding = (headers.get("content-encoding") ?? "") // `aws-chunked` is how it was sent, not what it is
    .replace(/(^|,)\s*aws-chunked\s*(?=,|$)/gi, "").replace(/^\s*,\s*/, "");
  if (encoding !== "") kept["content-encoding"] = encoding;
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

/** Returns the headers of a checksum. */
export function checksumHeaders(checksum: Checksum | undefined): Record<string, string> {
  if (checksum === undefined) return {};
  return { [checksumHeader(checksum.algorithm)]: checksum.value, "x-amz-checksum-type": checksum.type };
}

/** Returns the element of a checksum. */
export function checksumElement(checksum: Checksum | undefined): Record<string, string> {
  return checksum === undefined ? {} : { [`Checksum${checksum.algorithm}`]: checksum.value };
}

/** Returns the checksum of one part of an object, by its place among them. */
export function partChecksum(
  { checksum, partChecksums }: Pick<Meta, "checksum" | "partChecksums">,
  at: number,
): Checksum | undefined {
  const value = partChecksums?.[at];
  return checksum === undefined || value === undefined ? undefined : { ...checksum, value };
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
  return tags.toSorted(([one], [other]) => compareKeys(one, other));
}

/** Parses the number of the part after which a list begins. */
export function partMarker(text: string | null | undefined): number {
  if (/^\d{1,10}$/.test(text ?? "0")) return Number(text ?? 0);
  throw new S3Error("InvalidArgument", "Argument part-number-marker must be an integer", { ArgumentValue: text! });
}

/** Parses the largest number of entries on a page. */
export function pageLimit(text: string | null | undefined, name: string, most = 1000): number {
  const given = text ?? String(most);
  if (/^\d{1,10}$/.test(given) && Number(given) < 2 ** 31) return Math.min(Number(given), most);
  throw new S3Error("InvalidArgument", `Argument ${name} must be an integer between 0 and 2147483647`, {
    ArgumentName: name,
    ArgumentValue: given,
  });
}
