/**
 * The S3 server for the buckets of this machine. Operations:
 * https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html
 *
 * @module
 */
import * as fs from "node:fs";
import { drain } from "./body.ts";
import { Bucket } from "./bucket.ts";
import { allowOrigin, preflight } from "./cors.ts";
import { diskError, S3Error } from "./error.ts";
import { checkHonoured, withMoved } from "./headers.ts";
import { isEmpty } from "./list.ts";
import { isAside, operationOf } from "./operations.ts";
import { isAbsent, isUnlinked, linked, makeReal, realBelow, statOf } from "./paths.ts";
import { checkVersion, emptyResponse, OWNER, pageLimit, type S3Request, xmlResponse } from "./request.ts";
import { authenticate } from "./signature.ts";
import { decodePart, type SignedRequest } from "./sigv4.ts";

/** The rights of an access key. */
export interface AccessGrant {
  readonly secretAccessKey: string;
  /** Returns true for buckets to which it has access, whether they exist or not. */
  opens(bucket: string): boolean;
  /** Lists their names, for `ListBuckets`. */
  buckets(): readonly string[] | Promise<readonly string[]>;
  /** True if it may create and remove these buckets over S3. @default {false} */
  readonly mayMakeBuckets?: boolean;
}

/** Options of the server. */
export interface S3Options {
  readonly region: string;
  /** Returns the rights of an access key; `undefined` if it does not exist. */
  readonly account: (accessKeyId: string) => AccessGrant | undefined | Promise<AccessGrant | undefined>;
  /** Returns the directory of a bucket, existing or not. */
  readonly directoryOf: (bucket: string) => string;
  /** The directory of all buckets; no link below it is followed. */
  readonly root: string;
  /** Origins whose pages may read answers in a browser, e.g. `http://localhost:5173`. @default {[]} */
  readonly origins?: readonly string[];
  readonly now?: () => Date;
  /** Called with errors that no request has caused. */
  readonly onError?: (error: unknown) => void;
}

/** Answers a request; `target` is its path and query as they were sent, which a `URL` would change. */
export type S3Handler = (request: Request, target: string) => Promise<Response>;

/** Creates the handler of all requests. */
export function s3Handler(options: S3Options): S3Handler {
  return async (request, target) => {
    const id = crypto.randomUUID().replaceAll("-", "").slice(0, 16).toUpperCase();
    let response: Response;
    try {
      response = request.method === "OPTIONS"
        ? preflight(request.headers, options.origins ?? [])
        : await answer(options, request, target);
    } catch (error) {
      const isSent = request.body !== null && !request.body.locked && !request.headers.has("expect");
      if (isSent) await drain(request.body[Symbol.asyncIterator]());
      response = errorResponse(knownError(error, options), request, target, id);
    }
    response.headers.set("x-amz-request-id", id);
    response.headers.set("server", "forkstack");
    allowOrigin(request.headers, response.headers, options.origins ?? []);
    return response;
  };
}

/** Returns the S3 error for an error; an unknown one is passed to `onError`. */
function knownError(error: unknown, { onError }: S3Options): S3Error {
  const known = diskError(error);
  if (known instanceof S3Error) return known;
  onError?.(error);
  return new S3Error("InternalError", "We encountered an internal error. Please try again.");
}

function errorResponse(error: S3Error, request: Request, target: string, id: string): Response {
  const { code, message, details, status } = error;
  const headers: Record<string, string> = details.Region === undefined ? {} : { "x-amz-bucket-region": details.Region };
  if (request.method === "HEAD") {
    return new Response(null, { status, headers: { "content-type": "application/xml", ...headers } });
  }
  const content = { Code: code, Message: message, ...details, Resource: target.split("?")[0], RequestId: id };
  return xmlResponse("Error", content, status, headers);
}

async function answer(options: S3Options, request: Request, target: string): Promise<Response> {
  if (!target.startsWith("/")) throw new S3Error("InvalidURI", "Couldn't parse the specified URI");
  const [path, search = ""] = splitOnce(target, "?");
  const query = search === "" ? [] : search.split("&").map((pair) => {
    const [name, value = ""] = splitOnce(pair.replaceAll("+", "%20"), "=");
    return [decodePart(name), decodePart(value)] as const;
  });
  const signed: SignedRequest = { method: request.method, path, query, headers: request.headers };
  let account: AccessGrant | undefined;
  const now = options.now ?? (() => new Date());
  const { payload } = await authenticate(signed, {
    region: options.region,
    now,
    secretOf: async (accessKeyId) => (account = await options.account(accessKeyId))?.secretAccessKey,
  });
  const headers = withMoved(request.headers, query);
  checkHonoured(headers);
  const byName = new Map(query);
  if (byName.size !== query.length) throw new S3Error("InvalidArgument", "A parameter was given more than once");
  if (path === "/") return await listBuckets(options, account!, request.method, byName);
  const [bucketPart, keyPart = ""] = splitOnce(path.slice(1), "/");
  const [name, key] = [decodePart(bucketPart), decodePart(keyPart)];
  if (!account!.opens(name)) throw new S3Error("AccessDenied", "Access Denied");
  if (key === "" && byName.keys().every(isAside)) {
    if (request.method === "PUT") return makeBucket(options, account!, name);
    if (request.method === "DELETE") return removeBucket(options, account!, name);
  }
  const bucketOf = (name: string) => {
    if (!account!.opens(name)) throw new S3Error("AccessDenied", "Access Denied");
    return needBucket(options, name);
  };
  const call: S3Request = {
    method: request.method,
    bucket: bucketOf(name),
    key,
    query: byName,
    headers,
    stream: request.body,
    payload,
    region: options.region,
    origins: options.origins ?? [],
    now: now(),
    bucketOf,
  };
  const operation = operationOf(call);
  checkVersion(byName.get("versionId"));
  return await operation(call);
}

function findBucket(options: S3Options, name: string): Bucket | undefined {
  try {
    const root = realBelow(options.root, options.directoryOf(name));
    const found = statOf(root);
    if (found === undefined) return undefined;
    if (!found.isDirectory() || !isUnlinked(root)) throw linked(name);
    return new Bucket(name, root);
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

const LIST_READS = ["bucket-region", "continuation-token", "max-buckets", "prefix"];
const MAX_BUCKETS = 10_000;

async function listBuckets(
  options: S3Options,
  account: AccessGrant,
  method: string,
  query: ReadonlyMap<string, string>,
): Promise<Response> {
  if (method !== "GET") throw new S3Error("MethodNotAllowed", "The specified method is not allowed here.");
  if (!query.keys().every((name) => isAside(name) || LIST_READS.includes(name))) {
    throw new S3Error("NotImplemented", "A parameter of the list of buckets is not implemented by this server");
  }
  const [region, prefix = ""] = [query.get("bucket-region"), query.get("prefix")];
  const limit = pageLimit(query.get("max-buckets"), "max-buckets", MAX_BUCKETS);
  const token = query.get("continuation-token");
  const names = [...await account.buckets()].sort().filter((name) =>
    name.startsWith(prefix) && name > (token ?? "") && (region ?? options.region) === options.region
  );
  const found = names.flatMap((name) => findBucket(options, name) ?? []);
  return xmlResponse("ListAllMyBucketsResult", {
    Owner: OWNER,
    Buckets: {
      Bucket: found.slice(0, limit).map(({ name, root }) => ({
        Name: name,
        CreationDate: fs.statSync(root).birthtime.toISOString(),
        BucketRegion: options.region,
      })),
    },
    Prefix: query.get("prefix"),
    ContinuationToken: found.length > limit ? found[limit - 1]!.name : undefined,
  });
}

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html */
const BUCKET_NAME = /^(?!\d+\.\d+\.\d+\.\d+$)(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;

function makeBucket(options: S3Options, account: AccessGrant, name: string): Response {
  if (!BUCKET_NAME.test(name)) throw new S3Error("InvalidBucketName", "The specified bucket is not valid.");
  if (findBucket(options, name) !== undefined) {
    throw new S3Error("BucketAlreadyOwnedByYou", "The bucket you tried to create already exists, and you own it.", {
      BucketName: name,
    });
  }
  if (!account.mayMakeBuckets) throw new S3Error("AccessDenied", "Access Denied: `forkstack new` makes buckets");
  makeReal(fs.realpathSync.native(options.root), realBelow(options.root, options.directoryOf(name)));
  return emptyResponse(200, { location: `/${name}` });
}

function removeBucket(options: S3Options, account: AccessGrant, name: string): Response {
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
