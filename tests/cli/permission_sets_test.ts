/**
 * Each provider from `new` to `delete` under exactly the set of permissions that `permissions` prints for it, in processes
 * of their own, against its emulator or a real server; and with any host or program less, not.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import type { Kind } from "../../core/provider.ts";
import { PROVIDERS } from "../../providers/mod.ts";
import { serveAws } from "../emulators/aws_s3.ts";
import { startAws } from "../emulators/aws_secrets.ts";
import { startDoppler } from "../emulators/doppler.ts";
import { Inngest } from "../emulators/inngest.ts";
import { startMariaDb, whyNoMariaDb } from "../emulators/mariadb_server.ts";
import { startNeon } from "../emulators/neon.ts";
import { startPlanetScale } from "../emulators/planetscale.ts";
import { VitessData } from "../emulators/planetscale_data.ts";
import { debianBinaries, npmBinaries, startServer } from "../emulators/postgres_server.ts";
import { QStash } from "../emulators/qstash.ts";
import { serveR2 } from "../emulators/r2.ts";
import { RedisCloud } from "../emulators/redis-cloud.ts";
import { Databases } from "../emulators/redis_databases.ts";
import { Server as Redis, WHY_NO_SERVER } from "../emulators/redis_server.ts";
import { serve, type Vendor } from "../emulators/serve.ts";
import { startSupabase } from "../emulators/supabase.ts";
import { serveTigris } from "../emulators/tigris.ts";
import { startTurso } from "../emulators/turso.ts";
import { Upstash } from "../emulators/upstash-redis.ts";
import { startVault } from "../emulators/vault.ts";
import { testIf } from "../helpers.ts";
import { seed as seedBranch } from "../providers/_planetscale.ts";
import { seed as seedQueue } from "../providers/_qstash.ts";
import { seed as seedCache } from "../providers/_redis_seed.ts";
import { put } from "../providers/_s3.ts";
import { seedFile } from "../providers/_turso.ts";
import { Place, useProcesses } from "./run.ts";
import { printed, under } from "./sets.ts";

useProcesses();

const debian = debianBinaries();
const npm = await npmBinaries();
const whyNoDebian = "reason" in debian ? debian.reason : undefined;
const whyNoNpm = "reason" in npm ? npm.reason : undefined;
const NOTES = "CREATE TABLE notes (id serial PRIMARY KEY, text text NOT NULL)";
const KEYS = { AWS_ACCESS_KEY_ID: "test-key", AWS_SECRET_ACCESS_KEY: "test-secret" };

/** A provider's vendor, with a parent there. */
interface Ready {
  readonly options?: object;
  readonly env?: Readonly<Record<string, string>>;
}

interface Case {
  readonly kind: Kind;
  readonly name: string;
  /** Where a provider has several cases. */
  readonly how?: string;
  /** Why it can't be run here. */
  readonly missing?: string | undefined;
  /** Starts the vendor; what it gives to `defer` is ended with the test. */
  open(defer: <Thing extends AsyncDisposable>(thing: Thing) => Thing, place: Place): Promise<Ready>;
}

async function vendor<One extends Vendor>(defer: (thing: AsyncDisposable) => unknown, one: One): Promise<string> {
  const served = await serve(() => one);
  defer(served);
  return served.url;
}

const redis = (variable: string): Case["open"] => async (defer) => {
  const server = defer(await Redis.start());
  return { env: { [variable]: server.url() } };
};

const postgres = (options: object): Case["open"] => async (defer) => {
  const server = defer(await startServer((debian as { bin: string }).bin));
  await server.query("CREATE DATABASE shop");
  await server.query("REVOKE CONNECT ON DATABASE shop FROM PUBLIC");
  await server.query(NOTES, "shop");
  return { options, env: { POSTGRES_URL: server.url() } };
};

const CASES: readonly Case[] = [
  { kind: "database", name: "sqlite", open: () => Promise.resolve({}) },
  { kind: "storage", name: "local", open: () => Promise.resolve({}) },
  { kind: "secrets", name: "env-file", open: () => Promise.resolve({}) },
  {
    kind: "local",
    name: "directory",
    async open(_defer, place) {
      await place.write("shop.prod.db/data", "of prod");
      return {};
    },
  },
  // Without a strategy a dump is made only of a parent in use.
  { kind: "database", name: "postgres", how: "by dump", missing: whyNoDebian, open: postgres({ strategy: "dump" }) },
  {
    kind: "database",
    name: "postgres",
    how: "by template",
    missing: whyNoDebian,
    open: postgres({ strategy: "template" }),
  },
  {
    kind: "database",
    name: "turso",
    async open(defer, place) {
      const token = "header.platform-canary.token";
      const turso = defer(await startTurso({ organization: "acme", tokens: { [token]: undefined } }));
      seedFile(join(place.above, "seed.db"));
      turso.add("shop", join(place.above, "seed.db"));
      return { options: { organization: "acme", endpoint: turso.url }, env: { TURSO_API_TOKEN: token } };
    },
  },
  {
    kind: "database",
    name: "neon",
    missing: whyNoNpm,
    async open(defer) {
      const server = defer(await startServer((npm as { bin: string }).bin));
      const neon = defer(await startNeon(server, { keys: { napi_canary: {} } }));
      await neon.add("production", {
        isDefault: true,
        databases: { neondb: NOTES },
        createdAt: Date.now() - 3_600_000,
      });
      return { options: { projectId: neon.project, endpoint: neon.url }, env: { NEON_API_KEY: "napi_canary" } };
    },
  },
  {
    kind: "database",
    name: "planetscale",
    missing: whyNoMariaDb(),
    async open(defer) {
      const data = defer(await VitessData.open(defer(await startMariaDb()), "store"));
      const scope = { organization: "acme", database: "store" };
      const planetscale = defer(await startPlanetScale({ ...scope, tokens: { "id:token": undefined }, data }));
      const main = await planetscale.add("main", {}, false);
      planetscale.made.add(main.id);
      await seedBranch(data, main.id);
      const env = { PLANETSCALE_SERVICE_TOKEN_ID: "id", PLANETSCALE_SERVICE_TOKEN: "token" };
      return { options: { ...scope, withData: true, endpoint: planetscale.url }, env };
    },
  },
  {
    kind: "database",
    name: "supabase",
    missing: whyNoDebian,
    async open(defer) {
      const server = defer(await startServer((debian as { bin: string }).bin));
      const projectRef = "abcdefghijklmnopqrst";
      const [token, password] = ["sbp_0123456789abcdef0123456789abcdef01234567", "canary-project-password"];
      const supabase = defer(await startSupabase({ server, projectRef, tokens: { [token]: undefined }, password }));
      await supabase.fill(NOTES);
      const env = { SUPABASE_ACCESS_TOKEN: token, SUPABASE_DB_PASSWORD: password };
      return { options: { projectRef, withData: true, endpoint: supabase.url }, env };
    },
  },
  {
    kind: "storage",
    name: "s3",
    async open(defer) {
      const { directory, endpoint, region, credentials } = defer(await serveAws());
      await put(directory, "shop-bucket-prod", { "a/b": "of prod" });
      const env = {
        AWS_ACCESS_KEY_ID: credentials.accessKeyId,
        AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
      };
      return { options: { region, endpoint }, env };
    },
  },
  {
    kind: "storage",
    name: "tigris",
    async open(defer) {
      const { directory, endpoint, kinds } = defer(await serveTigris());
      await put(directory, "shop-bucket-prod", { "a/b": "of prod" });
      kinds.set("shop-bucket-prod", {});
      return { options: { endpoint, iamEndpoint: endpoint }, env: KEYS };
    },
  },
  {
    kind: "storage",
    name: "r2",
    async open(defer) {
      const { directory, endpoint, url } = defer(await serveR2());
      await put(directory, "shop-bucket-prod", { "a/b": "of prod" });
      const options = { account: "0123456789abcdef0123456789abcdef", endpoint: url, s3Endpoint: endpoint };
      return { options, env: { CLOUDFLARE_API_TOKEN: "test-token", R2_ACCESS_KEY_ID: "test-id" } };
    },
  },
  {
    kind: "secrets",
    name: "doppler",
    async open(defer) {
      const token = "dp.sa.canary-0123456789";
      const doppler = defer(await startDoppler({ project: "shop", tokens: [token] }));
      doppler.config("prd")!.secrets.set("API_KEY", "live");
      return { options: { project: "shop", endpoint: doppler.url }, env: { DOPPLER_TOKEN: token } };
    },
  },
  {
    kind: "secrets",
    name: "vault",
    async open(defer) {
      const vault = defer(await startVault({ tokens: { "hvs.canary": Infinity } }));
      vault.put("shop/prod/A", { value: "live" });
      return { options: { endpoint: vault.url }, env: { VAULT_TOKEN: "hvs.canary" } };
    },
  },
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
  { kind: "cache", name: "valkey", missing: WHY_NO_SERVER, open: redis("VALKEY_URL") },
  { kind: "queue", name: "bullmq", missing: WHY_NO_SERVER, open: redis("BULLMQ_URL") },
  {
    kind: "cache",
    name: "upstash-redis",
    missing: WHY_NO_SERVER,
    async open(defer) {
      const real = await Databases.start();
      defer({ [Symbol.asyncDispose]: () => real.close() });
      const upstash = new Upstash(real, { email: "ada@shop.example", keys: { "canary-key": true } });
      await seedCache(real, upstash.add("shop"));
      const env = { UPSTASH_EMAIL: "ada@shop.example", UPSTASH_API_KEY: "canary-key" };
      return { options: { endpoint: await vendor(defer, upstash) }, env };
    },
  },
  {
    kind: "cache",
    name: "redis-cloud",
    missing: WHY_NO_SERVER,
    async open(defer) {
      const real = await Databases.start();
      defer({ [Symbol.asyncDispose]: () => real.close() });
      const cloud = new RedisCloud(real, { accessKey: "canary-access", secretKey: "canary-secret" });
      await seedCache(real, cloud.add("shop"));
      const env = { REDISCLOUD_ACCESS_KEY: "canary-access", REDISCLOUD_SECRET_KEY: "canary-secret" };
      return { options: { subscription: 1206, endpoint: await vendor(defer, cloud) }, env };
    },
  },
  {
    kind: "queue",
    name: "qstash",
    async open(defer) {
      const qstash = new QStash({ tokens: { "canary-token": true } });
      seedQueue(qstash, "shop");
      const options = { destination: "https://{env}.shop.example", endpoint: await vendor(defer, qstash) };
      return { options, env: { QSTASH_TOKEN: "canary-token" } };
    },
  },
  {
    kind: "queue",
    name: "inngest",
    async open(defer) {
      const endpoint = await vendor(defer, new Inngest({ keys: { "canary-key": true } }));
      return { options: { endpoint }, env: { INNGEST_API_KEY: "canary-key" } };
    },
  },
];

const LIFE: readonly (readonly string[])[] = [
  ["trust", "--yes"],
  ["new", "alice", "--ttl", "2d"],
  ["status", "alice"],
  ["list"],
  ["reset", "alice", "--yes"],
  ["switch", "prod"],
  ["doctor"],
  ["delete", "alice", "--yes"],
];

Deno.test("each provider has a case here", () => {
  const all = Object.entries(PROVIDERS).flatMap(([kind, of]) => Object.keys(of).map((name) => `${kind} ${name}`));
  assert.deepEqual([...new Set(CASES.map(({ kind, name }) => `${kind} ${name}`))].sort(), all.sort());
});

for (const { kind, name, how, missing, open } of CASES) {
  const subject = [kind, name, how].filter(Boolean).join(" ");
  testIf(missing, `${subject}: works under the set that is printed, and not with a host or program less`, async () => {
    await using ended = new AsyncDisposableStack();
    const place = ended.use(await Place.make());
    const { options = {}, env = {} } = await open((thing) => ended.use(thing), place);
    await place.write(
      "forkstack.json",
      JSON.stringify({ project: "shop", parent: "prod", [kind]: { provider: name, ...options } }),
    );
    const { set } = await printed(place, env);
    const { default: provider } = await PROVIDERS[kind][name]!();
    for (const args of LIFE) {
      if (args[0] === "reset" && provider.reset === undefined) continue;
      const { code, stdout, stderr } = await under(set, place, args, env);
      assert.equal(code, 0, `${args.join(" ")}: ${stdout}${stderr}`);
    }
    const less = [
      ...(set.net ?? []).map((one) => [one, { ...set, net: set.net!.filter((host) => host !== one) }] as const),
      ...set.run.filter((one) => !/^(cp|git)$/.test(one))
        .map((one) => [one, { ...set, run: set.run.filter((program) => program !== one) }] as const),
    ];
    for (const [one, narrow] of less) {
      const { code, stdout, stderr } = await under(narrow, place, ["new", "bob"], env);
      assert.equal(code, 2, `without ${one}: ${stdout}${stderr}`);
      assert.match(stderr, new RegExp(one.replaceAll(".", "\\.")), `without ${one}`);
    }
  });
}
