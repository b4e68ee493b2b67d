/**
 * Variables that Bun put into the process out of a directory's `.env` files, unasked:
 * https://bun.com/docs/runtime/env. They come with the repository, and are no choice of the person at the shell.
 *
 * @module
 */
import { readEnvFile } from "../../mod.ts";
import { files } from "../system/files.ts";

/** The files that Bun reads, whichever mode it runs in. */
export const ENV_FILES: readonly string[] = ["", ".production", ".development", ".test"]
  .flatMap((mode) => [`.env${mode}`, `.env${mode}.local`]);

/**
 * Forgets them. In the place of the user's own variables they would lead a token to another host; and what `.env.local`
 * says of the current environment is for the app: here it would decide what is current after a switch too.
 */
export async function forgetLoaded(): Promise<void> {
  const texts = await Promise.all(ENV_FILES.map((file) => files.read(file).catch(() => undefined)));
  for (const name of texts.flatMap((text) => loadedFrom(text ?? "", process.env))) delete process.env[name];
}

/**
 * Text that another parser may read otherwise: an expansion, an escape, a control character, white space beyond blanks, tabs
 * and line ends.
 */
// deno-lint-ignore no-control-regex
const IN_DOUBT = /[$\\`\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)|[^\S\t\n\r ]/;

/**
 * The names of variables that may have come from a file. Where the file leaves room for doubt the variable counts as the
 * file's, as does one whose name and "=" stand on two lines.
 */
export function loadedFrom(text: string, variables: Readonly<Record<string, string | undefined>>): string[] {
  const parsed = readEnvFile(text);
  const isPlain = !IN_DOUBT.test(text);
  const named = [...text.matchAll(/^\s*(?:export\s+)?([^\s=:#]+)\s*[=:]/gm)].map(([, name]) => name!);
  return [...new Set([...named, ...parsed.keys()])].filter((name) => {
    const value = variables[name];
    return value !== undefined && !(isPlain && typeof parsed.get(name) === "string" && parsed.get(name) !== value);
  });
}
