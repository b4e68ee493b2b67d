import { parseEnvName } from "../../mod.ts";
import type { Answer, Call } from "./_call.ts";
import { BASE_ENVS, sealConfig } from "../config.ts";
import { LEASE_VARIABLE } from "../engine.ts";
import { files } from "../files.ts";
import * as output from "../output.ts";
import { describe } from "../report.ts";
import { switchEnvironment } from "../switch.ts";
import { readVariables } from "../workspace.ts";
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
    async (project) => {
      const kept = BASE_ENVS.includes(env) ? undefined : await readVariables({ project, world: { files } }, env);
      return kept !== undefined && kept[LEASE_VARIABLE] === undefined;
    },
  );
}
