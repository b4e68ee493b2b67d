/** Requests and buckets that mean harm: our server, in each runtime, refuses them and goes on. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { spawnSync } from "node:child_process";
import { linkSync, mkdirSync, readdirSync, readFileSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { runtimeTest } from "../../runtime_helpers.ts";
import { treeOf } from "../../helpers.ts";
import { ask, type Asked, ORIGIN, plant, RUNTIMES, send, type Served, serveIn, signed } from "./_raw.ts";

const PUT = { method: "PUT", body: "new" } as const;

/** Each is refused so, and the server answers the next. */
async function refuses(served: Served, cases: readonly (readonly [asked: Asked, status: number, code: string])[]) {
  for (const [asked, status, code] of cases) {
    const answer = await ask(served, asked);
    assert.deepEqual(
      [answer.status, answer.code],
      [status, code],
      `${asked.method ?? "GET"} ${asked.target} ${JSON.stringify(asked.headers)}`,
    );
  }
  await isAlive(served);
}

async function isAlive(served: Served): Promise<void> {
  const put = await ask(served, { ...PUT, target: "/shop/alive" });
  assert.equal(put.status, 200, put.body);
  const { status, body } = await ask(served, { target: "/shop/alive" });
  assert.deepEqual([status, body], [200, "new"]);
}

for (const [name, runtime] of RUNTIMES) {
  const hostile = (what: string, body: (served: Served) => Promise<void>) =>
    runtimeTest(`${name}: ${what}`, runtime, async (command) => {
      await using served = await serveIn(command);
      await body(served);
    });

  hostile("no write, read or list goes through a link, wherever in a bucket it is", async (served) => {
    const { root } = served;
    const outside = join(root, "..", "outside");
    const store = join(root, "shop", ".forkstack-s3");
    plant(served, "outside/kept");
    mkdirSync(join(outside, "0".repeat(32)));
    plant(served, `outside/${"0".repeat(32)}/upload.json`, '{"key":"k","startedAt":0,"headers":{}}');
    utimesSync(join(outside, "kept"), 0, 0); // as old as what a server left behind
    const before = treeOf(outside);
    for (const linked of ["link", "a/b/link"]) {
      mkdirSync(join(root, "shop", "a", "b"), { recursive: true });
      symlinkSync(outside, join(root, "shop", linked));
    }
    assert.equal((await ask(served, { ...PUT, target: "/shop/link/kept" })).status, 200); // beside it, in the store
    for (const target of ["/shop/a/b/link/kept", "/shop/link/other"]) {
      assert.equal((await ask(served, { target })).code, "NoSuchKey");
      assert.equal((await ask(served, { target, method: "DELETE" })).status, 204);
    }
    mkdirSync(join(store, "objects", "deep%"), { recursive: true });
    symlinkSync(outside, join(store, "objects", "stored%"));
    symlinkSync(outside, join(store, "objects", "deep%", "er%"));
    symlinkSync(join(outside, "kept"), join(store, "objects", "one"));
    await refuses(served, [
      [{ ...PUT, target: "/shop/stored/kept" }, 403, "AccessDenied"],
      [{ ...PUT, target: "/shop/deep/er/kept" }, 403, "AccessDenied"],
      [{ ...PUT, target: "/shop/deep/er/still/deeper" }, 403, "AccessDenied"],
      [{ target: "/shop/stored/kept" }, 404, "NoSuchKey"],
      [{ target: "/shop/one" }, 404, "NoSuchKey"],
    ]);
    for (const target of ["/shop/stored/kept", "/shop/one"]) await ask(served, { target, method: "DELETE" });
    assert.equal((await ask(served, { ...PUT, target: "/shop/one" })).status, 200); // in the link's place
    assert.equal(readFileSync(join(outside, "kept"), "utf8"), "secret");
    for (const [bucket, part] of [["tmp", "tmp"], ["uploads", "uploads"], ["objects", "objects"]] as const) {
      mkdirSync(join(root, bucket, ".forkstack-s3"), { recursive: true });
      symlinkSync(outside, join(root, bucket, ".forkstack-s3", part));
    }
    mkdirSync(join(root, "store"));
    symlinkSync(outside, join(root, "store", ".forkstack-s3"));
    symlinkSync(outside, join(root, "whole"));
    for (const bucket of ["tmp", "objects", "store", "whole"]) {
      await refuses(served, [[{ ...PUT, target: `/${bucket}/kept` }, 403, "AccessDenied"]]);
    }
    const id = "0".repeat(32);
    await refuses(served, [
      [{ method: "POST", target: "/uploads/k?uploads=" }, 403, "AccessDenied"],
      [{ method: "DELETE", target: `/uploads/k?uploadId=${id}` }, 404, "NoSuchUpload"],
      [{ ...PUT, target: `/uploads/k?uploadId=${id}&partNumber=1` }, 404, "NoSuchUpload"],
      [{ target: "/whole?list-type=2" }, 403, "AccessDenied"],
    ]);
    for (const bucket of ["uploads?uploads=", "objects", "objects?delimiter=%2F", "store"]) {
      const { body } = await ask(served, { target: `/${bucket}` });
      assert.doesNotMatch(body, /<(Contents|CommonPrefixes|Upload)>/, bucket);
    }
    assert.deepEqual(treeOf(outside), before);
  });

  hostile("a pipe, a socket and a device are no objects, and hold up nothing", async (served) => {
    const shop = join(served.root, "shop");
    const objects = join(shop, ".forkstack-s3", "objects");
    mkdirSync(objects, { recursive: true });
    for (const path of [join(shop, "pipe"), join(objects, "stored")]) {
      assert.equal(spawnSync("mkfifo", [path]).status, 0);
    }
    const hasDevice = spawnSync("mknod", [join(shop, "device"), "c", "1", "5"]).status === 0; // root's alone
    for (const key of ["pipe", "stored", ...(hasDevice ? ["device"] : [])]) {
      const copy = { method: "PUT", target: "/shop/copy", headers: { "x-amz-copy-source": `/shop/${key}` } };
      await refuses(served, [[{ target: `/shop/${key}` }, 404, "NoSuchKey"], [copy, 404, "NoSuchKey"]]);
      assert.equal((await ask(served, { target: `/shop/${key}`, method: "HEAD" })).status, 404);
    }
    assert.doesNotMatch((await ask(served, { target: "/shop?list-type=2" })).body, />(pipe|stored|device)</);
    assert.equal((await ask(served, { ...PUT, target: "/shop/pipe" })).status, 200);
    assert.equal((await ask(served, { target: "/shop/pipe" })).body, "new");
  });

  hostile("every method gets a status, and the server goes on", async (served) => {
    for (
      const method of ["TRACE", "CONNECT", "TRACK", "PROPFIND", "QUERY", "PATCH", "LINK", "get", "FOO", "M-SEARCH"]
    ) {
      for (const target of ["/shop/k", "*", "evil.example:80"]) {
        const { status } = await send(served, `${method} ${target} HTTP/1.1\r\nhost: x\r\n\r\n`);
        assert([400, 405].includes(status), `${method} ${target}: ${status}`);
      }
    }
    assert.equal((await ask(served, { target: "/shop/k", method: "POST" })).status, 501);
    await isAlive(served);
  });

  hostile("malformed heads, targets and paths are refused", async (served) => {
    const raw = [
      "GET /shop/k HTTP/1.1\r\n\r\n",
      "GET shop HTTP/1.1\r\nhost: x\r\n\r\n",
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
      `GET / HTTP/1.1\r\nhost: x\r\n${"x-a: 1\r\n".repeat(20_000)}\r\n`,
      `GET /${"a".repeat(200_000)} HTTP/1.1\r\nhost: x\r\n\r\n`,
      "GET / HTTP/1.1\r\nhost: x\r\nx-a: \x01\r\n\r\n",
      "PUT /shop/k HTTP/1.1\r\nhost: x\r\ncontent-length: 1e3\r\n\r\n",
      "PUT /shop/k HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
      "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ];
    for (const bytes of raw) {
      const { status } = await send(served, bytes);
      assert(status === 0 || (status >= 400 && status < 500), `${JSON.stringify(bytes.slice(0, 60))}: ${status}`);
    }
    plant(served, "outside/kept");
    for (
      const target of [
        "/shop/%2e%2e/%2e%2e/outside/kept",
        "/shop/..%5C..%5Coutside%5Ckept",
        "/shop/../../outside/kept",
        "/shop/k%00",
      ]
    ) {
      await refuses(served, [[{ target }, 404, "NoSuchKey"]]);
    }
    await refuses(served, [
      [{ target: "/%2e%2e/outside/kept" }, 403, "AccessDenied"],
      [{ target: "//outside/kept" }, 403, "AccessDenied"],
      [{ target: "/SHOP/k" }, 403, "AccessDenied"],
      [{ target: "/shop./k" }, 403, "AccessDenied"],
    ]);
    for (const key of ["%c0%ae%c0%ae/x", "%ff", "%ed%a0%80"]) { // no UTF-8: nothing can be signed of it
      const answer = await send(
        served,
        `GET /shop/${key} HTTP/1.1\r\nhost: x\r\nauthorization: AWS4-HMAC-SHA256 x\r\n\r\n`,
      );
      assert.equal(answer.status, 400, key);
    }
    await isAlive(served);
  });

  hostile("what would be an invalid header of the answer is an error of the request", async (served) => {
    await isAlive(served);
    const overrides = [
      "content-type=a%0D%0Ab",
      "content-disposition=%E2%9C%93",
      "cache-control=%00",
      "expires=%7F",
      "content-language=%0Ax",
    ];
    for (const one of overrides) {
      await refuses(served, [[{ target: `/shop/alive?response-${one}` }, 400, "InvalidArgument"]]);
    }
    const ok = await ask(served, { target: "/shop/alive?response-content-type=image%2Fpng&response-expires=0" });
    assert.deepEqual([ok.status, ok.headers.get("content-type"), ok.headers.get("expires")], [200, "image/png", "0"]);
    const footer = (meta: object) => {
      const json = Buffer.from(JSON.stringify(meta));
      const length = Buffer.alloc(4);
      length.writeUInt32BE(json.length);
      return Buffer.concat([Buffer.from("x"), json, length, Buffer.from("fks3obj1")]);
    };
    const well = { etag: "0".repeat(32), modifiedAt: 0, headers: {} };
    const objects = join(served.root, "shop", ".forkstack-s3", "objects");
    const bad = [
      { ...well, headers: { "content-type": "a\r\nb" } },
      { ...well, headers: { "x-amz-meta-a": "✓" } },
      { ...well, headers: { "x-amz-meta-": "no name" } },
      { ...well, headers: { "set-cookie": "a=b" } },
      { ...well, headers: { "transfer-encoding": "chunked" } },
      { ...well, modifiedAt: 1e300 },
      { ...well, etag: 'a"\r\nx: y' },
      { ...well, checksum: { algorithm: "constructor", value: "x", type: "FULL_OBJECT" } },
      { ...well, parts: [-1] },
      { ...well, tags: [[1]] },
      null,
    ];
    for (const [at, meta] of bad.entries()) writeFileSync(join(objects, `bad${at}`), footer(meta as object));
    writeFileSync(join(objects, "short"), "x");
    writeFileSync(join(objects, "good"), footer(well));
    for (const key of ["short", ...bad.keys().map((at) => `bad${at}`)]) {
      await refuses(served, [[{ target: `/shop/${key}` }, 400, "InvalidRequest"]]);
    }
    const { body } = await ask(served, { target: "/shop?list-type=2" });
    assert.deepEqual(body.match(/(?<=<Key>)\w+/g), ["alive", "good"]);
  });

  hostile("half-open connections end; one that moves does not", async (served) => {
    const head = "PUT /shop/k HTTP/1.1\r\nhost: x\r\n";
    const whole = new TextDecoder().decode(signed(served, { ...PUT, target: "/shop/slow", body: "x".repeat(30) }));
    const cases: readonly (readonly [string, string, number])[] = [
      ["nothing", "", 10_000],
      ["half a head", head, 10_000],
      ["no body", `${head}content-length: 10\r\n\r\n`, 10_000],
      ["half a signed body", whole.slice(0, -20), 10_000],
      ["half a chunk", `${head}transfer-encoding: chunked\r\n\r\n5\r\nab`, 10_000],
      ["idle after an answer", "GET /x HTTP/1.1\r\nhost: x\r\n\r\n", 10_000],
    ];
    await Promise.all(cases.map(async ([what, bytes, most]) => {
      const { tookMs } = await send(served, bytes, true);
      assert(tookMs < most, `${what}: ${tookMs} ms`);
    }));
    const socket = connect(served.port, "127.0.0.1");
    let said = "";
    socket.on("data", (data) => said += data);
    const at = whole.length - 30;
    socket.write(whole.slice(0, at));
    for (let sent = 0; sent < 30; sent += 5) { // three times as long as nothing may come
      await new Promise((resolve) => setTimeout(resolve, 500));
      socket.write(whole.slice(at + sent, at + sent + 5));
    }
    for (let tries = 0; said === "" && tries < 100; tries++) await new Promise((resolve) => setTimeout(resolve, 50));
    socket.destroy();
    assert.match(said, /^HTTP\/1\.1 200/);
    await isAlive(served);
  });

  hostile("pages of an origin that was not named read nothing", async (served) => {
    await isAlive(served);
    const ask2 = { "access-control-request-method": "PUT", "access-control-request-headers": "content-type" };
    const preflight = (headers: Record<string, string>) =>
      send(
        served,
        `OPTIONS /shop/k HTTP/1.1\r\nhost: x\r\n${
          Object.entries(headers).map(([k, v]) => `${k}: ${v}\r\n`).join("")
        }\r\n`,
      );
    for (
      const origin of [
        "http://evil.example",
        "null",
        `${ORIGIN}.evil.example`,
        "http://localhost:51730",
        "HTTP://LOCALHOST:5173",
      ]
    ) {
      const asked = await preflight({ origin, ...ask2 });
      assert.deepEqual([asked.status, asked.code], [403, "AccessForbidden"], origin);
      const got = await ask(served, { target: "/shop/alive", headers: { origin } });
      for (const { headers } of [asked, got]) assert.equal(headers.get("access-control-allow-origin"), null, origin);
    }
    assert.equal((await preflight({ origin: ORIGIN, "access-control-request-method": "TRACE" })).status, 403);
    assert.equal((await preflight({ origin: ORIGIN })).status, 400);
    const allowed = await preflight({ origin: ORIGIN, ...ask2 });
    assert.equal(allowed.headers.get("access-control-allow-headers"), "content-type");
    const got = await ask(served, { target: "/shop/alive", headers: { origin: ORIGIN } });
    for (const { headers } of [allowed, got]) assert.equal(headers.get("access-control-allow-origin"), ORIGIN);
    assert.match((await ask(served, { target: "/shop?cors=" })).body, /<AllowedOrigin>http:\/\/localhost:5173</);
    await refuses(served, [[{ ...PUT, target: "/shop?cors=" }, 501, "NotImplemented"]]);
  });
}

const [[, deno]] = RUNTIMES;
const once = (what: string, body: (served: Served) => Promise<void>) =>
  runtimeTest(what, deno!, async (command) => {
    await using served = await serveIn(command);
    await body(served);
  });

once("headers that are not honoured are NotImplemented; those that clients send unasked are taken", async (served) => {
  const refused: Record<string, string> = {
    "x-amz-server-side-encryption": "AES256",
    "x-amz-server-side-encryption-customer-algorithm": "AES256",
    "x-amz-acl": "public-read",
    "x-amz-grant-read": 'uri="http://acs.amazonaws.com/groups/global/AllUsers"',
    "x-amz-object-lock-mode": "GOVERNANCE",
    "x-amz-object-lock-legal-hold": "ON",
    "x-amz-object-lock-retain-until-date": "2030-01-01T00:00:00Z",
    "x-amz-bypass-governance-retention": "true",
    "x-amz-if-match-size": "0",
    "x-amz-mp-object-size": "3",
    "x-amz-object-attributes": "ETag",
    "x-amz-storage-class": "GLACIER",
    "x-amz-expected-bucket-owner": "111122223333",
    "x-amz-write-offset-bytes": "0",
    "x-amz-checksum-xxhash64": "AAAAAAAAAAA=",
    "x-amz-mfa": "1 2",
    "x-amz-something-of-tomorrow": "1",
  };
  for (const [name, value] of Object.entries(refused)) {
    await refuses(served, [[{ ...PUT, target: "/shop/k", headers: { [name]: value } }, 501, "NotImplemented"]]);
  }
  const taken = {
    "x-amz-acl": "private",
    "x-amz-storage-class": "STANDARD",
    "x-amz-request-payer": "requester",
    "x-amz-meta-mtime": "1.5",
    "x-amzn-trace-id": "x",
  };
  for (const [name, value] of Object.entries(taken)) {
    assert.equal((await ask(served, { ...PUT, target: "/shop/k2", headers: { [name]: value } })).status, 200, name);
  }
  assert.equal((await ask(served, { target: "/shop/k" })).code, "NoSuchKey", "nothing was written");
});

once("what describes an object is kept with it, or refused where it would be dropped", async (served) => {
  const described = { "x-amz-tagging": "a=1", "x-amz-website-redirect-location": "/there" };
  const copy = { "x-amz-copy-source": "/shop/source" };
  const dropped: Asked[] = [
    { method: "GET", target: "/shop/source" },
    { method: "HEAD", target: "/shop/source" },
    { method: "DELETE", target: "/shop/source" },
    { ...PUT, target: "/shop/source?tagging=" },
    { ...PUT, target: "/shop/source?partNumber=1&uploadId=x" },
    { method: "POST", target: "/shop/source?uploadId=x", body: "x" },
    { method: "GET", target: "/shop?list-type=2" },
  ];
  assert.equal((await ask(served, { ...PUT, target: "/shop/source", headers: described })).status, 200);
  for (const [name, value] of Object.entries(described)) {
    for (const request of dropped) {
      const { status } = await ask(served, { ...request, headers: { [name]: value } });
      assert.equal(status, 501, `${request.method} ${request.target} ${name}`);
    }
  }
  const others: Record<string, string>[] = [
    { ...copy, "x-amz-tagging": "b=2" },
    { ...copy, "x-amz-tagging": "b=2", "x-amz-tagging-directive": "COPY" },
  ];
  for (const headers of others) {
    await refuses(served, [[{ method: "PUT", target: "/shop/copy", headers }, 501, "NotImplemented"]]);
  }
  const shown = async (headers: Record<string, string>) => {
    assert.equal(
      (await ask(served, { method: "PUT", target: "/shop/copy", headers: { ...copy, ...headers } })).status,
      200,
    );
    const { headers: got } = await ask(served, { method: "HEAD", target: "/shop/copy" });
    const { body } = await ask(served, { method: "GET", target: "/shop/copy?tagging=" });
    return [got.get("x-amz-website-redirect-location") ?? undefined, /<Key>(.*?)<.Key>/.exec(body)?.[1]];
  };
  assert.deepEqual(await shown({}), [undefined, "a"], "the redirection is of its object alone");
  assert.deepEqual(await shown({ "x-amz-website-redirect-location": "/new" }), ["/new", "a"]);
  assert.deepEqual(await shown({ "x-amz-tagging": "b=2", "x-amz-tagging-directive": "REPLACE" }), [undefined, "b"]);
  assert.deepEqual(
    await shown({ "x-amz-metadata-directive": "REPLACE", "x-amz-website-redirect-location": "/new" }),
    ["/new", "a"],
  );
});

once("a query that names no operation is never the plain one", async (served) => {
  await isAlive(served);
  for (
    const query of [
      "legal-hold=",
      "retention",
      "acl",
      "torrent",
      "foo",
      "renameObject",
      "partNumber=1",
      "prefix=a",
      "__proto__",
      "constructor=1",
    ]
  ) {
    await refuses(
      served,
      ["PUT", "DELETE", "POST"].map((method) =>
        [{ method, target: `/shop/alive?${query}` }, 501, "NotImplemented"] as const
      ),
    );
  }
  for (const query of ["acl", "torrent", "uploadId2=x", "object-lock", "attributes&uploads", "select&select-type=2"]) {
    await refuses(served, [[{ target: `/shop/alive?${query}` }, 501, "NotImplemented"]]);
  }
  for (
    const query of [
      ...["policy", "website", "encryption", "acl", "lifecycle", "toString", "ownershipControls", "publicAccessBlock"],
      ...["requestPayment", "replication", "logging", "notification", "accelerate", "analytics&id=1", "policyStatus"],
      ...["metadataTable", "intelligent-tiering", "inventory", "session", "abac"],
    ]
  ) {
    await refuses(
      served,
      ["GET", "PUT", "DELETE"].map((method) => [{ method, target: `/shop?${query}` }, 501, "NotImplemented"] as const),
    );
  }
});

once("numbers, dates and versions are read to the letter", async (served) => {
  await isAlive(served);
  const begun = await ask(served, { method: "POST", target: "/shop/up?uploads=" });
  const id = /<UploadId>(\w+)/.exec(begun.body)![1];
  const bad = (target: string, method = "GET") =>
    [{ target, method, ...(method === "PUT" && { body: "x" }) }, 400, "InvalidArgument"] as const;
  for (const number of ["0", "-1", "1e3", "0x1", "12abc", "01", "10001", "1.0", "%2B1", ""]) {
    await refuses(served, [
      bad(`/shop/up?uploadId=${id}&partNumber=${number}`, "PUT"),
      bad(`/shop/alive?partNumber=${number}`),
    ]);
  }
  for (const number of ["-1", "1e3", "0x10", "12abc", "", "%20", "99999999999"]) {
    for (
      const name of ["/shop?list-type=2&max-keys", "/shop?uploads=&max-uploads", `/shop/up?uploadId=${id}&max-parts`]
    ) {
      await refuses(served, [bad(`${name}=${number}`)]);
    }
  }
  await refuses(
    served,
    ["1", "NULL", "", "null%00"].flatMap((
      version,
    ) => [bad(`/shop/alive?versionId=${version}`), bad(`/shop/alive?versionId=${version}`, "DELETE")]),
  );
  await refuses(served, [
    bad("/shop/alive?versionId=null&versionId=null"),
    bad("/shop?list-type=1"),
    bad("/shop?list-type=2&list-type=2"),
  ]);
  const xml = (inner: string) => ({ method: "POST", target: "/shop?delete=", body: `<Delete>${inner}</Delete>` });
  const version = await ask(served, xml("<Object><Key>alive</Key><VersionId>1</VersionId></Object>"));
  assert.match(version.body, /<Error><Key>alive<\/Key><VersionId>1<\/VersionId><Code>InvalidArgument</);
  const today = new Date().toISOString().slice(0, 10).replaceAll("-", "");
  for (const day of ["", today.slice(0, 6), `${today}0`, "20200101"]) {
    await refuses(served, [[{ target: "/shop/alive", day }, 400, "AuthorizationHeaderMalformed"]]);
  }
  for (const date of [`${today}T000000`, "20260231T000000Z", "20261301T000000Z", "20260101T250000Z"]) {
    await refuses(served, [[{ target: "/shop/alive", date }, 400, "AuthorizationHeaderMalformed"]]);
  }
  for (
    const [range, expected] of [["bytes=0-0", "n"], ["bytes=1e0-2", "new"], ["bytes=-0x1", "new"], [
      "bytes=+1-2",
      "new",
    ]] as const
  ) {
    assert.equal((await ask(served, { target: "/shop/alive", headers: { range } })).body, expected, range);
  }
  assert.equal((await ask(served, { target: "/shop/alive" })).body, "new", "it is still there");
});

once("XML that is more than it should be is MalformedXML, and deletes nothing", async (served) => {
  await isAlive(served);
  const bodies = [
    '<!DOCTYPE a [<!ENTITY x "alive">]><Delete><Object><Key>&x;</Key></Object></Delete>',
    '<!doctype a SYSTEM "file:///etc/passwd"><Delete><Object><Key>alive</Key></Object></Delete>',
    "<Delete><Object><Key>alive</Key><Key>b</Key></Object></Delete>",
    "<Delete><Object><Key>alive</Key></Object><Object>text</Object></Delete>",
    "<Delete><Object><Key>a<b/>live</Key></Object><Object><Key>alive</Key></Object></Delete>",
    `${"<a>".repeat(50_000)}`,
    `<Delete><Object><Key>alive</Key></Object>${"x".repeat(5 * 2 ** 20)}</Delete>`,
    "<Delete><__proto__><Object><Key>alive</Key></Object></__proto__></Delete>",
    "<constructor/>",
    "",
  ];
  for (const body of [...bodies, new Uint8Array([0x3c, 0xff, 0xfe])]) {
    await refuses(served, [[{ method: "POST", target: "/shop?delete=", body }, 400, "MalformedXML"]]);
  }
  assert.equal((await ask(served, { target: "/shop/alive" })).body, "new");
});

once("chunks and trailers are read to the letter, and no more than was announced is taken", async (served) => {
  const chunked = (body: string, headers: Record<string, string> = {}) => {
    const all = {
      "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
      "x-amz-decoded-content-length": "3",
      "x-amz-trailer": "x-amz-checksum-crc32",
      ...headers,
    };
    return ask(served, { method: "PUT", target: "/shop/chunked", headers: all, body });
  };
  const crc = "x-amz-checksum-crc32:fhfnRQ==\r\n";
  const well = await chunked(`3\r\nnew\r\n0\r\n${crc}\r\n`);
  assert.deepEqual([well.status, well.code], [400, "BadDigest"]); // of other bytes: it was read and compared
  const bad = [
    `3\nnew\r\n0\r\n${crc}\r\n`,
    `3;x=y\r\nnew\r\n0\r\n${crc}\r\n`,
    `0x3\r\nnew\r\n0\r\n${crc}\r\n`,
    `3\r\nnewer\r\n0\r\n${crc}\r\n`,
    `3\r\nnew\r\n0\r\n${crc}${crc}\r\n`,
    `3\r\nnew\r\n0\r\nx-amz-meta-a:1\r\n${crc}\r\n`,
    `3\r\nnew\r\n0\r\n${crc}\r\nmore`,
    `3\r\nnew\r\n0\r\n${crc}`,
    `5\r\nnewer\r\n0\r\n${crc}\r\n`,
    `3\r\nnew\r\n0\r\n\r\n`,
  ];
  for (const body of bad) {
    const { status, code } = await chunked(body);
    assert(
      status === 400 && /^(InvalidRequest|IncompleteBody)$/.test(code!),
      `${JSON.stringify(body)}: ${status} ${code}`,
    );
  }
  await isAlive(served);
  assert.deepEqual(readdirSync(join(served.root, "shop", ".forkstack-s3", "tmp")), [], "nothing half is left");
});

once(
  "a directory of an application's with the name of a key stays, and so does a file with two names",
  async (served) => {
    const shop = join(served.root, "shop");
    mkdirSync(join(shop, "covers"));
    writeFileSync(join(shop, "covers", "1"), "mine");
    linkSync(join(shop, "covers", "1"), join(served.root, "..", "outside", "1"));
    assert.equal((await ask(served, { ...PUT, target: "/shop/covers" })).status, 200);
    assert.equal((await ask(served, { ...PUT, target: "/shop/covers/1" })).status, 200);
    assert.equal((await ask(served, { target: "/shop/covers" })).body, "new");
    assert.equal((await ask(served, { target: "/shop/covers", method: "DELETE" })).status, 204);
    assert.equal(readFileSync(join(served.root, "..", "outside", "1"), "utf8"), "mine");
  },
);
