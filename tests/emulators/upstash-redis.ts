/**
 * Upstash's Developer API for Redis, with databases that really answer over both protocols.
 *
 * Built from the vendor's specification (https://github.com/upstash/docs/blob/main/devops/developer-api/openapi.yml) and
 * what its clients read, as ../shared/vendors/cache-and-queue.md lists it, section 1. What nobody documents is an option:
 * whether names are unique, and the status of a create beyond the plan.
 */
import { Buffer } from "node:buffer";
import type { Databases, Place } from "./redis_databases.ts";

export interface UpstashOptions {
  readonly email: string;
  /** The accepted keys; `false`: it may only read. */
  readonly keys: Readonly<Record<string, boolean>>;
  /** How many looks at a database or a backup it takes until it is done. @default {1} */
  readonly settling?: number;
  /** Two databases may bear one name. @default {true} */
  readonly sharedNames?: boolean;
  /** The plan's limit. @default {none} */
  readonly maxDatabases?: number;
  /** The status for a create beyond it. @default {400} */
  readonly limitStatus?: 400 | 402;
  /** What becomes of the next backups. @default {"completed"} */
  readonly backups?: "completed" | "failed";
  /** A create may leave out `platform`, which the specification asks for. @default {false} */
  readonly guessesPlatform?: boolean;
  /** The account's plan. @default {"payg"} */
  readonly type?: "free" | "payg";
}

interface Database {
  readonly id: string;
  name: string;
  readonly place: Place;
  readonly region: string;
  readonly createdAt: number;
  state: "active" | "suspended" | "passive";
  /** What it is busy with, for so many looks. */
  busy: { readonly with: string; looks: number; readonly then?: () => Promise<void> } | undefined;
}

interface Backup {
  readonly id: string;
  readonly name: string;
  readonly of: Database;
  readonly place: Place;
  readonly createdAt: number;
  looks: number;
  state: "pending" | "completed" | "failed";
}

/** One account. */
export class Upstash {
  readonly databases = new Map<string, Database>();
  readonly backups = new Map<string, Backup>();
  readonly requests: { readonly method: string; readonly path: string; status: number }[] = [];
  options: UpstashOptions;
  readonly #real: Databases;

  constructor(real: Databases, options: UpstashOptions) {
    this.#real = real;
    this.options = options;
  }

  /** Puts a database there. */
  add(name: string, region = "us-east-1", id: string = crypto.randomUUID(), looks = 0): Database {
    const database: Database = {
      id,
      name,
      region,
      place: this.#real.make(),
      createdAt: Math.floor(Date.now() / 1_000),
      state: "active",
      busy: looks > 0 ? { with: "creating", looks } : undefined,
    };
    this.databases.set(id, database);
    return database;
  }

  /** By name; the only one. */
  named(name: string): Database {
    return [...this.databases.values()].find((one) => one.name === name)!;
  }

  async close(): Promise<void> {
    for (const { place } of [...this.databases.values(), ...this.backups.values()]) await this.#real.remove(place);
  }

  async handle(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    const logged = { method: request.method, path: pathname, status: 0 };
    this.requests.push(logged);
    const response = await this.#answer(request);
    logged.status = response.status;
    response.headers.set("x-request-id", `request-${this.requests.length}`);
    return response;
  }

  async #answer(request: Request): Promise<Response> {
    const url = new URL(request.url);
    const [, version, kind, action, id, more] = url.pathname.split("/").map(decodeURIComponent);
    const basic = /^Basic (.+)$/i.exec(request.headers.get("authorization") ?? "")?.[1] ?? "";
    const [email, key = ""] = Buffer.from(basic, "base64").toString().split(":");
    if (email !== this.options.email || !Object.hasOwn(this.options.keys, key)) return failed(401, "Unauthorized");
    if (version !== "v2" || kind !== "redis") return new Response("404 page not found", { status: 404 });
    const isWrite = request.method !== "GET";
    if (isWrite && !this.options.keys[key]) return failed(403, "Readonly API key is used for a write operation");
    const body = isWrite ? await request.json().catch(() => ({})) : {};
    const what = `${request.method} ${action}`;
    if (what === "GET databases") {
      return Response.json([...this.databases.values()].map((one) => this.#shown(one, true)));
    }
    if (what === "POST database" && id === undefined) return this.#create(body);
    const database = this.databases.get(id ?? "");
    if (database === undefined) return failed(404, "database not found");
    switch (what) {
      case "GET database":
        await this.#look(database);
        return Response.json(this.#shown(database, url.searchParams.get("credentials") === "hide"));
      case "DELETE database":
        this.databases.delete(database.id);
        for (const backup of this.backups.values()) if (backup.of === database) await this.#dropBackup(backup);
        await this.#real.remove(database.place);
        return Response.json("OK");
      case "GET stats":
        return Response.json({
          current_storage: Number(await this.#real.send(database.place, "DBSIZE")) * 100,
          total_monthly_billing: 0.5,
          total_monthly_requests: 7,
        });
      case "GET list-backup": {
        const own = [...this.backups.values()].filter(({ of }) => of === database);
        for (const backup of own) if (backup.state === "pending") this.#lookAt(backup);
        return Response.json(own.map(shownBackup));
      }
    }
    if (what === "DELETE delete-backup") {
      const backup = this.backups.get(more ?? "");
      if (backup?.of !== database) return failed(404, "backup not found");
      if (backup.state === "pending") return failed(400, "backup is still in progress");
      await this.#dropBackup(backup);
      return Response.json("OK");
    }
    // While it is backed up, a database takes no change; while it is new, it is "in maintenance".
    const isBackedUp = [...this.backups.values()].some(({ of, state }) => of === database && state === "pending");
    if (isBackedUp) return failed(400, "a backup of this database is in progress");
    if (database.busy !== undefined) return failed(500, "database is in maintenance mode");
    if (database.state !== "active") return failed(400, `database is ${database.state}`);
    switch (what) {
      case "POST rename":
        if (!(await this.#isFree(body.name, database))) return failed(400, "database name is already in use");
        database.name = body.name;
        return Response.json(this.#shown(database, true));
      case "POST create-backup":
        return await this.#backUp(database, String(body.name));
      case "POST restore-backup": {
        const backup = this.backups.get(body.backup_id);
        if (backup?.state !== "completed") return failed(404, "backup not found");
        await this.#real.send(database.place, "FLUSHDB"); // first of all
        database.busy = {
          with: "restoring",
          looks: this.options.settling ?? 1,
          then: () => this.#real.copy(backup.place, database.place),
        };
        return Response.json("OK");
      }
    }
    return new Response("404 page not found", { status: 404 });
  }

  #isFree(name: unknown, self?: Database): Promise<boolean> {
    const isShared = this.options.sharedNames ?? true;
    return Promise.resolve(isShared || [...this.databases.values()].every((one) => one === self || one.name !== name));
  }

  async #create(body: Record<string, unknown>): Promise<Response> {
    const { database_name: name, primary_region: region } = body;
    if (typeof name !== "string" || name === "") return failed(400, "database_name is required");
    const isGcp = ["us-central1", "us-east4", "europe-west1", "asia-northeast1"].includes(String(region));
    // The vendor's command line (@upstash/cli 1.0, redis/create.js) names `region: "global"`, as before 2026, and no platform.
    const isOlder = body.region === "global" || this.options.guessesPlatform;
    const { platform = isOlder ? (isGcp ? "gcp" : "aws") : undefined } = body;
    if (platform === undefined) return failed(400, "platform is required");
    if (platform !== (isGcp ? "gcp" : "aws")) return failed(400, `region ${region} is not of platform ${platform}`);
    if (!await this.#isFree(name)) return failed(400, "database name is already in use");
    const { maxDatabases = Infinity, limitStatus = 400 } = this.options;
    if (this.databases.size >= maxDatabases) return failed(limitStatus, "max database count exceeded");
    const database = this.add(name, String(region), undefined, this.options.settling ?? 1);
    return Response.json(this.#shown(database, false));
  }

  async #backUp(of: Database, name: string): Promise<Response> {
    const place = this.#real.make();
    place.isOpen = false;
    await this.#real.copy(of.place, place); // what it holds at this moment
    const [id, createdAt] = [crypto.randomUUID(), Math.floor(Date.now() / 1_000)];
    this.backups.set(id, { id, name, of, place, createdAt, looks: this.options.settling ?? 1, state: "pending" });
    return Response.json("OK");
  }

  async #dropBackup(backup: Backup): Promise<void> {
    this.backups.delete(backup.id);
    await this.#real.remove(backup.place);
  }

  #lookAt(backup: Backup): void {
    if (backup.looks-- <= 0) backup.state = this.options.backups ?? "completed";
  }

  async #look(database: Database): Promise<void> {
    const { busy } = database;
    if (busy === undefined || busy.looks-- > 0) return;
    database.busy = undefined;
    await busy.then?.();
  }

  /** The specification leaves the credentials out; lists have none here. */
  #shown({ id, name, region, createdAt, state, busy, place }: Database, isHidden: boolean) {
    return {
      database_id: id,
      database_name: name,
      region: "global",
      port: this.#real.port,
      creation_time: createdAt,
      state,
      modifying_state: busy?.with ?? "",
      endpoint: "127.0.0.1",
      tls: false,
      type: this.options.type ?? "payg",
      budget: 20,
      primary_region: region,
      all_members: [region],
      eviction: false,
      db_acl_enabled: "false",
      customer_id: this.options.email,
      ...(isHidden ? {} : { password: place.password, rest_token: place.restToken, read_only_rest_token: "read-only" }),
    };
  }
}

function shownBackup({ id, name, of, createdAt, state }: Backup) {
  return {
    backup_id: id,
    name,
    database_id: of.id,
    customer_id: "somebody",
    creation_time: createdAt,
    state,
    backup_size: 0,
    daily_backup: "false",
    hourly_backup: "false",
    internal_backup_tag: "",
  };
}

function failed(status: number, error: string): Response {
  return Response.json({ error }, { status });
}
