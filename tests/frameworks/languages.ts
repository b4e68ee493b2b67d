/** The uses of all languages, as docs/frameworks.md shows them. */
import { JAVASCRIPT } from "./javascript.ts";
import { GO, PHP, RUBY } from "./others.ts";
import { PYTHON } from "./python.ts";
import type { Use } from "./use.ts";

/** Uses by language. */
export const USES = { JavaScript: JAVASCRIPT, Python: PYTHON, Go: GO, Ruby: RUBY, PHP } satisfies Readonly<
  Record<string, readonly Use[]>
>;
