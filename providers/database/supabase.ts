/**
 * Supabase: branches of a project. A branch is a project of its own, with a ref, a database and keys of its own; it
 * replays the project's migrations, or with `withData` is a clone of it. There are no branches of branches.
 *
 * A branch has no field for a note: `git_branch` would have Supabase look for that branch in a connected repository, and
 * `notify_url` is called. All branches have the same parent, so that this proves nothing either. So a branch is made
 * under a name that its operation alone gives, then renamed; it is ours if its ref is on record from Supabase's answer.
 *
 * - Branching: https://supabase.com/docs/guides/deployment/branching
 * - Management API: https://supabase.com/docs/reference/api/introduction
 * - Addresses of a database: https://supabase.com/docs/guides/database/connecting-to-postgres
 */
import { present } from "../_shared/fields.ts";
import * as v from "npm:valibot@1.5.0";
import { type Context, type Fork, type Held, type Provider, type Question, Secret } from "../../core/provider.ts";
import { poll } from "../../core/system/poll.ts";
import type { Inspection, Scope, Target, Usage, Verified } from "../../core/provider.ts";
import { type ForkstackError, isForkstackError } from "../../mod.ts";
import { reaches } from "../_shared/json_api.ts";
import { finalNameOf } from "../_shared/first_name.ts";
import { recorded } from "../_shared/recorded.ts";
import { answers, type PostgresLogin, postgresLoginOf, postgresUrl, type Purpose } from "../_shared/postgres.ts";
import { runPostgresScript } from "../_shared/postgres_script.ts";
import { ADDONS, api, appearing, BRANCH, type Branch, branches, detailOf, find, firstName } from "./supabase_api.ts";
import { isPaused, isProject, isUnlisted, isWhole, MAX_NAME_LENGTH, type Options, options } from "./supabase_api.ts";
import { type Own, ownAppearing, ownIn, pace, problemOf, projectOf, refusedCreate } from "./supabase_api.ts";
import { VISIBLE_MS } from "./supabase_api.ts";

const POOLERS = v.array(v.object({
  database_type: v.string(),
  pool_mode: v.string(),
  connection_string: v.string(), // with a placeholder in the password's place
}));
const KEYS = v.array(v.object({ name: v.string(), type: v.nullish(v.string()), api_key: v.nullish(v.string()) }));
const DISK = v.object({ metrics: v.object({ fs_used_bytes: v.number() }) });

const HOURS_OF_MONTH = 730;
/** US dollars per hour of size Micro (2026-11): https://supabase.com/docs/guides/platform/manage-your-usage/branching */
const MICRO_USD_AN_HOUR = 0.01344;
const SETTLE_MS = 10 * 60_000;
const SETTLE_WITH_DATA_MS = 60 * 60_000; // the whole database is restored
/** Longest wait for a healthy branch's database, often 60 s: https://github.com/supabase/supabase/issues/39604 */
const ANSWERS_MS = 120_000;

const provider: Provider<Options> = {
  name: "supabase",
  kind: "database",
  title: "Supabase",
  page: "databases.md#supabase",
  capabilities: {
    copy: "full-copy", // with `withData`; without it a fork says "schema-only"
    ownership: "recorded",
    outputs: "rereadable",
    nativeExpiry: false,
    usage: "bytes-and-cost",
    pointInTime: false,
    outputsExpire: false,
    parentMayBeAbsent: false,
    // The dashboard takes letters, digits, "-" and "_".
    name: { maxLength: MAX_NAME_LENGTH, pattern: /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/ },
  },
  credentials: [
    { variable: "SUPABASE_ACCESS_TOKEN", required: true },
    { variable: "SUPABASE_DB_PASSWORD", required: false }, // the project's own, for `switch prod`
  ],
  variables: {
    DATABASE_URL: { isSecret: true, isIdentity: true },
    DATABASE_URL_UNPOOLED: { isSecret: true, isIdentity: true },
    SUPABASE_URL: { isSecret: false, isIdentity: true },
    SUPABASE_ANON_KEY: { isSecret: true, isIdentity: true },
    SUPABASE_SERVICE_ROLE_KEY: { isSecret: true, isIdentity: true },
    SUPABASE_PUBLISHABLE_KEY: { isSecret: true, isIdentity: true },
    SUPABASE_SECRET_KEY: { isSecret: true, isIdentity: true },
    SUPABASE_JWT_SECRET: { isSecret: true, isIdentity: true },
  },
  credentialsHint: api.credentialHint,
  importHint:
    "`forkstack connect database dev < dump.sql` runs a plain dump; https://supabase.com/docs/guides/platform/migrating-to-supabase/postgres has more ways",
  requestIdHeaders: ["sb-request-id", "x-request-id", "cf-ray"],
  options,
  permissions: ({ endpoint }) => reaches([endpoint], "*.supabase.co", "*.pooler.supabase.com"),
  inspect,
  create,
  delete: remove,
  list: (context, scope) => records.list(context, scope),
  probe,
  outputs,
  execute,
  usage,
};
export default provider;

/** Servers and clients of its tests, beside its emulator. */
export const verified: Verified = { clients: ["supabase-management-js", "supabase"] };

const records = recorded<Branch, Options>({
  provider: "supabase",
  label: "Supabase",
  async *all(context, scope) {
    for (const branch of await branches(context, scope)) if (!branch.is_default) yield branch;
  },
  idOf: ({ project_ref }) => project_ref,
  namesOf: ({ name }) => [name, finalNameOf(name)],
  forkOf,
});

/** The questions that `init` asks, by option. */
export const questions: Readonly<Record<string, Question>> = {
  projectRef: { ask: "Supabase: the project's ref, as in its dashboard's address", example: "abcdefghijklmnopqrst" },
};

async function inspect(context: Context, target: Target<Options>): Promise<Inspection> {
  if (isProject(target, target.name)) {
    const { ref } = await projectOf(context, target);
    return { state: "foreign", id: ref, reason: "it is the project itself" };
  }
  // What this very operation began a moment ago may not be in the list yet.
  const mayCome = target.isResumed && !BARREN.has(keyOf(target));
  const lateMs = mayCome ? Date.parse(target.begunAt) + VISIBLE_MS - context.now().getTime() : 0;
  const { own, all } = await ownAppearing(context, target, lateMs);
  if (own !== undefined) {
    const { branch, marker } = own;
    const isReady = isWhole(branch) && branch.name !== firstName(target);
    const state = isReady ? "ready" : "pending";
    return records.inspection(target, branch, marker, isLeaving(branch) ? "deleting" : state);
  }
  const found = all.find(({ name, is_default }) => !is_default && name === target.name);
  if (found === undefined) return { state: "absent" };
  return records.inspection(target, found, await records.ownerOf(context, target.name, found));
}

/** First names of this process's creates that made nothing, so that nobody waits for them to appear. */
const BARREN = new Set<string>();

function keyOf({ name, marker: { operation } }: Target<Options>): string {
  return `${operation} ${name}`;
}

/**
 * Creates a branch. Looks first, since unique names are not documented. The call is never repeated, and may take longer
 * than a client waits; after any answer but a success or a plain refusal, the branch's first name is looked up.
 */
async function create(context: Context, target: Target<Options>): Promise<Fork> {
  const { name, options: { projectRef, withData } } = target;
  const what = `make database "${name}"`;
  BARREN.add(keyOf(target));
  await assertParent(context, target);
  const all = await branches(context, target);
  const earlier = await ownIn(context, target, all) ??
    (await isUnlisted(context, target) ? (await ownAppearing(context, target, VISIBLE_MS)).own : undefined);
  if (earlier !== undefined) return await adopt(context, target, earlier);
  assertFree(target, all);
  context.signal.throwIfAborted();
  let made: Branch | undefined;
  let problem: unknown;
  BARREN.delete(keyOf(target));
  try {
    // https://supabase.com/docs/reference/api/v1-create-a-branch
    const answer = await api.send(context, target, "POST", ["projects", projectRef, "branches"], {
      json: { branch_name: firstName(target), is_default: false, persistent: false, with_data: withData },
    });
    if (answer.response.ok) made = await api.read(BRANCH, answer, target, what);
    else problem = await refusedCreate(context, target, answer, what);
  } catch (error) {
    problem = error;
  }
  if (made !== undefined) return await finish(context, target, made);
  const mayBeThere = !isForkstackError(problem) || /^(CONFLICT|PROVIDER_UNAVAILABLE)$/.test(problem.code);
  if (context.signal.aborted) throw problem;
  // This call was sent: what bears its first name is its work, or that of another worker of the same run.
  const { own } = mayBeThere ? await ownAppearing(context, { ...target, isResumed: true }, VISIBLE_MS) : {};
  if (own === undefined) {
    BARREN.add(keyOf(target));
    throw problem;
  }
  return await adopt(context, target, own, problem);
}

/** Continues with a branch of the fork, if it is this operation's. */
async function adopt(
  context: Context,
  target: Target<Options>,
  { branch, marker }: Own,
  cause?: unknown,
): Promise<Fork> {
  records.assertWanted(target, marker, `make database "${target.name}"`, cause);
  return await finish(context, target, branch);
}

async function finish(context: Context, target: Target<Options>, { project_ref }: Branch): Promise<Fork> {
  await context.record("branch", project_ref);
  const settled = await settle(context, target, project_ref);
  return forkOf(await named(context, target, settled), target);
}

/** Refuses a name that another branch has. */
function assertFree(target: Target<Options>, all: readonly Branch[], own?: Branch): void {
  const taken = all.find(({ name, project_ref }) => name === target.name && project_ref !== own?.project_ref);
  if (taken !== undefined) throw records.foreign(target, `make database "${target.name}": ${records.unknown}`);
}

/** Renames a complete branch to its own name, unless another branch has that by now. */
async function named(context: Context, target: Target<Options>, branch: Branch): Promise<Branch> {
  const { name } = target;
  if (branch.name === name) return branch;
  assertFree(target, await branches(context, target), branch);
  context.signal.throwIfAborted();
  // https://supabase.com/docs/reference/api/v1-update-a-branch-config; the same name twice does no harm
  const answer = await api.send(context, target, "PATCH", ["branches", branch.project_ref], {
    json: { branch_name: name },
    mayRepeat: true,
  });
  if (answer.response.ok) await answer.response.text();
  else {
    const problem = await api.refusal(answer, target, `name database "${name}"`);
    const all = await branches(context, target);
    assertFree(target, all, branch); // else somebody was as fast
    if (!all.some((one) => one.project_ref === branch.project_ref && one.name === name)) throw problem;
  }
  return { ...branch, name };
}

/** Deletes a branch by its ref, after the list has shown that it is neither the project nor protected. */
async function remove(context: Context, fork: Fork, scope: Scope<Options>): Promise<"deleted" | "absent"> {
  const what = `delete database "${fork.name}"`;
  const isIt = ({ project_ref }: Branch) => project_ref === fork.id;
  const own = async () => (await branches(context, scope)).find(isIt);
  // A new one may be missing from the list for a while, which makes it no less there.
  const isUnseen = async () => await detailOf(context, scope, fork) !== undefined;
  const found = await own() ?? (await isUnseen() ? await appearing(context, scope, isIt) : undefined);
  if (found === undefined) return "absent";
  if (found.is_default || fork.id === scope.options.projectRef) {
    throw records.foreign(scope, `${what}: it is the project itself`);
  }
  await records.assertOurs(context, scope, fork, found, what);
  if (found.persistent) {
    throw problemOf(scope, "CONFLICT", `${what}: it was made persistent`, {
      hint: `Run \`supabase branches update ${fork.name} --persistent=false\`, then run the same command again`,
    });
  }
  // One that is coming up is refused with 400, until it is whole.
  let refusal: ForkstackError | undefined;
  const late = () => {
    throw refusal;
  };
  const state = await poll<"deleted" | "absent">(context, { ...pace(context, what, SETTLE_MS), late }, async () => {
    // https://supabase.com/docs/reference/api/v1-delete-a-branch; at once, and its keys with it
    const answer = await api.send(context, scope, "DELETE", ["branches", fork.id]);
    const { ok, status } = answer.response;
    if (ok || status === 404) {
      await answer.response.text();
      return ok ? "deleted" : "absent";
    }
    refusal = await api.refusal(answer, scope, what);
    const left = status === 400 ? await own() : undefined;
    if (left === undefined || isWhole(left)) throw refusal;
    return undefined;
  });
  let left: Branch | undefined;
  const stays = () => {
    throw slow(scope, `${what}: it is still ${stateOf(left!)}`);
  };
  await poll<true>(context, { ...pace(context, what, SETTLE_MS), late: stays }, async () => {
    left = await own();
    return left === undefined || left.preview_project_status === "REMOVED" || undefined;
  });
  return state;
}

async function probe(context: Context, held: Held, scope: Scope<Options>): Promise<void> {
  const { status, login } = await accessOf(context, held, scope);
  const purpose = purposeOf(scope, `use database "${held.name}"`);
  if (isPaused(status)) {
    throw problemOf(scope, "NOT_READY", `${purpose.what}: Supabase has paused it, since nobody used it`, {
      hint: "A request to its API wakes it, or the dashboard does; then run the same command again",
    });
  }
  if (status !== "ACTIVE_HEALTHY") throw slow(scope, `${purpose.what}: it is ${status}`);
  await answers(context, login, purpose);
}

async function outputs(context: Context, held: Held, scope: Scope<Options>): Promise<Record<string, string | Secret>> {
  const { login, direct, jwtSecret } = await accessOf(context, held, scope);
  // https://supabase.com/docs/reference/api/v1-get-project-api-keys
  const answer = await api.send(context, scope, "GET", ["projects", held.id, "api-keys"], {
    query: { reveal: "true" },
  });
  const keys = await api.read(KEYS, answer, scope, `read the keys of database "${held.name}"`);
  const key = (type: string, name: string) => keys.find((one) => one.type === type && one.name === name)?.api_key;
  const found = {
    // The vendor's own form: most clients don't know who signed its certificates.
    DATABASE_URL: postgresUrl({ ...login, sslmode: "prefer" }),
    DATABASE_URL_UNPOOLED: postgresUrl({ ...direct, sslmode: "prefer" }),
    SUPABASE_ANON_KEY: key("legacy", "anon"),
    SUPABASE_SERVICE_ROLE_KEY: key("legacy", "service_role"),
    SUPABASE_PUBLISHABLE_KEY: key("publishable", "default"),
    SUPABASE_SECRET_KEY: key("secret", "default"),
    SUPABASE_JWT_SECRET: jwtSecret,
  };
  const given = Object.entries(found).map(([name, value]) => [name, value ? new Secret(value) : undefined] as const);
  // "db.{ref}.supabase.co": its API has the same name without the first label.
  const domain = direct.host.startsWith(`db.${held.id}.`) ? direct.host.slice("db.".length) : undefined;
  return present({ ...Object.fromEntries(given), SUPABASE_URL: domain && `https://${domain}` });
}

/** Runs a script in one transaction, on a session of its own. */
async function execute(context: Context, fork: Fork, scope: Scope<Options>, sql: string): Promise<void> {
  const { login } = await accessOf(context, fork, scope);
  await runPostgresScript(context, login, purposeOf(scope, `change database "${fork.name}"`), sql);
}

/** Returns the disk's size, and the server's list price; without disk and traffic beyond the plan's. */
async function usage(context: Context, held: Held, scope: Scope<Options>): Promise<Usage> {
  const what = `read usage of database "${held.name}"`;
  const get = (...path: string[]) => api.send(context, scope, "GET", ["projects", held.id, ...path]);
  // https://supabase.com/docs/reference/api/v1-get-disk-utilization
  const { metrics } = await api.read(DISK, await get("config", "disk", "util"), scope, what);
  // https://supabase.com/docs/reference/api/v1-list-project-addons
  const { selected_addons } = await api.read(ADDONS, await get("billing", "addons"), scope, what);
  const compute = selected_addons.find(({ type }) => type === "compute_instance")?.variant.price;
  const { interval, amount } = compute ?? { interval: "hourly", amount: MICRO_USD_AN_HOUR };
  const costUsd = interval === "hourly" ? amount * HOURS_OF_MONTH : amount;
  return { sizeBytes: metrics.fs_used_bytes, costUsd: Math.round(costUsd * 100) / 100 };
}

// ---- What a fork answers at ----

interface Access {
  readonly login: PostgresLogin;
  /** The login at the server itself, even if `login` uses the pooler. */
  readonly direct: PostgresLogin;
  readonly status: string;
  readonly jwtSecret?: string | null | undefined;
}

async function accessOf(context: Context, held: Held, scope: Scope<Options>): Promise<Access> {
  const isBase = isProject(scope, held.name);
  const own = isBase ? await accessOfProject(context, held, scope) : await accessOfBranch(context, held, scope);
  if (scope.options.connection === "direct") return own;
  const what = `read the pooler of database "${held.name}"`;
  // https://supabase.com/docs/reference/api/v1-get-pooler-config
  const answer = await api.send(context, scope, "GET", ["projects", held.id, "config", "database", "pooler"]);
  const poolers = await api.read(POOLERS, answer, scope, what);
  const primary = poolers.find(({ database_type }) => database_type === "PRIMARY");
  const shared = primary && postgresLoginOf(primary.connection_string);
  if (shared === undefined) throw api.strange(answer, scope, `${what}: it names no primary database`);
  // The same pooler at another port: 6543 takes transactions, 5432 sessions.
  const port = primary!.pool_mode === "transaction" && shared.port === "6543" ? "5432" : shared.port;
  const { password, sslmode } = own.direct;
  return { ...own, login: { ...shared, port, password, sslmode } };
}

async function accessOfBranch(context: Context, held: Held, scope: Scope<Options>): Promise<Access> {
  const detail = await detailOf(context, scope, held);
  if (detail === undefined) throw missing(scope, held.name);
  const { db_host: host, db_port: port, db_user: user, db_pass: password, jwt_secret: jwtSecret, status } = detail;
  if (!user || !password) {
    throw problemOf(scope, "CREDENTIALS_DENIED", `use database "${held.name}": the token may not see its password`, {
      hint: "Give SUPABASE_ACCESS_TOKEN the rights to write to the project's branches",
    });
  }
  const direct = loginTo(scope, { host, port: String(port), user, password });
  return { login: direct, direct, status, jwtSecret };
}

/** Throws: the API does not tell the password of the project itself. */
async function accessOfProject(context: Context, held: Held, scope: Scope<Options>): Promise<Access> {
  const { status, database: { host } } = await projectOf(context, scope);
  const password = context.credentials.SUPABASE_DB_PASSWORD?.reveal();
  if (password === undefined) {
    throw problemOf(scope, "CREDENTIALS_MISSING", `use database "${held.name}": SUPABASE_DB_PASSWORD is not set`, {
      hint: "Set it to the project's database password, which the API does not tell; the dashboard can set a new one",
    });
  }
  const direct = loginTo(scope, { host, port: "5432", user: "postgres", password });
  return { login: direct, direct, status };
}

/** Returns a login. With an API without TLS, which is an emulator, the database has none either. */
function loginTo(
  { options }: Scope<Options>,
  own: Pick<PostgresLogin, "host" | "port" | "user" | "password">,
): PostgresLogin {
  return { ...own, database: "postgres", sslmode: options.endpoint.startsWith("http:") ? "prefer" : "require" };
}

function purposeOf({ options: { connection } }: Scope<Options>, what: string): Purpose {
  const hint = connection === "direct" ? ' (without IPv6, set `database.connection` to "pooler")' : "";
  return { provider: "supabase", what, source: `what Supabase tells${hint}` };
}

// ---- States ----

/** Waits until a branch is complete and its database answers. */
async function settle(context: Context, target: Target<Options>, ref: string): Promise<Branch> {
  const { name, options: { withData } } = target;
  const what = `make database "${name}"`;
  const isThis = ({ project_ref }: Branch) => project_ref === ref;
  let found = await appearing(context, target, isThis);
  let told: string | undefined;
  const late = () => {
    throw slow(target, `${what}: it is still ${stateOf(found!)}`);
  };
  const deadlineMs = withData ? SETTLE_WITH_DATA_MS : SETTLE_MS;
  const whole = await poll<Branch>(context, { ...pace(context, what, deadlineMs), late }, async () => {
    if (told !== undefined) found = await find(context, target, isThis);
    if (found === undefined || isLeaving(found)) throw slow(target, `${what}: branch "${ref}" is gone`);
    assertNotFailed(target, found);
    if (isWhole(found)) return found;
    if (told !== stateOf(found)) context.progress(`Supabase says ${told = stateOf(found)}`);
    return undefined;
  });
  // Right after its start a server refuses in many ways, right passwords too; what the API refuses is another matter.
  const isPassing = (error: unknown) =>
    isForkstackError(error) && error.details?.status === undefined &&
    !/^(CREDENTIALS|NETWORK)_DENIED$/.test(error.code);
  await poll<true>(context, { ...pace(context, what, ANSWERS_MS), isPassing }, async () => {
    await probe(context, { id: ref, name }, target);
    return true;
  });
  if (whole.status === "FUNCTIONS_FAILED") {
    context.warn(
      `Edge functions of branch "${name}" were not deployed; its database is whole. The dashboard has the log`,
    );
  }
  return whole;
}

function isLeaving({ preview_project_status: state, deletion_scheduled_at }: Branch): boolean {
  return Boolean(deletion_scheduled_at) || state === "GOING_DOWN" || state === "REMOVED";
}

function stateOf({ status, preview_project_status: state }: Branch): string {
  return !state || state === "ACTIVE_HEALTHY" ? status : state;
}

function assertNotFailed(scope: Scope<Options>, branch: Branch): void {
  const { name, project_ref, status, preview_project_status: state } = branch;
  if (status === "MIGRATIONS_FAILED") {
    throw problemOf(scope, "PARENT_MIGRATIONS", `make database "${name}": the project's migrations fail on it`, {
      hint: "What was changed without a migration can't be replayed: compare `supabase migration list` and " +
        "`supabase db diff --linked`, and mend the history; or set `database.withData`",
    });
  }
  if (/^(INIT|RESTORE|PAUSE)_FAILED$/.test(state ?? "")) {
    throw problemOf(scope, "PROVIDER_UNAVAILABLE", `make database "${name}": Supabase could not (${state})`, {
      hint: `Run the same command again; if it stays so, tell Supabase's support of branch "${project_ref}"`,
      retryable: true,
    });
  }
}

// ---- The parent ----

/** Throws unless the parent is the project itself: only that has branches. */
async function assertParent(context: Context, target: Target<Options>): Promise<void> {
  const { name, parent, options: { projectRef } } = target;
  if (parent === undefined) {
    throw problemOf(target, "PARENT_NEEDED", `make database "${name}" empty: a branch has its project's migrations`, {
      hint: "Leave out --empty: without `database.withData` a branch has the tables, but no rows",
    });
  }
  if (isProject(target, parent)) return;
  if (await find(context, target, (one) => one.name === parent) === undefined) throw missing(target, parent);
  throw problemOf(target, "PARENT_IS_BRANCH", `make database "${name}": "${parent}" is itself a branch`, {
    hint: `Supabase makes no branches of branches: fork prod (--from prod), which is project "${projectRef}"`,
  });
}

function missing(scope: Scope<Options>, name: string): ForkstackError {
  const { projectRef } = scope.options;
  return problemOf(scope, "NOT_FOUND", `use database "${name}": project "${projectRef}" has no branch of this name`, {
    hint: "Look at `supabase branches list`, or name another parent with --from; prod is the project itself",
  });
}

function slow(scope: Scope<Options>, what: string): ForkstackError {
  const hint = "Wait, look at the branch in the dashboard, then run the same command again";
  return problemOf(scope, "NOT_READY", what, { hint, retryable: true });
}

function forkOf(
  { project_ref, parent_project_ref, with_data, created_at }: Branch,
  { name, marker }: Pick<Fork, "name" | "marker">,
): Fork {
  return {
    id: project_ref,
    name,
    parentId: parent_project_ref,
    marker,
    createdAt: new Date(created_at).toISOString(),
    copy: with_data ? "full-copy" : "schema-only",
  };
}
