/** The provider and the emulator, held against Doppler's specification and its own client. */
import assert from "node:assert/strict";
import provider from "../../providers/secrets/doppler.ts";
import { conformanceCases } from "../conformance.ts";
import { type Doppler, startDoppler } from "../emulators/doppler.ts";
import { FAULTS, specification, startPrism } from "../emulators/prism.ts";
import { serve } from "../emulators/serve.ts";
import { temporaryDirectory } from "../helpers.ts";
import { dopplerEmulator, type Front, withErrors } from "./_doppler.ts";

const { path: SPECIFICATION, missing } = specification("doppler.json");

Deno.test({
  name: `doppler: the suite breaks no rule of Doppler's specification${missing ? ` (skipped: ${missing})` : ""}`,
  ignore: missing !== undefined,
  async fn(test) {
    const front: { -readonly [Key in keyof Front<Doppler>]?: Front<Doppler>[Key] } = {};
    await using server = await serve(() => front.current!);
    using directory = temporaryDirectory();
    await using prism = await startPrism(withErrors(SPECIFICATION, directory.path), server.url);
    front.server = server;
    front.endpoint = prism.url;
    front.onAnswer = prism.onAnswer;
    const emulator = dopplerEmulator(front as Front<Doppler>);
    const options = { project: "myapp", override: { API_KEY: { from: "API_KEY" } } };
    for (const { name, skipped, run } of conformanceCases({ provider, faults: FAULTS, emulator, options })) {
      if (skipped === undefined) await test.step(name, run);
    }

    // It must be able to fail: a token of an access that the specification does not have.
    const refused = await fetch(new URL("/v3/configs/config/tokens", prism.url), {
      method: "POST",
      headers: { authorization: "Bearer x", "content-type": "application/json" },
      body: JSON.stringify({ project: "myapp", config: "prd", name: "x", access: "everything" }),
    });
    await refused.text();
    assert.match(refused.headers.get("content-type") ?? "", /problem\+json/);
    assert.deepEqual(prism.violations, []);
    assert(prism.answers > 500, `only ${prism.answers} answers went through the proxy`);
    console.log(`${prism.answers} answers through Prism, ${prism.violations.length} violations`);
  },
});

Deno.test("doppler: the vendor's client clones, lists, reads and writes at the emulator", async () => {
  const { DopplerSDK } = await import("npm:@dopplerhq/node-sdk@1.3.0");
  const token = "dp.sa.token";
  await using doppler = await startDoppler({ project: "shop", tokens: [token] });
  doppler.config("prd")!.secrets.set("API_KEY", "1");
  const sdk = new DopplerSDK({ accessToken: token });
  sdk.setBaseUrl(doppler.url);
  const { config } = await sdk.configs.clone({ project: "shop", config: "prd", name: "prd_alice" });
  assert.deepEqual([config?.name, config?.environment], ["prd_alice", "prd"]);
  const { configs } = await sdk.configs.list("shop");
  assert.deepEqual(configs?.map(({ name }) => name), ["dev", "stg", "prd", "prd_alice"]);
  await sdk.secrets.update({ project: "shop", config: "prd_alice", secrets: { MINE: "2" } as never });
  const secrets = await sdk.secrets.download("shop", "prd_alice", { format: "json" });
  assert.deepEqual(secrets, {
    API_KEY: "1",
    MINE: "2",
    DOPPLER_PROJECT: "shop",
    DOPPLER_ENVIRONMENT: "prd",
    DOPPLER_CONFIG: "prd_alice",
  });
  // Of a deletion, this version sends neither the query nor a body.
  const made = await sdk.configs.get("shop", "prd_alice");
  assert.equal(made.config?.root, false);
});
