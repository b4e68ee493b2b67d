import { deepStrictEqual as equal, match, ok, strictEqual as is } from "node:assert/strict";
import { withLock } from "../../core/state/lock.ts";
import { Registry } from "../../core/state/registry.ts";
import { openFile } from "../../core/state/sql.ts";
import { sleep } from "../../core/system/host.ts";
import { type Checkout, projects } from "./_project.ts";

/** Far below the minute that a run would take which does not heed it, and above what a loaded machine takes. */
const PROMPT_MS = 20_000;

async function expectAliceIsWhole(shop: Checkout): Promise<void> {
  const { data } = await shop.json("status", "alice");
  is(data.environment.status, "ready");
  equal(shop.dataOf("alice"), shop.dataOf("dev"));
  equal((await shop.json("doctor")).data.findings, []);
  equal(shop.leftovers(), []);
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  for (const point of [12, 18]) {
    Deno.test(`${signal} at point ${point} of new stops it, ends with 130 and says how to go on`, async () => {
      using directory = projects();
      const { shop } = directory;
      const run = shop.start(["new", "alice"], { point, at: "signal", group: true });
      await run.said(/@point/);
      run.kill(signal); // the children too, as a terminal does
      const { code, stderr } = await run.ended;
      is(code, 130, stderr);
      match(stderr, /Stopping after the current step; press Ctrl-C again to quit at once/);
      match(stderr, /Stopped: environment "alice" is not complete yet/);
      match(stderr, /Continue with `.* new alice`, or remove it with `.* delete alice`/);
      const { data } = await shop.json("doctor");
      equal(data.findings.map((one: { problem: string }) => one.problem), ["unfinished: creating"]);
      equal((await shop.run("new", "alice")).code, 0);
      await expectAliceIsWhole(shop);
    });
  }
}

Deno.test("what was interrupted can be taken away", async () => {
  using directory = projects();
  const { shop } = directory;
  const run = shop.start(["new", "alice"], { point: 18, at: "signal" });
  await run.said(/@point/);
  run.kill("SIGINT");
  is((await run.ended).code, 130);
  is((await shop.run("delete", "alice", "--yes")).code, 0);
  equal(shop.paths().filter((path) => path.includes("alice")), []);
  equal((await shop.json("doctor")).data.findings, []);
});

Deno.test("a second Ctrl-C leaves at once, and the journal is enough", async () => {
  using directory = projects();
  const { shop } = directory;
  const env = { TEST_HANG: "1" };
  const run = shop.start(["new", "alice"], { point: 18, at: "signal", env });
  await run.said(/@point/);
  run.kill("SIGINT");
  await run.said(/press Ctrl-C again to quit at once/);
  const began = performance.now();
  run.kill("SIGINT");
  is((await run.ended).code, 130);
  ok(performance.now() - began < PROMPT_MS);
  is((await shop.run("new", "alice")).code, 0);
  await expectAliceIsWhole(shop);
});

Deno.test("waiting for a lock is told, and interrupted promptly", async () => {
  using directory = projects();
  const { shop } = directory;
  is((await shop.run("new", "bob")).code, 0); // so that there is a registry
  const locks = shop.path(".forkstack", "locks");
  const registry = await Registry.open(await openFile(shop.path(".forkstack", "registry.db")), { name: "shop" }, locks);
  const options = {
    clock: { monotonicMs: () => performance.now(), sleep },
    owner: "carol@laptop",
    signal: new AbortController().signal,
  };
  try {
    await withLock(registry, { env: "alice", purpose: "create" }, options, async () => {
      const run = shop.start(["new", "alice"]);
      await run.said(/Waiting: carol@laptop is working on this environment \(create\)/);
      const began = performance.now();
      run.kill("SIGINT");
      const { code, stderr } = await run.ended;
      is(code, 130, stderr);
      ok(performance.now() - began < PROMPT_MS, "it was not prompt");
      match(stderr, /Run the same command again to continue/);
    });
  } finally {
    registry.close();
  }
  equal(shop.leftovers(), []);
});
