/**
 * One Doppler project: environments with a root config each, branches that inherit from it, service tokens, limits.
 *
 * Built from the vendor's specification (npm @dopplerhq/mcp-server, doppler-openapi.json), its documentation of limits
 * (https://docs.doppler.com/docs/platform-limits), and what ../shared/vendors/storage-and-secrets.md lists of answers
 * that were seen, section 5.
 */
import { serve, type Served } from "./serve.ts";

export interface DopplerOptions {
  readonly project: string;
  /** Tokens with all rights. */
  readonly tokens: readonly string[];
  /** Most items on a page of a list. @default {100} */
  readonly pageSize?: number;
  /** Calls per minute and token. @default {of the Team plan: 480 reads, 240 reads of secrets, 120 writes} */
  readonly limits?: { readonly reads: number; readonly secretReads: number; readonly writes: number };
  /** Most configs in an environment, kept ones included. @default {10, as on the free plan} */
  readonly maxConfigs?: number;
  /** A clone gets everything that its source shows, not only the source's own overlay. @default {false} */
  readonly clonesInherited?: boolean;
  /** Tokens may also end at an instant in words, as its CLI sends it, not only at a Unix time. @default {false} */
  readonly takesDates?: boolean;
}

interface Config {
  readonly slug: string;
  name: string;
  readonly environment: string;
  readonly root: boolean;
  locked: boolean;
  readonly created_at: string;
  /** Its own secrets; a branch inherits all others from its root. */
  readonly secrets: Map<string, string>;
}

interface ServiceToken {
  readonly slug: string;
  readonly key: string;
  readonly name: string;
  readonly config: Config;
  readonly access: "read" | "read/write";
  readonly expires_at: string | null;
  readonly created_at: string;
}

type Body = Readonly<Record<string, unknown>>;
type Cost = "reads" | "secretReads" | "writes";

const MANAGED = /^DOPPLER_(PROJECT|ENVIRONMENT|CONFIG)$/;

export class Doppler {
  readonly configs: Config[] = [];
  readonly tokens: ServiceToken[] = [];
  readonly requests: { readonly what: string; status: number }[] = [];
  /** The clock of limits, tokens and configs. */
  now = Date.now;
  readonly options: DopplerOptions;
  readonly #spent = new Map<string, { minute: number; count: number }>();

  constructor(options: DopplerOptions) {
    this.options = options;
    for (const environment of ["dev", "stg", "prd"]) this.add(environment, environment, {}, true);
  }

  /** Adds a config. */
  add(name: string, environment: string, secrets: Readonly<Record<string, string>>, root = false): Config {
    const config: Config = {
      slug: crypto.randomUUID(),
      name,
      environment,
      root,
      locked: false,
      created_at: new Date(this.now()).toISOString(),
      secrets: new Map(Object.entries(secrets)),
    };
    this.configs.push(config);
    return config;
  }

  config(name: string): Config | undefined {
    return this.configs.find((one) => one.name === name);
  }

  /** Returns the values for an application, without those that Doppler adds. */
  valuesOf(config: Config): Record<string, string> {
    return Object.fromEntries([...this.#rawOf(config)].map(([key, value]) => [key, this.#computed(config, value)]));
  }

  #rawOf(config: Config): Map<string, string> {
    const root = this.configs.find((one) => one.root && one.environment === config.environment)!;
    return new Map([...root.secrets, ...config.secrets]);
  }

  /** Resolves references to this config's secrets, or another config's; another project does not exist. */
  #computed(config: Config, value: string): string {
    return value.replace(/\$\{(?:(?:[\w-]+\.)?([\w-]+)\.)?([A-Z0-9_]+)\}/g, (whole, other, key) => {
      const of = other === undefined ? config : this.config(other);
      const found = of && this.#rawOf(of).get(key);
      return found === undefined ? whole : this.#computed(of!, found);
    });
  }

  async handle(request: Request): Promise<Response> {
    const url = new URL(request.url);
    const what = `${request.method} ${url.pathname.replace("/v3/", "")}`;
    const logged = { what, status: 0 };
    this.requests.push(logged);
    const response = await this.#answer(request, url, what);
    logged.status = response.status;
    response.headers.set("x-request-id", `request-${this.requests.length}`);
    return response;
  }

  async #answer(request: Request, url: URL, what: string): Promise<Response> {
    const { headers } = request;
    const basic = /^Basic (.+)$/i.exec(headers.get("authorization") ?? "")?.[1];
    const token = /^Bearer (.+)$/i.exec(headers.get("authorization") ?? "")?.[1] ??
      (basic && atob(basic).replace(/:$/, ""));
    const service = this.tokens.find(({ key }) => key === token);
    const isExpired = service?.expires_at != null && Date.parse(service.expires_at) <= this.now();
    if (token === undefined || (!this.options.tokens.includes(token) && (!service || isExpired))) {
      return refused(401, "Invalid Auth token");
    }
    const cost: Cost = request.method === "GET" ? (/secrets/.test(what) ? "secretReads" : "reads") : "writes";
    const wait = this.#overLimit(token, cost);
    if (wait > 0) return refused(429, "Rate limit exceeded", { "retry-after": String(wait) });
    const text = await request.text();
    let body: Body = {};
    try {
      body = text === "" ? {} : JSON.parse(text);
    } catch {
      return refused(400, "Invalid JSON");
    }
    // The vendor's own CLI sends some of a body's fields in the query.
    const of = (name: string) => (body[name] ?? url.searchParams.get(name) ?? undefined) as string | undefined;
    if (what === "GET me") return Response.json({ workplace: { name: "acme", slug: "acme" }, type: "service_account" });
    const project = of("project") ?? (service && this.options.project);
    if (project !== this.options.project) {
      return service
        ? refused(400, `This token does not have access to requested project '${project}'`)
        : refused(404, `Could not find requested project '${project}'`);
    }
    const name = of("config") ?? service?.config.name;
    if (service && (name !== service.config.name || !/configs\/config\/secrets/.test(what))) {
      return refused(400, `This token does not have access to requested config '${name}'`);
    }
    if (service?.access === "read" && cost === "writes") return refused(403, "This token is read-only");
    if (what === "GET configs") return this.#list(url.searchParams);
    if (what === "POST configs") return this.#make(of("environment"), of("name") ?? "", new Map());
    const config = this.config(name ?? "");
    if (config === undefined) return refused(404, `Could not find requested config '${name}'`);
    switch (what) {
      case "GET configs/config":
        return Response.json({ config: this.#shown(config), success: true });
      case "POST configs/config":
        return this.#rename(config, of("name") ?? "");
      case "DELETE configs/config":
        return this.#delete(config);
      case "POST configs/config/clone":
        return this.#make(config.environment, of("name") ?? "", this.#overlaid(config));
      case "GET configs/config/secrets/download":
        return Response.json({ ...this.valuesOf(config), ...this.#managed(config) });
      case "GET configs/config/secrets/names":
        return Response.json({
          names: Object.keys({ ...this.valuesOf(config), ...this.#managed(config) }),
          success: true,
        });
      case "GET configs/config/secrets":
        return Response.json({ secrets: this.#secrets(config), success: true });
      case "POST configs/config/secrets":
        return this.#write(config, body.secrets);
      case "GET configs/config/tokens":
        return Response.json({
          tokens: this.tokens.filter((one) => one.config === config).map((one) => this.#token(one, false)),
          success: true,
        });
      case "POST configs/config/tokens":
        return this.#mint(config, of("name") ?? "", of("access") ?? "read", of("expire_at") as unknown);
      case "DELETE configs/config/tokens/token": {
        const at = this.tokens.findIndex((one) => one.config === config && one.slug === of("slug"));
        if (at < 0) return refused(404, "Could not find requested service token");
        this.tokens.splice(at, 1);
        return Response.json({ success: true });
      }
    }
    return refused(404, "Not found");
  }

  /** Returns the seconds to wait; 0 if the call is within its limit. */
  #overLimit(token: string, cost: Cost): number {
    const { reads, secretReads, writes } = this.options.limits ?? { reads: 480, secretReads: 240, writes: 120 };
    const minute = Math.floor(this.now() / 60_000);
    const key = `${token} ${cost}`;
    const spent = this.#spent.get(key);
    const count = (spent?.minute === minute ? spent.count : 0) + 1;
    if (count > { reads, secretReads, writes }[cost]) return Math.ceil(((minute + 1) * 60_000 - this.now()) / 1000);
    this.#spent.set(key, { minute, count });
    return 0;
  }

  #list(query: URLSearchParams): Response {
    const all = this.configs.filter(({ environment }) => environment === (query.get("environment") ?? environment));
    const size = Math.min(Number(query.get("per_page") ?? 20), this.options.pageSize ?? 100);
    const page = Number(query.get("page") ?? 1);
    const configs = all.slice((page - 1) * size, page * size).map((one) => this.#shown(one));
    return Response.json({ page, configs, success: true });
  }

  #nameRefusal(environment: string | undefined, name: string): Response | undefined {
    if (!this.configs.some((one) => one.root && one.environment === environment)) {
      return refused(404, `Could not find requested environment '${environment}'`);
    }
    if (!name.startsWith(`${environment}_`)) return refused(400, `Config name must start with '${environment}_'`);
    if (name.length > 60 || !/^[a-z0-9_-]+$/.test(name)) return refused(400, "Config name is invalid");
    if (this.config(name)) return refused(400, "A config with this name exists already");
    return undefined;
  }

  #make(environment: string | undefined, name: string, secrets: ReadonlyMap<string, string>): Response {
    const refusal = this.#nameRefusal(environment, name);
    if (refusal) return refusal;
    if (this.configs.filter((one) => one.environment === environment).length >= (this.options.maxConfigs ?? 10)) {
      return refused(400, "You have reached the limit of configs in this environment");
    }
    return Response.json({
      config: this.#shown(this.add(name, environment!, Object.fromEntries(secrets))),
      success: true,
    });
  }

  /** Returns the secrets that a clone gets: https://docs.doppler.com/docs/branch-configs, "Duplicating a Config". */
  #overlaid(config: Config): ReadonlyMap<string, string> {
    if (this.options.clonesInherited) return this.#rawOf(config);
    return config.root ? new Map() : config.secrets;
  }

  #rename(config: Config, name: string): Response {
    const refusal = this.#nameRefusal(config.environment, name);
    if (refusal) return refusal;
    if (config.root || config.locked) return refused(400, "This config can't be renamed");
    config.name = name;
    return Response.json({ config: this.#shown(config), success: true });
  }

  #delete(config: Config): Response {
    if (config.root) return refused(400, "A root config can't be deleted");
    if (config.locked) return refused(400, "This config is locked");
    this.configs.splice(this.configs.indexOf(config), 1);
    for (const token of this.tokens.filter((one) => one.config === config)) {
      this.tokens.splice(this.tokens.indexOf(token), 1);
    }
    return Response.json({ success: true });
  }

  #write(config: Config, changes: unknown): Response {
    if (typeof changes !== "object" || changes === null) return refused(400, "secrets or change_requests is required");
    const next = new Map(config.secrets);
    for (const [key, value] of Object.entries(changes as Record<string, string | null>)) {
      if (!/^[A-Z_][A-Z0-9_]*$/.test(key) || key.length > 200) return refused(400, `Invalid secret name: ${key}`);
      if (MANAGED.test(key)) return refused(400, `${key} is managed by Doppler`);
      if (value === null) next.delete(key);
      else if (new TextEncoder().encode(value).length > 50 * 1024) return refused(400, "Secret value is too large");
      else next.set(key, value);
    }
    if (next.size > 1_200) return refused(400, "Too many secrets in this config");
    config.secrets.clear();
    for (const [key, value] of next) config.secrets.set(key, value);
    return Response.json({ secrets: this.#secrets(config), success: true });
  }

  #mint(config: Config, name: string, access: string, expire_at: unknown): Response {
    if (name.length < 2 || name.length > 100) return refused(400, "Token name is invalid");
    if (access !== "read" && access !== "read/write") return refused(400, "Invalid access");
    // The query of the vendor's CLI has it as text.
    const seconds = typeof expire_at === "string" && /^\d+$/.test(expire_at) ? Number(expire_at) : expire_at;
    const isDate = this.options.takesDates && typeof seconds === "string" && !Number.isNaN(Date.parse(seconds));
    if (seconds !== undefined && !Number.isInteger(seconds) && !isDate) return refused(400, "Invalid expire_at");
    const expiresAt = typeof seconds === "number" ? new Date(seconds * 1_000).toISOString() : seconds as string;
    const token: ServiceToken = {
      slug: crypto.randomUUID(),
      key: `dp.st.${config.name}.${crypto.randomUUID().replaceAll("-", "")}12345678`,
      name,
      config,
      access,
      expires_at: expiresAt ?? null,
      created_at: new Date(this.now()).toISOString(),
    };
    this.tokens.push(token);
    return Response.json({ token: this.#token(token, true), success: true });
  }

  #token({ config, key, access, ...rest }: ServiceToken, isNew: boolean) {
    const { name, environment } = config;
    const shown = { ...rest, config: name, environment, project: this.options.project };
    return isNew ? { ...shown, key, access } : shown;
  }

  #shown({ secrets: _, ...config }: Config) {
    return {
      ...config,
      initial_fetch_at: config.created_at,
      last_fetch_at: config.created_at,
      project: this.options.project,
    };
  }

  #managed({ name, environment }: Config) {
    return { DOPPLER_PROJECT: this.options.project, DOPPLER_ENVIRONMENT: environment, DOPPLER_CONFIG: name };
  }

  #secrets(config: Config) {
    const raw = this.#rawOf(config);
    const all = { ...this.valuesOf(config), ...this.#managed(config) };
    return Object.fromEntries(
      Object.entries(all).map(([key, computed]) => [key, {
        raw: raw.get(key) ?? computed,
        computed,
        note: "",
        rawVisibility: "masked",
        computedVisibility: "masked",
      }]),
    );
  }
}

function refused(status: number, message: string, headers: Record<string, string> = {}): Response {
  return Response.json({ messages: [message], success: false }, { status, headers });
}

/** Starts a project with a server of its own. */
export async function startDoppler(options: DopplerOptions): Promise<Doppler & Served> {
  const doppler = new Doppler(options);
  return Object.assign(doppler, await serve(() => doppler));
}
