import { Inngest } from "../../emulators/inngest.ts";
import { type Case, vendor } from "./_case.ts";

export const cases: readonly Case[] = [
  {
    kind: "queue",
    name: "inngest",
    async open(defer) {
      const endpoint = await vendor(defer, new Inngest({ keys: { "canary-key": true } }));
      return { options: { endpoint }, env: { INNGEST_API_KEY: "canary-key" } };
    },
  },
];
