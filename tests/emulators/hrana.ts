/**
 * A small libSQL server: Hrana over HTTP, versions 2 and 3 in JSON, on `node:sqlite`.
 *
 * Written from the protocol specifications
 * (https://github.com/tursodatabase/libsql/blob/main/docs/HTTP_V2_SPEC.md, HRANA_3_SPEC.md) and from what
 * `libsql-server/src/hrana` and `libsql-server/src/connection` do: codes, messages, statuses and limits are theirs.
 * Protobuf (`/v3-protobuf`) and cursors are absent and answer 404; `@libsql/client/web` 0.18.0 only sends
 * `POST /v2/pipeline`.
 */
import { Buffer } from "node:buffer";
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync, type SQLInputValue, type SQLOutputValue } from "node:sqlite";
import {
  CHANGE,
  checkCondition,
  type Condition,
  decodeValue,
  encodeValue,
  fromSqlite,
  holds,
  malformed,
  onlyInVersion3,
  type Outcome,
  parseSql,
  RequestError,
  splitSql,
  type Statement,
  StatementError,
  type Value,
} from "./hrana_sql.ts";

export type Access = "full-access" | "read-only";

export interface HranaOptions {
  /** SQLite file, created if absent; `":memory:"` is a temporary file, since streams are separate connections. */
  readonly path: string;
  /** The accepted bearer token, or the rights by token; absent: no authentication, as in sqld without a key. */
  readonly authToken?: string | ((token: string | undefined) => Access | undefined);
  /** Returns milliseconds; drives idle streams, transaction timeouts and lock waits. @default {Date.now} */
  readonly now?: () => number;
  /** Milliseconds after which an idle stream is rolled back and closed. @default {10000} */
  readonly streamIdleMs?: number;
  /**
   * Age in milliseconds at which a write transaction is rolled back if another stream waits for its lock. @default
   * {5000}
   */
  readonly transactionMs?: number;
  /** Called before each BEGIN and COMMIT; returns a code to refuse it. @default {refuses none} */
  readonly refuse?: (verb: "BEGIN" | "COMMIT") => string | undefined;
  /** Longest wait for the write lock in milliseconds, then SQLITE_BUSY. @default {10000} */
  readonly busyMs?: number;
}

export interface HranaHandler {
  /** Answers one request; ignores what precedes `/v2` or `/v3` in the path, so that it can be mounted anywhere. */
  handle(request: Request): Promise<Response>;
  /** Rolls back open transactions and closes the file. */
  close(): Promise<void>;
}

/**
 * A fault: `"drop-before"` and `"drop-after"` break the connection before or after acting; a number or Response
 * answers.
 */
export type Interception = "drop-before" | "drop-after" | number | Response | undefined;

export interface HranaServer {
  readonly url: string;
  readonly port: number;
  readonly requests: { readonly method: string; readonly path: string }[];
  intercept?: (request: Request) => Interception | Promise<Interception>;
  close(): Promise<void>;
}

type Sql = { sql?: string; sql_id?: number };
type Stmt = Sql & { args?: Value[]; named_args?: { name: string; value: Value }[]; want_rows?: boolean };
type StreamRequest =
  | { type: "close" | "get_autocommit" }
  | { type: "execute"; stmt: Stmt }
  | { type: "batch"; batch: { steps: { stmt: Stmt; condition?: Condition | null }[] } }
  | ({ type: "sequence" | "describe" } & Sql)
  | { type: "store_sql"; sql_id: number; sql: string }
  | { type: "close_sql"; sql_id: number };

// ---- Streams ----

interface Stream {
  readonly id: string;
  readonly connection: DatabaseSync;
  readonly texts: Map<number, string>;
  sequence: number;
  idleSince: number | undefined; // undefined while a request uses it
  isOpen: boolean;
  wasRolledBack: boolean; // its lock was taken away; the next program is told
}

interface Step {
  readonly statement: Statement;
  readonly args: readonly SQLInputValue[];
  readonly named: ReadonlyMap<string, SQLInputValue>;
  readonly wantRows: boolean;
  readonly condition?: Condition | null;
}

// libSQL builds SQLite with foreign keys on and takes "text" for a string where no such column exists.
const CONNECTION = {
  enableForeignKeyConstraints: true,
  enableDoubleQuotedStringLiterals: true,
  readBigInts: true,
  returnArrays: true,
  timeout: 0, // waiting inside SQLite would stop the very COMMIT that is waited for
};

class Database implements HranaHandler {
  readonly #options: HranaOptions;
  readonly #now: () => number;
  readonly #file: string;
  readonly #directory: string | undefined;
  readonly #keeper: DatabaseSync; // keeps the -wal file in place between streams, as sqld does
  readonly #streams = new Map<string, Stream>();
  readonly #expired = new Set<string>();
  readonly #active = new Set<Promise<unknown>>();
  #writer: { stream: Stream; since: number } | undefined;
  #waiting: symbol[] = []; // in order of arrival
  #isClosed = false;

  constructor(options: HranaOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    if (options.path === ":memory:") this.#directory = mkdtempSync(join(tmpdir(), "hrana-"));
    this.#file = this.#directory ? join(this.#directory, "data") : options.path;
    this.#keeper = new DatabaseSync(this.#file, CONNECTION);
    this.#keeper.exec("PRAGMA journal_mode = WAL");
  }

  handle(request: Request): Promise<Response> {
    const answer = this.#answer(request).catch((error) => {
      if (!(error instanceof RequestError)) error = new RequestError(500, { error: `Internal Error: \`${error}\`` });
      return (error as RequestError).response;
    });
    this.#active.add(answer);
    return answer.finally(() => this.#active.delete(answer));
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await Promise.all(this.#active);
    for (const stream of this.#streams.values()) this.#end(stream);
    this.#keeper.close();
    if (this.#directory) rmSync(this.#directory, { recursive: true });
  }

  async #answer(request: Request): Promise<Response> {
    const path = /\/v([23])(\/pipeline)?$/.exec(new URL(request.url).pathname);
    if (!path) return new Response(null, { status: 404 });
    if (request.method !== (path[2] ? "POST" : "GET")) return new Response(null, { status: 405 });
    if (!path[2]) return new Response("Hello, this is HTTP API v2 (Hrana over HTTP)");
    if (this.#isClosed) throw new RequestError(503, { error: "Namespace store has shutdown" });
    const access = this.#authenticate(request);
    const version = Number(path[1]);
    const { baton, requests } = parsePipeline(await request.text());
    this.#expire();
    const stream = this.#acquire(baton);
    try {
      const results: object[] = [];
      for (const request of requests) {
        try {
          const response = await this.#respond(stream, request, access, version);
          results.push({ type: "ok", response: { type: request.type, ...response } });
        } catch (error) {
          if (!(error instanceof StatementError)) throw error;
          results.push({ type: "error", error: wireError(error) });
        }
      }
      stream.idleSince = this.#now();
      return Response.json({ baton: stream.isOpen ? batonOf(stream) : null, base_url: null, results });
    } catch (error) {
      this.#end(stream);
      throw error;
    }
  }

  #authenticate(request: Request): Access {
    const { authToken } = this.#options;
    const token = /^bearer (.+)$/i.exec(request.headers.get("authorization") ?? "")?.[1];
    if (authToken === undefined || authToken === token) return "full-access";
    const access = typeof authToken === "function" ? authToken(token) : undefined;
    if (access) return access;
    const reason = token ? "The JWT is invalid" : "Expected authorization header but none given";
    throw new RequestError(401, { error: `Unauthorized: \`${reason}\`` });
  }

  #acquire(baton: string | null | undefined): Stream {
    if (baton === null || baton === undefined) {
      const connection = new DatabaseSync(this.#file, CONNECTION);
      const sequence = Math.floor(Math.random() * 2 ** 32);
      const state = { idleSince: undefined, isOpen: true, wasRolledBack: false };
      const stream: Stream = { id: randomUUID(), connection, texts: new Map(), sequence, ...state };
      this.#streams.set(stream.id, stream);
      return stream;
    }
    const [id, sequence] = Buffer.from(String(baton), "base64").toString().split("/");
    if (this.#expired.has(id)) {
      throw new RequestError(400, { message: "The stream has expired due to inactivity", code: "STREAM_EXPIRED" });
    }
    const stream = this.#streams.get(id);
    if (!stream) throw new RequestError(400, "Received an invalid baton");
    if (stream.idleSince === undefined || String(stream.sequence) !== sequence) {
      throw new RequestError(400, "Received a baton that has already been used");
    }
    stream.sequence++;
    stream.idleSince = undefined;
    return stream;
  }

  #end(stream: Stream): void {
    this.#streams.delete(stream.id);
    if (!stream.isOpen) return;
    stream.isOpen = false;
    this.#rollback(stream);
    stream.connection.close();
  }

  #rollback(stream: Stream): void {
    if (stream.connection.isTransaction) stream.connection.exec("ROLLBACK");
    if (this.#writer?.stream === stream) this.#writer = undefined;
  }

  #expire(): void {
    const limit = this.#now() - (this.#options.streamIdleMs ?? 10_000);
    for (const stream of this.#streams.values()) {
      if (stream.idleSince === undefined || stream.idleSince > limit) continue;
      this.#end(stream);
      this.#expired.add(stream.id);
    }
  }

  async #respond(stream: Stream, request: StreamRequest, access: Access, version: number): Promise<object> {
    if (request.type === "close") return this.#end(stream), {};
    if (!stream.isOpen) throw new RequestError(400, "Stream for this baton was closed");
    switch (request.type) {
      case "execute": {
        const [{ result, error }] = await this.#run(stream, [toStep(stream, request.stmt)], access);
        if (error) throw error;
        return { result };
      }
      case "batch": {
        const steps = request.batch.steps.map(({ stmt, condition }, index) => {
          if (condition) checkCondition(condition, index, version);
          return { ...toStep(stream, stmt), condition };
        });
        const outcomes = await this.#run(stream, steps, access);
        const step_results = outcomes.map(({ result }) => result ?? null);
        const step_errors = outcomes.map(({ error }) => error ? wireError(error) : null);
        return { result: { step_results, step_errors, replication_index: null } };
      }
      case "sequence": {
        const steps = parseSql(stream.connection, sqlOf(stream, request)).map((statement, index): Step => {
          const condition = index > 0 ? { type: "ok" as const, step: index - 1 } : undefined;
          return { statement, args: [], named: new Map(), wantRows: false, condition };
        });
        const failed = (await this.#run(stream, steps, access)).find(({ error }) => error);
        if (failed) throw failed.error;
        return {};
      }
      case "describe":
        return { result: describe(stream.connection, sqlOf(stream, request)) };
      case "store_sql":
        storeSql(stream, request.sql_id, request.sql);
        return {};
      case "close_sql":
        stream.texts.delete(request.sql_id);
        return {};
      case "get_autocommit":
        if (version < 3) throw onlyInVersion3("The `get_autocommit` request");
        return { is_autocommit: !stream.connection.isTransaction };
      default:
        throw new RequestError(400, "StreamRequest type not recognized");
    }
  }

  async #run(stream: Stream, steps: readonly Step[], access: Access): Promise<Outcome[]> {
    for (const { statement: { needs } } of steps) {
      if (needs !== "attach" && (needs !== "write" || access !== "read-only")) continue;
      const right = needs === "attach" ? "AttachRead" : "Write";
      const reason = `Current session doesn't not have ${right} permission to namespace default`; // their words
      throw new RequestError(401, { error: `Not authorized to execute query: ${reason}` });
    }
    const outcomes: Outcome[] = [];
    let isTimedOut = false;
    for (const step of steps) {
      isTimedOut ||= stream.wasRolledBack;
      stream.wasRolledBack = false;
      const isSkipped = step.condition && !holds(step.condition, outcomes, !stream.connection.isTransaction);
      if (isTimedOut) outcomes.push({ error: new StatementError("TRANSACTION_TIMEOUT", "Transaction timed out") });
      else if (isSkipped) outcomes.push({});
      else outcomes.push(await this.#step(stream, step));
    }
    return outcomes;
  }

  /** Runs one statement. The write lock is first come, first served; waiting for it leaves the process free. */
  async #step(stream: Stream, step: Step): Promise<Outcome> {
    const { locks, sql, verb } = step.statement;
    const code = verb === "BEGIN" || verb === "COMMIT" ? this.#options.refuse?.(verb) : undefined;
    if (code !== undefined) return { error: new StatementError(code, `refused: ${verb}`) };
    const deadline = this.#now() + (this.#options.busyMs ?? 10_000);
    const ticket = Symbol();
    try {
      for (;;) {
        const isNext = !this.#writer && (this.#waiting.length === 0 || this.#waiting[0] === ticket);
        if (!locks || isNext || this.#writer?.stream === stream) {
          try {
            return { result: execute(stream.connection, step) };
          } catch (error) {
            if (error instanceof StatementError) return { error };
            // SQLITE_BUSY_SNAPSHOT (517) is final: this read transaction can no longer become a write transaction.
            if ((error as { errcode?: number }).errcode !== 5) return { error: fromSqlite(error, sql) };
          } finally {
            this.#noteWriter(stream, locks);
          }
        }
        if (this.#isClosed || this.#now() >= deadline) {
          return { error: new StatementError("SQLITE_BUSY", "SQLite error: database is locked") };
        }
        if (!this.#waiting.includes(ticket)) this.#waiting.push(ticket);
        await new Promise((resolve) => setTimeout(resolve, 1));
        this.#expire();
        this.#stealLock();
      }
    } finally {
      this.#waiting = this.#waiting.filter((other) => other !== ticket);
    }
  }

  #noteWriter(stream: Stream, locks: boolean): void {
    if (stream.connection.isTransaction) {
      if (locks) this.#writer ??= { stream, since: this.#now() };
    } else if (this.#writer?.stream === stream) this.#writer = undefined;
  }

  #stealLock(): void {
    if (!this.#writer || this.#now() < this.#writer.since + (this.#options.transactionMs ?? 5_000)) return;
    const { stream } = this.#writer;
    this.#rollback(stream);
    stream.wasRolledBack = true;
  }
}

function parsePipeline(text: string): { baton?: string | null; requests: StreamRequest[] } {
  try {
    const body = JSON.parse(text);
    if (Array.isArray(body.requests)) return body;
  } catch { /* answered below, like every other wrong shape */ }
  throw malformed("expected an object with `requests`");
}

function batonOf(stream: Stream): string {
  return Buffer.from(`${stream.id}/${stream.sequence}`).toString("base64");
}

function wireError({ code, message }: StatementError): object {
  return { message, code };
}

function storeSql({ texts }: Stream, id: number, sql: string): void {
  if (texts.has(id)) throw new RequestError(400, `SQL text ${id} already exists`);
  if (texts.size >= 50) {
    throw new StatementError("SQL_STORE_TOO_MANY", "The server already stores 50 SQL texts, it cannot store more");
  }
  const size = Buffer.byteLength(sql);
  if (size > 5000) {
    throw new StatementError("SQL_STORE_TOO_LARGE", `The statement is too large to be stored: ${size} B/5.0 KB`);
  }
  texts.set(id, sql);
}

function sqlOf({ texts }: Stream, { sql, sql_id: id }: Sql): string {
  if (typeof sql === "string" && typeof id !== "number") return sql;
  if (typeof sql === "string") throw new RequestError(400, "Either `sql` or `sql_id` are required, but not both");
  if (typeof id !== "number") throw new RequestError(400, "Either `sql` or `sql_id` are required");
  const text = texts.get(id);
  if (text === undefined) throw new RequestError(400, `SQL text ${id} not found`);
  return text;
}

function toStep(stream: Stream, stmt: Stmt): Step {
  if (!stmt) throw malformed("missing field `stmt`");
  const [statement, ...more] = parseSql(stream.connection, sqlOf(stream, stmt));
  if (!statement) throw new StatementError("SQL_NO_STATEMENT", "SQL string does not contain any statement");
  if (more.length > 0) {
    throw new StatementError("SQL_MANY_STATEMENTS", "SQL string contains more than one statement");
  }
  const args = (stmt.args ?? []).map(decodeValue);
  const named = new Map((stmt.named_args ?? []).map(({ name, value }) => [name, decodeValue(value)]));
  if (args.length > 0 && named.size > 0) {
    const message = "Specifying both positional and named arguments is not supported";
    throw new StatementError("ARGS_BOTH_POSITIONAL_AND_NAMED", message);
  }
  return { statement, args, named, wantRows: stmt.want_rows ?? true };
}

function bind({ statement: { params }, args, named }: Step): [Record<string, SQLInputValue>, ...SQLInputValue[]] {
  const invalid = (why: string) => new StatementError("ARGS_INVALID", `Arguments do not match SQL parameters: ${why}`);
  const count = args.length + named.size;
  if (count > params.length) throw invalid(`too many parameters, expected ${params.length} found ${count}`);
  const byName: Record<string, SQLInputValue> = {};
  const byPosition: SQLInputValue[] = [];
  params.forEach((name, index) => {
    const isNamed = name !== undefined && !name.startsWith("?");
    const value = !isNamed ? args[index] : named.has(name) ? named.get(name) : named.get(name.slice(1));
    if (value === undefined) throw invalid(`value for parameter ${name ?? index + 1} not found`);
    if (isNamed) byName[name] = value;
    else byPosition.push(value);
  });
  return [byName, ...byPosition];
}

function execute(connection: DatabaseSync, step: Step): object {
  const startedAt = performance.now();
  const { sql, verb } = step.statement;
  const prepared = connection.prepare(sql);
  const cols = prepared.columns().map(({ name, type }) => ({ name, decltype: type }));
  const rows = prepared.all(...bind(step)) as unknown as SQLOutputValue[][];
  const counts = CHANGE.test(verb) ? connection.prepare("SELECT changes(), last_insert_rowid()").get() : [0n, 0n];
  const [changes, rowid] = counts as unknown as bigint[];
  return {
    cols,
    rows: step.wantRows ? rows.map((row) => row.map(encodeValue)) : [],
    affected_row_count: Number(changes),
    last_insert_rowid: /^(INSERT|REPLACE)$/.test(verb) ? rowid.toString() : null,
    replication_index: null,
    rows_read: rows.length,
    rows_written: Number(changes),
    query_duration_ms: performance.now() - startedAt,
  };
}

function describe(connection: DatabaseSync, text: string): object {
  const [statement] = splitSql(text);
  if (!statement) return { params: [], cols: [], is_explain: false, is_readonly: true };
  const { sql, params, verb, locks } = statement;
  try {
    const cols = connection.prepare(sql).columns().map(({ name, type }) => ({ name, decltype: type }));
    const names = params.map((name) => ({ name: name ?? null }));
    return { params: names, cols, is_explain: verb === "EXPLAIN", is_readonly: !locks };
  } catch (error) {
    throw fromSqlite(error, sql);
  }
}

/** Returns one database, for a server with several; see {@link startHrana} for a server of its own. */
export function hranaHandler(options: HranaOptions): HranaHandler {
  return new Database(options);
}

/** Serves one database on a free loopback port. */
export async function startHrana(options: HranaOptions): Promise<HranaServer> {
  const handler = hranaHandler(options);
  const server = createServer((incoming, outgoing) => {
    serve(incoming, outgoing).catch(() => outgoing.destroy());
  });
  async function serve(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of incoming) chunks.push(chunk);
    const { method = "GET", url: path = "/" } = incoming;
    started.requests.push({ method, path });
    const request = new Request(new URL(path, started.url), {
      method,
      headers: incoming.headers as Record<string, string>,
      body: method === "GET" || method === "HEAD" ? undefined : Buffer.concat(chunks),
    });
    const order = await started.intercept?.(request.clone());
    if (order === "drop-before") return void incoming.socket.destroy();
    const response = order instanceof Response
      ? order
      : typeof order === "number"
      ? new Response(null, { status: order })
      : await handler.handle(request);
    const body = Buffer.from(await response.arrayBuffer());
    if (order === "drop-after") return void incoming.socket.destroy();
    // Deno's fetch sends even a POST again when a reused connection breaks: without reuse, each drop is seen once.
    outgoing.writeHead(response.status, { ...Object.fromEntries(response.headers), connection: "close" }).end(body);
  }
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const started: HranaServer = {
    url: `http://127.0.0.1:${port}`,
    port,
    requests: [],
    async close() {
      const stopped = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await stopped;
      await handler.close();
    },
  };
  return started;
}
