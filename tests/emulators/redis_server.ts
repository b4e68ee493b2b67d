/**
 * A real Redis or Valkey server for tests: one of its own on a free port, in a temporary directory; never the system's.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { join } from "node:path";
import { Redis, type RedisOptions } from "npm:ioredis@6.0.0";
import { temporaryDirectory } from "../helpers.ts";
import { freePort } from "./ports.ts";
import type { Protocol } from "./tcp_proxy.ts";

/** Returns the path of the server's program, or the reason why there is none. */
export const PROGRAM = ["valkey-server", "redis-server"].find((name) => spawnSync(name, ["--version"]).status === 0);
export const WHY_NO_SERVER = PROGRAM === undefined ? "neither valkey-server nor redis-server is installed" : undefined;

/** A server with a password; `await using` ends it. */
export class Server implements AsyncDisposable {
  readonly password = `canary-admin-${crypto.randomUUID()}`;
  readonly directory: { readonly path: string; [Symbol.dispose](): void };
  readonly port: number;
  readonly admin: Redis;
  #args: readonly string[];
  #child: ChildProcess;
  #closed: Promise<void>;

  private constructor(args: readonly string[]) {
    this.directory = temporaryDirectory("forkstack-redis-");
    this.port = freePort();
    this.#args = args;
    [this.#child, this.#closed] = this.#spawn();
    globalThis.addEventListener("unload", () => this.#child.kill("SIGKILL"));
    this.admin = this.client({ password: this.password, lazyConnect: true, retryStrategy: () => 50 });
  }

  /** Starts a server; further settings as on its command line, e.g. `"--maxmemory", "10mb"`. */
  static async start(...args: readonly string[]): Promise<Server> {
    const server = new Server(args);
    await server.admin.ping();
    return server;
  }

  #spawn(): [ChildProcess, Promise<void>] {
    const { path } = this.directory;
    const settings: Record<string, string> = {
      port: String(this.port),
      bind: "127.0.0.1",
      save: '""',
      dir: path,
      ...(this.#args.includes("--aclfile") ? {} : { requirepass: this.password }),
      "enable-debug-command": "yes",
    };
    const config = join(path, "server.conf");
    fs.writeFileSync(config, Object.entries(settings).map(([name, value]) => `${name} ${value}\n`).join(""));
    const child = spawn(PROGRAM!, [config, ...this.#args], { cwd: path, stdio: "ignore" });
    return [child, new Promise((resolve) => child.on("close", () => resolve()))];
  }

  /** Returns a client of one user; by default nobody, so that it must log in. */
  client(options: RedisOptions = {}): Redis {
    const client = new Redis({ host: "127.0.0.1", port: this.port, maxRetriesPerRequest: null, ...options });
    client.on("error", () => {}); // each command rejects as well
    return client;
  }

  /** Returns the administrator's URL; another port leads through a proxy. */
  url({ port = this.port, database = 0 } = {}): string {
    return `redis://default:${this.password}@127.0.0.1:${port}/${database}`;
  }

  /** Kills the server and starts it again with its saved data, and further settings. */
  async restart(...more: readonly string[]): Promise<void> {
    this.#args = [...this.#args, ...more];
    this.#child.kill("SIGKILL");
    await this.#closed;
    [this.#child, this.#closed] = this.#spawn();
    await this.admin.ping();
  }

  /** Lists the logical databases that hold keys. */
  async databases(): Promise<number[]> {
    return [...(await this.admin.info("keyspace")).matchAll(/^db(\d+):/gm)].map((match) => Number(match[1]));
  }

  /** Returns all keys of a logical database with this prefix: a digest of value and expiry by the name without it. */
  async keys(database: number, prefix = ""): Promise<Map<string, string>> {
    const found = new Map<string, string>();
    await this.admin.select(database);
    const names = (await this.admin.keysBuffer("*")).filter((name) => name.toString("latin1").startsWith(prefix));
    const pipeline = this.admin.pipeline();
    for (const name of names) pipeline.dumpBuffer(name).call("PEXPIRETIME", name);
    const answers = await pipeline.exec() ?? [];
    for (const [at, name] of names.entries()) {
      const [value, expiresAt] = [answers[2 * at]![1] as Uint8Array, answers[2 * at + 1]![1]];
      const digest = createHash("sha256").update(value).digest("hex");
      found.set(name.toString("latin1").slice(prefix.length), `${digest} ${expiresAt}`);
    }
    await this.admin.select(0);
    return found;
  }

  /** Returns a digest of everything on it: keys, users, functions. */
  async things(): Promise<Map<string, string>> {
    const found = new Map<string, string>();
    for (const database of await this.databases()) {
      for (const [name, digest] of await this.keys(database)) found.set(`key ${name} in ${database}`, digest);
    }
    for (const line of await this.admin.call("ACL", "LIST") as string[]) {
      if (!line.startsWith("user default ")) found.set(line.split(" ", 2).join(" "), line);
    }
    for (const library of await this.admin.call("FUNCTION", "LIST", "WITHCODE") as unknown[][]) {
      found.set(`library ${library[1]}`, JSON.stringify(library));
    }
    return found;
  }

  /** Removes everything on it. */
  async wipe(): Promise<void> {
    await this.admin.flushall();
    await this.admin.call("FUNCTION", "FLUSH");
    const users = await this.admin.call("ACL", "USERS") as string[];
    for (const user of users) if (user !== "default") await this.admin.call("ACL", "DELUSER", user);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = new Promise((resolve) => this.admin.once("end", resolve));
    this.admin.disconnect();
    await ended;
    this.#child.kill("SIGKILL");
    await this.#closed;
    this.directory[Symbol.dispose]();
  }
}

/** Commands that change nothing. */
const READING =
  /^(AUTH|HELLO|INFO|SELECT|DBSIZE|PING|CLIENT (ID|LIST|SETNAME|SETINFO)|ACL GETUSER|FUNCTION LIST|MULTI|EXISTS)$/;

/** RESP, version 2: https://valkey.io/topics/protocol/ */
export const RESP: Protocol = {
  request(bytes) {
    const length = lengthOf(bytes, 0);
    if (length === undefined) return undefined;
    const words = new TextDecoder().decode(bytes.subarray(0, Math.min(length, 200))).split("\r\n");
    const name = words[2]!.toUpperCase();
    const what = /^(ACL|CLIENT|FUNCTION)$/.test(name) ? `${name} ${words[4]!.toUpperCase()}` : name;
    return { length, what, isChange: !READING.test(what) };
  },
  answer: (bytes) => lengthOf(bytes, 0),
};

/** Where the value that begins at `at` ends. */
function lengthOf(bytes: Uint8Array, at: number): number | undefined {
  const end = bytes.indexOf(13, at);
  if (end < 0 || end + 1 >= bytes.length) return undefined;
  const count = Number(new TextDecoder().decode(bytes.subarray(at + 1, end)));
  const type = String.fromCharCode(bytes[at]!);
  let next: number | undefined = end + 2;
  if (type === "$" && count >= 0) next += count + 2;
  if (type === "*") { for (let n = 0; n < count && next !== undefined; n++) next = lengthOf(bytes, next); }
  return next !== undefined && next <= bytes.length ? next : undefined;
}
