/**
 * What goes wrong: for every call to a vendor and every statement to the registry, the seed decides a fate.
 */
import type { Dice } from "./random.ts";

/** What becomes of a call to a vendor. */
export type VendorFate =
  | "ok"
  | "slow"
  | "refused"
  | "409"
  | "422"
  | "423"
  | "429"
  | "500"
  /** No answer comes, and it was not done. */
  | "timeout"
  /** No answer comes, but it was done. */
  | "lost"
  /** No answer comes; it is done later, when the caller has long given up. */
  | "late"
  /** The process dies before the call leaves it, or after the vendor has acted. */
  | "crash-before"
  | "crash-after"
  /** The whole process stands still while the call is under way: a laptop that sleeps. */
  | "pause"
  /** Ctrl-C while the call is under way. */
  | "interrupt";

/** What becomes of a transaction at the registry. */
export type RegistryFate = "ok" | "slow" | "unreachable" | "lost" | "crash-before" | "crash-after" | "pause" | "jump";

const VENDOR: Readonly<Record<Exclude<VendorFate, "ok">, number>> = {
  slow: 3,
  refused: 2,
  "409": 1,
  "422": 1,
  "423": 1,
  "429": 1,
  "500": 1,
  timeout: 2,
  lost: 4,
  late: 4,
  "crash-before": 2,
  "crash-after": 4,
  pause: 4,
  interrupt: 1,
};
const READS: Readonly<Record<string, number>> = { ...VENDOR, lost: 0, late: 0, "crash-after": 1, pause: 2 };
const REGISTRY: Readonly<Record<Exclude<RegistryFate, "ok">, number>> = {
  slow: 3,
  unreachable: 2,
  lost: 2,
  "crash-before": 2,
  "crash-after": 2,
  pause: 3,
  jump: 1,
};

/** Decides fates; knows which faults a shrunk story leaves out. */
export class Faults {
  readonly dice: Dice;
  /** Every fault that was met, by its key. */
  readonly met: string[] = [];
  /** No fault from here on. */
  isOver = false;
  readonly #rate: number;
  readonly #sleepiness: number;
  readonly #without: ReadonlySet<string>;

  constructor(dice: Dice, rate: number, sleepiness: number, without: ReadonlySet<string>) {
    this.dice = dice;
    this.#rate = rate;
    this.#sleepiness = sleepiness;
    this.#without = without;
  }

  ofVendor(key: string, changes: boolean): VendorFate {
    return this.#fate(key, 1, (changes ? VENDOR : READS) as typeof VENDOR);
  }

  ofRegistry(key: string, writes: boolean): RegistryFate {
    return this.#fate(key, writes ? 0.3 : 0.1, REGISTRY);
  }

  #fate<Fate extends string>(key: string, share: number, weights: Readonly<Record<Fate, number>>): Fate | "ok" {
    if (this.isOver || this.#without.has(key)) return "ok";
    const isAsleep = this.dice.chance(`${key} sleep`, this.#sleepiness * share);
    if (!isAsleep && !this.dice.chance(key, this.#rate * share)) return "ok";
    this.met.push(key);
    return isAsleep ? "pause" as Fate : this.dice.weighted(`${key}?`, weights);
  }
}
