/**
 * The mark of a fork: a disabled event in its database, which never runs. MySQL stores no comment on a database, and
 * the body of an event can hold a text of any length.
 *
 * - https://dev.mysql.com/doc/refman/8.4/en/create-event.html, .../information-schema-events-table.html
 */
import { formatMarker } from "../../core/marker.ts";
import type { Context, Copy, Fork, Marker } from "../../core/provider.ts";
import { MARK_GONE, unmarked } from "../_shared/ownership.ts";
import { backquoted, MARK, type MysqlQuery } from "./mysql_server.ts";

/** A database, with the body of its mark event. */
export interface Row {
  readonly name: string;
  readonly body: string | null;
}

/** The parts of a mark after the marker. */
export interface Note {
  /** The fork's id, 16 random hexadecimal digits. */
  readonly id: string;
  readonly createdAt: string;
  readonly parent?: string;
  /** The way of copying; present once the fork is complete. */
  readonly copy?: Copy;
}

export async function look(query: MysqlQuery, name: string): Promise<Row | undefined> {
  const rows = await query(
    `SELECT SCHEMA_NAME AS name, EVENT_DEFINITION AS body FROM information_schema.SCHEMATA
      LEFT JOIN information_schema.EVENTS ON EVENT_SCHEMA = SCHEMA_NAME AND EVENT_NAME = ? WHERE SCHEMA_NAME = ?`,
    [MARK, name],
  ) as Row[];
  return rows.find((row) => row.name === name);
}

/**
 * Returns the statement that creates or changes the mark. A disabled event never runs; this one would set a variable.
 */
export function eventOf(verb: "CREATE" | "ALTER", database: string, marker: Marker, note: Note): string {
  const schedule = verb === "CREATE" ? " ON SCHEDULE EVERY 1 YEAR DISABLE" : "";
  const text = `${formatMarker(marker, database)} ${encodeURIComponent(JSON.stringify(note))}`.replaceAll("'", "%27");
  return `${verb} EVENT ${backquoted(database)}.${MARK}${schedule} DO SET @${MARK} = '${text}'`;
}

/** Returns the text in a mark event, without its quotes. */
function textOf({ body }: Row): readonly [marker: string, note: string] | undefined {
  const [, marker, note] = new RegExp(`^SET @${MARK} = '([^ ']+) ([^ ']+)'$`, "i").exec(body?.trim() ?? "") ?? [];
  return marker === undefined || note === undefined ? undefined : [marker, note];
}

export function databaseMarker(context: Context, row: Row): Marker | undefined {
  return noteOf(row) === undefined ? undefined : context.markerOf(row.name, textOf(row)![0]);
}

/** Parses the end of a mark; `undefined` for a damaged one. */
export function noteOf(row: Row): Note | undefined {
  try {
    const note = JSON.parse(decodeURIComponent(textOf(row)![1])) as Note | null;
    return ID.test(note?.id ?? "") && typeof note?.createdAt === "string" ? note : undefined;
  } catch {
    return undefined;
  }
}

export const ID = /^[0-9a-f]{16}$/;

export function databaseFork(name: string, marker: Marker, { id, createdAt, parent, copy }: Note): Fork {
  return {
    id,
    name,
    marker,
    createdAt,
    parentId: parent,
    copy,
  };
}

/**
 * Returns the reason why a database without a mark is foreign; if one of ours was there, with the statement that
 * restores the mark.
 */
export async function lostMark(context: Context, name: string, marker: Marker): Promise<string> {
  const reason = await unmarked(context, name, `the database "${name}"`);
  const id = (await context.recorded(name)).map((one) => one.id).find((one) => ID.test(one));
  if (!reason.startsWith(MARK_GONE) || id === undefined) return reason;
  const note = { id, createdAt: context.now().toISOString(), copy: "full-copy" } as const;
  return `${reason}: \`${eventOf("CREATE", name, marker, note)}\``;
}
