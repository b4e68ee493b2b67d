import assert from "node:assert/strict";
import { Redis as Client } from "npm:ioredis@6.0.0";
import * as v from "npm:valibot@1.5.0";
import type { Target } from "../../core/provider.ts";
import provider from "../../providers/cache/upstash-redis.ts";
import { testProvider } from "../conformance.ts";
import { Databases } from "../emulators/redis_databases.ts";
import { WHY_NO_SERVER } from "../emulators/redis_server.ts";
import { serve } from "../emulators/serve.ts";
import { Upstash, type UpstashOptions } from "../emulators/upstash-redis.ts";
import { testIf } from "../helpers.ts";
import { jsonRequest, Specification, testSpecification } from "../emulators/specification.ts";
import { seed } from "./_redis_seed.ts";
import { upstashEmulator } from "./_upstash-redis.ts";
import { assertRefused, plain, shopOf } from "./_vendor.ts";

const real = WHY_NO_SERVER === undefined ? await Databases.start() : undefined;
const SPECIFICATION = Specification.read("upstash.yaml", {
  base: "/v2",
  mend: (text) => text.replace(/^ {10}\]$/gm, "            ]"), // an example whose end stands too far left
  pathOf: (path) => path.startsWith("/redis/") ? path : undefined,
  exceptions: { "of this API the specification lists the status 200 alone": /: answer 4\d\d: there are 200$/ },
});

if (real) {
  testProvider({ provider, emulator: upstashEmulator(real, {}, SPECIFICATION), options: { region: "us-east-1" } });
  testSpecification("upstash-redis", SPECIFICATION, {
    request: jsonRequest("https://api.upstash.com/v2/redis/database", "POST", "Basic eA=="),
    sent: JSON.stringify({ database_name: "x", platform: "moon", primary_region: "us-east-1" }),
    is: /platform: must be equal to one of the allowed values/,
  });
} else testIf(WHY_NO_SERVER, "upstash-redis: the conformance suite", () => {});

const EMAIL = "ada@shop.example";
const KEY = "management-key-0123456789";

/** An account whose "shop" holds something. */
async function openShop(changed: Partial<UpstashOptions> = {}) {
  const upstash = new Upstash(real!, { email: EMAIL, keys: { [KEY]: true }, ...changed });
  const server = await serve(() => upstash);
  const parent = upstash.add("shop", "eu-west-1");
  await seed(real!, parent);
  const shop = shopOf(provider, { UPSTASH_EMAIL: EMAIL, UPSTASH_API_KEY: KEY }, { endpoint: server.url });
  return Object.assign(shop, {
    upstash,
    parent,
    async [Symbol.asyncDispose]() {
      await server.close();
      await upstash.close();
    },
  });
}

testIf(
  WHY_NO_SERVER,
  "upstash-redis: the vendor's client and ioredis read a fork's copy of the parent, and write",
  async () => {
    await using shop = await openShop();
    const before = await real!.digests([shop.parent.place]);
    const fork = await shop.create(shop.target("alice"));
    const outputs = plain(await provider.outputs(shop.context(), fork, shop.scope()));
    const { Redis } = await import("npm:@upstash/redis@1.39.0");
    const redis = new Redis({ url: outputs.UPSTASH_REDIS_REST_URL, token: outputs.UPSTASH_REDIS_REST_TOKEN });
    assert.equal(await redis.get("greeting"), "canary-in-the-parent-0123456789");
    assert.deepEqual(await redis.hgetall("user:1"), { name: "Ada" });
    assert(await redis.pttl("session") > 0, "keys keep their expiry");
    assert.equal(await redis.set("mine", "Ülkü ''O"), "OK");
    assert.deepEqual(await redis.pipeline().incr("n").incr("n").exec(), [1, 2]);
    await assert.rejects(new Redis({ url: outputs.UPSTASH_REDIS_REST_URL, token: "wrong" }).get("x"), /WRONGPASS/);
    const client = new Client(outputs.CACHE_URL!, { lazyConnect: true });
    assert.equal(await client.get("mine"), "Ülkü ''O");
    await assert.rejects(client.select(1), /NOPERM/, "there is one logical database");
    client.disconnect();
    assert.deepEqual(await real!.digests([shop.parent.place]), before, "the parent is as it was");
    assert.equal(shop.upstash.backups.size, 0);
    assert.equal((await provider.usage!(shop.context(), fork, shop.scope())).costUsd, 0.5);
  },
);

testIf(WHY_NO_SERVER, "upstash-redis: create() makes these calls, and no others", async () => {
  await using shop = await openShop({ settling: 0 });
  const fork = await shop.create(shop.target("alice"));
  const name = (id: string) => id === shop.parent.id ? "{parent}" : id === fork.id ? "{child}" : "{backup}";
  const calls = shop.upstash.requests.map(({ method, path }) =>
    `${method} ${path.replace("/v2/redis/", "").replace(/[0-9a-f-]{36}/g, name)}`
  );
  assert.deepEqual(calls, [
    "GET databases",
    "POST database",
    "GET databases",
    "GET database/{child}",
    "GET list-backup/{parent}",
    "POST create-backup/{parent}",
    "GET list-backup/{parent}",
    "POST restore-backup/{child}",
    "GET database/{child}",
    "GET list-backup/{parent}",
    "DELETE delete-backup/{parent}/{backup}",
    "GET list-backup/{parent}",
    "GET database/{child}",
    "GET databases",
    "POST rename/{child}",
  ]);
  assert.equal(shop.upstash.databases.get(fork.id)!.region, "eu-west-1", "the parent's");
});

for (const sharedNames of [true, false]) {
  testIf(
    WHY_NO_SERVER,
    `upstash-redis: creates at once give one fork where names are ${sharedNames ? "shared" : "unique"}`,
    async () => {
      for (let round = 0; round < 5; round++) {
        await using shop = await openShop({ sharedNames, settling: round });
        for (const parent of ["shop", undefined]) {
          const target = shop.target("alice", parent === undefined ? { parent } as Partial<Target<never>> : {}, {
            region: "us-east-1",
          });
          const forks = await Promise.all([1, 2, 3].map(() => shop.create(target)));
          assert.deepEqual(forks, forks.map(() => forks[0]));
          assert.deepEqual([...shop.upstash.databases.values()].map(({ name }) => name), ["shop", "shop-alice"]);
          assert.equal(shop.upstash.backups.size, 0);
          assert.equal(await provider.delete(shop.context(), forks[0]!, shop.scope()), "deleted");
        }
      }
    },
  );
}

testIf(WHY_NO_SERVER, "upstash-redis: two environments forked at once wait for each other's backup", async () => {
  await using shop = await openShop({ settling: 3 });
  const forks = await Promise.all(["alice", "bob", "carol"].map((env) => shop.create(shop.target(env))));
  assert.deepEqual(forks.map(({ copy }) => copy), ["full-copy", "full-copy", "full-copy"]);
  const places = [...shop.upstash.databases.values()].map(({ place }) => place);
  assert.equal(new Set(await real!.digests(places)).size, 1, "all hold what the parent holds");
  assert.equal(shop.upstash.backups.size, 0);
});

testIf(
  WHY_NO_SERVER,
  "upstash-redis: a fork that was cut off is pending, is finished by the same operation, or leaves no backup",
  async () => {
    for (const isFinished of [true, false]) {
      await using shop = await openShop();
      const { fetch } = shop.context();
      const cut = (request: Request) => {
        if (request.url.includes("restore-backup")) throw new TypeError("cut off");
        return fetch(request);
      };
      await assert.rejects(
        shop.create(shop.target("alice"), shop.context({ fetch: async (request) => await cut(request) })),
      );
      assert.equal(shop.upstash.backups.size, 1);
      const seen = await provider.inspect(shop.context(), shop.target("alice"));
      assert(seen.state === "pending");
      const another = shop.target("alice", { parent: "another" });
      shop.upstash.add("another");
      await assertRefused(() => shop.create(another), "FOREIGN", /another parent/, { hasRequestId: false });
      if (isFinished) {
        const fork = await shop.create(shop.target("alice"));
        assert.equal(fork.id, seen.fork.id);
        await provider.probe(shop.context(), fork, shop.scope());
      } else assert.equal(await provider.delete(shop.context(), seen.fork, shop.scope()), "deleted");
      assert.equal(shop.upstash.backups.size, 0);
    }
  },
);

testIf(WHY_NO_SERVER, "upstash-redis: delete() leaves a database that somebody renamed", async () => {
  await using shop = await openShop();
  const fork = await shop.create(shop.target("alice"));
  shop.upstash.named("shop-alice").name = "kept";
  await assertRefused(
    () => provider.delete(shop.context(), fork, shop.scope()),
    "FOREIGN",
    /"kept" by now[^]*Upstash still has it, id \S+, with all its data: name it "shop-alice" again/,
    {
      hasRequestId: false,
    },
  );
  assert(shop.upstash.databases.has(fork.id));
});

testIf(WHY_NO_SERVER, "upstash-redis: a wrong address is not an absent database", async () => {
  await using shop = await openShop();
  const fork = await shop.create(shop.target("alice"));
  const { fetch } = shop.context();
  const lost = shop.context({ fetch: (request) => fetch(new Request(request.url.replace("/v2/", "/v3/"), request)) });
  await assertRefused(() => provider.delete(lost, fork, shop.scope()), "NOT_FOUND", /404/);
  await assertRefused(() => provider.inspect(lost, shop.target("alice")), "NOT_FOUND", /404/);
});

const THEIRS: Record<string, (upstash: Upstash) => void> = {
  "the name": (upstash) => void upstash.add("shop-alice"),
  "the name that another run has while it forks": (upstash) => void upstash.add("shop-alice--forking-0123abcd"),
  "the name, and is older": (upstash) => void Object.assign(upstash.add("shop-alice"), { createdAt: 1_700_000_000 }),
};

for (const [what, put] of Object.entries(THEIRS)) {
  testIf(
    WHY_NO_SERVER,
    `upstash-redis: a database of somebody else's that gets ${what} beside ours is never taken, and ours is still found`,
    async () => {
      await using shop = await openShop();
      const { fetch } = shop.context();
      const lost = shop.context({
        async fetch(request) {
          const response = await fetch(request);
          if (!request.url.endsWith("/v2/redis/database")) return response;
          await response.text();
          put(shop.upstash);
          throw new TypeError("the answer was lost");
        },
      });
      await assert.rejects(shop.create(shop.target("alice"), lost), /lost/);
      const [, ours, theirs] = [...shop.upstash.databases.values()];
      await real!.send(theirs!.place, "SET", "theirs", "1");
      const digest = await real!.digests([theirs!.place]);
      const resumed = shop.target("alice", { isResumed: true });
      await assertRefused(() => shop.create(resumed), "FOREIGN", /no answer of Upstash's/, { hasRequestId: false });
      const seen = await provider.inspect(shop.context(), resumed);
      assert(seen.state === "pending");
      assert.equal(seen.fork.id, ours!.id);
      const listed = await Array.fromAsync(provider.list(shop.context(), shop.scope()));
      assert.deepEqual(listed.map(({ id }) => id), [ours!.id]);
      const work = () => provider.delete(shop.context(), { ...seen.fork, id: theirs!.id }, shop.scope());
      await assertRefused(work, "FOREIGN", /no answer of Upstash's/, { hasRequestId: false });
      assert.equal(await provider.delete(shop.context(), seen.fork, shop.scope()), "deleted");
      assert.deepEqual([...shop.upstash.databases.keys()], [shop.parent.id, theirs!.id]);
      assert.deepEqual(await real!.digests([theirs!.place]), digest);
      assert.equal((await provider.inspect(shop.context(), resumed)).state, "foreign");
    },
  );
}

interface Refusal {
  readonly code: string;
  readonly says: RegExp;
  readonly given?: Partial<UpstashOptions>;
  readonly key?: string;
  readonly target?: Partial<Target<never>>;
  readonly before?: (upstash: Upstash) => void;
  readonly isOurs?: boolean;
}

const REFUSALS: Record<string, Refusal> = {
  "a missing parent": {
    code: "NOT_FOUND",
    target: { parent: "shopp" },
    says: /"shopp": the account has none.*--empty/s,
    isOurs: true,
  },
  "a key that is wrong": {
    code: "CREDENTIALS_REJECTED",
    key: "wrong-key-0123456789",
    says: /401.*console.upstash.com/s,
  },
  "a key that may only read": { code: "CREDENTIALS_DENIED", given: { keys: { [KEY]: false } }, says: /403.*Readonly/s },
  "a free plan's one database": {
    code: "PLAN_LIMIT",
    given: { type: "free", maxDatabases: 1 },
    says: /400.*max database count.*prune/s,
  },
  "a limit that has a status": {
    code: "PLAN_LIMIT",
    given: { maxDatabases: 1, limitStatus: 402 },
    says: /402.*prune/s,
  },
  "a refusal of another sort": {
    code: "PROVIDER_REFUSED",
    given: { maxDatabases: 1 },
    says: /400.*max database count/s,
  },
  "no region for an empty one": {
    code: "CONFIG_REGION_MISSING",
    target: { parent: undefined },
    says: /"region" of the cache/,
    isOurs: true,
  },
  "a parent that is suspended": {
    code: "CONFLICT",
    before: (upstash) => void (upstash.named("shop").state = "suspended"),
    says: /"shop": it is suspended.*budget/s,
    isOurs: true,
  },
  "two parents of one name": {
    code: "PARENT_AMBIGUOUS",
    before: (upstash) => void upstash.add("shop"),
    says: /two have this name/,
    isOurs: true,
  },
  "a database of before": {
    code: "FOREIGN",
    before: (upstash) => void Object.assign(upstash.add("shop-alice"), { createdAt: 1_700_000_000 }),
    says: /no answer of Upstash's on record/,
    isOurs: true,
  },
};

for (const [what, { code, says, given, key = KEY, target, before, isOurs }] of Object.entries(REFUSALS)) {
  testIf(WHY_NO_SERVER, `upstash-redis: ${what} is ${code}, and nothing is made`, async () => {
    await using shop = await openShop(given);
    before?.(shop.upstash);
    const names = [...shop.upstash.databases.keys()];
    const context = shop.context({}, { UPSTASH_API_KEY: key });
    const work = () => shop.create(shop.target("alice", target), context);
    await assertRefused(work, code, says, { secrets: [key, btoa(`${EMAIL}:${key}`)], hasRequestId: !isOurs });
    assert.deepEqual([...shop.upstash.databases.keys()], names);
    assert.equal(shop.upstash.backups.size, 0);
  });
}

testIf(
  WHY_NO_SERVER,
  "upstash-redis: a backup that fails is PARENT_BACKUP_FAILED, leaves none, and can be tried again",
  async () => {
    await using shop = await openShop({ backups: "failed" });
    const work = () => shop.create(shop.target("alice"));
    await assertRefused(work, "PARENT_BACKUP_FAILED", /could not back it up/, { hasRequestId: false });
    assert.equal(shop.upstash.backups.size, 0);
    shop.upstash.options = { ...shop.upstash.options, backups: "completed" };
    const fork = await work();
    const [own, parents] = await real!.digests([shop.upstash.databases.get(fork.id)!.place, shop.parent.place]);
    assert.equal(own, parents);
  },
);

testIf(
  WHY_NO_SERVER,
  "upstash-redis: a database whose REST API refuses its token is NOT_READY, with the request's id",
  async () => {
    await using shop = await openShop();
    const fork = await shop.create(shop.target("alice"));
    shop.upstash.databases.get(fork.id)!.place.isOpen = false;
    const work = () => provider.probe(shop.context(), fork, shop.scope());
    const { restToken } = shop.upstash.databases.get(fork.id)!.place;
    await assertRefused(work, "NOT_READY", /answers 401.*rest-1/s, { secrets: [restToken], hasRequestId: false });
  },
);

Deno.test("upstash-redis: options are those of the vendor, and a key goes by TLS or to this machine", () => {
  const parse = (given: object) => v.safeParse(provider.options as v.GenericSchema, given).success;
  for (const good of [{}, { region: "eu-west-1", plan: "fixed_1gb", eviction: true }, { endpoint: "http://[::1]:1" }]) {
    assert(parse(good), JSON.stringify(good));
  }
  for (const bad of [{ region: "mars" }, { plan: "1gb" }, { endpoint: "http://api.upstash.com" }, { tls: false }]) {
    assert(!parse(bad), JSON.stringify(bad));
  }
});

for (const region of ["us-east-1", "eu-west-1", "ap-southeast-2", "us-east4", "europe-west1"]) {
  testIf(WHY_NO_SERVER, `upstash-redis: a database in ${region} is made with the platform that it is of`, async () => {
    for (const guessesPlatform of [false, true]) {
      await using shop = await openShop({ guessesPlatform });
      const parentless = { parent: undefined } as Partial<Target<never>>;
      const fork = await shop.create(shop.target("alice", parentless, { region }));
      assert.equal(shop.upstash.databases.get(fork.id)!.region, region);
      const body = JSON.stringify({ database_name: "x", primary_region: region, tls: true });
      const headers = { authorization: `Basic ${btoa(`${EMAIL}:${KEY}`)}` };
      const answer = await fetch(`${shop.scope().options.endpoint}/v2/redis/database`, {
        method: "POST",
        headers,
        body,
      });
      assert.equal(answer.status, guessesPlatform ? 200 : 400, await answer.text());
    }
  });
}
