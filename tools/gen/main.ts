/**
 * `deno task gen`: writes every generated file, and every generated table of the documentation. tests/tools/gen_test.ts
 * checks that they are current.
 */
import { spawn } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { OWN_PROGRAMS } from "../../core/project/permissions.ts";
import { binaryFile } from "./binary.ts";
import { commandFiles, readCommands } from "./commands.ts";
import { pages } from "./pages.ts";
import { programsOf } from "./provider_tables.ts";
import { providerFiles, providerPaths, readProviders } from "./providers.ts";
import { templateFiles, templatePaths } from "./templates.ts";
import type { Generated } from "./text.ts";

const ROOT: string = resolve(fileURLToPath(new URL("../..", import.meta.url)));

/** Generates the contents of all files, formatted as by `deno fmt`. */
export async function generate(root: string = ROOT): Promise<Generated[]> {
  const commands = await readCommands(root);
  const paths = [...commands.keys()].map((name) => `core/cli/commands/${name}.ts`);
  const providers = await readProviders(root);
  const files = [
    ...await commandFiles(root, [...OWN_PROGRAMS, ...programsOf(providers)]),
    ...await providerFiles(root, providers),
    ...templateFiles(root),
    await binaryFile(root, [...paths, ...providerPaths(providers), ...templatePaths(root)]),
    ...await pages(root, providers, commands),
  ];
  return await Promise.all(files.map(async ({ path, text }) => ({ path, text: await formatted(path, text) })));
}

/** Lists the paths of files whose content differs. */
export async function outdated(files: readonly Generated[], root: string = ROOT): Promise<string[]> {
  const are = await Promise.all(
    files.map(async ({ path, text }) => await readFile(join(root, path), "utf8").catch(() => "") === text),
  );
  return files.filter((_, at) => !are[at]).map(({ path }) => path);
}

/** Formats a text as `deno fmt` does, by the settings of deno.json. */
async function formatted(path: string, text: string): Promise<string> {
  const args = ["fmt", "--quiet", "--config", join(ROOT, "deno.json"), "--ext", path.replace(/^.*\./, ""), "-"];
  const child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] });
  let out = "";
  child.stdout.setEncoding("utf8").on("data", (part) => out += part);
  child.stdin.end(text);
  const code = await new Promise((resolve, reject) => child.on("error", reject).on("close", resolve));
  if (code !== 0) throw new Error(`deno fmt refuses ${path}`);
  return out;
}

if (import.meta.main) {
  const files = await generate();
  const changed = await outdated(files);
  for (const { path, text } of files) if (changed.includes(path)) await writeFile(join(ROOT, path), text);
  console.log(changed.length === 0 ? "Everything is current" : `Wrote ${changed.join(", ")}`);
}
