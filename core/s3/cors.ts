/**
 * Access of web pages to answers: only pages of origins that the user has named may read them.
 *
 * @module
 */
import { S3Error } from "./error.ts";
import { type S3Request, xmlResponse } from "./request.ts";

const METHODS = ["GET", "HEAD", "PUT", "POST", "DELETE"];
const MAX_AGE_S = 600;

/** Answers a browser's preflight request for a page. */
export function preflight(headers: Headers, origins: readonly string[]): Response {
  const origin = headers.get("origin");
  const method = headers.get("access-control-request-method");
  if (origin === null || method === null) {
    throw new S3Error("BadRequest", "Insufficient information. Origin and Access-Control-Request-Method are needed.");
  }
  const wanted = headers.get("access-control-request-headers") ?? "";
  const isAllowed = origins.includes(origin) && METHODS.includes(method) && /^[\w ,.!#$%&'*+^`|~-]*$/.test(wanted);
  if (!isAllowed) {
    throw new S3Error(
      "AccessForbidden",
      "CORSResponse: This CORS request is not allowed; see `forkstack serve --cors`",
    );
  }
  const allowed = new Headers({
    "access-control-allow-methods": METHODS.join(", "),
    "access-control-max-age": String(MAX_AGE_S),
  });
  if (wanted !== "") allowed.set("access-control-allow-headers", wanted);
  if (headers.get("access-control-request-private-network") === "true") {
    allowed.set("access-control-allow-private-network", "true");
  }
  return new Response(null, { status: 204, headers: allowed });
}

/** Allows the page to read the answer, if its origin was named. */
export function allowOrigin(request: Headers, answer: Headers, origins: readonly string[]): void {
  if (origins.length === 0) return;
  answer.append("vary", "Origin");
  const origin = request.get("origin");
  if (origin === null || !origins.includes(origin)) return;
  answer.set("access-control-allow-origin", origin); // without credentials: a signature opens a bucket, never a cookie
  answer.set("access-control-expose-headers", "*");
}

/** `GetBucketCors` */
export function getCors({ origins }: S3Request): Response {
  if (origins.length === 0) throw new S3Error("NoSuchCORSConfiguration", "The CORS configuration does not exist");
  return xmlResponse("CORSConfiguration", {
    CORSRule: {
      AllowedOrigin: origins,
      AllowedMethod: METHODS,
      AllowedHeader: "*",
      ExposeHeader: "*",
      MaxAgeSeconds: MAX_AGE_S,
    },
  });
}
