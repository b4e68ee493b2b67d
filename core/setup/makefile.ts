/**
 * The Makefile of a project, with the targets that it and the files that it includes define. They are a stranger's, and so
 * are read alone: Make would run what stands in them.
 *
 * @module
 */
import { adviceFile, MOST_BYTES } from "../workspace/advice_file.ts";
import { projectFile } from "../project/state_ownership.ts";
import { files } from "../system/files.ts";
import { join } from "../system/host.ts";
import { INCLUDE, targetsIn } from "./make_tasks.ts";

/** A project's Makefile. */
export interface Makefile {
  readonly name: "GNUmakefile" | "makefile" | "Makefile";
  /** Absent if it can't be read, or is too large for one that a person wrote: it stays as it is. */
  readonly content: Uint8Array | undefined;
  /** Its targets, and those of included files that could be read. */
  readonly targets: ReadonlySet<string>;
  /** False if it includes what only Make could tell: by a variable, or outside the project. */
  readonly isWhole: boolean;
}

/** More included files than this are not read. */
const MOST_FILES = 100;

/** Reads the Makefile of a directory: of several, the one that Make takes. */
export async function makefileOf(root: string): Promise<Makefile | undefined> {
  const names = await files.list(root);
  const name = (["GNUmakefile", "makefile", "Makefile"] as const).find((one) => names.includes(one));
  if (name === undefined) return undefined;
  const path = await projectFile(root, name).catch(() => undefined); // a directory, or somebody else's
  const isSmall = path !== undefined && ((await files.stat(path))?.sizeBytes ?? 0) <= MOST_BYTES;
  const content = isSmall ? await files.readBytes(path) : undefined;
  const text = new TextDecoder().decode(content);
  const targets = new Set(targetsIn(text));
  let isWhole = true;
  const queue = includedBy(text);
  const seen = new Set<string>();
  for (let word = queue.shift(); word !== undefined; word = queue.shift()) {
    if (seen.has(word)) continue;
    seen.add(word);
    if (/[$~]|^\/|\.\.\//.test(word) || seen.size > MOST_FILES) isWhole = false;
    else if (/[*?[]/.test(word)) queue.push(...await matching(root, word));
    else {
      const { text: included = "" } = await adviceFile(root, word) ?? {};
      for (const target of targetsIn(included)) targets.add(target);
      queue.push(...includedBy(included));
    }
  }
  return { name, content, targets, isWhole };
}

/** Returns the words of the `include` lines of a Makefile, but for our own file. */
function includedBy(text: string): string[] {
  const lines = text.replaceAll(/\\\r?\n/g, " ").matchAll(/^ *[-s]?include[ \t]+([^#\r\n]*)/gm);
  return Array.from(lines, ([, words]) => words!.replaceAll(/\$[({]wildcard ([^$(){}]*)[)}]/g, "$1"))
    .flatMap((words) => words.replace(INCLUDE.replace("-include ", ""), "").split(/[ \t]+/))
    .filter((word) => word !== "" && !/(^|\/)envs\.mk$/.test(word));
}

/** Returns the files that a pattern of one directory names: `mk/*.mk`; any other is left as what only Make could tell. */
async function matching(root: string, pattern: string): Promise<string[]> {
  const [, directory = "", last = ""] = /^(.*\/)?([^/]*)$/.exec(pattern) ?? [];
  if (/[*?[]/.test(directory) || /\[|(\*.*){4}/.test(last)) return [`$${pattern}`];
  const source = last.replaceAll(/[.+^{}()|\\]/g, "\\$&").replaceAll("*", ".*").replaceAll("?", ".");
  const names = await files.list(join(root, directory)).catch(() => []); // not a directory, or closed to us
  return names.filter((name) => new RegExp(`^(?!\\.)${source}$`).test(name)).map((name) => directory + name);
}
