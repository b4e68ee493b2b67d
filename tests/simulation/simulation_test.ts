import assert from "node:assert/strict";
import { seedsOf, sized } from "../sizes.ts";
import { isSimulated } from "./machine.ts";
import { PLANTS } from "./plants.ts";
import { scenarioOf } from "./scenario.ts";
import { shrink } from "./shrink.ts";
import { simulate } from "./simulation.ts";
import { runSeeds } from "./swarm.ts";

const SEEDS = seedsOf();

Deno.test(`the engine keeps its promises under ${SEEDS} seeds of faults`, async () => {
  const { failed, met } = await runSeeds({ first: 0, count: SEEDS });
  if (failed.length > 0) {
    const [{ seed, violations }] = failed;
    const story = await shrink(scenarioOf(seed));
    assert.fail(
      `${failed.length} seeds fail; \`deno task simulate --seed ${seed}\`: ${violations.join("; ")}\n${
        story.join("\n")
      }`,
    );
  }
  const rare = ["vendor late", "vendor lost", "vendor crash-after", "registry crash-after", "registry jump"];
  // Rarest of all: the lock is lost between the fence's answer and the sending.
  const least = { "changes sent by a worker that was taken over": 30, "writes refused by the fence": 100 };
  for (const [what, timesIn20000] of [...rare.map((one) => [one, 100] as const), ...Object.entries(least)]) {
    const times = Math.floor((timesIn20000 * SEEDS) / 20_000);
    assert((met[what] ?? 0) >= times, `"${what}" must be met often enough to mean something, not ${met[what]} times`);
  }
});

for (const liar of ["registry", "vendor"] as const) {
  const count = sized({ quick: 40, gate: 500, full: 1_500 });
  Deno.test(`a ${liar} that lies harms nothing but what it holds itself, under ${count} seeds`, async () => {
    const { failed, met } = await runSeeds({ first: 0, count, liar });
    assert(
      (met["lies told"] ?? 0) >= count,
      `it must lie often enough to mean something, not ${met["lies told"]} times`,
    );
    if (failed.length === 0) return;
    const [{ seed, violations }] = failed;
    const command = `\`deno task simulate --liar ${liar} --seed ${seed}\``;
    const story = await shrink(scenarioOf(seed), { liar });
    assert.fail(`${failed.length} seeds fail; ${command}: ${violations.join("; ")}\n${story.join("\n")}`);
  });
}

Deno.test("a seed tells the same story each time, whatever ran before it", async () => {
  const hashes = async (seeds: readonly number[]) => {
    const found = new Map<number, number>();
    for (const seed of seeds) found.set(seed, (await simulate(scenarioOf(seed))).hash);
    return found;
  };
  const seeds = Array.from({ length: sized({ quick: 20, gate: 100, full: 300 }) }, (_, seed) => seed);
  const first = await hashes(seeds);
  const again = await hashes(seeds.toReversed());
  assert.deepEqual(new Map([...again].sort(([a], [b]) => a - b)), first);
  assert(new Set(first.values()).size > seeds.length * 0.96, "different seeds must tell different stories");
});

Deno.test("a seed asks this machine for no file and no variable, and loads no module meanwhile", async () => {
  const expected = (await simulate(scenarioOf(5))).hash;
  const machine = Deno as unknown as Record<string, unknown>;
  const names = Object.keys(Deno).filter((name) =>
    /^(open|read|stat|lstat|realPath|write|mkdir|remove|cwd)/.test(name)
  );
  const own = names.map((name) => [name, machine[name]] as const);
  const asked: string[] = [];
  for (const [name, call] of own) {
    machine[name] = (...given: unknown[]) => {
      if (!isSimulated(given[0])) asked.push(`${name} ${given[0]}`);
      return (call as (...given: unknown[]) => unknown)(...given);
    };
  }
  const get = Deno.env.get;
  Deno.env.get = (name) => void asked.push(`env ${name}`);
  try {
    assert.equal((await simulate(scenarioOf(5))).hash, expected);
    for (let seed = 0; seed < 30; seed++) await simulate(scenarioOf(seed));
    assert.deepEqual(asked, []);
  } finally {
    Object.assign(Deno, Object.fromEntries(own));
    Deno.env.get = get;
  }
});

/** How many seeds each planted bug may take to be seen. */
const BOUNDS: Readonly<Record<string, number>> = {
  "no-intent": 50,
  "forward-undo": 50,
  "no-fencing": 100,
  "adopt-by-name": 100,
  "adopt-on-rerun": 400,
  "trust-title": 100,
  "delete-unasked": 400,
};

Deno.test("every plant has its bound", () => assert.deepEqual(Object.keys(BOUNDS), Object.keys(PLANTS)));

for (const [plant, bound] of Object.entries(BOUNDS)) {
  Deno.test(`the planted bug "${plant}" is caught within ${bound} seeds`, async () => {
    for (let seed = 0; seed < bound; seed++) {
      if ((await simulate(scenarioOf(seed), { plant: PLANTS[plant] })).violations.length > 0) return;
    }
    assert.fail(`${bound} seeds did not show it`);
  });
}

Deno.test("shrink() leaves a shorter story that fails in the same way", async () => {
  const plant = PLANTS["no-intent"];
  const scenario = scenarioOf(1);
  const { story, violations } = await simulate(scenario, { plant });
  const short = await shrink(scenario, { plant });
  assert(violations.length > 0);
  assert(short.length < story.length, `${short.length} lines of ${story.length}`);
  assert(short.some((line) => line.includes("VIOLATION: ")));
});
