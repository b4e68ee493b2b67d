/**
 * The vendors' own clients beside forkstack, against the strict emulators: they see what forkstack made as the vendor
 * shows it, and what they delete, rename or make under the same name is told, and never adopted.
 */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import type { Case } from "../cli/permission_cases/_case.ts";
import { NET, Place, run } from "../cli/run.ts";
import { temporaryDirectory, testIf } from "../helpers.ts";
import { SIZE } from "../sizes.ts";
import type { ClientCase, VendorClient } from "./_client.ts";

/** A project whose one resource is at the vendor. */
class Shop {
  readonly #place: Place;
  readonly #env: Readonly<Record<string, string>>;
  readonly client: VendorClient;

  constructor(place: Place, client: VendorClient, env: Readonly<Record<string, string>>) {
    this.#place = place;
    this.client = client;
    this.#env = env;
  }

  /** Runs forkstack; its document, with the exit code. */
  // deno-lint-ignore no-explicit-any -- its shape is what the tests look at
  async json(...args: string[]): Promise<any> {
    const { code, stdout } = await run(this.#place.root, [...args, "--json"], { env: this.#env, allow: NET });
    return { ...JSON.parse(stdout), code };
  }

  // deno-lint-ignore no-explicit-any -- as above
  async ok(...args: string[]): Promise<any> {
    const document = await this.json(...args);
    assert.equal(document.code, 0, `${args.join(" ")}: ${JSON.stringify(document)}`);
    return document.data;
  }

  /** Runs what must be refused with this code. */
  async refused(code: string, ...args: string[]): Promise<void> {
    const document = await this.json(...args);
    assert.equal(document.error?.code, code, `${args.join(" ")}: ${JSON.stringify(document)}`);
  }

  /** The problems that doctor finds, by their first word, e.g. `"alice gone"`. */
  async findings(): Promise<string[]> {
    const document = await this.json("doctor");
    assert(document.code <= 1, JSON.stringify(document));
    return document.data.findings.map((one: { environment?: string; problem: string }) =>
      `${one.environment} ${one.problem.split(/[:, ]/)[0]}`
    );
  }

  /** Ends the lease of every environment. */
  expire(): void {
    using database = new DatabaseSync(this.#place.path(".forkstack", "registry.db"));
    database.exec("UPDATE environments SET expires_at = '2020-01-01T00:00:00.000Z'");
  }

  /** Deletes one with the client, as soon as the vendor is not busy with it. */
  async removed(name: string): Promise<void> {
    let refusal: unknown;
    for (let attempt = 0; attempt < 12; attempt++) {
      try {
        return void await this.client.remove(name);
      } catch (error) {
        refusal = error;
      }
    }
    throw refusal;
  }

  /** Waits until the client shows one the same twice. */
  async settled(name: string): Promise<unknown> {
    let shown = await this.client.show(name);
    for (let look = 0; look < 12; look++) {
      const again = await this.client.show(name);
      if (JSON.stringify(again) === JSON.stringify(shown)) break;
      shown = again;
    }
    return shown;
  }

  /** Waits until the client lists these names: vendors delete after they have answered. */
  async lists(expected: readonly string[], when: string): Promise<void> {
    let names: readonly string[] = [];
    for (let look = 0; look < 12; look++) {
      names = (await this.client.names()).toSorted();
      if (names.join() === expected.toSorted().join()) return;
    }
    assert.deepEqual(names, expected.toSorted(), when);
  }
}

/** The gate's program; the others' calls take seconds each, in which they do nothing else. */
const QUICK = "@upstash/cli@1.0.2";

/** A step for each act of a client: they share an emulator, and leave it as it was. */
function testClient(vendor: Case, client: ClientCase): void {
  const name = `${vendor.name}: ${client.client} beside forkstack`;
  if (client.isProgram && client.client !== QUICK && SIZE !== "full") {
    return Deno.test.ignore(`${name} (at full size alone: a process for each call)`, () => {});
  }
  testIf(vendor.missing, name, async (test) => {
    await using ended = new AsyncDisposableStack();
    const place = ended.use(await Place.make());
    const home = ended.use(temporaryDirectory());
    const ready = await vendor.open((thing) => ended.use(thing), place);
    const { options, env = {} } = ready;
    const resource = { provider: vendor.name, ...options };
    await place.write("forkstack.json", JSON.stringify({ project: "shop", parent: "prod", [vendor.kind]: resource }));
    await place.trust();
    const shop = new Shop(place, await client.open(ready, home.path), env);
    const before = await shop.client.names();
    for (const [claim, work] of Object.entries(STEPS)) {
      if (claim.startsWith("renames") && shop.client.rename === undefined) continue;
      await test.step(claim, () => work(shop, client, before));
    }
  }, { sanitizeOps: false, sanitizeResources: false }); // the vendors' clients leave bodies and connections
}

/** A fork that was renamed is told as that by each command, and left; under its own name it is deleted. */
async function leftRenamed(shop: Shop, own: string, other: string, before: readonly string[]): Promise<void> {
  assert.deepEqual(await shop.findings(), ["erin drifted"]);
  await shop.refused("FOREIGN", "new", "erin", "--yes");
  await shop.client.create(own);
  const { error } = await shop.json("delete", "erin", "--yes");
  assert.equal(error?.code, "DELETE_INCOMPLETE", JSON.stringify(error));
  assert.match(error.message, new RegExp(`it bears the name "${other}" by now`));
  assert.match(
    error.hint,
    new RegExp(`still has it, id \\S+, with all its data: name it "${own}" again or delete it there`),
  );
  await shop.lists([...before, other, own], "after delete");
  await shop.removed(own);
  await shop.client.rename!(other, own);
  await shop.ok("delete", "erin", "--yes");
  await shop.lists(before, "at the end");
}

type Step = (shop: Shop, client: ClientCase, before: readonly string[]) => Promise<void>;

const STEPS: Readonly<Record<string, Step>> = {
  async "lists and shows a fork, and what delete leaves"(shop, { nameOf, assertShown }, before) {
    await shop.ok("new", "alice", "--ttl", "2d");
    await shop.lists([...before, nameOf("alice")], "after new");
    assertShown(await shop.client.show(nameOf("alice")));
    assert.deepEqual(await shop.findings(), []);
    await shop.ok("delete", "alice", "--purge", "--yes");
    await shop.lists(before, "after delete");
  },

  async "deletes a fork: doctor and new tell that it is gone, delete and prune go on"(shop, { nameOf }, before) {
    const name = nameOf("bob");
    await shop.ok("new", "bob");
    await shop.removed(name);
    await shop.lists(before, "after the client's deletion");
    assert.deepEqual(await shop.findings(), ["bob gone"]);
    await shop.refused("NOT_FOUND", "new", "bob");
    await shop.ok("new", "bob", "--yes");
    await shop.lists([...before, name], "after new made it again");
    await shop.removed(name);
    await shop.lists(before, "after the client's second deletion");
    const { resources } = await shop.ok("delete", "bob", "--yes");
    assert.deepEqual(resources.map(({ state }: { state: string }) => state), ["absent"]);
    await shop.ok("new", "bob");
    await shop.removed(name);
    await shop.lists(before, "after the client's third deletion");
    shop.expire();
    await shop.ok("prune", "--yes");
    await shop.lists(before, "after prune");
    assert.deepEqual(await shop.findings(), []);
  },

  async "makes what has a fork's name: it is foreign, and neither adopted nor deleted"(shop, { nameOf }, before) {
    const [carol, dave] = [nameOf("carol"), nameOf("dave")];
    await shop.client.create(carol);
    await shop.lists([...before, carol], "with one of the client's");
    const shown = await shop.settled(carol);
    await shop.refused("FOREIGN", "new", "carol");
    await shop.refused("ENV_NOT_FOUND", "delete", "carol", "--yes");
    await shop.ok("new", "dave");
    await shop.removed(dave);
    await shop.lists([...before, carol], "after the client's deletion");
    await shop.client.create(dave); // in the place of ours
    await shop.lists([...before, carol, dave], "with two of the client's");
    assert.deepEqual(await shop.findings(), ["dave drifted"]);
    await shop.refused("FOREIGN", "new", "dave", "--yes");
    await shop.ok("delete", "dave", "--yes");
    await shop.lists([...before, carol, dave], "after delete");
    assert.deepEqual(await shop.settled(carol), shown);
    for (const name of [carol, dave]) await shop.removed(name);
    await shop.lists(before, "at the end");
  },

  async "renames a fork: it is ours or told, and what is made in its place is not ours"(shop, client, before) {
    const [erin, other] = [client.nameOf("erin"), client.nameOf("renamed")];
    await shop.ok("new", "erin");
    await shop.client.rename!(erin, other);
    await shop.lists([...before, other], "after the client's renaming");
    if (client.leavesRenamed) return await leftRenamed(shop, erin, other, before);
    assert.deepEqual(await shop.findings(), []);
    await shop.ok("new", "erin");
    await shop.client.create(erin);
    await shop.lists([...before, other, erin], "with another in its place");
    assert.deepEqual(await shop.findings(), []);
    const { resources } = await shop.ok("delete", "erin", "--purge", "--yes");
    assert.deepEqual(resources.map(({ state }: { state: string }) => state), ["deleted"]);
    await shop.lists([...before, erin], "after delete");
    await shop.removed(erin);
    await shop.lists(before, "at the end");
  },
};

const FILES = readdirSync(new URL("vendors/", import.meta.url)).sort();

for (const file of FILES) {
  const { clients, vendor } = await import(`./vendors/${file}`) as { clients: readonly ClientCase[]; vendor?: Case };
  const { cases } = await import(`../cli/permission_cases/${file}`) as { cases: readonly Case[] };
  for (const one of clients) testClient(vendor ?? cases[0]!, one);
}
