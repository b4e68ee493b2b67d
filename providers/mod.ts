/** The built-in providers: the name in forkstack.json -> its file. Literal imports: compilers and bundlers must see them. */
import type { Kind, Provider } from "../core/provider.ts";

// deno-lint-ignore no-explicit-any -- each provider has its own options' type
type Load = () => Promise<{ readonly default: Provider<any> }>;

/** What loads each provider, by kind and name. */
export const PROVIDERS: Readonly<Record<Kind, Readonly<Record<string, Load>>>> = {
  database: {
    planetscale: () => import("./database/planetscale.ts"),
    postgres: () => import("./database/postgres.ts"),
    neon: () => import("./database/neon.ts"),
    sqlite: () => import("./database/sqlite.ts"),
    supabase: () => import("./database/supabase.ts"),
    turso: () => import("./database/turso.ts"),
  },
  storage: { local: () => import("./storage/local.ts") },
  secrets: { "env-file": () => import("./secrets/env-file.ts") },
  cache: {
    "redis-cloud": () => import("./cache/redis-cloud.ts"),
    "upstash-redis": () => import("./cache/upstash-redis.ts"),
    valkey: () => import("./cache/valkey.ts"),
  },
  queue: {
    bullmq: () => import("./queue/bullmq.ts"),
    inngest: () => import("./queue/inngest.ts"),
    qstash: () => import("./queue/qstash.ts"),
  },
  secrets: {
    "aws-secrets": () => import("./secrets/aws-secrets.ts"),
    doppler: () => import("./secrets/doppler.ts"),
    vault: () => import("./secrets/vault.ts"),
    "env-file": () => import("./secrets/env-file.ts"),
  },
  cache: { valkey: () => import("./cache/valkey.ts") },
  queue: { bullmq: () => import("./queue/bullmq.ts") },
  local: { directory: () => import("./local/directory.ts") },
};
