import { serveAws } from "../../emulators/aws_s3.ts";
import { put } from "../../providers/_s3.ts";
import type { Case } from "./_case.ts";

export const cases: readonly Case[] = [
  {
    kind: "storage",
    name: "s3",
    async open(defer) {
      const { directory, endpoint, region, credentials } = defer(await serveAws());
      await put(directory, "shop-bucket-prod", { "a/b": "of prod" });
      const env = {
        AWS_ACCESS_KEY_ID: credentials.accessKeyId,
        AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
      };
      return { options: { region, endpoint }, env };
    },
  },
];
