/**
 * Trust. Code, hosts and files outside the project that a repository names work once a person was shown them: the one
 * door, through which every command comes before it runs any of it, or sends anything there.
 *
 * @module
 */
import { load } from "../system/lazy.ts";
import type { Project } from "./project.ts";
import type { Admission, Admitted } from "./trusted.ts";

const NOTHING: Admitted = { code: {}, scripts: {}, isTrusted: () => false };

/**
 * Lets a project in as far as a command reaches. On a terminal it asks about what is new.
 *
 * @throws {ForkstackError} NOT_TRUSTED before anything is run or sent, with the hash that FORKSTACK_TRUST must hold.
 */
export async function admit(project: Project, admission: Admission): Promise<Admitted> {
  if (admission.reach === "nothing" || !mayName(project)) return NOTHING;
  const { decideTrust } = await load<typeof import("./trust_store.ts")>("core/project/trust_store.ts");
  return await decideTrust(project, admission);
}

/** Whether forkstack.json could name anything of the kind: most name nothing, and pay nothing. */
function mayName({ config: { $schema: _, ...config } }: Project): boolean {
  return /:\/\/|"(registry|sanitize)":|"provider":"[^"]*[./]/.test(JSON.stringify(config));
}
