import { serveTigris } from "../../emulators/tigris.ts";
import { put } from "../../providers/_s3.ts";
import { type Case, KEYS } from "./_case.ts";

export const cases: readonly Case[] = [
  {
    kind: "storage",
    name: "tigris",
    async open(defer) {
      const { directory, endpoint, kinds } = defer(await serveTigris());
      await put(directory, "shop-bucket-prod", { "a/b": "of prod" });
      kinds.set("shop-bucket-prod", {});
      return { options: { endpoint, iamEndpoint: endpoint }, env: KEYS };
    },
  },
];
