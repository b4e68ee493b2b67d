/**
 * A bound on what is under way at once.
 *
 * @module
 */

/** A number of places, given out in the order of asking. */
export class Slots {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  /** Makes that many places, at least one. */
  constructor(count: number) {
    this.#free = count;
  }

  /** Waits for a place; an aborted signal ends the wait. */
  take(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#free > 0) {
      this.#free--;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const enter = () => {
        signal.removeEventListener("abort", leave);
        resolve();
      };
      const leave = () => {
        this.#waiting.splice(this.#waiting.indexOf(enter), 1);
        reject(signal.reason);
      };
      this.#waiting.push(enter);
      signal.addEventListener("abort", leave, { once: true });
    });
  }

  /** Hands the place to who waits longest. */
  free(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free++;
    else next();
  }
}
