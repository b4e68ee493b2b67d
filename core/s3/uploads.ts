/**
 * Operations on an upload in parts.
 *
 * @module
 */
import { S3Error } from "./error.ts";
import {
  abortUpload,
  beginUpload,
  completeUpload,
  type NamedPart,
  needPartNumber,
  needUpload,
  type Part,
  putPart,
  uploadParts,
  uploadsOf,
} from "./multipart.ts";
import { copiedRange, digesting, objectBytes, openSource } from "./objects.ts";
import {
  bodyOfCall,
  checksumElement,
  checksumHeaders,
  emptyResponse,
  keptHeaders,
  type S3Request,
  tagsOfHeader,
  wantedChecksum,
  writeCondition,
  xmlOfCall,
  xmlResponse,
} from "./request.ts";
import { compareKeys } from "./keys.ts";
import { elements, elementText } from "./xml.ts";

/** `CreateMultipartUpload` */
export function createUpload({ bucket, key, headers, now }: S3Request): Response {
  const [checksum, tags] = [wantedChecksum(headers), tagsOfHeader(headers.get("x-amz-tagging"))];
  const id = beginUpload(bucket, {
    key,
    startedAt: now.getTime(),
    headers: keptHeaders(headers),
    checksum,
    tags,
  });
  const response = xmlResponse("InitiateMultipartUploadResult", { Bucket: bucket.name, Key: key, UploadId: id });
  if (checksum !== undefined) {
    response.headers.set("x-amz-checksum-algorithm", checksum.algorithm);
    response.headers.set("x-amz-checksum-type", checksum.type);
  }
  return response;
}

/** `UploadPart`, `UploadPartCopy` */
export async function uploadPart(call: S3Request): Promise<Response> {
  const { bucket, key, query, headers, now } = call;
  const upload = needUpload(bucket, key, query.get("uploadId")!);
  const part = { directory: upload.directory, number: needPartNumber(query.get("partNumber")) };
  if (!headers.has("x-amz-copy-source")) {
    const meta = await putPart(bucket, part, bodyOfCall(call), now);
    return emptyResponse(200, { etag: `"${meta.etag}"`, ...checksumHeaders(meta) });
  }
  using source = openSource(call);
  const body = digesting(objectBytes(source, copiedRange(call, source)), upload.checksum?.algorithm);
  const meta = await putPart(bucket, part, body, now);
  return xmlResponse("CopyPartResult", {
    ETag: `"${meta.etag}"`,
    LastModified: now.toISOString(),
    ...checksumElement(meta),
  });
}

/** `CompleteMultipartUpload` */
export async function finishUpload(call: S3Request): Promise<Response> {
  const { bucket, key, query, headers, now } = call;
  const upload = needUpload(bucket, key, query.get("uploadId")!);
  const condition = writeCondition(headers);
  const algorithm = upload.checksum?.algorithm;
  const named = elements(await xmlOfCall(call, "CompleteMultipartUpload"), "Part").map((part): NamedPart => {
    const checksum = algorithm === undefined ? undefined : elementText(part, `Checksum${algorithm}`);
    return {
      number: needPartNumber(elementText(part, "PartNumber")),
      etag: elementText(part, "ETag") ?? "",
      checksum,
    };
  });
  const meta = await completeUpload(bucket, upload, { named, now, condition });
  return xmlResponse("CompleteMultipartUploadResult", {
    Location: `/${bucket.name}/${encodeURIComponent(key)}`,
    Bucket: bucket.name,
    Key: key,
    ETag: `"${meta.etag}"`,
    ...checksumElement(meta),
    ChecksumType: meta.checksum?.type,
  });
}

/** `AbortMultipartUpload` */
export function dropUpload({ bucket, key, query }: S3Request): Response {
  abortUpload(needUpload(bucket, key, query.get("uploadId")!).directory);
  return emptyResponse(204);
}

/** `ListParts` */
export function listParts({ bucket, key, query }: S3Request): Response {
  const id = query.get("uploadId")!;
  const { directory } = needUpload(bucket, key, id);
  const [after, limit] = [markerOf(query), limitOf(query, "max-parts")];
  const parts = uploadParts(directory).filter(({ number }) => number > after);
  const page = parts.slice(0, limit);
  return xmlResponse("ListPartsResult", {
    Bucket: bucket.name,
    Key: key,
    UploadId: id,
    StorageClass: "STANDARD",
    PartNumberMarker: after,
    NextPartNumberMarker: page.at(-1)?.number ?? 0,
    MaxParts: limit,
    IsTruncated: parts.length > page.length,
    Part: page.map(({ number, sizeBytes, meta }: Part) => ({
      PartNumber: number,
      LastModified: new Date(meta.modifiedAt).toISOString(),
      ETag: `"${meta.etag}"`,
      Size: sizeBytes,
      ...checksumElement(meta),
    })),
  });
}

/** `ListMultipartUploads` */
export function listUploads({ bucket, query }: S3Request): Response {
  const [prefix, limit] = [query.get("prefix") ?? "", limitOf(query, "max-uploads")];
  const [keyMarker, idMarker] = [query.get("key-marker") ?? "", query.get("upload-id-marker") ?? ""];
  const uploads = uploadsOf(bucket).filter(({ id, upload: { key } }) =>
    key.startsWith(prefix) &&
    (compareKeys(key, keyMarker) > 0 || (key === keyMarker && idMarker !== "" && id > idMarker))
  );
  const page = uploads.slice(0, limit);
  return xmlResponse("ListMultipartUploadsResult", {
    Bucket: bucket.name,
    KeyMarker: keyMarker,
    UploadIdMarker: idMarker,
    NextKeyMarker: page.at(-1)?.upload.key,
    NextUploadIdMarker: page.at(-1)?.id,
    Prefix: prefix,
    MaxUploads: limit,
    IsTruncated: uploads.length > page.length,
    Upload: page.map(({ id, upload }) => ({
      Key: upload.key,
      UploadId: id,
      StorageClass: "STANDARD",
      Initiated: new Date(upload.startedAt).toISOString(),
    })),
  });
}

function markerOf(query: ReadonlyMap<string, string>): number {
  const text = query.get("part-number-marker") ?? "0";
  if (/^\d{1,10}$/.test(text)) return Number(text);
  throw new S3Error("InvalidArgument", "Argument part-number-marker must be an integer", { ArgumentValue: text });
}

/** Returns the largest number of entries on a page. */
export function limitOf(query: ReadonlyMap<string, string>, name: string): number {
  const text = query.get(name) ?? "1000";
  if (/^\d{1,10}$/.test(text) && Number(text) < 2 ** 31) return Math.min(Number(text), 1000);
  throw new S3Error("InvalidArgument", `Argument ${name} must be an integer between 0 and 2147483647`, {
    ArgumentName: name,
    ArgumentValue: text,
  });
}
