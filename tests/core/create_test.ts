import { deepStrictEqual as equal, match, strictEqual as is } from "node:assert/strict";
import { createEnvironment } from "../../core/create.ts";
import { ForkstackError } from "../../mod.ts";
import { bench, failure, fakeProvider, Vendor } from "./_engine.ts";

const refused = (code: string) => () => Promise.reject(new ForkstackError(code, `Cannot use fake: ${code}`));

for (const code of ["CREDENTIALS_REJECTED", "CREDENTIALS_DENIED", "NETWORK_DENIED"]) {
  Deno.test(`what was refused as ${code} made nothing, so that it needs no undoing`, async () => {
    await using one = await bench({
      changed: { create: refused(code), inspect: refused(code), delete: refused(code) },
    });
    const error = await failure(createEnvironment(one.engine, "alice", {}));
    is(error.code, code);
    match(error.hint!, /Nothing had been made; nothing was left behind/);
    equal(await one.engine.registry.environments(), []);
  });
}

Deno.test("what was refused after something was made is undone", async () => {
  const vendor = new Vendor();
  const { create } = fakeProvider(vendor, "database");
  await using one = await bench({
    vendor,
    kinds: ["database"],
    changed: {
      async create(context, target) {
        await context.record("fork", (await create(context, target)).id);
        return await refused("CREDENTIALS_DENIED")();
      },
    },
  });
  const error = await failure(createEnvironment(one.engine, "alice", {}));
  match(error.hint!, /Undone: database; nothing was left behind/);
  is(vendor.held.size, 0);
  vendor.fail = (call) => {
    if (call.startsWith("delete")) throw new ForkstackError("CREDENTIALS_DENIED", "Cannot delete");
  };
  is((await failure(createEnvironment(one.engine, "alice", {}))).code, "UNDO_INCOMPLETE");
});
