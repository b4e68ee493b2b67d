/**
 * Items of a repository that need trust, and checks on a registry's records of them.
 *
 * @module
 */
import { basePath, type Declared, declaredResources, ForkstackError, type Kind, mainRoot } from "../../mod.ts";
import { files } from "../system/files.ts";
import { join } from "../system/host.ts";
import { isWithin } from "../system/links.ts";
import { load } from "../system/lazy.ts";
import type { Catalog } from "../catalog.ts";
import type { OptionsSchema, Provider } from "../provider.ts";
import { upgradedOptions } from "./older_options.ts";
import { itemTitle } from "./trust_text.ts";
import { BASE_ENVS, isBuiltIn, keyOf, type Project, type Resource } from "./project.ts";
import type { Admitted, Code, Item, Named, Reach } from "./trusted.ts";
import { isEndless } from "../system/disk.ts";

/**
 * Pattern for this machine, in plain spellings only: a parser of URLs and the client behind it may disagree on others.
 */
const LOOPBACK = /^(https?|libsql):\/\/(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?([/?][^\s\\@#]*)?$/;

/** Lists the items in forkstack.json that need trust, as far as a command reaches. */
export async function namedBy(
  project: Project,
  { catalog, reach, scriptOf }: {
    readonly catalog: Catalog;
    readonly reach: Reach;
    readonly scriptOf: (key: string, url: string) => Promise<string | undefined>;
  },
): Promise<Named> {
  const items = await registryItems(project);
  const { seed } = project.config;
  if (seed !== undefined && reach === "all") items.push({ kind: "command", resource: "seed", name: seed });
  const code: Record<string, Code> = {};
  const scripts: Record<string, string> = {};
  for (const { kind, name, provider: file, options } of reach === "registry" ? [] : declaredResources(project.config)) {
    const resource = keyOf(kind, name);
    const { provider: _, sanitize, bases: __, ...entry } = options as Record<string, unknown>;
    items.push(...await baseItems(project, { kind, name, provider: file, options }));
    if (isBuiltIn(catalog, kind, file)) {
      const { default: provider } = await catalog.providers[kind][file]();
      items.push(...hostItems(resource, provider, upgradedOptions(provider, entry)));
    } else if (reach === "all") {
      const { readCode } = await load<typeof import("./custom_provider.ts")>("core/project/custom_provider.ts");
      code[resource] = await readCode(project, resource, file);
      items.push({ kind: "provider", resource, name: file, files: await hashes(code[resource].files), options: entry });
    }
    if (typeof sanitize !== "string" || reach !== "all") continue;
    const text = isUrl(sanitize) ? await scriptOf(resource, sanitize) : await readScript(project, resource, sanitize);
    if (text !== undefined) scripts[resource] = text;
    const contents = text === undefined ? {} : { files: await hashes({ [sanitize]: text }) };
    items.push({ kind: "script", resource, name: sanitize, ...contents });
  }
  return { items, code, scripts };
}

/** Lists the hosts in a resource's options that are neither the vendor's own nor this machine. */
export function hostItems(resource: string, provider: Pick<Provider, "options">, options: object): Item[] {
  return Object.entries(options).flatMap(([option, name]) => {
    const isOwn = ownHosts(provider.options, option);
    if (isOwn === undefined || typeof name !== "string" || isOwn(name)) return [];
    if (LOOPBACK.test(name) && /^http/.test(name)) return []; // libsql: is the registry's alone
    return [{ kind: "host", resource, name, option }];
  });
}

/** Returns a test for the vendor's own hosts, for an option that names a host. */
function ownHosts(options: OptionsSchema<unknown>, option: string): ((url: string) => boolean) | undefined {
  interface Entry {
    readonly wrapped?: Entry;
    readonly pipe?: readonly { readonly type: string; readonly metadata?: { isOwnHost?: (url: string) => boolean } }[];
  }
  const { entries } = options as unknown as { entries: Readonly<Record<string, Entry>> };
  let entry = Object.hasOwn(entries, option) ? entries[option] : undefined;
  while (entry?.wrapped !== undefined) entry = entry.wrapped;
  return entry?.pipe?.find(({ type }) => type === "metadata")?.metadata?.isOwnHost;
}

/**
 * Rejects recorded options, upgraded to today's, that name an untrusted host. For a built-in provider its schema shows
 * the hosts; for a custom one, which alone knows their meaning, any text that is not in forkstack.json is rejected.
 */
export function assertTrusted(
  { key, kind, options }: { readonly key: string; readonly kind: Kind; readonly options: unknown },
  provider: Provider,
  { catalog, resources, isTrusted }: {
    readonly catalog: Catalog;
    readonly resources: readonly Resource[];
    readonly isTrusted: Admitted["isTrusted"];
  },
): void {
  const given = (options ?? {}) as object;
  const declared = new Set(
    resources.filter((one) => one.kind === kind && one.provider.name === provider.name).flatMap((one) =>
      textsIn(one.options)
    ),
  );
  const items = isBuiltIn(catalog, kind, provider.name)
    ? hostItems(key, provider, given)
    : textsIn(given).filter((text) => /[.:@/\\]/.test(text) && !declared.has(text))
      .map((name): Item => ({ kind: "host", resource: key, name, option: "options" }));
  const first = items.find((one) => !isTrusted(one));
  if (first === undefined) return;
  throw new ForkstackError(
    "NOT_TRUSTED",
    `Cannot use ${itemTitle(first)}: the registry names it, forkstack.json does not`,
    {
      hint: `If it is yours, write it into ${key} in forkstack.json as it was, and run \`forkstack trust\``,
      details: { resource: key, provider: provider.name },
    },
  );
}

function textsIn(value: unknown): string[] {
  if (typeof value === "string") return [value];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(textsIn) : [];
}

/** The paths in a resource's `bases` that lead out of the project, or into its state, links resolved. */
async function baseItems(project: Project, one: Declared): Promise<Item[]> {
  const items = BASE_ENVS.map(async (env): Promise<Item[]> => {
    const path = basePath(one, env, project.root);
    if (path === undefined) return [];
    const [real, ...roots] = await Promise.all([path, project.root, mainRoot(project.root)].map(realPathOf));
    const isOwn = roots.some((root) => isWithin(real!, root)) && !/[\\/]\.forkstack([\\/]|$)/.test(real!);
    return isOwn ? [] : [{ kind: "base", resource: keyOf(one.kind, one.name), name: real!, option: `bases.${env}` }];
  });
  return (await Promise.all(items)).flat();
}

/** The path without links; of what is not there yet, where it would be. */
async function realPathOf(path: string): Promise<string> {
  const [{ readlink, realpath }, { dirname, resolve }] = await Promise.all([
    import("node:fs/promises"),
    import("node:path"),
  ]);
  const ifThere = (error: { code?: string }) => {
    if (error.code === "ENOENT" || error.code === "EINVAL") return undefined; // EINVAL: it is no link
    throw error;
  };
  const found = await realpath(path).catch(ifThere);
  if (found !== undefined) return found;
  const target = await readlink(path).catch(ifThere);
  if (target !== undefined) return await realPathOf(resolve(dirname(path), target));
  const [, above, last] = /^(.*)[\\/]([^\\/]+)$/s.exec(path) ?? [];
  return above === undefined ? path : `${await realPathOf(above || "/")}/${last}`;
}

async function registryItems(project: Project): Promise<Item[]> {
  const url = project.config.registry?.url;
  if (url === undefined || LOOPBACK.test(url)) return [];
  if (url.startsWith("file:") && await isInside(project, url)) return [];
  return [{ kind: "registry", resource: "registry", name: url }];
}

/** Returns true if a file is in the project, or beside its state, with links resolved. */
async function isInside({ root, stateRoot }: Project, url: string): Promise<boolean> {
  const { fileURLToPath } = await import("node:url");
  if (!URL.canParse(url) || new URL(url).host !== "") return false;
  const [path, ...roots] = await Promise.all([fileURLToPath(url), root, stateRoot].map(realPathOf));
  return roots.some((one) => isWithin(path!, one));
}

/** Reads a script by its path, relative to the directory of forkstack.json. */
async function readScript(project: Project, resource: string, place: string): Promise<string> {
  const path = place.startsWith("/") ? place : join(project.configRoot ?? project.root, place);
  if (await isEndless(path)) throw unreadableScript(resource, place, "it is no file");
  const text = await files.read(path);
  if (text === undefined) throw unreadableScript(resource, place, "there is no such file");
  if (text.trim() === "") throw unreadableScript(resource, place, "it is empty");
  return text;
}

/** The error for a script that cannot be read. */
export function unreadableScript(resource: string, place: string, state: string, cause?: unknown): ForkstackError {
  const message = `Cannot read the script "${place}" that sanitizes ${resource}: ${state}`;
  return new ForkstackError("SANITIZE_NOT_FOUND", message, {
    hint: 'Correct "sanitize" in forkstack.json: a path from its directory, or an https URL. Nothing was made',
    details: { resource },
    cause,
  });
}

function isUrl(place: string): boolean {
  return /^https?:/.test(place);
}

async function hashes(texts: Readonly<Record<string, string>>): Promise<Record<string, string>> {
  return Object.fromEntries(
    await Promise.all(Object.entries(texts).sort().map(async ([name, text]) => [name, await contentHash(text)])),
  );
}

/** Returns the SHA-256 of a text in hexadecimal. */
export async function contentHash(text: string): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Returns a text that is equal for equal items only. */
export function identity({ kind, resource, name, option, files: contents, options }: Item): string {
  return JSON.stringify(
    [kind, resource, name, option, contents, options],
    (_, value) =>
      typeof value === "object" && value !== null && !Array.isArray(value)
        ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1))
        : value ?? null,
  );
}

/** Returns the value that FORKSTACK_TRUST needs for these items; `undefined` if the contents of one are unknown. */
export async function trustHash({ name }: Pick<Project, "name">, items: readonly Item[]): Promise<string | undefined> {
  if (items.some((one) => !isKnown(one))) return undefined;
  return await contentHash(JSON.stringify([name, ...items.map(identity).sort()]));
}

/** Returns true if the contents of an item are known. */
export function isKnown({ kind, files: contents }: Item): boolean {
  return kind !== "script" || contents !== undefined;
}
