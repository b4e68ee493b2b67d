/**
 * Runs a script or a long query on a SQLite file in a thread or process. One statement may take hours, and the engine returns nothing
 * before its end: here, Ctrl-C would have no effect meanwhile, and the lock would expire.
 */
import { ForkstackError } from "../../mod.ts";
import { type Failure, scriptError, scriptFailure } from "./sqlite_script.ts";

interface Task {
  readonly path: string;
  readonly sql: string;
  /** It is one query, whose first column is wanted. @default {false} */
  readonly isQuery?: boolean;
}

/** The result; an error is one of opening the file, of a query, or of closing the transaction. */
type Answer = { readonly failure?: Failure; readonly column?: readonly unknown[] } | {
  readonly error: { readonly message: string; readonly code?: string };
};

/** Code that answers a task. As a text of its own it needs no file: see core/s3/md5.ts. */
const answering = () => `
  const scriptFailure = ${scriptFailure};
  async function answer({ path, sql, isQuery }) {
    try {
      const { DatabaseSync } = await import("node:sqlite");
      const database = new DatabaseSync(path, { timeout: 5000 });
      try {
        if (isQuery) return { column: database.prepare(sql).all().map((row) => Object.values(row)[0]) };
        return { failure: scriptFailure(database, sql, "setAuthorizer" in database) };
      } finally {
        database.close();
      }
    } catch ({ message, code }) {
      return { error: { message, code } };
    }
  }`;

/**
 * Runs a script, all or nothing. After an abort it rejects with the signal's reason, and nothing is committed.
 *
 * @throws {ForkstackError} SQL_FAILED if a statement fails.
 */
export async function runAside(path: string, sql: string, signal: AbortSignal): Promise<void> {
  const { failure } = await answerTo({ path, sql }, signal);
  if (failure !== undefined) throw scriptError(failure);
}

/** Returns the first column of a query. After an abort it rejects with the signal's reason. */
export async function askAside(path: string, sql: string, signal: AbortSignal): Promise<readonly unknown[]> {
  return (await answerTo({ path, sql, isQuery: true }, signal)).column!;
}

async function answerTo(task: Task, signal: AbortSignal): Promise<Exclude<Answer, { readonly error: unknown }>> {
  signal.throwIfAborted();
  const answer = await (typeof Worker === "function" ? inThread : inProcess)(task, signal);
  if (!("error" in answer)) return answer;
  throw Object.assign(new Error(answer.error.message), { code: answer.error.code });
}

/** Runs a task in a thread, in Deno and Bun: their processes can end in the middle of a statement. */
async function inThread(task: Task, signal: AbortSignal): Promise<Answer> {
  const text = `${answering()}
    addEventListener("message", async ({ data }) => postMessage(await answer(data)));`;
  const worker = new Worker(`data:text/javascript,${encodeURIComponent(text)}`, { type: "module" });
  let stop = () => {};
  try {
    return await new Promise<Answer>((resolve, reject) => {
      stop = () => reject(signal.reason);
      signal.addEventListener("abort", stop);
      worker.onmessage = ({ data }: MessageEvent<Answer>) => resolve(data);
      worker.onerror = (event) => {
        event.preventDefault();
        reject(new Error(`The script could not be run: ${event.message}`));
      };
      worker.postMessage(task);
    });
  } finally {
    signal.removeEventListener("abort", stop);
    worker.terminate();
  }
}

/** Runs a task in a process, in Node, which waits for its threads, and these for their statements. */
async function inProcess(task: Task, signal: AbortSignal): Promise<Answer> {
  const [{ spawn }, { execPath }] = await Promise.all([import("node:child_process"), import("node:process")]);
  const text = `${answering()}
    let task = "";
    for await (const piece of process.stdin.setEncoding("utf8")) task += piece;
    process.stdout.write(JSON.stringify(await answer(JSON.parse(task))));`;
  const child = spawn(execPath, ["--no-warnings", "--input-type=module", "--eval", text], { stdio: "pipe" });
  const stop = () => void child.kill("SIGKILL");
  signal.addEventListener("abort", stop);
  try {
    const said = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"] as const) {
      child[name].setEncoding("utf8").on("data", (piece) => said[name] += piece);
    }
    child.stdin.on("error", () => {}); // it ended before it read all, which its end tells
    child.stdin.end(JSON.stringify(task));
    const [status, by] = await new Promise<[number | null, string | null]>((resolve, reject) => {
      child.on("error", reject).on("close", (...ended) => resolve(ended));
    });
    signal.throwIfAborted();
    if (status === 0) return JSON.parse(said.stdout);
    if (by !== null) { // a terminal's Ctrl-C reaches it too, and perhaps sooner
      throw new ForkstackError("INTERRUPTED", `Stopped in the middle of a script: ${by}`, {
        hint: "Run the same command again",
      });
    }
    throw new Error(`The script could not be run: ${said.stderr.slice(0, 1_000)}`);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
