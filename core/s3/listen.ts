/**
 * A port on which requests come in: Deno's own server where it is there, `node:http` elsewhere. Both hand on the target
 * of a request as it was sent; a `URL` would take `..` out of a key.
 *
 * @module
 */
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

function listenByDeno(on: typeof Deno, handler: S3Handler, port: number): Listening {
  const server = on.serve(
    { port, hostname: HOSTNAME, onListen: () => {} },
    (request) => handler(request, request.url.slice(request.url.indexOf("/", "http://".length))),
  );
  return {
    port: server.addr.port,
    async stop() {
      await server.shutdown();
    },
  };
}

/** As `listen`, by `node:http`. */
export async function listenByNode(handler: S3Handler, port: number): Promise<Listening> {
  const { createServer } = await import("node:http");
  const { Readable } = await import("node:stream");
  const server = createServer(async (incoming, outgoing) => {
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
    else Readable.fromWeb(response.body as never).on("error", () => outgoing.destroy()).pipe(outgoing);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, HOSTNAME, resolve);
  });
  return {
    port: (server.address() as { port: number }).port,
    stop: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
