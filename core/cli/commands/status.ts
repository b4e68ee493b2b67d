import { isForkstackError, parseEnvName } from "../../../mod.ts";
import type { CommandResult, Invocation } from "../command_line.ts";
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
import type { CommandFile } from "../command_file.ts";

/** `status [env]` */
export const command: CommandFile = {
  order: 11,
  group: "environments",
  summary: "show one environment and its resources",
  arguments: { labels: ["[env]"], min: 0, max: 1 },
  meanings: {
    "[env]": "a name from `forkstack list`. Default: the current environment",
  },
  example: "status",
  without: ["yes"],
  options: {},
  about: [
    "Shows what the registry says about an environment: status, parent, owner, lease, its resources by the " +
    "vendors' names, and the names of its variables, without values. No vendor is asked; `forkstack doctor` " +
    "asks them. If a shared registry does not answer, it shows what the files on this machine say.",
  ],
  examples: [
    ["status", "the current environment"],
    ["status alice", "another environment"],
    ["status alice --json", "for a program"],
  ],
  exits: { 4: "", 5: "", 6: "" },
  files: {
    ".forkstack/registry.db": "",
    ".current-env": "",
  },
  seeAlso: ["list", "doctor"],
  run: runStatus,
};

async function runStatus({ name, io }: Invocation): Promise<CommandResult> {
  const envOf = (project: Project) => name === undefined ? meantEnv(project) : parseEnvName(name);
  const answer = (result: EnvironmentResult): CommandResult => (
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
