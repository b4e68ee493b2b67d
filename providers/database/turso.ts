/**
 * Turso: libSQL databases over HTTP. A fork is a new database of the same organization, seeded from its parent. Turso
 * stores no note of ours: a database is ours if its `DbId` is on record from Turso's own answer, and after a lost reply
 * if Turso says that it was forked from the parent that this run named.
 *
 * - Platform API: https://docs.turso.tech/api-reference/introduction
 * - Its specification: https://github.com/tursodatabase/turso-docs/blob/main/api-reference/openapi.json
 * - What a token may do: https://docs.turso.tech/api-reference/authentication
 */
import type { Client } from "npm:@libsql/client@0.18.0/web";
import { poll } from "../../core/system/poll.ts";
import { repeatable } from "../../core/system/repeat.ts";
import { loadPackage } from "../../core/system/lazy.ts";
import {
  type Context,
  type Created,
  type Fork,
  type Held,
  type Inspection,
  type Lease,
  type Outputs,
  type Provider,
  type Question,
  type Scope,
  Secret,
  type Target,
  type Verified,
} from "../../core/provider.ts";
import { ForkstackError, isForkstackError } from "../../mod.ts";
import { instantOf, outOfReach, reaches, type VendorAnswer } from "../_shared/json_api.ts";
import { recorded, type RecordedThing } from "../_shared/recorded.ts";
import {
  api,
  CREDENTIALS_HINT,
  type Database,
  databaseOf,
  find,
  groupMissing,
  isNotFound,
  MADE,
  missing,
  type Options,
  options,
  PAGE,
  timeOf,
  TOKEN,
  USAGE,
} from "./turso_api.ts";

/** Longest label of a host name: name and organization share the first one, with a dash between (RFC 1035). */
const LABEL_LENGTH = 63;
/** Longest wait for a new database, in milliseconds, whose endpoint answers 404 for seconds: see docs/databases.md */
const SETTLE_MS = 90_000;

/**
 * Longest time, in milliseconds, of attempts at a transaction that the server refuses; it has waited for its lock
 * itself.
 */
const REFUSED_MS = 10_000;

const provider: Provider<Options> = {
  name: "turso",
  kind: "database",
  title: "Turso",
  page: "databases.md#turso",
  capabilities: {
    copy: "full-copy", // how it is copied, the vendor does not say
    ownership: "recorded",
    outputs: "minted",
    nativeExpiry: false,
    usage: "bytes",
    pointInTime: true,
    outputsExpire: true,
    parentMayBeAbsent: false,
    name: { maxLength: LABEL_LENGTH - 2, pattern: /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/ },
  },
  credentials: [{ variable: "TURSO_API_TOKEN", required: true }],
  variables: {
    DATABASE_URL: { isSecret: false, isIdentity: true },
    DATABASE_AUTH_TOKEN: { isSecret: true, isIdentity: true },
  },
  credentialsHint: CREDENTIALS_HINT,
  importHint:
    "`turso db create <name> --from-file ./dev.db` makes a database of a SQLite file; `bases` of forkstack.json names it",
  requestIdHeaders: ["x-request-id", "fly-request-id"],
  options,
  permissions: ({ endpoint }) => reaches([endpoint], "*.turso.io"),
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
export const verified: Verified = { clients: ["@tursodatabase/api", "@libsql/client"] };

const records = recorded<Database, Options>({
  provider: "turso",
  label: "Turso",
  all: databases,
  idOf: ({ DbId }) => DbId,
  namesOf: ({ Name }) => [Name],
  forkOf,
});

/** The questions that `init` asks, by option. */
export const questions: Readonly<Record<string, Question>> = {
  organization: { ask: "Turso: the organization or user, as in the address of the dashboard", example: "acme" },
};

async function inspect(context: Context, target: Target<Options>): Promise<Inspection> {
  const found = await find(context, target, target.name);
  if (found === undefined) return { state: "absent" };
  const owner = await records.ownerOf(context, found.Name, found) ??
    (await isProven(context, target, found) ? target.marker : undefined);
  return records.inspection(target, found, owner);
}

/** Returns true if after a lost reply Turso itself says that a database is a fork of the parent that this run named. */
async function isProven(
  context: Context,
  target: Target<Options>,
  { parent: source }: Database,
  parent?: Database,
): Promise<boolean> {
  if (!target.isResumed || target.parent === undefined || !source) return false;
  return (parent ?? await find(context, target, target.parent))?.DbId === source.id;
}

/**
 * Creates a database. Names are unique, so the call itself tells whether the name is taken. It is never repeated; after
 * any answer but a success the name is looked up. If it is taken, the database may be an earlier attempt's, which must
 * be proven.
 */
async function create(context: Context, target: Target<Options>): Promise<Created> {
  const { name, marker, options: { organization, group } } = target;
  const most = LABEL_LENGTH - 1 - organization.length;
  if (name.length > most) {
    throw new ForkstackError("NAME_INVALID", `Cannot make database "${name}": it has ${name.length} characters`, {
      hint: `In organization "${organization}" Turso takes at most ${most}; choose a shorter environment name`,
      details: { provider: "turso", resource: target.resource, env: marker.env },
    });
  }
  const timestamp = instantOf(target, "turso");
  const parent = target.parent === undefined ? undefined : await parentOf(context, target, target.parent);
  if (parent !== undefined) assertInGroup(target, parent);
  const earlier = target.isResumed ? await find(context, target, name) : undefined;
  if (earlier !== undefined) return await adopted(context, target, earlier, parent);
  context.signal.throwIfAborted();
  const wantedGroup = group ?? parent?.group ?? "default";
  // https://docs.turso.tech/api-reference/databases/create
  const answer = await api.send(context, target, "POST", ["databases"], {
    json: {
      name,
      group: wantedGroup,
      seed: parent && { type: "database", name: parent.Name, timestamp },
    },
  });
  if (answer.response.ok) {
    const { database } = await api.read(MADE, answer, target, `make database "${name}"`);
    await context.record("database", database.DbId);
    const lineage = parent && { id: parent.DbId };
    return await settled(context, target, { ...database, parent: lineage });
  }
  const problem = await api.refusal(answer, target, `make database "${name}"`);
  if (problem.code === "CREDENTIALS_REJECTED" || answer.response.status >= 500) throw problem;
  // Taken is 400, 409 or 422, with no code: whoever is there is asked for, instead of reading the vendor's prose.
  if ([400, 409, 422].includes(answer.response.status)) await context.refused(name);
  const taken = await find(context, target, name);
  if (taken === undefined) {
    const missing = await groupMissing(context, target, wantedGroup);
    throw missing ?? (timestamp && answer.response.status === 400 ? outOfReach(target, "turso", problem) : problem);
  }
  return await adopted(context, target, taken, parent, problem);
}

/** Throws if the parent is in another group: https://github.com/tursodatabase/turso-cli/pull/626 */
function assertInGroup({ name, resource, options: { group } }: Target<Options>, parent: Database): void {
  if (group === undefined || group === parent.group) return;
  const state =
    `its parent "${parent.Name}" is in group "${parent.group}", not in "${group}", and Turso forks within a ` +
    "group alone";
  throw new ForkstackError("CONFIG_INVALID", `Cannot make database "${name}": ${state}`, {
    hint: "Take `database.group` out of forkstack.json, or name a parent of that group with --from",
    details: { provider: "turso", resource },
  });
}

/** Returns the fork of an existing database, if it is this run's own work; throws otherwise. */
async function adopted(
  context: Context,
  target: Target<Options>,
  found: Database,
  parent: Database | undefined,
  answer?: ForkstackError,
): Promise<Created> {
  const { name, marker } = target;
  const owner = await records.ownerOf(context, name, found) ??
    (await isProven(context, target, found, parent) ? marker : undefined);
  // An empty one was asked for, an answer was lost, and the place had been seen absent before.
  const isSpare = owner === undefined && answer === undefined && target.isResumed && parent === undefined &&
    !found.parent && await context.takeOver(name, found.DbId, () => isEmpty(context, target, found));
  if (!isSpare) {
    records.assertWanted(target, owner, `make database "${name}"`, answer);
    await context.record("database", found.DbId);
  }
  return await settled(context, target, found);
}

async function isEmpty(context: Context, scope: Scope<Options>, { Name, Hostname }: Database): Promise<boolean> {
  const token = await mint(context, scope, Name, { authorization: "read-only", expiration: "10m" });
  let count = -1;
  await asked(context, scope, Name, { url: libsqlUrl(scope, Hostname), token }, async (client) => {
    const { rows } = await client.execute("SELECT count(*) AS n FROM sqlite_schema");
    count = Number(rows[0]?.n);
  }, { mayRepeat: true });
  return count === 0;
}

/** Deletes a database by its name, if it still has the fork's id: another database may have the name by now. */
async function remove(context: Context, fork: Fork, scope: Scope<Options>): Promise<"deleted" | "absent"> {
  const found = await find(context, scope, fork.name);
  if (found?.DbId !== fork.id) return "absent";
  await records.assertOurs(context, scope, fork, found, `delete database "${fork.name}"`);
  if (found.delete_protection) {
    throw new ForkstackError("CONFLICT", `Cannot delete database "${fork.name}": its delete protection is on`, {
      hint: `Turn it off with \`turso db config delete-protection disable ${fork.name}\`, then run the same again`,
      details: { provider: "turso", resource: scope.resource },
    });
  }
  context.signal.throwIfAborted();
  // https://docs.turso.tech/api-reference/databases/delete; its tokens end with it
  const answer = await api.send(context, scope, "DELETE", ["databases", fork.name]);
  if (answer.response.ok) {
    await answer.response.text();
    return "deleted";
  }
  if (await isNotFound(answer)) return "absent";
  throw await api.refusal(answer, scope, `delete database "${fork.name}"`);
}

/** Yields every database of the organization: forks are in the groups of their parents. */
async function* databases(context: Context, scope: Scope<Options>): AsyncIterable<Database> {
  // https://docs.turso.tech/api-reference/databases/list
  const pages = api.pages(
    PAGE,
    scope,
    "list databases",
    (cursor) => api.send(context, scope, "GET", ["databases"], { query: cursor === undefined ? {} : { cursor } }),
    ({ pagination }) => pagination?.next,
  );
  for await (const page of pages) yield* page.databases;
}

async function probe(context: Context, held: Held, scope: Scope<Options>): Promise<void> {
  // In the run that made it by the application's own token, which has been made already.
  const way = await context.once(wayTo(held.id), async () => {
    const { Hostname } = await databaseOf(context, held, scope);
    const token = await mint(context, scope, held.name, { authorization: "read-only", expiration: "10m" });
    return { url: libsqlUrl(scope, Hostname), token };
  });
  await ask(context, scope, held.name, way);
}

async function outputs(context: Context, held: Held, scope: Scope<Options> & Lease): Promise<Outputs> {
  return outputsFrom(await access(context, await databaseOf(context, held, scope), scope));
}

/** Runs a script in one transaction: a stream that ends before its `COMMIT` changes nothing. */
async function execute(context: Context, fork: Fork, scope: Scope<Options>, sql: string): Promise<void> {
  const { Hostname } = await databaseOf(context, fork, scope);
  const token = await mint(context, scope, fork.name, { authorization: "full-access", expiration: "1h" });
  const script = (client: Client) => client.executeMultiple(`BEGIN;\n${sql}\n;COMMIT;`);
  const way = { url: libsqlUrl(scope, Hostname), token };
  // What the server refused to begin, or to commit, left nothing.
  const isPassing = (error: unknown) => isForkstackError(error) && error.code === "NOT_READY" && isAnswer(error.cause);
  const what = `run a script on database "${fork.name}"`;
  await poll(context, { what, deadlineMs: REFUSED_MS, firstMs: 100, mostMs: 2_000, isPassing }, async () => {
    await asked(context, scope, fork.name, way, script);
    return true;
  });
}

async function usage(context: Context, held: Held, scope: Scope<Options>): Promise<{ sizeBytes: number }> {
  const what = `read usage of database "${held.name}"`;
  // https://docs.turso.tech/api-reference/databases/usage
  const answer = await api.send(context, scope, "GET", ["databases", held.name, "usage"]);
  const { database } = await api.read(USAGE, answer, scope, what);
  if (database.uuid !== held.id) throw missing(scope, held.name);
  const bytes = database.usage ?? database.total;
  if (bytes === undefined) throw api.strange(answer, scope, `${what}: the answer has no total`);
  return { sizeBytes: bytes.storage_bytes };
}

// ---- What a fork answers at ----

interface Access {
  readonly url: string;
  readonly token: Secret;
}

function outputsFrom({ url, token }: Access): Outputs {
  return { DATABASE_URL: url, DATABASE_AUTH_TOKEN: token };
}

/** Returns the key under which a run keeps its access to a database. */
const wayTo = (id: string) => `way to ${id}`;

async function access(
  context: Context,
  database: Pick<Database, "DbId" | "Name" | "Hostname">,
  scope: Scope<Options> & Lease,
): Promise<Access> {
  const { expiresAt } = scope;
  const expiration = expiresAt === undefined ? "never" : spanUntil(expiresAt, context.now());
  const token = await mint(context, scope, database.Name, { authorization: scope.options.access, expiration });
  return { url: libsqlUrl(scope, database.Hostname), token };
}

/**
 * Returns the URL of a host from the API, which may hold the region. With an API without TLS, which is an emulator, the
 * database has none either.
 */
function libsqlUrl({ options: { endpoint } }: Scope<Options>, hostname: string): string {
  return `libsql://${hostname}${endpoint.startsWith("http:") ? "?tls=0" : ""}`;
}

/** Returns a duration up to an instant, rounded up to a minute: `"2d30m"`. */
function spanUntil(expiresAt: string, now: Date): string {
  const minutes = Math.max(1, Math.ceil((Date.parse(expiresAt) - now.getTime()) / 60_000));
  const [days, rest] = [Math.floor(minutes / 1_440), minutes % 1_440];
  return (days > 0 ? `${days}d` : "") + (rest > 0 ? `${rest}m` : "");
}

/**
 * Creates a token of this database only. Without a body, which some databases refuse. It has no side effect, so it may
 * be repeated.
 */
async function mint(
  context: Context,
  scope: Scope<Options>,
  name: string,
  query: { authorization: "full-access" | "read-only"; expiration: string },
): Promise<Secret> {
  // https://docs.turso.tech/api-reference/databases/create-token
  const answer = await api.send(context, scope, "POST", ["databases", name, "auth", "tokens"], {
    query,
    mayRepeat: true,
  });
  return new Secret((await api.read(TOKEN, answer, scope, `make a token for database "${name}"`)).jwt);
}

/** Returns the fork once a new database answers a query: the API shows no state. Its token is the application's. */
async function settled(
  context: Context,
  target: Target<Options>,
  database: Pick<Database, "DbId" | "Name" | "Hostname" | "parent">,
): Promise<Created> {
  const way = await context.once(wayTo(database.DbId), () => access(context, database, target));
  const isPassing = (error: unknown) => isForkstackError(error) && error.code === "NOT_READY";
  const pace = { deadlineMs: SETTLE_MS, firstMs: 100, mostMs: 2_000, isPassing };
  return await poll(context, { what: `make database "${database.Name}"`, ...pace }, async () => {
    await ask(context, target, database.Name, way);
    const since = context.now().toISOString();
    return { ...forkOf(database, { ...target, since }), outputs: outputsFrom(way) };
  });
}

async function ask(context: Context, scope: Scope<Options>, name: string, access: Access): Promise<void> {
  await asked(context, scope, name, access, (client) => client.execute("SELECT 1"), { mayRepeat: true });
}

/** Returns true if an error of the client is the database's own answer, and no failure of the connection. */
function isAnswer(error: unknown): boolean {
  return (error as { cause?: { name?: string } } | undefined)?.cause?.name === "ResponseError";
}

/** Runs work on a database by the client of libSQL. */
async function asked(
  context: Context,
  scope: Scope<Options>,
  name: string,
  { url, token }: Access,
  work: (client: Client) => Promise<unknown>,
  { mayRepeat = false }: { mayRepeat?: boolean } = {},
): Promise<void> {
  const { createClient } = await loadPackage<typeof import("npm:@libsql/client@0.18.0/web")>(
    "npm:@libsql/client@0.18.0/web",
  );
  let met: VendorAnswer | undefined;
  let failure: unknown;
  const client = createClient({
    url,
    authToken: token.reveal(),
    async fetch(sent: Request) {
      const request = repeatable(new Request(sent, { signal: context.signal }), mayRepeat);
      const response = await context.fetch(request).catch((error) => {
        failure = error;
        throw error;
      });
      met = { request, response };
      return response.ok ? response : new Response(await response.text(), response);
    },
  });
  try {
    await work(client);
  } catch (error) {
    if (failure !== undefined) throw failure;
    if (met === undefined) throw error;
    const { code = "" } = error as { code?: string };
    if (isAnswer(error) && (/^(SQLITE_BUSY|TRANSACTION_)/.test(code) || !/^SQL/.test(code))) {
      throw new ForkstackError("NOT_READY", `Cannot use database "${name}": it refuses the transaction (${code})`, {
        hint: "Something else may be writing to it: run the same command again",
        retryable: true,
        details: { provider: "turso", resource: scope.resource },
        cause: error,
      });
    }
    if (/^SQL/.test(code)) { // the statement's own fault
      throw new ForkstackError("SQL_FAILED", (error as Error).message, { details: { provider: "turso" } });
    }
    const { status } = met.response;
    if (met.response.ok || status === 404) {
      const state = status === 404 ? "there is none yet" : "what answers is no database";
      throw new ForkstackError("NOT_READY", `Cannot use database "${name}": ${state}`, {
        hint: "Wait, then run the same command again",
        retryable: true,
        details: { provider: "turso", resource: scope.resource, status },
        cause: error,
      });
    }
    throw await api.refusal(met, scope, `query database "${name}"`);
  } finally {
    client.close();
  }
}

async function parentOf(context: Context, target: Target<Options>, name: string): Promise<Database> {
  const found = await find(context, target, name);
  if (found === undefined) throw missing(target, name);
  return found;
}

function forkOf({ DbId: id, Name: name, parent }: Pick<Database, "DbId" | "Name" | "parent">, of: RecordedThing): Fork {
  const origin = parent ? { parentId: parent.id } : { copy: "empty" as const };
  const createdAt = timeOf(id) ?? new Date(parent?.branched_at ?? of.since).toISOString();
  return { id, name, ...origin, marker: of.marker, createdAt };
}
