/** Runs the seeds that it is handed, on a thread of its own; see swarm.ts. */
import { PLANTS } from "./plants.ts";
import { scenarioOf } from "./scenario.ts";
import { simulate } from "./simulation.ts";
import type { Batch, Result } from "./swarm.ts";

const thread = globalThis as unknown as {
  onmessage: (event: MessageEvent<Batch>) => void;
  postMessage: (result: Result) => void;
};

thread.onmessage = async ({ data: { first, count, plant, liar } }) => {
  const failed: Result["failed"][number][] = [];
  const met: Record<string, number> = {};
  for (let seed = first; seed < first + count; seed++) {
    const options = {
      ...(plant === undefined ? {} : { plant: PLANTS[plant] }),
      ...(liar === undefined ? {} : { liar }),
    };
    const { violations, tally } = await simulate(scenarioOf(seed), options);
    if (violations.length > 0) failed.push({ seed, violations });
    for (const [what, times] of Object.entries(tally)) met[what] = (met[what] ?? 0) + times;
  }
  thread.postMessage({ failed, met });
};
