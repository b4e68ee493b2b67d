/**
 * A port on which requests come in: Deno's own server where it is there, `node:http` elsewhere. Both hand on the target
 * of a request as it was sent; a `URL` would take `..` out of a key.
 *
 * @module
 */
import { sleep } from "../host.ts";
import type { S3Handler } from "./server.ts";

const deno = (globalThis as { Deno?: typeof Deno }).Deno;

/** A server that listens. */
export interface Listening {
  readonly port: number;
  /** Answers what is under way, then ends. */
  stop(): Promise<void>;
}

/** Listens on loopback; port 0 takes a free one. Fails with `EADDRINUSE` where another process listens. */
export async function listen(handler: S3Handler, port: number): Promise<Listening> {
  return deno === undefined ? await listenByNode(handler, port) : listenByDeno(deno, handler, port);
}

const HOSTNAME = "127.0.0.1";

/** The requests that are under way. */
class UnderWay {
  readonly #all = new Set<Promise<unknown>>();
  /** No more are taken on. */
  isOver = false;

  add(ended: Promise<unknown>): void {
    const settled: Promise<unknown> = ended.catch(() => {}).finally(() => this.#all.delete(settled));
    this.#all.add(settled);
  }

  async end(): Promise<void> {
    this.isOver = true;
    while (this.#all.size > 0) await Promise.all(this.#all);
  }
}

const MOST_WAITED_MS = 1_000;
const STOPPING: ResponseInit = { status: 503, headers: { connection: "close" } };

function listenByDeno(on: typeof Deno, handler: S3Handler, port: number): Listening {
  const underWay = new UnderWay();
  const close = new AbortController();
  const server = on.serve(
    { port, hostname: HOSTNAME, onListen: () => {}, signal: close.signal },
    (request, { completed }) => {
      underWay.add(completed);
      if (underWay.isOver) return new Response(null, STOPPING);
      return handler(request, request.url.slice(request.url.indexOf("/", "http://".length)));
    },
  );
  return {
    port: server.addr.port,
    // Deno now and then waits minutes for a connection that is merely kept open (2.9.6, shutdown() too): nobody else does.
    async stop() {
      await underWay.end();
      close.abort();
      const ended = new AbortController();
      await Promise.race([server.finished, sleep(MOST_WAITED_MS, ended.signal).catch(() => {})]);
      ended.abort();
    },
  };
}

/** As `listen`, by `node:http`. */
export async function listenByNode(handler: S3Handler, port: number): Promise<Listening> {
  const { createServer } = await import("node:http");
  const { pipeline, Readable } = await import("node:stream");
  const underWay = new UnderWay();
  const server = createServer(async (incoming, outgoing) => {
    underWay.add(new Promise((resolve) => outgoing.on("close", resolve)));
    if (underWay.isOver) return void outgoing.writeHead(STOPPING.status!, { connection: "close" }).end();
    const method = incoming.method ?? "GET";
    const hasBody = method !== "GET" && method !== "HEAD";
    const request = new Request(`http://${HOSTNAME}/`, {
      method,
      headers: Object.entries(incoming.headersDistinct).flatMap(([name, values]) =>
        (values ?? []).map((value): [string, string] => [name, value])
      ),
      ...(hasBody && { body: Readable.toWeb(incoming) as ReadableStream<Uint8Array>, duplex: "half" }),
    });
    const response = await handler(request, incoming.url ?? "/");
    outgoing.writeHead(response.status, Object.fromEntries(response.headers));
    if (response.body === null) outgoing.end();
    else pipeline(Readable.fromWeb(response.body as never), outgoing, () => {}); // either's end by failure is the other's
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
