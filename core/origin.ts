/**
 * How this program was started, and so how a project's own tasks start it: from a clone, by URL, as a package, as a
 * binary.
 *
 * @module
 */
import { isBinary, isRunByDeno } from "./host.ts";

/** Where this program came from. */
export type Origin =
  /** `deno run <path>`: cli.ts of a clone. */
  | { readonly kind: "clone"; readonly path: string }
  /** `deno run <url>` */
  | { readonly kind: "url"; readonly url: string }
  /** A program called `forkstack`: of a package, which a package manager finds, or a binary in PATH. */
  | { readonly kind: "package" }
  | { readonly kind: "binary" };

/** Where this program came from. */
export function origin(): Origin {
  const url = new URL("../cli.ts", import.meta.url);
  if (isBinary(import.meta.url)) return { kind: "binary" };
  if (!isRunByDeno() || /\/node_modules\/|\/npm\/registry\./.test(url.pathname)) return { kind: "package" };
  if (url.protocol === "https:" || url.protocol === "http:") return { kind: "url", url: url.href };
  return { kind: "clone", path: process.getBuiltinModule("node:url").fileURLToPath(url) };
}

/** The permissions of the sets in deno.json, for a task that can't name them: a set is looked for in the project then. */
const PERMISSIONS: Readonly<Record<string, readonly string[]>> = {
  cli: [
    "--allow-read",
    "--allow-write",
    "--allow-env",
    "--allow-run=cp,git,pg_dump,pg_restore",
    "--allow-sys=hostname",
  ],
  serve: ["--allow-read", "--allow-write", "--allow-env", "--allow-run=cp,git", "--allow-sys=hostname"],
};

/** What a command is allowed where that is not set `cli` with the hosts of the stack. */
const OWN: Readonly<Record<string, { readonly set: string; readonly hosts?: string[]; readonly flags?: string[] }>> = {
  serve: { set: "serve", hosts: ["127.0.0.1"] },
  secrets: { set: "cli", flags: ["--allow-run"] },
};

/** The line of a task that runs a command in the project of this directory, whose providers call these hosts. */
export function taskLine(from: Origin, command: string, root: string, hosts: readonly string[]): string {
  if (from.kind === "package" || from.kind === "binary") return `forkstack ${command}`;
  const { set, hosts: own, flags = [] } = OWN[command] ?? { set: "cli" };
  const reach = own ?? hosts;
  const isNamed = from.kind === "clone"; // its deno.json has the sets; by URL the project's own would be asked
  const named = isNamed ? [`-P=${set}`] : PERMISSIONS[set]!.filter((one) => !flags.includes(one.split("=")[0]!));
  const net = reach.length === 0 || (isNamed && own !== undefined) ? [] : [`--allow-net=${reach.join(",")}`];
  const what = from.kind === "clone" ? pathFrom(root, from.path) : from.url;
  // By URL neither the project's import map nor its lock file concern this program.
  const apart = isNamed ? [] : ["--no-config", "--no-lock"];
  return ["deno run -q", ...apart, ...named, ...flags, ...net, shellWord(what), command].join(" ");
}

/** Relative where that leads over what the two have in common, so that a checkout beside another works for everybody. */
function pathFrom(root: string, path: string): string {
  const { isAbsolute, relative } = process.getBuiltinModule("node:path");
  const way = relative(root, path).replaceAll("\\", "/");
  const ups = way.split("/").filter((part) => part === "..").length;
  const depth = root.split(/[\\/]/).filter(Boolean).length;
  if (isAbsolute(way) || (ups > 0 && ups >= depth)) return path.replaceAll("\\", "/");
  return way.startsWith(".") ? way : `./${way}`;
}

/** A word as `sh`, `cmd` and Deno's task shell all take it. */
function shellWord(word: string): string {
  return /^[\w@%+=:,./~-]+$/.test(word) ? word : `"${word.replace(/["$`\\]/g, "\\$&")}"`;
}
