/**
 * Where the compiler of a binary begins: cli.ts, and as literal imports, which are all that a compiler sees, what is
 * otherwise loaded from beside it when it is needed (load.ts). tests/runtime/load_test.ts holds the list.
 */
import { carry } from "./load.ts";

carry({
  "core/commands/completions.ts": () => import("./commands/completions.ts"),
  "core/commands/delete.ts": () => import("./commands/delete.ts"),
  "core/commands/doctor.ts": () => import("./commands/doctor.ts"),
  "core/commands/init.ts": () => import("./commands/init.ts"),
  "core/commands/lease.ts": () => import("./commands/lease.ts"),
  "core/commands/new.ts": () => import("./commands/new.ts"),
  "core/commands/permissions.ts": () => import("./commands/permissions.ts"),
  "core/commands/reset.ts": () => import("./commands/reset.ts"),
  "core/commands/run.ts": () => import("./commands/run.ts"),
  "core/commands/secrets.ts": () => import("./commands/secrets.ts"),
  "core/commands/serve.ts": () => import("./commands/serve.ts"),
  "core/commands/show.ts": () => import("./commands/show.ts"),
  "core/commands/switch.ts": () => import("./commands/switch.ts"),
  "core/complete.ts": () => import("./complete.ts"),
  "core/custom.ts": () => import("./custom.ts"),
  "core/distance.ts": () => import("./distance.ts"),
  "core/help.ts": () => import("./help.ts"),
  "core/http.ts": () => import("./http.ts"),
  "core/libsql.ts": () => import("./libsql.ts"),
  "core/questions.ts": () => import("./questions.ts"),
  "core/schema.ts": () => import("./schema.ts"),
  "core/words.ts": () => import("./words.ts"),
  "providers/cache/redis-cloud.ts": () => import("../providers/cache/redis-cloud.ts"),
  "providers/cache/upstash-redis.ts": () => import("../providers/cache/upstash-redis.ts"),
  "providers/cache/valkey.ts": () => import("../providers/cache/valkey.ts"),
  "providers/database/neon.ts": () => import("../providers/database/neon.ts"),
  "providers/database/planetscale.ts": () => import("../providers/database/planetscale.ts"),
  "providers/database/postgres.ts": () => import("../providers/database/postgres.ts"),
  "providers/database/sqlite.ts": () => import("../providers/database/sqlite.ts"),
  "providers/database/supabase.ts": () => import("../providers/database/supabase.ts"),
  "providers/database/turso.ts": () => import("../providers/database/turso.ts"),
  "providers/local/directory.ts": () => import("../providers/local/directory.ts"),
  "providers/queue/bullmq.ts": () => import("../providers/queue/bullmq.ts"),
  "providers/queue/inngest.ts": () => import("../providers/queue/inngest.ts"),
  "providers/queue/qstash.ts": () => import("../providers/queue/qstash.ts"),
  "providers/secrets/aws-secrets.ts": () => import("../providers/secrets/aws-secrets.ts"),
  "providers/secrets/doppler.ts": () => import("../providers/secrets/doppler.ts"),
  "providers/secrets/env-file.ts": () => import("../providers/secrets/env-file.ts"),
  "providers/secrets/vault.ts": () => import("../providers/secrets/vault.ts"),
  "providers/storage/local.ts": () => import("../providers/storage/local.ts"),
  "providers/storage/r2.ts": () => import("../providers/storage/r2.ts"),
  "providers/storage/s3.ts": () => import("../providers/storage/s3.ts"),
  "providers/storage/tigris.ts": () => import("../providers/storage/tigris.ts"),
});

await import("../cli.ts");
