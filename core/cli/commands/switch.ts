import { declaredResources, parseEnvName } from "../../../mod.ts";
import type { CommandResult, Invocation } from "../command_line.ts";
import { sealConfig } from "../../project/open_project.ts";
import type { Catalog } from "../../provider.ts";
import { files } from "../../system/files.ts";
import * as output from "../output.ts";
import { resultOf } from "../../lifecycle/describe.ts";
import { needsNoProvider, switchEnvironment, usable } from "../../lifecycle/switch.ts";
import { withEngine } from "../session.ts";
import { BASE_ENVS, isBuiltIn, isEmbedded, type Project } from "../../project/project.ts";
import type { CommandFile } from "../command_file.ts";

/** `switch <env>` */
export const command: CommandFile = {
  order: 2,
  summary: "point this directory at another environment",
  arguments: { labels: ["<env>"], min: 1, max: 1 },
  meanings: {
    "<env>": "an environment of `forkstack list`, or dev, or prod",
  },
  example: "switch alice",
  options: {
    "dry-run": "shared",
  },
  about: [
    "Writes its block in .env.local, and .current-env, so that the app uses that environment from its next start. " +
    "It changes no resource. dev and prod always count as there, though nobody made them; their variables are " +
    "asked of the vendors each time.",
    "First it looks at each resource. One that is gone, or is another's by now, stops it. A vendor that does not " +
    "answer within 3 s is a warning, so that it works without a network, too, where this machine has the variables.",
  ],
  examples: [
    ["switch alice", "the app uses alice from its next start"],
    ["switch dev", "back to what everybody shares"],
    ["switch alice --dry-run", "shows what it holds, and changes nothing"],
  ],
  exits: { 3: "", 4: "", 5: "", 6: "" },
  files: {
    ".env.local": "the variables of that environment, in a block; your own lines stay",
    ".current-env": "",
    ".forkstack/envs/": "the variables of one environment, mode 0600",
  },
  seeAlso: ["list", "status", "new"],
  run: runSwitch,
};

async function runSwitch({ name, flags, io }: Invocation): Promise<CommandResult> {
  const env = parseEnvName(name!);
  return await withEngine(
    io,
    flags["dry-run"] ? "look" : "work",
    async (engine) => {
      if (flags["dry-run"]) {
        const began = performance.now();
        const result = await resultOf(engine, env, await usable(engine, env), { began });
        return { data: { ...result, dryRun: true }, text: () => `Would switch to ${env}` };
      }
      const result = await switchEnvironment(engine, env);
      await sealConfig(engine.project);
      return { data: result, text: (style) => output.readyText(result, "switch", style) };
    },
    {
      isLight: async (project) =>
        flags["dry-run"] === true ||
        (isEmbedded(project.config) && (BASE_ENVS.includes(env) || await isKept(project, env))),
      // Where the variables are here, the vendors are looked at and no script runs.
      reach: async (project) => await isKept(project, env) && !hasOwnCode(project, io.catalog) ? "vendors" : "all",
    },
  );
}

/** Whether this machine has all of the environment's variables. */
async function isKept(project: Project, env: string): Promise<boolean> {
  return !BASE_ENVS.includes(env) && await needsNoProvider({ project, world: { files } }, env);
}

/** Whether a provider is a file of the repository, or of a URL. */
function hasOwnCode({ config }: Project, catalog: Catalog): boolean {
  return declaredResources(config).some(({ kind, provider }) => !isBuiltIn(catalog, kind, provider));
}
