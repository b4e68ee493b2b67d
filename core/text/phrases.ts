/**
 * Counts, lists and where a directory is, as people read them.
 *
 * @module
 */

/** A count with its noun: `"1 resource"`, `"2 resources"`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** Names as a sentence has them: `"A"`, `"A and B"`, `"A, B and C"`. */
export function listed(names: readonly string[]): string {
  return [names.slice(0, -1).join(", "), ...names.slice(-1)].filter(Boolean).join(" and ");
}

/** The verb after `listed()`. */
export function isOrAre(names: readonly unknown[]): "is" | "are" {
  return names.length === 1 ? "is" : "are";
}

/** Returns the end of a sentence about a directory whose environment `gone` is deleted: `"on dev"`. */
export function standingText(
  { env, decidedBy }: { readonly env: string | undefined; readonly decidedBy: string },
  gone: string,
): string {
  if (env === undefined) return "on no environment";
  return env === gone ? `on no environment until ${decidedBy} is unset` : `on ${env}`;
}

/** The text in lines of at most so many characters, but for words that are longer. */
export function wrapped(text: string, width: number, hanging = ""): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = hanging + word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
