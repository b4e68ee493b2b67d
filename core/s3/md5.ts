/**
 * The MD5 of a body, which S3 needs as the ETag. It is the slowest step for a body, so for a large one a second thread
 * computes it, while this one receives and writes.
 *
 * @module
 */
import { createHash } from "node:crypto";

/** A running MD5. */
export interface Md5 extends Disposable {
  /** Adds bytes; returns a promise to wait for if too much is queued. */
  take(bytes: Uint8Array): unknown;
  /** Returns the MD5 in hexadecimal. */
  digest(): string | Promise<string>;
}

const LARGE_BYTES = 16 * 2 ** 20; // a thread takes some 20 ms to start
const PAGE_BYTES = 2 ** 20;
const PAGES = 4;

/**
 * The thread: takes pages and answers `null` for each; takes `null` and answers with the MD5. As a URL of its own text
 * it needs no file, so that it works from a web server, a package and a binary alike, without permission to read.
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

/** Begins an MD5 of about this many bytes. */
export function md5Of(expectedBytes: number | undefined): Md5 {
  return (expectedBytes ?? 0) >= LARGE_BYTES && typeof Worker === "function" ? threaded() : inline();
}

function inline(): Md5 {
  const hash = createHash("md5");
  return { take: (bytes) => hash.update(bytes), digest: () => hash.digest("hex"), [Symbol.dispose]: () => {} };
}

/** Computes an MD5 in a thread, by pages in shared memory: one is filled here while the others are read there. */
function threaded(): Md5 {
  const worker = new Worker(THREAD, { type: "module" });
  const pages = Array.from({ length: PAGES }, () => new Uint8Array(new SharedArrayBuffer(PAGE_BYTES)));
  let sent = 0, waiting = 0, filled = 0;
  let result: string | undefined, failure: Error | undefined;
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
  const send = () => {
    worker.postMessage(pages[sent % PAGES].subarray(0, filled));
    [sent, waiting, filled] = [sent + 1, waiting + 1, 0];
  };
  return {
    async take(bytes) {
      for (let at = 0; at < bytes.length;) {
        if (waiting === PAGES) await until(() => waiting < PAGES);
        const some = bytes.subarray(at, at + PAGE_BYTES - filled);
        pages[sent % PAGES].set(some, filled);
        filled += some.length;
        at += some.length;
        if (filled === PAGE_BYTES) send();
      }
    },
    async digest() {
      send();
      worker.postMessage(null);
      await until(() => result !== undefined);
      return result!;
    },
    [Symbol.dispose]: () => worker.terminate(),
  };
}
