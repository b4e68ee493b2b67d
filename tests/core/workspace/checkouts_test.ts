/** Checkouts in a registry that several machines share, and the rows of them. */
import assert from "node:assert/strict";
import { hostname } from "node:os";
import {
  checkoutReports,
  checkoutsToForget,
  lookAtCheckouts,
  recordSwitch,
  recordUse,
} from "../../../core/workspace/checkouts.ts";
import { createEnvironment } from "../../../core/lifecycle/create.ts";
import { deleteEnvironment } from "../../../core/lifecycle/delete.ts";
import { Registry } from "../../../core/state/registry.ts";
import { openFile } from "../../../core/state/sql.ts";
import { bench } from "../_engine.ts";
import { statements } from "../../../core/state/statements.ts";

const AT = "2026-05-01T12:00:00.000Z";

Deno.test("a shared registry names the machines, looks at its own, and forgets the others' with their environment", async () => {
  const shared = await Registry.open(await openFile(":memory:"), { name: "shop" });
  try {
    await using made = await bench({ registry: shared });
    const { engine } = made;
    await createEnvironment(engine, "alice", {});
    await createEnvironment(engine, "bob", { switch: false });
    const elsewhere = (path: string, env: string) =>
      statements.putCheckout({ host: "runner-1", path, env, usedAt: AT, gitBranch: "topic" });
    await shared.touch("alice", AT, [elsewhere("/work/one", "alice"), elsewhere("/work/two", "bob")]);
    await shared.touch("alice", AT, [
      statements.putCheckout({ host: hostname(), path: "/nowhere/at/all", env: "alice", usedAt: AT }),
    ]);
    const reports = (await checkoutReports(engine))("alice");
    assert.deepEqual(reports.map(({ path, host, current }) => [path, host, current]), [
      [made.root, hostname(), true],
      ["/work/one", "runner-1", false],
    ]);
    assert.deepEqual((await lookAtCheckouts(engine)).stale.map(({ path }) => path), ["/nowhere/at/all"]);
    const forgotten = (await checkoutsToForget(engine, "alice")).map(({ path }) => path).sort();
    assert.deepEqual(forgotten, ["/nowhere/at/all", "/work/one"]);
    await deleteEnvironment(engine, "alice");
    assert.deepEqual((await shared.checkouts()).map(({ path }) => path), ["/work/two"], "this directory left, too");
  } finally {
    shared.close();
  }
});

Deno.test("a directory is on one environment: the last switch counts, and a use moves nothing", async () => {
  await using made = await bench();
  const { engine } = made;
  for (const env of ["alice", "bob"]) await createEnvironment(engine, env, {});
  const rows = async () => (await engine.registry.checkouts()).map(({ host, path, env }) => [host, path, env]);
  assert.deepEqual(await rows(), [["", made.root, "bob"]]);
  await recordUse(engine, "alice");
  assert.deepEqual(await rows(), [["", made.root, "bob"]]);
  await recordSwitch(engine, "dev");
  assert.deepEqual(await rows(), [["", made.root, "dev"]], "a base environment, too");
});
