/**
 * The thread of md5.ts: takes bytes and answers `null` for each; takes `null` and answers with the MD5.
 *
 * @module
 */
import { createHash } from "node:crypto";

const hash = createHash("md5");
const thread = globalThis as unknown as { postMessage(answer: string | null): void };

addEventListener("message", (event) => {
  const { data } = event as MessageEvent<Uint8Array | null>;
  if (data === null) return thread.postMessage(hash.digest("hex"));
  hash.update(data);
  thread.postMessage(null);
});
