/**
 * Providers of the user's own: `"provider": "./providers/mine.ts"`, or a URL with the hash of the file. What carries a
 * hash is read, hashed and compared before any of it runs, and those bytes run, from memory: not what the file or the
 * server holds a moment later. docs/providers.md is the page for who writes one.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { Buffer } from "node:buffer";
import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import * as v from "npm:valibot@1.5.0";
import { fileUrl, ForkstackError, isForkstackError, type Kind } from "../mod.ts";
import { PROVIDERS } from "../providers/mod.ts";
import type { Project } from "./config.ts";
import { formatMarker } from "./marks.ts";
import { httpClient } from "./http.ts";
import { basename, isRunByNode, join } from "./host.ts";
import type { Provider, Tools } from "./provider.ts";
import { Secret } from "./secret.ts";

const URL_LIKE = /^https:\/\/[^\s?#@]+$|^http:\/\/(127\.0\.0\.1|localhost)(:\d+)?\/[^\s?#@]+$/;
const MAX_BYTES = 2 ** 20;

/** What a reference is made of. */
interface Reference {
  readonly place: string;
  readonly isUrl: boolean;
  /** SHA-256 in base64. */
  readonly hash: string | undefined;
}

function parsed(provider: string): Reference {
  const [place, ...hash] = provider.split("#");
  return { place, isUrl: /^[a-z]+:/.test(place), hash: hash.length === 0 ? undefined : hash.join("#").slice(7) };
}

/** What is wrong with the reference to a file, before it is looked at; `undefined`: nothing. */
export function problemOf(provider: string): string | undefined {
  const { place, isUrl, hash } = parsed(provider);
  if (isUrl && !URL_LIKE.test(place)) return "must be an https URL without user and query, or a path";
  if (!/\.m?[jt]s$/.test(place)) return "must name a file that ends with .ts or .js";
  if (hash !== undefined && !/^sha256-[\w+/]{43}=$/.test(provider.slice(place.length + 1))) {
    return 'must end with the hash of the file, "#sha256-" and 44 characters of base64, or without a "#"';
  }
  if (!isUrl || hash !== undefined) return undefined;
  return `is a URL and must end with the hash of its file, "#sha256-…": read the file, then take what ` +
    `\`curl -sL ${place} | openssl dgst -sha256 -binary | base64\` prints`;
}

/** The provider that a file exports, once its bytes are those that were meant. */
export async function loadCustom(project: Project, kind: Kind, key: string, provider: string): Promise<Provider> {
  const reference = parsed(provider);
  const path = join(project.root, reference.place);
  const what = (state: string, code: string, hint: string, cause?: unknown) =>
    new ForkstackError(code, `Cannot use provider "${reference.place}" of ${key}: ${state}`, {
      hint,
      details: { resource: key },
      cause,
    });
  let specifier = fileUrl(reference.place.startsWith("/") ? reference.place : path);
  if (reference.hash !== undefined) {
    specifier = specifierOf(reference.place, await checkedBytes(project, reference, path, what), what);
  } else await stat(path).catch((error) => unread(error, what));
  let exported: unknown;
  try {
    exported = (await import(specifier)).default;
    if (typeof exported === "function") exported = await exported(TOOLS);
  } catch (error) {
    const { name, message } = error as Error;
    const said = `${name}: ${message.replaceAll(specifier, basename(reference.place)).split("\n")[0].slice(0, 300)}`;
    throw what(`it does not load: ${said}`, "PROVIDER_INVALID", "See docs/providers.md for what it may import", error);
  }
  const problems = problemsOf(exported, kind);
  if (problems.length === 0) return exported as Provider;
  throw what(problems.join("; "), "PROVIDER_INVALID", "See docs/providers.md, and the contract in core/provider.ts");
}

type Failure = (state: string, code: string, hint: string, cause?: unknown) => ForkstackError;

/** What a file that imports nothing is given. */
const TOOLS: Tools = { v, ForkstackError, Secret, formatMarker };

/** The bytes that the hash is of: of a URL those that are kept, or else fetched. */
async function checkedBytes(
  project: Project,
  { place, isUrl, hash }: Reference,
  path: string,
  what: Failure,
): Promise<Uint8Array> {
  const kept = join(project.stateRoot, ".forkstack", "providers", Buffer.from(hash!, "base64").toString("hex"));
  if (isUrl) {
    const bytes = await readFile(kept).catch(() => undefined);
    if (bytes !== undefined && hashOf(bytes) === hash) return bytes;
  }
  const bytes = isUrl ? await fetched(place, what) : await readFile(path).catch((error) => unread(error, what));
  const found = hashOf(bytes);
  if (found !== hash) {
    throw what(
      "the file is not the one whose hash forkstack.json has; nothing of it ran",
      "PROVIDER_CHANGED",
      `Read what changed; if it is meant, write "${place}#sha256-${found}"`,
    );
  }
  if (isUrl && await stat(join(project.stateRoot, ".forkstack")).catch(() => undefined) !== undefined) {
    await mkdir(join(project.stateRoot, ".forkstack", "providers"), { recursive: true, mode: 0o700 });
    await writeFile(kept, bytes, { mode: 0o600 }).catch(() => {}); // only spares the next command a request
  }
  return bytes;
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

/** An import, not of types, of a path, a file or what is read on its way. */
const LOCAL_IMPORT =
  /^\s*(?:import|export)\b(?!\s+type\b)[^"';()=]*?["']((?:\.{0,2}\/|file:|http:)[^"']*)["']|\bimport\(\s*["']((?:\.{0,2}\/|file:|http:)[^"']*)["']/m;

/** A specifier that holds the bytes themselves. A path from there would lead nowhere, and to what no hash covers. */
function specifierOf(place: string, bytes: Uint8Array, what: Failure): string {
  const text = new TextDecoder().decode(bytes);
  const relative = LOCAL_IMPORT.exec(text);
  if (relative !== null) {
    throw what(
      `it imports "${relative[1] ?? relative[2]}", which its hash does not cover`,
      "PROVIDER_INVALID",
      "Make it one file: a bundle, or one that takes what it needs from the tools that it is given",
    );
  }
  if (!/\.m?ts$/.test(place)) return `data:text/javascript;base64,${Buffer.from(bytes).toString("base64")}`;
  if (!isRunByNode()) return `data:application/typescript;base64,${Buffer.from(bytes).toString("base64")}`;
  const { stripTypeScriptTypes } = process.getBuiltinModule("node:module") as unknown as {
    stripTypeScriptTypes(text: string): string;
  };
  return `data:text/javascript;base64,${Buffer.from(stripTypeScriptTypes(text)).toString("base64")}`;
}

const FUNCTIONS = ["inspect", "create", "delete", "list", "probe", "outputs"] as const;
const OPTIONAL = ["execute", "reset", "keep", "extend", "usage", "permissions"] as const;

const CAPABILITIES = v.strictObject({
  copy: v.picklist(["copy-on-write", "full-copy", "schema-only", "empty", "namespace"]),
  ownership: v.picklist(["marked", "marked-after", "recorded"]),
  outputs: v.picklist(["rereadable", "minted", "shown-once"]),
  nativeExpiry: v.boolean(),
  usage: v.picklist(["none", "bytes", "bytes-and-cost"]),
  pointInTime: v.boolean(),
  outputsExpire: v.boolean(),
  parentMayBeAbsent: v.boolean(),
  name: v.strictObject({ maxLength: v.pipe(v.number(), v.minValue(1)), pattern: v.instance(RegExp) }),
});

/** What keeps an export from being a provider of a kind. */
function problemsOf(exported: unknown, kind: Kind): string[] {
  if (typeof exported !== "object" || exported === null) {
    return [
      `its default export must be a provider, or a function that gives one, not ${
        exported === undefined ? "missing" : typeof exported
      }`,
    ];
  }
  const one = exported as Partial<Provider> & Record<string, unknown>;
  const problems: string[] = [];
  const wants = (is: boolean, text: string) => void (is || problems.push(text));
  wants(
    typeof one.name === "string" && /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/.test(one.name),
    '"name" must be like "my-db"',
  );
  wants(!Object.hasOwn(PROVIDERS[kind], String(one.name)), `"${one.name}" is the name of a built-in provider`);
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
  const { options } = one as { options?: { kind?: unknown; type?: unknown } };
  wants(options?.kind === "schema" && options.type === "strict_object", '"options" must be a strictObject of valibot');
  for (const name of FUNCTIONS) wants(typeof one[name] === "function", `"${name}" must be a function`);
  for (const name of OPTIONAL) wants(/^(undefined|function)$/.test(typeof one[name]), `"${name}" must be a function`);
  wants(one.execute === undefined || kind === "database", '"execute" is for databases alone');
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
