/**
 * Inngest: each environment is an environment there, which the app names by `INNGEST_ENV`. Events and runs are never
 * copied; functions come with the app's next sync. Nothing is deleted: an archived environment triggers nothing any more.
 * Prod is the account's production environment, which is never archived. Inngest stores no note of ours: an environment
 * is ours if its id is on record, from Inngest's own answer or as the one that the create asked for.
 *
 * - REST API, version 2: https://api-docs.inngest.com/v2
 * - Environments and their keys: https://www.inngest.com/docs/platform/environments
 */
import { present } from "../_shared/fields.ts";
import * as v from "npm:valibot@1.5.0";
import { type Context, type Fork, type Held, type Provider, Secret, type Verified } from "../../core/provider.ts";
import type { Inspection, Scope, Target } from "../../core/provider.ts";
import { ForkstackError } from "../../mod.ts";
import { derivedProd } from "../_shared/base_names.ts";
import { Api, endpointOption, reaches } from "../_shared/json_api.ts";
import { recorded } from "../_shared/recorded.ts";

const CLOUD = "https://api.inngest.com";

const options = v.strictObject({
  /** URL to which the app sends events. @default {`https://inn.gs`, or `endpoint` if that is set} */
  eventEndpoint: v.optional(endpointOption("https://inn.gs").wrapped),
  /** Use an archived environment of the same name again. @default {false} */
  unarchive: v.optional(v.boolean(), false),
  /** URL of the API, which gets the key. Without TLS only on this machine. */
  endpoint: endpointOption(CLOUD),
});
type Options = v.InferOutput<typeof options>;

// Answers leave out zero values: an empty list, false, and the first of an enum's values, which is production here.
const ENVIRONMENT = v.object({
  id: v.pipe(v.string(), v.minLength(1)),
  name: v.string(),
  type: v.optional(v.string(), "PRODUCTION"), // or "TEST", "BRANCH"
  createdAt: v.pipe(v.string(), v.check((text) => !Number.isNaN(Date.parse(text)))),
  isArchived: v.optional(v.boolean(), false),
});
type Environment = v.InferOutput<typeof ENVIRONMENT>;
const ONE = v.object({ data: ENVIRONMENT });
const CURSOR = v.nullish(v.object({ cursor: v.nullish(v.string()), hasMore: v.nullish(v.boolean()) }));
const ENVIRONMENTS = v.object({ data: v.optional(v.array(ENVIRONMENT), []), page: CURSOR });
const KEY = v.object({ environment: v.string(), key: v.pipe(v.string(), v.minLength(1)), createdAt: v.string() });
const KEYS = v.object({ data: v.optional(v.array(KEY), []), page: CURSOR });

const CREDENTIALS_HINT = "an organization's admin makes one at https://app.inngest.com/settings";

const provider: Provider<Options> = {
  name: "inngest",
  kind: "queue",
  title: "Inngest",
  page: "queues.md#inngest",
  capabilities: {
    copy: "empty",
    ownership: "recorded",
    outputs: "rereadable",
    nativeExpiry: false,
    usage: "none",
    pointInTime: false,
    outputsExpire: false,
    parentMayBeAbsent: false,
    name: { maxLength: 63, pattern: /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/ }, // no limit is documented
  },
  credentials: [{ variable: "INNGEST_API_KEY", required: true }],
  // Its keys are personal: where Inngest does not tell them, they are lines of .env.local.
  variables: {
    QUEUE_URL: { isSecret: false, isIdentity: false },
    QUEUE_PREFIX: { isSecret: false, isIdentity: true },
    INNGEST_ENV: { isSecret: false, isIdentity: true },
    INNGEST_EVENT_KEY: { isSecret: true, isIdentity: true, isPersonal: true },
    INNGEST_SIGNING_KEY: { isSecret: true, isIdentity: true, isPersonal: true },
    INNGEST_API_BASE_URL: { isSecret: false, isIdentity: false },
    INNGEST_EVENT_API_BASE_URL: { isSecret: false, isIdentity: false },
  },
  credentialsHint: CREDENTIALS_HINT,
  requestIdHeaders: ["x-request-id", "cf-ray"],
  options,
  permissions: ({ endpoint }) => reaches([endpoint]),
  inspect,
  create,
  delete: remove,
  list: (context, scope) => records.list(context, scope),
  probe,
  outputs,
};
export default provider;

/** Servers and clients of its tests, beside its emulator. */
export const verified: Verified = { clients: ["inngest"] };

const records = recorded<Environment, Options>({
  provider: "inngest",
  label: "Inngest",
  async *all(context, scope) {
    for (const one of await environments(context, scope)) if (!one.isArchived) yield one;
  },
  idOf: ({ id }) => id,
  namesOf: ({ name }) => [name],
  forkOf,
  leavesRenamed: true,
});

async function inspect(context: Context, target: Target<Options>): Promise<Inspection> {
  const all = await environments(context, target);
  const held = all.find(({ id, isArchived }) => id === target.heldId && !isArchived);
  const left = held && held.type !== "PRODUCTION" ? records.renamed(target, held) : undefined;
  if (left !== undefined) return left;
  const found = standing(all, target, target.name);
  if (found === undefined) return { state: "absent" };
  const owner = found.type === "PRODUCTION" ? undefined : await records.ownerOf(context, target.name, found);
  return records.inspection(target, found, owner);
}

/**
 * Creates an environment. The request names its id, which is on record before: after a lost reply it proves that the
 * environment is ours. The API does not tell an environment's contents, so none that is not on record is taken over.
 */
async function create(context: Context, target: Target<Options>): Promise<Fork> {
  const { name } = target;
  const what = `make environment "${name}"`;
  const all = await environments(context, target);
  if (target.parent !== undefined && standing(all, target, target.parent) === undefined) {
    throw missing(target, target.parent);
  }
  let found = standing(all, target, name);
  let problem: ForkstackError | undefined;
  if (found === undefined) {
    context.signal.throwIfAborted();
    const id = crypto.randomUUID();
    await context.record("environment", id);
    // https://api-docs.inngest.com/v2, "Create environment"; how it takes the id, nobody documents
    const answer = await api.send(context, target, "POST", ["envs"], { json: { id, name } });
    if (answer.response.ok) {
      const { data } = await api.read(ONE, answer, target, what);
      await context.record("environment", data.id);
    } else problem = await api.refusal(answer, target, what);
    if (problem !== undefined && problem.code !== "CONFLICT") throw problem;
    const after = await environments(context, target); // the answer may be one that was there
    found = standing(after, target, name) ?? await unarchived(context, target, after, problem);
    if (found === undefined) throw problem ?? missing(target, name);
  }
  if (found.type === "PRODUCTION") throw records.foreign(target, `${what}: ${PRODUCTION}`, problem);
  records.assertWanted(target, await records.ownerOf(context, name, found), what, problem);
  return { ...forkOf(found, target), copy: "empty" };
}

const PRODUCTION = "it is the account's production environment";

/** Unarchives the environment that has the name after a refused create, if the options allow it. */
async function unarchived(
  context: Context,
  target: Target<Options>,
  all: readonly Environment[],
  problem: ForkstackError | undefined,
): Promise<Environment | undefined> {
  const found = all.find((one) => one.isArchived && one.name === target.name);
  if (found === undefined) return undefined;
  if (!target.options.unarchive) {
    throw new ForkstackError("CONFLICT", `Cannot make environment "${target.name}": an archived one has the name`, {
      hint: `Choose another name, or set "unarchive" of the ${target.resource} to true: its functions then run again`,
      details: { ...problem?.details, ...details(target) },
      cause: problem,
    });
  }
  await context.confirm(
    `Take archived environment "${found.name}" of Inngest back into use? Nothing proves that forkstack made it, and its functions run again.`,
  );
  await context.record("environment", found.id);
  return await archive(context, target, found, false);
}

async function remove(context: Context, fork: Fork, scope: Scope<Options>): Promise<"deleted" | "absent"> {
  const isIt = (one: Environment) => one.id === fork.id && !one.isArchived;
  const found = (await environments(context, scope)).find(isIt);
  if (found === undefined) return "absent";
  const why = found.type === "PRODUCTION" ? PRODUCTION : undefined;
  await records.assertOurs(context, scope, fork, found, `archive environment "${fork.name}"`, why);
  context.signal.throwIfAborted();
  await archive(context, scope, found, true);
  return "deleted";
}

async function probe(context: Context, held: Held, scope: Scope<Options>): Promise<void> {
  await currently(context, held, scope);
}

async function outputs(context: Context, held: Held, scope: Scope<Options>): Promise<Record<string, string | Secret>> {
  const { environment, all } = await currently(context, held, scope);
  const { endpoint, eventEndpoint } = scope.options;
  const isCloud = endpoint === CLOUD;
  const url = (eventEndpoint ?? (isCloud ? "https://inn.gs" : endpoint)).replace(/\/$/, "");
  const eventKey = await keyOf(context, scope, "events", environment, all);
  const signingKey = await keyOf(context, scope, "signing", environment, all);
  const keys = { INNGEST_EVENT_KEY: eventKey, INNGEST_SIGNING_KEY: signingKey };
  const lacking = Object.entries(keys).filter(([, key]) => !key).map(([name]) => name);
  if (lacking.length > 0) {
    context.warn(
      `Inngest tells no key of environment "${environment.name}": set ${lacking.join(" and ")} from its dashboard`,
    );
  }
  return present<string | Secret>({
    QUEUE_URL: url,
    QUEUE_PREFIX: environment.name,
    INNGEST_ENV: environment.name,
    ...keys,
    // What the SDK reads: https://www.inngest.com/docs/sdk/environment-variables
    INNGEST_API_BASE_URL: isCloud ? undefined : endpoint.replace(/\/$/, ""),
    INNGEST_EVENT_API_BASE_URL: url === "https://inn.gs" ? undefined : url,
  });
}

// ---- The API ----

const api: Api<Options> = new Api<Options>({
  provider: "inngest",
  label: "Inngest",
  statusPage: "https://status.inngest.com",
  credential: {
    variable: "INNGEST_API_KEY",
    hint: CREDENTIALS_HINT,
  },
  scopes: () => "The key must be one of the whole account, not of one environment",
  base: ({ options: { endpoint } }) => `${endpoint.replace(/\/$/, "")}/v2`,
  codeOf: ({ errors }) => Array.isArray(errors) ? errors[0]?.code : undefined,
  known(status, code, { options: { endpoint } }) {
    if (status === 402) {
      return {
        code: "PLAN_LIMIT",
        state: "the plan does not allow it",
        hint: "Remove unused envs with `forkstack prune`",
      };
    }
    if (code !== "not_implemented") return undefined;
    return { code: "CONFIG_DEV_SERVER", ...devServer(endpoint) };
  },
});

function devServer(endpoint: string) {
  return {
    state: `"${endpoint}" is a dev server, which has one environment`,
    hint: "Start a dev server for each environment, or leave `queue.endpoint` out to use Inngest's cloud",
  };
}

/** Lists all environments of the account, archived ones too: there is no search. */
async function environments(context: Context, scope: Scope<Options>): Promise<Environment[]> {
  // https://api-docs.inngest.com/v2, "List environments"
  const pages = api.pages(
    ENVIRONMENTS,
    scope,
    "list environments",
    (cursor) => api.send(context, scope, "GET", ["envs"], { query: { limit: "250", cursor } }),
    ({ page }) => page?.hasMore ? page.cursor : undefined,
  );
  const all = (await Array.fromAsync(pages)).flatMap(({ data }) => data);
  const { endpoint } = scope.options;
  // It has this one, which is never made or archived; an account has a production environment.
  if (endpoint === CLOUD || all.length !== 1 || all[0]!.name !== "dev" || all[0]!.type !== "TEST") return all;
  const { state, hint } = devServer(endpoint);
  throw new ForkstackError("CONFIG_DEV_SERVER", `Cannot use environments of Inngest: ${state}`, {
    hint,
    details: details(scope),
  });
}

/** Returns the environment of a title; prod's is the production environment. */
function standing(all: readonly Environment[], scope: Scope<Options>, title: string): Environment | undefined {
  const prod = derivedProd("queue", scope);
  const isProd = prod !== undefined && [scope.project, prod].includes(title);
  return all.find(({ name, type, isArchived }) => !isArchived && (isProd ? type === "PRODUCTION" : name === title));
}

async function currently(
  context: Context,
  { id, name }: Held,
  scope: Scope<Options>,
): Promise<{ environment: Environment; all: readonly Environment[] }> {
  const all = await environments(context, scope);
  const environment = all.find((one) => one.id === id && !one.isArchived);
  if (environment === undefined) throw missing(scope, name);
  return { environment, all };
}

async function archive(
  context: Context,
  scope: Scope<Options>,
  { id, name }: Environment,
  isArchived: boolean,
): Promise<Environment> {
  const what = `${isArchived ? "archive" : "unarchive"} environment "${name}"`;
  // https://api-docs.inngest.com/v2, "Update environment"; the same again does no harm
  const answer = await api.send(context, scope, "PATCH", ["envs", id], { json: { isArchived }, mayRepeat: true });
  return (await api.read(ONE, answer, scope, what)).data;
}

/**
 * Returns the oldest key of an environment. Branch environments share theirs, which have another name. If no name
 * matches, the API is documented to return prod's keys, so those of any other environment are never handed out.
 */
async function keyOf(
  context: Context,
  scope: Scope<Options>,
  kind: "events" | "signing",
  { id, name, type }: Environment,
  all: readonly Environment[],
): Promise<Secret | undefined> {
  const namesOf = (one: Pick<Environment, "id" | "name">) => [one.id, one.name.toLowerCase()];
  const others = new Set(["production", ...all.filter((one) => one.id !== id).flatMap(namesOf)]);
  const isOurs = (environment: string) =>
    namesOf({ id, name }).includes(environment) || (type === "BRANCH" && !others.has(environment));
  // https://api-docs.inngest.com/v2, "List account event keys", "List account signing keys"
  const pages = api.pages(
    KEYS,
    scope,
    `read the ${kind} keys of environment "${name}"`,
    (cursor) =>
      api.send(context, scope, "GET", ["keys", kind], {
        query: { limit: "100", cursor },
        headers: { "x-inngest-env": name },
      }),
    ({ page }) => page?.hasMore ? page.cursor : undefined,
  );
  const keys = (await Array.fromAsync(pages)).flatMap(({ data }) => data)
    .filter(({ environment }) => isOurs(environment.toLowerCase()))
    .sort((a, b) => Date.parse(a.createdAt) - Date.parse(b.createdAt));
  return keys[0] && new Secret(keys[0].key);
}

const details = ({ resource }: Scope<Options>) => ({ provider: "inngest", resource });

function missing(scope: Scope<Options>, name: string): ForkstackError {
  return new ForkstackError("NOT_FOUND", `Cannot use environment "${name}": the account has none, or it is archived`, {
    hint: `Make "${name}" in Inngest's dashboard, name another parent with --from, or fork with --empty`,
    details: details(scope),
  });
}

function forkOf({ id, name, createdAt }: Environment, { marker }: Pick<Fork, "marker">): Fork {
  return { id, name, createdAt: new Date(createdAt).toISOString(), marker };
}
