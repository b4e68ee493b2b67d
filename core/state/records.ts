/**
 * The records of a registry: environments, their resources, the journal, locks and checkouts.
 *
 * @module
 */
import type { ForkstackError, Kind } from "../../mod.ts";
import type { Copy, Fork, Marker } from "../provider.ts";
import type { Statement } from "./sql.ts";

/**
 * The state of an environment. `undoing`: `new` failed, and what it made is being removed. `resetting`: `reset` has
 * begun to replace the forks. Both are shown as `broken`, and no other status is.
 */
export type Status = "creating" | "ready" | "deleting" | "undoing" | "resetting";

/** An environment. */
export interface Environment {
  readonly name: string;
  readonly parent: string;
  readonly status: Status;
  readonly owner: string;
  /** The id of the run that changes it now, or changed it last. */
  readonly operation: string;
  readonly createdAt: string;
  readonly expiresAt?: string;
  readonly usedAt?: string;
  /** `"empty"`, or a point in the parent's past. Absent if it was forked from the parent's present state. */
  readonly origin?: string;
}

/** A resource of an environment, as recorded. */
export interface ResourceRow {
  readonly env: string;
  readonly key: string;
  readonly kind: Kind;
  readonly name?: string;
  readonly provider: string;
  readonly title: string;
  readonly state: "creating" | "ready" | "deleting";
  readonly operation: string;
  /** The vendor's id; absent until its answer has come. */
  readonly id?: string;
  readonly parentId?: string;
  readonly fork?: Copy;
  readonly createdAt: string;
  /** The provider's options at creation; its deletion uses them, whatever forkstack.json says by then. */
  readonly options: unknown;
}

/** A line of the journal. */
export interface JournalLine {
  readonly seq: number;
  readonly operation: string;
  readonly env: string;
  readonly resource: string;
  readonly step: string;
  readonly phase: "intent" | "record" | "done" | "failed";
  readonly id?: string;
  readonly at: string;
}

/** A fork that was kept as a backup after its environment was deleted. */
export interface KeptFork {
  readonly env: string;
  readonly resource: string;
  readonly operation: string;
  readonly id: string;
  /** The instant at which it was kept. */
  readonly at: string;
}

/** The lock of an environment, and its holder. */
export interface Lock {
  readonly env: string;
  /** `user@host:pid:nonce` */
  readonly owner: string;
  readonly purpose: string;
  /** A number that grows with every holder. */
  readonly token: number;
  /** A number that grows while the holder lives. */
  readonly beat: number;
}

/** A directory that points to an environment. */
export interface Checkout {
  /** Name of its machine; empty where the registry is a file of one machine. */
  readonly host: string;
  /** Real path of the directory of `.current-env`. */
  readonly path: string;
  /** Git's directory of this checkout alone, e.g. `"/app/.git/worktrees/w"`. */
  readonly gitDir?: string;
  readonly gitBranch?: string;
  readonly env: string;
  readonly usedAt: string;
}

/** A directory whose registry was copied to make this one. */
export interface Original {
  /** Path of its registry's directory. */
  readonly directory: string;
  /** Number of the last journal line that was copied. */
  readonly seq: number;
}

/** A row that fails its check. */
export interface DamagedRow {
  readonly table: string;
  /** A REGISTRY_DAMAGED error that names the row. */
  readonly error: ForkstackError;
  /** The environment that the row names, if that is a valid name. */
  readonly env?: string;
  /** The statement that removes this row and nothing else. */
  readonly forget: Statement;
}

/** Returns the fork of a row with the given marker; `undefined` if the vendor's id is not known. */
export function forkOf(row: ResourceRow, marker: Marker): Fork | undefined {
  if (row.id === undefined) return undefined;
  return {
    id: row.id,
    name: row.title,
    parentId: row.parentId,
    marker,
    createdAt: row.createdAt,
    copy: row.fork,
  };
}
