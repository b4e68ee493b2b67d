/** A resource that is gone, or a vendor that does not answer, as the command line tells it. */
import assert from "node:assert/strict";
import { chmod, rm } from "node:fs/promises";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { startTurso } from "../emulators/turso.ts";
import { seedFile } from "../providers/_turso.ts";
import { testIf } from "../helpers.ts";
import { WHY_ROOT, WITHOUT_RIGHTS } from "../tools.ts";
import { type Ended, NET, Place, run } from "./run.ts";

/** Path in which each kind of the embedded stack is kept. */
const KEPT: Readonly<Record<string, readonly string[]>> = {
  database: [".forkstack", "sqlite", "shop-alice.db"],
  storage: [".forkstack", "buckets", "shop-bucket-alice"],
  secrets: [".forkstack", "secrets", "alice.env"],
  local: ["shop.alice.db"],
};

for (const [kind, path] of Object.entries(KEPT)) {
  Deno.test(`an embedded ${kind} that somebody removed is told as gone, and new --yes or reset mends it`, async () => {
    await using place = await Place.make();
    await place.write(".forkstack/sqlite/shop-dev.db", "");
    await place.write("shop.dev.db/parents", ""); // an empty one is made at first use
    await place.ok("new", "alice");
    await place.write("shop.alice.db/mine", "kept");
    await rm(place.path(...path), { recursive: true });
    const switched = await place.run("switch", "alice");
    assert.equal(switched.code, 4, switched.stdout);
    assert.match(
      switched.stderr,
      new RegExp(`Cannot switch to environment "alice": its ${kind} "\\S+" is gone: \\S+ has none`),
    );
    const made = await place.run("new", "alice");
    assert.equal(made.code, 4, made.stdout);
    assert.match(made.stderr, /hint: `forkstack new alice --yes` forks it again from dev, and keeps the rest/);
    const doctor = await place.run("doctor");
    assert.equal(doctor.code, 1, doctor.stderr);
    assert.match(doctor.stdout, new RegExp(`^error: alice ${kind}: gone: `));
    const before = await place.digest();
    assert.equal((await place.run("doctor", "--fix", "--yes")).code, 1);
    assert.equal(await place.digest(), before, "doctor mends no such thing by itself");
    await place.ok("new", "alice", "--yes");
    assert.equal((await place.run("doctor")).code, 0);
    assert.equal(await place.read("shop.alice.db/mine"), kind === "local" ? undefined : "kept");
    await rm(place.path(...path), { recursive: true });
    await place.ok("reset", "alice", "--yes");
    await place.ok("switch", "alice");
    await rm(place.path(...path), { recursive: true });
    await place.ok("delete", "alice", "--yes");
    assert.equal((await place.run("doctor")).code, 0);
  });
}

Deno.test("dev of the embedded stack may hold nothing, and is switched to all the same", async () => {
  await using place = await Place.make();
  await place.ok("new", "alice");
  await place.ok("switch", "dev");
  await place.ok("switch", "prod");
});

/** A port at which nobody listens, or one that never says a word. */
async function port(isSilent: boolean): Promise<{ url: string; close: () => Promise<void> }> {
  const sockets = new Set<import("node:net").Socket>();
  const server = createServer((socket) => sockets.add(socket.on("error", () => {}))); // its client goes when it likes
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const close = () =>
    new Promise<void>((resolve) => {
      for (const one of sockets) one.destroy();
      server.close(() => resolve());
    });
  if (isSilent) return { url, close };
  await close();
  return { url, close: () => Promise.resolve() };
}

const TOKEN = "header.platform-canary.token";

async function cli(place: Place, ...args: string[]): Promise<Ended> {
  return await run(place.root, args, { env: { TURSO_API_TOKEN: TOKEN }, allow: NET });
}

for (const isSilent of [false, true]) {
  Deno.test(`switch works beside a vendor that ${isSilent ? "says nothing" : "is not there"}; new does not`, async () => {
    const turso = await startTurso({ organization: "acme", tokens: { [TOKEN]: undefined } });
    const config = (endpoint: string) => ({
      project: "shop",
      database: { provider: "turso", organization: "acme", endpoint },
    });
    await using place = await Place.make(config(turso.url));
    seedFile(`${place.above}/seed.db`);
    turso.add("shop", `${place.above}/seed.db`);
    assert.equal((await cli(place, "new", "alice")).code, 0);
    assert.equal((await cli(place, "switch", "prod")).code, 0);
    await turso[Symbol.asyncDispose]();
    const other = await port(isSilent);
    try {
      const { DatabaseSync } = await import("node:sqlite");
      const registry = new DatabaseSync(place.path(".forkstack", "registry.db"));
      registry.prepare("UPDATE resources SET options = replace(options, ?, ?)").run(turso.url, other.url);
      registry.close();
      await place.write("forkstack.json", JSON.stringify(config(other.url)));
      const began = performance.now();
      const switched = await cli(place, "switch", "alice", "--json");
      assert.equal(switched.code, 0, switched.stderr);
      assert(performance.now() - began < 30_000, "the wait is bounded");
      assert.match(switched.stderr, /^warning: Not looked at: database "shop-alice": ./m);
      assert.equal(JSON.parse(switched.stdout).data.resources[0].state, "unknown");
      assert.equal(await place.read(".current-env"), "alice\n");
      const back = await cli(place, "switch", "prod");
      assert.equal(back.code, 0, back.stderr);
      assert.match(back.stderr, /^warning: Not looked at: prod: .*Its variables are those of the last time/m);
      if (isSilent) return; // `new` waits longer, and ends the same
      const made = await cli(place, "new", "alice");
      assert.equal(made.code, 6, made.stdout + made.stderr);
      assert.match(made.stderr, /^error: Cannot look at environment "alice": database: /m);
      assert.equal((await cli(place, "doctor", "--json")).code, 1);
      assert.equal(JSON.parse((await cli(place, "list", "--json")).stdout).data.environments[0].status, "ready");
    } finally {
      await other.close();
    }
  });
}

testIf(
  WHY_ROOT,
  "doctor says in which directory nothing can be written, and leaves no trace of its tries",
  async () => {
    const cases: [readOnly: string[], says: string[]][] = [
      [[], []],
      [[".forkstack"], [".forkstack"]],
      [["."], [""]],
      [[".", ".forkstack"], [".forkstack", ""]],
    ];
    for (const [readOnly, says] of cases) {
      await using place = await Place.make();
      await place.ok("new", "alice");
      for (const name of readOnly) await chmod(place.path(name), 0o555);
      const before = await place.digest();
      const { stdout, stderr } = await run(place.root, ["doctor", "--json"], { within: WITHOUT_RIGHTS });
      assert.equal(await place.digest(), before);
      for (const name of readOnly) await chmod(place.path(name), 0o755);
      const { data: { findings } } = JSON.parse(stdout);
      const told = findings.filter(({ problem }: { problem: string }) => problem.startsWith("read-only: "));
      assert.deepEqual(
        told.map(({ problem }: { problem: string }) => problem).sort(),
        says.map((name) => `read-only: Cannot write in "${place.path(name)}": permission denied`).sort(),
        stderr,
      );
      for (const { severity, fix } of told) assert.deepEqual([severity, /owner/.test(fix)], ["warning", true]);
    }
    await using bare = await Place.make();
    await chmod(bare.root, 0o555);
    const { stdout } = await run(bare.root, ["doctor"], { within: WITHOUT_RIGHTS });
    await chmod(bare.root, 0o755);
    assert.match(stdout, /read-only: .*permission denied/);
  },
);
