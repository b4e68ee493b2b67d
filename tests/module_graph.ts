/** The imports among files of the repository, as Deno reads them. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { run, temporaryDirectory } from "./helpers.ts";

/** The top of the repository. */
export const ROOT: string = fileURLToPath(new URL("../", import.meta.url));

/** One file imports another; both by their paths in the repository. */
export type Arrow = readonly [from: string, to: string];

/** A module as `deno info --json` tells it. */
interface Module {
  readonly specifier: string;
  readonly error?: string;
  readonly dependencies?: readonly Record<"code" | "type", { readonly specifier: string } | undefined>[];
}

/** The files in git's tree, and new ones, that these patterns name. */
export async function filesOf(...patterns: readonly string[]): Promise<string[]> {
  const { stdout } = await run("git", ["ls-files", "-co", "--exclude-standard", "--", ...patterns], { cwd: ROOT });
  return stdout.split("\n").filter((path) => path.endsWith(".ts"));
}

/** Each import among these files; with `types` also those that are of types alone. */
export async function arrowsAmong(files: readonly string[], { types }: { readonly types: boolean }): Promise<Arrow[]> {
  using directory = temporaryDirectory();
  const entry = join(directory.path, "all.ts");
  const urlOf = (path: string) => pathToFileURL(join(ROOT, path)).href;
  writeFileSync(entry, files.map((path) => `import ${JSON.stringify(urlOf(path))};\n`).join(""));
  const args = ["info", "--json", `--lock=${join(ROOT, "dev.lock")}`, entry];
  const { stdout } = await run(process.execPath, args, { cwd: ROOT, maxBuffer: 2 ** 28 });
  const pathOf = new Map(files.map((path) => [urlOf(path), path]));
  const { modules } = JSON.parse(stdout) as { modules: Module[] };
  return modules.flatMap(({ specifier, error, dependencies = [] }): Arrow[] => {
    const from = pathOf.get(specifier);
    if (from === undefined) return [];
    assert.equal(error, undefined, specifier);
    const named = dependencies.flatMap(({ code, type }) => types ? [code, type] : [code]);
    const paths = named.map((one) => pathOf.get(one?.specifier ?? "")).filter((to) => to !== undefined);
    return paths.map((to): Arrow => [from, to]);
  });
}
