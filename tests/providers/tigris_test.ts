import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { inspect as show } from "node:util";
import * as s3 from "npm:@aws-sdk/client-s3@3.1162.0";
import type { Secret } from "../../core/provider.ts";
import type { ForkstackError } from "../../mod.ts";
import provider from "../../providers/storage/tigris.ts";
import { type Emulator, FEW_IN_GATE, testProvider } from "../conformance.ts";
import { serveTigris, type TigrisOptions } from "../emulators/tigris.ts";
import { bucketWorld, clientOf, contentsOf, isolation, OBJECTS, PARENT, put, shopOf, titleOf } from "./_s3.ts";

const KEYS = { AWS_ACCESS_KEY_ID: "test-key", AWS_SECRET_ACCESS_KEY: "test-secret" };
const FORK = titleOf("alice");

const emulator: Emulator = {
  worldsAtOnce: 4,
  async open({ credentials, isOverHttp }) {
    const server = await serveTigris({
      accessKeyId: credentials.AWS_ACCESS_KEY_ID!,
      secretAccessKey: credentials.AWS_SECRET_ACCESS_KEY!,
      pageSize: 2,
    });
    const { directory, endpoint } = server;
    const world = await bucketWorld({
      server,
      isOverHttp,
      options: { endpoint, iamEndpoint: endpoint },
      noteOf: (name) => server.tags.get(name) ?? {},
      setNote: (name, note) => void server.tags.set(name, note),
    });
    server.kinds.set(PARENT, {});
    const at = Date.now() - 3_600_000;
    server.keep(PARENT, at);
    const digest = await world.contentOf!(PARENT);
    await put(directory, PARENT, { later: "than the snapshot" });
    return {
      ...world,
      past: () => Promise.resolve({ at: new Date(at + 60_000).toISOString(), digest }),
      canaries: () => [...world.canaries!(), ...[...server.keys.values()].map(({ secret }) => secret)],
    };
  },
};

testProvider({ provider, emulator, ...FEW_IN_GATE });

async function openShop(given: TigrisOptions = {}, options: object = {}) {
  const server = await serveTigris(given);
  await put(server.directory, PARENT, OBJECTS);
  server.kinds.set(PARENT, {});
  const shop = shopOf(provider, KEYS, { endpoint: server.endpoint, iamEndpoint: server.endpoint, ...options });
  return {
    ...shop,
    server,
    contents: (bucket: string) => contentsOf(server.directory, bucket),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

Deno.test("tigris: a fork is of a snapshot that was taken for it, without a byte copied", async () => {
  await using shop = await openShop();
  const fork = await shop.create(shop.target("alice"));
  assert.equal(fork.copy, "copy-on-write");
  const [snapshot] = shop.server.snapshots.get(PARENT)!;
  assert.equal(snapshot!.label, FORK);
  assert.deepEqual(shop.server.kinds.get(FORK), { source: PARENT, snapshot: String(snapshot!.version) });
  assert.deepEqual(shop.contents(FORK), shop.contents(PARENT));
  assert(!shop.server.requests.some((one) => one.includes("CopyObject")));
  const ofIt = await shop.create(shop.target("bob", { parent: FORK })); // forks of forks work
  assert.equal(ofIt.parentId, FORK);
});

Deno.test("tigris: at an instant it is the newest snapshot of then; with none the past is out of reach", async () => {
  await using shop = await openShop();
  const at = Date.parse("2026-11-20T10:00:00Z");
  for (const hours of [-2, -1, 1]) {
    await put(shop.server.directory, PARENT, { when: `${hours}` });
    shop.server.keep(PARENT, at + hours * 3_600_000);
  }
  await shop.create(shop.target("alice", { at: new Date(at).toISOString() }));
  assert.equal(shop.server.kinds.get(FORK)!.snapshot, String(shop.server.snapshots.get(PARENT)![1]!.version));
  assert.equal(shop.server.snapshots.get(PARENT)!.length, 3, "no further one is taken");
  const early = new Date(at - 7_200_001).toISOString();
  await assert.rejects(shop.create(shop.target("bob", { at: early })), { code: "AT_OUT_OF_REACH" });
  await assert.rejects(shop.create(shop.target("bob", { at: "0/1F3D3A8" })), { code: "AT_INVALID" });
  assert.deepEqual(readdirSync(shop.server.directory).sort(), [FORK, PARENT]);
});

Deno.test("tigris: an environment's key opens its own bucket, and goes with it; others' keys stay", async () => {
  await using shop = await openShop();
  const [alice, bob] = [await shop.create(shop.target("alice")), await shop.create(shop.target("bob"))];
  const outputs = await provider.outputs(shop.context(), alice, shop.scope() as never);
  await provider.outputs(shop.context(), alice, shop.scope() as never); // each call makes one
  await provider.outputs(shop.context(), bob, shop.scope() as never);
  const strangers = { id: "tid_x", secret: "s", name: `${FORK}-key-0123abcd`, bucket: "another" };
  shop.server.keys.set(strangers.id, strangers);
  const client = clientOf({
    ...shop.server,
    credentials: {
      accessKeyId: (outputs.AWS_ACCESS_KEY_ID as Secret).reveal(),
      secretAccessKey: (outputs.AWS_SECRET_ACCESS_KEY as Secret).reveal(),
    },
  });
  await client.send(new s3.PutObjectCommand({ Bucket: FORK, Key: "x", Body: "x" }));
  await assert.rejects(client.send(new s3.ListObjectsV2Command({ Bucket: titleOf("bob") })), { name: "AccessDenied" });
  client.destroy();
  assert.equal(await provider.delete(shop.context(), alice, shop.scope() as never), "deleted");
  assert.deepEqual([...shop.server.keys.values()].map(({ bucket }) => bucket), [titleOf("bob"), "another"]);
  assert.equal(shop.server.snapshots.get(PARENT)!.length, 2, "snapshots stay: they are the parent's");
});

Deno.test("tigris: keys are shared only if the options say so", async () => {
  await using shop = await openShop({ mayMakeKeys: false });
  const fork = await shop.create(shop.target("alice"));
  await assert.rejects(provider.outputs(shop.context(), fork, shop.scope() as never), (error: ForkstackError) => {
    assert.equal(error.code, "CREDENTIALS_DENIED", show(error));
    assert.match(error.hint!, /"keys": "shared"/);
    assert(error.details.requestId);
    return true;
  });
  const outputs = await provider.outputs(shop.context(), fork, shop.scope({ keys: "shared" }) as never);
  assert.equal((outputs.AWS_ACCESS_KEY_ID as Secret).reveal(), "test-key");
});

Deno.test("tigris: a parent without snapshots is told how to have them, and left as it is", async () => {
  await using shop = await openShop();
  shop.server.kinds.delete(PARENT);
  await assert.rejects(shop.create(shop.target("alice")), (error: ForkstackError) => {
    assert.equal(error.code, "PARENT_UNUSABLE");
    assert.match(error.hint!, /tigris buckets enable-snapshots myapp-bucket-prod/);
    return true;
  });
  assert.deepEqual(readdirSync(shop.server.directory), [PARENT]);
  assert(shop.server.requests.every((one) => /^(HEAD|GET) /.test(one)), show(shop.server.requests));
});

Deno.test("tigris: a store that ignores the headers makes no fork, and its empty bucket goes again", async () => {
  await using shop = await openShop();
  const { requests } = shop.server;
  const context = shop.context();
  // A proxy that passes on what it knows of S3.
  const fetch = async (request: Request) => {
    const isFork = request.headers.has("x-tigris-fork-source-bucket");
    if (!isFork) return await context.fetch(request);
    await put(shop.server.directory, FORK, {});
    requests.push("PUT without its headers");
    return new Response(null);
  };
  await assert.rejects(shop.create(shop.target("alice"), { ...context, fetch }), (error: ForkstackError) => {
    assert.equal(error.code, "PROVIDER_REFUSED", show(error));
    assert.match(`${error.message} ${error.hint}`, /not a fork.*provider s3/s);
    return true;
  });
  assert.deepEqual(readdirSync(shop.server.directory), [PARENT]);
  await using deaf = await openShop({ isDeaf: true });
  await assert.rejects(deaf.create(deaf.target("alice")), { code: "PROVIDER_REFUSED" });
  assert.deepEqual(readdirSync(deaf.server.directory), [PARENT]);
});

Deno.test("tigris: neither parent nor fork sees what is written to the other", async () => {
  await using shop = await openShop();
  await isolation(shop, clientOf(shop.server));
});

Deno.test("tigris: a bucket whose tags its application removed is still known, and goes with its environment", async () => {
  await using shop = await openShop();
  const target = shop.target("alice");
  const fork = await shop.create(target);
  shop.server.tags.delete(FORK);
  const seen = await provider.inspect(shop.context(), target as never);
  assert.equal(seen.state, "ready", show(seen));
  assert.equal((seen as { fork: { id: string } }).fork.id, fork.id);
  assert.equal(await provider.delete(shop.context(), fork, shop.scope() as never), "deleted");
  await put(shop.server.directory, FORK, { theirs: "theirs" }); // made later: another time of creation
  assert.equal((await provider.inspect(shop.context(), target as never)).state, "foreign");
  assert.equal(await provider.delete(shop.context(), fork, shop.scope() as never), "absent");
  assert(readdirSync(shop.server.directory).includes(FORK));
});

Deno.test("tigris: after a lost reply a bucket is ours if it is a fork of the very snapshot that was taken for it", async () => {
  await using shop = await openShop();
  const target = { ...shop.target("alice"), isResumed: true };
  const context = shop.context();
  const lost = async (request: Request) => {
    const response = await context.fetch(request);
    if (!request.headers.has("x-tigris-fork-source-bucket") || !response.ok) return response; // not seen yet
    throw new TypeError("the reply was lost");
  };
  await assert.rejects(shop.create(target, { ...context, fetch: lost }));
  assert.equal((await provider.inspect(context, target as never)).state, "pending");
  assert.equal((await provider.inspect(context, { ...target, isResumed: false } as never)).state, "foreign");
  const kind = shop.server.kinds.get(FORK)!;
  shop.server.kinds.set(FORK, { ...kind, snapshot: `${BigInt(kind.snapshot!) + 1n}` }); // of the parent, but not ours
  assert.equal((await provider.inspect(context, target as never)).state, "foreign");
  await assert.rejects(shop.create(target), { code: "FOREIGN" });
  shop.server.kinds.set(FORK, kind);
  assert.equal((await shop.create(target)).copy, "copy-on-write");
  assert.deepEqual(shop.ledger.takenOver, []);
});

Deno.test("tigris: every request asks for what is newest, writes too; where the client is does not matter", async () => {
  for (const isElsewhere of [true, false]) {
    for (const settling of [0, 1, 5]) {
      await using shop = await openShop({ isElsewhere, settling });
      const context = shop.context();
      const asked: string[] = [];
      const fetch = (request: Request) => {
        const url = new URL(request.url);
        const isIam = url.pathname === "/" && request.method === "POST";
        if (!isIam && request.headers.get("x-tigris-consistent") !== "true") asked.push(`${request.method} ${url}`);
        return context.fetch(request);
      };
      const noted = { ...context, fetch };
      const fork = await shop.create(shop.target("alice"), noted);
      await provider.probe(noted, fork, shop.scope() as never);
      assert.equal((await Array.fromAsync(provider.list(noted, shop.scope() as never))).length, 1);
      assert.equal((await provider.inspect(noted, shop.target("alice") as never)).state, "ready");
      assert.equal(await provider.delete(noted, fork, shop.scope() as never), "deleted");
      assert.deepEqual(asked, []);
    }
  }
});

Deno.test("tigris: what does not show within 20 s is told, or taken for what it is not", async () => {
  const waits = (slept: number[]) => ({ sleep: (ms: number) => Promise.resolve(void slept.push(ms)) });
  await using shop = await openShop({ settling: 100 });
  const slept: number[] = [];
  await assert.rejects(shop.create(shop.target("alice"), shop.context(waits(slept))), { code: "PROVIDER_REFUSED" });
  const total = slept.reduce((sum, one) => sum + one, 0);
  assert(total >= 20_000 && total < 23_000, `${total}`);
  assert.deepEqual(readdirSync(shop.server.directory), [PARENT]);
  assert.equal(shop.server.snapshots.get(PARENT)!.length, 1, "one snapshot for all tries");
});

Deno.test("tigris: a mark that did not show yet, and then does, is of the same bucket", async () => {
  await using shop = await openShop();
  const target = { ...shop.target("alice"), isResumed: true };
  const context = shop.context();
  const lost = async (request: Request) => {
    const response = await context.fetch(request);
    if (!(request.method === "PUT" && request.url.includes("tagging"))) return response;
    throw new TypeError("the reply was lost");
  };
  await assert.rejects(shop.create(target, { ...context, fetch: lost }));
  const seen = await provider.inspect(context, target as never); // by its birth
  assert(seen.state === "pending", show(seen));
  assert.equal(await provider.delete(context, seen.fork, shop.scope() as never), "deleted");
  assert.deepEqual(readdirSync(shop.server.directory), [PARENT]);
});

Deno.test("tigris: the emulator shows a client elsewhere what was before, unless write and read ask for consistency", async () => {
  const name = "made-elsewhere";
  for (
    const [writes, reads, isElsewhere] of [[true, true, true], [true, false, true], [false, true, true], [
      false,
      false,
      false,
    ]]
  ) {
    await using server = await serveTigris({ isElsewhere: isElsewhere!, settling: 0 });
    const client = clientOf(server);
    let isAsked = false;
    client.middlewareStack.add((next) => (args) => {
      if (isAsked) (args.request as { headers: Record<string, string> }).headers["x-tigris-consistent"] = "true";
      return next(args);
    }, { step: "build" });
    isAsked = writes!;
    await client.send(new s3.CreateBucketCommand({ Bucket: name }));
    isAsked = reads!;
    const looks = [];
    for (let look = 0; look < 6; look++) {
      looks.push(await client.send(new s3.HeadBucketCommand({ Bucket: name })).then(() => true, () => false));
    }
    const isSeen = !isElsewhere || (writes && reads);
    assert.equal(looks[0], isSeen, `${writes} ${reads} ${isElsewhere}`);
    assert.equal(looks.at(-1), true, "in the end it shows everywhere");
    client.destroy();
  }
});
