/** The vendor's SDK for Node. */
import assert from "node:assert/strict";
import { type ClientCase, given } from "../_client.ts";

export const clients: readonly ClientCase[] = [{
  client: "@dopplerhq/node-sdk@1.3.0",
  nameOf: (env) => `prd_${env}`,
  assertShown(shown) {
    const { config } = shown as { config: Record<string, unknown> };
    assert.deepEqual([config.environment, config.project, config.root, config.locked], ["prd", "shop", false, false]);
  },
  async open(ready) {
    const { DopplerSDK } = await import("npm:@dopplerhq/node-sdk@1.3.0");
    const [project, accessToken, url] = ["project", "DOPPLER_TOKEN", "endpoint"].map((name) => given(ready, name));
    const sdk = new DopplerSDK({ accessToken: accessToken! });
    sdk.setBaseUrl(url!);
    return {
      names: async () => (await sdk.configs.list(project!)).configs!.map(({ name }) => name!),
      show: async (config) => await sdk.configs.get(project!, config),
      create: async (name) => await sdk.configs.create({ project: project!, environment: "prd", name }),
      rename: async (config, name) => await sdk.configs.update({ project: project!, config, name }),
      // Of a deletion this version sends neither the query nor a body.
      async remove(config) {
        const query = new URLSearchParams({ project: project!, config });
        const headers = { authorization: `Bearer ${accessToken}` };
        const response = await fetch(`${url}/v3/configs/config?${query}`, { method: "DELETE", headers });
        assert.equal(response.status, 200, await response.text());
      },
    };
  },
}];
