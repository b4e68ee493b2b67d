/**
 * Mistyped words, and what may have been meant.
 *
 * @module
 */
import { load } from "../system/lazy.ts";

/** `; did you mean "x"?`, or nothing. */
export async function didYouMean(word: string, known: readonly string[]): Promise<string> {
  const near = await nearest(word, known);
  return near.length === 0 ? "" : `; did you mean ${near.map((one) => `"${one}"`).join(" or ")}?`;
}

/** The known words nearest to a mistyped one, best first. */
export async function nearest(word: string, known: readonly string[]): Promise<string[]> {
  const { distance } = await load<typeof import("./edit_distance.ts")>("core/text/edit_distance.ts");
  const letters = (of: string) => [...of].sort().join("");
  const isClose = (one: string) => one.startsWith(word) || word.startsWith(one) || letters(one) === letters(word);
  return known
    .map((one) => ({ one, far: isClose(one) ? 1 : distance(word, one) }))
    .filter(({ one, far }) =>
      far <= Math.max(1, Math.floor(Math.max(word.length, one.length) / 2) - 1, one.length > 3 ? 2 : 1)
    )
    .sort((a, b) => a.far - b.far || a.one.localeCompare(b.one))
    .slice(0, 3)
    .map(({ one }) => one);
}
