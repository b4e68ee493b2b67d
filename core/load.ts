/**
 * Modules that are loaded when they are needed. Their paths are no literals in an `import()`: Deno fetches what it can
 * see from the start, by URL every vendor's SDK before `--version`, and 15 ms of it in each short command from a clone.
 * What only sees literals, the compiler of a binary, begins with core/binary.ts.
 *
 * @module
 */

/** Loads modules, by their path in this repository. */
export type Carried = Readonly<Record<string, () => Promise<unknown>>>;

let carried: Carried = {};

/** Has `load` take these modules from a binary. */
export function carry(modules: Carried): void {
  carried = modules;
}

/** A module of this repository, e.g. `"core/schema.ts"`, from wherever this one came: a directory, a package, a URL. */
export async function load<Module>(path: string): Promise<Module> {
  const { url } = import.meta;
  const file = /\.js$/.test(url) ? path.replace(/\.ts$/, ".js") : path; // a package holds built JavaScript
  return await (carried[path]?.() ?? import(new URL(`../${file}`, url).href)) as Module;
}
