/**
 * The tasks of a project: where they are written, and how each is called there.
 *
 * @module
 */
import { applyEdits, modify } from "npm:jsonc-parser@3.3.1";
import { findUpwards } from "../../mod.ts";
import { disk } from "../system/disk.ts";
import { files } from "../system/files.ts";
import { dirname, join } from "../system/host.ts";
import { isDenos, type Origin, shortTaskLine, TASK_CONFIG, taskConfig } from "../project/task_line.ts";
import { projectFile } from "../project/state_ownership.ts";
import { linesText, withLines } from "../workspace/ignore.ts";
import type { Written } from "../workspace/staged_files.ts";
import { INCLUDE, MAKE_FILE, makeText } from "./make_tasks.ts";
import type { Makefile } from "./makefile.ts";
import { type Manifest, sectionOf } from "./survey.ts";

/** A file that changes, with its new lines. */
export interface FileReport {
  readonly name: string;
  readonly state: "created" | "changed";
  readonly added: readonly string[];
}

/** The changes that give a project its tasks. */
export interface TaskPlan {
  readonly written: readonly Written[];
  readonly reports: readonly FileReport[];
  /** Names of the user's own tasks and files that have our names; they stay. */
  readonly kept: readonly string[];
  /** The start of a command here, e.g. `"npm run envs:"`; absent if nothing calls `new` for us. */
  readonly command?: string;
  /** The manifest that has the tasks. */
  readonly manifest?: Manifest["name"];
}

/** Files that may hold tasks. */
export interface TaskPlace {
  readonly root: string;
  readonly manifests: readonly Manifest[];
  readonly makefile: Makefile | undefined;
  /** True if the project's language has no tasks in its manifest. */
  readonly isWanted: boolean;
}

/** The tasks, and how they start this program. */
export interface WantedTasks {
  readonly origin: Origin;
  readonly commands: readonly string[];
  readonly summaries?: Readonly<Record<string, string>>;
  readonly hosts: readonly string[];
}

/** Plans the tasks: in deno.json or package.json, for Make, and for Python, Go and others that have neither. */
export async function planTasks(place: TaskPlace, tasks: WantedTasks): Promise<TaskPlan> {
  const { root, manifests, makefile, isWanted } = place;
  const isMakes = makefile === undefined ? isWanted && manifests.length === 0 : makefile.content !== undefined;
  const target = isMakes && manifests.length === 0 ? undefined : targetOf(root, manifests, tasks.origin);
  const plans: TaskPlan[] = [];
  if (target !== undefined) plans.push(await manifestPlan(place, target, tasks));
  if (isMakes) plans.push(await makePlan(place, tasks));
  const config = plans.length === 0 ? undefined : await configPlan(place, tasks);
  const all = config === undefined ? plans : [...plans, config];
  return {
    written: all.flatMap(({ written }) => written),
    reports: all.flatMap(({ reports }) => reports),
    kept: all.flatMap(({ kept }) => kept),
    command: plans[0]?.command,
    manifest: target?.name,
  };
}

function lineOf({ root }: TaskPlace, { origin, hosts }: WantedTasks, command: string): string {
  return shortTaskLine(origin, command, root, hosts);
}

async function manifestPlan(place: TaskPlace, target: Manifest, tasks: WantedTasks): Promise<TaskPlan> {
  const lines = Object.fromEntries(tasks.commands.map((command) => [`envs:${command}`, lineOf(place, tasks, command)]));
  const { text, added, kept } = withTasks(target, lines);
  const command = kept.includes("envs:new") ? undefined : taskCommand(place.root, target);
  if (added.length === 0) return { written: [], reports: [], kept, command };
  const state = place.manifests.includes(target) ? "changed" : "created";
  const report: FileReport = { name: target.name, state, added: added.map((name) => `${name}: ${lines[name]}`) };
  return { written: [await changed(place.root, target.name, text)], reports: [report], kept, command };
}

/** A link stays one, and what it leads to is changed. */
async function changed(root: string, name: string, content: string | Uint8Array): Promise<Written> {
  const path = await projectFile(root, name);
  return [path, content, (await disk.mode(path) ?? 0o644) & 0o777];
}

const NO_MAKEFILE: Makefile = { name: "Makefile", content: undefined, targets: new Set(), isWhole: true };

/** Plans the file that a Makefile includes, which has the targets: `make envs-new alice`. */
async function makePlan(place: TaskPlace, tasks: WantedTasks): Promise<TaskPlan> {
  const { root, makefile } = place;
  const { name, content, targets: theirs, isWhole } = makefile ?? NO_MAKEFILE;
  const before = linesText(join(root, name), content);
  const named = tasks.commands.filter((command) => !theirs.has(`envs-${command}`));
  const targets = named.map((command) => ({
    name: `envs-${command}`,
    line: lineOf(place, tasks, command),
    summary: tasks.summaries?.[command] ?? command,
  }));
  const text = makeText(targets, { hasHelp: theirs.has("help") || !isWhole });
  const own = await ownFile(root, MAKE_FILE, text, targets.map(({ name }) => name));
  const kept = [...own.kept, ...tasks.commands.map((command) => `envs-${command}`).filter((name) => theirs.has(name))];
  const command = theirs.has("envs-new") || own.kept.length > 0 ? undefined : "make envs-";
  if (new RegExp(`^-?include[ \\t].*\\b${MAKE_FILE.replace(".", "\\.")}`, "m").test(before)) {
    return { ...own, kept, command };
  }
  const including = await changed(root, name, withLines(content, before === "" ? [INCLUDE] : ["", INCLUDE]));
  const state = makefile === undefined ? "created" : "changed";
  return {
    written: [...own.written, including],
    reports: [...own.reports, { name: name, state, added: [INCLUDE] }],
    kept,
    command,
  };
}

/** Plans the file by which short tasks call this program by its URL. */
async function configPlan({ root }: TaskPlace, { origin, hosts }: WantedTasks): Promise<TaskPlan | undefined> {
  if (origin.kind !== "url") return undefined;
  const text = taskConfig(origin, hosts);
  return await ownFile(root, TASK_CONFIG, text, text.trimEnd().split("\n"));
}

/** Plans a file that is all ours, unless it is there: with another text it is a person's by now. */
async function ownFile(root: string, name: string, text: string, added: readonly string[]): Promise<TaskPlan> {
  const there = await files.read(await projectFile(root, name));
  if (there !== undefined) return { written: [], reports: [], kept: there === text ? [] : [name] };
  return { written: [await changed(root, name, text)], reports: [{ name, state: "created", added }], kept: [] };
}

/** Returns the start of a command that runs a manifest's task. */
function taskCommand(root: string, target: Manifest): string {
  return target.name === "package.json" ? `${managerOf(root, target)} run envs:` : "deno task envs:";
}

/** Chooses the manifest for the tasks: the one of the runtime that runs them, else the other. */
function targetOf(root: string, manifests: readonly Manifest[], origin: Origin): Manifest | undefined {
  const target = isDenos(origin) ? manifests[0] : manifests.at(-1);
  if (target !== undefined || !isDenos(origin)) return target;
  // A deno.json of its own would hide one above from what runs here, and a workspace refuses it.
  const isBelow = ["deno.json", "deno.jsonc"].some((name) => findUpwards(dirname(root), name) !== undefined);
  return isBelow ? undefined : { name: "deno.json", text: "{}\n", content: {} };
}

/** Returns a manifest's text with the missing tasks; comments and layout stay. */
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

/** Returns the program that runs a package's scripts here. */
function managerOf(root: string, { content }: Manifest): string {
  const named = /^(npm|bun|pnpm|yarn)@/.exec(String(content.packageManager ?? ""))?.[1];
  if (named !== undefined) return named;
  const locks = { "bun.lock": "bun", "bun.lockb": "bun", "pnpm-lock.yaml": "pnpm", "yarn.lock": "yarn" };
  return Object.entries(locks).find(([file]) => findUpwards(root, file) !== undefined)?.[1] ?? "npm";
}
