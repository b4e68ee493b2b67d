/**
 * PlanetScale's API with one database whose branches really answer: schemas of a MariaDB, or databases of a PostgreSQL.
 *
 * Built from the vendor's specification
 * (https://github.com/planetscale/terraform-provider-planetscale/blob/main/schemas/openapi.yaml) and what was seen of the
 * live API, as ../shared/vendors/databases.md lists it, section 3. What the vendor documents nowhere is an option here.
 */
import { randomInt } from "node:crypto";
import type { Data, Taken } from "./planetscale_data.ts";
import {
  backupShape,
  type Branch,
  branchShape,
  databaseShape,
  type DatabaseState,
  loginShape,
  organizationShape,
} from "./planetscale_shapes.ts";
import { serve } from "./serve.ts";

/** Rights of a service token on the database; absent: all. */
export type Access =
  | "read_database"
  | "read_branch"
  | "create_branch"
  | "delete_branch"
  | "delete_production_branch"
  | "connect_branch"
  | "connect_production_branch"
  | "create_branch_password"
  | "create_production_branch_password"
  | "delete_branch_password"
  | "delete_production_branch_password"
  | "read_backups"
  | "restore_backup"
  | "write_database";

export interface PlanetScaleOptions {
  readonly organization: string;
  readonly database: string;
  /** The accepted service tokens, `id:token`, with their rights; `undefined`: all. */
  readonly tokens: Readonly<Record<string, readonly Access[] | undefined>>;
  /** The databases of the branches; absent: nothing answers. */
  readonly data?: Data;
  /** The engine. @default {that of data, or mysql} */
  readonly kind?: Data["kind"];
  /** Name of the default branch. @default {"main"} */
  readonly defaultBranch?: string;
  /** Number of looks at which a new branch, or a new role, is not ready. @default {2} */
  readonly settling?: number;
  /** Number of connections at which a new password is still unknown. @default {0} */
  readonly unknown?: number;
  /** Most branches on a page of the list. @default {100} */
  readonly pageSize?: number;
  readonly maxDevelopment?: number;
  readonly maxRestored?: number;
  readonly maxPasswords?: number;
  readonly allowDataBranching?: boolean;
  /**
   * A point of the past is restored without the backup that it begins with, and without a size. The vendor's own command
   * line sends both: https://github.com/planetscale/cli/pull/1372 @default {false}
   */
  readonly findsBackups?: boolean;
  /** A branch that was to be filled is not, and does not say that it was restored. @default {false} */
  readonly ignoresSeeds?: boolean;
  /** The database can have branches. @default {true} */
  readonly isReady?: boolean;
  /** A branch that is restored is of production, as was seen in May 2025. @default {false} */
  readonly restoredIsProduction?: boolean;
  /** The status where an access is missing: both are documented. @default {404} */
  readonly deniedStatus?: 403 | 404;
  /** The status for a token that nobody knows: seen is 404, documented 401. @default {404} */
  readonly unknownStatus?: 401 | 404;
}

const LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789";

/** Returns an id: twelve letters. */
function newId(): string {
  return "b" + Array.from({ length: 11 }, () => LETTERS[randomInt(LETTERS.length)]).join("");
}

/** One organization with one database. `serve` is its server. */
export class PlanetScale {
  readonly branches = new Map<string, Branch>();
  /** All secrets that were ever issued. */
  readonly secrets: string[] = [];
  readonly requests: { readonly method: string; readonly path: string; readonly body?: unknown; status: number }[] = [];
  /** The branches whose databases are deleted with this. */
  readonly made = new Set<string>();
  readonly #past: { readonly at: number; readonly id: string }[] = [];
  now = Date.now;
  options: PlanetScaleOptions;

  constructor(options: PlanetScaleOptions) {
    this.options = options;
  }

  get kind(): Data["kind"] {
    return this.options.kind ?? this.options.data?.kind ?? "mysql";
  }

  get defaultBranch(): string {
    return this.options.defaultBranch ?? "main";
  }

  /** Adds a branch; `isFilled`: it answers. */
  async add(name: string, changed: Partial<Branch> = {}, isFilled = true): Promise<Branch> {
    const branch: Branch = {
      id: newId(),
      name,
      parent: name === this.defaultBranch ? null : this.defaultBranch,
      restoredFrom: null,
      createdAt: new Date(this.now()).toISOString(),
      cluster: "PS_DEV",
      logins: new Map(),
      settling: 0,
      production: name === this.defaultBranch,
      protected: false,
      safeMigrations: false,
      ...changed,
    };
    this.branches.set(name, branch);
    if (isFilled) await this.#fill(branch.id);
    return branch;
  }

  /** What the default branch held then is what this database holds. */
  remember(at: string, id: string): void {
    this.#past.push({ at: Date.parse(at), id });
  }

  async #fill(id: string, from?: string, taken?: Taken): Promise<void> {
    this.made.add(id);
    await this.options.data?.make(id, from, taken);
  }

  async close(): Promise<void> {
    for (const id of this.made) await this.options.data?.drop(id);
  }

  async handle(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    const text = await request.text();
    const body = text === "" ? undefined : JSON.parse(text) as Record<string, unknown>;
    const logged = { method: request.method, path: pathname, ...(body ? { body } : {}), status: 0 };
    this.requests.push(logged);
    const response = await this.#answer(request, body ?? {});
    logged.status = response.status;
    response.headers.set("x-request-id", `request-${this.requests.length}`);
    return response;
  }

  async #answer(request: Request, body: Record<string, unknown>): Promise<Response> {
    const url = new URL(request.url);
    const [, version, first, organization, second, database, third, name, fourth, id, ...rest] = url.pathname.split("/")
      .map(decodeURIComponent);
    const token = request.headers.get("authorization");
    if (token === null) return failed(401, "unauthorized", "You must be logged in");
    if (!Object.hasOwn(this.options.tokens, token)) {
      return this.options.unknownStatus === 401 ? failed(401, "unauthorized", "Unauthorized") : notFound();
    }
    if (version !== "v1" || first !== "organizations" || rest.length > 0) return notFound();
    if (organization === undefined) return page([organizationShape(this.options.organization)], url);
    if (organization !== this.options.organization) return notFound();
    if (second !== "databases" || database !== this.options.database) return notFound();
    const may = (...any: Access[]) => {
      const held = this.options.tokens[token];
      return held === undefined || any.some((one) => held.includes(one));
    };
    const denied = () =>
      this.options.deniedStatus === 403
        ? failed(403, "forbidden", "This token has not the access for this")
        : notFound();
    if (third === undefined) {
      return this.options.tokens[token]?.length === 0
        ? denied()
        : Response.json(databaseShape(database, this.kind, this.defaultBranch, this.#state()));
    }
    if (third !== "branches") return notFound();
    if (request.method === "GET" && fourth === "backups" && id === undefined) {
      return may("read_backups") && this.branches.has(name!) ? this.#backups(name!, url) : denied();
    }
    const maySee = may("read_branch", "create_branch", "delete_branch", "connect_branch", "connect_production_branch");
    const what = [request.method, name && "branch", fourth, id && "one"].filter(Boolean).join(" ");
    if (what === "GET") return maySee ? this.#list(url) : denied();
    if (what === "POST") {
      const needs = body.seed_data || body.backup_id || body.restore_point;
      return may("create_branch") && (!needs || may("restore_backup")) ? await this.#create(body) : denied();
    }
    const branch = this.branches.get(name!);
    if (branch === undefined) return notFound();
    const kind = branch.production ? "production_branch" : "branch";
    switch (what) {
      case "GET branch":
        if (!maySee) return denied();
        if (branch.settling > 0) branch.settling--;
        return Response.json(branchShape(branch, this.kind));
      case "PATCH branch":
        if (!may("write_database")) return denied();
        return this.#update(branch, body);
      case "DELETE branch":
        return may(`delete_${kind}`)
          ? await this.#delete(branch, url.searchParams.get("delete_descendants") === "true")
          : denied();
    }
    if (fourth !== (this.kind === "mysql" ? "passwords" : "roles")) return notFound();
    const mayConnect = this.kind === "mysql" ? may(`connect_${kind}`) : may(`create_${kind}_password`);
    const mayRevoke = may(`delete_${kind}_password`) || (this.kind === "mysql" && may(`connect_${kind}`));
    if (what === `GET branch ${fourth}`) {
      if (!maySee) return denied();
      return page([...branch.logins.values()].map((login) => loginShape(branch, login, this.kind, this.now())), url);
    }
    if (what === `POST branch ${fourth}`) return mayConnect ? await this.#mint(branch, body) : denied();
    const login = branch.logins.get(id!);
    if (login === undefined) return notFound();
    if (what === `GET branch ${fourth} one`) {
      if (login.settling > 0) login.settling--;
      return maySee ? Response.json(loginShape(branch, login, this.kind, this.now())) : denied();
    }
    if (what !== `DELETE branch ${fourth} one`) return notFound();
    if (!mayRevoke) return denied();
    const successor = url.searchParams.get("successor") ?? undefined;
    const isGone = await this.options.data?.dropLogin(branch.id, login.user, successor) ?? true;
    if (!isGone) return invalid("Role owns objects");
    branch.logins.delete(login.id);
    return new Response(null, { status: 204 });
  }

  /** Lists the backups of a branch; the default branch has one for each past that `remember` was given. */
  #backups(branch: string, url: URL): Response {
    const to = Date.parse(url.searchParams.get("to") ?? "9999-12-31T00:00:00Z");
    const all = branch === this.defaultBranch ? this.#past.filter(({ at }) => at <= to) : [];
    const shown = all.map(({ id, at }) => backupShape(id, new Date(at).toISOString()));
    return page(shown, url, this.options.pageSize);
  }

  #list(url: URL): Response {
    const query = url.searchParams.get("q");
    const found = [...this.branches.values()].filter(({ name }) => query === null || name.includes(query));
    return page(found.map((one) => branchShape(one, this.kind)), url, this.options.pageSize);
  }

  async #create(wanted: Record<string, unknown>): Promise<Response> {
    const { name, parent_branch = this.defaultBranch, seed_data, restore_point, backup_id, cluster_size } = wanted;
    const { isReady = true, allowDataBranching = true, settling = 2, restoredIsProduction = false } = this.options;
    if (!isReady) {
      return failed(400, "bad_request", "Database is still initializing and cannot create branches.");
    }
    const { findsBackups = false, ignoresSeeds = false } = this.options;
    const isAsked = seed_data !== undefined || restore_point !== undefined || backup_id !== undefined;
    const isRestored = isAsked && !ignoresSeeds;
    if (typeof name !== "string" || !/^[a-z][a-z0-9-]{0,59}$/.test(name)) return invalid("Name is invalid");
    if (this.branches.has(name)) return invalid("Name has already been taken");
    const parent = this.branches.get(String(parent_branch));
    if (parent === undefined) return notFound();
    if (seed_data && !allowDataBranching) return invalid("Data Branching is not enabled for this database");
    if (restore_point && this.kind === "mysql") return invalid("Restore point is for PostgreSQL databases");
    if (this.#state()[isRestored ? "isFullOfRestored" : "isFullOfDevelopment"]) {
      return invalid("Branch limit reached");
    }
    const backup = this.#past.find(({ id }) => id === backup_id);
    if (backup_id !== undefined && backup === undefined) return notFound();
    if (backup_id !== undefined && cluster_size === undefined) return invalid("Cluster size can't be blank");
    if (restore_point && !findsBackups && !(backup && backup.at <= Date.parse(String(restore_point)))) {
      return invalid("Restore point needs a backup of before");
    }
    const then = this.#past.findLast(({ at }) => at <= Date.parse(String(restore_point)));
    if (restore_point && then === undefined) return invalid("No backup reaches back to the restore point");
    const production = isRestored && restoredIsProduction;
    const cluster = String(cluster_size ?? (this.kind === "mysql" ? "PS_10" : "PS_5"));
    const restoredFrom = isRestored ? parent : null;
    const branch = await this.add(name, { parent: parent.name, restoredFrom, settling, production, cluster }, false);
    const plain = this.kind === "mysql" ? "schema" : "nothing";
    const isFilled = parent.name === this.defaultBranch || this.made.has(parent.id);
    await this.#fill(branch.id, then?.id ?? (isFilled ? parent.id : undefined), isRestored ? "data" : plain);
    return Response.json(branchShape(branch, this.kind), { status: 201 });
  }

  #update(branch: Branch, { new_name: name = branch.name, deletion_protected: isProtected }: Record<string, unknown>) {
    if (typeof name !== "string" || !/^[a-z][a-z0-9-]{0,59}$/.test(name)) return invalid("Name is invalid");
    if (name !== branch.name && this.branches.has(name)) return invalid("Name has already been taken");
    if (name !== branch.name && branch.settling > 0) return invalid("Branch is not ready");
    this.branches.delete(branch.name);
    for (const child of this.branches.values()) if (child.parent === branch.name) child.parent = name;
    branch.name = name;
    branch.protected = Boolean(isProtected ?? branch.protected);
    this.branches.set(name, branch);
    return Response.json(branchShape(branch, this.kind));
  }

  async #delete(branch: Branch, withDescendants: boolean): Promise<Response> {
    if (branch.name === this.defaultBranch) return invalid("The default branch cannot be deleted");
    if (branch.protected) return invalid("Branch is protected from deletion");
    const children = [...this.branches.values()].filter(({ parent }) => parent === branch.name);
    if (children.length > 0 && !withDescendants) return invalid("Branch has descendants");
    for (const child of children) await this.#delete(child, true);
    this.branches.delete(branch.name);
    if (this.made.delete(branch.id)) await this.options.data?.drop(branch.id);
    return new Response(null, { status: 204 });
  }

  #state(): DatabaseState {
    const { maxDevelopment = Infinity, maxRestored = Infinity, isReady = true, allowDataBranching = true } =
      this.options;
    const all = [...this.branches.values()];
    const production = all.filter((one) => one.production).length;
    return {
      branches: all.length,
      production,
      isReady,
      isFullOfRestored: all.filter((one) => one.restoredFrom !== null).length >= maxRestored,
      isFullOfDevelopment: all.length - production >= maxDevelopment,
      allowDataBranching,
    };
  }

  async #mint(branch: Branch, wanted: Record<string, unknown>): Promise<Response> {
    const { maxPasswords = Infinity, unknown = 0, settling = 2, data } = this.options;
    if (branch.settling > 0) return invalid("Branch is not ready");
    if (branch.logins.size >= maxPasswords) return invalid("Too many passwords");
    const isMysql = this.kind === "mysql";
    const isReader = isMysql ? wanted.role === "reader" : !(wanted.inherited_roles as string[]).includes("postgres");
    const [role, id] = [isReader ? "reader" : "admin", newId()] as const;
    const user = isMysql ? newId() : `pscale_api_${id}.${branch.id}`;
    const secret = `pscale_pw_${crypto.randomUUID()}`;
    this.secrets.push(secret);
    const door = await data?.addLogin(branch.id, user, secret, role, unknown) ??
      { host: "aws.connect.psdb.cloud", database: "postgres" };
    const expiresAt = typeof wanted.ttl === "number" ? this.now() + wanted.ttl * 1_000 : Infinity;
    const login = { id, name: String(wanted.name ?? ""), user, secret, role, expiresAt, settling, ...door };
    branch.logins.set(id, login);
    return Response.json(loginShape(branch, login, this.kind, this.now(), true), { status: isMysql ? 201 : 200 });
  }
}

function page(all: readonly unknown[], url: URL, most = 100): Response {
  const { searchParams: query } = url;
  const [current, size] = [Number(query.get("page") ?? 1), Math.min(most, Number(query.get("per_page") ?? 25))];
  const data = all.slice((current - 1) * size, current * size);
  const address = (to: number | null) => to && `${url.origin}${url.pathname}?page=${to}&per_page=${size}`;
  const next = current * size < all.length ? current + 1 : null;
  const previous = current > 1 ? current - 1 : null;
  return Response.json({
    type: "list",
    current_page: current,
    per_page: size,
    next_page: next,
    next_page_url: address(next),
    prev_page: previous,
    prev_page_url: address(previous),
    total_count: all.length,
    total_pages: Math.ceil(all.length / size),
    data,
  });
}

function failed(status: number, code: string, message: string): Response {
  return Response.json({ code, message }, { status });
}

function invalid(message: string): Response {
  return failed(422, "unprocessable", message);
}

/** Also for a token that nobody knows: it does not say what is missing. */
function notFound(): Response {
  return failed(404, "not_found", "Not Found");
}

/** Starts an organization with a server of its own. */
export async function startPlanetScale(
  options: PlanetScaleOptions,
): Promise<PlanetScale & { readonly url: string } & AsyncDisposable> {
  const planetscale = new PlanetScale(options);
  const server = await serve(() => planetscale);
  return Object.assign(planetscale, {
    url: server.url,
    async [Symbol.asyncDispose]() {
      await server.close();
      await planetscale.close();
    },
  });
}
