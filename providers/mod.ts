/** The built-in providers: what forkstack.json calls each is the name of its file, in the directory of its kind. */
import { load } from "../core/system/lazy.ts";
import type { Catalog, Identities, Presets } from "../core/catalog.ts";
import type { Kind, Teller } from "../core/provider.ts";
import { KINDS } from "../mod.ts";

/** Loads each provider, by kind and name. */
export const PROVIDERS: Catalog["providers"] = {
  // generated
  database: providers("database", "sqlite", "turso", "neon", "planetscale", "supabase", "postgres", "mysql"),
  storage: providers("storage", "local", "r2", "s3", "tigris"),
  secrets: providers("secrets", "env-file", "doppler", "vault", "aws-secrets"),
  cache: providers("cache", "valkey", "upstash-redis", "redis-cloud"),
  queue: providers("queue", "bullmq", "qstash", "inngest"),
  local: providers("local", "directory"),
  // end
};

/** All of them, as the command line takes them. */
export const CATALOG: Catalog = { providers: PROVIDERS, presets, teller, identities };

function providers(kind: Kind, ...names: string[]): Catalog["providers"][Kind] {
  return Object.fromEntries(names.map((name) => [name, () => load(`providers/${kind}/${name}.ts`)]));
}

async function teller(kind: Kind, name: string): Promise<Teller | undefined> {
  if (KINDS[kind].embedded?.provider !== name) return undefined;
  const { embeddedTeller } = await load<typeof import("./_shared/embedded_look.ts")>(
    "providers/_shared/embedded_look.ts",
  );
  return embeddedTeller({ name, kind });
}

async function presets(): Promise<Presets> {
  const { EMBEDDED_CLIENTS, SERVERS, STACKS } = await load<typeof import("./presets.ts")>("providers/presets.ts");
  const { QUESTIONS } = await load<typeof import("./questions.ts")>("providers/questions.ts");
  return { stacks: STACKS, servers: SERVERS, embeddedClients: EMBEDDED_CLIENTS, questions: QUESTIONS };
}

async function identities(): Promise<Identities> {
  return (await load<typeof import("./identities.ts")>("providers/identities.ts")).IDENTITIES;
}
