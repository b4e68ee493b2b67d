/**
 * Neon's API as the provider uses it: branches by title and by id, waits for operations, refusals explained.
 *
 * - https://api-docs.neon.tech/reference/getting-started-with-neon-api
 * - Its operations: https://neon.com/docs/reference/api/operations
 */
import * as v from "npm:valibot@1.5.0";
import { poll } from "../../core/system/poll.ts";
import { vendorError } from "../../core/http/client.ts";
import type { Context, Held, Scope, Target } from "../../core/provider.ts";
import type { ErrorCode, ForkstackError } from "../../mod.ts";
import { derivedProd } from "../_shared/base_names.ts";
import { Api, type Refusal, type VendorAnswer } from "../_shared/json_api.ts";

/** The options that the calls need. */
export interface NeonProject {
  readonly projectId: string;
  readonly endpoint: string;
}

export const BRANCH = v.object({
  id: v.string(),
  name: v.string(),
  parent_id: v.optional(v.string()),
  current_state: v.string(),
  init_source: v.optional(v.string()),
  default: v.boolean(),
  protected: v.boolean(),
  logical_size: v.optional(v.number()),
  created_at: v.string(),
  expires_at: v.optional(v.string()),
});
export type Branch = v.InferOutput<typeof BRANCH>;
const ANNOTATION = v.object({ value: v.record(v.string(), v.string()) });
/** A branch with its annotations. */
export type Noted = Branch & { readonly notes: Readonly<Record<string, string>> };
const FOUND = v.object({ branch: BRANCH, annotation: v.optional(ANNOTATION) });
const PAGE = v.object({
  branches: v.array(BRANCH),
  annotations: v.record(v.string(), ANNOTATION),
  pagination: v.optional(v.object({ next: v.optional(v.string()) })),
});
export const OPERATION = v.object({ id: v.string(), action: v.string(), status: v.string() });
export type Operation = v.InferOutput<typeof OPERATION>;
const DATABASES = v.object({ databases: v.array(v.object({ name: v.string(), owner_name: v.string() })) });
const ROLES = v.object({ roles: v.array(v.object({ name: v.string() })) });
const ENDPOINTS = v.object({ endpoints: v.array(v.object({ current_state: v.string() })) });
const HISTORY = v.object({ project: v.object({ history_retention_seconds: v.number() }) });
const POLLED = v.object({ operation: OPERATION });
/** Longest wait for an operation, in milliseconds, as in the vendor's own SDK. */
const SETTLE_MS = 300_000;
/** Longest wait after a failed operation, which Neon may retry: https://neon.com/docs/reference/api/operations */
const FAILED_MS = 30_000;

/** Waits for each operation: https://api-docs.neon.tech/reference/getprojectoperation */
export async function settle(
  context: Context,
  scope: Scope<NeonProject>,
  operations: readonly Operation[],
  what: string,
  { isGone = false } = {},
): Promise<void> {
  for (const { id, action, status } of operations) {
    let state = status;
    let failedAt: number | undefined;
    const isOver = () => /^(finished|skipped)$/.test(state);
    if (isOver()) continue;
    await settled(context, scope, what, async (see, waitedMs) => {
      const answer = await api.send(context, scope, "GET", ["operations", id]);
      if (isGone && answer.response.status === 404) return true; // with the branch, its operations may go
      state = (await api.read(POLLED, answer, scope, what)).operation.status;
      failedAt = state === "failed" ? failedAt ?? waitedMs : undefined;
      const hasFailed = failedAt !== undefined && waitedMs - failedAt > FAILED_MS;
      if (hasFailed || /^(error|cancelled)$/.test(state)) {
        throw told(answer, scope, {
          code: "PROVIDER_UNAVAILABLE",
          what: `${what}: operation ${action} ended as "${state}"`,
          hint: `Run the same command again; see ${STATUS_PAGE}`,
        });
      }
      see(answer, `operation ${action} is "${state}"`);
      return isOver() || undefined;
    });
  }
}

/** Waits for a branch whose operations are unknown, and then for its compute. */
export async function settleBranch(
  context: Context,
  scope: Scope<NeonProject>,
  id: string,
  what: string,
): Promise<void> {
  let isThere = false;
  await settled(context, scope, what, async (see) => {
    if (!isThere) {
      const { found, answer } = await byId(context, scope, id, what);
      if (found === undefined) throw told(answer, scope, { code: "NOT_FOUND", what: `${what}: it went`, hint: LOOK });
      see(answer, `it is "${found.current_state}"`);
      isThere = isReady(found);
      if (!isThere) return undefined;
    }
    // https://api-docs.neon.tech/reference/listprojectbranchendpoints
    const answer = await api.send(context, scope, "GET", ["branches", id, "endpoints"]);
    const { endpoints } = await api.read(ENDPOINTS, answer, scope, what);
    see(answer, "its compute has not started");
    return endpoints.every(({ current_state }) => current_state !== "init") || undefined;
  });
}

/** Looks until a condition is true; the error at the deadline says what was seen last. */
async function settled(
  context: Context,
  scope: Scope<NeonProject>,
  what: string,
  look: (see: (answer: VendorAnswer, state: string) => void, waitedMs: number) => Promise<true | undefined>,
): Promise<void> {
  let last: { readonly answer: VendorAnswer; readonly state: string } | undefined;
  const late = () => {
    throw told(last!.answer, scope, {
      code: "NOT_READY",
      what: `${what}: after ${SETTLE_MS / 1_000} s ${last!.state}`,
      hint: `Run the same command again; see ${STATUS_PAGE}`,
    });
  };
  const pace = { what, deadlineMs: SETTLE_MS, factor: 1.5, mostMs: 2_000, late };
  await poll<true>(context, pace, (waitedMs) => look((answer, state) => void (last = { answer, state }), waitedMs));
}

const STATUS_PAGE = "https://neonstatus.com";
/** The hint if nothing better is known. */
export const LOOK = "Run `forkstack doctor` to see what is there";

/** Meanings of the vendor's codes. */
export const KNOWN: Readonly<Record<string, Refusal>> = {
  BRANCHES_LIMIT_EXCEEDED: {
    code: "PLAN_LIMIT",
    state: "the project has as many branches as its plan allows",
    hint: "Remove unused envs with `forkstack prune`, or raise the plan: https://neon.com/docs/introduction/plans",
  },
  ROOT_BRANCHES_LIMIT_EXCEEDED: {
    code: "PLAN_LIMIT",
    state: "the project has as many root branches as its plan allows, and one without data is a root",
    hint: "Remove unused envs with `forkstack prune`, or set `database.schemaOnly` to false",
  },
};

/** Calls of the API. Statuses and codes: https://neon.com/docs/reference/api/key-concepts; a code is often empty */
export const api = new Api<NeonProject>({
  provider: "neon",
  label: "Neon",
  statusPage: STATUS_PAGE,
  credential: { variable: "NEON_API_KEY", hint: "make one at https://console.neon.tech/app/settings/api-keys" },
  scopes: ({ options: { projectId } }) => `The key must be one that may change branches of project "${projectId}"`,
  base: ({ options: { endpoint, projectId } }) => `${endpoint.replace(/\/$/, "")}/api/v2/projects/${projectId}`,
  known: (status, code, { options: { projectId } }) => {
    if (code !== undefined && code in KNOWN) return KNOWN[code];
    if (status === 404) {
      return {
        code: "PROJECT_NOT_FOUND",
        state: `there is no project "${projectId}" that the key may see`,
        hint: "Correct `database.projectId` in forkstack.json, or set NEON_API_KEY to a key of its owner",
      };
    }
    if (status === 423) {
      return {
        state: "the project is locked by other operations",
        hint: "Neon makes one change of a project at a time: run the same command again in a minute",
      };
    }
    if (status === 412) {
      return {
        code: "CREDENTIALS_NOT_STORED",
        state: "the project stores no passwords, so that none can be read back",
        hint: "Let the project store them, in its settings or by `store_passwords`: then run the same command again",
      };
    }
    if (status !== 402 && status !== 406) return undefined;
    return {
      code: "PLAN_LIMIT",
      state: "the plan does not allow it",
      hint: "See https://neon.com/docs/introduction/plans",
    };
  },
});

/** Yields all branches page by page, in the order of creation, which keeps the pages stable. */
export async function* branches(
  context: Context,
  scope: Scope<NeonProject>,
  query: Readonly<Record<string, string>>,
): AsyncIterable<Noted> {
  // https://api-docs.neon.tech/reference/listprojectbranches
  const pages = api.pages(
    PAGE,
    scope,
    "list branches",
    (cursor) =>
      api.send(context, scope, "GET", ["branches"], {
        query: { ...query, limit: "100", sort_by: "created_at", sort_order: "asc", cursor },
      }),
    ({ branches, pagination }) => branches.length === 0 ? undefined : pagination?.next,
  );
  for await (const page of pages) {
    for (const branch of page.branches) yield { ...branch, notes: page.annotations[branch.id]?.value ?? {} };
  }
}

/** Returns the branch of a title: the default one for prod's, else the one of that name. */
export async function named(context: Context, scope: Scope<NeonProject>, title: string): Promise<Noted | undefined> {
  const isDefault = isProd(scope, title);
  for await (const branch of branches(context, scope, isDefault ? {} : { search: title })) { // it finds parts of names
    if (isDefault ? branch.default : branch.name === title) return branch;
  }
  return undefined;
}

export function isProd(scope: Scope<NeonProject>, title: string): boolean {
  return title === derivedProd("database", scope);
}

/** Returns the branch of an id, if it exists; throws if the project does not. */
export async function byId(
  context: Context,
  scope: Scope<NeonProject>,
  id: string,
  what: string,
): Promise<{ readonly found?: Noted; readonly answer: VendorAnswer }> {
  // https://api-docs.neon.tech/reference/getprojectbranch
  const answer = await api.send(context, scope, "GET", ["branches", id]);
  if (answer.response.status === 404) {
    await assertProject(context, scope, what);
    return { answer };
  }
  const { branch, annotation } = await api.read(FOUND, answer, scope, what);
  return { found: { ...branch, notes: annotation?.value ?? {} }, answer };
}

/** Throws if the project does not exist: a 404 does not say what is missing. */
async function assertProject(context: Context, scope: Scope<NeonProject>, what: string): Promise<void> {
  const answer = await api.send(context, scope, "GET", ["branches"], { query: { limit: "1" } });
  await api.read(PAGE, answer, scope, what);
}

/** Lists the databases of a branch. */
export async function databasesOf(context: Context, scope: Scope<NeonProject>, held: Held) {
  const what = `connect to branch "${held.name}"`;
  // https://api-docs.neon.tech/reference/listprojectbranchdatabases
  const answer = await api.send(context, scope, "GET", ["branches", held.id, "databases"]);
  if (answer.response.status === 404) {
    await assertProject(context, scope, what);
    throw told(answer, scope, { code: "NOT_FOUND", what: `${what}: it is gone`, hint: LOOK });
  }
  return { ...await api.read(DATABASES, answer, scope, what), answer };
}

/** Finds out which part of a connection does not exist: Neon's 404 does not say. */
export async function whatIsMissing(
  context: Context,
  scope: Scope<NeonProject>,
  held: Held,
  { answer, database, role }: { readonly answer: VendorAnswer; readonly database: string; readonly role?: string },
): Promise<ForkstackError> {
  const what = `connect to branch "${held.name}"`;
  const absent = (kind: "database" | "role", name: string, there: readonly { readonly name: string }[]) =>
    told(answer, scope, {
      code: kind === "database" ? "DATABASE_NOT_FOUND" : "ROLE_NOT_FOUND",
      what: `${what}: it has no ${kind} "${name}"`,
      hint: `Correct \`database.${kind}\` in forkstack.json; there is ${quotedNames(there)}`,
    });
  const { databases } = await databasesOf(context, scope, held);
  if (role === undefined || !databases.some(({ name }) => name === database)) {
    return absent("database", database, databases);
  }
  // https://api-docs.neon.tech/reference/listprojectbranchroles
  const { roles } = await api.read(
    ROLES,
    await api.send(context, scope, "GET", ["branches", held.id, "roles"]),
    scope,
    what,
  );
  if (!roles.some(({ name }) => name === role)) return absent("role", role, roles);
  return told(answer, scope, {
    code: "COMPUTE_NOT_FOUND",
    what: `${what}: it has no compute`,
    hint: "Add a read-write compute to it in Neon's console, then run the same command again",
  });
}

/** Finds out why a create was refused, by the state of its parent, if neither status nor code say it. */
export async function whyNotMade(
  context: Context,
  target: Target<NeonProject>,
  { answer, parent }: { readonly answer: VendorAnswer; readonly parent: Branch | undefined },
): Promise<ForkstackError | undefined> {
  const what = `fork branch "${target.parent}"`;
  const { status } = answer.response;
  if (status === 404 && parent !== undefined) {
    return told(answer, target, { code: "NOT_FOUND", what: `${what}: it is gone`, hint: LOOK });
  }
  const code = await api.codeOf(answer);
  if (![400, 409, 422].includes(status) || (code !== undefined && code in KNOWN)) return undefined;
  if (parent?.expires_at !== undefined) {
    return told(answer, target, {
      code: "PARENT_EXPIRES",
      what: `${what}: its lease ends, and such a branch may have no children`,
      hint: "Fork another environment with --from, or one without a lease",
    });
  }
  if (target.at === undefined) return undefined;
  // https://api-docs.neon.tech/reference/getproject
  const looked = await api.send(context, target, "GET", []);
  const { project } = await api.read(HISTORY, looked, target, what);
  const since = new Date(context.now().getTime() - project.history_retention_seconds * 1_000).toISOString();
  return told(answer, target, {
    code: "AT_OUT_OF_REACH",
    what: `${what} as of "${target.at}": Neon has no data from that time`,
    hint: `The project's history goes back to ${since}, a branch's to when it was made: choose a later point`,
  });
}

/** Returns the error for a refused delete: the branches that were forked from it. */
export async function whyNotDeleted(
  context: Context,
  scope: Scope<NeonProject>,
  { id, name }: Held,
  answer: VendorAnswer,
): Promise<ForkstackError | undefined> {
  if (![400, 409, 422].includes(answer.response.status)) return undefined;
  const children: Branch[] = [];
  for await (const branch of branches(context, scope, {})) if (branch.parent_id === id) children.push(branch);
  if (children.length === 0) return undefined;
  return told(answer, scope, {
    code: "CONFLICT_CHILDREN",
    what: `delete branch "${name}": ${quotedNames(children)} were forked from it`,
    hint: "Delete those environments first, then run the same command again",
  });
}

/** The error for an answer of Neon's, with its request id. */
export function told(
  answer: VendorAnswer,
  scope: Scope<NeonProject>,
  { code, what, hint }: { readonly code: ErrorCode; readonly what: string; readonly hint: string },
): ForkstackError {
  return vendorError(answer.request, answer.response, {
    provider: "neon",
    resource: scope.resource,
    code,
    message: `Cannot ${what}`,
    hint,
  });
}

export function isReady({ current_state }: Branch): boolean {
  return current_state === "ready" || current_state === "archived"; // an archived one wakes when it is asked
}

/** Formats names for people; as many as fit in a line. */
export function quotedNames(named: readonly { readonly name: string }[]): string {
  if (named.length === 0) return "none";
  const more = named.length > 5 ? ` and ${named.length - 5} more` : "";
  return named.slice(0, 5).map(({ name }) => `"${name}"`).join(", ") + more;
}
