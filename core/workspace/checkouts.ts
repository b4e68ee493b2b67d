/**
 * Checkouts: which directories are on which environment. A row of the registry is a hint: what counts is what the
 * pointer in the directory says.
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

/** Access that looking at checkouts needs. */
export type CheckoutAccess = Pick<Engine, "project" | "registry"> & { readonly world: Pick<Engine["world"], "files"> };

/** A checkout in the words of `--json`. */
export interface CheckoutReport {
  /** Real path of its directory, e.g. `"/home/alice/shop"`. */
  readonly path: string;
  /** Its machine, where several share the registry. */
  readonly host?: string;
  readonly gitDir?: string;
  readonly branch?: string;
  readonly usedAt: string;
  /** It is the one that the command runs in. */
  readonly current: boolean;
}

/** Notes in the registry that this directory was pointed to an environment. */
export async function recordSwitch(engine: Engine, env: string): Promise<void> {
  await engine.registry.touch(env, engine.world.now().toISOString(), await pointedHere(engine, env));
}

/** Statements that note this directory as one that is on an environment. */
export async function pointedHere(engine: Engine, env: string): Promise<Statement[]> {
  const checkout = await checkoutHere(engine, env);
  return checkout === undefined ? [] : [statements.putCheckout(checkout)];
}

/** Notes in the registry that an environment was used, from this directory if that is on it. */
export async function recordUse(engine: Engine, env: string): Promise<void> {
  const checkout = await checkoutHere(engine, env);
  const more = checkout === undefined ? [] : [statements.useCheckout(checkout)];
  await engine.registry.touch(env, engine.world.now().toISOString(), more);
}

/** This directory as a checkout; `undefined` where its path is none that a row can hold. */
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

/** The machine, where the registry is not a file that is one machine's. */
function hostOf(registry: Registry): string {
  return registry.lockDirectory === undefined ? hostname() : "";
}

/** Checkouts, looked at. */
export interface Checkouts {
  /** Those whose pointer says what is recorded, and those of other machines, where nobody can look. */
  readonly standing: readonly Checkout[];
  /** Those whose directory is gone, or on another environment by now. */
  readonly stale: readonly Checkout[];
}

/** All checkouts. */
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

/** The checkouts that are on an environment, as `--json` has them. */
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

/** Checkouts to forget with an environment: those that are gone, and those of other machines, where nobody can look. */
export async function checkoutsToForget(known: CheckoutAccess, deleted: string): Promise<Checkout[]> {
  const { standing, stale } = await lookAtCheckouts(known);
  const own = hostOf(known.registry);
  return [...stale, ...standing.filter(({ env, host }) => env === deleted && host !== own)];
}
