/**
 * Takes credentials out of text and errors before anyone reads them.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { findSecrets, type Needles, needlesOf } from "./disguise.ts";

/** Returns the text without the secrets it was made for, and without query strings and connection URLs. */
export type Redact = (text: string) => string;

const MARK = "[redacted]";
/** Shorter values are no credential, and taking them out would cut up every other word. */
const MIN_LENGTH = 4;
/** Of a text that is quoted in one line, nobody reads more. */
const MAX_READ = 65_536;
const CREDENTIAL_HEADER = /authorization|cookie|credential|token|secret|password|api-?key/i;
/** Brackets belong to it, so that a URL with a secret already taken out is still seen whole. No scheme is longer. */
const ANY_URL = /([a-z][a-z0-9+.-]{0,40}):\/\/[^\s"'`<>(){}]+/gi;

/** Makes a `Redact`; the values are asked for when there is first something to redact. */
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

/** The values of a request's credential headers: whole, without their scheme, and decoded where they are `Basic`. */
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

/** A copy of an error and its causes with nothing to hide: names, codes, redacted messages and stacks. */
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

/** Text of a vendor on one line, redacted before it is cut, so that no half of a secret is left at the cut. */
export function quote(text: string, redact: Redact, maxLength = 200): string {
  // deno-lint-ignore no-control-regex
  const line = redact(text.slice(0, MAX_READ)).replace(/[\s\x00-\x1f\x7f-\x9f]+/g, " ").trim();
  return line.length > maxLength ? `${line.slice(0, maxLength - 3).toWellFormed()}...` : line;
}

/** Places keep host and path; a `postgres://` and its like is a credential as a whole. */
function withoutCredentials(url: string, scheme: string): string {
  if (!/^(https?|file)$/i.test(scheme)) return `${scheme}://${MARK}`;
  return url.replace(/^([^:]+:\/\/)[^/?#]*@/, "$1").replace(/[?#].*$/, "");
}
