/**
 * What Neon's emulator keeps branches in: databases of one real PostgreSQL server. A fork and a point of history share
 * one that nobody writes to; who connects to a branch gets a copy of its own first, so that forks themselves cost
 * nothing. Each endpoint is a port of its own, where a proxy puts the branch's database and role in the place of the
 * names that the client gave: passwords are checked by the server, and belong to one branch.
 */
import { createHash } from "node:crypto";
import type { Server } from "./postgres_server.ts";

/** A database of the server. Once it is shared it never changes again. */
export interface Store {
  readonly name: string;
  readonly owner: string;
  isShared: boolean;
  /** What it is a copy of, as long as nobody can have written to it. */
  source?: Store;
  isSeed?: boolean;
  digest?: string;
  size?: number;
}

/** What a branch holds: its databases by name. */
export type Stores = Map<string, Store>;

/** Databases that tests begin with, by what made them: each is made once for a server, and stays. */
const SEEDS = new WeakMap<Server, Map<string, Promise<Store>>>();
/** Copies of seeds that somebody looked at and nobody wrote to: as good as new. */
const SPARE = new WeakMap<Store, Store[]>();

/** The databases of one project's branches. */
export class Storage {
  readonly #server: Server;
  readonly #made: Store[] = [];
  readonly #logins = new Map<string, Promise<string>>();
  readonly #busy = new WeakMap<Stores, Promise<unknown>>();

  constructor(server: Server) {
    this.#server = server;
  }

  get port(): number {
    return this.#server.port;
  }

  /** A database with that content, owned by that role. */
  seed(owner: string, sql: string): Promise<Store> {
    const seeds = SEEDS.get(this.#server) ?? new Map<string, Promise<Store>>();
    SEEDS.set(this.#server, seeds);
    const key = `${owner} ${sql}`;
    const make = async () => {
      const name = newName();
      await this.#role(owner);
      await this.#server.query(`CREATE DATABASE "${name}" OWNER "${owner}"`);
      await this.#server.query(`SET ROLE "${owner}"; ${sql}`, name);
      return { name, owner, isShared: true, isSeed: true };
    };
    if (!seeds.has(key)) seeds.set(key, make());
    return seeds.get(key)!;
  }

  /** The same content for one more; who is connected is sent away, and has to come again. */
  share(stores: Stores): Promise<Stores> {
    return this.#alone(stores, async () => {
      for (const [database, store] of stores) {
        if (store.isShared) continue;
        await this.#disconnect(store.name);
        if (store.source === undefined) store.isShared = true;
        else stores.set(database, store.source);
      }
      return new Map(stores);
    });
  }

  /** The schema alone of what is there. */
  async emptied(stores: Stores): Promise<Stores> {
    const found: Stores = new Map();
    for (const [name, store] of await this.share(stores)) {
      const copy = await this.#copy(store);
      await this.#server.query(
        `DO $$ DECLARE one record; BEGIN
          FOR one IN SELECT schemaname, tablename FROM pg_tables WHERE schemaname !~ '^(pg_|information_schema)' LOOP
            EXECUTE format('TRUNCATE %I.%I CASCADE', one.schemaname, one.tablename);
          END LOOP; END $$`,
        copy.name,
      );
      delete copy.source;
      found.set(name, Object.assign(copy, { isShared: true }));
    }
    return found;
  }

  /** A database that this branch alone has, for somebody who may write to it, and then has to tell so. */
  own(stores: Stores, database: string): Promise<{ readonly name: string; readonly onWrite: () => void }> {
    return this.#alone(stores, async () => {
      let store = stores.get(database)!;
      if (store.isShared) {
        store = this.#spare(store) ?? await this.#copy(store);
        stores.set(database, store);
      }
      return { name: store.name, onWrite: () => void delete store.source };
    });
  }

  /** What all tables hold. */
  async digest(stores: Stores): Promise<string> {
    const all = [];
    for (const [name, store] of stores) {
      const { source = store } = store;
      const digest = source.digest ?? await this.#digest(source.name);
      if (source.isShared) source.digest = digest;
      all.push(`${name} ${digest}`);
    }
    return all.join("\n");
  }

  async sizeOf(stores: Stores): Promise<number> {
    let sum = 0;
    for (const store of stores.values()) {
      const { source = store } = store;
      const size = source.size ?? await this.#size(source.name);
      if (source.isShared) source.size = size;
      sum += size;
    }
    return sum;
  }

  /** The server's position in its write-ahead log. */
  async position(): Promise<string> {
    const [row] = await this.#server.query("SELECT pg_current_wal_insert_lsn()::text AS at");
    return row!.at;
  }

  /** A role of the server that is this role of this branch; what its sessions make belongs to the role. */
  login(branch: string, role: string, password: string): Promise<string> {
    const name = `${branch}/${role}`;
    const make = async () => {
      await this.#role(role);
      await this.#server.query(`CREATE ROLE "${name}" LOGIN PASSWORD '${password}' IN ROLE "${role}";
        ALTER ROLE "${name}" SET role = '${role}'`);
      return name;
    };
    if (!this.#logins.has(name)) this.#logins.set(name, make());
    return this.#logins.get(name)!;
  }

  async close(): Promise<void> {
    for (const store of this.#made) {
      const { name, source } = store;
      if (source?.isSeed && !store.isShared) SPARE.set(source, [...SPARE.get(source) ?? [], store]);
      else await this.#server.query(`DROP DATABASE "${name}" WITH (FORCE)`);
    }
    for (const name of this.#logins.keys()) await this.#server.query(`DROP ROLE "${name}"`);
  }

  async #role(name: string): Promise<void> {
    const found = await this.#server.query(`SELECT 1 FROM pg_roles WHERE rolname = '${name}'`);
    if (found.length === 0) await this.#server.query(`CREATE ROLE "${name}" NOLOGIN CREATEDB`);
  }

  async #copy(store: Store): Promise<Store> {
    const { name, owner } = store;
    const copy: Store = { name: newName(), owner, isShared: false, source: store };
    await this.#server.query(
      `CREATE DATABASE "${copy.name}" TEMPLATE "${name}" OWNER "${owner}" STRATEGY FILE_COPY`,
    );
    this.#made.push(copy);
    return copy;
  }

  #spare(source: Store): Store | undefined {
    const found = SPARE.get(source)?.pop();
    if (found !== undefined) this.#made.push(found);
    return found;
  }

  async #size(name: string): Promise<number> {
    const [row] = await this.#server.query(`SELECT pg_database_size('${name}')::text AS size`);
    return Number(row!.size);
  }

  async #disconnect(name: string): Promise<void> {
    await this.#server.query(`SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '${name}'`);
  }

  async #digest(name: string): Promise<string> {
    return await this.#server.session(this.#server.url(name), async (ask) => {
      const tables = await ask(`SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables
        WHERE schemaname !~ '^(pg_|information_schema)' ORDER BY 1`);
      const all = tables.map(({ name }) => `SELECT '${name}' AS t, to_jsonb(x)::text AS r FROM ${name} x`);
      const rows = all.length === 0 ? [] : await ask(`${all.join(" UNION ALL ")} ORDER BY 1, 2`);
      return createHash("sha256").update(JSON.stringify([tables, rows])).digest("hex");
    });
  }

  async #alone<T>(stores: Stores, work: () => Promise<T>): Promise<T> {
    const turn = (this.#busy.get(stores) ?? Promise.resolve()).catch(() => {}).then(work);
    this.#busy.set(stores, turn);
    return await turn;
  }
}

function newName(): string {
  return `neon_${crypto.randomUUID().slice(0, 13)}`;
}

/** Who may come in, and as whom; or what the server says to somebody who may not. */
export type Admission =
  | { readonly user: string; readonly database: string; readonly onWrite: () => void }
  | { readonly refused: readonly [code: string, message: string] };

/** An endpoint of a branch: a port, and what lies behind it. */
export class Gate {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #open = new Set<Deno.Conn>();
  readonly #work: Promise<unknown>;
  readonly #admit: (wanted: ReadonlyMap<string, string>) => Promise<Admission>;
  readonly #port: number;

  constructor(port: number, admit: (wanted: ReadonlyMap<string, string>) => Promise<Admission>) {
    this.#port = port;
    this.#admit = admit;
    this.#work = this.#accept();
  }

  get host(): string {
    return `127.0.0.1:${(this.#listener.addr as Deno.NetAddr).port}`;
  }

  async close(): Promise<void> {
    this.#listener.close();
    for (const conn of this.#open) this.#end(conn);
    await this.#work;
  }

  async #accept(): Promise<void> {
    const all: Promise<unknown>[] = [];
    for await (const client of this.#listener) {
      this.#open.add(client);
      client.setNoDelay();
      all.push(this.#serve(client).catch(() => {}).finally(() => this.#end(client)));
    }
    await Promise.all(all);
  }

  #end(conn: Deno.Conn): void {
    if (this.#open.delete(conn)) conn.close();
  }

  async #serve(client: Deno.Conn): Promise<void> {
    let first = await messageOf(client);
    if (codeOf(first) === 80877103) { // SSLRequest: there is none
      await client.write(new TextEncoder().encode("N"));
      first = await messageOf(client);
    }
    if (codeOf(first) !== 196608) return; // a CancelRequest, or nothing that we know
    const words = new TextDecoder().decode(first.subarray(8)).split("\0");
    const wanted = new Map<string, string>();
    for (let i = 0; words[i]; i += 2) wanted.set(words[i]!, words[i + 1]!);
    const admission = await this.#admit(wanted);
    if ("refused" in admission) return void await client.write(refusal(...admission.refused));
    const server = await Deno.connect({ hostname: "127.0.0.1", port: this.#port });
    this.#open.add(server);
    server.setNoDelay();
    try {
      const { user, database, onWrite } = admission;
      await writeAll(server, startup(new Map([...wanted, ["user", user], ["database", database]])));
      const end = () => [client, server].forEach((conn) => this.#end(conn));
      await Promise.all([pump(client, server, whatWrites(onWrite)).finally(end), pump(server, client).finally(end)]);
    } finally {
      this.#end(server);
    }
  }
}

/** One message of those that have no type: their length comes first. */
async function messageOf(conn: Deno.Conn): Promise<Uint8Array> {
  const head = await exactly(conn, 4);
  const size = new DataView(head.buffer).getInt32(0);
  const message = new Uint8Array(size);
  message.set(head);
  message.set(await exactly(conn, size - 4), 4);
  return message;
}

function codeOf(message: Uint8Array): number {
  return new DataView(message.buffer).getInt32(4);
}

async function exactly(conn: Deno.Conn, size: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size;) {
    const count = await conn.read(bytes.subarray(at));
    if (count === null) throw new Error("the client hung up");
    at += count;
  }
  return bytes;
}

function startup(parameters: ReadonlyMap<string, string>): Uint8Array {
  const body = new TextEncoder().encode([...parameters].flat().join("\0") + "\0\0");
  const message = new Uint8Array(8 + body.length);
  const view = new DataView(message.buffer);
  view.setInt32(0, message.length);
  view.setInt32(4, 196608);
  message.set(body, 8);
  return message;
}

function refusal(code: string, text: string): Uint8Array {
  const body = new TextEncoder().encode(`SFATAL\0VFATAL\0C${code}\0M${text}\0\0`);
  const message = new Uint8Array(5 + body.length);
  message[0] = 0x45;
  new DataView(message.buffer).setInt32(1, 4 + body.length);
  message.set(body, 5);
  return message;
}

async function pump(from: Deno.Conn, to: Deno.Conn, onBytes?: (bytes: Uint8Array) => void): Promise<void> {
  const buffer = new Uint8Array(65_536);
  for (;;) {
    const count = await from.read(buffer);
    if (count === null) return;
    onBytes?.(buffer.subarray(0, count));
    await writeAll(to, buffer.subarray(0, count));
  }
}

/** What can't have changed anything. */
const PLAIN_LOOK = /^select (1|count\(\*\)( as \w+)? from [\w."]+)$/i;

/** Looks for a statement (a message Query or Parse) that may have written. */
function whatWrites(onWrite: () => void): (bytes: Uint8Array) => void {
  let held = new Uint8Array(0);
  return (bytes) => {
    const all = new Uint8Array(held.length + bytes.length);
    all.set(held);
    all.set(bytes, held.length);
    let at = 0;
    while (all.length - at >= 5) {
      const size = 1 + new DataView(all.buffer).getInt32(at + 1);
      if (all.length - at < size) break;
      const type = String.fromCharCode(all[at]!);
      const text = new TextDecoder().decode(all.subarray(at + 5, at + size)).split("\0")[type === "P" ? 1 : 0]!;
      if (/[QPF]/.test(type) && !PLAIN_LOOK.test(text)) onWrite();
      at += size;
    }
    held = all.slice(at);
  };
}

async function writeAll(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
}
