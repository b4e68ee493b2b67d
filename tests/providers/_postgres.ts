/** What the tests of `postgres` share: two real servers, what stands on them, contexts and targets. */
import type { Context, Fork, Target } from "../../core/provider.ts";
import type { Secret } from "../../core/secret.ts";
import provider from "../../providers/database/postgres.ts";
import { testIf } from "../helpers.ts";
import { debianBinaries, npmBinaries, type Server, startServer } from "../emulators/postgres_server.ts";
import { contextOf, type Options } from "./_postgres_context.ts";
import { shopTarget } from "./_shop.ts";

export { contextOf, type Options };

export const CANARY = "canary-in-the-parent-0123456789";
export const debian = debianBinaries();
export const npm = await npmBinaries();
/** Debian's, with `pg_dump`. */
export const old: Server | undefined = "bin" in debian ? await startServer(debian.bin) : undefined;
/** Version 18. */
export const current: Server | undefined = "bin" in npm ? await startServer(npm.bin) : undefined;
export const whyNoOld: string | undefined = "reason" in debian ? debian.reason : undefined;
export const whyNoCurrent: string | undefined = "reason" in npm ? npm.reason : undefined;

/** Makes a database that only its owner and superusers reach. */
export async function make(server: Server, name: string, sql = ""): Promise<void> {
  await server.query(`CREATE DATABASE "${name}" STRATEGY FILE_COPY`);
  await server.query(`REVOKE CONNECT ON DATABASE "${name}" FROM PUBLIC`);
  if (sql !== "") await server.query(sql, name);
}

export const NOTES = `CREATE TABLE notes (id serial PRIMARY KEY, text text NOT NULL);
  INSERT INTO notes (text) SELECT '${CANARY} ' || n FROM generate_series(1, 20) n`;

/** All rows of all tables. */
export async function contentOf(server: Server, name: string): Promise<string> {
  return await server.unlessWritten(`content of ${name}`, () =>
    server.session(server.url(name), async (query) => {
      const tables = await query("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 2200");
      const all = tables.map(({ relname }) => `SELECT '${relname}' AS t, to_jsonb(x)::text AS r FROM "${relname}" x`);
      return JSON.stringify(all.length === 0 ? [] : await query(`${all.join(" UNION ALL ")} ORDER BY 1, 2`));
    }));
}

/** Drops all that a test made; the rest of the server's is as `initdb` left it. */
export async function wipe(server: Server, isKept: (name: string) => boolean = () => false): Promise<void> {
  const databases = await server.query(
    "SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'",
  );
  for (const { datname } of databases) {
    if (!isKept(datname)) await server.query(`DROP DATABASE "${datname}" WITH (FORCE)`);
  }
  const roles = (await server.query("SELECT rolname FROM pg_roles WHERE oid >= 16384"))
    .filter(({ rolname }) => !isKept(rolname)).map(({ rolname }) => `"${rolname}"`);
  if (roles.length > 0) await server.query(`DROP ROLE ${roles.join(", ")}`);
}

/** Names of databases and roles. */
export async function namesOf(server: Server): Promise<string[]> {
  const names = "SELECT datname AS name FROM pg_database UNION ALL SELECT rolname FROM pg_roles ORDER BY 1";
  return (await server.query(names)).map(({ name }) => name);
}

/** Every database with its content, and every role. */
export async function thingsOf(server: Server): Promise<Map<string, string>> {
  const databases = await server.query(`SELECT oid, datname, datdba, datacl::text, shobj_description(oid, 'pg_database')
    AS note FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres' ORDER BY oid`);
  const found = await Promise.all(
    databases.map(async ({ oid, datname, datdba, datacl, note }) =>
      [`database ${oid} of ${datdba} ${datname}`, `${datacl} ${note} ${await contentOf(server, datname)}`] as const
    ),
  );
  const roles = await server.query(`SELECT a.oid, rolname, shobj_description(a.oid, 'pg_authid') AS note, rolpassword,
    (SELECT array_agg(roleid)::text FROM pg_auth_members WHERE member = a.oid) AS groups FROM pg_authid a
    WHERE a.oid >= 16384`);
  return new Map([...found, ...roles.map((row) => [`role ${row.oid} ${row.rolname}`, JSON.stringify(row)] as const)]);
}

/** A fork of `shop-dev`. */
export function targetOf(env: string, changed: Partial<Target<Options>> = {}): Target<Options> {
  return shopTarget<Options>("database", {}, env, changed);
}

/** Runs a test on a server that holds `shop-dev` alone. */
export function onServer(
  server: Server | undefined,
  reason: string | undefined,
  name: string,
  fn: (server: Server, context: Context) => Promise<void>,
): void {
  testIf(reason, `postgres: ${name}`, async () => {
    await wipe(server!);
    await make(server!, "shop-dev", NOTES);
    await fn(server!, contextOf(server!.url()));
    await wipe(server!);
  });
}

/** Why a server lacks an extension, e.g. PostGIS, which is a package of its own. */
export async function whyWithout(extension: string, server: Server | undefined, reason?: string) {
  if (server === undefined) return reason;
  const names = "SELECT 1 FROM pg_available_extensions WHERE name = ";
  return (await server.query(`${names}'${extension}'`)).length > 0 ? undefined : `PostgreSQL has no ${extension}`;
}

/** A role that may make databases and roles, and owns `shop-dev` with all that is in it; returns its context. */
export async function byMaker(server: Server, sql = ""): Promise<Context> {
  await server.query(`CREATE ROLE maker LOGIN CREATEDB CREATEROLE PASSWORD 'maker'; GRANT maker TO postgres;
    ALTER DATABASE "shop-dev" OWNER TO maker`);
  await server.query("ALTER TABLE notes OWNER TO maker", "shop-dev");
  if (sql !== "") await server.query(`SET ROLE maker; ${sql}`, "shop-dev");
  return contextOf(server.url().replace(/\/\/.*@/, "//maker:maker@"));
}

/** What the application gets. */
export async function urlOf(context: Context, fork: Fork): Promise<string> {
  const { DATABASE_URL } = await provider.outputs(context, fork, targetOf("alice"));
  return (DATABASE_URL as Secret).reveal();
}
