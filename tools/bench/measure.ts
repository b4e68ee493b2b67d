/** How things are timed. */
import { spawnSync } from "node:child_process";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** One claim: `ratio` is measured, `limit` is what the documentation promises. */
export interface Result {
  readonly name: string;
  /** The thing that was timed, with its median. */
  readonly ours: string;
  /** The thing that it is compared with, with its median. */
  readonly against: string;
  readonly ratio: number;
  /** `ratio` must be at most, or for a rate at least, this. */
  readonly limit: { readonly atMost: number } | { readonly atLeast: number };
}

/** A claim that could not be measured here, and why. */
export interface Skipped {
  readonly name: string;
  readonly reason: string;
}

/** Measures one claim or several. */
export type Benchmark = { readonly name: string; readonly run: (work: string) => Promise<(Result | Skipped)[]> };

export const REPO: string = resolve(fileURLToPath(new URL("../..", import.meta.url)));

/** The medians of several things timed in turns, in milliseconds. */
export async function inTurns(rounds: number, things: readonly (() => unknown)[]): Promise<number[]> {
  return (await timesInTurns(rounds, things)).map(median);
}

/** As `inTurns`, of things that write much: what one left to be written would slow the next down. */
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
 * All times of several things timed in turns, in milliseconds, or how many of them a thing says it took itself. The order
 * of each round is drawn by lot: what runs after a thing may be slowed down by what it left.
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

/** The middle of several numbers. */
export function median(numbers: readonly number[]): number {
  return percentile(numbers, 50);
}

/** The percentile of some numbers. */
export function percentile(numbers: readonly number[], percent: number): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor((numbers.length - 1) * percent / 100)];
}

/** Runs a program; throws if it fails. */
export function run(command: string, args: readonly string[], cwd: string): string {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: "utf8", maxBuffer: 2 ** 26 });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")}: ${status}: ${stderr}`);
  return stdout;
}

/** Runs the command line as `deno task` would. */
export function forkstack(cwd: string, ...args: string[]): string {
  return run("deno", ["run", "-q", "-c", join(REPO, "deno.json"), "-P=cli", join(REPO, "cli.ts"), ...args], cwd);
}

/** Milliseconds, or what is easier to read. */
export function shown(ms: number): string {
  if (ms < 0.001) return `${(ms * 1e6).toFixed(0)} ns`;
  if (ms < 1) return `${(ms * 1_000).toFixed(1)} us`;
  return ms < 1_000 ? `${ms.toFixed(1)} ms` : `${(ms / 1_000).toFixed(2)} s`;
}
