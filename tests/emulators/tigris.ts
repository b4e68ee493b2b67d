/**
 * Tigris: the S3 emulator with snapshots and forks of whole buckets by headers, deletion of full buckets, and the IAM
 * endpoint that makes keys for single buckets. As ../shared/vendors/storage-and-secrets.md has it, section 1.
 */
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { S3Error } from "../../core/s3/error.ts";
import type { S3Handler } from "../../core/s3/server.ts";
import { authenticate } from "../../core/s3/signature.ts";
import { temporaryDirectory } from "../helpers.ts";
import { type Aws, type AwsOptions, failed, serveAws, xml } from "./aws_s3.ts";

interface Key {
  readonly id: string;
  readonly secret: string;
  readonly name: string;
  readonly bucket: string;
}

interface Snapshot {
  /** Nanoseconds since 1970. */
  readonly version: bigint;
  readonly label: string;
  readonly path: string;
}

export interface TigrisOptions extends AwsOptions {
  /** A store that knows nothing of Tigris's headers, but on HEAD of parents. */
  readonly isDeaf?: boolean;
  /** The key may make no other keys. */
  readonly mayMakeKeys?: boolean;
  /**
   * The client is in another region than the buckets: it reads as it was before the last write, unless that write and the
   * read asked for consistency. https://www.tigrisdata.com/docs/objects/consistency/ @default {true}
   */
  readonly isElsewhere?: boolean;
  /**
   * Reads until a new fork's origin, a new snapshot, new tags and a new name in a list show, even so:
   * the vendor's own tests wait 5 to 20 s for each. @default {1}
   */
  readonly settling?: number;
}

/** Reads of a client elsewhere that are of before the last write. */
const OLD_LOOKS = 4;
const CONSISTENT = "x-tigris-consistent";

export interface Tigris extends Aws {
  /** Buckets that snapshots can be taken of, and what they are forks of. */
  readonly kinds: Map<string, { readonly source?: string; readonly snapshot?: string }>;
  readonly snapshots: Map<string, Snapshot[]>;
  readonly keys: Map<string, Key>;
  /** Takes a snapshot as of an instant. */
  keep(bucket: string, at: number, label?: string): string;
}

/** Starts it on a free port; its IAM endpoint is at the same address. */
export async function serveTigris(options: TigrisOptions = {}): Promise<Tigris> {
  const { accessKeyId = "test-key", secretAccessKey = "test-secret", isDeaf, mayMakeKeys = true } = options;
  const { isElsewhere = true, settling = 1 } = options;
  const kinds: Tigris["kinds"] = new Map();
  const snapshots: Tigris["snapshots"] = new Map();
  const keys: Tigris["keys"] = new Map();
  const kept = temporaryDirectory("forkstack-tigris-");
  /** Further reads that do not show a thing, by its name; `isAsked`: the write asked for consistency. */
  const unseen = new Map<string, { looks: number; readonly isAsked: boolean }>();
  const oldTags = new Map<string, Record<string, string> | undefined>();
  const wrote = ({ headers }: Pick<Request, "headers">, looks: number, ...what: readonly string[]) => {
    const isAsked = !isElsewhere || headers.get(CONSISTENT) === "true";
    for (const one of what) unseen.set(one, { looks: isAsked ? looks : looks + OLD_LOOKS, isAsked });
  };
  /** Returns true if a read shows the last write: one elsewhere that does not ask for consistency is of before. */
  const shows = ({ headers }: Pick<Request, "headers">, what: string): boolean => {
    const recent = unseen.get(what);
    if (recent === undefined) return true;
    const isOfNow = !isElsewhere || headers.get(CONSISTENT) === "true";
    const isShown = isOfNow ? recent.looks <= 0 : recent.looks <= -OLD_LOOKS;
    recent.looks--;
    return isShown;
  };

  const front = (inner: S3Handler): S3Handler => async (request, target) => {
    const response = await lagging(inner, request, target);
    const bucket = decodeURIComponent(target.split("?")[0]!.split("/")[1] ?? "");
    const isBucket = /^\/[^/?]+\/?(\?|$)/.test(target);
    if (!isBucket || !response.ok) return response;
    if (request.method === "DELETE") {
      for (const what of ["", " origin", " listed", " tags"]) unseen.delete(bucket + what);
    }
    return response;
  };

  /** As the place sees it where the client asks. */
  async function lagging(inner: S3Handler, request: Request, target: string): Promise<Response> {
    const [path, search = ""] = target.split("?") as [string, string?];
    const bucket = decodeURIComponent(path.split("/")[1] ?? "");
    const isTagging = /(^|&)tagging(=|&|$)/.test(search);
    const isRead = request.method === "GET" || request.method === "HEAD";
    const isJson = request.headers.get("accept") === "application/json";
    if (path === "/" && isRead && !isJson) return await listed(await told(inner)(request, target), request);
    if (isTagging && request.method === "PUT") {
      const before = running.tags.get(bucket);
      const response = await told(inner)(request, target);
      if (!response.ok) return response;
      oldTags.set(bucket, before);
      wrote(request, settling, `${bucket} tags`);
      return response;
    }
    const response = await told(inner)(request, target);
    if (!response.ok || bucket === "") return response;
    if (isRead && !shows(request, bucket)) {
      await response.body?.cancel();
      return failed(404, path.split("/").slice(2).join("") === "" ? "NoSuchBucket" : "NoSuchKey", request);
    }
    if (isTagging && request.method === "GET" && !shows(request, `${bucket} tags`)) {
      await response.body?.cancel();
      const Tag = Object.entries(oldTags.get(bucket) ?? {}).map(([Key, Value]) => ({ Key, Value }));
      return Tag.length === 0 ? failed(404, "NoSuchTagSet", request) : xml("Tagging", { TagSet: { Tag } });
    }
    return response;
  }

  /** A list of buckets or snapshots without those that are too new. */
  async function listed(response: Response, request: Request): Promise<Response> {
    if (!response.ok) return response;
    const of = request.headers.get("x-tigris-snapshot");
    const text = (await response.text()).replace(/<Bucket>.*?<\/Bucket>/gs, (one) => {
      const name = /<Name>([^<;]*)/.exec(one)![1]!;
      return shows(request, of === null ? `${name} listed` : `${of} ${name}`) ? one : "";
    });
    return new Response(text, response);
  }

  const told = (inner: S3Handler): S3Handler => async (request, target) => {
    const [path, search = ""] = target.split("?") as [string, string?];
    if (path === "/" && request.method === "POST") return await iam(request, search);
    const bucket = decodeURIComponent(path.split("/")[1] ?? "");
    const isPlain = path.split("/").slice(2).join("/") === "" && search.replace(/x-id=\w+/, "") === "";
    if (!isDeaf && request.method === "GET" && request.headers.get("accept") === "application/json") {
      const checked = await inner(request, target);
      if (checked.status !== 501) return checked; // S3 has no such query: its signature is right
      await checked.body?.cancel();
      return asJson(request, bucket, new URLSearchParams(search));
    }
    const header = (name: string) => isDeaf ? null : request.headers.get(name);
    if (bucket === "" && header("x-tigris-snapshot") !== null) {
      const checked = await inner(request, target);
      if (!checked.ok) return checked;
      await checked.body?.cancel();
      const Bucket = (snapshots.get(header("x-tigris-snapshot")!) ?? []).map(({ version, label }) => ({
        Name: label === "" ? String(version) : `${version}; name=${label}`,
        CreationDate: new Date(Number(version / 1_000_000n)).toISOString(),
      }));
      return xml("ListAllMyBucketsResult", { Owner: { ID: "us" }, Buckets: { Bucket } });
    }
    if (!isPlain || bucket === "") return await inner(request, target);
    if (request.method === "PUT") return await put(inner, request, target, bucket, header);
    const response = await inner(request, target);
    if (request.method === "HEAD" && response.ok) {
      const kind = kinds.get(bucket);
      if (kind !== undefined) response.headers.set("x-tigris-enable-snapshot", "true");
      if (kind?.source !== undefined && !isDeaf && shows(request, `${bucket} origin`)) {
        response.headers.set("x-tigris-fork-source-bucket", kind.source);
        response.headers.set("x-tigris-fork-source-bucket-snapshot", kind.snapshot!);
      }
    }
    if (request.method !== "DELETE") return response;
    const isForced = response.status === 409 && header("tigris-force-delete") === "true";
    if (isForced) {
      await response.body?.cancel();
      rmSync(join(running.directory, bucket), { recursive: true });
      running.tags.delete(bucket);
    } else if (!response.ok) return response;
    kinds.delete(bucket);
    return isForced ? new Response(null, { status: 204 }) : response;
  };

  /** Requests of the vendor's SDK beyond S3: @tigrisdata/storage 3.21, `listBuckets`, `listForks`, `getBucketInfo`. */
  function asJson(request: Request, bucket: string, query: URLSearchParams): Response {
    const createdAt = (name: string) => statSync(join(running.directory, name)).birthtime.toISOString();
    const forksOf = (name: string) =>
      [...kinds].filter(([fork, { source }]) => source === name && shows(request, `${fork} origin`));
    const parentsOf = (name: string) => {
      const { source, snapshot } = kinds.get(name) ?? {};
      if (source === undefined || !shows(request, `${name} origin`)) return [];
      const SnapshotCreatedAt = new Date(Number(BigInt(snapshot!) / 1_000_000n)).toISOString();
      return [{ BucketName: source, ForkCreatedAt: createdAt(name), Snapshot: snapshot, SnapshotCreatedAt }];
    };
    if (bucket !== "") {
      if (!query.has("metadata")) return failed(400, "InvalidArgument", request);
      if (!existsSync(join(running.directory, bucket)) || !shows(request, bucket)) {
        return failed(404, "NoSuchBucket", request);
      }
      const ForkInfo = { HasChildren: forksOf(bucket).length > 0, Parents: parentsOf(bucket) };
      const isRelated = ForkInfo.HasChildren || ForkInfo.Parents.length > 0;
      const type = kinds.has(bucket) ? 1 : 0;
      return Response.json({ name: bucket, storage_class: "STANDARD", type, ...(isRelated ? { ForkInfo } : {}) });
    }
    const known = /^(Include(Visibility|OwnerInfo|RegionsInfo|TypeInfo|ForkInfo)|max-buckets|continuation-token)$/;
    if ([...query.keys()].some((name) => !known.test(name))) return failed(501, "NotImplemented", request);
    const source = request.headers.get("x-tigris-fork");
    const all = source === null ? readdirSync(running.directory).sort() : forksOf(source).map(([fork]) => fork);
    const size = Math.min(Number(query.get("max-buckets") ?? 1_000), options.pageSize ?? 1_000);
    const after = query.get("continuation-token") ?? "";
    const left = all.filter((name) => name > after && shows(request, `${name} listed`));
    const Bucket = left.slice(0, size).map((Name) => ({
      Name,
      CreationDate: createdAt(Name),
      Regions: "",
      Visibility: { IsPublic: false },
    }));
    const ContinuationToken = left.length > size ? Bucket.at(-1)!.Name : "";
    return Response.json({ Owner: { ID: "us", DisplayName: "us" }, Buckets: { Bucket }, ContinuationToken });
  }

  /** A bucket is made also with the headers that the vendor's SDK adds and S3 lacks: the answer is of one that checked all else. */
  async function created(response: Response, request: Request, bucket: string): Promise<Response> {
    const isOwn = request.headers.has("x-amz-acl-public-list-objects-enabled");
    if (response.status !== 501 || !isOwn) return response;
    await response.body?.cancel();
    const directory = join(running.directory, bucket);
    if (existsSync(directory)) return failed(409, "BucketAlreadyOwnedByYou", request);
    mkdirSync(directory);
    return new Response(null, { headers: { location: `/${bucket}` } });
  }

  async function put(
    inner: S3Handler,
    request: Request,
    target: string,
    bucket: string,
    header: (name: string) => string | null,
  ): Promise<Response> {
    const [wanted, source] = [header("x-tigris-snapshot"), header("x-tigris-fork-source-bucket")];
    const version = header("x-tigris-fork-source-bucket-snapshot");
    const isThere = existsSync(join(running.directory, bucket));
    const snapshot = snapshots.get(source ?? "")?.find((one) => String(one.version) === version);
    if (snapshot !== undefined && !shows(request, `${source} ${version}`)) {
      return failed(400, "InvalidArgument", request);
    }
    if (source !== null && !isThere && (!kinds.has(source) || snapshot === undefined)) {
      return failed(400, "InvalidArgument", request);
    }
    const response = await created(await inner(request, target), request, bucket);
    if (wanted !== null && response.status === 409) {
      await response.body?.cancel();
      if (!kinds.has(bucket)) return failed(400, "InvalidArgument", request);
      const taken = running.keep(bucket, Date.now(), /name=(.*)/.exec(wanted)?.[1]);
      wrote(request, settling, `${bucket} ${taken}`);
      return new Response(null, { headers: { "x-tigris-snapshot-version": taken } });
    }
    if (!response.ok) return response;
    wrote(request, 0, bucket);
    wrote(request, settling, `${bucket} listed`, `${bucket} origin`);
    if (source !== null) {
      kinds.set(bucket, { source, snapshot: version! });
      cpSync(snapshot!.path, join(running.directory, bucket), { recursive: true });
    } else if (header("x-tigris-enable-snapshot") === "true") kinds.set(bucket, {});
    return response;
  }

  async function iam(request: Request, search: string): Promise<Response> {
    const body = await request.text();
    const query = search.split("&").map((pair) => pair.split("=")).map(([name = "", value = ""]) =>
      [name, value] as const
    );
    try {
      const secretOf = (id: string) => Promise.resolve(id === accessKeyId ? secretAccessKey : undefined);
      const signed = { method: "POST", path: "/", query, headers: request.headers };
      await authenticate(signed, { region: "auto", now: options.now ?? (() => new Date()), secretOf });
    } catch (error) {
      if (error instanceof S3Error) return failed(error.status, error.code, request);
      throw error;
    }
    const form = new URLSearchParams(body);
    if (search === "Action=CreateAccessKeyWithBucketsRole") {
      if (!mayMakeKeys) return failed(403, "AccessDenied", request);
      const { name, buckets_role: [{ bucket, role }] } = JSON.parse(form.get("Req")!);
      if (role !== "Editor" && role !== "ReadOnly") return failed(400, "InvalidArgument", request);
      const id = `tid_${crypto.randomUUID().slice(0, 13)}`;
      const key = { id, secret: `tsec_${crypto.randomUUID()}`, name, bucket };
      keys.set(id, key);
      const AccessKey = {
        AccessKeyId: id,
        SecretAccessKey: key.secret,
        UserName: name,
        CreateDate: new Date().toISOString(),
      };
      return Response.json({ CreateAccessKeyResult: { AccessKey } });
    }
    if (form.get("Action") === "DeleteAccessKey") {
      keys.delete(form.get("AccessKeyId")!);
      return Response.json({});
    }
    const all = [...keys.values()];
    const first = Number(form.get("Marker") ?? 0);
    const size = Math.min(options.pageSize ?? 1_000, Number(form.get("MaxItems")));
    const Keys = all.slice(first, first + size).map(({ id, name, bucket }) => ({
      access_key_id: id,
      username: name,
      status: "active",
      buckets_role: [{ bucket, role: "Editor" }],
    }));
    const isMore = first + size < all.length;
    return Response.json({ IsTruncated: isMore, Marker: isMore ? String(first + size) : "", Keys });
  }

  const otherKeys = (id: string) => {
    const key = keys.get(id);
    const opens = (bucket: string) => bucket === key?.bucket;
    return key && { secretAccessKey: key.secret, opens, buckets: () => [key.bucket] };
  };
  const aws = await serveAws({ ...options, region: "auto", front, otherKeys });
  const running: Tigris = Object.assign(aws, {
    kinds,
    snapshots,
    keys,
    keep(bucket: string, at: number, label = "") {
      const all = snapshots.get(bucket) ?? [];
      const version = BigInt(at) * 1_000_000n + BigInt(all.length);
      const path = join(kept.path, `${bucket}@${version}`);
      cpSync(join(running.directory, bucket), path, { recursive: true });
      snapshots.set(bucket, [...all, { version, label, path }]);
      return String(version);
    },
  });
  const end = aws[Symbol.asyncDispose].bind(aws);
  running[Symbol.asyncDispose] = async () => {
    await end();
    kept[Symbol.dispose]();
  };
  return running;
}
