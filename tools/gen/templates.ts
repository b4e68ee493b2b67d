/** The templates of `init --template`, from the examples that have a page of their own. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { constant, type Generated, head } from "./text.ts";

/** Files of other directories that an example links to: each is written once, however many examples have it. */
const READERS: Readonly<Record<string, string>> = { "forkstack.py": "python", "forkstack/forkstack.go": "go" };

/** Returns the paths of the templates' modules. */
export function templatePaths(root: string): string[] {
  return namesIn(root).map((name) => `core/setup/templates/${name}.ts`);
}

/** Generates the list of templates, and a module for each. */
export function templateFiles(root: string): Generated[] {
  const names = namesIn(root);
  const readers = new Map<string, string>();
  const modules = names.map((name) => {
    const files = filesOf(root, name);
    for (const [path, text] of files) if (Object.hasOwn(READERS, path)) readers.set(READERS[path]!, text);
    return { path: `core/setup/templates/${name}.ts`, text: moduleOf(name, files) };
  });
  const titles = names.map((name) => `  ${constant(name)}: ${constant(titleOf(root, name))},\n`).join("");
  return [
    {
      path: "core/setup/template_names.ts",
      text: `${head("examples", "The templates of `init --template`.")}
/** Titles by name. */
export const TEMPLATES: Readonly<Record<string, string>> = {\n${titles}};\n`,
    },
    ...modules,
    ...[...readers].map(([name, text]) => ({
      path: `core/setup/templates/readers/${name}.ts`,
      text: `${head(`languages/${name}`, "A reader of one file, for projects that begin from a template.")}
const text: string = ${constant(text)};\nexport default text;\n`,
    })),
  ];
}

function namesIn(root: string): string[] {
  const all = new Set(listed(root, "examples").map((path) => path.split("/")[1]!));
  return [...all].filter((name) => existsSync(join(root, "examples", name, "README.md"))).sort();
}

/** Lists the files that git has or would have. */
function listed(root: string, directory: string): string[] {
  const args = ["ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", directory];
  const paths = execFileSync("git", args, { cwd: root, encoding: "utf8" }).split("\0").filter(Boolean);
  return [...new Set(paths)].filter((path) => existsSync(join(root, path))).sort();
}

function filesOf(root: string, name: string): [path: string, text: string][] {
  const top = `examples/${name}/`;
  return listed(root, top).map((path): [string, string] => {
    const own = path.slice(top.length);
    return [own, standingAlone(own, readFileSync(join(root, path), "utf8"), name)];
  });
}

/** Returns a text without what holds only in this repository: tasks by its path, links, lines that `init` writes. */
function standingAlone(path: string, text: string, name: string): string {
  if (path === "deno.json") {
    const config = JSON.parse(text);
    config.tasks = Object.fromEntries(Object.entries(config.tasks ?? {}).filter(([task]) => !task.startsWith("envs:")));
    return `${JSON.stringify(config, null, 2)}\n`;
  }
  if (path.endsWith(".md")) {
    return text.replace(/\[([^\]]+)\]\(\.\.\/\.\.\/[^)]*\)/g, "$1").replaceAll(`cd examples/${name}\n`, "");
  }
  if (path === ".gitignore") {
    return text.split("\n").filter((line) => !/\.forkstack|\.current-env|\.env\.local|\.\*\.db/.test(line)).join("\n");
  }
  return text;
}

function titleOf(root: string, name: string): string {
  return /^# (.+)$/m.exec(readFileSync(join(root, "examples", name, "README.md"), "utf8"))![1]!;
}

function moduleOf(name: string, files: readonly (readonly [path: string, text: string])[]): string {
  const used = [...new Set(files.flatMap(([path]) => READERS[path] ?? []))];
  const imports = used.map((reader) => `import ${reader} from "./readers/${reader}.ts";\n`).join("");
  const entries = files.map(([path, text]) => `  ${constant(path)}: ${READERS[path] ?? constant(text)},\n`).join("");
  return `${head(`examples/${name}`, `The files of template ${name}.`)}${imports}
const files: Readonly<Record<string, string>> = {\n${entries}};\nexport default files;\n`;
}
