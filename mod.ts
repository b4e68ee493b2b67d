/**
 * The runtime of forkstack: which environment is current, and what its database, bucket, secrets, cache, queue and
 * local directory are called. One file, `node:` built-ins only, nothing done on import; it runs in Deno, Bun and
 * Node 22.18+, imported by URL, from a package, or copied.
 *
 * ```ts
 * import { getBucketName, getDatabaseUrl, getSecret } from "./mod.ts";
 * ```
 *
 * A value of the current environment is returned, or an error is thrown; never another environment's value.
 *
 * @module
 */
// Deno's own calls where they are there, else built-ins at first use: `process` costs a Deno process 10 ms, and
// `node:fs` 18 ms.
const deno = (globalThis as { Deno?: typeof Deno }).Deno;
const fs = (): typeof import("node:fs") => builtin("node:fs") as typeof import("node:fs");
const cwdOf = (): string => deno?.cwd() ?? process.cwd();
const join = (...parts: string[]): string => parts.join("/").replace(/\/{2,}/g, "/");
const parentOf = (path: string): string => path.replace(/[\\/][^\\/]*$/, "") || "/";

// ---- errors

/** Where an error came from; every field is safe to print. */
export interface ErrorDetails {
  /** The provider's name in forkstack.json, e.g. `"neon"`. */
  readonly provider?: string;
  /** The resource, e.g. `"database"` or `"storage.uploads"`. */
  readonly resource?: string;
  /** The environment, e.g. `"alice"`. */
  readonly env?: string;
  /** The HTTP status of a vendor's answer. */
  readonly status?: number;
  /** The vendor's id of the request, to quote to its support. */
  readonly requestId?: string;
}

/** What else an error carries besides its code and message. */
export interface ErrorOptions {
  /** What to do next: a command, a setting, a page to read. */
  readonly hint?: string;
  /** The same call may succeed later. @default {false} */
  readonly retryable?: boolean;
  /** Where it happened. */
  readonly details?: ErrorDetails;
  /** The error underneath. */
  readonly cause?: unknown;
}

/** The one error class of forkstack. `code` is stable: switch on it, never on the message. */
export class ForkstackError extends Error {
  /** Found by `isForkstackError()`, also across two loaded copies of this file. */
  readonly isForkstack: symbol = Symbol.for("forkstack.error");
  /** Stable, UPPER_SNAKE: `"ENV_CONFLICT"`, `"NOT_FOUND"`, `"FOREIGN"`. */
  readonly code: string;
  /** What to do next. */
  readonly hint: string | undefined;
  /** The same call may succeed later. */
  readonly retryable: boolean;
  /** Where it happened. */
  readonly details: ErrorDetails;

  /** An error with a stable code; its message as "Cannot verb kind name: state found". */
  constructor(code: string, message: string, options: ErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.name = "ForkstackError";
    this.code = code;
    this.hint = options.hint;
    this.retryable = options.retryable ?? false;
    this.details = options.details ?? {};
  }
}

/** Tells whether a caught value is a `ForkstackError`, whichever copy of this file made it. */
export function isForkstackError(value: unknown): value is ForkstackError {
  return value instanceof Error && (value as Partial<ForkstackError>).isForkstack === Symbol.for("forkstack.error");
}

/** A module of Node's own, which all three runtimes have. */
function builtin(name: "node:fs" | "node:path"): unknown {
  if (process.getBuiltinModule !== undefined) return process.getBuiltinModule(name);
  throw new ForkstackError("TOOL_OUTDATED", `Cannot use forkstack in Node ${process.versions.node}: it is too old`, {
    hint: "Run the app with Node 20.16, 22.3 or later, or with Deno or Bun",
  });
}

// ---- names

/** The kinds of resource that an environment can have. */
export type Kind = "database" | "storage" | "secrets" | "cache" | "queue" | "local";

/** What project and environment names look like; DNS labels, which every vendor can hold. */
export const NAME_PATTERN: RegExp = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/;

const MAX_NAME_LENGTH = 63;
const ALIASES: ReadonlyMap<string, string> = new Map([["production", "prod"], ["development", "dev"]]);

/**
 * Checks an environment name as a person wrote it; `production` and `development` become `prod` and `dev`.
 *
 * @param source What to call it in the error, e.g. `"environment name"` or `"FORKSTACK_ENV"`.
 * @throws {ForkstackError} NAME_INVALID if it is not 1 to 63 of `a-z`, `0-9` and inner `-`.
 */
export function parseEnvName(value: string, source = "environment name"): string {
  const name = ALIASES.get(value) ?? value;
  if (name.length <= MAX_NAME_LENGTH && NAME_PATTERN.test(name)) return name;
  const shown = JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}...` : value);
  const near = envNameOf(value);
  throw new ForkstackError(
    "NAME_INVALID",
    `Cannot use ${shown} as ${source}: it must be 1 to ${MAX_NAME_LENGTH} characters of a-z, 0-9 and "-" inside`,
    { hint: near && near !== value ? `Use "${near}"` : 'Names look like "alice" or "pr-42"' },
  );
}

/**
 * The environment that a process's `ENV` names: none where it holds a `/`, since POSIX shells keep the path of a startup
 * file there.
 *
 * @see https://pubs.opengroup.org/onlinepubs/9799919799/utilities/sh.html
 */
export function deploymentOf(value: string | undefined): string | undefined {
  return value?.includes("/") ? undefined : value;
}

/** The legal name nearest to any text, e.g. of the git branch `feature/Login`: `feature-login`; `""` if none. */
export function envNameOf(text: string): string {
  const dashed = text.toLowerCase().slice(0, 200).replace(/[^a-z0-9]+/g, "-");
  return dashed.slice(0, MAX_NAME_LENGTH).replace(/^-+|-+$/g, "");
}

/**
 * The name a resource has at its vendor. Derived, never random, so that it can be found again without any state.
 *
 * @example The database and a named bucket of alice
 * ```ts
 * import assert from "node:assert/strict";
 * import { resourceTitle } from "./mod.ts";
 *
 * assert.equal(resourceTitle("database", "myapp", "alice"), "myapp-alice");
 * assert.equal(resourceTitle("storage", "myapp", "alice", "uploads"), "myapp-uploads-bucket-alice");
 * ```
 */
export function resourceTitle(kind: Kind, project: string, env: string, name?: string): string {
  const base = name === undefined ? [project] : [project, name];
  if (kind === "secrets") return name === undefined ? env : `${name}-${env}`;
  if (kind === "local") return `${[...base, env].join(".")}.db`;
  if (kind === "storage") return `${base.join("-")}-bucket-${env}`;
  return (env === "prod" ? base : [...base, env]).join("-");
}

/** The prefix of a named resource's variables: `UPLOADS_` for `uploads`, nothing for an unnamed one. */
export function variablePrefix(name?: string): string {
  return name === undefined ? "" : `${name.toUpperCase().replaceAll("-", "_")}_`;
}

/** Where an embedded provider keeps a resource: an absolute path under `root`. */
export function embeddedPath(kind: Kind, root: string, title: string): string {
  if (kind === "local") return join(root, title);
  if (kind === "database") return join(root, ".forkstack", "sqlite", `${title}.db`);
  if (kind === "storage") return join(root, ".forkstack", "buckets", title);
  return join(root, ".forkstack", kind, `${title}.env`);
}

// ---- files

/**
 * The nearest directory from `from`, an absolute path, upwards to `top` that holds `file`.
 *
 * @throws {ForkstackError} FILE_UNREADABLE if the process may not look.
 */
export function findUpwards(from: string, file: string, top?: string): string | undefined {
  for (let at = join(from).replace(/(.)[\\/]+$/, "$1");; at = parentOf(at)) {
    if (ifThere(join(at, file), stat) !== undefined) return at;
    if (at === top || parentOf(at) === at) return undefined;
  }
}

/** The git checkout that a directory is in. */
interface Checkout {
  /** Directory of its `.git`. */
  readonly top: string;
  /** It is a linked worktree, also one that its repository does not list. */
  readonly isLinked: boolean;
  /** Main worktree of a linked one that its repository lists, or the common git directory where that is bare. */
  readonly main?: string;
  readonly isBare?: boolean;
}

function checkoutOf(directory: string): Checkout | undefined {
  let top: string | undefined;
  try {
    top = findUpwards(directory, ".git");
  } catch {
    return undefined; // `--allow-read=<project>` is a fair grant: what lies above is then none of ours
  }
  if (top === undefined || !isOwned(join(top, ".git"), directory)) return undefined;
  if (isDirectory(join(top, ".git"))) return { top, isLinked: false };
  const { basename, dirname, resolve } = builtin("node:path") as typeof import("node:path");
  const gitDir = /^gitdir: (.+)$/m.exec(readText(join(top, ".git")) ?? "")?.[1];
  const linked = resolve(top, gitDir ?? "");
  const commonDir = gitDir === undefined ? undefined : readText(join(linked, "commondir"));
  if (commonDir === undefined) { // a submodule, or a worktree whose repository was moved away
    return { top, isLinked: basename(dirname(linked)) === "worktrees" && ifThere(linked, stat) === undefined };
  }
  const common = resolve(linked, commonDir.trim());
  // Anybody can write a `.git` file. Only the repository's own list says that this one belongs to it:
  // https://git-scm.com/docs/gitrepository-layout (worktrees/<id>/gitdir)
  const listed = resolve(linked, readText(join(linked, "gitdir"))?.trim() ?? "");
  const isListed = basename(listed) === ".git" && isSamePlace(dirname(listed), top) &&
    isSamePlace(dirname(linked), join(common, "worktrees"));
  if (!isListed) return { top, isLinked: true };
  // With extensions.worktreeConfig, git keeps `bare` in a file of its own: https://git-scm.com/docs/git-worktree
  const isBare = ["config", "config.worktree"]
    .some((file) => /^\s*bare\s*=\s*true\s*$/im.test(readText(join(common, file)) ?? ""));
  if (isBare) return { top, isLinked: true, main: common, isBare };
  return { top, isLinked: true, ...(basename(common) === ".git" ? { main: dirname(common) } : {}) };
}

const realOf = (path: string): string | undefined =>
  ifThere(path, (at) => deno?.realPathSync(at) ?? fs().realpathSync(at));

function isSamePlace(one: string, other: string): boolean {
  return one === other || (realOf(one) ?? one) === (realOf(other) ?? other);
}

/**
 * The directory that holds `.forkstack/`: the project's own, or in a linked git worktree the same place in the main
 * worktree, so that all worktrees of a repository share one registry and one set of environments. Where the repository
 * is bare it is the common git directory.
 */
export function stateRoot(root: string): string {
  const { top, main, isBare } = checkoutOf(root) ?? { top: root };
  if (main === undefined) return root;
  const { relative } = builtin("node:path") as typeof import("node:path");
  const below = relative(realOf(top)!, realOf(root)!);
  if (below === "") return main;
  return isBare ? join(main, ".forkstack", "projects", below) : join(main, below); // `refs` and `hooks` are git's own
}

/** The directories of a project. */
export interface ProjectPlace {
  /** Directory of `.current-env` and `.env.local`, in the checkout at hand. */
  readonly root: string;
  /** Directory of forkstack.json: `root`, or its like in the main worktree; absent where there is none. */
  readonly configRoot?: string;
  /** The checkout is a linked git worktree, so that no environment is current by default. */
  readonly isLinkedWorktree: boolean;
}

/**
 * The project of a directory. The search upwards ends at the top of the git checkout; a linked worktree without a
 * forkstack.json has that of the main worktree, and a pointer of its own at the same place.
 *
 * @throws {ForkstackError} FILE_UNREADABLE if the process may not look.
 */
export function findProject(cwd: string): ProjectPlace | undefined {
  cwd = join(cwd);
  const { top, main, isBare, isLinked: isLinkedWorktree = false } = checkoutOf(cwd) ?? {};
  const own = findUpwards(cwd, "forkstack.json", top);
  if (own !== undefined) return { root: own, configRoot: own, isLinkedWorktree };
  if (main !== undefined && !isBare) {
    const configRoot = findUpwards(main + cwd.slice(top!.length), "forkstack.json", main);
    if (configRoot !== undefined) {
      return { root: top + configRoot.slice(main.length), configRoot, isLinkedWorktree };
    }
  }
  const root = findUpwards(cwd, ".current-env", top);
  return root === undefined ? undefined : { root, isLinkedWorktree };
}

/** Env files that runtimes load into the process: https://bun.com/docs/runtime/env */
const LOADED = ["", ".production", ".development", ".test"].flatMap((mode) => [`.env${mode}`, `.env${mode}.local`]);

/**
 * The directory that holds `.forkstack/` where the user chose one: FORKSTACK_STATE, an absolute path.
 *
 * @param directories Those whose env files a runtime may have loaded into the process: what they set is no user's choice.
 * @throws {ForkstackError} VALUE_INVALID if it is no absolute path, NOT_PERMITTED if an env file there sets it.
 */
export function chosenState(path: string | undefined, directories: readonly string[]): string | undefined {
  if (path === undefined || path === "") return undefined;
  for (const file of directories.flatMap((directory) => LOADED.map((name) => join(directory, name)))) {
    if (!/^[ \t]*(?:export[ \t]+)?FORKSTACK_STATE[ \t]*[=:]/m.test(readable(file) ?? "")) continue;
    throw new ForkstackError("NOT_PERMITTED", `Cannot use FORKSTACK_STATE: ${JSON.stringify(file)} sets it`, {
      hint: "Remove the line: the user chooses where the state is, in the shell, and no file of a project does",
    });
  }
  if (/^(?:\/|[A-Za-z]:[\\/])/.test(path)) return join(path).replace(/(.)[\\/]+$/, "$1");
  throw new ForkstackError("VALUE_INVALID", `Cannot use FORKSTACK_STATE: ${JSON.stringify(path)} is no absolute path`, {
    hint: 'Set it to a path like "/home/alice/.local/state/shop", or unset it',
  });
}

/**
 * Whether this user, root or the owner of the working directory owns what is at a path, a link itself; also where
 * nothing is there, or the system has no owners.
 */
export function isOwned(path: string, cwd: string): boolean {
  const owner = ifThere(path, lstat)?.uid;
  return !owner || owner === ownUid() || owner === ifThere(cwd, stat)?.uid;
}

/**
 * Refuses a file that is neither this user's, root's nor of the owner of the working directory; where asked, a link too.
 *
 * @throws {ForkstackError} NOT_PERMITTED
 */
export function assertOwned(path: string, cwd: string, mayBeLink = true): void {
  if (!mayBeLink && ifThere(path, lstat)?.isLink) throw notOurs(path, "it is a link");
  if (!isOwned(path, cwd)) throw notOurs(path, "another user owns it");
}

/**
 * Refuses state that another user owns, and a link at or inside `.forkstack/`, on the way from `root` to a path; what is
 * not in `root`'s `.forkstack/` is none of this function's.
 *
 * @throws {ForkstackError} NOT_PERMITTED
 */
export function assertState(root: string, path: string, cwd: string): void {
  const parts = path.slice(join(root, "/").length).split("/");
  if (parts[0] !== ".forkstack") return;
  for (let at = root; parts.length > 0;) {
    at = join(at, parts.shift()!);
    if (ifThere(at, lstat)?.isLink) throw notOurs(at, "it is a link");
    if (at.endsWith("/.forkstack")) assertOwned(at, cwd);
  }
}

function notOurs(path: string, state: string): ForkstackError {
  const isUnknown = deno !== undefined && ownUid() === undefined;
  const grant = isUnknown ? ", or if it is yours grant --allow-sys=uid" : "";
  return new ForkstackError("NOT_PERMITTED", `Cannot use ${JSON.stringify(path)}: ${state}`, {
    hint: state.endsWith("link")
      ? "Remove it, or put what it leads to in its place"
      : `Remove it, make it yours with chown${grant}`,
  });
}

/** The user of this process; `undefined` where there are none, and in Deno where it may not be asked. */
function ownUid(): number | undefined {
  if (deno === undefined) return process.getuid?.();
  const { state } = deno.permissions.querySync({ name: "sys", kind: "uid" }); // asking would prompt
  return state === "granted" ? deno.uid() ?? undefined : undefined;
}

/** The text of a file that this process can read: another has loaded nothing of it. */
function readable(path: string): string | undefined {
  try {
    return readText(path);
  } catch {
    return undefined;
  }
}

function readText(path: string): string | undefined {
  return ifThere(path, () => {
    if (isEndless(path)) throw Object.assign(new Error(path), { code: "it is a pipe or a device" });
    return (deno?.readTextFileSync(path) ?? fs().readFileSync(path, "utf8")).replace(/^\uFEFF/, "");
  });
}

/** Whether a path leads to what may never end, or hold up its reader for ever: a pipe, a device, a socket. */
function isEndless(path: string): boolean {
  if (deno === undefined) {
    const found = fs().statSync(path);
    return !found.isFile() && !found.isDirectory();
  }
  const found = deno.statSync(path);
  return !found.isFile && !found.isDirectory;
}

/** What stands at a path; `uid` is absent, or 0, where the system has no owners. */
interface Standing {
  readonly mtimeMs: number;
  readonly uid: number | null;
  readonly isLink: boolean;
}

const stat = (path: string): Standing => look(path, "statSync");
const lstat = (path: string): Standing => look(path, "lstatSync");

function look(path: string, call: "statSync" | "lstatSync"): Standing {
  if (deno === undefined) {
    const found = fs()[call](path);
    return { mtimeMs: found.mtimeMs, uid: found.uid, isLink: found.isSymbolicLink() };
  }
  const found = deno[call](path);
  return { mtimeMs: found.mtime?.getTime() ?? 0, uid: found.uid, isLink: found.isSymlink };
}

function namesIn(path: string): string[] {
  return deno === undefined ? fs().readdirSync(path) : Array.from(deno.readDirSync(path), ({ name }) => name);
}

function isDirectory(path: string): boolean {
  return deno?.statSync(path).isDirectory ?? fs().statSync(path).isDirectory();
}

/** Makes a directory, if this process may: else whoever writes there is told. */
function makeDirectory(path: string): void {
  try {
    if (deno === undefined) fs().mkdirSync(path, { mode: 0o700 });
    else if (deno.permissions.querySync({ name: "write", path }).state === "granted") {
      deno.mkdirSync(path, { mode: 0o700 });
    }
  } catch { /* it is there by now, or the disk is read-only */ }
}

/** The `file:` URL of an absolute path. */
export function fileUrl(path: string): string {
  const [drive, slash] = /^[A-Za-z]:/.test(path) ? ["/", "/"] : ["", "\\"];
  return `file://${drive}${encodeURI(path.replaceAll("\\", slash)).replace(/[?#]/g, encodeURIComponent)}`;
}

function ifThere<Result>(path: string, look: (path: string) => Result): Result | undefined {
  try {
    return look(path);
  } catch (error) {
    const code = (error as { code?: string }).code;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    if (isForkstackError(error)) throw error;
    throw new ForkstackError("FILE_UNREADABLE", `Cannot read "${path}": ${code ?? "not permitted"}`, {
      cause: error,
      hint: "Check the file's permissions, and in Deno --allow-read",
    });
  }
}

/**
 * One line `NAME=value`. A plain value stands bare, so that Docker's `--env-file`, Make's `include` and systemd read it
 * too. Any other is quoted so that it reads back the same in the `--env-file` of Deno and Node, npm dotenv, Bun,
 * python-dotenv and a POSIX shell, where they agree on it; where they do not, in Deno and Node.
 *
 * @throws {ForkstackError} VALUE_UNWRITABLE for a NUL, a carriage return, U+FFFD, half a surrogate pair, or a newline, `#`,
 * `$` or outer space beside all three quotes.
 */
export function formatEnvLine(name: string, value: string): string {
  const has = (pattern: RegExp) => pattern.test(value);
  // Measured (tests/env_file_matrix_test.ts): plain values are read by all, and in single quotes all that know quotes
  // agree, but for a final backslash, which Bun and python-dotenv take to escape the quote. In double quotes $ and \n
  // differ, other bare values fail in a shell alone, and backticks there and in python-dotenv.
  if (has(PLAIN)) return `${name}=${value}`;
  if (!has(/[\0\r\ufffd]|\p{Cs}/u)) {
    const isBare = !has(/^\s|\s$|^['"`]|[\n#$]/);
    if (has(/^[\w.,:/@%+={}\\-]*\\$/)) return `${name}=${value}`;
    if (!has(/'/)) return `${name}='${value}'`;
    const isDouble = !has(/["$]|\\(?:[\\nr]|$)/);
    if (isDouble && !has(/`/)) return `${name}="${value}"`;
    if (isBare) return `${name}=${value}`;
    if (!has(/`/)) return `${name}=\`${value}\``;
    if (isDouble) return `${name}="${value}"`;
  }
  throw new ForkstackError("VALUE_UNWRITABLE", `Cannot write variable "${name}": no env file reader could hold it`, {
    hint: "Values must be free of NUL, carriage returns and U+FFFD, and of a newline or # or $ beside all three quotes",
  });
}

/** Values that need no quotes anywhere. */
const PLAIN = /^[\p{L}\p{M}\p{N}_.,:/@%+=?-]*$/u;

// Name, then the value in one of three quotes, which may span lines, or bare. One pattern reads and edits, so that an
// edit cannot see other variables than a reader does. Not node:util's parseEnv: Bun's takes \' for an escape, and
// Node's ends a value at \". Double quotes are tried twice: with escapes, if nothing follows, and else as Node does.
/**
 * One assignment in an env file: its name, the space before its value, then the value in single, double (whole, or
 * up to a quote that does not end it) or back quotes, or bare, and what follows on the line.
 */
export const ENV_ASSIGNMENT: RegExp =
  /(?<![^\r\n])[ \t]*(?:export[ \t]+)?([\w.-]+)[ \t]*=([ \t]*)(?:'([^']*)'|"([^"\\]*(?:\\[^][^"\\]*)*)"(?=[ \t\r]*(?:#[^\n]*)?(?![^\n]))|"([^"]*)"|`([^`]*)`|([^\n]*))([^\n]*)\n?/g;

/** A value in an env file, or the error that says where it can't be read whole. */
export type EnvValue = string | ForkstackError;

/** The values in the text of an env file, each whole or an error: for files with lines that are not asked for. */
export function readEnvFile(text: string, name = "an env file"): Map<string, EnvValue> {
  const lines = text.replace(/^\uFEFF/, "").replace(/\r\n?/g, "\n");
  return new Map(Array.from(lines.matchAll(ENV_ASSIGNMENT), (match) => [match[1], valueOf(match, name)]));
}

/**
 * The variables in the text of an env file, read as Node's `--env-file` does, and with `\"` in double quotes.
 *
 * @throws {ForkstackError} VALUE_UNREADABLE, naming line and column, for a value that would be read in part.
 */
export function parseEnvFile(text: string, name?: string): Record<string, string> {
  return Object.fromEntries(Array.from(readEnvFile(text, name), ([key, value]) => [key, whole(value)!]));
}

function whole(value: EnvValue | undefined): string | undefined {
  if (value instanceof ForkstackError) throw value;
  return value;
}

function textIn(file: ReadonlyMap<string, EnvValue>, name: string): string | undefined {
  const value = file.get(name);
  return typeof value === "string" ? value : undefined;
}

function valueOf(match: RegExpExecArray, file: string): EnvValue {
  const [all, name, space, single, double, cut, back, bare, rest] = match;
  const damaged = (part: string, state: string): ForkstackError => {
    const before = match.input.slice(0, match.index + all.trimEnd().length - part.trimEnd().length).split("\n");
    const at = `line ${before.length}, column ${before.at(-1)!.length + 1}`;
    return new ForkstackError("VALUE_UNREADABLE", `Cannot read variable "${name}" of ${file}: ${at}: ${state}`, {
      hint: "Put the whole value into single quotes, or into double ones if it has a single one",
    });
  };
  const sound = (value: string) =>
    value.includes("\ufffd") ? damaged(all.slice(all.indexOf("=") + 1), "it is not UTF-8") : value;
  if (bare !== undefined) {
    const text = space + bare;
    const hash = text.indexOf("#");
    if (/^['"`]/.test(bare)) return damaged(bare, "the quote is not closed");
    if (hash >= 0 && !/[ \t]/.test(text.charAt(hash - 1))) {
      return damaged(text.slice(hash), "some programs end the value at this #");
    }
    return sound((hash < 0 ? text : text.slice(0, hash)).replace(/^[ \t]+|[ \t]+$/g, ""));
  }
  const more = rest.replace(/^[ \t]+/, "");
  if (more !== "" && !more.startsWith("#")) return damaged(more, "text follows the closing quote");
  if (cut !== undefined) return damaged(`"${cut}"${rest}`, "the quote is not closed, since its last one is escaped");
  if (!double?.includes('\\"')) return sound(single ?? double?.replaceAll("\\n", "\n") ?? back);
  // Node ends the value at \", and all others take it for an escape; on these three they agree.
  if (/\\[^"\\n]/.test(double.replace(/\\[\\"]/g, ""))) {
    return damaged(`"${double}"${rest}`, "programs differ on its escapes");
  }
  return sound(double.replace(/\\([^])/g, (_, sign) => sign === "n" ? "\n" : sign));
}

/** The text of an env file with one variable set, added or (`null`) removed; all other lines stay. */
export function setEnvVariable(text: string, name: string, value: string | null): string {
  const line = value === null ? "" : `${formatEnvLine(name, value)}\n`;
  let found = false;
  const edited = text.replace(ENV_ASSIGNMENT, (assignment, key) => {
    if (key !== name) return assignment;
    const isSame = readEnvFile(assignment).get(name) === value;
    const kept = found ? "" : isSame ? assignment : line;
    found = true;
    return kept;
  });
  if (found || line === "") return edited;
  return `${edited}${edited === "" || edited.endsWith("\n") ? "" : "\n"}${line}`;
}

// ---- an env file that is shared with a person

/** forkstack's part of an env file: the lines between its two markers. All others are a person's. */
export interface EnvBlock {
  /** Offset of its first line, a marker. */
  readonly begin: number;
  /** Offset of what follows its last line, a marker. */
  readonly end: number;
  /** Lines between the markers. */
  readonly own: string;
  /** Directory that it was written for; absent in the format of 0.1.0, which has no markers. */
  readonly directory?: string;
}

const MARKER_LINE = /(?<![^\r\n])[ \t]*#[ \t]*(?:>>>|<<<)[ \t]*forkstack[^\r\n]*/g;
const FORMAT_0_1_0 = /^FORKSTACK_ENV='[^'\r\n]*'\r?\nFORKSTACK_PROJECT='[^'\r\n]*'(?:\r?\n|$)/;

/**
 * Finds forkstack's block in an env file's text, which begins after its byte order mark. The format of 0.1.0, where
 * forkstack wrote all lines up to `# yours, kept`, is found too.
 *
 * @throws {ForkstackError} ENV_CONFLICT, naming the line, if the markers are not one whole pair.
 */
export function findEnvBlock(text: string, name = ".env.local"): EnvBlock | undefined {
  const [first, last, more] = Array.from(text.matchAll(MARKER_LINE));
  if (first === undefined) {
    if (!FORMAT_0_1_0.test(text)) return undefined;
    const kept = /(?<=\n)# yours, kept\r?(?:\n|$)/.exec(text);
    const end = kept === null ? text.length : kept.index + kept[0].length;
    return { begin: 0, end, own: text.slice(0, kept?.index) };
  }
  const lineOf = (index: number) => text.slice(0, index).split("\n").length;
  const damaged = (marker: RegExpExecArray, state: string) =>
    new ForkstackError("ENV_CONFLICT", `Cannot use ${name}: line ${lineOf(marker.index)}, a marker, ${state}`, {
      hint: "Leave one pair of marker lines, or delete them and all between, then run `forkstack switch <env>`",
    });
  const values = Array.from(text.matchAll(ENV_ASSIGNMENT));
  for (const marker of [first, last, more]) {
    const around = marker && values.find((one) => one.index < marker.index && marker.index < one.index + one[0].length);
    if (around) throw damaged(marker, `is inside the value of ${around[1]} in line ${lineOf(around.index)}`);
  }
  const directory = directoryOf(first[0]);
  if (directory === undefined) throw damaged(first, "begins no block");
  if (last === undefined) throw damaged(first, "has no end marker below it");
  if (!/^# <<< forkstack[ \t]*$/.test(last[0])) throw damaged(last, "does not end the block before it");
  if (more !== undefined) throw damaged(more, "follows a block: there may be one");
  const inside = first.index + first[0].length;
  return {
    begin: first.index,
    end: last.index + last[0].length + /^(?:\r?\n)?/.exec(text.slice(last.index + last[0].length))![0].length,
    own: text.slice(inside + /^(?:\r?\n)?/.exec(text.slice(inside))![0].length, last.index),
    directory,
  };
}

/** What a block's first line says. */
function directoryOf(marker: string): string | undefined {
  try {
    const { directory } = JSON.parse(/^# >>> forkstack (\{.*\})[ \t]*$/.exec(marker)![1]);
    return typeof directory === "string" ? directory : undefined;
  } catch {
    return undefined;
  }
}

// ---- configuration

/** One resource of forkstack.json, as far as the runtime reads it. */
export interface Declared {
  /** Its kind, e.g. `"storage"`. */
  readonly kind: Kind;
  /** Its own name, e.g. `"uploads"`, where its kind is a map of named ones. */
  readonly name?: string;
  /** The provider, e.g. `"tigris"`. */
  readonly provider: string;
  /** The whole of its entry, `provider` included. */
  readonly options: Readonly<Record<string, unknown>>;
}

/** The stack of a project that names no provider: no account, no server, no dependency. */
export const EMBEDDED_STACK: Readonly<Partial<Record<Kind, string>>> = {
  database: "sqlite",
  storage: "local",
  secrets: "env-file",
  local: "directory",
};

const KINDS: readonly Kind[] = ["database", "storage", "secrets", "cache", "queue", "local"];

/**
 * The resources that the parsed text of a forkstack.json declares; the embedded stack if it names none.
 *
 * @throws {ForkstackError} CONFIG_INVALID if a kind is neither a provider nor a map of named ones.
 */
export function declaredResources(config: Readonly<Record<string, unknown>>): Declared[] {
  const named = KINDS.filter((kind) => config[kind] !== undefined);
  if (named.length === 0) {
    return Object.entries(EMBEDDED_STACK).map(([kind, provider]) => ({
      kind: kind as Kind,
      provider,
      options: kind === "local" ? { make: "first use" } : {}, // else each environment leaves a directory in the root
    }));
  }
  const declared = (kind: Kind, value: unknown, name?: string): Declared => {
    const options = value as Record<string, unknown> | null;
    if (typeof options?.provider !== "string") {
      throw new ForkstackError("CONFIG_INVALID", `Cannot use forkstack.json: "${kind}" names no provider`, {
        hint: `Write {"provider": "..."}, or a map of those by name`,
      });
    }
    return { kind, ...(name === undefined ? {} : { name }), provider: options.provider, options };
  };
  return named.flatMap((kind) => {
    const value = config[kind] as Record<string, unknown> | null;
    const isOne = typeof value !== "object" || value === null || typeof value.provider === "string";
    if (isOne) return [declared(kind, value)];
    return Object.entries(value).map(([name, one]) => declared(kind, one, name));
  });
}

/** Env files that forkstack.json may name: `.env`, `.env.production`, `shop.env`; in a directory that is not hidden too. */
export const ENV_FILE_PATTERN: RegExp = /^(?:[\w@-][\w.@-]*\/)*(?:\.env(?:\.[\w.-]+)?|\w[\w.-]*\.env)$/;

/**
 * The env file that holds forkstack's block, as a path in the project; `undefined` for `"envFile": false`.
 *
 * @throws {ForkstackError} CONFIG_INVALID if it is no name of an env file in the project.
 */
export function envFileOf(config: Readonly<Record<string, unknown>>): string | undefined {
  const { envFile = ".env.local" } = config;
  if (envFile === false) return undefined;
  if (typeof envFile === "string" && ENV_FILE_PATTERN.test(envFile)) return envFile;
  throw new ForkstackError("CONFIG_INVALID", 'Cannot use forkstack.json: "envFile" names no env file of the project', {
    hint: 'Write a name like ".env", or false for none',
  });
}

// ---- the runtime

/** How an application reaches its bucket; what the provider does not use is absent. */
export interface StorageConfig {
  /** The bucket's name, e.g. `"myapp-bucket-alice"`. */
  readonly bucket: string;
  /** The S3 endpoint, e.g. `"https://t3.storage.dev"`. */
  readonly endpoint?: string;
  /** The S3 region, e.g. `"auto"`. */
  readonly region?: string;
  /** The access key made for this environment. */
  readonly accessKeyId?: string;
  /** Its secret half. */
  readonly secretAccessKey?: string;
  /** Of keys that expire. */
  readonly sessionToken?: string;
  /** The bucket's directory, where the provider is `local`. */
  readonly path?: string;
}

const STORAGE_VARIABLES: Readonly<Record<Exclude<keyof StorageConfig, "bucket">, string>> = {
  endpoint: "AWS_ENDPOINT_URL_S3",
  region: "AWS_REGION",
  accessKeyId: "AWS_ACCESS_KEY_ID",
  secretAccessKey: "AWS_SECRET_ACCESS_KEY",
  sessionToken: "AWS_SESSION_TOKEN",
  path: "BUCKET_PATH",
};

/** Reads one variable of the process environment; `undefined` where it is unset. */
export type ReadVariable = (name: string) => string | undefined;

/** What `openStack` starts from. */
export interface OpenOptions {
  /** Where forkstack.json is looked for, upwards. @default {process.cwd()} */
  readonly cwd?: string;
  /** The process environment. @default {process.env, one variable at a time} */
  readonly read?: ReadVariable;
}

/** Of a variable that the process may not read; unset is another thing. */
const DENIED = Symbol("denied");

/** Variables that a resource of a kind gives, without its prefix. */
const GIVEN: Readonly<Record<Kind, RegExp>> = {
  database: /^DATABASE_(URL|PATH|AUTH_TOKEN)$/,
  storage: /^(BUCKET_(NAME|PATH)|AWS_[A-Z0-9_]+)$/,
  secrets: /^SECRETS_FILE$/,
  cache: /^(CACHE|REDIS)_URL$/,
  queue: /^QUEUE_(URL|PREFIX)$/,
  local: /^LOCAL_PATH$/,
};

/**
 * Variables of embedded providers that follow from forkstack.json and the place of the state alone, such as
 * `DATABASE_URL` and `LOCAL_PATH`. A file that says otherwise is stale.
 *
 * @param state See `stateRoot`.
 */
export function derivedVariables(
  config: Readonly<Record<string, unknown>> & { readonly project: string },
  state: string,
  env: string,
): Record<string, string> {
  const all: Record<string, string> = {};
  for (const { kind, name, provider } of declaredResources(config)) {
    if (EMBEDDED_STACK[kind] !== provider) continue;
    const title = resourceTitle(kind, config.project, env, name);
    const path = embeddedPath(kind, state, title);
    const own = {
      database: { DATABASE_URL: fileUrl(path), DATABASE_PATH: path },
      storage: { BUCKET_NAME: title, BUCKET_PATH: path },
      secrets: { SECRETS_FILE: path },
      local: { LOCAL_PATH: path },
    }[kind as "database"];
    for (const [variable, value] of Object.entries(own)) all[variablePrefix(name) + variable] = value;
  }
  return all;
}

// ---- the guard

/** Environment and project that a file or a process names. */
export interface Said {
  /** Its `FORKSTACK_ENV`. */
  readonly env?: string;
  /** Its `FORKSTACK_PROJECT`. */
  readonly project?: string;
}

/** Facts of a checkout and its process, from which the environment is decided. */
export interface Facts {
  /** The process's `FORKSTACK_ENV`, `ENV`, `FORKSTACK_PROJECT`, and the environment that its `FORKSTACK_RUN` vouches for. */
  readonly process?: Said & { readonly deployment?: string; readonly run?: string };
  /** Project of forkstack.json. */
  readonly project?: string;
  /** Text of `.current-env`. */
  readonly pointer?: string;
  /** The pointer was written for another directory, which still holds it and has the same state. */
  readonly isPointerCopied?: boolean;
  /** The checkout is a linked git worktree. */
  readonly isLinkedWorktree?: boolean;
  /** Name of the env file in an error. @default {".env.local"} */
  readonly envFile?: string;
  /** forkstack's block in the env file. */
  readonly block?: Said;
  /** `FORKSTACK_ENV` and `ENV` in a person's lines of the env file. */
  readonly person?: { readonly env?: string; readonly deployment?: string };
  /** There is a registry, or a file of any environment. */
  readonly hasState?: boolean;
  /** The environment's own file under `.forkstack/envs/`. */
  readonly file?: Said;
}

/** Candidates for one value, from which it is decided; empty text counts as none. */
export interface Candidates {
  /** The process environment. */
  readonly process?: string;
  /** `FORKSTACK_RUN` names the variable. */
  readonly isVouched?: boolean;
  /** The environment's own file. */
  readonly file?: EnvValue;
  /** forkstack's block in the env file, whosever it is. */
  readonly block?: EnvValue;
  /** As it follows from forkstack.json and the place of the state. */
  readonly derived?: string;
  /** It is a place of an embedded provider, so that a file that says otherwise is stale. */
  readonly isPlace?: boolean;
  /** The secrets provider. */
  readonly provided?: string;
  /** A person's line of the env file, for a key that no resource gives. */
  readonly person?: EnvValue;
}

/** The current environment, and its source. */
export interface Decision {
  /** E.g. `"alice"`; absent where nothing decides: in a linked git worktree there is no default. */
  readonly env?: string;
  /** Its source. */
  readonly decidedBy: "FORKSTACK_ENV" | "ENV" | ".current-env" | "default" | "nothing";
}

/**
 * Finds the environment that the facts name, before `guard` has looked at what contradicts it.
 *
 * @throws {ForkstackError} NAME_INVALID
 */
export function decide({ process = {}, pointer, isLinkedWorktree }: Facts): Decision {
  const { env, deployment } = process;
  const said = [["FORKSTACK_ENV", env], ["ENV", deploymentOf(deployment)], [".current-env", pointer?.trim()]] as const;
  const [decidedBy, name] = said.find(([, value]) => value !== undefined) ?? [];
  if (decidedBy !== undefined) return { env: parseEnvName(name!, decidedBy), decidedBy };
  return isLinkedWorktree ? { decidedBy: "nothing" } : { env: "dev", decidedBy: "default" };
}

/** A value of the current environment and where it comes from; both absent where nothing gives one. */
export interface Guarded {
  /** E.g. `"alice"`. */
  readonly env: string;
  /** The value, or the error that says why it can't be read whole. */
  readonly value?: EnvValue;
  /** Its source. */
  readonly from?: "process" | "file" | "derived" | "provider" | "person";
}

/**
 * The guard: from what is known, the current environment and its value of a variable, or an error; never another
 * environment's. It reads nothing. docs/environments.md has the table of its answers.
 *
 * @param variable What to call it in an error; without it only the environment is asked for.
 * @throws {ForkstackError} NAME_INVALID, ENV_UNSET, ENV_UNKNOWN, ENV_CONFLICT
 */
export function guard(facts: Facts, variable?: string, candidates: Candidates = {}): Guarded {
  const { env, isRun, isNamed, isBlockLoaded, isFileLoaded } = assertCertain(facts);
  const { process: inProcess, file, block, derived, isPlace, provided, person } = candidates;
  const given = [
    ["file", isPlace ? undefined : file],
    ["derived", derived],
    ["provider", provided],
    ["person", person],
  ] as const;
  const [from, value] = given.find(([, value]) => value !== undefined) ?? [];
  const truth: Guarded = from === undefined ? { env } : { env, value: value!, from };
  if (inProcess === undefined) return truth;
  const ofProcess: Guarded = { env, value: inProcess, from: "process" };
  if (isRun && candidates.isVouched) return ofProcess;
  const isOwnBlock = facts.block?.env === env;
  if (isNamed && !isRun && !isBlockLoaded && !facts.hasState) { // a deployment
    if (facts.block === undefined || isOwnBlock || block !== inProcess) return ofProcess;
  } else {
    const own = [value, file, isOwnBlock ? block : undefined];
    if (own.some((one) => one === inProcess || (isFileLoaded && isChanged(one, inProcess)))) return truth;
  }
  const state = "the process environment holds a different value";
  const hint = `Unset ${variable}; in a deployment, leave .forkstack and ${facts.envFile ?? ".env.local"} out of it`;
  throw guardError("ENV_CONFLICT", facts, `read ${variable}`, { state, hint });
}

/** An environment that nothing contradicts, and how the process came by it. */
interface Certain {
  readonly env: string;
  /** By `forkstack run`, which has looked. */
  readonly isRun: boolean;
  /** By a variable. */
  readonly isNamed: boolean;
  /** By a file that was loaded before the start: forkstack's block in the env file, or that or a person's line. */
  readonly isBlockLoaded: boolean;
  readonly isFileLoaded: boolean;
}

function assertCertain(facts: Facts): Certain {
  const { env, decidedBy } = decide(facts);
  const { process = {}, project, envFile = ".env.local", block, file, person } = facts;
  const pointer = facts.pointer?.trim();
  const isRun = env !== undefined && process.run === env;
  const isNamed = decidedBy === "FORKSTACK_ENV" || decidedBy === "ENV";
  const isByFile = (named: Said | undefined) => !isRun && decidedBy === "FORKSTACK_ENV" && named?.env === env;
  const isBlockLoaded = isByFile(block) && process.project !== undefined;
  const isFileLoaded = isBlockLoaded || isByFile(person);
  const doubt = (state: string, command = "forkstack switch <env>") =>
    guardError("ENV_CONFLICT", facts, "use the variables", { state, hint: `Make them agree with \`${command}\`` });

  if (isNamed && project !== undefined && process.project !== undefined && process.project !== project) {
    throw doubt(`the process environment is that of project "${process.project}"`, "unset FORKSTACK_PROJECT");
  }
  const isOurs = (said: Said) => said.env === env && (project === undefined || said.project === project);
  const whose = (said: Said) => `says environment "${said.env ?? ""}" of project "${said.project ?? ""}"`;
  if (file !== undefined && !isOurs(file)) throw doubt(`their file ${whose(file)}`);
  if (!isRun && (!isNamed || isFileLoaded)) {
    if (facts.isPointerCopied) throw doubt("the pointer is of another directory, which is on it too");
    if (pointer === undefined && block !== undefined) {
      throw doubt(`${envFile} has a block of "${block.env}", and there is no .current-env`);
    }
    if (block !== undefined && block.env === env && !isOurs(block)) {
      throw doubt(`the block in ${envFile} ${whose(block)}`);
    }
  }
  if (isFileLoaded) {
    // Whoever loads a stale .env.local before the start brings the FORKSTACK_ENV that decides.
    const chosen = process.deployment !== person?.deployment ? deploymentOf(process.deployment) : undefined;
    const said = chosen ?? pointer;
    if (said !== undefined && (ALIASES.get(said) ?? said) !== env) {
      const says = `${chosen === undefined ? ".current-env" : "ENV"} says ${JSON.stringify(said.slice(0, 40))}`;
      throw doubt(`${envFile}, loaded into the process, is of "${env}", but ${says}`);
    }
  }
  if (env === undefined) {
    const hint = "Point it to an environment with `forkstack switch <env>`, or make one with `forkstack new <env>`";
    throw guardError("ENV_UNSET", facts, "use an environment", { state: "this git worktree points to none", hint });
  }
  const isBase = env === "dev" || env === "prod";
  if (!isBase && !isRun && file === undefined && (!isNamed || isFileLoaded || facts.hasState)) {
    const hint = `Make it with \`forkstack new ${env}\`, or point to another with \`forkstack switch <env>\``;
    const state = "it was never made here, or was deleted";
    throw guardError("ENV_UNKNOWN", facts, "use the variables", { state, hint });
  }
  return { env, isRun, isNamed, isBlockLoaded, isFileLoaded };
}

function guardError(
  code: string,
  facts: Facts,
  what: string,
  { state, hint, cause }: { readonly state: string; readonly hint: string; readonly cause?: unknown },
): ForkstackError {
  const { env, decidedBy } = decide(facts);
  const whose = env === undefined ? "" : ` of environment "${env}" (decided by ${decidedBy})`;
  const details = env === undefined ? {} : { env };
  return new ForkstackError(code, `Cannot ${what}${whose}: ${state}`, { hint, cause, details });
}

/** Whether the process may have it from a file that Bun read: with what follows `$` or an escape expanded. */
function isChanged(written: EnvValue | undefined, inProcess: string): boolean {
  if (typeof written !== "string") return written !== undefined;
  const at = written.search(/[$\\'`]/);
  return at >= 0 && inProcess.replace(/^['"`]/, "").startsWith(written.slice(0, at)); // it may keep the quote, too
}

/** Values in files, of one environment and of a person. */
interface Written {
  /** The environment's own file. */
  readonly own: ReadonlyMap<string, EnvValue>;
  /** forkstack's block in the env file. */
  readonly block: ReadonlyMap<string, EnvValue>;
  /** A person's own lines of the env file: of no environment, and so for keys that none gives. */
  readonly person: ReadonlyMap<string, EnvValue>;
  readonly facts: Facts;
}

/** One environment's values; see the functions of the same names, which use the process's own. */
export class Stack {
  /** The source that decided which environment is current; `"nothing"` in a linked git worktree without a pointer. */
  readonly decidedBy: Decision["decidedBy"];
  /** The directory of `.current-env`: that of forkstack.json, or in a linked git worktree its like. */
  readonly root: string | undefined;
  readonly #cwd: string;
  #stateRoot: string | undefined;
  readonly #env: string | undefined;
  readonly #config: (Readonly<Record<string, unknown>> & { readonly project: string }) | undefined;
  readonly #read: (name: string) => string | undefined | typeof DENIED;
  readonly #known: Map<string, string | undefined> = new Map();
  readonly #storage: Map<string | undefined, StorageConfig> = new Map();
  /** Facts that are known without the files of variables. */
  readonly #facts: Facts;
  #isStateHere: boolean | undefined;
  #current: string | undefined;
  #written: Written | undefined;
  #derived: Readonly<Record<string, string>> | undefined;
  readonly #localPaths: Set<string> = new Set();
  #secrets: Promise<ReadonlyMap<string, string>> | undefined;
  readonly #answered: Map<string, string> = new Map();
  #freshUntilMs = 0;

  /** Use `openStack()`. */
  constructor(options: OpenOptions = {}) {
    const cwd = this.#cwd = (options.cwd ?? cwdOf()).replace(/(.)[\\/]+$/, "$1");
    const read = options.read ?? ((name: string) => deno === undefined ? process.env[name] : deno.env.get(name));
    this.#read = (name) => {
      try {
        const value = read(name) as unknown; // in Node, that of "toString" is a function
        return typeof value === "string" ? value : undefined;
      } catch (error) {
        if (/^(NotCapable|PermissionDenied)$/.test((error as Error).name)) return DENIED;
        throw error;
      }
    };
    const said = (name: string) => {
      const value = this.#read(name);
      return value === DENIED ? undefined : value;
    };
    const [env, deployment, project] = [said("FORKSTACK_ENV"), said("ENV"), said("FORKSTACK_PROJECT") || undefined];
    const isNamed = env !== undefined || deploymentOf(deployment) !== undefined;
    let place: ProjectPlace | undefined;
    try {
      place = findProject(cwd);
    } catch (error) {
      if (!isNamed) throw error; // a deployment needs no files: its process environment holds it all
    }
    this.root = place?.root;
    const configRoot = place?.configRoot;
    if (configRoot !== undefined && configRoot !== cwd) assertOwned(join(configRoot, "forkstack.json"), cwd);
    this.#config = configRoot === undefined ? undefined : readConfig(join(configRoot, "forkstack.json"));
    const pointer = this.#text(".current-env");
    const isUnreadable = this.#read("FORKSTACK_ENV") === DENIED || this.#read("ENV") === DENIED;
    if (!isNamed && pointer === undefined && isUnreadable) {
      const message = "Cannot tell the current environment: FORKSTACK_ENV and ENV are not readable";
      throw new ForkstackError("ENV_UNREADABLE", message, { hint: "Grant --allow-env=FORKSTACK_ENV,ENV" });
    }
    const run = said("FORKSTACK_RUN")?.split(" ")[0];
    this.#facts = {
      process: { env, deployment, project, run },
      project: this.#config?.project,
      pointer,
      isLinkedWorktree: place?.isLinkedWorktree,
    };
    ({ env: this.#env, decidedBy: this.decidedBy } = decide(this.#facts));
  }

  /**
   * The current environment, e.g. `"alice"`, before the guard has looked at it; see `current()`.
   *
   * @throws {ForkstackError} ENV_UNSET in a linked git worktree without a pointer.
   */
  get env(): string {
    return this.#env ?? this.current();
  }

  /** The current environment, once the guard agrees; see `getCurrentEnv`. */
  current(): string {
    return this.#current ??= guard(this.#load().facts).env;
  }

  /** The project's name. */
  get project(): string {
    const name = this.#project;
    if (name !== undefined) return name;
    throw new ForkstackError("CONFIG_MISSING", "Cannot name the project: no forkstack.json was found", {
      hint: 'Create forkstack.json with {"project": "myapp"}, or set FORKSTACK_PROJECT',
    });
  }

  get #project(): string | undefined {
    return this.#config?.project ?? this.#facts.process?.project ?? textIn(this.#load().own, "FORKSTACK_PROJECT");
  }

  /** The directory that holds `.forkstack/`; `undefined` without a project directory. */
  get stateRoot(): string | undefined {
    return this.root === undefined ? undefined : this.#stateRoot ??= this.#stateOf(this.root);
  }

  /** Directory of a checkout's state: the user's choice holds for all checkouts. */
  #stateOf(root: string): string {
    return chosenState(this.#variable("FORKSTACK_STATE"), [this.root!, this.#cwd]) ?? stateRoot(root);
  }

  /** The one resource of a kind that is meant, or an error that names the choices. */
  resource(kind: Kind, name?: string): Declared | undefined {
    if (this.#config === undefined) return name === undefined ? undefined : { kind, name, provider: "", options: {} };
    const all = declaredResources(this.#config).filter((one) => one.kind === kind);
    const choices = all.map((one) => `"${one.name}"`).join(", ");
    if (name === undefined) {
      if (all.length <= 1) return all[0];
      throw new RangeError(`There is more than one ${kind}: name one of ${choices}`);
    }
    const found = all.find((one) => one.name === name);
    if (found === undefined) throw new RangeError(`forkstack.json has no ${kind} "${name}", but ${choices || "none"}`);
    return found;
  }

  /**
   * A variable of one resource, e.g. `BUCKET_NAME` of `uploads` is `UPLOADS_BUCKET_NAME`.
   *
   * @throws {ForkstackError} VALUE_MISSING if nothing gives a value.
   * @throws {ForkstackError} ENV_UNSET, ENV_UNKNOWN, ENV_CONFLICT as `guard` does.
   */
  of(kind: Kind, variable: string, name?: string): string {
    const value = this.optionalOf(kind, variable, name);
    if (value !== undefined) return value;
    const full = `${variablePrefix(this.resource(kind, name)?.name)}${variable}`;
    const { env } = this;
    throw this.#error(
      "VALUE_MISSING",
      `read ${full}`,
      "nothing gives a value",
      (this.#read(full) === DENIED ? `Grant --allow-env=${full}, or make` : "Make") +
        ` the environment with \`forkstack new ${env}\`, point to it with \`forkstack switch <env>\`, or in a ` +
        "deployment set the variable beside FORKSTACK_ENV",
    );
  }

  /** Like `of`, but `undefined` where nothing gives a value. */
  optionalOf(kind: Kind, variable: string, name?: string): string | undefined {
    const key = name === undefined ? variable : `${name} ${variable}`;
    const known = this.#known.get(key);
    if (known !== undefined || this.#known.has(key)) return known;
    const one = this.resource(kind, name);
    const value = this.#find(`${variablePrefix(one?.name)}${variable}`);
    this.#known.set(key, value);
    return value;
  }

  /** How to reach a bucket; see `getStorageConfig`. */
  storage(name?: string): StorageConfig {
    const known = this.#storage.get(name);
    if (known !== undefined) return known;
    const config: Record<string, string> = { bucket: this.of("storage", "BUCKET_NAME", name) };
    for (const [key, variable] of Object.entries(STORAGE_VARIABLES)) {
      const value = this.optionalOf("storage", variable, name);
      if (value !== undefined) config[key] = value;
    }
    const frozen = Object.freeze(config as unknown as StorageConfig);
    this.#storage.set(name, frozen);
    return frozen;
  }

  /** The directory for databases that live in files; see `getLocalPath`. */
  localPath(name?: string): string {
    const path = this.of("local", "LOCAL_PATH", name);
    if (this.#localPaths.has(path)) return path;
    const isOurs = path === this.#places[`${variablePrefix(this.resource("local", name)?.name)}LOCAL_PATH`];
    if (isOurs && ifThere(path, stat) === undefined) makeDirectory(path);
    this.#localPaths.add(path);
    return path;
  }

  /** One secret; see `getSecret`. */
  async secret(key: string, fallback?: string): Promise<string> {
    this.#forgetOld();
    const known = this.#answered.get(key);
    if (known !== undefined) return known;
    this.current(); // first: the secrets of an environment in doubt are asked of nobody
    const isThere = this.#load().own.has(key) || this.#isOfProcess(key);
    const provided = isThere ? undefined : (await this.#provided()).get(key);
    const value = this.#find(key, provided) || fallback; // an empty one counts as unset, as a variable does
    if (value === undefined) {
      const hint = `Set it with \`forkstack secrets set ${key}\`, or pass a default`;
      throw this.#error("SECRET_MISSING", `read secret "${key}"`, "it is not set", hint);
    }
    if (value !== fallback) this.#answered.set(key, value);
    return value;
  }

  /** All secrets of this environment; see `getAllSecrets`. */
  async secrets(): Promise<Record<string, string>> {
    this.#forgetOld();
    this.current();
    const all = Array.from(await this.#provided(), ([key, value]) => [key, this.#find(key, value)!]);
    return Object.fromEntries(all);
  }

  /** Sets one secret; see `setSecret`. */
  async setSecret(key: string, value: string): Promise<void> {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(key)) {
      throw new RangeError(`A secret's key must be like "API_KEY", not "${key}"`);
    }
    this.current();
    await (await this.#secretsSource()).write({ [key]: value });
    this.#freshUntilMs = 0;
  }

  #forgetOld(): void {
    const now = performance.now();
    if (now < this.#freshUntilMs) return;
    this.#freshUntilMs = now + SECRETS_MAX_AGE_MS;
    this.#answered.clear();
    this.#secrets = undefined;
  }

  /** Whether the guard takes a value of the process without asking for another. */
  #isOfProcess(variable: string): boolean {
    const inProcess = this.#variable(variable);
    if (inProcess === undefined) return false;
    try {
      return this.#guarded(variable).from === "process";
    } catch {
      return false; // it may agree with the provider's
    }
  }

  #find(variable: string, provided?: string): string | undefined {
    const { value, from } = this.#guarded(variable, provided);
    const place = this.#places[variable.replace(/DATABASE_URL$/, "DATABASE_PATH")];
    if (from === "derived" && place !== undefined) this.#own(place);
    return whole(value);
  }

  #guarded(variable: string, provided?: string): Guarded {
    const { own, block, person, facts } = this.#load();
    const place = this.#places[variable];
    return guard(facts, variable, {
      process: this.#variable(variable),
      isVouched: this.#variable("FORKSTACK_RUN")?.split(" ").includes(variable, 1),
      file: own.get(variable),
      block: block.get(variable),
      derived: place ?? this.#bucketName(variable),
      isPlace: place !== undefined,
      provided,
      person: this.#isGiven(variable) ? undefined : person.get(variable),
    });
  }

  /** Reads what is written of this environment, and the facts that follow. */
  #load(): Written {
    if (this.#written !== undefined) return this.#written;
    const envFile = envFileOf(this.#config ?? {});
    const text = envFile === undefined ? "" : this.#text(envFile) ?? "";
    const found = findEnvBlock(text, envFile);
    const { begin, end, own: lines, directory } = found ?? { begin: 0, end: 0, own: "" };
    // Without the other's lines but with their ends, so that an error names the line in the file.
    const blank = (from: number, to: number) => text.slice(from, to).replace(/[^\r\n]+/g, "");
    const block = readEnvFile(blank(0, text.indexOf(lines, begin)) + lines, envFile);
    const person = readEnvFile(text.slice(0, begin) + blank(begin, end) + text.slice(end), envFile);
    const path = this.root === undefined || this.#env === undefined ? undefined : this.#keptPath(`${this.#env}.env`);
    const kept = path === undefined ? undefined : readText(path);
    const own = readEnvFile(kept ?? "", `"${path}"`);
    const saidBy = (file: ReadonlyMap<string, EnvValue>): Said => ({
      env: textIn(file, "FORKSTACK_ENV"),
      project: textIn(file, "FORKSTACK_PROJECT"),
    });
    const isStateHere = () => this.#isStateHere ??= kept !== undefined || this.#hasState();
    const facts: Facts = {
      ...this.#facts,
      envFile,
      ...(found === undefined ? {} : { block: saidBy(block) }),
      ...(kept === undefined ? {} : { file: saidBy(own) }),
      person: { env: textIn(person, "FORKSTACK_ENV"), deployment: textIn(person, "ENV") },
      get hasState() {
        return isStateHere(); // asked for where it decides: it may have to list thousands of files
      },
      isPointerCopied: directory !== undefined && this.#facts.pointer !== undefined &&
        this.#isCopied(directory, isStateHere),
    };
    return this.#written = { own, block, person, facts };
  }

  #hasState(): boolean {
    if (this.root === undefined) return false;
    if (ifThere(this.#own(join(this.stateRoot!, ".forkstack", "registry.db")), stat) !== undefined) return true;
    return ifThere(this.#keptPath(""), namesIn)?.some((name) => name.endsWith(".env")) === true;
  }

  /** Whether the pointer was written for a directory that still has it, and that shares its state with this one. */
  #isCopied(from: string, isStateHere: () => boolean): boolean {
    const { root, stateRoot: state } = this;
    if (from === root) return false;
    const hasState = isStateHere();
    try {
      // Asking would prompt.
      const isGranted = deno?.permissions.querySync({ name: "read", path: from }).state ?? "granted";
      if (isGranted !== "granted") return state !== root;
      if (isSamePlace(from, root!)) return false;
      if (hasState && !isSamePlace(this.#stateOf(from), state!)) return false; // its state came along
      return ifThere(join(from, ".current-env"), lstat) !== undefined; // else moved, or mounted elsewhere
    } catch {
      return state !== root; // another user's: state in this directory is no other's
    }
  }

  /** Whether a resource gives a variable, so that a person's own line is none of it. */
  #isGiven(key: string): boolean {
    return declaredResources(this.#config ?? {}).some(({ kind, name }) => {
      const prefix = variablePrefix(name);
      return key.startsWith(prefix) && GIVEN[kind].test(key.slice(prefix.length));
    });
  }

  #keptPath(file: string): string {
    return this.#own(join(this.stateRoot!, ".forkstack", "envs", file));
  }

  /** The path of state, once it is this checkout's and this user's. */
  #own(path: string): string {
    assertState(this.stateRoot!, path, this.#cwd);
    return path;
  }

  /** The text of a pointer. A link may lead to another checkout's, so that `.current-env` is none. */
  #text(file: string): string | undefined {
    if (this.root === undefined) return undefined;
    const path = join(this.root, file);
    assertOwned(path, this.#cwd, file !== ".current-env");
    return readText(path);
  }

  #variable(name: string): string | undefined {
    const value = this.#read(name);
    return value === DENIED || value === "" ? undefined : value;
  }

  /** Places of embedded providers. */
  get #places(): Readonly<Record<string, string>> {
    if (this.#derived !== undefined) return this.#derived;
    const { stateRoot: state } = this;
    return this.#derived = state === undefined || this.#config === undefined
      ? {}
      : Object.assign(Object.create(null), derivedVariables(this.#config, state, this.env));
  }

  /** The name of a vendor's bucket, which needs nobody's answer. */
  #bucketName(variable: string): string | undefined {
    const prefix = /^(.+_)?BUCKET_NAME$/.exec(variable)?.[1] ?? "";
    const config = this.#config ??
      { storage: { [prefix.slice(0, -1).toLowerCase().replaceAll("_", "-")]: { provider: "" } } };
    const project = variable === `${prefix}BUCKET_NAME` ? this.#project : undefined;
    const one = project && declaredResources(config)
      .find(({ kind, name }) => kind === "storage" && variablePrefix(name || undefined) === prefix);
    return one && resourceTitle("storage", project, this.env, one.name || undefined);
  }

  #provided(): Promise<ReadonlyMap<string, string>> {
    return this.#secrets ??= this.#secretsSource().then((source) => source.all()).then(
      (all) => new Map(Object.entries(all)),
      (error) => {
        this.#secrets = undefined; // the next call asks again
        throw error;
      },
    );
  }

  async #secretsSource(): Promise<SecretsSource> {
    const one = this.resource("secrets");
    if (one === undefined) return NO_SECRETS;
    if (one.provider === "env-file") return envFileSecrets(this.of("secrets", "SECRETS_FILE"));
    // Beside this file in a checkout, a package and on a URL's origin; a lone copy has no providers.
    const file = `./providers/secrets/runtime/${one.provider}${/\.js([?#]|$)/.test(import.meta.url) ? ".js" : ".ts"}`;
    let module: { openSecrets(request: SecretsRequest): SecretsSource | Promise<SecretsSource> };
    try {
      if (!/^[a-z0-9-]+$/.test(one.provider)) throw new RangeError("Only a built-in provider can be loaded here");
      module = await import(new URL(file, import.meta.url).href);
    } catch (error) {
      const hint = "Import forkstack from its URL or package, or set the secrets in the process";
      const state = `provider "${one.provider}" cannot be loaded`;
      throw this.#error("PROVIDER_MISSING", "read the secrets", state, hint, error);
    }
    return module.openSecrets({
      env: this.env,
      project: this.project,
      title: resourceTitle("secrets", this.project, this.env, one.name),
      options: one.options,
      read: (name) => this.#find(`${variablePrefix(one.name)}${name}`),
      credential: (name) => this.#variable(name),
    });
  }

  #error(code: string, what: string, state: string, hint: string, cause?: unknown): ForkstackError {
    return guardError(code, this.#facts, what, { state, hint, cause });
  }
}

/** What a secrets provider is asked with. */
export interface SecretsRequest {
  /** The environment, e.g. `"alice"`. */
  readonly env: string;
  /** The project's name. */
  readonly project: string;
  /** See `resourceTitle`. */
  readonly title: string;
  /** The resource's entry in forkstack.json. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Reads a variable of the environment, under the guard, e.g. `DOPPLER_CONFIG`. */
  readonly read: ReadVariable;
  /** Reads the process environment alone. */
  readonly credential: ReadVariable;
}

/** Where secrets come from; `openSecrets(request)` of `providers/secrets/runtime/<provider>.ts` makes one. */
export interface SecretsSource {
  /** Every secret of the environment. */
  all(): Promise<Record<string, string>>;
  /** Sets those, and removes those that are `null`. */
  write(changes: Readonly<Record<string, string | null>>): Promise<void>;
}

/** After this long the provider is asked again. */
const SECRETS_MAX_AGE_MS = 300_000;

const NO_SECRETS: SecretsSource = {
  all: () => Promise.resolve({}),
  write: () =>
    Promise.reject(
      new ForkstackError("CONFIG_MISSING", "Cannot set a secret: no forkstack.json declares where", {
        hint: 'Add "secrets": {"provider": "env-file"} to forkstack.json',
      }),
    ),
};

/** Before a value, percent-encoded, that an env file can't hold as it is. */
const ENCODED = "forkstack-uri:";

/** The secrets in an env file's text; their values may hold anything. */
export function parseSecretsFile(text: string, name?: string): Record<string, string> {
  const plain = (value: string) => value.startsWith(ENCODED) ? decodeURIComponent(value.slice(ENCODED.length)) : value;
  return Object.fromEntries(Object.entries(parseEnvFile(text, name)).map(([key, value]) => [key, plain(value)]));
}

/** The text with some secrets set or removed; comments, order and all other lines stay. */
export function editSecretsFile(text: string, changes: Readonly<Record<string, string | null>>): string {
  for (const [key, value] of Object.entries(changes)) {
    try {
      if (value?.startsWith(ENCODED)) throw new RangeError();
      text = setEnvVariable(text, key, value);
    } catch (error) {
      if (/\p{Cs}/u.test(value!)) throw error;
      text = setEnvVariable(text, key, ENCODED + encodeURIComponent(value!));
    }
  }
  return text;
}

/** The secrets in one file, locked while it is changed. */
export function envFileSecrets(path: string): SecretsSource {
  return {
    all: () => Promise.resolve(parseSecretsFile(readText(path) ?? "", `"${path}"`)),
    async write(changes) {
      const { mkdirSync, renameSync, rmSync, writeFileSync } = fs();
      const made = mkdirSync(parentOf(path), { recursive: true, mode: 0o700 });
      if (made?.endsWith(".forkstack")) createFile(join(made, ".gitignore"), "*\n");
      await exclusively(path, (isOurs) => {
        const temporary = `${path}.forkstack-${crypto.randomUUID().slice(0, 8)}`; // the command line sweeps such names
        try {
          const text = editSecretsFile(readText(path) ?? "", changes);
          writeFileSync(temporary, text, { mode: 0o600, flag: "wx" });
          if (!isOurs()) throw lockLost(path);
          renameSync(temporary, path);
        } finally {
          rmSync(temporary, { force: true });
        }
      });
    },
  };
}

const LOCK_STALE_MS = 10_000; // one is held for a few file operations
const LOCK_WAIT_MS = 15_000;

/** Runs `work` while no other process does for the same path; takes over the lock of one that died. */
async function exclusively(path: string, work: (isOurs: () => boolean) => void): Promise<void> {
  const lock = `${path}.lock`;
  const token = crypto.randomUUID();
  const isOurs = () => readText(lock) === token;
  const isStale = () => (ifThere(lock, stat)?.mtimeMs ?? Infinity) < Date.now() - LOCK_STALE_MS;
  for (const deadline = Date.now() + LOCK_WAIT_MS; !createFile(lock, token);) {
    // Under a lock of its own, so that nobody removes the fresh lock of whoever was quicker.
    if (isStale()) await exclusively(lock, () => isStale() && fs().rmSync(lock));
    else if (Date.now() > deadline) throw lockLost(path);
    else await new Promise((resolve) => setTimeout(resolve, 2 + Math.random() * 10));
  }
  try {
    work(isOurs);
  } finally {
    if (isOurs()) fs().rmSync(lock, { force: true });
  }
}

function lockLost(path: string): ForkstackError {
  return new ForkstackError("SECRETS_LOCKED", `Cannot write "${path}": another process holds its lock`, {
    hint: `Try again; if nothing is writing, delete "${path}.lock"`,
    retryable: true,
  });
}

/** Makes a file of our own; `false` if there is one. */
function createFile(path: string, text: string): boolean {
  try {
    fs().writeFileSync(path, text, { mode: 0o600, flag: "wx" });
    return true;
  } catch (error) {
    if ((error as { code?: string }).code === "EEXIST") return false;
    throw error;
  }
}

function readConfig(path: string): Readonly<Record<string, unknown>> & { readonly project: string } {
  let config: unknown;
  try {
    config = JSON.parse(readText(path) ?? "");
  } catch (error) {
    if (isForkstackError(error)) throw error;
    const hint = "`forkstack status` names the line and column";
    throw new ForkstackError("CONFIG_INVALID", `Cannot read ${path}: it is not valid JSON`, { cause: error, hint });
  }
  const project = (config as { project?: unknown } | null)?.project;
  if (typeof project !== "string" || project.length > MAX_NAME_LENGTH || !NAME_PATTERN.test(project)) {
    throw new ForkstackError("CONFIG_INVALID", `Cannot use ${path}: "project" must be a name like "myapp"`, {
      hint: "`forkstack status` names every problem in it",
    });
  }
  return config as Readonly<Record<string, unknown>> & { readonly project: string };
}

/** Opens the stack of a directory other than the process's own, or under other variables. */
export function openStack(options: OpenOptions = {}): Stack {
  return new Stack(options);
}

let current: Stack | undefined;

/** The process's own stack; what is current is decided once. */
function stack(): Stack {
  return current ??= new Stack();
}

// ---- getters

/**
 * The current environment: `FORKSTACK_ENV`, then `ENV` unless it holds a `/`, then `.current-env`, then `"dev"`, but in
 * a linked git worktree.
 *
 * @throws {ForkstackError} NAME_INVALID if that is not a legal name.
 * @throws {ForkstackError} ENV_UNSET in a linked git worktree that points to none.
 * @throws {ForkstackError} ENV_UNKNOWN if it was never made here, or was deleted.
 * @throws {ForkstackError} ENV_CONFLICT if files or variables contradict each other: see docs/environments.md.
 */
export function getCurrentEnv(): string {
  return stack().current();
}

/** The project's name, from forkstack.json or `FORKSTACK_PROJECT`. */
export function getProjectName(): string {
  return stack().project;
}

/** The database's URL, e.g. `"file:///app/.forkstack/sqlite/myapp-alice.db"`. */
export function getDatabaseUrl(name?: string): string {
  return stack().of("database", "DATABASE_URL", name);
}

/** The database's token, or `undefined` where the provider has none. */
export function getDatabaseAuthToken(name?: string): string | undefined {
  return stack().optionalOf("database", "DATABASE_AUTH_TOKEN", name);
}

/** The bucket's name, e.g. `"myapp-bucket-alice"`. */
export function getBucketName(name?: string): string {
  return stack().of("storage", "BUCKET_NAME", name);
}

/** How to reach the bucket: what an S3 client needs, or the directory of a local one. */
export function getStorageConfig(name?: string): StorageConfig {
  return stack().storage(name);
}

/**
 * The directory for databases that live in files, e.g. `"/app/myapp.alice.db"`; made on the first call where it is not
 * there and the process may write.
 */
export function getLocalPath(name?: string): string {
  return stack().localPath(name);
}

/** The cache's URL, e.g. `"rediss://..."`. */
export function getCacheUrl(name?: string): string {
  return stack().of("cache", "CACHE_URL", name);
}

/** The queue's URL. */
export function getQueueUrl(name?: string): string {
  return stack().of("queue", "QUEUE_URL", name);
}

/** What every queue name of this environment starts with. */
export function getQueuePrefix(name?: string): string {
  return stack().of("queue", "QUEUE_PREFIX", name);
}

/**
 * One secret: in a deployment from the process environment; else from the environment's file, then the provider, asked
 * once for all of them, and again after five minutes.
 *
 * @param options `default` is returned when the secret is nowhere; without it that is an error.
 * @throws {ForkstackError} SECRET_MISSING, naming the key and the environment.
 */
export async function getSecret(key: string, options?: { readonly default?: string }): Promise<string> {
  return await stack().secret(key, options?.default);
}

/** All secrets that the provider holds for the current environment. */
export async function getAllSecrets(): Promise<Record<string, string>> {
  return await stack().secrets();
}

/** Sets a secret at the provider. */
export async function setSecret(key: string, value: string): Promise<void> {
  await stack().setSecret(key, value);
}
