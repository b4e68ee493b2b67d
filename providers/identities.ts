/**
 * Variables that name one thing of one environment, as each provider declares.
 * Written by `deno task gen` from the providers' files: change those.
 *
 * @module
 */
import type { Identities } from "../core/catalog.ts";

/** By kind and provider. */
export const IDENTITIES: Identities = {
  database: {
    sqlite: ["DATABASE_URL", "DATABASE_PATH"],
    turso: ["DATABASE_URL", "DATABASE_AUTH_TOKEN"],
    neon: ["DATABASE_URL", "DATABASE_URL_UNPOOLED"],
    planetscale: ["DATABASE_URL"],
    supabase: [
      "DATABASE_URL",
      "DATABASE_URL_UNPOOLED",
      "SUPABASE_URL",
      "SUPABASE_ANON_KEY",
      "SUPABASE_SERVICE_ROLE_KEY",
      "SUPABASE_PUBLISHABLE_KEY",
      "SUPABASE_SECRET_KEY",
      "SUPABASE_JWT_SECRET",
    ],
    postgres: ["DATABASE_URL", "SHADOW_DATABASE_URL"],
    mysql: ["DATABASE_URL"],
  },
  storage: {
    local: ["BUCKET_NAME", "BUCKET_PATH", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"],
    r2: ["BUCKET_NAME", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"],
    s3: ["BUCKET_NAME", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"],
    tigris: ["BUCKET_NAME", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"],
  },
  secrets: {
    "env-file": ["SECRETS_FILE"],
    doppler: ["DOPPLER_CONFIG", "DOPPLER_TOKEN"],
    vault: ["VAULT_SECRETS_PATH"],
    "aws-secrets": ["SECRETS_PREFIX"],
  },
  cache: {
    valkey: ["CACHE_URL", "REDIS_URL", "CACHE_PREFIX"],
    "upstash-redis": ["CACHE_URL", "REDIS_URL", "UPSTASH_REDIS_REST_URL", "UPSTASH_REDIS_REST_TOKEN"],
    "redis-cloud": ["CACHE_URL", "REDIS_URL"],
  },
  queue: { bullmq: ["QUEUE_URL", "QUEUE_PREFIX"], qstash: ["QUEUE_PREFIX"], inngest: ["QUEUE_PREFIX", "INNGEST_ENV"] },
  local: { directory: ["LOCAL_PATH"] },
};
