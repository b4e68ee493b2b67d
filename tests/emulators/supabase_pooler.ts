/**
 * The addresses of Supabase's databases: a listener that takes a client's first message, puts the role and the database
 * of a real server in place of `postgres`, and passes on all the rest.
 */
import type { Databases, Room } from "./supabase_databases.ts";

const SSL_REQUEST = 80_877_103;
const VERSION_3 = 196_608;

/** A listener on a free port. */
export class Door {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #conns = new Set<Deno.Conn>();
  readonly #work: Promise<void>;
  readonly #databases: Databases;
  readonly #roomOf: (user: string) => Room | undefined;
  readonly #open: (room: Room) => Promise<string>;
  #isShut = false;

  /** `roomOf` tells where a user belongs, `open` the name of the database there. */
  constructor(
    databases: Databases,
    roomOf: (user: string) => Room | undefined,
    open: (room: Room) => Promise<string>,
  ) {
    this.#databases = databases;
    this.#roomOf = roomOf;
    this.#open = open;
    this.#work = this.#accept();
  }

  get port(): number {
    return (this.#listener.addr as Deno.NetAddr).port;
  }

  /** From now on nobody is let in. */
  shut(): void {
    if (!this.#isShut) this.#listener.close();
    this.#isShut = true;
    for (const conn of this.#conns) this.#end(conn);
  }

  async close(): Promise<void> {
    this.shut();
    await this.#work;
  }

  async #accept(): Promise<void> {
    const all: Promise<void>[] = [];
    for await (const client of this.#listener) all.push(this.#serve(client));
    await Promise.all(all);
  }

  async #serve(client: Deno.Conn): Promise<void> {
    this.#conns.add(client);
    let server: Deno.Conn | undefined;
    try {
      const parameters = await startOf(client);
      const room = parameters && this.#roomOf(parameters.get("user") ?? "");
      if (parameters === undefined) return;
      if (room !== undefined && room.refusing-- > 0) {
        return void await client.write(refusal("57P03", "the database system is starting up"));
      }
      if (room === undefined) return void await client.write(refusal("XX000", "Tenant or user not found"));
      const name = await this.#open(room);
      server = await Deno.connect({ hostname: "127.0.0.1", port: this.#databases.server.port });
      this.#conns.add(server);
      await server.write(startup(new Map([...parameters, ["user", name], ["database", name]])));
      await Promise.all(
        [pass(client, server), pass(server, client)].map((one) => one.finally(() => this.#end(client, server!))),
      );
    } catch {
      /* one of the two is gone */
    } finally {
      this.#end(client, ...(server ? [server] : []));
    }
  }

  #end(...conns: Deno.Conn[]): void {
    for (const conn of conns) if (this.#conns.delete(conn)) conn.close();
  }
}

async function pass(from: Deno.Conn, to: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(65_536);
  for (;;) {
    const count = await from.read(buffer);
    if (count === null) return;
    for (let at = 0; at < count;) at += await to.write(buffer.subarray(at, count));
  }
}

async function exactly(conn: Deno.Conn, size: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size;) {
    const count = await conn.read(bytes.subarray(at));
    if (count === null) return undefined;
    at += count;
  }
  return bytes;
}

/** The parameters of the startup message; whoever asks for TLS is told that there is none. */
async function startOf(conn: Deno.Conn): Promise<Map<string, string> | undefined> {
  for (;;) {
    const head = await exactly(conn, 8);
    if (head === undefined) return undefined;
    const view = new DataView(head.buffer);
    const code = view.getInt32(4);
    if (code === SSL_REQUEST) {
      await conn.write(new TextEncoder().encode("N"));
      continue;
    }
    if (code !== VERSION_3) return undefined;
    const body = await exactly(conn, view.getInt32(0) - 8);
    if (body === undefined) return undefined;
    const words = new TextDecoder().decode(body).split("\0");
    const parameters = new Map<string, string>();
    for (let i = 0; words[i]; i += 2) parameters.set(words[i]!, words[i + 1]!);
    return parameters;
  }
}

function startup(parameters: ReadonlyMap<string, string>): Uint8Array {
  const body = new TextEncoder().encode([...parameters].flat().join("\0") + "\0\0");
  const message = new Uint8Array(8 + body.length);
  const view = new DataView(message.buffer);
  view.setInt32(0, message.length);
  view.setInt32(4, VERSION_3);
  message.set(body, 8);
  return message;
}

/** A FATAL error as the pooler tells it. */
function refusal(code: string, text: string): Uint8Array {
  const body = new TextEncoder().encode(`SFATAL\0VFATAL\0C${code}\0M${text}\0\0`);
  const message = new Uint8Array(5 + body.length);
  message[0] = 0x45; // "E"
  new DataView(message.buffer).setInt32(1, 4 + body.length);
  message.set(body, 5);
  return message;
}
