/**
 * One simulated process: its engine, its connection to the registry, its calls to vendors, its clock. It may die: what
 * it waits for never comes, and what it begins never happens, so that no `finally` of the engine runs. It may stand
 * still: what it waits for comes when it wakes.
 */
import { ForkstackError, type Kind } from "../../mod.ts";
import { checked } from "../../core/project/checked_provider.ts";
import type { Engine, World } from "../../core/engine/engine.ts";
import type { Marker } from "../../core/provider.ts";
import { Registry } from "../../core/state/registry.ts";
import { recordedOptions } from "../../core/project/schema.ts";
import type { Sql, SqlRow, Statement } from "../../core/state/sql.ts";
import { type Command, PROTECTED } from "./scenario.ts";
import { liedAnswer, liedRow, liedTitle, type Others } from "./lies.ts";
import { fakeProvider } from "./provider.ts";
import type { Simulation } from "./simulation.ts";
import { type Answer, isMutation, type Request, type Vendor } from "./vendor.ts";

/** How long a caller waits for a vendor. */
const TIMEOUT_MS = 1_500;

/** Times of the lock, shortened. */
export const LOCK_TIMES = { beatMs: 300, staleMs: 1_500, waitMs: 12_000 };

/** One process, which runs one command. */
export class Process {
  readonly name: string;
  readonly command: Command;
  readonly simulation: Simulation;
  readonly #controller = new AbortController();
  readonly #ordinals = new Map<string, number>();
  isDead = false;
  /** Called when it dies. */
  onDeath: () => void = () => {};
  /** The token under which it works on an environment. */
  readonly tokens = new Map<string, number>();
  /** Environments of which the registry has told it that another has taken over. */
  readonly lost = new Set<string>();
  /** The same, while the answer that says so is on its way. */
  readonly learning = new Set<string>();
  #awakeAtMs = 0;
  #sqlFreeAtMs = 0;
  #jumpMs = 0;
  #isOpening = false;

  constructor(simulation: Simulation, command: Command) {
    this.simulation = simulation;
    this.command = command;
    this.name = `#${command.index} ${command.verb} ${command.env}`;
  }

  /** What the engine's commands take. */
  async engine(): Promise<Engine> {
    const { simulation } = this;
    const { project } = simulation;
    const providers = new Map(simulation.vendors.map((vendor) => {
      const provider = fakeProvider(vendor.traits, (request, of) => this.#call(vendor, request, of));
      return [vendor.traits.name, checked(simulation.plant?.provider?.(provider) ?? provider)];
    }));
    const world: World = {
      fetch: () => Promise.reject(new TypeError("the simulation's providers don't fetch")),
      files: simulation.files,
      now: () => new Date(simulation.clockMs() - this.#jumpMs),
      monotonicMs: () => simulation.loop.nowMs,
      sleep: (ms, signal) => this.#sleep(ms, signal),
      read: () => undefined,
      newId: () => simulation.newId(),
      warn: () => {},
      progress: () => {},
      confirm: () => Promise.resolve(),
      secrets: [],
      recordedOptions: (...given) => Promise.resolve(recordedOptions(...given)),
      provider: (_kind: Kind, name: string) => Promise.resolve(providers.get(name)),
    };
    const sql: Sql = {
      write: (statements) => this.#sql(statements, true),
      read: async (statement) => this.#lied(statement, (await this.#sql([statement], false))[0]!),
      close: () => {},
    };
    this.#isOpening = true; // without faults: opening is not what is tested here
    const registry = await Registry.open(sql, project);
    this.#isOpening = false;
    const resources = simulation.vendors.map(({ traits }) => ({
      key: traits.kind,
      kind: traits.kind,
      provider: providers.get(traits.name)!,
      options: {},
    })).sort((a, b) => a.key.localeCompare(b.key));
    return {
      project,
      registry: simulation.plant?.registry?.(
        registry,
        (row) =>
          liedTitle(simulation.faults.dice, `${this.command.index}/title/${this.#ordinal("title")}`, row, this.#others),
      ) ?? registry,
      resources,
      world,
      owner: `worker${this.command.worker}@simulation`,
      signal: this.#controller.signal,
      lockTimes: LOCK_TIMES,
    };
  }

  /** Ends it at once. */
  crash(): void {
    if (this.isDead) return;
    this.isDead = true;
    this.simulation.tell(`${this.name}: the process dies`);
    this.onDeath();
  }

  #pause(): void {
    const { simulation } = this;
    const ms = simulation.faults.dice.int(`${this.command.index} pause ${this.#ordinal("pause")}`, 400, 5_000);
    this.#awakeAtMs = Math.max(this.#awakeAtMs, simulation.loop.nowMs + ms);
    simulation.tell(`${this.name}: the process stands still for ${ms} ms`);
  }

  /** Goes on with what it waited for, unless it died, and not before it wakes. */
  #deliver(run: () => void): void {
    if (this.isDead) return;
    const { loop } = this.simulation;
    if (loop.nowMs >= this.#awakeAtMs) return run();
    loop.after(this.#awakeAtMs - loop.nowMs, () => this.#deliver(run));
  }

  #ordinal(of: string): number {
    const next = (this.#ordinals.get(of) ?? 0) + 1;
    this.#ordinals.set(of, next);
    return next;
  }

  #sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.isDead) return;
      if (signal?.aborted) return reject(signal.reason);
      const stop = () => reject(signal!.reason);
      signal?.addEventListener("abort", stop, { once: true });
      this.simulation.loop.after(ms, () =>
        this.#deliver(() => {
          signal?.removeEventListener("abort", stop);
          resolve();
        }));
    });
  }

  readonly #others: Others = (kind) => {
    const vendor = this.simulation.vendors.find(({ traits }) => traits.kind === kind) ?? this.simulation.vendors[0]!;
    return vendor.items().filter(({ maker }) => maker === "outside" || maker.env === PROTECTED);
  };

  /** What a lying registry tells of what it holds. */
  #lied([sql]: Statement, rows: SqlRow[]): SqlRow[] {
    const { simulation } = this;
    const isLie = simulation.liar === "registry" && simulation.plant === undefined && !this.#isOpening;
    if (!isLie || !/FROM (resources|environments|journal)/.test(sql)) return rows;
    const key = `${this.command.index}/lie/${this.#ordinal("lie")}`;
    const lied = rows.map((row, at) => liedRow(simulation.faults.dice, `${key}/${at}`, row, this.#others));
    for (const [at, row] of lied.entries()) if (row !== rows[at]) simulation.count("lies told");
    return lied;
  }

  /** One transaction on this process's connection, in the order of asking. */
  #sql(statements: readonly Statement[], writes: boolean): Promise<SqlRow[][]> {
    const { simulation } = this;
    if (this.#isOpening) return Promise.resolve(simulation.database.run(statements, writes));
    const { loop, faults } = simulation;
    return new Promise((resolve, reject) => {
      if (this.isDead) return;
      const key = `${this.command.index}/registry/${this.#ordinal(writes ? "write" : "read")}${writes ? "w" : "r"}`;
      const fate = faults.ofRegistry(key, writes);
      if (fate !== "ok") {
        simulation.tell(`${this.name}: registry ${writes ? "write" : "read"}: ${fate}`);
        simulation.count(`registry ${fate}`);
      }
      if (fate === "crash-before") return this.crash();
      const latency = fate === "slow" ? 400 : faults.dice.int(`${key} ms`, 0, 3);
      this.#sqlFreeAtMs = Math.max(this.#sqlFreeAtMs, loop.nowMs) + latency;
      loop.after(this.#sqlFreeAtMs - loop.nowMs, () => {
        if (this.isDead) return;
        let [rows, failure]: [SqlRow[][], unknown] = [[], undefined];
        if (fate === "unreachable") failure = unreachable();
        else {
          try {
            rows = simulation.transact(this, statements, writes);
          } catch (error) {
            failure = error;
          }
        }
        if (fate === "crash-after") return this.crash();
        const learned = fate === "lost" ? [] : [...this.learning];
        this.learning.clear();
        if (fate === "lost") failure = unreachable();
        if (fate === "pause") this.#pause();
        if (fate === "jump") this.#jumpMs += 3_600_000;
        this.#deliver(() => {
          for (const env of learned) this.lost.add(env);
          if (failure === undefined) resolve(rows);
          else reject(failure);
        });
      });
    });
  }

  /** One call to a vendor. Once under way it is not cut off, whatever the signal: what it did would not be known. */
  #call(vendor: Vendor, request: Request, of: Pick<Marker, "env" | "resource">): Promise<Answer> {
    const { simulation } = this;
    const { loop, faults } = simulation;
    return new Promise((resolve, reject) => {
      if (this.isDead) return;
      const changes = isMutation(request);
      const base = `${this.command.index}/${of.env}.${vendor.traits.kind}/${request.op}`;
      const key = `${base}/${this.#ordinal(base)}`;
      const fate = faults.ofVendor(key, changes);
      const said = `${this.name}: ${vendor.traits.name} ${request.op} ${placeOf(request)}`;
      if (fate !== "ok" || changes) simulation.tell(`${said}${fate === "ok" ? "" : `: ${fate}`}`);
      if (fate !== "ok") simulation.count(`vendor ${fate}`);
      if (fate === "crash-before") return this.crash();
      if (changes) simulation.watch.sent(this, vendor, request, of);
      const act = () => simulation.act(this, vendor, request);
      const answer = (ms: number, reply: () => void) => loop.after(ms, () => this.#deliver(reply));
      const jitter = faults.dice.int(`${key} ms`, 1, vendor.traits.latencyMs);
      const status = { refused: 503, "409": 409, "422": 422, "423": 423, "429": 429, "500": 500 }[fate as string];
      if (status === 409 && request.op === "create") return answer(jitter, () => resolve({ status }));
      if (status !== undefined) return answer(jitter, () => reject(refusal(status)));
      if (fate === "timeout") return answer(TIMEOUT_MS, () => reject(noAnswer()));
      if (fate === "late") {
        loop.after(TIMEOUT_MS + faults.dice.int(`${key} late`, 100, 4_000), () => {
          simulation.tell(`${said}: done only now`);
          act();
        });
        return answer(TIMEOUT_MS, () => reject(noAnswer()));
      }
      loop.after(fate === "slow" ? jitter + 1_000 : jitter, () => {
        const told = act();
        const given = simulation.liar === "vendor" ? liedAnswer(faults.dice, key, told) : told;
        if (given !== told) simulation.count("lies told");
        if (fate === "crash-after") return this.crash();
        if (fate === "lost") return answer(TIMEOUT_MS - jitter, () => reject(noAnswer()));
        if (fate === "pause") this.#pause();
        if (fate === "interrupt") this.#deliver(() => this.#controller.abort(new DOMException("Ctrl-C", "AbortError")));
        const isBad = given.status >= 400 && given.status !== 404 && given.status !== 409;
        this.#deliver(() => isBad ? reject(refusal(given.status)) : resolve(given));
      });
    });
  }
}

function placeOf(request: Request): string {
  if (request.op === "create") return `"${request.name}" (${request.maker.operation})`;
  if ("id" in request) return request.id;
  return "name" in request ? `"${request.name}"` : "";
}

function refusal(status: number): ForkstackError {
  const retryable = status === 423 || status === 429 || status >= 500;
  const code = status === 409 ? "CONFLICT" : status === 422 ? "PROVIDER_REFUSED" : "PROVIDER_UNAVAILABLE";
  return new ForkstackError(code, `the vendor answered ${status}`, { retryable, details: { status } });
}

function noAnswer(): ForkstackError {
  return new ForkstackError("PROVIDER_UNAVAILABLE", "the vendor did not answer", { retryable: true });
}

function unreachable(): ForkstackError {
  return new ForkstackError("REGISTRY_UNREACHABLE", "the registry did not answer", { retryable: true });
}
