/**
 * Directories of the base environments on this machine, which exist before anything writes there: SQLite makes a missing
 * file, and no missing directory.
 *
 * @module
 */
import { basePath, declaredResources, embeddedPath, KINDS, resourceTitle } from "../../mod.ts";
import { dirname, join } from "../system/host.ts";
import { BASE_ENVS, type Project } from "../project/project.ts";
import type { Workspace } from "./workspace.ts";

/** Kinds whose embedded resource is a directory by itself, unless the application makes it at first use. */
const DIRECTORIES: readonly string[] = ["storage", "local"];

/** Lists the directories of a base environment's embedded resources; those that `bases` names are a person's. */
function directoriesOf({ config, name: project, root, stateRoot }: Project, env: string): string[] {
  const own = declaredResources(config).filter((one) =>
    KINDS[one.kind].embedded?.provider === one.provider && basePath(one, env, root) === undefined
  );
  return own.map(({ kind, name, options }) => {
    const path = embeddedPath(kind, stateRoot, resourceTitle(kind, project, env, name));
    return DIRECTORIES.includes(kind) && options.make !== "first use" ? path : dirname(path);
  });
}

/**
 * Makes the directories of a base environment's embedded resources, so that a first migration of `dev` has a place to
 * write to. Where this user may not, the program that writes there says so. Other environments have theirs by `new`.
 */
export async function makeBaseDirectories({ project, world: { files } }: Workspace, env: string): Promise<void> {
  if (!BASE_ENVS.includes(env)) return;
  const hidden = join(project.stateRoot, ".forkstack", ".gitignore");
  try {
    for (const path of directoriesOf(project, env)) {
      if (await files.stat(path) !== undefined) continue;
      // Before anything is in it: whatever .forkstack holds is not for git.
      if (path.startsWith(dirname(hidden)) && await files.stat(hidden) === undefined) await files.write(hidden, "*\n");
      await files.makeDirectory(path);
    }
  } catch (error) {
    if (!/^(EACCES|EPERM|EROFS)$/.test((error as { code?: string }).code ?? "")) throw error;
  }
}
