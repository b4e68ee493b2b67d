/** Yields the lines of pieces of text, each with its `"\n"` but perhaps the last; those that a piece completes at once. */
export async function* textLines(pieces: AsyncIterable<string>): AsyncGenerator<string[], void> {
  let rest = "";
  for await (const piece of pieces) {
    if (!piece.includes("\n")) { // a row may be very long
      rest += piece;
      continue;
    }
    const lines = (rest + piece).split(/(?<=\n)/);
    rest = lines.at(-1)!.endsWith("\n") ? "" : lines.pop()!;
    yield lines;
  }
  if (rest !== "") yield [rest];
}
