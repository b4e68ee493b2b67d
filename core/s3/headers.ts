/**
 * Headers of requests that this server supports, and headers that an answer may have. An unknown header is refused,
 * because it could ask for encryption or a lock that would silently be missing.
 *
 * @module
 */
import { CHECKSUMS } from "./checksums.ts";
import { S3Error } from "./error.ts";

/** Returns true if a header may have this value; each runtime fails in its own way if not. */
export function isHeaderValue(text: unknown): text is string {
  return typeof text === "string" && /^[\t\x20-\x7e\x80-\xff]*$/.test(text);
}

/** Returns the value of a header; throws if a header cannot have it. */
export function checkHeaderValue(name: string, text: string): string {
  if (isHeaderValue(text)) return text;
  throw new S3Error("InvalidArgument", "A header must be of characters that HTTP has", { ArgumentName: name });
}

/** The header with an object's redirect of a website: each object has its own, and a copy has none. */
export const REDIRECT = "x-amz-website-redirect-location";

/** Headers of an upload that are returned with the object. */
export const KEPT: readonly string[] = [
  "cache-control",
  "content-disposition",
  "content-encoding",
  "content-language",
  "content-type",
  "expires",
  REDIRECT,
];
/** Prefix of an application's own headers. */
export const META = "x-amz-meta-";
const META_NAME = /^x-amz-meta-[!#$%&'*+.^_`|~0-9a-z-]+$/;

/** Returns true if an object may have this header. */
export function isKept(name: string, value: unknown): boolean {
  return (KEPT.includes(name) || META_NAME.test(name)) && isHeaderValue(value);
}

const ANY = /^/;
const ALGORITHM = new RegExp(`^(${Object.keys(CHECKSUMS).join("|")})$`, "i");
const DIRECTIVE = /^(COPY|REPLACE)$/;

/**
 * Headers of S3 that are supported, with their supported values. Included are values that change nothing and that
 * clients send by default, such as `x-amz-acl: private`.
 */
const HONOURED: Readonly<Record<string, RegExp>> = {
  "x-amz-acl": /^(private|bucket-owner-full-control)$/,
  "x-amz-bucket-object-lock-enabled": /^false$/i,
  "x-amz-bypass-governance-retention": /^(true|false)$/i, // nothing here is locked
  "x-amz-checksum-algorithm": ANY, // read where it is acted on
  "x-amz-checksum-mode": /^(ENABLED|DISABLED)$/i,
  "x-amz-checksum-type": ANY,
  "x-amz-content-sha256": ANY,
  "x-amz-copy-source": ANY,
  "x-amz-copy-source-if-match": ANY,
  "x-amz-copy-source-if-modified-since": ANY,
  "x-amz-copy-source-if-none-match": ANY,
  "x-amz-copy-source-if-unmodified-since": ANY,
  "x-amz-copy-source-range": ANY,
  "x-amz-date": ANY,
  "x-amz-decoded-content-length": ANY,
  "x-amz-if-match-last-modified-time": ANY,
  "x-amz-if-match-size": /^\d{1,15}$/,
  "x-amz-max-parts": ANY,
  "x-amz-metadata-directive": DIRECTIVE,
  "x-amz-mp-object-size": /^\d{1,15}$/,
  "x-amz-object-attributes": ANY,
  "x-amz-object-ownership": /^BucketOwnerEnforced$/,
  "x-amz-optional-object-attributes": /^RestoreStatus$/, // no object here has one
  "x-amz-part-number-marker": ANY,
  "x-amz-request-payer": /^requester$/, // nobody pays
  "x-amz-sdk-checksum-algorithm": ALGORITHM,
  "x-amz-security-token": ANY,
  "x-amz-storage-class": /^STANDARD$/,
  "x-amz-tagging": ANY,
  "x-amz-tagging-directive": DIRECTIVE,
  "x-amz-te": ANY,
  "x-amz-trailer": ANY,
  "x-amz-user-agent": ANY,
  [REDIRECT]: ANY,
  ...Object.fromEntries(Object.keys(CHECKSUMS).map((name) => [`x-amz-checksum-${name.toLowerCase()}`, ANY])),
};

/** Throws for a request that asks for something this server does not support. */
export function checkHonoured(headers: Headers): void {
  for (const [name, value] of headers) {
    checkHeaderValue(name, value);
    if (!name.startsWith("x-amz-") || name.startsWith(META)) continue;
    if (!Object.hasOwn(HONOURED, name) || !HONOURED[name]!.test(value)) throw notHonoured(name);
  }
}

/** Headers that only some operations act on; `Operation.takes` names them. */
const PARTICULAR: readonly string[] = [
  "x-amz-bypass-governance-retention",
  "x-amz-if-match-last-modified-time",
  "x-amz-if-match-size",
  "x-amz-max-parts",
  "x-amz-mp-object-size",
  "x-amz-object-attributes",
  "x-amz-part-number-marker",
  "x-amz-tagging",
  REDIRECT,
];

/**
 * Throws for a header that the operation would drop: one of `PARTICULAR` that it does not take, and tags for a copy
 * that takes those of its source, unless `x-amz-tagging-directive: REPLACE` is set.
 */
export function checkTaken(headers: Headers, takes: readonly string[]): void {
  const keepsTags = headers.has("x-amz-copy-source") && headers.get("x-amz-tagging-directive") !== "REPLACE";
  for (const name of PARTICULAR) {
    const isTaken = takes.includes(name) && !(name === "x-amz-tagging" && keepsTags);
    if (!isTaken && headers.has(name)) throw notHonoured(name);
  }
}

function notHonoured(name: string): S3Error {
  return new S3Error("NotImplemented", "A header you provided implies functionality that is not implemented", {
    Header: name,
  });
}

/** Parameters of a presigned URL that belong to the signature itself. */
export const SIGNATURE_PARAMETERS: ReadonlySet<string> = new Set(
  ["Algorithm", "Content-Sha256", "Credential", "Date", "Expires", "Security-Token", "Signature", "SignedHeaders"]
    .map((name) => `X-Amz-${name}`),
);

/** Returns true if a URL's parameter is a header that was moved there for presigning. */
export function isMovedHeader(parameter: string): boolean {
  return /^x-amz-/i.test(parameter) && !SIGNATURE_PARAMETERS.has(parameter);
}

/** Returns a request's headers together with those in its URL. */
export function withMoved(headers: Headers, query: readonly (readonly [name: string, value: string])[]): Headers {
  const moved = query.filter(([name]) => isMovedHeader(name))
    // The SDK for JavaScript moves the checksum of no bytes there, whatever is sent later.
    .filter(([name]) => !/^x-amz-(sdk-)?checksum-(?!mode$)/i.test(name));
  if (moved.length === 0) return headers;
  const all = new Headers(headers);
  for (const [name, value] of moved) {
    if (!/^[\w.!#$%&'*+^`|~-]+$/.test(name)) throw new S3Error("InvalidArgument", "A parameter is no header's name");
    if (!all.has(name)) all.set(name, checkHeaderValue(name, value));
  }
  return all;
}
