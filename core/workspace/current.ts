/**
 * The environment that a directory points to.
 *
 * @module
 */
import { deploymentOf, findProject, ForkstackError, isForkstackError, openStack, type Stack } from "../../mod.ts";
import { rawVariable, variable } from "../system/host.ts";
import type { Project } from "../project/project.ts";

/** The environment that a directory is on, whether or not its files agree. */
export interface Current {
  /** Absent in a linked git worktree that points to none. */
  readonly env: string | undefined;
  readonly decidedBy: string;
  /** Tells why the getters of `mod.ts` use no environment here; `undefined` where they do. */
  readonly problem?: () => ForkstackError | undefined;
}

/** The environment that this directory points to, and what decided it. */
export function currentEnv(project: Project): Current {
  if (project.current !== undefined) return project.current;
  const stack = stackOf(project);
  const { decidedBy } = stack;
  return { env: decidedBy === "nothing" ? undefined : stack.env, decidedBy, problem: () => problemOf(stack) };
}

/** Where this directory is once its pointer is gone, or was before: as `openStack()` of `mod.ts` decides it. */
export function withoutPointer(project: Project): Current {
  if (project.current !== undefined || isNamedByProcess()) return currentEnv(project);
  const isLinked = findProject(project.root)?.isLinkedWorktree;
  return isLinked ? { env: undefined, decidedBy: "nothing" } : { env: "dev", decidedBy: "default" };
}

/** The end of a sentence on a directory whose environment `gone` is deleted: `"on dev"`. */
export function standingText({ env, decidedBy }: Current, gone: string): string {
  if (env === undefined) return "on no environment";
  return env === gone ? `on no environment until ${decidedBy} is unset` : `on ${env}`;
}

/** Tells of a directory that is on an environment, before that is deleted. */
export function leavingText(env: string, after: Current, verb: "will" | "would"): string {
  return `This directory is on ${env} and ${verb} then be ${standingText(after, env)}`;
}

/** Tells a person whose directory lost its pointer where it is, and the next command where it is on no environment. */
export function leftText(project: Project, gone: string): string {
  const now = withoutPointer(project);
  const next = now.env === undefined ? ": continue with `forkstack switch dev` or `forkstack new`" : "";
  return `This directory is now ${standingText(now, gone)}${next}`;
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

function problemOf(stack: Stack): ForkstackError | undefined {
  try {
    stack.current();
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
    const hint = "Switch to an environment with `forkstack switch dev`";
    throw new ForkstackError(error.code, error.message, { hint, cause: error });
  }
}

/** Whether the process environment says which environment is current, and not a file that could be mended. */
export function isNamedByProcess(): boolean {
  return [variable("FORKSTACK_ENV"), deploymentOf(variable("ENV"))].some((value) => value !== undefined);
}
