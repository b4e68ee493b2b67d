/**
 * The command line as users run it, in a project of its own, with an environment that holds nothing else; and what a directory holds, to compare before and after.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { lstat, mkdir, mkdtemp, readdir, readFile, readlink, realpath, rm, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { ERROR_CODES } from "../../core/cli/error_codes.ts";
import type { ErrorCode } from "../../mod.ts";
import { main } from "../../core/cli/main.ts";
import { CATALOG } from "../../providers/mod.ts";
import { baseVariables } from "../helpers.ts";
import { SIZE } from "../sizes.ts";

const REPOSITORY = fileURLToPath(new URL("../../", import.meta.url));

/** The directory of PATH in which this clone's command line is called `forkstack`. */
export const INSTALLED: string = join(REPOSITORY, "tests", "cli", "path");

/** The network of this machine, for `RunOptions.allow`. */
export const NET: readonly string[] = ["--allow-net=127.0.0.1"];

/** How a run ended. */
export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Whether the command line is one file that holds its own runtime, or runs in another than Deno. */
export const IS_OTHER_PROGRAM: boolean = process.env.FORKSTACK_TEST_PROGRAM !== undefined;

/** What a run gets besides its arguments. */
export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** In a process of its own, with the permissions that users grant. */
  readonly isProcess?: true;
  readonly stdin?: string | undefined;
  /** Permissions besides those of the set, where it has a process of its own, e.g. `["--allow-net"]`. */
  readonly allow?: readonly string[];
  /** A command in front of Deno's, e.g. `["setpriv", "--bounding-set=-dac_override"]`. */
  readonly within?: readonly string[];
  /** Given what ends the run with a signal. */
  readonly onStart?: (kill: (signal: Deno.Signal) => void) => void;
  /** Told each piece of stderr; may end the run with a signal. */
  readonly onStderr?: (text: string, kill: (signal: Deno.Signal) => void) => void;
}

/**
 * The command that runs the command line: this clone's, with permissions besides those of the set, or the program that
 * `FORKSTACK_TEST_PROGRAM` names, which has all.
 */
export function commandOf(args: readonly string[], ...permissions: readonly string[]): string[] {
  if (IS_OTHER_PROGRAM) return [...process.env.FORKSTACK_TEST_PROGRAM!.split(" "), ...args];
  const config = join(REPOSITORY, "deno.json");
  const set = { run: "run", seed: "run", connect: "run", serve: "serve" }[args[0]!] ?? "cli"; // as in the tasks of deno.json
  const lock = [`--lock=${join(REPOSITORY, "deno.lock")}`, "--unstable-npm-lazy-caching"];
  const deno = [process.execPath, "run", "-q", "-c", config, `-P=${set}`, ...permissions, ...lock];
  return [...deno, join(REPOSITORY, "cli.ts"), ...args];
}

/** A run in this process is under way: it has the process's stand-in for itself. */
let isUnderWay = false;
let isAlwaysProcess = false;

/**
 * Gives each run of this file of tests a process of its own, for what a stand-in can't show: code of the project, which is
 * loaded once a process and has the process's working directory; the permissions that users grant; modules not loaded.
 */
export function useProcesses(): void {
  isAlwaysProcess = true;
}

/**
 * Runs the command line in a directory: in this process, which is tens of times as fast, where nothing needs one of its
 * own. At full size, and of another program, each run has one; so have those that a test starts beside another.
 */
export async function run(cwd: string, args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  const { env, isProcess, stdin, allow = [], ...more } = options;
  const isOwn = isProcess || isAlwaysProcess || isUnderWay || IS_OTHER_PROGRAM || SIZE === "full" ||
    Object.keys(more).length > 0 ||
    /^(run|serve|seed|connect)$/.test(args[0] ?? "");
  if (isOwn) return await runCommand(cwd, [...options.within ?? [], ...commandOf(args, ...allow)], options);
  const said = { stdout: "", stderr: "" };
  const write = (stream: "stdout" | "stderr", text: string) => void (said[stream] += text);
  isUnderWay = true;
  try {
    return { code: await main([...args], CATALOG, { cwd, variables: environmentOf(cwd, env), write, stdin }), ...said };
  } finally {
    isUnderWay = false;
  }
}

/**
 * The environment of a run. What is trusted is kept beside the project, so that a worktree of it finds it too, and never
 * in the tester's own home.
 */
function environmentOf(cwd: string, more?: Readonly<Record<string, string>>): Record<string, string> {
  const { PATH, ...variables } = baseVariables();
  const path = [INSTALLED, ...PATH === undefined ? [] : [PATH]].join(delimiter);
  return { ...variables, PATH: path, USER: "tester", XDG_STATE_HOME: join(dirname(cwd), ".state"), ...more };
}

/** Runs any command in the environment of `run`. */
export async function runCommand(cwd: string, command: readonly string[], options: RunOptions = {}): Promise<Ended> {
  const [file, ...args] = command;
  const env = environmentOf(cwd, options.env);
  // Not node:child_process: Deno's takes whatever ended after a kill() for killed, whatever its exit code (2.9.6).
  const child = new Deno.Command(file, {
    args,
    cwd,
    env,
    clearEnv: true,
    stdin: options.stdin === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const kill = (signal: Deno.Signal) => {
    try {
      child.kill(signal);
    } catch { /* it has ended */ }
  };
  options.onStart?.(kill);
  const [stdout, stderr, { code, signal }] = await Promise.all([
    textOf(child.stdout),
    textOf(child.stderr, (text) => options.onStderr?.(text, kill)),
    child.status,
    options.stdin === undefined ? undefined : give(child.stdin, options.stdin),
  ]);
  return { code: signal === null ? code : null, stdout, stderr };
}

async function textOf(stream: ReadableStream<Uint8Array>, onText?: (text: string) => void): Promise<string> {
  let text = "";
  for await (const piece of stream.pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array, string>)) {
    text += piece;
    onText?.(text);
  }
  return text;
}

async function give(stdin: WritableStream<Uint8Array>, text: string): Promise<void> {
  await new Blob([text]).stream().pipeTo(stdin).catch(() => {}); // it ended before it read all
}

/** What a command says of its error agrees with the table that docs/errors.md is made from. */
function assertInTable(error: { readonly code: ErrorCode; readonly retryable: boolean }, exit: number | null): void {
  const row = ERROR_CODES[error.code];
  assert.ok(row !== undefined, `${error.code} is in no table`);
  assert.equal(exit, row.exit, error.code);
  if (row.retryable !== "sometimes") assert.equal(error.retryable, row.retryable, error.code);
}

/** A directory of its own, removed at the end. */
export class Place implements AsyncDisposable {
  readonly root: string;

  readonly above: string;

  private constructor(above: string) {
    this.above = above;
    this.root = join(above, "shop");
  }

  /** A project called `shop`; `null`: no forkstack.json. */
  static async make(config: unknown = {}): Promise<Place> {
    const above = await realpath(await mkdtemp(join(tmpdir(), "forkstack-cli-")));
    const place = new Place(above);
    await mkdir(place.root);
    if (config !== null) {
      await place.write(
        "forkstack.json",
        typeof config === "string" ? config : JSON.stringify({ project: "shop", ...config as object }),
      );
    }
    return place;
  }

  path(...names: string[]): string {
    return join(this.root, ...names);
  }

  async write(name: string, content: string | Uint8Array): Promise<void> {
    await mkdir(dirname(this.path(name)), { recursive: true });
    await writeFile(this.path(name), content);
  }

  /** The text of a file, or `undefined`. */
  async read(name: string): Promise<string | undefined> {
    return await readFile(this.path(name), "utf8").catch(() => undefined);
  }

  async run(...args: string[]): Promise<Ended> {
    return await run(this.root, args);
  }

  /** Runs what must succeed. */
  async ok(...args: string[]): Promise<Ended> {
    const ended = await run(this.root, args);
    if (ended.code !== 0) throw new Error(`${args.join(" ")} ended with ${ended.code}: ${ended.stderr}`);
    return ended;
  }

  /** Runs with `--json`; the document, and the exit code in it. */
  // deno-lint-ignore no-explicit-any -- its shape is what the tests look at
  async json(...args: string[]): Promise<any> {
    const { code, stdout } = await run(this.root, [...args, "--json"]);
    const document = JSON.parse(stdout);
    if (document.error !== undefined) assertInTable(document.error, code);
    return { ...document, code };
  }

  /** Trusts what the project names, as a person does who has read it. */
  async trust(): Promise<void> {
    await this.ok("trust", "--yes");
  }

  async git(...args: string[]): Promise<void> {
    const who = ["-c", "user.name=tester", "-c", "user.email=tester@example.com", "-c", "init.defaultBranch=main"];
    const { code, stderr } = await runCommand(this.root, ["git", ...who, ...args]);
    if (code !== 0) throw new Error(`git ${args.join(" ")}: ${stderr}`);
  }

  /**
   * What the directory holds: a line for each entry, with its mode and the hash of its bytes. What `except` matches is
   * not read: closing a file drops the locks that SQLite holds on it in this process.
   */
  async digest(except?: RegExp): Promise<string> {
    return (await treeOf(this.root, except)).join("\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.above, { recursive: true, force: true });
  }
}

/** What of `digest` a run may leave behind: the registry, what lies beside it, and empty directories. */
export const SCAFFOLD =
  /^\.forkstack\/((registry\.db(-wal|-shm)?|registry-id|checked\.json|buckets\.key|\.gitignore) |((envs|locks|owners|buckets|secrets|sqlite)\/)? )/;

function hashOf(content: string | Uint8Array): string {
  return createHash("sha256").update(content).digest("hex").slice(0, 16);
}

/** What a registry says, but for when each environment was switched to; the bytes of one that is no database. */
function rowsOf(path: string): string | Uint8Array {
  try {
    using database = new DatabaseSync(path, { readOnly: true });
    const tables = ["meta", "environments", "resources", "journal", "fence"];
    return JSON.stringify(
      tables.map((table) => database.prepare(`SELECT * FROM ${table}`).all().map((row) => ({ ...row, used_at: null }))),
    );
  } catch {
    return readFileSync(path);
  }
}

async function treeOf(root: string, except?: RegExp, at = ""): Promise<string[]> {
  const lines: string[] = [];
  for (const name of (await readdir(join(root, at))).sort()) {
    const path = at === "" ? name : `${at}/${name}`;
    if (path === ".git" || except?.test(`${path} `)) continue;
    if (/^\.forkstack\/registry\.db-(wal|shm)$/.test(path)) continue; // the same rows may lie in the log or beside it
    const found = await lstat(join(root, path));
    const mode = (found.mode & 0o777).toString(8);
    if (found.isDirectory()) {
      const inside = await treeOf(root, except, path);
      if (inside.length > 0 || !except?.test(`${path}/ `)) lines.push(`${path}/ ${mode}`, ...inside);
    } else if (found.isSymbolicLink()) lines.push(`${path} -> ${await readlink(join(root, path))}`);
    else if (path === ".forkstack/registry.db") lines.push(`${path} ${mode} ${hashOf(rowsOf(join(root, path)))}`);
    else {
      const bytes = await readFile(join(root, path));
      lines.push(`${path} ${mode} ${bytes.length} ${hashOf(bytes)}`);
    }
  }
  return lines;
}

/** A text without what differs from run to run: times, ids, dates, the host, the directory; progress is sorted. */
export function normalized(text: string, place: Place): string {
  const plain = text.replaceAll(place.root, "<root>").replaceAll(place.above, "<above>")
    .replaceAll(`tester@${hostname()}`, "tester@host")
    .replace(/\b\d{4}-\d\d-\d\dT[\d:.]+Z\b/g, "<instant>")
    .replace(/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/g, "<id>")
    .replace(/"durationMs": [\d.]+/g, '"durationMs": 0')
    .replace(/\b[\d.]+ (ms|s|min)\b/g, "<time>")
    .replace(/\b(copy-on-write|full-copy)\b/g, "<copied>");
  const lines = plain.split("\n").map((line) => line.replace(/ +(?=<time>$)/, " "));
  const progress = lines.filter((line) => /^ {2}[-+x] /.test(line)).sort();
  return lines.map((line) => /^ {2}[-+x] /.test(line) ? progress.shift() : line).join("\n");
}

/** One run as a transcript. */
export async function transcript(place: Place, args: readonly string[], options?: RunOptions): Promise<string> {
  const { code, stdout, stderr } = await run(place.root, args, options);
  const errors = normalized(stderr, place).trimEnd().split("\n").map((line) => `! ${line}\n`);
  return `${normalized(stdout, place)}${stderr === "" ? "" : errors.join("")}=> ${code}`;
}

/** Why a program can't be used here; `undefined`: it can. */
export async function whyNot(...command: string[]): Promise<string | undefined> {
  return await runCommand(".", command).then(
    ({ code, stderr }) => code === 0 ? undefined : stderr.trim(),
    (error) => (error as Error).message,
  );
}

/** A git repository whose first commit is a project, in a directory of its own below the top if one is named. */
export async function repository(below = ""): Promise<Place> {
  const place = await Place.make(null);
  await place.write(`${below}forkstack.json`, '{"project":"shop"}');
  await place.git("init", "-q");
  await place.git("add", ".");
  await place.git("commit", "-qm", "begin");
  return place;
}
