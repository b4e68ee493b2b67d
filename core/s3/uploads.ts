/**
 * Operations on an upload in parts.
 *
 * @module
 */
import { CHECKSUMS, statedChecksum, wantedChecksum } from "./checksums.ts";
import { writeCondition } from "./conditions.ts";
import { S3Error } from "./error.ts";
import type { Meta } from "./files.ts";
import {
  abortUpload,
  beginUpload,
  completedBefore,
  completeUpload,
  type NamedPart,
  needPartNumber,
  needUpload,
  putPart,
  uploadParts,
  uploadsOf,
} from "./multipart.ts";
import { copiedRange, digesting, openSource } from "./objects.ts";
import {
  bodyOfCall,
  checksumElement,
  checksumHeaders,
  emptyResponse,
  keptHeaders,
  OWNER,
  pageLimit,
  partMarker,
  type S3Request,
  tagsOfHeader,
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
  const algorithm = upload.checksum?.algorithm;
  if (!headers.has("x-amz-copy-source")) {
    const body = bodyOfCall(call, algorithm);
    if (algorithm !== undefined && body.algorithm !== algorithm) {
      throw new S3Error("InvalidRequest", `The upload was created for a checksum ${algorithm}, not ${body.algorithm}`);
    }
    const { etag, checksum } = await putPart(bucket, part, body, now);
    const { "x-amz-checksum-type": _, ...sum } = checksumHeaders(checksum); // which only an object has
    return emptyResponse(200, { etag: `"${etag}"`, ...sum });
  }
  using source = openSource(call);
  const body = digesting(source.bytes(...copiedRange(call, source)), algorithm);
  const meta = await putPart(bucket, part, body, now);
  return xmlResponse("CopyPartResult", {
    ETag: `"${meta.etag}"`,
    LastModified: now.toISOString(),
    ...checksumElement(meta.checksum),
  });
}

/** `CompleteMultipartUpload` */
export async function finishUpload(call: S3Request): Promise<Response> {
  const { bucket, key, query, headers, now } = call;
  const id = query.get("uploadId")!;
  const [stated, size] = [statedChecksum(headers), headers.get("x-amz-mp-object-size")];
  const document = await xmlOfCall({ ...call, headers: withoutChecksums(headers) }, "CompleteMultipartUpload");
  const named = elements(document, "Part").map((part): NamedPart => ({
    number: needPartNumber(elementText(part, "PartNumber")),
    etag: (elementText(part, "ETag") ?? "").replace(/^"|"$/g, ""),
    checksums: Object.keys(CHECKSUMS).flatMap((algorithm) => {
      const value = elementText(part, `Checksum${algorithm}`);
      return value === undefined ? [] : [{ algorithm, value }];
    }),
  }));
  try {
    const meta = await completeUpload(bucket, needUpload(bucket, key, id), {
      named,
      now,
      condition: writeCondition(headers),
      stated,
      statedBytes: size === null ? undefined : Number(size),
    });
    return finished(call, meta);
  } catch (error) {
    const before = completedBefore(bucket, key, id, named); // by a request whose answer was lost, or one beside this
    if (before === undefined) throw error;
    return finished(call, before);
  }
}

/** Returns the headers of a request's own body: its checksums are the object's. */
function withoutChecksums(headers: Headers): Headers {
  return new Headers([...headers].filter(([name]) => !name.startsWith("x-amz-checksum-")));
}

function finished({ bucket, key }: S3Request, { etag, checksum }: Meta): Response {
  return xmlResponse("CompleteMultipartUploadResult", {
    Location: `/${bucket.name}/${encodeURIComponent(key)}`,
    Bucket: bucket.name,
    Key: key,
    ETag: `"${etag}"`,
    ...checksumElement(checksum),
    ChecksumType: checksum?.type,
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
  const { directory, checksum } = needUpload(bucket, key, id);
  const [after, limit] = [partMarker(query.get("part-number-marker")), pageLimit(query.get("max-parts"), "max-parts")];
  const parts = uploadParts(directory).filter(({ number }) => number > after);
  const page = parts.slice(0, limit);
  return xmlResponse("ListPartsResult", {
    Bucket: bucket.name,
    Key: key,
    UploadId: id,
    Initiator: OWNER,
    Owner: OWNER,
    StorageClass: "STANDARD",
    ChecksumAlgorithm: checksum?.algorithm,
    ChecksumType: checksum?.type,
    PartNumberMarker: after,
    NextPartNumberMarker: page.at(-1)?.number ?? 0,
    MaxParts: limit,
    IsTruncated: parts.length > page.length,
    Part: page.map(({ number, sizeBytes, meta }) => ({
      PartNumber: number,
      LastModified: new Date(meta.modifiedAt).toISOString(),
      ETag: `"${meta.etag}"`,
      Size: sizeBytes,
      ...checksumElement(meta.checksum),
    })),
  });
}

/** `ListMultipartUploads` */
export function listUploads({ bucket, query }: S3Request): Response {
  const [prefix, limit] = [query.get("prefix") ?? "", pageLimit(query.get("max-uploads"), "max-uploads")];
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
      Initiator: OWNER,
      Owner: OWNER,
      StorageClass: "STANDARD",
      Initiated: new Date(upload.startedAt).toISOString(),
      ChecksumAlgorithm: upload.checksum?.algorithm,
      ChecksumType: upload.checksum?.type,
    })),
  });
}
