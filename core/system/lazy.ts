/**
 * Modules and packages that are loaded when they are needed. Their names are no literals in an `import()`: Deno fetches
 * what it can see from the start, by URL every vendor's SDK before `--version`, and 15 ms of it in each short command
 * from a clone. What only sees literals, the compiler of a binary, begins with tools/build/binary.ts.
 *
 * @module
 */
import { ForkstackError } from "../../mod.ts";
import { isRunByDeno, system, variable, write } from "./host.ts";

/** Loads modules by their path in this repository, and packages by their specifier. */
export type Carried = Readonly<Record<string, () => Promise<unknown>>>;

let carried: Carried = {};

/** Has `load` and `loadPackage` take these from a binary. */
export function carry(modules: Carried): void {
  carried = modules;
}

/** A module of this repository, e.g. `"core/project/schema.ts"`, from where this one came: a directory, package or URL. */
export async function load<Module>(path: string): Promise<Module> {
  return await (carried[path]?.() ?? imported(path)) as Module;
}

/** Modules by path: an `import()` crosses to another thread of Deno's, for one that is loaded as well. */
const modules = new Map<string, Promise<unknown>>();

function imported(path: string): Promise<unknown> {
  const known = modules.get(path);
  if (known !== undefined) return known;
  const { url } = import.meta;
  const file = /\.js$/.test(url) ? path.replace(/\.ts$/, ".js") : path; // a package holds built JavaScript
  const module = import(new URL(`../../${file}`, url).href).catch((error) => {
    modules.delete(path);
    unfetched(error);
  });
  modules.set(path, module);
  return module;
}

const announced = new Set<string>();

/** A package of npm, e.g. `"npm:ioredis@6.0.0"`. One line on stderr says so if Deno has to fetch it first. */
export async function loadPackage<Package>(specifier: string): Promise<Package> {
  const inBinary = carried[specifier];
  if (inBinary !== undefined) return await inBinary() as Package;
  if (isRunByDeno() && !announced.has(specifier)) {
    announced.add(specifier);
    const [, name, version] = /^npm:(@?[^@]+)@([^/]+)/.exec(specifier)!;
    if (isMissing(name, version)) write("stderr", `Fetching ${name} ${version}\n`);
  }
  return await import(specifier).catch(unfetched) as Package;
}

/**
 * Throws PACKAGE_UNAVAILABLE for what Deno could not fetch, and any other error as it is. Nothing but its text tells
 * which it was.
 */
function unfetched(error: unknown): never {
  const [first = "", ...below] = error instanceof Error ? error.message.split("\n") : [];
  const [, name] = /^Failed (?:caching|loading) .*\bpackage ['"]([^'"]+)['"]/.exec(first) ??
    /^Import '([^']+)' failed|^error sending request for url \(([^)]+)\)/.exec(first)?.filter(Boolean) ?? [];
  if (name === undefined) throw error;
  const why = /^\s*0: (.*)/.exec(below[0] ?? "")?.[1] ?? first;
  throw new ForkstackError("PACKAGE_UNAVAILABLE", `Cannot fetch "${name}": ${why}`, {
    hint: "Look at your connection, proxy and certificates, then run the same command again; " +
      "DENO_TLS_CA_STORE=system has Deno take the system's certificates",
    retryable: true,
    cause: new Error(first),
  });
}

/**
 * Whether Deno's cache lacks a package: `$DENO_DIR/npm/<registry>/<name>/<version>`. Where the permissions of an app do
 * not let it look, nothing is said.
 *
 * - Where the cache lies: https://docs.deno.com/runtime/reference/env_variables/
 */
function isMissing(name: string, version: string): boolean {
  try {
    const directory = cacheDirectory();
    if (directory === undefined) return false;
    const fs = process.getBuiltinModule("node:fs");
    const packages = `${directory}/npm`;
    if (!fs.existsSync(packages)) return true;
    return !fs.readdirSync(packages).some((registry) => fs.existsSync(`${packages}/${registry}/${name}/${version}`));
  } catch {
    return false;
  }
}

function cacheDirectory(): string | undefined {
  const below = (variableName: string, path: string) => {
    const directory = variable(variableName);
    return directory && `${directory}/${path}`;
  };
  const own = variable("DENO_DIR");
  if (own !== undefined) return own;
  if (system() === "darwin") return below("HOME", "Library/Caches/deno");
  if (system() === "windows") return below("LOCALAPPDATA", "deno");
  return below("XDG_CACHE_HOME", "deno") ?? below("HOME", ".cache/deno");
}
