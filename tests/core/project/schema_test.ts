import assert from "node:assert/strict";
import { jsonSchema, parseConfig } from "../../../core/project/schema.ts";
import { VERSION } from "../../../core/system/version.ts";
import { CATALOG } from "../../../providers/mod.ts";

const repo = new URL("../../../", import.meta.url);

Deno.test("forkstack.schema.json is what `deno task gen` writes", async () => {
  const written = JSON.parse(await Deno.readTextFile(new URL("forkstack.schema.json", repo)));
  assert.deepEqual(written, JSON.parse(JSON.stringify(await jsonSchema(CATALOG))));
});

Deno.test("the JSON Schema names every key that parseConfig() takes", async () => {
  const { properties } = await jsonSchema(CATALOG) as { properties: object };
  const all = {
    $schema: "./forkstack.schema.json",
    project: "shop",
    stack: "7f3a",
    parent: "prod",
    protected: ["staging"],
    registry: { url: "libsql://shop.example" },
    ttl: "3d",
    database: { provider: "sqlite" },
    storage: { uploads: { provider: "local" } },
    secrets: { provider: "env-file" },
    local: { provider: "directory" },
  };
  await parseConfig("forkstack.json", JSON.stringify(all), CATALOG);
  for (const key of Object.keys(all)) assert(key in properties, key);
});

Deno.test("VERSION is that of deno.json", async () => {
  assert.equal(VERSION, JSON.parse(await Deno.readTextFile(new URL("deno.json", repo))).version);
});
