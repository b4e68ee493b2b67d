/**
 * S3 over the buckets of this machine: from a request to an answer.
 * Operations: https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html
 *
 * @module
 */
import * as fs from "node:fs";
import { drain } from "./body.ts";
import { Bucket } from "./bucket.ts";
import * as buckets from "./buckets.ts";
import { diskError, S3Error } from "./error.ts";
import { isAbsent } from "./files.ts";
import { isEmpty } from "./list.ts";
import * as objects from "./objects.ts";
import { type Call, emptyResponse, xmlResponse } from "./request.ts";
import { authenticate, decodePart, type SignedRequest } from "./signature.ts";
import * as uploads from "./uploads.ts";
import { xmlDocument } from "./xml.ts";

/** What an access key is good for. */
export interface Account {
  readonly secretAccessKey: string;
  /** The buckets that it opens, be they there or not. */
  opens(bucket: string): boolean;
  /** Their names, for `ListBuckets`. */
  buckets(): readonly string[] | Promise<readonly string[]>;
  /** Buckets that it opens may be made and removed over S3. @default {false} */
  readonly mayMakeBuckets?: boolean;
}

/** What is served. */
export interface S3Options {
  readonly region: string;
  /** What an access key is good for; `undefined` for one that there is not. */
  readonly account: (accessKeyId: string) => Account | undefined | Promise<Account | undefined>;
  /** Where a bucket is, or would be. */
  readonly directoryOf: (bucket: string) => string;
  readonly now?: () => Date;
  /** Told of what is no fault of the request. */
  readonly onError?: (error: unknown) => void;
}

/** Answers a request; `target` is its path and query as they were sent, which a `URL` would change. */
export type S3Handler = (request: Request, target: string) => Promise<Response>;

/** The handler of all requests. */
export function s3Handler(options: S3Options): S3Handler {
  return async (request, target) => {
    const id = crypto.randomUUID().replaceAll("-", "").slice(0, 16).toUpperCase();
    let response: Response;
    try {
      response = request.method === "OPTIONS" ? preflight(request) : await answer(options, request, target);
    } catch (error) {
      if (request.body !== null && !request.body.locked) await drain(request.body[Symbol.asyncIterator]());
      response = errorResponse(error, request, target, id, options);
    }
    response.headers.set("x-amz-request-id", id);
    response.headers.set("server", "forkstack");
    if (request.headers.has("origin")) {
      response.headers.set("access-control-allow-origin", "*"); // a signature opens a bucket, never a cookie
      response.headers.set("access-control-expose-headers", "*");
    }
    return response;
  };
}

/** A browser asks before it sends a presigned upload. */
function preflight(request: Request): Response {
  return new Response(null, {
    status: 204,
    headers: {
      "access-control-allow-methods": "GET, HEAD, PUT, POST, DELETE",
      "access-control-allow-headers": request.headers.get("access-control-request-headers") ?? "*",
      "access-control-max-age": "3600",
    },
  });
}

function errorResponse(error: unknown, request: Request, target: string, id: string, options: S3Options): Response {
  let known = diskError(error);
  if (!(known instanceof S3Error)) {
    options.onError?.(error);
    known = new S3Error("InternalError", "We encountered an internal error. Please try again.");
  }
  const { code, message, details, status } = known as S3Error;
  const headers = {
    "content-type": "application/xml",
    ...(details.Region && { "x-amz-bucket-region": details.Region }),
  };
  if (request.method === "HEAD") return new Response(null, { status, headers });
  const content = { Code: code, Message: message, ...details, Resource: target.split("?")[0], RequestId: id };
  return new Response(xmlDocument("Error", content), { status, headers });
}

async function answer(options: S3Options, request: Request, target: string): Promise<Response> {
  const [path, search = ""] = splitOnce(target, "?");
  const query = search === "" ? [] : search.split("&").map((pair) => {
    const [name, value = ""] = splitOnce(pair.replaceAll("+", "%20"), "=");
    return [decodePart(name), decodePart(value)] as const;
  });
  const signed: SignedRequest = { method: request.method, path, query, headers: request.headers };
  let account: Account | undefined;
  const now = options.now ?? (() => new Date());
  const { payload } = await authenticate(signed, {
    region: options.region,
    now,
    secretOf: async (accessKeyId) => (account = await options.account(accessKeyId))?.secretAccessKey,
  });
  const [bucketPart, keyPart = ""] = splitOnce(path.slice(1), "/");
  const [name, key] = [decodePart(bucketPart), decodePart(keyPart)];
  if (name === "") return await listBuckets(options, account!, request.method);
  if (!account!.opens(name)) throw new S3Error("AccessDenied", "Access Denied");
  const byName = new Map(query);
  if (key === "" && byName.size === byName.keys().filter((one) => one === "x-id").toArray().length) {
    if (request.method === "PUT") return makeBucket(options, account!, name);
    if (request.method === "DELETE") return removeBucket(options, account!, name);
  }
  const bucketOf = (name: string) => {
    if (!account!.opens(name)) throw new S3Error("AccessDenied", "Access Denied");
    return needBucket(options, name);
  };
  const call: Call = {
    method: request.method,
    bucket: bucketOf(name),
    key,
    query: byName,
    headers: request.headers,
    stream: request.body,
    payload,
    region: options.region,
    now: now(),
    bucketOf,
  };
  if ((byName.get("versionId") ?? "null") !== "null") {
    throw new S3Error("InvalidArgument", "Invalid version id specified: the bucket has no versions");
  }
  return await (key === "" ? bucketOperation(call) : objectOperation(call))(call);
}

type Operation = (call: Call) => Response | Promise<Response>;

/** Queries that name an operation; without one it is the plain one. */
const SUBRESOURCES = new Set([
  ...[
    "accelerate",
    "acl",
    "analytics",
    "attributes",
    "cors",
    "delete",
    "encryption",
    "intelligent-tiering",
    "inventory",
  ],
  ...["legal-hold", "lifecycle", "location", "logging", "metrics", "notification", "object-lock", "ownershipControls"],
  ...["policy", "policyStatus", "publicAccessBlock", "replication", "requestPayment", "restore", "retention", "select"],
  ...["tagging", "torrent", "uploads", "uploadId", "versioning", "versions", "website"],
]);

function bucketOperation(call: Call): Operation {
  switch (operationOf(call)) {
    case "HEAD":
      return buckets.headBucket;
    case "GET":
      return call.query.get("list-type") === "2" ? buckets.listObjects : buckets.listObjectsV1;
    case "GET location":
      return buckets.getLocation;
    case "GET uploads":
      return uploads.listUploads;
    case "GET versions":
      return buckets.listVersions;
    case "GET versioning":
      return () => xmlResponse("VersioningConfiguration", "");
    case "GET object-lock":
      return () => {
        const message = "Object Lock configuration does not exist for this bucket";
        throw new S3Error("ObjectLockConfigurationNotFoundError", message);
      };
    case "GET tagging":
      return () => {
        throw new S3Error("NoSuchTagSet", "The TagSet does not exist");
      };
    case "POST delete":
      return buckets.deleteObjects;
  }
  throw notImplemented(call);
}

function objectOperation(call: Call): Operation {
  switch (operationOf(call)) {
    case "GET":
    case "HEAD":
      return objects.getObject;
    case "PUT":
      return call.headers.has("x-amz-copy-source") ? objects.copyObject : objects.putObject;
    case "DELETE":
      return objects.deleteObject;
    case "GET tagging":
      return objects.getTagging;
    case "PUT tagging":
    case "DELETE tagging":
      return objects.putTagging;
    case "POST uploads":
      return uploads.createUpload;
    case "PUT uploadId":
      return uploads.uploadPart;
    case "POST uploadId":
      return uploads.finishUpload;
    case "DELETE uploadId":
      return uploads.dropUpload;
    case "GET uploadId":
      return uploads.listParts;
  }
  throw notImplemented(call);
}

function operationOf({ method, query }: Call): string {
  const named = query.keys().filter((name) => SUBRESOURCES.has(name)).toArray();
  return [method, ...named].join(" ");
}

function notImplemented(call: Call): S3Error {
  if (/^(GET|HEAD|PUT|POST|DELETE)$/.test(call.method)) {
    return new S3Error("NotImplemented", `"${operationOf(call)}" is not implemented by this server`);
  }
  return new S3Error("MethodNotAllowed", "The specified method is not allowed against this resource.");
}

function findBucket(options: S3Options, name: string): Bucket | undefined {
  try {
    const root = fs.realpathSync.native(options.directoryOf(name)); // a bucket itself may be a link
    return fs.statSync(root).isDirectory() ? new Bucket(name, root) : undefined;
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}

function needBucket(options: S3Options, name: string): Bucket {
  const bucket = findBucket(options, name);
  if (bucket !== undefined) return bucket;
  throw new S3Error("NoSuchBucket", "The specified bucket does not exist", { BucketName: name });
}

async function listBuckets(options: S3Options, account: Account, method: string): Promise<Response> {
  if (method !== "GET") throw new S3Error("MethodNotAllowed", "The specified method is not allowed here.");
  const found = (await account.buckets()).filter((name) => findBucket(options, name) !== undefined);
  const Bucket = found.sort().map((Name) => ({
    Name,
    CreationDate: fs.statSync(options.directoryOf(Name)).birthtime.toISOString(),
  }));
  return xmlResponse("ListAllMyBucketsResult", { Owner: { ID: "forkstack" }, Buckets: { Bucket } });
}

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html */
const BUCKET_NAME = /^(?!\d+\.\d+\.\d+\.\d+$)(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;

function makeBucket(options: S3Options, account: Account, name: string): Response {
  if (!BUCKET_NAME.test(name)) throw new S3Error("InvalidBucketName", "The specified bucket is not valid.");
  if (findBucket(options, name) !== undefined) {
    throw new S3Error("BucketAlreadyOwnedByYou", "The bucket you tried to create already exists, and you own it.", {
      BucketName: name,
    });
  }
  if (!account.mayMakeBuckets) throw new S3Error("AccessDenied", "Access Denied: `forkstack new` makes buckets");
  fs.mkdirSync(options.directoryOf(name), { mode: 0o700 });
  return emptyResponse(200, { location: `/${name}` });
}

function removeBucket(options: S3Options, account: Account, name: string): Response {
  const bucket = needBucket(options, name);
  if (!account.mayMakeBuckets) throw new S3Error("AccessDenied", "Access Denied: `forkstack delete` removes buckets");
  if (!isEmpty(bucket)) throw new S3Error("BucketNotEmpty", "The bucket you tried to delete is not empty");
  fs.rmSync(bucket.root, { recursive: true, force: true });
  return emptyResponse(204);
}

function splitOnce(text: string, separator: string): [string, string?] {
  const at = text.indexOf(separator);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + separator.length)];
}
