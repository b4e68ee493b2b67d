/** `bases` at vendors: prod's resource bears another name than forkstack would give it. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { parseEnv } from "node:util";
import { openStack } from "../../mod.ts";
import { serveAws } from "../emulators/aws_s3.ts";
import { startDoppler } from "../emulators/doppler.ts";
import { startMariaDb, whyNoMariaDb } from "../emulators/mariadb_server.ts";
import { startNeon } from "../emulators/neon.ts";
import { startPlanetScale } from "../emulators/planetscale.ts";
import { VitessData } from "../emulators/planetscale_data.ts";
import { startTurso } from "../emulators/turso.ts";
import { startVault } from "../emulators/vault.ts";
import { Server, WHY_NO_SERVER } from "../emulators/redis_server.ts";
import { testIf } from "../helpers.ts";
import { NOTES, server, whyNot } from "../providers/_neon.ts";
import { seed } from "../providers/_planetscale.ts";
import { contentsOf, put } from "../providers/_s3.ts";
import { seedFile } from "../providers/_turso.ts";
import { NET, Place, run } from "./run.ts";

/** A stack whose prod is at the vendor under a name of its own. */
interface Opened {
  readonly config: Readonly<Record<string, unknown>>;
  readonly env: Readonly<Record<string, string>>;
  /** A variable of prod, and what it holds then. */
  readonly variable: string;
  readonly holds: RegExp;
  /** True if the provider has `reset`. */
  readonly resets: boolean;
  /** Returns the vendor's resource of prod. */
  readonly base: () => unknown;
  /** The fork's parent, as the vendor tells it, is prod's. */
  readonly isForked?: () => unknown;
}

/** Opens an emulator; what it takes along is closed by `defer`. */
type Open = (place: Place, defer: <T extends AsyncDisposable>(one: T) => T) => Promise<Opened>;

const STACKS: Readonly<
  Record<string, { readonly missing?: string | undefined; readonly base: string; readonly open: Open }>
> = {
  turso: {
    base: "store_live",
    async open(place, defer) {
      const turso = defer(await startTurso({ organization: "acme", tokens: { "a.b.c": undefined } }));
      const file = join(place.above, "seed.db");
      seedFile(file);
      turso.add("store_live", file);
      const { id } = turso.databases.get("store_live")!;
      return {
        config: { database: { provider: "turso", organization: "acme", endpoint: turso.url } },
        env: { TURSO_API_TOKEN: "a.b.c" },
        variable: "DATABASE_URL",
        holds: /\/store_live\//,
        resets: false,
        base: () => turso.databases.get("store_live")?.id === id,
        isForked: () => turso.databases.get("shop-alice")!.parent?.id === id,
      };
    },
  },
  neon: {
    missing: whyNot,
    base: "live/2026",
    async open(_place, defer) {
      const neon = defer(await startNeon(server!, { keys: { napi: {} } }));
      const createdAt = Date.now() - 3_600_000;
      const main = await neon.add("production", { isDefault: true, databases: { neondb: NOTES }, createdAt });
      const live = await neon.add("live/2026", { parent: main, createdAt });
      return {
        config: { database: { provider: "neon", projectId: neon.project, endpoint: neon.url } },
        env: { NEON_API_KEY: "napi" },
        variable: "DATABASE_URL",
        holds: new RegExp(
          neon.uriOf(live, { pooled: true }).replace("postgres:", "postgresql:").replace(/[.*+?^${}()|[\]\\]/g, "\\$&"),
        ),
        resets: false,
        base: () => neon.branch("live/2026").id === live.id,
        isForked: () => neon.branch("shop-alice").parentId === live.id,
      };
    },
  },
  planetscale: {
    missing: whyNoMariaDb(),
    base: "live",
    async open(_place, defer) {
      const data = defer(await VitessData.open(defer(await startMariaDb()), "store"));
      const scope = { organization: "acme", database: "store" };
      const planetscale = defer(await startPlanetScale({ ...scope, tokens: { "id:token": undefined }, data }));
      const main = await planetscale.add("main", {}, false);
      planetscale.made.add(main.id);
      await seed(data, main.id);
      await planetscale.add("live");
      return {
        config: { database: { provider: "planetscale", ...scope, endpoint: planetscale.url } },
        env: { PLANETSCALE_SERVICE_TOKEN_ID: "id", PLANETSCALE_SERVICE_TOKEN: "token" },
        variable: "DATABASE_URL",
        holds: /^mysql:/,
        resets: false,
        base: () => true,
        isForked: () => JSON.stringify(planetscale.branches.get("shop-alice")).includes('"live"'),
      };
    },
  },
  s3: {
    base: "acme-uploads",
    async open(_place, defer) {
      const { directory, endpoint, region, credentials } = defer(await serveAws());
      await put(directory, "acme-uploads", { "a/b": "of prod" });
      return {
        config: { storage: { provider: "s3", region, endpoint } },
        env: { AWS_ACCESS_KEY_ID: credentials.accessKeyId, AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey },
        variable: "BUCKET_NAME",
        holds: /^acme-uploads$/,
        resets: false,
        base: () => contentsOf(directory, "acme-uploads"),
      };
    },
  },
  doppler: {
    base: "stg",
    async open(_place, defer) {
      const doppler = defer(await startDoppler({ project: "shop", tokens: ["dp.sa.token"] }));
      doppler.config("stg")!.secrets.set("API_KEY", "of stg");
      return {
        config: { secrets: { provider: "doppler", project: "shop", endpoint: doppler.url } },
        env: { DOPPLER_TOKEN: "dp.sa.token" },
        variable: "DOPPLER_CONFIG",
        holds: /^stg$/,
        resets: true,
        base: () => [...doppler.config("stg")!.secrets],
        isForked: () => doppler.config("stg_alice")?.secrets.get("API_KEY") === "of stg",
      };
    },
  },
  vault: {
    base: "live",
    async open(_place, defer) {
      const vault = defer(await startVault({ tokens: { "hvs.token": Infinity } }));
      vault.put("shop/live/API_KEY", { value: "of live" });
      return {
        config: { secrets: { provider: "vault", endpoint: vault.url } },
        env: { VAULT_TOKEN: "hvs.token" },
        variable: "VAULT_SECRETS_PATH",
        holds: /^secret\/shop\/live$/,
        resets: true,
        base: () => vault.dataOf("shop/live/API_KEY"),
        isForked: () => vault.dataOf("shop/alice/API_KEY")?.value === "of live",
      };
    },
  },
  valkey: {
    missing: WHY_NO_SERVER,
    base: "3",
    async open(_place, defer) {
      const redis = defer(await Server.start());
      await redis.admin.select(3);
      await redis.admin.set("a", "of prod");
      return {
        config: { cache: { provider: "valkey" } },
        env: { VALKEY_URL: redis.url() },
        variable: "CACHE_URL",
        holds: /\/3$/,
        resets: false,
        base: async () => await redis.admin.get("a"),
      };
    },
  },
};

for (const [name, { missing, base, open }] of Object.entries(STACKS)) {
  testIf(
    missing,
    `${name}: prod is "${base}": new, reset, switch prod, status and delete, which leaves it`,
    async () => {
      await using stack = new AsyncDisposableStack();
      await using place = await Place.make();
      const one = await open(place, (opened) => stack.use(opened));
      const config = Object.fromEntries(
        Object.entries(one.config).map(([kind, entry]) => [kind, {
          ...entry as object,
          bases: { prod: name === "valkey" ? Number(base) : base },
        }]),
      );
      await place.write("forkstack.json", JSON.stringify({ project: "shop", parent: "prod", ...config }));
      const cli = async (...args: string[]) => {
        const { code, stdout, stderr } = await run(place.root, args, { env: one.env, allow: NET });
        assert.equal(code, 0, `${args.join(" ")}: ${stdout}${stderr}`);
        return args.includes("--json") ? JSON.parse(stdout).data : undefined;
      };
      const before = await one.base();
      await cli("new", "alice", "--json");
      assert.notEqual(await one.isForked?.(), false);
      const alice = parseEnv((await place.read(".env.local"))!)[one.variable];
      if (one.resets) await cli("reset", "alice", "--yes");
      await cli("switch", "prod");
      const prod = parseEnv((await place.read(".env.local"))!)[one.variable]!;
      assert.match(prod, one.holds);
      assert.notEqual(alice, prod);
      const { resources } = await cli("status", "prod", "--json");
      assert.deepEqual(resources.map(({ title }: { title: string }) => title), [base]);
      assert.deepEqual((await cli("list", "--json")).environments.map((each: { name: string }) => each.name), [
        "alice",
      ]);
      if (name === "s3") {
        const app = openStack({ cwd: place.root, read: (key) => key === "FORKSTACK_ENV" ? "prod" : undefined });
        assert.equal(app.of("storage", "BUCKET_NAME"), base);
      }
      await cli("delete", "alice", "--yes");
      assert.deepEqual(await one.base(), before);
    },
  );
}

Deno.test("a base whose name another stack's fork bears is FOREIGN, to fork and to use", async () => {
  await using shared = await serveAws();
  const { directory, endpoint, region, credentials } = shared;
  await put(directory, "other-bucket-prod", { "a": "of another stack" });
  const env = { AWS_ACCESS_KEY_ID: credentials.accessKeyId, AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey };
  const storage = { provider: "s3", region, endpoint };
  const cli = async (place: Place, ...args: string[]) => {
    return JSON.parse((await run(place.root, [...args, "--json"], { env, allow: NET })).stdout);
  };
  await using other = await Place.make({ project: "other", parent: "prod", storage });
  assert.equal((await cli(other, "new", "alice")).ok, true);
  await using place = await Place.make({
    parent: "prod",
    storage: { ...storage, bases: { prod: "other-bucket-alice" } },
  });
  for (const args of [["new", "bob"], ["switch", "prod"]]) {
    assert.equal((await cli(place, ...args)).error?.code, "FOREIGN", args.join(" "));
  }
  assert.deepEqual(await contentsOf(directory, "other-bucket-alice"), await contentsOf(directory, "other-bucket-prod"));
});
