/**
 * PlanetScale: MySQL on Vitess, or PostgreSQL. A fork is a branch of the one database that the options name. The branch
 * bears the resource's title; the title of `prod` stands for the default branch. PlanetScale stores no note on a branch,
 * a password's name comes a call too late to be one, and the default branch is the parent of most. So a branch is made
 * under a name that its operation alone gives, and gets its own once it is ready; it is ours if its id is on record from
 * PlanetScale's own answer.
 *
 * - API: https://planetscale.com/docs/api/reference/create_branch, and so on by the names of its operations
 * - Its specification: https://github.com/planetscale/terraform-provider-planetscale/blob/main/schemas/openapi.yaml
 * - What a token may do: https://planetscale.com/docs/api/reference/service-tokens
 */
import * as v from "npm:valibot@1.5.0";
import {
  type Context,
  type Created,
  type Fork,
  type Held,
  type Inspection,
  type Outputs,
  type Provider,
  type Question,
  type Scope,
  Secret,
  type Target,
  type Verified,
} from "../../core/provider.ts";
import { poll } from "../../core/system/poll.ts";
import { ForkstackError, isForkstackError } from "../../mod.ts";
import { endpointOption, instantOf, outOfReach, reaches, type Refusal, slugOption } from "../_shared/json_api.ts";
import { firstNameOf } from "../_shared/first_name.ts";
import {
  api,
  backupBefore,
  type Branch,
  branches,
  type Database,
  databaseOf,
  engineOf,
  find,
  lookUpBranch,
} from "./planetscale_api.ts";
import {
  denied,
  heldBranch,
  missing,
  pathOf,
  planetScaleLimit,
  SAFE_MIGRATIONS,
  type Seen,
  told,
} from "./planetscale_api.ts";
import { bearing, BRANCH, MAX_NAME_LENGTH, named, titleOfProd, TOKEN, TOKEN_ID } from "./planetscale_api.ts";
import { madeOne, type Own, ownOf, planetScaleFork, records } from "./planetscale_api.ts";
import { type Access, dropTables, loginUrl, pingBranch, runSql, sizeOf } from "./planetscale_sql.ts";

const options = v.strictObject({
  /** The organization's name, as in the address of the dashboard, e.g. `"acme"`. */
  organization: slugOption("acme"),
  /** The database whose branches are the environments, e.g. `"shop"`. */
  database: slugOption("shop"),
  /** The database's engine; another one is refused before a branch is made. @default {as PlanetScale says} */
  engine: v.optional(v.picklist(["vitess", "postgres"])),
  /** Fill a branch from its parent's last backup. Otherwise Vitess copies only the schema, PostgreSQL nothing. */
  withData: v.optional(v.boolean(), false),
  /** URL of the API, which gets the token. Without TLS only on this machine. */
  endpoint: endpointOption("https://api.planetscale.com"),
});
type Options = v.InferOutput<typeof options>;

// Shown in this answer alone: https://planetscale.com/docs/api/reference/create_password and create_role
const FILLED = v.pipe(v.string(), v.minLength(1));
const PASSWORD = v.object({ id: v.string(), username: FILLED, plain_text: FILLED, access_host_url: FILLED });
const READY = v.object({ ready: v.boolean() });
const ROLE = v.object({
  ...READY.entries,
  id: v.string(),
  username: FILLED,
  password: FILLED,
  access_host_url: FILLED,
  database_name: FILLED,
});

/** Longest wait for a branch, in milliseconds: with a large backup; without data it takes a minute or two. */
const SETTLE_MS = 30 * 60_000;
/** Longest time, in milliseconds, that a new password may be unknown at the database. */
const ANSWER_MS = 60_000;
/** Lifetime of a password for a short look, in seconds. */
const GLANCE_SECONDS = 600;

const provider: Provider<Options> = {
  name: "planetscale",
  kind: "database",
  title: "PlanetScale",
  page: "databases.md#planetscale",
  capabilities: {
    copy: "full-copy", // with `withData`; a branch without tells "schema-only" or "empty"
    ownership: "recorded",
    outputs: "minted",
    nativeExpiry: false,
    usage: "bytes",
    pointInTime: true, // PostgreSQL alone: `create` refuses it for Vitess
    outputsExpire: false,
    parentMayBeAbsent: false,
    // What is legal is not documented; this is within what is seen in use.
    name: { maxLength: MAX_NAME_LENGTH, pattern: /^[a-z]([a-z0-9-]*[a-z0-9])?$/ },
  },
  credentials: [{ variable: TOKEN_ID, required: true }, { variable: TOKEN, required: true }],
  variables: { DATABASE_URL: { isSecret: true, isIdentity: true } },
  credentialsHint: api.credentialHint,
  importHint:
    "`pscale database restore-dump <database> <branch> --dir <directory>` restores a dump of `pscale database dump`",
  options,
  permissions: ({ endpoint }) => reaches([endpoint], "*.psdb.cloud"),
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
export const verified: Verified = { clients: ["@distilled.cloud/planetscale"] };

/** The questions that `init` asks, by option. */
export const questions: Readonly<Record<string, Question>> = {
  organization: { ask: "PlanetScale: the organization, as in the address of the dashboard", example: "acme" },
  database: { ask: "PlanetScale: the database whose branches are environments", example: "shop", isProject: true },
};

async function inspect(context: Context, target: Target<Options>): Promise<Inspection> {
  const { branch } = await find(context, target, target.name);
  if (branch !== undefined && target.name === titleOfProd(target)) {
    return { state: "foreign", id: branch.id, reason: "it is the database's default branch" };
  }
  const own = await ownOf(context, target, branch);
  if (own !== undefined) {
    const isReady = own.branch.ready && own.branch.name !== firstNameOf(target, MAX_NAME_LENGTH);
    return records.inspection(target, own.branch, own.marker, isReady ? "ready" : "pending");
  }
  if (branch === undefined) return { state: "absent" };
  return records.inspection(target, branch, await records.ownerOf(context, target.name, branch));
}

/** Creates a branch. Never repeated; after any answer but a success, the branch's first name is looked up. */
async function create(context: Context, target: Target<Options>): Promise<Created> {
  const what = `make branch "${target.name}"`;
  const at = instantOf(target, "PlanetScale");
  const seen = await databaseOf(context, target, what);
  await assertFit(seen, target, what);
  const parent = target.parent === undefined ? undefined : await parentOf(context, target, seen.database);
  const { branch: standing } = await lookUpBranch(context, target, target.name);
  const own = await ownOf(context, target, standing);
  if (own === undefined && standing !== undefined) throw records.foreign(target, `${what}: ${records.unknown}`);
  // What reached the limit may be the very branch that an earlier run made.
  const limit = own === undefined
    ? planetScaleLimit(seen.database, target.options.database, isFilled(target))
    : undefined;
  if (limit) throw await told(seen.answer, target, what, limit);
  const made = own === undefined
    ? await make(context, target, seen.database, parent, at)
    : assertOurs(target, own, seen.database);
  await context.record("branch", made.id);
  const settled = await named(context, target, await settle(context, target, made));
  const access = await mint(context, target, settled);
  (await minted(context)).set(settled.id, access);
  await waitForAnswer(context, access, `query branch "${settled.name}"`);
  const fork = { ...planetScaleFork(settled, target), outputs: outputsFrom(access) };
  if (isFilled(target)) {
    if (settled.restored_from_branch) return { ...fork, copy: "full-copy" };
    context.warn(`PlanetScale does not say that branch "${settled.name}" was restored: it may hold no rows`);
  } else if (access.engine === "postgres" && parent !== undefined) {
    context.warn(`branch "${settled.name}" starts empty: PlanetScale fills one of PostgreSQL with \`withData\` alone`);
  }
  if (parent !== undefined) return fork;
  if (access.engine === "vitess") await dropTables(context, access, `empty branch "${settled.name}"`);
  const { parentId: _, ...empty } = fork;
  return { ...empty, copy: "empty" };
}

/** Deletes a branch, by its name if it still has the fork's id: another branch may have the name by now. */
async function remove(context: Context, fork: Fork, scope: Scope<Options>): Promise<"deleted" | "absent"> {
  const what = `delete branch "${fork.name}"`;
  const { branch, answer: looked } = await bearing(context, scope, fork);
  if (branch === undefined) return "absent";
  await records.assertOurs(context, scope, fork, branch, what);
  const { database } = await databaseOf(context, scope, what);
  const reason = whyKept(branch, database);
  if (reason !== undefined) throw await told(looked, scope, what, reason);
  context.signal.throwIfAborted();
  // https://planetscale.com/docs/api/reference/delete_branch; its passwords and roles end with it
  const answer = await api.send(context, scope, "DELETE", [...pathOf(scope), "branches", branch.name]);
  if (answer.response.ok) {
    await answer.response.text();
    return "deleted";
  }
  const { status } = answer.response;
  if (status === 404 && (await lookUpBranch(context, scope, branch.name)).branch?.id !== fork.id) return "absent";
  if (status === 403 || status === 404) {
    throw await denied(answer, scope, what, branch.production ? "delete_production_branch" : "delete_branch");
  }
  const children = status === 401 || status >= 500 ? [] : await childrenOf(context, scope, branch.name);
  if (children.length === 0) throw await api.refusal(answer, scope, what);
  throw await told(answer, scope, what, {
    code: "CONFLICT_CHILDREN",
    state: `it has branches of its own: ${children.join(", ")}`,
    hint: "Delete the environments that were forked from it first",
  });
}

async function probe(context: Context, held: Held, scope: Scope<Options>): Promise<void> {
  const what = `query branch "${held.name}"`;
  await inside(context, held, scope, "reader", (access) => pingBranch(context, access, what));
}

async function outputs(context: Context, held: Held, scope: Scope<Options>): Promise<Outputs> {
  return outputsFrom(await mint(context, scope, await heldBranch(context, held, scope)));
}

function outputsFrom({ url }: Access): Outputs {
  return { DATABASE_URL: url };
}

async function execute(context: Context, fork: Fork, scope: Scope<Options>, sql: string): Promise<void> {
  const what = `run a script on branch "${fork.name}"`;
  await inside(context, fork, scope, "admin", async (access) => {
    try {
      await runSql(context, access, what, sql);
    } catch (error) {
      if (!isForkstackError(error) || error.retryable) throw error;
      const { branch, answer } = await lookUpBranch(context, scope, fork.name);
      throw branch?.safe_migrations ? await told(answer, scope, what, SAFE_MIGRATIONS) : error;
    }
  });
}

async function usage(context: Context, held: Held, scope: Scope<Options>): Promise<{ sizeBytes: number }> {
  const what = `read usage of branch "${held.name}"`;
  return await inside(context, held, scope, "reader", async (access) => ({
    sizeBytes: await sizeOf(context, access, what),
  }));
}

/** Returns the reason why a branch of ours cannot be deleted; `undefined` if it can. */
function whyKept(branch: Branch, database: Database): Refusal | undefined {
  if (branch.name === database.default_branch) {
    return {
      code: "CONFLICT_DEFAULT",
      state: "it is the database's default branch by now",
      hint: "Make another branch the default one in the database's settings, then run the same command again",
    };
  }
  // One that was restored can be of production from its beginning: nobody promoted it.
  if (branch.production && !branch.restored_from_branch) {
    return {
      code: "CONFLICT_PRODUCTION",
      state: "it was promoted to production",
      hint: "Demote it in the dashboard, then run the same command again",
    };
  }
  if (!branch.deletion_protected) return;
  return { // https://planetscale.com/docs/security/deletion-protection
    code: "CONFLICT_PROTECTED",
    state: "its deletion protection is on",
    hint: "Turn it off on the branch's page in the dashboard, then run the same command again",
  };
}

async function childrenOf(context: Context, scope: Scope<Options>, name: string): Promise<string[]> {
  const all = await Array.fromAsync(branches(context, scope));
  return all.filter(({ parent_branch }) => parent_branch === name).map((one) => one.name);
}

// ---- Making a branch ----

/** Refuses a target that no branch of this database could be. */
async function assertFit({ database, answer }: Seen, target: Target<Options>, what: string): Promise<void> {
  const engine = engineOf(database);
  if (target.options.engine !== undefined && target.options.engine !== engine) {
    throw await told(answer, target, what, {
      code: "CONFIG_INVALID",
      state: `database "${target.options.database}" runs on ${engine}, not on ${target.options.engine}`,
      hint: "Correct `database.engine` in forkstack.json, or leave it out",
    });
  }
  if (target.at !== undefined && engine === "vitess") {
    throw await told(answer, target, what, {
      code: "AT_UNSUPPORTED",
      state: "PlanetScale forks the past only of PostgreSQL",
      hint: "Leave out --at; with `withData` a branch holds what the parent's last backup does",
    });
  }
  if (!database.ready) {
    throw await told(answer, target, what, {
      code: "NOT_READY",
      state: `database "${target.options.database}" is not ready yet`,
      hint: "Wait until the dashboard shows it as ready, then run the same command again",
    });
  }
  if (target.name === titleOfProd(target) || target.name === database.default_branch) {
    throw records.foreign(target, `${what}: it is the database's default branch`);
  }
}

/** Returns true if a branch is to have its parent's rows. */
function isFilled({ parent, at, options: { withData } }: Target<Options>): boolean {
  return parent !== undefined && (withData || at !== undefined);
}

async function parentOf(context: Context, target: Target<Options>, database: Database): Promise<Branch> {
  const name = target.parent === titleOfProd(target) ? database.default_branch : target.parent!;
  const { branch, answer } = await lookUpBranch(context, target, name);
  if (branch === undefined) throw await missing(answer, target, target.parent!);
  if (branch.ready) return branch;
  throw await told(answer, target, `fork branch "${name}"`, {
    code: "PARENT_NOT_READY",
    state: `it is ${branch.state}`,
    hint: "Wait until it is ready, or wake it in the dashboard; then run the same command again",
  });
}

async function make(
  context: Context,
  target: Target<Options>,
  database: Database,
  parent: Branch | undefined,
  at: string | undefined,
): Promise<Branch> {
  const { name, options: { withData } } = target;
  const what = `make branch "${name}"`;
  const first = firstNameOf(target, MAX_NAME_LENGTH);
  const backup = at && parent && await backupBefore(context, target, parent.name, at);
  if (at !== undefined && backup === undefined) {
    throw outOfReach(target, "planetscale", new Error(`branch "${parent?.name}" has no backup of then or before`));
  }
  // The smallest that the vendor's own CLI takes, and its default where one restores a point of PostgreSQL's
  // (https://github.com/planetscale/cli/pull/1369); else PostgreSQL's sizes differ by region, and it has a default.
  const mysqlSize = withData ? "PS_10" : "PS_DEV";
  const postgresSize = at === undefined ? undefined : "PS_10";
  const size = database.kind === "mysql" ? mysqlSize : postgresSize;
  context.signal.throwIfAborted();
  // https://planetscale.com/docs/api/reference/create_branch
  const answer = await api.send(context, target, "POST", [...pathOf(target), "branches"], {
    json: {
      name: first,
      parent_branch: parent?.name,
      backup_id: backup,
      restore_point: at,
      seed_data: at === undefined && withData && parent ? "last_successful_backup" : undefined,
      cluster_size: size,
    },
  });
  if (answer.response.ok) return await api.read(BRANCH, answer, target, what);
  const problem = await api.refusal(answer, target, what);
  const { status } = answer.response;
  if (status === 401) throw problem;
  // How a taken name is answered is not documented, and what was acted on may be answered with a failure. This call was
  // sent: what bears its first name is its work, or that of another worker of the same run, which may have renamed it.
  const { branch: there } = await lookUpBranch(context, target, target.name);
  const own = await ownOf(context, { ...target, isResumed: true }, there);
  if (own !== undefined) return assertOurs(target, own, database, problem);
  if (status === 403 || status === 404) {
    throw await denied(answer, target, what, isFilled(target) ? "create_branch and restore_backup" : "create_branch");
  }
  if (status >= 500 || status === 429) throw problem;
  const { database: now } = await databaseOf(context, target, what);
  const limit = planetScaleLimit(now, target.options.database, isFilled(target));
  if (limit) throw await told(answer, target, what, limit);
  if (at !== undefined && /^(400|422)$/.test(String(status))) throw outOfReach(target, "planetscale", problem);
  throw problem;
}

/** Throws unless an earlier attempt of this operation created the branch. */
function assertOurs(target: Target<Options>, { branch, marker }: Own, database: Database, cause?: unknown): Branch {
  const what = `make branch "${target.name}"`;
  if (branch.name === database.default_branch) {
    throw records.foreign(target, `${what}: it is the default branch by now`, cause);
  }
  records.assertWanted(target, marker, what, cause);
  return branch;
}

/** Waits until a new branch is ready: https://planetscale.com/docs/api/reference/get_branch */
async function settle(context: Context, target: Target<Options>, made: Branch): Promise<Branch> {
  let branch = made;
  const late = () => {
    throw new ForkstackError("NOT_READY", `Cannot use branch "${made.name}": it is still ${branch.state}`, {
      hint: "Run the same command again: it continues waiting",
      retryable: true,
      details: { provider: "planetscale", resource: target.resource },
    });
  };
  const pace = { deadlineMs: SETTLE_MS, firstMs: 1_000, factor: 1.5, mostMs: 10_000, late };
  return await poll<Branch>(context, { what: `use branch "${made.name}"`, ...pace }, async () => {
    if (branch.ready) return branch;
    branch = await madeOne(context, target, branch);
    context.progress(`branch "${made.name}" is ${branch.state}`);
    return branch.ready ? branch : undefined;
  });
}

async function waitForAnswer(context: Context, access: Access, what: string): Promise<void> {
  const isPassing = (error: unknown) => isForkstackError(error) && error.retryable;
  await poll(
    context,
    { what, deadlineMs: ANSWER_MS, isPassing },
    () => pingBranch(context, access, what).then(() => true),
  );
}

// ---- Ways in ----

/** Returns the passwords that this run created for its own branches, so that a look needs no further one. */
function minted(context: Context): Promise<Map<string, Access>> {
  return context.once("minted", () => new Map<string, Access>());
}

/** Creates a password or a role of this branch, which lives as long as the branch: a role owns what it made. */
async function mint(
  context: Context,
  scope: Scope<Options>,
  branch: Branch,
  glance?: "reader" | "admin",
): Promise<Access> {
  const engine = engineOf(branch);
  const [kind, word] = engine === "vitess" ? ["passwords", "password"] : ["roles", "role"];
  const what = `make a ${word} for branch "${branch.name}"`;
  const path = [...pathOf(scope), "branches", branch.name, kind!];
  const isReader = glance === "reader";
  const rights = engine === "vitess"
    ? { role: isReader ? "reader" : "admin" }
    : { inherited_roles: [isReader ? "pg_read_all_data" : "postgres"] };
  const name = `forkstack-${branch.name}-${crypto.randomUUID().slice(0, 8)}`;
  context.signal.throwIfAborted();
  const answer = await api.send(context, scope, "POST", path, {
    json: { name, ...rights, ttl: glance ? GLANCE_SECONDS : undefined },
  });
  const { status } = answer.response;
  if (status === 403 || status === 404) throw await denied(answer, scope, what, accessOf(engine, branch.production));
  if (status === 422) {
    throw await told(answer, scope, what, {
      code: "PLAN_LIMIT_PASSWORDS",
      state: `PlanetScale refused it (422); the branch may have all the ${kind} that it can`,
      hint: `Remove what nobody uses: \`pscale ${word} list ${scope.options.database} ${branch.name}\``,
    });
  }
  const isPlain = scope.options.endpoint.startsWith("http:");
  if (engine === "vitess") {
    const made = await api.read(PASSWORD, answer, scope, what);
    if (!glance) await context.record("password", made.id);
    const { username, plain_text: password, access_host_url: host } = made;
    const url = loginUrl(engine, { host, username, password, database: scope.options.database }, isPlain);
    return { engine, id: made.id, url: new Secret(url) };
  }
  const made = await api.read(ROLE, answer, scope, what);
  if (!glance) await context.record("role", made.id);
  const late = () => true; // whoever uses it waits for an answer
  await poll(context, { what, deadlineMs: ANSWER_MS, firstMs: 1_000, factor: 1, late }, async () => {
    if (made.ready) return true;
    // https://planetscale.com/docs/api/reference/get_role
    const { ready } = await api.read(READY, await api.send(context, scope, "GET", [...path, made.id]), scope, what);
    return ready || undefined;
  });
  const { username, password, access_host_url: host, database_name: database } = made;
  return { engine, id: made.id, url: new Secret(loginUrl(engine, { host, username, password, database }, isPlain)) };
}

/** Works on a branch by a password from `create`, or by a temporary one. */
async function inside<T>(
  context: Context,
  held: Held,
  scope: Scope<Options>,
  role: "reader" | "admin",
  work: (access: Access) => Promise<T>,
): Promise<T> {
  const known = (await minted(context)).get(held.id);
  if (known !== undefined) return await work(known);
  const branch = await heldBranch(context, held, scope);
  const access = await mint(context, scope, branch, role);
  try {
    await waitForAnswer(context, access, `query branch "${held.name}"`);
    return await work(access);
  } finally {
    // https://planetscale.com/docs/api/reference/delete_password and delete_role. If it can't be revoked, it soon ends.
    const kind = access.engine === "vitess" ? "passwords" : "roles";
    const path = [...pathOf(scope), "branches", branch.name, kind, access.id];
    // What a script made is not to go with the role that made it.
    const query: Record<string, string> = kind === "roles" && role === "admin" ? { successor: "postgres" } : {};
    await api.send(context, scope, "DELETE", path, { query }).then(({ response }) => response.text()).catch(() => {});
  }
}

function accessOf(engine: Access["engine"], isProduction: boolean): string {
  const branch = isProduction ? "production_branch" : "branch";
  return engine === "vitess" ? `connect_${branch}` : `create_${branch}_password`;
}
