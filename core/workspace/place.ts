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

/** A project, and what reaches its files. */
export interface Workspace {
  readonly project: Project;
  readonly world: Pick<World, "files"> & Partial<Pick<World, "warn">>;
  /** The stack's resources, where they are loaded. */
  readonly resources?: readonly Tellable[];
}

/** The path of an environment's variables. */
export function variablesPath(project: Project, env: string): string {
  return join(project.stateRoot, ".forkstack", "envs", `${env}.env`);
}

/** A file as `env_block.ts` has it. */
export function fileText(bytes: Uint8Array | undefined): string {
  return block.textOfBytes(bytes ?? new Uint8Array());
}

/** Path of the file that holds the block; `undefined` where none does. */
export function localPath({ root, config }: Project): string | undefined {
  const file = envFileOf(config);
  return file === undefined ? undefined : join(root, file);
}
