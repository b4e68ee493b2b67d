/**
 * Requests that may be sent again, and requests that only read.
 *
 * @module
 */

/** A request that says whether it may be sent twice. */
export interface RepeatableRequest extends Request {
  /**
   * The request may be sent again after a failure that leaves open whether the vendor acted. True if by the vendor's own
   * word a second one has no further effect: it sets a value, carries an idempotency key or a required version, or a
   * duplicate does no harm. @default {by its method: GET, HEAD, OPTIONS and DELETE may}
   *
   * By RFC 9110, section 9.2.2, DELETE and PUT are idempotent. A PUT needs `true` all the same, because some vendors add a
   * version with each. A DELETE needs `false` if its address may name another thing later.
   *
   * @see https://www.rfc-editor.org/rfc/rfc9110#section-9.2.2
   */
  readonly mayRepeat?: boolean;
}

/** Returns true if a request asks for no change: https://www.rfc-editor.org/rfc/rfc9110#section-9.2.1 */
export function isRead({ method }: Pick<Request, "method">): boolean {
  return method === "GET" || method === "HEAD" || method === "OPTIONS";
}

/** Returns true if a request may be sent again, by its own `mayRepeat` or by its method. */
export function isRepeatable(request: RepeatableRequest): boolean {
  return request.mayRepeat ?? (isRead(request) || request.method === "DELETE");
}

/** Returns the request with this `mayRepeat`; `undefined`: its method decides. */
export function repeatable(request: Request, mayRepeat: boolean | undefined): RepeatableRequest {
  return mayRepeat === undefined ? request : Object.assign(request, { mayRepeat });
}
