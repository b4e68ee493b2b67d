import assert from "node:assert/strict";
import process from "node:process";
import * as v from "npm:valibot@1.5.0";
import { Secret, type Target } from "../../core/provider.ts";
import provider from "../../providers/queue/inngest.ts";
import { testProvider, WITHOUT_FAULTS } from "../conformance.ts";
import { Inngest, type InngestOptions } from "../emulators/inngest.ts";
import { serve } from "../emulators/serve.ts";
import { run } from "../helpers.ts";
import { jsonRequest, Specification, testSpecification } from "../emulators/specification.ts";
import { inngestEmulator } from "./_inngest.ts";
import { assertRefused, plain, shopOf } from "./_vendor.ts";

const SPECIFICATION = Specification.read("inngest-v2.json", { base: "/v2" });

testProvider({ provider, emulator: inngestEmulator({}, SPECIFICATION) });
// An API that tells zero values is as good; the faults are the same.
testProvider({ provider, emulator: inngestEmulator({ tellsZeros: true }, SPECIFICATION) }, {
  as: "inngest, zeros told",
  only: WITHOUT_FAULTS,
});
testSpecification("inngest", SPECIFICATION, {
  request: jsonRequest("https://api.inngest.com/v2/envs", "POST"),
  sent: `{"name":1}`,
  is: /name: must be string/,
}, 300);

const KEY = "sk-inn-api-0123456789";

async function openShop(changed: Partial<InngestOptions> = {}) {
  const inngest = new Inngest({ keys: { [KEY]: true }, ...changed });
  const server = await serve(() => inngest);
  const shop = shopOf(provider, { INNGEST_API_KEY: KEY }, { endpoint: server.url });
  return Object.assign(shop, { inngest, url: server.url, [Symbol.asyncDispose]: () => server.close() });
}

Deno.test("inngest: the vendor's client sends events to the environment alone, with its own key", async () => {
  await using shop = await openShop();
  const [alice, bob] = [await shop.create(shop.target("alice")), await shop.create(shop.target("bob"))];
  const outputs = plain(await provider.outputs(shop.context(), alice, shop.scope()));
  assert.deepEqual(shop.warnings, []);
  assert.equal(outputs.INNGEST_ENV, "shop-alice");
  assert.equal(outputs.QUEUE_URL, shop.url);
  assert.equal(outputs.INNGEST_EVENT_KEY, shop.inngest.keyOf(shop.inngest.named("shop-alice")!, "events"));
  assert.match(outputs.INNGEST_SIGNING_KEY!, /^signkey-branch-/);
  const others = plain(await provider.outputs(shop.context(), bob, shop.scope()));
  assert.notEqual(others.INNGEST_EVENT_KEY, outputs.INNGEST_EVENT_KEY);
  // In a process of its own that knows the outputs alone, as an app does: nor are its 200 packages ours to lock.
  const program = `
    import { Inngest } from "npm:inngest@4.24.0";
    const client = new Inngest({ id: "shop", isDev: false });
    const { ids } = await client.send([{ name: "order/placed", data: { n: 1 } }, { name: "order/paid" }]);
    const refused = await new Inngest({ id: "shop", isDev: false, eventKey: "wrong" }).send({ name: "x" }).catch(String);
    console.log(JSON.stringify([ids.length, refused]));
    Deno.exit(0);`;
  const { stdout } = await run("deno", ["eval", "-q", "--no-lock", "--no-config", program], {
    env: { ...process.env, ...outputs },
  });
  const [count, refused] = JSON.parse(stdout);
  assert.equal(count, 2);
  assert.match(refused, /401|[Ee]vent key/);
  assert.deepEqual(shop.inngest.events, [{ environment: "shop-alice", names: ["order/placed", "order/paid"] }]);
});

Deno.test("inngest: delete() archives this environment and no other; the name can be used again", async () => {
  await using shop = await openShop();
  const [alice] = [await shop.create(shop.target("alice")), await shop.create(shop.target("bob"))];
  shop.inngest.requests.length = 0;
  assert.equal(await provider.delete(shop.context(), alice, shop.scope()), "deleted");
  assert.deepEqual(shop.inngest.requests.map(({ method, path }) => `${method} ${path}`), [
    "GET /v2/envs",
    `PATCH /v2/envs/${alice.id}`,
  ]);
  assert.equal(shop.inngest.environments.get(alice.id)!.isArchived, true);
  assert(shop.inngest.named("shop-bob") && shop.inngest.named("Production"));
  const again = await shop.create(shop.target("alice"));
  assert.notEqual(again.id, alice.id);
});

Deno.test("inngest: prod is the production environment: it is a parent, has outputs, and is never archived", async () => {
  await using shop = await openShop();
  const production = shop.inngest.named("Production")!;
  const seen = await provider.inspect(shop.context(), { ...shop.target("prod"), name: "shop" });
  assert.deepEqual([seen.state, (seen as { id: string }).id], ["foreign", production.id]);
  const held = { id: production.id, name: "shop" };
  await provider.probe(shop.context(), held, shop.scope());
  const outputs = plain(await provider.outputs(shop.context(), held, shop.scope()));
  assert.deepEqual([outputs.INNGEST_ENV, outputs.INNGEST_EVENT_KEY], [
    "Production",
    shop.inngest.keyOf(production, "events"),
  ]);
  for (const name of ["shop", "Production"]) {
    const target = shop.target("prod");
    shop.journal.set(name, target.marker);
    const fork = { ...held, name, marker: target.marker, createdAt: production.createdAt };
    await assertRefused(
      () => provider.delete(shop.context(), fork, shop.scope()),
      "FOREIGN",
      /production environment/,
      { hasRequestId: false },
    );
    const work = () => provider.create(shop.context(), { ...target, name: "shop" });
    await assertRefused(work, "FOREIGN", /production environment/, { hasRequestId: false });
  }
  assert.equal(production.isArchived, false);
});

for (const type of ["BRANCH", "TEST"] as const) {
  for (const environmentKeys of ["shared", "production"] as const) {
    const hasKeys = type === "BRANCH" && environmentKeys === "shared";
    Deno.test(`inngest: a ${type} environment that is told ${environmentKeys} keys ${hasKeys ? "has them" : "has none, and is told so"}`, async () => {
      await using shop = await openShop({ type, environmentKeys });
      const fork = await shop.create(shop.target("alice"));
      const outputs = await provider.outputs(shop.context(), fork, shop.scope());
      assert.equal(outputs.INNGEST_EVENT_KEY instanceof Secret, hasKeys);
      assert.equal(plain(outputs).INNGEST_SIGNING_KEY, hasKeys ? "shared-signing-key-0123456789" : undefined);
      assert.equal(shop.warnings.length, hasKeys ? 0 : 1);
      if (!hasKeys) assert.match(shop.warnings[0]!, /set INNGEST_EVENT_KEY and INNGEST_SIGNING_KEY/);
    });
  }
}

Deno.test("inngest: an archived environment that keeps its name is taken back only where the options say so", async () => {
  await using shop = await openShop({ archivedKeepNames: true });
  const first = await shop.create(shop.target("alice"));
  await provider.delete(shop.context(), first, shop.scope());
  await assertRefused(
    () => shop.create(shop.target("alice")),
    "CONFLICT",
    /an archived one has the name.*"unarchive" of the queue/s,
  );
  assert.equal(shop.inngest.environments.get(first.id)!.isArchived, true);
  const wanted = shop.target("alice", {}, { unarchive: true });
  await assert.rejects(shop.create(wanted), /nobody can be asked/);
  assert.equal(shop.inngest.environments.get(first.id)!.isArchived, true);
  const asked: string[] = [];
  const confirm = (question: string) => Promise.resolve(void asked.push(question));
  const again = await shop.create(wanted, shop.context({ confirm }));
  assert.match(asked.join(), /^Take archived environment "shop-alice" of Inngest back into use\?/);
  assert.equal(again.id, first.id);
  assert.equal((await provider.inspect(shop.context(), shop.target("alice"))).state, "ready");
});

for (const honoursIds of [true, false]) {
  const what = honoursIds ? "is found by the id that it asked for" : "proves nothing where Inngest gives another id";
  Deno.test(`inngest: a create whose answer was lost ${what}`, async () => {
    await using shop = await openShop({ honoursIds });
    const { fetch } = shop.context();
    const lost = shop.context({
      async fetch(request) {
        await (await fetch(request)).text();
        throw new TypeError("the answer was lost");
      },
    });
    const only = shop.context({
      fetch: (request) => (request.method === "POST" ? lost : shop.context()).fetch(request),
    });
    await assert.rejects(shop.create(shop.target("alice"), only), /lost/);
    const resumed = shop.target("alice", { isResumed: true });
    const { id } = shop.inngest.named("shop-alice")!;
    const seen = await provider.inspect(shop.context(), resumed);
    assert.equal(seen.state, honoursIds ? "ready" : "foreign");
    if (honoursIds) return assert.equal((await shop.create(resumed)).id, id);
    await assertRefused(() => shop.create(resumed), "FOREIGN", /no answer of Inngest's/, { hasRequestId: false });
    const fork = { id, name: "shop-alice", marker: resumed.marker, createdAt: resumed.begunAt };
    const work = () => provider.delete(shop.context(), fork, shop.scope());
    await assertRefused(work, "FOREIGN", /no answer of Inngest's/, { hasRequestId: false });
    assert.equal(shop.inngest.named("shop-alice")!.id, id);
  });
}

Deno.test("inngest: an archived environment, one renamed and one of another's row are nobody's to archive", async () => {
  await using shop = await openShop();
  const fork = await shop.create(shop.target("alice"));
  const theirs = [shop.inngest.add("shop-alice"), shop.inngest.add("shop-bob"), shop.inngest.named("Production")!];
  for (const { id, name } of theirs) {
    for (const as of [name, "shop-alice"]) {
      const work = () => provider.delete(shop.context(), { ...fork, id, name: as }, shop.scope());
      await assertRefused(work, "FOREIGN", /no answer of Inngest's|by now|production environment/, {
        hasRequestId: false,
      });
    }
  }
  assert(theirs.every(({ isArchived }) => !isArchived));
  const own = shop.inngest.environments.get(fork.id)!;
  Object.assign(own, { name: "kept" });
  const says = new RegExp(
    `"kept" by now[^]*Inngest still has it, id ${fork.id}, with all its data: name it "shop-alice"`,
  );
  await assertRefused(() => provider.delete(shop.context(), fork, shop.scope()), "FOREIGN", says, {
    hasRequestId: false,
  });
  Object.assign(own, { name: "shop-alice" });
  assert.equal(await provider.delete(shop.context(), fork, shop.scope()), "deleted");
});

const REFUSALS: Record<string, {
  code: string;
  says: RegExp;
  given?: Partial<InngestOptions>;
  key?: string;
  target?: Partial<Target<never>>;
  before?: (inngest: Inngest) => void;
  isOurs?: boolean;
}> = {
  "a missing parent": { code: "NOT_FOUND", target: { parent: "shop-dev" }, says: /"shop-dev".*--empty/s, isOurs: true },
  "an archived parent": {
    code: "NOT_FOUND",
    target: { parent: "shop-dev" },
    before: (inngest) => void (inngest.add("shop-dev").isArchived = true),
    says: /or it is archived/,
    isOurs: true,
  },
  "a key that is wrong": {
    code: "CREDENTIALS_REJECTED",
    key: "wrong-0123456789",
    says: /401 invalid_api_key.*settings/s,
  },
  "a key of one environment": {
    code: "CREDENTIALS_DENIED",
    given: { keys: { [KEY]: false } },
    says: /403 access_denied.*whole account/s,
  },
  "a plan's limit": { code: "PLAN_LIMIT", given: { limitStatus: 402 }, says: /402.*prune/s },
  "a dev server": {
    code: "CONFIG_DEV_SERVER",
    given: { isDevServer: true },
    says: /dev server, which has one environment.*each environment/s,
    isOurs: true,
  },
  "a name that Inngest refuses": {
    code: "PROVIDER_REFUSED",
    target: { name: "a b" },
    says: /400 invalid_field_format/,
  },
  "an environment of before": {
    code: "FOREIGN",
    before: (inngest) => void Object.assign(inngest.add("shop-alice"), { createdAt: "2024-01-01T00:00:00Z" }),
    says: /no answer of Inngest's on record/,
    isOurs: true,
  },
};

for (const [what, { code, says, given, key = KEY, target, before, isOurs }] of Object.entries(REFUSALS)) {
  Deno.test(`inngest: ${what} is ${code}, and nothing is made`, async () => {
    await using shop = await openShop(given);
    before?.(shop.inngest);
    const earlier = shop.inngest.environments.size;
    const work = () => shop.create(shop.target("alice", target), shop.context({}, { INNGEST_API_KEY: key }));
    await assertRefused(work, code, says, { secrets: [key], hasRequestId: !isOurs });
    assert.equal(shop.inngest.environments.size, earlier);
  });
}

Deno.test("inngest: a dev server is told as such by every call, and nothing is taken for absent", async () => {
  for (const parent of ["shop", "shop-dev", undefined]) {
    await using shop = await openShop({ isDevServer: true });
    const target = shop.target("alice", { parent } as Partial<Target<never>>);
    const held = { id: "00000000-0000-4000-b000-000000000000", name: "shop-alice" };
    const fork = { ...held, marker: target.marker, createdAt: target.begunAt };
    const calls = [
      () => provider.inspect(shop.context(), target),
      () => shop.create(target),
      () => provider.delete(shop.context(), fork, shop.scope()),
      () => Array.fromAsync(provider.list(shop.context(), shop.scope())),
      () => provider.probe(shop.context(), held, shop.scope()),
      () => provider.outputs(shop.context(), held, shop.scope()),
    ];
    for (const call of calls) {
      await assertRefused(call, "CONFIG_DEV_SERVER", /127\.0\.0\.1:\d+" is a dev server/, { hasRequestId: false });
    }
    assert(shop.inngest.requests.every(({ method }) => method === "GET"));
  }
});

Deno.test("inngest: the emulator leaves out what is zero, as the real dev server does", async () => {
  await using shop = await openShop();
  const ask = async (path: string) =>
    await (await fetch(`${shop.url}/v2/${path}`, { headers: { authorization: `Bearer ${KEY}` } })).json();
  const { data: [production], page } = await ask("envs");
  assert.deepEqual(Object.keys(production), ["id", "name", "createdAt"]);
  assert.deepEqual(page, { limit: 20 });
  shop.inngest.options = { ...shop.inngest.options, isDevServer: true };
  assert.deepEqual(Object.keys(await ask("keys/events")), ["metadata", "page"]);
  shop.inngest.options = { ...shop.inngest.options, isDevServer: false, tellsZeros: true };
  assert.deepEqual((await ask("envs")).data[0].type, "PRODUCTION");
});

Deno.test("inngest: a key goes by TLS or to this machine, and the cloud's addresses are the default", () => {
  const parse = (given: object) => v.safeParse(provider.options as v.GenericSchema, given).success;
  for (const good of [{}, { endpoint: "http://127.0.0.1:8288" }, { eventEndpoint: "https://inn.gs" }]) {
    assert(parse(good));
  }
  for (
    const bad of [{ endpoint: "http://api.inngest.com" }, { eventEndpoint: "http://inn.gs" }, { unarchive: "yes" }]
  ) {
    assert(!parse(bad), JSON.stringify(bad));
  }
});
