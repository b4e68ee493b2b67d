/**
 * Finding the environment that a command names, or saying well why not.
 *
 * @module
 */
import { ForkstackError } from "../../mod.ts";
import { load } from "../system/lazy.ts";
import type { Registry } from "../state/registry.ts";
import type { Environment, ResourceRow } from "../state/records.ts";
import { BASE_ENVS, type Project, protectedEnvs } from "../project/project.ts";
import type { Workspace } from "../workspace/workspace.ts";

/** A project with its registry, which is asked for an environment. */
type Known = Workspace & { readonly registry: Registry };

/** An environment as the registry has it; without one, and without rows, for a base environment that nobody made. */
export interface RecordedEnvironment {
  readonly environment: Environment | undefined;
  readonly rows: readonly ResourceRow[];
}

/** Reads what is recorded of an environment; rejects where that is damaged. Under its lock it changes no more. */
export async function recordedEnvironment(
  { registry }: Pick<Known, "registry">,
  env: string,
): Promise<RecordedEnvironment> {
  return { environment: await registry.environment(env), rows: await registry.resources(env) };
}

/** An environment that forkstack made; `ENV_NOT_FOUND` with the nearest names, or why it is gone, if there is none. */
export async function madeEnvironment(known: Known, env: string, verb: string): Promise<Environment> {
  const { registry } = known;
  const environment = await registry.environment(env);
  if (environment !== undefined) return environment;
  throw await notMade(known, env, verb);
}

/** `ENV_NOT_FOUND` with the nearest names, or why the environment is gone. */
export async function notMade(known: Known, env: string, verb: string): Promise<ForkstackError> {
  const gone = await whyGone(known, env);
  if (gone !== undefined) return (await plan()).noSuchEnvironment(env, verb, [], gone);
  const names = (await known.registry.environments()).map(({ name }) => name);
  const { nearest } = await load<typeof import("../text/did_you_mean.ts")>("core/text/did_you_mean.ts");
  return (await plan()).noSuchEnvironment(env, verb, await nearest(env, [...BASE_ENVS, ...names]));
}

/** The words for what is not as it should be: most commands need none. */
async function plan(): Promise<typeof import("./plan.ts")> {
  return await load<typeof import("./plan.ts")>("core/lifecycle/plan.ts");
}

/**
 * Returns the reason why an environment is gone: the journal knows it, or this directory points to it and the registry
 * was removed, as by `git clean -fdx`. `undefined` if it never existed.
 */
export async function whyGone(known: Known, env: string): Promise<string | undefined> {
  if (await known.registry.wasMade(env)) return "it was deleted";
  const { pointsTo } = await load<typeof import("../workspace/leave.ts")>("core/workspace/leave.ts");
  return await pointsTo(known, env) ? "it was removed outside forkstack" : undefined;
}

/** One that is complete as well. */
export async function readyEnvironment(known: Known, env: string, verb: string): Promise<Environment> {
  const environment = await madeEnvironment(known, env, verb);
  if (environment.status !== "ready") throw (await plan()).notReady(environment, verb);
  return environment;
}

/** One that can be used: its lease has not ended either. */
export async function usableEnvironment(
  known: Known & { readonly world: { readonly now: () => Date } },
  env: string,
  verb: string,
): Promise<Environment> {
  const environment = await readyEnvironment(known, env, verb);
  assertLeased(environment, known.world.now(), verb);
  return environment;
}

/** `CONFLICT` for an environment whose lease has ended: it may be deleted at any time. */
export function assertLeased({ name, expiresAt }: Environment, now: Date, verb: string): void {
  if (expiresAt === undefined || Date.parse(expiresAt) > now.getTime()) return;
  throw new ForkstackError("CONFLICT", `Cannot ${verb} environment "${name}": its lease ended ${expiresAt}`, {
    hint: `It may be deleted at any time; keep it with \`forkstack extend ${name} 2d\``,
    details: { env: name },
  });
}

/** `ENV_PROTECTED` for an environment that a command may not change; `what` is what it would do to it. */
export function assertUnprotected(project: Project, env: string, what: string): void {
  if (!protectedEnvs(project).includes(env)) return;
  throw new ForkstackError("ENV_PROTECTED", `Cannot ${what}: it is protected`, {
    hint: BASE_ENVS.includes(env)
      ? "dev and prod stay as they are; only an import changes dev"
      : 'Take it out of "protected" in forkstack.json first',
    details: { env },
  });
}
