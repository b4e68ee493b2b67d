/** Runs the cases that it is handed, on a thread of its own; see hostile_state_test.ts. */
import { asProcess, inProcess, Template, violationsOf } from "./_hostile.ts";
import type { Part } from "./_hostile_state.ts";

/** Cases of one kind. */
export interface Cases {
  readonly part: Part;
  readonly seeds: readonly number[];
  /** As real processes. */
  readonly isReal: boolean;
}

const thread = globalThis as unknown as {
  onmessage: (event: MessageEvent<Cases>) => void;
  postMessage: (violations: readonly string[]) => void;
};

thread.onmessage = async ({ data: { part, seeds, isReal } }) => {
  using template = await Template.make();
  const found: string[] = [];
  for (const seed of seeds) found.push(...await violationsOf(template, part, seed, isReal ? asProcess : inProcess));
  thread.postMessage(found);
};
