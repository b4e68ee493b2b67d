/**
 * A proxy between a client and a real server: it takes requests one by one off a connection, and each is let through,
 * or the connection is cut before the server had it, or after it has acted and before its answer is told.
 */
import type { Pass } from "../faults.ts";

/** How a protocol cuts its bytes; each request has one answer. */
export interface Protocol {
  /** The first whole request in these bytes; `undefined`: there must be more. */
  request(
    bytes: Uint8Array,
  ): { readonly length: number; readonly what: string; readonly isChange: boolean } | undefined;
  /** The length of the first whole answer. */
  answer(bytes: Uint8Array): number | undefined;
}

/** Listens on a free port of this machine. */
export class TcpProxy implements AsyncDisposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #open = new Set<Deno.Conn>();
  readonly #work: Promise<unknown>;

  constructor(server: number, protocol: Protocol, pass: Pass) {
    this.#work = this.#accept(server, protocol, pass);
  }

  get port(): number {
    return (this.#listener.addr as Deno.NetAddr).port;
  }

  async #accept(server: number, protocol: Protocol, pass: Pass): Promise<void> {
    const all: Promise<unknown>[] = [];
    for await (const client of this.#listener) {
      this.#open.add(client);
      all.push(this.#serve(client, server, protocol, pass).catch(() => {}).finally(() => this.#close(client)));
    }
    await Promise.all(all);
  }

  async #serve(client: Deno.Conn, port: number, protocol: Protocol, pass: Pass): Promise<void> {
    const server = await Deno.connect({ hostname: "127.0.0.1", port });
    this.#open.add(server);
    try {
      const [requests, answers] = [new Frames(client), new Frames(server)];
      for (;;) {
        const request = await requests.next((bytes) => protocol.request(bytes));
        if (request === undefined) return;
        let answer: { bytes: Uint8Array } | undefined;
        await pass(request.what, request.isChange, async () => {
          await writeAll(server, request.bytes);
          answer = await answers.next((bytes) => {
            const length = protocol.answer(bytes);
            return length === undefined ? undefined : { length };
          });
        });
        if (answer === undefined) return;
        await writeAll(client, answer.bytes);
      }
    } finally {
      this.#close(server);
    }
  }

  #close(conn: Deno.Conn): void {
    if (this.#open.delete(conn)) conn.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    for (const conn of [...this.#open]) this.#close(conn);
    await this.#work;
  }
}

/** What comes on a connection, cut into frames. */
class Frames {
  readonly #conn: Deno.Conn;
  #held: Uint8Array = new Uint8Array(0);

  constructor(conn: Deno.Conn) {
    this.#conn = conn;
  }

  async next<T extends { length: number }>(
    cut: (bytes: Uint8Array) => T | undefined,
  ): Promise<T & { bytes: Uint8Array } | undefined> {
    const buffer = new Uint8Array(65_536);
    for (;;) {
      const found = cut(this.#held);
      if (found !== undefined) {
        const bytes = this.#held.slice(0, found.length);
        this.#held = this.#held.slice(found.length);
        return { ...found, bytes };
      }
      const count = await this.#conn.read(buffer);
      if (count === null) return undefined;
      const more = new Uint8Array(this.#held.length + count);
      more.set(this.#held);
      more.set(buffer.subarray(0, count), this.#held.length);
      this.#held = more;
    }
  }
}

async function writeAll(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
}
