/** The common part of databases on a server of one's own, PostgreSQL's or MySQL's. */
import { poll, type Waiter } from "../../core/system/poll.ts";
import type { Held } from "../../core/provider.ts";
import { ForkstackError } from "../../mod.ts";

const LOCK_WAIT_MS = 600_000;

/**
 * Waits until `take` returns true: it asks for the lock of a database, and does not wait itself, so that the wait can be
 * aborted. Throws RESOURCE_LOCKED after ten minutes.
 */
export async function waitForLock(waiter: Waiter, name: string, take: () => Promise<boolean>): Promise<void> {
  const what = `change database "${name}"`;
  const late = () => {
    throw new ForkstackError("RESOURCE_LOCKED", `Cannot ${what}: another run works on it`, {
      hint: "Run the same command again once it is done",
      retryable: true,
    });
  };
  await poll<true>(
    waiter,
    { what, deadlineMs: LOCK_WAIT_MS, firstMs: 25, mostMs: 1_000, late },
    async () => await take() || undefined,
  );
}

/** The error for a database that is gone, or another one of its name. */
export function noneOfThisId({ name }: Held): ForkstackError {
  return new ForkstackError("NOT_FOUND", `Cannot use database "${name}": the server has none of this id`, {
    hint: "`forkstack doctor` shows what is there",
  });
}
