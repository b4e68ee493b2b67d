import assert from "node:assert/strict";
import { Redis as Client } from "npm:ioredis@6.0.0";
import * as v from "npm:valibot@1.5.0";
import type { Target } from "../../core/provider.ts";
import provider from "../../providers/cache/redis-cloud.ts";
import { testProvider, WITHOUT_FAULTS } from "../conformance.ts";
import { RedisCloud, type RedisCloudOptions } from "../emulators/redis-cloud.ts";
import { Databases } from "../emulators/redis_databases.ts";
import { WHY_NO_SERVER } from "../emulators/redis_server.ts";
import { serve } from "../emulators/serve.ts";
import { testIf } from "../helpers.ts";
import { jsonRequest, Specification, testSpecification } from "../emulators/specification.ts";
import { redisCloudEmulator } from "./_redis-cloud.ts";
import { CANARY, seed } from "./_redis_seed.ts";
import { assertRefused, plain, shopOf } from "./_vendor.ts";

const real = WHY_NO_SERVER === undefined ? await Databases.start() : undefined;
const SPECIFICATION = Specification.read("rediscloud.json", {
  exceptions: {
    "of a task's error it says a text; the API gives an object, as the vendor's own clients read it":
      /^GET \S+\/tasks\S*: answer 200\S*\/response\/error: must be string/,
    "it wants a third header, which no client of the vendor's sends": /: no credentials of .*x-auth-token/,
  },
});

if (real) {
  testProvider({ provider, emulator: redisCloudEmulator(real, {}, SPECIFICATION), options: { subscription: 1206 } });
  // The faults are the same for both sorts. This subscription is older than the rule of one database.
  testProvider({
    provider,
    emulator: redisCloudEmulator(real, { tier: "essentials", maxDatabases: 200 }, SPECIFICATION),
    options: { subscription: 1206, tier: "essentials" },
  }, { as: "redis-cloud, essentials", only: WITHOUT_FAULTS });
  for (const path of ["/fixed/subscriptions", "/subscriptions"]) {
    testSpecification(`redis-cloud, ${path}`, SPECIFICATION, {
      request: jsonRequest(`https://api.redislabs.com/v1${path}/1206/databases`, "POST"),
      sent: "{}",
      is: /body: must have required property/,
    });
  }
} else testIf(WHY_NO_SERVER, "redis-cloud: the conformance suite", () => {});

const ACCESS = "access-key-0123456789";
const SECRET = "secret-key-0123456789";

/** A subscription whose "shop" holds something. */
async function openShop(changed: Partial<RedisCloudOptions> = {}, settings: Record<string, unknown> = {}) {
  const cloud = new RedisCloud(real!, { accessKey: ACCESS, secretKey: SECRET, ...changed });
  const server = await serve(() => cloud);
  const parent = cloud.add("shop", settings);
  await seed(real!, parent);
  const credentials = { REDISCLOUD_ACCESS_KEY: ACCESS, REDISCLOUD_SECRET_KEY: SECRET };
  const shop = shopOf(provider, credentials, { subscription: 1206, endpoint: server.url });
  const assertSame = async (name: string) => {
    const [own, parents] = await real!.digests([cloud.named(name).place, parent.place]);
    assert.equal(own, parents);
  };
  return Object.assign(shop, {
    cloud,
    parent,
    assertSame,
    async [Symbol.asyncDispose]() {
      await server.close();
      await cloud.close();
    },
  });
}

testIf(
  WHY_NO_SERVER,
  "redis-cloud: ioredis reads a fork's copy of the parent with a password of its own, and writes",
  async () => {
    await using shop = await openShop({}, { dataEvictionPolicy: "allkeys-lru", datasetSizeInGb: 2 });
    const before = await real!.digests([shop.parent.place]);
    const fork = await shop.create(shop.target("alice"));
    await shop.assertSame("shop-alice");
    const { dataEvictionPolicy, datasetSizeInGb } = shop.cloud.named("shop-alice").settings;
    assert.deepEqual([dataEvictionPolicy, datasetSizeInGb], ["allkeys-lru", 2], "as the parent has them");
    const outputs = plain(await provider.outputs(shop.context(), fork, shop.scope()));
    const parents = plain(
      await provider.outputs(shop.context(), { id: `${shop.parent.id}`, name: "shop" }, shop.scope()),
    );
    assert.notEqual(new URL(outputs.CACHE_URL!).password, new URL(parents.CACHE_URL!).password);
    const client = new Client(outputs.REDIS_URL!, { lazyConnect: true });
    assert.equal(await client.get("greeting"), CANARY);
    await client.set("mine", "1");
    await assert.rejects(client.select(1), /NOPERM/);
    client.disconnect();
    assert.deepEqual(await real!.digests([shop.parent.place]), before, "the parent is as it was");
  },
);

testIf(
  WHY_NO_SERVER,
  "redis-cloud: 3,000 keys, cut off on the way, are pending, and whole after the same again",
  async () => {
    await using shop = await openShop();
    const bytes = String.fromCharCode(...Array.from({ length: 256 }, (_, at) => at));
    const script =
      "for n = 1, 3000 do redis.call('SET', 'k' .. n .. string.char(n % 256, 255), ARGV[1] .. n) end return 1";
    await real!.send(shop.parent.place, "EVAL", script, "0", bytes);
    const control = new AbortController();
    const cut = shop.context({ signal: control.signal, progress: () => control.abort() });
    await assert.rejects(shop.create(shop.target("alice"), cut));
    const count = async () => Number(await real!.send(shop.cloud.named("shop-alice").place, "DBSIZE"));
    assert(await count() > 0 && await count() < 3_000, `it has ${await count()} keys`);
    assert.equal((await provider.inspect(shop.context(), shop.target("alice"))).state, "pending");
    const told: string[] = [];
    await shop.create(shop.target("alice"), shop.context({ progress: (text) => void told.push(text) }));
    await shop.assertSame("shop-alice");
    assert.equal(told.at(-1), "shop-alice: 3006 keys");
    assert.equal((await provider.inspect(shop.context(), shop.target("alice"))).state, "ready");
  },
);

testIf(WHY_NO_SERVER, "redis-cloud: create() and delete() make these calls, and no others", async () => {
  await using shop = await openShop({ settling: 0 });
  const fork = await shop.create(shop.target("alice"));
  assert.equal(await provider.delete(shop.context(), fork, shop.scope()), "deleted");
  const short = (path: string) =>
    path.replace("/v1/subscriptions/1206/", "").replace("/v1/", "").replace(/[0-9a-f-]{36}/, "{task}")
      .replace(fork.id, "{child}").replace(String(shop.parent.id), "{parent}");
  assert.deepEqual(shop.cloud.requests.map(({ method, path }) => `${method} ${short(path)}`), [
    "GET databases",
    "GET databases",
    "GET tasks",
    "GET databases",
    "POST databases",
    "GET tasks/{task}",
    "GET databases",
    "GET databases/{child}",
    "GET databases/{child}/tags",
    "GET databases/{parent}",
    "GET databases/{child}",
    "POST databases/{child}/tags",
    "GET databases/{child}",
    "GET databases/{child}",
    "DELETE databases/{child}",
    "GET tasks/{task}",
    "GET databases/{child}",
    "GET databases",
  ]);
});

testIf(
  WHY_NO_SERVER,
  "redis-cloud: a size of its own, tasks unknown at first, errors as the specification has them",
  async () => {
    await using shop = await openShop({ unknownTask: 3, settling: 3, errorObjects: false });
    const pro = { sizeGb: 0.5 };
    const fork = await shop.create(shop.target("alice", {}, pro));
    await shop.assertSame("shop-alice");
    assert.equal(shop.cloud.named("shop-alice").settings.datasetSizeInGb, 0.5);
    const forks = await Promise.all([1, 2].map(() => shop.create(shop.target("bob", {}, pro))));
    assert.equal(forks[0]!.id, forks[1]!.id);
    assert.equal(await provider.delete(shop.context(), fork, shop.scope(pro)), "deleted");
    shop.cloud.options = { ...shop.cloud.options, failure: "GENERAL_ERROR" };
    await assertRefused(() => shop.create(shop.target("carol", {}, pro)), "TASK_FAILED", /GENERAL_ERROR/);
  },
);

for (
  const [what, isPayAsYouGo, options, size] of [
    ["of a plan that fixes the size says none", false, {}, undefined],
    ["that pays as it goes has the parent's size", true, {}, 2],
    ["that pays as it goes has the size that was asked for", true, { sizeGb: 0.5 }, 0.5],
  ] as const
) {
  testIf(WHY_NO_SERVER, `redis-cloud: a fork in an Essentials subscription ${what}`, async () => {
    const essentials = { tier: "essentials", maxDatabases: 2, isPayAsYouGo } as const;
    await using shop = await openShop(essentials, { datasetSizeInGb: 2 });
    await shop.create(shop.target("alice", {}, { tier: "essentials", ...options }));
    assert.equal(shop.cloud.named("shop-alice").settings.datasetSizeInGb, size);
    await shop.assertSame("shop-alice");
  });
}

testIf(
  WHY_NO_SERVER,
  "redis-cloud: a create whose answer was lost is waited for before its name counts as absent",
  async () => {
    await using shop = await openShop({ settling: 5 });
    const { fetch } = shop.context();
    const lost = shop.context({
      async fetch(request) {
        const response = await fetch(request);
        if (request.method === "POST") throw new TypeError("the answer was lost");
        return response;
      },
    });
    await assert.rejects(shop.create(shop.target("alice"), lost), /lost/);
    assert.equal(shop.cloud.named("shop-alice"), undefined, "the task has not got to it yet");
    const resumed = shop.target("alice", { isResumed: true });
    assert.equal((await provider.inspect(shop.context(), resumed)).state, "pending");
    await shop.create(resumed);
    await shop.assertSame("shop-alice");
    assert.equal(shop.cloud.databases.size, 2);
  },
);

const THEIRS: Record<string, (cloud: RedisCloud) => unknown> = {
  "an empty one": (cloud) => cloud.add("shop-alice"),
  "a full one": async (cloud) => await real!.send(cloud.add("shop-alice").place, "SET", "theirs", "1"),
  "one that says that it is whole": (cloud) => cloud.add("shop-alice").tags.set("forkstack-data", "whole"),
  "one that is in error": (cloud) => Object.assign(cloud.add("shop-alice"), { status: "error" }),
};

for (const [what, put] of Object.entries(THEIRS)) {
  testIf(
    WHY_NO_SERVER,
    `redis-cloud: where another's takes the name of a create whose answer was lost, ${what} is FOREIGN`,
    async () => {
      await using shop = await openShop({ settling: 3 });
      const { fetch } = shop.context();
      const lost = shop.context({
        async fetch(request) {
          const response = await fetch(request);
          if (request.method !== "POST") return response;
          await put(shop.cloud);
          throw new TypeError("the answer was lost");
        },
      });
      await assert.rejects(shop.create(shop.target("alice"), lost), /lost/);
      const { id, place, tags } = shop.cloud.named("shop-alice");
      const before = [await real!.digests([place]), [...tags]];
      const resumed = shop.target("alice", { isResumed: true });
      await assertRefused(() => shop.create(resumed), "FOREIGN", /no answer of Redis Cloud's/, { hasRequestId: false });
      assert.equal((await provider.inspect(shop.context(), resumed)).state, "foreign");
      const fork = { id: String(id), name: "shop-alice", marker: resumed.marker, createdAt: resumed.begunAt };
      const work = () => provider.delete(shop.context(), fork, shop.scope());
      await assertRefused(work, "FOREIGN", /no answer of Redis Cloud's/, { hasRequestId: false });
      assert.deepEqual(await Array.fromAsync(provider.list(shop.context(), shop.scope())), []);
      assert.deepEqual([await real!.digests([place]), [...tags]], before);
    },
  );
}

testIf(
  WHY_NO_SERVER,
  "redis-cloud: the journal holds the hash of the password that was chosen, never the password",
  async () => {
    await using shop = await openShop();
    await shop.create(shop.target("alice"));
    const { password } = shop.cloud.named("shop-alice").place;
    const told = await shop.context().recorded("shop-alice");
    assert(told.some(({ step, id }) => step === "key" && /^password:[0-9a-f]{64}$/.test(id)));
    assert(!JSON.stringify(told).includes(password));
  },
);

for (const pagesEnd of [false, true]) {
  testIf(
    WHY_NO_SERVER,
    `redis-cloud: a list of three pages, after which is ${pagesEnd ? "404" : "an empty one"}`,
    async () => {
      await using shop = await openShop({ pagesEnd });
      while (shop.cloud.databases.size < 200) shop.cloud.add(`other-${shop.cloud.databases.size}`);
      const fork = await shop.create(shop.target("alice", { parent: undefined } as Partial<Target<never>>));
      assert.deepEqual((await Array.fromAsync(provider.list(shop.context(), shop.scope()))).map(({ id }) => id), [
        fork.id,
      ]);
      assert.equal(await provider.delete(shop.context(), fork, shop.scope()), "deleted");
    },
  );
}

testIf(
  WHY_NO_SERVER,
  "redis-cloud: delete() leaves a name that was given to another and a fork that was renamed, and takes one in error away",
  async () => {
    await using shop = await openShop();
    const fork = await shop.create(shop.target("alice"));
    shop.cloud.named("shop-alice").status = "error";
    assert.equal(await provider.delete(shop.context(), fork, shop.scope()), "deleted");
    const other = shop.cloud.add("shop-alice");
    assert.equal(await provider.delete(shop.context(), fork, shop.scope()), "absent");
    assert(shop.cloud.databases.has(other.id));
    await assertRefused(
      () => provider.delete(shop.context(), { ...fork, id: `${shop.parent.id}` }, shop.scope()),
      "FOREIGN",
      /no answer of Redis Cloud's/,
      { hasRequestId: false },
    );
    const bob = await shop.create(shop.target("bob"));
    Object.assign(shop.cloud.named("shop-bob"), { name: "kept" });
    await assertRefused(
      () => provider.delete(shop.context(), bob, shop.scope()),
      "FOREIGN",
      new RegExp(
        `"kept" by now[^]*Redis Cloud still has it, id ${bob.id}, with all its data: name it "shop-bob" again`,
      ),
      { hasRequestId: false },
    );
    assert(shop.cloud.named("kept"));
  },
);

interface Refusal {
  readonly code: string;
  readonly says: RegExp;
  readonly given?: Partial<RedisCloudOptions>;
  readonly settings?: Record<string, unknown>;
  readonly options?: object;
  readonly secret?: string;
  readonly target?: Partial<Target<never>>;
  readonly before?: (cloud: RedisCloud) => void;
  readonly isOurs?: boolean;
  readonly makes?: boolean;
}

const REFUSALS: Record<string, Refusal> = {
  "a missing parent": {
    code: "NOT_FOUND",
    target: { parent: "shopp" },
    says: /"shopp": subscription 1206 has none.*--empty/s,
    isOurs: true,
  },
  "another subscription": {
    code: "NOT_FOUND",
    options: { subscription: 7 },
    says: /404.*no pro subscription 7.*|no pro subscription 7.*404.*cache.subscription/s,
  },
  "the wrong sort of subscription": {
    code: "NOT_FOUND",
    options: { tier: "essentials" },
    says: /no essentials subscription 1206.*cache.tier/s,
  },
  "a key that is wrong": {
    code: "CREDENTIALS_REJECTED",
    secret: "wrong-0123456789",
    says: /401.*API keys in https:\/\/cloud.redis.io/s,
  },
  "a plan's limit": {
    code: "PLAN_LIMIT",
    given: { maxDatabases: 1 },
    says: /as its plan allows.*REACHED_MAX_DATABASES_COUNT.*prune/s,
  },
  "an Essentials subscription, which holds its one database already,": {
    code: "PLAN_LIMIT",
    given: { tier: "essentials" },
    options: { tier: "essentials" },
    says: /as its plan allows.*REACHED_MAX_DATABASES_COUNT.*Pro subscription.*`cache.tier` "pro"/s,
  },
  "a size where the plan fixes it": {
    code: "CONFIG_INVALID",
    given: { tier: "essentials", maxDatabases: 9 },
    options: { tier: "essentials", sizeGb: 2 },
    says: /fixes the size.*PAY_AS_YOU_GO.*`cache.sizeGb`/s,
  },
  "an empty one without a size where none is fixed": {
    code: "CONFIG_INVALID",
    given: { tier: "essentials", maxDatabases: 9, isPayAsYouGo: true },
    options: { tier: "essentials" },
    target: { parent: undefined } as Partial<Target<never>>,
    says: /SIZE_IN_GB_IS_MISSING.*Set `cache.sizeGb`/s,
  },
  "a subscription that is busy": {
    code: "NOT_READY",
    given: { failure: "SUBSCRIPTION_NOT_ACTIVE" },
    says: /busy.*SUBSCRIPTION_NOT_ACTIVE/s,
  },
  "a subscription that went away": {
    code: "NOT_FOUND",
    given: { failure: "SUBSCRIPTION_NOT_FOUND" },
    says: /SUBSCRIPTION_NOT_FOUND.*cache.subscription/s,
  },
  "a task that fails": {
    code: "TASK_FAILED",
    given: { failure: "PLANNER_FAILURE" },
    says: /could not do it.*task [0-9a-f-]{36}: PLANNER_FAILURE: it says/s,
  },
  "a plan without TLS": {
    code: "CREDENTIALS_TLS",
    given: { failure: "FIXED_DATABASE_ENABLE_TLS_NOT_SUPPORTED_IN_REQUESTED_PLAN" },
    says: /no TLS/,
  },
  "no means of payment": { code: "PLAN_LIMIT_PAYMENT", given: { failure: "PAYMENT_INFO_EXPIRED" }, says: /payment/ },
  "a name that is taken": {
    code: "FOREIGN",
    before: (cloud) => void Object.assign(cloud.add("shop-alice"), { activatedOn: "2024-01-01T00:00:00Z" }),
    says: /no answer of Redis Cloud's on record/,
    isOurs: true,
  },
  "a name that is taken unseen": {
    code: "CONFLICT",
    given: { failure: "DATABASE_NAME_EXISTS" },
    says: /the name is taken.*DATABASE_NAME_EXISTS/s,
  },
  "a parent in error": {
    code: "CONFLICT",
    before: (cloud) => void (cloud.named("shop").status = "error"),
    says: /"shop": it is "error"/,
    isOurs: true,
  },
  "a new database in error": {
    code: "CONFLICT",
    given: { becomes: "error" },
    says: /"shop-alice": it is "error".*only be deleted, with its environment/s,
    isOurs: true,
    makes: true,
  },
  "a parent that tells TLS and speaks none": {
    code: "CREDENTIALS_TLS",
    settings: { enableTls: true },
    says: /TLS.*console, at database "shop/s,
    isOurs: true,
    makes: true,
  },
};

for (
  const [what, { code, says, given, settings, options, secret = SECRET, target, before, isOurs, makes = false }]
    of Object.entries(REFUSALS)
) {
  testIf(WHY_NO_SERVER, `redis-cloud: ${what} is ${code}`, async () => {
    await using shop = await openShop(given, settings);
    before?.(shop.cloud);
    const earlier = [...shop.cloud.databases.keys()];
    const context = shop.context({}, { REDISCLOUD_SECRET_KEY: secret });
    const work = () => shop.create(shop.target("alice", target, options), context);
    const secrets = [ACCESS, secret, ...[...shop.cloud.databases.values()].map(({ place }) => place.password)];
    await assertRefused(work, code, says, { secrets, hasRequestId: !isOurs });
    assert.equal(shop.cloud.databases.size - earlier.length, makes ? 1 : 0);
  });
}

testIf(
  WHY_NO_SERVER,
  "redis-cloud: a password that the server refuses is CREDENTIALS_REJECTED, and does not show",
  async () => {
    await using shop = await openShop();
    const fork = await shop.create(shop.target("alice"));
    const { place } = shop.cloud.named("shop-alice");
    place.isOpen = false;
    const work = () => provider.probe(shop.context(), fork, shop.scope());
    await assertRefused(work, "CREDENTIALS_REJECTED", /WRONGPASS.*console, at database "shop-alice"/s, {
      secrets: [place.password],
      hasRequestId: false,
    });
  },
);

Deno.test("redis-cloud: options name a subscription, and keys go by TLS or to this machine", () => {
  const parse = (given: object) => v.safeParse(provider.options as v.GenericSchema, given).success;
  for (const good of [{ subscription: 1 }, { subscription: 1, tier: "pro", sizeGb: 0.1 }]) {
    assert(parse(good), JSON.stringify(good));
  }
  for (
    const bad of [{}, { subscription: "1" }, { subscription: 1, tier: "flex" }, {
      subscription: 1,
      endpoint: "http://x",
    }]
  ) {
    assert(!parse(bad), JSON.stringify(bad));
  }
});
