import { declaredResources, parseEnvName } from "../../../mod.ts";
import type { CommandResult, Invocation } from "../command_line.ts";
import { sealConfig } from "../../project/open_project.ts";
import type { Catalog } from "../../catalog.ts";
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
  group: "environments",
  summary: "use another environment in this directory",
  arguments: { labels: ["<env>"], min: 1, max: 1 },
  meanings: {
    "<env>": "a name from `forkstack list`, or dev or prod",
  },
  example: "switch alice",
  without: ["yes"],
  options: {
    "dry-run": "shared",
  },
  about: [
    "Writes .current-env and the forkstack block in .env.local. The app uses the new environment after its " +
    "next start. No resource changes. dev and prod always exist; their variables are read from the vendors " +
    "each time.",
    "First it checks each resource. It stops if one is missing or is owned by something else. If a vendor " +
    "does not answer within 3 s, it warns and continues, so switching works offline if this machine has the " +
    "variables.",
  ],
  examples: [
    ["switch alice", "the app uses alice after its next start"],
    ["switch dev", "goes back to the shared environment"],
    ["switch alice --dry-run", "shows what alice contains and changes nothing"],
  ],
  exits: { 3: "", 4: "", 5: "", 6: "" },
  files: {
    ".env.local": "the variables of that environment, in a marked block; your own lines never change",
    ".current-env": "",
    ".forkstack/envs/": "the variables of each environment; only you can read them (mode 0600)",
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

/** Returns true if this machine has all of the environment's variables. */
async function isKept(project: Project, env: string): Promise<boolean> {
  return !BASE_ENVS.includes(env) && await needsNoProvider({ project, world: { files } }, env);
}

/** Returns true if a provider is a file of the repository, or of a URL. */
function hasOwnCode({ config }: Project, catalog: Catalog): boolean {
  return declaredResources(config).some(({ kind, provider }) => !isBuiltIn(catalog, kind, provider));
}
