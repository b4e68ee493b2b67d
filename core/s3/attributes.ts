/**
 * `GetObjectAttributes`: https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectAttributes.html
 *
 * @module
 */
import { S3Error } from "./error.ts";
import type { Opened } from "./files.ts";
import { checksumElement, pageLimit, partChecksum, partMarker, type S3Request, xmlResponse } from "./request.ts";
import type { Xml } from "./xml.ts";

const ATTRIBUTES: Readonly<Record<string, (found: Opened, headers: Headers) => Xml>> = {
  ETag: ({ meta }) => meta.etag,
  Checksum: ({ meta: { checksum } }) => checksum && { ...checksumElement(checksum), ChecksumType: checksum.type },
  ObjectParts: partsOf,
  StorageClass: () => "STANDARD",
  ObjectSize: ({ sizeBytes }) => sizeBytes,
};

/** `GetObjectAttributes` */
export function getAttributes({ bucket, key, headers }: S3Request): Response {
  const wanted = (headers.get("x-amz-object-attributes") ?? "").split(",").map((one) => one.trim());
  const unknown = wanted.find((name) => !Object.hasOwn(ATTRIBUTES, name));
  if (unknown !== undefined) {
    throw new S3Error("InvalidArgument", "Invalid attribute name specified.", {
      ArgumentName: "x-amz-object-attributes",
      ArgumentValue: unknown,
    });
  }
  using found = bucket.need(key);
  const content = wanted.map((name) => [name, ATTRIBUTES[name]!(found, headers)] as const);
  return xmlResponse("GetObjectAttributesResponse", Object.fromEntries(content), 200, {
    "last-modified": new Date(found.meta.modifiedAt).toUTCString(),
  });
}

/** Returns a page of the parts in which an object was uploaded; `undefined` for one that came in one piece. */
function partsOf({ meta: { parts, checksum, partChecksums } }: Opened, headers: Headers): Xml {
  if (parts === undefined) return undefined;
  const after = partMarker(headers.get("x-amz-part-number-marker"));
  const limit = pageLimit(headers.get("x-amz-max-parts"), "x-amz-max-parts");
  const numbers = parts.keys().map((at) => at + 1).filter((number) => number > after).toArray();
  const page = numbers.slice(0, limit);
  return {
    PartsCount: parts.length,
    PartNumberMarker: after,
    NextPartNumberMarker: page.at(-1) ?? 0,
    MaxParts: limit,
    IsTruncated: numbers.length > page.length,
    Part: page.map((number) => ({
      PartNumber: number,
      Size: parts[number - 1],
      ...checksumElement(partChecksum({ checksum, partChecksums }, number - 1)),
    })),
  };
}
