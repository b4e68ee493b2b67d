/**
 * What puts an emulator of an HTTP API on loopback.
 */
import { Buffer } from "node:buffer";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A vendor that answers requests. */
export interface Vendor {
  handle(request: Request): Promise<Response>;
}

/** A server of an emulator. */
export interface Served extends AsyncDisposable {
  readonly url: string;
  /** `127.0.0.1:1234`. */
  readonly host: string;
  /** Answers without a connection, in this process: where thousands of requests are made, that is most of their cost. */
  answer(request: Request): Promise<Response>;
  close(): Promise<void>;
}

/** Serves whichever vendor is there at the moment, on a free loopback port. */
export async function serve(current: () => Vendor): Promise<Served> {
  async function answer(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of incoming) chunks.push(chunk);
    const { method = "GET", url: path = "/" } = incoming;
    const body = method === "GET" || method === "HEAD" ? undefined : Buffer.concat(chunks);
    const headers = Object.entries(incoming.headers).filter(([, value]) => typeof value === "string");
    const request = new Request(new URL(path, `http://${incoming.headers.host}`), {
      method,
      headers: headers as [string, string][],
      body,
    });
    const response = await current().handle(request);
    const bytes = Buffer.from(await response.arrayBuffer());
    // Deno's fetch sends even a POST again when a reused connection breaks.
    outgoing.writeHead(response.status, { ...Object.fromEntries(response.headers), connection: "close" }).end(bytes);
  }
  const server = createServer((incoming, outgoing) => {
    answer(incoming, outgoing).catch(() => outgoing.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  async function close(): Promise<void> {
    const stopped = new Promise<void>((resolve) => server.close(() => resolve()));
    server.closeAllConnections();
    await stopped;
  }
  const answerHere = (request: Request) => unconnected(request, (received) => current().handle(received));
  return { url: `http://${host}`, host, answer: answerHere, close, [Symbol.asyncDispose]: close };
}

/** Has a handler answer a request as if it had come over a connection. */
export async function unconnected(
  request: Request,
  handle: (request: Request) => Promise<Response> | Response,
): Promise<Response> {
  const { method, signal, url } = request;
  signal.throwIfAborted();
  const headers = new Headers(request.headers);
  headers.set("host", new URL(url).host);
  const body = method === "GET" || method === "HEAD" ? {} : { body: await request.arrayBuffer() };
  if (body.body !== undefined) headers.set("content-length", String(body.body.byteLength));
  const response = await handle(new Request(url, { method, headers, ...body }));
  signal.throwIfAborted();
  return response;
}
