/**
 * Scripts of `sanitize`, which remove personal data from a fork before anyone gets its URL.
 *
 * @module
 */
import { ForkstackError, isForkstackError } from "../../mod.ts";
import { reasonOf } from "../text/printable.ts";
import type { Resource } from "../project/project.ts";

/** Reads the scripts of all resources that have one, by key. */
export function scriptsOf(resources: readonly Resource[]): Readonly<Record<string, string>> {
  assertRunnable(resources);
  return Object.fromEntries(resources.flatMap(({ key, sanitize: script }) => {
    if (script === undefined) return [];
    if (script.text === undefined) throw new TypeError(`The script of ${key} was not read`);
    return [[key, script.text]];
  }));
}

/** Rejects a script of a resource whose provider cannot run one. */
export function assertRunnable(resources: readonly Resource[]): void {
  for (const { key, provider, sanitize: script, isUnread } of resources) {
    if (script === undefined || provider.execute !== undefined || isUnread) continue;
    throw new ForkstackError("CONFIG_INVALID", `Cannot sanitize ${key}: ${provider.name} runs no scripts`, {
      hint: `Remove "sanitize" from ${key} in forkstack.json`,
      details: { resource: key, provider: provider.name },
    });
  }
}

/** Runs a script on a fork, and rethrows a failure as the script's. After a failure the fork must not be used. */
export async function sanitize(resource: Pick<Resource, "key" | "provider">, title: string, run: () => Promise<void>) {
  try {
    await run();
  } catch (error) {
    if (isForkstackError(error) && (error.retryable || error.code === "INTERRUPTED")) throw error;
    const reason = reasonOf(error);
    const known = isForkstackError(error) ? error : undefined;
    throw new ForkstackError("SANITIZE_FAILED", `Cannot sanitize ${resource.key} "${title}": ${reason}`, {
      hint: known?.hint ?? "Fix the script, then run the same command again",
      details: { ...known?.details, resource: resource.key, provider: resource.provider.name },
      cause: error,
    });
  }
}
