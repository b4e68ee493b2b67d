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
  async function answerHere(request: Request): Promise<Response> {
    request.signal.throwIfAborted();
    const hasBody = request.method !== "GET" && request.method !== "HEAD";
    const body = hasBody ? { body: await request.arrayBuffer() } : {};
    const headers = new Headers(request.headers);
    headers.set("host", host);
    const response = await current().handle(new Request(request.url, { method: request.method, headers, ...body }));
    request.signal.throwIfAborted();
    return response;
  }
  return { url: `http://${host}`, host, answer: answerHere, close, [Symbol.asyncDispose]: close };
}
