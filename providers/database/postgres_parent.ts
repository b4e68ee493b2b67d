/**
 * Checks of a parent and of the server, before a fork is made or reset.
 *
 * - https://www.postgresql.org/docs/18/ddl-priv.html, .../role-attributes.html, .../role-membership.html
 */
import type { Target } from "../../core/provider.ts";
import { ForkstackError, resourceTitle } from "../../mod.ts";
import { literal, type Query, quotedIdentifier } from "../_shared/postgres.ts";

/** Options that let a fork's role do more, by which it might reach more than its fork. */
export interface Allowed {
  readonly allowOpenParent?: boolean | undefined;
  readonly createDatabases?: boolean | undefined;
  readonly setRoles?: readonly string[] | undefined;
}

/** Throws unless the parent exists, and a fork's role will reach nothing but its fork by what the options allow. */
export async function assertFit(query: Query, target: Target<Allowed>): Promise<void> {
  const { parent, options: { allowOpenParent, createDatabases, setRoles } } = target;
  if (createDatabases) await assertNoTemplate(query, target);
  if (setRoles !== undefined) await assertHarmless(query, setRoles);
  if (parent === undefined) return;
  const sql = "SELECT has_database_privilege('public', oid, 'CONNECT') AS open FROM pg_database WHERE datname = $1";
  const [found] = await query(sql, [parent]);
  if (found === undefined) {
    throw new ForkstackError("NOT_FOUND", `Cannot fork database "${parent}": the server has none of this name`, {
      hint: `Make it, fork another environment with --from, or ask for an empty database with --empty`,
    });
  }
  if (!found.open || allowOpenParent) return;
  throw new ForkstackError("PARENT_OPEN", `Cannot fork database "${parent}": every role may connect to it`, {
    hint:
      `Its forks' roles could too. Run \`REVOKE CONNECT ON DATABASE ${quotedIdentifier(parent)} FROM PUBLIC\` and ` +
      `grant it to the roles that need it; or set "allowOpenParent": true in forkstack.json`,
  });
}

/** Throws if the parent or a base environment's database is a template: every role with CREATEDB may copy one. */
async function assertNoTemplate(
  query: Query,
  { parent, bases, project, resourceName }: Target<Allowed>,
): Promise<void> {
  const names = (["dev", "prod"] as const)
    .map((env) => bases?.[env] ?? resourceTitle("database", project, env, resourceName));
  const shown = [...names, parent].filter((name) => name !== undefined).map(literal).join(", ");
  const [found] = await query(`SELECT datname AS name FROM pg_database WHERE datistemplate AND datname IN (${shown})`);
  if (found === undefined) return;
  const name = quotedIdentifier(found.name);
  throw new ForkstackError("PARENT_OPEN", `Cannot let forks make databases: database ${name} is a template`, {
    hint: `Every role that may make databases could copy it. Run \`ALTER DATABASE ${name} IS_TEMPLATE false\`, or ` +
      'take "createDatabases" out of forkstack.json',
  });
}

/**
 * Throws for a role by which a login would get out of its fork. Who has become a role may change its password and its
 * settings, so none may log in; nor may one have rights on the server, itself or by another role.
 */
async function assertHarmless(query: Query, roles: readonly string[]): Promise<void> {
  const found = await query(
    `WITH RECURSIVE reached AS (SELECT rolname AS asked, oid FROM pg_roles WHERE rolname IN (${
      roles.map(literal).join(", ") || "NULL"
    })
      UNION SELECT asked, roleid FROM pg_auth_members m JOIN reached r ON m.member = r.oid)
    SELECT asked, rolname AS name, CASE WHEN rolcanlogin THEN 'may log in' WHEN rolsuper THEN 'is a superuser'
      WHEN rolcreatedb OR rolcreaterole OR rolreplication THEN 'may make databases or roles, or replicate'
      WHEN rolname LIKE 'pg\\_%' THEN 'has rights on the server'
      WHEN oid IN (SELECT datdba FROM pg_database) THEN 'owns a database'
      WHEN oid IN (SELECT spcowner FROM pg_tablespace) THEN 'owns a tablespace' END AS problem
      FROM reached JOIN pg_roles USING (oid)`,
  ) as { asked: string; name: string; problem: string | null }[];
  for (const role of roles) {
    const own = found.filter(({ asked }) => asked === role);
    const bad = own.find(({ problem }) => problem !== null);
    if (own.length > 0 && bad === undefined) continue;
    const via = bad === undefined || bad.name === role ? "" : `role "${bad.name}", of which it is a member, `;
    const state = bad === undefined ? "the server has none of this name" : `${via || "it "}${bad.problem}`;
    throw new ForkstackError("CONFIG_INVALID", `Cannot let forks become role "${role}": ${state}`, {
      hint: 'A role in "setRoles" of forkstack.json must be NOLOGIN, and without rights outside of its databases',
    });
  }
}
