/**
 * One KV engine of version 2, with tokens, an AppRole and namespaces, as Vault 1.15 and OpenBao answer.
 *
 * Built from the vendor's specification (hashicorp/vault-client-go openapi.json) and from what
 * ../shared/vendors/storage-and-secrets.md lists of its answers, section 7.
 */
import { serve, type Served } from "./serve.ts";

export interface VaultOptions {
  /** @default {"secret"} */
  readonly mount?: string;
  /** Token -> when it ends, in milliseconds. */
  readonly tokens: Readonly<Record<string, number>>;
  readonly appRole?: { readonly roleId: string; readonly secretId: string };
  /** Version of the KV engine. @default {"2"} */
  readonly version?: "1" | "2";
  /** A setting of the mount: every write must say which version is there. @default {true} */
  readonly casRequired?: boolean;
  /** Only requests into this namespace find the engine. */
  readonly namespace?: string;
  /** Requests a second and token. @default {none} */
  readonly quota?: number;
  readonly maxEntryBytes?: number;
}

interface Version {
  readonly data: Readonly<Record<string, unknown>>;
  readonly created_time: string;
  deletion_time: string;
  destroyed: boolean;
}

interface Key {
  readonly versions: Map<number, Version>;
  current: number;
  custom: Record<string, string> | null;
  settings: Settings;
  readonly created: string;
}

/** Path, with an end of `*` -> capabilities. */
export type Policy = Readonly<Record<string, readonly string[]>>;

/** Settings of one key. */
interface Settings {
  readonly max_versions: number;
  readonly cas_required: boolean;
  readonly delete_version_after: string;
}

const UNSET: Settings = { max_versions: 0, cas_required: false, delete_version_after: "0s" };

export class Vault {
  readonly keys = new Map<string, Key>();
  readonly requests: { readonly what: string; status: number }[] = [];
  now = Date.now;
  sealed = false;
  readonly options: VaultOptions;
  readonly minted: string[] = [];
  readonly #tokens: Map<string, number>;
  readonly #policies = new Map<string, Policy>();
  #second = 0;
  #spent = 0;

  constructor(options: VaultOptions) {
    this.options = options;
    this.#tokens = new Map(Object.entries(options.tokens));
  }

  /** A token that may do what this policy says and no more, while those of the options may do everything. */
  grant(policy: Policy): string {
    const token = `hvs.${crypto.randomUUID()}`;
    this.#tokens.set(token, Infinity);
    this.#policies.set(token, policy);
    return token;
  }

  /** Writes as somebody else does. */
  put(path: string, data: Readonly<Record<string, unknown>>, custom: Record<string, string> | null = null): void {
    this.#write(path, data);
    this.keys.get(path)!.custom = custom;
  }

  /** Writes the metadata of an entry, or makes one of metadata alone, as somebody else does. */
  note(path: string, custom: Record<string, string>, settings: Partial<Settings> = {}): void {
    const key = this.keys.get(path) ?? this.#make(path);
    Object.assign(key, { custom, settings: { ...key.settings, ...settings } });
  }

  /** The current data; `undefined` where there is none. */
  dataOf(path: string): Readonly<Record<string, unknown>> | undefined {
    const key = this.keys.get(path);
    const version = key?.versions.get(key.current);
    return version === undefined || version.destroyed || version.deletion_time !== "" ? undefined : version.data;
  }

  async handle(request: Request): Promise<Response> {
    const url = new URL(request.url);
    const isList = url.searchParams.get("list") === "true" || request.method === "LIST";
    const path = decodeURIComponent(url.pathname).replace(/^\/(v1\/)?/, "");
    const logged = { what: `${isList ? "LIST" : request.method} ${path}`, status: 0 };
    this.requests.push(logged);
    const response = await this.#answer(request, path, isList);
    logged.status = response.status;
    return response;
  }

  async #answer(request: Request, path: string, isList: boolean): Promise<Response> {
    const text = await request.text();
    if (this.sealed) return failed(503, "Vault is sealed");
    const body = text === "" ? {} : JSON.parse(text);
    if (path === "auth/approle/login") return this.#login(body);
    const token = request.headers.get("x-vault-token") ??
      /^Bearer (.+)$/.exec(request.headers.get("authorization") ?? "")?.[1];
    const ends = this.#tokens.get(token ?? "");
    if (ends === undefined || ends <= this.now()) {
      return failed(403, "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n");
    }
    const second = Math.floor(this.now() / 1000);
    if (second !== this.#second) [this.#second, this.#spent] = [second, 0];
    if (++this.#spent > (this.options.quota ?? Infinity)) {
      return failed(429, `request path "${path}": rate limit quota exceeded`);
    }
    if (path === "auth/token/lookup-self") return answered({ id: token, policies: ["app"] });
    const mount = this.options.mount ?? "secret";
    const namespace = (request.headers.get("x-vault-namespace") ?? "").replace(/\/$/, "");
    if (path.startsWith("sys/internal/ui/mounts/")) {
      // Whoever has a policy for any path below the mount may know of it.
      const granted = Object.keys(this.#policies.get(token!) ?? { [mount]: [] });
      if (path === `sys/internal/ui/mounts/${mount}` && granted.some((one) => one.startsWith(mount))) {
        return answered({ type: "kv", path: `${mount}/`, options: { version: this.options.version ?? "2" } });
      }
      return failed(403, "preflight capability check returned 403, please ensure client's policies grant access");
    }
    if (!this.#isAllowed(token!, request.method, path, isList)) {
      return failed(403, "1 error occurred:\n\t* permission denied\n\n");
    }
    if (!path.startsWith(`${mount}/`) || namespace !== (this.options.namespace ?? "")) {
      return failed(404, `no handler for route "${path}". route entry not found.`);
    }
    if (this.options.version === "1") return this.#first(request.method, path.slice(mount.length + 1), body, isList);
    const [kind, ...rest] = path.slice(mount.length + 1).split("/");
    const key = rest.join("/");
    const { method } = request;
    if (kind === "metadata" && isList) return this.#list(key);
    if (kind === "metadata" && method === "GET") return this.#metadata(key);
    if (kind === "metadata" && (method === "POST" || method === "PUT")) return this.#note(key, body);
    if (kind === "metadata" && method === "DELETE") return this.keys.delete(key), new Response(null, { status: 204 });
    if (kind === "data" && method === "GET") return this.#read(key);
    if (kind === "data" && (method === "POST" || method === "PUT")) return this.#post(key, body, text.length);
    if (kind === "data" && method === "DELETE") {
      const found = this.keys.get(key);
      const version = found?.versions.get(found.current);
      if (version) version.deletion_time = this.#time();
      return new Response(null, { status: 204 });
    }
    return failed(405, "1 error occurred:\n\t* unsupported operation\n\n");
  }

  /** A write to a key of which there is metadata is an update, whether or not it has data. */
  #isAllowed(token: string, method: string, path: string, isList: boolean): boolean {
    const policy = this.#policies.get(token);
    if (policy === undefined) return true;
    const key = path.replace(/^.*?\/(data|metadata)\//, "");
    const write = this.keys.has(key) ? "update" : "create";
    const wanted = isList ? "list" : method === "GET" ? "read" : method === "DELETE" ? "delete" : write;
    return Object.entries(policy).some(([glob, has]) =>
      path.startsWith(glob.replace(/\*$/, "")) && has.includes(wanted)
    );
  }

  /** The engine of version 1 knows neither data nor metadata: all of it are paths. */
  #first(method: string, path: string, body: Readonly<Record<string, unknown>>, isList: boolean): Response {
    if (isList || (method === "GET" && !this.keys.has(path))) return Response.json({ errors: [] }, { status: 404 });
    if (method === "GET") return answered(this.dataOf(path));
    if (method === "DELETE") this.keys.delete(path);
    else this.put(path, body);
    return new Response(null, { status: 204 });
  }

  #login({ role_id, secret_id }: { role_id?: string; secret_id?: string }): Response {
    const { appRole } = this.options;
    if (!role_id) return failed(400, "missing role_id");
    if (appRole?.roleId !== role_id || appRole.secretId !== secret_id) return failed(400, "invalid role or secret ID");
    const token = `hvs.${crypto.randomUUID()}`;
    this.minted.push(token);
    this.#tokens.set(token, this.now() + 3_600_000);
    const auth = { client_token: token, policies: ["default", "app"], lease_duration: 3600, renewable: true };
    return Response.json({ request_id: crypto.randomUUID(), auth });
  }

  #list(folder: string): Response {
    const prefix = folder.replace(/\/*$/, "/");
    const keys = new Set<string>();
    for (const path of this.keys.keys()) {
      if (path.startsWith(prefix)) keys.add(path.slice(prefix.length).replace(/\/.*$/, "/"));
    }
    return keys.size === 0 ? Response.json({ errors: [] }, { status: 404 }) : answered({ keys: [...keys].sort() });
  }

  #metadata(path: string): Response {
    const key = this.keys.get(path);
    if (key === undefined) return Response.json({ errors: [] }, { status: 404 });
    const versions = [...key.versions].map(([number, { created_time, deletion_time, destroyed }]) => [
      number,
      { created_time, deletion_time, destroyed },
    ]);
    return answered({
      ...key.settings,
      created_time: key.created,
      current_version: key.current,
      custom_metadata: key.custom,
      oldest_version: 0,
      updated_time: key.created,
      versions: Object.fromEntries(versions),
    });
  }

  #note(path: string, body: { custom_metadata?: Record<string, string> } & Partial<Settings>): Response {
    const { custom_metadata, max_versions, cas_required, delete_version_after } = body;
    const notes = Object.entries(custom_metadata ?? {});
    if (notes.length > 64 || notes.some(([key, value]) => key.length > 128 || value.length > 512)) {
      return failed(400, "custom_metadata validation failed");
    }
    const key = this.keys.get(path) ?? this.#make(path);
    if (custom_metadata !== undefined) key.custom = notes.length === 0 ? null : custom_metadata;
    key.settings = {
      max_versions: max_versions ?? key.settings.max_versions,
      cas_required: cas_required ?? key.settings.cas_required,
      delete_version_after: delete_version_after ?? key.settings.delete_version_after,
    };
    return new Response(null, { status: 204 });
  }

  #read(path: string): Response {
    const key = this.keys.get(path);
    const version = key?.versions.get(key.current);
    if (key === undefined || version === undefined) return Response.json({ errors: [] }, { status: 404 });
    const { data, created_time, deletion_time, destroyed } = version;
    const metadata = { created_time, custom_metadata: key.custom, deletion_time, destroyed, version: key.current };
    if (destroyed || deletion_time !== "") return answered({ data: null, metadata }, 404);
    return answered({ data, metadata });
  }

  #post(path: string, body: { data?: Record<string, unknown>; options?: { cas?: number } }, size: number): Response {
    if (body.data === undefined) return failed(400, "no data provided");
    const current = this.keys.get(path)?.current ?? 0;
    if (
      body.options?.cas === undefined &&
      (this.keys.get(path)?.settings.cas_required || this.options.casRequired !== false)
    ) {
      return failed(400, "check-and-set parameter required for this call");
    }
    if (body.options?.cas !== undefined && body.options.cas !== current) {
      return failed(400, "check-and-set parameter did not match the current version");
    }
    if (size > (this.options.maxEntryBytes ?? 1_048_576)) return failed(413, "request body too large");
    return answered(this.#write(path, body.data));
  }

  #write(path: string, data: Readonly<Record<string, unknown>>) {
    const key = this.keys.get(path) ?? this.#make(path);
    const version = { data, created_time: this.#time(), deletion_time: "", destroyed: false };
    key.versions.set(++key.current, version);
    key.versions.delete(key.current - (key.settings.max_versions || 10));
    const { created_time, deletion_time, destroyed } = version;
    return { created_time, custom_metadata: key.custom, deletion_time, destroyed, version: key.current };
  }

  #make(path: string): Key {
    const key: Key = { versions: new Map(), current: 0, custom: null, settings: UNSET, created: this.#time() };
    this.keys.set(path, key);
    return key;
  }

  #time(): string {
    return new Date(this.now()).toISOString();
  }
}

function answered(data: unknown, status = 200): Response {
  const request_id = crypto.randomUUID();
  const rest = { lease_id: "", renewable: false, lease_duration: 0, wrap_info: null, warnings: null, auth: null };
  return Response.json({ request_id, ...rest, data }, { status });
}

function failed(status: number, error: string): Response {
  return Response.json({ errors: [error] }, { status });
}

/** A server of its own. */
export async function startVault(options: VaultOptions): Promise<Vault & Served> {
  const vault = new Vault(options);
  return Object.assign(vault, await serve(() => vault));
}
