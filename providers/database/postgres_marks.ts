/**
 * Marks of PostgreSQL: comments on a fork's role and on its database. See postgres.ts.
 */
import type { Context, Copy, Fork, Marker } from "../../core/provider.ts";
import { MARK_GONE } from "../_shared/ownership.ts";
import { literal, quotedIdentifier } from "../_shared/postgres.ts";

/** The variable with the URL of a role that may create databases and roles. */
export const VARIABLE = "POSTGRES_URL";

/** A role or a database, with its comment. */
export interface RoleRow {
  readonly oid: string;
  readonly name: string;
  readonly owner: string | null;
  readonly note: string | null;
}

/** The parts of a comment after the marker. */
export interface RoleNote {
  readonly createdAt: string;
  readonly parent?: string;
  readonly copy?: Copy;
}

export const ROLES =
  "SELECT oid::text, rolname AS name, NULL AS owner, shobj_description(oid, 'pg_authid') AS note FROM pg_roles";
export const DATABASES =
  `SELECT oid::text, datname AS name, datdba::text AS owner, shobj_description(oid, 'pg_database') AS note
  FROM pg_database`;

/**
 * Returns the fork of a role; `undefined` if the role is not ours, or its own database has lost its mark. A database
 * that the role does not own is ignored.
 */
export function roleFork(context: Context, role: RoleRow, database: RoleRow | undefined): Fork | undefined {
  const marker = roleMarker(context, role);
  if (marker === undefined) return undefined;
  const own = database?.owner === role.oid ? database : undefined;
  if (own !== undefined && roleMarker(context, own) === undefined) return undefined;
  const { createdAt, parent, copy } = roleNote(own ?? role)!;
  return {
    id: role.oid,
    name: role.name,
    marker,
    createdAt,
    parentId: parent,
    copy,
  };
}

/**
 * Describes a database of a marked role whose comment is not our mark: it had the mark before its name, so its
 * application changed it, as the owner may. The application cannot change the role's own mark.
 */
export function lostMark(role: RoleRow, database: RoleRow): string {
  if (database.note === null) {
    return `${MARK_GONE}: whoever may change the database removed its comment. To put it back, run ` +
      `\`COMMENT ON DATABASE ${quotedIdentifier(role.name)} IS ${
        literal(role.note!).trim()
      }\` as the role of ${VARIABLE}`;
  }
  const what = database.note.startsWith("forkstack:") ? "a mark of another thing, or a damaged one" : "no mark";
  return `${MARK_GONE}: the comment of database "${role.name}" is ${what}, though the role of this name, which owns it, ` +
    "is marked as this environment's. If the database is the one that was made for it, remove it by hand, or put the " +
    "mark back";
}

export function roleMarker(context: Context, row: RoleRow): Marker | undefined {
  return roleNote(row) === undefined ? undefined : context.markerOf(row.name, row.note!.split(" ")[0]);
}

/** Parses the end of a mark; `undefined` for a damaged one. */
export function roleNote({ note }: RoleRow): RoleNote | undefined {
  try {
    const found = JSON.parse(note!.split(" ").slice(1).join(" ")) as RoleNote | null;
    return typeof found?.createdAt === "string" ? found : undefined;
  } catch {
    return undefined;
  }
}
