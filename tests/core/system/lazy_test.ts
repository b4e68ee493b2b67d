import assert from "node:assert/strict";
import { load } from "../../../core/system/lazy.ts";

Deno.test("load() gives one module for all who ask, at once or later", async () => {
  for (const path of ["core/text/duration.ts", "core/system/glob.ts", "core/text/edit_distance.ts"]) {
    const [one, other] = await Promise.all([load(path), load(path)]);
    assert.equal(one, other);
    assert.equal(await load(path), one);
    assert.equal(one, await import(new URL(`../../../${path}`, import.meta.url).href));
  }
});

Deno.test("load() of what is not there fails each time it is asked", async () => {
  for (const path of ["core/no_such_file.ts", "no/such/directory.ts", "core/no_such_file.ts"]) {
    await assert.rejects(load(path), /Module not found|Cannot find module/);
  }
});
