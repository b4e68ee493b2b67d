/**
 * Survey of a directory, before `init` changes it.
 *
 * @module
 */
import { parse } from "npm:jsonc-parser@3.3.1";
import { envNameOf } from "../../mod.ts";
import type { Catalog } from "../catalog.ts";
import { openProject } from "../project/open_project.ts";
import { files } from "../system/files.ts";
import { git } from "../system/git.ts";
import { join } from "../system/host.ts";
import { projectFile } from "../project/state_ownership.ts";
import { jsonProblem, PLAIN_JSON } from "../project/schema.ts";
import { fileRefusal } from "../workspace/ignore.ts";
import type { Clues } from "./clues.ts";
import { cluesOf } from "./clues.ts";
import { adviceFile, envValuesOf } from "../workspace/advice_file.ts";
import { clueFilesOf, sqliteFilesOf } from "./look_around.ts";
import { hostOf } from "./store_address.ts";
import { type Makefile, makefileOf } from "./makefile.ts";
import type { Project } from "../project/project.ts";

/** A file that may hold tasks. */
export interface Manifest {
  readonly name: "deno.json" | "deno.jsonc" | "package.json";
  readonly text: string;
  // deno-lint-ignore no-explicit-any -- a person's file: what is read of it is looked at first
  readonly content: Readonly<Record<string, any>>;
}

/** An env file that the user wrote. */
export interface EnvFile {
  readonly name: string;
  readonly values: Readonly<Record<string, string>>;
}

/** The results of a survey. */
export interface Survey {
  /** Its project; without a forkstack.json a new one with a name that fits the directory. */
  readonly project: Project;
  readonly manifests: readonly Manifest[];
  readonly envFiles: readonly EnvFile[];
  /** Its Makefile: of several, the one that Make takes. */
  readonly makefile?: Makefile;
  readonly clues: Clues;
  /** SQLite files, from the project's directory: `"prisma/dev.db"`. */
  readonly sqliteFiles: readonly string[];
}

/** Reads a directory, and searches upwards for its forkstack.json. */
export async function survey(cwd: string, catalog: Catalog): Promise<Survey> {
  const project = await openProject(cwd, { init: true, catalog, isStateless: true });
  const { root } = project;
  const manifests: Manifest[] = [];
  for (const name of ["deno.json", "deno.jsonc", "package.json"] as const) {
    const one = await readManifest(root, name);
    if (one !== undefined) manifests.push(one);
  }
  const envFiles: EnvFile[] = [];
  for (const name of await files.list(root)) {
    // Not those that are for production or nobody, and not ours.
    if (!/^\.env(\.|$)/.test(name) || /^\.env\.local|\.(prod|production|example|sample|template)\b/.test(name)) {
      continue;
    }
    const file = await adviceFile(root, name);
    if (file !== undefined) envFiles.push({ name, values: envValuesOf(file.text) });
  }
  const all = cluesOf(await clueFilesOf(root));
  const within = (path: string) => path.startsWith(`${root}/`) ? path.slice(root.length + 1) : path;
  const fileAddresses = all.fileAddresses.map((one) => ({ ...one, path: within(one.path) }));
  const clues = { ...all, fileAddresses };
  const sqliteFiles = await sqliteFilesOf(root, fileAddresses.map(({ path }) => path));
  const makefile = await makefileOf(root);
  const found = { manifests, envFiles, makefile, clues, sqliteFiles };
  if (!project.isNew) return { project, ...found };
  const name = await nameOf(root, manifests, found.clues.names) || project.name;
  return { project: { ...project, name, stack: name, config: { project: name } }, ...found };
}

async function readManifest(root: string, name: Manifest["name"]): Promise<Manifest | undefined> {
  const bytes = await files.readBytes(await projectFile(root, name));
  if (bytes === undefined) return undefined;
  const text = utf8Of(bytes);
  if (text === undefined) {
    throw fileRefusal(join(root, name), "it must be text in UTF-8");
  }
  const isPlain = name === "package.json";
  const bare = text.replace(/^\uFEFF/, "");
  const content = parse(bare, [], { allowTrailingComma: true });
  const section = sectionOf(name);
  const isObject = (value: unknown) => typeof value === "object" && value !== null && !Array.isArray(value);
  const problem = await jsonProblem(bare, { isPlain }) ??
    (!isObject(content) ? "it must be an object" : undefined) ??
    (content[section] !== undefined && !isObject(content[section]) ? `"${section}" must be an object` : undefined);
  if (problem === undefined) return { name, text, content };
  throw fileRefusal(join(root, name), problem, isPlain ? PLAIN_JSON : undefined);
}

/** Returns the text of bytes in UTF-8, with its byte order mark; `undefined` if they are in another encoding. */
function utf8Of(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** Returns the section of a manifest that holds its tasks or scripts. */
export function sectionOf(name: Manifest["name"]): "scripts" | "tasks" {
  return name === "package.json" ? "scripts" : "tasks";
}

/** Returns the project's present name, from its manifests or its repository. */
async function nameOf(root: string, manifests: readonly Manifest[], others: readonly string[]): Promise<string> {
  const names = [...manifests.map(({ content }) => content.name), ...others].filter((name) => typeof name === "string");
  const isTop = await files.stat(join(root, ".git")) !== undefined; // below it, the repository is more than the project
  const asked = ["config", "--local", "--no-includes", "--get", "remote.origin.url"];
  const remote = isTop ? (await git(root, asked).catch(() => undefined))?.stdout.trim() : ""; // only a suggestion
  names.push(remote?.replace(/\/+$/, "").replace(/\.git$/, "") ?? "");
  return names.map((name) => envNameOf(name.replace(/^.*[/:]/, ""))).find(Boolean) ?? "";
}

/** Returns signs of the project's vendors, one per line: its packages and the hosts in its env files. */
export function signsOf({ manifests, envFiles }: Survey): string {
  const packages = manifests.flatMap(({ content: { dependencies, devDependencies, imports } }) =>
    [dependencies, devDependencies, imports].flatMap((one) => Object.keys(one ?? {}))
  );
  const hosts = envFiles.flatMap(({ values }) => Object.values(values).map(hostOf));
  return [...packages, ...hosts].filter(Boolean).join("\n");
}
