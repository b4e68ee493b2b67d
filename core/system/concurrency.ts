/**
 * Steps that run side by side, as many at once as allowed. One that fails keeps further ones from beginning; those in
 * flight end by themselves, and no outcome is lost.
 *
 * @module
 */

/** What became of a step; one that never began is not among them. */
export type Outcome<Item, Value> =
  | { readonly item: Item; readonly ok: true; readonly value: Value }
  | { readonly item: Item; readonly ok: false; readonly error: unknown };

/** How steps run. */
export interface SagaOptions {
  /** How many at once. @default {8} */
  readonly limit?: number;
  /** No further step begins once it is aborted. */
  readonly signal?: AbortSignal;
  /** Begin all, whatever fails; for undoing. @default {false} */
  readonly goOn?: boolean;
}

/** Runs `step` for each item. Outcomes come in the order in which the steps ended. */
export async function runSteps<Item, Value>(
  items: readonly Item[],
  step: (item: Item) => Promise<Value>,
  options: SagaOptions = {},
): Promise<Outcome<Item, Value>[]> {
  const { limit = 8, signal, goOn = false } = options;
  const outcomes: Outcome<Item, Value>[] = [];
  const waiting = [...items];
  let hasFailed = false;
  async function lane(): Promise<void> {
    while (waiting.length > 0 && !signal?.aborted && (goOn || !hasFailed)) {
      const item = waiting.shift()!;
      try {
        outcomes.push({ item, ok: true, value: await step(item) });
      } catch (error) {
        hasFailed = true;
        outcomes.push({ item, ok: false, error });
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, lane));
  return outcomes;
}
