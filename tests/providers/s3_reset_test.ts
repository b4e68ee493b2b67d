/** `reset` of a bucket: the old content until the new is whole, and nothing of the bucket aside afterwards. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { Bucket } from "../../core/s3/bucket.ts";
import type { Fork } from "../../core/provider.ts";
import provider from "../../providers/storage/s3.ts";
import { failed, serveAws } from "../emulators/aws_s3.ts";
import { hasCode } from "./_special.ts";
import { contentsOf, OBJECTS, PARENT, put, shopOf, titleOf } from "./_s3.ts";

const KEYS = { AWS_ACCESS_KEY_ID: "test-key", AWS_SECRET_ACCESS_KEY: "test-secret" };
const FORK = titleOf("alice");

async function openShop() {
  const server = await serveAws();
  await put(server.directory, PARENT, OBJECTS);
  const shop = shopOf(provider, KEYS, { endpoint: server.endpoint });
  const target = (name = FORK) => {
    const { marker: { stack, env, resource, operation }, ...rest } = shop.target("alice", { name });
    return { ...rest, marker: { stack, env, resource, operation, name } };
  };
  return {
    ...shop,
    server,
    target,
    fork: async (name?: string) => await shop.create(target(name) as never),
    reset: (fork: Fork, context = shop.context()) => provider.reset!(context, fork, target(fork.name) as never),
    delete: (fork: Fork) => provider.delete(shop.context(), fork, shop.scope() as never),
    list: async () =>
      (await Array.fromAsync(provider.list(shop.context(), shop.scope() as never))).map(({ name }) => name),
    contents: (bucket: string) => contentsOf(server.directory, bucket),
    buckets: () => readdirSync(server.directory).sort(),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

Deno.test("s3: reset() replaces what differs, removes what the parent does not have, and copies the rest to the side alone", async () => {
  await using shop = await openShop();
  const fork = await shop.fork();
  await put(shop.server.directory, FORK, { empty: "mine", "a/new": "mine", "z": "mine" });
  new Bucket(FORK, join(shop.server.directory, FORK)).delete("covers/1.jpg");
  await put(shop.server.directory, PARENT, { later: "than the fork" });
  const old = shop.contents(FORK);
  const replacement = await shop.reset(fork);
  assert.deepEqual(shop.contents(FORK), old);
  assert.deepEqual(await shop.list(), [FORK], "a bucket aside is a part of its fork");
  assert.equal(shop.buckets().length, 3);
  shop.server.requests.length = 0;
  const fresh = await replacement.commit();
  assert.deepEqual([fresh.id, fresh.name, fresh.copy], [fork.id, FORK, "full-copy"]);
  assert.deepEqual(shop.contents(FORK), shop.contents(PARENT));
  assert.equal(shop.server.requests.filter((one) => one.includes("CopyObject")).length, 3, "what is the same stays");
  assert.deepEqual(shop.buckets(), [FORK, PARENT].sort());
});

const FAILURES: Readonly<Record<string, readonly [RegExp, number, string, string]>> = {
  "an archived object": [/CopyObject/, 403, "InvalidObjectState", "PARENT_UNUSABLE"],
  "a parent that is gone": [/^\/myapp-bucket-prod/, 404, "NoSuchBucket", "NOT_FOUND"],
  "no room for a bucket more": [
    /^\/myapp-bucket-alice-[0-9a-f]{12}\/?(\?x-id=CreateBucket)?$/,
    400,
    "TooManyBuckets",
    "PLAN_LIMIT",
  ],
};

for (const [what, [target, status, vendorCode, code]] of Object.entries(FAILURES)) {
  Deno.test(`s3: reset() with ${what} is ${code}: the old content stays, and no bucket aside`, async () => {
    await using shop = await openShop();
    const fork = await shop.fork();
    await put(shop.server.directory, FORK, { mine: "mine" });
    const old = shop.contents(FORK);
    shop.server.intercept = (request, path) =>
      target.test(path) && (request.method !== "HEAD" && request.method !== "DELETE")
        ? failed(status, vendorCode, request)
        : undefined;
    await assert.rejects(shop.reset(fork), hasCode(code));
    shop.server.intercept = undefined;
    assert.deepEqual(shop.contents(FORK), old);
    assert.deepEqual(shop.buckets(), [FORK, PARENT].sort());
    await (await shop.reset(fork)).commit();
    assert.deepEqual(shop.contents(FORK), shop.contents(PARENT));
  });
}

Deno.test("s3: what a reset left that was killed goes with the next one, or with the fork", async () => {
  for (const next of ["reset", "delete"] as const) {
    await using shop = await openShop();
    const fork = await shop.fork();
    await shop.reset(fork); // neither committed nor discarded
    await put(shop.server.directory, PARENT, { later: "than that reset" });
    assert.equal(shop.buckets().length, 3);
    if (next === "delete") assert.equal(await shop.delete(fork), "deleted");
    else await (await shop.reset(fork)).commit();
    if (next === "reset") assert.deepEqual(shop.contents(FORK), shop.contents(PARENT));
    assert.deepEqual(shop.buckets(), next === "delete" ? [PARENT] : [FORK, PARENT].sort());
  }
});

Deno.test("s3: a bucket of somebody else at the place aside is left, and so is the fork", async () => {
  await using shop = await openShop();
  const fork = await shop.fork();
  const replacement = await shop.reset(fork);
  const aside = shop.buckets().find((name) => name !== FORK && name !== PARENT)!;
  await replacement.discard();
  await put(shop.server.directory, aside, { theirs: "theirs" });
  const [old, theirs] = [shop.contents(FORK), shop.contents(aside)];
  await assert.rejects(shop.reset(fork), hasCode("FOREIGN"));
  assert.deepEqual([shop.contents(FORK), shop.contents(aside)], [old, theirs]);
  assert.equal(await shop.delete(fork), "deleted");
  assert.deepEqual(shop.buckets(), [aside, PARENT].sort());
});

Deno.test("s3: names as long as they may be have a place aside too", async () => {
  for (const name of [FORK.padEnd(63, "x"), `${FORK}-`.padEnd(62, "-") + "z", "myapp-b"]) {
    await using shop = await openShop();
    const fork = await shop.fork(name);
    await put(shop.server.directory, name, { mine: "mine" });
    await (await shop.reset(fork)).commit();
    assert.deepEqual(shop.contents(name), shop.contents(PARENT));
    assert.deepEqual(shop.buckets(), [name, PARENT].sort());
  }
});
