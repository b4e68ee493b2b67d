/**
 * The ground of a conformance case: the world that an emulator opens, a provider in it, and a record of all that was
 * seen there.
 */
import assert from "node:assert/strict";
import { inspect as show } from "node:util";
import * as v from "npm:valibot@1.5.0";
import { memory } from "../core/system/memory.ts";
import type { Context, Fork, Held, Inspection, Marker, Outputs, Provider, Scope, Target } from "../core/provider.ts";
import { parseMarker } from "../core/marker.ts";
import { allows } from "../core/project/permissions.ts";
import { Secret } from "../core/secret.ts";
import { ForkstackError } from "../mod.ts";
import { type Call, type Fault, faultsOf, FEW_FAULTS, type Plan, type Reach, watched } from "./faults.ts";
import { forEach, ledgerOf } from "./helpers.ts";
import { sized } from "./sizes.ts";

/** A vendor that starts with the same contents each time it is opened. */
export interface Emulator {
  open(given: Given): Promise<World>;
  /** Most worlds that may be open at a time: 1 if they share names on one server. @default {1} */
  readonly worldsAtOnce?: number;
}

/** Values that the suite chose for one run. */
export interface Given {
  /** The stack's id, and the resource's key: the emulator also holds forks of other stacks and resources. */
  readonly stack: string;
  readonly resource: string;
  /** The credentials that the vendor must require, by variable; each is a canary. */
  readonly credentials: Readonly<Record<string, string>>;
  /** True if requests use real connections; otherwise, where a case opens many worlds, they stay in this process. */
  readonly isOverHttp: boolean;
}

/** A vendor with contents: the parent, look-alikes with our prefix, forks of other stacks, more than one page. */
export interface World {
  /** Options in addition to those of the suite, e.g. `{ endpoint }`. */
  readonly options?: Readonly<Record<string, unknown>>;
  readonly project: string;
  readonly root: string;
  /** The provider's access to the vendor, and further changes of the suite's context. */
  readonly context: Reach & Partial<Context>;
  /** The name of a parent with contents, and a name without a parent. */
  readonly parent: string;
  readonly absentParent: string;
  /** Returns the name of an environment's fork. */
  titleOf(env: string): string;
  /** Returns everything at the vendor, the parent included: a digest of all bytes by readable name. */
  things(): Promise<ReadonlyMap<string, string>>;
  /** Returns a digest of a resource's contents; needed if `capabilities.copy` claims that data is copied. */
  contentOf?(name: string): Promise<string>;
  /** Writes into a resource, as an application does. */
  change?(name: string): Promise<void>;
  /** Creates a foreign thing of this name; with contents and without a mark, unless `as` says otherwise. */
  placeForeign(name: string, as?: Foreign): Promise<void>;
  /** Rewrites the stored marker; needed if `capabilities.ownership` is `"marked"`. */
  rehand?(fork: Fork, marker: Marker): Promise<void>;
  /**
   * Returns a point in the parent's past and a digest of its contents then; needed if `capabilities.pointInTime` is
   * claimed.
   */
  past?(): Promise<{ readonly at: string; readonly digest: string }>;
  /** Advances the vendor's clock; needed if `capabilities.nativeExpiry` is claimed. */
  advance?(ms: number): Promise<void>;
  /** Number of forks on one page of a list. @default {2} */
  readonly pageSize?: number;
  /** Called with each id that a run records, for a world that knows its things only by these. */
  onRecord?(id: string): void;
  /** Returns every secret that the vendor ever held or issued: keys, tokens, values in the parent's data. */
  canaries?(): readonly string[];
  /** Returns the requests and answers that broke the vendor's specification. */
  violations?(): readonly string[];
  close(): Promise<void>;
}

/** A thing that somebody else put at a fork's place. */
export interface Foreign {
  /** True if it is empty. @default {false} */
  readonly isEmpty?: boolean;
  /** The name of a fork of whose stored mark it bears a copy; for vendors that store one. */
  readonly markOf?: string;
}

/** The provider under test, with its emulator and options. */
export interface Suite<Options> {
  readonly provider: Provider<Options>;
  readonly emulator: Emulator;
  /** Options as in forkstack.json, without `provider`. */
  readonly options?: Readonly<Record<string, unknown>>;
  /**
   * Names of the faults to use, if the whole suite has run with the others elsewhere. By default all of them at full
   * size; in the gate the most telling few at each call, and each of the others at some calls.
   */
  readonly faults?: readonly string[];
  /** Reasons why this provider cannot pass a case, by the case's name. */
  readonly skip?: Readonly<Record<string, string>>;
}

const STACK = "stack-of-the-suite";
const REGISTRY = "0123456789abcdef";
export const STARTED_AT = Date.parse("2026-01-01T00:00:00Z");
const MAX_SLEEPS = 10_000;
let worlds = 0;

/** A world with a provider in it, and a record of what the suite saw there. */
export class Bench<Options> {
  readonly provider: Provider<Options>;
  readonly world: World;
  readonly scope: Scope<Options>;
  readonly credentials: Readonly<Record<string, string>>;
  /** Values that a user, a log or the registry would see. */
  readonly shown: unknown[] = [];
  readonly canaries: string[];
  readonly recorded: string[] = [];
  readonly journal = new Map<string, Marker>();
  /** Outputs that `create` returned, by the fork's id. */
  readonly handed = new Map<string, Outputs>();
  readonly #ledger = ledgerOf(this.journal);
  /** Names of empty things that `create` took over and reported. */
  readonly takenOver: readonly string[] = this.#ledger.takenOver;
  /** Runs with an intent in the journal, by the thing that they make. */
  readonly #begun = new Set<string>();
  /** Hosts that were called, although `permissions()` does not name them. */
  readonly undeclared = new Set<string>();
  seeded: ReadonlyMap<string, string> = new Map();
  /** Operations of two worlds are two, as in life, where an operation's id is random. */
  readonly #id = worlds++;
  #slept = 0;
  #sleeps = 0;

  constructor(suite: Suite<Options>, world: World, given: Given) {
    this.provider = suite.provider;
    this.world = world;
    this.credentials = given.credentials;
    this.canaries = Object.values(given.credentials);
    const options = v.parse(suite.provider.options as v.GenericSchema<unknown, Options>, {
      ...suite.options,
      ...world.options,
    });
    this.scope = { options, project: world.project, stack: given.stack, resource: given.resource, root: world.root };
  }

  /** Returns a context that records its calls, and breaks them as the plan says. */
  context(
    plan?: Plan,
    signal = new AbortController().signal,
    fence: Context["fence"] = () => Promise.resolve(),
  ): Context & { readonly calls: Call[] } {
    const credentials = Object.fromEntries(
      Object.entries(this.credentials).map(([key, value]) => [key, new Secret(value)]),
    );
    const reach = watched(this.world.context, plan);
    return {
      credentials,
      signal,
      now: () => new Date(STARTED_AT + this.#slept),
      sleep: async (ms) => {
        signal.throwIfAborted();
        if (++this.#sleeps > MAX_SLEEPS) throw new Error(`${MAX_SLEEPS} waits: it never ends`);
        this.#slept += ms;
        await new Promise((resolve) => setTimeout(resolve, 0));
      },
      markerOf: (name, note) => markerIn(name, note),
      once: memory(),
      ...this.#ledger,
      warn: (text) => void this.shown.push(text),
      progress: (text) => void this.shown.push(text),
      confirm: () => Promise.resolve(),
      record: (step, id) => {
        this.recorded.push(id);
        this.world.onRecord?.(id);
        this.shown.push({ step, id });
        return this.#ledger.record(step, id);
      },
      ...this.world.context,
      ...reach,
      fence,
      fetch: async (request) => {
        const url = new URL(request.url);
        const { net = [] } = this.provider.permissions?.(this.scope.options, credentials) ?? {};
        if (!allows(net, url)) this.undeclared.add(url.host);
        if (!/^(GET|HEAD|OPTIONS)$/.test(request.method)) await fence(); // as the one HTTP client does
        return await reach.fetch(request);
      },
    };
  }

  target(
    env: string,
    changed: Partial<Target<Options>> = {},
    operation = `operation-${this.#id}-of-${env}`,
  ): Target<Options> {
    const { name = this.world.titleOf(env) } = changed;
    const marker = { stack: this.scope.stack, env, resource: this.scope.resource, operation, name, registry: REGISTRY };
    const begunAt = new Date(STARTED_AT).toISOString();
    return { ...this.scope, name, parent: this.world.parent, marker, begunAt, ...changed };
  }

  /**
   * Creates a fork as the engine does: checks that the place is empty if the mark comes later, then the intent, then
   * the call.
   */
  async create(target: Target<Options>, context = this.context()): Promise<Fork> {
    const run = runOf(target.name, target.marker);
    const isResumed = this.#begun.has(run);
    if (!isResumed && this.provider.capabilities.ownership !== "marked") {
      const { state } = await this.inspect(target, context);
      if (state !== "absent") throw new ForkstackError("FOREIGN", `"${target.name}" is ${state}`, { hint: "" });
    }
    this.#begun.add(run);
    if (!this.journal.has(target.name)) this.journal.set(target.name, target.marker);
    const { outputs, ...fork } = await this.provider.create(context, { ...target, isResumed });
    if (outputs !== undefined) {
      this.handed.set(fork.id, outputs);
      this.#revealed(outputs);
    }
    this.#see(fork);
    await this.#ledger.record("create", fork.id); // the row has it from now on
    return fork;
  }

  async inspect(target: Target<Options>, context = this.context()): Promise<Inspection> {
    return this.#see(await this.provider.inspect(context, target));
  }

  async delete(fork: Fork, context = this.context()): Promise<"deleted" | "absent"> {
    const state = await this.provider.delete(context, fork, this.scope);
    this.#begun.delete(runOf(fork.name, fork.marker));
    return state;
  }

  async keep(fork: Fork, context = this.context()): Promise<Held | "absent"> {
    return this.#see(await this.provider.keep!(context, fork, this.scope));
  }

  /** Returns the secrets of a fork, revealed; each is a canary from now on. */
  async secretsOf(fork: Fork, context = this.context()): Promise<Record<string, string>> {
    const all = this.#see(await this.provider.secrets!.read(context, fork, this.scope));
    const plain = Object.entries(all).map(([key, value]) => [key, value.reveal()]);
    this.canaries.push(...plain.map(([, value]) => value!).filter((value) => value.length > 8));
    return Object.fromEntries(plain);
  }

  async change(fork: Fork, changes: Readonly<Record<string, string | null>>, context = this.context()): Promise<void> {
    const wrapped = Object.entries(changes).map(([key, value]) => [key, value === null ? null : new Secret(value)]);
    await this.provider.secrets!.write(context, fork, this.scope, Object.fromEntries(wrapped));
  }

  async list(context = this.context()): Promise<Fork[]> {
    const forks = await Array.fromAsync(this.provider.list(context, this.scope));
    return this.#see(forks.sort((a, b) => a.name < b.name ? -1 : a.name > b.name ? 1 : a.id < b.id ? -1 : 1));
  }

  async probe(held: Pick<Fork, "id" | "name">, context = this.context()): Promise<void> {
    await this.provider.probe(context, held, this.scope);
  }

  /** Returns the outputs with their secrets revealed, each of which is a canary from now on. */
  async outputs(fork: Fork, context = this.context()): Promise<Record<string, string>> {
    return this.#revealed(await this.provider.outputs(context, fork, this.scope));
  }

  #revealed(outputs: Outputs): Record<string, string> {
    this.#see(outputs);
    return Object.fromEntries(
      Object.entries(outputs).map(([variable, value]) => {
        if (value instanceof Secret) this.canaries.push(value.reveal());
        return [variable, value instanceof Secret ? value.reveal() : value];
      }),
    );
  }

  /** Returns the result of some work; keeps an error for the search for canaries. */
  async attempt<T>(
    work: () => Promise<T>,
  ): Promise<{ value: T; error?: undefined } | { value?: undefined; error: Error }> {
    try {
      return { value: await work() };
    } catch (error) {
      assert(error instanceof Error, `must throw an Error, not ${show(error)}`);
      this.shown.push(error);
      return { error };
    }
  }

  /** Checks that work throws, with this code if given, and that nothing at the vendor changes. */
  async refuses(work: () => Promise<unknown>, code?: string): Promise<void> {
    const earlier = await this.world.things();
    const { error } = await this.attempt(work);
    assert(error !== undefined, `must be refused${code === undefined ? "" : ` as ${code}`}`);
    if (code !== undefined) assert.equal((error as { code?: string }).code, code, show(error));
    assert.deepEqual(await this.world.things(), earlier, "a refusal changes nothing");
  }

  /** Checks that exactly this fork exists, complete. */
  async assertWhole(target: Target<Options>, fork: Fork): Promise<void> {
    const seen = await this.inspect(target);
    assert.equal(seen.state, "ready", show(seen));
    assert.equal((seen as { fork: Fork }).fork.id, fork.id);
    assert.deepEqual(fork.marker, target.marker);
    assert.equal(fork.name, target.name);
    const listed = (await this.list()).filter(({ marker }) => marker.env === target.marker.env);
    assert.deepEqual(listed.map(({ id }) => id), [fork.id], "list() has it once");
    await this.probe(fork);
    if (target.parent === this.world.parent && isDataCopied(this.provider)) {
      const [own, parents] = [await this.contentOf(fork.name), await this.contentOf(this.world.parent)];
      assert.equal(own, parents, "it must hold what its parent holds");
    }
  }

  /** Checks that no fork of ours is left. */
  async assertGone(target: Target<Options>): Promise<void> {
    assert.deepEqual(await this.inspect(target), { state: "absent" });
    assert.deepEqual((await this.list()).filter(({ marker }) => marker.env === target.marker.env), []);
    assert.deepEqual(await this.leftovers(), [], "nothing of ours may be left");
  }

  contentOf(name: string): Promise<string> {
    assert(this.world.contentOf, `the emulator needs contentOf(), as copy is "${this.provider.capabilities.copy}"`);
    return this.world.contentOf(name);
  }

  async leftovers(): Promise<string[]> {
    return [...(await this.world.things()).keys()].filter((name) => !this.seeded.has(name)).sort();
  }

  async assertOthersUnchanged(): Promise<void> {
    const things = await this.world.things();
    for (const [name, digest] of this.seeded) assert.equal(things.get(name), digest, `${name} is not ours: it changed`);
  }

  /**
   * Deletes everything that can be found of an environment, as the engine undoes a run; returns true if a thing without
   * proof of ownership is left.
   */
  async undo(target: Target<Options>): Promise<boolean> {
    const seen = await this.inspect({ ...target, isResumed: true });
    const found = "fork" in seen ? [seen.fork] : [];
    for (const { id } of found) await this.#ledger.record("proven", id);
    for (const fork of [...found, ...(await this.list())]) {
      if (fork.marker.env === target.marker.env) await this.delete(fork);
    }
    const isLeft = seen.state === "foreign";
    if (!isLeft) this.#begun.delete(runOf(target.name, target.marker));
    return isLeft;
  }

  assertNoCanary(): void {
    const canaries = new Set([...this.canaries, ...(this.world.canaries?.() ?? [])]);
    for (const shown of this.shown) {
      const text = everythingIn(shown);
      for (const canary of canaries) assert(!text.includes(canary), `a secret shows in ${text.slice(0, 500)}`);
    }
  }

  #see<T>(value: T): T {
    this.shown.push(value);
    return value;
  }
}

/** Returns true if a fork must have its parent's data. */
export function isDataCopied({ capabilities }: Pick<Provider, "capabilities">): boolean {
  return capabilities.copy === "copy-on-write" || capabilities.copy === "full-copy";
}

function runOf(name: string, { operation }: Marker): string {
  return `${operation} ${name}`;
}

/** Returns the marker in a vendor's note on the thing of this name: as the engine writes it, or as JSON. */
function markerIn(name: string, note: string | Marker): Marker | undefined {
  const known = parseMarker(note, name);
  if (known !== undefined || typeof note !== "string") return known;
  try {
    const marker = JSON.parse(note) as Marker;
    return marker.name === undefined || marker.name === name ? marker : undefined;
  } catch {
    return undefined; // somebody else's note
  }
}

/** Returns everything that a log could print of a value: causes, stacks, own fields, JSON. */
function everythingIn(value: unknown): string {
  const inner = value instanceof Error ? [value.stack, value.message, everythingIn(value.cause ?? "")] : [];
  const many = value instanceof AggregateError ? value.errors.map(everythingIn) : [];
  return [...inner, ...many, show(value, { depth: 20 }), JSON.stringify(value)].join("\n");
}

const CONSOLE = ["debug", "error", "info", "log", "trace", "warn"] as const;
/** The open worlds: each gets all output of the console, because nobody knows which of them caused it. */
const listening = new Set<Bench<never>>();
const consoleMethods = CONSOLE.map((name) => [name, console[name]] as const);

/** Records the console's output for a bench; returns the function that ends this. */
function listen(bench: Bench<never>): () => void {
  listening.add(bench);
  for (const name of CONSOLE) {
    console[name] = (...said: unknown[]) => listening.forEach(({ shown }) => void shown.push(said));
  }
  return () => {
    listening.delete(bench);
    if (listening.size === 0) { for (const [name, method] of consoleMethods) console[name] = method; }
  };
}

/** Runs a part of a case in its own world; then checks that foreign things are unchanged, and no secret was shown. */
export async function inWorld<Options>(
  suite: Suite<Options>,
  work: (bench: Bench<Options>) => Promise<void>,
  isOverHttp = false,
): Promise<void> {
  const variables = suite.provider.credentials.map(({ variable }) => variable);
  const credentials = Object.fromEntries(variables.map((name) => [name, `canary-${name}-${crypto.randomUUID()}`]));
  const given: Given = { stack: STACK, resource: suite.provider.kind, credentials, isOverHttp };
  const world = await suite.emulator.open(given);
  const bench = new Bench(suite, world, given);
  const stop = listen(bench as unknown as Bench<never>);
  try {
    bench.seeded = await world.things();
    await work(bench);
    await bench.assertOthersUnchanged();
    bench.assertNoCanary();
    assert.deepEqual(world.violations?.() ?? [], [], "the vendor's specification must be kept to");
    assert.deepEqual([...bench.undeclared], [], "permissions() must name every host that is asked");
  } finally {
    stop();
    await world.close();
  }
}

/** Returns the faults for a call: see `Suite.faults`. */
function chosenFaults<Options>(suite: Suite<Options>, call: Call): Fault[] {
  const all = faultsOf(call);
  if (suite.faults !== undefined) return all.filter(({ name }) => suite.faults!.includes(name));
  const each = sized({ gate: 8, full: 1 });
  return all.filter(({ name }, at) => FEW_FAULTS.includes(name) || (at + call.n) % each === 0);
}

/** Runs a part of a case once for each call that `work` makes and each fault that the call can have, some at a time. */
export async function atEveryCall<Options>(
  suite: Suite<Options>,
  prepare: (bench: Bench<Options>) => Promise<(context: Context) => Promise<unknown>>,
  check: (bench: Bench<Options>, broken: (fault?: Fault) => Plan, fault: Fault) => Promise<void>,
): Promise<void> {
  let calls: Call[] = [];
  await inWorld(suite, async (bench) => {
    const work = await prepare(bench);
    const context = bench.context();
    await work(context);
    calls = context.calls;
  });
  const pairs = calls.flatMap((call) => chosenFaults(suite, call).map((fault) => ({ call, fault })));
  await forEach(pairs, async ({ call, fault }) => {
    try {
      await inWorld(suite, (bench) => check(bench, (other = fault) => ({ at: call.n, fault: other }), fault));
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      throw new Error(`call ${call.n} (${call.what}), ${fault.name}: ${message}`, { cause: error });
    }
  }, suite.emulator.worldsAtOnce ?? 1);
}
