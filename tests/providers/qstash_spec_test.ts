/** The provider and the emulator, held against the vendor's specification by a proxy between the two. */
import assert from "node:assert/strict";
import provider from "../../providers/queue/qstash.ts";
import { conformanceCases } from "../conformance.ts";
import { FAULTS, specification, startPrism } from "../emulators/prism.ts";
import { serve } from "../emulators/serve.ts";
import { testIf } from "../helpers.ts";
import { type Front, qstashEmulator } from "./_qstash.ts";

const { path: SPECIFICATION, missing } = specification("qstash.yaml");

// A schedule that sends to a URL is left out: the specification's path has no room for it, though its text wants it there.
testIf(missing, "qstash: the suite breaks no rule of QStash's specification", async () => {
  const front: Partial<Front> = {};
  const server = await serve(() => front.current!);
  try {
    await using prism = await startPrism(SPECIFICATION, server.url, {
      "what a DELETE of something absent answers is not in the specification": /^DELETE .*status code/,
    });
    Object.assign(front, { endpoint: prism.url, onAnswer: prism.onAnswer });
    const options = { destination: "https://{env}.preview.example" };
    const cases = conformanceCases({ provider, faults: FAULTS, emulator: qstashEmulator(front as Front), options });
    for (const { skipped, run } of cases) if (skipped === undefined) await run();

    // It must be able to fail: a queue without its parallelism.
    const headers = { "authorization": "Bearer x", "content-type": "application/json" };
    const refused = await fetch(new URL("/v2/queues", prism.url), {
      method: "POST",
      headers,
      body: `{"queueName":"x"}`,
    });
    await refused.text();
    assert.match(refused.headers.get("content-type") ?? "", /problem\+json/);
    assert.deepEqual(prism.violations, []);
    assert(prism.answers > 500, `only ${prism.answers} answers went through the proxy`);
    console.log(`${prism.answers} answers through Prism, 0 violations,`, Object.fromEntries(prism.excepted));
  } finally {
    await server.close();
  }
});
