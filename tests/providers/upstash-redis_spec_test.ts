/** The provider and the emulator, held against the vendor's specification by a proxy between the two. */
import assert from "node:assert/strict";
import provider from "../../providers/cache/upstash-redis.ts";
import { conformanceCases } from "../conformance.ts";
import { FAULTS, specification, startPrism } from "../emulators/prism.ts";
import { Databases } from "../emulators/redis_databases.ts";
import { WHY_NO_SERVER } from "../emulators/redis_server.ts";
import { serve } from "../emulators/serve.ts";
import type { Upstash } from "../emulators/upstash-redis.ts";
import { testIf } from "../helpers.ts";
import { type Front, upstashEmulator } from "./_upstash-redis.ts";

const { path: SPECIFICATION, missing } = specification("upstash.yaml", "/v2");
const real = WHY_NO_SERVER === undefined && missing === undefined ? await Databases.start() : undefined;

testIf(missing ?? WHY_NO_SERVER, "upstash-redis: the suite breaks no rule of Upstash's specification", async () => {
  const front: { current?: Upstash } & { -readonly [Key in keyof Front]?: Front[Key] } = {};
  const server = await serve(() => front.current!);
  try {
    await using prism = await startPrism(SPECIFICATION, server.url, {
      "of this API the specification lists the status 200 alone": /Unable to match the returned status code .*: 200$/,
    });
    Object.assign(front, { endpoint: prism.url, onAnswer: prism.onAnswer });
    const emulator = upstashEmulator(real!, { settling: 0 }, front as Front);
    const cases = conformanceCases({ provider, faults: FAULTS, emulator, options: { region: "us-east-1" } });
    for (const { skipped, run } of cases) if (skipped === undefined) await run();

    // It must be able to fail: a platform that the specification does not have.
    const refused = await fetch(new URL("/v2/redis/database", prism.url), {
      method: "POST",
      headers: { "authorization": "Basic eA==", "content-type": "application/json" },
      body: JSON.stringify({ database_name: "x", platform: "moon", primary_region: "us-east-1" }),
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
