/**
 * The sender of a request, by its AWS signature, version 4.
 *
 * - Header: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
 * - Presigned: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
 * - Chunks: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
 * - Trailers: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
 *
 * @module
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { S3Error } from "./error.ts";
import { ALGORITHM, sha256, signatureOf, type SignedRequest, signingKey } from "./sigv4.ts";

const MAX_SKEW_MS = 15 * 60_000;
const MAX_EXPIRY_S = 7 * 24 * 3600;
const EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/** The encoding and signing of a body. */
export type Payload =
  | { readonly type: "plain"; readonly sha256?: string }
  | { readonly type: "chunked"; readonly hasTrailer: boolean; readonly signer?: ChunkSigner };

/** Returns the signature of each chunk, which depends on the one before. */
export interface ChunkSigner {
  chunk(sha256: string): string;
  trailer(text: string): string;
}

/** The sender of a request with a valid signature. */
export interface Sender {
  readonly accessKeyId: string;
  readonly payload: Payload;
}

/** The data that checks a signature. */
export interface Verifier {
  readonly region: string;
  readonly service?: string;
  readonly now: () => Date;
  /** Returns the secret of an access key; `undefined` if there is no such key. */
  readonly secretOf: (accessKeyId: string) => Promise<string | undefined>;
}

interface Claim {
  readonly credential: string;
  readonly signedHeaders: readonly string[];
  readonly signature: string;
  readonly date: string;
  /** Seconds for which a presigned URL is valid. */
  readonly expires?: number;
  readonly payloadHash: string;
}

/** Checks the signature; throws the error that S3 returns. */
export async function authenticate(request: SignedRequest, verifier: Verifier): Promise<Sender> {
  const isPresigned = request.query.some(([name]) => name === "X-Amz-Algorithm");
  if (!isPresigned && ["AWSAccessKeyId", "Signature"].every((name) => request.query.some(([one]) => one === name))) {
    throw unsupportedVersion();
  }
  if (isPresigned && request.headers.has("authorization")) {
    throw new S3Error(
      "InvalidArgument",
      "Only one auth mechanism allowed: a presigned URL, or the Authorization header",
    );
  }
  const claim = isPresigned ? claimOfQuery(request.query) : claimOfHeaders(request.headers);
  const malformed = isPresigned ? "AuthorizationQueryParametersError" : "AuthorizationHeaderMalformed";
  const [accessKeyId, day, region, service, end, ...more] = claim.credential.split("/");
  const sentAt = instantOf(claim.date);
  if (end !== "aws4_request" || more.length > 0 || sentAt === undefined || day !== claim.date.slice(0, 8)) {
    throw new S3Error(malformed, "The credential must be <key>/<date>/<region>/<service>/aws4_request");
  }
  if (region !== verifier.region) {
    const message = `The authorization is malformed; the region '${region}' is wrong; expecting '${verifier.region}'`;
    throw new S3Error(malformed, message, { Region: verifier.region });
  }
  if (service !== (verifier.service ?? "s3")) {
    throw new S3Error(malformed, `The authorization is malformed; the service '${service}' is wrong; expecting 's3'`);
  }
  checkSignedHeaders(claim.signedHeaders, request.headers, isPresigned);
  const secret = await verifier.secretOf(accessKeyId);
  if (secret === undefined) {
    throw new S3Error("InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.", {
      AWSAccessKeyId: accessKeyId,
    });
  }
  checkTime(sentAt, claim.expires, verifier.now().getTime());
  const scope = `${day}/${region}/${service}/aws4_request`;
  const { date, signedHeaders: signed, payloadHash } = claim;
  const expected = signatureOf(request, { secret, date, scope, signed, payloadHash });
  if (!isSame(expected, claim.signature)) {
    throw new S3Error(
      "SignatureDoesNotMatch",
      "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
      { AWSAccessKeyId: accessKeyId },
    );
  }
  return {
    accessKeyId,
    payload: payloadOf(claim, chunkSigner(signingKey(secret, scope), date, scope, claim.signature)),
  };
}

/** The error for version 2, which some clients still use for presigned URLs, and for mechanisms that are not AWS's. */
function unsupportedVersion(): S3Error {
  const message = `The authorization mechanism you have provided is not supported. Please use ${ALGORITHM}: ` +
    'signature version 4, in boto3 `Config(signature_version="s3v4")`';
  return new S3Error("InvalidRequest", message);
}

function claimOfHeaders(headers: Headers): Claim {
  const authorization = headers.get("authorization");
  if (authorization === null) throw new S3Error("AccessDenied", "Access Denied: the request is not signed");
  if (!authorization.startsWith(`${ALGORITHM} `)) {
    throw unsupportedVersion();
  }
  const fields = authorization.slice(ALGORITHM.length).split(",").map((field) => {
    const [name, ...value] = field.trim().split("=");
    return [name, value.join("=")] as const;
  });
  const [credential, signed, signature] = ["Credential", "SignedHeaders", "Signature"].map((name) =>
    new Map(fields).get(name)
  );
  if (!credential || !signed || !signature || fields.length > 3) {
    throw new S3Error("AuthorizationHeaderMalformed", "The authorization header lacks a field, or has one too many");
  }
  const payloadHash = headers.get("x-amz-content-sha256");
  if (payloadHash === null) {
    throw new S3Error("InvalidRequest", "Missing required header for this request: x-amz-content-sha256");
  }
  const date = headers.get("x-amz-date") ?? basicDate(headers.get("date"));
  return { credential, signedHeaders: signed.split(";"), signature, date, payloadHash };
}

function claimOfQuery(query: SignedRequest["query"]): Claim {
  const of = (name: string) => {
    const values = query.filter(([one]) => one === `X-Amz-${name}`);
    if (values.length <= 1) return values[0]?.[1];
    throw new S3Error("AuthorizationQueryParametersError", `X-Amz-${name} was given more than once`);
  };
  const [credential, signed, signature, date] = ["Credential", "SignedHeaders", "Signature", "Date"].map(of);
  const expires = /^[1-9]\d{0,5}$/.test(of("Expires") ?? "") ? Number(of("Expires")) : 0;
  if (of("Algorithm") !== ALGORITHM || !credential || !signed || !signature || !date) {
    throw new S3Error("AuthorizationQueryParametersError", "Query-string authentication version 4 lacks a parameter");
  }
  if (expires === 0 || expires > MAX_EXPIRY_S) {
    throw new S3Error("AuthorizationQueryParametersError", "X-Amz-Expires must be between 1 second and a week");
  }
  const payloadHash = of("Content-Sha256") ?? "UNSIGNED-PAYLOAD";
  return { credential, signedHeaders: signed.split(";"), signature, date, expires, payloadHash };
}

/** Throws for an unsigned header that S3 acts on: somebody could have added it on the way. */
function checkSignedHeaders(signed: readonly string[], headers: Headers, isPresigned: boolean): void {
  if (!signed.every((name) => /^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name)) || new Set(signed).size !== signed.length) {
    throw new S3Error("AccessDenied", "SignedHeaders must be names in lower case, each of them once");
  }
  const unsigned = [...headers.keys()].filter((name) => name.startsWith("x-amz-") && !signed.includes(name))
    .filter((name) => !(isPresigned && name === "x-amz-content-sha256"));
  if (signed.includes("host") && unsigned.length === 0) return;
  throw new S3Error("AccessDenied", "There were headers present in the request which were not signed", {
    HeadersNotSigned: signed.includes("host") ? unsigned.join(", ") : "host",
  });
}

function checkTime(sentAt: number, expires: number | undefined, now: number): void {
  if (expires === undefined ? Math.abs(now - sentAt) > MAX_SKEW_MS : sentAt - now > MAX_SKEW_MS) {
    throw new S3Error(
      "RequestTimeTooSkewed",
      "The difference between the request time and the server's time is too large.",
      { RequestTime: new Date(sentAt).toISOString(), ServerTime: new Date(now).toISOString() },
    );
  }
  if (expires !== undefined && now > sentAt + expires * 1000) {
    throw new S3Error("AccessDenied", "Request has expired", {
      Expires: new Date(sentAt + expires * 1000).toISOString(),
    });
  }
}

function payloadOf(claim: Claim, signer: ChunkSigner): Payload {
  const { payloadHash } = claim;
  if (payloadHash === "UNSIGNED-PAYLOAD") return { type: "plain" };
  if (/^[0-9a-f]{64}$/.test(payloadHash)) return { type: "plain", sha256: payloadHash };
  const hasTrailer = payloadHash.endsWith("-TRAILER");
  if (payloadHash === "STREAMING-UNSIGNED-PAYLOAD-TRAILER") return { type: "chunked", hasTrailer };
  if (/^STREAMING-AWS4-HMAC-SHA256-PAYLOAD(-TRAILER)?$/.test(payloadHash)) {
    return { type: "chunked", hasTrailer, signer };
  }
  throw new S3Error("InvalidArgument", "x-amz-content-sha256 must be a SHA-256 or a payload type that is known here");
}

function chunkSigner(key: Uint8Array, date: string, scope: string, seed: string): ChunkSigner {
  let previous = seed;
  const next = (kind: string, ...hashes: string[]) =>
    previous = sign(key, [`${ALGORITHM}-${kind}`, date, scope, previous, ...hashes].join("\n"));
  return {
    chunk: (hash) => next("PAYLOAD", EMPTY_SHA256, hash),
    trailer: (text) => next("TRAILER", sha256(text)),
  };
}

/** Parses `20260101T120000Z`; returns milliseconds since 1970. */
function instantOf(date: string): number | undefined {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(date);
  if (match === null) return undefined;
  const [year, month, day, hour, minute, second] = match.slice(1).map(Number);
  const at = new Date(Date.UTC(year, month - 1, day, hour, minute, second));
  return basic(at) === date ? at.getTime() : undefined; // no 31st of February
}

function basic(at: Date): string {
  return at.toISOString().replace(/[-:]|\.\d+/g, "");
}

/** Parses a header with a date, as HTTP or ISO 8601 writes one; `undefined` if it is none. */
export function instantOfHeader(text: string): number | undefined {
  const at = new Date(
    /^([A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} |\d{4}-\d\d-\d\dT)\d\d:\d\d:\d\d/.test(text) ? text : NaN,
  );
  if (Number.isNaN(at.getTime())) return undefined;
  const isSame = at.toUTCString() === text ||
    /^.{19}(\.\d{1,9})?Z$/.test(text) && at.toISOString().slice(0, 19) === text.slice(0, 19);
  return isSame ? at.getTime() : undefined;
}

/** Converts the header `Date`, which may replace `x-amz-date`. */
function basicDate(date: string | null): string {
  if (date !== null && instantOf(date) !== undefined) return date;
  const at = instantOfHeader(date ?? "");
  if (at !== undefined) return basic(new Date(at));
  throw new S3Error("AccessDenied", "AWS authentication requires a valid Date or x-amz-date header");
}

/** Compares two signatures in a time that does not depend on the difference. */
export function isSame(expected: string, given: string): boolean {
  const [one, other] = [expected, given].map((text) => new TextEncoder().encode(text));
  return one.length === other.length && timingSafeEqual(one, other);
}

function sign(key: Uint8Array, text: string): string {
  return createHmac("sha256", key).update(text).digest("hex");
}
