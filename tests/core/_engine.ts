/**
 * The real engine in this process, with vendors that live in memory: what the tests of the lifecycle share.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "npm:valibot@1.5.0";
import type { Engine, World } from "../../core/engine/engine.ts";
import { files } from "../../core/system/files.ts";
import { sleep } from "../../core/system/host.ts";
import type { Fork, Inspection, Kind, Provider, Target } from "../../core/provider.ts";
import { formatMarker } from "../../core/marker.ts";
import { openRegistry } from "../../core/state/open_registry.ts";
import { Registry } from "../../core/state/registry.ts";
import { recordedOptions } from "../../core/project/schema.ts";
import { ForkstackError } from "../../mod.ts";
import { isSameHolder } from "../../providers/_shared/ownership.ts";
import { temporaryDirectory } from "../helpers.ts";
import type { Resource } from "../../core/project/project.ts";
import type { ResourceReport } from "../../core/engine/resource_report.ts";
import { underLock } from "../../core/engine/under_lock.ts";

/** One resource as the vendor holds it. */
interface Held {
  readonly fork: Fork;
  data: string;
  state: "ready" | "pending";
}

/** A vendor with one account: forks by name, each with the data that it holds. */
export class Vendor {
  readonly held: Map<string, Held> = new Map();
  /** What the parents hold, by name; a base environment's resource bears no mark. */
  readonly parents: Map<string, string> = new Map();
  /** What was wanted of each fork that was made. */
  readonly wanted: Target<unknown>[] = [];
  readonly calls: string[] = [];
  /** Throws for a call such as `create shop-alice`, once or as often as it likes. */
  fail: (call: string) => void = () => {};
  /** Forks that `reset` has prepared and that nobody has put in place or taken away. */
  prepared = 0;
  #nextId = 1;

  call(what: string, name: string): void {
    this.calls.push(`${what} ${name}`);
    this.fail(`${what} ${name}`);
  }

  put(fork: Omit<Fork, "id" | "createdAt"> & Partial<Fork>, data: string): Fork {
    const whole: Fork = { createdAt: "2026-01-01T00:00:00.000Z", ...fork, id: fork.id ?? `id-${this.#nextId++}` };
    this.held.set(whole.name, { fork: whole, data, state: "ready" });
    return whole;
  }
}

/** What a vendor of this kind does; `changed` replaces parts of it. */
export function fakeProvider(vendor: Vendor, kind: Kind, changed: Partial<Provider> = {}): Provider {
  const dataOf = (parent: string | undefined) =>
    parent === undefined ? "" : vendor.held.get(parent)?.data ?? vendor.parents.get(parent) ?? "";
  const provider: Provider = {
    name: "fake",
    kind,
    capabilities: {
      copy: "copy-on-write",
      ownership: "marked",
      outputs: "minted",
      nativeExpiry: true,
      usage: "none",
      pointInTime: false,
      outputsExpire: false,
      parentMayBeAbsent: true,
      name: { maxLength: 60, pattern: /^[a-z0-9.-]+$/ },
    },
    credentials: [],
    variables: { [`${kind.toUpperCase()}_URL`]: { isSecret: false, isIdentity: true } },
    options: v.strictObject({}),
    inspect(context, { name, marker, heldId }): Promise<Inspection> {
      vendor.call("inspect", name);
      const held = vendor.held.get(name) ?? [...vendor.held.values()].find(({ fork }) => fork.id === heldId);
      if (held === undefined) {
        const isParent = vendor.parents.has(name);
        return Promise.resolve(isParent ? { state: "foreign", id: name, reason: "no mark" } : { state: "absent" });
      }
      const holder = context.markerOf(name, formatMarker(held.fork.marker));
      const { id } = held.fork;
      if (holder === undefined) return Promise.resolve({ state: "foreign", id, reason: "no mark" });
      if (isSameHolder(holder, marker)) {
        return Promise.resolve({ state: held.state, fork: { ...held.fork, marker: holder } });
      }
      return Promise.resolve({ state: "foreign", id, reason: `it is of stack "${holder.stack}"`, holder });
    },
    async create(context, target) {
      const seen = await provider.inspect(context, target);
      if (seen.state === "foreign") throw new ForkstackError("FOREIGN", `Cannot make "${target.name}": ${seen.reason}`);
      if (seen.state !== "absent") {
        if (seen.fork.marker.operation === target.marker.operation) return seen.fork;
        throw new ForkstackError("FOREIGN", `Cannot make "${target.name}": another run made it`);
      }
      vendor.call("create", target.name);
      vendor.wanted.push(target);
      const { name, parent: parentId, marker } = target;
      const fork = { name, marker, copy: "copy-on-write" as const, ...(parentId === undefined ? {} : { parentId }) };
      return vendor.put(fork, dataOf(parentId));
    },
    delete(context, fork) {
      vendor.call("delete", fork.name);
      const held = vendor.held.get(fork.name);
      if (held?.fork.id !== fork.id) return Promise.resolve("absent");
      const holder = context.markerOf(fork.name, formatMarker(held.fork.marker));
      if (holder === undefined || !isSameHolder(holder, fork.marker)) {
        return Promise.reject(new ForkstackError("FOREIGN", `Cannot delete "${fork.name}": it is another's`));
      }
      vendor.held.delete(fork.name);
      return Promise.resolve("deleted");
    },
    async *list(context, scope) {
      await Promise.resolve();
      for (const [name, { fork }] of vendor.held) {
        const marker = context.markerOf(name, formatMarker(fork.marker));
        if (marker?.stack === scope.stack && marker.resource === scope.resource) yield { ...fork, marker };
      }
    },
    probe(_context, { name }) {
      vendor.call("probe", name);
      return Promise.resolve();
    },
    outputs(_context, { name }, { expiresAt }) {
      vendor.call("outputs", name);
      const url = `fake://${name}/${vendor.calls.length}`;
      return Promise.resolve({
        [`${kind.toUpperCase()}_URL`]: expiresAt === undefined ? url : `${url}/until/${expiresAt}`,
      });
    },
    execute(_context, { name }, _scope, sql) {
      vendor.call("execute", name);
      vendor.held.get(name)!.data += sql;
      return Promise.resolve();
    },
    reset(_context, fork, target) {
      vendor.call("prepare", fork.name);
      let fresh = dataOf(target.parent);
      vendor.prepared++;
      return Promise.resolve({
        execute(sql) {
          vendor.call("execute aside", fork.name);
          fresh += sql;
          return Promise.resolve();
        },
        commit() {
          vendor.call("commit", fork.name);
          vendor.prepared--;
          vendor.held.get(fork.name)!.data = fresh;
          return Promise.resolve(fork);
        },
        discard() {
          vendor.call("discard", fork.name);
          vendor.prepared--;
          return Promise.resolve();
        },
      });
    },
    remark(_context, fork) {
      const held = vendor.held.get(fork.name)!;
      vendor.held.set(fork.name, { ...held, fork: { ...held.fork, marker: fork.marker } });
      return Promise.resolve();
    },
    extend(_context, fork, expiresAt) {
      vendor.call("extend", `${fork.name} ${expiresAt}`);
      return Promise.resolve();
    },
    ...changed,
  };
  return provider;
}

/** What a test of the lifecycle works with. */
export interface Bench extends AsyncDisposable {
  readonly root: string;
  readonly engine: Engine;
  readonly vendor: Vendor;
  readonly progress: ResourceReport[];
  readonly warnings: string[];
  /** The clock of the world; tests set it. */
  nowMs: number;
  /** Puts an empty registry in the place of this one, as if its file had been lost, but not its id beside it. */
  lostRegistry(): Promise<Engine>;
}

/** What a bench is made with. */
export interface BenchOptions {
  readonly config?: Record<string, unknown>;
  readonly vendor?: Vendor;
  readonly registry?: Registry;
  readonly kinds?: readonly Kind[];
  readonly changed?: Partial<Provider>;
  /** The text of the script that runs on a new database. */
  readonly sanitize?: string;
  readonly signal?: AbortSignal;
}

/** A project `shop` with a database and a storage of one vendor. */
export async function bench(options: BenchOptions = {}): Promise<Bench> {
  const directory = temporaryDirectory();
  const root = join(directory.path, "shop");
  mkdirSync(root);
  const kinds = options.kinds ?? ["database", "storage"];
  const declared = { project: "shop", ...Object.fromEntries(kinds.map((kind) => [kind, { provider: "fake" }])) };
  const config = { ...declared, ...options.config };
  writeFileSync(join(root, "forkstack.json"), JSON.stringify(declared));
  const project = { root, stateRoot: root, name: "shop", stack: "shop", config, isNew: false };
  const vendor = options.vendor ?? new Vendor();
  const registries = [options.registry ?? await openRegistry(project, "create")];
  const resources: Resource[] = kinds
    .map((kind) => ({
      key: kind,
      kind,
      provider: fakeProvider(vendor, kind, options.changed),
      options: {},
      ...(kind === "database" && options.sanitize !== undefined
        ? { sanitize: { place: "clean.sql", text: options.sanitize } }
        : {}),
    }));
  const progress: ResourceReport[] = [];
  const world: World = {
    fetch: () => Promise.reject(new TypeError("nobody is called")),
    files,
    now: () => new Date(made.nowMs),
    monotonicMs: () => performance.now(),
    sleep,
    read: () => undefined,
    newId: () => crypto.randomUUID(),
    warn: (text) => void made.warnings.push(text),
    progress: () => {},
    confirm: () => Promise.resolve(),
    secrets: [],
    recordedOptions: (...given) => Promise.resolve(recordedOptions(...given)),
    provider: (kind, name) =>
      Promise.resolve(name === "fake" ? resources.find((one) => one.kind === kind)?.provider : undefined),
  };
  const engine: Engine = {
    project,
    registry: registries[0],
    resources,
    world,
    owner: "tester@here",
    signal: options.signal ?? new AbortController().signal,
    onProgress: (one) => progress.push(one),
    lockTimes: { beatMs: 50, staleMs: 400, waitMs: 5_000 },
  };
  const made: Bench = {
    root,
    engine,
    vendor,
    progress,
    warnings: [],
    nowMs: Date.parse("2026-05-01T12:00:00Z"),
    async lostRegistry() {
      const { openFile } = await import("../../core/state/sql.ts");
      const registry = await Registry.open(await openFile(":memory:"), project, undefined, registries[0].id);
      registries.push(registry);
      return { ...engine, registry };
    },
    [Symbol.asyncDispose]() {
      for (const registry of registries) if (registry !== options.registry) registry.close();
      directory[Symbol.dispose]();
      return Promise.resolve();
    },
  };
  return made;
}

/** Writes to the registry as a worker would. */
export async function write(
  engine: Engine,
  env: string,
  ...all: Parameters<Engine["registry"]["fenced"]>[2]
): Promise<void> {
  await underLock(engine, env, "test", (worker) => worker.write(all));
}

/** The error of a promise that must fail. */
export async function failure(promise: Promise<unknown>): Promise<ForkstackError> {
  try {
    await promise;
  } catch (error) {
    return error as ForkstackError;
  }
  throw new Error("it did not fail");
}
