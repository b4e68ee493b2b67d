import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { inspect } from "node:util";
import { gzipSync } from "node:zlib";
import { ForkstackError, isForkstackError } from "../../../mod.ts";
import { type HttpClient, httpClient, type HttpOptions, readJson, vendorError } from "../../../core/http/client.ts";
import { repeatable } from "../../../core/system/repeat.ts";
import { Secret } from "../../../core/secret.ts";

const TIMEOUT_MS = 30_000;
const CANARY = "canary/s3cret+val ue?1";

/** Time that moves only when the client waits; deadlines stay open until `expire()`. */
class Clock {
  nowMs = Date.parse("2026-10-21T07:28:00Z");
  readonly waits: number[] = [];
  readonly #deadlines = new Set<() => void>();
  #begun = () => {};

  now = () => new Date(this.nowMs);

  sleep = (ms: number, signal: AbortSignal): Promise<void> => {
    signal.throwIfAborted();
    if (ms !== TIMEOUT_MS) {
      this.waits.push(ms);
      this.nowMs += ms;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const expire = () => {
        this.nowMs += ms;
        resolve();
      };
      this.#deadlines.add(expire);
      signal.addEventListener("abort", () => {
        this.#deadlines.delete(expire);
        reject(signal.reason);
      }, { once: true });
      this.#begun();
    });
  };

  /** How many deadlines run. */
  get open(): number {
    return this.#deadlines.size;
  }

  expire() {
    for (const expire of this.#deadlines) expire();
    this.#deadlines.clear();
  }
}

type Reply = (request: IncomingMessage, response: ServerResponse, body: string) => void;

interface Bench {
  origin: string;
  clock: Clock;
  log: string[];
  seen: { method: string; url: string; headers: IncomingMessage["headers"]; body: string }[];
  connections: () => number;
  client: (options?: HttpOptions) => HttpClient;
  url: (path: string) => string;
}

/** A test against a real server that gives the replies in turn, the last one again and again. */
function test(name: string, replies: Reply[], run: (bench: Bench) => Promise<void>) {
  Deno.test({ name, sanitizeOps: true, sanitizeResources: true, fn: () => withServer(replies, run) });
}

async function withServer(replies: Reply[], run: (bench: Bench) => Promise<void>) {
  const left = [...replies];
  const seen: Bench["seen"] = [];
  let connections = 0;
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", () => {
      const body = Buffer.concat(chunks).toString();
      seen.push({ method: request.method!, url: request.url!, headers: request.headers, body });
      response.sendDate = false;
      (left.length > 1 ? left.shift()! : left[0])(request, response, body);
    });
  });
  server.on("connection", () => connections++);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const origin = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
  const clock = new Clock();
  const log: string[] = [];
  const client = (options: HttpOptions = {}) =>
    httpClient({ now: clock.now, sleep: clock.sleep, random: () => 0.5, log: (line) => log.push(line), ...options });
  try {
    await run({ origin, clock, log, seen, connections: () => connections, client, url: (path) => origin + path });
    assert.equal(clock.open, 0, "a deadline is left open");
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

const answer = (status: number, body: unknown = { ok: true }, headers: Record<string, string> = {}): Reply => {
  return (_, response) => {
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end(typeof body === "string" ? body : JSON.stringify(body));
  };
};
const reset: Reply = (request) => request.socket.destroy();
const truncated = (status: number, headers: Record<string, string> = {}): Reply => (request, response) => {
  response.writeHead(status, { "content-length": "100", ...headers });
  response.write('{"id":', () => request.socket.destroy());
};
const silence: Reply = () => {};

async function failure(promise: Promise<unknown>): Promise<ForkstackError> {
  const error = await promise.then(() => assert.fail("it did not fail"), (error) => error);
  assert.ok(isForkstackError(error), inspect(error));
  return error;
}

/** Lets real input and output happen until the claim holds. */
async function until(claim: () => boolean) {
  while (!claim()) await new Promise((resolve) => setTimeout(resolve, 1));
}

// --------------------------------------------------------------------------------------------------------- retries

for (const method of ["GET", "HEAD", "OPTIONS", "DELETE"]) {
  for (const status of [408, 423, 429, 500, 502, 503, 504]) {
    test(`httpClient() repeats ${method} after ${status}`, [answer(status), answer(200)], async (bench) => {
      const response = await bench.client()(new Request(bench.url("/x"), { method }));
      assert.equal(response.status, 200);
      assert.deepEqual(bench.clock.waits, [250]);
      assert.equal(bench.seen.length, 2);
    });
  }
  test(`httpClient() repeats ${method} after a reset connection`, [reset, answer(200)], async (bench) => {
    assert.equal((await bench.client()(new Request(bench.url("/x"), { method }))).status, 200);
    assert.equal(bench.seen.length, 2);
  });
}

for (const status of [400, 401, 403, 404, 409, 422, 501, 505]) {
  test(`httpClient() returns ${status} at once`, [answer(status, { code: "NO" })], async (bench) => {
    const response = await bench.client()(new Request(bench.url("/x")));
    assert.deepEqual([response.status, await readJson(response)], [status, { code: "NO" }]);
    assert.equal(bench.seen.length, 1);
  });
}

for (const method of ["GET", "HEAD", "DELETE"]) {
  test(`httpClient() does not repeat ${method} that says so`, [answer(503), answer(200)], async (bench) => {
    const response = await bench.client()(repeatable(new Request(bench.url("/x"), { method }), false));
    assert.deepEqual([response.status, bench.seen.length], [503, 1]);
  });
}

for (const method of ["POST", "PUT", "PATCH"]) {
  for (const status of [408, 500, 502, 503, 504]) {
    test(`httpClient() does not repeat ${method} after ${status}`, [answer(status), answer(201)], async (bench) => {
      const response = await bench.client()(new Request(bench.url("/x"), { method, body: "{}" }));
      assert.equal(response.status, status);
      assert.equal(bench.seen.length, 1);
    });
  }
  for (const status of [423, 429]) {
    test(`httpClient() repeats ${method} after ${status}`, [answer(status), answer(201)], async (bench) => {
      const response = await bench.client()(new Request(bench.url("/x"), { method, body: '{"name":"é"}' }));
      assert.equal(response.status, 201);
      assert.deepEqual(bench.seen.map((one) => one.body), ['{"name":"é"}', '{"name":"é"}']);
    });
  }
  test(
    `httpClient() repeats ${method} after 503 with Retry-After`,
    [answer(503, "", { "retry-after": "7" }), answer(201)],
    async (bench) => {
      assert.equal((await bench.client()(new Request(bench.url("/x"), { method, body: "{}" }))).status, 201);
      assert.deepEqual(bench.clock.waits, [7000]);
    },
  );
  test(`httpClient() repeats ${method} that is marked safe`, [answer(500), reset, answer(200)], async (bench) => {
    const headers = { "x-kept": "yes" };
    const request = new Request(bench.url("/x"), { method, body: "{}", headers });
    const response = await bench.client()(repeatable(request, true));
    assert.equal(response.status, 200);
    assert.equal(bench.seen.length, 3);
    assert.ok(bench.seen.every((one) => one.headers["x-kept"] === "yes"));
  });
}

// ------------------------------------------------------------------------------------------------------- the fence

/** A fence that lets so many pass. */
function fenceFor(count: number) {
  const fence = Object.assign(() => {
    const isLost = ++fence.asked > count;
    return isLost ? Promise.reject(new ForkstackError("LOCK_LOST", "taken over")) : Promise.resolve();
  }, { asked: 0 });
  return fence;
}

for (
  const [what, method, mayRepeat, first] of [
    ["DELETE after 500", "DELETE", undefined, answer(500)],
    ["DELETE after a reset connection", "DELETE", undefined, reset],
    ["DELETE after an answer that broke off", "DELETE", undefined, truncated(200)],
    ["POST after 429", "POST", undefined, answer(429)],
    ["PATCH after 423", "PATCH", undefined, answer(423)],
    ["POST after 503 with Retry-After", "POST", undefined, answer(503, "", { "retry-after": "7" })],
    ["PUT that is marked safe after 502", "PUT", true, answer(502)],
  ] as const
) {
  test(`httpClient() sends no second ${what} once the lock was taken over`, [first, answer(200)], async (bench) => {
    const fence = fenceFor(1);
    const request = () => repeatable(new Request(bench.url("/x"), { method }), mayRepeat);
    const client = bench.client({ concurrency: 1 });
    assert.equal((await failure(client(request(), { before: fence }))).code, "LOCK_LOST");
    assert.deepEqual([bench.seen.length, fence.asked], [1, 2]);
    assert.equal((await client(request(), { before: fenceFor(1) })).status, 200, "its place was given back");
  });
}

test(
  "httpClient() asks the fence ahead of each sending, after each wait",
  [answer(500), answer(204)],
  async (bench) => {
    const askedAfter: number[][] = [];
    const fence = () => Promise.resolve(void askedAfter.push([bench.seen.length, bench.clock.waits.length]));
    await bench.client()(new Request(bench.url("/x"), { method: "DELETE" }), { before: fence });
    assert.deepEqual(askedAfter, [[0, 0], [1, 1]]);
  },
);

for (const method of ["GET", "HEAD", "OPTIONS"]) {
  test(`httpClient() asks no fence for ${method}`, [answer(500), answer(200)], async (bench) => {
    assert.equal((await bench.client()(new Request(bench.url("/x"), { method }), { before: fenceFor(0) })).status, 200);
    assert.equal(bench.seen.length, 2);
  });
}

test("httpClient() asks the fence when a place is free, not before", [answer(200)], async (bench) => {
  const client = bench.client({ concurrency: 1 });
  const seen: number[] = [];
  const fence = () => Promise.resolve(void seen.push(bench.seen.length));
  const send = () => client(new Request(bench.url("/x"), { method: "POST", body: "{}" }), { before: fence });
  await Promise.all([send(), send(), send()]);
  assert.deepEqual(seen, [0, 1, 2]);
});

test("httpClient() does not repeat POST after a reset connection", [reset, answer(201)], async (bench) => {
  const error = await failure(bench.client()(new Request(bench.url("/projects"), { method: "POST", body: "{}" })));
  assert.equal(bench.seen.length, 1, "the vendor acted once");
  assert.deepEqual([error.code, error.retryable], ["PROVIDER_UNAVAILABLE", true]);
  assert.match(error.hint!, /may have acted/);
  assert.match((error.cause as Error).message, /^POST \/projects: the connection failed: /);
});

for (const [method, body] of [["POST", "{}"], ["POST", undefined], ["PUT", "{}"], ["PATCH", "{}"]]) {
  test(
    `httpClient() sends ${method} ${body ? "with" : "without"} a body once, even if a reused connection is reset`,
    [answer(200), answer(200), reset],
    async (bench) => {
      const client = bench.client();
      await client(new Request(bench.url("/warm")));
      await client(new Request(bench.url("/warm"), { method, body }));
      await failure(client(new Request(bench.url("/create"), { method, body })));
      assert.deepEqual(bench.seen.map((one) => one.url), ["/warm", "/warm", "/create"]);
    },
  );
}

test(
  "httpClient() does not repeat POST after a truncated body, and keeps status and request id",
  [truncated(201, { "x-request-id": "7f3a" })],
  async (bench) => {
    const error = await failure(bench.client()(new Request(bench.url("/x"), { method: "POST", body: "{}" })));
    assert.equal(bench.seen.length, 1);
    assert.deepEqual([error.code, error.details], ["PROVIDER_UNAVAILABLE", { status: 201, requestId: "7f3a" }]);
    assert.match((error.cause as Error).message, /^POST \/x: 201, the answer broke off \(request 7f3a\)/);
  },
);

test("httpClient() repeats GET after a truncated body", [truncated(200), answer(200)], async (bench) => {
  assert.deepEqual(await readJson(await bench.client()(new Request(bench.url("/x")))), { ok: true });
});

test("httpClient() repeats POST after a 429 with a truncated body", [truncated(429), answer(201)], async (bench) => {
  assert.equal((await bench.client()(new Request(bench.url("/x"), { method: "POST" }))).status, 201);
});

test("httpClient() throws PROVIDER_UNAVAILABLE when all tries failed", [reset], async (bench) => {
  const error = await failure(bench.client({ tries: 4 })(new Request(bench.url("/x"))));
  assert.equal(bench.seen.length, 4);
  assert.deepEqual([error.code, error.retryable], ["PROVIDER_UNAVAILABLE", true]);
  assert.match(error.message, /^Cannot reach "127\.0\.0\.1:\d+": the connection failed \(4 tries\)$/);
  assert.ok((error.cause as Error).cause instanceof Error, "the original is kept");
  assert.deepEqual(bench.clock.waits, [250, 500, 1000]);
});

test(
  "httpClient() returns the answer of the last try",
  [answer(502, { n: 1 }), answer(502, { n: 2 })],
  async (bench) => {
    const response = await bench.client({ tries: 2 })(new Request(bench.url("/x")));
    assert.deepEqual([response.status, await readJson(response)], [502, { n: 2 }]);
  },
);

test("httpClient() waits with full jitter, doubled each time up to a bound", [answer(500)], async (bench) => {
  const random = () => 0.999999;
  await bench.client({ random, tries: 8 })(new Request(bench.url("/x")));
  assert.deepEqual(bench.clock.waits, [500, 1000, 2000, 4000, 8000, 15000, 15000]);
  bench.clock.waits.length = 0;
  await bench.client({ random: () => 0, tries: 3 })(new Request(bench.url("/x")));
  assert.deepEqual(bench.clock.waits, [100, 100]);
});

test("httpClient() writes one log line for each wait", [reset, answer(503), answer(200)], async (bench) => {
  await bench.client()(new Request(bench.url("/x?a=b")));
  const host = new URL(bench.origin).host;
  assert.deepEqual(bench.log, [
    `GET /x at ${host}: the connection failed, trying again in 0.25 s`,
    `GET /x at ${host}: 503, trying again in 0.5 s`,
  ]);
});

// ----------------------------------------------------------------------------------------------------- retry-after

const RETRY_AFTER: [string, Record<string, string>, number][] = [
  ["seconds", { "retry-after": "12" }, 12_000],
  ["a date by our clock", { "retry-after": "Wed, 21 Oct 2026 07:28:20 GMT" }, 20_000],
  ["a date by the vendor's clock", {
    "date": "Wed, 21 Oct 2015 07:28:00 GMT",
    "retry-after": "Wed, 21 Oct 2015 07:28:09 GMT",
  }, 9_000],
  ["a date that has passed", { "retry-after": "Wed, 21 Oct 2020 07:28:30 GMT" }, 100],
  ["zero", { "retry-after": "0" }, 100],
  ["no known form", { "retry-after": "soon" }, 250],
  ["a negative number", { "retry-after": "-5" }, 250],
];
for (const [form, headers, waitMs] of RETRY_AFTER) {
  test(`httpClient() obeys Retry-After as ${form}`, [answer(429, "", headers), answer(200)], async (bench) => {
    assert.equal((await bench.client()(new Request(bench.url("/x")))).status, 200);
    assert.deepEqual(bench.clock.waits, [waitMs]);
  });
}

test("httpClient() fails at once on a Retry-After beyond the total deadline, and the error says when", [
  answer(429, { message: "slow down" }, { "retry-after": "300" }),
], async (bench) => {
  const request = new Request(bench.url("/x"));
  const response = await bench.client()(request);
  assert.equal(response.status, 429);
  assert.deepEqual([bench.clock.waits, bench.seen.length], [[], 1]);
  const error = vendorError(request, response, { provider: "r2", message: "Cannot list buckets", hint: "Wait" });
  assert.deepEqual([error.code, error.retryable], ["RATE_LIMITED", true]);
  assert.equal(error.hint, "Wait. The vendor asks to wait until 2026-10-21T07:33:00.000Z");
});

test(
  "httpClient() counts all waits against the total deadline",
  [answer(429, "", { "retry-after": "50" })],
  async (bench) => {
    assert.equal((await bench.client()(new Request(bench.url("/x")))).status, 429);
    assert.deepEqual(bench.clock.waits, [50_000, 50_000]);
  },
);

test(
  "httpClient() waits out 423, more often than failures are tried",
  [...Array(9).fill(answer(423)), answer(201)],
  async (bench) => {
    assert.equal((await bench.client()(new Request(bench.url("/x"), { method: "POST" }))).status, 201);
    assert.equal(bench.seen.length, 10);
  },
);

test("httpClient() gives 423 back when the total deadline is over", [answer(423)], async (bench) => {
  const startMs = bench.clock.nowMs;
  assert.equal((await bench.client()(new Request(bench.url("/x"), { method: "POST" }))).status, 423);
  const spentMs = bench.clock.nowMs - startMs;
  assert.ok(spentMs > 100_000 && spentMs <= 120_000, String(spentMs));
});

// -------------------------------------------------------------------------------------------------------- deadline

test("httpClient() ends a POST without an answer at its deadline, and does not repeat it", [silence], async (bench) => {
  const failed = failure(bench.client()(new Request(bench.url("/x"), { method: "POST" })));
  await until(() => bench.seen.length === 1);
  bench.clock.expire();
  const error = await failed;
  assert.equal(error.code, "PROVIDER_UNAVAILABLE");
  assert.match(error.message, /no whole answer within 30 s$/);
  assert.equal(((error.cause as Error).cause as Error).name, "TimeoutError");
});

test("httpClient() repeats a GET that met its deadline", [silence, answer(200)], async (bench) => {
  const response = bench.client()(new Request(bench.url("/x")));
  await until(() => bench.seen.length === 1);
  bench.clock.expire();
  assert.equal((await response).status, 200);
});

test("httpClient() holds the body to the deadline too", [(_, response) => {
  response.writeHead(200, { "x-request-id": "slow" });
  response.write("{");
}], async (bench) => {
  let isHeadThere = false;
  const watched = async (request: Request) => {
    const response = await fetch(request);
    isHeadThere = true;
    return response;
  };
  const failed = failure(bench.client({ fetch: watched, tries: 1 })(new Request(bench.url("/x"))));
  await until(() => isHeadThere);
  bench.clock.expire();
  assert.deepEqual((await failed).details, { status: 200, requestId: "slow" });
});

test("httpClient() ends a fetch that ignores its signal", [answer(200)], async (bench) => {
  let sent: Request | undefined;
  const deaf = (request: Request) => {
    sent = request;
    return new Promise<Response>(() => {});
  };
  const failed = failure(bench.client({ fetch: deaf, tries: 1 })(new Request(bench.url("/x"))));
  await until(() => bench.clock.open === 1);
  bench.clock.expire();
  assert.equal((await failed).code, "PROVIDER_UNAVAILABLE");
  assert.ok(sent!.signal.aborted, "the fetch was told to stop");
});

test("httpClient() begins no try after the total deadline", [silence], async (bench) => {
  const failed = failure(bench.client({ totalMs: 50_000 })(new Request(bench.url("/x"))));
  for (const count of [1, 2]) {
    await until(() => bench.seen.length === count);
    bench.clock.expire();
  }
  assert.match((await failed).message, /\(2 tries\)$/);
});

// ----------------------------------------------------------------------------------------------------------- abort

test("httpClient() ends in flight when its signal is aborted", [silence], async (bench) => {
  const stop = new AbortController();
  const failed = failure(bench.client({ signal: stop.signal })(new Request(bench.url("/x"))));
  await until(() => bench.seen.length === 1);
  stop.abort(new Error("Ctrl-C"));
  const error = await failed;
  assert.equal(error.code, "INTERRUPTED");
  assert.equal(((error.cause as Error).cause as Error).message, "Ctrl-C");
});

test("httpClient() ends in flight when the request's own signal is aborted", [silence], async (bench) => {
  const stop = new AbortController();
  const failed = failure(bench.client()(new Request(bench.url("/x"), { signal: stop.signal })));
  await until(() => bench.seen.length === 1);
  stop.abort();
  assert.equal((await failed).code, "INTERRUPTED");
});

test(
  "httpClient() ends in the queue when its signal is aborted, and gives up its place",
  [silence, answer(200)],
  async (bench) => {
    const stop = new AbortController();
    const client = bench.client({ concurrency: 1 });
    const first = client(new Request(bench.url("/1")));
    await until(() => bench.seen.length === 1);
    const second = failure(client(new Request(bench.url("/2"), { signal: stop.signal })));
    const third = client(new Request(bench.url("/3")));
    await new Promise((resolve) => setTimeout(resolve, 1));
    stop.abort();
    assert.equal((await second).code, "INTERRUPTED");
    bench.clock.expire(); // the first is repeated, behind the third
    await Promise.all([first, third]);
    assert.deepEqual(bench.seen.map((one) => one.url), ["/1", "/3", "/1"]);
  },
);

test("httpClient() ends a wait when its signal is aborted", [answer(503)], async (bench) => {
  const stop = new AbortController();
  const sleep = (ms: number, signal: AbortSignal) =>
    ms === TIMEOUT_MS ? bench.clock.sleep(ms, signal) : new Promise<void>((_, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason));
      stop.abort();
    });
  const error = await failure(bench.client({ signal: stop.signal, sleep })(new Request(bench.url("/x"))));
  assert.equal(error.code, "INTERRUPTED");
});

test("httpClient() sends nothing once its signal is aborted", [answer(200)], async (bench) => {
  const error = await failure(bench.client({ signal: AbortSignal.abort() })(new Request(bench.url("/x"))));
  assert.deepEqual([error.code, bench.seen.length], ["INTERRUPTED", 0]);
});

// ----------------------------------------------------------------------------------------- concurrency, connections

test(
  "httpClient() has at most so many requests under way at a host, in the order of asking",
  [answer(200)],
  async (bench) => {
    let [active, most] = [0, 0];
    const order: string[] = [];
    const watched = async (request: Request) => {
      most = Math.max(most, ++active);
      order.push(new URL(request.url).pathname);
      await new Promise((resolve) => setTimeout(resolve, 1));
      const response = await fetch(request);
      active--;
      return response;
    };
    const client = bench.client({ fetch: watched, concurrency: 3 });
    const paths = Array.from({ length: 12 }, (_, n) => `/${n}`);
    await Promise.all(paths.map((path) => client(new Request(bench.url(path)))));
    assert.equal(most, 3);
    assert.deepEqual(order, paths);
  },
);

test("httpClient() bounds each host on its own", [silence], async (bench) => {
  await withServer([answer(200)], async (other) => {
    const stop = new AbortController();
    const client = bench.client({ concurrency: 1, signal: stop.signal });
    const stuck = failure(client(new Request(bench.url("/x"))));
    await until(() => bench.seen.length === 1);
    assert.equal((await client(new Request(other.url("/x")))).status, 200);
    stop.abort();
    await stuck;
  });
});

test("httpClient() does not count time in the queue", [silence, answer(200)], async (bench) => {
  const client = bench.client({ concurrency: 1, tries: 1, totalMs: 20_000 });
  const first = failure(client(new Request(bench.url("/1"))));
  await until(() => bench.seen.length === 1);
  const second = client(new Request(bench.url("/2")));
  bench.clock.expire(); // 30 s
  await first;
  assert.equal((await second).status, 200);
});

test("httpClient() refuses a concurrency that would never let anything through", [answer(200)], (bench) => {
  assert.throws(() => bench.client({ concurrency: 0 }), RangeError);
  return Promise.resolve();
});

test(
  "httpClient() reuses connections after retried, redirected, refused and unread answers",
  [
    answer(503, "x".repeat(200_000)),
    answer(429, "slow down"),
    (_, response) => response.writeHead(302, { location: "/there" }).end("moved".repeat(10_000)),
    answer(200),
    answer(404, "x".repeat(200_000)),
    answer(204, ""),
  ],
  async (bench) => {
    const client = bench.client();
    for (let n = 0; n < 10; n++) await client(new Request(bench.url("/x")));
    assert.equal(bench.seen.length, 13);
    // Deno's pool takes a connection back a moment after the last byte was read; of unread bodies, each costs one.
    assert.ok(bench.connections() <= 3, String(bench.connections()));
  },
);

test(
  "httpClient() opens about as many connections as requests are under way",
  [answer(500, "x".repeat(100_000))],
  async (bench) => {
    const client = bench.client({ concurrency: 2, tries: 3 });
    await Promise.all(Array.from({ length: 10 }, () => client(new Request(bench.url("/x")))));
    assert.equal(bench.seen.length, 30);
    assert.ok(bench.connections() <= 5, String(bench.connections()));
  },
);

// --------------------------------------------------------------------------------------------- answers and redirects

test("httpClient() hands back status, headers and bytes", [(_, response) => {
  response.writeHead(206, { "x-one": "1", "content-type": "application/octet-stream" });
  response.end(Buffer.from([0, 255, 1, 254]));
}], async (bench) => {
  const response = await bench.client()(new Request(bench.url("/x?q=1")));
  assert.deepEqual([response.status, response.headers.get("x-one")], [206, "1"]);
  assert.deepEqual([...new Uint8Array(await response.arrayBuffer())], [0, 255, 1, 254]);
  assert.equal(bench.seen[0].url, "/x?q=1");
});

test("httpClient() hands back a compressed body as it was meant", [(_, response) => {
  response.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync('{"a":1}'));
}], async (bench) => {
  const response = await bench.client()(new Request(bench.url("/x")));
  assert.deepEqual(await readJson(response), { a: 1 });
  assert.equal(response.headers.get("content-encoding"), null);
});

test("httpClient() keeps the size that HEAD tells", [(_, response) => {
  response.writeHead(200, { "content-length": "5" }).end();
}], async (bench) => {
  const response = await bench.client()(new Request(bench.url("/x"), { method: "HEAD" }));
  assert.deepEqual([response.headers.get("content-length"), await response.text()], ["5", ""]);
});

test("httpClient() refuses a body that is too large, once", [answer(200, "x".repeat(1001))], async (bench) => {
  const error = await failure(bench.client({ maxBytes: 1000 })(new Request(bench.url("/x"))));
  assert.deepEqual([error.code, error.retryable, bench.seen.length], ["RESPONSE_TOO_LARGE", false, 1]);
});

test("httpClient() follows a redirect of GET within the origin, with its headers", [
  (_, response) => response.writeHead(302, { location: "/b" }).end(),
  answer(200),
], async (bench) => {
  const response = await bench.client()(new Request(bench.url("/a"), { headers: { authorization: "Bearer abcd" } }));
  assert.equal(response.status, 200);
  assert.deepEqual(bench.seen.map((one) => [one.url, one.headers.authorization]), [
    ["/a", "Bearer abcd"],
    ["/b", "Bearer abcd"],
  ]);
});

test("httpClient() does not follow a redirect to another origin", [answer(200)], async (other) => {
  const away: Reply = (_, response) => response.writeHead(307, { location: other.url("/b?token=abc") }).end();
  await withServer([away], async (bench) => {
    const error = await failure(bench.client()(new Request(bench.url("/a"), { headers: { authorization: "x" } })));
    assert.deepEqual([error.code, bench.seen.length, other.seen.length], ["PROVIDER_REFUSED", 1, 0]);
    assert.ok(error.message.endsWith(`it answers with a redirect to "${other.origin}"`), error.message);
  });
});

test("httpClient() does not follow a redirect of POST", [(_, response) => {
  response.writeHead(303, { location: "/b" }).end();
}], async (bench) => {
  const error = await failure(bench.client()(new Request(bench.url("/a"), { method: "POST" })));
  assert.deepEqual([error.code, bench.seen.length], ["PROVIDER_REFUSED", 1]);
});

test("httpClient() leaves a circle of redirects", [(_, response) => {
  response.writeHead(302, { location: "/a" }).end();
}], async (bench) => {
  const error = await failure(bench.client()(new Request(bench.url("/a"))));
  assert.deepEqual([error.code, bench.seen.length], ["PROVIDER_REFUSED", 6]);
});

test("httpClient() says which permission is missing", [answer(200)], async (bench) => {
  const denied = Object.assign(new Error("Requires net access"), { name: "NotCapable" });
  const error = await failure(bench.client({ fetch: () => Promise.reject(denied) })(new Request(bench.url("/x"))));
  assert.deepEqual([error.code, bench.clock.waits], ["NETWORK_DENIED", []]);
  assert.match(error.hint!, /--allow-net=127\.0\.0\.1:\d+$/);
});

// ------------------------------------------------------------------------------------------------------- redaction

/** Every text that somebody may read of an error. */
function everything(error: Error): string {
  const chain: unknown[] = [];
  for (let one: unknown = error; one instanceof Error; one = one.cause) {
    chain.push(one.name, one.message, one.stack, String(one), Object.getOwnPropertyDescriptors(one));
  }
  return [inspect(error, { depth: 20, showHidden: true }), JSON.stringify(error), Deno.inspect(error), inspect(chain)]
    .join("\n");
}

const base64 = (text: string) => Buffer.from(text).toString("base64");
const FORMS: [string, string][] = [
  ["as it is", CANARY],
  ["percent-encoded", encodeURIComponent(CANARY)],
  ["percent-encoded in lower case", encodeURIComponent(CANARY).replace(/%../g, (escape) => escape.toLowerCase())],
  ["encoded as a form", new URLSearchParams([["k", CANARY]]).toString().slice(2)],
  ["in base64", base64(CANARY)],
  ["in base64url", Buffer.from(CANARY).toString("base64url")],
  ["in the base64 of a pair", base64(`me:${CANARY}`)],
  ["in the base64 of another pair", base64(`you:${CANARY}:`)],
  ["in the base64 of a third pair", base64(`user:${CANARY}`)],
];

for (const [form, text] of FORMS) {
  test(`no error or log line shows a secret ${form}`, [answer(500, { message: `bad key ${text}` })], async (bench) => {
    const fetch = () => Promise.reject(new TypeError(`refused ${text}`, { cause: new Error(`since ${text} is bad`) }));
    const secrets = [new Secret(CANARY)];
    const broken = await failure(bench.client({ fetch, secrets, tries: 2 })(new Request(bench.url("/a"))));
    const request = new Request(bench.url(`/keys/${encodeURIComponent(text)}?key=${encodeURIComponent(text)}`));
    const response = await bench.client({ secrets, tries: 2 })(request);
    const bad = vendorError(request, response, { provider: "x", message: `Cannot use ${text}`, hint: `Not ${text}` });
    for (const shown of [everything(broken), everything(bad), bench.log.join("\n")]) {
      for (const [, hidden] of FORMS.slice(0, 6)) assert.ok(!shown.includes(hidden), shown);
      assert.ok(!shown.includes(text.slice(8, 24)), shown);
    }
    assert.match(everything(broken), /refused \S*\[redacted\]/);
    assert.match(everything(bad), /bad key \S*\[redacted\]/);
  });
}

const CREDENTIALS: [string, Record<string, string>, string][] = [
  ["Bearer", { authorization: `Bearer ${CANARY}` }, CANARY],
  ["Basic", { authorization: `Basic ${base64(`me:${CANARY}`)}` }, CANARY],
  ["Basic, its user name being the key", { authorization: `Basic ${base64(`${CANARY}:`)}` }, CANARY],
  ["x-api-key", { "x-api-key": CANARY }, CANARY],
  ["x-vault-token", { "x-vault-token": CANARY }, CANARY],
  ["apikey", { apikey: CANARY }, CANARY],
];
for (const [name, headers, secret] of CREDENTIALS) {
  test(`no error shows the request's own credential: ${name}`, [
    answer(400, {
      message: `bad ${secret} ${Object.values(headers)[0]} ${base64(secret)} ${encodeURIComponent(secret)}`,
    }),
  ], async (bench) => {
    const request = new Request(bench.url("/a"), { headers });
    const errors = [
      vendorError(request, await bench.client()(request), { provider: "x", message: "Cannot", hint: "Do" }),
      await failure(bench.client({ fetch: () => Promise.reject(new Error(secret)), tries: 1 })(request.clone())),
    ];
    for (const error of errors) {
      const shown = everything(error);
      for (const hidden of [secret, base64(secret), encodeURIComponent(secret), Object.values(headers)[0]]) {
        assert.ok(!shown.includes(hidden), shown);
      }
    }
  });
}

test(
  "a cut quote holds no half of a secret",
  [answer(400, { message: `${"x".repeat(190)} ${CANARY}` })],
  async (bench) => {
    const request = new Request(bench.url("/a"));
    const response = await bench.client({ secrets: [new Secret(CANARY)] })(request);
    const error = vendorError(request, response, { provider: "x", message: "Cannot", hint: "Do" });
    assert.ok(!everything(error).includes("canary"), everything(error));
    assert.ok((error.cause as Error).message.length < 230);
  },
);

test("no error shows query strings, user names in URLs or connection URLs", [answer(400, {
  message: "see https://u:pw@host.example/p?sig=abc#f and postgres://u:pw@host/db?x=1",
})], async (bench) => {
  const request = new Request(bench.url("/a?sig=abc"));
  const error = vendorError(request, await bench.client()(request), { provider: "x", message: "Cannot", hint: "Do" });
  assert.equal(
    (error.cause as Error).message,
    "GET /a: 400: see https://host.example/p and postgres://[redacted]",
  );
  const closed = await failure(
    bench.client({ tries: 1, fetch: (one) => fetch(one.url.replace(/:\d+/, ":1")) })(request),
  );
  assert.ok(!everything(closed).includes("sig"), everything(closed));
});

test("a secret that is added later is known to the next request", [answer(400, { message: CANARY })], async (bench) => {
  const secrets: Secret[] = [];
  const client = bench.client({ secrets });
  secrets.push(new Secret(CANARY));
  const request = new Request(bench.url("/a"));
  const error = vendorError(request, await client(request), { provider: "x", message: "Cannot", hint: "Do" });
  assert.equal((error.cause as Error).message, "GET /a: 400: [redacted]");
});

test("an abort's reason is redacted", [answer(200)], async (bench) => {
  const signal = AbortSignal.abort(new Error(`stop ${CANARY}`));
  const error = await failure(bench.client({ signal, secrets: [new Secret(CANARY)] })(new Request(bench.url("/x"))));
  assert.ok(!everything(error).includes(CANARY));
});

// ----------------------------------------------------------------------------------------------------- vendorError()

const STATUSES: [number, string, boolean][] = [
  [400, "PROVIDER_REFUSED", false],
  [401, "CREDENTIALS_REJECTED", false],
  [403, "CREDENTIALS_DENIED", false],
  [404, "NOT_FOUND", false],
  [408, "PROVIDER_UNAVAILABLE", true],
  [409, "CONFLICT", false],
  [422, "PROVIDER_REFUSED", false],
  [423, "RESOURCE_LOCKED", true],
  [429, "RATE_LIMITED", true],
  [500, "PROVIDER_UNAVAILABLE", true],
  [503, "PROVIDER_UNAVAILABLE", true],
];

Deno.test("vendorError() takes its code from the status", () => {
  for (const [status, code, retryable] of STATUSES) {
    const error = vendorError(new Request("https://api.example/x"), new Response(null, { status }), {
      provider: "neon",
      resource: "database",
      message: "Cannot",
      hint: "Do",
    });
    assert.deepEqual([error.code, error.retryable], [code, retryable]);
    assert.deepEqual(error.details, { provider: "neon", resource: "database", status });
  }
});

const BODIES: [string, string, string][] = [
  [
    "Neon",
    '{"code":"BRANCHES_LIMIT_EXCEEDED","message":"branches limit"}',
    "422 BRANCHES_LIMIT_EXCEEDED: branches limit",
  ],
  ["Neon without a code", '{"code":"","message":"not found","request_id":"r1"}', "422 (request r1): not found"],
  ["Turso", '{"error":"group not found"}', "422: group not found"],
  ["a code as error", '{"error":"invalid_grant"}', "422 invalid_grant"],
  ["Cloudflare", '{"success":false,"errors":[{"code":10006,"message":"no bucket"}]}', "422 10006: no bucket"],
  ["Vault", '{"errors":["permission denied"]}', "422: permission denied"],
  ["Doppler", '{"messages":["Invalid token"],"success":false}', "422: Invalid token"],
  ["AWS", '{"__type":"com.amazonaws#LimitExceeded","Message":"too many"}', "422 LimitExceeded: too many"],
  ["Google", '{"error":{"code":422,"message":"nope"}}', "422: nope"],
  [
    "S3",
    "<?xml version='1.0'?><Error><Code>BucketExists</Code><Message>taken</Message><RequestId>q</RequestId></Error>",
    "422 BucketExists (request q): taken",
  ],
  ["plain text", "no\nsuch\u001b[31m thing", "422: no such [31m thing"],
  ["a JSON string", '"Not Found"', "422: Not Found"],
  ["a page", "<html><h1>Bad gateway</h1></html>", "422"],
  ["nothing", "", "422"],
  ["other JSON", '{"connection_uri":"x"}', "422"],
  ["half of JSON", '{"code":', '422: {"code":'],
];
for (const [name, body, expected] of BODIES) {
  test(`vendorError() reads code and message of ${name}`, [answer(422, body)], async (bench) => {
    const request = new Request(bench.url("/projects/x"), { method: "POST" });
    const response = await bench.client()(request);
    await response.text(); // the provider may have read it
    const error = vendorError(request, response, { provider: "x", code: "PLAN_LIMIT", message: "Cannot", hint: "Do" });
    assert.equal((error.cause as Error).message, `POST /projects/x: ${expected}`);
    assert.deepEqual([error.code, error.message, error.hint], ["PLAN_LIMIT", "Cannot", "Do"]);
  });
}

test("vendorError() does not quote the body of a success", [answer(200, { message: "password" })], async (bench) => {
  const request = new Request(bench.url("/x"));
  const error = vendorError(request, await bench.client()(request), { provider: "x", message: "Cannot", hint: "Do" });
  assert.equal((error.cause as Error).message, "GET /x: 200");
});

Deno.test("vendorError() keeps the request id: of the provider's headers the best, else of one that says so", async () => {
  const ids: [headers: Record<string, string>, named: string[], id: string | undefined][] = [
    [{ "cf-ray": "ray", "x-request-id": "own" }, ["x-request-id", "cf-ray"], "own"],
    [{ "cf-ray": "ray", "x-request-id": "" }, ["x-request-id", "cf-ray"], "ray"],
    [{ "x-vendor-trace": "trace", "x-request-id": "net" }, ["X-Vendor-Trace"], "trace"],
    [{ "cf-ray": "ray" }, [], undefined],
    [{ "x-amz-request-id": "s3" }, [], "s3"],
    [{ "x-amzn-RequestId": "aws" }, [], "aws"],
    [{ "a-request-id": "network", "x-request-id": "own" }, [], "own"],
    [{ "x-correlation-id": "some", "x-requested-with": "no", "no-id": "no" }, ["absent"], "some"],
  ];
  for (const [headers, requestIdHeaders, id] of ids) {
    const client = httpClient({ tries: 1, fetch: () => Promise.resolve(new Response("{", { status: 400, headers })) });
    const request = new Request("https://a.example/x?q=1");
    const response = await client(request, { requestIdHeaders });
    const error = vendorError(request, response, { provider: "x", message: "Cannot", hint: "Do" });
    assert.equal(error.details.requestId, id);
    assert.equal((error.cause as Error).message, `GET /x: 400${id === undefined ? "" : ` (request ${id})`}: {`);
    assert.equal((await failure(readJson(response))).details.requestId, id, "an answer that can't be read");
  }
});

// --------------------------------------------------------------------------------------------------------- readJson()

const UNREADABLE: [string, string][] = [
  ["half of a JSON body", '{"password":"hunter22'],
  ["a page", "<html>hunter22</html>"],
  ["an empty body", ""],
];
for (const [name, body] of UNREADABLE) {
  test(
    `readJson() refuses ${name} without quoting it`,
    [answer(200, body, { "x-request-id": "7f3a" })],
    async (bench) => {
      const error = await failure(readJson(await bench.client()(new Request(bench.url("/x?q=1")))));
      assert.deepEqual([error.code, error.retryable], ["PROVIDER_UNAVAILABLE", true]);
      assert.deepEqual(error.details, { status: 200, requestId: "7f3a" });
      assert.match(
        (error.cause as Error).message,
        /^GET \/x: 200, the body is (not JSON, \d+ characters|empty) \(request 7f3a\)$/,
      );
      assert.ok(!everything(error).includes("hunter"));
    },
  );
}

Deno.test("readJson() refuses a body that breaks off", async () => {
  const body = new ReadableStream({ start: (controller) => controller.error(new Error("reset")) });
  assert.equal((await failure(readJson(new Response(body)))).code, "PROVIDER_UNAVAILABLE");
});

Deno.test("readJson() calls a second reading misuse", async () => {
  const response = new Response("{}");
  await readJson(response);
  await assert.rejects(readJson(response), TypeError);
});
