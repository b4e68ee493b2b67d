/**
 * Headers, both ways: those of a request that this server honours, and those that may be in an answer. A header that it
 * does not know could be a promise, of encryption or of a lock, that it would break without a word: it is refused.
 *
 * @module
 */
import { CHECKSUMS } from "./checksums.ts";
import { S3Error } from "./error.ts";

/** Whether a header may have this value: each runtime fails in a way of its own where it may not. */
export function isHeaderValue(text: unknown): text is string {
  return typeof text === "string" && /^[\t\x20-\x7e\x80-\xff]*$/.test(text);
}

/** Refuses what can't be a header. */
export function checkHeaderValue(name: string, text: string): string {
  if (isHeaderValue(text)) return text;
  throw new S3Error("InvalidArgument", "A header must be of characters that HTTP has", { ArgumentName: name });
}

/** The address that a website sends on to from the object: each object has its own, and a copy none. */
export const REDIRECT = "x-amz-website-redirect-location";

/** Headers of an upload that come back with the object. */
export const KEPT: readonly string[] = [
  "cache-control",
  "content-disposition",
  "content-encoding",
  "content-language",
  "content-type",
  "expires",
  REDIRECT,
];
/** What the names of an application's own headers begin with. */
export const META = "x-amz-meta-";
const META_NAME = /^x-amz-meta-[!#$%&'*+.^_`|~0-9a-z-]+$/;

/** Whether an object may have this header. */
export function isKept(name: string, value: unknown): boolean {
  return (KEPT.includes(name) || META_NAME.test(name)) && isHeaderValue(value);
}

const ANY = /^/;
const ALGORITHM = new RegExp(`^(${Object.keys(CHECKSUMS).join("|")})$`, "i");
const DIRECTIVE = /^(COPY|REPLACE)$/;

/**
 * The headers of S3 that are honoured, and the values of them that are: those that say what is so anyway are, as clients
 * send them unasked. `x-amz-acl: private` is one.
 */
const HONOURED: Readonly<Record<string, RegExp>> = {
  "x-amz-acl": /^(private|bucket-owner-full-control)$/,
  "x-amz-bucket-object-lock-enabled": /^false$/i,
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
  "x-amz-metadata-directive": DIRECTIVE,
  "x-amz-mp-object-size": /^\d{1,15}$/,
  "x-amz-object-ownership": /^BucketOwnerEnforced$/,
  "x-amz-optional-object-attributes": /^RestoreStatus$/, // no object here has one
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

/** Refuses a request that wants what this server does not do. */
export function checkHonoured(headers: Headers): void {
  for (const [name, value] of headers) {
    checkHeaderValue(name, value);
    if (!name.startsWith("x-amz-") || name.startsWith(META)) continue;
    if (!Object.hasOwn(HONOURED, name) || !HONOURED[name]!.test(value)) throw notHonoured(name);
  }
}

/**
 * Refuses what describes an object where it would be dropped: in a request that `makes` none; and tags for a copy that is
 * to have those of its source, since only `x-amz-tagging-directive: REPLACE` says otherwise.
 */
export function checkDescribing(headers: Headers, makes: boolean): void {
  const isTagged = makes &&
    (!headers.has("x-amz-copy-source") || headers.get("x-amz-tagging-directive") === "REPLACE");
  for (const [name, isTaken] of Object.entries({ "x-amz-tagging": isTagged, [REDIRECT]: makes })) {
    if (!isTaken && headers.has(name)) throw notHonoured(name);
  }
}

function notHonoured(name: string): S3Error {
  return new S3Error("NotImplemented", "A header you provided implies functionality that is not implemented", {
    Header: name,
  });
}

/** What a presigned URL says of the signature itself. */
export const SIGNATURE_PARAMETERS: ReadonlySet<string> = new Set(
  ["Algorithm", "Content-Sha256", "Credential", "Date", "Expires", "Security-Token", "Signature", "SignedHeaders"]
    .map((name) => `X-Amz-${name}`),
);

/** Whether a parameter of a URL is a header that whoever presigned it moved there. */
export function isMovedHeader(parameter: string): boolean {
  return /^x-amz-/i.test(parameter) && !SIGNATURE_PARAMETERS.has(parameter);
}

/** A request's headers with those that are in its URL. */
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
