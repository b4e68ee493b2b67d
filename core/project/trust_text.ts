/**
 * Texts about items to trust, for the user. All of it is untrusted text: characters that a terminal would obey, or that
 * change its order, are shown by their numbers.
 *
 * @module
 */
import { shown, shownLines } from "../text/printable.ts";
import type { Item } from "./trusted.ts";

/** Formats an item in one line. */
export function itemTitle({ kind, resource, name, option }: Item): string {
  const text = shown(name);
  switch (kind) {
    case "provider":
      return `provider "${text}" of ${resource}`;
    case "script":
      return `script "${text}" of ${resource}`;
    case "host":
      return `${option} "${text}" of ${resource}`;
    case "base":
      return `${option} of ${resource}, outside the project: "${text}"`;
    case "command":
      return `command of ${resource}, "${text}"`;
    case "registry":
      return `registry "${text}"`;
  }
}

/** Lists the differences between an item and its trusted version, except in the contents of its files. */
export function whatChanged(before: Item, now: Item): string[] {
  const options = (one: Item) => JSON.stringify(one.options);
  const changes: string[] = [];
  if (before.name !== now.name) changes.push(`--- before: ${itemTitle(before)}`);
  if (options(before) !== options(now)) changes.push(`--- options before: ${shown(options(before) ?? "none")}`);
  return changes;
}

const WHAT_IT_GETS: Readonly<Record<Item["kind"], string>> = {
  provider: "runs as you, with your credentials",
  script: "runs on each new fork",
  host: "gets credentials and data",
  command: "runs as you, with the variables of an environment",
  base: "is read, copied into forks, and given to the app",
  registry: "decides which resources are forkstack's to delete",
};

/** Formats items as a list, each with its effects. */
export function itemsText(items: readonly Item[], title: string): string {
  const lines = [title];
  for (const item of items) {
    lines.push(`  ${itemTitle(item)}: ${WHAT_IT_GETS[item.kind]}`);
    for (const [name, hash] of Object.entries(item.files ?? {})) lines.push(`    ${shown(name)} sha256 ${hash}`);
    if (Object.keys(item.options ?? {}).length > 0) lines.push(`    options ${shown(JSON.stringify(item.options))}`);
  }
  return lines.join("\n");
}

/** Formats the contents of a file, with a mark before each line. */
export function quotedLines(text: string): string {
  return shownLines(text.replaceAll("\r\n", "\n")).trimEnd().split("\n").map((line) => `  | ${line}`).join("\n");
}
