/**
 * Files of a person that get lines of ours at their end: `.gitignore`, `.dockerignore`, a Makefile. They may be in any
 * encoding that holds ASCII as it is; every byte that is there stays.
 *
 * @module
 */
import { ForkstackError } from "../../mod.ts";

/** Returns true unless a content is UTF-16 or the like, where lines of ours would be noise. */
export function takesLines(bytes: Uint8Array = new Uint8Array()): boolean {
  const [first, second] = bytes;
  return !bytes.includes(0) && !(first === 0xff && second === 0xfe) && !(first === 0xfe && second === 0xff);
}

/**
 * Returns the content of such a file as a text to look for lines in, never to be written.
 *
 * @throws {ForkstackError} CONFIG_INVALID if it takes no lines.
 */
export function linesText(path: string, bytes: Uint8Array | undefined): string {
  if (takesLines(bytes)) return new TextDecoder().decode(bytes);
  throw fileRefusal(path, "it must be text in UTF-8");
}

/** The error for a file of a person's that is not in the form that it must be in. */
export function fileRefusal(path: string, problem: string, advice?: string): ForkstackError {
  return new ForkstackError("CONFIG_INVALID", `Cannot read ${path}: ${problem}`, {
    hint: advice ?? "Fix it and run the same command again; nothing was changed",
  });
}

/** Returns a content with these lines added at its end, in its own style. */
export function withLines(bytes: Uint8Array = new Uint8Array(), lines: readonly string[]): Uint8Array {
  const [LF, CR] = [10, 13];
  const isCrlf = bytes.some((byte, at) => byte === LF && bytes[at - 1] === CR);
  const end = isCrlf ? "\r\n" : "\n";
  const open = bytes.length > 0 && bytes.at(-1) !== LF ? end : "";
  const added = new TextEncoder().encode(open + lines.map((line) => line + end).join(""));
  const whole = new Uint8Array(bytes.length + added.length);
  whole.set(bytes);
  whole.set(added, bytes.length);
  return whole;
}
