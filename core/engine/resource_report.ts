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
    ...(row.name === undefined ? {} : { name: row.name }),
    provider: row.provider,
    ...(row.id === undefined ? {} : { id: row.id }),
    title: row.title,
    ...(row.fork === undefined ? {} : { fork: row.fork }),
    state,
    ...(durationMs === undefined ? {} : { durationMs: Math.round(durationMs * 10) / 10 }),
  };
}

/** The status that people and JSON are shown. */
export function shownStatus({ status }: Pick<Environment, "status">): "creating" | "ready" | "deleting" | "broken" {
  return status === "undoing" || status === "resetting" ? "broken" : status;
}

/**
 * The command that mends an environment that is not ready: it completes it, or, where the parent has gone since, takes
 * it away.
 */
export function mendingCommand(environment: Environment, environments?: readonly Environment[]): string {
  const { name, status, parent } = environment;
  const isWithoutParent = environments !== undefined && !BASE_ENVS.includes(parent) &&
    !environments.some((one) => one.name === parent && one.status !== "deleting" && one.status !== "undoing");
  if (isWithoutParent) return `\`forkstack delete ${name}\``;
  const verb = status === "creating" ? "new" : status === "resetting" ? "reset" : "delete";
  return `\`forkstack ${verb} ${name}\``;
}
