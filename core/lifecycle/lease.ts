/**
 * Leases: how long an environment may live, and what goes when that time is over.
 *
 * @module
 */
import { currentEnv } from "../workspace/current.ts";
import type { Engine } from "../engine/engine.ts";
import { standing } from "../engine/look.ts";
import { madeFor } from "../engine/resource.ts";
import { assertUnprotected, readyEnvironment } from "./find_environment.ts";
import { deleteEnvironmentIf, type DeleteResult } from "./delete.ts";
import { resultOf } from "./describe.ts";
import type { EnvironmentResult } from "./report.ts";
import * as workspace from "../workspace/env_files.ts";
import { type Environment, forkOf } from "../state/records.ts";
import { statements } from "../state/statements.ts";
import { type Project, protectedEnvs } from "../project/project.ts";
import type { Variables } from "../secret.ts";
import { outputsOf } from "../engine/outputs.ts";
import { contextOf, journalOf, markerOf, recordedResource, scopeOf } from "../engine/context.ts";
import { underLock } from "../engine/under_lock.ts";
import { parseDuration } from "../text/duration.ts";
import { LEASE_VARIABLE } from "../engine/outputs.ts";

/** The end of a new environment's lease: of `--ttl`, else of `ttl` in forkstack.json; protected ones have none. */
export function leaseEnd(project: Project, env: string, ttl: string | undefined, now: Date): string | undefined {
  if (ttl !== undefined) assertUnprotected(project, env, `give environment "${env}" a lease`);
  if (protectedEnvs(project).includes(env)) return undefined;
  const text = ttl ?? project.config.ttl;
  if (text === undefined) return undefined;
  return new Date(now.getTime() + parseDuration(text, ttl === undefined ? '"ttl" of forkstack.json' : "--ttl"))
    .toISOString();
}

/** Lets an environment live longer: until its lease's end, or now where that is past or there is none, plus `ms`. */
export async function extendLease(engine: Engine, env: string, ms: number): Promise<EnvironmentResult> {
  const began = performance.now();
  assertUnprotected(engine.project, env, `give environment "${env}" a lease`);
  await readyEnvironment(engine, env, "extend");
  return await underLock(engine, env, "extend", async (worker) => {
    const environment = await readyEnvironment(engine, env, "extend");
    const now = engine.world.now().getTime();
    const from = Math.max(now, Date.parse(environment.expiresAt ?? "") || now);
    const expiresAt = new Date(from + ms).toISOString();
    let renewed: Variables = {};
    const rows = await engine.registry.resources(env);
    for (const row of rows) {
      const resource = await recordedResource(engine, row);
      const { provider } = resource;
      const fork = forkOf(row, markerOf(engine, row));
      const { outputsExpire } = provider.capabilities;
      const changes = provider.extend !== undefined || provider.remark !== undefined || outputsExpire;
      if (fork === undefined || !changes) continue;
      await standing(engine, resource, row, "use");
      await worker.write([
        statements.journal({ ...journalOf(engine, fork.marker, "extend"), phase: "intent", id: fork.id }),
      ]);
      const context = contextOf(engine, provider, { worker, marker: fork.marker, rows: [row] });
      const scope = scopeOf(engine, resource, expiresAt);
      await provider.extend?.(context, fork, expiresAt, scope);
      const made = madeFor(resource, { ...environment, expiresAt });
      await provider.remark?.(context, { ...fork, marker: { ...fork.marker, made } }, scope);
      if (outputsExpire) renewed = { ...renewed, ...await outputsOf(engine, { context, resource, held: fork, scope }) };
    }
    await worker.fence(); // else the files may be those of an environment that is gone by now
    await rewrite(engine, env, renewed, expiresAt);
    // After the vendors: a lease that they end earlier than the registry says would be a surprise.
    const extended = { ...environment, expiresAt };
    await worker.write([statements.putEnvironment(extended)]);
    return await resultOf(engine, env, { environment: extended, rows }, { began });
  });
}

/** Puts renewed credentials into the files of this machine, where it has some; `switch` on another asks for its own. */
async function rewrite(engine: Engine, env: string, renewed: Variables, expiresAt: string): Promise<void> {
  const kept = await workspace.readVariables(engine, env);
  if (kept === undefined || Object.keys(renewed).length === 0) return;
  const activate = currentEnv(engine.project).env === env;
  await workspace.changeFiles(engine, {
    env,
    variables: { ...kept, ...renewed, [LEASE_VARIABLE]: expiresAt },
    activate,
    anyway: true,
  });
}

/** The environments that `prune` would delete: expired ones, or with `idleMs` those not switched to for as long. */
export async function prunable(engine: Engine, idleMs: number | undefined): Promise<Environment[]> {
  return (await engine.registry.environments()).filter((one) => isPrunable(engine, one, idleMs));
}

function isPrunable(
  { project, world }: Engine,
  { name, expiresAt, usedAt, createdAt }: Environment,
  idleMs: number | undefined,
): boolean {
  if (protectedEnvs(project).includes(name)) return false;
  const now = world.now();
  if (idleMs === undefined) return expiresAt !== undefined && expiresAt <= now.toISOString();
  return now.getTime() - Date.parse(usedAt ?? createdAt) >= idleMs;
}

/**
 * Deletes an environment that `prunable` gave; `undefined` where it is none of those any more: somebody extended it,
 * used it, made it again or deleted it meanwhile.
 */
export async function pruneEnvironment(
  engine: Engine,
  env: string,
  idleMs: number | undefined,
): Promise<DeleteResult | undefined> {
  return await deleteEnvironmentIf(engine, env, (environment) => isPrunable(engine, environment, idleMs));
}
