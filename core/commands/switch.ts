import { parseEnvName } from "../../mod.ts";
import type { Answer, Call } from "./_call.ts";
import { BASE_ENVS, sealConfig } from "../config.ts";
import { files } from "../files.ts";
import * as output from "../output.ts";
import { describe } from "../describe.ts";
import { needsNoProvider, switchEnvironment } from "../switch.ts";
import { required, withEngine } from "./_open.ts";

/** `switch <name>` */
export async function runSwitch({ name, flags, io }: Call): Promise<Answer> {
  const env = parseEnvName(required(name, "switch"));
  return await withEngine(
    io,
    "work",
    async (engine) => {
      if (flags["dry-run"]) {
        const result = await describe(engine, env, performance.now());
        return { data: { ...result, dryRun: true }, text: () => `Would switch to ${env}` };
      }
      const result = await switchEnvironment(engine, env);
      await sealConfig(engine.project);
      return { data: result, text: (style) => output.readyText(result, "switch", style) };
    },
    {
      isLight: async (project) =>
        flags["dry-run"] === true ||
        (!BASE_ENVS.includes(env) && await needsNoProvider({ project, world: { files } }, env)),
    },
  );
}
