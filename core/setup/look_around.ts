/**
 * Reading of the files that tell about a project's stack. They are a stranger's: only regular files inside the checkout
 * are read, and of those no more than a person writes.
 *
 * @module
 */
import { disk } from "../system/disk.ts";
import { join } from "../system/host.ts";
import { projectFile } from "../project/state_ownership.ts";
import { adviceFile, envValuesOf } from "../workspace/advice_file.ts";
import type { ClueFile } from "./clues.ts";
import { tellsClues } from "./clues.ts";

const MOST_DIRECTORIES = 200;

/** Files in other directories that tell something. */
const DEEPER = ["prisma/schema.prisma", "config/database.yml"];
/** Env files that are another machine's or nobody's. */
const NOT_HERE = /\.(prod|production|staging|test|ci)\b/;

/** Reads the files that tell about the stack of a project. */
export async function clueFilesOf(root: string): Promise<ClueFile[]> {
  const names = (await disk.names(root)).filter((name) => tellsClues(name) && !NOT_HERE.test(name)).sort();
  const texts = await Promise.all([...names, ...DEEPER].map((path) => adviceFile(root, path)));
  const found = texts.filter((one) => one !== undefined);
  const settings = found.flatMap(({ path, text }) => path === "manage.py" ? settingsOf(text) : []);
  for (const path of new Set(settings.filter(tellsClues))) {
    found.push(...[await adviceFile(root, path)].filter((one) => one !== undefined));
  }
  const envFiles = found.filter(({ path }) => path.startsWith(".env")).map((one) => ({
    ...one,
    own: envValuesOf(one.text),
  }));
  const all = Object.assign({}, ...envFiles.map(({ own }) => own).toReversed()); // of two, .env's counts
  return found.map((one) => ({ ...one, values: envFiles.find(({ path }) => path === one.path)?.own ?? all }));
}

/** Returns the paths of Django's settings: `"shop/settings.py"`. */
function settingsOf(manage: string): string[] {
  const [, module] = /DJANGO_SETTINGS_MODULE["'],[ ]*["']([a-z_][\w.]*)["']/i.exec(manage) ?? [];
  const path = module?.replaceAll(".", "/");
  if (path === undefined) return [];
  return [`${path}.py`, `${path}/__init__.py`, `${path}/base.py`, path.replace(/[^/]+$/, "base.py")];
}

/** Directories that hold what others wrote. */
const OTHERS = /^(\.|node_modules$|vendor$|v?env$|target$|dist$|build$|__pycache__$)|\.db$/;

/** Lists the SQLite files of a project: in its directory, in those right below it, and those of these paths. */
export async function sqliteFilesOf(root: string, paths: readonly string[]): Promise<string[]> {
  const top = await disk.entries(root);
  const directories = top.filter(({ name, type }) => type === "directory" && !OTHERS.test(name)).slice(
    0,
    MOST_DIRECTORIES,
  );
  const below = await Promise.all(directories.map(async ({ name: directory }) => {
    const inside = await disk.entries(join(root, directory)).catch(() => []);
    return inside.map(({ name, type }) => ({ name: `${directory}/${name}`, type }));
  }));
  const named = [...top, ...below.flat()].filter(({ name, type }) =>
    type === "file" && /\.(db3?|sqlite3?)$/i.test(name)
  ).map(({ name }) => name);
  for (const path of paths) {
    const isInside = !/^(\/|\.\.(\/|$))/.test(path);
    const real = isInside ? await projectFile(root, path).catch(() => undefined) : undefined; // a stranger's path
    if (real !== undefined && (await disk.look(real))?.type === "file") named.push(path);
  }
  const sorted = [...new Set(named)].sort();
  const isDatabase = await Promise.all(sorted.map((name) => startsAsSqlite(join(root, name))));
  return sorted.filter((_, at) => isDatabase[at]);
}

/** https://sqlite.org/fileformat.html#the_database_header */
async function startsAsSqlite(path: string): Promise<boolean> {
  const { open } = await import("node:fs/promises");
  const file = await open(path).catch(() => undefined);
  if (file === undefined) return false;
  try {
    const { buffer } = await file.read(new Uint8Array(16), 0, 16, 0);
    return new TextDecoder().decode(buffer) === "SQLite format 3\0";
  } finally {
    await file.close();
  }
}
