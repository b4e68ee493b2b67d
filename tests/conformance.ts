/**
 * The conformance suite for all providers: `testProvider()` registers it with `Deno.test`, `conformanceCases()` returns
 * it as functions. It uses a provider only by its contract, and the vendor by the `World` that an emulator opens.
 */
import assert from "node:assert/strict";
import { inspect as show } from "node:util";
import * as v from "npm:valibot@1.5.0";
import { type Context, type Fork, type Marker, type Outputs, Secret } from "../core/provider.ts";
import { ForkstackError } from "../mod.ts";
import { foreignCases } from "./conformance_foreign.ts";
import { olderCases } from "./conformance_older.ts";
import { FEW_FAULTS } from "./faults.ts";
import { SIZE } from "./sizes.ts";
import { atEveryCall, type Bench, inWorld, isDataCopied, STARTED_AT, type Suite } from "./world.ts";

export type { Emulator, Foreign, Given, Suite, World } from "./world.ts";

/** A case of the suite. */
export interface Case {
  readonly name: string;
  /** The reason why it is not run. */
  readonly skipped?: string;
  run(): Promise<void>;
}

/** How a suite is registered. */
export interface Registered {
  /** Names a further run of the provider. */
  readonly as?: string;
  /** The names of the cases. @default {all} */
  readonly only?: RegExp;
  /**
   * Another run shows most of this one: in the gate it has the few faults that tell most, and nobody else interferes. At
   * full size it is whole.
   */
  readonly isVariant?: boolean;
}

/** Registers every case, or those that `only` matches; a skipped one is ignored, with its reason in the name. */
export function testProvider<Options>(
  suite: Suite<Options>,
  { as = suite.provider.name, only = /^/, isVariant = false }: Registered = {},
): void {
  const isWhole = !isVariant || SIZE === "full";
  const all = conformanceCases(isWhole ? suite : { ...suite, ...FEW_IN_GATE });
  for (const { name, skipped, run } of all.filter(({ name }) => only.test(name) && (isWhole || ALONE.test(name)))) {
    const reason = skipped === undefined ? "" : ` (skipped: ${skipped})`;
    Deno.test({ name: `${as}: ${name}${reason}`, ignore: skipped !== undefined, fn: run });
  }
}

/** The faults of a provider most of whose calls are made by what it shares with another, which has more in the gate. */
export const FEW_IN_GATE: Pick<Suite<unknown>, "faults"> = SIZE === "full" ? {} : { faults: FEW_FAULTS };

/** The cases in which nobody else interferes. */
const ALONE = /^(?!.*(somebody else|the vendor said))/;

/** The cases in which neither that happens nor a call breaks, for `only`. */
export const WITHOUT_FAULTS = /^(?!.*(broken|abort|somebody else|the vendor said))/;

/** The reason of an ignored case for an ability that the provider does not claim. */
const NOT_CLAIMED = "not claimed";

/** Markers of other owners. */
const OTHERS: readonly Partial<Marker>[] = [
  { stack: "other" },
  { env: "bob" },
  { resource: "other.one" },
  { registry: "fedcba9876543210" },
];

const MAIN_VARIABLE = {
  database: "DATABASE_URL",
  storage: "BUCKET_NAME",
  secrets: undefined,
  cache: "CACHE_URL",
  queue: "QUEUE_URL",
  local: "LOCAL_PATH",
} as const;

function plain(outputs: Outputs = {}): Record<string, string> {
  const all = Object.entries(outputs).map(([name, value]) => [name, value instanceof Secret ? value.reveal() : value]);
  return Object.fromEntries(all);
}

/** Returns every case; they can run in any order. */
export function conformanceCases<Options>(suite: Suite<Options>): Case[] {
  const { provider } = suite;
  const { capabilities } = provider;
  const within = (work: (bench: Bench<Options>) => Promise<void>) => () => inWorld(suite, work, true);
  const cases: Record<string, () => Promise<void>> = {
    "goes from absent to ready and back, each step twice": within(async (bench) => {
      const target = bench.target("alice");
      for (const _ of [1, 2]) assert.deepEqual(await bench.inspect(target), { state: "absent" });
      const fork = await bench.create(target);
      assert.deepEqual(await bench.create(target), fork, "create() returns the fork of an earlier attempt");
      for (const _ of [1, 2]) await bench.assertWhole(target, fork);
      assert(!Number.isNaN(Date.parse(fork.createdAt)) && fork.createdAt.endsWith("Z"), "createdAt must be UTC");
      assert.equal(await bench.delete(fork), "deleted");
      assert.equal(await bench.delete(fork), "absent");
      for (const _ of [1, 2]) await bench.assertGone(target);
    }),
    "inspect() and the other readers change nothing": within(async (bench) => {
      const fork = await bench.create(bench.target("alice"));
      const earlier = await bench.world.things();
      for (const env of ["alice", "nobody"]) await bench.inspect(bench.target(env));
      await bench.list();
      await bench.probe(fork);
      if (capabilities.outputs !== "minted") await bench.outputs(fork);
      await provider.usage?.(bench.context(), fork, bench.scope);
      assert.deepEqual(await bench.world.things(), earlier);
    }),
    "refuses a resource of somebody else at our name": within(async (bench) => {
      const target = bench.target("alice");
      await bench.world.placeForeign(target.name);
      bench.seeded = await bench.world.things();
      assert.equal((await bench.inspect(target)).state, "foreign");
      await bench.refuses(() => provider.create(bench.context(), target), "FOREIGN");
      assert.deepEqual((await bench.list()).filter(({ name }) => name === target.name), []);
    }),
    "refuses a fork of another stack, environment, resource or operation": within(async (bench) => {
      const target = bench.target("alice");
      for (const changed of [...OTHERS, { operation: "another" }]) {
        const marker = { ...target.marker, ...changed };
        const holder = { ...target, stack: marker.stack, resource: marker.resource, marker };
        const fork = await bench.create(holder);
        const seen = await bench.inspect(target);
        assert.equal(seen.state, "operation" in changed ? "ready" : "foreign", show(changed));
        await bench.refuses(() => provider.create(bench.context(), target), "FOREIGN");
        await provider.delete(bench.context(), fork, holder);
        bench.journal.clear();
      }
      await bench.assertGone(target);
    }),
    "its mark says how the environment was made, and remark() changes no more than that": within(async (bench) => {
      const target = bench.target("alice");
      const marker = { ...target.marker, made: "some-parent_2026-01-02T03:04:05.678Z_unknown" };
      const fork = await bench.create({ ...target, marker });
      const madeOf = async () => {
        const seen = await bench.inspect(target);
        const listed = (await bench.list()).find(({ name }) => name === target.name);
        assert(seen.state === "ready", seen.state);
        assert.deepEqual(seen.fork, { ...fork, marker: seen.fork.marker });
        assert.equal(listed?.marker.made, seen.fork.marker.made);
        return seen.fork.marker.made;
      };
      assert.equal(await madeOf(), marker.made);
      if (provider.remark !== undefined) {
        const [content, made] = [await bench.contentOf(fork.name), "some-parent_0/1F3D3A8_2026-02-03T04:05:06.789Z"];
        await provider.remark(bench.context(), { ...fork, marker: { ...marker, made } }, bench.scope);
        assert.equal(await madeOf(), made);
        assert.equal(await bench.contentOf(fork.name), content);
        for (const changed of OTHERS) {
          const others = { ...fork, marker: { ...marker, ...changed } };
          await bench.attempt(() => provider.remark!(bench.context(), others, bench.scope));
          assert.equal(await madeOf(), made, "what is another's is not marked as ours, nor ours as another's");
        }
      }
      assert.equal(await bench.delete(fork), "deleted");
      await bench.assertGone(target);
    }),
    "a parent that holds nothing": within(async (bench) => {
      const target = bench.target("alice", { parent: bench.world.absentParent });
      if (!capabilities.parentMayBeAbsent) {
        await bench.refuses(() => provider.create(bench.context(), target), "NOT_FOUND");
        return await bench.assertGone(target);
      }
      const fork = await bench.create(target);
      assert.deepEqual([fork.copy, fork.parentId], ["empty", undefined]);
      await bench.assertWhole(target, fork);
    }),
    "forks the parent's past if capabilities.pointInTime claims it": within(async (bench) => {
      assert(bench.world.past, "the emulator needs past()");
      const { at, digest } = await bench.world.past();
      assert.notEqual(await bench.contentOf(bench.world.parent), digest, "the parent must have changed since");
      const target = bench.target("alice", { at });
      const fork = await bench.create(target);
      assert.equal(await bench.contentOf(fork.name), digest);
      assert.equal(await bench.delete(fork), "deleted");
      const never = { ...target, at: new Date(STARTED_AT - 20 * 365 * 86_400_000).toISOString() };
      await bench.refuses(() => provider.create(bench.context(), never), "AT_OUT_OF_REACH");
      await bench.assertGone(target);
    }),
    "execute() runs a whole script on the fork, or none of it": within(async (bench) => {
      const target = bench.target("alice");
      const fork = await bench.create(target);
      const parents = await bench.contentOf(bench.world.parent);
      const script = "-- a comment; with a semicolon\nCREATE TABLE made (x INTEGER);\nINSERT INTO made VALUES (1);\n";
      await bench.attempt(() =>
        provider.execute!(bench.context(), fork, bench.scope, `${script}INSERT INTO nowhere VALUES (2);`)
      )
        .then(({ error }) => assert(error, "a statement that fails must be told"));
      assert.equal(await bench.contentOf(fork.name), parents, "a script that fails leaves nothing behind");
      await provider.execute!(bench.context(), fork, bench.scope, script);
      assert.notEqual(await bench.contentOf(fork.name), parents);
      assert.equal(await bench.contentOf(bench.world.parent), parents, "the parent stays as it was");
      await bench.delete(fork);
      await bench.refuses(() => provider.execute!(bench.context(), fork, bench.scope, script));
    }),
    "makes an empty fork if asked for one": within(async (bench) => {
      const target = bench.target("alice", { parent: undefined });
      const fork = await bench.create(target);
      assert.equal(fork.parentId, undefined);
      if (isDataCopied(provider)) {
        assert.equal(fork.copy ?? "empty", "empty");
        assert.notEqual(await bench.contentOf(fork.name), await bench.contentOf(bench.world.parent));
      }
      await bench.assertWhole(target, fork);
    }),
    "a fork and its parent go their own ways": within(async (bench) => {
      const [alice, bob] = [await bench.create(bench.target("alice")), await bench.create(bench.target("bob"))];
      assert(bench.world.change, "the emulator needs change()");
      const parents = await bench.contentOf(bench.world.parent);
      await bench.world.change(alice.name);
      assert.notEqual(await bench.contentOf(alice.name), parents);
      assert.equal(await bench.contentOf(bob.name), parents);
      await bench.delete(alice);
      await bench.assertWhole(bench.target("bob"), bob);
    }),
    "create() broken at any call can be undone, and run again": () =>
      atEveryCall(
        suite,
        (bench) => Promise.resolve((context) => bench.create(bench.target("alice"), context as never)),
        async (bench, broken) => {
          const target = bench.target("alice");
          const first = await bench.attempt(() => bench.create(target, bench.context(broken())));
          if (first.value) await bench.assertWhole(target, first.value); // what claims success must have it
          await bench.assertOthersUnchanged();
          if (await bench.undo(target)) { // nothing proves it to be this run's: the rerun takes it over, and tells
            assert(capabilities.ownership !== "marked" && first.error !== undefined);
            await bench.assertWhole(target, await bench.create(target));
            return assert.deepEqual(bench.takenOver, [target.name]);
          }
          await bench.assertGone(target);
          await bench.attempt(() => bench.create(target, bench.context(broken())));
          const fork = await bench.create(target);
          await bench.assertWhole(target, fork);
          assert.equal(await bench.delete(fork), "deleted");
          await bench.assertGone(target);
        },
      ),
    "delete() broken at any call can be run again": () =>
      atEveryCall(
        suite,
        async (bench) => {
          const fork = await bench.create(bench.target("alice"));
          return (context) => bench.delete(fork, context as never);
        },
        async (bench, broken, fault) => {
          const target = bench.target("alice");
          const fork = await bench.create(target);
          const first = await bench.attempt(() => bench.delete(fork, bench.context(broken())));
          if (first.value && !fault.isLie) await bench.assertGone(target);
          await bench.assertOthersUnchanged();
          assert.match(await bench.delete(fork), first.error || fault.isLie ? /^(deleted|absent)$/ : /^absent$/);
          await bench.assertGone(target);
        },
      ),
    "two creates at once give one fork": within(async (bench) => {
      const target = bench.target("alice");
      const make = () => bench.attempt(() => bench.create(target));
      const results = await Promise.all([1, 2, 3].map(make));
      // Who loses may be told to run again, and has it then. Where the mark comes later, it may have seen the thing before
      // its mark; with the engine, a second attempt begins only where the first has put its intent on record.
      for (const [at, { error }] of results.entries()) {
        const { retryable, code } = (error ?? {}) as { retryable?: boolean; code?: string };
        if (retryable || (code === "FOREIGN" && capabilities.ownership !== "marked")) results[at] = await make();
      }
      const fork = results.find(({ value }) => value !== undefined)?.value;
      assert(fork, show(results));
      assert.deepEqual(results.map(({ value, error }) => value?.id ?? show(error)), results.map(() => fork.id));
      await bench.assertWhole(target, fork);
      assert.equal(await bench.delete(fork), "deleted");
      await bench.assertGone(target);
    }),
    "a run that was taken over makes and deletes nothing": within(async (bench) => {
      const fenced = () =>
        bench.context(undefined, undefined, () => {
          throw new ForkstackError("LOCK_LOST", "another worker has taken it over");
        });
      const target = bench.target("alice");
      await bench.refuses(() => provider.create(fenced(), target), "LOCK_LOST");
      const fork = await bench.create(target);
      const earlier = await bench.world.things();
      await bench.refuses(() => provider.delete(fenced(), fork, bench.scope), "LOCK_LOST");
      assert.deepEqual(await bench.world.things(), earlier);
      await bench.assertWhole(target, fork);
    }),
    "an abort at any call leaves nothing unnamed": async () => {
      let count = 0;
      await inWorld(suite, async (bench) => {
        const context = bench.context();
        await bench.create(bench.target("alice"), context);
        count = context.calls.length;
      });
      for (let at = 0; at < count; at++) {
        await inWorld(suite, async (bench) => {
          const target = bench.target("alice");
          const control = new AbortController();
          const context = bench.context({ at, meanwhile: () => control.abort() }, control.signal);
          const fetch = (request: Request) => {
            const call = context.fetch(request);
            return control.signal.aborted ? Promise.resolve(call).finally(() => control.signal.throwIfAborted()) : call;
          };
          const { value } = await bench.attempt(() => bench.create(target, { ...context, fetch }));
          if (value) await bench.assertWhole(target, value);
          const told = await bench.undo(target) && capabilities.ownership !== "marked" ? [target.name] : [];
          const names = [...bench.recorded, ...told];
          const unnamed = (await bench.leftovers()).filter((left) => !names.some((name) => left.includes(name)));
          assert.deepEqual(unnamed, [], `aborted at call ${at}`);
        });
      }
    },
    "list() yields our forks of this resource, all of them and no others": within(async (bench) => {
      const count = (bench.world.pageSize ?? 2) + 1;
      const envs = Array.from({ length: count }, (_, i) => `pr-${String(i).padStart(4, "0")}`);
      const made = [];
      for (const env of envs) made.push(await bench.create(bench.target(env)));
      assert.deepEqual((await bench.list()).map(({ id }) => id), made.map(({ id }) => id));
    }),
    "list() finds a fork as capabilities.ownership claims": within(async (bench) => {
      const target = bench.target("alice");
      const fork = await bench.create(target);
      if (capabilities.ownership !== "recorded") {
        bench.journal.clear();
        await bench.assertWhole(target, fork);
        return;
      }
      assert.equal(await bench.delete(fork), "deleted");
      await bench.world.placeForeign(target.name); // the same name again, made by somebody else
      bench.seeded = await bench.world.things();
      bench.journal.clear();
      assert.equal((await bench.inspect(target)).state, "foreign");
    }),
    "delete() goes by the id alone": within(async (bench) => {
      const fork = await bench.create(bench.target("alice"));
      assert.equal(await bench.delete(fork), "deleted");
      bench.journal.clear();
      const target = bench.target("alice", {}, "a-later-operation");
      const later = await bench.create(target);
      assert.notEqual(later.id, fork.id, "an id must not be used again");
      assert.equal(await bench.delete(fork), "absent");
      await bench.assertWhole(target, later);
    }),
    "delete() leaves a fork whose marker changed hands": within(async (bench) => {
      for (const changed of OTHERS) {
        const fork = await bench.create(bench.target("alice"));
        const marker = { ...fork.marker, ...changed };
        bench.journal.set(fork.name, marker);
        if (capabilities.ownership !== "recorded") {
          assert(bench.world.rehand, "the emulator needs rehand()");
          await bench.world.rehand(fork, marker);
        }
        await bench.refuses(() => bench.delete(fork), "FOREIGN");
        await provider.delete(bench.context(), { ...fork, marker }, { ...bench.scope, ...changed });
        bench.journal.clear();
      }
    }),
    "probe() answers only where something does": within(async (bench) => {
      const target = bench.target("alice");
      const nothing = { id: "no-such-id", name: target.name };
      await bench.refuses(() => bench.probe(nothing));
      const fork = await bench.create(target);
      await bench.probe(fork);
      await bench.delete(fork);
      await bench.refuses(() => bench.probe(fork));
    }),
    "readers broken at any call tell the truth or throw": async () => {
      const readers: ((bench: Bench<Options>, fork: Fork, context: Context) => Promise<unknown>)[] = [
        (bench, _fork, context) => bench.inspect(bench.target("alice"), context as never),
        (bench, _fork, context) => bench.list(context as never),
        (bench, fork, context) => provider.usage?.(context, fork, bench.scope) ?? Promise.resolve(),
        (bench, fork, context) => bench.outputs(fork, context as never).then(Object.keys),
        (bench, _fork, context) =>
          bench.attempt(() => bench.probe({ id: "no-such-id", name: bench.world.titleOf("nobody") }, context as never))
            .then(({ error }) => error === undefined),
      ];
      for (const read of readers) {
        const prepare = async (bench: Bench<Options>) => {
          const fork = await bench.create(bench.target("alice"));
          return (context: Context) => read(bench, fork, context);
        };
        await atEveryCall(suite, prepare, async (bench, broken, fault) => {
          const work = await prepare(bench);
          const truth = await work(bench.context());
          const { value, error } = await bench.attempt(() => work(bench.context(broken())));
          if (error === undefined && !fault.isLie) assert.deepEqual(value, truth);
        });
      }
    },
    "outputs() are as capabilities.outputs claims": within(async (bench) => {
      const fork = await bench.create(bench.target("alice"));
      const first = await bench.outputs(fork);
      const main = MAIN_VARIABLE[provider.kind];
      if (main !== undefined) assert(main in first, `${main} is missing`);
      assert(Object.keys(first).length > 0);
      for (const [variable, value] of Object.entries(first)) {
        assert.match(variable, /^[A-Z][A-Z0-9_]*$/);
        assert.notEqual(value, "", variable);
      }
      const again = capabilities.outputs === "shown-once" ? first : await bench.outputs(fork);
      if (capabilities.outputs === "rereadable") assert.deepEqual(again, first);
      if (capabilities.outputs === "minted") assert.notDeepEqual(again, first);
      const bob = await bench.outputs(await bench.create(bench.target("bob")));
      assert.notDeepEqual(bob, first, "two environments must not share all their outputs");
    }),
    "what create() hands back is what outputs() gives": within(async (bench) => {
      const fork = await bench.create(bench.target("alice"));
      const handed = bench.handed.get(fork.id);
      if (handed === undefined) return assert.notEqual(capabilities.outputs, "shown-once", "else nobody is told them");
      const given = capabilities.outputs === "shown-once"
        ? handed
        : await provider.outputs(bench.context(), fork, bench.scope);
      assert.deepEqual(Object.keys(handed).sort(), Object.keys(given).sort());
      for (const [variable, value] of Object.entries(handed)) {
        const other = given[variable]!;
        assert.equal(value instanceof Secret, other instanceof Secret, `${variable} is a secret, or is none`);
        if (value instanceof Secret && other instanceof Secret) {
          if (capabilities.outputs === "rereadable") assert.equal(value.reveal(), other.reveal(), variable);
        } else assert.equal(value, other, variable);
      }
      const bobs = bench.handed.get((await bench.create(bench.target("bob"))).id);
      assert.notDeepEqual(plain(bobs), plain(handed), "two environments must not share all their outputs");
    }),
    "outputs() gives what is declared: secrets as secrets, and what differs as an environment's own": within(
      async (bench) => {
        const given = async (env: string) => {
          const fork = await bench.create(bench.target(env));
          const handed = bench.handed.get(fork.id);
          return handed ?? await provider.outputs(bench.context(), fork, bench.scope);
        };
        const [alice, bob] = [await given("alice"), await given("bob")];
        const isSame = (variable: string) => plain(alice)[variable] === plain(bob)[variable];
        for (const [variable, value] of Object.entries(alice)) {
          assert(Object.hasOwn(provider.variables, variable), `${variable} is not declared`);
          const { isSecret, isIdentity } = provider.variables[variable]!;
          assert.equal(value instanceof Secret, isSecret, `${variable}: isSecret is ${isSecret}`);
          assert(isIdentity || isSame(variable), `${variable} differs, and isIdentity is false`);
          assert(
            !/^postgres:/.test(plain(alice)[variable]!),
            `${variable} begins with postgres:, which SQLAlchemy refuses`,
          );
        }
        const own = Object.keys(alice).filter((variable) => provider.variables[variable]!.isIdentity);
        assert(own.some((variable) => !isSame(variable)), "nothing tells one environment from another");
      },
    ),
    "secrets stay inside": within(async (bench) => {
      const fork = await bench.create(bench.target("alice"));
      const outputs = await provider.outputs(bench.context(), fork, bench.scope);
      bench.shown.push(outputs, await bench.inspect(bench.target("alice")), await bench.list());
      await bench.outputs(fork);
      await bench.attempt(() => bench.probe({ id: "no-such-id", name: bench.world.titleOf("nobody") }));
    }),
    "usage() is there if capabilities.usage claims it": within(async (bench) => {
      assert.equal(provider.usage !== undefined, capabilities.usage !== "none", "claim and method must agree");
      if (provider.usage === undefined) return;
      const fork = await bench.create(bench.target("alice"));
      const { sizeBytes, costUsd } = await provider.usage(bench.context(), fork, bench.scope);
      assert(Number.isSafeInteger(sizeBytes) && sizeBytes >= 0, `sizeBytes is ${sizeBytes}`);
      assert.equal(costUsd !== undefined, capabilities.usage === "bytes-and-cost");
    }),
    "the vendor ends a lease if capabilities.nativeExpiry claims it": within(async (bench) => {
      const { advance } = bench.world;
      assert.equal(provider.extend !== undefined, capabilities.nativeExpiry, "claim and extend() must agree");
      assert(advance || !capabilities.nativeExpiry, "the emulator needs advance()");
      const expiresAt = new Date(STARTED_AT + 3_600_000).toISOString();
      const target = bench.target("alice", { expiresAt });
      const fork = await bench.create(target);
      await advance?.call(bench.world, 7_200_000);
      assert.equal((await bench.inspect(target)).state, capabilities.nativeExpiry ? "absent" : "ready");
      if (provider.extend === undefined) return;
      assert.equal(await bench.delete(fork), "absent");
      const bob = bench.target("bob", { expiresAt: new Date(STARTED_AT + 10_800_000).toISOString() });
      const longer = new Date(STARTED_AT + 18_000_000).toISOString();
      await provider.extend(bench.context(), await bench.create(bob), longer, bench.scope);
      await advance?.call(bench.world, 7_200_000); // past the old end, before the new one
      assert.equal((await bench.inspect(bob)).state, "ready");
      await advance?.call(bench.world, 7_200_000);
      assert.equal((await bench.inspect(bob)).state, "absent");
    }),
    "reset() keeps the old data until commit()": within(async (bench) => {
      const target = bench.target("alice");
      const fork = await bench.create(target);
      assert(bench.world.change, "the emulator needs change()");
      await bench.world.change(fork.name);
      const [earlier, old] = [await bench.world.things(), await bench.contentOf(fork.name)];
      const dropped = await provider.reset!(bench.context(), fork, target);
      assert.equal(await bench.contentOf(fork.name), old);
      await dropped.discard();
      assert.deepEqual(await bench.world.things(), earlier, "discard() leaves all as it was");
      const fresh = await (await provider.reset!(bench.context(), fork, target)).commit();
      assert.deepEqual([fresh.id, fresh.name], [fork.id, fork.name]);
      await bench.assertWhole(target, fresh);
      assert.equal(await bench.delete(fresh), "deleted");
      await bench.assertGone(target);
    }),
    "reset() broken at any call can be run again": () => {
      const prepare = async (bench: Bench<Options>) => {
        const target = bench.target("alice");
        const fork = await bench.create(target);
        await bench.world.change?.(fork.name);
        return async (context: Context) => await (await provider.reset!(context, fork, target)).commit();
      };
      return atEveryCall(suite, prepare, async (bench, broken) => {
        const target = bench.target("alice");
        const work = await prepare(bench);
        const { value } = await bench.attempt(() => work(bench.context(broken())));
        if (value) await bench.assertWhole(target, value);
        await bench.assertOthersUnchanged();
        const fresh = await work(bench.context());
        await bench.assertWhole(target, fresh);
        assert.equal(await bench.delete(fresh), "deleted");
        await bench.assertGone(target);
      });
    },
    "keep() puts a fork aside, its name free; delete() takes away what it kept": within(async (bench) => {
      const target = bench.target("alice");
      const fork = await bench.create(target);
      const kept = await bench.keep(fork);
      assert(kept !== "absent");
      bench.journal.clear();
      assert.deepEqual(await bench.inspect(target), { state: "absent" });
      assert.deepEqual(await bench.list(), []);
      const again = bench.target("alice", {}, "a-later-operation");
      const later = await bench.create(again);
      await bench.assertWhole(again, later);
      assert.equal(await bench.keep(later) === "absent", false);
      bench.journal.clear();
      for (const one of [fork, later]) {
        bench.journal.set(one.name, one.marker); // as a purge has it
        const aside = await bench.keep(one);
        if (aside !== "absent") await bench.delete({ ...one, id: aside.id });
      }
      assert.deepEqual(await bench.leftovers(), []);
    }),
    "keep() broken at any call can be run again": () => {
      const prepare = async (bench: Bench<Options>) => {
        const fork = await bench.create(bench.target("alice"));
        return (context: Context) => bench.keep(fork, context as never);
      };
      return atEveryCall(suite, prepare, async (bench, broken, fault) => {
        const target = bench.target("alice");
        const fork = await bench.create(target);
        const first = await bench.attempt(() => bench.keep(fork, bench.context(broken())));
        if (first.value && !fault.isLie) assert.deepEqual(await bench.inspect(target), { state: "absent" });
        await bench.assertOthersUnchanged();
        const kept = await bench.keep(fork);
        assert(kept !== "absent");
        assert.deepEqual(await bench.inspect(target), { state: "absent" });
        assert.equal(await bench.delete({ ...fork, id: kept.id }), "deleted");
        await bench.assertGone(target);
      });
    },
    "secrets.write() sets and removes, and read() tells": within(async (bench) => {
      const fork = await bench.create(bench.target("alice"));
      const before = await bench.secretsOf(fork);
      assert(Object.keys(before).length > 0, "the parent must hold secrets");
      const [first] = Object.keys(before);
      const value = `it's "new" \`$x\`\\\nline 2 ${crypto.randomUUID()}`;
      await bench.change(fork, { NEW_ONE: value, [first!]: null });
      const { [first!]: _, ...rest } = before;
      assert.deepEqual(await bench.secretsOf(fork), { ...rest, NEW_ONE: value });
      await bench.change(fork, { NEW_ONE: "2", [first!]: "back" });
      assert.deepEqual(await bench.secretsOf(fork), { ...rest, NEW_ONE: "2", [first!]: "back" });
      assert.equal(await bench.delete(fork), "deleted");
      await bench.assertGone(bench.target("alice"));
    }),
    "secrets.read() broken at any call tells the truth or throws": () => {
      const prepare = async (bench: Bench<Options>) => {
        const fork = await bench.create(bench.target("alice"));
        return (context: Context) => bench.secretsOf(fork, context as never);
      };
      return atEveryCall(suite, prepare, async (bench, broken, fault) => {
        const read = await prepare(bench);
        const truth = await read(bench.context());
        const { value, error } = await bench.attempt(() => read(bench.context(broken())));
        if (error === undefined && !fault.isLie) assert.deepEqual(value, truth);
      });
    },
    "secrets.write() broken at any call can be repeated": () => {
      const changes = { NEW_ONE: "1", API_KEY: null };
      const prepare = async (bench: Bench<Options>) => {
        const fork = await bench.create(bench.target("alice"));
        return (context: Context) => bench.change(fork, changes, context as never);
      };
      return atEveryCall(suite, prepare, async (bench, broken, fault) => {
        const fork = await bench.create(bench.target("alice"));
        const { API_KEY: _, ...rest } = await bench.secretsOf(fork);
        const first = await bench.attempt(() => bench.change(fork, changes, bench.context(broken())));
        const wanted = { ...rest, NEW_ONE: "1" };
        if (first.error === undefined && !fault.isLie) assert.deepEqual(await bench.secretsOf(fork), wanted);
        await bench.change(fork, changes);
        assert.deepEqual(await bench.secretsOf(fork), wanted);
        await bench.assertOthersUnchanged();
      });
    },
    "names at the limit of capabilities.name are accepted": within(async (bench) => {
      const { maxLength, pattern } = capabilities.name;
      const stem = bench.world.titleOf("a");
      const names = ["x", "y"].map((last) => stem.slice(0, maxLength - 1).padEnd(maxLength - 1, "a") + last);
      const made = [];
      for (const [i, name] of names.entries()) {
        assert(name.length === maxLength && pattern.test(name), `"${name}" must match ${pattern}`);
        const target = bench.target(`long-${i}`, { name });
        const fork = await bench.create(target);
        assert.equal(fork.name, name);
        await bench.assertWhole(target, fork);
        made.push(fork);
      }
      for (const fork of made) assert.equal(await bench.delete(fork), "deleted");
      assert.deepEqual(await bench.leftovers(), []);
      for (const illegal of ["", "../x", "a/b", "a b", "a\nb"]) {
        assert(!pattern.test(illegal), `pattern takes "${illegal}"`);
      }
    }),
    "a required credential that is missing is named": within(async (bench) => {
      for (const { variable } of provider.credentials.filter(({ required }) => required)) {
        const credentials = { ...bench.context().credentials };
        delete credentials[variable];
        const context = { ...bench.context(), credentials };
        const { error } = await bench.attempt(() => bench.create(bench.target("alice"), context));
        assert(error && show(error, { depth: 5 }).includes(variable), `must name ${variable}`);
        assert.deepEqual(await bench.leftovers(), []);
      }
    }),
    "an unknown option is refused": within((bench) => {
      const input = { ...suite.options, ...bench.world.options };
      assert(v.safeParse(provider.options as v.GenericSchema, input).success);
      assert(!v.safeParse(provider.options as v.GenericSchema, { ...input, noSuchOption: 1 }).success);
      return Promise.resolve();
    }),
    "what the kind or the marks need is claimed": within(() => {
      assert(provider.secrets !== undefined || provider.kind !== "secrets");
      assert(provider.remark === undefined || isMarked);
      return Promise.resolve();
    }),
    ...foreignCases(suite),
    ...olderCases(suite),
  };
  const isMarked = capabilities.ownership !== "recorded";
  const claims: Readonly<Record<string, boolean>> = {
    "its mark says how the environment was made, and remark() changes no more than that": isMarked,
    "a mark of ours that was copied onto another thing is not ours": isMarked,
    "forks the parent's past if capabilities.pointInTime claims it": capabilities.pointInTime,
    "execute() runs a whole script on the fork, or none of it": provider.execute !== undefined,
    "a fork and its parent go their own ways": isDataCopied(provider),
    "reset() keeps the old data until commit()": provider.reset !== undefined,
    "reset() broken at any call can be run again": provider.reset !== undefined,
    "keep() puts a fork aside, its name free; delete() takes away what it kept": provider.keep !== undefined,
    "keep() broken at any call can be run again": provider.keep !== undefined,
    "secrets.write() sets and removes, and read() tells": provider.secrets !== undefined,
    "secrets.read() broken at any call tells the truth or throws": provider.secrets !== undefined,
    "secrets.write() broken at any call can be repeated": provider.secrets !== undefined,
  };
  for (const name of Object.keys(claims)) assert(name in cases, `there is no case "${name}"`);
  const unclaimed = Object.entries(claims).filter(([, isClaimed]) => !isClaimed).map(([name]) => [name, NOT_CLAIMED]);
  const skip = new Map([...Object.entries(suite.skip ?? {}), ...unclaimed as [string, string][]]);
  for (const name of skip.keys()) {
    if (name in cases && skip.get(name)) continue;
    cases[`skips "${name}"`] = () => Promise.reject(new Error("there is no such case, or no reason is given"));
  }
  return Object.entries(cases).map(([name, run]) => ({
    name,
    run,
    ...(skip.get(name) ? { skipped: skip.get(name) } : {}),
  }));
}
