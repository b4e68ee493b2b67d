/** Cost of the engine itself, and time saved by parallel resources. */
import { mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import * as v from "npm:valibot@1.5.0";
import { loadResources, openProject } from "../../core/project/open_project.ts";
import { createEnvironment, planEnvironment } from "../../core/lifecycle/create.ts";
import { deleteEnvironment } from "../../core/lifecycle/delete.ts";
import type { Engine, World } from "../../core/engine/engine.ts";
import { files } from "../../core/system/files.ts";
import type { Fork, Provider } from "../../core/provider.ts";
import { openRegistry } from "../../core/state/open_registry.ts";
import { recordedOptions } from "../../core/project/schema.ts";
import { type Kind, KINDS } from "../../mod.ts";
import { CATALOG, PROVIDERS } from "../../providers/mod.ts";
import { type Benchmark, median, shown } from "./measure.ts";
import type { Resource } from "../../core/project/project.ts";

/** Waits. */
export const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Returns a world made of this process, without a network. */
export function worldWith(more: Partial<World> = {}): World {
  return {
    fetch: () => Promise.reject(new Error("no network here")),
    files,
    now: () => new Date(),
    monotonicMs: () => performance.now(),
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(resolve, ms);
        const stop = () => {
          clearTimeout(timer);
          reject(signal!.reason);
        };
        signal?.addEventListener("abort", stop, { once: true });
      }),
    read: (variable) => process.env[variable],
    newId: () => crypto.randomUUID(),
    warn: () => {},
    progress: () => {},
    confirm: () => Promise.resolve(),
    secrets: [],
    provider: async (kind, name) => (await PROVIDERS[kind]?.[name]?.())?.default,
    recordedOptions: async (...given) => await recordedOptions(...given),
    ...more,
  };
}

/** Opens an engine in a directory, by default with the embedded stack. */
export async function engineIn(
  root: string,
  { resources, world = worldWith(), config = { project: "bench" } }: {
    readonly resources?: readonly Resource[];
    readonly world?: World;
    readonly config?: unknown;
  } = {},
): Promise<Engine> {
  writeFileSync(join(root, "forkstack.json"), JSON.stringify(config));
  const project = await openProject(root, { init: false, catalog: CATALOG });
  return {
    project,
    registry: await openRegistry(project, "create"),
    resources: resources ?? (await loadResources(project, { catalog: CATALOG, reach: "nothing" })).resources,
    world,
    owner: "bench@here",
    signal: new AbortController().signal,
  };
}

/** Times the creation of an environment, in milliseconds, and deletes it. */
export async function timeOfNew(engine: Engine): Promise<number> {
  const began = performance.now();
  await planEnvironment(engine, "alice", {});
  await createEnvironment(engine, "alice", {});
  const took = performance.now() - began;
  await deleteEnvironment(engine, "alice");
  return took;
}

/** Returns a provider whose calls take a time each: look, create, wait, read the credentials. */
function slowProvider(kind: Kind, name: string, callMs: readonly number[]): Provider {
  const forks = new Map<string, Fork>();
  return {
    name,
    kind,
    capabilities: {
      copy: "copy-on-write",
      ownership: "marked",
      outputs: "rereadable",
      nativeExpiry: false,
      usage: "none",
      pointInTime: false,
      outputsExpire: false,
      parentMayBeAbsent: true,
      name: { maxLength: 200, pattern: /./ },
    },
    credentials: [],
    variables: {},
    options: v.strictObject({}),
    inspect: (_context, target) => {
      const fork = forks.get(target.name);
      return Promise.resolve(fork === undefined ? { state: "absent" } : { state: "ready", fork });
    },
    async create(_context, target) {
      for (const ms of callMs) await sleep(ms);
      const fork: Fork = {
        id: target.name,
        name: target.name,
        marker: target.marker,
        createdAt: new Date().toISOString(),
      };
      forks.set(target.name, fork);
      return fork;
    },
    delete: (_context, fork) => Promise.resolve(forks.delete(fork.name) ? "deleted" : "absent"),
    async *list() {
      yield* forks.values();
    },
    probe: () => Promise.resolve(),
    outputs: () => Promise.resolve({}),
  };
}

export const engineBenchmarks: readonly Benchmark[] = [
  {
    name: "engine: `new` of an empty embedded stack beyond process start",
    async run(work) {
      const engine = await engineIn(mkdtempSync(join(work, "engine-")));
      const times = [];
      for (let round = 0; round < 21; round++) times.push(await timeOfNew(engine));
      engine.registry.close();
      const ours = median(times);
      return [{ name: this.name, ours: shown(ours), against: "30 ms", ratio: ours / 30, limit: { atMost: 1 } }];
    },
  },
  {
    name: "engine: six resources at vendors of 200 to 1,000 ms a call",
    async run(work) {
      const kinds = Object.keys(KINDS) as Kind[];
      const chains = [[200, 1_000, 800], [300, 700], [200, 400], [500, 500, 500], [250, 250], [1_000, 900]];
      const providers = kinds.map((kind, at) => slowProvider(kind, `slow-${kind}`, chains[at]));
      const resources = providers.map((provider) => ({
        key: provider.kind,
        kind: provider.kind,
        provider,
        options: {},
      }));
      const world = worldWith({
        provider: (_kind, name) => Promise.resolve(providers.find((one) => one.name === name)),
      });
      const engine = await engineIn(mkdtempSync(join(work, "slow-")), { resources, world });
      const times = [];
      for (let round = 0; round < 3; round++) times.push(await timeOfNew(engine));
      engine.registry.close();
      const chain = Math.max(...chains.map((calls) => calls.reduce((sum, ms) => sum + ms, 0)));
      const oneByOne = chains.flat().reduce((sum, ms) => sum + ms, 0);
      const ours = median(times);
      return [{
        name: this.name,
        ours: `${shown(ours)} (one after the other: ${shown(oneByOne)})`,
        against: `the slowest resource's own calls ${shown(chain)}`,
        ratio: ours / chain,
        limit: { atMost: 1.1 },
      }];
    },
  },
];
