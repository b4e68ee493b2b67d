/**
 * The stacks that `init` knows by name. A provider's file has the questions that `init` asks of it: for the options
 * without which it does not work, and those whose default few can use. Everything else is a line in forkstack.json.
 *
 * @module
 */
import type { Presets } from "../core/catalog.ts";

/** The stacks, the one for everybody first. */
export const STACKS: Presets["stacks"] = {
  "sqlite-local": { title: "SQLite and a local bucket: no account, no server", providers: {} },
  "turso-tigris-doppler": {
    title: "Turso, Tigris, Doppler",
    providers: { database: "turso", storage: "tigris", secrets: "doppler" },
    signs: /\.turso\.io$|^@libsql\/|^@tursodatabase\//m,
  },
  "neon-s3-vault": {
    title: "Neon, Amazon S3, HashiCorp Vault",
    providers: { database: "neon", storage: "s3", secrets: "vault" },
    signs: /\.neon\.tech$|^@neondatabase\//m,
  },
  "planetscale-r2-doppler": {
    title: "PlanetScale, Cloudflare R2, Doppler",
    providers: { database: "planetscale", storage: "r2", secrets: "doppler" },
    signs: /\.psdb\.cloud$|^@planetscale\//m,
  },
  "supabase-tigris": {
    title: "Supabase, Tigris, secrets in files",
    providers: { database: "supabase", storage: "tigris", secrets: "env-file" },
    signs: /\.supabase\.(co|com)$|^@supabase\//m,
  },
};

/** Servers that run on laptops, each with the signs by which a project shows that it uses one. */
export const SERVERS: Presets["servers"] = [
  {
    kind: "database",
    provider: "postgres",
    credential: "POSTGRES_URL",
    schemes: ["postgresql", "postgres"],
    port: 5432,
    image: /^(postgres|postgis|pgvector|timescaledb(-ha)?|supabase-postgres)$/,
    clients:
      /^(pg|postgres|pg-promise|postgresql|postgres(ql)?_psycopg2|psycopg([23].*)?|asyncpg|pg8000|github\.com\/(lib\/pq|jackc\/pgx(\/v\d+)?)|gorm\.io\/driver\/postgres|django\.(db|contrib\.gis\.db)\.backends\.(postgresql|postgis)|ext-(pdo_)?pgsql|pgsql|postgis)$/,
    container: {
      user: { variables: ["POSTGRES_USER", "POSTGRESQL_USERNAME"], value: "postgres" },
      database: { variables: ["POSTGRES_DB", "POSTGRES_USER", "POSTGRESQL_DATABASE"], value: "postgres" },
    },
  },
  {
    kind: "database",
    provider: "mysql",
    credential: "MYSQL_URL",
    schemes: ["mysql", "mariadb"],
    port: 3306,
    image: /^(mysql(-server)?|mariadb|percona(-server)?)$/,
    clients:
      /^(mysql2?|mariadb|mysqlclient|pymysql|aiomysql|asyncmy|trilogy|mysql-connector-python|github\.com\/go-sql-driver\/mysql|gorm\.io\/driver\/mysql|django\.(db|contrib\.gis\.db)\.backends\.mysql|ext-(pdo_)?mysqli?)$/,
    container: {
      // Only root may make databases and users for forks.
      user: { variables: [], value: "root" },
      database: { variables: ["MYSQL_DATABASE", "MARIADB_DATABASE"], value: "" },
    },
  },
  {
    kind: "cache",
    provider: "valkey",
    credential: "VALKEY_URL",
    schemes: ["redis", "rediss", "valkey", "valkeys"],
    port: 6379,
    image: /^(redis|redis-stack(-server)?|valkey|keydb|dragonfly)$/,
    container: { user: { variables: [], value: "" }, database: { variables: [], value: "" } },
    base: (path) => /^\d{0,9}$/.test(path) ? Number(path) : undefined,
  },
];

/** Signs of programs that use a SQLite file. */
export const EMBEDDED_CLIENTS: Presets["embeddedClients"] = {
  database:
    /^(sqlite3?|sqlite-async|better-sqlite3|aiosqlite|pdo_sqlite|ext-(pdo_)?sqlite3?|github\.com\/mattn\/go-sqlite3|modernc\.org\/sqlite|github\.com\/glebarez\/sqlite|gorm\.io\/driver\/sqlite|github\.com\/ncruces\/go-sqlite3|django\.(db|contrib\.gis\.db)\.backends\.(sqlite3|spatialite))$/,
};
