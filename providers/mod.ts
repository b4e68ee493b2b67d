/** The built-in providers: the name in forkstack.json -> its file. Literal imports: compilers and bundlers must see them. */
import type { Kind, Provider } from "../core/provider.ts";

// deno-lint-ignore no-explicit-any -- each provider has its own options' type
type Load = () => Promise<{ readonly default: Provider<any> }>;

/** What loads each provider, by kind and name. */
export const PROVIDERS: Readonly<Record<Kind, Readonly<Record<string, Load>>>> = {
  database: {
    sqlite: () => import("./database/sqlite.ts"),
    turso: () => import("./database/turso.ts"),
    neon: () => import("./database/neon.ts"),
    planetscale: () => import("./database/planetscale.ts"),
    supabase: () => import("./database/supabase.ts"),
    postgres: () => import("./database/postgres.ts"),
  },
  storage: {
    local: () => import("./storage/local.ts"),
    r2: () => import("./storage/r2.ts"),
    s3: () => import("./storage/s3.ts"),
    tigris: () => import("./storage/tigris.ts"),
  },
  secrets: {
    "env-file": () => import("./secrets/env-file.ts"),
    doppler: () => import("./secrets/doppler.ts"),
    vault: () => import("./secrets/vault.ts"),
    "aws-secrets": () => import("./secrets/aws-secrets.ts"),
  },
  cache: {
    valkey: () => import("./cache/valkey.ts"),
    "upstash-redis": () => import("./cache/upstash-redis.ts"),
    "redis-cloud": () => import("./cache/redis-cloud.ts"),
  },
  queue: {
    bullmq: () => import("./queue/bullmq.ts"),
    qstash: () => import("./queue/qstash.ts"),
    inngest: () => import("./queue/inngest.ts"),
  },
  local: {
    directory: () => import("./local/directory.ts"),
  },
};
