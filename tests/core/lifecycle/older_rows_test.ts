/** Environments of an older version: one row that can't be read keeps nobody from deleting the rest. */
import assert from "node:assert/strict";
import * as v from "npm:valibot@1.5.0";
import type { Engine } from "../../../core/engine/engine.ts";
import { createEnvironment } from "../../../core/lifecycle/create.ts";
import { deleteEnvironment } from "../../../core/lifecycle/delete.ts";
import { examine } from "../../../core/lifecycle/doctor.ts";
import { forgetDamaged } from "../../../core/lifecycle/damage.ts";
import { pruneEnvironment } from "../../../core/lifecycle/lease.ts";
import { resetEnvironment } from "../../../core/lifecycle/reset.ts";
import type { Provider } from "../../../core/provider.ts";
import { statements } from "../../../core/state/statements.ts";
import { type Bench, bench, failure, Vendor, write } from "../_engine.ts";

/** The provider as a later version has it: `zone` is required, and `url` was `server`. */
const LATER: Partial<Provider> = {
  name: "later",
  aliases: ["fake"],
  options: v.strictObject({ zone: v.string(), url: v.optional(v.string()) }),
  upgradeOptions: ({ server, ...rest }) => server === undefined ? rest : { url: server, ...rest },
};

/** An environment that the version of old made, in the hands of the later one; `rows` are the options that it recorded. */
async function older(
  made: Bench,
  env: string,
  rows: Readonly<Record<string, unknown>>,
  declared: Readonly<Record<string, object>> = {},
): Promise<Engine> {
  await createEnvironment(made.engine, env, { expiresAt: "2026-05-01T11:00:00.000Z", switch: false });
  for (const row of await made.engine.registry.resources(env)) {
    await write(made.engine, env, statements.putResource({ ...row, options: rows[row.key] ?? { zone: "a" } }));
  }
  const resources = made.engine.resources.map((one) => ({ ...one, provider: { ...one.provider, ...LATER } }));
  const { world, project } = made.engine;
  const config = { project: project.name, ...declared };
  const provider: typeof world.provider = (kind, name) =>
    Promise.resolve(/^(fake|later)$/.test(name) ? resources.find((one) => one.kind === kind)?.provider : undefined);
  return { ...made.engine, project: { ...project, config }, resources, world: { ...world, provider } };
}

const UNREADABLE: Readonly<
  Record<string, { readonly options: unknown; readonly code: string; readonly hint: RegExp }>
> = {
  "lacks what is required since": {
    options: { server: "x" },
    code: "CONFIG_INVALID",
    hint: /Write storage with provider "later" and "zone" into forkstack\.json/,
  },
  "has a value that is no longer one": {
    options: { zone: "a", server: 1 },
    code: "REGISTRY_DAMAGED",
    hint: /doctor --rebuild/,
  },
  "is nothing that a provider wrote": { options: { zone: [] }, code: "REGISTRY_DAMAGED", hint: /doctor --rebuild/ },
};

for (const [what, { options, code, hint }] of Object.entries(UNREADABLE)) {
  Deno.test(`delete and prune of a row that ${what} take the rest, and name it with the way out`, async () => {
    await using made = await bench({ vendor: new Vendor() });
    const engine = await older(made, "alice", { storage: options });
    const held = () => [...made.vendor.held.keys()];
    assert.deepEqual(held().sort(), ["shop-alice", "shop-bucket-alice"]);
    const reset = await failure(resetEnvironment(engine, "alice"));
    assert.equal(reset.code, code, "all of it or none");
    for (
      const remove of [() => deleteEnvironment(engine, "alice"), () => pruneEnvironment(engine, "alice", undefined)]
    ) {
      const error = await failure(remove());
      assert.equal(error.code, "DELETE_INCOMPLETE");
      assert.match(error.message, /storage/);
      const [cause] = (error.cause as AggregateError).errors;
      assert.deepEqual([cause.code, cause.details], [code, { env: "alice", resource: "storage", provider: "later" }]);
      assert.match(cause.hint, hint);
      assert(error.hint?.startsWith(cause.hint), "the way out is told, too");
      assert.deepEqual(held(), ["shop-bucket-alice"], "the database is gone, the bucket is not touched");
    }
  });
}

Deno.test("what forkstack.json says of a resource with the same provider fills what its row lacks", async () => {
  for (const provider of ["later", "fake"]) {
    await using made = await bench();
    const engine = await older(made, "alice", { storage: { server: "x" } }, { storage: { provider, zone: "b" } });
    await resetEnvironment(engine, "alice");
    assert.equal((await deleteEnvironment(engine, "alice")).resources.length, 2);
    assert.equal(made.vendor.held.size, 0);
  }
  await using made = await bench();
  const engine = await older(made, "bob", { storage: {} }, { storage: { provider: "another", zone: "b" } });
  const other = engine.resources.map((one) =>
    one.kind === "storage" ? { ...one, provider: { ...one.provider, name: "another", aliases: [] } } : one
  );
  const error = await failure(deleteEnvironment({ ...engine, resources: other }, "bob"));
  assert.equal(
    (error.cause as AggregateError).errors[0].code,
    "CONFIG_INVALID",
    "of another provider it tells nothing",
  );
});

Deno.test("new, doctor and --rebuild leave a row alone that an older version wrote under an earlier name", async () => {
  await using made = await bench();
  const engine = await older(made, "alice", { database: { zone: "a", gone: 1 }, storage: { server: "x" } });
  const findings = (await examine(engine)).filter(({ severity }) => severity === "error");
  const told = findings.map(({ environment, resource, problem }) => [environment, resource, problem]);
  assert.equal(told.length, 1, JSON.stringify(told));
  assert.match(String(told[0]), /^alice,storage,not examined: .*now needs "zone"/);
  await forgetDamaged(engine);
  assert.equal((await engine.registry.resources("alice")).length, 2, "what can still be deleted is not forgotten");
  const whole = await older(made, "carol", {});
  assert.equal((await createEnvironment(whole, "carol", { switch: false })).unchanged, true);
});
