/**
 * Supabase's management API as far as the provider needs it: answers, refusals, waits.
 *
 * - https://supabase.com/docs/reference/api/introduction
 * - Its specification: https://github.com/supabase/cli/blob/develop/packages/api/src/generated/openapi.json
 */
import * as v from "npm:valibot@1.5.0";
import { poll } from "../../core/system/poll.ts";
import { vendorError } from "../../core/http/client.ts";
import type { Context, Held, Marker, Scope, Target } from "../../core/provider.ts";
import { type ErrorCode, ForkstackError } from "../../mod.ts";
import { derivedProd } from "../_shared/base_names.ts";
import { Api, endpointOption, type VendorAnswer } from "../_shared/json_api.ts";
import { firstNameOf } from "../_shared/first_name.ts";
import { isSameHolder, recordedOwner } from "../_shared/ownership.ts";

/** The ref of a project or of a branch, which is a project too. */
export const REF = /^[a-z]{20}$/;

/** The options of forkstack.json. */
export const options = v.strictObject({
  /**
   * The ref of the project, as in the address of its dashboard, e.g. `"abcdefghijklmnopqrst"`; not that of a branch.
   */
  projectRef: v.pipe(v.string(), v.regex(REF, 'must be 20 lowercase letters, like "abcdefghijklmnopqrst"')),
  /** Clone the project's data too. Needs its add-on Point in Time Recovery. @default {false} */
  withData: v.optional(v.boolean(), false),
  /**
   * The server of `DATABASE_URL`: `"pooler"`, the shared pooler in session mode, or `"direct"`, the server itself,
   * which without the add-on for IPv4 has only an IPv6 address. @default {"pooler"}
   */
  connection: v.optional(v.picklist(["pooler", "direct"]), "pooler"),
  /** URL of the API, which gets the token. Without TLS only on this machine. */
  endpoint: endpointOption("https://api.supabase.com"),
});
export type Options = v.InferOutput<typeof options>;

/** A branch in the list. */
export const BRANCH = v.object({
  name: v.string(),
  project_ref: v.pipe(v.string(), v.regex(REF)),
  parent_project_ref: v.string(),
  is_default: v.boolean(),
  persistent: v.boolean(),
  with_data: v.boolean(),
  /** The state of the vendor's own work on it; deprecated for action runs, but the only one in a list. */
  status: v.string(),
  /** The state of its server. */
  preview_project_status: v.nullish(v.string()),
  deletion_scheduled_at: v.nullish(v.string()),
  created_at: v.pipe(v.string(), v.check((text) => !Number.isNaN(Date.parse(text)))),
});
export type Branch = v.InferOutput<typeof BRANCH>;
const BRANCHES = v.array(BRANCH); // whole: there is no paging
const DETAIL = v.object({
  status: v.string(),
  db_host: v.string(),
  db_port: v.number(),
  db_user: v.nullish(v.string()), // only for a token that may see it, like the two below
  db_pass: v.nullish(v.string()),
  jwt_secret: v.nullish(v.string()),
});
const PROJECT = v.object({
  ref: v.string(),
  organization_slug: v.string(),
  status: v.string(),
  database: v.object({ host: v.string() }),
});
/** The add-ons of a project. */
export const ADDONS = v.object({
  selected_addons: v.array(v.object({
    type: v.string(),
    variant: v.object({ price: v.object({ interval: v.picklist(["monthly", "hourly"]), amount: v.number() }) }),
  })),
});
const ENTITLEMENTS = v.object({
  entitlements: v.array(v.object({
    feature: v.object({ key: v.string() }),
    hasAccess: v.boolean(),
    config: v.object({ value: v.optional(v.number()), unlimited: v.optional(v.boolean()) }),
  })),
});

const LONGEST_PAUSE_MS = 5_000; // 120 calls a minute are allowed
/**
 * Longest wait until a new branch is visible, in milliseconds: a create may take longer than a client waits (30 s), and
 * lists lag behind by seconds.
 */
export const VISIBLE_MS = 90_000;

/** Calls of the API. Its refusals have a status and prose, but no codes. */
export const api = new Api<Options>({
  provider: "supabase",
  label: "Supabase",
  statusPage: "https://status.supabase.com",
  credential: { variable: "SUPABASE_ACCESS_TOKEN", hint: "https://supabase.com/dashboard/account/tokens makes one" },
  scopes: ({ options: { projectRef } }) =>
    `It needs the rights to branches, API keys and pooler settings of "${projectRef}", which must be a project, not a ` +
    "branch; the plan Free has no branches",
  base: ({ options: { endpoint } }) => `${endpoint.replace(/\/$/, "")}/v1`,
  known(status, _code, { options: { projectRef } }) {
    switch (status) {
      case 404:
        return {
          state: `there is no project "${projectRef}"`,
          hint: "Correct `database.projectRef` in forkstack.json; the token must be of its organization",
        };
      case 402:
        return {
          code: "PLAN_LIMIT",
          state: "the plan does not allow it",
          hint: "Remove unused envs with `forkstack prune`",
        };
    }
  },
});

/** Returns true if a name means the project itself: prod's derived one, whatever the default branch is called, or the ref. */
export function isProject(scope: Scope<Options>, name: string): boolean {
  const prod = derivedProd("database", scope);
  return name === scope.options.projectRef || (prod !== undefined && [scope.project, prod].includes(name));
}

/** Lists the branches; the default branch, which is the project itself, is among them. */
export async function branches(context: Context, scope: Scope<Options>): Promise<Branch[]> {
  const what = `list branches of "${scope.options.projectRef}"`;
  // https://supabase.com/docs/reference/api/v1-list-all-branches
  const answer = await api.send(context, scope, "GET", ["projects", scope.options.projectRef, "branches"]);
  if (answer.response.status === 422) throw branchingOff(answer, scope, what);
  return await api.read(BRANCHES, answer, scope, what);
}

/** Finds a branch by name, other than the project itself. */
export async function find(
  context: Context,
  scope: Scope<Options>,
  isWanted: (branch: Branch) => boolean,
): Promise<Branch | undefined> {
  return (await branches(context, scope)).find((one) => !one.is_default && isWanted(one));
}

/** Finds a branch that may not be in the list yet. */
export async function appearing(
  context: Context,
  scope: Scope<Options>,
  isWanted: (branch: Branch) => boolean,
  maxMs = VISIBLE_MS,
): Promise<Branch | undefined> {
  const late = () => undefined;
  return await poll(
    context,
    { ...pace(context, "list branches", maxMs), late },
    () => find(context, scope, isWanted),
  );
}

// ---- Ownership ----

/** Longest name in characters. The limit is not documented; names of 80 were seen. */
export const MAX_NAME_LENGTH = 80;

/** Returns the name under which a run creates a branch. */
export function firstName(target: Target<Options>): string {
  return firstNameOf(target, MAX_NAME_LENGTH);
}

/** A branch that is a fork, with its owner. */
export interface Own {
  readonly branch: Branch;
  readonly marker: Marker;
}

/** Returns the branch of the fork, if it is on record, or has the first name and an answer may have been lost. */
export async function ownIn(
  context: Context,
  target: Target<Options>,
  all: readonly Branch[],
): Promise<Own | undefined> {
  const first = firstName(target);
  for (const branch of all) {
    const isNamed = branch.name === target.name || branch.name === first;
    if (branch.is_default || !(isNamed || branch.project_ref === target.heldId)) continue;
    const marker = await recordedOwner(context, target.name, branch.project_ref) ??
      (target.isResumed && branch.name === first ? target.marker : undefined);
    if (marker !== undefined && isSameHolder(marker, target.marker)) return { branch, marker };
  }
  return undefined;
}

/** Returns the branch of the fork even if it is not in the list yet, with the last list. */
export async function ownAppearing(
  context: Context,
  target: Target<Options>,
  maxMs: number,
): Promise<{ readonly own?: Own; readonly all: readonly Branch[] }> {
  let all: readonly Branch[] = [];
  const late = () => undefined;
  const own = await poll<Own | undefined>(context, { ...pace(context, "list branches", maxMs), late }, async () => {
    all = await branches(context, target);
    return await ownIn(context, target, all);
  });
  return own === undefined ? { all } : { own, all };
}

/** Returns true if a branch on record exists, although no list has it. */
export async function isUnlisted(context: Context, target: Target<Options>): Promise<boolean> {
  for (const { id } of await context.recorded(target.name)) {
    if (await detailOf(context, target, { id, name: target.name }) !== undefined) return true;
  }
  return false;
}

/** Returns address and password of a branch; `undefined` if it does not exist. */
export async function detailOf(
  context: Context,
  scope: Scope<Options>,
  { id, name }: Held,
): Promise<v.InferOutput<typeof DETAIL> | undefined> {
  if (!REF.test(id)) return undefined;
  // https://supabase.com/docs/reference/api/v1-get-a-branch-config
  const answer = await api.send(context, scope, "GET", ["branches", id]);
  if (answer.response.status !== 404) return await api.read(DETAIL, answer, scope, `look at database "${name}"`);
  await answer.response.text();
  return undefined;
}

/** Returns the project itself. */
export async function projectOf(context: Context, scope: Scope<Options>): Promise<v.InferOutput<typeof PROJECT>> {
  const { projectRef } = scope.options;
  // https://supabase.com/docs/reference/api/v1-get-project
  const answer = await api.send(context, scope, "GET", ["projects", projectRef]);
  return await api.read(PROJECT, answer, scope, `use project "${projectRef}"`);
}

/** Returns the error for a refused branch, judged by what the API says of the project, not by the refusal's prose. */
export async function refusedCreate(
  context: Context,
  target: Target<Options>,
  answer: VendorAnswer,
  what: string,
): Promise<ForkstackError> {
  const refusal = await api.refusal(answer, target, what);
  const { status } = answer.response;
  if (status === 401 || status === 409 || status === 429 || status >= 500) return refusal;
  const { projectRef, withData } = target.options;
  const get = async <T>(schema: v.GenericSchema<unknown, T>, ...path: string[]): Promise<T | undefined> => {
    const asked = await api.send(context, target, "GET", path);
    if (asked.response.ok) return await api.read(schema, asked, target, what);
    await asked.response.text(); // the refusal itself has to do
    return undefined;
  };
  const project = await get(PROJECT, "projects", projectRef);
  if (project === undefined) return refusal;
  if (isPaused(project.status)) {
    const hint = "Resume it in the dashboard, then run the same command again";
    return because(answer, target, "PARENT_PAUSED", { what: `${what}: project "${projectRef}" is paused`, hint });
  }
  if (status === 422) return branchingOff(answer, target, what);
  // https://supabase.com/docs/reference/api/v1-get-organization-entitlements
  const entitled = await get(ENTITLEMENTS, "organizations", project.organization_slug, "entitlements");
  const limit = entitled?.entitlements.find(({ feature }) => feature.key === "branching_limit");
  if (limit?.hasAccess === false) {
    const hint = "Branches need the plan Pro or a greater one";
    return because(answer, target, "PLAN_LIMIT", { what: `${what}: the plan has no branches`, hint });
  }
  const { value, unlimited } = limit?.config ?? {};
  const taken = (await branches(context, target)).filter(({ is_default }) => !is_default).length;
  if (value !== undefined && !unlimited && taken >= value) {
    const hint = "Remove unused envs with `forkstack prune`, or raise the limit in the dashboard";
    const state = `project "${projectRef}" has ${taken} of ${value} branches`;
    return because(answer, target, "PLAN_LIMIT", { what: `${what}: ${state}`, hint });
  }
  // https://supabase.com/docs/reference/api/v1-list-project-addons
  const addons = withData ? await get(ADDONS, "projects", projectRef, "billing", "addons") : undefined;
  if (addons !== undefined && !addons.selected_addons.some(({ type }) => type === "pitr")) {
    const hint = "Add it in the dashboard (Add-ons), or take `withData` out of forkstack.json";
    const state = `data needs Point in Time Recovery, which project "${projectRef}" has not`;
    return because(answer, target, "PLAN_LIMIT", { what: `${what}: ${state}`, hint });
  }
  return refusal;
}

/** The error for a project without branching: turning it on changes the project, so the user does that. */
function branchingOff(answer: VendorAnswer, scope: Scope<Options>, what: string): ForkstackError {
  const hint = `Turn it on at https://supabase.com/dashboard/project/${scope.options.projectRef}/branches`;
  return because(answer, scope, "PARENT_BRANCHING_OFF", { what: `${what}: branching is off`, hint });
}

function because(
  { request, response }: VendorAnswer,
  { resource }: Scope<Options>,
  code: ErrorCode,
  { what, hint }: { readonly what: string; readonly hint: string },
): ForkstackError {
  return vendorError(request, response, { provider: "supabase", resource, code, message: `Cannot ${what}`, hint });
}

/** Returns true for a project that was paused because nobody used it; its data is kept. */
export function isPaused(state: string | null | undefined): boolean {
  return state === "INACTIVE" || state === "PAUSING";
}

/** Returns true for a complete branch, even if it is paused or without its edge functions. */
export function isWhole({ status, preview_project_status: state }: Branch): boolean {
  const isWorkedOn = /^(CREATING_PROJECT|RUNNING_MIGRATIONS|MIGRATIONS_FAILED)$/.test(status);
  return !isWorkedOn && (!state || state === "ACTIVE_HEALTHY" || isPaused(state));
}

/** The error for a problem that no single answer shows. */
export function problemOf(
  { resource }: Scope<Options>,
  code: ErrorCode,
  what: string,
  { hint, cause, retryable = false }: { readonly hint: string; readonly cause?: unknown; readonly retryable?: boolean },
): ForkstackError {
  return new ForkstackError(code, `Cannot ${what}`, {
    hint,
    retryable,
    details: { provider: "supabase", resource },
    cause,
  });
}

/** Returns the deadline and growing pauses of a wait. */
export function pace(context: Context, what: string, deadlineMs: number) {
  return { what, deadlineMs, mostMs: LONGEST_PAUSE_MS, clock: () => context.now().getTime() };
}
