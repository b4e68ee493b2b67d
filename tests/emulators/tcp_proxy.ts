/**
 * A proxy between a client and a real server: it takes requests one by one off a connection, and each is let through,
 * or the connection is cut before the server had it, or after it has acted and before its answer is told.
 */
import type { Pass } from "../faults.ts";

/** A whole request at the beginning of some bytes. */
export interface ProxyRequest {
  readonly length: number;
  /** Its name in a story of faults; absent: it is let through, uncounted. */
  readonly what?: string;
  readonly isChange: boolean;
  /** It has no answer, and ends the connection. */
  readonly isLast?: boolean;
}

/** The rules by which a protocol's bytes are cut; each request has one answer. */
export interface Protocol {
  /** Returns the first whole request in these bytes; `undefined` if there must be more. */
  request(bytes: Uint8Array): ProxyRequest | undefined;
  /** Returns the length of the first whole answer, to this request; `undefined` if there must be more. */
  answer(bytes: Uint8Array, request: ProxyRequest): number | undefined;
  /** Passes on what comes before the first request. */
  greet?(client: Frames, server: Frames): Promise<void>;
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
      client.setNoDelay();
      all.push(this.#serve(client, server, protocol, pass).catch(() => {}).finally(() => this.#close(client)));
    }
    await Promise.all(all);
  }

  async #serve(client: Deno.Conn, port: number, protocol: Protocol, pass: Pass): Promise<void> {
    const server = await Deno.connect({ hostname: "127.0.0.1", port });
    this.#open.add(server);
    server.setNoDelay();
    try {
      const [requests, answers] = [new Frames(client), new Frames(server)];
      await protocol.greet?.(requests, answers);
      for (;;) {
        const request = await requests.next((bytes) => protocol.request(bytes));
        if (request === undefined) return;
        let answer: { bytes: Uint8Array } | undefined;
        const act = async () => {
          await answers.write(request.bytes);
          if (request.isLast) return;
          answer = await answers.next((bytes) => {
            const length = protocol.answer(bytes, request);
            return length === undefined ? undefined : { length };
          });
        };
        await (request.what === undefined ? act() : pass(request.what, request.isChange, act));
        if (answer === undefined) return;
        await requests.write(answer.bytes);
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

/** One side of a connection; its bytes are read frame by frame. */
export class Frames {
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

  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) at += await this.#conn.write(bytes.subarray(at));
  }
}
