/**
 * Patterns in which a `*` stands for any text.
 *
 * @module
 */

/** Tells whether a whole text is as one of the patterns says; of none nothing is. */
export function globMatcher(...patterns: readonly string[]): (text: string) => boolean {
  const sources = patterns.map((one) =>
    one.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&")).join("[^]*")
  );
  const whole = new RegExp(`^(${sources.join("|")})$`);
  return (text) => patterns.length > 0 && whole.test(text);
}
