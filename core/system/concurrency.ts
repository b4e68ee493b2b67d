/**
 * Limits on how many operations run at once.
 *
 * @module
 */

/** A pool of a fixed number of places, given out in the order of requests. */
export class Pool {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  /** Creates the pool; `count` is at least one. */
  constructor(count: number) {
    this.#free = count;
  }

  /** Runs the work once a place is free; an aborted signal ends the wait. */
  async run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    await this.take(signal);
    try {
      return await work();
    } finally {
      this.free();
    }
  }

  /** Waits for a place; return it with `free()`. */
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

  /** Gives the place to the caller that has waited longest. */
  free(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free++;
    else next();
  }
}

/** Options of work on many items. */
export interface ManyOptions {
  /** Most items at once. @default {8} */
  readonly limit?: number;
  /** No further item is begun after its abort. */
  readonly signal?: AbortSignal;
  /** Begin every item even after failures; for undoing. @default {false} */
  readonly goOn?: boolean;
}

/**
 * Runs the work for each item of a list, which may be endless: an item is requested when a place is free. After a
 * failure no further item is begun; items in flight finish, then the first error is thrown.
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

/** The result of a step; a step that never began has none. */
export type Outcome<Item, Value> =
  | { readonly item: Item; readonly ok: true; readonly value: Value }
  | { readonly item: Item; readonly ok: false; readonly error: unknown };

/** Runs `step` for each item and returns every result, in the order in which the steps ended. */
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
