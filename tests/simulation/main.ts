/**
 * Runs the simulation by hand: `--seed N` tells one story, `--seeds N` runs many, `--plant name` puts a bug in,
 * `--liar registry` or `--liar vendor` has one of them lie.
 */
import process from "node:process";
import { parseArgs } from "node:util";
import { PLANTS } from "./plants.ts";
import { scenarioOf } from "./scenario.ts";
import { kindOf, shrink } from "./shrink.ts";
import { simulate } from "./simulation.ts";
import { runSeeds } from "./swarm.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    seeds: { type: "string", default: "20000" },
    from: { type: "string", default: "0" },
    plant: { type: "string" },
    liar: { type: "string" },
  },
});
const { plant } = values;
const liar = values.liar === undefined
  ? {}
  : { liar: values.liar === "vendor" ? "vendor" as const : "registry" as const };
if (plant !== undefined && PLANTS[plant] === undefined) {
  throw new RangeError(`There is no plant "${plant}"; there is ${Object.keys(PLANTS).join(", ")}`);
}
process.exitCode = values.seed === undefined ? await runMany() : await runOne(numberOf(values.seed));

async function runOne(seed: number): Promise<number> {
  const planted = plant === undefined ? liar : { plant: PLANTS[plant], ...liar };
  const { violations, story, hash } = await simulate(scenarioOf(seed), planted);
  console.log(story.join("\n"));
  console.log(`Seed ${seed}: ${violations.length} violations; the story's hash is ${hash.toString(16)}`);
  if (violations.length === 0) return 0;
  console.log(`\nShrunk:\n${(await shrink(scenarioOf(seed), planted)).join("\n")}`);
  return 1;
}

async function runMany(): Promise<number> {
  const [first, count] = [numberOf(values.from), numberOf(values.seeds)];
  const began = performance.now();
  const { failed, met } = await runSeeds({ first, count, ...liar, ...(plant === undefined ? {} : { plant }) });
  const seconds = ((performance.now() - began) / 1_000).toFixed(1);
  const kinds = new Map<string, number[]>();
  for (const { seed, violations } of failed) {
    for (const kind of new Set(violations.map(kindOf))) kinds.set(kind, [...kinds.get(kind) ?? [], seed]);
  }
  for (const [kind, seeds] of [...kinds].sort((a, b) => b[1].length - a[1].length)) {
    console.log(`${seeds.length} x ${kind} (seeds ${seeds.slice(0, 5).join(", ")})`);
  }
  console.log(`Met: ${Object.entries(met).sort().map(([what, times]) => `${times} ${what}`).join(", ")}`);
  console.log(`${count} seeds in ${seconds} s: ${failed.length} with violations`);
  if (failed.length > 0) console.log(`\`deno task simulate --seed ${failed[0].seed}\` tells the first one's story`);
  return failed.length === 0 ? 0 : 1;
}

function numberOf(text: string): number {
  const number = Number(text);
  if (Number.isSafeInteger(number) && number >= 0) return number;
  throw new RangeError(`A seed, or a number of seeds, is a whole number, not "${text}"`);
}
