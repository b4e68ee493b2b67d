/** The provider and the emulator, held against Vault's specification and a client of its own kind. */
import assert from "node:assert/strict";
import provider from "../../providers/secrets/vault.ts";
import { conformanceCases } from "../conformance.ts";
import { FAULTS, specification, startPrism } from "../emulators/prism.ts";
import { serve } from "../emulators/serve.ts";
import { startVault, type Vault } from "../emulators/vault.ts";
import { temporaryDirectory } from "../helpers.ts";
import { type Front, withErrors } from "./_doppler.ts";
import { vaultEmulator } from "./_vault.ts";

const { path: SPECIFICATION, missing } = specification("vault.json");

Deno.test({
  name: `vault: the suite breaks no rule of Vault's specification${missing ? ` (skipped: ${missing})` : ""}`,
  ignore: missing !== undefined,
  async fn(test) {
    const front: { -readonly [Key in keyof Front<Vault>]?: Front<Vault>[Key] } = {};
    await using server = await serve(() => front.current!);
    using directory = temporaryDirectory();
    await using prism = await startPrism(withErrors(SPECIFICATION, directory.path), server.url);
    front.server = server;
    front.endpoint = prism.url;
    front.onAnswer = prism.onAnswer;
    const emulator = vaultEmulator(front as Front<Vault>);
    for (const { name, skipped, run } of conformanceCases({ provider, faults: FAULTS, emulator })) {
      if (skipped === undefined) await test.step(name, run);
    }

    // It must be able to fail: a version that is no number.
    const refused = await fetch(new URL("/secret/data/x", prism.url), {
      method: "POST",
      headers: { "x-vault-token": "x", "content-type": "application/json" },
      body: JSON.stringify({ data: {}, version: "one" }),
    });
    await refused.text();
    assert.match(refused.headers.get("content-type") ?? "", /problem\+json/);
    assert.deepEqual(prism.violations, []);
    assert(prism.answers > 500, `only ${prism.answers} answers went through the proxy`);
    console.log(`${prism.answers} answers through Prism, ${prism.violations.length} violations`);
  },
});

Deno.test("vault: node-vault reads, writes, lists and deletes at the emulator", async () => {
  const { default: nodeVault } = await import("npm:node-vault@0.12.0");
  const appRole = { roleId: "role", secretId: "secret" };
  await using vault = await startVault({ tokens: { t: Infinity }, appRole });
  const client = nodeVault({ endpoint: vault.url, token: "t" });
  await client.write("secret/data/shop/prod/app", { data: { A: "1" } });
  await assert.rejects(client.write("secret/data/shop/prod/app", { options: { cas: 0 }, data: {} }), /check-and-set/);
  assert.deepEqual((await client.read("secret/data/shop/prod/app")).data.data, { A: "1" });
  // Its list() sends the method LIST, which Node's and Deno's HTTP servers do not take.
  assert.deepEqual((await client.read("secret/metadata/shop/?list=true")).data.keys, ["prod/"]);
  await assert.rejects(client.read("secret/data/shop/none"), /Status 404/);
  const login = await client.approleLogin({ role_id: "role", secret_id: "secret" });
  assert.match(login.auth.client_token, /^hvs\./);
  await client.delete("secret/metadata/shop/prod/app");
  assert.equal(vault.keys.size, 0);
});
