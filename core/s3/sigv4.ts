/**
 * AWS Signature Version 4: canonical requests, signatures and the header that carries them. Our server checks requests
 * with it, and the providers of stores sign with it; it is tested by AWS's own vectors.
 *
 * - https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
 *
 * @module
 */
import { createHash, createHmac } from "node:crypto";
import { S3Error } from "./error.ts";
import { compareKeys } from "./keys.ts";

/** The name of the algorithm, in the string to sign and in the header. */
export const ALGORITHM = "AWS4-HMAC-SHA256";

/** The parts of a request that are signed. */
export interface SignedRequest {
  readonly method: string;
  /** The path as it was sent: `%2F` is not `/`. */
  readonly path: string;
  /** Query parameters, decoded, in the order in which they were sent. */
  readonly query: readonly (readonly [name: string, value: string])[];
  readonly headers: Headers;
}

/** The key and the scope of a signature. */
export interface Signing {
  readonly secret: string;
  /** The date: `20150830T123600Z`. */
  readonly date: string;
  /** The scope as in the credential: `20150830/us-east-1/s3/aws4_request`. */
  readonly scope: string;
  /** Names of headers, in lower case and sorted. */
  readonly signed: readonly string[];
  /** SHA-256 of the body in hexadecimal, or one of S3's constants for it. */
  readonly payloadHash: string;
}

/** Returns the signature of a request, in hexadecimal. */
export function signatureOf(request: SignedRequest, { secret, date, scope, signed, payloadHash }: Signing): string {
  const text = [ALGORITHM, date, scope, sha256(canonicalRequest(request, signed, payloadHash))].join("\n");
  return createHmac("sha256", signingKey(secret, scope)).update(text).digest("hex");
}

/** Returns the value of the header `Authorization` of a request. */
export function authorizationOf(request: SignedRequest, signing: Signing & { readonly accessKeyId: string }): string {
  const { accessKeyId, scope, signed } = signing;
  const claim = `Credential=${accessKeyId}/${scope}, SignedHeaders=${signed.join(";")}`;
  return `${ALGORITHM} ${claim}, Signature=${signatureOf(request, signing)}`;
}

/** Returns the canonical request; S3 encodes a path once, and keeps `.` and `//` in it. */
export function canonicalRequest(request: SignedRequest, signed: readonly string[], payloadHash: string): string {
  const query = request.query.filter(([name]) => name !== "X-Amz-Signature")
    .map(([name, value]) => [encode(name), encode(value)] as const)
    .sort(([name, value], [other, its]) => compareKeys(name, other) || compareKeys(value, its));
  return [
    request.method,
    request.path.split("/").map((part) => encode(decodePart(part))).join("/"),
    query.map(([name, value]) => `${name}=${value}`).join("&"),
    ...signed.map((name) => `${name}:${signedText(request.headers.get(name) ?? "")}`),
    "",
    signed.join(";"),
    payloadHash,
  ].join("\n");
}

/** Returns the value of a header as it is signed: the bytes that HTTP sends one by one are mostly UTF-8. */
function signedText(value: string): string {
  const text = value.trim().replace(/\s+/g, " ");
  if (!/[\x80-\xff]/.test(text)) return text;
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.from(text, (char) => char.charCodeAt(0)));
  } catch {
    return text; // Latin-1
  }
}

/** Decodes one part of a path. */
export function decodePart(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new S3Error("InvalidURI", "Couldn't parse the specified URI: it must be percent-encoded UTF-8");
  }
}

/** Encodes like `encodeURIComponent`, and also the five characters that only AWS encodes. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** Keys by scope, which are the same for a day: saves four of five HMACs. */
const keys = new Map<string, Uint8Array>();

/** Returns the key for a day's requests. */
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

/** Returns the SHA-256 of a text in hexadecimal. */
export function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function hmac(key: Uint8Array, text: string): Uint8Array {
  return createHmac("sha256", key).update(text).digest();
}
