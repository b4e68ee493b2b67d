import { isForkstackError, parseEnvName } from "../../mod.ts";
import type { Answer, Call } from "./_call.ts";
import { openProject, type Project } from "../config.ts";
import { files } from "../files.ts";
import { cwd } from "../host.ts";
import * as output from "../output.ts";
import { openRegistry } from "../open_registry.ts";
import { describe, describeFromFiles, type EnvironmentResult, listEnvironments } from "../report.ts";
import { admit } from "../trust.ts";
import { shown } from "../shown.ts";
import { currentEnv } from "../workspace.ts";
import { noticeExpired, withEngine } from "./_open.ts";

/** `list` */
export async function runList({ io }: Call): Promise<Answer> {
  const project = await openProject(cwd(), { init: false });
  await admit(project, "registry", io);
  const registry = await openRegistry(project, "empty", "look");
  io.atEnd(() => registry.close());
  await noticeExpired(registry, io);
  const [environments, kept, error] = await Promise.all([
    listEnvironments({ project, registry }),
    registry.kept(),
    registry.environmentsError(),
  ]);
  const base = environments.some((one) => one.current) ? undefined : currentEnv(project).env;
  return {
    data: { environments, ...(kept.length === 0 ? {} : { kept }) },
    text: (style) =>
      [output.listText(environments, base, io.now(), style), ...output.keptLines(kept, style)].join("\n"),
    error,
  };
}

/** `status [name]` */
export async function runStatus({ name, io }: Call): Promise<Answer> {
  const envOf = (project: Project) => name === undefined ? currentEnv(project).env : parseEnvName(name);
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
    const project = await openProject(cwd(), { init: false });
    const result = await describeFromFiles({ project, world: { files } }, envOf(project), performance.now());
    if (result === undefined) throw error;
    io.say(`${shown(error.message)}. Shown is what this machine's files say`);
    return answer(result);
  }
}
