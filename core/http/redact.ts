/**
 * Removes credentials from texts and errors before anyone reads them.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { findSecrets, type Needles, needlesOf } from "./disguise.ts";

/** Returns the text without the redactor's secrets, and without query strings and connection URLs. */
export type Redact = (text: string) => string;

const MARK = "[redacted]";
/** Shortest value that counts as a credential; removing shorter ones would cut up other words. */
const MIN_LENGTH = 4;
/** Most characters of a quoted text that are read. */
const MAX_READ = 65_536;
const CREDENTIAL_HEADER = /authorization|cookie|credential|token|secret|password|api-?key/i;
/**
 * Pattern of a URL. It includes brackets, so that a URL with a secret already removed still matches whole. No scheme is
 * longer.
 */
const ANY_URL = /([a-z][a-z0-9+.-]{0,40}):\/\/[^\s"'`<>(){}]+/gi;

/** Creates a `Redact`; `values` is called when there is first something to redact. */
export function redactor(values: () => Iterable<string>): Redact {
  let needles: Needles | undefined;
  return (text) => {
    needles ??= needlesOf([...values()].filter((value) => value.length >= MIN_LENGTH));
    let [shown, done] = ["", 0];
    // Secrets first: a secret that is itself a URL must be found before its query is cut off.
    for (const [from, to] of findSecrets(text, needles)) {
      shown += text.slice(done, from) + MARK;
      done = to;
    }
    return (shown + text.slice(done)).replace(ANY_URL, withoutCredentials);
  };
}

/**
 * Returns the values of a request's credential headers: whole, without their scheme, and decoded if they are `Basic`.
 */
export function headerCredentials(headers: Headers): string[] {
  return [...headers].filter(([name]) => CREDENTIAL_HEADER.test(name)).flatMap(([, value]) => {
    const [, scheme, rest] = /^(\S+)\s+(.+)$/.exec(value) ?? [];
    if (rest === undefined) return [value];
    if (scheme.toLowerCase() !== "basic") return [value, rest];
    const pair = Buffer.from(rest, "base64").toString("utf8");
    const colon = pair.indexOf(":");
    // Some vendors take their key as the user name of an empty password; otherwise the name is no secret.
    const [user, password] = [pair.slice(0, colon), pair.slice(colon + 1)];
    return [value, rest, pair, password || user];
  });
}

/** Copies an error and its causes without secrets: names, codes, redacted messages and stacks. */
export function redactedError(error: unknown, redact: Redact, depth = 0): Error {
  if (!(error instanceof Error)) return new Error(redact(String(error)));
  const goesOn = error.cause !== undefined && depth < 8; // a chain may lead back into itself
  const copy = new Error(redact(error.message), goesOn ? { cause: redactedError(error.cause, redact, depth + 1) } : {});
  const fields: Record<string, unknown> = { name: redact(error.name), stack: redact(error.stack ?? "") };
  const code = (error as { code?: unknown }).code;
  if (typeof code === "string") fields.code = redact(code);
  for (const [key, value] of Object.entries(fields)) {
    Object.defineProperty(copy, key, { value, configurable: true, writable: true });
  }
  return copy;
}

/** Returns a vendor's text on one line, redacted before it is cut, so that no half of a secret is left at the cut. */
export function quote(text: string, redact: Redact, maxLength = 200): string {
  // deno-lint-ignore no-control-regex
  const line = redact(text.slice(0, MAX_READ)).replace(/[\s\x00-\x1f\x7f-\x9f]+/g, " ").trim();
  return line.length > maxLength ? `${line.slice(0, maxLength - 3).toWellFormed()}...` : line;
}

/**
 * Removes credentials from a URL: addresses keep host and path; `postgres://` and similar URLs are removed completely.
 */
function withoutCredentials(url: string, scheme: string): string {
  if (!/^(https?|file)$/i.test(scheme)) return `${scheme}://${MARK}`;
  return url.replace(/^([^:]+:\/\/)[^/?#]*@/, "$1").replace(/[?#].*$/, "");
}
