import type { CommandResult, Invocation } from "../command_line.ts";
import { loadResources, openProject } from "../../project/open_project.ts";
import { cwd, variable } from "../../system/host.ts";
import { permissionsOf } from "../../project/permissions.ts";
import type { CommandFile } from "../command_file.ts";

/** `permissions` */
export const command: CommandFile = {
  order: 13,
  group: "project",
  summary: "print the Deno permissions this stack needs",
  example: "permissions",
  without: ["yes"],
  options: {},
  about: [
    "Prints a permission set for deno.json: the hosts and programs of the providers in forkstack.json, and nothing else. Every command works with this set. No vendor is asked and nothing changes.",
  ],
  examples: [
    ["permissions", 'prints what belongs under "permissions" in deno.json'],
    ["permissions --json", "for a program"],
  ],
  files: {
    "forkstack.json": "the providers and their options",
    "POSTGRES_URL, VALKEY_URL": "contain hosts; a warning names each one that is not set",
  },
  seeAlso: ["doctor", "docs/security.md"],
  task: { isOmitted: "outside Deno" },
  run: runPermissions,
};

async function runPermissions({ io }: Invocation): Promise<CommandResult> {
  const project = await openProject(cwd(), { init: true, catalog: io.catalog });
  const { resources } = await loadResources(project, { catalog: io.catalog, reach: "nothing" });
  const { set, unset } = permissionsOf(project, resources, variable);
  for (const name of unset) io.say(`warning: ${name} is not set: its host is missing below`);
  for (const { key, provider } of resources.filter((one) => one.isUnread)) {
    io.say(`warning: ${provider.name} of ${key} is not run here: its hosts are missing below`);
  }
  const data = { permissions: { forkstack: set } };
  return { data, text: () => JSON.stringify(data, null, 2) };
}
