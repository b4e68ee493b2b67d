/**
 * The provider and the emulator, held against the vendor's own: its specification, by a proxy between the two, and a
 * client that others made of it and try on the live API.
 */
import assert from "node:assert/strict";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import provider from "../../providers/database/planetscale.ts";
import { conformanceCases } from "../conformance.ts";
import { startPlanetScale } from "../emulators/planetscale.ts";
import { FAULTS, type Prism, specification, startPrism } from "../emulators/prism.ts";
import { serve } from "../emulators/serve.ts";
import { run, temporaryDirectory } from "../helpers.ts";
import { type Front, openStores, planetscaleEmulator } from "./_planetscale.ts";

const { path: SPECIFICATION, missing } = specification("planetscale.yaml");
const STORES = await openStores();

/** Where the specification is known to be wrong: what to put in the place of what, and why. */
const EXCEPTIONS: readonly (readonly [reason: string, found: RegExp, corrected: string])[] = [
  [
    "it asks for OAuth alone, but says of each operation what a service token needs, whose header has no scheme",
    /^security:\n +- oauth2: \[\]\n/m,
    "security: []\n",
  ],
  [
    "create_branch has no answer for a name that is taken, or any other that is invalid: the vendor's clients know 422",
    /(operationId: create_branch\n[^]*?\n( +)responses:\n)/,
    '$1$2  "422":\n$2    description: Unprocessable\n',
  ],
  [
    "nor has update_branch, which gives a name as well",
    /(operationId: update_branch\n[^]*?\n( +)responses:\n)/,
    '$1$2  "422":\n$2    description: Unprocessable\n',
  ],
];

function corrected(directory: string): string {
  let text = readFileSync(SPECIFICATION, "utf8");
  for (const [reason, found, correction] of EXCEPTIONS) {
    assert.match(text, found, `the specification was mended: drop the exception "${reason}"`);
    text = text.replace(found, correction);
  }
  const path = join(directory, "planetscale.yaml");
  // Prism goes by the paths alone, without what the server's address has before them.
  writeFileSync(path, text.replace(/^( +["']?)\/(?=[^\n]*:\n)/gm, "$1/v1/"));
  return path;
}

for (const engine of ["vitess", "postgres"] as const) {
  const data = STORES[engine];
  const reason = missing ?? (typeof data === "string" ? data : undefined);
  Deno.test({
    name: `planetscale: the suite on ${engine} breaks no rule of the specification${
      reason ? ` (skipped: ${reason})` : ""
    }`,
    ignore: reason !== undefined,
    async fn(test) {
      if (typeof data === "string") return;
      using directory = temporaryDirectory();
      const front: { -readonly [Key in keyof Front]?: Front[Key] } = {};
      const server = await serve(() => front.current!);
      try {
        await using prism: Prism = await startPrism(corrected(directory.path), server.url);
        front.server = server;
        front.endpoint = prism.url;
        front.onAnswer = prism.onAnswer;
        const claimed = engine === "vitess"
          ? { ...provider, capabilities: { ...provider.capabilities, pointInTime: false } }
          : provider;
        const emulator = planetscaleEmulator(data, "data", front as Front);
        const options = { organization: "acme", database: "shop", withData: true };
        const skip: Record<string, string> = engine === "vitess"
          ? { "execute() runs a whole script on the fork, or none of it": "MySQL commits at each change of the schema" }
          : {};
        for (const one of conformanceCases({ provider: claimed, faults: FAULTS, emulator, options, skip })) {
          if (one.skipped === undefined) await test.step(one.name, one.run);
        }
        assert.deepEqual(prism.violations, []);

        // It must be able to fail: a branch of a kind that the specification does not have.
        const target = new URL("/v1/organizations/acme/databases/shop/branches", prism.url);
        const headers = { authorization: "id:token", "content-type": "application/json" };
        const body = JSON.stringify({ name: "x", seed_data: "everything" });
        const refused = await fetch(target, { method: "POST", headers, body });
        await refused.text();
        assert.match(refused.headers.get("content-type") ?? "", /problem\+json/);
        assert(prism.answers > 500, `only ${prism.answers} answers went through the proxy`);
        console.log(`${prism.answers} answers through Prism, ${prism.violations.length} violations`);
      } finally {
        await server.close();
      }
    },
  });
}

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
