/**
 * The API of Redis Cloud as far as the provider needs it: options, answers, tasks and their errors, databases.
 *
 * - https://redis.io/docs/latest/operate/rc/api/
 * - Tasks: https://redis.io/docs/latest/operate/rc/api/get-started/process-lifecycle/
 */
import * as v from "npm:valibot@1.5.0";
import { poll } from "../../core/system/poll.ts";
import { vendorError } from "../../core/http/client.ts";
import type { Context, Scope } from "../../core/provider.ts";
import { type ErrorCode, ForkstackError } from "../../mod.ts";
import { Api, endpointOption, type VendorAnswer } from "../_shared/json_api.ts";

/** The options of forkstack.json. */
export const options = v.strictObject({
  /** The number of the subscription with the databases, as in the address of the console, e.g. `154714`. */
  subscription: v.pipe(v.number(), v.integer(), v.minValue(1)),
  /**
   * The sort of the subscription. An Essentials one that is new or upgraded since January 2024 holds one database, so
   * that no fork fits beside its parent. @default {"pro"}
   */
  tier: v.optional(v.picklist(["essentials", "pro"]), "pro"),
  /** Size of new databases in GB, unless the subscription's plan fixes it; absent: the parent's. */
  sizeGb: v.optional(v.pipe(v.number(), v.minValue(0.1))),
  /** URL of the API, which gets the keys. Without TLS only on this machine. */
  endpoint: endpointOption("https://api.redislabs.com"),
});
/** The options, parsed. */
export type Options = v.InferOutput<typeof options>;

/** A database in an answer; lists have no password. */
export const DATABASE = v.object({
  databaseId: v.number(),
  name: v.string(),
  status: v.string(),
  activatedOn: v.optional(v.string()),
  datasetSizeInGb: v.optional(v.number()),
  planMemoryLimit: v.optional(v.number()), // Essentials: the plan fixes the size
  dataEvictionPolicy: v.optional(v.string()),
  memoryUsedInMb: v.optional(v.number()),
  publicEndpoint: v.optional(v.string()), // host:port
  dynamicEndpoints: v.optional(v.object({ public: v.optional(v.string()) })),
  security: v.optional(v.object({ password: v.optional(v.string()), enableTls: v.optional(v.boolean()) })), // lists have no password
});
/** A database, as far as it is read. */
export type Database = v.InferOutput<typeof DATABASE>;
const IN_SUBSCRIPTION = v.object({ databases: v.array(DATABASE) });
/** A page of databases, in one subscription, or for Pro in a list of one. */
const PAGE = v.object({ subscription: v.union([v.array(IN_SUBSCRIPTION), IN_SUBSCRIPTION]) });
const COMPLAINT = v.object({ type: v.string(), description: v.optional(v.string()) });
const TASK = v.object({
  taskId: v.string(),
  status: v.string(),
  commandType: v.optional(v.string()),
  // The specification has the error's type alone; recorded answers have an object.
  response: v.nullish(
    v.object({ resourceId: v.optional(v.number()), error: v.nullish(v.union([v.string(), COMPLAINT])) }),
  ),
});
type Task = v.InferOutput<typeof TASK>;
/** The tasks of the account. */
export const TASK_LIST = v.object({ tasks: v.optional(v.array(TASK), []) });

const PAGE_SIZE = 100;
/** Most answers that a task is unknown, as it is for a moment after its creation. */
const UNKNOWN_TASK_TRIES = 5;

/** The hint on how to get keys of the API. */
export const CREDENTIALS_HINT =
  "Access management > API keys in https://cloud.redis.io makes one; its account key is REDISCLOUD_ACCESS_KEY";

/** Calls of the API: https://redis.io/docs/latest/operate/rc/api/ */
export const api: Api<Options> = new Api({
  provider: "redis-cloud",
  label: "Redis Cloud",
  statusPage: "https://status.redis.io",
  credential: {
    variable: "REDISCLOUD_SECRET_KEY",
    hint: CREDENTIALS_HINT,
  },
  scopes: () => "They must be an owner's, and this machine in the allow list of the key",
  base: ({ options: { endpoint, subscription, tier } }) =>
    `${endpoint.replace(/\/$/, "")}/v1${tier === "pro" ? "" : "/fixed"}/subscriptions/${subscription}`,
  root: ({ options: { endpoint } }) => `${endpoint.replace(/\/$/, "")}/v1`,
  authorize({ headers }, context) {
    headers.set("x-api-key", api.token(context, "REDISCLOUD_ACCESS_KEY"));
    headers.set("x-api-secret-key", api.token(context));
    headers.set("content-type", "application/json"); // without a body too
  },
  known(status, _code, { options: { subscription, tier } }) {
    switch (status) {
      case 404:
        return {
          code: "NOT_FOUND",
          state: `there is no ${tier} subscription ${subscription}, or not that in it`,
          hint: "Correct `cache.subscription` and `cache.tier` in forkstack.json; without `cache.tier` it is Pro",
        };
      case 412:
        return {
          code: "PLAN_LIMIT",
          state: "the account does not have it",
          hint: "Ask Redis to turn it on for the account",
        };
    }
  },
});

/** Returns true for a task that has ended, well or badly. */
export const isOver = ({ status }: Task) => status === "processing-completed" || status === "processing-error";

/** Waits for the task of a change; returns the id of the thing that it created, if any. */
export async function done(
  context: Context,
  scope: Scope<Options>,
  answer: VendorAnswer,
  what: string,
): Promise<number | undefined> {
  const { taskId } = await api.read(TASK, answer, scope, what);
  let unknown = 0;
  return await poll(context, { ...details(scope), what }, async () => {
    const looked = await api.send(context, scope, "GET", ["tasks", taskId], { root: true });
    if (looked.response.status === 404 && unknown++ < UNKNOWN_TASK_TRIES) return void await looked.response.text();
    const task = await api.read(TASK, looked, scope, what);
    if (!isOver(task)) return undefined;
    if (task.status === "processing-completed") return task.response?.resourceId ?? 0;
    throw failure(looked, task, scope, what);
  }) || undefined;
}

/** Meanings of a task's error, by its type: our code, the state, the hint. */
const FAILURES: readonly (readonly [RegExp, ErrorCode, string, string])[] = [
  [
    /MAX_DATABASES_COUNT|LIMIT_EXCEEDED|EXCEEDS_|OVER_LIMIT|ALREADY_HAS_A_FREE_PLAN/,
    "PLAN_LIMIT",
    "the subscription has as many databases as its plan allows",
    'Put the parent into a Pro subscription, and name that as `cache.subscription` with `cache.tier` "pro": an ' +
    "Essentials one holds one database, unless it is older than January 2024. Else remove unused envs with " +
    "`forkstack prune`",
  ],
  [
    /SUPPORTED_ONLY_FOR_PAY_AS_YOU_GO/,
    "CONFIG_INVALID",
    "the plan of the subscription fixes the size of its databases",
    "Take `cache.sizeGb` out of forkstack.json",
  ],
  [
    /DATA_SET_SIZE_IN_GB_IS_MISSING/,
    "CONFIG_INVALID",
    "the subscription has no plan that fixes the size, and there is no parent that has one",
    "Set `cache.sizeGb` in forkstack.json",
  ],
  [/NAME_(EXISTS|DUPLICATE)/, "CONFLICT", "the name is taken", "Choose another environment name"],
  [
    /SUBSCRIPTION_NOT_FOUND/,
    "NOT_FOUND",
    "there is no such subscription",
    "Correct `cache.subscription` and `cache.tier` in forkstack.json",
  ],
  [
    /NOT_ACTIVE/,
    "NOT_READY",
    "the subscription is busy",
    "Wait until it is active in Redis Cloud's console, then run the same command again",
  ],
  [/UNAUTHORIZED/, "CREDENTIALS_DENIED", "the keys may not do that", "Use keys of an owner of the account"],
  [
    /TLS/,
    "CREDENTIALS_TLS",
    "the plan has no TLS, and the parent wants it",
    "Raise the plan of the subscription, or turn TLS off at the parent",
  ],
  [/PAYMENT/, "PLAN_LIMIT_PAYMENT", "the account has no valid means of payment", "Mend it in Redis Cloud's console"],
];

function failure(
  { request, response }: VendorAnswer,
  { taskId, response: answer }: Task,
  scope: Scope<Options>,
  what: string,
): ForkstackError {
  const error = answer?.error;
  const { type, description } = typeof error === "object" && error !== null
    ? error
    : { type: error ?? "GENERAL_ERROR" };
  const [, code, state, hint] = FAILURES.find(([pattern]) => pattern.test(type)) ??
    [, "TASK_FAILED", "Redis Cloud could not do it", "The cause says why; then run the same command again"] as const;
  const known = vendorError(request, response, { ...details(scope), code, message: `Cannot ${what}: ${state}`, hint });
  const said = `${(known.cause as Error).message}, task ${taskId}: ${type}${
    description ? `: ${description.slice(0, 200)}` : ""
  }`;
  return new ForkstackError(code, known.message, {
    hint,
    retryable: code === "NOT_READY",
    details: known.details,
    cause: new Error(said),
  });
}

/** Lists the databases of the subscription. Past the last page some answer 404. */
export async function databases(context: Context, scope: Scope<Options>): Promise<Database[]> {
  const all = new Map<number, Database>();
  for (let offset = 0;; offset += PAGE_SIZE) {
    const query = { offset: String(offset), limit: String(PAGE_SIZE) };
    const answer = await api.send(context, scope, "GET", ["databases"], { query });
    if (offset > 0 && answer.response.status === 404) {
      await answer.response.text();
      return [...all.values()];
    }
    const { subscription } = await api.read(PAGE, answer, scope, "list databases");
    const page = [subscription].flat().flatMap((one) => one.databases);
    const known = all.size;
    for (const one of page) all.set(one.databaseId, one);
    if (page.length < PAGE_SIZE) return [...all.values()];
    if (all.size === known) throw api.strange(answer, scope, "list databases: a page leads back to an earlier one");
  }
}

/** Returns the database of an id; `undefined` if there is none. */
export async function find(context: Context, scope: Scope<Options>, id: string): Promise<Database | undefined> {
  if (!/^\d+$/.test(id)) return undefined;
  const answer = await api.send(context, scope, "GET", ["databases", id]);
  if (answer.response.status === 404) return void await answer.response.text();
  return await api.read(DATABASE, answer, scope, `look at database ${id}`);
}

/** The details of an error about a resource. */
export const details = ({ resource }: Scope<Options>) => ({ provider: "redis-cloud", resource });
