/**
 * The secrets of environments, as the command line reads and changes them.
 *
 * @module
 */
import { ForkstackError } from "../../mod.ts";
import { baseResource } from "./variables.ts";
import type { Engine } from "../engine/engine.ts";
import { standing } from "../engine/look.ts";
import { fileError } from "../system/files.ts";
import { readyEnvironment } from "./find_environment.ts";
import type { Context, Held, Scope, SecretsAccess } from "../provider.ts";
import { statements } from "../state/statements.ts";
import { BASE_ENVS, type Resource, titleOf } from "../project/project.ts";
import type { Changes, Secrets } from "../secret.ts";
import { contextOf, journalOf, markerOf, scopeOf } from "../engine/context.ts";
import { underLock } from "../engine/under_lock.ts";

/** The secrets of one environment. */
export interface Keyring {
  readonly env: string;
  /** The resource's key, e.g. `"secrets"`. */
  readonly resource: string;
  read(): Promise<Secrets>;
  /** Changes them under the environment's lock; `check` sees what is there right before. */
  write(changes: Changes, check?: (now: Secrets) => void): Promise<void>;
}

/** The secrets of an environment that is complete, or of a base one; `name` where the stack has several. */
export async function openKeyring(engine: Engine, env: string, name?: string): Promise<Keyring> {
  const resource = secretsResource(engine, name);
  const { held, operation } = await heldOf(engine, resource, env);
  const { key, provider } = resource;
  const access = provider.secrets as SecretsAccess<unknown>;
  const scope: Scope<unknown> = scopeOf(engine, resource);
  const read = async (context: Context = contextOf(engine, provider)): Promise<Secrets> => {
    const all = await access.read(context, held, scope).catch(told(`read ${key} of "${env}"`));
    engine.world.secrets.push(...Object.values(all)); // no error shows them from here on
    return Object.fromEntries(Object.entries(all).sort(([a], [b]) => a < b ? -1 : 1));
  };
  return {
    env,
    resource: key,
    read: () => read(),
    async write(changes, check) {
      if (Object.keys(changes).length === 0) return;
      await underLock(engine, env, "secrets", async (worker) => {
        if (!BASE_ENVS.includes(env)) await assertSame(engine, env, key, held);
        const marker = markerOf(engine, { env, key, title: held.name, operation });
        const context = contextOf(engine, provider, { worker, marker });
        if (check !== undefined) check(await read(context));
        const line = { ...journalOf(engine, marker, "secrets"), id: held.id };
        await worker.write([statements.journal({ ...line, phase: "intent" })]);
        await access.write(context, held, scope, changes).catch(told(`change ${key} of "${env}"`));
        await worker.write([statements.journal({ ...line, phase: "done" })]);
      });
    },
  };
}

/** Rejects where the environment was deleted while its lock was waited for, or made again. */
async function assertSame(engine: Engine, env: string, key: string, held: Held): Promise<void> {
  await readyEnvironment(engine, env, "use the secrets of");
  if ((await engine.registry.resources(env)).some((row) => row.key === key && row.id === held.id)) return;
  throw new ForkstackError(
    "CONFLICT",
    `Cannot change ${key} of environment "${env}": it was deleted and created again during the run`,
    {
      hint: "Run the same command again if the change is for the new one",
      retryable: true,
      details: { env, resource: key },
    },
  );
}

function told(what: string): (error: unknown) => never {
  return (error) => {
    throw fileError(error, what);
  };
}

function secretsResource({ resources }: Engine, name: string | undefined): Resource {
  const all = resources.filter(({ kind }) => kind === "secrets");
  const found = name === undefined && all.length === 1 ? all[0] : all.find((one) => one.name === name);
  if (found?.provider.secrets !== undefined) return found;
  if (all.length === 0) {
    throw new ForkstackError("USAGE", "Cannot use secrets: forkstack.json declares none", {
      hint: 'Add "secrets": {"provider": "env-file"}',
    });
  }
  const names = all.flatMap((one) => one.name === undefined ? [] : [`"${one.name}"`]).join(", ");
  const which = name === undefined ? "" : ` "${name}"`;
  throw new ForkstackError(
    "USAGE",
    `Cannot use secrets${which}: forkstack.json declares ${names || "one without a name"}`,
    { hint: names === "" ? "Leave --resource out" : "Name one with --resource" },
  );
}

/** Returns the resource that holds the secrets of an environment. */
async function heldOf(engine: Engine, resource: Resource, env: string): Promise<{ held: Held; operation: string }> {
  const title = titleOf(engine.project, resource, env);
  if (BASE_ENVS.includes(env)) return { held: await baseResource(engine, resource, title, env), operation: "base" };
  await readyEnvironment(engine, env, "use the secrets of");
  const row = (await engine.registry.resources(env)).find(({ key }) => key === resource.key);
  if (row?.id !== undefined) {
    return { held: await standing(engine, resource, row, "use"), operation: row.operation };
  }
  throw new ForkstackError("CONFLICT", `Cannot use ${resource.key} of environment "${env}": it has none`, {
    hint: `Complete it with \`forkstack new ${env}\``,
    details: { env, resource: resource.key },
  });
}
