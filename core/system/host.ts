/**
 * The process and its host. Deno's own calls are taken where they are there, for they are loaded already: `node:fs` alone
 * costs a Deno process 18 ms, `process` 10 ms, more than all the rest of a short command. Everywhere else it is `node:`.
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

/** A stand-in for the process, of whoever runs a command line without a process of its own. */
export interface StandIn {
  readonly cwd: string;
  readonly variables: Readonly<Record<string, string>>;
  readonly write: (stream: "stdout" | "stderr", text: string) => void;
}

let standIn: StandIn | undefined;

/** Does something with a stand-in for the process: one at a time. */
export async function within<T>(given: StandIn, work: () => Promise<T>): Promise<T> {
  if (standIn !== undefined) throw new TypeError("Something else runs with a stand-in for the process");
  standIn = given;
  try {
    return await work();
  } finally {
    standIn = undefined;
  }
}

/** The arguments after the program's name. */
export function args(): string[] {
  return deno?.args ?? process.argv.slice(2);
}

/** The working directory. */
export function cwd(): string {
  return standIn?.cwd ?? deno?.cwd() ?? process.cwd();
}

/** One variable of the process environment; empty counts as unset. */
export function variable(name: string): string | undefined {
  return rawVariable(name) || undefined;
}

/** One variable of the process environment as it is. */
export function rawVariable(name: string): string | undefined {
  if (standIn !== undefined) return standIn.variables[name];
  return deno === undefined ? process.env[name] : deno.env.get(name);
}

/** The whole process environment. */
export function variables(): Record<string, string> {
  return standIn === undefined
    ? deno?.env.toObject() ?? { ...process.env } as Record<string, string>
    : { ...standIn.variables };
}

/** Ends the process. */
export function exit(code: number): never {
  return deno?.exit(code) ?? process.exit(code);
}

/** Writes text, all of it, before it returns. */
export function write(stream: "stdout" | "stderr", text: string): void {
  if (standIn !== undefined) return standIn.write(stream, text);
  const bytes = new TextEncoder().encode(text);
  let at = 0;
  while (at < bytes.length) {
    at += deno?.[stream].writeSync(bytes.subarray(at)) ??
      node("node:fs").writeSync(stream === "stdout" ? 1 : 2, bytes, at);
  }
}

/** Whether a person sits at the stream. */
export function isTerminal(stream: "stdin" | "stdout" | "stderr"): boolean {
  return standIn === undefined && (deno?.[stream].isTerminal() ?? process[stream].isTTY === true);
}

/** How many characters a line of the terminal has; `undefined` where stdout is none. */
export function columns(): number | undefined {
  if (standIn !== undefined) return undefined;
  if (deno === undefined) return process.stdout.columns;
  return isTerminal("stdout") ? deno.consoleSize().columns : undefined;
}

/** All that comes on stdin. */
export async function readInput(): Promise<string> {
  if (standIn !== undefined) return "";
  if (deno !== undefined) return await new Response(deno.stdin.readable).text();
  let text = "";
  for await (const piece of process.stdin.setEncoding("utf8")) text += piece;
  return text;
}

/** This process's number. */
export function pid(): number {
  return deno?.pid ?? process.pid;
}

/** Calls back when the process ends, however it ends but by a kill; gives what takes that back. */
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

/** The signals that ask something of a program, and that it can hear. */
export const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"] as const;

/** One of them. */
export type Signal = typeof SIGNALS[number];

/** Calls back on signals; gives what takes that back. */
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

/** The machine's name. */
export function hostname(): string {
  return deno?.hostname() ?? node("node:os").hostname();
}

/** `"linux"`, `"darwin"`, `"windows"`. */
export function system(): string {
  if (deno !== undefined) return deno.build.os;
  return process.platform === "win32" ? "windows" : process.platform;
}

/** Whether the program was begun by `deno run` or a Deno task, not as a binary of its own. */
export function isRunByDeno(): boolean {
  return deno !== undefined && !deno.build.standalone;
}

/** Whether the module of this URL lies in a compiled program: Deno's, or Bun's, which has a file system of its own. */
export function isBinary(url: string): boolean {
  return deno?.build.standalone === true || /^file:\/\/\/(\$bunfs|[A-Z]:\/~BUN)\//.test(url);
}

/** The path of the program that runs this: of a binary its own. */
export function programPath(): string {
  return deno?.execPath() ?? process.execPath;
}

/** Whether Deno would let this process read a path without asking a person; the other runtimes do. */
function mayRead(path: string): boolean {
  return deno === undefined || deno.permissions.querySync({ name: "read", path }).state === "granted";
}

/** A small file at once, for a text that waits for nothing; `undefined` if it is absent or not to be read. */
export function readNow(path: string): string | undefined {
  if (!mayRead(path)) return undefined;
  try {
    return deno === undefined ? node("node:fs").readFileSync(path, "utf8") : deno.readTextFileSync(path);
  } catch {
    return undefined; // nothing depends on it but the words of a hint
  }
}

/** Whether a path exists; `undefined` if this process may not look. */
export function isThereNow(path: string): boolean | undefined {
  if (!mayRead(path)) return undefined;
  try {
    return deno === undefined ? node("node:fs").existsSync(path) : deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

/** Paths joined. Forward slashes serve on every system. */
export function join(...parts: readonly string[]): string {
  return parts.join("/").replace(/\/{2,}/g, "/");
}

/** The directory that a path is in. */
export function dirname(path: string): string {
  return path.replace(/[\\/][^\\/]*$/, "") || "/";
}

/** The last part of a path. */
export function basename(path: string): string {
  return path.replace(/^.*[\\/]/s, "");
}

/** Whether this is Deno, also in a binary: it runs TypeScript from memory. */
export function isDeno(): boolean {
  return deno !== undefined;
}

/** Whether Bun runs this from its files: unlike a binary of Bun's, it has loaded the directory's `.env` files by then. */
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
