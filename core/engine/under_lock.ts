/**
 * Work under the lock of an environment. A file of its own, as commands that take no lock, `switch` and `status`, load
 * none of what it needs.
 *
 * @module
 */
import { type LockOptions, withLock, type Worker } from "../state/lock.ts";
import { holderOf } from "../state/rows.ts";
import type { Engine } from "./engine.ts";

/** Runs a command's `work` as the only worker of an environment. */
export async function underLock<T>(
  engine: Engine,
  env: string,
  purpose: string,
  work: (worker: Worker) => Promise<T>,
): Promise<T> {
  const options: LockOptions = {
    ...engine.lockTimes,
    clock: engine.world,
    owner: engine.owner,
    signal: engine.signal,
    onWait: (holder) => engine.onWait?.(holderOf(holder), holder.purpose),
  };
  return await withLock(engine.registry, { env, purpose }, options, work);
}
