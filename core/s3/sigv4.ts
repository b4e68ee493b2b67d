/**
 * AWS Signature Version 4: canonical requests and signing keys.
 *
 * @module
 */
import { createHash, createHmac } from "node:crypto";
import { S3Error } from "./error.ts";

/** A request as far as it is signed. */
export interface SignedRequest {
  readonly method: string;
  /** As it was sent: `%2F` is not `/`. */
  readonly path: string;
  /** Decoded, in the order in which they were sent. */
  readonly query: readonly (readonly [name: string, value: string])[];
  readonly headers: Headers;
}

/** The canonical request; S3 encodes a path once, and leaves `.` and `//` in it as they are. */
export function canonicalRequest(request: SignedRequest, signed: readonly string[], payloadHash: string): string {
  const query = request.query.filter(([name]) => name !== "X-Amz-Signature")
    .map(([name, value]) => [encode(name), encode(value)] as const)
    .sort(([a, x], [b, y]) => a < b ? -1 : a > b ? 1 : x < y ? -1 : x > y ? 1 : 0);
  return [
    request.method,
    request.path.split("/").map((part) => encode(decodePart(part))).join("/"),
    query.map(([name, value]) => `${name}=${value}`).join("&"),
    ...signed.map((name) => `${name}:${(request.headers.get(name) ?? "").trim().replace(/\s+/g, " ")}`),
    "",
    signed.join(";"),
    payloadHash,
  ].join("\n");
}

/** One part of a path, decoded. */
export function decodePart(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new S3Error("InvalidURI", "Couldn't parse the specified URI: it must be percent-encoded UTF-8");
  }
}

/** `encodeURIComponent`, but for the five characters that it leaves and AWS does not. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}

const keys = new Map<string, Uint8Array>();

/** What a day's requests are signed with; `scope` as in the credential: date, region, service, `aws4_request`. */
export function signingKey(secret: string, scope: string): Uint8Array {
  const id = `${secret}\0${scope}`;
  let key = keys.get(id);
  if (key === undefined) {
    key = scope.split("/").reduce<Uint8Array>(
      (key, part) => hmac(key, part),
      new TextEncoder().encode(`AWS4${secret}`),
    );
    if (keys.size >= 1000) keys.clear();
    keys.set(id, key);
  }
  return key;
}

export function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function hmac(key: Uint8Array, text: string): Uint8Array {
  return createHmac("sha256", key).update(text).digest();
}
