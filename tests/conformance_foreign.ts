/**
 * Cases about things that somebody else made at the place of a fork: before the run, between its look and its create,
 * after it was killed. None is ever changed, deleted or adopted, with one exception: the rerun of an interrupted run
 * may take over an empty thing without a mark, and tells the user.
 */
import assert from "node:assert/strict";
import { inspect as show } from "node:util";
import type { Fork, Target } from "../core/provider.ts";
import { type Fault, FAULTS } from "./faults.ts";
import { type Bench, type Foreign, inWorld, type Suite } from "./world.ts";

const DEATH = FAULTS.find(({ name }) => name === "death before")!;
/** A fault that answers the call and breaks all later ones: a kill right after the answer. */
const DEATH_AT_NEXT: Fault = { name: "death at the next call", channel: "any", isCrash: true, strike: (act) => act() };
/** The name of the fork whose mark is copied. */
const MARKED = "marked";

/** Returns the cases, by name. */
export function foreignCases<Options>(suite: Suite<Options>): Record<string, () => Promise<void>> {
  const { ownership } = suite.provider.capabilities;
  const markOf = ownership === "recorded" ? [undefined] : [undefined, MARKED];
  const variants = markOf.flatMap((one) => [true, false].map((isEmpty) => ({ isEmpty, isCopied: one !== undefined })));

  /** Runs in a world for each variant of a foreign thing. */
  const withEach = async (work: (bench: Bench<Options>, place: Place) => Promise<void>) => {
    for (const { isEmpty, isCopied } of variants) {
      const what = `${isEmpty ? "empty" : "full"}${isCopied ? ", with a copied mark" : ""}`;
      try {
        await inWorld(suite, async (bench) => {
          if (isCopied) await bench.create(bench.target(MARKED));
          bench.seeded = await bench.world.things();
          const as = { isEmpty, ...(isCopied ? { markOf: bench.world.titleOf(MARKED) } : {}) };
          await work(bench, placeOf(bench, as));
          await bench.assertOthersUnchanged();
        });
      } catch (error) {
        throw new Error(`${what}: ${error instanceof Error ? error.message : show(error)}`, { cause: error });
      }
    }
  };

  return {
    "what somebody else made before the run is refused, and stays": () =>
      withEach(async (bench, place) => {
        const target = bench.target("alice");
        await place.put(target);
        await assertTheirs(bench, target);
        await bench.refuses(() => bench.create(target), "FOREIGN");
        await bench.refuses(() => bench.provider.create(bench.context(), target), "FOREIGN");
        await bench.undo(target);
        await bench.assertOthersUnchanged();
        await assertTheirs(bench, target);
      }),
    "what somebody else made between the look and the create stays": () =>
      atEveryChange(suite, async (at, what) =>
        await withEach(async (bench, place) => {
          const target = bench.target("alice");
          const first = await bench.attempt(() =>
            bench.create(target, bench.context({ at, meanwhile: () => place.put(target) }))
          );
          if (!place.isPut) return;
          if (first.value !== undefined) { // where a name need not be unique
            await bench.assertWhole(target, first.value);
            assert.equal(await bench.delete(first.value), "deleted");
            return;
          }
          await bench.assertOthersUnchanged();
          await bench.undo(target);
          await bench.assertOthersUnchanged();
          await assertTheirs(bench, target);
          assert.deepEqual(await bench.leftovers(), [], `nothing of ours may be left: ${what}`);
          await bench.refuses(() => bench.create(bench.target("alice", {}, "a-later-operation")), "FOREIGN");
        })),
    "what somebody else made after the run was killed is not deleted by its undo": () =>
      atEveryChange(suite, async (at) => {
        await withEach(async (bench, place) => {
          const target = bench.target("alice");
          await bench.attempt(() => bench.create(target, bench.context({ at, fault: DEATH })));
          await place.put(target);
          if (!place.isPut) return;
          await bench.undo(target);
          await bench.assertOthersUnchanged();
          await assertTheirs(bench, target);
          assert.deepEqual(await bench.leftovers(), []);
        });
      }),
    "what somebody else made after the run was killed is not adopted by its rerun, but if it is empty, and told": () =>
      atEveryChange(suite, async (at) => {
        for (const wanted of [{}, { parent: undefined }]) {
          await withEach(async (bench, place) => {
            const target = bench.target("alice", wanted);
            await bench.attempt(() => bench.create(target, bench.context({ at, fault: DEATH })));
            await place.put(target);
            if (!place.isPut) return;
            const again = await bench.attempt(() => bench.create(target));
            if (again.value === undefined) return await bench.assertOthersUnchanged();
            const isTaken = place.as.isEmpty && place.as.markOf === undefined;
            if (isTaken && bench.takenOver.includes(target.name)) {
              place.release();
              return await bench.assertWhole(target, again.value);
            }
            await bench.assertWhole(target, again.value); // where a name need not be unique
            await bench.assertOthersUnchanged();
            assert.equal(await bench.delete(again.value), "deleted");
          });
        }
      }),
    "what the vendor said is there already is not taken over by a rerun, though the run was killed at that answer":
      async () => {
        for (const wanted of [{}, { parent: undefined }]) {
          const at = await makingCall(suite, wanted);
          if (at === undefined) continue; // it makes no empty ones
          for (const fault of [undefined, DEATH_AT_NEXT]) {
            await withEach(async (bench, place) => {
              const target = bench.target("alice", wanted);
              const plan = { at, meanwhile: () => place.put(target), ...(fault === undefined ? {} : { fault }) };
              await bench.attempt(() => bench.create(target, bench.context(plan)));
              if (!place.isPut) return;
              await bench.attempt(() => bench.create(target));
              assert.deepEqual(bench.takenOver, []);
              await bench.assertOthersUnchanged();
            });
          }
        }
      },
    "a mark of ours that was copied onto another thing is not ours": async () => {
      await inWorld(suite, async (bench) => {
        const fork = await bench.create(bench.target("alice"));
        const other = bench.target("alice-2-copy");
        await placeOf(bench, { markOf: fork.name }).put(other);
        assert.deepEqual((await bench.list()).map(({ name }) => name), [fork.name]);
        await assertTheirs(bench, other);
        await bench.refuses(() => bench.create(other), "FOREIGN");
        await bench.attempt(() => bench.delete({ ...fork, name: other.name }));
      });
    },
    "another's thing at the name of a fork that is gone is not ours": async () => {
      await inWorld(suite, async (bench) => {
        const target = bench.target("alice");
        const fork = await bench.create(target);
        assert.equal(await bench.delete(fork), "deleted");
        await bench.world.placeForeign(target.name);
        bench.seeded = await bench.world.things();
        await assertTheirs(bench, target);
        assert.deepEqual((await bench.list()).filter(({ name }) => name === target.name), []);
        const { value } = await bench.attempt(() => bench.delete(fork));
        assert.notEqual(value, "deleted", "what was gone already is not told as deleted");
      });
    },
  };
}

/** A place where somebody else creates something, once. */
interface Place {
  readonly as: Foreign;
  /** Creates a foreign thing if the place is empty. */
  put(target: Target<unknown>): Promise<void>;
  readonly isPut: boolean;
  /** Ends the test of the thing: from now on it may be changed. */
  release(): void;
}

function placeOf<Options>(bench: Bench<Options>, as: Foreign): Place {
  let theirs: string[] | undefined;
  return {
    as,
    get isPut() {
      return theirs !== undefined;
    },
    async put(target) {
      if ((await bench.provider.inspect(bench.context(), target as Target<Options>)).state !== "absent") return;
      const before = await bench.world.things();
      await bench.world.placeForeign(target.name, as);
      const made = [...await bench.world.things()].filter(([name, digest]) => before.get(name) !== digest);
      assert(made.length > 0, "placeForeign() must make something");
      theirs = made.map(([name]) => name);
      bench.seeded = new Map([...bench.seeded, ...made]);
    },
    release() {
      bench.seeded = new Map([...bench.seeded].filter(([name]) => !theirs!.includes(name)));
    },
  };
}

/** Checks that the thing counts as foreign for every caller, and that a row with its id deletes nothing. */
async function assertTheirs<Options>(bench: Bench<Options>, target: Target<Options>): Promise<void> {
  for (const isResumed of [false, true]) {
    const seen = await bench.inspect({ ...target, isResumed });
    assert.equal(seen.state, "foreign", show(seen));
    const fork: Fork = {
      id: (seen as { id: string }).id,
      name: target.name,
      marker: target.marker,
      createdAt: target.begunAt,
    };
    await bench.attempt(() => bench.delete(fork));
    await bench.assertOthersUnchanged();
  }
}

/** Finds the call of a create that makes the thing: before it the place is empty. */
async function makingCall<Options>(
  suite: Suite<Options>,
  wanted: Partial<Target<Options>>,
): Promise<number | undefined> {
  const changes: number[] = [];
  await inWorld(suite, async (bench) => {
    const context = bench.context();
    const { value } = await bench.attempt(() => bench.create(bench.target("alice", wanted), context));
    if (value === undefined) return assert("parent" in wanted, "a fork of the parent must be made");
    changes.push(...context.calls.filter(({ isChange }) => isChange).map(({ n }) => n));
    await bench.delete(value);
  });
  let making: number | undefined;
  for (const n of changes) {
    await inWorld(suite, async (bench) => {
      const target = bench.target("alice", wanted);
      await bench.attempt(() => bench.create(target, bench.context({ at: n, fault: DEATH })));
      if ((await bench.inspect(target)).state === "absent") making = n;
      await bench.undo(target);
    });
  }
  return making;
}

/** Runs once for each call of a create that changes something. */
async function atEveryChange<Options>(
  suite: Suite<Options>,
  check: (at: number, what: string) => Promise<void>,
): Promise<void> {
  const changes: { n: number; what: string }[] = [];
  await inWorld(suite, async (bench) => {
    const context = bench.context();
    await bench.create(bench.target("alice"), context);
    changes.push(...context.calls.filter(({ isChange }) => isChange));
  });
  for (const { n, what } of changes) {
    try {
      await check(n, what);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      throw new Error(`call ${n} (${what}): ${message}`, { cause: error });
    }
  }
}
