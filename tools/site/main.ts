/**
 * `deno task site`: builds the pages into `dist/site`, by VitePress: HTML with a search that works offline, a plain `.md`
 * twin of each page, and `llms.txt`, the list of the twins for programs that read. Nothing of it asks another host.
 *
 * `SITE_BASE` is the path that it is served under, by default `/`. `SITE_REPOSITORY` is the address of the repository's
 * files, e.g. `https://github.com/acme/forkstack/blob/main`, for links to sources; without it these are plain text.
 */
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { blocksOf } from "../docs/blocks.ts";
import { anchorOf, PAGES, readPage } from "../docs/pages.ts";

const ROOT: string = fileURLToPath(new URL("../../", import.meta.url));
const PACKAGES: string = join(ROOT, "tools/site/packages");

/** The directory of the built site. */
export const OUTPUT: string = join(ROOT, "dist/site");

/** The settings that VitePress reads. */
const SOURCE: string = join(ROOT, "dist/site-source");

/** Room for the lines of code, which have up to 100 characters with their comments. */
const STYLE = ":root { --vp-code-font-size: 13px } " +
  ".VPDoc .container .content-container.content-container { max-width: 820px } " +
  ".VPDoc.has-aside .content.content { padding-inline: 24px }";

/** A page of the site. */
export interface SitePage {
  /** Its path in the repository. */
  readonly source: string;
  /** Its path in the site, with `.md`. */
  readonly path: string;
  readonly title: string;
  readonly text: string;
}

/** Pages in the order of the menu; what is not named comes below, a folder a group. */
const MENU: Readonly<Record<string, readonly string[]>> = {
  "Start": ["index", "getting-started", "concepts", "choosing-a-stack"],
  "Work": ["environments", "worktrees", "variables", "import", "frameworks", "ci", "teams"],
  "Resources": ["databases", "storage", "secrets", "caches", "queues", "providers"],
  "Safety": ["security", "threats", "reliability"],
  "Help": ["troubleshooting", "commands", "errors", "migrating", "changelog"],
};

/** Titles of groups, by folder. */
const FOLDERS: Readonly<Record<string, string>> = { guides: "Guides", stacks: "Stacks", languages: "Languages" };

/** Paths in the site of the pages at the top; no two may differ by their case alone, as SECURITY.md and docs/security.md. */
const AT_TOP: Readonly<Record<string, string>> = {
  "README.md": "index.md",
  "CHANGELOG.md": "changelog.md",
  "CONTRIBUTING.md": "contributing/index.md",
  "SECURITY.md": "threats.md",
};

/** Returns the path in the site of a page, or a file beside the pages, of the repository; `undefined` if it has none. */
function placeOf(source: string): string | undefined {
  return source.startsWith("docs/") ? source.slice("docs/".length) : AT_TOP[source];
}

/** Reads the pages of the site. */
export function sitePages(repository: string | undefined): SitePage[] {
  return PAGES.flatMap((source) => {
    const path = placeOf(source);
    if (path === undefined) return [];
    const text = linked(fenced(source, readPage(source).replace(/^ *<!--[^]*?-->\n+/gm, "")), source, path, repository);
    return [{ source, path, title: /^# (.+)$/m.exec(text)![1]!.replaceAll("`", ""), text }];
  });
}

/** Returns a page with a fence around each indented block, so that its language is known. */
function fenced(source: string, text: string): string {
  const lines = text.split("\n");
  for (const { line, language, code } of blocksOf(source, text).toReversed()) {
    if (lines[line - 2]?.trim().startsWith("```")) continue;
    const own = code.split("\n");
    const indent = " ".repeat(/^ */.exec(lines[line - 1]!)![0].length - 4); // that of a list around it
    lines.splice(line - 1, own.length, ...[`\`\`\`${language}`, ...own, "```"].map((one) => indent + one));
  }
  return lines.join("\n");
}

/** Returns a page with links that lead somewhere in the site, or to the repository's files. */
function linked(text: string, source: string, path: string, repository: string | undefined): string {
  const pictures = text.replace(
    /(?<=\b(?:src|srcset)=")[^":]+(?=")/g,
    (file) => placeOf(posix.join(posix.dirname(source), file)) ?? file,
  );
  return pictures.replace(/(!?)\[((?:[^[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)/g, (whole, image, label, target) => {
    if (/^(https?:|mailto:|#)/.test(target)) return whole;
    const [file, anchor] = target.split("#");
    const at = posix.join(posix.dirname(source), file);
    const to = placeOf(at);
    if (to !== undefined && (PAGES.includes(at) || image !== "")) {
      const way = posix.relative(posix.dirname(path), to);
      return `${image}[${label}](${way.startsWith(".") ? way : `./${way}`}${anchor === undefined ? "" : `#${anchor}`})`;
    }
    return repository === undefined ? label : `[${label}](${repository}/${at})`;
  });
}

/** A group of the menu, with its pages in order. */
interface Group {
  readonly text: string;
  readonly pages: readonly SitePage[];
}

/** Returns every page once: those that `MENU` names, then a group for each folder that has a title, then the others. */
export function groupsOf(pages: readonly SitePage[]): Group[] {
  const named = Object.values(MENU).flat().map((name) => `${name}.md`);
  const isNamed = ({ path }: SitePage) => named.includes(path);
  const titleOf = ({ path }: SitePage) => FOLDERS[path.split("/")[0]!] ?? "Inside";
  const groups = Object.entries(MENU).map(([text, names]) => ({
    text,
    pages: names.flatMap((name) => pages.filter(({ path }) => path === `${name}.md`)),
  }));
  const others = Map.groupBy(pages.filter((page) => !isNamed(page)), titleOf);
  const more = [...Object.values(FOLDERS), "Inside"].map((text) => ({ text, pages: others.get(text) ?? [] }));
  return [...groups, ...more].filter(({ pages }) => pages.length > 0);
}

/** Returns the text of `llms.txt`: https://llmstxt.org. */
export function listing(pages: readonly SitePage[], base: string): string {
  const groups = groupsOf(pages).map(({ text, pages }) => {
    const lines = pages.map(({ title, path }) => `- [${title}](${base}${path})\n`);
    return `## ${text}\n\n${lines.join("")}`;
  });
  const [, summary] = /^((?![#<![|\s>-]).+(?:\n.+)*)/m.exec(pages.find(({ path }) => path === "index.md")!.text)!;
  return `# forkstack\n\n> ${summary!.trim().replace(/\s+/g, " ")}\n\n${groups.join("\n")}`;
}

/** Changes to markdown-it. */
interface Markdown {
  readonly renderer: { readonly rules: Record<string, (...all: readonly unknown[]) => string> };
}

/** Has two braces mean themselves: to Vue they begin an expression, and no page is a template. */
function withoutTemplates({ renderer: { rules } }: Markdown): void {
  for (const name of ["text", "code_inline", "code_block"]) {
    const render = rules[name]!;
    rules[name] = (...all) => render(...all).replaceAll("{{", "&#123;&#123;");
  }
}

function config(pages: readonly SitePage[], base: string): string {
  const sidebar = groupsOf(pages).map(({ text, pages }, at) => ({
    text,
    collapsed: at > 1,
    items: pages.map(({ title, path }) => ({ text: title, link: `/${path.replace(/(index)?\.md$/, "")}` })),
  }));
  const settings = {
    lang: "en",
    title: "forkstack",
    description: "An isolated copy of the whole stack for each developer, pull request or agent",
    base,
    head: [["style", {}, STYLE]],
    outDir: OUTPUT,
    cacheDir: join(ROOT, "dist/site-cache"),
    themeConfig: {
      sidebar,
      outline: { level: [2, 3] },
      search: { provider: "local" },
      docFooter: { prev: false, next: false },
    },
  };
  // The theme's links to social networks would fetch icons from another host; the site has none.
  const empty = JSON.stringify(join(SOURCE, ".vitepress/empty.vue"));
  return `export default {
  ...${JSON.stringify(settings)},
  markdown: { anchor: { slugify: ${anchorOf} }, config: ${withoutTemplates} },
  vite: { resolve: { alias: [{ find: /^.*\\/VPSocialLink\\.vue$/, replacement: ${empty} }] } },
};\n`;
}

/** Runs a program of the packages in `tools/site/packages`, which npm installs where they are not yet. */
export function runTool(name: string, args: readonly string[]): { readonly code: number; readonly said: string } {
  const run = (command: string, all: readonly string[], cwd: string) => {
    const { status, stdout, stderr } = spawnSync(command, all, { cwd, encoding: "utf8" });
    return { code: status ?? 1, said: `${stdout}${stderr}` };
  };
  if (!existsSync(join(PACKAGES, "node_modules", ".package-lock.json"))) {
    const installed = run("npm", ["ci", "--no-fund", "--no-audit", "--ignore-scripts"], PACKAGES);
    if (installed.code !== 0) return installed;
  }
  return run(join(PACKAGES, "node_modules/.bin", name), args, ROOT);
}

/** Builds the site; throws if VitePress finds a link that leads nowhere. */
export function build(base = "/", repository?: string): SitePage[] {
  const pages = sitePages(repository);
  for (const old of [SOURCE, OUTPUT]) rmSync(old, { recursive: true, force: true });
  const write = (path: string, text: string) => {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  };
  const pictures = (to: string) =>
    cpSync(join(ROOT, "docs"), to, { recursive: true, filter: (path) => !path.endsWith(".md") });
  pictures(SOURCE);
  for (const { path, text } of pages) write(join(SOURCE, path), text);
  write(join(SOURCE, ".vitepress/config.mjs"), config(pages, base));
  write(join(SOURCE, ".vitepress/empty.vue"), "<template></template>\n");
  symlinkSync(join(PACKAGES, "node_modules"), join(SOURCE, "node_modules")); // where the pages look for Vue
  const { code, said } = runTool("vitepress", ["build", SOURCE]);
  if (code !== 0) throw new Error(said);
  pictures(OUTPUT);
  for (const { path, text } of pages) write(join(OUTPUT, path), text);
  write(join(OUTPUT, "llms.txt"), listing(pages, base));
  return pages;
}

if (import.meta.main) {
  const pages = build(process.env.SITE_BASE || "/", process.env.SITE_REPOSITORY || undefined);
  console.log(`${pages.length} pages in dist/site`);
}
