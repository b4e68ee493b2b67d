/**
 * Files of a project that are read for advice alone. They are a stranger's: only regular files inside the checkout are
 * read, and of those no more than a person writes.
 *
 * @module
 */
import { readEnvFile } from "../../mod.ts";
import { projectFile } from "../project/state_ownership.ts";
import { disk } from "../system/disk.ts";

/** The largest file that is read for advice. */
export const MOST_BYTES = 256 * 1024;
const MOST_IN_LINE = 4_000;

/** Returns the variables of an env file; of one that can't be read plainly, an empty text. */
export function envValuesOf(text: string): Record<string, string> {
  const values = Array.from(readEnvFile(text), ([key, value]) => [key, typeof value === "string" ? value : ""]);
  return Object.fromEntries(values);
}

/** Reads a file; `undefined` if there is none, if it is somebody else's, or larger than one that a person writes. */
export async function adviceFile(
  root: string,
  path: string,
): Promise<{ readonly path: string; readonly text: string } | undefined> {
  try {
    const real = await projectFile(root, path);
    const found = await disk.look(real);
    if (found?.type !== "file" || found.sizeBytes > MOST_BYTES) return undefined;
    const text = await disk.readText(real);
    return { path, text: /\.jsonc?$/.test(path) ? text : withoutLongLines(text) };
  } catch {
    return undefined; // advice only: what can't be read gives none
  }
}

function withoutLongLines(text: string): string {
  return text.split("\n").map((line) => line.length > MOST_IN_LINE ? "" : line).join("\n");
}
