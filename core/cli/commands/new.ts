import { parseEnvName } from "../../../mod.ts";
import { type Answer, type Call, usage } from "../command_line.ts";
import { sealConfig } from "../../project/open_project.ts";
import { createEnvironment, type NewOptions, planEnvironment } from "../../lifecycle/create.ts";
import type { Engine } from "../../engine/engine.ts";
import { leaseEnd } from "../../lifecycle/lease.ts";
import { load } from "../../system/lazy.ts";
import * as output from "../output.ts";
import { readVariables } from "../../workspace/env_files.ts";
import { text, withEngine } from "../session.ts";
import { parsePoint } from "../../text/duration.ts";

/** `new [name]` */
export async function runNew({ name, flags, io }: Call): Promise<Answer> {
  let env = name === undefined ? undefined : parseEnvName(name);
  const at = text(flags.at);
  if (at !== undefined && flags.empty) throw usage("Cannot use --at with --empty", "Leave one of them out");
  const origin = flags.empty ? "empty" : at === undefined ? undefined : parsePoint(at, io.now());
  const common = {
    from: text(flags.from),
    switch: flags["no-switch"] !== true,
    ...(origin === undefined ? {} : { origin }),
  };
  const optionsOf = ({ project }: Engine, env: string): NewOptions => {
    const expiresAt = leaseEnd(project, env, text(flags.ttl), io.now());
    return expiresAt === undefined ? common : { ...common, expiresAt };
  };
  const plan = await withEngine(io, "plan", async (engine) => {
    env ??= await nameFor(engine);
    return await planEnvironment(engine, env, optionsOf(engine, env));
  }, { reach: flags["dry-run"] ? "registry" : "all" });
  if (flags["dry-run"]) {
    const resources = plan.steps.map(({ resource, title, action }) => ({
      ...output.named(resource),
      provider: resource.provider.name,
      title,
      state: action,
    }));
    return {
      data: { environment: { name: plan.env, parent: plan.parent }, resources, dryRun: true },
      text: (style) => output.planText(plan, style),
    };
  }
  const result = await withEngine(io, "begin", async (engine) => {
    if (flags.adopt) await adopt(engine, plan.env);
    else await refuseLost(engine, plan.env);
    const made = await createEnvironment(engine, plan.env, optionsOf(engine, plan.env)).catch(async (error) => {
      throw await (await rebuilding()).explained(engine, plan.env, error);
    });
    await sealConfig(engine.project);
    return made;
  });
  return { data: result, text: (style) => output.readyText(result, "new", style) };
}

/** Takes up an environment that is there, and that this registry does not know. */
async function adopt(engine: Engine, env: string): Promise<void> {
  if (await engine.registry.environment(env) !== undefined) return;
  const { lookFor, takeUp } = await rebuilding();
  const { others } = await lookFor(engine, env);
  await takeUp(engine, env, { adopt: others });
}

/** Refuses an environment of which this machine has a file and its registry no row: an undo would take the file. */
async function refuseLost(engine: Engine, env: string): Promise<void> {
  if (await engine.registry.environment(env) !== undefined || await readVariables(engine, env) === undefined) return;
  const { lookFor, notMineToMake } = await rebuilding();
  const error = notMineToMake(env, await lookFor(engine, env));
  if (error !== undefined) throw error;
}

async function rebuilding() {
  return await load<typeof import("../../lifecycle/rebuild.ts")>("core/lifecycle/rebuild.ts");
}

/** A name for an environment that nobody named. */
async function nameFor({ project, registry }: Engine): Promise<string> {
  const { unnamed } = await load<typeof import("../../lifecycle/default_name.ts")>("core/lifecycle/default_name.ts");
  return await unnamed(project.root, async () => (await registry.environments()).map(({ name }) => name));
}
