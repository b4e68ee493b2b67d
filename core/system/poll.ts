/**
 * Waits until another system is ready.
 *
 * @module
 */
import { ForkstackError } from "../../mod.ts";

/** Options of a wait. */
export interface Polling<T> {
  /** The awaited action, for the error: `"make database "x""`. */
  readonly what: string;
  readonly provider?: string;
  readonly resource?: string;
  /** Time in milliseconds after which there is no further look. @default {600000} */
  readonly deadlineMs?: number;
  /** First pause in milliseconds; each later one is `factor` times as long, up to `mostMs`. @default {250} */
  readonly firstMs?: number;
  /** Growth of the pauses. @default {2} */
  readonly factor?: number;
  /** Longest pause in milliseconds. @default {5000} */
  readonly mostMs?: number;
  /** Returns milliseconds, to measure the deadline. @default {the sum of the pauses} */
  readonly clock?: () => number;
  /** Returns true for errors that mean "not ready yet"; at the deadline the last one is thrown. @default {none} */
  readonly isPassing?: (error: unknown) => boolean;
  /** Called at the deadline; returns the result, or throws. @default {throws NOT_READY} */
  readonly late?: () => T | Promise<T>;
}

/** The parts of a provider's context that a wait needs. */
export interface Waiter {
  readonly signal: AbortSignal;
  readonly sleep: (ms: number) => Promise<void>;
}

/**
 * Calls `look` until it returns a value, or until the deadline. `look` gets the sum of the pauses so far, in
 * milliseconds.
 */
export async function poll<T>(
  { signal, sleep }: Waiter,
  polling: Polling<T>,
  look: (waitedMs: number) => Promise<T | undefined>,
): Promise<T> {
  const { deadlineMs = 600_000, firstMs = 250, factor = 2, mostMs = 5_000, isPassing = () => false } = polling;
  let waited = 0;
  const { clock = () => waited, late = () => notDone(polling, deadlineMs) } = polling;
  const began = clock();
  let pause = firstMs;
  for (;;) {
    signal.throwIfAborted();
    let failure: unknown;
    const found = await look(waited).catch((error) => {
      if (!isPassing(error) || signal.aborted) throw error;
      failure = error;
      return undefined;
    });
    if (found !== undefined) return found;
    if (clock() - began >= deadlineMs) {
      if (failure !== undefined) throw failure;
      return await late();
    }
    await sleep(pause);
    waited += pause;
    pause = Math.min(pause * factor, mostMs);
  }
}

function notDone({ what, provider, resource }: Polling<unknown>, deadlineMs: number): never {
  throw new ForkstackError("NOT_READY", `Cannot ${what}: it is not done after ${deadlineMs / 1_000} s`, {
    hint: "Run the same command again: it continues where this one stopped",
    retryable: true,
    details: { provider, resource },
  });
}
