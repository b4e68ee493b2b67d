/**
 * Trust. Code, hosts and files outside the project that a repository names work only after the user has seen them.
 * Every command calls `admit` before it runs any of it, or sends anything there.
 *
 * @module
 */
import { load } from "../system/lazy.ts";
import type { Project } from "./project.ts";
import type { Admission, Admitted, Person } from "./trusted.ts";

/** A process without a terminal, and so without a user. */
export const NOBODY: Person = { say: () => {}, mayAsk: () => false };

const NOTHING: Admitted = { code: {}, scripts: {}, isTrusted: () => false };

/**
 * Checks that the user trusts what a project names, as far as a command reaches; on a terminal it asks about new items.
 *
 * @throws {ForkstackError} NOT_TRUSTED before anything is run or sent, with the hash that FORKSTACK_TRUST must hold.
 */
export async function admit(project: Project, admission: Admission): Promise<Admitted> {
  if (admission.reach === "nothing" || !mayName(project)) return NOTHING;
  const { decideTrust } = await load<typeof import("./trust_store.ts")>("core/project/trust_store.ts");
  return await decideTrust(project, admission);
}

/** Returns true if forkstack.json could name such items; most name none, and skip the check. */
function mayName({ config: { $schema: _, ...config } }: Project): boolean {
  return /:\/\/|"(registry|sanitize|bases|seed)":|"provider":"[^"]*[./]/.test(JSON.stringify(config));
}
