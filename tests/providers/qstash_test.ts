import assert from "node:assert/strict";
import * as v from "npm:valibot@1.5.0";
import type { Context, Target } from "../../core/provider.ts";
import provider from "../../providers/queue/qstash.ts";
import { testProvider } from "../conformance.ts";
import { QStash, type QStashOptions } from "../emulators/qstash.ts";
import { serve } from "../emulators/serve.ts";
import { type Call, FAULTS, watched } from "../faults.ts";
import { sized } from "../sizes.ts";
import { jsonRequest, Specification, testSpecification } from "../emulators/specification.ts";
import { qstashEmulator, seed, thingsOf } from "./_qstash.ts";
import { assertRefused, plain, shopOf } from "./_vendor.ts";

const SPECIFICATION = Specification.read("qstash.yaml", {
  // Its path has no room for the URL that a schedule sends to, though its text wants it there.
  pathOf: (path) =>
    path.replace(/^(\/v2\/schedules\/)(https?:.*)$/, (_, start, url) => start + encodeURIComponent(url)),
  exceptions: {
    "nor for the query of such a URL": /^POST \/v2\/schedules\/https:.*: there is no query parameter/,
  },
});

testProvider({ provider, emulator: qstashEmulator(SPECIFICATION) });
testProvider({
  provider,
  emulator: qstashEmulator(SPECIFICATION),
  options: { destination: "https://{env}.preview.example" },
}, { as: "qstash with a destination", only: /^(goes from|two creates|a parent|makes an empty)/ });
testSpecification("qstash", SPECIFICATION, {
  request: jsonRequest("https://qstash.upstash.io/v2/queues", "POST"),
  sent: `{"queueName":"x"}`,
  is: /parallelism/,
});

const TOKEN = "qstash-token-0123456789";
const DESTINATION = "https://{env}.preview.example";
const YEAR_MS = 366 * 86_400_000;

/** An account whose "shop" has queues, groups, schedules and a message. */
async function openShop(changed: Partial<QStashOptions> = {}) {
  const qstash = new QStash({ tokens: { [TOKEN]: true }, ...changed });
  const server = await serve(() => qstash);
  seed(qstash, "shop");
  const shop = shopOf(provider, { QSTASH_TOKEN: TOKEN }, { endpoint: server.url });
  return Object.assign(shop, { qstash, [Symbol.asyncDispose]: () => server.close() });
}

Deno.test("qstash: a fork has the parent's queues and settings, groups and schedules that send elsewhere, no message", async () => {
  await using shop = await openShop();
  const before = thingsOf(shop.qstash);
  const fork = await shop.create(shop.target("alice", {}, { destination: DESTINATION }));
  const { queues, groups, schedules, messages } = shop.qstash;
  assert.match(fork.id, /^shop-alice_forkstack-[0-9a-f]{32}@\d+$/);
  assert.deepEqual([...queues.keys()].filter((name) => name.startsWith("shop-")), [
    fork.id.split("@")[0],
    "shop-alice.emails",
    "shop-alice.reports",
  ]);
  const emails = queues.get("shop-alice.emails")!;
  assert.deepEqual([emails.parallelism, emails.paused, queues.get("shop-alice.reports")!.paused], [3, false, true]);
  assert.deepEqual(groups.get("shop-alice.hooks")!.endpoints, [
    { name: "e0", url: "https://alice.preview.example/a?x=1" },
    { name: "e1", url: "https://alice.preview.example/b" },
  ]);
  const { createdAt: _, scheduleId: __, ...nightly } = schedules.get("shop-alice.nightly")!;
  assert.deepEqual(nightly, {
    cron: "0 3 * * *",
    destination: "https://alice.preview.example/run?all=1",
    header: { "Content-Type": ["text/plain"], "x-key": ["canary-in-the-parent-0123456789"] },
    method: "PUT",
    isPaused: true,
    queueName: "shop-alice.emails",
    retries: 2,
    delay: 30,
    body: "nightly",
  });
  const fanOut = schedules.get("shop-alice.fan-out")!;
  assert.deepEqual([fanOut.destination, fanOut.cron, fanOut.isPaused], ["shop-alice.hooks", "*/5 * * * *", true]);
  assert.deepEqual([...messages.keys()], ["msg_shop"], "jobs stay with the parent");
  for (const [name, digest] of before) assert.equal(thingsOf(shop.qstash).get(name), digest, `${name} is the parent's`);
  assert.deepEqual(shop.warnings, []);
  const outputs = plain(await provider.outputs(shop.context(), fork, shop.scope()));
  assert.equal(outputs.QUEUE_PREFIX, "shop-alice.");
  assert.deepEqual(outputs.QSTASH_CURRENT_SIGNING_KEY, shop.qstash.keys.current);
});

Deno.test("qstash: without a destination of its own a fork has no groups, and is told so", async () => {
  await using shop = await openShop();
  await shop.create(shop.target("alice"));
  assert.deepEqual([...shop.qstash.groups.keys()], ["shop.hooks"]);
  assert.deepEqual([...shop.qstash.schedules.keys()], ["shop.fan-out", "shop.nightly", "shop-alice.nightly"]);
  assert.equal(shop.qstash.schedules.get("shop-alice.nightly")!.destination, "https://prod.example/run?all=1");
  assert.match(shop.warnings.join("\n"), /no URL groups.*"destination" of the queue.*\n.*no schedule "shop.fan-out"/);
});

Deno.test("qstash: a fork of prod takes nothing of other environments", async () => {
  await using shop = await openShop();
  await shop.create(shop.target("alice", {}, { destination: DESTINATION }));
  const bob = await shop.create(shop.target("bob", {}, { destination: DESTINATION }));
  assert(![...thingsOf(shop.qstash).keys()].some((name) => /bob.*alice|alice.*bob/.test(name)));
  const carol = shop.target("carol", { parent: "shop-bob" }, { destination: DESTINATION });
  assert.equal((await shop.create(carol)).parentId, "shop-bob");
  assert(shop.qstash.queues.has("shop-carol.emails"));
  assert.equal(await provider.delete(shop.context(), bob, shop.scope()), "deleted");
  assert(shop.qstash.schedules.has("shop-alice.nightly"));
});

/** The calls at which a run is killed and half a year is lived through afterwards, which takes a second. */
const SILENCE = sized({ gate: 9, full: 3 });

for (const upsertResumes of [false, true]) {
  const where = upsertResumes ? "where new settings resume a schedule" : "where a paused schedule stays paused";
  Deno.test(`qstash: killed at any call, a fork never fires a webhook in a year, and is finished later; ${where}`, async () => {
    const died = FAULTS.filter(({ isCrash, name }) => isCrash || name === "lost reply");
    let calls: Call[] = [];
    const forked = async (at?: number, fault?: (typeof FAULTS)[number]) => {
      const shop = await openShop({ upsertResumes });
      const { fetch } = shop.context();
      const files = {} as Context["files"];
      const reach = watched({ fetch, files }, at === undefined ? undefined : { at, ...(fault ? { fault } : {}) });
      const target = shop.target("alice", {}, { destination: DESTINATION });
      await shop.create(target, shop.context({ fetch: reach.fetch })).catch(() => {});
      return { shop, target, calls: reach.calls };
    };
    const assertSilent = ({ qstash }: { qstash: QStash }) => {
      qstash.deliveries.length = 0;
      const now = qstash.now;
      qstash.advance(5 * 30 * 86_400_000); // short of the half year at which one that was cut off is set
      assert.deepEqual(
        [...new Set(qstash.deliveries.map(({ scheduleId }) => scheduleId))].filter((id) => /alice/.test(id)),
        [],
      );
      assert(qstash.deliveries.length > 40_000, "prod's fire");
      qstash.now = now;
    };
    {
      const first = await forked();
      calls = first.calls;
      assertSilent(first.shop);
      first.shop.qstash.deliveries.length = 0;
      first.shop.qstash.advance(YEAR_MS);
      assert(!first.shop.qstash.deliveries.some(({ scheduleId }) => /alice/.test(scheduleId)));
      await first.shop[Symbol.asyncDispose]();
    }
    assert(calls.length > 15);
    for (const { n, isChange } of calls) {
      for (const fault of died.filter(({ onChangesOnly }) => isChange || !onChangesOnly)) {
        const { shop, target } = await forked(n, fault);
        if (isChange && n % SILENCE === 0) assertSilent(shop);
        const live = [...shop.qstash.schedules.values()].filter(({ scheduleId, isPaused, cron }) =>
          /alice/.test(scheduleId) && !isPaused && !/^0 0 [12] \d+ \*$/.test(cron)
        );
        assert.deepEqual(live, [], `${fault.name} at call ${n}`);
        await shop.create(target);
        const all = [...shop.qstash.schedules.values()].filter(({ scheduleId }) => /alice/.test(scheduleId));
        assert.deepEqual(all.map(({ isPaused }) => isPaused), [true, true], `${fault.name} at call ${n}`);
        const crons = all.map(({ cron }) => cron).sort();
        if (upsertResumes) assert.match(shop.warnings.join("\n"), /QStash resumes one whose times are changed/);
        else assert.deepEqual(crons, ["*/5 * * * *", "0 3 * * *"]);
        await shop[Symbol.asyncDispose]();
      }
    }
  });
}

Deno.test("qstash: delete() takes what the app made under its prefix, each by its whole name, and the queue last", async () => {
  await using shop = await openShop();
  const fork = await shop.create(shop.target("alice", {}, { destination: DESTINATION }));
  const before = thingsOf(shop.qstash);
  shop.qstash.addQueue("shop-alice.made-by-the-app");
  shop.qstash.addQueue("shop-alicex.other");
  shop.qstash.requests.length = 0;
  assert.equal(await provider.delete(shop.context(), fork, shop.scope()), "deleted");
  const deletes = shop.qstash.requests.filter(({ method }) => method === "DELETE");
  assert.deepEqual(deletes.map(({ path, query }) => path + query), [
    "/v2/schedules/shop-alice.fan-out",
    "/v2/schedules/shop-alice.nightly",
    "/v2/topics/shop-alice.hooks",
    "/v2/queues/shop-alice.emails",
    "/v2/queues/shop-alice.reports",
    "/v2/queues/shop-alice.made-by-the-app",
    `/v2/queues/${fork.id.split("@")[0]}`,
  ]);
  const left = thingsOf(shop.qstash);
  for (const [name, digest] of before) if (!/alice/.test(name)) assert.equal(left.get(name), digest);
  assert(shop.qstash.queues.has("shop-alicex.other") && shop.qstash.messages.size === 1);
});

Deno.test("qstash: a base environment is told by its names, and hands out its prefix", async () => {
  await using shop = await openShop();
  const found = await provider.inspect(shop.context(), { ...shop.target("prod"), name: "shop" });
  assert.deepEqual([found.state, (found as { id: string }).id], ["foreign", "shop@0"]);
  const held = { id: "shop@0", name: "shop" };
  await provider.probe(shop.context(), held, shop.scope());
  assert.equal((await provider.outputs(shop.context(), held, shop.scope())).QUEUE_PREFIX, "shop.");
});

Deno.test({
  name: "qstash: the vendor's client works with queues, groups, schedules and messages of the emulator",
  sanitizeResources: false, // it leaves empty answers unread
  async fn() {
    await using shop = await openShop();
    const fork = await shop.create(shop.target("alice", {}, { destination: DESTINATION }));
    const outputs = plain(await provider.outputs(shop.context(), fork, shop.scope()));
    const { Client } = await import("npm:@upstash/qstash@2.12.0");
    const client = new Client({ baseUrl: outputs.QSTASH_URL!, token: outputs.QSTASH_TOKEN!, enableTelemetry: false });
    const queue = client.queue({ queueName: `${outputs.QUEUE_PREFIX}emails` });
    assert.equal((await queue.get()).parallelism, 3);
    const { messageId } = await queue.enqueueJSON({ url: "https://alice.example/job", body: { n: 1 } }) as {
      messageId: string;
    };
    assert.equal(shop.qstash.messages.get(messageId)!.queueName, "shop-alice.emails");
    await queue.upsert({ parallelism: 2 });
    assert.equal((await queue.get()).lag, 1);
    await client.queue({ queueName: `${outputs.QUEUE_PREFIX}new` }).upsert({ parallelism: 1 });
    assert((await client.queue().list()).some(({ name }) => name === "shop-alice.new"));
    await client.urlGroups.addEndpoints({ name: "shop-alice.more", endpoints: [{ url: "https://alice.example" }] });
    assert.equal((await client.urlGroups.get("shop-alice.more")).endpoints[0]!.url, "https://alice.example");
    const { isPaused, cron } = await client.schedules.get("shop-alice.nightly");
    assert.deepEqual([isPaused, cron], [true, "0 3 * * *"]);
    await client.schedules.resume({ schedule: "shop-alice.nightly" });
    const made = await client.schedules.create({
      destination: "https://alice.example/x?y=1",
      cron: "* * * * *",
      scheduleId: "shop-alice.mine",
    });
    assert.equal(shop.qstash.schedules.get(made.scheduleId)!.destination, "https://alice.example/x?y=1");
    shop.qstash.advance(86_400_000);
    const fired = new Set(
      shop.qstash.deliveries.filter(({ scheduleId }) => /alice/.test(scheduleId)).map(({ url }) => url),
    );
    assert.deepEqual([...fired].sort(), ["https://alice.example/x?y=1", "https://alice.preview.example/run?all=1"]);
    await assert.rejects(
      new Client({ baseUrl: outputs.QSTASH_URL!, token: "wrong", retry: { retries: 0 } }).schedules.list(),
      /invalid token/,
    );
    assert.equal(await provider.delete(shop.context(), fork, shop.scope()), "deleted");
    assert(![...thingsOf(shop.qstash).keys()].some((name) => /(queue|group|schedule) shop-alice/.test(name)));
  },
});

/** What an account holds under these names, and how much of it. */
const foreignOf = (qstash: QStash, ...names: string[]) =>
  [...thingsOf(qstash)].filter(([thing]) => names.includes(thing.replace(/@.*/, "")));

for (
  const [what, theirs, put] of [
    ["a queue of the name", "queue shop-alice", (qstash) => void qstash.addQueue("shop-alice", 7)],
    ["a queue under the prefix", "queue shop-alice.emails", (qstash) => void qstash.addQueue("shop-alice.emails", 7)],
    ["a URL group", "group shop-alice.hooks", (qstash) => qstash.addGroup("shop-alice.hooks", "https://x.example")],
    [
      "a schedule",
      "schedule shop-alice.nightly",
      (qstash) => qstash.addSchedule("shop-alice.nightly", "0 1 * * *", "https://x.example"),
    ],
  ] satisfies [string, string, (qstash: QStash) => void][]
) {
  Deno.test(`qstash: ${what} that somebody makes while the name is claimed is not changed, nor deleted by the undo`, async () => {
    await using shop = await openShop();
    const { fetch } = shop.context();
    const beside = shop.context({
      fetch(request) {
        if (request.method === "POST" && shop.qstash.queues.size === 2) put(shop.qstash);
        return fetch(request);
      },
    });
    const target = shop.target("alice", {}, { destination: DESTINATION });
    const says = { hasRequestId: false };
    await assertRefused(() => shop.create(target, beside), "FOREIGN", /is there, and no answer of QStash's/, says);
    const before = foreignOf(shop.qstash, theirs);
    assert.equal(before.length, 1);
    const seen = await provider.inspect(shop.context(), { ...target, isResumed: true });
    assert(seen.state === "ready");
    await assertRefused(() => shop.create(target), "FOREIGN", /is there, and no answer of QStash's/, says);
    assert.equal(await provider.delete(shop.context(), seen.fork, shop.scope()), "deleted");
    assert.deepEqual(foreignOf(shop.qstash, theirs), before);
    assert(![...shop.qstash.queues.keys()].some((name) => name.includes("_forkstack-")));
    assert.equal((await provider.inspect(shop.context(), target)).state, "foreign");
  });
}

Deno.test("qstash: a fork of 0.1.0, which the queue of its name claims, is ours by its row", async () => {
  await using shop = await openShop();
  const { createdAt } = shop.qstash.addQueue("shop-alice");
  shop.qstash.addQueue("shop-alice.emails");
  const target = shop.target("alice");
  shop.journal.set(target.name, target.marker);
  const context = shop.context({
    recorded: () => Promise.resolve([{ step: "create", id: `shop-alice@${createdAt}`, marker: target.marker }]),
  });
  const seen = await provider.inspect(context, target);
  assert(seen.state === "ready");
  assert.deepEqual((await Array.fromAsync(provider.list(context, shop.scope()))).map(({ id }) => id), [seen.fork.id]);
  await provider.probe(context, seen.fork, shop.scope());
  assert.equal(await provider.delete(context, seen.fork, shop.scope()), "deleted");
  assert.deepEqual([...shop.qstash.queues.keys()], ["shop.emails", "shop.reports"]);
});

const REFUSALS: Record<string, {
  code: string;
  says: RegExp;
  given?: Partial<QStashOptions>;
  token?: string;
  target?: Partial<Target<never>>;
  before?: (qstash: QStash) => void;
  isOurs?: boolean;
  makes?: string[];
}> = {
  "a missing parent": { code: "NOT_FOUND", target: { parent: "shopp" }, says: /"shopp".*--empty/s, isOurs: true },
  "a token that is wrong": {
    code: "CREDENTIALS_REJECTED",
    token: "wrong-token-012345",
    says: /401.*console.upstash.com\/qstash/s,
  },
  "a token that may only read": {
    code: "CREDENTIALS_DENIED",
    given: { tokens: { [TOKEN]: false } },
    says: /403.*read-only/s,
  },
  "a plan's queues": { code: "PLAN_LIMIT", given: { maxQueues: 2 }, says: /412.*maximum of 2 queues.*prune/s },
  "a plan's schedules": {
    code: "PLAN_LIMIT",
    given: { maxSchedules: 2 },
    says: /412.*maximum of 2 schedules.*prune/s,
    makes: ["queue shop-alice", "queue shop-alice.emails", "queue shop-alice.reports"],
  },
  "a name that is taken": {
    code: "FOREIGN",
    before: (qstash) => void qstash.addQueue("shop-alice.emails"),
    says: /"shop-alice.emails" is there, and no answer of QStash's/,
    isOurs: true,
  },
  "a queue of before": {
    code: "FOREIGN",
    before: (qstash) => void Object.assign(qstash.addQueue("shop-alice"), { createdAt: 1_700_000_000_000 }),
    says: /"shop-alice" is there, and no answer of QStash's/,
    isOurs: true,
  },
};

for (
  const [what, { code, says, given, token = TOKEN, target, before, isOurs, makes = [] }] of Object.entries(REFUSALS)
) {
  Deno.test(`qstash: ${what} is ${code}`, async () => {
    await using shop = await openShop(given);
    before?.(shop.qstash);
    const earlier = thingsOf(shop.qstash);
    const work = () => shop.create(shop.target("alice", target), shop.context({}, { QSTASH_TOKEN: token }));
    await assertRefused(work, code, says, { secrets: [token], hasRequestId: !isOurs });
    const made = [...thingsOf(shop.qstash).keys()].filter((name) => !earlier.has(name)).map((name) =>
      name.replace(/(_forkstack-[0-9a-f]{32})?@.*/, "")
    );
    assert.deepEqual(made, makes);
  });
}

Deno.test("qstash: a destination names the environment, and a token goes by TLS or to this machine", () => {
  const parse = (given: object) => v.safeParse(provider.options as v.GenericSchema, given).success;
  for (const good of [{}, { destination: DESTINATION }, { endpoint: "https://qstash-us-east-1.upstash.io" }]) {
    assert(parse(good));
  }
  for (const bad of ["https://prod.example", "http://{env}.x", "https://{env}.x/path", "https://a@{env}"]) {
    assert(!parse({ destination: bad }), bad);
  }
  assert(!parse({ endpoint: "http://qstash.upstash.io" }));
});
