/** The provider and the emulator, held against the vendor's specification by a proxy between the two. */
import assert from "node:assert/strict";
import provider from "../../providers/queue/inngest.ts";
import { conformanceCases } from "../conformance.ts";
import { FAULTS, specification, startPrism } from "../emulators/prism.ts";
import { serve } from "../emulators/serve.ts";
import { testIf } from "../helpers.ts";
import { type Front, inngestEmulator } from "./_inngest.ts";

const { path: SPECIFICATION, missing } = specification("inngest-v2.json", "/v2");

testIf(missing, "inngest: the suite breaks no rule of Inngest's specification", async () => {
  const front: Partial<Front> = {};
  const server = await serve(() => front.current!);
  try {
    await using prism = await startPrism(SPECIFICATION, server.url);
    Object.assign(front, { endpoint: prism.url, onAnswer: prism.onAnswer });
    for (
      const { skipped, run } of conformanceCases({
        provider,
        faults: FAULTS,
        emulator: inngestEmulator({}, front as Front),
        skip: { "outputs() gives no variable but its kind's and those that it declares": "its keys may be a person's" },
      })
    ) {
      if (skipped === undefined) await run();
    }

    // It must be able to fail: a name that is no text.
    const refused = await fetch(new URL("/v2/envs", prism.url), {
      method: "POST",
      headers: { "authorization": "Bearer x", "content-type": "application/json" },
      body: `{"name":1}`,
    });
    await refused.text();
    assert.match(refused.headers.get("content-type") ?? "", /problem\+json/);
    assert.deepEqual(prism.violations, []);
    assert(prism.answers > 300, `only ${prism.answers} answers went through the proxy`);
    console.log(`${prism.answers} answers through Prism, 0 violations,`, Object.fromEntries(prism.excepted));
  } finally {
    await server.close();
  }
});
