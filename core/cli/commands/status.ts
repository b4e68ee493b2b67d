import { isForkstackError, parseEnvName } from "../../../mod.ts";
import type { Answer, Call } from "../command_line.ts";
import { openProject } from "../../project/open_project.ts";
import { meantEnv } from "../../workspace/current.ts";
import { describe, describeFromFiles } from "../../lifecycle/describe.ts";
import { files } from "../../system/files.ts";
import { cwd } from "../../system/host.ts";
import * as output from "../output.ts";
import type { EnvironmentResult } from "../../lifecycle/report.ts";
import { shown } from "../../text/printable.ts";
import { withEngine } from "../session.ts";
import type { Project } from "../../project/project.ts";

/** `status [name]` */
export async function runStatus({ name, io }: Call): Promise<Answer> {
  const envOf = (project: Project) => name === undefined ? meantEnv(project) : parseEnvName(name);
  const answer = (result: EnvironmentResult): Answer => (
    { data: result, text: (style) => output.statusText(result, io.now(), style) }
  );
  try {
    return await withEngine(
      io,
      "look",
      async (engine) => answer(await describe(engine, envOf(engine.project), performance.now())),
      { isLight: () => Promise.resolve(true) },
    );
  } catch (error) {
    if (!isForkstackError(error) || !/^(REGISTRY_UNREACHABLE|NETWORK_DENIED)$/.test(error.code)) throw error;
    const project = await openProject(cwd(), { init: false, catalog: io.catalog });
    const result = await describeFromFiles({ project, world: { files } }, envOf(project), performance.now());
    if (result === undefined) throw error;
    io.say(`${shown(error.message)}. Shown is what this machine's files say`);
    return answer(result);
  }
}
