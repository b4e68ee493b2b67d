/**
 * The provider and the emulator, held against the vendor's own: its specification, by a proxy between the two, its
 * client and its command line.
 */
import assert from "node:assert/strict";
import provider from "../../providers/database/neon.ts";
import { commandOf, runCommand } from "../cli/run.ts";
import { conformanceCases } from "../conformance.ts";
import { startNeon } from "../emulators/neon.ts";
import { specification, startPrism } from "../emulators/prism.ts";
import { serve } from "../emulators/serve.ts";
import { run, testIf } from "../helpers.ts";
import { ask, type Front, neonEmulator, NOTES, server, whyNot } from "./_neon.ts";

const { path: SPECIFICATION, missing } = specification("neon.yaml");
const KEY = "napi_spec";

Deno.test({
  name: `neon: the suite breaks no rule of Neon's specification${missing ? ` (skipped: ${missing})` : ""}`,
  ignore: missing !== undefined || server === undefined,
  async fn(test) {
    const front: { -readonly [Key in keyof Front]?: Front[Key] } = {};
    const served = await serve(() => front.current!);
    try {
      await using prism = await startPrism(SPECIFICATION, `${served.url}/api/v2`);
      front.server = served;
      front.fetch = async (request) => {
        // The specification's paths begin after /api/v2.
        const url = request.url.replace(`${served.url}/api/v2`, prism.url);
        const response = await fetch(new Request(url, request));
        await prism.onAnswer(new Request(url, { method: request.method }), response.clone());
        return response;
      };
      const emulator = neonEmulator({}, front as Front);
      const options = { projectId: "late-frost-12345" };
      for (const { name, skipped, run } of conformanceCases({ provider, emulator, options })) {
        if (skipped === undefined) await test.step(name, run);
      }

      // It must be able to fail: a number where the specification has none.
      const refused = await fetch(new URL("/projects/x/branches?limit=0", prism.url), {
        headers: { authorization: "Bearer x" },
      });
      await refused.text();
      assert.match(refused.headers.get("content-type") ?? "", /problem\+json/);
      assert.deepEqual([...new Set(prism.violations)].slice(0, 5), []);
      assert(prism.answers > 500, `only ${prism.answers} answers went through the proxy`);
      console.log(`${prism.answers} answers through Prism, ${prism.violations.length} violations`);
    } finally {
      await served.close();
    }
  },
});
