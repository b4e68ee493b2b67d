/**
 * What is claimed about speed, measured: each figure is a ratio of two things timed in turns in this one run.
 * `deno task bench` writes bench/RESULTS.md; `deno task bench list` runs those whose name holds "list".
 */
import { spawnSync } from "node:child_process";
import { cpus, release, totalmem } from "node:os";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { engineBenchmarks } from "./engine.ts";
import { forkBenchmarks } from "./forks.ts";
import { startBenchmarks } from "./start.ts";

/** One claim: `ratio` is measured, `limit` is what the documentation promises. */
export interface Result {
  readonly name: string;
  /** What was timed, with its median. */
  readonly ours: string;
  /** What it is held against, with its median. */
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

export const REPO: string = resolve(fileURLToPath(new URL("..", import.meta.url)));

/** The medians of several things timed in turns, in milliseconds. */
export async function inTurns(rounds: number, things: readonly (() => unknown)[]): Promise<number[]> {
  const times = things.map(() => [] as number[]);
  for (let round = -1; round < rounds; round++) {
    for (const [at, thing] of things.entries()) {
      const began = performance.now();
      await thing();
      if (round >= 0) times[at].push(performance.now() - began); // the first round warms caches
    }
  }
  return times.map(median);
}

/** The middle of several numbers. */
export function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];
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

function holds({ ratio, limit }: Result): boolean {
  return "atMost" in limit ? ratio <= limit.atMost : ratio >= limit.atLeast;
}

function table(results: readonly (Result | Skipped)[]): string {
  const rows = results.map((one) =>
    "reason" in one
      ? `| ${one.name} | not measured: ${one.reason} | | | | |`
      : `| ${one.name} | ${one.ours} | ${one.against} | ${one.ratio.toFixed(2)} | ${
        "atMost" in one.limit ? `<= ${one.limit.atMost}` : `>= ${one.limit.atLeast}`
      } | ${holds(one) ? "yes" : "NO"} |`
  );
  return ["| claim | ours | against | ratio | limit | holds |", "| --- | --- | --- | --- | --- | --- |", ...rows].join(
    "\n",
  );
}

if (import.meta.main) {
  const wanted = process.argv[2] ?? "";
  const work = mkdtempSync(join(process.env.TMPDIR ?? "/tmp", "forkstack-bench-"));
  const results: (Result | Skipped)[] = [];
  try {
    for (const benchmark of [...startBenchmarks, ...forkBenchmarks, ...engineBenchmarks]) {
      if (!benchmark.name.includes(wanted)) continue;
      process.stderr.write(`${benchmark.name}\n`);
      results.push(...await benchmark.run(work));
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  const machine = `${cpus().length} x ${cpus()[0].model}, ${
    Math.round(totalmem() / 2 ** 30)
  } GiB, Linux ${release()}, Deno ${process.versions.deno}`;
  const text = `# Results\n\nWritten by \`deno task bench\` on ${
    new Date().toISOString().slice(0, 10)
  }; medians, ratios within one run.\nMachine: ${machine}\n\n${table(results)}\n`;
  process.stdout.write(`${text}\n`);
  if (wanted === "") writeFileSync(join(REPO, "bench", "RESULTS.md"), text);
  process.exitCode = results.every((one) => "reason" in one || holds(one)) ? 0 : 1;
}
