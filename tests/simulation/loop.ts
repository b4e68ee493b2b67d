/**
 * Virtual time: events in the order of their instants. Between two events everything that the first one set off runs to
 * where it waits again, so that a run is the same each time.
 */
interface Event {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

/** Let every promise that can go on do so: microtasks run out before the next macrotask begins. */
export function drain(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** The queue of what will happen. */
export class Loop {
  /** Virtual milliseconds since the run began. */
  nowMs = 0;
  readonly #heap: Event[] = [];
  #order = 0;

  /** Runs something later. */
  after(ms: number, run: () => void): void {
    const heap = this.#heap;
    const event = { at: this.nowMs + Math.max(0, ms), order: this.#order++, run };
    let at = heap.push(event) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (!isBefore(event, heap[above])) break;
      heap[at] = heap[above];
      at = above;
    }
    heap[at] = event;
  }

  /** Runs until nothing is left to happen; false if that is not by `untilMs`. */
  async run(untilMs: number): Promise<boolean> {
    await drain();
    for (let next = this.#take(); next !== undefined; next = this.#take()) {
      this.nowMs = next.at;
      if (this.nowMs > untilMs) return false;
      next.run();
      await drain();
    }
    return true;
  }

  #take(): Event | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= heap.length) break;
      if (below + 1 < heap.length && isBefore(heap[below + 1], heap[below])) below++;
      if (!isBefore(heap[below], last)) break;
      heap[at] = heap[below];
      at = below;
    }
    heap[at] = last;
    return first;
  }
}

function isBefore(one: Event, other: Event): boolean {
  return one.at < other.at || (one.at === other.at && one.order < other.order);
}
