import { QStash } from "../../emulators/qstash.ts";
import { seed as seedQueue } from "../../providers/_qstash.ts";
import { type Case, vendor } from "./_case.ts";

export const cases: readonly Case[] = [
  {
    kind: "queue",
    name: "qstash",
    async open(defer) {
      const qstash = new QStash({ tokens: { "canary-token": true } });
      seedQueue(qstash, "shop");
      const options = { destination: "https://{env}.shop.example", endpoint: await vendor(defer, qstash) };
      return { options, env: { QSTASH_TOKEN: "canary-token" } };
    },
  },
];
