/**
 * Doppler's API as the provider uses it: configs with their owners, and secrets.
 *
 * - https://docs.doppler.com/reference/configs-list
 * - https://docs.doppler.com/reference/secrets-update
 */
import * as v from "npm:valibot@1.5.0";
import { type Context, type Marker, type Scope, Secret } from "../../core/provider.ts";
import { type ErrorCode, ForkstackError } from "../../mod.ts";
import { Api } from "../_shared/json_api.ts";
import { MANAGED, secretsIn } from "./runtime/doppler.ts";

/** The options that name a project at Doppler. */
interface Options {
  readonly project: string;
  readonly configs: Readonly<Record<string, string>>;
  readonly endpoint: string;
}

const CONFIG = v.object({
  name: v.string(),
  environment: v.string(),
  created_at: v.string(),
  locked: v.optional(v.boolean()),
  /** The slug. Not in the specification; seen in live answers. */
  slug: v.optional(v.string()),
});
export type DopplerConfig = v.InferOutput<typeof CONFIG>;
export const ONE = v.object({ config: CONFIG });
const PAGE = v.object({ configs: v.array(CONFIG) });
const VALUES = v.record(v.string(), v.nullable(v.string()));
const DETAILS = v.object({
  secrets: v.record(v.string(), v.object({ raw: v.nullish(v.string()), computed: v.nullish(v.string()) })),
});
const WRITTEN = v.object({ secrets: v.record(v.string(), v.object({ computed: v.nullish(v.string()) })) });

const MAX_KEY = 200;
const MAX_VALUE_BYTES = 50 * 1024;
const PER_PAGE = 100;
/** Page size of the API by default: a server with smaller pages would not be Doppler's. */
const USUAL_PAGE = 20;

export const CREDENTIALS_HINT =
  "a service account's or a personal token; a service token sees one config alone and can't clone it";

// ---- Configs ----

/** Calls of the API. Refusals have only a text, which is not for programs: https://docs.doppler.com/reference/errors */
export const api = new Api<Options>({
  provider: "doppler",
  label: "Doppler",
  statusPage: "https://www.dopplerstatus.com",
  credential: {
    variable: "DOPPLER_TOKEN",
    hint: CREDENTIALS_HINT,
  },
  scopes: ({ options: { project } }) => `It needs to read, make and delete configs and tokens of project "${project}"`,
  base: ({ options: { endpoint } }) => `${endpoint.replace(/\/$/, "")}/v3`,
  known(status, _code, { options: { project } }) {
    switch (status) {
      case 400:
        return {
          state: "Doppler refused it (400)",
          hint: "The cause says why; a token without access is refused so too",
        };
      case 404:
        return { state: `project "${project}" has none`, hint: "Correct `secrets.project`, or what the token may see" };
    }
  },
});

/** Yields every config of the project. */
export async function* configs(context: Context, scope: Scope<Options>): AsyncIterable<DopplerConfig> {
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

/** Returns true if a config is that of an environment that forkstack did not make. */
export function isBaseConfig({ options, bases }: Scope<Options>, config: string): boolean {
  return [...Object.values(bases ?? {}), ...Object.values(options.configs)].includes(config);
}

/** A config with its owner. */
export interface Owned {
  readonly config: DopplerConfig;
  readonly marker: Marker;
}

/**
 * Returns the config with a fork's name, ours or not, and ours that will have the name. Ours is known by its slug,
 * whatever its name at Doppler, unless it was kept after a deletion.
 */
export async function standingAt(
  context: Context,
  { name, isResumed }: { readonly name: string; readonly isResumed?: boolean | undefined },
  all: readonly DopplerConfig[],
): Promise<{ made?: Owned | undefined; staged?: Owned | undefined; theirs?: DopplerConfig | undefined }> {
  const told = await context.recorded(name);
  const owned = (config: DopplerConfig): Owned[] => {
    const line = told.find(({ step, id }) => step === KEY ? isResumed && id === config.name : isConfig(config, id));
    return line === undefined ? [] : [{ config, marker: line.marker }];
  };
  const keys = new Set(told.filter(({ step }) => step === KEY).map(({ id }) => id));
  const isNamed = (one: DopplerConfig) => one.name === `${one.environment}_${name}`;
  const wasNamed = (one: DopplerConfig) =>
    one.slug !== undefined && told.some(({ id }) => id === `${one.environment}_${name}:${one.slug}`);
  const renamed = all.filter((one) => !isNamed(one) && wasNamed(one) && !isKeptConfig(one));
  return {
    made: [...all.filter(isNamed), ...renamed].flatMap(owned)[0],
    staged: all.filter((one) => keys.has(one.name)).flatMap(owned)[0],
    theirs: all.find((one) => isNamed(one) && owned(one).length === 0),
  };
}

/** Returns true for the name of a config that was kept after a deletion; a fork may have such a name too. */
export function isKeptConfig({ name, environment }: DopplerConfig): boolean {
  return name.startsWith(`${environment}_${ASIDE}`);
}

/** The start of the names of kept configs, after their environment's. */
export const ASIDE = "kept-";

/** The journal step with the name of an unfinished clone. */
export const KEY = "key";

/** Returns the id of a config: the name addresses it, the rest tells it from a later config of the name. */
export function idOf({ name, slug, created_at }: DopplerConfig): string {
  return `${name}:${slug ?? created_at}`;
}

/** Returns true if an id is this config's: by its slug, whatever its name; without a slug, by time and name. */
export function isConfig({ name, slug, created_at }: DopplerConfig, id: string): boolean {
  const [was, own] = partsOf(id);
  return own !== "" && (own === slug || (own === created_at && was === name));
}

export function partsOf(id: string): [name: string, id: string] {
  const at = id.indexOf(":");
  return [id.slice(0, at < 0 ? undefined : at), at < 0 ? "" : id.slice(at + 1)];
}

// ---- Secrets ----

/** Returns values with references resolved. */
export async function values(
  context: Context,
  scope: Scope<Options>,
  { name }: Pick<DopplerConfig, "name">,
): Promise<Record<string, Secret>> {
  // https://docs.doppler.com/reference/secrets-download
  const answer = await api.send(context, scope, "GET", ["configs", "config", "secrets", "download"], {
    query: { project: scope.options.project, config: name, format: "json" },
  });
  const all = secretsIn(await api.read(VALUES, answer, scope, `read the secrets of config "${name}"`));
  return Object.fromEntries(Object.entries(all).map(([key, value]) => [key, new Secret(value)]));
}

/** A secret as a config shows it, its own or its root's. */
export interface Shown {
  /** The text that is stored; a reference to a secret of another config is resolved. */
  readonly own: string;
  /** The value for an application; empty if there is none. */
  readonly computed: string;
}

/** Returns all secrets that a config shows, empty ones too. */
export async function shownIn(
  context: Context,
  scope: Scope<Options>,
  { name }: Pick<DopplerConfig, "name">,
): Promise<Record<string, Shown>> {
  // https://docs.doppler.com/reference/secrets-list
  const answer = await api.send(context, scope, "GET", ["configs", "config", "secrets"], {
    query: { project: scope.options.project, config: name },
  });
  const { secrets } = await api.read(DETAILS, answer, scope, `read the secrets of config "${name}"`);
  const all: Record<string, Shown> = {};
  for (const [key, { raw, computed }] of Object.entries(secrets)) {
    if (MANAGED.test(key)) continue;
    if (raw == null || computed == null) throw restricted(scope, name, key);
    all[key] = { own: /\$\{[^}]*\./.test(raw) ? computed : raw, computed };
  }
  return all;
}

/** https://docs.doppler.com/docs/secret-visibility */
function restricted({ resource }: Scope<Options>, config: string, key: string): ForkstackError {
  return new ForkstackError(
    "CREDENTIALS_DENIED",
    `Cannot read secret "${key}" of config "${config}": it is restricted`,
    {
      hint: "Use a service account's token, or one that may read restricted secrets",
      details: { provider: "doppler", resource },
    },
  );
}

/**
 * Writes all changes in one call, which may be repeated. A removed secret is left empty: otherwise a branch would
 * inherit it again.
 */
export async function put(
  context: Context,
  scope: Scope<Options>,
  config: string,
  changes: Readonly<Record<string, string | null>>,
): Promise<void> {
  if (Object.keys(changes).length === 0) return;
  checkChanges(scope, changes);
  const isBase = isBaseConfig(scope, config);
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
  const refused = (code: ErrorCode, state: string, hint: string) =>
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
