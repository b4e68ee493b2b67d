/**
 * Databases of a Redis vendor that really answer: logical databases of one real server behind a front, where the
 * password says which one it is, as at a vendor each has a host of its own. Over HTTP the front speaks Upstash's REST API.
 */
import { Buffer } from "node:buffer";
import { createServer as createHttpServer, type Server as HttpServer } from "node:http";
import { type AddressInfo, connect, createServer, type Server as NetServer, type Socket } from "node:net";
import { RESP, Server } from "./redis_server.ts";

/** The databases that the tests of one file share: at most this many at a time. */
const MOST = 4_000;

/** A database of the vendor. */
export interface Place {
  /** The number of the logical database. */
  readonly index: number;
  password: string;
  restToken: string;
  /** True if it accepts connections. @default {true} */
  isOpen: boolean;
}

const ALL = "local keys = redis.call('KEYS', '*') table.sort(keys)";

export class Databases {
  readonly server: Server;
  /** The address of the front; for both protocols. */
  port = 0;
  readonly #places = new Set<Place>();
  readonly #free = Array.from({ length: MOST - 1 }, (_, at) => MOST - 1 - at);
  readonly #sockets = new Set<Socket>();
  readonly #tenant = crypto.randomUUID();
  #front!: NetServer;
  #http!: HttpServer;

  private constructor(server: Server) {
    this.server = server;
  }

  static async start(): Promise<Databases> {
    const all = new Databases(await Server.start("--databases", String(MOST)));
    globalThis.addEventListener("unload", () => all.server.directory[Symbol.dispose]());
    const rules = "reset on ~* &* +@all -@admin -select -swapdb -move -flushall -function|flush".split(" ");
    await all.server.admin.call("ACL", "SETUSER", "tenant", ...rules, `>${all.#tenant}`);
    all.#http = createHttpServer(async (incoming, outgoing) => {
      const chunks: Uint8Array[] = [];
      for await (const chunk of incoming) chunks.push(chunk);
      const token = /^Bearer (.+)$/i.exec(incoming.headers.authorization ?? "")?.[1];
      const isEncoded = incoming.headers["upstash-encoding"] === "base64";
      const [status, answer] = await all.#rest(incoming.url ?? "/", token, Buffer.concat(chunks).toString(), isEncoded);
      const headers = { "content-type": "application/json", "connection": "close", "x-request-id": "rest-1" };
      outgoing.writeHead(status, headers).end(JSON.stringify(answer));
    });
    const httpPort = await listening(all.#http);
    all.#front = createServer((socket) => {
      all.#watch(socket);
      socket.once("data", (first: Uint8Array) => {
        if (first[0] === 0x2a) all.#redis(socket, first); // "*": an array of RESP
        else {
          const inner = all.#watch(connect(httpPort, "127.0.0.1"));
          inner.write(first);
          socket.pipe(inner).pipe(socket);
        }
      });
    });
    all.port = await listening(all.#front);
    return all;
  }

  make(password: string = crypto.randomUUID()): Place {
    const place = { index: this.#free.pop()!, password, restToken: crypto.randomUUID(), isOpen: true };
    this.#places.add(place);
    return place;
  }

  async remove(place: Place): Promise<void> {
    this.#places.delete(place);
    await this.#in(place, "redis.call('FLUSHDB')");
    this.#free.push(place.index);
  }

  /** Runs a command as an administrator. */
  async send(place: Place, ...command: readonly string[]): Promise<unknown> {
    const [name, ...args] = command;
    // In capitals: of some small ones ioredis makes objects.
    const answers = await this.server.admin.multi().select(place.index).call(name!.toUpperCase(), ...args).select(0)
      .exec();
    const [error, answer] = answers![1]!;
    if (error) throw error;
    return answer;
  }

  /** Copies all keys of one into another, which is emptied first. */
  async copy(from: Place, to: Place): Promise<void> {
    await this.#in(to, "redis.call('FLUSHDB')");
    await this.#in(from, `${ALL} for _, key in ipairs(keys) do redis.call('COPY', key, key, 'DB', ARGV[2]) end`, to);
  }

  /** Returns a digest of the contents of each: keys, values, expiry. */
  async digests(places: readonly Place[]): Promise<string[]> {
    const script = `local found = {}
for _, index in ipairs(ARGV) do
  redis.call('SELECT', index)
  ${ALL}
  local parts = {}
  for _, key in ipairs(keys) do
    parts[#parts + 1] = key .. '=' .. redis.call('DUMP', key) .. redis.call('PEXPIRETIME', key)
  end
  found[#found + 1] = redis.sha1hex(table.concat(parts, '/'))
end
return found`;
    return await this.server.admin.call("EVAL", script, 0, ...places.map(({ index }) => index)) as string[];
  }

  async close(): Promise<void> {
    const stopped = [this.#front, this.#http].map((one) => new Promise((resolve) => one.close(resolve)));
    for (const socket of this.#sockets) socket.destroy();
    this.#http.closeAllConnections();
    await Promise.all(stopped);
    await this.server[Symbol.asyncDispose]();
  }

  async #in(place: Place, script: string, other?: Place): Promise<void> {
    const whole = `redis.call('SELECT', ARGV[1]) ${script}`;
    await this.server.admin.call("EVAL", whole, 0, place.index, other?.index ?? 0);
  }

  #watch(socket: Socket): Socket {
    this.#sockets.add(socket);
    return socket.on("error", () => {}).on("close", () => this.#sockets.delete(socket));
  }

  /** Answers a client until it has logged in; then the server does. */
  #redis(socket: Socket, first: Uint8Array): void {
    let unread = Buffer.from(first);
    const read = () => {
      for (;;) {
        const command = RESP.request(unread);
        if (command === undefined) return;
        const words = unread.subarray(0, command.length).toString().split("\r\n");
        unread = unread.subarray(command.length);
        const isHello = command.what === "HELLO" && words[6]?.toUpperCase() === "AUTH"; // a login and the protocol
        const password = isHello ? words[10] : words[0] === "*3" ? words[6] : words[4];
        const place = [...this.#places].find((one) => one.isOpen && one.password === password);
        if (!isHello && command.what !== "AUTH") socket.write("-NOAUTH Authentication required.\r\n");
        else if (place === undefined) {
          socket.write("-WRONGPASS invalid username-password pair or user is disabled.\r\n");
        } else {
          const hello = isHello ? `*2\r\n$5\r\nHELLO\r\n$1\r\n${words[4]}\r\n` : "";
          if (!isHello) socket.write("+OK\r\n");
          return void this.#forward(socket.off("data", more), place, Buffer.concat([Buffer.from(hello), unread]));
        }
      }
    };
    const more = (chunk: Uint8Array) => {
      unread = Buffer.concat([unread, chunk]);
      read();
    };
    socket.on("data", more);
    read();
  }

  #forward(socket: Socket, { index }: Place, unread: Uint8Array): void {
    socket.pause();
    const inner = this.#watch(connect(this.server.port, "127.0.0.1"));
    const login = [["AUTH", "default", this.server.password], ["SELECT", `${index}`], ["AUTH", "tenant", this.#tenant]];
    for (const words of login) {
      inner.write(`*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join("")}`);
    }
    const expected = "+OK\r\n".repeat(login.length);
    let answer = "";
    const opened = (chunk: Uint8Array) => {
      answer += Buffer.from(chunk).toString();
      if (answer.length < expected.length) return;
      inner.off("data", opened);
      inner.write(unread);
      socket.pipe(inner).pipe(socket);
      socket.on("close", () => inner.destroy());
      inner.on("close", () => socket.destroy());
    };
    inner.on("data", opened);
  }

  /** https://upstash.com/docs/redis/features/restapi */
  async #rest(path: string, token: string | undefined, body: string, isEncoded: boolean): Promise<[number, unknown]> {
    const place = [...this.#places].find((one) => one.isOpen && one.restToken === token);
    if (place === undefined) return [401, { error: "WRONGPASS invalid or missing auth token" }];
    const encoded = (value: unknown): unknown =>
      Array.isArray(value)
        ? value.map(encoded)
        : isEncoded && typeof value === "string" && value !== "OK"
        ? Buffer.from(value).toString("base64")
        : value;
    const run = async (command: unknown[]) => {
      try {
        return { result: encoded(await this.send(place, ...command.map(String))) };
      } catch (error) {
        return { error: (error as Error).message };
      }
    };
    const given = JSON.parse(body || "[]");
    if (path === "/pipeline" || path === "/multi-exec") {
      const answers = [];
      for (const command of given) answers.push(await run(command));
      return [200, answers];
    }
    const answer = await run(path === "/" ? given : path.slice(1).split("/").map(decodeURIComponent));
    return ["error" in answer ? 400 : 200, answer];
  }
}

async function listening(server: NetServer | HttpServer): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}
