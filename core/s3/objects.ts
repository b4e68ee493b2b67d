/**
 * Operations on one object.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { type Checksum, CHECKSUMS, wantedChecksum } from "./checksums.ts";
import { deleteCondition, isUnmodified, preconditionFailed, writeCondition } from "./conditions.ts";
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
  keptHeaders,
  objectHeaders,
  partChecksum,
  type S3Request,
  tagsOfHeader,
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
    if (isUnmodified(call.headers, found.meta)) {
      found[Symbol.dispose]();
      return new Response(null, {
        status: 304,
        headers: { etag: headers.etag, "last-modified": headers["last-modified"] },
      });
    }
    const part = partOf(call, found);
    const range = part?.range ?? byteRange(call.headers.get("range"), found.sizeBytes);
    const [start, end] = range ?? [0, found.sizeBytes];
    if (range !== undefined) Object.assign(headers, partialHeaders(start, end, found.sizeBytes));
    if (part?.count !== undefined) headers["x-amz-mp-parts-count"] = String(part.count);
    if (call.headers.get("x-amz-checksum-mode")?.toUpperCase() === "ENABLED") {
      const isWhole = end - start === found.sizeBytes;
      Object.assign(headers, checksumHeaders(part?.checksum ?? (isWhole ? found.meta.checksum : undefined)));
    }
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

/** Returns the part of an object that a request names by its number; one that came in one piece is of one part. */
function partOf({ headers, query }: S3Request, { meta, sizeBytes }: Opened) {
  const text = query.get("partNumber");
  if (text === undefined) return undefined;
  if (headers.has("range")) {
    throw new S3Error("InvalidRequest", "Cannot specify both Range header and partNumber query parameter");
  }
  const { parts = [sizeBytes] } = meta;
  const at = needPartNumber(text) - 1;
  if (at >= parts.length) throw new S3Error("InvalidPartNumber", "The requested partnumber is not satisfiable");
  const start = parts.slice(0, at).reduce((sum, part) => sum + part, 0);
  const range: [number, number] = [start, start + parts[at]!];
  return { range, count: meta.parts?.length, checksum: partChecksum(meta, at) };
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
  return emptyResponse(200, { etag: `"${meta.etag}"`, ...checksumHeaders(meta.checksum) });
}

/** `DeleteObject` */
export function deleteObject({ bucket, key, headers }: S3Request): Response {
  const [etag, lastModified, size] = ["if-match", "x-amz-if-match-last-modified-time", "x-amz-if-match-size"]
    .map((name) => headers.get(name) ?? undefined);
  bucket.delete(key, deleteCondition({ etag, lastModified, size }));
  return emptyResponse(204);
}

/** Returns the bucket and the key of a copy's source. */
function sourceOf({ headers }: S3Request): { readonly name: string; readonly key: string } {
  const source = headers.get("x-amz-copy-source") ?? "";
  const [path, query] = source.split("?");
  const [name, ...parts] = decodePart(path!.replace(/^\//, "")).split("/");
  if (parts.join("") === "" || (query !== undefined && query !== "versionId=null") || source.split("?").length > 2) {
    throw new S3Error("InvalidArgument", "Copy Source must mention the source bucket and key: sourcebucket/sourcekey");
  }
  return { name: name!, key: parts.join("/") };
}

/** Opens the source object of a copy. */
export function openSource(call: S3Request): Opened {
  const { name, key } = sourceOf(call);
  const found = call.bucketOf(name).need(key);
  try {
    if (!isUnmodified(call.headers, found.meta, "x-amz-copy-source-")) return found;
    throw preconditionFailed("x-amz-copy-source-If-None-Match");
  } catch (error) {
    found[Symbol.dispose]();
    throw error;
  }
}

/** `CopyObject` */
export async function copyObject(call: S3Request): Promise<Response> {
  const { headers } = call;
  const condition = writeCondition(headers);
  checkSelf(call);
  using source = openSource(call);
  const isReplaced = headers.get("x-amz-metadata-directive")?.toUpperCase() === "REPLACE";
  const isTagged = headers.get("x-amz-tagging-directive")?.toUpperCase() === "REPLACE";
  const tags = isTagged ? tagsOfHeader(headers.get("x-amz-tagging")) : source.meta.tags;
  const algorithm = wantedChecksum(headers)?.algorithm;
  const digests = digesting(source.bytes(), algorithm);
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
    ...checksumElement(meta.checksum),
  });
}

/** Throws for a copy of an object onto itself that changes nothing: it is a mistake, and S3 refuses it. */
function checkSelf(call: S3Request): void {
  const { name, key } = sourceOf(call);
  const changing =
    ["x-amz-metadata-directive", "x-amz-tagging-directive"].some((directive) =>
      call.headers.get(directive)?.toUpperCase() === "REPLACE"
    ) || [REDIRECT, "x-amz-checksum-algorithm", "x-amz-storage-class"].some((name) => call.headers.has(name));
  if (name !== call.bucket.name || key !== call.key || changing) return;
  throw new S3Error(
    "InvalidRequest",
    "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.",
  );
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
  await call.bucket.put(call.key, found.bytes(), () => ({ ...found.meta, tags }), (current) => {
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
