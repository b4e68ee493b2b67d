/**
 * One worker per environment at a time, across processes and machines.
 *
 * The lock is a row of the registry with a token that grows with every holder (the fence that keeps a late writer out)
 * and a counter, the beat, that its holder raises. A waiting worker takes over when the beat has not changed for a
 * while by its own monotonic clock, so that no two clocks are ever compared. If the registry is a file, the holder also
 * keeps a lock of the operating system, which ends with its process: after a crash nobody waits.
 *
 * @module
 */
import { ForkstackError, isForkstackError } from "../../mod.ts";
import { disk } from "../system/disk.ts";
import { holderOf } from "./rows.ts";
import { join } from "../system/host.ts";
import type { Registry } from "./registry.ts";
import type { Statement } from "./sql.ts";
import type { Lock } from "./records.ts";

/** The holder of a lock, and its writes under the lock. */
export interface Worker {
  /** Aborted when another has taken over, or with the signal of the command. */
  readonly signal: AbortSignal;
  /** Writes to the registry, all statements or none; rejects with `LOCK_LOST` once another worker has taken over. */
  write(statements: readonly Statement[]): Promise<void>;
  /**
   * Checks in the registry that this worker still holds the lock, and raises its beat; await it before each request
   * that changes something outside. Rejects with `LOCK_LOST` once another worker has taken over.
   */
  fence(): Promise<void>;
}

/** The clock of the lock. */
export interface LockClock {
  /** Returns milliseconds that never decrease; comparable within this process only. */
  readonly monotonicMs: () => number;
  /** Waits; rejects once the signal is aborted. */
  readonly sleep: (ms: number, signal?: AbortSignal) => Promise<void>;
}

/** Timeouts and callbacks of the lock; tests set them. */
export interface LockOptions {
  readonly clock: LockClock;
  /** The name of the holder that waiting commands print, e.g. `"alice@laptop"`. */
  readonly owner: string;
  /** The signal of the command: ends the wait, and is passed on to the worker. */
  readonly signal: AbortSignal;
  /** Interval of the holder's beats in milliseconds. @default {2000} */
  readonly beatMs?: number;
  /** Time in milliseconds after which a lock without a new beat is taken over. @default {10000} */
  readonly staleMs?: number;
  /** Longest wait in milliseconds for a live holder. @default {300000} */
  readonly waitMs?: number;
  /** Called once, with the holder, if the lock has to wait. */
  readonly onWait?: (holder: Lock) => void;
}

/** The environment that a lock is for, and its purpose: `create`, `delete`. */
export interface LockSpec {
  readonly env: string;
  readonly purpose: string;
}

/** Runs `work` as the only worker of an environment. */
export async function withLock<T>(
  registry: Registry,
  wanted: LockSpec,
  options: LockOptions,
  work: (worker: Worker) => Promise<T>,
): Promise<T> {
  const { env } = wanted;
  const nonce = crypto.randomUUID().slice(0, 8);
  const sign = registry.lockDirectory === undefined ? undefined : await holdSign(registry.lockDirectory, nonce);
  try {
    const token = await acquire(registry, wanted, { ...options, owner: `${options.owner}#${nonce}` });
    const lost = new AbortController();
    const done = new AbortController();
    const signal = AbortSignal.any([options.signal, lost.signal]);
    const beating = keepBeating({ registry, env, token, lost, done: done.signal }, options);
    try {
      const write = grouped(async (statements) => {
        try {
          await registry.fenced(env, token, statements);
        } catch (error) {
          if (isForkstackError(error) && error.code === "LOCK_LOST") lost.abort(error); // no step at its side goes on
          throw error;
        }
      });
      const fence = shared(async () => {
        if (!lost.signal.aborted && !await registry.beat(env, token)) lost.abort(takenOver(env));
        lost.signal.throwIfAborted();
      });
      return await work({ signal, write, fence });
    } finally {
      done.abort();
      await beating;
      await registry.release(env, token).catch(() => {}); // it falls by itself; the work's own error matters more
    }
  } finally {
    await sign?.();
  }
}

/** Groups the writes of parallel steps into one transaction, because each commit waits for the disk. */
function grouped(write: (statements: readonly Statement[]) => Promise<void>): Worker["write"] {
  let group: { readonly statements: Statement[]; readonly written: Promise<void> } | undefined;
  async function writeGroup(statements: readonly Statement[]): Promise<void> {
    await undefined; // until all that are ready in this turn have joined
    group = undefined;
    await write(statements);
  }
  return (given) => {
    if (group === undefined) {
      const statements: Statement[] = [];
      group = { statements, written: writeGroup(statements) };
    }
    group.statements.push(...given);
    return group.written;
  };
}

/** Shares one call among all who ask during the call before it: its answer is newer than all their questions. */
function shared(ask: () => Promise<void>): () => Promise<void> {
  let underWay = Promise.resolve();
  let next: Promise<void> | undefined;
  async function askNext(): Promise<void> {
    await underWay.catch(() => {}); // whoever asked was told
    next = undefined;
    await (underWay = ask());
  }
  return () => next ??= askNext();
}

/** A held lock, until the work is `done`, or another worker has taken over and it is `lost`. */
interface HeldLock {
  readonly registry: Registry;
  readonly env: string;
  readonly token: number;
  readonly done: AbortSignal;
  readonly lost: AbortController;
}

/** Raises the beat until the work is done; stops if it cannot, or if another worker has taken over. */
async function keepBeating(
  { registry, env, token, done, lost }: HeldLock,
  { clock, beatMs = 2_000, staleMs = 10_000 }: LockOptions,
): Promise<void> {
  let beatAt = clock.monotonicMs();
  while (!lost.signal.aborted) {
    await clock.sleep(beatMs, done).catch(() => {});
    if (done.aborted) return;
    try {
      if (!await registry.beat(env, token)) lost.abort(takenOver(env));
      else beatAt = clock.monotonicMs();
    } catch { // unreachable for now; before another may take the lock over, this one must stop
      if (clock.monotonicMs() - beatAt >= staleMs - beatMs) lost.abort(takenOver(env));
    }
  }
}

async function acquire(registry: Registry, { env, purpose }: LockSpec, options: LockOptions): Promise<number> {
  const { clock, owner, staleMs = 10_000, waitMs = 300_000 } = options;
  const began = clock.monotonicMs();
  let watched: { lock: Lock; since: number } | undefined;
  for (let attempt = 0;; attempt++) {
    options.signal.throwIfAborted();
    const now = clock.monotonicMs();
    const isStale = watched !== undefined && now - watched.since >= staleMs;
    const isDead = watched !== undefined && !isStale && await signIsDown(registry.lockDirectory, watched.lock);
    const got = await registry.acquire(env, owner, purpose, isStale || isDead ? watched?.lock : undefined);
    if (typeof got === "number") return got;
    if (watched?.lock.token !== got.token || watched.lock.beat !== got.beat) {
      if (watched === undefined && !await signIsDown(registry.lockDirectory, got)) options.onWait?.(got);
      watched = { lock: got, since: now };
    }
    if (now - began > waitMs) {
      throw new ForkstackError(
        "LOCKED",
        `Cannot ${purpose} environment "${env}": ${holderOf(got)} is working on it (${got.purpose})`,
        {
          hint: "Wait for it to end, then run the same command again",
          retryable: true,
          details: { env },
        },
      );
    }
    if (attempt > 0) await clock.sleep(Math.min(20 * attempt, 250), options.signal);
  }
}

function takenOver(env: string): ForkstackError {
  return new ForkstackError(
    "LOCK_LOST",
    `Cannot continue with environment "${env}": another worker has taken it over`,
    {
      hint: "Run `forkstack status` to see what it did",
      retryable: true,
      details: { env },
    },
  );
}

/**
 * Takes an operating-system lock, by SQLite, on a file named after the holder; returns the function that releases it.
 * Removes the files of holders that died.
 */
async function holdSign(directory: string, nonce: string): Promise<() => Promise<void>> {
  const { DatabaseSync } = await import("node:sqlite");
  await disk.makeDirectory(directory, 0o700);
  for (const name of await disk.names(directory)) if (/^[0-9a-f]{8}$/.test(name)) await isDown(join(directory, name));
  const path = join(directory, nonce);
  for (;;) {
    await disk.writeNew(path, "", 0o600).catch((error) => { // SQLite would not tell why it can't
      if (error.code !== "EEXIST") throw error;
    });
    const database = new DatabaseSync(path, { timeout: 5_000 });
    try {
      database.exec("PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE;"); // no journal file that outlives a crash
      if (await disk.mode(path) !== undefined) {
        return async () => {
          database.close();
          await disk.remove(path);
        };
      }
      database.close(); // another took it for left behind, between the two calls
    } catch (error) {
      database.close();
      throw error;
    }
  }
}

/** Returns true if the holder's process has ended. Always false if the registry is not a file of this machine. */
async function signIsDown(directory: string | undefined, lock: Lock): Promise<boolean> {
  const sign = /#([0-9a-f]{8})$/.exec(lock.owner)?.[1]; // another text would be a path that the registry chose
  return directory !== undefined && sign !== undefined && await isDown(join(directory, sign));
}

/** Returns true if no process holds the operating-system lock of a file; then removes the file. */
async function isDown(path: string): Promise<boolean> {
  const { DatabaseSync } = await import("node:sqlite");
  let database;
  try {
    database = new DatabaseSync(path, { readOnly: true });
  } catch {
    return true; // it was removed
  }
  try {
    database.exec("PRAGMA busy_timeout = 0; BEGIN; SELECT * FROM sqlite_schema;");
    await disk.remove(path);
    return true;
  } catch {
    return false;
  } finally {
    database.close();
  }
}
