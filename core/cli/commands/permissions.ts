import type { CommandResult, Invocation } from "../command_line.ts";
import { loadResources, openProject } from "../../project/open_project.ts";
import { cwd, variable } from "../../system/host.ts";
import { permissionsOf } from "../../project/permissions.ts";
import type { CommandFile } from "../command_file.ts";

/** `permissions` */
export const command: CommandFile = {
  order: 13,
  summary: "print the set of Deno's permissions that this stack needs, for deno.json",
  example: "permissions",
  options: {},
  about: [
    "The set of Deno's permissions that every command on this stack needs, as JSON for deno.json: the hosts of the " +
    "providers that forkstack.json names, their programs, and no more. It asks no vendor and changes nothing.",
  ],
  examples: [
    ["permissions", 'what goes under the key "permissions" in deno.json'],
    ["permissions --json", "for a program"],
  ],
  files: {
    "forkstack.json": "the providers and their options",
    "POSTGRES_URL, VALKEY_URL": "for their hosts; where one is not set, a warning says so",
  },
  seeAlso: ["doctor", "docs/permissions.md"],
  task: { isOmitted: "outside Deno" },
  run: runPermissions,
};

async function runPermissions({ io }: Invocation): Promise<CommandResult> {
  const project = await openProject(cwd(), { init: true, catalog: io.catalog });
  const { resources } = await loadResources(project, { catalog: io.catalog, reach: "nothing" });
  const { set, unset } = permissionsOf(project, resources, variable);
  for (const name of unset) io.say(`warning: ${name} is not set, so that the host in it is missing here`);
  for (const { key, provider } of resources.filter((one) => one.isUnread)) {
    io.say(`warning: ${provider.name} of ${key} is not run here, so that the hosts it calls are missing`);
  }
  const data = { permissions: { forkstack: set } };
  return { data, text: () => JSON.stringify(data, null, 2) };
}
