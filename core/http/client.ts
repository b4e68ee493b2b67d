/**
 * The HTTP client of all providers: deadlines, retries of safe requests, a limit per host, redaction.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { ForkstackError, isForkstackError } from "../../mod.ts";
import { netDenied } from "../system/deno_permissions.ts";
import { causeLine, type Exchange, labelOf, remember, requestIdOf } from "./vendor_error.ts";
import { isRead, isRepeatable, type RepeatableRequest } from "../system/repeat.ts";
import { sleep } from "../system/host.ts";
import { headerCredentials, quote, redactedError, redactor } from "./redact.ts";
import type { Secret } from "../secret.ts";
import { Pool } from "../system/concurrency.ts";

export { readJson, vendorError, type VendorProblem } from "./vendor_error.ts";

/** Options of the client; tests can replace everything that it uses. */
export interface HttpOptions {
  /** Sends one request. @default {globalThis.fetch} */
  readonly fetch?: (request: Request) => Promise<Response>;
  /** Returns the current time. @default {() => new Date()} */
  readonly now?: () => Date;
  /** Waits; rejects as soon as the signal is aborted. @default {a timer} */
  readonly sleep?: (ms: number, signal: AbortSignal) => Promise<void>;
  /** Returns a number from 0 up to 1, for the jitter of waits. @default {Math.random} */
  readonly random?: () => number;
  /** Aborts every request, queued or in flight, with `INTERRUPTED`. */
  readonly signal?: AbortSignal;
  /** Receives one redacted line for each wait. */
  readonly log?: (line: string) => void;
  /** Longest time of one attempt in milliseconds, including the body. @default {30000} */
  readonly timeoutMs?: number;
  /** Time in milliseconds after which no further attempt begins; without time in the queue. @default {120000} */
  readonly totalMs?: number;
  /** Most attempts at a request that fails; an answer that asks to wait (423, 429) does not count. @default {6} */
  readonly tries?: number;
  /** Most requests to one host in flight; the others wait in order. @default {8} */
  readonly concurrency?: number;
  /** Largest body in bytes that is read. @default {16777216} */
  readonly maxBytes?: number;
  /** Secrets to redact in errors and log lines, beside the request's credential headers. Read anew for each request. */
  readonly secrets?: readonly Secret[];
}

type Settings = Required<HttpOptions>;

/** A request with all its attempts. */
interface Call extends Exchange {
  readonly request: Request;
  readonly headers: Headers;
  readonly body: ArrayBuffer | undefined;
  readonly mayRepeat: boolean;
  readonly signal: AbortSignal;
  readonly before: () => Promise<void>;
}

/** Options for sending one request. */
export interface SendOptions {
  /** Awaited before each attempt that may change something; its rejection ends the request. @default {nothing} */
  readonly before?: (() => Promise<void>) | undefined;
  /** Names of headers that hold a request's id, as `Provider.requestIdHeaders`. @default {none} */
  readonly requestIdHeaders?: readonly string[] | undefined;
}

/** Sends a request; returns its answer, or throws as `httpClient` says. */
export type HttpClient = (request: RepeatableRequest, options?: SendOptions) => Promise<Response>;

/** The result of one attempt: an answer, or an error. */
type Outcome =
  | { readonly response: Response; readonly text: string }
  | { readonly error: unknown; readonly head: Response | undefined };

const PASSING_STATUSES = new Set([408, 500, 502, 503, 504]);
const REDIRECTS = new Set([301, 302, 303, 307, 308]);
const MAX_REDIRECTS = 5;
/** Most attempts without a network, where each ends the same; enough for a busy resolver. */
const TRIES_OFFLINE = 3;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;
/** Shortest pause, also after `Retry-After: 0`, so that no loop is busy. */
const SHORTEST_WAIT_MS = 100;

/**
 * Creates the client. It returns answers of any HTTP status, never throws for one, with the body already read.
 *
 * A request itself says whether it may be repeated (system/repeat.ts). If so, it is repeated with full jitter after
 * network errors, timeouts, 408, 500, 502, 503 and 504. Any other is repeated only where the vendor said that it did
 * nothing: 423, 429, and 503 with `Retry-After`. A `Retry-After` beyond the total deadline is not waited for: the
 * answer is returned at once and `vendorError` says when to retry.
 *
 * Redirects are followed for GET and HEAD within the same origin only.
 *
 * `before` is not awaited before GET, HEAD and OPTIONS, and its time is not counted.
 *
 * @throws {ForkstackError} PROVIDER_UNAVAILABLE if no complete answer came; NETWORK_UNREACHABLE if nothing was sent, as
 * the host's name does not resolve or no network leads there; INTERRUPTED if a signal was aborted; PROVIDER_REFUSED for
 * a redirect elsewhere; RESPONSE_TOO_LARGE; NETWORK_DENIED if Deno may not connect to the host.
 */
export function httpClient(options: HttpOptions = {}): HttpClient {
  const settings: Settings = {
    fetch: options.fetch ?? ((request) => globalThis.fetch(request)),
    now: options.now ?? (() => new Date()),
    sleep: options.sleep ?? sleep,
    random: options.random ?? Math.random,
    signal: options.signal ?? new AbortController().signal,
    log: options.log ?? (() => {}),
    timeoutMs: options.timeoutMs ?? 30_000,
    totalMs: options.totalMs ?? 120_000,
    tries: options.tries ?? 6,
    concurrency: options.concurrency ?? 8,
    maxBytes: options.maxBytes ?? 16 * 1024 * 1024,
    secrets: options.secrets ?? [],
  };
  if (!(settings.concurrency >= 1)) throw new RangeError("concurrency must be at least 1");
  const hosts = new Map<string, Pool>();
  return async (request, options = {}) => {
    const call = await prepare(request, options, settings);
    const pool = hosts.get(call.host) ?? new Pool(settings.concurrency);
    hosts.set(call.host, pool);
    try {
      return await send(call, pool, settings);
    } catch (error) {
      if (isForkstackError(error)) throw error;
      if (call.signal.aborted) throw interrupted(call);
      throw isDenied(error) ? denied(call, error) : redactedError(error, call.redact);
    }
  };
}

async function prepare(request: RepeatableRequest, options: SendOptions, settings: Settings): Promise<Call> {
  const { before = () => Promise.resolve(), requestIdHeaders = [] } = options;
  const { host, protocol } = new URL(request.url);
  if (!/^https?:$/.test(protocol)) throw new TypeError(`Requests go by http or https, not "${protocol}"`);
  const headers = new Headers(request.headers);
  const secrets = settings.secrets;
  const redact = redactor(() => [...secrets.map((one) => one.reveal()), ...headerCredentials(headers)]);
  const signal = AbortSignal.any([settings.signal, request.signal]);
  const body = request.body === null ? undefined : await request.arrayBuffer();
  const call: Call = {
    request,
    host,
    redact,
    requestIdHeaders,
    headers,
    body,
    mayRepeat: isRepeatable(request),
    signal,
    before: isRead(request) ? () => Promise.resolve() : before,
    get label() { // only errors and waits are told by it
      return labelOf(request, redact);
    },
  };
  remember(request, call);
  return call;
}

async function send(call: Call, pool: Pool, settings: Settings): Promise<Response> {
  let leftMs = settings.totalMs;
  for (let tries = 1;; tries++) {
    const { startedAt, outcome } = await pool.run(async () => {
      await call.before(); // after the queue, and after each wait
      return { startedAt: settings.now().getTime(), outcome: await attempt(call, settings) };
    }, call.signal);
    leftMs -= settings.now().getTime() - startedAt;
    const { waitMs, retryAt } = nextWait(call, outcome, { tries, leftMs }, settings);
    if (waitMs === undefined) {
      if ("error" in outcome) throw unreachable(call, outcome, tries, settings);
      return conclude(call, outcome, retryAt);
    }
    const state = "response" in outcome ? String(outcome.response.status) : reasonOf(outcome, settings);
    settings.log(call.redact(`${call.label} at ${call.host}: ${state}, trying again in ${secondsOf(waitMs)}`));
    await settings.sleep(waitMs, call.signal);
    leftMs -= waitMs;
  }
}

async function attempt(call: Call, settings: Settings): Promise<Outcome> {
  let head: Response | undefined;
  // Not for what may be repeated: it profits from the connections that are open.
  const connection = call.mayRepeat ? undefined : freshConnection();
  const { headers, body, request: { method } } = call;
  try {
    return await within(settings, call.signal, async (signal) => {
      let url = call.request.url;
      for (let hops = 0;; hops++) {
        head = undefined;
        const init = { method, headers, body, signal, redirect: "manual" as const, client: connection };
        head = await settings.fetch(new Request(url, init));
        const bytes = await bytesOf(head, call, settings.maxBytes); // of a redirect too: it frees the connection
        const location = REDIRECTS.has(head.status) ? head.headers.get("location") : null;
        if (location === null) return { response: responseOf(head, bytes), text: bytes.toString("utf8") };
        url = redirected(call, url, location, hops);
      }
    });
  } catch (error) {
    // Not the network's doing, so that no repetition helps.
    if (isForkstackError(error) || call.signal.aborted || isDenied(error)) throw error;
    return { error, head };
  } finally {
    connection?.close();
  }
}

/**
 * Opens a new connection for a request that must not be sent twice. Deno's fetch by itself repeats a request, even
 * POST, when a reused connection closes without an answer, although the vendor may have acted; on a new one it does not
 * (seen in 2.9.6, and in its node:http as well). Node never does; Bun does for PUT, not for POST and PATCH.
 *
 * @see https://github.com/denoland/deno/pull/32566 and https://github.com/denoland/deno/issues/35610
 */
function freshConnection(): { close(): void } | undefined {
  const { Deno } = globalThis as { Deno?: { createHttpClient?: (options: object) => { close(): void } } };
  return Deno?.createHttpClient?.({ poolMaxIdlePerHost: 0 });
}

/** Runs the work under a deadline, and cancels whichever of the two ends last. */
async function within<T>(settings: Settings, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>) {
  signal.throwIfAborted();
  const [timer, late] = [new AbortController(), new AbortController()];
  const deadline = settings.sleep(settings.timeoutMs, AbortSignal.any([signal, timer.signal])).then(() => {
    throw new DOMException(`no whole answer within ${secondsOf(settings.timeoutMs)}`, "TimeoutError");
  });
  try {
    return await Promise.race([work(AbortSignal.any([signal, late.signal])), deadline]);
  } catch (error) {
    late.abort();
    throw error;
  } finally {
    timer.abort(ENDED);
  }
}

/**
 * The abort reason of a deadline that is no longer needed; shared, because creating an error takes longer than the
 * rest.
 */
const ENDED = new Error("it ended in time");

async function bytesOf(head: Response, call: Call, maxBytes: number): Promise<Buffer<ArrayBuffer>> {
  const told = Number(head.headers.get("content-length") ?? Infinity);
  if (told <= maxBytes && !head.headers.has("content-encoding")) return Buffer.from(await head.arrayBuffer());
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of head.body ?? []) { // leaving the loop cancels the body
    sizeBytes += chunk.length;
    if (sizeBytes > maxBytes) throw tooLarge(call, head, maxBytes);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function responseOf(head: Response, bytes: Buffer<ArrayBuffer>): Response {
  const headers = new Headers(head.headers);
  if (headers.has("content-encoding")) { // the bytes are decoded, so neither is true any more
    headers.delete("content-encoding");
    headers.delete("content-length");
  }
  const body = head.body === null || [204, 205, 304].includes(head.status) ? null : bytes;
  return new Response(body, { status: head.status, statusText: head.statusText, headers });
}

function redirected(call: Call, from: string, location: string, hops: number): string {
  const to = new URL(location, from);
  const method = call.request.method;
  const isAllowed = to.origin === new URL(from).origin && (method === "GET" || method === "HEAD");
  if (isAllowed && hops < MAX_REDIRECTS) return to.href;
  const state = isAllowed ? `more than ${MAX_REDIRECTS} redirects` : `a redirect to "${to.origin}"`;
  throw new ForkstackError("PROVIDER_REFUSED", call.redact(`Cannot follow "${call.host}": it answers with ${state}`), {
    cause: new Error(call.redact(causeLine(call.label, [state]))),
    hint: "Credentials are not sent elsewhere: if `endpoint` is set in forkstack.json, give the final address",
  });
}

/**
 * Returns the milliseconds until the next attempt, if there is one; `retryAt` if the vendor asks for more than is left.
 */
function nextWait(
  call: Call,
  outcome: Outcome,
  { tries, leftMs }: { readonly tries: number; readonly leftMs: number },
  settings: Settings,
): { readonly waitMs?: number; readonly retryAt?: Date } {
  const answer = "response" in outcome ? outcome.response : outcome.head;
  const status = answer?.status ?? 0;
  const askedMs = answer && retryAfterMs(answer.headers, settings.now());
  const didNotAct = status === 423 || status === 429 || (status === 503 && askedMs !== undefined);
  const failed = "error" in outcome || PASSING_STATUSES.has(status);
  const mostTries = isOffline(outcome) ? Math.min(TRIES_OFFLINE, settings.tries) : settings.tries;
  if (!didNotAct && !(failed && call.mayRepeat && tries < mostTries)) return {};
  const jitterMs = settings.random() * Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(tries - 1, 20));
  const waitMs = Math.ceil(Math.max(SHORTEST_WAIT_MS, askedMs ?? jitterMs));
  if (waitMs < leftMs) return { waitMs };
  return askedMs === undefined ? {} : { retryAt: new Date(settings.now().getTime() + askedMs) };
}

/**
 * Returns `Retry-After`, seconds or a date, in milliseconds; a date is compared with the vendor's own clock if known.
 */
function retryAfterMs(headers: Headers, now: Date): number | undefined {
  const value = headers.get("retry-after")?.trim() ?? "";
  if (/^\d{1,9}(\.\d+)?$/.test(value)) return Number(value) * 1000;
  if (!/\d\d:\d\d:\d\d/.test(value) || Number.isNaN(Date.parse(value))) return undefined;
  const vendorNow = Date.parse(headers.get("date") ?? "");
  return Math.max(0, Date.parse(value) - (Number.isNaN(vendorNow) ? now.getTime() : vendorNow));
}

function conclude(call: Call, outcome: Exclude<Outcome, { error: unknown }>, retryAt: Date | undefined): Response {
  const { host, redact, requestIdHeaders } = call;
  remember(outcome.response, {
    host,
    redact,
    requestIdHeaders,
    text: outcome.text,
    retryAt,
    get label() {
      return call.label;
    },
  });
  return outcome.response;
}

/**
 * Returns true if no connection was tried: the host's name does not resolve, or no network leads there. Node and Bun
 * give the system's code; Deno tells a name that does not resolve only by its text (2.9.6).
 */
function isOffline(outcome: Outcome): boolean {
  if (!("error" in outcome) || outcome.head !== undefined) return false;
  const seen = new Set<unknown>();
  for (let one = outcome.error; one instanceof Error && !seen.has(one); one = one.cause) {
    seen.add(one);
    const { code, message } = one as Error & { code?: unknown };
    if (OFFLINE_CODES.test(String(code))) return true;
    if (/client error \(Connect\): (dns error\b|.*\(os error (101|113)\))/.test(message)) return true;
  }
  return false;
}

const OFFLINE_CODES =
  /^(ENOTFOUND|ENODATA|EAI_[A-Z]+|ENETUNREACH|EHOSTUNREACH|ENETDOWN|DNSException|FailedToOpenSocket)$/;

function reasonOf({ error, head }: { error: unknown; head: Response | undefined }, settings: Settings): string {
  if ((error as Error | undefined)?.name === "TimeoutError") {
    return `no whole answer within ${secondsOf(settings.timeoutMs)}`;
  }
  return head === undefined ? "the connection failed" : "the answer broke off";
}

function unreachable(
  call: Call,
  outcome: { error: unknown; head: Response | undefined },
  tries: number,
  settings: Settings,
): ForkstackError {
  const { redact, label, host } = call;
  const status = outcome.head?.status;
  const requestId = outcome.head && requestIdOf(outcome.head.headers, call);
  const cause = redactedError(outcome.error, redact);
  const reason = reasonOf(outcome, settings);
  const state = status === undefined ? reason : `${status}, ${reason}`;
  const times = tries > 1 ? ` (${tries} tries)` : "";
  const told = { cause: new Error(causeLine(label, [state], requestId, quote(cause.message, redact)), { cause }) };
  if (isOffline(outcome)) {
    return new ForkstackError(
      "NETWORK_UNREACHABLE",
      redact(`Cannot reach "${host}": this machine has no route to it`),
      {
        ...told,
        hint: "Nothing was sent. Check the network and the host's name, then run the same command again",
        retryable: true,
      },
    );
  }
  return new ForkstackError("PROVIDER_UNAVAILABLE", redact(`Cannot reach "${host}": ${reason}${times}`), {
    ...told,
    hint: call.mayRepeat
      ? "Check the network and the vendor's status page, then run the same command again"
      : "The vendor may have acted. Run the same command again: it looks at what exists first",
    retryable: true,
    details: { status, requestId },
  });
}

function tooLarge(call: Call, head: Response, maxBytes: number): ForkstackError {
  const requestId = requestIdOf(head.headers, call);
  return new ForkstackError(
    "RESPONSE_TOO_LARGE",
    call.redact(`Cannot read answer of "${call.host}": it is larger than ${maxBytes} bytes`),
    {
      cause: new Error(causeLine(call.label, [String(head.status)], requestId)),
      hint: "If `endpoint` is set in forkstack.json, check that it is the vendor's API",
      details: { status: head.status, requestId },
    },
  );
}

function interrupted(call: Call): ForkstackError {
  const { redact, label, host, signal } = call;
  return new ForkstackError("INTERRUPTED", redact(`Cannot finish request to "${host}": it was interrupted`), {
    cause: new Error(causeLine(label, ["interrupted"]), { cause: redactedError(signal.reason, redact) }),
    hint: "Run the same command again to continue",
  });
}

function denied(call: Call, error: unknown): ForkstackError {
  return netDenied(
    call.host,
    `reach "${call.host}": this process may not connect to it`,
    redactedError(error, call.redact),
  );
}

function isDenied(error: unknown): boolean {
  return error instanceof Error && /^(NotCapable|PermissionDenied)$/.test(error.name);
}

function secondsOf(ms: number): string {
  return `${Number((ms / 1000).toPrecision(3))} s`;
}
