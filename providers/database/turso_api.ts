/**
 * Turso's platform API as far as the provider needs it: options, answers, refusals, and the look at one database.
 *
 * - https://docs.turso.tech/api-reference/introduction
 * - Its specification: https://github.com/tursodatabase/turso-docs/blob/main/api-reference/openapi.json
 */
import * as v from "npm:valibot@1.5.0";
import { vendorError } from "../../core/http/client.ts";
import type { Context, Held, Scope } from "../../core/provider.ts";
import { ForkstackError } from "../../mod.ts";
import { Api, endpointOption, slugOption, type VendorAnswer } from "../_shared/json_api.ts";

/** The options of forkstack.json. */
export const options = v.strictObject({
  /** The slug of the organization or user, as in the address of the dashboard, e.g. `"acme"`. */
  organization: slugOption("acme"),
  /**
   * The group of databases that start empty, e.g. `"eu"`. A fork is in its parent's group, which must be this one if it is
   * set. @default {the parent's, or "default" without one}
   */
  group: v.optional(slugOption("default")),
  /** Rights of the application's token. @default {"full-access"} */
  access: v.optional(v.picklist(["full-access", "read-only"]), "full-access"),
  /** URL of the API, which gets the token. Without TLS only on this machine. */
  endpoint: endpointOption("https://api.turso.tech"),
});
/** The options, parsed. */
export type Options = v.InferOutput<typeof options>;

// Upper and lower case are as the API has them: https://docs.turso.tech/api-reference/databases/retrieve
const CREATED = v.object({ Name: v.string(), DbId: v.string(), Hostname: v.string() });
const DATABASE = v.object({
  ...CREATED.entries,
  group: v.optional(v.string()),
  delete_protection: v.optional(v.boolean()),
  parent: v.nullish(v.object({ id: v.string(), branched_at: v.optional(v.string()) })),
});
/** A database, as far as it is read. */
export type Database = v.InferOutput<typeof DATABASE>;
const FOUND = v.object({ database: DATABASE });
/** The answer to a create. */
export const MADE = v.object({ database: CREATED });
/** A page of databases. No paging is documented; the vendor's own CLI follows `pagination.next`. */
export const PAGE = v.object({
  databases: v.array(DATABASE),
  pagination: v.nullish(v.object({ next: v.nullish(v.string()) })),
});
/** The answer to the call that makes a token. */
export const TOKEN = v.object({ jwt: v.pipe(v.string(), v.minLength(1)) });
const BYTES = v.object({ storage_bytes: v.number() });
/** The usage of a database. The specification says `total`, the vendor's CLI and SDK read `usage`. */
export const USAGE = v.object({
  database: v.object({ uuid: v.string(), usage: v.optional(BYTES), total: v.optional(BYTES) }),
});

/** The hint on how to get a token of the API. */
export const CREDENTIALS_HINT = "`turso auth api-tokens mint forkstack` makes one";

/** Calls of the API. Statuses and codes: https://docs.turso.tech/api-reference/response-codes */
export const api: Api<Options> = new Api({
  provider: "turso",
  label: "Turso",
  statusPage: "https://status.turso.tech",
  credential: { variable: "TURSO_API_TOKEN", hint: CREDENTIALS_HINT },
  scopes: ({ options: { organization } }) =>
    `It must be of "${organization}", with the scopes read, db:create, db:delete and db:mint-token`,
  base: ({ options: { endpoint, organization } }) =>
    `${endpoint.replace(/\/$/, "")}/v1/organizations/${encodeURIComponent(organization)}`,
  known(status, code, { options: { endpoint } }) {
    if (code === "route_not_found") {
      return {
        code: "PROVIDER_REFUSED",
        state: `"${endpoint}" has no such route`,
        hint: "Correct `database.endpoint`",
      };
    }
    if (status !== 402 && !code?.startsWith("feature_not_available")) return undefined;
    return {
      code: "PLAN_LIMIT",
      state: "the plan does not allow it",
      hint: "Remove unused envs with `forkstack prune`",
    };
  },
});

/** Returns the database of a name; `undefined` if there is none. */
export async function find(context: Context, scope: Scope<Options>, name: string): Promise<Database | undefined> {
  // https://docs.turso.tech/api-reference/databases/retrieve
  const answer = await api.send(context, scope, "GET", ["databases", name]);
  if (await isNotFound(answer)) return undefined;
  return (await api.read(FOUND, answer, scope, `look at database "${name}"`)).database;
}

/** Returns the database with this id; throws NOT_FOUND if its name is another's by now. */
export async function databaseOf(context: Context, held: Held, scope: Scope<Options>): Promise<Database> {
  const found = await find(context, scope, held.name);
  if (found?.DbId !== held.id) throw missing(scope, held.name);
  return found;
}

/** Returns the error for a refused create if its group does not exist; `undefined` if it does. */
export async function groupMissing(
  context: Context,
  scope: Scope<Options>,
  group: string,
): Promise<ForkstackError | undefined> {
  // https://docs.turso.tech/api-reference/groups/retrieve
  const answer = await api.send(context, scope, "GET", ["groups", group]);
  const { organization } = scope.options;
  if (await isNotFound(answer)) {
    return vendorError(answer.request, answer.response, {
      provider: "turso",
      resource: scope.resource,
      code: "NOT_FOUND",
      message: `Cannot use group "${group}": organization "${organization}" has none of this name`,
      hint: 'Correct `database.group` in forkstack.json; without it an empty database goes to the group "default"',
    });
  }
  await answer.response.text();
  return undefined;
}

/** Returns true if the requested thing does not exist; false for a 404 of an unknown path. */
export async function isNotFound(answer: VendorAnswer): Promise<boolean> {
  return answer.response.status === 404 && await api.codeOf(answer) !== "route_not_found";
}

/** The error for a database that does not exist. */
export function missing(scope: Scope<Options>, name: string): ForkstackError {
  const { organization } = scope.options;
  return new ForkstackError("NOT_FOUND", `Cannot use database "${name}": organization "${organization}" has none`, {
    hint: `Make it with \`turso db create ${name}\`, or name another parent with --from`,
    details: { provider: "turso", resource: scope.resource },
  });
}

/** Returns the time of creation in an id, a UUID of version 1 or 7 (RFC 9562); the API tells no other. */
export function timeOf(uuid: string): string | undefined {
  const [low, mid, high] = uuid.split("-");
  if (!/^[0-9a-f]{8}-[0-9a-f]{4}-[17][0-9a-f]{3}-/.test(uuid)) return undefined;
  if (high![0] === "7") return new Date(parseInt(low! + mid!, 16)).toISOString();
  const ticks = BigInt(`0x${high!.slice(1)}${mid}${low}`); // 100 ns since 1582-10-15
  return new Date(Number(ticks / 10_000n) - 12_219_292_800_000).toISOString();
}
