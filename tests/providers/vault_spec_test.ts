/** The emulator, held against a client of Vault's own kind. */
import assert from "node:assert/strict";
import { startVault } from "../emulators/vault.ts";

Deno.test("vault: node-vault reads, writes, lists and deletes at the emulator", async () => {
  const { default: nodeVault } = await import("npm:node-vault@0.12.0");
  const appRole = { roleId: "role", secretId: "secret" };
  await using vault = await startVault({ tokens: { t: Infinity }, appRole, casRequired: false });
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
