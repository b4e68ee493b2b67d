import { startAws } from "../../emulators/aws_secrets.ts";
import { type Case, KEYS } from "./_case.ts";

export const cases: readonly Case[] = [
  {
    kind: "secrets",
    name: "aws-secrets",
    async open(defer) {
      const region = "eu-central-1";
      const aws = defer(await startAws({ region, keys: { "test-key": { secret: "test-secret" } } }));
      aws.put("shop/prod/A", "live");
      return { options: { region, endpoint: aws.url }, env: KEYS };
    },
  },
];
