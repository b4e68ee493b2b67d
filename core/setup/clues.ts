/**
 * Facts that the files of a project tell about its stack. Pure: each reader takes a text, runs nothing of it, and finds
 * nothing in a text that it cannot read.
 *
 * @module
 */
import { composeAddresses, filled } from "./compose.ts";
import {
  type FileAddress,
  fileAddress,
  isPlainIn,
  lineValue,
  plainPath,
  type StoreAddress,
  storeAddress,
} from "./store_address.ts";

/** Facts from one or more files. */
export interface Clues {
  /** Names of packages, and dialects that a setting names: `"psycopg"`, `"postgresql"`. */
  readonly clients: readonly string[];
  /** Dialects that a tool's own settings name, which count for more than packages: `"sqlite"`. */
  readonly dialects: readonly string[];
  /** Servers, by URLs and containers. */
  readonly addresses: readonly StoreAddress[];
  /** SQLite files that settings name. */
  readonly fileAddresses: readonly FileAddress[];
  /** Lines of settings that name a file themselves, as they must be for an environment to have its own. */
  readonly edits: readonly SettingEdit[];
  /** Command lines that give an empty database its tables, of tools that read DATABASE_URL: `"alembic upgrade head"`. */
  readonly migrations: readonly string[];
  /** The project's names in its manifests: `"shop"`, `"github.com/acme/shop"`. */
  readonly names: readonly string[];
  /** Python's or Go's, say, whose manifests hold no tasks, so that a Makefile does. */
  readonly needsMakefile: boolean;
}

/** A line that a project's own settings need. */
export interface SettingEdit {
  /** The settings: `"shop/settings.py"`. */
  readonly file: string;
  /** `'"NAME": os.environ.get("DATABASE_PATH", BASE_DIR / "db.sqlite3"),'` */
  readonly line: string;
  /** The import that the line needs and the file lacks: `"import os"`. */
  readonly needs?: string;
}

/** A file by its path in the project, with the variables of the project's env files. */
export interface ClueFile {
  readonly path: string;
  readonly text: string;
  readonly values: Readonly<Record<string, string>>;
}

type Reader = (file: ClueFile) => Partial<Clues>;

/** Readers by patterns for paths. */
const READERS: readonly (readonly [RegExp, Reader])[] = [
  [/^(prisma\/)?schema\.prisma$/, prisma],
  [/^drizzle\.config\.\w+$/, drizzle],
  [/^(docker-)?compose(\.(override|dev|local))?\.ya?ml$/, (file) => ({ addresses: composeAddresses(file) })],
  [/^\.env(\.|$)/, envFile],
  [/^(pyproject\.toml|Pipfile|setup\.cfg|requirements[\w-]*\.txt)$/, python],
  [/^manage\.py$/, () => ({ needsMakefile: true })],
  [/^[\w/]*settings(\/\w+)?\.py$/, djangoSettings],
  [/^alembic\.ini$/, alembic],
  [
    /^go\.mod$/,
    (file) => ({
      clients: found(file, /^[ \t]*(?:require[ \t]+)?([\w.-]+\.\w+\/\S+) v/gm),
      names: found(file, /^module[ \t]+"?([\w./-]+)/gm).map((one) => one.replace(/\/v\d+$/, "")),
      needsMakefile: true,
    }),
  ],
  [/^Gemfile$/, (file) => ({ clients: found(file, /^[ \t]*gem[ \t]+["']([\w-]+)["']/gm) })],
  [/^config\/database\.yml$/, (file) => dialectsIn(file, /^[ \t]*adapter:[ \t]*["']?(\w+)/gm)],
  [/^composer\.json$/, composer],
  [/^package\.json$|^deno\.jsonc?$/, packages],
  [/^(GNUm|M|m)akefile$/, () => ({ needsMakefile: true })],
];

/** Returns true if a path is one of a file that tells something. */
export function tellsClues(path: string): boolean {
  return READERS.some(([pattern]) => pattern.test(path));
}

/** Reads the clues of a project's files. */
export function cluesOf(files: readonly ClueFile[]): Clues {
  const all = files.flatMap((file) =>
    READERS.filter(([pattern]) => pattern.test(file.path)).map(([, read]) => read(file))
  );
  const joined = <T>(
    of: (one: Partial<Clues>) => readonly T[] | undefined,
  ) => [...new Set(all.flatMap((one) => of(one) ?? []))];
  return {
    clients: joined(({ clients }) => clients),
    dialects: joined(({ dialects }) => dialects),
    addresses: joined(({ addresses }) => addresses),
    fileAddresses: joined(({ fileAddresses }) => fileAddresses),
    edits: joined(({ edits }) => edits),
    migrations: joined(({ migrations }) => migrations),
    names: joined(({ names }) => names),
    needsMakefile: all.some(({ needsMakefile }) => needsMakefile),
  };
}

/** Lists what the first group of a pattern matches, once each. */
function found({ text }: Pick<ClueFile, "text">, pattern: RegExp): string[] {
  return [...new Set(Array.from(text.matchAll(pattern), ([, one]) => one!))];
}

function dialectsIn(file: Pick<ClueFile, "text">, pattern: RegExp): Partial<Clues> {
  return { dialects: found(file, pattern) };
}

/** `datasource db { provider = "sqlite"  url = "file:./dev.db" }`; paths start at the schema. */
function prisma(file: ClueFile): Partial<Clues> {
  const [, block = ""] = /^[ \t]*datasource[ \t]+\w+\s*\{([^}]*)/m.exec(withoutComments(file.text)) ?? [];
  const [, url = ""] = /^[ \t]*url[ \t]*=[ \t]*"([^"\n]*)"/m.exec(block) ?? [];
  const [, variable = ""] = /^[ \t]*url[ \t]*=[ \t]*env\("(\w+)"\)/m.exec(block) ?? [];
  const directory = file.path.replace(/[^/]*$/, "");
  const source = { file: file.path, variable: variable || undefined, directory };
  const { fileAddresses, addresses } = urlClues(source, url || (file.values[variable] ?? ""));
  return {
    ...dialectsIn({ text: block }, /^[ \t]*provider[ \t]*=[ \t]*"(\w+)"/gm),
    addresses: url === "" ? [] : addresses, // those of a variable are its file's
    fileAddresses,
    migrations: variable === "DATABASE_URL" ? ["npx prisma migrate deploy"] : [],
  };
}

function drizzle(file: ClueFile): Partial<Clues> {
  const text = withoutComments(file.text);
  const urls = found({ text }, /\burl\s*:\s*["'`]([^"'`\n]+)["'`]/g).map((url) => urlClues({ file: file.path }, url));
  return {
    ...dialectsIn({ text }, /\bdialect\s*:\s*["'`](\w+)["'`]/g),
    addresses: urls.flatMap(({ addresses }) => addresses),
    fileAddresses: urls.flatMap(({ fileAddresses }) => fileAddresses),
    migrations: /\bDATABASE_URL\b/.test(text) ? ["npx drizzle-kit migrate"] : [],
  };
}

function envFile({ path: file, text, values }: ClueFile): Partial<Clues> {
  const all = Object.entries(values).map(([variable, value]) => {
    const isPlain = isPlainIn(text, variable, value);
    if (value === "") { // perhaps since programs differ on it
      const { addresses } = urlClues({ file, variable }, lineValue(text, variable));
      return { addresses: addresses.filter(({ fault }) => fault !== undefined), fileAddresses: [] };
    }
    return urlClues({ file, variable }, value.includes("$") ? filled(value, values) : value, isPlain);
  });
  const named = ["DB_CONNECTION", "DB_ENGINE", "DB_DIALECT"].flatMap((name) => values[name] || []); // Laravel and others
  return {
    dialects: named,
    addresses: all.flatMap(({ addresses }) => addresses),
    fileAddresses: all.flatMap(({ fileAddresses }) => fileAddresses),
  };
}

/** A URL of a server, or of a file: `"file:./dev.db"`, `"sqlite:///app.db"`, `"sqlite+aiosqlite:///app.db"`. */
function urlClues(source: Parameters<typeof fileAddress>[0], url: string, isPlain = false) {
  const named = fileAddress(source, url);
  const address = storeAddress(source.file, source.variable, url, isPlain);
  return { addresses: address === undefined ? [] : [address], fileAddresses: named === undefined ? [] : [named] };
}

/** Packages that a requirement or a key names: `"psycopg[binary]>=3"`, `asyncpg = "^0.30"`, `Django==5.1`. */
function python(file: ClueFile): Partial<Clues> {
  const text = file.text.replace(/#.*$/gm, "").toLowerCase();
  const quoted = found({ text }, /["']([a-z0-9][\w.-]*)(?:\[[\w,. -]*\])?[ ]*(?:[<>=!~^;@][^"'\n]*)?["']/g);
  const bare = found({ text }, /^[ \t]*([a-z0-9][\w.-]*)(?:\[[\w,. -]*\])?[ \t]*(?:[<>=!~;@].*)?$/gm);
  const names = file.path === "pyproject.toml" ? found({ text }, /^name[ ]*=[ ]*["']([\w.-]+)["']/gm).slice(0, 1) : [];
  return { clients: [...quoted, ...bare], names, needsMakefile: true };
}

/** `"NAME": BASE_DIR / "db.sqlite3"`, also by `str()` and `os.path.join()`; paths start at the project. */
const DJANGO_NAME =
  /["']NAME["'][ ]*:[ ]*((?:str\()?(?:BASE_DIR[ ]*\/[ ]*|os\.path\.join\([ ]*BASE_DIR[ ]*,[ ]*)?["']([\w./ -]+\.\w+)["'][ ]*\)*)[ ]*(?=[,}\n]|$)/;

/** A module of Django's settings. */
function djangoSettings({ path: file, text: whole }: ClueFile): Partial<Clues> {
  const text = whole.replace(/^[ \t]*#.*$/gm, "");
  const [, value, path] = DJANGO_NAME.exec(text) ?? [];
  const isSqlite = /["']ENGINE["'][ ]*:[ ]*["'][\w.]*\.(sqlite3|spatialite)["']/.test(text);
  const isRead = /\bDATABASE_(URL|PATH)\b|\bdj_database_url\b/.test(text);
  const line = `"NAME": os.environ.get("DATABASE_PATH", ${value}),`;
  const needs = /^[ \t]*import[ ](?:.*,[ ]*)?os\b(?!\.)/m.test(text) ? undefined : "import os";
  return {
    ...dialectsIn({ text }, /["']ENGINE["'][ ]*:[ ]*["']([\w.]+)["']/g),
    fileAddresses: path === undefined ? [] : [{ file, path: plainPath(path) }],
    edits: value !== undefined && isSqlite && !isRead ? [{ file, line, needs }] : [],
    migrations: isRead ? ["python manage.py migrate"] : [],
  };
}

function alembic(file: ClueFile): Partial<Clues> {
  const [, url = ""] = /^[ \t]*sqlalchemy\.url[ \t]*=[ \t]*(\S+)/m.exec(file.text) ?? [];
  return urlClues({ file: file.path }, url);
}

function composer({ text }: ClueFile): Partial<Clues> {
  const { name, require, "require-dev": development } = parsed(text);
  return { clients: [...keysOf(require), ...keysOf(development)], names: typeof name === "string" ? [name] : [] };
}

function packages({ text }: ClueFile): Partial<Clues> {
  const { dependencies, devDependencies, imports } = parsed(text);
  const values = Object.values(objectOf(imports)).map((one) => /^(?:npm|jsr):(@?[^@]+)/.exec(String(one))?.[1] ?? "");
  return {
    clients: [...keysOf(dependencies), ...keysOf(devDependencies), ...keysOf(imports), ...values.filter(Boolean)],
  };
}

/** Returns the object that a JSON text holds; an empty one if it holds none. */
function parsed(text: string): Record<string, unknown> {
  try {
    return objectOf(JSON.parse(text.replace(/^\uFEFF/, "")));
  } catch {
    return {};
  }
}

function objectOf(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? value as Record<string, unknown> : {};
}

function keysOf(value: unknown): string[] {
  return Object.keys(objectOf(value));
}

/** Takes comments of JavaScript and Prisma out; `//` of a URL is none. */
function withoutComments(text: string): string {
  return text.replace(/\/\*[^]*?(?:\*\/|$(?![^]))/g, "").replace(/(^|[^:"'`\w])\/\/.*$/gm, "$1");
}
