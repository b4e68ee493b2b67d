/**
 * Other programs: `cp`, `git`, an editor, and the programs of `forkstack run`.
 *
 * @module
 */
import type { ChildProcess } from "node:child_process";
import type { Readable } from "node:stream";
import { isTerminal, type Signal, SIGNALS, system, variable } from "./host.ts";

const deno = (globalThis as { Deno?: typeof Deno }).Deno;

/** The result of a program. */
export interface Ended {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
  /** True if it took too long and was killed. */
  readonly isLate?: true;
}

/** Options for running a program to its end. */
export interface Running {
  /** Variables in addition to PATH, HOME and LC_ALL; the program gets no other variable of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** Time in milliseconds after which it is killed. @default {Infinity} */
  readonly mostMs?: number;
}

/** Runs a program to its end; `undefined` if it does not exist. */
export async function run(
  command: string,
  args: string[],
  { env: more, mostMs }: Running = {},
): Promise<Ended | undefined> {
  const env = { ...more, PATH: variable("PATH") ?? "/usr/bin:/bin", HOME: variable("HOME") ?? "/", LC_ALL: "C" };
  if (deno === undefined) return await runByNode(command, args, env, mostMs);
  const streams = { stdin: "null", stdout: "piped", stderr: "piped" } as const;
  let child: Deno.ChildProcess;
  try {
    child = new deno.Command(command, { args, env, clearEnv: true, ...streams }).spawn();
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return undefined;
    throw error;
  }
  let isLate: true | undefined;
  const end = () => {
    isLate = true;
    child.kill("SIGKILL");
  };
  const late = mostMs === undefined ? undefined : AbortSignal.timeout(mostMs); // 6 ms less than the first setTimeout
  late?.addEventListener("abort", end);
  const { code, stdout, stderr } = await child.output();
  late?.removeEventListener("abort", end);
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  const ended = { status: code, stdout: text(stdout), stderr: text(stderr) };
  return isLate ? { ...ended, isLate } : ended;
}

/** Options for a program on this terminal. */
export interface OnTerminal {
  /** Its complete environment. @default {this process's own} */
  readonly env?: Readonly<Record<string, string>>;
  /** Signals that it ignores from its start on. */
  readonly ignored?: readonly Signal[];
  /** Called right after the start with a function that sends the program a signal. */
  readonly onStart?: (kill: (signal: Signal) => void) => void;
}

/**
 * Runs a program on this terminal; returns its exit code, or 128 plus the signal's number, as a shell does. Rejects
 * with the system's error if it cannot be started. Does not wait for descendants that outlive it.
 */
export async function runOnTerminal(
  command: string,
  args: readonly string[],
  { env, ignored = [], onStart }: OnTerminal = {},
): Promise<number> {
  if (ignored.length > 0) { // Deno and Node start programs with every signal as it is by default
    const names = ignored.map((signal) => signal.slice("SIG".length)).join(" ");
    return await runOnTerminal("sh", ["-c", `trap "" ${names}; exec "$@"`, "sh", command, ...args], { env, onStart });
  }
  if (deno !== undefined) {
    const inherit = "inherit" as const;
    const streams = { stdin: inherit, stdout: inherit, stderr: inherit };
    const child = new deno.Command(command, { args: [...args], ...streams, env, clearEnv: env !== undefined }).spawn();
    onStart?.((signal) => child.kill(signal));
    return (await child.status).code;
  }
  const { spawn } = await import("node:child_process");
  const { constants } = await import("node:os");
  return await new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: "inherit", env });
    child.on("error", reject);
    child.on("exit", (code, signal) => resolve(code ?? 128 + constants.signals[signal!]));
    onStart?.((signal) => child.kill(signal));
  });
}

/** The state of this process with respect to its terminal and signals. */
export interface ProcessStanding {
  /** True if Ctrl-C on the terminal reaches this process and its children. */
  readonly isForeground: boolean;
  /** Signals that the process was started to ignore, as by `nohup`; only known before any signal has a listener. */
  readonly ignored: readonly Signal[];
}

const NUMBERS: Readonly<Record<Signal, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGUSR1: 10,
  SIGUSR2: 12,
  SIGTERM: 15,
};

/**
 * Reads what Linux knows of this process; an empty text if Deno may not run `cat`. Deno allows it to `--allow-all`
 * only, so a child process with the same state is asked.
 */
async function ownState(): Promise<string> {
  const paths = ["/proc/self/stat", "/proc/self/status"];
  if (deno !== undefined) {
    const seen = await run("cat", paths).catch((error) => {
      if (error.name === "NotCapable") return undefined; // the program may be allowed all the same
      throw error;
    });
    return seen?.stdout ?? "";
  }
  const { readFile } = await import("node:fs/promises"); // a child of Node or Bun ignores nothing
  return (await Promise.all(paths.map((path) => readFile(path, "utf8").catch(() => "")))).join("");
}

/** Reads the state of this process with respect to its terminal and signals. */
export async function processStanding(): Promise<ProcessStanding> {
  const seen = system() === "linux" ? await ownState() : "";
  // state, parent, process group, session, terminal, its foreground group: man 5 proc_pid_stat
  const stat = /^\d+ \(.*\) \S \d+ (\d+) \d+ (-?\d+) (-?\d+) /.exec(seen);
  const [, group, terminal, foreground] = stat ?? [];
  if (group === undefined) {
    return { isForeground: (["stdin", "stdout", "stderr"] as const).some(isTerminal), ignored: [] };
  }
  const mask = BigInt(`0x${/^SigIgn:\s*([0-9a-f]+)$/m.exec(seen)?.[1] ?? 0}`);
  return {
    isForeground: terminal !== "0" && foreground === group,
    ignored: SIGNALS.filter((signal) => (mask >> BigInt(NUMBERS[signal] - 1)) & 1n),
  };
}

async function runByNode(
  command: string,
  args: readonly string[],
  env: Record<string, string>,
  mostMs = 0,
): Promise<Ended | undefined> {
  const { execFile } = await import("node:child_process");
  const { constants } = await import("node:os");
  const options = { env, maxBuffer: 2 ** 26, timeout: mostMs, killSignal: "SIGKILL" } as const;
  return await new Promise((resolve, reject) => {
    execFile(command, args, options, (error, stdout, stderr) => {
      if (error === null) resolve({ status: 0, stdout, stderr });
      else if (error.killed && !error.code) resolve({ status: 137, stdout, stderr, isLate: true });
      else if (typeof error.code === "number") resolve({ status: error.code, stdout, stderr });
      else if ((error as { code?: unknown }).code === "ENOENT") resolve(undefined);
      else if (error.signal != null) resolve({ status: 128 + constants.signals[error.signal], stdout, stderr });
      else reject(error);
    });
  });
}

/** A program in a pipe. */
export interface Piped {
  readonly command: string;
  readonly args: readonly string[];
  /** Variables in addition to PATH and HOME: for secrets, because every process can see arguments. */
  readonly env: Readonly<Record<string, string>>;
}

/** The failure of a program in a pipe; without `status` the program does not exist. */
export interface PipeFailure {
  readonly command: string;
  readonly status: number | undefined;
  readonly signal?: string;
  readonly stderr: string;
}

/**
 * Pipes the output of the first program into the second; returns the failure of the program that failed by itself, if
 * any.
 */
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
      one && one.signal !== "SIGPIPE" &&
      !/(Broken pipe|errno 32\b|end of file|EPIPE|writ.*Connection reset)/i.test(one.stderr);
    return isCause(first) ? first : second ?? first;
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

/**
 * Starts the second program with the first one's output as its input, so that no byte passes through this process,
 * which would take a tenth of the time; in a runtime that cannot (Bun), with a pipe that is filled later.
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
  child.stderr!.on("data", (piece) => {
    if (stderr.length < 65_536) stderr += piece;
  });
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

/**
 * Yields the output of a program as it comes, one character a byte; ends with the program's failure, if any. A reader that stops
 * early, or the signal, ends the program.
 */
export async function* outputOf(
  { command, args, env }: Piped,
  signal: AbortSignal,
): AsyncGenerator<string, PipeFailure | undefined> {
  const { spawn } = await import("node:child_process");
  const shared = { PATH: variable("PATH") ?? "/usr/bin:/bin", HOME: variable("HOME") ?? "/", LC_ALL: "C" };
  const child = spawn(command, [...args], { env: { ...shared, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  const end = ended(command, child);
  const stop = () => void child.kill();
  signal.addEventListener("abort", stop);
  try {
    if (child.pid !== undefined) yield* child.stdout.setEncoding("latin1");
    return await end;
  } finally {
    signal.removeEventListener("abort", stop);
    if (child.exitCode === null && child.signalCode === null) child.kill();
  }
}

/**
 * Runs a program whose input is these pieces, one character a byte; returns its failure, if any. Rejects with the error
 * of the pieces, which ends the program before it has seen the end of its input.
 */
export async function feed(
  { command, args, env }: Piped,
  pieces: AsyncIterable<string>,
  signal: AbortSignal,
): Promise<PipeFailure | undefined> {
  const [{ spawn }, { Readable }, { pipeline }] = await Promise.all([
    import("node:child_process"),
    import("node:stream"),
    import("node:stream/promises"),
  ]);
  const shared = { PATH: variable("PATH") ?? "/usr/bin:/bin", HOME: variable("HOME") ?? "/", LC_ALL: "C" };
  const child = spawn(command, [...args], { env: { ...shared, ...env }, stdio: ["pipe", "ignore", "pipe"] });
  const end = ended(command, child);
  if (child.pid === undefined) return await end;
  let failed: unknown;
  const bytes = async function* () {
    try {
      for await (const piece of pieces) yield Uint8Array.from(piece, (one) => one.charCodeAt(0));
    } catch (error) {
      failed = error;
      child.kill("SIGKILL"); // it must not take what came so far for all
      throw error;
    }
  };
  const stop = () => void child.kill("SIGKILL");
  signal.addEventListener("abort", stop);
  try {
    await pipeline(Readable.from(bytes()), child.stdin).catch(() => {}); // its own end tells
    const failure = await end;
    if (failed !== undefined) throw failed;
    return failure;
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
