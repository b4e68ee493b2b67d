/** PlanetScale's API as far as a provider needs it: its database, its branches, and the meaning of its answers. */
import * as v from "npm:valibot@1.5.0";
import { vendorError } from "../../core/http/client.ts";
import type { Context, Fork, Held, Marker, Scope, Target } from "../../core/provider.ts";
import type { ForkstackError } from "../../mod.ts";
import { derivedProd } from "../_shared/base_names.ts";
import { Api, type Refusal, type VendorAnswer } from "../_shared/json_api.ts";
import { finalNameOf, firstNameOf } from "../_shared/first_name.ts";
import { isSameHolder } from "../_shared/ownership.ts";
import { recorded, type Records } from "../_shared/recorded.ts";
import type { Access } from "./planetscale_sql.ts";

/** The scope of a resource, with the options that name the database. */
export type PlanetScaleScope = Scope<Readonly<Record<"organization" | "database" | "endpoint", string>>>;

export const [TOKEN_ID, TOKEN] = ["PLANETSCALE_SERVICE_TOKEN_ID", "PLANETSCALE_SERVICE_TOKEN"] as const;

const KIND = v.picklist(["mysql", "postgresql"]);
// https://planetscale.com/docs/api/reference/get_database
const DATABASE = v.object({
  kind: KIND,
  default_branch: v.string(),
  ready: v.boolean(),
  allow_data_branching: v.boolean(),
  at_development_branch_usage_limit: v.boolean(),
  at_backup_restore_branches_limit: v.boolean(),
});
export type Database = v.InferOutput<typeof DATABASE>;
// https://planetscale.com/docs/api/reference/get_branch
export const BRANCH = v.object({
  id: v.string(),
  name: v.string(),
  kind: KIND,
  state: v.string(),
  ready: v.boolean(),
  production: v.boolean(),
  safe_migrations: v.boolean(),
  deletion_protected: v.boolean(),
  parent_branch: v.nullish(v.string()),
  restored_from_branch: v.nullish(v.object({ id: v.string() })),
  created_at: v.string(),
  deleted_at: v.nullish(v.string()),
});
export type Branch = v.InferOutput<typeof BRANCH>;
const PAGE = v.object({ next_page: v.nullish(v.number()), data: v.array(BRANCH) });
// https://planetscale.com/docs/api/reference/list_backups
const BACKUPS = v.object({
  next_page: v.nullish(v.number()),
  data: v.array(v.object({ id: v.string(), state: v.string(), completed_at: v.nullish(v.string()) })),
});
const ORGANIZATIONS = v.object({ next_page: v.nullish(v.number()), data: v.array(v.object({ name: v.string() })) });

export const SAFE_MIGRATIONS: Refusal = {
  code: "CONFLICT_SAFE_MIGRATIONS",
  state: "safe migrations are on, so that its schema cannot be changed directly",
  hint: "Turn them off for this branch in the dashboard, or take the changes of the schema out of the script",
};

export const api: Api<PlanetScaleScope["options"]> = new Api({
  provider: "planetscale",
  label: "PlanetScale",
  statusPage: "https://www.planetscalestatus.com",
  credential: { variable: TOKEN, hint: "`pscale service-token create` makes one, with its id" },
  scopes: ({ options: { database } }) => accessHint(database, NEEDED),
  base: ({ options: { endpoint } }) => `${endpoint.replace(/\/$/, "")}/v1/organizations`,
  authorize: ({ headers }, context) =>
    headers.set("authorization", `${api.token(context, TOKEN_ID)}:${api.token(context)}`),
  known: (_status, code) => code === "schema_mutation_blocked" ? SAFE_MIGRATIONS : undefined,
});

export const NEEDED = "read_branch, create_branch, write_database, delete_branch and connect_branch " +
  "(PostgreSQL: create_branch_password and delete_branch_password)";

function accessHint(database: string, accesses: string): string {
  return `Give it ${accesses}: \`pscale service-token add-access <id> ... --database ${database}\``;
}

/** Returns the path of the database after `base`. */
export function pathOf({ options: { organization, database } }: PlanetScaleScope): string[] {
  return [organization, "databases", database];
}

export interface Seen {
  readonly answer: VendorAnswer;
  readonly database: Database;
}

export async function databaseOf(context: Context, scope: PlanetScaleScope, what: string): Promise<Seen> {
  // https://planetscale.com/docs/api/reference/get_database
  const answer = await api.send(context, scope, "GET", pathOf(scope));
  if (answer.response.status === 404) throw await whoIsMissing(context, scope, answer, what);
  return { answer, database: await api.read(DATABASE, answer, scope, what) };
}

/** Finds a branch by name; the title of `prod` is the default branch. */
export async function find(context: Context, scope: PlanetScaleScope, name: string) {
  const what = `look at branch "${name}"`;
  const isDefault = name === titleOfProd(scope);
  return await lookUpBranch(
    context,
    scope,
    isDefault ? (await databaseOf(context, scope, what)).database.default_branch : name,
  );
}

/**
 * Looks up a branch. A token without access gets 404 too, so a branch counts as absent only if the token can see
 * others.
 */
export async function lookUpBranch(
  context: Context,
  scope: PlanetScaleScope,
  name: string,
): Promise<{ readonly answer: VendorAnswer; readonly branch?: Branch }> {
  const what = `look at branch "${name}"`;
  // https://planetscale.com/docs/api/reference/get_branch
  const answer = await api.send(context, scope, "GET", [...pathOf(scope), "branches", name]);
  if (answer.response.status !== 404) {
    const branch = await api.read(BRANCH, answer, scope, what);
    return branch.deleted_at ? { answer } : { answer, branch };
  }
  await answer.response.text();
  const all = await api.send(context, scope, "GET", [...pathOf(scope), "branches"], { query: { per_page: "1" } });
  if (all.response.status === 404) throw await whoIsMissing(context, scope, all, what);
  await api.read(PAGE, all, scope, what);
  return { answer };
}

/** Returns the branch with this id; throws NOT_FOUND if there is none. */
export async function heldBranch(context: Context, held: Held, scope: PlanetScaleScope): Promise<Branch> {
  const { answer, branch } = await find(context, scope, held.name);
  const found = branch?.id === held.id ? branch : await ofId(context, scope, held.id);
  if (found === undefined) throw await missing(answer, scope, held.name);
  return found;
}

/** Returns the branch with this id, under whatever name it has by now: paths have names alone. */
async function ofId(context: Context, scope: PlanetScaleScope, id: string): Promise<Branch | undefined> {
  for await (const branch of branches(context, scope)) if (branch.id === id) return branch;
  return undefined;
}

/**
 * Returns the last backup of a branch that was complete at an instant. A restore of a point starts from one, as in the
 * vendor's own command line (https://github.com/planetscale/cli/pull/1372).
 */
export async function backupBefore(
  context: Context,
  scope: PlanetScaleScope,
  branch: string,
  at: string,
): Promise<string | undefined> {
  const what = `list the backups of branch "${branch}"`;
  const path = [...pathOf(scope), "branches", branch, "backups"];
  const send = async (page: string | undefined) => {
    const query = { state: "success", to: at, per_page: "100", page };
    const answer = await api.send(context, scope, "GET", path, { query });
    if (/^40[34]$/.test(String(answer.response.status))) throw await denied(answer, scope, what, "read_backups");
    return answer;
  };
  let [newest, time] = [undefined as string | undefined, -Infinity];
  for await (const { data } of api.pages(BACKUPS, scope, what, send, (page) => page.next_page?.toString())) {
    for (const { id, state, completed_at } of data) {
      const completed = Date.parse(completed_at ?? "");
      if (state === "success" && completed <= Date.parse(at) && completed > time) [newest, time] = [id, completed];
    }
  }
  return newest;
}

// ---- Ownership ----

/** Longest name in characters. The limit is not documented; longer ones were not seen in use. */
export const MAX_NAME_LENGTH = 60;

export const records: Records<Branch, PlanetScaleScope["options"]> = recorded<Branch, PlanetScaleScope["options"]>({
  provider: "planetscale",
  label: "PlanetScale",
  all: branches,
  idOf: ({ id }) => id,
  namesOf: ({ name }) => [name, finalNameOf(name)],
  forkOf: planetScaleFork,
});

export function planetScaleFork(
  { id, kind, parent_branch, restored_from_branch, created_at }: Branch,
  { name, marker }: Pick<Fork, "name" | "marker">,
): Fork {
  const bare = kind === "mysql" ? "schema-only" : "empty";
  return {
    id,
    name,
    parentId: parent_branch || undefined,
    marker,
    createdAt: new Date(created_at).toISOString(),
    copy: restored_from_branch ? "full-copy" : bare,
  };
}

/** A branch that is a fork, with its owner. */
export interface Own {
  readonly branch: Branch;
  readonly marker: Marker;
}

/**
 * Returns the branch of the fork among those with its name: it is on record, or it has the first name and an answer may
 * have been lost.
 */
export async function ownOf(
  context: Context,
  target: Target<PlanetScaleScope["options"]>,
  named: Branch | undefined,
): Promise<Own | undefined> {
  const known = await context.recorded(target.name);
  if (known.length === 0 && !target.isResumed) return undefined;
  const markerOf = ({ id }: Branch) => {
    const marker = known.find((one) => one.id === id)?.marker;
    return marker && isSameHolder(marker, target.marker) ? marker : undefined;
  };
  const owner = named && markerOf(named);
  if (owner) return { branch: named!, marker: owner };
  const { branch } = await lookUpBranch(context, target, firstNameOf(target, MAX_NAME_LENGTH));
  const marker = branch && (markerOf(branch) ?? (target.isResumed ? target.marker : undefined));
  if (marker) return { branch: branch!, marker };
  if (target.heldId === undefined && (named !== undefined || branch !== undefined)) return undefined;
  // By a person since, or by another worker between the two looks.
  const renamed = target.heldId === undefined
    ? (await lookUpBranch(context, target, target.name)).branch
    : await ofId(context, target, target.heldId);
  const renamer = renamed && markerOf(renamed);
  return renamer && { branch: renamed!, marker: renamer };
}

/** Returns the branch of a fork's id, under the fork's name, its first one, or one that a person gave it. */
export async function bearing(context: Context, scope: PlanetScaleScope, fork: Fork): ReturnType<typeof lookUpBranch> {
  const seen = await lookUpBranch(context, scope, fork.name);
  if (seen.branch?.id === fork.id) return seen;
  const first = await lookUpBranch(context, scope, firstNameOf(fork, MAX_NAME_LENGTH));
  if (first.branch?.id === fork.id) return first;
  const branch = await ofId(context, scope, fork.id);
  return branch === undefined ? { answer: first.answer } : { answer: first.answer, branch };
}

/** Returns a branch that was just created, under its present name. */
export async function madeOne(
  context: Context,
  target: Target<PlanetScaleScope["options"]>,
  made: Branch,
): Promise<Branch> {
  const seen = await lookUpBranch(context, target, made.name);
  if (seen.branch?.id === made.id) return seen.branch;
  return await heldBranch(context, { id: made.id, name: target.name }, target);
}

/** Renames a branch to its own name, unless another branch has that by now. */
export async function named(
  context: Context,
  target: Target<PlanetScaleScope["options"]>,
  branch: Branch,
): Promise<Branch> {
  const { name } = target;
  if (branch.name === name) return branch;
  const what = `name branch "${name}"`;
  context.signal.throwIfAborted();
  // https://planetscale.com/docs/api/reference/update_branch
  const answer = await api.send(context, target, "PATCH", [...pathOf(target), "branches", branch.name], {
    json: { new_name: name },
  });
  if (answer.response.ok) return await api.read(BRANCH, answer, target, what);
  const problem = await api.refusal(answer, target, what);
  const { branch: there } = await lookUpBranch(context, target, name);
  if (there?.id === branch.id) return there; // another worker was as fast
  if (there !== undefined) throw records.foreign(target, `make branch "${name}": ${records.unknown}`);
  const { status } = answer.response;
  if (status === 403 || status === 404) throw await denied(answer, target, what, "write_database");
  throw problem;
}

// ---- The list, and refusals ----

export async function* branches(context: Context, scope: PlanetScaleScope): AsyncIterable<Branch> {
  const seen = new Set<string>(); // pages move while branches are made and deleted
  // https://planetscale.com/docs/api/reference/list_branches
  const pages = api.pages(
    PAGE,
    scope,
    "list branches",
    async (page = "1") => {
      const path = [...pathOf(scope), "branches"];
      const answer = await api.send(context, scope, "GET", path, { query: { page, per_page: "100", order: "asc" } });
      if (answer.response.status === 404) throw await whoIsMissing(context, scope, answer, "list branches");
      return answer;
    },
    ({ next_page }) => next_page?.toString(),
  );
  for await (const { data } of pages) {
    for (const branch of data) {
      if (!seen.has(branch.id) && !branch.deleted_at) yield branch;
      seen.add(branch.id);
    }
  }
}

/** Finds out what is missing after a 404, which an unknown token gets too. */
async function whoIsMissing(
  context: Context,
  scope: PlanetScaleScope,
  answer: VendorAnswer,
  what: string,
): Promise<ForkstackError> {
  await answer.response.text();
  const { organization, database } = scope.options;
  // https://planetscale.com/docs/api/reference/list_organizations
  const pages = api.pages(ORGANIZATIONS, scope, what, async (page = "1") => {
    const all = await api.send(context, scope, "GET", [], { query: { page, per_page: "100" } });
    if (!/^(401|403|404)$/.test(String(all.response.status))) return all;
    throw await told(all, scope, what, {
      code: "CREDENTIALS_REJECTED",
      state: "PlanetScale does not know the service token",
      hint: `Set ${TOKEN_ID} and ${TOKEN} again: \`pscale service-token create\` makes both`,
    });
  }, ({ next_page }) => next_page?.toString());
  const names = new Set<string>();
  for await (const { data } of pages) for (const { name } of data) names.add(name);
  if (!names.has(organization)) {
    return await told(answer, scope, what, {
      code: "ORGANIZATION_NOT_FOUND",
      state: `the service token is not for organization "${organization}"`,
      hint: "Correct `database.organization` in forkstack.json, or take a token of it",
    });
  }
  const found = await api.send(context, scope, "GET", pathOf(scope));
  await found.response.text();
  if (found.response.ok) return await denied(answer, scope, what, NEEDED);
  return await told(answer, scope, what, {
    code: "DATABASE_NOT_FOUND",
    state: `organization "${organization}" has no database "${database}" that the service token may see`,
    hint: `Correct \`database.database\` in forkstack.json. If it is right: ${accessHint(database, NEEDED)}`,
  });
}

/**
 * Returns the limit of the plan that forbids another branch: https://planetscale.com/docs/api/reference/get_database
 */
export function planetScaleLimit(database: Database, name: string, isRestored: boolean): Refusal | undefined {
  if (isRestored && database.kind === "mysql" && !database.allow_data_branching) {
    return {
      code: "PLAN_LIMIT_DATA",
      state: `Data Branching is off for database "${name}"`,
      hint: "Turn it on in the database's settings, where the plan has it, or set `withData` to false",
    };
  }
  if (!(isRestored ? database.at_backup_restore_branches_limit : database.at_development_branch_usage_limit)) return;
  return {
    code: "PLAN_LIMIT",
    state: `database "${name}" has all the ${isRestored ? "restored" : "development"} branches that its plan allows`,
    hint: "Remove unused envs with `forkstack prune`, or raise the plan",
  };
}

export function denied(
  answer: VendorAnswer,
  scope: PlanetScaleScope,
  what: string,
  accesses: string,
): Promise<ForkstackError> {
  return told(answer, scope, what, {
    code: "CREDENTIALS_DENIED",
    state: `the service token may not do that (${answer.response.status})`,
    hint: accessHint(scope.options.database, accesses),
  });
}

export function missing(answer: VendorAnswer, scope: PlanetScaleScope, title: string): Promise<ForkstackError> {
  const { database } = scope.options;
  const prod = titleOfProd(scope);
  return told(answer, scope, `use branch "${title}"`, {
    code: "NOT_FOUND",
    state: `database "${database}" has none`,
    hint: `Make it with \`pscale branch create ${database} ${title}\`, or name another parent with --from` +
      (prod === undefined ? "" : `; "${prod}" stands for the default branch`),
  });
}

/** Returns the error for a state that an answer shows, with its request's id. */
export async function told(
  { request, response }: VendorAnswer,
  { resource }: PlanetScaleScope,
  what: string,
  { code, state, hint }: Refusal,
): Promise<ForkstackError> {
  if (!response.bodyUsed) await response.text().catch(() => {});
  const message = `Cannot ${what}: ${state}`;
  return vendorError(request, response, {
    provider: "planetscale",
    resource,
    code,
    message,
    hint,
  });
}

/** Returns the title by which `prod` means the default branch; none if `bases` names prod's branch. */
export function titleOfProd(scope: PlanetScaleScope): string | undefined {
  return derivedProd("database", scope);
}

export function engineOf({ kind }: Pick<Branch, "kind">): Access["engine"] {
  return kind === "mysql" ? "vitess" : "postgres";
}
