/**
 * A vendor's answer as an error or as data.
 *
 * @module
 */
import { type ErrorCode, ForkstackError } from "../../mod.ts";
import { headerCredentials, quote, type Redact, redactor } from "./redact.ts";

/** The facts about a request and its answer that an error needs. */
export interface Exchange {
  /** Method and path, no query: `"POST /projects/x/branches"`. */
  readonly label: string;
  /** The host: `"console.neon.tech"`. */
  readonly host: string;
  /** Redacts the secrets of the client and of this request. */
  readonly redact: Redact;
  /** Names of headers that hold a request's id, as `Provider.requestIdHeaders`. @default {none} */
  readonly requestIdHeaders?: readonly string[];
  /** The answer's body, kept after the provider has read it. */
  readonly text?: string;
  /** The instant from which the vendor accepts a retry, if that was too late to wait for. */
  readonly retryAt?: Date;
}

/** A provider's description of a bad answer. */
export interface VendorProblem {
  /** The provider's name in forkstack.json, e.g. `"neon"`. */
  readonly provider: string;
  /** The resource, e.g. `"database"` or `"storage.uploads"`. */
  readonly resource?: string;
  /** The error's code, if the vendor's own code says more than the status. @default {by status} */
  readonly code?: ErrorCode;
  /**
   * The message: `"Cannot fork database "db" for env "pr-42": Neon project "late-frost-12345" has 10 of 10 branches"`.
   */
  readonly message: string;
  /** The next thing to do. */
  readonly hint: string;
}

/** Key of the exchange on a request or an answer; not enumerable, so that no log shows the body. */
const EXCHANGE = Symbol("exchange");

type Remembered = { readonly [EXCHANGE]?: Exchange };

const CODES: Readonly<Record<number, ErrorCode>> = {
  401: "CREDENTIALS_REJECTED",
  403: "CREDENTIALS_DENIED",
  404: "NOT_FOUND",
  408: "PROVIDER_UNAVAILABLE",
  409: "CONFLICT",
  423: "RESOURCE_LOCKED",
  429: "RATE_LIMITED",
};
const RETRYABLE = new Set<ErrorCode>(["PROVIDER_UNAVAILABLE", "RATE_LIMITED", "RESOURCE_LOCKED"]);

/** Pattern for headers that hold a request's id: `x-amz-request-id`, `request-id`, `x-correlation-id`. */
const REQUEST_ID = /(^|-)(request|correlation)-?id$/;

const CODE_KEYS = ["code", "errorCode", "error_code", "__type", "Code"];
const MESSAGE_KEYS = ["message", "Message", "detail", "error_description", "msg", "title"];
const REQUEST_ID_KEYS = ["request_id", "requestId", "RequestId"];

interface Complaint {
  vendorCode?: string;
  text?: string;
  bodyRequestId?: string;
}

/** Stores the facts about an exchange on its request or response, for errors that a provider may throw. */
export function remember(of: Request | Response, exchange: Exchange): void {
  Object.defineProperty(of, EXCHANGE, { value: exchange, configurable: true });
}

/** Returns method and path of a request; no query, and none of the given secrets. */
export function labelOf(request: Request, redact: Redact): string {
  return `${request.method} ${redact(new URL(request.url).pathname)}`;
}

/**
 * Returns the vendor's id of a request: from the provider's headers in their order, else from any whose name says so.
 */
export function requestIdOf(
  headers: Headers,
  { redact, requestIdHeaders = [] }: Pick<Exchange, "redact" | "requestIdHeaders">,
): string | undefined {
  const others = [...headers.keys()].filter((name) => REQUEST_ID.test(name));
  const found = [...requestIdHeaders, "x-request-id", ...others].map((name) => headers.get(name)).find(Boolean);
  return found ? quote(found, redact) : undefined;
}

/**
 * Formats the cause: `POST /projects/x/branches: 422 BRANCHES_LIMIT_EXCEEDED (request 7f3a): branches limit exceeded`.
 */
export function causeLine(label: string, state: (string | undefined)[], requestId?: string, text?: string): string {
  const request = requestId ? ` (request ${requestId})` : "";
  return `${label}: ${state.filter(Boolean).join(" ")}${request}${text ? `: ${text}` : ""}`;
}

/**
 * Returns the error for a bad answer. Its cause holds method, path, status, the vendor's code, request id and up to 200
 * characters of the vendor's message; no query string, no credential, no body. The code follows the status: 401
 * `CREDENTIALS_REJECTED`, 403 `CREDENTIALS_DENIED`, 404 `NOT_FOUND`, 409 `CONFLICT`, 423 `RESOURCE_LOCKED`, 429
 * `RATE_LIMITED`, 408 and 5xx `PROVIDER_UNAVAILABLE`, any other `PROVIDER_REFUSED`.
 *
 * Pass the request and response of `Context.fetch`: then all its secrets are redacted, and the body may have been read.
 */
export function vendorError(request: Request, response: Response, problem: VendorProblem): ForkstackError {
  const exchange = exchangeOf(request, response);
  const { redact, label } = exchange;
  const { vendorCode, text, bodyRequestId } = complaintOf(response, exchange);
  const requestId = requestIdOf(response.headers, exchange) ?? bodyRequestId;
  const code = problem.code ?? codeOf(response.status);
  const details = { provider: problem.provider, resource: problem.resource, status: response.status };
  const wait = exchange.retryAt && `. The vendor asks to wait until ${exchange.retryAt.toISOString()}`;
  return new ForkstackError(code, redact(problem.message), {
    cause: new Error(causeLine(label, [String(response.status), vendorCode], requestId, text)),
    hint: redact(problem.hint) + (wait ?? ""),
    retryable: RETRYABLE.has(code),
    details: requestId === undefined ? details : { ...details, requestId },
  });
}

/**
 * Returns the parsed JSON body of an answer, for the provider to validate.
 *
 * @throws {ForkstackError} PROVIDER_UNAVAILABLE if the body is not complete or not JSON. The error never quotes it: the
 * answer to a create may hold a password that nobody knows yet.
 */
export async function readJson(response: Response): Promise<unknown> {
  if (response.bodyUsed) throw new TypeError("The body of this answer was already read");
  let text: string | undefined;
  try {
    text = await response.text();
    return JSON.parse(text);
  } catch {
    // What was thrown quotes the body, so it is not kept.
    throw unreadable(response, text);
  }
}

function unreadable(response: Response, text: string | undefined): ForkstackError {
  const exchange: Exchange = (response as Remembered)[EXCHANGE] ??
    { label: "answer", host: "vendor", redact: redactor(() => []) };
  const { label, host } = exchange;
  const requestId = requestIdOf(response.headers, exchange);
  const state = bodyState(text);
  const size = text ? `, ${text.length} characters` : "";
  return new ForkstackError("PROVIDER_UNAVAILABLE", `Cannot read answer of "${host}": ${state}`, {
    cause: new Error(causeLine(label, [`${response.status},`, state + size], requestId)),
    hint: "Run the same command again; if `endpoint` is set in forkstack.json, check that it is the vendor's API",
    retryable: true,
    details: { status: response.status, requestId },
  });
}

/** Returns the reason why a body is unusable; `undefined` as a body means that it did not come completely. */
function bodyState(text: string | undefined): string {
  if (text === undefined) return "the body broke off";
  return text === "" ? "the body is empty" : "the body is not JSON";
}

function exchangeOf(request: Request, response: Response): Exchange {
  const known = (response as Remembered)[EXCHANGE] ?? (request as Remembered)[EXCHANGE];
  if (known !== undefined) return known;
  const redact = redactor(() => headerCredentials(request.headers));
  return { label: labelOf(request, redact), host: new URL(request.url).host, redact };
}

function codeOf(status: number): ErrorCode {
  return CODES[status] ?? (status >= 500 ? "PROVIDER_UNAVAILABLE" : "PROVIDER_REFUSED");
}

/** Returns the vendor's code, message and request id, if the body has one of the common shapes. */
function complaintOf(response: Response, { text = "", redact }: Exchange): Complaint {
  if (response.status < 400 || text === "") return {}; // the body of a success may hold credentials
  const body = parsed(text) ?? xmlError(text);
  if (body === undefined) return /^\s*</.test(text) ? {} : { text: quote(text, redact) }; // a proxy's page says nothing
  const lists = [body.errors, body.messages].filter(Array.isArray).map((list) => list[0]);
  const records = [body, body.error, ...lists].filter(isRecord);
  const find = (keys: string[]) => records.flatMap((one) => keys.map((key) => one[key])).find(isText);
  const errorIsCode = isText(body.error) && /^[\w.:-]{1,80}$/.test(String(body.error));
  const code = find(CODE_KEYS) ?? (errorIsCode ? body.error : undefined);
  const message = find(MESSAGE_KEYS) ?? [body.error, ...lists].find((one) => isText(one) && one !== code);
  const shown = (value: unknown, maxLength?: number) =>
    value === undefined ? undefined : quote(String(value), redact, maxLength);
  return {
    vendorCode: String(code) === String(response.status) ? undefined : shown(code, 80)?.replace(/^.*#/, ""),
    text: shown(message),
    bodyRequestId: shown(find(REQUEST_ID_KEYS), 80),
  };
}

/** Returns the object in a JSON body; an empty one for other JSON, `undefined` for a body that is not JSON. */
function parsed(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "string") return { message: value };
    return isRecord(value) ? value : {};
  } catch {
    return undefined;
  }
}

function xmlError(text: string): Record<string, unknown> | undefined {
  if (!/<Error\b/.test(text)) return undefined;
  const tag = (name: string) => new RegExp(`<${name}>([^<]*)</${name}>`).exec(text)?.[1];
  return { Code: tag("Code"), Message: tag("Message"), RequestId: tag("RequestId") };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isText(value: unknown): boolean {
  return (typeof value === "string" && value !== "") || typeof value === "number";
}
