/**
 * The environment that a directory points to.
 *
 * @module
 */
import { deploymentOf, ForkstackError, isForkstackError, openStack, type Stack } from "../../mod.ts";
import { rawVariable, variable } from "../system/host.ts";
import type { Project } from "../project/project.ts";

/** The environment that a directory is on, whether or not its files agree. */
export interface Current {
  /** Absent in a linked git worktree that points to none. */
  readonly env: string | undefined;
  readonly decidedBy: string;
}

/** The environment that this directory points to, and what decided it. */
export function currentEnv(project: Project): Current {
  const stack = stackOf(project);
  const { decidedBy } = stack;
  return { env: decidedBy === "nothing" ? undefined : stack.env, decidedBy };
}

/**
 * The environment for a command that was told none, as the getters of `mod.ts` have it; whether it was made, the command
 * asks the registry.
 *
 * @throws {ForkstackError} ENV_UNSET, ENV_CONFLICT
 */
export function meantEnv(project: Project): string {
  const stack = stackOf(project);
  try {
    return stack.current();
  } catch (error) {
    if (isForkstackError(error) && error.code === "ENV_UNKNOWN") return stack.env;
    throw error;
  }
}

/** Why the getters of `mod.ts` use no environment here; `undefined` where they do. */
export function currentProblem(project: Project): ForkstackError | undefined {
  try {
    stackOf(project).current();
  } catch (error) {
    if (isForkstackError(error)) return error;
    throw error;
  }
}

function stackOf(project: Project): Stack {
  try {
    return openStack({ cwd: project.root, read: rawVariable });
  } catch (error) {
    if (isNamedByProcess() || !isForkstackError(error) || error.code !== "NAME_INVALID") throw error;
    const hint = "Point to an environment with `forkstack switch dev`";
    throw new ForkstackError(error.code, error.message, { hint, cause: error });
  }
}

/** Whether the process environment says which environment is current, and not a file that could be mended. */
export function isNamedByProcess(): boolean {
  return [variable("FORKSTACK_ENV"), deploymentOf(variable("ENV"))].some((value) => value !== undefined);
}
