import { declaredResources, parseEnvName } from "../../../mod.ts";
import type { Answer, Call } from "../command_line.ts";
import { sealConfig } from "../../project/open_project.ts";
import type { Catalog } from "../../provider.ts";
import { files } from "../../system/files.ts";
import * as output from "../output.ts";
import { resultOf } from "../../lifecycle/describe.ts";
import { needsNoProvider, switchEnvironment, usable } from "../../lifecycle/switch.ts";
import { required, withEngine } from "../session.ts";
import { BASE_ENVS, isBuiltIn, isEmbedded, type Project } from "../../project/project.ts";

/** `switch <name>` */
export async function runSwitch({ name, flags, io }: Call): Promise<Answer> {
  const env = parseEnvName(required(name, "switch"));
  return await withEngine(
    io,
    flags["dry-run"] ? "look" : "work",
    async (engine) => {
      if (flags["dry-run"]) {
        const began = performance.now();
        const result = await resultOf(engine, env, await usable(engine, env), began);
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
