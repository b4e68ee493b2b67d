/**
 * What makes an existing project ready: what is there, and what it lacks of forkstack.json, of .gitignore, of tasks. It
 * reads; who writes is the caller.
 *
 * @module
 */
import { applyEdits, modify, parse } from "npm:jsonc-parser@3.3.1";
import { envNameOf, findUpwards, ForkstackError, isForkstackError, readEnvFile, variablePrefix } from "../mod.ts";
import { openProject, type Project, type Resource } from "./config.ts";
import { disk } from "./disk.ts";
import { files } from "./files.ts";
import { git } from "./git.ts";
import { basename, dirname, join, variable } from "./host.ts";
import { lackingForImages, withLines } from "./ignore.ts";
import { isDenos, type Origin, taskLine } from "./origin.ts";
import { projectFile } from "./ownership.ts";
import { permissionsOf } from "./permissions.ts";
import { GUARDED } from "./program.ts";
import { jsonProblem, PLAIN_JSON } from "./schema.ts";
import { changedProjectFiles, checkPointers, type Written } from "./workspace.ts";

/** A file that may hold tasks. */
interface Manifest {
  readonly name: "deno.json" | "deno.jsonc" | "package.json";
  readonly text: string;
  // deno-lint-ignore no-explicit-any -- a person's file: what is read of it is looked at first
  readonly content: Readonly<Record<string, any>>;
}

/** An env file that a person wrote. */
interface EnvFile {
  readonly name: string;
  readonly values: Readonly<Record<string, string>>;
}

/** What is there. */
export interface Survey {
  /** Where there is no forkstack.json yet: with the name that suits it. */
  readonly project: Project;
  readonly manifests: readonly Manifest[];
  readonly envFiles: readonly EnvFile[];
}

/** Looks at a directory, and upwards for its forkstack.json. */
export async function survey(cwd: string): Promise<Survey> {
  const project = await openProject(cwd, { init: true, isStateless: true });
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
    const path = await projectFile(root, name).catch(() => undefined); // a directory, or somebody else's: no advice then
    if (path === undefined) continue;
    const values = Array.from(
      readEnvFile(await files.read(path) ?? ""),
      ([key, value]) => [key, typeof value === "string" ? value : ""],
    );
    envFiles.push({ name, values: Object.fromEntries(values) });
  }
  if (!project.isNew) return { project, manifests, envFiles };
  const name = await nameOf(root, manifests) || project.name;
  return { project: { ...project, name, stack: name, config: { project: name } }, manifests, envFiles };
}

async function readManifest(root: string, name: Manifest["name"]): Promise<Manifest | undefined> {
  const text = await files.read(await projectFile(root, name));
  if (text === undefined) return undefined;
  const isPlain = name === "package.json";
  const bare = text.replace(/^\uFEFF/, "");
  const content = parse(bare, [], { allowTrailingComma: true });
  const section = sectionOf(name);
  const isObject = (value: unknown) => typeof value === "object" && value !== null && !Array.isArray(value);
  const problem = await jsonProblem(bare, { isPlain }) ??
    (!isObject(content) ? "it must be an object" : undefined) ??
    (content[section] !== undefined && !isObject(content[section]) ? `"${section}" must be an object` : undefined);
  if (problem === undefined) return { name, text, content };
  throw new ForkstackError("CONFIG_INVALID", `Cannot read ${join(root, name)}: ${problem}`, {
    hint: isPlain ? PLAIN_JSON : "Mend it, and run the same command again; nothing was changed",
  });
}

/** Where a manifest holds what one runs by name. */
function sectionOf(name: Manifest["name"]): "scripts" | "tasks" {
  return name === "package.json" ? "scripts" : "tasks";
}

/** The name that the project has already: of its package, of its repository. */
async function nameOf(root: string, manifests: readonly Manifest[]): Promise<string> {
  const names = manifests.map(({ content }) => content.name).filter((name) => typeof name === "string");
  const isTop = await files.stat(join(root, ".git")) !== undefined; // below it, the repository is more than the project
  const asked = ["config", "--local", "--no-includes", "--get", "remote.origin.url"];
  const remote = isTop ? (await git(root, asked).catch(() => undefined))?.stdout.trim() : ""; // only a suggestion
  names.push(remote?.replace(/\/+$/, "").replace(/\.git$/, "") ?? "");
  return names.map((name) => envNameOf(name.replace(/^.*[/:]/, ""))).find(Boolean) ?? "";
}

/** What tells which vendors a project uses: its packages and the hosts in its env files, a line each. */
export function signsOf({ manifests, envFiles }: Survey): string {
  const packages = manifests.flatMap(({ content: { dependencies, devDependencies, imports } }) =>
    [dependencies, devDependencies, imports].flatMap((one) => Object.keys(one ?? {}))
  );
  const hosts = envFiles.flatMap(({ values }) => Object.values(values).map(hostOf));
  return [...packages, ...hosts].filter(Boolean).join("\n");
}

/** What `init` changes, and what it found. */
export interface InitPlan {
  /** The files, as they are to be; none if all is there. */
  readonly written: readonly Written[];
  readonly files: readonly FileReport[];
  /** Tasks of our names that say something else: a person's, so they stay. */
  readonly kept: readonly string[];
  /** What commands are called in this project: `"npm run envs:"`. */
  readonly command: string;
  readonly credentials: readonly CredentialReport[];
  readonly warnings: readonly Warning[];
}

/** A file that changes, and what is new in it. */
export interface FileReport {
  readonly name: string;
  readonly state: "created" | "changed";
  readonly added: readonly string[];
}

/** The credentials of one provider. */
export interface CredentialReport {
  readonly provider: string;
  readonly state: "set" | "missing";
  readonly variables: readonly { readonly variable: string; readonly state: "set" | "missing" | "optional" }[];
  /** How to come by those that are missing. */
  readonly hint?: string;
}

/** Something that stops nothing now, but will. */
export interface Warning {
  readonly problem: string;
  readonly fix: string;
}

/** What is lacking for a project with these resources. */
export async function planInit(
  { project, manifests, envFiles }: Survey,
  resources: readonly Resource[],
  tasks: { readonly origin: Origin; readonly commands: readonly string[] },
): Promise<InitPlan> {
  const { root } = project;
  const place = { project, world: { files }, resources };
  const written: Written[] = [...await changedProjectFiles(place), ...await imageLines(project)];
  const reports: FileReport[] = [];
  for (const [path, text] of written) {
    const before = await files.read(path);
    const known = new Set(before?.split(/\r?\n/));
    const added = text.split(/\r?\n/).filter((line) => line !== "" && !known.has(line));
    reports.push({ name: basename(path), state: before === undefined ? "created" : "changed", added });
  }
  const { set, unset } = permissionsOf(project, resources, variable);
  const hosts = set.net ?? [];
  const lines = Object.fromEntries(
    tasks.commands.map((command) => [`envs:${command}`, taskLine(tasks.origin, command, root, hosts)]),
  );
  const target = targetOf(root, manifests, tasks.origin);
  const edited = target && withTasks(target, lines);
  if (target !== undefined && edited !== undefined && edited.added.length > 0) {
    const path = await projectFile(root, target.name); // a link stays one, and what it leads to is changed
    written.push([path, edited.text, (await disk.mode(path) ?? 0o644) & 0o777]);
    const state = manifests.includes(target) ? "changed" as const : "created" as const;
    reports.push({ name: target.name, state, added: edited.added.map((name) => `${name}: ${lines[name]}`) });
  }
  return {
    written,
    files: reports,
    kept: edited?.kept ?? [],
    command: target === undefined || edited?.kept.includes("envs:new")
      ? taskLine(tasks.origin, "", root, hosts)
      : target.name === "package.json"
      ? `${managerOf(root, target)} run envs:`
      : "deno task envs:",
    credentials: credentialsOf(resources, envFiles),
    warnings: [
      ...await pointerWarnings(place),
      ...(target !== undefined && isStranger(tasks.origin, root, target) ? [STRANGER] : []),
      ...(isDenos(tasks.origin) && unset.length > 0 && edited !== undefined && edited.added.length > 0
        ? [hostless(unset)]
        : []),
      ...envFiles.flatMap((file) => envWarnings(file, resources)),
    ],
  };
}

/** `.dockerignore` with the lines that it lacks: credentials are not for images. */
async function imageLines(project: Project): Promise<Written[]> {
  const path = await projectFile(project.root, ".dockerignore");
  const text = await files.read(path) ?? "";
  const lacking = lackingForImages(project, await files.list(project.root), text);
  return lacking.length === 0 ? [] : [[path, withLines(text, lacking), (await disk.mode(path) ?? 0o644) & 0o777]];
}

/** The manifest that gets the tasks: that of the runtime which runs them, else the other one. */
function targetOf(root: string, manifests: readonly Manifest[], origin: Origin): Manifest | undefined {
  const target = isDenos(origin) ? manifests[0] : manifests.at(-1);
  if (target !== undefined || !isDenos(origin)) return target;
  // A deno.json of its own would hide one above from what runs here, and a workspace refuses it.
  const isBelow = ["deno.json", "deno.jsonc"].some((name) => findUpwards(dirname(root), name) !== undefined);
  return isBelow ? undefined : { name: "deno.json", text: "{}\n", content: {} };
}

/** A manifest's text with the tasks that it lacks; comments and layout stay. */
function withTasks({ name, text, content }: Manifest, tasks: Readonly<Record<string, string>>) {
  const there = content[sectionOf(name)] ?? {};
  const added = Object.keys(tasks).filter((task) => !Object.hasOwn(there, task));
  const kept = Object.keys(tasks).filter((task) =>
    Object.hasOwn(there, task) && (there[task]?.command ?? there[task]) !== tasks[task]
  );
  const [indent = "  "] = /^[ \t]+(?=")/m.exec(text) ?? [];
  const formattingOptions = {
    insertSpaces: !indent.startsWith("\t"),
    tabSize: indent.length,
    eol: text.includes("\r\n") ? "\r\n" : "\n",
  };
  let edited = text;
  for (const task of added) {
    edited = applyEdits(edited, modify(edited, [sectionOf(name), task], tasks[task], { formattingOptions }));
  }
  return { text: edited, added, kept };
}

/** The program that runs a package's scripts here. */
function managerOf(root: string, { content }: Manifest): string {
  const named = /^(npm|bun|pnpm|yarn)@/.exec(String(content.packageManager ?? ""))?.[1];
  if (named !== undefined) return named;
  const locks = { "bun.lock": "bun", "bun.lockb": "bun", "pnpm-lock.yaml": "pnpm", "yarn.lock": "yarn" };
  return Object.entries(locks).find(([file]) => findUpwards(root, file) !== undefined)?.[1] ?? "npm";
}

function credentialsOf(resources: readonly Resource[], envFiles: readonly EnvFile[]): CredentialReport[] {
  const providers = new Map(resources.map(({ provider }) => [provider.name, provider]));
  return [...providers.values()].filter(({ credentials }) => credentials.length > 0).map((provider) => {
    const isSet = ({ variable: name }: { variable: string }) => variable(name) !== undefined;
    const { credentials, credentialsHint } = provider;
    // Where none is required, one or another of them is: a Vault token or a role's id and secret.
    const isAny = credentials.every(({ required }) => !required);
    const isReady = isAny ? credentials.some(isSet) : credentials.every((one) => !one.required || isSet(one));
    const variables = credentials.map((one) => ({
      variable: one.variable,
      state: isSet(one) ? "set" as const : one.required || (isAny && !isReady && one === credentials[0]) // its hint tells of the others
        ? "missing" as const
        : "optional" as const,
    }));
    const lacking = variables.filter(({ state }) => state === "missing").map(({ variable }) => variable);
    const file = envFiles.find(({ values }) => lacking.some((name) => values[name]))?.name;
    const unread = file === undefined ? undefined : `${file} has it, which forkstack does not read: export it`;
    const hint = [unread, credentialsHint].filter(Boolean).join("; or ");
    return {
      provider: provider.name,
      state: isReady ? "set" as const : "missing" as const,
      variables,
      ...(isReady || hint === "" ? {} : { hint }),
    };
  });
}

/** A package that was started by `npx`, say, and that the scripts here would not find. */
function isStranger({ kind }: Origin, root: string, { name }: Manifest): boolean {
  return kind === "package" && name === "package.json" &&
    findUpwards(root, "node_modules/.bin/forkstack") === undefined;
}

const STRANGER: Warning = {
  problem: "forkstack is not installed here: the scripts will not find it",
  fix: "Add the package forkstack to devDependencies, and install",
};

function hostless(unset: readonly string[]): Warning {
  return {
    problem: `${unset.join(", ")} ${unset.length === 1 ? "is" : "are"} not set: the tasks do not allow the host in it`,
    fix: "Set it, take the tasks out, and run init again; or add --allow-net=<host> to them",
  };
}

/** What `new` would stop on. */
async function pointerWarnings(place: Parameters<typeof checkPointers>[0]): Promise<Warning[]> {
  try {
    await checkPointers(place);
    return [];
  } catch (error) {
    if (!isForkstackError(error)) throw error;
    return [{ problem: `${error.message}; \`forkstack new\` will stop on it`, fix: error.hint ?? "" }];
  }
}

/** An env file with values that are not of any environment. Values are never told, nor the hosts in them. */
function envWarnings({ name, values }: EnvFile, resources: readonly Resource[]): Warning[] {
  const guarded = new Set(
    resources.flatMap(({ kind, name }) => GUARDED[kind].map((one) => `${variablePrefix(name)}${one}`)),
  );
  const set = Object.keys(values).filter((one) => values[one] !== "");
  const told = (one: string) => isElsewhere(values[one]!) ? `${one} (another machine's)` : one;
  const known = set.filter((one) => guarded.has(one));
  const unknown = set.filter((one) => !guarded.has(one) && STORES.test(values[one]!) && isElsewhere(values[one]!));
  return [
    ...(known.length === 0 ? [] : [{
      problem: `${name} sets ${
        known.map(told).join(", ")
      }: a program that loads it is stopped by the guard, ENV_CONFLICT`,
      fix: `Take ${known.length === 1 ? "it" : "them"} out: forkstack gives each environment its own. ` +
        "What is production's belongs where production runs, beside FORKSTACK_ENV=prod",
    }]),
    ...(unknown.length === 0 ? [] : [{
      problem: `${name} sets ${unknown.map(told).join(", ")}, which the guard does not know: a program that reads ` +
        `${unknown.length === 1 ? "it" : "them"} uses that machine in every environment`,
      fix: "Read the database and the like through mod.ts, e.g. getDatabaseUrl()",
    }]),
  ];
}

/** Addresses of databases, caches and their like. */
const STORES = /^(jdbc:)?(postgres(ql)?|mysql|mariadb|libsql|mongodb(\+srv)?|rediss?|valkeys?|amqps?|sqlserver):/i;

/** The host of a URL, also of one with a password that should have been encoded; `""` if it is none. */
function hostOf(value: string): string {
  const url = value.replace(/^jdbc:/i, "");
  if (URL.canParse(url)) return new URL(url).hostname;
  const rest = /^[a-z][a-z0-9+.-]*:\/\/(.*)$/is.exec(url)?.[1];
  return rest === undefined
    ? ""
    : /^(\[[^\]]*\]|[^:/?#,]*)/.exec(rest.slice(rest.lastIndexOf("@") + 1))![0].toLowerCase();
}

/** A URL of another machine; a name without a dot is that of a container beside. */
function isElsewhere(value: string): boolean {
  const host = hostOf(value);
  const isHere = !host.includes(".") && !host.includes(":") ||
    /^(127\.[\d.]+|0\.0\.0\.0|\[::1?\]|.*\.(localhost|local|internal|test))$/.test(host);
  return host !== "" && !isHere;
}
