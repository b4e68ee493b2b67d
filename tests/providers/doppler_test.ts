import assert from "node:assert/strict";
import type { Context, Secret } from "../../core/provider.ts";
import provider from "../../providers/secrets/doppler.ts";
import { testProvider } from "../conformance.ts";
import { type DopplerOptions, startDoppler } from "../emulators/doppler.ts";
import { jsonRequest, Specification, testSpecification, withErrors } from "../emulators/specification.ts";
import { dopplerEmulator } from "./_doppler.ts";
import { CANARY, refuses, Shop } from "./_secrets.ts";

/** It knows of successes alone: any other status is taken as well. */
const SPECIFICATION = Specification.read("doppler.json", {
  correct: withErrors,
  exceptions: {
    "its text says that a token ends at a Unix time, its type that this is a date; the vendor's CLI sends an integer":
      /\/tokens: body\/expire_at: must be string$/,
  },
});

testProvider({ provider, emulator: dopplerEmulator(SPECIFICATION), options: { project: "myapp" } });

// Each call of a create with a policy, broken: this one changes nothing, so that a whole fork still is like its parent.
const policy = { exclude: ["NO_SUCH_*"], override: { API_KEY: { from: "API_KEY" } } };
const suite = { provider, emulator: dopplerEmulator(SPECIFICATION), options: { project: "myapp", ...policy } };
testProvider(suite, { as: "doppler with a policy", only: /^(create\(\) broken|an abort|two)/ });

testSpecification("doppler", SPECIFICATION, {
  request: jsonRequest("https://api.doppler.com/v3/configs/config/tokens", "POST"),
  sent: JSON.stringify({ project: "myapp", config: "prd", name: "x", access: "everything" }),
  is: /access: must be equal to one of the allowed values/,
});

const TOKEN = `dp.sa.${CANARY}`;
const LIVE = `sk_live_${CANARY}`;

/** Project "shop" whose prd holds secrets. */
async function openShop(more: Partial<DopplerOptions> = {}, secrets: Record<string, string> = { API_KEY: LIVE }) {
  const doppler = await startDoppler({ project: "shop", tokens: [TOKEN], ...more });
  const shop = new Shop(provider, { project: "shop", endpoint: doppler.url }, { DOPPLER_TOKEN: TOKEN });
  doppler.now = () => shop.now;
  for (const [key, value] of Object.entries(secrets)) doppler.config("prd")!.secrets.set(key, value);
  return { doppler, shop, [Symbol.asyncDispose]: () => doppler[Symbol.asyncDispose]() };
}

Deno.test("doppler: a fork of 1,000 secrets is four calls, its token one more", async () => {
  const secrets = Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`KEY_${i}`, `${CANARY} ${i}`]));
  await using at = await openShop({ limits: { reads: 240, secretReads: 120, writes: 60 } }, secrets);
  const context = at.shop.context();
  const fork = await at.shop.create(at.shop.target("alice"), context);
  const outputs = await provider.outputs(context, fork, at.shop.scope());
  assert.deepEqual(at.doppler.requests.map(({ what }) => what), [
    "POST configs/config/clone",
    "GET configs/config/secrets",
    "POST configs/config/secrets",
    "POST configs/config",
    "POST configs/config/tokens",
  ]);
  assert.deepEqual(Object.keys(outputs), ["DOPPLER_PROJECT", "DOPPLER_CONFIG", "DOPPLER_TOKEN"]);
  assert.deepEqual(await at.shop.secretsOf(fork), Object.fromEntries(Object.entries(secrets).sort()));
});

Deno.test("doppler: what is excluded is gone before there is a token, and shows through from no root", async () => {
  const secrets = { STRIPE_LIVE_KEY: LIVE, STRIPE_KEY: LIVE, STRIPE_TEST_KEY: "sk_test_1", LOG: "warn", KEPT: "1" };
  await using at = await openShop({}, secrets);
  const target = at.shop.target("alice", {}, {
    exclude: ["STRIPE_LIVE_*"],
    override: { STRIPE_KEY: { from: "STRIPE_TEST_KEY" }, LOG: "debug", NEW: "x" },
  });
  const fork = await at.shop.create(target);
  const wanted = { KEPT: "1", LOG: "debug", NEW: "x", STRIPE_KEY: "sk_test_1", STRIPE_TEST_KEY: "sk_test_1" };
  assert.deepEqual(await at.shop.secretsOf(fork), wanted);
  assert.equal(at.doppler.tokens.length, 0);
  assert(!JSON.stringify(at.doppler.valuesOf(at.doppler.config("prd_alice")!)).includes(LIVE));
  await at.shop.write(fork, { KEPT: null });
  assert.deepEqual(Object.keys(await at.shop.secretsOf(fork)).sort(), ["LOG", "NEW", "STRIPE_KEY", "STRIPE_TEST_KEY"]);
  await (await provider.reset!(at.shop.context(), fork, target)).commit();
  assert.deepEqual(await at.shop.secretsOf(fork), wanted);
  const missing = at.shop.target("bob", {}, { override: { A: { from: "NO_SUCH" } } });
  await refuses(at.shop.create(missing), "SECRET_NOT_FOUND", /override "A".*"NO_SUCH"/);
});

Deno.test("doppler: a fork of a fork, and one of an environment with a name of its own", async () => {
  await using at = await openShop();
  const alice = await at.shop.create(at.shop.target("alice"));
  await at.shop.write(alice, { MINE: "1" });
  const bob = await at.shop.create(at.shop.target("bob", { parent: "alice" }));
  assert.deepEqual(await at.shop.secretsOf(bob), { API_KEY: LIVE, MINE: "1" });
  at.doppler.add("stg_eu", "stg", { EU: "1" });
  const options = { configs: { prod: "prd", staging: "stg_eu" } };
  const carol = await at.shop.create(at.shop.target("carol", { parent: "staging" }, options));
  assert.deepEqual([carol.id.split(":")[0], await at.shop.secretsOf(carol)], ["stg_carol", { EU: "1" }]);
  const named = { resource: "secrets.app", resourceName: "app", name: "app-dora", parent: "app-prod" };
  const dora = await at.shop.create(at.shop.target("dora", named));
  assert.deepEqual([dora.id.split(":")[0], dora.name], ["prd_app-dora", "app-dora"]);
  await refuses(at.shop.create(at.shop.target("eve", { parent: "constructor" })), "NOT_FOUND", /"constructor"/);
});

Deno.test("doppler: a fork's token may write and ends with the lease; a base environment's may read, for a week", async () => {
  await using at = await openShop();
  const fork = await at.shop.create(at.shop.target("alice"));
  const expiresAt = new Date(at.shop.now + 3_600_000).toISOString();
  const own = await provider.outputs(at.shop.context(), fork, { ...at.shop.scope(), expiresAt });
  const seen = await provider.inspect(at.shop.context(), at.shop.target("prod"));
  assert.equal(seen.state, "foreign");
  const held = { id: (seen as { id: string }).id, name: "prod" };
  const base = await provider.outputs(at.shop.context(), held, { ...at.shop.scope(), expiresAt });
  const [mine, theirs] = at.doppler.tokens;
  assert.deepEqual([mine!.access, mine!.expires_at], ["read/write", expiresAt]);
  assert.deepEqual([theirs!.access, theirs!.expires_at], ["read", new Date(at.shop.now + 604_800_000).toISOString()]);
  const ask = async (outputs: Record<string, string | Secret>, method = "GET", body?: object) => {
    const url = `${at.doppler.url}/v3/configs/config/secrets${method === "GET" ? "/download" : ""}`;
    const headers = { authorization: `Bearer ${(outputs.DOPPLER_TOKEN as Secret).reveal()}` };
    const answer = await fetch(url, { method, headers, ...(body ? { body: JSON.stringify(body) } : {}) });
    await answer.text();
    return answer.status;
  };
  const change = { project: "shop", config: "prd_alice", secrets: { A: "1" } };
  assert.deepEqual([await ask(own), await ask(own, "POST", change), await ask(base)], [200, 200, 200]);
  assert.equal(await ask(base, "POST", { ...change, config: "prd" }), 403);
  at.shop.now += 3_600_000;
  assert.deepEqual([await ask(own), await ask(base)], [401, 200]);
});

Deno.test("doppler: keep() revokes the tokens and renames the config, which delete() then takes by its id", async () => {
  await using at = await openShop();
  const fork = await at.shop.create(at.shop.target("alice"));
  for (const _ of [1, 2]) await provider.outputs(at.shop.context(), fork, at.shop.scope());
  const kept = await provider.keep!(at.shop.context(), fork, at.shop.scope());
  assert(kept !== "absent");
  assert.match(kept.name, /^prd_kept-alice-[0-9a-z]+$/);
  assert.deepEqual([at.doppler.tokens, at.doppler.config("prd_alice")], [[], undefined]);
  assert.deepEqual(at.doppler.valuesOf(at.doppler.config(kept.name)!), { API_KEY: LIVE });
  assert.equal(await provider.delete(at.shop.context(), fork, at.shop.scope()), "absent");
  assert.equal(await provider.delete(at.shop.context(), { ...fork, id: kept.id }, at.shop.scope()), "deleted");
  assert.equal(at.doppler.config(kept.name), undefined);
});

Deno.test("doppler: calls over the plan's limit wait as long as Doppler says", async () => {
  await using at = await openShop({ limits: { reads: 10, secretReads: 5, writes: 6 }, maxConfigs: 100 });
  const forks = [];
  for (let i = 0; i < 20; i++) forks.push(await at.shop.create(at.shop.target(`pr-${i}`)));
  assert.equal(forks.length, 20);
  assert(at.shop.slept >= 480_000 && at.shop.slept < 660_000, `${at.shop.slept} ms`);
  assert.equal(at.doppler.requests.filter(({ status }) => status === 429).length, 9);
});

Deno.test("doppler: a locked config and one made by somebody else are left alone", async () => {
  await using at = await openShop();
  const fork = await at.shop.create(at.shop.target("alice"));
  at.doppler.config("prd_alice")!.locked = true;
  for (const work of [provider.delete, provider.keep!]) {
    await refuses(
      work(at.shop.context(), fork, at.shop.scope()),
      "CONFLICT",
      /it is locked.*configs unlock prd_alice/s,
    );
  }
  at.doppler.add("prd_bob", "prd", { THEIRS: CANARY });
  const before = at.doppler.configs.map(({ name }) => name);
  for (const isResumed of [false, true]) {
    await refuses(at.shop.create(at.shop.target("bob", { isResumed })), "FOREIGN", /no answer of Doppler's on record/);
  }
  assert.deepEqual(at.doppler.configs.map(({ name }) => name), before);
  assert.deepEqual(at.doppler.valuesOf(at.doppler.config("prd_bob")!), { API_KEY: LIVE, THEIRS: CANARY });
});

Deno.test("doppler: another's config of the same suffix is neither taken for the fork nor forked in its place", async () => {
  await using at = await openShop();
  const fork = await at.shop.create(at.shop.target("alice"));
  at.doppler.add("dev_alice", "dev", { THEIRS: CANARY });
  at.doppler.configs.unshift(at.doppler.configs.pop()!); // it is listed first
  const seen = await provider.inspect(at.shop.context(), at.shop.target("alice"));
  assert.deepEqual([seen.state, "fork" in seen && seen.fork.id], ["ready", fork.id]);
  assert.deepEqual((await Array.fromAsync(provider.list(at.shop.context(), at.shop.scope()))).map(({ id }) => id), [
    fork.id,
  ]);
  at.doppler.add("prd_carol", "prd", {});
  at.doppler.add("dev_carol", "dev", {});
  const ofCarol = at.shop.target("dora", { parent: "carol" });
  await refuses(at.shop.create(ofCarol), "CONFLICT", /"prd_carol" and "dev_carol"/);
  assert.equal(await provider.delete(at.shop.context(), fork, at.shop.scope()), "deleted");
  assert.equal((await provider.inspect(at.shop.context(), at.shop.target("alice"))).state, "foreign");
});

/** A context whose calls of one kind are done by Doppler and never answered. */
function deaf(context: Context, what: string): Context {
  return {
    ...context,
    async fetch(request) {
      const isIt = `${request.method} ${new URL(request.url).pathname.replace("/v3/", "")}` === what;
      const answer = await context.fetch(request);
      if (!isIt) return answer;
      await answer.text();
      throw new TypeError("the connection was lost");
    },
  };
}

Deno.test("doppler: a clone whose answer was lost is known by the run's own name, and finished by its rerun", async () => {
  for (const what of ["POST configs/config/clone", "POST configs/config/secrets", "POST configs/config"]) {
    await using at = await openShop({}, { API_KEY: LIVE, LIVE_KEY: LIVE });
    const policy = { exclude: ["LIVE_*"], override: { API_KEY: { from: "LIVE_KEY" } } };
    const target = at.shop.target("alice", {}, policy);
    await assert.rejects(at.shop.create(target, deaf(at.shop.context(), what)));
    const left = at.doppler.configs.filter(({ root }) => !root);
    assert.equal(left.length, 1, what);
    const isNamed = what === "POST configs/config";
    assert.match(left[0]!.name, isNamed ? /^prd_alice$/ : /^prd_new-[0-9a-z]{24}$/);
    const resumed = { ...target, isResumed: true };
    const seen = await provider.inspect(at.shop.context(), resumed);
    assert.equal(seen.state, isNamed ? "ready" : "pending", what);
    if (!isNamed) { // somebody else's, made meanwhile, is neither taken over nor in the way of the undo
      const theirs = at.doppler.add("prd_alice", "prd", {});
      await refuses(at.shop.create(resumed), "FOREIGN", /no answer of Doppler's on record/);
      assert.deepEqual(at.doppler.configs.filter(({ root }) => !root), [theirs]);
      continue;
    }
    assert.equal((await provider.inspect(at.shop.context(), target)).state, "ready", "its slug was on record before");
    const fork = await at.shop.create(resumed);
    assert.deepEqual(await at.shop.secretsOf(fork), { API_KEY: LIVE });
    assert.equal(await provider.delete(at.shop.context(), fork, at.shop.scope()), "deleted");
  }
});

Deno.test("doppler: the rerun of a create that was cut off applies the policy once, by what the parent holds", async () => {
  await using at = await openShop({}, { A: "a", B: "b", LIVE_KEY: LIVE, LIVE_OLD: LIVE });
  const policy = { exclude: ["LIVE_*"], override: { A: { from: "B" }, B: "x", C: { from: "LIVE_KEY" } } };
  const target = at.shop.target("alice", {}, policy);
  await assert.rejects(at.shop.create(target, deaf(at.shop.context(), "POST configs/config/secrets")));
  at.doppler.config("prd")!.secrets.delete("LIVE_OLD"); // the clone still has it
  const fork = await at.shop.create({ ...target, isResumed: true });
  assert.deepEqual(await at.shop.secretsOf(fork), { A: "b", B: "x", C: LIVE });
});

Deno.test("doppler: what is recorded proves nothing for another config: a like name, time or run", async () => {
  await using at = await openShop();
  const fork = await at.shop.create(at.shop.target("alice"));
  const [config] = at.doppler.configs.splice(at.doppler.configs.findIndex(({ name }) => name === "prd_alice"), 1);
  const theirs = at.doppler.add("prd_alice", "prd", { THEIRS: CANARY }); // of the same moment
  assert.equal(theirs.created_at, config!.created_at);
  const seen = await provider.inspect(at.shop.context(), { ...at.shop.target("alice"), isResumed: true });
  assert.deepEqual(seen.state, "foreign");
  assert.equal(await provider.delete(at.shop.context(), fork, at.shop.scope()), "absent");
  const asked = { ...fork, id: (seen as { id: string }).id };
  await refuses(provider.delete(at.shop.context(), asked, at.shop.scope()), "FOREIGN", /on record/);
  await refuses(provider.keep!(at.shop.context(), asked, at.shop.scope()), "FOREIGN", /on record/);
  assert.deepEqual(at.doppler.configs.at(-1), theirs);
});

const REFUSALS: Record<string, {
  readonly code: string;
  readonly says: RegExp;
  readonly token?: string;
  readonly options?: object;
  readonly more?: { readonly parent?: string; readonly name?: string };
  readonly given?: Partial<DopplerOptions>;
}> = {
  "a token that is none": {
    code: "CREDENTIALS_REJECTED",
    token: "dp.sa.none",
    says: /401 \(request request-1\).*DOPPLER_TOKEN again/s,
  },
  "another project": { code: "NOT_FOUND", options: { project: "shoop" }, says: /project "shoop" has none.*404/s },
  "a parent that is not there": { code: "NOT_FOUND", more: { parent: "staging" }, says: /"staging": project "shop"/ },
  "a config of configs that is not there": {
    code: "NOT_FOUND",
    options: { configs: { prod: "live" } },
    says: /config "live".*secrets\.configs/s,
  },
  "a name that Doppler refuses": { code: "PROVIDER_REFUSED", more: { name: "Alice" }, says: /400.*name is invalid/s },
  "a name that is too long": { code: "NAME_INVALID", more: { name: "x".repeat(57) }, says: /has 61 characters/ },
  "a refusal for another reason": { code: "PROVIDER_REFUSED", given: { maxConfigs: 1 }, says: /limit of configs/ },
};

for (const [what, { code, says, token = TOKEN, options, more, given }] of Object.entries(REFUSALS)) {
  Deno.test(`doppler: ${what} is ${code}, and nothing is made`, async () => {
    await using at = await openShop(given);
    const before = at.doppler.configs.map(({ name }) => name);
    const context = at.shop.context({ DOPPLER_TOKEN: token });
    await refuses(at.shop.create(at.shop.target("alice", more, options), context), code, says, [CANARY, token]);
    assert.deepEqual(at.doppler.configs.map(({ name }) => name), before);
  });
}

Deno.test("doppler: a service token is told that it can't clone, an expired one that it is refused", async () => {
  await using at = await openShop();
  const fork = await at.shop.create(at.shop.target("alice"));
  const expiresAt = new Date(at.shop.now + 1_000).toISOString();
  const outputs = await provider.outputs(at.shop.context(), fork, { ...at.shop.scope(), expiresAt });
  const token = (outputs.DOPPLER_TOKEN as Secret).reveal();
  const context = at.shop.context({ DOPPLER_TOKEN: token });
  await refuses(at.shop.create(at.shop.target("bob"), context), "PROVIDER_REFUSED", /does not have access/, [token]);
  at.shop.now += 1_000;
  await refuses(at.shop.create(at.shop.target("bob"), context), "CREDENTIALS_REJECTED", /401/, [token]);
});

Deno.test("doppler: a key or a value that Doppler refuses is refused before it is asked, and nothing is half written", async () => {
  await using at = await openShop();
  const fork = await at.shop.create(at.shop.target("alice"));
  const writes = () => at.doppler.requests.filter(({ what }) => what === "POST configs/config/secrets").length;
  const large = CANARY.repeat(4_000);
  await refuses(at.shop.write(fork, { A: "1", lower: CANARY }), "NAME_INVALID", /secret "lower"/);
  await refuses(at.shop.write(fork, { A: "1", BIG: large }), "VALUE_TOO_LARGE", /"BIG": it has 68000 bytes.*51200/s);
  assert.deepEqual([writes(), await at.shop.secretsOf(fork)], [1, { API_KEY: LIVE }], "that of its create");
  const target = at.shop.target("bob", {}, { override: { lower: "x" } });
  await refuses(at.shop.create(target), "NAME_INVALID", /secret "lower"/);
  await refuses(at.shop.write({ id: "prd_alice:another", name: "alice" }, { A: "1" }), "NOT_FOUND", /"prd_alice"/);
});

Deno.test("doppler: a value left in a config that was asked to be without it is an error", async () => {
  await using at = await openShop();
  const answers = at.doppler.handle.bind(at.doppler);
  const context = at.shop.context();
  const lying = {
    ...context,
    async fetch(request: Request) {
      if (!request.url.endsWith("/secrets")) return await context.fetch(request);
      return await answers(
        new Request(request.url, {
          method: "POST",
          headers: request.headers,
          body: JSON.stringify({ ...await request.json(), secrets: {} }),
        }),
      );
    },
  };
  const target = at.shop.target("alice", {}, { exclude: ["API_*"] });
  await refuses(at.shop.create(target, lying), "PROVIDER_UNAVAILABLE", /"API_KEY" stays/);
});

Deno.test("doppler: the undo of a clone whose answer was lost deletes it, and nothing that stands at its name", async () => {
  await using at = await openShop();
  const target = at.shop.target("alice");
  await assert.rejects(at.shop.create(target, deaf(at.shop.context(), "POST configs/config/clone")));
  assert.equal(
    (await provider.inspect(at.shop.context(), target)).state,
    "absent",
    "a key alone proves nothing to others",
  );
  const theirs = at.doppler.add("prd_alice", "prd", {});
  const seen = await provider.inspect(at.shop.context(), { ...target, isResumed: true });
  assert(seen.state === "pending");
  await at.shop.ledger.record("proven", seen.fork.id); // as the engine does
  assert.equal(await provider.delete(at.shop.context(), seen.fork, at.shop.scope()), "deleted");
  assert.deepEqual(at.doppler.configs.filter(({ root }) => !root), [theirs]);
  assert.equal((await provider.inspect(at.shop.context(), { ...target, isResumed: true })).state, "foreign");
});

Deno.test("doppler: what changes at the root reaches no fork: rotated, added to it by reference, or excluded", async () => {
  const secrets = {
    API_KEY: LIVE,
    HOST: "h",
    URL: "https://${HOST}/x",
    OF: "${shop.prd.API_KEY}",
    EMPTY: "",
    GONE: LIVE,
  };
  await using at = await openShop({}, secrets);
  const root = at.doppler.config("prd")!;
  const alice = await at.shop.create(at.shop.target("alice", {}, { exclude: ["GONE"] }));
  const bob = await at.shop.create(at.shop.target("bob", { parent: "alice" }));
  const wanted = { API_KEY: LIVE, HOST: "h", URL: "https://h/x", OF: LIVE };
  assert.equal(at.doppler.config("prd_alice")!.secrets.get("URL"), "https://${HOST}/x", "a reference stays one");
  for (const key of Object.keys(secrets)) root.secrets.set(key, `rotated ${CANARY}`);
  for (const fork of [alice, bob]) {
    const { OF, ...others } = await at.shop.secretsOf(fork);
    assert.deepEqual({ ...others, OF: OF ?? LIVE }, wanted);
  }
  await at.shop.write(bob, { HOST: "b" });
  assert.equal((await at.shop.secretsOf(bob)).URL, "https://b/x");
});

Deno.test("doppler: a config that was renamed at Doppler is still ours: read, written, kept or deleted, its tokens revoked", async () => {
  for (const name of ["prd_renamed", "prd_kept-by-me", "prd_new-1"]) {
    for (const isKept of [true, false]) {
      await using at = await openShop();
      const fork = await at.shop.create(at.shop.target("alice"));
      await provider.outputs(at.shop.context(), fork, at.shop.scope());
      const config = at.doppler.config("prd_alice")!;
      config.name = name;
      const theirs = at.doppler.add("prd_alice", "prd", { THEIRS: CANARY });
      if (!name.includes("kept")) {
        const seen = await provider.inspect(at.shop.context(), at.shop.target("alice"));
        assert.deepEqual([seen.state, "fork" in seen && seen.fork.id], ["ready", `${name}:${config.slug}`]);
        await at.shop.write(fork, { MINE: "1" });
        assert.deepEqual(await at.shop.secretsOf(fork), { API_KEY: LIVE, MINE: "1" });
        const outputs = await provider.outputs(at.shop.context(), fork, at.shop.scope());
        assert.equal(outputs.DOPPLER_CONFIG, name);
        assert.equal(at.doppler.tokens.at(-1)!.config, config);
        if (isKept) assert.notEqual(await provider.keep!(at.shop.context(), fork, at.shop.scope()), "absent");
        else assert.equal(await provider.delete(at.shop.context(), fork, at.shop.scope()), "deleted");
        assert.deepEqual(at.doppler.tokens, []);
        assert.equal(at.doppler.configs.includes(config), isKept);
      } else { // it looks like one that was kept, which only `--purge` may take
        assert.equal(await provider.delete(at.shop.context(), fork, at.shop.scope()), "absent");
      }
      assert(at.doppler.configs.includes(theirs));
    }
  }
});

Deno.test("doppler: kept configs count against the plan, and the error says how they go", async () => {
  await using at = await openShop();
  for (let i = 0; i < 3; i++) {
    const fork = await at.shop.create(at.shop.target(`pr-${i}`));
    await provider.keep!(at.shop.context(), fork, at.shop.scope());
  }
  for (let i = 0; i < 6; i++) await at.shop.create(at.shop.target(`env-${i}`));
  const work = at.shop.create(at.shop.target("one-more"));
  await refuses(work, "PLAN_LIMIT", /has 10 configs, 3 of them kept.*limit of configs.*--purge.*prune/s);
  await refuses(at.shop.create(at.shop.target("Bad")), "PROVIDER_REFUSED", /name is invalid/).catch(() => {});
});

Deno.test("doppler: a secret that the token may not read stops the create, and the fork goes with its undo", async () => {
  await using at = await openShop();
  const context = at.shop.context();
  const blind = {
    ...context,
    async fetch(request: Request) {
      const answer = await context.fetch(request);
      if (request.method !== "GET" || !new URL(request.url).pathname.endsWith("/secrets")) return answer;
      const { secrets } = await answer.json();
      return Response.json({ secrets: { ...secrets, API_KEY: { ...secrets.API_KEY, raw: null, computed: null } } });
    },
  };
  await refuses(at.shop.create(at.shop.target("alice"), blind), "CREDENTIALS_DENIED", /"API_KEY".*restricted/s);
});

Deno.test("doppler: the emulator clones what a config overlays, ends tokens at Unix times, and has ten configs", async () => {
  const ask = async (at: { doppler: { url: string } }, path: string, json: object) => {
    const headers = { authorization: `Bearer ${TOKEN}` };
    const body = JSON.stringify({ project: "shop", ...json });
    const answer = await fetch(`${at.doppler.url}/v3/${path}`, { method: "POST", headers, body });
    await answer.text();
    return answer.status;
  };
  for (const clonesInherited of [false, true]) {
    await using at = await openShop({ clonesInherited, takesDates: clonesInherited });
    at.doppler.add("prd_a", "prd", { A: "1" });
    for (const config of ["prd", "prd_a"]) await ask(at, "configs/config/clone", { config, name: `prd_of-${config}` });
    const own = ["prd_of-prd", "prd_of-prd_a"].map((name) => [...at.doppler.config(name)!.secrets.keys()]);
    assert.deepEqual(own, clonesInherited ? [["API_KEY"], ["API_KEY", "A"]] : [[], ["A"]]);
    const ends = [1_893_456_000, "1893456000", "2030-01-01T00:00:00.000Z", 1.5, "soon"];
    const statuses = [];
    for (const expire_at of ends) {
      statuses.push(await ask(at, "configs/config/tokens", { config: "prd", name: "xx", expire_at }));
    }
    assert.deepEqual(statuses, [200, 200, clonesInherited ? 200 : 400, 400, 400]);
    assert.equal(at.doppler.tokens[0]!.expires_at, "2030-01-01T00:00:00.000Z");
    for (let i = 0; i < 6; i++) assert.equal(await ask(at, "configs", { environment: "prd", name: `prd_${i}` }), 200);
    assert.equal(await ask(at, "configs", { environment: "prd", name: "prd_x" }), 400);
  }
});
