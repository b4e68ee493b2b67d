/**
 * Tables of a registry, and the migrations from earlier versions.
 *
 * @module
 */
import type { Statement } from "./sql.ts";

/** Version of the schema. */
export const SCHEMA_VERSION = 4;
const CHECKOUTS: Statement = [`CREATE TABLE IF NOT EXISTS checkouts (
    host TEXT NOT NULL, path TEXT NOT NULL, git_dir TEXT, git_branch TEXT, env TEXT NOT NULL, used_at TEXT NOT NULL,
    PRIMARY KEY (host, path))`];

/** Statements that create the tables of a new registry. */
export const SCHEMA: readonly Statement[] = [
  ["CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)"],
  [`CREATE TABLE IF NOT EXISTS environments (
    name TEXT PRIMARY KEY, parent TEXT NOT NULL, status TEXT NOT NULL, owner TEXT NOT NULL, operation TEXT NOT NULL,
    created_at TEXT NOT NULL, expires_at TEXT, used_at TEXT, origin TEXT)`],
  [`CREATE TABLE IF NOT EXISTS resources (
    env TEXT NOT NULL, key TEXT NOT NULL, kind TEXT NOT NULL, name TEXT, provider TEXT NOT NULL, title TEXT NOT NULL,
    state TEXT NOT NULL, operation TEXT NOT NULL, id TEXT, parent_id TEXT, fork TEXT, created_at TEXT NOT NULL,
    options TEXT NOT NULL,
    PRIMARY KEY (env, key))`],
  [`CREATE TABLE IF NOT EXISTS journal (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, operation TEXT NOT NULL, env TEXT NOT NULL, resource TEXT NOT NULL,
    step TEXT NOT NULL, phase TEXT NOT NULL, id TEXT, at TEXT NOT NULL)`],
  ["CREATE INDEX IF NOT EXISTS journal_env ON journal (env, resource)"],
  [`CREATE TABLE IF NOT EXISTS locks (
    env TEXT PRIMARY KEY, owner TEXT NOT NULL, purpose TEXT NOT NULL, token INTEGER NOT NULL, beat INTEGER NOT NULL)`],
  CHECKOUTS,
  // see `Registry.fenced`
  ["CREATE TABLE IF NOT EXISTS fence (id TEXT PRIMARY KEY, env TEXT NOT NULL, token INTEGER NOT NULL)"],
  [`INSERT INTO meta (key, value) VALUES ('version', '${SCHEMA_VERSION}') ON CONFLICT (key) DO NOTHING`],
];

/** Query for the tables and indexes of a database. */
export const SHAPE: Statement = ["SELECT type, name, sql FROM sqlite_schema"];

/** Statements that bring a registry to this version from the one before. */
export const MIGRATIONS: Readonly<Record<number, readonly Statement[]>> = {
  2: [["ALTER TABLE environments ADD COLUMN origin TEXT"]],
  3: [], // the registry's id, which `open` writes; an older forkstack could not read the marks that name it
  4: [CHECKOUTS],
};
