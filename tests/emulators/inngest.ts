/**
 * Inngest's REST API, version 2, and its event API, with one account.
 *
 * Built from the vendor's specification (https://github.com/inngest/inngest, docs/api-docs/public/api-specs/v2.json) and
 * source, as ../shared/vendors/cache-and-queue.md lists them, section 5. What nobody documents is an option.
 */

export interface InngestOptions {
  /** The accepted API keys; `false`: of one environment only. */
  readonly keys: Readonly<Record<string, boolean>>;
  readonly pageSize?: number;
  /** The type of created environments. @default {"BRANCH"} */
  readonly type?: "BRANCH" | "TEST";
  /** True if an archived environment still has its name. @default {false} */
  readonly archivedKeepNames?: boolean;
  /** True if a new environment gets the id that its create asks for, as in the specification. @default {true} */
  readonly honoursIds?: boolean;
  /**
   * The keys that an environment returns: its own, those shared by all branches, or, if it has none, prod's. @default
   * {"own"}
   */
  readonly environmentKeys?: "own" | "shared" | "production";
  /** The status for environments beyond the plan. @default {none} */
  readonly limitStatus?: 402;
  /** True for the dev server: one environment, no keys. @default {false} */
  readonly isDevServer?: boolean;
  /**
   * True if answers contain zero values: empty lists, false, and the first of an enum's, PRODUCTION. The real dev
   * server leaves them out. @default {false}
   */
  readonly tellsZeros?: boolean;
}

interface Environment {
  readonly id: string;
  readonly name: string;
  readonly type: "PRODUCTION" | "BRANCH" | "TEST";
  readonly createdAt: string;
  isArchived: boolean;
}

/** Events that came by the event API. */
export interface Sent {
  readonly environment: string;
  readonly names: readonly string[];
}

export class Inngest {
  readonly environments = new Map<string, Environment>();
  readonly events: Sent[] = [];
  readonly requests: { readonly method: string; readonly path: string; status: number }[] = [];
  options: InngestOptions;

  constructor(options: InngestOptions) {
    this.options = options;
    this.add("Production", "PRODUCTION");
  }

  add(
    name: string,
    type: Environment["type"] = this.options.type ?? "BRANCH",
    id: string = crypto.randomUUID(),
  ): Environment {
    const createdAt = new Date().toISOString();
    const environment = { id, name, type, createdAt, isArchived: false };
    this.environments.set(environment.id, environment);
    return environment;
  }

  named(name: string): Environment | undefined {
    return [...this.environments.values()].find((one) => one.name === name && !one.isArchived);
  }

  keyOf(environment: Environment, kind: "events" | "signing"): string {
    return `${kind === "events" ? "key" : `signkey-${environment.type.toLowerCase()}`}-${
      environment.id.replaceAll("-", "")
    }`;
  }

  async handle(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    const logged = { method: request.method, path: pathname, status: 0 };
    this.requests.push(logged);
    let response = await this.#answer(request);
    if (response.ok && pathname.startsWith("/v2/") && !this.options.tellsZeros) {
      response = Response.json(withoutZeros(await response.json()), { status: response.status });
    }
    logged.status = response.status;
    response.headers.set("x-request-id", `request-${this.requests.length}`);
    return response;
  }

  async #answer(request: Request): Promise<Response> {
    const url = new URL(request.url);
    const [, first, kind, id] = url.pathname.split("/").map(decodeURIComponent);
    if (first === "e" && request.method === "POST") {
      return this.#receive(request.headers, kind ?? "", await request.json());
    }
    if (first !== "v2") return failed(404, "not_found", "no such route");
    const token = /^Bearer (.+)$/i.exec(request.headers.get("authorization") ?? "")?.[1] ?? "";
    if (!Object.hasOwn(this.options.keys, token)) return failed(401, "invalid_api_key", "Authentication failed");
    const isWrite = request.method !== "GET";
    if (isWrite && !this.options.keys[token]) return failed(403, "access_denied", "key is of one environment");
    if (this.options.isDevServer) return this.#dev(url, isWrite);
    const body = isWrite ? await request.json() : {};
    switch (`${request.method} ${kind}${id === undefined ? "" : kind === "keys" ? `/${id}` : "/x"}`) {
      case "GET envs":
        return this.#page(url, [...this.environments.values()], this.options.pageSize ?? 50);
      case "POST envs":
        return this.#create(body);
      case "PATCH envs/x": {
        const found = this.environments.get(id!);
        if (found === undefined) return failed(404, "env_not_found", "environment not found");
        found.isArchived = body.isArchived ?? found.isArchived;
        return Response.json({ data: found, metadata: metadata() });
      }
      case "GET keys/events":
      case "GET keys/signing":
        return this.#keys(url, id as "events" | "signing", request.headers.get("x-inngest-env"));
    }
    return failed(404, "not_found", "no such route");
  }

  /** Answers as inngest-cli 1.45's server: https://github.com/inngest/inngest, pkg/api/v2 */
  #dev(url: URL, isWrite: boolean): Response {
    if (isWrite) return failed(501, "not_implemented", "Environments not implemented in OSS");
    const id = "00000000-0000-4000-b000-000000000000";
    const dev = { id, name: "dev", type: "TEST", createdAt: "2024-01-20T14:22:33Z", isArchived: false };
    return this.#page(url, url.pathname === "/v2/envs" ? [dev] : [], 50);
  }

  #create({ id, name }: { id?: string; name?: string }): Response {
    if (!name) return failed(400, "missing_field", "Environment name is required");
    if (!/^[\w.-]+$/.test(name)) return failed(400, "invalid_field_format", "Environment name is invalid");
    const { archivedKeepNames = false, limitStatus, honoursIds = true } = this.options;
    const taken = [...this.environments.values()].some((one) =>
      one.name === name && (archivedKeepNames || !one.isArchived)
    );
    if (taken || (honoursIds && this.environments.has(id ?? ""))) {
      return failed(409, "resource_already_exists", "an environment of this name exists");
    }
    if (limitStatus !== undefined) return failed(limitStatus, "validation_error", "no more environments on this plan");
    return Response.json({ data: this.add(name, undefined, honoursIds ? id : undefined), metadata: metadata() }, {
      status: 201,
    });
  }

  #keys(url: URL, kind: "events" | "signing", name: string | null): Response {
    const { environmentKeys = "own" } = this.options;
    const production = [...this.environments.values()].find(({ type }) => type === "PRODUCTION")!;
    const found = name === null ? production : this.named(name);
    if (found === undefined) return failed(404, "env_not_found", "environment not found");
    const owner = found.type === "PRODUCTION" || environmentKeys === "own" ? found : production;
    const isShared = environmentKeys === "shared" && found.type !== "PRODUCTION";
    const key = (at: number) => ({
      id: `${owner.id}-${at}`,
      name: `key ${at}`,
      environment: isShared ? "branch" : owner.name.toLowerCase(),
      key: (isShared ? `shared-${kind}-key-0123456789` : this.keyOf(owner, kind)) + (at === 0 ? "" : `-${at}`),
      createdAt: new Date(Date.parse(owner.createdAt) + at).toISOString(),
    });
    return this.#page(url, [2, 1, 0].map(key), 2);
  }

  #page(url: URL, all: readonly object[], most: number): Response {
    const limit = Math.min(Number(url.searchParams.get("limit") ?? 20), most);
    const from = Number(url.searchParams.get("cursor") ?? 0);
    const hasMore = from + limit < all.length;
    const page = { hasMore, limit, ...(hasMore ? { cursor: String(from + limit) } : {}) };
    return Response.json({ data: all.slice(from, from + limit), metadata: metadata(), page });
  }

  /** Handles the event API: a branch environment is created by its first event. */
  #receive(headers: Headers, key: string, body: { name: string } | { name: string }[]): Response {
    const name = headers.get("x-inngest-env");
    const owner = [...this.environments.values()].find((one) => this.keyOf(one, "events") === key);
    if (owner === undefined) return Response.json({ error: "Event key not found", status: 401 }, { status: 401 });
    const events = [body].flat();
    this.events.push({ environment: name ?? owner.name, names: events.map((one) => one.name) });
    return Response.json({ ids: events.map(() => crypto.randomUUID()), status: 200 });
  }
}

/** Formats values as protobuf's JSON does. */
function withoutZeros(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutZeros);
  if (typeof value !== "object" || value === null) return value;
  const isZero = (one: unknown) => !one || one === "PRODUCTION" || (Array.isArray(one) && one.length === 0);
  const left = Object.entries(value).filter(([name, one]) => name === "name" || !isZero(one));
  return Object.fromEntries(left.map(([name, one]) => [name, withoutZeros(one)]));
}

const metadata = () => ({ fetchedAt: new Date().toISOString() });

function failed(status: number, code: string, message: string): Response {
  return Response.json({ errors: [{ code, message }] }, { status });
}
