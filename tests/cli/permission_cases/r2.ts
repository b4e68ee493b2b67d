import { serveR2 } from "../../emulators/r2.ts";
import { put } from "../../providers/_s3.ts";
import type { Case } from "./_case.ts";

export const cases: readonly Case[] = [
  {
    kind: "storage",
    name: "r2",
    async open(defer) {
      const { directory, endpoint, url } = defer(await serveR2());
      await put(directory, "shop-bucket-prod", { "a/b": "of prod" });
      const options = { account: "0123456789abcdef0123456789abcdef", endpoint: url, s3Endpoint: endpoint };
      return { options, env: { CLOUDFLARE_API_TOKEN: "test-token", R2_ACCESS_KEY_ID: "test-id" } };
    },
  },
];
