/**
 * The MD5 of a body, which S3 wants as the ETag. It is the slowest that is done with a body, so that of a large one is
 * computed beside, in a thread of its own, while this one receives and writes.
 *
 * @module
 */
import { createHash } from "node:crypto";

/** Takes bytes, piece by piece. */
export interface Md5 extends Disposable {
  /** Waits while too much is under way. Nobody else may need a piece of `LARGE_PIECE_BYTES` or more after this. */
  take(bytes: Uint8Array): unknown;
  /** Hexadecimal. */
  digest(): string | Promise<string>;
}

const LARGE_BYTES = 16 * 2 ** 20; // a thread takes some 20 ms to start
const MAX_WAITING = 64;

/** A piece of a body from this size on is written at once, so that it can be handed to another thread afterwards. */
export const LARGE_PIECE_BYTES = 32 * 1024;

/**
 * The thread: takes bytes and answers `null` for each; takes `null` and answers with the MD5. In a URL of its own text it
 * needs no file, so that it runs from a web server, a package and a binary alike, and no permission to read one.
 */
const THREAD = `data:text/javascript,${
  encodeURIComponent(`
    import { createHash } from "node:crypto";
    const hash = createHash("md5");
    addEventListener("message", ({ data }) => {
      if (data === null) return postMessage(hash.digest("hex"));
      hash.update(data);
      postMessage(null);
    });`)
}`;

/** Begins an MD5 of about so many bytes. */
export function md5Of(expectedBytes: number | undefined): Md5 {
  return (expectedBytes ?? 0) >= LARGE_BYTES && typeof Worker === "function" ? threaded() : inline();
}

function inline(): Md5 {
  const hash = createHash("md5");
  return { take: (bytes) => void hash.update(bytes), digest: () => hash.digest("hex"), [Symbol.dispose]: () => {} };
}

function threaded(): Md5 {
  const worker = new Worker(THREAD, { type: "module" });
  let waiting = 0, result: string | undefined, failure: Error | undefined;
  let wake = () => {};
  worker.onmessage = ({ data }: MessageEvent<string | null>) => {
    if (data === null) waiting--;
    else result = data;
    wake();
  };
  worker.onerror = (event) => {
    event.preventDefault();
    failure = new Error(`The MD5 could not be computed: ${event.message}`);
    wake();
  };
  const until = async (isDone: () => boolean) => {
    while (!isDone()) {
      if (failure !== undefined) throw failure;
      await new Promise<void>((resolve) => wake = resolve);
    }
  };
  return {
    async take(bytes) {
      await until(() => waiting < MAX_WAITING);
      waiting++;
      const isOwn = bytes.length >= LARGE_PIECE_BYTES && bytes.length === bytes.buffer.byteLength;
      const piece = isOwn ? bytes : new Uint8Array(bytes); // handed over, not copied, if nobody misses it
      worker.postMessage(piece, [piece.buffer as ArrayBuffer]);
    },
    async digest() {
      worker.postMessage(null);
      await until(() => result !== undefined);
      return result!;
    },
    [Symbol.dispose]: () => worker.terminate(),
  };
}
