import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { inspect as show } from "node:util";
import * as s3 from "npm:@aws-sdk/client-s3@3.1162.0";
import type { Secret } from "../../core/provider.ts";
import type { ForkstackError } from "../../mod.ts";
import provider from "../../providers/storage/r2.ts";
import { FEW_IN_GATE, testProvider } from "../conformance.ts";
import { type R2Options, serveR2 } from "../emulators/r2.ts";
import { HOSTILE_KEYS } from "../emulators/s3_checks.ts";
import { jsonRequest, Specification, testSpecification } from "../emulators/specification.ts";
import { ACCOUNT, r2Emulator } from "./_r2.ts";
import { clientOf, contentsOf, isolation, OBJECTS, PARENT, put, shopOf, titleOf } from "./_s3.ts";

/**
 * The specification says of the list's `result` that it is an array and an object at once, which nothing can be. It is the
 * object that the vendor's own SDK reads: https://github.com/cloudflare/cloudflare-typescript, `BucketListResponse`.
 */
// deno-lint-ignore no-explicit-any -- a part of a specification
function correct(specification: any): void {
  const list =
    specification.paths["/accounts/{account_id}/r2/buckets"].get.responses["200"].content["application/json"];
  const [, { properties: { result } }] = list.schema.allOf;
  assert.equal(result.type, "array", "it is corrected by now: read it as it is");
  list.schema.allOf[1].properties.result = { type: "object", properties: { buckets: result }, required: ["buckets"] };
}

const SPECIFICATION = Specification.read("cloudflare-r2.json", { base: "/client/v4", correct });

testProvider({ provider, emulator: r2Emulator(SPECIFICATION), options: { account: ACCOUNT }, ...FEW_IN_GATE });
testSpecification("r2", SPECIFICATION, {
  request: jsonRequest(`https://api.cloudflare.com/client/v4/accounts/${ACCOUNT}/r2/buckets`, "POST"),
  sent: JSON.stringify({ name: "x" }),
  is: /name: must NOT have fewer than 3 characters/,
}, 100);

const CREDENTIALS = { CLOUDFLARE_API_TOKEN: "test-token", R2_ACCESS_KEY_ID: "test-id" };
const FORK = titleOf("alice");

async function openShop(given: R2Options = {}, options: object = {}, credentials: object = {}, objects = OBJECTS) {
  const server = await serveR2(given);
  await put(server.directory, PARENT, objects);
  const standard = { account: ACCOUNT, endpoint: server.url, s3Endpoint: server.endpoint, ...options };
  return {
    ...shopOf(provider, { ...CREDENTIALS, ...credentials }, standard),
    server,
    contents: (bucket: string) => contentsOf(server.directory, bucket),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

Deno.test("r2: hostile keys survive, and go, without tags and versions", async () => {
  const objects = Object.fromEntries(HOSTILE_KEYS.map((key, i) => [key, i % 5 === 0 ? "" : `of ${key}`]));
  await using shop = await openShop({}, {}, {}, objects);
  const fork = await shop.create(shop.target("alice"));
  assert.deepEqual(shop.contents(FORK), shop.contents(PARENT));
  assert.equal(await provider.delete(shop.context(), fork, shop.scope() as never), "deleted");
  assert.deepEqual(readdirSync(shop.server.directory), [PARENT]);
});

Deno.test("r2: temporary keys open one bucket, until the lease ends", async () => {
  let ahead = 0;
  await using shop = await openShop({ now: () => Date.now() + ahead });
  const [alice] = [await shop.create(shop.target("alice")), await shop.create(shop.target("bob"))];
  const expiresAt = new Date(Date.now() + 3_600_000).toISOString();
  const outputs = await provider.outputs(shop.context(), alice, { ...shop.scope(), expiresAt } as never);
  const [accessKeyId, secretAccessKey, sessionToken] = ["ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN"]
    .map((name) => (outputs[`AWS_${name}`] as Secret).reveal()) as [string, string, string];
  const client = new s3.S3Client({
    endpoint: outputs.AWS_ENDPOINT_URL_S3 as string,
    region: "auto",
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey, sessionToken },
  });
  const put = () => client.send(new s3.PutObjectCommand({ Bucket: FORK, Key: "x", Body: "x" }));
  await put();
  await assert.rejects(client.send(new s3.ListObjectsV2Command({ Bucket: titleOf("bob") })), { name: "AccessDenied" });
  assert.deepEqual(shop.said, []);
  ahead = 3_601_000;
  await assert.rejects(put(), { name: "InvalidAccessKeyId" });
  client.destroy();
  await provider.outputs(shop.context(), alice, shop.scope() as never);
  assert.match(shop.said.join(), /end in 7 days/);
  const shared = await provider.outputs(shop.context(), alice, shop.scope({ keys: "shared" }) as never);
  assert.equal((shared.AWS_ACCESS_KEY_ID as Secret).reveal(), "test-id");
});

Deno.test("r2: a name that is taken, in either way that is documented", async () => {
  for (const taken of [[409, 10073], [400, 10004]] as const) {
    await using shop = await openShop({ taken });
    const fetch = shop.context().fetch;
    let isFirst = true;
    const racing = async (request: Request) => {
      const isMake = request.method === "POST" && request.url.endsWith("/buckets");
      if (isMake && isFirst) {
        isFirst = false;
        await put(shop.server.directory, FORK, { theirs: "theirs" });
      }
      return await fetch(request);
    };
    await assert.rejects(shop.create(shop.target("alice"), { ...shop.context(), fetch: racing }), { code: "FOREIGN" });
    assert.equal(shop.contents(FORK).length, 1);
  }
});

const REFUSALS: Record<string, {
  code: string;
  says: RegExp;
  given?: R2Options;
  credentials?: Partial<typeof CREDENTIALS>;
  options?: object;
  parent?: string;
}> = {
  "a token that is none": {
    code: "CREDENTIALS_DENIED",
    says: /Admin Read & Write/,
    credentials: { CLOUDFLARE_API_TOKEN: "x" },
  },
  "an id of another token": {
    code: "CREDENTIALS_REJECTED",
    says: /must be the id/,
    credentials: { R2_ACCESS_KEY_ID: "x" },
  },
  "another account": { code: "PROVIDER_REFUSED", says: /\(400\)/, options: { account: "f".repeat(32) } },
  "the most buckets": { code: "PLAN_LIMIT", says: /limit of buckets.*prune/s, given: { maxBuckets: 1 } },
  "a missing parent": { code: "NOT_FOUND", says: /no such bucket.*--from/s, parent: "nobody" },
};

for (const [what, { code, says, given, credentials, options, parent }] of Object.entries(REFUSALS)) {
  Deno.test(`r2: ${what} is ${code}, and nothing of others is touched`, async () => {
    await using shop = await openShop(given, options, credentials);
    await assert.rejects(shop.create(shop.target("alice", parent ? { parent } : {})), (error: ForkstackError) => {
      assert.equal(error.code, code, show(error));
      assert.match([error.message, error.hint].join("\n"), says);
      assert(error.details.requestId, show(error.details));
      return true;
    });
    assert.equal(shop.contents(PARENT).length, Object.keys(OBJECTS).length);
    assert.deepEqual(readdirSync(shop.server.directory), [PARENT]);
  });
}

Deno.test("r2: a 404 that is not the API's is no absent bucket", async () => {
  await using shop = await openShop();
  shop.server.intercept = () => new Response("nginx", { status: 404 });
  await assert.rejects(provider.inspect(shop.context(), shop.target("alice") as never), { code: "NOT_FOUND" });
});

Deno.test("r2: a jurisdiction has a host of its own, and is named in each call", async () => {
  await using shop = await openShop({}, { jurisdiction: "eu" });
  const seen = new Set<string | null>();
  shop.server.intercept = (request) => {
    seen.add(request.headers.get("cf-r2-jurisdiction"));
    return undefined;
  };
  const fork = await shop.create(shop.target("alice"));
  assert.deepEqual([...seen], ["eu"]);
  const scope = shop.scope({ s3Endpoint: undefined, keys: "shared" });
  const outputs = await provider.outputs(shop.context(), fork, scope as never);
  assert.equal(outputs.AWS_ENDPOINT_URL_S3, `https://${ACCOUNT}.eu.r2.cloudflarestorage.com`);
});

Deno.test("r2: neither parent nor fork sees what is written to the other", async () => {
  await using shop = await openShop();
  await isolation(shop, clientOf(shop.server));
});

Deno.test("r2: what wrangler sends of objects and settings reaches the emulator, and harms no bucket", async () => {
  await using shop = await openShop({}, {}, {}, {}); // an empty parent: a delete in the wrong place would take it
  const base = `${shop.server.url}/client/v4/accounts/${ACCOUNT}`;
  const headers = { authorization: "Bearer test-token" };
  const ask = async (method: string, path: string, body?: string) => {
    const answer = await fetch(`${base}/${path}`, { method, headers, ...(body === undefined ? {} : { body }) });
    return [answer.status, await answer.text()] as const;
  };
  const bucket = `r2/buckets/${PARENT}`;
  for (const key of ["covers/1.jpg", "a%20b/%C3%BC.txt", ".forkstack.json"]) {
    assert.equal((await ask("PUT", `${bucket}/objects/${encodeURI(decodeURI(key))}`, `of ${key}`))[0], 200, key);
  }
  assert.deepEqual(await ask("GET", `${bucket}/objects/covers/1.jpg`), [200, "of covers/1.jpg"]);
  const { result } = JSON.parse((await ask("GET", `${bucket}/objects`))[1]);
  assert.deepEqual(result.map(({ key }: { key: string }) => key).sort(), [
    ".forkstack.json",
    "a b/ü.txt",
    "covers/1.jpg",
  ]);
  for (const { key } of result) assert.equal((await ask("DELETE", `${bucket}/objects/${encodeURI(key)}`))[0], 200);
  assert.equal((await ask("GET", `${bucket}/objects/covers/1.jpg`))[0], 404);

  const settings = [
    "cors",
    "lifecycle",
    "lock",
    "domains/custom",
    "domains/custom/x.example",
    "domains/managed",
    "sippy",
  ];
  for (const setting of settings) {
    assert.equal((await ask("GET", `${bucket}/${setting}`))[0], 200, setting);
    assert.equal((await ask("PUT", `${bucket}/${setting}`, '{"kept":1}'))[0], 200, setting);
    assert.deepEqual(JSON.parse((await ask("GET", `${bucket}/${setting}`))[1]).result, { kept: 1 });
    assert.equal((await ask("DELETE", `${bucket}/${setting}`))[0], 200, setting);
  }
  for (
    const [method, path] of [["DELETE", "nobody-knows"], ["DELETE", "objects"], ["PUT", ""], ["DELETE", "objects/"], [
      "PUT",
      "objects/../up",
    ]]
  ) {
    assert(
      (await ask(method!, `${bucket}/${path}`, method === "PUT" ? "{}" : undefined))[0] >= 400,
      `${method} ${path}`,
    );
  }
  assert.equal((await ask("DELETE", "r2/buckets"))[0], 405);
  assert.equal((await ask("DELETE", "r2/buckets/%2e%2e"))[0] >= 400, true);
  assert.equal((await ask("GET", `event_notifications/r2/${PARENT}/configuration`))[0], 200);
  assert.deepEqual(readdirSync(shop.server.directory), [PARENT]);
});

Deno.test("r2: a mark that `wrangler r2 object put` or `delete` changes is seen, and what it wrote is no fork's", async () => {
  await using shop = await openShop();
  const fork = await shop.create(shop.target("alice"));
  const url = `${shop.server.url}/client/v4/accounts/${ACCOUNT}/r2/buckets/${FORK}/objects/.forkstack.json`;
  const headers = { authorization: "Bearer test-token" };
  const mark = await (await fetch(url, { headers })).text();
  assert.equal(JSON.parse(mark)["forkstack-id"], fork.id);
  await (await fetch(url, { method: "DELETE", headers })).text();
  const seen = await provider.inspect(shop.context(), shop.target("alice") as never);
  assert.equal(seen.state, "ready", "by its birth on record");
  const theirs = { ...JSON.parse(mark), "forkstack-id": "another" };
  await (await fetch(url, { method: "PUT", headers, body: JSON.stringify(theirs) })).text();
  assert.equal(await provider.delete(shop.context(), fork, shop.scope() as never), "absent");
  await (await fetch(url, { method: "PUT", headers, body: mark })).text();
  assert.equal(await provider.delete(shop.context(), fork, shop.scope() as never), "deleted");
});
