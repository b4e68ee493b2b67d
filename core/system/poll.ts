/**
 * Waiting for what somebody else does.
 *
 * @module
 */
import { ForkstackError } from "../../mod.ts";

/** How to wait, and what is said if it takes too long. */
export interface Polling<T> {
  /** E.g. `"make database "x""`. */
  readonly what: string;
  readonly provider?: string;
  readonly resource?: string;
  /** After this long there is no further look. @default {600000} */
  readonly deadlineMs?: number;
  /** The first pause; each further one is `factor` times as long, up to `mostMs`. @default {250} */
  readonly firstMs?: number;
  /** @default {2} */
  readonly factor?: number;
  /** @default {5000} */
  readonly mostMs?: number;
  /** Counts the deadline, in milliseconds. @default {the pauses, added up} */
  readonly clock?: () => number;
  /** Errors that say no more than "not yet"; the last one is thrown at the deadline. @default {none} */
  readonly isPassing?: (error: unknown) => boolean;
  /** Gives what there is at the deadline, or throws. @default {an error NOT_READY} */
  readonly late?: () => T | Promise<T>;
}

/** The parts of a provider's context that waiting needs. */
export interface Waiter {
  readonly signal: AbortSignal;
  readonly sleep: (ms: number) => Promise<void>;
}

/** Looks until there is something to see; every wait ends. `look` is told how long the pauses were so far. */
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
