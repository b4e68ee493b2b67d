import type { Answer, Call } from "./_call.ts";
import { loadResources, openProject } from "../config.ts";
import { cwd, variable } from "../host.ts";
import { permissionsOf } from "../permissions.ts";

/** `permissions` */
export async function runPermissions({ io }: Call): Promise<Answer> {
  const project = await openProject(cwd(), { init: true });
  const { set, unset } = permissionsOf(project, await loadResources(project), variable);
  for (const name of unset) io.say(`warning: ${name} is not set, so that the host in it is missing here`);
  const data = { permissions: { forkstack: set } };
  return { data, text: () => JSON.stringify(data, null, 2) };
}
