/**
 * Bounds on what is under way at once.
 *
 * @module
 */

/** A number of places, given out in the order of asking. */
export class Pool {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  /** Makes that many places, at least one. */
  constructor(count: number) {
    this.#free = count;
  }

  /** Does the work once there is a place for it; an aborted signal ends the wait. */
  async run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    await this.take(signal);
    try {
      return await work();
    } finally {
      this.free();
    }
  }

  /** Waits for a place, to be given back with `free()`. */
  take(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (this.#free > 0) {
      this.#free--;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const enter = () => {
        signal?.removeEventListener("abort", leave);
        resolve();
      };
      const leave = () => {
        this.#waiting.splice(this.#waiting.indexOf(enter), 1);
        reject(signal!.reason);
      };
      this.#waiting.push(enter);
      signal?.addEventListener("abort", leave, { once: true });
    });
  }

  /** Hands the place to the longest waiting one. */
  free(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free++;
    else next();
  }
}

/** Options of work on many items. */
export interface ManyOptions {
  /** How many at once. @default {8} */
  readonly limit?: number;
  /** No further item is begun once it is aborted. */
  readonly signal?: AbortSignal;
  /** Begin all, whatever fails; for undoing. @default {false} */
  readonly goOn?: boolean;
}

/**
 * Works on each item of a list, which may be endless: one is asked for when there is a place for it. After a failure no
 * further one is begun; those in flight end by themselves, and then the first error is thrown.
 */
export async function forEach<Item>(
  items: Iterable<Item> | AsyncIterable<Item>,
  work: (item: Item) => Promise<void>,
  { limit = 8, signal, goOn = false }: ManyOptions = {},
): Promise<void> {
  const iterator = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
  const pool = new Pool(limit);
  const inFlight = new Set<Promise<void>>();
  let failure: { readonly error: unknown } | undefined;
  const isOver = () => signal?.aborted || (failure !== undefined && !goOn);
  try {
    for (;;) {
      await pool.take();
      const next = isOver() ? undefined : await iterator.next();
      if (next === undefined || next.done || isOver()) break;
      const one = work(next.value)
        .catch((error) => {
          failure ??= { error };
        })
        .finally(() => {
          inFlight.delete(one);
          pool.free();
        });
      inFlight.add(one);
    }
  } catch (error) { // of the list itself
    failure ??= { error };
  }
  await Promise.all(inFlight);
  await iterator.return?.();
  if (failure !== undefined) throw failure.error;
  signal?.throwIfAborted();
}

/** The end of a step; one that never began is not among them. */
export type Outcome<Item, Value> =
  | { readonly item: Item; readonly ok: true; readonly value: Value }
  | { readonly item: Item; readonly ok: false; readonly error: unknown };

/** Runs `step` for each item and gives every outcome, in the order in which the steps ended. */
export async function runSteps<Item, Value>(
  items: readonly Item[],
  step: (item: Item) => Promise<Value>,
  options: ManyOptions = {},
): Promise<Outcome<Item, Value>[]> {
  const outcomes: Outcome<Item, Value>[] = [];
  await forEach(items, async (item) => {
    try {
      outcomes.push({ item, ok: true, value: await step(item) });
    } catch (error) {
      outcomes.push({ item, ok: false, error });
      throw error;
    }
  }, options).catch(() => {}); // it is among the outcomes
  return outcomes;
}
