/**
 * Variables that Bun by itself loads into the process from a directory's `.env` files:
 * https://bun.com/docs/runtime/env. They come with the repository and are not the user's choice.
 *
 * @module
 */
import { readEnvFile } from "../../mod.ts";
import { files } from "../system/files.ts";

/** The files that Bun reads, in any mode. */
export const ENV_FILES: readonly string[] = ["", ".production", ".development", ".test"]
  .flatMap((mode) => [`.env${mode}`, `.env${mode}.local`]);

/**
 * Removes the variables from the process. Otherwise they could replace the user's own and send a token to another host;
 * and `.env.local` is meant for the app: here it would still decide the current environment after a switch.
 */
export async function forgetLoaded(): Promise<void> {
  const texts = await Promise.all(ENV_FILES.map((file) => files.read(file).catch(() => undefined)));
  for (const name of texts.flatMap((text) => loadedFrom(text ?? "", process.env))) delete process.env[name];
}

/**
 * Text that another parser may read differently: an expansion, an escape, a control character, white space other than
 * blanks, tabs and line ends.
 */
// deno-lint-ignore no-control-regex
const IN_DOUBT = /[$\\`\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)|[^\S\t\n\r ]/;

/**
 * Lists the variables that may have come from a file. In doubt a variable counts as the file's, as does one whose name
 * and "=" are on two lines.
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
