/**
 * Counts as people read them.
 *
 * @module
 */

/** A count with its noun: `"1 resource"`, `"2 resources"`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
