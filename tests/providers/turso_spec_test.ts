/** The provider and the emulator, held against the specification by another's program, and the vendor's own client. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import provider from "../../providers/database/turso.ts";
import { startPrism } from "../emulators/prism.ts";
import { specificationPath } from "../emulators/specification.ts";
import { startTurso } from "../emulators/turso.ts";
import { temporaryDirectory } from "../helpers.ts";
import { seedFile } from "./_turso.ts";
import { shopOf } from "./_vendor.ts";

const SPECIFICATION = specificationPath("turso.json");
const TOKEN = "header.platform.token";

// In the other vendors' tests the specification is judged in this process alone; here by another's program as well.
Deno.test({
  name: "turso: Prism, as a proxy, finds nothing between the provider and the emulator, and what is broken on purpose",
  ignore: !existsSync(SPECIFICATION),
  async fn() {
    using directory = temporaryDirectory();
    const seed = join(directory.path, "seed.db");
    seedFile(seed);
    await using turso = await startTurso({ organization: "acme", tokens: { [TOKEN]: undefined } });
    turso.add("shop", seed);
    await using prism = await startPrism(SPECIFICATION, turso.url);
    const shop = shopOf(provider, { TURSO_API_TOKEN: TOKEN }, { organization: "acme", endpoint: prism.url });
    const context = shop.context({ fetch: prism.fetch });
    const target = shop.target("alice");
    const fork = await shop.create(target, context);
    assert.equal((await provider.inspect(context, target)).state, "ready");
    assert.equal(await provider.delete(context, fork, shop.scope()), "deleted");
    assert.deepEqual(prism.violations, []);
    assert(prism.answers >= 5, `only ${prism.answers} answers went through the proxy`);

    // A token call with a value that the specification does not have.
    const broken = new URL("/v1/organizations/acme/databases/x/auth/tokens?authorization=none", prism.url);
    await (await prism.fetch(new Request(broken, { method: "POST", headers: { authorization: "Bearer x" } }))).text();
    assert.match(prism.violations.join(), /authorization/);
  },
});

Deno.test("turso: the vendor's client lists, makes, gets and deletes databases of the emulator", async () => {
  const { createClient } = await import("npm:@tursodatabase/api@2.0.5");
  using directory = temporaryDirectory();
  const seed = join(directory.path, "seed.db");
  seedFile(seed);
  await using turso = await startTurso({ organization: "acme", tokens: { [TOKEN]: undefined } });
  turso.add("shop", seed);
  const client = createClient({ org: "acme", token: TOKEN, baseUrl: `${turso.url}/v1/` });
  assert.deepEqual((await client.databases.list()).map(({ name }) => name), ["shop"]);
  const made = await client.databases.create("shop-alice", {
    group: "default",
    seed: { type: "database", name: "shop" },
  });
  assert.deepEqual([made.name, made.hostname], ["shop-alice", `${turso.host}/shop-alice/`]);
  const found = await client.databases.get("shop-alice");
  assert.deepEqual([found.id, found.group], [made.id, "default"]);
  const { jwt } = await client.databases.createToken("shop-alice", { expiration: "1d", authorization: "read-only" });
  assert(turso.dataTokens.has(jwt));
  assert.equal((await client.databases.usage("shop-alice")).usage.storage_bytes, 8192);
  await assert.rejects(client.databases.create("shop-alice", { group: "default" }), /already exists/);
  await client.databases.delete("shop-alice");
  await assert.rejects(client.databases.get("shop-alice"), /could not find database/);
  assert.deepEqual((await client.databases.list()).map(({ name }) => name), ["shop"]);
});

Deno.test("turso: the emulator forks within a group alone, and tells what the vendor's command line asks for", async () => {
  using directory = temporaryDirectory();
  const seed = join(directory.path, "seed.db");
  seedFile(seed);
  const groups = ["default", "eu"];
  await using turso = await startTurso({ organization: "acme", tokens: { [TOKEN]: undefined }, groups });
  turso.add("shop", seed);
  const ask = async (path: string, init: RequestInit = {}) => {
    const response = await fetch(`${turso.url}${path}`, { ...init, headers: { authorization: `Bearer ${TOKEN}` } });
    return [response.status, await response.json()] as const;
  };
  const forked = async (name: string, group: string) => {
    const body = JSON.stringify({ name, group, seed: { type: "database", name: "shop" } });
    return await ask("/v1/organizations/acme/databases", { method: "POST", body });
  };
  const why = "can only fork databases within the same group: database shop is not part of group eu";
  assert.deepEqual(await forked("a", "eu"), [400, { error: why }]);
  assert.equal((await forked("b", "default"))[0], 200);
  turso.options = { ...turso.options, forksAcrossGroups: true };
  assert.equal((await forked("c", "eu"))[0], 200);

  const [, configuration] = await ask("/v1/organizations/acme/databases/shop/configuration");
  assert.deepEqual([configuration.delete_protection, configuration.block_writes], [false, false]);
  const [, { group }] = await ask("/v1/organizations/acme/groups/eu");
  assert.equal(group.primary, group.locations[0]);
  const slugs = (all: readonly { slug: string }[]) => all.map(({ slug }) => slug);
  assert.deepEqual(slugs((await ask("/v1/organizations"))[1]), ["acme"]);
  assert.deepEqual(slugs((await ask("/v2/organizations"))[1].organizations), ["acme"]);
});
