/**
 * The databases of a fork's role: the fork itself, the ones that stand aside while it is made or reset, a shadow
 * database, and what its logins made where they may.
 *
 * - https://www.postgresql.org/docs/18/sql-createdatabase.html, .../sql-alterdatabase.html
 */
import type { Held } from "../../core/provider.ts";
import { literal, type Query, quotedIdentifier, sqlStateOf } from "../_shared/postgres.ts";
import { dropRoles } from "./postgres_roles.ts";

/** Returns the name of a fork's next, last or shadow database; an underscore is in no name of ours. */
export function aside(purpose: "new" | "old" | "shadow", fork: Held): string {
  return `forkstack_${purpose}_${fork.id}`;
}

/** Drops databases, if the fork's role owns them. */
export async function dropDatabases(query: Query, fork: Held, names: readonly string[]): Promise<void> {
  const owned = await query(`${OWNED} AND datname IN (${names.map(literal).join(", ")})`, [fork.id]) as Owned[];
  for (const database of owned) await drop(query, database);
}

/** Drops the role of a fork with its databases; also those that its logins made, if they may. */
export async function dropFork(query: Query, fork: Held): Promise<void> {
  const ours = [fork.name, ...(["new", "old", "shadow"] as const).map((purpose) => aside(purpose, fork))];
  const which = `${OWNED} AND (datname IN (${ours.map(literal).join(", ")}) OR datdba IN (SELECT oid FROM pg_roles
    WHERE rolcreatedb))`;
  for (let attempt = 1;; attempt++) {
    for (const database of await query(which, [fork.id]) as Owned[]) await drop(query, database);
    try {
      return await dropRoles(query, fork);
    } catch (error) {
      if (sqlStateOf(error) !== "2BP01" || attempt === 3) throw error; // a login was just making one more
    }
  }
}

/** A database that the fork's role owns. */
interface Owned {
  readonly name: string;
  /** Its owner made it a template, and the server drops none. */
  readonly isTemplate: boolean;
}

const OWNED = `SELECT datname AS name, datistemplate AS "isTemplate" FROM pg_database WHERE datdba::text = $1`;

async function drop(query: Query, { name, isTemplate }: Owned): Promise<void> {
  const quoted = quotedIdentifier(name);
  if (isTemplate) await query(`ALTER DATABASE ${quoted} IS_TEMPLATE false`);
  await query(`DROP DATABASE IF EXISTS ${quoted} WITH (FORCE)`);
}

/** Lets the logins of a fork make databases, and makes an empty one that nobody else may connect to. */
export async function allowDatabases(query: Query, fork: Held): Promise<void> {
  const [role, shadow] = [fork.name, aside("shadow", fork)].map(quotedIdentifier);
  await query(`ALTER ROLE ${role} CREATEDB`);
  if (!await hasShadow(query, fork)) await query(`CREATE DATABASE ${shadow} OWNER ${role} TEMPLATE template0`);
  await query(`REVOKE ALL ON DATABASE ${shadow} FROM PUBLIC`);
}

/** Returns true if the fork has a shadow database. */
export async function hasShadow(query: Query, fork: Held): Promise<boolean> {
  return (await query(`${OWNED} AND datname = $2`, [fork.id, aside("shadow", fork)])).length > 0;
}

/** Returns the bytes of a database, and of all others that its role owns if it is a fork's. */
export async function sizeOf(query: Query, held: Held, isFork: boolean): Promise<number> {
  const [{ size }] = await query(
    `SELECT coalesce(sum(pg_database_size(oid)), 0)::text AS size FROM pg_database
      WHERE datname = $1 OR (${isFork} AND datdba::text = $2)`,
    [held.name, held.id],
  );
  return Number(size);
}

/** The settings of a parent that its fork gets. */
export interface Settings {
  /** `ALTER DATABASE … SET`, as `key=value`. */
  readonly lines: readonly string[];
  /** `CONNECTION LIMIT`. One of 0 is a parent that is kept for copying, and no limit for a fork. @default {none: -1} */
  readonly limit: number;
  /** The limit while the database is filled: nobody else gets in, for superusers know none. */
  readonly limitMeanwhile: number;
}

/** Returns the settings of a parent; without one, those of a new database. */
export async function databaseSettings(query: Query, parent: string | undefined): Promise<Settings> {
  const [found] = await query(
    `SELECT coalesce(greatest(nullif(datconnlimit, 0), -1), -1) AS limit, to_json(ARRAY(SELECT unnest(setconfig)
        FROM pg_db_role_setting WHERE setrole = 0 AND setdatabase = d.oid)) AS lines,
      CASE current_setting('is_superuser') WHEN 'on' THEN 0 ELSE -1 END AS "limitMeanwhile"
    FROM (SELECT 1) one LEFT JOIN pg_database d ON datname = $1`,
    [parent ?? ""],
  ) as Settings[];
  return found!;
}

/** Applies the parent's settings, closes the database to all but the role, and marks it, in one step. */
export async function settle(
  query: Query,
  database: string,
  { lines, limit }: Settings,
  comment: string,
): Promise<void> {
  const name = quotedIdentifier(database);
  const statements = lines.map((line) => {
    const [key, value] = [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)];
    const setting = key.split(".").map(quotedIdentifier).join(".");
    return `SELECT set_config(${literal(key)}, ${
      literal(value)
    }, true); ALTER DATABASE ${name} SET ${setting} FROM CURRENT;`;
  });
  await query(`REVOKE ALL ON DATABASE ${name} FROM PUBLIC; ${statements.join(" ")}
    ALTER DATABASE ${name} CONNECTION LIMIT ${limit}; COMMENT ON DATABASE ${name} IS ${literal(comment)}`);
}
