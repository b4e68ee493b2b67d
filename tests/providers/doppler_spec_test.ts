/** The emulator, held against Doppler's own client. */
import assert from "node:assert/strict";
import { startDoppler } from "../emulators/doppler.ts";

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
