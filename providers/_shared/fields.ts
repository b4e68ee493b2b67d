/**
 * Fields of a record, as headers, notes, queries and variables are.
 *
 * @module
 */

/** The fields that hold something; those that are `undefined` are left out. */
export function present<T>(fields: Readonly<Record<string, T | undefined>>): Record<string, T> {
  const held = Object.entries(fields).filter((field): field is [string, T] => field[1] !== undefined);
  return Object.fromEntries(held);
}
