/**
 * Recordings of terminals in the form of asciinema, version 2: https://docs.asciinema.org/manual/asciicast/v2/
 */

/** Columns and rows of a terminal. */
export interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** A recording. */
export interface Cast {
  /** One JSON document a line: the head, then what was written when. */
  readonly text: string;
  /** Length of the recording. */
  readonly seconds: number;
}

/**
 * Returns what `script` recorded as a cast. `times` has a line for each piece of `output`: seconds since the one before,
 * and its length in bytes.
 */
export function toCast(output: Uint8Array, times: string, { columns, rows }: Size): Cast {
  const lines = [JSON.stringify({ version: 2, width: columns, height: rows })];
  const decoder = new TextDecoder(); // a character may lie in two pieces
  let at = output.indexOf(10) + 1; // the head that script writes
  let seconds = 0;
  for (const line of times.split("\n").filter((one) => one !== "")) {
    const [pause, length] = line.split(" ").map(Number) as [number, number];
    seconds += pause;
    const piece = decoder.decode(output.subarray(at, at + length), { stream: true });
    at += length;
    lines.push(JSON.stringify([Number(seconds.toFixed(3)), "o", piece]));
  }
  return { text: `${lines.join("\n")}\n`, seconds };
}
