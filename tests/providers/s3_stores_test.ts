/** `s3` at stores that are not as Amazon's: marks, orders, clocks, ETags, refusals; and at a parent that changes. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { inspect as show } from "node:util";
import { Bucket } from "../../core/s3/bucket.ts";
import { listPage } from "../../core/s3/list.ts";
import type { ForkstackError } from "../../mod.ts";
import { copyObjects } from "../../providers/_shared/s3_copy.ts";
import { Store } from "../../providers/_shared/s3_client.ts";
import provider from "../../providers/storage/s3.ts";
import { type Aws, type AwsOptions, failed, serveAws, xml } from "../emulators/aws_s3.ts";
import { hasCode } from "./_special.ts";
import { contentsOf, markIn, OBJECTS, PARENT, put, shopOf, titleOf } from "./_s3.ts";

const KEYS = { AWS_ACCESS_KEY_ID: "test-key", AWS_SECRET_ACCESS_KEY: "test-secret" };
const FORK = titleOf("alice");

async function openShop(given: AwsOptions = {}, objects: Readonly<Record<string, string>> = OBJECTS) {
  const server = await serveAws(given);
  await put(server.directory, PARENT, objects);
  const shop = shopOf(provider, KEYS, { endpoint: server.endpoint });
  return {
    ...shop,
    server,
    contents: (bucket: string) => contentsOf(server.directory, bucket),
    keys: (bucket: string) => keysOf(server, bucket),
    copies: () => server.requests.filter((one) => one.includes("CopyObject")).length,
    inspect: () => provider.inspect(shop.context(), shop.target("alice") as never),
    delete: (fork: Parameters<typeof provider.delete>[1], context = shop.context()) =>
      provider.delete(context, fork, shop.scope() as never),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

function keysOf({ directory }: Aws, bucket: string): string[] {
  const at = new Bucket(bucket, join(directory, bucket));
  return [...listPage(at, { prefix: "", delimiter: "", after: "", limit: Infinity }).keys];
}

const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`o/${i}`, `of ${i}`]));

// ---- Marks ----

const TAGGING: readonly (readonly [AwsOptions["tagging"], "tags" | "object"])[] = [
  [{}, "tags"],
  [{ atCreation: "ignored" }, "tags"],
  [{ atCreation: "refused" }, "tags"],
  [{ atCreation: "ignored", later: "ignored" }, "object"],
  [{ atCreation: "ignored", later: "refused" }, "object"],
  [{ atCreation: "refused", later: "ignored" }, "object"],
  [{ atCreation: "refused", later: "refused" }, "object"],
];

for (const [tagging = {}, place] of TAGGING) {
  const { atCreation = "kept", later = "kept" } = tagging;
  Deno.test(`s3: with tags ${atCreation} at creation and ${later} later, the mark is read back before anything is copied`, async () => {
    await using shop = await openShop({ tagging });
    const { marker: { stack, env, resource, operation } } = shop.target("alice");
    const target = shop.target("alice", { marker: { stack, env, resource, operation, name: FORK } });
    const fork = await shop.create(target);
    assert.equal(shop.server.tags.get(FORK)?.["forkstack-id"], place === "tags" ? fork.id : undefined);
    assert.equal(markIn(shop.server.directory, FORK)["forkstack-id"], place === "object" ? fork.id : undefined);
    const { requests } = shop.server;
    const mark = place === "tags" ? /^GET .*tagging/ : /^GET .*forkstack\.json/;
    const first = requests.findIndex((one) => one.includes("CopyObject"));
    const written = requests.findIndex((one) => one.startsWith(`PUT /${FORK}`));
    assert(requests.slice(written, first).some((one) => one.includes(FORK) && mark.test(one)), show(requests));
    assert.equal((await shop.inspect()).state, "ready");
    assert.deepEqual(shop.contents(FORK), shop.contents(PARENT));
    const listed = await Array.fromAsync(provider.list(shop.context(), shop.scope() as never));
    assert.deepEqual(listed.map(({ id }) => id), [fork.id]);
    const marker = { ...fork.marker, made: "prod_empty_2026-12-01T00:00:00.000Z" };
    await provider.remark!(shop.context(), { ...fork, marker }, shop.scope() as never);
    const seen = await shop.inspect();
    assert.equal(seen.state === "ready" && seen.fork.marker.made, marker.made);
    assert.equal(await shop.delete(fork), "deleted");
    assert.deepEqual(readdirSync(shop.server.directory), [PARENT]);
  });
}

for (const how of ["refused", "ignored"] as const) {
  Deno.test(`s3: where every mark is ${how}, the empty bucket of this run is removed, and nothing was copied`, async () => {
    await using shop = await openShop({ tagging: { atCreation: how, later: how } });
    shop.server.intercept = (request, target) => {
      if (request.method !== "PUT" || !target.includes("forkstack.json")) return undefined;
      return how === "refused" ? failed(403, "AccessDenied", request) : new Response(null, { status: 200 });
    };
    const code = how === "refused" ? "CREDENTIALS_DENIED" : "PROVIDER_REFUSED";
    await assert.rejects(shop.create(shop.target("alice")), hasCode(code));
    assert.deepEqual(readdirSync(shop.server.directory), [PARENT]);
    assert.equal(shop.copies(), 0);
  });
}

Deno.test("s3: a bucket that others fill while a store answers a second creation with 200 stays theirs", async () => {
  for (const tagging of [{ atCreation: "ignored" }, { atCreation: "refused", later: "refused" }] as const) {
    await using shop = await openShop({ tagging, isMadeTwice: true });
    let isThere = false;
    shop.server.intercept = async (request, target) => {
      if (!isThere && request.method === "PUT" && target.split("?")[0]!.replace(/\/$/, "") === `/${FORK}`) {
        isThere = true;
        await put(shop.server.directory, FORK, { theirs: "theirs" });
      }
      return undefined;
    };
    await assert.rejects(shop.create(shop.target("alice")), hasCode("FOREIGN"));
    await assert.rejects(shop.create(shop.target("alice", { isResumed: true })), hasCode("FOREIGN"));
    assert.equal((await shop.inspect()).state, "foreign");
    assert.deepEqual([shop.keys(FORK), shop.server.tags.get(FORK)], [["theirs"], undefined]);
  }
});

// ---- What is removed ----

Deno.test("s3: versions with the id null go by that id, with what was written while versioning was suspended", async () => {
  await using shop = await openShop();
  const fork = await shop.create(shop.target("alice"));
  const old = [
    { key: "before", id: "null", isMarker: false },
    { key: "gone", id: "null", isMarker: true },
    { key: "before", id: "v1", isMarker: false },
  ];
  shop.server.versions.set(FORK, old);
  assert.equal(await shop.delete(fork), "deleted");
  assert.deepEqual(readdirSync(shop.server.directory), [PARENT]);
});

Deno.test("s3: what is written into a bucket while it is deleted goes with it; what never ends is told", async () => {
  for (const [writes, code] of [[1, undefined], [2, undefined], [Infinity, "CONFLICT"]] as const) {
    await using shop = await openShop();
    const fork = await shop.create(shop.target("alice"));
    let left: number = writes;
    shop.server.intercept = async (request, target) => {
      const isRemoval = request.method === "DELETE" && target.split("?")[0]!.replace(/\/$/, "") === `/${FORK}`;
      if (isRemoval && left-- > 0) await put(shop.server.directory, FORK, { [`late ${left}`]: "written meanwhile" });
      return undefined;
    };
    const deleted = shop.delete(fork);
    if (code === undefined) assert.equal(await deleted, "deleted");
    else await assert.rejects(deleted, hasCode(code));
  }
});

const REFUSED: readonly (readonly [string, string, string, number])[] = [
  ["AccessDenied", "Access Denied", "CREDENTIALS_DENIED", 1],
  ["AccessDenied", "Object is WORM protected and cannot be overwritten", "RESOURCE_LOCKED", 1],
  ["MethodNotAllowed", "The specified method is not allowed", "DELETE_INCOMPLETE", 1],
  ["InternalError", "We encountered an internal error", "DELETE_INCOMPLETE", 8],
];

for (const [Code, Message, code, requests] of REFUSED) {
  Deno.test(`s3: a delete that answers ${Code} (${Message}) is ${code} after ${requests} requests`, async () => {
    await using shop = await openShop();
    const fork = await shop.create(shop.target("alice"));
    let asked = 0;
    shop.server.intercept = (request, target) => {
      if (request.method !== "POST" || !target.includes("delete")) return undefined;
      asked++;
      return xml("DeleteResult", { Error: [{ Key: "empty", Code, Message }] });
    };
    await assert.rejects(shop.delete(fork), (error: ForkstackError) => {
      assert.match(String(error.cause), new RegExp(`${Code}: ${Message}`));
      return hasCode(code)(error);
    });
    assert.equal(asked, requests);
    assert.equal((await shop.inspect()).state, "ready", "it is still known");
  });
}

// ---- Orders ----

/** Answers lists as a store in another order does, a page of three at a time. */
function listIn(server: Aws, sorted: (keys: string[]) => string[]): void {
  server.intercept = (_request, target) => {
    const [path = "", search] = target.split("?");
    const query = new URLSearchParams(search);
    const bucket = path.split("/")[1]!;
    if (query.get("list-type") !== "2" || !readdirSync(server.directory).includes(bucket)) return undefined;
    const at = new Bucket(bucket, join(server.directory, bucket));
    const first = Number(query.get("continuation-token") ?? 0);
    const all = sorted(keysOf(server, bucket));
    const Contents = all.slice(first, first + 3).map((Key) => {
      using found = at.need(Key);
      const { etag } = found.meta;
      return { Key: encodeURIComponent(Key), Size: found.sizeBytes, ETag: etag, LastModified: "2026-11-30T10:00:00Z" };
    });
    const isTruncated = first + 3 < all.length;
    return xml("ListBucketResult", {
      EncodingType: "url",
      IsTruncated: isTruncated,
      NextContinuationToken: isTruncated ? first + 3 : undefined,
      Contents,
    });
  };
}

const UNORDERED = Object.fromEntries(
  ["a/b", "a!", "a b", "a", "b/ü +%.jpg", "Ä", "z/1/2", "z/1", "z-1", "_", "\u{1f600}", "\uffee"].map((
    key,
  ) => [key, key]),
);

const ORDERS: Readonly<Record<string, (keys: string[]) => string[]>> = {
  "by directories": (keys) => keys.sort((a, b) => a.replaceAll("/", "\0") < b.replaceAll("/", "\0") ? -1 : 1),
  "of JavaScript": (keys) => keys.sort(),
  "backwards": (keys) => keys.sort().reverse(),
  "by hash": (keys) => keys.sort((a, b) => hash(a) - hash(b)),
  "another at each look": (keys) => keys.map((key) => [Math.random(), key] as const).sort().map(([, key]) => key),
};

function hash(key: string): number {
  return [...key].reduce((sum, sign) => (sum * 31 + sign.codePointAt(0)!) % 1_009, 7);
}

for (const [order, sorted] of Object.entries(ORDERS)) {
  Deno.test(`s3: lists in an order ${order} are compared, each object copied once, and what is extra removed`, async () => {
    if (order === "another at each look") return await restless(sorted);
    await using shop = await openShop({}, UNORDERED);
    listIn(shop.server, sorted);
    await shop.create(shop.target("alice"));
    assert.deepEqual(shop.contents(FORK), shop.contents(PARENT));
    assert.equal(shop.copies(), Object.keys(UNORDERED).length);
    await put(shop.server.directory, FORK, { "a/extra": "1", "z": "2" });
    await put(shop.server.directory, PARENT, { "a!": "changed" });
    await again(shop);
    assert.deepEqual(shop.contents(FORK), shop.contents(PARENT));
    assert.equal(shop.copies(), Object.keys(UNORDERED).length + 1);
  });
}

/** Pages of one walk must be of one order; the order of the next may be another. */
async function restless(sorted: (keys: string[]) => string[]): Promise<void> {
  await using shop = await openShop({}, UNORDERED);
  const orders = new Map<string, string[]>();
  listIn(shop.server, (keys) => {
    const now = keys.sort().join("\n");
    if (!orders.has(now)) orders.set(now, sorted(keys));
    return orders.get(now)!;
  });
  await shop.create(shop.target("alice"));
  assert.deepEqual(shop.contents(FORK), shop.contents(PARENT));
}

/** Copies once more, as a rerun does. */
async function again(shop: Awaited<ReturnType<typeof openShop>>, job: object = {}): Promise<void> {
  const { endpoint, credentials } = shop.server;
  const hints = { rejected: "", denied: "" };
  const account = { provider: "s3", resource: "storage", endpoint, region: "us-east-1", credentials, hints };
  const takes = (key: string) => key !== ".forkstack.json";
  const context = shop.context();
  await Store.with(
    context,
    account,
    (store) => copyObjects(context, store, { from: PARENT, to: FORK, takes, ...job }, { objects: 1, sizeBytes: 1 }),
  );
}

// ---- ETags and clocks ----

/** A store that encrypts, or makes one part of several: a copy has an ETag of its own. All times are of one second. */
function withOwnEtags(shop: Awaited<ReturnType<typeof openShop>>, afterCopy = () => Promise.resolve()) {
  const context = shop.context();
  return {
    ...context,
    fetch: async (request: Request) => {
      const response = await context.fetch(request);
      const isCopy = request.url.includes("CopyObject");
      if (!isCopy && !(request.url.includes("list-type=2") && request.url.includes(FORK))) return response;
      const text = (await response.text())
        .replace(/<ETag>(?:&quot;)?([0-9a-f]+)(?:&quot;)?<\/ETag>/g, "<ETag>$1-of-the-copy</ETag>")
        .replace(/<LastModified>[^<]*/g, "<LastModified>2026-11-30T10:00:00.000Z");
      if (isCopy) await afterCopy();
      return new Response(text, { status: response.status, headers: response.headers });
    },
  };
}

for (const count of [0, 1, 30]) {
  Deno.test(`s3: ${count} objects whose ETags differ by nature, within one second, are copied once each`, async () => {
    await using shop = await openShop({}, many(count));
    await shop.create(shop.target("alice"), withOwnEtags(shop));
    assert.deepEqual(shop.contents(FORK), shop.contents(PARENT));
    assert.equal(shop.copies(), count);
  });
}

Deno.test("s3: what changes within the second of its copy, in size or not, is copied again", async () => {
  for (const changed of ["OF 7", "of another size", ""]) {
    for (const isOwn of [true, false]) {
      await using shop = await openShop({}, many(20));
      let isChanged = false;
      const change = async () => {
        if (isChanged || !shop.keys(FORK).includes("o/7")) return;
        isChanged = true;
        await put(shop.server.directory, PARENT, { "o/7": changed });
      };
      const plain = shop.context();
      const context = isOwn ? withOwnEtags(shop, change) : {
        ...plain,
        fetch: async (request: Request) => {
          const response = await plain.fetch(request);
          if (request.url.includes("CopyObject")) await change();
          return response;
        },
      };
      await shop.create(shop.target("alice"), context);
      assert(isChanged);
      assert.deepEqual(shop.contents(FORK), shop.contents(PARENT));
      assert.equal(shop.copies(), 21);
    }
  }
});

Deno.test("s3: an object that is another at each condition is copied as it is at one of them", async () => {
  await using shop = await openShop({}, many(3));
  let count = 0;
  shop.server.intercept = async (request) => {
    if (request.headers.get("x-amz-copy-source")?.endsWith("o/1")) {
      await put(shop.server.directory, PARENT, { "o/1": `change ${++count}` });
    }
    return undefined;
  };
  await shop.create(shop.target("alice"));
  assert.deepEqual(shop.keys(FORK).filter((key) => key.startsWith("o/")), ["o/0", "o/1", "o/2"]);
  assert(count <= 25, `${count} copies of it`);
  using found = new Bucket(FORK, join(shop.server.directory, FORK)).need("o/1");
  assert.match(new TextDecoder().decode(found.read(0, found.sizeBytes) as Uint8Array), /^change \d+$/);
});

Deno.test("s3: a large object that never stands still is PARENT_BUSY, and no torn copy is left", async () => {
  await using shop = await openShop({}, many(2));
  await shop.create(shop.target("alice"));
  let count = 0;
  const large = () => put(shop.server.directory, PARENT, { large: `${++count}`.padEnd(64, "x") });
  await large();
  shop.server.intercept = async (_request, target) => {
    if (target.includes("UploadPartCopy")) await large();
    return undefined;
  };
  const began = count;
  await assert.rejects(again(shop, { callBytes: 32, partBytes: 32 }), hasCode("PARENT_BUSY"));
  assert(count - began <= 8 * 4 * 2, `${count} looks`);
  assert(!shop.keys(FORK).includes("large"));
});

Deno.test("s3: what the parent lost since an earlier attempt is not in the fork", async () => {
  for (const lost of [["o/0"], ["o/3", "o/7"], Object.keys(many(9))]) {
    await using shop = await openShop({}, many(9));
    let copies = 0;
    shop.server.intercept = (request, target) =>
      target.includes("CopyObject") && ++copies > 8 ? failed(403, "AccessDenied", request) : undefined;
    await assert.rejects(shop.create(shop.target("alice")), hasCode("CREDENTIALS_DENIED"));
    shop.server.intercept = undefined;
    const parent = new Bucket(PARENT, join(shop.server.directory, PARENT));
    for (const key of lost) parent.delete(key);
    await shop.create(shop.target("alice"));
    assert.deepEqual(shop.contents(FORK), shop.contents(PARENT));
  }
});
