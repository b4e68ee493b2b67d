/**
 * Statements that a worker writes in one transaction with the fence of its lock.
 *
 * @module
 */
import type { Statement } from "./sql.ts";
import type { Checkout, Environment, JournalLine, ResourceRow } from "./records.ts";

/** Prefix of the `meta` keys that name adopted registries: `<id>`, or `<id>/<env>` for one environment only. */
export const ADOPTED = "adopted:";

/** Statements of the engine, by the fact that they record. */
export const statements = {
  putEnvironment: (one: Environment): Statement => [
    `INSERT INTO environments (name, parent, status, owner, operation, created_at, expires_at, used_at, origin)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE
     SET status = excluded.status, operation = excluded.operation, expires_at = excluded.expires_at`,
    ...[
      one.name,
      one.parent,
      one.status,
      one.owner,
      one.operation,
      one.createdAt,
      one.expiresAt ?? null,
      one.usedAt ?? null,
      one.origin ?? null,
    ],
  ],
  touch: (env: string, at: string): Statement => ["UPDATE environments SET used_at = ? WHERE name = ?", at, env],
  dropEnvironment: (env: string): Statement => ["DELETE FROM environments WHERE name = ?", env],
  /** Ends the adoption for one environment. */
  dropAdoption: (env: string): Statement => ["DELETE FROM meta WHERE key LIKE ?", `${ADOPTED}%/${env}`],
  putResource: (one: ResourceRow): Statement => [
    `INSERT OR REPLACE INTO resources (env, key, kind, name, provider, title, state, operation, id, parent_id, fork, created_at, options)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    ...[one.env, one.key, one.kind, one.name ?? null, one.provider, one.title, one.state, one.operation],
    ...[one.id ?? null, one.parentId ?? null, one.fork ?? null, one.createdAt, JSON.stringify(one.options)],
  ],
  dropResource: (env: string, key: string): Statement => ["DELETE FROM resources WHERE env = ? AND key = ?", env, key],
  putCheckout: (one: Checkout): Statement => [
    `INSERT OR REPLACE INTO checkouts (host, path, git_dir, git_branch, env, used_at) VALUES (?, ?, ?, ?, ?, ?)`,
    ...[one.host, one.path, one.gitDir ?? null, one.gitBranch ?? null, one.env, one.usedAt],
  ],
  useCheckout: ({ host, path, env, usedAt }: Checkout): Statement => [
    "UPDATE checkouts SET used_at = ? WHERE host = ? AND path = ? AND env = ?",
    ...[usedAt, host, path, env],
  ],
  dropCheckout: ({ host, path, env, usedAt }: Checkout): Statement => [
    "DELETE FROM checkouts WHERE host = ? AND path = ? AND env = ? AND used_at = ?", // not one that came anew meanwhile
    ...[host, path, env, usedAt],
  ],
  journal: (line: Omit<JournalLine, "seq">): Statement => [
    "INSERT INTO journal (operation, env, resource, step, phase, id, at) VALUES (?, ?, ?, ?, ?, ?, ?)",
    ...[line.operation, line.env, line.resource, line.step, line.phase, line.id ?? null, line.at],
  ],
};
