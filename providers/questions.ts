/**
 * The questions that `init` asks of each provider, option by option.
 * Written by `deno task gen` from the providers' files: change those.
 *
 * @module
 */
import type { Presets } from "../core/catalog.ts";

/** By provider and option, each under its name in forkstack.json. */
export const QUESTIONS: Presets["questions"] = {
  turso: {
    organization: { ask: "Turso: the organization or user, as in the address of the dashboard", example: "acme" },
  },
  neon: {
    projectId: { ask: "Neon: the id of the project, as in the address of the console", example: "late-frost-12345" },
  },
  planetscale: {
    organization: { ask: "PlanetScale: the organization, as in the address of the dashboard", example: "acme" },
    database: { ask: "PlanetScale: the database whose branches are environments", example: "shop", isProject: true },
  },
  supabase: {
    projectRef: { ask: "Supabase: the project's ref, as in its dashboard's address", example: "abcdefghijklmnopqrst" },
  },
  r2: { account: { ask: "Cloudflare: the id of the account", example: "0123456789abcdef0123456789abcdef" } },
  s3: {
    region: { ask: "S3: the region of the buckets", example: "eu-west-1", variable: "AWS_REGION", value: "us-east-1" },
  },
  doppler: { project: { ask: "Doppler: the project", example: "shop", isProject: true } },
  vault: {
    endpoint: {
      ask: "Vault: where it is",
      example: "https://vault.example:8200",
      variable: "VAULT_ADDR",
      value: "http://127.0.0.1:8200",
    },
  },
  "aws-secrets": { region: { ask: "Secrets Manager: the region", example: "eu-central-1", variable: "AWS_REGION" } },
  "redis-cloud": {
    subscription: {
      ask: "Redis Cloud: the number of the subscription, as in the console's address",
      example: "154714",
    },
  },
};
