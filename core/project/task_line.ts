/**
 * The way this program was started, and so how a project's tasks start it: from a clone, by URL, as a package, as a
 * binary.
 *
 * @module
 */
import { isBinary, isRunByDeno } from "../system/host.ts";
import { VERSION } from "../system/version.ts";
import { shellWord } from "../text/shell_word.ts";
import type { Task } from "./task.ts";
import { SETS, TASKS } from "./tasks.ts";

/** The source of this program. */
export type Origin =
  /** `deno run <path>`: cli.ts of a clone. */
  | { readonly kind: "clone"; readonly path: string }
  /** `deno run <url>` */
  | { readonly kind: "url"; readonly url: string }
  /** A program named `forkstack`: from a package, which a package manager finds, or a binary in PATH. */
  | { readonly kind: "package" }
  | { readonly kind: "binary" };

/** Returns the source of this program. */
export function origin(): Origin {
  const url = new URL("../../cli.ts", import.meta.url);
  if (isBinary(import.meta.url)) return { kind: "binary" };
  if (!isRunByDeno() || /\/node_modules\/|\/npm\/registry\./.test(url.pathname)) return { kind: "package" };
  if (url.protocol === "https:" || url.protocol === "http:") return { kind: "url", url: url.href };
  return { kind: "clone", path: process.getBuiltinModule("node:url").fileURLToPath(url) };
}

/** Returns true if tasks are lines of `deno run`, which need permissions. */
export function isDenos({ kind }: Origin): boolean {
  return kind === "clone" || kind === "url";
}

/** Lists the commands that have a task in a project with this source. */
export function commandsWithTask(from: Origin): string[] {
  return Object.keys(TASKS).filter((name) => {
    const { isOmitted } = TASKS[name];
    return isOmitted === undefined || (isOmitted === "outside Deno" && isDenos(from));
  });
}

/** Returns the task that runs a command in the project of this directory; `hosts` are those of its providers. */
export function taskLine(from: Origin, command: string, root: string, hosts: readonly string[]): string {
  if (from.kind === "package" || from.kind === "binary") return `forkstack ${command}`;
  const { set = "cli", flags = [] }: Task = TASKS[command] ?? {}; // of none: how a task of any begins
  const { flags: given, net: own } = SETS[set];
  const isNamed = from.kind === "clone"; // its deno.json has the sets; by URL the project's own would be asked
  const named = isNamed ? [`-P=${set}`] : given.filter((one) => !flags.includes(one.split("=")[0]!));
  const reach = isNamed && hosts.length === 0 ? [] : [...new Set([...own, ...hosts])];
  const net = reach.length === 0 ? [] : [shellWord(`--allow-net=${reach.join(",")}`)];
  const what = from.kind === "clone" ? pathFrom(root, from.path) : from.url;
  // deno.json names no lock file: `deno task` would fetch all that it holds, whatever the task.
  const locked = from.kind === "clone"
    ? [shellWord(`--lock=${what.replace(/cli\.ts$/, "deno.lock")}`), "--unstable-npm-lazy-caching"]
    : [];
  // By URL neither the project's lock file nor its node_modules concern this program.
  const apart = from.kind === "clone" ? [] : ["--no-lock", "--node-modules-dir=none", ...importing(new URL(from.url))];
  return ["deno run -q", ...apart, ...named, ...flags, ...net, ...locked, shellWord(what), command].join(" ");
}

/** The file beside forkstack.json by which tasks call this program by its URL, so that each of them is short. */
export const TASK_CONFIG = "forkstack.deno.json";

/** Returns a task as `init` writes it: by URL, with the file `TASK_CONFIG`. */
export function shortTaskLine(from: Origin, command: string, root: string, hosts: readonly string[]): string {
  if (from.kind !== "url") return taskLine(from, command, root, hosts);
  const { set = "cli", flags = [] }: Task = TASKS[command] ?? {};
  return ["deno run -q -c", TASK_CONFIG, `-P=${set}`, ...flags, "forkstack", command].join(" ");
}

/**
 * Returns the text of `TASK_CONFIG`: the URL and each set of permissions, once. It is apart from the project's own
 * deno.json, whose lock file and node_modules do not concern this program.
 */
export function taskConfig({ url }: Extract<Origin, { kind: "url" }>, hosts: readonly string[]): string {
  const sets = Object.entries(SETS).map(([name, { flags, net }]) => {
    const granted = flags.map((flag) => /^--allow-([a-z]+)(?:=(.*))?$/.exec(flag)!);
    const set: Record<string, true | string[]> = Object.fromEntries(
      granted.map(([, permission, values]) => [permission, values?.split(",") ?? true]),
    );
    const reach = [...new Set([...net, ...hosts])];
    if (reach.length > 0) set.net = reach;
    const importable = importing(new URL(url)).map((flag) => flag.split("=")[1]!);
    if (importable.length > 0) set.import = importable;
    return [name, set];
  });
  const config = {
    imports: { forkstack: url },
    lock: false,
    nodeModulesDir: "none",
    permissions: Object.fromEntries(sets),
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}

/**
 * Hosts from which Deno loads code without a permission: https://docs.deno.com/runtime/fundamentals/security/ (2026-11)
 */
const TRUSTED =
  "deno.land jsr.io esm.sh raw.esm.sh cdn.jsdelivr.net raw.githubusercontent.com gist.githubusercontent.com";

function importing({ protocol, host }: URL): string[] {
  return protocol === "https:" && TRUSTED.split(" ").includes(host) ? [] : [`--allow-import=${host}`];
}

/** Returns the specifier by which a project's own code imports `mod.ts`. */
export function runtimeSpecifier(from: Origin, root: string): string {
  if (from.kind === "url") return new URL("mod.ts", from.url).href;
  if (from.kind !== "clone") return `npm:forkstack@${VERSION}`;
  const path = pathFrom(root, from.path.replace(/cli\.ts$/, "mod.ts"));
  return /^(\.|\/|[a-z]:)/i.test(path) ? path : `./${path}`;
}

/** Returns the path or URL of the schema of forkstack.json for editors; `undefined` if they could not read it. */
export function schemaPath(from: Origin, root: string): string | undefined {
  if (from.kind === "url") return new URL("forkstack.schema.json", from.url).href;
  if (from.kind !== "clone") return undefined;
  const path = pathFrom(root, from.path.replace(/cli\.ts$/, "forkstack.schema.json"));
  if (isAbsolute(path)) return undefined;
  return path.startsWith(".") ? path : `./${path}`;
}

/** Returns a relative path if the two share a directory that others have too, e.g. for a checkout beside another. */
function pathFrom(root: string, path: string): string {
  const way = process.getBuiltinModule("node:path").relative(root, path).replaceAll("\\", "/");
  const ups = way.split("/").filter((part) => part === "..").length;
  const depth = root.split(/[\\/]/).filter(Boolean).length;
  if (isAbsolute(way) || (ups > 0 && ups >= depth)) return path.replaceAll("\\", "/");
  return way;
}

function isAbsolute(path: string): boolean {
  return process.getBuiltinModule("node:path").isAbsolute(path);
}
