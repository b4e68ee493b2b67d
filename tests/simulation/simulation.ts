/**
 * One run: the world of a scenario, its processes, then the end of all faults, the mending, and what must hold then.
 */
import { createEnvironment, planEnvironment } from "../../core/lifecycle/create.ts";
import { deleteEnvironment } from "../../core/lifecycle/delete.ts";
import { examine } from "../../core/lifecycle/doctor.ts";
import type { Engine } from "../../core/engine/engine.ts";
import { formatMarker } from "../../core/marker.ts";
import type { Files } from "../../core/system/files.ts";
import { extendLease, prunable, pruneEnvironment } from "../../core/lifecycle/lease.ts";
import type { Provider } from "../../core/provider.ts";
import { Registry } from "../../core/state/registry.ts";
import { ignoreLines } from "../../core/workspace/ignore.ts";
import { resetEnvironment } from "../../core/lifecycle/reset.ts";
import type { SqlRow, Statement } from "../../core/state/sql.ts";
import { isForkstackError, resourceTitle } from "../../mod.ts";
import { Database } from "./database.ts";
import { Faults } from "./faults.ts";
import type { Liar } from "./lies.ts";
import { Loop } from "./loop.ts";
import { ROOT } from "./machine.ts";
import { memoryFiles } from "./memory_files.ts";
import { Process } from "./process.ts";
import { EPOCH_MS, instantOf } from "./provider.ts";
import { Dice } from "./random.ts";
import { type Command, OCCUPIED, PROJECT, PROTECTED, type Scenario } from "./scenario.ts";
import { type Answer, type Request, Vendor } from "./vendor.ts";
import { Watch } from "./watch.ts";
import type { ResourceRow } from "../../core/state/records.ts";
import { statements } from "../../core/state/statements.ts";
import type { Project } from "../../core/project/project.ts";

/** A bug put in from outside: pieces of the engine's world wrapped or changed. */
export interface Plant {
  readonly statements?: (statements: readonly Statement[]) => readonly Statement[];
  readonly provider?: (provider: Provider) => Provider;
  readonly registry?: (registry: Registry, lie: (row: ResourceRow) => ResourceRow) => Registry;
  /** Who lies; where the plant lies for it, its own lies begin behind the checks. */
  readonly liar?: Liar;
}

/** What came of a run. */
export interface Outcome {
  readonly violations: readonly string[];
  readonly story: readonly string[];
  /** Keys of the faults that were met. */
  readonly faults: readonly string[];
  /** How often what was met. */
  readonly tally: Readonly<Record<string, number>>;
  /** Of the whole story: the same for the same seed. */
  readonly hash: number;
}

/** What must hold whoever lies; what was asked for can't be done then. */
const SAFETY = /did not make|is protected|was changed or deleted|none of ours|hangs|holds a secret/;
/** A run that lasts longer hangs. */
const LONGEST_MS = 600_000;
/** Until the lists of all vendors are up to date. */
const SETTLE_MS = 10_000;
/** One for all runs of this thread: opening it costs as much as a run. */
const database = new Database();

/** Runs a scenario, leaving out the faults that `without` names. */
export async function simulate(
  scenario: Scenario,
  options: { plant?: Plant; without?: ReadonlySet<string>; liar?: Liar } = {},
): Promise<Outcome> {
  const { plant, without = new Set(), liar = plant?.liar } = options;
  return await new Simulation(scenario, plant, without, liar).run();
}

/** The world of one run. */
export class Simulation {
  readonly scenario: Scenario;
  readonly plant: Plant | undefined;
  /** Who lies, in a run that asks for safety alone. */
  readonly liar: Liar | undefined;
  readonly loop = new Loop();
  readonly database = database;
  readonly faults: Faults;
  readonly vendors: readonly Vendor[];
  readonly files: Files;
  readonly watch: Watch;
  readonly story: string[] = [];
  readonly project: Project = {
    root: ROOT,
    stateRoot: ROOT,
    name: PROJECT,
    stack: PROJECT,
    config: { project: PROJECT, protected: [PROTECTED] },
    isNew: false,
    current: { env: "dev", decidedBy: "default" },
  };
  readonly #tally: Record<string, number> = {};
  #ids = 0;
  #hash = 0;

  constructor(scenario: Scenario, plant: Plant | undefined, without: ReadonlySet<string>, liar?: Liar) {
    this.scenario = scenario;
    this.plant = plant;
    this.liar = liar;
    this.faults = new Faults(new Dice(scenario.seed), scenario.faultRate, scenario.sleepiness, without);
    this.vendors = scenario.vendors.map((traits) => new Vendor(traits, () => this.loop.nowMs));
    this.files = memoryFiles({
      [`${ROOT}/.gitignore`]: ignoreLines(this.project).map(([line]) => `${line}\n`).join(""),
    });
    this.watch = new Watch(this);
  }

  /** The true time, which the vendors have. */
  clockMs(): number {
    return EPOCH_MS + this.loop.nowMs;
  }

  /** Counts what was met, so that it shows what a run has really tried. */
  count(what: string): void {
    this.#tally[what] = (this.#tally[what] ?? 0) + 1;
  }

  newId(): string {
    return `op-${++this.#ids}`;
  }

  /** Adds a line to the story. */
  tell(line: string): void {
    this.story.push(`${String(Math.round(this.loop.nowMs)).padStart(6)} ms  ${line}`);
    this.#hash = Math.trunc(new Dice(this.#hash).draw(line) * 2 ** 32);
  }

  /** A transaction of a process, as the plant lets it be, watched. */
  transact(process: Process, given: readonly Statement[], writes: boolean): SqlRow[][] {
    const statements = writes ? this.plant?.statements?.(given) ?? given : given;
    let rows: SqlRow[][];
    try {
      rows = this.database.run(statements, writes);
    } catch (error) {
      this.watch.refused(process, given);
      throw error;
    }
    if (writes) this.watch.written(process, statements);
    return statements === given ? rows : given.map((one) => rows[statements.indexOf(one)] ?? []);
  }

  /** A vendor acts on a process's call. */
  act(process: Process, vendor: Vendor, request: Request): Answer {
    this.watch.acting(process, vendor, request);
    return vendor.act(request);
  }

  /** From the beginning to the end. */
  async run(): Promise<Outcome> {
    await this.#setUp();
    this.faults.isOver = this.liar !== undefined; // one thing at a time
    for (const worker of new Set(this.scenario.commands.map((command) => command.worker))) {
      this.#work(this.scenario.commands.filter((command) => command.worker === worker));
    }
    for (const one of this.scenario.outsiders) this.loop.after(one.atMs, () => this.#intrude(one));
    await this.#settle();
    this.faults.isOver = true;
    if (this.liar === undefined) {
      this.tell("no more faults");
      await this.#mend();
    } else this.watch.checkOthers();
    const violations = this.liar === undefined
      ? this.watch.violations
      : this.watch.violations.filter((one) => SAFETY.test(one));
    for (const violation of violations) this.tell(`VIOLATION: ${violation}`);
    return { violations, story: this.story, faults: this.faults.met, tally: this.#tally, hash: this.#hash };
  }

  /** The parents, what belongs to others, and an environment of ours that is protected. */
  async #setUp(): Promise<void> {
    this.database.wipe();
    const sql = {
      write: (all: readonly Statement[]) => Promise.resolve(this.database.run(all, true)),
      read: (one: Statement) => Promise.resolve(this.database.rows(one)),
      close: () => {},
    };
    await Registry.open(sql, this.project);
    const [operation, createdAt, env] = ["op-before", instantOf(-86_400_000), PROTECTED];
    const put: Statement[] = [
      statements.putEnvironment({
        name: env,
        parent: "prod",
        status: "ready",
        owner: "lead@simulation",
        operation,
        createdAt,
        expiresAt: instantOf(-1), // it has become protected since: prune must leave it
      }),
    ];
    for (const [at, vendor] of this.vendors.entries()) {
      const { kind, name } = vendor.traits;
      const note = (stack: string, of: string) => formatMarker({ stack, env: of, resource: kind, operation });
      vendor.place(resourceTitle(kind, PROJECT, "prod"), "outside");
      vendor.place(`${resourceTitle(kind, PROJECT, "alice")}-2`, "outside");
      vendor.place(resourceTitle(kind, `${PROJECT}-alice`, "bob"), "outside", note("another", "alice"));
      if (at === 0) vendor.place(resourceTitle(kind, PROJECT, OCCUPIED), "outside");
      const title = resourceTitle(kind, PROJECT, env);
      const marked = vendor.traits.ownership !== "recorded" ? note(PROJECT, env) : undefined;
      const { id } = vendor.place(title, { env, resource: kind, operation }, marked);
      const row = { env, key: kind, kind, provider: name, title, state: "ready" as const, operation, id, createdAt };
      const line = { operation, env, resource: kind, step: "create", at: createdAt };
      put.push(
        statements.putResource({ ...row, options: {} }),
        statements.journal({ ...line, phase: "intent" }),
        statements.journal({ ...line, phase: "done", id }),
      );
    }
    this.database.run(put, true);
    this.watch.remember();
  }

  /** Somebody else makes something where a fork would be. */
  #intrude({ vendor: at, env }: Scenario["outsiders"][number]): void {
    const vendor = this.vendors[at];
    const name = resourceTitle(vendor.traits.kind, PROJECT, env);
    if (vendor.items().some((item) => item.name === name)) return;
    this.tell(`somebody else makes ${vendor.traits.name} "${name}"`);
    this.count("outsiders");
    this.watch.intruded(vendor, vendor.place(name, "outside"));
  }

  /** One worker runs its commands, each in a process of its own; after a crash it goes on with the next. */
  #work(commands: readonly Command[]): void {
    const [command, ...rest] = commands;
    if (command === undefined) return;
    this.loop.after(command.atMs - this.loop.nowMs, () => {
      const process = new Process(this, command);
      let hasEnded = false;
      const goOn = () => {
        if (!hasEnded) this.#work(rest);
        hasEnded = true;
      };
      process.onDeath = goOn;
      void this.#execute(process).then(goOn);
    });
  }

  async #execute(process: Process): Promise<boolean> {
    const { command } = process;
    this.tell(`${process.name}${command.from === undefined ? "" : ` --from ${command.from}`}: begins`);
    const judge = this.watch.begun(process);
    try {
      await runCommand(await process.engine(), command);
      this.tell(`${process.name}: done`);
      judge(undefined);
      return true;
    } catch (error) {
      const isKnown = isForkstackError(error) || (error as Error).name === "AbortError";
      judge(isForkstackError(error) ? error.code : "");
      const shown = isForkstackError(error) ? `${error.code}: ${error.message}` : String(error);
      this.tell(`${process.name}: fails: ${shown}`);
      if (!isKnown) this.watch.violate(`${process.name} fails with an error that is none of ours: ${shown}`);
      return false;
    }
  }

  async #settle(): Promise<void> {
    if (!await this.loop.run(LONGEST_MS)) this.watch.violate("something hangs");
    this.loop.nowMs += SETTLE_MS;
  }

  /** One `doctor --fix`, then for what is not ready the one command that is named for it. */
  async #mend(): Promise<void> {
    let index = 100;
    const run = async (command: Omit<Command, "index" | "worker" | "atMs">) => {
      const process = new Process(this, { ...command, index: index++, worker: 9, atMs: this.loop.nowMs });
      const result = this.#execute(process);
      await this.#settle();
      return await result;
    };
    if (!await run({ verb: "doctor", env: "--fix" })) this.watch.violate("doctor --fix fails");
    const look = async () => {
      const process = new Process(this, { index: index++, worker: 9, atMs: 0, verb: "doctor", env: "" });
      const findings = process.engine().then(examine);
      await this.#settle();
      return await findings;
    };
    const unready = this.database.rows(["SELECT name FROM environments WHERE status <> 'ready' ORDER BY name"]);
    for (const { name } of unready) {
      const finding = (await look()).find((one) => one.environment === name && one.problem.startsWith("unfinished"));
      const [, verb, env] = /^`forkstack (\w+) (\w+)`$/.exec(finding?.fix ?? "") ?? [];
      if (verb !== undefined) await run({ verb: verb as Command["verb"], env });
    }
    const findings = await look();
    for (const { severity, environment, problem } of findings) {
      if (severity === "info" || /^(expired|unproven)/.test(problem)) continue;
      this.watch.violate(`doctor still finds, for ${environment}: ${problem}`);
    }
    await this.watch.checkEnd(findings);
  }
}

async function runCommand(engine: Engine, command: Command): Promise<void> {
  const { verb, env, from, ttlMs } = command;
  switch (verb) {
    case "new": {
      const expiresAt = ttlMs === undefined
        ? {}
        : { expiresAt: new Date(engine.world.now().getTime() + ttlMs).toISOString() };
      const options = { switch: false, ...(from === undefined ? {} : { from }), ...expiresAt };
      await planEnvironment(engine, env, options);
      await createEnvironment(engine, env, options);
      break;
    }
    case "delete":
      await deleteEnvironment(engine, env);
      break;
    case "reset":
      await resetEnvironment(engine, env);
      break;
    case "extend":
      await extendLease(engine, env, 5_000);
      break;
    case "doctor":
      for (const { mend } of await examine(engine)) await mend?.();
      break;
    case "prune":
      for (const { name } of await prunable(engine, undefined)) await pruneEnvironment(engine, name, undefined);
  }
}
