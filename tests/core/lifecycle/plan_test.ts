import assert from "node:assert/strict";
import { noSuchEnvironment, type PlanInput, planNew } from "../../../core/lifecycle/plan.ts";
import type { Provider } from "../../../core/provider.ts";
import { isForkstackError } from "../../../mod.ts";
import type { Environment, ResourceRow, Status } from "../../../core/state/records.ts";
import type { Resource } from "../../../core/project/project.ts";
import { mendingCommand, shownStatus } from "../../../core/engine/resource_report.ts";

function resource(key: string, provider = "sqlite"): Resource {
  const [kind, name] = key.split(".") as [Resource["kind"], string | undefined];
  const capabilities = { pointInTime: provider === "neon" } as Provider["capabilities"];
  return { key, kind, ...(name ? { name } : {}), provider: { name: provider, capabilities } as Provider, options: {} };
}

function environment(name: string, status: Status = "ready", parent = "dev"): Environment {
  return { name, parent, status, owner: "a@b", operation: `op-${name}`, createdAt: "2026-01-01T00:00:00.000Z" };
}

function row(key: string, state: ResourceRow["state"] = "ready", more: Partial<ResourceRow> = {}): ResourceRow {
  const [kind] = key.split(".") as [ResourceRow["kind"]];
  const base = { env: "alice", key, kind, provider: "sqlite", title: `title of ${key}`, state, operation: "op-alice" };
  return { ...base, createdAt: "2026-01-01T00:00:00.000Z", options: {}, id: "1", ...more };
}

function known(more: Partial<PlanInput> = {}): PlanInput {
  const resources = more.resources ?? [resource("database"), resource("storage.uploads")];
  return {
    env: "alice",
    parent: "dev",
    parentIsExplicit: false,
    resources,
    titles: Object.fromEntries(resources.map(({ key }) => [key, `title of ${key}`])),
    environments: [],
    rows: [],
    newOperation: "op-new",
    ...more,
  };
}

interface Expected {
  readonly actions: string;
  readonly operation: string;
  readonly parent?: string;
  readonly isDone?: boolean;
  readonly cleanUpFirst?: boolean;
  readonly origin?: string;
}

const PLANS: [name: string, known: Partial<PlanInput>, expected: Expected][] = [
  ["nothing is there: all is made, in a run of its own", {}, { actions: "create create", operation: "op-new" }],
  [
    "all is there: nothing is done",
    { environments: [environment("alice")], rows: [row("database"), row("storage.uploads")] },
    { actions: "keep keep", operation: "op-new", isDone: true },
  ],
  [
    "all is there, and its parent went since, or is unknown here: nothing is done",
    {
      environments: [environment("alice", "ready", "gone")],
      rows: [row("database"), row("storage.uploads")],
    },
    { actions: "keep keep", operation: "op-new", parent: "gone", isDone: true },
  ],
  [
    "an unfinished run goes on as itself",
    { environments: [environment("alice", "creating")], rows: [row("database"), row("storage.uploads", "creating")] },
    { actions: "keep create", operation: "op-alice" },
  ],
  [
    "an unfinished run that lacks no resource is not done: its end was not written",
    { environments: [environment("alice", "creating")], rows: [row("database"), row("storage.uploads")] },
    { actions: "keep keep", operation: "op-alice" },
  ],
  [
    "a resource that forkstack.json got later is made in a new run",
    { environments: [environment("alice")], rows: [row("database")] },
    { actions: "keep create", operation: "op-new" },
  ],
  [
    "an unfinished deletion is finished first, then all is made",
    { environments: [environment("alice", "deleting")], rows: [row("database", "deleting")] },
    { actions: "create create", operation: "op-new", cleanUpFirst: true },
  ],
  [
    "an unfinished undo too, whatever parent it had",
    { environments: [environment("alice", "undoing", "bob")], rows: [row("database")] },
    { actions: "create create", operation: "op-new", cleanUpFirst: true },
  ],
  [
    "the recorded parent wins over the default",
    {
      environments: [environment("alice", "ready", "bob"), environment("bob")],
      rows: [row("database"), row("storage.uploads")],
    },
    { actions: "keep keep", operation: "op-new", parent: "bob", isDone: true },
  ],
  [
    "a resource that forkstack.json has no more is left alone",
    { environments: [environment("alice")], rows: [row("cache"), row("database"), row("storage.uploads")] },
    { actions: "keep keep", operation: "op-new", isDone: true },
  ],
  ["prod always counts as there", { parent: "prod", parentIsExplicit: true }, {
    actions: "create create",
    operation: "op-new",
    parent: "prod",
  }],
];

const PAST = { origin: "2026-01-01T00:00:00.000Z", resources: [resource("database", "neon"), resource("storage")] };
PLANS.push(
  ["a point in the past, where one provider can go there", PAST, { actions: "create create", operation: "op-new" }],
  [
    "an unfinished run goes on as of the point that it began with",
    { ...PAST, origin: undefined, environments: [{ ...environment("alice", "creating"), origin: PAST.origin }] },
    { actions: "create create", operation: "op-alice", origin: PAST.origin },
  ],
);

for (const [name, given, expected] of PLANS) {
  Deno.test(`planNew(): ${name}`, () => {
    const plan = planNew(known(given));
    assert.deepEqual(
      {
        actions: plan.steps.map(({ action }) => action).join(" "),
        operation: plan.operation,
        parent: plan.parent,
        isDone: plan.isDone,
        cleanUpFirst: plan.cleanUpFirst,
        origin: plan.origin,
      },
      {
        parent: "dev",
        isDone: false,
        cleanUpFirst: false,
        origin: "origin" in given ? given.origin : undefined,
        ...expected,
      },
    );
  });
}

const REFUSALS: [name: string, known: Partial<PlanInput>, code: string, message: RegExp][] = [
  ["dev", { env: "dev" }, "ENV_BASE", /it always exists/],
  ["prod", { env: "prod" }, "ENV_BASE", /it always exists/],
  ["a parent that nobody made", { parent: "bob" }, "ENV_NOT_FOUND", /Cannot fork from environment "bob"/],
  ["itself as the parent", { parent: "alice" }, "CONFLICT", /from itself/],
  [
    "a parent that is not whole",
    { parent: "bob", environments: [environment("bob", "creating")] },
    "CONFLICT",
    /Cannot fork from environment "bob": it is creating/,
  ],
  [
    "another parent than it has",
    { parent: "prod", parentIsExplicit: true, environments: [environment("alice")] },
    "CONFLICT",
    /it already exists, forked from "dev"/,
  ],
  [
    "another provider than it has",
    { environments: [environment("alice")], rows: [row("database", "ready", { provider: "turso" })] },
    "CONFLICT",
    /its database is turso .*, but forkstack\.json now says sqlite/,
  ],
  [
    "another title than it has",
    { environments: [environment("alice")], rows: [row("database", "creating", { title: "other" })] },
    "CONFLICT",
    /its database is sqlite "other"/,
  ],
  [
    "a point in the past where no provider keeps it",
    { ...PAST, resources: [resource("database"), resource("storage")] },
    "AT_UNSUPPORTED",
    /no provider of this stack keeps earlier data/,
  ],
  [
    "another beginning than it had",
    { ...PAST, environments: [{ ...environment("alice"), origin: "empty" }] },
    "CONFLICT",
    /Cannot make environment "alice" as of 2026-01-01T00:00:00\.000Z: it already exists, made empty/,
  ],
  ["one that is being reset", { environments: [environment("alice", "resetting")] }, "CONFLICT", /it is broken/],
];

for (const [name, given, code, message] of REFUSALS) {
  Deno.test(`planNew() refuses ${name}`, () => {
    assert.throws(() => planNew(known(given)), (error) => {
      assert(isForkstackError(error));
      assert.equal(error.code, code);
      assert.match(error.message, message);
      assert(error.hint, "it says what to do next");
      return true;
    });
  });
}

Deno.test("shownStatus() and mendingCommand() know every status", () => {
  const all: [Status, string, string][] = [
    ["creating", "creating", "new"],
    ["deleting", "deleting", "delete"],
    ["undoing", "broken", "delete"],
    ["resetting", "broken", "reset"],
  ];
  for (const [status, shown, verb] of all) {
    assert.equal(shownStatus({ status }), shown);
    assert.equal(mendingCommand(environment("alice", status)), `\`forkstack ${verb} alice\``);
  }
  assert.equal(shownStatus({ status: "ready" }), "ready");
});

Deno.test("noSuchEnvironment() offers what is near, or else how to make it, but not to delete it", () => {
  assert.equal(noSuchEnvironment("alcie", "delete", ["alice", "alina"]).hint, 'Did you mean "alice" or "alina"?');
  assert.match(noSuchEnvironment("zoe", "switch to").hint!, /`forkstack new zoe`/);
  assert.doesNotMatch(noSuchEnvironment("zoe", "delete").hint!, /forkstack new/);
});
