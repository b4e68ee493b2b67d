/**
 * The stacks that `init` knows by name, and what it asks of whoever takes one: the options without which a provider does
 * not work, and those whose default few can use. Everything else is a line in forkstack.json.
 *
 * @module
 */
import type { Presets } from "../core/provider.ts";

/** The stacks, the one for everybody first. */
export const STACKS: Presets["stacks"] = {
  "sqlite-local": { title: "SQLite and a local bucket: no account, no server", providers: {} },
  "turso-tigris-doppler": {
    title: "Turso, Tigris, Doppler",
    providers: { database: "turso", storage: "tigris", secrets: "doppler" },
    signs: /\.turso\.io$|^@libsql\/|^@tursodatabase\//m,
  },
  "neon-s3-vault": {
    title: "Neon, Amazon S3, HashiCorp Vault",
    providers: { database: "neon", storage: "s3", secrets: "vault" },
    signs: /\.neon\.tech$|^@neondatabase\//m,
  },
  "planetscale-r2-doppler": {
    title: "PlanetScale, Cloudflare R2, Doppler",
    providers: { database: "planetscale", storage: "r2", secrets: "doppler" },
    signs: /\.psdb\.cloud$|^@planetscale\//m,
  },
  "supabase-tigris": {
    title: "Supabase, Tigris, secrets in files",
    providers: { database: "supabase", storage: "tigris", secrets: "env-file" },
    signs: /\.supabase\.(co|com)$|^@supabase\//m,
  },
};

/** What is asked of each provider: option by option, under its name in forkstack.json. */
export const QUESTIONS: Presets["questions"] = {
  turso: {
    organization: { ask: "Turso: the organization or user, as in the address of the dashboard", example: "acme" },
  },
  neon: {
    projectId: { ask: "Neon: the id of the project, as in the address of the console", example: "late-frost-12345" },
  },
  planetscale: {
    organization: { ask: "PlanetScale: the organization, as in the address of the dashboard", example: "acme" },
    database: {
      ask: "PlanetScale: the database whose branches the environments are",
      example: "shop",
      isProject: true,
    },
  },
  supabase: {
    projectRef: {
      ask: "Supabase: the ref of the project, as in the address of its dashboard",
      example: "abcdefghijklmnopqrst",
    },
  },
  s3: {
    region: { ask: "S3: the region of the buckets", example: "eu-west-1", variable: "AWS_REGION", value: "us-east-1" },
  },
  r2: {
    account: { ask: "Cloudflare: the id of the account", example: "0123456789abcdef0123456789abcdef" },
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
  "aws-secrets": {
    region: { ask: "Secrets Manager: the region", example: "eu-central-1", variable: "AWS_REGION" },
  },
  "redis-cloud": {
    subscription: {
      ask: "Redis Cloud: the number of the subscription, as in the console's address",
      example: "154714",
    },
  },
};
