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

/**
 * Lets the logins of a fork become other roles by `SET ROLE`. They inherit no right of these, so that none lets them
 * connect to another database: before version 16 that is up to the member, since then a grant follows it.
 */
export async function allowRoles(query: Query, fork: Held, roles: readonly string[]): Promise<void> {
  const role = quotedIdentifier(fork.name);
  const grants = roles.map((one) => `GRANT ${quotedIdentifier(one)} TO ${role}`);
  await query([`ALTER ROLE ${role} NOINHERIT`, ...grants].join("; "));
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
