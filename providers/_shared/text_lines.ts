/** Text of others, line by line, and its encoding. */
import { Buffer } from "node:buffer";
import { ForkstackError } from "../../mod.ts";

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

/** Yields the lines of pieces in UTF-8, which come one character a byte, decoded. */
export async function* utf8Lines(pieces: AsyncIterable<string>): AsyncGenerator<string[], void> {
  let line = 1;
  for await (const lines of textLines(pieces)) {
    const isAscii = lines.every((one) => !BEYOND_ASCII.test(one));
    yield isAscii ? lines : utf8Text(bytesOfLines(lines), line).split(/(?<=\n)/);
    line += lines.length;
  }
}

/** A text of one character a byte that is more than ASCII. */
export const BEYOND_ASCII = /[\x80-\xff]/;

/** Returns the bytes of lines of one character a byte. */
export function bytesOfLines(lines: readonly string[]): Uint8Array {
  return Buffer.from(lines.join(""), "latin1");
}

/**
 * Decodes bytes in UTF-8; a byte order mark stays. `firstLine` is the number of the first line.
 *
 * @throws {ForkstackError} IMPORT_REFUSED with the line that is in another encoding, of which nothing is told.
 */
export function utf8Text(bytes: Uint8Array, firstLine = 1): string {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  try {
    return decoder.decode(bytes);
  } catch {
    const line = firstLine + lineOfFault(bytes);
    throw new ForkstackError("IMPORT_REFUSED", `Cannot read the data: line ${line} is not in UTF-8`, {
      hint: "Dump it again in UTF-8, or convert it: `iconv -f <its encoding> -t utf-8 old.sql > new.sql`",
    });
  }
}

/** Returns the index of the first line that is not in UTF-8: none of its characters spans two lines. */
function lineOfFault(bytes: Uint8Array): number {
  for (let [at, line] = [0, 0];; line++) {
    const end = bytes.indexOf(10, at);
    try {
      new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(at, end < 0 ? undefined : end));
    } catch {
      return line;
    }
    if (end < 0) return line;
    at = end + 1;
  }
}
