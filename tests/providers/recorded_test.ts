/** Forks at vendors that store no note of ours. */
import assert from "node:assert/strict";
import type { Context, Fork, Marker, Scope, Target } from "../../core/provider.ts";
import { recorded } from "../../providers/_shared/recorded.ts";
import { ledgerOf, realContext } from "../helpers.ts";

interface Thing {
  readonly id: string;
  readonly name: string;
}

const SCOPE: Scope<object> = { options: {}, project: "shop", stack: "shop", resource: "database", root: "/nowhere" };
const ALICE: Marker = { stack: "shop", env: "alice", resource: "database", operation: "1", name: "shop-alice" };
const NOW = "2026-01-02T00:00:00.000Z";

function open(things: readonly Thing[], known: Readonly<Record<string, readonly [Marker, string]>>) {
  const records = recorded<Thing, object>({
    provider: "boxes",
    label: "Boxes",
    async *all() {
      yield* await Promise.resolve(things);
    },
    idOf: ({ id }) => id,
    namesOf: ({ name }) => [name, name.replace(/-first$/, "")],
    forkOf: ({ id }, { name, marker, since }) => ({ id, name, marker, createdAt: since }),
  });
  const context: Context = realContext({
    ...ledgerOf(new Map()),
    now: () => new Date(NOW),
    recorded: (name) => {
      const one = known[name];
      return Promise.resolve(one === undefined ? [] : [{ step: "create", id: one[1], marker: one[0] }]);
    },
  });
  return { records, context };
}

const target: Target<object> = { ...SCOPE, name: "shop-alice", marker: ALICE, begunAt: "2026-01-01T00:00:00.000Z" };
const box: Thing = { id: "b1", name: "shop-alice" };

Deno.test("recorded(): inspection() tells ours in its state, another's with its holder, and what nothing proves", () => {
  const { records } = open([], {});
  const fork = { id: "b1", name: "shop-alice", marker: ALICE, createdAt: target.begunAt };
  for (const state of ["pending", "ready", "deleting"] as const) {
    assert.deepEqual(records.inspection(target, box, ALICE, state), { state, fork });
  }
  for (const changed of [{ stack: "other" }, { env: "bob" }, { resource: "database.x" }]) {
    const holder = { ...ALICE, ...changed };
    const seen = records.inspection(target, box, holder);
    assert.deepEqual([seen.state, "holder" in seen && seen.holder], ["foreign", holder]);
  }
  const reason = "no answer of Boxes's on record says that forkstack made it";
  assert.deepEqual(records.inspection(target, box, undefined), { state: "foreign", id: "b1", reason });
});

Deno.test("recorded(): list() yields what is on record as the resource's, under either name, once", async () => {
  const bob: Marker = { ...ALICE, env: "bob", name: "shop-bob" };
  const { records, context } = open(
    [box, { id: "b2", name: "shop-bob-first" }, { id: "b3", name: "shop-carol" }, { id: "b4", name: "shop-dave" }, {
      id: "b5",
      name: "shop-erin",
    }],
    {
      "shop-alice": [ALICE, "b1"],
      "shop-bob": [bob, "b2"],
      "shop-carol": [{ ...ALICE, env: "carol", name: "shop-carol" }, "another id"],
      "shop-dave": [{ ...ALICE, resource: "cache", env: "dave", name: "shop-dave" }, "b4"],
    },
  );
  const found = await Array.fromAsync(records.list(context, SCOPE));
  assert.deepEqual(found.map(({ id, name, createdAt }) => [id, name, createdAt]), [
    ["b1", "shop-alice", NOW],
    ["b2", "shop-bob", NOW],
  ]);
});

Deno.test("recorded(): assertOurs() and assertWanted() name why something is foreign, the vendor's reason first", async () => {
  const fork: Fork = { id: "b1", name: "shop-alice", marker: ALICE, createdAt: NOW };
  const ours = open([], { "shop-alice": [ALICE, "b1"] });
  const check = (at: typeof ours, thing: Thing, why?: string) =>
    at.records.assertOurs(at.context, SCOPE, fork, thing, "delete box", why);
  assert.deepEqual(await check(ours, box), ALICE);
  await assert.rejects(
    check(ours, box, "it is the default one"),
    /^ForkstackError: Cannot delete box: it is the default one$/,
  );
  await assert.rejects(check(ours, { ...box, id: "b9" }), /no answer of Boxes's/);
  const bobs = open([], { "shop-alice": [{ ...ALICE, env: "bob" }, "b1"] });
  await assert.rejects(check(bobs, box), /belongs to database of environment "bob"/);
  ours.records.assertWanted(target, ALICE, "make box");
  const others: readonly (readonly [Marker | undefined, RegExp])[] = [
    [undefined, /no answer of Boxes's/],
    [{ ...ALICE, operation: "2" }, /operation 2 of the same environment made it/],
    [{ ...ALICE, stack: "other" }, /of stack "other"/],
  ];
  for (const [owner, says] of others) {
    assert.throws(() => ours.records.assertWanted(target, owner, "make box"), says);
  }
});
