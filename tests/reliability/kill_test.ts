import { deepStrictEqual as equal, ok } from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { embeddedPath, findEnvBlock, parseEnvFile } from "../../mod.ts";
import sqlite from "../../providers/database/sqlite.ts";
import { sized } from "../sizes.ts";
import { forEach } from "../helpers.ts";
import { type Checkout, projects } from "./_project.ts";

/** All points; in the gate every third, or every ninth where both commands are killed at each point by other tests. */
function pointsUpTo(last: number, isThinned = false): number[] {
  ok(last > 20, `only ${last} points: the preload counts nothing`);
  const each = sized({ gate: isThinned ? 9 : 3, full: 1 });
  return Array.from({ length: last }, (_, at) => at + 1).filter((point) => (point - 1) % each === 0);
}

/** What must hold after the one command that followed a kill. */
async function expectWhole(checkout: Checkout, point: string, ended: { code: number; data: unknown }): Promise<void> {
  const told = (claim: string) => `killed at ${point}: ${claim} ${JSON.stringify(ended)}`;
  equal(ended.code, 0, told("the command did not succeed"));
  const { resources, environment } = ended.data as { resources: { state: string }[]; environment: { status: string } };
  equal([environment.status, ...resources.map(({ state }) => state)], Array(5).fill("ready"), told("not all ready"));
  equal(checkout.dataOf("alice"), checkout.dataOf("dev"), told("not the parent's data"));
  equal(checkout.read(".current-env"), "alice\n");
  equal(parseEnvFile(checkout.read(".env.local")!), parseEnvFile(checkout.read(".forkstack", "envs", "alice.env")!));
  await expectClean(checkout, told(""));
}

function expectGone(checkout: Checkout, point: string): void {
  const left = checkout.paths().filter((path) => path.includes("alice") && !/owners.*\.forkstack-/.test(path));
  equal(left, [], `killed at ${point}: something of it is left`);
}

async function expectClean(checkout: Checkout, told: string): Promise<void> {
  const { data } = await checkout.json("doctor");
  equal(data.findings, [], `${told} doctor finds something`);
  equal(checkout.leftovers(), [], `${told} temporary files are left`);
}

/** One command is killed at each of its points; `next` runs and looks in a checkout of its own each time. */
async function killEach(
  from: Checkout,
  directory: string,
  args: string[],
  options: { isThinned?: boolean },
  next: (checkout: Checkout, point: string) => Promise<void>,
): Promise<void> {
  const counted = from.copyTo(join(directory, "counted"));
  const last = await counted.pointsOf(...args);
  let killed = 0;
  await forEach(pointsUpTo(last, options.isThinned), async (point) => {
    const checkout = from.copyTo(join(directory, "points", `${point}`, "shop"));
    const at = await checkout.killedAt(point, ...args);
    if (at !== undefined) killed++;
    await next(checkout, `point ${point} of ${last} (${at ?? "the end"})`);
  });
  ok(killed > pointsUpTo(last, options.isThinned).length * 0.9, `only ${killed} of ${last} points were reached`);
}

Deno.test("new, killed at each point, is completed by the same command", async () => {
  using directory = projects();
  await killEach(directory.shop, directory.path, ["new", "alice"], {}, async (checkout, point) => {
    await expectWhole(checkout, point, await checkout.json("new", "alice"));
  });
});

Deno.test("new, killed at each point, is taken away by delete", async () => {
  using directory = projects();
  await killEach(directory.shop, directory.path, ["new", "alice"], { isThinned: true }, async (checkout, point) => {
    const { code, error } = await checkout.json("delete", "alice", "--yes");
    // Before the registry knows of it, nothing of it is there.
    ok(code === 0 || error.code === "ENV_NOT_FOUND", `killed at ${point}: ${JSON.stringify(error)}`);
    if (code === 0) expectGone(checkout, point);
    if (code === 0) await expectClean(checkout, point);
  });
});

Deno.test("new, killed at each point, loses no byte of a person's .env.local", async () => {
  using directory = projects();
  const mine = "\uFEFF# mine\r\nexport PORT=1 # a\nLAST='kept'";
  writeFileSync(directory.shop.path(".env.local"), mine);
  const persons = (checkout: Checkout) => {
    const text = checkout.read(".env.local")!.slice(1);
    const { begin = 0, end = 0 } = findEnvBlock(text) ?? {};
    return `\uFEFF${text.slice(0, begin)}${text.slice(end)}`;
  };
  await killEach(directory.shop, directory.path, ["new", "alice"], { isThinned: true }, async (checkout, point) => {
    equal(persons(checkout), mine, point);
    equal((await checkout.json("new", "alice")).code, 0, point);
    equal(persons(checkout), mine, point);
    await expectClean(checkout, point);
  });
});

Deno.test("delete, killed at each point, is completed by the same command", async () => {
  using directory = projects();
  equal((await directory.shop.run("new", "alice")).code, 0);
  await killEach(directory.shop, directory.path, ["delete", "alice", "--yes"], {}, async (checkout, point) => {
    const { code, error } = await checkout.json("delete", "alice", "--yes");
    ok(code === 0 || error.code === "ENV_NOT_FOUND", `killed at ${point}: ${JSON.stringify(error)}`);
    expectGone(checkout, point);
    if (code !== 0) await checkout.run("new", "bob", "--no-switch"); // nothing was left to do: the next lock sweeps signs
    await expectClean(checkout, point);
    equal([checkout.read(".current-env"), checkout.read(".env.local")], [undefined, undefined], point);
  });
});

Deno.test("delete by marks alone, killed at each point, is completed by the same command", async () => {
  using directory = projects();
  equal((await directory.shop.run("new", "alice")).code, 0);
  for (const name of ["registry.db", "registry.db-wal", "registry.db-shm", "registry-id"]) {
    rmSync(directory.shop.path(".forkstack", name), { force: true }); // another registry's marks from now on
  }
  const args = ["delete", "alice", "--adopt", "--yes"];
  await killEach(directory.shop, directory.path, args, { isThinned: true }, async (checkout, point) => {
    const { code, error } = await checkout.json(...args);
    ok(code === 0 || error.code === "ENV_NOT_FOUND", `killed at ${point}: ${JSON.stringify(error)}`);
    expectGone(checkout, point);
    if (code !== 0) await checkout.run("new", "bob", "--no-switch"); // nothing was left to do: the next lock sweeps signs
    await expectClean(checkout, point);
  });
});

Deno.test("delete, killed at each point, does not keep new from making it again", async () => {
  using directory = projects();
  equal((await directory.shop.run("new", "alice")).code, 0);
  const args = ["delete", "alice", "--yes"];
  await killEach(directory.shop, directory.path, args, { isThinned: true }, async (checkout, point) => {
    await expectWhole(checkout, point, await checkout.json("new", "alice"));
  });
});

Deno.test({
  name: "reset, killed at each point, leaves the old data or is completed by the same command",
  ignore: sqlite.reset === undefined, // the embedded providers can't yet
  async fn() {
    using directory = projects();
    equal((await directory.shop.run("new", "alice")).code, 0);
    const { DatabaseSync } = await import("node:sqlite");
    const database = new DatabaseSync(embeddedPath("database", directory.shop.root, "shop-alice"));
    database.exec("DELETE FROM t");
    database.close();
    const old = directory.shop.dataOf("alice");
    const args = ["reset", "alice", "--yes"];
    await killEach(directory.shop, directory.path, args, {}, async (checkout, point) => {
      const { data } = await checkout.json("status", "alice");
      if (data.environment.status === "ready") {
        const now = JSON.stringify(checkout.dataOf("alice"));
        const whole = [old, checkout.dataOf("dev")].map((one) => JSON.stringify(one));
        ok(whole.includes(now), `killed at ${point}: half of its data is new`);
      }
      const done = await checkout.json(...args);
      await checkout.json("switch", "alice"); // the checkout is a copy: paths in its files are another's
      await expectWhole(checkout, point, done);
    });
  },
});
