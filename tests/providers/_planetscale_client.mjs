/**
 * Lists, makes, gets and deletes branches and what opens them, by a client that is made of PlanetScale's specification
 * and tried on the live API: https://github.com/alchemy-run/distilled. Run by Node, beside its `node_modules`.
 */
import assert from "node:assert/strict";
import { argv } from "node:process";
import { Credentials } from "@distilled.cloud/planetscale/Credentials";
import * as operations from "@distilled.cloud/planetscale/Operations";
import { Effect, Layer, Redacted } from "effect";
import * as FetchHttpClient from "effect/unstable/http/FetchHttpClient";

const [, , apiBaseUrl, kind] = argv;
const [tokenId, token] = ["id", "token"].map((text) => Redacted.make(text));
const config = { tokenId, token, organization: "acme", apiBaseUrl };
const layer = Layer.mergeAll(FetchHttpClient.layer, Layer.succeed(Credentials, Effect.succeed(config)));
const run = (effect) => Effect.runPromise(Effect.provide(effect, layer));
const place = { organization: "acme", database: "shop" };
const branch = { ...place, branch: "shop-alice" };
const names = async () => (await run(operations.listBranches(place))).data.map(({ name }) => name);

assert.deepEqual(await names(), ["main"]);
assert.equal((await run(operations.getDatabase(place))).default_branch, "main");
const made = await run(operations.createBranch({ ...place, name: "shop-alice", parent_branch: "main" }));
assert.deepEqual([made.name, made.kind], ["shop-alice", kind]);
await assert.rejects(run(operations.createBranch({ ...place, name: "shop-alice" })), /already been taken/);
assert.equal((await run(operations.getBranch(branch))).ready, true);
assert.deepEqual(await names(), ["main", "shop-alice"]);
if (kind === "mysql") {
  const { id, plain_text } = await run(operations.createPassword({ ...branch, name: "x" }));
  assert(plain_text);
  await run(operations.deletePassword({ ...branch, id }));
  assert.deepEqual((await run(operations.listPasswords(branch))).data, []);
} else {
  const { id, password } = await run(operations.createRole({ ...branch, name: "x", inherited_roles: ["postgres"] }));
  assert(password);
  await run(operations.deleteRole({ ...branch, id }));
  assert.deepEqual((await run(operations.listRoles(branch))).data, []);
}
await run(operations.deleteBranch(branch));
await assert.rejects(run(operations.getBranch(branch)), (error) => error._tag === "NotFound");
assert.deepEqual(await names(), ["main"]);
