/**
 * Other programs: `cp`, `git`.
 *
 * @module
 */
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
  readonly stderr: string;
}

/** Runs two programs, the first one's output into the second; the failure of the one that failed by itself, if any. */
export async function pipe(two: readonly [Piped, Piped], signal: AbortSignal): Promise<PipeFailure | undefined> {
  const { spawn } = await import("node:child_process");
  const shared = { PATH: variable("PATH") ?? "/usr/bin:/bin", HOME: variable("HOME") ?? "/", LC_ALL: "C" };
  const children = two.map(({ command, args, env }, n) =>
    spawn(command, [...args], { env: { ...shared, ...env }, stdio: [n === 0 ? "ignore" : "pipe", "pipe", "pipe"] })
  );
  const [from, to] = children;
  const stop = () => children.forEach((child) => child.kill());
  signal.addEventListener("abort", stop);
  try {
    const ends = children.map((child, n) => ended(two[n].command, child));
    from.stdout!.on("error", () => {});
    to.stdin!.on("error", () => {}); // the second ended before it read all: its own status tells why
    from.stdout!.pipe(to.stdin!);
    to.stdout!.resume();
    to.on("close", () => from.stdout!.destroy()); // else the first would wait for a reader for ever
    const [first, second] = await Promise.all(ends);
    if (signal.aborted) return first ?? second ?? { command: two[0].command, status: 130, stderr: "stopped" };
    // If the second fails, the first meets a closed pipe; if the first fails, the second an archive that ends early.
    const isCause = (one: PipeFailure | undefined) => one && !/(Broken pipe|end of file|EPIPE)/i.test(one.stderr);
    return isCause(first) ? first : second ?? first;
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

function ended(command: string, child: import("node:child_process").ChildProcess): Promise<PipeFailure | undefined> {
  let stderr = "";
  child.stderr!.on("data", (piece) => void (stderr.length < 65_536 && (stderr += piece)));
  return new Promise((resolve, reject) => {
    child.on("error", (error) => {
      if ((error as { code?: string }).code === "ENOENT") resolve({ command, status: undefined, stderr });
      else reject(error);
    });
    child.on("close", (status) => resolve(status === 0 ? undefined : { command, status: status ?? 1, stderr }));
  });
}
