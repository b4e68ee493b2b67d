import { parseEnvName } from "../../mod.ts";
import { type Answer, type Call, usage } from "./_call.ts";
import { sealConfig } from "../config.ts";
import { createEnvironment, type NewOptions, planEnvironment } from "../create.ts";
import type { Engine } from "../engine.ts";
import { leaseEnd, parsePoint } from "../lease.ts";
import { randomName } from "../names.ts";
import * as output from "../output.ts";
import { text, withEngine } from "./_open.ts";

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
    env ??= randomName((await engine.registry.environments()).map((one) => one.name));
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
    const made = await createEnvironment(engine, plan.env, optionsOf(engine, plan.env));
    await sealConfig(engine.project);
    return made;
  });
  return { data: result, text: (style) => output.readyText(result, "new", style) };
}
