/**
 * Other programs: `cp`, `git`.
 *
 * @module
 */
import type { ChildProcess } from "node:child_process";
import type { Readable } from "node:stream";
import { variable } from "./host.ts";

const deno = (globalThis as { Deno?: typeof Deno }).Deno;

/** How a program ended. */
export interface Ended {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end, with little of our environment; `undefined` if there is no such program. */
export async function run(command: string, args: string[]): Promise<Ended | undefined> {
  const env = { PATH: variable("PATH") ?? "/usr/bin:/bin", HOME: variable("HOME") ?? "/", LC_ALL: "C" };
  if (deno === undefined) return await runByNode(command, args, env);
  try {
    const options = { args, env, clearEnv: true, stdin: "null" as const };
    const { code, stdout, stderr } = await new deno.Command(command, options).output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return { status: code, stdout: text(stdout), stderr: text(stderr) };
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return undefined;
    throw error;
  }
}

/** Runs a program on this terminal, with this environment; its exit status, or `undefined` where there is none such. */
export async function runOnTerminal(command: string, args: readonly string[]): Promise<number | undefined> {
  if (deno !== undefined) {
    const inherit = "inherit" as const;
    const options = { args: [...args], stdin: inherit, stdout: inherit, stderr: inherit };
    try {
      return (await new deno.Command(command, options).spawn().status).code;
    } catch (error) {
      if ((error as { code?: string }).code === "ENOENT") return undefined;
      throw error;
    }
  }
  const { spawn } = await import("node:child_process");
  return await new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: "inherit" });
    child.on("error", (error) => (error as { code?: string }).code === "ENOENT" ? resolve(undefined) : reject(error));
    child.on("close", (code) => resolve(code ?? 1));
  });
}

async function runByNode(
  command: string,
  args: readonly string[],
  env: Record<string, string>,
): Promise<Ended | undefined> {
  const { execFile } = await import("node:child_process");
  return await new Promise((resolve, reject) => {
    execFile(command, args, { env, maxBuffer: 2 ** 26 }, (error, stdout, stderr) => {
      if (error === null) resolve({ status: 0, stdout, stderr });
      else if (typeof error.code === "number") resolve({ status: error.code, stdout, stderr });
      else if ((error as { code?: unknown }).code === "ENOENT") resolve(undefined);
      else reject(error);
    });
  });
}

/** One program of a pipe. */
export interface Piped {
  readonly command: string;
  readonly args: readonly string[];
  /** Beside PATH and HOME: where its secrets go, since arguments are seen by every process. */
  readonly env: Readonly<Record<string, string>>;
}

/** How a program of a pipe failed; no `status`: there is no such program. */
export interface PipeFailure {
  readonly command: string;
  readonly status: number | undefined;
  readonly signal?: string;
  readonly stderr: string;
}

/** Runs two programs, the first one's output into the second; the failure of the one that failed by itself, if any. */
export async function pipe(two: readonly [Piped, Piped], signal: AbortSignal): Promise<PipeFailure | undefined> {
  const { spawn } = await import("node:child_process");
  const shared = { PATH: variable("PATH") ?? "/usr/bin:/bin", HOME: variable("HOME") ?? "/", LC_ALL: "C" };
  const start = ({ command, args, env }: Piped, stdin: "ignore" | "pipe" | Readable) =>
    spawn(command, [...args], { env: { ...shared, ...env }, stdio: [stdin, "pipe", "pipe"] });
  const from = start(two[0], "ignore");
  if (from.pid === undefined) return await ended(two[0].command, from); // there is no such program
  const [to, isJoined] = joined(from.stdout!, (stdin) => start(two[1], stdin));
  const children = [from, to];
  const stop = () => children.forEach((child) => child.kill());
  signal.addEventListener("abort", stop);
  if (signal.aborted) stop();
  try {
    const ends = children.map((child, n) => ended(two[n].command, child));
    to.stdout!.resume();
    if (!isJoined) {
      from.stdout!.on("error", () => {});
      to.stdin!.on("error", () => {}); // the second ended before it read all: its own status tells why
      from.stdout!.pipe(to.stdin!);
      to.on("close", () => from.stdout!.destroy()); // else the first would wait for a reader for ever
    }
    const [first, second] = await Promise.all(ends);
    if (signal.aborted) return first ?? second ?? { command: two[0].command, status: 130, stderr: "stopped" };
    // If the second fails, the first meets a closed pipe; if the first fails, the second an archive that ends early.
    const isCause = (one: PipeFailure | undefined) =>
      one && one.signal !== "SIGPIPE" && !/(Broken pipe|end of file|EPIPE|writ.*Connection reset)/i.test(one.stderr);
    return isCause(first) ? first : second ?? first;
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

/**
 * Starts the second program with the first one's output as its input, so that no byte passes through this process, which
 * would take a tenth of the time; where the runtime can't (Bun), with a pipe that is still to be filled.
 */
function joined(output: Readable, start: (stdin: "pipe" | Readable) => ChildProcess): [ChildProcess, boolean] {
  try {
    const child = start(output);
    output.destroy(); // the child has its own; with ours open the first would wait for a reader for ever
    return [child, true];
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") throw error;
    return [start("pipe"), false];
  }
}

function ended(command: string, child: ChildProcess): Promise<PipeFailure | undefined> {
  let stderr = "";
  child.stderr!.on("data", (piece) => void (stderr.length < 65_536 && (stderr += piece)));
  return new Promise((resolve, reject) => {
    child.on("error", (error) => {
      if ((error as { code?: string }).code === "ENOENT") resolve({ command, status: undefined, stderr });
      else reject(error);
    });
    child.on("close", (status, signal) => {
      const by = signal === null ? {} : { signal };
      resolve(status === 0 ? undefined : { command, status: status ?? 1, ...by, stderr });
    });
  });
}
