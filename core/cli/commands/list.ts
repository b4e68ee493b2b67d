import { type CommandResult, type Invocation, noticeExpired } from "../command_line.ts";
import { openProject } from "../../project/open_project.ts";
import { currentEnv } from "../../workspace/current.ts";
import { files } from "../../system/files.ts";
import { cwd } from "../../system/host.ts";
import { openRegistry } from "../../state/open_registry.ts";
import * as output from "../output.ts";
import { listEnvironments } from "../../lifecycle/report.ts";
import { admit } from "../../project/trust.ts";
import { BASE_ENVS } from "../../project/project.ts";
import type { CommandFile } from "../command_file.ts";

/** `list` */
export const command: CommandFile = {
  order: 10,
  group: "environments",
  summary: "list the environments",
  example: "list",
  without: ["yes"],
  options: {},
  about: [
    "Prints one line for each environment in the registry, sorted by name; * marks the current one. Other " +
    "directories that use an environment are in its line. Backups of deleted environments are listed below. " +
    "No vendor is asked.",
  ],
  examples: [
    ["list", "shows names, parents and leases"],
    ["list --json", "for a program; times are RFC 3339 in UTC"],
  ],
  exits: { 5: "", 6: "the shared registry did not answer" },
  files: {
    ".forkstack/registry.db": "",
    ".current-env": "",
    FORKSTACK_REGISTRY_TOKEN: "the token of a registry that a team shares",
  },
  seeAlso: ["status", "prune", "doctor"],
  run: runList,
};

async function runList({ io }: Invocation): Promise<CommandResult> {
  const project = await openProject(cwd(), { init: false, catalog: io.catalog });
  await admit(project, { catalog: io.catalog, reach: "registry", person: io });
  const registry = await openRegistry(project, "empty", "look");
  io.atEnd(() => registry.close());
  await noticeExpired(registry, io);
  const [environments, kept, error] = await Promise.all([
    listEnvironments({ project, registry, world: { files } }),
    registry.kept(),
    registry.environmentsError(),
  ]);
  const unlisted = environments.some((one) => one.current) ? undefined : currentEnv(project).env;
  const isBase = unlisted !== undefined && BASE_ENVS.includes(unlisted);
  const gone = unlisted === undefined || isBase ? [] : [{ name: unlisted, status: "gone" as const, current: true }];
  return {
    data: { environments, kept: kept.length === 0 ? undefined : kept },
    text: (style) =>
      [
        output.listText([...gone, ...environments], isBase ? unlisted : undefined, io.now(), style),
        ...output.keptLines(kept, style),
      ].join("\n"),
    error,
  };
}
