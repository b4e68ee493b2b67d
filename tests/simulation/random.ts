/**
 * Chance without state: a number is drawn from the seed and a key that names what it decides. Taking one command or
 * one fault out of a story leaves the draws of all others as they were, which is what makes shrinking work.
 */
export class Dice {
  readonly #seed: number;

  /** The seed decides every draw. */
  constructor(seed: number) {
    this.#seed = Math.imul(seed + 1, 0x9e3779b1) >>> 0;
  }

  /** A number of [0, 1). */
  draw(key: string): number {
    let hash = this.#seed ^ 0x811c9dc5;
    for (let at = 0; at < key.length; at++) hash = Math.imul(hash ^ key.charCodeAt(at), 0x01000193);
    // the finisher of murmur3: neighbouring keys must not give neighbouring numbers
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
  }

  /** True as often as `probability` says. */
  chance(key: string, probability: number): boolean {
    return probability > 0 && this.draw(key) < probability;
  }

  /** A whole number from `low` to `high`, both included. */
  int(key: string, low: number, high: number): number {
    return low + Math.floor(this.draw(key) * (high - low + 1));
  }

  /** One of the list. */
  pick<Item>(key: string, list: readonly Item[]): Item {
    return list[Math.floor(this.draw(key) * list.length)];
  }

  /** One of the keys of `weights`, as often as its weight says. */
  weighted<Key extends string>(key: string, weights: Readonly<Record<Key, number>>): Key {
    const entries = Object.entries(weights) as [Key, number][];
    let rest = this.draw(key) * entries.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [one, weight] of entries) if ((rest -= weight) < 0) return one;
    return entries[entries.length - 1][0];
  }
}
