/**
 * Fields of records, such as headers, notes, queries and variables.
 *
 * @module
 */

/** Returns the fields without those that are `undefined`. */
export function present<T>(fields: Readonly<Record<string, T | undefined>>): Record<string, T> {
  const held = Object.entries(fields).filter((field): field is [string, T] => field[1] !== undefined);
  return Object.fromEntries(held);
}
