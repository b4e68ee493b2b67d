/**
 * Neon: PostgreSQL with branches. A fork is a branch of the same project with a compute endpoint of its own; our marker
 * is an annotation on it, and the end of the lease its expiration. The branch of `prod` is the project's default one,
 * whatever it is called; any other environment's bears its title.
 *
 * - API: https://api-docs.neon.tech/reference/getting-started-with-neon-api
 * - Branches: https://neon.com/docs/manage/branches, their expiration: https://neon.com/docs/guides/branch-expiration
 * - Operations: https://neon.com/docs/reference/api/operations
 */
import { present } from "../_shared/fields.ts";
import * as v from "npm:valibot@1.5.0";
import { formatMarker } from "../../core/marker.ts";
import {
  type Context,
  type Fork,
  type Held,
  type Marker,
  type Provider,
  type Question,
  Secret,
  type Verified,
} from "../../core/provider.ts";
import type { Inspection, Scope, Target, Usage } from "../../core/provider.ts";
import { ForkstackError } from "../../mod.ts";
import { endpointOption, reaches } from "../_shared/json_api.ts";
import { foreignError, holder, isOthers, isSameHolder, others } from "../_shared/ownership.ts";
import {
  api,
  BRANCH,
  branches,
  byId,
  databasesOf,
  isProd,
  isReady,
  LOOK,
  named,
  type Noted,
  OPERATION,
  quotedNames,
  settle,
  settleBranch,
  told,
  whatIsMissing,
  whyNotDeleted,
  whyNotMade,
} from "./neon_api.ts";
import {
  answers,
  literal,
  type PostgresLogin,
  postgresLoginOf,
  postgresqlUrl,
  withPostgres,
} from "../_shared/postgres.ts";
import { runPostgresScript } from "../_shared/postgres_script.ts";

const nameOption = (what: string) => v.optional(v.pipe(v.string(), v.minLength(1, `must be the name of a ${what}`)));

const options = v.strictObject({
  /** The project's id, as in the address of the console, e.g. `"late-frost-12345"`. */
  projectId: v.pipe(v.string(), v.regex(/^[a-z0-9-]{1,60}$/, 'must be an id like "late-frost-12345"')),
  /** The database in `DATABASE_URL`. Needed if a branch has several. */
  database: nameOption("database"),
  /** The role in `DATABASE_URL`. @default {the owner of the database} */
  role: nameOption("role"),
  /** Fork the parent's schema without its rows. @default {false} */
  schemaOnly: v.optional(v.boolean(), false),
  /** URL of the API, which gets the key. Without TLS only on this machine. */
  endpoint: endpointOption("https://console.neon.tech"),
});
type Options = v.InferOutput<typeof options>;

const CHANGED = v.object({ operations: v.array(OPERATION) });
const LOGIN = v.object({
  connection_uri: v.string(),
  connection_parameters: v.object({ database: v.string(), role: v.string(), pooler_host: v.string() }),
});
const MADE = v.object({
  branch: BRANCH,
  endpoints: v.array(v.object({ type: v.string(), host: v.string() })),
  operations: v.array(OPERATION),
  connection_uris: v.optional(v.array(LOGIN)), // absent where the parent has several roles or databases
});
const URI = v.object({ uri: v.pipe(v.string(), v.startsWith("postgres")) });

/** Keys of a fork's annotations. */
const MARK = "forkstack";
const PARENT = "forkstack-parent"; // a branch without data is a root: the API forgets what its schema is of

/** https://neon.com/docs/guides/branch-expiration, read in November 2026 */
const LONGEST_LEASE_MS = 30 * 86_400_000;
/** Price per GB of logical size, on paid plans: https://neon.com/docs/introduction/plans, read in November 2026 */
const USD_PER_GB_MONTH = 0.35;
const provider: Provider<Options> = {
  name: "neon",
  kind: "database",
  title: "Neon",
  page: "databases.md#neon",
  capabilities: {
    copy: "copy-on-write",
    ownership: "marked",
    outputs: "rereadable",
    nativeExpiry: true,
    usage: "bytes-and-cost",
    parentMayBeAbsent: false,
    pointInTime: true,
    outputsExpire: false,
    name: { maxLength: 256, pattern: /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/ },
  },
  credentials: [{ variable: "NEON_API_KEY", required: true }],
  variables: {
    DATABASE_URL: { isSecret: true, isIdentity: true },
    DATABASE_URL_UNPOOLED: { isSecret: true, isIdentity: true },
  },
  credentialsHint: api.credentialHint,
  importHint:
    "`forkstack connect database dev < dump.sql` runs a plain dump; https://neon.com/docs/import/import-intro has more ways",
  requestIdHeaders: ["x-neon-ret-request-id"],
  options,
  permissions: ({ endpoint }) => reaches([endpoint], "*.neon.tech"),
  inspect,
  create,
  delete: remove,
  list,
  probe,
  outputs,
  extend,
  usage,
  execute,
};
export default provider;

/** Servers and clients of its tests, beside its emulator. */
export const verified: Verified = { clients: ["@neondatabase/api-client", "neonctl"] };

/** The questions that `init` asks, by option. */
export const questions: Readonly<Record<string, Question>> = {
  projectId: { ask: "Neon: the id of the project, as in the address of the console", example: "late-frost-12345" },
};

async function inspect(context: Context, target: Target<Options>): Promise<Inspection> {
  const bearer = await named(context, target, target.name);
  const found = bearer && markerOf(context, bearer) ? bearer : await renamed(context, target) ?? bearer;
  if (found === undefined) return { state: "absent" };
  const marker = found === bearer ? markerOf(context, found) : noteOf(context, target.name, found);
  if (marker === undefined) {
    const reason = found.default ? "it is the project's default branch" : "it has no annotation of ours";
    return { state: "foreign", id: found.id, reason };
  }
  if (!isSameHolder(marker, target.marker)) return others(found.id, marker);
  return { state: isReady(found) ? "ready" : "pending", fork: { ...forkOf(found, marker), name: target.name } };
}

/** Returns the branch on record, which a person has given another name, if its mark is the fork's. */
async function renamed(context: Context, target: Target<Options>): Promise<Noted | undefined> {
  if (target.heldId === undefined) return undefined;
  const { found } = await byId(context, target, target.heldId, `look at branch "${target.name}"`);
  return found && noteOf(context, target.name, found) ? found : undefined;
}

/** Creates a branch. Names are unique in a project, so the call itself tells whether the name is taken. */
async function create(context: Context, target: Target<Options>): Promise<Fork> {
  const { name, marker, at, options: { schemaOnly } } = target;
  const what = `make branch "${name}"`;
  const isBare = schemaOnly || target.parent === undefined;
  // Without an id the default branch is meant, so that a fork of prod needs no look at it.
  const isDefault = target.parent === undefined || (!isBare && isProd(target, target.parent));
  const parent = isDefault ? undefined : await parentOf(context, target, target.parent!);
  const notes = present({ [MARK]: formatMarker(marker), [PARENT]: isBare ? parent?.id : undefined });
  context.signal.throwIfAborted();
  // https://api-docs.neon.tech/reference/createprojectbranch
  const answer = await api.send(context, target, "POST", ["branches"], {
    json: {
      branch: {
        name,
        parent_id: parent?.id,
        ...pointOf(at),
        init_source: isBare ? "schema-only" : undefined,
        ...expiryOf(context, target.expiresAt),
      },
      endpoints: [{ type: "read_write" }],
      annotation_value: notes,
    },
  });
  if (answer.response.ok) {
    const made = await api.read(MADE, answer, target, what);
    await context.record("branch", made.branch.id);
    await settle(context, target, made.operations, what);
    await accessTo(context, made.branch, target, made);
    return await filled(context, target, forkOf({ ...made.branch, notes }, marker));
  }
  const problem = await api.refusal(answer, target, what);
  const taken = answer.response.status === 409 ? await named(context, target, name) : undefined;
  if (taken === undefined) throw await whyNotMade(context, target, { answer, parent }) ?? problem;
  const reason = isOthers(markerOf(context, taken), marker, "the one that is there has no annotation of ours");
  if (reason !== undefined) throw foreign(target, `${what}: ${reason}`, problem);
  await context.record("branch", taken.id);
  await settleBranch(context, target, taken.id, what);
  return await filled(context, target, forkOf(taken, marker));
}

/** Deletes a branch by its id, after reading its marker again; one that a user protected or made the default stays. */
async function remove(context: Context, fork: Fork, scope: Scope<Options>): Promise<"deleted" | "absent"> {
  const what = `delete branch "${fork.name}"`;
  const { found, answer } = await ours(context, fork, scope, what);
  if (found === undefined) return "absent";
  if (found.default) {
    throw told(answer, scope, {
      code: "CONFLICT_DEFAULT",
      what: `${what}: it is the project's default branch`,
      hint: "Make another one the default in Neon's console, then run the same command again",
    });
  }
  if (found.protected) {
    throw told(answer, scope, {
      code: "CONFLICT_PROTECTED",
      what: `${what}: it is protected`,
      hint: "End its protection in Neon's console, then run the same command again",
    });
  }
  context.signal.throwIfAborted();
  // https://api-docs.neon.tech/reference/deleteprojectbranch; 204: it is gone already
  const sent = await api.send(context, scope, "DELETE", ["branches", fork.id]);
  if (sent.response.status === 204 || sent.response.status === 404) {
    await sent.response.text();
    return "deleted";
  }
  if (!sent.response.ok) throw await whyNotDeleted(context, scope, fork, sent) ?? await api.refusal(sent, scope, what);
  const { operations } = await api.read(CHANGED, sent, scope, what);
  await settle(context, scope, operations, what, { isGone: true });
  return "deleted";
}

async function* list(context: Context, scope: Scope<Options>): AsyncIterable<Fork> {
  for await (const branch of branches(context, scope, {})) {
    const marker = markerOf(context, branch);
    const isOurs = marker?.stack === scope.stack && marker.resource === scope.resource;
    if (isOurs) yield forkOf(branch, marker);
  }
}

async function probe(context: Context, held: Held, scope: Scope<Options>): Promise<void> {
  const { login, purpose } = await doorOf(context, held, scope, "pooled", "use");
  await answers(context, login, purpose);
}

async function outputs(context: Context, held: Held, scope: Scope<Options>): Promise<Record<string, Secret>> {
  const { pooled, direct } = await accessTo(context, held, scope);
  return { DATABASE_URL: pooled, DATABASE_URL_UNPOOLED: direct };
}

async function extend(context: Context, fork: Fork, expiresAt: string, scope: Scope<Options>): Promise<void> {
  const what = `extend branch "${fork.name}"`;
  const { found, answer } = await ours(context, fork, scope, what);
  if (found === undefined) throw told(answer, scope, { code: "NOT_FOUND", what: `${what}: it is gone`, hint: LOOK });
  // https://api-docs.neon.tech/reference/updateprojectbranch; the same end twice does no harm
  const sent = await api.send(context, scope, "PATCH", ["branches", fork.id], {
    json: { branch: { expires_at: null, ...expiryOf(context, expiresAt) } },
    mayRepeat: true,
  });
  const { operations } = await api.read(CHANGED, sent, scope, what);
  await settle(context, scope, operations, what);
}

/** Returns the highest possible cost of its storage: Neon charges a child only for its changes, if that is less. */
async function usage(context: Context, held: Held, scope: Scope<Options>): Promise<Usage> {
  const what = `read usage of branch "${held.name}"`;
  const { found, answer } = await byId(context, scope, held.id, what);
  if (found === undefined) throw told(answer, scope, { code: "NOT_FOUND", what: `${what}: it is gone`, hint: LOOK });
  const sizeBytes = found.logical_size;
  if (sizeBytes === undefined) {
    throw told(answer, scope, {
      code: "NOT_READY",
      what: `${what}: Neon has not measured it yet`,
      hint: "Ask again in some minutes",
    });
  }
  return { sizeBytes, costUsd: sizeBytes / 1e9 * USD_PER_GB_MONTH };
}

/** Runs a script without the pooler, which loses a session's settings between transactions. */
async function execute(context: Context, held: Held, scope: Scope<Options>, sql: string): Promise<void> {
  const { login, purpose } = await doorOf(context, held, scope, "direct", "change");
  await runPostgresScript(context, login, purpose, sql);
}

// ---- What a fork answers at ----

interface Access {
  readonly pooled: Secret;
  readonly direct: Secret;
}

type Made = v.InferOutput<typeof MADE>;

/** Returns the URLs in the answer to a create, if they are the wanted ones. */
function urlsIn({ connection_uris: [given] = [] }: Made, { options: { database, role } }: Scope<Options>) {
  if (given === undefined) return undefined;
  const { connection_uri: uri, connection_parameters: of } = given;
  if ((database ?? of.database) !== of.database || (role ?? of.role) !== of.role) return undefined;
  return { direct: new Secret(postgresqlUrl(uri)), pooled: withHost(uri, of.pooler_host) };
}

/**
 * Returns the URLs of a branch, requested once a run; the run that created it has them from the answer, if complete.
 */
async function accessTo(context: Context, held: Held, scope: Scope<Options>, made?: Made): Promise<Access> {
  return await context.once(`access ${held.id}`, () => {
    const host = made?.endpoints.find(({ type }) => type === "read_write")?.host;
    return (made && urlsIn(made, scope)) ?? ask(context, scope, held, host);
  });
}

/** Requests the URLs; the direct one differs from the pooled one only by its host, if that is known. */
async function ask(context: Context, scope: Scope<Options>, held: Held, host?: string): Promise<Access> {
  const { database, role } = await loginsOf(context, scope, held);
  const one = async (pooled: boolean) => {
    // https://api-docs.neon.tech/reference/getconnectionuri
    const answer = await api.send(context, scope, "GET", ["connection_uri"], {
      query: { branch_id: held.id, database_name: database, role_name: role, pooled: String(pooled) },
    });
    if (answer.response.status === 404) throw await whatIsMissing(context, scope, held, { answer, database, role });
    return postgresqlUrl((await api.read(URI, answer, scope, `connect to branch "${held.name}"`)).uri);
  };
  const pooled = await one(true);
  return { pooled: new Secret(pooled), direct: host ? withHost(pooled, host) : new Secret(await one(false)) };
}

/** Replaces the host in a connection URL. */
function withHost(uri: string, host: string): Secret {
  const url = new URL(postgresqlUrl(uri));
  url.host = host;
  return new Secret(url.href);
}

async function loginsOf(
  context: Context,
  scope: Scope<Options>,
  held: Held,
): Promise<{ readonly database: string; readonly role: string }> {
  const { database, role } = scope.options;
  if (database !== undefined && role !== undefined) return { database, role };
  const { databases, answer } = await databasesOf(context, scope, held);
  const fitting = databases.filter(({ name, owner_name }) =>
    database === undefined ? role === undefined || owner_name === role : name === database
  );
  if (fitting.length === 1) return { database: fitting[0]!.name, role: role ?? fitting[0]!.owner_name };
  if (database !== undefined) throw await whatIsMissing(context, scope, held, { answer, database });
  throw told(answer, scope, {
    code: "CONFIG_INVALID",
    what: `connect to branch "${held.name}": which database is meant is not told`,
    hint: `It has ${quotedNames(databases)}: set \`database.database\` in forkstack.json`,
  });
}

/** Returns the login for a branch. Neon's certificates are public ones: `require` alone would accept any. */
async function doorOf(context: Context, held: Held, scope: Scope<Options>, by: keyof Access, verb: string) {
  const login = postgresLoginOf((await accessTo(context, held, scope))[by].reveal());
  const what = `${verb} branch "${held.name}"`;
  if (login === undefined) {
    throw new ForkstackError("PROVIDER_UNAVAILABLE", `Cannot ${what}: its URL is not valid`, {
      hint: "Run the same command again; if `endpoint` is set in forkstack.json, check that it is Neon's API",
      details: { provider: "neon", resource: scope.resource },
    });
  }
  const checked: PostgresLogin = login.sslmode === "require" ? { ...login, sslmode: "verify-full" } : login;
  return { login: checked, purpose: { provider: "neon", what, source: "the URL that Neon gave" } };
}

/** Empties a fork that was requested without contents: Neon makes none, so the schema of the branch is dropped. */
async function filled(context: Context, target: Target<Options>, fork: Fork): Promise<Fork> {
  if (target.parent !== undefined) return fork;
  const done = `forkstack emptied it: ${target.marker.operation}`;
  const { login, purpose } = await doorOf(context, fork, target, "direct", "empty");
  await withPostgres(context, login, purpose, async (ask) => {
    const [state] = await ask(
      "SELECT obj_description(oid, 'pg_namespace') AS note FROM pg_namespace WHERE nspname = 'public'",
    );
    if (state?.note === done) return; // an earlier attempt did, and somebody may have filled it since
    await context.fence();
    await ask(`DO $$ DECLARE one text; BEGIN
      FOR one IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' LOOP
        EXECUTE format('DROP SCHEMA %I CASCADE', one);
      END LOOP;
      CREATE SCHEMA public; COMMENT ON SCHEMA public IS ${literal(done)};
    END $$`);
  });
  return fork;
}

async function parentOf(context: Context, target: Target<Options>, title: string): Promise<Noted> {
  const found = await named(context, target, title);
  if (found !== undefined) return found;
  const { projectId } = target.options;
  throw new ForkstackError("NOT_FOUND", `Cannot fork branch "${title}": project "${projectId}" has none`, {
    hint: `Make a branch of this very name, or name another parent with --from; prod is the project's default branch`,
    details: { provider: "neon", resource: target.resource },
  });
}

/** Returns the branch of a fork, if it exists; throws if its marker is not the fork's. */
async function ours(context: Context, fork: Fork, scope: Scope<Options>, what: string) {
  const { found, answer } = await byId(context, scope, fork.id, what);
  const isOnRecord = (await context.recorded(fork.name)).some(({ id }) => id === fork.id);
  const marker = found && (isOnRecord ? noteOf(context, fork.name, found) : markerOf(context, found));
  if (found !== undefined && (marker === undefined || !isSameHolder(marker, fork.marker))) {
    throw foreign(scope, `${what}: ${marker === undefined ? "it has no annotation of ours" : holder(marker)}`);
  }
  return { found, answer };
}

function foreign(scope: Scope<Options>, what: string, cause?: unknown): ForkstackError {
  return foreignError({ provider: "neon", resource: scope.resource }, what, cause);
}

/** Returns a point in the parent's history: an instant, or a position in the write-ahead log. */
function pointOf(at: string | undefined): Readonly<Record<string, string>> {
  if (at === undefined) return {};
  return /^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/i.test(at) ? { parent_lsn: at } : { parent_timestamp: at };
}

/** Returns the end of the lease, rounded up to the second; none if later than Neon accepts: `prune` deletes it then. */
function expiryOf(context: Context, expiresAt: string | undefined): { expires_at?: string } {
  if (expiresAt === undefined) return {};
  const end = new Date(Math.ceil(Date.parse(expiresAt) / 1_000) * 1_000);
  if (end.getTime() - context.now().getTime() <= LONGEST_LEASE_MS) {
    return { expires_at: end.toISOString().replace(".000Z", "Z") };
  }
  context.warn("Neon ends branches by itself within 30 days only: this one stays until `forkstack prune`");
  return {};
}

function markerOf(context: Context, branch: Noted): Marker | undefined {
  return noteOf(context, branch.name, branch);
}

/** Returns the marker of a branch as the one of a name: of a fork that was renamed since, its first one. */
function noteOf(context: Context, name: string, { notes }: Noted): Marker | undefined {
  const note = notes[MARK];
  return note === undefined ? undefined : context.markerOf(name, note);
}

function forkOf(branch: Noted, marker: Marker): Fork {
  const { id, name, parent_id, created_at, init_source, notes } = branch;
  const parentId = parent_id ?? notes[PARENT];
  const bare = parentId ? "schema-only" : "empty";
  return {
    id,
    name,
    parentId,
    marker,
    createdAt: new Date(created_at).toISOString(),
    copy: init_source === "schema-only" ? bare : undefined,
  };
}
