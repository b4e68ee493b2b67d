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
  /** Its name now, if a deletion kept it as a backup. */
  readonly backup?: string;
  readonly durationMs?: number;
  /** Why it failed. */
  readonly error?: { readonly code: string; readonly message: string };
}

/** Milliseconds since `began`, a reading of `performance.now()`. */
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

/** The status that people and JSON are shown. */
export function shownStatus({ status }: Pick<Environment, "status">): "creating" | "ready" | "deleting" | "broken" {
  return status === "undoing" || status === "resetting" ? "broken" : status;
}

/** Commands that complete what was begun; anything else is taken away. */
const MENDING: Partial<Record<Environment["status"], string>> = { creating: "new", resetting: "reset" };

/**
 * The command that mends an environment that is not ready: it completes it, or, where the parent has gone since, takes
 * it away.
 */
export function mendingCommand(environment: Environment, environments?: readonly Environment[]): string {
  const { name, status, parent } = environment;
  const isWithoutParent = environments !== undefined && !BASE_ENVS.includes(parent) &&
    !environments.some((one) => one.name === parent && one.status !== "deleting" && one.status !== "undoing");
  if (isWithoutParent) return `\`forkstack delete ${name}\``;
  return `\`forkstack ${MENDING[status] ?? "delete"} ${name}\``;
}
