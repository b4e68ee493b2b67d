/**
 * Requests that may be sent again, and such as only read.
 *
 * @module
 */

/** A request that says of itself whether a second one does no harm. */
export interface RepeatableRequest extends Request {
  /**
   * After a failure that leaves open whether the vendor acted, it may be sent once more. True where the second one has no
   * further effect by the vendor's own word: it sets a value, carries an idempotency key or a version that must be there,
   * or what it makes twice is of no consequence. @default {by its method: GET, HEAD, OPTIONS and DELETE may}
   *
   * By RFC 9110, section 9.2.2, DELETE and PUT have the effect of one however often they are sent. A PUT has to say so all
   * the same: some vendors add a version with each. A DELETE whose address can come to name another thing says `false`.
   *
   * @see https://www.rfc-editor.org/rfc/rfc9110#section-9.2.2
   */
  readonly mayRepeat?: boolean;
}

/** Whether a request asks for no change: https://www.rfc-editor.org/rfc/rfc9110#section-9.2.1 */
export function isRead({ method }: Pick<Request, "method">): boolean {
  return method === "GET" || method === "HEAD" || method === "OPTIONS";
}

/** Whether a request may be sent again, by its own word or by its method. */
export function isRepeatable(request: RepeatableRequest): boolean {
  return request.mayRepeat ?? (isRead(request) || request.method === "DELETE");
}

/** The request, with its own word on whether it may be sent again; `undefined`: its method decides. */
export function repeatable(request: Request, mayRepeat: boolean | undefined): RepeatableRequest {
  return mayRepeat === undefined ? request : Object.assign(request, { mayRepeat });
}
