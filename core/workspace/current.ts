/**
 * The environment that a directory points to.
 *
 * @module
 */
import { deploymentOf, findProject, ForkstackError, isForkstackError, openStack, type Stack } from "../../mod.ts";
import { rawVariable, variable } from "../system/host.ts";
import { standingText } from "../text/phrases.ts";
import type { Project } from "../project/project.ts";

/** The environment that a directory points to, even if its files disagree. */
export interface Current {
  /** Absent in a linked git worktree that points to none. */
  readonly env: string | undefined;
  readonly decidedBy: string;
  /** Returns the reason why the getters of `mod.ts` refuse to use an environment here; `undefined` if they do not. */
  readonly problem?: () => ForkstackError | undefined;
}

/** Returns the environment that this directory points to, and the source that decided it. */
export function currentEnv(project: Project): Current {
  if (project.current !== undefined) return project.current;
  const stack = stackOf(project);
  const { decidedBy } = stack;
  return { env: decidedBy === "nothing" ? undefined : stack.env, decidedBy, problem: () => problemOf(stack) };
}

/** Returns the environment of this directory without its pointer, as `openStack()` of `mod.ts` decides it. */
export function withoutPointer(project: Project): Current {
  if (project.current !== undefined || isNamedByProcess()) return currentEnv(project);
  const isLinked = findProject(project.root)?.isLinkedWorktree;
  return isLinked ? { env: undefined, decidedBy: "nothing" } : { env: "dev", decidedBy: "default" };
}

/** Returns the sentence that says that a directory will leave the environment which is to be deleted. */
export function leavingText(env: string, after: Current, verb: "will" | "would"): string {
  return `This directory is on ${env} and ${verb} then be ${standingText(after, env)}`;
}

/**
 * Returns the sentence that says which environment a directory without its pointer uses, with the next command if none.
 */
export function leftText(project: Project, gone: string): string {
  const now = withoutPointer(project);
  const next = now.env === undefined ? ": continue with `forkstack switch dev` or `forkstack new`" : "";
  return `This directory is now ${standingText(now, gone)}${next}`;
}

/**
 * Returns the current environment, for a command without an environment argument, as the getters of `mod.ts` have it.
 * The command itself checks in the registry that it exists.
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

/** Returns true if a variable of the process decides the current environment, and not a file that could be changed. */
export function isNamedByProcess(): boolean {
  return [variable("FORKSTACK_ENV"), deploymentOf(variable("ENV"))].some((value) => value !== undefined);
}
