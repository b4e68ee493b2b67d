/**
 * A real server of MySQL's protocol for tests: Debian's MariaDB in a temporary directory, on a free port, as a user that
 * is not root. Before it stands an edge, which sends each user to the schema of its own whatever database it asks for.
 */
import { Buffer } from "node:buffer";
import { spawn } from "node:child_process";
import * as fs from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { type Connection, createConnection } from "npm:mysql2@3.24.5/promise";
import { run, temporaryDirectory } from "../helpers.ts";
import { AS_NOBODY, NOBODY, WHY_ROOT } from "../tools.ts";
import { freePort, untilUp } from "./ports.ts";

const [INSTALL, SERVER] = ["/usr/bin/mariadb-install-db", "/usr/sbin/mariadbd"] as const;

/** Returns the reason why there is no such server on this machine; `undefined` if there is one. */
export function whyNoMariaDb(): string | undefined {
  const missing = [INSTALL, SERVER].find((path) => !fs.existsSync(path));
  return missing === undefined ? WHY_ROOT : `MariaDB is not installed: there is no ${missing}`;
}

/** A running server. */
export interface MariaDb extends AsyncDisposable {
  readonly port: number;
  /** Path of its Unix socket. */
  readonly socket: string;
  /** Works as root on a separate connection. */
  as<T>(work: (connection: Connection) => Promise<T>): Promise<T>;
}

/**
 * Starts a server, with settings in addition to those of all, e.g. `"--ssl-key=..."`; it ends with this process, or
 * when it is disposed.
 */
export async function startMariaDb(settings: readonly string[] = []): Promise<MariaDb> {
  const directory = temporaryDirectory("forkstack-mariadb-");
  const { path } = directory;
  if (AS_NOBODY.length > 0) fs.chownSync(path, NOBODY, NOBODY);
  const data = join(path, "data");
  const ownTemporary = `--tmpdir=${path}`; // a server that starts removes what others have in a shared one
  const [file, ...install] = [
    ...AS_NOBODY,
    INSTALL,
    ...["--no-defaults", `--datadir=${data}`, "--auth-root-authentication-method=normal"],
    ...["--skip-test-db", "--skip-name-resolve", ownTemporary],
  ];
  await run(file!, install, { cwd: path });
  const port = freePort();
  const [program, ...args] = [
    ...AS_NOBODY,
    SERVER,
    ...["--no-defaults", `--datadir=${data}`, `--socket=${join(path, "socket")}`, `--pid-file=${join(path, "pid")}`],
    ...["--bind-address=127.0.0.1", `--port=${port}`, "--skip-name-resolve", "--performance-schema=OFF"],
    ...["--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0", "--innodb-buffer-pool-size=32M"],
    ...["--max-connections=200", ownTemporary],
    ...settings,
  ];
  const child = spawn(program!, args, { cwd: path, stdio: "ignore" });
  const closed = new Promise<void>((resolve) => child.on("close", () => resolve()));
  const onUnload = () => {
    child.kill("SIGKILL");
    directory[Symbol.dispose]();
  };
  globalThis.addEventListener("unload", onUnload);
  const as = async <T>(work: (connection: Connection) => Promise<T>) => {
    const connection = await createConnection({ host: "127.0.0.1", port, user: "root", multipleStatements: true });
    try {
      return await work(connection);
    } finally {
      await connection.end();
    }
  };
  await untilUp(child, () => as((connection) => connection.query("SELECT 1")));
  return {
    port,
    socket: join(path, "socket"),
    as,
    async [Symbol.asyncDispose]() {
      globalThis.removeEventListener("unload", onUnload);
      child.kill("SIGKILL");
      await closed;
      directory[Symbol.dispose]();
    },
  };
}

/** The schema to which a user is sent. */
export interface Route {
  readonly schema: string;
  /** Number of connections that are refused before the user is known. */
  delay: number;
}

/** Accepts connections instead of the server. */
export class Edge implements AsyncDisposable {
  readonly routes = new Map<string, Route>();
  /** The database's name for clients. */
  readonly database: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(database: string, port: number) {
    this.database = database;
    this.#server = createServer((client) => this.#serve(client, connect(port, "127.0.0.1")));
  }

  static async open(database: string, port: number): Promise<Edge> {
    const edge = new Edge(database, port);
    await new Promise<void>((resolve) => edge.#server.listen(0, "127.0.0.1", resolve));
    return edge;
  }

  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  #serve(client: Socket, server: Socket): void {
    for (const [socket, other] of [[client, server], [server, client]] as const) {
      this.#sockets.add(socket);
      socket.on("error", () => other.destroy());
      socket.on("close", () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
    server.pipe(client);
    let held = Buffer.alloc(0);
    const onData = (chunk: Buffer) => {
      held = Buffer.concat([held, chunk]);
      if (held.length < 4 || held.length < 4 + held.readUIntLE(0, 3)) return;
      client.off("data", onData);
      server.write(this.#rewritten(held));
      client.pipe(server);
    };
    client.on("data", onData);
  }

  /** https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_packets_protocol_handshake_response.html */
  #rewritten(packet: Buffer): Buffer {
    const length = packet.readUIntLE(0, 3);
    const body = packet.subarray(4, 4 + length);
    const endOfUser = body.indexOf(0, 32);
    const user = body.toString("utf8", 32, endOfUser);
    const startOfDatabase = endOfUser + 2 + body[endOfUser + 1]!; // the proof of the password lies between
    const endOfDatabase = body.indexOf(0, startOfDatabase);
    const route = this.routes.get(user);
    const isKnown = route !== undefined && route.delay-- <= 0 &&
      body.toString("utf8", startOfDatabase, endOfDatabase) === this.database;
    const schema = Buffer.from(isKnown ? route.schema : "nowhere");
    const before = isKnown ? body.subarray(0, startOfDatabase) : Buffer.concat([
      body.subarray(0, 32),
      Buffer.from("?".repeat(endOfUser - 32)), // nobody's name
      body.subarray(endOfUser, startOfDatabase),
    ]);
    const changed = Buffer.concat([before, schema, body.subarray(endOfDatabase)]);
    const head = Buffer.from(packet.subarray(0, 4));
    head.writeUIntLE(changed.length, 0, 3);
    return Buffer.concat([head, changed, packet.subarray(4 + length)]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const stopped = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await stopped;
  }
}
