/**
 * Room on the disk that is kept for an undo: where a full disk is why a run fails, its undoing could not even be written
 * down. Only for a registry on this machine's disk.
 *
 * @module
 */
import { ForkstackError, isForkstackError } from "../../mod.ts";
import type { Engine } from "../engine/engine.ts";
import { fileError, temporariesOf } from "../system/files.ts";
import { join } from "../system/host.ts";

/** Room that is kept until it is needed. */
export interface Room {
  /** Gives it back to the disk; a second time is no error. */
  free(): Promise<void>;
}

/** Generous: writing down how one resource is made and removed again takes 40 KiB of log. */
const BYTES_PER_STEP = 65_536;
const OTHER_STEPS = 4;

/** Gives back the room that a run which died had kept; the caller holds the lock of the environment. */
export async function freeRoom(engine: Engine, env: string): Promise<void> {
  const path = pathOf(engine, env);
  if (path === undefined) return;
  const { files } = engine.world;
  for (const at of [path, ...await temporariesOf(files, path).catch(() => [])]) await files.remove(at).catch(() => {});
}

function pathOf({ registry }: Engine, env: string): string | undefined {
  return registry.lockDirectory === undefined ? undefined : join(registry.lockDirectory, `${env}.room`);
}

/** Keeps room for the undoing of a run; the caller holds the lock of the environment. */
export async function keepRoom(engine: Engine, env: string): Promise<Room> {
  const path = pathOf(engine, env);
  const { files } = engine.world;
  if (path === undefined) return { free: () => Promise.resolve() };
  const remove = () => files.remove(path);
  const free = () => remove().catch(remove).catch(() => {}); // then the next run does
  try {
    await files.write(path, "room".repeat(BYTES_PER_STEP / 4 * (OTHER_STEPS + engine.resources.length)));
    return { free };
  } catch (error) {
    await free();
    const known = fileError(error, `make environment "${env}"`);
    if (!isForkstackError(known)) throw known;
    const { code, message, hint, details } = known;
    throw new ForkstackError(code, message, {
      hint: [hint, "Nothing was created"].filter(Boolean).join(". "),
      details: { ...details, env },
      cause: error,
    });
  }
}
