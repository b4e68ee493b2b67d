/**
 * Modules and packages that are loaded only when needed. Their names are no literals in an `import()`, because Deno
 * would fetch all of those at the start: by URL every vendor's SDK before `--version`, and from a clone 15 ms in each
 * short command. The compiler of a binary, which sees literals only, starts from tools/build/binary.ts.
 *
 * @module
 */
import { ForkstackError } from "../../mod.ts";
import { isRunByDeno, system, variable, write } from "./host.ts";

/** Functions that load modules by their path in this repository, and packages by their specifier. */
export type Carried = Readonly<Record<string, () => Promise<unknown>>>;

let carried: Carried = {};

/** Makes `load` and `loadPackage` use these modules, for a binary. */
export function carry(modules: Carried): void {
  carried = modules;
}

/**
 * Loads a module of this repository, e.g. `"core/project/schema.ts"`, from the same directory, package or URL as this
 * one.
 */
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

/** Loads a package of npm, e.g. `"npm:ioredis@6.0.0"`. Prints one line on stderr if Deno has to fetch it first. */
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
 * Throws PACKAGE_UNAVAILABLE for a module that Deno could not fetch, any other error unchanged. Only the error's text
 * tells which it is.
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
 * Returns true if a package is not in Deno's cache, `$DENO_DIR/npm/<registry>/<name>/<version>`; false if an app's
 * permissions do not allow the look.
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
