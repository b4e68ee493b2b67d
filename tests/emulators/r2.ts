/**
 * Cloudflare R2: buckets over REST, objects over S3 without what R2 lacks of it (tags, versions, conditions on copied
 * parts). As ../shared/openapi/cloudflare-r2.json and ../shared/vendors/storage-and-secrets.md have it, section 3, and for
 * what is below a bucket as wrangler 4.86 sends it:
 * https://github.com/cloudflare/workers-sdk/tree/main/packages/wrangler/src/r2
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { Bucket } from "../../core/s3/bucket.ts";
import { isEmpty, listPage } from "../../core/s3/list.ts";
import type { S3Handler } from "../../core/s3/server.ts";
import { failed } from "./aws_s3.ts";
import { type S3Local, serveS3 } from "./s3_local.ts";

export interface R2Options {
  readonly account?: string;
  readonly token?: string;
  readonly tokenId?: string;
  readonly maxBuckets?: number;
  readonly pageSize?: number;
  /** How a name that is taken is answered: which it is, is documented two ways. @default {[409, 10073]} */
  readonly taken?: readonly [status: number, code: number];
  readonly now?: () => number;
}

export interface R2 extends S3Local {
  /** Where REST is spoken; S3 is at `endpoint`. */
  readonly url: string;
  readonly requests: string[];
  readonly temporary: Map<
    string,
    { readonly secret: string; readonly bucket: string; readonly session: string; readonly endsAt: number }
  >;
  handle(request: Request): Promise<Response>;
  intercept?: ((request: Request) => Response | undefined) | undefined;
}

const NAME = /^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/;

/** The settings of a bucket by path, with their first values. */
const SETTINGS: readonly (readonly [RegExp, object])[] = [
  [/^(cors|lifecycle|lock)$/, { rules: [] }],
  [/^domains\/custom$/, { domains: [] }],
  [/^domains\/custom\/[^/]+$/, { enabled: true }],
  [/^(domains\/managed|sippy|local-uploads)$/, { enabled: false }],
];

/** Starts both on free ports. */
export async function serveR2(options: R2Options = {}): Promise<R2> {
  const { account = "0123456789abcdef0123456789abcdef", token = "test-token", tokenId = "test-id" } = options;
  const now = options.now ?? Date.now;
  const temporary: R2["temporary"] = new Map();
  const requests: string[] = [];
  const settings = new Map<string, object>();

  const wrap = (inner: S3Handler): S3Handler => async (request, target) => {
    requests.push(`S3 ${request.method} ${target}`);
    const query = new URLSearchParams(target.split("?")[1]);
    const isLacking = query.has("tagging") || query.has("versions") || request.headers.has("x-amz-tagging") ||
      (query.has("partNumber") && request.headers.has("x-amz-copy-source-if-match"));
    const id = /Credential=([^/]+)/.exec(request.headers.get("authorization") ?? "")?.[1] ?? "";
    const key = temporary.get(id);
    if (key !== undefined && key.session !== request.headers.get("x-amz-security-token")) {
      return failed(403, "AccessDenied", request);
    }
    return isLacking ? failed(501, "NotImplemented", request) : await inner(request, target);
  };
  const s3 = await serveS3({
    wrap,
    region: "auto",
    accessKeyId: tokenId,
    secretAccessKey: createHash("sha256").update(token).digest("hex"),
    others: (id) => {
      const key = temporary.get(id);
      if (key === undefined || key.endsAt <= now()) return undefined;
      return { secretAccessKey: key.secret, opens: (name) => name === key.bucket, buckets: () => [] };
    },
  });

  async function handle(request: Request): Promise<Response> {
    const url = new URL(request.url);
    const path = url.pathname.replace(/^\/client\/v4/, "");
    requests.push(`${request.method} ${path}`);
    const instead = running.intercept?.(request);
    if (instead !== undefined) return instead;
    if (request.headers.get("authorization") !== `Bearer ${token}`) return refusal(403, 10000, "Authentication error");
    if (path === "/graphql" && request.method === "POST") return await measured(request);
    const [, accounts, id, r2, what, name, ...below] = path.split("/").map(decodeURIComponent);
    if (accounts !== "accounts" || id !== account) return refusal(400, 7003, "Could not route");
    if (r2 === "event_notifications" && what === "r2" && request.method === "GET") {
      return success({ bucketName: name, queues: [] });
    }
    if (r2 !== "r2") return refusal(400, 7003, "Could not route");
    if (what === "temp-access-credentials" && request.method === "POST") return temporaryKeys(await request.json());
    if (what !== "buckets") return refusal(400, 7003, "Could not route");
    if (name === undefined) {
      if (request.method === "POST") return make(await request.json());
      return request.method === "GET" ? list(url.searchParams) : refusal(405, 10000, "Method not allowed");
    }
    const directory = join(s3.directory, name);
    if (!NAME.test(name) || !existsSync(directory)) {
      return refusal(404, 10006, "The specified bucket does not exist.");
    }
    const [kind, ...key] = below;
    if (kind === "objects") return await object(request, new Bucket(name, directory), key.join("/"), url.searchParams);
    if (kind !== undefined) return await setting(request, name, below.join("/"));
    switch (request.method) {
      case "GET":
      case "PATCH": // its storage class
        return success(told(name));
      case "DELETE":
        if (!isEmpty(new Bucket(name, directory))) {
          return refusal(409, 10008, "The bucket you tried to delete is not empty.");
        }
        rmSync(directory, { recursive: true });
        for (const one of settings.keys()) if (one.startsWith(`${name} `)) settings.delete(one);
        return success({});
    }
    return refusal(405, 10000, "Method not allowed");
  }

  /** `wrangler r2 bucket info` asks how full a bucket is, which is measured some time later: nothing so far. */
  async function measured(request: Request): Promise<Response> {
    const { query, variables } = await request.json();
    const isKnown = /r2StorageAdaptiveGroups/.test(query) && variables?.accountTag === account;
    if (!isKnown) return Response.json({ data: null, errors: [{ message: "unknown field" }] });
    return Response.json({ data: { viewer: { accounts: [{ r2StorageAdaptiveGroups: [] }] } }, errors: null });
  }

  /** `wrangler r2 object put`, `get` and `delete`, and the list of objects. */
  async function object(request: Request, bucket: Bucket, key: string, query: URLSearchParams): Promise<Response> {
    if (key === "") {
      if (request.method !== "GET") return refusal(405, 10000, "Method not allowed");
      const [prefix, after] = [query.get("prefix") ?? "", query.get("cursor") ?? ""];
      const { keys } = listPage(bucket, {
        prefix,
        delimiter: "",
        after,
        limit: Number(query.get("per_page") ?? 1_000),
      });
      const shown = keys.map((one) => {
        using found = bucket.need(one);
        return { key: one, size: found.sizeBytes, etag: found.meta.etag, storage_class: "Standard" };
      });
      return success(shown, { result_info: { is_truncated: false } });
    }
    switch (request.method) {
      case "GET": {
        using found = bucket.open(key);
        if (found === undefined) return refusal(404, 10007, "The specified key does not exist.");
        const body = found.read(0, found.sizeBytes);
        const bytes = body instanceof Uint8Array ? body : new Uint8Array(await new Response(body).arrayBuffer());
        return new Response(bytes, { headers: { ...found.meta.headers, etag: `"${found.meta.etag}"` } });
      }
      case "PUT": {
        const bytes = new Uint8Array(await request.arrayBuffer());
        const etag = createHash("md5").update(bytes).digest("hex");
        const type = request.headers.get("content-type");
        const headers: Record<string, string> = type === null ? {} : { "content-type": type };
        await bucket.put(key, new Blob([bytes]).stream(), () => ({ etag, modifiedAt: now(), headers }));
        return success({ key, size: `${bytes.length}`, etag, storage_class: "Standard" });
      }
      case "DELETE":
        bucket.delete(key);
        return success({ key });
    }
    return refusal(405, 10000, "Method not allowed");
  }

  /** Keeps a bucket's setting and returns it again; refuses an unknown one, without harm. */
  async function setting(request: Request, bucket: string, path: string): Promise<Response> {
    const key = `${bucket} ${path}`;
    const [standard] = SETTINGS.flatMap(([pattern, value]) => pattern.test(path) ? [value] : []);
    if (standard === undefined) return refusal(404, 7000, "No route for that URI");
    switch (request.method) {
      case "GET":
        return success(settings.get(key) ?? standard);
      case "PUT":
      case "POST":
        settings.set(key, await request.json());
        return success(settings.get(key)!);
      case "DELETE":
        settings.delete(key);
        return success({});
    }
    return refusal(405, 10000, "Method not allowed");
  }

  function make({ name }: { name: string }): Response {
    if (!NAME.test(name)) return refusal(400, 10005, "The specified bucket name is not valid.");
    if (existsSync(join(s3.directory, name))) {
      const [status, code] = options.taken ?? [409, 10073];
      return refusal(status, code, "The bucket you tried to create already exists, and you own it.");
    }
    if (readdirSync(s3.directory).length >= (options.maxBuckets ?? Infinity)) {
      return refusal(400, 10009, "You have attempted to create more buckets than allowed.");
    }
    mkdirSync(join(s3.directory, name));
    return success(told(name));
  }

  function list(query: URLSearchParams): Response {
    const [part, after] = [query.get("name_contains") ?? "", query.get("cursor") ?? ""];
    const size = Math.min(Number(query.get("per_page") ?? 20), options.pageSize ?? 1_000);
    const all = readdirSync(s3.directory).sort().filter((name) => name.includes(part) && name > after);
    const page = all.slice(0, size);
    const more = all.length > size ? { cursor: page.at(-1) } : {};
    return success({ buckets: page.map(told) }, { result_info: { ...more, per_page: size } });
  }

  const told = (name: string) => ({
    name,
    creation_date: statSync(join(s3.directory, name)).birthtime.toISOString(),
    location: "weur",
    storage_class: "Standard",
  });

  function temporaryKeys(
    { bucket, parentAccessKeyId, ttlSeconds }: { bucket: string; parentAccessKeyId: string; ttlSeconds: number },
  ): Response {
    if (parentAccessKeyId !== tokenId) return refusal(403, 10003, "Access Denied");
    if (!existsSync(join(s3.directory, bucket))) return refusal(404, 10006, "The specified bucket does not exist.");
    if (!(ttlSeconds > 0 && ttlSeconds <= 604_800)) return refusal(400, 10040, "Invalid TTL");
    const id = crypto.randomUUID().replaceAll("-", "");
    const key = { secret: `secret-${crypto.randomUUID()}`, bucket, session: `session-${crypto.randomUUID()}` };
    temporary.set(id, { ...key, endsAt: now() + ttlSeconds * 1_000 });
    return success({ accessKeyId: id, secretAccessKey: key.secret, sessionToken: key.session });
  }

  const rest = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, handle);
  const end = s3[Symbol.asyncDispose].bind(s3);
  const running: R2 = Object.assign(s3, {
    url: `http://127.0.0.1:${rest.addr.port}`,
    requests,
    temporary,
    handle,
    async [Symbol.asyncDispose]() {
      await rest.shutdown();
      await end();
    },
  });
  return running;
}

function success(result: object | readonly object[], more: object = {}): Response {
  return Response.json({ success: true, errors: [], messages: [], result, ...more });
}

function refusal(status: number, code: number, message: string): Response {
  const body = { success: false, errors: [{ code, message }], messages: [], result: null };
  return Response.json(body, { status, headers: { "cf-ray": `ray-${crypto.randomUUID().slice(0, 8)}` } });
}
