/**
 * The records of a registry: environments, their resources, the journal, locks and checkouts.
 *
 * @module
 */
import type { ForkstackError, Kind } from "../../mod.ts";
import type { Copy, Fork, Marker } from "../provider.ts";
import type { Statement } from "./sql.ts";

/**
 * `undoing`: a `new` failed and what it made is being removed. `resetting`: a `reset` has begun to put new forks in the
 * place of the old. Both are shown as `broken`, as nothing else is.
 */
export type Status = "creating" | "ready" | "deleting" | "undoing" | "resetting";

/** One environment. */
export interface Environment {
  readonly name: string;
  readonly parent: string;
  readonly status: Status;
  readonly owner: string;
  /** The run that is making or changing it, or did last. */
  readonly operation: string;
  readonly createdAt: string;
  readonly expiresAt?: string;
  readonly usedAt?: string;
  /** `"empty"`, or a point in the parent's past. Absent if it was forked from the parent as it stood. */
  readonly origin?: string;
}

/** One resource of an environment, as far as it is known. */
export interface ResourceRow {
  readonly env: string;
  readonly key: string;
  readonly kind: Kind;
  readonly name?: string;
  readonly provider: string;
  readonly title: string;
  readonly state: "creating" | "ready" | "deleting";
  readonly operation: string;
  /** The vendor's id; absent while no answer has come. */
  readonly id?: string;
  readonly parentId?: string;
  readonly fork?: Copy;
  readonly createdAt: string;
  /** The provider's options when it was made: it is deleted with these, whatever forkstack.json says by then. */
  readonly options: unknown;
}

/** One line of the journal. */
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

/** A fork that outlived its environment, as a backup. */
export interface KeptFork {
  readonly env: string;
  readonly resource: string;
  readonly operation: string;
  readonly id: string;
  /** Since when. */
  readonly at: string;
}

/** Who works on an environment. */
export interface Lock {
  readonly env: string;
  /** `user@host:pid:nonce` */
  readonly owner: string;
  readonly purpose: string;
  /** Grows with every holder. */
  readonly token: number;
  /** Grows while the holder lives. */
  readonly beat: number;
}

/** One directory that points to an environment. */
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

/** A directory whose registry this one is a copy of. */
export interface Original {
  /** Directory of its registry. */
  readonly directory: string;
  /** Last line of the journal that was copied. */
  readonly seq: number;
}

/** A row that fails its check. */
export interface DamagedRow {
  readonly table: string;
  /** REGISTRY_DAMAGED, naming the row. */
  readonly error: ForkstackError;
  /** The environment that it says it is of, where that is a name. */
  readonly env?: string;
  /** Removes the row, and touches nothing else. */
  readonly forget: Statement;
}

/** The fork that a row remembers, if its vendor's answer came; `marker` is the row's. */
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
