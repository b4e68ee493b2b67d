/**
 * What a seed sets up: the stack and its vendors, who runs which command when, and how much goes wrong.
 */
import { Dice } from "./random.ts";
import type { Traits } from "./vendor.ts";

/** The commands that workers run. */
export type Verb = "new" | "delete" | "reset" | "extend" | "doctor" | "prune";

/** One command of one worker. */
export interface Command {
  /** Names it in keys and stories. */
  readonly index: number;
  /** A worker runs its own commands one after the other. */
  readonly worker: number;
  readonly atMs: number;
  readonly verb: Verb;
  readonly env: string;
  readonly from?: string;
  /** End of the lease, in milliseconds from the command's beginning. */
  readonly ttlMs?: number;
}

/** One story, but for the faults. */
export interface Scenario {
  readonly seed: number;
  readonly vendors: readonly Traits[];
  readonly commands: readonly Command[];
  /** What somebody else makes meanwhile, at the place of an environment where nothing stands just then. */
  readonly outsiders: readonly { readonly atMs: number; readonly vendor: number; readonly env: string }[];
  /** How often a call goes wrong. */
  readonly faultRate: number;
  /** How often, besides, a process stands still. */
  readonly sleepiness: number;
}

/** The name of the project; `myapp-alice-prod` and the like belong to others. */
export const PROJECT = "myapp";
/** Ours, ready from the beginning, and protected. */
export const PROTECTED = "staging";
/** An environment at whose place somebody else's resource stands. */
export const OCCUPIED = "carol";
const ENVS = ["alice", "bob"];

/** The scenario of a seed. */
export function scenarioOf(seed: number): Scenario {
  const dice = new Dice(seed);
  const count = dice.int("resources", 2, 3);
  const allReset = dice.chance("all reset", 0.7);
  const isRecorded = (at: number) => dice.chance(`recorded ${at}`, 0.15);
  const isLate = (at: number) => dice.chance(`late ${at}`, 0.15);
  const vendors = (["database", "storage", "cache"] as const).slice(0, count).map((kind, at): Traits => ({
    name: `sim-${kind}`,
    kind,
    ownership: isRecorded(at) ? "recorded" : isLate(at) ? "marked-after" : "marked",
    canReset: !isRecorded(at) && !isLate(at) && (allReset || dice.chance(`reset ${at}`, 0.5)), // where would it note what is staged?
    canExtend: dice.chance(`extend ${at}`, 0.5),
    latencyMs: dice.pick(`latency ${at}`, [5, 20, 80]),
    readyMs: dice.pick(`ready ${at}`, [0, 0, 150, 600]),
    goneMs: dice.pick(`gone ${at}`, [0, 0, 0, 300]),
    listLagMs: dice.pick(`lag ${at}`, [0, 0, 500, 3_000]),
  }));
  const workers = dice.int("workers", 1, 3);
  const commands = Array.from({ length: dice.int("commands", 2, 5) }, (_, index) => commandOf(dice, index, workers));
  const faultRate = dice.pick("rate", [0.01, 0.03, 0.03, 0.08]);
  const outsiders = Array.from({ length: dice.pick("outsiders", [0, 0, 1, 2]) }, (_, index) => ({
    atMs: dice.int(`outsider ${index} at`, 0, 4_000),
    vendor: dice.int(`outsider ${index} of`, 0, count - 1),
    env: dice.pick(`outsider ${index} env`, ENVS),
  }));
  return { seed, vendors, commands, outsiders, faultRate, sleepiness: dice.pick("sleepiness", [0, 0, 0, 0.08]) };
}

function commandOf(dice: Dice, index: number, workers: number): Command {
  const draw = `command ${index}`;
  const first = { new: 12, delete: 1, reset: 1, extend: 0, doctor: 1, prune: 0 };
  const later = { new: 8, delete: 6, reset: 5, extend: 1, doctor: 3, prune: 1 };
  const verb: Verb = dice.weighted(`${draw} verb`, index < 2 ? first : later);
  const place = dice.draw(`${draw} env`);
  const env = place < 0.04 ? PROTECTED : place < 0.1 ? OCCUPIED : place < 0.75 ? ENVS[0] : ENVS[1];
  const isFromAlice = verb === "new" && env === "bob" && dice.chance(`${draw} from`, 0.4);
  return {
    index,
    worker: dice.int(`${draw} worker`, 0, workers - 1),
    atMs: dice.pick(`${draw} at`, [0, 0, 100, 1_000]) + index * dice.pick("pace", [0, 200, 1_500]),
    verb,
    env,
    ...(isFromAlice ? { from: "alice" } : {}),
    ...(dice.chance(`${draw} ttl`, 0.3) ? { ttlMs: 2_000 } : {}),
  };
}
