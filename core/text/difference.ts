/**
 * Changes between texts. In a separate file, so that its package is loaded only when needed.
 *
 * @module
 */
import { structuredPatch } from "npm:diff@9.0.0";

/** The lines that changed, each with a few around it. */
export function differenceOf(before: string, now: string): string {
  const { hunks } = structuredPatch("", "", before, now, "", "", { context: 3 });
  return hunks.flatMap(({ newStart, lines }) => [`@@ line ${newStart}`, ...lines]).join("\n");
}
