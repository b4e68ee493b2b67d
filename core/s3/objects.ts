/**
 * Operations on one object.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { Checksum } from "./body.ts";
import { CHECKSUMS } from "./checksums.ts";
import { S3Error } from "./error.ts";
import type { Meta, Opened } from "./files.ts";
import { checkHeaderValue, REDIRECT } from "./headers.ts";
import { needPartNumber } from "./multipart.ts";
import {
  bodyOfCall,
  checkedTags,
  checksumElement,
  checksumHeaders,
  emptyResponse,
  isUnmodified,
  keptHeaders,
  objectHeaders,
  preconditionFailed,
  type S3Request,
  tagsOfHeader,
  wantedChecksum,
  writeCondition,
  xmlOfCall,
  xmlResponse,
} from "./request.ts";
import { elements, elementText } from "./xml.ts";
import { decodePart } from "./sigv4.ts";

/** Headers that a reader may override by parameters `response-…`. */
export const OVERRIDES: readonly string[] = [
  "cache-control",
  "content-disposition",
  "content-encoding",
  "content-language",
  "content-type",
  "expires",
];

/** `GetObject`, `HeadObject` */
export function getObject(call: S3Request): Response {
  const found = call.bucket.need(call.key);
  try {
    const overrides = OVERRIDES.flatMap((name) => {
      const value = call.query.get(`response-${name}`);
      return value === undefined ? [] : [[name, checkHeaderValue(`response-${name}`, value)] as const];
    });
    const headers = { ...objectHeaders(found), ...Object.fromEntries(overrides) };
    if (call.headers.get("x-amz-checksum-mode")?.toUpperCase() === "ENABLED") {
      Object.assign(headers, checksumHeaders(found.meta));
    }
    if (isUnmodified(call.headers, found.meta)) {
      found[Symbol.dispose]();
      return new Response(null, {
        status: 304,
        headers: { etag: headers.etag, "last-modified": headers["last-modified"] },
      });
    }
    const range = rangeOf(call, found);
    const [start, end] = range ?? [0, found.sizeBytes];
    if (range !== undefined) Object.assign(headers, partialHeaders(start, end, found.sizeBytes));
    if (range !== undefined && end - start < found.sizeBytes) dropChecksum(headers); // it is of the whole
    const status = range === undefined ? 200 : 206;
    if (call.method !== "HEAD") return new Response(found.read(start, end), { status, headers });
    found[Symbol.dispose]();
    return new Response(null, { status, headers });
  } catch (error) {
    found[Symbol.dispose]();
    throw error;
  }
}

function partialHeaders(start: number, end: number, size: number): Record<string, string> {
  return { "content-length": String(end - start), "content-range": `bytes ${start}-${end - 1}/${size}` };
}

function dropChecksum(headers: Record<string, string>): void {
  for (const name of Object.keys(headers)) if (name.startsWith("x-amz-checksum-")) delete headers[name];
}

/** Returns the requested bytes as `[start, end)`; S3 supports one range only. */
function rangeOf({ headers, query }: S3Request, { meta, sizeBytes }: Opened): [number, number] | undefined {
  const number = query.get("partNumber");
  if (number === undefined) return byteRange(headers.get("range"), sizeBytes);
  if (headers.has("range")) {
    throw new S3Error("InvalidRequest", "Cannot specify both Range header and partNumber query parameter");
  }
  return partRange(needPartNumber(number), meta, sizeBytes);
}

function byteRange(text: string | null, size: number): [number, number] | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(text?.trim() ?? "");
  if (match === null || (match[1] === "" && match[2] === "")) return undefined;
  const [first, last] = [match[1], match[2]];
  const start = first === "" ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === "" || last === "" ? size : Math.min(size, Number(last) + 1);
  if (first !== "" && last !== "" && Number(last) < Number(first)) return undefined; // not a range: no error either
  if (start < size && end > start) return [start, end];
  throw new S3Error("InvalidRange", "The requested range is not satisfiable", {
    RangeRequested: text!,
    ActualObjectSize: String(size),
  });
}

function partRange(number: number, meta: Meta, size: number): [number, number] {
  const parts = meta.parts ?? [size];
  const at = number - 1;
  if (at >= parts.length) {
    throw new S3Error("InvalidRange", "The requested partnumber is not satisfiable");
  }
  const start = parts.slice(0, at).reduce((sum, part) => sum + part, 0);
  return [start, start + parts[at]];
}

/** `PutObject` */
export async function putObject(call: S3Request): Promise<Response> {
  const condition = writeCondition(call.headers);
  const headers = keptHeaders(call.headers);
  const tags = tagsOfHeader(call.headers.get("x-amz-tagging"));
  const body = bodyOfCall(call);
  const { meta } = await call.bucket.put(call.key, body.bytes, () => ({
    etag: body.md5(),
    modifiedAt: call.now.getTime(),
    headers,
    tags,
    checksum: body.checksum(),
  }), condition);
  return emptyResponse(200, { etag: `"${meta.etag}"`, ...checksumHeaders(meta) });
}

/** `DeleteObject` */
export function deleteObject({ bucket, key, headers }: S3Request): Response {
  const match = headers.get("if-match");
  bucket.delete(key, match === null ? undefined : writeCondition(new Headers({ "if-match": match })));
  return emptyResponse(204);
}

/** Opens the source object of a copy. */
export function openSource(call: S3Request): Opened {
  const source = call.headers.get("x-amz-copy-source") ?? "";
  const [path, query] = source.split("?");
  const [bucket, ...key] = decodePart(path.replace(/^\//, "")).split("/");
  if (key.join("") === "" || (query !== undefined && query !== "versionId=null") || source.split("?").length > 2) {
    throw new S3Error("InvalidArgument", "Copy Source must mention the source bucket and key: sourcebucket/sourcekey");
  }
  const found = call.bucketOf(bucket).need(key.join("/"));
  try {
    if (!isUnmodified(call.headers, found.meta, "x-amz-copy-source-")) return found;
    throw preconditionFailed("x-amz-copy-source-If-None-Match");
  } catch (error) {
    found[Symbol.dispose]();
    throw error;
  }
}

/** Returns the bytes of an open object as a body. */
export function objectBytes(
  found: Opened,
  [start, end]: readonly [number, number] = [0, found.sizeBytes],
): AsyncIterable<Uint8Array> {
  const all = found.read(start, end);
  return all instanceof ReadableStream ? all : new Blob([all]).stream();
}

/** `CopyObject` */
export async function copyObject(call: S3Request): Promise<Response> {
  const { headers } = call;
  const condition = writeCondition(headers);
  using source = openSource(call);
  const isReplaced = headers.get("x-amz-metadata-directive")?.toUpperCase() === "REPLACE";
  const isTagged = headers.get("x-amz-tagging-directive")?.toUpperCase() === "REPLACE";
  const tags = isTagged ? tagsOfHeader(headers.get("x-amz-tagging")) : source.meta.tags;
  const algorithm = wantedChecksum(headers)?.algorithm;
  const digests = digesting(objectBytes(source), algorithm);
  const { meta } = await call.bucket.put(call.key, digests.bytes, () => ({
    etag: digests.md5(),
    modifiedAt: call.now.getTime(),
    headers: isReplaced ? keptHeaders(headers) : copiedHeaders(source.meta, headers),
    tags,
    checksum: digests.checksum() ?? wholeOnly(source.meta.checksum),
  }), condition);
  return xmlResponse("CopyObjectResult", {
    ETag: `"${meta.etag}"`,
    LastModified: call.now.toISOString(),
    ...checksumElement(meta),
  });
}

function copiedHeaders({ headers }: Meta, asked: Headers): Meta["headers"] {
  const { [REDIRECT]: _, ...copied } = headers;
  const own = asked.get(REDIRECT);
  return own === null ? copied : { ...copied, [REDIRECT]: own };
}

/** Removes the checksum of parts: a copy is no object of parts any more. */
function wholeOnly(checksum: Checksum | undefined): Checksum | undefined {
  return checksum?.type === "FULL_OBJECT" ? checksum : undefined;
}

/** Passes bytes on, and computes their MD5, and a checksum if requested. */
export function digesting(source: AsyncIterable<Uint8Array>, algorithm: string | undefined) {
  const md5 = createHash("md5");
  const digest = algorithm === undefined ? undefined : CHECKSUMS[algorithm]();
  async function* pass(): AsyncGenerator<Uint8Array> {
    for await (const bytes of source) {
      md5.update(bytes);
      digest?.update(bytes);
      yield bytes;
    }
  }
  return {
    bytes: pass(),
    md5: () => md5.digest("hex"),
    checksum: (): Checksum | undefined =>
      digest && { algorithm: algorithm!, value: digest.digest("base64"), type: "FULL_OBJECT" },
  };
}

/** `GetObjectTagging` */
export function getTagging({ bucket, key }: S3Request): Response {
  using found = bucket.need(key);
  return xmlResponse("Tagging", { TagSet: { Tag: (found.meta.tags ?? []).map(([Key, Value]) => ({ Key, Value })) } });
}

/** `PutObjectTagging`, `DeleteObjectTagging`: the object is written again with other tags. */
export async function putTagging(call: S3Request): Promise<Response> {
  const tags = call.method === "DELETE" ? [] : tagsOfXml(await xmlOfCall(call, "Tagging"));
  using found = call.bucket.need(call.key);
  const { etag } = found.meta;
  await call.bucket.put(call.key, objectBytes(found), () => ({ ...found.meta, tags }), (current) => {
    if (current?.meta.etag !== etag) throw new S3Error("PreconditionFailed", "The object changed while it was tagged");
  });
  return emptyResponse(call.method === "DELETE" ? 204 : 200);
}

function tagsOfXml(tagging: Record<string, unknown>): NonNullable<Meta["tags"]> {
  const set = elements(tagging, "TagSet").flatMap((one) => elements(one, "Tag"));
  return checkedTags(set.map((tag) => [elementText(tag, "Key") ?? "", elementText(tag, "Value") ?? ""] as const));
}

/** Returns the bytes of a part that `UploadPartCopy` takes from another object. */
export function copiedRange(call: S3Request, source: Opened): [number, number] {
  const header = call.headers.get("x-amz-copy-source-range");
  if (header === null) return [0, source.sizeBytes];
  const match = /^bytes=(\d+)-(\d+)$/.exec(header);
  const [start, end] = [Number(match?.[1]), Number(match?.[2]) + 1];
  if (match !== null && start < end && end <= source.sizeBytes) return [start, end];
  throw new S3Error("InvalidArgument", "The x-amz-copy-source-range value must be of the form bytes=first-last", {
    ArgumentValue: header,
  });
}
