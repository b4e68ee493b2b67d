/** The vendor's command line. */
import assert from "node:assert/strict";
import { type ClientCase, given, program } from "../_client.ts";

export const clients: readonly ClientCase[] = [{
  client: "wrangler@4.164.0",
  isProgram: true,
  nameOf: (env) => `shop-bucket-${env}`,
  assertShown(shown) {
    const { name, location, default_storage_class } = shown as Record<string, string>; // what is in it is measured later
    assert.deepEqual([name, location, default_storage_class], ["shop-bucket-alice", "weur", "Standard"]);
  },
  async open(ready, home) {
    const wrangler = await program("wrangler", ["wrangler@4.164.0"], home, {
      CLOUDFLARE_API_BASE_URL: `${given(ready, "endpoint")}/client/v4`,
      CLOUDFLARE_API_TOKEN: given(ready, "CLOUDFLARE_API_TOKEN"),
      CLOUDFLARE_ACCOUNT_ID: given(ready, "account"),
      WRANGLER_SEND_METRICS: "false",
    });
    const bucket = async (...args: string[]) => await wrangler.ok("r2", "bucket", ...args);
    return {
      names: async () => [...(await bucket("list")).matchAll(/^name: +(\S+)$/gm)].map(([, name]) => name!),
      show: async (name) => JSON.parse(await bucket("info", name, "--json")),
      create: async (name) => await bucket("create", name),
      // R2 deletes empty buckets alone, and this client lists no objects: a person knows them.
      async remove(name) {
        for (const key of ["a/b", ".forkstack.json"]) {
          await wrangler.ok("r2", "object", "delete", `${name}/${key}`, "--remote");
        }
        await bucket("delete", name);
      },
    };
  },
}];
