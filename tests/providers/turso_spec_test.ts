/**
 * The provider and the emulator, held against the vendor's own: its specification, by a proxy between the two, and its
 * client.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import provider from "../../providers/database/turso.ts";
import { conformanceCases } from "../conformance.ts";
import { FAULTS, specification, startPrism } from "../emulators/prism.ts";
import { serve } from "../emulators/serve.ts";
import { startTurso } from "../emulators/turso.ts";
import { temporaryDirectory } from "../helpers.ts";
import { type Front, seedFile, tursoEmulator } from "./_turso.ts";

const { path: SPECIFICATION, missing } = specification("turso.json");

Deno.test({
  name: `turso: the suite breaks no rule of Turso's specification${missing ? ` (skipped: ${missing})` : ""}`,
  ignore: missing !== undefined,
  async fn(test) {
    const front: { -readonly [Key in keyof Front]?: Front[Key] } = {};
    const server = await serve(() => front.current!);
    try {
      await using prism = await startPrism(SPECIFICATION, server.url);
      front.server = server;
      front.endpoint = prism.url;
      front.onAnswer = prism.onAnswer;
      const emulator = tursoEmulator(front as Front);
      for (
        const { name, skipped, run } of conformanceCases({
          provider,
          faults: FAULTS,
          emulator,
          options: { organization: "o" },
        })
      ) {
        if (skipped === undefined) await test.step(name, run);
      }

      // It must be able to fail: a token call with a value that the specification does not have.
      const target = new URL("/v1/organizations/o/databases/x/auth/tokens?authorization=none", prism.url);
      const refused = await fetch(target, { method: "POST", headers: { authorization: "Bearer x" } });
      await refused.text();
      assert.match(refused.headers.get("content-type") ?? "", /problem\+json/);
      assert.deepEqual(prism.violations, []);
      assert(prism.answers > 500, `only ${prism.answers} answers went through the proxy`);
      console.log(`${prism.answers} answers through Prism, ${prism.violations.length} violations`);
    } finally {
      await server.close();
    }
  },
});

Deno.test("turso: the vendor's client lists, makes, gets and deletes databases of the emulator", async () => {
  const { createClient } = await import("npm:@tursodatabase/api@2.0.5");
  using directory = temporaryDirectory();
  const seed = join(directory.path, "seed.db");
  seedFile(seed);
  const token = "header.platform.token";
  await using turso = await startTurso({ organization: "acme", tokens: { [token]: undefined } });
  turso.add("shop", seed);
  const client = createClient({ org: "acme", token, baseUrl: `${turso.url}/v1/` });
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
