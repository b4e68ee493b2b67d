/** The emulator, held against a client that others made of the specification and try on the live API. */
import assert from "node:assert/strict";
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { startPlanetScale } from "../emulators/planetscale.ts";
import { run, temporaryDirectory } from "../helpers.ts";

Deno.test("planetscale: a client made of the specification, that is tried on the live API, works on the emulator", async () => {
  using directory = temporaryDirectory();
  // By npm and Node: of its dependencies Deno asks for packages of other systems, too, which some mirrors don't have.
  const wanted = ["@distilled.cloud/planetscale@0.30.3", "effect@4.0.0-beta.100"];
  await run("npm", ["install", "--silent", "--no-audit", "--no-fund", "--prefix", directory.path, ...wanted]);
  const script = join(directory.path, "client.mjs");
  copyFileSync(fileURLToPath(new URL("./_planetscale_client.mjs", import.meta.url)), script);
  for (const kind of ["mysql", "postgresql"] as const) {
    await using planetscale = await startPlanetScale({
      organization: "acme",
      database: "shop",
      kind,
      tokens: { "id:token": undefined },
      settling: 0,
    });
    await planetscale.add("main");
    await run("node", [script, `${planetscale.url}/v1`, kind]);
    assert.equal(planetscale.requests.filter(({ method }) => method === "DELETE").length, 2);
  }
});
