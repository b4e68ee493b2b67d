/** The vendor's command line. */
import assert from "node:assert/strict";
import { type Case, KEYS } from "../../cli/permission_cases/_case.ts";
import { serveTigris } from "../../emulators/tigris.ts";
import { put } from "../../providers/_s3.ts";
import { type ClientCase, given, program } from "../_client.ts";

/** The client is in the buckets' region, and the lists know of a write at once. */
export const vendor: Case = {
  kind: "storage",
  name: "tigris",
  async open(defer) {
    const { directory, endpoint, kinds } = defer(await serveTigris({ isElsewhere: false, settling: 0 }));
    await put(directory, "shop-bucket-prod", { "a/b": "of prod" });
    kinds.set("shop-bucket-prod", {});
    return { options: { endpoint, iamEndpoint: endpoint }, env: KEYS };
  },
};

export const clients: readonly ClientCase[] = [{
  client: "@tigrisdata/cli@3.4.3",
  isProgram: true,
  nameOf: (env) => `shop-bucket-${env}`,
  assertShown(shown) {
    assert.match(JSON.stringify(shown), /shop-bucket-alice/);
  },
  async open(ready, home) {
    const tigris = await program("tigris", ["@tigrisdata/cli@3.4.3"], home, {
      AWS_ACCESS_KEY_ID: given(ready, "AWS_ACCESS_KEY_ID"),
      AWS_SECRET_ACCESS_KEY: given(ready, "AWS_SECRET_ACCESS_KEY"),
      AWS_ENDPOINT_URL_S3: given(ready, "endpoint"),
      AWS_ENDPOINT_URL_IAM: given(ready, "iamEndpoint"),
      AWS_ENDPOINT_URL_MGMT: given(ready, "endpoint"),
      TIGRIS_FORCE_PATH_STYLE: "1",
      TIGRIS_NO_UPDATE_CHECK: "1",
      TIGRIS_NO_TELEMETRY: "1",
    });
    const buckets = async (...args: string[]) => await tigris.json("buckets", ...args, "--json", "--yes");
    return {
      async names() {
        const listed = await buckets("list");
        return listed.items.map(({ name }: { name: string }) => name);
      },
      show: async (name) => await buckets("get", name),
      create: async (name) => await buckets("create", name),
      remove: async (name) => await buckets("delete", name, "--force"),
    };
  },
}];
