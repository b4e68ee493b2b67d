/** The built-in providers: what forkstack.json calls each is the name of its file, in the directory of its kind. */
import { load } from "../core/system/lazy.ts";
import type { Kind, Provider } from "../core/provider.ts";
import { EMBEDDED_STACK } from "../mod.ts";

// deno-lint-ignore no-explicit-any -- each provider has its own options' type
type Load = () => Promise<{ readonly default: Provider<any> }>;

/** What loads each provider, by kind and name. */
export const PROVIDERS: Readonly<Record<Kind, Readonly<Record<string, Load>>>> = {
  database: providers("database", "sqlite", "turso", "neon", "planetscale", "supabase", "postgres"),
  storage: providers("storage", "local", "r2", "s3", "tigris"),
  secrets: providers("secrets", "env-file", "doppler", "vault", "aws-secrets"),
  cache: providers("cache", "valkey", "upstash-redis", "redis-cloud"),
  queue: providers("queue", "bullmq", "qstash", "inngest"),
  local: providers("local", "directory"),
};

function providers(kind: Kind, ...names: string[]): Record<string, Load> {
  return Object.fromEntries(names.map((name) => [name, () => load(`providers/${kind}/${name}.ts`)]));
}

/** Loads the look at a resource of an embedded provider without the rest of it; `undefined` for any other provider. */
export async function inspectorOf(
  kind: Kind,
  name: string,
): Promise<Pick<Provider, "name" | "kind" | "credentials" | "inspect"> | undefined> {
  if (EMBEDDED_STACK[kind] !== name) return undefined;
  return (await load<typeof import("./_shared/embedded_look.ts")>("providers/_shared/embedded_look.ts"))
    .embeddedInspector(
      name,
      kind,
    );
}
