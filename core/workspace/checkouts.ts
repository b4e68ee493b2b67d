/**
 * Checkouts: directories that point to environments. A row of the registry is only a hint; the pointer in the directory
 * decides.
 *
 * @module
 */
import { findUpwards } from "../../mod.ts";
import type { Engine } from "../engine/engine.ts";
import { disk } from "../system/disk.ts";
import { gitDirectory } from "../system/git_directory.ts";
import { hostname, join } from "../system/host.ts";
import type { Registry } from "../state/registry.ts";
import type { Statement } from "../state/sql.ts";
import type { Checkout } from "../state/records.ts";
import { statements } from "../state/statements.ts";
import { isLine, isPath } from "../text/field_checks.ts";

/** The parts of the engine that reading checkouts needs. */
export type CheckoutAccess = Pick<Engine, "project" | "registry"> & { readonly world: Pick<Engine["world"], "files"> };

/** A checkout in the words of `--json`. */
export interface CheckoutReport {
  /** Real path of its directory, e.g. `"/home/alice/shop"`. */
  readonly path: string;
  /** Name of its machine, if several machines share the registry. */
  readonly host?: string;
  readonly gitDir?: string;
  readonly branch?: string;
  readonly usedAt: string;
  /** True for the directory that the command runs in. */
  readonly current: boolean;
}

/** Records in the registry that this directory now points to an environment. */
export async function recordSwitch(engine: Engine, env: string): Promise<void> {
  await engine.registry.touch(env, engine.world.now().toISOString(), await pointedHere(engine, env));
}

/** Returns the statements that record this directory as a checkout of an environment. */
export async function pointedHere(engine: Engine, env: string): Promise<Statement[]> {
  const checkout = await checkoutHere(engine, env);
  return checkout === undefined ? [] : [statements.putCheckout(checkout)];
}

/** Records in the registry that an environment was used, from this directory if it points there. */
export async function recordUse(engine: Engine, env: string): Promise<void> {
  const checkout = await checkoutHere(engine, env);
  const more = checkout === undefined ? [] : [statements.useCheckout(checkout)];
  await engine.registry.touch(env, engine.world.now().toISOString(), more);
}

/** Returns this directory as a checkout; `undefined` if a row cannot hold its path. */
async function checkoutHere(engine: Engine, env: string): Promise<Checkout | undefined> {
  const path = await disk.realPath(engine.project.root);
  if (!isPath(path)) return undefined;
  const usedAt = engine.world.now().toISOString();
  return { host: hostOf(engine.registry), path, ...await gitOf(path).catch(() => ({})), env, usedAt };
}

async function gitOf(path: string): Promise<Pick<Checkout, "gitDir" | "gitBranch">> {
  const top = findUpwards(path, ".git");
  if (top === undefined) return {};
  const gitDir = await disk.realPath(await gitDirectory(top));
  const gitBranch = /^ref: refs\/heads\/(.+)$/m.exec(await disk.readText(join(gitDir, "HEAD")))?.[1];
  const isBranch = isLine(gitBranch) && gitBranch !== ".invalid"; // git's stand-in where refs are in a reftable
  return { gitDir: isPath(gitDir) ? gitDir : undefined, gitBranch: isBranch ? gitBranch : undefined };
}

/** Returns the machine's name, or an empty text if the registry is a file of one machine. */
function hostOf(registry: Registry): string {
  return registry.lockDirectory === undefined ? hostname() : "";
}

/** Recorded checkouts, compared with the pointers in their directories. */
export interface Checkouts {
  /** Checkouts whose pointer matches the row, and those of other machines, which cannot be checked. */
  readonly standing: readonly Checkout[];
  /** Checkouts whose directory is gone, or points to another environment. */
  readonly stale: readonly Checkout[];
}

/** Compares all recorded checkouts with the pointers in their directories. */
export async function lookAtCheckouts({ registry, world }: CheckoutAccess): Promise<Checkouts> {
  const host = hostOf(registry);
  const looked = await Promise.all((await registry.checkouts()).map(async (one) => {
    const isHere = one.host === host;
    const pointer = isHere ? await world.files.read(join(one.path, ".current-env")).catch(() => one.env) : one.env;
    return { one, stands: pointer?.trim() === one.env };
  }));
  return {
    standing: looked.filter(({ stands }) => stands).map(({ one }) => one),
    stale: looked.filter(({ stands }) => !stands).map(({ one }) => one),
  };
}

/** Returns a function that lists the checkouts of an environment, as in `--json`. */
export async function checkoutReports(known: CheckoutAccess): Promise<(env: string) => CheckoutReport[]> {
  const { standing } = await lookAtCheckouts(known);
  if (standing.length === 0) return () => [];
  const here = await disk.realPath(known.project.root);
  const own = hostOf(known.registry);
  return (env) =>
    standing.filter((one) => one.env === env).map(({ host, path, gitDir, gitBranch, usedAt }) => ({
      path,
      host: host === "" ? undefined : host,
      gitDir,
      branch: gitBranch,
      usedAt,
      current: host === own && path === here,
    }));
}

/**
 * Lists the checkouts to remove when an environment is deleted: stale ones, and its own on other machines, which cannot
 * be checked.
 */
export async function checkoutsToForget(known: CheckoutAccess, deleted: string): Promise<Checkout[]> {
  const { standing, stale } = await lookAtCheckouts(known);
  const own = hostOf(known.registry);
  return [...stale, ...standing.filter(({ env, host }) => env === deleted && host !== own)];
}
