/**
 * Cases about options that an older version recorded: renamed today, gone, required since then, unknown. The engine
 * itself resets, deletes and prunes the forks made with them.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import * as v from "npm:valibot@1.5.0";
import type { Loader } from "../core/catalog.ts";
import type { Context, Kind, Provider } from "../core/provider.ts";
import type { Engine } from "../core/engine/engine.ts";
import { underLock } from "../core/engine/under_lock.ts";
import { deleteEnvironment, purgeKept } from "../core/lifecycle/delete.ts";
import { pruneEnvironment } from "../core/lifecycle/lease.ts";
import { resetEnvironment } from "../core/lifecycle/reset.ts";
import { findProvider } from "../core/project/provider_lookup.ts";
import { recordedOptions, requiredOptions } from "../core/project/schema.ts";
import { Registry } from "../core/state/registry.ts";
import { openFile } from "../core/state/sql.ts";
import { statements } from "../core/state/statements.ts";
import { files } from "../core/system/files.ts";
import { sleep } from "../core/system/host.ts";
import type { Config } from "../core/project/schema.ts";
import { resourceTitle } from "../mod.ts";
import { temporaryDirectory } from "./helpers.ts";
import { type Bench, inWorld, STARTED_AT, type Suite } from "./world.ts";

type Options = Record<string, unknown>;

/** The provider's name in the old version, and the prefix of its options' names. */
const [OLD_NAME, FORMER] = ["name-of-old", "former-"];
/** The name of an option that is required since then. */
const SINCE = "requiredSince";

/** Returns the cases, by name. */
export function olderCases<Own>(suite: Suite<Own>): Record<string, () => Promise<void>> {
  const { provider } = suite;
  const given = (bench: Bench<Own>): Options => ({ ...suite.options, ...bench.world.options });
  return {
    "upgradeOptions() leaves today's options, changes nothing in place, and takes whatever a row holds": () =>
      inWorld(suite, (bench) => {
        const upgraded = (one: Options) => provider.upgradeOptions?.(frozen(one)) ?? one;
        assert.deepEqual(upgraded(given(bench)), given(bench));
        for (const row of strangeRows(provider, given(bench))) {
          const answer: unknown = upgraded(row);
          assert(typeof answer === "object" && answer !== null && !Array.isArray(answer), JSON.stringify(row));
          assert.deepEqual(upgraded(answer as Options), answer, "what is of today is left");
        }
        return Promise.resolve();
      }),
    "what an older version recorded is reset, deleted and pruned": () =>
      inWorld(suite, async (bench) => {
        using directory = temporaryDirectory();
        const root = existsSync(bench.world.root) ? bench.world.root : directory.path;
        const { engine, seen, add } = await laterEngine(bench, given(bench), root);
        try {
          const target = bench.target("alice");
          await add("alice");
          if (provider.reset !== undefined) {
            await resetEnvironment(engine, "alice");
            assert.equal((await bench.inspect(target)).state, "ready");
          }
          const { resources } = await deleteEnvironment(engine, "alice", { purge: true });
          assert.deepEqual(resources.map(({ state }) => state), ["deleted"]);
          assert.deepEqual(await bench.inspect(target), { state: "absent" });
          await add("bob");
          assert.notEqual(await pruneEnvironment(engine, "bob", undefined), undefined);
          await purgeKept(engine, "bob");
          await bench.assertGone(bench.target("bob"));
          assert.deepEqual(await engine.registry.allResources(), []);
          const options = { ...bench.scope.options as Options, [SINCE]: "now" };
          assert(seen.length > 0);
          for (const one of seen) assert.deepEqual(one, options, "it is called with today's options");
        } finally {
          engine.registry.close();
        }
      }),
  };
}

/** Returns options of rows that a stranger or an old version may have written. */
function strangeRows({ options }: Pick<Provider, "options">, given: Options): Options[] {
  const names = Object.keys((options as unknown as { entries: object }).entries);
  const values = [null, 1, "", true, [], {}];
  return [
    {},
    { noSuchOption: "https://elsewhere.example" },
    ...names.map((name) => Object.fromEntries(Object.entries(given).filter(([other]) => other !== name))),
    ...values.map((value) => Object.fromEntries(names.map((name) => [name, value]))),
  ];
}

function frozen(one: Options): Options {
  for (const value of Object.values(one)) if (typeof value === "object" && value !== null) frozen(value as Options);
  return Object.freeze(one);
}

/**
 * Opens the engine of a later version in the bench's world: the provider and each option have other names there, one
 * more option is required, and forkstack.json has what rows lack. `add` makes a fork as the old version did, with its
 * row; `seen` are the options that the provider was called with.
 */
async function laterEngine<Own>(bench: Bench<Own>, given: Options, root: string) {
  const { kind, name } = bench.provider;
  const seen: unknown[] = [];
  const later = laterVersion(bench, seen);
  const project = {
    root,
    stateRoot: root,
    name: bench.world.project,
    stack: bench.scope.stack,
    config: { project: bench.world.project, [kind]: { ...given, provider: name, [SINCE]: "now" } } as Config,
    isNew: false,
  };
  const registry = await Registry.open(
    await openFile(":memory:"),
    project,
    undefined,
    bench.target("any").marker.registry,
  );
  const resource = { key: kind, kind, provider: later, options: { ...bench.scope.options, [SINCE]: "now" } };
  const catalog = {
    providers: { [kind]: { [name]: () => Promise.resolve({ default: later }) } } as unknown as Record<
      Kind,
      Record<string, Loader>
    >,
  };
  const engine: Engine = {
    project,
    registry,
    resources: [resource],
    world: {
      fetch: () => Promise.reject(new TypeError("its provider has the bench's")),
      files,
      now: () => new Date(STARTED_AT),
      monotonicMs: () => performance.now(),
      sleep,
      read: (variable) => bench.credentials[variable],
      newId: () => crypto.randomUUID(),
      warn: (text) => void bench.shown.push(text),
      progress: () => {},
      confirm: () => Promise.resolve(),
      secrets: [],
      recordedOptions: (...row) => Promise.resolve(recordedOptions(...row)),
      provider: (...named) => findProvider({ catalog, resources: [] }, ...named),
    },
    owner: "tester@here",
    signal: new AbortController().signal,
  };
  const add = async (env: string) => {
    const target = bench.target(env);
    const { id, name: title, createdAt, parentId, copy } = await bench.create(target);
    const { operation } = target.marker;
    const base = ["prod", "dev"].find((one) => resourceTitle(kind, project.name, one) === target.parent);
    const expiresAt = new Date(STARTED_AT - 1_000).toISOString();
    const environment = {
      name: env,
      parent: base ?? "prod",
      status: "ready" as const,
      owner: "old",
      operation,
      createdAt,
      expiresAt,
      ...(base === undefined ? { origin: "empty" } : {}),
    };
    const row = {
      ...{ env, key: kind, kind, provider: OLD_NAME, title, state: "ready" as const, operation, id, createdAt },
      ...(parentId === undefined ? {} : { parentId }),
      ...(copy === undefined ? {} : { fork: copy }),
      options: olderOptions(bench.provider, bench.scope.options as Options),
    };
    await underLock(
      engine,
      env,
      "test",
      (worker) => worker.write([statements.putEnvironment(environment), statements.putResource(row)]),
    );
  };
  return { engine, seen, add };
}

/** Returns options as the old version named them, without later required ones, with one that is gone. */
function olderOptions({ options }: Pick<Provider, "options">, today: Options): Options {
  const required = requiredOptions(options);
  const kept = Object.entries(today).filter(([option]) => !required.includes(option));
  const renamed = kept.map(([option, value]) => [`${FORMER}${option}`, value]);
  return { ...Object.fromEntries(renamed), gone: "https://gone.example" };
}

const CALLS = [
  ...["inspect", "create", "delete", "list", "probe", "outputs"],
  ...["execute", "reset", "keep", "extend", "remark", "usage"],
] as const;

function laterVersion<Own>(bench: Bench<Own>, seen: unknown[]): Provider {
  const { provider } = bench;
  const entries = (provider.options as unknown as { entries: v.ObjectEntries }).entries;
  /** Returns the world's access, with the engine's memory of what was made. */
  const within = ({ record, recorded, refused, takeOver, fence, once, signal }: Context): Context => ({
    ...bench.context(),
    ...{ record, recorded, refused, takeOver, fence, once, signal },
  });
  type Call = (context: Context, ...rest: unknown[]) => unknown;
  const calls = Object.entries(provider).filter(([name]) => (CALLS as readonly string[]).includes(name))
    .map(([name, call]) => [name, (context: Context, ...rest: { options?: Options }[]) => {
      seen.push(rest.find((one) => one.options !== undefined)?.options);
      return (call as Call).call(provider, within(context), ...rest);
    }]);
  return {
    ...provider,
    ...Object.fromEntries(calls),
    aliases: [...provider.aliases ?? [], OLD_NAME],
    options: v.strictObject({ ...entries, [SINCE]: v.string() }),
    upgradeOptions(given: Options) {
      const renamed = Object.entries(given).map(([name, value]) => [name.replace(FORMER, ""), value]);
      const upgraded = Object.fromEntries(renamed);
      return provider.upgradeOptions?.(upgraded) ?? upgraded;
    },
  } as unknown as Provider;
}
