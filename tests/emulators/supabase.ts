/**
 * Supabase's management API with branches that really answer: each is a database of a real PostgreSQL server, with a
 * password of its own, behind the pooler that all share and behind an address of its own.
 *
 * Built from the vendor's specification and what others saw of the live API, as ../shared/vendors/databases.md lists it,
 * section 4; what is seen late, and for how long, by
 * https://github.com/antifailure/antifailure/blob/main/engine/internal/db/supabase/client.go
 */
import { randomBytes } from "node:crypto";
import type { Server } from "./postgres_server.ts";
import { serve } from "./serve.ts";
import { Databases, type Prepared, type Room } from "./supabase_databases.ts";
import { Door } from "./supabase_pooler.ts";

/** What a scoped token may do. */
export type Permission =
  | "branches:read"
  | "branches:create"
  | "branches:write"
  | "branches:delete"
  | "branches:secrets"
  | "keys:read"
  | "pooler:read"
  | "project:read"
  | "organization:read"
  | "usage:read";

/** What a list tells of a branch, one after the other. */
export type State = readonly [status: string, server: string];

export interface SupabaseOptions {
  /** Where the databases are. */
  readonly server: Server;
  readonly projectRef: string;
  /** The accepted tokens; an `undefined` value: all permissions. */
  readonly tokens: Readonly<Record<string, readonly Permission[] | undefined>>;
  /** The project's own password. */
  readonly password: string;
  /** The project's database, where it was made before: then nobody may change it. */
  readonly prepared?: Prepared;
  /** The plan's limit of branches; 0: it has none. @default {unlimited} */
  readonly maxBranches?: number;
  /** Branching is turned on. @default {true} */
  readonly branching?: boolean;
  /** The project has the add-on that clones need. @default {true} */
  readonly pitr?: boolean;
  /** The project's own state. @default {"ACTIVE_HEALTHY"} */
  readonly projectStatus?: string;
  /** SQL of the migrations that a branch without data replays; one that fails shows. @default {none} */
  readonly migrations?: readonly string[];
  /** What a new branch goes through, one step a look at the list; the last one stays. @default {as the vendor} */
  readonly course?: readonly State[];
  /** In how many lists a new branch is not yet. @default {3} */
  readonly hidden?: number;
  /** A branch that no list has yet is told of by its ref. @default {false: nothing tells of it} */
  readonly hidesInListsAlone?: boolean;
  /** How many connections a new branch refuses though it is said to be healthy. @default {1} */
  readonly refusing?: number;
  /** In how many lists a branch still is that is deleted. @default {1} */
  readonly leaving?: number;
  /** The create acts, and then says nothing. @default {false} */
  readonly muteCreate?: boolean;
  /** The create's status for a name that is taken: 409, or the 500 that others saw. @default {409} */
  readonly takenStatus?: 409 | 500;
  /** How many requests are one too many for this minute. @default {0} */
  readonly busy?: number;
  /** Hosts as the vendor has them, where nothing answers here. @default {false} */
  readonly realHosts?: boolean;
}

/** A branch, or the project itself. */
export interface Branch extends Room {
  readonly id: string;
  name: string;
  readonly isDefault: boolean;
  persistent: boolean;
  readonly createdAt: string;
  readonly jwtSecret: string;
  readonly keys: Readonly<Record<"anon" | "service_role" | "publishable" | "secret", string>>;
  course: readonly State[];
  hidden: number;
  leaving?: number;
  deletionScheduledAt?: string;
  computeAddon?: { readonly id: string; readonly name: string; readonly hourly: number };
  /** Its own address; opened when somebody asks for it. */
  door?: Door;
}

const REF = /^[a-z]{20}$/;
const WITH_DATA: readonly State[] = [
  ["CREATING_PROJECT", "COMING_UP"],
  ["CREATING_PROJECT", "RESTORING"],
  ["MIGRATIONS_PASSED", "ACTIVE_HEALTHY"],
];
const REPLAYED: readonly State[] = [
  ["CREATING_PROJECT", "COMING_UP"],
  ["RUNNING_MIGRATIONS", "ACTIVE_HEALTHY"],
  ["FUNCTIONS_DEPLOYED", "ACTIVE_HEALTHY"],
];

/** One organization with one project. Its server is `startSupabase`. */
export class Supabase {
  readonly branches = new Map<string, Branch>();
  readonly requests: { readonly method: string; readonly path: string; status: number }[] = [];
  readonly project: Branch;
  options: SupabaseOptions;
  readonly #databases: Databases;
  readonly #pooler: Door;
  readonly #gone: Branch[] = [];

  constructor(options: SupabaseOptions) {
    this.options = options;
    this.#databases = new Databases(options.server, options.prepared);
    this.#pooler = this.#door((user) => {
      const ref = /^postgres\.([a-z]{20})$/.exec(user)?.[1];
      const branch = ref === options.projectRef ? this.project : this.branches.get(ref ?? "");
      return branch?.leaving === undefined ? branch : undefined;
    });
    this.project = this.#branch("main", {
      ref: options.projectRef,
      isDefault: true,
      password: options.password,
      course: [["FUNCTIONS_DEPLOYED", "ACTIVE_HEALTHY"]],
    });
  }

  /** Makes the project's database, with these tables and rows. */
  async fill(sql: string): Promise<void> {
    await this.#databases.fill(this.project, sql);
  }

  /** Puts a branch there that is whole; its database comes to be when somebody connects. */
  add(name: string, more: Partial<Branch> = {}): Branch {
    const branch = this.#branch(name, { course: [["FUNCTIONS_DEPLOYED", "ACTIVE_HEALTHY"]], ...more });
    this.branches.set(branch.ref, branch);
    return branch;
  }

  find(name: string): Branch | undefined {
    return [...this.branches.values()].find((one) => one.name === name);
  }

  /** Every row of a branch's database, or of the project's. */
  async contentOf(branch: Branch): Promise<string> {
    if (branch.leaving !== undefined) return "it is gone";
    return await this.#databases.contentOf(branch, this.project);
  }

  /** Runs SQL in a branch's database, as an application does. */
  async change(branch: Branch, sql: string): Promise<void> {
    await this.options.server.query(sql, await this.#enter(branch));
  }

  async close(): Promise<void> {
    await this.#pooler.close();
    for (const branch of [this.project, ...this.branches.values()]) await this.#drop(branch);
    await this.#databases.close();
  }

  async handle(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    const logged = { method: request.method, path: pathname, status: 0 };
    this.requests.push(logged);
    const isBusy = this.requests.filter(({ status }) => status === 429).length < (this.options.busy ?? 0);
    const response = isBusy ? failed(429, "Too Many Requests") : await this.#answer(request);
    logged.status = response.status;
    response.headers.set("x-request-id", `request-${this.requests.length}`);
    response.headers.set("x-ratelimit-limit", "120");
    response.headers.set("x-ratelimit-remaining", "119");
    response.headers.set("x-ratelimit-reset", "60");
    return response;
  }

  async #answer(request: Request): Promise<Response> {
    const url = new URL(request.url);
    const [, version, first, ref = "", ...rest] = url.pathname.split("/").map(decodeURIComponent);
    const token = /^Bearer (.+)$/.exec(request.headers.get("authorization") ?? "")?.[1];
    if (token === undefined) return failed(401, "Unauthorized");
    const { tokens, projectRef, branching = true } = this.options;
    if (!Object.hasOwn(tokens, token)) return failed(401, "JWT could not be decoded");
    const may = (permission: Permission) => tokens[token]?.includes(permission) ?? true;
    const denied = () => failed(403, "Your account does not have the necessary privileges to access this endpoint.");
    if (version !== "v1") return failed(404, `Cannot ${request.method} ${url.pathname}`);
    const what = `${request.method} ${[first, ...rest].join("/")}`;
    if (first === "branches") {
      const branch = ref === projectRef ? this.project : this.branches.get(ref) ?? this.#byId(ref);
      if (!may("branches:read")) return denied();
      const isHidden = (branch?.hidden ?? 0) > 0 && !this.options.hidesInListsAlone;
      if (branch === undefined || isHidden || branch.leaving !== undefined) {
        return failed(404, "Branch not found");
      }
      switch (what) {
        case "GET branches":
          return await this.#detail(branch, may("branches:secrets"));
        case "PATCH branches":
          return may("branches:write") ? this.#update(branch, await request.json()) : denied();
        case "DELETE branches":
          return may("branches:delete") ? await this.#delete(branch, url.searchParams) : denied();
      }
    }
    if (first === "organizations" && what === "GET organizations/entitlements") {
      return may("organization:read") ? this.#entitlements() : denied();
    }
    if (first === "projects" && rest[0] === "branches") {
      if (this.branches.has(ref)) return denied(); // a branch's ref in place of the project's
      if (ref !== projectRef) return failed(404, "Project not found");
      if (!may("branches:read") || (request.method === "POST" && !may("branches:create"))) return denied();
      if (!branching) return failed(422, "Preview branching is not enabled for this project.");
      if (what === "GET projects/branches") return Response.json(this.#list());
      if (what === "POST projects/branches") return await this.#create(await request.json());
      if (request.method !== "GET" || rest[1] === undefined) return failed(404, `Cannot ${what}`);
      const found = this.#list().find(({ name }) => name === rest[1]);
      return found === undefined ? failed(404, "Branch not found") : Response.json(found);
    }
    const branch = ref === projectRef ? this.project : this.branches.get(ref);
    if (branch === undefined) return failed(404, "Project not found");
    switch (what) {
      case "GET projects":
        if (branch !== this.project) return failed(404, "Project not found");
        return may("project:read") ? Response.json(await this.#shownProject()) : denied();
      case "GET projects/api-keys":
        return may("keys:read") ? Response.json(keysOf(branch, url.searchParams.get("reveal") === "true")) : denied();
      case "GET projects/config/database/pooler":
        return may("pooler:read") ? Response.json([await this.#shownPooler(branch)]) : denied();
      case "GET projects/config/disk/util":
        return may("usage:read") ? await this.#disk(branch) : denied();
      case "GET projects/billing/addons":
        return may("usage:read") ? Response.json(this.#addons(branch)) : denied();
    }
    return failed(404, `Cannot ${what}`);
  }

  /** Each look lets the vendor's work go on by one step. */
  #list() {
    const shown = [];
    for (const branch of [this.project, ...this.branches.values()]) {
      if (branch.hidden > 0) {
        branch.hidden--;
        continue;
      }
      shown.push(this.#shown(branch));
      if (branch.course.length > 1) branch.course = branch.course.slice(1);
      if (branch.leaving !== undefined && branch.leaving-- <= 1) this.branches.delete(branch.ref);
    }
    return shown;
  }

  async #create(wanted: Record<string, unknown>): Promise<Response> {
    const { branch_name: name, persistent = false, with_data: withData = false, is_default: isDefault = false } =
      wanted;
    const { maxBranches = Infinity, projectStatus, pitr = true, takenStatus = 409, muteCreate, course } = this.options;
    if (typeof name !== "string" || name === "") return failed(400, "branch_name: must be at least 1 character");
    if (projectStatus === "INACTIVE") return failed(400, "Project is paused");
    if (isDefault || [this.project, ...this.branches.values()].some((one) => one.name === name)) {
      return failed(
        takenStatus,
        takenStatus === 409 ? "Branch name already in use" : "Failed to insert preview branch",
      );
    }
    if (maxBranches === 0) {
      return failed(403, "Your account does not have the necessary privileges to access this endpoint.");
    }
    if (this.branches.size >= maxBranches) return failed(402, "Branch limit reached");
    if (withData && !pitr) return failed(400, "Data branching is not available for this project");
    const branch = this.#branch(name, {
      persistent: Boolean(persistent),
      withData: Boolean(withData),
      course: course ?? (withData ? WITH_DATA : REPLAYED),
      hidden: this.options.hidden ?? 3,
      refusing: this.options.refusing ?? 1,
    });
    this.branches.set(branch.ref, branch);
    const isReplayed = withData || await this.#databases.replay(branch, this.project, this.options.migrations ?? []);
    if (!isReplayed) branch.course = [["CREATING_PROJECT", "COMING_UP"], ["MIGRATIONS_FAILED", "ACTIVE_HEALTHY"]];
    if (muteCreate) await new Promise(() => {});
    return Response.json(this.#shown(branch), { status: 201 });
  }

  /** That a name must be free, and a branch whole, is written nowhere: the stricter is taken to hold. */
  #update(branch: Branch, { persistent, branch_name: name }: { persistent?: boolean; branch_name?: string }): Response {
    const { takenStatus = 409 } = this.options;
    const isTaken = [this.project, ...this.branches.values()].some((one) => one !== branch && one.name === name);
    if (isTaken) return failed(takenStatus, "Failed to update database branch");
    if (branch.course[0]![1] === "COMING_UP") return failed(400, "Project not ready.");
    branch.persistent = persistent ?? branch.persistent;
    branch.name = name ?? branch.name;
    return Response.json(this.#shown(branch));
  }

  async #delete(branch: Branch, query: URLSearchParams): Promise<Response> {
    if (branch.isDefault) return failed(422, "Cannot delete default branch.");
    if (branch.persistent) return failed(422, "Cannot delete persistent branch.");
    if (branch.course[0]![1] === "COMING_UP") return failed(400, "Project not ready for deletion.");
    if (query.get("force") === "false") {
      branch.deletionScheduledAt = new Date(Date.now() + 3_600_000).toISOString();
      return Response.json({ message: "ok" });
    }
    branch.leaving = this.options.leaving ?? 1;
    branch.course = [[branch.course[0]![0], "GOING_DOWN"]];
    this.#gone.push(branch);
    await this.#drop(branch);
    if (branch.leaving === 0) this.branches.delete(branch.ref);
    return Response.json({ message: "ok" });
  }

  async #detail(branch: Branch, isSecretShown: boolean): Promise<Response> {
    const { host, port } = await this.#address(branch);
    return Response.json({
      ref: branch.ref,
      postgres_version: "17.6.1.111",
      postgres_engine: "17",
      release_channel: "ga",
      status: branch.course[0]![1],
      db_host: host,
      db_port: port,
      // Nobody gets the project's own password.
      ...(isSecretShown && !branch.isDefault
        ? { db_user: "postgres", db_pass: branch.password, jwt_secret: branch.jwtSecret }
        : {}),
    });
  }

  /** Where a branch alone is to be found. */
  #address(branch: Branch): Promise<{ host: string; port: number }> {
    if (this.options.realHosts) return Promise.resolve({ host: `db.${branch.ref}.supabase.co`, port: 5432 });
    branch.door ??= this.#door((user) => user === "postgres" ? branch : undefined);
    return Promise.resolve({ host: "127.0.0.1", port: branch.door.port });
  }

  async #shownProject() {
    const { host } = await this.#address(this.project);
    return {
      id: this.project.ref,
      ref: this.project.ref,
      organization_id: "acme",
      organization_slug: "acme",
      name: "shop",
      region: "us-east-1",
      created_at: this.project.createdAt,
      status: this.options.projectStatus ?? "ACTIVE_HEALTHY",
      database: { host, version: "17.6.1.111", postgres_engine: "17", release_channel: "ga" },
    };
  }

  async #shownPooler(branch: Branch) {
    const { realHosts } = this.options;
    const host = realHosts ? "aws-0-us-east-1.pooler.supabase.com" : "127.0.0.1";
    const port = realHosts ? 6543 : this.#pooler.port;
    const connection = `postgresql://postgres.${branch.ref}:[YOUR-PASSWORD]@${host}:${port}/postgres`;
    return await Promise.resolve({
      identifier: branch.ref,
      database_type: "PRIMARY",
      is_using_scram_auth: true,
      db_user: "postgres",
      db_host: host,
      db_port: port,
      db_name: "postgres",
      connection_string: connection,
      connectionString: connection,
      default_pool_size: 15,
      max_client_conn: 200,
      pool_mode: realHosts ? "transaction" : "session",
    });
  }

  async #disk(branch: Branch): Promise<Response> {
    const used = await this.#databases.sizeOf(await this.#enter(branch));
    const metrics = { fs_size_bytes: 8e9, fs_avail_bytes: 8e9 - used, fs_used_bytes: used };
    return Response.json({ timestamp: new Date().toISOString(), metrics });
  }

  #addons({ isDefault, computeAddon }: Branch) {
    const one = (type: string, id: string, name: string, amount: number, interval = "hourly") => ({
      type,
      variant: { id, name, price: { description: `$${amount}`, type: "usage", interval, amount } },
    });
    const compute = computeAddon
      ? [one("compute_instance", computeAddon.id, computeAddon.name, computeAddon.hourly)]
      : [];
    const pitr = isDefault && (this.options.pitr ?? true) ? [one("pitr", "pitr_7", "7 days", 100, "monthly")] : [];
    return { selected_addons: [...compute, ...pitr], available_addons: [] };
  }

  #entitlements(): Response {
    const { maxBranches } = this.options;
    const config = {
      enabled: maxBranches !== 0,
      value: maxBranches ?? 0,
      unlimited: maxBranches === undefined,
      unit: "",
    };
    return Response.json({
      entitlements: [{
        feature: { key: "branching_limit", type: "numeric" },
        hasAccess: maxBranches !== 0,
        type: "numeric",
        config,
      }],
    });
  }

  #shown({ id, ref, name, isDefault, persistent, withData, createdAt, course, deletionScheduledAt }: Branch) {
    const [status, preview_project_status] = course[0]!;
    return {
      id,
      name,
      project_ref: ref,
      parent_project_ref: this.options.projectRef,
      is_default: isDefault,
      persistent,
      with_data: withData,
      status,
      preview_project_status,
      created_at: createdAt,
      updated_at: createdAt,
      ...(deletionScheduledAt === undefined ? {} : { deletion_scheduled_at: deletionScheduledAt }),
    };
  }

  #byId(id: string): Branch | undefined {
    return [...this.branches.values()].find((one) => one.id === id);
  }

  #branch(name: string, more: Partial<Branch>): Branch {
    const ref = more.ref ?? [...randomBytes(20)].map((byte) => String.fromCharCode(97 + byte % 26)).join("");
    if (!REF.test(ref)) throw new RangeError(`"${ref}" is no ref`);
    const key = (kind: string) => `canary-${kind}-${ref}-${randomBytes(8).toString("hex")}`;
    return {
      id: crypto.randomUUID(),
      ref,
      name,
      isDefault: false,
      persistent: false,
      withData: true,
      createdAt: new Date().toISOString(),
      password: key("password"),
      jwtSecret: key("jwt"),
      keys: {
        anon: key("anon"),
        service_role: key("service-role"),
        publishable: key("publishable"),
        secret: key("secret"),
      },
      course: [],
      hidden: 0,
      refusing: 0,
      isTouched: false,
      ...more,
    };
  }

  /** The name of its database, for somebody who goes in. */
  #enter(room: Room): Promise<string> {
    if (room === this.project) return this.#databases.openProject(room, this.branches.values());
    return this.#databases.open(room, this.project);
  }

  #door(roomOf: (user: string) => Room | undefined): Door {
    return new Door(this.#databases, roomOf, (room) => this.#enter(room));
  }

  async #drop(branch: Branch): Promise<void> {
    const { door } = branch;
    delete branch.door;
    await door?.close();
    await this.#databases.drop(branch);
  }

  /** Every secret that it ever held. */
  canaries(): string[] {
    return [this.project, ...this.branches.values(), ...this.#gone].flatMap(({ password, jwtSecret, keys }) => [
      password,
      jwtSecret,
      ...Object.values(keys),
    ]);
  }
}

function keysOf({ keys }: Branch, isRevealed: boolean) {
  const shown = (name: string, type: string, value: string) => ({
    name,
    type,
    id: crypto.randomUUID(),
    api_key: isRevealed || type !== "secret" ? value : `${value.slice(0, 6)}······`,
  });
  return [
    shown("anon", "legacy", keys.anon),
    shown("service_role", "legacy", keys.service_role),
    shown("default", "publishable", keys.publishable),
    shown("default", "secret", keys.secret),
  ];
}

function failed(status: number, message: string): Response {
  return Response.json({ message }, { status });
}

/** The project with a server of its own. */
export async function startSupabase(
  options: SupabaseOptions,
): Promise<Supabase & { readonly url: string } & AsyncDisposable> {
  const supabase = new Supabase(options);
  const { url, close } = await serve(() => supabase);
  return Object.assign(supabase, {
    url,
    async [Symbol.asyncDispose]() {
      await close();
      await supabase.close();
    },
  });
}
