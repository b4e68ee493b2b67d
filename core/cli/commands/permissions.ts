import type { Answer, Call } from "../command_line.ts";
import { loadResources, openProject } from "../../project/open_project.ts";
import { cwd, variable } from "../../system/host.ts";
import { permissionsOf } from "../../project/permissions.ts";

/** `permissions` */
export async function runPermissions({ io }: Call): Promise<Answer> {
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
