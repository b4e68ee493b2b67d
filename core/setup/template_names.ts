/**
 * The templates of `init --template`.
 * Written by `deno task gen` from examples: change those.
 *
 * @module
 */

/** Titles by name. */
export const TEMPLATES: Readonly<Record<string, string>> = {
  "django": "notes, in Django",
  "go": "notes, in Go",
  "music": "music",
  "python": "notes, in Python",
};
