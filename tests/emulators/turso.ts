/**
 * Turso's platform API with databases that really answer: SQLite files behind the Hrana emulator, copied for a fork.
 *
 * Built from the vendor's specification (https://github.com/tursodatabase/turso-docs/blob/main/api-reference/openapi.json)
 * and the answers that were seen of the live API, as ../shared/vendors/databases.md lists them, section 1.
 */
import { Buffer } from "node:buffer";
import { copyFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { temporaryDirectory } from "../helpers.ts";
import { type Access, type HranaHandler, hranaHandler, type HranaOptions } from "./hrana.ts";
import { serve } from "./serve.ts";

/** What a platform token may do; absent: everything. */
export type Scope = "read" | "db:create" | "db:delete" | "db:configure" | "db:mint-token";

export interface TursoOptions {
  readonly organization: string;
  /** The accepted platform tokens; an `undefined` value: all scopes. */
  readonly tokens: Readonly<Record<string, readonly Scope[] | undefined>>;
  readonly groups?: readonly string[];
  /** How many requests a new database answers with 404 before it is there. @default {2} */
  readonly settling?: number;
  /** Databases in a page of the list. @default {all} */
  readonly pageSize?: number;
  /** The plan's limit. @default {none} */
  readonly maxDatabases?: number;
  /**
   * A fork may be in another group than its parent. The vendor refuses that, and what it says then is in
   * https://github.com/tursodatabase/turso-cli/pull/626 @default {false}
   */
  readonly forksAcrossGroups?: boolean;
  /** The status for a name that is taken: seen 400, documented 409. @default {400} */
  readonly takenStatus?: 400 | 409;
  /** As of the Hrana emulator, for each database. @default {none is} */
  readonly refuse?: HranaOptions["refuse"];
  /** How UUIDs of databases begin, for ids that hold no time. @default {of version 1} */
  readonly newId?: () => string;
}

interface Database {
  readonly id: string;
  readonly name: string;
  readonly group: string;
  readonly path: string;
  readonly parent: { readonly id: string; readonly name: string; readonly branched_at: string } | null;
  settling: number;
  protected: boolean;
  handler?: HranaHandler;
}

interface DataToken {
  readonly id: string;
  readonly access: Access;
  readonly expiresAt: number;
}

const UNITS: Readonly<Record<string, number>> = { w: 604_800_000, d: 86_400_000, h: 3_600_000, m: 60_000, s: 1_000 };

/** One organization. Its server is `serve`; `host` is where its databases are to be found. */
export class Turso {
  host = "";
  readonly databases = new Map<string, Database>();
  readonly dataTokens = new Map<string, DataToken>();
  readonly requests: { readonly method: string; readonly path: string; readonly query: string; status: number }[] = [];
  /** The clock of tokens. */
  now = Date.now;
  options: TursoOptions;
  readonly #directory = temporaryDirectory("forkstack-turso-");
  /** What databases held, by id, oldest first. */
  readonly #past = new Map<string, { readonly at: number; readonly path: string }[]>();
  #ids = 0;

  constructor(options: TursoOptions) {
    this.options = options;
  }

  /** Puts a database there, with the content of a SQLite file; `settling`: what a client has to wait for. */
  add(name: string, from: Database | string | undefined, group = "default", settling = 0): Database {
    const id = this.options.newId?.() ?? this.#newId();
    const path = join(this.#directory.path, `${id}.db`);
    if (from === undefined) writeFileSync(path, "");
    else if (typeof from === "string") copyFileSync(from, path);
    else if (from.handler === undefined) copyFileSync(from.path, path); // nobody ever wrote to it
    else {
      const database = new DatabaseSync(from.path);
      database.exec("PRAGMA wal_checkpoint(TRUNCATE)"); // Deno lets no test run VACUUM INTO
      database.close();
      copyFileSync(from.path, path);
    }
    const parent = typeof from === "object"
      ? { id: from.id, name: from.name, branched_at: new Date(this.now()).toISOString() }
      : null;
    const database: Database = { id, name, group, path, parent, settling, protected: false };
    this.databases.set(name, database);
    return database;
  }

  /** Keeps what a database holds as what it held at an instant. */
  keep(name: string, at: string): void {
    const { id, path } = this.databases.get(name)!;
    const kept = join(this.#directory.path, `${id}.${this.#ids++}.db`);
    copyFileSync(path, kept);
    this.#past.set(id, [...this.#past.get(id) ?? [], { at: Date.parse(at), path: kept }]);
  }

  async close(): Promise<void> {
    for (const { handler } of this.databases.values()) await handler?.close();
    this.#directory[Symbol.dispose]();
  }

  async handle(request: Request): Promise<Response> {
    const { pathname, search } = new URL(request.url);
    const logged = { method: request.method, path: pathname, query: search, status: 0 };
    this.requests.push(logged);
    const response = /^\/v[12]\//.test(pathname) ? await this.#api(request) : await this.#data(request);
    logged.status = response.status;
    response.headers.set("x-request-id", `request-${this.requests.length}`);
    return response;
  }

  async #data(request: Request): Promise<Response> {
    const name = decodeURIComponent(new URL(request.url).pathname.split("/")[1]!);
    const database = this.databases.get(name);
    if (database === undefined || database.settling-- > 0) return new Response("", { status: 404 });
    const { refuse } = this.options;
    database.handler ??= hranaHandler({
      path: database.path,
      ...(refuse && { refuse }),
      authToken: (token) => {
        const known = this.dataTokens.get(token ?? "");
        return known?.id === database.id && known.expiresAt > this.now() ? known.access : undefined;
      },
    });
    return await database.handler.handle(request);
  }

  async #api(request: Request): Promise<Response> {
    const url = new URL(request.url);
    const [, version, first, organization, kind, name, ...rest] = url.pathname.split("/").map(decodeURIComponent);
    const token = /^Bearer (.+)$/i.exec(request.headers.get("authorization") ?? "")?.[1];
    if (token === undefined || !Object.hasOwn(this.options.tokens, token)) {
      const isJwt = token?.split(".").length === 3;
      return failed(401, isJwt ? "could not parse jwt id" : "token contains an invalid number of segments");
    }
    const may = (scope: Scope) => this.options.tokens[token]?.includes(scope) ?? true;
    const what = `${request.method} ${
      [first, organization && "org", kind, name && "x", ...rest].filter(Boolean).join("/")
    }`;
    if (what === "GET auth/org") return Response.json({ exp: -1 });
    if (first === "organizations" && organization === undefined && request.method === "GET") {
      // The vendor's command line asks for v2, which is not in the specification:
      // https://github.com/tursodatabase/turso-cli/blob/main/internal/turso/organizations.go
      const { organization: slug } = this.options;
      const organizations = [{ name: slug, slug, type: "team", overages: false, plan_id: "developer" }];
      return Response.json(version === "v2" ? { organizations } : organizations);
    }
    if (version !== "v1" || first !== "organizations" || organization === undefined) return noRoute();
    if (organization !== this.options.organization) return failed(403, "you are not a member of this organization");
    const denied = () => failed(403, "the token has not the scope for this");
    switch (what) {
      case "GET organizations/org/databases":
        return may("read") ? this.#list(url) : denied();
      case "POST organizations/org/databases":
        return may("db:create") ? this.#create(await request.json()) : denied();
      case "GET organizations/org/groups":
        return Response.json({ groups: this.#groups().map((group) => this.#group(group)) });
      case "GET organizations/org/groups/x":
        if (!this.#groups().includes(name!)) return failed(404, "group not found");
        return Response.json({ group: this.#group(name!) });
    }
    if (kind !== "databases" || name === undefined) return noRoute();
    const database = this.databases.get(name);
    if (database === undefined) return failed(404, `could not find database with name ${name}: record not found`);
    switch (what) {
      case "GET organizations/org/databases/x":
        return may("read") ? Response.json({ database: this.#shown(database) }) : denied();
      case "DELETE organizations/org/databases/x":
        return may("db:delete") ? await this.#delete(database) : denied();
      case "GET organizations/org/databases/x/configuration":
        return may("read") ? Response.json(configurationOf(database)) : denied();
      case "PATCH organizations/org/databases/x/configuration": {
        if (!may("db:configure")) return denied();
        const { delete_protection } = await request.json() as { delete_protection?: boolean };
        database.protected = delete_protection ?? database.protected;
        return Response.json(configurationOf(database));
      }
      case "POST organizations/org/databases/x/auth/tokens":
        return may("db:mint-token") ? this.#mint(database, url.searchParams) : denied();
      case "GET organizations/org/databases/x/usage":
        return may("read") ? this.#usage(database) : denied();
    }
    return noRoute();
  }

  #list(url: URL): Response {
    const { searchParams: query } = url;
    const all = [...this.databases.values()].filter(({ group, parent }) =>
      (query.get("group") ?? group) === group && (!query.has("parent") || parent?.id === query.get("parent"))
    );
    const size = this.options.pageSize;
    if (size === undefined) return Response.json({ databases: all.map((one) => this.#shown(one)) });
    const from = Number(query.get("cursor") ?? 0);
    const next = from + size < all.length ? String(from + size) : null;
    const databases = all.slice(from, from + size).map((one) => this.#shown(one));
    return Response.json({ databases, pagination: { next } });
  }

  #create(
    wanted: {
      name?: string;
      group?: string;
      seed?: { type?: string; name?: string; value?: string; timestamp?: string };
    },
  ): Response {
    const { name = "", group, seed } = wanted;
    const { organization, maxDatabases = Infinity, takenStatus = 400, settling = 2 } = this.options;
    const most = Math.min(64, 62 - organization.length);
    if (name.length < 1 || name.length > most) return failed(400, `name must contain between 1 and ${most} characters`);
    if (!/^[a-z0-9-]+$/.test(name)) return failed(400, "name may hold lowercase letters, numbers and dashes only");
    if (group === undefined || !this.#groups().includes(group)) return failed(400, "group not found");
    if (this.databases.has(name)) return failed(takenStatus, "database with same name already exists");
    if (this.databases.size >= maxDatabases) return failed(402, `maximum database count of ${maxDatabases} reached`);
    const source = seed && this.databases.get(seed.name ?? seed.value ?? "");
    if (seed && source === undefined) return failed(400, "could not find the database to seed from: record not found");
    if (source !== undefined && source.group !== group && !this.options.forksAcrossGroups) {
      const why = `database ${source.name} is not part of group ${group}`;
      return failed(400, `can only fork databases within the same group: ${why}`);
    }
    const at = Date.parse(seed?.timestamp ?? "");
    const past = Number.isNaN(at) ? undefined : this.#past.get(source!.id)?.findLast((one) => one.at <= at);
    if (seed?.timestamp !== undefined && past === undefined) return failed(400, "invalid from parameter: out of range");
    const database = this.add(
      name,
      past && { ...source!, path: past.path, handler: undefined } || source,
      group,
      settling,
    );
    return Response.json({ database: { DbId: database.id, Hostname: this.#hostname(name), Name: name } });
  }

  async #delete(database: Database): Promise<Response> {
    if (database.protected) return failed(403, "database is protected from deletion");
    this.databases.delete(database.name);
    await database.handler?.close();
    for (const suffix of ["", "-wal", "-shm"]) rmSync(database.path + suffix, { force: true });
    return Response.json({ database: database.name });
  }

  #mint({ id }: Database, query: URLSearchParams): Response {
    const expiration = query.get("expiration") ?? "never";
    const access = query.get("authorization") ?? "full-access";
    if (access !== "full-access" && access !== "read-only") return failed(400, "Invalid authorization");
    if (!/^(never|(\d+[wdhms])+)$/.test(expiration)) return failed(400, "Invalid expiration format");
    const lengths = [...expiration.matchAll(/(\d+)([wdhms])/g)].map(([, count, unit]) => Number(count) * UNITS[unit!]!);
    const expiresAt = expiration === "never" ? Infinity : this.now() + lengths.reduce((sum, one) => sum + one, 0);
    const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const jwt = `${encode({ alg: "EdDSA" })}.${encode({ id, jti: crypto.randomUUID() })}.${crypto.randomUUID()}`;
    this.dataTokens.set(jwt, { id, access, expiresAt });
    return Response.json({ jwt });
  }

  #usage({ id, path }: Database): Response {
    const database = new DatabaseSync(path);
    const size = database.prepare("SELECT page_count * page_size AS size FROM pragma_page_count, pragma_page_size")
      .get();
    database.close();
    const usage = { rows_read: 0, rows_written: 0, storage_bytes: Number(size!.size), bytes_synced: 0 };
    return Response.json({ database: { uuid: id, instances: [{ uuid: crypto.randomUUID(), usage }], usage } });
  }

  #shown({ id, name, group, parent, protected: delete_protection }: Database) {
    return {
      Name: name,
      DbId: id,
      Hostname: this.#hostname(name),
      block_reads: false,
      block_writes: false,
      regions: ["aws-us-east-1"],
      primaryRegion: "aws-us-east-1",
      group,
      delete_protection,
      parent,
    };
  }

  #groups(): readonly string[] {
    return this.options.groups ?? ["default"];
  }

  #group(name: string) {
    const location = "aws-us-east-1";
    const uuid = crypto.randomUUID();
    return { name, version: "v0.24.0", uuid, locations: [location], primary: location, archived: false };
  }

  /** A path in place of a name: the host of an emulator has only one. The slash at its end keeps the path whole. */
  #hostname(name: string): string {
    return `${this.host}/${name}/`;
  }

  /** A UUID of version 1, as the API's are. */
  #newId(): string {
    const ticks = BigInt(Date.now() + 12_219_292_800_000) * 10_000n + BigInt(this.#ids++);
    const hex = ticks.toString(16).padStart(15, "0");
    return `${hex.slice(7)}-${hex.slice(3, 7)}-1${hex.slice(0, 3)}-8553-${crypto.randomUUID().slice(-12)}`;
  }
}

function configurationOf({ protected: delete_protection }: Database) {
  return { size_limit: "0", block_reads: false, block_writes: false, allow_attach: false, delete_protection };
}

function failed(status: number, error: string): Response {
  return Response.json({ error }, { status });
}

/** Also for a method that a path does not have. */
function noRoute(): Response {
  return Response.json({ code: "route_not_found", error: "no such route", hint: "see the docs" }, { status: 404 });
}

/** An organization with a server of its own. */
export async function startTurso(options: TursoOptions): Promise<Turso & { readonly url: string } & AsyncDisposable> {
  const turso = new Turso(options);
  const server = await serve(() => turso);
  turso.host = server.host;
  return Object.assign(turso, {
    url: server.url,
    async [Symbol.asyncDispose]() {
      await server.close();
      await turso.close();
    },
  });
}
