/** The repository's own pages, as the tests of them and the site read them. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT: string = fileURLToPath(new URL("../../", import.meta.url));

/** Paths of all pages from the top of the repository, sorted: those beside the code, of `docs/` and of the examples. */
export const PAGES: readonly string[] = [
  ...readdirSync(ROOT).filter((name) => name.endsWith(".md")),
  ...below("docs"),
  ...below("examples").filter((path) => !path.includes("node_modules")),
].sort();

function below(directory: string): string[] {
  return readdirSync(join(ROOT, directory), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".md")).map((name) => `${directory}/${name.replaceAll("\\", "/")}`);
}

/** Reads a page, or any other file, by its path from the top of the repository. */
export function readPage(path: string): string {
  return readFileSync(join(ROOT, path), "utf8");
}

/** Returns the anchor that GitHub makes of a heading, e.g. `"run-it-now"` of ``"Run it: `now`"``. */
export function anchorOf(heading: string): string {
  return heading.toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, "").replaceAll(" ", "-");
}

/** Returns the anchors of a page's headings. */
export function anchorsOf(text: string): Set<string> {
  return new Set(Array.from(withoutFences(text).matchAll(/^#+ (.+)$/gm), ([, heading]) => anchorOf(heading!)));
}

/** Returns a page without its fenced code, and with as many lines. */
export function withoutFences(text: string): string {
  return text.replace(/^ *```[^]*?^ *```$/gm, (fence) => fence.replace(/.+/g, ""));
}
