/**
 * Caches and queues of four vendors in one environment, from the command line to the application's clients, against the
 * emulators.
 */
import assert from "node:assert/strict";
import { parseEnv } from "node:util";
import { Redis } from "npm:ioredis@6.0.0";
import { Inngest } from "../emulators/inngest.ts";
import { QStash } from "../emulators/qstash.ts";
import { RedisCloud } from "../emulators/redis-cloud.ts";
import { Databases } from "../emulators/redis_databases.ts";
import { WHY_NO_SERVER } from "../emulators/redis_server.ts";
import { serve } from "../emulators/serve.ts";
import { Upstash } from "../emulators/upstash-redis.ts";
import { testIf } from "../helpers.ts";
import { seed as seedQueue, thingsOf } from "../providers/_qstash.ts";
import { seed } from "../providers/_redis_seed.ts";
import { type Ended, NET, Place, run } from "./run.ts";

const env = {
  UPSTASH_EMAIL: "ada@shop.example",
  UPSTASH_API_KEY: "canary-upstash-key",
  REDISCLOUD_ACCESS_KEY: "canary-access-key",
  REDISCLOUD_SECRET_KEY: "canary-secret-key",
  QSTASH_TOKEN: "canary-qstash-token",
  INNGEST_API_KEY: "canary-inngest-key",
};

async function cli(place: Place, ...args: string[]): Promise<Ended> {
  return await run(place.root, args, { env, allow: NET });
}

testIf(WHY_NO_SERVER, "two caches and two queues: new, switch, status, doctor, delete", async () => {
  const real = await Databases.start();
  const upstash = new Upstash(real, { email: env.UPSTASH_EMAIL, keys: { [env.UPSTASH_API_KEY]: true } });
  const cloud = new RedisCloud(real, { accessKey: env.REDISCLOUD_ACCESS_KEY, secretKey: env.REDISCLOUD_SECRET_KEY });
  const qstash = new QStash({ tokens: { [env.QSTASH_TOKEN]: true } });
  const inngest = new Inngest({ keys: { [env.INNGEST_API_KEY]: true } });
  const servers = await Promise.all(
    [upstash, cloud, qstash, inngest].map((one) => serve(() => one)),
  );
  const [upstashUrl, cloudUrl, qstashUrl, inngestUrl] = servers.map(({ url }) => url);
  try {
    await using place = await Place.make({
      project: "shop",
      parent: "prod",
      cache: {
        pages: { provider: "upstash-redis", endpoint: upstashUrl },
        sessions: { provider: "redis-cloud", subscription: 1206, endpoint: cloudUrl },
      },
      queue: {
        hooks: { provider: "qstash", destination: "https://{env}.shop.example", endpoint: qstashUrl },
        events: { provider: "inngest", endpoint: inngestUrl },
      },
    });
    await place.trust(); // the destination
    await seed(real, upstash.add("shop-pages"));
    await seed(real, cloud.add("shop-sessions"));
    seedQueue(qstash, "shop-hooks");
    const read = async () => parseEnv((await place.read(".env.local"))!);

    const made = await cli(place, "new", "alice", "--json");
    assert.equal(made.code, 0, made.stdout + made.stderr);
    const { resources } = JSON.parse(made.stdout).data;
    const shown = resources.map((one: Record<string, string>) => [one.title, one.fork, one.state]).sort();
    assert.deepEqual(shown, [
      ["shop-events-alice", "empty", "ready"],
      ["shop-hooks-alice", "schema-only", "ready"],
      ["shop-pages-alice", "full-copy", "ready"],
      ["shop-sessions-alice", "full-copy", "ready"],
    ]);
    const alice = await read();
    for (const name of ["PAGES_CACHE_URL", "SESSIONS_CACHE_URL"]) {
      const client = new Redis(alice[name]!, { lazyConnect: true });
      assert.equal(await client.hget("user:1", "name"), "Ada", name);
      await client.set("mine", "1");
      client.disconnect();
    }
    assert.match(alice.PAGES_UPSTASH_REDIS_REST_URL!, /^http:\/\/127\.0\.0\.1:\d+$/);
    assert.deepEqual([alice.HOOKS_QUEUE_PREFIX, alice.EVENTS_INNGEST_ENV], ["shop-hooks-alice.", "shop-events-alice"]);

    const switched = await cli(place, "switch", "prod", "--json");
    assert.equal(switched.code, 0, switched.stdout + switched.stderr);
    const prod = await read();
    assert.deepEqual([prod.HOOKS_QUEUE_PREFIX, prod.EVENTS_INNGEST_ENV], ["shop-hooks.", "Production"]);
    for (const name of ["PAGES_CACHE_URL", "SESSIONS_CACHE_URL"]) {
      assert.notEqual(prod[name], alice[name]);
      const client = new Redis(prod[name]!, { lazyConnect: true });
      assert.equal(await client.exists("mine"), 0);
      client.disconnect();
    }

    const status = await cli(place, "status", "alice", "--json");
    assert.equal(JSON.parse(status.stdout).data.environment.status, "ready", status.stdout);
    const doctor = await cli(place, "doctor", "--json");
    assert.deepEqual(JSON.parse(doctor.stdout).data.findings, [], doctor.stdout);

    const deleted = await cli(place, "delete", "alice", "--yes", "--json");
    assert.equal(deleted.code, 0, deleted.stdout + deleted.stderr);
    assert.deepEqual([...upstash.databases.values()].map(({ name }) => name), ["shop-pages"]);
    assert.deepEqual([...cloud.databases.values()].map(({ name }) => name), ["shop-sessions"]);
    assert(![...thingsOf(qstash).keys()].some((name) => name.includes("alice")));
    assert.equal(inngest.named("shop-events-alice"), undefined);
    assert.equal(upstash.backups.size, 0);
    const secrets = [...Object.values(env).filter((value) => value.startsWith("canary")), qstash.keys.current];
    for (const { stdout, stderr } of [made, switched, status, doctor, deleted]) {
      for (const secret of secrets) assert(!(stdout + stderr).includes(secret), "a secret shows");
    }
  } finally {
    for (const server of servers) await server.close();
    await upstash.close();
    await cloud.close();
    await real.close();
  }
});
