/** The provider and the emulator, held against the vendor's specification by a proxy between the two. */
import assert from "node:assert/strict";
import provider from "../../providers/cache/redis-cloud.ts";
import { conformanceCases } from "../conformance.ts";
import { FAULTS, specification, startPrism } from "../emulators/prism.ts";
import { Databases } from "../emulators/redis_databases.ts";
import { WHY_NO_SERVER } from "../emulators/redis_server.ts";
import { serve } from "../emulators/serve.ts";
import { testIf } from "../helpers.ts";
import { type Front, redisCloudEmulator } from "./_redis-cloud.ts";

const { path: SPECIFICATION, missing } = specification("rediscloud.json", "", /\/(databases|tasks)/);
const real = WHY_NO_SERVER === undefined && missing === undefined ? await Databases.start() : undefined;

for (const tier of ["essentials", "pro"] as const) {
  testIf(missing ?? WHY_NO_SERVER, `redis-cloud: the suite breaks no rule of the specification, ${tier}`, async () => {
    const front: Partial<Front> = {};
    const server = await serve(() => front.current!);
    try {
      await using prism = await startPrism(SPECIFICATION, server.url);
      Object.assign(front, { endpoint: prism.url, onAnswer: prism.onAnswer });
      const changed = { tier, settling: 0, errorObjects: false };
      const cases = conformanceCases({
        provider,
        faults: FAULTS,
        emulator: redisCloudEmulator(real!, changed, front as Front),
        options: { subscription: 1206, tier },
      });
      // The faults are the same for both sorts.
      const isChosen = (name: string) => tier === "essentials" || !/broken|abort/.test(name);
      for (const { name, skipped, run } of cases) if (skipped === undefined && isChosen(name)) await run();

      // It must be able to fail: a database without its name.
      const path = `/v1${tier === "pro" ? "" : "/fixed"}/subscriptions/1206/databases`;
      const headers = {
        "x-api-key": "x",
        "x-api-secret-key": "x",
        "x-auth-token": "x",
        "content-type": "application/json",
      };
      const refused = await fetch(new URL(path, prism.url), { method: "POST", headers, body: "{}" });
      await refused.text();
      assert.match(refused.headers.get("content-type") ?? "", /problem\+json/);
      assert.deepEqual(prism.violations, []);
      assert(prism.answers > (tier === "pro" ? 100 : 500), `only ${prism.answers} answers went through the proxy`);
      console.log(`${prism.answers} answers through Prism, 0 violations,`, Object.fromEntries(prism.excepted));
    } finally {
      await server.close();
    }
  });
}
