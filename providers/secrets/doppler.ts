/**
 * Doppler: an environment is a branch config, cloned from its parent's. Doppler stores no note of ours, so our journal
 * tells whose a config is, by the slug that Doppler's own answer gave, whatever it is called by now. A clone holds what its
 * source overlays alone, and has the rest from the root; so that the root's changes never reach it, all that the source
 * shows is written into it. It bears a name of its own until it is whole:
 * one that nobody else knows, which proves whose it is where the answer was lost.
 *
 * - Configs: https://docs.doppler.com/reference/configs-clone
 * - What a clone holds: https://docs.doppler.com/docs/branch-configs ("Duplicating a Config"; read in November 2026)
 * - Secrets: https://docs.doppler.com/reference/secrets-update
 * - Service tokens: https://docs.doppler.com/docs/service-tokens
 * - Limits: https://docs.doppler.com/docs/platform-limits
 */
import { createHash } from "node:crypto";
import * as v from "npm:valibot@1.5.0";
import {
  type Context,
  type Fork,
  type Held,
  type Inspection,
  type Question,
  Secret,
  type Verified,
} from "../../core/provider.ts";
import type { Lease, Provider, Scope, Target } from "../../core/provider.ts";
import { ForkstackError, isForkstackError } from "../../mod.ts";
import { endpointOption, reaches, slugOption } from "../_shared/json_api.ts";
import { recorded } from "../_shared/recorded.ts";
import { CONFIGS, ENDPOINT } from "./runtime/doppler.ts";
import {
  api,
  ASIDE,
  configs,
  CREDENTIALS_HINT,
  type DopplerConfig,
  idOf,
  isBaseConfig,
  isConfig,
  isKeptConfig,
  KEY,
  ONE,
  partsOf,
  put,
  type Shown,
  shownIn,
  standingAt,
  values,
} from "./doppler_api.ts";
import { policyChanges, policyOptions, replacement } from "../_shared/secret_policy.ts";

const configName = v.pipe(v.string(), v.regex(/^[a-z0-9][a-z0-9_-]{0,58}[a-z0-9]$/, 'must be a config like "prd"'));

const options = v.strictObject({
  /** The project's name, e.g. `"myapp"`. */
  project: slugOption("myapp"),
  /**
   * Configs of environments that forkstack did not make, by environment. Forks of one become branches of its
   * environment.
   */
  configs: v.optional(v.record(v.string(), configName), CONFIGS as Record<string, string>),
  ...policyOptions,
  /** URL of the API, which gets the token. Without TLS only on this machine. */
  endpoint: endpointOption(ENDPOINT),
});
type Options = v.InferOutput<typeof options>;

const TOKEN = v.object({ token: v.object({ key: v.pipe(v.string(), v.minLength(1)) }) });
const TOKENS = v.object({ tokens: v.array(v.object({ slug: v.string() })) });

const MAX_NAME = 60;
/**
 * Lifetime, in milliseconds, of a token of an environment that forkstack did not make: nothing would ever revoke it.
 */
const BASE_TOKEN_MS = 7 * 86_400_000;

const provider: Provider<Options> = {
  name: "doppler",
  kind: "secrets",
  title: "Doppler",
  page: "secrets.md#doppler",
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
  variables: {
    DOPPLER_PROJECT: { isSecret: false, isIdentity: false },
    DOPPLER_CONFIG: { isSecret: false, isIdentity: true },
    DOPPLER_TOKEN: { isSecret: true, isIdentity: true },
  },
  credentialsHint: CREDENTIALS_HINT,
  requestIdHeaders: ["x-request-id", "cf-ray"],
  options,
  permissions: ({ endpoint }) => reaches([endpoint]),
  inspect,
  create,
  delete: remove,
  keep,
  list: (context, scope) => records.list(context, scope),
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

/** Servers and clients of its tests, beside its emulator. */
export const verified: Verified = { clients: ["@dopplerhq/node-sdk"] };

const records = recorded<DopplerConfig, Options>({
  provider: "doppler",
  label: "Doppler",
  all: configs,
  idOf,
  namesOf: ({ name, environment }) => [name.slice(environment.length + 1)],
  forkOf,
  ownerOf: async (context, name, config) =>
    (await context.recorded(name)).find(({ id }) => isConfig(config, id))?.marker,
});

/** The questions that `init` asks, by option. */
export const questions: Readonly<Record<string, Question>> = {
  project: { ask: "Doppler: the project", example: "shop", isProject: true },
};

async function inspect(context: Context, target: Target<Options>): Promise<Inspection> {
  const all = await Array.fromAsync(configs(context, target));
  const base = baseConfig(target, target.name);
  if (base !== undefined) {
    const found = all.find(({ name }) => name === base);
    return found ? { state: "foreign", id: idOf(found), reason: "forkstack did not make it" } : { state: "absent" };
  }
  const { made, staged, theirs } = await standingAt(context, target, all);
  if (made !== undefined) {
    const seen = records.inspection(target, made.config, made.marker);
    const isHeld = target.heldId !== undefined && isConfig(made.config, target.heldId); // its id holds its first name
    return isHeld && "fork" in seen ? { ...seen, fork: { ...seen.fork, id: target.heldId } } : seen;
  }
  if (staged !== undefined) return records.inspection(target, staged.config, staged.marker, "pending");
  return theirs === undefined ? { state: "absent" } : records.inspection(target, theirs, undefined);
}

/** Returns the name of a run's clone until it is complete: unique to the run, and on record before Doppler gets it. */
function keyOf(environment: string, { marker: { stack, resource, operation }, name }: Target<Options>): string {
  const digest = createHash("sha256").update(JSON.stringify([stack, resource, name, operation])).digest("hex");
  return `${environment}_new-${BigInt(`0x${digest}`).toString(36).slice(0, 24)}`.slice(0, MAX_NAME);
}

/**
 * Clones under a name of the run's own, applies the policy, and renames: Doppler refuses a name that is taken. No call
 * is repeated; after a refusal the name is looked up.
 */
async function create(context: Context, target: Target<Options>): Promise<Fork> {
  const { name, marker } = target;
  const source = target.parent === undefined ? undefined : await parentOf(context, target, target.parent);
  // A root is called as its environment is. Without a parent it is dev's: a branch has to be of one.
  const environment = source?.environment ??
    (target.bases?.dev ?? target.options.configs.dev ?? CONFIGS.dev!).split("_", 1)[0]!;
  const config = `${environment}_${name}`;
  if (config.length > MAX_NAME) {
    throw new ForkstackError("NAME_INVALID", `Cannot make config "${config}": it has ${config.length} characters`, {
      hint: `Doppler takes at most ${MAX_NAME}; choose a shorter environment name`,
      details: { provider: "doppler", resource: target.resource, env: marker.env },
    });
  }
  const what = `make config "${config}"`;
  let made = target.isResumed ? await earlier(context, target, what) : undefined;
  made ??= await clone(context, target, keyOf(environment, target), source ?? environment, what);
  await context.record("config", idOf(made));
  context.signal.throwIfAborted();
  try {
    await applyValues(context, target, made, source);
  } catch (error) {
    if (!isForkstackError(error) || error.code !== "NOT_FOUND") throw error;
    const renamed = await earlier(context, target, what); // by a parallel worker of the same run: it is whole
    if (renamed?.name !== config) throw error;
    made = renamed;
  }
  if (made.name !== config) made = await rename(context, target, made, config, what);
  await context.once(keyOfRun(made), () => Promise.resolve(made));
  const fork = forkOf(made, target);
  return source ? { ...fork, parentId: source.name } : { ...fork, copy: "empty" };
}

/** Returns the key under which a run keeps a config. */
const keyOfRun = (config: DopplerConfig | string) =>
  `config ${partsOf(typeof config === "string" ? config : idOf(config))[1]}`;

/** Returns the config of an earlier attempt of the operation. */
async function earlier(context: Context, target: Target<Options>, what: string): Promise<DopplerConfig | undefined> {
  const all = await Array.fromAsync(configs(context, target));
  const { made, staged, theirs } = await standingAt(context, target, all);
  const found = made ?? staged;
  if (found === undefined && theirs === undefined) return undefined;
  records.assertWanted(target, found?.marker, what);
  return found!.config;
}

/** Creates a config with the run's own name: a copy of another, or an empty one of an environment. */
async function clone(
  context: Context,
  target: Target<Options>,
  key: string,
  from: Pick<DopplerConfig, "name"> | string,
  what: string,
): Promise<DopplerConfig> {
  const { project } = target.options;
  context.signal.throwIfAborted();
  await context.record(KEY, key);
  // https://docs.doppler.com/reference/configs-clone, https://docs.doppler.com/reference/configs-create
  const answer = typeof from === "string"
    ? await api.send(context, target, "POST", ["configs"], { json: { project, environment: from, name: key } })
    : await api.send(context, target, "POST", ["configs", "config", "clone"], {
      json: { project, config: from.name, name: key },
    });
  if (answer.response.ok) return (await api.read(ONE, answer, target, what)).config;
  const problem = await api.refusal(answer, target, what);
  if (problem.code === "CREDENTIALS_REJECTED" || answer.response.status >= 500) throw problem;
  const all = await Array.fromAsync(configs(context, target));
  const { made, staged } = await standingAt(context, target, all); // of a parallel worker of the same run
  const there = made ?? staged;
  if (there?.marker.operation === target.marker.operation) return there.config;
  if (typeof from !== "string" && !all.some((one) => one.name === from.name)) throw missing(target, from.name, problem);
  throw limitOf(target, key, all, what, problem) ?? problem;
}

/** Configs of one environment on the free plan, the lowest limit: https://docs.doppler.com/docs/platform-limits */
const FEWEST_CONFIGS = 10;

/** Returns the error after an unexplained refusal, if the environment has as many configs as a plan may allow. */
// deno-lint-ignore statements/most-parameters -- one caller, which has the five from one answer
function limitOf(
  { resource }: Scope<Options>,
  key: string,
  all: readonly DopplerConfig[],
  what: string,
  { details, cause }: ForkstackError,
): ForkstackError | undefined {
  const there = all.filter(({ environment }) => key.startsWith(`${environment}_`));
  if (there.length < FEWEST_CONFIGS) return undefined;
  const kept = there.filter(isKeptConfig).length;
  const state = `its environment at Doppler has ${there.length} configs` +
    (kept === 0 ? "" : `, ${kept} of them kept of deleted environments`);
  return new ForkstackError("PLAN_LIMIT", `Cannot ${what}: ${state}`, {
    hint:
      "`forkstack list` shows the backups of deleted environments, which `delete` with --purge takes away; or remove unused " +
      "envs with `forkstack prune`, or raise the plan",
    details: { ...details, provider: "doppler", resource },
    cause,
  });
}

/** Renames a complete config. If the name is taken, deletes the config, and leaves the other one. */
async function rename(
  context: Context,
  target: Target<Options>,
  made: DopplerConfig,
  name: string,
  what: string,
): Promise<DopplerConfig> {
  context.signal.throwIfAborted();
  // https://docs.doppler.com/reference/configs-update
  const json = { project: target.options.project, config: made.name, name };
  const answer = await api.send(context, target, "POST", ["configs", "config"], { json });
  let renamed: DopplerConfig | undefined;
  if (answer.response.ok) renamed = (await api.read(ONE, answer, target, what)).config;
  else {
    const problem = await api.refusal(answer, target, what);
    if (problem.code === "CREDENTIALS_REJECTED" || answer.response.status >= 500) throw problem;
    const all = await Array.fromAsync(configs(context, target));
    const there = await standingAt(context, target, all);
    if (all.some((one) => one.name === made.name && isConfig(one, idOf(made)))) {
      await drop(context, target, made.name, what);
    }
    const found = there.made ?? there.theirs;
    if (found === undefined) throw problem;
    records.assertWanted(target, there.made?.marker, what, problem);
    renamed = there.made!.config; // by a parallel worker of the same run
  }
  await context.record("config", idOf(renamed));
  return renamed;
}

/**
 * Writes the fork's values before it has its name, or anybody a token of it: all of its source's, with the policy
 * applied. Without a parent all inherited values are excluded.
 */
async function applyValues(
  context: Context,
  target: Target<Options>,
  config: DopplerConfig,
  source: Pick<DopplerConfig, "name"> | undefined,
): Promise<void> {
  const shown = await shownIn(context, target, source ?? config);
  const plain = (of: keyof Shown) => Object.fromEntries(Object.entries(shown).map(([key, one]) => [key, one[of]]));
  const override = Object.entries(target.options.override ?? {});
  const policy = source === undefined
    ? { exclude: ["*"], override: Object.fromEntries(override.filter(([, by]) => typeof by === "string")) }
    : target.options;
  const has = Object.fromEntries(Object.entries(plain("computed")).filter(([, value]) => value !== ""));
  const changes = policyChanges(policy, has, String, { provider: "doppler", resource: target.resource });
  const own = source === undefined ? {} : plain("own");
  await put(context, target, config.name, { ...own, ...changes });
}

/**
 * Deletes a config by its id, whatever its name; another may have the old one by now. A kept config is not the fork.
 */
async function remove(context: Context, fork: Fork, scope: Scope<Options>): Promise<"deleted" | "absent"> {
  const found = await ours(context, fork, scope, "delete");
  if (found === undefined) return "absent";
  context.signal.throwIfAborted();
  const problem = await drop(context, scope, found.name, `delete config "${found.name}"`);
  if (problem === undefined) return "deleted";
  if (await ours(context, fork, scope, "delete") === undefined) return "absent";
  throw problem;
}

/** Deletes a config; returns Doppler's refusal, if any. */
async function drop(
  context: Context,
  scope: Scope<Options>,
  config: string,
  what: string,
): Promise<ForkstackError | undefined> {
  // https://docs.doppler.com/reference/configs-delete; its tokens end with it
  const query = { project: scope.options.project, config };
  const answer = await api.send(context, scope, "DELETE", ["configs", "config"], { query });
  if (answer.response.ok) return void await answer.response.text();
  const problem = await api.refusal(answer, scope, what);
  if (answer.response.status >= 500) throw problem;
  return problem;
}

/** Renames the config, so that an interrupted attempt finds it again; revokes its tokens first. */
async function keep(context: Context, fork: Fork, scope: Scope<Options>): Promise<Held | "absent"> {
  const kept = async (config: DopplerConfig): Promise<Held> => {
    await context.record("kept", idOf(config));
    return { id: idOf(config), name: config.name };
  };
  const { project } = scope.options;
  const [, id] = partsOf(fork.id);
  const digits = Array.from(id, (one) => one.charCodeAt(0)).reduce((sum, one) => (sum * 31 + one) >>> 0, 7);
  const suffix = `-${digits.toString(36).slice(-6)}`;
  const asideOf = (environment: string) =>
    `${environment}_${ASIDE}${fork.name}`.slice(0, MAX_NAME - suffix.length) + suffix;
  const all = await Array.fromAsync(configs(context, scope));
  const isOf = ({ slug, created_at }: DopplerConfig) => id !== "" && (id === slug || id === created_at);
  const already = all.find((one) => isOf(one) && one.name === asideOf(one.environment));
  if (already !== undefined) return await kept(already);
  const found = await ours(context, fork, scope, "keep", all);
  if (found === undefined) return "absent";
  const aside = asideOf(found.environment);
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
  return await kept(config);
}

async function probe(context: Context, held: Held, scope: Scope<Options>): Promise<void> {
  await standing(context, held, scope);
}

/** Creates a service token of this config only: a fork's may also write, for the application's `setSecret`. */
async function outputs(
  context: Context,
  held: Held,
  scope: Scope<Options> & Lease,
): Promise<Record<string, string | Secret>> {
  const { project } = scope.options;
  const { name: config } = await context.once(keyOfRun(held.id), () => standing(context, held, scope));
  const isBase = isBaseConfig(scope, config);
  const expiresAt = isBase ? new Date(context.now().getTime() + BASE_TOKEN_MS).toISOString() : scope.expiresAt;
  // https://docs.doppler.com/reference/service_tokens-create
  const answer = await api.send(context, scope, "POST", ["configs", "config", "tokens"], {
    json: {
      project,
      config,
      name: `forkstack ${context.now().toISOString()}`,
      access: isBase ? "read" : "read/write",
      // A Unix time, as the vendor's own command line sends it; the specification's type is that of a text.
      expire_at: expiresAt === undefined ? undefined : Math.ceil(Date.parse(expiresAt) / 1_000),
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

// ---- Configs ----

/** Returns the config of an environment that forkstack did not make; of `secrets.app`, "app-prod" is prod's. */
function baseConfig(
  { resourceName: own, options: { configs }, bases = {} }: Scope<Options>,
  name: string,
): string | undefined {
  if (Object.values(bases).includes(name)) return name;
  const env = own !== undefined && name.startsWith(`${own}-`) ? name.slice(own.length + 1) : name;
  return Object.hasOwn(configs, env) ? configs[env] : undefined;
}

/** Returns the parent's config: a base environment's by its name, a fork's by a search. */
async function parentOf(context: Context, scope: Scope<Options>, name: string) {
  const base = baseConfig(scope, name);
  if (base !== undefined && !base.includes("_")) return { name: base, environment: base };
  const all = await Array.fromAsync(configs(context, scope));
  const found = all.filter((one) => one.name === (base ?? `${one.environment}_${name}`));
  if (found[0] === undefined) throw missing(scope, base ?? name);
  const { made } = await standingAt(context, { name }, found);
  if (found.length === 1 || made !== undefined) return made?.config ?? found[0];
  const names = found.map((one) => `"${one.name}"`).join(" and ");
  throw new ForkstackError("CONFLICT", `Cannot tell which config is "${name}": there are ${names}`, {
    hint: "Rename or delete at Doppler the one that forkstack did not make",
    details: { provider: "doppler", resource: scope.resource },
  });
}

/** Returns the config with this id, whatever its name; `all` are the existing ones, if they were requested already. */
async function byId(
  context: Context,
  held: Pick<Held, "id">,
  scope: Scope<Options>,
  all?: readonly DopplerConfig[],
): Promise<DopplerConfig | undefined> {
  const there = all ?? await Array.fromAsync(configs(context, scope));
  const found = there.filter((one) => isConfig(one, held.id));
  const [name] = partsOf(held.id);
  return found.find((one) => one.name === name) ?? found.find((one) => !isKeptConfig(one));
}

async function standing(context: Context, held: Held, scope: Scope<Options>): Promise<DopplerConfig> {
  const found = await byId(context, held, scope);
  if (found === undefined) throw missing(scope, partsOf(held.id)[0]);
  return found;
}

/** Returns the fork's config; throws if it must not be deleted. */
async function ours(context: Context, fork: Fork, scope: Scope<Options>, verb: string, all?: readonly DopplerConfig[]) {
  const found = await byId(context, fork, scope, all);
  if (found === undefined) return undefined;
  await records.assertOurs(context, scope, fork, found, `${verb} config "${found.name}"`);
  if (!found.locked) return found;
  throw new ForkstackError("CONFLICT", `Cannot ${verb} config "${found.name}": it is locked`, {
    hint: `Unlock it with \`doppler configs unlock ${found.name}\`, then run the same again`,
    details: { provider: "doppler", resource: scope.resource },
  });
}

function forkOf(config: DopplerConfig, { name, marker }: Pick<Fork, "name" | "marker">): Fork {
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
