/** The built-in providers: what forkstack.json calls each is the name of its file, in the directory of its kind. */
import { load } from "../core/system/lazy.ts";
import type { Catalog, Inspector, Kind, Presets } from "../core/provider.ts";
import { EMBEDDED_STACK } from "../mod.ts";

/** Loads each provider, by kind and name. */
export const PROVIDERS: Catalog["providers"] = {
  database: providers("database", "sqlite", "turso", "neon", "planetscale", "supabase", "postgres"),
  storage: providers("storage", "local", "r2", "s3", "tigris"),
  secrets: providers("secrets", "env-file", "doppler", "vault", "aws-secrets"),
  cache: providers("cache", "valkey", "upstash-redis", "redis-cloud"),
  queue: providers("queue", "bullmq", "qstash", "inngest"),
  local: providers("local", "directory"),
};

/** All of them, as the command line takes them. */
export const CATALOG: Catalog = { providers: PROVIDERS, inspector, presets };

function providers(kind: Kind, ...names: string[]): Catalog["providers"][Kind] {
  return Object.fromEntries(names.map((name) => [name, () => load(`providers/${kind}/${name}.ts`)]));
}

async function inspector(kind: Kind, name: string): Promise<Inspector | undefined> {
  if (EMBEDDED_STACK[kind] !== name) return undefined;
  const { embeddedInspector } = await load<typeof import("./_shared/embedded_look.ts")>(
    "providers/_shared/embedded_look.ts",
  );
  return embeddedInspector(name, kind);
}

async function presets(): Promise<Presets> {
  const { QUESTIONS, STACKS } = await load<typeof import("./presets.ts")>("providers/presets.ts");
  return { stacks: STACKS, questions: QUESTIONS };
}
