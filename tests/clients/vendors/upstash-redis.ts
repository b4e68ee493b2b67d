/** The vendor's command line, whose address is a constant: a module loaded first sends its requests to the emulator. */
import assert from "node:assert/strict";
import { type ClientCase, given, program } from "../_client.ts";

export const clients: readonly ClientCase[] = [{
  client: "@upstash/cli@1.0.2",
  isProgram: true,
  leavesRenamed: true,
  nameOf: (env) => `shop-${env}`,
  assertShown(shown) {
    const { state, primary_region, type, password } = shown as Record<string, string>;
    assert.deepEqual([state, primary_region, type], ["active", "us-east-1", "payg"]);
    assert(password);
  },
  async open(ready, home) {
    const [email, key, url] = ["UPSTASH_EMAIL", "UPSTASH_API_KEY", "endpoint"].map((name) => given(ready, name));
    const loaded = `const send = fetch;
      globalThis.fetch = (url, init) => send(url.replace("https://api.upstash.com", ${JSON.stringify(url)}), init);`;
    const upstash = await program("upstash", ["@upstash/cli@1.0.2"], home, {
      UPSTASH_EMAIL: email!,
      UPSTASH_API_KEY: key!,
      NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(loaded)}`,
    });
    const all = async () => await upstash.json("redis", "list") as { database_id: string; database_name: string }[];
    const idOf = async (name: string) => (await all()).find((one) => one.database_name === name)!.database_id;
    return {
      names: async () => (await all()).map((one) => one.database_name),
      show: async (name) => await upstash.json("redis", "get", "--db-id", await idOf(name)),
      create: async (name) => await upstash.json("redis", "create", "--name", name, "--region", "us-east-1"),
      remove: async (name) => await upstash.json("redis", "delete", "--db-id", await idOf(name)),
      rename: async (name, to) => await upstash.json("redis", "rename", "--db-id", await idOf(name), "--name", to),
    };
  },
}];
