/** What is special to `s3`: copies that are cut off, asked to slow down, or overtaken; what a bucket is emptied of. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { inspect as show } from "node:util";
import * as s3 from "npm:@aws-sdk/client-s3@3.1162.0";
import { type Context, Secret } from "../../core/provider.ts";
import { Bucket } from "../../core/s3/bucket.ts";
import { ForkstackError } from "../../mod.ts";
import { Store } from "../../providers/_shared/s3_client.ts";
import { copyObjects } from "../../providers/_shared/s3_copy.ts";
import provider from "../../providers/storage/s3.ts";
import { type AwsOptions, failed, serveAws } from "../emulators/aws_s3.ts";
import { HOSTILE_KEYS } from "../emulators/s3_checks.ts";
import { httpClient } from "../../core/http/client.ts";
import { testIf } from "../helpers.ts";
import { sized } from "../sizes.ts";
import { envFile, temporaryProject } from "../runtime_helpers.ts";
import { hasCode } from "./_special.ts";
import { clientOf, contentsOf, isolation, OBJECTS, PARENT, put, shopOf, titleOf } from "./_s3.ts";

const KEYS = { AWS_ACCESS_KEY_ID: "test-key", AWS_SECRET_ACCESS_KEY: "test-secret" };
const FORK = titleOf("alice");

/** An account with a parent, and the provider in it. */
async function openShop(given: AwsOptions = {}, objects = OBJECTS, options: object = {}) {
  const server = await serveAws(given);
  await put(server.directory, PARENT, objects);
  const shop = shopOf(provider, KEYS, { endpoint: server.endpoint, ...options });
  return {
    ...shop,
    server,
    contents: (bucket: string) => contentsOf(server.directory, bucket),
    copies: () => server.requests.filter((one) => one.includes("CopyObject")).length,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

const many = (count: number) =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`o/${String(i).padStart(3, "0")}`, `of ${i}`]));

/** Every call from the n-th on fails, before or after it was done. */
function dying(fetch: Context["fetch"], n: number, isDone: boolean): Context["fetch"] {
  let count = 0;
  return async (request) => {
    const at = count++;
    if (at === n && isDone) await (await fetch(request)).body?.cancel();
    if (at >= n) throw new Error("the process died here");
    return await fetch(request);
  };
}

for (const isDone of [false, true]) {
  Deno.test(`s3: a run that dies ${isDone ? "after" : "before"} any request goes on, and copies nothing twice`, async () => {
    const objects = many(20);
    for (let n = 0;; n++) {
      await using shop = await openShop({}, objects);
      const context = shop.context();
      const died = await shop.create(shop.target("alice"), { ...context, fetch: dying(context.fetch, n, isDone) })
        .then(() => false, () => true);
      await shop.create(shop.target("alice"));
      assert.deepEqual(shop.contents(FORK), shop.contents(PARENT), `request ${n}`);
      assert.equal(shop.copies(), 20, `request ${n}`);
      if (!died) return assert(n > 25, "it must have met every request");
    }
  });
}

/** The child that tests/providers/_s3_child.ts is. */
function startChild(endpoint: string, work: "create" | "delete") {
  // How much garbage V8 lets lie depends on the machine (234 MiB in all here, without this): what is needed shows so.
  const args = [
    "run",
    "-q",
    "-A",
    "--no-check",
    "--v8-flags=--max-old-space-size=96",
    fileURLToPath(new URL("_s3_child.ts", import.meta.url)),
  ];
  const env = { ...process.env, FORKSTACK_TEST_S3: JSON.stringify({ endpoint, credentials: KEYS, work }) };
  const child = spawn(Deno.execPath(), args, { env, stdio: ["ignore", "pipe", "inherit"] });
  let said = "";
  child.stdout.on("data", (data) => said += data);
  const ended = once(child, "close").then(() => said);
  return { child, ended };
}

Deno.test("s3: a process that is killed while it copies is gone on with", async () => {
  await using shop = await openShop({}, many(40));
  const [killed, told] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let copies = 0;
  shop.server.intercept = async (_request, target) => {
    if (target.includes("CopyObject") && ++copies === 17) {
      told.resolve();
      await killed.promise;
    }
    return undefined;
  };
  const { child, ended } = startChild(shop.server.endpoint, "create");
  await told.promise;
  child.kill("SIGKILL");
  await ended;
  killed.resolve();
  shop.journal.set(FORK, shop.target("alice").marker);
  assert.equal((await provider.inspect(shop.context(), shop.target("alice") as never)).state, "pending");
  const fork = await shop.create(shop.target("alice"));
  assert.equal(fork.copy, "full-copy");
  assert.deepEqual(shop.contents(FORK), shop.contents(PARENT));
  assert(copies <= 40 + 8, `${copies} copies of 40 objects; at most 8 were under way`);
});

Deno.test("s3: a process killed at any of its requests is gone on with", async () => {
  for (let n = 0;; n++) {
    await using shop = await openShop();
    const [killed, told] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    let count = 0;
    shop.server.intercept = async () => {
      if (count++ !== n) return undefined;
      told.resolve();
      await killed.promise;
      return failed(503, "SlowDown", { method: "GET" });
    };
    const { child, ended } = startChild(shop.server.endpoint, "create");
    const isDead = await Promise.race([told.promise.then(() => true), ended.then(() => false)]);
    child.kill("SIGKILL");
    await ended;
    shop.server.intercept = undefined;
    killed.resolve();
    shop.journal.set(FORK, shop.target("alice").marker);
    await shop.create(shop.target("alice"));
    assert.deepEqual(shop.contents(FORK), shop.contents(PARENT), `request ${n}`);
    if (!isDead) return assert(n >= 12, `it met ${n} requests`);
  }
});

Deno.test("s3: an application that shares the keys has all of a session's", async () => {
  await using shop = await openShop({}, OBJECTS, { shareKeys: true });
  const fork = await shop.create(shop.target("alice"));
  const session = shop.context({
    credentials: { ...shop.context().credentials, AWS_SESSION_TOKEN: new Secret("of the session") },
  });
  const outputs = await provider.outputs(session, fork, shop.scope() as never);
  const given = Object.entries(outputs).map((
    [name, value],
  ) => [name, value instanceof Secret ? value.reveal() : value]);
  using at = temporaryProject({
    "forkstack.json": JSON.stringify({ project: "myapp", storage: { provider: "s3" } }),
    ".current-env": "alice",
    ".forkstack/envs/alice.env": envFile({
      FORKSTACK_ENV: "alice",
      FORKSTACK_PROJECT: "myapp",
      ...Object.fromEntries(given),
    }),
  });
  const { sessionToken, accessKeyId, bucket } = at.open({}).storage();
  assert.deepEqual({ sessionToken, accessKeyId, bucket }, {
    sessionToken: "of the session",
    accessKeyId: KEYS.AWS_ACCESS_KEY_ID,
    bucket: FORK,
  });
});

Deno.test("s3: while the store asks to slow down, all lanes wait longer and longer; then it ends well", async () => {
  await using shop = await openShop({}, many(60));
  let refusals = 40;
  shop.server.intercept = (request, target) =>
    target.includes("CopyObject") && refusals-- > 0 ? failed(503, "SlowDown", request) : undefined;
  const waits: number[] = [];
  const sleep = (ms: number) => (waits.push(ms), Promise.resolve());
  await shop.create(shop.target("alice"), shop.context({ sleep }));
  assert.deepEqual(shop.contents(FORK), shop.contents(PARENT));
  assert(waits.length === 40 && Math.max(...waits) > 4 * Math.min(...waits), show(waits));
});

Deno.test("s3: a store that goes on asking is told of as it is", async () => {
  await using shop = await openShop();
  shop.server.intercept = (request, target) =>
    target.includes("CopyObject") ? failed(503, "SlowDown", request) : undefined;
  await assert.rejects(shop.create(shop.target("alice")), hasCode("RATE_LIMITED"));
});

Deno.test("s3: 200 with an error in its body is no copy", async () => {
  await using shop = await openShop();
  let lies = 2;
  shop.server.intercept = (request, target) => {
    if (!target.includes("CopyObject") || lies-- <= 0) return undefined;
    return new Response(failed(500, "InternalError", request).body, { status: 200 });
  };
  await shop.create(shop.target("alice"));
  assert.deepEqual(shop.contents(FORK), shop.contents(PARENT));
});

Deno.test("s3: copies that say 200 and do nothing are found by looking again", async () => {
  await using shop = await openShop();
  shop.server.intercept = (_request, target) => {
    if (!target.includes("CopyObject")) return undefined;
    const body = "<CopyObjectResult><ETag>x</ETag><LastModified>2026-01-01T00:00:00Z</LastModified></CopyObjectResult>";
    return new Response(body, { headers: { "content-type": "application/xml" } });
  };
  await assert.rejects(shop.create(shop.target("alice")), hasCode("COPY_INCOMPLETE"));
});

Deno.test("s3: lost replies change nothing of the result", async () => {
  await using shop = await openShop({}, many(30));
  let count = 0;
  const context = shop.context({
    fetch: httpClient({
      sleep: (ms, signal) => ms < 30_000 ? Promise.resolve() : delay(ms, undefined, { signal }), // that is a deadline
      fetch: async (request) => {
        const response = await fetch(request);
        if (++count % 3 !== 0) return response;
        await response.body?.cancel();
        throw new TypeError("connection closed before the message completed");
      },
    }),
  });
  const fork = await shop.create(shop.target("alice"), context);
  assert.deepEqual(shop.contents(FORK), shop.contents(PARENT));
  assert.equal(await provider.delete(context, fork, shop.scope() as never), "deleted");
  assert.deepEqual(readdirSync(shop.server.directory), [PARENT]);
});

Deno.test("s3: a parent that changes meanwhile is copied as each of its objects was or is", async () => {
  await using shop = await openShop({}, many(30));
  const { directory } = shop.server;
  const parent = new Bucket(PARENT, join(directory, PARENT));
  let isChanged = false;
  shop.server.intercept = async (_request, target) => {
    if (!target.includes("CopyObject") || isChanged) return undefined;
    isChanged = true;
    parent.delete("o/029");
    await put(directory, PARENT, { "o/000": "changed", "o/028": "changed too", "o/100": "added" });
    return undefined;
  };
  await shop.create(shop.target("alice"));
  assert.deepEqual(shop.contents(FORK), shop.contents(PARENT));
});

Deno.test("s3: a parent that never stands still ends the copy all the same", async () => {
  await using shop = await openShop({}, many(5));
  let count = 0;
  shop.server.intercept = async (_request, target) => {
    if (target.startsWith(`/${PARENT}`)) await put(shop.server.directory, PARENT, { "o/001": `change ${++count}` });
    return undefined;
  };
  await shop.create(shop.target("alice"));
  assert.equal(shop.contents(FORK).length, 5);
});

Deno.test("s3: a parent that goes away while it is copied", async () => {
  await using shop = await openShop({}, many(30));
  shop.server.intercept = (_request, target) => {
    if (target.includes("CopyObject")) rmSync(join(shop.server.directory, PARENT), { recursive: true, force: true });
    return undefined;
  };
  await assert.rejects(shop.create(shop.target("alice")), hasCode("NOT_FOUND"));
  shop.server.intercept = undefined;
  const seen = await provider.inspect(shop.context(), shop.target("alice") as never);
  assert(seen.state === "pending");
  assert.equal(await provider.delete(shop.context(), seen.fork, shop.scope() as never), "deleted");
});

Deno.test("s3: include and exclude", async () => {
  const objects = { "a/1": "1", "a/2.tmp": "2", "b/1": "3", "c[1].txt": "4", ".forkstack.json": "the parent's own" };
  const cases: [object, string[]][] = [
    [{}, ["a/1", "a/2.tmp", "b/1", "c[1].txt"]],
    [{ include: ["a/*"] }, ["a/1", "a/2.tmp"]],
    [{ include: ["a/*", "c[1].txt"], exclude: ["*.tmp"] }, ["a/1", "c[1].txt"]],
    [{ exclude: ["*1*"] }, ["a/2.tmp"]],
    [{ include: [] }, []],
    [{ fork: "empty" }, []],
  ];
  for (const [options, keys] of cases) {
    await using shop = await openShop({}, objects, options);
    const { copy } = await shop.create(shop.target("alice"));
    assert.deepEqual(shop.contents(FORK).map((line) => JSON.parse(line)[0]), keys, show(options));
    assert.equal(copy, keys.length === 0 ? "empty" : "full-copy");
  }
});

/** One page of a listing that is nowhere but here. */
function page(bucket: string, first: number, count: number, total: number, size = 1): Response {
  const objects = Array.from({ length: count }, (_, i) => {
    const key = `key-${String(first + i).padStart(8, "0")}`;
    return `<Contents><Key>${key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>` +
      `<ETag>&quot;0123456789abcdef0123456789abcdef&quot;</ETag><Size>${size}</Size></Contents>`;
  });
  const next = first + count;
  const more = next < total ? `<NextContinuationToken>${next}</NextContinuationToken>` : "";
  const body = `<?xml version="1.0"?><ListBucketResult><Name>${bucket}</Name><EncodingType>url</EncodingType>` +
    `<IsTruncated>${next < total}</IsTruncated>${more}${objects.join("")}</ListBucketResult>`;
  return new Response(body, { headers: { "content-type": "application/xml" } });
}

function tokenOf(target: string): number {
  return Number(new URLSearchParams(target.split("?")[1]).get("continuation-token") ?? 0);
}

Deno.test("s3: above 10,000 objects or 1 GiB it asks, before anything is made", async () => {
  for (const [total, size] of [[10_001, 1], [1, 2 ** 30 + 1]] as const) {
    await using shop = await openShop();
    shop.server.intercept = (_request, target) => {
      if (!target.includes("list-type=2")) return undefined;
      const first = tokenOf(target);
      return page(PARENT, first, Math.min(1_000, total - first), total, size);
    };
    const asked: string[] = [];
    const confirm = (question: string) => {
      asked.push(question);
      return Promise.reject(new ForkstackError("CONFIRM_REQUIRED", "Cannot ask"));
    };
    await assert.rejects(shop.create(shop.target("alice"), shop.context({ confirm })), { code: "CONFIRM_REQUIRED" });
    assert.match(asked.join(), total === 1 ? /1 objects, 1\.0 GiB/ : /10,001 objects, 0\.0 GiB/);
    assert.deepEqual(readdirSync(shop.server.directory), [PARENT]);
  }
});

Deno.test("s3: at 10,000 objects it does not ask, nor what was agreed to a second time", async () => {
  await using shop = await openShop();
  const confirm = () => Promise.reject(new Error("it must not ask"));
  await shop.create(shop.target("alice"), shop.context({ confirm }));
});

Deno.test("s3: an object above the bound of one call goes in parts, with all that belongs to it", async () => {
  await using shop = await openShop({}, {});
  const client = clientOf(shop.server);
  const body = new Uint8Array(12 * 2 ** 20).map((_, i) => (i * 7919) % 251);
  const more = {
    ContentType: "image/png",
    CacheControl: "max-age=60",
    ContentDisposition: "attachment",
    ContentLanguage: "tr",
    Expires: new Date(2_000_000_000_000),
    Metadata: { colour: "blue" },
    Tagging: "team=a%20b&x=%26",
  };
  await client.send(new s3.PutObjectCommand({ Bucket: PARENT, Key: "large ü", Body: body, ...more }));
  await client.send(new s3.CreateBucketCommand({ Bucket: FORK }));
  const account = {
    provider: "s3",
    resource: "storage",
    endpoint: shop.server.endpoint,
    region: "us-east-1",
    credentials: shop.server.credentials,
    hints: { rejected: "", denied: "" },
  };
  shop.journal.set(FORK, shop.target("alice").marker); // which copies were made is on record
  const job = { from: PARENT, to: FORK, takes: () => true, callBytes: 6 * 2 ** 20, partBytes: 5 * 2 ** 20 };
  const copy = () =>
    Store.with(shop.context(), account, (at) => copyObjects(shop.context(), at, job, { objects: 1, sizeBytes: 1 }));
  await copy();
  assert.equal(shop.server.requests.filter((one) => one.includes("UploadPartCopy")).length, 3);
  assert.deepEqual(shop.contents(FORK), shop.contents(PARENT));
  const { Body } = await client.send(new s3.GetObjectCommand({ Bucket: FORK, Key: "large ü" }));
  assert.equal(Buffer.compare(await Body!.transformToByteArray(), body), 0);
  await copy();
  assert.equal(shop.server.requests.filter((one) => one.includes("UploadPartCopy")).length, 3, "it is there already");
  client.destroy();
});

Deno.test("s3: hostile keys and empty objects survive, and go", async () => {
  const objects = Object.fromEntries(HOSTILE_KEYS.map((key, i) => [key, i % 5 === 0 ? "" : `of ${key}`]));
  await using shop = await openShop({}, objects);
  const fork = await shop.create(shop.target("alice"));
  assert.equal(shop.contents(FORK).length, HOSTILE_KEYS.length);
  assert.deepEqual(shop.contents(FORK), shop.contents(PARENT));
  assert.equal(await provider.delete(shop.context(), fork, shop.scope() as never), "deleted");
  assert.equal(shop.contents(PARENT).length, HOSTILE_KEYS.length);
});

Deno.test("s3: delete() takes versions, delete markers and uploads along; what is locked stops it", async () => {
  await using shop = await openShop();
  const { server } = shop;
  const fork = await shop.create(shop.target("alice"));
  const client = clientOf(server);
  await client.send(new s3.CreateMultipartUploadCommand({ Bucket: FORK, Key: "half a+b" }));
  const versions = Array.from({ length: 2_500 }, (_, i) => ({ key: `old/${i}`, id: `v${i}`, isMarker: i % 2 === 0 }));
  server.versions.set(FORK, [...versions, { key: "kept", id: "locked", isMarker: false, isLocked: true }]);
  await assert.rejects(provider.delete(shop.context(), fork, shop.scope() as never), (error: Error) => {
    assert.match(error.message, /1 of its objects/);
    assert((error as ForkstackError).details.requestId);
    return hasCode("RESOURCE_LOCKED")(error);
  });
  assert.equal((await provider.inspect(shop.context(), shop.target("alice") as never)).state, "ready");
  server.versions.set(FORK, server.versions.get(FORK)!.map((one) => ({ ...one, isLocked: false })));
  assert.equal(await provider.delete(shop.context(), fork, shop.scope() as never), "deleted");
  assert.deepEqual(readdirSync(server.directory), [PARENT]);
  client.destroy();
});

const REFUSALS: Record<string, {
  code: string;
  says: RegExp;
  given?: AwsOptions;
  options?: object;
  keys?: Partial<typeof KEYS>;
  arrange?: (shop: Awaited<ReturnType<typeof openShop>>) => void;
}> = {
  "another account's bucket": {
    code: "FOREIGN",
    says: /somebody else's/,
    arrange: ({ server }) => server.others.add(FORK),
  },
  "a name that another account takes meanwhile": {
    code: "FOREIGN",
    says: /somebody else's/,
    arrange: ({ server }) => {
      server.intercept = (request, target) => {
        if (request.method === "PUT" && target.startsWith(`/${FORK}`)) server.others.add(FORK);
        return undefined;
      };
    },
  },
  "the quota of buckets": { code: "PLAN_LIMIT", says: /reached its limit.*prune/s, given: { maxBuckets: 1 } },
  "another region": { code: "CONFIG_REGION", says: /"eu-west-1".*`region`/s, given: { region: "eu-west-1" } },
  "a parent elsewhere": {
    code: "CONFIG_REGION",
    says: /"eu-west-1", not "us-east-1"/,
    arrange: ({ server }) => {
      server.intercept = (request, target) => {
        if (!target.startsWith(`/${PARENT}`)) return undefined;
        const response = failed(301, "PermanentRedirect", request);
        response.headers.set("x-amz-bucket-region", "eu-west-1");
        return response;
      };
    },
  },
  "an unknown key": { code: "CREDENTIALS_REJECTED", says: /key is not known/, keys: { AWS_ACCESS_KEY_ID: "another" } },
  "a wrong secret": { code: "CREDENTIALS_REJECTED", says: /secret key is wrong/, keys: { AWS_SECRET_ACCESS_KEY: "x" } },
  "a clock that is wrong": {
    code: "CREDENTIALS_CLOCK",
    says: /clock of this machine.*NTP/s,
    given: { intercept: (request) => failed(403, "RequestTimeTooSkewed", request) }, // and does not say the time
  },
  "a name that S3 refuses": {
    code: "NAME_INVALID",
    says: /refuses the name/,
    arrange: ({ server }) => {
      server.intercept = (request, target) =>
        request.method === "PUT" && target.startsWith(`/${FORK}`)
          ? failed(400, "InvalidBucketName", request)
          : undefined;
    },
  },
  "a key that may not make buckets": {
    code: "CREDENTIALS_DENIED",
    says: /may not do that.*storage\.md/s,
    arrange: ({ server }) => {
      server.intercept = (request, target) =>
        request.method === "PUT" && target.startsWith(`/${FORK}`) ? failed(403, "AccessDenied", request) : undefined;
    },
  },
  "an archived object": {
    code: "PARENT_UNUSABLE",
    says: /archived.*exclude/s,
    arrange: ({ server }) => {
      server.intercept = (request, target) =>
        target.includes("CopyObject") ? failed(403, "InvalidObjectState", request) : undefined;
    },
  },
};

for (const [what, { code, says, given, options, keys, arrange }] of Object.entries(REFUSALS)) {
  Deno.test(`s3: ${what} is ${code}, and nothing of others is touched`, async () => {
    await using shop = await openShop(given);
    arrange?.(shop);
    const other = shopOf(provider, { ...KEYS, ...keys }, { endpoint: shop.server.endpoint, ...options });
    await assert.rejects(other.create(other.target("alice")), (error: ForkstackError) => {
      assert.equal(error.code, code, show(error));
      assert.match([error.message, error.hint].join("\n"), says);
      if (code !== "FOREIGN") assert(error.details.requestId, show(error.details));
      return true;
    });
    assert.equal(shop.contents(PARENT).length, Object.keys(OBJECTS).length);
    assert.deepEqual(readdirSync(shop.server.directory).filter((name) => ![PARENT, FORK].includes(name)), []);
  });
}

Deno.test("s3: where the store tells the time, a wrong clock is no hindrance", async () => {
  const now = () => new Date(Date.now() + 3_600_000);
  await using shop = await openShop({ now });
  const { fetch } = shop.context();
  const context = shop.context({
    fetch: async (request) => {
      const { body, status, headers } = await fetch(request);
      const told = new Headers(headers);
      told.set("date", now().toUTCString()); // else it is that of this machine
      return new Response(body, { status, headers: told });
    },
  });
  await shop.create(shop.target("alice"), context);
  assert.deepEqual(shop.contents(FORK), shop.contents(PARENT));
});

const noProc = process.platform === "linux" ? undefined : "what a process used at most is read on Linux";

/** Enough that holding them all would not fit. */
const TOTAL = sized({ gate: 100_000, full: 1_000_000 });

testIf(noProc, `s3: ${TOTAL} keys are listed, compared and removed in 256 MiB, with a heap of 96 MiB`, async () => {
  await using shop = await openShop();
  const { server } = shop;
  const total = TOTAL;
  let removed = 0;
  server.intercept = async (request, target) => {
    const [path, search = ""] = target.split("?");
    const [, bucket = ""] = path!.split("/");
    if (search.includes("list-type=2")) {
      const first = tokenOf(target);
      return page(bucket, first, Math.min(1_000, total - first), total);
    }
    if (search.includes("versions")) {
      const after = /key-marker=key-(\d+)/.exec(search)?.[1];
      const first = after === undefined ? 0 : Number(after) + 1;
      const versions = Array.from(
        { length: removed < total ? 1_000 : 0 },
        (_, i) => `<Version><Key>key-${String(first + i).padStart(8, "0")}</Key><VersionId>null</VersionId></Version>`,
      );
      const last = `key-${String(first + 999).padStart(8, "0")}`;
      const isMore = removed < total && first + 1_000 < total;
      return new Response(
        `<ListVersionsResult><IsTruncated>${isMore}</IsTruncated><NextKeyMarker>${last}</NextKeyMarker>` +
          `<NextVersionIdMarker>null</NextVersionIdMarker>${versions.join("")}</ListVersionsResult>`,
        { headers: { "content-type": "application/xml" } },
      );
    }
    if (search.includes("delete")) {
      removed += (await request.text()).split("<Key>").length - 1;
      return new Response("<DeleteResult/>", { headers: { "content-type": "application/xml" } });
    }
    return undefined;
  };
  for (const work of ["create", "delete"] as const) {
    const said = await startChild(server.endpoint, work).ended;
    const [, mib = "none"] = /(\d+) MiB/.exec(said) ?? [];
    assert(Number(mib) <= 256, `${work}: ${mib} MiB`);
  }
  assert.equal(removed, total);
});

Deno.test("s3: neither parent nor fork sees what is written to the other", async () => {
  await using shop = await openShop();
  await isolation(shop, clientOf(shop.server));
});

Deno.test("s3: a bucket whose application deleted the mark object is still known, and goes with all that it holds", async () => {
  await using shop = await openShop({}, OBJECTS, { mark: "object" });
  const target = shop.target("alice", {}, { mark: "object" });
  const scope = shop.scope({ mark: "object" }) as never;
  const fork = await shop.create(target);
  await put(shop.server.directory, FORK, { mine: "mine" });
  const client = clientOf(shop.server);
  await client.send(new s3.DeleteObjectCommand({ Bucket: FORK, Key: ".forkstack.json" }));
  client.destroy();
  const seen = await provider.inspect(shop.context(), target as never);
  assert.equal(seen.state, "ready", show(seen));
  assert.equal((seen as { fork: { id: string } }).fork.id, fork.id);
  shop.journal.clear(); // without the record it is anybody's
  assert.equal((await provider.inspect(shop.context(), target as never)).state, "foreign");
  assert.equal(await provider.delete(shop.context(), fork, scope), "absent");
  assert(readdirSync(shop.server.directory).includes(FORK));
  shop.journal.set(FORK, target.marker as never);
  assert.equal(await provider.delete(shop.context(), fork, scope), "deleted");
  assert(!readdirSync(shop.server.directory).includes(FORK));
});
