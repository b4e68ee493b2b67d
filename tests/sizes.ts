/**
 * How much is run of what can be run any number of times. `FORKSTACK_TEST_SIZE` is `quick`, `gate` (the default: what
 * each change must pass) or `full` (each night). A test has the same claim at each size.
 */
import process from "node:process";

/** The sizes, smallest first. */
export type Size = "quick" | "gate" | "full";

/** The size of this run. */
export const SIZE: Size = sizeNamed(process.env.FORKSTACK_TEST_SIZE || "gate");

function sizeNamed(name: string): Size {
  if (name === "quick" || name === "gate" || name === "full") return name;
  throw new RangeError(`FORKSTACK_TEST_SIZE is quick, gate or full, not "${name}"`);
}

/** What a test takes at this run's size; without one of its own for `quick`, that is the gate's. */
export function sized<T>({ gate, full, quick = gate }: { quick?: T; gate: T; full: T }): T {
  return { quick, gate, full }[SIZE];
}

/** How many seeds the simulation runs: what `FORKSTACK_SEEDS` says, else what the size does. */
export function seedsOf(variables: Readonly<Record<string, string | undefined>> = process.env): number {
  const text = variables.FORKSTACK_SEEDS || String(sized({ quick: 300, gate: 20_000, full: 100_000 }));
  const seeds = Number(text);
  if (Number.isSafeInteger(seeds) && seeds > 0) return seeds;
  throw new RangeError(`FORKSTACK_SEEDS is a whole number above 0, not "${text}"`);
}
