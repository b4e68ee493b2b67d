/**
 * What is claimed about speed, measured: each figure is a ratio of two things timed in turns in this one run.
 * `deno task bench` writes bench/RESULTS.md; `deno task bench list` runs those whose name holds "list".
 */
import { cpus, release, totalmem } from "node:os";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { cacheBenchmarks } from "./caches.ts";
import { engineBenchmarks } from "./engine.ts";
import { forkBenchmarks } from "./forks.ts";
import { REPO, type Result, type Skipped } from "./measure.ts";
import { peerBenchmarks } from "./peers.ts";
import { postgresBenchmarks } from "./postgres.ts";
import { startBenchmarks } from "./start.ts";
import { copyBenchmarks } from "./copy.ts";
import { packageBenchmarks } from "./package.ts";
import { storageBenchmarks } from "./storage.ts";
import { vendorBenchmarks } from "./vendors.ts";

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
  let hasFailed = false;
  try {
    for (
      const benchmark of [
        ...startBenchmarks,
        ...peerBenchmarks,
        ...forkBenchmarks,
        ...postgresBenchmarks,
        ...storageBenchmarks,
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
  const text = `# Results\n\nWritten by \`deno task bench\` on ${
    new Date().toISOString().slice(0, 10)
  }; medians, ratios within one run.\nMachine: ${machine}\n\n${table(results)}\n`;
  process.stdout.write(`${text}\n`);
  if (wanted === "") writeFileSync(join(REPO, "bench", "RESULTS.md"), text);
  process.exitCode = !hasFailed && results.every((one) => "reason" in one || holds(one)) ? 0 : 1;
}
