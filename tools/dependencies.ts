/**
 * Size and licence of each package that a lock file names, from Deno's cache: the figures in docs/architecture.md.
 *
 *     deno run -P=test tools/dependencies.ts deno.lock
 */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

/** One package that code names. Sizes are in bytes, unpacked; without optional parts, such as native programs. */
export interface Dependency {
  /** The package's name, e.g. `"@libsql/client"`. */
  readonly name: string;
  /** Its version, e.g. `"0.18.0"`. */
  readonly version: string;
  /** Size of its own files. */
  readonly sizeBytes: number;
  /** Size of it and all packages that it needs. */
  readonly totalBytes: number;
  /** Number of these packages, itself included. */
  readonly packages: number;
  /** The licence in its package.json, or else of its licence file. */
  readonly licence: string;
  /** Licences of all packages that it needs, sorted. */
  readonly licences: readonly string[];
}

interface Lock {
  readonly specifiers: Readonly<Record<string, string>>;
  readonly npm: Readonly<Record<string, { readonly dependencies?: readonly string[] }>>;
}

const REPO = fileURLToPath(new URL("..", import.meta.url));

/** Lists the packages that code names in a lock file, e.g. `"deno.lock"`, by name. */
export function namedIn(lockFile: string): { readonly name: string; readonly key: string }[] {
  return Object.entries(lockOf(lockFile).specifiers).map(([specifier, resolved]) => {
    const name = /^npm:(@?[^@]+)@/.exec(specifier)![1]!;
    return { name, key: `${name}@${resolved}` };
  });
}

/** Measures a package; `undefined` if the cache lacks a part of it. */
export function measure(lockFile: string, { name, key }: { name: string; key: string }): Dependency | undefined {
  const needed = [...reachable(lockOf(lockFile), key)].map(directoryOf);
  if (!needed.every((one) => existsSync(join(one, "package.json")))) return undefined;
  const [own] = needed;
  return {
    name,
    version: versionOf(key),
    sizeBytes: sizeOf(own!),
    totalBytes: needed.reduce((sum, one) => sum + sizeOf(one), 0),
    packages: needed.length,
    licence: licenceOf(own!),
    licences: [...new Set(needed.map(licenceOf))].sort(),
  };
}

/** Returns the texts of licences of all packages that a lock file names and the cache holds, each with those under it. */
export function licencesIn(lockFile: string): string {
  const underText = new Map<string, string[]>();
  for (const key of Object.keys(lockOf(lockFile).npm).sort()) {
    const directory = directoryOf(key);
    if (!existsSync(join(directory, "package.json"))) continue; // it is for another system
    const text = licenceFilesOf(directory).map((name) => readFileSync(join(directory, name), "utf8").trim()).join(
      "\n\n",
    );
    const under = text || `${licenceOf(directory)}, without a file of its own`;
    underText.set(under, [...underText.get(under) ?? [], `${nameOf(key)} ${versionOf(key)}`]);
  }
  return Array.from(underText, ([text, names]) => `---- ${names.join(", ")}\n\n${text}\n`).join("\n");
}

/** Formats bytes as in the table: `"21 KiB"`, `"3.2 MiB"`. */
export function sizeText(bytes: number): string {
  return bytes < 2 ** 20 ? `${Math.ceil(bytes / 2 ** 10)} KiB` : `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

const locks = new Map<string, Lock>();

function lockOf(file: string): Lock {
  const lock = locks.get(file) ?? JSON.parse(readFileSync(join(REPO, file), "utf8"));
  locks.set(file, lock);
  return lock;
}

/** Returns the keys of a package and of all that it needs, itself first. */
function reachable(lock: Lock, key: string): Set<string> {
  const found = new Set([key]);
  for (const one of found) { // what is added is visited too
    for (const dependency of lock.npm[one]?.dependencies ?? []) {
      // A dependency is named without its version where the lock file has one version of it.
      const whole = Object.keys(lock.npm).find((other) => other === dependency || nameOf(other) === dependency);
      if (whole !== undefined) found.add(whole);
    }
  }
  return found;
}

/** Returns the name in a key, which is `name@version`, with `_peer@version` after it for each peer. */
function nameOf(key: string): string {
  return /^@?[^@]+/.exec(key)![0];
}

function versionOf(key: string): string {
  return key.slice(nameOf(key).length + 1).split("_")[0]!;
}

function directoryOf(key: string): string {
  return join(cache(), nameOf(key), versionOf(key));
}

let cacheDirectory: string | undefined;

function cache(): string {
  if (cacheDirectory === undefined) {
    const { stdout } = spawnSync(process.execPath, ["info", "--json"], { encoding: "utf8" });
    cacheDirectory = join(JSON.parse(stdout).npmCache, "registry.npmjs.org");
  }
  return cacheDirectory;
}

const sizes = new Map<string, number>();

function sizeOf(directory: string): number {
  const size = sizes.get(directory) ??
    readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
      .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
  sizes.set(directory, size);
  return size;
}

/** Returns the licence of a package. Old ones have a list of `{type, url}`; some name none, and have a file. */
function licenceOf(directory: string): string {
  const { license, licenses } = JSON.parse(readFileSync(join(directory, "package.json"), "utf8"));
  const named = [license ?? licenses ?? []].flat().map((one) => typeof one === "string" ? one : one.type);
  if (named.length > 0) return named.join(" or ");
  const [file] = licenceFilesOf(directory);
  if (file === undefined) return "none named";
  return /\bMIT License\b/i.test(readFileSync(join(directory, file), "utf8")) ? "MIT" : "see its file";
}

function licenceFilesOf(directory: string): string[] {
  return readdirSync(directory).filter((name) => /^(licen[cs]e|copying|notice)/i.test(name)).sort();
}

if (import.meta.main) {
  for (const lockFile of process.argv.slice(2)) {
    for (const one of namedIn(lockFile)) {
      const measured = measure(lockFile, one);
      if (measured === undefined) console.log(`| \`${one.name}\` | not in the cache |`);
      else {
        const { name, version, sizeBytes, totalBytes, packages, licence, licences } = measured;
        const others = licences.filter((other) => other !== licence);
        const figures = [
          `${sizeText(sizeBytes)}`,
          `${sizeText(totalBytes)}, ${packages}`,
          [licence, ...others].join(", "),
        ];
        console.log(`| \`${name}\` ${version} | ${figures.join(" | ")} |`);
      }
    }
  }
}
