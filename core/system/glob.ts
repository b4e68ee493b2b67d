/**
 * Patterns with `*` for any text.
 *
 * @module
 */

/** Returns a function that tests whether a whole text matches one of the patterns; without patterns nothing matches. */
export function globMatcher(...patterns: readonly string[]): (text: string) => boolean {
  const sources = patterns.map((one) =>
    one.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&")).join("[^]*")
  );
  const whole = new RegExp(`^(${sources.join("|")})$`);
  return (text) => patterns.length > 0 && whole.test(text);
}
