/** Timing of functions and programs. */
import { spawnSync } from "node:child_process";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** The result of one claim: `ratio` is measured, `limit` is the promise in the documentation. */
export interface Result {
  readonly name: string;
  /** The timed thing, with its median. */
  readonly ours: string;
  /** The compared thing, with its median. */
  readonly against: string;
  readonly ratio: number;
  /** The limit of `ratio`: at most, or for a rate at least. */
  readonly limit: { readonly atMost: number } | { readonly atLeast: number };
}

/** A claim that could not be measured here, with the reason. */
export interface Skipped {
  readonly name: string;
  readonly reason: string;
}

/** A measurement of one claim or several. */
export type Benchmark = { readonly name: string; readonly run: (work: string) => Promise<(Result | Skipped)[]> };

export const REPO: string = resolve(fileURLToPath(new URL("../..", import.meta.url)));

/** Returns the medians of several functions timed in turns, in milliseconds. */
export async function inTurns(rounds: number, things: readonly (() => unknown)[]): Promise<number[]> {
  return (await timesInTurns(rounds, things)).map(median);
}

/** Does the same as `inTurns` for functions that write much: data left to be written would slow down the next one. */
export async function inTurnsOnDisk(
  rounds: number,
  things: readonly (() => number | Promise<number>)[],
): Promise<number[]> {
  return await inTurns(
    rounds,
    things.map((thing) => () => {
      run("sync", [], "/");
      return thing();
    }),
  );
}

/**
 * Returns all times of several functions timed in turns, in milliseconds; a function may return its own time. The order
 * of each round is random, because a function may be slowed down by what another left.
 */
export async function timesInTurns(rounds: number, things: readonly (() => unknown)[]): Promise<number[][]> {
  const times = things.map(() => [] as number[]);
  for (let round = -1; round < rounds; round++) {
    const order = things.map((thing, at) => ({ thing, at, lot: Math.random() })).sort((a, b) => a.lot - b.lot);
    for (const { thing, at } of order) {
      const began = performance.now();
      const said = await thing();
      const took = typeof said === "number" ? said : performance.now() - began;
      if (round >= 0) times[at].push(took); // the first round warms caches
    }
  }
  return times;
}

/** Returns the median of numbers. */
export function median(numbers: readonly number[]): number {
  return percentile(numbers, 50);
}

/** Returns a percentile of numbers. */
export function percentile(numbers: readonly number[], percent: number): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor((numbers.length - 1) * percent / 100)];
}

/** Runs a program and returns its output; throws if it fails. */
export function run(command: string, args: readonly string[], cwd: string): string {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: "utf8", maxBuffer: 2 ** 26 });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")}: ${status}: ${stderr}`);
  return stdout;
}

/** Runs the command line as `deno task` would; returns its output. */
export function forkstack(cwd: string, ...args: string[]): string {
  return run("deno", ["run", "-q", "-c", join(REPO, "deno.json"), "-P=cli", join(REPO, "cli.ts"), ...args], cwd);
}

/** Formats milliseconds in a readable unit. */
export function shown(ms: number): string {
  if (ms < 0.001) return `${(ms * 1e6).toFixed(0)} ns`;
  if (ms < 1) return `${(ms * 1_000).toFixed(1)} us`;
  return ms < 1_000 ? `${ms.toFixed(1)} ms` : `${(ms / 1_000).toFixed(2)} s`;
}
