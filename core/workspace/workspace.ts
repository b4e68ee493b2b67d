/**
 * A place where files of an environment lie: a checkout and its state.
 *
 * @module
 */
import * as block from "./env_block.ts";
import { envFileOf } from "../../mod.ts";
import type { Tellable, World } from "../engine/engine.ts";
import { join } from "../system/host.ts";
import type { Project } from "../project/project.ts";

/** A project with the access to its files. */
export interface Workspace {
  readonly project: Project;
  readonly world: Pick<World, "files"> & Partial<Pick<World, "warn">>;
  /** The stack's resources, if they are loaded. */
  readonly resources?: readonly Tellable[];
}

/** Returns the path of the file that holds an environment's variables. */
export function variablesPath(project: Project, env: string): string {
  return join(project.stateRoot, ".forkstack", "envs", `${env}.env`);
}

/** Returns a file as a text with one character per byte, as `env_block.ts` needs it. */
export function fileText(bytes: Uint8Array | undefined): string {
  return block.textOfBytes(bytes ?? new Uint8Array());
}

/** Returns the path of the file that holds the block; `undefined` if there is none. */
export function localPath({ root, config }: Project): string | undefined {
  const file = envFileOf(config);
  return file === undefined ? undefined : join(root, file);
}
