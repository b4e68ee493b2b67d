/**
 * The environment that a directory points to.
 *
 * @module
 */
import { ForkstackError, isForkstackError, openStack } from "../mod.ts";
import type { Project } from "./config.ts";
import { rawVariable, variable } from "./host.ts";

/** The environment that this directory points to, and what decided it. */
export function currentEnv(project: Project): { env: string; decidedBy: string } {
  try {
    const { env, decidedBy } = openStack({ cwd: project.root, read: rawVariable });
    return { env, decidedBy };
  } catch (error) {
    if (isNamedByProcess() || !isForkstackError(error) || error.code !== "NAME_INVALID") throw error;
    const hint = "Point to an environment with `forkstack switch dev`";
    throw new ForkstackError(error.code, error.message, { hint, cause: error });
  }
}

/** Whether the process environment says which environment is current, and not a file that could be mended. */
export function isNamedByProcess(): boolean {
  return [variable("FORKSTACK_ENV"), variable("ENV")].some((value) => value !== undefined);
}
