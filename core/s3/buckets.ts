/**
 * Operations on a bucket.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { deleteCondition } from "./conditions.ts";
import { S3Error } from "./error.ts";
import { listPage } from "./list.ts";
import { checkVersion, emptyResponse, OWNER, pageLimit, type S3Request, xmlOfCall, xmlResponse } from "./request.ts";
import { elements, elementText, type Xml } from "./xml.ts";

/** `HeadBucket` */
export function headBucket({ region }: S3Request): Response {
  return emptyResponse(200, { "x-amz-bucket-region": region });
}

/** `GetBucketLocation`; the answer is empty for `us-east-1`. */
export function getLocation({ region }: S3Request): Response {
  return xmlResponse("LocationConstraint", region === "us-east-1" ? "" : region);
}

/** `ListObjectsV2` */
export function listObjects(call: S3Request): Response {
  const { bucket, query } = call;
  if (query.get("list-type") !== "2") throw new S3Error("InvalidArgument", "Invalid List Type specified in Request");
  const token = query.get("continuation-token");
  const startAfter = query.get("start-after") ?? "";
  const { encode, wanted, common } = listing(call);
  const page = listPage(bucket, { ...wanted, after: token === undefined ? startAfter : afterOf(token) });
  const contents = contentsOf(call, page.keys, encode);
  return xmlResponse("ListBucketResult", {
    ...common,
    StartAfter: query.has("start-after") ? encode(startAfter) : undefined,
    ContinuationToken: token,
    NextContinuationToken: page.next === undefined ? undefined : tokenOf(page.next),
    KeyCount: contents.length + page.commonPrefixes.length,
    IsTruncated: page.next !== undefined,
    Contents: contents,
    CommonPrefixes: page.commonPrefixes.map((prefix) => ({ Prefix: encode(prefix) })),
  });
}

/** `ListObjects` */
export function listObjectsV1(call: S3Request): Response {
  const marker = call.query.get("marker") ?? "";
  const { encode, wanted, common } = listing(call);
  const page = listPage(call.bucket, { ...wanted, after: marker });
  return xmlResponse("ListBucketResult", {
    ...common,
    Marker: encode(marker),
    NextMarker: page.next === undefined ? undefined : encode(page.next),
    IsTruncated: page.next !== undefined,
    Contents: contentsOf(call, page.keys, encode),
    CommonPrefixes: page.commonPrefixes.map((prefix) => ({ Prefix: encode(prefix) })),
  });
}

/** `ListObjectVersions`: each object has one version, `null`, as in a bucket without versions. */
export function listVersions(call: S3Request): Response {
  const marker = call.query.get("key-marker") ?? "";
  if (call.query.get("version-id-marker") !== "") checkVersion(call.query.get("version-id-marker"));
  const { encode, wanted, common } = listing(call);
  const page = listPage(call.bucket, { ...wanted, after: marker });
  return xmlResponse("ListVersionsResult", {
    ...common,
    KeyMarker: encode(marker),
    NextKeyMarker: page.next === undefined ? undefined : encode(page.next),
    NextVersionIdMarker: page.next === undefined ? undefined : "null",
    IsTruncated: page.next !== undefined,
    Version: contentsOf(call, page.keys, encode).map((one) => ({ ...one, VersionId: "null", IsLatest: true })),
    CommonPrefixes: page.commonPrefixes.map((prefix) => ({ Prefix: encode(prefix) })),
  });
}

/** Returns the parts that all three list operations share. */
function listing({ bucket, query }: S3Request) {
  const encoding = query.get("encoding-type");
  if (encoding !== undefined && encoding !== "url") {
    throw new S3Error("InvalidArgument", "Invalid Encoding Method specified in Request", {
      ArgumentName: "encoding-type",
    });
  }
  const encode = encoding === undefined ? (text: string) => text : encodeUrl;
  const [prefix, delimiter] = [query.get("prefix") ?? "", query.get("delimiter") ?? ""];
  const limit = pageLimit(query.get("max-keys"), "max-keys");
  const common = {
    Name: bucket.name,
    Prefix: encode(prefix),
    Delimiter: delimiter === "" ? undefined : encode(delimiter),
    MaxKeys: limit,
    EncodingType: encoding,
  };
  return { encode, wanted: { prefix, delimiter, limit }, common };
}

/** Encodes a key as S3 does in a list: like a path. */
function encodeUrl(text: string): string {
  return encodeURIComponent(text).replace(/%2F/g, "/").replace(/%20/g, "+");
}

function contentsOf(
  { bucket, query }: S3Request,
  keys: readonly string[],
  encode: (key: string) => string,
): { [name: string]: Xml }[] {
  const hasOwner = !query.has("list-type") || query.get("fetch-owner") === "true";
  return keys.flatMap((key) => {
    using found = bucket.openWhole(key); // gone since it was listed: it is not in the list
    return found === undefined ? [] : [{
      Key: encode(key),
      LastModified: new Date(found.meta.modifiedAt).toISOString(),
      ETag: `"${found.meta.etag}"`,
      ChecksumAlgorithm: found.meta.checksum?.algorithm,
      ChecksumType: found.meta.checksum?.type,
      Size: found.sizeBytes,
      Owner: hasOwner ? OWNER : undefined,
      StorageClass: "STANDARD",
    }];
  });
}

/** Encodes the key after which a list continues as an opaque token. */
function tokenOf(after: string): string {
  return Buffer.from(after).toString("base64url");
}

function afterOf(token: string): string {
  const after = Buffer.from(token, "base64url").toString();
  if (tokenOf(after) === token) return after; // what is no base64, or no UTF-8, is read as something else
  throw new S3Error("InvalidArgument", "The continuation token provided is incorrect", {
    ArgumentName: "continuation-token",
  });
}

const MAX_DELETES = 1000;

/** `DeleteObjects` */
export async function deleteObjects(call: S3Request): Promise<Response> {
  const wanted = await xmlOfCall(call, "Delete");
  const isQuiet = elementText(wanted, "Quiet") === "true";
  const objects = elements(wanted, "Object").map((object) => ({
    Key: elementText(object, "Key") ?? "",
    VersionId: elementText(object, "VersionId"),
    expected: {
      etag: elementText(object, "ETag"),
      lastModified: elementText(object, "LastModifiedTime"),
      size: elementText(object, "Size"),
    },
    unknown: Object.keys(object).find((name) => !/^(Key|VersionId|ETag|LastModifiedTime|Size|#text)$/.test(name)),
  }));
  if (objects.length === 0 || objects.length > MAX_DELETES) {
    throw new S3Error("MalformedXML", "The XML must name between 1 and 1000 objects");
  }
  const deleted: Xml[] = [], errors: Xml[] = [];
  for (const { Key, VersionId, expected, unknown } of objects) {
    try {
      if (Key === "") throw new S3Error("InvalidArgument", "A key must not be empty");
      if (unknown !== undefined) throw new S3Error("NotImplemented", `"${unknown}" is not implemented by this server`);
      checkVersion(VersionId);
      call.bucket.delete(Key, deleteCondition(expected));
      if (!isQuiet) deleted.push({ Key, VersionId });
    } catch (error) {
      if (!(error instanceof S3Error)) throw error;
      errors.push({ Key, VersionId, Code: error.code, Message: error.message });
    }
  }
  return xmlResponse("DeleteResult", { Deleted: deleted, Error: errors });
}
