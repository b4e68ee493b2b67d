/**
 * Colours, and how commands are called here, so that one that a text names works as it is pasted.
 *
 * @module
 */
import * as host from "../system/host.ts";
import { shownLines } from "../text/printable.ts";
import { shellWord } from "../text/shell_word.ts";
import { SETS, TASKS } from "../project/tasks.ts";

/** The style of the text on one stream. */
export interface Style {
  readonly color: boolean;
  /** The prefix of commands here: `"deno task envs:"` or `"forkstack "`. */
  readonly command: string;
  /** Width of the terminal in characters; absent where there is none. */
  readonly columns?: number | undefined;
}

/** Select Graphic Rendition: what begins and what ends it. */
const PAINTS = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
} as const;

/** A text in a format, where the stream takes one. */
export function paint(style: Style, format: keyof typeof PAINTS, text: string): string {
  const [begin, end] = PAINTS[format];
  return style.color ? `${OURS}${begin}m${text}${OURS}${end}m` : text;
}

/** The prefix in a project whose Makefile has our targets. */
const MAKE = "make envs-";

/** Stands for our own escapes until `dressed`, so that nothing that comes with data is taken for one of them. */
const OURS = `\ufdd0${Math.random()}\ufdd1`;

/** A text as the stream gets it: our formats as escapes, and every other character that would not show by its number. */
export function dressed(text: string): string {
  return text.split(OURS).map(shownLines).join("\x1b[");
}

/** Commands in a text as they are called here. */
export function localCommands(text: string, style: Pick<Style, "command">): string {
  return text.replaceAll(/`forkstack ([^`]*)/g, (_, line: string) => `\`${commandLine(line, style)}`);
}

/** A hint as it works here: an option that it names alone would be taken by Make for its own. */
export function localHint(text: string, style: Pick<Style, "command">): string {
  const [option] = /(?<![\w-])--[a-z][\w-]*/.exec(text.replaceAll(/`[^`]*`/g, "")) ?? [];
  const told = localCommands(text, style);
  return option !== undefined && style.command === MAKE ? `${told} (\`make -- envs-… ${option}\`)` : told;
}

/**
 * A command line as it works here. npm and Make take options for their own, `--dry-run` and `--yes` too, unless `--` comes
 * first; Deno grants some commands more than the others.
 */
export function commandLine(line: string, { command }: Pick<Style, "command">): string {
  const hasOptions = / -/.test(line);
  const isForNpm = command.startsWith("npm run ") && hasOptions;
  if (command === MAKE && isUnheld(line)) {
    const [, name, words = ""] = /^(\S+) ?(.*)$/s.exec(line)!;
    return `make envs-${name} ARGS='${words.replaceAll("$", "$$$$").replaceAll("'", "'\\''")}'`;
  }
  if (command === MAKE && hasOptions) return `make -- envs-${line}`;
  const [, name = ""] = /^(\w+)/.exec(line) ?? [];
  const prefix = Object.hasOwn(TASKS, name) ? command.replace(` ${grants("list")} `, ` ${grants(name)} `) : command;
  return prefix + (isForNpm ? line.replace(" ", " -- ") : line);
}

/** Returns true if a line has words that Make can't hand on as they are, or would take for its own: core/setup/make_tasks.ts. */
function isUnheld(line: string): boolean {
  return /["'=;#%*?\\|&$]| -- .*\.\//.test(line);
}

/** Deno's flags for a command where the user gives no others: a named set, which only a file's own deno.json has. */
function grants(name: string): string {
  const { set = "cli", flags = [] } = TASKS[name]!;
  const { flags: given, net } = SETS[set];
  if (CALLED.protocol === "file:") return [`-P=${set}`, ...flags].join(" ");
  const kept = given.filter((one) => !flags.includes(one.split("=")[0]!));
  if (net.length > 0) kept.push(`--allow-net=${net.join(",")}`);
  return [...kept, ...flags].join(" ");
}

/** The program's own file. */
const CALLED = new URL("../../cli.ts", import.meta.url);

/** The files whose tasks and scripts `deno task` runs. */
const MANIFESTS = ["deno.json", "deno.jsonc", "package.json"];

/**
 * The prefix of commands: `"deno task envs:"` or `"npm run envs:"` in a project that has these tasks, `"forkstack "` where
 * PATH finds it, else the whole way to this program, with permissions as this process has them:
 * `"deno run -A https://forkstack.example/cli.ts "`, `"deno run -P=cli ../forkstack/cli.ts "`.
 */
export function commandPrefix(): string {
  if (host.variable("MAKELEVEL") !== undefined && host.isThereNow(host.join(host.cwd(), "envs.mk"))) return MAKE;
  const script = scriptPrefix();
  if (script !== undefined) return script;
  if (host.isBinary(import.meta.url)) return isFound() ? "forkstack " : `${shellWord(host.programPath())} `;
  if (host.isRunByDeno()) return denoPrefix();
  const by = host.variable("npm_lifecycle_event"); // both set it to their own name: the command is on no PATH
  return by === "npx" || by === "bunx" ? `${by} forkstack ` : "forkstack ";
}

/** The prefix if a package's script started this program. */
function scriptPrefix(): string | undefined {
  const manager = host.variable("npm_config_user_agent")?.split("/")[0];
  const isScript = host.variable("npm_lifecycle_event")?.startsWith("envs:");
  return isScript && manager !== undefined && manager !== "deno" ? `${manager} run envs:` : undefined;
}

function denoPrefix(): string {
  const isTask = hasTasks(host.cwd()) ?? host.variable("INIT_CWD") !== undefined;
  if (isTask) return "deno task envs:";
  if (isFound()) return "forkstack ";
  const { protocol, href, pathname } = CALLED;
  const given = host.mayAll() ? "-A" : grants("list") + (host.mayReachAll() ? " --allow-net" : "");
  return `deno run ${given} ${shellWord(protocol === "file:" ? decodeURIComponent(pathname) : href)} `;
}

/** Returns true if the nearest manifest at or above a directory has our tasks; `undefined` if none can be read. */
function hasTasks(directory: string): boolean | undefined {
  for (let at = directory;; at = host.dirname(at)) {
    const texts = MANIFESTS.map((name) => host.readNow(host.join(at, name))).filter((text) => text !== undefined);
    if (texts.length > 0) return texts.some((text) => text.includes('"envs:'));
    if (host.dirname(at) === at) return undefined;
  }
}

/** Returns true if a shell finds this program by its name, and in doubt. */
function isFound(): boolean {
  const isWindows = host.system() === "windows";
  const directories = host.variable("PATH")?.split(isWindows ? ";" : ":").filter(Boolean) ?? [];
  const names = isWindows ? ["forkstack.exe", "forkstack.cmd"] : ["forkstack"];
  return directories.some((directory) => names.some((name) => host.isThereNow(host.join(directory, name)) !== false));
}
