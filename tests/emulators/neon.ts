/**
 * Neon's API over branches that really answer: databases of a PostgreSQL server, behind a port for each endpoint.
 *
 * Built from the vendor's specification (npm `@neondatabase/api-client`, public-v2-for-users.gen.yaml), its
 * documentation, and the answers that were seen of the live API, as ../shared/vendors/databases.md lists them, section
 * 2. What it says is unconfirmed is an option here, or answered with an empty code, so that nobody leans on it.
 * Time goes by requests: each one brings a project's running operations a step further.
 */
import { type Admission, Gate, Storage, type Stores } from "./neon_storage.ts";
import type { Server } from "./postgres_server.ts";
import { serve } from "./serve.ts";

/** Rights of a key. */
export interface Key {
  /** Its access. @default {"write"} */
  readonly may?: "read" | "write";
  /** Projects that it can see; absent: all. */
  readonly projects?: readonly string[];
  readonly isExpired?: boolean;
}

export interface NeonOptions {
  readonly keys: Readonly<Record<string, Key>>;
  /** The project's id. @default {"late-frost-12345"} */
  readonly project?: string;
  /** Requests until an operation ends. @default {2} */
  readonly settling?: number;
  /** Most branches on one page of the list. @default {100} */
  readonly pageSize?: number;
  /** Limits of the plan. @default {none} */
  readonly maxBranches?: number;
  readonly maxRoots?: number;
  /** Seconds of history that are kept. @default {21600} */
  readonly historySeconds?: number;
  /** The project keeps no passwords, so that none can be read back. @default {true} */
  readonly storesPasswords?: boolean;
  /** The status of a forbidden action; nobody has confirmed one. @default {422} */
  readonly refusal?: 400 | 409 | 422;
}

interface Role {
  readonly password: string;
}

/** A branch with its compute. */
export interface Branch {
  readonly id: string;
  readonly endpoint?: Endpoint;
  readonly parentId?: string;
  readonly parentLsn?: string;
  readonly source: "parent-data" | "schema-only";
  readonly createdAt: number;
  name: string;
  state: "init" | "ready" | "archived";
  isDefault: boolean;
  isProtected: boolean;
  expiresAt?: number;
  annotation: Record<string, string>;
  readonly roles: Map<string, Role>;
  readonly owners: Map<string, string>;
  readonly stores: Stores;
  /** Its former contents, oldest first. */
  readonly history: { readonly at: number; readonly lsn: string; readonly stores: Stores }[];
}

interface Endpoint {
  readonly id: string;
  readonly direct: Gate;
  readonly pooler: Gate;
  state: "init" | "active";
}

interface Operation {
  readonly id: string;
  readonly branch: string;
  readonly action: string;
  status: "scheduling" | "running" | "failed" | "finished";
  left: number;
  done?: () => void | Promise<void>;
}

/** Options of a branch that tests add. */
export interface Given {
  readonly parent?: Branch;
  readonly annotation?: Record<string, string>;
  readonly isDefault?: boolean;
  readonly isProtected?: boolean;
  readonly expiresAt?: number;
  /** Statements that make each database's content; a child has its parent's. */
  readonly databases?: Readonly<Record<string, string>>;
  readonly owner?: string;
  readonly createdAt?: number;
}

/** What PgBouncer lets through of a startup message: https://www.pgbouncer.org/config.html */
const POOLER_KNOWS = new Set([
  ...["user", "database", "application_name", "client_encoding", "TimeZone", "timezone", "DateStyle"],
  ...["standard_conforming_strings", "extra_float_digits", "replication"],
]);
const WORDS = ["aged", "calm", "dark", "icy", "late", "odd", "shy", "wispy"];

/** One project. */
export class Neon {
  readonly branches = new Map<string, Branch>();
  readonly operations = new Map<string, Operation>();
  readonly requests: { readonly method: string; readonly path: string; readonly query: string; status: number }[] = [];
  /** Number of failures of operations of an action before they end. */
  readonly failing = new Map<string, number>();
  now = Date.now;
  options: NeonOptions;
  readonly #storage: Storage;
  readonly #gates: Gate[] = [];
  #turn: Promise<unknown> = Promise.resolve();
  /** All passwords that were ever in use. */
  readonly passwords: string[] = [];

  constructor(server: Server, options: NeonOptions) {
    this.#storage = new Storage(server);
    this.options = options;
  }

  get project(): string {
    return this.options.project ?? "late-frost-12345";
  }

  branch(name: string): Branch {
    const found = [...this.branches.values()].find((one) => one.name === name);
    if (found === undefined) throw new Error(`there is no branch "${name}"`);
    return found;
  }

  /** Adds a branch, ready. */
  async add(name: string, given: Given = {}): Promise<Branch> {
    const { parent, owner = "neondb_owner", databases = { neondb: "" } } = given;
    const stores: Stores = parent === undefined ? new Map() : await this.#storage.share(parent.stores);
    if (parent === undefined) {
      for (const [database, sql] of Object.entries(databases)) {
        stores.set(database, await this.#storage.seed(owner, sql));
      }
    }
    const branch = this.#put(name, {
      ...(parent === undefined ? {} : { parentId: parent.id, parentLsn: await this.#storage.position() }),
      createdAt: given.createdAt ?? this.now(),
      isDefault: given.isDefault ?? false,
      isProtected: given.isProtected ?? false,
      ...(given.expiresAt === undefined ? {} : { expiresAt: given.expiresAt }),
      annotation: given.annotation ?? {},
      roles: new Map(parent?.roles ?? [[owner, { password: this.#newPassword() }]]),
      owners: new Map(parent?.owners ?? Object.keys(databases).map((database) => [database, owner])),
      stores,
      hasEndpoint: true,
    });
    branch.state = "ready";
    branch.endpoint!.state = "active";
    return branch;
  }

  /** Adds a role in addition to the owner. */
  addRole(branch: Branch, name: string): void {
    branch.roles.set(name, { password: this.#newPassword() });
  }

  /** Records the branch's present contents for an instant; returns a point in the log. */
  async keep(branch: Branch, at = this.now(), content = branch): Promise<string> {
    const lsn = await this.#storage.position();
    branch.history.push({ at, lsn, stores: await this.#storage.share(content.stores) });
    return lsn;
  }

  /** Formats a URL as the API may: its specification names no scheme, and libpq takes either. */
  uriOf(branch: Branch, { database = "neondb", role = "neondb_owner", pooled = false } = {}): string {
    const { pooler, direct } = branch.endpoint!;
    const { password } = branch.roles.get(role)!;
    return `postgres://${role}:${password}@${(pooled ? pooler : direct).host}/${database}?sslmode=disable`;
  }

  digest(branch: Branch): Promise<string> {
    return this.#storage.digest(branch.stores);
  }

  async close(): Promise<void> {
    await Promise.all(this.#gates.map((gate) => gate.close()));
    await this.#storage.close();
  }

  // ---- The API ----

  /** Handles requests one after the other. */
  handle(request: Request): Promise<Response> {
    const turn = this.#turn.then(() => this.#handle(request));
    this.#turn = turn.catch(() => {});
    return turn;
  }

  async #handle(request: Request): Promise<Response> {
    const { pathname, search } = new URL(request.url);
    const logged = { method: request.method, path: pathname, query: search, status: 0 };
    this.requests.push(logged);
    const requestId = request.headers.get("x-request-id") ?? `request-${this.requests.length}`;
    await this.#goOn();
    let response: Response;
    try {
      response = await this.#api(request);
    } catch (error) {
      if (!(error instanceof Refused)) {
        console.error(error); // the emulator's own fault
        throw error;
      }
      const { status, code, message } = error;
      response = Response.json({ request_id: requestId, code, message }, { status });
    }
    logged.status = response.status;
    response.headers.set("x-neon-ret-request-id", requestId);
    return response;
  }

  /** Does everything that happens by itself: leases end, operations continue one after the other. */
  async #goOn(): Promise<void> {
    for (const branch of this.branches.values()) {
      if (branch.expiresAt !== undefined && branch.expiresAt <= this.now()) this.#drop(branch);
    }
    const current = this.#running();
    if (current === undefined) return;
    if (current.left-- > 0) {
      current.status = "running";
      return;
    }
    const failures = this.failing.get(current.action) ?? 0;
    if (failures > 0) {
      this.failing.set(current.action, failures - 1);
      current.status = "failed";
      current.left = 0;
      return;
    }
    current.status = "finished";
    await current.done?.();
  }

  #running(): Operation | undefined {
    return [...this.operations.values()].find(({ status }) => status !== "finished");
  }

  async #api(request: Request): Promise<Response> {
    const url = new URL(request.url);
    const [, , , first, project, kind, id, part, name, more] = url.pathname.split("/").map(decodeURIComponent);
    const token = /^Bearer (.+)$/i.exec(request.headers.get("authorization") ?? "")?.[1];
    const key = token !== undefined && Object.hasOwn(this.options.keys, token) ? this.options.keys[token] : undefined;
    if (key === undefined || key.isExpired) {
      throw new Refused(401, "supplied credentials do not pass authentication");
    }
    if (!url.pathname.startsWith("/api/v2/")) throw new Refused(404, "not found");
    const what = [request.method, first, project && "P", kind, id && "I", part, name && "N", more]
      .filter((one) => one !== undefined).join(" ");
    if (what === "GET users me") return Response.json({ id: "user", login: "tester", email: "t@example.com" });
    if (what === "GET projects") {
      return Response.json({ projects: [this.#shownProject()], pagination: { cursor: "end" } });
    }
    if (first !== "projects" || project === undefined) throw new Refused(404, "this route does not exist");
    if (project !== this.project || !(key.projects ?? [project]).includes(project)) {
      throw new Refused(404, "project not found");
    }
    if (request.method !== "GET" && key.may === "read") {
      throw new Refused(403, "user has no access to change the project");
    }
    switch (what) {
      case "GET projects P":
        return Response.json({ project: this.#shownProject() });
      case "GET projects P branches":
        return this.#list(url.searchParams);
      case "POST projects P branches":
        return await this.#create(await bodyOf(request));
      case "GET projects P connection_uri":
        return this.#uri(url.searchParams);
      case "GET projects P endpoints":
        return Response.json({ endpoints: [...this.branches.values()].flatMap((one) => this.#endpoints(one)) });
      case "GET projects P operations":
        return Response.json({ operations: [...this.operations.values()].map((one) => this.#shownOperation(one)) });
      case "GET projects P operations I": {
        const operation = this.operations.get(id!);
        if (operation === undefined) throw new Refused(404, "operation not found");
        return Response.json({ operation: this.#shownOperation(operation) });
      }
    }
    if (kind === "branches" && id === "count") {
      const search = url.searchParams.get("search") ?? "";
      return Response.json({ count: [...this.branches.values()].filter((one) => one.name.includes(search)).length });
    }
    if (kind !== "branches" || id === undefined) throw new Refused(404, "this route does not exist");
    const branch = this.branches.get(id);
    if (what === "DELETE projects P branches I") return await this.#delete(branch);
    if (branch === undefined) throw new Refused(404, "branch not found");
    switch (what) {
      case "GET projects P branches I":
        return Response.json({ branch: await this.#shown(branch), annotation: this.#annotation(branch) });
      case "PATCH projects P branches I":
        return await this.#change(branch, await bodyOf(request));
      case "GET projects P branches I endpoints":
        return Response.json({ endpoints: this.#endpoints(branch) });
      case "GET projects P branches I databases":
        return Response.json({ databases: this.#databases(branch) });
      case "GET projects P branches I roles":
        return Response.json({ roles: this.#roles(branch, false) });
      case "GET projects P branches I roles N reveal_password": {
        const role = branch.roles.get(name!);
        if (role === undefined) throw new Refused(404, "role not found");
        if (this.options.storesPasswords === false) throw new Refused(412, "the project does not store passwords");
        return Response.json({ password: role.password });
      }
    }
    throw new Refused(404, "this route does not exist");
  }

  async #list(query: URLSearchParams): Promise<Response> {
    const { pageSize = 100 } = this.options;
    const limit = Math.min(Number(query.get("limit") ?? pageSize), pageSize);
    const search = query.get("search") ?? "";
    const [by, order] = [query.get("sort_by") ?? "updated_at", query.get("sort_order") ?? "desc"];
    const found = [...this.branches.values()].filter(({ id, name }) => name.includes(search) || id.includes(search));
    const keyOf = (one: Branch) => by === "name" ? one.name : String(one.createdAt).padStart(16, "0");
    found.sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : keyOf(a) > keyOf(b) ? 1 : 0) * (order === "asc" ? 1 : -1));
    const cursor = query.get("cursor");
    const from = cursor === null ? 0 : Number(atob(cursor).slice(5));
    const page = found.slice(from, from + limit);
    // The last page still points on; the one after it is empty.
    const next = page.length === 0 ? {} : { next: btoa(`from:${from + page.length}`) };
    return Response.json({
      branches: await Promise.all(page.map((one) => this.#shown(one))),
      annotations: Object.fromEntries(page.map((one) => [one.id, this.#annotation(one)])),
      pagination: { ...next, sort_by: by, sort_order: order },
    });
  }

  // deno-lint-ignore no-explicit-any -- what clients send
  async #create(body: any): Promise<Response> {
    const { branch: wanted = {}, endpoints = [], annotation_value = {} } = body;
    const { refusal = 422 } = this.options;
    const all = [...this.branches.values()];
    const parent = wanted.parent_id ? this.branches.get(wanted.parent_id) : all.find(({ isDefault }) => isDefault);
    if (parent === undefined) throw new Refused(404, "parent branch not found");
    const name = wanted.name ?? `br-${this.operations.size}`;
    if (name.length > 256) throw new Refused(400, "branch name is too long");
    if (all.some((one) => one.name === name)) {
      throw new Refused(409, `branch already exists; branch_name:"${name}"`, "BRANCH_ALREADY_EXISTS");
    }
    this.#assertUnlocked(); // which of the two comes first, nobody has confirmed
    const isBare = wanted.init_source === "schema-only";
    const { maxBranches = Infinity, maxRoots = Infinity } = this.options;
    if (all.length >= maxBranches) throw new Refused(422, "branches limit exceeded", "BRANCHES_LIMIT_EXCEEDED");
    if (isBare && all.filter(({ parentId }) => parentId === undefined).length >= maxRoots) {
      throw new Refused(422, "root branches limit exceeded", "ROOT_BRANCHES_LIMIT_EXCEEDED");
    }
    // https://neon.com/docs/guides/branch-expiration
    if (!isBare && parent.expiresAt !== undefined) throw new Refused(refusal, "parent branch has an expiration");
    if (parent.state === "init") throw new Refused(422, "branch not ready yet");
    const expiresAt = this.#expiry(wanted.expires_at);
    const past = this.#past(parent, wanted);
    const source = past ?? await this.#storage.share(parent.stores);
    const stores = isBare ? await this.#storage.emptied(source) : source;
    // https://neon.com/docs/guides/protected-branches
    const roles = new Map(
      [...parent.roles].map(([role, { password }]) =>
        [role, { password: parent.isProtected ? this.#newPassword() : password }] as const
      ),
    );
    const branch = this.#put(name, {
      ...(isBare ? {} : { parentId: parent.id, parentLsn: wanted.parent_lsn ?? await this.#storage.position() }),
      source: isBare ? "schema-only" : "parent-data",
      createdAt: this.now(),
      isDefault: false,
      isProtected: wanted.protected ?? false,
      ...(expiresAt === undefined ? {} : { expiresAt }),
      annotation: annotation_value,
      roles,
      owners: new Map(parent.owners),
      stores,
      hasEndpoint: endpoints.length > 0,
    });
    const operations = [this.#operation(branch, "create_branch", () => void (branch.state = "ready"))];
    if (branch.endpoint) {
      operations.push(this.#operation(branch, "start_compute", () => void (branch.endpoint!.state = "active")));
    }
    const isOne = branch.roles.size === 1 && branch.owners.size === 1 && branch.endpoint !== undefined;
    return Response.json({
      branch: await this.#shown(branch),
      endpoints: this.#endpoints(branch),
      operations: operations.map((one) => this.#shownOperation(one)),
      roles: this.#roles(branch, true),
      databases: this.#databases(branch),
      ...(isOne ? { connection_uris: [this.#connection(branch)] } : {}),
    }, { status: 201 });
  }

  #past(parent: Branch, wanted: { parent_timestamp?: string; parent_lsn?: string }): Stores | undefined {
    const { refusal = 422, historySeconds = 21_600 } = this.options;
    const { parent_timestamp, parent_lsn } = wanted;
    if (parent_timestamp !== undefined && parent_lsn !== undefined) throw new Refused(400, "at most one of them");
    const oldest = Math.max(this.now() - historySeconds * 1_000, parent.createdAt);
    if (parent_timestamp !== undefined) {
      const at = Date.parse(parent_timestamp);
      if (!(at >= oldest && at <= this.now())) throw new Refused(refusal, "timestamp is outside of the history window");
      return parent.history.findLast((one) => one.at <= at)?.stores;
    }
    if (parent_lsn === undefined) return undefined;
    const kept = parent.history.filter(({ at }) => at >= oldest).findLast((one) => place(one.lsn) <= place(parent_lsn));
    if (kept === undefined) throw new Refused(refusal, "the LSN is outside of the history window");
    return kept.stores;
  }

  async #delete(branch: Branch | undefined): Promise<Response> {
    const { refusal = 422 } = this.options;
    if (branch === undefined) return new Response(null, { status: 204 });
    this.#assertUnlocked();
    if (branch.isDefault) throw new Refused(refusal, "the default branch can't be deleted");
    if (branch.isProtected) throw new Refused(refusal, "a protected branch can't be deleted");
    if ([...this.branches.values()].some(({ parentId }) => parentId === branch.id)) {
      throw new Refused(refusal, "a branch with children can't be deleted");
    }
    const operations = [
      ...(branch.endpoint ? [this.#operation(branch, "suspend_compute")] : []),
      this.#operation(branch, "delete_timeline", () => this.#drop(branch)),
    ].map((one) => this.#shownOperation(one));
    return Response.json({ branch: await this.#shown(branch), operations });
  }

  // deno-lint-ignore no-explicit-any -- what clients send
  async #change(branch: Branch, { branch: wanted = {} }: any): Promise<Response> {
    this.#assertUnlocked();
    const { refusal = 422 } = this.options;
    const hasChildren = [...this.branches.values()].some(({ parentId }) => parentId === branch.id);
    if (wanted.expires_at && (branch.isDefault || branch.isProtected || hasChildren)) {
      throw new Refused(refusal, "this branch can't expire");
    }
    const expiresAt = this.#expiry(wanted.expires_at);
    if ("expires_at" in wanted) delete branch.expiresAt;
    if (expiresAt !== undefined) branch.expiresAt = expiresAt;
    if (wanted.name !== undefined) branch.name = wanted.name;
    if (wanted.protected !== undefined) branch.isProtected = wanted.protected;
    return Response.json({ branch: await this.#shown(branch), operations: [] });
  }

  #expiry(text: string | null | undefined): number | undefined {
    if (text === undefined || text === null) return undefined;
    const at = Math.floor(Date.parse(text) / 1_000) * 1_000;
    if (!(at > this.now()) || at > this.now() + 30 * 86_400_000) {
      throw new Refused(400, "expires_at must be in the future, and within 30 days");
    }
    return at;
  }

  #uri(query: URLSearchParams): Response {
    const all = [...this.branches.values()];
    const id = query.get("branch_id");
    const branch = id === null ? all.find(({ isDefault }) => isDefault) : this.branches.get(id);
    if (branch === undefined) throw new Refused(404, "branch not found");
    const [database, role] = [query.get("database_name") ?? "", query.get("role_name") ?? ""];
    if (!branch.owners.has(database)) throw new Refused(404, "database not found");
    if (!branch.roles.has(role)) throw new Refused(404, "role not found");
    if (branch.endpoint === undefined) throw new Refused(404, "endpoint not found");
    if (this.options.storesPasswords === false) throw new Refused(412, "the project does not store passwords");
    return Response.json({ uri: this.uriOf(branch, { database, role, pooled: query.get("pooled") === "true" }) });
  }

  #assertUnlocked(): void {
    if (this.#running() === undefined) return;
    throw new Refused(423, "project already has running conflicting operations, scheduling of new ones is prohibited");
  }

  // ---- The state ----

  #put(
    name: string,
    { hasEndpoint, source = "parent-data", ...given }:
      & Omit<Branch, "id" | "name" | "state" | "history" | "endpoint" | "source">
      & { readonly hasEndpoint: boolean; readonly source?: Branch["source"] },
  ): Branch {
    const id = newId("br");
    const branch: Branch = {
      ...given,
      id,
      name,
      source,
      state: "init",
      history: [],
      ...(hasEndpoint ? { endpoint: this.#newEndpoint(id) } : {}),
    };
    this.branches.set(id, branch);
    return branch;
  }

  #newEndpoint(branch: string): Endpoint {
    const gate = (isPooled: boolean) => {
      const made = new Gate(this.#storage.port, (wanted) => this.#admit(branch, wanted, isPooled));
      this.#gates.push(made);
      return made;
    };
    return { id: newId("ep"), direct: gate(false), pooler: gate(true), state: "init" };
  }

  async #admit(id: string, wanted: ReadonlyMap<string, string>, isPooled: boolean): Promise<Admission> {
    const branch = this.branches.get(id);
    if (branch?.endpoint?.state !== "active") return { refused: ["57P03", "the endpoint has not started yet"] };
    const [role = "", database = ""] = [wanted.get("user"), wanted.get("database")];
    if (!branch.roles.has(role)) return { refused: ["28P01", `password authentication failed for user "${role}"`] };
    if (!branch.owners.has(database)) return { refused: ["3D000", `database "${database}" does not exist`] };
    const unknown = [...wanted.keys()].find((key) => isPooled && !POOLER_KNOWS.has(key));
    if (unknown) return { refused: ["08P01", `unsupported startup parameter: ${unknown}`] };
    const user = await this.#storage.login(id, role, branch.roles.get(role)!.password);
    const { name, onWrite } = await this.#storage.own(branch.stores, database);
    return { user, database: name, onWrite };
  }

  #drop(branch: Branch): void {
    this.branches.delete(branch.id);
  }

  #operation(branch: Branch, action: string, done?: () => void): Operation {
    const id = crypto.randomUUID();
    const left = this.options.settling ?? 2;
    const operation: Operation = { id, branch: branch.id, action, status: "scheduling", left, ...(done && { done }) };
    this.operations.set(id, operation);
    return operation;
  }

  #newPassword(): string {
    const password = `npg_${crypto.randomUUID().replaceAll("-", "").slice(0, 16)}`;
    this.passwords.push(password);
    return password;
  }

  // ---- What it shows ----

  async #shown(branch: Branch) {
    const { id, name, parentId, parentLsn, source, createdAt, expiresAt, isDefault, isProtected, state } = branch;
    const at = timestamp(createdAt);
    return {
      id,
      project_id: this.project,
      ...(parentId === undefined ? {} : { parent_id: parentId, parent_lsn: parentLsn }),
      name,
      current_state: state,
      ...(state === "init" ? { pending_state: "ready" } : { logical_size: await this.#storage.sizeOf(branch.stores) }),
      state_changed_at: at,
      creation_source: "console",
      init_source: source,
      primary: isDefault,
      default: isDefault,
      protected: isProtected,
      cpu_used_sec: 0,
      active_time_seconds: 0,
      compute_time_seconds: 0,
      written_data_bytes: 0,
      data_transfer_bytes: 0,
      created_at: at,
      updated_at: at,
      ...(expiresAt === undefined ? {} : { expires_at: timestamp(expiresAt), ttl_interval_seconds: 3_600 }),
    };
  }

  #annotation({ id, annotation }: Branch) {
    return { object: { type: "console/branch", id }, value: annotation };
  }

  #endpoints(branch: Branch) {
    const { endpoint } = branch;
    const at = timestamp(branch.createdAt);
    return endpoint === undefined ? [] : [{
      host: endpoint.direct.host,
      id: endpoint.id,
      project_id: this.project,
      branch_id: branch.id,
      autoscaling_limit_min_cu: 0.25,
      autoscaling_limit_max_cu: 2,
      region_id: "aws-us-east-2",
      type: "read_write",
      current_state: endpoint.state,
      ...(endpoint.state === "init" ? { pending_state: "active" } : {}),
      settings: {},
      pooler_enabled: false,
      pooler_mode: "transaction",
      disabled: false,
      passwordless_access: true,
      creation_source: "console",
      created_at: at,
      updated_at: at,
      proxy_host: "us-east-2.aws.neon.tech",
      suspend_timeout_seconds: 0,
      provisioner: "k8s-neonvm",
    }];
  }

  #databases({ id, owners, createdAt }: Branch) {
    const at = timestamp(createdAt);
    return [...owners].map(([name, owner_name], i) => ({
      id: i + 1,
      branch_id: id,
      name,
      owner_name,
      created_at: at,
      updated_at: at,
    }));
  }

  #roles({ id, roles, createdAt }: Branch, isNew: boolean) {
    const at = timestamp(createdAt);
    return [...roles].map(([name, { password }]) => ({
      branch_id: id,
      name,
      ...(isNew ? { password } : {}),
      protected: false,
      created_at: at,
      updated_at: at,
    }));
  }

  #connection(branch: Branch) {
    const [[database, role]] = [...branch.owners] as [[string, string]];
    const { password } = branch.roles.get(role)!;
    const { direct, pooler } = branch.endpoint!;
    return {
      connection_uri: this.uriOf(branch, { database, role }),
      connection_parameters: { database, role, password, host: direct.host, pooler_host: pooler.host },
    };
  }

  #shownOperation({ id, branch, action, status }: Operation) {
    const at = timestamp(this.now());
    return {
      id,
      project_id: this.project,
      branch_id: branch,
      action,
      status,
      failures_count: status === "failed" ? 1 : 0,
      created_at: at,
      updated_at: at,
      total_duration_ms: 0,
    };
  }

  #shownProject() {
    const at = "2025-06-01T00:00:00Z";
    return {
      id: this.project,
      platform_id: "aws",
      region_id: "aws-us-east-2",
      name: "shop",
      provisioner: "k8s-neonvm",
      pg_version: 18,
      proxy_host: "us-east-2.aws.neon.tech",
      branch_logical_size_limit: 512,
      branch_logical_size_limit_bytes: 536_870_912,
      store_passwords: this.options.storesPasswords ?? true,
      cpu_used_sec: 0,
      active_time_seconds: 0,
      compute_time_seconds: 0,
      written_data_bytes: 0,
      data_transfer_bytes: 0,
      data_storage_bytes_hour: 0,
      creation_source: "console",
      history_retention_seconds: this.options.historySeconds ?? 21_600,
      created_at: at,
      updated_at: at,
      consumption_period_start: at,
      consumption_period_end: "2027-01-01T00:00:00Z",
      owner_id: "owner",
      active_time: 0,
      cpu_used: 0,
    };
  }
}

class Refused extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, message: string, code = "") {
    super(message);
    this.status = status;
    this.code = code;
  }
}

// deno-lint-ignore no-explicit-any -- what clients send
async function bodyOf(request: Request): Promise<any> {
  const text = await request.text();
  return text === "" ? {} : JSON.parse(text);
}

function newId(kind: string): string {
  const word = () => WORDS[Math.floor(Math.random() * WORDS.length)];
  return `${kind}-${word()}-${word()}-${crypto.randomUUID().slice(0, 8)}`;
}

function timestamp(at: number): string {
  return new Date(at).toISOString().replace(/\.\d+Z$/, "Z");
}

/** Parses `0/1DE2850` as a number. */
function place(lsn: string): bigint {
  const [high, low] = lsn.split("/").map((part) => BigInt(`0x${part}`));
  return (high! << 32n) + low!;
}

/** Starts a project with a server of its own. */
export async function startNeon(
  postgres: Server,
  options: NeonOptions,
): Promise<Neon & { readonly url: string } & AsyncDisposable> {
  const neon = new Neon(postgres, options);
  const server = await serve(() => neon);
  return Object.assign(neon, {
    url: server.url,
    async [Symbol.asyncDispose]() {
      await server.close();
      await neon.close();
    },
  });
}
