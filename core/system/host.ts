/**
 * The process and its host. In Deno by its own functions, which are loaded already: there `node:fs` alone costs 18 ms
 * and `process` 10 ms, more than the rest of a short command. Everywhere else by `node:`.
 *
 * @module
 */

// Typed as if it were always there; asked for with `?.`, so that a runtime without it goes on to the built-ins.
const deno = (globalThis as { Deno?: typeof Deno }).Deno;

function node<Name extends "node:fs" | "node:os" | "node:path">(name: Name): Modules[Name] {
  return process.getBuiltinModule(name) as Modules[Name];
}

interface Modules {
  "node:fs": typeof import("node:fs");
  "node:os": typeof import("node:os");
  "node:path": typeof import("node:path");
}

/** Replacements for parts of the process, for a caller that runs a command line without a process of its own. */
export interface StandIn {
  readonly cwd: string;
  readonly variables: Readonly<Record<string, string>>;
  readonly write: (stream: "stdout" | "stderr", text: string) => void;
  /** @default {""} */
  readonly stdin?: string | undefined;
}

let standIn: StandIn | undefined;

/** Runs work with a stand-in for the process; calls wait for each other. */
export async function within<T>(given: StandIn, work: () => Promise<T>): Promise<T> {
  if (standIn !== undefined) throw new TypeError("Something else runs with a stand-in for the process");
  standIn = given;
  try {
    return await work();
  } finally {
    standIn = undefined;
  }
}

/** Returns the arguments after the program's name. */
export function args(): string[] {
  return deno?.args ?? process.argv.slice(2);
}

/** Returns the working directory. */
export function cwd(): string {
  return standIn?.cwd ?? deno?.cwd() ?? process.cwd();
}

/** Returns a variable of the process environment; an empty one counts as unset. */
export function variable(name: string): string | undefined {
  return rawVariable(name) || undefined;
}

/** Returns a variable of the process environment, even if it is empty. */
export function rawVariable(name: string): string | undefined {
  if (standIn !== undefined) return standIn.variables[name];
  return deno === undefined ? process.env[name] : deno.env.get(name);
}

/** Returns the whole process environment. */
export function variables(): Record<string, string> {
  return standIn === undefined
    ? deno?.env.toObject() ?? { ...process.env } as Record<string, string>
    : { ...standIn.variables };
}

/** Ends the process with an exit code. */
export function exit(code: number): never {
  return deno?.exit(code) ?? process.exit(code);
}

/** Writes all of a text before it returns. */
export function write(stream: "stdout" | "stderr", text: string): void {
  if (standIn !== undefined) return standIn.write(stream, text);
  const bytes = new TextEncoder().encode(text);
  let at = 0;
  while (at < bytes.length) {
    at += deno?.[stream].writeSync(bytes.subarray(at)) ??
      node("node:fs").writeSync(stream === "stdout" ? 1 : 2, bytes, at);
  }
}

/** Returns true if the stream is a terminal. */
export function isTerminal(stream: "stdin" | "stdout" | "stderr"): boolean {
  return standIn === undefined && (deno?.[stream].isTerminal() ?? process[stream].isTTY === true);
}

/** Returns the terminal's width in characters; `undefined` if stdout is no terminal. */
export function columns(): number | undefined {
  if (standIn !== undefined) return undefined;
  if (deno === undefined) return process.stdout.columns;
  return isTerminal("stdout") ? deno.consoleSize().columns : undefined;
}

/** Reads stdin to its end. */
export async function readInput(): Promise<string> {
  if (standIn !== undefined) return standIn.stdin ?? "";
  if (deno !== undefined) return await new Response(deno.stdin.readable).text();
  let text = "";
  for await (const piece of process.stdin.setEncoding("utf8")) text += piece;
  return text;
}

/** Returns the process id. */
export function pid(): number {
  return deno?.pid ?? process.pid;
}

/** Calls back when the process ends, unless it is killed; returns the function that cancels this. */
export function onExit(handler: () => void): () => void {
  const hangUp = () => exit(129); // the terminal was closed: else nothing would be called back
  if (deno !== undefined) {
    const hasSignal = deno.build.os !== "windows";
    globalThis.addEventListener("unload", handler);
    if (hasSignal) deno.addSignalListener("SIGHUP", hangUp);
    return () => {
      globalThis.removeEventListener("unload", handler);
      if (hasSignal) deno.removeSignalListener("SIGHUP", hangUp);
    };
  }
  process.on("exit", handler).on("SIGHUP", hangUp);
  return () => process.off("exit", handler).off("SIGHUP", hangUp);
}

/** Signals that ask a program for something, and that it can handle. */
export const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"] as const;

/** A signal that a program can handle. */
export type Signal = typeof SIGNALS[number];

/** Calls back on signals; returns the function that cancels this. */
export function onSignals(signals: readonly Signal[], handler: (signal: Signal) => void): () => void {
  const takeBack = signals.filter((signal) => signal === "SIGINT" || system() !== "windows").map((signal) => {
    const listener = () => handler(signal);
    if (deno === undefined) {
      process.on(signal, listener);
      return () => process.off(signal, listener);
    }
    deno.addSignalListener(signal, listener);
    return () => deno.removeSignalListener(signal, listener);
  });
  return () => takeBack.forEach((one) => one());
}

/** Returns the machine's name. */
export function hostname(): string {
  return deno?.hostname() ?? node("node:os").hostname();
}

/** Returns the operating system: `"linux"`, `"darwin"`, `"windows"`. */
export function system(): string {
  if (deno !== undefined) return deno.build.os;
  return process.platform === "win32" ? "windows" : process.platform;
}

/** Returns true if the program runs under `deno run` or a Deno task, and is no binary. */
export function isRunByDeno(): boolean {
  return deno !== undefined && !deno.build.standalone;
}

/** Returns true if Deno restricts nothing of this process, as with `-A`; always true in other runtimes. */
export function mayAll(): boolean {
  return (["read", "write", "env", "run", "net", "sys", "ffi"] as const).every(isGranted);
}

/** Returns true if Deno lets this process reach every host; always true in other runtimes. */
export function mayReachAll(): boolean {
  return isGranted("net");
}

function isGranted(name: "read" | "write" | "env" | "run" | "net" | "sys" | "ffi"): boolean {
  return deno === undefined || deno.permissions.querySync({ name }).state === "granted";
}

/**
 * Returns true if the module of this URL is part of a compiled program, of Deno or of Bun, which has a file system of
 * its own.
 */
export function isBinary(url: string): boolean {
  return deno?.build.standalone === true || /^file:\/\/\/(\$bunfs|[A-Z]:\/~BUN)\//.test(url);
}

/** Returns the path of the running program: the runtime's, or a binary's own. */
export function programPath(): string {
  return deno?.execPath() ?? process.execPath;
}

/** Returns true if Deno lets this process read a path without asking; always true in other runtimes. */
function mayRead(path: string): boolean {
  return deno === undefined || deno.permissions.querySync({ name: "read", path }).state === "granted";
}

/** Reads a small file synchronously; `undefined` if it is missing, not readable, or no file, as a device without end. */
export function readNow(path: string): string | undefined {
  if (isThereNow(path) !== true) return undefined;
  try {
    return deno === undefined ? node("node:fs").readFileSync(path, "utf8") : deno.readTextFileSync(path);
  } catch {
    return undefined; // nothing depends on it but the words of a hint
  }
}

/** Returns true if a path is a file; `undefined` if this process may not look. */
export function isThereNow(path: string): boolean | undefined {
  if (!mayRead(path)) return undefined;
  try {
    return deno === undefined ? node("node:fs").statSync(path).isFile() : deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

/** Joins paths by forward slashes, which work on every system. */
export function join(...parts: readonly string[]): string {
  return parts.join("/").replace(/\/{2,}/g, "/");
}

/** Returns the directory of a path. */
export function dirname(path: string): string {
  return path.replace(/[\\/][^\\/]*$/, "") || "/";
}

/** Returns the last part of a path. */
export function basename(path: string): string {
  return path.replace(/^.*[\\/]/s, "");
}

/** Returns true in Deno, also in a binary: it runs TypeScript from memory. */
export function isDeno(): boolean {
  return deno !== undefined;
}

/** Returns true if Bun runs this from its files: unlike a binary, it has then loaded the directory's `.env` files. */
export function isRunByBun(): boolean {
  return "Bun" in globalThis && !isBinary(import.meta.url);
}

/** Waits; rejects with the signal's reason once it is aborted. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const stop = () => {
      clearTimeout(timer);
      reject(signal!.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal?.addEventListener("abort", stop, { once: true });
  });
}
