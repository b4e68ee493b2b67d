/**
 * Results of the packages of `tools/site`, in one file since they are installed once. The site of `deno task site`: each page
 * is in it, as HTML and as a plain twin, and nothing of it asks another host. And the spelling of the pages.
 */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { fileURLToPath } from "node:url";
import { anchorsOf, PAGES } from "../../tools/docs/pages.ts";
import { build, groupsOf, listing, OUTPUT, runTool, sitePages } from "../../tools/site/main.ts";
import { temporaryDirectory } from "../helpers.ts";
import { SIZE } from "../sizes.ts";

const PAGES_OF_SITE = sitePages(undefined);
const PATHS = new Map(PAGES_OF_SITE.map((page) => [page.path, page]));

Deno.test("the site has each page of docs and beside the code, at a path that no other has in any case of its letters", () => {
  const wanted = PAGES.filter((page) => !page.startsWith("examples/"));
  assert.deepEqual(PAGES_OF_SITE.map(({ source }) => source).sort(), wanted.toSorted());
  assert.equal(new Set(PAGES_OF_SITE.map(({ path }) => path.toLowerCase())).size, wanted.length);
  const inMenu = groupsOf(PAGES_OF_SITE).flatMap(({ pages }) => pages.map(({ path }) => path));
  assert.deepEqual(inMenu.sort(), [...PATHS.keys()].sort());
  const list = listing(PAGES_OF_SITE, "/base/");
  for (const path of PATHS.keys()) assert.equal(list.split(`(/base/${path})`).length, 2, path);
  assert.match(list, /^# forkstack\n\n> \w.{40,}\n\n## Start\n\n- \[forkstack\]\(\/base\/index\.md\)\n/);
});

Deno.test("links of a twin lead to a page of the site and a heading there; sources are linked where their address is known", () => {
  let count = 0;
  for (const { path, text } of PAGES_OF_SITE) {
    assert.doesNotMatch(text, /<!-- (?:not run|run by|first|generated)\b/, path);
    const prose = text.replace(/^ *```[^]*?^ *```$|`[^`\n]+`|!\[[^\]]*\]\([^)]*\)/gm, ""); // pictures are no pages
    for (const [, target] of prose.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^(https?:|mailto:)/.test(target!)) continue;
      const [file, anchor] = target!.split("#");
      const to = PATHS.get(file === "" ? path : posix.join(posix.dirname(path), file!));
      assert(to !== undefined, `${path}: ${target}`);
      if (anchor !== undefined) assert(anchorsOf(to.text).has(anchor), `${path}: ${target}`);
      count++;
    }
  }
  assert(count > 150, `${count} links`);
  const repository = "https://code.example/forkstack/blob/main";
  const known = sitePages(repository).find(({ path }) => path === "providers.md")!;
  assert(known.text.includes(`](${repository}/core/provider.ts)`));
});

/** Requests of a page, a style or a script to another host by itself; links are asked by a reader alone. */
function requestsIn(text: string): string[] {
  const patterns = [
    /<(?:script|link|img|iframe|source|video|audio|object|embed)\b[^>]*?\b(?:src|href|srcset|data)=["']?(?:https?:)?\/\/[^>\s]+/g,
    /\burl\(["']?(?:https?:)?\/\/[^)]+/g,
    /@import\s+["'](?:https?:)?\/\/[^"']+/g,
    /\b(?:import|fetch|importScripts|sendBeacon)\(["'`](?:https?:)?\/\/[^"'`]+/g,
    /\bfrom\s*["'](?:https?:)?\/\/[^"']+/g,
  ];
  return patterns.flatMap((pattern) => Array.from(text.matchAll(pattern), ([found]) => found));
}

Deno.test("a request to another host is found, and a link is none", () => {
  const asking = [
    '<script src="https://a.example/x.js">',
    "<link rel=preload href=//a.example/x>",
    "url(https://a.example/f)",
  ];
  for (
    const one of [...asking, '@import "//a.example"', 'import("https://a.example/x.js")', 'fetch("https://a.example")']
  ) {
    assert.equal(requestsIn(one).length, 1, one);
  }
  for (const one of ['<a href="https://a.example">', '<script src="/x.js">', "url(/f.woff2)", 'fetch("/x")']) {
    assert.deepEqual(requestsIn(one), [], one);
  }
});

Deno.test({
  name: `deno task site: HTML, twins, search and no request to another host${SIZE === "full" ? "" : " (at full size)"}`,
  ignore: SIZE !== "full",
  fn: () => {
    build("/forkstack/");
    for (const [path, { text }] of PATHS) {
      assert.equal(readFileSync(join(OUTPUT, path), "utf8"), text);
      for (const [, picture] of text.matchAll(/!\[[^\]]*\]\((?!https?:)([^)]+)\)/g)) {
        assert(existsSync(join(OUTPUT, dirname(path), picture!)), `${path}: ${picture}`);
      }
      const html = readFileSync(join(OUTPUT, path.replace(/\.md$/, ".html")), "utf8");
      for (const anchor of anchorsOf(text)) assert(html.includes(`id="${anchor}"`), `${path}#${anchor}`);
    }
    assert.equal(readFileSync(join(OUTPUT, "llms.txt"), "utf8"), listing(PAGES_OF_SITE, "/forkstack/"));
    const files = readdirSync(OUTPUT, { recursive: true, encoding: "utf8" });
    assert(files.some((file) => /localSearchIndex/.test(file)), "the index of the search");
    for (const file of files.filter((one) => /\.(html|js|css)$/.test(one))) {
      assert.deepEqual(requestsIn(readFileSync(join(OUTPUT, file), "utf8")), [], file);
    }
    assert(!existsSync(join(OUTPUT, "node_modules")));
  },
});

const CSPELL = fileURLToPath(new URL("../../tools/site/cspell.json", import.meta.url));

/** The words of these files that no dictionary has, each with its place. */
function misspelt(...files: readonly string[]): string[] {
  const options = [
    "lint",
    "--no-progress",
    "--no-summary",
    "--no-color",
    "--config",
    CSPELL,
  ];
  const { code, said } = runTool("cspell", [...options, ...files]);
  const lines = said.split("\n").filter(Boolean);
  assert(code === 0 || lines.length > 0, `cspell ended with ${code}`);
  return lines;
}

Deno.test({
  name: `every word of the pages is spelt as a dictionary or tools/site/words.txt has it${
    SIZE === "full" ? "" : " (at full size)"
  }`,
  ignore: SIZE !== "full",
  fn: () => {
    assert.deepEqual(misspelt(...PAGES), []);
    using directory = temporaryDirectory();
    const page = join(directory.path, "page.md");
    writeFileSync(page, "# A page\n\nIt recieves `a wrnog` name, honours forkstack's colour, and is seperate.\n");
    assert.deepEqual(misspelt("--root", directory.path, page).map((line) => /\((\w+)\)/.exec(line)?.[1]), [
      "recieves",
      "seperate",
    ]);
  },
});
