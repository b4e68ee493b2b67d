/**
 * Reports on environments, for `list` and commands on one environment.
 *
 * @module
 */
import { type CheckoutAccess, type CheckoutReport, checkoutReports } from "../workspace/checkouts.ts";
import { currentEnv } from "../workspace/current.ts";
import type { Engine } from "../engine/engine.ts";
import type { Environment } from "../state/records.ts";
import { type ResourceReport, shownStatus } from "../engine/resource_report.ts";

/** One environment in the words of `--json`. */
export interface EnvironmentReport {
  readonly name: string;
  readonly parent?: string;
  /** `unknown`: the registry could not be asked. */
  readonly status: "creating" | "ready" | "deleting" | "broken" | "unknown" | "gone";
  readonly owner?: string;
  readonly createdAt?: string;
  readonly expiresAt?: string;
  readonly usedAt?: string;
  /** Directories that are on it; absent where the registry could not be asked. */
  readonly checkouts?: readonly CheckoutReport[];
  readonly current: boolean;
}

/** The result of `new`, `switch` and `status`. */
export interface EnvironmentResult {
  readonly environment: EnvironmentReport;
  readonly resources: readonly ResourceReport[];
  /** Names only. */
  readonly variables: readonly string[];
  readonly durationMs: number;
  /** Files of the project that were written besides: `forkstack.json`, `.gitignore`. */
  readonly changedFiles?: readonly string[];
  /** The command that completes it, where an earlier one was cut off. */
  readonly finishWith?: string;
  /** The variable that names another environment than this directory points to: `"FORKSTACK_ENV"` or `"ENV"`. */
  readonly decidedBy?: string;
  /** True if the environment existed already, complete. */
  readonly unchanged?: boolean;
}

/** Every environment that forkstack made, by name. */
export async function listEnvironments(engine: CheckoutAccess): Promise<EnvironmentReport[]> {
  const current = currentEnv(engine.project).env;
  const on = await checkoutReports(engine);
  return (await engine.registry.environments()).map((one) => environmentReport(engine, one, on(one.name), current));
}

/** An environment in the words of `--json`. */
export function environmentReport(
  engine: Pick<Engine, "project">,
  environment: Environment,
  checkouts: readonly CheckoutReport[] | undefined,
  current: string | undefined = currentEnv(engine.project).env,
): EnvironmentReport {
  return {
    name: environment.name,
    parent: environment.parent,
    status: shownStatus(environment),
    owner: environment.owner,
    createdAt: environment.createdAt,
    expiresAt: environment.expiresAt,
    usedAt: environment.usedAt,
    checkouts,
    current: current === environment.name,
  };
}
