/**
 * Runs many seeds on all processors.
 */
import { availableParallelism } from "node:os";
import type { Liar } from "./lies.ts";

/** What a thread is handed. */
export interface Batch {
  readonly first: number;
  readonly count: number;
  readonly plant?: string;
  readonly liar?: Liar;
}

/** What came of it. */
export interface Result {
  readonly failed: readonly { readonly seed: number; readonly violations: readonly string[] }[];
  /** How often what was met: a fault, a takeover. */
  readonly met: Readonly<Record<string, number>>;
}

const BATCH = 250;

/** Runs the seeds from `first` on; `stopAtFailure` hands out no more once one has failed. */
export async function runSeeds(wanted: Batch, options: { stopAtFailure?: boolean } = {}): Promise<Result> {
  const failed: Result["failed"][number][] = [];
  const met: Record<string, number> = {};
  const end = wanted.first + wanted.count;
  let next = wanted.first;
  async function runThread(): Promise<void> {
    const thread = new Worker(new URL("./swarm_worker.ts", import.meta.url).href, { type: "module" });
    try {
      while (next < end && !(options.stopAtFailure && failed.length > 0)) {
        const batch = { ...wanted, first: next, count: Math.min(BATCH, end - next) };
        next += batch.count;
        const result = await ask(thread, batch);
        failed.push(...result.failed);
        for (const [what, times] of Object.entries(result.met)) met[what] = (met[what] ?? 0) + times;
      }
    } finally {
      thread.terminate();
    }
  }
  await Promise.all(Array.from({ length: availableParallelism() }, runThread));
  return { failed: failed.sort((a, b) => a.seed - b.seed), met };
}

function ask(thread: Worker, batch: Batch): Promise<Result> {
  return new Promise((resolve, reject) => {
    thread.onmessage = ({ data }) => resolve(data);
    thread.onerror = (event) => {
      event.preventDefault();
      reject(new Error(`seeds ${batch.first} to ${batch.first + batch.count - 1}: ${event.message}`));
    };
    thread.postMessage(batch);
  });
}
