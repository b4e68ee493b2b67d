/** Parallel work at one store. */
import { forEach } from "../../core/system/concurrency.ts";
import type { Context } from "../../core/provider.ts";
import { isForkstackError } from "../../mod.ts";

const LANES = 8;
/** Most attempts at one object while the store asks to slow down. */
const TRIES = 8;

/** Parallel work on many items, slower while the store asks for it. */
export class Lanes {
  readonly #context: Context;
  readonly #count: number;
  #pause: Promise<void> = Promise.resolve();

  constructor(context: Context, count = LANES) {
    this.#context = context;
    this.#count = count;
  }

  /**
   * Works on each item; after the first failure no further item is begun, and it rejects once running ones have ended.
   */
  async each<T>(items: AsyncGenerator<T>, work: (item: T) => Promise<void>): Promise<void> {
    const { signal } = this.#context;
    await forEach(items, (item) => this.#patiently(() => work(item)), { limit: this.#count, signal });
  }

  async #patiently(work: () => Promise<void>): Promise<void> {
    for (let attempt = 1;; attempt++) {
      await this.#pause;
      this.#context.signal.throwIfAborted();
      try {
        return await work();
      } catch (error) {
        if (!isForkstackError(error) || !error.retryable || attempt === TRIES) throw error;
        const pause = this.#context.sleep(Math.min(100 * 2 ** attempt, 10_000));
        this.#pause = pause.catch(() => {}); // of all lanes: the store is one
        await pause;
      }
    }
  }
}
