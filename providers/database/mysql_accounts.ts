/**
 * The accounts of a fork, all with its id: its own, which is locked except for a script or a copy, and its logins, one
 * for each time that `DATABASE_URL` is asked for, so that none replaces another.
 *
 * - https://dev.mysql.com/doc/refman/8.4/en/grant.html, .../create-user.html, .../account-locking.html
 */
import { createHash, randomBytes } from "node:crypto";
import type { Held } from "../../core/provider.ts";
import { backquoted, codeOf, isMariaDb, type Login, MARK, mysqlAccount, type MysqlQuery } from "./mysql_server.ts";

/**
 * Rights of a fork's account in its database, never GRANT OPTION; `EVENT` is granted separately. The database's name is
 * no pattern: those of forks have neither `_` nor `%`, so nothing need be escaped, which `partial_revokes` would take
 * literally.
 */
const RIGHTS = "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, REFERENCES, INDEX, ALTER, CREATE TEMPORARY TABLES, " +
  "LOCK TABLES, EXECUTE, CREATE VIEW, SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, TRIGGER";

export function ownerOf(id: string): string {
  return `fs_${id}`;
}

/** Returns a new password that needs no escape and meets the usual rules for passwords. */
function newPassword(): string {
  return `${randomBytes(24).toString("base64url")}-aA1`;
}

/** Revokes an account's rights in a dropped database. */
export async function forget(query: MysqlQuery, fork: Held, database: string): Promise<void> {
  const account = mysqlAccount(ownerOf(fork.id));
  await query(`REVOKE ${RIGHTS}, EVENT ON ${backquoted(database)}.* FROM ${account}`).catch((error) => {
    if (!/^(1141|1269)$/.test(codeOf(error))) throw error; // it had none there
  });
}

/** Creates a login of a fork, whose password is shown once. With `EVENT` only if the fork has events of its own. */
export async function mint(query: MysqlQuery, fork: Held): Promise<Pick<Login, "user" | "password">> {
  const user = `${ownerOf(fork.id)}_${randomBytes(4).toString("hex")}`;
  const password = newPassword();
  await identified(query, (by) => query(`CREATE USER ${mysqlAccount(user)} ${by}`), password);
  const sql = "SELECT 1 FROM information_schema.EVENTS WHERE EVENT_SCHEMA = ? AND EVENT_NAME <> ? LIMIT 1";
  const rights = (await query(sql, [fork.name, MARK])).length > 0 ? `${RIGHTS}, EVENT` : RIGHTS;
  await query(`GRANT ${rights} ON ${backquoted(fork.name)}.* TO ${mysqlAccount(user)}`);
  return { user, password };
}

/**
 * Gives the fork's own account access to one of its databases during the work; creates the account if it is missing.
 */
export async function asOwner<T>(
  query: MysqlQuery,
  admin: Login,
  { fork, database }: { readonly fork: Held; readonly database: string },
  work: (owner: Login) => T | Promise<T>,
): Promise<T> {
  const account = mysqlAccount(ownerOf(fork.id));
  const password = newPassword();
  const open = (by: string) =>
    query(`CREATE USER IF NOT EXISTS ${account} ${by} ACCOUNT LOCK;
      GRANT ${RIGHTS}, EVENT ON ${backquoted(database)}.* TO ${account}; ALTER USER ${account} ${by} ACCOUNT UNLOCK`);
  await identified(query, open, password);
  try {
    return await work({ ...admin, user: ownerOf(fork.id), password });
  } finally {
    await query(`ALTER USER ${account} ACCOUNT LOCK`).catch(() => {}); // nobody knows that password any more
  }
}

/** Ends the sessions of a fork's accounts, if the user of MYSQL_URL may, and drops the accounts. */
export async function dropAccounts(query: MysqlQuery, id: string): Promise<void> {
  const users = (await query("SELECT User AS user FROM mysql.user WHERE Host = '%' AND (User = ? OR User LIKE ?)", [
    ownerOf(id),
    `fs\\_${id}\\_%`,
  ])).map(({ user }) => user as string);
  if (users.length === 0) return;
  await endSessions(query, users);
  await query(`DROP USER IF EXISTS ${users.map(mysqlAccount).join(", ")}`);
}

/**
 * Drops the accounts of earlier forks of this name, whose database somebody else dropped: rights outlive a database, and
 * would reach the next one of its name.
 */
export async function dropEarlierAccounts(query: MysqlQuery, { id, name }: Held): Promise<void> {
  const found = await query(
    "SELECT DISTINCT GRANTEE AS account FROM information_schema.SCHEMA_PRIVILEGES WHERE TABLE_SCHEMA = ?",
    [name],
  );
  const ids = new Set(found.map(({ account }) => /^'fs_([0-9a-f]{16})(_[0-9a-f]{8})?'@'%'$/.exec(account)?.[1]));
  for (const earlier of ids) if (earlier !== undefined && earlier !== id) await dropAccounts(query, earlier);
}

async function endSessions(query: MysqlQuery, users: readonly string[]): Promise<void> {
  for (const { Id, User } of await query("SHOW PROCESSLIST")) {
    if (!users.includes(User)) continue;
    await query(`KILL ${Number(Id)}`).catch((error) => {
      if (!/^(1094|1095|1227)$/.test(codeOf(error))) throw error; // over already, or not ours to end
    });
  }
}

/**
 * Returns the clause that sets a password. MariaDB logs the statement as it is sent, so it gets the hash; MySQL leaves
 * passwords out of its logs, and its hash has a salt. https://dev.mysql.com/doc/refman/8.4/en/password-logging.html
 */
async function identified(
  query: MysqlQuery,
  change: (by: string) => Promise<unknown>,
  password: string,
): Promise<void> {
  const plain = () => change(`IDENTIFIED BY '${password}'`);
  if (!await isMariaDb(query)) return void await plain();
  const sha1 = (data: string | Uint8Array) => createHash("sha1").update(data).digest();
  const hash = sha1(sha1(password)).toString("hex").toUpperCase();
  await change(`IDENTIFIED VIA mysql_native_password USING '*${hash}'`).catch(async (error) => {
    if (codeOf(error) !== "1290") throw error; // strict_password_validation wants to see it
    await plain();
  });
}
