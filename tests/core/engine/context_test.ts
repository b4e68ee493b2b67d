/** Contexts and scopes that providers are called with. */
import assert from "node:assert/strict";
import { contextOf, scopeOf } from "../../../core/engine/context.ts";
import type { Engine } from "../../../core/engine/engine.ts";
import { checked } from "../../../core/project/checked_provider.ts";
import { bench, fakeProvider, Vendor } from "../_engine.ts";

Deno.test("scopeOf() gives a resource's own name beside its key", async () => {
  await using made = await bench();
  const names = { database: undefined, "storage.uploads": "uploads", "cache.a-b": "a-b", "secrets.app": "app" };
  for (const [key, name] of Object.entries(names)) {
    const { resource, resourceName } = scopeOf(made.engine, { key, options: {} });
    assert.deepEqual([resource, resourceName], [key, name]);
  }
});

Deno.test("contextOf() has the client look for the request ids that the provider names, also one that is checked", async () => {
  for (const requestIdHeaders of [undefined, ["x-vendor-trace"], ["x-request-id", "x-network"]]) {
    const named = requestIdHeaders === undefined ? {} : { requestIdHeaders };
    const provider = checked(fakeProvider(new Vendor(), "cache", named));
    await using made = await bench();
    const given: unknown[] = [];
    const fetch: Engine["world"]["fetch"] = (_request, options) => {
      given.push(options?.requestIdHeaders);
      return Promise.resolve(new Response());
    };
    const engine = { ...made.engine, world: { ...made.engine.world, fetch } };
    await contextOf(engine, provider).fetch(new Request("https://vendor.example/"));
    assert.deepEqual(given, [requestIdHeaders]);
  }
});
