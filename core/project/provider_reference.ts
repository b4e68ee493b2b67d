/**
 * References to custom providers: a path, or a URL with the hash of its file.
 *
 * @module
 */

const URL_LIKE = /^https:\/\/[^\s?#@]+$|^http:\/\/(127\.0\.0\.1|localhost)(:\d+)?\/[^\s?#@]+$/;

/** The parts of a reference. */
export interface Reference {
  readonly place: string;
  readonly isUrl: boolean;
  /** SHA-256 of the file in base64. */
  readonly hash: string | undefined;
}

export function parsed(provider: string): Reference {
  const [place, ...hash] = provider.split("#");
  return { place, isUrl: /^[a-z]+:/.test(place), hash: hash.length === 0 ? undefined : hash.join("#").slice(7) };
}

/** Returns the problem of a reference, judged by its text alone; `undefined` if there is none. */
export function referenceProblem(provider: string): string | undefined {
  const { place, isUrl, hash } = parsed(provider);
  if (isUrl && !URL_LIKE.test(place)) return "must be an https URL without user and query, or a path";
  if (!/\.m?[jt]s$/.test(place)) return "must name a file that ends with .ts or .js";
  if (hash !== undefined && !/^sha256-[\w+/]{43}=$/.test(provider.slice(place.length + 1))) {
    return 'must end with the hash of the file, "#sha256-" and 44 characters of base64, or without a "#"';
  }
  if (!isUrl || hash !== undefined) return undefined;
  return `is a URL and must end with the hash of its file, "#sha256-…": read the file, then take what ` +
    `\`curl -sL ${place} | openssl dgst -sha256 -binary | base64\` prints`;
}
