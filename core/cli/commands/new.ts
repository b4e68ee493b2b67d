import { type ForkstackError, isForkstackError, parseEnvName } from "../../../mod.ts";
import { type CommandResult, type Invocation, type Io, usage } from "../command_line.ts";
import { sealConfig } from "../../project/open_project.ts";
import { createEnvironment, type NewOptions, planEnvironment } from "../../lifecycle/create.ts";
import type { Engine } from "../../engine/engine.ts";
import { leaseEnd } from "../../lifecycle/lease.ts";
import { load } from "../../system/lazy.ts";
import * as output from "../output.ts";
import { readVariables } from "../../workspace/env_files.ts";
import { text, withEngine } from "../session.ts";
import { parsePoint } from "../../text/duration.ts";
import type { EnvironmentResult } from "../../lifecycle/report.ts";
import type { Project } from "../../project/project.ts";
import type { CommandFile } from "../command_file.ts";

/** `new [name]` */
export const command: CommandFile = {
  order: 1,
  group: "environments",
  summary: "create an environment and switch to it",
  arguments: { labels: ["[name]"], min: 0, max: 1 },
  meanings: {
    "[name]":
      '1 to 63 characters: a-z, 0-9, and "-" inside. Default: the name of the git branch (Feature/Müller gives ' +
      "feature-muller), else of the directory if no branch is checked out, else a generated name",
  },
  example: "new alice",
  options: {
    from: {
      type: "string",
      help: "fork this environment instead of the default parent",
      value: "<env>",
      default: '"parent" in forkstack.json, else prod (dev for a local stack)',
    },
    at: {
      type: "string",
      help: "fork the parent at a point in time: 2026-11-20T10:00:00Z, 2h (ago), or an LSN",
      value: "<point>",
      default: "now",
    },
    ttl: {
      type: "string",
      help: "expire after this time: 90m, 12h, 3d or 2w",
      value: "<time>",
      default: '"ttl" in forkstack.json, else it never expires',
    },
    empty: { type: "boolean", help: "start without data" },
    adopt: "shared",
    "no-switch": { type: "boolean", help: "do not switch to it" },
    "dry-run": "shared",
  },
  about: [
    "Forks every resource in forkstack.json from the parent: all of them or none. Then it writes the " +
    "variables and points this directory at the new environment. Without a forkstack.json it first creates a " +
    "project here, with the local stack that needs no account.",
    "After a crash, a lost connection or Ctrl-C, run the same command again: it continues. `forkstack delete` " +
    "removes what was created so far.",
    "If the environment already exists, `new` checks each resource and switches to it. A missing resource is " +
    "forked again (asks first); the others are not changed. If a vendor does not answer, the command fails. " +
    "An environment of another registry is refused; if that registry is lost, pass --adopt.",
  ],
  examples: [
    ["new alice", "forks the default parent"],
    ["new pr-42 --from dev --ttl 3d", "forks dev; expires in three days"],
    ["new fix --from prod --at 2h", "forks prod as it was two hours ago, if the vendor can do that"],
    ["new alice --dry-run --json", "prints the plan as JSON and creates nothing"],
  ],
  exits: { 3: "", 4: "", 5: "", 6: "", 7: "" },
  files: {
    "forkstack.json": "describes the stack; created if it is missing",
    ".forkstack/envs/": "the variables of each environment; only you can read them (mode 0600)",
    ".env.local": "the variables of the current environment, in a marked block; your own lines never change",
    ".current-env": "",
    ".forkstack/registry.db": "",
    credentials: "",
  },
  seeAlso: ["switch", "delete", "status", "docs/reliability.md"],
  run: runNew,
};

async function runNew({ name, flags, io }: Invocation): Promise<CommandResult> {
  let env = name === undefined ? undefined : parseEnvName(name);
  const at = text(flags.at);
  if (at !== undefined && flags.empty) throw usage("Cannot use --at with --empty", "Leave one of them out");
  const point = at === undefined ? undefined : parsePoint(at, io.now());
  const optionsOf = ({ project }: Engine, env: string): NewOptions => ({
    from: text(flags.from),
    switch: flags["no-switch"] !== true,
    origin: flags.empty ? "empty" : point,
    expiresAt: leaseEnd(project, env, text(flags.ttl), io.now()),
  });
  const plan = await withEngine(io, "plan", async (engine) => {
    env ??= await nameFor(engine);
    return await planEnvironment(engine, env, optionsOf(engine, env));
  }, { reach: flags["dry-run"] ? "registry" : "all" });
  if (flags["dry-run"]) {
    const resources = plan.steps.map(({ resource, title, action }) => ({
      ...output.resourceIdentity(resource),
      provider: resource.provider.name,
      title,
      state: action,
    }));
    return {
      data: { environment: { name: plan.env, parent: plan.parent }, resources, dryRun: true },
      text: (style) => output.planText(plan, style),
    };
  }
  let project: Project | undefined;
  const result = await withEngine(io, "begin", async (engine) => {
    if (flags.adopt) await adopt(engine, plan.env);
    else await refuseLost(engine, plan.env);
    const made = await createEnvironment(engine, plan.env, optionsOf(engine, plan.env)).catch(async (error) => {
      throw await (await rebuilding()).explained(engine, plan.env, error);
    });
    await sealConfig(engine.project);
    project = engine.project;
    return made;
  });
  const error = project?.config.seed !== undefined && lacksData(result)
    ? await seeded(project, plan.env, io)
    : undefined;
  return { data: result, text: (style) => output.readyText(result, "new", style), error };
}

/** Returns true for a new environment whose databases hold no rows; without a database, for one without any data. */
function lacksData({ unchanged, resources }: EnvironmentResult): boolean {
  if (unchanged) return false;
  const databases = resources.filter(({ kind }) => kind === "database");
  const wanted = databases.length > 0 ? databases : resources.filter(({ kind }) => /^(storage|local)$/.test(kind));
  return wanted.length > 0 && wanted.every(({ fork }) => fork === "empty" || fork === "schema-only");
}

/** Runs the seed command; where Deno may run no shell, only says how to. */
async function seeded(project: Project, env: string, io: Io): Promise<ForkstackError | undefined> {
  const { seedEnvironment } = await load<typeof import("./seed.ts")>("core/cli/commands/seed.ts");
  try {
    return await seedEnvironment(project, env, io);
  } catch (error) {
    if (!isForkstackError(error) || error.code !== "NOT_PERMITTED") throw error;
    io.say(`Not seeded: Deno may run no shell here. \`forkstack seed ${env}\` does`);
  }
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
