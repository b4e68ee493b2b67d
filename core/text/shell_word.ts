/**
 * Words of a command line.
 *
 * @module
 */

/** A word as `sh`, `cmd` and Deno's task shell all take it. */
export function shellWord(word: string): string {
  return /^[\w@%+=:,./~-]+$/.test(word) ? word : `"${word.replace(/["$`\\]/g, "\\$&")}"`;
}
