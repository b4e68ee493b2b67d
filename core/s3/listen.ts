/**
 * The HTTP port, by `node:http` in every runtime, because only that closes half open connections. It passes on a
 * request's target as it was sent; a `URL` would remove `..` from a key.
 *
 * @module
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Readable } from "node:stream";
import { S3Error } from "./error.ts";
import type { S3Handler } from "./server.ts";

/** A running server. */
export interface Listening {
  readonly port: number;
  /** Stops after all running requests are answered. */
  stop(): Promise<void>;
}

/** Longest times without progress on a connection, in milliseconds; the total time is not limited. */
export interface Limits {
  /** From the first byte of a request, or from the connection, to the end of its headers. */
  readonly headersMs: number;
  /** Until the next bytes of a body arrive. */
  readonly bodyMs: number;
  /** Between two requests. */
  readonly idleMs: number;
  /** Until the reader of an answer takes more bytes. */
  readonly sendMs: number;
}

const LIMITS: Limits = { headersMs: 30_000, bodyMs: 60_000, idleMs: 60_000, sendMs: 600_000 };

const HOSTNAME = "127.0.0.1";
const METHODS = ["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"];
const ALLOW = METHODS.join(", ");

/** The running requests. */
class UnderWay {
  readonly #all = new Set<Promise<unknown>>();
  /** True once no further request is accepted. */
  isOver = false;

  add(ended: Promise<unknown>): void {
    const settled: Promise<unknown> = ended.finally(() => this.#all.delete(settled));
    this.#all.add(settled);
  }

  async end(): Promise<void> {
    this.isOver = true;
    while (this.#all.size > 0) await Promise.all(this.#all);
  }
}

/** Rejects with Deno's own error if it may not listen: its `node:http` throws that one where nobody can catch it. */
async function assertMayListen(port: number): Promise<void> {
  const deno = (globalThis as { Deno?: typeof Deno }).Deno;
  const host = `${HOSTNAME}:${port}`;
  const asked = await deno?.permissions.request({ name: "net", host });
  if (asked === undefined || asked.state === "granted") return;
  throw new deno!.errors.NotCapable(`Requires net access to "${host}"`);
}

/**
 * Listens on loopback; port 0 chooses a free one. Rejects with `EADDRINUSE` if another process listens, and with
 * `NotCapable` if Deno may not.
 */
export async function listen(handler: S3Handler, port: number, limits: Limits = LIMITS): Promise<Listening> {
  await assertMayListen(port);
  const { createServer } = await import("node:http");
  const underWay = new UnderWay();
  const accept = (incoming: IncomingMessage, outgoing: ServerResponse) => {
    const closed = new Promise<void>((resolve) => outgoing.on("close", resolve));
    underWay.add(closed);
    outgoing.on("error", () => {}); // the reader went away
    if (underWay.isOver) outgoing.writeHead(503, { connection: "close", "content-length": "0" }).end();
    else respond(handler, limits, incoming, outgoing).catch(() => outgoing.destroy());
  };
  const server = createServer({
    headersTimeout: limits.headersMs,
    requestTimeout: 0, // of the whole request: it would cut a large upload
    keepAliveTimeout: limits.idleMs,
    connectionsCheckingInterval: Math.min(limits.headersMs, 5_000),
  }, accept);
  server.on("checkContinue", accept);
  server.on("connect", (_incoming, socket) => {
    socket.on("error", () => {});
    socket.end(`HTTP/1.1 405 Method Not Allowed\r\nAllow: ${ALLOW}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, HOSTNAME, resolve);
  });
  return {
    port: (server.address() as { port: number }).port,
    async stop() {
      await underWay.end();
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

async function respond(
  handler: S3Handler,
  limits: Limits,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  const method = incoming.method ?? "";
  // A `Request` can't even be made of TRACE.
  if (!METHODS.includes(method)) return refuse(outgoing, 405, { allow: ALLOW });
  const headers = headersOf(incoming);
  if (headers === undefined) return refuse(outgoing, 400);
  const hasBody = method !== "GET" && method !== "HEAD";
  const begin = () => incoming.headers.expect !== undefined && outgoing.writeContinue();
  const body = hasBody ? bodyOf(incoming, limits.bodyMs, begin) : undefined;
  const init = { method, headers, body, duplex: "half" }; // Node wants `duplex`, of which not every `RequestInit` knows
  const request = new Request(`http://${HOSTNAME}/`, init);
  const response = await handler(request, incoming.url ?? "/");
  // What is left of a body that nobody wants would be taken for the next request.
  const isLeft = !incoming.complete;
  if (isLeft) response.headers.set("connection", "close");
  outgoing.writeHead(response.status, Object.fromEntries(response.headers));
  if (response.body !== null) await send(response, outgoing, limits.sendMs);
  outgoing.end();
  if (isLeft && !incoming.complete) outgoing.once("finish", () => incoming.socket.destroySoon());
}

const SMALL_BYTES = 64 * 1024;

/** Sends a body as fast as the client reads it; a failure of one side ends the other. */
async function send(response: Response, outgoing: ServerResponse, limitMs: number): Promise<void> {
  if (Number(response.headers.get("content-length") ?? Infinity) <= SMALL_BYTES) { // a stream would cost more
    outgoing.end(new Uint8Array(await response.arrayBuffer()));
    return;
  }
  outgoing.setTimeout(limitMs, () => outgoing.destroy());
  const reader = response.body!.getReader();
  const closed = new Promise<void>((resolve) => outgoing.once("close", resolve));
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      if (outgoing.write(value)) continue;
      await Promise.race([closed, new Promise((resolve) => outgoing.once("drain", resolve))]);
      if (outgoing.destroyed) return;
    }
  } finally {
    await reader.cancel();
  }
}

function refuse(outgoing: ServerResponse, status: number, headers: Record<string, string> = {}): void {
  outgoing.writeHead(status, { ...headers, connection: "close", "content-length": "0" }).end();
}

/** Returns a request's headers; `undefined` if they are invalid. */
function headersOf(incoming: IncomingMessage): Headers | undefined {
  try {
    const headers = new Headers();
    for (let at = 0; at < incoming.rawHeaders.length; at += 2) {
      const [name, value] = [incoming.rawHeaders[at]!, incoming.rawHeaders[at + 1]!];
      const before = headers.get(name);
      headers.set(name, before === null ? value : `${before},${value}`); // `append` adds a space, which none has signed
    }
    return headers;
  } catch {
    return undefined;
  }
}

/** Returns a request's body, read on demand; `begin` is called before the first reading. */
function bodyOf(incoming: Readable, limitMs: number, begin: () => void): ReadableStream<Uint8Array> {
  let hasBegun = false;
  const pieces = incoming.iterator({ destroyOnReturn: false }); // an answer still goes out
  return new ReadableStream({
    async pull(controller) {
      if (!hasBegun) begin();
      hasBegun = true;
      const next = pieces.next();
      let timer: ReturnType<typeof setTimeout>;
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(() =>
          reject(
            new S3Error("RequestTimeout", "The connection to the server was not written to within the timeout period"),
          ), limitMs);
      });
      try {
        const { done, value } = await Promise.race([next, late]);
        if (done) controller.close();
        else controller.enqueue(value);
      } catch (error) {
        next.catch(() => {}); // it comes too late
        controller.error(error);
      } finally {
        clearTimeout(timer!);
      }
    },
  }, { highWaterMark: 0 });
}
