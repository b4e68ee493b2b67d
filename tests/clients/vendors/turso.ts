/** The vendor's client of its platform API. */
import assert from "node:assert/strict";
import { type ClientCase, given } from "../_client.ts";

export const clients: readonly ClientCase[] = [{
  client: "@tursodatabase/api@2.0.5",
  nameOf: (env) => `shop-${env}`,
  assertShown(shown) {
    const { group, primaryRegion, block_writes } = shown as Record<string, unknown>; // its parent this client leaves out
    assert.deepEqual([group, primaryRegion, block_writes], ["default", "aws-us-east-1", false]);
  },
  async open(ready) {
    const { createClient } = await import("npm:@tursodatabase/api@2.0.5");
    const baseUrl = `${given(ready, "endpoint")}/v1/`;
    const client = createClient({ org: given(ready, "organization"), token: given(ready, "TURSO_API_TOKEN"), baseUrl });
    return {
      names: async () => (await client.databases.list()).map(({ name }) => name),
      show: async (name) => await client.databases.get(name),
      create: async (name) => await client.databases.create(name, { group: "default" }),
      remove: async (name) => await client.databases.delete(name),
    };
  },
}];
