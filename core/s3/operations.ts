/**
 * The operation of a request, by its method and its query. A query that names an unsupported operation is never treated
 * as a plain one: a request for `?legal-hold` must not return the object, nor overwrite it.
 *
 * @module
 */
import { getAttributes } from "./attributes.ts";
import * as buckets from "./buckets.ts";
import { getCors } from "./cors.ts";
import { S3Error } from "./error.ts";
import { checkTaken, isMovedHeader, REDIRECT, SIGNATURE_PARAMETERS } from "./headers.ts";
import * as objects from "./objects.ts";
import { type S3Request, xmlResponse } from "./request.ts";
import * as uploads from "./uploads.ts";

interface Operation {
  readonly run: (call: S3Request) => Response | Promise<Response>;
  /** Parameters that it reads. */
  readonly reads?: readonly string[];
  /** Headers that it acts on, of those that only some operations do. */
  readonly takes?: readonly string[];
}

const LIST = ["delimiter", "encoding-type", "max-keys", "prefix"];
/** Headers that describe an object that is made. */
const DESCRIBING = ["x-amz-tagging", REDIRECT];
const BYPASS = "x-amz-bypass-governance-retention"; // nothing here is locked
const READ = ["partNumber", "versionId", ...objects.OVERRIDES.map((name) => `response-${name}`)];

/** Operations on a bucket, by method and the parameter that names them. */
const OF_BUCKET: Readonly<Record<string, Operation>> = {
  "HEAD": { run: buckets.headBucket },
  "GET": { run: buckets.listObjectsV1, reads: [...LIST, "marker"] },
  "GET list-type": {
    run: buckets.listObjects,
    reads: [...LIST, "continuation-token", "fetch-owner", "start-after"],
  },
  "GET cors": { run: getCors },
  "GET location": { run: buckets.getLocation },
  "GET uploads": {
    run: uploads.listUploads,
    reads: ["encoding-type", "key-marker", "max-uploads", "prefix", "upload-id-marker"],
  },
  "GET versions": { run: buckets.listVersions, reads: [...LIST, "key-marker", "version-id-marker"] },
  "GET versioning": { run: () => xmlResponse("VersioningConfiguration", "") },
  "GET object-lock": {
    run() {
      const message = "Object Lock configuration does not exist for this bucket";
      throw new S3Error("ObjectLockConfigurationNotFoundError", message);
    },
  },
  "GET tagging": {
    run() {
      throw new S3Error("NoSuchTagSet", "The TagSet does not exist");
    },
  },
  "POST delete": { run: buckets.deleteObjects, takes: [BYPASS] },
};

/** Operations on an object, by method and the parameter that names them. */
const OF_OBJECT: Readonly<Record<string, Operation>> = {
  "GET": { run: objects.getObject, reads: READ },
  "HEAD": { run: objects.getObject, reads: READ },
  "PUT": {
    run: (call) => call.headers.has("x-amz-copy-source") ? objects.copyObject(call) : objects.putObject(call),
    takes: DESCRIBING,
  },
  "DELETE": {
    run: objects.deleteObject,
    reads: ["versionId"],
    takes: [BYPASS, "x-amz-if-match-last-modified-time", "x-amz-if-match-size"],
  },
  "GET attributes": {
    run: getAttributes,
    reads: ["versionId"],
    takes: ["x-amz-max-parts", "x-amz-object-attributes", "x-amz-part-number-marker"],
  },
  "GET tagging": { run: objects.getTagging, reads: ["versionId"] },
  "PUT tagging": { run: objects.putTagging, reads: ["versionId"] },
  "DELETE tagging": { run: objects.putTagging, reads: ["versionId"] },
  "POST uploads": { run: uploads.createUpload, takes: DESCRIBING },
  "PUT uploadId": { run: uploads.uploadPart, reads: ["partNumber"] },
  "POST uploadId": { run: uploads.finishUpload, takes: ["x-amz-mp-object-size"] },
  "DELETE uploadId": { run: uploads.dropUpload },
  "GET uploadId": { run: uploads.listParts, reads: ["encoding-type", "max-parts", "part-number-marker"] },
};

/** Returns true for a parameter without meaning for the operation; presigning may add some that begin with `x-`. */
export function isAside(name: string): boolean {
  return SIGNATURE_PARAMETERS.has(name) || isMovedHeader(name) || /^x-(?!amz-)/.test(name);
}

/** Returns the operation of a request. */
export function operationOf(
  { method, key, query, headers }: Pick<S3Request, "method" | "key" | "query" | "headers">,
): Operation["run"] {
  const operations = key === "" ? OF_BUCKET : OF_OBJECT;
  const names = query.keys().filter((name) => !isAside(name)).toArray();
  const named = names.find((name) => Object.hasOwn(operations, `${method} ${name}`));
  const found = operations[named === undefined ? method : `${method} ${named}`];
  const rest = names.filter((name) => name !== named && !found?.reads?.includes(name));
  if (found !== undefined && rest.length === 0) {
    checkTaken(headers, found.takes ?? []);
    return found.run;
  }
  throw new S3Error("NotImplemented", `"${[method, ...names].join(" ")}" is not implemented by this server`);
}
