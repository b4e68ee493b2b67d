/**
 * The role of a fork, which owns all in it, and its logins: one for each time that `DATABASE_URL` is asked for, so that
 * none takes another's place. A login acts as the fork's role from its first statement on.
 *
 * - https://www.postgresql.org/docs/18/role-membership.html, https://www.postgresql.org/docs/18/sql-alterrole.html
 */
import { createHash, createHmac, pbkdf2Sync, randomBytes } from "node:crypto";
import type { Held } from "../../core/provider.ts";
import { type PostgresLogin, type Query, quotedIdentifier } from "../_shared/postgres.ts";

/** Prefix of the comment on a login; the OID of the fork's role follows. */
const LOGIN = "forkstack:login:";

/** Creates a login that may become the fork's role and nothing else. */
export async function mintLogin(query: Query, fork: Held): Promise<Pick<PostgresLogin, "user" | "password">> {
  const user = `${fork.name.slice(0, 50)}_${randomBytes(6).toString("hex")}`; // no name of ours has an underscore
  const password = randomBytes(24).toString("base64url");
  // Its verifier alone, so that no log of the server's shows the password.
  await query(
    `CREATE ROLE ${quotedIdentifier(user)} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE IN ROLE ${
      quotedIdentifier(fork.name)
    }
      PASSWORD '${verifierOf(password)}';
    COMMENT ON ROLE ${quotedIdentifier(user)} IS '${LOGIN}${fork.id}'; ALTER ROLE ${
      quotedIdentifier(user)
    } SET role = ${quotedIdentifier(fork.name)}`,
  );
  return { user, password };
}

/** Drops one login. */
export async function dropLogin(query: Query, user: string): Promise<void> {
  await query(`DROP ROLE IF EXISTS ${quotedIdentifier(user)}`);
}

/** Drops the role of a fork with all its logins, in one statement. */
export async function dropRoles(query: Query, fork: Held): Promise<void> {
  const logins = await query(
    `SELECT rolname AS name FROM pg_roles WHERE oid IN (SELECT member FROM pg_auth_members WHERE roleid = $1::text::oid)
      AND shobj_description(oid, 'pg_authid') = $2`,
    [fork.id, `${LOGIN}${fork.id}`],
  );
  await query(`DROP ROLE ${[...logins.map(({ name }) => name), fork.name].map(quotedIdentifier).join(", ")}`);
}

/** Returns what SCRAM stores of a password: https://www.rfc-editor.org/rfc/rfc5803 */
function verifierOf(password: string): string {
  const salt = randomBytes(16);
  const salted = pbkdf2Sync(password, salt, 4096, 32, "sha256");
  const keyed = (text: string) => createHmac("sha256", salted).update(text).digest();
  const stored = createHash("sha256").update(keyed("Client Key")).digest("base64");
  return `SCRAM-SHA-256$4096:${salt.toString("base64")}$${stored}:${keyed("Server Key").toString("base64")}`;
}

/**
 * Returns statements that give every schema, relation, routine, type and large object of the current database to a
 * role, given as a literal: a copy keeps its owners, and the application has to change it. `REASSIGN OWNED` also takes
 * shared objects, the parent database among them. https://www.postgresql.org/docs/18/sql-reassign-owned.html
 */
export function ADOPT(role: string): string {
  return `DO $adopt$ DECLARE one text; BEGIN FOR one IN
  WITH own AS (SELECT oid FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'),
  of_extension AS (SELECT classid, objid FROM pg_depend WHERE deptype = 'e'),
  inner_one AS (SELECT objid FROM pg_depend WHERE classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass
    AND refobjsubid > 0 AND deptype IN ('a', 'i')),
  found AS (
    SELECT 1 AS n, format('SCHEMA %I', nspname) AS what, 'pg_namespace'::regclass AS class, oid
      FROM pg_namespace WHERE oid IN (TABLE own) AND pg_get_userbyid(nspowner) <> 'pg_database_owner'
    UNION ALL SELECT 2, CASE relkind WHEN 'S' THEN 'SEQUENCE ' WHEN 'v' THEN 'VIEW ' WHEN 'm' THEN 'MATERIALIZED VIEW '
      WHEN 'f' THEN 'FOREIGN TABLE ' WHEN 'c' THEN 'TYPE ' ELSE 'TABLE ' END || oid::regclass, 'pg_class'::regclass, oid
      FROM pg_class WHERE relnamespace IN (TABLE own) AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c')
      AND NOT (relkind = 'S' AND oid IN (TABLE inner_one))
    UNION ALL SELECT 3, 'ROUTINE ' || oid::regprocedure, 'pg_proc'::regclass, oid
      FROM pg_proc WHERE pronamespace IN (TABLE own)
    UNION ALL SELECT 4, 'TYPE ' || oid::regtype, 'pg_type'::regclass, oid
      FROM pg_type WHERE typnamespace IN (TABLE own) AND typtype IN ('e', 'd', 'r')
    UNION ALL SELECT 5, 'LARGE OBJECT ' || oid, 'pg_largeobject'::regclass, oid FROM pg_largeobject_metadata)
  SELECT what FROM found WHERE (class, oid) NOT IN (TABLE of_extension) ORDER BY n, oid
  LOOP EXECUTE format('ALTER %s OWNER TO %I', one, ${role}); END LOOP; END $adopt$`;
}
