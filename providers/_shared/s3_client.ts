/**
 * The common part of storage providers with an S3 API: AWS's client on top of the HTTP client of forkstack, and its
 * errors explained.
 *
 * - Error codes: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
 */
import { present } from "./fields.ts";
import type {
  $Command,
  S3Client,
  S3ClientResolvedConfig,
  ServiceInputTypes,
  ServiceOutputTypes,
} from "npm:@aws-sdk/client-s3@3.1162.0";
import { loadPackage } from "../../core/system/lazy.ts";
import type { Waiter } from "../../core/system/poll.ts";
import type { Context } from "../../core/provider.ts";
import { type ErrorCode, ForkstackError, isForkstackError } from "../../mod.ts";
import { repeatable } from "../../core/system/repeat.ts";
import { bareEtag, textIn } from "./s3_answers.ts";
import { authorizationOf, sha256 } from "../../core/s3/sigv4.ts";

export type S3 = typeof import("npm:@aws-sdk/client-s3@3.1162.0");

/** An S3 store, with the account that uses it. */
export interface StoreAccount {
  /** The provider's name in forkstack.json. */
  readonly provider: string;
  /** The resource, for errors. */
  readonly resource: string;
  /** URL of the store; absent: Amazon's own of the region. With a URL, the bucket is the first segment of the path. */
  readonly endpoint?: string;
  readonly region: string;
  readonly credentials: {
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
    readonly sessionToken?: string;
  };
  /** Headers of the vendor's own for every request. @default {none} */
  readonly headers?: Readonly<Record<string, string>>;
  /** Hints: the source of the credentials, and the rights that they need. */
  readonly hints: { readonly rejected: string; readonly denied: string };
}

/** Reads the access keys from the process environment. */
export function accessKeysOf(
  { credentials }: Context,
  provider: string,
  resource: string,
  hint: string,
): StoreAccount["credentials"] {
  const [accessKeyId, secretAccessKey, sessionToken] = ["ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN"]
    .map((name) => credentials[`AWS_${name}`]?.reveal());
  if (accessKeyId !== undefined && secretAccessKey !== undefined) {
    return { accessKeyId, secretAccessKey, sessionToken };
  }
  const lacking = accessKeyId === undefined ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY";
  throw new ForkstackError("CREDENTIALS_MISSING", `Cannot use ${provider}: ${lacking} is not set`, {
    hint: `Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; ${hint}`,
    details: { provider, resource },
  });
}

/** The function that the SDK's clients call instead of their own HTTP. */
interface Sent {
  readonly method: string;
  readonly protocol: string;
  readonly hostname: string;
  readonly port?: number;
  readonly path: string;
  readonly query?: Readonly<Record<string, string | readonly string[] | null>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: BodyInit;
}

/** A request that is sent without the SDK. */
interface BareRequest {
  readonly method: "GET" | "PUT";
  /** `bucket/key`, encoded. */
  readonly path: string;
  readonly query: Readonly<Record<string, string | undefined>>;
  /** The root element of the answer's document. */
  readonly root: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A client of one store; commands are those of `npm:@aws-sdk/client-s3`. */
export class Store {
  readonly sdk: S3;
  readonly account: StoreAccount;
  readonly #context: Context;
  readonly #client: S3Client;
  /** The client for keys with a segment `.` or `..`, which a URL cannot hold: `fetch` would send another path. */
  #verbatim: S3Client | undefined;

  private constructor(sdk: S3, context: Context, account: StoreAccount) {
    this.sdk = sdk;
    this.account = account;
    this.#context = context;
    this.#client = clientOf(sdk, account);
  }

  /** The clock and signal for waits. */
  get waiter(): Waiter {
    return this.#context;
  }

  /** Works with a store, and closes its clients at the end. */
  static async with<T>(context: Context, account: StoreAccount, work: (store: Store) => Promise<T>): Promise<T> {
    const store = new Store(await loadPackage<S3>("npm:@aws-sdk/client-s3@3.1162.0"), context, account);
    try {
      return await work(store);
    } finally {
      store.#verbatim?.destroy();
    }
  }

  /**
   * Copies an object, and returns the copy's ETag. With an ETag it does so only if the source still has it. Metadata,
   * content type and tags are copied too.
   */
  async copy(from: string, to: string, key: string, etag?: string): Promise<string> {
    const what = `copy object "${key}" to bucket "${to}"`;
    const source = copySource(from, key);
    if (fitsUrl(key)) {
      const headers = present({ "x-amz-copy-source": source, "x-amz-copy-source-if-match": etag });
      const path = copySource(to, key);
      const query = { "x-id": "CopyObject" };
      return bareEtag(
        textIn(await this.ask({ method: "PUT", path, query, root: "CopyObjectResult", headers }, what), "ETag"),
      );
    }
    const command = new this.sdk.CopyObjectCommand({
      Bucket: to,
      Key: key,
      CopySource: source,
      CopySourceIfMatch: etag,
    });
    return bareEtag((await this.send(command, what)).CopyObjectResult?.ETag);
  }

  /** Sends a request without the SDK, which takes longer than a nearby store; returns the answer's text. */
  async ask({ method, path, query, root, headers: given }: BareRequest, what: string): Promise<string> {
    const { endpoint, region } = this.account;
    const base = endpoint ?? standardEndpoint(region);
    const url = new URL(`${base.replace(/\/$/, "")}/${path}?${new URLSearchParams(present(query))}`);
    const headers = new Headers({ ...this.account.headers, ...given });
    sign(this.account, { method, url, headers }, { aheadMs: this.#client.config.systemClockOffset });
    const request = repeatable(new Request(url, { method, headers, signal: this.#context.signal }), true);
    const response = await this.#context.fetch(request);
    const text = await response.text();
    // A failure after the headers comes as 200 with an error in its body.
    if (response.ok && text.trimEnd().endsWith(`</${root}>`)) return text;
    const [name = "", message = ""] = ["Code", "Message"].map((one) => new RegExp(`<${one}>([^<]*)`).exec(text)?.[1]);
    const brokenOff = name === "" ? 0 : 500;
    throw s3Error(this.account, {
      name: name || "Unknown",
      message,
      $metadata: {
        httpStatusCode: response.ok ? brokenOff : response.status,
        requestId: response.headers.get("x-amz-request-id") ?? undefined,
      },
      $response: { headers: Object.fromEntries(response.headers) },
    }, what);
  }

  /** Sends a command. `what` as in `make bucket "x"`, for the error; `headers` are a vendor's own. */
  async send<Input extends ServiceInputTypes, Output extends ServiceOutputTypes>(
    command: $Command<Input, Output, S3ClientResolvedConfig, ServiceInputTypes, ServiceOutputTypes>,
    what: string,
    headers?: VendorHeaders,
  ): Promise<Output> {
    const { Key: key } = command.input as { Key?: string };
    const isVerbatim = key !== undefined && !fitsUrl(key);
    const { sent, received } = headers ?? {};
    if (headers !== undefined || this.account.headers !== undefined) {
      addHeaders(command, { sent: { ...this.account.headers, ...sent }, received });
    }
    for (let isCorrected = false;;) {
      try {
        if (!isVerbatim) return await this.#client.send(command, { context: this.#context } as object);
        this.#verbatim ??= fencedClient(this.sdk, this.#context, this.account);
        return await this.#verbatim.send(command);
      } catch (error) {
        const { $metadata } = error as { $metadata?: { clockSkewCorrected?: boolean } };
        if (!$metadata?.clockSkewCorrected || isCorrected) throw s3Error(this.account, error, what);
        isCorrected = true; // the SDK goes by the store's clock from now on
      }
    }
  }
}

/**
 * Signs a request for S3, by the machine's own clock, as the SDK does.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
 */
export function sign(
  { credentials, region }: StoreAccount,
  { method, url, headers }: { readonly method: string; readonly url: URL; readonly headers: Headers },
  { body = "", aheadMs = 0 }: { readonly body?: string; readonly aheadMs?: number } = {},
): void {
  const date = new Date(Date.now() + aheadMs).toISOString().replace(/[-:]|\.\d+/g, "");
  headers.set("host", url.host); // signed; fetch sends its own, which is the same
  headers.set("x-amz-date", date);
  headers.set("x-amz-content-sha256", sha256(body));
  if (credentials.sessionToken !== undefined) headers.set("x-amz-security-token", credentials.sessionToken);
  const request = { method, path: url.pathname, query: [...url.searchParams], headers };
  const signing = {
    accessKeyId: credentials.accessKeyId,
    secret: credentials.secretAccessKey,
    date,
    scope: [date.slice(0, 8), region, "s3", "aws4_request"].join("/"),
    signed: [...headers.keys()].filter((name) => name === "host" || name.startsWith("x-amz-")).sort(),
    payloadHash: sha256(body),
  };
  headers.set("authorization", authorizationOf(request, signing));
}

/** Headers of a vendor's own: to send, and to read from the answer. */
export interface VendorHeaders {
  readonly sent?: Readonly<Record<string, string>>;
  /** Receives the headers of the answer. */
  readonly received?: Record<string, string>;
}

function addHeaders<Input extends ServiceInputTypes, Output extends ServiceOutputTypes>(
  command: $Command<Input, Output, S3ClientResolvedConfig, ServiceInputTypes, ServiceOutputTypes>,
  { sent = {}, received = {} }: VendorHeaders,
): void {
  command.middlewareStack.add((next) => async (args) => {
    Object.assign((args.request as Sent).headers, sent);
    const result = await next(args);
    Object.assign(received, (result.response as { headers: Record<string, string> }).headers);
    return result;
  }, { step: "build", name: "forkstackHeaders" }); // before it is signed
}

function configOf({ endpoint, region, credentials }: StoreAccount) {
  return {
    region,
    credentials,
    endpoint,
    forcePathStyle: endpoint === undefined ? undefined : true,
    requestChecksumCalculation: "WHEN_REQUIRED" as const, // other stores than Amazon's do not know the newer ones
    responseChecksumValidation: "WHEN_REQUIRED" as const,
  };
}

/** Creates a client that sends by itself, up to three times; each attempt awaits the fence, as in the HTTP client. */
function fencedClient(sdk: S3, context: Context, account: StoreAccount): S3Client {
  const client = new sdk.S3Client({ ...configOf(account), maxAttempts: 3 });
  client.middlewareStack.add((next) => async (args) => {
    const { method } = args.request as Sent;
    if (method !== "GET" && method !== "HEAD") await context.fence();
    return await next(args);
  }, { step: "finalizeRequest", priority: "low", name: "forkstackFence" }); // within its retries
  return client;
}

const CLIENTS = new Map<string, S3Client>();
const MAX_CLIENTS = 8;

/**
 * Returns the client of an account. Clients are kept, because the first request of each takes ten times as long; they
 * hold no connection.
 */
function clientOf(sdk: S3, account: StoreAccount): S3Client {
  const key = JSON.stringify([account.endpoint, account.region, account.credentials]);
  let client = CLIENTS.get(key);
  if (client === undefined) {
    const requestHandler = { handle: (sent: Sent, { context }: { context: Context }) => answerTo(context, sent) };
    const maxAttempts = 1; // the HTTP client repeats
    client = new sdk.S3Client({
      ...configOf(account),
      maxAttempts,
      defaultUserAgentProvider: () => Promise.resolve([["forkstack"]]), // its own would ask for the system's release
      requestHandler: requestHandler as never,
    });
    CLIENTS.set(key, client);
    const [oldest] = CLIENTS.keys();
    if (CLIENTS.size > MAX_CLIENTS) CLIENTS.delete(oldest!);
  }
  return client;
}

/** Sends the SDK's request. All of S3's requests may be repeated: each sets a state, and none adds to one. */
async function answerTo(context: Context, sent: Sent): Promise<{ response: object }> {
  const { protocol, hostname, port, path, query = {}, method, headers, body } = sent;
  const pairs = Object.entries(query).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value]).map((one) => [name, one].filter((part) => part !== null).map(escaped))
  );
  const search = pairs.map((pair) => pair.join("=")).join("&");
  const host = `${hostname}${port === undefined ? "" : `:${port}`}`;
  const { host: _, "content-length": __, ...own } = headers;
  const request = new Request(`${protocol}//${host}${path}${search === "" ? "" : `?${search}`}`, {
    method,
    headers: own,
    body: body === undefined || method === "GET" || method === "HEAD" ? undefined : body,
    signal: context.signal,
  });
  const response = await context.fetch(repeatable(request, true));
  return {
    response: {
      statusCode: response.status,
      reason: response.statusText,
      headers: Object.fromEntries(response.headers),
      body: response.body ?? new Uint8Array(),
    },
  };
}

/** Returns true if a URL can hold a key; a segment `.` or `..` would change it. */
function fitsUrl(key: string): boolean {
  return !key.split("/").some((segment) => segment === "." || segment === "..");
}

/** Encodes everything but letters, digits and `-_.~`, as SigV4 does. */
function escaped(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** Returns a key in the format of the header `x-amz-copy-source`. */
export function copySource(bucket: string, key: string): string {
  return `${bucket}/${key.split("/").map(escaped).join("/")}`;
}

interface Meaning {
  readonly code: ErrorCode;
  readonly state: string;
  readonly hint: string;
}

const UNKNOWN_REQUEST: Meaning = {
  code: "PROVIDER_REFUSED",
  state: "the store does not know this request",
  hint: "Check that `endpoint` in forkstack.json is the store's S3 API",
};

/** Returns the meaning of Amazon's codes, and of those that other stores use for the same. */
function meaningOf({ hints, region }: StoreAccount, name: string, status: number, where?: string): Meaning {
  const known: Readonly<Record<string, Meaning>> = {
    NoSuchBucket: {
      code: "NOT_FOUND",
      state: "there is no such bucket",
      hint: "Make it, or name another parent with --from",
    },
    InvalidBucketName: {
      code: "NAME_INVALID",
      state: "the store refuses the name",
      hint: "Choose another environment name",
    },
    BucketNotEmpty: {
      code: "CONFLICT",
      state: "something was written to it during the run",
      hint: "Stop what writes there, then run the same command again",
    },
    TooManyBuckets: {
      code: "PLAN_LIMIT",
      state: "the account has reached its limit",
      hint: "Remove unused envs with `forkstack prune`, or raise the quota",
    },
    InvalidAccessKeyId: { code: "CREDENTIALS_REJECTED", state: "the access key is not known", hint: hints.rejected },
    SignatureDoesNotMatch: { code: "CREDENTIALS_REJECTED", state: "the secret key is wrong", hint: hints.rejected },
    ExpiredToken: { code: "CREDENTIALS_REJECTED", state: "the session has expired", hint: hints.rejected },
    RequestTimeTooSkewed: {
      code: "CREDENTIALS_CLOCK",
      state: "the clock of this machine is wrong",
      hint: "Set it right, e.g. by NTP",
    },
    AccessDenied: { code: "CREDENTIALS_DENIED", state: "the key may not do that", hint: hints.denied },
    InvalidObjectState: {
      code: "PARENT_UNUSABLE",
      state: "an object is archived",
      hint: "Restore it first, or leave it out with `exclude`",
    },
    NotImplemented: UNKNOWN_REQUEST,
    MethodNotAllowed: UNKNOWN_REQUEST,
    SlowDown: { code: "RATE_LIMITED", state: "the store asks to slow down", hint: "Run the same command again" },
  };
  const found = known[name];
  if (found !== undefined) return found;
  // Of a HEAD there is no code: a region beside a 400 is all that a store can say.
  const isElsewhere = status === 301 || (status === 400 && (where ?? region) !== region);
  if (isElsewhere || /^(AuthorizationHeaderMalformed|IllegalLocationConstraintException)$/.test(name)) {
    const state = `its region is ${where === undefined ? "another" : `"${where}"`}, not "${region}"`;
    return { code: "CONFIG_REGION", state, hint: "Correct `region` in forkstack.json" };
  }
  if (status === 401) return known.InvalidAccessKeyId!;
  if (status === 403) return known.AccessDenied!;
  if (status === 404) return known.NoSuchBucket!;
  if (status === 429 || status === 503) return known.SlowDown!;
  if (status === 0 || status >= 500) {
    return { code: "PROVIDER_UNAVAILABLE", state: "no whole answer came", hint: "Run the same command again" };
  }
  return { code: "PROVIDER_REFUSED", state: `the store refused it (${name})`, hint: "The cause says why" };
}

const RETRYABLE = /^(PROVIDER_UNAVAILABLE|RATE_LIMITED)$/;

/** A store's refusal, with its own code: `"NoSuchKey"`. */
class Refused extends ForkstackError {
  readonly vendorCode: string;

  constructor(vendorCode: string, ...given: ConstructorParameters<typeof ForkstackError>) {
    super(...given);
    this.vendorCode = vendorCode;
  }
}

/** Returns the store's own code of a failed command: `"NoSuchKey"`. */
export function vendorCode(error: unknown): string | undefined {
  return error instanceof Refused ? error.vendorCode : undefined;
}

/** Returns true if a store refused what a request asks for, and would again; not for a key that is no good at all. */
export function isRefusal(error: unknown): boolean {
  return error instanceof Refused && /^(PROVIDER_REFUSED|CREDENTIALS_DENIED)$/.test(error.code);
}

/** Returns true if a store knows nothing of the kind that a request asks for. */
export function isUnknownRequest(error: unknown): boolean {
  return /^(NotImplemented|MethodNotAllowed)$/.test(vendorCode(error) ?? "");
}

function s3Error(account: StoreAccount, error: unknown, what: string): unknown {
  if (isForkstackError(error)) return error;
  const { name: thrown = "", message: said = "", Region, $metadata, $response } = error as {
    name?: string;
    Region?: string;
    message?: string;
    $metadata?: { httpStatusCode?: number; requestId?: string };
    $response?: { headers?: Record<string, string> };
  };
  if (thrown === "AbortError") return error;
  // What could not be read is no refusal, whatever its status.
  const isRefusal = ($metadata?.httpStatusCode ?? 0) >= 300 || (/^[A-Z]/.test(thrown) && "$fault" in (error as object));
  const [status, name] = isRefusal ? [$metadata?.httpStatusCode ?? 0, thrown] : [0, ""];
  const meaning = meaningOf(account, name, status, Region ?? $response?.headers?.["x-amz-bucket-region"]);
  const message = `Cannot ${what}: ${meaning.state}`;
  const told = {
    hint: meaning.hint,
    retryable: RETRYABLE.test(meaning.code),
    details: {
      provider: account.provider,
      resource: account.resource,
      status: status || undefined,
      requestId: $metadata?.requestId,
    },
    cause: new Error(`${[status || "", name || thrown].filter(Boolean).join(" ")}: ${said.slice(0, 200)}`),
  };
  return name === "" ? new ForkstackError(meaning.code, message, told) : new Refused(name, meaning.code, message, told);
}

/** Returns the URL of Amazon S3 in a region. */
export function standardEndpoint(region: string): string {
  return `https://s3.${region}.amazonaws.com${region.startsWith("cn-") ? ".cn" : ""}`;
}
