/**
 * One resource as commands report it.
 *
 * @module
 */
import type { Copy } from "../provider.ts";
import type { Environment, ResourceRow } from "../state/records.ts";
import { BASE_ENVS } from "../project/project.ts";

/** One resource as commands report it. */
export interface ResourceReport {
  readonly key: string;
  readonly kind: string;
  readonly name?: string;
  readonly provider: string;
  readonly id?: string;
  readonly title: string;
  readonly fork?: Copy;
  readonly state: string;
  /** Its new name, if it was kept as a backup. */
  readonly backup?: string;
  readonly durationMs?: number;
  /** The error of a failed step. */
  readonly error?: { readonly code: string; readonly message: string };
}

/** Returns the milliseconds since `began`, a reading of `performance.now()`. */
export function elapsed(began: number): number {
  return Math.round((performance.now() - began) * 10) / 10;
}

/** Reports a recorded resource. */
export function reportOf(row: ResourceRow, state: string, durationMs?: number): ResourceReport {
  return {
    key: row.key,
    kind: row.kind,
    name: row.name,
    provider: row.provider,
    id: row.id,
    title: row.title,
    fork: row.fork,
    state,
    durationMs: durationMs === undefined ? undefined : Math.round(durationMs * 10) / 10,
  };
}

/** Returns the status as shown to people and in JSON. */
export function shownStatus({ status }: Pick<Environment, "status">): "creating" | "ready" | "deleting" | "broken" {
  return status === "undoing" || status === "resetting" ? "broken" : status;
}

/** Commands that complete an unfinished state; any other state ends with a deletion. */
const MENDING: Partial<Record<Environment["status"], string>> = { creating: "new", resetting: "reset" };

/**
 * Returns the command that repairs an environment that is not ready: it completes the environment, or deletes it if its
 * parent is gone.
 */
export function mendingCommand(environment: Environment, environments?: readonly Environment[]): string {
  const { name, status, parent } = environment;
  const isWithoutParent = environments !== undefined && !BASE_ENVS.includes(parent) &&
    !environments.some((one) => one.name === parent && one.status !== "deleting" && one.status !== "undoing");
  if (isWithoutParent) return `\`forkstack delete ${name}\``;
  return `\`forkstack ${MENDING[status] ?? "delete"} ${name}\``;
}
