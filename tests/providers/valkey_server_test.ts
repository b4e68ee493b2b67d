/** What the suite does not see: many keys, kills, restarts, servers that can't be used. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import * as v from "npm:valibot@1.5.0";
import type { Context, Fork, Target } from "../../core/provider.ts";
import provider from "../../providers/cache/valkey.ts";
import { freePort } from "../emulators/ports.ts";
import { RESP, Server, WHY_NO_SERVER } from "../emulators/redis_server.ts";
import { TcpProxy } from "../emulators/tcp_proxy.ts";
import { run, testIf } from "../helpers.ts";
import { sized } from "../sizes.ts";
import { whyMissing } from "../tools.ts";
import { hasCode } from "./_special.ts";
import { contextOf, targetOf } from "./_redis.ts";
import { seedKeys } from "./_redis_keys.ts";

type Options = Parameters<typeof provider.probe>[2]["options"];
const schema = provider.options as v.GenericSchema<unknown, Options>;
const ISOLATIONS = ["database", "prefix"] as const;
const COUNT = sized({ gate: 20_000, full: 100_000 });

function wanted(env: string, given: unknown = {}, changed: Partial<Target<Options>> = {}): Target<Options> {
  return targetOf("cache", v.parse(schema, given), env, changed);
}

async function outputsOf(context: Context, fork: Fork, target: Target<Options>): Promise<Record<string, string>> {
  const outputs = await provider.outputs(context, fork, target);
  return Object.fromEntries(
    Object.entries(outputs).map(([name, value]) => [
      name,
      typeof value === "string" ? value : value.reveal(),
    ]),
  );
}

/** Value, expiry and stream groups of every key, by name without the prefix; the server makes the digests. */
async function digestOf({ admin }: Server, database: number, prefix: string): Promise<Map<string, string>> {
  await admin.select(database);
  const found = new Map<string, string>();
  for (let cursor = "0";;) {
    const [next, keys] = await admin.scan(cursor, "MATCH", `${prefix}*`, "COUNT", 5_000);
    const pipeline = admin.pipeline();
    for (const key of keys) {
      pipeline.call("DEBUG", "DIGEST-VALUE", key).call("PEXPIRETIME", key);
      if (key.includes("stream:")) pipeline.call("XINFO", "STREAM", key, "FULL"); // the digest knows no groups
    }
    const answers = (await pipeline.exec() ?? []).map(([, answer]) => answer);
    for (const key of keys) {
      const count = key.includes("stream:") ? 3 : 2;
      found.set(key.slice(prefix.length), JSON.stringify(answers.splice(0, count)));
    }
    cursor = next;
    if (cursor === "0") break;
  }
  await admin.select(0);
  return found;
}

function assertSame(one: Map<string, string>, other: Map<string, string>): void {
  assert.equal(one.size, other.size);
  for (const [key, digest] of one) if (other.get(key) !== digest) assert.equal(other.get(key), digest, key);
}

for (const isolation of ISOLATIONS) {
  testIf(
    WHY_NO_SERVER,
    `valkey: ${COUNT} keys of all types by ${isolation}: cut off, resumed, whole, parent as it was`,
    async () => {
      await using server = await Server.start();
      const prefix = isolation === "prefix" ? "shop.cache:" : "";
      await seedKeys(server.admin, COUNT, prefix);
      const parents = await digestOf(server, 0, prefix);
      assert.equal(parents.size, COUNT);
      let calls = 0;
      const cutAt = (isolation === "prefix" ? 3 : 1) * COUNT / 1_000; // keys are looked through first for that prefix
      await using proxy = new TcpProxy(server.port, RESP, async (what, _isChange, act) => {
        if (what === "EVAL" && ++calls === cutAt) throw new Error("cut here");
        await act();
      });
      const target = wanted("alice", { isolation });
      await assert.rejects(
        provider.create(contextOf(server.url({ port: proxy.port })), target),
        hasCode("PROVIDER_UNAVAILABLE"),
      );
      assert.equal((await provider.inspect(contextOf(server.url()), target)).state, "pending");
      const before = process.memoryUsage().rss;
      const fork = await provider.create(contextOf(server.url()), target);
      const grown = (process.memoryUsage().rss - before) / 2 ** 20;
      assert(grown < 64, `${grown} MiB for names and values that must stay in the server`);
      const { CACHE_URL, CACHE_PREFIX = "" } = await outputsOf(contextOf(server.url()), fork, target);
      const database = Number(new URL(CACHE_URL!).pathname.slice(1));
      assertSame(parents, await digestOf(server, database, CACHE_PREFIX));
      assertSame(parents, await digestOf(server, 0, prefix));
      assert.equal(await provider.delete(contextOf(server.url()), fork, target), "deleted");
      assert.deepEqual([await server.admin.dbsize(), await server.databases()], [COUNT, [0]]);
    },
  );
}

testIf(WHY_NO_SERVER, "valkey: values of 100 MB are copied within 32 MB of this process", async () => {
  await using server = await Server.start();
  for (let n = 0; n < 100; n++) await server.admin.set(`big:${n}`, "x".repeat(2 ** 20));
  const before = process.memoryUsage().rss;
  const fork = await provider.create(contextOf(server.url()), wanted("alice"));
  assert((process.memoryUsage().rss - before) / 2 ** 20 < 32, "values must not come here");
  await provider.delete(contextOf(server.url()), fork, wanted("alice"));
});

/** Runs `action` in a process of its own, which is killed at its n-th command; tells whether it came so far. */
async function killedAt(server: Server, at: number, when: "before" | "after", action: string, target: Target<Options>) {
  let commands = 0;
  const kill = async () => {
    child.kill("SIGKILL");
    await closed;
    throw new Error("it is dead");
  };
  await using proxy = new TcpProxy(server.port, RESP, async (_what, _isChange, act) => {
    const isHere = ++commands === at;
    if (isHere && when === "before") await kill();
    await act();
    if (isHere) await kill();
  });
  const script = fileURLToPath(new URL("./_redis_child.ts", import.meta.url));
  const args = ["run", "--quiet", "--no-check", "-A", script, action, "cache", "valkey", JSON.stringify(target)];
  const env = { ...process.env, VALKEY_URL: server.url({ port: proxy.port }) };
  const child = spawn(process.execPath, args, { env, stdio: ["ignore", "ignore", "inherit"] });
  const closed = once(child, "close");
  await closed;
  return commands >= at;
}

for (const isolation of ISOLATIONS) {
  testIf(
    WHY_NO_SERVER,
    `valkey: by ${isolation}, killed at each command, create() and delete() can be run again`,
    async () => {
      await using server = await Server.start();
      const prefix = isolation === "prefix" ? "shop.cache:" : "";
      await seedKeys(server.admin, 30, prefix);
      const target = wanted("alice", { isolation });
      const context = contextOf(server.url());
      const earlier = await server.things();
      let kills = 0;
      for (const action of ["create", "delete"]) {
        for (let at = 1, isReached = true; isReached; at += sized({ gate: 3, full: 1 })) {
          const when = at % 2 === 0 ? "before" : "after";
          if (action === "delete") await provider.create(context, target);
          isReached = await killedAt(server, at, when, action, target);
          if (isReached) kills++;
          const seen = await provider.inspect(context, target);
          if (at % 3 === 0 || action === "delete") {
            if ("fork" in seen) await provider.delete(context, seen.fork, target);
          } else {
            const fork = await provider.create(context, target);
            const { CACHE_URL, CACHE_PREFIX = "" } = await outputsOf(context, fork, target);
            const database = Number(new URL(CACHE_URL!).pathname.slice(1));
            assertSame(await digestOf(server, 0, prefix), await digestOf(server, database, CACHE_PREFIX));
            await provider.delete(context, fork, target);
          }
          assert.deepEqual(await server.things(), earlier, `${action}, killed ${when} command ${at}`);
        }
      }
      assert(kills > sized({ gate: 7, full: 25 }), `only ${kills} kills`);
    },
  );
}

testIf(WHY_NO_SERVER, "valkey: many environments at once never take the same logical database", async () => {
  await using server = await Server.start("--databases", "12");
  await server.admin.set("a", "1");
  const context = contextOf(server.url());
  const envs = Array.from({ length: 11 }, (_, n) => `pr-${n}`);
  const forks = await Promise.all(envs.map((env) => provider.create(context, wanted(env))));
  const urls = await Promise.all(forks.map((fork, n) => outputsOf(context, fork, wanted(envs[n]!))));
  const databases = urls.map(({ CACHE_URL }) => Number(new URL(CACHE_URL!).pathname.slice(1)));
  assert.deepEqual(databases.sort((a, b) => a - b), Array.from({ length: 11 }, (_, n) => n + 1));
  await assert.rejects(provider.create(context, wanted("pr-12")), hasCode("PLAN_LIMIT_DATABASES"));
  await provider.delete(context, forks[4]!, wanted("pr-4"));
  await provider.create(context, wanted("pr-12"));
});

testIf(WHY_NO_SERVER, "valkey: a create() that lost its right to the fork writes nothing more", async () => {
  await using server = await Server.start();
  await seedKeys(server.admin, 2_000, "");
  const earlier = await server.things();
  const held = Promise.withResolvers<void>();
  const stands = Promise.withResolvers<void>();
  await using proxy = new TcpProxy(server.port, RESP, async (what, _isChange, act) => {
    if (what === "EVAL") {
      stands.resolve();
      await held.promise;
    }
    await act();
  });
  const frozen = provider.create(contextOf(server.url({ port: proxy.port })), wanted("alice"));
  frozen.catch(() => {});
  await stands.promise;
  const context = contextOf(server.url());
  const { fork } = await provider.inspect(context, wanted("alice")) as { fork: Fork };
  assert.equal(await provider.delete(context, fork, wanted("alice")), "deleted");
  held.resolve();
  await assert.rejects(frozen, hasCode("PROVIDER_UNAVAILABLE"));
  assert.deepEqual(await server.things(), earlier);
});

testIf(
  WHY_NO_SERVER,
  "valkey: neither FLUSHALL nor a restart takes the mark; a switch makes the user again",
  async () => {
    await using server = await Server.start("--appendonly", "yes", "--appendfsync", "always");
    await server.admin.set("a", "1");
    const context = contextOf(server.url());
    const fork = await provider.create(context, wanted("alice"));
    await server.restart();
    assert.equal((await provider.inspect(context, wanted("alice"))).state, "ready");
    await assert.rejects(provider.probe(context, fork, wanted("alice")), hasCode("NOT_READY")); // users were in memory
    const { CACHE_URL } = await outputsOf(context, fork, wanted("alice"));
    await provider.probe(context, fork, wanted("alice"));
    assert(new URL(CACHE_URL!).username === "shop-alice.cache");
    await server.admin.flushall();
    assert.equal((await provider.inspect(context, wanted("alice"))).state, "ready");
    assert.equal(await provider.delete(context, fork, wanted("alice")), "deleted");
  },
);

testIf(WHY_NO_SERVER, "valkey: with an aclfile, users outlive a restart", async () => {
  const users = join(await Deno.makeTempDir(), "users.acl");
  await using server = await Server.start("--appendonly", "yes", "--appendfsync", "always");
  await server.admin.set("a", "1");
  await Deno.writeTextFile(users, `user default on >${server.password} ~* &* +@all\n`);
  await server.restart("--aclfile", users);
  const context = contextOf(server.url());
  const fork = await provider.create(context, wanted("alice"));
  await server.restart();
  await provider.probe(context, fork, wanted("alice"));
  await provider.delete(context, fork, wanted("alice"));
  assert.doesNotMatch(await Deno.readTextFile(users), /alice/);
  await Deno.remove(join(users, ".."), { recursive: true });
});

testIf(WHY_NO_SERVER, "valkey: a new password leaves the last ones, and sessions", async () => {
  await using server = await Server.start();
  const context = contextOf(server.url());
  const fork = await provider.create(context, wanted("alice", {}, { parent: undefined }));
  const urls = [];
  for (let n = 0; n < 9; n++) urls.push((await outputsOf(context, fork, wanted("alice"))).CACHE_URL!);
  const works = async (url: string) => {
    const { username, password } = new URL(url);
    const client = server.client({ username, password, retryStrategy: () => null, maxRetriesPerRequest: 0 });
    try {
      return await client.ping() === "PONG";
    } catch {
      return false;
    } finally {
      if (client.status !== "end") {
        const ended = once(client, "end");
        client.disconnect();
        await ended;
      }
    }
  };
  assert.deepEqual(await Promise.all(urls.map(works)), [false, ...Array(8).fill(true)]);
});

testIf(WHY_NO_SERVER, "valkey: a fork of a whole logical database leaves out its guests", async () => {
  await using server = await Server.start();
  const context = contextOf(server.url());
  await server.admin.mset("a", "1", "shop.cache:b", "2");
  const bob = wanted("bob", { isolation: "prefix" });
  await provider.create(context, bob);
  const fork = await provider.create(context, wanted("alice"));
  await server.admin.select(1);
  assert.deepEqual((await server.admin.keys("*")).sort(), ["a", "shop.cache:b"]);
  await server.admin.select(0);
  // A fork of a fork, from a prefix to a logical database: the prefix goes.
  const carol = await provider.create(context, wanted("carol", {}, { parent: "shop-bob" }));
  assert.equal(carol.parentId, (await provider.inspect(context, bob) as { fork: Fork }).fork.id);
  await server.admin.select(2);
  assert.deepEqual(await server.admin.keys("*"), ["b"]);
  await server.admin.select(0);
  await provider.delete(context, fork, wanted("alice"));
});

testIf(WHY_NO_SERVER, "valkey: a parent that `bases` names, and one that nothing tells of", async () => {
  await using server = await Server.start();
  await server.admin.select(3);
  await server.admin.set("a", "1");
  await server.admin.select(0);
  const context = contextOf(server.url());
  await assert.rejects(provider.create(context, wanted("alice", {}, { parent: "shop-dev" })), hasCode("NOT_FOUND"));
  const bases = { dev: "3" };
  const fork = await provider.create(context, wanted("alice", {}, { bases, parent: "3" }));
  assert.equal(fork.parentId, "database:3");
  const dev = wanted("dev", {}, { bases, name: "3" });
  const base = await provider.inspect(context, dev) as { id: string };
  const { CACHE_URL } = await outputsOf(context, { id: base.id, name: "3" } as Fork, dev);
  assert.equal(CACHE_URL, server.url({ database: 3 }));
  await assert.rejects(provider.create(context, dev), hasCode("FOREIGN"));
  const named = wanted("bob", {}, { bases: { prod: "3" } });
  await assert.rejects(provider.create(context, named), hasCode("NOT_FOUND"), "the URL's own is not prod's then");
  await assert.rejects(provider.create(context, wanted("bob", { isolation: "prefix" })), hasCode("NOT_FOUND"));
});

testIf(WHY_NO_SERVER, "valkey: keys that have the prefix already are not ours", async () => {
  await using server = await Server.start();
  await server.admin.mset("shop.cache:a", "1", "shop-alice.cache:theirs", "1");
  const context = contextOf(server.url());
  const earlier = await server.things();
  await assert.rejects(provider.create(context, wanted("alice", { isolation: "prefix" })), hasCode("FOREIGN"));
  assert.deepEqual(await server.things(), earlier);
});

testIf(WHY_NO_SERVER, "valkey: what can't be used is told by a code of its own", async () => {
  await using server = await Server.start();
  await server.admin.call("ACL", "SETUSER", "weak", "on", ">weak", "~*", "+info", "+ping");
  await server.admin.set("a", "1");
  const as = (url: string) => provider.create(contextOf(url), wanted("alice"));
  const url = server.url();
  await assert.rejects(as(url.replace(/:[^:@]*@/, ":wrong@")), hasCode("CREDENTIALS_REJECTED"));
  await assert.rejects(as(url.replace(/\/\/.*@/, "//")), hasCode("CREDENTIALS_REJECTED"));
  await assert.rejects(as(url.replace(/\/\/.*@/, "//weak:weak@")), hasCode("CREDENTIALS_DENIED"));
  await assert.rejects(as(url.replace(/:\d+\/0/, ":1/0")), hasCode("PROVIDER_UNAVAILABLE"));
  await assert.rejects(as(url.replace("redis:", "rediss:")), hasCode("CREDENTIALS_TLS"));
  await assert.rejects(as(url.replace("redis:", "http:")), hasCode("CREDENTIALS_MISSING"));
  await assert.rejects(as("no url"), hasCode("CREDENTIALS_MISSING"));
  const none = contextOf(url, { credentials: {} });
  await assert.rejects(provider.create(none, wanted("alice")), hasCode("CREDENTIALS_MISSING"));
  await server.admin.replicaof("127.0.0.1", freePort());
  await assert.rejects(as(url), hasCode("CONFIG_REPLICA"));
});

testIf(WHY_NO_SERVER, "valkey: a server in cluster mode, where SELECT is not, is CONFIG_CLUSTER", async () => {
  await using server = await Server.start("--cluster-enabled", "yes");
  await assert.rejects(provider.create(contextOf(server.url()), wanted("alice")), hasCode("CONFIG_CLUSTER"));
});

for (const policy of ["noeviction", "allkeys-lru"]) {
  testIf(
    WHY_NO_SERVER,
    `valkey: a server that is full (${policy}) is PLAN_LIMIT_MEMORY, and loses nothing`,
    async () => {
      await using server = await Server.start();
      for (let n = 0; n < 3_000; n++) await server.admin.set(`key:${n}`, "x".repeat(4_096));
      const used = Number(/used_memory:(\d+)/.exec(await server.admin.info("memory"))![1]);
      await server.admin.config("SET", "maxmemory-policy", policy);
      await server.admin.config("SET", "maxmemory", String(Math.round(used * 1.3)));
      const context = contextOf(server.url());
      await assert.rejects(provider.create(context, wanted("alice")), hasCode("PLAN_LIMIT_MEMORY"));
      assert.equal(await server.admin.dbsize(), 3_000, "nothing of the parent's was evicted");
      const { fork } = await provider.inspect(context, wanted("alice")) as { fork: Fork };
      if (policy === "noeviction") await server.admin.config("SET", "maxmemory", String(Math.round(used / 2)));
      assert.equal(await provider.delete(context, fork, wanted("alice")), "deleted");
      await server.admin.config("SET", "maxmemory", String(used * 2));
      await provider.create(context, wanted("alice", {}, { parent: undefined }));
    },
  );
}

testIf(
  WHY_NO_SERVER ?? whyMissing("openssl"),
  "valkey: a server that wants TLS is told apart from one that is down",
  async () => {
    const directory = await Deno.makeTempDir();
    const [caKey, ca, key, request, cert] = ["ca.key", "ca.pem", "key.pem", "request.pem", "cert.pem"].map((name) =>
      join(directory, name)
    ) as [string, string, string, string, string];
    const openssl = (text: string, ...args: string[]) => run("openssl", [...text.split(" "), ...args]);
    await openssl("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=forkstack-test", "-keyout", caKey, "-out", ca);
    await openssl("req -newkey rsa:2048 -nodes -subj /CN=localhost", "-keyout", key, "-out", request);
    await Deno.writeTextFile(join(directory, "names"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n");
    const signed = ["-in", request, "-CA", ca, "-CAkey", caKey, "-out", cert, "-extfile", join(directory, "names")];
    await openssl("x509 -req -days 2 -CAcreateserial", ...signed);
    const port = freePort();
    const tls = [
      "--tls-port",
      String(port),
      "--tls-cert-file",
      cert,
      "--tls-key-file",
      key,
      "--tls-ca-cert-file",
      ca,
    ];
    await using server = await Server.start(...tls, "--tls-auth-clients", "no");
    const plain = server.url({ port });
    await assert.rejects(provider.create(contextOf(plain), wanted("alice")), (error: Error) => {
      assert.match((error as { hint?: string }).hint!, /rediss:\/\//);
      return hasCode("CREDENTIALS_TLS")(error);
    });
    const secure = plain.replace("redis:", "rediss:");
    await assert.rejects(provider.create(contextOf(secure), wanted("alice")), hasCode("CREDENTIALS_TLS")); // not trusted
    const script = fileURLToPath(new URL("./_redis_child.ts", import.meta.url));
    const target = JSON.stringify(wanted("alice", {}, { parent: undefined }));
    const env = { ...process.env, VALKEY_URL: secure, DENO_CERT: ca };
    await run(process.execPath, ["run", "-q", "--no-check", "-A", script, "create", "cache", "valkey", target], {
      env,
    });
    assert.equal((await provider.inspect(contextOf(server.url()), wanted("alice"))).state, "ready");
    await Deno.remove(directory, { recursive: true });
  },
);
