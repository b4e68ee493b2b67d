/**
 * Custom providers: `"provider": "./providers/mine.ts"`, or a URL with the hash of the file. The file and its imports
 * are read, shown and hashed before any of it runs (trust.ts), and those very texts run, from memory: not what the file
 * or the server holds a moment later. docs/providers.md explains how to write one.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { Buffer } from "node:buffer";
import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { isAbsolute, relative, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import * as v from "npm:valibot@1.5.0";
import { type ErrorCode, ForkstackError, isForkstackError, type Kind } from "../../mod.ts";
import { formatMarker } from "../marker.ts";
import { httpClient } from "../http/client.ts";
import { basename, isDeno, join } from "../system/host.ts";
import type { Catalog } from "../catalog.ts";
import type { Provider, Tools } from "../provider.ts";
import type { ImportScan } from "./imports.ts";
import { Secret } from "../secret.ts";
import { isBuiltIn, type Project } from "./project.ts";
import { parsed, type Reference } from "./provider_reference.ts";
import type { Code } from "./trusted.ts";
import { isEndless } from "../system/disk.ts";

const MAX_BYTES = 2 ** 20;

/** Reads the code of a provider, without running it. */
export async function readCode(project: Project, key: string, provider: string): Promise<Code> {
  const reference = parsed(provider);
  if (reference.isUrl) return { reference: provider, files: {} };
  const path = pathOf(project, reference.place);
  const what = failure(key, reference.place);
  if (await isEndless(path)) throw what("it is no file", "PROVIDER_INVALID", "Name a file");
  const bytes = await readFile(path).catch((error) => unread(error, what));
  if (reference.hash !== undefined) assertHash(reference, bytes, what);
  const texts = new Map<string, string>();
  const specifier = await specifierOf(path, bytes, { what, texts, isWhole: reference.hash !== undefined });
  const named = [...texts].map((
    [file, text],
  ) => [file === path ? reference.place : pathFrom(project.configRoot ?? project.root, file), text]);
  return { reference: provider, specifier, files: Object.fromEntries(named) };
}

/** Loads the provider that code exports. */
export async function loadCustom(
  project: Project,
  { kind, key, code, catalog }: {
    readonly kind: Kind;
    readonly key: string;
    readonly code: Code;
    readonly catalog: Catalog;
  },
): Promise<Provider> {
  const reference = parsed(code.reference);
  const what = failure(key, reference.place);
  const specifier = code.specifier ??
    await specifierOf(reference.place, await fetchedBytes(project, reference, what), {
      what,
      texts: new Map(),
      isWhole: true,
    });
  let exported: unknown;
  try {
    exported = (await import(specifier)).default;
    if (typeof exported === "function") exported = await exported(TOOLS);
  } catch (error) {
    throw notLoading(error as Error, reference.place, what);
  }
  const problems = problemsOf(exported, kind, catalog);
  if (problems.length === 0) return exported as Provider;
  throw what(problems.join("; "), "PROVIDER_INVALID", "See docs/providers.md, and the contract in core/provider.ts");
}

/**
 * Returns a stand-in for a custom provider, with nothing but its name, for commands that run no code of the repository.
 */
export function unreadProvider(kind: Kind, key: string, reference: string): Provider {
  const { place } = parsed(reference);
  const refuse = (): never => {
    throw failure(key, place)(
      "this command runs nothing of the repository",
      "DRY_RUN_UNSUPPORTED",
      "Leave out --dry-run",
    );
  };
  return {
    name: place,
    kind,
    capabilities: {
      copy: "full-copy",
      ownership: "recorded",
      outputs: "rereadable",
      nativeExpiry: false,
      usage: "none",
      pointInTime: true,
      outputsExpire: false,
      parentMayBeAbsent: true,
      name: { maxLength: 255, pattern: /^/ },
    },
    credentials: [],
    variables: {},
    options: v.strictObject({}),
    inspect: refuse,
    create: refuse,
    delete: refuse,
    list: refuse,
    probe: refuse,
    outputs: refuse,
    reset: refuse,
    secrets: { read: refuse, write: refuse },
  } as unknown as Provider;
}

function pathOf(project: Project, place: string): string {
  return resolve(project.configRoot ?? project.root, place);
}

function pathFrom(root: string, path: string): string {
  const way = relative(root, path).replaceAll("\\", "/");
  return /^\.\.?\//.test(way) || isAbsolute(way) ? way : `./${way}`;
}

function failure(key: string, place: string): Failure {
  return (state, code, hint, cause) =>
    new ForkstackError(code, `Cannot use provider "${place}" of ${key}: ${state}`, {
      hint,
      details: { resource: key },
      cause,
    });
}

/** Returns the error of a failed import, without the text of the module. */
function notLoading({ name, message, stack }: Error, place: string, what: Failure): ForkstackError {
  const said = `${name}: ${message.replace(/data:[^\s"',]+,[\w+/=]+/g, basename(place)).split("\n")[0]!.slice(0, 300)}`;
  const cause = Object.assign(new Error(said), { stack });
  return what(`it does not load: ${said}`, "PROVIDER_INVALID", "See docs/providers.md for what it may import", cause);
}

type Failure = (state: string, code: ErrorCode, hint: string, cause?: unknown) => ForkstackError;

/** Values that a file without imports gets. */
const TOOLS: Tools = { v, ForkstackError, Secret, formatMarker };

/** Returns the bytes of a URL with the expected hash, from the cache or the network. */
async function fetchedBytes(project: Project, reference: Reference, what: Failure): Promise<Uint8Array> {
  const { place, hash } = reference;
  const kept = join(project.stateRoot, ".forkstack", "providers", Buffer.from(hash!, "base64").toString("hex"));
  const found = await readFile(kept).catch(() => undefined);
  if (found !== undefined && hashOf(found) === hash) return found;
  const bytes = await fetched(place, what);
  assertHash(reference, bytes, what);
  if (await stat(join(project.stateRoot, ".forkstack")).catch(() => undefined) !== undefined) {
    await mkdir(join(project.stateRoot, ".forkstack", "providers"), { recursive: true, mode: 0o700 });
    await writeFile(kept, bytes, { mode: 0o600 }).catch(() => {}); // only spares the next command a request
  }
  return bytes;
}

function assertHash({ place, hash }: Reference, bytes: Uint8Array, what: Failure): void {
  const found = hashOf(bytes);
  if (found === hash) return;
  throw what(
    "the file is not the one whose hash forkstack.json has; nothing of it ran",
    "PROVIDER_CHANGED",
    `Read what changed; if it is meant, write "${place}#sha256-${found}"`,
  );
}

function hashOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("base64");
}

async function fetched(url: string, what: Failure): Promise<Uint8Array> {
  const response = await httpClient({ maxBytes: MAX_BYTES, tries: 3 })(new Request(url)).catch((error) => {
    if (!isForkstackError(error)) throw error;
    throw what(error.message, error.code, error.hint ?? "", error);
  });
  if (response.ok) return new Uint8Array(await response.arrayBuffer());
  const { status } = response;
  const isGone = status === 404 || status === 410;
  throw what(
    `the server answers ${status}`,
    isGone ? "PROVIDER_NOT_FOUND" : "PROVIDER_UNAVAILABLE",
    isGone ? "Look whether the file has another URL now" : "Run the same command again",
  );
}

function unread(error: { code?: string }, what: Failure): never {
  if (error.code === "ENOENT" || error.code === "ENOTDIR") {
    throw what("there is no such file", "PROVIDER_NOT_FOUND", "The path begins at the directory of forkstack.json");
  }
  throw what("it can't be read", "NOT_PERMITTED", "Check its mode, and in Deno --allow-read", error);
}

/** The data from which a module's specifier is made. */
interface Covering {
  readonly what: Failure;
  /** Texts of all files in it, by path. */
  readonly texts: Map<string, string>;
  /** True if one file alone is covered, by the hash in forkstack.json. */
  readonly isWhole: boolean;
}

const MAX_FILES = 100;

/**
 * Returns a specifier that contains the file's text, with imported paths replaced by such specifiers: the text that was
 * read is the text that runs, whatever the disk holds by then.
 */
async function specifierOf(
  path: string,
  bytes: Uint8Array,
  covering: Covering,
  above: readonly string[] = [],
): Promise<string> {
  const { what, texts, isWhole } = covering;
  let text = new TextDecoder().decode(bytes);
  texts.set(path, text);
  if (texts.size > MAX_FILES) throw what(`it imports over ${MAX_FILES} files`, "PROVIDER_INVALID", ONE_FILE);
  if (path.endsWith(".json")) return dataUrl("application/json", text);
  const isTypeScript = /\.m?ts$/.test(path);
  const { importsOf, problemOfImport } = await import("./imports.ts");
  let found: ImportScan;
  try {
    found = importsOf(text, isTypeScript);
  } catch (error) {
    throw notLoading(error as Error, path, what);
  }
  const [refused] = found.refused;
  if (refused !== undefined) {
    throw what(
      `it could load code that its hash does not cover (${basename(path)}, ${refused})`,
      "PROVIDER_INVALID",
      ONE_FILE,
    );
  }
  for (const { specifier, start, end } of found.imports.toReversed()) {
    const isPath = /^(\.{0,2}\/|file:)/.test(specifier);
    const problem = isPath && !isWhole ? undefined : problemOfImport(specifier);
    if (problem !== undefined) throw what(`it imports "${specifier}", ${problem}`, "PROVIDER_INVALID", ONE_FILE);
    if (!isPath) continue;
    const named = importedPath(specifier, path);
    const file = named === undefined || await isEndless(named) ? undefined : named;
    if (file === undefined || [...above, path].includes(file)) {
      const state = file === undefined ? "which is no .ts, .js or .json file" : "which imports it in turn";
      throw what(`it imports "${specifier}", ${state}`, "PROVIDER_INVALID", ONE_FILE);
    }
    const more = await readFile(file).catch((error) =>
      unread(
        error,
        (_, __, hint, cause) => what(`it does not load: "${specifier}" can't be read`, "PROVIDER_INVALID", hint, cause),
      )
    );
    const inner = await specifierOf(file, more, covering, [...above, path]);
    text = text.slice(0, start) + JSON.stringify(inner) + text.slice(end);
  }
  if (!isTypeScript) return dataUrl("text/javascript", asModule(text));
  if (isDeno()) return dataUrl("application/typescript", asModule(text));
  try {
    return dataUrl("text/javascript", asModule(withoutTypes(text)));
  } catch (error) {
    throw notLoading(error as Error, path, what);
  }
}

/**
 * Returns a text that each runtime takes for a module; Bun would run one without exports as CommonJS, which has
 * `module.require`.
 */
function asModule(text: string): string {
  return text.replace(/^(#!.*(\r?\n|[\r\u2028\u2029]|$))?/, "$&export {};");
}

/** Returns the text as JavaScript. Bun would read it as TSX, where `<T>(x: T) => x` means something else. */
function withoutTypes(text: string): string {
  const { Bun: bun } = globalThis as unknown as {
    Bun?: { Transpiler: new (options: { loader: "ts"; target: "bun" }) => { transformSync(text: string): string } };
  };
  if (bun !== undefined) return new bun.Transpiler({ loader: "ts", target: "bun" }).transformSync(text);
  const { stripTypeScriptTypes } = process.getBuiltinModule("node:module") as unknown as {
    stripTypeScriptTypes(text: string): string;
  };
  return stripTypeScriptTypes(text);
}

const ONE_FILE = "Make it one file: a bundle, or one that takes what it needs from the tools that it is given";

function importedPath(specifier: string, from: string): string | undefined {
  const url = new URL(specifier, pathToFileURL(from));
  return url.search === "" && url.hash === "" && /\.(m?[jt]s|json)$/.test(url.pathname)
    ? fileURLToPath(url)
    : undefined;
}

function dataUrl(type: string, text: string): string {
  return `data:${type};base64,${Buffer.from(text).toString("base64")}`;
}

const FUNCTIONS = ["inspect", "create", "delete", "list", "probe", "outputs"] as const;
const OPTIONAL = [
  "damage",
  "execute",
  "import",
  "reset",
  "keep",
  "extend",
  "remark",
  "usage",
  "permissions",
  "upgradeOptions",
] as const;

const NAME = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/;

const CAPABILITIES = v.strictObject({
  copy: v.picklist(["copy-on-write", "full-copy", "schema-only", "empty", "namespace"]),
  ownership: v.picklist(["marked", "marked-after", "recorded"]),
  outputs: v.picklist(["rereadable", "minted", "shown-once"]),
  nativeExpiry: v.boolean(),
  usage: v.picklist(["none", "bytes", "bytes-and-cost"]),
  pointInTime: v.boolean(),
  outputsExpire: v.boolean(),
  parentMayBeAbsent: v.boolean(),
  embedded: v.optional(v.boolean()),
  name: v.strictObject({ maxLength: v.pipe(v.number(), v.minValue(1)), pattern: v.instance(RegExp) }),
});

const VARIABLES = v.record(
  v.pipe(v.string(), v.regex(/^[A-Z][A-Z0-9_]*$/)),
  v.strictObject({ isSecret: v.boolean(), isIdentity: v.boolean(), isPersonal: v.optional(v.boolean()) }),
);

const HEADERS = v.optional(v.array(v.pipe(v.string(), v.regex(/^[\w-]+$/))));

/** Lists the reasons why an export is no provider of a kind. */
function problemsOf(exported: unknown, kind: Kind, catalog: Catalog): string[] {
  if (typeof exported !== "object" || exported === null) {
    return [
      `its default export must be a provider, or a function that gives one, not ${
        exported === undefined ? "missing" : typeof exported
      }`,
    ];
  }
  const one = exported as Partial<Provider> & Record<string, unknown>;
  const problems: string[] = [];
  const wants = (is: boolean, text: string) => {
    if (!is) problems.push(text);
  };
  wants(
    typeof one.name === "string" && NAME.test(one.name),
    '"name" must be like "my-db"',
  );
  wants(!isBuiltIn(catalog, kind, String(one.name)), `"${one.name}" is the name of a built-in provider`);
  const { aliases = [] } = one;
  const areNames = Array.isArray(aliases) &&
    aliases.every((alias) => typeof alias === "string" && NAME.test(alias) && !isBuiltIn(catalog, kind, alias));
  wants(areNames, '"aliases" must be a list of names like "my-db", none of them a built-in provider\'s');
  wants(one.kind === kind, `it is a provider of kind "${one.kind}", not "${kind}"`);
  const capabilities = v.safeParse(CAPABILITIES, one.capabilities);
  for (const issue of capabilities.issues ?? []) {
    problems.push(`"${["capabilities", v.getDotPath(issue)].filter(Boolean).join(".")}" must be ${issue.expected}`);
  }
  const credential = v.strictObject({
    variable: v.pipe(v.string(), v.regex(/^[A-Z][A-Z0-9_]*$/)),
    required: v.boolean(),
  });
  wants(v.is(v.array(credential), one.credentials), '"credentials" must be a list of { variable, required }');
  wants(
    v.is(VARIABLES, one.variables),
    '"variables" must be like { "DATABASE_URL": { isSecret: true, isIdentity: true } }',
  );
  wants(v.is(HEADERS, one.requestIdHeaders), '"requestIdHeaders" must be a list of names like "x-request-id"');
  for (const text of ["title", "page", "importHint"]) {
    wants(/^(undefined|string)$/.test(typeof one[text]), `"${text}" must be a text`);
  }
  const { options } = one as { options?: { kind?: unknown; type?: unknown } };
  wants(options?.kind === "schema" && options.type === "strict_object", '"options" must be a strictObject of valibot');
  for (const name of FUNCTIONS) wants(typeof one[name] === "function", `"${name}" must be a function`);
  for (const name of OPTIONAL) wants(/^(undefined|function)$/.test(typeof one[name]), `"${name}" must be a function`);
  wants(one.execute === undefined || kind === "database", '"execute" is for databases alone');
  const sources = v.array(v.pipe(v.string(), v.regex(/^(file|directory|[a-z][a-z0-9.-]*:)$/)));
  wants(
    one.import === undefined ? one.sources === undefined : v.is(sources, one.sources),
    '"sources" must be a list like ["file", "postgresql:"] beside "import", and absent without it',
  );
  const { read, write } = (one.secrets ?? {}) as Record<string, unknown>;
  const hasSecrets = typeof read === "function" && typeof write === "function";
  wants(
    hasSecrets === (kind === "secrets"),
    '"secrets" must be { read, write } of kind "secrets", and absent of others',
  );
  if (capabilities.success) {
    const { usage, nativeExpiry } = capabilities.output;
    wants((one.usage !== undefined) === (usage !== "none"), '"usage" must be there as capabilities.usage says');
    wants((one.extend !== undefined) === nativeExpiry, '"extend" must be there as capabilities.nativeExpiry says');
  }
  return problems;
}
