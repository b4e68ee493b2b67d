/**
 * Makes a failing story short: leaves out one command or one fault after the other for as long as it still fails.
 */
import type { Liar } from "./lies.ts";
import type { Scenario } from "./scenario.ts";
import { type Plant, simulate } from "./simulation.ts";

/** The shortest story found that still breaks something. */
export async function shrink(
  scenario: Scenario,
  options: { readonly plant?: Plant; readonly liar?: Liar } = {},
): Promise<readonly string[]> {
  let [kept, without] = [scenario, new Set<string>()];
  let last = await simulate(kept, { ...options, without });
  if (last.violations.length === 0) return last.story;
  const [wanted] = last.violations.map(kindOf);
  const tries = async (commands: Scenario["commands"], leaveOut: ReadonlySet<string>) => {
    const outcome = await simulate({ ...kept, commands }, { ...options, without: leaveOut });
    if (!outcome.violations.map(kindOf).includes(wanted)) return false;
    [kept, without, last] = [{ ...kept, commands }, new Set(leaveOut), outcome];
    return true;
  };
  for (let isShorter = true; isShorter;) {
    isShorter = false;
    for (const command of kept.commands) {
      if (await tries(kept.commands.filter((one) => one !== command), without)) isShorter = true;
    }
    for (const fault of last.faults) {
      if (!without.has(fault) && await tries(kept.commands, new Set([...without, fault]))) isShorter = true;
    }
  }
  return last.story;
}

/** A violation without what differs from seed to seed: numbers of commands, ids. */
export function kindOf(violation: string): string {
  return violation.replace(/#\d+ /g, "").replace(/\((sim-)?\w+-\d+\)|op-\d+/g, "…");
}
