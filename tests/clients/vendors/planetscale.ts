/**
 * A client that others make of the specification and try on the live API (https://github.com/alchemy-run/distilled), since
 * the vendor has none in npm. Run by Node: of its dependencies Deno asks for packages of other systems, too, which some
 * mirrors don't have.
 */
import assert from "node:assert/strict";
import { type ClientCase, given, program } from "../_client.ts";

/** Runs one operation, as `node -e` gets it: its name and its input. */
const SCRIPT = `
  import { Effect, Layer, Redacted } from "effect";
  import * as FetchHttpClient from "effect/unstable/http/FetchHttpClient";
  import { Credentials } from "@distilled.cloud/planetscale/Credentials";
  import * as operations from "@distilled.cloud/planetscale/Operations";
  const [apiBaseUrl, id, secret, name, input] = process.argv.slice(1);
  const { organization } = JSON.parse(input);
  const [tokenId, token] = [id, secret].map((text) => Redacted.make(text));
  const credentials = Effect.succeed({ tokenId, token, organization, apiBaseUrl });
  const layer = Layer.mergeAll(FetchHttpClient.layer, Layer.succeed(Credentials, credentials));
  const told = await Effect.runPromise(Effect.provide(operations[name](JSON.parse(input)), layer));
  console.log(JSON.stringify(told ?? null));`;

export const clients: readonly ClientCase[] = [{
  client: "@distilled.cloud/planetscale@0.30.3",
  isProgram: true,
  nameOf: (env) => `shop-${env}`,
  assertShown(shown) {
    const { parent_branch, production, ready, kind } = shown as Record<string, unknown>;
    assert.deepEqual([parent_branch, production, ready, kind], ["main", false, true, "mysql"]);
  },
  async open(ready, home) {
    const [organization, database] = ["organization", "database"].map((name) => given(ready, name));
    const node = await program("node", ["@distilled.cloud/planetscale@0.30.3", "effect@4.0.0-beta.100"], home, {});
    const to = [
      `${given(ready, "endpoint")}/v1`,
      given(ready, "PLANETSCALE_SERVICE_TOKEN_ID"),
      given(ready, "PLANETSCALE_SERVICE_TOKEN"),
    ];
    // deno-lint-ignore no-explicit-any -- its shape is the client's
    const ask = async (operation: string, more: object = {}): Promise<any> =>
      await node.json(
        "--input-type=module",
        "-e",
        SCRIPT,
        ...to,
        operation,
        JSON.stringify({ organization, database, ...more }),
      );
    return {
      names: async () => (await ask("listBranches")).data.map(({ name }: { name: string }) => name),
      show: async (branch) => await ask("getBranch", { branch }),
      create: async (name) => await ask("createBranch", { name, parent_branch: "main" }),
      remove: async (branch) => await ask("deleteBranch", { branch }),
      rename: async (branch, new_name) => await ask("updateBranch", { branch, new_name }),
    };
  },
}];
