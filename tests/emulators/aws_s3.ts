/**
 * A front before the local server with what Amazon's S3 has beyond it: tags of buckets, other accounts, pages of
 * buckets, versions and delete markers, Object Lock, quotas.
 */
import { Buffer } from "node:buffer";
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { AccessGrant, S3Handler } from "../../core/s3/server.ts";
import { elements, elementText, parseXml, type Xml, xmlDocument } from "../../core/s3/xml.ts";
import { type S3Local, serveS3 } from "./s3_local.ts";

/** A version that is not the current one. */
interface Version {
  readonly key: string;
  readonly id: string;
  readonly isMarker: boolean;
  readonly isLocked?: boolean;
}

/** Options of the emulator. */
export interface AwsOptions {
  readonly accessKeyId?: string;
  readonly secretAccessKey?: string;
  readonly region?: string;
  readonly maxBuckets?: number;
  /**
   * How tags of buckets are taken: at creation MinIO, SeaweedFS and moto ignore them, later too rclone does; others refuse
   * what they do not know. @default {kept, both}
   */
  readonly tagging?: Readonly<Partial<Record<"atCreation" | "later", "ignored" | "refused">>>;
  /** A second creation of a bucket of ours is answered as the first, as Amazon does in us-east-1. @default {false} */
  readonly isMadeTwice?: boolean;
  /** Buckets on a page of the list. */
  readonly pageSize?: number;
  readonly now?: () => Date;
  /** Further access keys. */
  readonly otherKeys?: (accessKeyId: string) => AccessGrant | undefined;
  /** Behaviour that another vendor has beyond Amazon's. */
  readonly front?: (handler: S3Handler) => S3Handler;
  /** Answers a request before the server; `undefined` passes it on. */
  readonly intercept?: (request: Request, target: string) => Promise<Response | undefined> | Response | undefined;
}

/** A running emulator. */
export interface Aws extends S3Local {
  readonly tags: Map<string, Record<string, string>>;
  /** Names of buckets of other accounts. */
  readonly others: Set<string>;
  readonly versions: Map<string, Version[]>;
  readonly requests: string[];
  intercept?: AwsOptions["intercept"] | undefined;
}

/** Starts the emulator on a free port. */
export async function serveAws(options: AwsOptions = {}): Promise<Aws> {
  const tags = new Map<string, Record<string, string>>();
  const others = new Set<string>();
  const versions = new Map<string, Version[]>();
  const requests: string[] = [];
  const { tagging = {} } = options;
  const isThere = (bucket: string) => existsSync(join(running.directory, bucket));

  const wrap = (inner: S3Handler): S3Handler => async (request, target) => {
    requests.push(`${request.method} ${target}`);
    const instead = await running.intercept?.(request, target);
    if (instead !== undefined) return instead;
    const [path, search = ""] = target.split("?") as [string, string?];
    const [, bucket = "", ...rest] = path.split("/").map(decodeURIComponent);
    const query = new URLSearchParams(search);
    const isBucket = bucket !== "" && rest.join("/") === "";
    if (others.has(bucket)) {
      const isMade = isBucket && request.method === "PUT" && !query.has("tagging");
      return isMade ? failed(409, "BucketAlreadyExists", request) : failed(403, "AccessDenied", request);
    }
    if (bucket === "") return await listed(await inner(request, target), query);
    if (!isBucket) return await inner(request, target);
    const body = request.method === "PUT" || request.method === "POST" ? await request.clone().text() : "";
    if (query.has("tagging")) {
      const checked = await inner(request, target); // its signature and its bucket
      if (checked.status !== 501 && checked.status !== 404) return checked;
      await checked.body?.cancel();
      if (!isThere(bucket)) return failed(404, "NoSuchBucket", request);
      if (request.method === "PUT") {
        if (tagging.later === "refused") return failed(501, "NotImplemented", request);
        if (tagging.later !== "ignored") tags.set(bucket, tagsIn(parseXml(body, "Tagging").TagSet));
        return new Response(null, { status: 204 });
      }
      const known = tags.get(bucket);
      if (known === undefined || Object.keys(known).length === 0) return failed(404, "NoSuchTagSet", request);
      const Tag = Object.entries(known).map(([Key, Value]) => ({ Key, Value }));
      return xml("Tagging", { TagSet: { Tag } });
    }
    if (request.method === "PUT" && search.replace(/x-id=\w+/, "") === "") {
      if (!isThere(bucket) && readdirSync(running.directory).length >= (options.maxBuckets ?? Infinity)) {
        return failed(400, "TooManyBuckets", request);
      }
      if (tagging.atCreation === "refused" && body.includes("<Tags>")) return failed(400, "MalformedXML", request);
      const made = await inner(request, target);
      if (options.isMadeTwice && made.status === 409) {
        await made.body?.cancel();
        return new Response(null, { status: 200 });
      }
      if (made.ok && body !== "" && tagging.atCreation !== "ignored") {
        tags.set(bucket, tagsIn(parseXml(body, "CreateBucketConfiguration").Tags));
      }
      return made;
    }
    if (query.has("versions")) return await withVersions(await inner(request, target), versions.get(bucket) ?? []);
    if (query.has("delete")) {
      const asked = elements(parseXml(body, "Delete"), "Object").map((one) => elementText(one, "VersionId"));
      const old = asked.filter((id) => id !== undefined);
      if (old.length > 0) {
        const [locked, gone] = [true, false].map((is) =>
          (versions.get(bucket) ?? []).filter((one) => old.includes(one.id) && (one.isLocked ?? false) === is)
        );
        versions.set(bucket, (versions.get(bucket) ?? []).filter((one) => !gone!.includes(one)));
        const Error_ = locked!.map(({ key, id }) => ({
          Key: key,
          VersionId: id,
          Code: "AccessDenied",
          Message: "Access Denied because object protected by object lock.",
        }));
        const current = await inner(request, target);
        await current.body?.cancel();
        return xml("DeleteResult", { Error: Error_ }, current.headers.get("x-amz-request-id")!);
      }
    }
    if (request.method === "DELETE" && search.replace(/x-id=\w+/, "") === "") {
      if ((versions.get(bucket)?.length ?? 0) > 0) return failed(409, "BucketNotEmpty", request);
      const removed = await inner(request, target);
      if (removed.ok) tags.delete(bucket);
      return removed;
    }
    return await inner(request, target);
  };

  async function listed(checked: Response, query: URLSearchParams): Promise<Response> {
    if (!checked.ok) return checked;
    await checked.body?.cancel();
    const [prefix, after] = [query.get("prefix") ?? "", query.get("continuation-token") ?? ""];
    const all = readdirSync(running.directory).sort().filter((name) => name.startsWith(prefix) && name > after);
    const size = Math.min(Number(query.get("max-buckets") ?? 10_000), options.pageSize ?? 10_000);
    const page = all.slice(0, size);
    const Bucket = page.map((Name) => ({
      Name,
      CreationDate: statSync(join(running.directory, Name)).birthtime.toISOString(),
    }));
    return xml("ListAllMyBucketsResult", {
      Owner: { ID: "us" },
      Buckets: { Bucket },
      ContinuationToken: all.length > size ? page[page.length - 1] : undefined,
    });
  }

  const { accessKeyId, secretAccessKey, region } = options;
  // Deno's server now and then waits minutes for a connection that is merely kept open.
  const closing = (handler: S3Handler): S3Handler => async (request, target) => {
    const response = await handler(request, target);
    response.headers.set("connection", "close");
    return response;
  };
  const server = await serveS3({
    wrap: (inner) => closing(options.front?.(wrap(inner)) ?? wrap(inner)),
    ...(options.otherKeys && { others: options.otherKeys }),
    ...(accessKeyId === undefined ? {} : { accessKeyId }),
    ...(secretAccessKey === undefined ? {} : { secretAccessKey }),
    ...(region === undefined ? {} : { region }),
    ...(options.now === undefined ? {} : { now: options.now }),
  });
  const running: Aws = Object.assign(server, { tags, others, versions, requests, intercept: options.intercept });
  return running;
}

function tagsIn(of: unknown): Record<string, string> {
  return Object.fromEntries(
    elements((of ?? {}) as Record<string, unknown>, "Tag").map((one) => {
      const [key, value] = [elementText(one, "Key")!, elementText(one, "Value")!];
      if (!/^[\p{L}\p{N} +\-=._:/@]*$/u.test(value)) throw new Error(`a tag can't hold "${value}"`);
      return [key, value];
    }),
  );
}

async function withVersions(current: Response, old: readonly Version[]): Promise<Response> {
  if (!current.ok || old.length === 0) return current;
  const shown = old.map(({ key, id, isMarker }) => {
    const name = isMarker ? "DeleteMarker" : "Version";
    return `<${name}><Key>${key}</Key><VersionId>${id}</VersionId><IsLatest>false</IsLatest></${name}>`;
  });
  const text = (await current.text()).replace("</ListVersionsResult>", `${shown.join("")}</ListVersionsResult>`);
  return new Response(text, { headers: { "content-type": "application/xml" } });
}

/** Returns a document of the vendor's. */
export function xml(root: string, content: Xml, requestId = newRequestId()): Response {
  const headers = { "content-type": "application/xml", "x-amz-request-id": requestId };
  return new Response(xmlDocument(root, content), { headers });
}

/** Returns an error as S3 does; a HEAD has no body. */
export function failed(
  status: number,
  code: string,
  { method }: Pick<Request, "method">,
  details: object = {},
): Response {
  const requestId = newRequestId();
  const headers = { "content-type": "application/xml", "x-amz-request-id": requestId };
  if (method === "HEAD") return new Response(null, { status, headers });
  return new Response(xmlDocument("Error", { Code: code, Message: code, ...details, RequestId: requestId }), {
    status,
    headers,
  });
}

function newRequestId(): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(8))).toString("hex").toUpperCase();
}
