/** Contexts and scopes that providers are called with. */
import assert from "node:assert/strict";
import { scopeOf } from "../../../core/engine/context.ts";
import { bench } from "../_engine.ts";

Deno.test("scopeOf() gives a resource's own name beside its key", async () => {
  await using made = await bench();
  const names = { database: undefined, "storage.uploads": "uploads", "cache.a-b": "a-b", "secrets.app": "app" };
  for (const [key, name] of Object.entries(names)) {
    const { resource, resourceName } = scopeOf(made.engine, { key, options: {} });
    assert.deepEqual([resource, resourceName], [key, name]);
  }
});
