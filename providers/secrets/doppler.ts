/**
 * Doppler: an environment is a branch config, cloned from its parent's. Doppler stores no note of ours, so the registry
 * tells whose a config is; the config's own id is checked before anything is deleted.
 *
 * - Configs: https://docs.doppler.com/reference/configs-clone
 * - Secrets: https://docs.doppler.com/reference/secrets-update
 * - Service tokens: https://docs.doppler.com/docs/service-tokens
 * - Limits: https://docs.doppler.com/docs/platform-limits
 */
import * as v from "npm:valibot@1.5.0";
import { type Context, type Fork, type Held, type Inspection, type Marker, Secret } from "../../core/provider.ts";
import type { Lease, Provider, Scope, Target } from "../../core/provider.ts";
import { ForkstackError } from "../../mod.ts";
import { Api, endpointOption, reaches, slugOption } from "../_api.ts";
import { foreignError, holder, isOlder, isOthers, isSameHolder } from "../_marks.ts";
import { CONFIGS, ENDPOINT, secretsIn } from "./_doppler.ts";
import { hasPolicy, policyChanges, policyOptions, replacement } from "./_policy.ts";

const configName = v.pipe(v.string(), v.regex(/^[a-z0-9][a-z0-9_-]{0,58}[a-z0-9]$/, 'must be a config like "prd"'));

const options = v.strictObject({
  /** The project's name, e.g. `"myapp"`. */
  project: slugOption("myapp"),
  /** The configs of environments that forkstack did not make. Forks of one become branches of its environment. */
  configs: v.optional(v.record(v.string(), configName), CONFIGS as Record<string, string>),
  ...policyOptions,
  /** Another address of the API. Without TLS only on this machine: the token goes there. */
  endpoint: endpointOption(ENDPOINT),
});
type Options = v.InferOutput<typeof options>;

const CONFIG = v.object({
  name: v.string(),
  environment: v.string(),
  created_at: v.string(),
  locked: v.optional(v.boolean()),
  /** Not in the specification; seen in live answers. */
  slug: v.optional(v.string()),
});
type Config = v.InferOutput<typeof CONFIG>;
const ONE = v.object({ config: CONFIG });
const PAGE = v.object({ configs: v.array(CONFIG) });
const VALUES = v.record(v.string(), v.nullable(v.string()));
const WRITTEN = v.object({ secrets: v.record(v.string(), v.object({ computed: v.nullish(v.string()) })) });
const TOKEN = v.object({ token: v.object({ key: v.pipe(v.string(), v.minLength(1)) }) });
const TOKENS = v.object({ tokens: v.array(v.object({ slug: v.string() })) });

const MAX_NAME = 60;
const MAX_KEY = 200;
const MAX_VALUE_BYTES = 50 * 1024;
const PER_PAGE = 100;
/** What the API gives if not asked for a number: a server that caps pages lower would be none of Doppler's. */
const USUAL_PAGE = 20;
/** For the token of an environment that forkstack did not make: nothing would ever take it away. */
const BASE_TOKEN_MS = 7 * 86_400_000;

const CREDENTIALS_HINT =
  "a service account's or a personal token; a service token sees one config alone and can't clone it";

const provider: Provider<Options> = {
  name: "doppler",
  kind: "secrets",
  capabilities: {
    copy: "full-copy",
    ownership: "recorded",
    outputs: "minted",
    nativeExpiry: false,
    usage: "none",
    pointInTime: false,
    outputsExpire: true,
    parentMayBeAbsent: false,
    name: { maxLength: MAX_NAME - "prd_".length, pattern: /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/ },
  },
  credentials: [{ variable: "DOPPLER_TOKEN", required: true }],
  variables: ["DOPPLER_PROJECT", "DOPPLER_CONFIG", "DOPPLER_TOKEN"],
  credentialsHint: CREDENTIALS_HINT,
  options,
  permissions: ({ endpoint }) => reaches([endpoint]),
  inspect,
  create,
  delete: remove,
  keep,
  list,
  probe,
  outputs,
  secrets: { read, write },
  async reset(context, fork, target) {
    await standing(context, fork, target);
    const parents = target.parent === undefined
      ? {}
      : await values(context, target, await parentOf(context, target, target.parent));
    return replacement(context, fork, target, { read, write }, parents);
  },
};
export default provider;

async function inspect(context: Context, target: Target<Options>): Promise<Inspection> {
  const base = baseConfig(target, target.name);
  const all = await Array.fromAsync(configs(context, target));
  const found = all.filter(({ name, environment }) => name === (base ?? `${environment}_${target.name}`));
  if (found.length > 1) {
    const names = found.map(({ name }) => `"${name}"`).join(" and ");
    throw new ForkstackError("CONFLICT", `Cannot tell which config is "${target.name}": there are ${names}`, {
      hint: "Rename or delete at Doppler the one that forkstack did not make",
      details: { provider: "doppler", resource: target.resource },
    });
  }
  if (found[0] === undefined) return { state: "absent" };
  const marker = base === undefined ? context.markerOf(target.name) : undefined;
  const id = idOf(found[0]);
  if (marker === undefined) return { state: "foreign", id, reason: "the registry does not know it" };
  if (!isSameHolder(marker, target.marker)) return { state: "foreign", id, reason: holder(marker) };
  return { state: "ready", fork: forkOf(found[0], target.name, marker) };
}

/** The clone itself tells whether something stands there; it is never repeated, the name is looked at instead. */
async function create(context: Context, target: Target<Options>): Promise<Fork> {
  const { name, marker, options: { project } } = target;
  const source = target.parent === undefined ? undefined : await parentOf(context, target, target.parent);
  // A root is called as its environment is. Without a parent it is dev's: a branch has to be of one.
  const environment = source?.environment ?? (target.options.configs.dev ?? CONFIGS.dev!);
  const config = `${environment}_${name}`;
  if (config.length > MAX_NAME) {
    throw new ForkstackError("NAME_INVALID", `Cannot make config "${config}": it has ${config.length} characters`, {
      hint: `Doppler takes at most ${MAX_NAME}; choose a shorter environment name`,
      details: { provider: "doppler", resource: target.resource, env: marker.env },
    });
  }
  context.signal.throwIfAborted();
  const what = `make config "${config}"`;
  // https://docs.doppler.com/reference/configs-clone, https://docs.doppler.com/reference/configs-create
  const answer = source === undefined
    ? await api.send(context, target, "POST", ["configs"], { json: { project, environment, name: config } })
    : await api.send(context, target, "POST", ["configs", "config", "clone"], {
      json: { project, config: source.name, name: config },
    });
  let made: Config | undefined;
  if (answer.response.ok) made = (await api.read(ONE, answer, target, what)).config;
  else {
    const problem = await api.refusal(answer, target, what);
    if (problem.code === "CREDENTIALS_REJECTED" || answer.response.status >= 500) throw problem;
    const all = await Array.fromAsync(configs(context, target));
    made = all.find((one) => one.name === config);
    if (made === undefined) {
      if (source && !all.some((one) => one.name === source.name)) throw missing(target, source.name, problem);
      throw problem;
    }
    const reason = isOthers(context.markerOf(name), marker, "the registry does not know the one that is there") ??
      (isOlder(made.created_at, target) ? "what is there is older than this run" : undefined);
    if (reason !== undefined) throw foreign(target, `${what}: ${reason}`, problem);
  }
  await context.record("config", idOf(made));
  context.signal.throwIfAborted();
  await applyPolicy(context, target, made);
  return { ...forkOf(made, name, marker), ...(source ? { parentId: source.name } : { copy: "empty" as const }) };
}

/** Before anybody has a token of it. With no parent, all that the branch inherits is taken for excluded. */
async function applyPolicy(context: Context, target: Target<Options>, config: Config): Promise<void> {
  const isEmpty = target.parent === undefined;
  if (!isEmpty && !hasPolicy(target.options)) return;
  const has = await values(context, target, config);
  const override = Object.entries(target.options.override ?? {});
  const policy = isEmpty
    ? { exclude: ["*"], override: Object.fromEntries(override.filter(([, by]) => typeof by === "string")) }
    : target.options;
  const plain = Object.fromEntries(Object.entries(has).map(([key, value]) => [key, value.reveal()]));
  const changes = policyChanges(policy, plain, String, { provider: "doppler", resource: target.resource });
  await put(context, target, config.name, changes);
}

/** Its name addresses a config, but its id proves which: another may bear the name by now. */
async function remove(context: Context, fork: Fork, scope: Scope<Options>): Promise<"deleted" | "absent"> {
  const found = await ours(context, fork, scope, "delete");
  if (found === undefined) return "absent";
  context.signal.throwIfAborted();
  // https://docs.doppler.com/reference/configs-delete; its tokens end with it
  const query = { project: scope.options.project, config: found.name };
  const answer = await api.send(context, scope, "DELETE", ["configs", "config"], { query });
  if (answer.response.ok) return await answer.response.text(), "deleted";
  const problem = await api.refusal(answer, scope, `delete config "${found.name}"`);
  if (answer.response.status < 500 && await ours(context, fork, scope, "delete") === undefined) return "absent";
  throw problem;
}

/** The config gets another name, by which an interrupted attempt finds it again; its tokens are revoked first. */
async function keep(context: Context, fork: Fork, scope: Scope<Options>): Promise<Held | "absent"> {
  const { project } = scope.options;
  const [, id = ""] = partsOf(fork.id);
  const digits = Array.from(id, (one) => one.charCodeAt(0)).reduce((sum, one) => (sum * 31 + one) >>> 0, 7);
  const all = await Array.fromAsync(configs(context, scope));
  const already = all.find((one) => partsOf(idOf(one))[1] === id && one.name.includes("_kept-"));
  if (already !== undefined) return { id: idOf(already), name: already.name };
  const found = await ours(context, fork, scope, "keep", all);
  if (found === undefined) return "absent";
  const suffix = `-${digits.toString(36).slice(-6)}`;
  const aside = `${found.environment}_kept-${fork.name}`.slice(0, MAX_NAME - suffix.length) + suffix;
  const query = { project, config: found.name };
  // https://docs.doppler.com/reference/service_tokens-list, https://docs.doppler.com/reference/service_tokens-delete
  const listed = await api.send(context, scope, "GET", ["configs", "config", "tokens"], { query });
  const { tokens } = await api.read(TOKENS, listed, scope, `list the tokens of config "${found.name}"`);
  for (const { slug } of tokens) {
    const revoked = await api.send(context, scope, "DELETE", ["configs", "config", "tokens", "token"], {
      json: { ...query, slug },
    });
    await revoked.response.text();
    if (!revoked.response.ok && revoked.response.status !== 404) {
      throw await api.refusal(revoked, scope, `revoke a token of config "${found.name}"`);
    }
  }
  // https://docs.doppler.com/reference/configs-update
  const renamed = await api.send(context, scope, "POST", ["configs", "config"], { json: { ...query, name: aside } });
  const { config } = await api.read(ONE, renamed, scope, `keep config "${found.name}"`);
  return { id: idOf(config), name: config.name };
}

/** Every config of the project that the registry knows. */
async function* list(context: Context, scope: Scope<Options>): AsyncIterable<Fork> {
  for await (const config of configs(context, scope)) {
    const name = config.name.slice(config.environment.length + 1);
    const marker = config.name === `${config.environment}_${name}` ? context.markerOf(name) : undefined;
    if (marker?.stack === scope.stack && marker.resource === scope.resource) yield forkOf(config, name, marker);
  }
}

async function probe(context: Context, held: Held, scope: Scope<Options>): Promise<void> {
  await standing(context, held, scope);
}

/** A service token of this config alone: a fork's may write as well, as its application does with `setSecret`. */
async function outputs(
  context: Context,
  held: Held,
  scope: Scope<Options> & Lease,
): Promise<Record<string, string | Secret>> {
  const { project, configs } = scope.options;
  const [config] = partsOf(held.id);
  const isBase = Object.values(configs).includes(config);
  const expiresAt = isBase ? new Date(context.now().getTime() + BASE_TOKEN_MS).toISOString() : scope.expiresAt;
  // https://docs.doppler.com/reference/service_tokens-create
  const answer = await api.send(context, scope, "POST", ["configs", "config", "tokens"], {
    json: {
      project,
      config,
      name: `forkstack ${context.now().toISOString()}`,
      access: isBase ? "read" : "read/write",
      ...(expiresAt === undefined ? {} : { expire_at: expiresAt }),
    },
  });
  const { token } = await api.read(TOKEN, answer, scope, `make a token for config "${config}"`);
  return { DOPPLER_PROJECT: project, DOPPLER_CONFIG: config, DOPPLER_TOKEN: new Secret(token.key) };
}

async function read(context: Context, held: Held, scope: Scope<Options>): Promise<Record<string, Secret>> {
  return await values(context, scope, await standing(context, held, scope));
}

async function write(
  context: Context,
  held: Held,
  scope: Scope<Options>,
  changes: Readonly<Record<string, Secret | null>>,
): Promise<void> {
  const plain = Object.entries(changes).map(([key, value]) => [key, value?.reveal() ?? null]);
  await put(context, scope, (await standing(context, held, scope)).name, Object.fromEntries(plain));
}

// ---- The API ----

/** Refusals hold a text alone, which is not for programs: https://docs.doppler.com/reference/errors */
const api = new Api<Options>({
  provider: "doppler",
  label: "Doppler",
  statusPage: "https://www.dopplerstatus.com",
  credential: {
    variable: "DOPPLER_TOKEN",
    hint: CREDENTIALS_HINT,
  },
  scopes: ({ options: { project } }) => `It needs to read, make and delete configs and tokens of project "${project}"`,
  base: ({ options: { endpoint } }) => `${endpoint.replace(/\/$/, "")}/v3`,
  known: (status, _code, { options: { project } }) =>
    status === 400
      ? { state: "Doppler refused it (400)", hint: "The cause says why; a token without access is refused so too" }
      : status === 404
      ? { state: `project "${project}" has none`, hint: "Correct `secrets.project`, or what the token may see" }
      : undefined,
});

/** Every config of the project. */
async function* configs(context: Context, scope: Scope<Options>): AsyncIterable<Config> {
  const { project } = scope.options;
  const seen = new Set<string>();
  for (let page = 1;; page++) {
    // https://docs.doppler.com/reference/configs-list
    const query = { project, page: `${page}`, per_page: `${PER_PAGE}` };
    const answer = await api.send(context, scope, "GET", ["configs"], { query });
    const { configs } = await api.read(PAGE, answer, scope, `list the configs of project "${project}"`);
    if (page > 1 && configs.length > 0 && configs.every(({ name }) => seen.has(name))) {
      throw api.strange(answer, scope, `list the configs of project "${project}": a page is there twice`);
    }
    for (const config of configs) {
      if (!seen.has(config.name)) yield config;
      seen.add(config.name);
    }
    if (configs.length < USUAL_PAGE) return; // the API tells neither a total nor a next page
  }
}

/** The config of an environment that forkstack did not make; of `secrets.app`, "app-prod" is prod's. */
function baseConfig({ resource, options: { configs } }: Scope<Options>, name: string): string | undefined {
  const own = /\.(.+)$/.exec(resource)?.[1];
  const env = own !== undefined && name.startsWith(`${own}-`) ? name.slice(own.length + 1) : name;
  return Object.hasOwn(configs, env) ? configs[env] : undefined;
}

/** The parent's config: a base environment's is known by its name, a fork's is looked for. */
async function parentOf(context: Context, scope: Scope<Options>, name: string) {
  const base = baseConfig(scope, name);
  if (base !== undefined && !base.includes("_")) return { name: base, environment: base };
  for await (const config of configs(context, scope)) {
    if (config.name === (base ?? `${config.environment}_${name}`)) return config;
  }
  throw missing(scope, base ?? name);
}

/** The config with this very id; `all` are those that are there, where they were asked for already. */
async function byId(
  context: Context,
  held: Pick<Held, "id">,
  scope: Scope<Options>,
  all?: readonly Config[],
): Promise<Config | undefined> {
  const there = all ?? await Array.fromAsync(configs(context, scope));
  return there.find((one) => idOf(one) === held.id);
}

async function standing(context: Context, held: Held, scope: Scope<Options>): Promise<Config> {
  const found = await byId(context, held, scope);
  if (found === undefined) throw missing(scope, partsOf(held.id)[0]);
  return found;
}

/** The fork's config, if it may be taken away. */
async function ours(context: Context, fork: Fork, scope: Scope<Options>, verb: string, all?: readonly Config[]) {
  const found = await byId(context, fork, scope, all);
  if (found === undefined) return undefined;
  const marker = context.markerOf(fork.name);
  if (marker !== undefined && !isSameHolder(marker, fork.marker)) {
    throw foreign(scope, `${verb} config "${found.name}": ${holder(marker)}`);
  }
  if (!found.locked) return found;
  throw new ForkstackError("CONFLICT", `Cannot ${verb} config "${found.name}": it is locked`, {
    hint: `Unlock it with \`doppler configs unlock ${found.name}\`, then run the same again`,
    details: { provider: "doppler", resource: scope.resource },
  });
}

/** Values with references resolved. */
async function values(
  context: Context,
  scope: Scope<Options>,
  { name }: Pick<Config, "name">,
): Promise<Record<string, Secret>> {
  // https://docs.doppler.com/reference/secrets-download
  const answer = await api.send(context, scope, "GET", ["configs", "config", "secrets", "download"], {
    query: { project: scope.options.project, config: name, format: "json" },
  });
  const all = secretsIn(await api.read(VALUES, answer, scope, `read the secrets of config "${name}"`));
  return Object.fromEntries(Object.entries(all).map(([key, value]) => [key, new Secret(value)]));
}

/** All in one call, which may be repeated. What is removed is left empty: a branch would inherit it anew. */
async function put(
  context: Context,
  scope: Scope<Options>,
  config: string,
  changes: Readonly<Record<string, string | null>>,
): Promise<void> {
  if (Object.keys(changes).length === 0) return;
  checkChanges(scope, changes);
  const isBase = Object.values(scope.options.configs).includes(config);
  const secrets = Object.fromEntries(
    Object.entries(changes).map(([key, value]) => [key, value ?? (isBase ? null : "")]),
  );
  // https://docs.doppler.com/reference/secrets-update
  const answer = await api.send(context, scope, "POST", ["configs", "config", "secrets"], {
    json: { project: scope.options.project, config, secrets },
    mayRepeat: true,
  });
  const what = `change the secrets of config "${config}"`;
  const written = await api.read(WRITTEN, answer, scope, what);
  for (const [key, value] of Object.entries(changes)) {
    if (value === null && written.secrets[key]?.computed) throw api.strange(answer, scope, `${what}: "${key}" stays`);
  }
}

function checkChanges({ resource }: Scope<Options>, changes: Readonly<Record<string, string | null>>): void {
  const refused = (code: string, state: string, hint: string) =>
    new ForkstackError(code, `Cannot set ${state}`, { hint, details: { provider: "doppler", resource } });
  for (const [key, value] of Object.entries(changes)) {
    if (value === null) continue;
    if (key.length > MAX_KEY || !/^[A-Z_][A-Z0-9_]*$/.test(key)) {
      throw refused("NAME_INVALID", `secret "${key}": Doppler takes A-Z, 0-9 and _`, 'Keys look like "API_KEY"');
    }
    const bytes = new TextEncoder().encode(value).length;
    if (bytes > MAX_VALUE_BYTES) {
      throw refused(
        "VALUE_TOO_LARGE",
        `secret "${key}": it has ${bytes} bytes`,
        `Doppler takes ${MAX_VALUE_BYTES} bytes at most; keep it in a file or a bucket, and its name here`,
      );
    }
  }
}

/** The name addresses it, the rest tells it from another that may bear the name later. */
function idOf({ name, slug, created_at }: Config): string {
  return `${name}:${slug ?? created_at}`;
}

function partsOf(id: string): [name: string, id: string] {
  const at = id.indexOf(":");
  return [id.slice(0, at < 0 ? undefined : at), at < 0 ? "" : id.slice(at + 1)];
}

function forkOf(config: Config, name: string, marker: Marker): Fork {
  return { id: idOf(config), name, marker, createdAt: new Date(config.created_at).toISOString() };
}

function missing(scope: Scope<Options>, config: string, cause?: unknown): ForkstackError {
  const { resource, options: { project } } = scope;
  return new ForkstackError("NOT_FOUND", `Cannot use config "${config}": project "${project}" has none`, {
    hint: "Make it at Doppler, say in `secrets.configs` what it is called, or name another parent with --from",
    details: { provider: "doppler", resource },
    cause,
  });
}

function foreign(scope: Scope<Options>, what: string, cause?: unknown): ForkstackError {
  return foreignError({ provider: "doppler", resource: scope.resource }, what, cause);
}
