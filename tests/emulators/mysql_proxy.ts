/**
 * A proxy before a real server of MySQL's protocol: it takes the commands of each connection one by one, and each is let
 * through, or the connection is cut before the server had it, or after it has acted and before its answer is told.
 *
 * - https://dev.mysql.com/doc/dev/mysql-server/latest/PAGE_PROTOCOL.html
 */
import type { Pass } from "../faults.ts";

const [CLIENT_DEPRECATE_EOF, SERVER_MORE_RESULTS_EXISTS] = [1 << 24, 8];
const [OK, EOF, ERROR] = [0x00, 0xfe, 0xff];
/** A command by its first byte; what ends or tests a connection is let through uncounted. */
const QUERY = 0x03;

/** Statements that only look, or change nothing but their own session. */
const LOOKS = /^\s*(SELECT|SHOW|SET|USE|LOCK|UNLOCK|START|PREPARE)\b/;

/** Listens on a free port of this machine. */
export class MySqlProxy implements AsyncDisposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #open = new Set<Deno.Conn>();
  readonly #work: Promise<unknown>;

  constructor(server: number, pass: Pass) {
    this.#work = this.#accept(server, pass);
  }

  get port(): number {
    return (this.#listener.addr as Deno.NetAddr).port;
  }

  async #accept(server: number, pass: Pass): Promise<void> {
    const all: Promise<unknown>[] = [];
    for await (const client of this.#listener) {
      this.#open.add(client);
      client.setNoDelay();
      all.push(this.#serve(client, server, pass).catch(() => {}).finally(() => this.#close(client)));
    }
    await Promise.all(all);
  }

  async #serve(client: Deno.Conn, port: number, pass: Pass): Promise<void> {
    const server = await Deno.connect({ hostname: "127.0.0.1", port });
    this.#open.add(server);
    server.setNoDelay();
    try {
      const [requests, answers] = [new Packets(client), new Packets(server)];
      await greet(client, server, requests, answers);
      for (;;) {
        const request = await requests.next();
        if (request === undefined) return;
        if (request[4] !== QUERY) {
          await writeAll(server, request);
          if (request[4] === 0x01) return; // COM_QUIT has no answer
          await writeAll(client, (await answers.next())!);
          continue;
        }
        const text = new TextDecoder().decode(request.subarray(5));
        let answer: Uint8Array[] = [];
        await pass(text.replace(/\s+/g, " ").slice(0, 60), !LOOKS.test(text), async () => {
          await writeAll(server, request);
          answer = await wholeAnswer(answers);
        });
        for (const packet of answer) await writeAll(client, packet);
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

/** Lets the two get to know each other; without a shorter form of answers, which this proxy does not read. */
async function greet(client: Deno.Conn, server: Deno.Conn, requests: Packets, answers: Packets): Promise<void> {
  const greeting = (await answers.next())!;
  const upper = greeting.indexOf(0, 5) + 4 + 8 + 1 + 2 + 1 + 2 + 1; // https://.../page_protocol_connection_phase_packets_protocol_handshake_v10.html
  greeting[upper + 1]! &= ~(CLIENT_DEPRECATE_EOF >>> 24);
  await writeAll(client, greeting);
  for (;;) {
    const said = await requests.next();
    if (said === undefined) throw new Error("the client left");
    await writeAll(server, said);
    const answer = (await answers.next())!;
    await writeAll(client, answer);
    if (answer[4] === OK || answer[4] === ERROR) return;
  }
}

/** All packets of an answer, with the results of later statements. */
async function wholeAnswer(answers: Packets): Promise<Uint8Array[]> {
  const all: Uint8Array[] = [];
  const next = async () => {
    const packet = await answers.next();
    if (packet === undefined) throw new Error("the server hung up");
    all.push(packet);
    return packet;
  };
  const isEnd = (packet: Uint8Array) => packet[4] === EOF && packet.length < 4 + 9;
  for (;;) {
    const first = await next();
    if (first[4] === ERROR) return all;
    let status: number;
    if (first[4] === OK) {
      let at = 5;
      for (const _ of ["affected rows", "last insert id"]) at += sizeOfInteger(first[at]!);
      status = first[at]!;
    } else {
      while (!isEnd(await next())); // columns
      let last = await next();
      while (!isEnd(last) && last[4] !== ERROR) last = await next();
      if (last[4] === ERROR) return all;
      status = last[7]!;
    }
    if ((status & SERVER_MORE_RESULTS_EXISTS) === 0) return all;
  }
}

/** https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_dt_integers.html#sect_protocol_basic_dt_int_le */
function sizeOfInteger(first: number): number {
  return first < 0xfb ? 1 : first === 0xfc ? 3 : first === 0xfd ? 4 : 9;
}

/** What comes on a connection, cut into packets. */
class Packets {
  readonly #conn: Deno.Conn;
  #held: Uint8Array = new Uint8Array(0);

  constructor(conn: Deno.Conn) {
    this.#conn = conn;
  }

  async next(): Promise<Uint8Array | undefined> {
    const buffer = new Uint8Array(65_536);
    for (;;) {
      const held = this.#held;
      const size = held.length < 4 ? Infinity : 4 + (held[0]! | held[1]! << 8 | held[2]! << 16);
      if (held.length >= size) {
        this.#held = held.slice(size);
        return held.slice(0, size);
      }
      const count = await this.#conn.read(buffer);
      if (count === null) return undefined;
      const more = new Uint8Array(held.length + count);
      more.set(held);
      more.set(buffer.subarray(0, count), held.length);
      this.#held = more;
    }
  }
}

async function writeAll(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
}
