/**
 * Measures what is claimed about speed: each figure is a ratio of two things timed in turns in this one run.
 * `deno task bench` writes tools/bench/RESULTS.md; `deno task bench list` runs those whose name holds "list", and changes
 * their rows there.
 */
import { cpus, release, totalmem } from "node:os";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { cacheBenchmarks } from "./caches.ts";
import { engineBenchmarks } from "./engine.ts";
import { forkBenchmarks } from "./forks.ts";
import { REPO, type Result, type Skipped } from "./measure.ts";
import { languageBenchmarks } from "./languages.ts";
import { peerBenchmarks } from "./peers.ts";
import { postgresBenchmarks } from "./postgres.ts";
import { startBenchmarks } from "./start.ts";
import { copyBenchmarks } from "./copy.ts";
import { packageBenchmarks } from "./package.ts";
import { s3ClientBenchmarks } from "./s3_clients.ts";
import { storageBenchmarks } from "./storage.ts";
import { vendorBenchmarks } from "./vendors.ts";

function holds({ ratio, limit }: Result): boolean {
  return "atMost" in limit ? ratio <= limit.atMost : ratio >= limit.atLeast;
}

function rowOf(one: Result | Skipped): string {
  if ("reason" in one) return `| ${one.name} | not measured: ${one.reason} | | | | |`;
  const limit = "atMost" in one.limit ? `<= ${one.limit.atMost}` : `>= ${one.limit.atLeast}`;
  const holding = holds(one) ? "yes" : "NO";
  return `| ${one.name} | ${one.ours} | ${one.against} | ${one.ratio.toFixed(2)} | ${limit} | ${holding} |`;
}

/** Returns the rows of an earlier run, replaced by the new ones of the same claims; those of new claims come last. */
function merged(earlier: string, rows: readonly string[]): string[] {
  const claimOf = (row: string) => row.split(" | ", 1)[0]!;
  const all = new Map(
    earlier.split("\n").filter((line) => /^\| (?!claim |---)/.test(line)).map((row) => [claimOf(row), row]),
  );
  for (const row of rows) all.set(claimOf(row), row);
  return [...all.values()];
}

if (import.meta.main) {
  const wanted = process.argv[2] ?? "";
  const work = mkdtempSync(join(process.env.TMPDIR ?? "/tmp", "forkstack-bench-"));
  const results: (Result | Skipped)[] = [];
  let hasFailed = false;
  try {
    for (
      const benchmark of [
        ...startBenchmarks,
        ...peerBenchmarks,
        ...languageBenchmarks,
        ...forkBenchmarks,
        ...postgresBenchmarks,
        ...storageBenchmarks,
        ...s3ClientBenchmarks,
        ...cacheBenchmarks,
        ...engineBenchmarks,
        ...vendorBenchmarks,
        ...copyBenchmarks,
        ...packageBenchmarks,
      ]
    ) {
      if (!benchmark.name.includes(wanted)) continue;
      process.stderr.write(`${benchmark.name}\n`);
      try {
        results.push(...await benchmark.run(work));
      } catch (error) { // what the others take minutes for is not lost
        hasFailed = true;
        results.push({ name: benchmark.name, reason: String(error).split("\n")[0]!.slice(0, 200) });
      }
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  const machine = `${cpus().length} x ${cpus()[0].model}, ${
    Math.round(totalmem() / 2 ** 30)
  } GiB, Linux ${release()}, Deno ${process.versions.deno}`;
  const rows = results.map(rowOf);
  const date = new Date().toISOString().slice(0, 10);
  const textOf = (all: readonly string[]) =>
    `# Results

Written by \`deno task bench\`, last on ${date}; medians; each ratio is of one run.
Machine: ${machine}

| claim | ours | against | ratio | limit | holds |
| --- | --- | --- | --- | --- | --- |
${all.join("\n")}
`;
  process.stdout.write(textOf(rows));
  const path = join(REPO, "tools", "bench", "RESULTS.md");
  writeFileSync(path, textOf(wanted === "" ? rows : merged(readFileSync(path, "utf8"), rows)));
  process.exitCode = !hasFailed && results.every((one) => "reason" in one || holds(one)) ? 0 : 1;
}
